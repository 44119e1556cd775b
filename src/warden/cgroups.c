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
#include <sys/stat.h>
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

/* The layout. */

/* Is @word one of those in @list, which @separator divides? */
static bool lists(struct slice list, char separator, const char *word)
{
    struct slice part;

    while (slice_next(&list, separator, &part)) {
        if (slice_equal_z(slice_trim(part), word)) {
            return true;
        }
    }
    return false;
}

bool cgroups_mount(FILE *mountinfo, const char *controller, char *point, size_t room)
{
    char line[PATH_BYTES];

    while (fgets(line, sizeof(line), mountinfo) != NULL) {
        const char *options = strrchr(line, ' ');

        if (strstr(line, " - cgroup ") != NULL && options != NULL &&
            lists(slice_z(options + 1), ',', controller)) {
            return cgroups_point(line, point, room);
        }
    }
    return false;
}

/* v1: the controller's own hierarchy. */
static int try_first(const char *point, const char *file, const char *value, struct error *err)
{
    char path[PATH_BYTES];
    int fd, rc = 0;

    snprintf(path, sizeof(path), "%s/muster-check-%d", point, getpid());
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        return error_errno(err, "%s", path);
    }
    snprintf(path, sizeof(path), "%s/muster-check-%d/%s", point, getpid(), file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) {
        rc = error_errno(err, "%s", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    *strrchr(path, '/') = '\0';
    rmdir(path);
    return rc;
}

/* In a container the root that one sees is no root: it hands nothing down while it has processes
 * of its own. They move into a group of theirs. */
static void make_room(const char *point)
{
    char path[PATH_BYTES], line[64];
    FILE *file;
    int fd;

    snprintf(path, sizeof(path), "%s/init", point);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/init/cgroup.procs", point);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "%s/cgroup.procs", point);
    file = fopen(path, "re");
    while (fd >= 0 && file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (write(fd, line, strlen(line)) < 0) {
            log_debug("cgroup.move pid=%.*s reason=\"%s\"", SLICE_ARG(slice_trim(slice_z(line))),
                      strerror(errno));
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    if (fd >= 0) {
        close(fd);
    }
}

int cgroups_hand_down(const char *point, const char *controller, struct error *err)
{
    char path[PATH_BYTES], word[32];
    int fd, rc = 0;

    snprintf(path, sizeof(path), "%s/cgroup.subtree_control", point);
    snprintf(word, sizeof(word), "+%s", controller);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    for (int try = 0; fd >= 0 && write(fd, word, strlen(word)) < 0; try++) {
        if (errno != EBUSY || try == 3) {
            rc = error_errno(err, "hand down the cgroup controller %s", controller);
            break;
        }
        make_room(point);
    }
    if (fd < 0) {
        return error_errno(err, "%s", path);
    }
    close(fd);
    return rc;
}

/* v2: it must be offered, and handed down from the root. */
static int try_second(const char *point, const char *controller, const char *file,
                      const char *value, struct error *err)
{
    char path[PATH_BYTES], text[512];
    ssize_t got;
    int fd, rc;

    snprintf(path, sizeof(path), "%s/cgroup.controllers", point);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (fd >= 0) {
        close(fd);
    }
    if (got <= 0 || !lists(slice_of(text, (size_t)got), ' ', controller)) {
        return error_set(err, ERR_NOT_FOUND, "no cgroup controller %s", controller);
    }
    rc = cgroups_hand_down(point, controller, err);
    return rc != 0 ? rc : try_first(point, file, value, err);
}

int cgroups_try(const char *controller, struct error *err)
{
    static const struct {
        const char *controller, *first, *first_value, *second, *second_value;
    } limits[] = {
        {"cpu",    "cpu.cfs_quota_us",      "50000",    "cpu.max",    "50000 100000"},
        {"memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"    },
        {"pids",   "pids.max",              "100",      "pids.max",   "100"         },
    };
    char point[256], line[PATH_BYTES];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    int rc = error_set(err, ERR_NOT_FOUND, "no cgroup controller %s", controller);
    size_t i = 0;

    while (i < COUNT_OF(limits) - 1 && strcmp(limits[i].controller, controller) != 0) {
        i++;
    }
    if (file == NULL) {
        return rc;
    }
    if (cgroups_mount(file, controller, point, sizeof(point))) {
        rc = try_first(point, limits[i].first, limits[i].first_value, err);
    } else {
        rewind(file);
        while (fgets(line, sizeof(line), file) != NULL) {
            if (strstr(line, " - cgroup2 ") != NULL && cgroups_point(line, point, sizeof(point))) {
                rc = try_second(point, controller, limits[i].second, limits[i].second_value, err);
                break;
            }
        }
    }
    fclose(file);
    return rc;
}
