#include "base/clock.h"
#include "base/error.h"
#include "check.h"

static void timestamps_are_read_in_every_form_clients_send(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
    } cases[] = {
        {"2026-01-02T03:04:05Z", 0, 1767323045000},
        {"2026-01-02T03:04:05.678Z", 0, 1767323045678},
        {"2026-01-02T03:04:05.678901Z", 0, 1767323045678},
        {"2026-01-02T03:04:05", 0, 1767323045000},
        {"2026-01-02T05:04:05+02:00", 0, 1767323045000},
        {"2026-01-02T03:04Z", 0, 1767323040000},
        {"20260102T030405Z", 0, 1767323045000},
        {"2026-01-02", 0, 1767312000000},
        {"2024-02-29T00:00:00Z", 0, 1709164800000},
        {"2026-02-29T00:00:00Z", ERR_INVALID, 0},
        {"2026-13-01T00:00:00Z", ERR_INVALID, 0},
        {"2026-01-02T24:00:00Z", ERR_INVALID, 0},
        {"2026-01-02T03:04:05Zx", ERR_INVALID, 0},
        {"0001-01-01T00:00:00Z", 0, -62135596800000},
        {"0001-01-01T00:00:00+00:01", ERR_INVALID, 0},
        {"9999-12-31T23:59:59.999Z", 0, 253402300799999},
        {"9999-12-31T23:59:59-00:01", ERR_INVALID, 0},
        {"9999-12-31T23:59:60Z", ERR_INVALID, 0},
        {"", ERR_INVALID, 0},
        {"yesterday", ERR_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t ms = 0;

        check_int(cases[i].text, cases[i].rc, time_parse(slice_z(cases[i].text), &ms, NULL));
        check_int(cases[i].text, cases[i].rc == 0 ? cases[i].ms : ms, ms);
    }
}

static void timestamps_are_written_as_aws_does(void **state)
{
    char text[TIME_TEXT_BYTES];
    int64_t ms;

    (void)state;
    time_format_ms(1767323045678, text);
    check_text("ms", "2026-01-02T03:04:05.678Z", slice_z(text));
    time_format_s(1767323045678, text);
    check_text("s", "2026-01-02T03:04:05Z", slice_z(text));
    time_format_basic(1767323045678, text);
    check_text("basic", "20260102T030405Z", slice_z(text));
    time_format_ms(-55813536000001, text);
    check_text("years have four digits", "0201-05-04T23:59:59.999Z", slice_z(text));
    time_format_basic(-55813536000001, text);
    check_text("also here", "02010504T235959Z", slice_z(text));
    time_format_http(1767323045678, text);
    check_text("http", "Fri, 02 Jan 2026 03:04:05 GMT", slice_z(text));
    check_int("http back", 0, time_parse_http(slice_z(text), &ms, NULL));
    check_int("http back", 1767323045000, ms);
}

static void muster_time_runs_at_its_scale(void **state)
{
    struct muster_clock clock;
    int64_t now;

    (void)state;
    muster_clock_start(&clock, 5000, 10);
    clock.anchor_boot_ms -= 100; /* As if 100 real milliseconds had passed. */
    now = muster_clock_now_ms(&clock);
    assert_true(now >= 6000 && now < 16000);
    assert_true(muster_clock_real_delay_ms(&clock, now + 10000) <= 1000);
    check_int("past", 0, muster_clock_real_delay_ms(&clock, now - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamps_are_read_in_every_form_clients_send),
        cmocka_unit_test(timestamps_are_written_as_aws_does),
        cmocka_unit_test(muster_time_runs_at_its_scale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
