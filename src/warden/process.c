#include "warden/private.h"

#include "base/alloc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct process process_of(pid_t pid)
{
    struct process process = {pid, -1};
    char path[64], line[1024];
    const char *after;
    long long start;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = pid <= 0 ? NULL : fopen(path, "re");
    if (file == NULL) {
        return process;
    }
    /* Field 22, behind a name that may hold anything. */
    if (fgets(line, sizeof(line), file) != NULL && (after = strrchr(line, ')')) != NULL &&
        sscanf(after + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
               &start) == 1) {
        process.start = start;
    }
    fclose(file);
    return process;
}

bool process_lives(struct process process)
{
    return process.pid > 0 && process.start >= 0 && process_of(process.pid).start == process.start;
}

int process_open(struct process process)
{
    int fd = process.pid <= 0 ? -1 : (int)syscall(SYS_pidfd_open, process.pid, 0);

    if (fd >= 0 && !process_lives(process)) { /* Asked after the open: it cannot change now. */
        close(fd);
        return -1;
    }
    return fd;
}

void process_kill(struct process process, int signal)
{
    int fd = process_open(process);

    if (fd >= 0) {
        syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
        close(fd);
    }
}

int process_wait(pid_t child)
{
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_pass(const int from[], const int to[], size_t count)
{
    int *above = mem_calloc(count + 1, sizeof(*above));
    struct rlimit files;
    int lowest = 0, rc = 0;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* Each is there twice for a moment. */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (size_t i = 0; i < count; i++) {
        lowest = to[i] >= lowest ? to[i] + 1 : lowest;
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        above[i] = fcntl(from[i], F_DUPFD_CLOEXEC, lowest);
        rc = above[i] < 0 ? -1 : 0;
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = dup2(above[i], to[i]) < 0 ? -1 : 0;
    }
    free(above);
    return rc;
}
