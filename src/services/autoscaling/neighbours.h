/* What Auto Scaling needs of ec2, elbv2 and cloudwatch: a table of functions, so that the service
 * is tested without them. neighbours.c has the real ones. */
#ifndef SERVICES_AUTOSCALING_NEIGHBOURS_H
#define SERVICES_AUTOSCALING_NEIGHBOURS_H

#include "engine/world.h"
#include "services/control.h"

/* A launch template version as it stands now. */
struct as_template {
    char id[32];
    char name[132];
    int64_t version; /* What $Latest or $Default means. */
};

struct as_tag {
    const char *key, *value;
};

struct as_launch {
    const char *template_id, *template_version; /* "lt-...", "$Latest" */
    const char *subnet;
    const struct as_tag *tags; /* Win over the template's of the same key. */
    size_t tags_count;
};

struct as_launched {
    char instance[ENGINE_INSTANCE_ID_BYTES];
    char type[32];
    struct as_template template;
};

/* A target as its target group sees it. */
enum as_target { AS_TARGET_ABSENT, AS_TARGET_HEALTHY, AS_TARGET_UNHEALTHY, AS_TARGET_OTHER };

typedef void as_alarm_fn(void *data, const char *name, const char *arn);

/* What fails has changed nothing. All run on the loop and answer at once. */
struct neighbours {
    /* ec2. @id or @name; @version as in requests, "" for $Default. */
    int (*template_find)(struct ctx *ctx, const char *id, const char *name, const char *version,
                         struct as_template *found, struct error *err);
    /* May ctx's caller launch by that version in @subnet? ERR_DENIED. */
    int (*template_judge)(struct ctx *ctx, const char *id, const char *version, const char *subnet,
                          struct error *err);
    int (*subnet_zone)(struct ctx *ctx, const char *subnet, char zone[ENGINE_ZONE_BYTES],
                       struct error *err);
    int (*default_subnet)(struct ctx *ctx, const char *zone, char subnet[ENGINE_SUBNET_BYTES],
                          struct error *err);
    int (*launch)(struct ctx *ctx, const struct as_launch *launch, struct as_launched *launched,
                  struct error *err);
    void (*terminate)(struct ctx *ctx, const char *instance);
    enum machine_state (*machine)(const struct control *control, const char *instance,
                                  char reason[ENGINE_MESSAGE_BYTES]);

    /* elbv2 */
    bool (*target_group_exists)(const struct control *control, const char *arn);
    int64_t (*target_group_delay_ms)(const struct control *control, const char *arn);
    int (*target_register)(struct ctx *ctx, const char *arn, const char *instance,
                           struct error *err);
    void (*target_deregister)(struct ctx *ctx, const char *arn, const char *instance);
    enum as_target (*target)(const struct control *control, const char *arn, const char *instance);

    /* cloudwatch: the alarms that have the policy among their actions. */
    void (*policy_alarms)(const struct control *control, const char *policy_arn, as_alarm_fn *fn,
                          void *data);
    /* Have autoscaling_invoke() and autoscaling_wake() called; once, at the start. */
    void (*listen)(struct control *control);
};

#endif /* SERVICES_AUTOSCALING_NEIGHBOURS_H */
