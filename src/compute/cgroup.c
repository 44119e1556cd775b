#include "compute/cgroup.h"

#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4352

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

/* The first mount counts: others are views of the same. */
static void note(char place[256], const char *point)
{
    if (place[0] == '\0') {
        snprintf(place, 256, "%s", point);
    }
}

void cgroup_layout_read(FILE *mountinfo, struct cgroup_layout *layout)
{
    char line[4096], point[256];

    *layout = (struct cgroup_layout){0};
    while (fgets(line, sizeof(line), mountinfo) != NULL) {
        const char *type = strstr(line, " - ");
        const char *options = strrchr(line, ' ');

        if (type == NULL || sscanf(line, "%*s %*s %*s %*s %255s", point) != 1) {
            continue;
        }
        if (strncmp(type, " - cgroup2 ", 11) == 0) {
            note(layout->unified, point);
        } else if (strncmp(type, " - cgroup ", 10) == 0) {
            if (has_option(options + 1, "cpuacct")) {
                note(layout->cpuacct, point);
            }
            if (has_option(options + 1, "cpu")) {
                note(layout->cpu, point);
            }
            if (has_option(options + 1, "memory")) {
                note(layout->memory, point);
            }
        }
    }
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

static int64_t field_in(const char *mount, const char *path, const char *file, const char *key)
{
    char text[8192];

    return read_text(mount, path, file, text, sizeof(text)) ? cgroup_field(slice_z(text), key) : -1;
}

/* Whatever the file says: no overflow. */
static int64_t nanoseconds(int64_t microseconds)
{
    return microseconds > INT64_MAX / 1000 ? INT64_MAX : microseconds * 1000;
}

int cgroup_read_in(const struct cgroup_layout *layout, const char *path, struct cgroup_usage *usage,
                   struct error *err)
{
    int64_t microseconds, inactive;

    *usage = (struct cgroup_usage){0};
    if (layout->cpuacct[0] != '\0') {
        usage->cpu_ns = number_in(layout->cpuacct, path, "cpuacct.usage");
        usage->throttled_ns = max_i64(field_in(layout->cpu, path, "cpu.stat", "throttled_time"), 0);
    } else {
        microseconds = field_in(layout->unified, path, "cpu.stat", "usage_usec");
        usage->cpu_ns = microseconds < 0 ? -1 : nanoseconds(microseconds);
        usage->throttled_ns =
            nanoseconds(max_i64(field_in(layout->unified, path, "cpu.stat", "throttled_usec"), 0));
    }
    if (layout->memory[0] != '\0') {
        usage->memory_bytes = number_in(layout->memory, path, "memory.usage_in_bytes");
        inactive = field_in(layout->memory, path, "memory.stat", "total_inactive_file");
    } else {
        usage->memory_bytes = number_in(layout->unified, path, "memory.current");
        inactive = field_in(layout->unified, path, "memory.stat", "inactive_file");
    }
    usage->memory_bytes = max_i64(usage->memory_bytes - max_i64(inactive, 0), 0);
    return usage->cpu_ns >= 0 ? 0 : error_set(err, ERR_NOT_FOUND, "no cgroup %s", path);
}

int cgroup_read(const char *path, struct cgroup_usage *usage, struct error *err)
{
    static struct cgroup_layout layout;

    if (layout.cpuacct[0] == '\0' && layout.unified[0] == '\0') {
        FILE *file = fopen("/proc/self/mountinfo", "re");

        if (file != NULL) {
            cgroup_layout_read(file, &layout);
            fclose(file);
        }
    }
    return cgroup_read_in(&layout, path, usage, err);
}
