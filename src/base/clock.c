#include "base/clock.h"

#include "base/error.h"
#include "base/macros.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define YEAR_MIN_MS (-62135596800000) /* 0001-01-01T00:00:00Z */
#define YEAR_MAX_MS 253402300800000   /* 10000-01-01T00:00:00Z */

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;

    ASSERT(clock_gettime(id, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t time_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t time_boot_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

void muster_clock_start(struct muster_clock *clock, int64_t anchor_ms, int32_t scale)
{
    ASSERT(scale >= 1);
    *clock = (struct muster_clock){anchor_ms, time_boot_ms(), scale};
}

int64_t muster_clock_now_ms(const struct muster_clock *clock)
{
    return clock->anchor_ms + (time_boot_ms() - clock->anchor_boot_ms) * clock->scale;
}

int64_t muster_clock_real_delay_ms(const struct muster_clock *clock, int64_t muster_ms)
{
    int64_t left = muster_ms - muster_clock_now_ms(clock);

    return left <= 0 ? 0 : (left + clock->scale - 1) / clock->scale;
}

/* gmtime_r() takes a lock and a while, and most texts are of the second that the last one was of.
 */
static void broken_down(int64_t ms, struct tm *tm)
{
    static _Thread_local struct {
        bool known;
        time_t seconds;
        struct tm tm;
    } last;
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0 ? 1 : 0));

    if (!last.known || last.seconds != seconds) {
        ASSERT(gmtime_r(&seconds, &last.tm) != NULL);
        last.seconds = seconds;
        last.known = true;
    }
    *tm = last.tm;
}

static char *put_digits(char *at, int number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return at + digits;
}

static char *put_byte(char *at, char byte)
{
    *at = byte;
    return at + 1;
}

/* "2026-01-02T03:04:05", or "20260102T030405". */
static char *put_time(int64_t ms, bool extended, char *at)
{
    struct tm tm;

    broken_down(ms, &tm);
    if (tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0) { /* Beyond what time_parse() takes. */
        at += snprintf(at, TIME_TEXT_BYTES - 24, "%04d", tm.tm_year + 1900);
    } else {
        at = put_digits(at, tm.tm_year + 1900, 4);
    }
    at = extended ? put_byte(at, '-') : at;
    at = put_digits(at, tm.tm_mon + 1, 2);
    at = extended ? put_byte(at, '-') : at;
    at = put_digits(at, tm.tm_mday, 2);
    at = put_digits(put_byte(at, 'T'), tm.tm_hour, 2);
    at = extended ? put_byte(at, ':') : at;
    at = put_digits(at, tm.tm_min, 2);
    at = extended ? put_byte(at, ':') : at;
    return put_digits(at, tm.tm_sec, 2);
}

void time_format_ms(int64_t ms, char text[TIME_TEXT_BYTES])
{
    int fraction = (int)(((ms % 1000) + 1000) % 1000);
    char *at = put_byte(put_time(ms, true, text), '.');

    *put_byte(put_digits(at, fraction, 3), 'Z') = '\0';
}

void time_format_s(int64_t ms, char text[TIME_TEXT_BYTES])
{
    *put_byte(put_time(ms, true, text), 'Z') = '\0';
}

void time_format_basic(int64_t ms, char text[TIME_TEXT_BYTES])
{
    *put_byte(put_time(ms, false, text), 'Z') = '\0';
}

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void time_format_http(int64_t ms, char text[TIME_TEXT_BYTES])
{
    struct tm tm;

    broken_down(ms, &tm);
    snprintf(text, TIME_TEXT_BYTES, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
             tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Exactly @digits digits from @*at; false if there are fewer. */
static bool take_digits(struct slice s, size_t *at, size_t digits, int *number)
{
    int value = 0;

    if (s.bytes - *at < digits) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        char c = s.data[(*at)++];

        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *number = value;
    return true;
}

static bool take(struct slice s, size_t *at, char c)
{
    if (*at < s.bytes && s.data[*at] == c) {
        (*at)++;
        return true;
    }
    return false;
}

static int take_fraction_ms(struct slice s, size_t *at)
{
    int ms = 0, weight = 100;

    while (*at < s.bytes && s.data[*at] >= '0' && s.data[*at] <= '9') {
        ms += (s.data[(*at)++] - '0') * weight;
        weight /= 10;
    }
    return ms;
}

static bool in_calendar(const struct tm *tm)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = tm->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int length;

    if (tm->tm_mon < 0 || tm->tm_mon > 11 || year < 1) {
        return false;
    }
    length = lengths[tm->tm_mon] + (leap && tm->tm_mon == 1 ? 1 : 0);
    return tm->tm_mday >= 1 && tm->tm_mday <= length && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
           tm->tm_sec <= 60;
}

static bool parse_iso(struct slice s, int64_t *ms)
{
    struct tm tm = {0};
    size_t at = 0;
    bool extended;
    int fraction = 0, offset_h = 0, offset_m = 0, sign = 0;

    if (!take_digits(s, &at, 4, &tm.tm_year)) {
        return false;
    }
    extended = take(s, &at, '-');
    if (!take_digits(s, &at, 2, &tm.tm_mon) || (extended && !take(s, &at, '-')) ||
        !take_digits(s, &at, 2, &tm.tm_mday)) {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (take(s, &at, 'T') || take(s, &at, ' ')) {
        if (!take_digits(s, &at, 2, &tm.tm_hour) || (extended && !take(s, &at, ':')) ||
            !take_digits(s, &at, 2, &tm.tm_min)) {
            return false;
        }
        if (!extended || take(s, &at, ':')) {
            if (!take_digits(s, &at, 2, &tm.tm_sec)) {
                return false;
            }
            fraction = take(s, &at, '.') ? take_fraction_ms(s, &at) : 0;
        }
        if (!take(s, &at, 'Z') && at < s.bytes) {
            sign = take(s, &at, '+') ? 1 : take(s, &at, '-') ? -1 : 0;
            if (sign == 0 || !take_digits(s, &at, 2, &offset_h)) {
                return false;
            }
            take(s, &at, ':');
            if (!take_digits(s, &at, 2, &offset_m) || offset_h > 23 || offset_m > 59) {
                return false;
            }
        }
    }
    if (at != s.bytes || !in_calendar(&tm)) {
        return false;
    }
    *ms = (int64_t)timegm(&tm) * 1000 + fraction - sign * (offset_h * 60 + offset_m) * 60000;
    return *ms >= YEAR_MIN_MS && *ms < YEAR_MAX_MS; /* An offset may lead out of the calendar. */
}

int time_parse(struct slice text, int64_t *ms, struct error *err)
{
    if (!parse_iso(text, ms)) {
        return error_set(err, ERR_INVALID,
                         "'%.*s' is not an ISO 8601 time, e.g. 2026-01-02T03:04:05Z",
                         SLICE_ARG(slice_sub(text, 0, 64)));
    }
    return 0;
}

static bool parse_http(struct slice s, int64_t *ms)
{
    struct tm tm = {0};
    size_t at = slice_find(s, ',');

    if (at != 3 || !take(s, &at, ',') || !take(s, &at, ' ') ||
        !take_digits(s, &at, 2, &tm.tm_mday) || !take(s, &at, ' ') || s.bytes - at < 3) {
        return false;
    }
    tm.tm_mon = -1;
    for (int i = 0; i < 12; i++) {
        if (memcmp(s.data + at, months[i], 3) == 0) {
            tm.tm_mon = i;
        }
    }
    at += 3;
    if (!take(s, &at, ' ') || !take_digits(s, &at, 4, &tm.tm_year) || !take(s, &at, ' ') ||
        !take_digits(s, &at, 2, &tm.tm_hour) || !take(s, &at, ':') ||
        !take_digits(s, &at, 2, &tm.tm_min) || !take(s, &at, ':') ||
        !take_digits(s, &at, 2, &tm.tm_sec) ||
        !slice_equal(slice_sub(s, at, 4), SLICE_LIT(" GMT")) || at + 4 != s.bytes) {
        return false;
    }
    tm.tm_year -= 1900;
    if (!in_calendar(&tm)) {
        return false;
    }
    *ms = (int64_t)timegm(&tm) * 1000;
    return *ms < YEAR_MAX_MS;
}

int time_parse_http(struct slice text, int64_t *ms, struct error *err)
{
    if (!parse_http(text, ms)) {
        return error_set(err, ERR_INVALID, "'%.*s' is not an HTTP date",
                         SLICE_ARG(slice_sub(text, 0, 64)));
    }
    return 0;
}
