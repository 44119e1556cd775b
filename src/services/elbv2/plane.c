#include "services/elbv2/plane.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "compute/compute.h"
#include "network/address.h"

#include <stdlib.h>
#include <string.h>

#define SILENT_MAX 5 /* Ticks that a HAProxy may take until its socket answers. */

/* What HAProxy has. */

static void forget_servers(struct plane *plane)
{
    for (size_t i = 0; i < plane->server_count; i++) {
        free(plane->servers[i].backend);
        free(plane->servers[i].name);
    }
    plane->server_count = 0;
}

static struct plane_server *server_find(struct plane *plane, struct slice backend,
                                        struct slice name)
{
    for (size_t i = 0; i < plane->server_count; i++) {
        if (slice_equal_z(backend, plane->servers[i].backend) &&
            slice_equal_z(name, plane->servers[i].name)) {
            return &plane->servers[i];
        }
    }
    return NULL;
}

static void server_note(struct plane *plane, struct slice backend, struct slice name,
                        enum balancer_server_state state)
{
    plane->servers = mem_grow(plane->servers, plane->server_count, &plane->server_room,
                              sizeof(struct plane_server));
    plane->servers[plane->server_count++] =
        (struct plane_server){.backend = mem_strndup(backend.data, backend.bytes),
                              .name = mem_strndup(name.data, name.bytes),
                              .state = state};
}

static void note_all(struct plane *plane, const struct balancer_http *http)
{
    forget_servers(plane);
    for (size_t i = 0; i < http->backend_count; i++) {
        for (size_t j = 0; j < http->backends[i].server_count; j++) {
            const struct balancer_server *server = &http->backends[i].servers[j];

            server_note(plane, slice_z(http->backends[i].name), slice_z(server->name),
                        server->state == BALANCER_READY ? BALANCER_READY : BALANCER_MAINT);
        }
    }
}

/* Answers come late; they name their balancer. */
struct reply {
    struct control *control;
    char *balancer;
    char *what; /* The command, for the log; or backend/server. */
    char *backend, *server;
    uint64_t shape;
};

static struct reply *reply_new(const struct plane *plane)
{
    struct reply *reply = mem_calloc(1, sizeof(*reply));

    reply->control = plane->control;
    reply->balancer = mem_strdup(plane->balancer);
    return reply;
}

static void reply_free(struct reply *reply)
{
    free(reply->balancer);
    free(reply->what);
    free(reply->backend);
    free(reply->server);
    free(reply);
}

static struct load_balancer *reply_balancer(const struct reply *reply)
{
    return reply->control->elbv2 == NULL
               ? NULL
               : map_get_z(&reply->control->elbv2->balancers, reply->balancer);
}

static void sync_one(struct load_balancer *balancer);

/* A round is over; what changed meanwhile begins another. */
static void round_over(struct load_balancer *balancer)
{
    struct plane *plane = balancer->plane;

    plane->busy = false;
    if (plane->again) {
        plane->again = false;
        sync_one(balancer);
    }
}

/* Runtime commands. A refusal means that HAProxy and we disagree: a successor puts that right. */

static void on_command(void *data, struct slice answer, const struct error *err)
{
    struct reply *reply = data;
    struct load_balancer *balancer = reply_balancer(reply);

    if (balancer != NULL && (err != NULL || !balancer_accepted(answer))) {
        log_warn("haproxy-refused balancer=%s command=\"%s\" answer=\"%.*s\"", balancer->name,
                 reply->what, SLICE_ARG(err != NULL ? slice_z(err->message) : slice_trim(answer)));
        balancer->plane->reload = true;
        balancer->dirty = true; /* At the next tick. */
    }
    reply_free(reply);
}

static void command(struct plane *plane, struct buf *text)
{
    struct reply *reply = reply_new(plane);

    reply->what = mem_strdup(buf_z(text));
    balancer_socket_send(plane->socket, buf_z(text), on_command, reply);
    buf_clear(text);
}

static void on_deleted(void *data, struct slice answer, const struct error *err)
{
    struct reply *reply = data;
    struct load_balancer *balancer = reply_balancer(reply);
    struct plane *plane = balancer == NULL ? NULL : balancer->plane;
    struct plane_server *server =
        plane == NULL ? NULL : server_find(plane, slice_z(reply->backend), slice_z(reply->server));

    if (server != NULL && server->leaving && err == NULL && balancer_accepted(answer)) {
        free(server->backend);
        free(server->name);
        *server = plane->servers[--plane->server_count];
    } else if (server != NULL && server->leaving) {
        balancer->dirty = true; /* Still busy: asked again at the next tick. */
    }
    reply_free(reply);
}

static void delete_server(struct plane *plane, struct plane_server *server)
{
    struct reply *reply = reply_new(plane);
    struct buf text = {0};

    /* Its deregistration delay is over, or it is no target any more: what is under way is cut. */
    balancer_command_cut(&text, server->backend, server->name);
    buf_add_z(&text, "; ");
    balancer_command_delete(&text, server->backend, server->name);
    server->leaving = true;
    reply->backend = mem_strdup(server->backend);
    reply->server = mem_strdup(server->name);
    balancer_socket_send(plane->socket, buf_z(&text), on_deleted, reply);
    buf_close(&text);
}

static bool is_wanted(const struct balancer_http *http, const struct plane_server *server)
{
    for (size_t i = 0; i < http->backend_count; i++) {
        for (size_t j = 0; j < http->backends[i].server_count; j++) {
            if (strcmp(http->backends[i].name, server->backend) == 0 &&
                strcmp(http->backends[i].servers[j].name, server->name) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Add, change and delete until HAProxy has what is wanted. */
static void send_differences(struct plane *plane, const struct balancer_http *http)
{
    struct buf text = {0};

    for (size_t i = 0; i < http->backend_count; i++) {
        const struct balancer_backend *backend = &http->backends[i];

        for (size_t j = 0; j < backend->server_count; j++) {
            const struct balancer_server *server = &backend->servers[j];
            struct plane_server *has =
                server_find(plane, slice_z(backend->name), slice_z(server->name));

            if (has == NULL) {
                balancer_command_add(&text, backend->name, server);
                buf_add_z(&text, "; ");
                server_note(plane, slice_z(backend->name), slice_z(server->name), BALANCER_MAINT);
                has = &plane->servers[plane->server_count - 1];
            } else if (has->state == server->state && !has->leaving) {
                continue;
            }
            balancer_command_state(&text, backend->name, server->name, server->state);
            command(plane, &text);
            has->state = server->state;
            has->leaving = false;
        }
    }
    buf_close(&text);
    for (size_t i = 0; i < plane->server_count; i++) {
        if (!is_wanted(http, &plane->servers[i])) {
            delete_server(plane, &plane->servers[i]);
        }
    }
}

/* Active, or failed with a reason; inside a ctx. */

struct verdict {
    char *balancer;
    const char *reason; /* NULL: it serves. */
};

static void take_verdict(struct ctx *ctx, void *data)
{
    const struct verdict *verdict = data;
    struct load_balancer *balancer = map_get_z(&elbv2_of(ctx)->balancers, verdict->balancer);

    if (balancer == NULL) {
        return;
    }
    free(balancer->state_reason);
    balancer->state_reason = mem_strdup(verdict->reason);
    if (verdict->reason != NULL) {
        balancer->state = balancer->was_active ? STATE_ACTIVE : STATE_FAILED;
        return;
    }
    balancer->state = STATE_ACTIVE;
    if (!balancer->was_active) {
        balancer->was_active = true;
        elb_balancer_save(ctx, balancer);
        log_info("load-balancer name=%s state=active address=%s", balancer->name,
                 balancer->address);
    }
}

static void set_verdict(struct load_balancer *balancer, const char *reason)
{
    struct verdict verdict = {balancer->arn, reason};

    if (balancer->state != STATE_ACTIVE || reason != NULL || balancer->state_reason != NULL) {
        control_run(balancer->elbv2->control, take_verdict, &verdict);
    }
}

/* A HAProxy of an earlier musterd: is it of our shape, and which servers has it? */

static void note_row(void *data, const struct balancer_row *row)
{
    struct plane *plane = data;
    enum balancer_server_state state = BALANCER_READY;
    struct balancer_counters before;

    balancer_totals_take(&plane->totals, row, &before); /* An earlier musterd published it. */
    if (row->type != BALANCER_ROW_SERVER) {
        return;
    }
    if (slice_starts(row->status, SLICE_LIT("MAINT"))) {
        state = BALANCER_MAINT;
    } else if (slice_starts(row->status, SLICE_LIT("DRAIN"))) {
        state = BALANCER_DRAIN;
    }
    server_note(plane, row->proxy, row->server, state);
}

static void on_adopted(void *data, struct slice answer, const struct error *err)
{
    struct reply *reply = data;
    struct load_balancer *balancer = reply_balancer(reply);

    if (balancer != NULL) {
        struct plane *plane = balancer->plane;

        forget_servers(plane);
        if (err != NULL || balancer_stat_parse(answer, note_row, plane, NULL) != 0) {
            plane->reload = true;
        }
        plane->known = true;
        plane->silent = 0;
        plane->shape = reply->shape;
        plane->again = true; /* The differences. */
        set_verdict(balancer, NULL);
        round_over(balancer);
    }
    reply_free(reply);
}

static void on_info(void *data, struct slice answer, const struct error *err)
{
    struct reply *reply = data;
    struct load_balancer *balancer = reply_balancer(reply);
    char wanted[64];

    if (balancer == NULL) {
        reply_free(reply);
        return;
    }
    (void)snprintf(wanted, sizeof(wanted), "description: shape-%016llx",
                   (unsigned long long)reply->shape);
    if (err == NULL && answer.data != NULL && strstr(answer.data, wanted) != NULL) {
        log_info("haproxy-adopted balancer=%s", balancer->name);
        balancer_socket_send(balancer->plane->socket, "show stat", on_adopted, reply);
        return;
    }
    if (err == NULL) {
        balancer->plane->known = true; /* Known to be another. */
        balancer->plane->reload = true;
        balancer->plane->again = true;
    } else {
        balancer->dirty = true; /* At the next tick: it may be just starting. */
        if (balancer->plane->silent++ == SILENT_MAX) {
            balancer->plane->silent = 0;
            balancer->plane->reload = true;
            set_verdict(balancer, "HAProxy does not answer");
        }
    }
    reply_free(reply);
    round_over(balancer);
}

/* compute's answer: HAProxy runs with our file, or has it on disk. */

struct asked {
    struct reply *reply;
    bool fresh;  /* It was not known before: adopt. */
    bool reload; /* A successor was asked for. */
    struct arena arena;
    struct wanted wanted;
};

static void asked_free(struct asked *asked)
{
    buf_close(&asked->wanted.text);
    arena_close(&asked->arena);
    reply_free(asked->reply);
    free(asked);
}

static void serve(struct load_balancer *balancer, struct asked *asked)
{
    struct plane *plane = balancer->plane;

    plane->running = true;
    if (plane->socket == NULL) { /* The sim driver has no data plane. */
        plane->known = true;
    } else if (asked->fresh) {
        struct reply *reply = reply_new(plane);

        reply->shape = asked->wanted.shape;
        balancer_socket_send(plane->socket, "show info", on_info, reply);
        return; /* Still busy. */
    } else if (asked->reload) {
        balancer_totals_restart(&plane->totals);
        note_all(plane, &asked->wanted.http);
        plane->shape = asked->wanted.shape;
    } else {
        send_differences(plane, &asked->wanted.http);
    }
    set_verdict(balancer, NULL);
    round_over(balancer);
}

static void on_haproxy(void *data, const struct error *err)
{
    struct asked *asked = data;
    struct load_balancer *balancer = reply_balancer(asked->reply);

    if (balancer != NULL && err == NULL) {
        serve(balancer, asked);
    } else if (balancer != NULL) {
        if (balancer->state_reason == NULL || strcmp(balancer->state_reason, err->message) != 0) {
            log_error("haproxy balancer=%s error=\"%s\"", balancer->name, err->message);
        }
        balancer->plane->known = false;
        balancer->dirty = true; /* At the next tick. */
        set_verdict(balancer, err->message);
        round_over(balancer);
    }
    asked_free(asked);
}

static struct plane *plane_open(struct load_balancer *balancer)
{
    struct plane *plane = mem_calloc(1, sizeof(*plane));
    const char *slash = strrchr(balancer->arn, '/');

    plane->control = balancer->elbv2->control;
    plane->balancer = mem_strdup(balancer->arn);
    (void)snprintf(plane->id, sizeof(plane->id), "lb-%s", slash == NULL ? "" : slash + 1);
    return plane;
}

void plane_free(struct plane *plane)
{
    if (plane != NULL) {
        forget_servers(plane);
        free(plane->servers);
        free(plane->balancer);
        balancer_socket_close(plane->socket);
        balancer_totals_close(&plane->totals);
        free(plane);
    }
}

static void open_socket(struct plane *plane, struct compute *compute)
{
    const char *path = compute->driver->haproxy_socket(compute, plane->id);

    if (plane->socket == NULL && path != NULL) {
        plane->socket = balancer_socket_open(plane->control->loop, path);
    }
}

static void sync_one(struct load_balancer *balancer)
{
    struct control *control = balancer->elbv2->control;
    struct compute *compute = control->compute;
    struct plane *plane;
    struct asked *asked;

    if (compute == NULL) {
        return;
    }
    if (balancer->plane == NULL) {
        balancer->plane = plane_open(balancer);
    }
    plane = balancer->plane;
    if (plane->busy) {
        plane->again = true;
        return;
    }
    balancer->dirty = false;
    asked = mem_calloc(1, sizeof(*asked));
    asked->reply = reply_new(plane);
    if (!plane_want(balancer->elbv2, &asked->arena, balancer, &asked->wanted)) {
        /* Without a listener there is nothing to run; the balancer itself is there. */
        compute->driver->haproxy_gone(compute, plane->id, NULL, NULL);
        plane->running = plane->known = false;
        asked_free(asked);
        set_verdict(balancer, NULL);
        return;
    }
    open_socket(plane, compute);
    asked->fresh = !plane->known;
    asked->reload = plane->reload || (!asked->fresh && plane->shape != asked->wanted.shape);
    asked->wanted.spec.reload = asked->reload;
    plane->reload = false;
    plane->busy = true;
    compute->driver->haproxy(compute, &asked->wanted.spec, on_haproxy, asked);
}

void plane_sync_all(struct control *control)
{
    struct load_balancer *balancer;

    if (control->elbv2 == NULL) {
        return;
    }
    for (size_t at = 0; (balancer = map_next(&control->elbv2->balancers, &at)) != NULL;) {
        if (balancer->dirty) {
            sync_one(balancer);
        }
    }
}

static void sync_act(struct control *control, void *data)
{
    (void)data;
    plane_sync_all(control);
}

void plane_touch(struct ctx *ctx, struct load_balancer *balancer)
{
    if (!balancer->dirty) {
        balancer->dirty = true;
        ctx_after_commit(ctx, sync_act, NULL);
    }
}

static void gone_act(struct control *control, void *data)
{
    if (control->compute != NULL) {
        control->compute->driver->haproxy_gone(control->compute, data, NULL, NULL);
    }
}

void plane_drop(struct ctx *ctx, struct load_balancer *balancer)
{
    const char *slash = strrchr(balancer->arn, '/');

    ctx_after_commit(ctx, gone_act,
                     arena_strdup(ctx->arena, arena_printf(ctx->arena, "lb-%s",
                                                           slash == NULL ? "" : slash + 1)));
}

void elbv2_haproxy_ended(struct control *control, const char *id)
{
    struct load_balancer *balancer;

    for (size_t at = 0; (balancer = map_next(&control->elbv2->balancers, &at)) != NULL;) {
        if (balancer->plane != NULL && strcmp(balancer->plane->id, id) == 0) {
            if (balancer->state_reason == NULL) {
                log_warn("haproxy-ended balancer=%s", balancer->name);
            }
            balancer->plane->running = balancer->plane->known = false;
            balancer_totals_restart(&balancer->plane->totals);
            balancer->dirty = true; /* At the next tick: one that cannot live does not spin. */
        }
    }
}
