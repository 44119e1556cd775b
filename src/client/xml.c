#include "client/xml.h"

#include "base/buf.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

struct reader {
    struct slice rest;
    struct error *err;
};

static int bad(struct reader *reader, const char *what)
{
    return error_set(reader->err, ERR_INVALID, "XML: %s before '%.*s'", what,
                     (int)(reader->rest.bytes < 20 ? reader->rest.bytes : 20),
                     reader->rest.bytes == 0 ? "" : reader->rest.data);
}

static void skip(struct reader *reader, size_t bytes)
{
    reader->rest = slice_sub(reader->rest, bytes, reader->rest.bytes);
}

static bool skip_past(struct reader *reader, const char *mark)
{
    const char *at = memmem(reader->rest.data, reader->rest.bytes, mark, strlen(mark));

    if (at == NULL) {
        return false;
    }
    skip(reader, (size_t)(at - reader->rest.data) + strlen(mark));
    return true;
}

/* Blanks, declarations and comments. */
static int skip_noise(struct reader *reader)
{
    for (;;) {
        while (reader->rest.bytes > 0 && strchr(" \t\r\n", reader->rest.data[0]) != NULL) {
            skip(reader, 1);
        }
        if (slice_starts(reader->rest, SLICE_LIT("<?"))) {
            if (!skip_past(reader, "?>")) {
                return bad(reader, "no end of a declaration");
            }
        } else if (slice_starts(reader->rest, SLICE_LIT("<!--"))) {
            if (!skip_past(reader, "-->")) {
                return bad(reader, "no end of a comment");
            }
        } else {
            return 0;
        }
    }
}

static void add_character(struct buf *text, int64_t code)
{
    if (code < 0x80) {
        buf_add_byte(text, (char)code);
    } else if (code < 0x800) {
        buf_add_byte(text, (char)(0xc0 | code >> 6));
        buf_add_byte(text, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_add_byte(text, (char)(0xe0 | code >> 12));
        buf_add_byte(text, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_byte(text, (char)(0x80 | (code & 0x3f)));
    } else {
        buf_add_byte(text, (char)(0xf0 | code >> 18));
        buf_add_byte(text, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_add_byte(text, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_byte(text, (char)(0x80 | (code & 0x3f)));
    }
}

static int read_reference(struct reader *reader, struct buf *text)
{
    static const struct {
        const char *name;
        char byte;
    } named[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    size_t end = slice_find(reader->rest, ';');
    char digits[12] = "", *stop;
    int64_t code;
    bool hex;

    for (size_t i = 0; i < COUNT_OF(named); i++) {
        if (slice_starts(reader->rest, slice_z(named[i].name))) {
            buf_add_byte(text, named[i].byte);
            skip(reader, strlen(named[i].name));
            return 0;
        }
    }
    if (!slice_starts(reader->rest, SLICE_LIT("&#")) || end < 3 || end > 10) {
        return bad(reader, "an unknown entity");
    }
    hex = reader->rest.data[2] == 'x';
    memcpy(digits, reader->rest.data + (hex ? 3 : 2), end - (hex ? 3 : 2));
    code = strtol(digits, &stop, hex ? 16 : 10);
    if (*stop != '\0' || code <= 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return bad(reader, "a bad character number");
    }
    add_character(text, code);
    skip(reader, end + 1);
    return 0;
}

static int read_text(struct reader *reader, struct buf *text)
{
    while (reader->rest.bytes > 0 && reader->rest.data[0] != '<') {
        size_t plain = slice_find(slice_sub(reader->rest, 0, slice_find(reader->rest, '<')), '&');

        buf_add(text, slice_sub(reader->rest, 0, plain));
        skip(reader, plain);
        if (reader->rest.bytes > 0 && reader->rest.data[0] == '&') {
            int rc = read_reference(reader, text);

            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* "<Name a="b">": the name; attributes are skipped. */
static int open_tag(struct reader *reader, struct slice *name, bool *empty)
{
    struct slice inside;
    size_t end = slice_find(reader->rest, '>');

    if (!slice_starts(reader->rest, SLICE_LIT("<")) || end == reader->rest.bytes) {
        return bad(reader, "no element");
    }
    inside = slice_sub(reader->rest, 1, end - 1);
    *empty = slice_ends(inside, SLICE_LIT("/"));
    if (*empty) {
        inside.bytes--;
    }
    *name = inside;
    for (size_t i = 0; i < inside.bytes; i++) {
        if (strchr(" \t\r\n", inside.data[i]) != NULL) {
            name->bytes = i;
            break;
        }
    }
    if (name->bytes == 0 || name->data[0] == '!' || name->data[0] == '/') {
        return bad(reader, "no element name");
    }
    skip(reader, end + 1);
    return 0;
}

static int close_tag(struct reader *reader, struct slice name)
{
    size_t end = slice_find(reader->rest, '>');

    if (!slice_starts(reader->rest, SLICE_LIT("</")) || end == reader->rest.bytes ||
        !slice_equal(slice_trim(slice_sub(reader->rest, 2, end - 2)), name)) {
        return bad(reader, "another closing tag");
    }
    skip(reader, end + 1);
    return 0;
}

/* Takes @value. */
static void add_child(json_t *object, struct slice name, json_t *value)
{
    json_t *old = json_object_getn(object, name.data, name.bytes);

    if (old == NULL) {
        json_object_setn_new(object, name.data, name.bytes, value);
        return;
    }
    if (!json_is_array(old)) {
        json_t *list = json_array();

        json_array_append(list, old);
        json_object_setn_new(object, name.data, name.bytes, list);
        old = list;
    }
    json_array_append_new(old, value);
}

static int read_element(struct reader *reader, int depth, struct slice *name, json_t **value);

/* Elements up to the closing tag of the parent. */
static int read_children(struct reader *reader, int depth, json_t **value)
{
    json_t *object = json_object(), *list = json_array();
    bool only_members = true;
    int rc = 0;

    while (rc == 0 && !slice_starts(reader->rest, SLICE_LIT("</"))) {
        struct slice name;
        json_t *child = NULL;

        rc = read_element(reader, depth + 1, &name, &child);
        if (rc != 0) {
            break;
        }
        if (slice_equal_z(name, "member") || slice_equal_z(name, "item")) {
            json_array_append(list, child);
        } else {
            only_members = false;
        }
        add_child(object, name, child);
        rc = skip_noise(reader);
    }
    *value = json_incref(only_members ? list : object);
    json_decref(object);
    json_decref(list);
    return rc;
}

static int read_content(struct reader *reader, int depth, json_t **value)
{
    struct buf text = {0};
    int rc = read_text(reader, &text);

    if (rc == 0) {
        if (slice_starts(reader->rest, SLICE_LIT("<!--"))) {
            rc = skip_noise(reader);
        }
        if (rc == 0 && !slice_starts(reader->rest, SLICE_LIT("</"))) {
            rc = read_children(reader, depth, value);
        } else if (rc == 0) {
            *value = json_stringn(buf_z(&text), text.bytes);
            rc = *value == NULL ? bad(reader, "text that is not UTF-8") : 0;
        }
    }
    buf_close(&text);
    return rc;
}

static int read_element(struct reader *reader, int depth, struct slice *name, json_t **value)
{
    bool empty = false;
    int rc = open_tag(reader, name, &empty);

    *value = NULL;
    if (rc == 0 && depth > DEPTH_MAX) {
        rc = bad(reader, "too many levels");
    }
    if (rc == 0 && !text_is_utf8(*name)) {
        rc = bad(reader, "a name that is not UTF-8");
    }
    if (rc == 0 && empty) {
        *value = json_string("");
        return 0;
    }
    if (rc == 0) {
        rc = read_content(reader, depth, value);
    }
    if (rc == 0) {
        rc = close_tag(reader, *name);
    }
    if (rc != 0) {
        json_decref(*value);
        *value = NULL;
    }
    return rc;
}

int xml_to_json(struct slice text, json_t **tree, struct error *err)
{
    struct reader reader = {text, err};
    struct slice name;
    int rc = skip_noise(&reader);

    *tree = NULL;
    if (rc == 0) {
        rc = read_element(&reader, 0, &name, tree);
    }
    if (rc == 0) {
        rc = skip_noise(&reader);
    }
    if (rc == 0 && reader.rest.bytes > 0) {
        rc = bad(&reader, "something follows");
    }
    if (rc != 0) {
        json_decref(*tree);
        *tree = NULL;
    }
    return rc;
}
