/* The world as the engine sees it: one Auto Scaling group, all of it in plain memory.
 *
 * The owner (services/autoscaling, simulate, a test) keeps the struct, loads and saves it, and may
 * set what a user configures (name, times, health check type, policies, zones). Desired capacity,
 * lifecycle, health, cooldown and activities are moved by engine_apply() alone, sizes by
 * engine_observe() as a request. Everything is walked in the order of creation. Instants and spans
 * are milliseconds of muster's clock. */
#ifndef ENGINE_WORLD_H
#define ENGINE_WORLD_H

#include "engine/activity.h"
#include "engine/policy.h"

#include <stddef.h>

#define WORLD_TERMINATION_POLICIES_MAX 8
#define WORLD_TARGET_GROUPS_MAX 50 /* AWS's quota; also the bits of a mask. */
#define WORLD_INVOCATIONS_MAX 50   /* One for each policy a group may have. */
#define WORLD_UNSET (-1)

/* LifecycleState. The engine moves Pending -> InService -> Terminating -> (removed); the others are
 * AWS's words for what is not offered yet. */
enum lifecycle {
    LIFECYCLE_PENDING,
    LIFECYCLE_IN_SERVICE,
    LIFECYCLE_TERMINATING,
    LIFECYCLE_TERMINATED,
    LIFECYCLE_ENTERING_STANDBY,
    LIFECYCLE_STANDBY,
    LIFECYCLE_DETACHING,
    LIFECYCLE_DETACHED,
};
/* "Pending", "InService", ... */
const char *lifecycle_name(enum lifecycle lifecycle);

/* The instance as EC2 last reported it. */
enum machine_state {
    MACHINE_PENDING,
    MACHINE_RUNNING,
    MACHINE_STOPPED, /* stopping, stopped, shutting-down: there, but not running */
    MACHINE_GONE,    /* terminated, or unknown to EC2 */
};

enum health_verdict { VERDICT_NONE, VERDICT_HEALTHY, VERDICT_UNHEALTHY };

/* TerminateInstanceInAutoScalingGroup, until it is acted on. */
enum terminate_request { TERMINATE_NOT_ASKED, TERMINATE_KEEP_DESIRED, TERMINATE_DECREMENT };

/* How far the end of a Terminating instance is. */
enum terminate_phase {
    PHASE_NONE,
    PHASE_DRAINING, /* Deregistered; connections may still finish. */
    PHASE_STOPPING, /* EC2 was asked to terminate it. */
};

struct world_instance {
    char id[ENGINE_INSTANCE_ID_BYTES];
    char zone[ENGINE_ZONE_BYTES];
    char subnet[ENGINE_SUBNET_BYTES];
    char type[32]; /* "t2.micro" */
    char template_id[32];
    char template_name[132];
    int64_t template_version;
    enum lifecycle lifecycle;
    enum terminate_phase phase;
    int64_t launched_ms;
    int64_t in_service_ms;   /* 0 before. */
    int64_t grace_until_ms;  /* Health verdicts that respect grace count from then on. */
    int64_t warmup_until_ms; /* Its samples join the group's metrics then. */
    int64_t drain_until_ms;
    bool protected_from_scale_in;
    bool replacement;                /* Took the place of an unhealthy one: see decide_health.c. */
    bool registered;                 /* With the target groups. */
    bool unhealthy;                  /* HealthStatus Unhealthy, */
    enum cause_action unhealthy_why; /* because of this. */
    enum terminate_request terminate_asked;
    /* Observed levels. */
    enum machine_state machine;
    char machine_reason[ENGINE_MESSAGE_BYTES]; /* EC2's words for why it is not running. */
    enum health_verdict status_checks;
    enum health_verdict user;
    bool user_ignores_grace;
    bool drained;
    int64_t elb_healthy;              /* Bits: target groups that call it healthy, */
    int64_t elb_unhealthy;            /* and unhealthy; by struct world_target_group's bit. */
    char activity[ENGINE_UUID_BYTES]; /* In progress; "" when at rest. */
};

/* A place to launch into. Several subnets may lie in one zone. */
struct world_subnet {
    char zone[ENGINE_ZONE_BYTES];
    char subnet[ENGINE_SUBNET_BYTES];
    int32_t failures;  /* Launches that failed there since the last good one, */
    int64_t failed_ms; /* the last of them then. */
};

enum attachment_state { ATTACH_ADDING, ATTACH_ADDED, ATTACH_IN_SERVICE, ATTACH_REMOVING };

struct world_target_group {
    char arn[ENGINE_NAME_BYTES];
    int32_t bit; /* 0..WORLD_TARGET_GROUPS_MAX - 1, unique in the group. */
    enum attachment_state state;
};

/* ScalingProcesses, as bits of world.suspended. */
enum scaling_process {
    PROCESS_LAUNCH = 1 << 0,
    PROCESS_TERMINATE = 1 << 1,
    PROCESS_ADD_TO_LOAD_BALANCER = 1 << 2,
    PROCESS_ALARM_NOTIFICATION = 1 << 3,
    PROCESS_AZ_REBALANCE = 1 << 4,
    PROCESS_HEALTH_CHECK = 1 << 5,
    PROCESS_INSTANCE_REFRESH = 1 << 6,
    PROCESS_REPLACE_UNHEALTHY = 1 << 7,
    PROCESS_SCHEDULED_ACTIONS = 1 << 8,
};

enum termination_policy {
    TERMINATION_DEFAULT,
    TERMINATION_OLDEST_INSTANCE,
    TERMINATION_NEWEST_INSTANCE,
    TERMINATION_OLDEST_LAUNCH_CONFIGURATION,
    TERMINATION_OLDEST_LAUNCH_TEMPLATE,
    TERMINATION_CLOSEST_TO_NEXT_INSTANCE_HOUR,
    TERMINATION_ALLOCATION_STRATEGY,
};

/* An invocation of a policy that awaits its decision. */
struct invocation {
    char policy[ENGINE_NAME_BYTES];
    char alarm[ENGINE_NAME_BYTES]; /* "" when a user executed it. */
    bool has_metric;
    double value, threshold; /* Step policies. */
};

/* A user's change of sizes that awaits being applied; validated. */
struct size_request {
    enum change_origin origin; /* CHANGE_NONE: none. */
    int32_t min, max, desired;
};

struct world {
    char name[ENGINE_NAME_BYTES];
    int32_t min, max, desired;
    int64_t default_cooldown_ms;
    int64_t default_warmup_ms; /* WORLD_UNSET: feature off. */
    bool health_check_elb;
    int64_t grace_ms;
    uint32_t suspended; /* enum scaling_process */
    bool new_instances_protected;
    enum termination_policy termination_policies[WORLD_TERMINATION_POLICIES_MAX];
    int32_t termination_policies_count; /* 0 means Default. */
    char template_id[32];               /* The group's own, for "outdated" in scale-in. */
    uint32_t seed;                      /* Of all chance in this group. */
    bool deleting;                      /* Delete accepted: sizes are 0. */
    bool force_delete;

    struct world_subnet *subnets; /* Owned, in the order of VPCZoneIdentifier. */
    size_t subnets_count, subnets_room;
    struct world_target_group *target_groups; /* Owned. */
    size_t target_groups_count, target_groups_room;
    struct policy *policies; /* Owned, as are their steps. */
    size_t policies_count, policies_room;
    struct world_instance *instances; /* Owned, in the order of launching. */
    size_t instances_count, instances_room;
    struct activity *activities; /* Owned, in the order of starting, finished ones too. */
    size_t activities_count, activities_room;

    int64_t cooldown_until_ms;                  /* Simple policies wait until then. */
    char last_activity[ENGINE_UUID_BYTES];      /* Which one began the cooldown. */
    int32_t launch_failures;                    /* In a row. */
    int64_t next_launch_ms;                     /* Back-off after failed launches. */
    int32_t replacements_due;                   /* Ended as unhealthy and not yet replaced. */
    char rebalancing[ENGINE_INSTANCE_ID_BYTES]; /* Launched beyond desired to balance zones. */
    bool protected_told;                        /* An activity said that all are protected. */
    uint32_t sequence;                          /* Activities so far: moves chance on. */
    int32_t changes_count;                      /* Changes of desired that no activity told yet. */
    struct capacity_change changes[CAUSE_CHANGES_MAX];

    /* News that awaits a decision; never saved: it is taken in and decided in one go. */
    struct size_request request;
    struct invocation invocations[WORLD_INVOCATIONS_MAX];
    int32_t invocations_count;
};

/* Zeroed memory plus AWS's defaults: cooldown 300 s, no warm-up, EC2 checks, grace 0. */
void world_init(struct world *world, const char *name, uint32_t seed);
/* After arrays were filled from records: their room is their count. */
void world_loaded(struct world *world);
void world_close(struct world *world);

/* NULL when absent. Borrowed until the array next grows or shrinks. */
struct world_instance *world_instance(const struct world *world, const char *id);
struct policy *world_policy(const struct world *world, const char *name);
struct activity *world_activity(const struct world *world, const char *id);
struct world_target_group *world_target_group(const struct world *world, const char *arn);
/* The oldest activity that is in progress, or NULL. */
const struct activity *world_running_activity(const struct world *world);

/* Configuration by the owner. Adding returns zeroed room for one. */
struct world_subnet *world_add_subnet(struct world *world, const char *zone, const char *subnet);
struct policy *world_add_policy(struct world *world, const char *name);
void world_remove_policy(struct world *world, const char *name);
/* @state: IN_SERVICE for those named at creation, ADDING later. NULL when there are too many. */
struct world_target_group *world_add_target_group(struct world *world, const char *arn,
                                                  enum attachment_state state);
void world_remove_target_group(struct world *world, const char *arn);

/* Instances that count against desired: Pending and InService. */
int32_t world_capacity(const struct world *world);
bool world_suspended(const struct world *world, enum scaling_process process);
/* Do the instance's samples belong to the group's metrics? InService, warmed up, not ending. */
bool world_instance_counts_in_metrics(const struct world_instance *instance, int64_t now_ms);

/* Drop the oldest finished activity if it ended before @before_ms or if there are more than
 * @count_max; its id is copied to @id. False when there is nothing to drop. */
bool world_drop_activity(struct world *world, int64_t before_ms, size_t count_max,
                         char id[ENGINE_UUID_BYTES]);

/* Asserts what must always hold. */
void group_sane(const struct world *world);

#endif /* ENGINE_WORLD_H */
