/* Applying an update to an item.
 *
 * All right-hand sides read the item as it was before; then SETs are made, then ADDs and DELETEs,
 * then REMOVEs from the highest index down, so that every index means a position before. */
#include "base/buf.h"
#include "base/macros.h"
#include "base/map.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/number.h"
#include "services/dynamodb/value.h"

#include <stdlib.h>
#include <string.h>

/* Values. */

static int wrong_data_type(struct error *err)
{
    return error_api(err, "ValidationException",
                     "An operand in the update expression has an incorrect data type");
}

static int evaluate(const struct node *node, const json_t *item, json_t **out, struct error *err);

static int evaluate_sum(const struct node *node, const json_t *item, json_t **out,
                        struct error *err)
{
    json_t *left = NULL, *right = NULL;
    struct number a, b, sum;
    struct buf text = {0};
    int rc = evaluate(node->args[0], item, &left, err);

    if (rc == 0) {
        rc = evaluate(node->args[1], item, &right, err);
    }
    if (rc == 0 && (value_type_of(left) != VALUE_N || value_type_of(right) != VALUE_N)) {
        rc = wrong_data_type(err);
    }
    if (rc == 0) {
        ASSERT(number_parse(slice_z(json_string_value(value_content(left))), &a, NULL) == 0);
        ASSERT(number_parse(slice_z(json_string_value(value_content(right))), &b, NULL) == 0);
        rc = number_add(&a, &b, node->type == NODE_PLUS ? 1 : -1, &sum, err);
    }
    if (rc == 0) {
        number_format(&sum, &text);
        *out = value_new(VALUE_N, json_string(buf_z(&text)));
    }
    buf_close(&text);
    json_decref(left);
    json_decref(right);
    return rc;
}

static int evaluate_append(const struct node *node, const json_t *item, json_t **out,
                           struct error *err)
{
    json_t *left = NULL, *right = NULL;
    int rc = evaluate(node->args[0], item, &left, err);

    if (rc == 0) {
        rc = evaluate(node->args[1], item, &right, err);
    }
    if (rc == 0 && (value_type_of(left) != VALUE_L || value_type_of(right) != VALUE_L)) {
        rc = wrong_data_type(err);
    }
    if (rc == 0) {
        json_array_extend(value_content(left), value_content(right));
        *out = json_incref(left);
    }
    json_decref(left);
    json_decref(right);
    return rc;
}

/* A new tree in *@out that nobody else holds. */
static int evaluate(const struct node *node, const json_t *item, json_t **out, struct error *err)
{
    const json_t *value;

    switch (node->type) {
    case NODE_VALUE:
        *out = json_deep_copy(node->value);
        return 0;
    case NODE_PATH:
        value = path_get(&node->path, item);
        if (value == NULL) {
            return error_api(err, "ValidationException",
                             "The provided expression refers to an attribute that does not exist"
                             " in the item");
        }
        *out = json_deep_copy(value);
        return 0;
    case NODE_PLUS:
    case NODE_MINUS:
        return evaluate_sum(node, item, out, err);
    case NODE_FUNCTION:
        if (node->function == FUNCTION_LIST_APPEND) {
            return evaluate_append(node, item, out, err);
        }
        value = path_get(&node->args[0]->path, item);
        if (value == NULL) {
            return evaluate(node->args[1], item, out, err);
        }
        *out = json_deep_copy(value);
        return 0;
    case NODE_COMPARE:
    case NODE_BETWEEN:
    case NODE_IN:
    case NODE_AND:
    case NODE_OR:
    case NODE_NOT:
        break;
    }
    return error_set(err, ERR_INTERNAL, "dynamodb: a condition among the values of an update");
}

/* Writing into the item. */

static int bad_path(struct error *err)
{
    return error_api(err, "ValidationException",
                     "The document path provided in the update expression is invalid for update");
}

/* The object or array that the path's last element stands in, or NULL. */
static json_t *container(const struct path *path, json_t *item)
{
    const struct path parent = {path->elements, path->count - 1};
    bool by_index = path->elements[path->count - 1].index >= 0;
    json_t *value;

    if (path->count == 1) {
        return item;
    }
    value = path_get(&parent, item);
    if (value == NULL || value_type_of(value) != (by_index ? VALUE_L : VALUE_M)) {
        return NULL;
    }
    return value_content(value);
}

/* Takes @value. */
static int store_at(const struct path *path, json_t *item, json_t *value, struct error *err)
{
    const struct path_element *last = &path->elements[path->count - 1];
    json_t *in = container(path, item);

    if (in == NULL) {
        json_decref(value);
        return bad_path(err);
    }
    if (last->index < 0) {
        json_object_set_new(in, last->name.data, value);
    } else if ((size_t)last->index < json_array_size(in)) {
        json_array_set_new(in, (size_t)last->index, value);
    } else {
        json_array_append_new(in, value);
    }
    return 0;
}

static int remove_at(const struct path *path, json_t *item, bool was_there, struct error *err)
{
    const struct path_element *last = &path->elements[path->count - 1];
    json_t *in = container(path, item);

    if (in == NULL) {
        return was_there ? bad_path(err) : 0;
    }
    if (last->index < 0) {
        json_object_del(in, last->name.data);
    } else {
        json_array_remove(in, (size_t)last->index); /* Past the end: ignored. */
    }
    return 0;
}

/* Append the elements of @from that @other has not to @to. */
static void add_missing(json_t *to, const json_t *from, const json_t *other)
{
    struct map seen = {0};

    for (size_t i = 0; i < json_array_size(other); i++) {
        map_put(&seen, slice_z(json_string_value(json_array_get(other, i))), &seen);
    }
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *element = json_array_get(from, i);

        if (map_get(&seen, slice_z(json_string_value(element))) == NULL) {
            json_array_append(to, element);
        }
    }
    map_close(&seen);
}

static json_t *set_union(const json_t *a, const json_t *b)
{
    json_t *sum = json_copy((json_t *)(uintptr_t)a);

    add_missing(sum, b, a);
    return sum;
}

static json_t *set_difference(const json_t *a, const json_t *b)
{
    json_t *rest = json_array();

    add_missing(rest, a, b);
    return rest;
}

static int apply_add(const struct update_action *action, const json_t *before, json_t *item,
                     struct error *err)
{
    const json_t *operand = action->value->value;
    const json_t *old = path_get(&action->path, before);
    enum value_type type = value_type_of(operand);
    struct number a, b, sum;
    struct buf text = {0};
    int rc;

    if (old == NULL) {
        return store_at(&action->path, item, json_deep_copy(operand), err);
    }
    if (value_type_of(old) != type) {
        return wrong_data_type(err);
    }
    if (type != VALUE_N) {
        json_t *both = set_union(value_content(old), value_content(operand));

        return store_at(&action->path, item, value_new(type, both), err);
    }
    ASSERT(number_parse(slice_z(json_string_value(value_content(old))), &a, NULL) == 0);
    ASSERT(number_parse(slice_z(json_string_value(value_content(operand))), &b, NULL) == 0);
    rc = number_add(&a, &b, 1, &sum, err);
    if (rc == 0) {
        number_format(&sum, &text);
        rc = store_at(&action->path, item, value_new(VALUE_N, json_string(buf_z(&text))), err);
    }
    buf_close(&text);
    return rc;
}

static int apply_delete(const struct update_action *action, const json_t *before, json_t *item,
                        struct error *err)
{
    const json_t *operand = action->value->value;
    const json_t *old = path_get(&action->path, before);
    enum value_type type = value_type_of(operand);
    json_t *rest;

    if (old == NULL) {
        return 0;
    }
    if (value_type_of(old) != type) {
        return wrong_data_type(err);
    }
    rest = set_difference(value_content(old), value_content(operand));
    if (json_array_size(rest) == 0) {
        json_decref(rest);
        return remove_at(&action->path, item, true, err);
    }
    return store_at(&action->path, item, value_new(type, rest), err);
}

/* Longer and higher first, so that removing an element moves none that is still to be removed. */
static int compare_removals(const void *a, const void *b)
{
    const struct path *x = *(const struct path *const *)a, *y = *(const struct path *const *)b;

    for (size_t i = 0; i < x->count && i < y->count; i++) {
        const struct path_element *p = &x->elements[i], *q = &y->elements[i];
        int order = p->index != q->index ? (p->index < q->index ? 1 : -1)
                    : p->index < 0       ? slice_compare(q->name, p->name)
                                         : 0;

        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static int apply_removals(const struct update *update, json_t *item, bool was_there,
                          struct error *err)
{
    const struct path *paths[update->count + 1];
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < update->count; i++) {
        if (update->actions[i].type == UPDATE_REMOVE) {
            paths[count++] = &update->actions[i].path;
        }
    }
    if (count == 0) {
        return 0;
    }
    qsort(paths, count, sizeof(paths[0]), compare_removals);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = remove_at(paths[i], item, was_there, err);
    }
    return rc;
}

/* Appends go in the order of their indices. */
static int compare_sets(const void *a, const void *b)
{
    const struct update_action *x = *(const struct update_action *const *)a;
    const struct update_action *y = *(const struct update_action *const *)b;
    int64_t p = x->path.elements[x->path.count - 1].index;
    int64_t q = y->path.elements[y->path.count - 1].index;

    return p < q ? -1 : p > q;
}

static int apply_sets(const struct update *update, const json_t *before, json_t *item,
                      struct error *err)
{
    const struct update_action *sets[update->count + 1];
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < update->count; i++) {
        if (update->actions[i].type == UPDATE_SET) {
            sets[count++] = &update->actions[i];
        }
    }
    if (count > 1) {
        qsort(sets, count, sizeof(sets[0]), compare_sets);
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        json_t *value = NULL;

        rc = evaluate(sets[i]->value, before, &value, err);
        if (rc == 0) {
            rc = store_at(&sets[i]->path, item, value, err);
        }
    }
    return rc;
}

int update_apply(const struct update *update, json_t *item, bool was_there, struct error *err)
{
    json_t *before = json_deep_copy(item);
    int rc = apply_sets(update, before, item, err);

    for (size_t i = 0; i < update->count && rc == 0; i++) {
        if (update->actions[i].type == UPDATE_ADD) {
            rc = apply_add(&update->actions[i], before, item, err);
        } else if (update->actions[i].type == UPDATE_DELETE) {
            rc = apply_delete(&update->actions[i], before, item, err);
        }
    }
    if (rc == 0) {
        rc = apply_removals(update, item, was_there, err);
    }
    json_decref(before);
    return rc;
}
