/* The rules of security groups: authorising, revoking, describing them.
 * https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html */
#include "network/address.h"
#include "services/ec2/private.h"

#include "aws/id.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define RULES_PER_GROUP_MAX 120 /* AWS's default is 60 each way. */

void rule_close(struct rule *rule)
{
    free(rule->id);
    free(rule->protocol);
    free(rule->cidr);
    free(rule->cidr6);
    free(rule->list);
    free(rule->group);
    free(rule->description);
    *rule = (struct rule){0};
}

/* Rules being read; the texts are in the arena until they join a group. */
struct rules {
    struct rule *items;
    size_t count, room;
};

static struct rule *add(struct ctx *ctx, struct rules *rules, const struct rule *like,
                        const struct doc *peer)
{
    struct rule *rule;

    if (rules->count == rules->room) {
        struct rule *more = arena_calloc(ctx->arena, rules->room * 2 + 8, sizeof(*more));

        if (rules->count > 0) {
            memcpy(more, rules->items, rules->count * sizeof(*more));
        }
        rules->items = more;
        rules->room = rules->room * 2 + 8;
    }
    rule = &rules->items[rules->count++];
    *rule = *like;
    rule->description = doc_has(peer, M_Description)
                            ? arena_strdup(ctx->arena, doc_text(peer, M_Description))
                            : NULL;
    return rule;
}

static const struct {
    const char *number, *name;
} protocol_names[] = {
    {"6", "tcp"}, {"17", "udp"}, {"1", "icmp"}, {"58", "icmpv6"}, {"all", "-1"},
};

int rule_read_protocol(struct ctx *ctx, const struct doc *in, struct rule *like, struct error *err)
{
    struct slice text = doc_text(in, M_IpProtocol);
    int64_t number;
    bool ported, icmp;

    if (text.bytes == 0) {
        return error_api(err, "MissingParameter",
                         "The request must contain the parameter IpProtocol");
    }
    for (size_t i = 0; i < COUNT_OF(protocol_names); i++) {
        if (slice_equal_case(text, slice_z(protocol_names[i].number)) ||
            slice_equal_case(text, slice_z(protocol_names[i].name))) {
            text = slice_z(protocol_names[i].name);
        }
    }
    like->protocol = arena_strdup(ctx->arena, text);
    ported = slice_equal_z(text, "tcp") || slice_equal_z(text, "udp");
    icmp = slice_equal_z(text, "icmp") || slice_equal_z(text, "icmpv6");
    if (!ported && !icmp && text_to_i64(text, -1, 255, &number, NULL) != 0) {
        return error_api(err, "InvalidPermission.Malformed", "Invalid IP protocol specified '%.*s'",
                         SLICE_ARG(text));
    }
    like->from = doc_int_or(in, M_FromPort, -1);
    like->to = doc_int_or(in, M_ToPort, -1);
    if (!ported && !icmp) {
        like->from = like->to = -1; /* AWS ignores ports of other protocols. */
    }
    if (ported && (!doc_has(in, M_FromPort) || !doc_has(in, M_ToPort)) &&
        !(like->from == -1 && like->to == -1 && doc_has(in, M_FromPort))) {
        return error_api(err, "MissingParameter", "The request must contain the parameter %s",
                         doc_has(in, M_FromPort) ? "toPort" : "fromPort");
    }
    if (ported && like->from == -1) {
        like->from = 0;
        like->to = 65535;
    }
    if (ported && (like->from < 0 || like->to > 65535 || like->from > like->to)) {
        return error_api(err, "InvalidParameterValue",
                         "Invalid value for portRange. Must specify both from and to ports with "
                         "TCP/UDP, from %lld to %lld.",
                         (long long)like->from, (long long)like->to);
    }
    return 0;
}

int rule_read_cidr(struct ctx *ctx, const char *text, char **cidr, struct error *err)
{
    char normal[ADDRESS_TEXT_BYTES];
    struct network network;

    if (network_parse(slice_z(text), &network, NULL) != 0) {
        return error_api(err, "InvalidParameterValue", "CIDR block %s is malformed",
                         text == NULL ? "" : text);
    }
    network_text(network_base(network), normal);
    *cidr = arena_strdup(ctx->arena, slice_z(normal));
    return 0;
}

static int read_pair(struct ctx *ctx, const struct group *of, const struct doc *pair, char **group,
                     struct error *err)
{
    struct group *peer;
    int rc;

    if (!doc_has(pair, M_GroupId) && doc_has(pair, M_GroupName)) {
        peer = ec2_group_named(ctx->control, of->vpc, doc_z(pair, M_GroupName));
        if (peer == NULL) {
            return error_api(err, "InvalidGroup.NotFound", "The security group '%s' does not exist",
                             doc_z(pair, M_GroupName));
        }
    } else {
        rc = thing_need(ctx, KIND_GROUP, doc_z(pair, M_GroupId), (void **)&peer, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (strcmp(peer->vpc, of->vpc) != 0) {
        return error_api(err, "InvalidGroup.NotFound",
                         "You have specified two resources that belong to different networks.");
    }
    *group = peer->id;
    return 0;
}

static int read_permission(struct ctx *ctx, const struct group *group, const struct doc *in,
                           bool egress, struct rules *rules, struct error *err)
{
    struct rule like = {.egress = egress};
    size_t before = rules->count;
    int rc = rule_read_protocol(ctx, in, &like, err);

    for (size_t i = 0; rc == 0 && i < doc_count(in, M_IpRanges); i++) {
        const struct doc *peer = doc_at(in, M_IpRanges, i);

        rc = rule_read_cidr(ctx, doc_z(peer, M_CidrIp), &add(ctx, rules, &like, peer)->cidr, err);
    }
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_Ipv6Ranges); i++) {
        const struct doc *peer = doc_at(in, M_Ipv6Ranges, i);

        add(ctx, rules, &like, peer)->cidr6 = arena_strdup(ctx->arena, doc_text(peer, M_CidrIpv6));
    }
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_UserIdGroupPairs); i++) {
        const struct doc *peer = doc_at(in, M_UserIdGroupPairs, i);

        rc = read_pair(ctx, group, peer, &add(ctx, rules, &like, peer)->group, err);
    }
    if (rc == 0 && doc_count(in, M_PrefixListIds) > 0) {
        rc =
            error_api(err, "InvalidPrefixListID.NotFound", "The prefix list ID '%s' does not exist",
                      doc_z(doc_at(in, M_PrefixListIds, 0), M_PrefixListId));
    }
    if (rc == 0 && rules->count == before) {
        rc = error_api(err, "MissingParameter",
                       "The request must contain at least one range or group");
    }
    return rc;
}

/* Both forms: IpPermissions, and one rule as the request's own members. */
static int read_rules(struct ctx *ctx, const struct group *group, const struct doc *in, bool egress,
                      struct rules *rules, struct error *err)
{
    size_t count = doc_count(in, M_IpPermissions);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_permission(ctx, group, doc_at(in, M_IpPermissions, i), egress, rules, err);
    }
    if (rc == 0 && count == 0 &&
        (doc_has(in, M_IpProtocol) || doc_has(in, M_SourceSecurityGroupName))) {
        struct rule like = {.egress = egress};

        if (doc_has(in, M_SourceSecurityGroupName)) {
            struct group *peer =
                ec2_group_named(ctx->control, group->vpc, doc_z(in, M_SourceSecurityGroupName));

            like.protocol = arena_strdup(ctx->arena, SLICE_LIT("-1"));
            like.from = like.to = -1;
            if (peer == NULL) {
                return error_api(err, "InvalidGroup.NotFound",
                                 "The security group '%s' does not exist",
                                 doc_z(in, M_SourceSecurityGroupName));
            }
            add(ctx, rules, &like, NULL)->group = peer->id;
            return 0;
        }
        rc = rule_read_protocol(ctx, in, &like, err);
        return rc != 0 ? rc
                       : rule_read_cidr(ctx, doc_z(in, M_CidrIp),
                                        &add(ctx, rules, &like, NULL)->cidr, err);
    }
    return rc;
}

static bool texts_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool rules_equal(const struct rule *a, const struct rule *b)
{
    return a->egress == b->egress && strcmp(a->protocol, b->protocol) == 0 && a->from == b->from &&
           a->to == b->to && texts_equal(a->cidr, b->cidr) && texts_equal(a->cidr6, b->cidr6) &&
           texts_equal(a->list, b->list) && texts_equal(a->group, b->group);
}

size_t rule_find(const struct group *group, const struct rule *rule)
{
    size_t i = 0;

    while (i < group->rules_count && !rules_equal(&group->rules[i], rule)) {
        i++;
    }
    return i;
}

/* "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW" */
const char *rule_text(struct ctx *ctx, const struct rule *rule)
{
    const char *peer = rule->cidr != NULL ? rule->cidr : rule->cidr6;
    char protocol[16];
    size_t i = 0;

    peer = peer != NULL ? peer : rule->group != NULL ? rule->group : rule->list;
    if (strcmp(rule->protocol, "-1") == 0) {
        return arena_printf(ctx->arena, "peer: %s, ALL, ALLOW", peer).data;
    }
    for (; rule->protocol[i] != '\0' && i < sizeof(protocol) - 1; i++) {
        protocol[i] = rule->protocol[i];
        if (protocol[i] >= 'a' && protocol[i] <= 'z') {
            protocol[i] = (char)(protocol[i] - 'a' + 'A');
        }
    }
    protocol[i] = '\0';
    if (rule->from == -1 && rule->to == -1) {
        return arena_printf(ctx->arena, "peer: %s, %s, ALLOW", peer, protocol).data;
    }
    return arena_printf(ctx->arena, "peer: %s, %s, from port: %lld, to port: %lld, ALLOW", peer,
                        protocol, (long long)rule->from, (long long)rule->to)
        .data;
}

static void fill_rule(struct ctx *ctx, const struct group *group, const struct rule *rule,
                      struct doc *out)
{
    doc_set_z(out, M_SecurityGroupRuleId, rule->id);
    doc_set_z(out, M_GroupId, group->id);
    doc_set_z(out, M_GroupOwnerId, ctx->control->options.account);
    doc_set_bool(out, M_IsEgress, rule->egress);
    doc_set_z(out, M_IpProtocol, rule->protocol);
    doc_set_int(out, M_FromPort, rule->from);
    doc_set_int(out, M_ToPort, rule->to);
    doc_set_z(out, M_CidrIpv4, rule->cidr);
    doc_set_z(out, M_CidrIpv6, rule->cidr6);
    doc_set_z(out, M_PrefixListId, rule->list);
    if (rule->group != NULL) {
        struct doc *peer = doc_set_struct(out, M_ReferencedGroupInfo);

        doc_set_z(peer, M_GroupId, rule->group);
        doc_set_z(peer, M_UserId, ctx->control->options.account);
        doc_set_z(peer, M_VpcId, group->vpc);
    }
    doc_set_z(out, M_Description, rule->description);
    doc_set_z(out, M_SecurityGroupRuleArn, ec2_arn(ctx, "security-group-rule", rule->id));
    ec2_tags_fill(ctx, ec2_arn(ctx, "security-group-rule", rule->id), out);
}

static void join(struct group *group, const struct rule *rule)
{
    char id[ID_BYTES];
    struct rule *own;

    id_new(id, "sgr-");
    group->rules = mem_realloc(group->rules, group->rules_count + 1, sizeof(*group->rules));
    own = &group->rules[group->rules_count++];
    *own = (struct rule){.id = mem_strdup(id),
                         .egress = rule->egress,
                         .protocol = mem_strdup(rule->protocol),
                         .from = rule->from,
                         .to = rule->to,
                         .cidr = mem_strdup(rule->cidr),
                         .cidr6 = mem_strdup(rule->cidr6),
                         .list = mem_strdup(rule->list),
                         .group = mem_strdup(rule->group),
                         .description = mem_strdup(rule->description)};
}

static int authorize_rules(struct ctx *ctx, const struct doc *in, struct doc *out, bool egress,
                           struct error *err)
{
    struct group *group;
    struct rules rules = {0};
    int rc = tag_specs_check(in, "security-group-rule", err);

    rc = rc != 0 ? rc : ec2_group_need(ctx, in, &group, err);
    rc = rc != 0 ? rc : read_rules(ctx, group, in, egress, &rules, err);
    if (rc != 0) {
        return rc;
    }
    if (rules.count == 0) {
        return error_api(err, "MissingParameter",
                         "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.");
    }
    for (size_t i = 0; i < rules.count; i++) {
        bool twin = rule_find(group, &rules.items[i]) < group->rules_count;

        for (size_t j = 0; j < i; j++) {
            twin |= rules_equal(&rules.items[i], &rules.items[j]);
        }
        if (twin) {
            return error_api(err, "InvalidPermission.Duplicate",
                             "the specified rule \"%s\" already exists",
                             rule_text(ctx, &rules.items[i]));
        }
    }
    if (group->rules_count + rules.count > RULES_PER_GROUP_MAX) {
        return error_api(err, "RulesPerSecurityGroupLimitExceeded",
                         "The maximum number of rules per security group has been reached.");
    }
    if (quota_check_rules(ctx->control, group->vpc, rules.count, err) != 0) {
        return ERR_API;
    }
    DRY_RUN(in, err)
    doc_set_bool(out, M_Return, true);
    doc_set_list(out, M_SecurityGroupRules);
    for (size_t i = 0; i < rules.count; i++) {
        const struct rule *made;

        join(group, &rules.items[i]);
        made = &group->rules[group->rules_count - 1];
        for (size_t j = 0; j < doc_count(in, M_TagSpecifications); j++) {
            const struct doc *spec = doc_at(in, M_TagSpecifications, j);

            for (size_t k = 0; k < doc_count(spec, M_Tags); k++) {
                const struct doc *tag = doc_at(spec, M_Tags, k);

                ctx_tag_put(ctx, ec2_arn(ctx, "security-group-rule", made->id), doc_z(tag, M_Key),
                            doc_has(tag, M_Value) ? doc_z(tag, M_Value) : "");
            }
        }
        fill_rule(ctx, group, made, doc_add_struct(out, M_SecurityGroupRules));
    }
    thing_put(ctx, KIND_GROUP, group);
    act_vpc(ctx, group->vpc);
    return 0;
}

int ec2_authorize_security_group_ingress(struct ctx *ctx, const struct doc *in, struct doc *out,
                                         struct error *err)
{
    return authorize_rules(ctx, in, out, false, err);
}

int ec2_authorize_security_group_egress(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    return authorize_rules(ctx, in, out, true, err);
}

/* Which of the group's rules the request means: @gone[i]. */
static int find_revoked(struct ctx *ctx, const struct group *group, const struct doc *in,
                        bool egress, bool *gone, struct error *err)
{
    struct rules rules = {0};
    int rc = read_rules(ctx, group, in, egress, &rules, err);

    for (size_t i = 0; rc == 0 && i < rules.count; i++) {
        size_t index = rule_find(group, &rules.items[i]);

        if (index == group->rules_count) {
            return error_api(err, "InvalidPermission.NotFound",
                             "The specified rule does not exist in this security group.");
        }
        gone[index] = true;
    }
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_SecurityGroupRuleIds); i++) {
        const char *id = doc_z_at(in, M_SecurityGroupRuleIds, i);
        bool found = false;

        for (size_t j = 0; j < group->rules_count; j++) {
            if (strcmp(group->rules[j].id, id) == 0 && group->rules[j].egress == egress) {
                gone[j] = found = true;
            }
        }
        if (!found) {
            return error_api(err, "InvalidSecurityGroupRuleId.NotFound",
                             "The security group rule ID '%s' does not exist", id);
        }
    }
    if (rc == 0 && rules.count == 0 && doc_count(in, M_SecurityGroupRuleIds) == 0) {
        return error_api(err, "MissingParameter",
                         "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.");
    }
    return rc;
}

static int revoke_rules(struct ctx *ctx, const struct doc *in, struct doc *out, bool egress,
                        struct error *err)
{
    struct group *group;
    bool *gone;
    size_t kept = 0;
    int rc = ec2_group_need(ctx, in, &group, err);

    if (rc != 0) {
        return rc;
    }
    gone = arena_calloc(ctx->arena, group->rules_count + 1, sizeof(*gone));
    rc = find_revoked(ctx, group, in, egress, gone, err);
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_bool(out, M_Return, true);
    doc_set_list(out, M_UnknownIpPermissions);
    doc_set_list(out, M_RevokedSecurityGroupRules);
    for (size_t i = 0; i < group->rules_count; i++) {
        struct rule *rule = &group->rules[i];

        if (gone[i]) {
            struct doc *item = doc_add_struct(out, M_RevokedSecurityGroupRules);

            doc_set_z(item, M_SecurityGroupRuleId, rule->id);
            doc_set_z(item, M_GroupId, group->id);
            doc_set_bool(item, M_IsEgress, rule->egress);
            doc_set_z(item, M_IpProtocol, rule->protocol);
            doc_set_int(item, M_FromPort, rule->from);
            doc_set_int(item, M_ToPort, rule->to);
            doc_set_z(item, M_CidrIpv4, rule->cidr);
            doc_set_z(item, M_CidrIpv6, rule->cidr6);
            doc_set_z(item, M_ReferencedGroupId, rule->group);
            doc_set_z(item, M_Description, rule->description);
            ctx_tags_drop(ctx, ec2_arn(ctx, "security-group-rule", rule->id));
            rule_close(rule);
        } else {
            group->rules[kept++] = *rule;
        }
    }
    group->rules_count = kept;
    thing_put(ctx, KIND_GROUP, group);
    act_vpc(ctx, group->vpc);
    return 0;
}

int ec2_revoke_security_group_ingress(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    return revoke_rules(ctx, in, out, false, err);
}

int ec2_revoke_security_group_egress(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    return revoke_rules(ctx, in, out, true, err);
}

static struct doc *find_permission(struct doc *list, const struct rule *rule)
{
    for (size_t i = 0; i < list->u.list.count; i++) {
        struct doc *item = list->u.list.elements[i];

        if (slice_equal_z(doc_text(item, M_IpProtocol), rule->protocol) &&
            doc_int_or(item, M_FromPort, -1) == rule->from &&
            doc_int_or(item, M_ToPort, -1) == rule->to) {
            return item;
        }
    }
    return NULL;
}

/* Rules of the same protocol and ports are one IpPermission. */
void permissions_fill(struct ctx *ctx, const struct group *group, bool egress, struct doc *list)
{
    for (size_t i = 0; i < group->rules_count; i++) {
        const struct rule *rule = &group->rules[i];
        struct doc *item;
        struct doc *peer;

        if (rule->egress != egress) {
            continue;
        }
        item = find_permission(list, rule);
        if (item == NULL) {
            item = doc_list_add_struct(list);
            doc_set_z(item, M_IpProtocol, rule->protocol);
            if (strcmp(rule->protocol, "-1") != 0) {
                doc_set_int(item, M_FromPort, rule->from);
                doc_set_int(item, M_ToPort, rule->to);
            }
            doc_set_list(item, M_UserIdGroupPairs);
            doc_set_list(item, M_IpRanges);
            doc_set_list(item, M_Ipv6Ranges);
            doc_set_list(item, M_PrefixListIds);
        }
        if (rule->cidr != NULL) {
            peer = doc_add_struct(item, M_IpRanges);
            doc_set_z(peer, M_CidrIp, rule->cidr);
        } else if (rule->cidr6 != NULL) {
            peer = doc_add_struct(item, M_Ipv6Ranges);
            doc_set_z(peer, M_CidrIpv6, rule->cidr6);
        } else {
            peer = doc_add_struct(item, M_UserIdGroupPairs);
            doc_set_z(peer, M_GroupId, rule->group);
            doc_set_z(peer, M_UserId, ctx->control->options.account);
        }
        doc_set_z(peer, M_Description, rule->description);
    }
}

/* DescribeSecurityGroupRules: a rule together with its group. */

struct row {
    const struct group *group;
    const struct rule *rule;
};

static void by_group(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct row *)row)->group->id);
}

static void by_rule(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct row *)row)->rule->id);
}

static const struct filter row_filters[] = {{"group-id", by_group},
                                            {"security-group-rule-id", by_rule}};

int ec2_describe_security_group_rules(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    size_t asked = doc_count(in, M_SecurityGroupRuleIds);
    size_t found = 0;
    struct page page;
    struct row row;
    int rc = filters_check(in, row_filters, COUNT_OF(row_filters), err);

    rc = rc != 0 ? rc : list_page_begin(ctx, in, "DescribeSecurityGroupRules", 5, 1000, &page, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_SecurityGroupRules);
    for (size_t at = 0; (row.group = thing_next(ctx->control, KIND_GROUP, &at)) != NULL;) {
        for (size_t i = 0; i < row.group->rules_count; i++) {
            row.rule = &row.group->rules[i];
            if (asked > 0 &&
                !doc_list_contains(in, M_SecurityGroupRuleIds, slice_z(row.rule->id))) {
                continue;
            }
            found++;
            if (filters_hold(ctx, in, row_filters, COUNT_OF(row_filters),
                             ec2_arn(ctx, "security-group-rule", row.rule->id), &row) &&
                list_page_take(&page, row.rule->id)) {
                fill_rule(ctx, row.group, row.rule, doc_add_struct(out, M_SecurityGroupRules));
            }
        }
    }
    if (found < asked) {
        return error_api(err, "InvalidSecurityGroupRuleId.NotFound",
                         "The security group rule ID '%s' does not exist",
                         doc_z_at(in, M_SecurityGroupRuleIds, 0));
    }
    list_page_end(ctx, &page, "DescribeSecurityGroupRules", out);
    return 0;
}
