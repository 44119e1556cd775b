/* Policies of users and roles: inline and attached. The two sets of actions differ in their names
 * only. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/iam/evaluate.h"
#include "services/iam/private.h"

#include <stdlib.h>
#include <string.h>

void iam_set_document(struct doc *doc, int member, const char *document)
{
    struct buf text = {0};

    text_percent_encode(&text, slice_z(document), false);
    doc_set_text(doc, member, buf_slice(&text));
    buf_close(&text);
}

static const char *word(const struct iam_identity *identity)
{
    return identity->is_role ? "role" : "user";
}

static struct iam_inline *find_inline(const struct iam_identity *identity, const char *name)
{
    for (size_t i = 0; i < identity->policies_count; i++) {
        if (strcmp(identity->policies[i].name, name) == 0) {
            return &identity->policies[i];
        }
    }
    return NULL;
}

static int put_inline(struct ctx *ctx, struct iam_identity *identity, const struct doc *in,
                      struct error *err)
{
    const char *name = doc_z(in, M_PolicyName), *document = doc_z(in, M_PolicyDocument);
    struct iam_inline *policy = find_inline(identity, name);
    size_t total = policy_chars(document);
    int rc = iam_check_name("policyName", name, err);

    if (rc == 0) {
        rc = policy_parse(document, false, NULL, err);
    }
    for (size_t i = 0; i < identity->policies_count; i++) {
        total +=
            &identity->policies[i] == policy ? 0 : policy_chars(identity->policies[i].document);
    }
    if (rc == 0 && total > IAM_INLINE_CHARS_MAX) {
        rc = error_api(err, "LimitExceeded", "Maximum policy size of %d bytes exceeded for %s %s",
                       IAM_INLINE_CHARS_MAX, word(identity), identity->name);
    }
    if (rc != 0) {
        return rc;
    }
    if (policy == NULL) {
        identity->policies = mem_realloc(identity->policies, identity->policies_count + 1,
                                         sizeof(*identity->policies));
        policy = &identity->policies[identity->policies_count++];
        *policy = (struct iam_inline){.name = mem_strdup(name)};
    }
    free(policy->document);
    policy->document = mem_strdup(document);
    iam_changed(ctx, identity);
    return 0;
}

static int delete_inline(struct ctx *ctx, struct iam_identity *identity, const char *name,
                         struct error *err)
{
    struct iam_inline *policy = find_inline(identity, name);

    if (policy == NULL) {
        return error_api(err, "NoSuchEntity", "The %s policy with name %s cannot be found.",
                         word(identity), name);
    }
    free(policy->name);
    free(policy->document);
    identity->policies_count--;
    memmove(policy, policy + 1,
            (size_t)(identity->policies + identity->policies_count - policy) * sizeof(*policy));
    iam_changed(ctx, identity);
    return 0;
}

static void list_inline(const struct iam_identity *identity, struct doc *out)
{
    doc_set_list(out, M_PolicyNames);
    for (size_t i = 0; i < identity->policies_count; i++) {
        doc_add_z(out, M_PolicyNames, identity->policies[i].name);
    }
}

static int attach(struct ctx *ctx, struct iam_identity *identity, const char *arn,
                  struct error *err)
{
    if (iam_managed_document(ctx->control->iam, arn) == NULL) {
        return error_api(err, "NoSuchEntity", "Policy %s does not exist or is not attachable.",
                         arn);
    }
    for (size_t i = 0; i < identity->attached_count; i++) {
        if (strcmp(identity->attached[i], arn) == 0) {
            return 0;
        }
    }
    if (identity->attached_count >= IAM_ATTACHED_MAX) {
        return error_api(err, "LimitExceeded", "Cannot exceed quota for PoliciesPer%s: %d",
                         identity->is_role ? "Role" : "User", IAM_ATTACHED_MAX);
    }
    identity->attached =
        mem_realloc(identity->attached, identity->attached_count + 1, sizeof(*identity->attached));
    identity->attached[identity->attached_count++] = mem_strdup(arn);
    iam_changed(ctx, identity);
    return 0;
}

static int detach(struct ctx *ctx, struct iam_identity *identity, const char *arn,
                  struct error *err)
{
    for (size_t i = 0; i < identity->attached_count; i++) {
        if (strcmp(identity->attached[i], arn) != 0) {
            continue;
        }
        free(identity->attached[i]);
        identity->attached_count--;
        memmove(&identity->attached[i], &identity->attached[i + 1],
                (identity->attached_count - i) * sizeof(*identity->attached));
        iam_changed(ctx, identity);
        return 0;
    }
    return error_api(err, "NoSuchEntity", "Policy %s was not found.", arn);
}

static void list_attached(const struct iam_identity *identity, struct doc *out)
{
    doc_set_list(out, M_AttachedPolicies);
    for (size_t i = 0; i < identity->attached_count; i++) {
        struct doc *row = doc_add_struct(out, M_AttachedPolicies);

        doc_set_z(row, M_PolicyName, strrchr(identity->attached[i], '/') + 1);
        doc_set_z(row, M_PolicyArn, identity->attached[i]);
    }
}

/* The actions. */

#define FIND(find, member)                                                                         \
    struct iam_identity *identity;                                                                 \
    int rc = find(ctx, doc_z(in, member), &identity, err);                                         \
                                                                                                   \
    (void)out;                                                                                     \
    if (rc != 0) {                                                                                 \
        return rc;                                                                                 \
    }

int iam_put_role_policy(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    FIND(iam_find_role, M_RoleName)
    return put_inline(ctx, identity, in, err);
}

int iam_put_user_policy(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    FIND(iam_find_user, M_UserName)
    return put_inline(ctx, identity, in, err);
}

int iam_get_role_policy(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const struct iam_inline *policy;
    FIND(iam_find_role, M_RoleName)
    policy = find_inline(identity, doc_z(in, M_PolicyName));
    if (policy == NULL) {
        return error_api(err, "NoSuchEntity", "The role policy with name %s cannot be found.",
                         doc_z(in, M_PolicyName));
    }
    doc_set_z(out, M_RoleName, identity->name);
    doc_set_z(out, M_PolicyName, policy->name);
    iam_set_document(out, M_PolicyDocument, policy->document);
    return 0;
}

int iam_delete_role_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_role, M_RoleName)
    return delete_inline(ctx, identity, doc_z(in, M_PolicyName), err);
}

int iam_delete_user_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_user, M_UserName)
    return delete_inline(ctx, identity, doc_z(in, M_PolicyName), err);
}

int iam_list_role_policies(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_role, M_RoleName)
    list_inline(identity, out);
    return iam_page(ctx, in, out, "ListRolePolicies", M_PolicyNames, err);
}

int iam_list_user_policies(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_user, M_UserName)
    list_inline(identity, out);
    return iam_page(ctx, in, out, "ListUserPolicies", M_PolicyNames, err);
}

int iam_attach_role_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_role, M_RoleName)
    return attach(ctx, identity, doc_z(in, M_PolicyArn), err);
}

int iam_attach_user_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_user, M_UserName)
    return attach(ctx, identity, doc_z(in, M_PolicyArn), err);
}

int iam_detach_role_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_role, M_RoleName)
    return detach(ctx, identity, doc_z(in, M_PolicyArn), err);
}

int iam_detach_user_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    FIND(iam_find_user, M_UserName)
    return detach(ctx, identity, doc_z(in, M_PolicyArn), err);
}

int iam_list_attached_role_policies(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    FIND(iam_find_role, M_RoleName)
    list_attached(identity, out);
    return iam_page(ctx, in, out, "ListAttachedRolePolicies", M_AttachedPolicies, err);
}

int iam_list_attached_user_policies(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    FIND(iam_find_user, M_UserName)
    list_attached(identity, out);
    return iam_page(ctx, in, out, "ListAttachedUserPolicies", M_AttachedPolicies, err);
}
