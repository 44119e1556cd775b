/* Parameters: stored form, and the actions that change them. Public ones (/aws/service/...) name
 * images; find_parameters.c gives both. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "services/ssm/private.h"
#include "store/record.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PARAMETERS_MAX 10000 /* AWS's quota of standard parameters. */
#define VALUE_BYTES_MAX 4096 /* Of a standard parameter. */
#define LEVELS_MAX 15
#define NAME_BYTES_MAX 1011 /* AWS: with the ARN's beginning it is 1,048. */
#define KIND SLICE_LIT("ssm.parameter")

static const struct record_field fields[] = {
    RECORD_TEXT(struct stored_parameter, name),
    RECORD_TEXT(struct stored_parameter, arn),
    RECORD_TEXT(struct stored_parameter, value),
    RECORD_TEXT(struct stored_parameter, type),
    RECORD_TEXT(struct stored_parameter, data_type),
    RECORD_TEXT(struct stored_parameter, description),
    RECORD_TEXT(struct stored_parameter, pattern),
    RECORD_TEXT(struct stored_parameter, modified_by),
    RECORD_I64(struct stored_parameter, modified_ms),
    RECORD_I64(struct stored_parameter, version),
};
static const struct record record = RECORD(struct stored_parameter, fields);

static void free_parameter(struct stored_parameter *parameter)
{
    record_close(&record, parameter);
    free(parameter);
}

int parameter_load(struct ssm *ssm, struct slice body, struct error *err)
{
    struct stored_parameter *parameter = mem_calloc(1, sizeof(*parameter));
    int rc = record_load(&record, parameter, body, err);

    if (rc != 0) {
        free_parameter(parameter);
        return rc;
    }
    map_put(&ssm->parameters, slice_z(parameter->name), parameter);
    return 0;
}

void parameters_close(struct ssm *ssm)
{
    struct stored_parameter *parameter;

    for (size_t at = 0; (parameter = map_next(&ssm->parameters, &at)) != NULL;) {
        free_parameter(parameter);
    }
    map_close(&ssm->parameters);
}

/* PutParameter */

static int check_name(const char *name, struct error *err)
{
    const char *first = name[0] == '/' ? name + 1 : name;
    size_t levels = 0;
    bool fine = strlen(name) <= NAME_BYTES_MAX && first[0] != '\0' && name[strlen(name) - 1] != '/';

    for (const char *p = name; *p != '\0'; p++) {
        levels += *p == '/';
        fine &= (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                strchr("_.-/", *p) != NULL;
        fine &= *p != '/' || p[1] != '/';
    }
    fine &= levels == 0 || name[0] == '/';
    if (strncasecmp(name, "/aws/", 5) == 0) {
        return error_api(err, "AccessDeniedException", "No access to reserved parameter name: %s.",
                         name);
    }
    if (!fine || strncasecmp(first, "aws", 3) == 0 || strncasecmp(first, "ssm", 3) == 0) {
        return error_api(err, "ValidationException",
                         "Parameter name: can't be prefixed with \"aws\" or \"ssm\" "
                         "(case-insensitive). If formed as a path, it can consist of sub-paths "
                         "divided by slash symbol; each sub-path can be formed as a mix of "
                         "letters, numbers and the following 3 symbols .-_");
    }
    if (levels > LEVELS_MAX) {
        return error_api(err, "HierarchyLevelLimitExceededException",
                         "The maximum number of levels of a parameter's name is %d.", LEVELS_MAX);
    }
    return 0;
}

static int check_pattern(const char *pattern, const char *value, struct error *err)
{
    regex_t regex;
    int rc;

    if (pattern == NULL || pattern[0] == '\0') {
        return 0;
    }
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return error_api(err, "InvalidAllowedPatternException",
                         "The request does not meet the regular expression requirement: %s",
                         pattern);
    }
    rc = regexec(&regex, value, 0, NULL, 0);
    regfree(&regex);
    return rc == 0 ? 0
                   : error_api(err, "ParameterPatternMismatchException",
                               "Parameter value, %s, doesn't match the allowed pattern %s", value,
                               pattern);
}

/* What muster does not store is refused. */
static int check_kind(const struct doc *in, struct error *err)
{
    const char *type = doc_z(in, M_Type), *tier = doc_z(in, M_Tier);
    const char *data_type = doc_z(in, M_DataType);

    if ((type != NULL && strcmp(type, "SecureString") == 0) || doc_has(in, M_KeyId)) {
        return error_api(err, "UnsupportedParameterType",
                         "muster has no KMS: it keeps no SecureString parameters");
    }
    if ((tier != NULL && strcmp(tier, "Advanced") == 0) || doc_has(in, M_Policies)) {
        return error_api(err, "ValidationException",
                         "muster has standard parameters only: no advanced tier, no policies");
    }
    if (data_type != NULL && strcmp(data_type, "text") != 0 &&
        strcmp(data_type, "aws:ec2:image") != 0) {
        return error_api(err, "ValidationException",
                         "The following data type is not supported: %s (Data type names are all "
                         "lower case.)",
                         data_type);
    }
    return 0;
}

static int check_value(const char *value, struct error *err)
{
    if (value[0] == '\0') {
        return error_api(err, "ValidationException",
                         "1 validation error detected: Value '' at 'value' failed to satisfy "
                         "constraint: Member must have length greater than or equal to 1");
    }
    if (strlen(value) > VALUE_BYTES_MAX) {
        return error_api(err, "ValidationException",
                         "Standard tier parameters support a maximum parameter value of %d "
                         "characters. To create a larger parameter value, upgrade the parameter to "
                         "use the advanced-parameter tier. For more information, see "
                         "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
                         "parameter-store-advanced-parameters.html",
                         VALUE_BYTES_MAX);
    }
    return 0;
}

static int check_against(struct ctx *ctx, const struct doc *in, const struct stored_parameter *old,
                         struct error *err)
{
    const char *type = doc_z(in, M_Type);

    if (old == NULL && type == NULL) {
        return error_api(err, "ValidationException",
                         "A parameter type is required when you create a parameter.");
    }
    if (old == NULL && ctx->control->ssm->parameters.count >= PARAMETERS_MAX) {
        return error_api(err, "ParameterLimitExceeded",
                         "You have exceeded the number of parameters: %d.", PARAMETERS_MAX);
    }
    if (old != NULL && !doc_bool(in, M_Overwrite)) {
        return error_api(err, "ParameterAlreadyExists",
                         "The parameter already exists. To overwrite this value, set the overwrite "
                         "option in the request to true.");
    }
    if (old != NULL && type != NULL && strcmp(type, old->type) != 0) {
        return error_api(err, "HierarchyTypeMismatchException",
                         "The parameter is a %s: its type cannot be changed", old->type);
    }
    if (doc_count(in, M_Tags) > 0 && doc_bool(in, M_Overwrite)) {
        return error_api(err, "ValidationException",
                         "Invalid request: tags and overwrite can't be used together. To create a "
                         "parameter with tags, please remove overwrite flag. To update tags for an "
                         "existing parameter, please use AddTagsToResource or "
                         "RemoveTagsFromResource.");
    }
    if (doc_count(in, M_Tags) > TAGS_PER_RESOURCE_MAX) {
        return error_api(err, "ValidationException", "A parameter can have %d tags at most.",
                         TAGS_PER_RESOURCE_MAX);
    }
    return 0;
}

static void set(char **text, const char *value)
{
    char *copy = mem_strdup(value);

    free(*text);
    *text = copy;
}

static struct stored_parameter *create(struct ctx *ctx, const struct doc *in)
{
    struct stored_parameter *parameter = mem_calloc(1, sizeof(*parameter));
    const char *name = doc_z(in, M_Name);

    set(&parameter->name, name);
    set(&parameter->arn, ctx_arn(ctx, "ssm", "parameter/%s", name[0] == '/' ? name + 1 : name));
    set(&parameter->type, doc_z(in, M_Type));
    set(&parameter->data_type, "text");
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);

        ctx_tag_put(ctx, parameter->arn, doc_z(tag, M_Key), doc_z(tag, M_Value));
    }
    map_put(&ctx->control->ssm->parameters, slice_z(name), parameter);
    return parameter;
}

int ssm_put_parameter(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *name = doc_z(in, M_Name), *value = doc_z(in, M_Value);
    struct stored_parameter *parameter = map_get_z(&ctx->control->ssm->parameters, name);
    const char *pattern = doc_has(in, M_AllowedPattern) || parameter == NULL
                              ? doc_z(in, M_AllowedPattern)
                              : parameter->pattern;
    int rc = check_name(name, err);

    rc = rc != 0 ? rc : check_kind(in, err);
    rc = rc != 0 ? rc : check_value(value, err);
    rc = rc != 0 ? rc : check_against(ctx, in, parameter, err);
    rc = rc != 0 ? rc : check_pattern(pattern, value, err);
    if (rc != 0) {
        return rc;
    }
    if (parameter == NULL) {
        parameter = create(ctx, in);
    }
    set(&parameter->value, value);
    if (doc_has(in, M_DataType)) {
        set(&parameter->data_type, doc_z(in, M_DataType));
    }
    if (doc_has(in, M_Description)) {
        set(&parameter->description, doc_z(in, M_Description));
    }
    if (doc_has(in, M_AllowedPattern)) {
        set(&parameter->pattern, doc_z(in, M_AllowedPattern));
    }
    set(&parameter->modified_by, ctx->caller.arn);
    parameter->modified_ms = ctx->now_ms;
    parameter->version++;
    changes_put_record(ctx->changes, KIND, slice_z(parameter->name), &record, parameter);
    doc_set_int(out, M_Version, parameter->version);
    doc_set_z(out, M_Tier, "Standard");
    return 0;
}

/* DeleteParameter, DeleteParameters */

static bool delete (struct ctx *ctx, const char *name)
{
    struct stored_parameter *parameter = map_remove(&ctx->control->ssm->parameters, slice_z(name));

    if (parameter == NULL) {
        return false;
    }
    changes_del(ctx->changes, KIND, slice_z(name));
    ctx_tags_drop(ctx, parameter->arn);
    free_parameter(parameter);
    return true;
}

int ssm_delete_parameter(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    (void)out;
    return delete (ctx, doc_z(in, M_Name))
               ? 0
               : error_api(err, "ParameterNotFound", "Parameter %s not found.", doc_z(in, M_Name));
}

int ssm_delete_parameters(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    (void)err;
    doc_set_list(out, M_DeletedParameters);
    doc_set_list(out, M_InvalidParameters);
    for (size_t i = 0; i < doc_count(in, M_Names); i++) {
        const char *name = doc_z_at(in, M_Names, i);

        doc_add_z(out, delete (ctx, name) ? M_DeletedParameters : M_InvalidParameters, name);
    }
    return 0;
}

/* Tags. */

static int find_tagged(struct ctx *ctx, const struct doc *in, const char **arn, struct error *err)
{
    const struct stored_parameter *parameter =
        map_get_z(&ctx->control->ssm->parameters, doc_z(in, M_ResourceId));

    if (strcmp(doc_z(in, M_ResourceType), "Parameter") != 0) {
        return error_api(err, "InvalidResourceType",
                         "%s is not a valid resource type here: muster tags parameters.",
                         doc_z(in, M_ResourceType));
    }
    if (parameter == NULL) {
        return error_api(err, "InvalidResourceId",
                         "The resource ID \"%s\" is not valid. Verify the ID and try again.",
                         doc_z(in, M_ResourceId));
    }
    *arn = parameter->arn;
    return 0;
}

int ssm_add_tags_to_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    const struct tags *tags;
    const char *arn;
    size_t more = 0;
    int rc = find_tagged(ctx, in, &arn, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    tags = tags_of(&ctx->control->tags, arn);
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        more += tags_value(&ctx->control->tags, arn, doc_z(doc_at(in, M_Tags, i), M_Key)) == NULL;
    }
    if (tags->count + more > TAGS_PER_RESOURCE_MAX) {
        return error_api(err, "TooManyTagsError", "A parameter can have %d tags at most.",
                         TAGS_PER_RESOURCE_MAX);
    }
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);

        ctx_tag_put(ctx, arn, doc_z(tag, M_Key), doc_z(tag, M_Value));
    }
    return 0;
}

int ssm_remove_tags_from_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    const char *arn;
    int rc = find_tagged(ctx, in, &arn, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_TagKeys); i++) {
        ctx_tag_remove(ctx, arn, doc_z_at(in, M_TagKeys, i));
    }
    return rc;
}

int ssm_list_tags_for_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    const struct tags *tags;
    const char *arn;
    int rc = find_tagged(ctx, in, &arn, err);

    if (rc != 0) {
        return rc;
    }
    tags = tags_of(&ctx->control->tags, arn);
    doc_set_list(out, M_TagList);
    for (size_t i = 0; i < tags->count; i++) {
        struct doc *tag = doc_add_struct(out, M_TagList);

        doc_set_z(tag, M_Key, tags->items[i].key);
        doc_set_z(tag, M_Value, tags->items[i].value);
    }
    return 0;
}
