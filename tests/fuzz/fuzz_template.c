/* Any text as a CloudFormation template: read, searched for references, its resources' properties
 * and its outputs evaluated one by one, so that one error hides no other. */
#include "base/error.h"
#include "services/cloudformation/evaluate.h"
#include "services/cloudformation/template.h"

static int lookup(void *data, const char *name, const char *attribute, json_t **value,
                  struct error *err)
{
    (void)data;
    (void)attribute;
    (void)err;
    *value = json_string(name);
    return 0;
}

static void ignore(void *data, const char *name, const char *attribute)
{
    (void)data;
    (void)name;
    (void)attribute;
}

static void evaluate_each(const struct evaluation *evaluation, json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        struct error err;
        json_t *result = NULL;

        if (evaluate(evaluation, value, &result, &err) == 0) {
            json_decref(result);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const zones[] = {"a", NULL};
    struct evaluation evaluation = {.lookup = lookup, .zones = zones};
    json_t *template, *resource;
    struct error err;
    const char *name;

    if (bytes > TEMPLATE_BODY_BYTES_MAX ||
        template_parse(slice_of((const char *)data, bytes), &template, &err) != 0) {
        return 0;
    }
    template_references(template, ignore, NULL);
    evaluation.template = template;
    json_object_foreach(json_object_get(template, "Resources"), name, resource)
    {
        evaluate_each(&evaluation, json_object_get(resource, "Properties"));
    }
    evaluate_each(&evaluation, json_object_get(template, "Outputs"));
    json_decref(template);
    return 0;
}
