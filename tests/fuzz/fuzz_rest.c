/* "METHOD PATH?QUERY", then JSON: a request of the rest-json protocol. */
#include "operation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes), line = SLICE_EMPTY, target, path;
    struct arena arena = {0};
    struct error err;
    struct doc *in;
    size_t mark;

    slice_next(&text, '\n', &line);
    mark = slice_find(line, ' ');
    target = slice_sub(line, mark + 1, line.bytes);
    path = slice_sub(target, 0, slice_find(target, '?'));
    for (size_t i = 0; i < api.service_count; i++) {
        const struct model_op *op =
            (api.services[i]->protocols & PROTOCOL_REST_JSON) == 0
                ? NULL
                : rest_find(api.services[i], slice_sub(line, 0, mark), path);

        if (op != NULL &&
            rest_decode(&arena, op, path, slice_sub(target, path.bytes + 1, target.bytes), text,
                        &in, &err) == 0) {
            operation_check(op, in);
        }
    }
    arena_close(&arena);
    return 0;
}
