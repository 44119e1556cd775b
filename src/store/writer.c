/* The writer thread: takes all that waits, writes it in one transaction, hands it back. */
#include "base/macros.h"
#include "store/private.h"

#include <stdlib.h>

void work_push(struct work_list *list, struct work *work)
{
    work->next = NULL;
    if (list->first == NULL) {
        list->end = &list->first;
    }
    *list->end = work;
    list->end = &work->next;
}

struct work *work_take(struct work_list *list)
{
    struct work *first = list->first;

    *list = (struct work_list){0};
    return first;
}

static int run(struct store *store, enum writer_statement which, struct error *err)
{
    static const char *const names[WRITER_STATEMENTS] = {
        [WRITER_BEGIN] = "begin",
        [WRITER_COMMIT] = "commit",
        [WRITER_ROLLBACK] = "roll back",
        [WRITER_SAVEPOINT] = "begin a job",
        [WRITER_RELEASE] = "end a job",
        [WRITER_ROLLBACK_TO] = "undo a job",
        [WRITER_PUT] = "put a resource",
        [WRITER_DEL] = "delete a resource",
        [WRITER_SAMPLE_ADD] = "add samples",
        [WRITER_SUM_ADD] = "add sums of samples",
        [WRITER_SAMPLE_EXPIRE] = "expire samples",
        [WRITER_SUM_EXPIRE] = "expire sums of samples",
    };

    return statement_run(store->writer, store->writer_statements[which], err, names[which]);
}

static int add_samples(struct store *store, enum writer_statement which,
                       const struct change *change, struct error *err)
{
    sqlite3_stmt *add = store->writer_statements[which];

    sqlite3_bind_int64(add, 1, change->row);
    sqlite3_bind_int64(add, 2, change->time_ms);
    bind_key(add, 3, change->body);
    return run(store, which, err);
}

static int expire_samples(struct store *store, const struct change *change, struct error *err)
{
    int rc;

    sqlite3_bind_int64(store->writer_statements[WRITER_SAMPLE_EXPIRE], 1, change->time_ms);
    rc = run(store, WRITER_SAMPLE_EXPIRE, err);
    sqlite3_bind_int64(store->writer_statements[WRITER_SUM_EXPIRE], 1, change->sums_before_ms);
    return rc != 0 ? rc : run(store, WRITER_SUM_EXPIRE, err);
}

static int apply_change(struct store *store, const struct change *change, struct error *err)
{
    sqlite3_stmt *put = store->writer_statements[WRITER_PUT];
    sqlite3_stmt *del = store->writer_statements[WRITER_DEL];

    switch (change->type) {
    case CHANGE_PUT:
        bind_body(put, 1, change->kind);
        bind_key(put, 2, change->id);
        bind_body(put, 3, change->body);
        return run(store, WRITER_PUT, err);
    case CHANGE_DEL:
        bind_body(del, 1, change->kind);
        bind_key(del, 2, change->id);
        return run(store, WRITER_DEL, err);
    case CHANGE_ADD_SAMPLES:
        return add_samples(store, WRITER_SAMPLE_ADD, change, err);
    case CHANGE_ADD_SUMS:
        return add_samples(store, WRITER_SUM_ADD, change, err);
    case CHANGE_EXPIRE_SAMPLES:
        return expire_samples(store, change, err);
    }
    return error_set(err, ERR_INTERNAL, "store: a change of unknown type");
}

/* A job's own failure is the job's; only SQLite's fails the batch. */
static int apply_job(struct store *store, struct item_job *job, struct error *err)
{
    struct items_txn txn = {.store = store};
    int rc = run(store, WRITER_SAVEPOINT, err);

    if (rc != 0) {
        return rc;
    }
    job->rc = job->run(job, &txn, &job->error);
    if (txn.open != NULL) {
        sqlite3_reset(txn.open);
    }
    if (txn.broken || sqlite3_get_autocommit(store->writer)) {
        rc = error_set(err, ERR_SYSTEM, "%s",
                       job->rc != 0 ? job->error.message : "store: a job lost its transaction");
        goto out;
    }
    if (job->rc != 0) {
        rc = run(store, WRITER_ROLLBACK_TO, err);
    } else {
        for (size_t i = 0; i < txn.deltas.count; i++) {
            item_deltas_add(&store->deltas, txn.deltas.list[i].table, txn.deltas.list[i].count,
                            txn.deltas.list[i].bytes);
        }
    }
    if (rc == 0) {
        rc = run(store, WRITER_RELEASE, err);
    }

out:
    free(txn.deltas.list);
    return rc;
}

static int apply_work(struct store *store, struct work *work, struct error *err)
{
    int rc = 0;

    if (work->job != NULL) {
        return apply_job(store, work->job, err);
    }
    for (size_t i = 0; i < work->changes.count && rc == 0; i++) {
        rc = apply_change(store, &work->changes.list[i], err);
    }
    return rc;
}

static bool writes_something(const struct work *batch)
{
    for (const struct work *work = batch; work != NULL; work = work->next) {
        if (work->job != NULL || work->changes.count > 0) {
            return true;
        }
    }
    return false;
}

static int write_batch(struct store *store, struct work *batch, struct error *err)
{
    int rc;

    if (!writes_something(batch)) {
        return 0;
    }
    store->deltas.count = 0;
    rc = run(store, WRITER_BEGIN, err);
    if (rc != 0) {
        return rc;
    }
    for (struct work *work = batch; work != NULL && rc == 0; work = work->next) {
        rc = apply_work(store, work, err);
    }
    if (rc == 0) {
        rc = item_deltas_write(store, err);
    }
    if (rc == 0) {
        rc = run(store, WRITER_COMMIT, err);
    }
    if (rc != 0 && !sqlite3_get_autocommit(store->writer)) {
        run(store, WRITER_ROLLBACK, NULL);
    }
    return rc;
}

static void hand_back(struct store *store, struct work *batch, int rc, const struct error *err)
{
    struct work *next;

    pthread_mutex_lock(&store->lock);
    if (rc != 0 && !store->broken) {
        store->broken = true;
        store->failure = *err;
    }
    for (; batch != NULL; batch = next) {
        next = batch->next;
        work_push(&store->finished, batch);
    }
    pthread_cond_signal(&store->finished_wake);
    pthread_mutex_unlock(&store->lock);
    uv_async_send(store->async);
}

void *writer_main(void *data)
{
    struct store *store = data;

    pthread_mutex_lock(&store->lock);
    for (;;) {
        struct error err = {0};
        struct work *batch;
        bool broken;
        int rc = 0;

        while (store->queue.first == NULL && !store->closing) {
            pthread_cond_wait(&store->writer_wake, &store->lock);
        }
        batch = work_take(&store->queue);
        broken = store->broken;
        pthread_mutex_unlock(&store->lock);
        if (batch == NULL) {
            return NULL; /* Closing. */
        }
        if (!broken) {
            rc = write_batch(store, batch, &err);
        }
        hand_back(store, batch, rc, &err);
        pthread_mutex_lock(&store->lock);
    }
}
