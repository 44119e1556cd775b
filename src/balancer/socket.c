#include "balancer/socket.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_MAX 512                    /* A whole target group's worth of changes. */
#define ANSWER_BYTES_MAX (4 * 1024 * 1024) /* `show stat` of 1000 servers is about 500 kB. */
#define DEADLINE_MS 3000

struct command {
    char *text;
    balancer_answer_fn *done;
    void *data;
    struct command *next;
};

/* One connection; outlives the socket until libuv let go of both handles. */
struct talk {
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_connect_t connect;
    uv_write_t write;
    int handles;                    /* That libuv still holds. */
    struct balancer_socket *socket; /* NULL: closed meanwhile. */
    struct command *command;        /* NULL: finished. */
    struct buf answer;
};

struct balancer_socket {
    uv_loop_t *loop;
    char *path;
    struct command *first, **last;
    size_t waiting;
    struct talk *talk; /* Under way. */
};

static void start_next(struct balancer_socket *socket);

static void command_free(struct command *command)
{
    if (command != NULL) {
        free(command->text);
        free(command);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct talk *talk = handle->data;

    talk->handles--;
    if (talk->handles == 0) {
        buf_close(&talk->answer);
        command_free(talk->command);
        free(talk);
    }
}

static void talk_close(struct talk *talk)
{
    if (!uv_is_closing((uv_handle_t *)&talk->pipe)) {
        uv_close((uv_handle_t *)&talk->pipe, on_closed);
        uv_close((uv_handle_t *)&talk->timer, on_closed);
    }
}

/* Give the answer, or why there is none, and go on with the next command. */
static void finish(struct talk *talk, const struct error *err)
{
    struct balancer_socket *socket = talk->socket;
    struct command *command = talk->command;

    talk_close(talk);
    if (socket == NULL || command == NULL) {
        return;
    }
    talk->command = NULL;
    talk->socket = NULL;
    socket->talk = NULL;
    start_next(socket); /* First: @done may close the socket. */
    if (command->done != NULL) {
        command->done(command->data, buf_slice(&talk->answer), err);
    }
    command_free(command);
}

static void fail(struct talk *talk, int status, const char *what)
{
    struct error err;

    error_set(&err, ERR_UNAVAILABLE, "haproxy's socket: %s: %s", what, uv_strerror(status));
    finish(talk, &err);
}

static void on_timeout(uv_timer_t *timer)
{
    fail(timer->data, UV_ETIMEDOUT, "answer");
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct talk *talk = handle->data;

    (void)suggested;
    buf_reserve(&talk->answer, 16 * 1024);
    *room = uv_buf_init(talk->answer.data + talk->answer.bytes, 16 * 1024);
}

static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *room)
{
    struct talk *talk = stream->data;

    (void)room;
    if (bytes == UV_EOF) {
        finish(talk, NULL);
    } else if (bytes < 0) {
        fail(talk, (int)bytes, "read");
    } else {
        talk->answer.bytes += (size_t)bytes;
        talk->answer.data[talk->answer.bytes] = '\0';
        if (talk->answer.bytes > ANSWER_BYTES_MAX) {
            fail(talk, UV_EMSGSIZE, "answer");
        }
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct talk *talk = write->data;

    if (status < 0 && status != UV_ECANCELED) {
        fail(talk, status, "write");
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct talk *talk = connect->data;
    uv_buf_t text;

    if (status == UV_ECANCELED || talk->command == NULL) {
        return;
    }
    if (status < 0) {
        fail(talk, status, "connect");
        return;
    }
    text = uv_buf_init(talk->command->text, (unsigned)strlen(talk->command->text));
    talk->write.data = talk;
    status = uv_write(&talk->write, (uv_stream_t *)&talk->pipe, &text, 1, on_written);
    if (status == 0) {
        status = uv_read_start((uv_stream_t *)&talk->pipe, on_room, on_read);
    }
    if (status < 0) {
        fail(talk, status, "write");
    }
}

static void start_next(struct balancer_socket *socket)
{
    struct command *command = socket->first;
    struct talk *talk;

    if (command == NULL || socket->talk != NULL) {
        return;
    }
    socket->first = command->next;
    if (socket->first == NULL) {
        socket->last = &socket->first;
    }
    socket->waiting--;
    talk = mem_calloc(1, sizeof(*talk));
    talk->socket = socket;
    talk->command = command;
    socket->talk = talk;
    uv_pipe_init(socket->loop, &talk->pipe, 0);
    uv_timer_init(socket->loop, &talk->timer);
    talk->handles = 2;
    talk->pipe.data = talk->timer.data = talk->connect.data = talk;
    uv_timer_start(&talk->timer, on_timeout, DEADLINE_MS, 0);
    uv_pipe_connect(&talk->connect, &talk->pipe, socket->path, on_connected);
}

struct balancer_socket *balancer_socket_open(uv_loop_t *loop, const char *path)
{
    struct balancer_socket *socket = mem_calloc(1, sizeof(*socket));

    socket->loop = loop;
    socket->path = mem_strdup(path);
    socket->last = &socket->first;
    return socket;
}

void balancer_socket_close(struct balancer_socket *socket)
{
    if (socket == NULL) {
        return;
    }
    while (socket->first != NULL) {
        struct command *command = socket->first;

        socket->first = command->next;
        command_free(command);
    }
    if (socket->talk != NULL) {
        socket->talk->socket = NULL; /* Frees itself and its command. */
        talk_close(socket->talk);
    }
    free(socket->path);
    free(socket);
}

void balancer_socket_send(struct balancer_socket *socket, const char *command,
                          balancer_answer_fn *done, void *data)
{
    struct command *waiting;
    struct buf text = {0};

    if (socket->waiting >= WAITING_MAX) {
        struct error err;

        error_set(&err, ERR_BUSY, "haproxy's socket: too many commands wait");
        if (done != NULL) {
            done(data, SLICE_EMPTY, &err);
        }
        return;
    }
    buf_printf(&text, "%s\n", command);
    waiting = mem_calloc(1, sizeof(*waiting));
    *waiting = (struct command){.text = buf_take(&text), .done = done, .data = data};
    *socket->last = waiting;
    socket->last = &waiting->next;
    socket->waiting++;
    start_next(socket);
}

void balancer_command_add(struct buf *text, const char *backend,
                          const struct balancer_server *server)
{
    buf_printf(text, "add server %s/%s %s:%d", backend, server->name, server->address,
               server->port);
}

void balancer_command_state(struct buf *text, const char *backend, const char *server,
                            enum balancer_server_state state)
{
    static const char *const words[] = {
        [BALANCER_READY] = "ready", [BALANCER_DRAIN] = "drain", [BALANCER_MAINT] = "maint"};

    buf_printf(text, "set server %s/%s state %s", backend, server, words[state]);
}

void balancer_command_delete(struct buf *text, const char *backend, const char *server)
{
    buf_printf(text, "set server %s/%s state maint; del server %s/%s", backend, server, backend,
               server);
}

void balancer_command_cut(struct buf *text, const char *backend, const char *server)
{
    buf_printf(text, "shutdown sessions server %s/%s", backend, server);
}

bool balancer_accepted(struct slice answer)
{
    struct slice line;

    while (slice_next(&answer, '\n', &line)) {
        line = slice_trim(line);
        if (line.bytes != 0 && !slice_equal_z(line, "New server registered.") &&
            !slice_equal_z(line, "Server deleted.")) {
            return false;
        }
    }
    return true;
}
