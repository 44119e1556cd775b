/* A world in memory around the engine: instances that boot and end after a while, alarms that
 * repeat, time that jumps from event to event. What happens is written to a trace, virtual seconds
 * at the margin, so that a story can quote it. */
#ifndef TESTS_UNIT_FAKE_WORLD_H
#define TESTS_UNIT_FAKE_WORLD_H

#include "base/alloc.h"
#include "base/buf.h"
#include "engine/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FAKE_EVENTS_MAX 4096

struct fake_event {
    int64_t at_ms;
    struct event event;
    char instance[ENGINE_INSTANCE_ID_BYTES];
    int64_t repeat_ms, until_ms; /* Alarms: again and again. */
};

struct fake {
    struct world world;
    int64_t now_ms;
    int64_t boot_ms, end_ms, drain_ms;
    const char *launch_error; /* Launches fail with this. */
    bool gone;                /* The group was deleted. */
    bool quiet;               /* No trace: random runs. */
    int32_t instances_made, activities_made;
    int32_t capacity_max; /* The largest ever. */
    struct fake_event *events;
    size_t events_count;
    struct buf trace;
};

static inline void fake_open(struct fake *fake)
{
    *fake = (struct fake){.boot_ms = 2500, .end_ms = 1000, .drain_ms = 30000};
    fake->events = mem_calloc(FAKE_EVENTS_MAX, sizeof(*fake->events));
    world_init(&fake->world, "web", 1);
    world_add_subnet(&fake->world, "a", "subnet-a");
    world_add_subnet(&fake->world, "b", "subnet-b");
}

static inline void fake_close(struct fake *fake)
{
    world_close(&fake->world);
    free(fake->events);
    buf_close(&fake->trace);
}

static inline void fake_say(struct fake *fake, const char *format, ...) PRINTF_LIKE(2, 3);
static inline void fake_say(struct fake *fake, const char *format, ...)
{
    char line[512];
    va_list args;

    if (fake->quiet) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    buf_printf(&fake->trace, "[%6.1f] %s\n", (double)fake->now_ms / 1000, line);
}

/* Schedule @event; texts but the instance's id must last. */
static inline void fake_at(struct fake *fake, int64_t at_ms, struct event event)
{
    struct fake_event *added = &fake->events[fake->events_count++];

    ASSERT(fake->events_count < FAKE_EVENTS_MAX);
    *added = (struct fake_event){.at_ms = at_ms, .event = event};
    if (event.instance != NULL) {
        (void)snprintf(added->instance, sizeof(added->instance), "%s", event.instance);
    }
}

/* The alarm is in ALARM from @from_ms to @until_ms and says so every minute. */
static inline void fake_alarm(struct fake *fake, const char *alarm, const char *policy,
                              int64_t from_ms, int64_t until_ms, double value)
{
    fake_at(fake, from_ms,
            (struct event){.kind = EVENT_ALARM,
                           .alarm = alarm,
                           .policy = policy,
                           .has_metric = true,
                           .value = value,
                           .threshold = 60});
    fake->events[fake->events_count - 1].repeat_ms = 60000;
    fake->events[fake->events_count - 1].until_ms = until_ms;
}

static inline void fake_machine(struct fake *fake, int64_t after_ms, const char *instance,
                                enum machine_state machine, const char *reason)
{
    fake_at(fake, fake->now_ms + after_ms,
            (struct event){
                .kind = EVENT_MACHINE, .instance = instance, .machine = machine, .text = reason});
}

static inline void fake_elb(struct fake *fake, int64_t at_ms, const char *instance,
                            enum health_verdict verdict)
{
    fake_at(fake, at_ms,
            (struct event){.kind = EVENT_TARGET_HEALTH,
                           .instance = instance,
                           .target_group = "tg",
                           .verdict = verdict});
}

static inline void fake_launch(struct fake *fake, struct decision *decision)
{
    if (fake->launch_error != NULL) {
        (void)snprintf(decision->failure, sizeof(decision->failure), "%s", fake->launch_error);
        fake_say(fake, "launch in %s fails", decision->zone);
        return;
    }
    (void)snprintf(decision->instance, sizeof(decision->instance), "i-%d", ++fake->instances_made);
    (void)snprintf(decision->template_id, sizeof(decision->template_id), "lt-1");
    decision->template_version = 1;
    fake_say(fake, "launch %s in %s", decision->instance, decision->zone);
    fake_machine(fake, fake->boot_ms, decision->instance, MACHINE_RUNNING, NULL);
}

/* Act on a decision as a service would; fills in what it must. */
static inline void fake_act(struct fake *fake, struct decision *decision)
{
    if (decision->needs_activity) {
        (void)snprintf(decision->activity, sizeof(decision->activity), "activity-%d",
                       ++fake->activities_made);
    }
    switch (decision->kind) {
    case DECIDE_DESIRED:
        fake_say(fake, "desired %d -> %d%s%s", fake->world.desired, decision->to,
                 decision->invocation.policy[0] == '\0' ? "" : ", policy ",
                 decision->invocation.policy);
        break;
    case DECIDE_HELD:
        if (decision->held == HELD_COOLDOWN) {
            fake_say(fake, "%s held: cooldown until %.1f", decision->invocation.policy,
                     (double)decision->until_ms / 1000);
        } else {
            fake_say(fake, "%s held: %s", decision->invocation.policy,
                     held_reason_name(decision->held));
        }
        break;
    case DECIDE_LAUNCH:
        fake_launch(fake, decision);
        break;
    case DECIDE_IN_SERVICE:
        fake_say(fake, "%s in service%s", decision->instance,
                 decision->load_balancer ? ", registered" : "");
        break;
    case DECIDE_LAUNCH_FAILED:
        fake_say(fake, "%s died while starting", decision->instance);
        break;
    case DECIDE_UNHEALTHY:
        fake_say(fake, "%s unhealthy", decision->instance);
        break;
    case DECIDE_TERMINATE:
        fake_say(fake, "%s terminating%s", decision->instance,
                 decision->load_balancer ? ", draining" : "");
        decision->drain_ms = fake->drain_ms;
        break;
    case DECIDE_STOP:
        fake_say(fake, "%s stopping", decision->instance);
        fake_machine(fake, fake->end_ms, decision->instance, MACHINE_GONE, NULL);
        break;
    case DECIDE_REMOVE:
        fake_say(fake, "%s gone", decision->instance);
        break;
    case DECIDE_BLOCKED:
        fake_say(fake, "all protected");
        break;
    case DECIDE_ATTACHED:
        fake_say(fake, "%s %s", decision->target_group,
                 decision->attachment == ATTACH_ADDED ? "added" : "in service");
        break;
    case DECIDE_DELETED:
        fake_say(fake, "deleted");
        fake->gone = true;
        break;
    }
}

static inline void fake_decide(struct fake *fake)
{
    struct decisions decisions = {0};
    int rounds = 0;

    while (!fake->gone && engine_decide(&fake->world, fake->now_ms, &decisions) > 0) {
        ASSERT(rounds++ < 100); /* Decisions come to an end. */
        for (size_t i = 0; i < decisions.count; i++) {
            fake_act(fake, &decisions.list[i]);
            engine_apply(&fake->world, &decisions.list[i], fake->now_ms);
            if (decisions.list[i].failure[0] != '\0') {
                break;
            }
        }
        if (world_capacity(&fake->world) > fake->capacity_max) {
            fake->capacity_max = world_capacity(&fake->world);
        }
    }
    decisions_close(&decisions);
}

/* A request of a user, now. */
static inline int fake_ask(struct fake *fake, struct event event, struct error *err)
{
    int rc = engine_observe(&fake->world, &event, fake->now_ms, err);

    fake_decide(fake);
    return rc;
}

/* The earliest event, ties in the order of scheduling; SIZE_MAX without any. */
static inline size_t fake_next(const struct fake *fake)
{
    size_t next = SIZE_MAX;

    for (size_t i = 0; i < fake->events_count; i++) {
        if (next == SIZE_MAX || fake->events[i].at_ms < fake->events[next].at_ms) {
            next = i;
        }
    }
    return next;
}

static inline void fake_deliver(struct fake *fake, size_t index)
{
    struct fake_event due = fake->events[index];

    memmove(&fake->events[index], &fake->events[index + 1],
            (fake->events_count - index - 1) * sizeof(due));
    fake->events_count--;
    due.event.instance = due.instance[0] == '\0' ? NULL : due.instance;
    (void)engine_observe(&fake->world, &due.event, fake->now_ms, NULL);
    if (due.repeat_ms > 0 && due.at_ms + due.repeat_ms < due.until_ms) {
        due.at_ms += due.repeat_ms;
        fake->events[fake->events_count++] = due;
    }
}

/* Let time pass until @until_ms. */
static inline void fake_run(struct fake *fake, int64_t until_ms)
{
    fake_decide(fake);
    while (!fake->gone) {
        size_t next = fake_next(fake);
        int64_t wake_ms = engine_wake_ms(&fake->world, fake->now_ms);
        int64_t at_ms = next == SIZE_MAX ? INT64_MAX : fake->events[next].at_ms;

        ASSERT(wake_ms > fake->now_ms); /* All that could be decided was. */
        if (min_i64(at_ms, wake_ms) > until_ms) {
            break;
        }
        if (at_ms <= wake_ms) {
            fake->now_ms = max_i64(fake->now_ms, at_ms);
            fake_deliver(fake, next);
        } else {
            fake->now_ms = wake_ms;
        }
        fake_decide(fake);
    }
    fake->now_ms = until_ms;
}

/* Compare the trace with what the story says, and begin a new page. */
#define fake_expect(fake, says, wanted)                                                            \
    do {                                                                                           \
        check_text(says, wanted, buf_slice(&(fake)->trace));                                       \
        buf_clear(&(fake)->trace);                                                                 \
    } while (0)

#endif /* TESTS_UNIT_FAKE_WORLD_H */
