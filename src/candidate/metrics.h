/* Counters, and their text for Prometheus. Loop thread only; no I/O. */
#ifndef CANDIDATE_METRICS_H
#define CANDIDATE_METRICS_H

#include "base/buf.h"
#include "candidate/route.h"

#include <stdbool.h>
#include <stdint.h>

#define METRICS_BUCKETS 12

struct metrics_histogram {
    uint64_t buckets[METRICS_BUCKETS]; /* Not cumulated. */
    uint64_t count;
    double sum_s;
};

struct counter; /* candidate/metrics.c */

/* Zero-initialise, end with metrics_close(). */
struct metrics {
    struct counter *requests; /* Bounded by routes, methods and statuses. */
    struct counter *store;
    struct metrics_histogram durations[ROUTE_COUNT];
    uint64_t rejected;
};

void metrics_close(struct metrics *metrics);

void metrics_request(struct metrics *metrics, enum route route, const char *method, int status,
                     double seconds);
/* @operation: "Query", "Scan" or "PutItem", a literal; @outcome: "ok", or what went wrong. */
void metrics_store(struct metrics *metrics, const char *operation, const char *outcome);

/* What changes by itself, for the text. */
struct metrics_now {
    const char *version, *instance_id, *table;
    size_t in_flight;
    bool draining;
};
void metrics_text(const struct metrics *metrics, const struct metrics_now *now, struct buf *text);

#endif /* CANDIDATE_METRICS_H */
