/* CreateOrUpdateTags, DeleteTags, DescribeTags. The group's own list knows what is propagated; the
 * shared index (control->tags) has keys and values for resource groups. */
#include "services/autoscaling/api.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct group_tag *tag_find(const struct group *group, const char *key)
{
    for (size_t i = 0; key != NULL && i < group->tags_count; i++) {
        if (strcmp(group->tags[i].key, key) == 0) {
            return &group->tags[i];
        }
    }
    return NULL;
}

void describe_tag(const struct group *group, const struct group_tag *tag, struct doc *out)
{
    doc_set_z(out, M_ResourceId, group->world.name);
    doc_set_z(out, M_ResourceType, "auto-scaling-group");
    doc_set_z(out, M_Key, tag->key);
    doc_set_z(out, M_Value, tag->value);
    doc_set_bool(out, M_PropagateAtLaunch, tag->propagate);
}

int tags_check(const struct doc *in, struct error *err)
{
    if (doc_count(in, M_Tags) > TAGS_PER_RESOURCE_MAX) {
        return error_api(err, "LimitExceeded", "A group can have at most %d tags.",
                         TAGS_PER_RESOURCE_MAX);
    }
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);
        struct slice type = doc_text(tag, M_ResourceType);

        if (slice_starts(doc_text(tag, M_Key), SLICE_LIT("aws:"))) {
            return error_api(err, VALIDATION,
                             "Tag keys starting with 'aws:' are reserved for system use");
        }
        if (type.bytes > 0 && !slice_equal_z(type, "auto-scaling-group")) {
            return error_api(err, VALIDATION, "ResourceType must be auto-scaling-group, not %.*s",
                             SLICE_ARG(type));
        }
    }
    return 0;
}

void tags_set(struct ctx *ctx, struct group *group, const struct doc *tag)
{
    const char *key = doc_z(tag, M_Key);
    const char *value = doc_has(tag, M_Value) ? doc_z(tag, M_Value) : "";
    struct group_tag *found = tag_find(group, key);

    if (found == NULL) {
        group->tags = mem_realloc(group->tags, group->tags_count + 1, sizeof(*group->tags));
        found = &group->tags[group->tags_count++];
        *found = (struct group_tag){.key = mem_strdup(key)};
    }
    free(found->value);
    found->value = mem_strdup(value);
    found->propagate = doc_bool(tag, M_PropagateAtLaunch);
    group->unsaved = true;
    ctx_tag_put(ctx, group->arn, key, value);
}

/* Every tag names its group; *@groups are those, in the ctx's arena. */
static int tags_groups(struct ctx *ctx, const struct doc *in, struct group ***groups,
                       struct error *err)
{
    size_t count = doc_count(in, M_Tags);
    int rc = 0;

    *groups = arena_calloc(ctx->arena, count + 1, sizeof(struct group *));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = group_require(ctx, doc_z(doc_at(in, M_Tags, i), M_ResourceId), &(*groups)[i], err);
    }
    return rc;
}

int autoscaling_create_or_update_tags(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    struct group **groups;
    int rc;

    (void)out;
    rc = tags_check(in, err);
    rc = rc != 0 ? rc : tags_groups(ctx, in, &groups, err);
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_Tags); i++) {
        const char *key = doc_z(doc_at(in, M_Tags, i), M_Key);
        size_t added = 0;

        for (size_t j = 0; j <= i; j++) { /* New keys of this group up to here. */
            added += groups[j] == groups[i] &&
                             tag_find(groups[j], doc_z(doc_at(in, M_Tags, j), M_Key)) == NULL
                         ? 1
                         : 0;
        }
        if (tag_find(groups[i], key) == NULL &&
            groups[i]->tags_count + added > TAGS_PER_RESOURCE_MAX) {
            rc = error_api(err, "LimitExceeded", "A group can have at most %d tags.",
                           TAGS_PER_RESOURCE_MAX);
        }
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        tags_set(ctx, groups[i], doc_at(in, M_Tags, i));
        group_settle(ctx, groups[i]);
    }
    return 0;
}

static void tag_remove(struct ctx *ctx, struct group *group, const struct doc *tag)
{
    struct group_tag *found = tag_find(group, doc_z(tag, M_Key));
    size_t index;

    /* A value that is given and differs keeps the tag, silently. */
    if (found == NULL ||
        (doc_has(tag, M_Value) && !slice_equal_z(doc_text(tag, M_Value), found->value))) {
        return;
    }
    ctx_tag_remove(ctx, group->arn, found->key);
    index = (size_t)(found - group->tags);
    free(found->key);
    free(found->value);
    memmove(found, found + 1, (group->tags_count - index - 1) * sizeof(*found));
    group->tags_count--;
    group->unsaved = true;
}

int autoscaling_delete_tags(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    struct group **groups;
    int rc;

    (void)out;
    rc = tags_groups(ctx, in, &groups, err);
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_Tags); i++) {
        tag_remove(ctx, groups[i], doc_at(in, M_Tags, i));
        group_settle(ctx, groups[i]);
    }
    return rc;
}

static const char *const filter_names[] = {"auto-scaling-group", "key", "value",
                                           "propagate-at-launch"};

static int check_filters(const struct doc *in, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        struct slice name = doc_text(doc_at(in, M_Filters, i), M_Name);
        bool known = false;

        for (size_t j = 0; j < COUNT_OF(filter_names); j++) {
            known = known || slice_equal_z(name, filter_names[j]);
        }
        if (!known) {
            return error_api(err, VALIDATION,
                             "Filter type %.*s is not correct. Allowed Filter types are: "
                             "auto-scaling-group key value propagate-at-launch",
                             SLICE_ARG(name));
        }
    }
    return 0;
}

/* Any value of a filter, all filters. */
static bool matches(const struct group *group, const struct group_tag *tag, const struct doc *in)
{
    const char *const values[] = {group->world.name, tag->key, tag->value,
                                  tag->propagate ? "true" : "false"};

    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        const struct doc *filter = doc_at(in, M_Filters, i);

        for (size_t j = 0; j < COUNT_OF(filter_names); j++) {
            if (slice_equal_z(doc_text(filter, M_Name), filter_names[j]) &&
                !doc_list_contains(filter, M_Values, slice_z(values[j]))) {
                return false;
            }
        }
    }
    return true;
}

int autoscaling_describe_tags(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    const struct autoscaling *service = ctx->control->autoscaling;
    struct page_request request = {"DescribeTags", 50, 100, NULL, 0};
    struct doc **tags;
    const char **keys;
    size_t total = 0, from, to;
    int rc = check_filters(in, err);

    for (size_t i = 0; i < service->groups_count; i++) {
        total += service->groups[i]->tags_count;
    }
    tags = arena_calloc(ctx->arena, total + 1, sizeof(*tags));
    keys = arena_calloc(ctx->arena, total + 1, sizeof(*keys));
    for (size_t i = 0; rc == 0 && i < service->groups_count; i++) {
        const struct group *group = service->groups[i];

        for (size_t j = 0; !group->deleted && j < group->tags_count; j++) {
            if (matches(group, &group->tags[j], in)) {
                tags[request.count] = doc_new(ctx->arena, DOC_STRUCT);
                describe_tag(group, &group->tags[j], tags[request.count]);
                keys[request.count++] =
                    arena_printf(ctx->arena, "%s %s", group->world.name, group->tags[j].key).data;
            }
        }
    }
    request.keys = keys;
    rc = rc != 0 ? rc : page_choose(ctx, in, out, &request, &from, &to, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_Tags);
    for (size_t i = from; i < to; i++) {
        doc_list_add(doc_set_list(out, M_Tags), tags[i]);
    }
    return 0;
}
