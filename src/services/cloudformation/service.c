/* The service's row, and the actions that change stacks. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "services/cloudformation/cloudformation.h"
#include "services/cloudformation/stack.h"
#include "services/cloudformation/template.h"

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
    struct stack *stack;

    if (control->cloudformation == NULL) {
        return;
    }
    for (size_t at = 0; (stack = map_next(&control->cloudformation->stacks, &at)) != NULL;) {
        stack_free(stack);
    }
    map_close(&control->cloudformation->stacks);
    free(control->cloudformation);
    control->cloudformation = NULL;
}

const struct service cloudformation_service = {
    .name = "cloudformation",
    .open = open_service,
    .load = load_record,
    .start = start_service,
    .close = close_service,
};

/* What CreateStack and UpdateStack share. */

static int check_name(const char *name, struct error *err)
{
    bool fits = (name[0] >= 'A' && name[0] <= 'Z') || (name[0] >= 'a' && name[0] <= 'z');

    for (const char *p = name; *p != '\0'; p++) {
        fits &= (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
                *p == '-';
    }
    if (!fits || strlen(name) > 128) {
        return error_api(err, "ValidationError",
                         "1 validation error detected: Value '%s' at 'stackName' failed to satisfy "
                         "constraint: Member must satisfy regular expression pattern: "
                         "[a-zA-Z][-a-zA-Z0-9]*",
                         name);
    }
    return 0;
}

/* The template's text; with @previous, UsePreviousTemplate is heard. */
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

/* Parse and check; *@template is a new reference. */
static int read_template(struct ctx *ctx, const struct doc *in, const struct stack *previous,
                         struct slice *text, json_t **template, struct error *err)
{
    int rc = template_text(in, previous, text, err);

    *template = NULL;
    if (rc == 0) {
        rc = template_parse(*text, template, err);
    }
    if (rc == 0) {
        rc = plan_check(ctx->control, *template, err);
    }
    if (rc != 0) {
        json_decref(*template);
        *template = NULL;
    }
    return rc;
}

static void set_texts(char ***list, size_t *count, const struct doc *in, int member)
{
    for (size_t i = 0; i < *count; i++) {
        free((*list)[i]);
    }
    free(*list);
    *count = doc_count(in, member);
    *list = mem_calloc(*count + 1, sizeof(**list));
    for (size_t i = 0; i < *count; i++) {
        (*list)[i] = mem_strdup(doc_z_at(in, member, i));
    }
}

static void set_tags(struct stack *stack, const struct doc *in)
{
    size_t count = doc_count(in, M_Tags);

    for (size_t i = 0; i < stack->tags_count; i++) {
        free(stack->tags[i].key);
        free(stack->tags[i].value);
    }
    free(stack->tags);
    stack->tags = mem_calloc(count + 1, sizeof(*stack->tags));
    stack->tags_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);

        stack->tags[i] =
            (struct key_value){mem_strdup(doc_z(tag, M_Key)), mem_strdup(doc_z(tag, M_Value))};
    }
}

/* CreateStack */

static int create(struct ctx *ctx, const struct doc *in, struct slice text, json_t *template,
                  struct stack **made, struct error *err)
{
    struct cloudformation *service = ctx->control->cloudformation;
    const char *on_failure = doc_z(in, M_OnFailure);
    struct key_value *parameters;
    size_t parameters_count;
    struct stack *stack;
    int rc = check_capabilities(in, template, err);

    if (rc == 0) {
        rc = plan_parameters(template, in, NULL, &parameters, &parameters_count, err);
    }
    if (rc != 0) {
        return rc;
    }
    stack = stack_new(service, doc_z(in, M_StackName));
    stack->template_text = mem_strndup(text.data, text.bytes);
    stack->template = json_incref(template);
    stack->parameters = parameters;
    stack->parameters_count = parameters_count;
    stack->disable_rollback = doc_bool(in, M_DisableRollback);
    stack->on_failure = mem_strdup(on_failure != NULL        ? on_failure
                                   : stack->disable_rollback ? "DO_NOTHING"
                                                             : "ROLLBACK");
    stack->protected = doc_bool(in, M_EnableTerminationProtection);
    stack->client_token = mem_strdup(doc_z(in, M_ClientRequestToken));
    set_texts(&stack->capabilities, &stack->capabilities_count, in, M_Capabilities);
    set_tags(stack, in);
    rc = operation_begin_create(ctx, stack, err);
    if (rc != 0) {
        map_remove(&service->stacks, slice_z(stack->id));
        stack_free(stack);
        return rc;
    }
    *made = stack;
    return 0;
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
    json_t *template;
    struct slice text;
    int rc = check_name(name, err);

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
    rc = read_template(ctx, in, NULL, &text, &template, err);
    if (rc == 0) {
        rc = create(ctx, in, text, template, &stack, err);
        json_decref(template);
    }
    if (rc == 0) {
        forget_deleted(ctx);
        doc_set_z(out, M_StackId, stack->id);
    }
    return rc;
}

/* UpdateStack */

static int check_updatable(const struct stack *stack, struct error *err)
{
    if (stack->status == STACK_CREATE_COMPLETE || stack->status == STACK_UPDATE_COMPLETE ||
        stack->status == STACK_UPDATE_ROLLBACK_COMPLETE || stack->status == STACK_UPDATE_FAILED) {
        return 0;
    }
    return error_api(err, "ValidationError", "Stack:%s is in %s state and can not be updated.",
                     stack->id, stack_status_names[stack->status]);
}

static bool same_parameters(const struct stack *stack, const struct key_value *list, size_t count)
{
    if (count != stack->parameters_count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].key, stack->parameters[i].key) != 0 ||
            strcmp(list[i].value, stack->parameters[i].value) != 0) {
            return false;
        }
    }
    return true;
}

static void free_key_values(struct key_value *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].key);
        free(list[i].value);
    }
    free(list);
}

static int update(struct ctx *ctx, struct stack *stack, const struct doc *in, struct slice text,
                  json_t *template, struct error *err)
{
    struct key_value *parameters = NULL;
    size_t count = 0;
    int rc = check_capabilities(in, template, err);

    if (rc == 0) {
        rc = plan_parameters(template, in, stack, &parameters, &count, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (json_equal(template, stack->template) && same_parameters(stack, parameters, count)) {
        free_key_values(parameters, count);
        return error_api(err, "ValidationError", "No updates are to be performed.");
    }
    free(stack->old_template_text);
    stack->old_template_text = stack->template_text;
    stack->template_text = mem_strndup(text.data, text.bytes);
    free_key_values(stack->old_parameters, stack->old_parameters_count);
    stack->old_parameters = stack->parameters;
    stack->old_parameters_count = stack->parameters_count;
    stack->parameters = parameters;
    stack->parameters_count = count;
    json_decref(stack->template);
    stack->template = json_incref(template);
    stack->disable_rollback = doc_bool(in, M_DisableRollback);
    if (doc_has(in, M_Tags)) {
        set_tags(stack, in);
    }
    set_texts(&stack->capabilities, &stack->capabilities_count, in, M_Capabilities);
    return operation_begin_update(ctx, stack, err);
}

static int missing(const char *name, struct error *err)
{
    return error_api(err, "ValidationError", "Stack with id %s does not exist", name);
}

int cloudformation_update_stack(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    const char *name = doc_z(in, M_StackName);
    struct stack *stack = stack_find(ctx->control->cloudformation, name);
    json_t *template;
    struct slice text;
    int rc;

    if (stack == NULL || stack->status == STACK_DELETE_COMPLETE) {
        return error_api(err, "ValidationError", "Stack [%s] does not exist", name);
    }
    rc = check_updatable(stack, err);
    if (rc == 0) {
        rc = read_template(ctx, in, stack, &text, &template, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = update(ctx, stack, in, text, template, err);
    json_decref(template);
    if (rc == 0) {
        doc_set_z(out, M_StackId, stack->id);
    }
    return rc;
}

/* DeleteStack */

int cloudformation_delete_stack(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    const char *name = doc_z(in, M_StackName);
    struct stack *stack = stack_find(ctx->control->cloudformation, name);

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
    set_texts(&stack->retain, &stack->retain_count, in, M_RetainResources);
    operation_begin_delete(ctx, stack);
    return 0;
}

int cloudformation_update_termination_protection(struct ctx *ctx, const struct doc *in,
                                                 struct doc *out, struct error *err)
{
    const char *name = doc_z(in, M_StackName);
    struct stack *stack = stack_find(ctx->control->cloudformation, name);

    if (stack == NULL || stack->status == STACK_DELETE_COMPLETE) {
        return missing(name, err);
    }
    stack->protected = doc_bool(in, M_EnableTerminationProtection);
    stack_changed(ctx, stack);
    doc_set_z(out, M_StackId, stack->id);
    return 0;
}

/* ValidateTemplate, GetTemplateSummary */

static void add_capability(json_t *template, struct doc *out)
{
    const char *needed = plan_capability(template);
    struct buf types = {0};
    const char *logical;
    json_t *resource;

    if (needed == NULL) {
        return;
    }
    json_object_foreach(json_object_get(template, "Resources"), logical, resource)
    {
        const char *type = json_string_value(json_object_get(resource, "Type"));

        if (strncmp(type, "AWS::IAM::", 10) == 0) {
            buf_printf(&types, "%s%s", types.bytes == 0 ? "" : ", ", type);
        }
    }
    doc_add_z(out, M_Capabilities, needed);
    doc_set_format(out, M_CapabilitiesReason,
                   "The following resource(s) require capabilities: [%s]", buf_z(&types));
    buf_close(&types);
}

static const char *default_text(struct ctx *ctx, const json_t *parameter)
{
    const json_t *value = json_object_get(parameter, "Default");
    char *text;
    const char *copy;

    if (value == NULL || json_is_string(value)) {
        return json_string_value(value);
    }
    text = json_dumps(value, JSON_ENCODE_ANY);
    copy = arena_strdup(ctx->arena, slice_z(text));
    free(text);
    return copy;
}

static bool no_echo(const json_t *parameter)
{
    const json_t *value = json_object_get(parameter, "NoEcho");
    const char *text = json_string_value(value);

    return json_is_true(value) || (text != NULL && strcmp(text, "true") == 0);
}

static void describe_template(struct ctx *ctx, json_t *template, bool summary, struct doc *out)
{
    const char *key;
    json_t *parameter, *value;
    struct doc *constraints;
    size_t index;

    doc_set_list(out, M_Parameters);
    json_object_foreach(json_object_get(template, "Parameters"), key, parameter)
    {
        struct doc *row = doc_add_struct(out, M_Parameters);

        doc_set_z(row, M_ParameterKey, key);
        doc_set_z(row, M_DefaultValue, default_text(ctx, parameter));
        doc_set_bool(row, M_NoEcho, no_echo(parameter));
        doc_set_z(row, M_Description, json_string_value(json_object_get(parameter, "Description")));
        if (!summary) {
            continue;
        }
        doc_set_z(row, M_ParameterType, json_string_value(json_object_get(parameter, "Type")));
        constraints = doc_set_struct(row, M_ParameterConstraints);
        json_array_foreach(json_object_get(parameter, "AllowedValues"), index, value)
        {
            doc_add_z(constraints, M_AllowedValues, json_string_value(value));
        }
    }
    doc_set_z(out, M_Description, json_string_value(json_object_get(template, "Description")));
    add_capability(template, out);
}

int cloudformation_validate_template(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    json_t *template;
    struct slice text;
    int rc = read_template(ctx, in, NULL, &text, &template, err);

    if (rc == 0) {
        describe_template(ctx, template, false, out);
        json_decref(template);
    }
    return rc;
}

int cloudformation_get_template_summary(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    const char *name = doc_z(in, M_StackName), *logical;
    struct stack *stack = name == NULL ? NULL : stack_find(ctx->control->cloudformation, name);
    json_t *template, *resource;
    struct slice text;
    int rc;

    if (name != NULL && stack == NULL) {
        return missing(name, err);
    }
    if (stack != NULL) {
        template = json_incref(stack->template);
        rc = 0;
    } else {
        rc = read_template(ctx, in, NULL, &text, &template, err);
    }
    if (rc != 0) {
        return rc;
    }
    describe_template(ctx, template, true, out);
    doc_set_z(out, M_Version,
              json_string_value(json_object_get(template, "AWSTemplateFormatVersion")));
    json_object_foreach(json_object_get(template, "Resources"), logical, resource)
    {
        struct slice type = slice_z(json_string_value(json_object_get(resource, "Type")));

        if (!doc_list_contains(out, M_ResourceTypes, type)) {
            doc_list_add_text(doc_set_list(out, M_ResourceTypes), type);
        }
    }
    json_decref(template);
    return 0;
}
