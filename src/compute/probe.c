#include "compute/probe.h"

#include "base/alloc.h"
#include "base/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct probe {
    uv_poll_t poll;
    uv_timer_t timer;
    int handles;
    int fd;
    bool connected;
    char request[1280];
    size_t request_bytes, sent;
    char answer[PROBE_HEAD_BYTES_MAX]; /* Its beginning. */
    size_t received, total;
    probe_done_fn *done;
    void *data;
    bool over;
};

static void on_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;

    if (--probe->handles == 0) {
        free(probe);
    }
}

/* The socket goes back to unconnected, in its namespace, to be used again. */
static void finish(struct probe *probe, enum compute_probe_outcome outcome, int status)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    if (probe->over) {
        return;
    }
    probe->over = true;
    uv_poll_stop(&probe->poll);
    uv_timer_stop(&probe->timer);
    connect(probe->fd, &nowhere, sizeof(nowhere));
    uv_close((uv_handle_t *)&probe->poll, on_closed);
    uv_close((uv_handle_t *)&probe->timer, on_closed);
    probe->done(probe->data, probe->fd, outcome, status);
}

/* The answer, as far as it has come. */

/* "HTTP/1.1 200 OK" -> 200; 0 when it is none. */
static int status_of(struct slice answer)
{
    size_t blank = slice_find(answer, ' ');
    int64_t status;

    if (!slice_starts(answer, SLICE_LIT("HTTP/1.")) || blank + 4 > answer.bytes ||
        text_to_i64(slice_sub(answer, blank + 1, 3), 100, 999, &status, NULL) != 0) {
        return 0;
    }
    return (int)status;
}

/* The status line and the headers, with the empty line; none until all has come. */
static struct slice head_of(struct slice answer)
{
    const char *end = memmem(answer.data, answer.bytes, "\r\n\r\n", 4);

    return end == NULL ? SLICE_EMPTY : slice_of(answer.data, (size_t)(end - answer.data) + 4);
}

/* How many bytes follow the head; -1: those until the connection ends. */
static int64_t body_bytes(struct slice head)
{
    static const char name[] = "Content-Length:";
    int status = status_of(head);
    int64_t bytes = -1;

    if (status == 204 || status == 304) {
        return 0;
    }
    while (head.bytes > 0) {
        size_t end = slice_find(head, '\n');
        struct slice line = slice_sub(head, 0, end);

        if (line.bytes >= sizeof(name) && strncasecmp(line.data, name, sizeof(name) - 1) == 0 &&
            text_to_i64(slice_trim(slice_sub(line, sizeof(name) - 1, line.bytes)), 0, INT64_MAX,
                        &bytes, NULL) == 0) {
            return bytes;
        }
        head = slice_sub(head, end + 1, head.bytes);
    }
    return -1;
}

int probe_judge(struct slice answer, size_t total, bool ended)
{
    struct slice head = head_of(answer);
    int64_t body = head.bytes == 0 ? -1 : body_bytes(head);
    bool complete = head.bytes != 0 && (body < 0 ? ended : (int64_t)(total - head.bytes) >= body);
    bool enough = total >= PROBE_BYTES_MAX;
    int status = head.bytes != 0 && (complete || enough) ? status_of(head) : 0;

    if (status != 0) {
        return status;
    }
    return ended || enough || (head.bytes == 0 && answer.bytes >= PROBE_HEAD_BYTES_MAX) ? -1 : 0;
}

static void read_answer(struct probe *probe)
{
    char piece[4096];
    ssize_t got = recv(probe->fd, piece, sizeof(piece), 0);
    size_t kept;
    int status;

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got > 0) {
        kept = sizeof(probe->answer) - probe->received;
        kept = kept < (size_t)got ? kept : (size_t)got;
        memcpy(probe->answer + probe->received, piece, kept);
        probe->received += kept;
        probe->total += (size_t)got;
    }
    status = probe_judge(slice_of(probe->answer, probe->received), probe->total, got <= 0);
    if (status != 0) {
        finish(probe, status > 0 ? PROBE_ANSWERED : PROBE_BROKEN, status > 0 ? status : 0);
    }
}

static void on_event(uv_poll_t *poll, int error, int events);

static void send_request(struct probe *probe)
{
    ssize_t sent = send(probe->fd, probe->request + probe->sent, probe->request_bytes - probe->sent,
                        MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        finish(probe, PROBE_REFUSED, 0);
        return;
    }
    probe->sent += sent > 0 ? (size_t)sent : 0;
    if (probe->sent == probe->request_bytes) {
        uv_poll_start(&probe->poll, UV_READABLE, on_event);
    }
}

static void on_event(uv_poll_t *poll, int error, int events)
{
    struct probe *probe = poll->data;
    int problem = 0;
    socklen_t bytes = sizeof(problem);

    if (!probe->connected) {
        getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &problem, &bytes);
        if (problem != 0 || error != 0) {
            finish(probe, problem == ETIMEDOUT ? PROBE_TIMEOUT : PROBE_REFUSED, 0);
            return;
        }
        probe->connected = true;
    }
    if ((events & UV_WRITABLE) != 0) {
        send_request(probe);
    }
    if (!probe->over && (events & UV_READABLE) != 0) {
        read_answer(probe);
    }
}

static void on_timeout(uv_timer_t *timer)
{
    finish(timer->data, PROBE_TIMEOUT, 0);
}

static int begin(struct probe *probe, const struct compute_probe *options)
{
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(options->source)};
    struct sockaddr_in target = {.sin_family = AF_INET,
                                 .sin_port = htons(options->port),
                                 .sin_addr.s_addr = htonl(options->address)};

    if (options->source != 0 &&
        bind(probe->fd, (const struct sockaddr *)&source, sizeof(source)) != 0 &&
        errno != EINVAL) { /* Bound by an earlier probe. */
        return -1;
    }
    return connect(probe->fd, (const struct sockaddr *)&target, sizeof(target)) == 0 ||
                   errno == EINPROGRESS
               ? 0
               : -1;
}

void probe_start(uv_loop_t *loop, int fd, const struct compute_probe *options, probe_done_fn *done,
                 void *data)
{
    struct probe *probe = mem_calloc(1, sizeof(*probe));
    char address[ADDRESS_TEXT_BYTES];

    address_text(options->address, address);
    probe->fd = fd;
    probe->done = done;
    probe->data = data;
    probe->request_bytes =
        (size_t)snprintf(probe->request, sizeof(probe->request),
                         "GET %.1024s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\nUser-Agent: "
                         "ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n",
                         options->path, address, options->port);
    probe->poll.data = probe;
    probe->timer.data = probe;
    probe->handles = 2;
    uv_timer_init(loop, &probe->timer);
    uv_poll_init(loop, &probe->poll, fd);
    uv_update_time(loop);
    if (begin(probe, options) != 0) {
        finish(probe, PROBE_REFUSED, 0);
        return;
    }
    uv_timer_start(&probe->timer, on_timeout, (uint64_t)max_i64(options->timeout_ms, 1), 0);
    uv_poll_start(&probe->poll, UV_WRITABLE | UV_READABLE, on_event);
}
