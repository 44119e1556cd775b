/* What the files of this service share. */
#ifndef SERVICES_IAM_PRIVATE_H
#define SERVICES_IAM_PRIVATE_H

#include "base/map.h"
#include "services/iam/iam.h"
#include "store/record.h"

#define IAM_ENTITIES_MAX 5000 /* Users, roles, instance profiles, policies: of each. */
#define IAM_KEYS_PER_USER_MAX 2
#define IAM_ATTACHED_MAX 10
/* Sizes of policy documents, as policy_chars() counts. */
#define IAM_TRUST_CHARS_MAX 2048
#define IAM_INLINE_CHARS_MAX 10240 /* All of an identity's together. */
#define IAM_POLICY_CHARS_MAX 6144

struct iam_inline {
    char *name;
    char *document;
};

struct iam_key {
    char *id;
    char *secret;
    bool inactive;
    int64_t created_ms;
};

/* A user or a role: something with policies. */
struct iam_identity {
    bool is_role;
    char *name, *id, *path, *arn;
    char *trust; /* Roles. */
    char *description;
    int64_t max_session_s; /* Roles. */
    int64_t created_ms;
    struct iam_inline *policies;
    size_t policies_count;
    char **attached; /* ARNs. */
    size_t attached_count;
    struct iam_key *keys; /* Users. */
    size_t keys_count;
};

/* A customer managed policy. */
struct iam_policy {
    char *name, *id, *path, *arn;
    char *description;
    char *document;
    int64_t created_ms;
};

struct iam_profile {
    char *name, *id, *path, *arn;
    char *role; /* NULL: none. */
    int64_t created_ms;
};

struct iam {
    struct control *control;
    struct map users, roles; /* Lower-case name -> struct iam_identity. */
    struct map policies;     /* ARN -> struct iam_policy. */
    struct map profiles;     /* Lower-case name -> struct iam_profile. */
    struct map sessions;     /* Access key -> struct known: session.c */
    struct map parsed;       /* Policy document -> json_t: authorize.c */
    char *session_key;       /* 64 hex digits: signs session tokens. */
    struct iam_key root;
};

/* names.c: kinds role, user, instance-profile; wire_hooks.resource(). */
const char *iam_resource(struct ctx *ctx, struct slice kind, struct slice value);
/* authorize.c, session.c: let go of what they keep. */
void iam_forget_parsed(struct iam *iam);
void iam_forget_sessions(struct iam *iam);
/* Names are unique ignoring case. NULL when there is none. */
struct iam_identity *iam_user(const struct iam *iam, const char *name);
struct iam_identity *iam_role(const struct iam *iam, const char *name);
struct iam_profile *iam_profile(const struct iam *iam, const char *name);
/* NoSuchEntity in AWS's words. */
int iam_find_user(struct ctx *ctx, const char *name, struct iam_identity **user, struct error *err);
/* The profile that @in's InstanceProfileName says. */
int iam_find_profile(struct ctx *ctx, const struct doc *in, struct iam_profile **profile,
                     struct error *err);
/* tags.c: of whatever has @arn. May @in's Tags be added? */
int iam_tags_check(const struct ctx *ctx, const char *arn, const struct doc *in, struct error *err);
void iam_tags_add(struct ctx *ctx, const char *arn, const struct doc *in);
void iam_tags_describe(struct ctx *ctx, const char *arn, struct doc *row);
int iam_find_role(struct ctx *ctx, const char *name, struct iam_identity **role, struct error *err);
/* "iam:..." an ARN of this account. malloc()ed. */
char *iam_make_arn(const struct ctx *ctx, const char *type, const char *path, const char *name);
int iam_check_name(const char *member, const char *name, struct error *err);
/* Of what is to be made: its name and its Path, and may the caller make it? */
struct iam_new {
    const char *action, *type; /* "iam:CreateRole", "role" */
    const char *member, *name; /* "roleName" */
};
int iam_check_new(struct ctx *ctx, const struct doc *in, const struct iam_new *new,
                  struct error *err);
/* PathPrefix, where given. */
int iam_check_prefix(const struct doc *in, struct error *err);
const char *iam_path(const struct doc *in);

struct iam_identity *iam_add(struct iam *iam, bool is_role);
void iam_index(struct iam *iam, struct iam_identity *identity);
void iam_changed(struct ctx *ctx, const struct iam_identity *identity);
void iam_forget(struct ctx *ctx, struct iam_identity *identity);
void iam_profile_changed(struct ctx *ctx, const struct iam_profile *profile);

/* managed.c: the document of a policy that can be attached: AWS's or the account's; or NULL. */
const char *iam_managed_document(const struct iam *iam, const char *arn);

/* session.c: @access_key begins with ASIA. */
int iam_find_session(struct ctx *ctx, struct slice access_key, struct slice token,
                     struct slice *secret, struct error *err);

/* Text for answers: IAM percent-encodes documents. */
void iam_set_document(struct doc *doc, int member, const char *document);
void iam_describe_role(struct ctx *ctx, const struct iam_identity *role, struct doc *row);

/* page.c: @member of @out has all; keep the page that is asked for, and say whether more follow. */
int iam_page(struct ctx *ctx, const struct doc *in, struct doc *out, const char *action, int member,
             struct error *err);

extern const struct record iam_identity_record, iam_policy_record, iam_profile_record;

#endif /* SERVICES_IAM_PRIVATE_H */
