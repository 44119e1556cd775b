/* Instances: unprivileged system containers by liblxc. Runs in forked children, but for the
 * functions that only look. */
#include "warden/private.h"

#include <errno.h>
#include <fcntl.h>
#include <lxc/attach_options.h>
#include <lxc/lxccontainer.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHUTDOWN_S 10
#define QUOTA_PERIOD_US 100000
#define MONITOR_MILLICORES 500 /* An instance that reboots for ever keeps its monitor busy. */
#define GROUPS_MAX "10000"
#define GROUP_DEPTH_MAX "64"
#define API_IN_VPC "http://169.254.169.252:4566"

static struct lxc_container *container_of(const struct site *site, const char *id)
{
    char path[PATH_BYTES], name[64];

    site_path(site, path, "lxc");
    site_container(site, id, name);
    return lxc_container_new(name, path);
}

enum warden_state instance_state(const struct site *site, const char *id)
{
    struct lxc_container *container;
    enum warden_state state = WARDEN_GONE;
    char path[PATH_BYTES];

    site_path(site, path, "instances/%s", id);
    if (access(path, F_OK) != 0) {
        return WARDEN_GONE;
    }
    container = container_of(site, id);
    state = container != NULL && container->is_running(container) ? WARDEN_RUNNING : WARDEN_STOPPED;
    if (container != NULL) {
        lxc_container_put(container);
    }
    return state;
}

void instance_adopt(const struct site *site, const char *id)
{
    struct lxc_container *container = container_of(site, id);

    if (container != NULL && container->is_running(container)) {
        container->unfreeze(container); /* An image was being made of it. */
    }
    if (container != NULL) {
        lxc_container_put(container);
    }
}

int instance_watch(const struct site *site, const char *id)
{
    struct lxc_container *container = container_of(site, id);
    pid_t init = container == NULL || !container->is_running(container)
                     ? -1
                     : container->init_pid(container);
    char path[64], line[512];
    int monitor = -1;
    FILE *file;

    if (container != NULL) {
        lxc_container_put(container);
    }
    snprintf(path, sizeof(path), "/proc/%d/stat", init);
    file = init <= 0 ? NULL : fopen(path, "re");
    if (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *after = strrchr(line, ')'); /* The name may hold anything. */

        if (after != NULL && sscanf(after + 1, " %*c %d", &monitor) != 1) {
            monitor = -1;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return monitor <= 1 ? -1 : (int)syscall(SYS_pidfd_open, monitor, 0);
}

/* The link. */

static int ip_batch(const char *text, struct error *err)
{
    static const char *const argv[] = {"ip", "-batch", "-", NULL};

    return run_program(argv, slice_z(text), NULL, err);
}

static int sysctl_in(const struct site *site, const char *vpc, const char *file, const char *value)
{
    pid_t child = fork();

    if (child == 0) {
        int fd;

        if (enter_namespace(site, vpc, NULL) != 0) {
            _exit(1);
        }
        fd = open(file, O_WRONLY | O_CLOEXEC);
        _exit(fd >= 0 && write(fd, value, strlen(value)) > 0 ? 0 : 1);
    }
    return process_wait(child);
}

/* Deleting either end deletes both; which one is ours to see depends on where the other is. */
static void delete_link(const struct site *site, const char *id, const char *vpc)
{
    char link[16], own[16], namespace[64];
    const char *const in_host[] = {"ip", "link", "delete", own, NULL};
    const char *const in_vpc[] = {"ip", "-n", namespace, "link", "delete", link, NULL};

    link_in_vpc(id, link);
    site_link(site, id, own);
    run_program(in_host, SLICE_EMPTY, NULL, NULL);
    if (vpc[0] != '\0') {
        site_namespace(site, vpc, namespace);
        run_program(in_vpc, SLICE_EMPTY, NULL, NULL);
    }
}

/* Which VPC it was started in; "" when it never was. */
static void vpc_of(const struct site *site, const char *id, char vpc[WARDEN_ID_BYTES])
{
    char path[PATH_BYTES], line[WARDEN_ID_BYTES + 2] = "";
    FILE *file;

    vpc[0] = '\0';
    site_path(site, path, "instances/%s/vpc", id);
    file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (id_has(line, sizeof(line), "vpc-")) {
            snprintf(vpc, WARDEN_ID_BYTES, "%.31s", line);
        }
    }
    fclose(file);
}

static int make_link(const struct site *site, const struct warden_instance *instance,
                     struct error *err)
{
    char link[16], own[16], namespace[64], address[ADDRESS_TEXT_BYTES], gateway[ADDRESS_TEXT_BYTES];
    char file[128];
    struct buf text = {0};
    int rc;

    link_in_vpc(instance->id, link);
    site_link(site, instance->id, own);
    site_namespace(site, instance->vpc, namespace);
    address_text(instance->address, address);
    address_text(subnet_gateway(instance->subnet), gateway);
    delete_link(site, instance->id, instance->vpc);
    buf_printf(&text,
               "link add %s address %02x:%02x:%02x:%02x:%02x:%02x type veth peer name %s netns "
               "%s\n",
               own, instance->mac[0], instance->mac[1], instance->mac[2], instance->mac[3],
               instance->mac[4], instance->mac[5], link, namespace);
    rc = ip_batch(buf_z(&text), err);
    buf_clear(&text);
    if (rc == 0) {
        buf_printf(&text, "link set %s up\nroute replace %s/32 dev %s src %s\n", link, address,
                   link, gateway);
        {
            const char *const argv[] = {"ip", "-n", namespace, "-batch", "-", NULL};

            rc = run_program(argv, buf_slice(&text), NULL, err);
        }
    }
    buf_close(&text);
    snprintf(file, sizeof(file), "/proc/sys/net/ipv4/neigh/%s/proxy_delay", link);
    sysctl_in(site, instance->vpc, file, "0");
    snprintf(file, sizeof(file), "/proc/sys/net/ipv4/conf/%s/proxy_arp", link);
    sysctl_in(site, instance->vpc, file, "1");
    return rc;
}

/* Limits. */

/* Counted for each user of an instance, and again for all instances together, against what root had
 * when it made their user namespaces: that is lifted in the process that starts one, and the
 * instance's first process gets it back. */
static const struct {
    int resource;
    const char *key;
} shared[] = {
    {RLIMIT_MEMLOCK, "lxc.prlimit.memlock"},
    {RLIMIT_MSGQUEUE, "lxc.prlimit.msgqueue"},
    {RLIMIT_NPROC, "lxc.prlimit.nproc"},
    {RLIMIT_SIGPENDING, "lxc.prlimit.sigpending"},
};

static void print_limit(char text[24], rlim_t limit)
{
    if (limit == RLIM_INFINITY) {
        snprintf(text, 24, "unlimited");
    } else {
        snprintf(text, 24, "%llu", (unsigned long long)limit);
    }
}

static void lift_shared_limits(struct lxc_container *container)
{
    const struct rlimit lifted = {RLIM_INFINITY, RLIM_INFINITY};

    for (size_t i = 0; i < COUNT_OF(shared); i++) {
        char soft[24], hard[24], both[64];
        struct rlimit now;

        if (getrlimit((__rlimit_resource_t)shared[i].resource, &now) == 0 &&
            setrlimit((__rlimit_resource_t)shared[i].resource, &lifted) == 0) {
            print_limit(soft, now.rlim_cur);
            print_limit(hard, now.rlim_max);
            snprintf(both, sizeof(both), "%s:%s", soft, hard);
            container->set_config_item(container, shared[i].key, both);
        }
    }
}

/* What liblxc has no words for, or refuses to start without. No swap: it would be the host's. */
static void limit_groups(const struct site *site, const struct warden_instance *instance)
{
    char name[64], memory[32], quota[32], both[64];

    site_container(site, instance->id, name);
    snprintf(memory, sizeof(memory), "%lld", (long long)instance->memory_bytes);
    snprintf(quota, sizeof(quota), "%d", MONITOR_MILLICORES * QUOTA_PERIOD_US / 1000);
    snprintf(both, sizeof(both), "%s %d", quota, QUOTA_PERIOD_US);
    cgroups_write("i", name, "memory.memsw.limit_in_bytes", memory);
    cgroups_write("i", name, "memory.swap.max", "0");
    cgroups_write("i", name, "cgroup.max.descendants", GROUPS_MAX);
    cgroups_write("i", name, "cgroup.max.depth", GROUP_DEPTH_MAX);
    cgroups_write("mon", name, "cpu.cfs_quota_us", quota);
    cgroups_write("mon", "", "../cgroup.subtree_control", "+cpu"); /* v2: muster, muster/mon. */
    cgroups_write("mon", "", "cgroup.subtree_control", "+cpu");
    cgroups_write("mon", name, "cpu.max", both);
}

/* Configuration. */

struct item {
    const char *key;
    const char *value;
};

static int configure(const struct site *site, const struct warden_instance *instance, uint32_t slot,
                     const char *merged, struct lxc_container *container, struct error *err)
{
    char console[PATH_BYTES], console_bytes[16];
    char own[16], rootfs[PATH_BYTES + 8], idmap[2][64], address[ADDRESS_TEXT_BYTES];
    char gateway[ADDRESS_TEXT_BYTES], network[32], quota[32], cpu_max[64], memory[32],
        log[PATH_BYTES];
    char payload[128], monitor[128], name[64], hostname[64], init[512];
    long long quota_us = (long long)instance->cpu_millicores * QUOTA_PERIOD_US / 1000;

    site_link(site, instance->id, own);
    site_container(site, instance->id, name);
    address_text(instance->address, address);
    address_text(subnet_gateway(instance->subnet), gateway);
    snprintf(rootfs, sizeof(rootfs), "dir:%s", merged);
    snprintf(idmap[0], sizeof(idmap[0]), "u 0 %u 65536", 100000 + slot * 65536);
    snprintf(idmap[1], sizeof(idmap[1]), "g 0 %u 65536", 100000 + slot * 65536);
    snprintf(network, sizeof(network), "%.15s/%d", address, instance->subnet.bits);
    snprintf(quota, sizeof(quota), "%lld", quota_us);
    snprintf(cpu_max, sizeof(cpu_max), "%lld %d", quota_us, QUOTA_PERIOD_US);
    snprintf(memory, sizeof(memory), "%lld", (long long)instance->memory_bytes);
    snprintf(payload, sizeof(payload), "muster/i/%s", name);
    snprintf(monitor, sizeof(monitor), "muster/mon/%s", name);
    snprintf(hostname, sizeof(hostname), "ip-%u-%u-%u-%u", instance->address >> 24,
             (instance->address >> 16) & 255, (instance->address >> 8) & 255,
             instance->address & 255);
    snprintf(init, sizeof(init),
             "/sbin/init systemd.setenv=AWS_ENDPOINT_URL=" API_IN_VPC
             " systemd.setenv=AWS_REGION=%s systemd.setenv=AWS_DEFAULT_REGION=%s",
             site->region, site->region);
    site_path(site, log, "log/%s.lxc", instance->id);
    console_path(site, instance->id, console);
    snprintf(console_bytes, sizeof(console_bytes), "%d", WARDEN_OUTPUT_BYTES_MAX);
    {
        const struct item items[] = {
            {"lxc.rootfs.path", rootfs},
            {"lxc.uts.name", hostname},
            {"lxc.init.cmd", init},
            {"lxc.idmap", idmap[0]},
            {"lxc.idmap", idmap[1]},
            {"lxc.mount.auto", "proc:mixed sys:mixed cgroup:mixed"},
            {"lxc.autodev", "1"},
            {"lxc.tty.max", "0"},
            {"lxc.pty.max", "1024"},
            {"lxc.signal.halt", "SIGRTMIN+3"},
            {"lxc.apparmor.profile", "unconfined"},
            {"lxc.seccomp.profile", "/usr/share/lxc/config/common.seccomp"},
            {"lxc.cap.drop",
             "mac_admin mac_override sys_time sys_module sys_rawio syslog sys_pacct "
             "sys_tty_config wake_alarm audit_control audit_read block_suspend linux_immutable "
             "lease bpf perfmon checkpoint_restore ipc_lock ipc_owner dac_read_search sys_nice "
             "sys_resource mknod"},
            {"lxc.net.0.type", "phys"},
            {"lxc.net.0.link", own},
            {"lxc.net.0.name", "eth0"},
            {"lxc.net.0.flags", "up"},
            {"lxc.net.0.ipv4.address", network},
            {"lxc.net.0.ipv4.gateway", gateway},
            {"lxc.cgroup.dir.container", payload},
            {"lxc.cgroup.dir.monitor", monitor},
            {"lxc.cgroup.memory.limit_in_bytes", memory},
            {"lxc.cgroup2.memory.max", memory},
            {"lxc.cgroup.pids.max", "2048"},
            {"lxc.cgroup2.pids.max", "2048"},
            {"lxc.log.file", log},
            {"lxc.log.level", "WARN"},
            {"lxc.console.logfile", console},
            {"lxc.console.size", console_bytes},
            {"lxc.console.rotate", "1"},
        };

        container->clear_config(container);
        for (size_t i = 0; i < COUNT_OF(items); i++) {
            if (!container->set_config_item(container, items[i].key, items[i].value)) {
                return error_set(err, ERR_SYSTEM, "liblxc refuses %s = %s", items[i].key,
                                 items[i].value);
            }
        }
    }
    if (quota_us > 0) {
        container->set_config_item(container, "lxc.cgroup.cpu.cfs_quota_us", quota);
        container->set_config_item(container, "lxc.cgroup2.cpu.max", cpu_max);
    }
    return container->save_config(container, NULL)
               ? 0
               : error_set(err, ERR_SYSTEM, "liblxc cannot save the configuration of %s",
                           instance->id);
}

/* The last ERROR line of its log says what liblxc does not. */
static void add_reason(const struct site *site, const char *id, struct buf *reason)
{
    char path[PATH_BYTES], line[1024];
    FILE *file;

    site_path(site, path, "log/%s.lxc", id);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *found = strstr(line, "ERROR");

        if (found != NULL) {
            buf_clear(reason);
            buf_add(reason, slice_trim(slice_z(found)));
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static int start(const struct site *site, const struct warden_instance *instance, struct error *err)
{
    struct lxc_container *container;
    struct buf reason = {0};
    char merged[PATH_BYTES], path[PATH_BYTES], text[64], name[64];
    uint32_t slot;
    int rc;

    if (instance_state(site, instance->id) == WARDEN_RUNNING) {
        return 0;
    }
    /* What a start or a monitor that was killed left behind would refuse the next one. */
    site_container(site, instance->id, name);
    if (!cgroups_end(name)) {
        return error_set(err, ERR_SYSTEM, "processes of %s do not end", instance->id);
    }
    rc = rootfs_mount(site, instance, &slot, merged, err);
    if (rc == 0) {
        snprintf(text, sizeof(text), "%s\n", instance->vpc);
        site_path(site, path, "instances/%s/vpc", instance->id);
        rc = keep_file(path, slice_z(text), err);
    }
    if (rc == 0) {
        rc = make_link(site, instance, err);
    }
    if (rc != 0) {
        return rc;
    }
    site_path(site, path, "log/%s.lxc", instance->id);
    unlink(path);
    console_remove(site, instance->id);
    container = container_of(site, instance->id);
    if (container == NULL) {
        return error_set(err, ERR_SYSTEM, "liblxc does not make %s", instance->id);
    }
    rc = configure(site, instance, slot, merged, container, err);
    if (rc == 0) {
        /* liblxc writes id maps itself where it finds no newuidmap: no /etc/subuid is needed. */
        setenv("PATH", "/usr/sbin:/sbin", 1);
        lift_shared_limits(container);
        container->want_daemonize(container, true);
        if (!container->start(container, 0, NULL)) {
            add_reason(site, instance->id, &reason);
            rc = error_set(err, ERR_SYSTEM, "%s does not start: %s", instance->id, buf_z(&reason));
        }
    }
    lxc_container_put(container);
    buf_close(&reason);
    if (rc == 0) {
        limit_groups(site, instance);
    } else {
        delete_link(site, instance->id, instance->vpc);
    }
    return rc;
}

static void stop(const struct site *site, const struct warden_instance *instance)
{
    struct lxc_container *container = container_of(site, instance->id);
    char name[64], vpc[WARDEN_ID_BYTES];

    if (container != NULL && container->is_running(container)) {
        container->unfreeze(container);
        if (!container->shutdown(container, SHUTDOWN_S)) {
            container->stop(container);
        }
    }
    if (container != NULL) {
        lxc_container_put(container);
    }
    site_container(site, instance->id, name);
    cgroups_end(name); /* Empty, unless something went wrong. */
    vpc_of(site, instance->id, vpc);
    delete_link(site, instance->id, vpc);
}

void instance_gone(const struct site *site, const char *id)
{
    char path[PATH_BYTES], name[64];

    rootfs_unmount(site, id);
    site_container(site, id, name);
    site_path(site, path, "lxc/%s", name);
    remove_tree(path);
    site_path(site, path, "log/%s.lxc", id);
    unlink(path);
    console_remove(site, id);
    site_path(site, path, "instances/%s", id);
    remove_tree(path);
    images_sweep(site);
    site_path(site, path, "locks/%s", id);
    unlink(path);
}

int instance_ensure(const struct site *site, const struct warden_instance *instance,
                    struct error *err)
{
    if (instance->state == WARDEN_RUNNING) {
        return start(site, instance, err);
    }
    if (instance_state(site, instance->id) == WARDEN_GONE) {
        return 0;
    }
    stop(site, instance);
    rootfs_unmount(site, instance->id);
    if (instance->state == WARDEN_GONE) {
        instance_gone(site, instance->id);
    }
    return 0;
}

int instance_reboot(const struct site *site, const char *id, struct error *err)
{
    struct lxc_container *container = container_of(site, id);
    bool done =
        container != NULL && container->is_running(container) && container->reboot(container);

    if (container != NULL) {
        lxc_container_put(container);
    }
    return done ? 0 : error_set(err, ERR_NOT_FOUND, "%s does not run", id);
}

int instance_image(const struct site *site, const char *instance, const char *image,
                   struct error *err)
{
    struct lxc_container *container;
    bool running;
    char path[PATH_BYTES];
    int rc, disk;

    if (image_exists(site, image)) {
        return 0; /* Made, and whoever asked did not live to hear it. */
    }
    container = container_of(site, instance);
    running = container != NULL && container->is_running(container);
    site_path(site, path, "instances/%s/disk", instance);
    disk = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk >= 0) {
        syncfs(disk);
        close(disk);
    }
    if (running) {
        container->freeze(container);
    }
    rc = rootfs_image(site, instance, image, err);
    if (running) {
        container->unfreeze(container);
    }
    if (container != NULL) {
        lxc_container_put(container);
    }
    return rc;
}

/* Commands inside. */

static int64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Up to @max bytes are kept, the rest is read and dropped. False at the end. */
static bool drain(int fd, struct buf *kept, size_t max, uint8_t *cut)
{
    char piece[16384];
    ssize_t got = read(fd, piece, sizeof(piece));

    if (got <= 0) {
        return false;
    }
    if (kept->bytes + (size_t)got > max) {
        *cut = 1;
        got = (ssize_t)(max - kept->bytes);
    }
    buf_add(kept, slice_of(piece, (size_t)got));
    return true;
}

static void collect(int out, int errors_fd, int64_t deadline_ms, size_t max, struct buf *output,
                    struct buf *errors, struct warden_output *result)
{
    struct pollfd fds[2] = {{.fd = out, .events = POLLIN}, {.fd = errors_fd, .events = POLLIN}};

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        int64_t left_ms = deadline_ms - now_ms();

        if (left_ms <= 0 || poll(fds, 2, (int)(left_ms > 60000 ? 60000 : left_ms)) < 0) {
            result->status = -1;
            return;
        }
        if (fds[0].revents != 0 && !drain(out, output, max, &result->output_cut)) {
            fds[0].fd = -1;
        }
        if (fds[1].revents != 0 && !drain(errors_fd, errors, max, &result->errors_cut)) {
            fds[1].fd = -1;
        }
        fds[0].revents = fds[1].revents = 0;
    }
}

int instance_exec(const struct site *site, const struct warden_exec *exec, const char *arguments,
                  const char *input, struct warden_output *result, struct buf *output,
                  struct buf *errors, struct error *err)
{
    lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
    static char path_variable[] =
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    static char home_variable[] = "HOME=/root";
    char *environment[] = {path_variable, home_variable, NULL};
    char *argv[64];
    lxc_attach_command_t command = {.argv = argv};
    struct lxc_container *container = container_of(site, exec->instance);
    int in[2], out[2], errs[2], status = 0;
    size_t count = 0;
    pid_t child = -1;

    for (const char *p = arguments; count < exec->argument_count && count < COUNT_OF(argv) - 1;
         p += strlen(p) + 1) {
        argv[count++] = strdup(p);
    }
    argv[count] = NULL;
    command.program = argv[0];
    if (container == NULL || !container->is_running(container) || count == 0) {
        return error_set(err, ERR_NOT_FOUND, "%s does not run", exec->instance);
    }
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(errs, O_CLOEXEC) != 0) {
        return error_errno(err, "pipe");
    }
    signal(SIGPIPE, SIG_IGN);
    options.env_policy = LXC_ATTACH_CLEAR_ENV;
    options.extra_env_vars = environment;
    options.stdin_fd = in[0];
    options.stdout_fd = out[1];
    options.stderr_fd = errs[1];
    if (container->attach(container, lxc_attach_run_command, &command, &options, &child) != 0) {
        return error_set(err, ERR_SYSTEM, "liblxc does not attach to %s", exec->instance);
    }
    close(in[0]);
    close(out[1]);
    close(errs[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK); /* At most a pipe's worth is sent: 64 KiB. */
    if (exec->input_bytes > 0 && write(in[1], input, exec->input_bytes) < 0) {
        result->errors_cut = 0;
    }
    close(in[1]);
    collect(out[0], errs[0], now_ms() + exec->timeout_ms, exec->output_bytes_max, output, errors,
            result);
    if (result->status == -1) {
        kill(child, SIGKILL);
    }
    waitpid(child, &status, 0);
    if (result->status != -1) {
        result->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    lxc_container_put(container);
    return 0;
}
