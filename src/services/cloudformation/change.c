#include "services/cloudformation/change.h"

#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "services/cloudformation/template.h"
#include "store/record.h"
#include "wire/doc.h"

#include <stdlib.h>
#include <string.h>

static const struct record_field change_fields[] = {
    RECORD_TEXT(struct stack_change, template_text),
    RECORD_LIST(struct stack_change, parameters, key_value_record),
    RECORD_LIST(struct stack_change, tags, key_value_record),
    RECORD_TEXTS(struct stack_change, capabilities),
};
const struct record stack_change_record = RECORD(struct stack_change, change_fields);

int change_refuse_others(const struct doc *in, struct error *err)
{
#define OTHER(name_, why_)                                                                         \
    {                                                                                              \
        M_##name_, #name_, why_                                                                    \
    }
    static const struct {
        int member;
        const char *name, *why;
    } others[] = {
        OTHER(RoleARN, "stacks act with the rights of who asks for them"),
        OTHER(NotificationARNs, "there is no SNS here"),
        OTHER(RollbackConfiguration, "no alarms are watched during an operation"),
        OTHER(TimeoutInMinutes, "a resource has 15 minutes to become ready"),
        OTHER(StackPolicyBody, "there are no stack policies"),
        OTHER(StackPolicyURL, "there are no stack policies"),
        OTHER(StackPolicyDuringUpdateBody, "there are no stack policies"),
        OTHER(StackPolicyDuringUpdateURL, "there are no stack policies"),
        OTHER(ResourceTypes, "it limits no resource types"),
        OTHER(ResourcesToImport, "nothing can be imported"),
        OTHER(ImportExistingResources, "nothing can be imported"),
    };
#undef OTHER

    for (size_t i = 0; i < COUNT_OF(others); i++) {
        const struct doc *value = doc_get(in, others[i].member);

        if (value != NULL &&
            (value->kind == DOC_TEXT || doc_value_int(value) != 0 || doc_length(value) > 0)) {
            return error_api(err, "ValidationError", "%s is not supported by muster: %s",
                             others[i].name, others[i].why);
        }
    }
    return 0;
}

int change_check_name(const char *member, const char *name, struct error *err)
{
    bool fits = (name[0] >= 'A' && name[0] <= 'Z') || (name[0] >= 'a' && name[0] <= 'z');

    for (const char *p = name; *p != '\0'; p++) {
        fits &= (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
                *p == '-';
    }
    if (!fits || strlen(name) > 128) {
        return error_api(err, "ValidationError",
                         "1 validation error detected: Value '%s' at '%s' failed to satisfy "
                         "constraint: Member must satisfy regular expression pattern: "
                         "[a-zA-Z][-a-zA-Z0-9]*",
                         name, member);
    }
    return 0;
}

static int template_text(const struct doc *in, const struct stack *previous, struct slice *text,
                         struct error *err)
{
    *text = doc_text(in, M_TemplateBody);
    if (doc_has(in, M_TemplateURL)) {
        return error_api(err, "ValidationError",
                         "muster has no S3: give the template in TemplateBody");
    }
    if (previous != NULL && doc_bool(in, M_UsePreviousTemplate)) {
        *text = slice_z(previous->template_text);
    }
    if (text->bytes == 0) {
        return error_api(err, "ValidationError",
                         "Either Template URL or Template Body must be specified.");
    }
    if (text->bytes > TEMPLATE_BODY_BYTES_MAX) {
        return error_api(err, "ValidationError",
                         "1 validation error detected: Value at 'templateBody' failed to satisfy "
                         "constraint: Member must have length less than or equal to %d",
                         TEMPLATE_BODY_BYTES_MAX);
    }
    return 0;
}

static int check_capabilities(const struct doc *in, json_t *template, struct error *err)
{
    const char *needed = plan_capability(template);

    if (needed == NULL ||
        doc_list_contains(in, M_Capabilities, SLICE_LIT("CAPABILITY_NAMED_IAM")) ||
        (strcmp(needed, "CAPABILITY_IAM") == 0 &&
         doc_list_contains(in, M_Capabilities, SLICE_LIT("CAPABILITY_IAM")))) {
        return 0;
    }
    return error_api(err, "InsufficientCapabilitiesException", "Requires capabilities : [%s]",
                     needed);
}

int change_read_template(const struct doc *in, const struct stack *previous, struct slice *text,
                         json_t **template, struct error *err)
{
    int rc = template_text(in, previous, text, err);

    *template = NULL;
    if (rc == 0) {
        rc = template_parse(*text, template, err);
    }
    if (rc == 0) {
        rc = plan_check(*template, err);
    }
    if (rc != 0) {
        json_decref(*template);
        *template = NULL;
    }
    return rc;
}

/* Under one logical name there is one type for ever. */
static int check_types(const struct stack *stack, json_t *template, struct error *err)
{
    struct buf changed = {0};
    int rc = 0;

    for (size_t i = 0; i < stack->resources_count; i++) {
        const struct stack_resource *resource = &stack->resources[i];
        const char *type = json_string_value(json_object_get(
            json_object_get(json_object_get(template, "Resources"), resource->logical), "Type"));

        if (type != NULL && strcmp(type, resource->type) != 0) {
            buf_printf(&changed, "%s%s", changed.bytes == 0 ? "" : ", ", resource->logical);
        }
    }
    if (changed.bytes > 0) {
        rc = error_api(err, "ValidationError",
                       "Update of resource type is not permitted. The new template modifies "
                       "resource type of the following resources: [%s]",
                       buf_z(&changed));
    }
    buf_close(&changed);
    return rc;
}

static int check_conditions(const struct stack *stack, const struct stack_change *change,
                            struct error *err)
{
    struct stack trial = change_trial(stack, change);
    const struct evaluation evaluation = stack_evaluation(&trial);
    const char *logical;
    json_t *declared;

    json_object_foreach(json_object_get(change->template, "Resources"), logical, declared)
    {
        const char *condition = json_string_value(json_object_get(declared, "Condition"));
        bool holds;
        int rc = condition == NULL ? 0 : evaluate_condition(&evaluation, condition, &holds, err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void read_tags(const struct doc *in, const struct stack *stack, struct stack_change *change)
{
    bool given = doc_has(in, M_Tags); /* Else they stay. */

    change->tags_count = given ? doc_count(in, M_Tags) : stack->tags_count;
    change->tags = mem_calloc(change->tags_count + 1, sizeof(*change->tags));
    for (size_t i = 0; i < change->tags_count; i++) {
        const struct doc *tag = given ? doc_at(in, M_Tags, i) : NULL;

        change->tags[i] =
            (struct key_value){mem_strdup(given ? doc_z(tag, M_Key) : stack->tags[i].key),
                               mem_strdup(given ? doc_z(tag, M_Value) : stack->tags[i].value)};
    }
}

static void read_capabilities(const struct doc *in, struct stack_change *change)
{
    change->capabilities_count = doc_count(in, M_Capabilities);
    change->capabilities = mem_calloc(change->capabilities_count + 1, sizeof(char *));
    for (size_t i = 0; i < change->capabilities_count; i++) {
        change->capabilities[i] = mem_strdup(doc_z_at(in, M_Capabilities, i));
    }
}

int change_read(const struct doc *in, struct stack *stack, struct stack_change *change,
                struct error *err)
{
    const struct stack *previous = stack->template == NULL ? NULL : stack;
    struct slice text;
    int rc = change_refuse_others(in, err);

    *change = (struct stack_change){0};
    if (rc == 0) {
        rc = change_read_template(in, previous, &text, &change->template, err);
    }
    if (rc == 0) {
        rc = check_capabilities(in, change->template, err);
    }
    if (rc == 0) {
        rc = plan_parameters(change->template, in, previous, &change->parameters,
                             &change->parameters_count, err);
    }
    if (rc == 0) {
        rc = check_types(stack, change->template, err);
    }
    if (rc == 0) {
        rc = check_conditions(stack, change, err);
    }
    if (rc != 0) {
        change_close(change);
        return rc;
    }
    change->template_text = mem_strndup(text.data, text.bytes);
    read_tags(in, stack, change);
    read_capabilities(in, change);
    return 0;
}

void change_close(struct stack_change *change)
{
    json_decref(change->template);
    change->template = NULL;
    record_close(&stack_change_record, change);
}

struct stack change_trial(const struct stack *stack, const struct stack_change *change)
{
    struct stack trial = *stack;

    trial.template = change->template;
    trial.parameters = change->parameters;
    trial.parameters_count = change->parameters_count;
    trial.tags = change->tags;
    trial.tags_count = change->tags_count;
    return trial;
}

static bool same_pairs(const struct key_value *a, size_t a_count, const struct key_value *b,
                       size_t b_count)
{
    if (a_count != b_count) {
        return false;
    }
    for (size_t i = 0; i < a_count; i++) {
        if (strcmp(a[i].key, b[i].key) != 0 || strcmp(a[i].value, b[i].value) != 0) {
            return false;
        }
    }
    return true;
}

bool change_is_none(const struct stack_change *change, const struct stack *stack)
{
    return stack->template != NULL && json_equal(change->template, stack->template) &&
           same_pairs(change->parameters, change->parameters_count, stack->parameters,
                      stack->parameters_count) &&
           same_pairs(change->tags, change->tags_count, stack->tags, stack->tags_count);
}

int change_check_updatable(const struct stack *stack, struct error *err)
{
    if (stack->status == STACK_CREATE_COMPLETE || stack->status == STACK_UPDATE_COMPLETE ||
        stack->status == STACK_UPDATE_ROLLBACK_COMPLETE || stack->status == STACK_UPDATE_FAILED) {
        return 0;
    }
    return error_api(err, "ValidationError", "Stack:%s is in %s state and can not be updated.",
                     stack->id, stack_status_names[stack->status]);
}

/* Into the stack; what was there is left in @change, to be closed or kept. */
static void swap_in(struct stack *stack, struct stack_change *change)
{
    struct stack_change old = {
        .template_text = stack->template_text,
        .parameters = stack->parameters,
        .parameters_count = stack->parameters_count,
        .tags = stack->tags,
        .tags_count = stack->tags_count,
        .capabilities = stack->capabilities,
        .capabilities_count = stack->capabilities_count,
        .template = stack->template,
    };

    stack->template_text = change->template_text;
    stack->parameters = change->parameters;
    stack->parameters_count = change->parameters_count;
    stack->tags = change->tags;
    stack->tags_count = change->tags_count;
    stack->capabilities = change->capabilities;
    stack->capabilities_count = change->capabilities_count;
    stack->template = change->template;
    *change = old;
}

void change_create(struct ctx *ctx, struct stack *stack, struct stack_change *change)
{
    swap_in(stack, change);
    change_close(change);
    operation_begin_create(ctx, stack);
}

void change_update(struct ctx *ctx, struct stack *stack, struct stack_change *change)
{
    bool again = stack->status == STACK_UPDATE_FAILED && stack->old_template_text != NULL;

    swap_in(stack, change);
    if (again) { /* A rollback goes to what last worked, not to what failed. */
        change_close(change);
        operation_begin_update(ctx, stack);
        return;
    }
    free(stack->old_template_text);
    key_values_free(stack->old_parameters, stack->old_parameters_count);
    key_values_free(stack->old_tags, stack->old_tags_count);
    stack->old_template_text = change->template_text;
    stack->old_parameters = change->parameters;
    stack->old_parameters_count = change->parameters_count;
    stack->old_tags = change->tags;
    stack->old_tags_count = change->tags_count;
    change->template_text = NULL;
    change->parameters = NULL;
    change->parameters_count = 0;
    change->tags = NULL;
    change->tags_count = 0;
    change_close(change);
    operation_begin_update(ctx, stack);
}
