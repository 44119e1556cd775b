/* DescribeAlarms, DescribeAlarmsForMetric, DescribeAlarmHistory, and alarms' tags. */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/page.h"
#include "services/cloudwatch/private.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS_DEFAULT 50
#define HISTORY_DEFAULT 100

static void describe_actions(struct doc *out, int member, const struct alarm_actions *actions)
{
    doc_set_list(out, member);
    for (size_t i = 0; i < actions->arns_count; i++) {
        doc_add_z(out, member, actions->arns[i]);
    }
}

static void describe_alarm(const struct alarm *alarm, struct doc *out)
{
    doc_set_z(out, M_AlarmName, alarm->name);
    doc_set_z(out, M_AlarmArn, alarm->arn);
    doc_set_z(out, M_AlarmDescription, alarm->description);
    doc_set_time_ms(out, M_AlarmConfigurationUpdatedTimestamp, alarm->configured_ms);
    doc_set_bool(out, M_ActionsEnabled, alarm->actions_enabled);
    describe_actions(out, M_OKActions, &alarm->ok_actions);
    describe_actions(out, M_AlarmActions, &alarm->alarm_actions);
    describe_actions(out, M_InsufficientDataActions, &alarm->insufficient_data_actions);
    doc_set_z(out, M_StateValue, alarm_state_name(alarm->state));
    doc_set_z(out, M_StateReason, alarm->reason);
    doc_set_z(out, M_StateReasonData, alarm->reason_data);
    doc_set_time_ms(out, M_StateUpdatedTimestamp, alarm->updated_ms);
    doc_set_z(out, M_MetricName, alarm->metric);
    doc_set_z(out, M_Namespace, alarm->namespace);
    doc_set_z(out, M_Statistic, alarm->statistic);
    doc_set_list(out, M_Dimensions);
    for (size_t i = 0; i < alarm->dimensions_count; i++) {
        struct doc *dimension = doc_add_struct(out, M_Dimensions);

        doc_set_z(dimension, M_Name, alarm->dimensions[i].name);
        doc_set_z(dimension, M_Value, alarm->dimensions[i].value);
    }
    doc_set_int(out, M_Period, alarm->rule.period_ms / 1000);
    doc_set_z(out, M_Unit, alarm->unit);
    doc_set_int(out, M_EvaluationPeriods, alarm->rule.periods);
    if (alarm->rule.datapoints != 0) {
        doc_set_int(out, M_DatapointsToAlarm, alarm->rule.datapoints);
    }
    doc_set_double(out, M_Threshold, alarm->rule.threshold);
    doc_set_z(out, M_ComparisonOperator, alarm_comparison_names[alarm->rule.comparison]);
    if (alarm->missing_given) {
        doc_set_z(out, M_TreatMissingData, alarm_missing_names[alarm->rule.missing]);
    }
    doc_set_time_ms(out, M_StateTransitionedTimestamp, alarm->transitioned_ms);
}

static bool has_action(const struct alarm *alarm, const char *prefix)
{
    for (int state = ALARM_OK; state <= ALARM_INSUFFICIENT_DATA; state++) {
        const struct alarm_actions *actions = alarm_actions_for(alarm, (enum alarm_state)state);

        for (size_t i = 0; i < actions->arns_count; i++) {
            if (strncmp(actions->arns[i], prefix, strlen(prefix)) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_asked_for(const struct doc *in, const struct alarm *alarm)
{
    const char *prefix = doc_z(in, M_AlarmNamePrefix);

    return (doc_count(in, M_AlarmNames) == 0 ||
            doc_list_contains(in, M_AlarmNames, slice_z(alarm->name))) &&
           (prefix == NULL || strncmp(alarm->name, prefix, strlen(prefix)) == 0) &&
           (!doc_has(in, M_StateValue) ||
            strcmp(doc_z(in, M_StateValue), alarm_state_name(alarm->state)) == 0) &&
           (!doc_has(in, M_ActionPrefix) || has_action(alarm, doc_z(in, M_ActionPrefix)));
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct alarm *const *)a)->name, (*(const struct alarm *const *)b)->name);
}

int cloudwatch_describe_alarms(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    const struct map *alarms = &ctx->control->cloudwatch->alarms;
    const struct alarm **found = arena_calloc(ctx->arena, alarms->count + 1, sizeof(*found));
    size_t room = (size_t)doc_int_or(in, M_MaxRecords, RECORDS_DEFAULT), count = 0;
    bool metric_alarms = doc_count(in, M_AlarmTypes) == 0 ||
                         doc_list_contains(in, M_AlarmTypes, SLICE_LIT("MetricAlarm"));
    const struct alarm *alarm;
    struct slice after;

    if (doc_count(in, M_AlarmNames) > 0 && doc_has(in, M_AlarmNamePrefix)) {
        return error_api(err, "InvalidParameterCombination",
                         "AlarmNamePrefix and AlarmNames.member are mutually exclusive");
    }
    if (page_token_read(ctx->arena, "DescribeAlarms", doc_z(in, M_NextToken), &after, err) != 0) {
        return error_api(err, "InvalidNextToken", "The next token specified is invalid.");
    }
    doc_set_list(out, M_CompositeAlarms);
    doc_set_list(out, M_MetricAlarms);
    if (!metric_alarms || doc_has(in, M_ChildrenOfAlarmName) || doc_has(in, M_ParentsOfAlarmName)) {
        return 0; /* There are no composite alarms. */
    }
    for (size_t at = 0; (alarm = map_next(alarms, &at)) != NULL;) {
        if (is_asked_for(in, alarm) && slice_compare(slice_z(alarm->name), after) > 0) {
            found[count++] = alarm;
        }
    }
    qsort(found, count, sizeof(struct alarm *), by_name);
    for (size_t i = 0; i < count && i < room; i++) {
        describe_alarm(found[i], doc_add_struct(out, M_MetricAlarms));
    }
    if (count > room) {
        doc_set_z(out, M_NextToken,
                  page_token(ctx->arena, "DescribeAlarms", slice_z(found[room - 1]->name)));
    }
    return 0;
}

/* The same dimensions, in any order? */
static bool same_dimensions(const struct doc *in, const struct alarm *alarm)
{
    size_t found = 0;

    for (size_t i = 0; i < doc_count(in, M_Dimensions); i++) {
        const struct doc *wanted = doc_at(in, M_Dimensions, i);

        for (size_t j = 0; j < alarm->dimensions_count; j++) {
            found += strcmp(doc_z(wanted, M_Name), alarm->dimensions[j].name) == 0 &&
                     strcmp(doc_z(wanted, M_Value), alarm->dimensions[j].value) == 0;
        }
    }
    return found == doc_count(in, M_Dimensions) && found == alarm->dimensions_count;
}

static bool text_fits(const struct doc *in, int member, const char *text)
{
    return !doc_has(in, member) || (text != NULL && strcmp(doc_z(in, member), text) == 0);
}

int cloudwatch_describe_alarms_for_metric(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    const struct alarm *alarm;

    (void)err;
    doc_set_list(out, M_MetricAlarms);
    if (doc_has(in, M_ExtendedStatistic)) {
        return 0;
    }
    for (size_t at = 0; (alarm = map_next(&ctx->control->cloudwatch->alarms, &at)) != NULL;) {
        if (text_fits(in, M_MetricName, alarm->metric) &&
            text_fits(in, M_Namespace, alarm->namespace) &&
            text_fits(in, M_Statistic, alarm->statistic) && text_fits(in, M_Unit, alarm->unit) &&
            (!doc_has(in, M_Period) || doc_int(in, M_Period) * 1000 == alarm->rule.period_ms) &&
            same_dimensions(in, alarm)) {
            describe_alarm(alarm, doc_add_struct(out, M_MetricAlarms));
        }
    }
    return 0;
}

void cloudwatch_alarms_with_action(const struct control *control, const char *action_arn,
                                   cloudwatch_alarm_fn *fn, void *data)
{
    const struct alarm *alarm;

    for (size_t at = 0; control->cloudwatch != NULL &&
                        (alarm = map_next(&control->cloudwatch->alarms, &at)) != NULL;) {
        if (has_action(alarm, action_arn)) {
            fn(data, alarm->name, alarm->arn);
        }
    }
}

/* History. */

static const char *const type_names[] = {"ConfigurationUpdate", "StateUpdate", "Action"};

static bool history_is_asked_for(const struct doc *in, const struct history *history)
{
    return text_fits(in, M_AlarmName, history->alarm) &&
           text_fits(in, M_HistoryItemType, type_names[history->type]) &&
           history->time_ms >= doc_time_ms_or(in, M_StartDate, INT64_MIN) &&
           history->time_ms <= doc_time_ms_or(in, M_EndDate, INT64_MAX) &&
           (doc_count(in, M_AlarmTypes) == 0 ||
            doc_list_contains(in, M_AlarmTypes, SLICE_LIT("MetricAlarm")));
}

int cloudwatch_describe_alarm_history(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    const struct map *all = &ctx->control->cloudwatch->history;
    const struct history **found = arena_calloc(ctx->arena, all->count + 1, sizeof(*found));
    bool ascending = slice_equal(doc_text(in, M_ScanBy), SLICE_LIT("TimestampAscending"));
    size_t room = (size_t)doc_int_or(in, M_MaxRecords, HISTORY_DEFAULT), count = 0, given = 0;
    const struct history *history;
    struct slice after;

    if (page_token_read(ctx->arena, "DescribeAlarmHistory", doc_z(in, M_NextToken), &after, err) !=
        0) {
        return error_api(err, "InvalidNextToken", "The next token specified is invalid.");
    }
    for (size_t at = 0; (history = map_next(all, &at)) != NULL;) {
        int order = after.bytes == 0 ? 0 : slice_compare(slice_z(history->id), after);

        if (history_is_asked_for(in, history) &&
            (after.bytes == 0 || (ascending ? order > 0 : order < 0))) {
            found[count++] = history;
        }
    }
    doc_set_list(out, M_AlarmHistoryItems);
    for (; given < count && given < room; given++) {
        struct doc *item = doc_add_struct(out, M_AlarmHistoryItems);

        history = found[ascending ? given : count - 1 - given];
        doc_set_z(item, M_AlarmName, history->alarm);
        doc_set_z(item, M_AlarmType, "MetricAlarm");
        doc_set_time_ms(item, M_Timestamp, history->time_ms);
        doc_set_z(item, M_HistoryItemType, type_names[history->type]);
        doc_set_z(item, M_HistorySummary, history->summary);
        doc_set_z(item, M_HistoryData, history->data);
    }
    if (given < count) {
        doc_set_z(out, M_NextToken,
                  page_token(ctx->arena, "DescribeAlarmHistory", slice_z(history->id)));
    }
    return 0;
}

/* Tags. */

static int find_arn(struct ctx *ctx, const struct doc *in, const char **arn, struct error *err)
{
    const struct alarm *alarm;

    *arn = doc_z(in, M_ResourceARN);
    for (size_t at = 0; (alarm = map_next(&ctx->control->cloudwatch->alarms, &at)) != NULL;) {
        if (strcmp(alarm->arn, *arn) == 0) {
            return 0;
        }
    }
    return error_api_status(err, 404, "ResourceNotFoundException", "Unknown resource: %s", *arn);
}

int cloudwatch_tag_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    const char *arn;
    int rc = find_arn(ctx, in, &arn, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);

        ctx_tag_put(ctx, arn, doc_z(tag, M_Key), doc_z(tag, M_Value));
    }
    return rc;
}

int cloudwatch_untag_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    const char *arn;
    int rc = find_arn(ctx, in, &arn, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_TagKeys); i++) {
        ctx_tag_remove(ctx, arn, doc_z_at(in, M_TagKeys, i));
    }
    return rc;
}

int cloudwatch_list_tags_for_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    const struct tags *tags = tags_of(&ctx->control->tags, doc_z(in, M_ResourceARN));

    (void)err;
    doc_set_list(out, M_Tags);
    for (size_t i = 0; i < tags->count; i++) {
        struct doc *tag = doc_add_struct(out, M_Tags);

        doc_set_z(tag, M_Key, tags->items[i].key);
        doc_set_z(tag, M_Value, tags->items[i].value);
    }
    return 0;
}
