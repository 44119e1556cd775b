/* VPCs, and what every new one and every new account has by itself.
 * https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html */
#include "network/address.h"
#include "services/ec2/private.h"

#include "aws/id.h"

#include <string.h>

/* One set of DHCP options, which nobody can change; the id is made from nothing random, so that it
 * needs no record. */
#define DHCP_OPTIONS "dopt-0d0000000000000d0"

const struct ec2_vpc *ec2_vpc_find(const struct control *control, const char *id)
{
    return thing_get(control, KIND_VPC, id);
}

const struct ec2_vpc *ec2_vpc_default(const struct control *control)
{
    const struct ec2_vpc *vpc;

    for (size_t at = 0; (vpc = thing_next(control, KIND_VPC, &at)) != NULL;) {
        if (vpc->is_default) {
            return vpc;
        }
    }
    return NULL;
}

struct ec2_vpc *vpc_make(struct ctx *ctx, const char *cidr, bool is_default)
{
    struct ec2_vpc *vpc = thing_new(ctx, KIND_VPC, NULL);
    char association[ID_BYTES];
    struct group *group;

    id_new(association, "vpc-cidr-assoc-");
    vpc->cidr = mem_strdup(cidr);
    vpc->is_default = is_default;
    vpc->dns_support = true;
    vpc->dns_hostnames = is_default;
    vpc->tenancy = mem_strdup("default");
    vpc->association = mem_strdup(association);
    vpc->created_ms = ctx->now_ms;
    thing_put(ctx, KIND_VPC, vpc);
    route_table_make(ctx, vpc->id, cidr, true);
    group = ec2_group_make(ctx, "default", "default VPC security group", vpc->id);
    group->rules = mem_realloc(group->rules, 2, sizeof(*group->rules));
    group->rules[1] = (struct rule){
        .protocol = mem_strdup("-1"), .from = -1, .to = -1, .group = mem_strdup(group->id)};
    id_new(association, "sgr-");
    group->rules[1].id = mem_strdup(association);
    group->rules_count = 2;
    thing_put(ctx, KIND_GROUP, group);
    act_vpc(ctx, vpc->id);
    return vpc;
}

void vpc_make_default(struct ctx *ctx)
{
    struct ec2_vpc *vpc = vpc_make(ctx, "172.31.0.0/16", true);
    struct gateway *gateway = thing_new(ctx, KIND_GATEWAY, NULL);
    struct route_table *main = route_table_main(ctx->control, vpc->id);
    char zone[32];

    gateway->vpc = mem_strdup(vpc->id);
    thing_put(ctx, KIND_GATEWAY, gateway);
    route_add(main, "0.0.0.0/0", gateway->id);
    thing_put(ctx, KIND_ROUTE_TABLE, main);
    for (size_t i = 0; ec2_zone_name(ctx->control, i, zone) != NULL; i++) {
        struct slice cidr = arena_printf(ctx->arena, "172.31.%d.0/20", (int)i * 16);
        struct ec2_subnet *subnet = subnet_make(ctx, vpc->id, cidr.data, zone);

        subnet->default_for_zone = true;
        subnet->map_public = true;
        thing_put(ctx, KIND_SUBNET, subnet);
    }
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct ec2_vpc *vpc = thing;
    struct doc *association;

    doc_set_z(out, M_VpcId, vpc->id);
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_z(out, M_State, "available");
    doc_set_z(out, M_CidrBlock, vpc->cidr);
    doc_set_z(out, M_DhcpOptionsId, DHCP_OPTIONS);
    doc_set_z(out, M_InstanceTenancy, vpc->tenancy);
    doc_set_bool(out, M_IsDefault, vpc->is_default);
    doc_set_list(out, M_Ipv6CidrBlockAssociationSet);
    association = doc_add_struct(out, M_CidrBlockAssociationSet);
    doc_set_z(association, M_AssociationId, vpc->association);
    doc_set_z(association, M_CidrBlock, vpc->cidr);
    doc_set_z(doc_set_struct(association, M_CidrBlockState), M_State, "associated");
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_VPC, vpc->id), out);
}

int ec2_create_vpc(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *text = doc_z(in, M_CidrBlock);
    const char *tenancy = doc_z(in, M_InstanceTenancy);
    char normal[ADDRESS_TEXT_BYTES];
    struct network cidr;
    struct ec2_vpc *vpc;
    int rc = tag_specs_check(in, "vpc", err);

    if (rc != 0) {
        return rc;
    }
    if (text == NULL) {
        return error_api(err, "MissingParameter",
                         "The request must contain the parameter cidrBlock");
    }
    if (network_parse(slice_z(text), &cidr, err) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%s) for parameter cidrBlock is invalid. This is not a valid CIDR "
                         "block.",
                         text);
    }
    if (cidr.bits < 16 || cidr.bits > 28) {
        return error_api(err, "InvalidVpc.Range", "The CIDR '%s' is invalid.", text);
    }
    if (doc_bool(in, M_AmazonProvidedIpv6CidrBlock) || doc_has(in, M_Ipv6CidrBlock)) {
        return error_api(err, "UnsupportedOperation", "muster's networks have no IPv6.");
    }
    DRY_RUN(in, err)
    if (quota_check(ctx->control, KIND_VPC, NULL, 1, err) != 0) {
        return ERR_API;
    }
    network_text(network_base(cidr), normal);
    vpc = vpc_make(ctx, normal, false);
    if (tenancy != NULL) {
        text_replace(&vpc->tenancy, tenancy);
        thing_put(ctx, KIND_VPC, vpc);
    }
    tag_specs_apply(ctx, in, "vpc", KIND_VPC, vpc->id);
    out = doc_set_struct(out, M_Vpc);
    fill(ctx, vpc, out);
    doc_set_z(out, M_State, "pending");
    return 0;
}

FILTER_TEXT(by_id, struct ec2_vpc, id)
FILTER_TEXT(by_cidr, struct ec2_vpc, cidr)
FILTER_TEXT(by_association, struct ec2_vpc, association)
FILTER_BOOL(by_default, struct ec2_vpc, is_default)
FILTER_IS(by_state, "available")
FILTER_IS(by_cidr_state, "associated")
FILTER_IS(by_dhcp, DHCP_OPTIONS)
FILTER_OWNER(by_owner)

static const struct filter filters[] = {
    {"vpc-id", by_id},
    {"cidr", by_cidr},
    {"cidr-block", by_cidr},
    {"cidr-block-association.cidr-block", by_cidr},
    {"cidr-block-association.association-id", by_association},
    {"cidr-block-association.state", by_cidr_state},
    {"dhcp-options-id", by_dhcp},
    {"is-default", by_default},
    {"isDefault", by_default},
    {"owner-id", by_owner},
    {"state", by_state},
};

int ec2_describe_vpcs(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    static const struct listing listing = {.kind = KIND_VPC,
                                           .action = "DescribeVpcs",
                                           .list = M_Vpcs,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill};

    return list_things(ctx, in, out, &listing, err);
}

/* Whatever a user made in it must go first. */
static bool has_dependencies(const struct control *control, const char *id)
{
    const struct ec2_subnet *subnet;
    const struct gateway *gateway;
    const struct route_table *table;
    const struct group *group;
    const struct ec2_interface *interface;

    for (size_t at = 0; (subnet = thing_next(control, KIND_SUBNET, &at)) != NULL;) {
        if (strcmp(subnet->vpc, id) == 0) {
            return true;
        }
    }
    for (size_t at = 0; (gateway = thing_next(control, KIND_GATEWAY, &at)) != NULL;) {
        if (gateway->vpc != NULL && strcmp(gateway->vpc, id) == 0) {
            return true;
        }
    }
    for (size_t at = 0; (table = thing_next(control, KIND_ROUTE_TABLE, &at)) != NULL;) {
        if (strcmp(table->vpc, id) == 0 && table != route_table_main(control, id)) {
            return true;
        }
    }
    for (size_t at = 0; (group = thing_next(control, KIND_GROUP, &at)) != NULL;) {
        if (strcmp(group->vpc, id) == 0 && strcmp(group->name, "default") != 0) {
            return true;
        }
    }
    for (size_t at = 0; (interface = thing_next(control, KIND_INTERFACE, &at)) != NULL;) {
        if (strcmp(interface->vpc, id) == 0) {
            return true;
        }
    }
    return false;
}

int ec2_delete_vpc(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    void *vpc;
    const char *id;
    struct route_table *main;
    struct group *group;
    int rc = thing_need(ctx, KIND_VPC, doc_z(in, M_VpcId), &vpc, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    id = arena_strdup(ctx->arena, doc_text(in, M_VpcId));
    if (has_dependencies(ctx->control, id)) {
        return error_api(err, "DependencyViolation",
                         "The vpc '%s' has dependencies and cannot be deleted.", id);
    }
    DRY_RUN(in, err)
    main = route_table_main(ctx->control, id);
    if (main != NULL) {
        thing_drop(ctx, KIND_ROUTE_TABLE, main);
    }
    group = ec2_group_named(ctx->control, id, "default");
    if (group != NULL) {
        thing_drop(ctx, KIND_GROUP, group);
    }
    thing_drop(ctx, KIND_VPC, vpc);
    act_vpc(ctx, id);
    return 0;
}

int ec2_modify_vpc_attribute(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    static const int members[] = {M_EnableDnsSupport, M_EnableDnsHostnames,
                                  M_EnableNetworkAddressUsageMetrics};
    struct ec2_vpc *vpc;
    int rc = thing_need(ctx, KIND_VPC, doc_z(in, M_VpcId), (void **)&vpc, err);
    size_t given = 0;

    (void)out;
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        given += doc_has(in, members[i]);
    }
    if (given != 1) {
        return error_api(err, given == 0 ? "MissingParameter" : "InvalidParameterCombination",
                         given == 0 ? "The request must contain the parameter attribute"
                                    : "Only one attribute can be modified at a time");
    }
    if (doc_has(in, M_EnableDnsSupport)) {
        vpc->dns_support = doc_bool(doc_get(in, M_EnableDnsSupport), M_Value);
    } else if (doc_has(in, M_EnableDnsHostnames)) {
        vpc->dns_hostnames = doc_bool(doc_get(in, M_EnableDnsHostnames), M_Value);
    } else {
        vpc->usage_metrics = doc_bool(doc_get(in, M_EnableNetworkAddressUsageMetrics), M_Value);
    }
    thing_put(ctx, KIND_VPC, vpc);
    return 0;
}

int ec2_describe_vpc_attribute(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct slice attribute = doc_text(in, M_Attribute);
    struct ec2_vpc *vpc;
    int rc = thing_need(ctx, KIND_VPC, doc_z(in, M_VpcId), (void **)&vpc, err);

    if (rc != 0) {
        return rc;
    }
    doc_set_z(out, M_VpcId, vpc->id);
    if (slice_equal_z(attribute, "enableDnsSupport")) {
        doc_set_bool(doc_set_struct(out, M_EnableDnsSupport), M_Value, vpc->dns_support);
    } else if (slice_equal_z(attribute, "enableDnsHostnames")) {
        doc_set_bool(doc_set_struct(out, M_EnableDnsHostnames), M_Value, vpc->dns_hostnames);
    } else {
        doc_set_bool(doc_set_struct(out, M_EnableNetworkAddressUsageMetrics), M_Value,
                     vpc->usage_metrics);
    }
    return 0;
}

/* None can be made here, but Terraform asks before it deletes a subnet. */
int ec2_describe_vpc_endpoints(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    (void)ctx;
    if (doc_count(in, M_VpcEndpointIds) > 0) {
        return error_api(err, "InvalidVpcEndpointId.NotFound",
                         "The Vpc Endpoint Id '%s' does not exist",
                         doc_z_at(in, M_VpcEndpointIds, 0));
    }
    doc_set_list(out, M_VpcEndpoints);
    return 0;
}

/* Network ACLs: each VPC has the default one, which allows everything, and no others. */

static const char *acl_id(struct ctx *ctx, const struct ec2_vpc *vpc)
{
    return arena_printf(ctx->arena, "acl-%s", vpc->id + strlen("vpc-")).data;
}

static void by_acl(struct ctx *ctx, const void *vpc, struct match *match)
{
    match_z(match, acl_id(ctx, vpc));
}

static void by_acl_subnet(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_vpc *vpc = thing;
    const struct ec2_subnet *subnet;

    for (size_t at = 0; (subnet = thing_next(ctx->control, KIND_SUBNET, &at)) != NULL;) {
        if (strcmp(subnet->vpc, vpc->id) == 0) {
            match_z(match, subnet->id);
        }
    }
}

FILTER_IS(by_acl_default, "true")

static const struct filter acl_filters[] = {
    {"vpc-id", by_id},
    {"network-acl-id", by_acl},
    {"association.network-acl-id", by_acl},
    {"association.subnet-id", by_acl_subnet},
    {"default", by_acl_default},
    {"owner-id", by_owner},
};

static void add_entry(struct doc *acl, int64_t number, const char *action, bool egress)
{
    struct doc *entry = doc_add_struct(acl, M_Entries);

    doc_set_z(entry, M_CidrBlock, "0.0.0.0/0");
    doc_set_bool(entry, M_Egress, egress);
    doc_set_z(entry, M_Protocol, "-1");
    doc_set_z(entry, M_RuleAction, action);
    doc_set_int(entry, M_RuleNumber, number);
}

static void fill_acl(struct ctx *ctx, const struct ec2_vpc *vpc, struct doc *out)
{
    const struct ec2_subnet *subnet;

    doc_set_z(out, M_NetworkAclId, acl_id(ctx, vpc));
    doc_set_z(out, M_VpcId, vpc->id);
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_bool(out, M_IsDefault, true);
    for (int egress = 1; egress >= 0; egress--) {
        add_entry(out, 100, "allow", egress != 0);
        add_entry(out, 32767, "deny", egress != 0);
    }
    doc_set_list(out, M_Associations);
    for (size_t at = 0; (subnet = thing_next(ctx->control, KIND_SUBNET, &at)) != NULL;) {
        if (strcmp(subnet->vpc, vpc->id) == 0) {
            struct doc *association = doc_add_struct(out, M_Associations);

            doc_set_format(association, M_NetworkAclAssociationId, "aclassoc-%s",
                           subnet->id + strlen("subnet-"));
            doc_set_z(association, M_NetworkAclId, acl_id(ctx, vpc));
            doc_set_z(association, M_SubnetId, subnet->id);
        }
    }
    doc_set_list(out, M_Tags);
}

int ec2_describe_network_acls(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    const struct ec2_vpc *vpc;
    struct page page;
    int rc = filters_check(in, acl_filters, COUNT_OF(acl_filters), err);

    rc = rc != 0 ? rc : list_page_begin(ctx, in, "DescribeNetworkAcls", 5, 1000, &page, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_NetworkAcls);
    for (size_t at = 0; (vpc = thing_next(ctx->control, KIND_VPC, &at)) != NULL;) {
        if ((doc_count(in, M_NetworkAclIds) == 0 ||
             doc_list_contains(in, M_NetworkAclIds, slice_z(acl_id(ctx, vpc)))) &&
            filters_hold(ctx, in, acl_filters, COUNT_OF(acl_filters), "", vpc) &&
            list_page_take(&page, acl_id(ctx, vpc))) {
            fill_acl(ctx, vpc, doc_add_struct(out, M_NetworkAcls));
        }
    }
    if (doc_count(in, M_NetworkAclIds) > doc_count(out, M_NetworkAcls) &&
        doc_count(in, M_Filters) == 0) {
        return error_api(err, "InvalidNetworkAclID.NotFound",
                         "The networkAcl ID '%s' does not exist", doc_z_at(in, M_NetworkAclIds, 0));
    }
    list_page_end(ctx, &page, "DescribeNetworkAcls", out);
    return 0;
}
