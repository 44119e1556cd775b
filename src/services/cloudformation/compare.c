/* What a change would do, told without doing it: each property is evaluated with what is there now.
 * What depends on something that would be replaced cannot be known before: it is Dynamic. */
#include "base/alloc.h"
#include "base/buf.h"
#include "services/cloudformation/change_set.h"
#include "services/cloudformation/resource.h"
#include "services/cloudformation/step.h"
#include "services/cloudformation/template.h"

#include <stdlib.h>
#include <string.h>

struct comparison {
    struct stack *stack; /* As it is. */
    struct stack trial;  /* As it would be. */
    struct evaluation evaluation;
    json_t *replaced; /* Logical names of what would have a new physical id, for sure or maybe. */
    struct resource_change *changes;
    size_t count, room;
};

static json_t *declaration(const json_t *template, const char *logical)
{
    return json_object_get(json_object_get(template, "Resources"), logical);
}

static const char *parameter_of(const struct stack *stack, const char *key)
{
    for (size_t i = 0; i < stack->parameters_count; i++) {
        if (strcmp(stack->parameters[i].key, key) == 0) {
            return stack->parameters[i].value;
        }
    }
    return NULL;
}

/* The first reference in a property that accounts for its change. */
struct cause {
    const struct comparison *comparison;
    const char *source;
    char *entity;
    bool dynamic;
};

static void look_for_cause(void *data, const char *name, const char *attribute)
{
    struct cause *cause = data;
    const char *before = parameter_of(cause->comparison->stack, name);
    const char *after = parameter_of(&cause->comparison->trial, name);

    if (attribute == NULL && after != NULL) {
        if (cause->source == NULL && (before == NULL || strcmp(before, after) != 0)) {
            cause->source = "ParameterReference";
            cause->entity = mem_strdup(name);
        }
        return;
    }
    if (json_object_get(cause->comparison->replaced, name) == NULL) {
        return;
    }
    cause->dynamic = true;
    if (cause->source == NULL) {
        struct buf entity = {0};

        buf_printf(&entity, "%s%s%s", name, attribute == NULL ? "" : ".",
                   attribute == NULL ? "" : attribute);
        cause->source = attribute == NULL ? "ResourceReference" : "ResourceAttribute";
        cause->entity = buf_take(&entity);
    }
}

static bool recreates(const struct resource_row *row, const char *property)
{
    return row->update == NULL || resource_named(row->replace, property);
}

/* One property: its declaration and its value, as they are and as they would be. */
struct property {
    const char *name;
    json_t *now, *before;         /* Declarations; NULL: none. */
    json_t *value, *value_before; /* NULL: none. */
    bool unknown;                 /* The value cannot be told before. */
};

static bool differ(const json_t *a, const json_t *b)
{
    return (a == NULL) != (b == NULL) || (a != NULL && !json_equal(a, b));
}

/* Add a detail when the property changes. */
static void compare_property(struct comparison *comparison, const struct resource_row *row,
                             struct resource_change *change, const struct property *property)
{
    struct cause cause = {.comparison = comparison};
    bool again = recreates(row, property->name), tags = strcmp(property->name, "Tags") == 0;

    template_references(property->now, look_for_cause, &cause);
    if (!cause.dynamic && !property->unknown && !differ(property->value, property->value_before)) {
        free(cause.entity);
        return;
    }
    if (differ(property->now, property->before)) {
        free(cause.entity);
        cause.entity = NULL;
        cause.source = "DirectModification";
    }
    change->details =
        mem_realloc(change->details, change->details_count + 1, sizeof(*change->details));
    change->details[change->details_count++] = (struct change_detail){
        .attribute = mem_strdup(tags ? "Tags" : "Properties"),
        .name = tags ? NULL : mem_strdup(property->name),
        .recreation = mem_strdup(again ? "Always" : "Never"),
        .evaluation = mem_strdup(cause.dynamic || property->unknown ? "Dynamic" : "Static"),
        .source = mem_strdup(cause.source == NULL ? "DirectModification" : cause.source),
        .entity = cause.entity,
    };
}

/* True when any detail forces a new resource for sure, "Conditional" when only maybe. */
static const char *replacement_of(const struct resource_change *change)
{
    const char *replacement = "False";

    for (size_t i = 0; i < change->details_count; i++) {
        const struct change_detail *detail = &change->details[i];

        if (strcmp(detail->recreation, "Always") == 0) {
            if (strcmp(detail->evaluation, "Static") == 0) {
                return "True";
            }
            replacement = "Conditional";
        }
    }
    return replacement;
}

static struct resource_change *add_change(struct comparison *comparison, const char *action,
                                          const char *logical, const char *physical,
                                          const char *type)
{
    comparison->changes = mem_grow(comparison->changes, comparison->count, &comparison->room,
                                   sizeof(*comparison->changes));
    comparison->changes[comparison->count] = (struct resource_change){
        .action = mem_strdup(action),
        .logical = mem_strdup(logical),
        .physical = mem_strdup(physical),
        .type = mem_strdup(type),
    };
    return &comparison->changes[comparison->count++];
}

static void compare_resource(struct comparison *comparison, const struct stack_resource *resource)
{
    json_t *now =
        json_object_get(declaration(comparison->trial.template, resource->logical), "Properties");
    json_t *before =
        json_object_get(declaration(comparison->stack->template, resource->logical), "Properties");
    json_t *values_before = step_parsed(resource->properties), *values = json_object();
    json_t *unknown = json_object(), *all = json_copy(values_before);
    const struct resource_row *row = resource_row_find(resource->type);
    struct resource_change change = {0};
    const char *name;
    json_t *declared, *value;

    json_object_foreach(now, name, declared)
    {
        if (evaluate(&comparison->evaluation, declared, &value, NULL) != 0) {
            json_object_set_new(unknown, name, json_true());
        } else if (value != NULL) {
            json_object_set_new(values, name, value);
        }
    }
    step_add_stack_tags(&comparison->trial, row, values);
    json_object_update_missing(all, values);
    json_object_update_missing(all, unknown);
    json_object_foreach(all, name, declared)
    {
        struct property property = {
            .name = name,
            .now = json_object_get(now, name),
            .before = json_object_get(before, name),
            .value = json_object_get(values, name),
            .value_before = json_object_get(values_before, name),
            .unknown = json_object_get(unknown, name) != NULL,
        };

        compare_property(comparison, row, &change, &property);
    }
    json_decref(all);
    json_decref(unknown);
    json_decref(values);
    json_decref(values_before);
    if (change.details_count > 0) {
        struct resource_change *added =
            add_change(comparison, "Modify", resource->logical, resource->physical, resource->type);

        added->details = change.details;
        added->details_count = change.details_count;
        added->replacement = mem_strdup(replacement_of(added));
        if (strcmp(added->replacement, "False") != 0) {
            json_object_set_new(comparison->replaced, resource->logical, json_true());
        }
    }
}

static bool is_there(const struct stack_resource *resource)
{
    return resource != NULL && resource->physical != NULL;
}

/* One declaration after those that it depends on, for they say whether they would be replaced. */
static void compare_declared(struct comparison *comparison, json_t *done, const char *logical)
{
    const struct stack_resource *resource = stack_resource_find(comparison->stack, logical);
    char **names;
    size_t count;

    if (json_object_get(done, logical) != NULL) {
        return;
    }
    json_object_set_new(done, logical, json_true());
    plan_dependencies(comparison->trial.template, logical, &names, &count);
    for (size_t i = 0; i < count; i++) {
        compare_declared(comparison, done, names[i]);
        free(names[i]);
    }
    free(names);
    if (!stack_wants(&comparison->trial, logical)) {
        return;
    }
    if (is_there(resource)) {
        compare_resource(comparison, resource);
    } else {
        add_change(comparison, "Add", logical, NULL,
                   json_string_value(
                       json_object_get(declaration(comparison->trial.template, logical), "Type")));
        json_object_set_new(comparison->replaced, logical, json_true());
    }
}

void compare(struct stack *stack, const struct stack_change *change,
             struct resource_change **changes, size_t *count)
{
    struct comparison comparison = {
        .stack = stack, .trial = change_trial(stack, change), .replaced = json_object()};
    json_t *done = json_object();
    const char *logical;
    json_t *declared;

    comparison.evaluation = stack_evaluation(&comparison.trial);
    json_object_foreach(json_object_get(change->template, "Resources"), logical, declared)
    {
        compare_declared(&comparison, done, logical);
    }
    for (size_t i = 0; i < stack->resources_count; i++) {
        const struct stack_resource *resource = &stack->resources[i];

        if (is_there(resource) && !stack_wants(&comparison.trial, resource->logical)) {
            add_change(&comparison, "Remove", resource->logical, resource->physical,
                       resource->type);
        }
    }
    json_decref(done);
    json_decref(comparison.replaced);
    *changes = comparison.changes;
    *count = comparison.count;
}
