/* Query and Scan: page after page, streamed when there is more than one. */
#include "base/alloc.h"
#include "base/json.h"
#include "base/log.h"
#include "candidate/item.h"
#include "candidate/visit.h"

#include <jansson.h>
#include <stdlib.h>

#define PENDING_BYTES_MAX (2 * 1024 * 1024) /* That a client has not taken: two pages. */
#define PENDING_CHECK_MS 10
#define STALL_MS_MAX 60000 /* A client that takes nothing for so long is cut off. */

struct listing {
    struct visit *visit;
    bool scan, streaming;
    size_t items, bytes;
    json_t *next_key; /* Where the next page begins; NULL: nowhere. */
    struct buf piece; /* Made, not yet written. */
    bool timed;       /* There is a timer: a client was slow. */
    uv_timer_t timer;
    size_t pending_bytes; /* At the last check. */
    int64_t stalled_ms;
};

static void ask(struct listing *listing);

static void free_listing(struct listing *listing)
{
    json_decref(listing->next_key);
    buf_close(&listing->piece);
    free(listing);
}

static void on_closed(uv_handle_t *timer)
{
    free_listing(timer->data);
}

static void end(struct listing *listing)
{
    if (listing->timed) {
        uv_close((uv_handle_t *)&listing->timer, on_closed);
    } else {
        free_listing(listing);
    }
}

static const char *operation(const struct listing *listing)
{
    return listing->scan ? "Scan" : "Query";
}

static void fail(struct listing *listing, const struct error *err)
{
    struct visit *visit = listing->visit;

    log_warn("table.failed operation=%s code=%s reason=\"%s\"", operation(listing),
             err->code == ERR_API ? err->aws_code : error_code_name(err->code), err->message);
    if (listing->streaming) {
        visit_record(visit, 200, listing->bytes);
        http_stream_end(visit->request, false);
    } else {
        visit_answer(visit, 503, TYPE_TEXT, true, SLICE_LIT("The table cannot be reached"));
    }
    end(listing);
}

static void write_piece(struct listing *listing)
{
    http_stream_write(listing->visit->request, buf_slice(&listing->piece));
    listing->bytes += listing->piece.bytes;
    buf_clear(&listing->piece);
}

/* All pages are there. */
static void finish(struct listing *listing)
{
    struct visit *visit = listing->visit;

    buf_add_byte(&listing->piece, ']');
    if (listing->streaming) {
        write_piece(listing);
        visit_record(visit, 200, listing->bytes);
        http_stream_end(visit->request, true);
    } else if (listing->items == 0) {
        visit_answer(visit, 404, TYPE_TEXT, false, SLICE_LIT("Not Found"));
    } else {
        visit_answer(visit, 200, TYPE_JSON, false, buf_slice(&listing->piece));
    }
    end(listing);
}

static void on_timer(uv_timer_t *timer)
{
    struct listing *listing = timer->data;
    size_t pending = http_stream_pending_bytes(listing->visit->request);
    bool moved = pending < listing->pending_bytes;
    struct error err = {0};

    listing->stalled_ms = moved ? 0 : listing->stalled_ms + PENDING_CHECK_MS;
    listing->pending_bytes = pending;
    if (http_stream_broken(listing->visit->request) || listing->stalled_ms > STALL_MS_MAX) {
        error_set(&err, ERR_TIMEOUT, "the client left, or takes nothing");
        fail(listing, &err);
    } else if (pending <= PENDING_BYTES_MAX) {
        uv_timer_stop(timer);
        ask(listing);
    }
}

static void start_timer(struct listing *listing)
{
    if (!listing->timed) {
        listing->timed = true;
        uv_timer_init(listing->visit->service->loop, &listing->timer);
        listing->timer.data = listing;
    }
    uv_timer_start(&listing->timer, on_timer, PENDING_CHECK_MS, PENDING_CHECK_MS);
}

/* More pages follow: send this one, and go on when the client has taken enough. */
static void go_on(struct listing *listing)
{
    static const struct http_header headers[] = {{"Content-Type", TYPE_JSON}, {NULL, NULL}};

    if (listing->items > 0) {
        if (!listing->streaming) {
            listing->streaming = true;
            http_stream_begin(listing->visit->request, 200, headers);
        }
        write_piece(listing);
        listing->pending_bytes = http_stream_pending_bytes(listing->visit->request);
        if (listing->pending_bytes > PENDING_BYTES_MAX ||
            http_stream_broken(listing->visit->request)) {
            start_timer(listing);
            return;
        }
    }
    ask(listing);
}

static int take_page(struct listing *listing, struct slice answer, struct error *err)
{
    json_t *page = json_loadb(answer.data, answer.bytes, JSON_ALLOW_NUL, NULL), *item;
    json_t *next = json_object_get(page, "LastEvaluatedKey");
    json_t *items = json_object_get(page, "Items");
    size_t index;
    int rc = json_is_array(items) ? 0 : error_set(err, ERR_INVALID, "the answer has no Items");

    json_array_foreach(items, index, item)
    {
        buf_add_byte(&listing->piece, listing->items == 0 ? '[' : ',');
        listing->items++;
        rc = item_plain(item, &listing->piece, err);
        if (rc != 0) {
            break;
        }
    }
    if (rc == 0 && next != NULL && (!json_is_object(next) || json_equal(next, listing->next_key))) {
        rc = error_set(err, ERR_INVALID, "the answer's next page is none, or the same again");
    }
    json_decref(listing->next_key);
    listing->next_key = json_incref(next);
    json_decref(page);
    return rc;
}

static void on_page(void *data, struct slice answer, const struct error *err)
{
    struct listing *listing = data;
    struct error own = {0};

    metrics_store(&listing->visit->service->metrics, operation(listing),
                  err == NULL ? "ok" : error_code_name(err->code));
    if (err == NULL && take_page(listing, answer, &own) != 0) {
        err = &own;
    }
    if (err != NULL) {
        fail(listing, err);
    } else if (listing->next_key == NULL) {
        finish(listing);
    } else {
        go_on(listing);
    }
}

static void ask(struct listing *listing)
{
    struct service *service = listing->visit->service;
    struct buf body = {0};

    buf_add_z(&body, "{\"TableName\":");
    item_add_string(&body, slice_z(service->options->table));
    if (!listing->scan) {
        buf_add_z(&body, ",\"KeyConditionExpression\":\"CandidateName = :name\","
                         "\"ExpressionAttributeValues\":{\":name\":{\"S\":");
        item_add_string(&body, buf_slice(&listing->visit->name));
        buf_add_z(&body, "}}");
    }
    if (listing->next_key != NULL) {
        buf_add_z(&body, ",\"ExclusiveStartKey\":");
        json_to_buf(listing->next_key, &body);
    }
    buf_add_byte(&body, '}');
    aws_call_start(service->aws, AWS_DYNAMODB, operation(listing), buf_slice(&body), on_page,
                   listing);
    buf_close(&body);
}

void listing_start(struct visit *visit, bool scan)
{
    struct listing *listing = mem_calloc(1, sizeof(*listing));

    listing->visit = visit;
    listing->scan = scan;
    ask(listing);
}
