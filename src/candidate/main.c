/* candidate: the microservice. Wiring, signals and the end; the work is in service.c. */
#include "base/alloc.h"
#include "base/log.h"
#include "base/schedule.h"
#include "candidate/access.h"
#include "candidate/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define BODY_BYTES_MAX (64 * 1024) /* Bodies are not used. */
#define CONNECTION_MEMORY_BYTES (16 * 1024)
#define CONNECTIONS_MAX 4096
#define UPSTREAM_IN_FLIGHT_MAX 64 /* More do not make a table faster. */
#define ATTEMPT_MS 3000
#define TOTAL_MS 8000
#define DRAIN_MS_MAX 25000 /* systemd kills after 30 s. */
#define DRAIN_CHECK_MS 20
#define IDENTITY_ATTEMPTS_MAX 30
#define IDENTITY_PAUSE_MS 2000

struct program {
    struct options options;
    struct service service;
    uv_loop_t loop;
    struct http_client *http;
    struct http_server *server, *metrics_server;
    uv_signal_t terminate, interrupt, halt;
    uv_timer_t drain, identity;
    uv_prepare_t flush;
    uint64_t drain_started_ms;
    int identity_attempts;
};

/* Who we are. */

static bool is_instance_id(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        char byte = text.data[i];

        if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-')) {
            return false;
        }
    }
    return text.bytes > 0 && text.bytes < 64;
}

static void on_identity_timer(uv_timer_t *timer);

static void on_identity(void *data, struct slice body, const struct error *err)
{
    struct program *program = data;

    if (err == NULL && is_instance_id(body)) {
        free(program->service.instance_id);
        program->service.instance_id = mem_strndup(body.data, body.bytes);
        log_info("candidate.identity instance=%s", program->service.instance_id);
    } else if (++program->identity_attempts < IDENTITY_ATTEMPTS_MAX) {
        uv_timer_start(&program->identity, on_identity_timer, IDENTITY_PAUSE_MS, 0);
    }
}

static void on_identity_timer(uv_timer_t *timer)
{
    struct program *program = timer->data;

    aws_metadata_get(program->service.aws, "meta-data/instance-id", on_identity, program);
}

static void find_identity(struct program *program)
{
    const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");
    char host[256] = "localhost";

    gethostname(host, sizeof(host) - 1);
    program->service.instance_id = mem_strdup(host);
    if (disabled == NULL || strcmp(disabled, "true") != 0) {
        on_identity_timer(&program->identity);
    }
}

/* The end: say no to health checks, keep serving for a moment, stop listening, finish what is
 * under way. */

static void close_all(struct program *program)
{
    uv_close((uv_handle_t *)&program->terminate, NULL);
    uv_close((uv_handle_t *)&program->interrupt, NULL);
    uv_close((uv_handle_t *)&program->halt, NULL);
    uv_close((uv_handle_t *)&program->drain, NULL);
    uv_close((uv_handle_t *)&program->identity, NULL);
    uv_close((uv_handle_t *)&program->flush, NULL);
    http_server_close(program->server);
    http_server_close(program->metrics_server);
    aws_client_close(program->service.aws);
    http_client_close(program->http);
}

static void on_drain(uv_timer_t *timer)
{
    struct program *program = timer->data;
    uint64_t since_ms = uv_now(&program->loop) - program->drain_started_ms;

    if (since_ms < (uint64_t)program->options.drain_ms) {
        return;
    }
    http_server_drain(program->server);
    if (http_server_active(program->server) == 0) {
        log_info("candidate.stopped");
        close_all(program);
    } else if (since_ms > (uint64_t)program->options.drain_ms + DRAIN_MS_MAX) {
        log_warn("candidate.stopped unfinished=%zu", http_server_active(program->server));
        access_flush(&program->service.access, 1);
        _exit(EXIT_FAILED); /* Too late to be tidy. */
    }
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct program *program = signal->data;

    if (!program->service.draining) {
        log_info("candidate.draining signal=%d in_flight=%zu", number, program->service.in_flight);
        program->service.draining = true;
        program->drain_started_ms = uv_now(&program->loop);
        uv_timer_start(&program->drain, on_drain, 0, DRAIN_CHECK_MS);
    }
}

/* The beginning. */

static void on_prepare(uv_prepare_t *prepare)
{
    struct program *program = prepare->data;

    access_flush(&program->service.access, 1);
}

static int serve(struct program *program, int port, http_handler_fn *handler,
                 struct http_server **server, int *real_port, struct error *err)
{
    struct http_server_options options = {
        .loop = &program->loop,
        .handler = handler,
        .data = &program->service,
        .body_bytes_max = BODY_BYTES_MAX,
        .connection_memory_bytes = CONNECTION_MEMORY_BYTES,
        .connections_max = CONNECTIONS_MAX,
    };
    int rc = http_listen(program->options.address, port, &options.listen_fd, err);

    if (rc != 0) {
        return rc;
    }
    *real_port = http_listen_port(options.listen_fd);
    return http_server_open(&options, server, err);
}

static int open_all(struct program *program, struct error *err)
{
    struct service *service = &program->service;
    struct aws_client_options aws = {
        .loop = &program->loop, .attempt_ms = ATTEMPT_MS, .total_ms = TOTAL_MS};
    int port = -1, metrics_port = -1;
    int rc = http_client_open(&program->loop, UPSTREAM_IN_FLIGHT_MAX, &program->http, err);

    service->options = &program->options;
    service->loop = &program->loop;
    aws.http = program->http;
    if (rc == 0) {
        rc = aws_client_open(&aws, &service->aws, err);
    }
    if (rc == 0) {
        rc = serve(program, program->options.port, service_handle, &program->server, &port, err);
    }
    if (rc == 0 && program->options.metrics_port >= 0) {
        rc = serve(program, program->options.metrics_port, service_handle_metrics,
                   &program->metrics_server, &metrics_port, err);
    }
    if (rc == 0) {
        find_identity(program);
        log_info("candidate.ready version=%s address=%s port=%d metrics_port=%d table=%s",
                 MUSTER_VERSION, program->options.address, port, metrics_port,
                 program->options.table);
    }
    return rc;
}

static void init_handles(struct program *program)
{
    uv_loop_init(&program->loop);
    uv_signal_init(&program->loop, &program->terminate);
    uv_signal_init(&program->loop, &program->interrupt);
    uv_signal_init(&program->loop, &program->halt);
    uv_timer_init(&program->loop, &program->drain);
    uv_timer_init(&program->loop, &program->identity);
    uv_prepare_init(&program->loop, &program->flush);
    program->terminate.data = program->interrupt.data = program->halt.data = program;
    program->drain.data = program->identity.data = program->flush.data = program;
    uv_signal_start(&program->terminate, on_signal, SIGTERM);
    uv_signal_start(&program->interrupt, on_signal, SIGINT);
    uv_signal_start(&program->halt, on_signal, SIGRTMIN + 3); /* As an instance's init: its halt. */
    uv_prepare_start(&program->flush, on_prepare);
    uv_unref((uv_handle_t *)&program->flush);
}

static int run(struct program *program)
{
    struct error err = {0};
    int rc;

    signal(SIGPIPE, SIG_IGN);
    json_object_seed(0);
    init_handles(program);
    rc = open_all(program, &err);
    if (rc != 0) {
        fprintf(stderr, "candidate: %s\n", err.message);
        close_all(program);
    }
    uv_run(&program->loop, UV_RUN_DEFAULT);
    access_flush(&program->service.access, 1);
    uv_loop_close(&program->loop);
    buf_close(&program->service.access);
    metrics_close(&program->service.metrics);
    free(program->service.instance_id);
    return rc == 0 ? 0 : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct program program;
    struct error err = {0};
    enum options_verdict verdict;
    enum log_level level;
    int rc = options_parse(argc, argv, &program.options, &verdict, &err);

    if (rc == 0 && verdict == OPTIONS_HELP) {
        options_print_help();
        return 0;
    }
    if (rc == 0 && verdict == OPTIONS_VERSION) {
        printf("candidate %s\n", MUSTER_VERSION);
        return 0;
    }
    if (rc == 0) {
        rc = log_level_parse(program.options.log_level, &level, &err);
    }
    if (rc != 0) {
        fprintf(stderr, "candidate: %s\nTry 'candidate --help'.\n", err.message);
        return EXIT_USAGE;
    }
    log_set_level(level);
    schedule_short_turns();
    return run(&program);
}
