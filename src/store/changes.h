/* A change set: what one request or one tick writes, all of it or nothing, in this order.
 *
 * Plain memory, any thread. Zero-initialise, end with changes_close(); store_commit() empties it.
 */
#ifndef STORE_CHANGES_H
#define STORE_CHANGES_H

#include "base/arena.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record; /* store/record.h */

enum change_type {
    CHANGE_PUT,           /* kind, id, body */
    CHANGE_DEL,           /* kind, id */
    CHANGE_ADD_SAMPLES,   /* row, time_ms, body */
    CHANGE_ADD_SUMS,      /* row, time_ms, body */
    CHANGE_EXPIRE_SAMPLES /* time_ms, sums_before_ms */
};

struct change {
    enum change_type type;
    int64_t time_ms;
    int64_t row, sums_before_ms;
    struct slice kind, id, body; /* In the set's arena. */
};

struct changes {
    struct change *list;
    size_t count;
    size_t room;
    struct arena arena;
};

/* Frees and zeroes; twice is fine. */
void changes_close(struct changes *changes);
static inline bool changes_empty(const struct changes *changes)
{
    return changes->count == 0;
}
/* Forget what was added after the set held @count changes: how a refused request is undone. */
void changes_cut(struct changes *changes, size_t count);

/* Resources. @kind is a short constant word, "autoscaling.group"; @id any bytes; both name the
 * resource. Everything is copied. A put replaces; deleting what is not there is fine. */
void changes_put(struct changes *changes, struct slice kind, struct slice id, struct slice body);
void changes_del(struct changes *changes, struct slice kind, struct slice id);
/* The body is @thing as @record describes it: compact JSON. */
void changes_put_record(struct changes *changes, struct slice kind, struct slice id,
                        const struct record *record, const void *thing);

/* Metric samples: see store/samples.h. @row grows from one to the next. */
void changes_add_samples(struct changes *changes, int64_t row, int64_t time_ms, struct slice body);
/* The sums of all samples since the last sums, up to @row. */
void changes_add_sums(struct changes *changes, int64_t row, int64_t time_ms, struct slice body);
/* Forget samples that sums from before @samples_before_ms cover, and sums from before
 * @sums_before_ms. */
void changes_expire_samples(struct changes *changes, int64_t samples_before_ms,
                            int64_t sums_before_ms);

#endif /* STORE_CHANGES_H */
