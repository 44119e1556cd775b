/* The actions that read stacks. */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/page.h"
#include "services/cloudformation/stack.h"

#include <string.h>

#define STACKS_PER_PAGE 100
#define RESOURCES_PER_PAGE 100
#define EVENTS_PER_PAGE 100

static int missing(const char *name, struct error *err)
{
    return error_api(err, "ValidationError", "Stack with id %s does not exist", name);
}

static int find(struct ctx *ctx, const char *name, struct stack **stack, struct error *err)
{
    *stack = name == NULL ? NULL : stack_find(ctx->control->cloudformation, name);
    return *stack == NULL ? missing(name == NULL ? "" : name, err) : 0;
}

/* DescribeStacks */

static void add_outputs(const struct stack *stack, struct doc *row)
{
    for (size_t i = 0; i < stack->outputs_count; i++) {
        json_t *declared =
            json_object_get(json_object_get(stack->template, "Outputs"), stack->outputs[i].key);
        struct doc *output = doc_add_struct(row, M_Outputs);

        doc_set_z(output, M_OutputKey, stack->outputs[i].key);
        doc_set_z(output, M_OutputValue, stack->outputs[i].value);
        doc_set_z(output, M_Description,
                  json_string_value(json_object_get(declared, "Description")));
    }
}

static void add_stack(const struct stack *stack, struct doc *out)
{
    struct doc *row = doc_add_struct(out, M_Stacks);

    doc_set_z(row, M_StackId, stack->id);
    doc_set_z(row, M_StackName, stack->name);
    doc_set_z(row, M_Description,
              json_string_value(json_object_get(stack->template, "Description")));
    for (size_t i = 0; i < stack->parameters_count; i++) {
        struct doc *parameter = doc_add_struct(row, M_Parameters);

        doc_set_z(parameter, M_ParameterKey, stack->parameters[i].key);
        doc_set_z(parameter, M_ParameterValue,
                  plan_hides(stack->template, stack->parameters[i].key)
                      ? "****"
                      : stack->parameters[i].value);
    }
    doc_set_time_ms(row, M_CreationTime, stack->created_ms);
    if (stack->updated_ms != 0) {
        doc_set_time_ms(row, M_LastUpdatedTime, stack->updated_ms);
    }
    if (stack->deleted_ms != 0) {
        doc_set_time_ms(row, M_DeletionTime, stack->deleted_ms);
    }
    doc_set_z(row, M_StackStatus, stack_status_names[stack->status]);
    doc_set_z(row, M_StackStatusReason, stack->status_reason);
    doc_set_z(row, M_ChangeSetId, stack->change_set);
    doc_set_bool(row, M_DisableRollback, stack->disable_rollback);
    doc_set_list(row, M_NotificationARNs);
    for (size_t i = 0; i < stack->capabilities_count; i++) {
        doc_add_z(row, M_Capabilities, stack->capabilities[i]);
    }
    add_outputs(stack, row);
    doc_set_list(row, M_Tags);
    for (size_t i = 0; i < stack->tags_count; i++) {
        struct doc *tag = doc_add_struct(row, M_Tags);

        doc_set_z(tag, M_Key, stack->tags[i].key);
        doc_set_z(tag, M_Value, stack->tags[i].value);
    }
    doc_set_bool(row, M_EnableTerminationProtection, stack->protected);
    doc_set_z(doc_set_struct(row, M_DriftInformation), M_StackDriftStatus, "NOT_CHECKED");
}

static bool is_alive(const struct doc *in, const struct stack *stack)
{
    (void)in;
    return stack->status != STACK_DELETE_COMPLETE;
}

/* A page of the stacks that fit, newest first. */
static int list(struct ctx *ctx, const struct doc *in, const char *action,
                bool (*fits)(const struct doc *in, const struct stack *stack),
                void (*add)(const struct stack *stack, struct doc *out), struct doc *out,
                struct error *err)
{
    const struct map *stacks = &ctx->control->cloudformation->stacks;
    struct stack **all = arena_calloc(ctx->arena, stacks->count + 1, sizeof(struct stack *));
    struct stack *stack;
    struct slice after;
    size_t count = 0, given = 0;

    if (page_token_read(ctx->arena, action, doc_z(in, M_NextToken), &after, err) != 0) {
        return error_api(err, "ValidationError", "Invalid NextToken");
    }
    for (size_t at = 0; (stack = map_next(stacks, &at)) != NULL;) {
        if (fits(in, stack)) {
            all[count++] = stack;
        }
    }
    while (after.bytes > 0 && count > 0 && !slice_equal_z(after, all[count - 1]->id)) {
        count--;
    }
    count -= after.bytes > 0 && count > 0;
    for (; count > 0; count--, given++) {
        if (given == STACKS_PER_PAGE) {
            doc_set_z(out, M_NextToken, page_token(ctx->arena, action, slice_z(all[count]->id)));
            break;
        }
        add(all[count - 1], out);
    }
    return 0;
}

int cloudformation_describe_stacks(struct ctx *ctx, const struct doc *in, struct doc *out,
                                   struct error *err)
{
    struct stack *stack;

    doc_set_list(out, M_Stacks);
    if (doc_has(in, M_StackName)) {
        int rc = find(ctx, doc_z(in, M_StackName), &stack, err);

        if (rc == 0) {
            add_stack(stack, out);
        }
        return rc;
    }
    return list(ctx, in, "DescribeStacks", is_alive, add_stack, out, err);
}

static bool has_status(const struct doc *in, const struct stack *stack)
{
    return doc_count(in, M_StackStatusFilter) == 0 ||
           doc_list_contains(in, M_StackStatusFilter, slice_z(stack_status_names[stack->status]));
}

static void add_summary(const struct stack *stack, struct doc *out)
{
    struct doc *row = doc_add_struct(out, M_StackSummaries);

    doc_set_z(row, M_StackId, stack->id);
    doc_set_z(row, M_StackName, stack->name);
    doc_set_z(row, M_TemplateDescription,
              json_string_value(json_object_get(stack->template, "Description")));
    doc_set_time_ms(row, M_CreationTime, stack->created_ms);
    if (stack->updated_ms != 0) {
        doc_set_time_ms(row, M_LastUpdatedTime, stack->updated_ms);
    }
    if (stack->deleted_ms != 0) {
        doc_set_time_ms(row, M_DeletionTime, stack->deleted_ms);
    }
    doc_set_z(row, M_StackStatus, stack_status_names[stack->status]);
    doc_set_z(row, M_StackStatusReason, stack->status_reason);
    doc_set_z(doc_set_struct(row, M_DriftInformation), M_StackDriftStatus, "NOT_CHECKED");
}

int cloudformation_list_stacks(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    doc_set_list(out, M_StackSummaries);
    return list(ctx, in, "ListStacks", has_status, add_summary, out, err);
}

/* DescribeStackEvents: newest first. */

static void add_event(const struct stack *stack, const struct stack_event *event, struct doc *out)
{
    struct doc *row = doc_add_struct(out, M_StackEvents);

    doc_set_z(row, M_StackId, stack->id);
    doc_set_z(row, M_EventId, event->id);
    doc_set_z(row, M_StackName, stack->name);
    doc_set_z(row, M_LogicalResourceId, event->logical);
    doc_set_z(row, M_PhysicalResourceId, event->physical == NULL ? "" : event->physical);
    doc_set_z(row, M_ResourceType, event->type);
    doc_set_time_ms(row, M_Timestamp, event->at_ms);
    doc_set_z(row, M_ResourceStatus, event->status);
    doc_set_z(row, M_ResourceStatusReason, event->reason);
}

int cloudformation_describe_stack_events(struct ctx *ctx, const struct doc *in, struct doc *out,
                                         struct error *err)
{
    struct stack *stack;
    struct slice after;
    size_t i;
    int rc = find(ctx, doc_z(in, M_StackName), &stack, err);

    if (rc != 0) {
        return rc;
    }
    if (page_token_read(ctx->arena, "DescribeStackEvents", doc_z(in, M_NextToken), &after, err) !=
        0) {
        return error_api(err, "ValidationError", "Invalid NextToken");
    }
    doc_set_list(out, M_StackEvents);
    i = stack->events_count;
    while (after.bytes > 0 && i > 0 && !slice_equal_z(after, stack->events[i - 1].id)) {
        i--;
    }
    i -= after.bytes > 0 && i > 0;
    for (size_t shown = 0; i > 0; shown++, i--) {
        if (shown == EVENTS_PER_PAGE) {
            doc_set_z(out, M_NextToken,
                      page_token(ctx->arena, "DescribeStackEvents", slice_z(stack->events[i].id)));
            break;
        }
        add_event(stack, &stack->events[i - 1], out);
    }
    return 0;
}

/* Resources. */

static void add_resource(const struct stack *stack, const struct stack_resource *resource,
                         struct doc *row)
{
    doc_set_z(row, M_StackName, stack->name);
    doc_set_z(row, M_StackId, stack->id);
    doc_set_z(row, M_LogicalResourceId, resource->logical);
    doc_set_z(row, M_PhysicalResourceId, resource->physical);
    doc_set_z(row, M_ResourceType, resource->type);
    doc_set_time_ms(row, M_Timestamp, resource->updated_ms);
    doc_set_time_ms(row, M_LastUpdatedTimestamp, resource->updated_ms);
    doc_set_z(row, M_ResourceStatus, resource->status);
    doc_set_z(row, M_ResourceStatusReason, resource->status_reason);
}

static struct stack *stack_of_physical(struct cloudformation *service, const char *physical)
{
    struct stack *stack;

    for (size_t at = 0; (stack = map_next(&service->stacks, &at)) != NULL;) {
        for (size_t i = 0; i < stack->resources_count; i++) {
            if (stack->resources[i].physical != NULL &&
                strcmp(stack->resources[i].physical, physical) == 0) {
                return stack;
            }
        }
    }
    return NULL;
}

int cloudformation_describe_stack_resources(struct ctx *ctx, const struct doc *in, struct doc *out,
                                            struct error *err)
{
    const char *logical = doc_z(in, M_LogicalResourceId);
    const char *physical = doc_z(in, M_PhysicalResourceId);
    struct stack *stack;

    if ((physical == NULL) == (doc_z(in, M_StackName) == NULL)) {
        return error_api(err, "ValidationError",
                         "Exactly one of StackName and PhysicalResourceId must be specified");
    }
    if (physical != NULL) {
        stack = stack_of_physical(ctx->control->cloudformation, physical);
        if (stack == NULL) {
            return error_api(err, "ValidationError", "Stack for %s does not exist", physical);
        }
    } else {
        int rc = find(ctx, doc_z(in, M_StackName), &stack, err);

        if (rc != 0) {
            return rc;
        }
    }
    doc_set_list(out, M_StackResources);
    for (size_t i = 0; i < stack->resources_count; i++) {
        if (stack->resources[i].status != NULL &&
            (logical == NULL || strcmp(logical, stack->resources[i].logical) == 0)) {
            add_resource(stack, &stack->resources[i], doc_add_struct(out, M_StackResources));
        }
    }
    return 0;
}

int cloudformation_describe_stack_resource(struct ctx *ctx, const struct doc *in, struct doc *out,
                                           struct error *err)
{
    const char *logical = doc_z(in, M_LogicalResourceId);
    const struct stack_resource *resource;
    struct stack *stack;
    int rc = find(ctx, doc_z(in, M_StackName), &stack, err);

    if (rc != 0) {
        return rc;
    }
    resource = stack_resource_find(stack, logical);
    if (resource == NULL || resource->status == NULL) {
        return error_api(err, "ValidationError", "Resource %s does not exist for stack %s", logical,
                         stack->name);
    }
    add_resource(stack, resource, doc_set_struct(out, M_StackResourceDetail));
    return 0;
}

int cloudformation_list_stack_resources(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    struct stack *stack;
    struct slice after;
    size_t i = 0, given = 0;
    int rc = find(ctx, doc_z(in, M_StackName), &stack, err);

    if (rc != 0) {
        return rc;
    }
    if (page_token_read(ctx->arena, "ListStackResources", doc_z(in, M_NextToken), &after, err) !=
        0) {
        return error_api(err, "ValidationError", "Invalid NextToken");
    }
    doc_set_list(out, M_StackResourceSummaries);
    while (after.bytes > 0 && i < stack->resources_count &&
           !slice_equal_z(after, stack->resources[i++].logical)) {
    }
    for (; i < stack->resources_count; i++) {
        if (stack->resources[i].status == NULL) {
            continue;
        }
        if (given++ == RESOURCES_PER_PAGE) {
            doc_set_z(out, M_NextToken,
                      page_token(ctx->arena, "ListStackResources",
                                 slice_z(stack->resources[i - 1].logical)));
            break;
        }
        add_resource(stack, &stack->resources[i], doc_add_struct(out, M_StackResourceSummaries));
    }
    return 0;
}

int cloudformation_get_template(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct stack *stack;
    int rc = find(ctx, doc_z(in, M_StackName), &stack, err);

    if (rc != 0) {
        return rc;
    }
    if (stack->template_text == NULL) {
        return error_api(err, "ValidationError", "Stack %s is in %s state: it has no template yet",
                         stack->name, stack_status_names[stack->status]);
    }
    doc_set_z(out, M_TemplateBody, stack->template_text);
    doc_add_z(out, M_StagesAvailable, "Original");
    doc_add_z(out, M_StagesAvailable, "Processed");
    return 0;
}
