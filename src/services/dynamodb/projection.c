/* Projections: which parts of an item an answer shows. */
#include "base/macros.h"
#include "services/dynamodb/parser.h"
#include "services/dynamodb/value.h"

#include <stdlib.h>
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
    rc = check_pairs(&parser, projection, err);
    if (rc == 0) {
        projection_sort(projection);
    }
    return rc;
}

static int compare_elements(const struct path_element *a, const struct path_element *b)
{
    return a->index != b->index ? (a->index < b->index ? -1 : 1)
           : a->index >= 0      ? 0
                                : slice_compare(a->name, b->name);
}

static int compare_paths(const void *a, const void *b)
{
    const struct path *x = a, *y = b;
    int order = 0;

    for (size_t i = 0; order == 0 && i < x->count && i < y->count; i++) {
        order = compare_elements(&x->elements[i], &y->elements[i]);
    }
    return order;
}

void projection_sort(struct projection *projection)
{
    qsort(projection->paths, projection->count, sizeof(struct path), compare_paths);
}

static json_t *part_of(const json_t *value, const struct path *paths, size_t count, size_t depth);

/* The elements of a map or list that the paths name at @depth, as far as they go on from there. The
 * paths are sorted: those through the same element follow each other. */
static json_t *elements_of(const json_t *content, enum value_type type, const struct path *paths,
                           size_t count, size_t depth)
{
    json_t *parts = type == VALUE_M ? json_object() : json_array();

    for (size_t i = 0, run; i < count; i += run) {
        const struct path_element *element = &paths[i].elements[depth];
        bool by_name = element->index < 0;
        json_t *inner, *value = NULL;

        run = 1;
        while (i + run < count && compare_elements(element, &paths[i + run].elements[depth]) == 0) {
            run++;
        }
        if (by_name && type == VALUE_M) {
            value = json_object_get(content, element->name.data);
        } else if (!by_name && type == VALUE_L) {
            value = json_array_get(content, (size_t)element->index);
        }
        inner = value == NULL ? NULL : part_of(value, &paths[i], run, depth + 1);
        if (inner != NULL && type == VALUE_M) {
            json_object_set_new_nocheck(parts, element->name.data, inner);
        } else if (inner != NULL) {
            json_array_append_new(parts, inner);
        }
    }
    return parts;
}

/* The part of a value that the paths, all of which pass through it before @depth, name. */
static json_t *part_of(const json_t *value, const struct path *paths, size_t count, size_t depth)
{
    enum value_type type = value_type_of(value);
    json_t *part;

    if (paths[0].count == depth) { /* Then it is the only one: paths do not overlap. */
        return json_deep_copy(value);
    }
    if (type != VALUE_M && type != VALUE_L) {
        return NULL;
    }
    part = elements_of(value_content(value), type, paths, count, depth);
    if (type == VALUE_M ? json_object_size(part) == 0 : json_array_size(part) == 0) {
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
    return elements_of(item, VALUE_M, projection->paths, projection->count, 0);
}
