/* What the files of the warden share. */
#ifndef WARDEN_PRIVATE_H
#define WARDEN_PRIVATE_H

#include "base/buf.h"
#include "base/error.h"
#include "warden/protocol.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define SITE_BYTES 8
#define PATH_BYTES 4096
#define BASE_IMAGE "ami-0deb1a12000000000" /* The machine's; made at a start. */
#define INSTANCES_MAX 2000         /* Of a site: 32 sites' ranges of uids fit into 32 bits. */
#define SITE_BLOCKS ADDRESS_BLOCKS /* Sites of one machine. */

/* A state directory and all names made from it. STATE is root's; STATE/musterd is musterd's. */
struct site {
    char state[2048];      /* Absolute. */
    char name[SITE_BYTES]; /* Six hex digits. */
    uint32_t block;        /* Its share of addresses and uids: 0 .. SITE_BLOCKS - 1. */
    uid_t musterd_uid;
    gid_t musterd_gid;
    uid_t haproxy_uid; /* Not that of a host's own HAProxy: it must be out of reach of ours. */
    const char *region;
    char api_host[64]; /* The API's own listener, "127.0.0.1:4566". */
};

/* Read, or at the first start make, STATE/site. */
int site_open(struct site *site, const char *state_dir, bool make, struct error *err);
/* STATE/<format...>; aborts when too long: ids are bounded. */
void site_path(const struct site *site, char path[PATH_BYTES], const char *format, ...)
    PRINTF_LIKE(3, 4);
/* "muster-<site>-<id>": containers. */
void site_container(const struct site *site, const char *id, char name[64]);
/* "muster-<site>-vpc...": network namespaces. */
void site_namespace(const struct site *site, const char *vpc, char name[64]);
/* The two ends of an instance's link: in the VPC's namespace, and, while the container does not
 * have it, in the host's, where other sites' are, too. */
void link_in_vpc(const char *instance, char name[16]);
void site_link(const struct site *site, const char *instance, char name[16]);

/* ids: is it @prefix and 8 to 17 hex digits? */
bool id_has(const char *id, size_t room, const char *prefix);

/* Run a program and wait: its output (both streams) comes back in @output, when not NULL; @input is
 * its standard input. ERR_SYSTEM with what it said when it fails. In forked children only. */
int run_program(const char *const *argv, struct slice input, struct buf *output, struct error *err);

/* Forked children: enter the VPC's namespace. */
int enter_namespace(const struct site *site, const char *vpc, struct error *err);
int write_file(const char *path, struct slice text, mode_t mode, struct error *err);
/* The same, root's own, there also after a power failure. */
int keep_file(const char *path, struct slice text, struct error *err);
/* mkdir -p, root's. */
int make_directory(const char *path, mode_t mode, struct error *err);
/* rm -rf, without following links or crossing mounts. */
void remove_tree(const char *path);
bool is_mounted(const char *path);
/* Calls @fn for each name in @directory that begins with @prefix; none when it is not there. Names
 * may be removed meanwhile. */
typedef void name_fn(void *data, const char *name);
void each_name(const char *directory, const char *prefix, name_fn *fn, void *data);
/* In forked children: one at a time for @id, until @*fd is closed or the child ends. */
int site_lock(const struct site *site, const char *id, int *fd, struct error *err);

/* console.c: what an instance has written to its console since it was started, kept until it is
 * gone. */
void console_path(const struct site *site, const char *id, char path[PATH_BYTES]);
/* Add the last @bytes_max of it to @text. */
void console_read(const struct site *site, const char *id, size_t bytes_max, struct buf *text);
void console_remove(const struct site *site, const char *id);

/* process.c: a process is known by its pid and when it started, for pids come again. */
struct process {
    pid_t pid;     /* 0: none. */
    int64_t start; /* Clock ticks since boot. */
};
/* start is -1 when there is none such. */
struct process process_of(pid_t pid);
bool process_lives(struct process process);
/* Its pidfd; -1 when it has ended. */
int process_open(struct process process);
void process_kill(struct process process, int signal);
/* Waits for a child that fork() gave: its exit status, 128 and more when a signal ended it, -1 when
 * there is none because fork() failed: never for any other. */
int process_wait(pid_t child);
/* Before exec: give descriptor @from[i] the number @to[i], which may be another one's now, for the
 * program to inherit. -1 when there are not enough descriptors. */
int process_pass(const int from[], const int to[], size_t count);

/* cgroups.c: end what is in muster/i/NAME and muster/mon/NAME of every hierarchy, and remove them.
 * False when something is left. */
bool cgroups_end(const char *container);
void cgroups_kill(const char *container); /* Without waiting. */
/* Into @file of "muster/@part/@container", in whatever hierarchies have it. */
void cgroups_write(const char *part, const char *container, const char *file, const char *text);
/* Can a group with a limit of @controller ("cpu", "memory", "pids") be made, in either layout? */
int cgroups_try(const char *controller, struct error *err);
/* v2: from the root that is mounted at @point to those below. */
int cgroups_hand_down(const char *point, const char *controller, struct error *err);
/* Where a cgroup file system is mounted: of a line of mountinfo; false when it is another's. */
bool cgroups_point(const char *line, char *point, size_t room);
/* Where v1's @controller is, found by the mount's options; false where there is none. */
bool cgroups_mount(FILE *mountinfo, const char *controller, char *point, size_t room);

#define MACHINE_DIR "/var/lib/muster-sites" /* What the sites of one machine share. */

/* limits.c: "fs/inotify/max_user_instances" to at least @wanted. */
void sysctl_set(const char *name, int64_t wanted);
/* Limits that all instances share, so that one cannot take all of them. */
void sysctl_raise_shared(void);
void sysctl_restore(void);

/* block.c: the lowest free block, or the one that is the site's already. */
int block_claim(struct site *site, struct error *err);
void block_release(const struct site *site); /* With the last one sysctls are restored. */
/* The state directory that has block @i; "" when none. */
void block_owner(uint32_t i, char state[PATH_BYTES]);

/* rootfs.c */
int rootfs_mount(const struct site *site, const struct warden_instance *instance, uint32_t *slot,
                 char merged[PATH_BYTES], struct error *err);
void rootfs_unmount(const struct site *site, const char *id);
/* Make @image of a stopped or frozen instance. */
int rootfs_image(const struct site *site, const char *instance, const char *image,
                 struct error *err);
/* A user namespace with the map "@from @to 65536"; its descriptor serves mount_setattr(). -1. */
int rootfs_userns(uint32_t from, uint32_t to, struct error *err);
/* A detached, id-mapped view of @path; -1. */
int rootfs_mapped_tree(const char *path, int userns, bool read_only, struct error *err);

/* images.c */
#define IMAGE_LAYERS_MAX 16
/* The layers under an instance's own, the uppermost first; none before image_use(). */
size_t image_layers_of(const struct site *site, const char *instance,
                       char layers[IMAGE_LAYERS_MAX][PATH_BYTES]);
/* Before an instance's first mount: from now on its layers are there for as long as it is. */
int image_use(const struct site *site, const char *image, const char *instance, struct error *err);
bool image_exists(const struct site *site, const char *image);
/* Where the copy of an instance's own layer belongs, or, when *@whole because there would be too
 * many layers, that of all it sees. It becomes an image by image_end(), which gets, and when it is
 * not 0 returns, what the copy came to. */
int image_begin(const struct site *site, const char *image, const char *instance,
                char layer[PATH_BYTES], bool *whole, struct error *err);
int image_end(const struct site *site, const char *image, int rc, struct error *err);
int image_gone(const struct site *site, const char *image, struct error *err);
/* Remove the layers that neither an image nor an instance names. */
void images_sweep(const struct site *site);
void images_adopt(const struct site *site); /* What a warden that was killed left undone. */
/* The base image is of the machine, not of the site: one layer in /var/cache/muster. */
int images_prepare_base(const struct site *site, struct error *err);

/* instance.c */
int instance_ensure(const struct site *site, const struct warden_instance *instance,
                    struct error *err);
int instance_reboot(const struct site *site, const char *id, struct error *err);
int instance_exec(const struct site *site, const struct warden_exec *exec, const char *arguments,
                  const char *input, struct warden_output *result, struct buf *output,
                  struct buf *errors, struct error *err);
int instance_image(const struct site *site, const char *instance, const char *image,
                   struct error *err);
/* Its monitor's pidfd, or -1 when it does not run. */
int instance_watch(const struct site *site, const char *id);
enum warden_state instance_state(const struct site *site, const char *id);
/* What a warden that was killed may have left undone: a frozen instance. */
void instance_adopt(const struct site *site, const char *id);
void instance_gone(const struct site *site, const char *id);

/* vpc.c */
/* @listeners: kept ones, or -1; those that are wanted when it returns. */
int vpc_ensure(const struct site *site, const struct warden_vpc *vpc,
               const struct network_end *ends, const struct network_rule *rules,
               int listeners[WARDEN_VPC_LISTENERS], struct error *err);
int vpc_gone(const struct site *site, const char *id, struct error *err);
int vpc_sockets(const struct site *site, const char *id, int *fds, size_t count, struct error *err);

/* uplink.c: a VPC's way out, while an internet gateway is its default route. In forked children. */
int uplink_ensure(const struct site *site, const char *vpc, struct error *err);
void uplink_drop(const struct site *site, const char *vpc);

/* The host's table: where connections to the site's part of 127.64.0.0/15 go. */
struct published {
    uint32_t address;
    uint16_t port;
    uint16_t loopback_port;
};
int host_table_write(const struct site *site, const struct published *published, size_t count,
                     struct error *err);

/* nft.c: pure writers. */
/* @flows: bound each instance's connections, for which the kernel needs nft_connlimit. */
void nft_vpc(struct buf *text, const struct warden_vpc *vpc, const struct network_end *ends,
             const struct network_rule *rules, bool flows);
void nft_host(struct buf *text, const struct site *site, const struct published *published,
              size_t count);
/* The host's table for uplinks, "muster-<site>-out". */
void nft_uplinks(struct buf *text, const struct site *site);
struct network uplink_network(const struct site *site); /* All /30 of the site. */

/* host.c: print what is there and what is missing; false when something needed is. */
bool host_check(const char *state_dir, bool json);

/* purge.c: all that the site made; false when something is left. */
bool purge_site(struct site *site);
/* All sites of the machine, what is left of those whose state directory is gone, and the image
 * cache. */
bool purge_machine(void);

#endif /* WARDEN_PRIVATE_H */
