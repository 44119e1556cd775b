/* What a stack is doing, step by step.
 *
 *   create:  CREATE_IN_PROGRESS -> CREATE_COMPLETE
 *              on failure -> ROLLBACK_IN_PROGRESS -> ROLLBACK_COMPLETE | ROLLBACK_FAILED
 *              (DO_NOTHING: CREATE_FAILED; DELETE: DELETE_IN_PROGRESS)
 *   update:  UPDATE_IN_PROGRESS -> UPDATE_COMPLETE_CLEANUP_IN_PROGRESS -> UPDATE_COMPLETE
 *              on failure -> UPDATE_ROLLBACK_IN_PROGRESS
 *                         -> UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS
 *                         -> UPDATE_ROLLBACK_COMPLETE | UPDATE_ROLLBACK_FAILED
 *   delete:  DELETE_IN_PROGRESS -> DELETE_COMPLETE | DELETE_FAILED
 *
 * A step looks at every resource once: what waits and whose dependencies are done is started; what
 * runs is asked whether it is there (or gone). All that a step did, in other services too, is one
 * commit with the stack's record; a restart goes on with the next step. Steps follow each other at
 * about two a real second: real work is waited for. */
#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "services/cloudformation/stack.h"
#include "services/cloudformation/step.h"

#include <stdlib.h>
#include <string.h>

#define STEP_REAL_MS 400

static void step(struct ctx *ctx, void *data);

static void replace(char **text, const char *value)
{
    char *copy = mem_strdup(value);

    free(*text);
    *text = copy;
}

static void schedule(struct stack *stack, int64_t real_ms)
{
    struct control *control = stack->service->control;

    if (stack->timer == NULL) {
        stack->timer = control_timer_open(control, step, stack);
    }
    control_timer_at_ms(stack->timer,
                        control_now_ms(control) + real_ms * control->options.time_scale);
}

static bool in_progress(enum stack_status status)
{
    switch (status) {
    case STACK_CREATE_IN_PROGRESS:
    case STACK_ROLLBACK_IN_PROGRESS:
    case STACK_DELETE_IN_PROGRESS:
    case STACK_UPDATE_IN_PROGRESS:
    case STACK_UPDATE_CLEANUP:
    case STACK_UPDATE_ROLLBACK_IN_PROGRESS:
    case STACK_UPDATE_ROLLBACK_CLEANUP:
        return true;
    case STACK_CREATE_FAILED:
    case STACK_CREATE_COMPLETE:
    case STACK_ROLLBACK_FAILED:
    case STACK_ROLLBACK_COMPLETE:
    case STACK_DELETE_FAILED:
    case STACK_DELETE_COMPLETE:
    case STACK_UPDATE_COMPLETE:
    case STACK_UPDATE_FAILED:
    case STACK_UPDATE_ROLLBACK_COMPLETE:
    case STACK_UPDATE_ROLLBACK_FAILED:
    case STACK_REVIEW_IN_PROGRESS:
        break;
    }
    return false;
}

void operation_resume(struct stack *stack)
{
    if (in_progress(stack->status)) {
        schedule(stack, 0);
    }
}

/* Operations. */

static const char *failed_names(struct ctx *ctx, const struct stack *stack)
{
    struct buf names = {0};
    const char *copy;

    for (size_t i = 0; i < stack->resources_count; i++) {
        if (stack->resources[i].phase == PHASE_FAILED) {
            buf_printf(&names, "%s%s", names.bytes == 0 ? "" : ", ", stack->resources[i].logical);
        }
    }
    copy = arena_strdup(ctx->arena, buf_slice(&names));
    buf_close(&names);
    return copy;
}

static void cancel_running(struct ctx *ctx, struct stack *stack, const char *reason)
{
    for (size_t i = 0; i < stack->resources_count; i++) {
        struct stack_resource *resource = &stack->resources[i];

        if (resource->phase == PHASE_RUNNING) {
            step_mark(ctx, stack, resource, step_verb(stack), "FAILED", reason);
        }
    }
}

static void all_to(struct ctx *ctx, struct stack *stack, enum resource_phase phase)
{
    for (size_t i = 0; i < stack->resources_count; i++) {
        step_set_phase(ctx, &stack->resources[i], phase);
    }
}

static int fill_outputs(struct stack *stack, struct error *err)
{
    const struct evaluation evaluation = stack_evaluation(stack);
    json_t *outputs = json_object_get(stack->template, "Outputs");
    const char *key;
    json_t *output;

    for (size_t i = 0; i < stack->outputs_count; i++) {
        free(stack->outputs[i].key);
        free(stack->outputs[i].value);
    }
    free(stack->outputs);
    stack->outputs = mem_calloc(json_object_size(outputs) + 1, sizeof(*stack->outputs));
    stack->outputs_count = 0;
    json_object_foreach(outputs, key, output)
    {
        json_t *value = NULL;
        int rc = evaluate(&evaluation, json_object_get(output, "Value"), &value, err);

        if (rc != 0) {
            return rc;
        }
        if (json_is_string(value)) {
            stack->outputs[stack->outputs_count++] =
                (struct key_value){mem_strdup(key), mem_strdup(json_string_value(value))};
        }
        json_decref(value);
    }
    return 0;
}

static void step_create(struct ctx *ctx, struct stack *stack)
{
    struct error err = {0};
    bool failed;
    const char *reason;

    if (step_apply_all(ctx, stack, &failed)) {
        if (fill_outputs(stack, &err) != 0) {
            log_warn("stack.outputs stack=%s reason=\"%s\"", stack->name, err.message);
        }
        stack_set_status(ctx, stack, STACK_CREATE_COMPLETE, NULL);
        return;
    }
    if (!failed) {
        return;
    }
    reason = arena_printf(ctx->arena, "The following resource(s) failed to create: [%s]. ",
                          failed_names(ctx, stack))
                 .data;
    cancel_running(ctx, stack, "Resource creation cancelled");
    if (strcmp(stack->on_failure, "DO_NOTHING") == 0) {
        all_to(ctx, stack, PHASE_DONE);
        stack_set_status(ctx, stack, STACK_CREATE_FAILED, reason);
        return;
    }
    all_to(ctx, stack, PHASE_WAITING);
    if (strcmp(stack->on_failure, "DELETE") == 0) {
        stack_set_status(ctx, stack, STACK_DELETE_IN_PROGRESS,
                         arena_printf(ctx->arena, "%sDelete requested by user.", reason).data);
        return;
    }
    stack_set_status(ctx, stack, STACK_ROLLBACK_IN_PROGRESS,
                     arena_printf(ctx->arena, "%sRollback requested by user.", reason).data);
}

static void finish_delete(struct ctx *ctx, struct stack *stack)
{
    if (stack->status == STACK_ROLLBACK_IN_PROGRESS) {
        stack_set_status(ctx, stack, STACK_ROLLBACK_COMPLETE, NULL);
    } else {
        stack->deleted_ms = ctx->now_ms;
        stack_set_status(ctx, stack, STACK_DELETE_COMPLETE, NULL);
    }
}

static void step_delete(struct ctx *ctx, struct stack *stack)
{
    bool rollback = stack->status == STACK_ROLLBACK_IN_PROGRESS;
    bool failed, done = step_delete_all(ctx, stack, &failed);

    done = step_delete_replaced(ctx, stack) && done;
    if (!done) {
        return;
    }
    if (failed) {
        stack_set_status(ctx, stack, rollback ? STACK_ROLLBACK_FAILED : STACK_DELETE_FAILED,
                         arena_printf(ctx->arena,
                                      "The following resource(s) failed to delete: [%s]. ",
                                      failed_names(ctx, stack))
                             .data);
        return;
    }
    finish_delete(ctx, stack);
}

static bool policy_is(const json_t *declared, const char *name, const char *value)
{
    const char *policy = json_string_value(json_object_get(declared, name));

    return policy != NULL && strcmp(policy, value) == 0;
}

/* A resource for each declaration whose condition holds, with its dependencies and policies, is to
 * be made so. */
static void adopt_template(struct ctx *ctx, struct stack *stack)
{
    const char *logical;
    json_t *declared;

    json_object_foreach(json_object_get(stack->template, "Resources"), logical, declared)
    {
        struct stack_resource *resource = stack_resource_find(stack, logical);

        if (!stack_wants(stack, logical)) {
            continue;
        }
        if (resource == NULL) {
            resource = stack_resource_add(stack, logical,
                                          json_string_value(json_object_get(declared, "Type")));
        }
        for (size_t i = 0; i < resource->depends_count; i++) {
            free(resource->depends[i]);
        }
        free(resource->depends);
        plan_dependencies(stack->template, logical, &resource->depends, &resource->depends_count);
        resource->retain_new = policy_is(declared, "DeletionPolicy", "Retain");
        resource->retain =
            resource->retain_new || policy_is(declared, "DeletionPolicy", "RetainExceptOnCreate");
        resource->retain_replaced = policy_is(declared, "UpdateReplacePolicy", "Retain");
        step_set_phase(ctx, resource, PHASE_WAITING);
    }
}

/* Resources that the template in force does not want are left for the cleanup. */
static void exempt_removed(struct ctx *ctx, struct stack *stack)
{
    for (size_t i = 0; i < stack->resources_count; i++) {
        if (!stack_wants(stack, stack->resources[i].logical)) {
            step_set_phase(ctx, &stack->resources[i], PHASE_DONE);
        }
    }
}

/* The oldest that was replaced takes its place again; what had it is to be deleted, if it is there.
 */
static void swap_back(struct stack_resource *resource)
{
    const struct replaced now = {resource->physical, resource->properties, resource->attributes};
    struct replaced *first = &resource->replaced[0];

    resource->physical = first->physical;
    resource->properties = first->properties;
    resource->attributes = first->attributes;
    resource->torn = false;
    *first = now;
    if (now.physical == NULL) {
        stack_replaced_remove(resource, 0);
    }
}

/* Back to the template, parameters and tags from before the update; what it replaced is swapped in
 * again, and the replacements become what the cleanup deletes. */
static void begin_update_rollback(struct ctx *ctx, struct stack *stack)
{
    struct error err = {0};

    cancel_running(ctx, stack, "Resource update cancelled");
    free(stack->template_text);
    stack->template_text = stack->old_template_text;
    stack->old_template_text = NULL;
    key_values_free(stack->parameters, stack->parameters_count);
    stack->parameters = stack->old_parameters;
    stack->parameters_count = stack->old_parameters_count;
    stack->old_parameters = NULL;
    stack->old_parameters_count = 0;
    key_values_free(stack->tags, stack->tags_count);
    stack->tags = stack->old_tags;
    stack->tags_count = stack->old_tags_count;
    stack->old_tags = NULL;
    stack->old_tags_count = 0;
    if (stack_parse(stack, &err) != 0) {
        log_error("stack.template stack=%s reason=\"%s\"", stack->name, err.message);
    }
    for (size_t i = 0; i < stack->resources_count; i++) {
        struct stack_resource *resource = &stack->resources[i];

        if (resource->replaced_count > 0) {
            swap_back(resource);
        }
    }
    adopt_template(ctx, stack);
    exempt_removed(ctx, stack);
}

static void begin_cleanup(struct ctx *ctx, struct stack *stack, enum stack_status status)
{
    stack_set_status(ctx, stack, status, NULL);
    for (size_t i = 0; i < stack->resources_count; i++) {
        struct stack_resource *resource = &stack->resources[i];

        step_set_phase(ctx, resource,
                       stack_wants(stack, resource->logical) ? PHASE_DONE : PHASE_WAITING);
        step_begin_replaced(ctx, stack, resource);
    }
}

static void step_update(struct ctx *ctx, struct stack *stack)
{
    bool back = stack->status == STACK_UPDATE_ROLLBACK_IN_PROGRESS;
    struct error err = {0};
    const char *reason;
    bool failed;

    if (step_apply_all(ctx, stack, &failed)) {
        if (!back && fill_outputs(stack, &err) != 0) {
            log_warn("stack.outputs stack=%s reason=\"%s\"", stack->name, err.message);
        }
        begin_cleanup(ctx, stack, back ? STACK_UPDATE_ROLLBACK_CLEANUP : STACK_UPDATE_CLEANUP);
        return;
    }
    if (!failed) {
        return;
    }
    reason = arena_printf(ctx->arena, "The following resource(s) failed to update: [%s]. ",
                          failed_names(ctx, stack))
                 .data;
    if (back || stack->disable_rollback) {
        all_to(ctx, stack, PHASE_DONE);
        stack_set_status(ctx, stack, back ? STACK_UPDATE_ROLLBACK_FAILED : STACK_UPDATE_FAILED,
                         reason);
        return;
    }
    begin_update_rollback(ctx, stack);
    stack_set_status(ctx, stack, STACK_UPDATE_ROLLBACK_IN_PROGRESS, reason);
}

static void step_cleanup(struct ctx *ctx, struct stack *stack)
{
    bool failed, done = step_delete_all(ctx, stack, &failed);

    /* What was replaced may be held by what is removed: neither waits for all of the other. */
    done = step_delete_replaced(ctx, stack) && done;
    if (!done) {
        return;
    }
    for (size_t i = stack->resources_count; i-- > 0;) {
        if (!stack_wants(stack, stack->resources[i].logical)) {
            stack_resource_remove(stack, &stack->resources[i]);
        }
    }
    free(stack->old_template_text);
    stack->old_template_text = NULL;
    all_to(ctx, stack, PHASE_DONE);
    stack_set_status(ctx, stack,
                     stack->status == STACK_UPDATE_CLEANUP ? STACK_UPDATE_COMPLETE
                                                           : STACK_UPDATE_ROLLBACK_COMPLETE,
                     NULL);
}

static void step(struct ctx *ctx, void *data)
{
    struct stack *stack = data;
    enum stack_status before = stack->status;

    ctx->caller = (struct caller){
        .kind = (enum caller_kind)stack->caller_kind,
        .account = stack->service->control->options.account,
        .arn = stack->caller_arn,
        .user_id = stack->caller_user_id,
        .name = stack->caller_name,
        .access_key_id = stack->caller_access_key_id,
    };
    switch (stack->status) {
    case STACK_CREATE_IN_PROGRESS:
        step_create(ctx, stack);
        break;
    case STACK_ROLLBACK_IN_PROGRESS:
    case STACK_DELETE_IN_PROGRESS:
        step_delete(ctx, stack);
        break;
    case STACK_UPDATE_IN_PROGRESS:
    case STACK_UPDATE_ROLLBACK_IN_PROGRESS:
        step_update(ctx, stack);
        break;
    case STACK_UPDATE_CLEANUP:
    case STACK_UPDATE_ROLLBACK_CLEANUP:
        step_cleanup(ctx, stack);
        break;
    case STACK_CREATE_FAILED:
    case STACK_CREATE_COMPLETE:
    case STACK_ROLLBACK_FAILED:
    case STACK_ROLLBACK_COMPLETE:
    case STACK_DELETE_FAILED:
    case STACK_DELETE_COMPLETE:
    case STACK_UPDATE_COMPLETE:
    case STACK_UPDATE_FAILED:
    case STACK_UPDATE_ROLLBACK_COMPLETE:
    case STACK_UPDATE_ROLLBACK_FAILED:
    case STACK_REVIEW_IN_PROGRESS:
        return;
    }
    stack_changed(ctx, stack);
    if (in_progress(stack->status)) {
        schedule(stack, stack->status != before ? 0 : STEP_REAL_MS);
    }
}

/* Beginnings. */

static void note_caller(struct ctx *ctx, struct stack *stack)
{
    stack->caller_kind = (int32_t)ctx->caller.kind;
    replace(&stack->caller_arn, ctx->caller.arn);
    replace(&stack->caller_user_id, ctx->caller.user_id);
    replace(&stack->caller_name, ctx->caller.name);
    replace(&stack->caller_access_key_id, ctx->caller.access_key_id);
}

static void wake(struct control *control, void *data)
{
    (void)control;
    operation_resume(data);
}

static void begin(struct ctx *ctx, struct stack *stack, enum stack_status status)
{
    note_caller(ctx, stack);
    stack_set_status(ctx, stack, status, "User Initiated");
    stack_changed(ctx, stack);
    ctx_after_commit(ctx, wake, stack);
}

void operation_begin_create(struct ctx *ctx, struct stack *stack)
{
    adopt_template(ctx, stack);
    stack->created_ms = ctx->now_ms;
    begin(ctx, stack, STACK_CREATE_IN_PROGRESS);
}

void operation_begin_update(struct ctx *ctx, struct stack *stack)
{
    adopt_template(ctx, stack);
    exempt_removed(ctx, stack);
    stack->updated_ms = ctx->now_ms;
    begin(ctx, stack, STACK_UPDATE_IN_PROGRESS);
}

void operation_begin_delete(struct ctx *ctx, struct stack *stack)
{
    for (size_t i = 0; i < stack->resources_count; i++) {
        struct stack_resource *resource = &stack->resources[i];

        step_set_phase(ctx, resource, resource->physical == NULL ? PHASE_DONE : PHASE_WAITING);
        step_begin_replaced(ctx, stack, resource);
    }
    begin(ctx, stack, STACK_DELETE_IN_PROGRESS);
}

void operation_begin_rollback(struct ctx *ctx, struct stack *stack)
{
    if (stack->status == STACK_CREATE_FAILED) {
        all_to(ctx, stack, PHASE_WAITING);
        begin(ctx, stack, STACK_ROLLBACK_IN_PROGRESS);
        return;
    }
    ASSERT(stack->old_template_text != NULL);
    begin_update_rollback(ctx, stack);
    begin(ctx, stack, STACK_UPDATE_ROLLBACK_IN_PROGRESS);
}

void operation_continue_rollback(struct ctx *ctx, struct stack *stack, char *const *skip,
                                 size_t skip_count)
{
    all_to(ctx, stack, PHASE_WAITING);
    exempt_removed(ctx, stack);
    for (size_t i = 0; i < skip_count; i++) {
        struct stack_resource *resource = stack_resource_find(stack, skip[i]);

        resource->torn = false;
        step_set_phase(ctx, resource, PHASE_DONE);
        step_mark(ctx, stack, resource, "UPDATE", "COMPLETE", "Resource skipped during rollback.");
    }
    begin(ctx, stack, STACK_UPDATE_ROLLBACK_IN_PROGRESS);
}
