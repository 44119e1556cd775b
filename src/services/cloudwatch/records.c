/* Alarms and their history: stored form, and their lives in memory. */
#include "base/alloc.h"
#include "base/text.h"
#include "services/cloudwatch/private.h"
#include "store/changes.h"
#include "store/record.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_MAX 2000

static const char *const state_names[] = {"OK", "ALARM", "INSUFFICIENT_DATA"};
const char *const alarm_comparison_names[ALARM_COMPARISONS] = {
    "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold",
    "LessThanOrEqualToThreshold"};
const char *const alarm_missing_names[ALARM_MISSINGS] = {"missing", "ignore", "breaching",
                                                         "notBreaching"};
static const char *const type_names[] = {"ConfigurationUpdate", "StateUpdate", "Action"};

static const struct record_field dimension_fields[] = {
    RECORD_TEXT(struct alarm_dimension, name),
    RECORD_TEXT(struct alarm_dimension, value),
};
static const struct record dimension_record = RECORD(struct alarm_dimension, dimension_fields);

static const struct record_field actions_fields[] = {
    RECORD_TEXTS(struct alarm_actions, arns),
};
static const struct record actions_record = RECORD(struct alarm_actions, actions_fields);

static const struct record_field rule_fields[] = {
    RECORD_ENUM(struct alarm_rule, comparison, alarm_comparison_names),
    RECORD_DOUBLE(struct alarm_rule, threshold),
    RECORD_I64(struct alarm_rule, period_ms),
    RECORD_I32(struct alarm_rule, periods),
    RECORD_I32(struct alarm_rule, datapoints),
    RECORD_ENUM(struct alarm_rule, missing, alarm_missing_names),
};
static const struct record rule_record = RECORD(struct alarm_rule, rule_fields);

static const struct record_field alarm_fields[] = {
    RECORD_TEXT(struct alarm, name),
    RECORD_TEXT(struct alarm, arn),
    RECORD_TEXT(struct alarm, description),
    RECORD_BOOL(struct alarm, actions_enabled),
    RECORD_STRUCT(struct alarm, ok_actions, actions_record),
    RECORD_STRUCT(struct alarm, alarm_actions, actions_record),
    RECORD_STRUCT(struct alarm, insufficient_data_actions, actions_record),
    RECORD_TEXT(struct alarm, namespace),
    RECORD_TEXT(struct alarm, metric),
    RECORD_TEXT(struct alarm, statistic),
    RECORD_TEXT(struct alarm, unit),
    RECORD_LIST(struct alarm, dimensions, dimension_record),
    RECORD_STRUCT(struct alarm, rule, rule_record),
    RECORD_BOOL(struct alarm, missing_given),
    RECORD_ENUM(struct alarm, state, state_names),
    RECORD_TEXT(struct alarm, reason),
    RECORD_TEXT(struct alarm, reason_data),
    RECORD_I64(struct alarm, configured_ms),
    RECORD_I64(struct alarm, updated_ms),
    RECORD_I64(struct alarm, transitioned_ms),
    RECORD_I64(struct alarm, invoked_ms),
};
static const struct record alarm_record = RECORD(struct alarm, alarm_fields);

static const struct record_field history_fields[] = {
    RECORD_TEXT(struct history, alarm),
    RECORD_I64(struct history, time_ms),
    RECORD_ENUM(struct history, type, type_names),
    RECORD_TEXT(struct history, summary),
    RECORD_TEXT(struct history, data),
};
static const struct record history_record = RECORD(struct history, history_fields);

const struct alarm_actions *alarm_actions_for(const struct alarm *alarm, enum alarm_state state)
{
    switch (state) {
    case ALARM_OK:
        return &alarm->ok_actions;
    case ALARM_ALARM:
        return &alarm->alarm_actions;
    case ALARM_INSUFFICIENT_DATA:
        break;
    }
    return &alarm->insufficient_data_actions;
}

void alarm_changed(struct ctx *ctx, const struct alarm *alarm)
{
    changes_put_record(ctx->changes, SLICE_LIT("cloudwatch.alarm"), slice_z(alarm->name),
                       &alarm_record, alarm);
}

void alarm_remove(struct ctx *ctx, struct alarm *alarm)
{
    changes_del(ctx->changes, SLICE_LIT("cloudwatch.alarm"), slice_z(alarm->name));
    ctx_tags_drop(ctx, alarm->arn);
    map_remove(&ctx->control->cloudwatch->alarms, slice_z(alarm->name));
    alarm_free(alarm);
}

void alarm_free(struct alarm *alarm)
{
    record_close(&alarm_record, alarm);
    free(alarm);
}

void history_free(struct history *history)
{
    record_close(&history_record, history);
    free(history);
}

static void drop_oldest_history(struct ctx *ctx)
{
    struct cloudwatch *cloudwatch = ctx->control->cloudwatch;
    size_t at = 0;
    struct history *oldest = map_next(&cloudwatch->history, &at);

    changes_del(ctx->changes, SLICE_LIT("cloudwatch.history"), slice_z(oldest->id));
    map_remove(&cloudwatch->history, slice_z(oldest->id));
    history_free(oldest);
}

void history_add(struct ctx *ctx, const char *alarm, enum history_type type, const char *summary,
                 json_t *data)
{
    struct cloudwatch *cloudwatch = ctx->control->cloudwatch;
    struct history *history = mem_calloc(1, sizeof(*history));

    *history = (struct history){.alarm = mem_strdup(alarm),
                                .time_ms = ctx->now_ms,
                                .type = type,
                                .summary = mem_strdup(summary),
                                .data = json_dumps(data, JSON_COMPACT)};
    json_decref(data);
    snprintf(history->id, sizeof(history->id), "%016llx",
             (unsigned long long)cloudwatch->history_next++);
    map_put(&cloudwatch->history, slice_z(history->id), history);
    changes_put_record(ctx->changes, SLICE_LIT("cloudwatch.history"), slice_z(history->id),
                       &history_record, history);
    while (cloudwatch->history.count > HISTORY_MAX) {
        drop_oldest_history(ctx);
    }
}

static int load_history(struct cloudwatch *cloudwatch, struct slice id, struct slice body,
                        struct error *err)
{
    struct history *history = mem_calloc(1, sizeof(*history));
    int rc = record_load(&history_record, history, body, err);
    char *end;

    if (rc != 0) {
        free(history);
        return rc;
    }
    snprintf(history->id, sizeof(history->id), "%.*s", SLICE_ARG(id));
    cloudwatch->history_next = strtoull(history->id, &end, 16) + 1;
    map_put(&cloudwatch->history, id, history);
    return 0;
}

int cloudwatch_load(struct control *control, struct slice kind, struct slice id, struct slice body,
                    struct error *err)
{
    struct alarm *alarm;
    int rc;

    if (slice_equal(kind, SLICE_LIT("cloudwatch.history"))) {
        return load_history(control->cloudwatch, id, body, err);
    }
    if (slice_equal(kind, SLICE_LIT("cloudwatch.series"))) {
        metrics_load_series(&control->cloudwatch->metrics, id, body);
        return 0;
    }
    alarm = mem_calloc(1, sizeof(*alarm));
    rc = record_load(&alarm_record, alarm, body, err);
    if (rc != 0) {
        free(alarm);
        return rc;
    }
    map_put(&control->cloudwatch->alarms, id, alarm);
    return 0;
}
