#include "engine/alarm.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#define MINUTE_MS 60000
#define SHORT_MS 10000 /* Periods below a minute are judged this often. */
#define LAG_MS 2000    /* After the mark. */

const char *alarm_state_name(enum alarm_state state)
{
    static const char *const names[] = {"OK", "ALARM", "INSUFFICIENT_DATA"};

    return names[state];
}

int32_t alarm_range(const struct alarm_rule *rule)
{
    int64_t range = rule->periods + max_i64(2, rule->periods / 3);

    return (int32_t)min_i64(range, ALARM_SLOTS_MAX);
}

static int64_t step_ms(const struct alarm_rule *rule)
{
    return rule->period_ms < MINUTE_MS ? SHORT_MS : MINUTE_MS;
}

int64_t alarm_window_end_ms(const struct alarm_rule *rule, int64_t now_ms)
{
    return now_ms - now_ms % step_ms(rule);
}

int64_t alarm_wake_ms(const struct alarm_rule *rule, int64_t now_ms)
{
    int64_t mark = alarm_window_end_ms(rule, now_ms) + LAG_MS;

    return mark > now_ms ? mark : mark + step_ms(rule);
}

bool alarm_repeats(int64_t last_invoked_ms, int64_t now_ms)
{
    return now_ms >= last_invoked_ms + ALARM_REPEAT_MS;
}

static bool breaches(const struct alarm_rule *rule, double value)
{
    switch (rule->comparison) {
    case ALARM_GREATER_OR_EQUAL:
        return value >= rule->threshold;
    case ALARM_GREATER:
        return value > rule->threshold;
    case ALARM_LESS:
        return value < rule->threshold;
    case ALARM_LESS_OR_EQUAL:
        return value <= rule->threshold;
    }
    return false;
}

/* Real points among the slots, counted from the newest, @wanted at most. */
struct counts {
    int32_t real, breaching, oldest;
    int32_t oldest_age; /* Of the oldest real point counted; the newest slot is 1. */
};

static struct counts count_points(const struct alarm_rule *rule, const struct alarm_slot *slots,
                                  int32_t count, int32_t wanted)
{
    struct counts counts = {.oldest = count > 0 ? count - 1 : 0};

    for (int32_t i = count - 1; i >= 0 && counts.real < wanted; i--) {
        if (slots[i].present) {
            counts.real++;
            counts.breaching += breaches(rule, slots[i].value);
            counts.oldest = i;
            counts.oldest_age = count - i;
        }
    }
    return counts;
}

/* Fewer real points than N: what the missing ones count as. */
static enum alarm_state decide_gaps(const struct alarm_rule *rule, const struct counts *counts,
                                    int32_t needed, enum alarm_state current)
{
    int32_t fillers = rule->periods - counts->real;

    switch (rule->missing) {
    case ALARM_BREACHING:
        return counts->breaching + fillers >= needed ? ALARM_ALARM : ALARM_OK;
    case ALARM_NOT_BREACHING:
        return counts->breaching >= needed ? ALARM_ALARM : ALARM_OK;
    case ALARM_MISSING:
    case ALARM_IGNORE:
        break;
    }
    if (counts->real == 0) {
        return rule->missing == ALARM_MISSING ? ALARM_INSUFFICIENT_DATA : current;
    }
    if (counts->breaching >= needed) {
        return ALARM_ALARM;
    }
    if (counts->breaching < counts->real) {
        return ALARM_OK;
    }
    /* All breach, but too few: only when they are old is nothing better to be expected. */
    return rule->missing == ALARM_MISSING && counts->oldest_age >= needed ? ALARM_ALARM : current;
}

void alarm_decide(const struct alarm_rule *rule, const struct alarm_slot *slots, int32_t count,
                  enum alarm_state current, struct alarm_verdict *verdict)
{
    int32_t needed = rule->datapoints == 0 ? rule->periods : rule->datapoints;
    struct counts counts = count_points(rule, slots, count, rule->periods);
    bool wanted;

    verdict->listed_count = 0;
    verdict->considered = counts.oldest;
    verdict->fillers = rule->periods - counts.real;
    if (counts.real >= rule->periods) {
        verdict->state = counts.breaching >= needed ? ALARM_ALARM : ALARM_OK;
    } else {
        verdict->state = decide_gaps(rule, &counts, needed, current);
    }
    verdict->no_data = counts.real == 0;
    wanted = verdict->state == ALARM_ALARM;
    for (int32_t i = count - 1; i >= verdict->considered && i >= 0; i--) {
        if (slots[i].present && breaches(rule, slots[i].value) == wanted) {
            verdict->listed[verdict->listed_count++] = i;
            if (!wanted && rule->datapoints == 0) {
                break; /* One is enough to leave ALARM. */
            }
        }
    }
}

/* Words. */

/* Java's Double.toString(). */
static void add_java_double(struct buf *text, double number)
{
    double size = fabs(number);
    char digits[40];
    int exponent, precision;

    if (number == 0 || (size >= 1e-3 && size < 1e7)) {
        buf_add_double(text, number);
        return;
    }
    for (precision = 0; precision < 17; precision++) {
        double back;

        snprintf(digits, sizeof(digits), "%.*e", precision, number);
        if (sscanf(digits, "%lf", &back) == 1 && back == number) {
            break;
        }
    }
    for (exponent = 0; digits[exponent] != '\0' && digits[exponent] != 'e'; exponent++) {
    }
    buf_add(text, slice_of(digits, (size_t)exponent));
    if (precision == 0) {
        buf_add_z(text, ".0");
    }
    {
        int power = 0;

        if (digits[exponent] == 'e' && sscanf(digits + exponent + 1, "%d", &power) == 1) {
            buf_printf(text, "E%d", power);
        }
    }
}

/* "03/01/24 11:36:00" */
static void add_date(struct buf *text, int64_t ms)
{
    char iso[TIME_TEXT_BYTES];

    time_format_s(ms, iso); /* 2024-01-03T11:36:00Z */
    buf_printf(text, "%.2s/%.2s/%.2s %.8s", iso + 8, iso + 5, iso + 2, iso + 11);
}

static const char *comparison_words(enum alarm_comparison comparison)
{
    static const char *const words[] = {"greater than or equal to", "greater than", "less than",
                                        "less than or equal to"};

    return words[comparison];
}

static void add_fillers(const struct alarm_rule *rule, const struct alarm_verdict *verdict,
                        struct buf *text)
{
    buf_printf(text, " and %d missing datapoint%s treated as [%s]", verdict->fillers,
               verdict->fillers == 1 ? " was" : "s were",
               rule->missing == ALARM_BREACHING ? "Breaching" : "NonBreaching");
}

void alarm_reason(const struct alarm_rule *rule, const struct alarm_slot *slots,
                  const struct alarm_verdict *verdict, struct buf *text)
{
    bool filled = verdict->fillers > 0 &&
                  (rule->missing == ALARM_BREACHING || rule->missing == ALARM_NOT_BREACHING);
    int32_t listed = verdict->listed_count;
    bool alarm = verdict->state == ALARM_ALARM;

    if (verdict->state == ALARM_INSUFFICIENT_DATA) {
        buf_printf(text, "Insufficient Data: %d datapoint%s unknown.", rule->periods,
                   rule->periods == 1 ? " was" : "s were");
        return;
    }
    if (listed == 0) {
        buf_printf(text, "Threshold Crossed: no datapoints were received for %d period%s",
                   rule->periods, rule->periods == 1 ? "" : "s");
        add_fillers(rule, verdict, text);
        buf_add_byte(text, '.');
        return;
    }
    buf_printf(text, "Threshold Crossed: %d ", listed);
    if (rule->datapoints != 0) {
        buf_printf(text, "out of the last %d datapoints [", rule->periods);
    } else {
        buf_printf(text, "datapoint%s [", listed == 1 ? "" : "s");
    }
    for (int32_t i = 0; i < listed; i++) {
        buf_add_z(text, i == 0 ? "" : ", ");
        add_java_double(text, slots[verdict->listed[i]].value);
        buf_add_z(text, " (");
        add_date(text, slots[verdict->listed[i]].start_ms);
        buf_add_byte(text, ')');
    }
    buf_printf(text, "] %s %s%s the threshold (", listed == 1 ? "was" : "were", alarm ? "" : "not ",
               comparison_words(rule->comparison));
    add_java_double(text, rule->threshold);
    buf_add_byte(text, ')');
    if (filled) {
        add_fillers(rule, verdict, text);
    }
    if (rule->datapoints != 0) {
        int32_t needed = alarm ? rule->datapoints : rule->periods - rule->datapoints + 1;

        buf_printf(text, " (minimum %d datapoint%s for %s transition)", needed,
                   needed == 1 ? "" : "s", alarm ? "OK -> ALARM" : "ALARM -> OK");
    }
    buf_add_byte(text, '.');
}

/* "2025-11-20T02:36:09.521+0000" */
static void add_timestamp(struct buf *text, int64_t ms)
{
    char iso[TIME_TEXT_BYTES];

    time_format_ms(ms, iso);
    buf_printf(text, "\"%.23s+0000\"", iso);
}

void alarm_reason_data(const struct alarm_rule *rule, const struct alarm_slot *slots, int32_t count,
                       const struct alarm_verdict *verdict, const char *statistic, const char *unit,
                       int64_t now_ms, struct buf *text)
{
    bool first = true;

    buf_add_z(text, "{\"version\":\"1.0\",\"queryDate\":");
    add_timestamp(text, now_ms);
    if (!verdict->no_data) {
        buf_add_z(text, ",\"startDate\":");
        add_timestamp(text, slots[verdict->considered].start_ms);
    }
    if (unit != NULL) {
        buf_printf(text, ",\"unit\":\"%s\"", unit);
    }
    buf_printf(text, ",\"statistic\":\"%s\",\"period\":%lld,\"recentDatapoints\":[", statistic,
               (long long)(rule->period_ms / 1000));
    for (int32_t i = verdict->considered; i < count; i++) {
        if (slots[i].present) {
            buf_add_z(text, first ? "" : ",");
            add_java_double(text, slots[i].value);
            first = false;
        }
    }
    buf_add_z(text, "],\"threshold\":");
    add_java_double(text, rule->threshold);
    buf_add_z(text, ",\"evaluatedDatapoints\":[");
    first = true;
    for (int32_t i = count - 1; i >= verdict->considered && i >= 0; i--) {
        buf_add_z(text, first ? "{\"timestamp\":" : ",{\"timestamp\":");
        first = false;
        add_timestamp(text, slots[i].start_ms);
        if (slots[i].present) {
            buf_add_z(text, ",\"sampleCount\":");
            add_java_double(text, slots[i].samples);
            buf_add_z(text, ",\"value\":");
            add_java_double(text, slots[i].value);
        }
        buf_add_byte(text, '}');
    }
    buf_add_z(text, "]}");
}
