/* What a stack is to become: the template, parameters, tags and capabilities of CreateStack,
 * UpdateStack and change sets, read and checked before anything is changed. */
#ifndef SERVICES_CLOUDFORMATION_CHANGE_H
#define SERVICES_CLOUDFORMATION_CHANGE_H

#include "services/cloudformation/stack.h"

struct doc; /* wire/doc.h */

struct stack_change {
    char *template_text;
    struct key_value *parameters;
    size_t parameters_count;
    struct key_value *tags;
    size_t tags_count;
    char **capabilities;
    size_t capabilities_count;

    json_t *template; /* Parsed; not stored. */
};
extern const struct record stack_change_record;

/* The names of inputs that muster has not: refused by name, never ignored. */
int change_refuse_others(const struct doc *in, struct error *err);
int change_check_name(const char *member, const char *name, struct error *err);
/* Parse and check a template alone; *@template is a new reference. With @previous, which may be
 * NULL, UsePreviousTemplate is heard. */
int change_read_template(const struct doc *in, const struct stack *previous, struct slice *text,
                         json_t **template, struct error *err);
/* All of @in. @stack is what it is for: a new one has only service, name and id. Nothing is
 * changed; after a failure nothing is left in *@change. */
int change_read(const struct doc *in, struct stack *stack, struct stack_change *change,
                struct error *err);
void change_close(struct stack_change *change);

/* The stack as it would be, for evaluating: borrows from both. */
struct stack change_trial(const struct stack *stack, const struct stack_change *change);
/* Is it what the stack is already? */
bool change_is_none(const struct stack_change *change, const struct stack *stack);
/* May it be updated now? */
int change_check_updatable(const struct stack *stack, struct error *err);

/* Begin to create, or update, the stack so. Takes all that is in @change. */
void change_create(struct ctx *ctx, struct stack *stack, struct stack_change *change);
void change_update(struct ctx *ctx, struct stack *stack, struct stack_change *change);

#endif /* SERVICES_CLOUDFORMATION_CHANGE_H */
