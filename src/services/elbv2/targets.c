/* Targets: registering, draining, and what others are told of them. */
#include "services/elbv2/private.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "network/address.h"

#include <stdlib.h>
#include <string.h>

struct target *elb_group_target(const struct target_group *group, const char *id, int32_t port)
{
    for (size_t i = 0; i < group->targets_count; i++) {
        if (group->targets[i]->port == port && strcmp(group->targets[i]->id, id) == 0) {
            return group->targets[i];
        }
    }
    return NULL;
}

const struct ec2_instance *elb_target_instance(const struct elbv2 *elbv2,
                                               const struct target *target)
{
    return strcmp(target->owner->type, "instance") == 0
               ? ec2_instance_find(elbv2->control, target->id)
               : ec2_instance_at(elbv2->control, target->owner->vpc, target->id);
}

const char *elb_target_address(const struct elbv2 *elbv2, const struct target *target)
{
    const struct ec2_instance *instance;

    if (strcmp(target->owner->type, "ip") == 0) {
        return target->id;
    }
    instance = ec2_instance_find(elbv2->control, target->id);
    return instance == NULL ? NULL : instance->address;
}

int32_t elb_target_check_port(const struct target *target)
{
    int64_t port;

    return text_to_i64(slice_z(target->owner->check_port), 1, 65535, &port, NULL) == 0
               ? (int32_t)port
               : target->port;
}

/* State, reason and description. */

static struct elbv2_target_health says(enum elbv2_target_state state, const char *reason,
                                       const char *text, char description[HEALTH_TEXT_BYTES])
{
    (void)snprintf(description, HEALTH_TEXT_BYTES, "%s", text);
    return (struct elbv2_target_health){state, reason, description};
}

/* An instance that does not run. */
static bool is_unfit(const struct ec2_instance *instance)
{
    return instance == NULL || (instance->state != EC2_PENDING && instance->state != EC2_RUNNING);
}

struct elbv2_target_health elb_target_health(const struct elbv2 *elbv2, const struct target *target,
                                             char description[HEALTH_TEXT_BYTES])
{
    static const enum elbv2_target_state states[] = {[HEALTH_INITIAL] = ELBV2_INITIAL,
                                                     [HEALTH_HEALTHY] = ELBV2_HEALTHY,
                                                     [HEALTH_UNHEALTHY] = ELBV2_UNHEALTHY};
    const struct load_balancer *balancer = elb_group_balancer(elbv2, target->owner->arn);
    const struct ec2_instance *instance = elb_target_instance(elbv2, target);
    const char *reason;

    if (target->drain_until_ms != 0) {
        return says(ELBV2_DRAINING, "Target.DeregistrationInProgress",
                    "Target deregistration is in progress", description);
    }
    if (strcmp(target->owner->type, "instance") == 0 && is_unfit(instance)) {
        (void)snprintf(description, HEALTH_TEXT_BYTES, "Target is in the %s state",
                       instance == NULL ? "terminated" : ec2_state_name(instance->state));
        return (struct elbv2_target_health){ELBV2_UNUSED, "Target.InvalidState", description};
    }
    if (balancer == NULL) {
        return says(ELBV2_UNUSED, "Target.NotInUse",
                    "Target group is not configured to receive traffic from the load balancer",
                    description);
    }
    if (instance != NULL && !elb_balancer_has_zone(balancer, instance->zone)) {
        return says(ELBV2_UNUSED, "Target.NotInUse",
                    "Target is in an Availability Zone that is not enabled for the load balancer",
                    description);
    }
    if (target->health.state == HEALTH_INITIAL && !target->probed) {
        return says(ELBV2_INITIAL, "Elb.RegistrationInProgress",
                    "Target registration is in progress", description);
    }
    reason = health_reason(&target->health);
    health_describe(&target->health, description);
    return (struct elbv2_target_health){states[target->health.state], reason, description};
}

/* Telling. */

struct news {
    char *id;
    enum elbv2_target_state state;
    struct news *next;
};

static void tell(struct ctx *ctx, const char *arn, const struct news *news)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);

    for (; news != NULL; news = news->next) {
        for (size_t i = 0; i < elbv2->hearers_count; i++) {
            elbv2->hearers[i].fn(ctx, elbv2->hearers[i].data, arn, news->id, news->state);
        }
    }
}

void elb_group_touch(struct ctx *ctx, struct target_group *group)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct load_balancer *balancer = elb_group_balancer(elbv2, group->arn);
    struct news *first = NULL, **last = &first;
    const char *arn = arena_strdup(ctx->arena, slice_z(group->arn));

    for (size_t i = 0; i < group->targets_count; i++) {
        struct target *target = group->targets[i];
        char description[HEALTH_TEXT_BYTES];
        struct elbv2_target_health now = elb_target_health(elbv2, target, description);

        if (now.state == target->shown && strcmp(now.reason, target->shown_reason) == 0) {
            continue;
        }
        log_info("target group=%s id=%s port=%d state=%d reason=%s", group->name, target->id,
                 target->port, now.state, now.reason);
        target->shown = now.state;
        target->shown_reason = now.reason;
        *last = arena_calloc(ctx->arena, 1, sizeof(struct news));
        (*last)->id = arena_strdup(ctx->arena, slice_z(target->id));
        (*last)->state = now.state;
        last = &(*last)->next;
    }
    if (balancer != NULL) {
        plane_touch(ctx, balancer);
    }
    elb_targets_schedule(elbv2);
    tell(ctx, arn, first); /* Last: they may change targets themselves. */
}

/* Registering. */

static int check_target(struct ctx *ctx, const struct target_group *group, const char *id,
                        bool pending, struct error *err)
{
    const struct ec2_instance *instance;
    uint32_t address;

    if (strcmp(group->type, "ip") == 0) {
        const struct ec2_vpc *vpc = ec2_vpc_find(ctx->control, group->vpc);
        struct network cidr;

        if (address_parse(slice_z(id), &address, NULL) != 0) {
            return error_api(err, "ValidationError",
                             "The IP address '%s' is not a valid IPv4 "
                             "address",
                             id);
        }
        if (vpc == NULL || network_parse(slice_z(vpc->cidr), &cidr, NULL) != 0 ||
            !network_has(cidr, address)) {
            return error_api(err, "InvalidTarget",
                             "The IP address '%s' is not in the target group VPC '%s'", id,
                             group->vpc);
        }
        return 0;
    }
    if (!id_is(id, "i-")) {
        return error_api(err, "ValidationError", "Instance ID '%s' is not valid", id);
    }
    instance = ec2_instance_find(ctx->control, id);
    if (instance == NULL ||
        (instance->state != EC2_RUNNING && !(pending && instance->state == EC2_PENDING))) {
        return error_api(err, "InvalidTarget",
                         "The following targets are not in a running state and cannot be "
                         "registered: '%s'",
                         id);
    }
    if (strcmp(instance->vpc, group->vpc) != 0) {
        return error_api(err, "InvalidTarget",
                         "The following targets are not in the target group VPC '%s': '%s'",
                         group->vpc, id);
    }
    return 0;
}

static void register_one(struct ctx *ctx, struct target_group *group, const char *id, int32_t port,
                         const char *zone)
{
    struct target *target = elb_group_target(group, id, port);

    if (target != NULL && target->drain_until_ms == 0) {
        return; /* Again: nothing changes. */
    }
    if (target == NULL) {
        target = mem_calloc(1, sizeof(*target));
        target->group = mem_strdup(group->arn);
        target->id = mem_strdup(id);
        target->zone = mem_strdup(zone);
        target->port = port;
        elb_group_add_target(group, target);
    }
    target->registered_ms = ctx->now_ms;
    target->drain_until_ms = 0;
    target->health = (struct health){0};
    target->probed = false;
    target->probe_ms = ctx->now_ms;
    elb_target_save(ctx, target);
}

/* Drop what is drained: from the group, the store and HAProxy. */
static void remove_drained(struct ctx *ctx, struct target_group *group)
{
    struct load_balancer *balancer = elb_group_balancer(elbv2_of(ctx), group->arn);
    struct news *first = NULL, **last = &first;
    const char *arn = arena_strdup(ctx->arena, slice_z(group->arn));
    size_t kept = 0;

    for (size_t i = 0; i < group->targets_count; i++) {
        struct target *target = group->targets[i];

        if (target->drain_until_ms == 0 || target->drain_until_ms > ctx->now_ms) {
            group->targets[kept++] = target;
            continue;
        }
        *last = arena_calloc(ctx->arena, 1, sizeof(struct news));
        (*last)->id = arena_strdup(ctx->arena, slice_z(target->id));
        (*last)->state = ELBV2_ABSENT;
        last = &(*last)->next;
        log_info("target group=%s id=%s port=%d state=gone", group->name, target->id, target->port);
        elb_target_forget(ctx, target);
        elb_target_free(target);
    }
    group->targets_count = kept;
    if (first != NULL && balancer != NULL) {
        plane_touch(ctx, balancer);
    }
    tell(ctx, arn, first);
}

static void deregister_one(struct ctx *ctx, struct target *target)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct target_group *group = target->owner;
    const struct ec2_instance *instance = elb_target_instance(elbv2, target);
    int64_t delay_ms = elb_group_number(group, "deregistration_delay.timeout_seconds") * 1000;

    if (target->drain_until_ms != 0) {
        return;
    }
    /* Nobody waits for requests that cannot be. */
    if (elb_group_balancer(elbv2, group->arn) == NULL ||
        (strcmp(group->type, "instance") == 0 && is_unfit(instance))) {
        delay_ms = 0;
    }
    target->drain_until_ms = ctx->now_ms + delay_ms;
    elb_target_save(ctx, target);
}

void elb_targets_tick(struct ctx *ctx, void *data)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct target_group *group;

    (void)data;
    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        remove_drained(ctx, group);
    }
    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        elb_targets_probe(ctx, group);
    }
    elb_targets_schedule(elbv2);
}

/* News from EC2. */
void elb_targets_instance_changed(struct ctx *ctx, void *data, const struct ec2_instance *instance)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    const char *id = arena_strdup(ctx->arena, slice_z(instance->id));
    bool gone = instance->state == EC2_TERMINATED, running = instance->state == EC2_RUNNING;
    struct target_group *group;

    (void)data;
    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        bool touched = false;

        for (size_t i = 0; i < group->targets_count; i++) {
            struct target *target = group->targets[i];

            if (strcmp(target->id, id) != 0) {
                continue;
            }
            touched = true;
            if (gone) { /* A terminated instance is deregistered by itself. */
                target->drain_until_ms = ctx->now_ms;
                elb_target_save(ctx, target);
            } else if (running && target->drain_until_ms == 0 &&
                       target->shown == ELBV2_UNUSED) { /* It was stopped. */
                target->health = (struct health){0};
                target->probed = false;
                target->probe_ms = ctx->now_ms;
                elb_target_save(ctx, target);
            }
        }
        if (touched) {
            elb_group_touch(ctx, group);
        }
    }
}

/* Others' calls: elbv2.h. */

bool elbv2_target_group_exists(const struct control *control, const char *arn)
{
    return map_get_z(&control->elbv2->groups, arn) != NULL;
}

int64_t elbv2_target_group_delay_ms(const struct control *control, const char *arn)
{
    const struct target_group *group = map_get_z(&control->elbv2->groups, arn);

    return group == NULL ? 0
                         : elb_group_number(group, "deregistration_delay.timeout_seconds") * 1000;
}

bool elbv2_target_group_in_use(const struct control *control, const char *arn)
{
    return elb_group_balancer(control->elbv2, arn) != NULL;
}

int elbv2_register(struct ctx *ctx, const char *arn, const char *instance, struct error *err)
{
    struct target_group *group;
    int rc = elb_group_find(elbv2_of(ctx), arn, &group, err);

    rc = rc != 0 ? rc : check_target(ctx, group, instance, true, err);
    if (rc != 0) {
        return rc;
    }
    if (group->targets_count >= TARGETS_PER_GROUP_MAX) {
        return error_api(err, "TooManyTargets", "The quota of %d targets has been reached",
                         TARGETS_PER_GROUP_MAX);
    }
    register_one(ctx, group, instance, group->port, NULL);
    elb_group_touch(ctx, group);
    return 0;
}

void elbv2_deregister(struct ctx *ctx, const char *arn, const char *instance)
{
    struct target_group *group = map_get_z(&elbv2_of(ctx)->groups, arn);
    bool touched = false;

    for (size_t i = 0; group != NULL && i < group->targets_count; i++) {
        if (strcmp(group->targets[i]->id, instance) == 0) {
            deregister_one(ctx, group->targets[i]);
            touched = true;
        }
    }
    if (touched) {
        elb_group_touch(ctx, group);
    }
}

struct elbv2_target_health elbv2_target_health(const struct control *control, const char *arn,
                                               const char *instance)
{
    /* The worse, the higher. */
    static const int rank[] = {
        [ELBV2_ABSENT] = 0, [ELBV2_HEALTHY] = 1,  [ELBV2_UNAVAILABLE] = 2, [ELBV2_INITIAL] = 3,
        [ELBV2_UNUSED] = 4, [ELBV2_DRAINING] = 5, [ELBV2_UNHEALTHY] = 6};
    static char description[HEALTH_TEXT_BYTES];
    const struct target_group *group = map_get_z(&control->elbv2->groups, arn);
    struct elbv2_target_health worst = {ELBV2_ABSENT, "Target.NotRegistered",
                                        "Target is not registered to the target group"};

    for (size_t i = 0; group != NULL && i < group->targets_count; i++) {
        char text[HEALTH_TEXT_BYTES];
        struct elbv2_target_health health;

        if (strcmp(group->targets[i]->id, instance) != 0) {
            continue;
        }
        health = elb_target_health(control->elbv2, group->targets[i], text);
        if (rank[health.state] > rank[worst.state]) {
            memcpy(description, text, sizeof(text));
            worst = (struct elbv2_target_health){health.state, health.reason, description};
        }
    }
    return worst;
}

void elbv2_on_target_change(struct elbv2 *elbv2, elbv2_target_fn *fn, void *data)
{
    elbv2->hearers =
        mem_grow(elbv2->hearers, elbv2->hearers_count, &elbv2->hearers_room, sizeof(struct hearer));
    elbv2->hearers[elbv2->hearers_count++] = (struct hearer){fn, data};
}

/* The actions. */

int elbv2_register_targets(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    struct target_group *group;
    int rc = elb_group_find(elbv2_of(ctx), doc_z(in, M_TargetGroupArn), &group, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_Targets); i++) {
        rc = check_target(ctx, group, doc_z(doc_at(in, M_Targets, i), M_Id), false, err);
    }
    if (rc == 0 && group->targets_count + doc_count(in, M_Targets) > TARGETS_PER_GROUP_MAX) {
        rc = error_api(err, "TooManyTargets", "The quota of %d targets has been reached",
                       TARGETS_PER_GROUP_MAX);
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < doc_count(in, M_Targets); i++) {
        const struct doc *target = doc_at(in, M_Targets, i);

        register_one(ctx, group, doc_z(target, M_Id),
                     (int32_t)doc_int_or(target, M_Port, group->port),
                     doc_z(target, M_AvailabilityZone));
    }
    elb_group_touch(ctx, group);
    return 0;
}

int elbv2_deregister_targets(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    struct target_group *group;
    int rc = elb_group_find(elbv2_of(ctx), doc_z(in, M_TargetGroupArn), &group, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < doc_count(in, M_Targets); i++) {
        const struct doc *given = doc_at(in, M_Targets, i);

        for (size_t j = 0; j < group->targets_count; j++) { /* Without a port: all of them. */
            struct target *target = group->targets[j];

            if (slice_equal_z(doc_text(given, M_Id), target->id) &&
                (!doc_has(given, M_Port) || doc_int(given, M_Port) == target->port)) {
                deregister_one(ctx, target);
            }
        }
    }
    elb_group_touch(ctx, group);
    return 0;
}

static void describe(struct ctx *ctx, const struct target *target, struct doc *list)
{
    static const char *const names[] = {
        [ELBV2_ABSENT] = "unused",          [ELBV2_INITIAL] = "initial",
        [ELBV2_HEALTHY] = "healthy",        [ELBV2_UNHEALTHY] = "unhealthy",
        [ELBV2_UNUSED] = "unused",          [ELBV2_DRAINING] = "draining",
        [ELBV2_UNAVAILABLE] = "unavailable"};
    char description[HEALTH_TEXT_BYTES];
    struct elbv2_target_health health = elb_target_health(elbv2_of(ctx), target, description);
    struct doc *item = doc_list_add_struct(list), *part;

    part = doc_set_struct(item, M_Target);
    doc_set_z(part, M_Id, target->id);
    doc_set_int(part, M_Port, target->port);
    doc_set_z(part, M_AvailabilityZone, target->zone);
    doc_set_format(item, M_HealthCheckPort, "%d", elb_target_check_port(target));
    part = doc_set_struct(item, M_TargetHealth);
    doc_set_z(part, M_State, names[health.state]);
    if (health.reason[0] != '\0') {
        doc_set_z(part, M_Reason, health.reason);
        doc_set_z(part, M_Description, health.description);
    }
}

/* Asked for by name, but not registered. */
static void describe_absent(const struct target_group *group, const struct doc *given,
                            struct doc *list)
{
    struct doc *item = doc_list_add_struct(list), *part;
    int64_t port = doc_int_or(given, M_Port, group->port);

    part = doc_set_struct(item, M_Target);
    doc_set_z(part, M_Id, doc_z(given, M_Id));
    doc_set_int(part, M_Port, port);
    doc_set_format(item, M_HealthCheckPort, "%d", (int)port);
    part = doc_set_struct(item, M_TargetHealth);
    doc_set_z(part, M_State, "unused");
    doc_set_z(part, M_Reason, "Target.NotRegistered");
    doc_set_z(part, M_Description, "Target is not registered to the target group");
}

int elbv2_describe_target_health(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    struct doc *list = doc_set_list(out, M_TargetHealthDescriptions);
    struct target_group *group;
    int rc = elb_group_find(elbv2_of(ctx), doc_z(in, M_TargetGroupArn), &group, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; doc_count(in, M_Targets) == 0 && i < group->targets_count; i++) {
        describe(ctx, group->targets[i], list);
    }
    for (size_t i = 0; i < doc_count(in, M_Targets); i++) {
        const struct doc *given = doc_at(in, M_Targets, i);
        bool found = false;

        for (size_t j = 0; j < group->targets_count; j++) {
            struct target *target = group->targets[j];

            if (slice_equal_z(doc_text(given, M_Id), target->id) &&
                (!doc_has(given, M_Port) || doc_int(given, M_Port) == target->port)) {
                describe(ctx, target, list);
                found = true;
            }
        }
        if (!found) {
            describe_absent(group, given, list);
        }
    }
    return 0;
}
