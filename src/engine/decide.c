/* The stages of a decision, and the ones about sizes. The rules about instances are in
 * decide_instances.c. */
#include "base/alloc.h"
#include "engine/private.h"

#include <stdlib.h>
#include <string.h>

const char *held_reason_name(enum held_reason reason)
{
    static const char *const names[] = {
        [HELD_NOT] = "not",
        [HELD_COOLDOWN] = "cooldown",
        [HELD_ACTIVITY] = "activity",
        [HELD_WARMUP] = "warmup",
        [HELD_NO_CHANGE] = "no-change",
        [HELD_SUSPENDED] = "suspended",
        [HELD_DISABLED] = "disabled",
        [HELD_SUPERSEDED] = "superseded",
        [HELD_NO_METRIC] = "no-metric",
        [HELD_NO_STEP] = "no-step",
        [HELD_NO_POLICY] = "no-policy",
    };

    return names[reason];
}

void decisions_close(struct decisions *decisions)
{
    free(decisions->list);
    *decisions = (struct decisions){0};
}

struct decision *decisions_add(struct decisions *decisions, enum decision_kind kind)
{
    struct decision *decision;

    decisions->list =
        mem_grow(decisions->list, decisions->count, &decisions->room, sizeof(*decisions->list));
    decision = &decisions->list[decisions->count++];
    *decision = (struct decision){.kind = kind};
    return decision;
}

int64_t cooldown_due_ms(const struct world *world)
{
    if (world->changes_count > 0) {
        int64_t own_ms = world->changes[world->changes_count - 1].cooldown_ms;

        return own_ms == WORLD_UNSET ? world->default_cooldown_ms : own_ms;
    }
    return world->default_cooldown_ms;
}

/* What one invocation comes to. */
struct verdict {
    enum held_reason held;
    int32_t target;
};

/* How many instances of scale-outs are still on their way, for a step policy. */
static int32_t warming_count(const struct world *world, const struct policy *policy, int64_t now_ms)
{
    int64_t warmup_ms = policy->warmup_ms;
    int32_t count = 0;

    if (warmup_ms == WORLD_UNSET) {
        warmup_ms = world->default_warmup_ms == WORLD_UNSET ? world->default_cooldown_ms
                                                            : world->default_warmup_ms;
    }
    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance->lifecycle == LIFECYCLE_PENDING ||
            (instance->lifecycle == LIFECYCLE_IN_SERVICE &&
             now_ms < instance->in_service_ms + warmup_ms)) {
            count++;
        }
    }
    return count;
}

static int32_t clamp(const struct world *world, int64_t target)
{
    return (int32_t)max_i64(min_i64(target, world->max), world->min);
}

static struct verdict judge_simple(const struct world *world, const struct policy *policy,
                                   bool by_user, int64_t now_ms)
{
    int32_t target;

    /* A user was told so by engine_observe(), where cooldown is his choice. */
    if (!by_user && world_running_activity(world) != NULL) {
        return (struct verdict){.held = HELD_ACTIVITY};
    }
    if (!by_user && now_ms < world->cooldown_until_ms) {
        return (struct verdict){.held = HELD_COOLDOWN};
    }
    target = clamp(world, adjustment_apply(&policy->adjustment, world->desired));
    return (struct verdict){.held = target == world->desired ? HELD_NO_CHANGE : HELD_NOT,
                            .target = target};
}

/* Instances that warm up count as the answer to what was asked before: the step is taken from the
 * capacity without them, and only what goes beyond desired is added. */
static struct verdict judge_step(const struct world *world, const struct policy *policy,
                                 const struct invocation *invocation, int64_t now_ms)
{
    const struct policy_step *step;
    struct adjustment adjustment = policy->adjustment;
    int32_t warming = warming_count(world, policy, now_ms);
    int32_t settled = world->desired > warming ? world->desired - warming : 0;
    int32_t target;

    if (!invocation->has_metric) {
        return (struct verdict){.held = HELD_NO_METRIC};
    }
    step = policy_step_find(policy, invocation->value, invocation->threshold);
    if (step == NULL) {
        return (struct verdict){.held = HELD_NO_STEP};
    }
    adjustment.amount = step->amount;
    target = clamp(world, adjustment_apply(&adjustment, settled));
    if (target > world->desired) {
        return (struct verdict){.held = HELD_NOT, .target = target};
    }
    target = clamp(world, adjustment_apply(&adjustment, world->desired));
    if (target >= world->desired) {
        return (struct verdict){.held = warming > 0 ? HELD_WARMUP : HELD_NO_CHANGE};
    }
    return (struct verdict){.held = warming > 0 ? HELD_WARMUP : HELD_NOT, .target = target};
}

static struct verdict judge(const struct world *world, const struct invocation *invocation,
                            int64_t now_ms)
{
    const struct policy *policy = world_policy(world, invocation->policy);
    bool by_user = invocation->alarm[0] == '\0';

    if (policy == NULL) {
        return (struct verdict){.held = HELD_NO_POLICY};
    }
    if (!by_user && world_suspended(world, PROCESS_ALARM_NOTIFICATION)) {
        return (struct verdict){.held = HELD_SUSPENDED};
    }
    if (!policy->enabled) {
        return (struct verdict){.held = HELD_DISABLED};
    }
    return policy->type == POLICY_SIMPLE ? judge_simple(world, policy, by_user, now_ms)
                                         : judge_step(world, policy, invocation, now_ms);
}

static void add_change(struct decision *decision, const struct world *world,
                       enum change_origin origin, int64_t now_ms)
{
    struct capacity_change *change = &decision->cause.changes[0];

    decision->cause.changes_count = 1;
    *change = (struct capacity_change){
        .origin = origin,
        .at_ms = now_ms,
        .from = world->desired,
        .to = decision->to,
        .min = decision->min,
        .max = decision->max,
        .cooldown_ms = WORLD_UNSET,
    };
}

static void add_policy_change(struct decisions *decisions, const struct world *world,
                              const struct invocation *invocation, int32_t target, int64_t now_ms)
{
    const struct policy *policy = world_policy(world, invocation->policy);
    struct decision *decision = decisions_add(decisions, DECIDE_DESIRED);
    struct capacity_change *change = &decision->cause.changes[0];
    bool by_user = invocation->alarm[0] == '\0';

    decision->min = world->min;
    decision->max = world->max;
    decision->to = target;
    decision->invocation = *invocation;
    add_change(decision, world, by_user ? CHANGE_EXECUTE_POLICY : CHANGE_ALARM, now_ms);
    change->cooldown_ms = policy->type == POLICY_SIMPLE ? policy->cooldown_ms : WORLD_UNSET;
    TEXT_PUT(change->policy, invocation->policy);
    TEXT_PUT(change->alarm, invocation->alarm);
}

/* When several policies act at once, the one that leaves the largest capacity wins. */
static void decide_invocations(const struct world *world, int64_t now_ms,
                               struct decisions *decisions)
{
    struct verdict verdicts[WORLD_INVOCATIONS_MAX];
    int32_t winner = -1;

    for (int32_t i = 0; i < world->invocations_count; i++) {
        verdicts[i] = judge(world, &world->invocations[i], now_ms);
        if (verdicts[i].held == HELD_NOT &&
            (winner < 0 || verdicts[i].target > verdicts[winner].target)) {
            winner = i;
        }
    }
    for (int32_t i = 0; i < world->invocations_count; i++) {
        if (i == winner) {
            add_policy_change(decisions, world, &world->invocations[i], verdicts[i].target, now_ms);
        } else {
            struct decision *decision = decisions_add(decisions, DECIDE_HELD);

            decision->invocation = world->invocations[i];
            decision->held = verdicts[i].held == HELD_NOT ? HELD_SUPERSEDED : verdicts[i].held;
            decision->until_ms = decision->held == HELD_COOLDOWN ? world->cooldown_until_ms : 0;
        }
    }
}

void decide_policies(const struct world *world, int64_t now_ms, struct decisions *decisions)
{
    const struct size_request *request = &world->request;

    if (request->origin != CHANGE_NONE) { /* A user's word goes first. */
        struct decision *decision = decisions_add(decisions, DECIDE_DESIRED);

        decision->min = request->min;
        decision->max = request->max;
        decision->to = request->desired;
        add_change(decision, world, request->origin, now_ms);
        return;
    }
    decide_invocations(world, now_ms, decisions);
}

/* The reasons that the next activity tells: who changed desired, and what the group does. */
static void capacity_cause(const struct world *world, enum cause_action action, int32_t from,
                           int32_t to, int64_t now_ms, struct cause *cause)
{
    cause->action = action;
    cause->at_ms = now_ms;
    cause->from = from;
    cause->to = to;
    cause->changes_count = world->changes_count;
    memcpy(cause->changes, world->changes, sizeof(cause->changes));
}

static void launch_to(struct decisions *decisions, const struct world_subnet *subnet,
                      const struct cause *cause, int64_t cooldown_ms)
{
    struct decision *decision = decisions_add(decisions, DECIDE_LAUNCH);

    decision->cause = *cause;
    decision->cooldown_ms = cooldown_ms;
    decision->needs_activity = true;
    TEXT_PUT(decision->zone, subnet->zone);
    TEXT_PUT(decision->subnet, subnet->subnet);
}

/* What is missing because unhealthy instances left is replaced; the rest is a scale-out. */
static void decide_launches(const struct world *world, int32_t missing, int64_t now_ms,
                            struct decisions *decisions)
{
    struct balance balance;
    const struct world_subnet *subnet;
    int32_t replaced = (int32_t)min_i64(missing, world->replacements_due);

    if (world_suspended(world, PROCESS_LAUNCH) || now_ms < world->next_launch_ms) {
        return;
    }
    balance_open(&balance, world, now_ms);
    for (int32_t i = 0; i < missing && (subnet = balance_place(&balance)) != NULL; i++) {
        struct cause cause = {.action = ACTION_REPLACE, .at_ms = now_ms};

        if (i >= replaced) {
            capacity_cause(world, ACTION_SCALE_OUT, world->desired - missing + replaced,
                           world->desired, now_ms, &cause);
        }
        launch_to(decisions, subnet, &cause,
                  i < replaced ? world->default_cooldown_ms : cooldown_due_ms(world));
    }
    balance_close(&balance);
}

static void add_selected(struct cause *cause, const char *id)
{
    size_t used = strlen(cause->selected);

    if (used + strlen(id) + 2 <= sizeof(cause->selected)) {
        text_put(cause->selected + used, sizeof(cause->selected) - used, used == 0 ? "" : " ");
        used = strlen(cause->selected);
        text_put(cause->selected + used, sizeof(cause->selected) - used, id);
    }
}

static const struct world_instance *rebalancing_instance(const struct world *world)
{
    return world_instance(world, world->rebalancing);
}

static void decide_blocked(const struct world *world, int32_t excess, int64_t now_ms,
                           struct decisions *decisions)
{
    struct decision *decision;

    if (world->protected_told) {
        return;
    }
    decision = decisions_add(decisions, DECIDE_BLOCKED);
    decision->needs_activity = true;
    capacity_cause(world, ACTION_PROTECTED, world->desired + excess, world->desired, now_ms,
                   &decision->cause);
}

/* Each of the activities of one scale-in names all that were selected. */
static void decide_scale_in(const struct world *world, int32_t excess, int64_t now_ms,
                            struct decisions *decisions)
{
    const struct world_instance *newcomer = rebalancing_instance(world), *victim;
    struct balance balance;
    struct cause cause = {0};

    if (world_suspended(world, PROCESS_TERMINATE) && !world->force_delete) {
        return;
    }
    balance_open(&balance, world, now_ms);
    capacity_cause(world, newcomer == NULL ? ACTION_SCALE_IN : ACTION_REBALANCE_SHRINK,
                   world->desired + excess, world->desired, now_ms, &cause);
    for (int32_t i = 0; i < excess && (victim = balance_victim(&balance)) != NULL; i++) {
        struct decision *decision = decisions_add(decisions, DECIDE_TERMINATE);

        TEXT_PUT(decision->instance, victim->id);
        decision->load_balancer = victim->registered;
        decision->needs_activity = true;
        decision->cooldown_ms = cooldown_due_ms(world);
        add_selected(&cause, victim->id);
        TEXT_PUT(cause.zones, newcomer == NULL ? "" : newcomer->zone);
    }
    for (size_t i = 0; i < decisions->count; i++) {
        decisions->list[i].cause = cause;
    }
    if (decisions->count == 0) {
        decide_blocked(world, excess, now_ms, decisions);
    }
    balance_close(&balance);
}

/* Launch first, so that balancing never costs capacity. */
static void decide_rebalance(const struct world *world, int64_t now_ms, struct decisions *decisions)
{
    struct balance balance;
    struct cause cause = {.action = ACTION_REBALANCE_LAUNCH, .at_ms = now_ms};

    if (world_suspended(world, PROCESS_AZ_REBALANCE) || world_suspended(world, PROCESS_LAUNCH) ||
        world_suspended(world, PROCESS_TERMINATE) || now_ms < world->next_launch_ms ||
        world_running_activity(world) != NULL || world->desired == 0) {
        return;
    }
    balance_open(&balance, world, now_ms);
    if (balance_skewed(&balance, &cause)) {
        launch_to(decisions, balance_place(&balance), &cause, world->default_cooldown_ms);
        decisions->list[decisions->count - 1].rebalance = true;
    }
    balance_close(&balance);
}

void decide_capacity(const struct world *world, int64_t now_ms, struct decisions *decisions)
{
    int32_t capacity = world_capacity(world);
    const struct world_instance *newcomer = rebalancing_instance(world);
    int32_t allowed =
        world->desired +
        (newcomer != NULL && newcomer->lifecycle == LIFECYCLE_PENDING && !world->deleting ? 1 : 0);

    if (capacity < world->desired) {
        decide_launches(world, world->desired - capacity, now_ms, decisions);
    } else if (capacity > allowed) {
        decide_scale_in(world, capacity - allowed, now_ms, decisions);
    } else if (capacity == world->desired) {
        decide_rebalance(world, now_ms, decisions);
    }
}

int64_t capacity_wake_ms(const struct world *world, int64_t now_ms)
{
    int64_t launch_ms = world->next_launch_ms > now_ms ? world->next_launch_ms : INT64_MAX;

    return min_i64(launch_ms, balance_forgives_ms(world, now_ms));
}

size_t engine_decide(const struct world *world, int64_t now_ms, struct decisions *decisions)
{
    static void (*const stages[])(const struct world *, int64_t, struct decisions *) = {
        decide_policies, decide_lifecycle, decide_health, decide_capacity};

    group_sane(world);
    decisions->count = 0;
    for (size_t i = 0; i < COUNT_OF(stages) && decisions->count == 0; i++) {
        stages[i](world, now_ms, decisions);
    }
    return decisions->count;
}

int64_t engine_wake_ms(const struct world *world, int64_t now_ms)
{
    struct decisions decisions = {0};
    int64_t wake_ms = now_ms;

    if (engine_decide(world, now_ms, &decisions) == 0) {
        wake_ms = min_i64(lifecycle_wake_ms(world, now_ms),
                          min_i64(health_wake_ms(world, now_ms), capacity_wake_ms(world, now_ms)));
    }
    decisions_close(&decisions);
    return wake_ms;
}
