/* When an alarm is in ALARM: M out of N, missing data, and the words for it. Pure.
 *
 * "Using Amazon CloudWatch alarms", "Configuring how CloudWatch alarms treat missing data", in the
 * CloudWatch User Guide. */
#ifndef ENGINE_ALARM_H
#define ENGINE_ALARM_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define ALARM_SLOTS_MAX 1024

enum alarm_state { ALARM_OK, ALARM_ALARM, ALARM_INSUFFICIENT_DATA };
enum alarm_comparison {
    ALARM_GREATER_OR_EQUAL,
    ALARM_GREATER,
    ALARM_LESS,
    ALARM_LESS_OR_EQUAL,
};
enum alarm_missing { ALARM_MISSING, ALARM_IGNORE, ALARM_BREACHING, ALARM_NOT_BREACHING };

struct alarm_rule {
    enum alarm_comparison comparison;
    double threshold;
    int64_t period_ms;
    int32_t periods;    /* N */
    int32_t datapoints; /* M; 0: not set, which means N and other words. */
    enum alarm_missing missing;
};

/* What a metric did in one period. */
struct alarm_slot {
    int64_t start_ms;
    bool present;
    double value;
    double samples;
};

struct alarm_verdict {
    enum alarm_state state;
    bool no_data;                    /* INSUFFICIENT_DATA, or fillers alone decided. */
    int32_t fillers;                 /* Missing slots that were filled. */
    int32_t listed[ALARM_SLOTS_MAX]; /* Indices of the points that decided, newest first. */
    int32_t listed_count;
    int32_t considered; /* The oldest slot that counts. */
};

/* How many slots a check looks at: more than N, to reach back over gaps. */
int32_t alarm_range(const struct alarm_rule *rule);
/* The end of the newest slot at @now_ms: the last whole minute, or 10 s mark for short periods. */
int64_t alarm_window_end_ms(const struct alarm_rule *rule, int64_t now_ms);
/* The first instant after @now_ms at which the alarm is judged: a little after each mark, so that
 * what is published at the mark is there. */
int64_t alarm_wake_ms(const struct alarm_rule *rule, int64_t now_ms);

/* Judge @slots, oldest first; alarm_range() of them. @current is kept where AWS keeps it. */
void alarm_decide(const struct alarm_rule *rule, const struct alarm_slot *slots, int32_t count,
                  enum alarm_state current, struct alarm_verdict *verdict);

/* StateReason and StateReasonData in AWS's words; appended. @statistic "Average"; @unit may be
 * NULL. */
void alarm_reason(const struct alarm_rule *rule, const struct alarm_slot *slots,
                  const struct alarm_verdict *verdict, struct buf *text);
void alarm_reason_data(const struct alarm_rule *rule, const struct alarm_slot *slots, int32_t count,
                       const struct alarm_verdict *verdict, const char *statistic, const char *unit,
                       int64_t now_ms, struct buf *text);

/* An Auto Scaling action is invoked again a minute after the last time, while the state lasts. */
#define ALARM_REPEAT_MS 60000
bool alarm_repeats(int64_t last_invoked_ms, int64_t now_ms);

const char *alarm_state_name(enum alarm_state state);

#endif /* ENGINE_ALARM_H */
