#include "muster/stack.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS 300
#define EVENT_PAGES_MAX 20

static bool ends_with(const char *text, const char *end)
{
    return slice_ends(slice_z(text), slice_z(end));
}

int stack_find(struct cli *cli, const char *name, json_t **stack, struct error *err)
{
    json_t *answer = NULL;
    struct error own = {0};
    int rc = cli_call(cli, AWS_CLOUD_FORMATION, "DescribeStacks", &answer, &own, "StackName", name,
                      NULL);

    if (rc == ERR_API && cli_error_is(&own, "ValidationError") &&
        strstr(own.message, "does not exist") != NULL) {
        return error_set(err, ERR_NOT_FOUND, "there is no stack '%s'", name);
    }
    if (rc == 0) {
        *stack = json_incref(json_array_get(tree_list(answer, "Stacks"), 0));
        rc = *stack != NULL ? 0 : error_set(&own, ERR_NOT_FOUND, "there is no stack '%s'", name);
    }
    if (rc != 0 && err != NULL) {
        *err = own;
    }
    json_decref(answer);
    return rc;
}

static const char *value_in(const json_t *stack, const char *list, const char *key_name,
                            const char *value_name, const char *key)
{
    return tree_text(tree_find(tree_list(stack, list), key_name, key), value_name);
}

const char *stack_output(const json_t *stack, const char *key)
{
    return value_in(stack, "Outputs", "OutputKey", "OutputValue", key);
}

const char *stack_parameter(const json_t *stack, const char *key)
{
    return value_in(stack, "Parameters", "ParameterKey", "ParameterValue", key);
}

/* Events. AWS gives them newest first, a page at a time; we tell them oldest first. */

struct watch {
    const char *id;       /* The stack's. */
    const char *doing;    /* "creating". */
    char *last_event;     /* Told up to here; "" nothing yet. */
    char *first_failure;  /* "Name: reason", NULL if none. */
    struct map under_way; /* Logical ids of resources. */
    int done;             /* Resources that reached their end. */
};

static void watch_close(struct watch *watch)
{
    free(watch->last_event);
    free(watch->first_failure);
    map_close(&watch->under_way);
}

/* Events newer than the last one told, newest first. */
static int new_events(struct cli *cli, const struct watch *watch, json_t **events,
                      struct error *err)
{
    json_t *all = json_array();
    char *token = NULL;
    bool reached = false;
    int rc = 0;

    for (int page = 0; page < EVENT_PAGES_MAX && !reached; page++) {
        json_t *answer = NULL, *event;
        size_t i;

        rc = cli_call(cli, AWS_CLOUD_FORMATION, "DescribeStackEvents", &answer, err, "StackName",
                      watch->id, "NextToken", token, NULL);
        json_array_foreach(tree_list(answer, "StackEvents"), i, event)
        {
            reached |= tree_is(event, "EventId", watch->last_event);
            if (!reached) {
                json_array_append(all, event);
            }
        }
        free(token);
        token = mem_strdup(tree_text(answer, "NextToken"));
        json_decref(answer);
        if (rc != 0 || token[0] == '\0') {
            break;
        }
    }
    free(token);
    *events = rc == 0 ? json_incref(all) : NULL;
    json_decref(all);
    return rc;
}

static void tell_event(struct cli *cli, struct watch *watch, const json_t *event)
{
    const char *name = tree_text(event, "LogicalResourceId");
    const char *type = tree_text(event, "ResourceType");
    const char *status = tree_text(event, "ResourceStatus");
    const char *reason = tree_text(event, "ResourceStatusReason");
    bool failed = ends_with(status, "_FAILED");

    if (strcmp(type, "AWS::CloudFormation::Stack") == 0) {
        return;
    }
    if (ends_with(status, "_IN_PROGRESS")) {
        map_put(&watch->under_way, slice_z(name), watch);
        return;
    }
    map_remove(&watch->under_way, slice_z(name));
    watch->done++;
    if (failed && watch->first_failure == NULL && strstr(reason, "cancelled") == NULL) {
        struct buf text = {0};

        buf_printf(&text, "%s: %s", name, reason);
        watch->first_failure = buf_take(&text);
    }
    if (failed) {
        terminal_bad(&cli->terminal, "%-26s %s  %s", name, type, reason);
    } else {
        terminal_good(&cli->terminal, "%-26s %s", name, type);
    }
}

static int tell_events(struct cli *cli, struct watch *watch, struct error *err)
{
    json_t *events = NULL;
    int rc = new_events(cli, watch, &events, err);
    size_t count = json_array_size(events), at = 0;
    const struct map_entry *first = NULL;

    for (size_t i = count; i-- > 0;) {
        tell_event(cli, watch, json_array_get(events, i));
    }
    if (count > 0) {
        free(watch->last_event);
        watch->last_event = mem_strdup(tree_text(json_array_get(events, 0), "EventId"));
    }
    json_decref(events);
    for (; at < watch->under_way.entries_used && first == NULL; at++) {
        first = watch->under_way.entries[at].key != NULL ? &watch->under_way.entries[at] : NULL;
    }
    if (first != NULL) {
        terminal_progress(&cli->terminal, "%s: %d done, now %s%s", watch->doing, watch->done,
                          first->key, watch->under_way.count > 1 ? " and others" : "");
    } else {
        terminal_progress(&cli->terminal, "%s", watch->doing);
    }
    return rc;
}

/* From now on: what happened before is not told. */
static int watch_start(struct cli *cli, struct watch *watch, const char *id, struct error *err)
{
    json_t *answer = NULL;
    int rc = cli_call(cli, AWS_CLOUD_FORMATION, "DescribeStackEvents", &answer, err, "StackName",
                      id, NULL);

    watch->id = id;
    watch->last_event =
        mem_strdup(tree_text(json_array_get(tree_list(answer, "StackEvents"), 0), "EventId"));
    json_decref(answer);
    return rc;
}

/* Until nothing is in progress. @stack, the caller's, is how it then stands. */
static int watch_wait(struct cli *cli, struct watch *watch, json_t **stack, struct error *err)
{
    for (;;) {
        bool over;
        int rc;

        *stack = NULL;
        rc = stack_find(cli, watch->id, stack, err);
        over = rc == 0 && !ends_with(tree_text(*stack, "StackStatus"), "_IN_PROGRESS");
        if (rc == 0) {
            rc = tell_events(cli, watch, err);
        }
        if (rc == 0 && !over) {
            rc = cli_sleep(cli, POLL_MS, err);
        }
        if (over || rc != 0) {
            terminal_clear(&cli->terminal);
            if (rc != 0) {
                json_decref(*stack);
                *stack = NULL;
            }
            return rc;
        }
        json_decref(*stack);
    }
}

static int failed(const struct watch *watch, const json_t *stack, struct error *err)
{
    const char *reason = watch->first_failure;

    return error_set(err, ERR_SYSTEM,
                     "%s ended with %s: %s\nThe whole story: aws cloudformation "
                     "describe-stack-events --stack-name %s",
                     watch->doing, tree_text(stack, "StackStatus"),
                     reason != NULL ? reason : tree_text(stack, "StackStatusReason"),
                     tree_text(stack, "StackName"));
}

/* Create or update. */

static void add_spec(struct buf *form, const struct stack_spec *spec, const json_t *before)
{
    const char *name;
    json_t *value, *row;
    size_t i;
    int count = 0;
    char key[64];

    aws_form_add(form, "StackName", spec->name);
    aws_form_add(form, "TemplateBody", spec->template_body);
    aws_form_add(form, "Capabilities.member.1", "CAPABILITY_IAM");
    aws_form_add(form, "Capabilities.member.2", "CAPABILITY_NAMED_IAM");
    json_object_foreach(spec->parameters, name, value)
    {
        snprintf(key, sizeof(key), "Parameters.member.%d.ParameterKey", ++count);
        aws_form_add(form, key, name);
        snprintf(key, sizeof(key), "Parameters.member.%d.ParameterValue", count);
        aws_form_add(form, key, json_string_value(value));
    }
    json_array_foreach(tree_list(before, "Parameters"), i, row)
    {
        name = tree_text(row, "ParameterKey");
        if (json_object_get(spec->parameters, name) != NULL ||
            strstr(spec->template_body, name) == NULL) {
            continue;
        }
        snprintf(key, sizeof(key), "Parameters.member.%d.ParameterKey", ++count);
        aws_form_add(form, key, name);
        snprintf(key, sizeof(key), "Parameters.member.%d.UsePreviousValue", count);
        aws_form_add(form, key, "true");
    }
}

static int create(struct cli *cli, const struct stack_spec *spec, json_t **stack, struct error *err)
{
    struct buf form = {0}, doing = {0};
    struct watch watch = {.last_event = mem_strdup("")};
    json_t *answer = NULL;
    char token[64];
    int rc;

    snprintf(token, sizeof(token), "muster-%lld", (long long)time_wall_ms());
    add_spec(&form, spec, NULL);
    aws_form_add(&form, "ClientRequestToken", token);
    aws_form_add(&form, "OnFailure", "ROLLBACK");
    buf_printf(&doing, "creating stack %s", spec->name);
    rc = cli_call_form(cli, AWS_CLOUD_FORMATION, "CreateStack", buf_slice(&form), &answer, err);
    watch.id = tree_text(answer, "StackId");
    watch.doing = buf_z(&doing);
    if (rc == 0) {
        rc = watch_wait(cli, &watch, stack, err);
    }
    if (rc == 0 && !tree_is(*stack, "StackStatus", "CREATE_COMPLETE")) {
        rc = failed(&watch, *stack, err);
    }
    json_decref(answer);
    watch_close(&watch);
    buf_close(&form);
    buf_close(&doing);
    return rc;
}

static int update(struct cli *cli, const struct stack_spec *spec, json_t *before, bool *changed,
                  json_t **stack, struct error *err)
{
    struct buf form = {0}, doing = {0};
    struct watch watch = {0};
    struct error own = {0};
    char token[64];
    int rc = watch_start(cli, &watch, tree_text(before, "StackId"), err);

    snprintf(token, sizeof(token), "muster-%lld", (long long)time_wall_ms());
    add_spec(&form, spec, before);
    aws_form_add(&form, "ClientRequestToken", token);
    buf_printf(&doing, "updating stack %s", spec->name);
    watch.doing = buf_z(&doing);
    if (rc == 0) {
        rc = cli_call_form(cli, AWS_CLOUD_FORMATION, "UpdateStack", buf_slice(&form), NULL, &own);
        *changed = rc == 0;
        if (rc != 0 && strstr(own.message, "No updates are to be performed") != NULL) {
            *stack = json_incref(before);
            rc = 0;
        } else if (rc == 0) {
            rc = watch_wait(cli, &watch, stack, err);
            if (rc == 0 && !tree_is(*stack, "StackStatus", "UPDATE_COMPLETE")) {
                rc = failed(&watch, *stack, err);
            }
        } else {
            *err = own;
        }
    }
    watch_close(&watch);
    buf_close(&form);
    buf_close(&doing);
    return rc;
}

/* Something else changes it: let that end first. */
static int settle(struct cli *cli, json_t **stack, struct error *err)
{
    struct watch watch = {0};
    struct buf doing = {0};
    char *id = mem_strdup(tree_text(*stack, "StackId"));
    int rc;

    buf_printf(&doing, "waiting for stack %s, which is %s", tree_text(*stack, "StackName"),
               tree_text(*stack, "StackStatus"));
    watch.doing = buf_z(&doing);
    json_decref(*stack);
    *stack = NULL;
    rc = watch_start(cli, &watch, id, err);
    if (rc == 0) {
        rc = watch_wait(cli, &watch, stack, err);
    }
    watch_close(&watch);
    buf_close(&doing);
    free(id);
    return rc;
}

/* Nothing worth keeping is in a stack that never was complete, or that should be gone. */
static bool was_never_made(const char *status)
{
    static const char *const rows[] = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED",
                                       "DELETE_FAILED"};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(status, rows[i]) == 0) {
            return true;
        }
    }
    return false;
}

int stack_ready(struct cli *cli, const char *name, json_t **stack, struct error *err)
{
    int rc;

    *stack = NULL;
    rc = stack_find(cli, name, stack, err);
    if (rc == 0 && ends_with(tree_text(*stack, "StackStatus"), "_IN_PROGRESS")) {
        rc = settle(cli, stack, err);
        if (rc == 0 && tree_is(*stack, "StackStatus", "DELETE_COMPLETE")) {
            rc = ERR_NOT_FOUND;
        }
    }
    if (rc == 0 && was_never_made(tree_text(*stack, "StackStatus"))) {
        terminal_note(&cli->terminal, "stack %s is %s: it is deleted and made anew", name,
                      tree_text(*stack, "StackStatus"));
        rc = stack_delete(cli, name, err);
        rc = rc == 0 ? ERR_NOT_FOUND : rc;
    }
    if (rc != 0) {
        json_decref(*stack);
        *stack = NULL;
    }
    return rc;
}

int stack_apply(struct cli *cli, const struct stack_spec *spec, bool *changed, json_t **stack,
                struct error *err)
{
    json_t *before = NULL;
    int rc = stack_ready(cli, spec->name, &before, err);

    *stack = NULL;
    *changed = true;
    if (rc == 0) {
        rc = update(cli, spec, before, changed, stack, err);
    } else if (rc == ERR_NOT_FOUND) {
        rc = create(cli, spec, stack, err);
    }
    if (rc != 0) {
        json_decref(*stack);
        *stack = NULL;
    }
    json_decref(before);
    return rc;
}

int stack_delete(struct cli *cli, const char *name, struct error *err)
{
    struct watch watch = {0};
    struct buf doing = {0};
    json_t *stack = NULL, *after = NULL;
    int rc = stack_find(cli, name, &stack, err);

    if (rc == 0) {
        rc = watch_start(cli, &watch, tree_text(stack, "StackId"), err);
    }
    buf_printf(&doing, "deleting stack %s", name);
    watch.doing = buf_z(&doing);
    if (rc == 0) {
        rc = cli_call(cli, AWS_CLOUD_FORMATION, "DeleteStack", NULL, err, "StackName", watch.id,
                      NULL);
    }
    if (rc == 0) {
        rc = watch_wait(cli, &watch, &after, err);
    }
    if (rc == 0 && !tree_is(after, "StackStatus", "DELETE_COMPLETE")) {
        rc = failed(&watch, after, err);
    }
    json_decref(after);
    json_decref(stack);
    watch_close(&watch);
    buf_close(&doing);
    return rc;
}
