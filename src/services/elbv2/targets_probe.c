/* Health checks: when a target is probed, and what its answer means. */
#include "services/elbv2/private.h"

#include "base/alloc.h"
#include "compute/compute.h"
#include "network/address.h"

#include <stdlib.h>
#include <string.h>

/* As many sockets as musterd keeps in one VPC (docs/architecture.md): a slow target must not hold
 * up more. The others wait for the next turn. */
#define PROBES_MAX 64

static bool is_probed(const struct elbv2 *elbv2, const struct target *target)
{
    const struct ec2_instance *instance = elb_target_instance(elbv2, target);

    return (target->shown == ELBV2_INITIAL || target->shown == ELBV2_HEALTHY ||
            target->shown == ELBV2_UNHEALTHY) &&
           (instance == NULL || instance->state == EC2_RUNNING);
}

void elb_targets_schedule(struct elbv2 *elbv2)
{
    int64_t next_ms = INT64_MAX;
    struct target_group *group;

    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        for (size_t i = 0; i < group->targets_count; i++) {
            const struct target *target = group->targets[i];

            if (target->drain_until_ms != 0) {
                next_ms = min_i64(next_ms, target->drain_until_ms);
            } else if (!target->probing && is_probed(elbv2, target)) {
                next_ms = min_i64(next_ms, target->probe_ms);
            }
        }
    }
    if (elbv2->timer != NULL && next_ms != INT64_MAX) {
        control_timer_at_ms(elbv2->timer, next_ms);
    }
}

/* One probe under way, by names: its target may be gone when it ends. */
struct probe {
    struct control *control;
    char *group, *id;
    int32_t port;
    int64_t registered_ms; /* Of an earlier registration nobody wants to hear. */
    enum check_end end;
    int32_t code;
};

static void probe_ended(struct ctx *ctx, void *data)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct probe *probe = data;
    struct target_group *group = map_get_z(&elbv2->groups, probe->group);
    struct target *target = group == NULL ? NULL : elb_group_target(group, probe->id, probe->port);
    struct health_rule rule;

    elbv2->probing -= elbv2->probing > 0; /* One that an earlier state began is not counted. */
    if (target == NULL) {
        return;
    }
    target->probing = false;
    if (target->registered_ms != probe->registered_ms || target->drain_until_ms != 0) {
        elb_targets_schedule(elbv2);
        return;
    }
    rule = (struct health_rule){.healthy_count = group->healthy_count,
                                .unhealthy_count = group->unhealthy_count};
    if (matcher_parse(slice_z(group->check_codes), &rule.matcher, NULL) != 0) {
        return; /* Never: it was checked. */
    }
    if (health_take(&target->health, &rule, probe->end, probe->code)) {
        elb_target_save(ctx, target);
        elb_group_touch(ctx, group);
    } else {
        elb_targets_schedule(elbv2);
    }
}

static void on_probe(void *data, enum compute_probe_outcome outcome, int status)
{
    static const enum check_end ends[] = {[PROBE_ANSWERED] = CHECK_ANSWERED,
                                          [PROBE_TIMEOUT] = CHECK_TIMED_OUT,
                                          [PROBE_REFUSED] = CHECK_FAILED,
                                          [PROBE_BROKEN] = CHECK_FAILED};
    struct probe *probe = data;

    probe->end = ends[outcome];
    probe->code = outcome == PROBE_ANSWERED ? status : 0;
    if (probe->control->elbv2 != NULL) {
        control_run(probe->control, probe_ended, probe);
    }
    free(probe->group);
    free(probe->id);
    free(probe);
}

/* The balancer's own address in the target's zone, or its first. */
static uint32_t source_of(const struct elbv2 *elbv2, const struct load_balancer *balancer,
                          const struct ec2_instance *instance)
{
    uint32_t source = 0;

    for (size_t i = 0; i < balancer->zones_count; i++) {
        const struct ec2_interface *interface =
            ec2_interface_find(elbv2->control, balancer->zones[i].interface);
        bool here = instance != NULL && strcmp(instance->zone, balancer->zones[i].zone) == 0;

        if (interface != NULL && (source == 0 || here)) {
            (void)address_parse(slice_z(interface->address), &source, NULL);
        }
    }
    return source;
}

static void start_probe(struct ctx *ctx, struct target *target)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct compute *compute = ctx->control->compute;
    const struct target_group *group = target->owner;
    const struct load_balancer *balancer = elb_group_balancer(elbv2, group->arn);
    const struct ec2_instance *instance = elb_target_instance(elbv2, target);
    const char *address = elb_target_address(elbv2, target);
    struct compute_probe spec = {.port = (uint16_t)elb_target_check_port(target),
                                 .path = group->check_path,
                                 .timeout_ms = group->check_timeout_s * 1000};
    struct probe *probe;

    if (balancer == NULL || address == NULL || compute == NULL ||
        address_parse(slice_z(address), &spec.address, NULL) != 0) {
        return;
    }
    (void)snprintf(spec.vpc, sizeof(spec.vpc), "%s", group->vpc);
    (void)snprintf(spec.instance, sizeof(spec.instance), "%s",
                   instance == NULL ? "" : instance->id);
    spec.source = source_of(elbv2, balancer, instance);
    probe = mem_calloc(1, sizeof(*probe));
    *probe = (struct probe){.control = ctx->control,
                            .group = mem_strdup(target->group),
                            .id = mem_strdup(target->id),
                            .port = target->port,
                            .registered_ms = target->registered_ms};
    target->probing = true;
    elbv2->probing++;
    compute->driver->probe(compute, &spec, on_probe, probe);
}

void elb_targets_probe(struct ctx *ctx, struct target_group *group)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    bool first = false;

    for (size_t i = 0; i < group->targets_count; i++) {
        struct target *target = group->targets[i];

        if (target->probing || !is_probed(elbv2, target) || target->probe_ms > ctx->now_ms) {
            continue;
        }
        if (elbv2->probing >= PROBES_MAX) {
            target->probe_ms = ctx->now_ms + 1000;
            continue;
        }
        first |= !target->probed;
        target->probed = true;
        target->probe_ms = ctx->now_ms + group->check_interval_s * 1000;
        start_probe(ctx, target);
    }
    if (first) { /* Registration is over, checking has begun. */
        elb_group_touch(ctx, group);
    }
}
