/* What policies call the groups that requests name: by ARNs with an id in the middle. */
#include "services/autoscaling/group.h"

#include "base/arena.h"

#include <string.h>

static const char *group_name_arn(struct ctx *ctx, const struct group *group, struct slice name)
{
    return group != NULL ? arena_strdup(ctx->arena, slice_z(group->arn))
                         : arena_printf(ctx->arena, "autoScalingGroup:*:autoScalingGroupName/%.*s",
                                        SLICE_ARG(name.bytes > 0 ? name : SLICE_LIT("*")))
                               .data;
}

const char *autoscaling_resource(struct ctx *ctx, struct slice kind, struct slice value)
{
    const char *name = arena_strdup(ctx->arena, value);
    struct group *group = NULL;

    if (slice_equal_z(kind, "auto-scaling-group")) {
        return group_name_arn(ctx, group_find(ctx->control, name), value);
    }
    if (slice_equal_z(kind, "scaling-policy")) { /* By its ARN; a name alone needs its group's. */
        if (!slice_starts(value, SLICE_LIT("arn:"))) {
            return NULL;
        }
        (void)group_find_policy(ctx, NULL, name, &group);
        return group_name_arn(ctx, group, SLICE_EMPTY);
    }
    if (slice_equal_z(kind, "auto-scaling-instance")) {
        struct world_instance *instance;

        (void)group_require_instance(ctx, name, &group, &instance, NULL);
        return group_name_arn(ctx, group, SLICE_EMPTY);
    }
    return NULL;
}
