/* Health checks of many VPCs, with a bounded number of sockets each. A VPC's sockets are asked for
 * once, by its first probe, and used again for ever; what comes while all are busy waits.
 *
 * Loop thread. */
#ifndef COMPUTE_PROBES_H
#define COMPUTE_PROBES_H

#include "compute/compute.h"

#define PROBES_SOCKETS_MAX 64 /* Of one VPC. */

struct probes; /* Opaque. */

/* Unconnected TCP sockets inside @vpc are wanted: probes_take() is to be called, later. */
typedef void probes_need_fn(void *data, const char *vpc);

struct probes *probes_open(uv_loop_t *loop, probes_need_fn *need, void *data);
/* Nobody hears of what is still under way or waits. NULL is fine. */
void probes_close(struct probes *probes);

/* Copies @probe. @done may be called at once, when there are too many VPCs: PROBE_REFUSED. */
void probes_begin(struct probes *probes, const struct compute_probe *probe, compute_probe_fn *done,
                  void *data);
/* Takes the sockets. None: those that wait are refused, and the next probe asks again. */
void probes_take(struct probes *probes, const char *vpc, const int *fds, size_t count);
/* The VPC is gone. */
void probes_forget(struct probes *probes, const char *vpc);

#endif /* COMPUTE_PROBES_H */
