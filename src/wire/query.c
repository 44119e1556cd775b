#include "wire/codec.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* Decoding. */

struct decoding {
    struct arena *arena;
    bool ec2;
    struct error *err;
};

static int decode(struct decoding *d, const struct model_shape *shape, const struct form *form,
                  const char *name, struct doc **doc);

static int bad_value(struct decoding *d, const char *name, struct slice value, const char *wanted)
{
    if (d->ec2) {
        return error_api(d->err, "InvalidParameterValue",
                         "Value (%.*s) for parameter %s is invalid. It must be %s.",
                         SLICE_ARG(value), name, wanted);
    }
    return error_api(d->err, "MalformedInput", "Value '%.*s' at '%s' must be %s", SLICE_ARG(value),
                     name, wanted);
}

static int decode_scalar(struct decoding *d, const struct model_shape *shape,
                         const struct form *form, const char *name, struct doc **doc)
{
    struct buf bytes = {0};
    int64_t integer;
    double number;

    switch (shape->kind) {
    case DOC_TEXT:
        *doc = doc_new_text(d->arena, form->value);
        return 0;
    case DOC_INT:
        if (text_to_i64(form->value, shape->bits32 ? INT32_MIN : INT64_MIN,
                        shape->bits32 ? INT32_MAX : INT64_MAX, &integer, NULL) != 0) {
            return bad_value(d, name, form->value, "an integer");
        }
        *doc = doc_new_int(d->arena, integer);
        return 0;
    case DOC_DOUBLE:
        if (text_to_double(form->value, &number, NULL) != 0) {
            return bad_value(d, name, form->value, "a number");
        }
        *doc = doc_new_double(d->arena, number);
        return 0;
    case DOC_BOOL:
        if (!slice_equal_case(form->value, SLICE_LIT("true")) &&
            !slice_equal_case(form->value, SLICE_LIT("false"))) {
            return bad_value(d, name, form->value, "true or false");
        }
        *doc = doc_new_bool(d->arena, slice_equal_case(form->value, SLICE_LIT("true")));
        return 0;
    case DOC_TIME:
        if (time_parse(form->value, &integer, NULL) != 0) {
            return bad_value(d, name, form->value, "a time in ISO 8601");
        }
        *doc = doc_new_time_ms(d->arena, integer);
        return 0;
    case DOC_BLOB:
        if (text_base64_decode(&bytes, form->value, NULL) != 0) {
            buf_close(&bytes);
            return bad_value(d, name, form->value, "base64");
        }
        *doc = doc_new_blob(d->arena, buf_slice(&bytes));
        buf_close(&bytes);
        return 0;
    case DOC_STRUCT:
    case DOC_LIST:
    case DOC_MAP:
    case DOC_JSON:
    case DOC_RAW_JSON:
        break;
    }
    return error_set(d->err, ERR_INTERNAL, "%s cannot be sent in a form", name);
}

static int decode_struct(struct decoding *d, const struct model_shape *shape,
                         const struct form *form, struct doc **doc)
{
    *doc = doc_new(d->arena, DOC_STRUCT);
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct model_member *member = &shape->members[i];
        const struct form *child = form_find(form, slice_z(member->wire_in));
        struct doc *value = NULL;
        int rc;

        if (child == NULL) {
            continue;
        }
        rc = decode(d, member->shape, child, member->name, &value);
        if (rc != 0) {
            return rc;
        }
        if (value != NULL) {
            doc_set(*doc, member->id, value);
        }
    }
    return 0;
}

struct numbered {
    int64_t number;
    const struct form *form;
};

static int compare_numbers(const void *a, const void *b)
{
    int64_t left = ((const struct numbered *)a)->number;
    int64_t right = ((const struct numbered *)b)->number;

    return (left > right) - (left < right);
}

/* The children called 1, 2, 3 in that order, whatever the order and gaps they came with. */
static size_t numbered_children(struct arena *arena, const struct form *form,
                                struct numbered **children)
{
    size_t count = 0;

    for (const struct form *child = form->children; child != NULL; child = child->next) {
        count++;
    }
    *children = arena_calloc(arena, count + 1, sizeof(**children));
    count = 0;
    for (const struct form *child = form->children; child != NULL; child = child->next) {
        if (text_to_i64(child->name, 0, INT32_MAX, &(*children)[count].number, NULL) == 0) {
            (*children)[count++].form = child;
        }
    }
    qsort(*children, count, sizeof(**children), compare_numbers);
    return count;
}

static int decode_list(struct decoding *d, const struct model_shape *shape, const struct form *form,
                       const char *name, struct doc **doc)
{
    const struct form *members = d->ec2 ? form : form_find(form, SLICE_LIT("member"));
    struct numbered *children;
    size_t count = numbered_children(d->arena, members != NULL ? members : form, &children);

    *doc = doc_new(d->arena, DOC_LIST);
    for (size_t i = 0; i < count; i++) {
        struct doc *element = NULL;
        int rc = decode(d, shape->element, children[i].form, name, &element);

        if (rc != 0) {
            return rc;
        }
        if (element != NULL) {
            doc_list_add(*doc, element);
        }
    }
    return 0;
}

static int decode_map(struct decoding *d, const struct model_shape *shape, const struct form *form,
                      const char *name, struct doc **doc)
{
    const struct form *entries = form_find(form, SLICE_LIT("entry"));
    struct numbered *children;
    size_t count = numbered_children(d->arena, entries != NULL ? entries : form, &children);

    *doc = doc_new(d->arena, DOC_MAP);
    for (size_t i = 0; i < count; i++) {
        const struct form *value = form_find(children[i].form, SLICE_LIT("value"));
        struct doc *decoded = NULL;
        int rc = value == NULL ? 0 : decode(d, shape->element, value, name, &decoded);

        if (rc != 0) {
            return rc;
        }
        if (decoded != NULL) {
            doc_map_put(*doc, form_value(children[i].form, "key"), decoded);
        }
    }
    return 0;
}

static int decode(struct decoding *d, const struct model_shape *shape, const struct form *form,
                  const char *name, struct doc **doc)
{
    *doc = NULL;
    if (shape->kind == DOC_STRUCT) {
        return decode_struct(d, shape, form, doc);
    }
    if (shape->kind == DOC_LIST) {
        return decode_list(d, shape, form, name, doc);
    }
    if (shape->kind == DOC_MAP) {
        return decode_map(d, shape, form, name, doc);
    }
    if (!form->has_value || (d->ec2 && form->value.bytes == 0)) {
        return 0; /* ec2's empty strings are absent. */
    }
    return decode_scalar(d, shape, form, name, doc);
}

int query_decode(struct arena *arena, const struct model_shape *shape, const struct form *root,
                 bool ec2, struct doc **doc, struct error *err)
{
    struct decoding decoding = {arena, ec2, err};

    return decode_struct(&decoding, shape, root, doc);
}

/* Encoding. */

void xml_add_text(struct buf *text, struct slice value)
{
    for (size_t i = 0; i < value.bytes; i++) {
        unsigned char byte = (unsigned char)value.data[i];

        switch (byte) {
        case '&':
            buf_add_z(text, "&amp;");
            break;
        case '<':
            buf_add_z(text, "&lt;");
            break;
        case '>':
            buf_add_z(text, "&gt;");
            break;
        case '"':
            buf_add_z(text, "&quot;");
            break;
        case '\r':
            buf_add_z(text, "&#xD;"); /* A bare one is read as LF. */
            break;
        default:
            /* XML 1.0 has no other control characters, not even escaped. */
            buf_add_byte(text, byte < 0x20 && byte != '\t' && byte != '\n' ? '?' : (char)byte);
        }
    }
}

static void open_tag(struct buf *text, const char *name)
{
    buf_add_byte(text, '<');
    buf_add_z(text, name);
    buf_add_byte(text, '>');
}

static void close_tag(struct buf *text, const char *name)
{
    buf_add_z(text, "</");
    buf_add_z(text, name);
    buf_add_byte(text, '>');
}

static void encode_value(const struct model_shape *shape, const struct doc *doc, bool ec2,
                         struct buf *text);

static void encode_members(const struct model_shape *shape, const struct doc *doc, bool ec2,
                           struct buf *text)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct model_member *member = &shape->members[i];
        const struct doc *value = doc_get(doc, member->id);

        if (value == NULL) {
            continue;
        }
        if (doc_length(value) == 0 && (value->kind == DOC_LIST || value->kind == DOC_MAP)) {
            buf_printf(text, "<%s/>", member->wire_out);
            continue;
        }
        open_tag(text, member->wire_out);
        encode_value(member->shape, value, ec2, text);
        close_tag(text, member->wire_out);
    }
}

static void encode_list(const struct model_shape *shape, const struct doc *doc, bool ec2,
                        struct buf *text)
{
    const char *usual = ec2 ? "item" : "member";
    const char *name = shape->element_wire != NULL ? shape->element_wire : usual;

    for (size_t i = 0; i < doc_length(doc); i++) {
        open_tag(text, name);
        encode_value(shape->element, doc_element(doc, i), ec2, text);
        close_tag(text, name);
    }
}

static void encode_map(const struct model_shape *shape, const struct doc *doc, bool ec2,
                       struct buf *text)
{
    for (size_t i = 0; i < doc_length(doc); i++) {
        buf_add_z(text, "<entry><key>");
        xml_add_text(text, doc_key(doc, i));
        buf_add_z(text, "</key><value>");
        encode_value(shape->element, doc_element(doc, i), ec2, text);
        buf_add_z(text, "</value></entry>");
    }
}

static void encode_value(const struct model_shape *shape, const struct doc *doc, bool ec2,
                         struct buf *text)
{
    char time[TIME_TEXT_BYTES];

    switch (doc->kind) {
    case DOC_STRUCT:
        encode_members(shape, doc, ec2, text);
        break;
    case DOC_LIST:
        encode_list(shape, doc, ec2, text);
        break;
    case DOC_MAP:
        encode_map(shape, doc, ec2, text);
        break;
    case DOC_TEXT:
        xml_add_text(text, doc->u.text);
        break;
    case DOC_BLOB:
        text_base64_encode(text, doc->u.text);
        break;
    case DOC_INT:
        buf_add_i64(text, doc->u.integer);
        break;
    case DOC_DOUBLE:
        buf_add_double(text, doc->u.number);
        break;
    case DOC_BOOL:
        buf_add_z(text, doc->u.integer ? "true" : "false");
        break;
    case DOC_TIME:
        time_format_ms(doc->u.integer, time);
        buf_add_z(text, time);
        break;
    case DOC_JSON:
    case DOC_RAW_JSON:
        UNREACHABLE("no XML service has free-form JSON");
        break;
    }
}

void query_encode(const struct model_service *service, const struct model_op *op,
                  const struct doc *out, const char *request_id, struct buf *text)
{
    buf_printf(text, "<%sResponse xmlns=\"%s\">", op->name, service->xmlns);
    if (op->out != NULL) {
        buf_printf(text, "<%sResult>", op->name);
        encode_members(op->out, out, false, text);
        buf_printf(text, "</%sResult>", op->name);
    }
    buf_printf(text,
               "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>\n",
               request_id, op->name);
}

void ec2_encode(const struct model_service *service, const struct model_op *op,
                const struct doc *out, const char *request_id, struct buf *text)
{
    buf_add_z(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    buf_printf(text, "<%sResponse xmlns=\"%s\"><requestId>%s</requestId>", op->name, service->xmlns,
               request_id);
    if (op->out == NULL) {
        buf_add_z(text, "<return>true</return>");
    } else {
        encode_members(op->out, out, true, text);
    }
    buf_printf(text, "</%sResponse>\n", op->name);
}
