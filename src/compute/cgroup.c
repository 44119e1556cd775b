#include "compute/cgroup.h"

#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4352

/* Where each controller is mounted: found once, by the mounts' options, never by name. */
struct hierarchies {
    bool known;
    char cpuacct[256], cpu[256], memory[256], unified[256];
};

static bool has_option(const char *options, const char *name)
{
    struct slice rest = slice_z(options), part;

    while (slice_next(&rest, ',', &part)) {
        if (slice_equal_z(slice_trim(part), name)) {
            return true;
        }
    }
    return false;
}

static void find_hierarchies(struct hierarchies *found)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[4096], point[256];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *type = strstr(line, " - ");
        const char *options = strrchr(line, ' ');

        if (type == NULL || sscanf(line, "%*s %*s %*s %*s %255s", point) != 1) {
            continue;
        }
        if (strncmp(type, " - cgroup2 ", 11) == 0) {
            snprintf(found->unified, sizeof(found->unified), "%s", point);
        } else if (strncmp(type, " - cgroup ", 10) == 0) {
            if (has_option(options + 1, "cpuacct")) {
                snprintf(found->cpuacct, sizeof(found->cpuacct), "%s", point);
            }
            if (has_option(options + 1, "cpu")) {
                snprintf(found->cpu, sizeof(found->cpu), "%s", point);
            }
            if (has_option(options + 1, "memory")) {
                snprintf(found->memory, sizeof(found->memory), "%s", point);
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    found->known = true;
}

static bool read_text(const char *mount, const char *path, const char *file, char *text,
                      size_t room)
{
    char name[PATH_BYTES];
    ssize_t got;
    int fd;

    snprintf(name, sizeof(name), "%.255s/%.3900s/%.100s", mount, path, file);
    fd = mount[0] == '\0' ? -1 : open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    got = read(fd, text, room - 1);
    close(fd);
    text[got < 0 ? 0 : got] = '\0';
    return got > 0;
}

int64_t cgroup_field(struct slice text, const char *key)
{
    struct slice rest = text, line;

    while (slice_next(&rest, '\n', &line)) {
        size_t blank = slice_find(line, ' ');
        int64_t number;

        if (slice_equal_z(slice_sub(line, 0, blank), key) &&
            text_to_i64(slice_trim(slice_sub(line, blank, line.bytes)), INT64_MIN, INT64_MAX,
                        &number, NULL) == 0) {
            return number;
        }
    }
    return -1;
}

static int64_t number_in(const char *mount, const char *path, const char *file)
{
    char text[64];
    int64_t number;

    return read_text(mount, path, file, text, sizeof(text)) &&
                   text_to_i64(slice_trim(slice_z(text)), 0, INT64_MAX, &number, NULL) == 0
               ? number
               : -1;
}

int cgroup_read(const char *path, struct cgroup_usage *usage, struct error *err)
{
    static struct hierarchies found;
    char text[8192];
    int64_t inactive = 0;

    *usage = (struct cgroup_usage){0};
    if (!found.known) {
        find_hierarchies(&found);
    }
    if (found.cpuacct[0] != '\0') {
        usage->cpu_ns = number_in(found.cpuacct, path, "cpuacct.usage");
        if (read_text(found.cpu, path, "cpu.stat", text, sizeof(text))) {
            usage->throttled_ns = max_i64(cgroup_field(slice_z(text), "throttled_time"), 0);
        }
        usage->memory_bytes = number_in(found.memory, path, "memory.usage_in_bytes");
        if (read_text(found.memory, path, "memory.stat", text, sizeof(text))) {
            inactive = max_i64(cgroup_field(slice_z(text), "total_inactive_file"), 0);
        }
    } else {
        usage->cpu_ns = -1;
        if (read_text(found.unified, path, "cpu.stat", text, sizeof(text))) {
            usage->cpu_ns = cgroup_field(slice_z(text), "usage_usec") * 1000;
            usage->throttled_ns = max_i64(cgroup_field(slice_z(text), "throttled_usec"), 0) * 1000;
        }
        usage->memory_bytes = number_in(found.unified, path, "memory.current");
        if (read_text(found.unified, path, "memory.stat", text, sizeof(text))) {
            inactive = max_i64(cgroup_field(slice_z(text), "inactive_file"), 0);
        }
    }
    usage->memory_bytes = max_i64(usage->memory_bytes - inactive, 0);
    return usage->cpu_ns >= 0 ? 0 : error_set(err, ERR_NOT_FOUND, "no cgroup %s", path);
}
