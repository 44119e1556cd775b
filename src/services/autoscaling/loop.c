/* Observe, decide, apply, act. The only place where decisions become calls. */
#include "services/autoscaling/group.h"

#include "aws/id.h"
#include "base/alloc.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decisions follow from each other a few stages deep; more would be a bug in the engine. */
#define ROUNDS_MAX 64

/* Levels. */

static void tell(struct group *group, const struct event *event, int64_t now_ms)
{
    (void)engine_observe(&group->world, event, now_ms, NULL); /* News cannot fail. */
}

static void observe_machine(struct ctx *ctx, struct group *group, struct world_instance *instance)
{
    char reason[ENGINE_MESSAGE_BYTES] = "";
    enum machine_state machine =
        ctx->control->autoscaling->neighbours->machine(ctx->control, instance->id, reason);

    if (machine != instance->machine) {
        const struct event event = {
            .kind = EVENT_MACHINE, .instance = instance->id, .machine = machine, .text = reason};

        tell(group, &event, ctx->now_ms);
    }
}

static enum health_verdict verdict_of(enum as_target target)
{
    return target == AS_TARGET_HEALTHY     ? VERDICT_HEALTHY
           : target == AS_TARGET_UNHEALTHY ? VERDICT_UNHEALTHY
                                           : VERDICT_NONE;
}

static enum health_verdict verdict_known(const struct world_instance *instance, int32_t bit)
{
    return (instance->elb_healthy >> bit & 1) != 0     ? VERDICT_HEALTHY
           : (instance->elb_unhealthy >> bit & 1) != 0 ? VERDICT_UNHEALTHY
                                                       : VERDICT_NONE;
}

static void observe_targets(struct ctx *ctx, struct group *group, struct world_instance *instance)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;
    bool absent = true;

    for (size_t i = 0; i < group->world.target_groups_count; i++) {
        const struct world_target_group *target_group = &group->world.target_groups[i];
        enum as_target target = neighbours->target(ctx->control, target_group->arn, instance->id);

        absent = absent && target == AS_TARGET_ABSENT;
        if (verdict_of(target) != verdict_known(instance, target_group->bit)) {
            const struct event event = {.kind = EVENT_TARGET_HEALTH,
                                        .instance = instance->id,
                                        .target_group = target_group->arn,
                                        .verdict = verdict_of(target)};

            tell(group, &event, ctx->now_ms);
        }
    }
    if (instance->phase == PHASE_DRAINING && absent && !instance->drained) {
        tell(group, &(const struct event){.kind = EVENT_DRAINED, .instance = instance->id},
             ctx->now_ms);
    }
}

static void observe_levels(struct ctx *ctx, struct group *group)
{
    for (size_t i = 0; i < group->world.instances_count; i++) {
        observe_machine(ctx, group, &group->world.instances[i]);
        observe_targets(ctx, group, &group->world.instances[i]);
    }
}

/* Acts. */

/* The group's own tag is put by nobody else; a group's tag wins over the template's. */
static size_t launch_tags(struct ctx *ctx, const struct group *group, struct as_tag **tags)
{
    size_t count = 0;

    *tags = arena_calloc(ctx->arena, group->tags_count + 1, sizeof(**tags));
    for (size_t i = 0; i < group->tags_count; i++) {
        if (group->tags[i].propagate) {
            (*tags)[count++] = (struct as_tag){group->tags[i].key, group->tags[i].value};
        }
    }
    (*tags)[count++] = (struct as_tag){"aws:autoscaling:groupName", group->world.name};
    return count;
}

static void launch(struct ctx *ctx, struct group *group, struct decision *decision)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;
    struct as_launch launch = {.template_id = group->world.template_id,
                               .template_version = group->template_version,
                               .subnet = decision->subnet};
    struct as_launched launched = {0};
    struct as_tag *tags;
    struct error err = {0};

    launch.tags_count = launch_tags(ctx, group, &tags);
    launch.tags = tags;
    for (size_t i = 0; i < group->world.target_groups_count; i++) {
        if (!neighbours->target_group_exists(ctx->control, group->world.target_groups[i].arn)) {
            TEXT_COPY(decision->failure, "One or more target groups not found. Validating load "
                                         "balancer configuration failed.");
        }
    }
    if (decision->failure[0] == '\0' && neighbours->launch(ctx, &launch, &launched, &err) != 0) {
        (void)snprintf(decision->failure, sizeof(decision->failure),
                       "%.*s Launching EC2 instance failed.", ENGINE_MESSAGE_BYTES - 40,
                       err.message);
    }
    TEXT_COPY(decision->instance, launched.instance);
    TEXT_COPY(decision->type, launched.type);
    TEXT_COPY(decision->template_id, launched.template.id);
    TEXT_COPY(decision->template_name, launched.template.name);
    decision->template_version = launched.template.version;
}

static void register_instance(struct ctx *ctx, struct group *group, const char *instance)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;

    for (size_t i = 0; i < group->world.target_groups_count; i++) {
        const char *arn = group->world.target_groups[i].arn;
        struct error err;

        if (neighbours->target_register(ctx, arn, instance, &err) != 0) {
            log_warn("group.register.failed group=%s instance=%s target_group=%s why=\"%s\"",
                     group->world.name, instance, arn, err.message);
        }
    }
}

static void deregister_instance(struct ctx *ctx, struct group *group, struct decision *decision)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;

    for (size_t i = 0; i < group->world.target_groups_count; i++) {
        const char *arn = group->world.target_groups[i].arn;

        decision->drain_ms =
            max_i64(decision->drain_ms, neighbours->target_group_delay_ms(ctx->control, arn));
        neighbours->target_deregister(ctx, arn, decision->instance);
    }
}

static void register_all(struct ctx *ctx, struct group *group, const char *arn)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;

    for (size_t i = 0; i < group->world.instances_count; i++) {
        if (group->world.instances[i].lifecycle == LIFECYCLE_IN_SERVICE) {
            (void)neighbours->target_register(ctx, arn, group->world.instances[i].id, NULL);
        }
    }
}

static void log_decision(const struct group *group, const struct decision *decision)
{
    const char *name = group->world.name;

    switch (decision->kind) {
    case DECIDE_DESIRED:
        log_info("group.desired group=%s from=%d to=%d policy=%s alarm=%s", name,
                 (int)group->world.desired, (int)decision->to, decision->invocation.policy,
                 decision->invocation.alarm);
        break;
    case DECIDE_HELD:
        log_debug("group.held group=%s policy=%s alarm=%s why=%s", name,
                  decision->invocation.policy, decision->invocation.alarm,
                  held_reason_name(decision->held));
        break;
    case DECIDE_LAUNCH:
        if (decision->failure[0] != '\0') {
            log_warn("group.launch.failed group=%s zone=%s why=\"%s\"", name, decision->zone,
                     decision->failure);
        } else {
            log_info("group.launch group=%s instance=%s zone=%s", name, decision->instance,
                     decision->zone);
        }
        break;
    case DECIDE_UNHEALTHY:
        log_warn("group.unhealthy group=%s instance=%s", name, decision->instance);
        break;
    case DECIDE_TERMINATE:
        log_info("group.terminate group=%s instance=%s", name, decision->instance);
        break;
    case DECIDE_IN_SERVICE:
        log_info("group.in_service group=%s instance=%s", name, decision->instance);
        break;
    case DECIDE_LAUNCH_FAILED:
    case DECIDE_STOP:
    case DECIDE_REMOVE:
    case DECIDE_BLOCKED:
    case DECIDE_ATTACHED:
    case DECIDE_DELETED:
        log_debug("group.decision group=%s kind=%d instance=%s", name, (int)decision->kind,
                  decision->instance);
        break;
    }
}

/* All that the decision asks of others; it joins the ctx's commit, so a crash has done both or
 * neither. */
static void act(struct ctx *ctx, struct group *group, struct decision *decision)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;

    if (decision->needs_activity) {
        char uuid[UUID_BYTES];

        id_new_uuid(uuid);
        TEXT_COPY(decision->activity, uuid);
    }
    switch (decision->kind) {
    case DECIDE_LAUNCH:
        launch(ctx, group, decision);
        break;
    case DECIDE_IN_SERVICE:
        if (decision->load_balancer) {
            register_instance(ctx, group, decision->instance);
        }
        break;
    case DECIDE_TERMINATE:
        if (decision->load_balancer) {
            deregister_instance(ctx, group, decision);
        }
        break;
    case DECIDE_STOP:
        neighbours->terminate(ctx, decision->instance);
        break;
    case DECIDE_ATTACHED:
        if (decision->load_balancer) {
            register_all(ctx, group, decision->target_group);
        }
        break;
    case DECIDE_DESIRED:
    case DECIDE_HELD:
    case DECIDE_LAUNCH_FAILED:
    case DECIDE_UNHEALTHY:
    case DECIDE_REMOVE:
    case DECIDE_BLOCKED:
    case DECIDE_DELETED:
        break;
    }
    log_decision(group, decision);
}

/* Noting what changed. */

static void save_activities(struct ctx *ctx, struct group *group)
{
    struct world *world = &group->world;
    char id[ENGINE_UUID_BYTES];

    for (size_t i = 0; i < world->activities_count; i++) {
        struct stored_activity stored = {.activity = world->activities[i]};

        if (stored.activity.unsaved) {
            memcpy(stored.group, group->uuid, sizeof(stored.group));
            changes_put_record(ctx->changes, SLICE_LIT("autoscaling.group-activity"),
                               slice_z(stored.activity.id), &activity_record, &stored);
            world->activities[i].unsaved = false;
        }
    }
    while (world_drop_activity(world, ctx->now_ms - ACTIVITIES_KEPT_MS, ACTIVITIES_KEPT_MAX, id)) {
        changes_del(ctx->changes, SLICE_LIT("autoscaling.group-activity"), slice_z(id));
    }
}

static void save(struct ctx *ctx, struct group *group)
{
    save_activities(ctx, group);
    if (group->unsaved) {
        group->unsaved = false;
        changes_put_record(ctx->changes, SLICE_LIT("autoscaling.group"), slice_z(group->uuid),
                           &group_record, group);
    }
}

/* What goes with a group; its activities stay readable. */
static void delete_group(struct ctx *ctx, struct group *group)
{
    group->deleted = true;
    map_remove(&ctx->control->autoscaling->by_name, slice_z(group->world.name));
    group->unsaved = true;
    ctx_tags_drop(ctx, group->arn);
    while (group->world.policies_count > 0) {
        world_remove_policy(&group->world, group->world.policies[0].name);
    }
    log_info("group.deleted group=%s", group->world.name);
}

static void decide(struct ctx *ctx, struct group *group)
{
    struct decisions decisions = {0};
    int rounds = 0;

    while (!group->deleted && engine_decide(&group->world, ctx->now_ms, &decisions) > 0) {
        ASSERT(rounds++ < ROUNDS_MAX);
        for (size_t i = 0; i < decisions.count; i++) {
            struct decision *decision = &decisions.list[i];

            act(ctx, group, decision);
            engine_apply(&group->world, decision, ctx->now_ms);
            group->unsaved = group->unsaved || decision->kind != DECIDE_HELD;
            if (decision->kind == DECIDE_DELETED) {
                delete_group(ctx, group);
                break;
            }
            if (decision->failure[0] != '\0') {
                break; /* The others of the batch would meet the same; the engine says when. */
            }
        }
        observe_levels(ctx, group);
    }
    decisions_close(&decisions);
}

int group_tell(struct ctx *ctx, struct group *group, const struct event *event, struct error *err)
{
    int rc = engine_observe(&group->world, event, ctx->now_ms, err);

    group->unsaved = group->unsaved || rc == 0;
    return rc;
}

/* Levels are looked at twice a second of real time as long as there is an instance to look at; the
 * hooks only make it sooner. */
static int64_t look_again_ms(struct ctx *ctx, const struct group *group)
{
    int64_t wake_ms = engine_wake_ms(&group->world, ctx->now_ms);

    if (group->world.instances_count > 0 || group->world.target_groups_count > 0) {
        wake_ms = min_i64(wake_ms, ctx->now_ms + 500 * (int64_t)ctx->control->options.time_scale);
    }
    return wake_ms;
}

static void arm(struct ctx *ctx)
{
    struct autoscaling *service = ctx->control->autoscaling;
    int64_t wake_ms = INT64_MAX;

    for (size_t i = 0; i < service->groups_count; i++) {
        if (!service->groups[i]->deleted) {
            wake_ms = min_i64(wake_ms, look_again_ms(ctx, service->groups[i]));
        }
    }
    if (service->timer != NULL && wake_ms != INT64_MAX) {
        control_timer_at_ms(service->timer, wake_ms);
    }
}

static void settle(struct ctx *ctx, struct group *group)
{
    observe_levels(ctx, group);
    decide(ctx, group);
    save(ctx, group);
}

void group_settle(struct ctx *ctx, struct group *group)
{
    settle(ctx, group);
    arm(ctx);
}

/* Deleted groups go when their last activity does. */
static void forget_groups(struct ctx *ctx)
{
    struct autoscaling *service = ctx->control->autoscaling;
    size_t kept = 0;

    for (size_t i = 0; i < service->groups_count; i++) {
        struct group *group = service->groups[i];

        if (group->deleted) {
            save_activities(ctx, group);
        }
        if (group->deleted && group->world.activities_count == 0) {
            changes_del(ctx->changes, SLICE_LIT("autoscaling.group"), slice_z(group->uuid));
            map_remove(&service->by_uuid, slice_z(group->uuid));
            group_close(group);
        } else {
            service->groups[kept++] = group;
        }
    }
    service->groups_count = kept;
}

void autoscaling_look(struct ctx *ctx, void *data)
{
    struct autoscaling *service = data;

    for (size_t i = 0; i < service->groups_count; i++) {
        if (!service->groups[i]->deleted) {
            settle(ctx, service->groups[i]);
        }
    }
    forget_groups(ctx);
    arm(ctx);
}

void autoscaling_wake(struct control *control)
{
    struct autoscaling *service = control->autoscaling;

    if (service != NULL && service->timer != NULL) {
        control_timer_at_ms(service->timer, 0);
    }
}

bool autoscaling_invoke(struct ctx *ctx, const struct autoscaling_alarm *alarm)
{
    struct group *group;
    const struct policy *policy = group_find_policy(ctx, NULL, alarm->policy_arn, &group);

    if (policy == NULL || group->deleted) {
        return false;
    }
    tell(group,
         &(const struct event){.kind = EVENT_ALARM,
                               .policy = policy->name,
                               .alarm = alarm->alarm,
                               .has_metric = alarm->has_metric,
                               .value = alarm->value,
                               .threshold = alarm->threshold},
         ctx->now_ms);
    group_settle(ctx, group);
    return true;
}
