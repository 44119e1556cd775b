/* Roles and instance profiles. */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/id.h"
#include "base/alloc.h"
#include "services/iam/evaluate.h"
#include "services/iam/private.h"

#include <stdlib.h>
#include <string.h>

#define SESSION_S_DEFAULT 3600

void iam_describe_role(struct ctx *ctx, const struct iam_identity *role, struct doc *row)
{
    doc_set_z(row, M_Path, role->path);
    doc_set_z(row, M_RoleName, role->name);
    doc_set_z(row, M_RoleId, role->id);
    doc_set_z(row, M_Arn, role->arn);
    doc_set_time_ms(row, M_CreateDate, role->created_ms / 1000 * 1000);
    iam_set_document(row, M_AssumeRolePolicyDocument, role->trust);
    doc_set_z(row, M_Description, role->description);
    doc_set_int(row, M_MaxSessionDuration, role->max_session_s);
    iam_tags_describe(ctx, role->arn, row);
}

int iam_create_role(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam *iam = ctx->control->iam;
    const char *name = doc_z(in, M_RoleName), *trust = doc_z(in, M_AssumeRolePolicyDocument);
    const struct iam_new new = {"iam:CreateRole", "role", "roleName", name};
    struct iam_identity *role;
    char id[ID_BYTES];
    int rc = iam_check_new(ctx, in, &new, err);

    if (rc == 0) {
        rc = policy_parse(trust, true, NULL, err);
    }
    if (rc == 0 && policy_chars(trust) > IAM_TRUST_CHARS_MAX) {
        rc = error_api(err, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: %d",
                       IAM_TRUST_CHARS_MAX);
    }
    if (rc == 0 && iam_role(iam, name) != NULL) {
        rc = error_api(err, "EntityAlreadyExists", "Role with name %s already exists.", name);
    }
    if (rc == 0 && iam->roles.count >= IAM_ENTITIES_MAX) {
        rc = error_api(err, "LimitExceeded", "Cannot exceed quota for RolesPerAccount: %d",
                       IAM_ENTITIES_MAX);
    }
    if (rc != 0) {
        return rc;
    }
    id_new_base32(id, "AROA", 21);
    role = iam_add(iam, true);
    role->name = mem_strdup(name);
    role->id = mem_strdup(id);
    role->path = mem_strdup(iam_path(in));
    role->arn = iam_make_arn(ctx, "role", role->path, name);
    role->trust = mem_strdup(trust);
    role->description = mem_strdup(doc_z(in, M_Description));
    role->max_session_s = doc_int_or(in, M_MaxSessionDuration, SESSION_S_DEFAULT);
    role->created_ms = ctx->now_ms;
    iam_index(iam, role);
    iam_changed(ctx, role);
    iam_tags_add(ctx, role->arn, in);
    iam_describe_role(ctx, role, doc_set_struct(out, M_Role));
    return 0;
}

int iam_get_role(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    if (rc == 0) {
        iam_describe_role(ctx, role, doc_set_struct(out, M_Role));
    }
    return rc;
}

int iam_list_roles(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const struct iam_identity *role;

    if (iam_check_prefix(in, err) != 0) {
        return ERR_API;
    }
    doc_set_list(out, M_Roles);
    for (size_t at = 0; (role = map_next(&ctx->control->iam->roles, &at)) != NULL;) {
        if (slice_starts(slice_z(role->path), doc_text(in, M_PathPrefix))) {
            iam_describe_role(ctx, role, doc_add_struct(out, M_Roles));
        }
    }
    return iam_page(ctx, in, out, "ListRoles", M_Roles, err);
}

int iam_update_role(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (doc_has(in, M_Description)) {
        free(role->description);
        role->description = mem_strdup(doc_z(in, M_Description));
    }
    role->max_session_s = doc_int_or(in, M_MaxSessionDuration, role->max_session_s);
    iam_changed(ctx, role);
    return 0;
}

int iam_update_assume_role_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    (void)out;
    if (rc == 0) {
        rc = policy_parse(doc_z(in, M_PolicyDocument), true, NULL, err);
    }
    if (rc == 0) {
        free(role->trust);
        role->trust = mem_strdup(doc_z(in, M_PolicyDocument));
        iam_changed(ctx, role);
    }
    return rc;
}

static const struct iam_profile *profile_with_role(const struct iam *iam, const char *role)
{
    const struct iam_profile *profile;

    for (size_t at = 0; (profile = map_next(&iam->profiles, &at)) != NULL;) {
        if (profile->role != NULL && strcmp(profile->role, role) == 0) {
            return profile;
        }
    }
    return NULL;
}

int iam_delete_role(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (role->attached_count > 0) {
        return error_api(err, "DeleteConflict",
                         "Cannot delete entity, must detach all policies first.");
    }
    if (role->policies_count > 0) {
        return error_api(err, "DeleteConflict",
                         "Cannot delete entity, must delete policies first.");
    }
    if (profile_with_role(ctx->control->iam, role->name) != NULL) {
        return error_api(err, "DeleteConflict",
                         "Cannot delete entity, must remove roles from instance profile first.");
    }
    iam_forget(ctx, role);
    return 0;
}

/* Instance profiles. */

static void describe_profile(struct ctx *ctx, const struct iam_profile *profile, struct doc *row)
{
    const struct iam_identity *role =
        profile->role == NULL ? NULL : iam_role(ctx->control->iam, profile->role);

    doc_set_z(row, M_Path, profile->path);
    doc_set_z(row, M_InstanceProfileName, profile->name);
    doc_set_z(row, M_InstanceProfileId, profile->id);
    doc_set_z(row, M_Arn, profile->arn);
    doc_set_time_ms(row, M_CreateDate, profile->created_ms / 1000 * 1000);
    doc_set_list(row, M_Roles);
    if (role != NULL) {
        iam_describe_role(ctx, role, doc_add_struct(row, M_Roles));
    }
    iam_tags_describe(ctx, profile->arn, row);
}

int iam_find_profile(struct ctx *ctx, const struct doc *in, struct iam_profile **profile,
                     struct error *err)
{
    const char *name = doc_z(in, M_InstanceProfileName);

    *profile = iam_profile(ctx->control->iam, name);
    return *profile != NULL
               ? 0
               : error_api(err, "NoSuchEntity", "Instance Profile %s cannot be found.", name);
}

static void index_profile(struct iam *iam, struct iam_profile *profile, bool add)
{
    char key[256];
    size_t bytes = strlen(profile->name);

    ASSERT(bytes < sizeof(key));
    for (size_t i = 0; i <= bytes; i++) {
        char byte = profile->name[i];

        key[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : byte;
    }
    if (add) {
        map_put(&iam->profiles, slice_z(key), profile);
    } else {
        map_remove(&iam->profiles, slice_z(key));
    }
}

int iam_create_instance_profile(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct iam *iam = ctx->control->iam;
    const char *name = doc_z(in, M_InstanceProfileName);
    const struct iam_new new = {"iam:CreateInstanceProfile", "instance-profile",
                                "instanceProfileName", name};
    struct iam_profile *profile;
    char id[ID_BYTES];
    int rc = iam_check_new(ctx, in, &new, err);

    if (rc == 0 && iam_profile(iam, name) != NULL) {
        rc = error_api(err, "EntityAlreadyExists", "Instance Profile %s already exists.", name);
    }
    if (rc == 0 && iam->profiles.count >= IAM_ENTITIES_MAX) {
        rc = error_api(err, "LimitExceeded",
                       "Cannot exceed quota for InstanceProfilesPerAccount: %d", IAM_ENTITIES_MAX);
    }
    if (rc != 0) {
        return rc;
    }
    id_new_base32(id, "AIPA", 21);
    profile = mem_calloc(1, sizeof(*profile));
    *profile = (struct iam_profile){
        .name = mem_strdup(name),
        .id = mem_strdup(id),
        .path = mem_strdup(iam_path(in)),
        .arn = iam_make_arn(ctx, "instance-profile", iam_path(in), name),
        .created_ms = ctx->now_ms,
    };
    index_profile(iam, profile, true);
    iam_profile_changed(ctx, profile);
    iam_tags_add(ctx, profile->arn, in);
    describe_profile(ctx, profile, doc_set_struct(out, M_InstanceProfile));
    return 0;
}

int iam_get_instance_profile(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    struct iam_profile *profile;
    int rc = iam_find_profile(ctx, in, &profile, err);

    if (rc == 0) {
        describe_profile(ctx, profile, doc_set_struct(out, M_InstanceProfile));
    }
    return rc;
}

int iam_delete_instance_profile(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct iam_profile *profile;
    int rc = iam_find_profile(ctx, in, &profile, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (profile->role != NULL) {
        return error_api(err, "DeleteConflict",
                         "Cannot delete entity, must remove roles from instance profile first.");
    }
    changes_del(ctx->changes, SLICE_LIT("iam.profile"), slice_z(profile->id));
    ctx_tags_drop(ctx, profile->arn);
    index_profile(ctx->control->iam, profile, false);
    record_close(&iam_profile_record, profile);
    free(profile);
    return 0;
}

/* Of @role, if not NULL, below @in's PathPrefix. */
static void list_profiles(struct ctx *ctx, const struct doc *in, const char *role, struct doc *out)
{
    const struct iam_profile *profile;

    doc_set_list(out, M_InstanceProfiles);
    for (size_t at = 0; (profile = map_next(&ctx->control->iam->profiles, &at)) != NULL;) {
        bool of_role = profile->role != NULL && role != NULL && strcmp(profile->role, role) == 0;

        if ((role == NULL || of_role) &&
            slice_starts(slice_z(profile->path), doc_text(in, M_PathPrefix))) {
            describe_profile(ctx, profile, doc_add_struct(out, M_InstanceProfiles));
        }
    }
}

int iam_list_instance_profiles(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    if (iam_check_prefix(in, err) != 0) {
        return ERR_API;
    }
    list_profiles(ctx, in, NULL, out);
    return iam_page(ctx, in, out, "ListInstanceProfiles", M_InstanceProfiles, err);
}

int iam_list_instance_profiles_for_role(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    if (rc == 0) {
        list_profiles(ctx, in, role->name, out);
        rc = iam_page(ctx, in, out, "ListInstanceProfilesForRole", M_InstanceProfiles, err);
    }
    return rc;
}

int iam_add_role_to_instance_profile(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    struct iam_profile *profile;
    struct iam_identity *role;
    int rc = iam_find_profile(ctx, in, &profile, err);

    (void)out;
    if (rc == 0) {
        rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);
    }
    rc = rc != 0 ? rc : iam_pass_role(ctx, role->name, "ec2.amazonaws.com", err);
    if (rc == 0 && profile->role != NULL) {
        rc = error_api(err, "LimitExceeded",
                       "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1");
    }
    if (rc == 0) {
        profile->role = mem_strdup(role->name);
        iam_profile_changed(ctx, profile);
    }
    return rc;
}

int iam_remove_role_from_instance_profile(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    const char *name = doc_z(in, M_RoleName);
    struct iam_profile *profile;
    int rc = iam_find_profile(ctx, in, &profile, err);

    (void)out;
    if (rc == 0 && (profile->role == NULL || strcmp(profile->role, name) != 0)) {
        rc = error_api(err, "NoSuchEntity", "The role with name %s cannot be found.", name);
    }
    if (rc == 0) {
        free(profile->role);
        profile->role = NULL;
        iam_profile_changed(ctx, profile);
    }
    return rc;
}

int iam_profile_facts(const struct control *control, const char *name_or_arn,
                      struct iam_profile_facts *facts, struct error *err)
{
    const char *slash = strrchr(name_or_arn, '/');
    const struct iam_profile *profile =
        iam_profile(control->iam, slash == NULL ? name_or_arn : slash + 1);

    if (profile == NULL || (slash != NULL && strcmp(profile->arn, name_or_arn) != 0)) {
        return error_set(err, ERR_NOT_FOUND, "no instance profile %s", name_or_arn);
    }
    *facts = (struct iam_profile_facts){profile->arn, profile->id, profile->name, profile->role};
    return 0;
}
