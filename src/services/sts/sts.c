/* STS: who am I, and becoming a role. It keeps nothing: identities and sessions are IAM's. */
#include "api/handlers.h"
#include "api/members.h"
#include "services/iam/iam.h"
#include "wire/server.h"

#include <string.h>

#define SESSION_S_DEFAULT 3600

int sts_get_caller_identity(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    (void)in;
    (void)err;
    doc_set_z(out, M_UserId, ctx->caller.user_id);
    doc_set_z(out, M_Account, ctx->caller.account);
    doc_set_z(out, M_Arn, ctx->caller.arn);
    return 0;
}

int sts_assume_role(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *arn = doc_z(in, M_RoleArn), *session = doc_z(in, M_RoleSessionName);
    const char *slash = strrchr(arn, '/');
    const char *role = slash == NULL ? "" : slash + 1;
    int64_t duration_s = doc_int_or(in, M_DurationSeconds, SESSION_S_DEFAULT);
    struct iam_credentials credentials;
    struct doc *row;
    int rc;

    if (slash == NULL || strncmp(arn, "arn:aws:iam::", 13) != 0) {
        return error_api(err, "ValidationError", "%s is invalid", arn);
    }
    if (strcmp(ctx->control->hooks->resource(ctx, SLICE_LIT("role"), slice_z(role)), arn) != 0) {
        role = ""; /* Of another account, or with another path: policies judged that ARN. */
    }
    /* A role that is not there is denied like one that does not trust the caller. */
    if (ctx->caller.kind == CALLER_ROOT) {
        return error_api_status(err, 403, "AccessDenied",
                                "Roles may not be assumed by root accounts.");
    }
    if (!iam_role_trusts(ctx, role, NULL)) {
        return error_api_status(err, 403, "AccessDenied",
                                "User: %s is not authorized to perform: sts:AssumeRole on "
                                "resource: %s",
                                ctx->caller.arn, arn);
    }
    if (duration_s > iam_role_max_session_s(ctx->control, role)) {
        return error_api(err, "ValidationError",
                         "The requested DurationSeconds exceeds the MaxSessionDuration set for "
                         "this role.");
    }
    rc = iam_role_credentials(ctx, role, session, duration_s, &credentials, err);
    if (rc != 0) {
        return rc;
    }
    row = doc_set_struct(out, M_Credentials);
    doc_set_z(row, M_AccessKeyId, credentials.access_key);
    doc_set_z(row, M_SecretAccessKey, credentials.secret);
    doc_set_z(row, M_SessionToken, credentials.token);
    doc_set_time_ms(row, M_Expiration, credentials.expires_ms / 1000 * 1000);
    row = doc_set_struct(out, M_AssumedRoleUser);
    doc_set_format(row, M_AssumedRoleId, "%s:%s", credentials.role_id, session);
    doc_set_format(row, M_Arn, "arn:aws:sts::%s:assumed-role/%s/%s", ctx->caller.account, role,
                   session);
    return 0;
}
