/* Load balancers: the actions. */
#include "services/elbv2/private.h"

#include "aws/page.h"
#include "base/alloc.h"
#include "base/text.h"
#include "network/address.h"

#include <stdlib.h>
#include <string.h>

#define HOSTED_ZONE "Z3AADJGX6KTTL2" /* us-east-2's; any constant serves. */

/* Checks that several actions share. */

int elb_name_check(const char *what, struct slice name, struct error *err)
{
    if (name.bytes == 0 || name.bytes > NAME_CHARS_MAX) {
        return error_api(err, "ValidationError",
                         "%s name '%.*s' cannot be longer than '%d' "
                         "characters",
                         what, SLICE_ARG(name), NAME_CHARS_MAX);
    }
    for (size_t i = 0; i < name.bytes; i++) {
        char c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-')) {
            return error_api(err, "ValidationError",
                             "%s name '%.*s' can only contain characters that are alphanumeric "
                             "characters or hyphens(-)",
                             what, SLICE_ARG(name));
        }
    }
    if (name.data[0] == '-' || name.data[name.bytes - 1] == '-') {
        return error_api(err, "ValidationError", "%s name '%.*s' cannot begin or end with '-'",
                         what, SLICE_ARG(name));
    }
    return 0;
}

int elb_tags_check(const struct doc *in, struct error *err)
{
    size_t count = doc_count(in, M_Tags);

    if (count > TAGS_PER_RESOURCE_MAX) {
        return error_api(err, "TooManyTags", "The maximum number of tags is '%d'",
                         TAGS_PER_RESOURCE_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        struct slice key = doc_text(doc_at(in, M_Tags, i), M_Key);

        if (slice_starts(key, SLICE_LIT("aws:"))) {
            return error_api(err, "ValidationError", "Tag keys cannot begin with 'aws:': '%.*s'",
                             SLICE_ARG(key));
        }
        for (size_t j = 0; j < i; j++) {
            if (slice_equal(key, doc_text(doc_at(in, M_Tags, j), M_Key))) {
                return error_api(err, "DuplicateTagKeys",
                                 "A tag key was specified more than once: '%.*s'", SLICE_ARG(key));
            }
        }
    }
    return 0;
}

void elb_tags_store(struct ctx *ctx, const char *arn, const struct doc *in)
{
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);
        const char *value = doc_z(tag, M_Value);

        ctx_tag_put(ctx, arn, doc_z(tag, M_Key), value == NULL ? "" : value);
    }
}

int elb_page_cut(struct ctx *ctx, const struct doc *in, struct doc *out, const char *action,
                 size_t count, size_t *from, size_t *to, struct error *err)
{
    size_t limit = (size_t)doc_int_or(in, M_PageSize, 400);
    const char *next;

    *from = *to = 0;
    if (page_window(ctx->arena, action, doc_z(in, M_Marker), limit, count, from, &next, err) != 0) {
        return error_api(err, "ValidationError", "Invalid marker");
    }
    *to = next == NULL ? count : *from + limit;
    doc_set_z(out, M_NextMarker, next);
    return 0;
}

int elb_page_keep(struct ctx *ctx, const struct doc *in, struct doc *out, const char *action,
                  int member, struct error *err)
{
    size_t from, to;
    int rc = elb_page_cut(ctx, in, out, action, doc_count(out, member), &from, &to, err);

    if (rc == 0) {
        doc_list_keep(out, member, from, to - from);
    }
    return rc;
}

/* Finding. */

int elb_balancer_find(const struct elbv2 *elbv2, const char *arn, struct load_balancer **found,
                      struct error *err)
{
    *found = arn == NULL ? NULL : map_get_z(&elbv2->balancers, arn);
    if (*found != NULL) {
        return 0;
    }
    if (arn == NULL || strstr(arn, ":loadbalancer/") == NULL) {
        return error_api(err, "ValidationError", "'%s' is not a valid load balancer ARN",
                         arn == NULL ? "" : arn);
    }
    return error_api(err, "LoadBalancerNotFound", "One or more load balancers not found");
}

struct load_balancer *elb_balancer_named(const struct elbv2 *elbv2, const char *name)
{
    struct load_balancer *balancer;

    for (size_t at = 0; (balancer = map_next(&elbv2->balancers, &at)) != NULL;) {
        if (strcmp(balancer->name, name) == 0) {
            return balancer;
        }
    }
    return NULL;
}

bool elb_balancer_has_zone(const struct load_balancer *balancer, const char *zone)
{
    for (size_t i = 0; i < balancer->zones_count; i++) {
        if (strcmp(balancer->zones[i].zone, zone) == 0) {
            return true;
        }
    }
    return false;
}

/* Answers. */

static void describe_zones(const struct load_balancer *balancer, struct doc *out)
{
    struct doc *list = doc_set_list(out, M_AvailabilityZones);

    for (size_t i = 0; i < balancer->zones_count; i++) {
        struct doc *zone = doc_list_add_struct(list);

        doc_set_z(zone, M_ZoneName, balancer->zones[i].zone);
        doc_set_z(zone, M_SubnetId, balancer->zones[i].subnet);
        doc_set_list(zone, M_LoadBalancerAddresses);
    }
}

static void describe(const struct load_balancer *balancer, struct doc *list)
{
    static const char *const states[] = {[STATE_PROVISIONING] = "provisioning",
                                         [STATE_ACTIVE] = "active",
                                         [STATE_FAILED] = "failed"};
    struct doc *item = doc_list_add_struct(list), *state;
    struct doc *groups;

    doc_set_z(item, M_LoadBalancerArn, balancer->arn);
    doc_set_z(item, M_DNSName, balancer->address);
    doc_set_z(item, M_CanonicalHostedZoneId, HOSTED_ZONE);
    doc_set_time_ms(item, M_CreatedTime, balancer->created_ms);
    doc_set_z(item, M_LoadBalancerName, balancer->name);
    doc_set_z(item, M_Scheme, balancer->internal ? "internal" : "internet-facing");
    doc_set_z(item, M_VpcId, balancer->vpc);
    state = doc_set_struct(item, M_State);
    doc_set_z(state, M_Code,
              balancer->state == STATE_ACTIVE && balancer->state_reason != NULL
                  ? "active_impaired" /* It served, and cannot now. */
                  : states[balancer->state]);
    doc_set_z(state, M_Reason, balancer->state_reason);
    doc_set_z(item, M_Type, "application");
    describe_zones(balancer, item);
    groups = doc_set_list(item, M_SecurityGroups);
    for (size_t i = 0; i < balancer->groups_count; i++) {
        doc_list_add_z(groups, balancer->groups[i]);
    }
    doc_set_z(item, M_IpAddressType, "ipv4");
}

/* Subnets and security groups of a request. */

struct places {
    const struct ec2_subnet *subnets[EC2_ZONES];
    size_t subnet_count;
    const char *groups[16];
    size_t group_count;
};

static int take_subnet(struct ctx *ctx, const char *id, struct places *places, struct error *err)
{
    const struct ec2_subnet *subnet = id == NULL ? NULL : ec2_subnet_find(ctx->control, id);

    if (subnet == NULL) {
        return error_api(err, "SubnetNotFound", "The subnet ID '%s' does not exist",
                         id == NULL ? "" : id);
    }
    for (size_t i = 0; i < places->subnet_count; i++) {
        if (strcmp(places->subnets[i]->zone, subnet->zone) == 0) {
            return error_api(err, "InvalidConfigurationRequest",
                             "A load balancer cannot be attached to multiple subnets in the same "
                             "Availability Zone");
        }
        if (strcmp(places->subnets[i]->vpc, subnet->vpc) != 0) {
            return error_api(err, "InvalidConfigurationRequest",
                             "All subnets must belong to the same VPC: '%s, %s'",
                             places->subnets[i]->vpc, subnet->vpc);
        }
    }
    if (places->subnet_count == COUNT_OF(places->subnets)) {
        return error_api(err, "InvalidConfigurationRequest", "Too many subnets");
    }
    places->subnets[places->subnet_count++] = subnet;
    return 0;
}

static int take_subnets(struct ctx *ctx, const struct doc *in, struct places *places,
                        struct error *err)
{
    size_t plain = doc_count(in, M_Subnets), mapped = doc_count(in, M_SubnetMappings);
    int rc = 0;

    if (plain != 0 && mapped != 0) {
        return error_api(err, "ValidationError",
                         "You can specify either subnets or subnet mappings, not both");
    }
    for (size_t i = 0; i < plain && rc == 0; i++) {
        rc = take_subnet(ctx, doc_z_at(in, M_Subnets, i), places, err);
    }
    for (size_t i = 0; i < mapped && rc == 0; i++) {
        rc = take_subnet(ctx, doc_z(doc_at(in, M_SubnetMappings, i), M_SubnetId), places, err);
    }
    if (rc == 0 && places->subnet_count < 2) {
        return error_api(err, "ValidationError",
                         "At least two subnets in two different Availability Zones must be "
                         "specified");
    }
    return rc;
}

static int take_groups(struct ctx *ctx, const struct doc *in, const char *vpc,
                       struct places *places, struct error *err)
{
    size_t count = doc_count(in, M_SecurityGroups);

    if (count > COUNT_OF(places->groups)) {
        return error_api(err, "InvalidConfigurationRequest", "Too many security groups");
    }
    for (size_t i = 0; i < count; i++) {
        const char *group = doc_z_at(in, M_SecurityGroups, i);
        const char *its_vpc = ec2_group_vpc(ctx->control, group);

        if (its_vpc == NULL) {
            return error_api(err, "InvalidSecurityGroup", "The security group '%s' does not exist",
                             group);
        }
        if (strcmp(its_vpc, vpc) != 0) {
            return error_api(err, "InvalidConfigurationRequest",
                             "One or more security groups are invalid: '%s' is not in VPC '%s'",
                             group, vpc);
        }
        places->groups[places->group_count++] = group;
    }
    if (count == 0) {
        const char *group = ec2_group_default(ctx->control, vpc);

        if (group != NULL) {
            places->groups[places->group_count++] = group;
        }
    }
    return 0;
}

static void set_groups(struct load_balancer *balancer, const struct places *places)
{
    for (size_t i = 0; i < balancer->groups_count; i++) {
        free(balancer->groups[i]);
    }
    balancer->groups = mem_realloc(balancer->groups, places->group_count + 1, sizeof(char *));
    balancer->groups_count = places->group_count;
    for (size_t i = 0; i < places->group_count; i++) {
        balancer->groups[i] = mem_strdup(places->groups[i]);
    }
}

static void zone_close(struct zone *zone)
{
    free(zone->zone);
    free(zone->subnet);
    free(zone->interface);
}

/* Interfaces for the subnets that are new, none for those that left. On failure nothing changed. */
static int set_zones(struct ctx *ctx, struct load_balancer *balancer, const struct places *places,
                     struct error *err)
{
    struct zone *zones = mem_calloc(places->subnet_count + 1, sizeof(*zones));
    const char *const *groups = (const char *const *)balancer->groups;
    int rc = 0;

    for (size_t i = 0; i < places->subnet_count && rc == 0; i++) {
        const struct ec2_interface *made = NULL;

        zones[i].zone = mem_strdup(places->subnets[i]->zone);
        zones[i].subnet = mem_strdup(places->subnets[i]->id);
        for (size_t j = 0; j < balancer->zones_count; j++) {
            if (strcmp(balancer->zones[j].subnet, zones[i].subnet) == 0) {
                zones[i].interface = mem_strdup(balancer->zones[j].interface);
            }
        }
        if (zones[i].interface == NULL) {
            struct slice says = arena_printf(ctx->arena, "ELB %s", balancer->path);

            rc = ec2_interface_make(ctx, zones[i].subnet, groups, balancer->groups_count, says.data,
                                    "amazon-elb", &made, err);
            zones[i].interface = rc == 0 ? mem_strdup(made->id) : NULL;
        }
    }
    for (size_t i = 0; rc == 0 && i < balancer->zones_count; i++) {
        bool stays = false;

        for (size_t j = 0; j < places->subnet_count; j++) {
            stays |= strcmp(zones[j].subnet, balancer->zones[i].subnet) == 0;
        }
        if (!stays) {
            ec2_interface_drop(ctx, balancer->zones[i].interface);
        }
        zone_close(&balancer->zones[i]);
    }
    if (rc != 0) { /* The ones made so far go again. */
        for (size_t i = 0; i < places->subnet_count; i++) {
            bool old = false;

            for (size_t j = 0; j < balancer->zones_count; j++) {
                old |= zones[i].interface != NULL &&
                       strcmp(zones[i].interface, balancer->zones[j].interface) == 0;
            }
            if (zones[i].interface != NULL && !old) {
                ec2_interface_drop(ctx, zones[i].interface);
            }
            zone_close(&zones[i]);
        }
        free(zones);
        return rc;
    }
    free(balancer->zones);
    balancer->zones = zones;
    balancer->zones_count = places->subnet_count;
    return 0;
}

/* The lowest free address, from .2 on. */
static int take_address(const struct control *control, char text[ADDRESS_TEXT_BYTES],
                        struct error *err)
{
    const struct elbv2 *elbv2 = control->elbv2;
    struct network network = address_block(ADDRESSES_BALANCERS, control->options.address_block);

    for (uint32_t address = network.address + 2; address < network_last(network); address++) {
        struct load_balancer *balancer;
        bool taken = false;

        address_text(address, text);
        for (size_t at = 0; (balancer = map_next(&elbv2->balancers, &at)) != NULL;) {
            taken |= strcmp(balancer->address, text) == 0;
        }
        if (!taken) {
            return 0;
        }
    }
    return error_api(err, "TooManyLoadBalancers", "All addresses are taken");
}

static bool same_settings(const struct load_balancer *balancer, const struct places *places,
                          bool internal)
{
    bool same = balancer->internal == internal && balancer->zones_count == places->subnet_count &&
                balancer->groups_count == places->group_count;

    for (size_t i = 0; same && i < places->subnet_count; i++) {
        bool found = false;

        for (size_t j = 0; j < balancer->zones_count; j++) {
            found |= strcmp(balancer->zones[j].subnet, places->subnets[i]->id) == 0;
        }
        same = found;
    }
    for (size_t i = 0; same && i < places->group_count; i++) {
        bool found = false;

        for (size_t j = 0; j < balancer->groups_count; j++) {
            found |= strcmp(balancer->groups[j], places->groups[i]) == 0;
        }
        same = found;
    }
    return same;
}

static int create_check(struct ctx *ctx, const struct doc *in, struct places *places,
                        struct error *err)
{
    struct slice name = doc_text(in, M_Name), type = doc_text(in, M_Type);
    struct slice family = doc_text(in, M_IpAddressType);
    int rc = elb_name_check("The load balancer", name, err);

    if (rc == 0 && slice_starts(name, SLICE_LIT("internal-"))) {
        rc = error_api(err, "ValidationError",
                       "The load balancer name '%.*s' cannot begin with 'internal-'",
                       SLICE_ARG(name));
    }
    if (rc == 0 && type.bytes != 0 && !slice_equal_z(type, "application")) {
        rc = error_api(err, "InvalidConfigurationRequest",
                       "muster offers application load balancers only");
    }
    if (rc == 0 && family.bytes != 0 && !slice_equal_z(family, "ipv4")) {
        rc = error_api(err, "InvalidConfigurationRequest",
                       "muster offers load balancers with ipv4 addresses only");
    }
    rc = rc != 0 ? rc : elb_tags_check(in, err);
    rc = rc != 0 ? rc : take_subnets(ctx, in, places, err);
    return rc != 0 ? rc : take_groups(ctx, in, places->subnets[0]->vpc, places, err);
}

static struct load_balancer *make(struct ctx *ctx, const struct doc *in,
                                  const struct places *places, const char *address)
{
    struct load_balancer *balancer = mem_calloc(1, sizeof(*balancer));
    char id[ID_BYTES];

    id_new_hex(id, 16);
    balancer->elbv2 = elbv2_of(ctx);
    balancer->name = mem_strdup(doc_z(in, M_Name));
    balancer->path = mem_strdup(arena_printf(ctx->arena, "app/%s/%s", balancer->name, id).data);
    balancer->arn =
        mem_strdup(ctx_arn(ctx, "elasticloadbalancing", "loadbalancer/%s", balancer->path));
    balancer->vpc = mem_strdup(places->subnets[0]->vpc);
    balancer->internal = slice_equal_z(doc_text(in, M_Scheme), "internal");
    balancer->address = mem_strdup(address);
    balancer->created_ms = ctx->now_ms;
    set_groups(balancer, places);
    return balancer;
}

/* The actions. */

int elbv2_create_load_balancer(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct places places = {0};
    struct load_balancer *balancer;
    char address[ADDRESS_TEXT_BYTES];
    int rc = create_check(ctx, in, &places, err);

    if (rc != 0) {
        return rc;
    }
    balancer = elb_balancer_named(elbv2, doc_z(in, M_Name));
    if (balancer != NULL) {
        if (!same_settings(balancer, &places, slice_equal_z(doc_text(in, M_Scheme), "internal"))) {
            return error_api(err, "DuplicateLoadBalancerName",
                             "A load balancer with the same name '%s' exists, but with different "
                             "settings",
                             balancer->name);
        }
        describe(balancer, doc_set_list(out, M_LoadBalancers));
        return 0;
    }
    if (elbv2->balancers.count >= BALANCERS_MAX) {
        return error_api(err, "TooManyLoadBalancers",
                         "The quota of %d load balancers has been reached", BALANCERS_MAX);
    }
    rc = take_address(ctx->control, address, err);
    if (rc != 0) {
        return rc;
    }
    balancer = make(ctx, in, &places, address);
    rc = set_zones(ctx, balancer, &places, err);
    if (rc != 0) {
        elb_balancer_free(balancer);
        return rc;
    }
    map_put(&elbv2->balancers, slice_z(balancer->arn), balancer);
    elb_balancer_save(ctx, balancer);
    elb_tags_store(ctx, balancer->arn, in);
    plane_touch(ctx, balancer);
    describe(balancer, doc_set_list(out, M_LoadBalancers));
    return 0;
}

static int describe_chosen(struct ctx *ctx, const struct doc *in, struct doc *list,
                           struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct load_balancer *balancer;
    int rc;

    for (size_t i = 0; i < doc_count(in, M_LoadBalancerArns); i++) {
        rc = elb_balancer_find(elbv2, doc_z_at(in, M_LoadBalancerArns, i), &balancer, err);
        if (rc != 0) {
            return rc;
        }
        describe(balancer, list);
    }
    for (size_t i = 0; i < doc_count(in, M_Names); i++) {
        balancer = elb_balancer_named(elbv2, doc_z_at(in, M_Names, i));
        if (balancer == NULL) {
            return error_api(err, "LoadBalancerNotFound", "Load balancers '[%s]' not found",
                             doc_z_at(in, M_Names, i));
        }
        describe(balancer, list);
    }
    return 0;
}

int elbv2_describe_load_balancers(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct doc *list = doc_set_list(out, M_LoadBalancers);
    struct load_balancer *balancer;
    size_t index = 0, from, to;
    int rc;

    if (doc_count(in, M_LoadBalancerArns) != 0 || doc_count(in, M_Names) != 0) {
        return describe_chosen(ctx, in, list, err);
    }
    rc = elb_page_cut(ctx, in, out, "DescribeLoadBalancers", elbv2->balancers.count, &from, &to,
                      err);
    for (size_t at = 0; rc == 0 && (balancer = map_next(&elbv2->balancers, &at)) != NULL; index++) {
        if (index >= from && index < to) {
            describe(balancer, list);
        }
    }
    return rc;
}

static void delete_listeners(struct ctx *ctx, const char *balancer_arn)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct listener *listener;

    for (size_t at = 0; (listener = map_next(&elbv2->listeners, &at)) != NULL;) {
        if (strcmp(listener->balancer, balancer_arn) == 0) {
            map_remove(&elbv2->listeners, slice_z(listener->arn));
            changes_del(ctx->changes, SLICE_LIT("elbv2.listener"), slice_z(listener->arn));
            ctx_tags_drop(ctx, listener->arn);
            elb_listener_free(listener);
        }
    }
}

static void touch_groups(struct ctx *ctx)
{
    struct target_group *group;

    for (size_t at = 0; (group = map_next(&elbv2_of(ctx)->groups, &at)) != NULL;) {
        elb_group_touch(ctx, group);
    }
}

int elbv2_delete_load_balancer(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    const char *arn = doc_z(in, M_LoadBalancerArn);
    struct load_balancer *balancer = map_get_z(&elbv2->balancers, arn);

    (void)out;
    if (balancer == NULL) {
        return 0; /* As AWS: gone is gone. */
    }
    if (strcmp(elb_balancer_attribute(balancer, "deletion_protection.enabled"), "true") == 0) {
        return error_api(err, "OperationNotPermitted",
                         "Load balancer '%s' cannot be deleted because deletion protection is "
                         "enabled",
                         arn);
    }
    delete_listeners(ctx, arn);
    for (size_t i = 0; i < balancer->zones_count; i++) {
        ec2_interface_drop(ctx, balancer->zones[i].interface);
    }
    map_remove(&elbv2->balancers, slice_z(arn));
    changes_del(ctx->changes, SLICE_LIT("elbv2.balancer"), slice_z(arn));
    ctx_tags_drop(ctx, arn);
    plane_drop(ctx, balancer);
    elb_balancer_free(balancer);
    touch_groups(ctx);
    return 0;
}

int elbv2_set_security_groups(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    struct load_balancer *balancer;
    struct places places = {0};
    int rc = elb_balancer_find(elbv2_of(ctx), doc_z(in, M_LoadBalancerArn), &balancer, err);

    rc = rc != 0 ? rc : take_groups(ctx, in, balancer->vpc, &places, err);
    if (rc != 0) {
        return rc;
    }
    set_groups(balancer, &places);
    for (size_t i = 0; i < balancer->zones_count; i++) {
        ec2_interface_set_groups(ctx, balancer->zones[i].interface,
                                 (const char *const *)balancer->groups, balancer->groups_count);
    }
    elb_balancer_save(ctx, balancer);
    for (size_t i = 0; i < balancer->groups_count; i++) {
        doc_add_z(out, M_SecurityGroupIds, balancer->groups[i]);
    }
    return 0;
}

int elbv2_set_subnets(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct load_balancer *balancer;
    struct places places = {0};
    int rc = elb_balancer_find(elbv2_of(ctx), doc_z(in, M_LoadBalancerArn), &balancer, err);

    rc = rc != 0 ? rc : take_subnets(ctx, in, &places, err);
    if (rc == 0 && strcmp(places.subnets[0]->vpc, balancer->vpc) != 0) {
        rc = error_api(err, "InvalidSubnet", "Subnet '%s' is not in VPC '%s'",
                       places.subnets[0]->id, balancer->vpc);
    }
    rc = rc != 0 ? rc : set_zones(ctx, balancer, &places, err);
    if (rc != 0) {
        return rc;
    }
    elb_balancer_save(ctx, balancer);
    plane_touch(ctx, balancer);
    touch_groups(ctx); /* A zone was enabled or disabled for targets. */
    describe_zones(balancer, out);
    doc_set_z(out, M_IpAddressType, "ipv4");
    return 0;
}

/* No reservation: an answer without members is what clients expect. */
int elbv2_describe_capacity_reservation(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    struct load_balancer *balancer;

    (void)out;
    return elb_balancer_find(elbv2_of(ctx), doc_z(in, M_LoadBalancerArn), &balancer, err);
}

int elbv2_describe_account_limits(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    static const struct {
        const char *name;
        int max;
    } limits[] = {
        {"application-load-balancers", BALANCERS_MAX},
        {"listeners-per-application-load-balancer", LISTENERS_PER_BALANCER_MAX},
        {"target-groups", TARGET_GROUPS_MAX},
        {"targets-per-target-group", TARGETS_PER_GROUP_MAX},
        {"target-groups-per-action-on-application-load-balancer", GROUPS_PER_FORWARD_MAX},
    };
    struct doc *list = doc_set_list(out, M_Limits);

    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct doc *item = doc_list_add_struct(list);

        doc_set_z(item, M_Name, limits[i].name);
        doc_set_format(item, M_Max, "%d", limits[i].max);
    }
    return elb_page_keep(ctx, in, out, "DescribeAccountLimits", M_Limits, err);
}
