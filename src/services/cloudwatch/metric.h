/* Metrics in memory: statistic sets per second, per minute once they are three hours old, for a
 * day. Every unit is a stream of its own inside a metric, as on AWS. Loop thread. */
#ifndef SERVICES_CLOUDWATCH_METRIC_H
#define SERVICES_CLOUDWATCH_METRIC_H

#include "base/map.h"
#include "services/cloudwatch/cloudwatch.h"

#define METRICS_MAX 2000
#define METRIC_FINE_MS (3LL * 60 * 60 * 1000)
#define METRIC_KEEP_MS (24LL * 60 * 60 * 1000)

struct metric_set {
    double count, sum, minimum, maximum;
};

struct metric_bucket {
    int64_t time_ms; /* Of its begin. */
    struct metric_set set;
    bool dirty; /* Not yet in the store. */
};

struct metric_series {
    char *key; /* In the store: the metric's, and the unit. */
    char *unit;
    struct metric_bucket *buckets; /* By time. */
    size_t count, room;
    bool dirty; /* One of the newer buckets is. */
};

struct metric {
    char *key;
    char *namespace, *name;
    struct cloudwatch_dimension *dimensions; /* Sorted by name. */
    size_t dimension_count;
    struct metric_series *series;
    size_t series_count, series_room;
};

struct metrics {
    struct map by_key;
    int64_t warned_ms; /* That there are too many; time_boot_ms(). */
};

void metrics_close(struct metrics *metrics);

/* NULL: nobody has published it. Dimensions in any order. */
struct metric *metric_find(const struct metrics *metrics, const char *namespace, const char *name,
                           const struct cloudwatch_dimension *dimensions, size_t count);

/* Merge into the bucket of @resolution_ms at the datum's time; *@series and the bucket's index tell
 * where. ERR_TOO_LARGE when there are METRICS_MAX already and this is another one. */
int metric_add(struct metrics *metrics, const struct cloudwatch_datum *datum, int64_t resolution_ms,
               struct metric_series **series, size_t *at, struct error *err);

/* All that was published in from_ms <= time < to_ms, in @unit or (NULL) in any. */
struct metric_set metric_merge(const struct metric *metric, const char *unit, int64_t from_ms,
                               int64_t to_ms);
void metric_set_merge(struct metric_set *into, const struct metric_set *set);
/* "Average" and so on; @set is not empty. */
double metric_statistic(const struct metric_set *set, const char *statistic);

/* Roll up what is old, forget what is older, and metrics that have nothing left. */
void metrics_prune(struct metrics *metrics, int64_t now_ms);

/* Stored form: one body per series and bucket. */
struct changes;
void metric_save(struct changes *changes, struct metric_series *series, size_t at);
void metrics_save_dirty(struct metrics *metrics, struct changes *changes);
/* Take one back; what cannot be read is left out. */
void metrics_load(struct metrics *metrics, struct slice key, int64_t time_ms, struct slice body);

#endif /* SERVICES_CLOUDWATCH_METRIC_H */
