/* What the fuzzers of request bodies share: a first line "SERVICE ACTION" chooses a real
 * operation's model; a line that names none chooses one by its bytes, so that mutations reach them
 * all. */
#ifndef FUZZ_OPERATION_H
#define FUZZ_OPERATION_H

#include "api/api.h"
#include "base/macros.h"
#include "wire/codec.h"

#include <stdint.h>

static inline const struct model_op *operation_by_bytes(struct slice line, unsigned protocols,
                                                        const struct model_service **service)
{
    size_t sum = 0, count = 0;

    for (size_t i = 0; i < line.bytes; i++) {
        sum = sum * 31 + (unsigned char)line.data[i];
    }
    for (size_t i = 0; i < api.service_count; i++) {
        count += (api.services[i]->protocols & protocols) != 0 ? api.services[i]->op_count : 0;
    }
    sum %= count;
    for (size_t i = 0; i < api.service_count; i++) {
        *service = api.services[i];
        if (((*service)->protocols & protocols) != 0) {
            if (sum < (*service)->op_count) {
                return &(*service)->ops[sum];
            }
            sum -= (*service)->op_count;
        }
    }
    return NULL; /* Not reached. */
}

/* Takes the first line off @text. Never NULL. */
static inline const struct model_op *operation_take(struct slice *text, unsigned protocols,
                                                    const struct model_service **service)
{
    struct slice line = SLICE_EMPTY;
    const struct model_op *op = NULL;
    size_t blank;

    slice_next(text, '\n', &line);
    blank = slice_find(line, ' ');
    *service = model_service_find(&api, slice_sub(line, 0, blank));
    if (*service != NULL && ((*service)->protocols & protocols) != 0) {
        op = model_op_find(*service, slice_sub(line, blank + 1, line.bytes));
    }
    return op != NULL ? op : operation_by_bytes(line, protocols, service);
}

/* What was decoded goes through the checks of every family, as wire_call() does them. */
static inline void operation_check(const struct model_op *op, const struct doc *in)
{
    static const enum family families[] = {FAMILY_QUERY, FAMILY_EC2, FAMILY_JSON};
    struct error err;

    for (size_t i = 0; i < COUNT_OF(families); i++) {
        (void)check_input(op->in, in, families[i], &err);
    }
}

#endif /* FUZZ_OPERATION_H */
