#include "services/dynamodb/value.h"

#include "base/buf.h"
#include "base/macros.h"
#include "base/map.h"
#include "base/text.h"
#include "services/dynamodb/number.h"

#include <string.h>

static const struct {
    struct slice name;
    const char *word;
    json_type json;
} types[VALUE_TYPES] = {
    [VALUE_S] = {SLICE_LIT("S"), "STRING", JSON_STRING},
    [VALUE_N] = {SLICE_LIT("N"), "NUMBER", JSON_STRING},
    [VALUE_B] = {SLICE_LIT("B"), "BINARY", JSON_STRING},
    [VALUE_BOOL] = {SLICE_LIT("BOOL"), "BOOLEAN", JSON_TRUE},
    [VALUE_NULL] = {SLICE_LIT("NULL"), "NULL", JSON_TRUE},
    [VALUE_M] = {SLICE_LIT("M"), "MAP", JSON_OBJECT},
    [VALUE_L] = {SLICE_LIT("L"), "LIST", JSON_ARRAY},
    [VALUE_SS] = {SLICE_LIT("SS"), "STRING_SET", JSON_ARRAY},
    [VALUE_NS] = {SLICE_LIT("NS"), "NUMBER_SET", JSON_ARRAY},
    [VALUE_BS] = {SLICE_LIT("BS"), "BINARY_SET", JSON_ARRAY},
};

const char *value_type_name(enum value_type type)
{
    return types[type].name.data;
}

const char *value_type_word(enum value_type type)
{
    return types[type].word;
}

bool value_type_parse(struct slice name, enum value_type *type)
{
    for (int i = 0; i < VALUE_TYPES; i++) {
        if (slice_equal(name, types[i].name)) {
            *type = (enum value_type)i;
            return true;
        }
    }
    return false;
}

static struct slice json_slice(const json_t *string)
{
    return slice_of(json_string_value(string), json_string_length(string));
}

json_t *value_new(enum value_type type, json_t *content)
{
    json_t *value = json_object();

    json_object_set_new_nocheck(value, types[type].name.data, content);
    return value;
}

json_t *value_new_number(int64_t number)
{
    struct buf text = {0};
    json_t *content;

    buf_add_i64(&text, number);
    content = json_stringn_nocheck(text.data, text.bytes);
    buf_close(&text);
    return value_new(VALUE_N, content);
}

/* Normalising. */

static const char *token_of(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_TRUE:
        return "TRUE_VALUE";
    case JSON_FALSE:
        return "FALSE_VALUE";
    case JSON_STRING:
        return "STRING_VALUE";
    case JSON_REAL:
        return "DECIMAL_VALUE";
    case JSON_INTEGER:
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_NULL:
        break;
    }
    return "NUMBER_VALUE";
}

static int wrong_json(const json_t *json, const char *target, struct error *err)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return error_api(err, "SerializationException",
                         "Start of structure or map found where not expected.");
    case JSON_ARRAY:
        return error_api(err, "SerializationException",
                         "Unrecognized collection type class java.lang.String");
    case JSON_STRING:
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return error_api(err, "SerializationException", "%s cannot be converted to %s", token_of(json),
                     target);
}

/* A new canonical string: for S, SS as it is, for numbers and binary rewritten. */
static int normalise_text(enum value_type kind, const json_t *in, json_t **out, struct error *err)
{
    struct buf text = {0}, bytes = {0};
    struct number number;
    int rc = 0;

    if (!json_is_string(in)) {
        return wrong_json(in, kind == VALUE_B ? "Blob" : "String", err);
    }
    if (kind == VALUE_S) {
        *out = json_stringn_nocheck(json_string_value(in), json_string_length(in));
        return 0;
    }
    if (kind == VALUE_N) {
        rc = number_parse(json_slice(in), &number, err);
        if (rc == 0) {
            number_format(&number, &text);
        }
    } else if (text_base64_decode(&bytes, json_slice(in), NULL) != 0) {
        rc =
            error_api(err, "SerializationException", "Invalid Base64: the value cannot be decoded");
    } else {
        text_base64_encode(&text, buf_slice(&bytes));
    }
    if (rc == 0) {
        *out = json_stringn_nocheck(buf_z(&text), text.bytes);
    }
    buf_close(&text);
    buf_close(&bytes);
    return rc;
}

static int set_twins(enum value_type type, const json_t *set, struct error *err)
{
    struct buf all = {0};

    if (type == VALUE_NS) {
        return error_api(err, "ValidationException", "Input collection contains duplicates");
    }
    for (size_t i = 0; i < json_array_size(set); i++) {
        buf_add_z(&all, i == 0 ? "" : ", ");
        buf_add(&all, json_slice(json_array_get(set, i)));
    }
    error_api(err, "ValidationException", PARAMETER_INVALID "Input collection [%s]%s", buf_z(&all),
              type == VALUE_SS ? " contains duplicates." : "of type BS contains duplicates.");
    buf_close(&all);
    return ERR_API;
}

static int set_empty(enum value_type type, struct error *err)
{
    return error_api(err, "ValidationException", PARAMETER_INVALID "%s",
                     type == VALUE_SS   ? "An string set  may not be empty"
                     : type == VALUE_NS ? "An number set  may not be empty"
                                        : "Binary sets should not be empty");
}

static enum value_type set_element(enum value_type type)
{
    return type == VALUE_SS ? VALUE_S : type == VALUE_NS ? VALUE_N : VALUE_B;
}

static int normalise_set(enum value_type type, const json_t *in, json_t **out, struct error *err)
{
    json_t *set = json_array();
    struct map seen = {0};
    bool twins = false;
    int rc = json_array_size(in) == 0 ? set_empty(type, err) : 0;

    for (size_t i = 0; i < json_array_size(in) && rc == 0; i++) {
        json_t *element = NULL;

        rc = normalise_text(set_element(type), json_array_get(in, i), &element, err);
        if (rc == 0) {
            twins = map_put(&seen, json_slice(element), set) != NULL || twins;
            json_array_append_new(set, element);
        }
    }
    if (rc == 0 && twins) {
        rc = set_twins(type, set, err);
    }
    map_close(&seen);
    if (rc != 0) {
        json_decref(set);
        return rc;
    }
    *out = set;
    return 0;
}

static int normalise(const json_t *in, int level, json_t **out, struct error *err);

static int normalise_list(const json_t *in, int level, json_t **out, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(in); i++) {
        json_t *element = NULL;
        int rc = normalise(json_array_get(in, i), level + 1, &element, err);

        if (rc != 0) {
            json_decref(list);
            return rc;
        }
        json_array_append_new(list, element);
    }
    *out = list;
    return 0;
}

static int normalise_map(const json_t *in, int level, json_t **out, struct error *err)
{
    json_t *map = json_object();
    const char *name;
    json_t *element;

    /* jansson's macro casts the const away; the walk changes nothing. */
    json_object_foreach((json_t *)(uintptr_t)in, name, element)
    {
        json_t *copy = NULL;
        int rc = name[0] == '\0' ? error_api(err, "ValidationException",
                                             PARAMETER_INVALID "Empty attribute name")
                                 : normalise(element, level + 1, &copy, err);

        if (rc != 0) {
            json_decref(map);
            return rc;
        }
        json_object_set_new_nocheck(map, name, copy);
    }
    *out = map;
    return 0;
}

static int normalise_content(enum value_type type, const json_t *in, int level, json_t **out,
                             struct error *err)
{
    switch (type) {
    case VALUE_S:
    case VALUE_N:
    case VALUE_B:
        return normalise_text(type, in, out, err);
    case VALUE_BOOL:
    case VALUE_NULL:
        if (!json_is_boolean(in)) {
            return wrong_json(in, "Boolean", err);
        }
        if (type == VALUE_NULL && !json_is_true(in)) {
            return error_api(err, "ValidationException",
                             PARAMETER_INVALID
                             "Null attribute value types must have the value of true");
        }
        *out = json_boolean(json_is_true(in));
        return 0;
    case VALUE_M:
    case VALUE_L:
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
        break;
    case VALUE_TYPES:
        return ERR_INTERNAL;
    }
    if (json_typeof(in) != types[type].json) {
        return json_is_object(in) || json_is_array(in)
                   ? wrong_json(in, "", err)
                   : error_api(err, "SerializationException", "Unexpected field type");
    }
    if (type == VALUE_M) {
        return normalise_map(in, level, out, err);
    }
    return type == VALUE_L ? normalise_list(in, level, out, err)
                           : normalise_set(type, in, out, err);
}

/* Most values are a text alone, which is canonical: shared, not copied. NULL for any other. */
static json_t *plain_text(const json_t *in)
{
    bool plain = json_object_size(in) == 1 && json_is_string(json_object_get(in, "S"));

    return plain ? json_incref((json_t *)(uintptr_t)in) : NULL;
}

static int normalise(const json_t *in, int level, json_t **out, struct error *err)
{
    enum value_type type = VALUE_TYPES;
    json_t *content = NULL, *found;
    const char *name;
    size_t count = 0;

    if (!json_is_object(in)) {
        return error_api(err, "SerializationException", "Unexpected value type in payload");
    }
    if (level > VALUE_LEVELS_MAX) {
        return error_api(err, "ValidationException",
                         "Nesting Levels have exceeded supported limits");
    }
    *out = plain_text(in);
    if (*out != NULL) {
        return 0;
    }
    json_object_foreach((json_t *)(uintptr_t)in, name, found)
    {
        int rc;

        if (json_is_null(found) || !value_type_parse(slice_z(name), &type)) {
            continue;
        }
        json_decref(content);
        content = NULL;
        count++;
        rc = normalise_content(type, found, level, &content, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (count != 1) {
        json_decref(content);
        return error_api(err, "ValidationException",
                         "Supplied AttributeValue %s, must contain exactly one of the supported"
                         " datatypes",
                         count == 0 ? "is empty" : "has more than one datatypes set");
    }
    *out = value_new(type, content);
    return 0;
}

int value_normalise(const json_t *in, json_t **out, struct error *err)
{
    *out = NULL;
    return normalise(in, 1, out, err);
}

/* Reading. */

static void *first(const json_t *value)
{
    void *at = json_object_iter((json_t *)(uintptr_t)value);

    ASSERT(at != NULL);
    return at;
}

enum value_type value_type_of(const json_t *value)
{
    enum value_type type = VALUE_TYPES;

    ASSERT(value_type_parse(slice_z(json_object_iter_key(first(value))), &type));
    return type;
}

json_t *value_content(const json_t *value)
{
    return json_object_iter_value(first(value));
}

static void number_of(const json_t *text, struct number *number)
{
    ASSERT(number_parse(json_slice(text), number, NULL) == 0);
}

static void decode(const json_t *content, struct buf *bytes)
{
    ASSERT(text_base64_decode(bytes, json_slice(content), NULL) == 0);
}

static bool set_has(const json_t *set, const json_t *element)
{
    for (size_t i = 0; i < json_array_size(set); i++) {
        if (slice_equal(json_slice(json_array_get(set, i)), json_slice(element))) {
            return true;
        }
    }
    return false;
}

static bool sets_equal(const json_t *a, const json_t *b)
{
    struct map seen = {0};
    bool equal = json_array_size(a) == json_array_size(b);

    for (size_t i = 0; i < json_array_size(a) && equal; i++) {
        map_put(&seen, json_slice(json_array_get(a, i)), &seen);
    }
    for (size_t i = 0; i < json_array_size(b) && equal; i++) {
        equal = map_get(&seen, json_slice(json_array_get(b, i))) != NULL;
    }
    map_close(&seen);
    return equal;
}

static bool lists_equal(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!value_equal(json_array_get(a, i), json_array_get(b, i))) {
            return false;
        }
    }
    return true;
}

static bool maps_equal(const json_t *a, const json_t *b)
{
    const char *name;
    json_t *element;

    if (json_object_size(a) != json_object_size(b)) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)a, name, element)
    {
        const json_t *other = json_object_get(b, name);

        if (other == NULL || !value_equal(element, other)) {
            return false;
        }
    }
    return true;
}

bool value_equal(const json_t *a, const json_t *b)
{
    enum value_type type = value_type_of(a);
    const json_t *left = value_content(a), *right = value_content(b);

    if (type != value_type_of(b)) {
        return false;
    }
    switch (type) {
    case VALUE_S:
    case VALUE_N: /* Canonical. */
    case VALUE_B:
        return slice_equal(json_slice(left), json_slice(right));
    case VALUE_BOOL:
    case VALUE_NULL:
        return json_is_true(left) == json_is_true(right);
    case VALUE_M:
        return maps_equal(left, right);
    case VALUE_L:
        return lists_equal(left, right);
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
        return sets_equal(left, right);
    case VALUE_TYPES:
        break;
    }
    return false;
}

bool value_compare(const json_t *a, const json_t *b, int *order)
{
    enum value_type type = value_type_of(a);
    const json_t *left = value_content(a), *right = value_content(b);
    struct number x, y;
    struct buf p = {0}, q = {0};

    if (type != value_type_of(b)) {
        return false;
    }
    if (type == VALUE_S) {
        *order = slice_compare(json_slice(left), json_slice(right));
    } else if (type == VALUE_N) {
        number_of(left, &x);
        number_of(right, &y);
        *order = number_compare(&x, &y);
    } else if (type == VALUE_B) {
        decode(left, &p);
        decode(right, &q);
        *order = slice_compare(buf_slice(&p), buf_slice(&q));
        buf_close(&p);
        buf_close(&q);
    } else {
        return false;
    }
    return true;
}

bool value_begins_with(const json_t *value, const json_t *prefix)
{
    enum value_type type = value_type_of(value);
    struct buf whole = {0}, start = {0};
    bool starts;

    if (type != value_type_of(prefix) || (type != VALUE_S && type != VALUE_B)) {
        return false;
    }
    value_key(value, &whole);
    value_key(prefix, &start);
    starts = slice_starts(buf_slice(&whole), buf_slice(&start));
    buf_close(&whole);
    buf_close(&start);
    return starts;
}

static bool bytes_contain(const json_t *value, const json_t *part)
{
    struct buf whole = {0}, piece = {0};
    bool found;

    value_key(value, &whole);
    value_key(part, &piece);
    found = piece.bytes == 0 || (whole.bytes >= piece.bytes &&
                                 memmem(whole.data, whole.bytes, piece.data, piece.bytes) != NULL);
    buf_close(&whole);
    buf_close(&piece);
    return found;
}

bool value_contains(const json_t *value, const json_t *part)
{
    enum value_type type = value_type_of(value);
    const json_t *content = value_content(value);

    switch (type) {
    case VALUE_S:
    case VALUE_B:
        return value_type_of(part) == type && bytes_contain(value, part);
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
        return value_type_of(part) == set_element(type) && set_has(content, value_content(part));
    case VALUE_L:
        for (size_t i = 0; i < json_array_size(content); i++) {
            if (value_equal(json_array_get(content, i), part)) {
                return true;
            }
        }
        return false;
    case VALUE_N:
    case VALUE_BOOL:
    case VALUE_NULL:
    case VALUE_M:
    case VALUE_TYPES:
        break;
    }
    return false;
}

static int64_t utf8_characters(struct slice text)
{
    int64_t count = 0;

    for (size_t i = 0; i < text.bytes; i++) {
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

static int64_t base64_bytes(const json_t *content)
{
    struct slice text = json_slice(content);
    int64_t padding = 0;

    for (size_t i = text.bytes; i > 0 && text.data[i - 1] == '='; i--) {
        padding++;
    }
    return (int64_t)(text.bytes / 4 * 3) - padding;
}

bool value_size(const json_t *value, int64_t *size)
{
    const json_t *content = value_content(value);

    switch (value_type_of(value)) {
    case VALUE_S:
        *size = utf8_characters(json_slice(content));
        return true;
    case VALUE_B:
        *size = base64_bytes(content);
        return true;
    case VALUE_M:
        *size = (int64_t)json_object_size(content);
        return true;
    case VALUE_L:
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
        *size = (int64_t)json_array_size(content);
        return true;
    case VALUE_N:
    case VALUE_BOOL:
    case VALUE_NULL:
    case VALUE_TYPES:
        break;
    }
    return false;
}

void value_key(const json_t *value, struct buf *key)
{
    const json_t *content = value_content(value);
    enum value_type type = value_type_of(value);
    struct number number;

    ASSERT(type == VALUE_S || type == VALUE_N || type == VALUE_B);
    if (type == VALUE_S) {
        buf_add(key, json_slice(content));
    } else if (type == VALUE_B) {
        decode(content, key);
    } else {
        number_of(content, &number);
        number_key(&number, key);
    }
}

static int64_t content_bytes(enum value_type type, const json_t *content)
{
    struct number number;
    int64_t sum = 0;

    switch (type) {
    case VALUE_S:
        return (int64_t)json_string_length(content);
    case VALUE_N:
        number_of(content, &number);
        return number_bytes(&number);
    case VALUE_B:
        return base64_bytes(content);
    case VALUE_BOOL:
    case VALUE_NULL:
        return 1;
    case VALUE_M:
        return 3 + (int64_t)json_object_size(content) + item_bytes(content);
    case VALUE_L:
        for (size_t i = 0; i < json_array_size(content); i++) {
            sum += 1 + value_bytes(json_array_get(content, i));
        }
        return 3 + sum;
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
        for (size_t i = 0; i < json_array_size(content); i++) {
            sum += content_bytes(set_element(type), json_array_get(content, i));
        }
        return sum;
    case VALUE_TYPES:
        break;
    }
    return 0;
}

int64_t value_bytes(const json_t *value)
{
    return content_bytes(value_type_of(value), value_content(value));
}

int64_t item_bytes(const json_t *item)
{
    const char *name;
    json_t *value;
    int64_t sum = 0;

    json_object_foreach((json_t *)(uintptr_t)item, name, value)
    {
        sum += (int64_t)strlen(name) + value_bytes(value);
    }
    return sum;
}
