/* A scaling activity: the launch or the end of one instance, told as data.
 *
 * Every decision carries its reason as fields (struct cause); engine/activity_text.h makes AWS's
 * sentences of them. Plain values: copied by assignment, nothing to free.
 *
 * AWS: Amazon EC2 Auto Scaling API Reference, Activity; User Guide, "Verify a scaling activity". */
#ifndef ENGINE_ACTIVITY_H
#define ENGINE_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>

#define ENGINE_NAME_BYTES 256       /* Groups, policies, alarms: AWS allows 255 characters. */
#define ENGINE_INSTANCE_ID_BYTES 24 /* "i-" and 17 hex digits. */
#define ENGINE_UUID_BYTES 40
#define ENGINE_ZONE_BYTES 32
#define ENGINE_SUBNET_BYTES 32
#define ENGINE_MESSAGE_BYTES 256 /* StatusMessage: AWS allows 255 characters. */
#define CAUSE_CHANGES_MAX 2      /* A Cause has 1023 characters: no more sentences fit usefully. */
#define CAUSE_SELECTED_MAX 10    /* Likewise: a sentence for each chosen instance. */

/* Who changed the desired capacity. */
enum change_origin {
    CHANGE_NONE,
    CHANGE_CREATE,         /* CreateAutoScalingGroup */
    CHANGE_UPDATE,         /* UpdateAutoScalingGroup */
    CHANGE_SET_DESIRED,    /* SetDesiredCapacity */
    CHANGE_EXECUTE_POLICY, /* ExecutePolicy */
    CHANGE_ALARM,          /* An alarm invoked a policy. */
    CHANGE_FORCE_DELETE,   /* DeleteAutoScalingGroup with ForceDelete */
};

struct capacity_change {
    enum change_origin origin;
    int64_t at_ms;
    int32_t from, to;
    int32_t min, max;               /* CHANGE_UPDATE: the limits afterwards. */
    char policy[ENGINE_NAME_BYTES]; /* CHANGE_EXECUTE_POLICY, CHANGE_ALARM */
    char alarm[ENGINE_NAME_BYTES];  /* CHANGE_ALARM */
    int64_t cooldown_ms;            /* The policy's own; -1: the group's default. */
};

/* What the group did. */
enum cause_action {
    ACTION_NONE,
    ACTION_SCALE_OUT,        /* Fewer instances than desired. */
    ACTION_SCALE_IN,         /* More instances than desired. */
    ACTION_EC2_STATE,        /* Found stopped or terminated. */
    ACTION_EC2_STATUS,       /* Status checks failed. */
    ACTION_ELB,              /* The load balancer called it unhealthy. */
    ACTION_USER_HEALTH,      /* SetInstanceHealth */
    ACTION_REPLACE,          /* Launch in place of an unhealthy instance. */
    ACTION_USER_TERMINATE,   /* TerminateInstanceInAutoScalingGroup */
    ACTION_REBALANCE_LAUNCH, /* Zones out of balance: launch first, */
    ACTION_REBALANCE_SHRINK, /* then end one in the fuller zone. */
    ACTION_PROTECTED,        /* Nothing could be ended: all are protected from scale-in. */
};

struct cause {
    int32_t changes_count;
    struct capacity_change changes[CAUSE_CHANGES_MAX]; /* Oldest first. */
    enum cause_action action;
    int64_t at_ms;
    int32_t from, to; /* Capacity: of the whole decision. from == to: not told. */
    /* Instance ids separated by blanks: those selected by this decision, the first
     * CAUSE_SELECTED_MAX of them, or the one a user asked for. */
    char selected[CAUSE_SELECTED_MAX * ENGINE_INSTANCE_ID_BYTES];
    char zones[128];      /* Rebalancing: "us-east-2a us-east-2b", */
    char zone_counts[64]; /* "4 1" */
};

enum activity_kind { ACTIVITY_LAUNCH, ACTIVITY_TERMINATE, ACTIVITY_BLOCKED };

/* ScalingActivityStatusCode, those that occur here. The last three are final. */
enum activity_status {
    STATUS_PRE_IN_SERVICE,
    STATUS_IN_PROGRESS,
    STATUS_WAITING_FOR_DRAINING, /* WaitingForELBConnectionDraining */
    STATUS_SUCCESSFUL,
    STATUS_FAILED,
    STATUS_CANCELLED,
};

struct activity {
    char id[ENGINE_UUID_BYTES]; /* Chosen by the caller of engine_apply(). */
    enum activity_kind kind;
    char instance[ENGINE_INSTANCE_ID_BYTES]; /* "" when a launch got no instance. */
    char zone[ENGINE_ZONE_BYTES];
    char subnet[ENGINE_SUBNET_BYTES];
    struct cause cause;
    int64_t start_ms;
    int64_t end_ms; /* 0: in progress. */
    enum activity_status status;
    int32_t progress; /* Percent. */
    char status_message[ENGINE_MESSAGE_BYTES];
    /* Cooldown that its end starts, in milliseconds; 0 when none is due, or it was started. */
    int64_t cooldown_ms;
    bool unsaved; /* Changed since the owner last wrote it down; the owner clears it. */
};

static inline bool activity_running(const struct activity *activity)
{
    return activity->end_ms == 0;
}

#endif /* ENGINE_ACTIVITY_H */
