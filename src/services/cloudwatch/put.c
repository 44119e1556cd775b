/* PutMetricData, and what muster's own services publish. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/log.h"
#include "services/cloudwatch/private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SECOND_MS 1000
#define MINUTE_MS 60000
#define PAST_MS (14LL * 24 * 60 * 60 * 1000)
#define FUTURE_MS (2LL * 60 * 60 * 1000)
#define WARN_EVERY_MS 60000
#define VALUE_MAX 0x1p360

#define INVALID "InvalidParameterValue"
#define COMBINATION "InvalidParameterCombination"
#define MISSING "MissingParameter"

int name_check(const char *parameter, const char *text, struct error *err)
{
    bool blank = true;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at < 0x20 || *at > 0x7e) {
            return error_api(err, INVALID, "The parameter %s must contain only ASCII characters.",
                             parameter);
        }
        blank &= *at == ' ';
    }
    if (blank) {
        return error_api(err, INVALID, "The parameter %s must not be blank.", parameter);
    }
    return text[0] != ':' ? 0
                          : error_api(err, INVALID,
                                      "The value %s for parameter %s is invalid: it must not "
                                      "start with a colon.",
                                      text, parameter);
}

int dimensions_read(const struct doc *in, int member, struct cloudwatch_dimension *dimensions,
                    size_t *count, struct error *err)
{
    *count = doc_count(in, member);
    for (size_t i = 0; i < *count; i++) {
        const struct doc *dimension = doc_at(in, member, i);
        int rc;

        dimensions[i] = (struct cloudwatch_dimension){doc_z(dimension, M_Name), //
                                                      doc_z(dimension, M_Value)};
        rc = name_check("Dimensions.member.Name", dimensions[i].name, err);
        rc = rc != 0 ? rc : name_check("Dimensions.member.Value", dimensions[i].value, err);
        for (size_t j = 0; rc == 0 && j < i; j++) {
            if (strcmp(dimensions[i].name, dimensions[j].name) == 0) {
                rc = error_api(err, INVALID,
                               "No two dimensions may have the same name; %s is there twice.",
                               dimensions[i].name);
            }
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int check_value(size_t index, const char *what, double value, struct error *err)
{
    if (isnan(value) || fabs(value) > VALUE_MAX) {
        return error_api(err, INVALID,
                         "The value %g for parameter MetricData.member.%zu.%s is invalid.", value,
                         index, what);
    }
    return 0;
}

static int read_statistic_set(size_t index, const struct doc *in, struct metric_set *set,
                              struct error *err)
{
    static const char *const names[] = {"StatisticValues.SampleCount", "StatisticValues.Sum",
                                        "StatisticValues.Minimum", "StatisticValues.Maximum"};

    *set = (struct metric_set){
        .count = doc_double_or(in, M_SampleCount, 0),
        .sum = doc_double_or(in, M_Sum, 0),
        .minimum = doc_double_or(in, M_Minimum, 0),
        .maximum = doc_double_or(in, M_Maximum, 0),
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const double values[] = {set->count, set->sum, set->minimum, set->maximum};
        int rc = check_value(index, names[i], values[i], err);

        if (rc != 0) {
            return rc;
        }
    }
    if (set->count <= 0) {
        return check_value(index, names[0], NAN, err);
    }
    if (set->minimum > set->maximum) {
        return error_api(err, INVALID,
                         "The parameter MetricData.member.%zu.StatisticValues.Maximum must be "
                         "greater than MetricData.member.%zu.StatisticValues.Minimum.",
                         index, index);
    }
    return 0;
}

static int read_values(size_t index, const struct doc *in, struct metric_set *set,
                       struct error *err)
{
    size_t counts = doc_count(in, M_Counts);

    if (counts > 0 && counts != doc_count(in, M_Values)) {
        return error_api(err, INVALID,
                         "The parameters MetricData.member.%zu.Values and "
                         "MetricData.member.%zu.Counts must be of the same size.",
                         index, index);
    }
    for (size_t i = 0; i < doc_count(in, M_Values); i++) {
        double value = doc_value_double(doc_at(in, M_Values, i));
        double count = counts == 0 ? 1 : doc_value_double(doc_at(in, M_Counts, i));
        int rc = check_value(index, "Values", value, err);

        rc = rc != 0 ? rc : check_value(index, "Counts", count < 0 ? NAN : count, err);
        if (rc != 0) {
            return rc;
        }
        metric_set_merge(set, &(struct metric_set){count, value * count, value, value});
    }
    return 0;
}

/* Exactly one of Value, StatisticValues and Values. */
static int read_set(size_t index, const struct doc *in, struct metric_set *set, struct error *err)
{
    const bool given[] = {doc_has(in, M_Value), doc_has(in, M_StatisticValues),
                          doc_has(in, M_Values)};
    static const char *const names[] = {"Value", "StatisticValues", "Values"};

    for (size_t i = 0; i < COUNT_OF(given); i++) {
        for (size_t j = i + 1; j < COUNT_OF(given); j++) {
            if (given[i] && given[j]) {
                return error_api(err, COMBINATION,
                                 "The parameters MetricData.member.%zu.%s and "
                                 "MetricData.member.%zu.%s are mutually exclusive and you have "
                                 "specified both.",
                                 index, names[i], index, names[j]);
            }
        }
    }
    if (given[0]) {
        double value = doc_double_or(in, M_Value, 0);

        *set = (struct metric_set){1, value, value, value};
        return check_value(index, names[0], value, err);
    }
    if (given[1]) {
        return read_statistic_set(index, doc_get(in, M_StatisticValues), set, err);
    }
    if (given[2]) {
        return read_values(index, in, set, err);
    }
    return error_api(err, MISSING,
                     "At least one of the parameters MetricData.member.%zu.Value, "
                     "MetricData.member.%zu.Values or MetricData.member.%zu.StatisticValues must "
                     "be specified.",
                     index, index, index);
}

struct datum {
    struct cloudwatch_datum public;
    struct cloudwatch_dimension dimensions[CLOUDWATCH_DIMENSIONS_MAX];
    int64_t resolution_ms;
};

static int read_datum(const struct ctx *ctx, size_t index, const struct doc *in,
                      struct datum *datum, struct error *err)
{
    int64_t resolution = doc_int_or(in, M_StorageResolution, 60);
    struct metric_set set = {0};
    int rc = name_check("MetricData.member.MetricName", doc_z(in, M_MetricName), err);

    datum->public.name = doc_z(in, M_MetricName);
    datum->public.unit = doc_z(in, M_Unit);
    datum->public.dimensions = datum->dimensions;
    datum->public.time_ms = doc_time_ms_or(in, M_Timestamp, ctx->now_ms);
    datum->resolution_ms = resolution == 1 ? SECOND_MS : MINUTE_MS;
    rc = rc != 0 ? rc
                 : dimensions_read(in, M_Dimensions, datum->dimensions,
                                   &datum->public.dimension_count, err);
    rc = rc != 0 ? rc : read_set(index, in, &set, err);
    if (rc != 0) {
        return rc;
    }
    if (resolution != 1 && resolution != 60) {
        return error_api(err, INVALID,
                         "The parameter MetricData.member.%zu.StorageResolution must be 1 or 60.",
                         index);
    }
    if (datum->public.time_ms < ctx->now_ms - PAST_MS) {
        return error_api(err, INVALID,
                         "The parameter MetricData.member.%zu.Timestamp must specify a time within "
                         "the past two weeks.",
                         index);
    }
    if (datum->public.time_ms > ctx->now_ms + FUTURE_MS) {
        return error_api(err, INVALID,
                         "The parameter MetricData.member.%zu.Timestamp must specify a time no "
                         "more than two hours in the future.",
                         index);
    }
    datum->public.count = set.count;
    datum->public.sum = set.sum;
    datum->public.minimum = set.minimum;
    datum->public.maximum = set.maximum;
    return 0;
}

int cloudwatch_put_metric_data(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct metrics *metrics = &ctx->control->cloudwatch->metrics;
    struct buf lines = {0};
    size_t count = doc_count(in, M_MetricData);
    struct datum *data = arena_calloc(ctx->arena, count + 1, sizeof(*data));
    int rc = name_check("Namespace", doc_z(in, M_Namespace), err);

    (void)out;
    if (rc == 0 && count == 0) {
        rc = error_api(err, MISSING, "The parameter MetricData is required.");
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        data[i].public.namespace = doc_z(in, M_Namespace);
        rc = read_datum(ctx, i + 1, doc_at(in, M_MetricData, i), &data[i], err);
    }
    if (rc == 0 && metrics->series_count + count > METRICS_MAX) {
        size_t more = 0; /* Counted only near the bound; twins count twice. */

        for (size_t i = 0; i < count; i++) {
            more += !metric_has(metrics, &data[i].public);
        }
        if (metrics->series_count + more > METRICS_MAX) {
            rc = error_api(err, "LimitExceeded",
                           "muster keeps at most %d metrics; idle ones go after a day.",
                           METRICS_MAX);
        }
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = metric_add(metrics, &data[i].public, data[i].resolution_ms, &lines, err);
    }
    if (rc == 0) { /* What a refused request writes is forgotten, and would take others' along. */
        metrics_save(metrics, ctx->changes, &lines, ctx->now_ms);
    }
    buf_close(&lines);
    return rc;
}

void cloudwatch_put(struct control *control, const struct cloudwatch_datum *datum)
{
    struct metrics *metrics;

    if (control->cloudwatch == NULL) {
        return; /* Tests of one service. */
    }
    metrics = &control->cloudwatch->metrics;
    if (metric_add(metrics, datum, SECOND_MS, &metrics->samples, NULL) == 0) {
        samples_save_soon(control);
    } else if (time_boot_ms() - metrics->warned_ms > WARN_EVERY_MS) {
        metrics->warned_ms = time_boot_ms();
        log_warn("cloudwatch.metric_dropped namespace=%s name=%s metrics=%d", datum->namespace,
                 datum->name, METRICS_MAX);
    }
}

void cloudwatch_put_value(struct control *control, const char *namespace, const char *name,
                          const struct cloudwatch_dimension *dimensions, size_t dimension_count,
                          const char *unit, int64_t time_ms, double value)
{
    cloudwatch_put(control, &(struct cloudwatch_datum){.namespace = namespace,
                                                       .name = name,
                                                       .dimensions = dimensions,
                                                       .dimension_count = dimension_count,
                                                       .unit = unit,
                                                       .time_ms = time_ms,
                                                       .count = 1,
                                                       .sum = value,
                                                       .minimum = value,
                                                       .maximum = value});
}
