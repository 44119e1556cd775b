/* Metrics in the store: a record for each series, and two logs (store/samples.h): every second what
 * was published, every minute its sums by the minute. A row is an array of struct line, in this
 * machine's byte order; adding up all of them is what memory holds. */
#include "base/alloc.h"
#include "base/log.h"
#include "services/cloudwatch/metric.h"
#include "store/changes.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
#define SUMS_BYTES_MAX (8 * 1024 * 1024) /* Written sooner than in a minute. */
#define LOG_BYTES_MAX (64LL * 1024 * 1024)
/* However much there is of it. */
#define SAMPLES_MINUTES_LEAST 5
#define SUMS_MINUTES_LEAST 30
#define SERIES SLICE_LIT("cloudwatch.series")
#define ID_BYTES 9

struct line {
    uint32_t series, unused;
    struct metric_bucket bucket;
};

static void add_line(struct buf *lines, const struct metric_series *series,
                     const struct metric_bucket *bucket)
{
    const struct line line = {.series = series->id, .bucket = *bucket};

    buf_add(lines, slice_of((const char *)&line, sizeof(line)));
}

static void id_text(const struct metric_series *series, char text[ID_BYTES])
{
    snprintf(text, ID_BYTES, "%08x", series->id); /* Sorts as the number does. */
}

/* Add to the minute that is being summed; another one ends it. */
static void sum_later(struct metrics *metrics, struct metric_series *series,
                      const struct metric_bucket *bucket)
{
    int64_t minute_ms = bucket->time_ms - bucket->time_ms % MINUTE_MS;

    if (series->minute.set.count > 0 && series->minute.time_ms != minute_ms) {
        add_line(&metrics->sums, series, &series->minute);
        series->minute = (struct metric_bucket){0};
    }
    series->minute.time_ms = minute_ms;
    metric_set_merge(&series->minute.set, &bucket->set);
}

void metric_note(struct metrics *metrics, struct metric_series *series,
                 const struct metric_bucket *bucket, struct buf *lines)
{
    add_line(lines, series, bucket);
    sum_later(metrics, series, bucket);
}

void metric_forget(struct changes *changes, const struct metric_series *series)
{
    char id[ID_BYTES];

    id_text(series, id);
    changes_del(changes, SERIES, slice_z(id));
}

void metrics_save(struct metrics *metrics, struct changes *changes, struct buf *lines,
                  int64_t now_ms)
{
    char id[ID_BYTES];

    for (size_t i = 0; i < metrics->unsaved_count; i++) {
        id_text(metrics->unsaved[i], id);
        changes_put(changes, SERIES, slice_z(id), slice_z(metrics->unsaved[i]->key));
    }
    metrics->unsaved_count = 0;
    if (lines->bytes > 0) {
        changes_add_samples(changes, ++metrics->last_row, now_ms, buf_slice(lines));
        metrics->samples_bytes += lines->bytes;
        buf_clear(lines);
    }
    if (metrics->sums.bytes > SUMS_BYTES_MAX) {
        metrics_save_sums(metrics, changes, now_ms);
    }
}

static int64_t keep_ms(int64_t bytes_per_minute, int64_t least_minutes, int64_t most_ms)
{
    int64_t minutes = LOG_BYTES_MAX / (bytes_per_minute + 1);

    return min_i64(max_i64(minutes, least_minutes) * MINUTE_MS, most_ms);
}

void metrics_save_sums(struct metrics *metrics, struct changes *changes, int64_t now_ms)
{
    struct metric *metric;
    struct buf sums;

    for (size_t at = 0; (metric = map_next(&metrics->by_key, &at)) != NULL;) {
        for (size_t i = 0; i < metric->series_count; i++) {
            struct metric_series *series = metric->series[i];

            if (series->minute.set.count > 0) {
                add_line(&metrics->sums, series, &series->minute);
                series->minute = (struct metric_bucket){0};
            }
        }
    }
    sums = metrics->sums;
    metrics->sums = (struct buf){0};
    metrics_save(metrics, changes, &metrics->samples, now_ms);
    if (sums.bytes > 0) {
        ASSERT(metrics->last_row > metrics->last_sums_row); /* They are the sums of something. */
        metrics->last_sums_row = metrics->last_row;
        changes_add_sums(changes, metrics->last_row, now_ms, buf_slice(&sums));
    }
    changes_expire_samples(
        changes,
        now_ms - keep_ms((int64_t)metrics->samples_bytes, SAMPLES_MINUTES_LEAST, METRIC_FINE_MS),
        now_ms - keep_ms((int64_t)sums.bytes, SUMS_MINUTES_LEAST, METRIC_KEEP_MS));
    metrics->samples_bytes = 0;
    buf_close(&sums);
}

void metrics_load_series(struct metrics *metrics, struct slice id, struct slice key)
{
    char text[ID_BYTES];
    uint32_t number;

    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(id));
    number = (uint32_t)strtoul(text, NULL, 16);
    metrics->loaded = mem_grow(metrics->loaded, metrics->loaded_count, &metrics->loaded_room,
                               sizeof(struct metric_series *));
    metrics->loaded[metrics->loaded_count++] = metric_series_make(metrics, key, number);
    metrics->last_id = number;
}

static int by_id(const void *key, const void *element)
{
    uint32_t id = *(const uint32_t *)key;
    const struct metric_series *const *series = element;

    return id < (*series)->id ? -1 : id > (*series)->id;
}

/* Lines mostly come in the order of ids. NULL: its series went since. */
static struct metric_series *loaded_series(struct metrics *metrics, uint32_t id)
{
    struct metric_series **found = NULL;

    if (metrics->loaded_at < metrics->loaded_count &&
        metrics->loaded[metrics->loaded_at]->id == id) {
        found = &metrics->loaded[metrics->loaded_at];
    } else if (metrics->loaded_count > 0) {
        found = bsearch(&id, metrics->loaded, metrics->loaded_count, sizeof(struct metric_series *),
                        by_id);
    }
    metrics->loaded_at = found == NULL ? 0 : (size_t)(found - metrics->loaded) + 1;
    return found == NULL ? NULL : *found;
}

void metrics_load_row(struct metrics *metrics, int64_t row, bool summed, struct slice lines)
{
    struct line line;

    if (lines.bytes % sizeof(line) != 0) {
        log_warn("cloudwatch.samples_unreadable row=%lld", (long long)row);
    }
    for (size_t at = 0; at + sizeof(line) <= lines.bytes; at += sizeof(line)) {
        struct metric_series *series;

        memcpy(&line, lines.data + at, sizeof(line));
        series = loaded_series(metrics, line.series);
        metrics->last_id = line.series > metrics->last_id ? line.series : metrics->last_id;
        if (series == NULL) {
            continue;
        }
        metric_series_merge(series, &line.bucket);
        if (!summed) {
            sum_later(metrics, series, &line.bucket);
        }
    }
    metrics->last_row = max_i64(metrics->last_row, row);
    metrics->last_sums_row = summed ? max_i64(metrics->last_sums_row, row) : metrics->last_sums_row;
}

void metrics_loaded(struct metrics *metrics)
{
    free(metrics->loaded);
    metrics->loaded = NULL;
    metrics->loaded_count = metrics->loaded_room = metrics->loaded_at = 0;
}
