/* Tags of all resources, one index by ARN. Memory only; services/control.c persists them. */
#ifndef AWS_TAGS_H
#define AWS_TAGS_H

#include "base/map.h"

#define TAG_KEY_CHARS_MAX 128
#define TAG_VALUE_CHARS_MAX 256
#define TAGS_PER_RESOURCE_MAX 50

struct tag {
    char *key;
    char *value; /* Never NULL. */
};

/* The tags of one resource, in the order in which they were first put. */
struct tags {
    struct tag *items;
    size_t count, room;
};

struct tags_index {
    struct map by_arn; /* ARN -> struct tags. */
};

void tags_index_close(struct tags_index *index);

/* Never NULL; an untagged resource has none. Borrowed until the next change. */
const struct tags *tags_of(const struct tags_index *index, const char *arn);
/* The value, or NULL. */
const char *tags_value(const struct tags_index *index, const char *arn, const char *key);

void tags_put(struct tags_index *index, const char *arn, const char *key, const char *value);
void tags_remove(struct tags_index *index, const char *arn, const char *key);
void tags_drop(struct tags_index *index, const char *arn);

/* Walk all tagged resources in order of first tagging: the next ARN's tags, or NULL at the end. */
const struct tags *tags_next(const struct tags_index *index, size_t *at, const char **arn);

#endif /* AWS_TAGS_H */
