/* muster-warden --check: does this machine have what real containers need? What is tested is what
 * will be done, in forked children with namespaces of their own, never a version or a name. */
#include "warden/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEADLINE_MS 20000
#define NEEDED true
#define USEFUL false

#define NEXT_PRIVILEGED "run as root with all capabilities"
#define NEXT_KERNEL "use a kernel with this feature (Debian 12's has all)"

static char work[PATH_BYTES]; /* A directory on the state directory's file system. */

/* The checks. Each runs in a child: what it changes of itself goes with it. */

static int own_mounts(struct error *err)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return error_errno(err, "a mount namespace");
    }
    return 0;
}

static int check_root(struct error *err)
{
    return geteuid() == 0 ? 0 : error_set(err, ERR_DENIED, "user %d is not root", (int)geteuid());
}

static int check_programs(struct error *err)
{
    static const char *const names[] = {"ip", "nft", "haproxy", "mmdebstrap", "mkfs.ext4", "mount"};
    static const char *const directories[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};
    char path[64];

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        bool found = false;

        for (size_t d = 0; d < COUNT_OF(directories); d++) {
            snprintf(path, sizeof(path), "%s/%s", directories[d], names[i]);
            found |= access(path, X_OK) == 0;
        }
        if (!found) {
            return error_set(err, ERR_NOT_FOUND, "there is no program %s", names[i]);
        }
    }
    return 0;
}

static int check_users(struct error *err)
{
    static const char *const names[] = {"muster", "muster-haproxy"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (getpwnam(names[i]) == NULL) {
            return error_set(err, ERR_NOT_FOUND, "there is no user %s", names[i]);
        }
    }
    return 0;
}

static int check_mount(struct error *err)
{
    int rc = own_mounts(err);

    if (rc == 0 && mount("muster-check", work, "tmpfs", 0, "size=64k") != 0) {
        rc = error_errno(err, "mount a tmpfs");
    }
    return rc;
}

static int check_namespaces(struct error *err)
{
    static const struct {
        int flag;
        const char *name;
    } kinds[] = {
        {CLONE_NEWNET, "network"}, {CLONE_NEWPID, "process"},   {CLONE_NEWUTS, "host name"},
        {CLONE_NEWIPC, "IPC"},     {CLONE_NEWCGROUP, "cgroup"},
    };

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (unshare(kinds[i].flag) != 0) {
            return error_errno(err, "a %s namespace", kinds[i].name);
        }
    }
    return 0;
}

/* As an instance will: an unprivileged root that mounts a proc and a sysfs of its own. */
static int inside_userns(void)
{
    pid_t child;
    int status;

    if (setgid(0) != 0 || setuid(0) != 0 ||
        unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) != 0) {
        return 1;
    }
    child = fork();
    if (child == 0) {
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        if (mount("proc", work, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) {
            _exit(2);
        }
        _exit(mount("sysfs", work, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ? 3 : 0);
    }
    status = process_wait(child);
    return status < 0 ? 1 : status;
}

static int check_userns(struct error *err)
{
    static const char *const failures[] = {
        "", "namespaces inside a user namespace are refused",
        "an unprivileged root may not mount proc (is /proc partly hidden, as in a container?)",
        "an unprivileged root may not mount sysfs"};
    int userns = rootfs_userns(0, 100000, err), status;
    pid_t child;

    if (userns < 0) {
        return ERR_SYSTEM;
    }
    child = fork();
    if (child == 0) {
        _exit(setns(userns, CLONE_NEWUSER) == 0 ? inside_userns() : 1);
    }
    status = process_wait(child);
    close(userns);
    status = status >= 0 && status < (int)COUNT_OF(failures) ? status : 1;
    return status == 0 ? 0 : error_set(err, ERR_SYSTEM, "%s", failures[status]);
}

static int in_work(const char *name, char path[PATH_BYTES], struct error *err)
{
    snprintf(path, PATH_BYTES, "%.3900s/%s", work, name);
    return make_directory(path, 0755, err);
}

/* An image's layer, shown to an instance as its own, below an overlay. */
static int check_idmap(struct error *err)
{
    char layer[PATH_BYTES], lower[PATH_BYTES], merged[PATH_BYTES], upper[PATH_BYTES];
    char file[PATH_BYTES], disk[PATH_BYTES], options[PATH_BYTES * 3 + 64];
    struct stat status;
    int userns, tree, rc = own_mounts(err);

    if (rc != 0 || (rc = in_work("layer", layer, err)) != 0 ||
        (rc = in_work("lower", lower, err)) != 0 || (rc = in_work("merged", merged, err)) != 0 ||
        (rc = in_work("upper", upper, err)) != 0) {
        return rc;
    }
    snprintf(file, sizeof(file), "%.3900s/file", layer);
    rc = write_file(file, SLICE_LIT("x"), 0644, err);
    userns = rc == 0 ? rootfs_userns(0, 100000, err) : -1;
    tree = userns < 0 ? -1 : rootfs_mapped_tree(layer, userns, true, err);
    if (tree < 0) {
        return ERR_SYSTEM;
    }
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, lower, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        return error_errno(err, "move_mount");
    }
    /* The upper directory is on a disk of the instance's own: any file system will do here. */
    if (mount("muster-check", upper, "tmpfs", 0, "size=256k") != 0 ||
        (rc = in_work("upper/u", file, err)) != 0 || (rc = in_work("upper/w", disk, err)) != 0) {
        return rc != 0 ? rc : error_errno(err, "mount a tmpfs");
    }
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, file, disk);
    if (mount("overlay", merged, "overlay", MS_NODEV, options) != 0) {
        return error_errno(err, "an overlay over an id-mapped layer");
    }
    snprintf(file, sizeof(file), "%.3900s/file", merged);
    if (stat(file, &status) != 0 || status.st_uid != 100000) {
        return error_set(err, ERR_SYSTEM, "an id-mapped layer shows the wrong owner");
    }
    return 0;
}

/* Images are stored there. */
static int check_cache(struct error *err)
{
    char path[] = "/var/cache/muster";
    int userns = rootfs_userns(0, 100000, err), tree;

    if (userns < 0) {
        return ERR_SYSTEM;
    }
    for (char *slash; access(path, F_OK) != 0 && (slash = strrchr(path, '/')) != path;) {
        *slash = '\0';
    }
    tree = rootfs_mapped_tree(path, userns, true, err);
    return tree < 0 ? ERR_SYSTEM : 0;
}

/* The rules that will be written, in a network namespace of our own. */
static int check_nft(struct error *err)
{
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    struct warden_vpc vpc = {.id = "vpc-0123456789abcdef0", .end_count = 1, .group_count = 1};
    struct network_end end = {.address = 0x0a000005, .instance = "i-0123456789abcdef0"};
    struct network_rule rule = {.protocol = RULE_TCP, .from_port = 80, .to_port = 80};
    struct published published = {0x7f410002, 80, 40000};
    struct site site = {.name = "000000"};
    struct buf text = {0};
    int rc;

    if (unshare(CLONE_NEWNET) != 0) {
        return error_errno(err, "a network namespace");
    }
    end.group_count = 1;
    vpc.rule_count = 1;
    nft_vpc(&text, &vpc, &end, &rule, false);
    nft_host(&text, &site, &published, 1);
    rc = run_program(argv, buf_slice(&text), NULL, err);
    buf_close(&text);
    return rc;
}

static int check_veth(struct error *err)
{
    static const char *const argv[] = {"ip", "-batch", "-", NULL};

    if (unshare(CLONE_NEWNET) != 0) {
        return error_errno(err, "a network namespace");
    }
    return run_program(argv,
                       SLICE_LIT("link set lo up\nlink add mu0 type veth peer name mu1\n"
                                 "address add 10.0.0.1/32 dev lo\nlink set mu0 up\n"
                                 "route add 10.0.0.5/32 dev mu0 src 10.0.0.1\n"),
                       NULL, err);
}

static int check_quota(struct error *err)
{
    return cgroups_try("cpu", err);
}

static int check_memory(struct error *err)
{
    int rc = cgroups_try("memory", err);

    return rc == 0 ? cgroups_try("pids", err) : rc;
}

static int check_keys(struct error *err)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0) {
        return error_errno(err, "a session keyring");
    }
    return 0;
}

static int check_inotify(struct error *err)
{
    int fd = inotify_init1(IN_CLOEXEC);

    if (fd < 0) {
        return error_errno(err, "an inotify instance");
    }
    close(fd);
    return access("/proc/sys/fs/inotify/max_user_instances", W_OK) == 0
               ? 0
               : error_errno(err, "fs.inotify.max_user_instances cannot be raised");
}

static int check_loop(struct error *err)
{
    char image[PATH_BYTES], point[PATH_BYTES];
    const char *const mkfs[] = {"mkfs.ext4", "-q", "-F", image, "4096K", NULL};
    const char *const mount_loop[] = {"mount", "-o", "loop", image, point, NULL};
    int rc = own_mounts(err);

    snprintf(image, sizeof(image), "%.3900s/disk.img", work);
    if (rc == 0) {
        rc = in_work("disk", point, err);
    }
    if (rc == 0) {
        rc = run_program(mkfs, SLICE_EMPTY, NULL, err);
    }
    if (rc == 0) {
        rc = run_program(mount_loop, SLICE_EMPTY, NULL, err);
    }
    if (rc == 0) {
        umount2(point, 0);
    }
    return rc;
}

static int check_seccomp(struct error *err)
{
    static const char file[] = "/usr/share/lxc/config/common.seccomp";

    return access(file, R_OK) == 0 ? 0 : error_errno(err, "%s", file);
}

/* clang-format off */
static const struct check {
    const char *name;
    bool needed;
    bool first; /* Without it all that follows fails for the same reason. */
    int (*fn)(struct error *err);
    const char *next;
} checks[] = {
    {"root", NEEDED, true, check_root, "run it by sudo"},
    {"programs", NEEDED, false, check_programs, "tools/install-packages.sh installs them"},
    {"users", NEEDED, false, check_users,
     "tools/add-user.sh makes them, or: useradd --system --home-dir /nonexistent --shell "
     "/usr/sbin/nologin NAME"},
    {"mounts", NEEDED, true, check_mount, NEXT_PRIVILEGED},
    {"namespaces", NEEDED, true, check_namespaces, NEXT_PRIVILEGED},
    {"user namespaces", NEEDED, false, check_userns,
     "allow them (sysctl user.max_user_namespaces) and run where /proc is whole"},
    {"id-mapped layers", NEEDED, false, check_idmap,
     "put the state directory on ext4, xfs or btrfs, not on an overlay; kernel 5.19 or newer"},
    {"id-mapped images", NEEDED, false, check_cache,
     "put /var/cache/muster on ext4, xfs or btrfs, not on an overlay"},
    {"nftables", NEEDED, false, check_nft, NEXT_KERNEL},
    {"veth links", NEEDED, false, check_veth, NEXT_KERNEL},
    {"CPU quota", NEEDED, false, check_quota,
     "mount cgroup v2, or v1's cpu controller, below /sys/fs/cgroup, writable"},
    {"seccomp profile", NEEDED, false, check_seccomp, "install the package liblxc-common"},
    {"keyrings", USEFUL, false, check_keys, "allow the system call keyctl"},
    {"memory and process limits", USEFUL, false, check_memory,
     "without these cgroup controllers instances are not held to their memory"},
    {"inotify", USEFUL, false, check_inotify,
     "raise fs.inotify.max_user_instances to 4096 yourself: 128 ends at about 40 instances"},
    {"loop devices", USEFUL, false, check_loop,
     "without them instances share the state directory's file system"},
};
/* clang-format on */

/* How it went; the reason is empty when it is there. */
static void run_check(const struct check *check, char reason[ERROR_MESSAGE_BYTES])
{
    struct pollfd end = {.events = POLLIN};
    ssize_t got = 0;
    int pipes[2];
    pid_t child;

    snprintf(reason, ERROR_MESSAGE_BYTES, "it cannot be tested");
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return;
    }
    child = fork();
    if (child == 0) {
        struct error err = {0};

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (check->fn(&err) != 0) {
            got = write(pipes[1], err.message, strlen(err.message));
        }
        _exit(got < 0 ? 1 : 0);
    }
    close(pipes[1]);
    end.fd = pipes[0];
    if (child < 0 || poll(&end, 1, DEADLINE_MS) <= 0) {
        snprintf(reason, ERROR_MESSAGE_BYTES, "it takes too long");
        if (child > 0) {
            kill(child, SIGKILL);
        }
    } else {
        got = read(pipes[0], reason, ERROR_MESSAGE_BYTES - 1);
        reason[got < 0 ? 0 : got] = '\0';
    }
    close(pipes[0]);
    process_wait(child);
}

/* Where the machine is one that is known to lack things, how it is given them. */
static const char *surroundings(void)
{
    char text[512] = "";
    FILE *file = fopen("/proc/version", "re");

    if (file != NULL) {
        if (fgets(text, sizeof(text), file) == NULL) {
            text[0] = '\0';
        }
        fclose(file);
    }
    if (access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0) {
        return "In a Docker container: docker run --privileged -v muster:/var/lib/muster -v "
               "muster-cache:/var/cache/muster ...; or, without real containers, musterd --compute "
               "sim";
    }
    if (strcasestr(text, "microsoft") != NULL) {
        return "In WSL2: put [boot] systemd=true into /etc/wsl.conf, then wsl --shutdown; or, "
               "without real containers, musterd --compute sim";
    }
    return "Without real containers: musterd --compute sim";
}

static void print_json_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            printf("\\%c", *text);
        } else if ((unsigned char)*text < 0x20) {
            printf("\\u%04x", (unsigned)*text);
        } else {
            putchar(*text);
        }
    }
    putchar('"');
}

static void print_check(const struct check *check, const char *reason, bool json, bool first)
{
    bool there = reason[0] == '\0';

    if (json) {
        printf("%s{\"name\":\"%s\",\"needed\":%s,\"ok\":%s", first ? "" : ",", check->name,
               check->needed ? "true" : "false", there ? "true" : "false");
        if (!there) {
            printf(",\"reason\":");
            print_json_text(reason);
            printf(",\"next\":");
            print_json_text(check->next);
        }
        printf("}");
    } else if (there) {
        printf("ok       %s\n", check->name);
    } else {
        printf("%s  %s: %s\n         %s\n", check->needed ? "MISSING" : "without", check->name,
               reason, check->next);
    }
}

/* Where the state directory will be. */
static int make_work(const char *state_dir, struct error *err)
{
    char *path = work, *slash;

    snprintf(path, PATH_BYTES, "%.3900s", state_dir);
    while (access(path, F_OK) != 0 && (slash = strrchr(path, '/')) != NULL && slash != path) {
        *slash = '\0';
    }
    snprintf(path + strlen(path), PATH_BYTES - strlen(path), "/.muster-check-XXXXXX");
    return mkdtemp(path) != NULL ? 0 : error_errno(err, "%s", path);
}

bool host_check(const char *state_dir, bool json)
{
    char reason[ERROR_MESSAGE_BYTES];
    struct error err = {0};
    bool good = true;
    int rc = make_work(state_dir, &err);

    if (json) {
        printf("{\"checks\":[");
    }
    for (size_t i = 0; i < COUNT_OF(checks); i++) {
        if (rc == 0 || checks[i].fn == check_root) {
            fflush(stdout);
            run_check(&checks[i], reason);
        } else {
            snprintf(reason, sizeof(reason), "%s", err.message);
        }
        good &= reason[0] == '\0' || !checks[i].needed;
        print_check(&checks[i], reason, json, i == 0);
        if (checks[i].first && reason[0] != '\0') {
            break;
        }
    }
    if (rc == 0) {
        remove_tree(work);
    }
    if (json) {
        printf("],\"ok\":%s,\"next\":", good ? "true" : "false");
        print_json_text(good || geteuid() != 0 ? "" : surroundings());
        printf("}\n");
    } else if (!good) {
        printf("Real containers cannot run here as it is. %s\n",
               geteuid() == 0 ? surroundings() : "Without them: musterd --compute sim");
    }
    return good;
}
