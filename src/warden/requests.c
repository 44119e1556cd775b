/* What musterd asks for: checked, then done in a forked child with a deadline, which also answers.
 * HAProxy alone is handled by the loop itself, because its listeners live here. */
#include "warden/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "warden/check.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 64
#define DEADLINE_MS 120000
#define IMAGE_DEADLINE_MS 600000

struct child {
    pid_t pid; /* 0: free. */
    uint64_t serial;
    uint32_t op;
    int64_t deadline_ms;
    char id[WARDEN_ID_BYTES]; /* The instance to watch once it runs. */
};

static struct child children[CHILDREN_MAX];
static _Alignas(16) char message[WARDEN_MESSAGE_BYTES_MAX];

char *requests_room(void)
{
    return message;
}

static struct child *free_child(void)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].pid == 0) {
            return &children[i];
        }
    }
    return NULL;
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
    setsid();
}

static void do_inventory(const struct warden_header *header)
{
    static struct warden_found found[WATCHED_MAX];
    char path[PATH_BYTES];
    const char *const argv[] = {"ls", path, NULL};
    struct buf names = {0};
    struct slice rest, name;
    size_t count = 0;
    struct error err = {0};

    site_path(&warden.site, path, "instances");
    if (run_program(argv, SLICE_EMPTY, &names, &err) != 0) {
        message_answer(header, &err);
        return;
    }
    rest = buf_slice(&names);
    while (slice_next(&rest, '\n', &name) && count < WATCHED_MAX) {
        if (slice_starts(name, SLICE_LIT("i-")) && name.bytes < WARDEN_ID_BYTES) {
            snprintf(found[count].id, WARDEN_ID_BYTES, "%.*s", SLICE_ARG(name));
            found[count].state = instance_state(&warden.site, found[count].id);
            count++;
        }
    }
    message_send(header->op, header->serial, 0, "",
                 slice_of((const char *)found, count * sizeof(found[0])), NULL, 0);
    buf_close(&names);
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

static void do_vpc(const struct warden_header *header, const char *payload)
{
    const struct warden_vpc *vpc = (const void *)payload;
    const struct network_end *ends = (const void *)(payload + sizeof(*vpc));
    const struct network_rule *rules =
        (const void *)(payload + sizeof(*vpc) + vpc->end_count * sizeof(*ends));
    int listeners[2] = {-1, -1};
    struct error err = {0};

    if (vpc_ensure(&warden.site, vpc, ends, rules, listeners, &err) != 0) {
        message_answer(header, &err);
        return;
    }
    message_send(header->op, header->serial, 0, "", SLICE_EMPTY, listeners,
                 vpc->want_listeners ? 2 : 0);
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
    char path[PATH_BYTES];
    struct error err = {0};
    int rc = 0;

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
        site_path(&warden.site, path, "images/%s", payload);
        remove_tree(path);
        break;
    case WARDEN_VPC:
        do_vpc(header, payload);
        return 0;
    case WARDEN_EXEC:
        do_exec(header, payload);
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
    struct child *child = free_child();
    struct error err = {0};

    if (child == NULL) {
        error_set(&err, ERR_BUSY, "the warden is busy");
        message_answer(header, &err);
        return;
    }
    *child = (struct child){.serial = header->serial, .op = header->op};
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
    child->pid = fork();
    if (child->pid == 0) {
        become_child();
        _exit(serve(header, payload));
    }
    if (child->pid < 0) {
        child->pid = 0;
        error_errno(&err, "fork");
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
        start_child(header, payload);
    }
}

static void on_child_ended(struct child *child, int status)
{
    struct child done = *child;

    child->pid = 0;
    if (WIFSIGNALED(status)) {
        struct warden_header header = {.op = done.op, .serial = done.serial};
        struct error err = {0};

        error_set(&err, ERR_TIMEOUT, "the warden's work took too long or was killed");
        message_answer(&header, &err);
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && done.id[0] != '\0') {
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

void requests_deadlines(int64_t now_ms)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].pid > 0 && children[i].deadline_ms < now_ms) {
            kill(children[i].pid, SIGKILL);
        }
    }
}
