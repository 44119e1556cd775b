/* Query and Scan: one page of items from the last commit. */
#include "base/json.h"
#include "base/macros.h"
#include "services/dynamodb/keycondition.h"
#include "services/dynamodb/private.h"

#include <string.h>

/* Filters and projections are applied on the loop, so a page has a bound of work beside that of
 * bytes: operands compared or paths looked for, times the items, times their size. Some 0.15 s;
 * what reaches it has hundreds of operands for thousands of items. */
#define PAGE_WORK_MAX 2000000

struct page {
    /* The request. */
    struct ctx *ctx;
    const struct doc *in;
    bool is_scan;
    struct scope scope;
    struct node *key_condition; /* Query only. */
    struct node *filter;        /* Or NULL. */
    bool projected;
    struct projection projection;
    bool count_only;
    int64_t limit;             /* 0: none. */
    json_t *start;             /* ExclusiveStartKey, or NULL. */
    int64_t segment, segments; /* segments 0: not a parallel scan. */
    int64_t item_work;         /* Of an item of less than 64 bytes. */

    /* The answer. */
    struct buf items; /* "[" and items between commas. */
    int64_t count, scanned, bytes, work;
    bool more;
    struct buf last; /* The last item that was evaluated. */
};

static void page_close(struct page *page)
{
    scope_close(&page->scope);
    json_decref(page->start);
    buf_close(&page->items);
    buf_close(&page->last);
}

static int refuse(const struct page *page, struct error *err, const char *text)
{
    return error_api(err, "ValidationException", "%s%s",
                     page->is_scan ? "" : "1 validation error detected: ", text);
}

/* Reading the request. */

static int read_select(struct page *page, struct error *err)
{
    struct slice select = doc_text(page->in, M_Select);
    bool projection = doc_has(page->in, M_ProjectionExpression);

    page->count_only = slice_equal_z(select, "COUNT");
    if (slice_equal_z(select, "ALL_PROJECTED_ATTRIBUTES")) {
        return refuse(page, err,
                      "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName");
    }
    if (slice_equal_z(select, "SPECIFIC_ATTRIBUTES") && !projection) {
        return refuse(
            page, err,
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get"
            " SPECIFIC_ATTRIBUTES");
    }
    if (projection && slice_equal_z(select, "ALL_ATTRIBUTES")) {
        return refuse(page, err,
                      "Cannot specify the ProjectionExpression when choosing to get"
                      " ALL_ATTRIBUTES");
    }
    if (projection && page->count_only) {
        return refuse(page, err,
                      "Cannot specify the ProjectionExpression when choosing to get only the"
                      " Count");
    }
    return 0;
}

static int read_expressions(struct page *page, struct error *err)
{
    static const struct legacy_parameter expressions[] = {
        {M_KeyConditionExpression, "KeyConditionExpression"},
        {M_FilterExpression, "FilterExpression"},
        {M_ProjectionExpression, "ProjectionExpression"},
    };
    const struct doc *in = page->in;
    size_t first = page->is_scan ? 1 : 0;
    int rc =
        scope_read(&page->scope, in, expressions + first, COUNT_OF(expressions) - first, true, err);

    if (rc == 0 && !page->is_scan) {
        rc = condition_parse(&page->scope, "KeyConditionExpression",
                             doc_text(in, M_KeyConditionExpression), &page->key_condition, err);
    }
    if (rc == 0 && doc_has(in, M_FilterExpression)) {
        rc = condition_parse(&page->scope, "FilterExpression", doc_text(in, M_FilterExpression),
                             &page->filter, err);
    }
    if (rc == 0 && doc_has(in, M_ProjectionExpression)) {
        page->projected = true;
        rc = projection_parse(&page->scope, doc_text(in, M_ProjectionExpression), &page->projection,
                              err);
    }
    page->item_work = 1 + (int64_t)page->projection.count;
    if (rc == 0 && page->filter != NULL) {
        page->item_work += condition_operands(page->filter);
    }
    return rc != 0 ? rc : scope_check_unused(&page->scope, err);
}

static int read_request(struct page *page, struct error *err)
{
    static const struct legacy_parameter legacy[] = {
        {M_KeyConditions, "KeyConditions"},     {M_QueryFilter, "QueryFilter"},
        {M_ScanFilter, "ScanFilter"},           {M_ConditionalOperator, "ConditionalOperator"},
        {M_AttributesToGet, "AttributesToGet"},
    };
    const struct doc *in = page->in;
    int rc = refuse_legacy(in, legacy, COUNT_OF(legacy), err);

    page->limit = doc_int(in, M_Limit);
    if (rc == 0 && doc_has(in, M_ExclusiveStartKey)) {
        rc = item_json(in, M_ExclusiveStartKey, &page->start, err);
    }
    if (rc == 0 && !page->is_scan && !doc_has(in, M_KeyConditionExpression)) {
        rc = error_api(err, "ValidationException",
                       "Either the KeyConditions or KeyConditionExpression parameter must be"
                       " specified in the request.");
    }
    if (rc == 0) {
        rc = read_expressions(page, err);
    }
    return rc != 0 ? rc : read_select(page, err);
}

static int meet_table(struct page *page, struct table **table, struct error *err)
{
    int rc = table_find_usable(page->ctx, doc_text(page->in, M_TableName), table, err);

    if (rc == 0 && doc_has(page->in, M_IndexName)) {
        rc =
            error_api(err, "ValidationException", "The table does not have the specified index: %s",
                      doc_z(page->in, M_IndexName));
    }
    if (rc == 0) {
        rc = projection_check_keys(&page->projection, (*table)->hash_name, (*table)->range_name,
                                   err);
    }
    if (rc == 0 && page->is_scan && page->filter != NULL) { /* A query's has no keys at all. */
        rc = condition_check_keys(page->filter, (*table)->hash_name, (*table)->range_name, err);
    }
    return rc;
}

/* The start key's place. */
static int read_start(const struct page *page, const struct table *table, struct item_keys *start,
                      struct error *err)
{
    struct error inner = {0};

    if (json_object_size(page->start) != (table->range_name == NULL ? 1 : 2) ||
        json_object_get(page->start, table->hash_name) == NULL ||
        (table->range_name != NULL && json_object_get(page->start, table->range_name) == NULL)) {
        return error_api(err, "ValidationException", "The provided starting key is invalid");
    }
    if (keys_of_key(table, page->start, start, &inner) != 0) {
        return error_api(err, "ValidationException", "The provided starting key is invalid: %s",
                         inner.message);
    }
    return 0;
}

/* Making the page. */

static bool passes(const struct page *page, const json_t *item)
{
    return page->filter == NULL || condition_holds(page->filter, item);
}

static void show(struct page *page, const json_t *item, struct slice body)
{
    json_t *part;

    if (page->count_only) {
        return;
    }
    buf_add_z(&page->items, page->items.bytes == 1 ? "" : ",");
    if (!page->projected) {
        buf_add(&page->items, body);
        return;
    }
    part = projection_apply(&page->projection, item);
    json_to_buf(part, &page->items);
    json_decref(part);
}

static bool in_segment(const struct page *page, struct slice hash)
{
    uint32_t spread = 0;

    if (page->segments == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(spread); i++) {
        spread = spread << 8 | (unsigned char)hash.data[i];
    }
    return ((int64_t)spread * page->segments) >> 32 == page->segment;
}

static bool on_row(void *data, const struct item_row *row)
{
    struct page *page = data;
    json_t *item = NULL;

    if (!in_segment(page, row->hash)) {
        return false; /* The next segment begins here. */
    }
    if (page->filter != NULL || (page->projected && !page->count_only)) {
        item = item_parse(row->body);
    }
    page->scanned++;
    page->bytes += row->bytes;
    page->work += page->item_work * (1 + row->bytes / 64);
    if (passes(page, item)) {
        page->count++;
        show(page, item, row->body);
    }
    json_decref(item);
    page->more =
        page->scanned == page->limit || page->bytes > PAGE_BYTES_MAX || page->work > PAGE_WORK_MAX;
    if (page->more) {
        buf_add(&page->last, row->body);
    }
    return !page->more;
}

static void answer(struct page *page, const struct table *table, struct doc *out)
{
    struct buf key_text = {0};
    json_t *item, *key;

    if (!page->count_only) {
        buf_add_byte(&page->items, ']');
        doc_set_raw_json(out, M_Items, buf_slice(&page->items));
    }
    doc_set_int(out, M_Count, page->count);
    doc_set_int(out, M_ScannedCount, page->scanned);
    if (page->more) {
        item = item_parse(buf_slice(&page->last));
        key = key_of_item(table, item);
        json_to_buf(key, &key_text);
        doc_set_raw_json(out, M_LastEvaluatedKey, buf_slice(&key_text));
        json_decref(key);
        json_decref(item);
        buf_close(&key_text);
    }
    capacity_set(page->in, out, table->name,
                 read_units(page->bytes, doc_bool(page->in, M_ConsistentRead)));
}

static int make_page(struct page *page, const struct table *table, const struct items_range *range,
                     struct doc *out, struct error *err)
{
    int rc;

    buf_add_byte(&page->items, '[');
    rc = items_range(page->ctx->control->store, range, on_row, page, err);
    if (rc == 0) {
        answer(page, table, out);
    }
    return rc;
}

/* Query. */

static int check_filter_keys(const struct page *page, const struct table *table, struct error *err)
{
    const char *const names[] = {table->hash_name, table->range_name};

    for (size_t i = 0; i < 2 && names[i] != NULL && page->filter != NULL; i++) {
        if (condition_names(page->filter, names[i])) {
            return error_api(err, "ValidationException",
                             "Filter Expression can only contain non-primary key attributes:"
                             " Primary key attribute: %s",
                             names[i]);
        }
    }
    return 0;
}

/* The page goes on strictly after the start key. */
static int move_start(const struct page *page, const struct table *table, struct slice hash,
                      const struct key_range *wanted, bool backward, struct item_keys *start,
                      struct items_range *range, struct error *err)
{
    struct items_bound *bound = backward ? &range->high : &range->low;
    int rc = read_start(page, table, start, err);

    if (rc != 0) {
        return rc;
    }
    if (!slice_equal(buf_slice(&start->hash), hash)) {
        return error_api(err, "ValidationException",
                         "The provided starting key is outside query boundaries based on provided"
                         " conditions");
    }
    if (table->range_name == NULL) {
        return error_api(err, "ValidationException",
                         "The query can return at most one row and cannot be restarted");
    }
    if (!key_range_holds(wanted, buf_slice(&start->range))) {
        return error_api(err, "ValidationException",
                         "The provided starting key does not match the range key predicate");
    }
    *bound = (struct items_bound){true, true, buf_slice(&start->range)};
    return 0;
}

static int run_query(struct page *page, const struct table *table, const struct key_range *wanted,
                     struct doc *out, struct error *err)
{
    struct item_keys start = {0};
    struct buf hash = {0};
    struct items_range range = {
        .table = table->number,
        .low = {wanted->low.present, wanted->low.exclusive, buf_slice(&wanted->low.bytes)},
        .high = {wanted->high.present, wanted->high.exclusive, buf_slice(&wanted->high.bytes)},
        .backward = !doc_bool_or(page->in, M_ScanIndexForward, true),
    };
    int rc = 0;

    key_encode_hash(wanted->hash, &hash);
    range.hash = buf_slice(&hash);
    if (page->start != NULL) {
        rc = move_start(page, table, range.hash, wanted, range.backward, &start, &range, err);
    }
    if (rc == 0) {
        rc = make_page(page, table, &range, out, err);
    }
    keys_close(&start);
    buf_close(&hash);
    return rc;
}

int dynamodb_query(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct page page = {.ctx = ctx, .in = in};
    struct key_condition condition;
    struct key_range wanted = {0};
    struct table *table;
    int rc = read_request(&page, err);

    if (rc == 0) {
        rc = key_condition_read(page.key_condition, &condition, err);
    }
    if (rc == 0) {
        rc = meet_table(&page, &table, err);
    }
    if (rc == 0) {
        const struct key_schema schema = {table->hash_name, table->hash_type, table->range_name,
                                          table->range_type};

        rc = key_condition_apply(&condition, &schema, &wanted, err);
    }
    if (rc == 0) {
        rc = check_filter_keys(&page, table, err);
    }
    if (rc == 0) {
        rc = run_query(&page, table, &wanted, out, err);
    }
    key_range_close(&wanted);
    page_close(&page);
    return rc;
}

/* Scan. */

static int read_segments(struct page *page, struct error *err)
{
    const struct doc *in = page->in;
    bool segment = doc_has(in, M_Segment), segments = doc_has(in, M_TotalSegments);

    if (segment && !segments) {
        return error_api(err, "ValidationException",
                         "The TotalSegments parameter is required but was not present in the"
                         " request when Segment parameter is present");
    }
    if (segments && !segment) {
        return error_api(err, "ValidationException",
                         "The Segment parameter is required but was not present in the request when"
                         " parameter TotalSegments is present");
    }
    page->segment = doc_int(in, M_Segment);
    page->segments = doc_int(in, M_TotalSegments);
    if (segment && page->segment >= page->segments) {
        return error_api(err, "ValidationException",
                         "The Segment parameter is zero-based and must be less than parameter"
                         " TotalSegments: Segment: %lld is not less than TotalSegments: %lld",
                         (long long)page->segment, (long long)page->segments);
    }
    return 0;
}

/* The first key that a segment can hold: the smallest spread that maps to it. */
static void segment_start(const struct page *page, struct buf *key)
{
    int64_t first = ((page->segment << 32) + page->segments - 1) / page->segments;

    for (int shift = 24; shift >= 0; shift -= 8) {
        buf_add_byte(key, (char)(first >> shift));
    }
}

static int scan_start(struct page *page, const struct table *table, struct item_keys *start,
                      struct items_range *range, struct error *err)
{
    int rc = 0;

    if (page->start != NULL) {
        rc = read_start(page, table, start, err);
        if (rc == 0 && !in_segment(page, buf_slice(&start->hash))) {
            rc = error_api(err, "ValidationException",
                           "The provided starting key is invalid: Invalid ExclusiveStartKey. Please"
                           " use ExclusiveStartKey with correct Segment. TotalSegments: %lld"
                           " Segment: %lld",
                           (long long)page->segments, (long long)page->segment);
        }
    } else if (page->segments > 0) {
        segment_start(page, &start->hash); /* No key is so short: all of the segment follows. */
    }
    range->has_after = start->hash.bytes > 0;
    range->hash = buf_slice(&start->hash);
    range->after = buf_slice(&start->range);
    return rc;
}

int dynamodb_scan(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct page page = {.ctx = ctx, .in = in, .is_scan = true};
    struct items_range range = {.whole_table = true};
    struct item_keys start = {0};
    struct table *table;
    int rc = read_segments(&page, err);

    if (rc == 0) {
        rc = read_request(&page, err);
    }
    if (rc == 0) {
        rc = meet_table(&page, &table, err);
    }
    if (rc == 0) {
        range.table = table->number;
        rc = scan_start(&page, table, &start, &range, err);
    }
    if (rc == 0) {
        rc = make_page(&page, table, &range, out, err);
    }
    keys_close(&start);
    page_close(&page);
    return rc;
}
