/* What musterd asks for: checked, then done in a forked child with a deadline, which also answers.
 * HAProxy alone is handled by the loop itself, because its listeners live here. */
#include "warden/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "warden/check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 64
#define EXECS_MAX 48 /* Of them: commands may last for days. */
#define FORSAKEN_MS 60000
#define DEADLINE_MS 120000
#define IMAGE_DEADLINE_MS 600000
#define FOUND_MAX 4096 /* They fit into one message. */

struct child {
    pid_t pid; /* 0: free. */
    uint64_t serial;
    uint32_t op;
    int64_t deadline_ms;
    uint32_t generation;
    char id[WARDEN_ID_BYTES]; /* The instance to watch once it runs, or that is frozen meanwhile. */
};

static struct child children[CHILDREN_MAX];
static _Alignas(16) char message[WARDEN_MESSAGE_BYTES_MAX];

char *requests_room(void)
{
    return message;
}

static struct child *free_child(uint32_t op)
{
    struct child *found = NULL;
    size_t execs = 0;

    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].pid == 0) {
            found = &children[i];
        } else {
            execs += children[i].op == WARDEN_EXEC;
        }
    }
    return op == WARDEN_EXEC && execs >= EXECS_MAX ? NULL : found;
}

/* What belongs to the warden alone must not live on in a child, nor in what it starts. */
void become_child(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    setrlimit(RLIMIT_NOFILE, &warden.files);
    setsid();
    close(warden.lock); /* Ours is the warden's as well: the next one would find it taken. */
    warden.is_child = true;
}

struct inventory {
    struct warden_found found[FOUND_MAX];
    size_t count;
};

static struct warden_found *add_found(struct inventory *inventory, const char *id)
{
    struct warden_found *found = &inventory->found[inventory->count];

    if (inventory->count == FOUND_MAX) {
        return NULL;
    }
    inventory->count++;
    snprintf(found->id, sizeof(found->id), "%s", id);
    return found;
}

static void find_instance(void *data, const char *name)
{
    struct warden_found *found = id_has(name, WARDEN_ID_BYTES, "i-") ? add_found(data, name) : NULL;

    if (found != NULL) {
        found->state = instance_state(&warden.site, name);
    }
}

static void find_vpc(void *data, const char *name)
{
    const char *id = strstr(name, "vpc-");
    struct warden_found *found =
        id != NULL && id_has(id, WARDEN_ID_BYTES, "vpc-") ? add_found(data, id) : NULL;

    if (found != NULL) {
        found->state = WARDEN_RUNNING;
    }
}

static void find_image(void *data, const char *name)
{
    struct warden_found *found = id_has(name, WARDEN_ID_BYTES, "ami-") &&
                                         strcmp(name, BASE_IMAGE) != 0 &&
                                         image_exists(&warden.site, name)
                                     ? add_found(data, name)
                                     : NULL;

    if (found != NULL) {
        found->state = WARDEN_STOPPED;
    }
}

static void do_inventory(const struct warden_header *header)
{
    static struct inventory inventory;
    char path[PATH_BYTES], prefix[64];

    site_path(&warden.site, path, "instances");
    each_name(path, "i-", find_instance, &inventory);
    site_path(&warden.site, path, "images");
    each_name(path, "ami-", find_image, &inventory);
    site_namespace(&warden.site, "vpc-", prefix);
    each_name("/run/netns", prefix, find_vpc, &inventory);
    message_send(
        header->op, header->serial, 0, "",
        slice_of((const char *)inventory.found, inventory.count * sizeof(inventory.found[0])), NULL,
        0);
}

static void do_exec(const struct warden_header *header, const char *payload)
{
    const struct warden_exec *exec = (const void *)payload;
    struct warden_output result = {0};
    struct buf output = {0}, errors = {0}, all = {0};
    struct error err = {0};

    if (instance_exec(&warden.site, exec, payload + sizeof(*exec),
                      payload + sizeof(*exec) + exec->argument_bytes, &result, &output, &errors,
                      &err) != 0) {
        message_answer(header, &err);
        return;
    }
    result.output_bytes = (uint32_t)output.bytes;
    result.errors_bytes = (uint32_t)errors.bytes;
    buf_add(&all, slice_of((const char *)&result, sizeof(result)));
    buf_add(&all, buf_slice(&output));
    buf_add(&all, buf_slice(&errors));
    message_send(header->op, header->serial, 0, "", buf_slice(&all), NULL, 0);
}

static void do_console(const struct warden_header *header, const char *payload)
{
    struct warden_output result = {0};
    struct buf text = {0}, all = {0};

    console_read(&warden.site, payload, WARDEN_OUTPUT_BYTES_MAX, &text);
    result.output_bytes = (uint32_t)text.bytes;
    buf_add(&all, slice_of((const char *)&result, sizeof(result)));
    buf_add(&all, buf_slice(&text));
    message_send(header->op, header->serial, 0, "", buf_slice(&all), NULL, 0);
}

static void do_vpc(const struct warden_header *header, const char *payload)
{
    const struct warden_vpc *vpc = (const void *)payload;
    const struct network_end *ends = (const void *)(payload + sizeof(*vpc));
    const struct network_rule *rules =
        (const void *)(payload + sizeof(*vpc) + vpc->end_count * sizeof(*ends));
    int listeners[WARDEN_VPC_LISTENERS], kept;
    struct error err = {0};

    keep_find(vpc->id, listeners);
    kept = listeners[0];
    if (vpc_ensure(&warden.site, vpc, ends, rules, listeners, &err) != 0) {
        message_answer(header, &err);
        return;
    }
    if (vpc->want_listeners && listeners[0] != kept) {
        keep_send(vpc->id, listeners);
    }
    message_send(header->op, header->serial, 0, "", SLICE_EMPTY, listeners,
                 vpc->want_listeners ? WARDEN_VPC_LISTENERS : 0);
}

static void do_sockets(const struct warden_header *header, const char *payload)
{
    int fds[WARDEN_SOCKETS_MAX];
    struct error err = {0};

    if (vpc_sockets(&warden.site, payload, fds, WARDEN_SOCKETS_MAX, &err) != 0) {
        message_answer(header, &err);
        return;
    }
    message_send(header->op, header->serial, 0, "", SLICE_EMPTY, fds, WARDEN_SOCKETS_MAX);
}

/* In the forked child. The exit status says whether it was done. */
static int serve(const struct warden_header *header, const char *payload)
{
    const struct warden_instance *instance = (const void *)payload;
    const struct warden_image *image = (const void *)payload;
    struct error err = {0};
    int rc = 0, lock;

    /* What an earlier musterd asked for may still be under way. All that is locked begins with
     * the id of what it changes. */
    if (header->op != WARDEN_EXEC && header->op != WARDEN_SOCKETS &&
        header->op != WARDEN_INVENTORY && header->op != WARDEN_CONSOLE &&
        site_lock(&warden.site, payload, &lock, &err) != 0) {
        message_answer(header, &err);
        return 1;
    }
    switch (header->op) {
    case WARDEN_INSTANCE:
        rc = instance_ensure(&warden.site, instance, &err);
        break;
    case WARDEN_REBOOT:
        rc = instance_reboot(&warden.site, payload, &err);
        break;
    case WARDEN_VPC_GONE:
        rc = vpc_gone(&warden.site, payload, &err);
        break;
    case WARDEN_IMAGE:
        rc = instance_image(&warden.site, image->instance, image->image, &err);
        break;
    case WARDEN_IMAGE_GONE:
        rc = image_gone(&warden.site, payload, &err);
        break;
    case WARDEN_VPC:
        do_vpc(header, payload);
        return 0;
    case WARDEN_EXEC:
        do_exec(header, payload);
        return 0;
    case WARDEN_CONSOLE:
        do_console(header, payload);
        return 0;
    case WARDEN_SOCKETS:
        do_sockets(header, payload);
        return 0;
    case WARDEN_INVENTORY:
        do_inventory(header);
        return 0;
    default:
        rc = error_set(&err, ERR_INTERNAL, "operation %u", header->op);
    }
    message_answer(header, rc == 0 ? NULL : &err);
    return rc == 0 ? 0 : 1;
}

static void start_child(const struct warden_header *header, const char *payload)
{
    const struct warden_instance *instance = (const void *)payload;
    const struct warden_exec *exec = (const void *)payload;
    const struct warden_image *image = (const void *)payload;
    struct child *child = free_child(header->op);
    struct error err = {0};

    if (child == NULL) {
        error_set(&err, ERR_BUSY, "the warden is busy");
        message_answer(header, &err);
        return;
    }
    *child =
        (struct child){.serial = header->serial, .op = header->op, .generation = warden.generation};
    child->deadline_ms = time_boot_ms() + (header->op == WARDEN_IMAGE  ? IMAGE_DEADLINE_MS
                                           : header->op == WARDEN_EXEC ? exec->timeout_ms + 30000
                                                                       : DEADLINE_MS);
    if (header->op == WARDEN_INSTANCE) {
        if (instance->state == WARDEN_RUNNING) {
            memcpy(child->id, instance->id, sizeof(child->id));
        } else {
            watch_end(instance->id); /* This end is wanted. */
        }
    }
    if (header->op == WARDEN_IMAGE) {
        memcpy(child->id, image->instance, sizeof(child->id));
    }
    child->pid = fork();
    if (child->pid == 0) {
        become_child();
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* The next warden must not meet us at it. */
        _exit(serve(header, payload));
    }
    if (child->pid < 0) {
        child->pid = 0;
        error_set(&err, ERR_UNAVAILABLE, "the warden cannot fork: %s", strerror(errno));
        message_answer(header, &err);
    }
}

void requests_take(size_t bytes)
{
    const struct warden_header *header = (const void *)message;
    const char *payload = message + sizeof(*header);
    struct error err = {0};

    if (!warden_check(message, bytes)) {
        log_warn("warden.refused bytes=%zu", bytes);
        if (bytes >= sizeof(*header)) {
            error_set(&err, ERR_INVALID, "the warden refuses this request");
            message_answer(header, &err);
        }
        return;
    }
    if (header->op == WARDEN_HAPROXY) {
        int rc =
            haproxy_ensure((const void *)payload, payload + sizeof(struct warden_haproxy), &err);

        message_answer(header, rc == 0 ? NULL : &err);
    } else if (header->op == WARDEN_HAPROXY_GONE) {
        haproxy_drop(payload);
        message_answer(header, NULL);
    } else {
        if (header->op == WARDEN_VPC_GONE) {
            haproxy_drop_vpc(payload);
            keep_drop(payload);
        }
        start_child(header, payload);
    }
}

static void unfreeze(const char *instance)
{
    if (fork() == 0) {
        become_child();
        instance_adopt(&warden.site, instance);
        _exit(0);
    }
}

static void on_child_ended(struct child *child, int status)
{
    struct child done = *child;

    child->pid = 0;
    if (WIFSIGNALED(status) && done.op == WARDEN_IMAGE) {
        unfreeze(done.id);
    }
    if (WIFSIGNALED(status) && done.generation == warden.generation) {
        struct warden_header header = {.op = done.op, .serial = done.serial};
        struct error err = {0};

        error_set(&err, ERR_TIMEOUT, "the warden's work took too long or was killed");
        message_answer(&header, &err);
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && done.op == WARDEN_INSTANCE &&
        done.id[0] != '\0') {
        watch_begin(done.id);
    }
}

void requests_reaped(pid_t pid, int status)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].pid == pid) {
            on_child_ended(&children[i], status);
        }
    }
}

void requests_forsaken(void)
{
    int64_t end_ms = time_boot_ms() + FORSAKEN_MS;

    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].pid > 0 && children[i].op == WARDEN_EXEC) {
            children[i].deadline_ms = min_i64(children[i].deadline_ms, end_ms);
        }
    }
}

void requests_deadlines(int64_t now_ms)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].pid > 0 && children[i].deadline_ms < now_ms) {
            kill(children[i].pid, SIGKILL);
        }
    }
}
