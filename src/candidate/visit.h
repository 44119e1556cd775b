/* A request under way, for the files that answer it. Loop thread only. */
#ifndef CANDIDATE_VISIT_H
#define CANDIDATE_VISIT_H

#include "base/buf.h"
#include "candidate/route.h"
#include "candidate/service.h"

#include <stdint.h>

/* Lives in its request's arena. */
struct visit {
    struct service *service;
    struct http_request *request;
    enum route route;
    uint64_t start_ns;
    int64_t start_wall_ms;
    struct buf name; /* Decoded. */
    bool waiting;    /* Counted as in flight. */
};

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

/* Answer, log and count; the visit is gone afterwards. @retry adds Retry-After. */
void visit_answer(struct visit *visit, int status, const char *type, bool retry, struct slice body);
/* Log and count an answer of @bytes that was streamed; the caller ends the stream. */
void visit_record(struct visit *visit, int status, size_t bytes);

/* Answer with every item of a Query for the visit's name, or of a Scan (@scan). */
void listing_start(struct visit *visit, bool scan);

#endif /* CANDIDATE_VISIT_H */
