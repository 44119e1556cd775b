/* What CloudWatch's files share. */
#ifndef SERVICES_CLOUDWATCH_PRIVATE_H
#define SERVICES_CLOUDWATCH_PRIVATE_H

#include "engine/alarm.h"
#include "services/cloudwatch/cloudwatch.h"
#include "services/cloudwatch/metric.h"
#include "wire/doc.h"

#define ALARM_ACTIONS_MAX 5
#define VALIDATION "ValidationError"

struct alarm_dimension {
    char *name, *value;
};

struct alarm_actions {
    char **arns;
    size_t arns_count;
};

/* A metric alarm. Dimensions and actions stay in the order in which they were given. */
struct alarm {
    char *name, *arn, *description;
    bool actions_enabled;
    struct alarm_actions ok_actions, alarm_actions, insufficient_data_actions;
    char *namespace, *metric, *statistic, *unit; /* unit: NULL is any. */
    struct alarm_dimension *dimensions;
    size_t dimensions_count;
    struct alarm_rule rule;
    bool missing_given; /* TreatMissingData is shown only when it was set. */
    enum alarm_state state;
    char *reason, *reason_data; /* reason_data: NULL is none. */
    int64_t configured_ms, updated_ms, transitioned_ms;
    int64_t invoked_ms; /* When Auto Scaling's actions last were; 0: not in this state. */

    int64_t next_ms; /* When to be judged again. Not stored. */
};

enum history_type { HISTORY_CONFIGURATION, HISTORY_STATE, HISTORY_ACTION };

struct history {
    char *alarm;
    int64_t time_ms;
    enum history_type type;
    char *summary, *data;
    char id[20]; /* Its place in time. */
};

struct action_doer {
    const char *prefix;
    cloudwatch_action_fn *fn;
    void *data;
};

struct cloudwatch {
    struct metrics metrics;
    struct map alarms;  /* Name -> struct alarm. */
    struct map history; /* Id -> struct history, oldest first. */
    uint64_t history_next;
    struct action_doer doers[8];
    size_t doer_count;
    bool save_soon; /* save_timer is set. */
    struct control_timer *alarm_timer, *save_timer, *sum_timer;
};

/* records.c */
#define ALARM_COMPARISONS 4
#define ALARM_MISSINGS 4
extern const char *const alarm_comparison_names[ALARM_COMPARISONS]; /* By their enums. */
extern const char *const alarm_missing_names[ALARM_MISSINGS];

void alarm_changed(struct ctx *ctx, const struct alarm *alarm);
void alarm_remove(struct ctx *ctx, struct alarm *alarm);
void alarm_free(struct alarm *alarm);
int cloudwatch_load(struct control *control, struct slice kind, struct slice id, struct slice body,
                    struct error *err);
void history_free(struct history *history);
struct json_t; /* jansson's */
/* Note what happened; the oldest go when there are too many. @summary is copied; @data's reference
 * is taken. */
void history_add(struct ctx *ctx, const char *alarm, enum history_type type, const char *summary,
                 struct json_t *data);

/* evaluate.c */
/* Judge what is due, now and by the clock from here on. */
void alarms_start(struct ctx *ctx);
/* Metrics that alarms watch are kept for longest. */
void alarms_mark_watched(struct cloudwatch *cloudwatch);
/* A new or changed alarm: judge it at the next mark. */
void alarm_schedule(struct ctx *ctx, struct alarm *alarm);
/* Move to @state, with history and actions; the same state only takes the reason. @reason_data may
 * be NULL. */
void alarm_set_state(struct ctx *ctx, struct alarm *alarm, enum alarm_state state,
                     const char *reason, const char *reason_data);

/* The ones for its state @state. */
const struct alarm_actions *alarm_actions_for(const struct alarm *alarm, enum alarm_state state);

/* put.c: read Dimensions; @dimensions has room for CLOUDWATCH_DIMENSIONS_MAX. ERR_API when one is
 * there twice or no plain text. */
int dimensions_read(const struct doc *in, int member, struct cloudwatch_dimension *dimensions,
                    size_t *count, struct error *err);
int name_check(const char *parameter, const char *text, struct error *err);

/* service.c */
/* Write what cloudwatch_put() gave, within a second. */
void samples_save_soon(struct control *control);

#endif /* SERVICES_CLOUDWATCH_PRIVATE_H */
