#include "services/cloudwatch/metric.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "store/changes.h"

#include <stdlib.h>
#include <string.h>

#define SECOND_MS 1000
#define MINUTE_MS 60000
#define BUCKETS_MAX 4096 /* Of a series: three hours of 5 s and a day of minutes fit. */
#define PART '\x1f'      /* Between the parts of a key; names have no control characters. */

static void free_metric(struct metric *metric)
{
    for (size_t i = 0; i < metric->series_count; i++) {
        free(metric->series[i].key);
        free(metric->series[i].unit);
        free(metric->series[i].buckets);
    }
    for (size_t i = 0; i < metric->dimension_count; i++) {
        free((char *)metric->dimensions[i].name);
        free((char *)metric->dimensions[i].value);
    }
    free(metric->series);
    free(metric->dimensions);
    free(metric->namespace);
    free(metric->name);
    free(metric->key);
    free(metric);
}

void metrics_close(struct metrics *metrics)
{
    struct metric *metric;

    for (size_t at = 0; (metric = map_next(&metrics->by_key, &at)) != NULL;) {
        free_metric(metric);
    }
    map_close(&metrics->by_key);
}

static int by_name(const void *a, const void *b)
{
    const struct cloudwatch_dimension *left = a, *right = b;

    return strcmp(left->name, right->name);
}

/* Namespace, name, and the dimensions by name. */
static void make_key(struct buf *key, const char *namespace, const char *name,
                     const struct cloudwatch_dimension *dimensions, size_t count)
{
    struct cloudwatch_dimension sorted[CLOUDWATCH_DIMENSIONS_MAX];

    ASSERT(count <= COUNT_OF(sorted));
    if (count > 0) {
        memcpy(sorted, dimensions, count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), by_name);
    }
    buf_add_z(key, namespace);
    buf_add_byte(key, PART);
    buf_add_z(key, name);
    for (size_t i = 0; i < count; i++) {
        buf_add_byte(key, PART);
        buf_add_z(key, sorted[i].name);
        buf_add_byte(key, PART);
        buf_add_z(key, sorted[i].value);
    }
}

struct metric *metric_find(const struct metrics *metrics, const char *namespace, const char *name,
                           const struct cloudwatch_dimension *dimensions, size_t count)
{
    struct metric *metric;
    struct buf key = {0};

    make_key(&key, namespace, name, dimensions, count);
    metric = map_get(&metrics->by_key, buf_slice(&key));
    buf_close(&key);
    return metric;
}

static struct metric *new_metric(struct metrics *metrics, struct slice key)
{
    struct metric *metric = mem_calloc(1, sizeof(*metric));
    struct slice rest = key, part, value;

    metric->key = mem_strndup(key.data, key.bytes);
    metric->dimensions = mem_calloc(CLOUDWATCH_DIMENSIONS_MAX, sizeof(*metric->dimensions));
    if (slice_next(&rest, PART, &part)) {
        metric->namespace = mem_strndup(part.data, part.bytes);
    }
    if (slice_next(&rest, PART, &part)) {
        metric->name = mem_strndup(part.data, part.bytes);
    }
    while (metric->dimension_count < CLOUDWATCH_DIMENSIONS_MAX && slice_next(&rest, PART, &part) &&
           slice_next(&rest, PART, &value)) {
        metric->dimensions[metric->dimension_count++] =
            (struct cloudwatch_dimension){.name = mem_strndup(part.data, part.bytes),
                                          .value = mem_strndup(value.data, value.bytes)};
    }
    map_put(&metrics->by_key, key, metric);
    return metric;
}

static struct metric_series *series_of(struct metric *metric, struct slice unit)
{
    struct metric_series *series;
    struct buf key = {0};

    for (size_t i = 0; i < metric->series_count; i++) {
        if (slice_equal_z(unit, metric->series[i].unit)) {
            return &metric->series[i];
        }
    }
    metric->series =
        mem_grow(metric->series, metric->series_count, &metric->series_room, sizeof(*series));
    series = &metric->series[metric->series_count++];
    buf_add(&key, unit);
    buf_add_byte(&key, PART);
    buf_add_z(&key, metric->key);
    *series = (struct metric_series){.key = buf_take(&key), //
                                     .unit = mem_strndup(unit.data, unit.bytes)};
    return series;
}

/* The first bucket that does not begin before @time_ms. */
static size_t lower_bound(const struct metric_series *series, int64_t time_ms)
{
    size_t low = 0, high = series->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (series->buckets[middle].time_ms < time_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void metric_set_merge(struct metric_set *into, const struct metric_set *set)
{
    if (set->count <= 0) {
        return;
    }
    into->minimum = into->count == 0 || set->minimum < into->minimum ? set->minimum : into->minimum;
    into->maximum = into->count == 0 || set->maximum > into->maximum ? set->maximum : into->maximum;
    into->count += set->count;
    into->sum += set->sum;
}

/* The bucket's index. */
static size_t merge_into(struct metric_series *series, int64_t time_ms,
                         const struct metric_set *set)
{
    size_t at = lower_bound(series, time_ms);

    if (at == series->count || series->buckets[at].time_ms != time_ms) {
        if (series->count == BUCKETS_MAX) {
            memmove(series->buckets, series->buckets + 1,
                    (series->count - 1) * sizeof(*series->buckets));
            series->count--;
            at -= at > 0;
        }
        series->buckets =
            mem_grow(series->buckets, series->count, &series->room, sizeof(*series->buckets));
        memmove(series->buckets + at + 1, series->buckets + at,
                (series->count - at) * sizeof(*series->buckets));
        series->buckets[at] = (struct metric_bucket){.time_ms = time_ms};
        series->count++;
    }
    metric_set_merge(&series->buckets[at].set, set);
    return at;
}

int metric_add(struct metrics *metrics, const struct cloudwatch_datum *datum, int64_t resolution_ms,
               struct metric_series **series, size_t *at, struct error *err)
{
    const struct metric_set set = {datum->count, datum->sum, datum->minimum, datum->maximum};
    const char *unit = datum->unit == NULL ? "None" : datum->unit;
    struct metric *metric;
    struct buf key = {0};

    make_key(&key, datum->namespace, datum->name, datum->dimensions, datum->dimension_count);
    metric = map_get(&metrics->by_key, buf_slice(&key));
    if (metric == NULL && metrics->by_key.count >= METRICS_MAX) {
        buf_close(&key);
        return error_set(err, ERR_TOO_LARGE, "There are %d metrics already", METRICS_MAX);
    }
    if (metric == NULL) {
        metric = new_metric(metrics, buf_slice(&key));
    }
    buf_close(&key);
    *series = series_of(metric, slice_z(unit));
    *at = merge_into(*series, datum->time_ms - datum->time_ms % resolution_ms, &set);
    (*series)->buckets[*at].dirty = true;
    (*series)->dirty = true;
    return 0;
}

struct metric_set metric_merge(const struct metric *metric, const char *unit, int64_t from_ms,
                               int64_t to_ms)
{
    struct metric_set set = {0};

    for (size_t i = 0; metric != NULL && i < metric->series_count; i++) {
        const struct metric_series *series = &metric->series[i];

        if (unit != NULL && strcmp(unit, series->unit) != 0) {
            continue;
        }
        for (size_t j = lower_bound(series, from_ms);
             j < series->count && series->buckets[j].time_ms < to_ms; j++) {
            metric_set_merge(&set, &series->buckets[j].set);
        }
    }
    return set;
}

double metric_statistic(const struct metric_set *set, const char *statistic)
{
    switch (statistic[0]) {
    case 'A':
        return set->sum / set->count;
    case 'M':
        return statistic[1] == 'i' ? set->minimum : set->maximum;
    default:
        return statistic[1] == 'a' ? set->count : set->sum; /* SampleCount, Sum. */
    }
}

/* Buckets up to @before_ms become minutes, in place. */
static void roll_up(struct metric_series *series, int64_t before_ms)
{
    size_t to = 0;

    for (size_t from = 0; from < series->count; from++) {
        struct metric_bucket bucket = series->buckets[from];

        if (bucket.time_ms < before_ms) {
            bucket.time_ms -= bucket.time_ms % MINUTE_MS;
        }
        if (to > 0 && series->buckets[to - 1].time_ms == bucket.time_ms) {
            metric_set_merge(&series->buckets[to - 1].set, &bucket.set);
        } else {
            series->buckets[to++] = bucket;
        }
    }
    series->count = to;
}

static void forget(struct metric_series *series, int64_t before_ms)
{
    size_t gone = lower_bound(series, before_ms);

    series->count -= gone;
    if (gone > 0) {
        memmove(series->buckets, series->buckets + gone, series->count * sizeof(*series->buckets));
    }
}

void metrics_prune(struct metrics *metrics, int64_t now_ms)
{
    struct metric *metric;

    for (size_t at = 0; (metric = map_next(&metrics->by_key, &at)) != NULL;) {
        size_t left = 0;

        for (size_t i = 0; i < metric->series_count; i++) {
            forget(&metric->series[i], now_ms - METRIC_KEEP_MS);
            roll_up(&metric->series[i], now_ms - METRIC_FINE_MS);
            left += metric->series[i].count;
        }
        if (left == 0) {
            map_remove(&metrics->by_key, slice_z(metric->key));
            free_metric(metric);
        }
    }
}

void metric_save(struct changes *changes, struct metric_series *series, size_t at)
{
    struct metric_bucket *bucket = &series->buckets[at];
    struct buf body = {0};

    buf_printf(&body, "%.17g %.17g %.17g %.17g", bucket->set.count, bucket->set.sum,
               bucket->set.minimum, bucket->set.maximum);
    changes_put_sample(changes, slice_z(series->key), bucket->time_ms, buf_slice(&body));
    buf_close(&body);
    bucket->dirty = false;
}

void metrics_save_dirty(struct metrics *metrics, struct changes *changes)
{
    struct metric *metric;

    for (size_t at = 0; (metric = map_next(&metrics->by_key, &at)) != NULL;) {
        for (size_t i = 0; i < metric->series_count; i++) {
            struct metric_series *series = &metric->series[i];

            for (size_t j = series->dirty ? series->count : 0; j > 0; j--) {
                if (series->buckets[j - 1].dirty) {
                    metric_save(changes, series, j - 1);
                }
            }
            series->dirty = false;
        }
    }
}

void metrics_load(struct metrics *metrics, struct slice key, int64_t time_ms, struct slice body)
{
    struct slice rest = key, unit, number;
    double numbers[4];
    struct metric *metric;

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (!slice_next(&body, ' ', &number) || text_to_double(number, &numbers[i], NULL) != 0) {
            log_warn("cloudwatch.sample_unreadable time_ms=%lld", (long long)time_ms);
            return;
        }
    }
    if (!slice_next(&rest, PART, &unit) || rest.bytes == 0) {
        log_warn("cloudwatch.sample_unreadable time_ms=%lld", (long long)time_ms);
        return;
    }
    metric = map_get(&metrics->by_key, rest);
    metric = metric != NULL ? metric : new_metric(metrics, rest);
    merge_into(series_of(metric, unit), time_ms,
               &(struct metric_set){numbers[0], numbers[1], numbers[2], numbers[3]});
}
