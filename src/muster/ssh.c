/* muster ssh: a shell in an instance.
 *
 * The key is muster's own, beside the user's credentials. It is given to user admin through Systems
 * Manager, and port 22 is opened in the instance's first security group for as long as the session
 * takes; so neither images nor templates need to know of ssh. */
#include "base/alloc.h"
#include "base/clock.h"
#include "muster/commands.h"
#include "muster/deploy.h"
#include "muster/process.h"
#include "muster/settings.h"
#include "muster/ssm.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER "admin"
#define ANSWER_MS_MAX 20000
#define POLL_MS 200
#define KEY_BYTES_MAX 8192
#define SSH_FAILED 255 /* ssh's own failure, not the command's. */

struct session {
    struct cli *cli;
    char *key; /* File of the private key. */
    char *id;
    json_t *instance;
    bool opened; /* The rule is ours. */
};

/* The key: beside the credentials, made at first use. */
static int ensure_key(struct session *session, struct error *err)
{
    char *credentials = settings_user_file(NULL), *slash = strrchr(credentials, '/');
    struct buf path = {0}, output = {0};
    int rc = 0;

    settings_make_folders(credentials);
    *slash = '\0';
    buf_printf(&path, "%s/id_ed25519", credentials);
    if (access(buf_z(&path), R_OK) != 0) {
        const char *const argv[] = {"ssh-keygen", "-q",     "-t", "ed25519",    "-N", "",
                                    "-C",         "muster", "-f", buf_z(&path), NULL};

        rc = process_run(session->cli, argv, 30000, &output, err);
    }
    session->key = buf_take(&path);
    buf_close(&output);
    free(credentials);
    return rc;
}

static int push_key(struct session *session, struct error *err)
{
    struct buf path = {0}, key = {0}, script = {0};
    struct ssm_result result = {0};
    int rc;

    buf_printf(&path, "%s.pub", session->key);
    rc = deploy_read(buf_z(&path), KEY_BYTES_MAX, &key, err);
    if (rc == 0) {
        struct slice line = slice_trim(buf_slice(&key));
        char *text = mem_strndup(line.data, line.bytes);

        buf_add_z(&script, "set -e\nkey=");
        ssm_quote(&script, text);
        buf_add_z(&script,
                  "\n"
                  "home=$(getent passwd " USER " | cut -d: -f6)\n"
                  "mkdir -p -m 0700 \"$home/.ssh\"\n"
                  "file=$home/.ssh/authorized_keys\n"
                  "grep -qxF \"$key\" \"$file\" 2> /dev/null || echo \"$key\" >> \"$file\"\n"
                  "chmod 0600 \"$file\"\n"
                  "chown -R " USER ": \"$home/.ssh\"\n");
        free(text);
        terminal_progress(&session->cli->terminal, "%s: giving it the key", session->id);
        rc = ssm_run(session->cli, session->id, buf_z(&script), 60, &result, err);
    }
    if (rc == 0 && result.code != 0) {
        rc = error_set(err, ERR_SYSTEM, "the key could not be given to %s: %s", session->id,
                       result.errors);
    }
    ssm_result_close(&result);
    buf_close(&path);
    buf_close(&key);
    buf_close(&script);
    return rc;
}

/* Port 22. */

static const char *group_of(const struct session *session)
{
    return tree_text(json_array_get(tree_list(session->instance, "groupSet"), 0), "groupId");
}

static int change_rule(struct session *session, const char *action, struct error *err)
{
    return cli_call(session->cli, AWS_EC2, action, NULL, err, "GroupId", group_of(session),
                    "IpPermissions.1.IpProtocol", "tcp", "IpPermissions.1.FromPort", "22",
                    "IpPermissions.1.ToPort", "22", "IpPermissions.1.IpRanges.1.CidrIp",
                    "0.0.0.0/0", NULL);
}

static int open_port(struct session *session, struct error *err)
{
    struct error own = {0};
    int rc = change_rule(session, "AuthorizeSecurityGroupIngress", &own);

    session->opened = rc == 0;
    if (rc != 0 && !cli_error_is(&own, "InvalidPermission.Duplicate")) {
        *err = own;
        return rc;
    }
    return 0;
}

/* ssh. */

#define SSH(...)                                                                                   \
    {                                                                                              \
        "ssh", "-F", "/dev/null", "-i", session->key, "-o", "IdentitiesOnly=yes", "-o",            \
            "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",                \
            "LogLevel=ERROR", "-o", "ConnectTimeout=5", __VA_ARGS__                                \
    }

static int wait_answer(struct session *session, const char *who, struct error *err)
{
    const char *const argv[] = SSH("-o", "BatchMode=yes", who, "true", NULL);
    int64_t end_ms = time_boot_ms() + ANSWER_MS_MAX;
    int rc;

    do {
        struct buf output = {0};

        terminal_progress(&session->cli->terminal, "%s: waiting for sshd", session->id);
        rc = process_run(session->cli, argv, ANSWER_MS_MAX, &output, err);
        buf_close(&output);
    } while (rc != 0 && time_boot_ms() < end_ms && cli_sleep(session->cli, POLL_MS, err) == 0);
    return rc == 0 ? 0 : error_wrap(err, "%s does not answer on ssh", session->id);
}

static int talk(struct session *session, const char *who, int *code, struct error *err)
{
    const char *argv[ARGUMENTS_MAX + 32] = SSH(who);
    size_t count = 0;
    int status = 0;
    pid_t pid;

    while (argv[count] != NULL) {
        count++;
    }
    for (size_t i = 1; i < session->cli->arguments.word_count; i++) {
        argv[count++] = session->cli->arguments.words[i];
    }
    terminal_clear(&session->cli->terminal);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for the other side. */
    pid = fork();
    if (pid < 0) {
        return error_errno(err, "fork");
    }
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        if (session->cli->terminal.json) {
            dup2(STDERR_FILENO, STDOUT_FILENO); /* Standard output is for the result. */
        }
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(SSH_FAILED);
    }
    while (waitpid(pid, &status, 0) < 0) {
    }
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : SSH_FAILED;
    return 0;
}

static int check(const struct session *session, struct error *err)
{
    if (!session->cli->about.known) {
        return error_set(err, ERR_CONFIG,
                         "this is not a muster; on AWS use: aws ssm start-session "
                         "--target %s",
                         session->id);
    }
    if (session->cli->about.sim) {
        return error_set(err, ERR_NOT_FOUND,
                         "instances are a model here (--compute sim): there is "
                         "nobody to talk to");
    }
    if (tree_text(session->instance, "ipAddress")[0] == '\0') {
        return error_set(err, ERR_NOT_FOUND,
                         "%s is %s and has no public address; 'muster exec' "
                         "needs none",
                         session->id, tree_text(session->instance, "instanceState.name"));
    }
    return 0;
}

static int run(struct cli *cli, struct error *err)
{
    struct session session = {.cli = cli};
    char who[128];
    int code = 0;
    int rc = ssm_find_instance(cli, cli->arguments.words[0], &session.id, &session.instance, err);

    rc = rc == 0 ? check(&session, err) : rc;
    rc = rc == 0 ? ensure_key(&session, err) : rc;
    rc = rc == 0 ? push_key(&session, err) : rc;
    rc = rc == 0 ? open_port(&session, err) : rc;
    snprintf(who, sizeof(who), USER "@%s", tree_text(session.instance, "ipAddress"));
    rc = rc == 0 ? wait_answer(&session, who, err) : rc;
    rc = rc == 0 ? talk(&session, who, &code, err) : rc;
    if (session.opened) {
        change_rule(&session, "RevokeSecurityGroupIngress", NULL);
    }
    /* How an interactive shell ended is nobody's failure. */
    if (rc == 0 && (code == SSH_FAILED || (code != 0 && cli->arguments.word_count > 1))) {
        rc = error_set(err, ERR_SYSTEM,
                       code == SSH_FAILED ? "ssh to %s failed (%d)"
                                          : "the command on %s ended with %d",
                       session.id, code);
    }
    if (rc == 0) {
        cli_result(cli, json_pack("{s:s, s:i}", "InstanceId", session.id, "ExitCode", code));
    }
    json_decref(session.instance);
    free(session.id);
    free(session.key);
    return rc;
}

const struct command ssh_command = {
    .name = "ssh",
    .words = "INSTANCE [-- COMMAND...]",
    .says = "Open a shell in an instance, as user admin (who may sudo)",
    .details =
        "INSTANCE may be the beginning of an id. The key is muster's own\n"
        "(~/.config/muster/id_ed25519) and is given to the instance by Systems Manager. Port\n"
        "22 of the instance's security group is open for as long as the session takes.\n",
    .examples = "  muster ssh i-0a3\n"
                "  muster ssh i-0a3 -- journalctl -u candidate -f\n",
    .words_min = 1,
    .words_max = ARGUMENTS_MAX,
    .run = run,
};
