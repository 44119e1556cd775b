/* One step of an operation, resource by resource: what operation.c's files share. Properties and
 * attributes are kept as JSON text, so that they are stored with the stack. */
#ifndef SERVICES_CLOUDFORMATION_STEP_H
#define SERVICES_CLOUDFORMATION_STEP_H

#include "services/cloudformation/resource.h"

#define STEP_STABLE_REAL_MS_MAX (15LL * 60 * 1000) /* Until a resource is ready, or gone. */

/* step.c */
void step_set_phase(struct ctx *ctx, struct stack_resource *resource, enum resource_phase phase);
json_t *step_parsed(const char *text); /* A new reference; the empty object for NULL. */
char *step_dumped(const json_t *json); /* malloc()ed. */
/* A call of a row's function; step_close_call() notes what it found out. */
struct resource_call step_call_of(struct ctx *ctx, struct stack *stack,
                                  const struct stack_resource *resource);
void step_close_call(struct resource_call *call, struct stack_resource *resource);
/* AWS's sentence about a service's error, in the arena. */
const char *step_reason_of(struct ctx *ctx, const struct error *err);
const char *step_verb(const struct stack *stack); /* "CREATE" or "UPDATE" */
/* "CREATE", "COMPLETE": status and event. */
void step_mark(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
               const char *what, const char *outcome, const char *reason);
void step_fail(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
               const char *what, const char *reason);

/* What the stack is tagged with is on its resources, too, unless they say otherwise. */
void step_add_stack_tags(const struct stack *stack, const struct resource_row *row,
                         json_t *properties);

/* step_apply.c: start and ask, in the template's order. True when nothing is left to do; *@failed
 * when something went wrong. */
bool step_apply_all(struct ctx *ctx, struct stack *stack, bool *failed);

/* step_delete.c */
/* Delete all resources that are not done, dependants first. True when nothing is left but failures.
 */
bool step_delete_all(struct ctx *ctx, struct stack *stack, bool *failed);
/* Of what an update replaced: forget what is to stay (UpdateReplacePolicy); delete the rest. True
 * when none is left. */
void step_begin_replaced(struct ctx *ctx, struct stack *stack, struct stack_resource *resource);
bool step_delete_replaced(struct ctx *ctx, struct stack *stack);

#endif /* SERVICES_CLOUDFORMATION_STEP_H */
