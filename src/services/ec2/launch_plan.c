/* From a request, and maybe a launch template, to a plan of what is to be launched. */
#include "services/ec2/launch_plan.h"

#include "base/text.h"
#include "wire/server.h"

#include <stdlib.h>
#include <string.h>

#define USER_DATA_BYTES_MAX 16384
#define DEFAULT_TYPE "m1.small" /* As on AWS. */

void launch_plan_close(struct launch_plan *plan)
{
    for (size_t i = 0; i < plan->mappings_count; i++) {
        mapping_close(&plan->mappings[i]);
    }
    free(plan->mappings);
    plan->mappings = NULL;
    plan->mappings_count = 0;
}

static int first(int rc, int next)
{
    return rc != 0 ? rc : next;
}

static int merge(struct ctx *ctx, const struct doc *in, struct launch_plan *plan, struct error *err)
{
    const struct doc *spec = doc_get(in, M_LaunchTemplate);
    struct launch_template *from;
    struct version *version;
    struct doc *data;
    int rc;

    plan->in = in;
    if (spec == NULL) {
        return 0;
    }
    rc = template_need(ctx, doc_z(spec, M_LaunchTemplateId), doc_z(spec, M_LaunchTemplateName),
                       &from, err);
    rc = rc != 0 ? rc : version_need(from, doc_z(spec, M_Version), &version, err);
    rc = rc != 0 ? rc : version_data(ctx, version, &data, err);
    if (rc == 0) {
        plan->template_id = from->id;
        plan->template_version = version->number;
        plan->in = template_merge(ctx->arena, data, in);
    }
    return rc;
}

static int find_image(struct ctx *ctx, struct launch_plan *plan, struct error *err)
{
    const char *id = doc_z(plan->in, M_ImageId);

    if (id == NULL) {
        return error_api(err, "MissingParameter", "The request must contain the parameter ImageId");
    }
    if (slice_starts(slice_z(id), SLICE_LIT("resolve:ssm:"))) {
        const char *name = id + strlen("resolve:ssm:");

        id = ec2_public_image(name);
        if (id == NULL) {
            return error_api(err, "InvalidAMIID.Malformed",
                             "muster resolves public parameters only, and has none called '%s'",
                             name);
        }
    }
    return image_need(ctx, id, (struct image **)&plan->image, err);
}

static int find_subnet(struct ctx *ctx, const struct launch_options *options,
                       struct launch_plan *plan, struct error *err)
{
    const char *zone = doc_z(doc_get(plan->in, M_Placement), M_AvailabilityZone);
    const char *id = options->subnet;

    if (id == NULL) {
        id = plan->interface != NULL ? doc_z(plan->interface, M_SubnetId)
                                     : doc_z(plan->in, M_SubnetId);
    }
    if (zone != NULL && !zone_exists(ctx->control, zone)) {
        return error_api(err, "InvalidParameterValue", "Invalid availability zone: [%s]", zone);
    }
    if (id != NULL) {
        int rc = thing_need(ctx, KIND_SUBNET, id, (void **)&plan->subnet, err);

        if (rc == 0 && zone != NULL && strcmp(zone, plan->subnet->zone) != 0) {
            rc = error_api(err, "InvalidParameterValue",
                           "The availability zone '%s' does not match that of subnet '%s'", zone,
                           id);
        }
        return rc;
    }
    plan->subnet = (struct ec2_subnet *)ec2_subnet_default(ctx->control, zone);
    return plan->subnet != NULL
               ? 0
               : error_api(err, "MissingInput",
                           "No subnets found for the default VPC. Please specify a subnet.");
}

static int add_group(struct ctx *ctx, struct launch_plan *plan, const struct group *group,
                     struct error *err)
{
    (void)ctx;
    if (strcmp(group->vpc, plan->subnet->vpc) != 0) {
        return error_api(err, "InvalidParameter",
                         "Security group %s and subnet %s belong to different networks.", group->id,
                         plan->subnet->id);
    }
    if (plan->groups_count == GROUPS_MAX) {
        return error_api(err, "SecurityGroupsPerInterfaceLimitExceeded",
                         "The maximum number of security groups per interface has been reached.");
    }
    plan->groups[plan->groups_count++] = group->id;
    return 0;
}

static int find_groups(struct ctx *ctx, struct launch_plan *plan, struct error *err)
{
    const struct doc *where = plan->interface != NULL ? plan->interface : plan->in;
    int ids = plan->interface != NULL ? M_Groups : M_SecurityGroupIds;
    struct group *group;
    int rc = 0;

    if (plan->subnet == NULL) {
        return 0; /* Already refused for that. */
    }
    for (size_t i = 0; i < doc_count(where, ids); i++) {
        struct error *told = rc == 0 ? err : NULL;
        int one = thing_need(ctx, KIND_GROUP, doc_z_at(where, ids, i), (void **)&group, told);

        rc = first(rc, one != 0 ? one : add_group(ctx, plan, group, told));
    }
    for (size_t i = 0; rc == 0 && where == plan->in && i < doc_count(where, M_SecurityGroups);
         i++) {
        const char *name = doc_z_at(where, M_SecurityGroups, i);

        group = ec2_group_named(ctx->control, plan->subnet->vpc, name);
        rc = group != NULL ? add_group(ctx, plan, group, err)
                           : error_api(err, "InvalidGroup.NotFound",
                                       "The security group '%s' does not exist in VPC '%s'", name,
                                       plan->subnet->vpc);
    }
    if (rc == 0 && plan->groups_count == 0) {
        plan->groups[plan->groups_count++] = ec2_group_default(ctx->control, plan->subnet->vpc);
    }
    return rc;
}

static int check_interfaces(const struct launch_options *options, struct launch_plan *plan,
                            struct error *err)
{
    const struct doc *in = plan->in;
    size_t count = doc_count(in, M_NetworkInterfaces);

    if (count == 0) {
        return 0;
    }
    plan->interface = doc_at(in, M_NetworkInterfaces, 0);
    if (doc_has(in, M_SubnetId) && options->subnet == NULL) {
        return error_api(err, "InvalidParameterCombination",
                         "Network interfaces and an instance-level subnet ID may not be specified "
                         "on the same request");
    }
    if (doc_count(in, M_SecurityGroupIds) + doc_count(in, M_SecurityGroups) > 0) {
        return error_api(err, "InvalidParameterCombination",
                         "Network interfaces and an instance-level security groups may not be "
                         "specified on the same request");
    }
    if (count > 1 || doc_has(plan->interface, M_NetworkInterfaceId)) {
        return error_api(err, "UnsupportedOperation",
                         "muster's instances have one network interface, made at launch.");
    }
    if (doc_int_or(plan->interface, M_DeviceIndex, 0) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "The network interface with device index 0 must be specified.");
    }
    return 0;
}

static int check_user_data(struct ctx *ctx, struct launch_plan *plan, struct error *err)
{
    struct slice text = doc_text(plan->in, M_UserData);
    struct buf raw = {0}, coded = {0};
    int rc = 0;

    if (text.bytes == 0) {
        return 0;
    }
    if (text_base64_decode(&raw, text, NULL) != 0) {
        rc = error_api(err, "InvalidParameterValue", "Invalid BASE64 encoding of user data.");
    } else if (raw.bytes > USER_DATA_BYTES_MAX) {
        rc = error_api(err, "InvalidParameterValue", "User data is limited to %d bytes",
                       USER_DATA_BYTES_MAX);
    } else {
        text_base64_encode(&coded, buf_slice(&raw));
        plan->user_data = arena_strdup(ctx->arena, buf_slice(&coded));
    }
    buf_close(&raw);
    buf_close(&coded);
    return rc;
}

static int check_metadata(const struct launch_plan *plan, struct error *err)
{
    int64_t hops = doc_int_or(doc_get(plan->in, M_MetadataOptions), M_HttpPutResponseHopLimit, 1);

    return hops >= 1 && hops <= 64
               ? 0
               : error_api(err, "InvalidParameterValue",
                           "Value (%lld) for parameter HttpPutResponseHopLimit is invalid. It "
                           "must be between 1 and 64.",
                           (long long)hops);
}

static int find_profile(struct ctx *ctx, struct launch_plan *plan, struct error *err)
{
    const struct doc *spec = doc_get(plan->in, M_IamInstanceProfile);
    const char *arn = doc_z(spec, M_Arn);
    const char *name = arn != NULL ? arn : doc_z(spec, M_Name);

    if (name == NULL) {
        return 0;
    }
    if (iam_profile_facts(ctx->control, name, &plan->profile, NULL) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%s) for parameter iamInstanceProfile.%s is invalid. Invalid IAM "
                         "Instance Profile %s",
                         name, arn != NULL ? "arn" : "name", arn != NULL ? "ARN" : "name");
    }
    if (plan->profile.role == NULL) {
        return error_api(err, "InvalidParameterValue",
                         "IAM Instance Profile \"%s\" has no associated IAM Roles",
                         plan->profile.arn);
    }
    plan->has_profile = true;
    return 0;
}

static int find_type_and_key(struct ctx *ctx, struct launch_plan *plan, struct error *err)
{
    const char *type = doc_z(plan->in, M_InstanceType);
    const char *key = doc_z(plan->in, M_KeyName);
    struct slice market = doc_text(doc_get(plan->in, M_InstanceMarketOptions), M_MarketType);

    plan->type = instance_type_find(type == NULL ? DEFAULT_TYPE : type);
    if (plan->type == NULL) {
        return error_api(err, "InvalidParameterValue", "Invalid value '%s' for InstanceType.",
                         type);
    }
    if (market.bytes > 0 && !slice_equal_z(market, "on-demand")) {
        return error_api(err, "UnsupportedOperation", "muster has no %.*s instances.",
                         SLICE_ARG(market));
    }
    plan->key = key == NULL ? NULL : key_pair_named(ctx->control, key);
    return key == NULL || plan->key != NULL
               ? 0
               : error_api(err, "InvalidKeyPair.NotFound", "The key pair '%s' does not exist", key);
}

/* Disks: the image's, changed and added to by the request. */

static struct mapping *mapping_of(struct launch_plan *plan, const char *device)
{
    for (size_t i = 0; i < plan->mappings_count; i++) {
        if (strcmp(plan->mappings[i].device, device) == 0) {
            return &plan->mappings[i];
        }
    }
    return NULL;
}

static void remove_mapping(struct launch_plan *plan, struct mapping *mapping)
{
    size_t index = (size_t)(mapping - plan->mappings);

    mapping_close(mapping);
    plan->mappings_count--;
    memmove(mapping, mapping + 1, (plan->mappings_count - index) * sizeof(*mapping));
}

static struct mapping *new_mapping(struct launch_plan *plan)
{
    plan->mappings = mem_realloc(plan->mappings, plan->mappings_count + 1, sizeof(*plan->mappings));
    plan->mappings[plan->mappings_count] = (struct mapping){0};
    return &plan->mappings[plan->mappings_count++];
}

static int override_mapping(struct launch_plan *plan, const struct doc *from, struct error *err)
{
    const struct doc *ebs = doc_get(from, M_Ebs);
    struct mapping read;
    struct mapping *own;
    int rc = mapping_read(from, &read, err);

    if (rc != 0) {
        return rc;
    }
    own = mapping_of(plan, read.device);
    if (doc_has(from, M_NoDevice) || (ebs == NULL && doc_has(from, M_VirtualName))) {
        if (own != NULL) {
            remove_mapping(plan, own);
        }
        mapping_close(&read);
        return 0;
    }
    if (own == NULL) {
        own = new_mapping(plan);
        *own = read;
        own->size_gib = own->size_gib == 0 ? 8 : own->size_gib;
        return 0;
    }
    if (read.size_gib != 0 && read.size_gib < own->size_gib) {
        rc = error_api(err, "InvalidBlockDeviceMapping",
                       "Volume of size %lldGB is smaller than snapshot '%s', expect size >= "
                       "%lldGB",
                       (long long)read.size_gib, own->snapshot, (long long)own->size_gib);
    }
    own->size_gib = read.size_gib != 0 ? read.size_gib : own->size_gib;
    if (doc_has(ebs, M_VolumeType)) {
        text_replace(&own->type, read.type);
    }
    own->delete_on_termination =
        doc_bool_or(ebs, M_DeleteOnTermination, own->delete_on_termination);
    own->encrypted = doc_bool_or(ebs, M_Encrypted, own->encrypted);
    own->iops = doc_int_or(ebs, M_Iops, own->iops);
    own->throughput = doc_int_or(ebs, M_Throughput, own->throughput);
    mapping_close(&read);
    return rc;
}

static int plan_mappings(struct launch_plan *plan, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; plan->image != NULL && i < plan->image->mappings_count; i++) {
        const struct mapping *from = &plan->image->mappings[i];
        struct mapping *to = new_mapping(plan);

        *to = *from;
        to->device = mem_strdup(from->device);
        to->snapshot = mem_strdup(from->snapshot);
        to->type = mem_strdup(from->type);
    }
    for (size_t i = 0; rc == 0 && i < doc_count(plan->in, M_BlockDeviceMappings); i++) {
        rc = override_mapping(plan, doc_at(plan->in, M_BlockDeviceMappings, i), err);
    }
    return rc;
}

static int check_tags(const struct launch_plan *plan, struct error *err)
{
    return tag_specs_check(
        plan->in, "instance;volume;network-interface;spot-instances-request;elastic-gpu", err);
}

/* Once one has failed, the others do what they can: a caller may want to judge it all the same. */
int launch_plan_make(struct ctx *ctx, const struct doc *in, const struct launch_options *options,
                     struct launch_plan *plan, struct error *err)
{
    int rc = merge(ctx, in, plan, err);

    if (rc != 0) {
        return rc;
    }
    rc = check_interfaces(options, plan, err);
    rc = first(rc, find_image(ctx, plan, rc == 0 ? err : NULL));
    rc = first(rc, find_type_and_key(ctx, plan, rc == 0 ? err : NULL));
    rc = first(rc, find_subnet(ctx, options, plan, rc == 0 ? err : NULL));
    rc = first(rc, find_groups(ctx, plan, rc == 0 ? err : NULL));
    rc = first(rc, find_profile(ctx, plan, rc == 0 ? err : NULL));
    rc = first(rc, check_user_data(ctx, plan, rc == 0 ? err : NULL));
    rc = first(rc, check_metadata(plan, rc == 0 ? err : NULL));
    rc = first(rc, check_tags(plan, rc == 0 ? err : NULL));
    rc = first(rc, plan_mappings(plan, rc == 0 ? err : NULL));
    if (rc != 0) {
        return rc;
    }
    plan->public_address =
        doc_bool_or(plan->interface, M_AssociatePublicIpAddress, plan->subnet->map_public);
    plan->address = plan->interface != NULL ? doc_z(plan->interface, M_PrivateIpAddress)
                                            : doc_z(plan->in, M_PrivateIpAddress);
    return 0;
}

/* Judging. */

static int judge_one(struct ctx *ctx, const char *arn, struct error *err)
{
    return ctx->control->hooks->authorize(ctx, "ec2:RunInstances", arn, err);
}

int launch_plan_judge(struct ctx *ctx, const struct launch_plan *plan, struct error *err)
{
    int rc = judge_one(ctx, ec2_arn(ctx, "instance", "*"), err);

    if (rc == 0 && plan->image != NULL) {
        rc = judge_one(ctx, thing_arn(ctx, KIND_IMAGE, plan->image->id), err);
    }
    if (rc == 0 && plan->subnet != NULL) {
        rc = judge_one(ctx, thing_arn(ctx, KIND_SUBNET, plan->subnet->id), err);
    }
    rc = rc != 0 ? rc : judge_one(ctx, ec2_arn(ctx, "network-interface", "*"), err);
    for (size_t i = 0; rc == 0 && i < plan->groups_count; i++) {
        rc = judge_one(ctx, thing_arn(ctx, KIND_GROUP, plan->groups[i]), err);
    }
    if (rc == 0 && plan->mappings_count > 0) {
        rc = judge_one(ctx, ec2_arn(ctx, "volume", "*"), err);
    }
    if (rc == 0 && doc_has(plan->in, M_KeyName)) { /* Maybe of one that is made later. */
        rc = judge_one(ctx, ec2_arn(ctx, "key-pair", doc_z(plan->in, M_KeyName)), err);
    }
    if (rc == 0 && plan->template_id != NULL) {
        rc = judge_one(ctx, thing_arn(ctx, KIND_TEMPLATE, plan->template_id), err);
    }
    if (rc == 0 && doc_has(plan->in, M_IamInstanceProfile)) {
        rc = iam_pass_role(ctx, plan->profile.role, "ec2.amazonaws.com", err);
    }
    return rc;
}
