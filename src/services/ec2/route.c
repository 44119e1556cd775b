/* Route tables.
 * https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html */
#include "network/address.h"
#include "services/ec2/private.h"

#include "aws/id.h"

#include <stdlib.h>
#include <string.h>

#define ROUTES_PER_TABLE_MAX 500 /* AWS's quota. */

static void associate(struct route_table *table, const char *subnet, const char *id)
{
    char made[ID_BYTES];

    id_new(made, "rtbassoc-");
    table->associations = mem_realloc(table->associations, table->associations_count + 1,
                                      sizeof(*table->associations));
    table->associations[table->associations_count++] =
        (struct association){mem_strdup(id == NULL ? made : id), mem_strdup(subnet)};
}

void association_remove(struct route_table *table, size_t index)
{
    free(table->associations[index].id);
    free(table->associations[index].subnet);
    table->associations_count--;
    memmove(&table->associations[index], &table->associations[index + 1],
            (table->associations_count - index) * sizeof(*table->associations));
}

void route_add(struct route_table *table, const char *destination, const char *gateway)
{
    table->routes = mem_realloc(table->routes, table->routes_count + 1, sizeof(*table->routes));
    table->routes[table->routes_count++] =
        (struct route){.destination = mem_strdup(destination), .gateway = mem_strdup(gateway)};
}

static void route_remove(struct route_table *table, size_t index)
{
    struct route *route = &table->routes[index];

    free(route->destination);
    free(route->gateway);
    free(route->instance);
    free(route->interface);
    table->routes_count--;
    memmove(route, route + 1, (table->routes_count - index) * sizeof(*route));
}

struct route_table *route_table_make(struct ctx *ctx, const char *vpc, const char *cidr, bool main)
{
    struct route_table *table = thing_new(ctx, KIND_ROUTE_TABLE, NULL);

    table->vpc = mem_strdup(vpc);
    route_add(table, cidr, "local");
    if (main) {
        associate(table, NULL, NULL);
    }
    thing_put(ctx, KIND_ROUTE_TABLE, table);
    return table;
}

static bool is_main(const struct route_table *table)
{
    for (size_t i = 0; i < table->associations_count; i++) {
        if (table->associations[i].subnet == NULL) {
            return true;
        }
    }
    return false;
}

struct route_table *route_table_main(const struct control *control, const char *vpc)
{
    struct route_table *table;

    for (size_t at = 0; (table = thing_next(control, KIND_ROUTE_TABLE, &at)) != NULL;) {
        if (strcmp(table->vpc, vpc) == 0 && is_main(table)) {
            return table;
        }
    }
    return NULL;
}

struct route_table *route_table_of(const struct control *control, const struct ec2_subnet *subnet)
{
    struct route_table *table;

    for (size_t at = 0; (table = thing_next(control, KIND_ROUTE_TABLE, &at)) != NULL;) {
        for (size_t i = 0; i < table->associations_count; i++) {
            if (table->associations[i].subnet != NULL &&
                strcmp(table->associations[i].subnet, subnet->id) == 0) {
                return table;
            }
        }
    }
    return route_table_main(control, subnet->vpc);
}

static bool route_is_active(const struct control *control, const struct route *route)
{
    const struct gateway *gateway = thing_get(control, KIND_GATEWAY, route->gateway);
    const struct ec2_instance *instance = thing_get(control, KIND_INSTANCE, route->instance);

    if (route->gateway != NULL) {
        return strcmp(route->gateway, "local") == 0 || (gateway != NULL && gateway->vpc != NULL);
    }
    return thing_get(control, KIND_INTERFACE, route->interface) != NULL ||
           (instance != NULL && instance->state != EC2_TERMINATED);
}

bool ec2_subnet_is_public(const struct control *control, const struct ec2_subnet *subnet)
{
    const struct route_table *table = route_table_of(control, subnet);

    for (size_t i = 0; table != NULL && i < table->routes_count; i++) {
        const struct route *route = &table->routes[i];

        if (strcmp(route->destination, "0.0.0.0/0") == 0 && route->gateway != NULL &&
            route_is_active(control, route)) {
            return true;
        }
    }
    return false;
}

static void fill_routes(struct ctx *ctx, const struct route_table *table, struct doc *out)
{
    for (size_t i = 0; i < table->routes_count; i++) {
        const struct route *route = &table->routes[i];
        struct doc *item = doc_add_struct(out, M_Routes);
        bool local = route->gateway != NULL && strcmp(route->gateway, "local") == 0;

        doc_set_z(item, M_DestinationCidrBlock, route->destination);
        doc_set_z(item, M_GatewayId, route->gateway);
        doc_set_z(item, M_InstanceId, route->instance);
        doc_set_z(item, M_InstanceOwnerId,
                  route->instance == NULL ? NULL : ctx->control->options.account);
        doc_set_z(item, M_NetworkInterfaceId, route->interface);
        doc_set_z(item, M_Origin, local ? "CreateRouteTable" : "CreateRoute");
        doc_set_z(item, M_State, route_is_active(ctx->control, route) ? "active" : "blackhole");
    }
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct route_table *table = thing;

    doc_set_z(out, M_RouteTableId, table->id);
    doc_set_z(out, M_VpcId, table->vpc);
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_list(out, M_PropagatingVgws);
    doc_set_list(out, M_Associations);
    for (size_t i = 0; i < table->associations_count; i++) {
        struct doc *item = doc_add_struct(out, M_Associations);

        doc_set_bool(item, M_Main, table->associations[i].subnet == NULL);
        doc_set_z(item, M_RouteTableAssociationId, table->associations[i].id);
        doc_set_z(item, M_RouteTableId, table->id);
        doc_set_z(item, M_SubnetId, table->associations[i].subnet);
        doc_set_z(doc_set_struct(item, M_AssociationState), M_State, "associated");
    }
    doc_set_list(out, M_Routes);
    fill_routes(ctx, table, out);
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_ROUTE_TABLE, table->id), out);
}

int ec2_create_route_table(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    struct ec2_vpc *vpc;
    struct route_table *table;
    const char *token = doc_z(in, M_ClientToken);
    const char *made;
    int rc = tag_specs_check(in, "route-table", err);

    rc = rc != 0 ? rc : thing_need(ctx, KIND_VPC, doc_z(in, M_VpcId), (void **)&vpc, err);
    rc = rc != 0 ? rc : ec2_token_check(ctx, "CreateRouteTable", token, in, &made, err);
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    table = thing_get(ctx->control, KIND_ROUTE_TABLE, made);
    if (table == NULL) {
        if (quota_check(ctx->control, KIND_ROUTE_TABLE, vpc->id, 1, err) != 0) {
            return ERR_API;
        }
        table = route_table_make(ctx, vpc->id, vpc->cidr, false);
        tag_specs_apply(ctx, in, "route-table", KIND_ROUTE_TABLE, table->id);
        if (made == NULL) {
            ec2_token_note(ctx, "CreateRouteTable", token, in, table->id);
        }
    }
    fill(ctx, table, doc_set_struct(out, M_RouteTable));
    doc_set_z(out, M_ClientToken, token);
    return 0;
}

struct route_table *association_find(const struct control *control, const char *id, size_t *index)
{
    struct route_table *table;

    for (size_t at = 0; (table = thing_next(control, KIND_ROUTE_TABLE, &at)) != NULL;) {
        for (*index = 0; *index < table->associations_count; (*index)++) {
            if (strcmp(table->associations[*index].id, id) == 0) {
                return table;
            }
        }
    }
    return NULL;
}

static int need_association(struct ctx *ctx, const struct doc *in, struct route_table **table,
                            size_t *index, struct error *err)
{
    const char *id = doc_z(in, M_AssociationId);

    *table = association_find(ctx->control, id, index);
    return *table != NULL ? 0
                          : error_api(err, "InvalidAssociationID.NotFound",
                                      "The association ID '%s' does not exist", id);
}

/* The association of @subnet itself, or the count. */
static size_t association_of(const struct route_table *table, const char *subnet)
{
    size_t i = 0;

    while (i < table->associations_count && (table->associations[i].subnet == NULL ||
                                             strcmp(table->associations[i].subnet, subnet) != 0)) {
        i++;
    }
    return i;
}

static void fill_association(struct doc *out, int member, const struct association *association)
{
    doc_set_z(out, member, association->id);
    doc_set_z(doc_set_struct(out, M_AssociationState), M_State, "associated");
}

int ec2_associate_route_table(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    struct route_table *table, *other;
    struct ec2_subnet *subnet;
    size_t index;
    int rc = thing_need(ctx, KIND_ROUTE_TABLE, doc_z(in, M_RouteTableId), (void **)&table, err);

    if (rc == 0 && doc_has(in, M_GatewayId)) {
        rc = error_api(err, "UnsupportedOperation",
                       "Route tables of gateways are not among what muster has.");
    }
    rc = rc != 0 ? rc : thing_need(ctx, KIND_SUBNET, doc_z(in, M_SubnetId), (void **)&subnet, err);
    if (rc != 0) {
        return rc;
    }
    if (strcmp(subnet->vpc, table->vpc) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "Route table %s and subnet %s belong to different networks", table->id,
                         subnet->id);
    }
    other = route_table_of(ctx->control, subnet);
    index = other == NULL ? 0 : association_of(other, subnet->id);
    if (other != NULL && other != table && index < other->associations_count) {
        return error_api(err, "Resource.AlreadyAssociated",
                         "the specified association for route table %s conflicts with an existing "
                         "association",
                         table->id);
    }
    if (other == table && index < table->associations_count) {
        fill_association(out, M_AssociationId, &table->associations[index]);
        return 0;
    }
    DRY_RUN(in, err)
    associate(table, subnet->id, NULL);
    thing_put(ctx, KIND_ROUTE_TABLE, table);
    act_vpc(ctx, table->vpc);
    fill_association(out, M_AssociationId, &table->associations[table->associations_count - 1]);
    return 0;
}

int ec2_disassociate_route_table(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    struct route_table *table;
    size_t index;
    int rc = need_association(ctx, in, &table, &index, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (table->associations[index].subnet == NULL) {
        return error_api(err, "InvalidParameterValue",
                         "cannot disassociate the main route table association %s",
                         doc_z(in, M_AssociationId));
    }
    DRY_RUN(in, err)
    association_remove(table, index);
    thing_put(ctx, KIND_ROUTE_TABLE, table);
    act_vpc(ctx, table->vpc);
    return 0;
}

int ec2_replace_route_table_association(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    struct route_table *table, *wanted;
    const char *subnet;
    size_t index;
    int rc = need_association(ctx, in, &table, &index, err);

    rc = rc != 0
             ? rc
             : thing_need(ctx, KIND_ROUTE_TABLE, doc_z(in, M_RouteTableId), (void **)&wanted, err);
    if (rc != 0) {
        return rc;
    }
    if (strcmp(wanted->vpc, table->vpc) != 0) {
        return error_api(err, "InvalidParameterValue", "Route table %s belongs to another network",
                         wanted->id);
    }
    DRY_RUN(in, err)
    subnet = table->associations[index].subnet == NULL
                 ? NULL
                 : arena_strdup(ctx->arena, slice_z(table->associations[index].subnet));
    association_remove(table, index);
    associate(wanted, subnet, NULL);
    thing_put(ctx, KIND_ROUTE_TABLE, table);
    thing_put(ctx, KIND_ROUTE_TABLE, wanted);
    act_vpc(ctx, wanted->vpc);
    fill_association(out, M_NewAssociationId,
                     &wanted->associations[wanted->associations_count - 1]);
    return 0;
}

int ec2_delete_route_table(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    struct route_table *table;
    int rc = thing_need(ctx, KIND_ROUTE_TABLE, doc_z(in, M_RouteTableId), (void **)&table, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (table->associations_count > 0) {
        return error_api(err, "DependencyViolation",
                         "The routeTable '%s' has dependencies and cannot be deleted.", table->id);
    }
    DRY_RUN(in, err)
    thing_drop(ctx, KIND_ROUTE_TABLE, table);
    return 0;
}

FILTER_TEXT(by_id, struct route_table, id)
FILTER_TEXT(by_vpc, struct route_table, vpc)
FILTER_OWNER(by_owner)

static void by_main(struct ctx *ctx, const void *table, struct match *match)
{
    const struct route_table *self = table;

    (void)ctx;
    for (size_t i = 0; i < self->associations_count; i++) {
        match_bool(match, self->associations[i].subnet == NULL);
    }
}

static void by_association(struct ctx *ctx, const void *table, struct match *match)
{
    const struct route_table *self = table;

    (void)ctx;
    for (size_t i = 0; i < self->associations_count; i++) {
        match_z(match, self->associations[i].id);
    }
}

static void by_subnet(struct ctx *ctx, const void *table, struct match *match)
{
    const struct route_table *self = table;

    (void)ctx;
    for (size_t i = 0; i < self->associations_count; i++) {
        match_z(match, self->associations[i].subnet);
    }
}

static void by_destination(struct ctx *ctx, const void *table, struct match *match)
{
    const struct route_table *self = table;

    (void)ctx;
    for (size_t i = 0; i < self->routes_count; i++) {
        match_z(match, self->routes[i].destination);
    }
}

static void by_gateway(struct ctx *ctx, const void *table, struct match *match)
{
    const struct route_table *self = table;

    (void)ctx;
    for (size_t i = 0; i < self->routes_count; i++) {
        match_z(match, self->routes[i].gateway);
    }
}

static void by_route_state(struct ctx *ctx, const void *table, struct match *match)
{
    const struct route_table *self = table;

    for (size_t i = 0; i < self->routes_count; i++) {
        match_z(match, route_is_active(ctx->control, &self->routes[i]) ? "active" : "blackhole");
    }
}

static const struct filter filters[] = {
    {"association.main", by_main},
    {"association.route-table-association-id", by_association},
    {"association.route-table-id", by_id},
    {"association.subnet-id", by_subnet},
    {"owner-id", by_owner},
    {"route-table-id", by_id},
    {"route.destination-cidr-block", by_destination},
    {"route.gateway-id", by_gateway},
    {"route.state", by_route_state},
    {"vpc-id", by_vpc},
};

int ec2_describe_route_tables(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    static const struct listing listing = {.kind = KIND_ROUTE_TABLE,
                                           .action = "DescribeRouteTables",
                                           .list = M_RouteTables,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill};

    return list_things(ctx, in, out, &listing, err);
}

/* Routes. */

static int read_destination(const struct doc *in, char normal[ADDRESS_TEXT_BYTES],
                            struct error *err)
{
    const char *text = doc_z(in, M_DestinationCidrBlock);
    struct network cidr;

    if (text == NULL) {
        return doc_has(in, M_DestinationIpv6CidrBlock) || doc_has(in, M_DestinationPrefixListId)
                   ? error_api(err, "UnsupportedOperation",
                               "muster's routes have an IPv4 destination.")
                   : error_api(err, "MissingParameter",
                               "The request must contain the parameter destinationCidrBlock");
    }
    if (network_parse(slice_z(text), &cidr, err) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%s) for parameter destinationCidrBlock is invalid. This is not a "
                         "valid CIDR block.",
                         text);
    }
    network_text(network_base(cidr), normal);
    return 0;
}

static int read_target(struct ctx *ctx, const struct doc *in, const struct route_table *table,
                       struct error *err)
{
    static const int others[] = {M_NatGatewayId,     M_TransitGatewayId,
                                 M_VpcEndpointId,    M_VpcPeeringConnectionId,
                                 M_LocalGatewayId,   M_EgressOnlyInternetGatewayId,
                                 M_CarrierGatewayId, M_CoreNetworkArn};
    void *target;
    int rc;

    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (doc_has(in, others[i])) {
            return error_api(err, "UnsupportedOperation",
                             "muster's routes lead to internet gateways, instances or network "
                             "interfaces.");
        }
    }
    if (doc_has(in, M_GatewayId)) {
        rc = thing_need(ctx, KIND_GATEWAY, doc_z(in, M_GatewayId), &target, err);
        if (rc == 0 && (((struct gateway *)target)->vpc == NULL ||
                        strcmp(((struct gateway *)target)->vpc, table->vpc) != 0)) {
            rc = error_api(err, "InvalidParameterValue",
                           "route table %s and network gateway %s belong to different networks",
                           table->id, doc_z(in, M_GatewayId));
        }
        return rc;
    }
    if (doc_has(in, M_InstanceId)) {
        return thing_need(ctx, KIND_INSTANCE, doc_z(in, M_InstanceId), &target, err);
    }
    if (doc_has(in, M_NetworkInterfaceId)) {
        return thing_need(ctx, KIND_INTERFACE, doc_z(in, M_NetworkInterfaceId), &target, err);
    }
    return error_api(err, "MissingParameter", "The request must contain exactly one target");
}

static size_t find_route(const struct route_table *table, const char *destination)
{
    size_t i = 0;

    while (i < table->routes_count && strcmp(table->routes[i].destination, destination) != 0) {
        i++;
    }
    return i;
}

static int begin_route(struct ctx *ctx, const struct doc *in, bool with_target,
                       struct route_table **table, char destination[ADDRESS_TEXT_BYTES],
                       struct error *err)
{
    int rc = thing_need(ctx, KIND_ROUTE_TABLE, doc_z(in, M_RouteTableId), (void **)table, err);

    rc = rc != 0 ? rc : read_destination(in, destination, err);
    return rc != 0 || !with_target ? rc : read_target(ctx, in, *table, err);
}

static void set_route(struct ctx *ctx, const struct doc *in, struct route_table *table,
                      const char *destination)
{
    struct route *route;

    route_add(table, destination, doc_z(in, M_GatewayId));
    route = &table->routes[table->routes_count - 1];
    route->instance = mem_strdup(doc_z(in, M_InstanceId));
    route->interface = mem_strdup(doc_z(in, M_NetworkInterfaceId));
    thing_put(ctx, KIND_ROUTE_TABLE, table);
    act_vpc(ctx, table->vpc);
}

int ec2_create_route(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    char destination[ADDRESS_TEXT_BYTES];
    struct route_table *table;
    int rc = begin_route(ctx, in, true, &table, destination, err);

    if (rc != 0) {
        return rc;
    }
    if (find_route(table, destination) < table->routes_count) {
        return error_api(err, "RouteAlreadyExists", "The route identified by %s already exists.",
                         destination);
    }
    if (table->routes_count >= ROUTES_PER_TABLE_MAX) {
        return error_api(err, "RouteLimitExceeded",
                         "The maximum number of routes has been reached.");
    }
    DRY_RUN(in, err)
    set_route(ctx, in, table, destination);
    doc_set_bool(out, M_Return, true);
    return 0;
}

int ec2_replace_route(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    char destination[ADDRESS_TEXT_BYTES];
    struct route_table *table;
    int rc = begin_route(ctx, in, true, &table, destination, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (find_route(table, destination) == table->routes_count) {
        return error_api(err, "InvalidParameterValue",
                         "There is no route defined for '%s' in the route table. Use CreateRoute "
                         "instead.",
                         destination);
    }
    DRY_RUN(in, err)
    route_remove(table, find_route(table, destination));
    set_route(ctx, in, table, destination);
    return 0;
}

int ec2_delete_route(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    char destination[ADDRESS_TEXT_BYTES];
    struct route_table *table;
    size_t index;
    int rc = begin_route(ctx, in, false, &table, destination, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    index = find_route(table, destination);
    if (index == table->routes_count) {
        return error_api(err, "InvalidRoute.NotFound",
                         "no route with destination-cidr-block %s in route table %s", destination,
                         table->id);
    }
    if (table->routes[index].gateway != NULL &&
        strcmp(table->routes[index].gateway, "local") == 0) {
        return error_api(err, "InvalidParameterValue",
                         "cannot remove local route %s in route table %s", destination, table->id);
    }
    DRY_RUN(in, err)
    route_remove(table, index);
    thing_put(ctx, KIND_ROUTE_TABLE, table);
    act_vpc(ctx, table->vpc);
    return 0;
}
