#include "wire/codec.h"

#include "base/text.h"

#include <cbor.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Decoding. */

static int decode(struct arena *arena, const struct model_shape *shape, const cbor_item_t *item,
                  int depth, struct doc **doc, struct error *err);

static int unfit(struct error *err, const char *wanted)
{
    return error_api(err, "SerializationException", "The value cannot be converted to %s", wanted);
}

static bool is_nothing(const cbor_item_t *item)
{
    return cbor_isa_float_ctrl(item) && cbor_float_ctrl_is_ctrl(item) &&
           (cbor_ctrl_value(item) == CBOR_CTRL_NULL || cbor_ctrl_value(item) == CBOR_CTRL_UNDEF);
}

/* A string's bytes, copied when it came in chunks. */
static struct slice string_of(struct arena *arena, const cbor_item_t *item)
{
    struct buf whole = {0};
    struct slice copy;

    if (cbor_isa_string(item) && cbor_string_is_definite(item)) {
        return slice_of((const char *)cbor_string_handle(item), cbor_string_length(item));
    }
    if (cbor_isa_bytestring(item) && cbor_bytestring_is_definite(item)) {
        return slice_of((const char *)cbor_bytestring_handle(item), cbor_bytestring_length(item));
    }
    if (cbor_isa_string(item)) {
        for (size_t i = 0; i < cbor_string_chunk_count(item); i++) {
            buf_add(&whole, string_of(arena, cbor_string_chunks_handle(item)[i]));
        }
    } else {
        for (size_t i = 0; i < cbor_bytestring_chunk_count(item); i++) {
            buf_add(&whole, string_of(arena, cbor_bytestring_chunks_handle(item)[i]));
        }
    }
    copy = arena_copy(arena, buf_slice(&whole));
    buf_close(&whole);
    return copy;
}

static bool is_text(struct slice bytes)
{
    return text_is_utf8(bytes) && slice_find(bytes, '\0') == bytes.bytes;
}

/* Any number as a double; false when it is none. */
static bool number_of(const cbor_item_t *item, double *number)
{
    if (cbor_isa_uint(item)) {
        *number = (double)cbor_get_int(item);
    } else if (cbor_isa_negint(item)) {
        *number = -1.0 - (double)cbor_get_int(item);
    } else if (cbor_isa_float_ctrl(item) && !cbor_float_ctrl_is_ctrl(item)) {
        *number = cbor_float_get_float(item);
    } else {
        return false;
    }
    return true;
}

static int decode_int(struct arena *arena, const struct model_shape *shape, const cbor_item_t *item,
                      struct doc **doc, struct error *err)
{
    int64_t integer;
    double number;

    if (cbor_isa_uint(item) && cbor_get_int(item) <= INT64_MAX) {
        integer = (int64_t)cbor_get_int(item);
    } else if (cbor_isa_negint(item) && cbor_get_int(item) <= INT64_MAX) {
        integer = -1 - (int64_t)cbor_get_int(item);
    } else if (number_of(item, &number) && fabs(number) < 9e15 && number == floor(number)) {
        integer = (int64_t)number;
    } else {
        return unfit(err, shape->bits32 ? "Integer" : "Long");
    }
    if (shape->bits32 && (integer < INT32_MIN || integer > INT32_MAX)) {
        return unfit(err, "Integer");
    }
    *doc = doc_new_int(arena, integer);
    return 0;
}

static int decode_time(struct arena *arena, const cbor_item_t *item, struct doc **doc,
                       struct error *err)
{
    const cbor_item_t *inner = item;
    cbor_item_t *tagged = NULL;
    double seconds;
    bool fits;

    if (cbor_isa_tag(item)) {
        tagged = cbor_tag_item(item); /* A reference of ours. */
        inner = tagged;
    }
    fits = number_of(inner, &seconds) && fabs(seconds) < 1e12;
    if (tagged != NULL) {
        cbor_decref(&tagged);
    }
    if (!fits) {
        return unfit(err, "Date");
    }
    *doc = doc_new_time_ms(arena, (int64_t)llround(seconds * 1000));
    return 0;
}

static int decode_map(struct arena *arena, const struct model_shape *shape, const cbor_item_t *item,
                      int depth, struct doc **doc, struct error *err)
{
    const struct cbor_pair *pairs;

    if (!cbor_isa_map(item)) {
        return unfit(err, "a structure");
    }
    pairs = cbor_map_handle(item);
    *doc = doc_new(arena, shape->kind);
    for (size_t i = 0; i < cbor_map_size(item); i++) {
        const struct model_member *member = NULL;
        struct slice key;
        struct doc *child;
        int rc;

        if (!cbor_isa_string(pairs[i].key)) {
            return unfit(err, "String");
        }
        key = string_of(arena, pairs[i].key);
        if (!is_text(key)) {
            return unfit(err, "String");
        }
        if (shape->kind == DOC_STRUCT) {
            member = model_member_named(shape, key);
        }
        if ((shape->kind == DOC_STRUCT && member == NULL) || is_nothing(pairs[i].value)) {
            continue;
        }
        rc = decode(arena, member != NULL ? member->shape : shape->element, pairs[i].value,
                    depth + 1, &child, err);
        if (rc != 0) {
            return rc;
        }
        if (member != NULL) {
            doc_set(*doc, member->id, child);
        } else {
            doc_map_put(*doc, key, child);
        }
    }
    return 0;
}

static int decode_list(struct arena *arena, const struct model_shape *shape,
                       const cbor_item_t *item, int depth, struct doc **doc, struct error *err)
{
    if (!cbor_isa_array(item)) {
        return unfit(err, "a list");
    }
    *doc = doc_new(arena, DOC_LIST);
    for (size_t i = 0; i < cbor_array_size(item); i++) {
        struct doc *child;
        int rc;

        if (is_nothing(cbor_array_handle(item)[i])) {
            continue;
        }
        rc = decode(arena, shape->element, cbor_array_handle(item)[i], depth + 1, &child, err);
        if (rc != 0) {
            return rc;
        }
        doc_list_add(*doc, child);
    }
    return 0;
}

static int decode(struct arena *arena, const struct model_shape *shape, const cbor_item_t *item,
                  int depth, struct doc **doc, struct error *err)
{
    double number;

    if (depth > CODEC_DEPTH_MAX) {
        return error_api(err, "SerializationException", "nested too deeply");
    }
    switch (shape->kind) {
    case DOC_STRUCT:
    case DOC_MAP:
        return decode_map(arena, shape, item, depth, doc, err);
    case DOC_LIST:
        return decode_list(arena, shape, item, depth, doc, err);
    case DOC_TEXT:
        if (!cbor_isa_string(item)) {
            return unfit(err, "String");
        }
        *doc = doc_new_text(arena, string_of(arena, item));
        return is_text((*doc)->u.text) ? 0 : unfit(err, "String");
    case DOC_BLOB:
        if (!cbor_isa_bytestring(item)) {
            return unfit(err, "Blob");
        }
        *doc = doc_new_blob(arena, string_of(arena, item));
        return 0;
    case DOC_INT:
        return decode_int(arena, shape, item, doc, err);
    case DOC_DOUBLE:
        if (!number_of(item, &number)) {
            return unfit(err, "Double");
        }
        *doc = doc_new_double(arena, number);
        return 0;
    case DOC_BOOL:
        if (!cbor_isa_float_ctrl(item) || !cbor_float_ctrl_is_ctrl(item) || !cbor_is_bool(item)) {
            return unfit(err, "Boolean");
        }
        *doc = doc_new_bool(arena, cbor_get_bool(item));
        return 0;
    case DOC_TIME:
        return decode_time(arena, item, doc, err);
    case DOC_JSON:
    case DOC_RAW_JSON:
        break;
    }
    return unfit(err, "a value of this protocol");
}

/* libcbor allocates as many elements as an array says that it has, before there is one of them. So
 * walk the bytes first: each element takes a byte at least, and all of them together have a bound.
 */
struct survey {
    size_t promised, bytes;
};

static void promise(struct survey *survey, size_t count)
{
    survey->promised += count > survey->bytes ? survey->bytes + 1 : count; /* Cannot wrap. */
}

static void promise_array(void *data, size_t count)
{
    promise(data, count);
}

static void promise_map(void *data, size_t pairs)
{
    promise(data, pairs);
    promise(data, pairs);
}

static bool is_bounded(struct slice body)
{
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    struct survey survey = {0, body.bytes};
    size_t at = 0, items = 0;

    callbacks.array_start = promise_array;
    callbacks.map_start = promise_map;
    while (at < body.bytes) {
        struct cbor_decoder_result result = cbor_stream_decode(
            (const unsigned char *)body.data + at, body.bytes - at, &callbacks, &survey);

        if (result.status != CBOR_DECODER_FINISHED || survey.promised > body.bytes ||
            ++items > CODEC_VALUES_MAX) {
            return false;
        }
        at += result.read;
    }
    return true;
}

int cbor_decode(struct arena *arena, const struct model_shape *shape, struct slice body,
                struct doc **doc, struct error *err)
{
    struct cbor_load_result result;
    cbor_item_t *item;
    int rc;

    if (body.bytes == 0) {
        *doc = doc_new(arena, DOC_STRUCT);
        return 0;
    }
    if (!is_bounded(body)) {
        return error_api(err, "SerializationException", "The request body is not CBOR");
    }
    item = cbor_load((const unsigned char *)body.data, body.bytes, &result);
    if (item == NULL || result.error.code != CBOR_ERR_NONE) {
        return error_api(err, "SerializationException", "The request body is not CBOR");
    }
    rc = decode(arena, shape, item, 0, doc, err);
    cbor_decref(&item);
    return rc;
}

/* Encoding: definite lengths, so that it is a walk without a tree of libcbor's. */

#define HEAD_BYTES_MAX 9

static void add_head(struct buf *bytes, size_t (*encode)(size_t, unsigned char *, size_t),
                     size_t count)
{
    unsigned char head[HEAD_BYTES_MAX];

    buf_add(bytes, slice_of((const char *)head, encode(count, head, sizeof(head))));
}

static void add_text(struct buf *bytes, struct slice text)
{
    add_head(bytes, cbor_encode_string_start, text.bytes);
    buf_add(bytes, text);
}

static void add_double(struct buf *bytes, double number)
{
    unsigned char head[HEAD_BYTES_MAX];

    buf_add(bytes, slice_of((const char *)head, cbor_encode_double(number, head, sizeof(head))));
}

static void add_int(struct buf *bytes, int64_t integer)
{
    unsigned char head[HEAD_BYTES_MAX];
    size_t count = integer >= 0 ? cbor_encode_uint((uint64_t)integer, head, sizeof(head))
                                : cbor_encode_negint((uint64_t)(-1 - integer), head, sizeof(head));

    buf_add(bytes, slice_of((const char *)head, count));
}

static void encode(const struct model_shape *shape, const struct doc *doc, struct buf *bytes);

static void encode_struct(const struct model_shape *shape, const struct doc *doc, struct buf *bytes)
{
    size_t count = 0;

    for (size_t i = 0; i < shape->member_count; i++) {
        count += doc_has(doc, shape->members[i].id);
    }
    add_head(bytes, cbor_encode_map_start, count);
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct doc *value = doc_get(doc, shape->members[i].id);

        if (value != NULL) {
            add_text(bytes, slice_z(shape->members[i].name));
            encode(shape->members[i].shape, value, bytes);
        }
    }
}

static void encode(const struct model_shape *shape, const struct doc *doc, struct buf *bytes)
{
    unsigned char head[HEAD_BYTES_MAX];

    switch (doc->kind) {
    case DOC_STRUCT:
        encode_struct(shape, doc, bytes);
        break;
    case DOC_LIST:
        add_head(bytes, cbor_encode_array_start, doc_length(doc));
        for (size_t i = 0; i < doc_length(doc); i++) {
            encode(shape->element, doc_element(doc, i), bytes);
        }
        break;
    case DOC_MAP:
        add_head(bytes, cbor_encode_map_start, doc_length(doc));
        for (size_t i = 0; i < doc_length(doc); i++) {
            add_text(bytes, doc_key(doc, i));
            encode(shape->element, doc_element(doc, i), bytes);
        }
        break;
    case DOC_TEXT:
        add_text(bytes, doc->u.text);
        break;
    case DOC_BLOB:
        add_head(bytes, cbor_encode_bytestring_start, doc->u.text.bytes);
        buf_add(bytes, doc->u.text);
        break;
    case DOC_INT:
        add_int(bytes, doc->u.integer);
        break;
    case DOC_DOUBLE:
        add_double(bytes, doc->u.number);
        break;
    case DOC_BOOL:
        buf_add(bytes, slice_of((const char *)head,
                                cbor_encode_bool(doc->u.integer != 0, head, sizeof(head))));
        break;
    case DOC_TIME:
        buf_add(bytes, slice_of((const char *)head, cbor_encode_tag(1, head, sizeof(head))));
        add_double(bytes, (double)doc->u.integer / 1000);
        break;
    case DOC_JSON:
    case DOC_RAW_JSON:
        UNREACHABLE("no CBOR service has free-form JSON");
        break;
    }
}

void cbor_encode(const struct model_shape *shape, const struct doc *doc, struct buf *bytes)
{
    encode_struct(shape, doc, bytes);
}

void cbor_encode_error(const char *type, const char *message, struct buf *bytes)
{
    bool worded = message[0] != '\0';

    add_head(bytes, cbor_encode_map_start, worded ? 2 : 1);
    add_text(bytes, SLICE_LIT("__type"));
    add_text(bytes, slice_z(type));
    if (worded) {
        add_text(bytes, SLICE_LIT("message"));
        add_text(bytes, slice_z(message));
    }
}
