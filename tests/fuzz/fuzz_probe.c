/* Any answer of a service in an instance to a health check. */
#include "compute/probe.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice answer = slice_of((const char *)data, bytes);
    int open = probe_judge(answer, bytes, false);
    int ended = probe_judge(answer, bytes, true);

    /* The end decides what was open, and changes no verdict. */
    if (ended == 0 || (open != 0 && open != ended)) {
        abort();
    }
    return 0;
}
