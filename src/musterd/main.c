/* musterd: the control plane. Wiring, nothing else.
 *
 * With real containers muster-warden starts it, as user muster, with two inherited descriptors: the
 * warden's socket (MUSTERD_WARDEN_FD) and the listening socket of the APIs (MUSTERD_LISTEN_FD). */
#include "api/api.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/schedule.h"
#include "base/text.h"
#include "compute/compute.h"
#include "http/server.h"
#include "musterd/about.h"
#include "musterd/options.h"
#include "musterd/services.h"
#include "network/address.h"
#include "services/iam/iam.h"
#include "store/store.h"
#include "wire/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define LOCK_NAME "musterd.lock"
#define API_BODY_BYTES_MAX (16 * 1024 * 1024)
#define SIM_BOOT_MS 1000
#define SIM_STOP_MS 500

struct musterd {
    struct options options;
    struct control control;
    struct wire_hooks hooks;
    struct http_server *server;
    uv_signal_t terminate, interrupt;
    char endpoint[64];
    int lock_fd;
};

/* Hooks. */

static struct ctx *begin(void *data)
{
    return control_begin(data);
}

static bool writable(void *data)
{
    const struct control *control = data;

    return !store_low_space(control->store);
}

/* Memory is ahead of the disk: what is on disk is true, the next process starts from it. */
static void on_store_failed(void *data, const struct error *err)
{
    (void)data;
    log_error("store.failed reason=\"%s\" action=\"restarting from what is on disk\"",
              err->message);
    _exit(EXIT_FAILED);
}

static void handle(void *data, struct http_request *request)
{
    struct musterd *musterd = data;

    if (!about_handle(&musterd->options, &musterd->control, request)) {
        wire_handle(&musterd->hooks, request);
    }
}

/* An inherited descriptor, or -1. */
static int inherited(const char *variable)
{
    const char *text = getenv(variable);
    int64_t fd;

    if (text == NULL || text_to_i64(slice_z(text), 3, 65535, &fd, NULL) != 0) {
        return -1;
    }
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    return (int)fd;
}

/* What the warden has claimed for us; the sim has the machine to itself. */
static uint32_t address_block_given(void)
{
    const char *text = getenv("MUSTERD_ADDRESS_BLOCK");
    int64_t block = 0;

    if (text != NULL) {
        (void)text_to_i64(slice_z(text), 0, ADDRESS_BLOCKS - 1, &block, NULL);
    }
    return (uint32_t)block;
}

/* An empty directory, or one that musterd has used before: others may not read it from now on,
 * which must not happen to somebody's home or /tmp. */
static int take_state_dir(const char *directory, struct error *err)
{
    DIR *stream = opendir(directory);
    struct stat status;
    const struct dirent *entry;
    bool empty = true, ours = false;

    if (stream == NULL || fstat(dirfd(stream), &status) != 0) {
        return error_errno(err, "%s", directory);
    }
    while ((entry = readdir(stream)) != NULL) {
        empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                 strcmp(entry->d_name, "log") == 0; /* run.sh keeps our output there. */
        ours |= strcmp(entry->d_name, LOCK_NAME) == 0;
    }
    closedir(stream);
    if (!empty && !ours) {
        return error_set(err, ERR_CONFIG,
                         "%s holds other things; choose an empty or new directory for --state-dir",
                         directory);
    }
    if (status.st_uid != geteuid()) {
        return error_set(err, ERR_CONFIG,
                         "%s belongs to another user; choose another --state-dir, or be that user",
                         directory);
    }
    return (status.st_mode & 077) == 0 || chmod(directory, 0700) == 0
               ? 0
               : error_errno(err, "%s", directory);
}

/* One daemon per state directory. */
static int lock_state_dir(struct musterd *musterd, struct error *err)
{
    const char *directory = musterd->options.state_dir;
    char path[4096];

    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return error_errno(err, "%s", directory);
    }
    if (take_state_dir(directory, err) != 0) {
        return err->code;
    }
    if (snprintf(path, sizeof(path), "%s/" LOCK_NAME, directory) >= (int)sizeof(path)) {
        return error_set(err, ERR_CONFIG, "--state-dir is too long");
    }
    musterd->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (musterd->lock_fd < 0) {
        return error_errno(err, "%s", path);
    }
    if (flock(musterd->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return error_set(err, ERR_CONFIG,
                         "another musterd uses %s; choose another --state-dir, or stop it",
                         directory);
    }
    return 0;
}

static int open_compute(struct musterd *musterd, struct error *err)
{
    int warden_fd = inherited("MUSTERD_WARDEN_FD");

    if (musterd->options.compute == COMPUTE_SIM) {
        const struct compute_sim_options sim = {.loop = musterd->control.loop,
                                                .time_scale = musterd->options.time_scale,
                                                .boot_ms = SIM_BOOT_MS,
                                                .stop_ms = SIM_STOP_MS};

        musterd->control.compute = compute_sim_open(&sim);
        return 0;
    }
    if (warden_fd < 0) {
        return error_set(err, ERR_CONFIG,
                         "real containers need root: start muster-warden instead, or use "
                         "--compute sim");
    }
    return compute_lxc_open(musterd->control.loop, warden_fd, musterd->options.state_dir,
                            &musterd->control.compute, err);
}

static double vcpu_share(const struct options *options)
{
    double cores = (double)sysconf(_SC_NPROCESSORS_ONLN);

    if (options->vcpu_share > 0) {
        return options->vcpu_share;
    }
    return cores >= 8 ? 1 : cores / 8;
}

static int open_control(struct musterd *musterd, struct error *err)
{
    const struct options *options = &musterd->options;
    const struct store_options store = {
        .directory = options->state_dir, .loop = musterd->control.loop, .failed = on_store_failed};
    int rc = store_open(&store, &musterd->control.store, err);

    if (rc == 0) {
        rc = open_compute(musterd, err);
    }
    if (rc != 0) {
        return rc;
    }
    musterd->control.options = (struct control_options){
        .state_dir = options->state_dir,
        .region = options->region,
        .account = options->account_id,
        .time_scale = options->time_scale,
        .metric_resolution_aws = options->metric_resolution_aws,
        .vcpu_share = vcpu_share(options),
        .allow_lan = options->allow_lan,
        .address_block = address_block_given(),
        .endpoint = musterd->endpoint,
    };
    musterd->hooks = (struct wire_hooks){
        .model = &api,
        .region = options->region,
        .data = &musterd->control,
        .find_secret = iam_find_secret,
        .authorize = iam_authorize,
        .resource = musterd_resource,
        .begin = begin,
        .commit = control_commit,
        .end = control_end,
        .writable = writable,
    };
    musterd->control.hooks = &musterd->hooks;
    return 0;
}

static int open_server(struct musterd *musterd, struct error *err)
{
    const struct options *options = &musterd->options;
    int fd = inherited("MUSTERD_LISTEN_FD");
    struct http_server_options server = {
        .loop = musterd->control.loop,
        .handler = handle,
        .data = musterd,
        .body_bytes_max = API_BODY_BYTES_MAX,
    };
    int rc = fd >= 0 ? 0 : http_listen(options->listen_address, options->listen_port, &fd, err);

    if (rc != 0) {
        return rc;
    }
    snprintf(musterd->endpoint, sizeof(musterd->endpoint), "http://%s:%d", options->listen_address,
             http_listen_port(fd));
    server.listen_fd = fd;
    return http_server_open(&server, &musterd->server, err);
}

/* The end: stop accepting, let the store write what waits, leave instances and haproxy running. */
static void on_signal(uv_signal_t *signal, int number)
{
    struct musterd *musterd = signal->data;

    log_info("musterd.stopping signal=%d", number);
    uv_stop(musterd->control.loop);
}

static void close_all(struct musterd *musterd)
{
    http_server_close(musterd->server);
    store_close(musterd->control.store);
    for (size_t i = musterd_services_count; i-- > 0;) {
        if (musterd_services[i]->close != NULL) {
            musterd_services[i]->close(&musterd->control);
        }
    }
    if (musterd->control.compute != NULL) {
        musterd->control.compute->driver->close(musterd->control.compute);
    }
    control_close(&musterd->control);
    uv_close((uv_handle_t *)&musterd->terminate, NULL);
    uv_close((uv_handle_t *)&musterd->interrupt, NULL);
    for (int turn = 0; turn < 100 && uv_run(musterd->control.loop, UV_RUN_NOWAIT) != 0; turn++) {
    }
    options_close(&musterd->options);
}

static int run(struct musterd *musterd, struct error *err)
{
    uv_loop_t *loop = musterd->control.loop;
    int rc = lock_state_dir(musterd, err);

    if (rc == 0) {
        rc = open_control(musterd, err);
    }
    if (rc == 0) {
        rc = control_start(&musterd->control, musterd_services, musterd_services_count, err);
    }
    if (rc == 0) {
        rc = open_server(musterd, err);
    }
    if (rc != 0) {
        return rc;
    }
    printf("ready %s\n", musterd->endpoint);
    fflush(stdout);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}

/* Secrets are in memory: no core file, no ptrace() and no /proc/PID/{mem,environ} for others, of
 * our own user included. */
static void keep_memory_private(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
    static struct musterd musterd;
    struct error err = {0};
    enum log_level level = LOG_INFO_LEVEL;
    int rc = options_read(argc, argv, &musterd.options, &err);

    if (rc != 0) {
        fprintf(stderr, "musterd: %s\n", err.message);
        return EXIT_USAGE;
    }
    if (musterd.options.help) {
        options_help(stdout);
        return 0;
    }
    if (musterd.options.version) {
        printf("musterd " MUSTER_VERSION "\n");
        return 0;
    }
    log_level_parse(musterd.options.log_level, &level, NULL);
    log_set_level(level);
    umask(077);
    keep_memory_private();
    schedule_short_turns();
    signal(SIGPIPE, SIG_IGN);
    musterd.control.loop = uv_default_loop();
    uv_signal_init(musterd.control.loop, &musterd.terminate);
    uv_signal_init(musterd.control.loop, &musterd.interrupt);
    musterd.terminate.data = &musterd;
    musterd.interrupt.data = &musterd;
    uv_signal_start(&musterd.terminate, on_signal, SIGTERM);
    uv_signal_start(&musterd.interrupt, on_signal, SIGINT);
    rc = run(&musterd, &err);
    if (rc != 0) {
        fprintf(stderr, "musterd: %s\n", err.message);
    }
    close_all(&musterd);
    return rc == 0 ? 0 : EXIT_FAILED;
}
