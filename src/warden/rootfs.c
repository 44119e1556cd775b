/* An instance's disk: layers of its image, id-mapped to the instance's own range and read-only,
 * under an upper layer of its own in a sparse file system of the size asked for. */
#include "warden/private.h"

#include "base/log.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RANGE 65536

/* The instance's uid range starts here. */
static uint32_t first_uid(uint32_t slot)
{
    return 100000 + slot * RANGE;
}

int rootfs_userns(uint32_t from, uint32_t to, struct error *err)
{
    char path[64], map[64];
    int go[2], fd = -1;
    pid_t child;

    if (pipe2(go, O_CLOEXEC) != 0) {
        return error_errno(err, "pipe"), -1;
    }
    child = fork();
    if (child < 0) {
        error_errno(err, "fork");
        close(go[0]);
        close(go[1]);
        return -1;
    }
    if (child == 0) {
        char byte = unshare(CLONE_NEWUSER) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 1 : 0;

        if (write(go[1], &byte, 1) != 1) {
            _exit(1);
        }
        pause();
        _exit(0);
    }
    map[0] = 0;
    if (read(go[0], map, 1) == 1 && map[0] == 1) {
        static const char *const files[] = {"uid_map", "gid_map"};
        int bytes = snprintf(map, sizeof(map), "%u %u %d\n", from, to, RANGE);

        for (size_t i = 0; i < COUNT_OF(files); i++) {
            int file;

            snprintf(path, sizeof(path), "/proc/%d/%s", child, files[i]);
            file = open(path, O_WRONLY | O_CLOEXEC);
            if (file < 0 || write(file, map, (size_t)bytes) != bytes) {
                error_errno(err, "%s", path);
            }
            close(file);
        }
        snprintf(path, sizeof(path), "/proc/%d/ns/user", child);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        error_errno(err, "a user namespace");
    }
    kill(child, SIGKILL);
    process_wait(child);
    close(go[0]);
    close(go[1]);
    return fd;
}

int rootfs_mapped_tree(const char *path, int userns, bool read_only, struct error *err)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0),
        .userns_fd = (unsigned)userns,
    };
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (tree < 0) {
        error_errno(err, "open_tree %s", path);
        return -1;
    }
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
        error_errno(err, "id-mapped mounts (kernel 5.19 or newer is needed)");
        close(tree);
        return -1;
    }
    return tree;
}

/* The lowest range that no other instance has. The directory itself is the claim. */
static int take_slot(const struct site *site, const char *id, uint32_t *slot, struct error *err)
{
    bool used[INSTANCES_MAX] = {false};
    char path[PATH_BYTES], text[32];
    struct dirent *entry;
    DIR *directory;
    int64_t number;
    int lock, rc;
    FILE *file;

    site_path(site, path, "instances/%s/slot", id);
    file = fopen(path, "re");
    if (file != NULL) {
        bool good =
            fgets(text, sizeof(text), file) != NULL &&
            text_to_i64(slice_trim(slice_z(text)), 0, INSTANCES_MAX - 1, &number, NULL) == 0;

        fclose(file);
        if (good) {
            *slot = site->block * INSTANCES_MAX + (uint32_t)number;
            return 0;
        }
    }
    if (site_lock(site, "slots", &lock, err) != 0) { /* Many start at once. */
        return ERR_SYSTEM;
    }
    site_path(site, path, "instances");
    directory = opendir(path);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        site_path(site, path, "instances/%s/slot", entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (file != NULL) {
            if (fgets(text, sizeof(text), file) != NULL &&
                text_to_i64(slice_trim(slice_z(text)), 0, INSTANCES_MAX - 1, &number, NULL) == 0) {
                used[number] = true;
            }
            fclose(file);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    for (*slot = 0; *slot < COUNT_OF(used) && used[*slot]; (*slot)++) {
    }
    if (*slot == COUNT_OF(used)) {
        rc = error_set(err, ERR_SYSTEM, "no user id range is left");
    } else {
        snprintf(text, sizeof(text), "%u\n", *slot);
        site_path(site, path, "instances/%s/slot", id);
        rc = keep_file(path, slice_z(text), err);
    }
    *slot += site->block * INSTANCES_MAX;
    close(lock);
    return rc;
}

/* Made under another name: what is killed in the midst of it is none. */
static int format_disk(const char *image, uint32_t slot, int64_t disk_bytes, struct error *err)
{
    char temporary[PATH_BYTES], owner[160], bytes[32];
    const char *const mkfs[] = {"mkfs.ext4", "-q",  "-F",      "-m",  "0",
                                "-E",        owner, temporary, bytes, NULL};
    int rc;

    snprintf(temporary, sizeof(temporary), "%.4000s.new", image);
    snprintf(owner, sizeof(owner),
             "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=%u:%u", first_uid(slot),
             first_uid(slot));
    snprintf(bytes, sizeof(bytes), "%lldK", (long long)disk_bytes / 1024);
    unlink(temporary);
    rc = run_program(mkfs, SLICE_EMPTY, NULL, err);
    if (rc == 0 && rename(temporary, image) != 0) {
        rc = error_errno(err, "%s", image);
    }
    if (rc != 0) {
        unlink(temporary);
    }
    return rc;
}

static int mount_loop(const char *image, const char *disk, struct error *err)
{
    const char *const argv[] = {"mount", "-o", "loop,noatime,nodev,discard", image, disk, NULL};

    return run_program(argv, SLICE_EMPTY, NULL, err);
}

/* A sparse ext4 of the size asked for; a plain directory where loop devices are not to be had. What
 * an instance was begun with it keeps: its files are there. */
static int mount_disk(const struct site *site, const struct warden_instance *instance,
                      uint32_t slot, struct error *err)
{
    char disk[PATH_BYTES], image[PATH_BYTES], upper[PATH_BYTES];
    bool fresh;
    int rc;

    site_path(site, disk, "instances/%s/disk", instance->id);
    site_path(site, image, "instances/%s/disk.img", instance->id);
    site_path(site, upper, "instances/%s/disk/upper", instance->id);
    if (is_mounted(disk)) {
        return 0;
    }
    rc = make_directory(disk, 0711, err);
    fresh = access(image, F_OK) != 0;
    if (rc != 0 || (fresh && access(upper, F_OK) == 0)) {
        return rc;
    }
    if (fresh) {
        rc = format_disk(image, slot, instance->disk_bytes, err);
    }
    if (rc == 0 && mount_loop(image, disk, err) != 0) {
        if (!fresh) {
            return ERR_SYSTEM;
        }
        unlink(image); /* No loop devices: without a limit; --check says so. */
    }
    return rc;
}

static int own_directory(const char *path, uint32_t uid, struct error *err)
{
    int rc = make_directory(path, 0755, err);

    if (rc == 0 && chown(path, uid, uid) != 0) {
        rc = error_errno(err, "%s", path);
    }
    return rc;
}

/* Attach the mapped layers, mount the overlay over them, detach them: one mount stays. */
static int mount_overlay(const struct site *site, const struct warden_instance *instance,
                         uint32_t slot, const char *merged, struct error *err)
{
    static char layers[IMAGE_LAYERS_MAX][PATH_BYTES];
    char lower[PATH_BYTES], upper[PATH_BYTES], work[PATH_BYTES];
    struct buf options = {0};
    size_t count = image_layers_of(site, instance->id, layers), attached = 0;
    int userns, rc = 0;

    userns = rootfs_userns(0, first_uid(slot), err);
    if (userns < 0) {
        return ERR_SYSTEM;
    }
    site_path(site, upper, "instances/%s/disk/upper", instance->id);
    site_path(site, work, "instances/%s/disk/work", instance->id);
    rc = own_directory(upper, first_uid(slot), err);
    if (rc == 0) {
        rc = own_directory(work, first_uid(slot), err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int tree = rootfs_mapped_tree(layers[i], userns, true, err);

        site_path(site, lower, "instances/%s/lower%zu", instance->id, i);
        rc = tree < 0 ? ERR_SYSTEM : make_directory(lower, 0755, err);
        if (rc == 0 &&
            syscall(SYS_move_mount, tree, "", AT_FDCWD, lower, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
            rc = error_errno(err, "move_mount %s", lower);
        }
        if (tree >= 0) {
            close(tree);
        }
        attached += rc == 0;
        buf_printf(&options, "%s%s", i == 0 ? "lowerdir=" : ":", lower);
    }
    buf_printf(&options, ",upperdir=%s,workdir=%s", upper, work);
    if (rc == 0 && mount("overlay", merged, "overlay", MS_NODEV, buf_z(&options)) != 0) {
        rc = error_errno(err, "mount the overlay of %s", instance->id);
    }
    for (size_t i = 0; i < attached; i++) {
        site_path(site, lower, "instances/%s/lower%zu", instance->id, i);
        umount2(lower, MNT_DETACH);
        rmdir(lower);
    }
    close(userns);
    buf_close(&options);
    return rc;
}

int rootfs_mount(const struct site *site, const struct warden_instance *instance, uint32_t *slot,
                 char merged[PATH_BYTES], struct error *err)
{
    char path[PATH_BYTES];
    int rc;

    site_path(site, path, "instances/%s", instance->id);
    rc = make_directory(path, 0711, err);
    if (rc == 0) {
        rc = image_use(site, instance->image, instance->id, err);
    }
    if (rc == 0) {
        rc = take_slot(site, instance->id, slot, err);
    }
    if (rc == 0) {
        rc = mount_disk(site, instance, *slot, err);
    }
    /* Its files are its own business, not that of the host's users: only its range gets there. */
    if (rc == 0 && (chown(path, 0, first_uid(*slot)) != 0 || chmod(path, 0710) != 0)) {
        rc = error_errno(err, "%s", path);
    }
    site_path(site, merged, "instances/%s/merged", instance->id);
    if (rc == 0) {
        rc = make_directory(merged, 0755, err);
    }
    if (rc != 0 || is_mounted(merged)) {
        return rc;
    }
    return mount_overlay(site, instance, *slot, merged, err);
}

void rootfs_unmount(const struct site *site, const char *id)
{
    static const char *const mounts[] = {"merged", "disk"};
    char path[PATH_BYTES];

    for (size_t i = 0; i < COUNT_OF(mounts); i++) {
        site_path(site, path, "instances/%s/%s", id, mounts[i]);
        if (is_mounted(path) && umount2(path, 0) != 0) {
            umount2(path, MNT_DETACH);
        }
    }
}

/* The upper layer through the inverse map, so that its files have their natural owners again. */
static int copy_upper(const struct site *site, const char *instance, const char *layer,
                      struct error *err)
{
    char upper[PATH_BYTES], view[PATH_BYTES];
    const char *const copy[] = {"cp", "-a", "--sparse=always", view, layer, NULL};
    uint32_t slot = 0;
    int userns, tree, rc = take_slot(site, instance, &slot, err);

    site_path(site, upper, "instances/%s/disk/upper", instance);
    site_path(site, view, "instances/%s/view", instance);
    if (is_mounted(view)) { /* What was killed in mid-copy. */
        umount2(view, MNT_DETACH);
    }
    rc = rc != 0 ? rc : make_directory(view, 0755, err);
    userns = rc == 0 ? rootfs_userns(first_uid(slot), 0, err) : -1;
    tree = userns < 0 ? -1 : rootfs_mapped_tree(upper, userns, true, err);
    if (tree < 0) {
        rc = rc != 0 ? rc : ERR_SYSTEM;
    } else if (syscall(SYS_move_mount, tree, "", AT_FDCWD, view, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        rc = error_errno(err, "move_mount %s", view);
    } else {
        rc = run_program(copy, SLICE_EMPTY, NULL, err);
        umount2(view, MNT_DETACH);
        rmdir(view);
    }
    if (tree >= 0) {
        close(tree);
    }
    if (userns >= 0) {
        close(userns);
    }
    return rc;
}

/* The copy, and all layers below it, as one: images are baked of images without end. */
static int copy_whole(const struct site *site, const char *instance, const char *layer,
                      struct error *err)
{
    static char layers[IMAGE_LAYERS_MAX][PATH_BYTES];
    char view[PATH_BYTES], whole[PATH_BYTES];
    const char *const copy[] = {"cp", "-a", "--sparse=always", view, whole, NULL};
    size_t count = image_layers_of(site, instance, layers);
    struct buf options = {0};
    int rc;

    site_path(site, view, "instances/%s/view", instance);
    snprintf(whole, sizeof(whole), "%.4000s.whole", layer);
    buf_printf(&options, "lowerdir=%s", layer);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&options, ":%s", layers[i]);
    }
    rc = make_directory(view, 0755, err);
    if (rc == 0 &&
        mount("overlay", view, "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID, buf_z(&options)) != 0) {
        rc = error_errno(err, "mount the overlay of %s", layer);
    }
    buf_close(&options);
    if (rc == 0) {
        rc = run_program(copy, SLICE_EMPTY, NULL, err);
        umount2(view, MNT_DETACH);
    }
    rmdir(view);
    if (rc == 0) {
        remove_tree(layer);
        rc = rename(whole, layer) == 0 ? 0 : error_errno(err, "%s", layer);
    }
    return rc;
}

/* A stopped instance's disk is mounted for as long as the copy takes. */
int rootfs_image(const struct site *site, const char *instance, const char *image,
                 struct error *err)
{
    char disk[PATH_BYTES], file[PATH_BYTES], layer[PATH_BYTES];
    bool stopped, whole;
    int rc = image_begin(site, image, instance, layer, &whole, err);

    if (rc != 0) {
        return rc;
    }
    site_path(site, disk, "instances/%s/disk", instance);
    site_path(site, file, "instances/%s/disk.img", instance);
    stopped = !is_mounted(disk) && access(file, F_OK) == 0;
    if (stopped) {
        rc = mount_loop(file, disk, err);
    }
    if (rc == 0) {
        rc = copy_upper(site, instance, layer, err);
    }
    if (stopped && is_mounted(disk) && umount2(disk, 0) != 0) {
        umount2(disk, MNT_DETACH);
    }
    if (rc == 0 && whole) {
        rc = copy_whole(site, instance, layer, err);
    }
    return image_end(site, image, rc, err);
}
