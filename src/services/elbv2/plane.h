/* The data plane of one load balancer: its HAProxy brought to what is wanted.
 *
 * The text of the configuration without its servers is the *shape*. Another shape needs a
 * successor; servers come, go and change state by the runtime socket, after the file that a restart
 * reads was replaced. A running HAProxy carries a hash of its shape as its description, so that a
 * musterd that comes back knows whether it can adopt it. Loop thread. */
#ifndef SERVICES_ELBV2_PLANE_H
#define SERVICES_ELBV2_PLANE_H

#include "balancer/config.h"
#include "balancer/socket.h"
#include "balancer/stats.h"
#include "compute/compute.h"
#include "services/elbv2/private.h"

struct plane_server {
    char *backend, *name; /* "tg-<16 hex>", "i-0123-8000" */
    enum balancer_server_state state;
    bool leaving; /* HAProxy has not let go of it yet. */
};

struct plane {
    struct control *control;
    char *balancer; /* ARN */
    char id[32];    /* compute's name of it, "lb-<16 hex>" */
    bool running;   /* HAProxy serves, as far as we know. */
    bool known;     /* shape and servers are what it has. */
    bool busy;      /* compute or the socket were asked and have not answered. */
    bool again;     /* Something changed meanwhile. */
    int silent;     /* Times that its socket did not answer at adoption. */
    bool reload;    /* It disagreed with us: a successor puts that right. */
    uint64_t shape; /* Hash. */
    struct plane_server *servers;
    size_t server_count, server_room;
    struct balancer_socket *socket;
    struct balancer_totals totals; /* metrics.c: what HAProxy has counted, */
    int64_t read_ms;               /* and the instant that the next answer is for. */
};

/* "tg-<16 hex>" from the ARN's end; statistics go by it. In @arena. */
const char *plane_backend_name(struct arena *arena, const struct target_group *group);

/* What HAProxy is to be, in an arena; its shape apart. */
struct wanted {
    struct balancer_http http;
    struct compute_haproxy spec;
    struct buf text; /* The whole file. */
    uint64_t shape;
};
/* plane_want.c. The caller closes @wanted's text. False when there is nothing to listen on. */
bool plane_want(struct elbv2 *elbv2, struct arena *arena, const struct load_balancer *balancer,
                struct wanted *wanted);

/* Do what is left over: dirty balancers, servers that could not be deleted. Called by the metrics
 * timer, and after a commit. */
void plane_sync_all(struct control *control);

#endif /* SERVICES_ELBV2_PLANE_H */
