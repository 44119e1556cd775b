/* What the kernel's files say: mountinfo, and the controllers' own. */
#include "compute/cgroup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const names[] = {"cpu.stat", "cpuacct.usage", "memory.usage_in_bytes",
                                    "memory.stat", "memory.current"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static char place[] = "/tmp/muster-fuzz-XXXXXX";
static int directory = -1;

static void remove_place(void)
{
    for (size_t i = 0; i < NAMES; i++) {
        unlinkat(directory, names[i], 0);
    }
    rmdir(place);
}

static void open_place(void)
{
    if (directory < 0) {
        if (mkdtemp(place) == NULL) {
            abort();
        }
        directory = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        atexit(remove_place);
    }
}

/* Every file holds the same text. */
static void read_usage(struct slice text)
{
    struct cgroup_layout v1 = {0}, v2 = {0};
    struct cgroup_usage usage;
    struct error err;

    open_place();
    for (size_t i = 0; i < NAMES; i++) {
        int fd;

        unlinkat(directory, names[i], 0); /* ext4 writes out what was truncated, at once. */
        fd = openat(directory, names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text.data, text.bytes) != (ssize_t)text.bytes) {
            abort();
        }
        close(fd);
    }
    snprintf(v1.cpuacct, sizeof(v1.cpuacct), "%s", place);
    snprintf(v1.cpu, sizeof(v1.cpu), "%s", place);
    snprintf(v1.memory, sizeof(v1.memory), "%s", place);
    snprintf(v2.unified, sizeof(v2.unified), "%s", place);
    if (cgroup_read_in(&v1, ".", &usage, &err) == 0 && usage.cpu_ns < 0) {
        abort();
    }
    if (cgroup_read_in(&v2, ".", &usage, &err) == 0 && usage.cpu_ns < 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);
    struct cgroup_layout layout;
    FILE *file = bytes == 0 ? NULL : fmemopen((void *)(uintptr_t)data, bytes, "r");

    if (file != NULL) {
        cgroup_layout_read(file, &layout);
        fclose(file);
        read_usage(text);
    }
    (void)cgroup_field(text, "usage_usec");
    return 0;
}
