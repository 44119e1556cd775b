/* Tags of roles and instance profiles.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "services/iam/private.h"

#include <string.h>

#define TAGS_MAX 50

int iam_tags_check(const struct ctx *ctx, const char *arn, const struct doc *in, struct error *err)
{
    const struct tags *tags = tags_of(&ctx->control->tags, arn);
    size_t count = tags->count;

    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        struct slice key = doc_text(doc_at(in, M_Tags, i), M_Key);
        bool there = false;

        if (key.bytes >= 4 && slice_equal_case(slice_sub(key, 0, 4), SLICE_LIT("aws:"))) {
            return error_api(err, "InvalidInput", "Tag keys beginning with aws: are reserved.");
        }
        for (size_t j = 0; j < i; j++) {
            if (slice_equal_case(key, doc_text(doc_at(in, M_Tags, j), M_Key))) {
                return error_api(err, "InvalidInput",
                                 "Duplicate tag keys found. Please note that Tag keys are case "
                                 "insensitive.");
            }
        }
        for (size_t j = 0; j < tags->count; j++) {
            there |= slice_equal_z(key, tags->items[j].key);
        }
        count += !there;
    }
    return count <= TAGS_MAX ? 0
                             : error_api(err, "LimitExceeded",
                                         "The number of tags has reached the maximum limit.");
}

void iam_tags_add(struct ctx *ctx, const char *arn, const struct doc *in)
{
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);

        ctx_tag_put(ctx, arn, doc_z(tag, M_Key), doc_z(tag, M_Value));
    }
}

void iam_tags_describe(struct ctx *ctx, const char *arn, struct doc *row)
{
    const struct tags *tags = tags_of(&ctx->control->tags, arn);

    for (size_t i = 0; i < tags->count; i++) {
        struct doc *tag = doc_add_struct(row, M_Tags);

        doc_set_z(tag, M_Key, tags->items[i].key);
        doc_set_z(tag, M_Value, tags->items[i].value);
    }
}

static int tag(struct ctx *ctx, const char *arn, const struct doc *in, struct error *err)
{
    int rc = iam_tags_check(ctx, arn, in, err);

    if (rc == 0) {
        iam_tags_add(ctx, arn, in);
    }
    return rc;
}

/* What is not there is no error. */
static void untag(struct ctx *ctx, const char *arn, const struct doc *in)
{
    for (size_t i = 0; i < doc_count(in, M_TagKeys); i++) {
        ctx_tag_remove(ctx, arn, doc_z_at(in, M_TagKeys, i));
    }
}

int iam_tag_role(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    (void)out;
    return rc != 0 ? rc : tag(ctx, role->arn, in, err);
}

int iam_untag_role(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    (void)out;
    if (rc == 0) {
        untag(ctx, role->arn, in);
    }
    return rc;
}

int iam_list_role_tags(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam_identity *role;
    int rc = iam_find_role(ctx, doc_z(in, M_RoleName), &role, err);

    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_Tags);
    iam_tags_describe(ctx, role->arn, out);
    return iam_page(ctx, in, out, "ListRoleTags", M_Tags, err);
}

int iam_tag_instance_profile(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    struct iam_profile *profile;
    int rc = iam_find_profile(ctx, in, &profile, err);

    (void)out;
    return rc != 0 ? rc : tag(ctx, profile->arn, in, err);
}

int iam_untag_instance_profile(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct iam_profile *profile;
    int rc = iam_find_profile(ctx, in, &profile, err);

    (void)out;
    if (rc == 0) {
        untag(ctx, profile->arn, in);
    }
    return rc;
}
