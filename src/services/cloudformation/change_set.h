/* Change sets: a change that is looked at before it is made.
 *
 *   CreateChangeSet -> CREATE_COMPLETE, AVAILABLE -> ExecuteChangeSet -> EXECUTE_COMPLETE
 *                   -> FAILED, UNAVAILABLE (it would change nothing)
 *
 * It is computed at once. Any update of its stack makes the stack's other change sets go. */
#ifndef SERVICES_CLOUDFORMATION_CHANGE_SET_H
#define SERVICES_CLOUDFORMATION_CHANGE_SET_H

#include "services/cloudformation/change.h"

#define CHANGE_SETS_MAX 200 /* Of all stacks; AWS has 1,000 of each. */

/* Why, and how far, a property changes; texts are the API's words. */
struct change_detail {
    char *attribute; /* Properties, Tags */
    char *name;
    char *recreation; /* Never, Always */
    char *evaluation; /* Static, Dynamic */
    char *source;     /* DirectModification, ParameterReference, ResourceReference, ... */
    char *entity;     /* What caused it; NULL: the template's author. */
};

struct resource_change {
    char *action; /* Add, Modify, Remove */
    char *logical, *physical, *type;
    char *replacement; /* True, False, Conditional; NULL when it is no Modify. */
    struct change_detail *details;
    size_t details_count;
};

struct change_set {
    char *name;
    char *id; /* ARN */
    char *stack_id;
    char *description;
    char *on_failure; /* Of a new stack; may be NULL. */
    char *reason;     /* Why it failed; NULL: it has not. */
    bool executed;
    int64_t created_ms;
    struct stack_change change;
    struct resource_change *changes;
    size_t changes_count;
};
extern const struct record resource_change_record;

int change_set_load(struct cloudformation *service, struct slice body, struct error *err);
void change_set_free(struct change_set *set);
/* The stack changes, or is gone: its change sets go, but @kept (which may be NULL). */
void change_sets_drop(struct ctx *ctx, const struct stack *stack, const struct change_set *kept);

/* compare.c: what @change would do to the stack, resource by resource. */
void compare(struct stack *stack, const struct stack_change *change,
             struct resource_change **changes, size_t *count);

#endif /* SERVICES_CLOUDFORMATION_CHANGE_SET_H */
