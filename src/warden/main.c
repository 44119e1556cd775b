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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 200
#define CLAIM_TRIES_MAX 60
#define LISTEN_TRY_US 100000
#define LISTEN_TRIES 20
#define CLAIM_TRY_US 50000
#define LOG_CHECK_MS 10000
#define LOG_BYTES_MAX (1 << 20)

struct daemon warden;

static int signal_fd, listen_fd;

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

/* liblxc writes one for each instance for as long as it runs; how much, the instance has a say in.
 */
static void cut_log(void *data, const char *name)
{
    char path[PATH_BYTES];
    struct stat status;

    (void)data;
    site_path(&warden.site, path, "log/%s", name);
    if (stat(path, &status) == 0 && status.st_size > LOG_BYTES_MAX && truncate(path, 0) == 0) {
        log_warn("instance.log file=%s begins anew", name);
    }
}

static void cut_logs(int64_t now_ms)
{
    static int64_t due_ms;
    char path[PATH_BYTES];

    if (now_ms >= due_ms) {
        due_ms = now_ms + LOG_CHECK_MS;
        site_path(&warden.site, path, "log");
        each_name(path, "i-", cut_log, NULL);
    }
}

static void loop(void)
{
    enum { SIGNAL, MUSTERD, KEEP, FIXED };
    static struct pollfd fds[FIXED + WATCHED_MAX + HAPROXIES_MAX];

    while (!warden.stopping) {
        size_t instances, haproxies;
        int64_t now_ms = time_boot_ms();

        requests_deadlines(now_ms);
        supervise_tick(now_ms);
        haproxy_tick(now_ms);
        cut_logs(now_ms);
        fds[SIGNAL] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
        fds[MUSTERD] = (struct pollfd){.fd = warden.socket, .events = POLLIN};
        fds[KEEP] = (struct pollfd){.fd = keep_fd(), .events = POLLIN};
        instances = watch_poll(fds + FIXED);
        haproxies = haproxy_poll(fds + FIXED + instances);
        if (poll(fds, FIXED + instances + haproxies, TICK_MS) <= 0) {
            continue;
        }
        watch_polled(fds + FIXED, instances);
        haproxy_polled(fds + FIXED + instances, haproxies);
        if (fds[KEEP].revents != 0) {
            keep_take(); /* Before anybody asks for them. */
        }
        if ((fds[MUSTERD].revents & (POLLIN | POLLHUP)) != 0 && warden.socket >= 0) {
            ssize_t bytes =
                recv(warden.socket, requests_room(), WARDEN_MESSAGE_BYTES_MAX, MSG_DONTWAIT);

            if (bytes > 0) {
                requests_take((size_t)bytes);
            } else if ((fds[MUSTERD].revents & POLLHUP) != 0) {
                supervise_kill(); /* Mostly it has ended already; else it will hear nothing more. */
            }
        }
        if (fds[SIGNAL].revents != 0) {
            on_signal();
        }
    }
}

/* The children of a warden that was killed hold its socket until they have died, too. */
static int open_api(const struct options *options, int *fd, struct error *err)
{
    int rc = http_listen(options->listen_address, options->listen_port, fd, err);

    for (int i = 0; rc != 0 && errno == EADDRINUSE && i < LISTEN_TRIES; i++) {
        usleep(LISTEN_TRY_US);
        errno = 0;
        rc = http_listen(options->listen_address, options->listen_port, fd, err);
    }
    return rc;
}

/* The start. */

static int claim(struct error *err)
{
    char path[PATH_BYTES];
    int tries = 0;

    site_path(&warden.site, path, "lock");
    warden.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (warden.lock < 0) {
        return error_errno(err, "%s", path);
    }
    /* Children of one that was killed may take a moment to follow it. */
    while (flock(warden.lock, LOCK_EX | LOCK_NB) != 0) {
        if (tries++ < CLAIM_TRIES_MAX) {
            usleep(CLAIM_TRY_US);
            continue;
        }
        return error_set(err, ERR_CONFIG,
                         "another muster-warden runs on %s; stop it, or choose another --state-dir",
                         warden.site.state);
    }
    /* For a purge, which ends us first. */
    if (ftruncate(warden.lock, 0) != 0 || dprintf(warden.lock, "%d\n", (int)getpid()) < 0) {
        return error_errno(err, "%s", path);
    }
    return 0;
}

static void adopt_instance(void *data, const char *id)
{
    (void)data;
    if (id_has(id, WARDEN_ID_BYTES, "i-") && instance_state(&warden.site, id) == WARDEN_RUNNING) {
        instance_adopt(&warden.site, id);
        watch_begin(id);
        log_info("instance.adopted id=%s", id);
    }
}

/* What an earlier warden left goes on. */
static void adopt(void)
{
    char path[PATH_BYTES];

    site_path(&warden.site, path, "instances");
    each_name(path, "i-", adopt_instance, NULL);
    images_adopt(&warden.site);
    haproxy_adopt();
}

/* A few for each instance and each listener. */
static void raise_files(void)
{
    struct rlimit all;

    if (getrlimit(RLIMIT_NOFILE, &warden.files) == 0) {
        all = (struct rlimit){warden.files.rlim_max, warden.files.rlim_max};
        setrlimit(RLIMIT_NOFILE, &all);
    }
}

static int run(const struct options *options, int argc, char **argv, struct error *err)
{
    static const char *const controllers[] = {"cpu", "memory", "pids"};
    sigset_t mask;
    int rc;

    if (geteuid() != 0) {
        return error_set(err, ERR_CONFIG,
                         "real containers need root (sudo muster-warden ...); without it: musterd "
                         "--compute sim");
    }
    raise_files();
    if (chdir("/") != 0) { /* HAProxy comes back to where it was started, which may be a home. */
        return error_errno(err, "/");
    }
    rc = site_open(&warden.site, options->state_dir, true, err);
    if (rc == 0) {
        rc = block_claim(&warden.site, err);
    }
    if (rc == 0) {
        rc = claim(err);
    }
    if (rc == 0) {
        rc = images_prepare_base(&warden.site, err);
    }
    if (rc == 0) {
        rc = open_api(options, &listen_fd, err);
    }
    if (rc != 0) {
        return rc;
    }
    sysctl_raise_shared();
    for (size_t i = 0; i < COUNT_OF(controllers); i++) {
        struct error problem;

        if (cgroups_try(controllers[i], &problem) != 0) {
            log_warn("cgroup.missing controller=%s reason=\"%s\"", controllers[i], problem.message);
        }
    }
    warden.site.region = options->region;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    keep_open();
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

static int purge(const char *state_dir, bool all, struct error *err)
{
    struct site site = {0};
    bool done;
    int rc;

    if (geteuid() != 0) {
        return error_set(err, ERR_CONFIG, "purging needs root (sudo)");
    }
    rc = site_open(&site, state_dir, false, err);
    if (rc == 0) {
        done = purge_site(&site);
    } else if (rc == ERR_NOT_FOUND) {
        block_release(&site); /* Its directory may be gone without a purge. */
        done = true;
        if (!all) {
            printf("nothing to purge in %s\n", state_dir);
        }
    } else {
        return rc;
    }
    if (all) {
        done &= purge_machine();
    }
    return done ? 0
                : error_set(err, ERR_SYSTEM, "something of %s is left: see above; try again",
                            all ? "this machine" : state_dir);
}

/* Our own words of the command line, taken out of it; the rest are musterd's too. */
static bool take_word(int *argc, char **argv, const char *word)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], word) == 0) {
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
            --*argc;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    bool purging = take_word(&argc, argv, "--purge");
    bool all = purging && take_word(&argc, argv, "--all");
    bool checking = take_word(&argc, argv, "--check");
    bool json = checking && take_word(&argc, argv, "--json");
    int rc;

    rc = options_read(argc, argv, &options, &err);
    if (rc == 0 && options.help) {
        options_help(stdout);
        printf("\nmuster-warden --purge [--state-dir DIR] removes all that was made there;\n"
               "muster-warden --purge --all removes it for every state directory of the machine,\n"
               "and the image cache.\n"
               "muster-warden --check [--json] tells whether this machine can run real "
               "containers.\n");
        return 0;
    }
    if (rc == 0 && options.version) {
        printf("muster-warden " MUSTER_VERSION "\n");
        return 0;
    }
    if (rc == 0 && checking) {
        bool good = host_check(options.state_dir, json);

        options_close(&options);
        return good ? 0 : 1;
    }
    if (rc == 0) {
        rc = purging ? purge(options.state_dir, all, &err) : run(&options, argc, argv, &err);
    }
    if (rc != 0) {
        fprintf(stderr, "muster-warden: %s\n", err.message);
    }
    options_close(&options);
    return rc == 0 ? 0 : rc == ERR_CONFIG ? 2 : 1;
}
