/* Answers and news to musterd. */
#include "warden/daemon.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PATIENCE_MS 5000 /* A loop that does not turn for so long is dead, or hostile. */

/* The loop waits for nobody for long: it has others to serve, and musterd to end. */
static void send_all(const struct msghdr *out)
{
    int64_t end_ms = time_boot_ms() + PATIENCE_MS;
    int flags = MSG_NOSIGNAL | (warden.is_child ? 0 : MSG_DONTWAIT);

    while (sendmsg(warden.socket, out, flags) < 0) {
        struct pollfd room = {.fd = warden.socket, .events = POLLOUT};

        if (errno != EAGAIN) {
            log_warn("warden.send reason=\"%s\"", strerror(errno));
            return;
        }
        if (time_boot_ms() >= end_ms) {
            log_error("musterd.deaf: it is killed");
            supervise_kill();
            return;
        }
        poll(&room, 1, 50);
    }
}

void message_send(uint32_t op, uint64_t serial, int code, const char *text, struct slice payload,
                  const int *fds, size_t fd_count)
{
    struct warden_header header = {.magic = WARDEN_MAGIC,
                                   .op = op,
                                   .serial = serial,
                                   .payload_bytes = (uint32_t)payload.bytes,
                                   .code = code};
    struct iovec parts[2] = {{&header, sizeof(header)},
                             {(void *)(uintptr_t)payload.data, payload.bytes}};
    union {
        char room[CMSG_SPACE(sizeof(int) * WARDEN_SOCKETS_MAX)];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr out = {.msg_iov = parts, .msg_iovlen = payload.bytes == 0 ? 1 : 2};

    snprintf(header.text, sizeof(header.text), "%s", text);
    if (fd_count > 0) {
        struct cmsghdr *cmsg;

        out.msg_control = control.room;
        out.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        cmsg = CMSG_FIRSTHDR(&out);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
    }
    if (warden.socket >= 0) {
        send_all(&out);
    }
}

void message_answer(const struct warden_header *request, const struct error *err)
{
    message_send(request->op, request->serial, err == NULL ? 0 : (int)err->code,
                 err == NULL ? "" : err->message, SLICE_EMPTY, NULL, 0);
}

void message_instance(const char *id, enum warden_state state, const char *reason)
{
    struct warden_event event = {.state = state};

    snprintf(event.id, sizeof(event.id), "%s", id);
    snprintf(event.reason, sizeof(event.reason), "%s", reason);
    message_send(WARDEN_EVENT_INSTANCE, 0, 0, "", slice_of((const char *)&event, sizeof(event)),
                 NULL, 0);
}

void message_haproxy(const char *id)
{
    struct warden_event event = {0};

    snprintf(event.id, sizeof(event.id), "%s", id);
    message_send(WARDEN_EVENT_HAPROXY, 0, 0, "", slice_of((const char *)&event, sizeof(event)),
                 NULL, 0);
}
