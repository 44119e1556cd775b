/* DynamoDB's expressions: conditions (also filters and key conditions), projections and updates.
 *
 * Parsing resolves the placeholders and makes every check that needs no item; the trees live in the
 * scope's arena and borrow the scope's values, so the scope must outlive them. Evaluating is free
 * of failure for conditions and projections. Parse in one thread, evaluate in another is fine, one
 * thread at a time.
 *
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html */
#ifndef SERVICES_DYNAMODB_EXPRESSION_H
#define SERVICES_DYNAMODB_EXPRESSION_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define EXPRESSION_BYTES_MAX 4096
#define EXPRESSION_OPERATORS_MAX 300
#define EXPRESSION_IN_MAX 100
#define EXPRESSION_LIST_INDEX_MAX 409599 /* An element takes at least a byte of an item. */

/* One request's ExpressionAttributeNames and -Values, shared by its expressions. */
struct scope {
    struct arena arena;
    json_t *names;      /* {"#a": "name"}, or NULL when not given. */
    json_t *values;     /* {":a": normalised value}, or NULL when not given. */
    json_t *names_used; /* Sets: {"#a": true} */
    json_t *values_used;
    bool write; /* Put, Update, Delete: some complaints begin with "1 validation error detected". */
};

/* Zero-initialised is open. Frees the trees too; twice is fine. */
void scope_close(struct scope *scope);
/* Check and take the placeholders. Either is an object or NULL. Values are normalised here. */
int scope_set(struct scope *scope, const json_t *names, const json_t *values, struct error *err);
/* After all expressions: every placeholder must have been used. */
int scope_check_unused(const struct scope *scope, struct error *err);

struct path_element {
    struct slice name; /* NUL-terminated. */
    int64_t index;     /* -1: by name. */
};

struct path {
    struct path_element *elements;
    size_t count;
};

/* The value at @path of an item (which may be NULL), borrowed; NULL when there is none. */
json_t *path_get(const struct path *path, const json_t *item);
/* "[a, [1], b]", in the arena. */
const char *path_text(const struct path *path, struct arena *arena);
/* A ValidationException if it goes into a key attribute; @range_name may be NULL. */
int path_check_keys(const struct path *path, const char *hash_name, const char *range_name,
                    struct error *err);

enum node_type {
    NODE_PATH,
    NODE_VALUE,
    NODE_FUNCTION,
    NODE_COMPARE,
    NODE_BETWEEN, /* args: what, lower, upper */
    NODE_IN,      /* args: what, candidates ... */
    NODE_AND,
    NODE_OR,
    NODE_NOT,
    NODE_PLUS,
    NODE_MINUS,
};

enum compare { COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE };

enum function {
    FUNCTION_EXISTS,
    FUNCTION_NOT_EXISTS,
    FUNCTION_TYPE,
    FUNCTION_BEGINS_WITH,
    FUNCTION_CONTAINS,
    FUNCTION_SIZE,
    FUNCTION_IF_NOT_EXISTS,
    FUNCTION_LIST_APPEND,
    FUNCTION_UNKNOWN,
};

struct raw_element;

struct node {
    enum node_type type;
    bool in_parens;
    enum compare compare;
    enum function function;
    struct slice word;       /* The function's or placeholder's name as written. */
    struct raw_element *raw; /* NODE_PATH before it is resolved. */
    size_t raw_count, raw_room;
    struct path path;
    json_t *value; /* NODE_VALUE: borrowed from the scope. */
    struct node **args;
    size_t args_count, args_room;
};

/* A condition; @parameter ("ConditionExpression", "FilterExpression", "KeyConditionExpression") is
 * named in errors. */
int condition_parse(struct scope *scope, const char *parameter, struct slice text,
                    struct node **root, struct error *err);
/* @item may be NULL: an item without attributes. */
bool condition_holds(const struct node *root, const json_t *item);
/* How many operands and operators it has: what judging it costs, for each 64 bytes of the item. */
int64_t condition_operands(const struct node *root);
/* Does any path of the condition begin with the attribute @name? */
bool condition_names(const struct node *root, const char *name);
/* As path_check_keys(), for all its paths. */
int condition_check_keys(const struct node *root, const char *hash_name, const char *range_name,
                         struct error *err);
const char *compare_text(enum compare compare);

struct projection {
    struct path *paths; /* Sorted: those that begin alike follow each other. */
    size_t count, room;
};

int projection_parse(struct scope *scope, struct slice text, struct projection *projection,
                     struct error *err);
/* For one that was made otherwise; none of its paths may be a part of another. */
void projection_sort(struct projection *projection);
/* As path_check_keys(), for all its paths. */
int projection_check_keys(const struct projection *projection, const char *hash_name,
                          const char *range_name, struct error *err);
/* What of @item the paths name; a new reference that shares no node with @item. */
json_t *projection_apply(const struct projection *projection, const json_t *item);

enum update_type { UPDATE_SET, UPDATE_REMOVE, UPDATE_ADD, UPDATE_DELETE };

struct update_action {
    enum update_type type;
    struct path path;
    struct node *value; /* SET: a tree; ADD, DELETE: NODE_VALUE; REMOVE: NULL. */
};

struct update {
    struct update_action *actions; /* In the order written. */
    size_t count, room;
};

int update_parse(struct scope *scope, struct slice text, struct update *update, struct error *err);
/* May the update touch these attributes? They are the table's keys; @range_name may be NULL. */
int update_check_keys(const struct update *update, const char *hash_name, const char *range_name,
                      struct error *err);
/* Change @item, which holds what was there (or only its key, when @was_there is false). */
int update_apply(const struct update *update, json_t *item, bool was_there, struct error *err);
/* Would the update make an item where none is? REMOVE and DELETE alone do not. */
bool update_creates(const struct update *update);
/* The touched paths; borrows from @update, lives in @arena. */
void update_paths(const struct update *update, struct arena *arena, struct projection *paths);

/* Is @word (any case) one of AWS's reserved words? */
bool word_is_reserved(struct slice word);

#endif /* SERVICES_DYNAMODB_EXPRESSION_H */
