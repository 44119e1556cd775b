/* What the expressions' files share: tokens, and complaints in DynamoDB's words. */
#ifndef SERVICES_DYNAMODB_PARSER_H
#define SERVICES_DYNAMODB_PARSER_H

#include "services/dynamodb/expression.h"

enum token_type {
    TOKEN_NAME,
    TOKEN_NAMEREF,
    TOKEN_VALREF,
    TOKEN_INT,
    TOKEN_SIGN, /* Operators and punctuation: <> <= >= = < > + - , ( ) . [ ] */
    TOKEN_BAD,  /* A byte that begins no token. */
    TOKEN_END,
};

struct token {
    enum token_type type;
    struct slice text; /* Within the expression. */
};

/* An element of a path as written; its placeholder is looked up after all grammar errors. */
struct raw_element {
    struct slice word;
    bool is_ref;
    int64_t index; /* -1: by name. */
};

struct parser {
    struct scope *scope;
    const char *parameter;
    struct slice text;
    struct token *tokens; /* Ends with TOKEN_END. */
    size_t at;
    int depth;
    int operators;
    bool redundant_parens;
};

#define PARSER_DEPTH_MAX 400 /* More than the operators allow; bounds the recursion. */

/* Checks emptiness and size, cuts into tokens. */
int parser_open(struct parser *parser, struct scope *scope, const char *parameter,
                struct slice text, struct error *err);
const struct token *parser_peek(const struct parser *parser);
bool parser_is_sign(const struct parser *parser, const char *sign);
/* Any case. */
bool parser_is_word(const struct parser *parser, const char *word);
bool parser_take_sign(struct parser *parser, const char *sign);
bool parser_take_word(struct parser *parser, const char *word);
/* The token at hand does not belong here. */
int parser_syntax_error(const struct parser *parser, struct error *err);
int parser_expect_sign(struct parser *parser, const char *sign, struct error *err);
int parser_expect_end(struct parser *parser, struct error *err);
/* "Invalid <parameter>: ..." */
int parser_invalid(const struct parser *parser, struct error *err, const char *format, ...)
    PRINTF_LIKE(3, 4);

struct node *node_new(struct parser *parser, enum node_type type);
void node_add(struct parser *parser, struct node *node, struct node *arg);
int parse_path(struct parser *parser, struct node **node, struct error *err);
/* A placeholder or function or path: what may be compared. Parentheses around it are fine. */
int parse_operand(struct parser *parser, struct node **node, struct error *err);
/* An operand, or what @inner takes in parentheses. */
int parse_operand_or(struct parser *parser,
                     int (*inner)(struct parser *parser, struct node **node, struct error *err),
                     struct node **node, struct error *err);
/* Enter and leave a level of recursion. */
int parser_enter(struct parser *parser, struct error *err);
void parser_leave(struct parser *parser);

/* Checks over whole trees; each is one step of DynamoDB's order of complaints. */
int check_reserved(const struct parser *parser, const struct node *node, struct error *err);
/* Fill in paths: names. */
int resolve_names(struct parser *parser, struct node *node, struct error *err);
int resolve_values(struct parser *parser, struct node *node, struct error *err);
/* Two paths of one projection or update must not meet. */
int check_overlap(const struct parser *parser, const struct path *a, const struct path *b,
                  struct error *err);
int check_operand_count(const struct parser *parser, const struct node *node, struct error *err);
const char *function_name(enum function function);
bool paths_equal(const struct path *a, const struct path *b);

#endif /* SERVICES_DYNAMODB_PARSER_H */
