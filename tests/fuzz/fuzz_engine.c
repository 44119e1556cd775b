/* Bytes as a story of one Auto Scaling group: what users, EC2, load balancers and alarms do, in any
 * order. Every decision ends, what must always hold holds, and when the world is calm again the
 * group is what was asked for, and stays so. */
#include "../unit/fake_world.h"

#include <stdint.h>

#define STEPS_MAX 300
#define SIZE_MOST 9
#define HOUR_MS 3600000LL

struct story {
    const uint8_t *data;
    size_t bytes;
    struct fake fake;
};

static const char *const zones[] = {"a", "b", "c"};
static const char *const subnets[] = {"subnet-a", "subnet-b", "subnet-c", "subnet-d", "subnet-e"};
static const char *const target_groups[] = {"tg", "other"};
static const char *const policies[] = {"up", "down", "step", "percent"};

static unsigned take(struct story *story)
{
    if (story->bytes == 0) {
        return 0;
    }
    story->bytes--;
    return *story->data++;
}

static const char *take_instance(struct story *story, char id[ENGINE_INSTANCE_ID_BYTES])
{
    const struct world *world = &story->fake.world;
    size_t at = take(story);

    if (world->instances_count == 0) {
        return "i-none";
    }
    (void)snprintf(id, ENGINE_INSTANCE_ID_BYTES, "%s",
                   world->instances[at % world->instances_count].id);
    return id;
}

static int32_t take_size(struct story *story)
{
    unsigned size = take(story) % (SIZE_MOST + 2);

    return size > SIZE_MOST ? WORLD_UNSET : (int32_t)size;
}

static int64_t take_span_ms(struct story *story)
{
    static const int64_t spans_ms[] = {0, 1, 500, 2500, 30000, 60000, 300000, HOUR_MS};

    return spans_ms[take(story) % COUNT_OF(spans_ms)];
}

static void add_policy(struct story *story, const char *name)
{
    struct policy *policy = world_add_policy(&story->fake.world, name);
    static const int64_t waits_ms[] = {WORLD_UNSET, 0, 60000, 600000};

    policy->enabled = take(story) % 8 != 0;
    policy->adjustment.type = (enum adjustment_type)(take(story) % 3);
    policy->adjustment.amount = (int32_t)(take(story) % 256) - 100;
    policy->adjustment.magnitude_min = (int32_t)(take(story) % 4);
    policy->cooldown_ms = waits_ms[take(story) % COUNT_OF(waits_ms)];
    policy->warmup_ms = waits_ms[take(story) % COUNT_OF(waits_ms)];
    if (take(story) % 2 == 0) {
        policy->type = POLICY_STEP;
        policy->steps_count = 2;
        policy->steps = mem_calloc(policy->steps_count, sizeof(*policy->steps));
        policy->steps[0] = (struct policy_step){
            .has_upper = true, .upper = 0, .amount = -(int32_t)(take(story) % 4)};
        policy->steps[1] = (struct policy_step){
            .has_lower = true, .lower = 0, .amount = (int32_t)(take(story) % 4)};
    }
}

static void configure_policy(struct story *story)
{
    const char *name = policies[take(story) % COUNT_OF(policies)];

    if (world_policy(&story->fake.world, name) == NULL) {
        add_policy(story, name);
    } else {
        world_remove_policy(&story->fake.world, name);
    }
}

static void configure_target_group(struct story *story)
{
    const char *name = target_groups[take(story) % COUNT_OF(target_groups)];

    if (world_target_group(&story->fake.world, name) == NULL) {
        world_add_target_group(&story->fake.world, name,
                               take(story) % 2 == 0 ? ATTACH_ADDING : ATTACH_IN_SERVICE);
    } else {
        world_remove_target_group(&story->fake.world, name);
    }
}

/* UpdateAutoScalingGroup with other subnets; at least one. */
static void configure_subnets(struct story *story)
{
    unsigned which = take(story), in = take(story);

    story->fake.world.subnets_count = 0;
    for (size_t i = 0; i < COUNT_OF(subnets); i++) {
        if ((which >> i & 1) != 0) {
            world_add_subnet(&story->fake.world, zones[(in >> i) % COUNT_OF(zones)], subnets[i]);
        }
    }
    if (story->fake.world.subnets_count == 0) {
        world_add_subnet(&story->fake.world, "a", "subnet-a");
    }
}

static void configure(struct story *story)
{
    struct world *world = &story->fake.world;

    switch (take(story) % 9) {
    case 0:
        world->suspended = take(story) | (take(story) & 1) << 8;
        break;
    case 1:
        world->health_check_elb = take(story) % 2 == 0;
        world->grace_ms = take_span_ms(story);
        break;
    case 2:
        world->default_cooldown_ms = take_span_ms(story);
        world->default_warmup_ms = take(story) % 2 == 0 ? WORLD_UNSET : take_span_ms(story);
        break;
    case 3:
        world->new_instances_protected = take(story) % 2 == 0;
        break;
    case 4:
        world->termination_policies_count = 1;
        world->termination_policies[0] =
            (enum termination_policy)(take(story) % (TERMINATION_ALLOCATION_STRATEGY + 1));
        break;
    case 5:
        (void)snprintf(world->template_id, sizeof(world->template_id), "lt-%u", take(story) % 2);
        break;
    case 6:
        configure_policy(story);
        break;
    case 7:
        configure_target_group(story);
        break;
    default:
        configure_subnets(story);
    }
}

static void news(struct story *story)
{
    struct fake *fake = &story->fake;
    char id[ENGINE_INSTANCE_ID_BYTES];
    const char *instance = take_instance(story, id);
    struct event event = {.instance = instance, .verdict = (enum health_verdict)(take(story) % 3)};

    switch (take(story) % 5) {
    case 0: /* As EC2 does it: nothing runs again that is gone. */
        event.kind = EVENT_MACHINE;
        event.machine = take(story) % 2 == 0 ? MACHINE_STOPPED : MACHINE_GONE;
        event.text = "Server.Failure: it broke";
        break;
    case 1:
        event.kind = EVENT_STATUS_CHECKS;
        break;
    case 2:
        event.kind = EVENT_TARGET_HEALTH;
        event.target_group = target_groups[take(story) % COUNT_OF(target_groups)];
        break;
    case 3:
        event.kind = EVENT_DRAINED;
        break;
    default:
        fake_alarm(fake, "alarm", policies[take(story) % COUNT_OF(policies)], fake->now_ms,
                   fake->now_ms + (take(story) % 4) * 60000LL, take(story));
        return;
    }
    fake_at(fake, fake->now_ms, event);
}

static void request(struct story *story)
{
    struct fake *fake = &story->fake;
    char id[ENGINE_INSTANCE_ID_BYTES];
    unsigned flags = take(story);
    struct event event = {.instance = take_instance(story, id),
                          .policy = policies[take(story) % COUNT_OF(policies)],
                          .verdict = flags & 1 ? VERDICT_HEALTHY : VERDICT_UNHEALTHY,
                          .honor_cooldown = flags & 2,
                          .honor_grace = flags & 4,
                          .decrement = flags & 8,
                          .flag = flags & 16,
                          .has_metric = flags & 32,
                          .value = 50,
                          .threshold = take(story)};
    static const enum event_kind kinds[] = {
        EVENT_UPDATE_SIZES, EVENT_SET_DESIRED,    EVENT_EXECUTE_POLICY, EVENT_TERMINATE,
        EVENT_SET_HEALTH,   EVENT_SET_PROTECTION, EVENT_DELETE};
    struct error err;

    event.kind = kinds[take(story) % COUNT_OF(kinds)];
    event.min = take_size(story);
    event.max = take_size(story);
    event.desired = take_size(story);
    if (event.kind == EVENT_SET_DESIRED && event.desired == WORLD_UNSET) {
        event.desired = 0;
    }
    if (event.kind == EVENT_SET_PROTECTION) {
        event.flag = flags & 1;
    }
    (void)fake_ask(fake, event, &err);
}

static void step(struct story *story)
{
    struct fake *fake = &story->fake;

    switch (take(story) % 6) {
    case 0:
        configure(story);
        break;
    case 1:
    case 2:
        news(story);
        break;
    case 3:
        request(story);
        break;
    case 4:
        fake->launch_error = take(story) % 3 == 0 ? "Insufficient capacity." : NULL;
        fake->boot_ms = take_span_ms(story);
        fake->end_ms = take_span_ms(story);
        fake->drain_ms = take_span_ms(story);
        break;
    default:
        fake_run(fake, fake->now_ms + take_span_ms(story));
    }
    if (!fake->gone) {
        group_sane(&fake->world);
        ASSERT(fake->capacity_max <= SIZE_MOST + 1); /* One more, to balance zones. */
    }
}

/* Hours in which nothing happens; at most @activities_max in any ten minutes. */
static void pass(struct fake *fake, int hours, int activities_max)
{
    for (int i = 0; i < hours * 6; i++) {
        int32_t activities = fake->activities_made;

        fake_run(fake, fake->now_ms + HOUR_MS / 6);
        if (fake->activities_made - activities > activities_max) {
            fake->quiet = false;
            fake_run(fake, fake->now_ms + HOUR_MS / 60);
            fprintf(stderr, "%.3000s", buf_z(&fake->trace));
            ASSERT(false);
        }
    }
}

/* Nothing happens any more: soon nothing is done any more. The unhealthy are replaced one after the
 * other, each when the one before has warmed up, which takes an hour at most here. */
static void rest(struct fake *fake)
{
    fake->launch_error = NULL;
    fake->boot_ms = fake->end_ms = fake->drain_ms = 1000;
    pass(fake, SIZE_MOST + 3, 100);
    pass(fake, 2, 0);
}

static void settle(struct fake *fake)
{
    rest(fake);
    fake->world.suspended = 0;
    fake->world.new_instances_protected = false;
    for (size_t i = 0; i < fake->world.instances_count; i++) {
        fake->world.instances[i].protected_from_scale_in = false;
    }
    rest(fake);
    if (!fake->gone) {
        ASSERT(world_running_activity(&fake->world) == NULL);
        ASSERT(world_capacity(&fake->world) == fake->world.desired);
        ASSERT((int32_t)fake->world.instances_count == fake->world.desired);
    } else {
        ASSERT(fake->world.instances_count == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct story story = {.data = data, .bytes = bytes};
    struct fake *fake = &story.fake;

    fake_open(fake);
    fake->quiet = true;
    fake->now_ms = 1000; /* 0 means never. */
    (void)fake_ask(fake,
                   (struct event){.kind = EVENT_CREATED,
                                  .min = (int32_t)(take(&story) % 3),
                                  .max = SIZE_MOST,
                                  .desired = (int32_t)(take(&story) % SIZE_MOST)},
                   NULL);
    for (int i = 0; i < STEPS_MAX && story.bytes > 0 && !fake->gone; i++) {
        step(&story);
    }
    settle(fake);
    fake_close(fake);
    return 0;
}
