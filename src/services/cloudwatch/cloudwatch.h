/* CloudWatch: metrics and alarms.
 *
 * Metrics are statistic sets per second in memory, three hours of them, bounded; they are written
 * to the store once a second and come back at a start. Alarms are judged by the clock, by
 * engine/alarm.h. Loop thread. */
#ifndef SERVICES_CLOUDWATCH_CLOUDWATCH_H
#define SERVICES_CLOUDWATCH_CLOUDWATCH_H

#include "services/control.h"

extern const struct service cloudwatch_service;

#define CLOUDWATCH_DIMENSIONS_MAX 30

struct cloudwatch_dimension {
    const char *name, *value;
};

/* A value, or a statistic set of several. Borrowed for the call. */
struct cloudwatch_datum {
    const char *namespace, *name;
    const struct cloudwatch_dimension *dimensions;
    size_t dimension_count;
    const char *unit; /* "Percent"; NULL: "None". */
    int64_t time_ms;
    double count, sum, minimum, maximum; /* One value x: 1, x, x, x. */
};
/* Publish. Metrics beyond the bound are dropped, with a warning now and then. */
void cloudwatch_put(struct control *control, const struct cloudwatch_datum *datum);
/* One value. */
void cloudwatch_put_value(struct control *control, const char *namespace, const char *name,
                          const struct cloudwatch_dimension *dimensions, size_t dimension_count,
                          const char *unit, int64_t time_ms, double value);

/* What an alarm asks an action to do. Borrowed for the call. */
struct cloudwatch_action {
    const char *arn; /* The action's. */
    const char *alarm, *alarm_arn;
    const char *state, *reason;
    bool has_value;
    double value; /* The newest datapoint that was judged. */
    double threshold;
};
/* Do it; false: it failed, and the alarm's history says so. On a change of state, and for Auto
 * Scaling's actions again every minute while the state lasts. */
typedef bool cloudwatch_action_fn(struct ctx *ctx, void *data,
                                  const struct cloudwatch_action *action);
/* Have actions whose ARN begins with @prefix done by @fn. */
void cloudwatch_on_action(struct control *control, const char *prefix, cloudwatch_action_fn *fn,
                          void *data);

/* The alarms that have @action_arn among their actions. */
typedef void cloudwatch_alarm_fn(void *data, const char *alarm, const char *alarm_arn);
void cloudwatch_alarms_with_action(const struct control *control, const char *action_arn,
                                   cloudwatch_alarm_fn *fn, void *data);

#endif /* SERVICES_CLOUDWATCH_CLOUDWATCH_H */
