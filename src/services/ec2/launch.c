/* RunInstances: from a request, and maybe a launch template, to pending instances.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html */
#include "services/ec2/private.h"

#include "aws/id.h"
#include "base/text.h"
#include "compute/compute.h"
#include "services/iam/iam.h"

#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 16
/* Of one daemon; what has been shown to run. */
#define INSTANCES_MAX_REAL 200
#define INSTANCES_MAX_MODEL 12000
#define USER_DATA_BYTES_MAX 16384
#define DEFAULT_TYPE "m1.small" /* As on AWS. */

/* All that a request means, looked up and checked. */
struct plan {
    const struct doc *in; /* Template and request, merged. */
    const struct doc *interface;
    const struct instance_type *type;
    const struct image *image;
    const struct key_pair *key;
    struct ec2_subnet *subnet;
    const char *groups[GROUPS_MAX];
    size_t groups_count;
    struct iam_profile_facts profile;
    bool has_profile;
    bool public_address;
    const char *address;
    const char *user_data;
    const char *template_id;
    int64_t template_version;
    struct mapping *mappings;
    size_t mappings_count;
};

static void plan_close(struct plan *plan)
{
    for (size_t i = 0; i < plan->mappings_count; i++) {
        mapping_close(&plan->mappings[i]);
    }
    free(plan->mappings);
    plan->mappings = NULL;
    plan->mappings_count = 0;
}

static int merge(struct ctx *ctx, const struct doc *in, struct plan *plan, struct error *err)
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

static int find_image(struct ctx *ctx, struct plan *plan, struct error *err)
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

static int find_subnet(struct ctx *ctx, const struct launch_options *options, struct plan *plan,
                       struct error *err)
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

static int add_group(struct ctx *ctx, struct plan *plan, const struct group *group,
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

static int find_groups(struct ctx *ctx, struct plan *plan, struct error *err)
{
    const struct doc *where = plan->interface != NULL ? plan->interface : plan->in;
    int ids = plan->interface != NULL ? M_Groups : M_SecurityGroupIds;
    struct group *group;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < doc_count(where, ids); i++) {
        rc = thing_need(ctx, KIND_GROUP, doc_z_at(where, ids, i), (void **)&group, err);
        rc = rc != 0 ? rc : add_group(ctx, plan, group, err);
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

static int check_interfaces(const struct launch_options *options, struct plan *plan,
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

static int check_user_data(struct ctx *ctx, struct plan *plan, struct error *err)
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

static int check_metadata(const struct plan *plan, struct error *err)
{
    int64_t hops = doc_int_or(doc_get(plan->in, M_MetadataOptions), M_HttpPutResponseHopLimit, 1);

    return hops >= 1 && hops <= 64
               ? 0
               : error_api(err, "InvalidParameterValue",
                           "Value (%lld) for parameter HttpPutResponseHopLimit is invalid. It "
                           "must be between 1 and 64.",
                           (long long)hops);
}

static int find_profile(struct ctx *ctx, struct plan *plan, struct error *err)
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

static int find_type_and_key(struct ctx *ctx, struct plan *plan, struct error *err)
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

static struct mapping *mapping_of(struct plan *plan, const char *device)
{
    for (size_t i = 0; i < plan->mappings_count; i++) {
        if (strcmp(plan->mappings[i].device, device) == 0) {
            return &plan->mappings[i];
        }
    }
    return NULL;
}

static void remove_mapping(struct plan *plan, struct mapping *mapping)
{
    size_t index = (size_t)(mapping - plan->mappings);

    mapping_close(mapping);
    plan->mappings_count--;
    memmove(mapping, mapping + 1, (plan->mappings_count - index) * sizeof(*mapping));
}

static struct mapping *new_mapping(struct plan *plan)
{
    plan->mappings = mem_realloc(plan->mappings, plan->mappings_count + 1, sizeof(*plan->mappings));
    plan->mappings[plan->mappings_count] = (struct mapping){0};
    return &plan->mappings[plan->mappings_count++];
}

static int override_mapping(struct plan *plan, const struct doc *from, struct error *err)
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

static int plan_mappings(struct plan *plan, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; i < plan->image->mappings_count; i++) {
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

static int make_plan(struct ctx *ctx, const struct doc *in, const struct launch_options *options,
                     struct plan *plan, struct error *err)
{
    int rc = merge(ctx, in, plan, err);

    rc = rc != 0 ? rc : check_interfaces(options, plan, err);
    rc = rc != 0 ? rc : find_image(ctx, plan, err);
    rc = rc != 0 ? rc : find_type_and_key(ctx, plan, err);
    rc = rc != 0 ? rc : find_subnet(ctx, options, plan, err);
    rc = rc != 0 ? rc : find_groups(ctx, plan, err);
    rc = rc != 0 ? rc : find_profile(ctx, plan, err);
    rc = rc != 0 ? rc : check_user_data(ctx, plan, err);
    rc = rc != 0 ? rc : check_metadata(plan, err);
    rc = rc != 0 ? rc
                 : tag_specs_check(plan->in,
                                   "instance;volume;network-interface;spot-instances-request;"
                                   "elastic-gpu",
                                   err);
    rc = rc != 0 ? rc : plan_mappings(plan, err);
    if (rc != 0) {
        return rc;
    }
    plan->public_address =
        doc_bool_or(plan->interface, M_AssociatePublicIpAddress, plan->subnet->map_public);
    plan->address = plan->interface != NULL ? doc_z(plan->interface, M_PrivateIpAddress)
                                            : doc_z(plan->in, M_PrivateIpAddress);
    return 0;
}

static int64_t living(const struct control *control)
{
    const struct ec2_instance *instance;
    int64_t count = 0;

    for (size_t at = 0; (instance = thing_next(control, KIND_INSTANCE, &at)) != NULL;) {
        count += instance->state != EC2_TERMINATED;
    }
    return count;
}

static int64_t instances_max(const struct control *control)
{
    bool model = control->compute != NULL && strcmp(control->compute->driver->name, "sim") == 0;

    return model ? INSTANCES_MAX_MODEL : INSTANCES_MAX_REAL;
}

/* How many to launch: as many as fit, but not fewer than MinCount. */
static int decide_count(struct ctx *ctx, const struct plan *plan, int64_t *count, struct error *err)
{
    int64_t min = doc_int(plan->in, M_MinCount);
    int64_t max = doc_int(plan->in, M_MaxCount);
    int64_t free_addresses = subnet_free_count(ctx->control, plan->subnet);
    int64_t limit = instances_max(ctx->control), room = limit - living(ctx->control);

    if (min < 1 || max < 1) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%lld) for parameter %s is invalid. Expected a positive integer.",
                         (long long)(min < 1 ? min : max), min < 1 ? "minCount" : "maxCount");
    }
    if (min > max) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%lld) for parameter maxCount is invalid. It must not be less than "
                         "minCount.",
                         (long long)max);
    }
    if (plan->address != NULL && max > 1) {
        return error_api(err, "InvalidParameterCombination",
                         "A private IP address can only be specified when launching a single "
                         "instance.");
    }
    if (min > room) {
        return error_api(err, "InstanceLimitExceeded",
                         "You have requested more instances (%lld) than your current instance "
                         "limit of %lld allows.",
                         (long long)(limit - room + min), (long long)limit);
    }
    if (min > free_addresses) {
        return error_api(err, "InsufficientFreeAddressesInSubnet",
                         "There are not enough free addresses in subnet '%s' to satisfy the "
                         "requested number of instances.",
                         plan->subnet->id);
    }
    *count = min_i64(max, min_i64(room, free_addresses));
    return quota_check(ctx->control, KIND_VOLUME, NULL, plan->mappings_count * (size_t)*count, err);
}

/* Making. */

static void set_metadata(struct ec2_instance *instance, const struct doc *in)
{
    const struct doc *options = doc_get(in, M_MetadataOptions);

    instance->imds_hops = doc_int_or(options, M_HttpPutResponseHopLimit, 1);
    instance->imds_token_required = slice_equal_z(doc_text(options, M_HttpTokens), "required");
    instance->imds_disabled = slice_equal_z(doc_text(options, M_HttpEndpoint), "disabled");
    instance->imds_tags = slice_equal_z(doc_text(options, M_InstanceMetadataTags), "enabled");
}

static struct ec2_instance *make_instance(struct ctx *ctx, const struct plan *plan,
                                          const struct launch_options *options,
                                          const char *reservation, int64_t index)
{
    struct ec2_instance *made = thing_new(ctx, KIND_INSTANCE, options->id);
    const struct doc *in = plan->in;
    const struct doc *credits = doc_get(in, M_CreditSpecification);

    made->reservation = mem_strdup(reservation);
    made->requester = mem_strdup(options->requester);
    made->client_token = mem_strdup(doc_has(in, M_ClientToken) ? doc_z(in, M_ClientToken) : "");
    made->image = mem_strdup(plan->image->id);
    made->type = mem_strdup(plan->type->name);
    made->vpc = mem_strdup(plan->subnet->vpc);
    made->subnet = mem_strdup(plan->subnet->id);
    made->zone = mem_strdup(plan->subnet->zone);
    made->user_data = mem_strdup(plan->user_data);
    made->state = EC2_PENDING;
    made->created_ms = made->launched_ms = made->changed_ms = ctx->now_ms;
    made->launch_index = index;
    made->monitoring = doc_bool(doc_get(in, M_Monitoring), M_Enabled);
    made->protected = doc_bool(in, M_DisableApiTermination);
    made->protected_stop = doc_bool(in, M_DisableApiStop);
    made->terminate_on_shutdown =
        slice_equal_z(doc_text(in, M_InstanceInitiatedShutdownBehavior), "terminate");
    made->ebs_optimized = doc_bool(in, M_EbsOptimized);
    made->tenancy = mem_strdup(doc_z(doc_get(in, M_Placement), M_Tenancy));
    made->wants_public = plan->public_address;
    set_metadata(made, in);
    if (plan->type->burstable) {
        bool unlimited = strncmp(plan->type->name, "t3", 2) == 0;

        made->cpu_credits = mem_strdup(doc_has(credits, M_CpuCredits) ? doc_z(credits, M_CpuCredits)
                                       : unlimited                    ? "unlimited"
                                                                      : "standard");
    }
    if (plan->key != NULL) {
        made->key = mem_strdup(plan->key->name);
        made->public_key = mem_strdup(
            arena_printf(ctx->arena, "%s %s", plan->key->public_key, plan->key->name).data);
    }
    if (plan->has_profile) {
        made->profile = mem_strdup(plan->profile.arn);
        made->profile_id = mem_strdup(plan->profile.id);
    }
    return made;
}

static int join_network(struct ctx *ctx, const struct plan *plan, struct ec2_instance *made,
                        struct error *err)
{
    struct ec2_interface *interface;
    int rc = interface_make(ctx, plan->subnet, plan->address, &interface, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < plan->groups_count; i++) {
        interface_add_group(interface, plan->groups[i]);
    }
    interface->instance = mem_strdup(made->id);
    interface->keep = !doc_bool_or(plan->interface, M_DeleteOnTermination, true);
    if (doc_has(plan->interface, M_Description)) {
        text_replace(&interface->description, doc_z(plan->interface, M_Description));
    }
    if (plan->public_address) {
        interface->public_address = mem_strdup(public_address_free(ctx));
    }
    made->interface = mem_strdup(interface->id);
    made->address = mem_strdup(interface->address);
    made->mac = mem_strdup(interface->mac);
    made->public_address = mem_strdup(interface->public_address);
    thing_put(ctx, KIND_INTERFACE, interface);
    tag_specs_apply(ctx, plan->in, "network-interface", KIND_INTERFACE, interface->id);
    return 0;
}

static void make_volumes(struct ctx *ctx, const struct plan *plan, const struct ec2_instance *made)
{
    for (size_t i = 0; i < plan->mappings_count; i++) {
        const struct mapping *from = &plan->mappings[i];
        struct volume *volume = thing_new(ctx, KIND_VOLUME, NULL);
        bool gp3 = strcmp(from->type, "gp3") == 0;

        volume->zone = mem_strdup(made->zone);
        volume->type = mem_strdup(from->type);
        volume->snapshot = mem_strdup(from->snapshot);
        volume->instance = mem_strdup(made->id);
        volume->device = mem_strdup(from->device);
        volume->size_gib = from->size_gib;
        volume->iops = from->iops != 0 ? from->iops : gp3 ? 3000 : 100;
        volume->throughput = from->throughput != 0 ? from->throughput : gp3 ? 125 : 0;
        volume->created_ms = ctx->now_ms;
        volume->delete_on_termination = from->delete_on_termination;
        volume->encrypted = from->encrypted;
        thing_put(ctx, KIND_VOLUME, volume);
        volume_attached(ctx->control->ec2, volume);
        tag_specs_apply(ctx, plan->in, "volume", KIND_VOLUME, volume->id);
    }
}

static void put_tags(struct ctx *ctx, const struct plan *plan, const struct launch_options *options,
                     const struct ec2_instance *made)
{
    const char *arn = thing_arn(ctx, KIND_INSTANCE, made->id);

    tag_specs_apply(ctx, plan->in, "instance", KIND_INSTANCE, made->id);
    for (size_t i = 0; i < options->tags_count; i++) {
        ctx_tag_put(ctx, arn, options->tags[i].key, options->tags[i].value);
    }
    if (plan->template_id != NULL) {
        ctx_tag_put(ctx, arn, "aws:ec2launchtemplate:id", plan->template_id);
        ctx_tag_put(ctx, arn, "aws:ec2launchtemplate:version",
                    arena_printf(ctx->arena, "%lld", (long long)plan->template_version).data);
    }
}

static int carry_out(struct ctx *ctx, const struct plan *plan, const struct launch_options *options,
                     int64_t count, const char *reservation, struct error *err)
{
    act_vpc(ctx, plan->subnet->vpc); /* First: the network must know them when they start. */
    for (int64_t i = 0; i < count; i++) {
        struct ec2_instance *made = make_instance(ctx, plan, options, reservation, i);
        int rc = join_network(ctx, plan, made, err);

        if (rc != 0) { /* Only for the first, by its chosen address. */
            thing_drop(ctx, KIND_INSTANCE, made);
            return rc;
        }
        make_volumes(ctx, plan, made);
        put_tags(ctx, plan, options, made);
        thing_put(ctx, KIND_INSTANCE, made);
        instance_move(ctx, made, EC2_PENDING);
        act_instance(ctx, made->id);
    }
    return 0;
}

int launch_instances(struct ctx *ctx, const struct doc *in, const struct launch_options *options,
                     const char **reservation, struct error *err)
{
    struct plan plan = {0};
    const char *token = doc_z(in, M_ClientToken);
    char id[ID_BYTES];
    int64_t count = 0;
    int rc = ec2_token_check(ctx, "RunInstances", token, in, reservation, err);

    if (rc != 0 || *reservation != NULL) {
        return rc;
    }
    rc = make_plan(ctx, in, options, &plan, err);
    rc = rc != 0 ? rc : decide_count(ctx, &plan, &count, err);
    if (rc == 0 && doc_bool(in, M_DryRun)) {
        rc = ec2_dry_run(in, err);
    }
    if (rc == 0) {
        id_new(id, "r-");
        *reservation = arena_strdup(ctx->arena, slice_z(id));
        rc = carry_out(ctx, &plan, options, count, *reservation, err);
    }
    if (rc == 0) {
        ec2_token_note(ctx, "RunInstances", token, in, *reservation);
    }
    plan_close(&plan);
    return rc;
}

int ec2_run_instances(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const struct launch_options options = {0};
    const char *reservation;
    int rc = launch_instances(ctx, in, &options, &reservation, err);

    if (rc == 0) {
        reservation_fill(ctx, reservation, out);
    }
    return rc;
}

static const struct ec2_instance *of_reservation(const struct control *control, const char *id)
{
    const struct ec2_instance *instance;

    for (size_t at = 0; (instance = thing_next(control, KIND_INSTANCE, &at)) != NULL;) {
        if (strcmp(instance->reservation, id) == 0) {
            return instance;
        }
    }
    return NULL;
}

int ec2_launch(struct ctx *ctx, const struct ec2_launch *launch, const struct ec2_instance **made,
               struct error *err)
{
    const struct launch_options options = {.id = launch->id,
                                           .requester = launch->requester,
                                           .subnet = launch->subnet,
                                           .tags = launch->tags,
                                           .tags_count = launch->tags_count};
    struct doc *in = doc_new(ctx->arena, DOC_STRUCT);
    const char *reservation;
    int rc;

    doc_set_int(in, M_MinCount, 1);
    doc_set_int(in, M_MaxCount, 1);
    doc_set_z(in, M_InstanceType, launch->type);
    doc_set_z(in, M_ImageId, launch->image);
    doc_set_z(in, M_ClientToken, launch->client_token);
    if (launch->template_id != NULL || launch->template_name != NULL) {
        struct doc *spec = doc_set_struct(in, M_LaunchTemplate);

        doc_set_z(spec, M_LaunchTemplateId, launch->template_id);
        doc_set_z(spec, M_LaunchTemplateName,
                  launch->template_id != NULL ? NULL : launch->template_name);
        doc_set_z(spec, M_Version, launch->template_version);
    }
    rc = launch_instances(ctx, in, &options, &reservation, err);
    if (rc != 0) {
        return rc;
    }
    *made = of_reservation(ctx->control, reservation);
    return *made != NULL ? 0
                         : error_set(err, ERR_NOT_FOUND, "what the client token launched is gone");
}
