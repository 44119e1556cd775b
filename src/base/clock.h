/* Time: reading the clocks, and timestamps as AWS writes them. All instants are int64_t
 * milliseconds since 1970 UTC; no other file calls time() or clock_gettime().
 *
 * wall_ms is for what the outside world dates: signatures, credential expiry, HTTP Date, logs.
 * muster_ms (struct muster_clock) is for all that AWS dates or a rule waits for; it runs
 * --time-scale times as fast. Engine and services get "now" as an argument. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/slice.h"

#include <stdint.h>

struct error;

#define TIME_TEXT_BYTES 40 /* Room for every format below. */

int64_t time_wall_ms(void);
/* CLOCK_BOOTTIME: counts sleep, never jumps. For timeouts of real work. */
int64_t time_boot_ms(void);

/* muster = anchor + (boot - anchor_boot) x scale, never backwards. The owner persists anchor_ms
 * with its wall time and starts the next run from there (services/control.c). */
struct muster_clock {
    int64_t anchor_ms;
    int64_t anchor_boot_ms;
    int32_t scale; /* >= 1 */
};

void muster_clock_start(struct muster_clock *clock, int64_t anchor_ms, int32_t scale);
int64_t muster_clock_now_ms(const struct muster_clock *clock);
/* Real milliseconds until @muster_ms, rounded up; 0 if it has passed. For timers. */
int64_t muster_clock_real_delay_ms(const struct muster_clock *clock, int64_t muster_ms);

/* "2026-01-02T03:04:05.678Z" */
void time_format_ms(int64_t ms, char text[TIME_TEXT_BYTES]);
/* "2026-01-02T03:04:05Z", the fraction dropped. */
void time_format_s(int64_t ms, char text[TIME_TEXT_BYTES]);
/* "20260102T030405Z", SigV4's. */
void time_format_basic(int64_t ms, char text[TIME_TEXT_BYTES]);
/* "Fri, 02 Jan 2026 03:04:05 GMT", HTTP's. */
void time_format_http(int64_t ms, char text[TIME_TEXT_BYTES]);

/* ISO 8601 in the basic and extended forms, with optional fraction, and Z or an offset (none means
 * UTC); a date alone is its midnight. ERR_INVALID otherwise. */
int time_parse(struct slice text, int64_t *ms, struct error *err);
/* RFC 1123 as in HTTP headers. */
int time_parse_http(struct slice text, int64_t *ms, struct error *err);

#endif /* BASE_CLOCK_H */
