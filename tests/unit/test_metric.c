/* Metrics in memory: what merges with what, how long it is kept, how it comes back. */
#include "check.h"
#include "services/cloudwatch/metric.h"

#include <string.h>

#define MINUTE_MS 60000LL
#define HOUR_MS (60 * MINUTE_MS)

static const struct cloudwatch_dimension queue_host[] = {
    {"Queue", "a"},
    {"Host",  "b"}
};
static const struct cloudwatch_dimension host_queue[] = {
    {"Host",  "b"},
    {"Queue", "a"}
};

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
    struct metric_series *series;
    size_t at;

    assert_int_equal(metric_add(metrics, &datum, 1000, &series, &at, NULL), 0);
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
    assert_int_equal(metric->series[0].count, 3);
    assert_true(metric_merge(metric, NULL, 3000, 6000).sum == 4);
    assert_true(metric_merge(metric, NULL, 3000, 6001).sum == 10);
    metrics_close(&metrics);
}

static void seconds_become_minutes_after_three_hours_and_go_after_a_day(void **state)
{
    struct metrics metrics = {0};
    const struct metric *metric;

    (void)state;
    for (int64_t at_ms = 0; at_ms < 2 * MINUTE_MS; at_ms += 5000) {
        put(&metrics, NULL, 0, NULL, at_ms, 1);
    }
    metrics_prune(&metrics, 3 * HOUR_MS + MINUTE_MS);
    metric = metric_find(&metrics, "Test", "Depth", NULL, 0);
    assert_int_equal(metric->series[0].count, 1 + 12); /* The second minute is not old yet. */
    assert_true(metric_merge(metric, NULL, 0, MINUTE_MS).count == 12);
    assert_true(metric_merge(metric, NULL, 0, 2 * MINUTE_MS).count == 24);
    metrics_prune(&metrics, METRIC_KEEP_MS + 2 * MINUTE_MS);
    assert_int_equal(metrics.by_key.count, 0);
    metrics_close(&metrics);
}

static void what_was_stored_comes_back(void **state)
{
    struct metrics metrics = {0};
    const struct metric *metric;

    (void)state;
    metrics_load(&metrics,
                 SLICE_LIT("Count\x1fTest\x1f"
                           "Depth\x1fHost\x1f"
                           "b\x1fQueue\x1f"
                           "a"),
                 7000, SLICE_LIT("2 4 1 3"));
    metrics_load(&metrics, SLICE_LIT("Count"), 7000, SLICE_LIT("2 4 1 3")); /* Left out: */
    metrics_load(&metrics,
                 SLICE_LIT("Count\x1fTest\x1f"
                           "Depth"),
                 7000, SLICE_LIT("2 x"));
    assert_int_equal(metrics.by_key.count, 1);
    metric = metric_find(&metrics, "Test", "Depth", queue_host, 2);
    assert_non_null(metric);
    assert_true(metric_merge(metric, "Count", 7000, 8000).sum == 4);
    metrics_close(&metrics);
}

static void there_are_never_too_many(void **state)
{
    struct metrics metrics = {0};
    struct metric_series *series;
    char name[16];
    size_t at;

    (void)state;
    for (int i = 0; i < METRICS_MAX + 1; i++) {
        const struct cloudwatch_datum datum = {
            .namespace = "Test", .name = name, .count = 1, .time_ms = 1};

        snprintf(name, sizeof(name), "m%d", i);
        assert_int_equal(metric_add(&metrics, &datum, 1000, &series, &at, NULL),
                         i < METRICS_MAX ? 0 : ERR_TOO_LARGE);
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
        cmocka_unit_test(what_was_stored_comes_back),
        cmocka_unit_test(there_are_never_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
