/* Conditions: grammar, checks in DynamoDB's order, evaluation. */
#include "base/buf.h"
#include "base/macros.h"
#include "services/dynamodb/parser.h"
#include "services/dynamodb/value.h"

#include <string.h>

/* Grammar. A bare operand is let through until it is known that nothing compares it, for "(" may
 * open either. */

static bool is_condition(const struct node *node)
{
    return node->type != NODE_PATH && node->type != NODE_VALUE;
}

static int parse_or(struct parser *parser, struct node **out, struct error *err);

static bool take_compare(struct parser *parser, enum compare *compare)
{
    static const char *const signs[] = {
        [COMPARE_EQ] = "=",  [COMPARE_NE] = "<>", [COMPARE_LT] = "<",
        [COMPARE_LE] = "<=", [COMPARE_GT] = ">",  [COMPARE_GE] = ">=",
    };

    for (size_t i = 0; i < COUNT_OF(signs); i++) {
        if (parser_take_sign(parser, signs[i])) {
            *compare = (enum compare)i;
            return true;
        }
    }
    return false;
}

const char *compare_text(enum compare compare)
{
    static const char *const texts[] = {"=", "<>", "<", "<=", ">", ">="};

    return texts[compare];
}

static int parse_more(struct parser *parser, struct node *node, struct error *err)
{
    struct node *operand = NULL;
    int rc = parse_operand(parser, &operand, err);

    if (rc == 0) {
        node_add(parser, node, operand);
    }
    return rc;
}

static int parse_between(struct parser *parser, struct node *node, struct error *err)
{
    int rc = parse_more(parser, node, err);

    if (rc == 0 && !parser_take_word(parser, "AND")) {
        return parser_syntax_error(parser, err);
    }
    return rc != 0 ? rc : parse_more(parser, node, err);
}

static int parse_in(struct parser *parser, struct node *node, struct error *err)
{
    int rc = parser_expect_sign(parser, "(", err);

    while (rc == 0) {
        rc = parse_more(parser, node, err);
        if (rc == 0 && !parser_take_sign(parser, ",")) {
            break;
        }
    }
    return rc != 0 ? rc : parser_expect_sign(parser, ")", err);
}

static bool can_be_compared(const struct node *node)
{
    return node->type == NODE_PATH || node->type == NODE_VALUE || node->type == NODE_FUNCTION;
}

static int parse_primary(struct parser *parser, struct node **out, struct error *err)
{
    struct node *left = NULL, *node;
    enum compare compare = COMPARE_EQ;
    int rc = parse_operand_or(parser, parse_or, &left, err);

    *out = left;
    if (rc != 0 || !can_be_compared(left)) {
        return rc;
    }
    if (take_compare(parser, &compare)) {
        node = node_new(parser, NODE_COMPARE);
        node->compare = compare;
        node_add(parser, node, left);
        rc = parse_more(parser, node, err);
    } else if (parser_take_word(parser, "BETWEEN")) {
        node = node_new(parser, NODE_BETWEEN);
        node_add(parser, node, left);
        rc = parse_between(parser, node, err);
    } else if (parser_take_word(parser, "IN")) {
        node = node_new(parser, NODE_IN);
        node_add(parser, node, left);
        rc = parse_in(parser, node, err);
    } else {
        return 0;
    }
    *out = node;
    return rc;
}

/* What AND, OR and NOT join must be conditions: else the token at hand should have compared. */
static int expect_condition(const struct parser *parser, const struct node *node, struct error *err)
{
    return is_condition(node) ? 0 : parser_syntax_error(parser, err);
}

static int parse_not(struct parser *parser, struct node **out, struct error *err)
{
    struct node *inner = NULL;
    int rc;

    if (!parser_take_word(parser, "NOT")) {
        return parse_primary(parser, out, err);
    }
    rc = parser_enter(parser, err);
    if (rc == 0) {
        rc = parse_not(parser, &inner, err);
    }
    if (rc == 0) {
        rc = expect_condition(parser, inner, err);
    }
    if (rc == 0) {
        *out = node_new(parser, NODE_NOT);
        node_add(parser, *out, inner);
    }
    parser_leave(parser);
    return rc;
}

/* @next separated by @word. One node for the whole chain, so that long ones do not nest. */
static int parse_chain(struct parser *parser, const char *word, enum node_type type,
                       int (*next)(struct parser *, struct node **, struct error *),
                       struct node **out, struct error *err)
{
    struct node *chain = NULL;
    int rc = next(parser, out, err);

    while (rc == 0 && parser_is_word(parser, word)) {
        struct node *more = NULL;

        rc = expect_condition(parser, *out, err);
        if (rc != 0) {
            return rc;
        }
        parser->at++;
        parser->operators += chain == NULL ? 0 : 1;
        if (chain == NULL) {
            chain = node_new(parser, type);
            node_add(parser, chain, *out);
            *out = chain;
        }
        rc = next(parser, &more, err);
        if (rc == 0) {
            rc = expect_condition(parser, more, err);
        }
        if (rc == 0) {
            node_add(parser, chain, more);
        }
    }
    return rc;
}

static int parse_and(struct parser *parser, struct node **out, struct error *err)
{
    return parse_chain(parser, "AND", NODE_AND, parse_not, out, err);
}

static int parse_or(struct parser *parser, struct node **out, struct error *err)
{
    return parse_chain(parser, "OR", NODE_OR, parse_and, out, err);
}

/* Checks, a walk each. */

typedef int check_fn(struct parser *parser, const struct node *node, bool as_condition,
                     struct error *err);

static int walk(struct parser *parser, const struct node *node, bool as_condition, check_fn *check,
                struct error *err)
{
    bool joins = node->type == NODE_AND || node->type == NODE_OR || node->type == NODE_NOT;
    int rc = check(parser, node, as_condition, err);

    for (size_t i = 0; i < node->args_count && rc == 0; i++) {
        rc = walk(parser, node->args[i], joins, check, err);
    }
    return rc;
}

static int check_known(struct parser *parser, const struct node *node, bool as_condition,
                       struct error *err)
{
    (void)as_condition;
    if (node->type == NODE_FUNCTION && node->function == FUNCTION_UNKNOWN) {
        return parser_invalid(parser, err, "Invalid function name; function: %.*s",
                              SLICE_ARG(node->word));
    }
    return 0;
}

static int check_place(struct parser *parser, const struct node *node, bool as_condition,
                       struct error *err)
{
    if (node->type != NODE_FUNCTION) {
        return 0;
    }
    if (node->function == FUNCTION_IF_NOT_EXISTS || node->function == FUNCTION_LIST_APPEND) {
        return parser_invalid(parser, err,
                              "The function is not allowed in a condition expression; function:"
                              " %s",
                              function_name(node->function));
    }
    if ((node->function == FUNCTION_SIZE) == as_condition) {
        return parser_invalid(parser, err,
                              "The function is not allowed to be used this way in an expression;"
                              " function: %s",
                              function_name(node->function));
    }
    return 0;
}

static const char *operator_text(const struct node *node)
{
    switch (node->type) {
    case NODE_COMPARE:
        return compare_text(node->compare);
    case NODE_BETWEEN:
        return "BETWEEN";
    case NODE_IN:
        return "IN";
    case NODE_FUNCTION:
        return function_name(node->function);
    case NODE_PATH:
    case NODE_VALUE:
    case NODE_AND:
    case NODE_OR:
    case NODE_NOT:
    case NODE_PLUS:
    case NODE_MINUS:
        break;
    }
    return "";
}

static int check_distinct(struct parser *parser, const struct node *node, struct error *err)
{
    for (size_t i = 1; i < node->args_count; i++) {
        if (node->args[0]->type == NODE_PATH && node->args[i]->type == NODE_PATH &&
            paths_equal(&node->args[0]->path, &node->args[i]->path)) {
            return parser_invalid(parser, err,
                                  "The first operand must be distinct from the remaining operands"
                                  " for this operator or function; operator: %s, first operand:"
                                  " %s",
                                  operator_text(node),
                                  path_text(&node->args[0]->path, &parser->scope->arena));
        }
    }
    return 0;
}

static int wrong_type(struct parser *parser, const struct node *node, const char *type,
                      struct error *err)
{
    return parser_invalid(parser, err,
                          "Incorrect operand type for operator or function; operator or function:"
                          " %s, operand type: %s",
                          operator_text(node), type);
}

#define TYPE_BIT(type) (1U << (type))
#define SCALARS (TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_N) | TYPE_BIT(VALUE_B))

/* The constants among the operands from @first on must be of @allowed types. */
static int check_constants(struct parser *parser, const struct node *node, size_t first, size_t end,
                           unsigned allowed, struct error *err)
{
    for (size_t i = first; i < end && i < node->args_count; i++) {
        const struct node *arg = node->args[i];

        if (arg->type == NODE_VALUE && (allowed & TYPE_BIT(value_type_of(arg->value))) == 0) {
            return wrong_type(parser, node, value_type_name(value_type_of(arg->value)), err);
        }
    }
    return 0;
}

static const char *value_text(const json_t *value, struct arena *arena)
{
    const json_t *content = value_content(value);

    return arena_printf(arena, "AttributeValue: {%s:%s}", value_type_name(value_type_of(value)),
                        json_is_string(content) ? json_string_value(content) : "..")
        .data;
}

static int check_bounds(struct parser *parser, const struct node *node, struct error *err)
{
    const struct node *lower = node->args[1], *upper = node->args[2];
    struct arena *arena = &parser->scope->arena;
    int order = 0;

    if (lower->type != NODE_VALUE || upper->type != NODE_VALUE) {
        return 0;
    }
    if (!value_compare(lower->value, upper->value, &order)) {
        return parser_invalid(parser, err,
                              "The BETWEEN operator requires same data type for lower and upper"
                              " bounds; lower bound operand: %s, upper bound operand: %s",
                              value_text(lower->value, arena), value_text(upper->value, arena));
    }
    if (order > 0) {
        return parser_invalid(parser, err,
                              "The BETWEEN operator requires upper bound to be greater than or"
                              " equal to lower bound; lower bound operand: %s, upper bound"
                              " operand: %s",
                              value_text(lower->value, arena), value_text(upper->value, arena));
    }
    return 0;
}

static int check_type_argument(struct parser *parser, const struct node *node, struct error *err)
{
    static const char valid[] = "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}";
    const struct node *arg = node->args[1];
    enum value_type type;
    const json_t *name;

    if (arg->type != NODE_VALUE) {
        return wrong_type(parser, node, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}", err);
    }
    if (value_type_of(arg->value) != VALUE_S) {
        return wrong_type(parser, node, value_type_name(value_type_of(arg->value)), err);
    }
    name = value_content(arg->value);
    if (!value_type_parse(slice_z(json_string_value(name)), &type)) {
        return parser_invalid(parser, err,
                              "Invalid attribute type name found; type: %s, valid types: %s",
                              json_string_value(name), valid);
    }
    return 0;
}

static int check_function(struct parser *parser, const struct node *node, struct error *err)
{
    switch (node->function) {
    case FUNCTION_EXISTS:
    case FUNCTION_NOT_EXISTS:
        if (node->args[0]->type != NODE_PATH) {
            return parser_invalid(parser, err,
                                  "Operator or function requires a document path; operator or"
                                  " function: %s",
                                  function_name(node->function));
        }
        return 0;
    case FUNCTION_TYPE:
        return check_type_argument(parser, node, err);
    case FUNCTION_BEGINS_WITH:
        return check_constants(parser, node, 0, 2, TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_B), err);
    case FUNCTION_CONTAINS:
        return check_constants(
            parser, node, 0, 1,
            ~(TYPE_BIT(VALUE_N) | TYPE_BIT(VALUE_BOOL) | TYPE_BIT(VALUE_NULL) | TYPE_BIT(VALUE_M)),
            err);
    case FUNCTION_SIZE:
        return check_constants(parser, node, 0, 1,
                               ~(TYPE_BIT(VALUE_N) | TYPE_BIT(VALUE_BOOL) | TYPE_BIT(VALUE_NULL)),
                               err);
    case FUNCTION_IF_NOT_EXISTS:
    case FUNCTION_LIST_APPEND:
    case FUNCTION_UNKNOWN:
        break;
    }
    return 0;
}

static int check_operator(struct parser *parser, const struct node *node, struct error *err)
{
    int rc = 0;

    switch (node->type) {
    case NODE_COMPARE:
        return node->compare == COMPARE_EQ || node->compare == COMPARE_NE
                   ? 0
                   : check_constants(parser, node, 0, node->args_count, SCALARS, err);
    case NODE_BETWEEN:
        rc = check_constants(parser, node, 0, node->args_count, SCALARS, err);
        return rc != 0 ? rc : check_bounds(parser, node, err);
    case NODE_FUNCTION:
        return check_function(parser, node, err);
    case NODE_IN:
    case NODE_PATH:
    case NODE_VALUE:
    case NODE_AND:
    case NODE_OR:
    case NODE_NOT:
    case NODE_PLUS:
    case NODE_MINUS:
        break;
    }
    return rc;
}

static int check_primary(struct parser *parser, struct node *node, struct error *err)
{
    int rc = 0;

    if (node->type == NODE_AND || node->type == NODE_OR || node->type == NODE_NOT) {
        for (size_t i = 0; i < node->args_count && rc == 0; i++) {
            rc = check_primary(parser, node->args[i], err);
        }
        return rc;
    }
    rc = resolve_names(parser, node, err);
    if (rc == 0) {
        rc = resolve_values(parser, node, err);
    }
    for (size_t i = 0; i < node->args_count && rc == 0; i++) {
        if (node->args[i]->type == NODE_FUNCTION) { /* size(): already resolved. */
            rc = check_primary(parser, node->args[i], err);
        }
    }
    if (rc == 0 && node->type == NODE_FUNCTION) {
        rc = check_operand_count(parser, node, err);
    }
    if (rc == 0 && node->type == NODE_IN && node->args_count > EXPRESSION_IN_MAX + 1) {
        rc = parser_invalid(parser, err, "Too many operands for operator: IN, maximum operands: %d",
                            EXPRESSION_IN_MAX);
    }
    if (rc == 0) {
        rc = check_distinct(parser, node, err);
    }
    return rc != 0 ? rc : check_operator(parser, node, err);
}

int condition_parse(struct scope *scope, const char *parameter, struct slice text,
                    struct node **root, struct error *err)
{
    struct parser parser;
    int rc = parser_open(&parser, scope, parameter, text, err);

    *root = NULL;
    if (rc == 0) {
        rc = parse_or(&parser, root, err);
    }
    if (rc == 0) {
        rc = parser_expect_end(&parser, err);
    }
    if (rc == 0) {
        rc = expect_condition(&parser, *root, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (parser.operators > EXPRESSION_OPERATORS_MAX) {
        return parser_invalid(&parser, err,
                              "The expression contains too many operators; operator count: %d",
                              parser.operators);
    }
    if (parser.redundant_parens) {
        return parser_invalid(&parser, err, "The expression has redundant parentheses;");
    }
    rc = walk(&parser, *root, true, check_known, err);
    if (rc == 0) {
        rc = walk(&parser, *root, true, check_place, err);
    }
    if (rc == 0) {
        rc = check_reserved(&parser, *root, err);
    }
    return rc != 0 ? rc : check_primary(&parser, *root, err);
}

/* Evaluation. */

/* A new reference, or NULL when there is no value. */
static json_t *operand(const struct node *node, const json_t *item)
{
    json_t *value;
    int64_t size = 0;
    bool sized;

    if (node->type == NODE_VALUE) {
        return json_incref(node->value);
    }
    if (node->type == NODE_PATH) {
        return json_incref(path_get(&node->path, item));
    }
    value = operand(node->args[0], item); /* size() */
    sized = value != NULL && value_size(value, &size);
    json_decref(value);
    return sized ? value_new_number(size) : NULL;
}

static bool compare_values(enum compare compare, const json_t *a, const json_t *b)
{
    int order = 0;

    if (compare == COMPARE_EQ) {
        return a != NULL && b != NULL && value_equal(a, b);
    }
    if (compare == COMPARE_NE) {
        return a == NULL || b == NULL || !value_equal(a, b);
    }
    if (a == NULL || b == NULL || !value_compare(a, b, &order)) {
        return false;
    }
    switch (compare) {
    case COMPARE_LT:
        return order < 0;
    case COMPARE_LE:
        return order <= 0;
    case COMPARE_GT:
        return order > 0;
    case COMPARE_GE:
        return order >= 0;
    case COMPARE_EQ:
    case COMPARE_NE:
        break;
    }
    return false;
}

static bool function_holds(const struct node *node, const json_t *item)
{
    json_t *first = operand(node->args[0], item);
    json_t *second = node->args_count > 1 ? operand(node->args[1], item) : NULL;
    enum value_type type = VALUE_TYPES;
    bool holds = false;

    switch (node->function) {
    case FUNCTION_EXISTS:
        holds = first != NULL;
        break;
    case FUNCTION_NOT_EXISTS:
        holds = first == NULL;
        break;
    case FUNCTION_TYPE:
        holds = first != NULL &&
                value_type_parse(slice_z(json_string_value(value_content(second))), &type) &&
                type == value_type_of(first);
        break;
    case FUNCTION_BEGINS_WITH:
        holds = first != NULL && second != NULL && value_begins_with(first, second);
        break;
    case FUNCTION_CONTAINS:
        holds = first != NULL && second != NULL && value_contains(first, second);
        break;
    case FUNCTION_SIZE:
    case FUNCTION_IF_NOT_EXISTS:
    case FUNCTION_LIST_APPEND:
    case FUNCTION_UNKNOWN:
        break;
    }
    json_decref(first);
    json_decref(second);
    return holds;
}

static bool between_holds(const struct node *node, const json_t *item)
{
    json_t *what = operand(node->args[0], item);
    json_t *lower = operand(node->args[1], item);
    json_t *upper = operand(node->args[2], item);
    bool holds = compare_values(COMPARE_GE, what, lower) && compare_values(COMPARE_LE, what, upper);

    json_decref(what);
    json_decref(lower);
    json_decref(upper);
    return holds;
}

static bool in_holds(const struct node *node, const json_t *item)
{
    json_t *what = operand(node->args[0], item);
    bool holds = false;

    for (size_t i = 1; i < node->args_count && !holds; i++) {
        json_t *candidate = operand(node->args[i], item);

        holds = compare_values(COMPARE_EQ, what, candidate);
        json_decref(candidate);
    }
    json_decref(what);
    return holds;
}

static bool compare_holds(const struct node *node, const json_t *item)
{
    json_t *left = operand(node->args[0], item);
    json_t *right = operand(node->args[1], item);
    bool holds = compare_values(node->compare, left, right);

    json_decref(left);
    json_decref(right);
    return holds;
}

int64_t condition_operands(const struct node *root)
{
    int64_t count = 1;

    for (size_t i = 0; i < root->args_count; i++) {
        count += condition_operands(root->args[i]);
    }
    return count;
}

bool condition_holds(const struct node *root, const json_t *item)
{
    switch (root->type) {
    case NODE_AND:
        for (size_t i = 0; i < root->args_count; i++) {
            if (!condition_holds(root->args[i], item)) {
                return false;
            }
        }
        return true;
    case NODE_OR:
        for (size_t i = 0; i < root->args_count; i++) {
            if (condition_holds(root->args[i], item)) {
                return true;
            }
        }
        return false;
    case NODE_NOT:
        return !condition_holds(root->args[0], item);
    case NODE_COMPARE:
        return compare_holds(root, item);
    case NODE_BETWEEN:
        return between_holds(root, item);
    case NODE_IN:
        return in_holds(root, item);
    case NODE_FUNCTION:
        return function_holds(root, item);
    case NODE_PATH:
    case NODE_VALUE:
    case NODE_PLUS:
    case NODE_MINUS:
        break;
    }
    ASSERT(false);
    return false;
}

bool condition_names(const struct node *root, const char *name)
{
    if (root->type == NODE_PATH && slice_equal_z(root->path.elements[0].name, name)) {
        return true;
    }
    for (size_t i = 0; i < root->args_count; i++) {
        if (condition_names(root->args[i], name)) {
            return true;
        }
    }
    return false;
}

int condition_check_keys(const struct node *root, const char *hash_name, const char *range_name,
                         struct error *err)
{
    int rc = root->type == NODE_PATH ? path_check_keys(&root->path, hash_name, range_name, err) : 0;

    for (size_t i = 0; i < root->args_count && rc == 0; i++) {
        rc = condition_check_keys(root->args[i], hash_name, range_name, err);
    }
    return rc;
}
