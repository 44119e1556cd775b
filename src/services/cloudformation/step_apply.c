/* Applying a template: create and update. */
#include "base/alloc.h"
#include "services/cloudformation/step.h"

#include <stdlib.h>
#include <string.h>

static bool dependencies_done(const struct stack *stack, const struct stack_resource *resource)
{
    for (size_t i = 0; i < resource->depends_count; i++) {
        const struct stack_resource *other = stack_resource_find(stack, resource->depends[i]);

        if (other != NULL && other->phase != PHASE_DONE) {
            return false;
        }
    }
    return true;
}

static int evaluated_properties(struct stack *stack, const char *logical, json_t **properties,
                                struct error *err)
{
    const struct evaluation evaluation = stack_evaluation(stack);
    json_t *declared = json_object_get(
        json_object_get(json_object_get(stack->template, "Resources"), logical), "Properties");
    int rc;

    if (declared == NULL) {
        *properties = json_object();
        return 0;
    }
    rc = evaluate(&evaluation, declared, properties, err);
    if (rc == 0 && *properties == NULL) {
        *properties = json_object();
    }
    return rc;
}

static void start_create(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
                         const struct resource_row *row)
{
    struct resource_call call = step_call_of(ctx, stack, resource);
    struct error err = {0};
    int rc;

    call.physical = NULL;
    json_object_clear(call.attributes);
    rc = row->create(&call, &err);
    step_close_call(&call, resource);
    if (rc != 0) {
        step_fail(ctx, stack, resource, step_verb(stack), step_reason_of(ctx, &err));
        return;
    }
    step_mark(ctx, stack, resource, step_verb(stack), "IN_PROGRESS", "Resource creation Initiated");
    step_set_phase(ctx, resource, PHASE_RUNNING);
}

/* Did a property change that can only be had by a new resource? */
static bool must_replace(const struct resource_row *row, const struct resource_call *call)
{
    return row->update == NULL || resource_changed(call, row->replace);
}

/* Another is to take its place. */
static void set_aside(struct stack_resource *resource)
{
    resource->replaced =
        mem_realloc(resource->replaced, resource->replaced_count + 1, sizeof(*resource->replaced));
    resource->replaced[resource->replaced_count++] = (struct replaced){
        .physical = resource->physical,
        .properties = mem_strdup(resource->previous),
        .attributes = mem_strdup(resource->attributes),
    };
    resource->physical = NULL;
}

static void start_update(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
                         const struct resource_row *row)
{
    struct resource_call call = step_call_of(ctx, stack, resource);
    struct error err = {0};
    int rc;

    if (must_replace(row, &call)) {
        step_close_call(&call, resource);
        step_mark(
            ctx, stack, resource, "UPDATE", "IN_PROGRESS",
            "Requested update requires the creation of a new physical resource; hence creating "
            "one.");
        set_aside(resource);
        start_create(ctx, stack, resource, row);
        return;
    }
    step_mark(ctx, stack, resource, "UPDATE", "IN_PROGRESS", NULL);
    resource->torn = true;
    rc = row->update(&call, &err);
    step_close_call(&call, resource);
    if (rc != 0) {
        step_fail(ctx, stack, resource, "UPDATE", step_reason_of(ctx, &err));
        return;
    }
    step_set_phase(ctx, resource, PHASE_RUNNING);
}

static void start_apply(struct ctx *ctx, struct stack *stack, struct stack_resource *resource)
{
    const struct resource_row *row = resource_row_find(resource->type);
    json_t *properties = NULL, *before = step_parsed(resource->properties);
    struct error err = {0};

    ASSERT(row != NULL); /* plan_check() refused others. */
    if (evaluated_properties(stack, resource->logical, &properties, &err) != 0) {
        json_decref(before);
        step_mark(ctx, stack, resource, resource->physical == NULL ? "CREATE" : "UPDATE",
                  "IN_PROGRESS", NULL);
        step_fail(ctx, stack, resource, step_verb(stack), err.message);
        return;
    }
    step_add_stack_tags(stack, row, properties);
    if (resource->physical != NULL && !resource->torn && json_equal(properties, before)) {
        step_set_phase(ctx, resource, PHASE_DONE);
        json_decref(before);
        json_decref(properties);
        return;
    }
    if (resource->physical != NULL) {
        free(resource->previous);
        resource->previous = resource->properties;
        resource->properties = NULL;
    }
    free(resource->properties);
    resource->properties = step_dumped(properties);
    json_decref(before);
    json_decref(properties);
    if (resource->physical == NULL) {
        step_mark(ctx, stack, resource, "CREATE", "IN_PROGRESS", NULL);
        start_create(ctx, stack, resource, row);
    } else {
        start_update(ctx, stack, resource, row);
    }
}

static void poll_apply(struct ctx *ctx, struct stack *stack, struct stack_resource *resource)
{
    const struct resource_row *row = resource_row_find(resource->type);
    struct resource_call call = step_call_of(ctx, stack, resource);
    struct error err = {0};
    bool done = row->ready == NULL;
    int rc = done ? 0 : row->ready(&call, &done, &err);

    step_close_call(&call, resource);
    if (rc != 0) {
        step_fail(ctx, stack, resource, step_verb(stack), step_reason_of(ctx, &err));
    } else if (done) {
        resource->torn = false;
        step_set_phase(ctx, resource, PHASE_DONE);
        step_mark(ctx, stack, resource,
                  strncmp(resource->status, "CREATE", 6) == 0 ? "CREATE" : "UPDATE", "COMPLETE",
                  NULL);
    } else if (ctx->wall_ms - resource->phase_since_ms > STEP_STABLE_REAL_MS_MAX) {
        step_fail(ctx, stack, resource, step_verb(stack), "Resource did not stabilize.");
    }
}

/* Start and ask, in the template's order. True when nothing is left to do; *@failed when something
 * went wrong. Until a pass changes nothing: most resources are ready at once, and what depends on
 * them need not wait for the next step. */
bool step_apply_all(struct ctx *ctx, struct stack *stack, bool *failed)
{
    bool moved = true, left = true;

    *failed = false;
    while (moved && !*failed) {
        moved = false;
        left = false;
        for (size_t i = 0; i < stack->resources_count; i++) {
            struct stack_resource *resource = &stack->resources[i];
            enum resource_phase before = resource->phase;

            if (before == PHASE_WAITING && dependencies_done(stack, resource)) {
                start_apply(ctx, stack, resource);
            }
            if (resource->phase == PHASE_RUNNING) {
                poll_apply(ctx, stack, resource);
            }
            moved |= resource->phase != before;
            left |= resource->phase != PHASE_DONE;
            *failed |= resource->phase == PHASE_FAILED;
        }
    }
    return !left;
}
