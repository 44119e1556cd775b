#include "warden/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_BYTES_MAX (64 * 1024)
#define STATE_BYTES_MAX                                                                            \
    58 /* HAProxy takes 97 for STATE/haproxy/run/pub-0123456789abcdef0.sock.                       \
        */

void site_path(const struct site *site, char path[PATH_BYTES], const char *format, ...)
{
    va_list args;
    int used = snprintf(path, PATH_BYTES, "%s/", site->state);

    ASSERT(used > 0 && used < PATH_BYTES / 2);
    va_start(args, format);
    ASSERT(vsnprintf(path + used, (size_t)(PATH_BYTES - used), format, args) < PATH_BYTES - used);
    va_end(args);
}

void site_container(const struct site *site, const char *id, char name[64])
{
    snprintf(name, 64, "muster-%s-%.30s", site->name, id);
}

void site_namespace(const struct site *site, const char *vpc, char name[64])
{
    snprintf(name, 64, "muster-%s-%.30s", site->name, vpc);
}

void link_in_vpc(const char *instance, char name[16])
{
    snprintf(name, 16, "m%.13s", instance + 2); /* After "i-". */
}

void site_link(const struct site *site, const char *instance, char name[16])
{
    snprintf(name, 16, "n%.6s%.8s", site->name, instance + 2);
}

bool id_has(const char *id, size_t room, const char *prefix)
{
    size_t used = strlen(prefix);
    size_t bytes = strnlen(id, room);

    return bytes < room && bytes >= used + 8 && bytes <= used + 17 &&
           strncmp(id, prefix, used) == 0 && strspn(id + used, "0123456789abcdef") == bytes - used;
}

static int write_synced(const char *path, struct slice text, mode_t mode, bool sync,
                        struct error *err);

/* The site's name is random, made once; kernel names and mounts are found by it. */
static int read_name(struct site *site, bool make, struct error *err)
{
    char path[PATH_BYTES];
    unsigned char bytes[3];
    ssize_t got;
    int fd;

    site_path(site, path, "site");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, site->name, 6);
        close(fd);
        site->name[6] = '\0';
        if (got == 6 && strspn(site->name, "0123456789abcdef") == 6) {
            return 0;
        }
        return error_set(err, ERR_CONFIG, "%s is damaged", path);
    }
    if (!make) {
        return error_set(err, ERR_NOT_FOUND, "%s is no state directory of muster", site->state);
    }
    ASSERT(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
    snprintf(site->name, sizeof(site->name), "%02x%02x%02x", bytes[0], bytes[1], bytes[2]);
    return write_synced(path, slice_z(site->name), 0644, true, err);
}

static int find_user(const char *name, uid_t *uid, gid_t *gid, struct error *err)
{
    const struct passwd *user = getpwnam(name);

    if (user == NULL) {
        return error_set(err, ERR_CONFIG,
                         "there is no user %s; tools/add-user.sh makes it, or: useradd --system "
                         "--home-dir /nonexistent --shell /usr/sbin/nologin %s",
                         name, name);
    }
    *uid = user->pw_uid;
    if (gid != NULL) {
        *gid = user->pw_gid;
    }
    return 0;
}

int site_open(struct site *site, const char *state_dir, bool make, struct error *err)
{
    /* Images hold programs that are setuid root as an instance left them, and here their owner is
     * the host's root: nobody else gets there. */
    static const struct {
        const char *name;
        mode_t mode;
    } directories[] = {
        {"instances", 0711}, {"images", 0700},  {"lxc", 0711}, {"haproxy", 0711},
        {"locks", 0700},     {"uplinks", 0700}, {"log", 0711},
    };
    char path[PATH_BYTES];
    int rc;

    if (snprintf(site->state, sizeof(site->state), "%s", state_dir) >= (int)sizeof(site->state)) {
        return error_set(err, ERR_CONFIG, "--state-dir is too long");
    }
    if (make && strlen(site->state) > STATE_BYTES_MAX) {
        return error_set(err, ERR_CONFIG,
                         "--state-dir %s is too long: HAProxy's sockets in it leave %d characters",
                         site->state, STATE_BYTES_MAX);
    }
    if (make && (rc = make_directory(site->state, 0711, err)) != 0) {
        return rc;
    }
    rc = read_name(site, make, err);
    if (rc != 0 || !make) {
        return rc;
    }
    rc = find_user("muster", &site->musterd_uid, &site->musterd_gid, err);
    rc = rc != 0 ? rc : find_user("muster-haproxy", &site->haproxy_uid, NULL, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < COUNT_OF(directories); i++) {
        site_path(site, path, "%s", directories[i].name);
        rc = make_directory(path, directories[i].mode, err);
        if (rc != 0) {
            return rc;
        }
    }
    /* HAProxy makes its runtime sockets here, musterd connects to them. */
    site_path(site, path, "haproxy/run");
    rc = make_directory(path, 0770, err);
    if (rc == 0 &&
        (chown(path, site->haproxy_uid, site->musterd_gid) != 0 || chmod(path, 02770) != 0)) {
        rc = error_errno(err, "%s", path);
    }
    site_path(site, path, "musterd");
    if (rc == 0) {
        rc = make_directory(path, 0700, err);
    }
    if (rc == 0 && chown(path, site->musterd_uid, site->musterd_gid) != 0) {
        rc = error_errno(err, "%s", path);
    }
    return rc;
}

/* Files. */

static int write_synced(const char *path, struct slice text, mode_t mode, bool sync,
                        struct error *err)
{
    char temporary[PATH_BYTES + 8];
    int fd;

    snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return error_errno(err, "%s", temporary);
    }
    if (write(fd, text.data, text.bytes) != (ssize_t)text.bytes || fchmod(fd, mode) != 0 ||
        (sync && fsync(fd) != 0) || close(fd) != 0 || rename(temporary, path) != 0) {
        return error_errno(err, "%s", path);
    }
    return 0;
}

int write_file(const char *path, struct slice text, mode_t mode, struct error *err)
{
    return write_synced(path, text, mode, false, err);
}

int keep_file(const char *path, struct slice text, struct error *err)
{
    return write_synced(path, text, 0600, true, err);
}

int make_directory(const char *path, mode_t mode, struct error *err)
{
    char part[PATH_BYTES];

    snprintf(part, sizeof(part), "%s", path);
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            if (mkdir(part, 0755) != 0 && errno != EEXIST) {
                return error_errno(err, "%s", part);
            }
            *p = '/';
        }
    }
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        return error_errno(err, "%s", path);
    }
    return chmod(path, mode) == 0 ? 0 : error_errno(err, "%s", path);
}

/* What lies deeper, for an instance may nest without end, is moved up, and removed in a next turn.
 */
#define DEPTH_MAX 200

struct removal {
    dev_t device;
    int top;
    unsigned moved;
    bool again;
};

static void remove_at(int parent, const char *name, struct removal *removal, int depth)
{
    struct stat status;
    struct dirent *entry;
    DIR *directory;
    int fd;

    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        status.st_dev != removal->device) {
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        unlinkat(parent, name, 0);
        return;
    }
    if (depth > DEPTH_MAX) {
        char up[32];

        snprintf(up, sizeof(up), ".muster-deep-%u", removal->moved);
        removal->moved++; /* Never a name twice: it may be above us. */
        removal->again |= renameat(parent, name, removal->top, up) == 0;
        return;
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            remove_at(fd, entry->d_name, removal, depth + 1);
        }
    }
    closedir(directory);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void remove_tree(const char *path)
{
    struct removal removal = {.top = -1};
    struct stat status;

    if (lstat(path, &status) != 0) {
        return;
    }
    removal.device = status.st_dev;
    removal.top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    do {
        removal.again = false;
        remove_at(AT_FDCWD, path, &removal, 0);
    } while (removal.again);
    if (removal.top >= 0) {
        close(removal.top);
    }
}

bool is_mounted(const char *path)
{
    char parent[PATH_BYTES];
    struct stat here, above;

    if (lstat(path, &here) != 0) {
        return false;
    }
    snprintf(parent, sizeof(parent), "%s/..", path);
    return stat(parent, &above) == 0 && here.st_dev != above.st_dev;
}

void each_name(const char *directory, const char *prefix, name_fn *fn, void *data)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            fn(data, entry->d_name);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
}

int site_lock(const struct site *site, const char *id, int *fd, struct error *err)
{
    char path[PATH_BYTES];

    site_path(site, path, "locks/%s", id);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0 || flock(*fd, LOCK_EX) != 0) {
        return error_errno(err, "%s", path);
    }
    return 0;
}

/* Programs. They end with who runs them, and know no PATH but the system's. */

int run_program(const char *const *argv, struct slice input, struct buf *output, struct error *err)
{
    struct buf said = {0};
    int in[2], out[2], status = 0;
    char piece[4096];
    ssize_t got;
    pid_t child;

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        return error_errno(err, "pipe");
    }
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    /* Our inputs are rules of at most a few hundred kilobytes to programs that read before they
     * write. */
    for (size_t sent = 0; sent < input.bytes;) {
        got = write(in[1], input.data + sent, input.bytes - sent);
        if (got <= 0) {
            break;
        }
        sent += (size_t)got;
    }
    close(in[1]);
    while ((got = read(out[0], piece, sizeof(piece))) > 0) {
        if (said.bytes < OUTPUT_BYTES_MAX) {
            buf_add(&said, slice_of(piece, (size_t)got));
        }
    }
    close(out[0]);
    status = process_wait(child);
    if (status != 0) {
        struct slice text = slice_trim(buf_slice(&said));

        error_set(err, ERR_SYSTEM, "%s ended with %d: %.*s", argv[0], status,
                  (int)(text.bytes > 300 ? 300 : text.bytes), text.data == NULL ? "" : text.data);
        buf_close(&said);
        return ERR_SYSTEM;
    }
    if (output != NULL) {
        buf_add(output, buf_slice(&said));
    }
    buf_close(&said);
    return 0;
}

int enter_namespace(const struct site *site, const char *vpc, struct error *err)
{
    char name[64], path[128];
    int fd;

    site_namespace(site, vpc, name);
    snprintf(path, sizeof(path), "/run/netns/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_errno(err, "the network namespace of %s", vpc);
    }
    if (setns(fd, CLONE_NEWNET) != 0) {
        close(fd);
        return error_errno(err, "enter the network namespace of %s", vpc);
    }
    close(fd);
    return 0;
}
