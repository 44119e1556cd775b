#include "engine/activity_text.h"

#include "base/clock.h"
#include "base/macros.h"

#include <inttypes.h>
#include <string.h>

const char *activity_status_name(enum activity_status status)
{
    static const char *const names[] = {
        [STATUS_PRE_IN_SERVICE] = "PreInService",
        [STATUS_IN_PROGRESS] = "InProgress",
        [STATUS_WAITING_FOR_DRAINING] = "WaitingForELBConnectionDraining",
        [STATUS_SUCCESSFUL] = "Successful",
        [STATUS_FAILED] = "Failed",
        [STATUS_CANCELLED] = "Cancelled",
    };

    return names[status];
}

void activity_description(const struct activity *activity, struct buf *text)
{
    switch (activity->kind) {
    case ACTIVITY_LAUNCH:
        /* A launch without an id ends in two blanks only because its reason follows. */
        buf_add_z(text, "Launching a new EC2 instance");
        if (activity->instance[0] != '\0') {
            buf_printf(text, ": %s", activity->instance);
        }
        if (activity->status == STATUS_FAILED || activity->status == STATUS_CANCELLED) {
            buf_printf(text, ".  Status Reason: %s", activity->status_message);
        }
        break;
    case ACTIVITY_TERMINATE:
        buf_printf(text, "Terminating EC2 instance: %s", activity->instance);
        if (activity->status == STATUS_WAITING_FOR_DRAINING) {
            buf_add_z(text, " - Waiting For ELB Connection Draining.");
        }
        break;
    case ACTIVITY_BLOCKED:
        buf_add_z(text, activity->status_message);
        break;
    }
}

void activity_details(const struct activity *activity, struct buf *text)
{
    /* Ids and zones need no escaping. */
    buf_printf(text, "{\"Subnet ID\":\"%s\",\"Availability Zone\":\"%s\"}", activity->subnet,
               activity->zone);
}

static void change_clause(const struct capacity_change *change, struct buf *text)
{
    switch (change->origin) {
    case CHANGE_NONE:
        break;
    case CHANGE_CREATE:
        buf_add_z(text, "a user request created an AutoScalingGroup");
        break;
    case CHANGE_UPDATE:
        buf_printf(text,
                   "a user request update of AutoScalingGroup constraints to min: %" PRId32
                   ", max: %" PRId32 ", desired: %" PRId32,
                   change->min, change->max, change->to);
        break;
    case CHANGE_SET_DESIRED:
        buf_add_z(text, "a user request explicitly set group desired capacity");
        break;
    case CHANGE_EXECUTE_POLICY:
        buf_printf(text, "a user request executed policy %s", change->policy);
        break;
    case CHANGE_ALARM:
        buf_printf(text, "a monitor alarm %s in state ALARM triggered policy %s", change->alarm,
                   change->policy);
        break;
    case CHANGE_FORCE_DELETE: /* Unconfirmed. */
        buf_add_z(text, "a user request force deleted AutoScalingGroup");
        break;
    }
    buf_printf(text, " changing the desired capacity from %" PRId32 " to %" PRId32, change->from,
               change->to);
}

/* "us-east-2a us-east-2b" as a list for people. */
static void zones_clause(const struct cause *cause, struct buf *text)
{
    buf_printf(text,
               "availability zones %s had %s instances respectively. An instance was launched to "
               "aid in balancing the group's zones",
               cause->zones, cause->zone_counts);
}

static void capacity_clause(const struct cause *cause, const char *verb, struct buf *text)
{
    if (cause->from != cause->to) {
        buf_printf(text, ", %s the capacity from %" PRId32 " to %" PRId32, verb, cause->from,
                   cause->to);
    }
}

static void action_clause(const struct cause *cause, struct buf *text)
{
#define TAKEN_OUT "an instance was taken out of service in response to "
    switch (cause->action) {
    case ACTION_NONE:
        break;
    case ACTION_SCALE_OUT:
        buf_add_z(text, "an instance was started in response to a difference between desired and "
                        "actual capacity");
        capacity_clause(cause, "increasing", text);
        break;
    case ACTION_SCALE_IN:
        buf_add_z(text, TAKEN_OUT "a difference between desired and actual capacity");
        capacity_clause(cause, "shrinking", text);
        break;
    case ACTION_EC2_STATE:
        buf_add_z(text,
                  TAKEN_OUT "an EC2 health check indicating it has been terminated or stopped");
        break;
    case ACTION_EC2_STATUS:
        buf_add_z(text, TAKEN_OUT "an EC2 instance status checks failure");
        break;
    case ACTION_ELB:
        buf_add_z(text, TAKEN_OUT "an ELB system health check failure");
        break;
    case ACTION_USER_HEALTH:
        buf_add_z(text, TAKEN_OUT "a user health-check");
        break;
    case ACTION_REPLACE:
        buf_add_z(text, "an instance was launched in response to an unhealthy instance needing to "
                        "be replaced");
        break;
    case ACTION_USER_TERMINATE:
        buf_printf(text, "instance %s was taken out of service in response to a user request",
                   cause->selected);
        capacity_clause(cause, "shrinking", text);
        break;
    case ACTION_REBALANCE_LAUNCH:
        zones_clause(cause, text);
        break;
    case ACTION_REBALANCE_SHRINK:
        buf_printf(text,
                   "instances were launched to balance instances in zones %s with other zones "
                   "resulting in more than desired number of instances in the group",
                   cause->zones);
        break;
    case ACTION_PROTECTED:
        break; /* AWS tells the change of desired only. */
    }
#undef TAKEN_OUT
}

/* Append "At TIME CLAUSE." after two blanks, unless it does not fit any more. */
static void sentence_add(struct buf *text, int64_t at_ms, const struct buf *clause)
{
    char time[TIME_TEXT_BYTES];
    size_t bytes;

    time_format_s(at_ms, time);
    bytes = strlen("  At  .") + strlen(time) + clause->bytes;
    if (clause->bytes == 0 || text->bytes + bytes > CAUSE_BYTES_MAX) {
        return;
    }
    buf_printf(text, "%sAt %s %s.", text->bytes == 0 ? "" : "  ", time, buf_z(clause));
}

static void add_selected(const struct cause *cause, struct buf *text)
{
    struct slice rest = slice_z(cause->selected), id;

    while (slice_next(&rest, ' ', &id)) {
        struct buf clause = {0};

        buf_printf(&clause, "instance %.*s was selected for termination", SLICE_ARG(id));
        sentence_add(text, cause->at_ms, &clause);
        buf_close(&clause);
    }
}

void activity_cause(const struct cause *cause, struct buf *text)
{
    struct buf whole = {0}, clause = {0};

    for (int32_t i = 0; i < cause->changes_count; i++) {
        change_clause(&cause->changes[i], &clause);
        sentence_add(&whole, cause->changes[i].at_ms, &clause);
        buf_clear(&clause);
    }
    action_clause(cause, &clause);
    sentence_add(&whole, cause->at_ms, &clause);
    if (cause->action == ACTION_SCALE_IN || cause->action == ACTION_REBALANCE_SHRINK) {
        add_selected(cause, &whole);
    }
    buf_add(text, buf_slice(&whole));
    buf_close(&clause);
    buf_close(&whole);
}
