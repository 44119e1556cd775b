/* DynamoDB's part in the life of the control plane. */
#include "base/alloc.h"
#include "base/macros.h"
#include "services/dynamodb/private.h"
#include "store/record.h"

#include <stdlib.h>

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    json_object_seed(0); /* Before the writer's thread makes its first object. */
    control->dynamodb = mem_calloc(1, sizeof(*control->dynamodb));
    control->dynamodb->control = control;
    return 0;
}

static int load(struct control *control, struct slice kind, struct slice id, struct slice body,
                struct error *err)
{
    struct dynamodb *dynamodb = control->dynamodb;
    struct table *table;
    int rc;

    if (!slice_equal_z(kind, "dynamodb.table")) {
        return error_set(err, ERR_CONFIG, "dynamodb: unknown record %.*s", SLICE_ARG(kind));
    }
    table = mem_calloc(1, sizeof(*table));
    rc = record_load(&table_record, table, body, err);
    if (rc != 0) {
        free(table);
        return error_wrap(err, "dynamodb table %.*s", SLICE_ARG(id));
    }
    map_put(&dynamodb->tables, slice_z(table->name), table);
    dynamodb->number_last = max_i64(dynamodb->number_last, table->number);
    return 0;
}

static int start(struct ctx *ctx, struct error *err)
{
    struct dynamodb *dynamodb = ctx->control->dynamodb;

    dynamodb->timer = control_timer_open(ctx->control, tables_sweep, dynamodb);
    tables_sweep(ctx, dynamodb);
    return tokens_load(dynamodb, err);
}

static void close_service(struct control *control)
{
    struct dynamodb *dynamodb = control->dynamodb;
    struct token *token;
    struct table *table;

    if (dynamodb == NULL) {
        return;
    }
    control_timer_close(dynamodb->timer);
    for (size_t at = 0; (table = map_next(&dynamodb->tables, &at)) != NULL;) {
        table_close(table);
    }
    map_close(&dynamodb->tables);
    for (size_t at = 0; (token = map_next(&dynamodb->tokens, &at)) != NULL;) {
        token_free(token);
    }
    map_close(&dynamodb->tokens);
    dynamodb->control = NULL;
    control->dynamodb = NULL;
    if (dynamodb->clearing == 0) {
        free(dynamodb); /* Else the last job does. */
    }
}

const struct service dynamodb_service = {
    .name = "dynamodb",
    .open = open_service,
    .load = load,
    .start = start,
    .close = close_service,
};
