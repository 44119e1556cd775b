/* muster status: groups, instances, alarms, targets, load balancers and what happened last. */
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/metrics.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVITIES_SHOWN "5"
#define WATCH_MS 1000

struct picture {
    json_t *groups, *instances, *alarms, *balancers, *stacks;
    json_t *targets;    /* Target group ARN -> its TargetHealthDescriptions. */
    json_t *activities; /* Group name -> the last ones. */
};

static void picture_close(struct picture *picture)
{
    json_decref(picture->groups);
    json_decref(picture->instances);
    json_decref(picture->alarms);
    json_decref(picture->balancers);
    json_decref(picture->stacks);
    json_decref(picture->targets);
    json_decref(picture->activities);
}

/* Instances by id, out of their reservations. */
static int find_instances(struct cli *cli, json_t **instances, struct error *err)
{
    json_t *reservations = NULL, *reservation, *instance;
    size_t i, j;
    int rc =
        cli_list(cli, AWS_EC2, "DescribeInstances", "reservationSet", &reservations, err, NULL);

    *instances = json_object();
    json_array_foreach(reservations, i, reservation)
    {
        json_array_foreach(tree_list(reservation, "instancesSet"), j, instance)
        {
            json_object_set(*instances, tree_text(instance, "instanceId"), instance);
        }
    }
    json_decref(reservations);
    return rc;
}

/* What hangs on one group. */
static int find_of_group(struct cli *cli, struct picture *picture, const json_t *group,
                         struct error *err)
{
    const char *name = tree_text(group, "AutoScalingGroupName");
    json_t *answer = NULL, *arn;
    size_t i;
    int rc = cli_call(cli, AWS_AUTO_SCALING, "DescribeScalingActivities", &answer, err,
                      "AutoScalingGroupName", name, "MaxRecords", ACTIVITIES_SHOWN, NULL);

    json_object_set(picture->activities, name, tree_list(answer, "Activities"));
    json_decref(answer);
    json_array_foreach(tree_list(group, "TargetGroupARNs"), i, arn)
    {
        answer = NULL;
        if (rc == 0) {
            rc = cli_call(cli, AWS_ELB, "DescribeTargetHealth", &answer, err, "TargetGroupArn",
                          json_string_value(arn), NULL);
        }
        json_object_set(picture->targets, json_string_value(arn),
                        tree_list(answer, "TargetHealthDescriptions"));
        json_decref(answer);
    }
    return rc;
}

static int picture_take(struct cli *cli, struct picture *picture, struct error *err)
{
    json_t *group;
    size_t i;
    int rc = cli_list(cli, AWS_AUTO_SCALING, "DescribeAutoScalingGroups", "AutoScalingGroups",
                      &picture->groups, err, NULL);

    picture->targets = json_object();
    picture->activities = json_object();
    if (rc == 0) {
        rc = find_instances(cli, &picture->instances, err);
    }
    if (rc == 0) {
        rc = cli_list_json(cli, AWS_CLOUD_WATCH, "DescribeAlarms", json_object(), "MetricAlarms",
                           &picture->alarms, err);
    }
    if (rc == 0) {
        rc = cli_list(cli, AWS_ELB, "DescribeLoadBalancers", "LoadBalancers", &picture->balancers,
                      err, NULL);
    }
    if (rc == 0) {
        rc = cli_list(cli, AWS_CLOUD_FORMATION, "DescribeStacks", "Stacks", &picture->stacks, err,
                      NULL);
    }
    json_array_foreach(picture->groups, i, group)
    {
        if (rc == 0) {
            rc = find_of_group(cli, picture, group, err);
        }
    }
    return rc;
}

/* Parts of the screen. */

static const char *hour_of(const char *time, char text[TIME_TEXT_BYTES])
{
    int64_t ms;

    if (time_parse(slice_z(time), &ms, NULL) != 0) {
        return "";
    }
    time_format_s(ms, text);
    text[19] = '\0'; /* Without the Z: "2026-01-02T03:04:05". */
    return text + 11;
}

static void show_head(struct cli *cli)
{
    char muster[TIME_TEXT_BYTES], wall[TIME_TEXT_BYTES];
    struct terminal *terminal = &cli->terminal;

    time_format_s(cli_muster_now_ms(cli), muster);
    time_format_s(time_wall_ms(), wall);
    /* Of both clocks the time of day: the dates of what happened are in the AWS CLI's answers. */
    terminal_head(terminal, "muster %s at %s, %s%s", cli->about.version, cli->endpoint, cli->region,
                  !cli->about.known ? ""
                  : cli->about.sim  ? ", instances are a model (--compute sim)"
                                    : "");
    if (cli->about.time_scale > 1) {
        terminal_say(terminal, "muster's clock %s, %lld times as fast as real; real %s",
                     muster + 11, (long long)cli->about.time_scale, wall + 11);
    }
}

static const char *target_state(const struct picture *picture, const json_t *group,
                                const char *instance)
{
    json_t *arn, *row;
    size_t i, j;

    json_array_foreach(tree_list(group, "TargetGroupARNs"), i, arn)
    {
        json_array_foreach(json_object_get(picture->targets, json_string_value(arn)), j, row)
        {
            if (tree_is(row, "Target.Id", instance)) {
                return tree_text(row, "TargetHealth.State");
            }
        }
    }
    return "-";
}

/* Without the region, which the first line has: a row fits into 80 columns. */
static const char *zone_of(const struct cli *cli, const char *zone)
{
    size_t bytes = strlen(cli->region);

    return strncmp(zone, cli->region, bytes) == 0 && zone[bytes] != '\0' ? zone + bytes : zone;
}

static const char *address_of(const json_t *instance)
{
    const char *address = tree_text(instance, "ipAddress");

    address = address[0] != '\0' ? address : tree_text(instance, "privateIpAddress");
    return address[0] != '\0' ? address : "-";
}

static void add_cpu(struct cli *cli, struct table *table, const char *instance)
{
    double percent = metrics_cpu(cli, "InstanceId", instance);

    if (isnan(percent)) {
        table_cell(table, COLOR_DIM, "%6s", "-");
    } else {
        table_cell(table, percent > 60 ? COLOR_YELLOW : COLOR_NONE, "%4.0f %%", percent);
    }
}

static void head_cells(struct table *table, const char *const *names, size_t count)
{
    table->columns = count;
    for (size_t i = 0; i < count; i++) {
        table_cell(table, COLOR_DIM, "%s", names[i]);
    }
}

static void show_group(struct cli *cli, struct picture *picture, const json_t *group)
{
    static const char *const names[] = {"INSTANCE", "ZONE",   "LIFECYCLE", "HEALTH",
                                        "TARGET",   "   CPU", "ADDRESS"};
    json_t *row;
    struct table table = {0};
    size_t i, in_service = 0;

    json_array_foreach(tree_list(group, "Instances"), i, row)
    {
        in_service += tree_is(row, "LifecycleState", "InService");
    }
    terminal_say(&cli->terminal, "%s", "");
    terminal_head(&cli->terminal, "Group %s: desired %s (%s to %s), in service %zu%s%s",
                  tree_text(group, "AutoScalingGroupName"), tree_text(group, "DesiredCapacity"),
                  tree_text(group, "MinSize"), tree_text(group, "MaxSize"), in_service,
                  tree_text(group, "Status")[0] == '\0' ? "" : ", ", tree_text(group, "Status"));
    if (json_array_size(tree_list(group, "Instances")) == 0) {
        return;
    }
    head_cells(&table, names, COUNT_OF(names));
    json_array_foreach(tree_list(group, "Instances"), i, row)
    {
        const char *id = tree_text(row, "InstanceId");
        const char *lifecycle = tree_text(row, "LifecycleState");
        const char *health = tree_text(row, "HealthStatus");
        const char *target = target_state(picture, group, id);

        table_cell(&table, COLOR_NONE, "%s", id);
        table_cell(&table, COLOR_NONE, "%s", zone_of(cli, tree_text(row, "AvailabilityZone")));
        table_cell(&table, terminal_color_of(lifecycle), "%s", lifecycle);
        table_cell(&table, terminal_color_of(health), "%s", health);
        table_cell(&table, terminal_color_of(target), "%s", target);
        add_cpu(cli, &table, id);
        table_cell(&table, COLOR_NONE, "%s", address_of(json_object_get(picture->instances, id)));
    }
    table_print(&table, &cli->terminal, 2);
}

static bool in_a_group(const struct picture *picture, const char *id)
{
    json_t *group;
    size_t i;

    json_array_foreach(picture->groups, i, group)
    {
        if (tree_find(tree_list(group, "Instances"), "InstanceId", id) != NULL) {
            return true;
        }
    }
    return false;
}

static void show_others(struct cli *cli, const struct picture *picture)
{
    static const char *const names[] = {"INSTANCE", "ZONE", "STATE", "   CPU", "ADDRESS", "NAME"};
    struct table table = {0};
    const char *id;
    json_t *instance;

    head_cells(&table, names, COUNT_OF(names));
    json_object_foreach(picture->instances, id, instance)
    {
        const char *state = tree_text(instance, "instanceState.name");

        if (in_a_group(picture, id) || strcmp(state, "terminated") == 0) {
            continue;
        }
        table_cell(&table, COLOR_NONE, "%s", id);
        table_cell(&table, COLOR_NONE, "%s",
                   zone_of(cli, tree_text(instance, "placement.availabilityZone")));
        table_cell(&table, terminal_color_of(state), "%s", state);
        add_cpu(cli, &table, id);
        table_cell(&table, COLOR_NONE, "%s", address_of(instance));
        table_cell(&table, COLOR_NONE, "%s", tree_tag(tree_list(instance, "tagSet"), "Name"));
    }
    if (table.count > table.columns) {
        terminal_say(&cli->terminal, "%s", "");
        terminal_head(&cli->terminal, "Other instances");
        table_print(&table, &cli->terminal, 2);
    } else {
        table_free(&table);
    }
}

static void show_alarms(struct cli *cli, const struct picture *picture)
{
    struct table table = {.columns = 3};
    json_t *alarm;
    size_t i;

    if (json_array_size(picture->alarms) == 0) {
        return;
    }
    terminal_say(&cli->terminal, "%s", "");
    terminal_head(&cli->terminal, "Alarms");
    json_array_foreach(picture->alarms, i, alarm)
    {
        const char *state = tree_text(alarm, "StateValue");

        table_cell(&table, COLOR_NONE, "%s", tree_text(alarm, "AlarmName"));
        table_cell(&table, terminal_color_of(state), "%s", state);
        table_cell(&table, COLOR_DIM, "%s", tree_text(alarm, "StateReason"));
    }
    table_print(&table, &cli->terminal, 2);
}

static void show_balancers(struct cli *cli, const struct picture *picture)
{
    struct table table = {.columns = 3};
    json_t *balancer;
    size_t i;

    if (json_array_size(picture->balancers) == 0) {
        return;
    }
    terminal_say(&cli->terminal, "%s", "");
    terminal_head(&cli->terminal, "Load balancers");
    json_array_foreach(picture->balancers, i, balancer)
    {
        const char *state = tree_text(balancer, "State.Code");

        table_cell(&table, COLOR_NONE, "%s", tree_text(balancer, "LoadBalancerName"));
        table_cell(&table, terminal_color_of(state), "%s", state);
        table_cell(&table, COLOR_NONE, "http://%s", tree_text(balancer, "DNSName"));
    }
    table_print(&table, &cli->terminal, 2);
}

static void show_stacks(struct cli *cli, const struct picture *picture)
{
    struct table table = {.columns = 3};
    json_t *stack;
    size_t i;

    if (json_array_size(picture->stacks) == 0) {
        return;
    }
    terminal_say(&cli->terminal, "%s", "");
    terminal_head(&cli->terminal, "Stacks");
    json_array_foreach(picture->stacks, i, stack)
    {
        const char *state = tree_text(stack, "StackStatus");

        table_cell(&table, COLOR_NONE, "%s", tree_text(stack, "StackName"));
        table_cell(&table, terminal_color_of(state), "%s", state);
        table_cell(&table, COLOR_DIM, "%s", tree_text(stack, "Description"));
    }
    table_print(&table, &cli->terminal, 2);
}

/* AWS begins with "At <time>Z", which the row has already. */
static const char *without_time(const char *cause)
{
    const char *rest = strncmp(cause, "At ", 3) == 0 ? strstr(cause, "Z ") : NULL;

    return rest == NULL ? cause : rest + 2;
}

static void show_activities(struct cli *cli, const struct picture *picture)
{
    struct table table = {.columns = 4};
    const char *group;
    json_t *list, *row;
    size_t i;

    json_object_foreach(picture->activities, group, list)
    {
        json_array_foreach(list, i, row)
        {
            const char *state = tree_text(row, "StatusCode");
            char time[TIME_TEXT_BYTES];

            table_cell(&table, COLOR_NONE, "%s", hour_of(tree_text(row, "StartTime"), time));
            table_cell(&table, terminal_color_of(state), "%s", state);
            table_cell(&table, COLOR_NONE, "%s", tree_text(row, "Description"));
            table_cell(&table, COLOR_DIM, "%s", without_time(tree_text(row, "Cause")));
        }
    }
    if (table.count > 0) {
        terminal_say(&cli->terminal, "%s", "");
        terminal_head(&cli->terminal, "Last activities");
        table_print(&table, &cli->terminal, 2);
    }
}

static void add_cpus(struct cli *cli, const struct picture *picture, json_t *result)
{
    json_t *cpus = json_object(), *instance;
    const char *id;

    json_object_foreach(picture->instances, id, instance)
    {
        double percent = metrics_cpu(cli, "InstanceId", id);

        if (!isnan(percent)) {
            json_object_set_new(cpus, id, json_real(percent));
        }
    }
    json_object_set_new(result, "CPUUtilization", cpus);
}

static int show_json(struct cli *cli, const struct picture *picture)
{
    char muster[TIME_TEXT_BYTES], wall[TIME_TEXT_BYTES];
    json_t *result;

    time_format_ms(cli_muster_now_ms(cli), muster);
    time_format_ms(time_wall_ms(), wall);
    result =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "Endpoint",
                  cli->endpoint, "Region", cli->region, "MusterTime", muster, "WallTime", wall,
                  "TimeScale", (json_int_t)cli->about.time_scale, "Sim", cli->about.sim,
                  "AutoScalingGroups", picture->groups, "Instances", picture->instances, "Alarms",
                  picture->alarms, "LoadBalancers", picture->balancers, "Stacks", picture->stacks,
                  "TargetHealth", picture->targets, "Activities", picture->activities);
    add_cpus(cli, picture, result);
    return cli_result(cli, result);
}

static void show(struct cli *cli, struct picture *picture)
{
    json_t *group;
    size_t i;

    show_head(cli);
    json_array_foreach(picture->groups, i, group)
    {
        show_group(cli, picture, group);
    }
    show_others(cli, picture);
    show_alarms(cli, picture);
    show_balancers(cli, picture);
    show_stacks(cli, picture);
    show_activities(cli, picture);
    if (json_array_size(picture->stacks) == 0 && json_array_size(picture->groups) == 0) {
        terminal_say(&cli->terminal, "\nNothing is deployed. Try: muster up");
    }
}

/* Until Ctrl-C. A daemon that is away for a while is waited for. */
static int watch(struct cli *cli, struct error *err)
{
    int rc;

    if (!cli->terminal.live) {
        return error_set(err, ERR_CONFIG, "--watch needs a terminal; without one call it again");
    }
    cli_catch_signals(cli);
    do {
        struct picture picture = {0};

        rc = picture_take(cli, &picture, err);
        terminal_screen_begin(&cli->terminal);
        if (rc == 0) {
            show(cli, &picture);
        } else {
            terminal_bad(&cli->terminal, "%s", err->message);
        }
        terminal_screen_end(&cli->terminal);
        picture_close(&picture);
        rc = rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT ? 0 : rc;
    } while (rc == 0 && cli_sleep(cli, WATCH_MS, NULL) == 0);
    terminal_screen_leave(&cli->terminal);
    return rc;
}

static int run(struct cli *cli, struct error *err)
{
    struct picture picture = {0};
    int rc;

    if (cli_option(cli, "watch") != NULL && !cli->terminal.json) {
        return watch(cli, err);
    }
    rc = picture_take(cli, &picture, err);
    if (rc == 0 && cli->terminal.json) {
        show_json(cli, &picture);
    } else if (rc == 0) {
        show(cli, &picture);
    }
    picture_close(&picture);
    return rc;
}

static const struct option_row options[] = {
    {"watch", NULL, "show it anew each second, until Ctrl-C"},
    {NULL, NULL, NULL},
};

const struct command status_command = {
    .name = "status",
    .words = "",
    .says = "Show groups, instances, alarms, load balancers and the last activities",
    .details = "One screen; times are muster's. The CPU is the last value that CloudWatch has.\n",
    .examples = "  muster status\n"
                "  muster status --watch\n"
                "  muster status --json | jq '.AutoScalingGroups[].DesiredCapacity'\n",
    .options = options,
    .run = run,
};
