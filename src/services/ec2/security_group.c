/* Security groups; their rules are in rules.c.
 * https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html */
#include "services/ec2/private.h"

#include "aws/id.h"

#include <string.h>

#define GROUP_TEXT_BYTES_MAX 255

struct group *ec2_group_named(const struct control *control, const char *vpc, const char *name)
{
    struct group *group;

    for (size_t at = 0; (group = thing_next(control, KIND_GROUP, &at)) != NULL;) {
        if (strcmp(group->vpc, vpc) == 0 && strcmp(group->name, name) == 0) {
            return group;
        }
    }
    return NULL;
}

const char *ec2_group_vpc(const struct control *control, const char *group)
{
    const struct group *found = thing_get(control, KIND_GROUP, group);

    return found == NULL ? NULL : found->vpc;
}

const char *ec2_group_name(const struct control *control, const char *group)
{
    const struct group *found = thing_get(control, KIND_GROUP, group);

    return found == NULL ? NULL : found->name;
}

const char *ec2_group_default(const struct control *control, const char *vpc)
{
    const struct group *group = ec2_group_named(control, vpc, "default");

    return group == NULL ? NULL : group->id;
}

struct group *ec2_group_make(struct ctx *ctx, const char *name, const char *description,
                             const char *vpc)
{
    struct group *group = thing_new(ctx, KIND_GROUP, NULL);
    char id[ID_BYTES];

    id_new(id, "sgr-");
    group->name = mem_strdup(name);
    group->description = mem_strdup(description);
    group->vpc = mem_strdup(vpc);
    group->rules = mem_calloc(1, sizeof(*group->rules));
    group->rules_count = 1;
    group->rules[0] = (struct rule){.id = mem_strdup(id),
                                    .egress = true,
                                    .protocol = mem_strdup("-1"),
                                    .from = -1,
                                    .to = -1,
                                    .cidr = mem_strdup("0.0.0.0/0")};
    thing_put(ctx, KIND_GROUP, group);
    return group;
}

static bool text_allowed(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return text.bytes <= GROUP_TEXT_BYTES_MAX;
}

static int check_new(struct ctx *ctx, const struct doc *in, const struct ec2_vpc **vpc,
                     struct error *err)
{
    struct slice name = doc_text(in, M_GroupName);
    int rc = tag_specs_check(in, "security-group", err);

    if (rc == 0 && !doc_has(in, M_VpcId)) {
        *vpc = ec2_vpc_default(ctx->control);
        rc = *vpc != NULL ? 0 : error_api(err, "VPCIdNotSpecified", "No default VPC for this user");
    } else if (rc == 0) {
        rc = thing_need(ctx, KIND_VPC, doc_z(in, M_VpcId), (void **)vpc, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!text_allowed(name) || slice_starts(name, SLICE_LIT("sg-"))) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%.*s) for parameter GroupName is invalid. Group names may not be "
                         "in the format sg-*, and have at most %d characters.",
                         SLICE_ARG(name), GROUP_TEXT_BYTES_MAX);
    }
    if (!text_allowed(doc_text(in, M_Description))) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%.*s) for parameter GroupDescription is invalid. Character sets "
                         "beyond ASCII are not supported.",
                         SLICE_ARG(doc_text(in, M_Description)));
    }
    if (ec2_group_named(ctx->control, (*vpc)->id, doc_z(in, M_GroupName)) != NULL) {
        return error_api(err, "InvalidGroup.Duplicate",
                         "The security group '%.*s' already exists for VPC '%s'", SLICE_ARG(name),
                         (*vpc)->id);
    }
    return 0;
}

int ec2_create_security_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    const struct ec2_vpc *vpc;
    const struct group *group;
    int rc = check_new(ctx, in, &vpc, err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    if (quota_check(ctx->control, KIND_GROUP, vpc->id, 1, err) != 0) {
        return ERR_API;
    }
    group = ec2_group_make(ctx, doc_z(in, M_GroupName), doc_z(in, M_Description), vpc->id);
    tag_specs_apply(ctx, in, "security-group", KIND_GROUP, group->id);
    act_vpc(ctx, vpc->id);
    doc_set_z(out, M_GroupId, group->id);
    doc_set_z(out, M_SecurityGroupArn, thing_arn(ctx, KIND_GROUP, group->id));
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_GROUP, group->id), out);
    return 0;
}

int ec2_group_need(struct ctx *ctx, const struct doc *in, struct group **group, struct error *err)
{
    const char *name = doc_z(in, M_GroupName);
    const struct ec2_vpc *vpc = ec2_vpc_default(ctx->control);

    if (doc_has(in, M_GroupId) || name == NULL) {
        return thing_need(ctx, KIND_GROUP, doc_z(in, M_GroupId), (void **)group, err);
    }
    *group = vpc == NULL ? NULL : ec2_group_named(ctx->control, vpc->id, name);
    return *group != NULL ? 0
                          : error_api(err, "InvalidGroup.NotFound",
                                      "The security group '%s' does not exist in default VPC '%s'",
                                      name, vpc == NULL ? "none" : vpc->id);
}

static bool group_in_use(const struct control *control, const struct group *group)
{
    const struct ec2_interface *interface;
    const struct group *other;

    for (size_t at = 0; (interface = thing_next(control, KIND_INTERFACE, &at)) != NULL;) {
        if (interface_in_group(interface, group->id)) {
            return true;
        }
    }
    for (size_t at = 0; (other = thing_next(control, KIND_GROUP, &at)) != NULL;) {
        for (size_t i = 0; other != group && i < other->rules_count; i++) {
            if (other->rules[i].group != NULL && strcmp(other->rules[i].group, group->id) == 0) {
                return true;
            }
        }
    }
    return false;
}

int ec2_delete_security_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    struct group *group;
    const char *vpc;
    int rc = ec2_group_need(ctx, in, &group, err);

    if (rc != 0) {
        return rc;
    }
    if (strcmp(group->name, "default") == 0) {
        return error_api(err, "CannotDelete",
                         "the specified group: \"%s\" name: \"default\" cannot be deleted by a "
                         "user",
                         group->id);
    }
    if (group_in_use(ctx->control, group)) {
        return error_api(err, "DependencyViolation", "resource %s has a dependent object",
                         group->id);
    }
    DRY_RUN(in, err)
    vpc = arena_strdup(ctx->arena, slice_z(group->vpc));
    doc_set_bool(out, M_Return, true);
    doc_set_z(out, M_GroupId, group->id);
    for (size_t i = 0; i < group->rules_count; i++) {
        ctx_tags_drop(ctx, ec2_arn(ctx, "security-group-rule", group->rules[i].id));
    }
    thing_drop(ctx, KIND_GROUP, group);
    act_vpc(ctx, vpc);
    return 0;
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct group *group = thing;

    doc_set_z(out, M_GroupId, group->id);
    doc_set_z(out, M_GroupName, group->name);
    doc_set_z(out, M_Description, group->description);
    doc_set_z(out, M_VpcId, group->vpc);
    doc_set_z(out, M_OwnerId, ctx->control->options.account);
    doc_set_z(out, M_SecurityGroupArn, thing_arn(ctx, KIND_GROUP, group->id));
    permissions_fill(ctx, group, false, doc_set_list(out, M_IpPermissions));
    permissions_fill(ctx, group, true, doc_set_list(out, M_IpPermissionsEgress));
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_GROUP, group->id), out);
}

FILTER_TEXT(by_id, struct group, id)
FILTER_TEXT(by_name, struct group, name)
FILTER_TEXT(by_description, struct group, description)
FILTER_TEXT(by_vpc, struct group, vpc)
FILTER_OWNER(by_owner)

/* The filters "ip-permission.cidr" and "egress.ip-permission.cidr" and their kin: by macro, for
 * both directions. */
#define BY_RULE(name_, egress_, statement_)                                                        \
    static void name_(struct ctx *ctx, const void *thing, struct match *match)                     \
    {                                                                                              \
        const struct group *group = thing;                                                         \
                                                                                                   \
        (void)ctx;                                                                                 \
        for (size_t i = 0; i < group->rules_count; i++) {                                          \
            const struct rule *rule = &group->rules[i];                                            \
                                                                                                   \
            if (rule->egress == (egress_)) {                                                       \
                statement_;                                                                        \
            }                                                                                      \
        }                                                                                          \
    }
BY_RULE(in_cidr, false, match_z(match, rule->cidr))
BY_RULE(in_from, false, match_int(match, rule->from))
BY_RULE(in_to, false, match_int(match, rule->to))
BY_RULE(in_protocol, false, match_z(match, rule->protocol))
BY_RULE(in_group, false, match_z(match, rule->group))
BY_RULE(out_cidr, true, match_z(match, rule->cidr))
BY_RULE(out_from, true, match_int(match, rule->from))
BY_RULE(out_to, true, match_int(match, rule->to))
BY_RULE(out_protocol, true, match_z(match, rule->protocol))
BY_RULE(out_group, true, match_z(match, rule->group))

static const struct filter filters[] = {
    {"description", by_description},
    {"egress.ip-permission.cidr", out_cidr},
    {"egress.ip-permission.from-port", out_from},
    {"egress.ip-permission.group-id", out_group},
    {"egress.ip-permission.protocol", out_protocol},
    {"egress.ip-permission.to-port", out_to},
    {"group-id", by_id},
    {"group-name", by_name},
    {"ip-permission.cidr", in_cidr},
    {"ip-permission.from-port", in_from},
    {"ip-permission.group-id", in_group},
    {"ip-permission.protocol", in_protocol},
    {"ip-permission.to-port", in_to},
    {"owner-id", by_owner},
    {"vpc-id", by_vpc},
};

static bool admits(struct ctx *ctx, const struct doc *in, const void *thing)
{
    (void)ctx;
    return doc_count(in, M_GroupNames) == 0 ||
           doc_list_contains(in, M_GroupNames, slice_z(((const struct group *)thing)->name));
}

int ec2_describe_security_groups(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    static const struct listing listing = {.kind = KIND_GROUP,
                                           .action = "DescribeSecurityGroups",
                                           .list = M_SecurityGroups,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill,
                                           .admits = admits};
    const struct ec2_vpc *vpc = ec2_vpc_default(ctx->control);

    for (size_t i = 0; i < doc_count(in, M_GroupNames); i++) {
        const char *name = doc_z_at(in, M_GroupNames, i);

        if (vpc == NULL || ec2_group_named(ctx->control, vpc->id, name) == NULL) {
            return error_api(err, "InvalidGroup.NotFound",
                             "The security group '%s' does not exist in default VPC '%s'", name,
                             vpc == NULL ? "none" : vpc->id);
        }
    }
    return list_things(ctx, in, out, &listing, err);
}
