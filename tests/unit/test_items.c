#include "base/arena.h"
#include "base/buf.h"
#include "store/items.h"
#include "store_fixture.h"

/* A job in words: put "v" if the old body is "if" (NULL: whatever; "": absent), then fail or not.
 */
struct story {
    struct item_job job;
    const char *hash, *range, *if_old, *value; /* value NULL: delete */
    bool then_fail;
    struct buf *log;
};

static struct item_key key_of(const char *hash, const char *range)
{
    return (struct item_key){.table = 7, .hash = slice_z(hash), .range = slice_z(range)};
}

static int story_run(struct item_job *job, struct items_txn *txn, struct error *err)
{
    struct story *story = (struct story *)job;
    const struct item_key key = key_of(story->hash, story->range);
    struct item_row old;
    int rc = items_txn_get(txn, &key, &old, NULL);

    if (rc != 0 && rc != ERR_NOT_FOUND) {
        return error_set(err, rc, "get");
    }
    if (story->if_old != NULL && !slice_equal_z(old.body, story->if_old)) {
        return error_set(err, ERR_EXISTS, "found %.*s", SLICE_ARG(old.body));
    }
    rc = story->value == NULL
             ? items_txn_del(txn, &key, err)
             : items_txn_put(txn, &key, (int64_t)strlen(story->value), slice_z(story->value), err);
    if (rc == 0 && story->then_fail) {
        return error_set(err, ERR_INVALID, "after writing");
    }
    return rc;
}

static void story_done(struct item_job *job, const struct error *err)
{
    struct story *story = (struct story *)job;

    buf_printf(story->log, "%s;", err == NULL ? "ok" : err->message);
}

static void submit(struct store_fixture *fixture, struct story *stories, size_t count,
                   struct buf *log)
{
    for (size_t i = 0; i < count; i++) {
        stories[i].job = (struct item_job){.run = story_run, .done = story_done};
        stories[i].log = log;
        items_submit(fixture->store, &stories[i].job);
    }
    fixture_settle(fixture);
}

static bool print_row(void *data, const struct item_row *row)
{
    buf_printf(data, "%.*s.%.*s=%.*s ", SLICE_ARG(row->hash), SLICE_ARG(row->range),
               SLICE_ARG(row->body));
    return true;
}

static void check_stats(struct store_fixture *fixture, const char *says, int64_t count,
                        int64_t bytes)
{
    int64_t actual_count, actual_bytes;

    check_int(says, 0, items_stats(fixture->store, 7, &actual_count, &actual_bytes, NULL));
    check_int(says, count, actual_count);
    check_int(says, bytes, actual_bytes);
}

static void each_job_sees_those_before_it_and_fails_alone(void **state)
{
    struct store_fixture *fixture = *state;
    struct story stories[] = {
        {.hash = "a", .range = "", .if_old = "", .value = "one"},
        {.hash = "a", .range = "", .if_old = "", .value = "two"},
        {.hash = "b", .range = "", .value = "lost", .then_fail = true},
        {.hash = "a", .range = "", .if_old = "one", .value = "three"},
        {.hash = "b", .range = "", .if_old = "", .value = "kept"},
        {.hash = "c", .range = "", .value = NULL},
    };
    struct arena arena = {0};
    struct buf log = {0};
    struct item_row row;
    struct item_key key = key_of("a", "");

    submit(fixture, stories, COUNT_OF(stories), &log);
    check_text("answers", "ok;found one;after writing;ok;ok;ok;", buf_slice(&log));
    check_int("get", 0, items_get(fixture->store, &key, &arena, &row, NULL));
    check_text("get", "three", row.body);
    check_int("get", 5, row.bytes);
    key.hash = SLICE_LIT("c");
    check_int("absent", ERR_NOT_FOUND, items_get(fixture->store, &key, &arena, &row, NULL));
    check_stats(fixture, "a and b", 2, 9);
    fixture_close(fixture);
    fixture_open(fixture);
    check_stats(fixture, "after a restart", 2, 9);
    arena_close(&arena);
    buf_close(&log);
}

#define BOUND(text, open)                                                                          \
    {                                                                                              \
        .present = true, .exclusive = (open), .range = SLICE_LIT(text)                             \
    }

static void ranges_follow_the_table(void **state)
{
    static const struct {
        const char *says;
        struct items_range range;
        const char *wanted;
    } cases[] = {
        {"a partition", {.hash = SLICE_LIT("p")}, "p.=0 p.a=1 p.ab=2 p.b=3 "},
        {"backwards", {.hash = SLICE_LIT("p"), .backward = true}, "p.b=3 p.ab=2 p.a=1 p.=0 "},
        {"no such partition", {.hash = SLICE_LIT("none")}, ""},
        {"from", {.hash = SLICE_LIT("p"), .low = BOUND("a", false)}, "p.a=1 p.ab=2 p.b=3 "},
        {"after", {.hash = SLICE_LIT("p"), .low = BOUND("a", true)}, "p.ab=2 p.b=3 "},
        {"to", {.hash = SLICE_LIT("p"), .high = BOUND("ab", false)}, "p.=0 p.a=1 p.ab=2 "},
        {"before", {.hash = SLICE_LIT("p"), .high = BOUND("ab", true)}, "p.=0 p.a=1 "},
        {"between, backwards",
         {.hash = SLICE_LIT("p"),
          .low = BOUND("a", false),
          .high = BOUND("b", true),
          .backward = true},
         "p.ab=2 p.a=1 "},
        {"the table", {.whole_table = true}, "p.=0 p.a=1 p.ab=2 p.b=3 q.=4 q.z=5 "},
        {"the table after a row",
         {.whole_table = true, .has_after = true, .hash = SLICE_LIT("p"), .after = SLICE_LIT("ab")},
         "p.b=3 q.=4 q.z=5 "},
        {"after a row that is gone",
         {.whole_table = true, .has_after = true, .hash = SLICE_LIT("pp"), .after = SLICE_EMPTY},
         "q.=4 q.z=5 "},
    };
    struct store_fixture *fixture = *state;
    struct story stories[] = {
        {.hash = "q", .range = "z", .value = "5"}, {.hash = "p", .range = "ab", .value = "2"},
        {.hash = "p", .range = "a", .value = "1"}, {.hash = "q", .range = "", .value = "4"},
        {.hash = "p", .range = "", .value = "0"},  {.hash = "p", .range = "b", .value = "3"},
    };
    struct buf log = {0};

    submit(fixture, stories, COUNT_OF(stories), &log);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct items_range range = cases[i].range;
        struct buf text = {0};

        range.table = 7;
        check_int(cases[i].says, 0, items_range(fixture->store, &range, print_row, &text, NULL));
        check_text(cases[i].says, cases[i].wanted, slice_z(buf_z(&text)));
        buf_close(&text);
    }
    buf_close(&log);
}

static void a_frozen_reader_sees_one_commit(void **state)
{
    struct store_fixture *fixture = *state;
    struct story before = {.hash = "a", .range = "", .value = "old"};
    struct story after = {.hash = "a", .range = "", .value = "new"};
    const struct item_key key = key_of("a", "");
    struct arena arena = {0};
    struct buf log = {0};
    struct item_row row;

    submit(fixture, &before, 1, &log);
    check_int("freeze", 0, items_freeze(fixture->store, NULL));
    items_get(fixture->store, &key, &arena, &row, NULL);
    check_text("before", "old", row.body);
    submit(fixture, &after, 1, &log);
    items_get(fixture->store, &key, &arena, &row, NULL);
    check_text("frozen", "old", row.body);
    items_thaw(fixture->store);
    items_get(fixture->store, &key, &arena, &row, NULL);
    check_text("after", "new", row.body);
    arena_close(&arena);
    buf_close(&log);
}

struct clearing {
    struct item_job job;
    int64_t limit;
    bool more;
};

static int clear_run(struct item_job *job, struct items_txn *txn, struct error *err)
{
    struct clearing *clearing = (struct clearing *)job;

    return items_txn_clear(txn, 7, clearing->limit, &clearing->more, err);
}

static void clear_done(struct item_job *job, const struct error *err)
{
    (void)job;
    assert_null(err);
}

static void a_table_is_cleared_in_steps(void **state)
{
    struct store_fixture *fixture = *state;
    struct story stories[] = {
        {.hash = "a", .range = "1", .value = "xx"},
        {.hash = "a", .range = "2", .value = "yy"},
        {.hash = "b", .range = "1", .value = "zz"},
    };
    struct clearing clearing = {.job = {.run = clear_run, .done = clear_done}, .limit = 2};
    struct buf log = {0};

    submit(fixture, stories, COUNT_OF(stories), &log);
    items_submit(fixture->store, &clearing.job);
    fixture_settle(fixture);
    check_int("one is left", true, clearing.more);
    check_stats(fixture, "one is left", 1, 2);
    clearing.limit = 1;
    items_submit(fixture->store, &clearing.job);
    fixture_settle(fixture);
    check_int("none is left", false, clearing.more);
    check_stats(fixture, "none is left", 0, 0);
    buf_close(&log);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(each_job_sees_those_before_it_and_fails_alone),
        STORE_TEST(ranges_follow_the_table),
        STORE_TEST(a_frozen_reader_sees_one_commit),
        STORE_TEST(a_table_is_cleared_in_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
