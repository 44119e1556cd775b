#include "muster/duration.h"

#include "base/slice.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int bad(const char *text, struct error *err)
{
    return error_set(err, ERR_INVALID, "'%s' is no time; write 90s, 6m or 1h30m, at most a week",
                     text);
}

int duration_parse(const char *text, int64_t *ms, struct error *err)
{
    static const char units[] = "hms";
    static const int64_t unit_ms[] = {3600000, 60000, 1000};
    struct slice rest = slice_z(text);
    int64_t sum = 0, number;
    size_t unit = 0;

    if (text_to_i64(rest, 0, DURATION_MS_MAX / 1000, &number, NULL) == 0 && text[0] != '+') {
        if (number == 0) {
            return bad(text, err);
        }
        *ms = number * 1000;
        return 0;
    }
    while (rest.bytes > 0) {
        size_t digits = strspn(rest.data, "0123456789");
        const char *at = digits == 0 || digits == rest.bytes
                             ? NULL
                             : memchr(units + unit, rest.data[digits], strlen(units + unit));

        if (at == NULL || text_to_i64(slice_sub(rest, 0, digits), 0, DURATION_MS_MAX / 1000,
                                      &number, NULL) != 0) {
            return bad(text, err);
        }
        unit = (size_t)(at - units) + 1;
        sum += number * unit_ms[unit - 1];
        rest = slice_sub(rest, digits + 1, rest.bytes);
    }
    if (sum <= 0 || sum > DURATION_MS_MAX) {
        return bad(text, err);
    }
    *ms = sum;
    return 0;
}

void duration_format(int64_t ms, char text[DURATION_TEXT_BYTES])
{
    int64_t s = ms <= 0 ? 0 : ms / 1000;

    if (s < 60) {
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 " s", s);
    } else if (s < 3600) {
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 " min %02" PRId64 " s", s / 60, s % 60);
    } else {
        snprintf(text, DURATION_TEXT_BYTES, "%" PRId64 " h %02" PRId64 " min", s / 3600,
                 s / 60 % 60);
    }
}
