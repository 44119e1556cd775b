#include "store/samples.h"

#include "store/private.h"

static int walk(struct store *store, sqlite3_stmt *statement, samples_fn *fn, void *data,
                struct error *err)
{
    int rc;

    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!fn(data, column_slice(statement, 0), sqlite3_column_int64(statement, 1),
                column_slice(statement, 2))) {
            rc = SQLITE_DONE;
            break;
        }
    }
    rc = rc == SQLITE_DONE ? 0 : database_error(store->reader, err, "read samples");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

int samples_load(struct store *store, int64_t from_ms, samples_fn *fn, void *data,
                 struct error *err)
{
    sqlite3_stmt *statement = store->reader_statements[READER_SAMPLES];

    sqlite3_bind_int64(statement, 1, from_ms);
    return walk(store, statement, fn, data, err);
}

int samples_range(struct store *store, struct slice metric_key, int64_t from_ms, int64_t to_ms,
                  samples_fn *fn, void *data, struct error *err)
{
    sqlite3_stmt *statement = store->reader_statements[READER_SAMPLES_RANGE];

    bind_key(statement, 1, metric_key);
    sqlite3_bind_int64(statement, 2, from_ms);
    sqlite3_bind_int64(statement, 3, to_ms);
    return walk(store, statement, fn, data, err);
}
