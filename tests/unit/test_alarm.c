/* CloudWatch's own tables for missing data, and the words of its reasons. */
#include "check.h"
#include "engine/alarm.h"

#include <string.h>

/* "0 - X - X": a point below, none, a point above the threshold; newest last. */
static int32_t fill(const char *picture, struct alarm_slot *slots, int64_t period_ms)
{
    int32_t count = 0;

    for (const char *p = picture; *p != '\0'; p++) {
        if (*p != ' ') {
            slots[count] = (struct alarm_slot){.start_ms = count * period_ms,
                                               .present = *p != '-',
                                               .value = *p == 'X' ? 90 : 10,
                                               .samples = 1};
            count++;
        }
    }
    return count;
}

enum { OK = ALARM_OK, AL = ALARM_ALARM, NO = ALARM_INSUFFICIENT_DATA, KEEP = 9 };

static const struct {
    const char *data;
    int32_t m;
    int missing, ignore, breaching, not_breaching;
} documented[] = {
    {"0 - X - X", 3, OK, OK, OK, OK},     {"0 - - - -", 3, OK, OK, OK, OK},
    {"- - - - -", 3, NO, KEEP, AL, OK},   {"0 X X - X", 3, AL, AL, AL, AL},
    {"- - X - -", 3, AL, KEEP, AL, OK},   {"0 - X - X", 2, AL, AL, AL, AL},
    {"0 0 X 0 X", 2, AL, AL, AL, AL},     {"0 - X - -", 2, OK, OK, AL, OK},
    {"- - - - 0", 2, OK, OK, AL, OK},     {"- - - X -", 2, AL, KEEP, AL, OK},
    {"- - - - X", 3, KEEP, KEEP, AL, OK}, {"- - - X -", 3, KEEP, KEEP, AL, OK},
};

static void missing_data_follows_the_documented_tables(void **state)
{
    static struct alarm_verdict verdict;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(documented); i++) {
        const int wanted[] = {documented[i].missing, documented[i].ignore, documented[i].breaching,
                              documented[i].not_breaching};

        for (int mode = 0; mode < 4; mode++) {
            struct alarm_slot slots[8];
            struct alarm_rule rule = {.comparison = ALARM_GREATER,
                                      .threshold = 50,
                                      .period_ms = 60000,
                                      .periods = 3,
                                      .datapoints = documented[i].m,
                                      .missing = (enum alarm_missing)mode};
            int32_t count = fill(documented[i].data, slots, 60000);

            check_int("range", 5, alarm_range(&rule));
            for (int current = 0; current < 3; current++) {
                alarm_decide(&rule, slots, count, (enum alarm_state)current, &verdict);
                check_int(documented[i].data, wanted[mode] == KEEP ? current : wanted[mode],
                          (int64_t)verdict.state);
            }
        }
    }
}

static const struct {
    const char *data;
    int32_t n, m;
    enum alarm_missing missing;
    const char *reason;
} reasons[] = {
    {"X", 1, 0, ALARM_MISSING,
     "Threshold Crossed: 1 datapoint [90.0 (01/01/70 00:00:00)] was greater than the threshold "
     "(50.0)."},
    {"X X", 2, 0, ALARM_MISSING,
     "Threshold Crossed: 2 datapoints [90.0 (01/01/70 00:00:30), 90.0 (01/01/70 00:00:00)] were "
     "greater than the threshold (50.0)."},
    {"X 0", 2, 0, ALARM_MISSING,
     "Threshold Crossed: 1 datapoint [10.0 (01/01/70 00:00:30)] was not greater than the threshold "
     "(50.0)."},
    {"X X", 2, 2, ALARM_MISSING,
     "Threshold Crossed: 2 out of the last 2 datapoints [90.0 (01/01/70 00:00:30), 90.0 (01/01/70 "
     "00:00:00)] were greater than the threshold (50.0) (minimum 2 datapoints for OK -> ALARM "
     "transition)."},
    {"- -", 2, 0, ALARM_BREACHING,
     "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were "
     "treated as [Breaching]."},
    {"- -", 2, 0, ALARM_MISSING, "Insufficient Data: 2 datapoints were unknown."},
};

static void reasons_are_in_aws_s_words(void **state)
{
    static struct alarm_verdict verdict;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        struct alarm_rule rule = {.comparison = ALARM_GREATER,
                                  .threshold = 50,
                                  .period_ms = 30000,
                                  .periods = reasons[i].n,
                                  .datapoints = reasons[i].m,
                                  .missing = reasons[i].missing};
        struct alarm_slot slots[8];
        struct buf text = {0};
        int32_t count = fill(reasons[i].data, slots, 30000);

        alarm_decide(&rule, slots, count, ALARM_OK, &verdict);
        alarm_reason(&rule, slots, &verdict, &text);
        check_text(reasons[i].data, reasons[i].reason, buf_slice(&text));
        buf_close(&text);
    }
}

static void reason_data_lists_what_was_judged(void **state)
{
    static struct alarm_verdict verdict;
    struct alarm_rule rule = {
        .comparison = ALARM_GREATER, .threshold = 1e9, .period_ms = 300000, .periods = 1};
    struct alarm_slot slots[1];
    struct buf text = {0};

    (void)state;
    fill("0", slots, 300000);
    alarm_decide(&rule, slots, 1, ALARM_OK, &verdict);
    alarm_reason_data(&rule, slots, 1, &verdict, "Average", NULL, 300521, &text);
    check_text("reason data",
               "{\"version\":\"1.0\",\"queryDate\":\"1970-01-01T00:05:00.521+0000\",\"startDate\":"
               "\"1970-01-01T00:00:00.000+0000\",\"statistic\":\"Average\",\"period\":300,"
               "\"recentDatapoints\":[10.0],\"threshold\":1.0E9,\"evaluatedDatapoints\":[{"
               "\"timestamp\":\"1970-01-01T00:00:00.000+0000\",\"sampleCount\":1.0,\"value\":10.0}]"
               "}",
               buf_slice(&text));
    buf_close(&text);
}

static void alarms_are_judged_a_little_after_their_marks(void **state)
{
    const struct alarm_rule brief = {.period_ms = 30000, .periods = 2};
    const struct alarm_rule slow = {.period_ms = 60000, .periods = 2};

    (void)state;
    check_int("short periods every 10 s", 12000, alarm_wake_ms(&brief, 2000));
    check_int("others every minute", 62000, alarm_wake_ms(&slow, 2000));
    check_int("the window ends at the mark", 10000, alarm_window_end_ms(&brief, 12000));
    check_int("not yet again", 0, alarm_repeats(1000, 60999));
    check_int("again after a minute", 1, alarm_repeats(1000, 61000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_data_follows_the_documented_tables),
        cmocka_unit_test(reasons_are_in_aws_s_words),
        cmocka_unit_test(reason_data_lists_what_was_judged),
        cmocka_unit_test(alarms_are_judged_a_little_after_their_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
