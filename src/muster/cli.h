/* One run of muster: its arguments, the daemon it speaks to, and how it speaks to people.
 *
 * One thread, one loop; a call turns the loop until its answer is there. Signals: Ctrl-C and
 * SIGTERM end the program at once unless cli_catch_signals() was called; then they set
 * `interrupted`, on which waits end with ERR_TIMEOUT, so that a command can tidy up. */
#ifndef MUSTER_CLI_H
#define MUSTER_CLI_H

#include "base/buf.h"
#include "base/error.h"
#include "client/aws.h"
#include "client/settings.h"
#include "http/client.h"
#include "muster/arguments.h"
#include "muster/settings.h"
#include "muster/terminal.h"
#include "muster/tree.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* What GET /_muster/about says; known is false of AWS itself. */
struct about {
    bool known, sim;
    char version[32];
    int64_t time_scale;         /* 1 when not known. */
    int64_t wall_ms, muster_ms; /* When it answered; */
    int64_t asked_boot_ms;      /* and then it was here. */
};

struct cli {
    struct arguments arguments;
    struct terminal terminal;
    uv_loop_t loop;
    struct http_client *http;
    struct aws_client *aws;
    char *endpoint, *region;
    char *state_dir; /* NULL: keys did not come from one. */
    struct aws_keys keys;
    struct about about;
    uv_signal_t signals[2];
    bool signals_caught, interrupted;
};

/* Find endpoint, region and keys, and open the client. ERR_CONFIG or ERR_NOT_FOUND say what to do
 * next. cli_close() in any case. */
int cli_open(struct cli *cli, struct error *err);
void cli_close(struct cli *cli);

static inline const char *cli_option(const struct cli *cli, const char *name)
{
    return arguments_option(&cli->arguments, name);
}

/* Muster's time, by what about said and the time since. */
int64_t cli_muster_now_ms(const struct cli *cli);

void cli_catch_signals(struct cli *cli);
/* Real milliseconds; ERR_TIMEOUT at once when interrupted. */
int cli_sleep(struct cli *cli, int64_t ms, struct error *err);

/* Call an action of a query or ec2 service with pairs of key and value, a NULL value leaving its
 * pair out, ended by NULL. The caller owns *@answer, which may be NULL. Errors name the action. */
int cli_call(struct cli *cli, enum aws_service service, const char *action, json_t **answer,
             struct error *err, ...) __attribute__((sentinel));
/* The same with a form made before. */
int cli_call_form(struct cli *cli, enum aws_service service, const char *action, struct slice form,
                  json_t **answer, struct error *err);
/* A JSON service. Takes @in. */
int cli_call_json(struct cli *cli, enum aws_service service, const char *action, json_t *in,
                  json_t **answer, struct error *err);
/* All pages of a list in one array (the caller's), as cli_call() and cli_call_json(). */
int cli_list(struct cli *cli, enum aws_service service, const char *action, const char *path,
             json_t **list, struct error *err, ...) __attribute__((sentinel));
int cli_list_json(struct cli *cli, enum aws_service service, const char *action, json_t *in,
                  const char *path, json_t **list, struct error *err);

/* Any other HTTP. @body is appended to. ERR_UNAVAILABLE or ERR_TIMEOUT when there is no answer. */
int cli_http(struct cli *cli, const char *method, const char *url, int64_t total_ms, int *status,
             struct buf *body, struct error *err);

/* Is it this service error? */
bool cli_error_is(const struct error *err, const char *aws_code);

/* With --json print @result as the command's result; takes it. Returns 0. */
int cli_result(struct cli *cli, json_t *result);

#endif /* MUSTER_CLI_H */
