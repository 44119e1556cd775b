/* "SERVICE ACTION", then CBOR: the bodies of rpc-v2-cbor. What is decoded can be encoded, and that
 * can be decoded. */
#include "operation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);
    const struct model_service *service;
    const struct model_op *op = operation_take(&text, PROTOCOL_CBOR, &service);
    struct arena arena = {0};
    struct buf again = {0};
    struct error err;
    struct doc *in;

    if (cbor_decode(&arena, op->in, text, &in, &err) == 0) {
        operation_check(op, in);
        cbor_encode(op->in, in, &again);
        ASSERT(cbor_decode(&arena, op->in, buf_slice(&again), &in, &err) == 0);
    }
    buf_close(&again);
    arena_close(&arena);
    return 0;
}
