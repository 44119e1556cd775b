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

static DIR *open_in(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (stream == NULL && fd >= 0) {
        close(fd);
    }
    return stream;
}

/* The next group in @stream; liblxc makes a ".lxc" for those who attach. */
static const struct dirent *next_group(DIR *stream)
{
    const struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0) {
            return entry;
        }
    }
    return NULL;
}

/* An instance nests groups as deep as it likes, with names as long as it likes: no paths, no
 * recursion, one descriptor. Groups do not move, so ".." leads back. */
static void each_below(const char *top, void (*fn)(int directory))
{
    struct buf stack = {0}; /* Where to go on in each one above. */
    DIR *stream = open_in(AT_FDCWD, top);

    if (stream != NULL) {
        fn(dirfd(stream));
    }
    while (stream != NULL) {
        const struct dirent *entry = next_group(stream);
        DIR *next;
        off_t place;

        if (entry != NULL) {
            place = entry->d_off;
            next = open_in(dirfd(stream), entry->d_name);
            if (next == NULL) {
                continue; /* It has just gone. */
            }
            fn(dirfd(next));
            buf_add(&stack, slice_of((const char *)&place, sizeof(place)));
        } else if (stack.bytes > 0) {
            stack.bytes -= sizeof(place);
            memcpy(&place, stack.data + stack.bytes, sizeof(place));
            next = open_in(dirfd(stream), "..");
            if (next != NULL) {
                seekdir(next, place);
            }
        } else {
            next = NULL;
        }
        closedir(stream);
        stream = next;
    }
    buf_close(&stack);
}

static bool write_in(int directory, const char *file, const char *text)
{
    int fd = openat(directory, file, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

    if (fd >= 0) {
        close(fd);
    }
    return done;
}

static void kill_one(int directory)
{
    int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    char line[64];
    int64_t pid;

    write_in(directory, "freezer.state", "THAWED"); /* v1: the frozen do not die. */
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (text_to_i64(slice_trim(slice_z(line)), 2, INT32_MAX, &pid, NULL) == 0) {
            kill((pid_t)pid, SIGKILL);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* cgroup.kill (v2, from 5.14) takes all below at once; else each process of cgroup.procs. */
static bool kill_group(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && write_in(fd, "cgroup.kill", "1");

    if (fd >= 0) {
        close(fd);
    }
    if (!done) {
        each_below(path, kill_one);
    }
    return true;
}

/* Depth first; false while something is busy. Always the first one there is: when it cannot be
 * removed, those below it come first. */
static bool remove_group(const char *path)
{
    DIR *stream = open_in(AT_FDCWD, path);
    size_t depth = 0;
    bool busy = false;

    while (stream != NULL && !busy) {
        const struct dirent *entry = next_group(stream);
        DIR *next = NULL;

        if (entry == NULL && depth == 0) {
            break;
        }
        if (entry == NULL) {
            next = open_in(dirfd(stream), "..");
            depth--;
        } else if (unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            rewinddir(stream);
            continue;
        } else {
            DIR *inside = open_in(dirfd(stream), entry->d_name);

            busy = next_group(inside) == NULL; /* Processes hold it. */
            if (inside != NULL) {
                rewinddir(inside);
            }
            next = inside;
            depth++;
        }
        closedir(stream);
        stream = next;
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return !busy && (rmdir(path) == 0 || errno == ENOENT);
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
static bool each_group(const char *container, bool (*fn)(const char *))
{
    static const char *const parts[] = {"i", "mon"};
    char line[PATH_BYTES], point[256], path[PATH_BYTES];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    bool done = true;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        for (size_t i = 0; cgroups_point(line, point, sizeof(point)) && i < COUNT_OF(parts); i++) {
            snprintf(path, sizeof(path), "%s/muster/%s/%s", point, parts[i], container);
            if (access(path, F_OK) == 0) {
                done &= fn(path);
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return done;
}

void cgroups_write(const char *part, const char *container, const char *file, const char *text)
{
    char line[PATH_BYTES], point[256], path[PATH_BYTES];
    FILE *mounts = fopen("/proc/self/mountinfo", "re");

    while (mounts != NULL && fgets(line, sizeof(line), mounts) != NULL) {
        if (cgroups_point(line, point, sizeof(point))) {
            snprintf(path, sizeof(path), "%s/muster/%s/%s/%s", point, part, container, file);
            write_in(AT_FDCWD, path, text);
        }
    }
    if (mounts != NULL) {
        fclose(mounts);
    }
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
        {"cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"},
        {"memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"},
        {"pids", "pids.max", "100", "pids.max", "100"},
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
