/* What `up` deploys and `down` removes: the stack's name, and the files that come with muster. */
#ifndef MUSTER_DEPLOY_H
#define MUSTER_DEPLOY_H

#include "muster/cli.h"

#define STACK_NAME_DEFAULT "candidates"

const char *deploy_stack_name(const struct cli *cli); /* --name; borrowed. */

/* Files are where this program was installed (PREFIX/share/muster/deploy, PREFIX/lib/muster), or in
 * the source tree that it was built in. The caller frees what these return; ERR_NOT_FOUND names
 * what was looked for. */
int deploy_file(const char *name, char **path, struct error *err);    /* "packer/bake.sh" */
int deploy_program(const char *name, char **path, struct error *err); /* "candidate" */

/* ERR_CONFIG says that it cannot be read, or is larger than @bytes_max. Appends. */
int deploy_read(const char *path, size_t bytes_max, struct buf *text, struct error *err);

#endif /* MUSTER_DEPLOY_H */
