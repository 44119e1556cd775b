/* An instance's cgroups, "muster/i/NAME" and "muster/mon/NAME", in every hierarchy there is: one in
 * v2, many in v1, and v1's with a v2 beside them ("hybrid"). They outlive their processes when
 * liblxc had no chance to remove them, and then refuse a start of the same name. */
#include "warden/private.h"

#include "base/log.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRIES_MAX 500
#define TRY_US 20000
#define DEPTH_MAX 32

static void each_child(const char *directory, int depth, bool (*fn)(const char *, int), bool *all)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    char path[PATH_BYTES];

    while (stream != NULL && depth < DEPTH_MAX && (entry = readdir(stream)) != NULL) {
        /* liblxc makes a ".lxc" for those who attach. */
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 &&
            snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) < (int)sizeof(path)) {
            *all &= fn(path, depth + 1);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
}

/* cgroup.kill (v2, from 5.14) takes all below at once; else each process of cgroup.procs. */
static bool kill_group(const char *directory, int depth)
{
    char path[PATH_BYTES + 16], line[64];
    bool all = true;
    int64_t pid;
    FILE *file;
    int fd;

    snprintf(path, sizeof(path), "%s/cgroup.kill", directory);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        bool done = write(fd, "1", 1) == 1;

        close(fd);
        if (done) {
            return true;
        }
    }
    snprintf(path, sizeof(path), "%s/freezer.state", directory); /* v1: the frozen do not die. */
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        all &= write(fd, "THAWED", 6) == 6;
        close(fd);
    }
    snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (text_to_i64(slice_trim(slice_z(line)), 2, INT32_MAX, &pid, NULL) == 0) {
            kill((pid_t)pid, SIGKILL);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    each_child(directory, depth, kill_group, &all);
    return all;
}

/* Depth first; false while something is busy. */
static bool remove_group(const char *directory, int depth)
{
    bool done = true;

    each_child(directory, depth, remove_group, &done);
    return (rmdir(directory) == 0 || errno == ENOENT) && done;
}

bool cgroups_point(const char *line, char *point, size_t room)
{
    const char *type = strstr(line, " - ");
    struct slice rest = slice_z(line), word = SLICE_EMPTY;

    if (type == NULL ||
        (strncmp(type, " - cgroup ", 10) != 0 && strncmp(type, " - cgroup2 ", 11) != 0)) {
        return false;
    }
    for (int i = 0; i < 5; i++) {
        if (!slice_next(&rest, ' ', &word)) {
            return false;
        }
    }
    return snprintf(point, room, "%.*s", SLICE_ARG(word)) < (int)room;
}

/* In every hierarchy; false when @fn said so. */
static bool each_group(const char *container, bool (*fn)(const char *, int))
{
    static const char *const parts[] = {"i", "mon"};
    char line[PATH_BYTES], point[256], path[PATH_BYTES];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    bool done = true;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        for (size_t i = 0; cgroups_point(line, point, sizeof(point)) && i < COUNT_OF(parts); i++) {
            snprintf(path, sizeof(path), "%s/muster/%s/%s", point, parts[i], container);
            if (access(path, F_OK) == 0) {
                done &= fn(path, 0);
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return done;
}

void cgroups_kill(const char *container)
{
    each_group(container, kill_group);
}

bool cgroups_end(const char *container)
{
    bool done = each_group(container, remove_group);

    for (int try = 0; try < TRIES_MAX && !done; try++) {
        each_group(container, kill_group);
        done = each_group(container, remove_group);
        if (!done) {
            usleep(TRY_US); /* Processes are still dying. */
        }
    }
    if (!done) {
        log_error("cgroup.left container=%s", container);
    }
    return done;
}
