/* muster: the command line. Finds the command, opens a session for it, tells how it ended. */
#include "muster/cli.h"
#include "muster/commands.h"

#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* What to do next, where the error itself does not say. */
static void print_hint(const struct cli *cli, const struct error *err)
{
    if (err->code == ERR_UNAVAILABLE && cli->endpoint != NULL && !cli->about.known) {
        fprintf(stderr,
                "Nothing answers at %s. Start muster with 'sudo ./run.sh', or say where it is "
                "with --endpoint.\n",
                cli->endpoint);
    } else if (cli_error_is(err, "InvalidClientTokenId") ||
               cli_error_is(err, "UnrecognizedClientException") ||
               cli_error_is(err, "SignatureDoesNotMatch")) {
        fprintf(stderr,
                "The muster at %s does not know these keys: they are of another one, or from "
                "before a purge.\n'sudo ./run.sh' makes new ones; --state-dir DIR takes root's.\n",
                cli->endpoint);
    } else if (err->aws_code[0] != '\0' &&
               (err->http_status == 403 || cli_error_is(err, "AccessDenied"))) {
        fprintf(stderr, "Use keys that may do it: sudo muster ... takes root's.\n");
    }
}

static int run(struct cli *cli)
{
    struct error err = {0};
    const struct command *command = cli->arguments.command;
    int rc = 0;

    if (!command->offline) {
        rc = cli_open(cli, &err);
    }
    if (rc == 0) {
        rc = command->run(cli, &err);
    }
    terminal_clear(&cli->terminal);
    fflush(stdout);
    if (rc != 0 && err.message[0] != '\0') {
        terminal_tame(err.message, strlen(err.message));
        fprintf(stderr, "muster: %s\n", err.message);
        print_hint(cli, &err);
    }
    if (!command->offline) {
        cli_close(cli);
    }
    return rc == 0 ? 0 : rc == ERR_CONFIG ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct cli cli;
    struct error err = {0};
    int rc = arguments_parse(argc, argv, commands, &cli.arguments, &err);

    if (argc == 1) {
        arguments_help_all(commands, stderr);
        return EXIT_USAGE;
    }
    if (rc != 0) {
        fprintf(stderr, "muster: %s\nTry 'muster %s%s--help'.\n", err.message,
                cli.arguments.command == NULL ? "" : cli.arguments.command->name,
                cli.arguments.command == NULL ? "" : " ");
        return EXIT_USAGE;
    }
    if (cli.arguments.version) {
        printf("muster " MUSTER_VERSION "\n");
        return 0;
    }
    if (cli.arguments.help) {
        if (cli.arguments.command == NULL) {
            arguments_help_all(commands, stdout);
        } else {
            arguments_help(cli.arguments.command, stdout);
        }
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR_LEVEL);
    json_object_seed(0);
    terminal_open(&cli.terminal, cli_option(&cli, "json") != NULL);
    return run(&cli);
}
