#include "muster/service.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "muster/stack.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS 500
#define WAIT_MS_MAX (15 * 60 * 1000) /* Health checks and warm-ups on AWS take minutes. */

void service_close(struct service *service)
{
    free(service->stack);
    free(service->group);
    free(service->target_group);
    free(service->url);
    free(service->table);
    *service = (struct service){0};
}

static char *resource_of(const json_t *resources, const char *type)
{
    const json_t *row = tree_find(resources, "ResourceType", type);

    return row == NULL ? NULL : mem_strdup(tree_text(row, "PhysicalResourceId"));
}

/* What the stack calls its URL, else that of its load balancer. */
static char *find_url(struct cli *cli, const json_t *stack, const json_t *resources)
{
    const char *output = stack_output(stack, "Url");
    char *arn = resource_of(resources, "AWS::ElasticLoadBalancingV2::LoadBalancer");
    json_t *answer = NULL;
    struct buf url = {0};

    buf_add_z(&url, output);
    if (output[0] == '\0' && arn != NULL &&
        cli_call(cli, AWS_ELB, "DescribeLoadBalancers", &answer, NULL, "LoadBalancerArns.member.1",
                 arn, NULL) == 0) {
        buf_printf(&url, "http://%s",
                   tree_text(json_array_get(tree_list(answer, "LoadBalancers"), 0), "DNSName"));
    }
    json_decref(answer);
    free(arn);
    while (url.bytes > 0 && url.data[url.bytes - 1] == '/') {
        url.data[--url.bytes] = '\0';
    }
    if (url.bytes == 0) {
        buf_close(&url);
        return NULL;
    }
    return buf_take(&url);
}

int service_find(struct cli *cli, const char *name, struct service *service, struct error *err)
{
    json_t *stack = NULL, *answer = NULL;
    const json_t *resources;
    int rc = stack_find(cli, name, &stack, err);

    *service = (struct service){.stack = mem_strdup(name)};
    if (rc == 0) {
        rc = cli_call(cli, AWS_CLOUD_FORMATION, "DescribeStackResources", &answer, err, "StackName",
                      name, NULL);
    }
    resources = tree_list(answer, "StackResources");
    if (rc == 0) {
        service->group = resource_of(resources, "AWS::AutoScaling::AutoScalingGroup");
        service->target_group = resource_of(resources, "AWS::ElasticLoadBalancingV2::TargetGroup");
        service->table = resource_of(resources, "AWS::DynamoDB::Table");
        service->url = find_url(cli, stack, resources);
        if (service->group == NULL || service->group[0] == '\0') {
            rc = error_set(err, ERR_NOT_FOUND, "stack %s (%s) has no Auto Scaling group", name,
                           tree_text(stack, "StackStatus"));
        }
    }
    json_decref(answer);
    json_decref(stack);
    return rc;
}

static int find_group(struct cli *cli, const char *name, json_t **answer, const json_t **group,
                      struct error *err)
{
    int rc = cli_call(cli, AWS_AUTO_SCALING, "DescribeAutoScalingGroups", answer, err,
                      "AutoScalingGroupNames.member.1", name, NULL);

    *group = json_array_get(tree_list(*answer, "AutoScalingGroups"), 0);
    if (rc == 0 && *group == NULL) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no Auto Scaling group %s", name);
    }
    return rc;
}

int service_of_group(struct cli *cli, const char *name, struct service *service, struct error *err)
{
    json_t *answer = NULL;
    const json_t *group = NULL;
    const char *arn;
    int rc = find_group(cli, name, &answer, &group, err);

    *service = (struct service){.group = mem_strdup(name)};
    arn = json_string_value(json_array_get(tree_list(group, "TargetGroupARNs"), 0));
    service->target_group = mem_strdup(arn);
    json_decref(answer);
    return rc;
}

/* Ids of the healthy targets. */
static int find_healthy(struct cli *cli, const struct service *service, json_t **healthy,
                        struct error *err)
{
    json_t *answer = NULL, *row;
    size_t i;
    int rc = cli_call(cli, AWS_ELB, "DescribeTargetHealth", &answer, err, "TargetGroupArn",
                      service->target_group, NULL);

    *healthy = json_object();
    json_array_foreach(tree_list(answer, "TargetHealthDescriptions"), i, row)
    {
        if (tree_is(row, "TargetHealth.State", "healthy")) {
            json_object_set_new(*healthy, tree_text(row, "Target.Id"), json_true());
        }
    }
    json_decref(answer);
    return rc;
}

int service_instances(struct cli *cli, const struct service *service, bool healthy,
                      json_t **instances, struct error *err)
{
    json_t *answer = NULL, *targets = NULL, *row;
    const json_t *group = NULL;
    size_t i;
    int rc = find_group(cli, service->group, &answer, &group, err);

    healthy &= service->target_group != NULL;
    if (rc == 0 && healthy) {
        rc = find_healthy(cli, service, &targets, err);
    }
    *instances = json_array();
    json_array_foreach(tree_list(group, "Instances"), i, row)
    {
        if (tree_is(row, "LifecycleState", "InService") &&
            (!healthy || json_object_get(targets, tree_text(row, "InstanceId")) != NULL)) {
            json_array_append(*instances, row);
        }
    }
    json_decref(targets);
    json_decref(answer);
    return rc;
}

/* A failure counts only while nothing after it went better. */
static int look_at_activities(struct cli *cli, const struct service *service,
                              struct service_state *state, struct error *err)
{
    json_t *answer = NULL;
    const json_t *newest;
    int rc = cli_call(cli, AWS_AUTO_SCALING, "DescribeScalingActivities", &answer, err,
                      "AutoScalingGroupName", service->group, "MaxRecords", "1", NULL);

    newest = json_array_get(tree_list(answer, "Activities"), 0);
    if (tree_is(newest, "StatusCode", "Failed")) {
        snprintf(state->failed, sizeof(state->failed), "%s", tree_text(newest, "StatusMessage"));
    }
    json_decref(answer);
    return rc;
}

int service_look(struct cli *cli, const struct service *service, struct service_state *state,
                 struct error *err)
{
    json_t *answer = NULL, *row;
    const json_t *group = NULL;
    size_t i;
    int rc = find_group(cli, service->group, &answer, &group, err);

    *state = (struct service_state){.desired = (int)tree_int(group, "DesiredCapacity", 0)};
    json_array_foreach(tree_list(group, "Instances"), i, row)
    {
        state->in_service += tree_is(row, "LifecycleState", "InService");
    }
    json_decref(answer);
    state->healthy = state->in_service;
    if (rc == 0 && service->target_group != NULL) {
        json_t *healthy = NULL;

        rc = find_healthy(cli, service, &healthy, err);
        state->healthy = (int)json_object_size(healthy);
        json_decref(healthy);
    }
    return rc == 0 ? look_at_activities(cli, service, state, err) : rc;
}

int service_wait(struct cli *cli, const struct service *service, struct error *err)
{
    int64_t end_ms = time_boot_ms() + WAIT_MS_MAX;

    for (;;) {
        struct service_state state;
        int rc = service_look(cli, service, &state, err);

        if (rc == 0 && state.in_service >= state.desired && state.healthy >= state.desired) {
            return 0;
        }
        if (rc == 0) {
            terminal_progress(&cli->terminal, "%s: %d of %d instances in service, %d healthy%s%s",
                              service->group, state.in_service, state.desired, state.healthy,
                              state.failed[0] == '\0' ? "" : "; ", state.failed);
            rc = time_boot_ms() > end_ms
                     ? error_set(err, ERR_TIMEOUT,
                                 "%s has %d of %d instances in service and %d healthy targets%s%s\n"
                                 "What it tried: aws autoscaling describe-scaling-activities "
                                 "--auto-scaling-group-name %s",
                                 service->group, state.in_service, state.desired, state.healthy,
                                 state.failed[0] == '\0' ? "" : ": ", state.failed, service->group)
                     : cli_sleep(cli, POLL_MS, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}
