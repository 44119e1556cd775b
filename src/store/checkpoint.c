/* Moving the log into the file, beside the writer. A passive checkpoint blocks nobody. */
#include "base/log.h"
#include "base/macros.h"
#include "store/private.h"

#include <sys/statvfs.h>
#include <time.h>

#define SAMPLE_SPACE_NS 1000000000

static void note_backfilled(struct store *store, int backfilled)
{
    pthread_mutex_lock(&store->lock);
    if (backfilled <= store->wal_pages) { /* Else the log started anew meanwhile. */
        store->wal_pages_backfilled = backfilled;
    }
    pthread_mutex_unlock(&store->lock);
}

int checkpoint_hook(void *data, sqlite3 *db, const char *name, int pages)
{
    struct store *store = data;
    bool wake;

    pthread_mutex_lock(&store->lock);
    if (pages < store->wal_pages) {
        store->wal_pages_backfilled = 0;
    }
    store->wal_pages = pages;
    wake = pages - store->wal_pages_backfilled >= WAL_PAGES_CHECKPOINT;
    pthread_mutex_unlock(&store->lock);
    if (pages >= WAL_PAGES_MAX) {
        int backfilled = 0;

        if (sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, &backfilled) ==
            SQLITE_OK) {
            note_backfilled(store, backfilled);
        }
    } else if (wake) {
        pthread_cond_signal(&store->checkpoint_wake);
    }
    return SQLITE_OK;
}

void checkpoint_sample_space(struct store *store)
{
    struct statvfs space;

    if (statvfs(store->directory, &space) == 0) {
        int64_t bytes = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
        bool low = bytes < STORE_SPACE_BYTES_MIN;

        if (atomic_exchange(&store->low_space, low) != low) {
            if (low) {
                log_error("store.space-low free=%lld", (long long)bytes);
            } else {
                log_info("store.space-enough free=%lld", (long long)bytes);
            }
        }
    }
}

void *checkpoint_main(void *data)
{
    struct store *store = data;

    pthread_mutex_lock(&store->lock);
    while (!store->closing) {
        bool due = store->wal_pages - store->wal_pages_backfilled >= WAL_PAGES_CHECKPOINT;
        struct timespec until;
        int backfilled = -1;

        if (!due) {
            uint64_t until_ns = uv_hrtime() + SAMPLE_SPACE_NS; /* The monotonic clock. */

            until.tv_sec = (time_t)(until_ns / 1000000000);
            until.tv_nsec = (long)(until_ns % 1000000000);
            pthread_cond_timedwait(&store->checkpoint_wake, &store->lock, &until);
            due = store->wal_pages - store->wal_pages_backfilled >= WAL_PAGES_CHECKPOINT;
        }
        pthread_mutex_unlock(&store->lock);
        checkpoint_sample_space(store);
        if (due && sqlite3_wal_checkpoint_v2(store->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                             NULL, &backfilled) == SQLITE_OK) {
            note_backfilled(store, backfilled);
        } else if (due) {
            log_warn("store.checkpoint failed: %s", sqlite3_errmsg(store->checkpointer));
            sqlite3_sleep(100); /* The writer is checkpointing, or the disk is ill. */
        }
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}
