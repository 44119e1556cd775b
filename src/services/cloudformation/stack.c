#include "services/cloudformation/stack.h"

#include "api/members.h"
#include "aws/id.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "services/cloudformation/resource.h"
#include "services/cloudformation/template.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

const char *const stack_status_names[] = {
    [STACK_CREATE_IN_PROGRESS] = "CREATE_IN_PROGRESS",
    [STACK_CREATE_FAILED] = "CREATE_FAILED",
    [STACK_CREATE_COMPLETE] = "CREATE_COMPLETE",
    [STACK_ROLLBACK_IN_PROGRESS] = "ROLLBACK_IN_PROGRESS",
    [STACK_ROLLBACK_FAILED] = "ROLLBACK_FAILED",
    [STACK_ROLLBACK_COMPLETE] = "ROLLBACK_COMPLETE",
    [STACK_DELETE_IN_PROGRESS] = "DELETE_IN_PROGRESS",
    [STACK_DELETE_FAILED] = "DELETE_FAILED",
    [STACK_DELETE_COMPLETE] = "DELETE_COMPLETE",
    [STACK_UPDATE_IN_PROGRESS] = "UPDATE_IN_PROGRESS",
    [STACK_UPDATE_CLEANUP] = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    [STACK_UPDATE_COMPLETE] = "UPDATE_COMPLETE",
    [STACK_UPDATE_FAILED] = "UPDATE_FAILED",
    [STACK_UPDATE_ROLLBACK_IN_PROGRESS] = "UPDATE_ROLLBACK_IN_PROGRESS",
    [STACK_UPDATE_ROLLBACK_CLEANUP] = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    [STACK_UPDATE_ROLLBACK_COMPLETE] = "UPDATE_ROLLBACK_COMPLETE",
    [STACK_UPDATE_ROLLBACK_FAILED] = "UPDATE_ROLLBACK_FAILED",
    [STACK_REVIEW_IN_PROGRESS] = "REVIEW_IN_PROGRESS",
};
static const char *const phase_names[] = {"done", "waiting", "running", "failed"};

static const struct record_field key_value_fields[] = {
    RECORD_TEXT(struct key_value, key),
    RECORD_TEXT(struct key_value, value),
};
const struct record key_value_record = RECORD(struct key_value, key_value_fields);

void key_values_free(struct key_value *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        record_close(&key_value_record, &list[i]);
    }
    free(list);
}

static const struct record_field replaced_fields[] = {
    RECORD_TEXT(struct replaced, physical),
    RECORD_TEXT(struct replaced, properties),
    RECORD_TEXT(struct replaced, attributes),
};
static const struct record replaced_record = RECORD(struct replaced, replaced_fields);

static const struct record_field resource_fields[] = {
    RECORD_TEXT(struct stack_resource, logical),
    RECORD_TEXT(struct stack_resource, type),
    RECORD_TEXT(struct stack_resource, physical),
    RECORD_TEXT(struct stack_resource, properties),
    RECORD_TEXT(struct stack_resource, previous),
    RECORD_TEXT(struct stack_resource, attributes),
    RECORD_LIST(struct stack_resource, replaced, replaced_record),
    RECORD_TEXT(struct stack_resource, status),
    RECORD_TEXT(struct stack_resource, status_reason),
    RECORD_TEXTS(struct stack_resource, depends),
    RECORD_BOOL(struct stack_resource, retain),
    RECORD_BOOL(struct stack_resource, retain_new),
    RECORD_BOOL(struct stack_resource, retain_replaced),
    RECORD_BOOL(struct stack_resource, torn),
    RECORD_ENUM(struct stack_resource, phase, phase_names),
    RECORD_I64(struct stack_resource, phase_since_ms),
    RECORD_I64(struct stack_resource, updated_ms),
};
static const struct record resource_record = RECORD(struct stack_resource, resource_fields);

static const struct record_field event_fields[] = {
    RECORD_TEXT(struct stack_event, id),       RECORD_TEXT(struct stack_event, logical),
    RECORD_TEXT(struct stack_event, physical), RECORD_TEXT(struct stack_event, type),
    RECORD_TEXT(struct stack_event, status),   RECORD_TEXT(struct stack_event, reason),
    RECORD_I64(struct stack_event, at_ms),
};
static const struct record event_record = RECORD(struct stack_event, event_fields);

static const struct record_field stack_fields[] = {
    RECORD_TEXT(struct stack, name),
    RECORD_TEXT(struct stack, id),
    RECORD_ENUM(struct stack, status, stack_status_names),
    RECORD_TEXT(struct stack, status_reason),
    RECORD_TEXT(struct stack, template_text),
    RECORD_LIST(struct stack, parameters, key_value_record),
    RECORD_TEXT(struct stack, old_template_text),
    RECORD_LIST(struct stack, old_parameters, key_value_record),
    RECORD_LIST(struct stack, old_tags, key_value_record),
    RECORD_LIST(struct stack, outputs, key_value_record),
    RECORD_LIST(struct stack, tags, key_value_record),
    RECORD_TEXTS(struct stack, capabilities),
    RECORD_TEXTS(struct stack, retain),
    RECORD_TEXT(struct stack, on_failure),
    RECORD_BOOL(struct stack, disable_rollback),
    RECORD_BOOL(struct stack, retain_except_on_create),
    RECORD_BOOL(struct stack, protected),
    RECORD_TEXT(struct stack, client_token),
    RECORD_TEXT(struct stack, change_set),
    RECORD_I64(struct stack, created_ms),
    RECORD_I64(struct stack, updated_ms),
    RECORD_I64(struct stack, deleted_ms),
    RECORD_I32(struct stack, caller_kind),
    RECORD_TEXT(struct stack, caller_arn),
    RECORD_TEXT(struct stack, caller_user_id),
    RECORD_TEXT(struct stack, caller_name),
    RECORD_TEXT(struct stack, caller_access_key_id),
    RECORD_LIST(struct stack, resources, resource_record),
    RECORD_LIST(struct stack, events, event_record),
};
static const struct record stack_record = RECORD(struct stack, stack_fields);

struct stack *stack_find(struct cloudformation *service, const char *name_or_id)
{
    struct stack *stack = map_get_z(&service->stacks, name_or_id);

    if (stack != NULL) {
        return stack;
    }
    for (size_t at = 0; (stack = map_next(&service->stacks, &at)) != NULL;) {
        if (stack->status != STACK_DELETE_COMPLETE && strcmp(stack->name, name_or_id) == 0) {
            return stack;
        }
    }
    return NULL;
}

struct stack *stack_new(struct cloudformation *service, const char *name)
{
    const struct control_options *options = &service->control->options;
    struct stack *stack = mem_calloc(1, sizeof(*stack));
    char uuid[UUID_BYTES];
    struct buf id = {0};

    id_new_uuid(uuid);
    buf_printf(&id, "arn:aws:cloudformation:%s:%s:stack/%s/%s", options->region, options->account,
               name, uuid);
    stack->service = service;
    stack->name = mem_strdup(name);
    stack->id = buf_take(&id);
    map_put(&service->stacks, slice_z(stack->id), stack);
    return stack;
}

void stack_free(struct stack *stack)
{
    if (stack == NULL) {
        return;
    }
    control_timer_close(stack->timer);
    json_decref(stack->template);
    record_close(&stack_record, stack);
    free(stack);
}

int stack_load(struct cloudformation *service, struct slice body, struct error *err)
{
    struct stack *stack = mem_calloc(1, sizeof(*stack));
    int rc = record_load(&stack_record, stack, body, err);

    if (rc != 0) {
        free(stack);
        return rc;
    }
    stack->service = service;
    map_put(&service->stacks, slice_z(stack->id), stack);
    return stack_parse(stack, err);
}

void stack_changed(struct ctx *ctx, struct stack *stack)
{
    changes_put_record(ctx->changes, SLICE_LIT("cloudformation.stack"), slice_z(stack->id),
                       &stack_record, stack);
}

int stack_parse(struct stack *stack, struct error *err)
{
    json_decref(stack->template);
    stack->template = NULL;
    if (stack->template_text == NULL) {
        return 0;
    }
    return template_parse(slice_z(stack->template_text), &stack->template, err);
}

bool stack_wants(struct stack *stack, const char *logical)
{
    const struct evaluation evaluation = stack_evaluation(stack);
    json_t *declared = json_object_get(json_object_get(stack->template, "Resources"), logical);
    const char *condition = json_string_value(json_object_get(declared, "Condition"));
    bool holds = true;

    if (condition != NULL && evaluate_condition(&evaluation, condition, &holds, NULL) != 0) {
        return false; /* change_read() has seen to it that it can be told. */
    }
    return declared != NULL && holds;
}

static void replace(char **text, const char *value)
{
    char *copy = mem_strdup(value);

    free(*text);
    *text = copy;
}

static void add_event(struct ctx *ctx, struct stack *stack, const char *logical,
                      const char *physical, const char *type, const char *status,
                      const char *reason)
{
    char uuid[UUID_BYTES];
    struct stack_event *event;

    if (stack->events_count >= STACK_EVENTS_MAX) {
        record_close(&event_record, &stack->events[0]);
        memmove(stack->events, stack->events + 1,
                (stack->events_count - 1) * sizeof(*stack->events));
        stack->events_count--;
    }
    stack->events = mem_realloc(stack->events, stack->events_count + 1, sizeof(*stack->events));
    event = &stack->events[stack->events_count++];
    id_new_uuid(uuid);
    *event = (struct stack_event){
        .id = mem_strdup(uuid),
        .logical = mem_strdup(logical),
        .physical = mem_strdup(physical),
        .type = mem_strdup(type),
        .status = mem_strdup(status),
        .reason = mem_strdup(reason),
        .at_ms = ctx->now_ms,
    };
}

void stack_set_status(struct ctx *ctx, struct stack *stack, enum stack_status status,
                      const char *reason)
{
    stack->status = status;
    replace(&stack->status_reason, reason);
    add_event(ctx, stack, stack->name, stack->id, "AWS::CloudFormation::Stack",
              stack_status_names[status], reason);
}

void resource_set_status(struct ctx *ctx, struct stack *stack, struct stack_resource *resource,
                         const char *status, const char *reason)
{
    replace(&resource->status, status);
    replace(&resource->status_reason, reason);
    resource->updated_ms = ctx->now_ms;
    add_event(ctx, stack, resource->logical, resource->physical, resource->type, status, reason);
}

void replaced_note(struct ctx *ctx, struct stack *stack, const struct stack_resource *resource,
                   const struct replaced *replaced, const char *status, const char *reason)
{
    add_event(ctx, stack, resource->logical, replaced->physical, resource->type, status, reason);
}

struct stack_resource *stack_resource_find(const struct stack *stack, const char *logical)
{
    for (size_t i = 0; i < stack->resources_count; i++) {
        if (strcmp(stack->resources[i].logical, logical) == 0) {
            return &stack->resources[i];
        }
    }
    return NULL;
}

struct stack_resource *stack_resource_add(struct stack *stack, const char *logical,
                                          const char *type)
{
    struct stack_resource *resource;

    stack->resources =
        mem_realloc(stack->resources, stack->resources_count + 1, sizeof(*stack->resources));
    resource = &stack->resources[stack->resources_count++];
    *resource = (struct stack_resource){.logical = mem_strdup(logical), .type = mem_strdup(type)};
    return resource;
}

void stack_resource_remove(struct stack *stack, struct stack_resource *resource)
{
    size_t index = (size_t)(resource - stack->resources);

    record_close(&resource_record, resource);
    stack->resources_count--;
    memmove(resource, resource + 1, (stack->resources_count - index) * sizeof(*resource));
}

void stack_replaced_remove(struct stack_resource *resource, size_t index)
{
    struct replaced *replaced = &resource->replaced[index];

    record_close(&replaced_record, replaced);
    resource->replaced_count--;
    memmove(replaced, replaced + 1, (resource->replaced_count - index) * sizeof(*replaced));
}

/* Ref and GetAtt. */

static int pseudo_parameter(const struct stack *stack, const char *name, json_t **value)
{
    const struct control_options *options = &stack->service->control->options;
    const struct {
        const char *name, *value;
    } pseudo[] = {
        {"AWS::Region", options->region}, {"AWS::AccountId", options->account},
        {"AWS::StackName", stack->name},  {"AWS::StackId", stack->id},
        {"AWS::Partition", "aws"},        {"AWS::URLSuffix", "amazonaws.com"},
    };

    for (size_t i = 0; i < COUNT_OF(pseudo); i++) {
        if (strcmp(name, pseudo[i].name) == 0) {
            *value = json_string(pseudo[i].value);
            return 0;
        }
    }
    if (strcmp(name, "AWS::NotificationARNs") == 0) {
        *value = json_array();
        return 0;
    }
    return ERR_NOT_FOUND;
}

/* A list parameter's value is a list; others are texts. */
static json_t *parameter_value(const struct stack *stack, const struct key_value *parameter)
{
    json_t *declared =
        json_object_get(json_object_get(stack->template, "Parameters"), parameter->key);
    const char *type = json_string_value(json_object_get(declared, "Type"));
    struct slice rest = slice_z(parameter->value), part;
    json_t *list;

    if (type == NULL ||
        (strcmp(type, "CommaDelimitedList") != 0 && strncmp(type, "List<", 5) != 0)) {
        return json_string(parameter->value);
    }
    list = json_array();
    while (slice_next(&rest, ',', &part)) {
        part = slice_trim(part);
        json_array_append_new(list, json_stringn(part.data, part.bytes));
    }
    return list;
}

static int get_attribute(const struct stack_resource *resource, const char *attribute,
                         json_t **value, struct error *err)
{
    json_t *attributes = resource->attributes == NULL
                             ? NULL
                             : json_loads(resource->attributes, JSON_DECODE_ANY, NULL);
    json_t *found = json_object_get(attributes, attribute);

    *value = json_incref(found);
    json_decref(attributes);
    if (found == NULL) {
        return error_api(err, "ValidationError",
                         "Template error: resource %s does not support attribute type %s in "
                         "Fn::GetAtt",
                         resource->logical, attribute);
    }
    return 0;
}

static int lookup(void *data, const char *name, const char *attribute, json_t **value,
                  struct error *err)
{
    const struct stack *stack = data;
    const struct stack_resource *resource = stack_resource_find(stack, name);

    if (attribute == NULL && pseudo_parameter(stack, name, value) == 0) {
        return 0;
    }
    for (size_t i = 0; attribute == NULL && i < stack->parameters_count; i++) {
        if (strcmp(stack->parameters[i].key, name) == 0) {
            *value = parameter_value(stack, &stack->parameters[i]);
            return 0;
        }
    }
    if (resource == NULL || resource->physical == NULL) {
        return error_api(err, "ValidationError",
                         "Template error: instance of %s references undefined resource %s",
                         attribute == NULL ? "Ref" : "Fn::GetAtt", name);
    }
    if (attribute != NULL) {
        return get_attribute(resource, attribute, value, err);
    }
    *value = json_string(resource->physical);
    return 0;
}

struct evaluation stack_evaluation(struct stack *stack)
{
    return (struct evaluation){
        .template = stack->template,
        .lookup = lookup,
        .data = stack,
        .zones = resource_zones(stack->service->control),
    };
}
