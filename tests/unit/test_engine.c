/* Stories of a group in the fake world, compared with their traces. */
#include "check.h"
#include "engine/activity_text.h"
#include "fake_world.h"

static int fake_setup(void **state)
{
    struct fake *fake = mem_calloc(1, sizeof(*fake));

    fake_open(fake);
    *state = fake;
    return 0;
}

static int fake_teardown(void **state)
{
    fake_close(*state);
    free(*state);
    return 0;
}

static void add_simple(struct fake *fake, const char *name, int32_t amount, int64_t cooldown_ms)
{
    struct policy *policy = world_add_policy(&fake->world, name);

    policy->adjustment = (struct adjustment){.type = ADJUST_CHANGE, .amount = amount};
    policy->cooldown_ms = cooldown_ms;
}

static void create(struct fake *fake, int32_t min, int32_t max, int32_t desired)
{
    struct event event = {.kind = EVENT_CREATED, .min = min, .max = max, .desired = desired};

    check_int("created", 0, fake_ask(fake, event, NULL));
}

/* The target stack: ELB checks, grace 30 s, cooldown 30 s, warm-up 60 s, +1/-1 with 120 s. */
static void stack(struct fake *fake)
{
    fake->world.health_check_elb = true;
    fake->world.grace_ms = 30000;
    fake->world.default_cooldown_ms = 30000;
    fake->world.default_warmup_ms = 60000;
    world_add_target_group(&fake->world, "tg", ATTACH_IN_SERVICE);
    add_simple(fake, "up", 1, 120000);
    add_simple(fake, "down", -1, 120000);
    create(fake, 2, 4, 2);
}

static const char *cause_of(struct fake *fake, const char *activity, struct buf *text)
{
    const struct activity *found = world_activity(&fake->world, activity);

    buf_clear(text);
    if (found == NULL) {
        return "no such activity";
    }
    activity_cause(&found->cause, text);
    return buf_z(text);
}

static void the_stack_grows_to_its_maximum_and_shrinks_to_its_minimum(void **state)
{
    struct fake *fake = *state;
    struct buf text = {0};

    stack(fake);
    fake_run(fake, 60000);
    fake_expect(fake, "one instance in each zone",
                "[   0.0] desired 0 -> 2\n"
                "[   0.0] launch i-1 in a\n"
                "[   0.0] launch i-2 in b\n"
                "[   2.5] i-1 in service, registered\n"
                "[   2.5] i-2 in service, registered\n");
    fake_alarm(fake, "high", "up", 60000, 420000, 90);
    fake_run(fake, 420000);
    fake_expect(fake, "a step per activity and cooldown, at the minute's repeats; then the maximum",
                "[  60.0] desired 2 -> 3, policy up\n"
                "[  60.0] launch i-3 in a\n"
                "[  62.5] i-3 in service, registered\n"
                "[ 120.0] up held: cooldown until 182.5\n"
                "[ 180.0] up held: cooldown until 182.5\n"
                "[ 240.0] desired 3 -> 4, policy up\n"
                "[ 240.0] launch i-4 in b\n"
                "[ 242.5] i-4 in service, registered\n"
                "[ 300.0] up held: cooldown until 362.5\n"
                "[ 360.0] up held: cooldown until 362.5\n");
    fake_alarm(fake, "high", "up", 420000, 480000, 90);
    fake_alarm(fake, "low", "down", 720000, 1200000, 1);
    fake_run(fake, 1200000);
    fake_expect(fake, "cooldown starts when draining ends",
                "[ 420.0] up held: no-change\n"
                "[ 720.0] desired 4 -> 3, policy down\n"
                "[ 720.0] i-1 terminating, draining\n"
                "[ 750.0] i-1 stopping\n"
                "[ 751.0] i-1 gone\n"
                "[ 780.0] down held: cooldown until 870.0\n"
                "[ 840.0] down held: cooldown until 870.0\n"
                "[ 900.0] desired 3 -> 2, policy down\n"
                "[ 900.0] i-2 terminating, draining\n"
                "[ 930.0] i-2 stopping\n"
                "[ 931.0] i-2 gone\n"
                "[ 960.0] down held: cooldown until 1050.0\n"
                "[1020.0] down held: cooldown until 1050.0\n"
                "[1080.0] down held: no-change\n"
                "[1140.0] down held: no-change\n");
    check_text("created",
               "At 1970-01-01T00:00:00Z a user request created an AutoScalingGroup "
               "changing the desired capacity from 0 to 2.  At 1970-01-01T00:00:00Z an "
               "instance was started in response to a difference between desired and "
               "actual capacity, increasing the capacity from 0 to 2.",
               slice_z(cause_of(fake, "activity-2", &text)));
    check_text("grown",
               "At 1970-01-01T00:01:00Z a monitor alarm high in state ALARM triggered "
               "policy up changing the desired capacity from 2 to 3.  At "
               "1970-01-01T00:01:00Z an instance was started in response to a difference "
               "between desired and actual capacity, increasing the capacity from 2 to 3.",
               slice_z(cause_of(fake, "activity-3", &text)));
    check_text("shrunk",
               "At 1970-01-01T00:12:00Z a monitor alarm low in state ALARM triggered policy down "
               "changing the desired capacity from 4 to 3.  At 1970-01-01T00:12:00Z an instance "
               "was taken out of service in response to a difference between desired and actual "
               "capacity, shrinking the capacity from 4 to 3.  At 1970-01-01T00:12:00Z instance "
               "i-1 was selected for termination.",
               slice_z(cause_of(fake, "activity-5", &text)));
    buf_close(&text);
}

static void a_simple_policy_waits_for_a_running_activity(void **state)
{
    struct fake *fake = *state;

    fake->boot_ms = 90000;
    add_simple(fake, "up", 1, 0);
    create(fake, 0, 4, 1);
    fake_alarm(fake, "high", "up", 60000, 150000, 90);
    fake_run(fake, 130000);
    fake_expect(fake, "held while i-1 starts; a cooldown of 0 is none",
                "[   0.0] desired 0 -> 1\n"
                "[   0.0] launch i-1 in a\n"
                "[  60.0] up held: activity\n"
                "[  90.0] i-1 in service\n"
                "[ 120.0] up held: cooldown until 390.0\n");
}

static void an_instance_that_dies_is_replaced_even_in_grace(void **state)
{
    struct fake *fake = *state;
    struct buf text = {0};

    stack(fake);
    fake_run(fake, 10000);
    buf_clear(&fake->trace);
    fake_machine(fake, 0, "i-1", MACHINE_STOPPED, NULL);
    fake_run(fake, 60000);
    fake_expect(fake, "the launch does not wait for the end of the old one",
                "[  10.0] i-1 unhealthy\n"
                "[  10.0] i-1 terminating, draining\n"
                "[  10.0] i-1 stopping\n"
                "[  10.0] launch i-3 in a\n"
                "[  11.0] i-1 gone\n"
                "[  12.5] i-3 in service, registered\n");
    check_int("desired stays", 2, fake->world.desired);
    check_int("the group's own cooldown", 42500, fake->world.cooldown_until_ms);
    check_text("why it went",
               "At 1970-01-01T00:00:10Z an instance was taken out of service in "
               "response to an EC2 health check indicating it has been terminated "
               "or stopped.",
               slice_z(cause_of(fake, "activity-3", &text)));
    check_text("why one came",
               "At 1970-01-01T00:00:10Z an instance was launched in response to an "
               "unhealthy instance needing to be replaced.",
               slice_z(cause_of(fake, "activity-4", &text)));
    buf_close(&text);
}

static void elb_verdicts_count_after_grace_and_one_at_a_time(void **state)
{
    struct fake *fake = *state;

    stack(fake);
    fake_elb(fake, 20000, "i-1", VERDICT_UNHEALTHY);
    fake_elb(fake, 20000, "i-2", VERDICT_UNHEALTHY);
    fake_elb(fake, 50000, "i-3", VERDICT_HEALTHY);
    fake_run(fake, 120000);
    fake_expect(fake, "the second waits until the first is replaced and warm",
                "[   0.0] desired 0 -> 2\n"
                "[   0.0] launch i-1 in a\n"
                "[   0.0] launch i-2 in b\n"
                "[   2.5] i-1 in service, registered\n"
                "[   2.5] i-2 in service, registered\n"
                "[  32.5] i-1 unhealthy\n"
                "[  32.5] i-1 terminating, draining\n"
                "[  32.5] launch i-3 in a\n"
                "[  35.0] i-3 in service, registered\n"
                "[  62.5] i-1 stopping\n"
                "[  63.5] i-1 gone\n"
                "[  95.0] i-2 unhealthy\n"
                "[  95.0] i-2 terminating, draining\n"
                "[  95.0] launch i-4 in b\n"
                "[  97.5] i-4 in service, registered\n");
}

static void a_late_attachment_replaces_nothing_before_a_member_passes(void **state)
{
    struct fake *fake = *state;

    fake->world.health_check_elb = true;
    create(fake, 2, 4, 2);
    fake_run(fake, 10000);
    buf_clear(&fake->trace);
    world_add_target_group(&fake->world, "tg", ATTACH_ADDING);
    fake_elb(fake, 20000, "i-1", VERDICT_UNHEALTHY);
    fake_elb(fake, 40000, "i-2", VERDICT_HEALTHY);
    fake_run(fake, 40000);
    fake_expect(fake, "i-1's failure counts once i-2 passed",
                "[  10.0] tg added\n"
                "[  40.0] tg in service\n"
                "[  40.0] i-1 unhealthy\n"
                "[  40.0] i-1 terminating, draining\n"
                "[  40.0] launch i-3 in a\n");
}

static void failed_launches_are_tried_again_with_growing_pauses(void **state)
{
    struct fake *fake = *state;
    struct buf text = {0};

    fake->launch_error = "The AMI ID ami-1 does not exist. Launching EC2 instance failed.";
    fake->now_ms = 1000; /* 0 means never. */
    create(fake, 1, 1, 1);
    fake_run(fake, 40000);
    fake->launch_error = NULL;
    fake_run(fake, 80000);
    fake_expect(fake, "another zone after a failure",
                "[   1.0] desired 0 -> 1\n"
                "[   1.0] launch in a fails\n"
                "[  11.0] launch in b fails\n"
                "[  31.0] launch in a fails\n"
                "[  71.0] launch i-1 in b\n"
                "[  73.5] i-1 in service\n");
    activity_description(&fake->world.activities[0], &text);
    check_text("its description",
               "Launching a new EC2 instance.  Status Reason: The AMI ID ami-1 does not exist. "
               "Launching EC2 instance failed.",
               buf_slice(&text));
    check_int("progress", 100, fake->world.activities[0].progress);
    buf_close(&text);
}

static void an_instance_that_dies_while_starting_is_a_cancelled_launch(void **state)
{
    struct fake *fake = *state;

    create(fake, 1, 1, 1);
    fake_machine(fake, 1000, "i-1", MACHINE_GONE, "Client.VolumeLimitExceeded: no more");
    fake_run(fake, 20000);
    fake_expect(fake, "another one after the pause",
                "[   0.0] desired 0 -> 1\n"
                "[   0.0] launch i-1 in a\n"
                "[   1.0] i-1 died while starting\n"
                "[   1.0] i-1 terminating\n"
                "[   1.0] i-1 gone\n"
                "[  11.0] launch i-2 in b\n"
                "[  13.5] i-2 in service\n");
    check_text("its message",
               "Instance became unhealthy while waiting for instance to be in InService state. "
               "Termination Reason: Client.VolumeLimitExceeded: no more",
               slice_z(fake->world.activities[0].status_message));
    check_int("its status", STATUS_CANCELLED, fake->world.activities[0].status);
}

static void a_user_terminates_an_instance_with_and_without_replacement(void **state)
{
    struct fake *fake = *state;
    struct event event = {.kind = EVENT_TERMINATE, .instance = "i-1"};
    struct error err;
    struct buf text = {0};

    create(fake, 1, 4, 2);
    fake_run(fake, 10000);
    buf_clear(&fake->trace);
    check_int("kept", 0, fake_ask(fake, event, NULL));
    fake_run(fake, 20000);
    event = (struct event){.kind = EVENT_TERMINATE, .instance = "i-2", .decrement = true};
    check_int("decremented", 0, fake_ask(fake, event, NULL));
    fake_run(fake, 30000);
    fake_expect(fake, "i-1 is replaced, i-2 is not",
                "[  10.0] i-1 terminating\n"
                "[  10.0] i-1 stopping\n"
                "[  10.0] launch i-3 in a\n"
                "[  11.0] i-1 gone\n"
                "[  12.5] i-3 in service\n"
                "[  20.0] i-2 terminating\n"
                "[  20.0] i-2 stopping\n"
                "[  21.0] i-2 gone\n");
    check_text("cause",
               "At 1970-01-01T00:00:20Z instance i-2 was taken out of service in response to a "
               "user request, shrinking the capacity from 2 to 1.",
               slice_z(cause_of(fake, "activity-5", &text)));
    event.instance = "i-3";
    check_int("at the minimum", ERR_API, fake_ask(fake, event, &err));
    check_text("at the minimum",
               "Currently, desiredSize equals minSize (1). Terminating instance without "
               "replacement will violate group's min size constraint. Either set "
               "shouldDecrementDesiredCapacity flag to false or lower group's min size.",
               slice_z(err.message));
    event.instance = "i-9";
    check_int("unknown", ERR_API, fake_ask(fake, event, &err));
    check_text("unknown", "Instance Id not found - No managed instance found for instance ID: i-9",
               slice_z(err.message));
    buf_close(&text);
}

static void protected_instances_stay_though_desired_sinks(void **state)
{
    struct fake *fake = *state;
    struct event event = {.kind = EVENT_SET_DESIRED, .desired = 0};

    fake->world.new_instances_protected = true;
    create(fake, 0, 4, 2);
    fake_run(fake, 10000);
    buf_clear(&fake->trace);
    check_int("set", 0, fake_ask(fake, event, NULL));
    fake_run(fake, 100000);
    check_int(
        "unprotect", 0,
        fake_ask(fake, (struct event){.kind = EVENT_SET_PROTECTION, .instance = "i-2"}, NULL));
    fake_run(fake, 200000);
    fake_expect(fake, "told once; then one may go",
                "[  10.0] desired 2 -> 0\n"
                "[  10.0] all protected\n"
                "[ 100.0] i-2 terminating\n"
                "[ 100.0] i-2 stopping\n"
                "[ 101.0] i-2 gone\n");
}

static void zones_are_balanced_again_by_launching_first(void **state)
{
    struct fake *fake = *state;
    struct buf text = {0};

    create(fake, 0, 4, 4);
    fake_run(fake, 400000);
    check_int(
        "two leave zone b", 0,
        fake_ask(fake,
                 (struct event){.kind = EVENT_TERMINATE, .instance = "i-2", .decrement = true},
                 NULL));
    buf_clear(&fake->trace);
    check_int(
        "two leave zone b", 0,
        fake_ask(fake,
                 (struct event){.kind = EVENT_TERMINATE, .instance = "i-4", .decrement = true},
                 NULL));
    fake_run(fake, 500000);
    fake_expect(fake, "one goes to b, then one leaves a",
                "[ 400.0] i-4 terminating\n"
                "[ 400.0] i-4 stopping\n"
                "[ 401.0] i-2 gone\n"
                "[ 401.0] i-4 gone\n"
                "[ 401.0] launch i-5 in b\n"
                "[ 403.5] i-5 in service\n"
                "[ 403.5] i-1 terminating\n"
                "[ 403.5] i-1 stopping\n"
                "[ 404.5] i-1 gone\n");
    check_text("launch",
               "At 1970-01-01T00:06:41Z availability zones a b had 2 0 instances respectively. An "
               "instance was launched to aid in balancing the group's zones.",
               slice_z(cause_of(fake, "activity-7", &text)));
    buf_close(&text);
}

/* Else one would be launched for balance, be the only one that may go, and go, for ever. */
static void protected_instances_are_not_balanced_away(void **state)
{
    struct fake *fake = *state;

    create(fake, 0, 4, 4);
    fake_run(fake, 10000);
    for (int i = 1; i <= 4; i++) {
        char id[ENGINE_INSTANCE_ID_BYTES];

        (void)snprintf(id, sizeof(id), "i-%d", i);
        check_int(
            "all of a are protected, b is left", 0,
            fake_ask(fake,
                     (struct event){.kind = i % 2 == 1 ? EVENT_SET_PROTECTION : EVENT_TERMINATE,
                                    .instance = id,
                                    .flag = true,
                                    .decrement = true},
                     NULL));
    }
    fake_run(fake, 20000);
    buf_clear(&fake->trace);
    fake_run(fake, 3600000);
    fake_expect(fake, "nothing happens", "");
    check_int(
        "one is free", 0,
        fake_ask(fake, (struct event){.kind = EVENT_SET_PROTECTION, .instance = "i-3"}, NULL));
    fake_run(fake, 3700000);
    fake_expect(fake, "it goes",
                "[3600.0] launch i-5 in b\n"
                "[3602.5] i-5 in service\n"
                "[3602.5] i-3 terminating\n"
                "[3602.5] i-3 stopping\n"
                "[3603.5] i-3 gone\n");
}

static void a_zone_is_filled_when_its_failures_are_forgiven(void **state)
{
    struct fake *fake = *state;

    fake->now_ms = 1000; /* 0 means never. */
    fake->world.subnets[0].failures = 5;
    fake->world.subnets[0].failed_ms = 1000;
    create(fake, 0, 2, 2);
    fake_run(fake, 400000);
    fake_expect(fake, "after five minutes",
                "[   1.0] desired 0 -> 2\n"
                "[   1.0] launch i-1 in b\n"
                "[   1.0] launch i-2 in b\n"
                "[   3.5] i-1 in service\n"
                "[   3.5] i-2 in service\n"
                "[ 301.0] launch i-3 in a\n"
                "[ 303.5] i-3 in service\n"
                "[ 303.5] i-1 terminating\n"
                "[ 303.5] i-1 stopping\n"
                "[ 304.5] i-1 gone\n");
}

static void a_group_is_deleted_by_force(void **state)
{
    struct fake *fake = *state;
    struct error err;

    stack(fake);
    fake_run(fake, 10000);
    buf_clear(&fake->trace);
    check_int("in use", ERR_API, fake_ask(fake, (struct event){.kind = EVENT_DELETE}, &err));
    check_text("in use", "ResourceInUse", slice_z(err.aws_code));
    check_int("force", 0, fake_ask(fake, (struct event){.kind = EVENT_DELETE, .flag = true}, NULL));
    check_int("no more changes", ERR_API,
              fake_ask(fake, (struct event){.kind = EVENT_SET_DESIRED, .desired = 0}, &err));
    check_text("no more changes",
               "The AutoScaling group may not be modified while it is pending delete",
               slice_z(err.message));
    fake_run(fake, 60000);
    check_int("gone", true, fake->gone);
    fake_expect(fake, "without draining",
                "[  10.0] desired 2 -> 0\n"
                "[  10.0] i-2 terminating, draining\n"
                "[  10.0] i-1 terminating, draining\n"
                "[  10.0] i-1 stopping\n"
                "[  10.0] i-2 stopping\n"
                "[  11.0] i-1 gone\n"
                "[  11.0] i-2 gone\n"
                "[  11.0] deleted\n");
}

static void a_step_policy_adds_only_what_is_not_coming_already(void **state)
{
    struct fake *fake = *state;
    struct policy *policy = world_add_policy(&fake->world, "steps");

    policy->type = POLICY_STEP;
    policy->warmup_ms = 100000;
    policy->adjustment.type = ADJUST_CHANGE;
    policy->steps = mem_calloc(2, sizeof(*policy->steps));
    policy->steps_count = 2;
    policy->steps[0] =
        (struct policy_step){.has_lower = true, .has_upper = true, .upper = 20, .amount = 1};
    policy->steps[1] = (struct policy_step){.has_lower = true, .lower = 20, .amount = 3};
    create(fake, 1, 10, 2);
    fake_alarm(fake, "high", "steps", 300000, 420000, 70);
    fake_alarm(fake, "high", "steps", 420000, 430000, 85);
    fake_run(fake, 460000);
    fake_expect(fake, "the same step again adds nothing, a later one on top",
                "[   0.0] desired 0 -> 2\n"
                "[   0.0] launch i-1 in a\n"
                "[   0.0] launch i-2 in b\n"
                "[   2.5] i-1 in service\n"
                "[   2.5] i-2 in service\n"
                "[ 300.0] desired 2 -> 3, policy steps\n"
                "[ 300.0] launch i-3 in a\n"
                "[ 302.5] i-3 in service\n"
                "[ 360.0] steps held: warmup\n"
                "[ 420.0] desired 3 -> 6, policy steps\n"
                "[ 420.0] launch i-4 in b\n"
                "[ 420.0] launch i-5 in a\n"
                "[ 420.0] launch i-6 in b\n"
                "[ 422.5] i-4 in service\n"
                "[ 422.5] i-5 in service\n"
                "[ 422.5] i-6 in service\n");
}

static void suspended_processes_do_nothing_until_resumed(void **state)
{
    struct fake *fake = *state;

    stack(fake);
    fake_run(fake, 10000);
    buf_clear(&fake->trace);
    fake->world.suspended = PROCESS_REPLACE_UNHEALTHY | PROCESS_ALARM_NOTIFICATION;
    fake_machine(fake, 0, "i-1", MACHINE_GONE, NULL);
    fake_alarm(fake, "high", "up", 60000, 120000, 90);
    fake_run(fake, 100000);
    fake->world.suspended = 0;
    fake_run(fake, 110000);
    fake_expect(fake, "marked, and replaced on resuming",
                "[  10.0] i-1 unhealthy\n"
                "[  60.0] up held: suspended\n"
                "[ 100.0] i-1 terminating, draining\n"
                "[ 100.0] i-1 gone\n"
                "[ 100.0] launch i-3 in a\n"
                "[ 102.5] i-3 in service, registered\n");
}

static void requests_are_refused_in_awss_words(void **state)
{
    static const struct {
        const char *says;
        struct event event;
        const char *code, *message;
    } cases[] = {
        {"above",
         {.kind = EVENT_SET_DESIRED, .desired = 9},
         "ValidationError",
         "New SetDesiredCapacity value 9 is above max value 4 for the AutoScalingGroup."},
        {"below",
         {.kind = EVENT_SET_DESIRED, .desired = 0},
         "ValidationError",
         "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup."},
        {"update",
         {.kind = EVENT_UPDATE_SIZES, .min = -1, .max = -1, .desired = 9},
         "ValidationError",
         "Desired capacity:9 must be between the specified min size:1 and max size:4"},
        {"limits",
         {.kind = EVENT_UPDATE_SIZES, .min = 5, .max = -1, .desired = -1},
         "ValidationError",
         "Max bound, 4, must be greater than or equal to min bound, 5"},
        {"cooldown",
         {.kind = EVENT_SET_DESIRED, .desired = 3, .honor_cooldown = true},
         "ScalingActivityInProgress",
         "Scaling activity activity-2 is in progress and blocks this action"},
        {"policy",
         {.kind = EVENT_EXECUTE_POLICY, .policy = "up", .honor_cooldown = true},
         "ScalingActivityInProgress",
         "Scaling activity activity-2 is in progress and blocks this action"},
        {"protection",
         {.kind = EVENT_SET_PROTECTION, .instance = "i-9"},
         "ValidationError",
         "The instance i-9 is not part of Auto Scaling group web."},
    };
    struct fake *fake = *state;

    add_simple(fake, "up", 1, 120000);
    create(fake, 1, 4, 2);
    fake_run(fake, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error err = {0};

        check_int(cases[i].says, ERR_API, fake_ask(fake, cases[i].event, &err));
        check_text(cases[i].says, cases[i].code, slice_z(err.aws_code));
        check_text(cases[i].says, cases[i].message, slice_z(err.message));
    }
    check_int("nothing changed", 2, fake->world.desired);
    check_int("without honouring it goes", 0,
              fake_ask(fake, (struct event){.kind = EVENT_EXECUTE_POLICY, .policy = "up"}, NULL));
    check_int("grown", 3, fake->world.desired);
    check_int("now an activity runs", ERR_API,
              fake_ask(fake, (struct event){.kind = EVENT_EXECUTE_POLICY, .policy = "up"}, NULL));
}

static void limits_pull_desired_along(void **state)
{
    static const struct {
        const char *says;
        int32_t min, max, desired, to;
    } cases[] = {
        {"a new minimum", 3, -1, -1, 3},
        {"a new maximum", 0, 1, -1, 1},
        {"all three", 0, 9, 4, 4},
        {"nothing pulls", 1, 8, -1, 4},
    };
    struct fake *fake = *state;

    create(fake, 1, 4, 2);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct event event = {.kind = EVENT_UPDATE_SIZES,
                              .min = cases[i].min,
                              .max = cases[i].max,
                              .desired = cases[i].desired};

        check_int(cases[i].says, 0, fake_ask(fake, event, NULL));
        check_int(cases[i].says, cases[i].to, fake->world.desired);
    }
}

static void a_large_group_is_quick(void **state)
{
    struct fake *fake = *state;

    fake->quiet = true;
    create(fake, 0, 400, 300);
    fake_run(fake, 10000);
    check_int("all there", 300, world_capacity(&fake->world));
    check_int("to nothing", 0,
              fake_ask(fake, (struct event){.kind = EVENT_SET_DESIRED, .desired = 0}, NULL));
    fake_run(fake, 20000);
    check_int("all gone", 0, fake->world.instances_count);
}

/* Whatever happens, in whatever order: within the limits, balanced, nothing left over. */
static void random_runs_keep_the_invariants(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        struct fake fake;
        char id[ENGINE_INSTANCE_ID_BYTES];

        srandom(seed);
        fake_open(&fake);
        fake.quiet = true;
        fake.now_ms = 1000; /* 0 means never. */
        fake.world.seed = seed;
        stack(&fake);
        for (int step = 0; step < 200; step++) {
            (void)snprintf(id, sizeof(id), "i-%ld", random() % (fake.instances_made + 1));
            switch (random() % 9) {
            case 0:
                fake_machine(&fake, random() % 5000, id,
                             random() % 2 == 0 ? MACHINE_STOPPED : MACHINE_GONE, NULL);
                break;
            case 1:
                fake_elb(&fake, fake.now_ms, id,
                         random() % 2 == 0 ? VERDICT_UNHEALTHY : VERDICT_HEALTHY);
                break;
            case 2:
                fake_alarm(&fake, "high", "up", fake.now_ms, fake.now_ms + 300000, 90);
                break;
            case 3:
                fake_alarm(&fake, "low", "down", fake.now_ms, fake.now_ms + 300000, 10);
                break;
            case 4:
                (void)fake_ask(
                    &fake,
                    (struct event){.kind = EVENT_SET_DESIRED, .desired = (int32_t)(random() % 6)},
                    NULL);
                break;
            case 5:
                (void)fake_ask(&fake,
                               (struct event){.kind = EVENT_TERMINATE,
                                              .instance = id,
                                              .decrement = random() % 2 == 0},
                               NULL);
                break;
            case 6:
                fake.launch_error = random() % 3 == 0 ? "Insufficient capacity." : NULL;
                break;
            case 7:
                fake.world.suspended = random() % 3 == 0 ? (uint32_t)random() & 0xff : 0;
                break;
            default:
                fake_at(&fake, fake.now_ms, (struct event){.kind = EVENT_DRAINED, .instance = id});
                break;
            }
            fake_run(&fake, fake.now_ms + random() % 60000);
        }
        fake.launch_error = NULL;
        fake.world.suspended = 0;
        fake_run(&fake, fake.now_ms + 3600000);
        if (world_capacity(&fake.world) != fake.world.desired ||
            world_running_activity(&fake.world) != NULL || fake.capacity_max > 5) {
            print_error("seed %u\n", seed);
            for (size_t i = 0; i < fake.world.instances_count; i++) {
                print_error("%s %s phase %d machine %d\n", fake.world.instances[i].id,
                            lifecycle_name(fake.world.instances[i].lifecycle),
                            (int)fake.world.instances[i].phase,
                            (int)fake.world.instances[i].machine);
            }
        }
        check_int("what is wanted is there", fake.world.desired, world_capacity(&fake.world));
        check_int("nothing is in progress", true, world_running_activity(&fake.world) == NULL);
        check_int("never more than one above the maximum", true, fake.capacity_max <= 5);
        fake_close(&fake);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(the_stack_grows_to_its_maximum_and_shrinks_to_its_minimum),
        STORY(a_simple_policy_waits_for_a_running_activity),
        STORY(an_instance_that_dies_is_replaced_even_in_grace),
        STORY(elb_verdicts_count_after_grace_and_one_at_a_time),
        STORY(a_late_attachment_replaces_nothing_before_a_member_passes),
        STORY(failed_launches_are_tried_again_with_growing_pauses),
        STORY(an_instance_that_dies_while_starting_is_a_cancelled_launch),
        STORY(a_user_terminates_an_instance_with_and_without_replacement),
        STORY(protected_instances_stay_though_desired_sinks),
        STORY(zones_are_balanced_again_by_launching_first),
        STORY(protected_instances_are_not_balanced_away),
        STORY(a_zone_is_filled_when_its_failures_are_forgiven),
        STORY(a_group_is_deleted_by_force),
        STORY(a_step_policy_adds_only_what_is_not_coming_already),
        STORY(suspended_processes_do_nothing_until_resumed),
        STORY(requests_are_refused_in_awss_words),
        STORY(limits_pull_desired_along),
        STORY(a_large_group_is_quick),
        cmocka_unit_test(random_runs_keep_the_invariants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
