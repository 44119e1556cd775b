#include "store/samples.h"

#include "store/private.h"

static int walk(struct store *store, enum reader_statement which, samples_fn *fn, void *data,
                struct error *err)
{
    sqlite3_stmt *statement = store->reader_statements[which];
    int rc;

    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        fn(data, sqlite3_column_int64(statement, 0), sqlite3_column_int(statement, 1) != 0,
           column_slice(statement, 2));
    }
    rc = rc == SQLITE_DONE ? 0 : database_error(store->reader, err, "read samples");
    sqlite3_reset(statement);
    return rc;
}

int samples_load(struct store *store, samples_fn *fn, void *data, struct error *err)
{
    int rc = walk(store, READER_SUMS, fn, data, err);

    return rc != 0 ? rc : walk(store, READER_SAMPLES, fn, data, err);
}
