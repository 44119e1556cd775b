#include "engine/policy.h"

#include "base/macros.h"

#include <stdlib.h>

void policy_close(struct policy *policy)
{
    free(policy->steps);
    policy->steps = NULL;
    policy->steps_count = 0;
}

/* A share below one instance still moves one, or a small group would be stuck; above one the
 * fraction is dropped. Whole percents, so whole-number arithmetic is exact. */
static int64_t percent_change(const struct adjustment *adjustment, int32_t capacity)
{
    int64_t sign = adjustment->amount < 0 ? -1 : 1;
    int64_t share = sign * adjustment->amount * capacity / 100;

    if (capacity == 0 || adjustment->amount == 0) {
        return 0;
    }
    return sign * max_i64(max_i64(share, 1), adjustment->magnitude_min);
}

int64_t adjustment_apply(const struct adjustment *adjustment, int32_t capacity)
{
    int64_t target = capacity;

    ASSERT(capacity >= 0);
    switch (adjustment->type) {
    case ADJUST_EXACT:
        target = adjustment->amount;
        break;
    case ADJUST_CHANGE:
        target += adjustment->amount;
        break;
    case ADJUST_PERCENT:
        target += percent_change(adjustment, capacity);
        break;
    }
    return max_i64(target, 0);
}

const struct policy_step *policy_step_find(const struct policy *policy, double value,
                                           double threshold)
{
    double distance = value - threshold;

    for (size_t i = 0; i < policy->steps_count; i++) {
        const struct policy_step *step = &policy->steps[i];
        bool above_lower, below_upper;

        if (distance >= 0) {
            above_lower = !step->has_lower || distance >= step->lower;
            below_upper = !step->has_upper || distance < step->upper;
        } else {
            above_lower = !step->has_lower || distance > step->lower;
            below_upper = !step->has_upper || distance <= step->upper;
        }
        if (above_lower && below_upper) {
            return step;
        }
    }
    return NULL;
}
