/* muster exec: a command in an instance, its output here. */
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/duration.h"
#include "muster/ssm.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS_DEFAULT (3600 * 1000)
#define OUTPUT_BYTES_SHOWN 24000 /* What Systems Manager keeps. */

/* One word is a script; several are a command with its arguments as they are. */
static char *script_of(const struct arguments *arguments)
{
    struct buf script = {0};

    if (arguments->word_count == 2) {
        buf_add_z(&script, arguments->words[1]);
    }
    for (size_t i = 1; i < arguments->word_count && arguments->word_count > 2; i++) {
        buf_add_z(&script, i == 1 ? "" : " ");
        ssm_quote(&script, arguments->words[i]);
    }
    return buf_take(&script);
}

static void show(struct cli *cli, const struct ssm_result *result)
{
    if (isatty(STDOUT_FILENO) == 1) {
        terminal_tame(result->output, strlen(result->output));
    }
    if (isatty(STDERR_FILENO) == 1) {
        terminal_tame(result->errors, strlen(result->errors));
    }
    fputs(result->output, stdout);
    fflush(stdout);
    fputs(result->errors, stderr);
    if (strlen(result->output) >= OUTPUT_BYTES_SHOWN) {
        struct terminal to_errors = cli->terminal;

        to_errors.out = stderr;
        terminal_note(&to_errors, "the output is cut after %d characters, as on AWS",
                      OUTPUT_BYTES_SHOWN);
    }
}

static int run(struct cli *cli, struct error *err)
{
    const char *timeout = cli_option(cli, "timeout");
    int64_t timeout_ms = TIMEOUT_MS_DEFAULT;
    struct ssm_result result = {0};
    char *id = NULL, *script = NULL;
    int rc = 0;

    if (timeout != NULL && duration_parse(timeout, &timeout_ms, err) != 0) {
        return err->code = ERR_CONFIG;
    }
    rc = ssm_find_instance(cli, cli->arguments.words[0], &id, NULL, err);
    if (rc == 0) {
        script = script_of(&cli->arguments);
        rc = ssm_run(cli, id, script, timeout_ms / 1000, &result, err);
    }
    if (rc == 0 && cli->terminal.json) {
        cli_result(cli, json_pack("{s:s, s:i, s:s, s:s}", "InstanceId", id, "ExitCode", result.code,
                                  "Output", result.output, "Errors", result.errors));
    } else if (rc == 0) {
        show(cli, &result);
    }
    if (rc == 0 && result.code != 0) {
        rc = error_set(err, ERR_SYSTEM, "the command ended with %d on %s", result.code, id);
    }
    ssm_result_close(&result);
    free(script);
    free(id);
    return rc;
}

static const struct option_row options[] = {
    {"timeout", "TIME", "end it after this real time (1h)"},
    {NULL, NULL, NULL},
};

const struct command exec_command = {
    .name = "exec",
    .words = "INSTANCE -- COMMAND...",
    .says = "Run a command in an instance, as root, and show its output",
    .details =
        "By Systems Manager's SendCommand, so without ssh. INSTANCE may be the beginning of\n"
        "an id. One word is a shell script; several are a command and its arguments. For an\n"
        "interactive shell there is 'muster ssh'.\n",
    .examples = "  muster exec i-0a3 -- systemctl status candidate\n"
                "  muster exec i-0a3 -- 'ps aux | sort -nrk 3 | head -5'\n"
                "  muster exec i-0a3 --json -- uptime | jq -r .Output\n",
    .options = options,
    .words_min = 2,
    .words_max = ARGUMENTS_MAX,
    .run = run,
};
