/* The lxc driver: requests to the warden, in order per id, and its news. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "compute/cgroup.h"
#include "compute/compute.h"
#include "compute/links.h"
#include "compute/probes.h"
#include "warden/protocol.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 48 /* Below the warden's own limit. */
#define LINKS_FRESH_MS 200

static_assert(PROBES_SOCKETS_MAX == WARDEN_SOCKETS_MAX, "as many as the warden gives");

enum reply_kind { REPLY_DONE, REPLY_EXEC, REPLY_INVENTORY, REPLY_VPC, REPLY_SOCKETS };

struct request {
    struct request *next;
    uint64_t serial;            /* 0: not sent yet. */
    char key[COMPUTE_ID_BYTES]; /* Requests with the same key go one after the other. */
    enum reply_kind kind;
    char *bytes;
    size_t count;
    compute_done_fn *done;
    compute_exec_fn *exec_done;
    compute_inventory_fn *inventory_done;
    void *data;
};

struct lxc {
    struct compute compute; /* First. */
    uv_loop_t *loop;
    uv_poll_t poll;
    int fd;
    char site[8];
    uint64_t next_serial;
    size_t in_flight;
    struct request *requests, **last; /* In order; sent ones too, until answered. */
    char listening[COMPUTE_VPCS_MAX][COMPUTE_ID_BYTES]; /* VPCs whose listeners we have. */
    int netlinks[COMPUTE_VPCS_MAX];                     /* Of the same; -1: not yet. */
    struct link_bytes *links;                           /* Of all VPCs, when they were last read. */
    size_t link_count, link_room;
    int64_t links_read_ms;
    struct probes *probes;
    char socket_path[512];
};

static char incoming[WARDEN_MESSAGE_BYTES_MAX];

static struct lxc *lxc_of(struct compute *compute)
{
    return (struct lxc *)compute;
}

/* Sending. */

static bool key_in_flight(const struct lxc *lxc, const struct request *before)
{
    for (const struct request *r = lxc->requests; r != before; r = r->next) {
        if (strcmp(r->key, before->key) == 0) {
            return true;
        }
    }
    return false;
}

static void send_waiting(struct lxc *lxc)
{
    for (struct request *request = lxc->requests; request != NULL && lxc->in_flight < IN_FLIGHT_MAX;
         request = request->next) {
        struct warden_header *header = (struct warden_header *)(void *)request->bytes;

        if (request->serial != 0 || (request->key[0] != '\0' && key_in_flight(lxc, request))) {
            continue;
        }
        request->serial = ++lxc->next_serial;
        header->serial = request->serial;
        if (send(lxc->fd, request->bytes, request->count, MSG_NOSIGNAL) < 0) {
            if (errno == EAGAIN) {
                request->serial = 0; /* The next reply tries again. */
                return;
            }
            log_error("compute.warden reason=\"%s\"", strerror(errno));
        }
        lxc->in_flight++;
    }
}

/* Queue a request of @payload and @more; its reply functions are filled in by the caller. */
static struct request *queue(struct lxc *lxc, uint32_t op, const char *key, enum reply_kind kind,
                             const void *payload, size_t bytes, struct slice more,
                             struct slice more_still)
{
    struct request *request = mem_calloc(1, sizeof(*request));
    struct warden_header header = {.magic = WARDEN_MAGIC,
                                   .op = op,
                                   .payload_bytes =
                                       (uint32_t)(bytes + more.bytes + more_still.bytes)};
    struct buf all = {0};

    buf_add(&all, slice_of((const char *)&header, sizeof(header)));
    buf_add(&all, slice_of(payload, bytes));
    buf_add(&all, more);
    buf_add(&all, more_still);
    request->count = all.bytes;
    request->bytes = buf_take(&all);
    request->kind = kind;
    snprintf(request->key, sizeof(request->key), "%s", key);
    *lxc->last = request;
    lxc->last = &request->next;
    return request;
}

static void queue_done(struct lxc *lxc, uint32_t op, const char *key, const void *payload,
                       size_t bytes, struct slice more, struct slice more_still,
                       compute_done_fn *done, void *data)
{
    struct request *request = queue(lxc, op, key, REPLY_DONE, payload, bytes, more, more_still);

    request->done = done;
    request->data = data;
    send_waiting(lxc);
}

static void queue_id(struct compute *compute, uint32_t op, const char *id, compute_done_fn *done,
                     void *data)
{
    struct warden_id payload = {0};

    snprintf(payload.id, sizeof(payload.id), "%s", id);
    queue_done(lxc_of(compute), op, id, &payload, sizeof(payload), SLICE_EMPTY, SLICE_EMPTY, done,
               data);
}

/* The driver's functions. */

static void lxc_instance(struct compute *compute, const struct compute_instance *spec,
                         enum compute_state state, compute_done_fn *done, void *data)
{
    struct warden_instance payload = {
        .address = spec->address,
        .subnet = spec->subnet,
        .cpu_millicores = spec->cpu_millicores,
        .state = (uint32_t)state, /* The two enums agree. */
        .memory_bytes = spec->memory_bytes,
        .disk_bytes = spec->disk_bytes,
    };

    memcpy(payload.id, spec->id, sizeof(payload.id));
    memcpy(payload.vpc, spec->vpc, sizeof(payload.vpc));
    memcpy(payload.image, spec->image, sizeof(payload.image));
    memcpy(payload.mac, spec->mac, sizeof(spec->mac));
    queue_done(lxc_of(compute), WARDEN_INSTANCE, spec->id, &payload, sizeof(payload), SLICE_EMPTY,
               SLICE_EMPTY, done, data);
}

static void lxc_reboot(struct compute *compute, const char *id, compute_done_fn *done, void *data)
{
    queue_id(compute, WARDEN_REBOOT, id, done, data);
}

/* COMPUTE_VPCS_MAX: it has none. */
static size_t listening_slot(const struct lxc *lxc, const char *vpc)
{
    size_t i = 0;

    while (i < COMPUTE_VPCS_MAX && strcmp(lxc->listening[i], vpc) != 0) {
        i++;
    }
    return i;
}

static void note_listeners(struct lxc *lxc, const char *vpc, bool there)
{
    for (size_t i = 0; i < COMPUTE_VPCS_MAX; i++) {
        if (strcmp(lxc->listening[i], there ? "" : vpc) == 0) {
            if (lxc->netlinks[i] >= 0) {
                close(lxc->netlinks[i]);
            }
            lxc->netlinks[i] = -1;
            snprintf(lxc->listening[i], sizeof(lxc->listening[i]), "%s", there ? vpc : "");
            return;
        }
    }
}

static void lxc_vpc(struct compute *compute, const struct compute_vpc *vpc, compute_done_fn *done,
                    void *data)
{
    struct lxc *lxc = lxc_of(compute);
    struct warden_vpc payload = {
        .cidr = vpc->cidr,
        .subnet_count = (uint32_t)vpc->subnet_count,
        .internet = vpc->internet,
        .allow_lan = vpc->allow_lan,
        .want_listeners = listening_slot(lxc, vpc->id) == COMPUTE_VPCS_MAX,
        .group_count = vpc->rules.group_count,
        .end_count = (uint32_t)vpc->rules.end_count,
        .rule_count = (uint32_t)vpc->rules.rule_count,
    };
    struct request *request;

    memcpy(payload.id, vpc->id, sizeof(payload.id));
    memcpy(payload.subnets, vpc->subnets, sizeof(payload.subnets));
    if (payload.want_listeners) {
        note_listeners(lxc, vpc->id, true);
    }
    request = queue(
        lxc, WARDEN_VPC, vpc->id, REPLY_VPC, &payload, sizeof(payload),
        slice_of((const char *)vpc->rules.ends, vpc->rules.end_count * sizeof(struct network_end)),
        slice_of((const char *)vpc->rules.rules,
                 vpc->rules.rule_count * sizeof(struct network_rule)));
    request->done = done;
    request->data = data;
    send_waiting(lxc);
}

static void lxc_vpc_gone(struct compute *compute, const char *id, compute_done_fn *done, void *data)
{
    struct lxc *lxc = lxc_of(compute);

    note_listeners(lxc, id, false);
    for (int i = 0; i < COMPUTE_LISTENER_KINDS && lxc->compute.events.listener != NULL; i++) {
        lxc->compute.events.listener(lxc->compute.events.data, id, (enum compute_listener)i, -1);
    }
    probes_forget(lxc->probes, id);
    queue_id(compute, WARDEN_VPC_GONE, id, done, data);
}

static void lxc_image(struct compute *compute, const char *instance, const char *id,
                      compute_done_fn *done, void *data)
{
    struct warden_image payload = {0};

    snprintf(payload.instance, sizeof(payload.instance), "%s", instance);
    snprintf(payload.image, sizeof(payload.image), "%s", id);
    queue_done(lxc_of(compute), WARDEN_IMAGE, instance, &payload, sizeof(payload), SLICE_EMPTY,
               SLICE_EMPTY, done, data);
}

static void lxc_image_gone(struct compute *compute, const char *id, compute_done_fn *done,
                           void *data)
{
    queue_id(compute, WARDEN_IMAGE_GONE, id, done, data);
}

static void lxc_exec(struct compute *compute, const struct compute_exec *exec,
                     compute_exec_fn *done, void *data)
{
    struct lxc *lxc = lxc_of(compute);
    struct warden_exec payload = {.timeout_ms = exec->timeout_ms,
                                  .output_bytes_max = (uint32_t)min_i64(
                                      (int64_t)exec->output_bytes_max, WARDEN_OUTPUT_BYTES_MAX)};
    struct buf arguments = {0};
    struct request *request;

    memcpy(payload.instance, exec->instance, sizeof(payload.instance));
    for (const char *const *word = exec->argv; *word != NULL; word++) {
        buf_add(&arguments, slice_of(*word, strlen(*word) + 1));
        payload.argument_count++;
    }
    payload.argument_bytes = (uint32_t)arguments.bytes;
    payload.input_bytes = (uint32_t)exec->input.bytes;
    /* No key: a long command must not hold up a stop. */
    request = queue(lxc, WARDEN_EXEC, "", REPLY_EXEC, &payload, sizeof(payload),
                    buf_slice(&arguments), exec->input);
    request->exec_done = done;
    request->data = data;
    buf_close(&arguments);
    send_waiting(lxc);
}

static void lxc_console(struct compute *compute, const char *id, compute_exec_fn *done, void *data)
{
    struct lxc *lxc = lxc_of(compute);
    struct warden_id payload = {0};
    struct request *request;

    snprintf(payload.id, sizeof(payload.id), "%s", id);
    request = queue(lxc, WARDEN_CONSOLE, "", REPLY_EXEC, &payload, sizeof(payload), SLICE_EMPTY,
                    SLICE_EMPTY);
    request->exec_done = done;
    request->data = data;
    send_waiting(lxc);
}

static void lxc_haproxy(struct compute *compute, const struct compute_haproxy *haproxy,
                        compute_done_fn *done, void *data)
{
    struct warden_haproxy payload = {.listener_count = (uint32_t)haproxy->listener_count,
                                     .source_count = (uint32_t)haproxy->source_count,
                                     .reload = haproxy->reload,
                                     .config_bytes = (uint32_t)haproxy->config.bytes};

    memcpy(payload.id, haproxy->id, sizeof(payload.id));
    memcpy(payload.vpc, haproxy->vpc, sizeof(payload.vpc));
    memcpy(payload.sources, haproxy->sources, sizeof(payload.sources));
    for (size_t i = 0; i < haproxy->listener_count; i++) {
        payload.listeners[i].address = haproxy->listeners[i].address;
        payload.listeners[i].port = haproxy->listeners[i].port;
        payload.listeners[i].fd = haproxy->listeners[i].fd;
    }
    queue_done(lxc_of(compute), WARDEN_HAPROXY, haproxy->id, &payload, sizeof(payload),
               haproxy->config, SLICE_EMPTY, done, data);
}

static void lxc_haproxy_gone(struct compute *compute, const char *id, compute_done_fn *done,
                             void *data)
{
    queue_id(compute, WARDEN_HAPROXY_GONE, id, done, data);
}

static void lxc_inventory(struct compute *compute, compute_inventory_fn *done, void *data)
{
    struct lxc *lxc = lxc_of(compute);
    struct request *request =
        queue(lxc, WARDEN_INVENTORY, "", REPLY_INVENTORY, NULL, 0, SLICE_EMPTY, SLICE_EMPTY);

    request->inventory_done = done;
    request->data = data;
    send_waiting(lxc);
}

static void note_link(void *data, const struct link_bytes *link)
{
    struct lxc *lxc = data;

    lxc->links = mem_grow(lxc->links, lxc->link_count, &lxc->link_room, sizeof(*lxc->links));
    lxc->links[lxc->link_count++] = *link;
}

/* All are read at once, for all are asked for one after the other. */
static const struct link_bytes *link_of(struct lxc *lxc, const char *id)
{
    char name[16];

    if (time_boot_ms() - lxc->links_read_ms >= LINKS_FRESH_MS) {
        lxc->link_count = 0;
        for (size_t i = 0; i < COMPUTE_VPCS_MAX; i++) {
            if (lxc->netlinks[i] >= 0) {
                links_read(lxc->netlinks[i], note_link, lxc);
            }
        }
        lxc->links_read_ms = time_boot_ms();
    }
    snprintf(name, sizeof(name), "m%.13s", id + strlen("i-")); /* As the warden names it. */
    for (size_t i = 0; i < lxc->link_count; i++) {
        if (strcmp(lxc->links[i].name, name) == 0) {
            return &lxc->links[i];
        }
    }
    return NULL;
}

static int lxc_usage(struct compute *compute, const char *id, struct compute_usage *usage,
                     struct error *err)
{
    const struct link_bytes *link;
    struct cgroup_usage used;
    char path[128];
    int rc;

    snprintf(path, sizeof(path), "muster/i/muster-%s-%s", lxc_of(compute)->site, id);
    rc = cgroup_read(path, &used, err);
    if (rc == 0) {
        *usage = (struct compute_usage){.cpu_ns = used.cpu_ns,
                                        .throttled_ns = used.throttled_ns,
                                        .memory_bytes = used.memory_bytes};
        link = link_of(lxc_of(compute), id);
        if (link != NULL) {
            usage->received_bytes = link->received;
            usage->sent_bytes = link->sent;
        }
    }
    return rc;
}

/* The warden makes STATE/haproxy/run; musterd runs in STATE/musterd. */
static const char *lxc_haproxy_socket(struct compute *compute, const char *id)
{
    struct lxc *lxc = lxc_of(compute);
    static char path[1024];

    snprintf(path, sizeof(path), "%s/haproxy/run/%s.sock", lxc->socket_path, id);
    return path;
}

/* Probes. */

static void need_sockets(void *data, const char *vpc)
{
    struct lxc *lxc = data;
    struct warden_id payload = {0};

    snprintf(payload.id, sizeof(payload.id), "%s", vpc);
    queue(lxc, WARDEN_SOCKETS, vpc, REPLY_SOCKETS, &payload, sizeof(payload), SLICE_EMPTY,
          SLICE_EMPTY);
    send_waiting(lxc);
}

static void lxc_probe(struct compute *compute, const struct compute_probe *probe,
                      compute_probe_fn *done, void *data)
{
    probes_begin(lxc_of(compute)->probes, probe, done, data);
}

/* Replies. */

static void take_exec(const struct request *request, struct slice payload, const struct error *err)
{
    const struct warden_output *output = (const void *)payload.data;
    struct compute_result result = {0};

    if (err == NULL && payload.bytes >= sizeof(*output) &&
        payload.bytes == sizeof(*output) + output->output_bytes + output->errors_bytes) {
        result.status = output->status;
        result.output = slice_of(payload.data + sizeof(*output), output->output_bytes);
        result.errors =
            slice_of(payload.data + sizeof(*output) + output->output_bytes, output->errors_bytes);
        result.output_cut = output->output_cut;
        result.errors_cut = output->errors_cut;
    }
    request->exec_done(request->data, err == NULL ? &result : NULL, err);
}

static void take_inventory(const struct request *request, struct slice payload,
                           const struct error *err)
{
    size_t count = err == NULL ? payload.bytes / sizeof(struct warden_found) : 0;
    struct compute_found *found = mem_calloc(count + 1, sizeof(*found));
    const struct warden_found *rows = (const void *)payload.data;

    for (size_t i = 0; i < count; i++) {
        memcpy(found[i].id, rows[i].id, sizeof(found[i].id));
        found[i].id[sizeof(found[i].id) - 1] = '\0';
        found[i].state = (enum compute_state)rows[i].state;
    }
    request->inventory_done(request->data, found, count, err);
    free(found);
}

static void take_vpc(struct lxc *lxc, const struct request *request, const int *fds, size_t count,
                     const struct error *err)
{
    if (err != NULL) {
        note_listeners(lxc, request->key, false);
    }
    for (size_t i = 0; i < count; i++) {
        size_t slot =
            i == COMPUTE_LISTENER_KINDS ? listening_slot(lxc, request->key) : COMPUTE_VPCS_MAX;

        if (slot < COMPUTE_VPCS_MAX) {
            lxc->netlinks[slot] = fds[i];
        } else if (i < COMPUTE_LISTENER_KINDS && lxc->compute.events.listener != NULL) {
            lxc->compute.events.listener(lxc->compute.events.data, request->key,
                                         (enum compute_listener)i, fds[i]);
        } else {
            close(fds[i]);
        }
    }
    if (request->done != NULL) {
        request->done(request->data, err);
    }
}

static void take_reply(struct lxc *lxc, const struct warden_header *header, struct slice payload,
                       const int *fds, size_t fd_count)
{
    struct request **link = &lxc->requests;
    struct request *request;
    struct error err = {0};

    while (*link != NULL && (*link)->serial != header->serial) {
        link = &(*link)->next;
    }
    request = *link;
    if (request == NULL) {
        return; /* A second answer: the warden's deadline after the child's own. */
    }
    *link = request->next;
    if (*link == NULL) {
        lxc->last = link;
    }
    lxc->in_flight--;
    if (header->code != 0) {
        error_set(&err, (enum error_code)header->code, "%s", header->text);
    }
    switch (request->kind) {
    case REPLY_DONE:
        if (request->done != NULL) {
            request->done(request->data, header->code == 0 ? NULL : &err);
        }
        break;
    case REPLY_EXEC:
        take_exec(request, payload, header->code == 0 ? NULL : &err);
        break;
    case REPLY_INVENTORY:
        take_inventory(request, payload, header->code == 0 ? NULL : &err);
        break;
    case REPLY_VPC:
        take_vpc(lxc, request, fds, fd_count, header->code == 0 ? NULL : &err);
        break;
    case REPLY_SOCKETS:
        probes_take(lxc->probes, request->key, fds, header->code == 0 ? fd_count : 0);
        break;
    }
    free(request->bytes);
    free(request);
}

static void take_event(struct lxc *lxc, const struct warden_header *header, struct slice payload)
{
    struct warden_event event;
    const struct compute_events *events = &lxc->compute.events;

    if (payload.bytes != sizeof(event)) {
        return;
    }
    memcpy(&event, payload.data, sizeof(event));
    event.id[sizeof(event.id) - 1] = '\0';
    event.reason[sizeof(event.reason) - 1] = '\0';
    if (header->op == WARDEN_EVENT_INSTANCE && events->instance != NULL) {
        events->instance(events->data, event.id, (enum compute_state)event.state, event.reason);
    } else if (header->op == WARDEN_EVENT_HAPROXY && events->haproxy != NULL) {
        events->haproxy(events->data, event.id);
    }
}

/* One message; false when there is none. */
static bool receive(struct lxc *lxc)
{
    const struct warden_header *header = (const void *)incoming;
    union {
        char room[CMSG_SPACE(sizeof(int) * 256)];
        struct cmsghdr align;
    } control;
    struct iovec part = {incoming, sizeof(incoming)};
    struct msghdr in = {.msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control.room,
                        .msg_controllen = sizeof(control.room)};
    ssize_t got = recvmsg(lxc->fd, &in, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = got > 0 ? CMSG_FIRSTHDR(&in) : NULL;
    struct slice payload;
    int fds[256];
    size_t count = 0;

    if (got == 0) {
        log_warn("compute.warden ended: so do we");
        exit(0); /* The next warden starts the next musterd. */
    }
    if (got < 0) {
        return false;
    }
    if (cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS) {
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(cmsg), count * sizeof(int));
    }
    if ((size_t)got < sizeof(*header) || header->magic != WARDEN_MAGIC) {
        return true;
    }
    payload = slice_of(incoming + sizeof(*header), (size_t)got - sizeof(*header));
    if (header->serial == 0) {
        take_event(lxc, header, payload);
    } else {
        take_reply(lxc, header, payload, fds, count);
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct lxc *lxc = poll->data;

    (void)status;
    (void)events;
    while (receive(lxc)) {
    }
    send_waiting(lxc);
}

static void on_closed(uv_handle_t *handle)
{
    struct lxc *lxc = handle->data;

    close(lxc->fd);
    free(lxc);
}

static void lxc_close(struct compute *compute)
{
    struct lxc *lxc = lxc_of(compute);

    for (struct request *request = lxc->requests, *next; request != NULL; request = next) {
        next = request->next;
        free(request->bytes);
        free(request);
    }
    probes_close(lxc->probes);
    for (size_t i = 0; i < COMPUTE_VPCS_MAX; i++) {
        if (lxc->netlinks[i] >= 0) {
            close(lxc->netlinks[i]);
        }
    }
    free(lxc->links);
    lxc->links = NULL;
    uv_close((uv_handle_t *)&lxc->poll, on_closed);
}

static const struct compute_driver lxc_driver = {
    .name = "lxc",
    .instance = lxc_instance,
    .reboot = lxc_reboot,
    .vpc = lxc_vpc,
    .vpc_gone = lxc_vpc_gone,
    .image = lxc_image,
    .image_gone = lxc_image_gone,
    .exec = lxc_exec,
    .console = lxc_console,
    .probe = lxc_probe,
    .haproxy = lxc_haproxy,
    .haproxy_gone = lxc_haproxy_gone,
    .inventory = lxc_inventory,
    .usage = lxc_usage,
    .haproxy_socket = lxc_haproxy_socket,
    .close = lxc_close,
};

int compute_lxc_open(uv_loop_t *loop, int fd, const char *state_dir, struct compute **compute,
                     struct error *err)
{
    struct lxc *lxc = mem_calloc(1, sizeof(*lxc));
    char path[1024];
    FILE *file;
    char *slash;

    snprintf(lxc->socket_path, sizeof(lxc->socket_path), "%s", state_dir);
    slash = strrchr(lxc->socket_path, '/');
    if (slash != NULL) {
        *slash = '\0'; /* STATE/musterd -> STATE */
    }
    snprintf(path, sizeof(path), "%s/site", lxc->socket_path);
    file = fopen(path, "re");
    if (file == NULL || fgets(lxc->site, 7, file) == NULL) {
        if (file != NULL) {
            fclose(file);
        }
        free(lxc);
        return error_errno(err, "%s", path);
    }
    fclose(file);
    lxc->compute.driver = &lxc_driver;
    lxc->loop = loop;
    lxc->fd = fd;
    lxc->last = &lxc->requests;
    lxc->probes = probes_open(loop, need_sockets, lxc);
    for (size_t i = 0; i < COMPUTE_VPCS_MAX; i++) {
        lxc->netlinks[i] = -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    uv_poll_init(loop, &lxc->poll, fd);
    lxc->poll.data = lxc;
    uv_poll_start(&lxc->poll, UV_READABLE, on_readable);
    *compute = &lxc->compute;
    return 0;
}
