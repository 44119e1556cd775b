#include "http/client.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_FLIGHT_DEFAULT 64
#define CONNECT_MS_DEFAULT 2000
#define TOTAL_MS_DEFAULT 10000
#define ANSWER_BYTES_DEFAULT (16 * 1024 * 1024)
#define SPARE_CALLS_MAX 64 /* Easy handles are costly to make: 1.3 times the whole request. */

enum call_state { CALL_WAITING, CALL_ON_WIRE, CALL_FINISHED };

/* A doubly linked list's end; calls move from waiting to on the wire to finished. */
struct call_list {
    struct http_call *first, *last;
    size_t count;
};

struct http_call {
    struct http_client *client;
    struct http_call *next, *previous;
    enum call_state state;
    CURL *easy;
    CURLcode result;
    struct curl_slist *headers;
    char *method, *url;
    struct buf body, answer;
    char reason[CURL_ERROR_SIZE];
    int64_t deadline_ms, connect_ms;
    size_t answer_bytes_max;
    bool too_large;
    http_done_fn *done;
    void *data;
};

/* A socket of curl's. A connection's poll stays between requests, for curl forgets and watches
 * again at every one, and two epoll_ctl() a request are a third of the speed. An idle socket's poll
 * is stopped when the other side has closed it. Helper sockets (the resolver's) come and go without
 * a word from curl, so their poll ends when curl stops watching. So does that of a socket that is
 * only being connected: curl closes one that never was without a word (seen with 7.88). */
struct watched {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
    int events; /* Watched for now; 0: stopped. */
    bool connection, idle;
};

struct http_client {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    uv_prepare_t prepare; /* Sends what was started in this turn of the loop, in one batch. */
    size_t in_flight_max;
    struct call_list waiting, on_wire, finished;
    struct http_call *spare;
    size_t spare_count;
    struct watched **sockets; /* By descriptor; NULL: not ours. */
    size_t sockets_room;
    size_t handles;
    bool pumping, closing;
};

/* Lists. */

static struct call_list *list_of(struct http_call *call)
{
    switch (call->state) {
    case CALL_WAITING:
        return &call->client->waiting;
    case CALL_ON_WIRE:
        return &call->client->on_wire;
    case CALL_FINISHED:
        break;
    }
    return &call->client->finished;
}

static void list_remove(struct http_call *call)
{
    struct call_list *list = list_of(call);

    *(call->previous == NULL ? &list->first : &call->previous->next) = call->next;
    *(call->next == NULL ? &list->last : &call->next->previous) = call->previous;
    list->count--;
    call->next = call->previous = NULL;
}

static void list_add(struct http_call *call, enum call_state state)
{
    struct call_list *list;

    call->state = state;
    list = list_of(call);
    call->previous = list->last;
    *(list->last == NULL ? &list->first : &list->last->next) = call;
    list->last = call;
    list->count++;
}

static void move(struct http_call *call, enum call_state state)
{
    list_remove(call);
    list_add(call, state);
}

/* While there is work the loop must turn. */
static void hold_loop(struct http_client *client)
{
    if (http_client_active(client) > 0) {
        uv_ref((uv_handle_t *)&client->prepare);
    } else {
        uv_unref((uv_handle_t *)&client->prepare);
    }
}

/* A call's life. */

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct http_call *call = user;
    size_t bytes = size * count;

    if (bytes > call->answer_bytes_max - call->answer.bytes) {
        call->too_large = true;
        return 0; /* Makes curl give up. */
    }
    buf_add(&call->answer, slice_of(data, bytes));
    return bytes;
}

static curl_socket_t on_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *to);
static int on_close_socket(void *user, curl_socket_t fd);

static CURL *make_easy(struct http_call *call)
{
    CURL *easy = curl_easy_init();

    ASSERT(easy != NULL);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->reason);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call->client);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, call->client);
    return easy;
}

static void free_call(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call->method);
    free(call->url);
    buf_close(&call->body);
    buf_close(&call->answer);
    free(call);
}

/* Out of the lists, kept for the next. */
static void recycle(struct http_call *call)
{
    struct http_client *client = call->client;

    if (client->spare_count >= SPARE_CALLS_MAX || client->closing) {
        free_call(call);
        return;
    }
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    buf_clear(&call->body); /* Method and URL stay: most calls are like the one before. */
    buf_clear(&call->answer);
    call->next = client->spare;
    client->spare = call;
    client->spare_count++;
}

static struct http_call *take_call(struct http_client *client)
{
    struct http_call *call = client->spare;

    if (call != NULL) {
        client->spare = call->next;
        client->spare_count--;
        call->next = NULL;
        return call;
    }
    call = mem_calloc(1, sizeof(*call));
    call->client = client;
    call->easy = make_easy(call);
    return call;
}

static void set_headers(struct http_call *call, const struct http_header *headers)
{
    struct buf line = {0};

    for (; headers != NULL && headers->name != NULL; headers++) {
        buf_clear(&line);
        buf_add_z(&line, headers->name);
        buf_add_z(&line, ": ");
        buf_add_z(&line, headers->value);
        call->headers = curl_slist_append(call->headers, buf_z(&line));
    }
    call->headers = curl_slist_append(call->headers, "Expect:"); /* No pause before a body. */
    call->headers = curl_slist_append(call->headers, "Accept:");
    buf_close(&line);
}

/* No proxy can reach the loopback or the link-local network for us. */
static bool is_local(const char *url)
{
    static const char *const hosts[] = {"://127.", "://localhost", "://[::1]", "://169.254.",
                                        "://[fd00:ec2::"};

    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const char *at = strchr(url, ':');

        if (at != NULL && strncmp(at, hosts[i], strlen(hosts[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void set_target(struct http_call *call, const char *method, const char *url)
{
    if (call->method == NULL || strcmp(call->method, method) != 0) {
        free(call->method);
        call->method = mem_strdup(method);
    }
    if (call->url == NULL || strcmp(call->url, url) != 0) {
        free(call->url);
        call->url = mem_strdup(url);
        curl_easy_setopt(call->easy, CURLOPT_URL, call->url);
        curl_easy_setopt(call->easy, CURLOPT_PROXY, is_local(call->url) ? "" : NULL);
    }
}

struct http_call *http_call_start(struct http_client *client,
                                  const struct http_call_options *options)
{
    struct http_call *call = take_call(client);
    const char *method = options->method == NULL ? "GET" : options->method;
    bool get = strcmp(method, "GET") == 0;

    ASSERT(!client->closing);
    set_target(call, method, options->url);
    buf_add(&call->body, options->body);
    set_headers(call, options->headers);
    call->connect_ms = options->connect_ms == 0 ? CONNECT_MS_DEFAULT : options->connect_ms;
    call->deadline_ms =
        time_boot_ms() + (options->total_ms == 0 ? TOTAL_MS_DEFAULT : options->total_ms);
    call->answer_bytes_max =
        options->answer_bytes_max == 0 ? ANSWER_BYTES_DEFAULT : options->answer_bytes_max;
    call->done = options->done;
    call->data = options->data;
    call->too_large = false;
    call->reason[0] = '\0';

    curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L); /* Undoes an earlier POST. */
    curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    if (!get || call->body.bytes > 0) {
        curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.bytes);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, buf_z(&call->body));
        if (strcmp(method, "POST") != 0) {
            curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, call->method);
        }
    }
    list_add(call, CALL_WAITING);
    hold_loop(client);
    return call;
}

void http_call_cancel(struct http_call *call)
{
    if (call == NULL) {
        return;
    }
    if (call->state == CALL_ON_WIRE) {
        curl_multi_remove_handle(call->client->multi, call->easy);
    }
    list_remove(call);
    hold_loop(call->client);
    recycle(call);
}

size_t http_client_active(const struct http_client *client)
{
    return client->waiting.count + client->on_wire.count + client->finished.count;
}

/* Delivery. */

static int result_of(const struct http_call *call, struct error *err)
{
    const char *reason = call->reason[0] != '\0' ? call->reason : curl_easy_strerror(call->result);

    if (call->too_large) {
        return error_set(err, ERR_TOO_LARGE, "%s: the answer is larger than %zu bytes", call->url,
                         call->answer_bytes_max);
    }
    if (call->result == CURLE_OPERATION_TIMEDOUT) {
        return error_set(err, ERR_TIMEOUT, "%s: %s", call->url, reason);
    }
    if (call->result == CURLE_URL_MALFORMAT || call->result == CURLE_UNSUPPORTED_PROTOCOL) {
        return error_set(err, ERR_INVALID, "%s: %s", call->url, reason);
    }
    return error_set(err, ERR_UNAVAILABLE, "%s: %s", call->url, reason);
}

static void deliver(struct http_call *call)
{
    struct http_answer answer = {0};
    struct error err = {0};
    long status = 0;

    list_remove(call); /* The done function may close the client. */
    if (call->result == CURLE_OK) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        answer.status = (int)status;
        answer.body = slice_of(buf_z(&call->answer), call->answer.bytes);
        call->done(call->data, &answer, NULL);
    } else {
        result_of(call, &err);
        call->done(call->data, NULL, &err);
    }
    if (!call->client->closing) {
        hold_loop(call->client);
    }
    recycle(call);
}

static void collect(struct http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct http_call *call = NULL;

        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call->result = message->data.result;
        curl_multi_remove_handle(client->multi, call->easy);
        move(call, CALL_FINISHED);
    }
}

/* Put waiting calls on the wire, as many as may be; true if there was one. */
static bool send_waiting(struct http_client *client)
{
    int64_t now_ms = client->waiting.first == NULL ? 0 : time_boot_ms();
    bool sent = false;

    while (client->waiting.first != NULL && client->on_wire.count < client->in_flight_max) {
        struct http_call *call = client->waiting.first;
        int64_t left_ms = call->deadline_ms - now_ms;

        if (left_ms <= 0) {
            call->result = CURLE_OPERATION_TIMEDOUT;
            move(call, CALL_FINISHED);
            continue;
        }
        curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
        curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)min_i64(left_ms, call->connect_ms));
        move(call, CALL_ON_WIRE);
        curl_multi_add_handle(client->multi, call->easy);
        sent = true;
    }
    return sent;
}

/* Everything that can be done now. curl may finish a call within the very action that sent it, and
 * a done function may start another: hence the loop. */
static void pump(struct http_client *client)
{
    int running;

    if (client->pumping || client->closing) {
        return;
    }
    client->pumping = true;
    for (;;) {
        bool sent = send_waiting(client);

        if (sent) {
            curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        collect(client);
        if (!sent && client->finished.first == NULL) {
            break;
        }
        while (client->finished.first != NULL && !client->closing) {
            deliver(client->finished.first);
        }
        if (client->closing) {
            break;
        }
    }
    client->pumping = false;
}

/* The loop. */

static void on_prepare(uv_prepare_t *prepare)
{
    pump(prepare->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_client *client = timer->data;
    int running;

    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pump(client);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watched *watched = poll->data;
    struct http_client *client = watched->client;
    int flags = 0, running;

    if (watched->idle) {
        watched->events = 0;
        uv_poll_stop(poll); /* Closed by the other side; curl finds out when it wants the socket. */
        return;
    }
    if (status < 0) {
        flags = CURL_CSELECT_ERR;
    }
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(client->multi, watched->fd, flags, &running);
    pump(client);
}

static int on_curl_timer(CURLM *multi, long wait_ms, void *user)
{
    struct http_client *client = user;

    (void)multi;
    if (wait_ms < 0) {
        uv_timer_stop(&client->timer);
    } else {
        uv_timer_start(&client->timer, on_timer, (uint64_t)wait_ms, 0);
    }
    return 0;
}

static struct watched *watched_of(const struct http_client *client, curl_socket_t fd)
{
    return (size_t)fd < client->sockets_room ? client->sockets[fd] : NULL;
}

static void free_watched(uv_handle_t *handle)
{
    free(handle->data);
}

static void unwatch(struct http_client *client, curl_socket_t fd)
{
    struct watched *watched = watched_of(client, fd);

    if (watched != NULL) {
        client->sockets[fd] = NULL;
        uv_poll_stop(&watched->poll);
        uv_close((uv_handle_t *)&watched->poll, free_watched);
    }
}

/* NULL: the system watches no more sockets. */
static struct watched *watch(struct http_client *client, curl_socket_t fd, bool connection)
{
    struct watched *watched = mem_calloc(1, sizeof(*watched));

    unwatch(client, fd); /* An earlier socket of this number that curl closed without a word. */
    while ((size_t)fd >= client->sockets_room) {
        size_t room = client->sockets_room;

        client->sockets = mem_grow(client->sockets, room, &client->sockets_room, sizeof(void *));
        memset(client->sockets + room, 0, (client->sockets_room - room) * sizeof(void *));
    }
    watched->client = client;
    watched->fd = fd;
    watched->connection = connection;
    if (uv_poll_init_socket(client->loop, &watched->poll, fd) != 0) {
        free(watched);
        return NULL;
    }
    uv_unref((uv_handle_t *)&watched->poll); /* The calls hold the loop, not their sockets. */
    watched->poll.data = watched;
    client->sockets[fd] = watched;
    return watched;
}

static void want(struct watched *watched, int events)
{
    if (watched->events != events) {
        watched->events = events;
        uv_poll_start(&watched->poll, events, on_poll);
    }
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_data)
{
    struct http_client *client = user;
    struct watched *watched = watched_of(client, fd);
    int events = 0;

    (void)easy;
    (void)socket_data; /* curl forgets it with every REMOVE. */
    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL && watched->connection && watched->events != UV_WRITABLE) {
            watched->idle = true;
        } else {
            unwatch(client, fd);
        }
        return 0;
    }
    if (watched == NULL) {
        watched = watch(client, fd, false);
        if (watched == NULL) {
            return -1;
        }
    }
    watched->idle = false;
    events |= (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    want(watched, events);
    return 0;
}

static curl_socket_t on_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *to)
{
    int fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    struct watched *watched;

    (void)purpose;
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    watched = watch(user, fd, true);
    if (watched == NULL) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    want(watched, UV_WRITABLE); /* curl says so only if the number is new to it. */
    return fd;
}

/* curl gives up a connection: from here on the number may mean another socket. */
static int on_close_socket(void *user, curl_socket_t fd)
{
    unwatch(user, fd);
    return close(fd);
}

int http_client_open(uv_loop_t *loop, size_t in_flight_max, struct http_client **result,
                     struct error *err)
{
    static bool global;
    struct http_client *client;

    *result = NULL;
    if (!global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return error_set(err, ERR_SYSTEM, "the HTTP client does not start");
    }
    global = true;
    client = mem_calloc(1, sizeof(*client));
    client->loop = loop;
    client->in_flight_max = in_flight_max == 0 ? IN_FLIGHT_DEFAULT : in_flight_max;
    client->multi = curl_multi_init();
    ASSERT(client->multi != NULL);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    /* Fewer than requests in flight would mean a new connection for most: a third of the speed. */
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->in_flight_max);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    uv_timer_init(loop, &client->timer);
    uv_prepare_init(loop, &client->prepare);
    client->timer.data = client;
    client->prepare.data = client;
    uv_unref((uv_handle_t *)&client->timer);
    uv_prepare_start(&client->prepare, on_prepare);
    uv_unref((uv_handle_t *)&client->prepare);
    *result = client;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct http_client *client = handle->data;

    client->handles--;
    if (client->handles == 0) {
        free(client->sockets);
        free(client);
    }
}

static void cancel_all(struct call_list *list)
{
    while (list->first != NULL) {
        http_call_cancel(list->first);
    }
}

void http_client_close(struct http_client *client)
{
    if (client == NULL || client->closing) {
        return;
    }
    client->closing = true;
    cancel_all(&client->waiting);
    cancel_all(&client->on_wire);
    cancel_all(&client->finished);
    for (struct http_call *call = client->spare, *next; call != NULL; call = next) {
        next = call->next;
        free_call(call);
    }
    curl_multi_cleanup(client->multi); /* Closes the pooled sockets by on_close_socket(). */
    client->handles = 2;
    uv_ref((uv_handle_t *)&client->timer);
    uv_ref((uv_handle_t *)&client->prepare);
    uv_close((uv_handle_t *)&client->timer, on_closed);
    uv_close((uv_handle_t *)&client->prepare, on_closed);
}
