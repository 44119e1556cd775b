/* Listeners inside VPCs: opened by the forked child that makes the VPC, handed to the warden before
 * they are handed to musterd. While musterd is down instances wait in their queues. */
#include "warden/daemon.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VPCS_MAX 64

static struct kept {
    char vpc[WARDEN_ID_BYTES]; /* "": free. */
    int listeners[WARDEN_VPC_LISTENERS];
} rows[VPCS_MAX];

static int ends[2] = {-1, -1}; /* Ours, the children's. */

void keep_open(void)
{
    ASSERT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
}

int keep_fd(void)
{
    return ends[0];
}

static struct kept *find(const char *vpc)
{
    for (size_t i = 0; i < VPCS_MAX; i++) {
        if (strncmp(rows[i].vpc, vpc, WARDEN_ID_BYTES) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

void keep_find(const char *vpc, int listeners[WARDEN_VPC_LISTENERS])
{
    const struct kept *row = find(vpc);

    for (size_t i = 0; i < WARDEN_VPC_LISTENERS; i++) {
        listeners[i] = row == NULL ? -1 : row->listeners[i];
    }
}

void keep_drop(const char *vpc)
{
    struct kept *row = find(vpc);

    for (size_t i = 0; row != NULL && i < WARDEN_VPC_LISTENERS; i++) {
        close(row->listeners[i]);
    }
    if (row != NULL) {
        memset(row, 0, sizeof(*row));
    }
}

static void keep(const char *vpc, const int *fds)
{
    struct kept *row;

    keep_drop(vpc);
    row = find("");
    for (size_t i = 0; i < WARDEN_VPC_LISTENERS; i++) {
        if (row == NULL) {
            close(fds[i]);
        } else {
            row->listeners[i] = fds[i];
        }
    }
    if (row != NULL) {
        memcpy(row->vpc, vpc, WARDEN_ID_BYTES);
    }
}

void keep_take(void)
{
    char vpc[WARDEN_ID_BYTES];
    union {
        char room[CMSG_SPACE(sizeof(int) * WARDEN_VPC_LISTENERS)];
        struct cmsghdr align;
    } control;
    struct iovec part = {vpc, sizeof(vpc)};
    struct msghdr in = {.msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control.room,
                        .msg_controllen = sizeof(control.room)};
    ssize_t got = recvmsg(ends[0], &in, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = got == sizeof(vpc) ? CMSG_FIRSTHDR(&in) : NULL;
    int fds[WARDEN_VPC_LISTENERS];

    if (cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(fds))) {
        memcpy(fds, CMSG_DATA(cmsg), sizeof(fds));
        vpc[sizeof(vpc) - 1] = '\0';
        keep(vpc, fds);
    }
}

void keep_send(const char *vpc, const int listeners[WARDEN_VPC_LISTENERS])
{
    char id[WARDEN_ID_BYTES] = {0};
    union {
        char room[CMSG_SPACE(sizeof(int) * WARDEN_VPC_LISTENERS)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {id, sizeof(id)};
    struct msghdr out = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = control.room,
                         .msg_controllen = sizeof(control.room)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&out);

    memcpy(id, vpc, strnlen(vpc, sizeof(id) - 1));
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * WARDEN_VPC_LISTENERS);
    memcpy(CMSG_DATA(cmsg), listeners, sizeof(int) * WARDEN_VPC_LISTENERS);
    if (sendmsg(ends[1], &out, MSG_NOSIGNAL) < 0) {
        log_warn("warden.keep reason=\"%s\"", strerror(errno));
    }
}
