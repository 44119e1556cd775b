/* Spans of time as people write them: "90s", "6m", "1h30m". Pure. */
#ifndef MUSTER_DURATION_H
#define MUSTER_DURATION_H

#include "base/error.h"

#include <stdint.h>

#define DURATION_MS_MAX (7LL * 24 * 3600 * 1000)
#define DURATION_TEXT_BYTES 32

/* Whole hours, minutes and seconds, each at most once and in that order; a bare number is seconds.
 * ERR_INVALID: anything else, nothing, or more than a week. */
int duration_parse(const char *text, int64_t *ms, struct error *err);

/* "4 min 05 s", "12 s", "1 h 00 min"; below zero is "0 s". */
void duration_format(int64_t ms, char text[DURATION_TEXT_BYTES]);

#endif /* MUSTER_DURATION_H */
