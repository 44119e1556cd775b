/* Gathered writes of SQLite's log: other connections, and the next process, find what was
 * committed. */
#include "check.h"
#include "store/gather.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    char directory[64], path[80], log[88], index[88];
    sqlite3 *writer, *reader;
};

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;

    assert_int_equal(
        SQLITE_OK,
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, gather_vfs()));
    assert_int_equal(SQLITE_OK,
                     sqlite3_exec(db,
                                  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                  "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 10;",
                                  NULL, NULL, NULL));
    return db;
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    strcpy(world->directory, "/tmp/muster-test-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof(world->path), "%s/db", world->directory);
    snprintf(world->log, sizeof(world->log), "%s-wal", world->path);
    snprintf(world->index, sizeof(world->index), "%s-shm", world->path);
    world->writer = open_database(world->path);
    assert_int_equal(SQLITE_OK, sqlite3_exec(world->writer,
                                             "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)",
                                             NULL, NULL, NULL));
    world->reader = open_database(world->path);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    sqlite3_close(world->reader);
    sqlite3_close(world->writer);
    unlink(world->log);
    unlink(world->index);
    unlink(world->path);
    rmdir(world->directory);
    free(world);
    return 0;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Rows of 1,000 bytes; @from up to below @to. */
static int add_rows(sqlite3 *db, int from, int to)
{
    char sql[256];

    snprintf(sql, sizeof(sql),
             "WITH RECURSIVE n (i) AS (VALUES (%d) UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO t SELECT i, zeroblob(1000) FROM n",
             from, to - 1);
    return run(db, sql);
}

static int rows(sqlite3 *db)
{
    sqlite3_stmt *count;
    int result = -1;

    assert_int_equal(SQLITE_OK, sqlite3_prepare_v2(db, "SELECT count(*), sum(length(body)) FROM t",
                                                   -1, &count, NULL));
    if (sqlite3_step(count) == SQLITE_ROW) {
        result = sqlite3_column_int(count, 0);
        assert_int_equal(result * 1000, sqlite3_column_int(count, 1));
    }
    sqlite3_finalize(count);
    return result;
}

static void other_connections_see_what_was_committed(void **state)
{
    struct world *world = *state;

    /* Of one page; of more than a piece; of more than the writer's cache, which is read again. */
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 0, 1));
    assert_int_equal(1, rows(world->reader));
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 1, 500));
    assert_int_equal(500, rows(world->reader));
    assert_int_equal(SQLITE_OK, run(world->writer, "BEGIN"));
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 500, 2000));
    assert_int_equal(SQLITE_OK,
                     run(world->writer, "UPDATE t SET body = zeroblob(1000) WHERE id % 3 = 0"));
    assert_int_equal(2000, rows(world->writer));
    assert_int_equal(500, rows(world->reader));
    assert_int_equal(SQLITE_OK, run(world->writer, "COMMIT"));
    assert_int_equal(2000, rows(world->reader));
}

static void what_is_rolled_back_is_overwritten(void **state)
{
    struct world *world = *state;

    assert_int_equal(SQLITE_OK, run(world->writer, "BEGIN"));
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 0, 1000));
    assert_int_equal(SQLITE_OK, run(world->writer, "ROLLBACK"));
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 0, 7));
    assert_int_equal(7, rows(world->reader));
    assert_int_equal(SQLITE_OK, sqlite3_wal_checkpoint_v2(world->reader, NULL,
                                                          SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 7, 9));
    assert_int_equal(9, rows(world->reader));
}

/* A copy of the files is what a process that was killed now would leave. */
static void what_was_committed_is_on_disk(void **state)
{
    struct world *world = *state;
    char copy[96], command[512];
    sqlite3 *db;

    assert_int_equal(SQLITE_OK, add_rows(world->writer, 0, 333));
    assert_int_equal(SQLITE_OK, run(world->writer, "BEGIN"));
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 333, 1000));
    snprintf(copy, sizeof(copy), "%s/copy", world->directory);
    snprintf(command, sizeof(command), "cp %s %s && cp %s %s-wal", world->path, copy, world->log,
             copy);
    assert_int_equal(0, system(command));
    db = open_database(copy);
    assert_int_equal(333, rows(db));
    sqlite3_close(db); /* Removes its log. */
    unlink(copy);
    assert_int_equal(SQLITE_OK, run(world->writer, "COMMIT"));
    assert_int_equal(1000, rows(world->reader));
}

static void a_write_that_fails_fails_its_transaction(void **state)
{
    struct world *world = *state;
    struct rlimit old, small;
    struct stat status;

    assert_int_equal(SQLITE_OK, add_rows(world->writer, 0, 10));
    assert_int_equal(0, stat(world->log, &status));
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){(rlim_t)status.st_size + 100000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_not_equal(SQLITE_OK, add_rows(world->writer, 10, 1000));
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(10, rows(world->reader));
    assert_int_equal(SQLITE_OK, add_rows(world->writer, 10, 1000));
    assert_int_equal(1000, rows(world->reader));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_connections_see_what_was_committed, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_is_rolled_back_is_overwritten, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_was_committed_is_on_disk, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_write_that_fails_fails_its_transaction, open_world,
                                        close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
