/* musterd: started as user muster, restarted when it ends. */
#include "warden/daemon.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACK_OFF_MS_MIN 100
#define BACK_OFF_MS_MAX 5000
#define LISTEN_FD 10 /* In musterd. */
#define WARDEN_FD 11

static struct {
    int argc;
    char **argv;
    int listen_fd;
    pid_t pid; /* 0: down. */
    int64_t restart_at_ms, started_ms, back_off_ms;
} musterd;

void supervise_open(int argc, char **argv, int listen_fd)
{
    musterd.argc = argc;
    musterd.argv = argv;
    musterd.listen_fd = listen_fd;
    musterd.back_off_ms = BACK_OFF_MS_MIN;
    warden.socket = -1;
}

static void start(void)
{
    static char listen_variable[32], warden_variable[32], block_variable[32];
    char program[PATH_BYTES], state[PATH_BYTES];
    int pair[2];
    ssize_t length;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        log_error("warden.socketpair reason=\"%s\"", strerror(errno));
        return;
    }
    length = readlink("/proc/self/exe", program, sizeof(program) - 32);
    ASSERT(length > 0);
    program[length] = '\0';
    *strrchr(program, '/') = '\0';
    if (strlen(program) > 7 && strcmp(program + strlen(program) - 7, "/warden") == 0) {
        *strrchr(program, '/') = '\0'; /* In the build directory. */
        strcat(program, "/musterd");
    }
    strcat(program, "/musterd");
    site_path(&warden.site, state, "musterd");
    musterd.started_ms = time_boot_ms();
    warden.generation++;
    musterd.pid = fork();
    if (musterd.pid == 0) {
        const int from[] = {musterd.listen_fd, pair[1]}, to[] = {LISTEN_FD, WARDEN_FD};
        char **argv = mem_calloc((size_t)musterd.argc + 4, sizeof(char *));
        int count = 0;

        become_child();
        for (int i = 0; i < musterd.argc; i++) {
            argv[count++] = musterd.argv[i];
        }
        argv[0] = program;
        argv[count++] = (char *)(uintptr_t) "--state-dir";
        argv[count++] = state;
        snprintf(listen_variable, sizeof(listen_variable), "%d", LISTEN_FD);
        snprintf(warden_variable, sizeof(warden_variable), "%d", WARDEN_FD);
        snprintf(block_variable, sizeof(block_variable), "%u", warden.site.block);
        setenv("MUSTERD_ADDRESS_BLOCK", block_variable, 1);
        setenv("MUSTERD_LISTEN_FD", listen_variable, 1);
        setenv("MUSTERD_WARDEN_FD", warden_variable, 1);
        if (process_pass(from, to, COUNT_OF(to)) != 0 || close_range(WARDEN_FD + 1, ~0U, 0) != 0 ||
            setgroups(0, NULL) != 0 || setgid(warden.site.musterd_gid) != 0 ||
            setuid(warden.site.musterd_uid) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) { /* After setuid(), which clears it. */
            _exit(126);
        }
        execv(program, argv);
        fprintf(stderr, "muster-warden: %s: %s\n", program, strerror(errno));
        _exit(127);
    }
    close(pair[1]);
    if (musterd.pid < 0) { /* Too many processes: in a while. */
        log_warn("musterd.fork error=\"%s\"", strerror(errno));
        musterd.pid = 0;
        musterd.restart_at_ms = musterd.started_ms + BACK_OFF_MS_MAX;
        close(pair[0]);
        return;
    }
    warden.socket = pair[0];
}

static void on_ended(int status)
{
    int64_t ran_ms = time_boot_ms() - musterd.started_ms;

    close(warden.socket);
    warden.socket = -1;
    musterd.pid = 0;
    requests_forsaken();
    if (warden.generation == 1 && WIFEXITED(status) &&
        (WEXITSTATUS(status) == 2 || (WEXITSTATUS(status) == 1 && ran_ms < 500))) {
        warden.stopping = true; /* It said why; another try would say the same. */
        return;
    }
    musterd.back_off_ms =
        ran_ms > 10000 ? BACK_OFF_MS_MIN : min_i64(musterd.back_off_ms * 2, BACK_OFF_MS_MAX);
    musterd.restart_at_ms = time_boot_ms() + musterd.back_off_ms;
    log_warn("musterd.ended status=%d restart_in_ms=%lld", status, (long long)musterd.back_off_ms);
}

void supervise_reaped(pid_t pid, int status)
{
    if (pid == musterd.pid) {
        on_ended(status);
    }
}

void supervise_tick(int64_t now_ms)
{
    if (musterd.pid == 0 && !warden.stopping && now_ms >= musterd.restart_at_ms) {
        start();
    }
}

void supervise_kill(void)
{
    if (musterd.pid > 0) {
        kill(musterd.pid, SIGKILL);
    }
}

/* The end of the warden is musterd's end; instances and haproxy go on. */
void supervise_close(void)
{
    if (musterd.pid > 0) {
        kill(musterd.pid, SIGTERM);
        for (int i = 0; i < 100 && waitpid(musterd.pid, NULL, WNOHANG) == 0; i++) {
            usleep(50000);
        }
        kill(musterd.pid, SIGKILL);
    }
}
