/* muster stress: keep every instance in service busy, so that the group grows; then let it shrink.
 *
 * Each instance gets a `stress` in the background that ends by itself when our time is over; one
 * that comes into service meanwhile gets it, for what is left, as soon as it is a healthy target:
 * earlier it would be slow to boot, and be replaced. So there is nothing to be
 * kept alive, and Ctrl-C only has to end what is still running. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "muster/commands.h"
#include "muster/deploy.h"
#include "muster/duration.h"
#include "muster/metrics.h"
#include "muster/service.h"
#include "muster/ssm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FOR_MS_DEFAULT (6 * 60 * 1000)
#define POLL_MS 500
#define CPU_EACH_MS 2000
#define WORKERS_MAX 256
#define ATTEMPTS_MAX 20 /* For an instance that Systems Manager does not reach yet. */

struct busy {
    int attempts; /* Not reached yet; */
    bool done;    /* reached, or given up. */
    bool seen;    /* In this round. */
};

struct stress {
    struct cli *cli;
    struct service service;
    const char *workers;  /* NULL: one per vCPU. */
    struct map instances; /* Id -> struct busy. */
    int64_t end_ms;       /* Real, boot clock. */
    int64_t cpu_ms;       /* When the CPU was last asked for. */
    double percent;
    int desired; /* As last told; -1 nothing yet. */
    int started, desired_max;
    int in_service;
};

/* What runs there. Without its own session it would end with the script. */
static char *start_script(const struct stress *stress, const char *workers)
{
    int64_t left_s = (stress->end_ms - time_boot_ms() + 999) / 1000;
    struct buf script = {0};

    buf_printf(&script,
               "command -v stress > /dev/null || { echo 'this image has no stress' >&2; exit 1; }\n"
               "setsid stress --cpu %s --timeout %llds > /dev/null 2>&1 < /dev/null &\n",
               workers, (long long)max_i64(left_s, 1));
    return buf_take(&script);
}

static void count_vcpus(struct cli *cli, const char *id, char text[16])
{
    json_t *answer = NULL;
    const json_t *instance;
    int64_t count;

    cli_call(cli, AWS_EC2, "DescribeInstances", &answer, NULL, "InstanceId.1", id, NULL);
    instance = json_array_get(
        tree_list(json_array_get(tree_list(answer, "reservationSet"), 0), "instancesSet"), 0);
    count = tree_int(instance, "cpuOptions.coreCount", 1) *
            tree_int(instance, "cpuOptions.threadsPerCore", 1);
    snprintf(text, 16, "%lld", (long long)max_i64(1, min_i64(count, WORKERS_MAX)));
    json_decref(answer);
}

/* An instance in service need not have its agent up yet: the next rounds try again. */
static int start_on(struct stress *stress, const char *id, struct busy *busy, struct error *err)
{
    struct ssm_result result = {0};
    struct error own = {0};
    char vcpus[16], *script;
    int rc;

    count_vcpus(stress->cli, id, vcpus);
    script = start_script(stress, stress->workers == NULL ? vcpus : stress->workers);
    rc = ssm_run(stress->cli, id, script, 30, &result, &own);
    if (rc == 0 && result.code != 0) {
        rc = error_set(&own, ERR_SYSTEM, "%s: stress ended with %d: %s", id, result.code,
                       result.errors);
        busy->attempts = ATTEMPTS_MAX;
    }
    if (rc == 0) {
        busy->done = true;
        stress->started++;
        terminal_good(&stress->cli->terminal, "%s is busy", id);
    } else if (stress->cli->interrupted) {
        *err = own;
    } else if (++busy->attempts >= ATTEMPTS_MAX) {
        busy->done = true;
        terminal_bad(&stress->cli->terminal, "%s", own.message);
        *err = own; /* The last one is told if none could be started. */
        rc = 0;
    } else {
        rc = 0;
    }
    ssm_result_close(&result);
    free(script);
    return rc;
}

/* Start what is new, tell what is gone. */
static int visit_instances(struct stress *stress, const json_t *instances, struct error *err)
{
    struct map_entry *entry;
    json_t *row;
    size_t i;
    int rc = 0;

    for (size_t at = 0; at < stress->instances.entries_used; at++) {
        entry = &stress->instances.entries[at];
        if (entry->key != NULL) {
            ((struct busy *)entry->value)->seen = false;
        }
    }
    json_array_foreach(instances, i, row)
    {
        const char *id = tree_text(row, "InstanceId");
        struct busy *busy = map_get_z(&stress->instances, id);

        if (busy == NULL) {
            busy = mem_calloc(1, sizeof(*busy));
            map_put(&stress->instances, slice_z(id), busy);
        }
        busy->seen = true;
        if (!busy->done && rc == 0) {
            rc = start_on(stress, id, busy, err);
        }
    }
    for (size_t at = 0; at < stress->instances.entries_used; at++) {
        struct busy *busy;

        entry = &stress->instances.entries[at];
        busy = entry->key == NULL ? NULL : entry->value;
        if (busy != NULL && !busy->seen) {
            terminal_note(&stress->cli->terminal, "%s is not in service, or not healthy, any more",
                          entry->key);
            map_remove(&stress->instances, slice_z(entry->key));
            free(busy);
        }
    }
    return rc;
}

static void tell_desired(struct stress *stress, const struct service_state *state)
{
    if (stress->desired >= 0 && state->desired != stress->desired) {
        terminal_head(&stress->cli->terminal, "%s: desired %d -> %d", stress->service.group,
                      stress->desired, state->desired);
    }
    stress->desired = state->desired;
    stress->desired_max =
        state->desired > stress->desired_max ? state->desired : stress->desired_max;
}

static void tell_progress(struct stress *stress)
{
    int64_t left_ms = stress->end_ms - time_boot_ms();
    char left[DURATION_TEXT_BYTES], cpu[32] = "";

    if (time_boot_ms() - stress->cpu_ms >= CPU_EACH_MS) {
        stress->percent = metrics_cpu(stress->cli, "AutoScalingGroupName", stress->service.group);
        stress->cpu_ms = time_boot_ms();
    }
    if (!stress->cli->terminal.live) { /* Lines that stay: without what moves. */
        terminal_progress(&stress->cli->terminal, "%d of %d instances in service",
                          stress->in_service, stress->desired);
        return;
    }
    if (!isnan(stress->percent)) {
        snprintf(cpu, sizeof(cpu), ", CPU %.0f %%", stress->percent);
    }
    duration_format(left_ms * stress->cli->about.time_scale, left);
    terminal_progress(&stress->cli->terminal, "%d of %d instances in service%s; %s to go",
                      stress->in_service, stress->desired, cpu, left);
}

static int round_of(struct stress *stress, struct error *err)
{
    struct service_state state;
    json_t *instances = NULL;
    int rc = service_look(stress->cli, &stress->service, &state, err);

    if (rc == 0) {
        tell_desired(stress, &state);
        stress->in_service = state.in_service;
        rc = service_instances(stress->cli, &stress->service, true, &instances, err);
    }
    if (rc == 0) {
        rc = visit_instances(stress, instances, err);
    }
    json_decref(instances);
    if (rc == 0) {
        tell_progress(stress);
        rc = cli_sleep(stress->cli, min_i64(POLL_MS, stress->end_ms - time_boot_ms()), err);
    }
    return rc;
}

/* Ctrl-C: what is still busy ends at once. */
static void stop(struct stress *stress)
{
    json_t *ids = json_array();
    struct error err = {0};

    for (size_t at = 0; at < stress->instances.entries_used; at++) {
        const struct map_entry *entry = &stress->instances.entries[at];

        if (entry->key != NULL) {
            json_array_append_new(ids, json_string(entry->key));
        }
    }
    terminal_progress(&stress->cli->terminal, "stopping stress in %zu instances",
                      json_array_size(ids));
    /* One at a time: an instance that is gone must not keep the others busy. */
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_t *one = json_pack("[O]", json_array_get(ids, i));

        if (ssm_send(stress->cli, one, "pkill -x stress || true", "muster stress: stop", &err) !=
                0 &&
            !cli_error_is(&err, "InvalidInstanceId")) {
            terminal_bad(&stress->cli->terminal, "%s: %s",
                         json_string_value(json_array_get(ids, i)), err.message);
        }
        json_decref(one);
    }
    json_decref(ids);
    terminal_good(&stress->cli->terminal, "stopped");
}

static int find_group(struct stress *stress, struct error *err)
{
    const char *group = cli_option(stress->cli, "group");
    int rc;

    if (group != NULL) {
        rc = service_of_group(stress->cli, group, &stress->service, err);
    } else {
        rc = service_find(stress->cli, deploy_stack_name(stress->cli), &stress->service, err);
        if (rc == ERR_NOT_FOUND) {
            error_wrap(err, "no group to stress ('muster up' makes one, --group names one)");
        }
    }
    return rc;
}

static int read_options(struct stress *stress, int64_t *for_ms, struct error *err)
{
    const char *text = cli_option(stress->cli, "for");
    int64_t number;

    *for_ms = FOR_MS_DEFAULT;
    if (text != NULL && duration_parse(text, for_ms, err) != 0) {
        return err->code = ERR_CONFIG;
    }
    stress->workers = cli_option(stress->cli, "cpu");
    if (stress->workers != NULL &&
        text_to_i64(slice_z(stress->workers), 1, WORKERS_MAX, &number, NULL) != 0) {
        return error_set(err, ERR_CONFIG, "--cpu takes a number from 1 to %d, not '%s'",
                         WORKERS_MAX, stress->workers);
    }
    return 0;
}

static void tell_begin(const struct stress *stress, int64_t for_ms)
{
    struct terminal *terminal = &stress->cli->terminal;
    char muster[DURATION_TEXT_BYTES], real[DURATION_TEXT_BYTES];

    duration_format(for_ms, muster);
    duration_format(for_ms / stress->cli->about.time_scale, real);
    if (stress->cli->about.time_scale > 1) {
        terminal_head(terminal, "%s is kept busy for %s, which takes %s here; Ctrl-C ends it",
                      stress->service.group, muster, real);
    } else {
        terminal_head(terminal, "%s is kept busy for %s; Ctrl-C ends it", stress->service.group,
                      muster);
    }
}

static int tell_end(struct stress *stress, struct error *err)
{
    struct terminal *terminal = &stress->cli->terminal;

    terminal_clear(terminal);
    if (stress->started == 0 && !stress->cli->interrupted) {
        return err->code != ERR_NONE
                   ? (int)err->code
                   : error_set(err, ERR_SYSTEM, "%s had no instance in service all the time",
                               stress->service.group);
    }
    if (!stress->cli->interrupted) {
        terminal_good(terminal, "stress is over: %d instances were busy, desired is %d",
                      stress->started, stress->desired);
    }
    terminal_say(terminal, "  muster status --watch   shows how the group goes on");
    *err = (struct error){0};
    return cli_result(stress->cli,
                      json_pack("{s:s, s:b, s:i, s:i, s:i}", "AutoScalingGroupName",
                                stress->service.group, "Interrupted", stress->cli->interrupted,
                                "StressedInstances", stress->started, "DesiredCapacity",
                                stress->desired, "DesiredCapacityMax", stress->desired_max));
}

static int run(struct cli *cli, struct error *err)
{
    struct stress stress = {.cli = cli, .desired = -1, .percent = (double)NAN};
    struct error why = {0}; /* The last instance that could not be made busy. */
    int64_t for_ms = 0;
    int rc = read_options(&stress, &for_ms, err);

    if (rc == 0) {
        rc = find_group(&stress, err);
    }
    if (rc == 0) {
        tell_begin(&stress, for_ms);
        cli->terminal.timeless = cli->terminal.live;
        cli_catch_signals(cli);
        stress.end_ms = time_boot_ms() + for_ms / cli->about.time_scale;
        while (rc == 0 && time_boot_ms() < stress.end_ms) {
            rc = round_of(&stress, &why);
        }
        if (rc != 0 && cli->interrupted) {
            stop(&stress);
            rc = 0;
        }
        if (rc == 0) {
            rc = tell_end(&stress, &why);
        }
        *err = why;
    }
    for (size_t at = 0; at < stress.instances.entries_used; at++) {
        if (stress.instances.entries[at].key != NULL) {
            free(stress.instances.entries[at].value);
        }
    }
    map_close(&stress.instances);
    service_close(&stress.service);
    return rc;
}

static const struct option_row options[] = {
    {"for", "TIME", "how long, in muster's time: 90s, 6m, 1h30m (6m)"},
    {"cpu", "N", "workers in each instance (one per vCPU)"},
    {"name", "NAME", "the stack's name (candidates)"},
    {"group", "NAME", "an Auto Scaling group instead of a stack's"},
    {NULL, NULL, NULL},
};

const struct command stress_command = {
    .name = "stress",
    .words = "",
    .says = "Keep every instance's CPU busy, so that the group grows",
    .details =
        "All instances in service, also those that come while it runs. When its time is over\n"
        "or with Ctrl-C the CPUs are idle again, and the group shrinks by its own rules. The\n"
        "time is muster's: with --time-scale 10, six minutes take 36 seconds.\n",
    .examples = "  muster stress --for 6m\n"
                "  muster stress --for 90s --cpu 2\n",
    .options = options,
    .run = run,
};
