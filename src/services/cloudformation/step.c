#include "services/cloudformation/step.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void step_set_phase(struct ctx *ctx, struct stack_resource *resource, enum resource_phase phase)
{
    resource->phase = phase;
    resource->phase_since_ms = ctx->wall_ms;
}

json_t *step_parsed(const char *text)
{
    json_t *json = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);

    return json == NULL ? json_object() : json;
}

char *step_dumped(const json_t *json)
{
    return json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
}

struct resource_call step_call_of(struct ctx *ctx, struct stack *stack,
                                  const struct stack_resource *resource)
{
    return (struct resource_call){
        .ctx = ctx,
        .stack = stack,
        .logical = resource->logical,
        .physical = resource->physical,
        .properties = step_parsed(resource->properties),
        .previous = step_parsed(resource->previous),
        .attributes = step_parsed(resource->attributes),
    };
}

/* What the call found out goes to the resource. */
void step_close_call(struct resource_call *call, struct stack_resource *resource)
{
    if (call->new_physical != NULL) {
        free(resource->physical);
        resource->physical = call->new_physical;
    }
    free(resource->attributes);
    resource->attributes = step_dumped(call->attributes);
    json_decref(call->properties);
    json_decref(call->previous);
    json_decref(call->attributes);
}

const char *step_reason_of(struct ctx *ctx, const struct error *err)
{
    return arena_printf(ctx->arena,
                        "Resource handler returned message: \"%s\" (RequestToken: %s, "
                        "HandlerErrorCode: %s)",
                        err->message, ctx->request_id,
                        err->aws_code[0] == '\0' ? "GeneralServiceException" : err->aws_code)
        .data;
}

const char *step_verb(const struct stack *stack)
{
    return stack->status == STACK_CREATE_IN_PROGRESS ? "CREATE" : "UPDATE";
}

void step_mark(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
               const char *what, const char *outcome, const char *reason)
{
    resource_set_status(ctx, stack, resource, arena_printf(ctx->arena, "%s_%s", what, outcome).data,
                        reason);
}

void step_fail(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
               const char *what, const char *reason)
{
    step_set_phase(ctx, resource, PHASE_FAILED);
    step_mark(ctx, stack, resource, what, "FAILED", reason);
}

void step_add_stack_tags(const struct stack *stack, const struct resource_row *row,
                         json_t *properties)
{
    json_t *given = json_object_get(properties, "Tags"), *tags, *tag;

    if (!row->tagged || stack->tags_count == 0 || (given != NULL && !json_is_array(given))) {
        return; /* What is no list is for the service to refuse. */
    }
    tags = given == NULL ? json_array() : json_deep_copy(given);
    for (size_t i = 0; i < stack->tags_count; i++) {
        if (resource_has_key(given, stack->tags[i].key)) {
            continue; /* The template's own goes before the stack's. */
        }
        tag = json_pack("{s:s, s:s}", "Key", stack->tags[i].key, "Value", stack->tags[i].value);
        if (strcmp(row->type, "AWS::AutoScaling::AutoScalingGroup") == 0) {
            json_object_set_new(tag, "PropagateAtLaunch", json_true());
        }
        json_array_append_new(tags, tag);
    }
    json_object_set_new(properties, "Tags", tags);
}
