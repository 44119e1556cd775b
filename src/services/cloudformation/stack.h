/* Stacks: what a template became. Each is one record, so that a resource's physical id commits with
 * the resource itself and a killed operation goes on where it stood. */
#ifndef SERVICES_CLOUDFORMATION_STACK_H
#define SERVICES_CLOUDFORMATION_STACK_H

#include "base/map.h"
#include "services/cloudformation/evaluate.h"
#include "services/control.h"

#include <jansson.h>

#define STACKS_MAX 200            /* AWS's quota is 2,000. */
#define STACK_EVENTS_MAX 2000     /* The oldest go first. */
#define STACK_RESOURCES_MAX 500   /* AWS's quota. */
#define STACK_DELETED_KEPT_MAX 50 /* AWS keeps deleted stacks 90 days. */

enum stack_status {
    STACK_CREATE_IN_PROGRESS,
    STACK_CREATE_FAILED,
    STACK_CREATE_COMPLETE,
    STACK_ROLLBACK_IN_PROGRESS,
    STACK_ROLLBACK_FAILED,
    STACK_ROLLBACK_COMPLETE,
    STACK_DELETE_IN_PROGRESS,
    STACK_DELETE_FAILED,
    STACK_DELETE_COMPLETE,
    STACK_UPDATE_IN_PROGRESS,
    STACK_UPDATE_CLEANUP, /* UPDATE_COMPLETE_CLEANUP_IN_PROGRESS */
    STACK_UPDATE_COMPLETE,
    STACK_UPDATE_FAILED,
    STACK_UPDATE_ROLLBACK_IN_PROGRESS,
    STACK_UPDATE_ROLLBACK_CLEANUP, /* UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS */
    STACK_UPDATE_ROLLBACK_COMPLETE,
    STACK_UPDATE_ROLLBACK_FAILED,
    STACK_REVIEW_IN_PROGRESS, /* Made by a change set that was not executed: no template yet. */
};
extern const char *const stack_status_names[];

/* Where a resource stands in the operation under way. */
enum resource_phase {
    PHASE_DONE,    /* Nothing to do (any more). */
    PHASE_WAITING, /* To be started once its dependencies are done. */
    PHASE_RUNNING, /* Started; asked at each step whether it is ready (or gone). */
    PHASE_FAILED,
};

struct key_value {
    char *key;
    char *value;
};

extern const struct record key_value_record;
void key_values_free(struct key_value *list, size_t count);

/* A physical resource that another has taken the place of; texts as in struct stack_resource. */
struct replaced {
    char *physical, *properties, *attributes;
};

struct stack_resource {
    char *logical;
    char *type;
    char *physical;            /* NULL: not there. */
    char *properties;          /* JSON text, evaluated, as last applied. */
    char *previous;            /* The same before the update under way. */
    char *attributes;          /* JSON text: what Fn::GetAtt gives, beside what rows compute. */
    struct replaced *replaced; /* Oldest first: the one to go back to. Deleted in the cleanup. */
    size_t replaced_count;
    char *status; /* "CREATE_COMPLETE" */
    char *status_reason;
    char **depends; /* Logical names. */
    size_t depends_count;
    bool retain;          /* DeletionPolicy: Retain, RetainExceptOnCreate. */
    bool retain_new;      /* Retain: the rollback of what made it leaves it, too. */
    bool retain_replaced; /* UpdateReplacePolicy: Retain. */
    bool torn; /* An update of it began and has not ended well: not sure to be as it should. */
    enum resource_phase phase;
    int64_t phase_since_ms; /* Real time (wall): real work is waited for. */
    int64_t updated_ms;
};

struct stack_event {
    char *id;
    char *logical, *physical, *type, *status, *reason;
    int64_t at_ms;
};

struct stack {
    char *name;
    char *id; /* ARN */
    enum stack_status status;
    char *status_reason;
    char *template_text;
    struct key_value *parameters;
    size_t parameters_count;
    char *old_template_text; /* While an update is under way. */
    struct key_value *old_parameters;
    size_t old_parameters_count;
    struct key_value *old_tags;
    size_t old_tags_count;
    struct key_value *outputs;
    size_t outputs_count;
    struct key_value *tags;
    size_t tags_count;
    char **capabilities;
    size_t capabilities_count;
    char **retain; /* DeleteStack's RetainResources. */
    size_t retain_count;
    char *on_failure; /* DO_NOTHING, ROLLBACK, DELETE */
    bool disable_rollback;
    bool retain_except_on_create; /* Of the operation: rollbacks delete all that is new. */
    bool protected;               /* Termination protection. */
    char *client_token;
    char *change_set; /* ARN of the change set that was executed last. */
    int64_t created_ms, updated_ms, deleted_ms;
    /* Who began the operation: later steps act with the same rights. */
    int32_t caller_kind;
    char *caller_arn, *caller_user_id, *caller_name, *caller_access_key_id;
    struct stack_resource *resources;
    size_t resources_count;
    struct stack_event *events; /* Oldest first. */
    size_t events_count;

    json_t *template; /* Parsed; not stored. */
    struct control_timer *timer;
    struct cloudformation *service;
};

struct cloudformation {
    struct control *control;
    struct map stacks;      /* ARN -> struct stack, in order of creation; deleted ones too. */
    struct map change_sets; /* ARN -> struct change_set of change_set.h, in order of creation. */
};

/* names.c: kinds stack, change-set; wire_hooks.resource(). */
const char *cloudformation_resource(struct ctx *ctx, struct slice kind, struct slice value);

/* A live stack by name, or any by ARN; NULL when there is none. */
struct stack *stack_find(struct cloudformation *service, const char *name_or_id);
struct stack *stack_new(struct cloudformation *service, const char *name);
void stack_free(struct stack *stack);
int stack_load(struct cloudformation *service, struct slice body, struct error *err);
/* Store it with the ctx. */
void stack_changed(struct ctx *ctx, struct stack *stack);

/* Set the status and note an event; stored by stack_changed(). */
void stack_set_status(struct ctx *ctx, struct stack *stack, enum stack_status status,
                      const char *reason);
void resource_set_status(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
                         const char *status, const char *reason);
/* Note an event of what the resource was before. */
void replaced_note(struct ctx *ctx, struct stack *stack, const struct stack_resource *resource,
                   const struct replaced *replaced, const char *status, const char *reason);

/* Does its template declare @logical, and does the condition of that hold? */
bool stack_wants(struct stack *stack, const char *logical);

/* Replace the parsed template by that of @stack->template_text. */
int stack_parse(struct stack *stack, struct error *err);
struct stack_resource *stack_resource_find(const struct stack *stack, const char *logical);
struct stack_resource *stack_resource_add(struct stack *stack, const char *logical,
                                          const char *type);
void stack_resource_remove(struct stack *stack, struct stack_resource *resource);
/* Forget one that is deleted. */
void stack_replaced_remove(struct stack_resource *resource, size_t index);

/* How this stack's functions are evaluated, with its template and parameters. */
struct evaluation stack_evaluation(struct stack *stack);

/* plan.c: is the template sound, and do the parameters fit? Changes nothing. *@parameters gets the
 * values that the stack will have. @previous may be NULL. */
int plan_check(json_t *template, struct error *err);
int plan_parameters(json_t *template, const struct doc *in, const struct stack *previous,
                    struct key_value **parameters, size_t *count, struct error *err);
/* Does it need CAPABILITY_IAM or _NAMED_IAM? NULL when not. */
const char *plan_capability(json_t *template);
/* Is the parameter's value shown as "****" (NoEcho)? */
bool plan_hides(const json_t *template, const char *parameter);
/* The resources that @logical's declaration refers to or depends on; free()d by the caller. */
void plan_dependencies(json_t *template, const char *logical, char ***names, size_t *count);

/* operation.c: begin, and go on with, what the stack's status says is under way. */
void operation_begin_create(struct ctx *ctx, struct stack *stack);
void operation_begin_update(struct ctx *ctx, struct stack *stack);
void operation_begin_delete(struct ctx *ctx, struct stack *stack);
/* Back to what was before the update (UPDATE_IN_PROGRESS, UPDATE_FAILED), or the creation
 * (CREATE_FAILED). */
void operation_begin_rollback(struct ctx *ctx, struct stack *stack);
/* UPDATE_ROLLBACK_FAILED: go on, and take @skip's resources for what they should be. */
void operation_continue_rollback(struct ctx *ctx, struct stack *stack, char *const *skip,
                                 size_t skip_count);
void operation_resume(struct stack *stack);

#endif /* SERVICES_CLOUDFORMATION_STACK_H */
