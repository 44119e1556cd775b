/* The service: opened, loaded, started, closed. */
#include "services/elbv2/private.h"

#include "base/alloc.h"
#include "compute/compute.h"

#include <stdlib.h>

static int open_elbv2(struct control *control, struct error *err)
{
    (void)err;
    control->elbv2 = mem_calloc(1, sizeof(*control->elbv2));
    control->elbv2->control = control;
    return 0;
}

/* compute's events are ec2's; of HAProxys both want to hear. */
static void on_haproxy_ended(void *data, const char *id)
{
    struct control *control = data;

    if (control->elbv2 != NULL) {
        elbv2_haproxy_ended(control, id);
        if (control->elbv2->haproxy_before != NULL) {
            control->elbv2->haproxy_before(data, id);
        }
    }
}

/* Targets keep the health that they had; probes begin at once. HAProxy goes on as it was, and is
 * asked what it has. */
static int start(struct ctx *ctx, struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct load_balancer *balancer;
    struct target_group *group;

    (void)err;
    elbv2->timer = control_timer_open(ctx->control, elb_targets_tick, NULL);
    elbv2->metrics = control_timer_open(ctx->control, elb_metrics_tick, NULL);
    if (ctx->control->compute != NULL) {
        elbv2->haproxy_before = ctx->control->compute->events.haproxy;
        ctx->control->compute->events.haproxy = on_haproxy_ended;
        ctx->control->compute->events.data = ctx->control;
    }
    ec2_on_instance_change(ctx->control, elb_targets_instance_changed, NULL);
    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        for (size_t i = 0; i < group->targets_count; i++) {
            group->targets[i]->probed = group->targets[i]->health.state != HEALTH_INITIAL;
        }
        elb_group_touch(ctx, group);
    }
    for (size_t at = 0; (balancer = map_next(&elbv2->balancers, &at)) != NULL;) {
        plane_touch(ctx, balancer);
    }
    elb_metrics_tick(ctx, NULL);
    return 0;
}

static void close_elbv2(struct control *control)
{
    struct elbv2 *elbv2 = control->elbv2;
    void *thing;

    if (elbv2 == NULL) {
        return;
    }
    control->elbv2 = NULL; /* Late answers find nobody. */
    control_timer_close(elbv2->timer);
    control_timer_close(elbv2->metrics);
    for (size_t at = 0; (thing = map_next(&elbv2->balancers, &at)) != NULL;) {
        elb_balancer_free(thing);
    }
    for (size_t at = 0; (thing = map_next(&elbv2->listeners, &at)) != NULL;) {
        elb_listener_free(thing);
    }
    for (size_t at = 0; (thing = map_next(&elbv2->groups, &at)) != NULL;) {
        elb_group_free(thing);
    }
    map_close(&elbv2->balancers);
    map_close(&elbv2->listeners);
    map_close(&elbv2->groups);
    free(elbv2->hearers);
    free(elbv2);
}

const struct service elbv2_service = {
    .name = "elbv2",
    .open = open_elbv2,
    .load = elbv2_load,
    .start = start,
    .close = close_elbv2,
};
