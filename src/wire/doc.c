#include "wire/doc.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Nodes. */

struct doc *doc_new(struct arena *arena, enum doc_kind kind)
{
    struct doc *doc = arena_calloc(arena, 1, sizeof(*doc));

    doc->kind = kind;
    doc->arena = arena;
    return doc;
}

struct doc *doc_new_text(struct arena *arena, struct slice text)
{
    struct doc *doc = doc_new(arena, DOC_TEXT);

    doc->u.text = slice_of(arena_strdup(arena, text), text.bytes);
    return doc;
}

struct doc *doc_new_blob(struct arena *arena, struct slice bytes)
{
    struct doc *doc = doc_new_text(arena, bytes);

    doc->kind = DOC_BLOB;
    return doc;
}

struct doc *doc_new_int(struct arena *arena, int64_t integer)
{
    struct doc *doc = doc_new(arena, DOC_INT);

    doc->u.integer = integer;
    return doc;
}

struct doc *doc_new_double(struct arena *arena, double number)
{
    struct doc *doc = doc_new(arena, DOC_DOUBLE);

    doc->u.number = number;
    return doc;
}

struct doc *doc_new_bool(struct arena *arena, bool value)
{
    struct doc *doc = doc_new(arena, DOC_BOOL);

    doc->u.integer = value;
    return doc;
}

struct doc *doc_new_time_ms(struct arena *arena, int64_t ms)
{
    struct doc *doc = doc_new(arena, DOC_TIME);

    doc->u.integer = ms;
    return doc;
}

static void drop_json(void *data)
{
    json_decref(data);
}

struct doc *doc_new_json(struct arena *arena, json_t *json)
{
    struct doc *doc = doc_new(arena, DOC_JSON);

    doc->u.json = json;
    arena_on_close(arena, drop_json, json);
    return doc;
}

/* Room for one more element in an array that grows by doubling; the old one stays in the arena. */
static void *grown(struct arena *arena, void *array, size_t count, size_t *room, size_t bytes)
{
    void *larger;

    if (count < *room) {
        return array;
    }
    *room = *room == 0 ? 4 : *room * 2;
    larger = arena_calloc(arena, *room, bytes);
    if (count > 0) {
        memcpy(larger, array, count * bytes);
    }
    return larger;
}

/* Reading nodes. */

struct slice doc_value_text(const struct doc *doc)
{
    if (doc == NULL ||
        (doc->kind != DOC_TEXT && doc->kind != DOC_BLOB && doc->kind != DOC_RAW_JSON)) {
        return SLICE_EMPTY;
    }
    return doc->u.text;
}

const char *doc_value_z(const struct doc *doc)
{
    return doc == NULL || doc->kind != DOC_TEXT ? NULL : doc->u.text.data;
}

int64_t doc_value_int(const struct doc *doc)
{
    if (doc == NULL) {
        return 0;
    }
    if (doc->kind == DOC_DOUBLE) {
        return (int64_t)doc->u.number;
    }
    return doc->kind == DOC_INT || doc->kind == DOC_TIME || doc->kind == DOC_BOOL ? doc->u.integer
                                                                                  : 0;
}

double doc_value_double(const struct doc *doc)
{
    if (doc == NULL) {
        return 0;
    }
    return doc->kind == DOC_DOUBLE ? doc->u.number : (double)doc_value_int(doc);
}

size_t doc_length(const struct doc *doc)
{
    if (doc == NULL) {
        return 0;
    }
    switch (doc->kind) {
    case DOC_STRUCT:
        return doc->u.fields.count;
    case DOC_LIST:
        return doc->u.list.count;
    case DOC_MAP:
        return doc->u.map.count;
    case DOC_TEXT:
    case DOC_BLOB:
    case DOC_INT:
    case DOC_DOUBLE:
    case DOC_BOOL:
    case DOC_TIME:
    case DOC_JSON:
    case DOC_RAW_JSON:
        break;
    }
    return 0;
}

const struct doc *doc_element(const struct doc *doc, size_t index)
{
    if (index >= doc_length(doc)) {
        return NULL;
    }
    if (doc->kind == DOC_MAP) {
        return doc->u.map.pairs[index].value;
    }
    return doc->kind == DOC_LIST ? doc->u.list.elements[index] : doc->u.fields.members[index].value;
}

struct slice doc_key(const struct doc *map, size_t index)
{
    if (map == NULL || map->kind != DOC_MAP || index >= map->u.map.count) {
        return SLICE_EMPTY;
    }
    return map->u.map.pairs[index].key;
}

/* Reading members. */

const struct doc *doc_get(const struct doc *doc, int member)
{
    if (doc == NULL || doc->kind != DOC_STRUCT) {
        return NULL;
    }
    for (size_t i = 0; i < doc->u.fields.count; i++) {
        if (doc->u.fields.members[i].id == member) {
            return doc->u.fields.members[i].value;
        }
    }
    return NULL;
}

bool doc_has(const struct doc *doc, int member)
{
    return doc_get(doc, member) != NULL;
}

struct slice doc_text(const struct doc *doc, int member)
{
    return doc_value_text(doc_get(doc, member));
}

const char *doc_z(const struct doc *doc, int member)
{
    return doc_value_z(doc_get(doc, member));
}

int64_t doc_int(const struct doc *doc, int member)
{
    return doc_value_int(doc_get(doc, member));
}

int64_t doc_int_or(const struct doc *doc, int member, int64_t otherwise)
{
    const struct doc *value = doc_get(doc, member);

    return value == NULL ? otherwise : doc_value_int(value);
}

double doc_double_or(const struct doc *doc, int member, double otherwise)
{
    const struct doc *value = doc_get(doc, member);

    return value == NULL ? otherwise : doc_value_double(value);
}

bool doc_bool(const struct doc *doc, int member)
{
    return doc_value_int(doc_get(doc, member)) != 0;
}

bool doc_bool_or(const struct doc *doc, int member, bool otherwise)
{
    const struct doc *value = doc_get(doc, member);

    return value == NULL ? otherwise : doc_value_int(value) != 0;
}

int64_t doc_time_ms_or(const struct doc *doc, int member, int64_t otherwise)
{
    return doc_int_or(doc, member, otherwise);
}

json_t *doc_json(const struct doc *doc, int member)
{
    const struct doc *value = doc_get(doc, member);

    return value == NULL || value->kind != DOC_JSON ? NULL : value->u.json;
}

size_t doc_count(const struct doc *doc, int member)
{
    return doc_length(doc_get(doc, member));
}

const struct doc *doc_at(const struct doc *doc, int member, size_t index)
{
    return doc_element(doc_get(doc, member), index);
}

const char *doc_z_at(const struct doc *doc, int member, size_t index)
{
    return doc_value_z(doc_at(doc, member, index));
}

struct slice doc_key_at(const struct doc *doc, int member, size_t index)
{
    return doc_key(doc_get(doc, member), index);
}

bool doc_list_contains(const struct doc *doc, int member, struct slice text)
{
    for (size_t i = 0; i < doc_count(doc, member); i++) {
        if (slice_equal(doc_value_text(doc_at(doc, member, i)), text)) {
            return true;
        }
    }
    return false;
}

/* Writing members. */

static struct doc_member *find_member(struct doc *doc, int member)
{
    for (size_t i = 0; i < doc->u.fields.count; i++) {
        if (doc->u.fields.members[i].id == member) {
            return &doc->u.fields.members[i];
        }
    }
    return NULL;
}

void doc_set(struct doc *doc, int member, struct doc *value)
{
    struct doc_member *slot;

    ASSERT(doc->kind == DOC_STRUCT);
    ASSERT(value != NULL);

    slot = find_member(doc, member);
    if (slot == NULL) {
        doc->u.fields.members = grown(doc->arena, doc->u.fields.members, doc->u.fields.count,
                                      &doc->u.fields.room, sizeof(*slot));
        slot = &doc->u.fields.members[doc->u.fields.count++];
        slot->id = member;
    }
    slot->value = value;
}

void doc_set_text(struct doc *doc, int member, struct slice text)
{
    if (text.data != NULL) {
        doc_set(doc, member, doc_new_text(doc->arena, text));
    }
}

void doc_set_z(struct doc *doc, int member, const char *text)
{
    doc_set_text(doc, member, slice_z(text));
}

void doc_set_format(struct doc *doc, int member, const char *format, ...)
{
    struct doc *node = doc_new(doc->arena, DOC_TEXT);
    va_list args, again;
    char *text;
    int bytes;

    va_start(args, format);
    va_copy(again, args);
    bytes = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(bytes >= 0);
    text = arena_calloc(doc->arena, (size_t)bytes + 1, 1);
    vsnprintf(text, (size_t)bytes + 1, format, again);
    va_end(again);
    node->u.text = slice_of(text, (size_t)bytes);
    doc_set(doc, member, node);
}

void doc_set_blob(struct doc *doc, int member, struct slice bytes)
{
    doc_set(doc, member, doc_new_blob(doc->arena, bytes));
}

void doc_set_int(struct doc *doc, int member, int64_t integer)
{
    doc_set(doc, member, doc_new_int(doc->arena, integer));
}

void doc_set_double(struct doc *doc, int member, double number)
{
    doc_set(doc, member, doc_new_double(doc->arena, number));
}

void doc_set_bool(struct doc *doc, int member, bool value)
{
    doc_set(doc, member, doc_new_bool(doc->arena, value));
}

void doc_set_time_ms(struct doc *doc, int member, int64_t ms)
{
    doc_set(doc, member, doc_new_time_ms(doc->arena, ms));
}

void doc_set_json(struct doc *doc, int member, json_t *json)
{
    doc_set(doc, member, doc_new_json(doc->arena, json));
}

void doc_set_raw_json(struct doc *doc, int member, struct slice text)
{
    struct doc *node = doc_new_text(doc->arena, text);

    node->kind = DOC_RAW_JSON;
    doc_set(doc, member, node);
}

struct doc *doc_set_struct(struct doc *doc, int member)
{
    struct doc *node = doc_new(doc->arena, DOC_STRUCT);

    doc_set(doc, member, node);
    return node;
}

static struct doc *present_or_new(struct doc *doc, int member, enum doc_kind kind)
{
    struct doc_member *slot = find_member(doc, member);
    struct doc *node;

    if (slot != NULL) {
        ASSERT(slot->value->kind == kind);
        return slot->value;
    }
    node = doc_new(doc->arena, kind);
    doc_set(doc, member, node);
    return node;
}

struct doc *doc_set_list(struct doc *doc, int member)
{
    return present_or_new(doc, member, DOC_LIST);
}

struct doc *doc_set_map(struct doc *doc, int member)
{
    return present_or_new(doc, member, DOC_MAP);
}

/* Growing lists and maps. */

void doc_list_add(struct doc *list, struct doc *value)
{
    ASSERT(list->kind == DOC_LIST);
    ASSERT(value != NULL);

    list->u.list.elements = grown(list->arena, list->u.list.elements, list->u.list.count,
                                  &list->u.list.room, sizeof(struct doc *));
    list->u.list.elements[list->u.list.count++] = value;
}

void doc_list_add_text(struct doc *list, struct slice text)
{
    doc_list_add(list, doc_new_text(list->arena, text));
}

void doc_list_add_z(struct doc *list, const char *text)
{
    doc_list_add_text(list, slice_z(text));
}

struct doc *doc_list_add_struct(struct doc *list)
{
    struct doc *node = doc_new(list->arena, DOC_STRUCT);

    doc_list_add(list, node);
    return node;
}

void doc_map_put(struct doc *map, struct slice key, struct doc *value)
{
    struct doc_pair *pair;

    ASSERT(map->kind == DOC_MAP);
    ASSERT(value != NULL);

    map->u.map.pairs =
        grown(map->arena, map->u.map.pairs, map->u.map.count, &map->u.map.room, sizeof(*pair));
    pair = &map->u.map.pairs[map->u.map.count++];
    pair->key = slice_of(arena_strdup(map->arena, key), key.bytes);
    pair->value = value;
}

void doc_map_put_z(struct doc *map, const char *key, const char *text)
{
    doc_map_put(map, slice_z(key), doc_new_text(map->arena, slice_z(text)));
}

struct doc *doc_map_put_struct(struct doc *map, struct slice key)
{
    struct doc *node = doc_new(map->arena, DOC_STRUCT);

    doc_map_put(map, key, node);
    return node;
}

void doc_list_keep(struct doc *doc, int member, size_t from, size_t count)
{
    struct doc *list = doc_set_list(doc, member);

    ASSERT(from <= list->u.list.count);
    list->u.list.elements += from; /* The arena's. */
    list->u.list.count -= from;
    list->u.list.room = list->u.list.count =
        list->u.list.count < count ? list->u.list.count : count;
}

struct doc *doc_add_struct(struct doc *doc, int member)
{
    return doc_list_add_struct(doc_set_list(doc, member));
}

void doc_add_z(struct doc *doc, int member, const char *text)
{
    doc_list_add_z(doc_set_list(doc, member), text);
}
