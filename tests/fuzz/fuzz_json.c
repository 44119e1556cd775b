/* "SERVICE ACTION", then JSON: the bodies of the JSON protocols. What is decoded can be encoded,
 * and that can be decoded. */
#include "operation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);
    const struct model_service *service;
    const struct model_op *op =
        operation_take(&text, PROTOCOL_JSON_1_0 | PROTOCOL_JSON_1_1, &service);
    struct arena arena = {0};
    struct buf again = {0};
    struct error err;
    struct doc *in;

    if (json_decode(&arena, op->in, text, &in, &err) == 0) {
        operation_check(op, in);
        json_encode(op->in, in, &again);
        ASSERT(json_decode(&arena, op->in, buf_slice(&again), &in, &err) == 0);
    }
    buf_close(&again);
    arena_close(&arena);
    return 0;
}
