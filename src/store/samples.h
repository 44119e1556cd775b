/* Metric samples: a log of what was published, and a log of its sums.
 *
 * A row of samples is whatever was published since the last one; a row of sums says the same of all
 * samples since the last row of sums, in fewer words, and carries the number of the last row of
 * samples that it covers. So samples may go as soon as sums cover them, and what is left of both
 * never says a thing twice. The owner decides what a body is.
 *
 * Rows are written through change sets (changes_add_samples, changes_add_sums,
 * changes_expire_samples). Reads run on the loop thread, on the last commit. */
#ifndef STORE_SAMPLES_H
#define STORE_SAMPLES_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* One row; @summed: it is a row of sums, or one covers it. @body is borrowed for the call. */
typedef void samples_fn(void *data, int64_t row, bool summed, struct slice body);

/* All that was published and is still kept: sums whose samples are gone, then the samples, each in
 * the order of their rows. For the start: it may take long. */
int samples_load(struct store *store, samples_fn *fn, void *data, struct error *err);

#endif /* STORE_SAMPLES_H */
