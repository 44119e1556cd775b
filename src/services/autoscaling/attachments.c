/* Target groups of a group. */
#include "services/autoscaling/api.h"

#include <string.h>

int target_groups_read(struct ctx *ctx, const struct doc *in, const char ***arns, struct error *err)
{
    size_t room = doc_count(in, M_TargetGroupARNs) + doc_count(in, M_TrafficSources), count = 0;

    *arns = arena_calloc(ctx->arena, room + 1, sizeof(**arns));
    for (size_t i = 0; i < doc_count(in, M_TargetGroupARNs); i++) {
        (*arns)[count++] = doc_z_at(in, M_TargetGroupARNs, i);
    }
    for (size_t i = 0; i < doc_count(in, M_TrafficSources); i++) {
        const struct doc *source = doc_at(in, M_TrafficSources, i);

        if (doc_has(source, M_Type) && !slice_equal_z(doc_text(source, M_Type), "elbv2")) {
            return error_api(err, VALIDATION, "muster offers traffic sources of type elbv2 only.");
        }
        (*arns)[count++] = doc_z(source, M_Identifier);
    }
    if (count > WORLD_TARGET_GROUPS_MAX) {
        return error_api(err, "LimitExceeded", "A group can have at most %d target groups.",
                         WORLD_TARGET_GROUPS_MAX);
    }
    return 0;
}

static int attach_check(struct ctx *ctx, const struct group *group, const struct doc *in,
                        struct error *err)
{
    size_t count = doc_count(in, M_TargetGroupARNs);

    for (size_t i = 0; i < count; i++) {
        const char *arn = doc_z_at(in, M_TargetGroupARNs, i);

        if (strlen(arn) >= ENGINE_NAME_BYTES ||
            !ctx->control->autoscaling->neighbours->target_group_exists(ctx->control, arn)) {
            return error_api(err, VALIDATION,
                             "Provided Target Groups may not be valid. Please ensure they exist "
                             "and try again.");
        }
    }
    if (group->world.target_groups_count + count > WORLD_TARGET_GROUPS_MAX) {
        return error_api(err, VALIDATION, "A group can have at most %d target groups.",
                         WORLD_TARGET_GROUPS_MAX);
    }
    return 0;
}

int autoscaling_attach_load_balancer_target_groups(struct ctx *ctx, const struct doc *in,
                                                   struct doc *out, struct error *err)
{
    struct group *group;
    int rc;

    (void)out;
    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    rc = rc != 0 ? rc : attach_check(ctx, group, in, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < doc_count(in, M_TargetGroupARNs); i++) {
        const char *arn = doc_z_at(in, M_TargetGroupARNs, i);

        if (world_target_group(&group->world, arn) == NULL) {
            world_add_target_group(&group->world, arn, ATTACH_ADDING);
        }
    }
    group->unsaved = true;
    group_settle(ctx, group);
    return 0;
}

/* Its members are deregistered and drain there; they keep running. */
static void detach(struct ctx *ctx, struct group *group, const char *arn)
{
    for (size_t i = 0; i < group->world.instances_count; i++) {
        if (group->world.instances[i].registered) {
            ctx->control->autoscaling->neighbours->target_deregister(ctx, arn,
                                                                     group->world.instances[i].id);
        }
    }
    world_remove_target_group(&group->world, arn);
}

int autoscaling_detach_load_balancer_target_groups(struct ctx *ctx, const struct doc *in,
                                                   struct doc *out, struct error *err)
{
    struct group *group;
    int rc;

    (void)out;
    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_TargetGroupARNs); i++) {
        if (world_target_group(&group->world, doc_z_at(in, M_TargetGroupARNs, i)) == NULL) {
            rc = error_api(err, VALIDATION,
                           "Trying to remove Target Groups that are not part of the group");
        }
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < doc_count(in, M_TargetGroupARNs); i++) {
        detach(ctx, group, doc_z_at(in, M_TargetGroupARNs, i));
    }
    group->unsaved = true;
    group_settle(ctx, group);
    return 0;
}

int autoscaling_describe_load_balancer_target_groups(struct ctx *ctx, const struct doc *in,
                                                     struct doc *out, struct error *err)
{
    static const char *const states[] = {"Adding", "Added", "InService", "Removing"};
    const char *arns[WORLD_TARGET_GROUPS_MAX];
    struct page_request request = {"DescribeLoadBalancerTargetGroups", 100, 100, arns, 0};
    struct group *group;
    size_t from, to;
    int rc;

    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < group->world.target_groups_count; i++) {
        arns[request.count++] = group->world.target_groups[i].arn;
    }
    rc = page_choose(ctx, in, out, &request, &from, &to, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_LoadBalancerTargetGroups);
    for (size_t i = from; i < to; i++) {
        struct doc *state = doc_add_struct(out, M_LoadBalancerTargetGroups);

        doc_set_z(state, M_LoadBalancerTargetGroupARN, arns[i]);
        doc_set_z(state, M_State, states[group->world.target_groups[i].state]);
    }
    return 0;
}
