/* Judging alarms by the clock, and what follows: state, history, actions. */
#include "base/alloc.h"
#include "services/cloudwatch/private.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define AUTO_SCALING "arn:aws:autoscaling:" /* Whose actions are repeated. */

static void replace(char **text, const char *value)
{
    char *old = *text;

    *text = mem_strdup(value);
    free(old);
}

static struct metric *metric_of(const struct cloudwatch *cloudwatch, const struct alarm *alarm)
{
    struct cloudwatch_dimension dimensions[CLOUDWATCH_DIMENSIONS_MAX];

    for (size_t i = 0; i < alarm->dimensions_count; i++) {
        dimensions[i] =
            (struct cloudwatch_dimension){alarm->dimensions[i].name, alarm->dimensions[i].value};
    }
    return metric_find(&cloudwatch->metrics, alarm->namespace, alarm->metric, dimensions,
                       alarm->dimensions_count);
}

/* What the metric did up to the last mark, oldest first; in the arena. */
static struct alarm_slot *slots_of(struct ctx *ctx, const struct alarm *alarm, int32_t count)
{
    const struct metric *metric = metric_of(ctx->control->cloudwatch, alarm);
    struct alarm_slot *slots = arena_calloc(ctx->arena, (size_t)count, sizeof(*slots));
    int64_t end_ms = alarm_window_end_ms(&alarm->rule, ctx->now_ms);

    for (int32_t i = 0; i < count; i++) {
        int64_t start_ms = end_ms - (count - i) * alarm->rule.period_ms;
        struct metric_set set =
            metric_merge(metric, alarm->unit, start_ms, start_ms + alarm->rule.period_ms);

        slots[i] = (struct alarm_slot){.start_ms = start_ms, .present = set.count > 0};
        if (slots[i].present) {
            slots[i].value = metric_statistic(&set, alarm->statistic);
            slots[i].samples = set.count;
        }
    }
    return slots;
}

/* The newest value that was judged, for step policies: what is in the state's own words. */
static bool judged_value(const struct alarm *alarm, double *value)
{
    json_t *data = alarm->reason_data == NULL ? NULL : json_loads(alarm->reason_data, 0, NULL);
    const json_t *points = json_object_get(data, "recentDatapoints");
    size_t count = json_array_size(points);

    if (count > 0) {
        *value = json_number_value(json_array_get(points, count - 1));
    }
    json_decref(data);
    return count > 0;
}

static bool act(struct ctx *ctx, const struct alarm *alarm, const char *arn)
{
    const struct cloudwatch *cloudwatch = ctx->control->cloudwatch;
    struct cloudwatch_action action = {.arn = arn,
                                       .alarm = alarm->name,
                                       .alarm_arn = alarm->arn,
                                       .state = alarm_state_name(alarm->state),
                                       .reason = alarm->reason,
                                       .threshold = alarm->rule.threshold};

    action.has_value = judged_value(alarm, &action.value);
    for (size_t i = 0; i < cloudwatch->doer_count; i++) {
        const struct action_doer *doer = &cloudwatch->doers[i];

        if (strncmp(arn, doer->prefix, strlen(doer->prefix)) == 0) {
            return doer->fn(ctx, doer->data, &action);
        }
    }
    return false; /* SNS, Lambda: muster has no such service. */
}

static bool is_repeated(const char *arn)
{
    return strncmp(arn, AUTO_SCALING, strlen(AUTO_SCALING)) == 0;
}

static bool repeats(const struct alarm *alarm)
{
    const struct alarm_actions *actions = alarm_actions_for(alarm, alarm->state);

    for (size_t i = 0; alarm->actions_enabled && i < actions->arns_count; i++) {
        if (is_repeated(actions->arns[i])) {
            return true;
        }
    }
    return false;
}

static void run_actions(struct ctx *ctx, struct alarm *alarm, bool repeat)
{
    const struct alarm_actions *actions = alarm_actions_for(alarm, alarm->state);

    alarm->invoked_ms = ctx->now_ms;
    for (size_t i = 0; alarm->actions_enabled && i < actions->arns_count; i++) {
        const char *arn = actions->arns[i];
        bool done;

        if (repeat && !is_repeated(arn)) {
            continue;
        }
        done = act(ctx, alarm, arn);
        if (repeat) {
            continue; /* As on AWS, history has the first only. */
        }
        history_add(ctx, alarm->name, HISTORY_ACTION,
                    arena_printf(ctx->arena, "%s action %s",
                                 done ? "Successfully executed" : "Failed to execute", arn)
                        .data,
                    json_pack("{s:s?,s:s,s:s,s:I}", "error",
                              done ? NULL : "The action could not be executed", "actionState",
                              done ? "Succeeded" : "Failed", "notificationResource", arn,
                              "stateUpdateTimestamp", (json_int_t)alarm->updated_ms));
    }
}

/* {"stateValue":...,"stateReason":...,"stateReasonData":{...}} */
static json_t *state_json(const struct alarm *alarm)
{
    json_t *json = json_pack("{s:s,s:s}", "stateValue", alarm_state_name(alarm->state),
                             "stateReason", alarm->reason);

    if (alarm->reason_data != NULL) {
        json_object_set_new(json, "stateReasonData", json_loads(alarm->reason_data, 0, NULL));
    }
    return json;
}

void alarm_set_state(struct ctx *ctx, struct alarm *alarm, enum alarm_state state,
                     const char *reason, const char *reason_data)
{
    json_t *old = state_json(alarm);
    enum alarm_state from = alarm->state;

    replace(&alarm->reason, reason);
    replace(&alarm->reason_data, reason_data);
    alarm->state = state;
    alarm->updated_ms = ctx->now_ms;
    if (state != from) {
        alarm->transitioned_ms = ctx->now_ms;
        history_add(ctx, alarm->name, HISTORY_STATE,
                    arena_printf(ctx->arena, "Alarm updated from %s to %s", alarm_state_name(from),
                                 alarm_state_name(state))
                        .data,
                    json_pack("{s:s,s:o,s:o}", "version", "1.0", "oldState", json_incref(old),
                              "newState", state_json(alarm)));
        run_actions(ctx, alarm, false);
    }
    json_decref(old);
    alarm_changed(ctx, alarm);
    alarm_schedule(ctx, alarm);
}

static void judge(struct ctx *ctx, struct alarm *alarm)
{
    struct alarm_verdict *verdict = arena_calloc(ctx->arena, 1, sizeof(*verdict));
    int32_t count = alarm_range(&alarm->rule);
    struct alarm_slot *slots = slots_of(ctx, alarm, count);
    struct buf reason = {0}, data = {0};

    alarm_decide(&alarm->rule, slots, count, alarm->state, verdict);
    if (verdict->state != alarm->state) {
        alarm_reason(&alarm->rule, slots, verdict, &reason);
        alarm_reason_data(&alarm->rule, slots, count, verdict, alarm->statistic, alarm->unit,
                          ctx->now_ms, &data);
        alarm_set_state(ctx, alarm, verdict->state, buf_z(&reason), buf_z(&data));
    }
    buf_close(&reason);
    buf_close(&data);
}

/* When there is something to do for the alarm. */
static int64_t wake_ms(const struct alarm *alarm)
{
    return repeats(alarm) ? min_i64(alarm->next_ms, alarm->invoked_ms + ALARM_REPEAT_MS)
                          : alarm->next_ms;
}

static void look(struct ctx *ctx, void *data)
{
    struct cloudwatch *cloudwatch = data;
    int64_t next_ms = INT64_MAX;
    struct alarm *alarm;

    for (size_t at = 0; (alarm = map_next(&cloudwatch->alarms, &at)) != NULL;) {
        if (ctx->now_ms >= alarm->next_ms) {
            alarm->next_ms = alarm_wake_ms(&alarm->rule, ctx->now_ms);
            judge(ctx, alarm);
        }
        if (repeats(alarm) && alarm_repeats(alarm->invoked_ms, ctx->now_ms)) {
            run_actions(ctx, alarm, true);
            alarm_changed(ctx, alarm);
        }
        next_ms = min_i64(next_ms, wake_ms(alarm));
    }
    if (next_ms != INT64_MAX) {
        control_timer_at_ms(cloudwatch->alarm_timer, next_ms);
    }
}

void alarm_schedule(struct ctx *ctx, struct alarm *alarm)
{
    if (alarm->next_ms <= ctx->now_ms) {
        alarm->next_ms = alarm_wake_ms(&alarm->rule, ctx->now_ms);
    }
    control_timer_at_ms(ctx->control->cloudwatch->alarm_timer, ctx->now_ms + 1);
}

void alarms_mark_watched(struct cloudwatch *cloudwatch)
{
    struct metric *metric;
    struct alarm *alarm;

    for (size_t at = 0; (metric = map_next(&cloudwatch->metrics.by_key, &at)) != NULL;) {
        metric->watched = false;
    }
    for (size_t at = 0; (alarm = map_next(&cloudwatch->alarms, &at)) != NULL;) {
        metric = metric_of(cloudwatch, alarm);
        if (metric != NULL) {
            metric->watched = true;
        }
    }
}

void alarms_start(struct ctx *ctx)
{
    struct cloudwatch *cloudwatch = ctx->control->cloudwatch;
    struct alarm *alarm;

    cloudwatch->alarm_timer = control_timer_open(ctx->control, look, cloudwatch);
    for (size_t at = 0; (alarm = map_next(&cloudwatch->alarms, &at)) != NULL;) {
        alarm->next_ms = alarm_wake_ms(&alarm->rule, ctx->now_ms);
    }
    control_timer_at_ms(cloudwatch->alarm_timer, ctx->now_ms + 1);
}
