/* Network interfaces: an instance's, and those that a load balancer has in its subnets; private and
 * public addresses. */
#include "network/address.h"
#include "services/ec2/private.h"

#include "aws/id.h"

#include <stdlib.h>
#include <string.h>

const struct ec2_interface *ec2_interface_find(const struct control *control, const char *id)
{
    return thing_get(control, KIND_INTERFACE, id);
}

bool interface_in_group(const struct ec2_interface *interface, const char *group)
{
    for (size_t i = 0; i < interface->groups_count; i++) {
        if (strcmp(interface->groups[i], group) == 0) {
            return true;
        }
    }
    return false;
}

void interface_add_group(struct ec2_interface *interface, const char *group)
{
    if (!interface_in_group(interface, group)) {
        interface->groups =
            mem_realloc(interface->groups, interface->groups_count + 1, sizeof(*interface->groups));
        interface->groups[interface->groups_count++] = mem_strdup(group);
    }
}

#define PLACE_BYTES (ID_BYTES + ADDRESS_TEXT_BYTES)

/* "VPC ADDRESS" */
static struct slice place_of(const char *vpc, const char *address, char text[PLACE_BYTES])
{
    return slice_of(text, (size_t)snprintf(text, PLACE_BYTES, "%s %s", vpc, address));
}

void interface_addressed(struct ec2 *ec2, struct ec2_interface *interface)
{
    char text[PLACE_BYTES];

    map_put(&ec2->addresses, place_of(interface->vpc, interface->address, text), interface);
}

void interface_drop(struct ctx *ctx, struct ec2_interface *interface)
{
    char text[PLACE_BYTES];

    map_remove(&ctx->control->ec2->addresses, place_of(interface->vpc, interface->address, text));
    thing_drop(ctx, KIND_INTERFACE, interface);
}

static bool address_used(const struct control *control, const char *vpc, const char *address)
{
    char text[PLACE_BYTES];

    return map_get(&control->ec2->addresses, place_of(vpc, address, text)) != NULL;
}

/* A random one, as on AWS, then the next that is free: an address is seldom used again at once. */
static bool find_address(const struct control *control, const struct ec2_subnet *subnet,
                         char text[ADDRESS_TEXT_BYTES])
{
    struct network network = {0};
    uint32_t start, size;

    ASSERT(network_parse(slice_z(subnet->cidr), &network, NULL) == 0);
    network = network_base(network);
    size = network_last(network) - network.address + 1;
    id_random(&start, sizeof(start));
    for (uint32_t i = 0; i < size; i++) {
        uint32_t address = network.address + (start % size + i) % size;

        if (!subnet_reserves(network, address)) {
            address_text(address, text);
            if (!address_used(control, subnet->vpc, text)) {
                return true;
            }
        }
    }
    return false;
}

static int check_address(struct ctx *ctx, const struct ec2_subnet *subnet, const char *text,
                         struct error *err)
{
    struct network network = {0};
    uint32_t address;

    ASSERT(network_parse(slice_z(subnet->cidr), &network, NULL) == 0);
    if (address_parse(slice_z(text), &address, NULL) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%s) for parameter PrivateIpAddress is invalid. It is not a valid "
                         "IPv4 address.",
                         text);
    }
    if (!network_has(network, address)) {
        return error_api(err, "InvalidParameterValue",
                         "Address does not fall within the subnet's address range");
    }
    if (subnet_reserves(network, address)) {
        return error_api(err, "InvalidParameterValue",
                         "Address %s is in subnet's reserved address range", text);
    }
    if (address_used(ctx->control, subnet->vpc, text)) {
        return error_api(err, "InvalidIPAddress.InUse", "Address %s is in use.", text);
    }
    return 0;
}

int interface_make(struct ctx *ctx, const struct ec2_subnet *subnet, const char *address,
                   struct ec2_interface **made, struct error *err)
{
    char free_address[ADDRESS_TEXT_BYTES], text[ID_BYTES];
    unsigned char mac[6];
    struct ec2_interface *interface;

    if (address != NULL) {
        int rc = check_address(ctx, subnet, address, err);

        if (rc != 0) {
            return rc;
        }
    } else if (!find_address(ctx->control, subnet, free_address)) {
        return error_api(err, "InsufficientFreeAddressesInSubnet",
                         "There are not enough free addresses in subnet '%s' to satisfy the "
                         "requested number of instances.",
                         subnet->id);
    }
    interface = thing_new(ctx, KIND_INTERFACE, NULL);
    interface->vpc = mem_strdup(subnet->vpc);
    interface->subnet = mem_strdup(subnet->id);
    interface->zone = mem_strdup(subnet->zone);
    interface->address = mem_strdup(address == NULL ? free_address : address);
    id_random(mac, sizeof(mac));
    snprintf(text, sizeof(text), "02:%02x:%02x:%02x:%02x:%02x", mac[1], mac[2], mac[3], mac[4],
             mac[5]); /* Locally administered. */
    interface->mac = mem_strdup(text);
    interface->description = mem_strdup("");
    interface->kind = mem_strdup("interface");
    id_new(text, "eni-attach-");
    interface->attachment = mem_strdup(text);
    interface->created_ms = ctx->now_ms;
    thing_put(ctx, KIND_INTERFACE, interface);
    interface_addressed(ctx->control->ec2, interface);
    *made = interface;
    return 0;
}

const char *public_address_free(struct ctx *ctx)
{
    struct network network = address_block(ADDRESSES_PUBLIC, ctx->control->options.address_block);
    uint32_t size = network_last(network) - network.address;
    const struct ec2_interface *interface;
    struct map used = {0};
    char text[ADDRESS_TEXT_BYTES] = "";
    const char *found = NULL;

    for (size_t at = 0; (interface = thing_next(ctx->control, KIND_INTERFACE, &at)) != NULL;) {
        if (interface->public_address != NULL) {
            map_put(&used, slice_z(interface->public_address), &used);
        }
    }
    /* Beyond the last in use, so that an address does not soon mean another instance. */
    for (uint32_t i = 1; i < size && found == NULL; i++) {
        uint32_t host = (ctx->control->ec2->public_last + i) % size;

        address_text(network.address + host, text);
        if (host != 0 && map_get_z(&used, text) == NULL) {
            ctx->control->ec2->public_last = host;
            found = arena_strdup(ctx->arena, slice_z(text));
        }
    }
    map_close(&used);
    return found;
}

/* For load balancers. */

int ec2_interface_make(struct ctx *ctx, const char *subnet, const char *const *groups,
                       size_t groups_count, const char *description, const char *requester,
                       const struct ec2_interface **made, struct error *err)
{
    struct ec2_subnet *place;
    struct ec2_interface *interface;
    int rc = thing_need(ctx, KIND_SUBNET, subnet, (void **)&place, err);

    for (size_t i = 0; rc == 0 && i < groups_count; i++) {
        void *group;

        rc = thing_need(ctx, KIND_GROUP, groups[i], &group, err);
    }
    rc = rc != 0 ? rc : interface_make(ctx, place, NULL, &interface, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < groups_count; i++) {
        interface_add_group(interface, groups[i]);
    }
    text_replace(&interface->description, description);
    text_replace(&interface->requester, requester);
    interface->keep = true;
    thing_put(ctx, KIND_INTERFACE, interface);
    act_vpc(ctx, interface->vpc);
    *made = interface;
    return 0;
}

void ec2_interface_set_groups(struct ctx *ctx, const char *id, const char *const *groups,
                              size_t groups_count)
{
    struct ec2_interface *interface = thing_get(ctx->control, KIND_INTERFACE, id);

    if (interface == NULL) {
        return;
    }
    for (size_t i = 0; i < interface->groups_count; i++) {
        free(interface->groups[i]);
    }
    interface->groups_count = 0;
    for (size_t i = 0; i < groups_count; i++) {
        interface_add_group(interface, groups[i]);
    }
    thing_put(ctx, KIND_INTERFACE, interface);
    act_vpc(ctx, interface->vpc);
}

void ec2_interface_drop(struct ctx *ctx, const char *id)
{
    struct ec2_interface *interface = thing_get(ctx->control, KIND_INTERFACE, id);

    if (interface != NULL) {
        const char *vpc = arena_strdup(ctx->arena, slice_z(interface->vpc));

        interface_drop(ctx, interface);
        act_vpc(ctx, vpc);
    }
}

/* Names. */

static const char *dashed(struct ctx *ctx, const char *prefix, const char *address)
{
    char *text = arena_strdup(ctx->arena, arena_printf(ctx->arena, "%s-%s", prefix, address));

    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '.' ? '-' : *at;
    }
    return text;
}

const char *private_dns(struct ctx *ctx, const char *address)
{
    const char *region = ctx->control->options.region;

    if (address == NULL) {
        return "";
    }
    return strcmp(region, "us-east-1") == 0
               ? arena_printf(ctx->arena, "%s.ec2.internal", dashed(ctx, "ip", address)).data
               : arena_printf(ctx->arena, "%s.%s.compute.internal", dashed(ctx, "ip", address),
                              region)
                     .data;
}

const char *public_dns(struct ctx *ctx, const char *vpc, const char *address)
{
    const struct ec2_vpc *network = ec2_vpc_find(ctx->control, vpc);
    const char *region = ctx->control->options.region;

    if (address == NULL || network == NULL || !network->dns_hostnames) {
        return "";
    }
    return strcmp(region, "us-east-1") == 0
               ? arena_printf(ctx->arena, "%s.compute-1.amazonaws.com", dashed(ctx, "ec2", address))
                     .data
               : arena_printf(ctx->arena, "%s.%s.compute.amazonaws.com",
                              dashed(ctx, "ec2", address), region)
                     .data;
}

void groups_fill_list(struct ctx *ctx, const struct ec2_interface *interface, struct doc *out,
                      int member)
{
    doc_set_list(out, member);
    for (size_t i = 0; interface != NULL && i < interface->groups_count; i++) {
        const struct group *group = thing_get(ctx->control, KIND_GROUP, interface->groups[i]);
        struct doc *item = doc_add_struct(out, member);

        doc_set_z(item, M_GroupId, interface->groups[i]);
        doc_set_z(item, M_GroupName, group == NULL ? NULL : group->name);
    }
}

void interface_fill_association(struct ctx *ctx, const struct ec2_interface *interface,
                                struct doc *out)
{
    if (interface->public_address != NULL) {
        struct doc *association = doc_set_struct(out, M_Association);

        doc_set_z(association, M_PublicIp, interface->public_address);
        doc_set_z(association, M_PublicDnsName,
                  public_dns(ctx, interface->vpc, interface->public_address));
        doc_set_z(association, M_IpOwnerId, "amazon");
    }
}

void interface_fill(struct ctx *ctx, const struct ec2_interface *interface, struct doc *out)
{
    struct doc *address;

    doc_set_z(out, M_NetworkInterfaceId, interface->id);
    doc_set_z(out, M_SubnetId, interface->subnet);
    doc_set_z(out, M_VpcId, interface->vpc);
    doc_set_z(out, M_Description, interface->description);
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_z(out, M_Status, "in-use");
    doc_set_z(out, M_MacAddress, interface->mac);
    doc_set_z(out, M_PrivateIpAddress, interface->address);
    doc_set_z(out, M_PrivateDnsName, private_dns(ctx, interface->address));
    doc_set_bool(out, M_SourceDestCheck, !interface->no_source_check);
    doc_set_z(out, M_InterfaceType, interface->kind);
    doc_set_list(out, M_Ipv6Addresses);
    groups_fill_list(ctx, interface, out, M_Groups);
    interface_fill_association(ctx, interface, out);
    address = doc_add_struct(out, M_PrivateIpAddresses);
    doc_set_z(address, M_PrivateIpAddress, interface->address);
    doc_set_z(address, M_PrivateDnsName, private_dns(ctx, interface->address));
    doc_set_bool(address, M_Primary, true);
    interface_fill_association(ctx, interface, address);
}

void interface_fill_attachment(const struct ec2_interface *interface, struct doc *out)
{
    struct doc *attachment = doc_set_struct(out, M_Attachment);

    doc_set_z(attachment, M_AttachmentId, interface->attachment);
    doc_set_int(attachment, M_DeviceIndex, 0);
    doc_set_int(attachment, M_NetworkCardIndex, 0);
    doc_set_z(attachment, M_Status, "attached");
    doc_set_time_ms(attachment, M_AttachTime, interface->created_ms);
    doc_set_bool(attachment, M_DeleteOnTermination, !interface->keep);
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct ec2_interface *interface = thing;
    const char *arn = thing_arn(ctx, KIND_INTERFACE, interface->id);
    const struct tags *tags = tags_of(&ctx->control->tags, arn);
    struct doc *attachment;

    interface_fill(ctx, interface, out);
    interface_fill_attachment(interface, out);
    attachment = doc_set_struct(out, M_Attachment);
    doc_set_z(attachment, M_AttachmentId, interface->attachment);
    doc_set_int(attachment, M_DeviceIndex, interface->instance == NULL ? 1 : 0);
    doc_set_z(attachment, M_Status, "attached");
    doc_set_bool(attachment, M_DeleteOnTermination, !interface->keep);
    doc_set_z(attachment, M_InstanceId, interface->instance);
    doc_set_z(attachment, M_InstanceOwnerId,
              interface->requester != NULL ? interface->requester : ctx->control->options.account);
    doc_set_z(out, M_AvailabilityZone, interface->zone);
    doc_set_z(out, M_RequesterId, interface->requester);
    doc_set_bool(out, M_RequesterManaged, interface->requester != NULL);
    doc_set_list(out, M_TagSet);
    for (size_t i = 0; i < tags->count; i++) {
        struct doc *tag = doc_add_struct(out, M_TagSet);

        doc_set_z(tag, M_Key, tags->items[i].key);
        doc_set_z(tag, M_Value, tags->items[i].value);
    }
}

FILTER_TEXT(by_id, struct ec2_interface, id)
FILTER_TEXT(by_vpc, struct ec2_interface, vpc)
FILTER_TEXT(by_subnet, struct ec2_interface, subnet)
FILTER_TEXT(by_zone, struct ec2_interface, zone)
FILTER_TEXT(by_address, struct ec2_interface, address)
FILTER_TEXT(by_public, struct ec2_interface, public_address)
FILTER_TEXT(by_mac, struct ec2_interface, mac)
FILTER_TEXT(by_description, struct ec2_interface, description)
FILTER_TEXT(by_instance, struct ec2_interface, instance)
FILTER_TEXT(by_attachment, struct ec2_interface, attachment)
FILTER_TEXT(by_kind, struct ec2_interface, kind)
FILTER_TEXT(by_requester, struct ec2_interface, requester)
FILTER_IS(by_status, "in-use")
FILTER_IS(by_attached, "attached")
FILTER_OWNER(by_owner)

static void by_attached_owner(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_interface *interface = thing;

    match_z(match,
            interface->requester != NULL ? interface->requester : ctx->control->options.account);
}

static void by_group(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct ec2_interface *interface = thing;

    (void)ctx;
    for (size_t i = 0; i < interface->groups_count; i++) {
        match_z(match, interface->groups[i]);
    }
}

static const struct filter filters[] = {
    {"addresses.private-ip-address", by_address},
    {"association.public-ip", by_public},
    {"addresses.association.public-ip", by_public},
    {"attachment.attachment-id", by_attachment},
    {"attachment.instance-id", by_instance},
    {"attachment.instance-owner-id", by_attached_owner},
    {"attachment.status", by_attached},
    {"availability-zone", by_zone},
    {"description", by_description},
    {"group-id", by_group},
    {"interface-type", by_kind},
    {"mac-address", by_mac},
    {"network-interface-id", by_id},
    {"owner-id", by_owner},
    {"private-ip-address", by_address},
    {"requester-id", by_requester},
    {"status", by_status},
    {"subnet-id", by_subnet},
    {"vpc-id", by_vpc},
};

int ec2_describe_network_interfaces(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    static const struct listing listing = {.kind = KIND_INTERFACE,
                                           .action = "DescribeNetworkInterfaces",
                                           .list = M_NetworkInterfaces,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill};

    return list_things(ctx, in, out, &listing, err);
}
