/* The access log: a line of JSON per request on standard output, written once per turn of the
 * loop. Loop thread only. */
#ifndef CANDIDATE_ACCESS_H
#define CANDIDATE_ACCESS_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdint.h>

struct access_line {
    int64_t wall_ms;
    const char *client;     /* The connection's other end: the load balancer. */
    struct slice forwarded; /* X-Forwarded-For; empty: none. */
    const char *method;
    struct slice target;
    int status;
    size_t bytes;
    double ms;
};

/* Pure: append the line with its newline. Bytes outside ASCII appear as \u00XX. */
void access_format(const struct access_line *line, struct buf *text);

/* Write what was gathered to descriptor @fd and empty @text. Never waits long: a reader that does
 * not read loses lines. */
void access_flush(struct buf *text, int fd);

#endif /* CANDIDATE_ACCESS_H */
