/* muster-warden: the entry point and the only privileged process. It starts musterd as user muster,
 * restarts it when it ends, keeps its listening socket, and does kernel work for it. */
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "http/server.h"
#include "musterd/options.h"
#include "warden/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 200
#define END_TRIES_MAX 100

struct daemon warden;

static int lock_fd, signal_fd, listen_fd;

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        supervise_reaped(pid, status);
        requests_reaped(pid, status);
        haproxy_reaped(pid, status);
    }
}

static void on_signal(void)
{
    struct signalfd_siginfo info;

    while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap();
        } else {
            log_info("warden.stopping signal=%u", info.ssi_signo);
            warden.stopping = true;
        }
    }
}

static void loop(void)
{
    static struct pollfd fds[WATCHED_MAX + 2];

    while (!warden.stopping) {
        size_t count;
        int64_t now_ms = time_boot_ms();

        requests_deadlines(now_ms);
        supervise_tick(now_ms);
        fds[0] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = warden.socket, .events = POLLIN};
        count = watch_poll(fds + 2);
        if (poll(fds, count + 2, TICK_MS) <= 0) {
            continue;
        }
        watch_polled(fds + 2, count);
        if ((fds[1].revents & (POLLIN | POLLHUP)) != 0 && warden.socket >= 0) {
            ssize_t bytes =
                recv(warden.socket, requests_room(), WARDEN_MESSAGE_BYTES_MAX, MSG_DONTWAIT);

            if (bytes > 0) {
                requests_take((size_t)bytes);
            }
        }
        if (fds[0].revents != 0) {
            on_signal();
        }
    }
}

/* The start. */

static int claim(struct error *err)
{
    char path[PATH_BYTES];

    site_path(&warden.site, path, "lock");
    lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_fd < 0) {
        return error_errno(err, "%s", path);
    }
    if (flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return error_set(err, ERR_CONFIG,
                         "another muster-warden runs on %s; stop it, or choose another --state-dir",
                         warden.site.state);
    }
    /* For a purge, which ends us first. */
    if (ftruncate(lock_fd, 0) != 0 || dprintf(lock_fd, "%d\n", (int)getpid()) < 0) {
        return error_errno(err, "%s", path);
    }
    return 0;
}

/* A warden that runs would make anew what is purged. The lock says whether there is one. */
static int end_running(const struct site *site, struct error *err)
{
    char path[PATH_BYTES], text[32] = "";
    int64_t pid = 0;
    int tries = 0, fd;

    site_path(site, path, "lock");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0 && tries++ < END_TRIES_MAX) {
        if (tries == 1 && pread(fd, text, sizeof(text) - 1, 0) > 0 &&
            text_to_i64(slice_trim(slice_z(text)), 2, INT32_MAX, &pid, NULL) == 0) {
            kill((pid_t)pid, SIGTERM);
        }
        usleep(TICK_MS * 1000);
    }
    close(fd);
    return tries <= END_TRIES_MAX
               ? 0
               : error_set(err, ERR_BUSY,
                           "the muster-warden of %s does not end; end it, then try "
                           "again",
                           site->state);
}

static void adopt(void)
{
    char path[PATH_BYTES];
    const char *const argv[] = {"ls", path, NULL};
    struct buf names = {0};
    struct slice rest, name;

    site_path(&warden.site, path, "instances");
    if (run_program(argv, SLICE_EMPTY, &names, NULL) == 0) {
        rest = buf_slice(&names);
        while (slice_next(&rest, '\n', &name)) {
            char id[WARDEN_ID_BYTES];

            snprintf(id, sizeof(id), "%.*s", SLICE_ARG(name));
            if (id_has(id, sizeof(id), "i-") &&
                instance_state(&warden.site, id) == WARDEN_RUNNING) {
                watch_begin(id);
            }
        }
    }
    buf_close(&names);
    haproxy_adopt();
}

/* Systemd instances take three inotify instances each, all of root's: the first wall (128). */
static void raise_limits(void)
{
    static const char file[] = "/proc/sys/fs/inotify/max_user_instances";
    char text[32] = "", path[PATH_BYTES];
    int64_t now = 0;
    FILE *stream = fopen(file, "re");

    if (stream != NULL) {
        if (fgets(text, sizeof(text), stream) == NULL) {
            text[0] = '\0';
        }
        fclose(stream);
    }
    if (text_to_i64(slice_trim(slice_z(text)), 0, INT64_MAX, &now, NULL) != 0 || now >= 4096) {
        return;
    }
    site_path(&warden.site, path, "inotify.before");
    if (access(path, F_OK) != 0) {
        write_file(path, slice_z(text), 0600, NULL); /* Purge puts it back. */
    }
    stream = fopen(file, "we");
    if (stream != NULL) {
        fputs("4096\n", stream);
        fclose(stream);
    }
}

static int run(const struct options *options, int argc, char **argv, struct error *err)
{
    sigset_t mask;
    int rc;

    if (geteuid() != 0) {
        return error_set(err, ERR_CONFIG,
                         "real containers need root (sudo muster-warden ...); without it: musterd "
                         "--compute sim");
    }
    rc = site_open(&warden.site, options->state_dir, true, err);
    if (rc == 0) {
        rc = block_claim(&warden.site, err);
    }
    if (rc == 0) {
        rc = claim(err);
    }
    if (rc == 0) {
        rc = rootfs_prepare_base(&warden.site, err);
    }
    if (rc == 0) {
        rc = http_listen(options->listen_address, options->listen_port, &listen_fd, err);
    }
    if (rc != 0) {
        return rc;
    }
    raise_limits();
    warden.site.region = options->region;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    supervise_open(argc, argv, listen_fd);
    adopt();
    {
        char link[PATH_BYTES];

        site_path(&warden.site, link, "credentials");
        if (symlink("musterd/credentials", link) != 0 && errno != EEXIST) {
            return error_errno(err, "%s", link);
        }
    }
    loop();
    supervise_close();
    return 0;
}

static int purge(const char *state_dir, struct error *err)
{
    struct site site = {0};
    int rc;

    if (geteuid() != 0) {
        return error_set(err, ERR_CONFIG, "purging needs root");
    }
    rc = site_open(&site, state_dir, false, err);
    if (rc == ERR_NOT_FOUND) {
        printf("nothing to purge in %s\n", state_dir);
        return 0;
    }
    if (rc == 0) {
        rc = end_running(&site, err);
    }
    if (rc != 0) {
        return rc;
    }
    return purge_site(&site) ? 0 : error_set(err, ERR_SYSTEM, "something is left in %s", state_dir);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    bool purging = false;
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--purge") == 0) {
            purging = true;
            memmove(&argv[i], &argv[i + 1], (size_t)(argc - i) * sizeof(*argv));
            argc--;
            i--;
        }
    }
    rc = options_read(argc, argv, &options, &err);
    if (rc == 0 && options.help) {
        options_help(stdout);
        printf("\nmuster-warden --purge [--state-dir DIR] removes all that was made there.\n");
        return 0;
    }
    if (rc == 0 && options.version) {
        printf("muster-warden " MUSTER_VERSION "\n");
        return 0;
    }
    if (rc == 0) {
        rc = purging ? purge(options.state_dir, &err) : run(&options, argc, argv, &err);
    }
    if (rc != 0) {
        fprintf(stderr, "muster-warden: %s\n", err.message);
    }
    options_close(&options);
    return rc == 0 ? 0 : rc == ERR_CONFIG ? 2 : 1;
}
