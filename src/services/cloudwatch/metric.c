#include "services/cloudwatch/metric.h"

#include "base/alloc.h"
#include "store/changes.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
#define BUCKETS_MAX 4096 /* Of a series: three hours of 5 s and a day of minutes fit. */
#define PART '\x1f'      /* Between the parts of a key; names have no control characters. */

static void free_series(struct metric_series *series)
{
    free(series->key);
    free(series->unit);
    free(series->buckets);
    free(series);
}

static void free_metric(struct metric *metric)
{
    for (size_t i = 0; i < metric->series_count; i++) {
        free_series(metric->series[i]);
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
    buf_close(&metrics->samples);
    buf_close(&metrics->sums);
    free(metrics->unsaved);
    free(metrics->loaded);
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
    size_t parts = 0;

    for (size_t i = 0; i < key.bytes; i++) {
        parts += key.data[i] == PART;
    }
    metric->key = mem_strndup(key.data, key.bytes);
    metric->dimensions = mem_calloc(parts / 2 + 1, sizeof(*metric->dimensions));
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

struct metric_series *metric_series_make(struct metrics *metrics, struct slice key, uint32_t id)
{
    struct metric_series *series = mem_calloc(1, sizeof(*series));
    struct slice rest = key, unit = {0};
    struct metric *metric;

    (void)slice_next(&rest, PART, &unit);
    metric = map_get(&metrics->by_key, rest);
    metric = metric != NULL ? metric : new_metric(metrics, rest);
    *series = (struct metric_series){.id = id,
                                     .key = mem_strndup(key.data, key.bytes),
                                     .unit = mem_strndup(unit.data, unit.bytes)};
    metric->series = mem_grow(metric->series, metric->series_count, &metric->series_room,
                              sizeof(struct metric_series *));
    metric->series[metric->series_count++] = series;
    metrics->series_count++;
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

void metric_series_merge(struct metric_series *series, const struct metric_bucket *bucket)
{
    size_t at = lower_bound(series, bucket->time_ms);

    if (at == series->count || series->buckets[at].time_ms != bucket->time_ms) {
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
        series->buckets[at] = (struct metric_bucket){.time_ms = bucket->time_ms};
        series->count++;
    }
    metric_set_merge(&series->buckets[at].set, &bucket->set);
}

/* The unit, PART, the metric's key: what names a series. */
static void series_key(struct buf *key, const struct cloudwatch_datum *datum)
{
    buf_add_z(key, datum->unit == NULL ? "None" : datum->unit);
    buf_add_byte(key, PART);
    make_key(key, datum->namespace, datum->name, datum->dimensions, datum->dimension_count);
}

static struct metric_series *find_series(const struct metrics *metrics, struct slice key)
{
    struct slice metric_key = key, unit = {0};
    const struct metric *metric;

    (void)slice_next(&metric_key, PART, &unit);
    metric = map_get(&metrics->by_key, metric_key);
    for (size_t i = 0; metric != NULL && i < metric->series_count; i++) {
        if (slice_equal_z(unit, metric->series[i]->unit)) {
            return metric->series[i];
        }
    }
    return NULL;
}

bool metric_has(const struct metrics *metrics, const struct cloudwatch_datum *datum)
{
    struct buf key = {0};
    bool has;

    series_key(&key, datum);
    has = find_series(metrics, buf_slice(&key)) != NULL;
    buf_close(&key);
    return has;
}

/* NULL when there are too many to add it. */
static struct metric_series *series_of(struct metrics *metrics,
                                       const struct cloudwatch_datum *datum)
{
    struct buf key = {0};
    struct metric_series *series;

    series_key(&key, datum);
    series = find_series(metrics, buf_slice(&key));
    if (series == NULL && metrics->series_count < METRICS_MAX) {
        series = metric_series_make(metrics, buf_slice(&key), ++metrics->last_id);
        metrics->unsaved = mem_grow(metrics->unsaved, metrics->unsaved_count,
                                    &metrics->unsaved_room, sizeof(struct metric_series *));
        metrics->unsaved[metrics->unsaved_count++] = series;
    }
    buf_close(&key);
    return series;
}

int metric_add(struct metrics *metrics, const struct cloudwatch_datum *datum, int64_t resolution_ms,
               struct buf *lines, struct error *err)
{
    const struct metric_bucket bucket = {
        .time_ms = datum->time_ms - datum->time_ms % resolution_ms,
        .set = {datum->count, datum->sum, datum->minimum, datum->maximum}};
    struct metric_series *series = series_of(metrics, datum);

    if (series == NULL) {
        return error_set(err, ERR_TOO_LARGE, "There are %d metrics already", METRICS_MAX);
    }
    metric_series_merge(series, &bucket);
    metric_note(metrics, series, &bucket, lines);
    return 0;
}

struct metric_set metric_merge(const struct metric *metric, const char *unit, int64_t from_ms,
                               int64_t to_ms)
{
    struct metric_set set = {0};

    for (size_t i = 0; metric != NULL && i < metric->series_count; i++) {
        const struct metric_series *series = metric->series[i];

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

/* What is beyond @share: the older half of that becomes minutes, the oldest minutes go. */
static void shrink(struct metric_series *series, size_t share)
{
    if (series->count > share) {
        roll_up(series, series->buckets[series->count - share / 2].time_ms);
    }
    if (series->count > share) {
        forget(series, series->buckets[series->count - share].time_ms);
    }
}

static size_t share_of(size_t metrics, size_t least)
{
    size_t share = METRIC_BUCKETS_MAX / (metrics + 1);

    return share < least ? least : share;
}

/* Those that still hold something stay. */
static void prune_series(struct metrics *metrics, struct metric *metric, struct changes *changes,
                         int64_t now_ms, size_t share)
{
    size_t kept = 0;

    for (size_t i = 0; i < metric->series_count; i++) {
        struct metric_series *series = metric->series[i];

        forget(series, now_ms - METRIC_KEEP_MS);
        roll_up(series, now_ms - METRIC_FINE_MS);
        shrink(series, share);
        if (series->count > 0) {
            metric->series[kept++] = series;
        } else {
            metric_forget(changes, series);
            free_series(series);
            metrics->series_count--;
        }
    }
    metric->series_count = kept;
}

void metrics_prune(struct metrics *metrics, struct changes *changes, int64_t now_ms)
{
    struct metric *metric;
    size_t watched = 0, share, watched_share;

    ASSERT(metrics->unsaved_count == 0);
    for (size_t at = 0; (metric = map_next(&metrics->by_key, &at)) != NULL;) {
        watched += metric->watched ? metric->series_count : 0;
    }
    share = share_of(metrics->series_count - watched, METRIC_BUCKETS_LEAST);
    watched_share = share_of(watched, METRIC_WATCHED_BUCKETS_LEAST);
    for (size_t at = 0; (metric = map_next(&metrics->by_key, &at)) != NULL;) {
        prune_series(metrics, metric, changes, now_ms, metric->watched ? watched_share : share);
        if (metric->series_count == 0) {
            map_remove(&metrics->by_key, slice_z(metric->key));
            free_metric(metric);
        }
    }
}
