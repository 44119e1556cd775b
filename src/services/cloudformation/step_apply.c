/* Applying a template: create and update. */
#include "api/api.h"
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

/* A property, or a part of one, that is there only before, or only after the update, is its default
 * on the other side. */
static void add_defaults(json_t *defaults, json_t *before, json_t *now)
{
    json_t *value;
    const char *name;

    json_object_foreach(defaults, name, value)
    {
        json_t *part_before = json_object_get(before, name), *part = json_object_get(now, name);

        if (part_before == NULL && part != NULL) {
            json_object_set(before, name, value);
        } else if (part_before != NULL && part == NULL) {
            json_object_set(now, name, value);
        } else {
            add_defaults(value, part_before, part); /* Does nothing to what is no object. */
        }
    }
}

/* Did a property change that can only be had by a new resource? */
static bool must_replace(const struct resource_row *row, const struct resource_call *call)
{
    return row->update == NULL || resource_changed(call, row->replace);
}

/* Does the type have these properties, and are those lists that rows take apart? What rows pass on
 * whole is for the service's action to refuse. */
static int check_properties(const struct resource_row *row, json_t *properties, struct error *err)
{
    static const char *const lists =
        "LoadBalancerAttributes,ManagedPolicyArns,Policies,Roles,SecurityGroupEgress,"
        "SecurityGroupIngress,Tags,TargetGroupARNs,TargetGroupAttributes,Targets,VPCZoneIdentifier";
    const char *name;
    json_t *value;

    json_object_foreach(properties, name, value)
    {
        if (row->properties != NULL && !resource_named(row->properties, name)) {
            return error_api(err, "ValidationError", "Encountered unsupported property %s", name);
        }
        if (resource_named(lists, name) && !json_is_array(value)) {
            return error_api(err, "ValidationError", "Value of property %s must be of type List",
                             name);
        }
    }
    return 0;
}

/* An update that was cancelled may be under way still: what it changes cannot be changed yet. */
static bool unsettled(struct ctx *ctx, struct stack *stack, struct stack_resource *resource)
{
    const struct resource_row *row = resource_row_find(resource->type);
    struct resource_call call;
    struct error err = {0};
    bool done = true;
    int rc;

    if (!resource->torn || resource->physical == NULL || row->ready == NULL ||
        ctx->wall_ms - resource->phase_since_ms > STEP_STABLE_REAL_MS_MAX) {
        return false;
    }
    call = step_call_of(ctx, stack, resource);
    rc = row->ready(&call, &done, &err);
    step_close_call(&call, resource);
    return rc == 0 && !done;
}

/* Its successor would be made beside it, and cannot have the name that the template gives both. */
static bool keeps_name(const struct resource_row *row, const struct resource_call *call)
{
    return row->name != NULL && resource_text(call, row->name) != NULL &&
           !resource_changed(call, row->name);
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
    json_t *defaults;
    int rc;

    if (must_replace(row, &call) && keeps_name(row, &call)) {
        const char *reason =
            arena_printf(ctx->arena,
                         "CloudFormation cannot update a stack when a custom-named "
                         "resource requires replacing. Rename %s and update the "
                         "stack again.",
                         resource_text(&call, row->name))
                .data;

        step_close_call(&call, resource);
        free(resource->properties);
        resource->properties = resource->previous; /* Nothing was done. */
        resource->previous = NULL;
        step_mark(ctx, stack, resource, "UPDATE", "IN_PROGRESS", NULL);
        step_fail(ctx, stack, resource, "UPDATE", reason);
        return;
    }
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
    defaults = step_parsed(row->defaults);
    add_defaults(defaults, call.previous, call.properties);
    json_decref(defaults);
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
    int rc;

    ASSERT(row != NULL); /* plan_check() refused others. */
    rc = evaluated_properties(stack, resource->logical, &properties, &err);
    rc = rc != 0 ? rc : check_properties(row, properties, &err);
    if (rc != 0) {
        json_decref(before);
        json_decref(properties);
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

            if (before == PHASE_WAITING && dependencies_done(stack, resource) &&
                !unsettled(ctx, stack, resource)) {
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
