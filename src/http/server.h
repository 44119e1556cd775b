/* An HTTP/1.1 server on the event loop: libmicrohttpd without threads of its own, its epoll
 * descriptor watched by libuv.
 *
 * Loop thread only. One handler call per request, made when the whole body is there; the answer may
 * be given within that call or any time later. Everything is bounded: connections, the memory of
 * each, bodies (all of them together too: 503), and the time that a client may take to send a
 * request. At the connections' limit those that keep us waiting longest make room for new ones.
 * What libmicrohttpd refuses by itself (broken syntax, headers that are too large) never reaches
 * the handler. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_server; /* Opaque. */

/* A request under way. Lives until it is answered and the answer was sent. */
struct http_request {
    const char *method;  /* As sent: "GET". */
    struct slice target; /* Raw: path and query, nothing decoded. */
    struct slice path;   /* Raw, without '?'. */
    struct slice query;  /* Raw, without '?'. */
    struct slice body;   /* Lives as long as the request. */
    char peer[64];       /* The client's address, "127.0.0.1". */
    bool body_too_large; /* The body was dropped; the handler answers 413. */
    struct arena arena;  /* For whatever belongs to the request; freed with it. */
    void *user;          /* The handler's own. */
    struct http_server *server;
};

struct http_header {
    const char *name;
    const char *value;
};

typedef void http_handler_fn(void *data, struct http_request *request);

struct http_server_options {
    uv_loop_t *loop;
    int listen_fd; /* Listening; taken: closed with the server, also when opening fails. */
    http_handler_fn *handler;
    void *data;
    size_t body_bytes_max;             /* 0: 1 MiB. */
    size_t connection_memory_bytes;    /* Request line and headers; 0: 32 KiB. */
    unsigned connections_max;          /* 0: 1000; a quarter of RLIMIT_NOFILE at most. */
    unsigned connections_per_peer_max; /* From one address; 0: as many as there are. */
    unsigned idle_s_max;               /* Keep-alive without a request; 0: 75. */
    unsigned request_s_max;            /* From the first byte until the body is there; 0: 30. */
};

/* Make a listening socket for @address:@port (0: any). The caller owns *@fd. ERR_SYSTEM says why
 * not, a taken port with the next step. */
int http_listen(const char *address, int port, int *fd, struct error *err);
/* The port that a listening socket has. */
int http_listen_port(int fd);

int http_server_open(const struct http_server_options *options, struct http_server **server,
                     struct error *err);
/* Stop listening and answer 503 to whatever is still under way, then release everything. The loop
 * must turn once more. NULL is accepted. */
void http_server_close(struct http_server *server);
/* Stop listening; requests under way go on and get "Connection: close". */
void http_server_drain(struct http_server *server);
/* Requests that were handed over and not yet answered. */
size_t http_server_active(const struct http_server *server);

/* A header's value; the empty slice with NULL data when absent. Case does not matter. */
struct slice http_header(const struct http_request *request, const char *name);
/* All headers in the order of arrival. */
typedef void http_header_fn(void *data, struct slice name, struct slice value);
void http_headers_each(const struct http_request *request, http_header_fn *fn, void *data);

/* How many routers the packets of the answer may pass; 0: as many as usual. Holds for the
 * connection until it is said again. */
void http_response_hops(struct http_request *request, int hops);

/* Answer. Everything is copied; headers end with a NULL name (NULL: none). Once per request, which
 * is gone afterwards. */
void http_respond(struct http_request *request, int status, const struct http_header *headers,
                  struct slice body);

/* An answer in pieces (chunked): begin, write as often as needed, end. What the client has not
 * taken yet is kept, so ask http_stream_pending_bytes() before making more. After end the request
 * may no longer be used. */
void http_stream_begin(struct http_request *request, int status, const struct http_header *headers);
void http_stream_write(struct http_request *request, struct slice piece);
size_t http_stream_pending_bytes(const struct http_request *request);
/* The client has left: what is written is dropped. */
bool http_stream_broken(const struct http_request *request);
/* With @complete false the connection is cut, so that the client notices. */
void http_stream_end(struct http_request *request, bool complete);

#endif /* HTTP_SERVER_H */
