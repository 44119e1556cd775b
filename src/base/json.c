#include "base/json.h"

#include "base/buf.h"
#include "base/macros.h"
#include "base/text.h"

static int append(const char *text, size_t bytes, void *data)
{
    buf_add(data, slice_of(text, bytes));
    return 0;
}

static void object_to_buf(json_t *object, struct buf *text)
{
    const char *key;
    json_t *value;
    char before = '{';

    json_object_foreach(object, key, value)
    {
        buf_add_byte(text, before);
        text_json_encode(text, slice_z(key));
        buf_add_byte(text, ':');
        json_to_buf(value, text);
        before = ',';
    }
    buf_add_z(text, before == '{' ? "{}" : "}");
}

static void array_to_buf(const json_t *array, struct buf *text)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        buf_add_byte(text, i == 0 ? '[' : ',');
        json_to_buf(json_array_get(array, i), text);
    }
    buf_add_z(text, json_array_size(array) == 0 ? "[]" : "]");
}

void json_to_buf(const json_t *json, struct buf *text)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        object_to_buf((json_t *)(uintptr_t)json, text); /* jansson's walk takes no const. */
        break;
    case JSON_ARRAY:
        array_to_buf(json, text);
        break;
    case JSON_STRING:
        text_json_encode(text, slice_of(json_string_value(json), json_string_length(json)));
        break;
    case JSON_TRUE:
        buf_add_z(text, "true");
        break;
    case JSON_FALSE:
        buf_add_z(text, "false");
        break;
    case JSON_NULL:
        buf_add_z(text, "null");
        break;
    case JSON_INTEGER:
        buf_add_i64(text, json_integer_value(json));
        break;
    case JSON_REAL:
        ASSERT(json_dump_callback(json, append, text, JSON_ENCODE_ANY) == 0);
        break;
    }
}
