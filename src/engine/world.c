#include "engine/world.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "engine/private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(WORLD_TARGET_GROUPS_MAX < 63, "a bit each in a non-negative int64_t");

const char *lifecycle_name(enum lifecycle lifecycle)
{
    static const char *const names[] = {
        [LIFECYCLE_PENDING] = "Pending",
        [LIFECYCLE_IN_SERVICE] = "InService",
        [LIFECYCLE_TERMINATING] = "Terminating",
        [LIFECYCLE_TERMINATED] = "Terminated",
        [LIFECYCLE_ENTERING_STANDBY] = "EnteringStandby",
        [LIFECYCLE_STANDBY] = "Standby",
        [LIFECYCLE_DETACHING] = "Detaching",
        [LIFECYCLE_DETACHED] = "Detached",
    };

    return names[lifecycle];
}

void text_put(char *to, size_t room, const char *from)
{
    size_t bytes = from == NULL ? 0 : strnlen(from, room - 1);

    memcpy(to, from == NULL ? "" : from, bytes);
    to[bytes] = '\0';
}

void world_init(struct world *world, const char *name, uint32_t seed)
{
    *world = (struct world){
        .default_cooldown_ms = 300 * 1000, .default_warmup_ms = WORLD_UNSET, .seed = seed};
    TEXT_PUT(world->name, name);
}

void world_loaded(struct world *world)
{
    world->subnets_room = world->subnets_count;
    world->target_groups_room = world->target_groups_count;
    world->policies_room = world->policies_count;
    world->instances_room = world->instances_count;
    world->activities_room = world->activities_count;
}

void world_close(struct world *world)
{
    for (size_t i = 0; i < world->policies_count; i++) {
        policy_close(&world->policies[i]);
    }
    free(world->subnets);
    free(world->target_groups);
    free(world->policies);
    free(world->instances);
    free(world->activities);
    *world = (struct world){0};
}

struct world_instance *world_instance(const struct world *world, const char *id)
{
    for (size_t i = 0; id != NULL && i < world->instances_count; i++) {
        if (strcmp(world->instances[i].id, id) == 0) {
            return &world->instances[i];
        }
    }
    return NULL;
}

struct policy *world_policy(const struct world *world, const char *name)
{
    for (size_t i = 0; name != NULL && i < world->policies_count; i++) {
        if (strcmp(world->policies[i].name, name) == 0) {
            return &world->policies[i];
        }
    }
    return NULL;
}

struct activity *world_activity(const struct world *world, const char *id)
{
    /* The one asked for is nearly always a late one. */
    for (size_t i = world->activities_count; id != NULL && i-- > 0;) {
        if (strcmp(world->activities[i].id, id) == 0) {
            return &world->activities[i];
        }
    }
    return NULL;
}

struct world_target_group *world_target_group(const struct world *world, const char *arn)
{
    for (size_t i = 0; arn != NULL && i < world->target_groups_count; i++) {
        if (strcmp(world->target_groups[i].arn, arn) == 0) {
            return &world->target_groups[i];
        }
    }
    return NULL;
}

const struct activity *world_running_activity(const struct world *world)
{
    for (size_t i = 0; i < world->activities_count; i++) {
        if (activity_running(&world->activities[i])) {
            return &world->activities[i];
        }
    }
    return NULL;
}

struct world_subnet *world_add_subnet(struct world *world, const char *zone, const char *subnet)
{
    struct world_subnet *added;

    world->subnets = mem_grow(world->subnets, world->subnets_count, &world->subnets_room,
                              sizeof(*world->subnets));
    added = &world->subnets[world->subnets_count++];
    *added = (struct world_subnet){0};
    TEXT_PUT(added->zone, zone);
    TEXT_PUT(added->subnet, subnet);
    return added;
}

struct policy *world_add_policy(struct world *world, const char *name)
{
    struct policy *added;

    ASSERT(world_policy(world, name) == NULL);
    world->policies = mem_grow(world->policies, world->policies_count, &world->policies_room,
                               sizeof(*world->policies));
    added = &world->policies[world->policies_count++];
    *added = (struct policy){.enabled = true, .cooldown_ms = WORLD_UNSET, .warmup_ms = WORLD_UNSET};
    TEXT_PUT(added->name, name);
    return added;
}

/* Close the gap left by element @index of an array of *@count elements. */
static void array_remove(void *array, size_t index, size_t *count, size_t bytes)
{
    char *at = (char *)array + index * bytes;

    ASSERT(index < *count);
    memmove(at, at + bytes, (*count - index - 1) * bytes);
    (*count)--;
}

void world_remove_policy(struct world *world, const char *name)
{
    struct policy *policy = world_policy(world, name);

    if (policy != NULL) {
        policy_close(policy);
        array_remove(world->policies, (size_t)(policy - world->policies), &world->policies_count,
                     sizeof(*policy));
    }
}

struct world_target_group *world_add_target_group(struct world *world, const char *arn,
                                                  enum attachment_state state)
{
    struct world_target_group *added;
    int64_t used = 0;
    int32_t bit = 0;

    ASSERT(world_target_group(world, arn) == NULL);
    if (world->target_groups_count >= WORLD_TARGET_GROUPS_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < world->target_groups_count; i++) {
        used |= (int64_t)1 << world->target_groups[i].bit;
    }
    while ((used >> bit & 1) != 0) {
        bit++;
    }
    world->target_groups = mem_grow(world->target_groups, world->target_groups_count,
                                    &world->target_groups_room, sizeof(*world->target_groups));
    added = &world->target_groups[world->target_groups_count++];
    *added = (struct world_target_group){.bit = bit, .state = state};
    TEXT_PUT(added->arn, arn);
    return added;
}

void world_remove_target_group(struct world *world, const char *arn)
{
    struct world_target_group *group = world_target_group(world, arn);
    int64_t mask;

    if (group == NULL) {
        return;
    }
    mask = (int64_t)1 << group->bit;
    for (size_t i = 0; i < world->instances_count; i++) {
        world->instances[i].elb_healthy &= ~mask;
        world->instances[i].elb_unhealthy &= ~mask;
    }
    array_remove(world->target_groups, (size_t)(group - world->target_groups),
                 &world->target_groups_count, sizeof(*group));
}

void world_remove_instance(struct world *world, struct world_instance *instance)
{
    array_remove(world->instances, (size_t)(instance - world->instances), &world->instances_count,
                 sizeof(*instance));
}

bool instance_counts(const struct world_instance *instance)
{
    return instance->lifecycle == LIFECYCLE_PENDING || instance->lifecycle == LIFECYCLE_IN_SERVICE;
}

int32_t world_capacity(const struct world *world)
{
    int32_t count = 0;

    for (size_t i = 0; i < world->instances_count; i++) {
        count += instance_counts(&world->instances[i]) ? 1 : 0;
    }
    return count;
}

bool world_suspended(const struct world *world, enum scaling_process process)
{
    return (world->suspended & (uint32_t)process) != 0;
}

bool world_instance_counts_in_metrics(const struct world_instance *instance, int64_t now_ms)
{
    return instance->lifecycle == LIFECYCLE_IN_SERVICE && now_ms >= instance->warmup_until_ms;
}

bool world_drop_activity(struct world *world, int64_t before_ms, size_t count_max,
                         char id[ENGINE_UUID_BYTES])
{
    for (size_t i = 0; i < world->activities_count; i++) {
        struct activity *activity = &world->activities[i];

        if (activity_running(activity)) {
            continue;
        }
        if (activity->end_ms >= before_ms && world->activities_count <= count_max) {
            return false;
        }
        memcpy(id, activity->id, ENGINE_UUID_BYTES);
        array_remove(world->activities, i, &world->activities_count, sizeof(*activity));
        return true;
    }
    return false;
}

static void instance_sane(const struct world *world, const struct world_instance *instance)
{
    const struct activity *activity =
        instance->activity[0] == '\0' ? NULL : world_activity(world, instance->activity);
    bool moving =
        instance->lifecycle == LIFECYCLE_PENDING || instance->lifecycle == LIFECYCLE_TERMINATING;

    ASSERT(instance->id[0] != '\0');
    ASSERT((instance->phase != PHASE_NONE) == (instance->lifecycle == LIFECYCLE_TERMINATING));
    ASSERT((instance->elb_healthy & instance->elb_unhealthy) == 0);
    /* Whoever moves has one running activity; it went, for a launch that is given up, before. */
    ASSERT(!moving || instance->unhealthy || activity != NULL);
    ASSERT(activity == NULL || activity_running(activity));
    ASSERT(activity == NULL || strcmp(activity->instance, instance->id) == 0);
}

void group_sane(const struct world *world)
{
    ASSERT(world->name[0] != '\0');
    ASSERT(0 <= world->min && world->min <= world->max);
    ASSERT(world->min <= world->desired && world->desired <= world->max);
    ASSERT(!world->deleting || world->max == 0);
    ASSERT(world->default_cooldown_ms >= 0 && world->grace_ms >= 0);
    ASSERT(world->replacements_due >= 0 && world->launch_failures >= 0);
    ASSERT(0 <= world->changes_count && world->changes_count <= CAUSE_CHANGES_MAX);
    ASSERT(world->target_groups_count <= WORLD_TARGET_GROUPS_MAX);
    for (size_t i = 0; i < world->instances_count; i++) {
        instance_sane(world, &world->instances[i]);
    }
    if (world->instances_count > 0) { /* No instance twice: each was the last one once. */
        const struct world_instance *last = &world->instances[world->instances_count - 1];

        ASSERT(world_instance(world, last->id) == last);
    }
}
