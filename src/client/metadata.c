#include "client/metadata.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENDPOINT "http://169.254.169.254"
#define TOKEN_S "21600"
#define TOKEN_MS (21600 * 1000LL)
#define TOKEN_BYTES_MAX 1024
#define ANSWER_BYTES_MAX (64 * 1024)
#define WAIT_MS 1000 /* Outside EC2 nobody answers, and whoever starts there should not notice. */

struct question {
    struct metadata *metadata;
    struct question *next;
    struct http_call *call;
    char *path;
    bool retried;
    metadata_done_fn *done;
    void *data;
};

struct metadata {
    struct http_client *http;
    struct question *questions;
    char *token;
    int64_t token_until_ms;
};

static void ask(struct question *question);

bool metadata_enabled(void)
{
    const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");

    return disabled == NULL || strcasecmp(disabled, "true") != 0;
}

struct metadata *metadata_open(struct http_client *http)
{
    struct metadata *metadata = mem_calloc(1, sizeof(*metadata));

    metadata->http = http;
    return metadata;
}

static void free_question(struct question *question)
{
    for (struct question **at = &question->metadata->questions; *at != NULL; at = &(*at)->next) {
        if (*at == question) {
            *at = question->next;
            break;
        }
    }
    free(question->path);
    free(question);
}

void metadata_close(struct metadata *metadata)
{
    if (metadata == NULL) {
        return;
    }
    while (metadata->questions != NULL) {
        http_call_cancel(metadata->questions->call);
        free_question(metadata->questions);
    }
    free(metadata->token);
    free(metadata);
}

static void finish(struct question *question, struct slice body, const struct error *err)
{
    metadata_done_fn *done = question->done;
    void *data = question->data;

    free_question(question); /* First: the done function may close everything. */
    done(data, body, err);
}

static void send_question(struct question *question, const char *method, const char *path,
                          const struct http_header *headers, http_done_fn *done)
{
    const char *endpoint = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    struct buf url = {0};

    endpoint = endpoint == NULL || endpoint[0] == '\0' ? ENDPOINT : endpoint;
    buf_add_z(&url, endpoint);
    if (slice_ends(buf_slice(&url), SLICE_LIT("/"))) {
        url.bytes--;
    }
    buf_printf(&url, "/latest/%s", path);
    question->call = http_call_start(
        question->metadata->http, &(struct http_call_options){.method = method,
                                                              .url = buf_z(&url),
                                                              .headers = headers,
                                                              .connect_ms = WAIT_MS,
                                                              .total_ms = WAIT_MS,
                                                              .answer_bytes_max = ANSWER_BYTES_MAX,
                                                              .done = done,
                                                              .data = question});
    buf_close(&url);
}

static void on_answer(void *data, const struct http_answer *answer, const struct error *err)
{
    struct question *question = data;
    struct error own = {0};

    if (answer != NULL && answer->status == 401 && !question->retried) {
        question->retried = true; /* The token is another instance's, or forgotten. */
        question->metadata->token_until_ms = 0;
        ask(question);
        return;
    }
    if (answer != NULL && answer->status == 200) {
        finish(question, answer->body, NULL);
        return;
    }
    if (answer != NULL) {
        error_set(&own, answer->status == 404 ? ERR_NOT_FOUND : ERR_UNAVAILABLE,
                  "instance metadata: %s: HTTP status %d", question->path, answer->status);
        err = &own;
    }
    finish(question, SLICE_EMPTY, err);
}

static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false; /* It becomes a header. */
        }
    }
    return text.bytes > 0 && text.bytes <= TOKEN_BYTES_MAX;
}

static void on_token(void *data, const struct http_answer *answer, const struct error *err)
{
    struct question *question = data;
    struct metadata *metadata = question->metadata;
    struct error own = {0};

    if (answer != NULL && answer->status == 200 && is_token(answer->body)) {
        free(metadata->token);
        metadata->token = mem_strndup(answer->body.data, answer->body.bytes);
        metadata->token_until_ms = time_boot_ms() + TOKEN_MS;
        ask(question);
        return;
    }
    if (answer != NULL) {
        error_set(&own, ERR_UNAVAILABLE, "instance metadata: token: HTTP status %d",
                  answer->status);
        err = &own;
    }
    finish(question, SLICE_EMPTY, err);
}

static void ask(struct question *question)
{
    static const struct http_header for_token[] = {
        {"X-aws-ec2-metadata-token-ttl-seconds", TOKEN_S}, {NULL, NULL}};
    struct metadata *metadata = question->metadata;
    const struct http_header headers[] = {{"X-aws-ec2-metadata-token", metadata->token},
                                          {NULL, NULL}};

    /* A minute before its end, so that it is valid when it arrives. */
    if (metadata->token == NULL || time_boot_ms() > metadata->token_until_ms - 60000) {
        send_question(question, "PUT", "api/token", for_token, on_token);
    } else {
        send_question(question, "GET", question->path, headers, on_answer);
    }
}

void metadata_get(struct metadata *metadata, const char *path, metadata_done_fn *done, void *data)
{
    struct question *question = mem_calloc(1, sizeof(*question));

    question->metadata = metadata;
    question->path = mem_strdup(path);
    question->done = done;
    question->data = data;
    question->next = metadata->questions;
    metadata->questions = question;
    ask(question);
}

int metadata_keys_parse(struct slice body, struct aws_keys *keys, struct error *err)
{
    json_t *json = json_loadb(body.data, body.bytes, 0, NULL);
    const char *access_key = json_string_value(json_object_get(json, "AccessKeyId"));
    const char *secret = json_string_value(json_object_get(json, "SecretAccessKey"));
    const char *token = json_string_value(json_object_get(json, "Token"));
    const char *expires = json_string_value(json_object_get(json, "Expiration"));
    int64_t expires_ms;
    int rc = 0;

    if (access_key == NULL || secret == NULL || token == NULL || expires == NULL ||
        time_parse(slice_z(expires), &expires_ms, NULL) != 0) {
        rc = error_set(err, ERR_INVALID, "instance metadata: these are no credentials");
    } else {
        aws_keys_close(keys);
        keys->access_key = mem_strdup(access_key);
        keys->secret = mem_strdup(secret);
        keys->token = mem_strdup(token);
        keys->expires_ms = expires_ms;
    }
    json_decref(json);
    return rc;
}
