/* The decision core of Auto Scaling. Pure: no I/O, no clock, no globals; the same code runs in
 * musterd, in `muster simulate` and in the tests.
 *
 *     rc = engine_observe(world, &event, now_ms, err);           news and requests
 *     while (engine_decide(world, now_ms, &decisions) > 0) {     what follows
 *         for each decision: fill in what it asks for, engine_apply(world, decision, now_ms)
 *     }
 *     commit; act; sleep until engine_wake_ms(world, now_ms)
 *
 * Ids are the caller's: before applying, it fills in `activity` (a new UUID) where needs_activity
 * says so, and for DECIDE_LAUNCH the instance (id, type, template) or `failure`. Acts belong to
 * decisions (see enum decision_kind) and may run before engine_apply (a launch, to learn whether it
 * fails) or after it; the service never decides again.
 *
 * engine_decide() compares levels: asked again, it gives what still needs doing and nothing else,
 * so a lost answer costs a retry. One call gives one stage; the decisions of a stage do not
 * contradict each other. After a launch with `failure` set, drop the rest of the batch and decide
 * again. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/error.h"
#include "engine/world.h"

enum event_kind {
    /* News. Unknown instances are ignored. */
    EVENT_MACHINE,       /* instance, machine, text: EC2's reason */
    EVENT_STATUS_CHECKS, /* instance, verdict */
    EVENT_TARGET_HEALTH, /* instance, target_group, verdict; NONE: initial, draining, unused */
    EVENT_DRAINED,       /* instance: no target group holds it any more */
    EVENT_ALARM,         /* policy, alarm, has_metric, value, threshold: "still in ALARM" */

    /* Requests. They fail as AWS does and then change nothing. */
    EVENT_CREATED,        /* min, max, desired of a new group */
    EVENT_UPDATE_SIZES,   /* min, max, desired; WORLD_UNSET leaves one alone */
    EVENT_SET_DESIRED,    /* desired, honor_cooldown */
    EVENT_EXECUTE_POLICY, /* policy, honor_cooldown, has_metric, value, threshold */
    EVENT_TERMINATE,      /* instance, decrement */
    EVENT_SET_HEALTH,     /* instance, verdict, honor_grace */
    EVENT_SET_PROTECTION, /* instance, flag */
    EVENT_DELETE,         /* flag: force */
};

struct event {
    enum event_kind kind;
    const char *instance, *policy, *alarm, *target_group, *text; /* Borrowed for the call. */
    enum machine_state machine;
    enum health_verdict verdict;
    int32_t min, max, desired;
    bool honor_cooldown, honor_grace, decrement, flag;
    bool has_metric;
    double value, threshold;
};

enum decision_kind {
    DECIDE_DESIRED,       /* Desired (and limits) become `to`. Act: none. */
    DECIDE_HELD,          /* An invocation has no effect, see `held`. Act: record it. */
    DECIDE_LAUNCH,        /* Act first: run an instance in zone and subnet. */
    DECIDE_IN_SERVICE,    /* It runs. Act: with `load_balancer`, register it. */
    DECIDE_LAUNCH_FAILED, /* It died while Pending. Act: none, its end is decided next. */
    DECIDE_UNHEALTHY,     /* Mark it, see cause.action. Act: none. */
    DECIDE_TERMINATE,     /* To Terminating. Act: with `load_balancer`, deregister it; the caller
                             sets drain_ms, how long that may take. */
    DECIDE_STOP,          /* Drained. Act: ask EC2 to terminate it. */
    DECIDE_REMOVE,        /* EC2 terminated it: it leaves the group. Act: none. */
    DECIDE_BLOCKED,       /* All are protected from scale-in: an activity says so. Act: none. */
    DECIDE_ATTACHED,      /* A target group's attachment becomes `attachment`. Act: from ADDING,
                             register all InService instances. */
    DECIDE_DELETED,       /* The group is empty and may go. Act: remove it. The last decision. */
};

enum held_reason {
    HELD_NOT,
    HELD_COOLDOWN,   /* Simple: until_ms says how long. */
    HELD_ACTIVITY,   /* Simple: an activity is in progress. */
    HELD_WARMUP,     /* Step: no scale-in while instances warm up. */
    HELD_NO_CHANGE,  /* The result is what is desired already (at a limit, most often). */
    HELD_SUSPENDED,  /* AlarmNotification is suspended. */
    HELD_DISABLED,   /* The policy is. */
    HELD_SUPERSEDED, /* Another policy wants more at the same time. */
    HELD_NO_METRIC,  /* A step policy needs the metric's value. */
    HELD_NO_STEP,    /* No step fits the metric's value. */
    HELD_NO_POLICY,  /* It was deleted. */
};
/* "cooldown", "activity", ... for logs. */
const char *held_reason_name(enum held_reason reason);

struct decision {
    enum decision_kind kind;
    struct cause cause;
    char instance[ENGINE_INSTANCE_ID_BYTES]; /* DECIDE_LAUNCH: to be filled in. */
    char zone[ENGINE_ZONE_BYTES];
    char subnet[ENGINE_SUBNET_BYTES];
    bool load_balancer; /* Register or deregister. */
    bool decrement;     /* DECIDE_TERMINATE: desired goes down with it. */
    bool rebalance;     /* DECIDE_LAUNCH: beyond desired, for balance. */
    int32_t min, max, to;
    int64_t cooldown_ms;
    enum held_reason held;
    int64_t until_ms;
    struct invocation invocation; /* DECIDE_HELD, and DECIDE_DESIRED by a policy. */
    char target_group[ENGINE_NAME_BYTES];
    enum attachment_state attachment;

    /* Filled in by the caller before engine_apply(). */
    bool needs_activity;
    char activity[ENGINE_UUID_BYTES];
    char type[32]; /* DECIDE_LAUNCH: what was launched. */
    char template_id[32];
    char template_name[132];
    int64_t template_version;
    char
        failure[ENGINE_MESSAGE_BYTES]; /* DECIDE_LAUNCH: the StatusMessage; "" when it went well. */
    int64_t drain_ms;
};

/* Zero-initialise, end with decisions_close(). */
struct decisions {
    struct decision *list;
    size_t count, room;
};

void decisions_close(struct decisions *decisions);

/* Take in one event. News cannot fail; a request fails with AWS's code and text (ERR_API). */
int engine_observe(struct world *world, const struct event *event, int64_t now_ms,
                   struct error *err);

/* Replace @decisions by the next stage of what follows from @world; returns how many there are. */
size_t engine_decide(const struct world *world, int64_t now_ms, struct decisions *decisions);

/* Make @decision true in @world. The decision is of this world as it is, and complete. */
void engine_apply(struct world *world, const struct decision *decision, int64_t now_ms);

/* When to decide again though nothing happens: @now_ms if there is something to decide now,
 * INT64_MAX if only news can change anything. */
int64_t engine_wake_ms(const struct world *world, int64_t now_ms);

#endif /* ENGINE_ENGINE_H */
