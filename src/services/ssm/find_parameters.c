/* GetParameter, GetParameters, GetParametersByPath, DescribeParameters. */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/page.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/ssm/private.h"

#include <stdlib.h>
#include <string.h>

#define BY_PATH_DEFAULT 10
#define DESCRIBE_DEFAULT 50

/* A user's own parameter, or a public one. */
struct found {
    const char *name;
    const struct stored_parameter *stored; /* NULL: public. */
};

static void describe(struct ctx *ctx, const struct found *found, struct doc *out)
{
    const struct stored_parameter *stored = found->stored;

    doc_set_z(out, M_Name, found->name);
    doc_set_z(out, M_Type, stored == NULL ? "String" : stored->type);
    doc_set_z(out, M_Value, stored == NULL ? ec2_public_image(found->name) : stored->value);
    doc_set_int(out, M_Version, stored == NULL ? 1 : stored->version);
    doc_set_time_ms(out, M_LastModifiedDate, stored == NULL ? 0 : stored->modified_ms);
    if (stored == NULL) {
        doc_set_format(out, M_ARN, "arn:aws:ssm:%s::parameter%s", ctx->control->options.region,
                       found->name);
    } else {
        doc_set_z(out, M_ARN, stored->arn);
    }
    doc_set_z(out, M_DataType, stored == NULL ? "text" : stored->data_type);
}

/* "/a/b" of "arn:aws:ssm:REGION:ACCOUNT:parameter/a/b", this region's and account's or, of public
 * ones, nobody's; any other text is a name itself. */
static struct slice name_in(struct ctx *ctx, struct slice text, bool *in_arn)
{
    const struct slice own = slice_z(ctx_arn(ctx, "ssm", "parameter/"));
    const struct slice public =
        arena_printf(ctx->arena, "arn:aws:ssm:%s::parameter/aws/", ctx->control->options.region);

    *in_arn = true;
    if (slice_starts(text, own)) {
        return slice_sub(text, own.bytes - 1, text.bytes);
    }
    if (slice_starts(text, public)) {
        return slice_sub(text, public.bytes - strlen("/aws/"), text.bytes);
    }
    *in_arn = false;
    return text;
}

const char *ssm_resource(struct ctx *ctx, struct slice kind, struct slice value)
{
    bool in_arn;
    struct slice name;

    if (!slice_equal_z(kind, "parameter")) {
        return NULL;
    }
    name = name_in(ctx, value, &in_arn);
    if (in_arn || !slice_starts(name, SLICE_LIT("arn:"))) {
        name = slice_sub(name, 0, slice_find(name, ':')); /* Without a selector. */
    }
    if (slice_starts(name, SLICE_LIT("/aws/"))) { /* Nobody's, but Amazon's. */
        return arena_printf(ctx->arena, "arn:aws:ssm:%s::parameter%.*s",
                            ctx->control->options.region, SLICE_ARG(name))
            .data;
    }
    return slice_starts(name, SLICE_LIT("arn:"))
               ? arena_strdup(ctx->arena, name)
               : arena_printf(ctx->arena, "parameter%s%.*s",
                              slice_starts(name, SLICE_LIT("/")) ? "" : "/",
                              SLICE_ARG(name.bytes > 0 ? name : SLICE_LIT("*")))
                     .data;
}

/* By name, ARN, or either with ":VERSION". */
static int lookup(struct ctx *ctx, const char *text, struct found *found, const char **selector,
                  struct error *err)
{
    bool in_arn;
    struct slice name = name_in(ctx, slice_z(text), &in_arn);
    int64_t version = 0;
    size_t colon;

    colon = slice_find(name, ':');
    *selector = NULL;
    if (colon < name.bytes) {
        struct slice number = slice_sub(name, colon + 1, name.bytes);

        *selector = arena_printf(ctx->arena, ":%.*s", SLICE_ARG(number)).data;
        name = slice_sub(name, 0, colon);
        if (text_to_i64(number, 1, INT64_MAX, &version, NULL) != 0) {
            version = -1; /* A label: there are none. */
        }
    }
    found->name = arena_strdup(ctx->arena, name);
    found->stored = map_get(&ctx->control->ssm->parameters, name);
    if (found->stored == NULL && in_arn) { /* In ARNs /a and a are alike. */
        found->stored = map_get(&ctx->control->ssm->parameters, slice_sub(name, 1, name.bytes));
        found->name = found->stored == NULL ? found->name : found->stored->name;
    }
    if (found->stored == NULL && ec2_public_image(found->name) == NULL) {
        return error_api(err, "ParameterNotFound", "Parameter %s not found.", text);
    }
    if (version != 0 && version != (found->stored == NULL ? 1 : found->stored->version)) {
        return error_api(err, "ParameterVersionNotFound",
                         "Systems Manager could not find version %s of %s. Verify the version and "
                         "try again. (muster keeps the newest version only.)",
                         *selector + 1, found->name);
    }
    return 0;
}

int ssm_get_parameter(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct found found;
    const char *selector;
    int rc = lookup(ctx, doc_z(in, M_Name), &found, &selector, err);

    if (rc == 0) {
        struct doc *parameter = doc_set_struct(out, M_Parameter);

        describe(ctx, &found, parameter);
        doc_set_z(parameter, M_Selector, selector);
    }
    return rc;
}

int ssm_get_parameters(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct error none = {0};

    (void)err;
    doc_set_list(out, M_Parameters);
    doc_set_list(out, M_InvalidParameters);
    for (size_t i = 0; i < doc_count(in, M_Names); i++) {
        const char *name = doc_z_at(in, M_Names, i), *selector;
        struct found found;

        if (lookup(ctx, name, &found, &selector, &none) == 0) {
            struct doc *parameter = doc_add_struct(out, M_Parameters);

            describe(ctx, &found, parameter);
            doc_set_z(parameter, M_Selector, selector);
        } else {
            doc_add_z(out, M_InvalidParameters, name);
        }
    }
    return 0;
}

/* Filters. */

enum verdict { FITS_NOT, FITS, FITS_UNKNOWN_KEY };

static bool text_fits(const struct doc *filter, const char *text)
{
    const char *option = doc_z(filter, M_Option);

    for (size_t i = 0; i < doc_count(filter, M_Values); i++) {
        const char *value = doc_z_at(filter, M_Values, i);

        if (option != NULL && strcmp(option, "BeginsWith") == 0
                ? strncmp(text, value, strlen(value)) == 0
            : option != NULL && strcmp(option, "Contains") == 0 ? strstr(text, value) != NULL
                                                                : strcmp(text, value) == 0) {
            return true;
        }
    }
    return false;
}

/* Below @path: at any depth, or one level. "/" is above all. */
static bool is_below(const char *name, const char *path, bool recursive)
{
    size_t bytes = strlen(path);

    while (bytes > 0 && path[bytes - 1] == '/') {
        bytes--;
    }
    if (bytes == 0 && name[0] != '/') {
        return true; /* A name without a slash stands at the top. */
    }
    return strncmp(name, path, bytes) == 0 && name[bytes] == '/' &&
           (recursive || strchr(name + bytes + 1, '/') == NULL);
}

static bool path_fits(const struct doc *filter, const char *name)
{
    const char *option = doc_z(filter, M_Option);

    for (size_t i = 0; i < doc_count(filter, M_Values); i++) {
        if (is_below(name, doc_z_at(filter, M_Values, i),
                     option != NULL && strcmp(option, "Recursive") == 0)) {
            return true;
        }
    }
    return false;
}

static bool tag_fits(struct ctx *ctx, const struct doc *filter,
                     const struct stored_parameter *stored)
{
    const char *value = tags_value(&ctx->control->tags, stored->arn, doc_z(filter, M_Key) + 4);

    return value != NULL && (doc_count(filter, M_Values) == 0 ||
                             doc_list_contains(filter, M_Values, slice_z(value)));
}

static enum verdict filter_fits(struct ctx *ctx, const struct doc *filter,
                                const struct found *found, bool all_keys)
{
    const struct stored_parameter *stored = found->stored;
    const char *key = doc_z(filter, M_Key);

    if (strcmp(key, "Type") == 0) {
        return text_fits(filter, stored == NULL ? "String" : stored->type) ? FITS : FITS_NOT;
    }
    if (strcmp(key, "KeyId") == 0 || strcmp(key, "Label") == 0) {
        return FITS_NOT; /* Nothing has one. */
    }
    if (!all_keys) {
        return FITS_UNKNOWN_KEY;
    }
    if (strcmp(key, "Name") == 0) {
        return text_fits(filter, found->name) ? FITS : FITS_NOT;
    }
    if (strcmp(key, "Path") == 0) {
        return path_fits(filter, found->name) ? FITS : FITS_NOT;
    }
    if (strcmp(key, "Tier") == 0) {
        return text_fits(filter, "Standard") ? FITS : FITS_NOT;
    }
    if (strcmp(key, "DataType") == 0) {
        return text_fits(filter, stored->data_type) ? FITS : FITS_NOT;
    }
    return strncmp(key, "tag:", 4) != 0    ? FITS_UNKNOWN_KEY
           : tag_fits(ctx, filter, stored) ? FITS
                                           : FITS_NOT;
}

static int check_filters(struct ctx *ctx, const struct doc *in, bool all_keys, struct error *err)
{
    static const char *const options[] = {"Equals", "BeginsWith", "Contains", "Recursive",
                                          "OneLevel"};
    struct stored_parameter nobody = {.name = "", .arn = "", .type = "", .data_type = ""};
    const struct found nothing = {"", &nobody};

    for (size_t i = 0; i < doc_count(in, M_ParameterFilters); i++) {
        const struct doc *filter = doc_at(in, M_ParameterFilters, i);
        const char *option = doc_z(filter, M_Option);
        bool known = option == NULL;

        for (size_t j = 0; j < COUNT_OF(options) && !known; j++) {
            known = strcmp(option, options[j]) == 0;
        }
        if (!known) {
            return error_api(err, "InvalidFilterOption",
                             "The following filter option is not valid: %s.", option);
        }
        if (filter_fits(ctx, filter, &nothing, all_keys) == FITS_UNKNOWN_KEY) {
            return error_api(err, "InvalidFilterKey", "The following filter key is not valid: %s.",
                             doc_z(filter, M_Key));
        }
    }
    return 0;
}

static bool fits(struct ctx *ctx, const struct doc *in, const struct found *found)
{
    for (size_t i = 0; i < doc_count(in, M_ParameterFilters); i++) {
        if (filter_fits(ctx, doc_at(in, M_ParameterFilters, i), found, true) != FITS) {
            return false;
        }
    }
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        if (filter_fits(ctx, doc_at(in, M_Filters, i), found, true) != FITS) {
            return false;
        }
    }
    return true;
}

/* Lists. */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

/* All that fit, by name, in the arena. @path: below it, public ones too; NULL: all of one's own. */
static struct found *find_all(struct ctx *ctx, const struct doc *in, const char *path,
                              struct slice after, size_t *count)
{
    const struct map *own = &ctx->control->ssm->parameters;
    size_t publics = 0;
    const struct stored_parameter *stored;
    struct found *all, one;

    while (ec2_public_parameter(publics) != NULL) {
        publics++;
    }
    all = arena_calloc(ctx->arena, own->count + publics + 1, sizeof(*all));
    *count = 0;
    for (size_t at = 0; (stored = map_next(own, &at)) != NULL;) {
        one = (struct found){stored->name, stored};
        if ((path == NULL || is_below(one.name, path, doc_bool(in, M_Recursive))) &&
            slice_compare(slice_z(one.name), after) > 0 && fits(ctx, in, &one)) {
            all[(*count)++] = one;
        }
    }
    /* Of the public ones only who asks for /aws/... sees something. */
    for (size_t i = 0; i < publics && path != NULL && strncmp(path, "/aws/", 5) == 0; i++) {
        one = (struct found){ec2_public_parameter(i), NULL};
        if (is_below(one.name, path, doc_bool(in, M_Recursive)) &&
            slice_compare(slice_z(one.name), after) > 0 && fits(ctx, in, &one)) {
            all[(*count)++] = one;
        }
    }
    qsort(all, *count, sizeof(*all), by_name);
    return all;
}

static int read_token(struct ctx *ctx, const struct doc *in, const char *action,
                      struct slice *after, struct error *err)
{
    return page_token_read(ctx->arena, action, doc_z(in, M_NextToken), after, NULL) == 0
               ? 0
               : error_api(err, "InvalidNextToken", "The specified token is not valid.");
}

int ssm_get_parameters_by_path(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    size_t room = (size_t)doc_int_or(in, M_MaxResults, BY_PATH_DEFAULT), count;
    const char *path = doc_z(in, M_Path);
    const struct found *found;
    struct slice after;
    int rc = check_filters(ctx, in, false, err);

    rc = rc != 0 ? rc : read_token(ctx, in, "GetParametersByPath", &after, err);
    if (rc != 0) {
        return rc;
    }
    if (path[0] != '/') {
        return error_api(err, "ValidationException",
                         "The parameter path must begin with a slash: %s", path);
    }
    found = find_all(ctx, in, path, after, &count);
    doc_set_list(out, M_Parameters);
    for (size_t i = 0; i < count && i < room; i++) {
        describe(ctx, &found[i], doc_add_struct(out, M_Parameters));
    }
    if (count > room) {
        doc_set_z(out, M_NextToken,
                  page_token(ctx->arena, "GetParametersByPath", slice_z(found[room - 1].name)));
    }
    return 0;
}

static void describe_metadata(const struct stored_parameter *stored, struct doc *out)
{
    doc_set_z(out, M_Name, stored->name);
    doc_set_z(out, M_ARN, stored->arn);
    doc_set_z(out, M_Type, stored->type);
    doc_set_time_ms(out, M_LastModifiedDate, stored->modified_ms);
    doc_set_z(out, M_LastModifiedUser, stored->modified_by);
    doc_set_z(out, M_Description, stored->description);
    doc_set_z(out, M_AllowedPattern, stored->pattern);
    doc_set_int(out, M_Version, stored->version);
    doc_set_z(out, M_Tier, "Standard");
    doc_set_z(out, M_DataType, stored->data_type);
}

int ssm_describe_parameters(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    size_t room = (size_t)doc_int_or(in, M_MaxResults, DESCRIBE_DEFAULT), count;
    const struct found *found;
    struct slice after;
    int rc = check_filters(ctx, in, true, err);

    rc = rc != 0 ? rc : read_token(ctx, in, "DescribeParameters", &after, err);
    if (rc != 0) {
        return rc;
    }
    found = find_all(ctx, in, NULL, after, &count);
    doc_set_list(out, M_Parameters);
    for (size_t i = 0; i < count && i < room; i++) {
        describe_metadata(found[i].stored, doc_add_struct(out, M_Parameters));
    }
    if (count > room) {
        doc_set_z(out, M_NextToken,
                  page_token(ctx->arena, "DescribeParameters", slice_z(found[room - 1].name)));
    }
    return 0;
}
