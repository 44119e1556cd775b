/* muster logs: an instance's journal. */
#include "base/alloc.h"
#include "base/text.h"
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/ssm.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_DEFAULT "100"
#define LINES_MAX 10000
#define FOLLOW_MS 1000
#define TIMEOUT_S 60
#define CURSOR "-- cursor: "

/* Print the lines, and keep the cursor that stands below them. */
static void print_lines(const char *output, char **cursor)
{
    struct slice rest = slice_z(output), line;

    while (slice_next(&rest, '\n', &line)) {
        if (slice_starts(line, SLICE_LIT(CURSOR))) {
            free(*cursor);
            *cursor = mem_strndup(line.data + strlen(CURSOR), line.bytes - strlen(CURSOR));
        } else if (line.bytes > 0 && !slice_equal_z(line, "-- No entries --")) {
            printf("%.*s\n", SLICE_ARG(line));
        }
    }
    fflush(stdout);
}

static char *script_of(const struct cli *cli, const char *lines, const char *cursor)
{
    const char *unit = cli_option(cli, "unit");
    struct buf script = {0};

    buf_add_z(&script, "journalctl --no-pager --quiet --show-cursor -o short-iso");
    if (cli_option(cli, "all") == NULL) {
        buf_add_z(&script, " --unit ");
        ssm_quote(&script, unit == NULL ? "candidate" : unit);
    }
    if (cursor != NULL) {
        buf_add_z(&script, " --after-cursor ");
        ssm_quote(&script, cursor);
    } else {
        buf_printf(&script, " --lines %s", lines);
    }
    return buf_take(&script);
}

static int fetch(struct cli *cli, const char *id, const char *script, struct ssm_result *result,
                 struct error *err)
{
    int rc = ssm_run(cli, id, script, TIMEOUT_S, result, err);

    if (rc == 0 && result->code != 0) {
        rc = error_set(err, ERR_SYSTEM, "journalctl ended with %d on %s: %s", result->code, id,
                       result->errors);
    }
    return rc;
}

static int show(struct cli *cli, const char *id, const char *lines, struct error *err)
{
    bool follow = cli_option(cli, "follow") != NULL;
    char *cursor = NULL;
    int rc;

    do {
        struct ssm_result result = {0};
        char *script = script_of(cli, lines, cursor);

        rc = fetch(cli, id, script, &result, err);
        if (rc == 0 && cli->terminal.json) {
            cli_result(cli, json_pack("{s:s, s:s}", "InstanceId", id, "Output", result.output));
        } else if (rc == 0) {
            if (isatty(STDOUT_FILENO) == 1) {
                terminal_tame(result.output, strlen(result.output));
            }
            print_lines(result.output, &cursor);
        }
        ssm_result_close(&result);
        free(script);
        if (rc == 0 && follow) {
            rc = cli_sleep(cli, FOLLOW_MS, err);
        }
    } while (rc == 0 && follow);
    free(cursor);
    if (follow && cli->interrupted) {
        *err = (struct error){0};
        return 0; /* Ctrl-C is how it is meant to end. */
    }
    return rc;
}

/* What came before there was an agent: Systems Manager cannot be asked. */
static int show_console(struct cli *cli, const char *id, struct error *err)
{
    json_t *answer = NULL;
    struct buf text = {0};
    int rc = cli_call(cli, AWS_EC2, "GetConsoleOutput", &answer, err, "InstanceId", id, NULL);

    if (rc == 0) {
        rc = text_base64_decode(&text, slice_z(tree_text(answer, "output")), err);
    }
    if (rc == 0 && cli->terminal.json) {
        cli_result(cli, json_pack("{s:s, s:s}", "InstanceId", id, "Output", buf_z(&text)));
    } else if (rc == 0) {
        if (isatty(STDOUT_FILENO) == 1) {
            text.bytes = text.bytes == 0 ? 0 : terminal_tame(text.data, text.bytes);
        }
        fwrite(buf_z(&text), 1, text.bytes, stdout);
    }
    buf_close(&text);
    json_decref(answer);
    return rc;
}

static int run(struct cli *cli, struct error *err)
{
    const char *lines = cli_option(cli, "lines");
    char *id = NULL;
    int64_t number;
    int rc;

    lines = lines == NULL ? LINES_DEFAULT : lines;
    if (text_to_i64(slice_z(lines), 1, LINES_MAX, &number, NULL) != 0) {
        return error_set(err, ERR_CONFIG, "--lines takes a number from 1 to %d, not '%s'",
                         LINES_MAX, lines);
    }
    rc = ssm_find_instance(cli, cli->arguments.words[0], &id, NULL, err);
    if (rc == 0) {
        rc = cli_option(cli, "console") != NULL ? show_console(cli, id, err)
                                                : show(cli, id, lines, err);
    }
    free(id);
    return rc;
}

static const struct option_row options[] = {
    {"follow", NULL, "go on until Ctrl-C"},
    {"lines", "N", "how many of the last lines (100)"},
    {"unit", "UNIT", "the systemd unit (candidate)"},
    {"all", NULL, "of all units, the system's included"},
    {"console", NULL, "the console instead, for an instance that did not boot"},
    {NULL, NULL, NULL},
};

const struct command logs_command = {
    .name = "logs",
    .words = "INSTANCE",
    .says = "Show what the service in an instance has logged",
    .details =
        "The journal of unit candidate, by Systems Manager. INSTANCE may be the beginning of\n"
        "an id. What user data printed is in the instance's /var/log/user-data.log.\n",
    .examples = "  muster logs i-0a3\n"
                "  muster logs i-0a3 --follow\n"
                "  muster logs i-0a3 --all --lines 500\n",
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .run = run,
};
