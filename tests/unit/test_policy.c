#include "check.h"
#include "engine/engine.h"
#include "engine/private.h"

#include <stdlib.h>

static void adjustments_follow_the_table(void **state)
{
    static const struct {
        const char *says;
        enum adjustment_type type;
        int32_t amount, magnitude_min, from;
        int64_t to;
    } cases[] = {
        {"a change is added to what is there", ADJUST_CHANGE, 2, 0, 3, 5},
        {"a change cannot go below zero", ADJUST_CHANGE, -9, 0, 3, 0},
        {"exact replaces what is there", ADJUST_EXACT, 7, 0, 3, 7},
        {"12.7 drops its fraction", ADJUST_PERCENT, 127, 0, 10, 22},
        {"0.67 is one", ADJUST_PERCENT, 67, 0, 1, 2},
        {"-0.58 is minus one", ADJUST_PERCENT, -58, 0, 1, 0},
        {"-6.67 goes towards zero", ADJUST_PERCENT, -667, 0, 1, 0},
        {"a share below one down is one down", ADJUST_PERCENT, -10, 0, 5, 4},
        {"the minimum magnitude wins when larger", ADJUST_PERCENT, 25, 2, 4, 6},
        {"a percentage of nothing is nothing", ADJUST_PERCENT, 50, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct adjustment adjustment = {cases[i].type, cases[i].amount,
                                              cases[i].magnitude_min};

        check_int(cases[i].says, cases[i].to, adjustment_apply(&adjustment, cases[i].from));
    }
}

static void steps_follow_the_table(void **state)
{
    struct policy_step steps[] = {
        {.has_upper = true, .upper = -10, .amount = -2},
        {.has_lower = true, .lower = -10, .has_upper = true, .upper = 0, .amount = -1},
        {.has_lower = true, .lower = 0, .has_upper = true, .upper = 20, .amount = 1},
        {.has_lower = true, .lower = 20, .amount = 3},
    };
    const struct policy policy = {.type = POLICY_STEP, .steps = steps, .steps_count = 4};
    static const struct {
        const char *says;
        double value;
        int32_t amount;
    } cases[] = {
        {"at the threshold: the lower bound is inside", 60, 1},
        {"just below the upper bound", 79.9, 1},
        {"above, the upper bound is outside", 80, 3},
        {"far above", 1000, 3},
        {"below the threshold", 55, -1},
        {"below, the upper bound is inside and the lower outside", 50, -2},
        {"far below", 0, -2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct policy_step *step = policy_step_find(&policy, cases[i].value, 60);

        check_int(cases[i].says, true, step != NULL);
        check_int(cases[i].says, cases[i].amount, step->amount);
    }
}

/* Three instances in zone a, two in b: who goes? All InService. */
static void termination_policies_follow_the_table(void **state)
{
    static const struct {
        const char *id, *zone;
        int64_t launched_min;
        int64_t version;
    } instances[] = {
        {"i-1", "a", 0, 2},  {"i-2", "b", 5, 1},  {"i-3", "a", 20, 2},
        {"i-4", "b", 25, 2}, {"i-5", "a", 50, 2},
    };
    static const struct {
        const char *says;
        enum termination_policy policy;
        const char *protected_one, *victim;
        int64_t now_min;
    } cases[] = {
        {"the zone goes before the policy; 50 minutes old before 70", TERMINATION_DEFAULT, "",
         "i-3", 70},
        {"the oldest of the fullest zone", TERMINATION_OLDEST_INSTANCE, "", "i-1", 70},
        {"the newest", TERMINATION_NEWEST_INSTANCE, "", "i-5", 70},
        {"protected ones stay", TERMINATION_NEWEST_INSTANCE, "i-5", "i-3", 70},
        {"closest to the next hour", TERMINATION_CLOSEST_TO_NEXT_INSTANCE_HOUR, "", "i-1", 59},
        {"no version is older here, so the hour decides", TERMINATION_OLDEST_LAUNCH_TEMPLATE, "",
         "i-1", 59},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        struct balance balance;

        world_init(&world, "web", 1);
        world_add_subnet(&world, "a", "subnet-a");
        world_add_subnet(&world, "b", "subnet-b");
        world.termination_policies[0] = cases[i].policy;
        world.termination_policies_count = 1;
        world.instances = calloc(COUNT_OF(instances), sizeof(*world.instances));
        world.instances_count = COUNT_OF(instances);
        world_loaded(&world);
        for (size_t j = 0; j < COUNT_OF(instances); j++) {
            struct world_instance *instance = &world.instances[j];

            TEXT_PUT(instance->id, instances[j].id);
            TEXT_PUT(instance->zone, instances[j].zone);
            instance->lifecycle = LIFECYCLE_IN_SERVICE;
            instance->launched_ms = instances[j].launched_min * 60000;
            instance->template_version = instances[j].version;
            instance->protected_from_scale_in =
                strcmp(instances[j].id, cases[i].protected_one) == 0;
        }
        balance_open(&balance, &world, cases[i].now_min * 60000);
        check_text(cases[i].says, cases[i].victim, slice_z(balance_victim(&balance)->id));
        balance_close(&balance);
        world_close(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adjustments_follow_the_table),
        cmocka_unit_test(steps_follow_the_table),
        cmocka_unit_test(termination_policies_follow_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
