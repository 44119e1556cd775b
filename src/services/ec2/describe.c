/* What is said of instances: DescribeInstances, DescribeInstanceStatus. */
#include "services/ec2/private.h"

#include <string.h>

/* Read-only descriptions of the pieces. */

static void fill_state(struct doc *out, int member, enum ec2_state state)
{
    struct doc *item = doc_set_struct(out, member);

    doc_set_int(item, M_Code, state_code(state));
    doc_set_z(item, M_Name, ec2_state_name(state));
}

void instance_mappings_fill(struct ctx *ctx, const struct ec2_instance *instance, struct doc *out)
{
    const struct volume *volume;

    doc_set_list(out, M_BlockDeviceMappings);
    for (size_t i = 0; (volume = volume_of(ctx->control, instance->id, i)) != NULL; i++) {
        struct doc *item = doc_add_struct(out, M_BlockDeviceMappings), *ebs;

        doc_set_z(item, M_DeviceName, volume->device);
        ebs = doc_set_struct(item, M_Ebs);
        doc_set_z(ebs, M_VolumeId, volume->id);
        doc_set_z(ebs, M_Status, "attached");
        doc_set_time_ms(ebs, M_AttachTime, volume->created_ms);
        doc_set_bool(ebs, M_DeleteOnTermination, volume->delete_on_termination);
    }
}

void metadata_options_fill(const struct ec2_instance *instance, struct doc *options)
{
    doc_set_z(options, M_State, "applied");
    doc_set_z(options, M_HttpTokens, instance->imds_token_required ? "required" : "optional");
    doc_set_int(options, M_HttpPutResponseHopLimit, instance->imds_hops);
    doc_set_z(options, M_HttpEndpoint, instance->imds_disabled ? "disabled" : "enabled");
    doc_set_z(options, M_HttpProtocolIpv6, "disabled");
    doc_set_z(options, M_InstanceMetadataTags, instance->imds_tags ? "enabled" : "disabled");
}

static void fill_network(struct ctx *ctx, const struct ec2_instance *instance, struct doc *out)
{
    const struct ec2_interface *interface = instance_interface(ctx->control, instance);

    doc_set_z(out, M_PrivateDnsName, private_dns(ctx, instance->address));
    doc_set_z(out, M_PublicDnsName, public_dns(ctx, instance->vpc, instance->public_address));
    groups_fill_list(ctx, interface, out, M_SecurityGroups);
    doc_set_list(out, M_NetworkInterfaces);
    if (instance->state == EC2_TERMINATED) {
        return;
    }
    doc_set_z(out, M_SubnetId, instance->subnet);
    doc_set_z(out, M_VpcId, instance->vpc);
    doc_set_z(out, M_PrivateIpAddress, instance->address);
    doc_set_z(out, M_PublicIpAddress, instance->public_address);
    doc_set_bool(out, M_SourceDestCheck, !instance->no_source_check);
    if (interface != NULL) {
        struct doc *item = doc_add_struct(out, M_NetworkInterfaces);

        interface_fill(ctx, interface, item);
        interface_fill_attachment(interface, item);
    }
}

static void fill_constants(const struct ec2_instance *instance, struct doc *out)
{
    const struct instance_type *type = instance_type_find(instance->type);
    int64_t vcpus = type == NULL ? 1 : type->vcpus;
    bool one_thread = strncmp(instance->type, "t2.", 3) == 0 || vcpus == 1;
    struct doc *part;

    doc_set_z(out, M_Architecture, "x86_64");
    doc_set_z(out, M_VirtualizationType, "hvm");
    doc_set_z(out, M_Hypervisor, "xen");
    doc_set_z(out, M_RootDeviceType, "ebs");
    doc_set_bool(out, M_EnaSupport, true);
    doc_set_list(out, M_ProductCodes);
    doc_set_z(out, M_PlatformDetails, "Linux/UNIX");
    doc_set_z(out, M_UsageOperation, "RunInstances");
    part = doc_set_struct(out, M_CpuOptions);
    doc_set_int(part, M_CoreCount, one_thread ? vcpus : vcpus / 2);
    doc_set_int(part, M_ThreadsPerCore, one_thread ? 1 : 2);
    part = doc_set_struct(out, M_CapacityReservationSpecification);
    doc_set_z(part, M_CapacityReservationPreference, "open");
    doc_set_bool(doc_set_struct(out, M_HibernationOptions), M_Configured, false);
    doc_set_bool(doc_set_struct(out, M_EnclaveOptions), M_Enabled, false);
    doc_set_z(doc_set_struct(out, M_MaintenanceOptions), M_AutoRecovery, "default");
    part = doc_set_struct(out, M_PrivateDnsNameOptions);
    doc_set_z(part, M_HostnameType, "ip-name");
    doc_set_bool(part, M_EnableResourceNameDnsARecord, false);
    doc_set_bool(part, M_EnableResourceNameDnsAAAARecord, false);
}

static void fill(struct ctx *ctx, const struct ec2_instance *instance, struct doc *out)
{
    const struct image *image = thing_get(ctx->control, KIND_IMAGE, instance->image);
    struct doc *part;

    doc_set_z(out, M_InstanceId, instance->id);
    doc_set_z(out, M_ImageId, instance->image);
    fill_state(out, M_State, instance->state);
    doc_set_z(out, M_StateTransitionReason,
              instance->transition == NULL ? "" : instance->transition);
    doc_set_z(out, M_KeyName, instance->key);
    doc_set_int(out, M_AmiLaunchIndex, instance->launch_index);
    doc_set_z(out, M_InstanceType, instance->type);
    doc_set_time_ms(out, M_LaunchTime, instance->launched_ms);
    part = doc_set_struct(out, M_Placement);
    doc_set_z(part, M_AvailabilityZone, instance->zone);
    doc_set_z(part, M_AvailabilityZoneId, zone_id(ctx, instance->zone));
    doc_set_z(part, M_GroupName, "");
    doc_set_z(part, M_Tenancy, instance->tenancy == NULL ? "default" : instance->tenancy);
    doc_set_z(doc_set_struct(out, M_Monitoring), M_State,
              instance->monitoring ? "enabled" : "disabled");
    fill_network(ctx, instance, out);
    doc_set_z(out, M_RootDeviceName, image == NULL ? "/dev/xvda" : image->root_device);
    instance_mappings_fill(ctx, instance, out);
    doc_set_z(out, M_ClientToken, instance->client_token);
    doc_set_bool(out, M_EbsOptimized, instance->ebs_optimized);
    if (instance->profile != NULL) {
        part = doc_set_struct(out, M_IamInstanceProfile);
        doc_set_z(part, M_Arn, instance->profile);
        doc_set_z(part, M_Id, instance->profile_id);
    }
    metadata_options_fill(instance, doc_set_struct(out, M_MetadataOptions));
    fill_constants(instance, out);
    if (instance->reason_code != NULL) {
        part = doc_set_struct(out, M_StateReason);
        doc_set_z(part, M_Code, instance->reason_code);
        doc_set_z(part, M_Message, instance->reason_message);
    }
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_INSTANCE, instance->id), out);
}

static struct doc *begin_reservation(struct ctx *ctx, const struct ec2_instance *first,
                                     struct doc *out)
{
    doc_set_z(out, M_ReservationId, first->reservation);
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_z(out, M_RequesterId, first->requester);
    doc_set_list(out, M_Groups);
    return doc_set_list(out, M_Instances);
}

void reservation_fill(struct ctx *ctx, const char *reservation, struct doc *out)
{
    const struct ec2_instance *instance;
    struct doc *list = NULL;

    for (size_t at = 0; (instance = thing_next(ctx->control, KIND_INSTANCE, &at)) != NULL;) {
        if (strcmp(instance->reservation, reservation) == 0) {
            list = list != NULL ? list : begin_reservation(ctx, instance, out);
            fill(ctx, instance, doc_list_add_struct(list));
        }
    }
}

/* Filters. */

FILTER_TEXT(by_id, struct ec2_instance, id)
FILTER_TEXT(by_vpc, struct ec2_instance, vpc)
FILTER_TEXT(by_subnet, struct ec2_instance, subnet)
FILTER_TEXT(by_image, struct ec2_instance, image)
FILTER_TEXT(by_type, struct ec2_instance, type)
FILTER_TEXT(by_address, struct ec2_instance, address)
FILTER_TEXT(by_public, struct ec2_instance, public_address)
FILTER_TEXT(by_zone, struct ec2_instance, zone)
FILTER_TEXT(by_key, struct ec2_instance, key)
FILTER_TEXT(by_reservation, struct ec2_instance, reservation)
FILTER_TEXT(by_token, struct ec2_instance, client_token)
FILTER_TEXT(by_profile, struct ec2_instance, profile)
FILTER_TEXT(by_profile_id, struct ec2_instance, profile_id)
FILTER_TEXT(by_interface, struct ec2_instance, interface)
FILTER_TEXT(by_mac, struct ec2_instance, mac)
FILTER_TEXT(by_requester, struct ec2_instance, requester)
FILTER_TEXT(by_reason, struct ec2_instance, transition)
FILTER_TEXT(by_reason_code, struct ec2_instance, reason_code)
FILTER_IS(by_architecture, "x86_64")
FILTER_IS(by_root_type, "ebs")
FILTER_IS(by_virtualization, "hvm")
FILTER_IS(by_hypervisor, "xen")
FILTER_OWNER(by_owner)

static void by_state(struct ctx *ctx, const void *instance, struct match *match)
{
    (void)ctx;
    match_z(match, ec2_state_name(((const struct ec2_instance *)instance)->state));
}

static void by_code(struct ctx *ctx, const void *instance, struct match *match)
{
    (void)ctx;
    match_int(match, state_code(((const struct ec2_instance *)instance)->state));
}

static void by_monitoring(struct ctx *ctx, const void *instance, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct ec2_instance *)instance)->monitoring ? "enabled" : "disabled");
}

static void by_tenancy(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_instance *instance = thing;

    (void)ctx;
    match_z(match, instance->tenancy == NULL ? "default" : instance->tenancy);
}

static void by_launched(struct ctx *ctx, const void *instance, struct match *match)
{
    char when[TIME_TEXT_BYTES];

    (void)ctx;
    time_format_ms(((const struct ec2_instance *)instance)->launched_ms, when);
    match_z(match, when);
}

static void by_root_name(struct ctx *ctx, const void *instance, struct match *match)
{
    const struct image *image =
        thing_get(ctx->control, KIND_IMAGE, ((const struct ec2_instance *)instance)->image);

    match_z(match, image == NULL ? "/dev/xvda" : image->root_device);
}

static void by_private_dns(struct ctx *ctx, const void *instance, struct match *match)
{
    match_z(match, private_dns(ctx, ((const struct ec2_instance *)instance)->address));
}

static void by_public_dns(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_instance *instance = thing;

    match_z(match, public_dns(ctx, instance->vpc, instance->public_address));
}

static void by_group(struct ctx *ctx, const void *instance, struct match *match)
{
    const struct ec2_interface *interface = instance_interface(ctx->control, instance);

    for (size_t i = 0; interface != NULL && i < interface->groups_count; i++) {
        match_z(match, interface->groups[i]);
    }
}

static void by_group_name(struct ctx *ctx, const void *instance, struct match *match)
{
    const struct ec2_interface *interface = instance_interface(ctx->control, instance);

    for (size_t i = 0; interface != NULL && i < interface->groups_count; i++) {
        const struct group *group = thing_get(ctx->control, KIND_GROUP, interface->groups[i]);

        match_z(match, group == NULL ? NULL : group->name);
    }
}

static void by_volume(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_instance *instance = thing;
    const struct volume *volume;

    for (size_t i = 0; (volume = volume_of(ctx->control, instance->id, i)) != NULL; i++) {
        match_z(match, volume->id);
    }
}

static void by_tokens(struct ctx *ctx, const void *instance, struct match *match)
{
    (void)ctx;
    match_z(match,
            ((const struct ec2_instance *)instance)->imds_token_required ? "required" : "optional");
}

static const struct filter filters[] = {
    {"architecture", by_architecture},
    {"availability-zone", by_zone},
    {"block-device-mapping.volume-id", by_volume},
    {"client-token", by_token},
    {"dns-name", by_public_dns},
    {"group-id", by_group},
    {"group-name", by_group_name},
    {"hypervisor", by_hypervisor},
    {"iam-instance-profile.arn", by_profile},
    {"iam-instance-profile.id", by_profile_id},
    {"image-id", by_image},
    {"instance-id", by_id},
    {"instance-state-code", by_code},
    {"instance-state-name", by_state},
    {"instance-type", by_type},
    {"instance.group-id", by_group},
    {"instance.group-name", by_group_name},
    {"ip-address", by_public},
    {"key-name", by_key},
    {"launch-time", by_launched},
    {"metadata-options.http-tokens", by_tokens},
    {"monitoring-state", by_monitoring},
    {"network-interface.addresses.private-ip-address", by_address},
    {"network-interface.association.public-ip", by_public},
    {"network-interface.availability-zone", by_zone},
    {"network-interface.group-id", by_group},
    {"network-interface.group-name", by_group_name},
    {"network-interface.mac-address", by_mac},
    {"network-interface.network-interface-id", by_interface},
    {"network-interface.private-ip-address", by_address},
    {"network-interface.subnet-id", by_subnet},
    {"network-interface.vpc-id", by_vpc},
    {"owner-id", by_owner},
    {"private-dns-name", by_private_dns},
    {"private-ip-address", by_address},
    {"reason", by_reason},
    {"requester-id", by_requester},
    {"reservation-id", by_reservation},
    {"root-device-name", by_root_name},
    {"root-device-type", by_root_type},
    {"state-reason-code", by_reason_code},
    {"subnet-id", by_subnet},
    {"tenancy", by_tenancy},
    {"virtualization-type", by_virtualization},
    {"vpc-id", by_vpc},
};

/* The listing gives instances one by one; they are put into reservations below. */
static void fill_into_reservation(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct ec2_instance *instance = thing;

    fill(ctx, instance, doc_list_add_struct(begin_reservation(ctx, instance, out)));
}

/* Instances of one launch share a reservation, wherever they stand in the list. */
static void unite_reservations(struct ctx *ctx, struct doc *out)
{
    const struct doc *single = doc_get(out, M_Reservations);
    struct map seen = {0};
    struct doc *united = doc_new(ctx->arena, DOC_LIST);

    for (size_t i = 0; i < doc_length(single); i++) {
        struct doc *item = single->u.list.elements[i];
        struct doc *first = map_get(&seen, doc_text(item, M_ReservationId));

        if (first == NULL) {
            map_put(&seen, doc_text(item, M_ReservationId), item);
            doc_list_add(united, item);
        } else {
            doc_list_add(doc_set_list(first, M_Instances),
                         doc_set_list(item, M_Instances)->u.list.elements[0]);
        }
    }
    map_close(&seen);
    doc_set(out, M_Reservations, united);
}

int ec2_describe_instances(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    static const struct listing listing = {.kind = KIND_INSTANCE,
                                           .action = "DescribeInstances",
                                           .list = M_Reservations,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill_into_reservation};
    int rc;

    if (doc_has(in, M_MaxResults) && doc_count(in, M_InstanceIds) > 0) {
        return error_api(err, "InvalidParameterCombination",
                         "The parameter instancesSet cannot be used with the parameter maxResults");
    }
    rc = list_things(ctx, in, out, &listing, err);
    if (rc == 0) {
        unite_reservations(ctx, out);
    }
    return rc;
}

/* DescribeInstanceStatus. */

static void fill_summary(struct doc *out, int member, const char *status, const char *detail)
{
    struct doc *summary = doc_set_struct(out, member);
    struct doc *item = doc_add_struct(summary, M_Details);

    doc_set_z(summary, M_Status, status);
    doc_set_z(item, M_Name, "reachability");
    doc_set_z(item, M_Status, detail);
}

static void fill_status(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct ec2_instance *instance = thing;
    bool running = instance->state == EC2_RUNNING;
    bool healthy = ec2_instance_healthy(ctx->control, instance);
    const char *status = !running ? "not-applicable" : healthy ? "ok" : "initializing";
    const char *detail = !running ? "insufficient-data" : healthy ? "passed" : "initializing";

    doc_set_z(out, M_InstanceId, instance->id);
    doc_set_z(out, M_AvailabilityZone, instance->zone);
    doc_set_z(out, M_AvailabilityZoneId, zone_id(ctx, instance->zone));
    doc_set_list(out, M_Events);
    fill_state(out, M_InstanceState, instance->state);
    if (running) {
        fill_summary(out, M_InstanceStatus, status, detail);
        fill_summary(out, M_SystemStatus, status, detail);
        fill_summary(out, M_AttachedEbsStatus, status, detail);
    } else {
        doc_set_z(doc_set_struct(out, M_InstanceStatus), M_Status, status);
        doc_set_z(doc_set_struct(out, M_SystemStatus), M_Status, status);
    }
}

static void by_status(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_instance *instance = thing;

    match_z(match, instance->state != EC2_RUNNING                 ? "not-applicable"
                   : ec2_instance_healthy(ctx->control, instance) ? "ok"
                                                                  : "initializing");
}

static void by_reachability(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_instance *instance = thing;

    match_z(match, ec2_instance_healthy(ctx->control, instance) ? "passed" : "initializing");
}

static const struct filter status_filters[] = {
    {"availability-zone", by_zone},        {"instance-state-code", by_code},
    {"instance-state-name", by_state},     {"instance-status.reachability", by_reachability},
    {"instance-status.status", by_status}, {"system-status.reachability", by_reachability},
    {"system-status.status", by_status},
};

static bool admits_status(struct ctx *ctx, const struct doc *in, const void *thing)
{
    (void)ctx;
    return doc_bool(in, M_IncludeAllInstances) ||
           ((const struct ec2_instance *)thing)->state == EC2_RUNNING;
}

int ec2_describe_instance_status(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    static const struct listing listing = {.kind = KIND_INSTANCE,
                                           .action = "DescribeInstanceStatus",
                                           .list = M_InstanceStatuses,
                                           .filters = status_filters,
                                           .filters_count = COUNT_OF(status_filters),
                                           .fill = fill_status,
                                           .admits = admits_status};

    return list_things(ctx, in, out, &listing, err);
}

static void fill_credits(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct ec2_instance *instance = thing;

    (void)ctx;
    doc_set_z(out, M_InstanceId, instance->id);
    doc_set_z(out, M_CpuCredits, instance->cpu_credits);
}

static bool admits_credits(struct ctx *ctx, const struct doc *in, const void *thing)
{
    const struct ec2_instance *instance = thing;

    (void)ctx;
    (void)in;
    return instance->cpu_credits != NULL && instance->state != EC2_TERMINATED;
}

int ec2_describe_instance_credit_specifications(struct ctx *ctx, const struct doc *in,
                                                struct doc *out, struct error *err)
{
    static const struct filter credit_filters[] = {{"instance-id", by_id}};
    static const struct listing listing = {.kind = KIND_INSTANCE,
                                           .action = "DescribeInstanceCreditSpecifications",
                                           .list = M_InstanceCreditSpecifications,
                                           .filters = credit_filters,
                                           .filters_count = COUNT_OF(credit_filters),
                                           .fill = fill_credits,
                                           .admits = admits_credits};

    return list_things(ctx, in, out, &listing, err);
}
