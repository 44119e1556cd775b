#include "candidate/item.h"

#include "base/macros.h"
#include "base/text.h"

#include <string.h>

#define DEPTH_MAX 64 /* DynamoDB itself ends at 32. */

static int add_value(const json_t *value, int depth, struct buf *text, struct error *err);

void item_add_string(struct buf *text, struct slice value)
{
    text_json_encode(text, value);
}

static const char *skip_digits(const char *at)
{
    return at + strspn(at, "0123456789");
}

/* RFC 8259, section 6. */
static bool is_json_number(const char *at)
{
    const char *digits;

    at += *at == '-';
    digits = at;
    at = skip_digits(at);
    if (at == digits || (*digits == '0' && at > digits + 1)) {
        return false;
    }
    if (*at == '.') {
        digits = at + 1;
        at = skip_digits(digits);
        if (at == digits) {
            return false;
        }
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        digits = at;
        at = skip_digits(at);
        if (at == digits) {
            return false;
        }
    }
    return *at == '\0';
}

static int add_number(const json_t *value, struct buf *text, struct error *err)
{
    if (!json_is_string(value) || !is_json_number(json_string_value(value))) {
        return error_set(err, ERR_INVALID, "an item holds a number that is none");
    }
    buf_add_z(text, json_string_value(value));
    return 0;
}

static int add_text(const json_t *value, struct buf *text, struct error *err)
{
    if (!json_is_string(value)) {
        return error_set(err, ERR_INVALID, "an item holds a text that is none");
    }
    item_add_string(text, slice_of(json_string_value(value), json_string_length(value)));
    return 0;
}

typedef int add_fn(const json_t *value, struct buf *text, struct error *err);

/* @add: for sets, whose values have no type of their own; NULL for lists. */
static int add_list(const json_t *list, add_fn *add, int depth, struct buf *text, struct error *err)
{
    size_t index;
    json_t *value;

    if (!json_is_array(list)) {
        return error_set(err, ERR_INVALID, "an item holds a list that is none");
    }
    buf_add_byte(text, '[');
    json_array_foreach((json_t *)(uintptr_t)list, index, value)
    {
        int rc;

        if (index > 0) {
            buf_add_byte(text, ',');
        }
        rc = add != NULL ? add(value, text, err) : add_value(value, depth + 1, text, err);
        if (rc != 0) {
            return rc;
        }
    }
    buf_add_byte(text, ']');
    return 0;
}

static int add_map(const json_t *map, int depth, struct buf *text, struct error *err)
{
    const char *before = "";
    const char *name;
    json_t *value;

    if (!json_is_object(map)) {
        return error_set(err, ERR_INVALID, "an item is a map that is none");
    }
    buf_add_byte(text, '{');
    json_object_foreach((json_t *)(uintptr_t)map, name, value)
    {
        int rc;

        buf_add_z(text, before);
        before = ",";
        item_add_string(text, slice_z(name));
        buf_add_byte(text, ':');
        rc = add_value(value, depth + 1, text, err);
        if (rc != 0) {
            return rc;
        }
    }
    buf_add_byte(text, '}');
    return 0;
}

static int add_value(const json_t *value, int depth, struct buf *text, struct error *err)
{
    void *at = json_object_iter((json_t *)(uintptr_t)value);
    const char *type = at == NULL ? "" : json_object_iter_key(at);
    const json_t *inner = at == NULL ? NULL : json_object_iter_value(at);

    if (depth > DEPTH_MAX || json_object_size(value) != 1) {
        return error_set(err, ERR_INVALID, "an item's attribute has no type, or is too deep");
    }
    if (strcmp(type, "S") == 0 || strcmp(type, "B") == 0) {
        return add_text(inner, text, err);
    }
    if (strcmp(type, "N") == 0) {
        return add_number(inner, text, err);
    }
    if (strcmp(type, "BOOL") == 0 && json_is_boolean(inner)) {
        buf_add_z(text, json_is_true(inner) ? "true" : "false");
        return 0;
    }
    if (strcmp(type, "NULL") == 0) {
        buf_add_z(text, "null");
        return 0;
    }
    if (strcmp(type, "L") == 0) {
        return add_list(inner, NULL, depth, text, err);
    }
    if (strcmp(type, "SS") == 0 || strcmp(type, "BS") == 0) {
        return add_list(inner, add_text, depth, text, err);
    }
    if (strcmp(type, "NS") == 0) {
        return add_list(inner, add_number, depth, text, err);
    }
    if (strcmp(type, "M") == 0) {
        return add_map(inner, depth, text, err);
    }
    return error_set(err, ERR_INVALID, "an item's attribute has the unknown type '%s'", type);
}

int item_plain(const json_t *item, struct buf *text, struct error *err)
{
    if (!json_is_object(item)) {
        return error_set(err, ERR_INVALID, "an item is no object");
    }
    return add_map(item, 0, text, err);
}
