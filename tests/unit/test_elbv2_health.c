/* Health checks: the tables of AWS's guide. */
#include "check.h"
#include "services/elbv2/health.h"

static const struct {
    const char *says, *text;
    int rc;
    int32_t yes, no;
} matchers[] = {
    {"one code", "200", 0, 200, 201},
    {"a list", "200,202", 0, 202, 201},
    {"a range", "200-299", 0, 299, 300},
    {"both", "200,300-310", 0, 310, 311},
    {"nothing", "", ERR_INVALID, 0, 0},
    {"a word", "ok", ERR_INVALID, 0, 0},
    {"a code below 200", "100", ERR_INVALID, 0, 0},
    {"a code above 499", "200-500", ERR_INVALID, 0, 0},
    {"a range the wrong way", "299-200", ERR_INVALID, 0, 0},
    {"an empty element", "200,,201", ERR_INVALID, 0, 0},
    {"blanks", "200, 201", ERR_INVALID, 0, 0},
    {"half a range", "200-", ERR_INVALID, 0, 0},
    {"a range without a beginning", "-200", ERR_INVALID, 0, 0},
};

static void matchers_are_lists_of_codes_and_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(matchers); i++) {
        struct matcher matcher;

        check_int(matchers[i].says, matchers[i].rc,
                  matcher_parse(slice_z(matchers[i].text), &matcher, NULL));
        if (matchers[i].rc == 0) {
            check_int(matchers[i].says, true, matcher_accepts(&matcher, matchers[i].yes));
            check_int(matchers[i].says, false, matcher_accepts(&matcher, matchers[i].no));
        }
    }
}

/* Probes: '.' 200, 'x' 503, 'n' 404, 't' timeout, 'f' refused, '?' our own fault. With 3 successes
 * and 2 failures as thresholds. */
static const struct {
    const char *says, *probes, *reason, *description;
    enum health_state state;
} stories[] = {
    {"at first nothing is known", "", "Elb.InitialHealthChecking",
     "Initial health checks in progress", HEALTH_INITIAL},
    {"one success is enough for a new target", ".", "", "", HEALTH_HEALTHY},
    {"one failure is not", "x", "Elb.InitialHealthChecking", "Initial health checks in progress",
     HEALTH_INITIAL},
    {"a new target that fails once may still pass", "x.", "", "", HEALTH_HEALTHY},
    {"a new target fails at the threshold", "xx", "Target.ResponseCodeMismatch",
     "Health checks failed with these codes: [503]", HEALTH_UNHEALTHY},
    {"a healthy one forgives one failure", ".x", "", "", HEALTH_HEALTHY},
    {"failures count in a row only", ".x.x.x", "", "", HEALTH_HEALTHY},
    {"two in a row end it", ".xx", "Target.ResponseCodeMismatch",
     "Health checks failed with these codes: [503]", HEALTH_UNHEALTHY},
    {"silence is a timeout", ".tt", "Target.Timeout", "Request timed out", HEALTH_UNHEALTHY},
    {"a refusal is just a failure", ".ff", "Target.FailedHealthChecks", "Health checks failed",
     HEALTH_UNHEALTHY},
    {"the reason is the latest failure's", ".xxt", "Target.Timeout", "Request timed out",
     HEALTH_UNHEALTHY},
    {"and the code the latest", ".xxn", "Target.ResponseCodeMismatch",
     "Health checks failed with these codes: [404]", HEALTH_UNHEALTHY},
    {"two successes do not bring it back", ".xx..", "Target.ResponseCodeMismatch",
     "Health checks failed with these codes: [503]", HEALTH_UNHEALTHY},
    {"three do", ".xx...", "", "", HEALTH_HEALTHY},
    {"in a row", ".xx..x..", "Target.ResponseCodeMismatch",
     "Health checks failed with these codes: [503]", HEALTH_UNHEALTHY},
    {"our own faults judge nobody", ".?????", "", "", HEALTH_HEALTHY},
    {"and interrupt nothing", ".x?x", "Target.ResponseCodeMismatch",
     "Health checks failed with these codes: [503]", HEALTH_UNHEALTHY},
};

static void targets_pass_and_fail_by_thresholds(void **state)
{
    struct health_rule rule = {.healthy_count = 3, .unhealthy_count = 2};

    (void)state;
    assert_int_equal(matcher_parse(SLICE_LIT("200,300-310"), &rule.matcher, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(stories); i++) {
        struct health health = {0};
        char description[HEALTH_TEXT_BYTES];

        for (const char *probe = stories[i].probes; *probe != '\0'; probe++) {
            struct health before = health;
            bool changed = health_take(&health, &rule,
                                       *probe == 't'   ? CHECK_TIMED_OUT
                                       : *probe == 'f' ? CHECK_FAILED
                                       : *probe == '?' ? CHECK_INTERNAL
                                                       : CHECK_ANSWERED,
                                       *probe == '.'   ? 200
                                       : *probe == 'n' ? 404
                                       : *probe == 'x' ? 503
                                                       : 0);

            check_int("changed tells of another state or reason",
                      health.state != before.state ||
                          strcmp(health_reason(&health), health_reason(&before)) != 0 ||
                          (health.state == HEALTH_UNHEALTHY && health.code != before.code),
                      changed);
        }
        health_describe(&health, description);
        check_int(stories[i].says, stories[i].state, health.state);
        check_text(stories[i].says, stories[i].reason, slice_z(health_reason(&health)));
        check_text(stories[i].says, stories[i].description, slice_z(description));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matchers_are_lists_of_codes_and_ranges),
        cmocka_unit_test(targets_pass_and_fail_by_thresholds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
