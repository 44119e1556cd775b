#include "base/buf.h"
#include "store/changes.h"
#include "store/samples.h"
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

static bool print_resource(void *data, struct slice kind, struct slice id, struct slice body)
{
    buf_printf(data, "%.*s/%.*s=%.*s\n", SLICE_ARG(kind), SLICE_ARG(id), SLICE_ARG(body));
    return true;
}

static void expect_resources(struct store_fixture *fixture, const char *says, const char *wanted)
{
    struct buf text = {0};

    check_int(says, 0, store_load_all(fixture->store, print_resource, &text, NULL));
    check_text(says, wanted, slice_z(buf_z(&text)));
    buf_close(&text);
}

static void note_done(void *data, const struct error *err)
{
    buf_printf(data, "%s;", err == NULL ? "ok" : "failed");
}

static void put(struct changes *changes, const char *kind, const char *id, const char *body)
{
    changes_put(changes, slice_z(kind), slice_z(id), slice_z(body));
}

static void what_was_committed_is_there_after_a_restart(void **state)
{
    struct store_fixture *fixture = *state;
    struct changes changes = {0};
    struct buf done = {0};

    put(&changes, "group", "b", "2");
    put(&changes, "group", "a", "1");
    put(&changes, "alarm", "x", "{}");
    put(&changes, "group", "b", "3");
    store_commit(fixture->store, &changes, note_done, &done);
    assert_true(changes_empty(&changes));
    assert_false(store_idle(fixture->store));
    check_int("never before commit returns", 0, done.bytes);
    changes_del(&changes, SLICE_LIT("group"), SLICE_LIT("a"));
    changes_del(&changes, SLICE_LIT("group"), SLICE_LIT("never"));
    store_commit(fixture->store, &changes, note_done, &done);
    fixture_settle(fixture);
    check_text("both answered", "ok;ok;", buf_slice(&done));

    fixture_close(fixture);
    fixture_open(fixture);
    expect_resources(fixture, "reopened", "alarm/x={}\ngroup/b=3\n");
    buf_close(&done);
    changes_close(&changes);
}

static void what_waits_is_written_by_close(void **state)
{
    struct store_fixture *fixture = *state;
    struct changes changes = {0};
    struct buf done = {0};

    put(&changes, "k", "id", "v");
    store_commit(fixture->store, &changes, note_done, &done);
    fixture_close(fixture);
    check_text("answered", "ok;", buf_slice(&done));
    fixture_open(fixture);
    expect_resources(fixture, "reopened", "k/id=v\n");
    buf_close(&done);
}

static void note_number(void *data, const struct error *err)
{
    int **next = data;

    assert_null(err);
    *(*next)++ = 1;
}

static void commits_complete_in_their_order(void **state)
{
    struct store_fixture *fixture = *state;
    int flags[100] = {0};
    int *next = flags;

    for (int i = 0; i < 100; i++) {
        struct changes changes = {0};
        char text[16];

        snprintf(text, sizeof(text), "%d", i);
        if (i % 3 != 0) { /* Each third is a barrier. */
            put(&changes, "counter", "one", text);
        }
        store_commit(fixture->store, &changes, note_number, &next);
    }
    fixture_settle(fixture);
    check_int("all", 100, next - flags);
    expect_resources(fixture, "the last one wins", "counter/one=98\n");
}

static void a_cut_set_forgets_what_came_later(void **state)
{
    struct store_fixture *fixture = *state;
    struct changes changes = {0};
    size_t mark;

    put(&changes, "k", "stays", "1");
    mark = changes.count;
    put(&changes, "k", "goes", "1");
    changes_cut(&changes, mark);
    store_commit(fixture->store, &changes, NULL, NULL);
    fixture_settle(fixture);
    expect_resources(fixture, "cut", "k/stays=1\n");
}

static void execute(const struct store_fixture *fixture, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;

    snprintf(path, sizeof(path), "%s/muster.db", fixture->directory);
    assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
    assert_int_equal(SQLITE_OK, sqlite3_exec(db, sql, NULL, NULL, NULL));
    sqlite3_close(db);
}

static void expect_after_reopening(struct store_fixture *fixture, const char *wanted)
{
    fixture_settle(fixture);
    fixture_close(fixture);
    fixture_open(fixture);
    expect_resources(fixture, "reopened", wanted);
}

static void resources_come_in_the_order_of_their_creation(void **state)
{
    struct store_fixture *fixture = *state;
    struct changes changes = {0};

    put(&changes, "k", "third", "1");
    put(&changes, "k", "first", "2");
    put(&changes, "a", "x", "3");
    put(&changes, "k", "second", "4");
    store_commit(fixture->store, &changes, NULL, NULL);
    put(&changes, "k", "third", "5"); /* It was there. */
    changes_del(&changes, SLICE_LIT("k"), SLICE_LIT("first"));
    store_commit(fixture->store, &changes, NULL, NULL);
    put(&changes, "k", "first", "6"); /* Another one. */
    store_commit(fixture->store, &changes, NULL, NULL);
    expect_after_reopening(fixture, "a/x=3\nk/third=5\nk/second=4\nk/first=6\n");
    changes_close(&changes);
}

static void an_older_file_is_brought_up_to_date(void **state)
{
    struct store_fixture *fixture = *state;
    struct changes changes = {0};

    fixture_close(fixture);
    execute(fixture,
            "DROP TABLE resource;"
            "CREATE TABLE resource (kind TEXT NOT NULL, id BLOB NOT NULL, body TEXT NOT NULL,"
            " PRIMARY KEY (kind, id)) WITHOUT ROWID;"
            "INSERT INTO resource VALUES ('k', x'62', '1'), ('k', x'61', '2'), ('j', x'7A', '3'),"
            " ('l', x'61', '{\"created_ms\":2}'), ('l', x'62', '{\"created_ms\":1}');"
            "PRAGMA user_version = 2");
    fixture_open(fixture);
    put(&changes, "k", "A", "4");
    put(&changes, "k", "a", "5");
    store_commit(fixture->store, &changes, NULL, NULL);
    expect_after_reopening(fixture, "j/z=3\nk/a=5\nk/b=1\nk/A=4\n"
                                    "l/b={\"created_ms\":1}\nl/a={\"created_ms\":2}\n");
    changes_close(&changes);
}

static void check_open_fails(struct store_fixture *fixture, int code, const char *message)
{
    const struct store_options options = {.directory = fixture->directory, .loop = &fixture->loop};
    struct store *store = NULL;
    struct error err = {0};

    check_int(message, code, store_open(&options, &store, &err));
    assert_null(store);
    if (strstr(err.message, message) == NULL) {
        check_text("message", message, slice_z(err.message));
    }
}

static void a_store_that_is_not_ours_to_open_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    char path[128];
    FILE *file;

    check_open_fails(fixture, ERR_CONFIG, "in use by another process");
    fixture_close(fixture);
    execute(fixture, "PRAGMA user_version = 99");
    check_open_fails(fixture, ERR_CONFIG,
                     "written by a newer muster (schema 99, this one knows 3)");
    execute(fixture, "PRAGMA user_version = 1; PRAGMA application_id = 5");
    check_open_fails(fixture, ERR_CONFIG, "another program's database");
    snprintf(path, sizeof(path), "%s/muster.db", fixture->directory);
    file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) {
        fputs("this is no database ", file);
    }
    fclose(file);
    check_open_fails(fixture, ERR_CONFIG, "is not a muster store");
    unlink(path);
    fixture_open(fixture);
}

static void note_failure(void *data, const struct error *err)
{
    buf_printf(data, "owner %s;", error_code_name(err->code));
}

static void a_commit_that_fails_is_told_to_all(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_options options = {.directory = fixture->directory, .loop = &fixture->loop};
    struct changes changes = {0};
    struct buf done = {0};

    fixture_close(fixture);
    execute(fixture, "CREATE TRIGGER full BEFORE INSERT ON resource WHEN NEW.id = x'6661696c'"
                     " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
    options.failed = note_failure;
    options.failed_data = &done;
    check_int("open", 0, store_open(&options, &fixture->store, NULL));
    put(&changes, "k", "good", "1");
    store_commit(fixture->store, &changes, note_done, &done);
    fixture_settle(fixture);
    put(&changes, "k", "half", "1");
    put(&changes, "k", "fail", "1");
    store_commit(fixture->store, &changes, note_done, &done);
    fixture_settle(fixture);
    put(&changes, "k", "later", "1");
    store_commit(fixture->store, &changes, note_done, &done);
    fixture_settle(fixture);
    check_text("the owner hears it first, once", "ok;owner system;failed;failed;",
               buf_slice(&done));
    expect_resources(fixture, "nothing of the failed one", "k/good=1\n");
    buf_close(&done);
}

static void print_samples(void *data, int64_t row, bool summed, struct slice body)
{
    buf_printf(data, "%lld%s=%.*s ", (long long)row, summed ? "+" : "", SLICE_ARG(body));
}

/* Commit @changes; then the store has @expected. */
static void check_samples(struct store_fixture *fixture, struct changes *changes, const char *what,
                          const char *expected)
{
    struct buf text = {0};

    store_commit(fixture->store, changes, NULL, NULL);
    fixture_settle(fixture);
    samples_load(fixture->store, print_samples, &text, NULL);
    check_text(what, expected, buf_slice(&text));
    buf_close(&text);
}

static void samples_go_when_sums_cover_them(void **state)
{
    struct store_fixture *fixture = *state;
    struct changes changes = {0};

    changes_add_samples(&changes, 1, 1000, SLICE_LIT("a"));
    changes_add_samples(&changes, 2, 2000, SLICE_LIT("b"));
    changes_add_sums(&changes, 2, 2000, SLICE_LIT("ab"));
    changes_add_samples(&changes, 4, 3000, SLICE_LIT("c"));
    changes_add_sums(&changes, 4, 3000, SLICE_LIT("C"));
    changes_add_samples(&changes, 5, 4000, SLICE_LIT("d"));
    check_samples(fixture, &changes, "samples say all", "1+=a 2+=b 4+=c 5=d ");
    changes_expire_samples(&changes, 2500, 1000);
    check_samples(fixture, &changes, "sums instead of what they cover", "2+=ab 4+=c 5=d ");
    changes_expire_samples(&changes, 9000, 2500);
    check_samples(fixture, &changes, "what no sums cover stays", "4+=C 5=d ");
    changes_expire_samples(&changes, 9000, 9000);
    check_samples(fixture, &changes, "old sums go", "5=d ");
}

/* The child writes without end and says on the pipe what was answered. */
struct flood {
    struct store *store;
    int pipe;
    int next;
};

static void flood_one(struct flood *flood);

struct flood_mark {
    struct flood *flood;
    int number;
};

static void flood_done(void *data, const struct error *err)
{
    struct flood_mark *mark = data;

    if (err != NULL || write(mark->flood->pipe, &mark->number, sizeof(mark->number)) < 0) {
        _exit(1);
    }
    flood_one(mark->flood);
    free(mark);
}

static void flood_one(struct flood *flood)
{
    struct flood_mark *mark = malloc(sizeof(*mark));
    struct changes changes = {0};
    char id[16];

    *mark = (struct flood_mark){flood, flood->next++};
    snprintf(id, sizeof(id), "%08d", mark->number);
    put(&changes, "flood", id, "{\"some\":\"body\"}");
    store_commit(flood->store, &changes, flood_done, mark);
}

#define FAILED_COMMIT SIGUSR1 /* At an exit, valgrind may take what is on its way for leaked. */

static void end_process(void *data, const struct error *err)
{
    (void)data;
    (void)err;
    raise(FAILED_COMMIT);
}

static void flood_main(const char *directory, int pipe)
{
    struct flood flood = {.pipe = pipe};
    uv_loop_t loop;
    const struct store_options options = {
        .directory = directory, .loop = &loop, .failed = end_process};

    if (uv_loop_init(&loop) != 0 || store_open(&options, &flood.store, NULL) != 0) {
        _exit(2);
    }
    for (int i = 0; i < 32; i++) {
        flood_one(&flood);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    _exit(3);
}

static bool note_id(void *data, struct slice kind, struct slice id, struct slice body)
{
    char *seen = data;
    char text[16] = {0};

    (void)kind;
    (void)body;
    memcpy(text, id.data, 8);
    seen[strtol(text, NULL, 10)] = 1;
    return true;
}

#define FLOOD_MAX 1000000

/* What a flooding child does: how it ends, and what it had said by then. */
struct disaster {
    struct store_fixture *fixture;
    rlim_t file_bytes_max; /* 0: no limit. */
    int kill_after;        /* Answers; 0: it ends by itself. */
    char *answered;
    int status;
};

static void run_disaster(struct disaster *disaster)
{
    struct rlimit limit = {disaster->file_bytes_max, disaster->file_bytes_max};
    int ends[2], number;
    pid_t child;

    assert_int_equal(0, pipe2(ends, O_CLOEXEC));
    child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN); /* Then a write past the limit fails, as on a full disk. */
        if (disaster->file_bytes_max != 0 && setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            _exit(4);
        }
        flood_main(disaster->fixture->directory, ends[1]);
    }
    close(ends[1]);
    for (int i = 1; read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number); i++) {
        disaster->answered[number] = 1; /* Also what it said before it died. */
        if (i == disaster->kill_after) {
            kill(child, SIGKILL);
        }
    }
    close(ends[0]);
    assert_int_equal(child, waitpid(child, &disaster->status, 0));
}

static int check_answered_is_there(const struct disaster *disaster)
{
    char *found = calloc(FLOOD_MAX, 1);
    int count = 0;

    fixture_open(disaster->fixture);
    check_int("load", 0, store_load_all(disaster->fixture->store, note_id, found, NULL));
    fixture_close(disaster->fixture);
    for (int i = 0; i < FLOOD_MAX; i++) {
        count += disaster->answered[i];
        check_int("an answered write is there", 1, found[i] || !disaster->answered[i]);
    }
    free(found);
    return count;
}

static void what_was_answered_survives_a_kill(void **state)
{
    struct store_fixture *fixture = *state;
    int count = 0;

    fixture_close(fixture);
    for (int round = 0; round < 3; round++) {
        struct disaster disaster = {.fixture = fixture, .kill_after = 1500 + 700 * round};

        disaster.answered = calloc(FLOOD_MAX, 1);
        run_disaster(&disaster);
        assert_true(WIFSIGNALED(disaster.status));
        count += check_answered_is_there(&disaster);
        free(disaster.answered);
    }
    assert_true(count >= 4500);
    fixture_open(fixture);
}

static void a_full_disk_ends_the_process_and_loses_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct disaster disaster = {.fixture = fixture, .file_bytes_max = 2 * 1024 * 1024};

    fixture_close(fixture);
    disaster.answered = calloc(FLOOD_MAX, 1);
    run_disaster(&disaster);
    assert_true(WIFSIGNALED(disaster.status));
    check_int("the owner was told", FAILED_COMMIT, WTERMSIG(disaster.status));
    assert_true(check_answered_is_there(&disaster) > 0);
    free(disaster.answered);
    fixture_open(fixture);
}

/* Enough pages that the checkpointer and the bound of the log both act. */
static void the_log_does_not_grow_without_end(void **state)
{
    struct store_fixture *fixture = *state;
    char path[128], body[3000];
    struct stat status;

    memset(body, 'x', sizeof(body));
    for (int i = 0; i < 30000; i++) {
        struct changes changes = {0};
        char id[16];

        snprintf(id, sizeof(id), "%d", i % 5000);
        changes_put(&changes, SLICE_LIT("k"), slice_z(id), slice_of(body, sizeof(body)));
        store_commit(fixture->store, &changes, NULL, NULL);
        if (i % 100 == 0) {
            fixture_settle(fixture);
        }
    }
    fixture_settle(fixture);
    snprintf(path, sizeof(path), "%s/muster.db-wal", fixture->directory);
    assert_int_equal(0, stat(path, &status));
    assert_true(status.st_size < 80LL * 1024 * 1024);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_was_committed_is_there_after_a_restart),
        STORE_TEST(what_waits_is_written_by_close),
        STORE_TEST(commits_complete_in_their_order),
        STORE_TEST(a_cut_set_forgets_what_came_later),
        STORE_TEST(resources_come_in_the_order_of_their_creation),
        STORE_TEST(an_older_file_is_brought_up_to_date),
        STORE_TEST(a_store_that_is_not_ours_to_open_is_refused),
        STORE_TEST(a_commit_that_fails_is_told_to_all),
        STORE_TEST(samples_go_when_sums_cover_them),
        STORE_TEST(what_was_answered_survives_a_kill),
        STORE_TEST(a_full_disk_ends_the_process_and_loses_nothing),
        STORE_TEST(the_log_does_not_grow_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
