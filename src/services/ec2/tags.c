/* Tags of EC2's resources: TagSpecifications, CreateTags, DeleteTags, DescribeTags.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html */
#include "services/ec2/private.h"

#include "aws/id.h"

#include <string.h>

static bool type_listed(const char *types, struct slice type)
{
    struct slice rest = slice_z(types);
    struct slice part;

    while (slice_next(&rest, ';', &part)) {
        if (slice_equal(part, type)) {
            return true;
        }
    }
    return false;
}

static size_t characters(struct slice text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.bytes; i++) {
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    }
    return count;
}

static int check_tag(const struct doc *tag, struct error *err)
{
    struct slice key = doc_text(tag, M_Key);
    struct slice value = doc_text(tag, M_Value);

    if (key.bytes == 0 || characters(key) > TAG_KEY_CHARS_MAX) {
        return error_api(err, "InvalidParameterValue",
                         "Tag key exceeds the maximum length of %d characters or is empty",
                         TAG_KEY_CHARS_MAX);
    }
    if (characters(value) > TAG_VALUE_CHARS_MAX) {
        return error_api(err, "InvalidParameterValue",
                         "Tag value exceeds the maximum length of %d characters",
                         TAG_VALUE_CHARS_MAX);
    }
    if (slice_starts(key, SLICE_LIT("aws:"))) {
        return error_api(err, "InvalidParameterValue",
                         "Value ( %.*s ) for parameter key is invalid. Tag keys starting with "
                         "'aws:' are reserved for internal use",
                         SLICE_ARG(key));
    }
    return 0;
}

static int check_tag_list(const struct doc *from, struct error *err)
{
    size_t count = doc_count(from, M_Tags);

    for (size_t i = 0; i < count; i++) {
        struct slice key = doc_text(doc_at(from, M_Tags, i), M_Key);
        int rc = check_tag(doc_at(from, M_Tags, i), err);

        if (rc != 0) {
            return rc;
        }
        for (size_t j = 0; j < i; j++) {
            if (slice_equal(key, doc_text(doc_at(from, M_Tags, j), M_Key))) {
                return error_api(err, "InvalidParameterValue",
                                 "Duplicate tag key '%.*s' specified.", SLICE_ARG(key));
            }
        }
    }
    if (count > TAGS_PER_RESOURCE_MAX) {
        return error_api(err, "TagLimitExceeded",
                         "The maximum number of Tags for a resource has been reached.");
    }
    return 0;
}

int tag_specs_check(const struct doc *in, const char *types, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_TagSpecifications); i++) {
        const struct doc *spec = doc_at(in, M_TagSpecifications, i);
        struct slice type = doc_text(spec, M_ResourceType);
        int rc;

        if (type.bytes == 0) {
            return error_api(err, "MissingParameter",
                             "Tag specification resource type must have a value");
        }
        if (!type_listed(types, type)) {
            return error_api(err, "InvalidParameterValue",
                             "'%.*s' is not a valid taggable resource type for this operation.",
                             SLICE_ARG(type));
        }
        if (doc_count(spec, M_Tags) == 0) {
            return error_api(err, "InvalidParameterValue",
                             "Tag specification must have at least one tag");
        }
        rc = check_tag_list(spec, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void put_all(struct ctx *ctx, const struct doc *from, const char *arn)
{
    for (size_t i = 0; i < doc_count(from, M_Tags); i++) {
        const struct doc *tag = doc_at(from, M_Tags, i);
        const char *value = doc_z(tag, M_Value);

        ctx_tag_put(ctx, arn, doc_z(tag, M_Key), value == NULL ? "" : value);
    }
}

void tag_specs_apply(struct ctx *ctx, const struct doc *in, const char *type, enum kind kind,
                     const char *id)
{
    for (size_t i = 0; i < doc_count(in, M_TagSpecifications); i++) {
        const struct doc *spec = doc_at(in, M_TagSpecifications, i);

        if (slice_equal_z(doc_text(spec, M_ResourceType), type)) {
            put_all(ctx, spec, thing_arn(ctx, kind, id));
        }
    }
}

void ec2_tags_fill(struct ctx *ctx, const char *arn, struct doc *out)
{
    const struct tags *tags = tags_of(&ctx->control->tags, arn);

    doc_set_list(out, M_Tags);
    for (size_t i = 0; i < tags->count; i++) {
        struct doc *tag = doc_add_struct(out, M_Tags);

        doc_set_z(tag, M_Key, tags->items[i].key);
        doc_set_z(tag, M_Value, tags->items[i].value);
    }
}

/* Security group rules are tagged too, but live inside their groups. */
static bool rule_exists(const struct control *control, const char *id)
{
    struct group *group;

    for (size_t at = 0; (group = thing_next(control, KIND_GROUP, &at)) != NULL;) {
        for (size_t i = 0; i < group->rules_count; i++) {
            if (strcmp(group->rules[i].id, id) == 0) {
                return true;
            }
        }
    }
    return false;
}

const char *id_arn(struct ctx *ctx, const char *id)
{
    enum kind kind = thing_kind(id);

    return rule_exists(ctx->control, id) ? ec2_arn(ctx, "security-group-rule", id)
           : kind != KINDS               ? thing_arn(ctx, kind, id)
                                         : "*";
}

static int resource_arn(struct ctx *ctx, const char *id, const char **arn, struct error *err)
{
    enum kind kind = thing_kind(id);
    void *thing;

    *arn = id_arn(ctx, id);
    if (rule_exists(ctx->control, id)) {
        return 0;
    }
    return kind != KINDS ? thing_need(ctx, kind, id, &thing, err)
                         : error_api(err, "InvalidID", "The ID '%s' is not valid", id);
}

/* How many tags would @arn have with those of @in? aws: tags do not count. */
static size_t count_with(struct ctx *ctx, const struct doc *in, const char *arn)
{
    const struct tags *tags = tags_of(&ctx->control->tags, arn);
    size_t count = 0;

    for (size_t i = 0; i < tags->count; i++) {
        count += strncmp(tags->items[i].key, "aws:", 4) != 0;
    }
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        count += tags_value(&ctx->control->tags, arn, doc_z(doc_at(in, M_Tags, i), M_Key)) == NULL;
    }
    return count;
}

int ec2_create_tags(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    size_t count = doc_count(in, M_Resources);
    const char **arns = arena_calloc(ctx->arena, count, sizeof(*arns));
    int rc = check_tag_list(in, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = resource_arn(ctx, doc_z_at(in, M_Resources, i), &arns[i], err);
        if (rc == 0 && count_with(ctx, in, arns[i]) > TAGS_PER_RESOURCE_MAX) {
            rc = error_api(err, "TagLimitExceeded",
                           "The maximum number of Tags for a resource has been reached.");
        }
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    for (size_t i = 0; i < count; i++) {
        put_all(ctx, in, arns[i]);
    }
    return 0;
}

static void remove_tag(struct ctx *ctx, const char *arn, const struct doc *tag)
{
    const char *key = doc_z(tag, M_Key);
    const char *value = tags_value(&ctx->control->tags, arn, key);

    /* With a value, only that value's tag is taken away. */
    if (value != NULL && (!doc_has(tag, M_Value) || strcmp(value, doc_z(tag, M_Value)) == 0)) {
        ctx_tag_remove(ctx, arn, key);
    }
}

static void remove_all(struct ctx *ctx, const char *arn)
{
    const struct tags *tags;

    for (size_t i = 0; i < (tags = tags_of(&ctx->control->tags, arn))->count;) {
        if (strncmp(tags->items[i].key, "aws:", 4) == 0) {
            i++;
        } else {
            ctx_tag_remove(ctx, arn, arena_strdup(ctx->arena, slice_z(tags->items[i].key)));
        }
    }
}

int ec2_delete_tags(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    size_t count = doc_count(in, M_Resources);
    const char **arns = arena_calloc(ctx->arena, count, sizeof(*arns));
    int rc = check_tag_list(in, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = resource_arn(ctx, doc_z_at(in, M_Resources, i), &arns[i], err);
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    for (size_t i = 0; i < count; i++) {
        if (doc_count(in, M_Tags) == 0) {
            remove_all(ctx, arns[i]);
        }
        for (size_t j = 0; j < doc_count(in, M_Tags); j++) {
            remove_tag(ctx, arns[i], doc_at(in, M_Tags, j));
        }
    }
    return 0;
}

struct tag_row {
    const char *id, *type, *key, *value;
};

static void by_id(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct tag_row *)row)->id);
}

static void by_type(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct tag_row *)row)->type);
}

static void by_key(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct tag_row *)row)->key);
}

static void by_value(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct tag_row *)row)->value);
}

static const struct filter tag_filters[] = {
    {"resource-id", by_id}, {"resource-type", by_type}, {"key", by_key}, {"value", by_value}};

static void describe_tags_of(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct page *page, const char *arn, const struct tags *tags)
{
    struct slice rest = slice_sub(slice_z(arn), strlen("arn:aws:ec2:"), SIZE_MAX);
    size_t last = slice_find(rest, '/');
    const char *id = rest.data + last + 1;
    struct slice type = slice_sub(rest, 0, last);

    while (slice_find(type, ':') < type.bytes) {
        type = slice_sub(type, slice_find(type, ':') + 1, SIZE_MAX);
    }
    for (size_t i = 0; i < tags->count; i++) {
        struct tag_row row = {id, arena_strdup(ctx->arena, type), tags->items[i].key,
                              tags->items[i].value};
        struct slice key = arena_printf(ctx->arena, "%s %s", id, row.key);

        if (filters_hold(ctx, in, tag_filters, COUNT_OF(tag_filters), arn, &row) &&
            list_page_take(page, key.data)) {
            struct doc *item = doc_add_struct(out, M_Tags);

            doc_set_z(item, M_ResourceId, row.id);
            doc_set_z(item, M_ResourceType, row.type);
            doc_set_z(item, M_Key, row.key);
            doc_set_z(item, M_Value, row.value);
        }
    }
}

int ec2_describe_tags(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const struct tags *tags;
    const char *arn;
    struct page page;
    int rc = filters_check(in, tag_filters, COUNT_OF(tag_filters), err);

    rc = rc != 0 ? rc : list_page_begin(ctx, in, "DescribeTags", 5, 1000, &page, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_Tags);
    for (size_t at = 0; (tags = tags_next(&ctx->control->tags, &at, &arn)) != NULL;) {
        if (slice_starts(slice_z(arn), SLICE_LIT("arn:aws:ec2:"))) {
            describe_tags_of(ctx, in, out, &page, arn, tags);
        }
    }
    list_page_end(ctx, &page, "DescribeTags", out);
    return 0;
}
