/* One HTTP GET on a given socket: a health check from inside a VPC. */
#ifndef COMPUTE_PROBE_H
#define COMPUTE_PROBE_H

#include "compute/compute.h"

#define PROBE_BYTES_MAX (64 * 1024) /* As much is read; more does not matter. */
#define PROBE_HEAD_BYTES_MAX (16 * 1024)

/* What the answer says so far: its status; 0: it is not complete yet; -1: it is no HTTP answer, or
 * one cut off. @answer is the beginning of the @total bytes that have come, its head at least;
 * @ended: no more will. */
int probe_judge(struct slice answer, size_t total, bool ended);

/* @fd is an unconnected TCP socket; it is the caller's again, unconnected, when @done is called. */
typedef void probe_done_fn(void *data, int fd, enum compute_probe_outcome outcome, int status);
void probe_start(uv_loop_t *loop, int fd, const struct compute_probe *probe, probe_done_fn *done,
                 void *data);

#endif /* COMPUTE_PROBE_H */
