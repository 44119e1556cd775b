/* GetMetricStatistics, GetMetricData, ListMetrics. */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/page.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/cloudwatch/private.h"

#include <stdlib.h>
#include <string.h>

#define POINTS_MAX 1440
#define DATA_POINTS_MAX 100800
#define METRICS_PER_PAGE 500
#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_MS (24LL * 60 * 60 * 1000)
#define ACTIVE_MS (3LL * 60 * 60 * 1000)

#define INVALID "InvalidParameterValue"
#define COMBINATION "InvalidParameterCombination"

static int check_period(const char *parameter, int64_t period_s, struct error *err)
{
    bool fine = period_s == 1 || period_s == 5 || period_s == 10 || period_s == 20 ||
                period_s == 30 || (period_s > 0 && period_s % MINUTE_S == 0);

    return fine ? 0
                : error_api(err, INVALID,
                            "The parameter %s must be 1, 5, 10, 20, 30 or a multiple of 60.",
                            parameter);
}

/* Down to the minute (for short periods to their part of it); to 5 minutes when older than 15
 * days, to the hour when older than 63. */
static int64_t round_start_ms(int64_t start_ms, int64_t period_s, int64_t now_ms)
{
    int64_t step_s = period_s < MINUTE_S ? period_s : MINUTE_S;

    if (now_ms - start_ms > 63 * DAY_MS) {
        step_s = HOUR_S;
    } else if (now_ms - start_ms > 15 * DAY_MS) {
        step_s = 5 * MINUTE_S;
    }
    return start_ms - start_ms % (step_s * 1000);
}

static int check_range(int64_t start_ms, int64_t end_ms, int64_t period_s, struct error *err)
{
    int64_t points = (end_ms - start_ms) / 1000 / period_s;

    if (start_ms >= end_ms) {
        return error_api(err, INVALID,
                         "The parameter StartTime must be less than the parameter EndTime.");
    }
    if (points > POINTS_MAX) {
        return error_api(err, COMBINATION,
                         "You have requested up to %lld datapoints, which exceeds the limit of "
                         "%d. You may reduce the datapoints requested by increasing Period, or "
                         "decreasing the time range.",
                         (long long)points, POINTS_MAX);
    }
    return 0;
}

static void add_point(const struct doc *in, const char *unit, int64_t time_ms,
                      const struct metric_set *set, struct doc *out)
{
    static const struct {
        const char *name;
        int member;
    } statistics[] = {
        {"SampleCount", M_SampleCount}, {"Average", M_Average}, {"Sum", M_Sum},
        {"Minimum", M_Minimum},         {"Maximum", M_Maximum},
    };
    struct doc *point = doc_add_struct(out, M_Datapoints);

    doc_set_time_ms(point, M_Timestamp, time_ms);
    for (size_t i = 0; i < COUNT_OF(statistics); i++) {
        if (doc_list_contains(in, M_Statistics, slice_z(statistics[i].name))) {
            doc_set_double(point, statistics[i].member, metric_statistic(set, statistics[i].name));
        }
    }
    doc_set_z(point, M_Unit, unit);
}

int cloudwatch_get_metric_statistics(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    struct cloudwatch_dimension dimensions[CLOUDWATCH_DIMENSIONS_MAX];
    int64_t period_s = doc_int(in, M_Period);
    int64_t start_ms = doc_time_ms_or(in, M_StartTime, 0);
    int64_t end_ms = doc_time_ms_or(in, M_EndTime, 0);
    const struct metric *metric;
    size_t count;
    int rc = check_period("Period", period_s, err);

    rc = rc != 0 ? rc : check_range(start_ms, end_ms, period_s, err);
    rc = rc != 0 ? rc : dimensions_read(in, M_Dimensions, dimensions, &count, err);
    if (rc != 0) {
        return rc;
    }
    if (doc_count(in, M_ExtendedStatistics) > 0) {
        return error_api(err, INVALID,
                         "The value %s for parameter ExtendedStatistics is not supported: muster "
                         "keeps no percentiles.",
                         doc_z_at(in, M_ExtendedStatistics, 0));
    }
    if (doc_count(in, M_Statistics) == 0) {
        return error_api(err, COMBINATION, "Must specify either Statistics or ExtendedStatistics");
    }
    start_ms = round_start_ms(start_ms, period_s, ctx->now_ms);
    metric = metric_find(&ctx->control->cloudwatch->metrics, doc_z(in, M_Namespace),
                         doc_z(in, M_MetricName), dimensions, count);
    doc_set_z(out, M_Label, doc_z(in, M_MetricName));
    doc_set_list(out, M_Datapoints);
    for (size_t i = 0; metric != NULL && i < metric->series_count; i++) {
        const char *unit = metric->series[i]->unit;

        if (doc_has(in, M_Unit) && strcmp(doc_z(in, M_Unit), unit) != 0) {
            continue;
        }
        for (int64_t at_ms = start_ms; at_ms < end_ms; at_ms += period_s * 1000) {
            struct metric_set set =
                metric_merge(metric, unit, at_ms, min_i64(at_ms + period_s * 1000, end_ms));

            if (set.count > 0) {
                add_point(in, unit, at_ms, &set, out);
            }
        }
    }
    return 0;
}

/* GetMetricData. */

/* [a-z][A-Za-z0-9_]*, and no other query's. */
static int check_id(const struct doc *in, size_t index, struct error *err)
{
    const char *id = doc_z(doc_at(in, M_MetricDataQueries, index), M_Id);
    bool fine = id[0] >= 'a' && id[0] <= 'z';

    for (const char *p = id; *p != '\0'; p++) {
        fine &= (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                *p == '_';
    }
    if (!fine) {
        return error_api(err, VALIDATION,
                         "The value %s for parameter MetricDataQueries.member.%zu.Id is not "
                         "matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.",
                         id, index + 1);
    }
    for (size_t i = 0; i < index; i++) {
        if (strcmp(doc_z(doc_at(in, M_MetricDataQueries, i), M_Id), id) == 0) {
            return error_api(err, VALIDATION,
                             "The values for parameter id in MetricDataQueries are not unique.");
        }
    }
    return 0;
}

static int check_query(const struct doc *query, size_t index, struct error *err)
{
    const struct doc *stat = doc_get(query, M_MetricStat);
    static const struct {
        int member;
        const char *name;
    } names[] = {{M_Namespace, "Namespace"}, {M_MetricName, "MetricName"}};
    static const char *const known[] = {"SampleCount", "Average", "Sum", "Minimum", "Maximum"};
    bool found = false;

    if (doc_has(query, M_Expression)) {
        return error_api(err, VALIDATION,
                         "MetricDataQueries.member.%zu.Expression: muster has no metric math",
                         index);
    }
    if (stat == NULL) {
        return error_api(err, VALIDATION,
                         "The parameter MetricDataQueries.member.%zu.MetricStat is required.\n",
                         index);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!doc_has(doc_get(stat, M_Metric), names[i].member)) {
            return error_api(err, VALIDATION,
                             "The parameter MetricDataQueries.member.%zu.MetricStat.Metric.%s is "
                             "required.\n",
                             index, names[i].name);
        }
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        found |= strcmp(known[i], doc_z(stat, M_Stat)) == 0;
    }
    return found ? check_period("MetricStat.Period", doc_int(stat, M_Period), err)
                 : error_api(err, VALIDATION,
                             "The value %s for parameter "
                             "MetricDataQueries.member.%zu.MetricStat.Stat is not supported.",
                             doc_z(stat, M_Stat), index);
}

struct data_request {
    const struct doc *in;
    int64_t start_ms, end_ms;
    bool ascending;
    int64_t skip;   /* Points that earlier pages gave. */
    int64_t points; /* Seen so far, those included. */
    int64_t points_end;
};

/* The metric's name; where other results have it too, with what differs: "CPUUtilization Sum 60".
 */
static const char *default_label(struct ctx *ctx, const struct doc *in, const struct doc *query)
{
    const struct doc *stat = doc_get(query, M_MetricStat);
    const char *name = doc_z(doc_get(stat, M_Metric), M_MetricName);
    bool stats = false, periods = false;
    struct buf label = {0};
    const char *copy;

    for (size_t i = 0; i < doc_count(in, M_MetricDataQueries); i++) {
        const struct doc *other = doc_at(in, M_MetricDataQueries, i);
        const struct doc *other_stat = doc_get(other, M_MetricStat);

        if (doc_bool_or(other, M_ReturnData, true) &&
            strcmp(doc_z(doc_get(other_stat, M_Metric), M_MetricName), name) == 0) {
            stats |= strcmp(doc_z(other_stat, M_Stat), doc_z(stat, M_Stat)) != 0;
            periods |= doc_int(other_stat, M_Period) != doc_int(stat, M_Period);
        }
    }
    buf_add_z(&label, name);
    if (stats) {
        buf_printf(&label, " %s", doc_z(stat, M_Stat));
    }
    if (periods) {
        buf_printf(&label, " %lld", (long long)doc_int(stat, M_Period));
    }
    copy = arena_strdup(ctx->arena, buf_slice(&label));
    buf_close(&label);
    return copy;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The unit asked for; else the metric's only one, or the first by alphabet, which is then said. */
static const char *unit_of(struct ctx *ctx, const struct doc *stat, const struct metric *metric,
                           struct doc *result)
{
    const char **units;
    struct buf list = {0};

    if (doc_has(stat, M_Unit) || metric == NULL || metric->series_count == 0) {
        return doc_z(stat, M_Unit);
    }
    units = arena_calloc(ctx->arena, metric->series_count, sizeof(*units));
    for (size_t i = 0; i < metric->series_count; i++) {
        units[i] = metric->series[i]->unit;
    }
    qsort(units, metric->series_count, sizeof(*units), by_text);
    if (metric->series_count > 1) {
        struct doc *message = doc_add_struct(result, M_Messages);

        for (size_t i = 0; i < metric->series_count; i++) {
            buf_printf(&list, "%s%s", i == 0 ? "" : ", ", units[i]);
        }
        doc_set_z(message, M_Code, "MultipleUnits");
        doc_set_format(message, M_Value, "Multiple units returned: '[%s]'", buf_z(&list));
        buf_close(&list);
    }
    return units[0];
}

static int answer_query(struct ctx *ctx, const struct doc *query, struct data_request *request,
                        struct doc *out, struct error *err)
{
    const struct doc *stat = doc_get(query, M_MetricStat), *wanted = doc_get(stat, M_Metric);
    struct cloudwatch_dimension dimensions[CLOUDWATCH_DIMENSIONS_MAX];
    struct doc *result = doc_add_struct(out, M_MetricDataResults), *times, *values;
    int64_t period_ms = doc_int(stat, M_Period) * 1000;
    int64_t first_ms = round_start_ms(request->start_ms, period_ms / 1000, ctx->now_ms);
    int64_t slots = (request->end_ms - first_ms + period_ms - 1) / period_ms;
    const struct metric *metric;
    const char *unit;
    size_t count;
    int rc = dimensions_read(wanted, M_Dimensions, dimensions, &count, err);

    if (rc != 0) {
        return rc;
    }
    metric = metric_find(&ctx->control->cloudwatch->metrics, doc_z(wanted, M_Namespace),
                         doc_z(wanted, M_MetricName), dimensions, count);
    unit = unit_of(ctx, stat, metric, result);
    doc_set_z(result, M_Id, doc_z(query, M_Id));
    doc_set_z(result, M_Label,
              doc_has(query, M_Label) ? doc_z(query, M_Label)
                                      : default_label(ctx, request->in, query));
    times = doc_set_list(result, M_Timestamps);
    values = doc_set_list(result, M_Values);
    for (int64_t i = 0; metric != NULL && i < slots && request->points <= request->points_end;
         i++) {
        int64_t at_ms = first_ms + (request->ascending ? i : slots - 1 - i) * period_ms;
        struct metric_set set =
            metric_merge(metric, unit, at_ms, min_i64(at_ms + period_ms, request->end_ms));

        if (set.count == 0) {
            continue;
        }
        request->points++; /* One more than fits is looked for, and not given. */
        if (request->points > request->skip && request->points <= request->points_end) {
            doc_list_add(times, doc_new_time_ms(ctx->arena, at_ms));
            doc_list_add(values,
                         doc_new_double(ctx->arena, metric_statistic(&set, doc_z(stat, M_Stat))));
        }
    }
    doc_set_z(result, M_StatusCode,
              request->points <= request->points_end ? "Complete" : "PartialData");
    return 0;
}

static int check_data_request(struct ctx *ctx, const struct doc *in, struct data_request *request,
                              struct error *err)
{
    struct slice skip;

    if (page_token_read(ctx->arena, "GetMetricData", doc_z(in, M_NextToken), &skip, err) != 0 ||
        (skip.bytes > 0 && text_to_i64(skip, 0, INT32_MAX, &request->skip, err) != 0)) {
        return error_api(err, "InvalidNextToken", "The next token specified is invalid.");
    }
    if (request->start_ms == request->end_ms) {
        return error_api(err, VALIDATION,
                         "The parameter StartTime must not equal parameter EndTime.");
    }
    if (request->start_ms > request->end_ms) {
        return error_api(err, VALIDATION, "The parameter EndTime must be greater than StartTime.");
    }
    for (size_t i = 0; i < doc_count(in, M_MetricDataQueries); i++) {
        int rc = check_id(in, i, err);

        rc = rc != 0 ? rc : check_query(doc_at(in, M_MetricDataQueries, i), i + 1, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int cloudwatch_get_metric_data(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct data_request request = {
        .in = in,
        .start_ms = doc_time_ms_or(in, M_StartTime, 0),
        .end_ms = doc_time_ms_or(in, M_EndTime, 0),
        .ascending = slice_equal(doc_text(in, M_ScanBy), SLICE_LIT("TimestampAscending")),
    };
    int64_t room = doc_int_or(in, M_MaxDatapoints, DATA_POINTS_MAX);
    int rc = check_data_request(ctx, in, &request, err);

    if (rc != 0) {
        return rc;
    }
    request.points_end = request.skip + max_i64(1, min_i64(room, DATA_POINTS_MAX));
    /* Nothing older is kept: no slots for it. */
    request.start_ms = max_i64(request.start_ms, ctx->now_ms - 2 * METRIC_KEEP_MS);
    request.end_ms = min_i64(request.end_ms, ctx->now_ms + METRIC_KEEP_MS);
    doc_set_list(out, M_MetricDataResults);
    doc_set_list(out, M_Messages);
    for (size_t i = 0; i < doc_count(in, M_MetricDataQueries); i++) {
        const struct doc *query = doc_at(in, M_MetricDataQueries, i);

        rc = doc_bool_or(query, M_ReturnData, true) ? answer_query(ctx, query, &request, out, err)
                                                    : 0;
        if (rc != 0) {
            return rc;
        }
    }
    if (request.points > request.points_end) {
        doc_set_z(out, M_NextToken,
                  page_token(ctx->arena, "GetMetricData",
                             arena_printf(ctx->arena, "%lld", (long long)request.points_end)));
    }
    return 0;
}

/* ListMetrics. */

static bool has_dimension(const struct metric *metric, const struct doc *filter)
{
    for (size_t i = 0; i < metric->dimension_count; i++) {
        if (strcmp(metric->dimensions[i].name, doc_z(filter, M_Name)) == 0 &&
            (!doc_has(filter, M_Value) ||
             strcmp(metric->dimensions[i].value, doc_z(filter, M_Value)) == 0)) {
            return true;
        }
    }
    return false;
}

static int64_t newest_ms(const struct metric *metric)
{
    int64_t newest = 0;

    for (size_t i = 0; i < metric->series_count; i++) {
        const struct metric_series *series = metric->series[i];

        if (series->count > 0) {
            newest = max_i64(newest, series->buckets[series->count - 1].time_ms);
        }
    }
    return newest;
}

static bool is_asked_for(const struct ctx *ctx, const struct doc *in, const struct metric *metric)
{
    if ((doc_has(in, M_Namespace) && strcmp(doc_z(in, M_Namespace), metric->namespace) != 0) ||
        (doc_has(in, M_MetricName) && strcmp(doc_z(in, M_MetricName), metric->name) != 0) ||
        (doc_has(in, M_RecentlyActive) && newest_ms(metric) < ctx->now_ms - ACTIVE_MS)) {
        return false;
    }
    for (size_t i = 0; i < doc_count(in, M_Dimensions); i++) {
        if (!has_dimension(metric, doc_at(in, M_Dimensions, i))) {
            return false;
        }
    }
    return true;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct metric *const *)a)->key, (*(const struct metric *const *)b)->key);
}

int cloudwatch_list_metrics(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    const struct map *by_keys = &ctx->control->cloudwatch->metrics.by_key;
    const struct metric **found = arena_calloc(ctx->arena, by_keys->count + 1, sizeof(*found));
    const struct metric *metric;
    struct slice after;
    size_t count = 0, given = 0;

    if (page_token_read(ctx->arena, "ListMetrics", doc_z(in, M_NextToken), &after, err) != 0) {
        return error_api(err, INVALID, "Request parameter NextToken is invalid");
    }
    for (size_t at = 0; (metric = map_next(by_keys, &at)) != NULL;) {
        if (is_asked_for(ctx, in, metric) && slice_compare(slice_z(metric->key), after) > 0) {
            found[count++] = metric;
        }
    }
    qsort(found, count, sizeof(struct metric *), by_key);
    doc_set_list(out, M_Metrics);
    for (; given < count && given < METRICS_PER_PAGE; given++) {
        struct doc *row = doc_add_struct(out, M_Metrics);

        metric = found[given];
        doc_set_z(row, M_Namespace, metric->namespace);
        doc_set_z(row, M_MetricName, metric->name);
        doc_set_list(row, M_Dimensions);
        for (size_t i = 0; i < metric->dimension_count; i++) {
            struct doc *dimension = doc_add_struct(row, M_Dimensions);

            doc_set_z(dimension, M_Name, metric->dimensions[i].name);
            doc_set_z(dimension, M_Value, metric->dimensions[i].value);
        }
    }
    if (given < count) {
        doc_set_z(out, M_NextToken,
                  page_token(ctx->arena, "ListMetrics", slice_z(found[given - 1]->key)));
    }
    return 0;
}
