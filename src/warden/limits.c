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

void sysctl_raise_shared(void)
{
    /* All that instances make in user namespaces counts against root as well, whose limit is then
     * one for all of them, and for the host's services. What they make is charged to their memory
     * (from Linux 5.15), which is limited for each. */
    static const char *const counted[] = {
        "fs/inotify/max_user_instances", "fs/inotify/max_user_watches",
        "user/max_user_namespaces",      "user/max_pid_namespaces",
        "user/max_net_namespaces",       "user/max_mnt_namespaces",
        "user/max_uts_namespaces",       "user/max_ipc_namespaces",
        "user/max_cgroup_namespaces",    "user/max_time_namespaces",
        "user/max_fanotify_groups",      "user/max_fanotify_marks",
    };
    char path[256];
    int64_t now;
    size_t refused = 0;

    for (size_t i = 0; i < COUNT_OF(counted); i++) {
        snprintf(path, sizeof(path), "/proc/sys/%.200s", counted[i]);
        if (!read_number(path, &now) || now == 0) { /* 0: somebody forbids it. */
            continue;
        }
        if (access(path, W_OK) == 0) {
            sysctl_set(counted[i], INT32_MAX);
        } else {
            refused++; /* Without CAP_SYS_RESOURCE, as in some containers. */
        }
    }
    if (refused > 0) {
        log_warn("sysctl.shared unchanged=%zu: instances share limits of namespaces", refused);
    }
    sysctl_set("fs/file-max", INT64_MAX);  /* As systemd does; files are charged, too. */
    sysctl_set("kernel/pid_max", 4194304); /* 2048 for each instance. */
    sysctl_set("net/ipv4/neigh/default/gc_thresh3", 262144);
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
