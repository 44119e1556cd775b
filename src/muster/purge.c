/* muster purge: everything that muster made on this machine goes. The warden does it; no daemon is
 * needed. */
#include "base/alloc.h"
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/deploy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int confirm(struct cli *cli, const char *state_dir, struct error *err)
{
    char answer[16] = "";

    if (cli_option(cli, "yes") != NULL || isatty(STDIN_FILENO) != 1) {
        return 0;
    }
    if (cli_option(cli, "all") != NULL) {
        state_dir = "every state directory of this machine";
    }
    fprintf(stderr,
            "This removes all instances, tables, images and keys of the muster in %s.\n"
            "Go on? [y/N] ",
            state_dir == NULL ? "its state directory (" SETTINGS_STATE_DIR ")" : state_dir);
    if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
        return error_set(err, ERR_TIMEOUT, "nothing was removed");
    }
    return 0;
}

static int run_warden(const struct cli *cli, const char *warden, const char *state_dir,
                      struct error *err)
{
    const char *argv[6] = {warden, "--purge"};
    size_t count = 2;
    int status = 0;
    pid_t pid;

    if (cli_option(cli, "all") != NULL) {
        argv[count++] = "--all";
    }
    if (state_dir != NULL) {
        argv[count++] = "--state-dir";
        argv[count++] = state_dir;
    }
    pid = fork();
    if (pid < 0) {
        return error_errno(err, "fork");
    }
    if (pid == 0) {
        if (cli->terminal.json) {
            dup2(STDERR_FILENO, STDOUT_FILENO); /* Standard output is for the result. */
        }
        execv(warden, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return error_set(err, ERR_SYSTEM,
                         "muster-warden --purge failed; run it again, it goes on "
                         "where it was");
    }
    return 0;
}

static int run(struct cli *cli, struct error *err)
{
    const char *state_dir = cli_option(cli, "state-dir");
    char *warden = NULL;
    int rc;

    if (geteuid() != 0) {
        return error_set(err, ERR_DENIED, "purging needs root: sudo muster purge%s%s",
                         state_dir == NULL ? "" : " --state-dir ",
                         state_dir == NULL ? "" : state_dir);
    }
    rc = confirm(cli, state_dir, err);
    if (rc == 0) {
        rc = deploy_program("muster-warden", &warden, err);
    }
    if (rc == 0 && warden != NULL) {
        rc = run_warden(cli, warden, state_dir, err);
    }
    free(warden);
    return rc == 0 ? cli_result(cli, json_pack("{s:b}", "Purged", 1)) : rc;
}

static const struct option_row options[] = {
    {"all", NULL, "for every state directory of this machine, and the image cache"},
    {"yes", NULL, "do not ask"},
    {NULL, NULL, NULL},
};

const struct command purge_command = {
    .name = "purge",
    .words = "",
    .says = "Remove everything that muster made on this machine",
    .details =
        "Containers, namespaces, mounts, packet rules, load balancers, tables, keys: all of\n"
        "this state directory, and nothing else. Needs root, but no daemon. A second run\n"
        "finds nothing to do. Without --all the cache of base images stays. 'muster down' removes "
        "only a\n"
        "stack.\n",
    .examples = "  sudo muster purge\n"
                "  sudo muster purge --yes --state-dir /var/tmp/muster\n",
    .options = options,
    .offline = true,
    .run = run,
};
