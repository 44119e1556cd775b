/* One HTTP GET on a given socket: a health check from inside a VPC. */
#ifndef COMPUTE_PROBE_H
#define COMPUTE_PROBE_H

#include "compute/compute.h"

/* @fd is an unconnected TCP socket; it is the caller's again, unconnected, when @done is called. */
typedef void probe_done_fn(void *data, int fd, enum compute_probe_outcome outcome, int status);
void probe_start(uv_loop_t *loop, int fd, const struct compute_probe *probe, probe_done_fn *done,
                 void *data);

#endif /* COMPUTE_PROBE_H */
