/* Amazon EC2 Auto Scaling: groups that really launch, watch and end instances.
 *
 * The decisions are engine/'s; this service keeps the groups, tells the engine what it observes,
 * and acts on what it decides: observe -> decide -> apply -> commit -> act. What it needs of ec2,
 * elbv2 and cloudwatch stands in neighbours.h. Loop thread only. */
#ifndef SERVICES_AUTOSCALING_AUTOSCALING_H
#define SERVICES_AUTOSCALING_AUTOSCALING_H

#include "services/control.h"

extern const struct service autoscaling_service;

/* Something about an instance, a target or a group may have changed: look at all groups soon. For
 * the hooks of the services below; many calls cost one look. */
void autoscaling_wake(struct control *control);

/* The alarm is (still) in ALARM and has the policy among its actions; to be called on the change
 * and then once a minute. False when the policy is not known. */
struct autoscaling_alarm {
    const char *policy_arn, *alarm;
    bool has_metric;
    double value, threshold; /* For step policies. */
};
bool autoscaling_invoke(struct ctx *ctx, const struct autoscaling_alarm *alarm);

#endif /* SERVICES_AUTOSCALING_AUTOSCALING_H */
