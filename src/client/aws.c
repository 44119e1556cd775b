#include "client/aws.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "client/metadata.h"
#include "client/xml.h"
#include "wire/sigv4.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ATTEMPTS_DEFAULT 3
#define CONNECT_MS_DEFAULT 1000
#define ATTEMPT_MS_DEFAULT 5000
#define TOTAL_MS_DEFAULT 15000
#define DELAY_MS_FIRST 50
#define DELAY_MS_MAX 2000
#define REFRESH_MS (15 * 60 * 1000LL) /* Before expiry; while the old ones still work. */
#define REFRESH_PAUSE_MS 5000         /* Between attempts that failed, while the old ones work. */
#define HEADERS_MAX 7

/* WAITING for credentials -> SENT -> (PAUSED -> SENT)* -> done. */
enum call_state { CALL_WAITING, CALL_SENT, CALL_PAUSED };

struct aws_call {
    struct aws_client *client;
    struct aws_call *next, *previous;
    enum call_state state;
    enum aws_service service;
    const char *action;
    struct buf body;
    int attempts;
    int64_t deadline_ms;
    bool refreshed; /* Fresh credentials were fetched for it once. */
    struct http_call *http;
    uv_timer_t *timer;
    struct error *failure; /* To be told at the next turn of the loop. */
    aws_done_fn *done;
    void *data;
};

/* Where a service is, found at the first call of it, as SDKs do. */
struct endpoint {
    struct buf url, host, path; /* Empty: not found yet. */
};

struct aws_client {
    struct aws_client_options options;
    struct endpoint endpoints[AWS_SERVICES];
    struct metadata *metadata;
    struct aws_call *calls;
    char *endpoint_default, *region;
    struct aws_keys keys;
    bool from_role; /* The keys are, or would be, the metadata service's. */
    bool fetching, closing;
    int64_t fetch_again_ms; /* Not before this. */
    uint64_t random;
    struct error keys_error;
};

static void send_call(struct aws_call *call);
static void fail_call(struct aws_call *call, const struct error *err);
static void fetch(struct aws_client *client);

int aws_client_open(const struct aws_client_options *options, struct aws_client **result,
                    struct error *err)
{
    struct aws_client *client = mem_calloc(1, sizeof(*client));
    int rc = aws_keys_find(options->credentials_file, &client->keys, err);

    *result = NULL;
    if (rc != 0 && rc != ERR_NOT_FOUND) {
        free(client);
        return rc;
    }
    client->from_role = rc == ERR_NOT_FOUND;
    client->options = *options;
    client->options.attempts_max =
        options->attempts_max == 0 ? ATTEMPTS_DEFAULT : options->attempts_max;
    client->options.connect_ms =
        options->connect_ms == 0 ? CONNECT_MS_DEFAULT : options->connect_ms;
    client->options.attempt_ms =
        options->attempt_ms == 0 ? ATTEMPT_MS_DEFAULT : options->attempt_ms;
    client->options.total_ms = options->total_ms == 0 ? TOTAL_MS_DEFAULT : options->total_ms;
    client->options.endpoint = mem_strdup(options->endpoint);
    client->endpoint_default = mem_strdup(options->endpoint_default);
    client->region = aws_region_find();
    if (client->region == NULL) {
        client->region = mem_strdup(options->region_default);
    }
    client->metadata = metadata_open(options->http);
    if (getrandom(&client->random, sizeof(client->random), 0) < 0) {
        client->random = (uint64_t)time_boot_ms();
    }
    client->random |= 1;
    *result = client;
    return 0;
}

const char *aws_client_region(const struct aws_client *client)
{
    return client->region == NULL ? "" : client->region;
}

/* A call's end. */

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

static void free_call(struct aws_call *call)
{
    *(call->previous == NULL ? &call->client->calls : &call->previous->next) = call->next;
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
    if (call->timer != NULL) {
        uv_close((uv_handle_t *)call->timer, free_timer);
    }
    buf_close(&call->body);
    free(call->failure);
    free(call);
}

void aws_call_cancel(struct aws_call *call)
{
    if (call != NULL) {
        http_call_cancel(call->state == CALL_SENT ? call->http : NULL);
        free_call(call);
    }
}

void aws_client_close(struct aws_client *client)
{
    if (client == NULL) {
        return;
    }
    while (client->calls != NULL) {
        aws_call_cancel(client->calls);
    }
    metadata_close(client->metadata);
    aws_keys_close(&client->keys);
    free((char *)(uintptr_t)client->options.endpoint);
    for (size_t i = 0; i < AWS_SERVICES; i++) {
        buf_close(&client->endpoints[i].url);
        buf_close(&client->endpoints[i].host);
        buf_close(&client->endpoints[i].path);
    }
    free(client->endpoint_default);
    free(client->region);
    free(client);
}

static void finish(struct aws_call *call, struct slice body, const struct error *err)
{
    aws_done_fn *done = call->done;
    void *data = call->data;

    free_call(call); /* First: the done function may close everything. */
    done(data, body, err);
}

/* Credentials of the role. */

static bool keys_valid(const struct aws_client *client)
{
    return client->keys.access_key != NULL &&
           (client->keys.expires_ms == 0 || client->keys.expires_ms > time_wall_ms());
}

static bool ready(const struct aws_client *client)
{
    return keys_valid(client) && client->region != NULL;
}

/* The fetch is over: whoever waited goes on, or fails. */
static void fetched(struct aws_client *client, const struct error *err)
{
    client->fetching = false;
    client->fetch_again_ms = time_boot_ms() + REFRESH_PAUSE_MS;
    if (err != NULL) {
        client->keys_error = *err;
        log_warn("credentials.unavailable reason=\"%s\"", err->message);
    } else {
        log_info("credentials.fetched key=%s", client->keys.access_key);
    }
    for (struct aws_call *call = client->calls; call != NULL; call = call->next) {
        if (call->state != CALL_WAITING) {
            continue;
        }
        if (ready(client)) {
            send_call(call);
        } else {
            struct error own = {0};

            error_set(&own, ERR_AUTH, "no %s: %s", keys_valid(client) ? "region" : "credentials",
                      client->keys_error.message);
            fail_call(call, &own);
        }
    }
}

static void on_region(void *data, struct slice body, const struct error *err)
{
    struct aws_client *client = data;

    if (err == NULL && client->region == NULL) {
        client->region = mem_strndup(body.data, body.bytes);
    }
    fetched(client, err);
}

static void then_region(struct aws_client *client)
{
    if (client->region == NULL) {
        metadata_get(client->metadata, "meta-data/placement/region", on_region, client);
    } else {
        fetched(client, NULL);
    }
}

static void on_keys(void *data, struct slice body, const struct error *err)
{
    struct aws_client *client = data;
    struct error own = {0};

    if (err == NULL && metadata_keys_parse(body, &client->keys, &own) != 0) {
        err = &own;
    }
    if (err != NULL) {
        fetched(client, err);
    } else {
        then_region(client);
    }
}

#define ROLE_PATH "meta-data/iam/security-credentials/"

static void on_role(void *data, struct slice body, const struct error *err)
{
    struct aws_client *client = data;
    struct slice role = slice_trim(slice_sub(body, 0, slice_find(body, '\n')));
    struct buf path = {0};

    if (err != NULL) {
        fetched(client, err);
        return;
    }
    buf_add_z(&path, ROLE_PATH);
    text_percent_encode(&path, role, false);
    metadata_get(client->metadata, buf_z(&path), on_keys, client);
    buf_close(&path);
}

static void fetch(struct aws_client *client)
{
    if (client->fetching) {
        return;
    }
    client->fetching = true;
    if (!metadata_enabled()) {
        struct error own = {0};

        error_set(&own, ERR_AUTH, "none in the environment or files");
        fetched(client, &own);
    } else if (!client->from_role) {
        then_region(client);
    } else {
        metadata_get(client->metadata, ROLE_PATH, on_role, client);
    }
}

/* Fetch early, in the background; true if there is something to sign with now. */
static bool prepare_keys(struct aws_client *client)
{
    if (!ready(client)) {
        return false;
    }
    if (client->from_role && client->keys.expires_ms - time_wall_ms() < REFRESH_MS &&
        time_boot_ms() >= client->fetch_again_ms) {
        fetch(client);
    }
    return true;
}

/* Answers. */

static const char *text_at(const json_t *json, const char *key, const char *other_key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : json_string_value(json_object_get(json, other_key));
}

static json_t *fault_of(json_t *tree)
{
    json_t *errors = json_object_get(json_object_get(tree, "Errors"), "Error");
    json_t *fault = json_object_get(tree, "Error");

    return fault != NULL ? fault : errors != NULL ? errors : tree;
}

/* What a service says went wrong, in the protocol that was asked in. */
static void read_fault(enum aws_service service, const struct http_answer *answer,
                       struct error *err)
{
    const char *code = NULL, *text = NULL;
    json_t *tree = NULL;

    if (aws_service_facts(service)->version != NULL) {
        if (xml_to_json(answer->body, &tree, NULL) == 0) {
            code = text_at(fault_of(tree), "Code", "Code");
            text = text_at(fault_of(tree), "Message", "message");
        }
    } else {
        tree = json_loadb(answer->body.data, answer->body.bytes, 0, NULL);
        code = text_at(tree, "__type", "code");
        text = text_at(tree, "message", "Message");
        if (code != NULL && strchr(code, '#') != NULL) {
            code = strchr(code, '#') + 1;
        }
    }
    if (code != NULL) {
        error_api_status(err, answer->status, code, "%s", text == NULL ? "" : text);
    } else {
        error_api_status(err, answer->status, "UnknownError", "HTTP status %d", answer->status);
    }
    json_decref(tree);
}

static bool is_one_of(const char *code, const char *const *codes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(code, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_expired(const struct error *err)
{
    static const char *const codes[] = {"ExpiredToken", "ExpiredTokenException", "RequestExpired",
                                        "UnrecognizedClientException", "InvalidClientTokenId"};

    return err->code == ERR_API && is_one_of(err->aws_code, codes, COUNT_OF(codes));
}

static bool worth_another(const struct error *err)
{
    static const char *const codes[] = {"Throttling",
                                        "ThrottlingException",
                                        "RequestLimitExceeded",
                                        "SlowDown",
                                        "RequestThrottled",
                                        "ProvisionedThroughputExceededException",
                                        "RequestTimeout",
                                        "RequestTimeoutException",
                                        "TransactionInProgressException",
                                        "InternalServerError",
                                        "ServiceUnavailable"};

    if (err->code != ERR_API) {
        return err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT;
    }
    return err->http_status >= 500 || err->http_status == 429 ||
           is_one_of(err->aws_code, codes, COUNT_OF(codes));
}

/* xorshift: it only spreads retries. */
static int64_t random_up_to(struct aws_client *client, int64_t max)
{
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return (int64_t)(client->random % (uint64_t)(max + 1));
}

static void on_timer(uv_timer_t *timer)
{
    send_call(timer->data);
}

static void pause_call(struct aws_call *call, uv_timer_cb then, int64_t delay_ms)
{
    if (call->timer == NULL) {
        call->timer = mem_calloc(1, sizeof(*call->timer));
        uv_timer_init(call->client->options.loop, call->timer);
        call->timer->data = call;
    }
    call->state = CALL_PAUSED;
    uv_timer_start(call->timer, then, (uint64_t)delay_ms, 0);
}

static void on_failed(uv_timer_t *timer)
{
    struct aws_call *call = timer->data;
    struct error err = *call->failure;

    finish(call, SLICE_EMPTY, &err);
}

static void fail_call(struct aws_call *call, const struct error *err)
{
    call->failure = mem_calloc(1, sizeof(*err));
    *call->failure = *err;
    pause_call(call, on_failed, 0);
}

static void on_answer(void *data, const struct http_answer *answer, const struct error *err)
{
    struct aws_call *call = data;
    struct aws_client *client = call->client;
    struct error own = {0};
    int64_t delay_ms;

    call->http = NULL;
    if (answer != NULL && answer->status >= 200 && answer->status < 300) {
        finish(call, answer->body, NULL);
        return;
    }
    if (answer != NULL) {
        read_fault(call->service, answer, &own);
        err = &own;
    }
    if (is_expired(err) && client->from_role && !call->refreshed) {
        call->refreshed = true;
        call->state = CALL_WAITING;
        client->keys.expires_ms = 1; /* Long ago. */
        fetch(client);
        return;
    }
    /* Full jitter: anywhere up to the doubled delay, so that clients do not come back together. */
    delay_ms = random_up_to(
        client, min_i64(DELAY_MS_MAX, DELAY_MS_FIRST * (1LL << min_i64(call->attempts, 10))));
    if (!worth_another(err) || call->attempts >= client->options.attempts_max ||
        time_boot_ms() + delay_ms >= call->deadline_ms) {
        finish(call, SLICE_EMPTY, err);
        return;
    }
    pause_call(call, on_timer, delay_ms);
}

/* Requests. */

struct request {
    struct sigv4_header signed_headers[HEADERS_MAX];
    struct http_header headers[HEADERS_MAX + 2];
    size_t count;
};

static void add_header(struct request *request, const char *name, const char *value)
{
    ASSERT(request->count < HEADERS_MAX);
    request->signed_headers[request->count] = (struct sigv4_header){slice_z(name), slice_z(value)};
    request->headers[request->count] = (struct http_header){name, value};
    request->count++;
}

static int endpoint_of(struct aws_client *client, enum aws_service service,
                       const struct endpoint **result, struct error *err)
{
    struct endpoint *endpoint = &client->endpoints[service];
    struct aws_url to;
    char *text;
    int rc;

    *result = endpoint;
    if (endpoint->url.bytes > 0) {
        return 0;
    }
    text = mem_strdup(client->options.endpoint);
    text = text != NULL ? text : aws_endpoint_find(service);
    text = text != NULL ? text : mem_strdup(client->endpoint_default);
    text = text != NULL ? text : aws_endpoint_default(service, client->region);
    rc = aws_url_parse(text, &to, err);
    if (rc == 0) {
        buf_add(&endpoint->host, to.host);
        buf_printf(&endpoint->path, "%.*s/", SLICE_ARG(to.prefix));
        buf_printf(&endpoint->url, "%.*s://%.*s%s", SLICE_ARG(to.scheme), SLICE_ARG(to.host),
                   buf_z(&endpoint->path));
    }
    free(text);
    return rc;
}

static void sign_and_start(struct aws_call *call, const struct endpoint *to)
{
    struct aws_client *client = call->client;
    const struct aws_service_facts *facts = aws_service_facts(call->service);
    struct buf target = {0}, authorization = {0};
    char date[TIME_TEXT_BYTES];
    struct request request = {0};
    int64_t now_ms = time_wall_ms();

    time_format_basic(now_ms, date);
    add_header(&request, "Host", buf_z(&to->host));
    add_header(&request, "X-Amz-Date", date);
    if (client->keys.token != NULL) {
        add_header(&request, "X-Amz-Security-Token", client->keys.token);
    }
    if (facts->version != NULL) {
        add_header(&request, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    } else {
        buf_add_z(&target, facts->target);
        buf_add_byte(&target, '.');
        buf_add_z(&target, call->action);
        add_header(&request, "Content-Type", facts->json_type);
        add_header(&request, "X-Amz-Target", buf_z(&target));
    }
    sigv4_sign(&(struct sigv4_request){.method = SLICE_LIT("POST"),
                                       .path = buf_slice(&to->path),
                                       .body = buf_slice(&call->body),
                                       .headers = request.signed_headers,
                                       .header_count = request.count},
               slice_z(client->keys.access_key), slice_z(client->keys.secret),
               slice_z(client->region), slice_z(facts->signing), now_ms, &authorization);
    request.headers[request.count] = (struct http_header){"Authorization", buf_z(&authorization)};
    call->http = http_call_start(
        client->options.http,
        &(struct http_call_options){
            .method = "POST",
            .url = buf_z(&to->url),
            .headers = request.headers,
            .body = buf_slice(&call->body),
            .connect_ms = client->options.connect_ms,
            .total_ms =
                max_i64(1, min_i64(client->options.attempt_ms, call->deadline_ms - time_boot_ms())),
            .done = on_answer,
            .data = call});
    buf_close(&target);
    buf_close(&authorization);
}

static void send_call(struct aws_call *call)
{
    const struct endpoint *endpoint;
    struct error err = {0};

    if (endpoint_of(call->client, call->service, &endpoint, &err) != 0) {
        fail_call(call, &err);
        return;
    }
    call->state = CALL_SENT;
    call->attempts++;
    sign_and_start(call, endpoint);
}

static void on_start(uv_timer_t *timer)
{
    fetch(((struct aws_call *)timer->data)->client);
}

struct aws_call *aws_call_start(struct aws_client *client, enum aws_service service,
                                const char *action, struct slice body, aws_done_fn *done,
                                void *data)
{
    const struct aws_service_facts *facts = aws_service_facts(service);
    struct aws_call *call = mem_calloc(1, sizeof(*call));

    call->client = client;
    call->service = service;
    call->action = action;
    call->done = done;
    call->data = data;
    call->deadline_ms = time_boot_ms() + client->options.total_ms;
    if (facts->version != NULL) {
        buf_printf(&call->body, "Action=%s&Version=%s", action, facts->version);
        if (body.bytes > 0) {
            buf_add_byte(&call->body, '&');
        }
    }
    buf_add(&call->body, body);
    call->next = client->calls;
    if (call->next != NULL) {
        call->next->previous = call;
    }
    client->calls = call;
    if (prepare_keys(client)) {
        send_call(call);
    } else if (!client->fetching) {
        pause_call(call, on_start, 0); /* Not within this call. */
        call->state = CALL_WAITING;
    }
    return call;
}

void aws_form_add(struct buf *form, const char *key, const char *value)
{
    if (form->bytes > 0) {
        buf_add_byte(form, '&');
    }
    text_percent_encode(form, slice_z(key), false);
    buf_add_byte(form, '=');
    text_percent_encode(form, slice_z(value), false);
}

/* Waiting. */

struct waiter {
    bool done;
    struct buf body;
    struct error err;
};

static void on_waited(void *data, struct slice body, const struct error *err)
{
    struct waiter *waiter = data;

    waiter->done = true;
    buf_add(&waiter->body, body);
    if (err != NULL) {
        waiter->err = *err;
    }
}

static json_t *without_result_level(json_t *tree, const char *action)
{
    struct buf name = {0};
    json_t *result;

    buf_printf(&name, "%sResult", action);
    result = json_object_get(tree, buf_z(&name));
    buf_close(&name);
    if (result == NULL) {
        return tree;
    }
    json_incref(result);
    json_decref(tree);
    return result;
}

static int parse_answer(enum aws_service service, const char *action, struct slice body,
                        json_t **answer, struct error *err)
{
    json_error_t reason;

    if (body.bytes == 0) {
        *answer = json_object();
        return 0;
    }
    if (aws_service_facts(service)->version != NULL) {
        int rc = xml_to_json(body, answer, err);

        *answer = rc == 0 ? without_result_level(*answer, action) : NULL;
        return rc;
    }
    *answer = json_loadb(body.data, body.bytes, JSON_ALLOW_NUL, &reason);
    return *answer != NULL ? 0 : error_set(err, ERR_INVALID, "%s: %s", action, reason.text);
}

int aws_call_wait(struct aws_client *client, enum aws_service service, const char *action,
                  struct slice body, json_t **answer, struct error *err)
{
    struct waiter waiter = {0};
    json_t *tree = NULL;
    int rc;

    aws_call_start(client, service, action, body, on_waited, &waiter);
    while (!waiter.done) {
        uv_run(client->options.loop, UV_RUN_ONCE);
    }
    rc = (int)waiter.err.code;
    if (rc == 0) {
        rc = parse_answer(service, action, buf_slice(&waiter.body), &tree, err);
    } else if (err != NULL) {
        *err = waiter.err;
    }
    if (answer != NULL) {
        *answer = rc == 0 ? json_incref(tree) : NULL;
    }
    json_decref(tree);
    buf_close(&waiter.body);
    return rc;
}

void aws_metadata_get(struct aws_client *client, const char *path, aws_done_fn *done, void *data)
{
    metadata_get(client->metadata, path, done, data);
}
