/* Tokens, paths, operands and complaints: what all expressions are made of. */
#include "services/dynamodb/parser.h"

#include "base/buf.h"
#include "base/macros.h"
#include "base/text.h"
#include "services/dynamodb/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int parser_invalid(const struct parser *parser, struct error *err, const char *format, ...)
{
    char text[ERROR_MESSAGE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_api(err, "ValidationException", "Invalid %s: %s", parser->parameter, text);
}

/* Lexing. */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t word_bytes(struct slice rest, size_t from)
{
    size_t at = from;

    while (at < rest.bytes &&
           (is_letter(rest.data[at]) || is_digit(rest.data[at]) || rest.data[at] == '_')) {
        at++;
    }
    return at;
}

static struct token next_token(struct slice rest)
{
    static const char *const signs[] = {"<>", "<=", ">=", "=", "<", ">", "+",
                                        "-",  ",",  "(",  ")", ".", "[", "]"};
    struct token token = {.type = TOKEN_BAD, .text = slice_sub(rest, 0, 1)};
    char c = rest.data[0];
    size_t bytes = 1;

    if (is_letter(c)) {
        token.type = TOKEN_NAME;
        bytes = word_bytes(rest, 1);
    } else if ((c == '#' || c == ':') && word_bytes(rest, 1) > 1) {
        token.type = c == '#' ? TOKEN_NAMEREF : TOKEN_VALREF;
        bytes = word_bytes(rest, 1);
    } else if (is_digit(c)) {
        token.type = TOKEN_INT;
        while (bytes < rest.bytes && is_digit(rest.data[bytes])) {
            bytes++;
        }
    } else {
        for (size_t i = 0; i < COUNT_OF(signs); i++) {
            if (slice_starts(rest, slice_z(signs[i]))) {
                token.type = TOKEN_SIGN;
                bytes = strlen(signs[i]);
                break;
            }
        }
        while (token.type == TOKEN_BAD && bytes < rest.bytes &&
               ((unsigned char)rest.data[bytes] & 0xc0) == 0x80) {
            bytes++; /* The whole character: it is quoted. */
        }
    }
    token.text.bytes = bytes;
    return token;
}

int parser_open(struct parser *parser, struct scope *scope, const char *parameter,
                struct slice text, struct error *err)
{
    size_t count = 0;

    *parser = (struct parser){.scope = scope, .parameter = parameter};
    if (text.bytes == 0) {
        return error_api(err, "ValidationException",
                         "%sInvalid %s: The expression can not be empty;",
                         scope->write && strcmp(parameter, "UpdateExpression") == 0
                             ? "1 validation error detected: "
                             : "",
                         parameter);
    }
    if (text.bytes > EXPRESSION_BYTES_MAX) {
        return parser_invalid(parser, err,
                              "Expression size has exceeded the maximum allowed size; expression"
                              " size: %zu",
                              text.bytes);
    }
    text = arena_copy(&scope->arena, text);
    parser->text = text;
    parser->tokens = arena_calloc(&scope->arena, text.bytes + 1, sizeof(*parser->tokens));
    for (size_t at = 0; at < text.bytes;) {
        if (is_blank(text.data[at])) {
            at++;
            continue;
        }
        parser->tokens[count] = next_token(slice_sub(text, at, text.bytes));
        at += parser->tokens[count].text.bytes;
        count++;
    }
    parser->tokens[count] =
        (struct token){.type = TOKEN_END, .text = slice_of(text.data + text.bytes, 0)};
    return 0;
}

const struct token *parser_peek(const struct parser *parser)
{
    return &parser->tokens[parser->at];
}

bool parser_is_sign(const struct parser *parser, const char *sign)
{
    const struct token *token = parser_peek(parser);

    return token->type == TOKEN_SIGN && slice_equal_z(token->text, sign);
}

bool parser_is_word(const struct parser *parser, const char *word)
{
    const struct token *token = parser_peek(parser);

    return token->type == TOKEN_NAME && slice_equal_case(token->text, slice_z(word));
}

bool parser_take_sign(struct parser *parser, const char *sign)
{
    bool there = parser_is_sign(parser, sign);

    parser->at += there ? 1 : 0;
    return there;
}

bool parser_take_word(struct parser *parser, const char *word)
{
    bool there = parser_is_word(parser, word);

    parser->at += there ? 1 : 0;
    return there;
}

int parser_syntax_error(const struct parser *parser, struct error *err)
{
    const struct token *token = parser_peek(parser);
    const struct token *first = parser->at > 0 ? token - 1 : token;
    const struct token *last = token->type == TOKEN_END ? token : token + 1;
    struct slice near =
        slice_of(first->text.data, (size_t)(last->text.data + last->text.bytes - first->text.data));

    near = slice_trim(near);
    return parser_invalid(parser, err, "Syntax error; token: \"%.*s\", near: \"%.*s\"",
                          token->type == TOKEN_END ? 5 : (int)token->text.bytes,
                          token->type == TOKEN_END ? "<EOF>" : token->text.data, SLICE_ARG(near));
}

int parser_expect_sign(struct parser *parser, const char *sign, struct error *err)
{
    return parser_take_sign(parser, sign) ? 0 : parser_syntax_error(parser, err);
}

int parser_expect_end(struct parser *parser, struct error *err)
{
    return parser_peek(parser)->type == TOKEN_END ? 0 : parser_syntax_error(parser, err);
}

int parser_enter(struct parser *parser, struct error *err)
{
    if (++parser->depth > PARSER_DEPTH_MAX) {
        return parser_invalid(parser, err,
                              "The expression contains too many operators; operator count: %d",
                              EXPRESSION_OPERATORS_MAX + 1);
    }
    return 0;
}

void parser_leave(struct parser *parser)
{
    parser->depth--;
}

/* Nodes. */

struct node *node_new(struct parser *parser, enum node_type type)
{
    struct node *node = arena_calloc(&parser->scope->arena, 1, sizeof(*node));

    node->type = type;
    node->function = FUNCTION_UNKNOWN;
    parser->operators += type == NODE_PATH || type == NODE_VALUE ? 0 : 1;
    return node;
}

/* An array in the arena that doubles; what it outgrew stays until the arena ends. */
static void *arena_grow(struct arena *arena, void *old, size_t count, size_t *room, size_t bytes)
{
    void *grown;

    if (count < *room) {
        return old;
    }
    *room = *room == 0 ? 4 : *room * 2;
    grown = arena_calloc(arena, *room, bytes);
    if (count > 0) {
        memcpy(grown, old, count * bytes);
    }
    return grown;
}

void node_add(struct parser *parser, struct node *node, struct node *arg)
{
    node->args = arena_grow(&parser->scope->arena, node->args, node->args_count, &node->args_room,
                            sizeof(struct node *));
    node->args[node->args_count++] = arg;
}

static void add_element(struct parser *parser, struct node *node, struct raw_element element)
{
    node->raw = arena_grow(&parser->scope->arena, node->raw, node->raw_count, &node->raw_room,
                           sizeof(struct raw_element));
    node->raw[node->raw_count++] = element;
}

static bool is_keyword(struct slice word)
{
    static const char *const keywords[] = {"AND", "OR",     "NOT", "BETWEEN", "IN",
                                           "SET", "REMOVE", "ADD", "DELETE"};

    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        if (slice_equal_case(word, slice_z(keywords[i]))) {
            return true;
        }
    }
    return false;
}

static int parse_element(struct parser *parser, struct node *node, struct error *err)
{
    const struct token *token = parser_peek(parser);

    if ((token->type != TOKEN_NAME || is_keyword(token->text)) && token->type != TOKEN_NAMEREF) {
        return parser_syntax_error(parser, err);
    }
    add_element(parser, node, (struct raw_element){token->text, token->type == TOKEN_NAMEREF, -1});
    parser->at++;
    return 0;
}

static int parse_index(struct parser *parser, struct node *node, struct error *err)
{
    const struct token *token = parser_peek(parser);
    int64_t index = 0;

    if (token->type != TOKEN_INT) {
        return parser_syntax_error(parser, err);
    }
    if (text_to_i64(token->text, 0, EXPRESSION_LIST_INDEX_MAX, &index, NULL) != 0) {
        return parser_invalid(parser, err,
                              "List index is not within the allowable range; index: [%.*s]",
                              SLICE_ARG(token->text));
    }
    parser->at++;
    add_element(parser, node, (struct raw_element){.index = index});
    return parser_expect_sign(parser, "]", err);
}

int parse_path(struct parser *parser, struct node **out, struct error *err)
{
    struct node *node = node_new(parser, NODE_PATH);
    int rc = parse_element(parser, node, err);

    while (rc == 0) {
        if (parser_take_sign(parser, ".")) {
            rc = parse_element(parser, node, err);
        } else if (parser_take_sign(parser, "[")) {
            rc = parse_index(parser, node, err);
        } else {
            break;
        }
    }
    *out = node;
    if (rc == 0 && node->raw_count > VALUE_LEVELS_MAX) {
        return parser_invalid(parser, err,
                              "The document path has too many nesting levels; nesting levels: %zu",
                              node->raw_count);
    }
    return rc;
}

static const char *const functions[] = {
    [FUNCTION_EXISTS] = "attribute_exists",     [FUNCTION_NOT_EXISTS] = "attribute_not_exists",
    [FUNCTION_TYPE] = "attribute_type",         [FUNCTION_BEGINS_WITH] = "begins_with",
    [FUNCTION_CONTAINS] = "contains",           [FUNCTION_SIZE] = "size",
    [FUNCTION_IF_NOT_EXISTS] = "if_not_exists", [FUNCTION_LIST_APPEND] = "list_append",
};

const char *function_name(enum function function)
{
    return functions[function];
}

static int parse_function(struct parser *parser, struct node **out, struct error *err)
{
    struct node *node = node_new(parser, NODE_FUNCTION);
    int rc = 0;

    node->word = parser_peek(parser)->text;
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (slice_equal_z(node->word, functions[i])) {
            node->function = (enum function)i;
        }
    }
    parser->at += 2; /* The name and "(". */
    do {
        struct node *arg = NULL;

        rc = parse_operand(parser, &arg, err);
        if (rc == 0) {
            node_add(parser, node, arg);
        }
    } while (rc == 0 && parser_take_sign(parser, ","));
    *out = node;
    return rc != 0 ? rc : parser_expect_sign(parser, ")", err);
}

static int parse_parens(struct parser *parser, struct node **out, struct error *err)
{
    int rc = parse_operand(parser, out, err);

    if (rc == 0) {
        rc = parser_expect_sign(parser, ")", err);
    }
    if (rc == 0) {
        parser->redundant_parens = parser->redundant_parens || (*out)->in_parens;
        (*out)->in_parens = true;
    }
    return rc;
}

int parse_operand(struct parser *parser, struct node **out, struct error *err)
{
    const struct token *token = parser_peek(parser);
    int rc = parser_enter(parser, err);

    if (rc != 0) {
        return rc;
    }
    if (parser_take_sign(parser, "(")) {
        rc = parse_parens(parser, out, err);
    } else if (token->type == TOKEN_VALREF) {
        *out = node_new(parser, NODE_VALUE);
        (*out)->word = token->text;
        parser->at++;
    } else if (token->type == TOKEN_NAME && !is_keyword(token->text) &&
               slice_equal_z(token[1].text, "(")) {
        rc = parse_function(parser, out, err);
    } else {
        rc = parse_path(parser, out, err);
    }
    parser_leave(parser);
    return rc;
}

int parse_operand_or(struct parser *parser,
                     int (*inner)(struct parser *parser, struct node **out, struct error *err),
                     struct node **out, struct error *err)
{
    int rc;

    if (!parser_take_sign(parser, "(")) {
        return parse_operand(parser, out, err);
    }
    rc = parser_enter(parser, err);
    if (rc == 0) {
        rc = inner(parser, out, err);
    }
    if (rc == 0) {
        rc = parser_expect_sign(parser, ")", err);
    }
    if (rc == 0) {
        parser->redundant_parens = parser->redundant_parens || (*out)->in_parens;
        (*out)->in_parens = true;
    }
    parser_leave(parser);
    return rc;
}

/* Checks that conditions and updates share. */

int check_reserved(const struct parser *parser, const struct node *node, struct error *err)
{
    for (size_t i = 0; i < node->raw_count; i++) {
        const struct raw_element *element = &node->raw[i];

        if (element->index < 0 && !element->is_ref && word_is_reserved(element->word)) {
            return parser_invalid(parser, err,
                                  "Attribute name is a reserved keyword; reserved keyword: %.*s",
                                  SLICE_ARG(element->word));
        }
    }
    for (size_t i = 0; i < node->args_count; i++) {
        int rc = check_reserved(parser, node->args[i], err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int resolve_element(struct parser *parser, const struct raw_element *raw,
                           struct path_element *element, struct error *err)
{
    struct scope *scope = parser->scope;
    const char *key;
    const json_t *name;

    element->index = raw->index;
    if (raw->index >= 0) {
        return 0;
    }
    key = arena_strdup(&scope->arena, raw->word);
    if (!raw->is_ref) {
        element->name = slice_of(key, raw->word.bytes);
        return 0;
    }
    name = json_object_get(scope->names, key);
    if (name == NULL) {
        return parser_invalid(parser, err,
                              "An expression attribute name used in the document path is not"
                              " defined; attribute name: %s",
                              key);
    }
    json_object_set_new(scope->names_used, key, json_true());
    element->name = arena_copy(&scope->arena, slice_z(json_string_value(name)));
    return 0;
}

int resolve_names(struct parser *parser, struct node *node, struct error *err)
{
    int rc = 0;

    if (node->type == NODE_PATH && node->path.elements == NULL) {
        node->path.elements =
            arena_calloc(&parser->scope->arena, node->raw_count, sizeof(*node->path.elements));
        node->path.count = node->raw_count;
        for (size_t i = 0; i < node->raw_count && rc == 0; i++) {
            rc = resolve_element(parser, &node->raw[i], &node->path.elements[i], err);
        }
    }
    for (size_t i = 0; i < node->args_count && rc == 0; i++) {
        rc = resolve_names(parser, node->args[i], err);
    }
    return rc;
}

int resolve_values(struct parser *parser, struct node *node, struct error *err)
{
    struct scope *scope = parser->scope;
    int rc = 0;

    if (node->type == NODE_VALUE) {
        const char *key = arena_strdup(&scope->arena, node->word);

        node->value = json_object_get(scope->values, key);
        if (node->value == NULL) {
            return parser_invalid(parser, err,
                                  "An expression attribute value used in expression is not"
                                  " defined; attribute value: %s",
                                  key);
        }
        json_object_set_new(scope->values_used, key, json_true());
    }
    for (size_t i = 0; i < node->args_count && rc == 0; i++) {
        rc = resolve_values(parser, node->args[i], err);
    }
    return rc;
}

int check_operand_count(const struct parser *parser, const struct node *node, struct error *err)
{
    static const size_t wanted[] = {
        [FUNCTION_EXISTS] = 1,        [FUNCTION_NOT_EXISTS] = 1,  [FUNCTION_TYPE] = 2,
        [FUNCTION_BEGINS_WITH] = 2,   [FUNCTION_CONTAINS] = 2,    [FUNCTION_SIZE] = 1,
        [FUNCTION_IF_NOT_EXISTS] = 2, [FUNCTION_LIST_APPEND] = 2,
    };

    if (node->args_count == wanted[node->function]) {
        return 0;
    }
    return parser_invalid(parser, err,
                          "Incorrect number of operands for operator or function; operator or"
                          " function: %s, number of operands: %zu",
                          function_name(node->function), node->args_count);
}

static bool elements_equal(const struct path_element *a, const struct path_element *b)
{
    return a->index == b->index && (a->index >= 0 || slice_equal(a->name, b->name));
}

bool paths_equal(const struct path *a, const struct path *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!elements_equal(&a->elements[i], &b->elements[i])) {
            return false;
        }
    }
    return true;
}

const char *path_text(const struct path *path, struct arena *arena)
{
    struct buf text = {0};
    const char *copy;

    buf_add_byte(&text, '[');
    for (size_t i = 0; i < path->count; i++) {
        const struct path_element *element = &path->elements[i];

        buf_add_z(&text, i == 0 ? "" : ", ");
        if (element->index >= 0) {
            buf_printf(&text, "[%lld]", (long long)element->index);
        } else {
            buf_add(&text, element->name);
        }
    }
    buf_add_byte(&text, ']');
    copy = arena_strdup(arena, buf_slice(&text));
    buf_close(&text);
    return copy;
}

int check_overlap(const struct parser *parser, const struct path *a, const struct path *b,
                  struct error *err)
{
    struct arena *arena = &parser->scope->arena;
    size_t at = 0;
    bool overlap, conflict;

    while (at < a->count && at < b->count && elements_equal(&a->elements[at], &b->elements[at])) {
        at++;
    }
    overlap = at == a->count || at == b->count;
    conflict = !overlap && (a->elements[at].index < 0) != (b->elements[at].index < 0);
    if (!overlap && !conflict) {
        return 0;
    }
    return error_api(err, "ValidationException",
                     "%sInvalid %s: Two document paths %s with each other; must remove or rewrite"
                     " one of these paths; path one: %s, path two: %s",
                     parser->scope->write && overlap ? "1 validation error detected: " : "",
                     parser->parameter, overlap ? "overlap" : "conflict", path_text(a, arena),
                     path_text(b, arena));
}

json_t *path_get(const struct path *path, const json_t *item)
{
    json_t *value = json_object_get(item, path->elements[0].name.data);

    for (size_t i = 1; i < path->count && value != NULL; i++) {
        const struct path_element *element = &path->elements[i];
        enum value_type type = value_type_of(value);
        json_t *content = value_content(value);

        if (element->index >= 0) {
            value = type == VALUE_L ? json_array_get(content, (size_t)element->index) : NULL;
        } else {
            value = type == VALUE_M ? json_object_get(content, element->name.data) : NULL;
        }
    }
    return value;
}

int path_check_keys(const struct path *path, const char *hash_name, const char *range_name,
                    struct error *err)
{
    struct slice name = path->elements[0].name;
    bool is_key =
        slice_equal_z(name, hash_name) || (range_name != NULL && slice_equal_z(name, range_name));

    return !is_key || path->count == 1
               ? 0
               : error_api(err, "ValidationException",
                           "Key attributes must be scalars; list random access '[]' and map lookup"
                           " '.' are not allowed: Key: %s",
                           name.data);
}
