/* Elastic Load Balancing v2: application load balancers, their listeners, target groups and
 * targets.
 *
 * The data plane is one HAProxy per load balancer (balancer/, run by compute); health checks are
 * ours (services/elbv2/health.h). Loop thread only. */
#ifndef SERVICES_ELBV2_ELBV2_H
#define SERVICES_ELBV2_ELBV2_H

#include "services/control.h"

extern const struct service elbv2_service;

/* As DescribeTargetHealth names them. */
enum elbv2_target_state {
    ELBV2_ABSENT, /* Neither registered nor draining: "unused", Target.NotRegistered. */
    ELBV2_INITIAL,
    ELBV2_HEALTHY,
    ELBV2_UNHEALTHY,
    ELBV2_UNUSED,
    ELBV2_DRAINING,
    ELBV2_UNAVAILABLE, /* Health checks are disabled. */
};

struct elbv2_target_health {
    enum elbv2_target_state state;
    const char *reason;      /* "Target.Timeout"; "" when healthy. Constant. */
    const char *description; /* "" when healthy. Borrowed until the loop's next turn. */
};

bool elbv2_target_group_exists(const struct control *control, const char *arn);
/* deregistration_delay.timeout_seconds; 0 for an unknown group. */
int64_t elbv2_target_group_delay_ms(const struct control *control, const char *arn);
/* Is the group served by a listener? A group that is not keeps its targets "unused". */
bool elbv2_target_group_in_use(const struct control *control, const char *arn);

/* What an attribute is that nobody has set; NULL for a key that there is not. */
const char *elbv2_balancer_default(const char *key);
const char *elbv2_group_default(const char *key);

/* Register @instance at the group's port; doing it again changes nothing, and a draining target
 * comes back. TargetGroupNotFound; InvalidTarget when the instance neither runs nor is pending,
 * or is in another VPC. */
int elbv2_register(struct ctx *ctx, const char *arn, const char *instance, struct error *err);
/* Begin to drain every port of @instance in the group; an unknown one changes nothing. */
void elbv2_deregister(struct ctx *ctx, const char *arn, const char *instance);

/* What the target group thinks of @instance: of several ports the worst. An unknown group or
 * instance is ELBV2_ABSENT. */
struct elbv2_target_health elbv2_target_health(const struct control *control, const char *arn,
                                               const char *instance);

/* Have @fn called, inside a ctx of ours, whenever a target's state or reason changed: also when it
 * began to drain, and when it is drained and gone (ELBV2_ABSENT). Several may listen; register
 * before or in one's start(). */
typedef void elbv2_target_fn(struct ctx *ctx, void *data, const char *arn, const char *instance,
                             enum elbv2_target_state state);
void elbv2_on_target_change(struct elbv2 *elbv2, elbv2_target_fn *fn, void *data);

/* For whoever has compute's events: the HAProxy @id ended by itself. Others' ids are ignored. */
void elbv2_haproxy_ended(struct control *control, const char *id);

#endif /* SERVICES_ELBV2_ELBV2_H */
