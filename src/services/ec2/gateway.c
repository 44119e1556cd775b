/* Internet gateways. With a route to one, a subnet's instances reach the outside. */
#include "services/ec2/private.h"

#include <string.h>

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct gateway *gateway = thing;

    doc_set_z(out, M_InternetGatewayId, gateway->id);
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_list(out, M_Attachments);
    if (gateway->vpc != NULL) {
        struct doc *attachment = doc_add_struct(out, M_Attachments);

        doc_set_z(attachment, M_VpcId, gateway->vpc);
        doc_set_z(attachment, M_State, "available"); /* Not in the enum, but what AWS says. */
    }
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_GATEWAY, gateway->id), out);
}

int ec2_create_internet_gateway(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct gateway *gateway;
    int rc = tag_specs_check(in, "internet-gateway", err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    if (quota_check(ctx->control, KIND_GATEWAY, NULL, 1, err) != 0) {
        return ERR_API;
    }
    gateway = thing_new(ctx, KIND_GATEWAY, NULL);
    thing_put(ctx, KIND_GATEWAY, gateway);
    tag_specs_apply(ctx, in, "internet-gateway", KIND_GATEWAY, gateway->id);
    fill(ctx, gateway, doc_set_struct(out, M_InternetGateway));
    return 0;
}

static struct gateway *gateway_of(const struct control *control, const char *vpc)
{
    struct gateway *gateway;

    for (size_t at = 0; (gateway = thing_next(control, KIND_GATEWAY, &at)) != NULL;) {
        if (gateway->vpc != NULL && strcmp(gateway->vpc, vpc) == 0) {
            return gateway;
        }
    }
    return NULL;
}

int ec2_attach_internet_gateway(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct gateway *gateway;
    struct ec2_vpc *vpc;
    int rc = thing_need(ctx, KIND_GATEWAY, doc_z(in, M_InternetGatewayId), (void **)&gateway, err);

    (void)out;
    rc = rc != 0 ? rc : thing_need(ctx, KIND_VPC, doc_z(in, M_VpcId), (void **)&vpc, err);
    if (rc != 0) {
        return rc;
    }
    if (gateway->vpc != NULL) {
        return error_api(err, "Resource.AlreadyAssociated",
                         "resource %s is already attached to network %s", gateway->id,
                         gateway->vpc);
    }
    if (gateway_of(ctx->control, vpc->id) != NULL) {
        return error_api(err, "InvalidParameterValue",
                         "Network %s already has an internet gateway attached", vpc->id);
    }
    DRY_RUN(in, err)
    gateway->vpc = mem_strdup(vpc->id);
    thing_put(ctx, KIND_GATEWAY, gateway);
    act_vpc(ctx, vpc->id);
    return 0;
}

static bool has_public_addresses(const struct control *control, const char *vpc)
{
    const struct ec2_interface *interface;

    for (size_t at = 0; (interface = thing_next(control, KIND_INTERFACE, &at)) != NULL;) {
        if (interface->public_address != NULL && strcmp(interface->vpc, vpc) == 0) {
            return true;
        }
    }
    return false;
}

int ec2_detach_internet_gateway(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    const char *vpc = doc_z(in, M_VpcId);
    struct gateway *gateway;
    void *found;
    int rc = thing_need(ctx, KIND_GATEWAY, doc_z(in, M_InternetGatewayId), (void **)&gateway, err);

    (void)out;
    rc = rc != 0 ? rc : thing_need(ctx, KIND_VPC, vpc, &found, err);
    if (rc != 0) {
        return rc;
    }
    if (gateway->vpc == NULL || strcmp(gateway->vpc, vpc) != 0) {
        return error_api(err, "Gateway.NotAttached", "resource %s is not attached to network %s",
                         gateway->id, vpc);
    }
    if (has_public_addresses(ctx->control, vpc)) {
        return error_api(err, "DependencyViolation",
                         "Network %s has some mapped public address(es). Please unmap those public "
                         "address(es) before detaching the gateway.",
                         vpc);
    }
    DRY_RUN(in, err)
    text_replace(&gateway->vpc, NULL);
    thing_put(ctx, KIND_GATEWAY, gateway);
    act_vpc(ctx, vpc);
    return 0;
}

int ec2_delete_internet_gateway(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct gateway *gateway;
    int rc = thing_need(ctx, KIND_GATEWAY, doc_z(in, M_InternetGatewayId), (void **)&gateway, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (gateway->vpc != NULL) {
        return error_api(err, "DependencyViolation",
                         "The internetGateway '%s' has dependencies and cannot be deleted.",
                         gateway->id);
    }
    DRY_RUN(in, err)
    thing_drop(ctx, KIND_GATEWAY, gateway);
    return 0;
}

FILTER_TEXT(by_id, struct gateway, id)
FILTER_TEXT(by_vpc, struct gateway, vpc)
FILTER_OWNER(by_owner)

static void by_state(struct ctx *ctx, const void *gateway, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct gateway *)gateway)->vpc == NULL ? NULL : "available");
}

static const struct filter filters[] = {
    {"attachment.state", by_state},
    {"attachment.vpc-id", by_vpc},
    {"internet-gateway-id", by_id},
    {"owner-id", by_owner},
};

int ec2_describe_internet_gateways(struct ctx *ctx, const struct doc *in, struct doc *out,
                                   struct error *err)
{
    static const struct listing listing = {.kind = KIND_GATEWAY,
                                           .action = "DescribeInternetGateways",
                                           .list = M_InternetGateways,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill};

    return list_things(ctx, in, out, &listing, err);
}
