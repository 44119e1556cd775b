/* The Describe actions: ids, filters, pages. A kind of resource brings its filters and the function
 * that describes one.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html */
#include "services/ec2/private.h"

#include "aws/id.h"
#include "aws/page.h"

#include <string.h>

#define FILTERS_MAX 50        /* AWS's bounds. */
#define FILTER_VALUES_MAX 200 /* Of one request. */

struct match {
    const struct doc *filter; /* Its values may have wildcards; any of them suffices. */
    bool holds;
};

static bool value_fits(struct slice pattern, const char *value)
{
    return slice_glob(slice_z(value), pattern);
}

void match_z(struct match *match, const char *value)
{
    size_t count = doc_count(match->filter, M_Values);

    if (value == NULL) {
        return;
    }
    for (size_t i = 0; i < count && !match->holds; i++) {
        match->holds = value_fits(doc_value_text(doc_at(match->filter, M_Values, i)), value);
    }
}

void match_bool(struct match *match, bool value)
{
    match_z(match, value ? "true" : "false");
}

void match_int(struct match *match, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    match_z(match, text);
}

static bool is_tag_filter(struct slice name)
{
    return slice_starts(name, SLICE_LIT("tag:")) || slice_equal_z(name, "tag-key") ||
           slice_equal_z(name, "tag-value");
}

static const struct filter *find_filter(const struct filter *filters, size_t count,
                                        struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_z(name, filters[i].name)) {
            return &filters[i];
        }
    }
    return NULL;
}

int filters_check(const struct doc *in, const struct filter *filters, size_t count,
                  struct error *err)
{
    size_t asked = doc_count(in, M_Filters);
    size_t values = 0;

    for (size_t i = 0; i < asked; i++) {
        const struct doc *filter = doc_at(in, M_Filters, i);
        struct slice name = doc_text(filter, M_Name);

        if (name.bytes == 0) {
            return error_api(err, "InvalidParameterValue",
                             "Filter name must not be empty. Specify a filter name and try again.");
        }
        if (!is_tag_filter(name) && find_filter(filters, count, name) == NULL) {
            return error_api(err, "InvalidParameterValue", "The filter '%.*s' is invalid",
                             SLICE_ARG(name));
        }
        values += doc_count(filter, M_Values);
    }
    if (asked > FILTERS_MAX || values > FILTER_VALUES_MAX) {
        return error_api(err, "FilterLimitExceeded",
                         "The maximum number of filter values specified on a single call is %d",
                         FILTER_VALUES_MAX);
    }
    return 0;
}

static void match_tags(const struct control *control, const char *arn, struct slice name,
                       struct match *match)
{
    const struct tags *tags = tags_of(&control->tags, arn);

    for (size_t i = 0; i < tags->count; i++) {
        if (slice_equal_z(name, "tag-key")) {
            match_z(match, tags->items[i].key);
        } else if (slice_equal_z(name, "tag-value") ||
                   slice_equal_z(slice_sub(name, 4, name.bytes), tags->items[i].key)) {
            match_z(match, tags->items[i].value);
        }
    }
}

bool filters_hold(struct ctx *ctx, const struct doc *in, const struct filter *filters, size_t count,
                  const char *arn, const void *thing)
{
    size_t asked = doc_count(in, M_Filters);

    for (size_t i = 0; i < asked; i++) {
        struct match match = {.filter = doc_at(in, M_Filters, i)};
        struct slice name = doc_text(match.filter, M_Name);

        if (is_tag_filter(name)) {
            match_tags(ctx->control, arn, name, &match);
        } else {
            find_filter(filters, count, name)->fn(ctx, thing, &match);
        }
        if (!match.holds) {
            return false;
        }
    }
    return true;
}

int ec2_dry_run(const struct doc *in, struct error *err)
{
    (void)in;
    return error_api_status(err, 412, "DryRunOperation",
                            "Request would have succeeded, but DryRun flag is set.");
}

int list_page_begin(struct ctx *ctx, const struct doc *in, const char *action, int64_t min,
                    int64_t max, struct page *page, struct error *err)
{
    const char *token = doc_z(in, M_NextToken);

    *page = (struct page){0};
    if (doc_has(in, M_MaxResults)) {
        int64_t asked = doc_int(in, M_MaxResults);

        if (asked < min) {
            return error_api(
                err, "InvalidParameterValue",
                "Value ( %lld ) for parameter maxResults is invalid. Expecting a value "
                "greater than or equal to %lld.",
                (long long)asked, (long long)min);
        }
        page->max = (size_t)min_i64(asked, max);
    }
    if (page_token_read(ctx->arena, action, token, &page->after, NULL) != 0) {
        return error_api(err, "InvalidParameterValue",
                         "Value ( %s ) for parameter nextToken is invalid. Unable to parse "
                         "pagination token.",
                         token);
    }
    page->begun = page->after.bytes == 0;
    return 0;
}

bool list_page_take(struct page *page, const char *key)
{
    if (!page->begun) {
        page->begun = slice_equal_z(page->after, key);
        return false;
    }
    if (page->max != 0 && page->count == page->max) {
        page->more = true;
        return false;
    }
    page->count++;
    page->last = slice_z(key);
    return true;
}

void list_page_end(struct ctx *ctx, const struct page *page, const char *action, struct doc *out)
{
    if (page->more) {
        doc_set_z(out, M_NextToken, page_token(ctx->arena, action, page->last));
    }
}

/* All ids of the request must be there: AWS fails the call as a whole, naming those that are not.
 */
static int check_ids(struct ctx *ctx, const struct doc *in, enum kind kind, struct error *err)
{
    const struct kind_info *info = &kinds[kind];
    size_t count = info->names < 0 ? 0 : doc_count(in, info->names);
    struct slice missing = SLICE_EMPTY;
    size_t missing_count = 0;
    void *thing;

    for (size_t i = 0; i < count; i++) {
        const char *id = doc_z_at(in, info->names, i);

        if (thing_get(ctx->control, kind, id) != NULL) {
            continue;
        }
        if (!id_is(id, info->prefix)) {
            return thing_need(ctx, kind, id, &thing, err);
        }
        missing = missing_count++ == 0
                      ? slice_z(id)
                      : arena_printf(ctx->arena, "%.*s, %s", SLICE_ARG(missing), id);
    }
    if (missing_count > 1 && (kind == KIND_INSTANCE || kind == KIND_IMAGE)) {
        return error_api(
            err, kind == KIND_INSTANCE ? "InvalidInstanceID.NotFound" : "InvalidAMIID.NotFound",
            kind == KIND_INSTANCE ? "The instance IDs '%.*s' do not exist"
                                  : "The image ids '[%.*s]' do not exist",
            SLICE_ARG(missing));
    }
    return missing_count == 0
               ? 0
               : thing_need(ctx, kind, arena_strdup(ctx->arena, missing), &thing, err);
}

int list_things(struct ctx *ctx, const struct doc *in, struct doc *out,
                const struct listing *listing, struct error *err)
{
    const struct kind_info *info = &kinds[listing->kind];
    bool by_id = info->names >= 0 && doc_count(in, info->names) > 0;
    struct page page;
    void *thing;
    int rc;

    DRY_RUN(in, err)
    rc = filters_check(in, listing->filters, listing->filters_count, err);
    rc = rc != 0 ? rc : check_ids(ctx, in, listing->kind, err);
    rc = rc != 0 ? rc
                 : list_page_begin(ctx, in, listing->action,
                                   listing->max_min == 0 ? 5 : listing->max_min, 1000, &page, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, listing->list);
    for (size_t at = 0; (thing = thing_next(ctx->control, listing->kind, &at)) != NULL;) {
        const char *id = *(char **)thing;

        if (by_id && !doc_list_contains(in, info->names, slice_z(id))) {
            continue;
        }
        if ((listing->admits == NULL || listing->admits(ctx, in, thing)) &&
            filters_hold(ctx, in, listing->filters, listing->filters_count,
                         thing_arn(ctx, listing->kind, id), thing) &&
            list_page_take(&page, id)) {
            listing->fill(ctx, thing, doc_add_struct(out, listing->list));
        }
    }
    list_page_end(ctx, &page, listing->action, out);
    return 0;
}
