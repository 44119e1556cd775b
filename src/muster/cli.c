#include "muster/cli.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CALL_ATTEMPT_MS 60000
#define CALL_TOTAL_MS 120000
#define PAGES_MAX 1000

/* Asking what the daemon is. */

static void ask_about(struct cli *cli)
{
    struct buf url = {0}, body = {0};
    json_t *about = NULL;
    int status = 0;

    cli->about = (struct about){.time_scale = 1,
                                .wall_ms = time_wall_ms(),
                                .muster_ms = time_wall_ms(),
                                .asked_boot_ms = time_boot_ms()};
    buf_printf(&url, "%s/_muster/about", cli->endpoint);
    if (cli_http(cli, "GET", buf_z(&url), 5000, &status, &body, NULL) == 0 && status == 200) {
        about = json_loadb(body.data, body.bytes, 0, NULL);
    }
    if (tree_int(about, "TimeScale", 0) >= 1) {
        cli->about.known = true;
        cli->about.time_scale = tree_int(about, "TimeScale", 1);
        cli->about.sim = tree_is(about, "Compute", "sim");
        snprintf(cli->about.version, sizeof(cli->about.version), "%s", tree_text(about, "Version"));
        time_parse(slice_z(tree_text(about, "Wall")), &cli->about.wall_ms, NULL);
        time_parse(slice_z(tree_text(about, "Muster")), &cli->about.muster_ms, NULL);
        cli->about.asked_boot_ms = time_boot_ms();
    }
    json_decref(about);
    buf_close(&url);
    buf_close(&body);
}

int64_t cli_muster_now_ms(const struct cli *cli)
{
    return cli->about.muster_ms +
           (time_boot_ms() - cli->about.asked_boot_ms) * cli->about.time_scale;
}

/* Beginning and end. */

int cli_open(struct cli *cli, struct error *err)
{
    struct aws_client_options options = {
        .loop = &cli->loop, .attempt_ms = CALL_ATTEMPT_MS, .total_ms = CALL_TOTAL_MS};
    int rc;

    uv_loop_init(&cli->loop);
    rc = cli_settings_find(cli, err);
    if (rc == 0) {
        rc = http_client_open(&cli->loop, 0, &cli->http, err);
    }
    if (rc != 0) {
        return rc;
    }
    /* One way for keys and region to reach the client, whatever said them. */
    setenv("AWS_ACCESS_KEY_ID", cli->keys.access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", cli->keys.secret, 1);
    unsetenv("AWS_SESSION_TOKEN");
    if (cli->keys.token != NULL) {
        setenv("AWS_SESSION_TOKEN", cli->keys.token, 1);
    }
    setenv("AWS_REGION", cli->region, 1);
    options.http = cli->http;
    options.endpoint = cli->endpoint;
    rc = aws_client_open(&options, &cli->aws, err);
    if (rc == 0) {
        ask_about(cli);
    }
    return rc;
}

void cli_close(struct cli *cli)
{
    if (cli->signals_caught) {
        uv_close((uv_handle_t *)&cli->signals[0], NULL);
        uv_close((uv_handle_t *)&cli->signals[1], NULL);
    }
    aws_client_close(cli->aws);
    http_client_close(cli->http);
    for (int turn = 0; turn < 100 && uv_run(&cli->loop, UV_RUN_NOWAIT) != 0; turn++) {
    }
    uv_loop_close(&cli->loop);
    aws_keys_close(&cli->keys);
    free(cli->endpoint);
    free(cli->region);
    free(cli->state_dir);
}

/* Signals and sleep. */

static void on_signal(uv_signal_t *signal, int number)
{
    struct cli *cli = signal->data;

    (void)number;
    cli->interrupted = true;
}

void cli_catch_signals(struct cli *cli)
{
    static const int numbers[] = {SIGINT, SIGTERM};

    if (cli->signals_caught) {
        return;
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        uv_signal_init(&cli->loop, &cli->signals[i]);
        cli->signals[i].data = cli;
        uv_signal_start(&cli->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&cli->signals[i]);
    }
    cli->signals_caught = true;
}

static void on_slept(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_closed(uv_handle_t *timer)
{
    *(bool *)timer->data = true;
}

int cli_sleep(struct cli *cli, int64_t ms, struct error *err)
{
    bool slept = false, closed = false;
    uv_timer_t timer;

    uv_timer_init(&cli->loop, &timer);
    timer.data = &slept;
    uv_timer_start(&timer, on_slept, (uint64_t)max_i64(0, ms), 0);
    while (!slept && !cli->interrupted) {
        uv_run(&cli->loop, UV_RUN_ONCE);
    }
    timer.data = &closed;
    uv_close((uv_handle_t *)&timer, on_closed);
    while (!closed) {
        uv_run(&cli->loop, UV_RUN_NOWAIT);
    }
    return cli->interrupted ? error_set(err, ERR_TIMEOUT, "interrupted") : 0;
}

/* Calls. */

bool cli_error_is(const struct error *err, const char *aws_code)
{
    return strcmp(err->aws_code, aws_code) == 0;
}

/* Which service and action, and the service's code, which its text often takes for granted. */
static int explain(const char *action, enum aws_service service, struct error *err)
{
    if (err == NULL || err->code == ERR_UNAVAILABLE) {
        return err == NULL ? ERR_INTERNAL : (int)err->code;
    }
    if (err->aws_code[0] != '\0' && strstr(err->message, err->aws_code) == NULL) {
        error_wrap(err, "%s", err->aws_code);
    }
    return error_wrap(err, "%s %s", aws_service_facts(service)->name, action);
}

int cli_call_form(struct cli *cli, enum aws_service service, const char *action, struct slice form,
                  json_t **answer, struct error *err)
{
    struct error own = {0};
    int rc = aws_call_wait(cli->aws, service, action, form, answer, &own);

    if (rc != 0) {
        explain(action, service, &own);
        if (err != NULL) {
            *err = own;
        }
    }
    return rc;
}

static void add_pairs(struct buf *form, va_list pairs)
{
    const char *key;

    while ((key = va_arg(pairs, const char *)) != NULL) {
        const char *value = va_arg(pairs, const char *);

        if (value != NULL) {
            aws_form_add(form, key, value);
        }
    }
}

int cli_call(struct cli *cli, enum aws_service service, const char *action, json_t **answer,
             struct error *err, ...)
{
    struct buf form = {0};
    va_list pairs;
    int rc;

    va_start(pairs, err);
    add_pairs(&form, pairs);
    va_end(pairs);
    rc = cli_call_form(cli, service, action, buf_slice(&form), answer, err);
    buf_close(&form);
    return rc;
}

int cli_call_json(struct cli *cli, enum aws_service service, const char *action, json_t *in,
                  json_t **answer, struct error *err)
{
    char *text = json_dumps(in, JSON_COMPACT);
    int rc = cli_call_form(cli, service, action, slice_z(text), answer, err);

    free(text);
    json_decref(in);
    return rc;
}

/* Lists. */

static const char *token_in(enum aws_service service)
{
    return service == AWS_ELB || service == AWS_IAM ? "Marker" : "NextToken";
}

static const char *token_out(enum aws_service service)
{
    if (service == AWS_EC2) {
        return "nextToken";
    }
    return service == AWS_ELB ? "NextMarker" : token_in(service);
}

int cli_list(struct cli *cli, enum aws_service service, const char *action, const char *path,
             json_t **list, struct error *err, ...)
{
    json_t *all = json_array();
    char *token = NULL;
    va_list pairs;
    int rc = 0;

    for (int page = 0; page < PAGES_MAX; page++) {
        struct buf form = {0};
        json_t *answer = NULL;

        va_start(pairs, err);
        add_pairs(&form, pairs);
        va_end(pairs);
        if (token != NULL) {
            aws_form_add(&form, token_in(service), token);
        }
        rc = cli_call_form(cli, service, action, buf_slice(&form), &answer, err);
        buf_close(&form);
        json_array_extend(all, tree_list(answer, path));
        free(token);
        token = mem_strdup(tree_text(answer, token_out(service)));
        json_decref(answer);
        if (rc != 0 || token[0] == '\0') {
            break;
        }
    }
    free(token);
    *list = rc == 0 ? json_incref(all) : NULL;
    json_decref(all);
    return rc;
}

int cli_list_json(struct cli *cli, enum aws_service service, const char *action, json_t *in,
                  const char *path, json_t **list, struct error *err)
{
    json_t *all = json_array();
    int rc = 0;

    for (int page = 0; page < PAGES_MAX; page++) {
        json_t *answer = NULL, *token;

        rc = cli_call_json(cli, service, action, json_incref(in), &answer, err);
        json_array_extend(all, tree_list(answer, path));
        token = json_incref(json_object_get(answer, "NextToken"));
        json_decref(answer);
        if (rc != 0 || !json_is_string(token) || json_string_length(token) == 0) {
            json_decref(token);
            break;
        }
        json_object_set_new(in, "NextToken", token);
    }
    json_decref(in);
    *list = rc == 0 ? json_incref(all) : NULL;
    json_decref(all);
    return rc;
}

/* Any other HTTP. */

struct fetch {
    bool done;
    int *status;
    struct buf *body;
    struct error err;
};

static void on_fetched(void *data, const struct http_answer *answer, const struct error *err)
{
    struct fetch *fetch = data;

    fetch->done = true;
    if (answer == NULL) {
        fetch->err = *err;
        return;
    }
    *fetch->status = answer->status;
    buf_add(fetch->body, answer->body);
}

int cli_http(struct cli *cli, const char *method, const char *url, int64_t total_ms, int *status,
             struct buf *body, struct error *err)
{
    struct fetch fetch = {.status = status, .body = body};

    http_call_start(cli->http, &(struct http_call_options){.method = method,
                                                           .url = url,
                                                           .total_ms = total_ms,
                                                           .done = on_fetched,
                                                           .data = &fetch});
    while (!fetch.done) {
        uv_run(&cli->loop, UV_RUN_ONCE);
    }
    if (fetch.err.code != ERR_NONE && err != NULL) {
        *err = fetch.err;
    }
    return (int)fetch.err.code;
}

int cli_result(struct cli *cli, json_t *result)
{
    if (cli->terminal.json) {
        terminal_clear(&cli->terminal);
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(result);
    return 0;
}
