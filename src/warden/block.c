/* The site's share of 127.64.0.0/15 and of uids, claimed in a file of the machine, so that several
 * sites may run side by side. Claims hold over reboots, as the addresses do. */
#include "warden/private.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CLAIMS MACHINE_DIR

/* Whose block it is: a state directory; "" when nobody's. */
void block_owner(uint32_t block, char state[PATH_BYTES])
{
    char path[64];
    ssize_t got = -1;
    int fd;

    snprintf(path, sizeof(path), CLAIMS "/%u", block);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        got = read(fd, state, PATH_BYTES - 1);
        close(fd);
    }
    state[got > 0 ? got : 0] = '\0';
}

/* Its state directory is gone, without a purge. */
static bool is_stale(const char *state)
{
    char path[PATH_BYTES + 8];

    snprintf(path, sizeof(path), "%s/site", state);
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static int lock_claims(struct error *err)
{
    int rc = make_directory(CLAIMS, 0755, err), fd;

    if (rc != 0) {
        return -1;
    }
    fd = open(CLAIMS "/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        error_errno(err, CLAIMS "/lock");
        return -1;
    }
    return fd;
}

int block_claim(struct site *site, struct error *err)
{
    char owner[PATH_BYTES], path[64];
    int lock = lock_claims(err), rc = 0;
    uint32_t block = SITE_BLOCKS;

    if (lock < 0) {
        return ERR_SYSTEM;
    }
    for (uint32_t i = SITE_BLOCKS; i-- > 0;) {
        block_owner(i, owner);
        if (strcmp(owner, site->state) == 0) {
            block = i;
            break;
        }
        block = owner[0] == '\0' || is_stale(owner) ? i : block;
    }
    if (block == SITE_BLOCKS) {
        rc = error_set(err, ERR_CONFIG,
                       "%d other state directories are in use on this machine (" CLAIMS
                       "); purge one: muster-warden --purge --state-dir DIR",
                       SITE_BLOCKS);
    } else {
        snprintf(path, sizeof(path), CLAIMS "/%u", block);
        rc = write_file(path, slice_z(site->state), 0644, err);
        site->block = block;
    }
    close(lock);
    return rc;
}

void block_release(const struct site *site)
{
    char owner[PATH_BYTES], path[64];
    int lock = lock_claims(NULL);

    for (uint32_t i = 0; lock >= 0 && i < SITE_BLOCKS; i++) {
        block_owner(i, owner);
        if (strcmp(owner, site->state) == 0) {
            snprintf(path, sizeof(path), CLAIMS "/%u", i);
            unlink(path);
        }
    }
    if (lock >= 0) {
        bool last = true;

        for (uint32_t i = 0; i < SITE_BLOCKS; i++) {
            block_owner(i, owner);
            last &= owner[0] == '\0';
        }
        if (last) {
            sysctl_restore();
            unlink(CLAIMS "/lock");
            rmdir(CLAIMS);
        }
        close(lock);
    }
}
