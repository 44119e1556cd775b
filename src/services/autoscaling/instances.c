/* What users do to single instances and to a group's processes. */
#include "services/autoscaling/api.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

int autoscaling_terminate_instance_in_auto_scaling_group(struct ctx *ctx, const struct doc *in,
                                                         struct doc *out, struct error *err)
{
    const char *id = doc_z(in, M_InstanceId);
    const struct event event = {.kind = EVENT_TERMINATE,
                                .instance = id,
                                .decrement = doc_bool(in, M_ShouldDecrementDesiredCapacity)};
    struct world_instance *instance;
    const struct activity *activity;
    char activity_id[ENGINE_UUID_BYTES];
    struct group *group;
    int rc;

    rc = group_require_instance(ctx, id, &group, &instance, err);
    rc = rc != 0 ? rc : group_tell(ctx, group, &event, err);
    if (rc != 0) {
        return rc;
    }
    group_settle(ctx, group);
    /* The instance may be gone already; its activity is the newest that names it. */
    activity_id[0] = '\0';
    for (size_t i = group->world.activities_count; i-- > 0 && activity_id[0] == '\0';) {
        if (strcmp(group->world.activities[i].instance, id) == 0) {
            memcpy(activity_id, group->world.activities[i].id, sizeof(activity_id));
        }
    }
    activity = world_activity(&group->world, activity_id);
    if (activity != NULL) {
        describe_activity(ctx, group, activity, doc_set_struct(out, M_Activity));
    }
    return 0;
}

int autoscaling_set_instance_health(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    struct slice status = doc_text(in, M_HealthStatus);
    struct event event = {.kind = EVENT_SET_HEALTH,
                          .instance = doc_z(in, M_InstanceId),
                          .verdict = VERDICT_HEALTHY,
                          .honor_grace = doc_bool_or(in, M_ShouldRespectGracePeriod, true)};
    struct world_instance *instance;
    struct group *group;
    int rc;

    (void)out;
    if (slice_equal_case(status, SLICE_LIT("Unhealthy"))) {
        event.verdict = VERDICT_UNHEALTHY;
    } else if (!slice_equal_case(status, SLICE_LIT("Healthy"))) {
        return error_api(err, VALIDATION,
                         "Instance health status should be either Healthy or Unhealthy");
    }
    rc = group_require_instance(ctx, event.instance, &group, &instance, err);
    rc = rc != 0 ? rc : group_tell(ctx, group, &event, err);
    if (rc == 0) {
        group_settle(ctx, group);
    }
    return rc;
}

/* All of them, or none. */
static int check_protectable(const struct group *group, const struct doc *in, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        const char *id = doc_z_at(in, M_InstanceIds, i);
        const struct world_instance *instance = world_instance(&group->world, id);

        if (instance == NULL) {
            return error_api(err, VALIDATION,
                             "The instance %s is not part of Auto Scaling group %s.", id,
                             group->world.name);
        }
        if (instance->lifecycle != LIFECYCLE_IN_SERVICE) {
            return error_api(err, VALIDATION,
                             "The instance %s is not in InService or EnteringStandby or Standby.",
                             id);
        }
    }
    return 0;
}

int autoscaling_set_instance_protection(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    struct group *group;
    int rc;

    (void)out;
    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    rc = rc != 0 ? rc : check_protectable(group, in, err);
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_InstanceIds); i++) {
        rc = group_tell(ctx, group,
                        &(const struct event){.kind = EVENT_SET_PROTECTION,
                                              .instance = doc_z_at(in, M_InstanceIds, i),
                                              .flag = doc_bool(in, M_ProtectedFromScaleIn)},
                        err);
    }
    if (rc == 0) {
        group_settle(ctx, group);
    }
    return rc;
}

static int check_processes(const struct doc *in, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_ScalingProcesses); i++) {
        const char *name = doc_z_at(in, M_ScalingProcesses, i);

        if (process_bit(name) == 0) {
            return error_api(err, VALIDATION, "Process %s is not a valid process type", name);
        }
    }
    return 0;
}

static bool process_named(const struct doc *in, const char *name)
{
    return doc_count(in, M_ScalingProcesses) == 0 ||
           doc_list_contains(in, M_ScalingProcesses, slice_z(name));
}

static void resume(struct group *group, const struct doc *in)
{
    size_t kept = 0;

    for (size_t i = 0; i < group->suspensions_count; i++) {
        if (process_named(in, group->suspensions[i].process)) {
            free(group->suspensions[i].process);
        } else {
            group->suspensions[kept++] = group->suspensions[i];
        }
    }
    group->suspensions_count = kept;
}

static void suspend(struct group *group, const struct doc *in, int64_t now_ms)
{
    group->suspensions = mem_realloc(group->suspensions, process_names_count,
                                     sizeof(*group->suspensions)); /* Each at most once. */
    for (size_t i = 0; i < process_names_count; i++) {
        if (process_named(in, process_names[i]) &&
            (group->world.suspended & process_bit(process_names[i])) == 0) {
            group->suspensions[group->suspensions_count++] =
                (struct suspension){mem_strdup(process_names[i]), now_ms};
        }
    }
}

static int change_processes(struct ctx *ctx, const struct doc *in, bool suspends, struct error *err)
{
    struct group *group;
    int rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);

    rc = rc != 0 ? rc : check_processes(in, err);
    if (rc != 0) {
        return rc;
    }
    if (suspends) {
        suspend(group, in, ctx->now_ms);
    } else {
        resume(group, in);
    }
    group->world.suspended = 0;
    for (size_t i = 0; i < group->suspensions_count; i++) {
        group->world.suspended |= process_bit(group->suspensions[i].process);
    }
    group->unsaved = true;
    group_settle(ctx, group);
    return 0;
}

int autoscaling_suspend_processes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    (void)out;
    return change_processes(ctx, in, true, err);
}

int autoscaling_resume_processes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    (void)out;
    return change_processes(ctx, in, false, err);
}
