/* Deleting: of a stack, of what an update left behind, of what a failed creation made. */
#include "base/log.h"
#include "services/cloudformation/step.h"

#include <stdlib.h>
#include <string.h>

static bool depended_on(const struct stack *stack, const struct stack_resource *resource)
{
    for (size_t i = 0; i < stack->resources_count; i++) {
        const struct stack_resource *other = &stack->resources[i];

        if (other == resource || other->phase == PHASE_DONE) {
            continue;
        }
        for (size_t j = 0; j < other->depends_count; j++) {
            if (strcmp(other->depends[j], resource->logical) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Codes of services that mean "it is not there": what a deletion wants. */
static bool means_gone(const struct error *err)
{
    static const char *const parts[] = {"NotFound",  "NoSuchEntity",   "Gateway.NotAttached",
                                        "not found", "does not exist", "No policy found"};

    if (err->code == ERR_NOT_FOUND) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (strstr(err->aws_code, parts[i]) != NULL || strstr(err->message, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Codes that mean "not yet": something that uses it is still going away. */
static bool means_wait(const struct error *err)
{
    static const char *const codes[] = {
        "DependencyViolation",       "ResourceInUse", "DeleteConflict", "InUse",
        "ScalingActivityInProgress", "IncorrectState"};

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        if (strstr(err->aws_code, codes[i]) != NULL) {
            return true;
        }
    }
    return err->code == ERR_BUSY;
}

static void deleted(struct ctx *ctx, struct stack *stack, struct stack_resource *resource)
{
    step_set_phase(ctx, resource, PHASE_DONE);
    step_mark(ctx, stack, resource, "DELETE", "COMPLETE", NULL);
}

/* Does the operation under way undo what another one made? */
static bool undoes(const struct stack *stack)
{
    return stack->status == STACK_ROLLBACK_IN_PROGRESS ||
           stack->status == STACK_UPDATE_ROLLBACK_CLEANUP;
}

/* https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
 */
static bool kept(const struct stack *stack, const struct stack_resource *resource)
{
    for (size_t i = 0; i < stack->retain_count; i++) {
        if (strcmp(stack->retain[i], resource->logical) == 0) {
            return true;
        }
    }
    return undoes(stack) ? resource->retain_new && !stack->retain_except_on_create
                         : resource->retain;
}

static bool status_is(const struct stack_resource *resource, const char *status)
{
    return resource->status != NULL && strcmp(resource->status, status) == 0;
}

/* Ask for the deletion; "not yet" is asked again at the next step. What an earlier rollback or
 * deletion deleted is left alone: its name may be another's by now. */
static void start_delete(struct ctx *ctx, struct stack *stack, struct stack_resource *resource)
{
    const struct resource_row *row = resource_row_find(resource->type);
    struct resource_call call;
    struct error err = {0};
    bool first = !status_is(resource, "DELETE_IN_PROGRESS");
    int rc;

    if (resource->physical == NULL || row == NULL || status_is(resource, "DELETE_COMPLETE")) {
        step_set_phase(ctx, resource, PHASE_DONE);
        return;
    }
    if (kept(stack, resource)) {
        step_set_phase(ctx, resource, PHASE_DONE);
        step_mark(ctx, stack, resource, "DELETE", "SKIPPED", NULL);
        return;
    }
    if (first) {
        step_mark(ctx, stack, resource, "DELETE", "IN_PROGRESS", NULL);
        resource->phase_since_ms = ctx->wall_ms;
    }
    call = step_call_of(ctx, stack, resource);
    rc = row->delete == NULL ? 0 : row->delete (&call, &err);
    step_close_call(&call, resource);
    if (rc == 0) {
        step_set_phase(ctx, resource, PHASE_RUNNING);
    } else if (means_gone(&err)) {
        deleted(ctx, stack, resource);
    } else if (!means_wait(&err) ||
               ctx->wall_ms - resource->phase_since_ms > STEP_STABLE_REAL_MS_MAX) {
        step_fail(ctx, stack, resource, "DELETE", step_reason_of(ctx, &err));
    }
}

static void poll_delete(struct ctx *ctx, struct stack *stack, struct stack_resource *resource)
{
    const struct resource_row *row = resource_row_find(resource->type);
    struct resource_call call = step_call_of(ctx, stack, resource);
    struct error err = {0};
    bool done = row->gone == NULL;
    int rc = done ? 0 : row->gone(&call, &done, &err);

    step_close_call(&call, resource);
    if ((rc == 0 && done) || (rc != 0 && means_gone(&err))) {
        deleted(ctx, stack, resource);
    } else if (rc != 0) {
        step_fail(ctx, stack, resource, "DELETE", step_reason_of(ctx, &err));
    } else if (ctx->wall_ms - resource->phase_since_ms > STEP_STABLE_REAL_MS_MAX) {
        step_fail(ctx, stack, resource, "DELETE", "Resource did not stabilize.");
    }
}

/* Delete all resources that are not done, dependants first. True when nothing is left but failures.
 */
bool step_delete_all(struct ctx *ctx, struct stack *stack, bool *failed)
{
    bool moved = true, left = true;

    *failed = false;
    while (moved) {
        moved = false;
        left = false;
        for (size_t i = stack->resources_count; i-- > 0;) {
            struct stack_resource *resource = &stack->resources[i];
            enum resource_phase before = resource->phase;

            if (before == PHASE_WAITING && !depended_on(stack, resource)) {
                start_delete(ctx, stack, resource);
            }
            if (resource->phase == PHASE_RUNNING) {
                poll_delete(ctx, stack, resource);
            }
            moved |= resource->phase != before;
            left |= resource->phase == PHASE_RUNNING ||
                    (resource->phase == PHASE_WAITING && resource->physical != NULL);
            *failed |= resource->phase == PHASE_FAILED;
        }
    }
    if (*failed) { /* What a failed one holds back will never be free. */
        bool running = false;

        for (size_t i = 0; i < stack->resources_count; i++) {
            running |= stack->resources[i].phase == PHASE_RUNNING;
        }
        left = running;
    }
    return !left;
}

/* The cleanup deletes what was replaced under its old id, then what the template lost. */

void step_begin_replaced(struct ctx *ctx, struct stack *stack, struct stack_resource *resource)
{
    for (size_t i = resource->replaced_count; i-- > 0;) {
        bool keep = resource->retain_replaced && !undoes(stack);

        replaced_note(ctx, stack, resource, &resource->replaced[i],
                      keep ? "DELETE_SKIPPED" : "DELETE_IN_PROGRESS", NULL);
        if (keep) {
            stack_replaced_remove(resource, i);
        }
    }
}

static int ask_to_delete(struct ctx *ctx, struct stack *stack,
                         const struct stack_resource *resource, const struct replaced *replaced,
                         struct error *err)
{
    const struct resource_row *row = resource_row_find(resource->type);
    struct resource_call call = {
        .ctx = ctx,
        .stack = stack,
        .logical = resource->logical,
        .physical = replaced->physical,
        .properties = step_parsed(replaced->properties),
        .previous = json_object(),
        .attributes = step_parsed(replaced->attributes),
    };
    int rc = row == NULL || row->delete == NULL ? 0 : row->delete (&call, err);

    json_decref(call.properties);
    json_decref(call.previous);
    json_decref(call.attributes);
    return rc;
}

/* True when there is nothing left to do about it. */
static bool delete_replaced(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
                            const struct replaced *replaced)
{
    struct error err = {0};
    int rc = ask_to_delete(ctx, stack, resource, replaced, &err);

    if (rc == 0 || means_gone(&err)) {
        replaced_note(ctx, stack, resource, replaced, "DELETE_COMPLETE", NULL);
        return true;
    }
    if (ctx->wall_ms - resource->phase_since_ms < STEP_STABLE_REAL_MS_MAX && means_wait(&err)) {
        return false;
    }
    replaced_note(ctx, stack, resource, replaced, "DELETE_FAILED", step_reason_of(ctx, &err));
    log_warn("stack.cleanup stack=%s resource=%s reason=\"%s\"", stack->name, resource->logical,
             err.message); /* AWS too leaves it and says so. */
    return true;
}

bool step_delete_replaced(struct ctx *ctx, struct stack *stack)
{
    bool done = true;

    for (size_t i = stack->resources_count; i-- > 0;) {
        struct stack_resource *resource = &stack->resources[i];

        for (size_t j = resource->replaced_count; j-- > 0;) {
            if (delete_replaced(ctx, stack, resource, &resource->replaced[j])) {
                stack_replaced_remove(resource, j);
            } else {
                done = false;
            }
        }
    }
    return done;
}
