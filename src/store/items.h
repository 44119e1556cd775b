/* Table items (DynamoDB's): they live only on disk.
 *
 * A write is a job that runs in the writer thread, inside the batch's transaction and a savepoint
 * of its own: it reads the old item, judges its condition, writes, and builds its answer. So a
 * condition is always judged against the very state that the write changes. Jobs and commits keep
 * their order among each other. Reads run on the loop thread over a connection of their own, on the
 * last commit: every write that was answered is seen.
 *
 * A key is the table's number and two encoded keys that sort bytewise; range is empty when the
 * table has no sort key. @bytes is the item's size as the owner counts it; the sums per table are
 * kept. */
#ifndef STORE_ITEMS_H
#define STORE_ITEMS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;     /* base/arena.h */
struct items_txn; /* Opaque: the writer's transaction, as one job sees it. */
struct store;

struct item_key {
    int64_t table;
    struct slice hash, range;
};

struct item_row {
    struct slice hash, range; /* Set by items_range() only. */
    int64_t bytes;
    struct slice body;
};

struct item_job;
/* Writer thread. Touches only what belongs to the job. A failure undoes this job's writes alone. */
typedef int item_job_run_fn(struct item_job *job, struct items_txn *txn, struct error *err);
/* Loop thread, after the commit. @err is what run failed with, or that the commit failed, or NULL.
 * May free the job. */
typedef void item_job_done_fn(struct item_job *job, const struct error *err);

/* Embedded in what the owner needs; the owner's again in done. */
struct item_job {
    item_job_run_fn *run;
    item_job_done_fn *done;
    struct error error; /* The store's, until done has run. */
    int rc;
};

void items_submit(struct store *store, struct item_job *job);

/* In a job. ERR_NOT_FOUND if there is none; the row is borrowed until the next call with @txn. */
int items_txn_get(struct items_txn *txn, const struct item_key *key, struct item_row *row,
                  struct error *err);
/* Add or replace. @body must not be a row's that items_txn_get() lent. */
int items_txn_put(struct items_txn *txn, const struct item_key *key, int64_t bytes,
                  struct slice body, struct error *err);
/* Deleting what is not there is fine. */
int items_txn_del(struct items_txn *txn, const struct item_key *key, struct error *err);
/* Delete up to @limit items of a table; *@more says whether any are left, for another job. */
int items_txn_clear(struct items_txn *txn, int64_t table, int64_t limit, bool *more,
                    struct error *err);

/* On the loop thread. ERR_NOT_FOUND if there is none; the row is copied into @arena. */
int items_get(struct store *store, const struct item_key *key, struct arena *arena,
              struct item_row *row, struct error *err);

struct items_bound {
    bool present;
    bool exclusive;
    struct slice range;
};

struct items_range {
    int64_t table;
    bool whole_table;             /* A scan in the order of (hash, range); else one hash. */
    struct slice hash;            /* The partition, or with whole_table the hash of @after. */
    struct items_bound low, high; /* One partition only: limits on range. */
    bool backward;                /* One partition only: from high to low. */
    bool has_after;               /* Whole table only: start strictly after (hash, after). */
    struct slice after;
};

/* Return false to stop. The row is borrowed for the call. */
typedef bool items_row_fn(void *data, const struct item_row *row);

/* Give the rows of @range in order to @fn until it stops; one consistent snapshot. */
int items_range(struct store *store, const struct items_range *range, items_row_fn *fn, void *data,
                struct error *err);

/* Between these two all reads of items see one commit. Both in one turn of the loop. */
int items_freeze(struct store *store, struct error *err);
void items_thaw(struct store *store);

/* How many items the table has, and the sum of their bytes, as of the last commit. */
int items_stats(struct store *store, int64_t table, int64_t *count, int64_t *bytes,
                struct error *err);

#endif /* STORE_ITEMS_H */
