/* An HTTP/1.1 client on the event loop: libcurl's multi interface, driven by libuv.
 *
 * Loop thread only. Connections are pooled and kept alive; redirects are answers like any other;
 * proxies from the environment are used, except for loopback and link-local addresses (the instance
 * metadata service), which no proxy could reach. Everything is bounded: requests in flight (others
 * wait their turn), time, and the bytes of an answer. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/error.h"
#include "base/slice.h"
#include "http/server.h" /* struct http_header */

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_client; /* Opaque. */
struct http_call;   /* A request under way; gone when its done function returns. */

struct http_answer {
    int status;
    struct slice body; /* Borrowed for the call; NUL-terminated. */
};

/* On the loop, never within http_call_start(). @answer is NULL when there was none: ERR_UNAVAILABLE
 * (no connection, or it broke), ERR_TIMEOUT, ERR_TOO_LARGE or ERR_INVALID (the URL). */
typedef void http_done_fn(void *data, const struct http_answer *answer, const struct error *err);

struct http_call_options {
    const char *method;                /* NULL: GET. */
    const char *url;                   /* Absolute, http or https. */
    const struct http_header *headers; /* Ends with a NULL name; NULL: none. */
    struct slice body;                 /* Copied. */
    int64_t connect_ms;                /* 0: 2,000. */
    int64_t total_ms;                  /* From http_call_start(), the queue included; 0: 10,000. */
    size_t answer_bytes_max;           /* 0: 16 MiB. */
    http_done_fn *done;
    void *data;
};

/* @in_flight_max: how many requests may be on the wire at once; 0: 64. */
int http_client_open(uv_loop_t *loop, size_t in_flight_max, struct http_client **client,
                     struct error *err);
/* Drops what is under way without calling anyone. The loop must turn once more. NULL is accepted.
 */
void http_client_close(struct http_client *client);

/* Everything is copied. */
struct http_call *http_call_start(struct http_client *client,
                                  const struct http_call_options *options);
/* Its done function will not be called. NULL is accepted. */
void http_call_cancel(struct http_call *call);

/* Requests on the wire and waiting. */
size_t http_client_active(const struct http_client *client);

#endif /* HTTP_CLIENT_H */
