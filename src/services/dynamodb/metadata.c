/* What surrounds tables: tags, time to live, backups, limits, endpoints. */
#include "base/alloc.h"
#include "base/macros.h"
#include "services/dynamodb/private.h"

#include <stdlib.h>
#include <string.h>

/* The table whose ARN is ResourceArn; names are refused here. */
static int find_by_arn(struct ctx *ctx, const struct doc *in, const char **arn, struct error *err)
{
    struct slice given = doc_text(in, M_ResourceArn);
    struct slice prefix = slice_z(ctx_arn(ctx, "dynamodb", "table/"));
    struct slice name = slice_sub(given, prefix.bytes, given.bytes);

    if (!slice_starts(given, prefix) || slice_find(name, '/') != name.bytes) {
        return error_api(err, "ValidationException",
                         "Invalid TableArn: Invalid ResourceArn provided as input %.*s",
                         SLICE_ARG(given));
    }
    if (map_get(&ctx->control->dynamodb->tables, name) == NULL) {
        return error_api(err, "ResourceNotFoundException",
                         "Requested resource not found: ResourcArn: %.*s not found",
                         SLICE_ARG(given));
    }
    *arn = given.data;
    return 0;
}

static int check_tag_count(const struct ctx *ctx, const struct doc *in, const char *arn,
                           struct error *err)
{
    size_t count = tags_of(&ctx->control->tags, arn)->count;

    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const char *key = doc_z(doc_at(in, M_Tags, i), M_Key);

        count += tags_value(&ctx->control->tags, arn, key) == NULL;
    }
    if (count > TAGS_PER_RESOURCE_MAX) {
        return error_api(err, "ValidationException",
                         "One or more parameter values were invalid: Too many tags: %zu, the limit"
                         " is %d",
                         count, TAGS_PER_RESOURCE_MAX);
    }
    return 0;
}

int dynamodb_tag_resource(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *arn = NULL;
    int rc = find_by_arn(ctx, in, &arn, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (doc_count(in, M_Tags) == 0) {
        return error_api(err, "ValidationException",
                         "Atleast one Tag needs to be provided as Input.");
    }
    rc = check_tag_count(ctx, in, arn, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);

        ctx_tag_put(ctx, arn, doc_z(tag, M_Key), doc_z(tag, M_Value));
    }
    return 0;
}

int dynamodb_untag_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    const char *arn = NULL;
    int rc = find_by_arn(ctx, in, &arn, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (doc_count(in, M_TagKeys) == 0) {
        return error_api(err, "ValidationException",
                         "Atleast one Tag Key needs to be provided as Input.");
    }
    for (size_t i = 0; i < doc_count(in, M_TagKeys); i++) {
        ctx_tag_remove(ctx, arn, doc_z_at(in, M_TagKeys, i));
    }
    return 0;
}

int dynamodb_list_tags_of_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                                   struct error *err)
{
    const char *arn = NULL;
    const struct tags *tags;
    int rc = find_by_arn(ctx, in, &arn, err);

    if (rc != 0) {
        return rc;
    }
    tags = tags_of(&ctx->control->tags, arn);
    doc_set_list(out, M_Tags);
    for (size_t i = 0; i < tags->count; i++) {
        struct doc *tag = doc_add_struct(out, M_Tags);

        doc_set_z(tag, M_Key, tags->items[i].key);
        doc_set_z(tag, M_Value, tags->items[i].value);
    }
    return 0;
}

int dynamodb_describe_time_to_live(struct ctx *ctx, const struct doc *in, struct doc *out,
                                   struct error *err)
{
    struct table *table;
    struct doc *description;
    int rc = table_find(ctx, doc_text(in, M_TableName), &table, err);

    if (rc != 0) {
        return rc;
    }
    description = doc_set_struct(out, M_TimeToLiveDescription);
    doc_set_z(description, M_TimeToLiveStatus,
              table->ttl_attribute == NULL ? "DISABLED" : "ENABLED");
    doc_set_z(description, M_AttributeName, table->ttl_attribute);
    return 0;
}

/* Only switching it off is possible: items do not expire here (docs/fidelity.md), and a table that
 * said they do would keep what its owner believes to be gone. */
int dynamodb_update_time_to_live(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    const struct doc *wanted = doc_get(in, M_TimeToLiveSpecification);
    struct table *table;
    int rc = table_find(ctx, doc_text(in, M_TableName), &table, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (doc_bool(wanted, M_Enabled)) {
        return error_api(err, "ValidationException",
                         "muster's items do not expire: TimeToLive"
                         " cannot be enabled");
    }
    return error_api(err, "ValidationException", "TimeToLive is already disabled");
}

int dynamodb_describe_continuous_backups(struct ctx *ctx, const struct doc *in, struct doc *out,
                                         struct error *err)
{
    struct table *table;
    struct doc *description;

    if (table_find(ctx, doc_text(in, M_TableName), &table, NULL) != 0) {
        return error_api(err, "TableNotFoundException", "Table not found: %s",
                         doc_z(in, M_TableName));
    }
    description = doc_set_struct(out, M_ContinuousBackupsDescription);
    doc_set_z(description, M_ContinuousBackupsStatus, "ENABLED");
    doc_set_z(doc_set_struct(description, M_PointInTimeRecoveryDescription),
              M_PointInTimeRecoveryStatus, "DISABLED");
    return 0;
}

int dynamodb_describe_limits(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    (void)ctx;
    (void)in;
    (void)err;
    doc_set_int(out, M_AccountMaxReadCapacityUnits, 80000);
    doc_set_int(out, M_AccountMaxWriteCapacityUnits, 80000);
    doc_set_int(out, M_TableMaxReadCapacityUnits, 40000);
    doc_set_int(out, M_TableMaxWriteCapacityUnits, 40000);
    return 0;
}

int dynamodb_describe_endpoints(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct doc *endpoint = doc_add_struct(out, M_Endpoints);
    struct slice address = slice_z(ctx->control->options.endpoint);

    (void)in;
    (void)err;
    if (slice_starts(address, SLICE_LIT("http://"))) {
        address = slice_sub(address, 7, address.bytes);
    }
    doc_set_text(endpoint, M_Address, address);
    doc_set_int(endpoint, M_CachePeriodInMinutes, 1440);
    return 0;
}
