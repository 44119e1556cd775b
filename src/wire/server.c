#include "wire/server.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/codec.h"
#include "wire/sigv4.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SKEW_MS (5 * 60 * 1000) /* "Signature expired: ... (... - 5 min.)" */
#define INFLATED_BYTES_MAX (16 * 1024 * 1024)

/* One request on its way from HTTP to its handler and back. Lives in the request's arena. */
struct exchange {
    const struct wire_hooks *hooks;
    struct http_request *request;
    struct ctx *ctx;
    const struct model_service *service; /* NULL until known. */
    const struct model_op *op;
    enum model_protocol protocol;
    bool query_mode; /* x-amzn-query-mode: errors get their query-era status. */
    struct sigv4_request signed_request;
    struct sigv4_claim claim;
    struct form form;
    struct doc *in, *out;
    struct error error;
    int64_t began_ms;
};

/* Answering. */

static const char *content_type(enum model_protocol protocol)
{
    switch (protocol) {
    case PROTOCOL_QUERY:
        return "text/xml";
    case PROTOCOL_EC2:
        return "text/xml;charset=UTF-8";
    case PROTOCOL_JSON_1_0:
        return "application/x-amz-json-1.0";
    case PROTOCOL_JSON_1_1:
        return "application/x-amz-json-1.1";
    case PROTOCOL_REST_JSON:
        return "application/json";
    case PROTOCOL_CBOR:
        return "application/cbor";
    }
    return "text/plain";
}

static void encode_error(const struct exchange *exchange, const struct wire_error *error,
                         struct buf *body)
{
    const char *message = exchange->error.message;
    const char *request_id = exchange->ctx->request_id;

    switch (exchange->protocol) {
    case PROTOCOL_QUERY:
        buf_printf(body, "<ErrorResponse xmlns=\"%s\"><Error><Type>%s</Type><Code>%s</Code>",
                   exchange->service != NULL && exchange->service->xmlns != NULL &&
                           exchange->op != NULL
                       ? exchange->service->xmlns
                       : "http://webservices.amazon.com/AWSFault/2005-15-09",
                   error->sender ? "Sender" : "Receiver", error->code);
        if (message[0] != '\0') {
            buf_add_z(body, "<Message>");
            xml_add_text(body, slice_z(message));
            buf_add_z(body, "</Message>");
        }
        buf_printf(body, "</Error><RequestId>%s</RequestId></ErrorResponse>\n", request_id);
        break;
    case PROTOCOL_EC2:
        buf_printf(body,
                   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                   "<Response><Errors><Error><Code>%s</Code><Message>",
                   error->code);
        xml_add_text(body, slice_z(message));
        buf_printf(body, "</Message></Error></Errors><RequestID>%s</RequestID></Response>\n",
                   request_id);
        break;
    case PROTOCOL_JSON_1_0:
    case PROTOCOL_JSON_1_1:
    case PROTOCOL_REST_JSON:
        buf_add_z(body, "{\"__type\":");
        json_add_text(body, slice_z(error->code));
        if (message[0] != '\0') {
            buf_add_z(body, ",\"message\":");
            json_add_text(body, slice_z(message));
        }
        if (exchange->ctx->error_members.bytes > 0) {
            buf_add_byte(body, ',');
            buf_add(body, exchange->ctx->error_members);
        }
        buf_add_byte(body, '}');
        break;
    case PROTOCOL_CBOR:
        cbor_encode_error(error->code, message, body);
        break;
    }
}

static void encode_answer(const struct exchange *exchange, struct buf *body)
{
    const struct model_op *op = exchange->op;

    switch (exchange->protocol) {
    case PROTOCOL_QUERY:
        query_encode(exchange->service, op, exchange->out, exchange->ctx->request_id, body);
        break;
    case PROTOCOL_EC2:
        ec2_encode(exchange->service, op, exchange->out, exchange->ctx->request_id, body);
        break;
    case PROTOCOL_JSON_1_0:
    case PROTOCOL_JSON_1_1:
    case PROTOCOL_REST_JSON:
        if (op->out != NULL) {
            json_encode(op->out, exchange->out, body);
        } else {
            buf_add_z(body, "{}");
        }
        break;
    case PROTOCOL_CBOR:
        if (op->out != NULL) {
            cbor_encode(op->out, exchange->out, body);
        }
        break;
    }
}

static void send_answer(struct exchange *exchange, int status, const struct wire_error *error,
                        const char *query_error, struct slice body)
{
    struct http_header headers[8] = {{"x-amzn-RequestId", exchange->ctx->request_id},
                                     {"Content-Type", content_type(exchange->protocol)}};
    size_t count = 2;
    char crc[16];

    if (exchange->protocol == PROTOCOL_CBOR) {
        headers[count++] = (struct http_header){"smithy-protocol", "rpc-v2-cbor"};
    }
    if (query_error != NULL) {
        headers[count++] = (struct http_header){"x-amzn-query-error", query_error};
    }
    if (exchange->service != NULL && strcmp(exchange->service->name, "dynamodb") == 0) {
        snprintf(crc, sizeof(crc), "%lu",
                 crc32(0, (const unsigned char *)(body.data == NULL ? "" : body.data),
                       (unsigned)body.bytes));
        headers[count++] = (struct http_header){"x-amz-crc32", crc};
    }
    if (exchange->protocol == PROTOCOL_REST_JSON && error != NULL) {
        headers[count++] = (struct http_header){"x-amzn-ErrorType", error->code};
    }
    http_respond(exchange->request, status, headers, body);
}

static void log_exchange(const struct exchange *exchange, int status, const char *code)
{
    const char *service = exchange->service == NULL ? "-" : exchange->service->name;
    bool change = exchange->op != NULL && (exchange->op->flags & OP_WRITES) != 0 &&
                  strcmp(service, "dynamodb") != 0;
    struct slice line;

    if (!log_shows(status >= 500 ? LOG_WARN_LEVEL : change ? LOG_INFO_LEVEL : LOG_DEBUG_LEVEL)) {
        return;
    }
    line = arena_printf(
        exchange->ctx->arena,
        "api.request id=%s service=%s action=%s caller=%s status=%d code=%s message=\"%s\" ms=%lld",
        exchange->ctx->request_id, service, exchange->op == NULL ? "-" : exchange->op->name,
        exchange->ctx->caller.arn, status, code, exchange->error.message,
        (long long)(time_boot_ms() - exchange->began_ms));
    if (status >= 500) {
        log_warn("%s", line.data);
    } else if (change) {
        log_info("%s", line.data);
    } else {
        log_debug("%s", line.data);
    }
}

/* The last step, successful or not: everything is on disk. */
static void answer(void *data)
{
    struct exchange *exchange = data;
    struct ctx *ctx = exchange->ctx;
    const struct wire_hooks *hooks = exchange->hooks;
    struct buf body = {0};

    if (exchange->error.code == ERR_NONE) {
        encode_answer(exchange, &body);
        log_exchange(exchange, 200, "-");
        send_answer(exchange, 200, NULL, NULL, buf_slice(&body));
    } else {
        enum family family = family_of(exchange->protocol);
        struct wire_error error = wire_error_of(exchange->service, family, &exchange->error);
        bool compatible = exchange->service != NULL && family == FAMILY_JSON &&
                          (exchange->service->protocols & PROTOCOL_QUERY) != 0;
        int status = error.http_status;
        char query_error[ERROR_AWS_CODE_BYTES + 16];

        if (compatible && !exchange->query_mode && error.sender) {
            status = 400;
        }
        snprintf(query_error, sizeof(query_error), "%s;%s", error.query_code,
                 error.sender ? "Sender" : "Receiver");
        encode_error(exchange, &error, &body);
        log_exchange(exchange, status, error.code);
        send_answer(exchange, status, &error, compatible ? query_error : NULL, buf_slice(&body));
    }
    buf_close(&body);
    hooks->end(ctx);
}

static void finish(struct exchange *exchange)
{
    exchange->hooks->commit(exchange->ctx, answer, exchange);
}

/* ctx_finish() of a handler that answers late. */
static void on_finish(struct ctx *ctx, const struct error *err)
{
    struct exchange *exchange = ctx->owner;

    if (err != NULL) {
        exchange->error = *err;
    }
    finish(exchange);
}

/* Routing. */

static bool is_form(const struct exchange *exchange)
{
    return slice_starts(http_header(exchange->request, "content-type"),
                        SLICE_LIT("application/x-www-form-urlencoded"));
}

static const struct model_service *by_target(const struct model *model, struct slice prefix)
{
    for (size_t i = 0; i < model->service_count; i++) {
        if (model->services[i]->target != NULL &&
            slice_equal_z(prefix, model->services[i]->target)) {
            return model->services[i];
        }
    }
    return NULL;
}

static bool has_protocol(const struct model_service *service, unsigned protocols)
{
    return (service->protocols & protocols) != 0;
}

/* The service of a signature's scope, or of an unsigned form's version. */
static const struct model_service *by_scope(const struct model *model, struct slice signing,
                                            struct slice version, unsigned protocols)
{
    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = model->services[i];

        if (!has_protocol(service, protocols)) {
            continue;
        }
        if (signing.data != NULL ? slice_equal_z(signing, service->signing)
                                 : slice_equal_z(version, service->version)) {
            return service;
        }
    }
    return NULL;
}

static int find_op(struct exchange *exchange, struct slice name)
{
    exchange->op = model_op_find(exchange->service, name);
    if (exchange->op != NULL) {
        return 0;
    }
    if (exchange->protocol == PROTOCOL_EC2) {
        return error_api(&exchange->error, "InvalidAction",
                         "The action %.*s is not valid for this web service. (AWS may have it; "
                         "this muster does not.)",
                         SLICE_ARG(name));
    }
    if (exchange->protocol == PROTOCOL_QUERY) {
        return error_api(&exchange->error, "InvalidAction",
                         "Could not find operation %.*s for version %s. (AWS may have it; this "
                         "muster does not.)",
                         SLICE_ARG(name), exchange->service->version);
    }
    return error_api(&exchange->error, "UnknownOperationException",
                     "%s has no operation %.*s. (AWS may have it; this muster does not.)",
                     exchange->service->name, SLICE_ARG(name));
}

static int unknown_service(struct exchange *exchange, struct slice name)
{
    return error_api(&exchange->error,
                     family_of(exchange->protocol) == FAMILY_JSON ? "UnknownOperationException"
                                                                  : "InvalidAction",
                     "this muster has no service '%.*s'", SLICE_ARG(name));
}

/* POST /service/GraniteServiceVersion20100801/operation/PutMetricData */
static int route_cbor(struct exchange *exchange)
{
    struct slice rest = exchange->request->path, part, last[4] = {{0}};

    exchange->protocol = PROTOCOL_CBOR;
    while (slice_next(&rest, '/', &part)) {
        memmove(last, last + 1, 3 * sizeof(last[0]));
        last[3] = part;
    }
    for (size_t dot; (dot = slice_find(last[1], '.')) < last[1].bytes;) {
        last[1] = slice_sub(last[1], dot + 1, last[1].bytes);
    }
    exchange->service = by_target(exchange->hooks->model, last[1]);
    if (exchange->service == NULL || !has_protocol(exchange->service, PROTOCOL_CBOR)) {
        exchange->service = NULL;
        return unknown_service(exchange, last[1]);
    }
    return find_op(exchange, last[3]);
}

/* X-Amz-Target: DynamoDB_20120810.GetItem */
static int route_json(struct exchange *exchange, struct slice target)
{
    struct slice type = http_header(exchange->request, "content-type");
    size_t dot = slice_find(target, '.');

    exchange->protocol = slice_starts(type, SLICE_LIT("application/x-amz-json-1.1"))
                             ? PROTOCOL_JSON_1_1
                             : PROTOCOL_JSON_1_0;
    exchange->service = by_target(exchange->hooks->model, slice_sub(target, 0, dot));
    if (exchange->service == NULL) {
        return unknown_service(exchange, target);
    }
    return find_op(exchange, slice_sub(target, dot + 1, target.bytes));
}

/* The service part of the credential, wherever it stands, without judging anything. */
static struct slice scope_service(const struct exchange *exchange)
{
    struct sigv4_claim claim;

    return sigv4_parse(&exchange->signed_request, &claim, NULL) == 0 ||
                   claim.scope.service.data != NULL
               ? claim.scope.service
               : SLICE_EMPTY;
}

static int route_form(struct exchange *exchange)
{
    const struct model *model = exchange->hooks->model;
    struct slice signing = scope_service(exchange);
    struct slice action, version;
    int rc;

    exchange->protocol =
        slice_equal_z(signing, "ec2") ? PROTOCOL_EC2 : PROTOCOL_QUERY; /* For errors. */
    rc = form_parse(exchange->ctx->arena, exchange->request->query, &exchange->form,
                    &exchange->error);
    if (rc == 0 && is_form(exchange)) {
        rc = form_parse(exchange->ctx->arena, exchange->request->body, &exchange->form,
                        &exchange->error);
    }
    if (rc != 0) {
        return rc;
    }
    action = form_value(&exchange->form, "Action");
    version = form_value(&exchange->form, "Version");
    exchange->service = by_scope(model, signing, version, PROTOCOL_QUERY | PROTOCOL_EC2);
    if (exchange->service == NULL) {
        return unknown_service(exchange, signing);
    }
    exchange->protocol =
        has_protocol(exchange->service, PROTOCOL_EC2) ? PROTOCOL_EC2 : PROTOCOL_QUERY;
    if (action.bytes == 0) {
        return error_api(&exchange->error, "MissingAction",
                         "No action was supplied with this request.");
    }
    if (version.data != NULL && !slice_equal_z(version, exchange->service->version) &&
        strcmp(exchange->service->name, "elbv2") == 0) {
        return error_api(&exchange->error, "InvalidAction",
                         "muster has no classic load balancers (version %.*s), only those of "
                         "version %s",
                         SLICE_ARG(version), exchange->service->version);
    }
    return find_op(exchange, action);
}

static int route_rest(struct exchange *exchange)
{
    const struct model *model = exchange->hooks->model;
    struct slice signing = scope_service(exchange);

    exchange->protocol = PROTOCOL_REST_JSON;
    exchange->service = by_scope(model, signing, SLICE_EMPTY, PROTOCOL_REST_JSON);
    if (exchange->service != NULL) {
        exchange->op = rest_find(exchange->service, slice_z(exchange->request->method),
                                 exchange->request->path);
    }
    if (exchange->op == NULL) {
        return error_api_status(&exchange->error, 404, "UnknownOperationException",
                                "no operation at %s %.*s", exchange->request->method,
                                SLICE_ARG(exchange->request->path));
    }
    return 0;
}

static int route(struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    struct slice target = http_header(request, "x-amz-target");
    struct slice smithy = http_header(request, "smithy-protocol");

    exchange->query_mode =
        slice_equal_case(http_header(request, "x-amzn-query-mode"), SLICE_LIT("true"));
    if (slice_equal_z(smithy, "rpc-v2-cbor")) {
        return route_cbor(exchange);
    }
    if (target.data != NULL) {
        return route_json(exchange, target);
    }
    if (slice_equal_z(request->path, "/") || is_form(exchange)) {
        return route_form(exchange);
    }
    return route_rest(exchange);
}

/* Authentication. */

struct collecting {
    struct sigv4_header *headers;
    size_t count;
};

static void collect_header(void *data, struct slice name, struct slice value)
{
    struct collecting *collecting = data;

    if (collecting->count < SIGV4_HEADERS_MAX) {
        collecting->headers[collecting->count++] = (struct sigv4_header){name, value};
    }
}

static void describe_request(struct exchange *exchange)
{
    struct http_request *request = exchange->request;
    struct collecting collecting = {
        arena_calloc(&request->arena, SIGV4_HEADERS_MAX, sizeof(struct sigv4_header)), 0};

    http_headers_each(request, collect_header, &collecting);
    exchange->signed_request = (struct sigv4_request){
        .method = slice_z(request->method),
        .path = request->path,
        .query = request->query,
        .body = request->body,
        .headers = collecting.headers,
        .header_count = collecting.count,
    };
}

static int scope_error(struct exchange *exchange, struct slice says)
{
    error_api_status(&exchange->error, 403, "SignatureDoesNotMatch", "%s", says.data);
    exchange->error.code = ERR_AUTH;
    return ERR_AUTH;
}

/* One region per daemon; iam and sts are global, their clients scope to us-east-1. */
static int check_scope(struct exchange *exchange)
{
    const struct sigv4_scope *scope = &exchange->claim.scope;
    const char *service = exchange->service->name;
    bool global = strcmp(service, "iam") == 0 || strcmp(service, "sts") == 0;

    if (!slice_equal_z(scope->region, exchange->hooks->region) &&
        !(global && slice_equal_z(scope->region, "us-east-1"))) {
        return scope_error(
            exchange, arena_printf(exchange->ctx->arena,
                                   "Credential should be scoped to a valid region, not '%.*s'. ",
                                   SLICE_ARG(scope->region)));
    }
    if (!slice_equal_z(scope->service, exchange->service->signing)) {
        return scope_error(exchange,
                           arena_printf(exchange->ctx->arena,
                                        "Credential should be scoped to correct service: '%s'. ",
                                        exchange->service->signing));
    }
    return 0;
}

/* ec2 words every failure of a key or a signature alike. */
static int worded(struct exchange *exchange, int rc)
{
    static const char *const codes[] = {"InvalidClientTokenId", "SignatureDoesNotMatch"};

    for (size_t i = 0; rc == ERR_AUTH && exchange->protocol == PROTOCOL_EC2 && i < COUNT_OF(codes);
         i++) {
        if (strcmp(exchange->error.aws_code, codes[i]) == 0) {
            snprintf(exchange->error.message, sizeof(exchange->error.message),
                     "AWS was not able to validate the provided access credentials");
        }
    }
    return rc;
}

static int authenticate(struct exchange *exchange)
{
    struct slice secret = SLICE_EMPTY, token;
    struct buf decoded = {0};
    int rc;

    if ((exchange->op->flags & OP_UNSIGNED) != 0 &&
        http_header(exchange->request, "authorization").data == NULL) {
        exchange->ctx->caller.kind = CALLER_ANONYMOUS;
        return 0;
    }
    rc = sigv4_parse(&exchange->signed_request, &exchange->claim, &exchange->error);
    if (rc == 0) {
        rc = sigv4_check_time(&exchange->claim, exchange->ctx->wall_ms, SKEW_MS, &exchange->error);
    }
    if (rc == 0) {
        rc = check_scope(exchange);
    }
    if (rc != 0) {
        return rc;
    }
    token = exchange->claim.session_token;
    if (exchange->claim.presigned && token.data != NULL &&
        text_percent_decode(&decoded, token, false, NULL) == 0) {
        token = arena_copy(exchange->ctx->arena, buf_slice(&decoded));
    }
    buf_close(&decoded);
    rc = exchange->hooks->find_secret(exchange->ctx, exchange->claim.access_key, token, &secret,
                                      &exchange->error);
    if (rc == 0) {
        rc = sigv4_verify(&exchange->signed_request, &exchange->claim, secret, &exchange->error);
    }
    return rc;
}

/* Decoding. */

/* "Content-Encoding: gzip" or deflate: in place of the body; bounded. */
static int inflate_body(struct exchange *exchange)
{
    struct slice coding = http_header(exchange->request, "content-encoding");
    struct slice packed = exchange->request->body;
    struct buf plain = {0};
    z_stream stream = {0};
    int status = Z_OK;

    if (!slice_equal_z(coding, "gzip") && !slice_equal_z(coding, "deflate")) {
        return 0;
    }
    stream.next_in = (unsigned char *)(uintptr_t)packed.data;
    stream.avail_in = (unsigned)packed.bytes;
    ASSERT(inflateInit2(&stream, 15 + 32) == Z_OK); /* 32: either header. */
    while (status == Z_OK && plain.bytes < INFLATED_BYTES_MAX) {
        buf_reserve(&plain, 64 * 1024);
        stream.next_out = (unsigned char *)plain.data + plain.bytes;
        stream.avail_out = 64 * 1024;
        status = inflate(&stream, Z_NO_FLUSH);
        plain.bytes += 64 * 1024 - stream.avail_out;
    }
    inflateEnd(&stream);
    if (status == Z_STREAM_END) {
        exchange->request->body = arena_copy(&exchange->request->arena, buf_slice(&plain));
    }
    buf_close(&plain);
    return status == Z_STREAM_END ? 0
                                  : error_api(&exchange->error, "SerializationException",
                                              "The body's Content-Encoding cannot be undone");
}

static int decode(struct exchange *exchange)
{
    struct arena *arena = exchange->ctx->arena;
    const struct model_shape *shape = exchange->op->in;
    struct slice body = exchange->request->body;

    switch (exchange->protocol) {
    case PROTOCOL_QUERY:
    case PROTOCOL_EC2:
        return query_decode(arena, shape, &exchange->form, exchange->protocol == PROTOCOL_EC2,
                            &exchange->in, &exchange->error);
    case PROTOCOL_JSON_1_0:
    case PROTOCOL_JSON_1_1:
        return json_decode(arena, shape, body, &exchange->in, &exchange->error);
    case PROTOCOL_REST_JSON:
        return rest_decode(arena, exchange->op, exchange->request->path, exchange->request->query,
                           body, &exchange->in, &exchange->error);
    case PROTOCOL_CBOR:
        return cbor_decode(arena, shape, body, &exchange->in, &exchange->error);
    }
    return ERR_INTERNAL;
}

static int run(struct exchange *exchange)
{
    int rc;

    if (exchange->request->body_too_large) {
        return error_set(&exchange->error, ERR_TOO_LARGE, "the request body is too large");
    }
    describe_request(exchange);
    rc = inflate_body(exchange); /* The signature is over the packed bytes: described before. */
    if (rc == 0) {
        rc = route(exchange);
    }
    if (rc == 0) {
        rc = worded(exchange, authenticate(exchange));
    }
    if (rc == 0) {
        rc = decode(exchange);
    }
    if (rc == 0) {
        exchange->out = doc_new(exchange->ctx->arena, DOC_STRUCT);
        rc = wire_call(exchange->hooks, exchange->ctx, exchange->service, exchange->op,
                       exchange->protocol, exchange->in, exchange->out, &exchange->error);
    }
    return rc;
}

void wire_handle(void *data, struct http_request *request)
{
    struct exchange *exchange = arena_calloc(&request->arena, 1, sizeof(*exchange));
    const struct wire_hooks *hooks = data;
    int rc;

    exchange->hooks = hooks;
    exchange->request = request;
    exchange->protocol = PROTOCOL_QUERY;
    exchange->began_ms = time_boot_ms();
    exchange->ctx = hooks->begin(hooks->data);
    exchange->ctx->owner = exchange;
    exchange->ctx->finish = on_finish;
    exchange->ctx->source_address = request->peer;
    rc = run(exchange);
    if (rc == 0) {
        exchange->error = (struct error){0}; /* A failure on the way that the handler lived with. */
    } else if (exchange->error.code == ERR_NONE) {
        error_set(&exchange->error, (enum error_code)rc, "%s", "");
    }
    if (rc != 0 || !exchange->ctx->deferred) {
        finish(exchange);
    }
}
