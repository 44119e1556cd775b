#include "http/server.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_BYTES_DEFAULT (1024 * 1024)
#define LARGE_BODY_BYTES (1024 * 1024) /* What was made of such a one goes back to the system. */
#define BODIES_BYTES_MAX (256LL * 1024 * 1024) /* All that are under way in one server. */
#define MEMORY_BYTES_DEFAULT (32 * 1024) /* SigV4 headers with a session token take 2 to 3 kB. */
#define CONNECTIONS_DEFAULT 1000
#define DESCRIPTORS_SHARE 4 /* Of the process's descriptors one server uses at most a quarter. */
#define IDLE_S_DEFAULT 75
#define REQUEST_S_DEFAULT 30
#define PUMP_ROUNDS_MAX 64
#define SWEEP_MS 1000
#define STREAM_BLOCK_BYTES (32 * 1024)
/* A body beyond this many times the limit is cut without an answer. */
#define OVERLONG_FACTOR 4

enum request_state {
    REQUEST_RECEIVING,
    REQUEST_HANDLED,   /* The handler has it; the connection is suspended, or it is in the call. */
    REQUEST_ANSWERED,  /* A response is there to be queued. */
    REQUEST_STREAMING, /* Queued; pieces follow. */
    REQUEST_QUEUED,
};

struct request {
    struct http_request public; /* First: what callers hold. */
    enum request_state state;
    struct MHD_Connection *connection;
    struct MHD_Response *response;
    unsigned status;
    struct buf body;
    size_t dropped_bytes;
    bool no_room; /* For its body. */
    bool in_handler;
    bool suspended;
    /* Streaming. */
    struct buf stream;
    size_t stream_sent;
    bool stream_ended, stream_cut;
    struct request *next, **link; /* All requests of the server. */
};

/* One client's connection: until when its request must be complete. */
struct connection {
    struct connection *next, **link;
    int fd;
    char peer[INET_ADDRSTRLEN];
    int64_t deadline_ms; /* 0: none, a request is being answered. */
};

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer; /* libmicrohttpd's own timeouts, and the sweep. */
    /* Answers that came in one turn of the loop leave in one run of libmicrohttpd: before the loop
     * waits, and after it did. */
    uv_prepare_t before;
    uv_check_t after;
    int handles; /* To be closed before the memory goes. */
    struct request *requests;
    struct connection *connections;
    unsigned connection_count;
    size_t active;
    size_t bodies_bytes;
    bool pumping, again, due, draining;
};

static void pump(struct http_server *server);

/* Listening. */

int http_listen(const char *address, int port, int *fd, struct error *err)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;

    if (inet_pton(AF_INET, address, &name.sin_addr) != 1) {
        return error_set(err, ERR_CONFIG, "'%s' is no IPv4 address", address);
    }
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0) {
        return error_errno(err, "socket");
    }
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(*fd, (const struct sockaddr *)&name, sizeof(name)) != 0 || listen(*fd, 1024) != 0) {
        int problem = errno;

        close(*fd);
        *fd = -1;
        errno = problem;
        if (problem == EADDRINUSE) {
            return error_set(err, ERR_SYSTEM,
                             "port %d on %s is taken by another program; choose another one with "
                             "--listen",
                             port, address);
        }
        return error_errno(err, "listen on %s:%d", address, port);
    }
    return 0;
}

int http_listen_port(int fd)
{
    struct sockaddr_in name = {0};
    socklen_t bytes = sizeof(name);

    return getsockname(fd, (struct sockaddr *)&name, &bytes) == 0 ? ntohs(name.sin_port) : 0;
}

/* Requests. */

static struct request *request_of(struct http_request *request)
{
    return (struct request *)request; /* Its first member. */
}

/* libmicrohttpd's first word about a request: the raw target, before anything is decoded. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct http_server *server = cls;
    struct request *request = mem_calloc(1, sizeof(*request));
    struct slice raw = arena_copy(&request->public.arena, slice_z(target));
    size_t mark = slice_find(raw, '?');

    request->connection = connection;
    request->public.server = server;
    request->public.target = raw;
    request->public.path = slice_sub(raw, 0, mark);
    request->public.query = slice_sub(raw, mark + 1, raw.bytes);
    request->next = server->requests;
    request->link = &server->requests;
    if (request->next != NULL) {
        request->next->link = &request->next;
    }
    server->requests = request;
    return request;
}

static void free_request(struct request *request)
{
    bool large = request->body.bytes >= LARGE_BODY_BYTES;

    *request->link = request->next;
    if (request->next != NULL) {
        request->next->link = request->link;
    }
    if (request->response != NULL) {
        MHD_destroy_response(request->response);
    }
    request->public.server->bodies_bytes -= request->body.bytes;
    buf_close(&request->body);
    buf_close(&request->stream);
    arena_close(&request->public.arena);
    free(request);
    if (large) {
        malloc_trim(0);
    }
}

static struct connection *connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

static void set_deadline(struct MHD_Connection *connection, unsigned seconds)
{
    struct connection *record = connection_of(connection);

    if (record != NULL) {
        record->deadline_ms = time_boot_ms() + seconds * 1000LL;
    }
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct http_server *server = cls;
    struct request *request = *con_cls;

    (void)code;
    if (request == NULL) {
        return;
    }
    *con_cls = NULL;
    if (request->state == REQUEST_STREAMING && !request->stream_ended) {
        /* The client left in the middle: whoever writes finds out by http_stream_end(). */
        request->connection = NULL;
        return;
    }
    set_deadline(connection, server->options.idle_s_max + server->options.request_s_max);
    free_request(request);
}

/* Of those that keep us waiting the one that has the least time left makes room: slow senders
 * before idle connections, old ones before new ones. */
static void make_room(struct http_server *server)
{
    struct connection *first = NULL;

    for (struct connection *record = server->connections; record != NULL; record = record->next) {
        if (record->deadline_ms != 0 &&
            (first == NULL || record->deadline_ms <= first->deadline_ms)) {
            first = record;
        }
    }
    if (first != NULL) {
        shutdown(first->fd, SHUT_RDWR);
        first->deadline_ms = 0;
        server->again = true;
    }
}

static void note_peer(struct MHD_Connection *connection, struct connection *record)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *name = info == NULL ? NULL : info->client_addr;

    if (name != NULL && name->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)name)->sin_addr,
                  record->peer, sizeof(record->peer));
    }
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    struct connection *record = *context;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        *record->link = record->next;
        if (record->next != NULL) {
            record->next->link = record->link;
        }
        free(record);
        *context = NULL;
        server->connection_count--;
        server->again = true; /* At the limit it listens again only at its next run. */
        return;
    }
    if (server->connection_count >= server->options.connections_max) {
        make_room(server);
    }
    server->connection_count++;
    record = mem_calloc(1, sizeof(*record));
    record->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    note_peer(connection, record);
    record->deadline_ms = time_boot_ms() + server->options.request_s_max * 1000LL;
    record->next = server->connections;
    record->link = &server->connections;
    if (record->next != NULL) {
        record->next->link = &record->next;
    }
    server->connections = record;
    *context = record;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result queued = MHD_queue_response(connection, status, response);

    MHD_destroy_response(response);
    return queued;
}

static unsigned count_header(struct MHD_Connection *connection, const char *name);

/* Framing that libmicrohttpd accepts and proxies read differently: request smuggling. */
static bool framing_is_sound(struct MHD_Connection *connection)
{
    const char *coding =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding");
    unsigned lengths = count_header(connection, "Content-Length");

    return lengths <= 1 && (coding == NULL || (lengths == 0 && strcasecmp(coding, "chunked") == 0));
}

struct counting {
    const char *name;
    unsigned count;
};

static enum MHD_Result count_one(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct counting *counting = cls;

    (void)kind;
    (void)value;
    counting->count += strcasecmp(name, counting->name) == 0;
    return MHD_YES;
}

static unsigned count_header(struct MHD_Connection *connection, const char *name)
{
    struct counting counting = {name, 0};

    MHD_get_connection_values(connection, MHD_HEADER_KIND, count_one, &counting);
    return counting.count;
}

static enum MHD_Result take_body(struct http_server *server, struct request *request,
                                 const char *data, size_t *bytes)
{
    size_t limit = server->options.body_bytes_max;

    if (request->body.bytes + *bytes > limit) {
        request->public.body_too_large = true;
        request->dropped_bytes += *bytes;
        if (request->dropped_bytes > limit * OVERLONG_FACTOR) {
            return MHD_NO;
        }
    } else if (server->bodies_bytes + *bytes > BODIES_BYTES_MAX) {
        request->no_room = true;
    } else if (!request->public.body_too_large && !request->no_room) {
        buf_add(&request->body, slice_of(data, *bytes));
        server->bodies_bytes += *bytes;
    }
    *bytes = 0;
    return MHD_YES;
}

/* The request is complete: hand it over; suspend when the answer does not come at once. */
static enum MHD_Result hand_over(struct http_server *server, struct request *request)
{
    struct connection *record = connection_of(request->connection);

    request->state = REQUEST_HANDLED;
    request->public.body = buf_slice(&request->body);
    if (record != NULL) {
        record->deadline_ms = 0;
        memcpy(request->public.peer, record->peer, sizeof(record->peer));
    }
    server->active++;
    request->in_handler = true;
    server->options.handler(server->options.data, &request->public);
    request->in_handler = false;
    if (request->state == REQUEST_HANDLED) {
        request->suspended = true;
        MHD_suspend_connection(request->connection);
        return MHD_YES;
    }
    return MHD_YES;
}

static enum MHD_Result queue_answer(struct request *request)
{
    request->state = request->state == REQUEST_ANSWERED ? REQUEST_QUEUED : REQUEST_STREAMING;
    return MHD_queue_response(request->connection, request->status, request->response);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *bytes, void **con_cls)
{
    struct http_server *server = cls;
    struct request *request = *con_cls;
    enum MHD_Result result;

    (void)url;
    (void)version;
    if (request->public.method == NULL) { /* The first call: headers only. */
        request->public.method = arena_strdup(&request->public.arena, slice_z(method));
        if (!framing_is_sound(connection)) {
            return refuse(connection, 400, "ambiguous request framing\n");
        }
        return MHD_YES;
    }
    if (*bytes > 0) {
        return take_body(server, request, data, bytes);
    }
    if (request->no_room) {
        log_warn("http.no-room bodies_bytes=%zu", server->bodies_bytes);
        return refuse(connection, 503, "too many large requests at once; try again\n");
    }
    if (request->state == REQUEST_RECEIVING) {
        result = hand_over(server, request);
        if (result != MHD_YES || request->suspended) {
            return result;
        }
    }
    return queue_answer(request);
}

static void add_headers(struct request *request, const struct http_header *headers)
{
    for (size_t i = 0; headers != NULL && headers[i].name != NULL; i++) {
        if (MHD_add_response_header(request->response, headers[i].name, headers[i].value) !=
            MHD_YES) {
            log_warn("http.header name=%s refused", headers[i].name);
        }
    }
    if (request->public.server->draining) {
        MHD_add_response_header(request->response, "Connection", "close");
    }
}

/* The answer is there: let libmicrohttpd call on_request() again, in this turn of the loop. */
static void resume(struct request *request)
{
    struct http_server *server = request->public.server;

    if (request->suspended) {
        request->suspended = false;
        MHD_resume_connection(request->connection);
        server->again = true;
    }
    if (!server->pumping && !request->in_handler) {
        server->due = true;
    }
}

void http_response_hops(struct http_request *public, int hops)
{
    const struct request *request = request_of(public);
    const union MHD_ConnectionInfo *info =
        request->connection == NULL
            ? NULL
            : MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int ttl = hops == 0 ? -1 : hops; /* ip(7): -1 is the default. */

    if (info != NULL) {
        setsockopt(info->connect_fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
    }
}

void http_respond(struct http_request *public, int status, const struct http_header *headers,
                  struct slice body)
{
    struct request *request = request_of(public);

    ASSERT(request->state == REQUEST_HANDLED);
    request->state = REQUEST_ANSWERED;
    request->status = (unsigned)status;
    request->response = MHD_create_response_from_buffer(
        body.bytes, (void *)(uintptr_t)(body.data == NULL ? "" : body.data), MHD_RESPMEM_MUST_COPY);
    ASSERT(request->response != NULL);
    add_headers(request, headers);
    public->server->active--;
    resume(request);
}

/* Streams. */

static ssize_t read_stream(void *cls, uint64_t position, char *data, size_t room)
{
    struct request *request = cls;
    size_t ready = request->stream.bytes - request->stream_sent;
    size_t bytes = ready < room ? ready : room;

    (void)position;
    if (ready == 0 && request->stream_ended) {
        return request->stream_cut ? MHD_CONTENT_READER_END_WITH_ERROR
                                   : MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (ready == 0) {
        request->suspended = true;
        MHD_suspend_connection(request->connection);
        return 0;
    }
    memcpy(data, request->stream.data + request->stream_sent, bytes);
    request->stream_sent += bytes;
    if (request->stream_sent == request->stream.bytes) {
        buf_clear(&request->stream);
        request->stream_sent = 0;
    }
    return (ssize_t)bytes;
}

void http_stream_begin(struct http_request *public, int status, const struct http_header *headers)
{
    struct request *request = request_of(public);

    ASSERT(request->state == REQUEST_HANDLED);
    request->state = REQUEST_STREAMING;
    request->status = (unsigned)status;
    request->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES,
                                                          read_stream, request, NULL);
    ASSERT(request->response != NULL);
    add_headers(request, headers);
    resume(request);
}

void http_stream_write(struct http_request *public, struct slice piece)
{
    struct request *request = request_of(public);

    ASSERT(request->state == REQUEST_STREAMING && !request->stream_ended);
    if (request->connection != NULL) {
        buf_add(&request->stream, piece);
        resume(request);
    }
}

size_t http_stream_pending_bytes(const struct http_request *public)
{
    const struct request *request = (const struct request *)public;

    return request->stream.bytes - request->stream_sent;
}

bool http_stream_broken(const struct http_request *public)
{
    return ((const struct request *)public)->connection == NULL;
}

void http_stream_end(struct http_request *public, bool complete)
{
    struct request *request = request_of(public);

    ASSERT(request->state == REQUEST_STREAMING && !request->stream_ended);
    public->server->active--;
    request->stream_ended = true;
    request->stream_cut = !complete;
    if (request->connection == NULL) {
        free_request(request); /* The client was gone already. */
        return;
    }
    resume(request);
}

/* Headers. */

struct slice http_header(const struct http_request *public, const char *name)
{
    const struct request *request = (const struct request *)public;

    return slice_z(MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name));
}

struct walk {
    http_header_fn *fn;
    void *data;
};

static enum MHD_Result walk_one(void *cls, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    const struct walk *walk = cls;

    (void)kind;
    walk->fn(walk->data, slice_z(name), slice_z(value));
    return MHD_YES;
}

void http_headers_each(const struct http_request *public, http_header_fn *fn, void *data)
{
    const struct request *request = (const struct request *)public;
    struct walk walk = {fn, data};

    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, walk_one, &walk);
}

/* The loop. */

/* Connections that take too long over a request are shut down; libmicrohttpd then cleans up. */
static void sweep(struct http_server *server)
{
    int64_t now_ms = time_boot_ms();

    for (struct connection *record = server->connections; record != NULL; record = record->next) {
        if (record->deadline_ms != 0 && record->deadline_ms <= now_ms) {
            shutdown(record->fd, SHUT_RDWR);
            record->deadline_ms = 0;
        }
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;

    sweep(server);
    pump(server);
}

static void arm(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = SWEEP_MS;

    if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES || wait_ms > SWEEP_MS) {
        wait_ms = SWEEP_MS;
    }
    if (server->connections == NULL) {
        uv_timer_stop(&server->timer);
        return;
    }
    uv_timer_start(&server->timer, on_timer, wait_ms, 0);
}

/* Run libmicrohttpd until it has nothing to do at once. Never from one of its own callbacks. */
static void pump(struct http_server *server)
{
    if (server->pumping || server->daemon == NULL) {
        return;
    }
    server->pumping = true;
    server->due = false;
    for (int round = 0; round < PUMP_ROUNDS_MAX; round++) {
        MHD_UNSIGNED_LONG_LONG wait_ms = 1;

        server->again = false;
        MHD_run(server->daemon);
        if (!server->again &&
            !(MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES && wait_ms == 0)) {
            break;
        }
    }
    server->pumping = false;
    arm(server);
}

static void on_before(uv_prepare_t *before)
{
    struct http_server *server = before->data;

    if (server->due) {
        pump(server);
    }
}

static void on_after(uv_check_t *after)
{
    struct http_server *server = after->data;

    if (server->due) {
        pump(server);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    pump(poll->data);
}

static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}

static void on_mhd_log(void *cls, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_mhd_log(void *cls, const char *format, va_list args)
{
    char text[256];

    (void)cls;
    vsnprintf(text, sizeof(text), format, args);
    log_debug("http.library text=\"%s\"", text);
}

/* What the process may have at once, after asking for all that it is granted. */
static rlim_t descriptors_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

static void fill_defaults(struct http_server_options *options)
{
    rlim_t share = descriptors_max() / DESCRIPTORS_SHARE;

    options->body_bytes_max =
        options->body_bytes_max == 0 ? BODY_BYTES_DEFAULT : options->body_bytes_max;
    options->connection_memory_bytes = options->connection_memory_bytes == 0
                                           ? MEMORY_BYTES_DEFAULT
                                           : options->connection_memory_bytes;
    options->connections_max =
        options->connections_max == 0 ? CONNECTIONS_DEFAULT : options->connections_max;
    if (options->connections_max > share) {
        log_warn("http.connections limited to %u by the limit on open files (%u)", (unsigned)share,
                 (unsigned)share * DESCRIPTORS_SHARE);
        options->connections_max = (unsigned)share;
    }
    options->idle_s_max = options->idle_s_max == 0 ? IDLE_S_DEFAULT : options->idle_s_max;
    options->request_s_max =
        options->request_s_max == 0 ? REQUEST_S_DEFAULT : options->request_s_max;
}

int http_server_open(const struct http_server_options *options, struct http_server **result,
                     struct error *err)
{
    struct http_server *server = mem_calloc(1, sizeof(*server));
    unsigned spare;
    int fd;

    *result = NULL;
    server->options = *options;
    fill_defaults(&server->options);
    spare = server->options.connections_max / 8 + 8; /* Until those that make room are gone. */
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        server, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        options->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
        server->options.connections_max + spare, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        server->options.connection_memory_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
        server->options.idle_s_max, MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, server->options.connections_per_peer_max,
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        close(options->listen_fd);
        free(server);
        return error_set(err, ERR_SYSTEM, "the HTTP server does not start");
    }
    fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(options->loop, &server->poll, fd);
    uv_timer_init(options->loop, &server->timer);
    server->poll.data = server;
    server->timer.data = server;
    uv_prepare_init(options->loop, &server->before);
    uv_check_init(options->loop, &server->after);
    server->before.data = server;
    server->after.data = server;
    uv_prepare_start(&server->before, on_before);
    uv_check_start(&server->after, on_after);
    uv_unref((uv_handle_t *)&server->before); /* The poll holds the loop. */
    uv_unref((uv_handle_t *)&server->after);
    uv_poll_start(&server->poll, UV_READABLE, on_poll);
    pump(server);
    *result = server;
    return 0;
}

void http_server_drain(struct http_server *server)
{
    if (!server->draining) {
        server->draining = true;
        close(MHD_quiesce_daemon(server->daemon));
    }
}

size_t http_server_active(const struct http_server *server)
{
    return server->active;
}

static void on_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;

    server->handles--;
    if (server->handles == 0) {
        free(server);
    }
}

void http_server_close(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    http_server_drain(server);
    for (struct request *request = server->requests, *next; request != NULL; request = next) {
        next = request->next;
        if (request->state == REQUEST_HANDLED) {
            request->in_handler = true; /* Resumed together, below. */
            http_respond(&request->public, 503, NULL, SLICE_EMPTY);
        } else if (request->state == REQUEST_STREAMING && !request->stream_ended) {
            request->in_handler = true;
            http_stream_end(&request->public, false);
        }
    }
    pump(server); /* libmicrohttpd may not be stopped with suspended connections. */
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    server->handles = 4;
    uv_close((uv_handle_t *)&server->poll, on_closed);
    uv_close((uv_handle_t *)&server->timer, on_closed);
    uv_close((uv_handle_t *)&server->before, on_closed);
    uv_close((uv_handle_t *)&server->after, on_closed);
}
