/* Scaling policies: what an invocation wants the desired capacity to be. Pure arithmetic.
 *
 * AWS: User Guide, "Step and simple scaling policies". */
#ifndef ENGINE_POLICY_H
#define ENGINE_POLICY_H

#include "engine/activity.h"

#include <stddef.h>

#define POLICY_STEPS_MAX 20

enum adjustment_type { ADJUST_CHANGE, ADJUST_EXACT, ADJUST_PERCENT };

struct adjustment {
    enum adjustment_type type;
    int32_t amount;
    int32_t magnitude_min; /* Percentages only: the least number of instances to move. */
};

enum policy_type { POLICY_SIMPLE, POLICY_STEP };

/* Bounds are relative to the alarm's threshold. */
struct policy_step {
    bool has_lower, has_upper;
    double lower, upper;
    int32_t amount;
};

struct policy {
    char name[ENGINE_NAME_BYTES];
    char uuid[ENGINE_UUID_BYTES]; /* Of its ARN. */
    enum policy_type type;
    struct adjustment adjustment; /* A step policy's amount stands in its steps. */
    bool has_magnitude_min;
    bool enabled;
    int64_t cooldown_ms;  /* Simple; -1: the group's default. */
    int64_t warmup_ms;    /* Step: EstimatedInstanceWarmup; -1: the group's default. */
    char aggregation[16]; /* Step: "Average", "Minimum", "Maximum"; "" for simple. */
    int64_t created_ms;
    struct policy_step *steps; /* Owned. */
    size_t steps_count;
};

void policy_close(struct policy *policy);

/* What @adjustment makes of @capacity; never below 0. The group's limits are the caller's business.
 */
int64_t adjustment_apply(const struct adjustment *adjustment, int32_t capacity);

/* The step for a metric that is @value while the alarm's threshold is @threshold; NULL if none
 * fits. On the breaching side above, a lower bound is inclusive and an upper exclusive; below it is
 * the other way round. */
const struct policy_step *policy_step_find(const struct policy *policy, double value,
                                           double threshold);

#endif /* ENGINE_POLICY_H */
