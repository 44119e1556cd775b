/* Everything a site made, taken away again; safe to run twice, touches nothing else. What is found
 * is found by the site's names and paths, never by the name of a process. */
#include "warden/private.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_MS 10000
#define LOCK_TRIES_MAX 200
#define LOCK_TRY_US 50000
#define SWEEPS_MAX 20
#define SWEEP_US 100000

/* A warden that holds the lock wrote its pid there. */
static bool end_warden(const struct site *site)
{
    char path[PATH_BYTES], text[64];
    struct process process;
    bool ended = true;
    int64_t pid = 0;
    int fd, pidfd;

    site_path(site, path, "lock");
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return true;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = read(fd, text, sizeof(text) - 1);

        (void)text_to_i64(slice_trim(slice_of(text, got < 0 ? 0 : (size_t)got)), 2, INT32_MAX, &pid,
                          NULL);
        process = process_of((pid_t)pid);
        pidfd = process_open(process);
        if (pidfd >= 0) {
            struct pollfd end = {.fd = pidfd, .events = POLLIN};

            log_info("purge.warden pid=%d is stopped", process.pid);
            process_kill(process, SIGTERM);
            if (poll(&end, 1, END_MS) == 0) {
                process_kill(process, SIGKILL);
                poll(&end, 1, END_MS);
            }
            close(pidfd);
        }
        for (int i = 0; !(ended = flock(fd, LOCK_EX | LOCK_NB) == 0) && i < LOCK_TRIES_MAX; i++) {
            usleep(LOCK_TRY_US); /* Its children follow it. */
        }
    }
    close(fd);
    return ended;
}

/* HAProxy: recorded ones, and those that only serve their last connections: they are in the
 * namespace of one of our VPCs, where instances' processes never are. */

static void end_recorded(void *data, const char *name)
{
    const struct site *site = data;
    char path[PATH_BYTES], text[128];
    struct process process = {0, -1};
    const char *dot = strchr(name, '.');
    long long start;
    FILE *file;

    site_path(site, path, "haproxy/%s", name);
    file = dot == NULL || strcmp(dot, ".pid") != 0 ? NULL : fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(text, sizeof(text), file) != NULL &&
        sscanf(text, "%d %lld", &process.pid, &start) == 2) {
        process.start = start;
        process_kill(process, SIGKILL);
    }
    fclose(file);
}

static void end_if_inside(void *data, const char *name)
{
    const struct stat *namespace = data;
    struct stat status;
    char path[64];
    int64_t pid;

    if (text_to_i64(slice_z(name), 2, INT32_MAX, &pid, NULL) != 0 || pid == getpid()) {
        return;
    }
    snprintf(path, sizeof(path), "/proc/%lld/ns/net", (long long)pid);
    if (stat(path, &status) == 0 && status.st_ino == namespace->st_ino &&
        status.st_dev == namespace->st_dev) {
        process_kill(process_of((pid_t)pid), SIGKILL);
    }
}

static void end_inside(void *data, const char *name)
{
    char path[128];
    struct stat namespace;

    (void)data;
    snprintf(path, sizeof(path), "/run/netns/%.100s", name);
    if (stat(path, &namespace) == 0) {
        each_name("/proc", "", end_if_inside, &namespace);
    }
}

static void end_namespace(void *data, const char *name)
{
    const char *const argv[] = {"ip", "netns", "delete", name, NULL};

    (void)data;
    run_program(argv, SLICE_EMPTY, NULL, NULL);
}

/* Containers: all are told to end before the first is waited for. */

static void kill_container(void *data, const char *name)
{
    (void)data;
    cgroups_kill(name);
}

static void end_container(void *data, const char *name)
{
    (void)data;
    cgroups_end(name);
}

/* Of all sites when @site has no name. */
static void each_container(const struct site *site, name_fn *fn, void *data)
{
    char prefix[64], line[PATH_BYTES], point[256], path[PATH_BYTES];
    FILE *file = fopen("/proc/self/mountinfo", "re");

    snprintf(prefix, sizeof(prefix), "muster-%s%s", site->name, site->name[0] == '\0' ? "" : "-");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (cgroups_point(line, point, sizeof(point))) {
            snprintf(path, sizeof(path), "%s/muster/i", point);
            each_name(path, prefix, fn, data);
            snprintf(path, sizeof(path), "%s/muster/mon", point);
            each_name(path, prefix, fn, data);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* The directories that all sites share, once they are empty. */
static void remove_empty_groups(void)
{
    static const char *const names[] = {"muster/i", "muster/mon", "muster"};
    char line[PATH_BYTES], point[256], path[PATH_BYTES];
    FILE *file = fopen("/proc/self/mountinfo", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        for (size_t i = 0; cgroups_point(line, point, sizeof(point)) && i < COUNT_OF(names); i++) {
            snprintf(path, sizeof(path), "%s/%s", point, names[i]);
            rmdir(path);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void unmount_instance(void *data, const char *name)
{
    if (id_has(name, WARDEN_ID_BYTES, "i-")) {
        rootfs_unmount(data, name);
    }
}

static void end_link(void *data, const char *name)
{
    const char *const argv[] = {"ip", "link", "delete", name, NULL};

    (void)data;
    run_program(argv, SLICE_EMPTY, NULL, NULL);
}

static bool drop_table(const char *name)
{
    const char *const drop[] = {"nft", "delete", "table", "ip", name, NULL};
    const char *const list[] = {"nft", "list", "table", "ip", name, NULL};

    return run_program(drop, SLICE_EMPTY, NULL, NULL) == 0 ||
           run_program(list, SLICE_EMPTY, NULL, NULL) != 0;
}

/* mountinfo writes blanks as "\\040". */
static void unescape(char *path)
{
    char *to = path;

    for (const char *from = path; *from != '\0'; to++) {
        if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* Whatever is still mounted below STATE/instances, the latest first. */
static bool unmount_all(const struct site *site)
{
    static char *points[4096];
    char line[PATH_BYTES], point[PATH_BYTES], ours[PATH_BYTES];
    size_t count = 0;
    FILE *file = fopen("/proc/self/mountinfo", "re");

    site_path(site, ours, "instances/");
    while (file != NULL && count < COUNT_OF(points) && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%*s %*s %*s %*s %4000s", point) != 1) {
            continue;
        }
        unescape(point);
        if (strncmp(point, ours, strlen(ours)) == 0) {
            points[count++] = mem_strdup(point);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    for (size_t i = count; i-- > 0;) {
        if (umount2(points[i], 0) != 0) {
            umount2(points[i], MNT_DETACH);
        }
        free(points[i]);
    }
    return count < COUNT_OF(points);
}

static void count_name(void *data, const char *name)
{
    (void)name;
    ++*(int *)data;
}

static void tell_name(void *data, const char *name)
{
    (void)data;
    log_error("purge.left name=%s", name);
}

static void each_left(const struct site *site, name_fn *fn, void *data)
{
    char prefix[64], socket[PATH_BYTES], line[PATH_BYTES];
    FILE *file;

    snprintf(prefix, sizeof(prefix), "muster-%s-", site->name);
    each_container(site, fn, data);
    each_name("/run/netns", prefix, fn, data);
    snprintf(prefix, sizeof(prefix), "mu-%s-", site->name);
    each_name("/sys/class/net", prefix, fn, data);
    snprintf(prefix, sizeof(prefix), "n%s", site->name);
    each_name("/sys/class/net", prefix, fn, data);
    /* A monitor has its command socket before its cgroup. */
    snprintf(socket, sizeof(socket), "@%.2000s/lxc/muster-", site->state);
    file = site->state[0] == '\0' ? NULL : fopen("/proc/net/unix", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, socket) != NULL) {
            fn(data, strstr(line, socket));
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* Once through. False when a rule is left. */
static bool sweep(const struct site *site)
{
    char table[64], prefix[64];
    bool done;

    snprintf(prefix, sizeof(prefix), "muster-%s-", site->name);
    each_name("/run/netns", prefix, end_inside, NULL);
    each_container(site, kill_container, NULL);
    each_container(site, end_container, NULL);
    remove_empty_groups();
    each_name("/run/netns", prefix, end_namespace, NULL);
    snprintf(prefix, sizeof(prefix), "mu-%s-", site->name);
    each_name("/sys/class/net", prefix, end_link, NULL);
    snprintf(prefix, sizeof(prefix), "n%s", site->name);
    each_name("/sys/class/net", prefix, end_link, NULL);
    snprintf(table, sizeof(table), "muster-%s", site->name);
    done = drop_table(table);
    snprintf(table, sizeof(table), "muster-%s-out", site->name);
    return drop_table(table) && done;
}

/* What the kernel has under the site's name. What the warden had begun when it ended may go on for
 * an instant, so nothing must be there twice in a row. False when something is left. */
static bool purge_names(const struct site *site)
{
    int calm = 0;

    for (int i = 0; i < SWEEPS_MAX && calm < 2; i++) {
        int before = 0, left = 0;
        bool done;

        if (i > 0) {
            usleep(SWEEP_US);
        }
        each_left(site, count_name, &before);
        done = sweep(site);
        each_left(site, count_name, &left);
        calm = done && left == 0 && (before == 0 || i == 0) ? calm + 1 : 0;
    }
    each_left(site, tell_name, NULL);
    return calm == 2;
}

/* What is ours in the state directory, and no more: somebody may have named a directory of theirs.
 * "site" goes last, so that what was interrupted can be done again. */
static bool remove_files(const struct site *site)
{
    static const char *const names[] = {
        "instances", "images",  "lxc",      "haproxy",     "locks",          "uplinks",
        "log",       "musterd", "site.new", "credentials", "credentials.new"};
    char path[PATH_BYTES];

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        site_path(site, path, "%s", names[i]);
        remove_tree(path);
        if (access(path, F_OK) == 0) {
            log_error("purge.left path=%s", path);
            return false;
        }
    }
    block_release(site);
    site_path(site, path, "lock");
    unlink(path);
    site_path(site, path, "site");
    unlink(path);
    if (access(path, F_OK) == 0) {
        return false;
    }
    if (rmdir(site->state) != 0 && errno == ENOTEMPTY) {
        log_warn("purge.kept path=%s: not all in it is muster's", site->state);
    }
    return true;
}

bool purge_site(struct site *site)
{
    char path[PATH_BYTES];
    bool done;

    if (!end_warden(site)) {
        log_error("purge.warden does not end; state=%s", site->state);
        return false;
    }
    site_path(site, path, "haproxy");
    each_name(path, "", end_recorded, site);
    done = purge_names(site);
    site_path(site, path, "instances");
    each_name(path, "i-", unmount_instance, site);
    unmount_all(site);
    snprintf(path, sizeof(path), "/run/lxc/lock%.3900s", site->state);
    remove_tree(path);
    for (char *slash; (slash = strrchr(path, '/')) != NULL && slash - path > (ptrdiff_t)4;) {
        *slash = '\0'; /* liblxc's empty directories above it, up to /run. */
        if (rmdir(path) != 0) {
            break;
        }
    }
    /* Its files are needed to try again. */
    return done && unmount_all(site) && remove_files(site);
}

/* Sites whose directory is gone are known by their names in the kernel. */

static void purge_name(void *data, const char *name)
{
    struct site site = {0};

    if (sscanf(name, "muster-%6[0-9a-f]", site.name) == 1 && strlen(site.name) == 6) {
        *(bool *)data &= purge_names(&site);
    }
}

static void purge_tables(bool *done)
{
    static const char *const list[] = {"nft", "list", "tables", "ip", NULL};
    struct buf text = {0};
    struct slice rest, line;

    if (run_program(list, SLICE_EMPTY, &text, NULL) == 0) {
        rest = buf_slice(&text);
        while (slice_next(&rest, '\n', &line)) {
            char name[64];

            if (slice_starts(line, SLICE_LIT("table ip muster-"))) {
                snprintf(name, sizeof(name), "%.*s", SLICE_ARG(slice_sub(line, 9, line.bytes)));
                purge_name(done, name);
            }
        }
    }
    buf_close(&text);
}

bool purge_machine(void)
{
    char state[PATH_BYTES];
    struct site nameless = {0};
    bool done = true;

    for (uint32_t i = 0; i < SITE_BLOCKS; i++) {
        struct site site = {0};

        block_owner(i, state);
        if (state[0] == '/' && site_open(&site, state, false, NULL) == 0) {
            done &= purge_site(&site);
        } else if (state[0] == '/') {
            snprintf(site.state, sizeof(site.state), "%.2000s", state);
            block_release(&site);
        }
    }
    each_name("/run/netns", "muster-", purge_name, &done);
    each_container(&nameless, purge_name, &done);
    purge_tables(&done);
    remove_empty_groups();
    if (done) {
        remove_tree("/var/cache/muster");
    }
    return done;
}
