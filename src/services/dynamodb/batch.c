/* BatchWriteItem: one job for all its puts and deletes, for each is unconditional. */
#include "base/alloc.h"
#include "base/json.h"
#include "base/macros.h"
#include "services/dynamodb/private.h"

#include <stdlib.h>

#define BATCH_WRITE_MAX 25

struct write {
    struct item_keys keys;
    int64_t table;
    size_t table_index; /* Which of the request's tables. */
    struct buf body;    /* "" deletes. */
    int64_t bytes;
    int64_t bytes_old;
};

struct batch {
    struct item_job job;
    struct ctx *ctx;
    const struct doc *in;
    struct doc *out;
    struct write writes[BATCH_WRITE_MAX];
    size_t count;
};

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        keys_close(&batch->writes[i].keys);
        buf_close(&batch->writes[i].body);
    }
    free(batch);
}

static int run(struct item_job *job, struct items_txn *txn, struct error *err)
{
    struct batch *batch = (struct batch *)job;
    int rc = 0;

    for (size_t i = 0; i < batch->count && rc == 0; i++) {
        struct write *write = &batch->writes[i];
        const struct item_key key = {write->table, buf_slice(&write->keys.hash),
                                     buf_slice(&write->keys.range)};
        struct item_row old;

        rc = items_txn_get(txn, &key, &old, err);
        write->bytes_old = old.bytes;
        if (rc == 0 || rc == ERR_NOT_FOUND) {
            rc = write->body.bytes == 0
                     ? items_txn_del(txn, &key, err)
                     : items_txn_put(txn, &key, write->bytes, buf_slice(&write->body), err);
        }
    }
    return rc;
}

static void set_capacity(const struct batch *batch)
{
    const struct doc *requests = doc_get(batch->in, M_RequestItems);

    for (size_t table = 0; table < doc_length(requests) && capacity_wanted(batch->in); table++) {
        double units = 0;

        for (size_t i = 0; i < batch->count; i++) {
            const struct write *write = &batch->writes[i];

            if (write->table_index == table) {
                units += write_units(max_i64(write->bytes, write->bytes_old));
            }
        }
        capacity_fill(batch->in, doc_add_struct(batch->out, M_ConsumedCapacity),
                      doc_key(requests, table).data, units);
    }
}

static void done(struct item_job *job, const struct error *err)
{
    struct batch *batch = (struct batch *)job;

    if (err == NULL) {
        doc_set_map(batch->out, M_UnprocessedItems);
        set_capacity(batch);
    }
    ctx_finish(batch->ctx, err);
    batch_free(batch);
}

static int read_put(const struct table *table, const struct doc *request, struct write *write,
                    struct error *err)
{
    json_t *item = NULL;
    int rc = item_json(request, M_Item, &item, err);

    if (rc == 0) {
        rc = keys_of_item(table, item, &write->keys, err);
    }
    if (rc == 0) {
        write->bytes = item_bytes(item);
        json_to_buf(item, &write->body);
        if (write->bytes > ITEM_BYTES_MAX) {
            rc = error_api(err, "ValidationException",
                           "Item size has exceeded the maximum allowed size");
        }
    }
    json_decref(item);
    return rc;
}

static int read_delete(const struct table *table, const struct doc *request, struct write *write,
                       struct error *err)
{
    json_t *key = NULL;
    int rc = item_json(request, M_Key, &key, err);

    if (rc == 0) {
        rc = keys_of_key(table, key, &write->keys, err);
    }
    json_decref(key);
    return rc;
}

static int check_twins(const struct batch *batch, struct error *err)
{
    const struct write *last = &batch->writes[batch->count - 1];

    for (size_t i = 0; i + 1 < batch->count; i++) {
        const struct write *other = &batch->writes[i];

        if (other->table == last->table &&
            slice_equal(buf_slice(&other->keys.hash), buf_slice(&last->keys.hash)) &&
            slice_equal(buf_slice(&other->keys.range), buf_slice(&last->keys.range))) {
            return error_api(err, "ValidationException",
                             "Provided list of item keys contains duplicates");
        }
    }
    return 0;
}

static int read_write(struct batch *batch, const struct table *table, size_t table_index,
                      const struct doc *request, struct error *err)
{
    const struct doc *put = doc_get(request, M_PutRequest);
    const struct doc *delete = doc_get(request, M_DeleteRequest);
    struct write *write;
    int rc;

    if ((put == NULL) == (delete == NULL)) {
        return error_api(err, "ValidationException",
                         "Supplied AttributeValue has more than one datatypes set, must contain"
                         " exactly one of the supported datatypes");
    }
    if (batch->count == BATCH_WRITE_MAX) {
        return error_api(err, "ValidationException",
                         "Too many items requested for the BatchWriteItem call");
    }
    write = &batch->writes[batch->count++];
    write->table = table->number;
    write->table_index = table_index;
    rc = put != NULL ? read_put(table, put, write, err) : read_delete(table, delete, write, err);
    return rc != 0 ? rc : check_twins(batch, err);
}

static int read_table(struct batch *batch, size_t table_index, struct error *err)
{
    const struct doc *requests = doc_get(batch->in, M_RequestItems);
    const struct doc *list = doc_element(requests, table_index);
    struct table *table;
    int rc = table_find_usable(batch->ctx, doc_key(requests, table_index), &table, err);

    if (rc == 0 && doc_length(list) == 0) {
        rc = error_api(err, "ValidationException",
                       "1 validation error detected: Value '{%s=[]}' at 'requestItems' failed to"
                       " satisfy constraint: Map value must satisfy constraint: [Member must have"
                       " length less than or equal to 25, Member must have length greater than or"
                       " equal to 1]",
                       doc_key(requests, table_index).data);
    }
    for (size_t i = 0; i < doc_length(list) && rc == 0; i++) {
        rc = read_write(batch, table, table_index, doc_element(list, i), err);
    }
    return rc;
}

int dynamodb_batch_write_item(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    size_t tables = doc_count(in, M_RequestItems);
    struct batch *batch;
    int rc = 0;

    if (tables == 0) {
        return error_api(err, "ValidationException",
                         "1 validation error detected: Value '{}' at 'requestItems' failed to"
                         " satisfy constraint: Member must have length greater than or equal to"
                         " 1");
    }
    batch = mem_calloc(1, sizeof(*batch));
    batch->job = (struct item_job){.run = run, .done = done};
    batch->ctx = ctx;
    batch->in = in;
    batch->out = out;
    for (size_t i = 0; i < tables && rc == 0; i++) {
        rc =
            table_authorize(ctx, "dynamodb:BatchWriteItem", doc_key_at(in, M_RequestItems, i), err);
    }
    for (size_t i = 0; i < tables && rc == 0; i++) {
        rc = read_table(batch, i, err);
    }
    if (rc != 0) {
        batch_free(batch);
        return rc;
    }
    ctx_defer(ctx);
    items_submit(ctx->control->store, &batch->job);
    return 0;
}
