#include "services/cloudformation/change_set.h"

#include "api/handlers.h"
#include "api/members.h"
#include "aws/id.h"
#include "aws/page.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "services/cloudformation/template.h"
#include "store/record.h"
#include "wire/doc.h"

#include <stdlib.h>
#include <string.h>

#define KIND SLICE_LIT("cloudformation.change_set")
#define SUMMARIES_PER_PAGE 100
#define NO_CHANGE                                                                                  \
    "The submitted information didn't contain changes. Submit different information to create a "  \
    "change set."

static const struct record_field detail_fields[] = {
    RECORD_TEXT(struct change_detail, attribute),  RECORD_TEXT(struct change_detail, name),
    RECORD_TEXT(struct change_detail, recreation), RECORD_TEXT(struct change_detail, evaluation),
    RECORD_TEXT(struct change_detail, source),     RECORD_TEXT(struct change_detail, entity),
};
static const struct record detail_record = RECORD(struct change_detail, detail_fields);

static const struct record_field resource_change_fields[] = {
    RECORD_TEXT(struct resource_change, action),
    RECORD_TEXT(struct resource_change, logical),
    RECORD_TEXT(struct resource_change, physical),
    RECORD_TEXT(struct resource_change, type),
    RECORD_TEXT(struct resource_change, replacement),
    RECORD_LIST(struct resource_change, details, detail_record),
};
const struct record resource_change_record = RECORD(struct resource_change, resource_change_fields);

static const struct record_field set_fields[] = {
    RECORD_TEXT(struct change_set, name),
    RECORD_TEXT(struct change_set, id),
    RECORD_TEXT(struct change_set, stack_id),
    RECORD_TEXT(struct change_set, description),
    RECORD_TEXT(struct change_set, on_failure),
    RECORD_TEXT(struct change_set, reason),
    RECORD_BOOL(struct change_set, executed),
    RECORD_I64(struct change_set, created_ms),
    RECORD_STRUCT(struct change_set, change, stack_change_record),
    RECORD_LIST(struct change_set, changes, resource_change_record),
};
static const struct record set_record = RECORD(struct change_set, set_fields);

int change_set_load(struct cloudformation *service, struct slice body, struct error *err)
{
    struct change_set *set = mem_calloc(1, sizeof(*set));
    int rc = record_load(&set_record, set, body, err);

    rc = rc != 0 ? rc
                 : template_parse(slice_z(set->change.template_text), &set->change.template, err);
    if (rc != 0) {
        change_set_free(set);
        return rc;
    }
    map_put(&service->change_sets, slice_z(set->id), set);
    return 0;
}

void change_set_free(struct change_set *set)
{
    if (set == NULL) {
        return;
    }
    json_decref(set->change.template);
    record_close(&set_record, set);
    free(set);
}

static void changed(struct ctx *ctx, const struct change_set *set)
{
    changes_put_record(ctx->changes, KIND, slice_z(set->id), &set_record, set);
}

static void drop(struct ctx *ctx, struct change_set *set)
{
    changes_del(ctx->changes, KIND, slice_z(set->id));
    map_remove(&ctx->control->cloudformation->change_sets, slice_z(set->id));
    change_set_free(set);
}

/* The first of the stack's that is not @kept. */
static struct change_set *first_of(struct cloudformation *service, const struct stack *stack,
                                   const struct change_set *kept)
{
    struct change_set *set;

    for (size_t at = 0; (set = map_next(&service->change_sets, &at)) != NULL;) {
        if (set != kept && strcmp(set->stack_id, stack->id) == 0) {
            return set;
        }
    }
    return NULL;
}

void change_sets_drop(struct ctx *ctx, const struct stack *stack, const struct change_set *kept)
{
    struct change_set *set;

    while ((set = first_of(ctx->control->cloudformation, stack, kept)) != NULL) {
        drop(ctx, set);
    }
}

/* By ARN, or by name with the stack's name or ARN. */
static struct change_set *lookup(struct ctx *ctx, const struct doc *in)
{
    struct cloudformation *service = ctx->control->cloudformation;
    const char *name = doc_z(in, M_ChangeSetName), *stack_name = doc_z(in, M_StackName);
    struct change_set *set = map_get_z(&service->change_sets, name);
    const struct stack *stack = stack_name == NULL ? NULL : stack_find(service, stack_name);

    if (set != NULL || stack == NULL) {
        return set;
    }
    for (size_t at = 0; (set = map_next(&service->change_sets, &at)) != NULL;) {
        if (strcmp(set->name, name) == 0 && strcmp(set->stack_id, stack->id) == 0) {
            return set;
        }
    }
    return NULL;
}

static int find(struct ctx *ctx, const struct doc *in, struct change_set **set,
                struct stack **stack, struct error *err)
{
    const char *name = doc_z(in, M_ChangeSetName);

    if (strncmp(name, "arn:", 4) != 0 && !doc_has(in, M_StackName)) {
        return error_api(
            err, "ValidationError",
            "StackName must be specified if ChangeSetName is not specified as an ARN.");
    }
    *set = lookup(ctx, in);
    if (*set == NULL) {
        return error_api(err, "ChangeSetNotFound", "ChangeSet [%s] does not exist", name);
    }
    *stack = stack_find(ctx->control->cloudformation, (*set)->stack_id);
    ASSERT(*stack != NULL); /* They go together. */
    return 0;
}

/* CreateChangeSet */

/* @stack: NULL when there is none yet. */
static int check_stack(const struct doc *in, const struct stack *stack, struct error *err)
{
    const char *name = doc_z(in, M_StackName), *type = doc_z(in, M_ChangeSetType);

    if (type != NULL && strcmp(type, "IMPORT") == 0) {
        return error_api(err, "ValidationError", "muster does not import resources into stacks");
    }
    if (type == NULL || strcmp(type, "UPDATE") == 0) {
        return stack == NULL ? error_api(err, "ValidationError", "Stack [%s] does not exist", name)
                             : change_check_updatable(stack, err);
    }
    if (stack != NULL && stack->status != STACK_REVIEW_IN_PROGRESS) {
        return error_api(
            err, "ValidationError",
            "Stack [%s] already exists and cannot be created again with the changeSet [%s].", name,
            doc_z(in, M_ChangeSetName));
    }
    return stack == NULL ? change_check_name("stackName", name, err) : 0;
}

static int check_room(struct ctx *ctx, const struct doc *in, const struct stack *stack,
                      struct error *err)
{
    const struct cloudformation *service = ctx->control->cloudformation;
    int rc = change_check_name("changeSetName", doc_z(in, M_ChangeSetName), err);

    if (rc != 0) {
        return rc;
    }
    if (stack != NULL && lookup(ctx, in) != NULL) {
        return error_api(err, "AlreadyExistsException", "ChangeSet %s already exists",
                         doc_z(in, M_ChangeSetName));
    }
    if (service->change_sets.count >= CHANGE_SETS_MAX ||
        (stack == NULL && service->stacks.count >= STACKS_MAX + STACK_DELETED_KEPT_MAX)) {
        return error_api(err, "LimitExceededException",
                         "Limit has been exceeded: %d change sets, %d stacks", CHANGE_SETS_MAX,
                         STACKS_MAX);
    }
    return 0;
}

/* Takes what is in @change. */
static struct change_set *make(struct ctx *ctx, const struct doc *in, struct stack *stack,
                               struct stack_change *change)
{
    const struct control_options *options = &ctx->control->options;
    struct change_set *set = mem_calloc(1, sizeof(*set));
    char uuid[UUID_BYTES];
    struct buf id = {0};

    id_new_uuid(uuid);
    buf_printf(&id, "arn:aws:cloudformation:%s:%s:changeSet/%s/%s", options->region,
               options->account, doc_z(in, M_ChangeSetName), uuid);
    set->id = buf_take(&id);
    set->name = mem_strdup(doc_z(in, M_ChangeSetName));
    set->stack_id = mem_strdup(stack->id);
    set->description = mem_strdup(doc_z(in, M_Description));
    set->on_failure = mem_strdup(doc_z(in, M_OnStackFailure));
    set->created_ms = ctx->now_ms;
    set->change = *change;
    if (change_is_none(change, stack)) {
        set->reason = mem_strdup(NO_CHANGE);
    } else {
        compare(stack, &set->change, &set->changes, &set->changes_count);
    }
    map_put(&ctx->control->cloudformation->change_sets, slice_z(set->id), set);
    changed(ctx, set);
    return set;
}

int cloudformation_create_change_set(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    struct cloudformation *service = ctx->control->cloudformation;
    struct stack *stack = stack_find(service, doc_z(in, M_StackName));
    struct stack nobody = {
        .service = service,
        .name = arena_strdup(ctx->arena, doc_text(in, M_StackName)),
        .id = arena_strdup(ctx->arena, SLICE_LIT("")),
    };
    struct stack_change change;
    const struct change_set *set;
    int rc;

    if (stack != NULL && stack->status == STACK_DELETE_COMPLETE) {
        stack = NULL;
    }
    rc = check_stack(in, stack, err);
    rc = rc != 0 ? rc : check_room(ctx, in, stack, err);
    rc = rc != 0 ? rc : change_read(in, stack == NULL ? &nobody : stack, &change, err);
    if (rc != 0) {
        return rc;
    }
    if (stack == NULL) {
        stack = stack_new(service, doc_z(in, M_StackName));
        stack->created_ms = ctx->now_ms;
        stack->on_failure = mem_strdup("ROLLBACK");
        stack_set_status(ctx, stack, STACK_REVIEW_IN_PROGRESS, "User Initiated");
        stack_changed(ctx, stack);
    }
    set = make(ctx, in, stack, &change);
    doc_set_z(out, M_Id, set->id);
    doc_set_z(out, M_StackId, stack->id);
    return 0;
}

/* DescribeChangeSet, ListChangeSets */

static void describe_values(const struct stack_change *change, struct doc *out)
{
    doc_set_list(out, M_Parameters);
    for (size_t i = 0; i < change->parameters_count; i++) {
        struct doc *parameter = doc_add_struct(out, M_Parameters);
        const char *key = change->parameters[i].key;

        doc_set_z(parameter, M_ParameterKey, key);
        doc_set_z(parameter, M_ParameterValue,
                  plan_hides(change->template, key) ? "****" : change->parameters[i].value);
    }
    doc_set_list(out, M_Tags);
    for (size_t i = 0; i < change->tags_count; i++) {
        struct doc *tag = doc_add_struct(out, M_Tags);

        doc_set_z(tag, M_Key, change->tags[i].key);
        doc_set_z(tag, M_Value, change->tags[i].value);
    }
    doc_set_list(out, M_Capabilities);
    for (size_t i = 0; i < change->capabilities_count; i++) {
        doc_add_z(out, M_Capabilities, change->capabilities[i]);
    }
}

static void describe_detail(const struct change_detail *detail, struct doc *out)
{
    struct doc *target = doc_set_struct(out, M_Target);

    doc_set_z(target, M_Attribute, detail->attribute);
    doc_set_z(target, M_Name, detail->name);
    doc_set_z(target, M_RequiresRecreation, detail->recreation);
    doc_set_z(out, M_Evaluation, detail->evaluation);
    doc_set_z(out, M_ChangeSource, detail->source);
    doc_set_z(out, M_CausingEntity, detail->entity);
}

static void describe_change(const struct resource_change *change, struct doc *out)
{
    struct doc *resource = doc_set_struct(out, M_ResourceChange);

    doc_set_z(out, M_Type, "Resource");
    doc_set_z(resource, M_Action, change->action);
    doc_set_z(resource, M_LogicalResourceId, change->logical);
    doc_set_z(resource, M_PhysicalResourceId, change->physical);
    doc_set_z(resource, M_ResourceType, change->type);
    doc_set_z(resource, M_Replacement, change->replacement);
    doc_set_list(resource, M_Scope);
    doc_set_list(resource, M_Details);
    for (size_t i = 0; i < change->details_count; i++) {
        if (!doc_list_contains(resource, M_Scope, slice_z(change->details[i].attribute))) {
            doc_add_z(resource, M_Scope, change->details[i].attribute);
        }
        describe_detail(&change->details[i], doc_add_struct(resource, M_Details));
    }
}

static void describe_head(const struct change_set *set, const struct stack *stack, struct doc *out)
{
    doc_set_z(out, M_ChangeSetName, set->name);
    doc_set_z(out, M_ChangeSetId, set->id);
    doc_set_z(out, M_StackId, stack->id);
    doc_set_z(out, M_StackName, stack->name);
    doc_set_z(out, M_Description, set->description);
    doc_set_time_ms(out, M_CreationTime, set->created_ms);
    doc_set_z(out, M_Status, set->reason == NULL ? "CREATE_COMPLETE" : "FAILED");
    doc_set_z(out, M_StatusReason, set->reason);
    doc_set_z(out, M_ExecutionStatus,
              set->executed         ? "EXECUTE_COMPLETE"
              : set->reason == NULL ? "AVAILABLE"
                                    : "UNAVAILABLE");
    doc_set_bool(out, M_IncludeNestedStacks, false);
}

int cloudformation_describe_change_set(struct ctx *ctx, const struct doc *in, struct doc *out,
                                       struct error *err)
{
    struct change_set *set;
    struct stack *stack = NULL;
    int rc = find(ctx, in, &set, &stack, err);

    if (rc != 0) {
        return rc;
    }
    if (doc_has(in, M_NextToken)) { /* All are on the first page. */
        return error_api(err, "ValidationError", "Invalid NextToken");
    }
    describe_head(set, stack, out);
    describe_values(&set->change, out);
    doc_set_list(out, M_NotificationARNs);
    doc_set_struct(out, M_RollbackConfiguration);
    doc_set_z(out, M_OnStackFailure, set->on_failure);
    doc_set_list(out, M_Changes);
    for (size_t i = 0; i < set->changes_count; i++) {
        describe_change(&set->changes[i], doc_add_struct(out, M_Changes));
    }
    return 0;
}

int cloudformation_list_change_sets(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    struct cloudformation *service = ctx->control->cloudformation;
    const struct stack *stack = stack_find(service, doc_z(in, M_StackName));
    const struct change_set *set, *last = NULL;
    struct slice after;
    bool begun;

    if (stack == NULL) {
        return error_api(err, "ValidationError", "Stack [%s] does not exist",
                         doc_z(in, M_StackName));
    }
    if (page_token_read(ctx->arena, "ListChangeSets", doc_z(in, M_NextToken), &after, err) != 0) {
        return error_api(err, "ValidationError", "Invalid NextToken");
    }
    begun = after.bytes == 0;
    doc_set_list(out, M_Summaries);
    for (size_t at = 0; (set = map_next(&service->change_sets, &at)) != NULL;) {
        if (strcmp(set->stack_id, stack->id) != 0) {
            continue;
        }
        if (!begun) {
            begun = slice_equal_z(after, set->id);
            continue;
        }
        if (doc_count(out, M_Summaries) == SUMMARIES_PER_PAGE) {
            doc_set_z(out, M_NextToken,
                      page_token(ctx->arena, "ListChangeSets", slice_z(last->id)));
            break;
        }
        describe_head(set, stack, doc_add_struct(out, M_Summaries));
        last = set;
    }
    return 0;
}

/* ExecuteChangeSet, DeleteChangeSet */

static void execute(struct ctx *ctx, struct stack *stack, struct change_set *set,
                    const struct doc *in)
{
    struct stack_change change = {0};

    /* A copy: the change set goes on showing what it was. */
    record_copy(&stack_change_record, &change, &set->change);
    change.template = json_incref(set->change.template);
    stack->disable_rollback = doc_bool(in, M_DisableRollback);
    stack->retain_except_on_create = doc_bool(in, M_RetainExceptOnCreate);
    free(stack->change_set);
    stack->change_set = mem_strdup(set->id);
    if (stack->status == STACK_REVIEW_IN_PROGRESS) {
        free(stack->on_failure);
        stack->on_failure = mem_strdup(set->on_failure != NULL   ? set->on_failure
                                       : stack->disable_rollback ? "DO_NOTHING"
                                                                 : "ROLLBACK");
        change_create(ctx, stack, &change);
    } else {
        change_update(ctx, stack, &change);
    }
    set->executed = true;
    changed(ctx, set);
    change_sets_drop(ctx, stack, set);
}

int cloudformation_execute_change_set(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    struct change_set *set;
    struct stack *stack = NULL;
    int rc = find(ctx, in, &set, &stack, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (set->reason != NULL || set->executed) {
        return error_api(err, "InvalidChangeSetStatus",
                         "ChangeSet [%s] cannot be executed in its current status of [%s]", set->id,
                         set->executed ? "EXECUTE_COMPLETE" : "FAILED");
    }
    if (stack->status != STACK_REVIEW_IN_PROGRESS) {
        rc = change_check_updatable(stack, err);
    }
    if (rc == 0) {
        execute(ctx, stack, set, in);
    }
    return rc;
}

int cloudformation_delete_change_set(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    struct change_set *set;
    struct stack *stack = NULL;
    int rc = find(ctx, in, &set, &stack, err);

    (void)out;
    if (rc == ERR_API && strcmp(err->aws_code, "ChangeSetNotFound") == 0) {
        return 0; /* AWS does not say whether it was there. */
    }
    if (rc == 0) {
        drop(ctx, set);
    }
    return rc;
}
