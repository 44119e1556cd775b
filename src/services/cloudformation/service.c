/* The service's row, and the actions that change stacks. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "services/cloudformation/change_set.h"
#include "services/cloudformation/cloudformation.h"
#include "wire/doc.h"

#include <stdlib.h>
#include <string.h>

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    control->cloudformation = mem_calloc(1, sizeof(*control->cloudformation));
    control->cloudformation->control = control;
    return 0;
}

static int load_record(struct control *control, struct slice kind, struct slice id,
                       struct slice body, struct error *err)
{
    (void)id;
    if (slice_equal_z(kind, "cloudformation.change_set")) {
        return change_set_load(control->cloudformation, body, err);
    }
    if (!slice_equal_z(kind, "cloudformation.stack")) {
        return error_set(err, ERR_CONFIG, "unknown record %.*s", SLICE_ARG(kind));
    }
    return stack_load(control->cloudformation, body, err);
}

/* Operations that a killed process left go on. */
static int start_service(struct ctx *ctx, struct error *err)
{
    struct stack *stack;

    (void)err;
    for (size_t at = 0; (stack = map_next(&ctx->control->cloudformation->stacks, &at)) != NULL;) {
        operation_resume(stack);
    }
    return 0;
}

static void close_service(struct control *control)
{
    struct change_set *set;
    struct stack *stack;

    if (control->cloudformation == NULL) {
        return;
    }
    for (size_t at = 0; (stack = map_next(&control->cloudformation->stacks, &at)) != NULL;) {
        stack_free(stack);
    }
    map_close(&control->cloudformation->stacks);
    for (size_t at = 0; (set = map_next(&control->cloudformation->change_sets, &at)) != NULL;) {
        change_set_free(set);
    }
    map_close(&control->cloudformation->change_sets);
    free(control->cloudformation);
    control->cloudformation = NULL;
}

const struct service cloudformation_service = {
    .name = "cloudformation",
    .open = open_service,
    .load = load_record,
    .start = start_service,
    .close = close_service,
    .resource = cloudformation_resource,
};

static void set_retained(struct stack *stack, const struct doc *in)
{
    for (size_t i = 0; i < stack->retain_count; i++) {
        free(stack->retain[i]);
    }
    free(stack->retain);
    stack->retain_count = doc_count(in, M_RetainResources);
    stack->retain = mem_calloc(stack->retain_count + 1, sizeof(*stack->retain));
    for (size_t i = 0; i < stack->retain_count; i++) {
        stack->retain[i] = mem_strdup(doc_z_at(in, M_RetainResources, i));
    }
}

/* CreateStack */

static struct stack *create(struct ctx *ctx, const struct doc *in, struct stack_change *change)
{
    struct stack *stack = stack_new(ctx->control->cloudformation, doc_z(in, M_StackName));
    const char *on_failure = doc_z(in, M_OnFailure);

    stack->disable_rollback = doc_bool(in, M_DisableRollback);
    stack->on_failure = mem_strdup(on_failure != NULL        ? on_failure
                                   : stack->disable_rollback ? "DO_NOTHING"
                                                             : "ROLLBACK");
    stack->retain_except_on_create = doc_bool(in, M_RetainExceptOnCreate);
    stack->protected = doc_bool(in, M_EnableTerminationProtection);
    stack->client_token = mem_strdup(doc_z(in, M_ClientRequestToken));
    change_create(ctx, stack, change);
    return stack;
}

/* Deleted stacks are kept for a while; the oldest of too many goes. */
static void forget_deleted(struct ctx *ctx)
{
    struct cloudformation *service = ctx->control->cloudformation;
    struct stack *stack, *oldest = NULL;
    size_t count = 0;

    for (size_t at = 0; (stack = map_next(&service->stacks, &at)) != NULL;) {
        if (stack->status == STACK_DELETE_COMPLETE) {
            oldest = oldest == NULL ? stack : oldest;
            count++;
        }
    }
    if (count > STACK_DELETED_KEPT_MAX) {
        changes_del(ctx->changes, SLICE_LIT("cloudformation.stack"), slice_z(oldest->id));
        map_remove(&service->stacks, slice_z(oldest->id));
        stack_free(oldest);
    }
}

int cloudformation_create_stack(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct cloudformation *service = ctx->control->cloudformation;
    const char *name = doc_z(in, M_StackName);
    struct stack *stack = stack_find(service, name);
    const char *token = doc_z(in, M_ClientRequestToken);
    struct stack nobody = {
        .service = service,
        .name = arena_strdup(ctx->arena, slice_z(name)),
        .id = arena_strdup(ctx->arena, SLICE_LIT("")),
    };
    struct stack_change change;
    int rc = change_check_name("stackName", name, err);

    if (rc != 0) {
        return rc;
    }
    if (stack != NULL && token != NULL && stack->client_token != NULL &&
        strcmp(token, stack->client_token) == 0) {
        doc_set_z(out, M_StackId, stack->id); /* The same request again. */
        return 0;
    }
    if (stack != NULL) {
        return error_api(err, "AlreadyExistsException", "Stack [%s] already exists", name);
    }
    if (doc_has(in, M_OnFailure) && doc_has(in, M_DisableRollback)) {
        return error_api(err, "ValidationError",
                         "You must specify either DisableRollback or OnFailure, but not both.");
    }
    if (service->stacks.count >= STACKS_MAX + STACK_DELETED_KEPT_MAX) {
        return error_api(err, "LimitExceededException",
                         "Limit for stack has been exceeded; the limit is %d", STACKS_MAX);
    }
    rc = change_read(in, &nobody, &change, err);
    if (rc == 0) {
        stack = create(ctx, in, &change);
        forget_deleted(ctx);
        doc_set_z(out, M_StackId, stack->id);
    }
    return rc;
}

/* UpdateStack */

int cloudformation_update_stack(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    const char *name = doc_z(in, M_StackName);
    struct stack *stack = stack_find(ctx->control->cloudformation, name);
    struct stack_change change;
    int rc;

    if (stack == NULL || stack->status == STACK_DELETE_COMPLETE) {
        return error_api(err, "ValidationError", "Stack [%s] does not exist", name);
    }
    rc = change_check_updatable(stack, err);
    rc = rc != 0 ? rc : change_read(in, stack, &change, err);
    if (rc != 0) {
        return rc;
    }
    if (change_is_none(&change, stack)) {
        change_close(&change);
        return error_api(err, "ValidationError", "No updates are to be performed.");
    }
    stack->disable_rollback = doc_bool(in, M_DisableRollback);
    stack->retain_except_on_create = doc_bool(in, M_RetainExceptOnCreate);
    change_update(ctx, stack, &change);
    change_sets_drop(ctx, stack, NULL);
    doc_set_z(out, M_StackId, stack->id);
    return 0;
}

/* DeleteStack */

int cloudformation_delete_stack(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    const char *name = doc_z(in, M_StackName);
    struct stack *stack = stack_find(ctx->control->cloudformation, name);
    int rc;

    (void)out;
    if (stack == NULL || stack->status == STACK_DELETE_COMPLETE ||
        stack->status == STACK_DELETE_IN_PROGRESS) {
        return 0; /* AWS does not say whether it was there. */
    }
    if (stack->protected) {
        return error_api(err, "ValidationError",
                         "Stack [%s] cannot be deleted while TerminationProtection is enabled",
                         stack->name);
    }
    if (doc_count(in, M_RetainResources) > 0 && stack->status != STACK_DELETE_FAILED) {
        return error_api(err, "ValidationError",
                         "Invalid operation on stack [%s]. RetainResources can only be specified "
                         "for stacks in DELETE_FAILED state.",
                         stack->id);
    }
    rc = change_refuse_others(in, err);
    if (rc != 0) {
        return rc;
    }
    set_retained(stack, in);
    change_sets_drop(ctx, stack, NULL);
    operation_begin_delete(ctx, stack);
    return 0;
}

int cloudformation_update_termination_protection(struct ctx *ctx, const struct doc *in,
                                                 struct doc *out, struct error *err)
{
    const char *name = doc_z(in, M_StackName);
    struct stack *stack = stack_find(ctx->control->cloudformation, name);

    if (stack == NULL || stack->status == STACK_DELETE_COMPLETE) {
        return error_api(err, "ValidationError", "Stack with id %s does not exist", name);
    }
    stack->protected = doc_bool(in, M_EnableTerminationProtection);
    stack_changed(ctx, stack);
    doc_set_z(out, M_StackId, stack->id);
    return 0;
}

/* CancelUpdateStack, ContinueUpdateRollback, RollbackStack */

static int find_live(struct ctx *ctx, const struct doc *in, struct stack **stack, struct error *err)
{
    *stack = stack_find(ctx->control->cloudformation, doc_z(in, M_StackName));
    return *stack != NULL && (*stack)->status != STACK_DELETE_COMPLETE
               ? change_refuse_others(in, err)
               : error_api(err, "ValidationError", "Stack [%s] does not exist",
                           doc_z(in, M_StackName));
}

int cloudformation_cancel_update_stack(struct ctx *ctx, const struct doc *in, struct doc *out,
                                       struct error *err)
{
    struct stack *stack = NULL;
    int rc = find_live(ctx, in, &stack, err);

    (void)out;
    if (rc == 0 && stack->status != STACK_UPDATE_IN_PROGRESS) {
        return error_api(err, "ValidationError",
                         "CancelUpdateStack cannot be called from current stack status");
    }
    if (rc == 0) {
        operation_begin_rollback(ctx, stack);
    }
    return rc;
}

int cloudformation_rollback_stack(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    struct stack *stack = NULL;
    int rc = find_live(ctx, in, &stack, err);

    if (rc == 0 && stack->status != STACK_CREATE_FAILED && stack->status != STACK_UPDATE_FAILED) {
        return error_api(err, "ValidationError",
                         "Stack:%s is in %s state and can not be rolled back.", stack->id,
                         stack_status_names[stack->status]);
    }
    if (rc == 0) {
        stack->retain_except_on_create = doc_bool(in, M_RetainExceptOnCreate);
        operation_begin_rollback(ctx, stack);
        doc_set_z(out, M_StackId, stack->id);
    }
    return rc;
}

int cloudformation_continue_update_rollback(struct ctx *ctx, const struct doc *in, struct doc *out,
                                            struct error *err)
{
    size_t count = doc_count(in, M_ResourcesToSkip);
    char **skip = arena_calloc(ctx->arena, count + 1, sizeof(*skip));
    struct stack *stack = NULL;
    int rc = find_live(ctx, in, &stack, err);

    (void)out;
    if (rc == 0 && stack->status != STACK_UPDATE_ROLLBACK_FAILED) {
        return error_api(err, "ValidationError",
                         "Stack:%s is in %s state and can not continue rollback.", stack->id,
                         stack_status_names[stack->status]);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct stack_resource *resource =
            stack_resource_find(stack, doc_z_at(in, M_ResourcesToSkip, i));

        if (resource == NULL || resource->status == NULL ||
            strcmp(resource->status, "UPDATE_FAILED") != 0) {
            return error_api(err, "ValidationError",
                             "The following resources to skip are not in state UPDATE_FAILED: [%s]",
                             doc_z_at(in, M_ResourcesToSkip, i));
        }
        skip[i] = resource->logical;
    }
    if (rc == 0) {
        operation_continue_rollback(ctx, stack, skip, count);
    }
    return rc;
}
