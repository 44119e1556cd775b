/* HAProxy's configuration: the text, and HAProxy's own opinion of it. */
#include "balancer/config.h"
#include "base/buf.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct balancer_server servers[] = {
    {"i-1-8000", "10.0.0.5", 8000, BALANCER_READY},
    {"i-2-8000", "10.0.0.69", 8000, BALANCER_MAINT},
    {"i-3-8000", "10.0.0.70", 8000, BALANCER_DRAIN},
};
static const struct balancer_backend plain[] = {
    {.name = "tg-a", .servers = servers, .server_count = 3},
};
static const struct balancer_choice to_a[] = {{"tg-a", 1}};

static const struct balancer_listener forward = {
    .name = "l80", .fd = 100, .port = 80, .choices = to_a, .choice_count = 1};

static struct balancer_http http_with(const struct balancer_listener *listeners, size_t count)
{
    return (struct balancer_http){
        .socket = "/tmp/haproxy.sock",
        .source = "10.0.0.7",
        .connections_max = 2000,
        .hard_stop_s = 30,
        .idle_timeout_s = 60,
        .client_keep_alive_s = 3600,
        .forwarded_for = "append",
        .listeners = listeners,
        .listener_count = count,
        .backends = plain,
        .backend_count = COUNT_OF(plain),
    };
}

/* The part of @text from @from on. */
static struct slice from(const struct buf *text, const char *from)
{
    const char *at = strstr(buf_z(text), from);

    assert_non_null(at);
    return slice_z(at);
}

static void a_listener_forwards_to_its_group(void **state)
{
    struct balancer_http http = http_with(&forward, 1);
    struct buf text = {0};

    (void)state;
    balancer_write_http(&text, &http);
    check_text("sections after the defaults",
               "frontend l80\n"
               "    bind fd@100\n"
               "    http-request return status 405 hdr Server awselb/2.0 if METH_TRACE\n"
               "    http-request set-header Host %[req.hdr(host),field(1,:)] "
               "if { req.hdr(host) -m sub : }\n"
               "    http-request set-header X-Forwarded-For "
               "\"%[req.fhdr(x-forwarded-for)], %[src]\" "
               "if { req.fhdr(x-forwarded-for) -m found }\n"
               "    http-request set-header X-Forwarded-For %[src] "
               "unless { req.fhdr(x-forwarded-for) -m found }\n"
               "    http-request set-header X-Forwarded-Proto http\n"
               "    http-request set-header X-Forwarded-Port 80\n"
               "    http-request set-var(txn.trace) date,hex,bytes(8),lower,concat(-)\n"
               "    http-request set-var(txn.random) uuid(4),regsub(-,,g),bytes(0,24)\n"
               "    http-request set-header X-Amzn-Trace-Id "
               "\"Self=1-%[var(txn.trace)]%[var(txn.random)];"
               "%[req.fhdr(x-amzn-trace-id),regsub(\\\"Self=[^;]*;\\\",)]\" "
               "if { req.fhdr(x-amzn-trace-id) -m sub Root= }\n"
               "    http-request set-header X-Amzn-Trace-Id "
               "\"Root=1-%[var(txn.trace)]%[var(txn.random)]\" "
               "unless { req.fhdr(x-amzn-trace-id) -m sub Root= }\n"
               "    default_backend tg-a\n"
               "\n"
               "backend tg-a\n"
               "    balance roundrobin\n"
               "    server i-1-8000 10.0.0.5:8000\n"
               "    server i-2-8000 10.0.0.69:8000 disabled\n"
               "    server i-3-8000 10.0.0.70:8000 disabled\n",
               from(&text, "frontend"));
    buf_close(&text);
}

static void the_defaults_are_the_golden_ones(void **state)
{
    struct balancer_http http = http_with(&forward, 1);
    struct buf text = {0};

    (void)state;
    balancer_write_http(&text, &http);
    check_text(
        "until the first error page",
        "global\n"
        "    nbthread 1\n"
        "    maxconn 2000\n"
        "    stats socket /tmp/haproxy.sock mode 660 level admin\n"
        "    stats timeout 1h\n"
        "    hard-stop-after 30s\n"
        "\n"
        "defaults\n"
        "    mode http\n"
        "    source 10.0.0.7\n"
        "    option idle-close-on-response\n"
        "    option redispatch\n"
        "    retries 3\n"
        "    timeout connect 5s\n"
        "    timeout client 60s\n"
        "    timeout server 60s\n"
        "    timeout http-keep-alive 3600s\n"
        "    timeout http-request 60s\n"
        "    timeout queue 60s\n"
        "    timeout tunnel 60s\n",
        slice_of(buf_z(&text), (size_t)(strstr(buf_z(&text), "    http-error") - buf_z(&text))));
    check_text("the page of 503 is AWS's",
               "    http-error status 503 content-type text/html string \"<html>\\r\\n"
               "<head><title>503 Service Temporarily Unavailable</title></head>\\r\\n<body>\\r\\n"
               "<center><h1>503 Service Temporarily Unavailable</h1></center>\\r\\n"
               "</body>\\r\\n</html>\\r\\n\" hdr Server awselb/2.0",
               slice_of(from(&text, "    http-error status 503").data,
                        slice_find(from(&text, "    http-error status 503"), '\n')));
    buf_close(&text);
}

/* HAProxy refuses to bind descriptors that are no sockets, so real ones stand at 100 to 103. */
static void check_with_haproxy(const struct buf *text)
{
    char path[] = "/tmp/muster-test-haproxy-XXXXXX";
    int file = mkstemp(path), status = -1;
    pid_t child;

    assert_true(file >= 0);
    assert_int_equal(write(file, text->data, text->bytes), (ssize_t)text->bytes);
    close(file);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (int fd = 100; fd < 104; fd++) {
            int socket_fd = socket(AF_INET, SOCK_STREAM, 0);

            listen(socket_fd, 1);
            dup2(socket_fd, fd);
        }
        execlp("haproxy", "haproxy", "-c", "-q", "-f", path, (char *)NULL);
        execl("/usr/sbin/haproxy", "haproxy", "-c", "-q", "-f", path, (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    unlink(path);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        print_message("no haproxy here: its opinion was not asked\n");
        return;
    }
    if (status != 0) {
        print_error("haproxy -c: status %d of\n%s\n", status, buf_z(text));
    }
    assert_int_equal(status, 0);
}

static void haproxy_accepts_all_that_we_write(void **state)
{
    static const struct balancer_choice shares[] = {{"tg-a", 3}, {"tg-b", 0}, {"tg-c", 7}};
    static const struct balancer_backend backends[] = {
        {.name = "tg-a", .servers = servers, .server_count = 3},
        {.name = "tg-b",
         .least_connections = true,
         .slow_start_s = 30,
         .servers = servers,
         .server_count = 1},
        {.name = "tg-c", .sticky_s = 60, .servers = servers, .server_count = 2},
        {.name = "tg-d",
         .sticky_s = 60,
         .sticky_cookie = "a-b_c.d~e!f*g+h^i|j",
         .servers = servers,
         .server_count = 2},
    };
    static const struct balancer_listener listeners[] = {
        {.name = "l80", .fd = 100, .port = 80, .choices = shares, .choice_count = 3},
        {.name = "l81",
         .fd = 101,
         .port = 81,
         .action = BALANCER_FIXED,
         .status = 404,
         .content_type = "application/json",
         .body = "{\"a\": \"$HOME \\ 100%\",\n\t\"\x01\": 'x'}"},
        {.name = "l82",
         .fd = 102,
         .port = 82,
         .action = BALANCER_REDIRECT,
         .status = 301,
         .protocol = "HTTPS",
         .host = "#{host}",
         .to_port = "443",
         .path = "/#{path}",
         .query = "#{query}"},
        {.name = "l83",
         .fd = 103,
         .port = 83,
         .action = BALANCER_REDIRECT,
         .status = 302,
         .protocol = "#{protocol}",
         .host = "a.example",
         .to_port = "#{port}",
         .path = "/x%20y/#{path}",
         .query = "a=b&#{query}"},
    };
    static const char *const modes[] = {"append", "preserve", "remove"};
    struct buf text = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct balancer_http http = http_with(listeners, COUNT_OF(listeners));

        http.backends = backends;
        http.backend_count = COUNT_OF(backends);
        http.forwarded_for = modes[i];
        http.client_port = i == 0;
        http.preserve_host = i == 1;
        buf_clear(&text);
        balancer_write_http(&text, &http);
        check_with_haproxy(&text);
    }
    buf_close(&text);
}

/* Texts of requests stay one word, whatever is in them. */
static void no_text_becomes_a_line(void **state)
{
    static const char hostile[] =
        "a)\n    external-check\r\nglobal\n    insecure-fork-wanted \"' #";
    static const struct balancer_backend backends[] = {
        {.name = "tg-a", .sticky_s = 60, .sticky_cookie = hostile}};
    static const struct balancer_listener listeners[] = {
        {.name = "l81",
         .fd = 101,
         .port = 81,
         .action = BALANCER_FIXED,
         .status = 404,
         .content_type = hostile,
         .body = hostile},
        {.name = "l82",
         .fd = 102,
         .port = 82,
         .action = BALANCER_REDIRECT,
         .status = 301,
         .protocol = hostile,
         .host = hostile,
         .to_port = hostile,
         .path = hostile,
         .query = hostile},
    };
    struct balancer_http http = http_with(listeners, COUNT_OF(listeners));
    struct buf text = {0};
    size_t globals = 0;

    (void)state;
    http.backends = backends;
    http.backend_count = COUNT_OF(backends);
    balancer_write_http(&text, &http);
    assert_null(strstr(buf_z(&text), "\n    external-check"));
    assert_null(strstr(buf_z(&text), "\n    insecure"));
    for (const char *at = buf_z(&text); (at = strstr(at, "global\n")) != NULL; at++) {
        globals++;
    }
    check_int("sections", 1, globals);
    buf_close(&text);
}

static void the_forwarder_keeps_sessions(void **state)
{
    static const struct balancer_forward forwards[] = {
        {"f22", 100, "10.0.0.5", 22},
        {"f80", 101, "10.0.0.5", 80},
    };
    const struct balancer_tcp tcp = {.socket = "/tmp/forward.sock",
                                     .connections_max = 1000,
                                     .forwards = forwards,
                                     .forward_count = COUNT_OF(forwards)};
    struct buf text = {0};

    (void)state;
    balancer_write_tcp(&text, &tcp);
    check_text("the whole text",
               "global\n"
               "    nbthread 1\n"
               "    maxconn 1000\n"
               "    stats socket /tmp/forward.sock mode 660 level admin\n"
               "    stats timeout 1h\n"
               "\n"
               "defaults\n"
               "    mode tcp\n"
               "    timeout connect 5s\n"
               "    timeout client 24h\n"
               "    timeout server 24h\n"
               "\n"
               "listen f22\n"
               "    bind fd@100\n"
               "    server to 10.0.0.5:22\n"
               "\n"
               "listen f80\n"
               "    bind fd@101\n"
               "    server to 10.0.0.5:80\n",
               buf_slice(&text));
    check_with_haproxy(&text);
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_forwards_to_its_group),
        cmocka_unit_test(the_defaults_are_the_golden_ones),
        cmocka_unit_test(haproxy_accepts_all_that_we_write),
        cmocka_unit_test(no_text_becomes_a_line),
        cmocka_unit_test(the_forwarder_keeps_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
