#include "balancer/config.h"

#include <stdlib.h>
#include <string.h>

/* A double-quoted word of HAProxy's. '$' would name an environment variable. */
static void quote(struct buf *text, const char *word)
{
    buf_add_byte(text, '"');
    for (const char *at = word; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;

        if (byte == '"' || byte == '\\' || byte == '$') {
            buf_add_byte(text, '\\');
            buf_add_byte(text, *at);
        } else if (byte == '\n') {
            buf_add_z(text, "\\n");
        } else if (byte == '\r') {
            buf_add_z(text, "\\r");
        } else if (byte < 0x20 || byte == 0x7f) {
            buf_printf(text, "\\x%02x", byte);
        } else {
            buf_add_byte(text, *at);
        }
    }
    buf_add_byte(text, '"');
}

static void write_global(struct buf *text, const char *socket, const char *description,
                         int32_t connections_max, int32_t hard_stop_s)
{
    buf_add_z(text, "global\n"
                    "    nbthread 1\n");
    buf_printf(text, "    maxconn %d\n", connections_max);
    buf_printf(text, "    stats socket %s mode 660 level admin\n", socket);
    buf_add_z(text, "    stats timeout 1h\n");
    if (description != NULL) {
        buf_printf(text, "    description %s\n", description);
    }
    if (hard_stop_s > 0) {
        buf_printf(text, "    hard-stop-after %ds\n", hard_stop_s);
    }
}

/* The pages that AWS shows. Bodies end in CRLF. */
static void write_error_page(struct buf *text, int status, const char *title)
{
    struct buf page = {0};

    buf_printf(&page,
               "<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n"
               "<center><h1>%d %s</h1></center>\r\n</body>\r\n</html>\r\n",
               status, title, status, title);
    buf_printf(text, "    http-error status %d content-type text/html string ", status);
    quote(text, buf_z(&page));
    buf_add_z(text, " hdr Server awselb/2.0\n");
    buf_close(&page);
}

static void write_defaults(struct buf *text, const struct balancer_http *http)
{
    buf_add_z(text, "\ndefaults\n"
                    "    mode http\n");
    if (http->source != NULL) {
        buf_printf(text, "    source %s\n", http->source);
    }
    /* Without idle-close-on-response a predecessor's soft stop closes idle connections under the
     * client's next request. */
    buf_add_z(text, "    option idle-close-on-response\n"
                    "    option redispatch\n"
                    "    retries 3\n"
                    "    timeout connect 5s\n");
    buf_printf(text, "    timeout client %ds\n    timeout server %ds\n", http->idle_timeout_s,
               http->idle_timeout_s);
    buf_printf(text, "    timeout http-keep-alive %ds\n    timeout http-request %ds\n",
               http->client_keep_alive_s, http->idle_timeout_s);
    buf_printf(text, "    timeout queue %ds\n    timeout tunnel %ds\n", http->idle_timeout_s,
               http->idle_timeout_s);
    write_error_page(text, 400, "Bad Request");
    write_error_page(text, 408, "Request Time-out");
    write_error_page(text, 502, "Bad Gateway");
    write_error_page(text, 503, "Service Temporarily Unavailable");
    write_error_page(text, 504, "Gateway Time-out");
}

/* On AWS's own ports any port in Host is removed, on others it is added where absent. */
static void write_host(struct buf *text, int32_t port)
{
    if (port == 80 || port == 443) {
        buf_add_z(text, "    http-request set-header Host %[req.hdr(host),field(1,:)] "
                        "if { req.hdr(host) -m sub : }\n");
    } else {
        buf_printf(text,
                   "    http-request set-header Host %%[req.hdr(host)]:%d "
                   "if { req.hdr(host) -m found } !{ req.hdr(host) -m sub : }\n",
                   port);
    }
}

static void write_forwarded_for(struct buf *text, const struct balancer_http *http)
{
    const char *client = http->client_port ? "%[src]:%[src_port]" : "%[src]";

    if (strcmp(http->forwarded_for, "preserve") == 0) {
        return;
    }
    if (strcmp(http->forwarded_for, "remove") == 0) {
        buf_add_z(text, "    http-request del-header X-Forwarded-For\n");
        return;
    }
    buf_printf(text,
               "    http-request set-header X-Forwarded-For \"%%[req.fhdr(x-forwarded-for)], %s\" "
               "if { req.fhdr(x-forwarded-for) -m found }\n",
               client);
    buf_printf(text,
               "    http-request set-header X-Forwarded-For %s "
               "unless { req.fhdr(x-forwarded-for) -m found }\n",
               client);
}

/* Root=1-<8 hex, seconds>-<24 hex>; a client's Root stays and gets our Self in front. */
static void write_trace_id(struct buf *text)
{
    buf_add_z(text, "    http-request set-var(txn.trace) "
                    "date,hex,bytes(8),lower,concat(-)\n"
                    "    http-request set-var(txn.random) uuid(4),regsub(-,,g),bytes(0,24)\n"
                    "    http-request set-header X-Amzn-Trace-Id "
                    "\"Self=1-%[var(txn.trace)]%[var(txn.random)];"
                    "%[req.fhdr(x-amzn-trace-id),regsub(\\\"Self=[^;]*;\\\",)]\" "
                    "if { req.fhdr(x-amzn-trace-id) -m sub Root= }\n"
                    "    http-request set-header X-Amzn-Trace-Id "
                    "\"Root=1-%[var(txn.trace)]%[var(txn.random)]\" "
                    "unless { req.fhdr(x-amzn-trace-id) -m sub Root= }\n");
}

/* Shares by a number drawn per request. */
static void write_choices(struct buf *text, const struct balancer_listener *listener)
{
    int32_t total = 0, below = 0;

    for (size_t i = 0; i < listener->choice_count; i++) {
        total += listener->choices[i].weight;
    }
    if (total == 0) { /* No backend: HAProxy's 503 is AWS's. */
        return;
    }
    if (listener->choice_count == 1) {
        buf_printf(text, "    default_backend %s\n", listener->choices[0].backend);
        return;
    }
    buf_printf(text, "    http-request set-var(txn.share) rand(%d)\n", total);
    for (size_t i = 0; i < listener->choice_count; i++) {
        if (listener->choices[i].weight == 0) {
            continue;
        }
        below += listener->choices[i].weight;
        buf_printf(text, "    use_backend %s if { var(txn.share) -m int lt %d }\n",
                   listener->choices[i].backend, below);
    }
}

/* AWS's placeholders as HAProxy's samples, '%' of others doubled. */
static void write_template(struct buf *text, const char *part, int32_t port)
{
    static const struct {
        const char *name;
        const char *sample;
    } known[] = {
        {"/#{path}", "%[path]"},
        {"#{path}", "%[path,bytes(1)]"},
        {"#{host}", "%[req.hdr(host),field(1,:)]"},
        {"#{query}", "%[query]"},
        {"#{protocol}", "http"},
    };

    while (*part != '\0') {
        size_t i = 0;

        while (i < COUNT_OF(known) && strncmp(part, known[i].name, strlen(known[i].name)) != 0) {
            i++;
        }
        if (i < COUNT_OF(known)) {
            buf_add_z(text, known[i].sample);
            part += strlen(known[i].name);
        } else if (strncmp(part, "#{port}", 7) == 0) {
            buf_printf(text, "%d", port);
            part += 7;
        } else {
            if (*part == '%') {
                buf_add_byte(text, '%');
            }
            buf_add_byte(text, *part++);
        }
    }
}

static void write_location(struct buf *text, const struct balancer_listener *listener,
                           bool with_query)
{
    struct buf location = {0}, protocol = {0};

    for (const char *at = listener->protocol; *at != '\0'; at++) { /* "HTTPS" */
        buf_add_byte(&protocol, (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at));
    }
    write_template(&location, buf_z(&protocol), listener->port);
    buf_add_z(&location, "://");
    write_template(&location, listener->host, listener->port);
    buf_add_byte(&location, ':');
    write_template(&location, listener->to_port, listener->port);
    write_template(&location, listener->path, listener->port);
    if (with_query) {
        buf_add_byte(&location, '?');
        write_template(&location, listener->query, listener->port);
    }
    buf_printf(text, "    http-request redirect code %d location ", listener->status);
    quote(text, buf_z(&location));
    buf_close(&location);
    buf_close(&protocol);
}

static void write_redirect(struct buf *text, const struct balancer_listener *listener)
{
    if (strcmp(listener->query, "#{query}") == 0) { /* No lonely '?'. */
        write_location(text, listener, true);
        buf_add_z(text, " if { query,length gt 0 }\n");
        write_location(text, listener, false);
    } else {
        write_location(text, listener, listener->query[0] != '\0');
    }
    buf_add_byte(text, '\n');
}

static void write_listener(struct buf *text, const struct balancer_http *http,
                           const struct balancer_listener *listener)
{
    buf_printf(text, "\nfrontend %s\n    bind fd@%d\n", listener->name, listener->fd);
    buf_add_z(text, "    http-request return status 405 hdr Server awselb/2.0 if METH_TRACE\n");
    switch (listener->action) {
    case BALANCER_FIXED:
        buf_printf(text, "    http-request return status %d", listener->status);
        if (listener->body != NULL && listener->body[0] != '\0') {
            buf_add_z(text, " content-type ");
            quote(text, listener->content_type == NULL || listener->content_type[0] == '\0'
                            ? "text/plain"
                            : listener->content_type);
            buf_add_z(text, " string ");
            quote(text, listener->body);
        }
        buf_add_z(text, " hdr Server awselb/2.0\n");
        break;
    case BALANCER_REDIRECT:
        write_redirect(text, listener);
        break;
    case BALANCER_FORWARD:
        if (!http->preserve_host) {
            write_host(text, listener->port);
        }
        write_forwarded_for(text, http);
        buf_printf(text,
                   "    http-request set-header X-Forwarded-Proto http\n"
                   "    http-request set-header X-Forwarded-Port %d\n",
                   listener->port);
        write_trace_id(text);
        write_choices(text, listener);
        break;
    }
}

static void write_cookie(struct buf *text, const char *rule, const char *fetch, const char *name)
{
    struct buf sample = {0};

    buf_printf(&sample, "%s(%s)", fetch, name);
    buf_printf(text, "    stick %s ", rule);
    quote(text, buf_z(&sample));
    buf_add_byte(text, '\n');
    buf_close(&sample);
}

static void write_stickiness(struct buf *text, const struct balancer_backend *backend)
{
    if (backend->sticky_s <= 0) {
        return;
    }
    if (backend->sticky_cookie != NULL && backend->sticky_cookie[0] != '\0') {
        buf_printf(text, "    stick-table type string len 128 size 20k expire %ds\n",
                   backend->sticky_s);
        write_cookie(text, "store-response", "res.cook", backend->sticky_cookie);
        write_cookie(text, "match", "req.cook", backend->sticky_cookie);
        return;
    }
    buf_printf(text,
               "    cookie AWSALB insert indirect nocache dynamic maxlife %ds\n"
               "    dynamic-cookie-key %s\n",
               backend->sticky_s, backend->name);
}

static void write_backend(struct buf *text, const struct balancer_backend *backend)
{
    buf_printf(text, "\nbackend %s\n    balance %s\n", backend->name,
               backend->least_connections ? "leastconn" : "roundrobin");
    write_stickiness(text, backend);
    for (size_t i = 0; i < backend->server_count; i++) {
        const struct balancer_server *server = &backend->servers[i];

        buf_printf(text, "    server %s %s:%d", server->name, server->address, server->port);
        if (backend->slow_start_s > 0) {
            buf_printf(text, " slowstart %ds", backend->slow_start_s);
        }
        buf_add_z(text, server->state == BALANCER_READY ? "\n" : " disabled\n");
    }
}

void balancer_write_http(struct buf *text, const struct balancer_http *http)
{
    write_global(text, http->socket, http->description, http->connections_max, http->hard_stop_s);
    write_defaults(text, http);
    for (size_t i = 0; i < http->listener_count; i++) {
        write_listener(text, http, &http->listeners[i]);
    }
    for (size_t i = 0; i < http->backend_count; i++) {
        write_backend(text, &http->backends[i]);
    }
}

void balancer_write_tcp(struct buf *text, const struct balancer_tcp *tcp)
{
    write_global(text, tcp->socket, NULL, tcp->connections_max, 0);
    buf_add_z(text, "\ndefaults\n    mode tcp\n");
    if (tcp->source != NULL) {
        buf_printf(text, "    source %s\n", tcp->source);
    }
    buf_add_z(text, "    timeout connect 5s\n"
                    "    timeout client 24h\n"
                    "    timeout server 24h\n");
    for (size_t i = 0; i < tcp->forward_count; i++) {
        const struct balancer_forward *forward = &tcp->forwards[i];

        buf_printf(text, "\nlisten %s\n    bind fd@%d\n    server to %s:%d\n", forward->name,
                   forward->fd, forward->address, forward->port);
    }
}
