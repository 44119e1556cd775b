/* What a KeyConditionExpression asks for: one partition, and bounds on the sort key as the store
 * sorts it. Pure; borrows from the parsed condition. */
#ifndef SERVICES_DYNAMODB_KEYCONDITION_H
#define SERVICES_DYNAMODB_KEYCONDITION_H

#include "base/buf.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/value.h"

struct key_part {
    enum node_type type; /* NODE_COMPARE, NODE_BETWEEN or NODE_FUNCTION (begins_with) */
    enum compare compare;
    const char *name;
    const json_t *value;
    const json_t *upper; /* BETWEEN's second. */
};

struct key_condition {
    struct key_part parts[2];
    size_t count;
};

/* The checks that need no table. */
int key_condition_read(const struct node *root, struct key_condition *condition, struct error *err);

struct key_schema {
    const char *hash_name;
    enum value_type hash_type;
    const char *range_name; /* NULL: none. */
    enum value_type range_type;
};

struct key_bound {
    bool present, exclusive;
    struct buf bytes;
};

struct key_range {
    const json_t *hash;
    bool conditional; /* There is a condition on the sort key. */
    struct key_bound low, high;
};

/* On success @range is the caller's, to end with key_range_close(). */
int key_condition_apply(const struct key_condition *condition, const struct key_schema *schema,
                        struct key_range *range, struct error *err);
void key_range_close(struct key_range *range);
/* Does the encoded sort key lie in it? */
bool key_range_holds(const struct key_range *range, struct slice key);

#endif /* SERVICES_DYNAMODB_KEYCONDITION_H */
