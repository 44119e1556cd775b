/* A target's health by AWS's rules: pure, one step per probe.
 *
 *   initial --first success--> healthy        initial --unhealthy_count failures--> unhealthy
 *   healthy --unhealthy_count failures in a row--> unhealthy
 *   unhealthy --healthy_count successes in a row--> healthy
 *
 * Elastic Load Balancing, "Health checks for your target groups". */
#ifndef SERVICES_ELBV2_HEALTH_H
#define SERVICES_ELBV2_HEALTH_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* "200,300-310": the codes that a healthy target answers. */
#define MATCHER_RANGES_MAX 32

struct matcher {
    struct {
        int32_t from, to;
    } ranges[MATCHER_RANGES_MAX];
    size_t count;
};

/* ERR_INVALID when it is no list of codes and ranges within 200..499. */
int matcher_parse(struct slice text, struct matcher *matcher, struct error *err);
bool matcher_accepts(const struct matcher *matcher, int32_t code);

enum health_state { HEALTH_INITIAL, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

/* How a probe ended. */
enum check_end {
    CHECK_ANSWERED, /* With a status code. */
    CHECK_TIMED_OUT,
    CHECK_FAILED,   /* Refused, reset, unreachable, or no HTTP. */
    CHECK_INTERNAL, /* Our own fault: no socket to be had. Judges nobody. */
};

struct health {
    enum health_state state;
    enum check_end why;          /* Of the latest failure; for unhealthy targets. */
    int32_t code;                /* CHECK_ANSWERED: the wrong code. */
    int32_t successes, failures; /* In a row. Not persisted. */
};

struct health_rule {
    int32_t healthy_count, unhealthy_count;
    struct matcher matcher;
};

/* Take one probe's end; true when the state or its reason changed. */
bool health_take(struct health *health, const struct health_rule *rule, enum check_end end,
                 int32_t code);

/* "Target.Timeout", and "Request timed out" or "Health checks failed with these codes: [502]"; both
 * "" while healthy. @description has room for HEALTH_TEXT_BYTES. */
#define HEALTH_TEXT_BYTES 96
const char *health_reason(const struct health *health);
void health_describe(const struct health *health, char description[HEALTH_TEXT_BYTES]);

#endif /* SERVICES_ELBV2_HEALTH_H */
