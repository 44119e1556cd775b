#include "candidate/service.h"

#include "base/clock.h"
#include "base/log.h"
#include "candidate/access.h"
#include "candidate/item.h"
#include "candidate/visit.h"

#include <string.h>

#define ACCESS_BYTES_MAX                                                                           \
    (1024 * 1024) /* More lines in one turn of the loop are written at once.                       \
                   */

static void close_name(void *data)
{
    buf_close(data);
}

static struct visit *visit_new(struct service *service, struct http_request *request)
{
    struct visit *visit = arena_calloc(&request->arena, 1, sizeof(*visit));

    visit->service = service;
    visit->request = request;
    visit->start_ns = uv_hrtime();
    visit->start_wall_ms = time_wall_ms();
    arena_on_close(&request->arena, close_name, &visit->name);
    return visit;
}

void visit_record(struct visit *visit, int status, size_t bytes)
{
    struct service *service = visit->service;
    double seconds = (double)(uv_hrtime() - visit->start_ns) / 1e9;
    const struct access_line line = {
        .wall_ms = visit->start_wall_ms,
        .client = visit->request->peer,
        .method = visit->request->method,
        .target = visit->request->target,
        .status = status,
        .bytes = bytes,
        .ms = seconds * 1000,
    };

    metrics_request(&service->metrics, visit->route, visit->request->method, status, seconds);
    if (service->options->access_log) {
        access_format(&line, &service->access);
        if (service->access.bytes > ACCESS_BYTES_MAX) {
            access_flush(&service->access, 1);
        }
    }
    if (visit->waiting) {
        visit->waiting = false;
        service->in_flight--;
    }
}

void visit_answer(struct visit *visit, int status, const char *type, bool retry, struct slice body)
{
    struct http_header headers[4] = {{NULL, NULL}};
    size_t count = 0;

    if (type != NULL && body.bytes > 0) {
        headers[count++] = (struct http_header){"Content-Type", type};
    }
    if (retry) {
        headers[count++] = (struct http_header){"Retry-After", "1"};
    }
    if (status == 405) {
        headers[count++] = (struct http_header){"Allow", route_methods(visit->route)};
    }
    visit_record(visit, status, body.bytes);
    http_respond(visit->request, status, headers, body);
}

/* A 400 that says why; @reason may be NULL. */
static void refuse(struct visit *visit, const char *reason)
{
    struct buf body = {0};

    buf_add_z(&body, "{\"status\":\"invalid request\"");
    if (reason != NULL) {
        buf_add_z(&body, ",\"reason\":");
        item_add_string(&body, slice_z(reason));
    }
    buf_add_byte(&body, '}');
    visit_answer(visit, 400, TYPE_JSON, false, buf_slice(&body));
    buf_close(&body);
}

/* Good to go: what the load balancer asks. While draining it is told to send nobody more. */
static void answer_gtg(struct visit *visit)
{
    struct buf body = {0};

    if (route_has_parameter(visit->request->query, "details") && !visit->service->draining) {
        buf_add_z(&body, "{\"connected\":\"true\",\"instance-id\":");
        item_add_string(&body, slice_z(visit->service->instance_id));
        buf_add_byte(&body, '}');
    }
    visit_answer(visit, visit->service->draining ? 503 : 200, TYPE_JSON, false, buf_slice(&body));
    buf_close(&body);
}

/* Whoever says 200 with something else, a proxy's page say, has stored nothing. */
static bool is_json_object(struct slice text)
{
    json_t *parsed = json_loadb(text.data, text.bytes, JSON_ALLOW_NUL, NULL);
    bool object = json_is_object(parsed);

    json_decref(parsed);
    return object;
}

static void on_put(void *data, struct slice answer, const struct error *err)
{
    struct visit *visit = data;
    struct buf body = {0};
    struct error own;

    if (err == NULL && !is_json_object(answer)) {
        error_set(&own, ERR_INVALID, "the answer is none of a table's");
        err = &own;
    }
    metrics_store(&visit->service->metrics, "PutItem",
                  err == NULL ? "ok" : error_code_name(err->code));
    if (err != NULL) {
        log_warn("table.failed operation=PutItem code=%s reason=\"%s\"",
                 err->code == ERR_API ? err->aws_code : error_code_name(err->code), err->message);
        visit_answer(visit, 500, TYPE_TEXT, false, SLICE_LIT("Unable to update"));
        return;
    }
    buf_add_z(&body, "{\"CandidateName\":");
    item_add_string(&body, buf_slice(&visit->name));
    buf_add_byte(&body, '}');
    visit_answer(visit, 200, TYPE_JSON, false, buf_slice(&body));
    buf_close(&body);
}

static void start_put(struct visit *visit)
{
    struct buf body = {0};

    buf_add_z(&body, "{\"TableName\":");
    item_add_string(&body, slice_z(visit->service->options->table));
    buf_add_z(&body, ",\"Item\":{\"CandidateName\":{\"S\":");
    item_add_string(&body, buf_slice(&visit->name));
    buf_add_z(&body, "}}}");
    aws_call_start(visit->service->aws, AWS_DYNAMODB, "PutItem", buf_slice(&body), on_put, visit);
    buf_close(&body);
}

/* A place among those that wait for the table; without one the answer is given. */
static bool take_place(struct visit *visit)
{
    struct service *service = visit->service;

    if (service->in_flight >= (size_t)service->options->requests_max) {
        service->metrics.rejected++;
        visit_answer(visit, 503, TYPE_TEXT, true, SLICE_LIT("Too many requests are waiting"));
        return false;
    }
    service->in_flight++;
    visit->waiting = true;
    return true;
}

static void answer_candidate(struct visit *visit, struct slice encoded)
{
    struct error err = {0};

    if (route_decode_name(encoded, &visit->name, &err) != 0) {
        refuse(visit, err.message);
    } else if (take_place(visit)) {
        if (strcmp(visit->request->method, "POST") == 0) {
            start_put(visit);
        } else {
            listing_start(visit, false);
        }
    }
}

void service_handle(void *data, struct http_request *request)
{
    struct visit *visit = visit_new(data, request);
    struct slice name = SLICE_EMPTY;

    visit->route = route_find(request->path, &name);
    if (!route_allows(visit->route, request->method)) {
        visit_answer(visit, 405, TYPE_TEXT, false, SLICE_LIT("Method Not Allowed"));
        return;
    }
    if (request->body_too_large) {
        visit_answer(visit, 413, TYPE_TEXT, false, SLICE_LIT("The body is not used; leave it out"));
        return;
    }
    switch (visit->route) {
    case ROUTE_GTG:
        answer_gtg(visit);
        break;
    case ROUTE_CANDIDATE:
        answer_candidate(visit, name);
        break;
    case ROUTE_CANDIDATES:
        if (take_place(visit)) {
            listing_start(visit, true);
        }
        break;
    case ROUTE_ROOT:
        refuse(visit, NULL);
        break;
    case ROUTE_NONE:
        visit_answer(visit, 404, TYPE_TEXT, false, SLICE_LIT("Not Found"));
        break;
    }
}

void service_handle_metrics(void *data, struct http_request *request)
{
    static const struct http_header headers[] = {
        {"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}, {NULL, NULL}};
    struct service *service = data;
    struct buf text = {0};

    if (!slice_equal_z(request->path, "/metrics")) {
        http_respond(request, 404, NULL, SLICE_LIT("Not Found"));
        return;
    }
    metrics_text(&service->metrics,
                 &(struct metrics_now){.version = MUSTER_VERSION,
                                       .instance_id = service->instance_id,
                                       .table = service->options->table,
                                       .in_flight = service->in_flight,
                                       .draining = service->draining},
                 &text);
    http_respond(request, 200, headers, buf_slice(&text));
    buf_close(&text);
}
