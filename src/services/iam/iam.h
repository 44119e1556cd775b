/* IAM: users, roles, policies, instance profiles; who a key belongs to and what they may do.
 *
 * Temporary credentials are not stored: a session token carries its own claims under a MAC with a
 * key of this state directory, and the secret is derived from the access key. Loop thread. */
#ifndef SERVICES_IAM_IAM_H
#define SERVICES_IAM_IAM_H

#include "services/control.h"

extern const struct service iam_service;

/* For wire/server.h's hooks. */
int iam_find_secret(struct ctx *ctx, struct slice access_key, struct slice session_token,
                    struct slice *secret, struct error *err);
int iam_authorize(struct ctx *ctx, const char *action, const char *resource, struct error *err);

/* May ctx's caller give the role to @service ("ec2.amazonaws.com")? Else they could do by it what
 * they may not. ERR_DENIED. For a role that is not there (yet), or NULL, they must be allowed to
 * give any. */
int iam_pass_role(struct ctx *ctx, const char *role_name, const char *service, struct error *err);

/* An instance profile by name or ARN. Borrowed until the next change. ERR_NOT_FOUND. */
struct iam_profile_facts {
    const char *arn;
    const char *id; /* "AIPA..." */
    const char *name;
    const char *role; /* Its role's name; NULL: none yet. */
};
int iam_profile_facts(const struct control *control, const char *name_or_arn,
                      struct iam_profile_facts *facts, struct error *err);

struct iam_credentials {
    const char *access_key; /* "ASIA..." */
    const char *secret;
    const char *token;
    int64_t expires_ms; /* Wall time. */
    const char *role_id;
};
/* New credentials of a session of @role called @session, for @duration_s, in the arena.
 * ERR_NOT_FOUND when there is no such role. Nobody is asked: the caller has checked. */
int iam_role_credentials(struct ctx *ctx, const char *role, const char *session, int64_t duration_s,
                         struct iam_credentials *credentials, struct error *err);
/* Does the role's trust policy let @service ("ec2.amazonaws.com") or ctx's caller assume it? */
bool iam_role_trusts(struct ctx *ctx, const char *role, const char *service);
/* Its longest session, in seconds; 0 when there is none. */
int64_t iam_role_max_session_s(const struct control *control, const char *role);

#endif /* SERVICES_IAM_IAM_H */
