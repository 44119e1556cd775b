/* What a load balancer's HAProxy is to be: from its listeners, target groups and their targets. */
#include "services/elbv2/plane.h"

#include "base/buf.h"
#include "compute/compute.h"
#include "network/address.h"

#include <stdio.h>
#include <string.h>

#define FD_FIRST 100         /* The inherited listeners' numbers: 100, 101, ... */
#define CONNECTIONS_MAX 4000 /* Two descriptors each: below the usual hard limit of 20000. */
#define HARD_STOP_S_MIN 30

const char *plane_backend_name(struct arena *arena, const struct target_group *group)
{
    const char *slash = strrchr(group->arn, '/');

    return arena_printf(arena, "tg-%s", slash == NULL ? group->arn : slash + 1).data;
}

static uint64_t hash(struct slice text) /* FNV-1a */
{
    uint64_t value = 14695981039346656037u;

    for (size_t i = 0; i < text.bytes; i++) {
        value = (value ^ (unsigned char)text.data[i]) * 1099511628211u;
    }
    return value;
}

/* Does the group have healthy targets? Else all get requests: AWS fails open. */
static bool any_healthy(const struct target_group *group)
{
    for (size_t i = 0; i < group->targets_count; i++) {
        if (group->targets[i]->shown == ELBV2_HEALTHY) {
            return true;
        }
    }
    return false;
}

static bool server_state(const struct target *target, bool fail_open,
                         enum balancer_server_state *state)
{
    switch (target->shown) {
    case ELBV2_HEALTHY:
        *state = BALANCER_READY;
        return true;
    case ELBV2_DRAINING:
        *state = BALANCER_DRAIN;
        return true;
    case ELBV2_INITIAL:
    case ELBV2_UNHEALTHY:
    case ELBV2_UNAVAILABLE:
        *state = fail_open ? BALANCER_READY : BALANCER_MAINT;
        return true;
    case ELBV2_UNUSED:
    case ELBV2_ABSENT:
        break;
    }
    return false;
}

static struct balancer_backend backend_of(struct elbv2 *elbv2, struct arena *arena,
                                          const struct target_group *group)
{
    struct balancer_server *servers =
        arena_calloc(arena, group->targets_count + 1, sizeof(*servers));
    struct balancer_backend backend = {.name = plane_backend_name(arena, group),
                                       .servers = servers};
    bool fail_open = !any_healthy(group);

    backend.least_connections = strcmp(elb_group_attribute(group, "load_balancing.algorithm.type"),
                                       "least_outstanding_requests") == 0;
    backend.slow_start_s = (int32_t)elb_group_number(group, "slow_start.duration_seconds");
    if (strcmp(elb_group_attribute(group, "stickiness.enabled"), "true") == 0) {
        bool by_app = strcmp(elb_group_attribute(group, "stickiness.type"), "app_cookie") == 0;

        backend.sticky_s =
            (int32_t)elb_group_number(group, by_app ? "stickiness.app_cookie.duration_seconds"
                                                    : "stickiness.lb_cookie.duration_seconds");
        backend.sticky_cookie =
            by_app ? elb_group_attribute(group, "stickiness.app_cookie.cookie_name") : NULL;
    }
    for (size_t i = 0; i < group->targets_count; i++) {
        const struct target *target = group->targets[i];
        struct balancer_server *server = &servers[backend.server_count];

        server->address = elb_target_address(elbv2, target);
        if (server->address == NULL || !server_state(target, fail_open, &server->state)) {
            continue;
        }
        server->name = arena_printf(arena, "%s-%d", target->id, target->port).data;
        server->port = target->port;
        backend.server_count++;
    }
    return backend;
}

/* Servers of such a backend cannot come and go at run time: their cookie or ramp is set when the
 * file is read. */
static bool is_static(const struct balancer_backend *backend)
{
    return backend->sticky_s != 0 || backend->slow_start_s != 0;
}

static void want_listener(struct elbv2 *elbv2, struct arena *arena,
                          const struct load_balancer *balancer, const struct listener *listener,
                          struct wanted *wanted, struct balancer_listener *to)
{
    const struct action *action = &listener->actions[listener->actions_count - 1];
    struct balancer_choice *choices =
        arena_calloc(arena, action->shares_count + 1, sizeof(*choices));
    size_t at = wanted->spec.listener_count++;

    (void)address_parse(slice_z(balancer->address), &wanted->spec.listeners[at].address, NULL);
    wanted->spec.listeners[at].port = (uint16_t)listener->port;
    wanted->spec.listeners[at].fd = FD_FIRST + (int32_t)at;
    *to = (struct balancer_listener){.name = arena_printf(arena, "l%d", listener->port).data,
                                     .fd = FD_FIRST + (int32_t)at,
                                     .port = listener->port,
                                     .status = action->status,
                                     .content_type = action->content_type,
                                     .body = action->body,
                                     .protocol = action->protocol,
                                     .host = action->host,
                                     .to_port = action->port,
                                     .path = action->path,
                                     .query = action->query,
                                     .choices = choices};
    to->action = action->type == ACTION_FORWARD    ? BALANCER_FORWARD
                 : action->type == ACTION_REDIRECT ? BALANCER_REDIRECT
                                                   : BALANCER_FIXED;
    for (size_t i = 0; i < action->shares_count; i++) {
        const struct target_group *group = map_get_z(&elbv2->groups, action->shares[i].group);

        if (group != NULL) {
            choices[to->choice_count++] = (struct balancer_choice){plane_backend_name(arena, group),
                                                                   action->shares[i].weight};
        }
    }
}

static void want_sources(struct elbv2 *elbv2, const struct load_balancer *balancer,
                         struct wanted *wanted, const char **first)
{
    for (size_t i = 0; i < balancer->zones_count && i < COMPUTE_SUBNETS_MAX; i++) {
        const struct ec2_interface *interface =
            ec2_interface_find(elbv2->control, balancer->zones[i].interface);

        if (interface == NULL || interface->address == NULL) {
            continue;
        }
        if (*first == NULL) {
            *first = interface->address;
        }
        (void)address_parse(slice_z(interface->address),
                            &wanted->spec.sources[wanted->spec.source_count++], NULL);
    }
}

/* The shape: everything but the servers that the runtime socket can handle. */
static uint64_t shape_of(const struct balancer_http *http, struct arena *arena)
{
    struct balancer_http bare = *http;
    struct balancer_backend *backends =
        arena_calloc(arena, http->backend_count + 1, sizeof(*backends));
    struct buf text = {0};
    uint64_t shape;

    for (size_t i = 0; i < http->backend_count; i++) {
        backends[i] = http->backends[i];
        if (!is_static(&backends[i])) {
            backends[i].server_count = 0;
        }
    }
    bare.backends = backends;
    balancer_write_http(&text, &bare);
    shape = hash(buf_slice(&text));
    buf_close(&text);
    return shape;
}

/* By port, so that a restart asks for what there is already. */
static const struct listener *next_listener(struct elbv2 *elbv2,
                                            const struct load_balancer *balancer, int64_t port)
{
    const struct listener *listener, *next = NULL;

    for (size_t at = 0; (listener = map_next(&elbv2->listeners, &at)) != NULL;) {
        if (strcmp(listener->balancer, balancer->arn) == 0 && listener->port > port &&
            (next == NULL || listener->port < next->port)) {
            next = listener;
        }
    }
    return next;
}

bool plane_want(struct elbv2 *elbv2, struct arena *arena, const struct load_balancer *balancer,
                struct wanted *wanted)
{
    struct balancer_listener *listeners =
        arena_calloc(arena, COMPUTE_LISTENERS_MAX, sizeof(*listeners));
    struct balancer_backend *backends =
        arena_calloc(arena, elbv2->groups.count + 1, sizeof(*backends));
    struct compute *compute = elbv2->control->compute;
    struct balancer_http *http = &wanted->http;
    const struct listener *listener;
    const struct target_group *group;
    int64_t hard_stop_s = HARD_STOP_S_MIN;
    int64_t port = 0;

    (void)snprintf(wanted->spec.id, sizeof(wanted->spec.id), "%s", balancer->plane->id);
    (void)snprintf(wanted->spec.vpc, sizeof(wanted->spec.vpc), "%s", balancer->vpc);
    want_sources(elbv2, balancer, wanted, &http->source);
    while (wanted->spec.listener_count < COMPUTE_LISTENERS_MAX &&
           (listener = next_listener(elbv2, balancer, port)) != NULL) {
        port = listener->port;
        want_listener(elbv2, arena, balancer, listener, wanted,
                      &listeners[wanted->spec.listener_count]);
    }
    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        if (elb_group_balancer(elbv2, group->arn) == balancer) {
            backends[http->backend_count++] = backend_of(elbv2, arena, group);
            hard_stop_s = max_i64(hard_stop_s,
                                  elb_group_number(group, "deregistration_delay.timeout_seconds"));
        }
    }
    http->socket = compute->driver->haproxy_socket(compute, balancer->plane->id);
    http->socket = http->socket == NULL ? "/dev/null" : http->socket; /* The sim driver's. */
    http->connections_max = CONNECTIONS_MAX;
    http->hard_stop_s = (int32_t)hard_stop_s;
    http->idle_timeout_s = (int32_t)elb_balancer_number(balancer, "idle_timeout.timeout_seconds");
    http->client_keep_alive_s = (int32_t)elb_balancer_number(balancer, "client_keep_alive.seconds");
    http->preserve_host =
        strcmp(elb_balancer_attribute(balancer, "routing.http.preserve_host_header.enabled"),
               "true") == 0;
    http->client_port =
        strcmp(elb_balancer_attribute(balancer, "routing.http.xff_client_port.enabled"), "true") ==
        0;
    http->forwarded_for =
        elb_balancer_attribute(balancer, "routing.http.xff_header_processing.mode");
    http->listeners = listeners;
    http->listener_count = wanted->spec.listener_count;
    http->backends = backends;
    wanted->shape = shape_of(http, arena);
    http->description =
        arena_printf(arena, "shape-%016llx", (unsigned long long)wanted->shape).data;
    balancer_write_http(&wanted->text, http);
    wanted->spec.config = buf_slice(&wanted->text);
    return wanted->spec.listener_count != 0;
}
