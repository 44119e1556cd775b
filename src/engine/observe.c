/* News and requests: what engine_observe() makes of an event. It stores levels and what was asked;
 * what follows from them is decided elsewhere. */
#include "engine/private.h"

#include <inttypes.h>
#include <string.h>

#define VALIDATION "ValidationError"

static void observe_machine(struct world *world, const struct event *event)
{
    struct world_instance *instance = world_instance(world, event->instance);

    if (instance == NULL || instance->machine == MACHINE_GONE) {
        return; /* Nobody comes back from being terminated. */
    }
    instance->machine = event->machine;
    TEXT_PUT(instance->machine_reason, event->text);
}

static void observe_status_checks(struct world *world, const struct event *event)
{
    struct world_instance *instance = world_instance(world, event->instance);

    if (instance != NULL) {
        instance->status_checks = event->verdict;
    }
}

static void observe_target_health(struct world *world, const struct event *event)
{
    struct world_instance *instance = world_instance(world, event->instance);
    const struct world_target_group *group = world_target_group(world, event->target_group);
    int64_t mask;

    if (instance == NULL || group == NULL) {
        return;
    }
    mask = (int64_t)1 << group->bit;
    instance->elb_healthy &= ~mask;
    instance->elb_unhealthy &= ~mask;
    instance->elb_healthy |= event->verdict == VERDICT_HEALTHY ? mask : 0;
    instance->elb_unhealthy |= event->verdict == VERDICT_UNHEALTHY ? mask : 0;
}

static void observe_drained(struct world *world, const struct event *event)
{
    struct world_instance *instance = world_instance(world, event->instance);

    if (instance != NULL && instance->lifecycle == LIFECYCLE_TERMINATING) {
        instance->drained = true;
    }
}

/* A level: the same policy and alarm told twice is one invocation. */
static void observe_invocation(struct world *world, const struct event *event)
{
    struct invocation *invocation = NULL;

    if (event->policy == NULL) {
        return;
    }
    for (int32_t i = 0; i < world->invocations_count; i++) {
        if (strcmp(world->invocations[i].policy, event->policy) == 0) {
            invocation = &world->invocations[i];
        }
    }
    if (invocation == NULL) {
        if (world->invocations_count == WORLD_INVOCATIONS_MAX) {
            return; /* The alarm tells it again in a minute. */
        }
        invocation = &world->invocations[world->invocations_count++];
    }
    *invocation = (struct invocation){
        .has_metric = event->has_metric, .value = event->value, .threshold = event->threshold};
    TEXT_PUT(invocation->policy, event->policy);
    TEXT_PUT(invocation->alarm, event->alarm);
}

static int request_sizes(struct world *world, enum change_origin origin, int32_t min, int32_t max,
                         int32_t desired, struct error *err)
{
    if (min < 0 || max < min) {
        return error_api(err, VALIDATION,
                         "Max bound, %" PRId32
                         ", must be greater than or equal to min bound, %" PRId32,
                         max, min);
    }
    if (desired < min || desired > max) {
        return error_api(err, VALIDATION,
                         "Desired capacity:%" PRId32
                         " must be between the specified min size:%" PRId32
                         " and max size:%" PRId32,
                         desired, min, max);
    }
    world->request =
        (struct size_request){.origin = origin, .min = min, .max = max, .desired = desired};
    return 0;
}

static int not_while_deleting(const struct world *world, struct error *err)
{
    if (world->deleting) {
        return error_api(err, VALIDATION,
                         "The AutoScaling group may not be modified while it is pending delete");
    }
    return 0;
}

static int request_update(struct world *world, const struct event *event, struct error *err)
{
    int32_t min = event->min == WORLD_UNSET ? world->min : event->min;
    int32_t max = event->max == WORLD_UNSET ? world->max : event->max;
    int32_t desired = event->desired;
    int rc = not_while_deleting(world, err);

    if (rc != 0) {
        return rc;
    }
    if (desired == WORLD_UNSET) { /* New limits pull it along. */
        desired = world->desired > max ? max : world->desired;
        desired = desired < min ? min : desired;
    }
    return request_sizes(world, CHANGE_UPDATE, min, max, desired, err);
}

static int blocked_by(const char *activity, struct error *err)
{
    return error_api(err, "ScalingActivityInProgress",
                     "Scaling activity %s is in progress and blocks this action", activity);
}

/* As a simple policy is: while an activity runs, and with @cooldown while that lasts. */
static int not_while_scaling(const struct world *world, bool cooldown, int64_t now_ms,
                             struct error *err)
{
    const struct activity *running = world_running_activity(world);

    if (running != NULL) {
        return blocked_by(running->id, err);
    }
    if (cooldown && now_ms < world->cooldown_until_ms) {
        return blocked_by(world->last_activity, err);
    }
    return 0;
}

static int request_desired(struct world *world, const struct event *event, int64_t now_ms,
                           struct error *err)
{
    int rc = not_while_deleting(world, err);

    if (rc != 0) {
        return rc;
    }
    if (event->desired > world->max) {
        return error_api(err, VALIDATION,
                         "New SetDesiredCapacity value %" PRId32 " is above max value %" PRId32
                         " for the AutoScalingGroup.",
                         event->desired, world->max);
    }
    if (event->desired < world->min) {
        return error_api(err, VALIDATION,
                         "New SetDesiredCapacity value %" PRId32 " is below min value %" PRId32
                         " for the AutoScalingGroup.",
                         event->desired, world->min);
    }
    if (event->honor_cooldown) {
        rc = not_while_scaling(world, true, now_ms, err);
        if (rc != 0) {
            return rc;
        }
    }
    return request_sizes(world, CHANGE_SET_DESIRED, world->min, world->max, event->desired, err);
}

static int request_policy(struct world *world, const struct event *event, int64_t now_ms,
                          struct error *err)
{
    const struct policy *policy = world_policy(world, event->policy);
    int rc = not_while_deleting(world, err);

    if (rc != 0) {
        return rc;
    }
    if (policy == NULL) {
        return error_api(err, VALIDATION, "Policy name not found - null");
    }
    if (policy->type == POLICY_SIMPLE) {
        rc = not_while_scaling(world, event->honor_cooldown, now_ms, err);
        if (rc != 0) {
            return rc;
        }
    } else if (!event->has_metric) { /* The text is unconfirmed. */
        return error_api(err, VALIDATION,
                         "MetricValue and BreachThreshold must be specified for a StepScaling "
                         "policy");
    }
    observe_invocation(world, event);
    return 0;
}

static int find_instance(const struct world *world, const char *id,
                         struct world_instance **instance, struct error *err)
{
    *instance = world_instance(world, id);
    if (*instance == NULL) {
        return error_api(err, VALIDATION,
                         "Instance Id not found - No managed instance found for instance ID: %s",
                         id);
    }
    return 0;
}

static int request_terminate(struct world *world, const struct event *event, struct error *err)
{
    struct world_instance *instance;
    int rc = find_instance(world, event->instance, &instance, err);

    if (rc != 0) {
        return rc;
    }
    if (event->decrement && instance_counts(instance) && world->desired <= world->min) {
        return error_api(err, VALIDATION,
                         "Currently, desiredSize equals minSize (%" PRId32
                         "). Terminating instance without replacement will violate group's min "
                         "size constraint. Either set shouldDecrementDesiredCapacity flag to false "
                         "or lower group's min size.",
                         world->min);
    }
    if (instance_counts(instance)) { /* Else its end has begun already. */
        instance->terminate_asked = event->decrement ? TERMINATE_DECREMENT : TERMINATE_KEEP_DESIRED;
    }
    return 0;
}

static int request_health(struct world *world, const struct event *event, struct error *err)
{
    struct world_instance *instance;
    int rc = find_instance(world, event->instance, &instance, err);

    if (rc != 0) {
        return rc;
    }
    instance->user = event->verdict;
    instance->user_ignores_grace = !event->honor_grace;
    if (event->verdict == VERDICT_HEALTHY && instance->lifecycle == LIFECYCLE_IN_SERVICE) {
        instance->unhealthy =
            false; /* In time to rescue it; checks that still fail say so again. */
    }
    return 0;
}

static int request_protection(struct world *world, const struct event *event, struct error *err)
{
    struct world_instance *instance = world_instance(world, event->instance);

    if (instance == NULL) {
        return error_api(err, VALIDATION, "The instance %s is not part of Auto Scaling group %s.",
                         event->instance, world->name);
    }
    if (instance->lifecycle != LIFECYCLE_IN_SERVICE) {
        return error_api(err, VALIDATION,
                         "The instance %s is not in InService or EnteringStandby or Standby.",
                         event->instance);
    }
    instance->protected_from_scale_in = event->flag;
    return 0;
}

static int request_delete(struct world *world, const struct event *event, struct error *err)
{
    if (!event->flag && world->instances_count > 0) {
        return error_api(err, "ResourceInUse",
                         "You cannot delete an AutoScalingGroup while there are instances or "
                         "pending Spot instance request(s) still in the group.");
    }
    if (!event->flag && world_running_activity(world) != NULL) {
        return error_api(err, "ScalingActivityInProgress",
                         "You cannot delete an AutoScalingGroup while there are scaling activities "
                         "in progress for that group.");
    }
    world->force_delete = world->force_delete || event->flag;
    return request_sizes(world, CHANGE_FORCE_DELETE, 0, 0, 0, err);
}

static int observe(struct world *world, const struct event *event, int64_t now_ms,
                   struct error *err)
{
    switch (event->kind) {
    case EVENT_MACHINE:
        observe_machine(world, event);
        return 0;
    case EVENT_STATUS_CHECKS:
        observe_status_checks(world, event);
        return 0;
    case EVENT_TARGET_HEALTH:
        observe_target_health(world, event);
        return 0;
    case EVENT_DRAINED:
        observe_drained(world, event);
        return 0;
    case EVENT_ALARM:
        observe_invocation(world, event);
        return 0;
    case EVENT_CREATED:
        return request_sizes(world, CHANGE_CREATE, event->min, event->max, event->desired, err);
    case EVENT_UPDATE_SIZES:
        return request_update(world, event, err);
    case EVENT_SET_DESIRED:
        return request_desired(world, event, now_ms, err);
    case EVENT_EXECUTE_POLICY:
        return request_policy(world, event, now_ms, err);
    case EVENT_TERMINATE:
        return request_terminate(world, event, err);
    case EVENT_SET_HEALTH:
        return request_health(world, event, err);
    case EVENT_SET_PROTECTION:
        return request_protection(world, event, err);
    case EVENT_DELETE:
        return request_delete(world, event, err);
    }
    UNREACHABLE("an event of a known kind");
}

int engine_observe(struct world *world, const struct event *event, int64_t now_ms,
                   struct error *err)
{
    int rc;

    group_sane(world);
    rc = observe(world, event, now_ms, err);
    group_sane(world);
    return rc;
}
