/* The rules about single instances: their way in, their health, their way out.
 *
 * AWS: User Guide, "Amazon EC2 Auto Scaling instance lifecycle", "Health checks for Auto Scaling
 * instances". */
#include "engine/private.h"

#include <string.h>

static struct decision *decide_for(struct decisions *decisions, enum decision_kind kind,
                                   const struct world_instance *instance)
{
    struct decision *decision = decisions_add(decisions, kind);

    TEXT_PUT(decision->instance, instance->id);
    return decision;
}

static void decide_pending(const struct world *world, const struct world_instance *instance,
                           struct decisions *decisions)
{
    if (instance->unhealthy) {
        return; /* Its end is decided with the other unhealthy ones. */
    }
    switch (instance->machine) {
    case MACHINE_PENDING:
        break;
    case MACHINE_RUNNING: /* Registration comes before InService, in one commit. */
        decide_for(decisions, DECIDE_IN_SERVICE, instance)->load_balancer =
            world->target_groups_count > 0 && !world_suspended(world, PROCESS_ADD_TO_LOAD_BALANCER);
        break;
    case MACHINE_STOPPED:
    case MACHINE_GONE:
        decide_for(decisions, DECIDE_LAUNCH_FAILED, instance);
        break;
    }
}

static void decide_terminating(const struct world_instance *instance, int64_t now_ms,
                               struct decisions *decisions)
{
    if (instance->machine == MACHINE_GONE) {
        decide_for(decisions, DECIDE_REMOVE, instance);
    } else if (instance->phase == PHASE_DRAINING &&
               (instance->drained || now_ms >= instance->drain_until_ms ||
                instance->machine == MACHINE_STOPPED)) { /* Nothing is left to drain. */
        decide_for(decisions, DECIDE_STOP, instance);
    }
}

static bool any_healthy(const struct world *world, int32_t bit)
{
    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance->lifecycle == LIFECYCLE_IN_SERVICE &&
            (instance->elb_healthy >> bit & 1) != 0) {
            return true;
        }
    }
    return false;
}

static void decide_attachments(const struct world *world, struct decisions *decisions)
{
    for (size_t i = 0; i < world->target_groups_count; i++) {
        const struct world_target_group *group = &world->target_groups[i];
        enum attachment_state next = group->state;

        if (group->state == ATTACH_ADDING) {
            next = ATTACH_ADDED;
        } else if (group->state == ATTACH_ADDED && world->health_check_elb &&
                   any_healthy(world, group->bit)) {
            next = ATTACH_IN_SERVICE;
        }
        if (next != group->state) {
            struct decision *decision = decisions_add(decisions, DECIDE_ATTACHED);

            TEXT_PUT(decision->target_group, group->arn);
            decision->attachment = next;
            decision->load_balancer = group->state == ATTACH_ADDING &&
                                      !world_suspended(world, PROCESS_ADD_TO_LOAD_BALANCER);
        }
    }
}

void decide_lifecycle(const struct world *world, int64_t now_ms, struct decisions *decisions)
{
    if (world->deleting && world->instances_count == 0) {
        decisions_add(decisions, DECIDE_DELETED);
        return;
    }
    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance->lifecycle == LIFECYCLE_PENDING) {
            decide_pending(world, instance, decisions);
        } else if (instance->lifecycle == LIFECYCLE_TERMINATING) {
            decide_terminating(instance, now_ms, decisions);
        }
    }
    decide_attachments(world, decisions);
}

int64_t lifecycle_wake_ms(const struct world *world, int64_t now_ms)
{
    int64_t wake_ms = INT64_MAX;

    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance->phase == PHASE_DRAINING && instance->drain_until_ms > now_ms) {
            wake_ms = min_i64(wake_ms, instance->drain_until_ms);
        }
    }
    return wake_ms;
}

/* Target groups whose word counts: an attachment that no member ever passed replaces nothing. */
static int64_t elb_mask(const struct world *world)
{
    int64_t mask = 0;

    for (size_t i = 0; world->health_check_elb && i < world->target_groups_count; i++) {
        if (world->target_groups[i].state == ATTACH_IN_SERVICE) {
            mask |= (int64_t)1 << world->target_groups[i].bit;
        }
    }
    return mask;
}

/* Why an InService instance is unhealthy, grace aside: ACTION_NONE if it is not. */
static enum cause_action ailment(const struct world *world, const struct world_instance *instance)
{
    bool checked = !world_suspended(world, PROCESS_HEALTH_CHECK);

    if (checked && (instance->machine == MACHINE_STOPPED || instance->machine == MACHINE_GONE)) {
        return ACTION_EC2_STATE;
    }
    if (instance->user == VERDICT_UNHEALTHY) {
        return ACTION_USER_HEALTH;
    }
    if (checked && instance->status_checks == VERDICT_UNHEALTHY) {
        return ACTION_EC2_STATUS;
    }
    if (checked && (instance->elb_unhealthy & elb_mask(world)) != 0) {
        return ACTION_ELB;
    }
    return ACTION_NONE;
}

static bool respects_grace(const struct world_instance *instance, enum cause_action why)
{
    return why != ACTION_EC2_STATE && !(why == ACTION_USER_HEALTH && instance->user_ignores_grace);
}

/* Those that still run are replaced a few at a time; the rest leaves at once. */
static bool is_rationed(enum cause_action why)
{
    return why == ACTION_ELB || why == ACTION_EC2_STATUS;
}

/* How many running instances may be given up now: a tenth of desired but at least one, less the
 * replacements that are not in service and warmed up yet; none unless more than nine tenths of
 * desired are in service. */
static int32_t health_budget(const struct world *world, int64_t now_ms)
{
    int32_t budget = world->desired / 10 > 1 ? world->desired / 10 : 1;
    int32_t ready = 0;

    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];
        bool in_service = instance->lifecycle == LIFECYCLE_IN_SERVICE;

        ready += in_service ? 1 : 0;
        if ((instance->replacement && instance_counts(instance) &&
             (!in_service || now_ms < instance->warmup_until_ms)) ||
            (in_service && instance->unhealthy && is_rationed(instance->unhealthy_why))) {
            budget--;
        }
    }
    budget -= world->replacements_due;
    if (ready * 10 <= world->desired * 9) {
        return 0;
    }
    return budget < 0 ? 0 : budget;
}

static void mark_unhealthy(const struct world_instance *instance, enum cause_action why,
                           int64_t now_ms, struct decisions *decisions)
{
    struct decision *decision = decide_for(decisions, DECIDE_UNHEALTHY, instance);

    decision->cause.action = why;
    decision->cause.at_ms = now_ms;
}

static void decide_marks(const struct world *world, int64_t now_ms, struct decisions *decisions)
{
    bool replaces = !world_suspended(world, PROCESS_REPLACE_UNHEALTHY);
    int32_t budget = health_budget(world, now_ms);

    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];
        enum cause_action why = ailment(world, instance);

        if (instance->lifecycle != LIFECYCLE_IN_SERVICE || instance->unhealthy ||
            why == ACTION_NONE ||
            (respects_grace(instance, why) && now_ms < instance->grace_until_ms)) {
            continue;
        }
        if (is_rationed(why) && replaces) {
            if (budget == 0) {
                continue;
            }
            budget--;
        }
        mark_unhealthy(instance, why, now_ms, decisions);
    }
}

static struct decision *terminate(const struct world *world, const struct world_instance *instance,
                                  enum cause_action why, int64_t now_ms,
                                  struct decisions *decisions)
{
    struct decision *decision = decide_for(decisions, DECIDE_TERMINATE, instance);

    decision->load_balancer = instance->registered;
    decision->needs_activity = true;
    decision->cooldown_ms = world->default_cooldown_ms;
    decision->cause.action = why;
    decision->cause.at_ms = now_ms;
    return decision;
}

static void terminate_by_request(const struct world *world, const struct world_instance *instance,
                                 int64_t now_ms, int32_t *desired, struct decisions *decisions)
{
    struct decision *decision =
        terminate(world, instance, ACTION_USER_TERMINATE, now_ms, decisions);

    TEXT_PUT(decision->cause.selected, instance->id);
    decision->decrement = instance->terminate_asked == TERMINATE_DECREMENT && *desired > world->min;
    if (decision->decrement) {
        decision->cause.from = (*desired)--;
        decision->cause.to = *desired;
    }
}

void decide_health(const struct world *world, int64_t now_ms, struct decisions *decisions)
{
    bool replaces = !world_suspended(world, PROCESS_REPLACE_UNHEALTHY) &&
                    !world_suspended(world, PROCESS_TERMINATE);
    int32_t desired = world->desired;

    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (!instance_counts(instance)) {
            continue;
        }
        if (instance->terminate_asked != TERMINATE_NOT_ASKED) {
            terminate_by_request(world, instance, now_ms, &desired, decisions);
        } else if (instance->unhealthy && (replaces || instance->lifecycle == LIFECYCLE_PENDING)) {
            terminate(world, instance, instance->unhealthy_why, now_ms, decisions);
        }
    }
    if (decisions->count == 0) {
        decide_marks(world, now_ms, decisions);
    }
}

int64_t health_wake_ms(const struct world *world, int64_t now_ms)
{
    int64_t wake_ms = INT64_MAX;
    bool waiting = false;

    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance->lifecycle != LIFECYCLE_IN_SERVICE || instance->unhealthy ||
            ailment(world, instance) == ACTION_NONE) {
            continue;
        }
        if (instance->grace_until_ms > now_ms) {
            wake_ms = min_i64(wake_ms, instance->grace_until_ms);
        } else {
            waiting = true; /* For a replacement to warm up, or for news. */
        }
    }
    for (size_t i = 0; waiting && i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance->replacement && instance->warmup_until_ms > now_ms) {
            wake_ms = min_i64(wake_ms, instance->warmup_until_ms);
        }
    }
    return wake_ms;
}
