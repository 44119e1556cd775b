#include "base/map.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t seed;

/* Before main(): maps are used by several threads, each its own. */
__attribute__((constructor)) static void choose_seed(void)
{
    ASSERT(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
}

/* FNV-1a from a random beginning, and MurmurHash3's last step, so that a table's index depends on
 * all of it. */
uint64_t map_hash(struct slice key)
{
    uint64_t hash = seed;

    for (size_t i = 0; i < key.bytes; i++) {
        hash = (hash ^ (unsigned char)key.data[i]) * 1099511628211ULL;
    }
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return hash ^ hash >> 33;
}

void map_close(struct map *map)
{
    if (map == NULL) {
        return;
    }
    for (size_t i = 0; i < map->entries_used; i++) {
        free(map->entries[i].key);
    }
    free(map->entries);
    free(map->slots);
    *map = (struct map){0};
}

static struct map_entry *find(const struct map *map, struct slice key, uint64_t hash)
{
    size_t mask = map->slots_room - 1;

    if (map->slots_room == 0) {
        return NULL;
    }
    for (size_t at = hash & mask; map->slots[at] != 0; at = (at + 1) & mask) {
        struct map_entry *entry = &map->entries[map->slots[at] - 1];

        if (entry->key != NULL && entry->hash == hash &&
            slice_equal(key, (struct slice){entry->key, entry->key_bytes})) {
            return entry;
        }
    }
    return NULL;
}

void *map_get(const struct map *map, struct slice key)
{
    struct map_entry *entry = find(map, key, map_hash(key));

    return entry == NULL ? NULL : entry->value;
}

void *map_get_z(const struct map *map, const char *key)
{
    return map_get(map, slice_z(key));
}

/* Close the holes and make the slots anew, at most half full. */
static void rebuild(struct map *map)
{
    size_t used = 0;
    size_t room = 16;

    for (size_t i = 0; i < map->entries_used; i++) {
        if (map->entries[i].key != NULL) {
            map->entries[used++] = map->entries[i];
        }
    }
    map->entries_used = used;
    while (room < (used + 1) * 4) {
        room *= 2;
    }
    free(map->slots);
    map->slots = mem_calloc(room, sizeof(*map->slots));
    map->slots_room = room;
    for (size_t i = 0; i < used; i++) {
        size_t at = map->entries[i].hash & (room - 1);

        while (map->slots[at] != 0) {
            at = (at + 1) & (room - 1);
        }
        map->slots[at] = (uint32_t)(i + 1);
    }
}

void *map_put(struct map *map, struct slice key, void *value)
{
    uint64_t hash = map_hash(key);
    struct map_entry *entry = find(map, key, hash);
    size_t at;

    ASSERT(value != NULL);
    if (entry != NULL) {
        void *old = entry->value;

        entry->value = value;
        return old;
    }
    if ((map->entries_used + 1) * 2 > map->slots_room) {
        rebuild(map);
    }
    map->entries =
        mem_grow(map->entries, map->entries_used, &map->entries_room, sizeof(*map->entries));
    map->entries[map->entries_used] = (struct map_entry){
        .key = mem_strndup(key.data, key.bytes),
        .key_bytes = key.bytes,
        .hash = hash,
        .value = value,
    };
    at = hash & (map->slots_room - 1);
    while (map->slots[at] != 0) {
        at = (at + 1) & (map->slots_room - 1);
    }
    map->slots[at] = (uint32_t)++map->entries_used;
    map->count++;
    return NULL;
}

void *map_remove(struct map *map, struct slice key)
{
    struct map_entry *entry = find(map, key, map_hash(key));
    void *old;

    if (entry == NULL) {
        return NULL;
    }
    old = entry->value;
    free(entry->key);
    *entry = (struct map_entry){0}; /* Its slot stays taken until the next rebuild. */
    map->count--;
    return old;
}

void *map_next(const struct map *map, size_t *at)
{
    while (*at < map->entries_used) {
        struct map_entry *entry = &map->entries[(*at)++];

        if (entry->key != NULL) {
            return entry->value;
        }
    }
    return NULL;
}
