#ifndef SERVICES_IMDS_PRIVATE_H
#define SERVICES_IMDS_PRIVATE_H

#include "base/buf.h"
#include "services/control.h"
#include "services/ec2/ec2.h"

#define IMDS_KEY_BYTES 32
#define IMDS_TTL_S_MIN 1
#define IMDS_TTL_S_MAX 21600

/* tree.c: the metadata as a tree of texts. */

struct imds_leaf {
    struct slice path; /* "meta-data/placement/region" */
    struct slice value;
    bool credentials; /* Made when it is asked for; value is the role's name. */
};

struct imds_tree {
    struct arena *arena;
    struct imds_leaf *leaves;
    size_t count, room;
};

void imds_tree_add(struct imds_tree *tree, const char *path, struct slice value);
/* What the instance sees; in ctx's arena. */
void imds_tree_make(struct ctx *ctx, const struct ec2_instance *instance, struct imds_tree *tree);
/* The answer to "/latest/meta-data/": 200 with *@body, a listing for directories, or 404. Sets
 * *@credentials to the leaf when it is one of credentials. */
int imds_tree_get(const struct imds_tree *tree, struct slice target, struct buf *body,
                  const struct imds_leaf **credentials);

/* token.c: session tokens, which carry their own end under a MAC with the state directory's key. */

void imds_token_make(const unsigned char key[IMDS_KEY_BYTES], const char *instance,
                     int64_t expires_ms, struct buf *token);
bool imds_token_holds(const unsigned char key[IMDS_KEY_BYTES], const char *instance,
                      struct slice token, int64_t now_ms);

/* documents.c: the JSON ones. */

struct slice imds_identity(struct ctx *ctx, const struct ec2_instance *instance);
struct slice imds_iam_info(struct ctx *ctx, const struct ec2_instance *instance);
/* The role's name; empty when the instance has no profile with a role. */
struct slice imds_role(struct ctx *ctx, const struct ec2_instance *instance);
struct slice imds_credentials(struct ctx *ctx, const struct ec2_instance *instance,
                              struct slice role);

#endif /* SERVICES_IMDS_PRIVATE_H */
