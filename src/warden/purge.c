/* Everything a site made, taken away again; safe to run twice, touches nothing else. What is found
 * is found by the site's names and paths, never by the name of a process. */
#include "warden/private.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES_MAX 50
#define TRY_US 100000

typedef void entry_fn(const struct site *site, const char *directory, const char *name);

static void each_entry(const struct site *site, const char *directory, const char *prefix,
                       entry_fn *fn)
{
    DIR *stream = opendir(directory);
    struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            fn(site, directory, entry->d_name);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
}

/* Processes of a cgroup and of those below it. */
static void kill_group(const char *directory)
{
    char path[PATH_BYTES], line[64];
    struct dirent *entry;
    DIR *stream;
    int64_t pid;
    FILE *file;

    snprintf(path, sizeof(path), "%.3900s/cgroup.procs", directory);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (text_to_i64(slice_trim(slice_z(line)), 2, INT32_MAX, &pid, NULL) == 0) {
            kill((pid_t)pid, SIGKILL);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    stream = opendir(directory);
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%.3800s/%.200s", directory, entry->d_name);
            kill_group(path);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
}

/* Depth first; false while something is busy. */
static bool remove_group(const char *directory)
{
    char path[PATH_BYTES];
    struct dirent *entry;
    DIR *stream = opendir(directory);
    bool done = true;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%.3800s/%.200s", directory, entry->d_name);
            done &= remove_group(path);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return (rmdir(directory) == 0 || errno == ENOENT) && done;
}

static void end_group(const struct site *site, const char *directory, const char *name)
{
    char path[PATH_BYTES];

    (void)site;
    snprintf(path, sizeof(path), "%.3900s/%.100s", directory, name);
    for (int try = 0; try < TRIES_MAX; try++) {
        kill_group(path);
        if (remove_group(path)) {
            return;
        }
        usleep(TRY_US);
    }
    log_error("purge.cgroup path=%s left", path);
}

/* muster/i/NAME and muster/mon/NAME below every hierarchy. */
static void end_groups(const struct site *site)
{
    char prefix[64], line[PATH_BYTES], point[PATH_BYTES], path[PATH_BYTES];
    FILE *file = fopen("/proc/self/mountinfo", "re");

    snprintf(prefix, sizeof(prefix), "muster-%s-", site->name);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *type = strstr(line, " - ");

        if (type == NULL || strncmp(type, " - cgroup", 9) != 0 ||
            sscanf(line, "%*s %*s %*s %*s %4000s", point) != 1) {
            continue;
        }
        snprintf(path, sizeof(path), "%.3900s/muster/i", point);
        each_entry(site, path, prefix, end_group);
        rmdir(path);
        snprintf(path, sizeof(path), "%.3900s/muster/mon", point);
        each_entry(site, path, prefix, end_group);
        rmdir(path);
        snprintf(path, sizeof(path), "%.3900s/muster", point);
        rmdir(path);
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* Of a recorded process: "pid start-time" in STATE/haproxy/ID.pid. */
static void end_haproxy(const struct site *site, const char *directory, const char *name)
{
    char path[PATH_BYTES], command[64], comm[64] = "";
    long long pid = 0;
    FILE *file;

    (void)site;
    if (strstr(name, ".pid") == NULL) {
        return;
    }
    snprintf(path, sizeof(path), "%.3900s/%.100s", directory, name);
    file = fopen(path, "re");
    if (file != NULL) {
        char line[64];

        while (fgets(line, sizeof(line), file) != NULL) {
            pid = strtoll(line, NULL, 10);
            snprintf(command, sizeof(command), "/proc/%lld/comm", pid);
            {
                FILE *named = pid > 1 ? fopen(command, "re") : NULL;

                if (named != NULL) {
                    if (fgets(comm, sizeof(comm), named) != NULL &&
                        strncmp(comm, "haproxy", 7) == 0) {
                        kill((pid_t)pid, SIGKILL);
                    }
                    fclose(named);
                }
            }
        }
        fclose(file);
    }
}

static void end_instance(const struct site *site, const char *directory, const char *name)
{
    char link[16], own[16];

    (void)directory;
    site_links(name, link, own);
    {
        const char *const argv[] = {"ip", "link", "delete", own, NULL};

        run_program(argv, SLICE_EMPTY, NULL, NULL);
    }
    rootfs_unmount(site, name);
}

static void end_namespace(const struct site *site, const char *directory, const char *name)
{
    const char *const argv[] = {"ip", "netns", "delete", name, NULL};

    (void)site;
    (void)directory;
    run_program(argv, SLICE_EMPTY, NULL, NULL);
}

/* Whatever is still mounted below the state directory, the latest first. */
static bool unmount_all(const struct site *site)
{
    static char *points[4096];
    char line[PATH_BYTES], point[PATH_BYTES];
    size_t count = 0;
    FILE *file = fopen("/proc/self/mountinfo", "re");

    while (file != NULL && count < COUNT_OF(points) && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%*s %*s %*s %*s %4000s", point) == 1 &&
            strncmp(point, site->state, strlen(site->state)) == 0 &&
            point[strlen(site->state)] == '/') {
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

static bool path_left(const char *path)
{
    return access(path, F_OK) == 0;
}

bool purge_site(struct site *site)
{
    char path[PATH_BYTES], table[64], prefix[64];
    const char *const drop_table[] = {"nft", "delete", "table", "ip", table, NULL};

    snprintf(prefix, sizeof(prefix), "muster-%s-", site->name);
    snprintf(table, sizeof(table), "muster-%s", site->name);
    site_path(site, path, "haproxy");
    each_entry(site, path, "", end_haproxy);
    end_groups(site);
    site_path(site, path, "instances");
    each_entry(site, path, "i-", end_instance);
    unmount_all(site);
    each_entry(site, "/run/netns", prefix, end_namespace);
    run_program(drop_table, SLICE_EMPTY, NULL, NULL);
    snprintf(path, sizeof(path), "/run/lxc/lock%.3900s", site->state);
    remove_tree(path);
    if (!unmount_all(site)) {
        return false;
    }
    remove_tree(site->state);
    block_release(site);
    return !path_left(site->state);
}
