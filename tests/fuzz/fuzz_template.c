/* Any text as a CloudFormation template: read, searched for references, evaluated. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const zones[] = {"a", NULL};
    struct evaluation evaluation = {.lookup = lookup, .zones = zones};
    struct error err;
    json_t *template, *result;

    if (bytes > TEMPLATE_BODY_BYTES_MAX ||
        template_parse(slice_of((const char *)data, bytes), &template, &err) != 0) {
        return 0;
    }
    template_references(template, ignore, NULL);
    evaluation.template = template;
    if (evaluate(&evaluation, template, &result, &err) == 0) {
        json_decref(result);
    }
    json_decref(template);
    return 0;
}
