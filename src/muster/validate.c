/* muster validate: good to go, insert, verification, list; through the load balancer, as anyone
 * would. A name made up for the purpose is inserted, and removed from the table afterwards. */
#include "muster/validate.h"

#include "base/clock.h"
#include "muster/commands.h"
#include "muster/deploy.h"

#include <string.h>

#define REQUEST_MS 10000
#define READY_MS_MAX 30000 /* For a load balancer that has just learnt of its targets. */
#define POLL_MS 500

struct validation {
    struct cli *cli;
    const struct service *service;
    json_t *checks;
    char name[64];
    int failed;
};

static void told(struct validation *run, const char *check, bool passed, const char *says)
{
    if (passed) {
        terminal_good(&run->cli->terminal, "%-13s %s", check, says);
    } else {
        terminal_bad(&run->cli->terminal, "%-13s %s", check, says);
        run->failed++;
    }
    json_array_append_new(
        run->checks, json_pack("{s:s, s:b, s:s}", "Check", check, "Passed", passed, "Says", says));
}

struct reply {
    int status; /* 0: none, and the body says why. */
    struct buf body;
    struct buf what; /* "GET /gtg". */
};

static void ask(struct validation *run, const char *method, const char *path, struct reply *reply)
{
    struct buf url = {0};
    struct error err = {0};

    buf_clear(&reply->body);
    buf_clear(&reply->what);
    reply->status = 0;
    buf_printf(&reply->what, "%s %s", method, path);
    buf_printf(&url, "%s%s", run->service->url, path);
    terminal_progress(&run->cli->terminal, "%s %s", method, buf_z(&url));
    if (cli_http(run->cli, method, buf_z(&url), REQUEST_MS, &reply->status, &reply->body, &err) !=
        0) {
        reply->status = 0;
        buf_add_z(&reply->body, err.message);
    }
    buf_close(&url);
}

/* Is @name in the list, or in the object, that the service answered with? */
static bool names(const struct reply *reply, const char *name)
{
    json_t *tree = json_loadb(reply->body.data, reply->body.bytes, 0, NULL);
    bool found = json_is_array(tree) ? tree_find(tree, "CandidateName", name) != NULL
                                     : tree_is(tree, "CandidateName", name);

    json_decref(tree);
    return found;
}

static void judge(struct validation *run, const char *check, struct reply *reply, bool passed)
{
    struct buf says = {0};

    if (reply->status == 0) {
        buf_printf(&says, "%s: %s", buf_z(&reply->what), buf_z(&reply->body));
    } else if (passed) {
        buf_printf(&says, "%s: %d", buf_z(&reply->what), reply->status);
    } else {
        buf_printf(&says, "%s: %d %.200s", buf_z(&reply->what), reply->status, buf_z(&reply->body));
    }
    told(run, check, passed, buf_z(&says));
    buf_close(&says);
}

static void check_http(struct validation *run)
{
    int64_t end_ms = time_boot_ms() + READY_MS_MAX;
    struct reply reply = {0};
    char path[128];

    do {
        ask(run, "GET", "/gtg", &reply);
    } while (reply.status != 200 && time_boot_ms() < end_ms &&
             cli_sleep(run->cli, POLL_MS, NULL) == 0);
    judge(run, "good to go", &reply, reply.status == 200);
    if (reply.status == 200) {
        snprintf(path, sizeof(path), "/candidate/%s", run->name);
        ask(run, "POST", path, &reply);
        judge(run, "insert", &reply, reply.status == 200 && names(&reply, run->name));
        ask(run, "GET", path, &reply);
        judge(run, "verification", &reply, reply.status == 200 && names(&reply, run->name));
        ask(run, "GET", "/candidates", &reply);
        judge(run, "list", &reply, reply.status == 200 && names(&reply, run->name));
    }
    buf_close(&reply.body);
    buf_close(&reply.what);
}

/* It is no candidate of anyone's. Without the permission it stays. */
static void remove_candidate(struct validation *run)
{
    if (run->service->table != NULL) {
        cli_call_json(run->cli, AWS_DYNAMODB, "DeleteItem",
                      json_pack("{s:s, s:{s:{s:s}}}", "TableName", run->service->table, "Key",
                                "CandidateName", "S", run->name),
                      NULL, NULL);
    }
}

static int check_group(struct validation *run, struct error *err)
{
    struct service_state state;
    char says[1024];
    int rc = service_look(run->cli, run->service, &state, err);

    if (rc == 0) {
        snprintf(says, sizeof(says), "%d of %d instances in service%s%s", state.in_service,
                 state.desired,
                 state.failed[0] == '\0' ? "" : "; the last activity failed: ", state.failed);
        told(run, "group", state.in_service >= state.desired && state.desired > 0, says);
        snprintf(says, sizeof(says), "%d of %d healthy", state.healthy, state.desired);
        told(run, "targets", state.healthy >= state.desired && state.desired > 0, says);
    }
    return rc;
}

int validate_service(struct cli *cli, const struct service *service, json_t **checks,
                     struct error *err)
{
    struct validation run = {.cli = cli, .service = service, .checks = json_array()};
    int rc = check_group(&run, err);

    snprintf(run.name, sizeof(run.name), "muster-validation-%lld", (long long)time_wall_ms());
    *checks = run.checks;
    if (rc == 0 && cli->about.sim) {
        terminal_note(
            &cli->terminal,
            "%-13s not checked: instances are a model (--compute sim), nobody serves HTTP",
            "service");
    } else if (rc == 0 && service->url != NULL) {
        check_http(&run);
        remove_candidate(&run);
    }
    if (rc == 0 && run.failed > 0) {
        rc = error_set(err, ERR_SYSTEM,
                       "%d of %zu checks did not pass. Next: 'muster status' shows the group, "
                       "'muster logs INSTANCE' what the service says",
                       run.failed, json_array_size(run.checks));
    }
    return rc;
}

static int run_command(struct cli *cli, struct error *err)
{
    struct service service = {0};
    json_t *checks = NULL;
    int rc = service_find(cli, deploy_stack_name(cli), &service, err);

    if (rc == ERR_NOT_FOUND) {
        error_wrap(err, "nothing to validate, 'muster up' deploys it");
    }
    if (rc == 0) {
        rc = validate_service(cli, &service, &checks, err);
        cli_result(cli, json_pack("{s:s, s:s*, s:b, s:O}", "StackName", service.stack, "Url",
                                  service.url, "Passed", rc == 0, "Checks", checks));
    }
    json_decref(checks);
    service_close(&service);
    return rc;
}

static const struct option_row options[] = {
    {"name", "NAME", "the stack's name (candidates)"},
    {NULL, NULL, NULL},
};

const struct command validate_command = {
    .name = "validate",
    .words = "",
    .says = "Check that the deployed service works, through its load balancer",
    .details = "The group and its targets, then GET /gtg, POST and GET /candidate/NAME, and\n"
               "GET /candidates. The name is made up, and removed from the table afterwards.\n",
    .examples = "  muster validate\n"
                "  muster validate --json | jq .Passed\n",
    .options = options,
    .run = run_command,
};
