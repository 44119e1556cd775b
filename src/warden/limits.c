/* Kernel settings of the machine that sites need. Old values are kept in a file each and come back
 * with the last purge, unless somebody else has changed them since. */
#include "warden/private.h"

#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTE_PREFIX "sysctl:" /* Then the path below /proc/sys, with ':' for '/'. */

static bool read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, room - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static bool read_number(const char *path, int64_t *number)
{
    char text[32];

    return read_text(path, text, sizeof(text)) &&
           text_to_i64(slice_trim(slice_z(text)), 0, INT64_MAX, number, NULL) == 0;
}

static bool write_number(const char *path, int64_t number)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && dprintf(fd, "%lld\n", (long long)number) > 0;

    if (!done) {
        log_warn("sysctl.unchanged file=%s wanted=%lld", path, (long long)number);
    }
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

void sysctl_set(const char *name, int64_t wanted)
{
    char path[256], note[320], text[64];
    int64_t now;

    snprintf(path, sizeof(path), "/proc/sys/%.200s", name);
    if (!read_number(path, &now) || now >= wanted) {
        return;
    }
    snprintf(note, sizeof(note), MACHINE_DIR "/" NOTE_PREFIX "%.200s", name);
    for (char *at = note + strlen(MACHINE_DIR "/"); *at != '\0'; at++) {
        *at = *at == '/' ? ':' : *at;
    }
    if (access(note, F_OK) != 0) {
        snprintf(text, sizeof(text), "%lld %lld\n", (long long)now, (long long)wanted);
        write_file(note, slice_z(text), 0644, NULL);
    }
    write_number(path, wanted);
}

static void restore(void *data, const char *name)
{
    char path[512], note[512], text[64];
    long long before, wanted;
    int64_t now;

    (void)data;
    snprintf(note, sizeof(note), MACHINE_DIR "/%.300s", name);
    snprintf(path, sizeof(path), "/proc/sys/%.300s", name + strlen(NOTE_PREFIX));
    for (char *at = path; *at != '\0'; at++) {
        *at = *at == ':' ? '/' : *at;
    }
    if (read_text(note, text, sizeof(text)) && sscanf(text, "%lld %lld", &before, &wanted) == 2 &&
        read_number(path, &now) && now == wanted) {
        write_number(path, before);
    }
    unlink(note);
}

void sysctl_restore(void)
{
    each_name(MACHINE_DIR, NOTE_PREFIX, restore, NULL);
}
