#include "wire/codec.h"

#include "base/map.h"
#include "base/text.h"

#define FEW 8 /* Children, so many as are searched one by one. */

/* Where the child called @name is, or would be. The table lies in the arena, as the tree does: a
 * struct map would have to be closed, node by node. */
static struct form **slot_of(const struct form *parent, struct slice name)
{
    size_t mask = parent->slots_room - 1, at = map_hash(name) & mask;

    while (parent->slots[at] != NULL && !slice_equal(parent->slots[at]->name, name)) {
        at = (at + 1) & mask;
    }
    return &parent->slots[at];
}

struct form *form_find(const struct form *form, struct slice name)
{
    if (form->slots != NULL) {
        return *slot_of(form, name);
    }
    for (struct form *child = form->children; child != NULL; child = child->next) {
        if (slice_equal(child->name, name)) {
            return child;
        }
    }
    return NULL;
}

struct slice form_value(const struct form *root, const char *name)
{
    const struct form *child = form_find(root, slice_z(name));

    return child == NULL || !child->has_value ? SLICE_EMPTY : child->value;
}

static void make_slots(struct arena *arena, struct form *parent)
{
    parent->slots_room = parent->slots_room == 0 ? 4 * FEW : 2 * parent->slots_room;
    parent->slots = arena_calloc(arena, parent->slots_room, sizeof(struct form *));
    for (struct form *child = parent->children; child != NULL; child = child->next) {
        *slot_of(parent, child->name) = child;
    }
}

/* The child called @name, made if need be. */
static struct form *child_of(struct arena *arena, struct form *parent, struct slice name)
{
    struct form *child = form_find(parent, name);

    if (child != NULL) {
        return child;
    }
    child = arena_calloc(arena, 1, sizeof(*child));
    child->name = name;
    *(parent->last == NULL ? &parent->children : &parent->last->next) = child;
    parent->last = child;
    parent->count++;
    if (parent->count > FEW && 2 * parent->count > parent->slots_room) {
        make_slots(arena, parent);
    } else if (parent->slots != NULL) {
        *slot_of(parent, name) = child;
    }
    return child;
}

static int decoded(struct arena *arena, struct slice raw, struct slice *text, struct error *err)
{
    struct buf buf = {0};
    int rc = text_percent_decode(&buf, raw, true, err);

    if (rc == 0) {
        bool zero = slice_find(buf_slice(&buf), '\0') < buf.bytes;

        *text = arena_copy(arena, buf_slice(&buf));
        if (zero || !text_is_utf8(*text)) {
            rc = error_api_status(err, 404, "MalformedQueryString",
                                  "The query string contains bytes that are not UTF-8 text");
        }
        if (text->data == NULL) {
            *text = SLICE_LIT("");
        }
    } else {
        rc = error_api_status(err, 404, "MalformedQueryString",
                              "The query string contains a syntax error.");
    }
    buf_close(&buf);
    return rc;
}

static int add_parameter(struct arena *arena, struct form *root, struct slice part,
                         struct error *err)
{
    size_t equals = slice_find(part, '=');
    struct slice name, value, rest, segment;
    struct form *at = root;
    int depth = 0;
    int rc = decoded(arena, slice_sub(part, 0, equals), &name, err);

    if (rc == 0) {
        rc = decoded(arena, slice_sub(part, equals + 1, part.bytes), &value, err);
    }
    if (rc != 0) {
        return rc;
    }
    rest = name;
    while (slice_next(&rest, '.', &segment)) {
        if (++depth > CODEC_DEPTH_MAX) {
            return error_api_status(err, 404, "MalformedQueryString",
                                    "A parameter's name is nested too deeply.");
        }
        at = child_of(arena, at, segment);
    }
    at->value = value;
    at->has_value = true;
    return 0;
}

int form_parse(struct arena *arena, struct slice text, struct form *root, struct error *err)
{
    struct slice rest = text, part;

    for (int count = 0; slice_next(&rest, '&', &part); count++) {
        int rc;

        if (part.bytes == 0) {
            continue;
        }
        if (count >= FORM_PARAMETERS_MAX) {
            return error_api_status(err, 404, "MalformedQueryString", "Too many parameters.");
        }
        rc = add_parameter(arena, root, part, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
