/* PutMetricAlarm, DeleteAlarms, SetAlarmState, EnableAlarmActions, DisableAlarmActions. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "services/cloudwatch/private.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ALARMS_MAX 5000
#define DAY_S 86400
#define WEEK_S 604800
#define HOUR_S 3600

/* What AWS's API has and muster's alarms have not: refused, never ignored. */
static int check_refused(const struct doc *in, struct error *err)
{
    if (doc_count(in, M_Metrics) > 0 || doc_has(in, M_ThresholdMetricId)) {
        return error_api(err, VALIDATION,
                         "muster's alarms watch one metric: Metrics (metric math and anomaly "
                         "detection) is not supported");
    }
    if (doc_has(in, M_ExtendedStatistic) || doc_has(in, M_EvaluateLowSampleCountPercentile)) {
        return error_api(err, "InvalidParameterValue",
                         "The value %s for parameter ExtendedStatistic is not supported: muster "
                         "keeps no percentiles.",
                         doc_has(in, M_ExtendedStatistic)
                             ? doc_z(in, M_ExtendedStatistic)
                             : doc_z(in, M_EvaluateLowSampleCountPercentile));
    }
    return 0;
}

static int check_required(const struct doc *in, struct error *err)
{
    static const struct {
        int member;
        const char *name;
    } required[] = {
        {M_ComparisonOperator, "ComparisonOperator"},
        {M_EvaluationPeriods, "EvaluationPeriods"},
        {M_MetricName, "MetricName"},
        {M_Namespace, "Namespace"},
        {M_Period, "Period"},
        {M_Statistic, "Statistic"},
        {M_Threshold, "Threshold"},
    };

    for (size_t i = 0; i < COUNT_OF(required); i++) {
        if (!doc_has(in, required[i].member)) {
            return error_api(err, "MissingParameter", "The request must contain the parameter %s",
                             required[i].name);
        }
    }
    return 0;
}

static int check_periods(const struct doc *in, struct error *err)
{
    int64_t period_s = doc_int(in, M_Period), periods = doc_int(in, M_EvaluationPeriods);
    int64_t longest_s = period_s < HOUR_S ? DAY_S : WEEK_S;

    if (period_s != 10 && period_s != 20 && period_s != 30 && period_s % 60 != 0) {
        return error_api(err, VALIDATION, "Period must be 10, 20, 30 or a multiple of 60");
    }
    if (period_s > longest_s || periods > longest_s / period_s) {
        return error_api(err, VALIDATION,
                         "Metrics cannot be checked across more than a %s (EvaluationPeriods * "
                         "Period must be <= %lld) for alarms using period %s %d",
                         longest_s == DAY_S ? "day" : "week", (long long)longest_s,
                         longest_s == DAY_S ? "<" : ">=", HOUR_S);
    }
    if (periods > ALARM_SLOTS_MAX * 3 / 4) {
        return error_api(err, VALIDATION, "muster's alarms look at no more than %d periods",
                         ALARM_SLOTS_MAX * 3 / 4);
    }
    if (period_s * periods * 1000 > METRIC_KEEP_MS) {
        return error_api(err, VALIDATION,
                         "muster keeps metrics for a day: EvaluationPeriods * Period must be <= %d",
                         DAY_S);
    }
    return doc_int_or(in, M_DatapointsToAlarm, 1) <= periods
               ? 0
               : error_api(err, VALIDATION,
                           "DatapointsToAlarm must be less than or equal to EvaluationPeriods");
}

static int index_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int read_rule(const struct doc *in, struct alarm_rule *rule, struct error *err)
{
    const char *missing = doc_has(in, M_TreatMissingData) ? doc_z(in, M_TreatMissingData)
                                                          : alarm_missing_names[ALARM_MISSING];
    int comparison =
        index_of(alarm_comparison_names, ALARM_COMPARISONS, doc_z(in, M_ComparisonOperator));
    int treatment = index_of(alarm_missing_names, ALARM_MISSINGS, missing);

    if (comparison < 0) {
        return error_api(err, VALIDATION, "%s is for anomaly detection, which muster does not have",
                         doc_z(in, M_ComparisonOperator));
    }
    if (treatment < 0) {
        return error_api(err, VALIDATION,
                         "Option %s is not supported. Supported options for parameter "
                         "TreatMissingData are breaching, notBreaching, ignore and missing.",
                         missing);
    }
    *rule = (struct alarm_rule){
        .comparison = (enum alarm_comparison)comparison,
        .threshold = doc_double_or(in, M_Threshold, 0),
        .period_ms = doc_int(in, M_Period) * 1000,
        .periods = (int32_t)doc_int(in, M_EvaluationPeriods),
        .datapoints = (int32_t)doc_int(in, M_DatapointsToAlarm),
        .missing = (enum alarm_missing)treatment,
    };
    return 0;
}

static int check_actions(const struct doc *in, int member, const char *name, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, member); i++) {
        if (strncmp(doc_z_at(in, member, i), "arn:", 4) != 0) {
            return error_api(err, VALIDATION, "Invalid ARN syntax: %s in %s",
                             doc_z_at(in, member, i), name);
        }
    }
    return 0;
}

static void read_actions(const struct doc *in, int member, struct alarm_actions *actions)
{
    size_t count = doc_count(in, member);

    *actions =
        (struct alarm_actions){.arns = mem_calloc(count + 1, sizeof(char *)), .arns_count = count};
    for (size_t i = 0; i < count; i++) {
        actions->arns[i] = mem_strdup(doc_z_at(in, member, i));
    }
}

static struct alarm *read_alarm(struct ctx *ctx, const struct doc *in,
                                const struct alarm_rule *rule,
                                const struct cloudwatch_dimension *dimensions, size_t count)
{
    struct alarm *alarm = mem_calloc(1, sizeof(*alarm));

    *alarm = (struct alarm){
        .name = mem_strdup(doc_z(in, M_AlarmName)),
        .arn = mem_strdup(ctx_arn(ctx, "cloudwatch", "alarm:%s", doc_z(in, M_AlarmName))),
        .description = mem_strdup(doc_z(in, M_AlarmDescription)),
        .actions_enabled = doc_bool_or(in, M_ActionsEnabled, true),
        .namespace = mem_strdup(doc_z(in, M_Namespace)),
        .metric = mem_strdup(doc_z(in, M_MetricName)),
        .statistic = mem_strdup(doc_z(in, M_Statistic)),
        .unit = mem_strdup(doc_z(in, M_Unit)),
        .dimensions = mem_calloc(count + 1, sizeof(*alarm->dimensions)),
        .dimensions_count = count,
        .rule = *rule,
        .missing_given = doc_has(in, M_TreatMissingData),
        .configured_ms = ctx->now_ms,
    };
    for (size_t i = 0; i < count; i++) {
        alarm->dimensions[i] = (struct alarm_dimension){mem_strdup(dimensions[i].name),
                                                        mem_strdup(dimensions[i].value)};
    }
    read_actions(in, M_OKActions, &alarm->ok_actions);
    read_actions(in, M_AlarmActions, &alarm->alarm_actions);
    read_actions(in, M_InsufficientDataActions, &alarm->insufficient_data_actions);
    return alarm;
}

/* {"version":"1.0","type":"Create","createdAlarm":{...}} */
static void note(struct ctx *ctx, const struct alarm *alarm, const char *type, const char *key,
                 const char *done)
{
    json_t *dimensions = json_array();

    for (size_t i = 0; i < alarm->dimensions_count; i++) {
        json_array_append_new(dimensions,
                              json_pack("{s:s,s:s}", "value", alarm->dimensions[i].value, "name",
                                        alarm->dimensions[i].name));
    }
    history_add(ctx, alarm->name, HISTORY_CONFIGURATION,
                arena_printf(ctx->arena, "Alarm \"%s\" %s", alarm->name, done).data,
                json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s,s:s,s:I,s:o,s:f,s:s,s:i,s:s,s:b}}",
                          "version", "1.0", "type", type, key, "alarmName", alarm->name, "alarmArn",
                          alarm->arn, "namespace", alarm->namespace, "metricName", alarm->metric,
                          "statistic", alarm->statistic, "period",
                          (json_int_t)(alarm->rule.period_ms / 1000), "dimensions", dimensions,
                          "threshold", alarm->rule.threshold, "comparisonOperator",
                          alarm_comparison_names[alarm->rule.comparison], "evaluationPeriods",
                          (int)alarm->rule.periods, "stateValue", alarm_state_name(alarm->state),
                          "actionsEnabled", (int)alarm->actions_enabled));
}

int cloudwatch_put_metric_alarm(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct cloudwatch *cloudwatch = ctx->control->cloudwatch;
    struct cloudwatch_dimension dimensions[CLOUDWATCH_DIMENSIONS_MAX];
    struct alarm *old = map_get(&cloudwatch->alarms, doc_text(in, M_AlarmName)), *alarm;
    struct alarm_rule rule = {0};
    size_t count;
    int rc = check_refused(in, err);

    (void)out;
    rc = rc != 0 ? rc : check_required(in, err);
    rc = rc != 0 ? rc : check_periods(in, err);
    rc = rc != 0 ? rc : read_rule(in, &rule, err);
    rc = rc != 0 ? rc : dimensions_read(in, M_Dimensions, dimensions, &count, err);
    rc = rc != 0 ? rc : check_actions(in, M_OKActions, "OKActions", err);
    rc = rc != 0 ? rc : check_actions(in, M_AlarmActions, "AlarmActions", err);
    rc =
        rc != 0 ? rc : check_actions(in, M_InsufficientDataActions, "InsufficientDataActions", err);
    if (rc == 0 && old == NULL && cloudwatch->alarms.count >= ALARMS_MAX) {
        rc = error_api(err, "LimitExceeded", "The maximum limit of %d alarms has been reached.",
                       ALARMS_MAX);
    }
    if (rc != 0) {
        return rc;
    }
    alarm = read_alarm(ctx, in, &rule, dimensions, count);
    if (old == NULL) {
        alarm->state = ALARM_INSUFFICIENT_DATA;
        alarm->reason = mem_strdup("Unchecked: Initial alarm creation");
        alarm->updated_ms = alarm->transitioned_ms = ctx->now_ms;
        for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
            const struct doc *tag = doc_at(in, M_Tags, i);

            ctx_tag_put(ctx, alarm->arn, doc_z(tag, M_Key), doc_z(tag, M_Value));
        }
    } else {
        alarm->state = old->state;
        alarm->reason = mem_strdup(old->reason);
        alarm->reason_data = mem_strdup(old->reason_data);
        alarm->updated_ms = old->updated_ms;
        alarm->transitioned_ms = old->transitioned_ms;
        alarm->invoked_ms = old->invoked_ms;
        alarm_free(old);
    }
    map_put(&cloudwatch->alarms, slice_z(alarm->name), alarm);
    alarm_changed(ctx, alarm);
    if (old == NULL) {
        note(ctx, alarm, "Create", "createdAlarm", "created");
    } else {
        note(ctx, alarm, "Update", "updatedAlarm", "updated");
    }
    alarm_schedule(ctx, alarm);
    return 0;
}

int cloudwatch_delete_alarms(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    (void)out;
    (void)err;
    for (size_t i = 0; i < doc_count(in, M_AlarmNames); i++) {
        struct alarm *alarm =
            map_get_z(&ctx->control->cloudwatch->alarms, doc_z_at(in, M_AlarmNames, i));

        if (alarm != NULL) {
            note(ctx, alarm, "Delete", "deletedAlarm", "deleted");
            alarm_remove(ctx, alarm);
        }
    }
    return 0;
}

int cloudwatch_set_alarm_state(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    static const char *const names[] = {"OK", "ALARM", "INSUFFICIENT_DATA"};
    struct alarm *alarm = map_get(&ctx->control->cloudwatch->alarms, doc_text(in, M_AlarmName));

    (void)out;
    if (alarm == NULL) {
        return error_api_status(err, 404, "ResourceNotFound", "%s", "");
    }
    if (doc_has(in, M_StateReasonData)) {
        json_t *json = json_loads(doc_z(in, M_StateReasonData), 0, NULL);

        if (json == NULL) {
            return error_api(err, "InvalidFormat", "StateReasonData is not valid JSON");
        }
        json_decref(json);
    }
    alarm_set_state(ctx, alarm,
                    (enum alarm_state)index_of(names, COUNT_OF(names), doc_z(in, M_StateValue)),
                    doc_z(in, M_StateReason), doc_z(in, M_StateReasonData));
    return 0;
}

static void enable(struct ctx *ctx, const struct doc *in, bool enabled)
{
    for (size_t i = 0; i < doc_count(in, M_AlarmNames); i++) {
        struct alarm *alarm =
            map_get_z(&ctx->control->cloudwatch->alarms, doc_z_at(in, M_AlarmNames, i));

        if (alarm != NULL && alarm->actions_enabled != enabled) {
            alarm->actions_enabled = enabled;
            alarm->configured_ms = ctx->now_ms;
            alarm_changed(ctx, alarm);
            note(ctx, alarm, "Update", "updatedAlarm", "updated");
        }
    }
}

int cloudwatch_enable_alarm_actions(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    (void)out;
    (void)err;
    enable(ctx, in, true);
    return 0;
}

int cloudwatch_disable_alarm_actions(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    (void)out;
    (void)err;
    enable(ctx, in, false);
    return 0;
}
