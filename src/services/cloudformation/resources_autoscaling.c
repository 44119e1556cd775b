/* AWS::AutoScaling::*, AWS::CloudWatch::Alarm */
#include "services/cloudformation/resource.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

/* AWS::AutoScaling::AutoScalingGroup: the properties are the API's members but for these. */

#define GROUP_RENAMED "AutoScalingGroupName,Cooldown,VPCZoneIdentifier,LaunchTemplate,Tags"

static int group_input(struct resource_call *call, const char *name, json_t *in)
{
    json_t *cooldown = json_object_get(call->properties, "Cooldown");
    json_t *subnets = json_object_get(call->properties, "VPCZoneIdentifier");
    json_t *template = json_object_get(call->properties, "LaunchTemplate");
    struct buf zone_identifier = {0};
    json_t *subnet;
    size_t index;

    json_object_set_new(in, "AutoScalingGroupName", json_string(name));
    if (cooldown != NULL) {
        json_object_set(in, "DefaultCooldown", cooldown);
    }
    if (template != NULL) {
        json_object_set(in, "LaunchTemplate", template);
    }
    json_array_foreach(subnets, index, subnet)
    {
        buf_printf(&zone_identifier, "%s%s", index == 0 ? "" : ",", json_string_value(subnet));
    }
    if (zone_identifier.bytes > 0) {
        json_object_set_new(in, "VPCZoneIdentifier", json_string(buf_z(&zone_identifier)));
    }
    buf_close(&zone_identifier);
    return 0;
}

/* The template's tags in the API's form: each names its group. */
static json_t *group_tags(struct resource_call *call, const char *name)
{
    json_t *tags = json_deep_copy(json_object_get(call->properties, "Tags"));
    json_t *tag;
    size_t index;

    json_array_foreach(tags, index, tag)
    {
        json_object_set_new(tag, "ResourceId", json_string(name));
        json_object_set_new(tag, "ResourceType", json_string("auto-scaling-group"));
    }
    return tags;
}

static int group_create(struct resource_call *call, struct error *err)
{
    json_t *in = resource_all_but(call, GROUP_RENAMED);
    const char *given = resource_text(call, "AutoScalingGroupName");
    char *name = given == NULL ? resource_make_name(call, 255) : mem_strdup(given);
    json_t *tags = group_tags(call, name);
    int rc;

    group_input(call, name, in);
    if (tags != NULL) {
        json_object_set_new(in, "Tags", tags);
    }
    rc = resource_call(call, "autoscaling", "CreateAutoScalingGroup", in, NULL, err);
    if (rc != 0) {
        free(name);
        return rc;
    }
    call->new_physical = name;
    return 0;
}

/* Those that changed, and those that are gone. */
static int group_retag(struct resource_call *call, struct error *err)
{
    json_t *tags = group_tags(call, call->physical), *gone, *key;
    size_t index;
    int rc = 0;

    if (json_array_size(tags) > 0) {
        rc = resource_call(call, "autoscaling", "CreateOrUpdateTags",
                           json_pack("{s:O}", "Tags", tags), NULL, err);
    }
    json_decref(tags);
    gone = resource_tags_gone(call);
    tags = json_array();
    json_array_foreach(gone, index, key)
    {
        json_array_append_new(tags,
                              json_pack("{s:O, s:s, s:s}", "Key", key, "ResourceId", call->physical,
                                        "ResourceType", "auto-scaling-group"));
    }
    json_decref(gone);
    if (rc == 0 && json_array_size(tags) > 0) {
        rc = resource_change(call, "autoscaling", "DeleteTags", json_pack("{s:O}", "Tags", tags),
                             err);
    }
    json_decref(tags);
    return rc;
}

static int group_update(struct resource_call *call, struct error *err)
{
    json_t *in = resource_all_but(call, GROUP_RENAMED ",TargetGroupARNs,LoadBalancerNames");
    int rc;

    group_input(call, call->physical, in);
    rc = resource_call(call, "autoscaling", "UpdateAutoScalingGroup", in, NULL, err);
    if (rc == 0 && resource_changed(call, "Tags")) {
        rc = group_retag(call, err);
    }
    if (rc == 0 && resource_changed(call, "TargetGroupARNs")) {
        json_t *before = json_object_get(call->previous, "TargetGroupARNs");
        json_t *now = json_object_get(call->properties, "TargetGroupARNs");

        if (json_array_size(before) > 0) {
            rc = resource_change(call, "autoscaling", "DetachLoadBalancerTargetGroups",
                                 json_pack("{s:s, s:O}", "AutoScalingGroupName", call->physical,
                                           "TargetGroupARNs", before),
                                 err);
        }
        if (rc == 0 && json_array_size(now) > 0) {
            rc = resource_call(call, "autoscaling", "AttachLoadBalancerTargetGroups",
                               json_pack("{s:s, s:O}", "AutoScalingGroupName", call->physical,
                                         "TargetGroupARNs", now),
                               NULL, err);
        }
    }
    return rc;
}

static int group_delete(struct resource_call *call, struct error *err)
{
    return resource_call(
        call, "autoscaling", "DeleteAutoScalingGroup",
        json_pack("{s:s, s:b}", "AutoScalingGroupName", call->physical, "ForceDelete", 1), NULL,
        err);
}

static int group_gone(struct resource_call *call, bool *done, struct error *err)
{
    json_t *out;
    int rc =
        resource_call(call, "autoscaling", "DescribeAutoScalingGroups",
                      json_pack("{s:[s]}", "AutoScalingGroupNames", call->physical), &out, err);

    if (rc == 0) {
        *done = json_array_size(json_object_get(out, "AutoScalingGroups")) == 0;
        json_decref(out);
    }
    return rc;
}

/* AWS::AutoScaling::ScalingPolicy: its physical id is the ARN. */

static int policy_put(struct resource_call *call, const char *name, struct error *err)
{
    json_t *in = json_incref(call->properties);
    json_t *copy = json_copy(in);
    json_t *out;
    int rc;

    json_decref(in);
    json_object_set_new(copy, "PolicyName", json_string(name));
    rc = resource_call(call, "autoscaling", "PutScalingPolicy", copy, &out, err);
    if (rc != 0) {
        return rc;
    }
    if (call->physical == NULL) {
        call->new_physical = mem_strdup(resource_at(out, "PolicyARN"));
    }
    resource_set_attribute(call, "Arn", resource_at(out, "PolicyARN"));
    resource_set_attribute(call, "PolicyName", name);
    json_decref(out);
    return 0;
}

static int policy_create(struct resource_call *call, struct error *err)
{
    char *name = resource_make_name(call, 255);
    int rc = policy_put(call, name, err);

    free(name);
    return rc;
}

static int policy_update(struct resource_call *call, struct error *err)
{
    const char *name = strstr(call->physical, "policyName/");

    return name == NULL ? error_set(err, ERR_INTERNAL, "%s has no policy name", call->physical)
                        : policy_put(call, name + strlen("policyName/"), err);
}

static int policy_delete(struct resource_call *call, struct error *err)
{
    json_t *in = resource_pick(call, "AutoScalingGroupName");

    json_object_set_new(in, "PolicyName", json_string(call->physical));
    return resource_call(call, "autoscaling", "DeletePolicy", in, NULL, err);
}

/* AWS::CloudWatch::Alarm */

static int alarm_put(struct resource_call *call, const char *name, struct error *err)
{
    json_t *in = json_copy(call->properties);

    json_object_set_new(in, "AlarmName", json_string(name));
    return resource_call(call, "cloudwatch", "PutMetricAlarm", in, NULL, err);
}

/* PutMetricAlarm would change one that is another's. */
static int alarm_check_new(struct resource_call *call, const char *name, struct error *err)
{
    json_t *out;
    int rc = resource_call(call, "cloudwatch", "DescribeAlarms",
                           json_pack("{s:[s]}", "AlarmNames", name), &out, err);

    if (rc == 0 && json_array_size(json_object_get(out, "MetricAlarms")) > 0) {
        rc = error_api(err, "AlreadyExists",
                       "Resource of type 'AWS::CloudWatch::Alarm' with identifier '%s' already "
                       "exists.",
                       name);
    }
    json_decref(out);
    return rc;
}

static int alarm_create(struct resource_call *call, struct error *err)
{
    const char *given = resource_text(call, "AlarmName");
    char *name = given == NULL ? resource_make_name(call, 255) : mem_strdup(given);
    int rc = alarm_check_new(call, name, err);

    rc = rc != 0 ? rc : alarm_put(call, name, err);
    if (rc != 0) {
        free(name);
        return rc;
    }
    call->new_physical = name;
    resource_set_attribute(call, "Arn", ctx_arn(call->ctx, "cloudwatch", "alarm:%s", name));
    resource_tag(call, ctx_arn(call->ctx, "cloudwatch", "alarm:%s", name));
    return 0;
}

static int alarm_update(struct resource_call *call, struct error *err)
{
    int rc = alarm_put(call, call->physical, err); /* Leaves the tags of one that is there. */

    return rc != 0 ? rc
                   : resource_retag(
                         call, "cloudwatch", "TagResource", "UntagResource", "ResourceARN",
                         json_string(ctx_arn(call->ctx, "cloudwatch", "alarm:%s", call->physical)),
                         err);
}

static int alarm_delete(struct resource_call *call, struct error *err)
{
    return resource_call(call, "cloudwatch", "DeleteAlarms",
                         json_pack("{s:[s]}", "AlarmNames", call->physical), NULL, err);
}

const struct resource_row resources_autoscaling[] = {
    {.type = "AWS::AutoScaling::AutoScalingGroup",
     .create = group_create,
     .update = group_update,
     .replace = "AutoScalingGroupName,InstanceId",
     .defaults = "{\"Cooldown\": 300, \"HealthCheckType\": \"EC2\", \"HealthCheckGracePeriod\": 0,"
                 " \"DefaultInstanceWarmup\": -1, \"TerminationPolicies\": [\"Default\"],"
                 " \"NewInstancesProtectedFromScaleIn\": false}",
     .name = "AutoScalingGroupName",
     .delete = group_delete,
     .gone = group_gone,
     .tagged = true},
    {.type = "AWS::AutoScaling::ScalingPolicy",
     .create = policy_create,
     .update = policy_update,
     .replace = "AutoScalingGroupName",
     .delete = policy_delete},
    {.type = "AWS::CloudWatch::Alarm",
     .create = alarm_create,
     .update = alarm_update,
     .replace = "AlarmName",
     .name = "AlarmName",
     .delete = alarm_delete,
     .tagged = true},
    {.type = NULL},
};
