#include "candidate/route.h"

#include "base/macros.h"
#include "base/text.h"

#include <string.h>

#define CANDIDATE_PREFIX "/candidate/"

static const struct {
    const char *path, *name, *methods;
} routes[ROUTE_COUNT] = {
    [ROUTE_GTG] = {"/gtg", "gtg", "GET"},
    [ROUTE_CANDIDATE] = {NULL, "candidate", "GET, POST"},
    [ROUTE_CANDIDATES] = {"/candidates", "candidates", "GET"},
    [ROUTE_ROOT] = {"/", "root", "GET"},
    [ROUTE_NONE] = {NULL, "none", NULL},
};

enum route route_find(struct slice path, struct slice *name)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if (routes[i].path != NULL && slice_equal_z(path, routes[i].path)) {
            return (enum route)i;
        }
    }
    if (slice_starts(path, SLICE_LIT(CANDIDATE_PREFIX))) {
        *name = slice_sub(path, strlen(CANDIDATE_PREFIX), path.bytes);
        return ROUTE_CANDIDATE;
    }
    return ROUTE_NONE;
}

const char *route_name(enum route route)
{
    return routes[route].name;
}

const char *route_methods(enum route route)
{
    return routes[route].methods;
}

bool route_allows(enum route route, const char *method)
{
    struct slice rest = slice_z(routes[route].methods), part;

    if (routes[route].methods == NULL) {
        return true;
    }
    while (slice_next(&rest, ',', &part)) {
        if (slice_equal_z(slice_trim(part), method)) {
            return true;
        }
    }
    return false;
}

int route_decode_name(struct slice encoded, struct buf *name, struct error *err)
{
    struct slice text;

    if (text_percent_decode(name, encoded, false, NULL) != 0) {
        return error_set(err, ERR_INVALID, "a '%%' in the name is not followed by two hex digits");
    }
    text = buf_slice(name);
    if (text.bytes == 0) {
        return error_set(err, ERR_INVALID, "the name is empty");
    }
    if (text.bytes > NAME_BYTES_MAX) {
        return error_set(err, ERR_INVALID, "the name is longer than %d bytes", NAME_BYTES_MAX);
    }
    if (slice_find(text, '/') < text.bytes) {
        return error_set(err, ERR_INVALID, "the name holds a slash");
    }
    if (slice_find(text, '\0') < text.bytes) {
        return error_set(err, ERR_INVALID, "the name holds a NUL");
    }
    if (!text_is_utf8(text)) {
        return error_set(err, ERR_INVALID, "the name is not UTF-8");
    }
    return 0;
}

bool route_has_parameter(struct slice query, const char *name)
{
    struct slice part;

    while (slice_next(&query, '&', &part)) {
        if (slice_equal_z(slice_sub(part, 0, slice_find(part, '=')), name)) {
            return true;
        }
    }
    return false;
}
