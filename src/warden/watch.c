/* Running instances: their monitor's pidfd becomes readable when they have ended. */
#include "warden/daemon.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct watched {
    char id[WARDEN_ID_BYTES]; /* "": free. */
    int pidfd;
} rows[WATCHED_MAX];

void watch_begin(const char *id)
{
    struct watched *free_row = NULL;
    int fd = instance_watch(&warden.site, id);

    for (size_t i = 0; i < WATCHED_MAX; i++) {
        if (strcmp(rows[i].id, id) == 0) {
            close(rows[i].pidfd);
            free_row = &rows[i];
            break;
        }
        if (rows[i].id[0] == '\0' && free_row == NULL) {
            free_row = &rows[i];
        }
    }
    if (free_row == NULL) { /* There are as many as ranges of uids. */
        log_error("watch.full id=%s", id);
        close(fd);
        return;
    }
    memset(free_row, 0, sizeof(*free_row));
    if (fd < 0) {
        message_instance(id, WARDEN_STOPPED, "the container ended as it was started");
        return;
    }
    snprintf(free_row->id, sizeof(free_row->id), "%s", id);
    free_row->pidfd = fd;
}

void watch_end(const char *id)
{
    for (size_t i = 0; i < WATCHED_MAX; i++) {
        if (strcmp(rows[i].id, id) == 0 && id[0] != '\0') {
            close(rows[i].pidfd);
            memset(&rows[i], 0, sizeof(rows[i]));
        }
    }
}

static void on_ended(struct watched *row)
{
    char id[WARDEN_ID_BYTES];

    memcpy(id, row->id, sizeof(id));
    close(row->pidfd);
    memset(row, 0, sizeof(*row));
    message_instance(id, WARDEN_STOPPED, "the instance shut down or its processes ended");
}

size_t watch_poll(struct pollfd *fds)
{
    size_t count = 0;

    for (size_t i = 0; i < WATCHED_MAX; i++) {
        if (rows[i].id[0] != '\0') {
            fds[count++] = (struct pollfd){.fd = rows[i].pidfd, .events = POLLIN};
        }
    }
    return count;
}

/* Rows may have changed since: a descriptor says which one it was. */
void watch_polled(const struct pollfd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; fds[i].revents != 0 && k < WATCHED_MAX; k++) {
            if (rows[k].id[0] != '\0' && rows[k].pidfd == fds[i].fd) {
                on_ended(&rows[k]);
            }
        }
    }
}
