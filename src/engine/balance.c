/* Where the next instance goes and which one leaves.
 *
 * Balance over zones outranks every termination policy. AWS: User Guide, "Auto Scaling benefits"
 * (instance distribution), "Configure termination policies". */
#include "base/alloc.h"
#include "engine/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long failed launches in a subnet are held against it. */
#define SUBNET_AVOID_MS (5 * 60 * 1000)
#define HOUR_MS (60 * 60 * 1000)

void balance_open(struct balance *balance, const struct world *world, int64_t now_ms)
{
    *balance = (struct balance){.world = world, .now_ms = now_ms};
    balance->subnet_extra = mem_calloc(world->subnets_count + 1, sizeof(*balance->subnet_extra));
    balance->leaving = mem_calloc(world->instances_count + 1, sizeof(*balance->leaving));
    balance->chance = (uint64_t)world->seed << 32 | world->sequence;
}

void balance_close(struct balance *balance)
{
    free(balance->subnet_extra);
    free(balance->leaving);
    *balance = (struct balance){0};
}

/* SplitMix64 (Steele, Lea, Flood 2014): good enough to break ties, and its state is one number. */
static uint64_t chance_next(struct balance *balance, uint64_t below)
{
    uint64_t z = balance->chance += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}

static int32_t zone_count(const struct balance *balance, const char *zone)
{
    const struct world *world = balance->world;
    int32_t count = 0;

    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance_counts(instance) && !balance->leaving[i] &&
            strcmp(instance->zone, zone) == 0) {
            count++;
        }
    }
    for (size_t i = 0; i < world->subnets_count; i++) {
        count += strcmp(world->subnets[i].zone, zone) == 0 ? balance->subnet_extra[i] : 0;
    }
    return count;
}

static bool zone_enabled(const struct world *world, const char *zone)
{
    for (size_t i = 0; i < world->subnets_count; i++) {
        if (strcmp(world->subnets[i].zone, zone) == 0) {
            return true;
        }
    }
    return false;
}

/* Each failed launch weighs like an instance that is there: another zone is tried, but one that
 * goes on failing is not given up for good. */
static int32_t subnet_penalty(const struct balance *balance, const struct world_subnet *subnet)
{
    return balance->now_ms - subnet->failed_ms < SUBNET_AVOID_MS ? subnet->failures : 0;
}

int64_t balance_forgives_ms(const struct world *world, int64_t now_ms)
{
    int64_t first_ms = INT64_MAX;

    for (size_t i = 0; i < world->subnets_count; i++) {
        const struct world_subnet *subnet = &world->subnets[i];
        int64_t at_ms = subnet->failed_ms + SUBNET_AVOID_MS;

        if (subnet->failures > 0 && at_ms > now_ms) {
            first_ms = min_i64(first_ms, at_ms);
        }
    }
    return first_ms;
}

/* The emptiest zone, ties in the order of the subnets. */
static const struct world_subnet *emptiest(const struct balance *balance)
{
    const struct world *world = balance->world;
    const struct world_subnet *best = NULL;
    int32_t best_count = 0;

    for (size_t i = 0; i < world->subnets_count; i++) {
        const struct world_subnet *subnet = &world->subnets[i];
        int32_t count = zone_count(balance, subnet->zone) + subnet_penalty(balance, subnet);

        if (best == NULL || count < best_count) {
            best = subnet;
            best_count = count;
        }
    }
    return best;
}

const struct world_subnet *balance_place(struct balance *balance)
{
    const struct world *world = balance->world;
    const struct world_subnet *best = emptiest(balance), *chosen = best;
    uint64_t seen = 0;

    /* Of several subnets in that zone a random one. */
    for (size_t i = 0; best != NULL && i < world->subnets_count; i++) {
        const struct world_subnet *subnet = &world->subnets[i];

        if (strcmp(subnet->zone, best->zone) == 0 &&
            subnet_penalty(balance, subnet) == subnet_penalty(balance, best)) {
            seen++;
            chosen = seen > 1 && chance_next(balance, seen) != 0 ? chosen : subnet;
        }
    }
    if (chosen != NULL) {
        balance->subnet_extra[chosen - world->subnets]++;
    }
    return chosen;
}

/* A rank per candidate: the highest stay. */
typedef int64_t rank_fn(const struct balance *balance, const struct world_instance *instance);

static int64_t rank_oldest(const struct balance *balance, const struct world_instance *instance)
{
    (void)balance;
    return -instance->launched_ms;
}

static int64_t rank_newest(const struct balance *balance, const struct world_instance *instance)
{
    (void)balance;
    return instance->launched_ms;
}

/* Another template than the group's first, then the oldest version of the group's. */
static int64_t rank_outdated(const struct balance *balance, const struct world_instance *instance)
{
    bool foreign = strcmp(instance->template_id, balance->world->template_id) != 0;

    return foreign ? INT64_MAX : -instance->template_version;
}

static int64_t rank_hour(const struct balance *balance, const struct world_instance *instance)
{
    return (balance->now_ms - instance->launched_ms) % HOUR_MS;
}

/* Balance: instances in zones that the group has left go first, then the fullest zone's. */
static int64_t rank_zone(const struct balance *balance, const struct world_instance *instance)
{
    if (!zone_enabled(balance->world, instance->zone)) {
        return INT64_MAX;
    }
    return zone_count(balance, instance->zone);
}

/* InService ones first: one that is still coming up may yet be needed. */
static int64_t rank_in_service(const struct balance *balance, const struct world_instance *instance)
{
    (void)balance;
    return instance->lifecycle == LIFECYCLE_IN_SERVICE ? 1 : 0;
}

static void narrow(const struct balance *balance, bool *candidates, rank_fn *rank)
{
    const struct world *world = balance->world;
    int64_t best = INT64_MIN;

    for (size_t i = 0; i < world->instances_count; i++) {
        if (candidates[i]) {
            best = max_i64(best, rank(balance, &world->instances[i]));
        }
    }
    for (size_t i = 0; i < world->instances_count; i++) {
        candidates[i] = candidates[i] && rank(balance, &world->instances[i]) == best;
    }
}

static void narrow_by_policy(const struct balance *balance, bool *candidates,
                             enum termination_policy policy)
{
    switch (policy) {
    case TERMINATION_DEFAULT:
        narrow(balance, candidates, rank_outdated);
        narrow(balance, candidates, rank_hour);
        break;
    case TERMINATION_OLDEST_INSTANCE:
        narrow(balance, candidates, rank_oldest);
        break;
    case TERMINATION_NEWEST_INSTANCE:
        narrow(balance, candidates, rank_newest);
        break;
    case TERMINATION_OLDEST_LAUNCH_TEMPLATE:
        narrow(balance, candidates, rank_outdated);
        break;
    case TERMINATION_CLOSEST_TO_NEXT_INSTANCE_HOUR:
        narrow(balance, candidates, rank_hour);
        break;
    case TERMINATION_OLDEST_LAUNCH_CONFIGURATION: /* There are no launch configurations, */
    case TERMINATION_ALLOCATION_STRATEGY:         /* nor mixed instances: all are alike. */
        break;
    }
}

const struct world_instance *balance_victim(struct balance *balance)
{
    const struct world *world = balance->world;
    bool *candidates = mem_calloc(world->instances_count + 1, sizeof(*candidates));
    const struct world_instance *victim = NULL;
    uint64_t seen = 0;

    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        candidates[i] = instance_counts(instance) && !balance->leaving[i] &&
                        (!instance->protected_from_scale_in || world->force_delete);
    }
    narrow(balance, candidates, rank_in_service);
    narrow(balance, candidates, rank_zone);
    for (int32_t i = 0; i < world->termination_policies_count; i++) {
        narrow_by_policy(balance, candidates, world->termination_policies[i]);
    }
    narrow_by_policy(balance, candidates, TERMINATION_DEFAULT);
    for (size_t i = 0; i < world->instances_count; i++) {
        if (candidates[i]) {
            seen++;
            victim = seen > 1 && chance_next(balance, seen) != 0 ? victim : &world->instances[i];
        }
    }
    if (victim != NULL) {
        balance->leaving[victim - world->instances] = true;
    }
    free(candidates);
    return victim;
}

/* Append to two of the cause's lists; what does not fit is left out of the sentence. */
static void name_zone(struct cause *cause, const char *zone, int32_t count)
{
    size_t zones = strlen(cause->zones), counts = strlen(cause->zone_counts);

    if (zones + strlen(zone) + 2 > sizeof(cause->zones) ||
        counts + 12 > sizeof(cause->zone_counts)) {
        return;
    }
    (void)snprintf(cause->zones + zones, sizeof(cause->zones) - zones, "%s%s",
                   zones == 0 ? "" : " ", zone);
    (void)snprintf(cause->zone_counts + counts, sizeof(cause->zone_counts) - counts, "%s%d",
                   counts == 0 ? "" : " ", (int)count);
}

/* Is subnet @index the first one of its zone? */
static bool zone_first(const struct world *world, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(world->subnets[i].zone, world->subnets[index].zone) == 0) {
            return false;
        }
    }
    return true;
}

bool balance_skewed(const struct balance *balance, struct cause *cause)
{
    const struct world *world = balance->world;
    const struct world_subnet *to = emptiest(balance);

    if (to == NULL || subnet_penalty(balance, to) > 0) {
        return false;
    }
    for (size_t i = 0; i < world->subnets_count; i++) {
        if (zone_first(world, i)) {
            name_zone(cause, world->subnets[i].zone, zone_count(balance, world->subnets[i].zone));
        }
    }
    for (size_t i = 0; i < world->instances_count; i++) {
        const struct world_instance *instance = &world->instances[i];

        if (instance_counts(instance) && !instance->protected_from_scale_in &&
            (!zone_enabled(world, instance->zone) ||
             zone_count(balance, instance->zone) - zone_count(balance, to->zone) >= 2)) {
            return true;
        }
    }
    return false;
}
