/* GetItem and BatchGetItem: answered at once, from the last commit. */
#include "base/json.h"
#include "base/macros.h"
#include "services/dynamodb/private.h"

#define BATCH_GET_MAX 100
#define BATCH_GET_BYTES_MAX (16 * 1024 * 1024)

/* What both say about which parts to show. */
struct view {
    struct scope scope;
    bool projected;
    struct projection projection;
};

static int read_view(struct view *view, const struct doc *in, struct error *err)
{
    static const struct legacy_parameter legacy[] = {{M_AttributesToGet, "AttributesToGet"}};
    static const struct legacy_parameter expressions[] = {
        {M_ProjectionExpression, "ProjectionExpression"}};
    int rc = refuse_legacy(in, legacy, COUNT_OF(legacy), err);

    if (rc == 0) {
        rc = scope_read(&view->scope, in, expressions, COUNT_OF(expressions), false, err);
    }
    if (rc == 0 && doc_has(in, M_ProjectionExpression)) {
        view->projected = true;
        rc = projection_parse(&view->scope, doc_text(in, M_ProjectionExpression), &view->projection,
                              err);
    }
    return rc != 0 ? rc : scope_check_unused(&view->scope, err);
}

static int find_table(struct ctx *ctx, struct slice name, const struct view *view,
                      struct table **table, struct error *err)
{
    int rc = table_find_usable(ctx, name, table, err);

    return rc != 0 ? rc
                   : projection_check_keys(&view->projection, (*table)->hash_name,
                                           (*table)->range_name, err);
}

/* Append the item as the view shows it. */
static void show(const struct view *view, struct slice body, struct buf *text)
{
    json_t *item, *part;

    if (!view->projected) {
        buf_add(text, body);
        return;
    }
    item = item_parse(body);
    part = projection_apply(&view->projection, item);
    json_to_buf(part, text);
    json_decref(part);
    json_decref(item);
}

/* ERR_NOT_FOUND when there is no such item. */
static int get(struct ctx *ctx, const struct table *table, const json_t *key, struct item_row *row,
               struct error *err)
{
    struct item_keys keys = {0};
    int rc = keys_of_key(table, key, &keys, err);

    if (rc == 0) {
        const struct item_key at = {table->number, buf_slice(&keys.hash), buf_slice(&keys.range)};

        rc = items_get(ctx->control->store, &at, ctx->arena, row, err);
    }
    keys_close(&keys);
    return rc;
}

static int get_item(struct ctx *ctx, const struct doc *in, const struct view *view,
                    const json_t *key, struct doc *out, struct error *err)
{
    struct item_row row = {0};
    struct buf text = {0};
    struct table *table;
    int rc = find_table(ctx, doc_text(in, M_TableName), view, &table, err);

    if (rc == 0) {
        rc = get(ctx, table, key, &row, err);
    }
    if (rc == 0) {
        show(view, row.body, &text);
        doc_set_raw_json(out, M_Item, buf_slice(&text));
        buf_close(&text);
    } else if (rc != ERR_NOT_FOUND) {
        return rc;
    }
    capacity_set(in, out, table->name, read_units(row.bytes, doc_bool(in, M_ConsistentRead)));
    return 0;
}

int dynamodb_get_item(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct view view = {0};
    json_t *key = NULL;
    int rc = item_json(in, M_Key, &key, err);

    if (rc == 0) {
        rc = read_view(&view, in, err);
    }
    if (rc == 0) {
        rc = get_item(ctx, in, &view, key, out, err);
    }
    json_decref(key);
    scope_close(&view.scope);
    return rc;
}

/* BatchGetItem. */

struct batch {
    struct ctx *ctx;
    const struct doc *in;
    struct doc *unprocessed; /* UnprocessedKeys */
    int64_t bytes;           /* Of answers so far. */
    size_t keys;             /* Asked for so far. */
};

/* Remember the key; a second time it is an error. */
static int note_key(struct map *seen, const struct item_keys *keys, struct error *err)
{
    struct buf both = {0};
    bool twin;

    buf_printf(&both, "%zu ", keys->hash.bytes);
    buf_add(&both, buf_slice(&keys->hash));
    buf_add(&both, buf_slice(&keys->range));
    twin = map_put(seen, buf_slice(&both), seen) != NULL;
    buf_close(&both);
    return twin ? error_api(err, "ValidationException",
                            "Provided list of item keys contains duplicates")
                : 0;
}

static void leave_key(struct batch *batch, struct slice name, const struct doc *request, size_t at)
{
    struct doc *rest = NULL;

    for (size_t i = 0; i < doc_length(batch->unprocessed) && rest == NULL; i++) {
        if (slice_equal(doc_key(batch->unprocessed, i), name)) {
            rest = batch->unprocessed->u.map.pairs[i].value;
        }
    }
    if (rest == NULL) {
        rest = doc_map_put_struct(batch->unprocessed, name);
        if (doc_has(request, M_ConsistentRead)) {
            doc_set_bool(rest, M_ConsistentRead, doc_bool(request, M_ConsistentRead));
        }
        doc_set_z(rest, M_ProjectionExpression, doc_z(request, M_ProjectionExpression));
        if (doc_has(request, M_ExpressionAttributeNames)) {
            doc_set_json(rest, M_ExpressionAttributeNames,
                         map_json(request, M_ExpressionAttributeNames));
        }
    }
    doc_list_add(doc_set_list(rest, M_Keys), (struct doc *)(uintptr_t)doc_at(request, M_Keys, at));
}

/* One key of one table, into @text unless the answer is full. */
static int batch_one(struct batch *batch, struct slice name, const struct table *table,
                     const struct view *view, const struct doc *request, size_t at,
                     struct map *seen, double *units, struct buf *text, struct error *err)
{
    struct item_keys keys = {0};
    struct item_row row = {0};
    json_t *key = NULL;
    int rc = item_json_of(doc_at(request, M_Keys, at), &key, err);

    if (rc == 0) {
        rc = keys_of_key(table, key, &keys, err);
    }
    if (rc == 0) {
        rc = note_key(seen, &keys, err);
    }
    if (rc == 0 && batch->bytes > BATCH_GET_BYTES_MAX) {
        leave_key(batch, name, request, at);
    } else if (rc == 0) {
        const struct item_key place = {table->number, buf_slice(&keys.hash),
                                       buf_slice(&keys.range)};

        rc = items_get(batch->ctx->control->store, &place, batch->ctx->arena, &row, err);
        if (rc == 0) {
            buf_add_z(text, text->bytes == 1 ? "" : ",");
            show(view, row.body, text);
        }
        rc = rc == ERR_NOT_FOUND ? 0 : rc;
        batch->bytes += row.bytes;
        *units += read_units(row.bytes, doc_bool(request, M_ConsistentRead));
    }
    keys_close(&keys);
    json_decref(key);
    return rc;
}

static struct doc *raw_json(struct ctx *ctx, const struct buf *text)
{
    struct doc *node = doc_new_text(ctx->arena, buf_slice(text));

    node->kind = DOC_RAW_JSON;
    return node;
}

static int batch_table(struct batch *batch, struct slice name, const struct doc *request,
                       struct doc *out, struct error *err)
{
    struct ctx *ctx = batch->ctx;
    struct view view = {0};
    struct map seen = {0};
    struct buf text = {0};
    struct table *table;
    double units = 0;
    int rc = read_view(&view, request, err);

    if (rc == 0) {
        rc = find_table(ctx, name, &view, &table, err);
    }
    batch->keys += doc_count(request, M_Keys);
    if (rc == 0 && batch->keys > BATCH_GET_MAX) {
        rc = error_api(err, "ValidationException",
                       "Too many items requested for the BatchGetItem call");
    }
    buf_add_byte(&text, '[');
    for (size_t i = 0; i < doc_count(request, M_Keys) && rc == 0; i++) {
        rc = batch_one(batch, name, table, &view, request, i, &seen, &units, &text, err);
    }
    buf_add_byte(&text, ']');
    if (rc == 0) {
        doc_map_put(doc_set_map(out, M_Responses), name, raw_json(ctx, &text));
        if (capacity_wanted(batch->in)) {
            capacity_fill(batch->in, doc_add_struct(out, M_ConsumedCapacity), table->name, units);
        }
    }
    buf_close(&text);
    map_close(&seen);
    scope_close(&view.scope);
    return rc;
}

int dynamodb_batch_get_item(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    const struct doc *requests = doc_get(in, M_RequestItems);
    struct batch batch = {.ctx = ctx, .in = in};
    int rc = 0;

    if (doc_length(requests) == 0) {
        return error_api(err, "ValidationException",
                         "1 validation error detected: Value '{}' at 'requestItems' failed to"
                         " satisfy constraint: Member must have length greater than or equal to"
                         " 1");
    }
    for (size_t i = 0; i < doc_length(requests) && rc == 0; i++) {
        rc = table_authorize(ctx, "dynamodb:BatchGetItem", doc_key(requests, i), err);
    }
    batch.unprocessed = doc_set_map(out, M_UnprocessedKeys);
    for (size_t i = 0; i < doc_length(requests) && rc == 0; i++) {
        rc = batch_table(&batch, doc_key(requests, i), doc_element(requests, i), out, err);
    }
    return rc;
}

/* TransactGetItems: all items as of one commit. */

static int transact_one(struct ctx *ctx, const struct doc *in, const struct doc *request,
                        struct doc *out, struct error *err)
{
    struct doc *response = doc_add_struct(out, M_Responses);
    struct view view = {0};
    struct item_row row = {0};
    struct buf text = {0};
    struct table *table;
    json_t *key = NULL;
    int rc = item_json(request, M_Key, &key, err);

    if (rc == 0) {
        rc = read_view(&view, request, err);
    }
    if (rc == 0) {
        rc = find_table(ctx, doc_text(request, M_TableName), &view, &table, err);
    }
    if (rc == 0) {
        rc = get(ctx, table, key, &row, err);
        if (rc == 0) {
            show(&view, row.body, &text);
            doc_set_raw_json(response, M_Item, buf_slice(&text));
        } else if (rc == ERR_NOT_FOUND) {
            rc = 0;
        }
    }
    if (rc == 0 && capacity_wanted(in)) {
        double units = 2 * read_units(row.bytes, true);
        struct doc *node = doc_add_struct(out, M_ConsumedCapacity);

        capacity_fill(in, node, table->name, units);
        doc_set_double(node, M_ReadCapacityUnits, units);
    }
    buf_close(&text);
    json_decref(key);
    scope_close(&view.scope);
    return rc;
}

int dynamodb_transact_get_items(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    int rc = 0;

    for (size_t i = 0; i < doc_count(in, M_TransactItems) && rc == 0; i++) {
        const struct doc *get = doc_get(doc_at(in, M_TransactItems, i), M_Get);

        rc = table_authorize(ctx, "dynamodb:GetItem", doc_text(get, M_TableName), err);
    }
    if (rc == 0) {
        rc = items_freeze(ctx->control->store, err);
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < doc_count(in, M_TransactItems) && rc == 0; i++) {
        const struct doc *part = doc_at(in, M_TransactItems, i);

        rc = transact_one(ctx, in, doc_get(part, M_Get), out, err);
    }
    items_thaw(ctx->control->store);
    return rc;
}
