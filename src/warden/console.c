/* What an instance writes to its console: liblxc's monitor keeps it in a file of bounded size, and
 * renames a full one to ".1" before it begins anew. */
#include "warden/private.h"

#include <fcntl.h>
#include <unistd.h>

void console_path(const struct site *site, const char *id, char path[PATH_BYTES])
{
    site_path(site, path, "log/%s.console", id);
}

static void read_all(const char *path, struct buf *text)
{
    char block[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    /* Twice what liblxc lets a file grow to: whatever it does, this ends. */
    while (fd >= 0 && text->bytes < 4 * WARDEN_OUTPUT_BYTES_MAX &&
           (n = read(fd, block, sizeof(block))) > 0) {
        buf_add(text, slice_of(block, (size_t)n));
    }
    if (fd >= 0) {
        close(fd);
    }
}

void console_read(const struct site *site, const char *id, size_t bytes_max, struct buf *text)
{
    struct buf all = {0};
    char path[PATH_BYTES];
    size_t from;

    site_path(site, path, "log/%s.console.1", id);
    read_all(path, &all);
    console_path(site, id, path);
    read_all(path, &all);
    from = all.bytes > bytes_max ? all.bytes - bytes_max : 0;
    buf_add(text, slice_sub(buf_slice(&all), from, all.bytes));
    buf_close(&all);
}

void console_remove(const struct site *site, const char *id)
{
    char path[PATH_BYTES];

    console_path(site, id, path);
    unlink(path);
    site_path(site, path, "log/%s.console.1", id);
    unlink(path);
}
