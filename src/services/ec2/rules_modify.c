/* ModifySecurityGroupRules: a rule keeps its id and gets another content.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html */
#include "services/ec2/private.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static size_t index_of(const struct group *group, const char *id)
{
    size_t i = 0;

    while (i < group->rules_count && strcmp(group->rules[i].id, id) != 0) {
        i++;
    }
    return i;
}

/* The new content, whole: what a request leaves out is not kept. */
static int read_content(struct ctx *ctx, const struct group *group, const struct doc *in,
                        struct rule *content, struct error *err)
{
    int peers = doc_has(in, M_CidrIpv4) + doc_has(in, M_CidrIpv6) + doc_has(in, M_PrefixListId) +
                doc_has(in, M_ReferencedGroupId);
    int rc = rule_read_protocol(ctx, in, content, err);

    if (rc == 0 && peers != 1) {
        rc = error_api(err, "InvalidParameterValue",
                       "Exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId must "
                       "be specified.");
    }
    if (rc == 0 && doc_has(in, M_PrefixListId)) {
        rc = error_api(err, "InvalidPrefixListID.NotFound",
                       "The prefix list ID '%s' does not exist", doc_z(in, M_PrefixListId));
    }
    if (rc == 0 && doc_has(in, M_CidrIpv4)) {
        rc = rule_read_cidr(ctx, doc_z(in, M_CidrIpv4), &content->cidr, err);
    }
    if (rc == 0 && doc_has(in, M_CidrIpv6)) {
        content->cidr6 = arena_strdup(ctx->arena, doc_text(in, M_CidrIpv6));
    }
    if (rc == 0 && doc_has(in, M_ReferencedGroupId)) {
        struct group *peer;

        rc = thing_need(ctx, KIND_GROUP, doc_z(in, M_ReferencedGroupId), (void **)&peer, err);
        if (rc == 0 && strcmp(peer->vpc, group->vpc) != 0) {
            rc = error_api(err, "InvalidGroup.NotFound",
                           "You have specified two resources that belong to different networks.");
        }
        content->group = rc == 0 ? peer->id : NULL;
    }
    content->description =
        doc_has(in, M_Description) ? arena_strdup(ctx->arena, doc_text(in, M_Description)) : NULL;
    return rc;
}

static int read_update(struct ctx *ctx, const struct group *group, const struct doc *in,
                       size_t *index, struct rule *content, struct error *err)
{
    const char *id = doc_z(in, M_SecurityGroupRuleId);
    size_t twin;
    int rc;

    *index = index_of(group, id);
    if (*index == group->rules_count) {
        return error_api(err, "InvalidSecurityGroupRuleId.NotFound",
                         "The security group rule ID '%s' does not exist", id);
    }
    *content = (struct rule){.egress = group->rules[*index].egress};
    rc = read_content(ctx, group, doc_get(in, M_SecurityGroupRule), content, err);
    if (rc != 0) {
        return rc;
    }
    twin = rule_find(group, content);
    return twin == group->rules_count || twin == *index
               ? 0
               : error_api(err, "InvalidPermission.Duplicate",
                           "the specified rule \"%s\" already exists", rule_text(ctx, content));
}

static void replace(struct rule *rule, const struct rule *content)
{
    struct rule next = {.id = mem_strdup(rule->id),
                        .egress = rule->egress,
                        .protocol = mem_strdup(content->protocol),
                        .from = content->from,
                        .to = content->to,
                        .cidr = mem_strdup(content->cidr),
                        .cidr6 = mem_strdup(content->cidr6),
                        .group = mem_strdup(content->group),
                        .description = mem_strdup(content->description)};

    rule_close(rule);
    *rule = next;
}

int ec2_modify_security_group_rules(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    size_t count = doc_count(in, M_SecurityGroupRules);
    size_t *indexes = arena_calloc(ctx->arena, count + 1, sizeof(*indexes));
    struct rule *contents = arena_calloc(ctx->arena, count + 1, sizeof(*contents));
    struct group *group;
    int rc = thing_need(ctx, KIND_GROUP, doc_z(in, M_GroupId), (void **)&group, err);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_update(ctx, group, doc_at(in, M_SecurityGroupRules, i), &indexes[i], &contents[i],
                         err);
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    for (size_t i = 0; i < count; i++) {
        replace(&group->rules[indexes[i]], &contents[i]);
    }
    doc_set_bool(out, M_Return, true);
    thing_put(ctx, KIND_GROUP, group);
    act_vpc(ctx, group->vpc);
    return 0;
}
