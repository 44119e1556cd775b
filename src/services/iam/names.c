/* What policies call the things that requests name: by their ARNs, which have paths. */
#include "services/iam/private.h"

static const char *identity_arn(struct ctx *ctx, const struct iam_identity *identity,
                                const char *type, struct slice name)
{
    return identity != NULL ? arena_strdup(ctx->arena, slice_z(identity->arn))
                            : arena_printf(ctx->arena, "%s/%.*s", type,
                                           SLICE_ARG(name.bytes > 0 ? name : SLICE_LIT("*")))
                                  .data;
}

const char *iam_resource(struct ctx *ctx, struct slice kind, struct slice value)
{
    const struct iam *iam = ctx->control->iam;
    const char *name = arena_strdup(ctx->arena, value);

    if (slice_equal_z(kind, "role")) {
        return identity_arn(ctx, iam_role(iam, name), "role", value);
    }
    if (slice_equal_z(kind, "user")) { /* Who names none means themselves. */
        if (value.bytes == 0 && ctx->caller.kind == CALLER_USER) {
            name = ctx->caller.name;
        }
        return identity_arn(ctx, iam_user(iam, name), "user", value);
    }
    if (slice_equal_z(kind, "instance-profile")) {
        const struct iam_profile *profile = iam_profile(iam, name);

        return profile != NULL ? arena_strdup(ctx->arena, slice_z(profile->arn))
                               : identity_arn(ctx, NULL, "instance-profile", value);
    }
    return NULL;
}
