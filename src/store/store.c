#include "store/store.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* Work that was not written fails, a job's own refusal is its own. */
static void complete(struct store *store, struct work *work, const struct error *failure)
{
    struct item_job *job = work->job;
    store_done_fn *done = work->done;
    void *data = work->data;

    store->changes_pending -= work->changes.count > 0 ? 1 : 0;
    changes_close(&work->changes);
    free(work);
    store->pending--;
    if (store->pending == 0) {
        uv_unref((uv_handle_t *)store->async);
    }
    if (job != NULL) {
        job->done(job, failure != NULL ? failure : job->rc != 0 ? &job->error : NULL);
    } else if (done != NULL) {
        done(data, failure);
    }
}

static void complete_all(struct store *store)
{
    struct error failure;
    struct work *work;
    struct work *next;
    bool broken;

    pthread_mutex_lock(&store->lock);
    work = work_take(&store->finished);
    broken = store->broken;
    failure = store->failure;
    pthread_mutex_unlock(&store->lock);
    /* A batch that was written before the one that failed may be in the list too. Reporting it as
     * failed is safe: the owner ends the process, and a retry finds what is on disk. */
    if (broken && !store->failed_told) {
        store->failed_told = true;
        if (store->failed != NULL) {
            store->failed(store->failed_data, &failure);
        }
    }
    for (; work != NULL; work = next) {
        next = work->next;
        complete(store, work, broken ? &failure : NULL);
    }
}

static void on_async(uv_async_t *async)
{
    struct store *store = async->data;

    if (store != NULL) {
        complete_all(store);
    }
}

/* Two daemons on one directory would each believe their own memory. */
static int take_lock(struct store *store, struct error *err)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/muster.lock", store->directory);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0) {
        return error_errno(err, "store: open %s", path);
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        return 0;
    }
    if (errno == EWOULDBLOCK) {
        return error_set(err, ERR_CONFIG, "store: %s is in use by another process",
                         store->directory);
    }
    return error_errno(err, "store: lock %s", path);
}

static int open_databases(struct store *store, struct error *err)
{
    int rc = database_open(store->directory, &store->writer, err);

    if (rc == 0) {
        rc = database_migrate(store->writer, err);
    }
    if (rc == 0) {
        rc = database_open(store->directory, &store->reader, err);
    }
    if (rc == 0) {
        rc = database_open(store->directory, &store->checkpointer, err);
    }
    if (rc == 0) {
        rc = database_prepare_writer(store, err);
    }
    if (rc == 0) {
        rc = database_prepare_reader(store, err);
    }
    if (rc == 0) {
        sqlite3_wal_hook(store->writer, checkpoint_hook, store);
    }
    return rc;
}

static void close_databases(struct store *store)
{
    database_close(&store->reader, store->reader_statements, READER_STATEMENTS);
    database_close(&store->checkpointer, NULL, 0);
    database_close(&store->writer, store->writer_statements, WRITER_STATEMENTS);
}

static void init_sync(struct store *store)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->writer_wake, NULL);
    pthread_cond_init(&store->finished_wake, NULL);
    pthread_cond_init(&store->checkpoint_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Signals are the loop thread's. */
static int start_threads(struct store *store, struct error *err)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&store->writer_thread, NULL, writer_main, store);
    if (rc == 0) {
        rc = pthread_create(&store->checkpoint_thread, NULL, checkpoint_main, store);
        if (rc != 0) {
            pthread_mutex_lock(&store->lock);
            store->closing = true;
            pthread_cond_signal(&store->writer_wake);
            pthread_mutex_unlock(&store->lock);
            pthread_join(store->writer_thread, NULL);
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = rc;
    return rc == 0 ? 0 : error_errno(err, "store: start a thread");
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* What both a failed open and a close let go of; the threads are not running. */
static void release(struct store *store)
{
    if (store->async != NULL) {
        store->async->data = NULL;
        uv_close((uv_handle_t *)store->async, free_handle);
    }
    close_databases(store);
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    pthread_mutex_destroy(&store->lock);
    pthread_cond_destroy(&store->writer_wake);
    pthread_cond_destroy(&store->finished_wake);
    pthread_cond_destroy(&store->checkpoint_wake);
    free(store->deltas.list);
    free(store->directory);
    free(store);
}

int store_open(const struct store_options *options, struct store **out, struct error *err)
{
    struct store *store = mem_calloc(1, sizeof(*store));
    int rc;

    *out = NULL;
    store->directory = mem_strdup(options->directory);
    store->failed = options->failed;
    store->failed_data = options->failed_data;
    store->lock_fd = -1;
    init_sync(store);
    rc = take_lock(store, err);
    if (rc != 0) {
        goto out;
    }
    rc = open_databases(store, err);
    if (rc != 0) {
        goto out;
    }
    checkpoint_sample_space(store);
    store->async = mem_calloc(1, sizeof(*store->async));
    if (uv_async_init(options->loop, store->async, on_async) != 0) {
        free(store->async);
        store->async = NULL;
        rc = error_set(err, ERR_SYSTEM, "store: no handle on the loop");
        goto out;
    }
    store->async->data = store;
    uv_unref((uv_handle_t *)store->async); /* Only what waits keeps a loop alive. */
    rc = start_threads(store, err);

out:
    if (rc != 0) {
        release(store);
        return rc;
    }
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    while (store->pending > 0) {
        pthread_mutex_lock(&store->lock);
        while (store->finished.first == NULL) {
            pthread_cond_wait(&store->finished_wake, &store->lock);
        }
        pthread_mutex_unlock(&store->lock);
        complete_all(store);
    }
    pthread_mutex_lock(&store->lock);
    store->closing = true;
    pthread_cond_signal(&store->writer_wake);
    pthread_cond_signal(&store->checkpoint_wake);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->writer_thread, NULL);
    pthread_join(store->checkpoint_thread, NULL);
    release(store);
}

int store_load_all(struct store *store, store_resource_fn *fn, void *data, struct error *err)
{
    sqlite3_stmt *all = store->reader_statements[READER_RESOURCES];
    int rc;

    while ((rc = sqlite3_step(all)) == SQLITE_ROW) {
        if (!fn(data, column_slice(all, 0), column_slice(all, 1), column_slice(all, 2))) {
            rc = SQLITE_DONE;
            break;
        }
    }
    rc = rc == SQLITE_DONE ? 0 : database_error(store->reader, err, "load the resources");
    sqlite3_reset(all);
    return rc;
}

void store_submit(struct store *store, struct work *work)
{
    bool wake;

    if (store->pending == 0) {
        uv_ref((uv_handle_t *)store->async);
    }
    store->pending++;
    store->changes_pending += work->changes.count > 0 ? 1 : 0;
    pthread_mutex_lock(&store->lock);
    wake = store->queue.first == NULL;
    work_push(&store->queue, work);
    if (wake) {
        pthread_cond_signal(&store->writer_wake);
    }
    pthread_mutex_unlock(&store->lock);
}

void store_commit(struct store *store, struct changes *changes, store_done_fn *done, void *data)
{
    struct work *work = mem_calloc(1, sizeof(*work));

    work->changes = *changes;
    work->done = done;
    work->data = data;
    *changes = (struct changes){0};
    store_submit(store, work);
}

bool store_idle(const struct store *store)
{
    return store->changes_pending == 0;
}

bool store_low_space(const struct store *store)
{
    return atomic_load(&store->low_space);
}
