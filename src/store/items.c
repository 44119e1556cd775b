#include "store/items.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/macros.h"
#include "store/private.h"

#include <stdlib.h>
#include <string.h>

void items_submit(struct store *store, struct item_job *job)
{
    struct work *work = mem_calloc(1, sizeof(*work));

    job->rc = 0;
    job->error = (struct error){0};
    work->job = job;
    store_submit(store, work);
}

void item_deltas_add(struct item_deltas *deltas, int64_t table, int64_t count, int64_t bytes)
{
    for (size_t i = 0; i < deltas->count; i++) {
        if (deltas->list[i].table == table) {
            deltas->list[i].count += count;
            deltas->list[i].bytes += bytes;
            return;
        }
    }
    deltas->list = mem_grow(deltas->list, deltas->count, &deltas->room, sizeof(*deltas->list));
    deltas->list[deltas->count++] = (struct item_delta){table, count, bytes};
}

int item_deltas_write(struct store *store, struct error *err)
{
    sqlite3_stmt *stats = store->writer_statements[WRITER_ITEM_STATS];
    int rc = 0;

    for (size_t i = 0; i < store->deltas.count && rc == 0; i++) {
        const struct item_delta *delta = &store->deltas.list[i];

        sqlite3_bind_int64(stats, 1, delta->table);
        sqlite3_bind_int64(stats, 2, delta->count);
        sqlite3_bind_int64(stats, 3, delta->bytes);
        rc = statement_run(store->writer, stats, err, "count items");
    }
    return rc;
}

/* The writer's side. */

static void bind_item(sqlite3_stmt *statement, const struct item_key *key)
{
    sqlite3_bind_int64(statement, 1, key->table);
    bind_key(statement, 2, key->hash);
    bind_key(statement, 3, key->range);
}

static void let_go(struct items_txn *txn)
{
    if (txn->open != NULL) {
        sqlite3_reset(txn->open);
        sqlite3_clear_bindings(txn->open);
        txn->open = NULL;
    }
}

/* The key as one text; 0 bytes if it is too long for that. */
static size_t key_text(const struct item_key *key, char text[256])
{
    size_t hash_bytes = key->hash.bytes, bytes = 16 + hash_bytes + key->range.bytes;

    if (bytes > 256) {
        return 0;
    }
    memcpy(text, &key->table, 8);
    memcpy(text + 8, &hash_bytes, 8);
    if (hash_bytes > 0) {
        memcpy(text + 16, key->hash.data, hash_bytes);
    }
    if (key->range.bytes > 0) {
        memcpy(text + 16 + hash_bytes, key->range.data, key->range.bytes);
    }
    return bytes;
}

static void note_seen(struct items_txn *txn, const struct item_key *key, int64_t count,
                      int64_t bytes)
{
    txn->seen_key_bytes = key_text(key, txn->seen_key);
    txn->seen_count = count;
    txn->seen_bytes = bytes;
}

static bool was_seen(const struct items_txn *txn, const struct item_key *key)
{
    char text[256];
    size_t bytes = key_text(key, text);

    return bytes > 0 && bytes == txn->seen_key_bytes && memcmp(text, txn->seen_key, bytes) == 0;
}

int items_txn_get(struct items_txn *txn, const struct item_key *key, struct item_row *row,
                  struct error *err)
{
    sqlite3_stmt *get = txn->store->writer_statements[WRITER_ITEM_GET];
    int rc;

    let_go(txn);
    *row = (struct item_row){0};
    bind_item(get, key);
    txn->open = get;
    rc = sqlite3_step(get);
    if (rc == SQLITE_ROW) {
        row->bytes = sqlite3_column_int64(get, 0);
        row->body = column_slice(get, 1);
        note_seen(txn, key, 1, row->bytes);
        return 0;
    }
    if (rc == SQLITE_DONE) {
        let_go(txn);
        note_seen(txn, key, 0, 0);
        return error_set(err, ERR_NOT_FOUND, "no such item");
    }
    txn->broken = true;
    rc = database_error(txn->store->writer, err, "read an item");
    let_go(txn);
    return rc;
}

/* How many (0 or 1) and how large is what the key holds now. */
static int measure(struct items_txn *txn, const struct item_key *key, int64_t *count,
                   int64_t *bytes, struct error *err)
{
    struct item_row row;
    int rc;

    if (was_seen(txn, key)) {
        let_go(txn);
        *count = txn->seen_count;
        *bytes = txn->seen_bytes;
        return 0;
    }
    rc = items_txn_get(txn, key, &row, err);
    *count = rc == 0 ? 1 : 0;
    *bytes = row.bytes;
    let_go(txn);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int change(struct items_txn *txn, sqlite3_stmt *statement, struct error *err,
                  const char *what)
{
    int rc = statement_run(txn->store->writer, statement, err, what);

    txn->broken = txn->broken || rc != 0;
    return rc;
}

int items_txn_put(struct items_txn *txn, const struct item_key *key, int64_t bytes,
                  struct slice body, struct error *err)
{
    sqlite3_stmt *put;
    int64_t old_count, old_bytes;
    int rc;

    rc = measure(txn, key, &old_count, &old_bytes, err);
    if (rc != 0) {
        return rc;
    }
    put = txn->store->writer_statements[old_count == 0 ? WRITER_ITEM_PUT : WRITER_ITEM_CHANGE];
    bind_item(put, key);
    sqlite3_bind_int64(put, 4, bytes);
    bind_body(put, 5, body);
    rc = change(txn, put, err, "write an item");
    if (rc == 0) {
        item_deltas_add(&txn->deltas, key->table, 1 - old_count, bytes - old_bytes);
        note_seen(txn, key, 1, bytes);
    }
    return rc;
}

int items_txn_del(struct items_txn *txn, const struct item_key *key, struct error *err)
{
    sqlite3_stmt *del = txn->store->writer_statements[WRITER_ITEM_DEL];
    int64_t old_count, old_bytes;
    int rc = measure(txn, key, &old_count, &old_bytes, err);

    if (rc != 0 || old_count == 0) {
        return rc;
    }
    bind_item(del, key);
    rc = change(txn, del, err, "delete an item");
    if (rc == 0) {
        item_deltas_add(&txn->deltas, key->table, -1, -old_bytes);
        note_seen(txn, key, 0, 0);
    }
    return rc;
}

/* Copy the key of a table's first item. @found says whether there is one. */
static int first_key(struct items_txn *txn, struct arena *arena, struct item_key *key, bool *found,
                     struct error *err)
{
    sqlite3_stmt *first = txn->store->writer_statements[WRITER_ITEM_FIRST];
    int rc;

    let_go(txn);
    sqlite3_bind_int64(first, 1, key->table);
    rc = sqlite3_step(first);
    *found = rc == SQLITE_ROW;
    if (*found) {
        key->hash = arena_copy(arena, column_slice(first, 0));
        key->range = arena_copy(arena, column_slice(first, 1));
    }
    sqlite3_reset(first);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        return 0;
    }
    txn->broken = true;
    return database_error(txn->store->writer, err, "find an item");
}

int items_txn_clear(struct items_txn *txn, int64_t table, int64_t limit, bool *more,
                    struct error *err)
{
    *more = true;
    for (int64_t i = 0; *more; i++) {
        struct item_key key = {.table = table};
        struct arena arena = {0};
        int rc = first_key(txn, &arena, &key, more, err);

        if (rc == 0 && *more && i < limit) {
            rc = items_txn_del(txn, &key, err);
        }
        arena_close(&arena);
        if (rc != 0 || i == limit) {
            return rc;
        }
    }
    return 0;
}

/* The loop's side. */

int items_get(struct store *store, const struct item_key *key, struct arena *arena,
              struct item_row *row, struct error *err)
{
    sqlite3_stmt *get = store->reader_statements[READER_ITEM_GET];
    int rc;

    *row = (struct item_row){0};
    bind_item(get, key);
    rc = sqlite3_step(get);
    if (rc == SQLITE_ROW) {
        row->bytes = sqlite3_column_int64(get, 0);
        row->body = arena_copy(arena, column_slice(get, 1));
        rc = 0;
    } else if (rc == SQLITE_DONE) {
        rc = error_set(err, ERR_NOT_FOUND, "no such item");
    } else {
        rc = database_error(store->reader, err, "read an item");
    }
    sqlite3_reset(get); /* An open read would keep the log from starting anew. */
    sqlite3_clear_bindings(get);
    return rc;
}

/* The first byte string after @bound: with a NUL added. */
static struct slice successor(struct slice bound, struct arena *arena)
{
    char *after = arena_calloc(arena, bound.bytes + 1, 1);

    if (bound.bytes > 0) {
        memcpy(after, bound.data, bound.bytes);
    }
    return slice_of(after, bound.bytes + 1);
}

/* All bounds become "at least low" and "below high". */
static sqlite3_stmt *bind_partition(struct store *store, const struct items_range *range,
                                    struct arena *arena)
{
    enum reader_statement which =
        range->backward ? (range->high.present ? READER_ITEM_DOWN_FROM : READER_ITEM_DOWN)
                        : (range->high.present ? READER_ITEM_UP_TO : READER_ITEM_UP);
    sqlite3_stmt *statement = store->reader_statements[which];
    struct slice low = range->low.present ? range->low.range : SLICE_EMPTY;
    struct slice high = range->high.range;

    if (range->low.present && range->low.exclusive) {
        low = successor(low, arena);
    }
    if (range->high.present && !range->high.exclusive) {
        high = successor(high, arena);
    }
    bind_key(statement, 2, range->hash);
    bind_key(statement, 3, low);
    if (range->high.present) {
        bind_key(statement, 4, high);
    }
    return statement;
}

static sqlite3_stmt *bind_scan(struct store *store, const struct items_range *range)
{
    sqlite3_stmt *statement =
        store->reader_statements[range->has_after ? READER_ITEM_SCAN_AFTER : READER_ITEM_SCAN];

    if (range->has_after) {
        bind_key(statement, 2, range->hash);
        bind_key(statement, 3, range->after);
    }
    return statement;
}

int items_range(struct store *store, const struct items_range *range, items_row_fn *fn, void *data,
                struct error *err)
{
    struct arena arena = {0};
    sqlite3_stmt *statement =
        range->whole_table ? bind_scan(store, range) : bind_partition(store, range, &arena);
    int rc;

    sqlite3_bind_int64(statement, 1, range->table);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const struct item_row row = {
            .hash = column_slice(statement, 0),
            .range = column_slice(statement, 1),
            .bytes = sqlite3_column_int64(statement, 2),
            .body = column_slice(statement, 3),
        };

        if (!fn(data, &row)) {
            rc = SQLITE_DONE;
            break;
        }
    }
    rc = rc == SQLITE_DONE ? 0 : database_error(store->reader, err, "read items");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    arena_close(&arena);
    return rc;
}

int items_freeze(struct store *store, struct error *err)
{
    if (sqlite3_exec(store->reader, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        return database_error(store->reader, err, "begin to read");
    }
    return 0;
}

void items_thaw(struct store *store)
{
    ASSERT(sqlite3_exec(store->reader, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
}

int items_stats(struct store *store, int64_t table, int64_t *count, int64_t *bytes,
                struct error *err)
{
    sqlite3_stmt *stats = store->reader_statements[READER_ITEM_STATS];
    int rc;

    *count = 0;
    *bytes = 0;
    sqlite3_bind_int64(stats, 1, table);
    rc = sqlite3_step(stats);
    if (rc == SQLITE_ROW) {
        *count = sqlite3_column_int64(stats, 0);
        *bytes = sqlite3_column_int64(stats, 1);
    }
    sqlite3_reset(stats);
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? 0
               : database_error(store->reader, err, "count items");
}
