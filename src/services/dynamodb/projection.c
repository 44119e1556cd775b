/* Projections: which parts of an item an answer shows. */
#include "base/macros.h"
#include "services/dynamodb/parser.h"
#include "services/dynamodb/value.h"

#include <string.h>

static int parse_paths(struct parser *parser, struct node *list, struct error *err)
{
    int rc = 0;

    do {
        struct node *path = NULL;

        rc = parse_path(parser, &path, err);
        if (rc == 0) {
            node_add(parser, list, path);
        }
    } while (rc == 0 && parser_take_sign(parser, ","));
    return rc != 0 ? rc : parser_expect_end(parser, err);
}

static int check_pairs(const struct parser *parser, const struct projection *projection,
                       struct error *err)
{
    for (size_t i = 0; i < projection->count; i++) {
        for (size_t j = i + 1; j < projection->count; j++) {
            int rc = check_overlap(parser, &projection->paths[i], &projection->paths[j], err);

            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

int projection_parse(struct scope *scope, struct slice text, struct projection *projection,
                     struct error *err)
{
    struct parser parser;
    struct node *list;
    int rc = parser_open(&parser, scope, "ProjectionExpression", text, err);

    *projection = (struct projection){0};
    if (rc != 0) {
        return rc;
    }
    list = node_new(&parser, NODE_FUNCTION);
    rc = parse_paths(&parser, list, err);
    if (rc == 0) {
        rc = check_reserved(&parser, list, err);
    }
    if (rc == 0) {
        rc = resolve_names(&parser, list, err);
    }
    if (rc != 0) {
        return rc;
    }
    projection->paths = arena_calloc(&scope->arena, list->args_count, sizeof(struct path));
    for (size_t i = 0; i < list->args_count; i++) {
        projection->paths[projection->count++] = list->args[i]->path;
    }
    return check_pairs(&parser, projection, err);
}

/* The part of a value that some of the paths, all of which pass through it at @depth, name. The
 * paths are walked once per element: they are few. */
static json_t *part_of(const json_t *value, const struct path *const *paths, size_t count,
                       size_t depth);

/* What the paths that go on from @depth through this element name of @value. */
static json_t *element_part(const json_t *value, const struct path *const *paths, size_t count,
                            size_t depth, const char *name, int64_t index)
{
    const struct path *through[count]; /* At most 2048: an expression has 4096 bytes. */
    size_t through_count = 0;

    for (size_t i = 0; i < count; i++) {
        const struct path_element *element = &paths[i]->elements[depth];
        bool passes = index >= 0 ? element->index == index
                                 : element->index < 0 && slice_equal_z(element->name, name);

        if (passes) {
            through[through_count++] = paths[i];
        }
    }
    return through_count == 0 ? NULL : part_of(value, through, through_count, depth + 1);
}

static json_t *map_part(const json_t *map, const struct path *const *paths, size_t count,
                        size_t depth)
{
    json_t *part = json_object();
    const char *name;
    json_t *element;

    json_object_foreach((json_t *)(uintptr_t)map, name, element)
    {
        json_t *inner = element_part(element, paths, count, depth, name, -1);

        if (inner != NULL) {
            json_object_set_new_nocheck(part, name, inner);
        }
    }
    return part;
}

static json_t *list_part(const json_t *list, const struct path *const *paths, size_t count,
                         size_t depth)
{
    json_t *part = json_array();

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *inner =
            element_part(json_array_get(list, i), paths, count, depth, NULL, (int64_t)i);

        if (inner != NULL) {
            json_array_append_new(part, inner);
        }
    }
    return part;
}

static json_t *part_of(const json_t *value, const struct path *const *paths, size_t count,
                       size_t depth)
{
    enum value_type type = value_type_of(value);
    const json_t *content = value_content(value);
    json_t *part;
    bool empty;

    for (size_t i = 0; i < count; i++) {
        if (paths[i]->count == depth) {
            return json_deep_copy(value);
        }
    }
    if (type != VALUE_M && type != VALUE_L) {
        return NULL;
    }
    part = type == VALUE_M ? map_part(content, paths, count, depth)
                           : list_part(content, paths, count, depth);
    empty = type == VALUE_M ? json_object_size(part) == 0 : json_array_size(part) == 0;
    if (empty) {
        json_decref(part);
        return NULL;
    }
    return value_new(type, part);
}

int projection_check_keys(const struct projection *projection, const char *hash_name,
                          const char *range_name, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; i < projection->count && rc == 0; i++) {
        rc = path_check_keys(&projection->paths[i], hash_name, range_name, err);
    }
    return rc;
}

json_t *projection_apply(const struct projection *projection, const json_t *item)
{
    const struct path *paths[projection->count + 1];

    for (size_t i = 0; i < projection->count; i++) {
        paths[i] = &projection->paths[i];
    }
    return map_part(item, paths, projection->count, 0);
}
