#include "services/imds/private.h"

#include "services/iam/iam.h"

#include <jansson.h>
#include <stdlib.h>

#define CREDENTIALS_S (6 * 60 * 60)

/* Pretty, as AWS writes them; takes @json. */
static struct slice print(struct ctx *ctx, json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(2));
    struct slice copy = arena_copy(ctx->arena, slice_z(text));

    free(text);
    json_decref(json);
    return copy;
}

struct slice imds_identity(struct ctx *ctx, const struct ec2_instance *instance)
{
    char pending[TIME_TEXT_BYTES];

    time_format_s(instance->launched_ms, pending);
    return print(ctx, json_pack("{s:s, s:s, s:s, s:n, s:n, s:n, s:s, s:s, s:s, s:n, s:s, s:s, s:n, "
                                "s:s, s:s}",
                                "accountId", ctx->control->options.account, "architecture",
                                "x86_64", "availabilityZone", instance->zone, "billingProducts",
                                "devpayProductCodes", "marketplaceProductCodes", "imageId",
                                instance->image, "instanceId", instance->id, "instanceType",
                                instance->type, "kernelId", "pendingTime", pending, "privateIp",
                                instance->address == NULL ? "" : instance->address, "ramdiskId",
                                "region", ctx->control->options.region, "version", "2017-09-30"));
}

struct slice imds_role(struct ctx *ctx, const struct ec2_instance *instance)
{
    struct iam_profile_facts facts;

    if (instance->profile == NULL ||
        iam_profile_facts(ctx->control, instance->profile, &facts, NULL) != 0 ||
        facts.role == NULL) {
        return SLICE_EMPTY;
    }
    return arena_copy(ctx->arena, slice_z(facts.role));
}

struct slice imds_iam_info(struct ctx *ctx, const struct ec2_instance *instance)
{
    char updated[TIME_TEXT_BYTES];

    time_format_s(ctx->wall_ms, updated);
    return print(ctx, json_pack("{s:s, s:s, s:s, s:s}", "Code", "Success", "LastUpdated", updated,
                                "InstanceProfileArn", instance->profile, "InstanceProfileId",
                                instance->profile_id == NULL ? "" : instance->profile_id));
}

static struct slice refusal(struct ctx *ctx, struct slice role, const char *updated)
{
    struct slice message =
        arena_printf(ctx->arena,
                     "EC2 cannot assume the role %.*s. Please see documentation at "
                     "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html.",
                     SLICE_ARG(role));

    return print(ctx, json_pack("{s:s, s:s, s:s}", "Code", "AssumeRoleUnauthorizedAccess",
                                "Message", message.data, "LastUpdated", updated));
}

struct slice imds_credentials(struct ctx *ctx, const struct ec2_instance *instance,
                              struct slice role)
{
    char updated[TIME_TEXT_BYTES], expires[TIME_TEXT_BYTES];
    struct iam_credentials credentials;
    const char *name = arena_strdup(ctx->arena, role);

    time_format_s(ctx->wall_ms, updated);
    if (!iam_role_trusts(ctx, name, "ec2.amazonaws.com") ||
        iam_role_credentials(ctx, name, instance->id, CREDENTIALS_S, &credentials, NULL) != 0) {
        return refusal(ctx, role, updated);
    }
    time_format_s(credentials.expires_ms, expires);
    return print(ctx, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Code", "Success",
                                "LastUpdated", updated, "Type", "AWS-HMAC", "AccessKeyId",
                                credentials.access_key, "SecretAccessKey", credentials.secret,
                                "Token", credentials.token, "Expiration", expires));
}
