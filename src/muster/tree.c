#include "muster/tree.h"

#include "base/slice.h"
#include "base/text.h"

#include <string.h>

json_t *tree_at(const json_t *tree, const char *path)
{
    struct slice rest = slice_z(path), part;
    json_t *node = (json_t *)(uintptr_t)tree;

    while (slice_next(&rest, '.', &part)) {
        node = json_object_getn(node, part.data, part.bytes);
    }
    return node;
}

const char *tree_text(const json_t *tree, const char *path)
{
    const char *text = json_string_value(tree_at(tree, path));

    return text == NULL ? "" : text;
}

json_t *tree_list(const json_t *tree, const char *path)
{
    json_t *node = tree_at(tree, path);

    return json_is_array(node) ? node : NULL;
}

int64_t tree_int(const json_t *tree, const char *path, int64_t otherwise)
{
    const json_t *node = tree_at(tree, path);
    int64_t number;

    if (json_is_integer(node)) {
        return json_integer_value(node);
    }
    if (json_is_string(node) &&
        text_to_i64(slice_z(json_string_value(node)), INT64_MIN, INT64_MAX, &number, NULL) == 0) {
        return number;
    }
    return otherwise;
}

double tree_double(const json_t *tree, const char *path, double otherwise)
{
    const json_t *node = tree_at(tree, path);
    double number;

    if (json_is_number(node)) {
        return json_number_value(node);
    }
    if (json_is_string(node) &&
        text_to_double(slice_z(json_string_value(node)), &number, NULL) == 0) {
        return number;
    }
    return otherwise;
}

bool tree_is(const json_t *tree, const char *path, const char *text)
{
    return strcmp(tree_text(tree, path), text) == 0;
}

json_t *tree_find(const json_t *list, const char *member, const char *text)
{
    size_t i;
    json_t *row;

    json_array_foreach(list, i, row)
    {
        if (tree_is(row, member, text)) {
            return row;
        }
    }
    return NULL;
}

const char *tree_tag(const json_t *tags, const char *key)
{
    json_t *row = tree_find(tags, "Key", key);

    if (row != NULL) {
        return tree_text(row, "Value");
    }
    return tree_text(tree_find(tags, "key", key), "value");
}
