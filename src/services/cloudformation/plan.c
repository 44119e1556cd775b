/* What can be said about a template before anything is made. */
#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/cloudformation/resource.h"
#include "services/cloudformation/stack.h"
#include "services/cloudformation/template.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

static int format_error(struct error *err, const char *text)
{
    return error_api(err, "ValidationError", "Template format error: %s", text);
}

static const char *text_member(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Sections and declarations. */

static int check_sections(json_t *template, struct error *err)
{
    static const char *const known[] = {
        "AWSTemplateFormatVersion",
        "Description",
        "Metadata",
        "Parameters",
        "Rules",
        "Mappings",
        "Conditions",
        "Transform",
        "Resources",
        "Outputs",
    };
    const char *version = text_member(template, "AWSTemplateFormatVersion");
    const char *key;
    json_t *section;

    json_object_foreach(template, key, section)
    {
        bool found = false;

        for (size_t i = 0; i < COUNT_OF(known); i++) {
            found |= strcmp(key, known[i]) == 0;
        }
        if (!found) {
            return error_api(err, "ValidationError", "Invalid template property or properties [%s]",
                             key);
        }
    }
    if (version != NULL && strcmp(version, "2010-09-09") != 0) {
        return error_api(err, "ValidationError",
                         "Template format error: %s is not a supported value for "
                         "AWSTemplateFormatVersion.",
                         version);
    }
    if (json_object_get(template, "Transform") != NULL) {
        return error_api(err, "ValidationError", "muster does not run transforms (macros)");
    }
    if (json_object_size(json_object_get(template, "Resources")) == 0) {
        return format_error(err, "At least one Resources member must be defined.");
    }
    if (json_object_size(json_object_get(template, "Resources")) > STACK_RESOURCES_MAX) {
        return error_api(err, "ValidationError",
                         "Template format error: Number of resources, %zu, is greater than maximum "
                         "allowed, %d",
                         json_object_size(json_object_get(template, "Resources")),
                         STACK_RESOURCES_MAX);
    }
    return 0;
}

/* Is the attribute @name, if there, one of @values, "A,B"? Volumes, which could be kept as
 * snapshots, are no resource type here. */
static int check_policy(const char *logical, const json_t *resource, const char *name,
                        const char *values, struct error *err)
{
    const json_t *policy = json_object_get(resource, name);
    const char *value = json_string_value(policy);

    if (policy == NULL) {
        return 0;
    }
    if (value == NULL) {
        return error_api(err, "ValidationError",
                         "Template format error: Every %s member must be a string.", name);
    }
    if (strcmp(value, "Snapshot") == 0) {
        return error_api(
            err, "ValidationError", "Template error: resource type %s does not support %s Snapshot",
            text_member(resource, "Type"),
            strcmp(name, "DeletionPolicy") == 0 ? "deletion policy" : "update replace policy");
    }
    if (resource_named(values, value)) {
        return 0;
    }
    return error_api(err, "ValidationError",
                     "Template format error: Unrecognized %s %s for resource %s", name, value,
                     logical);
}

static int check_resource(const char *logical, json_t *resource, struct buf *unknown,
                          struct error *err)
{
    static const char *const known[] = {"Type",         "Properties",          "DependsOn",
                                        "Condition",    "DeletionPolicy",      "Metadata",
                                        "UpdatePolicy", "UpdateReplacePolicy", "CreationPolicy"};
    const char *type = text_member(resource, "Type");
    const char *key;
    json_t *member;
    int rc;

    for (const char *p = logical; *p != '\0'; p++) {
        if (!((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z'))) {
            return error_api(err, "ValidationError",
                             "Template format error: Resource name %s is non alphanumeric.",
                             logical);
        }
    }
    if (!json_is_object(resource)) {
        return error_api(err, "ValidationError",
                         "Template format error: [/Resources/%s] resource definition is malformed",
                         logical);
    }
    if (type == NULL || type[0] == '\0') {
        return error_api(
            err, "ValidationError",
            "Template format error: [/Resources/%s] Every Resources object must contain "
            "a Type member.",
            logical);
    }
    json_object_foreach(resource, key, member)
    {
        bool found = false;

        for (size_t i = 0; i < COUNT_OF(known); i++) {
            found |= strcmp(key, known[i]) == 0;
        }
        if (!found) {
            return error_api(err, "ValidationError", "Invalid template resource property '%s'",
                             key);
        }
    }
    if (resource_row_find(type) == NULL) {
        buf_printf(unknown, "%s%s", unknown->bytes == 0 ? "" : ", ", type);
    }
    if (json_object_get(resource, "UpdatePolicy") != NULL ||
        json_object_get(resource, "CreationPolicy") != NULL) {
        return error_api(err, "ValidationError",
                         "muster does not offer UpdatePolicy and CreationPolicy: resource %s",
                         logical);
    }
    rc = check_policy(logical, resource, "DeletionPolicy", "Delete,Retain,RetainExceptOnCreate",
                      err);
    return rc != 0 ? rc
                   : check_policy(logical, resource, "UpdateReplacePolicy", "Delete,Retain", err);
}

/* References. */

struct references {
    json_t *template;
    struct buf missing; /* Ref and Sub: named together, as AWS does. */
    struct error *err;
    int rc;
};

static void check_reference(void *data, const char *name, const char *attribute)
{
    struct references *references = data;
    json_t *resources = json_object_get(references->template, "Resources");
    json_t *parameters = json_object_get(references->template, "Parameters");

    if (strncmp(name, "AWS::", 5) == 0 || json_object_get(resources, name) != NULL ||
        (attribute == NULL && json_object_get(parameters, name) != NULL)) {
        return;
    }
    if (attribute != NULL && references->rc == 0) {
        references->rc = error_api(
            references->err, "ValidationError",
            "Template error: instance of Fn::GetAtt references undefined resource %s", name);
        return;
    }
    if (attribute == NULL && strstr(buf_z(&references->missing), name) == NULL) {
        buf_printf(&references->missing, "%s%s", references->missing.bytes == 0 ? "" : ", ", name);
    }
}

static int check_references_in(json_t *template, json_t *block, const char *says, struct error *err)
{
    struct references references = {.template = template, .err = err};

    template_references(block, check_reference, &references);
    if (references.rc == 0 && references.missing.bytes > 0) {
        references.rc = error_api(err, "ValidationError",
                                  "Template format error: Unresolved resource dependencies [%s] in "
                                  "the %s block of the template",
                                  buf_z(&references.missing), says);
    }
    buf_close(&references.missing);
    return references.rc;
}

struct names {
    json_t *resources;
    char **list;
    size_t count, room;
};

static void add_name(void *data, const char *name, const char *attribute)
{
    struct names *names = data;

    (void)attribute;
    if (json_object_get(names->resources, name) == NULL) {
        return; /* A parameter. */
    }
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i], name) == 0) {
            return;
        }
    }
    names->list = mem_grow(names->list, names->count, &names->room, sizeof(*names->list));
    names->list[names->count++] = mem_strdup(name);
}

void plan_dependencies(json_t *template, const char *logical, char ***list, size_t *count)
{
    struct names names = {.resources = json_object_get(template, "Resources")};
    json_t *resource = json_object_get(names.resources, logical);
    json_t *depends = json_object_get(resource, "DependsOn");
    json_t *element;
    size_t index;

    if (json_is_string(depends)) {
        add_name(&names, json_string_value(depends), NULL);
    }
    json_array_foreach(depends, index, element)
    {
        if (json_is_string(element)) {
            add_name(&names, json_string_value(element), NULL);
        }
    }
    template_references(json_object_get(resource, "Properties"), add_name, &names);
    *list = names.list;
    *count = names.count;
}

static void free_names(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i]);
    }
    free(list);
}

/* Take away what depends on nothing that is left, until nothing is left; if that ends early, the
 * rest is in, or behind, a circle. */
static int check_circles(json_t *template, struct error *err)
{
    json_t *left = json_deep_copy(json_object_get(template, "Resources"));
    bool progress = true;
    struct buf circle = {0};
    const char *key;
    json_t *resource;
    void *next;
    int rc = 0;

    while (progress) {
        progress = false;
        json_object_foreach_safe(left, next, key, resource)
        {
            char **names;
            size_t count;
            bool blocked = false;

            plan_dependencies(template, key, &names, &count);
            for (size_t i = 0; i < count; i++) {
                blocked |= json_object_get(left, names[i]) != NULL;
            }
            free_names(names, count);
            if (!blocked) {
                json_object_del(left, key);
                progress = true;
            }
        }
    }
    json_object_foreach(left, key, resource)
    {
        buf_printf(&circle, "%s%s", circle.bytes == 0 ? "" : ", ", key);
    }
    if (circle.bytes > 0) {
        rc = error_api(err, "ValidationError", "Circular dependency between resources: [%s]",
                       buf_z(&circle));
    }
    buf_close(&circle);
    json_decref(left);
    return rc;
}

static int check_depends_on(json_t *template, struct error *err)
{
    json_t *resources = json_object_get(template, "Resources");
    const char *logical;
    json_t *resource;

    json_object_foreach(resources, logical, resource)
    {
        json_t *depends = json_object_get(resource, "DependsOn");

        for (size_t i = 0;
             i < (json_is_array(depends) ? json_array_size(depends) : depends != NULL); i++) {
            const char *name =
                json_string_value(json_is_array(depends) ? json_array_get(depends, i) : depends);

            if (name == NULL || json_object_get(resources, name) == NULL) {
                return error_api(err, "ValidationError",
                                 "Template format error: Unresolved resource dependencies [%s] in "
                                 "the Resources block of the template",
                                 name == NULL ? "" : name);
            }
        }
    }
    return 0;
}

int plan_check(json_t *template, struct error *err)
{
    json_t *resources = json_object_get(template, "Resources");
    struct buf unknown = {0};
    const char *logical;
    json_t *resource;
    int rc = check_sections(template, err);

    if (rc != 0) {
        return rc;
    }
    json_object_foreach(resources, logical, resource)
    {
        rc = check_resource(logical, resource, &unknown, err);
        if (rc != 0) {
            break;
        }
    }
    if (rc == 0 && unknown.bytes > 0) {
        rc = error_api(err, "ValidationError",
                       "Template format error: Unrecognized resource types: [%s]", buf_z(&unknown));
    }
    buf_close(&unknown);
    if (rc == 0) {
        rc = check_depends_on(template, err);
    }
    if (rc == 0) {
        rc = check_references_in(template, resources, "Resources", err);
    }
    if (rc == 0) {
        rc = check_references_in(template, json_object_get(template, "Outputs"), "Outputs", err);
    }
    if (rc == 0) {
        rc = check_circles(template, err);
    }
    return rc;
}

const char *plan_capability(json_t *template)
{
    const char *logical, *needed = NULL;
    json_t *resource;

    json_object_foreach(json_object_get(template, "Resources"), logical, resource)
    {
        static const char *const names[] = {"RoleName", "UserName", "GroupName",
                                            "InstanceProfileName", "ManagedPolicyName"};
        const char *type = text_member(resource, "Type");

        if (type == NULL || strncmp(type, "AWS::IAM::", 10) != 0) {
            continue;
        }
        needed = needed == NULL ? "CAPABILITY_IAM" : needed;
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            if (json_object_get(json_object_get(resource, "Properties"), names[i]) != NULL) {
                needed = "CAPABILITY_NAMED_IAM";
            }
        }
    }
    return needed;
}

bool plan_hides(const json_t *template, const char *parameter)
{
    const json_t *declared = json_object_get(json_object_get(template, "Parameters"), parameter);
    const char *text = text_member(declared, "NoEcho");

    return text != NULL && strcmp(text, "true") == 0;
}

/* Parameters. */

static const char *old_value(const struct stack *previous, const char *key)
{
    for (size_t i = 0; previous != NULL && i < previous->parameters_count; i++) {
        if (strcmp(previous->parameters[i].key, key) == 0) {
            return previous->parameters[i].value;
        }
    }
    return NULL;
}

static int check_number(const char *key, json_t *declared, const char *value, struct error *err)
{
    double number, limit;
    const char *text;
    int rc = 0;

    if (text_to_double(slice_z(value), &number, NULL) != 0) {
        return error_api(err, "ValidationError", "Parameter '%s' must be a number.", key);
    }
    text = text_member(declared, "MinValue");
    if (text != NULL && text_to_double(slice_z(text), &limit, NULL) == 0 && number < limit) {
        rc = error_api(err, "ValidationError", "Parameter '%s' must be a number not less than %s.",
                       key, text);
    }
    text = rc == 0 ? text_member(declared, "MaxValue") : NULL;
    if (text != NULL && text_to_double(slice_z(text), &limit, NULL) == 0 && number > limit) {
        rc = error_api(err, "ValidationError",
                       "Parameter '%s' must be a number not greater than %s.", key, text);
    }
    return rc;
}

static int check_length(const char *key, json_t *declared, const char *value, struct error *err)
{
    int64_t limit;
    const char *text = text_member(declared, "MinLength");
    int rc = 0;

    if (text != NULL && text_to_i64(slice_z(text), 0, INT32_MAX, &limit, NULL) == 0 &&
        (int64_t)strlen(value) < limit) {
        rc = error_api(err, "ValidationError",
                       "Parameter '%s' must contain at least %s characters.", key, text);
    }
    text = rc == 0 ? text_member(declared, "MaxLength") : NULL;
    if (text != NULL && text_to_i64(slice_z(text), 0, INT32_MAX, &limit, NULL) == 0 &&
        (int64_t)strlen(value) > limit) {
        rc = error_api(err, "ValidationError", "Parameter '%s' must contain at most %s characters.",
                       key, text);
    }
    return rc;
}

static int check_pattern(const char *key, json_t *declared, const char *value, struct error *err)
{
    const char *pattern = text_member(declared, "AllowedPattern");
    const char *describes = text_member(declared, "ConstraintDescription");
    struct buf whole = {0};
    regex_t regex;
    int rc;

    if (pattern == NULL) {
        return 0;
    }
    buf_printf(&whole, "^(%s)$", pattern);
    rc = regcomp(&regex, buf_z(&whole), REG_EXTENDED | REG_NOSUB);
    buf_close(&whole);
    if (rc != 0) {
        return error_api(err, "ValidationError",
                         "Template error: the AllowedPattern of parameter %s is no regular "
                         "expression",
                         key);
    }
    rc = regexec(&regex, value, 0, NULL, 0);
    regfree(&regex);
    if (rc == 0) {
        return 0;
    }
    return describes != NULL
               ? error_api(err, "ValidationError",
                           "Parameter '%s' failed to satisfy constraint: %s", key, describes)
               : error_api(err, "ValidationError", "Parameter '%s' must match pattern %s", key,
                           pattern);
}

static int check_value(const char *key, json_t *declared, const char *value, struct error *err)
{
    json_t *allowed = json_object_get(declared, "AllowedValues");
    const char *type = text_member(declared, "Type");
    json_t *element;
    size_t index;
    bool found = !json_is_array(allowed);
    int rc = 0;

    if (type != NULL && strcmp(type, "Number") == 0) {
        rc = check_number(key, declared, value, err);
    }
    json_array_foreach(allowed, index, element)
    {
        const char *text = json_string_value(element);

        found |= text != NULL && strcmp(text, value) == 0;
    }
    if (rc == 0 && !found) {
        rc = error_api(err, "ValidationError", "Parameter '%s' must be one of AllowedValues", key);
    }
    if (rc == 0) {
        rc = check_length(key, declared, value, err);
    }
    return rc != 0 ? rc : check_pattern(key, declared, value, err);
}

/* The value given for @key: a text, the previous one, or NULL. */
static const char *given_value(const struct doc *in, const struct stack *previous, const char *key)
{
    for (size_t i = 0; i < doc_count(in, M_Parameters); i++) {
        const struct doc *parameter = doc_at(in, M_Parameters, i);

        if (slice_equal_z(doc_text(parameter, M_ParameterKey), key)) {
            return doc_bool(parameter, M_UsePreviousValue) ? old_value(previous, key)
                                                           : doc_z(parameter, M_ParameterValue);
        }
    }
    return NULL;
}

static int check_given(json_t *declared, const struct doc *in, struct error *err)
{
    struct buf strangers = {0};
    int rc = 0;

    for (size_t i = 0; i < doc_count(in, M_Parameters); i++) {
        const char *key = doc_z(doc_at(in, M_Parameters, i), M_ParameterKey);

        if (key == NULL || json_object_get(declared, key) == NULL) {
            buf_printf(&strangers, "%s%s", strangers.bytes == 0 ? "" : ", ",
                       key == NULL ? "" : key);
        }
    }
    if (strangers.bytes > 0) {
        rc = error_api(err, "ValidationError", "Parameters: [%s] do not exist in the template",
                       buf_z(&strangers));
    }
    buf_close(&strangers);
    return rc;
}

int plan_parameters(json_t *template, const struct doc *in, const struct stack *previous,
                    struct key_value **parameters, size_t *count, struct error *err)
{
    json_t *declared = json_object_get(template, "Parameters");
    struct buf missing = {0};
    const char *key;
    json_t *parameter;
    int rc = check_given(declared, in, err);

    *parameters = mem_calloc(json_object_size(declared) + 1, sizeof(**parameters));
    *count = 0;
    json_object_foreach(declared, key, parameter)
    {
        const char *value = given_value(in, previous, key);

        if (rc != 0) {
            break;
        }
        value = value != NULL ? value : text_member(parameter, "Default");
        if (value == NULL) {
            buf_printf(&missing, "%s%s", missing.bytes == 0 ? "" : ", ", key);
            continue;
        }
        rc = check_value(key, parameter, value, err);
        (*parameters)[(*count)++] = (struct key_value){mem_strdup(key), mem_strdup(value)};
    }
    if (rc == 0 && missing.bytes > 0) {
        rc =
            error_api(err, "ValidationError", "Parameters: [%s] must have values", buf_z(&missing));
    }
    buf_close(&missing);
    if (rc != 0) {
        key_values_free(*parameters, *count);
        *parameters = NULL;
        *count = 0;
    }
    return rc;
}
