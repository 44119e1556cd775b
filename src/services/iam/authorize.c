/* Who a key belongs to, and what they may do. */
#include "base/clock.h"
#include "services/iam/evaluate.h"
#include "services/iam/private.h"

#include <string.h>

#define PARSED_MAX 256 /* Policies whose parsed form is kept. */

static int invalid_key(struct error *err)
{
    error_api_status(err, 403, "InvalidClientTokenId",
                     "The security token included in the request is invalid.");
    if (err != NULL) {
        err->code = ERR_AUTH;
    }
    return ERR_AUTH;
}

static void set_caller(struct ctx *ctx, enum caller_kind kind, const char *arn, const char *user_id,
                       const char *name, struct slice access_key)
{
    ctx->caller = (struct caller){
        .kind = kind,
        .account = ctx->control->options.account,
        .arn = arena_strdup(ctx->arena, slice_z(arn)),
        .user_id = arena_strdup(ctx->arena, slice_z(user_id)),
        .name = arena_strdup(ctx->arena, slice_z(name)),
        .access_key_id = arena_strdup(ctx->arena, access_key),
    };
}

int iam_find_secret(struct ctx *ctx, struct slice access_key, struct slice session_token,
                    struct slice *secret, struct error *err)
{
    struct iam *iam = ctx->control->iam;
    struct iam_identity *user;

    if (slice_starts(access_key, SLICE_LIT("ASIA"))) {
        return iam_find_session(ctx, access_key, session_token, secret, err);
    }
    if (slice_equal_z(access_key, iam->root.id)) {
        set_caller(ctx, CALLER_ROOT, ctx_arn(ctx, "iam", "root"), ctx->control->options.account, "",
                   access_key);
        *secret = slice_z(iam->root.secret);
        return 0;
    }
    for (size_t at = 0; (user = map_next(&iam->users, &at)) != NULL;) {
        for (size_t i = 0; i < user->keys_count; i++) {
            if (slice_equal_z(access_key, user->keys[i].id) && !user->keys[i].inactive) {
                set_caller(ctx, CALLER_USER, user->arn, user->id, user->name, access_key);
                *secret = slice_z(user->keys[i].secret);
                return 0;
            }
        }
    }
    return invalid_key(err);
}

/* Parsed once: a role's policies are asked at each of its requests. They are found by their text,
 * so that an edited one is another. */
static const json_t *parsed(struct iam *iam, const char *document)
{
    json_t *policy = map_get(&iam->parsed, slice_z(document));

    if (policy != NULL || policy_parse(document, false, &policy, NULL) != 0) {
        return policy;
    }
    if (iam->parsed.count >= PARSED_MAX) {
        iam_forget_parsed(iam);
    }
    map_put(&iam->parsed, slice_z(document), policy);
    return policy;
}

void iam_forget_parsed(struct iam *iam)
{
    json_t *policy;

    for (size_t at = 0; (policy = map_next(&iam->parsed, &at)) != NULL;) {
        json_decref(policy);
    }
    map_close(&iam->parsed);
}

static enum policy_verdict verdict_of(struct iam *iam, const char *document,
                                      const struct policy_request *request)
{
    const json_t *policy = document == NULL ? NULL : parsed(iam, document);

    return policy == NULL ? POLICY_SILENT : policy_evaluate(policy, request);
}

/* All policies of an identity: any Deny wins. */
static enum policy_verdict judge(struct iam *iam, const struct iam_identity *identity,
                                 const struct policy_request *request)
{
    enum policy_verdict verdict = POLICY_SILENT, one;

    for (size_t i = 0; i < identity->policies_count + identity->attached_count; i++) {
        const char *document =
            i < identity->policies_count
                ? identity->policies[i].document
                : iam_managed_document(iam, identity->attached[i - identity->policies_count]);

        one = verdict_of(iam, document, request);
        if (one == POLICY_DENY) {
            return POLICY_DENY;
        }
        verdict = one == POLICY_ALLOW ? POLICY_ALLOW : verdict;
    }
    return verdict;
}

static int denied(const struct ctx *ctx, const char *action, const char *resource,
                  enum policy_verdict verdict, struct error *err)
{
    if (verdict == POLICY_DENY) {
        return error_set(err, ERR_DENIED,
                         "User: %s is not authorized to perform: %s on resource: %s with an "
                         "explicit deny in an identity-based policy",
                         ctx->caller.arn, action, resource);
    }
    return error_set(err, ERR_DENIED,
                     "User: %s is not authorized to perform: %s on resource: %s because no "
                     "identity-based policy allows the %s action",
                     ctx->caller.arn, action, resource, action);
}

/* @passed_to: the service that a role is passed to; NULL. */
static int authorize(struct ctx *ctx, const char *action, const char *resource,
                     const char *passed_to, struct error *err)
{
    struct iam *iam = ctx->control->iam;
    const struct caller *caller = &ctx->caller;
    const struct iam_identity *identity = NULL;
    char now[TIME_TEXT_BYTES];
    enum policy_verdict verdict;

    if (caller->kind == CALLER_ROOT || caller->kind == CALLER_MUSTER ||
        strcmp(action, "sts:GetCallerIdentity") == 0) {
        return 0;
    }
    if (caller->kind == CALLER_USER) {
        identity = iam_user(iam, caller->name);
    } else if (caller->kind == CALLER_ROLE) {
        identity = iam_role(iam, caller->name);
    }
    time_format_s(ctx->wall_ms, now);
    {
        const struct policy_variable variables[] = {
            {"aws:SourceIp", ctx->source_address},
            {"aws:PrincipalArn", identity == NULL ? caller->arn : identity->arn},
            {"aws:username", caller->kind == CALLER_USER ? caller->name : NULL},
            {"aws:userid", caller->user_id},
            {"aws:PrincipalAccount", caller->account},
            {"aws:RequestedRegion", ctx->control->options.region},
            {"aws:CurrentTime", now},
            {"aws:SecureTransport", "false"},
            {"iam:PassedToService", passed_to},
        };
        const struct policy_request request = {.action = action,
                                               .resource = resource,
                                               .variables = variables,
                                               .variable_count = COUNT_OF(variables)};

        verdict = identity == NULL ? POLICY_SILENT : judge(iam, identity, &request);
    }
    return verdict == POLICY_ALLOW ? 0 : denied(ctx, action, resource, verdict, err);
}

int iam_authorize(struct ctx *ctx, const char *action, const char *resource, struct error *err)
{
    return authorize(ctx, action, resource, NULL, err);
}

int iam_pass_role(struct ctx *ctx, const char *role_name, const char *service, struct error *err)
{
    const struct iam_identity *role =
        role_name == NULL ? NULL : iam_role(ctx->control->iam, role_name);
    char *any = iam_make_arn(ctx, "role", "/", "*");
    int rc = authorize(ctx, "iam:PassRole", role != NULL ? role->arn : any, service, err);

    free(any);
    return rc;
}

bool iam_role_trusts(struct ctx *ctx, const char *role_name, const char *service)
{
    const struct iam_identity *role = iam_role(ctx->control->iam, role_name);
    const struct iam_identity *own_role = service == NULL && ctx->caller.kind == CALLER_ROLE
                                              ? iam_role(ctx->control->iam, ctx->caller.name)
                                              : NULL;
    const struct policy_request request = {
        .action = "sts:AssumeRole",
        .resource = role == NULL ? "" : role->arn,
        .principal = service == NULL ? ctx->caller.arn : NULL,
        .principal_role = own_role == NULL ? NULL : own_role->arn,
        .service = service,
    };
    json_t *policy = NULL;
    bool trusts = false;

    if (role != NULL && policy_parse(role->trust, true, &policy, NULL) == 0) {
        trusts = policy_evaluate(policy, &request) == POLICY_ALLOW;
    }
    json_decref(policy);
    return trusts;
}

int64_t iam_role_max_session_s(const struct control *control, const char *role_name)
{
    const struct iam_identity *role = iam_role(control->iam, role_name);

    return role == NULL ? 0 : role->max_session_s;
}
