/* What policies call the stacks that requests name: by ARNs that end in an id. */
#include "services/cloudformation/change_set.h"
#include "services/cloudformation/stack.h"

#include "base/arena.h"

static const char *stack_arn(struct ctx *ctx, const struct stack *stack, struct slice name)
{
    if (stack != NULL) {
        return arena_strdup(ctx->arena, slice_z(stack->id));
    }
    return slice_starts(name, SLICE_LIT("arn:"))
               ? arena_strdup(ctx->arena, name)
               : arena_printf(ctx->arena, "stack/%.*s/*",
                              SLICE_ARG(name.bytes > 0 ? name : SLICE_LIT("*")))
                     .data;
}

const char *cloudformation_resource(struct ctx *ctx, struct slice kind, struct slice value)
{
    struct cloudformation *service = ctx->control->cloudformation;
    const char *name = arena_strdup(ctx->arena, value);
    const struct change_set *set;

    if (slice_equal_z(kind, "stack")) {
        return stack_arn(ctx, value.bytes == 0 ? NULL : stack_find(service, name), value);
    }
    if (slice_equal_z(kind, "change-set")) { /* By its ARN; a name alone needs its stack's. */
        set = map_get_z(&service->change_sets, name);
        return set == NULL ? NULL : stack_arn(ctx, stack_find(service, set->stack_id), SLICE_EMPTY);
    }
    return NULL;
}
