/* Durable state in one SQLite file: resources (the control plane's records), table items and metric
 * samples.
 *
 * All functions here run on the loop thread and none of them blocks: a writer thread takes all that
 * waits into one transaction with one fsync, a checkpointer thread moves the log into the file.
 * What was submitted is written in the order of submission, and completes in that order.
 *
 * The file is <directory>/muster.db, WAL, synchronous=FULL; its layout has a version
 * (PRAGMA user_version), older ones are brought up to date at open. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct changes;   /* store/changes.h */
struct store;     /* Opaque. */
struct uv_loop_s; /* libuv's uv_loop_t */

#define STORE_SCHEMA_VERSION 3
/* Below this much free space store_low_space() is true and mutations are refused: what is under
 * way (commits, the log's 64 MiB, our log files) must still fit. */
#define STORE_SPACE_BYTES_MIN (64LL * 1024 * 1024)

/* Runs on the loop thread; @err is NULL when all is well. */
typedef void store_done_fn(void *data, const struct error *err);

struct store_options {
    const char *directory;  /* Must exist. Borrowed for the call. */
    struct uv_loop_s *loop; /* Must outlive the store. */

    /* Called once, on the loop, when a transaction could not be written, before the done functions
     * of what was in it. Memory is then ahead of the disk: the owner ends the process, and a new
     * one starts from what is on disk. Everything submitted later fails too. May be NULL. */
    store_done_fn *failed;
    void *failed_data;
};

/* Open the file, creating an empty one if there is none. On success *@store is the caller's, to end
 * with store_close(); on failure it is NULL. ERR_CONFIG if the file was written by a newer muster
 * or is no store, ERR_SYSTEM if it cannot be opened. Blocks for the recovery of the log. */
int store_open(const struct store_options *options, struct store **store, struct error *err);

/* Write all that waits, call its done functions, release everything. Blocks until then. The loop
 * must turn once more to let go of the store's handle. NULL is accepted. */
void store_close(struct store *store);

/* Return false to stop. The slices are borrowed for the call. */
typedef bool store_resource_fn(void *data, struct slice kind, struct slice id, struct slice body);

/* Give every resource on disk to @fn, kind by kind, in the order in which they were first put. For
 * the start: it blocks. */
int store_load_all(struct store *store, store_resource_fn *fn, void *data, struct error *err);

/* Write all of @changes or nothing, then call @done with @data, never before this returns. Takes
 * what is in @changes and leaves it empty. An empty set is written to nothing, but completes in its
 * turn: a barrier behind all that was submitted before. @done may be NULL. */
void store_commit(struct store *store, struct changes *changes, store_done_fn *done, void *data);

/* Is every change set on disk? Then an answer that changed nothing may leave at once; otherwise it
 * waits behind a barrier. Item jobs do not count: nobody sees what they do before it is on disk. */
bool store_idle(const struct store *store);

/* Is the disk nearly full? As sampled about once a second. */
bool store_low_space(const struct store *store);

#endif /* STORE_STORE_H */
