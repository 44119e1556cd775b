/* HAProxy's configuration, as text: a pure writer, any thread.
 *
 * Two kinds of process: one per load balancer (HTTP), and one per VPC that forwards public
 * addresses (TCP), so that the reloads of a balancer never cut an ssh session. Listening sockets
 * are opened in the host's namespace and inherited, "bind fd@N"; a successor started with the same
 * descriptors and -sf takes over without losing a connection. The text is written so that a process
 * started from it agrees with what the runtime socket (balancer/socket.h) was told since.
 *
 * Load balancers answer as AWS's do (Elastic Load Balancing, "HTTP headers and Application Load
 * Balancers", "Troubleshoot your Application Load Balancers"): X-Forwarded-*, X-Amzn-Trace-Id, the
 * error pages. */
#ifndef BALANCER_CONFIG_H
#define BALANCER_CONFIG_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names of backends and servers: [A-Za-z0-9_.-]; the caller sees to it. */

enum balancer_server_state {
    BALANCER_READY,
    BALANCER_DRAIN, /* No new requests; those under way may finish. */
    BALANCER_MAINT, /* Unhealthy: the same, and may be deleted once idle. */
};

struct balancer_server {
    const char *name;
    const char *address; /* "10.0.0.5" */
    int32_t port;
    enum balancer_server_state state;
};

struct balancer_backend {
    const char *name;
    bool least_connections;    /* Else round robin. */
    int32_t sticky_s;          /* A cookie of this age, AWSALB; 0: none. */
    const char *sticky_cookie; /* Stick by the application's own cookie; NULL: AWSALB. */
    int32_t slow_start_s;
    const struct balancer_server *servers;
    size_t server_count;
};

/* A share of a forward action. */
struct balancer_choice {
    const char *backend;
    int32_t weight; /* 0..999; with 0 it gets nothing. */
};

enum balancer_action { BALANCER_FORWARD, BALANCER_FIXED, BALANCER_REDIRECT };

struct balancer_listener {
    const char *name; /* "l80"; statistics are kept under it. */
    int fd;           /* The inherited listening socket. */
    int32_t port;     /* As clients see it. */
    enum balancer_action action;
    const struct balancer_choice *choices; /* BALANCER_FORWARD */
    size_t choice_count;
    int32_t status; /* BALANCER_FIXED: 200..599; BALANCER_REDIRECT: 301 or 302 */
    const char *content_type, *body;
    /* BALANCER_REDIRECT: parts with #{protocol} and so on, as AWS writes them. */
    const char *protocol, *host, *to_port, *path, *query;
};

struct balancer_http {
    const char *socket;      /* The runtime socket: a path, or "fd@N" when inherited. */
    const char *source;      /* The balancer's own private address; NULL: any. */
    const char *description; /* Shown by "show info"; NULL: none. One word. */
    int32_t connections_max;
    int32_t hard_stop_s;         /* How long a predecessor may finish its requests. */
    int32_t idle_timeout_s;      /* idle_timeout.timeout_seconds */
    int32_t client_keep_alive_s; /* client_keep_alive.seconds */
    bool preserve_host;          /* routing.http.preserve_host_header.enabled */
    bool client_port;            /* routing.http.xff_client_port.enabled */
    const char *forwarded_for;   /* "append", "preserve" or "remove" */
    const struct balancer_listener *listeners;
    size_t listener_count;
    const struct balancer_backend *backends;
    size_t backend_count;
};

void balancer_write_http(struct buf *text, const struct balancer_http *http);

struct balancer_forward {
    const char *name;
    int fd;
    const char *address; /* Inside the VPC. */
    int32_t port;
};

struct balancer_tcp {
    const char *socket;
    const char *source; /* NULL: any. */
    int32_t connections_max;
    const struct balancer_forward *forwards;
    size_t forward_count;
};

/* Predecessors stay as long as a session does: there is no hard stop. */
void balancer_write_tcp(struct buf *text, const struct balancer_tcp *tcp);

#endif /* BALANCER_CONFIG_H */
