/* The service: HTTP requests in, DynamoDB calls out. Loop thread only. */
#ifndef CANDIDATE_SERVICE_H
#define CANDIDATE_SERVICE_H

#include "base/buf.h"
#include "candidate/metrics.h"
#include "candidate/options.h"
#include "client/aws.h"
#include "http/server.h"

#include <stdbool.h>
#include <uv.h>

struct service {
    const struct options *options;
    uv_loop_t *loop;
    struct aws_client *aws;
    char *instance_id; /* The host's name until the metadata service has answered. */
    struct metrics metrics;
    struct buf access; /* Lines that are not written yet. */
    size_t in_flight;  /* Requests that wait for the table. */
    bool draining;
};

/* http_handler_fn: the service itself, and /metrics. @data is the struct service. */
void service_handle(void *data, struct http_request *request);
void service_handle_metrics(void *data, struct http_request *request);

#endif /* CANDIDATE_SERVICE_H */
