/* What HAProxy's runtime socket answers to `show stat`. */
#include "balancer/stats.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void take(void *data, const struct balancer_row *row)
{
    struct balancer_counters grown;

    balancer_totals_take(data, row, &grown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct balancer_totals totals = {0};

    (void)balancer_stat_parse(slice_of((const char *)data, bytes), take, &totals, NULL);
    balancer_totals_close(&totals);
    return 0;
}
