/* "SERVICE ACTION", then a form: the bodies of the query and ec2 protocols. */
#include "operation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);
    const struct model_service *service;
    const struct model_op *op = operation_take(&text, PROTOCOL_QUERY | PROTOCOL_EC2, &service);
    struct arena arena = {0};
    struct form form = {0};
    struct error err;
    struct doc *in;

    if (form_parse(&arena, text, &form, &err) == 0) {
        (void)form_value(&form, "Action");
        if (query_decode(&arena, op->in, &form, (service->protocols & PROTOCOL_EC2) != 0, &in,
                         &err) == 0) {
            operation_check(op, in);
        }
    }
    arena_close(&arena);
    return 0;
}
