/* What only the engine shares with itself. */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include "engine/engine.h"

/* A copy, cut to its room: what is longer was refused when it came in. */
void text_put(char *to, size_t room, const char *from);
#define TEXT_PUT(array, from) text_put((array), sizeof(array), (from))

/* Does it count against desired? */
bool instance_counts(const struct world_instance *instance);
void world_remove_instance(struct world *world, struct world_instance *instance);

/* A new zeroed decision at the end. Borrowed until the next one. */
struct decision *decisions_add(struct decisions *decisions, enum decision_kind kind);

/* How long the cooldown lasts that what is decided now will start: that of the policy which changed
 * desired last, else the group's. */
int64_t cooldown_due_ms(const struct world *world);

/* The stages of engine_decide(), each in its file; they add what they find. */
void decide_policies(const struct world *world, int64_t now_ms, struct decisions *decisions);
void decide_lifecycle(const struct world *world, int64_t now_ms, struct decisions *decisions);
void decide_health(const struct world *world, int64_t now_ms, struct decisions *decisions);
void decide_capacity(const struct world *world, int64_t now_ms, struct decisions *decisions);

/* The earliest instant after @now_ms at which a stage may find more; INT64_MAX: none. */
int64_t lifecycle_wake_ms(const struct world *world, int64_t now_ms);
int64_t health_wake_ms(const struct world *world, int64_t now_ms);
int64_t capacity_wake_ms(const struct world *world, int64_t now_ms);

/* Choosing places and victims: engine/balance.c. */

/* What a stage has already chosen, so that the next choice sees it. */
struct balance {
    const struct world *world;
    int64_t now_ms;
    int32_t *subnet_extra; /* Launches chosen per index of world.subnets. */
    bool *leaving;         /* Chosen per index of world.instances. */
    uint64_t chance;       /* The state of the random numbers. */
};

void balance_open(struct balance *balance, const struct world *world, int64_t now_ms);
void balance_close(struct balance *balance);
/* Where the next instance goes; counted as launched there. NULL without subnets. */
const struct world_subnet *balance_place(struct balance *balance);
/* Which instance goes next; counted as gone. NULL when none may. */
const struct world_instance *balance_victim(struct balance *balance);
/* Would one more in the emptiest zone and one less elsewhere help, and is there one that may go?
 * Says the zones and their counts in @cause. */
bool balance_skewed(const struct balance *balance, struct cause *cause);
/* When failed launches in a subnet are no longer held against it, which may skew the balance;
 * INT64_MAX: none are. */
int64_t balance_forgives_ms(const struct world *world, int64_t now_ms);

#endif /* ENGINE_PRIVATE_H */
