#include "store/record.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIST_COUNT_MAX 1000000 /* More is a damaged file, not a list. */

static void *at(void *thing, uint32_t offset)
{
    return (char *)thing + offset;
}

static const void *at_const(const void *thing, uint32_t offset)
{
    return (const char *)thing + offset;
}

static size_t count_of(const struct record_field *field, const void *thing)
{
    return *(const size_t *)at_const(thing, field->count_offset);
}

/* Saving. */

static json_t *text_json(const char *text, size_t bytes)
{
    json_t *json = json_stringn(text, bytes);
    char *clean;

    if (json != NULL) {
        return json;
    }
    clean = mem_strndup(text, bytes);
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)clean[i] >= 0x80) {
            clean[i] = '?'; /* Coarse, but it loses no character that JSON could hold alone. */
        }
    }
    json = json_stringn(clean, bytes);
    free(clean);
    return json;
}

static json_t *list_json(const struct record_field *field, const void *thing)
{
    const char *items = *(const char *const *)at_const(thing, field->offset);
    json_t *list = json_array();

    for (size_t i = 0; i < count_of(field, thing); i++) {
        json_t *item;

        if (field->type == RECORD_TYPE_LIST) {
            item = record_json(field->of.record, items + i * field->of.record->bytes);
        } else if (field->type == RECORD_TYPE_TEXTS) {
            const char *text = ((const char *const *)(const void *)items)[i];

            item = text_json(text, strlen(text));
        } else {
            item = json_integer(((const int64_t *)(const void *)items)[i]);
        }
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *enum_json(const struct record_field *field, const void *member)
{
    uint32_t value = *(const uint32_t *)member;

    ASSERT(value < field->bytes);
    return json_string(field->of.names[value]);
}

/* NULL: the member is left out. */
static json_t *member_json(const struct record_field *field, const void *thing)
{
    const void *member = at_const(thing, field->offset);
    const char *text;

    switch (field->type) {
    case RECORD_TYPE_TEXT:
        text = *(const char *const *)member;
        return text == NULL ? NULL : text_json(text, strlen(text));
    case RECORD_TYPE_CHARS:
        text = member;
        return text[0] == '\0' ? NULL : text_json(text, strnlen(text, field->bytes));
    case RECORD_TYPE_I64:
        return json_integer(*(const int64_t *)member);
    case RECORD_TYPE_I32:
        return json_integer(*(const int32_t *)member);
    case RECORD_TYPE_U32:
        return json_integer(*(const uint32_t *)member);
    case RECORD_TYPE_BOOL:
        return json_boolean(*(const bool *)member);
    case RECORD_TYPE_DOUBLE:
        return isfinite(*(const double *)member) ? json_real(*(const double *)member) : NULL;
    case RECORD_TYPE_ENUM:
        return enum_json(field, member);
    case RECORD_TYPE_STRUCT:
        return record_json(field->of.record, member);
    case RECORD_TYPE_OPTIONAL:
        member = *(const void *const *)member;
        return member == NULL ? NULL : record_json(field->of.record, member);
    case RECORD_TYPE_LIST:
    case RECORD_TYPE_TEXTS:
    case RECORD_TYPE_I64S:
        return count_of(field, thing) == 0 ? NULL : list_json(field, thing);
    case RECORD_TYPE_CUSTOM:
        return field->of.codec->save(member);
    }
    return NULL;
}

json_t *record_json(const struct record *record, const void *thing)
{
    json_t *object = json_object();

    for (size_t i = 0; i < record->fields_count; i++) {
        json_t *value = member_json(&record->fields[i], thing);

        if (value != NULL) {
            json_object_set_new_nocheck(object, record->fields[i].name, value);
        }
    }
    return object;
}

void record_save(const struct record *record, const void *thing, struct buf *json)
{
    json_t *object = record_json(record, thing);

    json_to_buf(object, json);
    json_decref(object);
}

/* Closing. */

static void list_close(const struct record_field *field, void *thing)
{
    void **items = at(thing, field->offset);
    size_t *count = at(thing, field->count_offset);

    for (size_t i = 0; i < *count; i++) {
        if (field->type == RECORD_TYPE_LIST) {
            record_close(field->of.record, (char *)*items + i * field->of.record->bytes);
        } else if (field->type == RECORD_TYPE_TEXTS) {
            free(((char **)*items)[i]);
        }
    }
    free(*items);
    *items = NULL;
    *count = 0;
}

static void member_close(const struct record_field *field, void *thing)
{
    void *member = at(thing, field->offset);
    void *inner;

    switch (field->type) {
    case RECORD_TYPE_TEXT:
        free(*(char **)member);
        *(char **)member = NULL;
        break;
    case RECORD_TYPE_CHARS:
        memset(member, 0, field->bytes);
        break;
    case RECORD_TYPE_I64:
        *(int64_t *)member = 0;
        break;
    case RECORD_TYPE_I32:
    case RECORD_TYPE_U32:
    case RECORD_TYPE_ENUM:
        memset(member, 0, 4);
        break;
    case RECORD_TYPE_BOOL:
        *(bool *)member = false;
        break;
    case RECORD_TYPE_DOUBLE:
        *(double *)member = 0;
        break;
    case RECORD_TYPE_STRUCT:
        record_close(field->of.record, member);
        break;
    case RECORD_TYPE_OPTIONAL:
        inner = *(void **)member;
        if (inner != NULL) {
            record_close(field->of.record, inner);
        }
        free(inner);
        *(void **)member = NULL;
        break;
    case RECORD_TYPE_LIST:
    case RECORD_TYPE_TEXTS:
    case RECORD_TYPE_I64S:
        list_close(field, thing);
        break;
    case RECORD_TYPE_CUSTOM:
        if (field->of.codec->close != NULL) {
            field->of.codec->close(member);
        } else {
            memset(member, 0, field->bytes);
        }
        break;
    }
}

void record_close(const struct record *record, void *thing)
{
    if (thing == NULL) {
        return;
    }
    for (size_t i = 0; i < record->fields_count; i++) {
        member_close(&record->fields[i], thing);
    }
}

/* Loading. */

static int load_chars(const struct record_field *field, void *member, const json_t *json,
                      struct error *err)
{
    size_t bytes = json_string_length(json);

    if (bytes >= field->bytes) {
        return error_set(err, ERR_INVALID, "has %zu bytes, room is for %u", bytes,
                         field->bytes - 1);
    }
    memset(member, 0, field->bytes);
    memcpy(member, json_string_value(json), bytes);
    return 0;
}

static int load_integer(const json_t *json, int64_t min, int64_t max, int64_t *number,
                        struct error *err)
{
    int64_t value = json_integer_value(json);

    if (value < min || value > max) {
        return error_set(err, ERR_INVALID, "%" PRId64 " is out of range", value);
    }
    *number = value;
    return 0;
}

static int load_enum(const struct record_field *field, void *member, const json_t *json,
                     struct error *err)
{
    for (uint32_t i = 0; i < field->bytes; i++) {
        if (strcmp(field->of.names[i], json_string_value(json)) == 0) {
            *(uint32_t *)member = i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID, "has no value '%s'", json_string_value(json));
}

static int load_list(const struct record_field *field, void *thing, const json_t *json,
                     struct error *err)
{
    static const json_type wanted[] = {[RECORD_TYPE_LIST] = JSON_OBJECT,
                                       [RECORD_TYPE_TEXTS] = JSON_STRING,
                                       [RECORD_TYPE_I64S] = JSON_INTEGER};
    void **items = at(thing, field->offset);
    size_t *count = at(thing, field->count_offset);
    size_t wanted_count = json_array_size(json);
    size_t bytes = field->type == RECORD_TYPE_LIST ? field->of.record->bytes : sizeof(void *);
    int rc;

    list_close(field, thing);
    if (wanted_count > LIST_COUNT_MAX) {
        return error_set(err, ERR_INVALID, "has %zu elements", wanted_count);
    }
    if (wanted_count == 0) {
        return 0;
    }
    static_assert(sizeof(void *) == sizeof(int64_t), "texts and numbers share the code below");
    *items = mem_calloc(wanted_count, bytes);
    for (size_t i = 0; i < wanted_count; i++) {
        const json_t *item = json_array_get(json, i);

        if (json_typeof(item) != wanted[field->type]) {
            return error_set(err, ERR_INVALID, "element %zu has another type", i);
        }
        *count = i + 1;
        if (field->type == RECORD_TYPE_LIST) {
            rc = record_load_json(field->of.record, (char *)*items + i * bytes, item, err);
            if (rc != 0) {
                return rc;
            }
        } else if (field->type == RECORD_TYPE_TEXTS) {
            ((char **)*items)[i] = mem_strndup(json_string_value(item), json_string_length(item));
        } else {
            ((int64_t *)*items)[i] = json_integer_value(item);
        }
    }
    return 0;
}

static bool type_fits(enum record_type type, const json_t *json)
{
    switch (type) {
    case RECORD_TYPE_TEXT:
    case RECORD_TYPE_CHARS:
    case RECORD_TYPE_ENUM:
        return json_is_string(json);
    case RECORD_TYPE_I64:
    case RECORD_TYPE_I32:
    case RECORD_TYPE_U32:
        return json_is_integer(json);
    case RECORD_TYPE_BOOL:
        return json_is_boolean(json);
    case RECORD_TYPE_DOUBLE:
        return json_is_number(json);
    case RECORD_TYPE_STRUCT:
    case RECORD_TYPE_OPTIONAL:
        return json_is_object(json);
    case RECORD_TYPE_LIST:
    case RECORD_TYPE_TEXTS:
    case RECORD_TYPE_I64S:
        return json_is_array(json);
    case RECORD_TYPE_CUSTOM:
        return true;
    }
    return false;
}

static int member_load(const struct record_field *field, void *thing, const json_t *json,
                       struct error *err)
{
    void *member = at(thing, field->offset);
    int64_t number = 0;
    int rc = 0;

    if (!type_fits(field->type, json)) {
        return error_set(err, ERR_INVALID, "has another type");
    }
    switch (field->type) {
    case RECORD_TYPE_TEXT:
        free(*(char **)member);
        *(char **)member = mem_strndup(json_string_value(json), json_string_length(json));
        break;
    case RECORD_TYPE_CHARS:
        return load_chars(field, member, json, err);
    case RECORD_TYPE_I64:
        *(int64_t *)member = json_integer_value(json);
        break;
    case RECORD_TYPE_I32:
        rc = load_integer(json, INT32_MIN, INT32_MAX, &number, err);
        *(int32_t *)member = (int32_t)number;
        break;
    case RECORD_TYPE_U32:
        rc = load_integer(json, 0, UINT32_MAX, &number, err);
        *(uint32_t *)member = (uint32_t)number;
        break;
    case RECORD_TYPE_BOOL:
        *(bool *)member = json_is_true(json);
        break;
    case RECORD_TYPE_DOUBLE:
        *(double *)member = json_number_value(json);
        break;
    case RECORD_TYPE_ENUM:
        return load_enum(field, member, json, err);
    case RECORD_TYPE_STRUCT:
        return record_load_json(field->of.record, member, json, err);
    case RECORD_TYPE_OPTIONAL:
        if (*(void **)member == NULL) {
            *(void **)member = mem_calloc(1, field->of.record->bytes);
        }
        return record_load_json(field->of.record, *(void **)member, json, err);
    case RECORD_TYPE_LIST:
    case RECORD_TYPE_TEXTS:
    case RECORD_TYPE_I64S:
        return load_list(field, thing, json, err);
    case RECORD_TYPE_CUSTOM:
        return field->of.codec->load(member, json, err);
    }
    return rc;
}

int record_load_json(const struct record *record, void *thing, const json_t *json,
                     struct error *err)
{
    for (size_t i = 0; i < record->fields_count; i++) {
        const struct record_field *field = &record->fields[i];
        const json_t *value = json_object_get(json, field->name);
        int rc;

        if (value == NULL || (json_is_null(value) && field->type != RECORD_TYPE_CUSTOM)) {
            continue;
        }
        rc = member_load(field, thing, value, err);
        if (rc != 0) {
            record_close(record, thing);
            error_wrap(err, "member %s", field->name);
            return rc;
        }
    }
    return 0;
}

int record_load(const struct record *record, void *thing, struct slice json, struct error *err)
{
    json_error_t parse;
    json_t *object = json_loadb(json.data, json.bytes, JSON_ALLOW_NUL, &parse);
    int rc;

    if (!json_is_object(object)) {
        rc = error_set(err, ERR_INVALID, "a record is not a JSON object: %s",
                       object == NULL ? parse.text : "another type");
        record_close(record, thing);
    } else {
        rc = record_load_json(record, thing, object, err);
    }
    json_decref(object);
    return rc;
}

/* Copying. */

static void list_copy(const struct record_field *field, void *to, const void *from)
{
    const char *items = *(const char *const *)at_const(from, field->offset);
    size_t count = count_of(field, from);
    size_t bytes = field->type == RECORD_TYPE_LIST ? field->of.record->bytes : sizeof(void *);
    char *copies;

    if (count == 0) {
        return;
    }
    copies = mem_calloc(count, bytes);
    for (size_t i = 0; i < count; i++) {
        if (field->type == RECORD_TYPE_LIST) {
            record_copy(field->of.record, copies + i * bytes, items + i * bytes);
        } else if (field->type == RECORD_TYPE_TEXTS) {
            ((char **)(void *)copies)[i] =
                mem_strdup(((const char *const *)(const void *)items)[i]);
        } else {
            memcpy(copies + i * bytes, items + i * bytes, bytes);
        }
    }
    *(void **)at(to, field->offset) = copies;
    *(size_t *)at(to, field->count_offset) = count;
}

static void custom_copy(const struct record_field *field, void *to, const void *from)
{
    json_t *json;

    if (field->of.codec->copy != NULL) {
        field->of.codec->copy(to, from);
        return;
    }
    json = field->of.codec->save(from);
    if (json != NULL) {
        ASSERT(field->of.codec->load(to, json, NULL) == 0);
        json_decref(json);
    }
}

static void member_copy(const struct record_field *field, void *to_thing, const void *from_thing)
{
    void *to = at(to_thing, field->offset);
    const void *from = at_const(from_thing, field->offset);

    switch (field->type) {
    case RECORD_TYPE_TEXT:
        *(char **)to = mem_strdup(*(const char *const *)from);
        break;
    case RECORD_TYPE_CHARS:
        memcpy(to, from, field->bytes);
        break;
    case RECORD_TYPE_I64:
        *(int64_t *)to = *(const int64_t *)from;
        break;
    case RECORD_TYPE_I32:
    case RECORD_TYPE_U32:
    case RECORD_TYPE_ENUM:
        memcpy(to, from, 4);
        break;
    case RECORD_TYPE_BOOL:
        *(bool *)to = *(const bool *)from;
        break;
    case RECORD_TYPE_DOUBLE:
        *(double *)to = *(const double *)from;
        break;
    case RECORD_TYPE_STRUCT:
        record_copy(field->of.record, to, from);
        break;
    case RECORD_TYPE_OPTIONAL:
        *(void **)to = NULL;
        if (*(const void *const *)from != NULL) {
            *(void **)to = mem_calloc(1, field->of.record->bytes);
            record_copy(field->of.record, *(void **)to, *(const void *const *)from);
        }
        break;
    case RECORD_TYPE_LIST:
    case RECORD_TYPE_TEXTS:
    case RECORD_TYPE_I64S:
        *(void **)to = NULL;
        *(size_t *)at(to_thing, field->count_offset) = 0;
        list_copy(field, to_thing, from_thing);
        break;
    case RECORD_TYPE_CUSTOM:
        custom_copy(field, to, from);
        break;
    }
}

void record_copy(const struct record *record, void *to, const void *from)
{
    for (size_t i = 0; i < record->fields_count; i++) {
        member_copy(&record->fields[i], to, from);
    }
}
