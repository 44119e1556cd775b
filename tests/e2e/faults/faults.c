/* Preloaded into a daemon under test: a wall clock that jumps, a disk that is slow or fails.
 *
 * MUSTER_FAULTS names a file of three 64-bit numbers that the test writes and this reads anew at
 * each call (test_faults.py). Only what the page cache and a RAM disk cannot do by themselves. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct faults {
    int64_t clock_ahead_s;
    int64_t sync_takes_ms;
    int64_t sync_errno; /* 0: syncs succeed. */
};

static const struct faults *faults(void)
{
    static const struct faults none;
    static const struct faults *mapped;
    const char *path = getenv("MUSTER_FAULTS");
    void *memory;
    int fd;

    if (mapped != NULL || path == NULL) {
        return mapped != NULL ? mapped : &none;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        abort();
    }
    memory = mmap(NULL, sizeof(struct faults), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        abort();
    }
    mapped = memory;
    return mapped;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    int rc;

    if (real == NULL) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    rc = real(id, now);
    if (rc == 0 && id == CLOCK_REALTIME) {
        now->tv_sec += faults()->clock_ahead_s;
    }
    return rc;
}

static int sync_badly(int fd, const char *name)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int64_t takes_ms = faults()->sync_takes_ms;
    struct timespec pause = {takes_ms / 1000, takes_ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
    if (faults()->sync_errno != 0) {
        errno = (int)faults()->sync_errno;
        return -1;
    }
    return real(fd);
}

int fsync(int fd)
{
    return sync_badly(fd, "fsync");
}

int fdatasync(int fd)
{
    return sync_badly(fd, "fdatasync");
}
