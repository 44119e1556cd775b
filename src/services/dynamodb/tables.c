/* Tables: their records, how they are found and described, and how they go. */
#include "base/alloc.h"
#include "base/log.h"
#include "base/macros.h"
#include "services/dynamodb/private.h"
#include "store/record.h"
#include "wire/server.h"

#include <stdlib.h>
#include <string.h>

#define CLEAR_ITEMS_PER_JOB 500 /* So that other writes get in between. */

static const char *const key_types[] = {"S", "N", "B"};
static const struct record_field table_fields[] = {
    RECORD_TEXT(struct table, name),          RECORD_TEXT(struct table, id),
    RECORD_I64(struct table, number),         RECORD_I64(struct table, created_ms),
    RECORD_I64(struct table, ready_ms),       RECORD_BOOL(struct table, created),
    RECORD_BOOL(struct table, deleting),      RECORD_I64(struct table, gone_ms),
    RECORD_TEXT(struct table, hash_name),     RECORD_ENUM(struct table, hash_type, key_types),
    RECORD_TEXT(struct table, range_name),    RECORD_ENUM(struct table, range_type, key_types),
    RECORD_BOOL(struct table, on_demand),     RECORD_I64(struct table, on_demand_ms),
    RECORD_I64(struct table, read_units),     RECORD_I64(struct table, write_units),
    RECORD_BOOL(struct table, protected),     RECORD_TEXT(struct table, table_class),
    RECORD_TEXT(struct table, ttl_attribute),
};
const struct record table_record = RECORD(struct table, table_fields);

void table_close(struct table *table)
{
    if (table != NULL) {
        record_close(&table_record, table);
        free(table);
    }
}

const char *table_arn(struct ctx *ctx, const struct table *table)
{
    return ctx_arn(ctx, "dynamodb", "table/%s", table->name);
}

int table_authorize(struct ctx *ctx, const char *action, struct slice name, struct error *err)
{
    const char *arn = slice_starts(name, SLICE_LIT("arn:"))
                          ? arena_strdup(ctx->arena, name)
                          : ctx_arn(ctx, "dynamodb", "table/%.*s", SLICE_ARG(name));

    return ctx->control->hooks->authorize(ctx, action, arn, err);
}

const char *table_status(const struct table *table, int64_t now_ms)
{
    if (table->deleting) {
        return "DELETING";
    }
    if (now_ms < table->ready_ms) {
        return table->created ? "UPDATING" : "CREATING";
    }
    return "ACTIVE";
}

void table_put(struct ctx *ctx, const struct table *table)
{
    changes_put_record(ctx->changes, SLICE_LIT("dynamodb.table"), slice_z(table->name),
                       &table_record, table);
}

/* "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME" and plain names are both taken. */
static struct slice name_of(struct ctx *ctx, struct slice name)
{
    struct slice prefix = slice_z(ctx_arn(ctx, "dynamodb", "table/"));

    return slice_starts(name, prefix) ? slice_sub(name, prefix.bytes, name.bytes) : name;
}

int table_find(struct ctx *ctx, struct slice name, struct table **table, struct error *err)
{
    name = name_of(ctx, name);
    *table = map_get(&ctx->control->dynamodb->tables, name);
    if (*table != NULL) {
        return 0;
    }
    return error_api(err, "ResourceNotFoundException",
                     "Requested resource not found: Table: %.*s not found", SLICE_ARG(name));
}

int table_find_usable(struct ctx *ctx, struct slice name, struct table **table, struct error *err)
{
    struct table *found = map_get(&ctx->control->dynamodb->tables, name_of(ctx, name));

    *table = found;
    if (found != NULL && !found->deleting && (found->created || ctx->now_ms >= found->ready_ms)) {
        return 0;
    }
    return error_api(err, "ResourceNotFoundException", "Requested resource not found");
}

/* Describing. */

static void describe_keys(const struct table *table, struct doc *out)
{
    const char *const names[] = {table->hash_name, table->range_name};
    const enum value_type types[] = {table->hash_type, table->range_type};

    for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
        struct doc *key = doc_add_struct(out, M_KeySchema);
        struct doc *definition = doc_add_struct(out, M_AttributeDefinitions);

        doc_set_z(key, M_AttributeName, names[i]);
        doc_set_z(key, M_KeyType, i == 0 ? "HASH" : "RANGE");
        doc_set_z(definition, M_AttributeName, names[i]);
        doc_set_z(definition, M_AttributeType, value_type_name(types[i]));
    }
}

static void describe_throughput(const struct table *table, const char *status, struct doc *out)
{
    struct doc *provisioned = doc_set_struct(out, M_ProvisionedThroughput);

    doc_set_int(provisioned, M_NumberOfDecreasesToday, 0);
    doc_set_int(provisioned, M_ReadCapacityUnits, table->on_demand ? 0 : table->read_units);
    doc_set_int(provisioned, M_WriteCapacityUnits, table->on_demand ? 0 : table->write_units);
    if (table->on_demand_ms != 0) {
        struct doc *billing = doc_set_struct(out, M_BillingModeSummary);

        doc_set_z(billing, M_BillingMode, table->on_demand ? "PAY_PER_REQUEST" : "PROVISIONED");
        doc_set_time_ms(billing, M_LastUpdateToPayPerRequestDateTime, table->on_demand_ms);
    }
    if (strcmp(status, "ACTIVE") == 0) { /* Terraform waits for it. */
        struct doc *warm = doc_set_struct(out, M_WarmThroughput);

        doc_set_int(warm, M_ReadUnitsPerSecond, table->on_demand ? 12000 : table->read_units);
        doc_set_int(warm, M_WriteUnitsPerSecond, table->on_demand ? 4000 : table->write_units);
        doc_set_z(warm, M_Status, "ACTIVE");
    }
}

void table_describe(struct ctx *ctx, const struct table *table, struct doc *out)
{
    const char *status = table_status(table, ctx->now_ms);
    int64_t count = 0, bytes = 0;

    if (!table->deleting) {
        describe_keys(table, out);
    }
    doc_set_z(out, M_TableName, table->name);
    doc_set_z(out, M_TableStatus, status);
    doc_set_time_ms(out, M_CreationDateTime, table->created_ms);
    describe_throughput(table, status, out);
    if (items_stats(ctx->control->store, table->number, &count, &bytes, NULL) != 0) {
        log_warn("dynamodb.count-failed table=%s", table->name);
    }
    doc_set_int(out, M_TableSizeBytes, bytes);
    doc_set_int(out, M_ItemCount, count);
    doc_set_z(out, M_TableArn, table_arn(ctx, table));
    doc_set_z(out, M_TableId, table->id);
    doc_set_bool(out, M_DeletionProtectionEnabled, table->protected);
    if (table->table_class != NULL) {
        doc_set_z(doc_set_struct(out, M_TableClassSummary), M_TableClass, table->table_class);
    }
}

/* Deleting: the items go in jobs of some hundred, then the record. Whatever is left when the
 * process ends is found again at the next start. */

struct clearing {
    struct item_job job;
    struct dynamodb *dynamodb;
    char *name;
    int64_t number;
    bool more;
};

static int clear_run(struct item_job *job, struct items_txn *txn, struct error *err)
{
    struct clearing *clearing = (struct clearing *)job;

    return items_txn_clear(txn, clearing->number, CLEAR_ITEMS_PER_JOB, &clearing->more, err);
}

static void forget(struct ctx *ctx, void *data)
{
    struct table *table = data;

    ctx_tags_drop(ctx, table_arn(ctx, table));
    changes_del(ctx->changes, SLICE_LIT("dynamodb.table"), slice_z(table->name));
    map_remove(&ctx->control->dynamodb->tables, slice_z(table->name));
    log_info("dynamodb.table-gone name=%s", table->name);
    table_close(table);
}

static void clear_done(struct item_job *job, const struct error *err)
{
    struct clearing *clearing = (struct clearing *)job;
    struct dynamodb *dynamodb = clearing->dynamodb;
    struct table *table;

    if (err == NULL && clearing->more && dynamodb->control != NULL) {
        items_submit(dynamodb->control->store, job);
        return;
    }
    dynamodb->clearing--;
    if (dynamodb->control == NULL) { /* Closed meanwhile. */
        if (dynamodb->clearing == 0) {
            free(dynamodb);
        }
    } else if (err == NULL) {
        table = map_get_z(&dynamodb->tables, clearing->name);
        ASSERT(table != NULL && table->clearing);
        control_run(dynamodb->control, forget, table);
    }
    free(clearing->name);
    free(clearing);
}

static void start_clearing(struct dynamodb *dynamodb, struct table *table)
{
    struct clearing *clearing = mem_calloc(1, sizeof(*clearing));

    table->clearing = true;
    dynamodb->clearing++;
    clearing->job = (struct item_job){.run = clear_run, .done = clear_done};
    clearing->dynamodb = dynamodb;
    clearing->name = mem_strdup(table->name);
    clearing->number = table->number;
    items_submit(dynamodb->control->store, &clearing->job);
}

void tables_sweep(struct ctx *ctx, void *data)
{
    struct dynamodb *dynamodb = data;
    int64_t next_ms = INT64_MAX;
    struct table *table;

    for (size_t at = 0; (table = map_next(&dynamodb->tables, &at)) != NULL;) {
        if (!table->deleting || table->clearing) {
            continue;
        }
        if (table->gone_ms <= ctx->now_ms) {
            start_clearing(dynamodb, table);
        } else {
            next_ms = min_i64(next_ms, table->gone_ms);
        }
    }
    if (next_ms != INT64_MAX) {
        control_timer_at_ms(dynamodb->timer, next_ms);
    }
}
