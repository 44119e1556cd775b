#include "aws/tags.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

struct tagged {
    struct tags tags; /* First: tags_of() gives it out. */
    char *arn;
};

static void tagged_free(struct tagged *tagged)
{
    if (tagged == NULL) {
        return;
    }
    for (size_t i = 0; i < tagged->tags.count; i++) {
        free(tagged->tags.items[i].key);
        free(tagged->tags.items[i].value);
    }
    free(tagged->tags.items);
    free(tagged->arn);
    free(tagged);
}

void tags_index_close(struct tags_index *index)
{
    struct tagged *tagged;

    for (size_t at = 0; (tagged = map_next(&index->by_arn, &at)) != NULL;) {
        tagged_free(tagged);
    }
    map_close(&index->by_arn);
}

const struct tags *tags_of(const struct tags_index *index, const char *arn)
{
    static const struct tags none = {0};
    const struct tagged *tagged = map_get_z(&index->by_arn, arn);

    return tagged == NULL ? &none : &tagged->tags;
}

static struct tag *find(const struct tags *tags, const char *key)
{
    for (size_t i = 0; i < tags->count; i++) {
        if (strcmp(tags->items[i].key, key) == 0) {
            return &tags->items[i];
        }
    }
    return NULL;
}

const char *tags_value(const struct tags_index *index, const char *arn, const char *key)
{
    const struct tag *tag = find(tags_of(index, arn), key);

    return tag == NULL ? NULL : tag->value;
}

void tags_put(struct tags_index *index, const char *arn, const char *key, const char *value)
{
    struct tagged *tagged = map_get_z(&index->by_arn, arn);
    struct tag *tag;

    if (tagged == NULL) {
        tagged = mem_calloc(1, sizeof(*tagged));
        tagged->arn = mem_strdup(arn);
        map_put(&index->by_arn, slice_z(arn), tagged);
    }
    tag = find(&tagged->tags, key);
    if (tag == NULL) {
        tagged->tags.items = mem_grow(tagged->tags.items, tagged->tags.count, &tagged->tags.room,
                                      sizeof(*tagged->tags.items));
        tag = &tagged->tags.items[tagged->tags.count++];
        *tag = (struct tag){.key = mem_strdup(key)};
    }
    free(tag->value);
    tag->value = mem_strdup(value == NULL ? "" : value);
}

void tags_remove(struct tags_index *index, const char *arn, const char *key)
{
    struct tagged *tagged = map_get_z(&index->by_arn, arn);
    struct tag *tag = tagged == NULL ? NULL : find(&tagged->tags, key);

    if (tag == NULL) {
        return;
    }
    free(tag->key);
    free(tag->value);
    tagged->tags.count--;
    memmove(tag, tag + 1, (size_t)(tagged->tags.items + tagged->tags.count - tag) * sizeof(*tag));
    if (tagged->tags.count == 0) {
        tags_drop(index, arn);
    }
}

void tags_drop(struct tags_index *index, const char *arn)
{
    tagged_free(map_remove(&index->by_arn, slice_z(arn)));
}

const struct tags *tags_next(const struct tags_index *index, size_t *at, const char **arn)
{
    const struct tagged *tagged = map_next(&index->by_arn, at);

    if (tagged == NULL) {
        return NULL;
    }
    *arn = tagged->arn;
    return &tagged->tags;
}
