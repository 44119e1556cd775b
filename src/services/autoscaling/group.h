/* A group as the service keeps it: the engine's world and what only the API knows. */
#ifndef SERVICES_AUTOSCALING_GROUP_H
#define SERVICES_AUTOSCALING_GROUP_H

#include "engine/engine.h"
#include "services/autoscaling/autoscaling.h"
#include "services/autoscaling/neighbours.h"
#include "store/record.h"

#define VALIDATION "ValidationError"
#define TEXT_COPY(array, text) ((void)snprintf((array), sizeof(array), "%s", (text)))

/* AWS keeps activities for six weeks; the count bounds what a group that fails for ever costs. */
#define ACTIVITIES_KEPT_MS (42LL * 24 * 3600 * 1000)
#define ACTIVITIES_KEPT_MAX 500

struct group_tag {
    char *key;
    char *value;
    bool propagate;
};

struct suspension {
    char *process; /* "AZRebalance" */
    int64_t at_ms;
};

struct group {
    struct world world;
    char uuid[ENGINE_UUID_BYTES]; /* Of its ARN, and its record's id. */
    char *arn;
    int64_t created_ms;
    char *health_check_type; /* As it was given: "ELB", "EC2,ELB". */
    char *subnets;           /* VPCZoneIdentifier, as it was given; NULL when zones were. */
    char template_name[132];
    char template_version[64]; /* As it was given: "$Latest", "3". */
    char **termination_policies;
    size_t termination_policies_count;
    struct suspension *suspensions;
    size_t suspensions_count;
    struct group_tag *tags;
    size_t tags_count;
    bool deleted; /* Gone but for its activities. */
    bool unsaved;
};

struct autoscaling {
    struct control *control;
    const struct neighbours *neighbours;
    struct group **groups; /* In the order of creation, deleted ones too. */
    size_t groups_count, groups_room;
    struct map by_name; /* Without the deleted. */
    struct map by_uuid;
    struct control_timer *timer;
};

/* names.c: kinds auto-scaling-group, scaling-policy, auto-scaling-instance; wire_hooks.resource().
 */
const char *autoscaling_resource(struct ctx *ctx, struct slice kind, struct slice value);

/* Last in order. */
void group_enter(struct autoscaling *service, struct group *group);

extern const struct record group_record;
extern const struct record activity_record; /* struct stored_activity */

struct stored_activity {
    char group[ENGINE_UUID_BYTES];
    struct activity activity;
};

/* The service's functions, with neighbours of one's choice: service.c, loop.c. */
void autoscaling_open(struct control *control, const struct neighbours *neighbours);
int autoscaling_load(struct control *control, struct slice kind, struct slice id, struct slice body,
                     struct error *err);
int autoscaling_start(struct ctx *ctx, struct error *err);
void autoscaling_close(struct control *control);
/* A control_fn: settle every group, forget what is long gone, arm the timer. @data: the service. */
void autoscaling_look(struct ctx *ctx, void *data);

void group_close(struct group *group);

/* NULL when there is none; deleted ones are not found. */
struct group *group_find(const struct control *control, const char *name);
/* Is the group's instance left out of its metrics, not in service yet or warming up? */
bool group_is_warming(const struct control *control, const char *name, const char *instance,
                      int64_t now_ms);
/* Or AWS's error. */
int group_require(struct ctx *ctx, const char *name, struct group **group, struct error *err);
int group_require_instance(struct ctx *ctx, const char *id, struct group **group,
                           struct world_instance **instance, struct error *err);

/* In the ctx's arena. */
const char *group_policy_arn(struct ctx *ctx, const struct group *group,
                             const struct policy *policy);
/* @name is a policy's name in @group, or (then @group may be NULL) its ARN. NULL: none. */
struct policy *group_find_policy(struct ctx *ctx, const char *group_name, const char *name,
                                 struct group **group);

/* Tell the engine one thing; on failure nothing has changed. Follow with group_settle(). */
int group_tell(struct ctx *ctx, struct group *group, const struct event *event, struct error *err);

/* Observe, decide, apply and act until nothing is left to do now; note what changed for the commit
 * and when to look again. */
void group_settle(struct ctx *ctx, struct group *group);

/* Process names and bits; 0: none of that name. In AWS's order. */
extern const char *const process_names[];
extern const size_t process_names_count;
uint32_t process_bit(const char *name);

/* Set the world's termination policies from the group's words; false if one is none of AWS's. */
bool group_termination_policies(struct group *group);

#endif /* SERVICES_AUTOSCALING_GROUP_H */
