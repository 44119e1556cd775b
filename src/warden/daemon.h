/* What the parts of the warden's own process share: one thread, one poll loop, no blocking work.
 * What may block is done in forked children (requests.c), because setns() and liblxc change or
 * occupy the whole process. */
#ifndef WARDEN_DAEMON_H
#define WARDEN_DAEMON_H

#include "warden/private.h"

#include <poll.h>

#define WATCHED_MAX 1024

struct daemon {
    struct site site;
    int socket; /* To musterd; -1 while it is down. */
    bool stopping;
};

extern struct daemon warden;

/* message.c: to musterd; dropped while it is down. */
void message_send(uint32_t op, uint64_t serial, int code, const char *text, struct slice payload,
                  const int *fds, size_t fd_count);
/* Done, or why not. */
void message_answer(const struct warden_header *request, const struct error *err);
void message_instance(const char *id, enum warden_state state, const char *reason);
void message_haproxy(const char *id);

/* watch.c: running instances, by the pidfds of their monitors. */
void watch_begin(const char *id);
void watch_end(const char *id); /* Its end is wanted. */
/* Add to @fds (room for WATCHED_MAX); returns how many, and watch_polled() takes them back. */
size_t watch_poll(struct pollfd *fds);
void watch_polled(const struct pollfd *fds, size_t count);

/* haproxy.c: one process per load balancer, their listeners kept here. */
int haproxy_ensure(const struct warden_haproxy *wanted, const char *config, struct error *err);
void haproxy_drop(const char *id);
void haproxy_adopt(void);                   /* What an earlier warden left. */
void haproxy_reaped(pid_t pid, int status); /* Of any child. */

/* requests.c: what musterd asks for. */
void requests_take(size_t bytes); /* Of requests_room(). */
char *requests_room(void);        /* WARDEN_MESSAGE_BYTES_MAX bytes. */
void requests_reaped(pid_t pid, int status);
void requests_deadlines(int64_t now_ms);
/* What belongs to the warden alone must not live on in a child, nor in what it starts. */
void become_child(void);

/* supervise.c: musterd. It gets argv[1..] of the warden and a state directory of its own. */
void supervise_open(int argc, char **argv, int listen_fd);
void supervise_tick(int64_t now_ms); /* Starts it when it is due. */
void supervise_reaped(pid_t pid, int status);
void supervise_close(void); /* SIGTERM, five seconds, SIGKILL. */

#endif /* WARDEN_DAEMON_H */
