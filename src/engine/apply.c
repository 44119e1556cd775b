/* The only code that moves desired capacity, lifecycle, health, cooldown and activities. */
#include "base/alloc.h"
#include "engine/private.h"

#include <stdio.h>
#include <string.h>

/* Pauses between failed launches double from the first to the second; AWS does not publish its
 * own, only that they grow. */
#define LAUNCH_PAUSE_MS_MIN (10 * 1000)
#define LAUNCH_PAUSE_MS_MAX (15 * 60 * 1000)

static struct activity *activity_begin(struct world *world, const struct decision *decision,
                                       enum activity_kind kind, int64_t now_ms)
{
    struct activity *activity;

    ASSERT(decision->needs_activity && decision->activity[0] != '\0');
    ASSERT(world_activity(world, decision->activity) == NULL);
    world->activities = mem_grow(world->activities, world->activities_count,
                                 &world->activities_room, sizeof(*world->activities));
    activity = &world->activities[world->activities_count++];
    *activity = (struct activity){.kind = kind,
                                  .cause = decision->cause,
                                  .start_ms = now_ms,
                                  .status = STATUS_IN_PROGRESS,
                                  .cooldown_ms = decision->cooldown_ms,
                                  .unsaved = true};
    TEXT_PUT(activity->id, decision->activity);
    TEXT_PUT(activity->instance, decision->instance);
    TEXT_PUT(activity->zone, decision->zone);
    TEXT_PUT(activity->subnet, decision->subnet);
    world->sequence++;
    return activity;
}

static void activity_move(struct activity *activity, enum activity_status status, int32_t progress)
{
    activity->status = status;
    activity->progress = progress;
    activity->unsaved = true;
}

/* Every instance of a decision starts it when it is done; so the last one tells how long it
 * lasts, and a short one never shortens a long one. */
static void cooldown_start(struct world *world, struct activity *activity, int64_t now_ms)
{
    if (activity->cooldown_ms > 0) {
        world->cooldown_until_ms =
            max_i64(world->cooldown_until_ms, now_ms + activity->cooldown_ms);
        TEXT_PUT(world->last_activity, activity->id);
        activity->cooldown_ms = 0;
        activity->unsaved = true;
    }
}

/* A failed or cancelled one starts no cooldown. */
static void activity_end(struct world *world, struct activity *activity,
                         enum activity_status status, int64_t now_ms)
{
    activity_move(activity, status, 100);
    activity->end_ms = now_ms;
    if (status == STATUS_SUCCESSFUL) {
        cooldown_start(world, activity, now_ms);
    }
    activity->cooldown_ms = 0;
}

static struct world_instance *decided_instance(const struct world *world,
                                               const struct decision *decision)
{
    struct world_instance *instance = world_instance(world, decision->instance);

    ASSERT(instance != NULL);
    return instance;
}

static struct world_subnet *subnet_find(const struct world *world, const char *subnet)
{
    for (size_t i = 0; i < world->subnets_count; i++) {
        if (strcmp(world->subnets[i].subnet, subnet) == 0) {
            return &world->subnets[i];
        }
    }
    return NULL; /* The group has left it. */
}

/* Remember a launch that came to nothing: pause, and try another zone first. */
static void launch_failed(struct world *world, const char *subnet, int64_t now_ms)
{
    struct world_subnet *place = subnet_find(world, subnet);
    int32_t doublings = world->launch_failures < 10 ? world->launch_failures : 10;

    world->launch_failures++;
    world->next_launch_ms =
        now_ms + min_i64(LAUNCH_PAUSE_MS_MAX, (int64_t)LAUNCH_PAUSE_MS_MIN << doublings);
    if (place != NULL) {
        place->failures++;
        place->failed_ms = now_ms;
    }
}

static void launch_succeeded(struct world *world, const char *subnet)
{
    struct world_subnet *place = subnet_find(world, subnet);

    world->launch_failures = 0;
    world->next_launch_ms = 0;
    if (place != NULL) {
        place->failures = 0;
    }
}

static void push_change(struct world *world, const struct capacity_change *change)
{
    if (world->changes_count == CAUSE_CHANGES_MAX) { /* The oldest is forgotten. */
        memmove(world->changes, world->changes + 1,
                (CAUSE_CHANGES_MAX - 1) * sizeof(*world->changes));
        world->changes_count--;
    }
    world->changes[world->changes_count++] = *change;
}

static void forget_invocation(struct world *world, const struct invocation *done)
{
    for (int32_t i = 0; i < world->invocations_count; i++) {
        if (strcmp(world->invocations[i].policy, done->policy) == 0) {
            world->invocations_count--;
            memmove(&world->invocations[i], &world->invocations[i + 1],
                    (size_t)(world->invocations_count - i) * sizeof(world->invocations[i]));
            return;
        }
    }
}

static void apply_desired(struct world *world, const struct decision *decision)
{
    const struct capacity_change *change = &decision->cause.changes[0];

    ASSERT(decision->cause.changes_count == 1);
    if (decision->invocation.policy[0] != '\0') {
        forget_invocation(world, &decision->invocation);
    } else {
        world->request = (struct size_request){0};
    }
    if (change->origin == CHANGE_FORCE_DELETE) {
        world->deleting = true;
    }
    world->min = decision->min;
    world->max = decision->max;
    if (decision->to != world->desired) {
        push_change(world, change);
        world->desired = decision->to;
        world->protected_told = false;
        world->launch_failures = 0; /* Whoever asks for more wants an attempt now. */
        world->next_launch_ms = 0;
    }
}

static void apply_failed_launch(struct world *world, const struct decision *decision,
                                int64_t now_ms)
{
    struct activity *activity = activity_begin(world, decision, ACTIVITY_LAUNCH, now_ms);

    activity->instance[0] = '\0';
    TEXT_PUT(activity->status_message, decision->failure);
    activity_end(world, activity, STATUS_FAILED, now_ms);
    launch_failed(world, decision->subnet, now_ms);
}

static void apply_launch(struct world *world, const struct decision *decision, int64_t now_ms)
{
    struct world_instance *instance;

    if (decision->cause.action == ACTION_SCALE_OUT) {
        world->changes_count = 0; /* Told by this activity. */
    }
    if (decision->failure[0] != '\0') {
        apply_failed_launch(world, decision, now_ms);
        return;
    }
    ASSERT(decision->instance[0] != '\0' && world_instance(world, decision->instance) == NULL);
    activity_move(activity_begin(world, decision, ACTIVITY_LAUNCH, now_ms), STATUS_PRE_IN_SERVICE,
                  30);
    world->instances = mem_grow(world->instances, world->instances_count, &world->instances_room,
                                sizeof(*world->instances));
    instance = &world->instances[world->instances_count++];
    *instance = (struct world_instance){.lifecycle = LIFECYCLE_PENDING,
                                        .launched_ms = now_ms,
                                        .replacement = decision->cause.action == ACTION_REPLACE,
                                        .template_version = decision->template_version};
    TEXT_PUT(instance->id, decision->instance);
    TEXT_PUT(instance->zone, decision->zone);
    TEXT_PUT(instance->subnet, decision->subnet);
    TEXT_PUT(instance->type, decision->type);
    TEXT_PUT(instance->template_id, decision->template_id);
    TEXT_PUT(instance->template_name, decision->template_name);
    TEXT_PUT(instance->activity, decision->activity);
    if (instance->replacement) {
        world->replacements_due--;
    }
    if (decision->rebalance) {
        TEXT_PUT(world->rebalancing, decision->instance);
    }
}

static void apply_in_service(struct world *world, const struct decision *decision, int64_t now_ms)
{
    struct world_instance *instance = decided_instance(world, decision);

    ASSERT(instance->lifecycle == LIFECYCLE_PENDING);
    instance->lifecycle = LIFECYCLE_IN_SERVICE;
    instance->in_service_ms = now_ms;
    instance->grace_until_ms = now_ms + world->grace_ms;
    instance->warmup_until_ms = now_ms + max_i64(world->default_warmup_ms, 0);
    instance->protected_from_scale_in = world->new_instances_protected;
    instance->registered = decision->load_balancer;
    activity_end(world, world_activity(world, instance->activity), STATUS_SUCCESSFUL, now_ms);
    instance->activity[0] = '\0';
    launch_succeeded(world, instance->subnet);
}

static void apply_launch_failed(struct world *world, const struct decision *decision,
                                int64_t now_ms)
{
    struct world_instance *instance = decided_instance(world, decision);
    struct activity *activity = world_activity(world, instance->activity);

    ASSERT(instance->lifecycle == LIFECYCLE_PENDING);
    (void)snprintf(activity->status_message, sizeof(activity->status_message),
                   "Instance became unhealthy while waiting for instance to be in InService "
                   "state.%s%.*s",
                   instance->machine_reason[0] == '\0' ? "" : " Termination Reason: ",
                   ENGINE_MESSAGE_BYTES - 120, instance->machine_reason);
    activity_end(world, activity, STATUS_CANCELLED, now_ms);
    instance->activity[0] = '\0';
    instance->unhealthy = true;
    instance->unhealthy_why = ACTION_EC2_STATE;
    launch_failed(world, instance->subnet, now_ms);
}

static bool is_health(enum cause_action action)
{
    return action == ACTION_EC2_STATE || action == ACTION_EC2_STATUS || action == ACTION_ELB ||
           action == ACTION_USER_HEALTH;
}

/* A launch that is given up before it came into service. */
static void abandon_launch(struct world *world, struct world_instance *instance, int64_t now_ms)
{
    struct activity *activity = world_activity(world, instance->activity);

    if (activity != NULL) {
        TEXT_PUT(activity->status_message, "Instance was terminated while waiting for instance to "
                                           "be in InService state.");
        activity_end(world, activity, STATUS_CANCELLED, now_ms);
    }
}

static void apply_terminate(struct world *world, const struct decision *decision, int64_t now_ms)
{
    struct world_instance *instance = decided_instance(world, decision);
    enum cause_action action = decision->cause.action;
    bool drains = decision->load_balancer && decision->drain_ms > 0 && !world->force_delete &&
                  instance->machine == MACHINE_RUNNING;
    struct activity *activity;

    ASSERT(instance_counts(instance));
    abandon_launch(world, instance, now_ms);
    activity = activity_begin(world, decision, ACTIVITY_TERMINATE, now_ms);
    TEXT_PUT(activity->zone, instance->zone);
    TEXT_PUT(activity->subnet, instance->subnet);
    activity_move(activity, drains ? STATUS_WAITING_FOR_DRAINING : STATUS_IN_PROGRESS,
                  drains ? 50 : 0);
    TEXT_PUT(instance->activity, decision->activity);
    instance->lifecycle = LIFECYCLE_TERMINATING;
    instance->phase = PHASE_DRAINING;
    instance->drained = false;
    instance->drain_until_ms = now_ms + (drains ? decision->drain_ms : 0);
    instance->terminate_asked = TERMINATE_NOT_ASKED;
    if (decision->decrement) {
        ASSERT(world->desired > world->min);
        world->desired--;
    }
    world->replacements_due += is_health(action) ? 1 : 0;
    if (action == ACTION_SCALE_IN) {
        world->changes_count = 0;
    }
    if (action == ACTION_REBALANCE_SHRINK || strcmp(world->rebalancing, instance->id) == 0) {
        world->rebalancing[0] = '\0';
    }
}

static void apply_stop(struct world *world, const struct decision *decision, int64_t now_ms)
{
    struct world_instance *instance = decided_instance(world, decision);
    struct activity *activity = world_activity(world, instance->activity);

    ASSERT(instance->phase == PHASE_DRAINING);
    instance->phase = PHASE_STOPPING;
    instance->registered = false;
    if (activity->status == STATUS_WAITING_FOR_DRAINING) {
        activity_move(activity, STATUS_IN_PROGRESS, 50);
        cooldown_start(world, activity, now_ms); /* At the end of draining, not of the instance. */
    }
}

static void apply_remove(struct world *world, const struct decision *decision, int64_t now_ms)
{
    struct world_instance *instance = decided_instance(world, decision);

    ASSERT(instance->lifecycle == LIFECYCLE_TERMINATING);
    activity_end(world, world_activity(world, instance->activity), STATUS_SUCCESSFUL, now_ms);
    world_remove_instance(world, instance);
}

static void apply_blocked(struct world *world, const struct decision *decision, int64_t now_ms)
{
    struct activity *activity = activity_begin(world, decision, ACTIVITY_BLOCKED, now_ms);

    TEXT_PUT(activity->status_message, "Could not scale to desired capacity because all remaining "
                                       "instances are protected from scale-in.");
    activity_end(world, activity, STATUS_FAILED, now_ms);
    world->protected_told = true;
    world->changes_count = 0;
}

static void apply_unhealthy(struct world *world, const struct decision *decision)
{
    struct world_instance *instance = decided_instance(world, decision);

    instance->unhealthy = true;
    instance->unhealthy_why = decision->cause.action;
}

static void apply_attached(struct world *world, const struct decision *decision)
{
    struct world_target_group *group = world_target_group(world, decision->target_group);

    ASSERT(group != NULL);
    group->state = decision->attachment;
    for (size_t i = 0; decision->load_balancer && i < world->instances_count; i++) {
        if (world->instances[i].lifecycle == LIFECYCLE_IN_SERVICE) {
            world->instances[i].registered = true;
        }
    }
}

/* What has been reached needs no telling any more. */
static void settle(struct world *world)
{
    int32_t capacity = world_capacity(world);

    if (capacity == world->desired) {
        world->changes_count = 0;
    }
    if (capacity >= world->desired) {
        world->replacements_due = 0;
    }
    if (capacity <= world->desired) {
        world->rebalancing[0] = '\0';
        world->protected_told = false;
    }
}

static void apply(struct world *world, const struct decision *decision, int64_t now_ms)
{
    switch (decision->kind) {
    case DECIDE_DESIRED:
        apply_desired(world, decision);
        break;
    case DECIDE_HELD:
        forget_invocation(world, &decision->invocation);
        break;
    case DECIDE_LAUNCH:
        apply_launch(world, decision, now_ms);
        break;
    case DECIDE_IN_SERVICE:
        apply_in_service(world, decision, now_ms);
        break;
    case DECIDE_LAUNCH_FAILED:
        apply_launch_failed(world, decision, now_ms);
        break;
    case DECIDE_UNHEALTHY:
        apply_unhealthy(world, decision);
        break;
    case DECIDE_TERMINATE:
        apply_terminate(world, decision, now_ms);
        break;
    case DECIDE_STOP:
        apply_stop(world, decision, now_ms);
        break;
    case DECIDE_REMOVE:
        apply_remove(world, decision, now_ms);
        break;
    case DECIDE_BLOCKED:
        apply_blocked(world, decision, now_ms);
        break;
    case DECIDE_ATTACHED:
        apply_attached(world, decision);
        break;
    case DECIDE_DELETED:
        break; /* The owner closes the world. */
    }
    settle(world);
}

void engine_apply(struct world *world, const struct decision *decision, int64_t now_ms)
{
    group_sane(world);
    apply(world, decision, now_ms);
    group_sane(world);
}
