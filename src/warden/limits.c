/* Kernel limits that end at a few dozen instances, raised while a site is there. Old values are
 * kept in a file of the machine and come back with the last purge. */
#include "warden/private.h"

#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
    const char *name, *file;
    int64_t wanted;
} limits[] = {
  /* Instances with systemd take three each, all of root's, who made their user namespaces. */
    {"fs.inotify.max_user_instances", "/proc/sys/fs/inotify/max_user_instances", 4096},
};

static bool read_number(const char *path, int64_t *number)
{
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text));

    if (fd >= 0) {
        close(fd);
    }
    return got > 0 &&
           text_to_i64(slice_trim(slice_of(text, (size_t)got)), 0, INT64_MAX, number, NULL) == 0;
}

static void write_number(const char *path, int64_t number)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || dprintf(fd, "%lld\n", (long long)number) < 0) {
        log_warn("limit.unchanged file=%s wanted=%lld", path, (long long)number);
    }
    if (fd >= 0) {
        close(fd);
    }
}

void limits_raise(void)
{
    char note[256], text[32];
    int64_t now;

    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        if (!read_number(limits[i].file, &now) || now >= limits[i].wanted) {
            continue;
        }
        snprintf(note, sizeof(note), MACHINE_DIR "/%s", limits[i].name);
        if (access(note, F_OK) != 0) {
            snprintf(text, sizeof(text), "%lld\n", (long long)now);
            write_file(note, slice_z(text), 0644, NULL);
        }
        write_number(limits[i].file, limits[i].wanted);
    }
}

void limits_restore(void)
{
    char note[256];
    int64_t before, now;

    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        snprintf(note, sizeof(note), MACHINE_DIR "/%s", limits[i].name);
        if (read_number(note, &before)) {
            /* Somebody else's later change stays. */
            if (read_number(limits[i].file, &now) && now == limits[i].wanted) {
                write_number(limits[i].file, before);
            }
            unlink(note);
        }
    }
}
