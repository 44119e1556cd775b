/* What the parts of the warden's own process share: one thread, one poll loop, no blocking work.
 * What may block is done in forked children (requests.c), because setns() and liblxc change or
 * occupy the whole process. */
#ifndef WARDEN_DAEMON_H
#define WARDEN_DAEMON_H

#include "warden/private.h"

#include <poll.h>
#include <sys/resource.h>

#define WATCHED_MAX INSTANCES_MAX
#define HAPROXIES_MAX 128

struct daemon {
    struct site site;
    int socket;          /* To musterd; -1 while it is down. */
    uint32_t generation; /* Which musterd it is: answers to an earlier one are not for it. */
    int lock;            /* On the state directory; held for as long as it is open anywhere. */
    struct rlimit files; /* As it was given: children begin with it. */
    bool stopping;
    bool is_child; /* Of a request: it may wait. */
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
void haproxy_drop_vpc(const char *vpc);
/* What an earlier warden left runs on; its listeners are fetched back from it. */
void haproxy_adopt(void);
void haproxy_reaped(pid_t pid, int status); /* Of any child. */
void haproxy_tick(int64_t now_ms);          /* Ends that musterd has to hear of. */
/* Adopted ones are not our children: as watch_poll() and watch_polled(). Room for HAPROXIES_MAX. */
size_t haproxy_poll(struct pollfd *fds);
void haproxy_polled(const struct pollfd *fds, size_t count);

/* keep.c: listeners inside VPCs, kept while musterd is down. Children open them. */
void keep_open(void);
int keep_fd(void); /* To poll; then keep_take(). */
void keep_take(void);
void keep_find(const char *vpc, int listeners[WARDEN_VPC_LISTENERS]); /* -1: none. */
void keep_drop(const char *vpc);
void keep_send(const char *vpc, const int listeners[WARDEN_VPC_LISTENERS]); /* From a child. */

/* requests.c: what musterd asks for. */
void requests_take(size_t bytes); /* Of requests_room(). */
char *requests_room(void);        /* WARDEN_MESSAGE_BYTES_MAX bytes. */
void requests_reaped(pid_t pid, int status);
void requests_deadlines(int64_t now_ms);
void requests_forsaken(void); /* Who asked has ended. */
/* What belongs to the warden alone must not live on in a child, nor in what it starts. */
void become_child(void);

/* supervise.c: musterd. It gets argv[1..] of the warden and a state directory of its own. */
void supervise_open(int argc, char **argv, int listen_fd);
void supervise_tick(int64_t now_ms); /* Starts it when it is due. */
void supervise_reaped(pid_t pid, int status);
void supervise_kill(void);  /* It does not listen any more. */
void supervise_close(void); /* SIGTERM, five seconds, SIGKILL. */

#endif /* WARDEN_DAEMON_H */
