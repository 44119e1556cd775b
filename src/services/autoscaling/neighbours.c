/* The real neighbours. */
#include "services/autoscaling/neighbours.h"

#include "services/autoscaling/group.h"
#include "services/cloudwatch/cloudwatch.h"
#include "services/ec2/ec2.h"
#include "services/elbv2/elbv2.h"

#include <stdio.h>

/* ec2 */

static void copy_template(struct as_template *to, const struct ec2_template *from)
{
    *to = (struct as_template){.version = from->version};
    TEXT_COPY(to->id, from->id);
    TEXT_COPY(to->name, from->name);
}

static int template_find(struct ctx *ctx, const char *id, const char *name, const char *version,
                         struct as_template *found, struct error *err)
{
    struct ec2_template template;
    int rc = ec2_template_find(ctx, id, name, version, &template, err);

    if (rc == 0) {
        copy_template(found, &template);
    }
    return rc;
}

static int template_judge(struct ctx *ctx, const char *id, const char *version, const char *subnet,
                          struct error *err)
{
    const struct ec2_launch launch = {
        .template_id = id, .template_version = version, .subnet = subnet};

    return ec2_launch_judge(ctx, &launch, err);
}

static int subnet_zone(struct ctx *ctx, const char *subnet, char zone[ENGINE_ZONE_BYTES],
                       struct error *err)
{
    const struct ec2_subnet *found = ec2_subnet_find(ctx->control, subnet);

    if (found == NULL) {
        return error_set(err, ERR_NOT_FOUND, "there is no subnet %s", subnet);
    }
    (void)snprintf(zone, ENGINE_ZONE_BYTES, "%s", found->zone);
    return 0;
}

static int default_subnet(struct ctx *ctx, const char *zone, char subnet[ENGINE_SUBNET_BYTES],
                          struct error *err)
{
    const struct ec2_subnet *found = ec2_subnet_default(ctx->control, zone);

    if (found == NULL) {
        return error_set(err, ERR_NOT_FOUND, "zone %s has no default subnet", zone);
    }
    (void)snprintf(subnet, ENGINE_SUBNET_BYTES, "%s", found->id);
    return 0;
}

static int launch(struct ctx *ctx, const struct as_launch *launch, struct as_launched *launched,
                  struct error *err)
{
    struct ec2_tag *tags = arena_calloc(ctx->arena, launch->tags_count + 1, sizeof(*tags));
    struct ec2_launch wanted = {.template_id = launch->template_id,
                                .template_version = launch->template_version,
                                .subnet = launch->subnet,
                                .requester = "autoscaling.amazonaws.com",
                                .tags = tags,
                                .tags_count = launch->tags_count};
    const struct ec2_instance *made;
    struct ec2_template template;
    int rc;

    for (size_t i = 0; i < launch->tags_count; i++) {
        tags[i] = (struct ec2_tag){launch->tags[i].key, launch->tags[i].value};
    }
    rc =
        ec2_template_find(ctx, launch->template_id, NULL, launch->template_version, &template, err);
    if (rc != 0) {
        return rc;
    }
    copy_template(&launched->template, &template); /* Before the launch may move it. */
    rc = ec2_launch(ctx, &wanted, &made, err);
    if (rc == 0) {
        TEXT_COPY(launched->instance, made->id);
        TEXT_COPY(launched->type, made->type);
    }
    return rc;
}

static enum machine_state machine(const struct control *control, const char *instance,
                                  char reason[ENGINE_MESSAGE_BYTES])
{
    const struct ec2_instance *found = ec2_instance_find(control, instance);

    if (found == NULL) {
        return MACHINE_GONE;
    }
    (void)snprintf(reason, ENGINE_MESSAGE_BYTES, "%s",
                   found->reason_message == NULL ? "" : found->reason_message);
    switch (found->state) {
    case EC2_PENDING:
        return MACHINE_PENDING;
    case EC2_RUNNING:
        return MACHINE_RUNNING;
    case EC2_STOPPING:
    case EC2_STOPPED:
    case EC2_SHUTTING_DOWN:
        return MACHINE_STOPPED;
    case EC2_TERMINATED:
    case EC2_STATES:
        break;
    }
    return MACHINE_GONE;
}

static void instance_changed(struct ctx *ctx, void *data, const struct ec2_instance *instance)
{
    (void)data;
    (void)instance;
    autoscaling_wake(ctx->control);
}

static bool is_warming(const struct control *control, void *data, const char *group,
                       const char *instance)
{
    (void)data;
    return group_is_warming(control, group, instance, control_now_ms(control));
}

/* elbv2 */

static enum as_target target(const struct control *control, const char *arn, const char *instance)
{
    switch (elbv2_target_health(control, arn, instance).state) {
    case ELBV2_ABSENT:
        return AS_TARGET_ABSENT;
    case ELBV2_HEALTHY:
        return AS_TARGET_HEALTHY;
    case ELBV2_UNHEALTHY:
        return AS_TARGET_UNHEALTHY;
    case ELBV2_INITIAL:
    case ELBV2_UNUSED:
    case ELBV2_DRAINING:
    case ELBV2_UNAVAILABLE:
        break;
    }
    return AS_TARGET_OTHER;
}

static void target_changed(struct ctx *ctx, void *data, const char *arn, const char *instance,
                           enum elbv2_target_state state)
{
    (void)data;
    (void)arn;
    (void)instance;
    (void)state;
    autoscaling_wake(ctx->control);
}

/* cloudwatch */

static void policy_alarms(const struct control *control, const char *policy_arn, as_alarm_fn *fn,
                          void *data)
{
    cloudwatch_alarms_with_action(control, policy_arn, fn, data);
}

static bool invoke(struct ctx *ctx, void *data, const struct cloudwatch_action *action)
{
    const struct autoscaling_alarm alarm = {.policy_arn = action->arn,
                                            .alarm = action->alarm,
                                            .has_metric = action->has_value,
                                            .value = action->value,
                                            .threshold = action->threshold};

    (void)data;
    return autoscaling_invoke(ctx, &alarm);
}

static void listen_to_all(struct control *control)
{
    ec2_on_instance_change(control, instance_changed, NULL);
    ec2_set_warming(control, is_warming, NULL);
    elbv2_on_target_change(control->elbv2, target_changed, NULL);
    cloudwatch_on_action(control, "arn:aws:autoscaling:", invoke, NULL);
}

static const struct neighbours neighbours = {
    .template_find = template_find,
    .template_judge = template_judge,
    .subnet_zone = subnet_zone,
    .default_subnet = default_subnet,
    .launch = launch,
    .terminate = ec2_terminate,
    .machine = machine,
    .target_group_exists = elbv2_target_group_exists,
    .target_group_delay_ms = elbv2_target_group_delay_ms,
    .target_register = elbv2_register,
    .target_deregister = elbv2_deregister,
    .target = target,
    .policy_alarms = policy_alarms,
    .listen = listen_to_all,
};

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    autoscaling_open(control, &neighbours);
    return 0;
}

const struct service autoscaling_service = {
    .name = "autoscaling",
    .open = open_service,
    .load = autoscaling_load,
    .start = autoscaling_start,
    .close = autoscaling_close,
    .resource = autoscaling_resource,
};
