/* HAProxy: one process per load balancer, inside its VPC's namespace, unprivileged. Its listeners
 * are opened here, in the host's namespace, and inherited, so that a successor loses nothing. A
 * new warden fetches them back out of the process that an earlier one started. */
#include "warden/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "http/server.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One that ends sooner than this could not start, or cannot live: it is held back, longer each
 * time. musterd hears of the end only then, and asks again. */
#define SETTLED_MS 10000
#define HOLD_MS_MIN 200
#define HOLD_MS_MAX 10000

struct listener {
    uint32_t address;
    uint16_t port;
    uint16_t loopback_port;
    int fd;
    int inherited; /* Its number in HAProxy. */
};

struct haproxy {
    char id[WARDEN_ID_BYTES]; /* "": free. */
    char vpc[WARDEN_ID_BYTES];
    struct process process;     /* pid 0: down. */
    struct process predecessor; /* Ends with its last connection. */
    int pidfd;                  /* Of an adopted one; else -1: our children are waited for. */
    int64_t started_ms;         /* By the boot clock; 0: adopted. */
    int64_t held_until_ms;      /* Not started before. */
    uint32_t failures;          /* In a row. */
    bool untold;                /* musterd has not heard of its end yet. */
    struct listener listeners[WARDEN_LISTENERS_MAX];
    size_t listener_count;
};

static struct haproxy haproxies[HAPROXIES_MAX];

static struct haproxy *find_haproxy(const char *id, bool make)
{
    for (size_t i = 0; id[0] != '\0' && i < HAPROXIES_MAX; i++) {
        if (strcmp(haproxies[i].id, id) == 0) {
            return &haproxies[i];
        }
    }
    for (size_t i = 0; make && i < HAPROXIES_MAX; i++) {
        if (haproxies[i].id[0] == '\0') {
            haproxies[i] = (struct haproxy){.pidfd = -1};
            snprintf(haproxies[i].id, WARDEN_ID_BYTES, "%s", id);
            return &haproxies[i];
        }
    }
    return NULL;
}

static int write_host_table(struct error *err)
{
    static struct published published[HAPROXIES_MAX * WARDEN_LISTENERS_MAX];
    size_t count = 0;
    pid_t child;

    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        const struct haproxy *haproxy = &haproxies[i];

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
    return process_wait(child) == 0 ? 0
                                    : error_set(err, ERR_SYSTEM, "nft refuses the host's table");
}

/* The record of what runs, for a later warden and for purge: "pid start vpc", then a line for each
 * listener: "address port loopback-port descriptor". */

static int write_record(const struct haproxy *haproxy, struct error *err)
{
    struct buf text = {0};
    char path[PATH_BYTES];
    int rc;

    buf_printf(&text, "%d %lld %s\n", haproxy->process.pid, (long long)haproxy->process.start,
               haproxy->vpc);
    for (size_t i = 0; i < haproxy->listener_count; i++) {
        const struct listener *listener = &haproxy->listeners[i];

        buf_printf(&text, "%u %u %u %d\n", listener->address, listener->port,
                   listener->loopback_port, listener->inherited);
    }
    site_path(&warden.site, path, "haproxy/%s.pid", haproxy->id);
    rc = write_file(path, buf_slice(&text), 0600, err);
    buf_close(&text);
    return rc;
}

/* A listener comes back if the descriptor of the running process is the socket that we noted. */
static void fetch_listener(struct haproxy *haproxy, const char *line)
{
    struct listener *listener = &haproxy->listeners[haproxy->listener_count];
    unsigned address, port, loopback;
    int inherited;

    if (haproxy->listener_count == WARDEN_LISTENERS_MAX ||
        sscanf(line, "%u %u %u %d", &address, &port, &loopback, &inherited) != 4) {
        return;
    }
    *listener = (struct listener){address, (uint16_t)port, (uint16_t)loopback, -1, inherited};
    listener->fd = (int)syscall(SYS_pidfd_getfd, haproxy->pidfd, inherited, 0);
    if (listener->fd < 0 || http_listen_port(listener->fd) != listener->loopback_port) {
        log_warn("haproxy.listener id=%s port=%u lost", haproxy->id, port);
        if (listener->fd >= 0) {
            close(listener->fd);
        }
        return; /* Asked for again, it is opened anew and a successor gets it. */
    }
    haproxy->listener_count++;
}

static void adopt_one(void *data, const char *name)
{
    char path[PATH_BYTES], line[128], id[WARDEN_ID_BYTES], vpc[WARDEN_ID_BYTES];
    struct process process = {0};
    const char *dot = strchr(name, '.');
    struct haproxy *haproxy = NULL;
    long long start = -1;
    FILE *file;

    (void)data;
    if (dot == NULL || strcmp(dot, ".pid") != 0 || dot - name >= (ptrdiff_t)sizeof(id)) {
        return;
    }
    snprintf(id, sizeof(id), "%.*s", (int)(dot - name), name);
    site_path(&warden.site, path, "haproxy/%s", name);
    file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(line, sizeof(line), file) != NULL &&
        sscanf(line, "%d %lld %31s", &process.pid, &start, vpc) == 3) {
        int fd;

        process.start = start;
        fd = process_open(process);
        haproxy = fd < 0 ? NULL : find_haproxy(id, true);
        if (haproxy == NULL && fd >= 0) {
            close(fd);
        } else if (haproxy != NULL) {
            haproxy->process = process;
            haproxy->pidfd = fd;
            snprintf(haproxy->vpc, sizeof(haproxy->vpc), "%s", vpc);
        }
    }
    while (haproxy != NULL && fgets(line, sizeof(line), file) != NULL) {
        fetch_listener(haproxy, line);
    }
    fclose(file);
    if (haproxy == NULL) {
        unlink(path); /* It ended meanwhile. */
    } else {
        log_info("haproxy.adopted id=%s pid=%d listeners=%zu", id, process.pid,
                 haproxy->listener_count);
    }
}

void haproxy_adopt(void)
{
    char path[PATH_BYTES];
    bool any = false;

    site_path(&warden.site, path, "haproxy");
    each_name(path, "", adopt_one, NULL);
    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        any |= haproxies[i].id[0] != '\0';
    }
    if (any) {
        write_host_table(NULL);
    }
}

/* Each (address, port) keeps its socket for as long as it is asked for. */
static int open_haproxy_listeners(struct haproxy *haproxy, const struct warden_haproxy *wanted,
                                  bool *changed, struct error *err)
{
    struct listener next[WARDEN_LISTENERS_MAX];
    bool kept[WARDEN_LISTENERS_MAX] = {false}, fresh[WARDEN_LISTENERS_MAX] = {false};
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < wanted->listener_count; i++) {
        size_t j = 0;

        while (j < haproxy->listener_count &&
               (kept[j] || haproxy->listeners[j].address != wanted->listeners[i].address ||
                haproxy->listeners[j].port != wanted->listeners[i].port)) {
            j++;
        }
        if (j < haproxy->listener_count) {
            next[i] = haproxy->listeners[j];
            kept[j] = true;
            *changed |= next[i].inherited != wanted->listeners[i].fd;
        } else {
            next[i] = (struct listener){.address = wanted->listeners[i].address,
                                        .port = wanted->listeners[i].port,
                                        .fd = -1};
            rc = http_listen("127.0.0.1", 0, &next[i].fd, err);
            next[i].loopback_port = rc == 0 ? (uint16_t)http_listen_port(next[i].fd) : 0;
            fresh[i] = true;
            *changed = true;
        }
        next[i].inherited = wanted->listeners[i].fd;
    }
    if (rc != 0) { /* As it was. */
        for (uint32_t i = 0; i < wanted->listener_count; i++) {
            if (fresh[i] && next[i].fd >= 0) {
                close(next[i].fd);
            }
        }
        return rc;
    }
    for (size_t j = 0; j < haproxy->listener_count; j++) {
        if (!kept[j]) {
            close(haproxy->listeners[j].fd);
            *changed = true;
        }
    }
    memcpy(haproxy->listeners, next, sizeof(next[0]) * wanted->listener_count);
    haproxy->listener_count = wanted->listener_count;
    return 0;
}

/* In the child: into the namespace, to user muster-haproxy, exec. */
static void exec_haproxy(const struct haproxy *haproxy, struct process old)
{
    char config[PATH_BYTES], predecessor[32];
    const char *argv[] = {"haproxy", "-db", "-f", config, NULL, predecessor, NULL};
    int from[WARDEN_LISTENERS_MAX], to[WARDEN_LISTENERS_MAX];
    struct error err;

    become_child();
    if (enter_namespace(&warden.site, haproxy->vpc, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        _exit(1);
    }
    for (size_t i = 0; i < haproxy->listener_count; i++) {
        from[i] = haproxy->listeners[i].fd;
        to[i] = haproxy->listeners[i].inherited;
    }
    if (process_pass(from, to, haproxy->listener_count) != 0) {
        fprintf(stderr, "haproxy %s: too few descriptors for its listeners\n", haproxy->id);
        _exit(1);
    }
    site_path(&warden.site, config, "haproxy/%s.cfg", haproxy->id);
    if (process_lives(old)) {
        argv[4] = "-sf";
        snprintf(predecessor, sizeof(predecessor), "%d", old.pid);
    }
    if (setgroups(0, NULL) != 0 || setgid(warden.site.musterd_gid) != 0 ||
        setuid(warden.site.haproxy_uid) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        _exit(1);
    }
    umask(007);
    execvp("haproxy", (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void forget_pidfd(struct haproxy *haproxy)
{
    if (haproxy->pidfd >= 0) {
        close(haproxy->pidfd);
        haproxy->pidfd = -1;
    }
}

int haproxy_ensure(const struct warden_haproxy *wanted, const char *config, struct error *err)
{
    struct haproxy *haproxy = find_haproxy(wanted->id, true);
    char path[PATH_BYTES];
    bool changed = false;
    pid_t child;
    int rc;

    if (haproxy == NULL) {
        return error_set(err, ERR_SYSTEM, "at most %d HAProxy processes", HAPROXIES_MAX);
    }
    if (time_boot_ms() < haproxy->held_until_ms) {
        return error_set(err, ERR_BUSY, "HAProxy ends as soon as it is started");
    }
    memcpy(haproxy->vpc, wanted->vpc, sizeof(haproxy->vpc));
    rc = open_haproxy_listeners(haproxy, wanted, &changed, err);
    site_path(&warden.site, path, "haproxy/%s.cfg", wanted->id);
    if (rc == 0) {
        rc = write_file(path, slice_of(config, wanted->config_bytes), 0644, err);
    }
    if (rc != 0 || (haproxy->process.pid > 0 && !wanted->reload && !changed)) {
        return rc;
    }
    child = fork();
    if (child == 0) {
        exec_haproxy(haproxy, haproxy->process);
    }
    if (child < 0) {
        return error_errno(err, "fork");
    }
    forget_pidfd(haproxy);
    haproxy->predecessor = haproxy->process;
    haproxy->process = process_of(child);
    haproxy->started_ms = time_boot_ms();
    haproxy->untold = false;
    rc = write_record(haproxy, err);
    return rc != 0 ? rc : changed ? write_host_table(err) : 0;
}

static void drop(struct haproxy *haproxy)
{
    char path[PATH_BYTES];

    for (size_t i = 0; i < haproxy->listener_count; i++) {
        close(haproxy->listeners[i].fd);
    }
    process_kill(haproxy->process, SIGTERM);
    process_kill(haproxy->predecessor, SIGTERM);
    forget_pidfd(haproxy);
    site_path(&warden.site, path, "haproxy/%s.pid", haproxy->id);
    unlink(path);
    site_path(&warden.site, path, "haproxy/%s.cfg", haproxy->id);
    unlink(path);
    site_path(&warden.site, path, "haproxy/run/%s.sock", haproxy->id);
    unlink(path);
    *haproxy = (struct haproxy){.pidfd = -1};
}

void haproxy_drop(const char *id)
{
    struct haproxy *haproxy = find_haproxy(id, false);

    if (haproxy != NULL) {
        drop(haproxy);
        write_host_table(NULL);
    }
}

void haproxy_drop_vpc(const char *vpc)
{
    bool any = false;

    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        if (haproxies[i].id[0] != '\0' && strcmp(haproxies[i].vpc, vpc) == 0) {
            drop(&haproxies[i]);
            any = true;
        }
    }
    if (any) {
        write_host_table(NULL);
    }
}

/* A successor that could not start leaves its predecessor serving. */
static void on_ended(struct haproxy *haproxy, int status)
{
    int64_t now_ms = time_boot_ms();

    forget_pidfd(haproxy);
    haproxy->failures = now_ms - haproxy->started_ms < SETTLED_MS ? haproxy->failures + 1 : 0;
    haproxy->held_until_ms =
        haproxy->failures == 0
            ? 0
            : now_ms + min_i64(HOLD_MS_MAX, (int64_t)HOLD_MS_MIN << min_i64(haproxy->failures, 16));
    if ((haproxy->failures & (haproxy->failures - 1)) == 0) { /* The 1st, 2nd, 4th ... time. */
        log_warn("haproxy.ended id=%s status=%d failures=%u", haproxy->id, status,
                 haproxy->failures);
    }
    haproxy->process =
        process_lives(haproxy->predecessor) ? haproxy->predecessor : (struct process){0, -1};
    haproxy->predecessor = (struct process){0, -1};
    if (haproxy->process.pid > 0) {
        haproxy->pidfd = process_open(haproxy->process);
        write_record(haproxy, NULL);
    }
    haproxy->untold = true;
    haproxy_tick(now_ms);
}

void haproxy_tick(int64_t now_ms)
{
    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        struct haproxy *haproxy = &haproxies[i];

        if (haproxy->id[0] != '\0' && haproxy->untold && now_ms >= haproxy->held_until_ms) {
            haproxy->untold = false;
            message_haproxy(haproxy->id);
        }
    }
}

void haproxy_reaped(pid_t pid, int status)
{
    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        if (haproxies[i].id[0] != '\0' && haproxies[i].process.pid == pid) {
            on_ended(&haproxies[i], status);
        }
    }
}

size_t haproxy_poll(struct pollfd *fds)
{
    size_t count = 0;

    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        if (haproxies[i].id[0] != '\0' && haproxies[i].pidfd >= 0) {
            fds[count++] = (struct pollfd){.fd = haproxies[i].pidfd, .events = POLLIN};
        }
    }
    return count;
}

void haproxy_polled(const struct pollfd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; fds[i].revents != 0 && k < HAPROXIES_MAX; k++) {
            if (haproxies[k].id[0] != '\0' && haproxies[k].pidfd == fds[i].fd) {
                on_ended(&haproxies[k], -1);
                break;
            }
        }
    }
}
