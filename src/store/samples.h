/* Metric samples: one body per metric key and instant.
 *
 * They are written through change sets (changes_put_sample, changes_expire_samples): a put replaces
 * what is at the same key and time, so that a period that is still filling is written again. The
 * owner decides what a key and a body are. Reads run on the loop thread, on the last commit. */
#ifndef STORE_SAMPLES_H
#define STORE_SAMPLES_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* Return false to stop. The slices are borrowed for the call. */
typedef bool samples_fn(void *data, struct slice metric_key, int64_t time_ms, struct slice body);

/* Every sample from @from_ms on, metric by metric (in the order in which they first came), each by
 * time. For the start: it may take long. */
int samples_load(struct store *store, int64_t from_ms, samples_fn *fn, void *data,
                 struct error *err);

/* One metric's samples with from_ms <= time < to_ms, by time. */
int samples_range(struct store *store, struct slice metric_key, int64_t from_ms, int64_t to_ms,
                  samples_fn *fn, void *data, struct error *err);

#endif /* STORE_SAMPLES_H */
