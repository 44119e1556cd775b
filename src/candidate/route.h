/* What a request asks for: the table of routes, and candidates' names.
 *
 * Pure; any thread. */
#ifndef CANDIDATE_ROUTE_H
#define CANDIDATE_ROUTE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>

#define NAME_BYTES_MAX 2048 /* DynamoDB's bound of a partition key. */

enum route {
    ROUTE_GTG,
    ROUTE_CANDIDATE,
    ROUTE_CANDIDATES,
    ROUTE_ROOT,
    ROUTE_NONE,
};
#define ROUTE_COUNT (ROUTE_NONE + 1)

/* @name: what follows "/candidate/", still encoded. */
enum route route_find(struct slice path, struct slice *name);
/* "gtg", "candidate", ... for metrics. */
const char *route_name(enum route route);
/* The methods that a route knows, as the Allow header lists them; NULL: none is refused. */
const char *route_methods(enum route route);
bool route_allows(enum route route, const char *method);

/* Decode a name. ERR_INVALID says why it is none: empty, too long, a slash, a NUL, not UTF-8. */
int route_decode_name(struct slice encoded, struct buf *name, struct error *err);

/* Does the query have the parameter @name, with whatever value? */
bool route_has_parameter(struct slice query, const char *name);

#endif /* CANDIDATE_ROUTE_H */
