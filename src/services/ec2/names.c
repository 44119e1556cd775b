/* What policies call the things that requests name otherwise. */
#include "services/ec2/private.h"

static const char *type_and(struct ctx *ctx, const char *type, const char *id)
{
    return arena_printf(ctx->arena, "%s/%s", type, id == NULL ? "*" : id).data;
}

static const char *of_template(struct ctx *ctx, const char *name)
{
    struct launch_template *found = NULL;

    (void)template_need(ctx, NULL, name, &found, NULL);
    return type_and(ctx, "launch-template", found == NULL ? NULL : found->id);
}

static const char *of_group(struct ctx *ctx, const char *name)
{
    const struct ec2_vpc *vpc = ec2_vpc_default(ctx->control);
    const struct group *group =
        vpc == NULL || name == NULL ? NULL : ec2_group_named(ctx->control, vpc->id, name);

    return type_and(ctx, "security-group", group == NULL ? NULL : group->id);
}

static const char *of_association(struct ctx *ctx, const char *id)
{
    size_t index;
    const struct route_table *table =
        id == NULL ? NULL : association_find(ctx->control, id, &index);

    return type_and(ctx, "route-table", table == NULL ? NULL : table->id);
}

const char *ec2_resource(struct ctx *ctx, struct slice kind, struct slice value)
{
    const char *name = value.bytes == 0 ? NULL : arena_strdup(ctx->arena, value);
    const struct key_pair *key;

    if (slice_equal_z(kind, "ec2-id")) {
        return name == NULL ? NULL : id_arn(ctx, name);
    }
    if (slice_equal_z(kind, "launch-template")) {
        return of_template(ctx, name);
    }
    if (slice_equal_z(kind, "security-group")) {
        return of_group(ctx, name);
    }
    if (slice_equal_z(kind, "key-pair-id")) {
        key = name == NULL ? NULL : thing_get(ctx->control, KIND_KEY, name);
        return type_and(ctx, "key-pair", key == NULL ? NULL : key->name);
    }
    if (slice_equal_z(kind, "association")) {
        return of_association(ctx, name);
    }
    return NULL;
}
