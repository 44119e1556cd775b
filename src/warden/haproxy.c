/* HAProxy: one process per load balancer, inside its VPC's namespace, unprivileged. Its listeners
 * are opened here, in the host's namespace, and inherited, so that a successor loses nothing. */
#include "warden/daemon.h"

#include "base/log.h"
#include "base/text.h"
#include "http/server.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HAPROXIES_MAX 128

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

static struct haproxy haproxies[HAPROXIES_MAX];

static struct haproxy *find_haproxy(const char *id, bool make)
{
    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        if (strcmp(haproxies[i].id, id) == 0) {
            return &haproxies[i];
        }
    }
    for (size_t i = 0; make && i < HAPROXIES_MAX; i++) {
        if (haproxies[i].id[0] == '\0') {
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
    int status = 0;
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

int haproxy_ensure(const struct warden_haproxy *wanted, const char *config, struct error *err)
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

void haproxy_drop(const char *id)
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

/* What an earlier warden left running has our listeners no more: it ends when its successor
 * starts.
 */
void haproxy_adopt(void)
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

void haproxy_reaped(pid_t pid, int status)
{
    for (size_t i = 0; i < HAPROXIES_MAX; i++) {
        if (haproxies[i].id[0] != '\0' && haproxies[i].pid == pid) {
            haproxies[i].pid = 0;
            log_warn("haproxy.ended id=%s status=%d", haproxies[i].id, status);
            message_haproxy(haproxies[i].id);
        }
    }
}
