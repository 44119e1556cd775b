/* A VPC as the compute driver is to make it: its subnets, who is at which address in which security
 * groups, and what those let through. quota.c sees to it that nothing has to be left out. */
#include "services/ec2/private.h"

#include "compute/compute.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t group_index(const struct control *control, const char *vpc, const char *id)
{
    const struct group *group;
    size_t index = 0;

    for (size_t at = 0; (group = thing_next(control, KIND_GROUP, &at)) != NULL;) {
        if (strcmp(group->vpc, vpc) != 0) {
            continue;
        }
        if (strcmp(group->id, id) == 0) {
            return index;
        }
        index++;
    }
    return SIZE_MAX;
}

static bool add_rule(const struct control *control, const char *vpc, size_t group,
                     const struct rule *rule, struct network_rule *to)
{
    *to = (struct network_rule){.group = (uint16_t)group, .egress = rule->egress, .to_port = 65535};
    if (strcmp(rule->protocol, "tcp") == 0 || strcmp(rule->protocol, "udp") == 0) {
        to->protocol = strcmp(rule->protocol, "tcp") == 0 ? RULE_TCP : RULE_UDP;
        to->from_port = (uint16_t)rule->from;
        to->to_port = (uint16_t)rule->to;
    } else if (strcmp(rule->protocol, "icmp") == 0) {
        to->protocol = RULE_ICMP;
    } else if (strcmp(rule->protocol, "-1") != 0) {
        return false; /* Protocols that the data plane does not carry. */
    }
    if (rule->group != NULL) {
        size_t peer = group_index(control, vpc, rule->group);

        to->by_group = true;
        to->peer_group = (uint16_t)peer;
        return peer < GROUPS_PER_VPC_MAX;
    }
    return rule->cidr != NULL && network_parse(slice_z(rule->cidr), &to->peer, NULL) == 0;
}

/* AWS's internet gateway translates public addresses; who has none gets nowhere. */
static bool reaches_internet(const struct control *control, const char *id)
{
    const struct ec2_instance *instance = ec2_instance_find(control, id);
    const struct ec2_subnet *subnet =
        instance == NULL ? NULL : ec2_subnet_find(control, instance->subnet);

    return subnet != NULL && instance->public_address != NULL &&
           ec2_subnet_is_public(control, subnet);
}

static void collect_rules(const struct control *control, const char *vpc,
                          struct network_rules *rules)
{
    struct network_end *all_ends = mem_calloc(ENDS_PER_VPC_MAX, sizeof(*all_ends));
    struct network_rule *all_rules = mem_calloc(RULES_PER_VPC_MAX, sizeof(*all_rules));
    const struct ec2_interface *interface;
    const struct group *group;
    size_t ends = 0, count = 0, groups = 0;

    for (size_t at = 0; (group = thing_next(control, KIND_GROUP, &at)) != NULL;) {
        if (strcmp(group->vpc, vpc) != 0 || groups == GROUPS_PER_VPC_MAX) {
            continue;
        }
        for (size_t i = 0; i < group->rules_count && count < RULES_PER_VPC_MAX; i++) {
            if (add_rule(control, vpc, groups, &group->rules[i], &all_rules[count])) {
                count++;
            }
        }
        groups++;
    }
    for (size_t at = 0; (interface = thing_next(control, KIND_INTERFACE, &at)) != NULL;) {
        struct network_end *end = &all_ends[ends];

        if (strcmp(interface->vpc, vpc) != 0 || ends == ENDS_PER_VPC_MAX ||
            address_parse(slice_z(interface->address), &end->address, NULL) != 0) {
            continue;
        }
        if (interface->instance != NULL) {
            snprintf(end->instance, sizeof(end->instance), "%s", interface->instance);
            end->internet = reaches_internet(control, interface->instance);
        }
        for (size_t i = 0; i < interface->groups_count; i++) {
            size_t index = group_index(control, vpc, interface->groups[i]);

            if (index < GROUPS_PER_VPC_MAX && end->group_count < GROUPS_PER_END_MAX) {
                end->groups[end->group_count++] = (uint16_t)index;
            }
        }
        ends++;
    }
    *rules = (struct network_rules){.ends = all_ends,
                                    .end_count = ends,
                                    .group_count = (uint16_t)groups,
                                    .rules = all_rules,
                                    .rule_count = count};
}

struct compute_vpc *network_describe(const struct control *control, const struct ec2_vpc *vpc)
{
    struct compute_vpc *to = mem_calloc(1, sizeof(*to));
    const struct ec2_subnet *subnet;

    snprintf(to->id, sizeof(to->id), "%s", vpc->id);
    ASSERT(network_parse(slice_z(vpc->cidr), &to->cidr, NULL) == 0);
    to->allow_lan = control->options.allow_lan;
    for (size_t at = 0; (subnet = thing_next(control, KIND_SUBNET, &at)) != NULL;) {
        if (strcmp(subnet->vpc, vpc->id) == 0 && to->subnet_count < COMPUTE_SUBNETS_MAX) {
            ASSERT(network_parse(slice_z(subnet->cidr), &to->subnets[to->subnet_count], NULL) == 0);
            to->subnet_count++;
            to->internet |= ec2_subnet_is_public(control, subnet);
        }
    }
    collect_rules(control, vpc->id, &to->rules);
    return to;
}

void network_free(struct compute_vpc *network)
{
    free((void *)(uintptr_t)network->rules.ends);
    free((void *)(uintptr_t)network->rules.rules);
    free(network);
}
