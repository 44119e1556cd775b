/* ValidateTemplate, GetTemplateSummary. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/buf.h"
#include "services/cloudformation/change.h"
#include "wire/doc.h"

#include <stdlib.h>
#include <string.h>

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

static void describe_template(json_t *template, bool summary, struct doc *out)
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
        doc_set_z(row, M_DefaultValue, json_string_value(json_object_get(parameter, "Default")));
        doc_set_bool(row, M_NoEcho, plan_hides(template, key));
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
    int rc = change_read_template(in, NULL, &text, &template, err);

    (void)ctx;
    if (rc == 0) {
        describe_template(template, false, out);
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
        return error_api(err, "ValidationError", "Stack with id %s does not exist", name);
    }
    if (stack != NULL && stack->template != NULL) {
        template = json_incref(stack->template);
        rc = 0;
    } else {
        rc = change_read_template(in, NULL, &text, &template, err);
    }
    if (rc != 0) {
        return rc;
    }
    describe_template(template, true, out);
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
