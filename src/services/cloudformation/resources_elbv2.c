/* AWS::ElasticLoadBalancingV2::* */
#include "services/cloudformation/resource.h"

#include "base/alloc.h"
#include "services/elbv2/elbv2.h"

#include <stdlib.h>
#include <string.h>

/* The API's name member: the template's, or one made of the stack's and the logical name. */
static void set_name(struct resource_call *call, json_t *in)
{
    char *made;

    if (json_object_get(in, "Name") != NULL) {
        return;
    }
    made = resource_make_name(call, 32);
    json_object_set_new(in, "Name", json_string(made));
    free(made);
}

/* What follows the last ':' of an ARN, "loadbalancer/app/name/1234" after its first '/': the
 * dimension of CloudWatch. */
static const char *after(const char *arn, const char *mark)
{
    const char *found = arn == NULL ? NULL : strstr(arn, mark);

    return found == NULL ? NULL : found + strlen(mark);
}

/* What kind of resource has attributes, and how they are set. */
struct attributes {
    const char *property, *action, *member;
    const char *(*otherwise)(const char *key);
};

static const struct attributes balancer_attributes = {"LoadBalancerAttributes",
                                                      "ModifyLoadBalancerAttributes",
                                                      "LoadBalancerArn", elbv2_balancer_default};
static const struct attributes target_group_attributes = {
    "TargetGroupAttributes", "ModifyTargetGroupAttributes", "TargetGroupArn", elbv2_group_default};

/* Set those of the template; the defaults of those that it no longer has. */
static int set_attributes(struct resource_call *call, const struct attributes *attributes,
                          const char *arn, struct error *err)
{
    json_t *given = json_object_get(call->properties, attributes->property), *before;
    json_t *list = given == NULL ? json_array() : json_copy(given);
    size_t index;
    int rc = 0;

    json_array_foreach(json_object_get(call->previous, attributes->property), index, before)
    {
        const char *key = json_string_value(json_object_get(before, "Key"));
        const char *otherwise = key == NULL ? NULL : attributes->otherwise(key);

        if (otherwise != NULL && !resource_has_key(list, key)) {
            json_array_append_new(list, json_pack("{s:s, s:s}", "Key", key, "Value", otherwise));
        }
    }
    if (json_array_size(list) > 0) {
        rc = resource_call(call, "elbv2", attributes->action,
                           json_pack("{s:s, s:O}", attributes->member, arn, "Attributes", list),
                           NULL, err);
    }
    json_decref(list);
    return rc;
}

static int retag(struct resource_call *call, struct error *err)
{
    return resource_retag(call, "elbv2", "AddTags", "RemoveTags", "ResourceArns",
                          json_pack("[s]", call->physical), err);
}

static int delete_by(struct resource_call *call, const char *action, const char *member,
                     struct error *err)
{
    return resource_call(call, "elbv2", action, json_pack("{s:s}", member, call->physical), NULL,
                         err);
}

/* LoadBalancer */

static int balancer_create(struct resource_call *call, struct error *err)
{
    json_t *in = resource_all_but(call, "LoadBalancerAttributes");
    json_t *out;
    const char *arn;
    int rc;

    set_name(call, in);
    rc = resource_call(call, "elbv2", "CreateLoadBalancer", in, &out, err);
    if (rc != 0) {
        return rc;
    }
    arn = resource_at(out, "LoadBalancers.0.LoadBalancerArn");
    call->new_physical = mem_strdup(arn);
    resource_set_attribute(call, "LoadBalancerArn", arn);
    resource_set_attribute(call, "DNSName", resource_at(out, "LoadBalancers.0.DNSName"));
    resource_set_attribute(call, "CanonicalHostedZoneID",
                           resource_at(out, "LoadBalancers.0.CanonicalHostedZoneId"));
    resource_set_attribute(call, "LoadBalancerName",
                           resource_at(out, "LoadBalancers.0.LoadBalancerName"));
    resource_set_attribute(call, "LoadBalancerFullName",
                           after(call->new_physical, ":loadbalancer/"));
    json_decref(out);
    resource_tag(call, call->new_physical);
    return set_attributes(call, &balancer_attributes, call->new_physical, err);
}

static int balancer_ready(struct resource_call *call, bool *done, struct error *err)
{
    json_t *out;
    const char *state;
    int rc = resource_call(call, "elbv2", "DescribeLoadBalancers",
                           json_pack("{s:[s]}", "LoadBalancerArns", call->physical), &out, err);

    if (rc != 0) {
        return rc;
    }
    state = resource_at(out, "LoadBalancers.0.State.Code");
    *done = state != NULL && strcmp(state, "active") == 0;
    if (state != NULL && strcmp(state, "failed") == 0) {
        const char *reason = resource_at(out, "LoadBalancers.0.State.Reason");

        rc = error_api(err, "NotStabilized", "Load balancer failed to stabilize: %s",
                       reason == NULL ? "" : reason);
    }
    json_decref(out);
    return rc;
}

/* Its VPC's default group when the template names none. */
static int set_groups(struct resource_call *call, struct error *err)
{
    json_t *groups = json_incref(json_object_get(call->properties, "SecurityGroups")), *out;
    const char *group = NULL;

    if (groups == NULL) {
        int rc = resource_call(call, "elbv2", "DescribeLoadBalancers",
                               json_pack("{s:[s]}", "LoadBalancerArns", call->physical), &out, err);

        if (rc == 0) {
            rc = resource_default_group(call, resource_at(out, "LoadBalancers.0.VpcId"), &group,
                                        err);
            json_decref(out);
        }
        if (rc != 0) {
            return rc;
        }
        groups = json_pack("[s]", group);
    }
    return resource_call(
        call, "elbv2", "SetSecurityGroups",
        json_pack("{s:s, s:o}", "LoadBalancerArn", call->physical, "SecurityGroups", groups), NULL,
        err);
}

static int balancer_update(struct resource_call *call, struct error *err)
{
    int rc = retag(call, err);

    if (rc == 0 && resource_changed(call, "SecurityGroups")) {
        rc = set_groups(call, err);
    }
    if (rc == 0 && resource_changed(call, "Subnets,SubnetMappings")) {
        json_t *in = resource_pick(call, "Subnets,SubnetMappings");

        json_object_set_new(in, "LoadBalancerArn", json_string(call->physical));
        rc = resource_call(call, "elbv2", "SetSubnets", in, NULL, err);
    }
    return rc != 0 ? rc : set_attributes(call, &balancer_attributes, call->physical, err);
}

static int balancer_delete(struct resource_call *call, struct error *err)
{
    return delete_by(call, "DeleteLoadBalancer", "LoadBalancerArn", err);
}

/* TargetGroup */

static int targets(struct resource_call *call, const char *action, const char *arn, json_t *list,
                   struct error *err)
{
    return json_array_size(list) == 0
               ? 0
               : resource_call(call, "elbv2", action,
                               json_pack("{s:s, s:O}", "TargetGroupArn", arn, "Targets", list),
                               NULL, err);
}

static int target_group_create(struct resource_call *call, struct error *err)
{
    json_t *in = resource_all_but(call, "TargetGroupAttributes,Targets");
    json_t *out;
    int rc;

    set_name(call, in);
    rc = resource_call(call, "elbv2", "CreateTargetGroup", in, &out, err);
    if (rc != 0) {
        return rc;
    }
    call->new_physical = mem_strdup(resource_at(out, "TargetGroups.0.TargetGroupArn"));
    resource_set_attribute(call, "TargetGroupArn", call->new_physical);
    resource_set_attribute(call, "TargetGroupName",
                           resource_at(out, "TargetGroups.0.TargetGroupName"));
    resource_set_attribute(call, "TargetGroupFullName", strstr(call->new_physical, "targetgroup/"));
    json_decref(out);
    resource_tag(call, call->new_physical);
    rc = set_attributes(call, &target_group_attributes, call->new_physical, err);
    return rc != 0 ? rc
                   : targets(call, "RegisterTargets", call->new_physical,
                             json_object_get(call->properties, "Targets"), err);
}

static int target_group_update(struct resource_call *call, struct error *err)
{
    json_t *in = resource_pick(call, "HealthCheckProtocol,HealthCheckPort,HealthCheckPath,"
                                     "HealthCheckEnabled,HealthCheckIntervalSeconds,"
                                     "HealthCheckTimeoutSeconds,HealthyThresholdCount,"
                                     "UnhealthyThresholdCount,Matcher");
    int rc;

    json_object_set_new(in, "TargetGroupArn", json_string(call->physical));
    rc = resource_call(call, "elbv2", "ModifyTargetGroup", in, NULL, err);
    if (rc == 0 && resource_changed(call, "Targets")) {
        rc = targets(call, "DeregisterTargets", call->physical,
                     json_object_get(call->previous, "Targets"), err);
        if (rc == 0) {
            rc = targets(call, "RegisterTargets", call->physical,
                         json_object_get(call->properties, "Targets"), err);
        }
    }
    if (rc == 0) {
        rc = set_attributes(call, &target_group_attributes, call->physical, err);
    }
    return rc != 0 ? rc : retag(call, err);
}

static int target_group_delete(struct resource_call *call, struct error *err)
{
    return delete_by(call, "DeleteTargetGroup", "TargetGroupArn", err);
}

/* Listener */

static int listener_create(struct resource_call *call, struct error *err)
{
    json_t *out;
    int rc =
        resource_call(call, "elbv2", "CreateListener", json_incref(call->properties), &out, err);

    if (rc == 0) {
        call->new_physical = mem_strdup(resource_at(out, "Listeners.0.ListenerArn"));
        resource_set_attribute(call, "ListenerArn", call->new_physical);
        json_decref(out);
    }
    return rc;
}

static int listener_update(struct resource_call *call, struct error *err)
{
    json_t *in = resource_all_but(call, "LoadBalancerArn,Tags");

    int rc;

    json_object_set_new(in, "ListenerArn", json_string(call->physical));
    rc = resource_call(call, "elbv2", "ModifyListener", in, NULL, err);
    return rc != 0 ? rc : retag(call, err);
}

static int listener_delete(struct resource_call *call, struct error *err)
{
    return delete_by(call, "DeleteListener", "ListenerArn", err);
}

const struct resource_row resources_elbv2[] = {
    {.type = "AWS::ElasticLoadBalancingV2::LoadBalancer",
     .create = balancer_create,
     .ready = balancer_ready,
     .update = balancer_update,
     .replace = "Name,Scheme,Type",
     .name = "Name",
     .delete = balancer_delete,
     .tagged = true},
    {.type = "AWS::ElasticLoadBalancingV2::TargetGroup",
     .create = target_group_create,
     .update = target_group_update,
     .replace = "Name,Port,Protocol,ProtocolVersion,TargetType,VpcId",
     .defaults = "{\"HealthCheckProtocol\": \"HTTP\", \"HealthCheckPort\": \"traffic-port\","
                 " \"HealthCheckPath\": \"/\", \"HealthCheckEnabled\": true,"
                 " \"HealthCheckIntervalSeconds\": 30, \"HealthCheckTimeoutSeconds\": 5,"
                 " \"HealthyThresholdCount\": 5, \"UnhealthyThresholdCount\": 2,"
                 " \"Matcher\": {\"HttpCode\": \"200\"}}",
     .name = "Name",
     .delete = target_group_delete,
     .tagged = true},
    {.type = "AWS::ElasticLoadBalancingV2::Listener",
     .create = listener_create,
     .update = listener_update,
     .replace = "LoadBalancerArn",
     .delete = listener_delete,
     .tagged = true},
    {.type = NULL},
};
