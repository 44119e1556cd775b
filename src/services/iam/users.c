/* Users and their access keys. */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/id.h"
#include "base/alloc.h"
#include "services/iam/private.h"

#include <stdlib.h>
#include <string.h>

static void describe_user(const struct iam_identity *user, struct doc *row)
{
    doc_set_z(row, M_Path, user->path);
    doc_set_z(row, M_UserName, user->name);
    doc_set_z(row, M_UserId, user->id);
    doc_set_z(row, M_Arn, user->arn);
    doc_set_time_ms(row, M_CreateDate, user->created_ms / 1000 * 1000);
}

int iam_create_user(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam *iam = ctx->control->iam;
    const char *name = doc_z(in, M_UserName);
    const struct iam_new new = {"iam:CreateUser", "user", "userName", name};
    struct iam_identity *user;
    char id[ID_BYTES];
    int rc = iam_check_new(ctx, in, &new, err);

    if (rc == 0 && iam_user(iam, name) != NULL) {
        rc = error_api(err, "EntityAlreadyExists", "User with name %s already exists.", name);
    }
    if (rc == 0 && iam->users.count >= IAM_ENTITIES_MAX) {
        rc = error_api(err, "LimitExceeded", "Cannot exceed quota for UsersPerAccount: %d",
                       IAM_ENTITIES_MAX);
    }
    if (rc != 0) {
        return rc;
    }
    id_new_base32(id, "AIDA", 21);
    user = iam_add(iam, false);
    user->name = mem_strdup(name);
    user->id = mem_strdup(id);
    user->path = mem_strdup(iam_path(in));
    user->arn = iam_make_arn(ctx, "user", user->path, name);
    user->created_ms = ctx->now_ms;
    iam_index(iam, user);
    iam_changed(ctx, user);
    describe_user(user, doc_set_struct(out, M_User));
    return 0;
}

/* Without a name the caller is meant. */
static int named_or_caller(struct ctx *ctx, const struct doc *in, struct iam_identity **user,
                           struct error *err)
{
    const char *name = doc_z(in, M_UserName);

    if (name == NULL && ctx->caller.kind != CALLER_USER) {
        return error_api(err, "ValidationError",
                         "Must specify userName when calling with non-User credentials");
    }
    return iam_find_user(ctx, name == NULL ? ctx->caller.name : name, user, err);
}

int iam_get_user(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *user;
    struct doc *row;
    int rc;

    if (!doc_has(in, M_UserName) && ctx->caller.kind == CALLER_ROOT) {
        row = doc_set_struct(out, M_User);
        doc_set_z(row, M_Path, "/");
        doc_set_z(row, M_UserName, "root");
        doc_set_z(row, M_UserId, ctx->caller.account);
        doc_set_z(row, M_Arn, ctx->caller.arn);
        doc_set_time_ms(row, M_CreateDate, ctx->control->iam->root.created_ms / 1000 * 1000);
        return 0;
    }
    rc = named_or_caller(ctx, in, &user, err);
    if (rc == 0) {
        describe_user(user, doc_set_struct(out, M_User));
    }
    return rc;
}

int iam_list_users(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const struct iam_identity *user;

    if (iam_check_prefix(in, err) != 0) {
        return ERR_API;
    }
    doc_set_list(out, M_Users);
    for (size_t at = 0; (user = map_next(&ctx->control->iam->users, &at)) != NULL;) {
        if (slice_starts(slice_z(user->path), doc_text(in, M_PathPrefix))) {
            describe_user(user, doc_add_struct(out, M_Users));
        }
    }
    return iam_page(ctx, in, out, "ListUsers", M_Users, err);
}

int iam_delete_user(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *user;
    int rc = iam_find_user(ctx, doc_z(in, M_UserName), &user, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (user->keys_count > 0) {
        return error_api(err, "DeleteConflict",
                         "Cannot delete entity, must delete access keys first.");
    }
    if (user->policies_count > 0 || user->attached_count > 0) {
        return error_api(err, "DeleteConflict",
                         "Cannot delete entity, must detach all policies first.");
    }
    iam_forget(ctx, user);
    return 0;
}

int iam_create_access_key(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *user;
    struct iam_key *key;
    char id[ID_BYTES], secret[41];
    struct doc *row;
    int rc = named_or_caller(ctx, in, &user, err);

    if (rc == 0 && user->keys_count >= IAM_KEYS_PER_USER_MAX) {
        rc = error_api(err, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: %d",
                       IAM_KEYS_PER_USER_MAX);
    }
    if (rc != 0) {
        return rc;
    }
    id_new_base32(id, "AKIA", 20);
    id_new_secret(secret, 40);
    user->keys = mem_realloc(user->keys, user->keys_count + 1, sizeof(*user->keys));
    key = &user->keys[user->keys_count++];
    *key = (struct iam_key){
        .id = mem_strdup(id), .secret = mem_strdup(secret), .created_ms = ctx->now_ms};
    iam_changed(ctx, user);
    row = doc_set_struct(out, M_AccessKey);
    doc_set_z(row, M_UserName, user->name);
    doc_set_z(row, M_AccessKeyId, id);
    doc_set_z(row, M_Status, "Active");
    doc_set_z(row, M_SecretAccessKey, secret);
    doc_set_time_ms(row, M_CreateDate, ctx->now_ms / 1000 * 1000);
    return 0;
}

int iam_list_access_keys(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *user;
    int rc = named_or_caller(ctx, in, &user, err);

    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_AccessKeyMetadata);
    for (size_t i = 0; i < user->keys_count; i++) {
        struct doc *row = doc_add_struct(out, M_AccessKeyMetadata);

        doc_set_z(row, M_UserName, user->name);
        doc_set_z(row, M_AccessKeyId, user->keys[i].id);
        doc_set_z(row, M_Status, user->keys[i].inactive ? "Inactive" : "Active");
        doc_set_time_ms(row, M_CreateDate, user->keys[i].created_ms / 1000 * 1000);
    }
    return iam_page(ctx, in, out, "ListAccessKeys", M_AccessKeyMetadata, err);
}

int iam_delete_access_key(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *id = doc_z(in, M_AccessKeyId);
    struct iam_identity *user;
    int rc = named_or_caller(ctx, in, &user, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < user->keys_count; i++) {
        if (strcmp(user->keys[i].id, id) == 0) {
            free(user->keys[i].id);
            free(user->keys[i].secret);
            user->keys_count--;
            memmove(&user->keys[i], &user->keys[i + 1],
                    (user->keys_count - i) * sizeof(*user->keys));
            iam_changed(ctx, user);
            return 0;
        }
    }
    return rc != 0
               ? rc
               : error_api(err, "NoSuchEntity", "The Access Key with id %s cannot be found.", id);
}
