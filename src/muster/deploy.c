#include "muster/deploy.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *deploy_stack_name(const struct cli *cli)
{
    const char *name = cli_option(cli, "name");

    return name == NULL ? STACK_NAME_DEFAULT : name;
}

/* The folder of this program. */
static int own_folder(struct buf *folder, struct error *err)
{
    char path[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    if (bytes < 0) {
        return error_errno(err, "/proc/self/exe");
    }
    path[bytes] = '\0';
    slash = strrchr(path, '/');
    buf_add(folder, slice_of(path, (size_t)(slash - path)));
    return 0;
}

/* The first of @patterns (with %s for @name, relative to this program) that is there. */
static int find(const char *const *patterns, size_t count, const char *name, char **path,
                struct error *err)
{
    struct buf folder = {0}, tried = {0};
    int rc = own_folder(&folder, err);

    *path = NULL;
    for (size_t i = 0; i < count && rc == 0 && *path == NULL; i++) {
        struct buf one = {0};
        struct slice pattern = slice_z(patterns[i]), head;

        buf_printf(&one, "%s/", buf_z(&folder));
        slice_next(&pattern, '*', &head);
        buf_add(&one, head);
        buf_add_z(&one, name);
        if (pattern.bytes > 0) {
            buf_add(&one, pattern);
            buf_add_z(&one, name);
        }
        *path = access(buf_z(&one), R_OK) == 0 ? realpath(buf_z(&one), NULL) : NULL;
        buf_printf(&tried, "%s%s", i == 0 ? "" : " nor ", buf_z(&one));
        buf_close(&one);
    }
    if (rc == 0 && *path == NULL) {
        rc = error_set(err, ERR_NOT_FOUND,
                       "%s is missing (neither %s); install muster again with 'sudo ./run.sh'",
                       name, buf_z(&tried));
    }
    buf_close(&folder);
    buf_close(&tried);
    return rc;
}

int deploy_file(const char *name, char **path, struct error *err)
{
    static const char *const patterns[] = {"../share/muster/deploy/*", "../../../deploy/*"};

    return find(patterns, COUNT_OF(patterns), name, path, err);
}

int deploy_program(const char *name, char **path, struct error *err)
{
    /* muster-warden is built in a folder called warden. */
    const char *const patterns[] = {"../lib/muster/*", "*",
                                    strcmp(name, "muster-warden") == 0 ? "../warden/*" : "../*/"};

    return find(patterns, COUNT_OF(patterns), name, path, err);
}

int deploy_read(const char *path, size_t bytes_max, struct buf *text, struct error *err)
{
    size_t before = text->bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;

    if (fd >= 0) {
        do {
            buf_reserve(text, 65536);
            got = read(fd, text->data + text->bytes, 65536);
            text->bytes += got > 0 ? (size_t)got : 0;
        } while (got > 0 && text->bytes - before <= bytes_max);
        close(fd);
    }
    if (fd < 0 || got < 0) {
        return error_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
    }
    text->data[text->bytes] = '\0';
    if (text->bytes - before > bytes_max) {
        return error_set(err, ERR_CONFIG, "%s is larger than %zu bytes", path, bytes_max);
    }
    return 0;
}
