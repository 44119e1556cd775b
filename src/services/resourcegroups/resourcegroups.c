#include "services/resourcegroups/resourcegroups.h"

#include "api/handlers.h"
#include "api/members.h"
#include "aws/page.h"
#include "base/alloc.h"
#include "base/map.h"
#include "store/record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX 50
#define GROUPS_MAX 100 /* AWS's quota. */

struct group {
    char *name;
    char *arn;
    char *description;
    char *query_type;
    char *query; /* As given: it must come back byte for byte. */
};

struct resourcegroups {
    struct map groups; /* Name -> struct group. */
};

static const struct record_field group_fields[] = {
    RECORD_TEXT(struct group, name),        RECORD_TEXT(struct group, arn),
    RECORD_TEXT(struct group, description), RECORD_TEXT(struct group, query_type),
    RECORD_TEXT(struct group, query),
};
static const struct record group_record = RECORD(struct group, group_fields);

static void changed(struct ctx *ctx, const struct group *group)
{
    changes_put_record(ctx->changes, SLICE_LIT("resourcegroups.group"), slice_z(group->name),
                       &group_record, group);
}

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    control->resourcegroups = mem_calloc(1, sizeof(*control->resourcegroups));
    return 0;
}

static int load_record(struct control *control, struct slice kind, struct slice id,
                       struct slice body, struct error *err)
{
    struct group *group = mem_calloc(1, sizeof(*group));
    int rc = record_load(&group_record, group, body, err);

    (void)kind;
    if (rc != 0) {
        free(group);
        return rc;
    }
    map_put(&control->resourcegroups->groups, id, group);
    return 0;
}

static void close_service(struct control *control)
{
    struct group *group;

    if (control->resourcegroups == NULL) {
        return;
    }
    for (size_t at = 0; (group = map_next(&control->resourcegroups->groups, &at)) != NULL;) {
        record_close(&group_record, group);
        free(group);
    }
    map_close(&control->resourcegroups->groups);
    free(control->resourcegroups);
    control->resourcegroups = NULL;
}

const struct service resourcegroups_service = {
    .name = "resourcegroups",
    .open = open_service,
    .load = load_record,
    .close = close_service,
};

/* Group, an ARN or a name; or the older GroupName. */
static int find(struct ctx *ctx, const struct doc *in, struct group **group, struct error *err)
{
    const char *name = doc_has(in, M_Group) ? doc_z(in, M_Group) : doc_z(in, M_GroupName);
    const char *slash = name == NULL ? NULL : strstr(name, ":group/");

    if (name == NULL) {
        return error_api(err, "BadRequestException",
                         "Either Group or GroupName must be specified.");
    }
    name = slash == NULL ? name : slash + 7;
    *group = map_get_z(&ctx->control->resourcegroups->groups, name);
    return *group != NULL ? 0 : error_api(err, "NotFoundException", "Cannot find group: %s", name);
}

static void describe(const struct group *group, struct doc *row)
{
    doc_set_z(row, M_GroupArn, group->arn);
    doc_set_z(row, M_Name, group->name);
    doc_set_z(row, M_Description, group->description);
}

static void describe_query(const struct group *group, struct doc *row)
{
    doc_set_z(row, M_Type, group->query_type);
    doc_set_z(row, M_Query, group->query);
}

static int check_query(const struct doc *query, struct error *err)
{
    json_t *json;

    if (query == NULL) {
        return error_api(err, "BadRequestException",
                         "Query not valid: muster's groups need a ResourceQuery");
    }
    json = json_loads(doc_z(query, M_Query), 0, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return error_api(err, "BadRequestException", "Query not valid: Failed to parse JSON");
    }
    json_decref(json);
    return 0;
}

static void replace(char **text, const char *value)
{
    free(*text);
    *text = mem_strdup(value);
}

static void put_tags(struct ctx *ctx, const char *arn, const struct doc *in)
{
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        ctx_tag_put(ctx, arn, doc_key_at(in, M_Tags, i).data, doc_z_at(in, M_Tags, i));
    }
}

static void describe_tags(struct ctx *ctx, const char *arn, struct doc *out)
{
    const struct tags *tags = tags_of(&ctx->control->tags, arn);
    struct doc *map = doc_set_map(out, M_Tags);

    for (size_t i = 0; i < tags->count; i++) {
        doc_map_put_z(map, tags->items[i].key, tags->items[i].value);
    }
}

int resourcegroups_create_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct resourcegroups *service = ctx->control->resourcegroups;
    const char *name = doc_z(in, M_Name);
    const struct doc *query = doc_get(in, M_ResourceQuery);
    struct group *group;
    int rc = check_query(query, err);

    if (rc != 0) {
        return rc;
    }
    if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] !=
            '\0' ||
        strncasecmp(name, "aws", 3) == 0) {
        return error_api(err, "BadRequestException", "The group name is not valid: %s", name);
    }
    if (map_get_z(&service->groups, name) != NULL) {
        return error_api(err, "BadRequestException", "Cannot create group: group already exists");
    }
    if (service->groups.count >= GROUPS_MAX) {
        return error_api(err, "BadRequestException", "The limit of %d groups is reached",
                         GROUPS_MAX);
    }
    group = mem_calloc(1, sizeof(*group));
    *group = (struct group){
        .name = mem_strdup(name),
        .arn = mem_strdup(ctx_arn(ctx, "resource-groups", "group/%s", name)),
        .description = mem_strdup(doc_z(in, M_Description)),
        .query_type = mem_strdup(doc_z(query, M_Type)),
        .query = mem_strdup(doc_z(query, M_Query)),
    };
    map_put(&service->groups, slice_z(name), group);
    changed(ctx, group);
    put_tags(ctx, group->arn, in);
    describe(group, doc_set_struct(out, M_Group));
    describe_query(group, doc_set_struct(out, M_ResourceQuery));
    describe_tags(ctx, group->arn, out);
    return 0;
}

int resourcegroups_get_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    struct group *group;
    int rc = find(ctx, in, &group, err);

    if (rc == 0) {
        describe(group, doc_set_struct(out, M_Group));
    }
    return rc;
}

static void answer_query(const struct group *group, struct doc *out)
{
    struct doc *row = doc_set_struct(out, M_GroupQuery);

    doc_set_z(row, M_GroupName, group->name);
    describe_query(group, doc_set_struct(row, M_ResourceQuery));
}

int resourcegroups_get_group_query(struct ctx *ctx, const struct doc *in, struct doc *out,
                                   struct error *err)
{
    struct group *group;
    int rc = find(ctx, in, &group, err);

    if (rc == 0) {
        answer_query(group, out);
    }
    return rc;
}

int resourcegroups_get_group_configuration(struct ctx *ctx, const struct doc *in, struct doc *out,
                                           struct error *err)
{
    struct group *group;
    int rc = find(ctx, in, &group, err);

    (void)out;
    return rc != 0 ? rc
                   : error_api(err, "BadRequestException",
                               "GetGroupConfiguration is not allowed for query based groups: %s",
                               group->name);
}

int resourcegroups_update_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct group *group;
    int rc = find(ctx, in, &group, err);

    if (rc == 0) {
        replace(&group->description, doc_z(in, M_Description));
        changed(ctx, group);
        describe(group, doc_set_struct(out, M_Group));
    }
    return rc;
}

int resourcegroups_update_group_query(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    const struct doc *query = doc_get(in, M_ResourceQuery);
    struct group *group;
    int rc = find(ctx, in, &group, err);

    if (rc == 0) {
        rc = check_query(query, err);
    }
    if (rc == 0) {
        replace(&group->query_type, doc_z(query, M_Type));
        replace(&group->query, doc_z(query, M_Query));
        changed(ctx, group);
        answer_query(group, out);
    }
    return rc;
}

int resourcegroups_delete_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct group *group;
    int rc = find(ctx, in, &group, err);

    if (rc != 0) {
        return rc;
    }
    describe(group, doc_set_struct(out, M_Group));
    changes_del(ctx->changes, SLICE_LIT("resourcegroups.group"), slice_z(group->name));
    ctx_tags_drop(ctx, group->arn);
    map_remove(&ctx->control->resourcegroups->groups, slice_z(group->name));
    record_close(&group_record, group);
    free(group);
    return 0;
}

/* Both lists say the same of the same things: keep the page that is asked for. */
static int page(struct ctx *ctx, const struct doc *in, struct doc *out, const char *action,
                int first, int second, struct error *err)
{
    size_t limit = (size_t)doc_int_or(in, M_MaxResults, RESULTS_MAX), from;
    const char *next;

    if (page_window(ctx->arena, action, doc_z(in, M_NextToken), limit, doc_count(out, first), &from,
                    &next, err) != 0) {
        return error_api(err, "BadRequestException", "NextToken is not valid");
    }
    doc_list_keep(out, first, from, limit);
    doc_list_keep(out, second, from, limit);
    doc_set_z(out, M_NextToken, next);
    return 0;
}

int resourcegroups_list_groups(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    const struct group *group;

    doc_set_list(out, M_Groups);
    doc_set_list(out, M_GroupIdentifiers);
    for (size_t at = 0; (group = map_next(&ctx->control->resourcegroups->groups, &at)) != NULL;) {
        struct doc *row = doc_add_struct(out, M_GroupIdentifiers);

        describe(group, doc_add_struct(out, M_Groups));
        doc_set_z(row, M_GroupName, group->name);
        doc_set_z(row, M_GroupArn, group->arn);
        doc_set_z(row, M_Description, group->description);
    }
    return page(ctx, in, out, "ListGroups", M_Groups, M_GroupIdentifiers, err);
}

/* Which resources a query means. */

static const struct {
    const char *part, *type; /* What an ARN of the type contains, after "arn:aws:". */
} types[] = {
    {"ec2:*:instance/*", "AWS::EC2::Instance"},
    {"ec2:*:vpc/*", "AWS::EC2::VPC"},
    {"ec2:*:subnet/*", "AWS::EC2::Subnet"},
    {"ec2:*:security-group/*", "AWS::EC2::SecurityGroup"},
    {"ec2:*:internet-gateway/*", "AWS::EC2::InternetGateway"},
    {"ec2:*:route-table/*", "AWS::EC2::RouteTable"},
    {"ec2:*:launch-template/*", "AWS::EC2::LaunchTemplate"},
    {"ec2:*:network-interface/*", "AWS::EC2::NetworkInterface"},
    {"ec2:*:image/*", "AWS::EC2::Image"},
    {"elasticloadbalancing:*:loadbalancer/*", "AWS::ElasticLoadBalancingV2::LoadBalancer"},
    {"elasticloadbalancing:*:targetgroup/*", "AWS::ElasticLoadBalancingV2::TargetGroup"},
    {"dynamodb:*:table/*", "AWS::DynamoDB::Table"},
    {"cloudwatch:*:alarm:*", "AWS::CloudWatch::Alarm"},
    {"resource-groups:*:group/*", "AWS::ResourceGroups::Group"},
};

static const char *type_of(const char *arn)
{
    struct slice rest = slice_z(arn);

    rest = slice_sub(rest, 8, rest.bytes);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (slice_glob(rest, slice_z(types[i].part))) {
            return types[i].type;
        }
    }
    return NULL; /* Not a type that groups hold (IAM's, Auto Scaling's). */
}

static bool listed(const json_t *list, const char *text)
{
    json_t *element;
    size_t index;

    json_array_foreach(list, index, element)
    {
        if (json_is_string(element) && strcmp(json_string_value(element), text) == 0) {
            return true;
        }
    }
    return false;
}

static bool tags_match(const json_t *filters, const struct tags *tags)
{
    json_t *filter;
    size_t index;

    json_array_foreach(filters, index, filter)
    {
        const char *key = json_string_value(json_object_get(filter, "Key"));
        const json_t *values = json_object_get(filter, "Values");
        bool found = false;

        for (size_t i = 0; key != NULL && i < tags->count; i++) {
            found |= strcmp(tags->items[i].key, key) == 0 &&
                     (json_array_size(values) == 0 || listed(values, tags->items[i].value));
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool stack_matches(const json_t *query, const struct tags *tags)
{
    const char *stack = json_string_value(json_object_get(query, "StackIdentifier"));

    for (size_t i = 0; stack != NULL && i < tags->count; i++) {
        if (strcmp(tags->items[i].key, "aws:cloudformation:stack-id") == 0) {
            return strcmp(tags->items[i].value, stack) == 0;
        }
    }
    return false;
}

static bool belongs(const struct group *group, const json_t *query, const char *arn,
                    const struct tags *tags)
{
    const json_t *wanted = json_object_get(query, "ResourceTypeFilters");
    const char *type = type_of(arn);

    if (type == NULL || (json_array_size(wanted) > 0 && !listed(wanted, "AWS::AllSupported") &&
                         !listed(wanted, type))) {
        return false;
    }
    return strcmp(group->query_type, "CLOUDFORMATION_STACK_1_0") == 0
               ? stack_matches(query, tags)
               : tags_match(json_object_get(query, "TagFilters"), tags);
}

int resourcegroups_list_group_resources(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    struct group *group;
    const struct tags *tags;
    const char *arn;
    json_t *query;
    int rc = find(ctx, in, &group, err);

    if (rc != 0) {
        return rc;
    }
    query = json_loads(group->query, 0, NULL);
    doc_set_list(out, M_Resources);
    doc_set_list(out, M_ResourceIdentifiers);
    for (size_t at = 0; (tags = tags_next(&ctx->control->tags, &at, &arn)) != NULL;) {
        struct doc *row;

        if (!belongs(group, query, arn, tags)) {
            continue;
        }
        row = doc_add_struct(out, M_ResourceIdentifiers);
        doc_set_z(row, M_ResourceArn, arn);
        doc_set_z(row, M_ResourceType, type_of(arn));
        doc_set(doc_add_struct(out, M_Resources), M_Identifier, row);
    }
    json_decref(query);
    return page(ctx, in, out, "ListGroupResources", M_Resources, M_ResourceIdentifiers, err);
}

/* Tags of groups themselves. */

static int find_arn(struct ctx *ctx, const struct doc *in, struct group **group, struct error *err)
{
    const char *arn = doc_z(in, M_Arn);
    const char *name = strstr(arn, ":group/");

    *group = name == NULL ? NULL : map_get_z(&ctx->control->resourcegroups->groups, name + 7);
    return *group != NULL && strcmp((*group)->arn, arn) == 0
               ? 0
               : error_api(err, "NotFoundException", "Cannot find group: %s", arn);
}

int resourcegroups_get_tags(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    struct group *group;
    int rc = find_arn(ctx, in, &group, err);

    if (rc == 0) {
        doc_set_z(out, M_Arn, group->arn);
        describe_tags(ctx, group->arn, out);
    }
    return rc;
}

int resourcegroups_tag(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct group *group;
    int rc = find_arn(ctx, in, &group, err);

    if (rc == 0) {
        put_tags(ctx, group->arn, in);
        doc_set_z(out, M_Arn, group->arn);
        describe_tags(ctx, group->arn, out);
    }
    return rc;
}

int resourcegroups_untag(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct group *group;
    int rc = find_arn(ctx, in, &group, err);

    for (size_t i = 0; rc == 0 && i < doc_count(in, M_Keys); i++) {
        ctx_tag_remove(ctx, group->arn, doc_z_at(in, M_Keys, i));
        doc_add_z(out, M_Keys, doc_z_at(in, M_Keys, i));
    }
    if (rc == 0) {
        doc_set_z(out, M_Arn, group->arn);
    }
    return rc;
}
