/* Metrics in memory: what merges with what, how long it is kept, how it comes back. */
#include "check.h"
#include "services/cloudwatch/metric.h"
#include "store/changes.h"

#include <string.h>

#define MINUTE_MS 60000LL
#define HOUR_MS (60 * MINUTE_MS)

static const struct cloudwatch_dimension queue_host[] = {{"Queue", "a"}, {"Host", "b"}};
static const struct cloudwatch_dimension host_queue[] = {{"Host", "b"}, {"Queue", "a"}};

static void put(struct metrics *metrics, const struct cloudwatch_dimension *dimensions,
                size_t count, const char *unit, int64_t time_ms, double value)
{
    const struct cloudwatch_datum datum = {.namespace = "Test",
                                           .name = "Depth",
                                           .dimensions = dimensions,
                                           .dimension_count = count,
                                           .unit = unit,
                                           .time_ms = time_ms,
                                           .count = 1,
                                           .sum = value,
                                           .minimum = value,
                                           .maximum = value};

    assert_int_equal(metric_add(metrics, &datum, 1000, &metrics->samples, NULL), 0);
}

static void a_metric_is_its_name_and_its_dimensions_in_any_order(void **state)
{
    struct metrics metrics = {0};
    struct metric_set set;

    (void)state;
    put(&metrics, queue_host, 2, "Count", 5000, 1);
    put(&metrics, host_queue, 2, "Count", 5999, 3);
    put(&metrics, queue_host, 1, "Count", 5000, 100);
    put(&metrics, NULL, 0, "Count", 5000, 100);
    assert_int_equal(metrics.by_key.count, 3);
    set = metric_merge(metric_find(&metrics, "Test", "Depth", host_queue, 2), NULL, 5000, 6000);
    assert_true(set.count == 2 && set.sum == 4 && set.minimum == 1 && set.maximum == 3);
    assert_true(metric_statistic(&set, "Average") == 2);
    assert_true(metric_statistic(&set, "Sum") == 4);
    assert_true(metric_statistic(&set, "SampleCount") == 2);
    assert_null(metric_find(&metrics, "Test", "Other", NULL, 0));
    metrics_close(&metrics);
}

static void units_are_streams_of_their_own(void **state)
{
    struct metrics metrics = {0};
    const struct metric *metric;

    (void)state;
    put(&metrics, NULL, 0, "Bytes", 1000, 10);
    put(&metrics, NULL, 0, NULL, 1000, 20);
    metric = metric_find(&metrics, "Test", "Depth", NULL, 0);
    assert_true(metric_merge(metric, "Bytes", 0, 2000).sum == 10);
    assert_true(metric_merge(metric, "None", 0, 2000).sum == 20);
    assert_true(metric_merge(metric, NULL, 0, 2000).sum == 30);
    assert_true(metric_merge(metric, "Bits", 0, 2000).count == 0);
    metrics_close(&metrics);
}

static void late_points_find_their_place(void **state)
{
    struct metrics metrics = {0};
    const struct metric *metric;

    (void)state;
    put(&metrics, NULL, 0, NULL, 9000, 9);
    put(&metrics, NULL, 0, NULL, 3000, 3);
    put(&metrics, NULL, 0, NULL, 6000, 6);
    put(&metrics, NULL, 0, NULL, 3000, 1);
    metric = metric_find(&metrics, "Test", "Depth", NULL, 0);
    assert_int_equal(metric->series[0]->count, 3);
    assert_true(metric_merge(metric, NULL, 3000, 6000).sum == 4);
    assert_true(metric_merge(metric, NULL, 3000, 6001).sum == 10);
    metrics_close(&metrics);
}

static void prune(struct metrics *metrics, int64_t now_ms)
{
    struct changes changes = {0};

    metrics_save(metrics, &changes, &metrics->samples, now_ms);
    metrics_prune(metrics, &changes, now_ms);
    changes_close(&changes);
}

static void seconds_become_minutes_after_three_hours_and_go_after_a_day(void **state)
{
    struct metrics metrics = {0};
    const struct metric *metric;

    (void)state;
    for (int64_t at_ms = 0; at_ms < 2 * MINUTE_MS; at_ms += 5000) {
        put(&metrics, NULL, 0, NULL, at_ms, 1);
    }
    prune(&metrics, 3 * HOUR_MS + MINUTE_MS);
    metric = metric_find(&metrics, "Test", "Depth", NULL, 0);
    assert_int_equal(metric->series[0]->count, 1 + 12); /* The second minute is not old yet. */
    assert_true(metric_merge(metric, NULL, 0, MINUTE_MS).count == 12);
    assert_true(metric_merge(metric, NULL, 0, 2 * MINUTE_MS).count == 24);
    prune(&metrics, METRIC_KEEP_MS + 2 * MINUTE_MS);
    assert_int_equal(metrics.by_key.count, 0);
    metrics_close(&metrics);
}

#define MANY 10000

static void of_very_many_metrics_less_is_kept_but_of_watched_ones(void **state)
{
    const size_t share = METRIC_BUCKETS_MAX / (MANY + 2);
    struct metrics metrics = {0};
    struct metric *watched, *other;
    char host[16];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(host, sizeof(host), "h%d", i);
        put(&metrics, &(struct cloudwatch_dimension){"Host", host}, 1, NULL, 0, 1);
    }
    for (int64_t at_ms = 0; at_ms < 2 * HOUR_MS; at_ms += 5000) {
        put(&metrics, queue_host, 1, NULL, at_ms, 1);
        put(&metrics, queue_host, 2, NULL, at_ms, 1);
    }
    watched = metric_find(&metrics, "Test", "Depth", queue_host, 1);
    other = metric_find(&metrics, "Test", "Depth", queue_host, 2);
    watched->watched = true;
    prune(&metrics, 2 * HOUR_MS);
    assert_int_equal(watched->series[0]->count, 2 * 720);
    assert_in_range(other->series[0]->count, share / 2, share);
    /* The newest are as fine as they were, older ones are minutes. */
    assert_true(metric_merge(other, NULL, 2 * HOUR_MS - 5000, 2 * HOUR_MS).count == 1);
    assert_true(metric_merge(other, NULL, HOUR_MS, HOUR_MS + 1000).count == 12);
    assert_true(metric_merge(other, NULL, HOUR_MS, 2 * HOUR_MS).count == 720);
    metrics_close(&metrics);
}

/* The store: series by id, and rows. */
static void load(struct metrics *metrics, const struct changes *changes, enum change_type rows)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->list[i];

        if (change->type == CHANGE_PUT) {
            metrics_load_series(metrics, change->id, change->body);
        }
    }
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->list[i];

        if (change->type == rows) {
            metrics_load_row(metrics, change->row, rows == CHANGE_ADD_SUMS, change->body);
        }
    }
    metrics_loaded(metrics);
}

static void check_set(const struct metrics *metrics, const char *unit, int64_t from_ms,
                      int64_t to_ms, double count, double sum)
{
    struct metric_set set =
        metric_merge(metric_find(metrics, "Test", "Depth", queue_host, 2), unit, from_ms, to_ms);

    check_int("count", (long long)count, (long long)set.count);
    check_int("sum", (long long)sum, (long long)set.sum);
}

static void check_loaded(const struct metrics *metrics)
{
    check_set(metrics, "Count", 0, MINUTE_MS, 2, 3);
    check_set(metrics, "Count", MINUTE_MS, 2 * MINUTE_MS, 2, 40);
    check_set(metrics, "Bytes", 0, MINUTE_MS, 1, 5);
}

static void what_was_stored_comes_back_from_samples_and_from_sums(void **state)
{
    struct metrics metrics = {0}, again = {0}, from_sums = {0}, summed_again = {0};
    struct changes changes = {0}, more = {0};

    (void)state;
    put(&metrics, queue_host, 2, "Count", 1000, 1);
    put(&metrics, host_queue, 2, "Count", MINUTE_MS + 2000, 10);
    metrics_save(&metrics, &changes, &metrics.samples, 0);
    put(&metrics, queue_host, 2, "Bytes", 7000, 5);
    put(&metrics, queue_host, 2, "Count", 2000, 2); /* Late. */
    put(&metrics, queue_host, 2, "Count", MINUTE_MS + 2000, 30);
    metrics_save_sums(&metrics, &changes, 0);

    load(&again, &changes, CHANGE_ADD_SAMPLES);
    check_loaded(&again);
    check_set(&again, "Count", 2000, 3000, 1, 2);
    load(&from_sums, &changes, CHANGE_ADD_SUMS);
    check_loaded(&from_sums);

    /* Samples that no sums covered yet are in the next. */
    metrics_save_sums(&again, &more, 0);
    changes_put(&more, SLICE_LIT("series"), SLICE_LIT("00000001"),
                SLICE_LIT("Count\x1fTest\x1f"
                          "Depth\x1fHost\x1f"
                          "b\x1fQueue\x1f"
                          "a"));
    load(&summed_again, &more, CHANGE_ADD_SUMS);
    check_set(&summed_again, "Count", 0, MINUTE_MS, 2, 3);
    check_set(&summed_again, "Count", MINUTE_MS, 2 * MINUTE_MS, 2, 40);

    /* What names nothing, or is cut, is left out. */
    metrics_load_row(&summed_again, 9, true, SLICE_LIT("no line"));
    check_set(&summed_again, "Count", 0, 2 * MINUTE_MS, 4, 43);
    changes_close(&changes);
    changes_close(&more);
    metrics_close(&metrics);
    metrics_close(&again);
    metrics_close(&from_sums);
    metrics_close(&summed_again);
}

static void there_are_never_too_many(void **state)
{
    struct metrics metrics = {0};
    char name[16];

    (void)state;
    for (int i = 0; i < METRICS_MAX + 1; i++) {
        const struct cloudwatch_datum datum = {
            .namespace = "Test", .name = name, .count = 1, .time_ms = 1};

        snprintf(name, sizeof(name), "m%d", i);
        assert_int_equal(metric_add(&metrics, &datum, 1000, &metrics.samples, NULL),
                         i < METRICS_MAX ? 0 : ERR_TOO_LARGE);
        assert_int_equal(metric_has(&metrics, &datum), i < METRICS_MAX);
    }
    metrics_close(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_metric_is_its_name_and_its_dimensions_in_any_order),
        cmocka_unit_test(units_are_streams_of_their_own),
        cmocka_unit_test(late_points_find_their_place),
        cmocka_unit_test(seconds_become_minutes_after_three_hours_and_go_after_a_day),
        cmocka_unit_test(of_very_many_metrics_less_is_kept_but_of_watched_ones),
        cmocka_unit_test(what_was_stored_comes_back_from_samples_and_from_sums),
        cmocka_unit_test(there_are_never_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
