/* The HTTP client against the HTTP server, on one loop. */
#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"
#include "check.h"
#include "http/client.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct http_client *client;
    int port;
    int requests;
    struct http_request *late; /* Not answered yet. */
};

struct outcome {
    int done;
    int status;
    int code;
    struct buf body;
};

static void on_request(void *data, struct http_request *request)
{
    struct world *world = data;
    struct buf text = {0};

    world->requests++;
    if (slice_equal_z(request->path, "/late")) {
        world->late = request;
        return;
    }
    if (slice_equal_z(request->path, "/big")) {
        buf_reserve(&text, 100000);
        memset(text.data, 'x', 100000);
        text.bytes = 100000;
        http_respond(request, 200, NULL, buf_slice(&text));
    } else if (slice_equal_z(request->path, "/moved")) {
        static const struct http_header headers[] = {{"Location", "/echo"}, {NULL, NULL}};

        http_respond(request, 302, headers, SLICE_EMPTY);
    } else {
        buf_printf(&text, "%s %.*s %.*s %.*s", request->method, SLICE_ARG(request->path),
                   SLICE_ARG(http_header(request, "X-Word")), SLICE_ARG(request->body));
        http_respond(request, 200, NULL, buf_slice(&text));
    }
    buf_close(&text);
}

static void on_done(void *data, const struct http_answer *answer, const struct error *err)
{
    struct outcome *outcome = data;

    outcome->done++;
    if (answer != NULL) {
        outcome->status = answer->status;
        buf_add(&outcome->body, answer->body);
    } else {
        outcome->code = (int)err->code;
    }
}

static int open_world(void **state)
{
    static struct world world;
    struct http_server_options options = {
        .loop = &world.loop, .handler = on_request, .data = &world};

    memset(&world, 0, sizeof(world));
    options.loop = &world.loop;
    uv_loop_init(&world.loop);
    assert_int_equal(0, http_listen("127.0.0.1", 0, &options.listen_fd, NULL));
    world.port = http_listen_port(options.listen_fd);
    assert_int_equal(0, http_server_open(&options, &world.server, NULL));
    assert_int_equal(0, http_client_open(&world.loop, 4, &world.client, NULL));
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    http_client_close(world->client);
    http_server_close(world->server);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(0, uv_loop_close(&world->loop));
    return 0;
}

static struct http_call *start(struct world *world, const char *method, const char *path,
                               const char *body, struct outcome *outcome)
{
    static const struct http_header headers[] = {{"X-Word", "hello"}, {NULL, NULL}};
    struct buf url = {0};
    struct http_call *call;

    buf_printf(&url, "http://127.0.0.1:%d%s", world->port, path);
    call = http_call_start(world->client, &(struct http_call_options){.method = method,
                                                                      .url = buf_z(&url),
                                                                      .headers = headers,
                                                                      .body = slice_z(body),
                                                                      .total_ms = 300,
                                                                      .answer_bytes_max = 5000,
                                                                      .done = on_done,
                                                                      .data = outcome});
    buf_close(&url);
    return call;
}

static void run_until(struct world *world, const int *done, int wanted)
{
    while (*done < wanted) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void requests_arrive_as_they_were_made(void **state)
{
    static const struct {
        const char *says, *method, *path, *body, *answer;
        int status, code;
    } cases[] = {
        {"a GET", "GET", "/echo", "", "GET /echo hello ", 200, 0},
        {"a POST with a body", "POST", "/a", "b c", "POST /a hello b c", 200, 0},
        {"a PUT without one", "PUT", "/a", "", "PUT /a hello ", 200, 0},
        {"a GET after a POST on the same handle", "GET", "/echo", "", "GET /echo hello ", 200, 0},
        {"a redirect is an answer", "GET", "/moved", "", "", 302, 0},
        {"an answer that is too large", "GET", "/big", "", "", 0, ERR_TOO_LARGE},
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct outcome outcome = {0};

        start(world, cases[i].method, cases[i].path, cases[i].body, &outcome);
        check_int("not within start", 0, outcome.done);
        run_until(world, &outcome.done, 1);
        check_int(cases[i].says, cases[i].status, outcome.status);
        check_int(cases[i].says, cases[i].code, outcome.code);
        check_text(cases[i].says, cases[i].answer, buf_slice(&outcome.body));
        buf_close(&outcome.body);
    }
}

static void more_requests_than_connections_wait_their_turn(void **state)
{
    struct world *world = *state;
    struct outcome outcome = {0};

    for (int i = 0; i < 100; i++) {
        start(world, "POST", "/echo", "x", &outcome);
    }
    check_int("all are counted", 100, http_client_active(world->client));
    run_until(world, &outcome.done, 100);
    check_int("all arrived", 100, world->requests);
    check_int("none is left", 0, http_client_active(world->client));
    buf_close(&outcome.body);
}

static void a_late_answer_is_a_timeout(void **state)
{
    struct world *world = *state;
    struct outcome outcome = {0};

    start(world, "GET", "/late", "", &outcome);
    run_until(world, &outcome.done, 1);
    check_int("timeout", ERR_TIMEOUT, outcome.code);
    http_respond(world->late, 200, NULL, SLICE_EMPTY);
}

static void a_cancelled_call_calls_nobody(void **state)
{
    struct world *world = *state;
    struct outcome cancelled = {0}, after = {0};
    struct http_call *call = start(world, "GET", "/late", "", &cancelled);

    while (world->late == NULL) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
    http_call_cancel(call);
    http_call_cancel(start(world, "GET", "/echo", "", &cancelled));
    start(world, "GET", "/echo", "", &after);
    run_until(world, &after.done, 1);
    check_int("another goes on", 200, after.status);
    check_int("nobody was called", 0, cancelled.done);
    http_respond(world->late, 200, NULL, SLICE_EMPTY);
    buf_close(&after.body);
}

static void nobody_there_is_unavailable(void **state)
{
    struct world *world = *state;
    struct outcome outcome = {0};
    int port = world->port, fd;

    assert_int_equal(0, http_listen("127.0.0.1", 0, &fd, NULL));
    world->port = http_listen_port(fd);
    close(fd);
    start(world, "GET", "/", "", &outcome);
    run_until(world, &outcome.done, 1);
    check_int("refused", ERR_UNAVAILABLE, outcome.code);
    world->port = port;
}

/* A listener whose queue is full: who connects hears nothing. */
static void fill_queue(int listener, int port, int clients[], size_t count)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};

    assert_int_equal(0, listen(listener, 0));
    for (size_t i = 0; i < count; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(clients[i], (const struct sockaddr *)&name, sizeof(name));
    }
}

/* curl closes a socket that never was connected without a word, and its number comes again. */
static void a_connect_that_hangs_is_a_timeout_and_the_next_call_goes_on(void **state)
{
    struct world *world = *state;
    struct outcome hung = {0}, after = {0};
    int port = world->port, fd, clients[4];

    assert_int_equal(0, http_listen("127.0.0.1", 0, &fd, NULL));
    world->port = http_listen_port(fd);
    fill_queue(fd, world->port, clients, COUNT_OF(clients));
    for (int i = 1; i <= 3; i++) {
        start(world, "GET", "/", "", &hung);
        run_until(world, &hung.done, i);
        check_int("timeout", ERR_TIMEOUT, hung.code);
    }
    world->port = port;
    start(world, "GET", "/echo", "", &after);
    run_until(world, &after.done, 1);
    check_int("it goes on", 200, after.status);
    buf_close(&after.body);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        close(clients[i]);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_arrive_as_they_were_made, open_world, close_world),
        cmocka_unit_test_setup_teardown(more_requests_than_connections_wait_their_turn, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_late_answer_is_a_timeout, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_cancelled_call_calls_nobody, open_world, close_world),
        cmocka_unit_test_setup_teardown(nobody_there_is_unavailable, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_connect_that_hangs_is_a_timeout_and_the_next_call_goes_on,
                                        open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
