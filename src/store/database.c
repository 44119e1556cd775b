#include "base/macros.h"
#include "store/gather.h"
#include "store/private.h"

#include <stdio.h>

#define FILE_PATH_BYTES_MAX 4096
#define APPLICATION_ID 0x6d757374 /* "must" */

/* One step per schema version; a step, once released, never changes. */
static const char *const schema_steps[STORE_SCHEMA_VERSION] = {
    "CREATE TABLE resource (kind TEXT NOT NULL, id BLOB NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY (kind, id)) WITHOUT ROWID;"
    "CREATE TABLE item (table_id INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL,"
    " bytes INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (table_id, hash, range))"
    " WITHOUT ROWID;"
    "CREATE TABLE item_stats (table_id INTEGER PRIMARY KEY, count INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL);"
    "CREATE TABLE metric (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);"
    "CREATE TABLE sample (metric INTEGER NOT NULL, time_ms INTEGER NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY (metric, time_ms)) WITHOUT ROWID;",
    "DROP TABLE sample; DROP TABLE metric;"
    "CREATE TABLE sample (id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, body BLOB NOT NULL);"
    "CREATE TABLE sample_sum (id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,"
    " body BLOB NOT NULL);",
    "CREATE TABLE numbered (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id BLOB NOT NULL,"
    " body TEXT NOT NULL, UNIQUE (kind, id));"
    "INSERT INTO numbered (kind, id, body) SELECT kind, id, body FROM resource ORDER BY kind,"
    " coalesce(json_extract(body, '$.created_ms'), json_extract(body, '$.registered_ms'),"
    " json_extract(body, '$.activity.start_ms')), id;"
    "DROP TABLE resource;"
    "ALTER TABLE numbered RENAME TO resource;"
    "CREATE INDEX resource_of_kind ON resource (kind);", /* And by number, SQLite's row id. */
};

static const char *const writer_sql[WRITER_STATEMENTS] = {
    [WRITER_BEGIN] = "BEGIN IMMEDIATE",
    [WRITER_COMMIT] = "COMMIT",
    [WRITER_ROLLBACK] = "ROLLBACK",
    [WRITER_SAVEPOINT] = "SAVEPOINT job",
    [WRITER_RELEASE] = "RELEASE job",
    [WRITER_ROLLBACK_TO] = "ROLLBACK TO job",
    [WRITER_PUT] = "INSERT INTO resource (kind, id, body) VALUES (?1, ?2, ?3)"
                   " ON CONFLICT DO UPDATE SET body = excluded.body",
    [WRITER_DEL] = "DELETE FROM resource WHERE kind = ?1 AND id = ?2",
    [WRITER_SAMPLE_ADD] = "INSERT INTO sample (id, time_ms, body) VALUES (?1, ?2, ?3)",
    [WRITER_SUM_ADD] = "INSERT INTO sample_sum (id, time_ms, body) VALUES (?1, ?2, ?3)",
    [WRITER_SAMPLE_EXPIRE] = "DELETE FROM sample WHERE id <="
                             " (SELECT max(id) FROM sample_sum WHERE time_ms < ?1)",
    [WRITER_SUM_EXPIRE] = "DELETE FROM sample_sum WHERE time_ms < ?1",
    [WRITER_ITEM_GET] = "SELECT bytes, body FROM item"
                        " WHERE table_id = ?1 AND hash = ?2 AND range = ?3",
    [WRITER_ITEM_PUT] = "INSERT INTO item (table_id, hash, range, bytes, body)"
                        " VALUES (?1, ?2, ?3, ?4, ?5)",
    [WRITER_ITEM_CHANGE] = "UPDATE item SET bytes = ?4, body = ?5"
                           " WHERE table_id = ?1 AND hash = ?2 AND range = ?3",
    [WRITER_ITEM_DEL] = "DELETE FROM item WHERE table_id = ?1 AND hash = ?2 AND range = ?3",
    [WRITER_ITEM_FIRST] = "SELECT hash, range FROM item WHERE table_id = ?1 LIMIT 1",
    [WRITER_ITEM_STATS] = "INSERT INTO item_stats (table_id, count, bytes) VALUES (?1, ?2, ?3)"
                          " ON CONFLICT DO UPDATE SET count = count + excluded.count,"
                          " bytes = bytes + excluded.bytes",
};

#define ITEM_COLUMNS "SELECT hash, range, bytes, body FROM item WHERE table_id = ?1"

static const char *const reader_sql[READER_STATEMENTS] = {
    [READER_RESOURCES] = "SELECT kind, id, body FROM resource ORDER BY kind, number",
    [READER_ITEM_GET] = "SELECT bytes, body FROM item"
                        " WHERE table_id = ?1 AND hash = ?2 AND range = ?3",
    [READER_ITEM_UP] = ITEM_COLUMNS " AND hash = ?2 AND range >= ?3 ORDER BY range",
    [READER_ITEM_UP_TO] =
        ITEM_COLUMNS " AND hash = ?2 AND range >= ?3 AND range < ?4 ORDER BY range",
    [READER_ITEM_DOWN] = ITEM_COLUMNS " AND hash = ?2 AND range >= ?3 ORDER BY range DESC",
    [READER_ITEM_DOWN_FROM] =
        ITEM_COLUMNS " AND hash = ?2 AND range >= ?3 AND range < ?4 ORDER BY range DESC",
    [READER_ITEM_SCAN] = ITEM_COLUMNS " ORDER BY hash, range",
    [READER_ITEM_SCAN_AFTER] = ITEM_COLUMNS " AND (hash, range) > (?2, ?3) ORDER BY hash, range",
    [READER_ITEM_STATS] = "SELECT count, bytes FROM item_stats WHERE table_id = ?1",
    [READER_SUMS] = "SELECT id, 1, body FROM sample_sum WHERE id <"
                    " (SELECT ifnull(min(id), 9223372036854775807) FROM sample) ORDER BY id",
    [READER_SAMPLES] = "SELECT id, id <= (SELECT ifnull(max(id), 0) FROM sample_sum), body"
                       " FROM sample ORDER BY id",
};

int database_error(sqlite3 *db, struct error *err, const char *what)
{
    return error_set(err, ERR_SYSTEM, "store: %s: %s", what, sqlite3_errmsg(db));
}

int database_open(const char *directory, sqlite3 **db, struct error *err)
{
    /* FULL: an answered write survives a power cut; under load the fsync is shared. */
    static const char pragmas[] =
        "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16000; PRAGMA mmap_size = 268435456;";
    char path[FILE_PATH_BYTES_MAX];
    int length = snprintf(path, sizeof(path), "%s/muster.db", directory);
    int rc;

    *db = NULL;
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return error_set(err, ERR_CONFIG, "store: the directory's name is too long");
    }
    rc = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                         gather_vfs());
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(*db, pragmas, NULL, NULL, NULL);
    }
    if (rc == SQLITE_NOTADB) {
        error_set(err, ERR_CONFIG, "%s is not a muster store", path);
    } else if (rc != SQLITE_OK) {
        database_error(*db, err, path);
    } else {
        return 0;
    }
    database_close(db, NULL, 0);
    return rc == SQLITE_NOTADB ? ERR_CONFIG : ERR_SYSTEM;
}

static int pragma_number(sqlite3 *db, const char *sql, int *number, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *number = sqlite3_column_int(statement, 0);
        rc = 0;
    } else {
        rc = database_error(db, err, sql);
    }
    sqlite3_finalize(statement);
    return rc;
}

static int run_step(sqlite3 *db, int version, struct error *err)
{
    char mark[128];

    snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, version + 1);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db, schema_steps[version], NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db, mark, NULL, NULL, NULL) != SQLITE_OK) {
        return database_error(db, err, "bring the schema up to date");
    }
    return 0;
}

int database_migrate(sqlite3 *db, struct error *err)
{
    int version = 0, application = 0;
    int rc = pragma_number(db, "PRAGMA user_version", &version, err);

    if (rc == 0) {
        rc = pragma_number(db, "PRAGMA application_id", &application, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (version != 0 && application != APPLICATION_ID) {
        return error_set(err, ERR_CONFIG, "store: muster.db is another program's database");
    }
    if (version > STORE_SCHEMA_VERSION) {
        return error_set(err, ERR_CONFIG,
                         "store: muster.db was written by a newer muster (schema %d, this one"
                         " knows %d)",
                         version, STORE_SCHEMA_VERSION);
    }
    for (; version < STORE_SCHEMA_VERSION && rc == 0; version++) {
        rc = run_step(db, version, err);
    }
    return rc;
}

static int prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **statements, size_t count,
                   struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL) !=
            SQLITE_OK) {
            return database_error(db, err, sql[i]);
        }
    }
    return 0;
}

int database_prepare_writer(struct store *store, struct error *err)
{
    return prepare(store->writer, writer_sql, store->writer_statements, WRITER_STATEMENTS, err);
}

int database_prepare_reader(struct store *store, struct error *err)
{
    return prepare(store->reader, reader_sql, store->reader_statements, READER_STATEMENTS, err);
}

void database_close(sqlite3 **db, sqlite3_stmt **statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
    ASSERT(sqlite3_close(*db) == SQLITE_OK);
    *db = NULL;
}

void bind_key(sqlite3_stmt *statement, int index, struct slice key)
{
    ASSERT(sqlite3_bind_blob64(statement, index, key.data == NULL ? "" : key.data, key.bytes,
                               SQLITE_STATIC) == SQLITE_OK);
}

void bind_body(sqlite3_stmt *statement, int index, struct slice body)
{
    ASSERT(sqlite3_bind_text64(statement, index, body.data == NULL ? "" : body.data, body.bytes,
                               SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
}

struct slice column_slice(sqlite3_stmt *statement, int column)
{
    const char *data = sqlite3_column_blob(statement, column);

    return slice_of(data, (size_t)sqlite3_column_bytes(statement, column));
}

int statement_run(sqlite3 *db, sqlite3_stmt *statement, struct error *err, const char *what)
{
    int rc = sqlite3_step(statement);

    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        rc = database_error(db, err, what);
    } else {
        rc = 0;
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}
