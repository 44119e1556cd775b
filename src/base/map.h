/* A hash map from text to pointers that is walked in the order of insertion: nothing in muster may
 * depend on hash or pointer order. Keys are copied; values are borrowed, freeing them is the
 * owner's business. Zero-initialise, end with map_close(). */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

#include <stdint.h>

struct map_entry {
    char *key; /* NULL: removed. */
    size_t key_bytes;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *entries; /* In order of insertion, with holes. */
    size_t entries_used;
    size_t entries_room;
    uint32_t *slots; /* Open addressing; index + 1 into entries, 0 = free. */
    size_t slots_room;
    size_t count;
};

void map_close(struct map *map);

/* The hash that maps use, for tables of one's own. Nobody outside can know which keys collide: it
 * is another one in each process. */
uint64_t map_hash(struct slice key);

/* NULL when absent. */
void *map_get(const struct map *map, struct slice key);
void *map_get_z(const struct map *map, const char *key);
/* Add or replace; returns the value that was there, or NULL. @value is not NULL. */
void *map_put(struct map *map, struct slice key, void *value);
/* Returns the value that was there, or NULL. */
void *map_remove(struct map *map, struct slice key);

/* Walk: for (size_t at = 0; (thing = map_next(&map, &at)) != NULL;). Removing the thing just
 * returned is allowed, adding is not. */
void *map_next(const struct map *map, size_t *at);

#endif /* BASE_MAP_H */
