/* One write, from the request to the changed item. */
#include "services/dynamodb/write.h"

#include "base/json.h"
#include "base/macros.h"

#include <string.h>

void write_close(struct write *write)
{
    scope_close(&write->scope);
    json_decref(write->item);
    json_decref(write->old_item);
    keys_close(&write->keys);
    buf_close(&write->old);
    buf_close(&write->new);
    buf_close(&write->attributes);
    *write = (struct write){0};
}

/* In the writer. */

static bool needs_old(const struct write *write)
{
    return write->condition != NULL || write->type == WRITE_UPDATE ||
           write->returns == RETURN_ALL_OLD;
}

static int read_old(struct write *write, struct items_txn *txn, const struct item_key *key,
                    struct error *err)
{
    struct item_row row;
    int rc = items_txn_get(txn, key, &row, err);

    if (rc == ERR_NOT_FOUND) {
        return 0;
    }
    if (rc == 0) {
        write->bytes = max_i64(write->bytes, row.bytes);
        if (needs_old(write)) {
            buf_add(&write->old, row.body);
        }
    }
    return rc;
}

static int check_condition(const struct write *write, const json_t *old, struct error *err)
{
    if (write->condition == NULL || condition_holds(write->condition, old)) {
        return 0;
    }
    return error_api(err, "ConditionalCheckFailedException", "The conditional request failed");
}

/* The new item in @item, from the old one or the key. */
static int make_updated(struct write *write, const json_t *old, json_t **item, struct error *err)
{
    int rc = 0;

    *item = json_deep_copy(old != NULL ? old : write->item);
    if (write->has_update) {
        rc = update_apply(&write->update, *item, old != NULL, err);
    }
    if (rc != 0) {
        return rc;
    }
    write->new_bytes = item_bytes(*item);
    if (write->new_bytes > ITEM_BYTES_MAX) {
        return error_api(err, "ValidationException",
                         "Item size to update has exceeded the maximum allowed size");
    }
    return 0;
}

static int store_item(struct write *write, struct items_txn *txn, const struct item_key *key,
                      const json_t *item, struct error *err)
{
    json_to_buf(item, &write->new);
    write->bytes = max_i64(write->bytes, write->new_bytes);
    return items_txn_put(txn, key, write->new_bytes, buf_slice(&write->new), err);
}

static void show_touched(struct write *write, const json_t *item)
{
    struct arena arena = {0};
    struct projection touched;
    json_t *part;

    if (!write->has_update || item == NULL) {
        return;
    }
    update_paths(&write->update, &arena, &touched);
    part = projection_apply(&touched, item);
    if (json_object_size(part) > 0) {
        json_to_buf(part, &write->attributes);
    }
    json_decref(part);
    arena_close(&arena);
}

static void show(struct write *write, const json_t *old, const json_t *new)
{
    switch (write->returns) {
    case RETURN_NONE:
        break;
    case RETURN_ALL_OLD:
        buf_add(&write->attributes, buf_slice(&write->old));
        break;
    case RETURN_ALL_NEW:
        buf_add(&write->attributes, buf_slice(&write->new));
        break;
    case RETURN_UPDATED_OLD:
        show_touched(write, old);
        break;
    case RETURN_UPDATED_NEW:
        show_touched(write, new);
        break;
    }
}

static int change(struct write *write, struct items_txn *txn, const struct item_key *key,
                  const json_t *old, struct error *err)
{
    json_t *updated = NULL;
    int rc = 0;

    switch (write->type) {
    case WRITE_PUT:
        rc = store_item(write, txn, key, write->item, err);
        break;
    case WRITE_DELETE:
        rc = items_txn_del(txn, key, err);
        break;
    case WRITE_CHECK:
        break;
    case WRITE_UPDATE:
        rc = make_updated(write, old, &updated, err);
        if (rc == 0 && (old != NULL || !write->has_update || update_creates(&write->update))) {
            rc = store_item(write, txn, key, updated, err);
        }
        break;
    }
    if (rc == 0) {
        show(write, old, updated);
    }
    json_decref(updated);
    return rc;
}

static struct item_key key_of(const struct write *write)
{
    return (struct item_key){write->table, buf_slice(&write->keys.hash),
                             buf_slice(&write->keys.range)};
}

int write_judge(struct write *write, struct items_txn *txn, struct error *err)
{
    const struct item_key key = key_of(write);
    int rc = read_old(write, txn, &key, err);

    if (rc == 0 && write->old.bytes > 0 &&
        (write->condition != NULL || write->type == WRITE_UPDATE)) {
        write->old_item = item_parse(buf_slice(&write->old));
    }
    return rc != 0 ? rc : check_condition(write, write->old_item, err);
}

int write_change(struct write *write, struct items_txn *txn, struct error *err)
{
    const struct item_key key = key_of(write);

    return change(write, txn, &key, write->old_item, err);
}

/* On the loop. */

static int read_returns(struct write *write, const struct doc *in, struct error *err)
{
    static const char *const names[] = {
        [RETURN_NONE] = "NONE",
        [RETURN_ALL_OLD] = "ALL_OLD",
        [RETURN_ALL_NEW] = "ALL_NEW",
        [RETURN_UPDATED_OLD] = "UPDATED_OLD",
        [RETURN_UPDATED_NEW] = "UPDATED_NEW",
    };
    struct slice wanted = doc_text(in, M_ReturnValues);

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (slice_equal_z(wanted, names[i])) {
            write->returns = (enum write_returns)i;
        }
    }
    write->return_on_failure =
        slice_equal_z(doc_text(in, M_ReturnValuesOnConditionCheckFailure), "ALL_OLD");
    if (write->type != WRITE_UPDATE && write->returns > RETURN_ALL_OLD) {
        return error_api(err, "ValidationException", "ReturnValues can only be ALL_OLD or NONE");
    }
    return 0;
}

static int read_expressions(struct write *write, const struct doc *in, struct error *err)
{
    static const struct legacy_parameter both[] = {{M_UpdateExpression, "UpdateExpression"},
                                                   {M_ConditionExpression, "ConditionExpression"}};
    bool updates = write->type == WRITE_UPDATE;
    int rc = scope_read(&write->scope, in, updates ? both : both + 1, updates ? 2 : 1, true, err);

    if (rc == 0 && updates && doc_has(in, M_UpdateExpression)) {
        write->has_update = true;
        rc = update_parse(&write->scope, doc_text(in, M_UpdateExpression), &write->update, err);
    }
    if (rc == 0 && doc_has(in, M_ConditionExpression)) {
        rc = condition_parse(&write->scope, "ConditionExpression",
                             doc_text(in, M_ConditionExpression), &write->condition, err);
    }
    return rc != 0 ? rc : scope_check_unused(&write->scope, err);
}

/* All that needs no table, in DynamoDB's order. */
static int read_request(struct write *write, const struct doc *in, struct error *err)
{
    static const struct legacy_parameter legacy[] = {
        {M_Expected, "Expected"},
        {M_ConditionalOperator, "ConditionalOperator"},
        {M_AttributeUpdates, "AttributeUpdates"},
    };
    int rc = refuse_legacy(in, legacy, COUNT_OF(legacy), err);

    if (rc == 0) {
        rc = item_json(in, write->type == WRITE_PUT ? M_Item : M_Key, &write->item, err);
    }
    if (rc == 0) {
        rc = read_returns(write, in, err);
    }
    if (rc == 0 && write->type == WRITE_PUT) {
        write->new_bytes = item_bytes(write->item);
        if (write->new_bytes > ITEM_BYTES_MAX) {
            rc = error_api(err, "ValidationException",
                           "Item size has exceeded the maximum allowed size");
        }
    }
    return rc != 0 ? rc : read_expressions(write, in, err);
}

static int meet_table(struct ctx *ctx, struct write *write, const struct doc *in, struct error *err)
{
    struct table *table;
    int rc = table_find_usable(ctx, doc_text(in, M_TableName), &table, err);

    if (rc != 0) {
        return rc;
    }
    write->table = table->number;
    write->table_name = arena_strdup(&write->scope.arena, slice_z(table->name));
    rc = write->type == WRITE_PUT ? keys_of_item(table, write->item, &write->keys, err)
                                  : keys_of_key(table, write->item, &write->keys, err);
    if (rc == 0 && write->has_update) {
        rc = update_check_keys(&write->update, table->hash_name, table->range_name, err);
    }
    return rc;
}

int write_read(struct ctx *ctx, struct write *write, const struct doc *in, enum write_type type,
               bool alone, struct error *err)
{
    int rc;

    write->type = type;
    write->scope.write = alone;
    rc = read_request(write, in, err);
    return rc != 0 ? rc : meet_table(ctx, write, in, err);
}
