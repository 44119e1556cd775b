/* What the files of the store share. Three threads: the loop's (reader connection, completions),
 * the writer's and the checkpointer's, each with a connection of its own. */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "store/changes.h"
#include "store/items.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <uv.h>

/* The log is moved into the file when it has grown by this many pages of 4 KiB ... */
#define WAL_PAGES_CHECKPOINT 2000
/* ... and the writer itself moves the rest at this many (64 MiB), or under steady load the log
 * would never start again at its beginning. Recovery reads about 1 MiB a millisecond. */
#define WAL_PAGES_MAX 16000

/* One thing in the writer's queue: a change set or an item job. */
struct work {
    struct work *next;
    struct changes changes;
    store_done_fn *done; /* For changes. */
    void *data;
    struct item_job *job; /* NULL for changes. */
};

struct work_list {
    struct work *first;
    struct work **end; /* Where the next one is linked; NULL while the list was never used. */
};

/* How one batch or job moved a table's sums. */
struct item_delta {
    int64_t table, count, bytes;
};

struct item_deltas {
    struct item_delta *list;
    size_t count, room;
};

enum writer_statement {
    WRITER_BEGIN,
    WRITER_COMMIT,
    WRITER_ROLLBACK,
    WRITER_SAVEPOINT,
    WRITER_RELEASE,
    WRITER_ROLLBACK_TO,
    WRITER_PUT,
    WRITER_DEL,
    WRITER_SAMPLE_ADD,
    WRITER_SUM_ADD,
    WRITER_SAMPLE_EXPIRE,
    WRITER_SUM_EXPIRE,
    WRITER_ITEM_GET,
    WRITER_ITEM_PUT,
    WRITER_ITEM_CHANGE,
    WRITER_ITEM_DEL,
    WRITER_ITEM_FIRST,
    WRITER_ITEM_STATS,
    WRITER_STATEMENTS
};

enum reader_statement {
    READER_RESOURCES,
    READER_ITEM_GET,
    READER_ITEM_UP,
    READER_ITEM_UP_TO,
    READER_ITEM_DOWN,
    READER_ITEM_DOWN_FROM,
    READER_ITEM_SCAN,
    READER_ITEM_SCAN_AFTER,
    READER_ITEM_STATS,
    READER_SUMS,
    READER_SAMPLES,
    READER_STATEMENTS
};

struct store {
    /* The loop's. */
    uv_async_t *async; /* Freed by its own close callback. */
    store_done_fn *failed;
    void *failed_data;
    bool failed_told;
    size_t pending;         /* Submitted and not yet completed. */
    size_t changes_pending; /* Of these, the change sets that hold something. */
    sqlite3 *reader;
    sqlite3_stmt *reader_statements[READER_STATEMENTS];
    int lock_fd;
    bool threads_run;

    /* Set before the threads start. */
    char *directory;
    pthread_t writer_thread, checkpoint_thread;

    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t writer_wake, checkpoint_wake, finished_wake;
    struct work_list queue;    /* For the writer. */
    struct work_list finished; /* For the loop. */
    bool closing;
    bool broken; /* A transaction failed; nothing is written any more. */
    struct error failure;
    int wal_pages, wal_pages_backfilled;

    /* The writer's. */
    sqlite3 *writer;
    sqlite3_stmt *writer_statements[WRITER_STATEMENTS];
    struct item_deltas deltas;

    /* The checkpointer's. */
    sqlite3 *checkpointer;

    atomic_bool low_space;
};

/* What a job sees. */
struct items_txn {
    struct store *store;
    struct item_deltas deltas; /* Counted only if the job succeeds. */
    sqlite3_stmt *open;        /* Its row is lent out. */
    bool broken;               /* SQLite failed: the whole batch must. */
    /* What the last look found, so that a write that looked before needs not look again. */
    char seen_key[256];    /* Table, hash, range. */
    size_t seen_key_bytes; /* 0: nothing was seen, or its key is longer. */
    int64_t seen_count;    /* 0 or 1. */
    int64_t seen_bytes;
};

/* database.c */
int database_open(const char *directory, sqlite3 **db, struct error *err);
/* Create or bring up to date. ERR_CONFIG if it is newer than this program. */
int database_migrate(sqlite3 *db, struct error *err);
int database_prepare_writer(struct store *store, struct error *err);
int database_prepare_reader(struct store *store, struct error *err);
void database_close(sqlite3 **db, sqlite3_stmt **statements, size_t count);
/* ERR_SYSTEM with SQLite's reason. */
int database_error(sqlite3 *db, struct error *err, const char *what);
/* Keys are blobs, bodies are text, so that `sqlite3` shows them. Borrowed until the reset. */
void bind_key(sqlite3_stmt *statement, int index, struct slice key);
void bind_body(sqlite3_stmt *statement, int index, struct slice body);
struct slice column_slice(sqlite3_stmt *statement, int column);
/* Step once and reset: 0 for a statement that gives no rows. */
int statement_run(sqlite3 *db, sqlite3_stmt *statement, struct error *err, const char *what);

/* writer.c */
void *writer_main(void *store);
void work_push(struct work_list *list, struct work *work);
struct work *work_take(struct work_list *list);

/* checkpoint.c */
void *checkpoint_main(void *store);
/* sqlite3_wal_hook() of the writer. */
int checkpoint_hook(void *store, sqlite3 *db, const char *name, int pages);
void checkpoint_sample_space(struct store *store);

/* items.c */
void item_deltas_add(struct item_deltas *deltas, int64_t table, int64_t count, int64_t bytes);
/* Within the writer's transaction. */
int item_deltas_write(struct store *store, struct error *err);

/* store.c */
void store_submit(struct store *store, struct work *work);

#endif /* STORE_PRIVATE_H */
