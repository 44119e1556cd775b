#include "compute/probe.h"

#include "base/alloc.h"
#include "base/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES_MAX (64 * 1024)

struct probe {
    uv_poll_t poll;
    uv_timer_t timer;
    int handles;
    int fd;
    bool connected;
    char request[1280];
    size_t request_bytes, sent;
    char answer[512]; /* The status line is all that counts. */
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

/* "HTTP/1.1 200 OK" -> 200; 0 when it is none. */
static int status_of(const struct probe *probe)
{
    int64_t status;
    const char *blank = memchr(probe->answer, ' ', probe->received);

    if (probe->received < 12 || memcmp(probe->answer, "HTTP/1.", 7) != 0 || blank == NULL ||
        (size_t)(blank - probe->answer) + 4 > probe->received ||
        text_to_i64(slice_of(blank + 1, 3), 100, 999, &status, NULL) != 0) {
        return 0;
    }
    return (int)status;
}

static void end_of_answer(struct probe *probe)
{
    int status = status_of(probe);

    finish(probe, status != 0 ? PROBE_ANSWERED : PROBE_BROKEN, status);
}

static void read_answer(struct probe *probe)
{
    char piece[4096];
    ssize_t got = recv(probe->fd, piece, sizeof(piece), 0);
    size_t kept;

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        end_of_answer(probe);
        return;
    }
    kept = sizeof(probe->answer) - probe->received;
    kept = kept < (size_t)got ? kept : (size_t)got;
    memcpy(probe->answer + probe->received, piece, kept);
    probe->received += kept;
    probe->total += (size_t)got;
    if (probe->total >= READ_BYTES_MAX) {
        end_of_answer(probe);
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
