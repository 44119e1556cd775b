/* The second phase of `muster up`: an image that has the service in it.
 *
 * An instance of the base image is started in the stack's build subnet with a key pair and a
 * security group of its own, deploy/packer/bake.sh runs there over ssh, and the instance becomes an
 * image. The image carries a hash of all that went into it, so that the same service is baked once.
 * What a bake needs for a while is tagged with the stack's name; whatever a killed one left behind
 * is found by that tag. */
#ifndef MUSTER_BAKE_H
#define MUSTER_BAKE_H

#include "muster/cli.h"

#define BASE_IMAGE_DEFAULT "ami-0deb1a12000000000"

struct bake_options {
    const char *stack;        /* Name. */
    const char *vpc, *subnet; /* Where to bake. */
    const char *base_image;
    const char *candidate; /* Files. */
    const char *bake_script;
    const char *service_unit;
    const char *ssh_user;
};

/* @*image (the caller's) is one that was there, or a new one (*@baked). Also on failure nothing
 * else is left. */
int bake_image(struct cli *cli, const struct bake_options *options, char **image, bool *baked,
               struct error *err);

/* End instances and delete security groups and key pairs that bakes for @stack left behind. Says
 * nothing if there are none. Works also when interrupted: another Ctrl-C ends it. */
int bake_tidy(struct cli *cli, const char *stack, struct error *err);

/* Deregister all images baked for @stack but @keep (NULL: none), with their snapshots. *@count: how
 * many. */
int bake_forget(struct cli *cli, const char *stack, const char *keep, size_t *count,
                struct error *err);

#endif /* MUSTER_BAKE_H */
