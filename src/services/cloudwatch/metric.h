/* Metrics in memory: statistic sets per second, per minute once they are three hours old, for a
 * day; of very many metrics less of each. Every unit is a stream of its own inside a metric, as on
 * AWS. Loop thread. */
#ifndef SERVICES_CLOUDWATCH_METRIC_H
#define SERVICES_CLOUDWATCH_METRIC_H

#include "base/buf.h"
#include "base/map.h"
#include "services/cloudwatch/cloudwatch.h"

#define METRICS_MAX 100000 /* Counted by unit. */
#define METRIC_FINE_MS (3LL * 60 * 60 * 1000)
#define METRIC_KEEP_MS (24LL * 60 * 60 * 1000)
/* All metrics share as many buckets, those that alarms watch as many again; none has fewer than the
 * least. */
#define METRIC_BUCKETS_MAX 2000000
#define METRIC_BUCKETS_LEAST 32
#define METRIC_WATCHED_BUCKETS_LEAST 512

struct metric_set {
    double count, sum, minimum, maximum;
};

struct metric_bucket {
    int64_t time_ms; /* Of its begin. */
    struct metric_set set;
};

struct metric_series {
    uint32_t id; /* In the store's logs. */
    char *key;   /* The unit, and the metric's key. */
    char *unit;
    struct metric_bucket *buckets; /* By time. */
    size_t count, room;
    struct metric_bucket minute; /* Published since the last sums; empty: nothing. */
};

struct metric {
    char *key;
    char *namespace, *name;
    struct cloudwatch_dimension *dimensions; /* Sorted by name. */
    size_t dimension_count;
    struct metric_series **series;
    size_t series_count, series_room;
    bool watched; /* By an alarm. */
};

struct metrics {
    struct map by_key;
    size_t series_count;
    int64_t warned_ms; /* That there are too many; time_boot_ms(). */

    /* What the store does not have yet: see metric_log.c. */
    struct metric_series **unsaved;
    size_t unsaved_count, unsaved_room;
    struct buf samples, sums; /* Lines. */
    size_t samples_bytes;     /* Written since the last sums. */
    uint32_t last_id;
    int64_t last_row, last_sums_row;
    struct metric_series **loaded; /* By id, until metrics_loaded(). */
    size_t loaded_count, loaded_room, loaded_at;
};

void metrics_close(struct metrics *metrics);

/* NULL: nobody has published it. Dimensions in any order. */
struct metric *metric_find(const struct metrics *metrics, const char *namespace, const char *name,
                           const struct cloudwatch_dimension *dimensions, size_t count);

/* Has it been published, in this unit? */
bool metric_has(const struct metrics *metrics, const struct cloudwatch_datum *datum);
/* Merge into the bucket of @resolution_ms at the datum's time, and note it in @lines for the store.
 * ERR_TOO_LARGE when there are METRICS_MAX already and this is another one. */
int metric_add(struct metrics *metrics, const struct cloudwatch_datum *datum, int64_t resolution_ms,
               struct buf *lines, struct error *err);

/* All that was published in from_ms <= time < to_ms, in @unit or (NULL) in any. */
struct metric_set metric_merge(const struct metric *metric, const char *unit, int64_t from_ms,
                               int64_t to_ms);
void metric_set_merge(struct metric_set *into, const struct metric_set *set);
/* "Average" and so on; @set is not empty. */
double metric_statistic(const struct metric_set *set, const char *statistic);

/* Roll up what is old, forget what is older or beyond a metric's share, and metrics that have
 * nothing left, in @changes too. */
struct changes;
void metrics_prune(struct metrics *metrics, struct changes *changes, int64_t now_ms);

/* The store's side, in metric_log.c. */

/* Write @lines, which may be metrics->samples, and the series that they are about; empties it. */
void metrics_save(struct metrics *metrics, struct changes *changes, struct buf *lines,
                  int64_t now_ms);
/* Once a minute: save what is unsaved, write the sums of all since the last time, let old rows go.
 */
void metrics_save_sums(struct metrics *metrics, struct changes *changes, int64_t now_ms);

/* Take back a series, then the rows; what cannot be read is left out. */
void metrics_load_series(struct metrics *metrics, struct slice id, struct slice key);
void metrics_load_row(struct metrics *metrics, int64_t row, bool summed, struct slice lines);
/* The rows are all there; what was loaded without being in sums yet will be in the next. */
void metrics_loaded(struct metrics *metrics);

/* Between metric.c and metric_log.c. */
struct metric_series *metric_series_make(struct metrics *metrics, struct slice key, uint32_t id);
void metric_series_merge(struct metric_series *series, const struct metric_bucket *bucket);
/* Its record goes. */
void metric_forget(struct changes *changes, const struct metric_series *series);
/* A new bucket, or what came to one: for the samples' @lines and for the sums. */
void metric_note(struct metrics *metrics, struct metric_series *series,
                 const struct metric_bucket *bucket, struct buf *lines);

#endif /* SERVICES_CLOUDWATCH_METRIC_H */
