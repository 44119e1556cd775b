/* "SERVICE ACTION", then a form: the bodies of the query and ec2 protocols. What is decoded can be
 * encoded as their XML, and our client reads that. */
#include "client/xml.h"
#include "operation.h"

static void as_answer(const struct model_service *service, const struct model_op *op,
                      const struct doc *doc)
{
    const struct model_op echo = {.name = op->name, .in = op->in, .out = op->in};
    struct buf text = {0};
    json_t *tree = NULL;
    struct error err;

    if ((service->protocols & PROTOCOL_EC2) != 0) {
        ec2_encode(service, &echo, doc, "id", &text);
    } else {
        query_encode(service, &echo, doc, "id", &text);
    }
    ASSERT(xml_to_json(buf_slice(&text), &tree, &err) == 0);
    json_decref(tree);
    buf_close(&text);
}

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
            as_answer(service, op, in);
        }
    }
    arena_close(&arena);
    return 0;
}
