/* Update expressions: grammar, and checks in DynamoDB's order. */
#include "base/alloc.h"
#include "base/macros.h"
#include "services/dynamodb/parser.h"
#include "services/dynamodb/value.h"

#include <stdlib.h>

/* Grammar. The actions' paths are kept as nodes until names are resolved. */

struct draft {
    enum update_type type;
    struct node *path;
    struct node *value;
};

struct drafts {
    struct draft *list;
    size_t count, room;
    int sections[4];
    bool repeated;
    enum update_type repeated_type;
};

static const char *const section_words[] = {[UPDATE_SET] = "SET",
                                            [UPDATE_REMOVE] = "REMOVE",
                                            [UPDATE_ADD] = "ADD",
                                            [UPDATE_DELETE] = "DELETE"};

static int parse_sum(struct parser *parser, struct node **out, struct error *err);

static bool is_sum(const struct node *node)
{
    return node->type == NODE_PLUS || node->type == NODE_MINUS;
}

static int parse_sum(struct parser *parser, struct node **out, struct error *err)
{
    struct node *left = NULL, *right = NULL;
    int rc = parse_operand_or(parser, parse_sum, &left, err);
    bool plus;

    *out = left;
    if (rc != 0 || !(parser_is_sign(parser, "+") || parser_is_sign(parser, "-"))) {
        return rc;
    }
    if (is_sum(left)) {
        return parser_syntax_error(parser, err); /* Two terms, no more. */
    }
    plus = parser_is_sign(parser, "+");
    parser->at++;
    rc = parse_operand_or(parser, parse_sum, &right, err);
    if (rc == 0 && is_sum(right)) {
        return parser_syntax_error(parser, err);
    }
    if (rc == 0) {
        *out = node_new(parser, plus ? NODE_PLUS : NODE_MINUS);
        node_add(parser, *out, left);
        node_add(parser, *out, right);
    }
    return rc;
}

static int parse_value(struct parser *parser, struct draft *draft, struct error *err)
{
    int rc = 0;

    switch (draft->type) {
    case UPDATE_SET:
        rc = parser_expect_sign(parser, "=", err);
        return rc != 0 ? rc : parse_sum(parser, &draft->value, err);
    case UPDATE_ADD:
    case UPDATE_DELETE:
        if (parser_peek(parser)->type != TOKEN_VALREF) {
            return parser_syntax_error(parser, err);
        }
        return parse_operand(parser, &draft->value, err);
    case UPDATE_REMOVE:
        break;
    }
    return 0;
}

static int parse_section(struct parser *parser, enum update_type type, struct drafts *drafts,
                         struct error *err)
{
    do {
        struct draft draft = {.type = type};
        int rc = parse_path(parser, &draft.path, err);

        if (rc == 0) {
            rc = parse_value(parser, &draft, err);
        }
        if (rc != 0) {
            return rc;
        }
        parser->operators++;
        drafts->list = mem_grow(drafts->list, drafts->count, &drafts->room, sizeof(draft));
        drafts->list[drafts->count++] = draft;
    } while (parser_take_sign(parser, ","));
    return 0;
}

static int parse_sections(struct parser *parser, struct drafts *drafts, struct error *err)
{
    do {
        int type = -1;
        int rc;

        for (int i = 0; i < 4 && type < 0; i++) {
            type = parser_take_word(parser, section_words[i]) ? i : -1;
        }
        if (type < 0) {
            return parser_syntax_error(parser, err);
        }
        if (drafts->sections[type]++ > 0 && !drafts->repeated) {
            drafts->repeated = true;
            drafts->repeated_type = (enum update_type)type;
        }
        rc = parse_section(parser, (enum update_type)type, drafts, err);
        if (rc != 0) {
            return rc;
        }
    } while (parser_peek(parser)->type != TOKEN_END);
    return 0;
}

/* Checks. */

static int check_functions(const struct parser *parser, const struct node *node, bool in_append,
                           struct error *err)
{
    int rc = 0;

    if (node == NULL) {
        return 0;
    }
    if (node->type == NODE_FUNCTION) {
        if (node->function == FUNCTION_UNKNOWN) {
            return parser_invalid(parser, err, "Invalid function name; function: %.*s",
                                  SLICE_ARG(node->word));
        }
        if (node->function != FUNCTION_IF_NOT_EXISTS && node->function != FUNCTION_LIST_APPEND) {
            return parser_invalid(parser, err,
                                  "The function is not allowed in an update expression; function:"
                                  " %s",
                                  function_name(node->function));
        }
        if (node->function == FUNCTION_LIST_APPEND && in_append) {
            return parser_invalid(parser, err,
                                  "The function is not allowed to be used this way in an"
                                  " expression; function: list_append");
        }
        in_append = in_append || node->function == FUNCTION_LIST_APPEND;
    }
    for (size_t i = 0; i < node->args_count && rc == 0; i++) {
        rc = check_functions(parser, node->args[i], in_append, err);
    }
    return rc;
}

static int wrong_type(const struct parser *parser, const char *operator, enum value_type type,
                      struct error *err)
{
    return parser_invalid(parser, err,
                          "Incorrect operand type for operator or function; operator or function:"
                          " %s, operand type: %s",
                          operator, value_type_name(type));
}

/* Counts, and the types of constants. */
static int check_arguments(const struct parser *parser, const struct node *node, struct error *err)
{
    bool append = node->type == NODE_FUNCTION && node->function == FUNCTION_LIST_APPEND;
    int rc = node->type == NODE_FUNCTION ? check_operand_count(parser, node, err) : 0;

    if (rc == 0 && node->type == NODE_FUNCTION && node->function == FUNCTION_IF_NOT_EXISTS &&
        node->args[0]->type != NODE_PATH) {
        return parser_invalid(parser, err,
                              "Operator or function requires a document path; operator or"
                              " function: if_not_exists");
    }
    for (size_t i = 0; i < node->args_count && rc == 0; i++) {
        const struct node *arg = node->args[i];

        if (arg->type == NODE_VALUE && (is_sum(node) || append)) {
            enum value_type type = value_type_of(arg->value);

            if (is_sum(node) && type != VALUE_N) {
                rc = wrong_type(parser, node->type == NODE_PLUS ? "+" : "-", type, err);
            } else if (append && type != VALUE_L) {
                rc = wrong_type(parser, "list_append", type, err);
            }
        }
        if (rc == 0) {
            rc = check_arguments(parser, arg, err);
        }
    }
    return rc;
}

static bool is_set(enum value_type type)
{
    return type == VALUE_SS || type == VALUE_NS || type == VALUE_BS;
}

static int check_operands(const struct parser *parser, const struct draft *draft, struct error *err)
{
    enum value_type type;
    bool fits;

    if (draft->type != UPDATE_ADD && draft->type != UPDATE_DELETE) {
        return 0;
    }
    type = value_type_of(draft->value->value);
    fits = is_set(type) || (draft->type == UPDATE_ADD && type == VALUE_N);
    return fits ? 0
                : parser_invalid(parser, err,
                                 "Incorrect operand type for operator or function; operator: %s,"
                                 " operand type: %s",
                                 section_words[draft->type], value_type_word(type));
}

static int check_repeated(const struct parser *parser, const struct drafts *drafts,
                          struct error *err)
{
    return !drafts->repeated
               ? 0
               : error_api(err, "ValidationException",
                           "%sInvalid UpdateExpression: The \"%s\" section can only be used once"
                           " in an update expression;",
                           parser->scope->write ? "1 validation error detected: " : "",
                           section_words[drafts->repeated_type]);
}

static int check_paths(const struct parser *parser, const struct drafts *drafts, struct error *err)
{
    for (size_t i = 0; i < drafts->count; i++) {
        for (size_t j = i + 1; j < drafts->count; j++) {
            int rc = check_overlap(parser, &drafts->list[i].path->path, &drafts->list[j].path->path,
                                   err);

            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* One kind of check over all drafts before the next kind. */
static int check_all(struct parser *parser, const struct drafts *drafts, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; i < drafts->count && rc == 0; i++) {
        rc = check_reserved(parser, drafts->list[i].path, err);
        if (rc == 0 && drafts->list[i].value != NULL) {
            rc = check_reserved(parser, drafts->list[i].value, err);
        }
    }
    for (size_t i = 0; i < drafts->count && rc == 0; i++) {
        rc = check_functions(parser, drafts->list[i].value, false, err);
    }
    if (rc == 0) {
        rc = check_repeated(parser, drafts, err);
    }
    for (size_t i = 0; i < drafts->count && rc == 0; i++) {
        rc = resolve_names(parser, drafts->list[i].path, err);
        if (rc == 0 && drafts->list[i].value != NULL) {
            rc = resolve_names(parser, drafts->list[i].value, err);
        }
    }
    for (size_t i = 0; i < drafts->count && rc == 0; i++) {
        if (drafts->list[i].value != NULL) {
            rc = resolve_values(parser, drafts->list[i].value, err);
        }
    }
    if (rc == 0) {
        rc = check_paths(parser, drafts, err);
    }
    for (size_t i = 0; i < drafts->count && rc == 0; i++) {
        rc = check_operands(parser, &drafts->list[i], err);
    }
    for (size_t i = 0; i < drafts->count && rc == 0; i++) {
        if (drafts->list[i].value != NULL) {
            rc = check_arguments(parser, drafts->list[i].value, err);
        }
    }
    return rc;
}

int update_parse(struct scope *scope, struct slice text, struct update *update, struct error *err)
{
    struct drafts drafts = {0};
    struct parser parser;
    int rc = parser_open(&parser, scope, "UpdateExpression", text, err);

    *update = (struct update){0};
    if (rc != 0) {
        return rc;
    }
    rc = parse_sections(&parser, &drafts, err);
    if (rc == 0 && parser.operators > EXPRESSION_OPERATORS_MAX) {
        rc = parser_invalid(&parser, err,
                            "The expression contains too many operators; operator count: %d",
                            parser.operators);
    }
    if (rc == 0 && parser.redundant_parens) {
        rc = parser_invalid(&parser, err, "The expression has redundant parentheses;");
    }
    if (rc == 0) {
        rc = check_all(&parser, &drafts, err);
    }
    if (rc == 0) {
        update->actions = arena_calloc(&scope->arena, drafts.count, sizeof(*update->actions));
        for (size_t i = 0; i < drafts.count; i++) {
            const struct draft *draft = &drafts.list[i];

            update->actions[i] =
                (struct update_action){draft->type, draft->path->path, draft->value};
        }
        update->count = drafts.count;
    }
    free(drafts.list);
    return rc;
}

int update_check_keys(const struct update *update, const char *hash_name, const char *range_name,
                      struct error *err)
{
    for (size_t i = 0; i < update->count; i++) {
        const struct path *path = &update->actions[i].path;
        struct slice name = path->elements[0].name;
        int rc = path_check_keys(path, hash_name, range_name, err);

        if (rc != 0) {
            return rc;
        }
        if (slice_equal_z(name, hash_name) ||
            (range_name != NULL && slice_equal_z(name, range_name))) {
            return error_api(err, "ValidationException",
                             PARAMETER_INVALID
                             "Cannot update attribute %s. This attribute is part of the key",
                             name.data);
        }
    }
    return 0;
}

bool update_creates(const struct update *update)
{
    for (size_t i = 0; i < update->count; i++) {
        if (update->actions[i].type == UPDATE_SET || update->actions[i].type == UPDATE_ADD) {
            return true;
        }
    }
    return update->count == 0;
}

void update_paths(const struct update *update, struct arena *arena, struct projection *paths)
{
    *paths = (struct projection){0};
    paths->paths = arena_calloc(arena, update->count + 1, sizeof(struct path));
    for (size_t i = 0; i < update->count; i++) {
        paths->paths[paths->count++] = update->actions[i].path;
    }
    projection_sort(paths);
}
