#include "services/autoscaling/group.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void group_close(struct group *group)
{
    if (group != NULL) {
        free(group->world.activities);
        group->world.activities = NULL;
        record_close(&group_record, group);
        free(group);
    }
}

void group_enter(struct autoscaling *service, struct group *group)
{
    service->groups = mem_grow(service->groups, service->groups_count, &service->groups_room,
                               sizeof(struct group *));
    service->groups[service->groups_count++] = group;
    map_put(&service->by_uuid, slice_z(group->uuid), group);
    if (!group->deleted) {
        map_put(&service->by_name, slice_z(group->world.name), group);
    }
}

struct group *group_find(const struct control *control, const char *name)
{
    return name == NULL ? NULL : map_get_z(&control->autoscaling->by_name, name);
}

bool group_is_warming(const struct control *control, const char *name, const char *instance,
                      int64_t now_ms)
{
    const struct group *group = group_find(control, name);
    const struct world_instance *found =
        group == NULL ? NULL : world_instance(&group->world, instance);

    return found != NULL && !world_instance_counts_in_metrics(found, now_ms);
}

/* The group that has the instance, and the instance. */
static struct group *group_of_instance(const struct control *control, const char *id,
                                       struct world_instance **instance)
{
    const struct autoscaling *service = control->autoscaling;

    for (size_t i = 0; i < service->groups_count; i++) {
        *instance = world_instance(&service->groups[i]->world, id);
        if (*instance != NULL) {
            return service->groups[i];
        }
    }
    return NULL;
}

int group_require(struct ctx *ctx, const char *name, struct group **group, struct error *err)
{
    *group = group_find(ctx->control, name);
    if (*group == NULL) {
        return error_api(err, VALIDATION,
                         "AutoScalingGroup name not found - AutoScalingGroup %s not found",
                         name == NULL ? "null" : name);
    }
    return 0;
}

int group_require_instance(struct ctx *ctx, const char *id, struct group **group,
                           struct world_instance **instance, struct error *err)
{
    *group = group_of_instance(ctx->control, id, instance);
    if (*group == NULL) {
        return error_api(err, VALIDATION,
                         "Instance Id not found - No managed instance found for instance ID: %s",
                         id == NULL ? "null" : id);
    }
    return 0;
}

const char *group_policy_arn(struct ctx *ctx, const struct group *group,
                             const struct policy *policy)
{
    return ctx_arn(ctx, "autoscaling", "scalingPolicy:%s:autoScalingGroupName/%s:policyName/%s",
                   policy->uuid, group->world.name, policy->name);
}

/* The ARN's policy; only its uuid decides. */
static struct policy *find_by_arn(struct ctx *ctx, const char *arn, struct group **group)
{
    const struct autoscaling *service = ctx->control->autoscaling;

    for (size_t i = 0; i < service->groups_count; i++) {
        struct world *world = &service->groups[i]->world;

        for (size_t j = 0; j < world->policies_count; j++) {
            if (strstr(arn, world->policies[j].uuid) != NULL &&
                strcmp(arn, group_policy_arn(ctx, service->groups[i], &world->policies[j])) == 0) {
                *group = service->groups[i];
                return &world->policies[j];
            }
        }
    }
    return NULL;
}

struct policy *group_find_policy(struct ctx *ctx, const char *group_name, const char *name,
                                 struct group **group)
{
    struct policy *policy;

    if (name == NULL) {
        return NULL;
    }
    if (strncmp(name, "arn:", 4) == 0) {
        policy = find_by_arn(ctx, name, group);
        return policy != NULL && group_name != NULL && strcmp((*group)->world.name, group_name) != 0
                   ? NULL
                   : policy;
    }
    *group = group_find(ctx->control, group_name);
    return *group == NULL ? NULL : world_policy(&(*group)->world, name);
}

const char *const process_names[] = {"AZRebalance",      "AddToLoadBalancer", "AlarmNotification",
                                     "HealthCheck",      "InstanceRefresh",   "Launch",
                                     "ReplaceUnhealthy", "ScheduledActions",  "Terminate"};
const size_t process_names_count = COUNT_OF(process_names);

uint32_t process_bit(const char *name)
{
    static const uint32_t bits[] = {
        PROCESS_AZ_REBALANCE,      PROCESS_ADD_TO_LOAD_BALANCER, PROCESS_ALARM_NOTIFICATION,
        PROCESS_HEALTH_CHECK,      PROCESS_INSTANCE_REFRESH,     PROCESS_LAUNCH,
        PROCESS_REPLACE_UNHEALTHY, PROCESS_SCHEDULED_ACTIONS,    PROCESS_TERMINATE};

    for (size_t i = 0; i < process_names_count; i++) {
        if (strcmp(process_names[i], name) == 0) {
            return bits[i];
        }
    }
    return 0;
}
