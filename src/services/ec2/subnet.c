/* Subnets.
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html */
#include "network/address.h"
#include "services/ec2/private.h"

#include <string.h>

const struct ec2_subnet *ec2_subnet_find(const struct control *control, const char *id)
{
    return thing_get(control, KIND_SUBNET, id);
}

const struct ec2_subnet *ec2_subnet_default(const struct control *control, const char *zone)
{
    const struct ec2_subnet *subnet;

    for (size_t at = 0; (subnet = thing_next(control, KIND_SUBNET, &at)) != NULL;) {
        if (subnet->default_for_zone && (zone == NULL || strcmp(zone, subnet->zone) == 0)) {
            return subnet;
        }
    }
    return NULL;
}

struct ec2_subnet *subnet_make(struct ctx *ctx, const char *vpc, const char *cidr, const char *zone)
{
    struct ec2_subnet *subnet = thing_new(ctx, KIND_SUBNET, NULL);

    subnet->vpc = mem_strdup(vpc);
    subnet->cidr = mem_strdup(cidr);
    subnet->zone = mem_strdup(zone);
    subnet->hostname_type = mem_strdup("ip-name");
    subnet->created_ms = ctx->now_ms;
    thing_put(ctx, KIND_SUBNET, subnet);
    act_vpc(ctx, vpc);
    return subnet;
}

static int64_t used_count(const struct control *control, const struct ec2_subnet *subnet)
{
    const struct ec2_interface *interface;
    int64_t used = 0;

    for (size_t at = 0; (interface = thing_next(control, KIND_INTERFACE, &at)) != NULL;) {
        used += strcmp(interface->subnet, subnet->id) == 0;
    }
    return used;
}

int64_t subnet_free_count(const struct control *control, const struct ec2_subnet *subnet)
{
    struct network cidr = {0};

    ASSERT(network_parse(slice_z(subnet->cidr), &cidr, NULL) == 0);
    return subnet_usable(cidr) - used_count(control, subnet);
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct ec2_subnet *subnet = thing;
    struct doc *options;

    doc_set_z(out, M_SubnetId, subnet->id);
    doc_set_z(out, M_SubnetArn, thing_arn(ctx, KIND_SUBNET, subnet->id));
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_z(out, M_State, "available");
    doc_set_z(out, M_VpcId, subnet->vpc);
    doc_set_z(out, M_CidrBlock, subnet->cidr);
    doc_set_z(out, M_AvailabilityZone, subnet->zone);
    doc_set_z(out, M_AvailabilityZoneId, zone_id(ctx, subnet->zone));
    doc_set_int(out, M_AvailableIpAddressCount, subnet_free_count(ctx->control, subnet));
    doc_set_bool(out, M_DefaultForAz, subnet->default_for_zone);
    doc_set_bool(out, M_MapPublicIpOnLaunch, subnet->map_public);
    doc_set_bool(out, M_MapCustomerOwnedIpOnLaunch, false);
    doc_set_bool(out, M_AssignIpv6AddressOnCreation, subnet->assign_ipv6);
    doc_set_bool(out, M_EnableDns64, subnet->dns64);
    doc_set_bool(out, M_Ipv6Native, false);
    doc_set_list(out, M_Ipv6CidrBlockAssociationSet);
    options = doc_set_struct(out, M_PrivateDnsNameOptionsOnLaunch);
    doc_set_z(options, M_HostnameType, subnet->hostname_type);
    doc_set_bool(options, M_EnableResourceNameDnsARecord, subnet->dns_a_record);
    doc_set_bool(options, M_EnableResourceNameDnsAAAARecord, subnet->dns_aaaa_record);
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_SUBNET, subnet->id), out);
}

/* The least used zone, as AWS seems to choose; ours in order. */
static const char *zone_of(struct ctx *ctx, const struct doc *in)
{
    char zone[32];

    if (doc_has(in, M_AvailabilityZone)) {
        return doc_z(in, M_AvailabilityZone);
    }
    for (size_t i = 0; ec2_zone_name(ctx->control, i, zone) != NULL; i++) {
        const char *wanted = doc_z(in, M_AvailabilityZoneId);

        if (wanted == NULL || strcmp(wanted, zone_id(ctx, zone)) == 0) {
            return arena_strdup(ctx->arena, slice_z(zone));
        }
    }
    return doc_z(in, M_AvailabilityZoneId);
}

static int check_range(struct ctx *ctx, const struct ec2_vpc *vpc, const char *text,
                       struct network *cidr, struct error *err)
{
    const struct ec2_subnet *other;
    struct network outer = {0}, taken = {0};

    if (text == NULL) {
        return error_api(err, "MissingParameter",
                         "Either 'cidrBlock' or 'ipv6CidrBlock' should be provided.");
    }
    if (network_parse(slice_z(text), cidr, err) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%s) for parameter cidrBlock is invalid. This is not a valid CIDR "
                         "block.",
                         text);
    }
    ASSERT(network_parse(slice_z(vpc->cidr), &outer, NULL) == 0);
    if (cidr->bits < 16 || cidr->bits > 28 || !network_covers(outer, *cidr)) {
        return error_api(err, "InvalidSubnet.Range", "The CIDR '%s' is invalid.", text);
    }
    for (size_t at = 0; (other = thing_next(ctx->control, KIND_SUBNET, &at)) != NULL;) {
        if (strcmp(other->vpc, vpc->id) == 0 &&
            network_parse(slice_z(other->cidr), &taken, NULL) == 0 &&
            network_overlap(taken, *cidr)) {
            return error_api(err, "InvalidSubnet.Conflict",
                             "The CIDR '%s' conflicts with another subnet", text);
        }
    }
    return 0;
}

int ec2_create_subnet(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *zone = zone_of(ctx, in);
    char normal[ADDRESS_TEXT_BYTES];
    struct network cidr = {0};
    struct ec2_vpc *vpc;
    struct ec2_subnet *subnet;
    int rc = tag_specs_check(in, "subnet", err);

    rc = rc != 0 ? rc : thing_need(ctx, KIND_VPC, doc_z(in, M_VpcId), (void **)&vpc, err);
    rc = rc != 0 ? rc : check_range(ctx, vpc, doc_z(in, M_CidrBlock), &cidr, err);
    if (rc != 0) {
        return rc;
    }
    if (!zone_exists(ctx->control, zone)) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%s) for parameter availabilityZone is invalid. Subnets can "
                         "currently only be created in the following availability zones: %sa, %sb, "
                         "%sc.",
                         zone, ctx->control->options.region, ctx->control->options.region,
                         ctx->control->options.region);
    }
    DRY_RUN(in, err)
    if (quota_check(ctx->control, KIND_SUBNET, vpc->id, 1, err) != 0) {
        return ERR_API;
    }
    network_text(network_base(cidr), normal);
    subnet = subnet_make(ctx, vpc->id, normal, zone);
    tag_specs_apply(ctx, in, "subnet", KIND_SUBNET, subnet->id);
    fill(ctx, subnet, doc_set_struct(out, M_Subnet));
    return 0;
}

FILTER_TEXT(by_id, struct ec2_subnet, id)
FILTER_TEXT(by_vpc, struct ec2_subnet, vpc)
FILTER_TEXT(by_zone, struct ec2_subnet, zone)
FILTER_TEXT(by_cidr, struct ec2_subnet, cidr)
FILTER_BOOL(by_default, struct ec2_subnet, default_for_zone)
FILTER_BOOL(by_map, struct ec2_subnet, map_public)
FILTER_IS(by_state, "available")
FILTER_OWNER(by_owner)

static void by_zone_id(struct ctx *ctx, const void *subnet, struct match *match)
{
    match_z(match, zone_id(ctx, ((const struct ec2_subnet *)subnet)->zone));
}

static void by_free(struct ctx *ctx, const void *subnet, struct match *match)
{
    match_int(match, subnet_free_count(ctx->control, subnet));
}

static void by_arn(struct ctx *ctx, const void *subnet, struct match *match)
{
    match_z(match, thing_arn(ctx, KIND_SUBNET, ((const struct ec2_subnet *)subnet)->id));
}

static const struct filter filters[] = {
    {"subnet-id", by_id},
    {"subnet-arn", by_arn},
    {"vpc-id", by_vpc},
    {"availability-zone", by_zone},
    {"availabilityZone", by_zone},
    {"availability-zone-id", by_zone_id},
    {"availabilityZoneId", by_zone_id},
    {"available-ip-address-count", by_free},
    {"cidr-block", by_cidr},
    {"cidr", by_cidr},
    {"cidrBlock", by_cidr},
    {"default-for-az", by_default},
    {"defaultForAz", by_default},
    {"map-public-ip-on-launch", by_map},
    {"owner-id", by_owner},
    {"state", by_state},
};

int ec2_describe_subnets(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    static const struct listing listing = {.kind = KIND_SUBNET,
                                           .action = "DescribeSubnets",
                                           .list = M_Subnets,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill};

    return list_things(ctx, in, out, &listing, err);
}

/* Its association with a route table goes with it. */
static void disassociate(struct ctx *ctx, const struct ec2_subnet *subnet)
{
    struct route_table *table;

    for (size_t at = 0; (table = thing_next(ctx->control, KIND_ROUTE_TABLE, &at)) != NULL;) {
        for (size_t i = 0; i < table->associations_count; i++) {
            if (table->associations[i].subnet != NULL &&
                strcmp(table->associations[i].subnet, subnet->id) == 0) {
                association_remove(table, i);
                thing_put(ctx, KIND_ROUTE_TABLE, table);
                return;
            }
        }
    }
}

int ec2_delete_subnet(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct ec2_subnet *subnet;
    const char *vpc;
    int rc = thing_need(ctx, KIND_SUBNET, doc_z(in, M_SubnetId), (void **)&subnet, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (used_count(ctx->control, subnet) > 0) {
        return error_api(err, "DependencyViolation",
                         "The subnet '%s' has dependencies and cannot be deleted.", subnet->id);
    }
    DRY_RUN(in, err)
    vpc = arena_strdup(ctx->arena, slice_z(subnet->vpc));
    disassociate(ctx, subnet);
    thing_drop(ctx, KIND_SUBNET, subnet);
    act_vpc(ctx, vpc);
    return 0;
}

int ec2_modify_subnet_attribute(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct ec2_subnet *subnet;
    int rc = thing_need(ctx, KIND_SUBNET, doc_z(in, M_SubnetId), (void **)&subnet, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (doc_length(in) != 2) {
        return error_api(err, "InvalidParameterCombination",
                         "Exactly one attribute must be modified at a time");
    }
    if (doc_has(in, M_MapPublicIpOnLaunch)) {
        subnet->map_public = doc_bool(doc_get(in, M_MapPublicIpOnLaunch), M_Value);
    } else if (doc_has(in, M_PrivateDnsHostnameTypeOnLaunch)) {
        text_replace(&subnet->hostname_type, doc_z(in, M_PrivateDnsHostnameTypeOnLaunch));
    } else if (doc_has(in, M_EnableResourceNameDnsARecordOnLaunch)) {
        subnet->dns_a_record =
            doc_bool(doc_get(in, M_EnableResourceNameDnsARecordOnLaunch), M_Value);
    } else if (doc_has(in, M_EnableResourceNameDnsAAAARecordOnLaunch)) {
        subnet->dns_aaaa_record =
            doc_bool(doc_get(in, M_EnableResourceNameDnsAAAARecordOnLaunch), M_Value);
    } else {
        return error_api(err, "UnsupportedOperation",
                         "muster's subnets have neither IPv6 nor customer-owned addresses.");
    }
    thing_put(ctx, KIND_SUBNET, subnet);
    return 0;
}
