#include "wire/codec.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Decoding. */

static int decode(struct arena *arena, const struct model_shape *shape, json_t *json, int depth,
                  struct doc **doc, struct error *err);

static int unfit(struct error *err, const json_t *json, const char *wanted)
{
    static const char *const names[] = {"OBJECT",       "ARRAY",         "STRING_VALUE",
                                        "NUMBER_VALUE", "DECIMAL_VALUE", "TRUE_VALUE",
                                        "FALSE_VALUE",  "NULL"};

    if (json_is_object(json)) {
        return error_api(err, "SerializationException",
                         "Start of structure or map found where not expected.");
    }
    if (json_is_array(json)) {
        return error_api(err, "SerializationException", "Start of list found where not expected");
    }
    return error_api(err, "SerializationException", "%s cannot be converted to %s",
                     names[json_typeof(json)], wanted);
}

/* NULL: an unknown one, which AWS ignores. */
static const struct model_member *member_of(const struct model_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct model_member *member = &shape->members[i];

        if (member->location == LOCATION_BODY && strcmp(member->wire_in, name) == 0) {
            return member;
        }
    }
    return NULL;
}

static int decode_struct(struct arena *arena, const struct model_shape *shape, json_t *json,
                         int depth, struct doc **doc, struct error *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(json)) {
        return error_api(err, "SerializationException", "Unexpected field type");
    }
    *doc = doc_new(arena, DOC_STRUCT);
    json_object_foreach(json, name, value)
    {
        const struct model_member *member = member_of(shape, name);
        struct doc *child;
        int rc;

        if (member == NULL || json_is_null(value)) {
            continue;
        }
        rc = decode(arena, member->shape, value, depth + 1, &child, err);
        if (rc != 0) {
            return rc;
        }
        doc_set(*doc, member->id, child);
    }
    return 0;
}

static int decode_list(struct arena *arena, const struct model_shape *shape, json_t *json,
                       int depth, struct doc **doc, struct error *err)
{
    json_t *element;
    size_t index;

    if (!json_is_array(json)) {
        return error_api(err, "SerializationException", "Unexpected field type");
    }
    *doc = doc_new(arena, DOC_LIST);
    json_array_foreach(json, index, element)
    {
        struct doc *child;
        int rc;

        if (json_is_null(element)) {
            continue;
        }
        rc = decode(arena, shape->element, element, depth + 1, &child, err);
        if (rc != 0) {
            return rc;
        }
        doc_list_add(*doc, child);
    }
    return 0;
}

static int decode_map(struct arena *arena, const struct model_shape *shape, json_t *json, int depth,
                      struct doc **doc, struct error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json)) {
        return error_api(err, "SerializationException", "Unexpected field type");
    }
    *doc = doc_new(arena, DOC_MAP);
    json_object_foreach(json, key, value)
    {
        struct doc *child;
        int rc;

        if (json_is_null(value)) {
            continue;
        }
        rc = decode(arena, shape->element, value, depth + 1, &child, err);
        if (rc != 0) {
            return rc;
        }
        doc_map_put(*doc, slice_z(key), child);
    }
    return 0;
}

static int decode_number(struct arena *arena, const struct model_shape *shape, const json_t *json,
                         struct doc **doc, struct error *err)
{
    double number;

    if (shape->kind == DOC_DOUBLE) {
        if (json_is_string(json) &&
            text_to_double(slice_z(json_string_value(json)), &number, NULL) == 0 &&
            !isfinite(number)) {
            *doc = doc_new_double(arena, number); /* "NaN", "Infinity" */
            return 0;
        }
        if (!json_is_number(json)) {
            return unfit(err, json, "Double");
        }
        *doc = doc_new_double(arena, json_number_value(json));
        return 0;
    }
    if (shape->kind == DOC_TIME) {
        if (!json_is_number(json) || fabs(json_number_value(json)) > 1e12) {
            return unfit(err, json, "Date");
        }
        *doc = doc_new_time_ms(arena, (int64_t)llround(json_number_value(json) * 1000));
        return 0;
    }
    if (!json_is_integer(json) && !(json_is_real(json) && fabs(json_real_value(json)) < 9e15 &&
                                    json_real_value(json) == floor(json_real_value(json)))) {
        return unfit(err, json, shape->bits32 ? "Integer" : "Long");
    }
    *doc = doc_new_int(arena, json_is_integer(json) ? json_integer_value(json)
                                                    : (int64_t)json_real_value(json));
    if (shape->bits32 && ((*doc)->u.integer < INT32_MIN || (*doc)->u.integer > INT32_MAX)) {
        return unfit(err, json, "Integer");
    }
    return 0;
}

static int decode_text(struct arena *arena, const struct model_shape *shape, const json_t *json,
                       struct doc **doc, struct error *err)
{
    struct slice text = slice_of(json_string_value(json), json_string_length(json));
    struct buf bytes = {0};

    if (!json_is_string(json)) {
        return unfit(err, json, shape->kind == DOC_BLOB ? "Blob" : "String");
    }
    if (shape->kind == DOC_TEXT) {
        *doc = doc_new_text(arena, text);
        return 0;
    }
    if (text_base64_decode(&bytes, text, NULL) != 0) {
        buf_close(&bytes);
        return error_api(err, "SerializationException",
                         "STRING_VALUE cannot be converted to Blob: it is not base64");
    }
    *doc = doc_new_blob(arena, buf_slice(&bytes));
    buf_close(&bytes);
    return 0;
}

static int decode(struct arena *arena, const struct model_shape *shape, json_t *json, int depth,
                  struct doc **doc, struct error *err)
{
    if (depth > CODEC_DEPTH_MAX) {
        return error_api(err, "SerializationException", "nested too deeply");
    }
    switch (shape->kind) {
    case DOC_STRUCT:
        return decode_struct(arena, shape, json, depth, doc, err);
    case DOC_LIST:
        return decode_list(arena, shape, json, depth, doc, err);
    case DOC_MAP:
        return decode_map(arena, shape, json, depth, doc, err);
    case DOC_TEXT:
    case DOC_BLOB:
        return decode_text(arena, shape, json, doc, err);
    case DOC_INT:
    case DOC_DOUBLE:
    case DOC_TIME:
        return decode_number(arena, shape, json, doc, err);
    case DOC_BOOL:
        if (!json_is_boolean(json)) {
            return unfit(err, json, "Boolean");
        }
        *doc = doc_new_bool(arena, json_is_true(json));
        return 0;
    case DOC_JSON:
    case DOC_RAW_JSON:
        break;
    }
    *doc = doc_new_json(arena, json_incref(json));
    return 0;
}

/* A body of 16 MiB may have 8 million values, which would take gigabytes: count them before they
 * are made, by the commas and brackets outside of texts. */
static bool is_bounded(struct slice body)
{
    size_t values = 0;
    bool quoted = false;

    for (size_t i = 0; i < body.bytes; i++) {
        char c = body.data[i];

        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else {
            quoted = c == '"';
            values += c == ',' || c == '[' || c == '{';
        }
    }
    return values <= CODEC_VALUES_MAX;
}

int json_decode(struct arena *arena, const struct model_shape *shape, struct slice body,
                struct doc **doc, struct error *err)
{
    json_error_t problem;
    json_t *json;
    int rc;

    *doc = NULL;
    if (body.bytes == 0) {
        *doc = doc_new(arena, DOC_STRUCT);
        return 0;
    }
    if (!is_bounded(body)) {
        return error_api_status(err, 413, "SerializationException",
                                "The request has more than %d values", CODEC_VALUES_MAX);
    }
    json = json_loadb(body.data, body.bytes, JSON_REJECT_DUPLICATES, &problem);
    if (json == NULL) {
        return error_api(err, "SerializationException", "%s", "");
    }
    rc = decode(arena, shape, json, 0, doc, err);
    json_decref(json);
    return rc;
}

/* Encoding. */

void json_add_text(struct buf *text, struct slice value)
{
    text_json_encode(text, value);
}

static void encode(const struct model_shape *shape, const struct doc *doc, struct buf *text);

static void encode_struct(const struct model_shape *shape, const struct doc *doc, struct buf *text)
{
    bool first = true;

    buf_add_byte(text, '{');
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct doc *value = doc_get(doc, shape->members[i].id);

        if (value == NULL) {
            continue;
        }
        if (!first) {
            buf_add_byte(text, ',');
        }
        first = false;
        json_add_text(text, slice_z(shape->members[i].wire_out));
        buf_add_byte(text, ':');
        encode(shape->members[i].shape, value, text);
    }
    buf_add_byte(text, '}');
}

static void encode_double(double number, struct buf *text)
{
    if (isfinite(number)) {
        buf_add_double(text, number);
    } else {
        buf_add_z(text, isnan(number) ? "\"NaN\"" : number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    }
}

static void encode(const struct model_shape *shape, const struct doc *doc, struct buf *text)
{
    switch (doc->kind) {
    case DOC_STRUCT:
        encode_struct(shape, doc, text);
        break;
    case DOC_LIST:
        buf_add_byte(text, '[');
        for (size_t i = 0; i < doc_length(doc); i++) {
            if (i > 0) {
                buf_add_byte(text, ',');
            }
            encode(shape->element, doc_element(doc, i), text);
        }
        buf_add_byte(text, ']');
        break;
    case DOC_MAP:
        buf_add_byte(text, '{');
        for (size_t i = 0; i < doc_length(doc); i++) {
            if (i > 0) {
                buf_add_byte(text, ',');
            }
            json_add_text(text, doc_key(doc, i));
            buf_add_byte(text, ':');
            encode(shape->element, doc_element(doc, i), text);
        }
        buf_add_byte(text, '}');
        break;
    case DOC_TEXT:
        json_add_text(text, doc->u.text);
        break;
    case DOC_BLOB:
        buf_add_byte(text, '"');
        text_base64_encode(text, doc->u.text);
        buf_add_byte(text, '"');
        break;
    case DOC_INT:
        buf_add_i64(text, doc->u.integer);
        break;
    case DOC_DOUBLE:
        encode_double(doc->u.number, text);
        break;
    case DOC_BOOL:
        buf_add_z(text, doc->u.integer ? "true" : "false");
        break;
    case DOC_TIME: /* Epoch seconds with the milliseconds as a fraction. */
        buf_printf(text, "%s%lld.%03lld", doc->u.integer < 0 ? "-" : "",
                   llabs(doc->u.integer / 1000), llabs(doc->u.integer % 1000));
        break;
    case DOC_JSON:
        json_to_buf(doc->u.json, text);
        break;
    case DOC_RAW_JSON:
        buf_add(text, doc->u.text);
        break;
    }
}

void json_encode(const struct model_shape *shape, const struct doc *doc, struct buf *text)
{
    encode_struct(shape, doc, text);
}
