/* muster-warden: the entry point and the only privileged process. It starts musterd as user muster,
 * restarts it when it ends, keeps its listening socket, and does kernel work for it: each request
 * in a forked child with a deadline (setns and liblxc are process-wide). */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "http/server.h"
#include "musterd/options.h"
#include "warden/private.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 64
#define WATCHED_MAX 1024
#define HAPROXIES_MAX 128
#define DEADLINE_MS 120000
#define IMAGE_DEADLINE_MS 600000
#define BACK_OFF_MS_MIN 100
#define BACK_OFF_MS_MAX 5000
#define LISTEN_FD 10 /* In musterd. */
#define WARDEN_FD 11

struct child {
    pid_t pid; /* 0: free. */
    uint64_t serial;
    uint32_t op;
    int64_t deadline_ms;
    char id[WARDEN_ID_BYTES]; /* The instance to watch once it runs. */
};

struct watched {
    char id[WARDEN_ID_BYTES]; /* "": free. */
    int pidfd;
};

struct listener {
    uint32_t address;
    uint16_t port;
    uint16_t loopback_port;
    int fd;
};

struct haproxy {
    char id[WARDEN_ID_BYTES]; /* "": free. */
    char vpc[WARDEN_ID_BYTES];
    pid_t pid;
    struct listener listeners[WARDEN_LISTENERS_MAX];
    size_t listener_count;
};

static struct warden {
    struct site site;
    int argc;
    char **argv;
    int listen_fd, lock_fd, signal_fd;
    int socket; /* To musterd; -1 while it is down. */
    pid_t musterd;
    int64_t restart_at_ms, started_ms;
    int64_t back_off_ms;
    struct child children[CHILDREN_MAX];
    struct watched watched[WATCHED_MAX];
    struct haproxy haproxies[HAPROXIES_MAX];
    bool stopping;
} warden;

static char message[WARDEN_MESSAGE_BYTES_MAX];

/* Answers and news. */

static void send_message(uint32_t op, uint64_t serial, int code, const char *text,
                         struct slice payload, const int *fds, size_t fd_count)
{
    struct warden_header header = {.magic = WARDEN_MAGIC,
                                   .op = op,
                                   .serial = serial,
                                   .payload_bytes = (uint32_t)payload.bytes,
                                   .code = code};
    struct iovec parts[2] = {
        {&header,                         sizeof(header)},
        {(void *)(uintptr_t)payload.data, payload.bytes }
    };
    union {
        char room[CMSG_SPACE(sizeof(int) * WARDEN_SOCKETS_MAX)];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr out = {.msg_iov = parts, .msg_iovlen = payload.bytes == 0 ? 1 : 2};

    snprintf(header.text, sizeof(header.text), "%s", text);
    if (fd_count > 0) {
        struct cmsghdr *cmsg;

        out.msg_control = control.room;
        out.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        cmsg = CMSG_FIRSTHDR(&out);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
    }
    if (warden.socket >= 0 && sendmsg(warden.socket, &out, MSG_NOSIGNAL) < 0) {
        log_warn("warden.send reason=\"%s\"", strerror(errno));
    }
}

static void answer(const struct warden_header *request, const struct error *err)
{
    send_message(request->op, request->serial, err == NULL ? 0 : (int)err->code,
                 err == NULL ? "" : err->message, SLICE_EMPTY, NULL, 0);
}

static void tell_instance(const char *id, enum warden_state state, const char *reason)
{
    struct warden_event event = {.state = state};

    snprintf(event.id, sizeof(event.id), "%s", id);
    snprintf(event.reason, sizeof(event.reason), "%s", reason);
    send_message(WARDEN_EVENT_INSTANCE, 0, 0, "", slice_of((const char *)&event, sizeof(event)),
                 NULL, 0);
}

/* Watching instances: their monitor's pidfd becomes readable when they have ended. */

static void watch(const char *id)
{
    struct watched *free_row = NULL;
    int fd = instance_watch(&warden.site, id);

    for (size_t i = 0; i < WATCHED_MAX; i++) {
        if (strcmp(warden.watched[i].id, id) == 0) {
            close(warden.watched[i].pidfd);
            free_row = &warden.watched[i];
            break;
        }
        if (warden.watched[i].id[0] == '\0' && free_row == NULL) {
            free_row = &warden.watched[i];
        }
    }
    if (free_row == NULL) {
        return;
    }
    memset(free_row, 0, sizeof(*free_row));
    if (fd < 0) {
        tell_instance(id, WARDEN_STOPPED, "the container ended as it was started");
        return;
    }
    snprintf(free_row->id, sizeof(free_row->id), "%s", id);
    free_row->pidfd = fd;
}

static void unwatch(const char *id)
{
    for (size_t i = 0; i < WATCHED_MAX; i++) {
        if (strcmp(warden.watched[i].id, id) == 0 && id[0] != '\0') {
            close(warden.watched[i].pidfd);
            memset(&warden.watched[i], 0, sizeof(warden.watched[i]));
        }
    }
}

static void on_ended(struct watched *row)
{
    char id[WARDEN_ID_BYTES];

    memcpy(id, row->id, sizeof(id));
    close(row->pidfd);
    memset(row, 0, sizeof(*row));
    tell_instance(id, WARDEN_STOPPED, "the instance shut down or its processes ended");
}

/* Children. */

static struct child *free_child(void)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (warden.children[i].pid == 0) {
            return &warden.children[i];
        }
    }
    return NULL;
}

/* What belongs to the warden alone must not live on in a child, nor in what it starts. */
static void become_child(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    setsid();
}

/* HAProxy. */

static struct haproxy *find_haproxy(const char *id, bool make)
{
    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        if (strcmp(warden.haproxies[i].id, id) == 0) {
            return &warden.haproxies[i];
        }
    }
    for (size_t i = 0; make && i < HAPROXIES_MAX; i++) {
        if (warden.haproxies[i].id[0] == '\0') {
            snprintf(warden.haproxies[i].id, WARDEN_ID_BYTES, "%s", id);
            return &warden.haproxies[i];
        }
    }
    return NULL;
}

static int write_host_table(struct error *err)
{
    static struct published published[HAPROXIES_MAX * WARDEN_LISTENERS_MAX];
    size_t count = 0;
    int status = 0;
    pid_t child;

    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        const struct haproxy *haproxy = &warden.haproxies[i];

        for (size_t j = 0; haproxy->id[0] != '\0' && j < haproxy->listener_count; j++) {
            published[count++] =
                (struct published){haproxy->listeners[j].address, haproxy->listeners[j].port,
                                   haproxy->listeners[j].loopback_port};
        }
    }
    child = fork();
    if (child == 0) {
        become_child();
        _exit(host_table_write(&warden.site, published, count, NULL) == 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? 0
               : error_set(err, ERR_SYSTEM, "nft refuses the host's table");
}

/* Each (address, port) keeps its socket for as long as it is asked for. */
static int open_haproxy_listeners(struct haproxy *haproxy, const struct warden_haproxy *wanted,
                                  bool *changed, struct error *err)
{
    struct listener next[WARDEN_LISTENERS_MAX];

    for (uint32_t i = 0; i < wanted->listener_count; i++) {
        bool found = false;

        for (size_t j = 0; j < haproxy->listener_count; j++) {
            if (haproxy->listeners[j].address == wanted->listeners[i].address &&
                haproxy->listeners[j].port == wanted->listeners[i].port) {
                next[i] = haproxy->listeners[j];
                haproxy->listeners[j].fd = -1;
                found = true;
                *changed |= i != j;
                break;
            }
        }
        if (!found) {
            int rc = http_listen("127.0.0.1", 0, &next[i].fd, err);

            if (rc != 0) {
                return rc;
            }
            next[i].address = wanted->listeners[i].address;
            next[i].port = wanted->listeners[i].port;
            next[i].loopback_port = (uint16_t)http_listen_port(next[i].fd);
            *changed = true;
        }
    }
    for (size_t j = 0; j < haproxy->listener_count; j++) {
        if (haproxy->listeners[j].fd >= 0) {
            close(haproxy->listeners[j].fd);
            *changed = true;
        }
    }
    memcpy(haproxy->listeners, next, sizeof(next[0]) * wanted->listener_count);
    haproxy->listener_count = wanted->listener_count;
    return 0;
}

/* In the child: into the namespace, to user haproxy, exec. */
static void exec_haproxy(const struct haproxy *haproxy, const struct warden_haproxy *wanted,
                         pid_t old)
{
    char config[PATH_BYTES], predecessor[32];
    const char *argv[] = {"haproxy",   "-db", "-f", config, old > 0 ? "-sf" : NULL,
                          predecessor, NULL};
    struct error err;

    become_child();
    if (enter_namespace(&warden.site, wanted->vpc, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        _exit(1);
    }
    for (size_t i = 0; i < haproxy->listener_count; i++) {
        /* First above every wanted number, so that none is overwritten. */
        int high = fcntl(haproxy->listeners[i].fd, F_DUPFD, 1000);

        if (high < 0 || dup2(high, wanted->listeners[i].fd) < 0) {
            _exit(1);
        }
        close(high);
    }
    site_path(&warden.site, config, "haproxy/%s.cfg", wanted->id);
    snprintf(predecessor, sizeof(predecessor), "%d", old);
    if (setgroups(0, NULL) != 0 || setgid(warden.site.musterd_gid) != 0 ||
        setuid(warden.site.haproxy_uid) != 0) {
        _exit(1);
    }
    umask(007);
    execvp("haproxy", (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int ensure_haproxy(const struct warden_haproxy *wanted, const char *config,
                          struct error *err)
{
    struct haproxy *haproxy = find_haproxy(wanted->id, true);
    char path[PATH_BYTES], text[64];
    bool changed = false;
    pid_t old;
    int rc;

    if (haproxy == NULL) {
        return error_set(err, ERR_SYSTEM, "at most %d HAProxy processes", HAPROXIES_MAX);
    }
    memcpy(haproxy->vpc, wanted->vpc, sizeof(haproxy->vpc));
    rc = open_haproxy_listeners(haproxy, wanted, &changed, err);
    site_path(&warden.site, path, "haproxy/%s.cfg", wanted->id);
    if (rc == 0) {
        rc = write_file(path, slice_of(config, wanted->config_bytes), 0644, err);
    }
    if (rc != 0 || (haproxy->pid > 0 && !wanted->reload && !changed)) {
        return rc;
    }
    old = haproxy->pid;
    haproxy->pid = fork();
    if (haproxy->pid == 0) {
        exec_haproxy(haproxy, wanted, old);
    }
    /* For a later warden and for purge. */
    snprintf(text, sizeof(text), "%d\n", haproxy->pid);
    site_path(&warden.site, path, "haproxy/%s.pid", wanted->id);
    rc = write_file(path, slice_z(text), 0600, err);
    return rc != 0 ? rc : changed ? write_host_table(err) : 0;
}

static void drop_haproxy(const char *id)
{
    struct haproxy *haproxy = find_haproxy(id, false);
    char path[PATH_BYTES];

    if (haproxy == NULL || id[0] == '\0') {
        return;
    }
    for (size_t i = 0; i < haproxy->listener_count; i++) {
        close(haproxy->listeners[i].fd);
    }
    if (haproxy->pid > 0) {
        kill(haproxy->pid, SIGTERM);
    }
    memset(haproxy, 0, sizeof(*haproxy));
    site_path(&warden.site, path, "haproxy/%s.pid", id);
    unlink(path);
    site_path(&warden.site, path, "haproxy/%s.cfg", id);
    unlink(path);
    site_path(&warden.site, path, "haproxy/run/%s.sock", id);
    unlink(path);
    write_host_table(NULL);
}

/* What an earlier warden left running has our listeners no more: it ends when its successor starts.
 */
static void end_old_haproxies(void)
{
    char path[PATH_BYTES], line[64], comm[64];
    const char *const argv[] = {"sh", "-c", path, NULL};
    struct buf names = {0};
    struct slice rest, name;

    snprintf(path, sizeof(path), "ls '%.2000s/haproxy' | grep '\\.pid$' || true",
             warden.site.state);
    if (run_program(argv, SLICE_EMPTY, &names, NULL) != 0) {
        return;
    }
    rest = buf_slice(&names);
    while (slice_next(&rest, '\n', &name)) {
        int64_t pid;
        FILE *file;

        if (name.bytes == 0) {
            continue;
        }
        site_path(&warden.site, path, "haproxy/%.*s", SLICE_ARG(name));
        file = fopen(path, "re");
        if (file == NULL) {
            continue;
        }
        if (fgets(line, sizeof(line), file) != NULL &&
            text_to_i64(slice_trim(slice_z(line)), 2, INT32_MAX, &pid, NULL) == 0) {
            char where[64];
            FILE *named;

            snprintf(where, sizeof(where), "/proc/%lld/comm", (long long)pid);
            named = fopen(where, "re");
            if (named != NULL && fgets(comm, sizeof(comm), named) != NULL &&
                strncmp(comm, "haproxy", 7) == 0) {
                struct haproxy *haproxy;
                char id[WARDEN_ID_BYTES];

                snprintf(id, sizeof(id), "%.*s", (int)(name.bytes - 4), name.data);
                haproxy = find_haproxy(id, true);
                if (haproxy != NULL) {
                    haproxy->pid = (pid_t)pid; /* The next one gets -sf with it. */
                }
            }
            if (named != NULL) {
                fclose(named);
            }
        }
        fclose(file);
    }
    buf_close(&names);
}

/* Requests. */

static const char *text_of_id(const struct warden_header *header, const char *payload,
                              const char *prefix)
{
    const struct warden_id *id = (const struct warden_id *)(const void *)payload;

    if (header->payload_bytes != sizeof(*id) || !id_has(id->id, sizeof(id->id), prefix)) {
        return NULL;
    }
    return id->id;
}

/* Sizes, counts and ids of a request: nothing is believed. */
static bool sound(const struct warden_header *header, const char *payload)
{
    const struct warden_instance *instance = (const void *)payload;
    const struct warden_vpc *vpc = (const void *)payload;
    const struct warden_image *image = (const void *)payload;
    const struct warden_exec *exec = (const void *)payload;
    const struct warden_haproxy *haproxy = (const void *)payload;
    size_t bytes = header->payload_bytes;

    switch (header->op) {
    case WARDEN_INSTANCE:
        return bytes == sizeof(*instance) && id_has(instance->id, sizeof(instance->id), "i-") &&
               id_has(instance->vpc, sizeof(instance->vpc), "vpc-") &&
               id_has(instance->image, sizeof(instance->image), "ami-") &&
               instance->subnet.bits >= 8 && instance->subnet.bits <= 30 &&
               network_has(instance->subnet, instance->address) && instance->cpu_millicores >= 0 &&
               instance->cpu_millicores <= 1000000 && instance->memory_bytes >= 32 << 20 &&
               instance->memory_bytes <= 1LL << 50 && instance->disk_bytes >= 64 << 20 &&
               instance->disk_bytes <= 64LL << 40 && instance->state <= WARDEN_RUNNING;
    case WARDEN_REBOOT:
        return text_of_id(header, payload, "i-") != NULL;
    case WARDEN_VPC_GONE:
    case WARDEN_SOCKETS:
        return text_of_id(header, payload, "vpc-") != NULL;
    case WARDEN_IMAGE_GONE:
        return text_of_id(header, payload, "ami-") != NULL;
    case WARDEN_VPC:
        if (bytes < sizeof(*vpc) || !id_has(vpc->id, sizeof(vpc->id), "vpc-") ||
            vpc->subnet_count > WARDEN_SUBNETS_MAX || vpc->end_count > ENDS_PER_VPC_MAX ||
            vpc->rule_count > RULES_PER_VPC_MAX || vpc->group_count > GROUPS_PER_VPC_MAX ||
            bytes != sizeof(*vpc) + vpc->end_count * sizeof(struct network_end) +
                         vpc->rule_count * sizeof(struct network_rule)) {
            return false;
        }
        for (uint32_t i = 0; i < vpc->subnet_count; i++) {
            if (vpc->subnets[i].bits < 8 || vpc->subnets[i].bits > 30) {
                return false;
            }
        }
        for (uint32_t i = 0; i < vpc->end_count; i++) {
            const struct network_end *end =
                (const struct network_end *)(const void *)(payload + sizeof(*vpc)) + i;

            if ((end->instance[0] != '\0' && !id_has(end->instance, sizeof(end->instance), "i-")) ||
                end->group_count > GROUPS_PER_END_MAX) {
                return false;
            }
            for (uint16_t g = 0; g < end->group_count; g++) {
                if (end->groups[g] >= vpc->group_count) {
                    return false;
                }
            }
        }
        for (uint32_t i = 0; i < vpc->rule_count; i++) {
            const struct network_rule *rule =
                (const struct network_rule *)(const void *)(payload + sizeof(*vpc) +
                                                            vpc->end_count *
                                                                sizeof(struct network_end)) +
                i;

            if (rule->group >= vpc->group_count || rule->protocol > RULE_ICMP ||
                rule->from_port > rule->to_port || rule->peer.bits < 0 || rule->peer.bits > 32 ||
                (rule->by_group && rule->peer_group >= vpc->group_count)) {
                return false;
            }
        }
        return true;
    case WARDEN_IMAGE:
        return bytes == sizeof(*image) && id_has(image->instance, sizeof(image->instance), "i-") &&
               id_has(image->image, sizeof(image->image), "ami-");
    case WARDEN_EXEC:
        return bytes >= sizeof(*exec) && id_has(exec->instance, sizeof(exec->instance), "i-") &&
               exec->timeout_ms > 0 && exec->timeout_ms <= 48LL * 3600 * 1000 &&
               exec->output_bytes_max <= WARDEN_OUTPUT_BYTES_MAX &&
               exec->argument_bytes <= WARDEN_EXEC_BYTES_MAX && exec->argument_bytes > 0 &&
               exec->input_bytes <= WARDEN_EXEC_BYTES_MAX &&
               bytes == sizeof(*exec) + exec->argument_bytes + exec->input_bytes &&
               payload[sizeof(*exec) + exec->argument_bytes - 1] == '\0';
    case WARDEN_HAPROXY:
        if (bytes < sizeof(*haproxy) ||
            !(id_has(haproxy->id, sizeof(haproxy->id), "lb-") ||
              id_has(haproxy->id, sizeof(haproxy->id), "pub-")) ||
            !id_has(haproxy->vpc, sizeof(haproxy->vpc), "vpc-") ||
            haproxy->listener_count > WARDEN_LISTENERS_MAX ||
            haproxy->source_count > WARDEN_SUBNETS_MAX ||
            haproxy->config_bytes > WARDEN_CONFIG_BYTES_MAX ||
            bytes != sizeof(*haproxy) + haproxy->config_bytes) {
            return false;
        }
        for (uint32_t i = 0; i < haproxy->listener_count; i++) {
            if (haproxy->listeners[i].fd < WARDEN_FIRST_FD ||
                haproxy->listeners[i].fd >= WARDEN_FIRST_FD + 800 ||
                (haproxy->listeners[i].address & 0xfffe0000u) != 0x7f400000u) {
                return false; /* 127.64.0.0/15 only. */
            }
        }
        return true;
    case WARDEN_HAPROXY_GONE:
        return text_of_id(header, payload, "lb-") != NULL ||
               text_of_id(header, payload, "pub-") != NULL;
    case WARDEN_INVENTORY:
        return bytes == 0;
    default:
        return false;
    }
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
        answer(header, &err);
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
    send_message(header->op, header->serial, 0, "",
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
        answer(header, &err);
        return;
    }
    result.output_bytes = (uint32_t)output.bytes;
    result.errors_bytes = (uint32_t)errors.bytes;
    buf_add(&all, slice_of((const char *)&result, sizeof(result)));
    buf_add(&all, buf_slice(&output));
    buf_add(&all, buf_slice(&errors));
    send_message(header->op, header->serial, 0, "", buf_slice(&all), NULL, 0);
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
        answer(header, &err);
        return;
    }
    send_message(header->op, header->serial, 0, "", SLICE_EMPTY, listeners,
                 vpc->want_listeners ? 2 : 0);
}

static void do_sockets(const struct warden_header *header, const char *payload)
{
    int fds[WARDEN_SOCKETS_MAX];
    struct error err = {0};

    if (vpc_sockets(&warden.site, payload, fds, WARDEN_SOCKETS_MAX, &err) != 0) {
        answer(header, &err);
        return;
    }
    send_message(header->op, header->serial, 0, "", SLICE_EMPTY, fds, WARDEN_SOCKETS_MAX);
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
    answer(header, rc == 0 ? NULL : &err);
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
        answer(header, &err);
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
            unwatch(instance->id); /* This end is wanted. */
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
        answer(header, &err);
    }
}

static void on_request(size_t bytes)
{
    const struct warden_header *header = (const void *)message;
    const char *payload = message + sizeof(*header);
    struct error err = {0};

    if (bytes < sizeof(*header) || header->magic != WARDEN_MAGIC ||
        header->payload_bytes != bytes - sizeof(*header) || !sound(header, payload)) {
        log_warn("warden.refused bytes=%zu", bytes);
        if (bytes >= sizeof(*header)) {
            error_set(&err, ERR_INVALID, "the warden refuses this request");
            answer(header, &err);
        }
        return;
    }
    if (header->op == WARDEN_HAPROXY) {
        int rc =
            ensure_haproxy((const void *)payload, payload + sizeof(struct warden_haproxy), &err);

        answer(header, rc == 0 ? NULL : &err);
    } else if (header->op == WARDEN_HAPROXY_GONE) {
        drop_haproxy(payload);
        answer(header, NULL);
    } else {
        start_child(header, payload);
    }
}

/* musterd. */

static void start_musterd(void)
{
    static char listen_variable[32], warden_variable[32];
    char program[PATH_BYTES], state[PATH_BYTES];
    int pair[2];
    ssize_t length;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        log_error("warden.socketpair reason=\"%s\"", strerror(errno));
        return;
    }
    length = readlink("/proc/self/exe", program, sizeof(program) - 32);
    ASSERT(length > 0);
    program[length] = '\0';
    *strrchr(program, '/') = '\0';
    if (strlen(program) > 7 && strcmp(program + strlen(program) - 7, "/warden") == 0) {
        *strrchr(program, '/') = '\0'; /* In the build directory. */
        strcat(program, "/musterd");
    }
    strcat(program, "/musterd");
    site_path(&warden.site, state, "musterd");
    warden.started_ms = time_boot_ms();
    warden.musterd = fork();
    if (warden.musterd == 0) {
        char **argv = mem_calloc((size_t)warden.argc + 4, sizeof(char *));
        int count = 0;

        become_child();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < warden.argc; i++) {
            argv[count++] = warden.argv[i];
        }
        argv[0] = program;
        argv[count++] = (char *)(uintptr_t) "--state-dir";
        argv[count++] = state;
        snprintf(listen_variable, sizeof(listen_variable), "%d", LISTEN_FD);
        snprintf(warden_variable, sizeof(warden_variable), "%d", WARDEN_FD);
        setenv("MUSTERD_LISTEN_FD", listen_variable, 1);
        setenv("MUSTERD_WARDEN_FD", warden_variable, 1);
        if (dup2(warden.listen_fd, 200) < 0 || dup2(pair[1], 201) < 0 || dup2(200, LISTEN_FD) < 0 ||
            dup2(201, WARDEN_FD) < 0 || close_range(WARDEN_FD + 1, ~0U, 0) != 0 ||
            setgroups(0, NULL) != 0 || setgid(warden.site.musterd_gid) != 0 ||
            setuid(warden.site.musterd_uid) != 0) {
            _exit(126);
        }
        execv(program, argv);
        fprintf(stderr, "muster-warden: %s: %s\n", program, strerror(errno));
        _exit(127);
    }
    close(pair[1]);
    warden.socket = pair[0];
}

static void on_musterd_ended(int status)
{
    int64_t ran_ms = time_boot_ms() - warden.started_ms;

    close(warden.socket);
    warden.socket = -1;
    warden.musterd = 0;
    if (WIFEXITED(status) &&
        (WEXITSTATUS(status) == 2 || (WEXITSTATUS(status) == 1 && ran_ms < 500))) {
        warden.stopping = true; /* It said why; another try would say the same. */
        return;
    }
    warden.back_off_ms =
        ran_ms > 10000 ? BACK_OFF_MS_MIN : min_i64(warden.back_off_ms * 2, BACK_OFF_MS_MAX);
    warden.restart_at_ms = time_boot_ms() + warden.back_off_ms;
    log_warn("musterd.ended status=%d restart_in_ms=%lld", status, (long long)warden.back_off_ms);
}

static void on_child_ended(struct child *child, int status)
{
    struct child done = *child;

    child->pid = 0;
    if (WIFSIGNALED(status)) {
        struct warden_header header = {.op = done.op, .serial = done.serial};
        struct error err = {0};

        error_set(&err, ERR_TIMEOUT, "the warden's work took too long or was killed");
        answer(&header, &err);
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && done.id[0] != '\0') {
        watch(done.id);
    }
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == warden.musterd) {
            on_musterd_ended(status);
            continue;
        }
        for (size_t i = 0; i < CHILDREN_MAX; i++) {
            if (warden.children[i].pid == pid) {
                on_child_ended(&warden.children[i], status);
            }
        }
        for (size_t i = 0; i < HAPROXIES_MAX; i++) {
            if (warden.haproxies[i].id[0] != '\0' && warden.haproxies[i].pid == pid) {
                struct warden_event event = {0};

                warden.haproxies[i].pid = 0;
                memcpy(event.id, warden.haproxies[i].id, sizeof(event.id));
                log_warn("haproxy.ended id=%s status=%d", event.id, status);
                send_message(WARDEN_EVENT_HAPROXY, 0, 0, "",
                             slice_of((const char *)&event, sizeof(event)), NULL, 0);
            }
        }
    }
}

static void enforce_deadlines(void)
{
    int64_t now_ms = time_boot_ms();

    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        if (warden.children[i].pid > 0 && warden.children[i].deadline_ms < now_ms) {
            kill(warden.children[i].pid, SIGKILL);
        }
    }
    if (warden.musterd == 0 && !warden.stopping && now_ms >= warden.restart_at_ms) {
        start_musterd();
    }
}

static void on_signal(void)
{
    struct signalfd_siginfo info;

    while (read(warden.signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap();
        } else {
            log_info("warden.stopping signal=%u", info.ssi_signo);
            warden.stopping = true;
        }
    }
}

static void loop(void)
{
    static struct pollfd fds[WATCHED_MAX + 2];
    static size_t rows[WATCHED_MAX + 2];

    while (!warden.stopping) {
        size_t count = 2;

        enforce_deadlines();
        fds[0] = (struct pollfd){.fd = warden.signal_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = warden.socket, .events = POLLIN};
        for (size_t i = 0; i < WATCHED_MAX; i++) {
            if (warden.watched[i].id[0] != '\0') {
                fds[count] = (struct pollfd){.fd = warden.watched[i].pidfd, .events = POLLIN};
                rows[count++] = i;
            }
        }
        if (poll(fds, count, 200) <= 0) {
            continue;
        }
        for (size_t i = 2; i < count; i++) {
            if (fds[i].revents != 0) {
                on_ended(&warden.watched[rows[i]]);
            }
        }
        if ((fds[1].revents & (POLLIN | POLLHUP)) != 0 && warden.socket >= 0) {
            ssize_t bytes = recv(warden.socket, message, sizeof(message), MSG_DONTWAIT);

            if (bytes > 0) {
                on_request((size_t)bytes);
            }
        }
        if (fds[0].revents != 0) {
            on_signal();
        }
    }
}

/* The end of the warden is musterd's end; instances and haproxy go on. */
static void stop_musterd(void)
{
    if (warden.musterd > 0) {
        kill(warden.musterd, SIGTERM);
        for (int i = 0; i < 100 && waitpid(warden.musterd, NULL, WNOHANG) == 0; i++) {
            usleep(50000);
        }
        kill(warden.musterd, SIGKILL);
    }
}

/* The start. */

static int claim(struct error *err)
{
    char path[PATH_BYTES];

    site_path(&warden.site, path, "lock");
    warden.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (warden.lock_fd < 0) {
        return error_errno(err, "%s", path);
    }
    if (flock(warden.lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return error_set(err, ERR_CONFIG,
                         "another muster-warden runs on %s; stop it, or choose another --state-dir",
                         warden.site.state);
    }
    return 0;
}

static void adopt(void)
{
    char path[PATH_BYTES];
    const char *const argv[] = {"ls", path, NULL};
    struct buf names = {0};
    struct slice rest, name;

    site_path(&warden.site, path, "instances");
    if (run_program(argv, SLICE_EMPTY, &names, NULL) == 0) {
        rest = buf_slice(&names);
        while (slice_next(&rest, '\n', &name)) {
            char id[WARDEN_ID_BYTES];

            snprintf(id, sizeof(id), "%.*s", SLICE_ARG(name));
            if (id_has(id, sizeof(id), "i-") &&
                instance_state(&warden.site, id) == WARDEN_RUNNING) {
                watch(id);
            }
        }
    }
    buf_close(&names);
    end_old_haproxies();
}

/* Systemd instances take three inotify instances each, all of root's: the first wall (128). */
static void raise_limits(void)
{
    static const char file[] = "/proc/sys/fs/inotify/max_user_instances";
    char text[32] = "", path[PATH_BYTES];
    int64_t now = 0;
    FILE *stream = fopen(file, "re");

    if (stream != NULL) {
        if (fgets(text, sizeof(text), stream) == NULL) {
            text[0] = '\0';
        }
        fclose(stream);
    }
    if (text_to_i64(slice_trim(slice_z(text)), 0, INT64_MAX, &now, NULL) != 0 || now >= 4096) {
        return;
    }
    site_path(&warden.site, path, "inotify.before");
    if (access(path, F_OK) != 0) {
        write_file(path, slice_z(text), 0600, NULL); /* Purge puts it back. */
    }
    stream = fopen(file, "we");
    if (stream != NULL) {
        fputs("4096\n", stream);
        fclose(stream);
    }
}

static int run(struct options *options, struct error *err)
{
    sigset_t mask;
    int rc;

    if (geteuid() != 0) {
        return error_set(err, ERR_CONFIG,
                         "real containers need root (sudo muster-warden ...); without it: musterd "
                         "--compute sim");
    }
    rc = site_open(&warden.site, options->state_dir, true, err);
    if (rc == 0) {
        rc = claim(err);
    }
    if (rc == 0) {
        rc = rootfs_prepare_base(&warden.site, err);
    }
    if (rc == 0) {
        rc = http_listen(options->listen_address, options->listen_port, &warden.listen_fd, err);
    }
    if (rc != 0) {
        return rc;
    }
    raise_limits();
    warden.site.region = options->region;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    warden.signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    warden.socket = -1;
    warden.back_off_ms = BACK_OFF_MS_MIN;
    adopt();
    {
        char link[PATH_BYTES];

        site_path(&warden.site, link, "credentials");
        if (symlink("musterd/credentials", link) != 0 && errno != EEXIST) {
            return error_errno(err, "%s", link);
        }
    }
    loop();
    stop_musterd();
    return 0;
}

static int purge(const char *state_dir, struct error *err)
{
    struct site site = {0};
    int rc;

    if (geteuid() != 0) {
        return error_set(err, ERR_CONFIG, "purging needs root");
    }
    rc = site_open(&site, state_dir, false, err);
    if (rc == ERR_NOT_FOUND) {
        printf("nothing to purge in %s\n", state_dir);
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    return purge_site(&site) ? 0 : error_set(err, ERR_SYSTEM, "something is left in %s", state_dir);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    bool purging = false;
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--purge") == 0) {
            purging = true;
            memmove(&argv[i], &argv[i + 1], (size_t)(argc - i) * sizeof(*argv));
            argc--;
            i--;
        }
    }
    rc = options_read(argc, argv, &options, &err);
    if (rc == 0 && options.help) {
        options_help(stdout);
        printf("\nmuster-warden --purge [--state-dir DIR] removes all that was made there.\n");
        return 0;
    }
    if (rc == 0 && options.version) {
        printf("muster-warden " MUSTER_VERSION "\n");
        return 0;
    }
    if (rc == 0) {
        warden.argc = argc;
        warden.argv = argv;
        rc = purging ? purge(options.state_dir, &err) : run(&options, &err);
    }
    if (rc != 0) {
        fprintf(stderr, "muster-warden: %s\n", err.message);
    }
    options_close(&options);
    return rc == 0 ? 0 : rc == ERR_CONFIG ? 2 : 1;
}
