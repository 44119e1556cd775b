#include "services/elbv2/health.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define CODE_MIN 200
#define CODE_MAX 499

int matcher_parse(struct slice text, struct matcher *matcher, struct error *err)
{
    struct slice rest = text, part;

    *matcher = (struct matcher){0};
    while (slice_next(&rest, ',', &part)) {
        size_t dash = slice_find(part, '-');
        struct slice to = dash == part.bytes ? part : slice_sub(part, dash + 1, part.bytes);
        int64_t from_code, to_code;

        if (matcher->count == MATCHER_RANGES_MAX ||
            text_to_i64(slice_sub(part, 0, dash), CODE_MIN, CODE_MAX, &from_code, NULL) != 0 ||
            text_to_i64(to, CODE_MIN, CODE_MAX, &to_code, NULL) != 0 || from_code > to_code) {
            return error_set(err, ERR_INVALID,
                             "Health check matcher HTTP code '%.*s' must be a list of codes and "
                             "ranges within '%d-%d'",
                             SLICE_ARG(text), CODE_MIN, CODE_MAX);
        }
        matcher->ranges[matcher->count].from = (int32_t)from_code;
        matcher->ranges[matcher->count++].to = (int32_t)to_code;
    }
    if (matcher->count == 0) {
        return error_set(err, ERR_INVALID, "Health check matcher HTTP code cannot be empty");
    }
    return 0;
}

bool matcher_accepts(const struct matcher *matcher, int32_t code)
{
    for (size_t i = 0; i < matcher->count; i++) {
        if (code >= matcher->ranges[i].from && code <= matcher->ranges[i].to) {
            return true;
        }
    }
    return false;
}

static bool take_success(struct health *health, const struct health_rule *rule)
{
    health->failures = 0;
    health->successes++;
    if (health->state == HEALTH_HEALTHY ||
        (health->state == HEALTH_UNHEALTHY && health->successes < rule->healthy_count)) {
        return false;
    }
    health->state = HEALTH_HEALTHY;
    return true;
}

static bool take_failure(struct health *health, const struct health_rule *rule, enum check_end end,
                         int32_t code)
{
    bool other = health->why != end || health->code != code;

    health->successes = 0;
    health->failures++;
    health->why = end;
    health->code = code;
    if (health->state == HEALTH_UNHEALTHY) {
        return other;
    }
    if (health->failures < rule->unhealthy_count) {
        return false;
    }
    health->state = HEALTH_UNHEALTHY;
    return true;
}

bool health_take(struct health *health, const struct health_rule *rule, enum check_end end,
                 int32_t code)
{
    switch (end) {
    case CHECK_INTERNAL:
        return false;
    case CHECK_ANSWERED:
        if (matcher_accepts(&rule->matcher, code)) {
            return take_success(health, rule);
        }
        return take_failure(health, rule, end, code);
    case CHECK_TIMED_OUT:
    case CHECK_FAILED:
        break;
    }
    return take_failure(health, rule, end, 0);
}

const char *health_reason(const struct health *health)
{
    static const char *const reasons[] = {[CHECK_ANSWERED] = "Target.ResponseCodeMismatch",
                                          [CHECK_TIMED_OUT] = "Target.Timeout",
                                          [CHECK_FAILED] = "Target.FailedHealthChecks",
                                          [CHECK_INTERNAL] = "Elb.InternalError"};

    switch (health->state) {
    case HEALTH_INITIAL:
        return "Elb.InitialHealthChecking";
    case HEALTH_UNHEALTHY:
        return reasons[health->why];
    case HEALTH_HEALTHY:
        break;
    }
    return "";
}

void health_describe(const struct health *health, char description[HEALTH_TEXT_BYTES])
{
    static const char *const texts[] = {[CHECK_ANSWERED] = "", /* With its code, below. */
                                        [CHECK_TIMED_OUT] = "Request timed out",
                                        [CHECK_FAILED] = "Health checks failed",
                                        [CHECK_INTERNAL] =
                                            "Health checks failed due to an internal error"};
    const char *text = "";

    if (health->state == HEALTH_INITIAL) {
        text = "Initial health checks in progress";
    } else if (health->state == HEALTH_UNHEALTHY) {
        text = texts[health->why];
    }
    if (health->state == HEALTH_UNHEALTHY && health->why == CHECK_ANSWERED) {
        (void)snprintf(description, HEALTH_TEXT_BYTES,
                       "Health checks failed with these codes: [%d]", health->code);
    } else {
        (void)snprintf(description, HEALTH_TEXT_BYTES, "%s", text);
    }
}
