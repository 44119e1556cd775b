/* KeyConditionExpression: a condition that names one partition and perhaps a range in it. */
#include "services/dynamodb/keycondition.h"

#include "base/macros.h"

#include <string.h>

#define IN_EXPRESSION "KeyConditionExpression"

static int invalid_operator(const char *operator, struct error * err)
{
    return error_api(err, "ValidationException",
                     "Invalid operator used in " IN_EXPRESSION ": %s", operator);
}

static int invalid_condition(const char *text, struct error *err)
{
    return error_api(err, "ValidationException", "Invalid condition in " IN_EXPRESSION ": %s",
                     text);
}

static int plain(const char *text, struct error *err)
{
    return error_api(err, "ValidationException", "%s", text);
}

static const char *function_text(enum function function)
{
    switch (function) {
    case FUNCTION_EXISTS:
        return "attribute_exists";
    case FUNCTION_NOT_EXISTS:
        return "attribute_not_exists";
    case FUNCTION_TYPE:
        return "attribute_type";
    case FUNCTION_CONTAINS:
        return "contains";
    case FUNCTION_SIZE:
        return "size";
    case FUNCTION_BEGINS_WITH:
    case FUNCTION_IF_NOT_EXISTS:
    case FUNCTION_LIST_APPEND:
    case FUNCTION_UNKNOWN:
        break;
    }
    return "begins_with";
}

static int check_operator(const struct node *node, struct error *err)
{
    switch (node->type) {
    case NODE_OR:
        return invalid_operator("OR", err);
    case NODE_NOT:
        return invalid_operator("NOT", err);
    case NODE_IN:
        return invalid_operator("IN", err);
    case NODE_AND:
        return plain("Conditions can be of length 1 or 2 only", err);
    case NODE_COMPARE:
        return node->compare == COMPARE_NE ? invalid_operator("<>", err) : 0;
    case NODE_FUNCTION:
        return node->function == FUNCTION_BEGINS_WITH
                   ? 0
                   : invalid_operator(function_text(node->function), err);
    case NODE_BETWEEN:
    case NODE_PATH:
    case NODE_VALUE:
    case NODE_PLUS:
    case NODE_MINUS:
        break;
    }
    return 0;
}

static int check_operands(const struct node *node, struct error *err)
{
    size_t paths = 0;

    for (size_t i = 0; i < node->args_count; i++) {
        const struct node *arg = node->args[i];

        if (arg->type == NODE_FUNCTION) {
            return plain("KeyConditionExpressions cannot contain nested operations", err);
        }
        if (arg->type == NODE_PATH && arg->path.count > 1) {
            return plain("KeyConditionExpressions cannot have conditions on nested attributes",
                         err);
        }
        paths += arg->type == NODE_PATH ? 1 : 0;
    }
    if (paths == 0) {
        return invalid_condition("No key attribute specified", err);
    }
    if (paths > 1) {
        return invalid_condition("Multiple attribute names used in one condition", err);
    }
    if (node->args[0]->type != NODE_PATH && node->type == NODE_BETWEEN) {
        return invalid_condition("BETWEEN operator must have the key attribute as its first"
                                 " operand",
                                 err);
    }
    if (node->args[0]->type != NODE_PATH && node->type == NODE_FUNCTION) {
        return invalid_condition("begins_with operator must have the key attribute as its first"
                                 " operand",
                                 err);
    }
    return 0;
}

static enum compare swapped(enum compare compare)
{
    switch (compare) {
    case COMPARE_LT:
        return COMPARE_GT;
    case COMPARE_LE:
        return COMPARE_GE;
    case COMPARE_GT:
        return COMPARE_LT;
    case COMPARE_GE:
        return COMPARE_LE;
    case COMPARE_EQ:
    case COMPARE_NE:
        break;
    }
    return compare;
}

static int read_part(const struct node *node, struct key_part *part, struct error *err)
{
    bool value_first = node->args_count > 0 && node->args[0]->type == NODE_VALUE;
    int rc = check_operator(node, err);

    if (rc == 0) {
        rc = check_operands(node, err);
    }
    if (rc != 0) {
        return rc;
    }
    *part = (struct key_part){
        .type = node->type,
        .compare = value_first ? swapped(node->compare) : node->compare,
        .name = node->args[value_first ? 1 : 0]->path.elements[0].name.data,
        .value = node->args[value_first ? 0 : 1]->value,
        .upper = node->type == NODE_BETWEEN ? node->args[2]->value : NULL,
    };
    return 0;
}

int key_condition_read(const struct node *root, struct key_condition *condition, struct error *err)
{
    int rc = 0;

    *condition = (struct key_condition){0};
    if (root->type != NODE_AND) {
        condition->count = 1;
        return read_part(root, &condition->parts[0], err);
    }
    if (root->args_count > COUNT_OF(condition->parts)) {
        return plain("Conditions can be of length 1 or 2 only", err);
    }
    for (size_t i = 0; i < root->args_count && rc == 0; i++) {
        rc = read_part(root->args[i], &condition->parts[condition->count++], err);
    }
    if (rc == 0 && strcmp(condition->parts[0].name, condition->parts[1].name) == 0) {
        rc = plain("KeyConditionExpressions must only contain one condition per key", err);
    }
    return rc;
}

static int wrong_type(struct error *err)
{
    return error_api(err, "ValidationException",
                     PARAMETER_INVALID "Condition parameter type does not match schema type");
}

/* The first byte string that does not begin with @prefix and comes after all that do: false if
 * there is none. */
static bool after_prefix(struct buf *prefix)
{
    while (prefix->bytes > 0 && (unsigned char)prefix->data[prefix->bytes - 1] == 0xff) {
        prefix->bytes--;
    }
    if (prefix->bytes == 0) {
        return false;
    }
    prefix->data[prefix->bytes - 1] = (char)(prefix->data[prefix->bytes - 1] + 1);
    return true;
}

static void set_bound(struct key_bound *bound, const json_t *value, bool exclusive)
{
    bound->present = true;
    bound->exclusive = exclusive;
    value_key(value, &bound->bytes);
}

static void range_of(const struct key_part *part, struct key_range *range)
{
    if (part->type == NODE_BETWEEN) {
        set_bound(&range->low, part->value, false);
        set_bound(&range->high, part->upper, false);
        return;
    }
    if (part->type == NODE_FUNCTION) {
        set_bound(&range->low, part->value, false);
        set_bound(&range->high, part->value, true);
        range->high.present = after_prefix(&range->high.bytes);
        return;
    }
    if (part->compare == COMPARE_EQ || part->compare == COMPARE_GE || part->compare == COMPARE_GT) {
        set_bound(&range->low, part->value, part->compare == COMPARE_GT);
    }
    if (part->compare == COMPARE_EQ || part->compare == COMPARE_LE || part->compare == COMPARE_LT) {
        set_bound(&range->high, part->value, part->compare == COMPARE_LT);
    }
}

int key_condition_apply(const struct key_condition *condition, const struct key_schema *schema,
                        struct key_range *range, struct error *err)
{
    const struct key_part *hash = NULL, *sort = NULL;

    *range = (struct key_range){0};
    for (size_t i = 0; i < condition->count; i++) {
        const struct key_part *part = &condition->parts[i];

        if (strcmp(part->name, schema->hash_name) == 0) {
            hash = part;
        } else if (schema->range_name != NULL && strcmp(part->name, schema->range_name) == 0) {
            sort = part;
        }
    }
    if (hash == NULL) {
        return error_api(err, "ValidationException",
                         "Query condition missed key schema element: %s", schema->hash_name);
    }
    if (condition->count == 2 && sort == NULL) {
        return schema->range_name == NULL
                   ? plain("Query key condition not supported", err)
                   : error_api(err, "ValidationException",
                               "Query condition missed key schema element: %s", schema->range_name);
    }
    if (hash->type != NODE_COMPARE || hash->compare != COMPARE_EQ) {
        return plain("Query key condition not supported", err);
    }
    if (value_type_of(hash->value) != schema->hash_type ||
        (sort != NULL && value_type_of(sort->value) != schema->range_type) ||
        (sort != NULL && sort->upper != NULL && value_type_of(sort->upper) != schema->range_type)) {
        return wrong_type(err);
    }
    range->hash = hash->value;
    if (sort != NULL) {
        range->conditional = true;
        range_of(sort, range);
    }
    return 0;
}

void key_range_close(struct key_range *range)
{
    buf_close(&range->low.bytes);
    buf_close(&range->high.bytes);
    *range = (struct key_range){0};
}

bool key_range_holds(const struct key_range *range, struct slice key)
{
    int low = range->low.present ? slice_compare(key, buf_slice(&range->low.bytes)) : 1;
    int high = range->high.present ? slice_compare(key, buf_slice(&range->high.bytes)) : -1;

    return (low > 0 || (low == 0 && !range->low.exclusive)) &&
           (high < 0 || (high == 0 && !range->high.exclusive));
}
