/* The listeners inside VPCs, and one request to them. */
#include "services/imds/imds.h"

#include "services/imds/private.h"
#include "services/imds/resolver.h"

#include "aws/id.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "compute/compute.h"
#include "http/server.h"
#include "wire/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_HEADER "X-aws-ec2-metadata-token"
#define TTL_HEADER "X-aws-ec2-metadata-token-ttl-seconds"
#define CONNECTIONS_MAX 1000
#define CONNECTIONS_PER_INSTANCE_MAX 100 /* Or one instance could shut out the others. */

/* One listener of one VPC. */
struct place {
    struct control *control;
    char *vpc;
    struct http_server *server;     /* NULL: a resolver's. */
    struct resolver_socket *socket; /* NULL: a server's. */
};

struct imds {
    struct control *control;
    unsigned char key[IMDS_KEY_BYTES];
    bool has_key;
    struct map places; /* By "0 vpc-...", the number being enum compute_listener's. */
    struct resolver *resolver;
};

/* An answer that waits for the commit of what it saw. */
struct reply {
    struct ctx *ctx;
    struct http_request *request;
    int status;
    struct slice body;
    const char *type;
    const char *ttl; /* Echoed with a token, or NULL. */
    int hops;        /* Routers that it may pass; 0: any number. */
};

static const char *status_words(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 405:
        return "Method Not Allowed";
    default:
        return "Not Found";
    }
}

static void send_reply(void *data)
{
    struct reply *reply = data;
    const struct http_header headers[] = {
        {"Content-Type", reply->type},
        {"Server", "EC2ws"},
        {TTL_HEADER, reply->ttl},
        {NULL, NULL},
    };
    struct http_header plain[COUNT_OF(headers)];
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(headers) - 1; i++) {
        if (headers[i].value != NULL) {
            plain[count++] = headers[i];
        }
    }
    plain[count] = (struct http_header){NULL, NULL};
    http_response_hops(reply->request, reply->hops);
    http_respond(reply->request, reply->status, plain, reply->body);
    control_end(reply->ctx);
}

static void fail(struct reply *reply, int status)
{
    reply->status = status;
    reply->type = "text/html";
    reply->body = arena_printf(
        reply->ctx->arena,
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n"
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n"
        "\t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n"
        "<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n"
        " <head>\n  <title>%d - %s</title>\n </head>\n <body>\n  <h1>%d - %s</h1>\n </body>\n"
        "</html>\n",
        status, status_words(status), status, status_words(status));
}

static void put_token(struct reply *reply, const struct ec2_instance *instance)
{
    struct imds *imds = reply->ctx->control->imds;
    struct slice ttl = slice_trim(http_header(reply->request, TTL_HEADER));
    struct buf token = {0};
    int64_t seconds;

    if (!slice_equal_z(reply->request->path, "/latest/api/token")) {
        fail(reply, 403);
        return;
    }
    /* Through a proxy the token would end up outside the instance. */
    if (http_header(reply->request, "X-Forwarded-For").data != NULL) {
        fail(reply, 403);
        return;
    }
    if (text_to_i64(ttl, IMDS_TTL_S_MIN, IMDS_TTL_S_MAX, &seconds, NULL) != 0) {
        fail(reply, 400);
        return;
    }
    imds_token_make(imds->key, instance->id, reply->ctx->wall_ms + seconds * 1000, &token);
    reply->body = arena_copy(reply->ctx->arena, buf_slice(&token));
    reply->ttl = arena_strdup(reply->ctx->arena, ttl);
    buf_close(&token);
}

static bool may_read(struct reply *reply, const struct ec2_instance *instance)
{
    struct slice token = http_header(reply->request, TOKEN_HEADER);

    if (token.data == NULL) {
        return !instance->imds_token_required;
    }
    return imds_token_holds(reply->ctx->control->imds->key, instance->id, slice_trim(token),
                            reply->ctx->wall_ms);
}

static void get(struct reply *reply, const struct ec2_instance *instance)
{
    const struct imds_leaf *credentials;
    struct imds_tree tree;
    struct buf body = {0};
    int status;

    imds_tree_make(reply->ctx, instance, &tree);
    status = imds_tree_get(&tree, reply->request->path, &body, &credentials);
    if (status != 200) {
        fail(reply, status);
    } else if (credentials != NULL) {
        reply->body = imds_credentials(reply->ctx, instance, credentials->value);
    } else {
        reply->body = arena_copy(reply->ctx->arena, buf_slice(&body));
    }
    buf_close(&body);
}

static void answer(struct reply *reply, const struct ec2_instance *instance)
{
    const char *method = reply->request->method;
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

    if (instance == NULL || instance->imds_disabled) {
        fail(reply, 403);
    } else if (strcmp(method, "PUT") == 0) {
        reply->hops = (int)instance->imds_hops; /* Else containers inside get tokens, too. */
        put_token(reply, instance);
    } else if (!reads) {
        fail(reply, 405);
    } else if (!may_read(reply, instance)) {
        fail(reply, 401);
    } else {
        get(reply, instance);
    }
}

static void on_metadata(void *data, struct http_request *request)
{
    struct place *place = data;
    struct ctx *ctx = control_begin(place->control);
    struct reply *reply = arena_calloc(ctx->arena, 1, sizeof(*reply));
    const struct ec2_instance *instance =
        ec2_instance_at(place->control, place->vpc, request->peer);

    if (instance != NULL && instance->state == EC2_PENDING) {
        ec2_instance_seen(ctx, instance);
    }
    *reply = (struct reply){.ctx = ctx, .request = request, .status = 200, .type = "text/plain"};
    answer(reply, instance);
    control_commit(ctx, send_reply, reply);
}

static void on_api(void *data, struct http_request *request)
{
    struct place *place = data;

    if (ec2_instance_at(place->control, place->vpc, request->peer) == NULL) {
        http_respond(request, 403, NULL, SLICE_EMPTY);
        return;
    }
    wire_handle((void *)place->control->hooks, request);
}

static void close_place(struct place *place)
{
    if (place != NULL) {
        if (place->server != NULL) {
            http_server_close(place->server);
        }
        resolver_socket_close(place->socket);
        free(place->vpc);
        free(place);
    }
}

static int open_place(struct place *place, enum compute_listener what, int fd, struct error *err)
{
    struct control *control = place->control;

    if (what == COMPUTE_DNS || what == COMPUTE_DNS_BASE) {
        if (control->imds->resolver == NULL) {
            control->imds->resolver = resolver_open(control);
        }
        place->socket = resolver_listen(control->imds->resolver, place->vpc, fd);
        return place->socket == NULL ? error_set(err, ERR_SYSTEM, "no resolver") : 0;
    }
    return http_server_open(
        &(struct http_server_options){.loop = control->loop,
                                      .listen_fd = fd,
                                      .handler = what == COMPUTE_IMDS ? on_metadata : on_api,
                                      .data = place,
                                      .connections_max = CONNECTIONS_MAX,
                                      .connections_per_peer_max = CONNECTIONS_PER_INSTANCE_MAX},
        &place->server, err);
}

static void on_listener(void *data, const char *vpc, enum compute_listener what, int fd)
{
    struct control *control = data;
    struct place *place;
    struct error err;
    char name[64];

    snprintf(name, sizeof(name), "%d %.40s", (int)what, vpc);
    if (control->imds == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    if (fd < 0) {
        close_place(map_remove(&control->imds->places, slice_z(name)));
        return;
    }
    place = mem_calloc(1, sizeof(*place));
    place->control = control;
    place->vpc = mem_strdup(vpc);
    if (open_place(place, what, fd, &err) != 0) {
        log_error("imds.listener vpc=%s error=%s", vpc, err.message);
        close_place(place);
        return;
    }
    close_place(map_put(&control->imds->places, slice_z(name), place));
}

/* The key that session tokens are sealed with lasts as long as the state directory. */

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    control->imds = mem_calloc(1, sizeof(*control->imds));
    control->imds->control = control;
    return 0;
}

/* Base64 in the store, for whoever looks into it. */
static int read_key(struct imds *imds, struct slice text, struct error *err)
{
    struct buf key = {0};
    int rc = text_base64_decode(&key, text, err);

    if (rc == 0 && key.bytes != IMDS_KEY_BYTES) {
        rc = error_set(err, ERR_CONFIG, "imds: the key has a wrong length");
    }
    if (rc == 0) {
        memcpy(imds->key, key.data, IMDS_KEY_BYTES);
        imds->has_key = true;
    }
    buf_close(&key);
    return rc;
}

static void make_key(struct ctx *ctx, struct imds *imds)
{
    struct buf text = {0};

    id_random(imds->key, sizeof(imds->key));
    imds->has_key = true;
    text_base64_encode(&text, slice_of((const char *)imds->key, sizeof(imds->key)));
    changes_put(ctx->changes, SLICE_LIT("imds.key"), SLICE_LIT("key"), buf_slice(&text));
    buf_close(&text);
}

static int load(struct control *control, struct slice kind, struct slice id, struct slice body,
                struct error *err)
{
    struct imds *imds = control->imds;

    (void)id;
    if (!slice_equal_z(kind, "imds.key")) {
        return error_set(err, ERR_CONFIG, "imds: unknown record %.*s", SLICE_ARG(kind));
    }
    return read_key(imds, body, err);
}

static int start(struct ctx *ctx, struct error *err)
{
    struct imds *imds = ctx->control->imds;

    (void)err;
    if (!imds->has_key) {
        make_key(ctx, imds);
    }
    ctx->control->compute->events.data = ctx->control;
    ctx->control->compute->events.listener = on_listener;
    return 0;
}

static void close_service(struct control *control)
{
    struct imds *imds = control->imds;
    struct place *place;

    if (imds == NULL) {
        return;
    }
    for (size_t at = 0; (place = map_next(&imds->places, &at)) != NULL;) {
        close_place(place);
    }
    map_close(&imds->places);
    resolver_close(imds->resolver);
    control->imds = NULL;
    free(imds);
}

const struct service imds_service = {
    .name = "imds",
    .open = open_service,
    .load = load,
    .start = start,
    .close = close_service,
};
