#include "muster/ssm.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define DOCUMENT "AWS-RunShellScript"
#define POLL_MS_MIN 50
#define POLL_MS_MAX 1000
#define TARGETS_MAX 50    /* Of one SendCommand. */
#define BOOT_MS_MAX 10000 /* For an agent that is about to come up. */
#define LATE_MS 60000     /* What delivery may add to the script's own time. */
#define IDS_SHOWN_MAX 10

void ssm_result_close(struct ssm_result *result)
{
    free(result->output);
    free(result->errors);
    *result = (struct ssm_result){0};
}

void ssm_quote(struct buf *script, const char *text)
{
    buf_add_byte(script, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            buf_add_z(script, "'\\''");
        } else {
            buf_add_byte(script, *text);
        }
    }
    buf_add_byte(script, '\'');
}

/* Which instance. */

static bool is_meant(const json_t *instance, const char *word)
{
    const char *id = tree_text(instance, "instanceId");

    return strncmp(id, word, strlen(word)) == 0 ||
           (strncmp(id, "i-", 2) == 0 && strncmp(id + 2, word, strlen(word)) == 0) ||
           strcmp(tree_tag(tree_list(instance, "tagSet"), "Name"), word) == 0;
}

int ssm_list_instances(struct cli *cli, json_t **instances, struct error *err)
{
    json_t *reservations = NULL, *reservation;
    size_t i;
    int rc = cli_list(cli, AWS_EC2, "DescribeInstances", "reservationSet", &reservations, err,
                      "Filter.1.Name", "instance-state-name", "Filter.1.Value.1", "pending",
                      "Filter.1.Value.2", "running", "Filter.1.Value.3", "stopping",
                      "Filter.1.Value.4", "stopped", NULL);

    *instances = json_array();
    json_array_foreach(reservations, i, reservation)
    {
        json_array_extend(*instances, tree_list(reservation, "instancesSet"));
    }
    json_decref(reservations);
    return rc;
}

static int not_one(const json_t *instances, const char *word, size_t found, struct error *err)
{
    struct buf ids = {0};
    json_t *instance;
    size_t i;
    int rc;

    json_array_foreach(instances, i, instance)
    {
        if (i < IDS_SHOWN_MAX) {
            buf_printf(&ids, "%s%s", i == 0 ? "" : ", ", tree_text(instance, "instanceId"));
        }
    }
    if (json_array_size(instances) == 0) {
        rc = error_set(err, ERR_NOT_FOUND, "there are no instances; 'muster up' makes some");
    } else if (found == 0) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no instance '%s'; there %s %s", word,
                       json_array_size(instances) == 1 ? "is" : "are", buf_z(&ids));
    } else {
        rc = error_set(err, ERR_NOT_FOUND, "%zu instances are called '%s': say more of the id (%s)",
                       found, word, buf_z(&ids));
    }
    buf_close(&ids);
    return rc;
}

int ssm_find_instance(struct cli *cli, const char *word, char **id, json_t **instance,
                      struct error *err)
{
    json_t *instances = NULL, *row, *meant = NULL;
    size_t i, found = 0;
    int rc = ssm_list_instances(cli, &instances, err);

    *id = NULL;
    json_array_foreach(instances, i, row)
    {
        if (is_meant(row, word)) {
            meant = row;
            found++;
        }
    }
    if (rc == 0 && found != 1) {
        rc = not_one(instances, word, found, err);
    }
    if (rc == 0) {
        *id = mem_strdup(tree_text(meant, "instanceId"));
        if (instance != NULL) {
            *instance = json_incref(meant);
        }
    }
    json_decref(instances);
    return rc;
}

/* Commands. */

static int explain(const char *instance, struct error *err)
{
    if (cli_error_is(err, "InvalidInstanceId")) {
        return error_set(
            err, (enum error_code)err->code,
            "%s cannot be reached by Systems Manager: it is not running or still boots "
            "(see 'muster status'), or its role does not have the policy "
            "AmazonSSMManagedInstanceCore",
            instance);
    }
    return (int)err->code;
}

static int send_command(struct cli *cli, json_t *instances, const char *script, const char *comment,
                        int64_t timeout_s, char **command, struct error *err)
{
    json_t *answer = NULL;
    char timeout[32];
    int rc;

    snprintf(timeout, sizeof(timeout), "%lld", (long long)timeout_s);
    rc = cli_call_json(cli, AWS_SSM, "SendCommand",
                       json_pack("{s:s, s:o, s:s, s:s, s:s, s:{s:[s], s:[s]}}", "DocumentName",
                                 DOCUMENT, "InstanceIds", instances, "Comment", comment,
                                 "MaxErrors", "100%", "MaxConcurrency", "50", "Parameters",
                                 "commands", script, "executionTimeout", timeout),
                       &answer, err);
    if (rc == 0 && command != NULL) {
        *command = mem_strdup(tree_text(answer, "Command.CommandId"));
    }
    json_decref(answer);
    return rc;
}

int ssm_send(struct cli *cli, const json_t *instances, const char *script, const char *comment,
             struct error *err)
{
    int rc = 0;

    for (size_t at = 0; at < json_array_size(instances) && rc == 0; at += TARGETS_MAX) {
        json_t *some = json_array();

        for (size_t i = at; i < at + TARGETS_MAX && i < json_array_size(instances); i++) {
            json_array_append(some, json_array_get(instances, i));
        }
        rc = send_command(cli, some, script, comment, 60, NULL, err);
    }
    return rc;
}

static bool is_over(const char *status)
{
    return strcmp(status, "Success") == 0 || strcmp(status, "Failed") == 0 ||
           strcmp(status, "TimedOut") == 0 || strcmp(status, "Cancelled") == 0;
}

static int read_result(const json_t *answer, const char *instance, struct ssm_result *result,
                       struct error *err)
{
    const char *status = tree_text(answer, "Status"), *details = tree_text(answer, "StatusDetails");
    const char *errors = tree_text(answer, "StandardErrorContent");
    int64_t code = tree_int(answer, "ResponseCode", -1);

    result->code = (int)code;
    result->output = mem_strdup(tree_text(answer, "StandardOutputContent"));
    result->errors = mem_strdup(errors);
    if (strcmp(status, "TimedOut") == 0) {
        return error_set(err, ERR_TIMEOUT, "the command did not end in time on %s", instance);
    }
    if (strcmp(status, "Success") != 0 && code < 0) {
        return error_set(err, ERR_SYSTEM, "the command was not run on %s: %s%s%s", instance,
                         details[0] == '\0' ? status : details, errors[0] == '\0' ? "" : ": ",
                         errors);
    }
    return 0;
}

static int wait_result(struct cli *cli, const char *instance, const char *command, int64_t end_ms,
                       struct ssm_result *result, struct error *err)
{
    int64_t poll_ms = POLL_MS_MIN;

    for (;;) {
        json_t *answer = NULL;
        int rc = cli_call_json(
            cli, AWS_SSM, "GetCommandInvocation",
            json_pack("{s:s, s:s}", "CommandId", command, "InstanceId", instance), &answer, err);

        if (rc != 0 && cli_error_is(err, "InvocationDoesNotExist")) {
            rc = 0; /* AWS needs a moment. */
        } else if (rc == 0 && is_over(tree_text(answer, "Status"))) {
            rc = read_result(answer, instance, result, err);
            json_decref(answer);
            return rc;
        }
        json_decref(answer);
        if (rc == 0 && time_boot_ms() > end_ms) {
            rc = error_set(err, ERR_TIMEOUT, "no result from %s in time", instance);
        }
        if (rc == 0) {
            rc = cli_sleep(cli, poll_ms, err);
        }
        if (rc != 0) {
            return rc;
        }
        terminal_turn(&cli->terminal);
        poll_ms = min_i64(poll_ms * 3 / 2, POLL_MS_MAX);
    }
}

int ssm_run(struct cli *cli, const char *instance, const char *script, int64_t timeout_s,
            struct ssm_result *result, struct error *err)
{
    int64_t boot_end_ms = time_boot_ms() + BOOT_MS_MAX;
    struct error own = {0};
    char *command = NULL;
    int rc;

    *result = (struct ssm_result){.code = -1};
    cli_catch_signals(cli);
    do {
        rc = send_command(cli, json_pack("[s]", instance), script, "muster", timeout_s, &command,
                          &own);
    } while (rc != 0 && cli_error_is(&own, "InvalidInstanceId") && time_boot_ms() < boot_end_ms &&
             cli_sleep(cli, POLL_MS_MAX / 2, NULL) == 0);
    if (rc == 0) {
        rc = wait_result(cli, instance, command, time_boot_ms() + timeout_s * 1000 + LATE_MS,
                         result, &own);
    }
    if (rc != 0 && command != NULL && cli->interrupted) {
        cli_call_json(cli, AWS_SSM, "CancelCommand", json_pack("{s:s}", "CommandId", command), NULL,
                      NULL);
    }
    if (rc != 0) {
        rc = explain(instance, &own);
        *err = own;
    }
    free(command);
    return rc;
}
