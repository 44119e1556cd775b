/* AWS::EC2::SecurityGroup */
#include "services/cloudformation/resources_ec2.h"

#include <stdlib.h>

/* One rule in CloudFormation's flat form -> the API's IpPermissions element. */
static json_t *permission(json_t *rule)
{
    json_t *permission = json_object();
    json_t *description = json_object_get(rule, "Description");
    json_t *peer = NULL;
    const char *const copied[] = {"IpProtocol", "FromPort", "ToPort"};
    const char *list = NULL;

    for (size_t i = 0; i < COUNT_OF(copied); i++) {
        json_t *value = json_object_get(rule, copied[i]);

        if (value != NULL) {
            json_object_set(permission, copied[i], value);
        }
    }
    if (json_object_get(rule, "CidrIp") != NULL) {
        list = "IpRanges";
        peer = json_pack("{s:O}", "CidrIp", json_object_get(rule, "CidrIp"));
    } else if (json_object_get(rule, "CidrIpv6") != NULL) {
        list = "Ipv6Ranges";
        peer = json_pack("{s:O}", "CidrIpv6", json_object_get(rule, "CidrIpv6"));
    } else {
        json_t *group = json_object_get(rule, "SourceSecurityGroupId");

        group = group != NULL ? group : json_object_get(rule, "DestinationSecurityGroupId");
        if (group != NULL) {
            list = "UserIdGroupPairs";
            peer = json_pack("{s:O}", "GroupId", group);
        }
    }
    if (peer != NULL && description != NULL) {
        json_object_set(peer, "Description", description);
    }
    if (peer != NULL) {
        json_object_set_new(permission, list, json_pack("[o]", peer));
    }
    return permission;
}

static int check_rules(json_t *rules, struct error *err)
{
    json_t *rule, *value;
    const char *name;
    size_t index;

    json_array_foreach(rules, index, rule)
    {
        json_object_foreach(rule, name, value)
        {
            if (!resource_named("IpProtocol,FromPort,ToPort,CidrIp,CidrIpv6,Description,"
                                "SourceSecurityGroupId,DestinationSecurityGroupId",
                                name)) {
                return error_api(err, "ValidationError", "Encountered unsupported property %s",
                                 name);
            }
        }
    }
    return 0;
}

static int change_rules(struct resource_call *call, const char *group, const char *action,
                        json_t *rules, struct error *err)
{
    json_t *permissions = json_array();
    json_t *rule;
    size_t index;

    json_array_foreach(rules, index, rule)
    {
        json_array_append_new(permissions, permission(rule));
    }
    if (json_array_size(permissions) == 0) {
        json_decref(permissions);
        return 0;
    }
    return resource_call(call, "ec2", action,
                         json_pack("{s:s, s:o}", "GroupId", group, "IpPermissions", permissions),
                         NULL, err);
}

/* A new group allows everything out; a template that lists egress rules replaces that. */
static int drop_default_egress(struct resource_call *call, struct error *err)
{
    return resource_call(call, "ec2", "RevokeSecurityGroupEgress",
                         json_pack("{s:s, s:[{s:s, s:[{s:s}]}]}", "GroupId", call->new_physical,
                                   "IpPermissions", "IpProtocol", "-1", "IpRanges", "CidrIp",
                                   "0.0.0.0/0"),
                         NULL, err);
}

int security_group_create(struct resource_call *call, struct error *err)
{
    json_t *egress = json_object_get(call->properties, "SecurityGroupEgress");
    json_t *in = resource_pick(call, "VpcId");
    char *made = resource_text(call, "GroupName") == NULL ? resource_make_name(call, 255) : NULL;
    json_t *out;
    int rc;

    json_object_set_new(in, "GroupName",
                        json_string(made != NULL ? made : resource_text(call, "GroupName")));
    json_object_set_new(in, "Description",
                        json_string(resource_text(call, "GroupDescription") == NULL
                                        ? ""
                                        : resource_text(call, "GroupDescription")));
    free(made);
    rc = check_rules(json_object_get(call->properties, "SecurityGroupIngress"), err);
    rc = rc != 0 ? rc : check_rules(egress, err);
    if (rc != 0) {
        json_decref(in);
        return rc;
    }
    rc = resource_call(call, "ec2", "CreateSecurityGroup", in, &out, err);
    if (rc != 0) {
        return rc;
    }
    rc = ec2_take_id(call, out, "GroupId", err);
    resource_set_attribute(call, "GroupId", call->new_physical);
    resource_set_attribute(call, "VpcId", resource_text(call, "VpcId"));
    if (rc == 0) {
        rc = ec2_tag(call, "security-group", err);
    }
    if (rc == 0) {
        rc = change_rules(call, call->new_physical, "AuthorizeSecurityGroupIngress",
                          json_object_get(call->properties, "SecurityGroupIngress"), err);
    }
    if (rc == 0 && egress != NULL) {
        rc = drop_default_egress(call, err);
    }
    if (rc == 0) {
        rc = change_rules(call, call->new_physical, "AuthorizeSecurityGroupEgress", egress, err);
    }
    return rc;
}

/* The rules of @list that @other lacks; a new array. */
static json_t *rules_only_in(json_t *list, json_t *other)
{
    json_t *only = json_array();
    json_t *rule, *twin;
    size_t i, j;

    json_array_foreach(list, i, rule)
    {
        bool found = false;

        json_array_foreach(other, j, twin)
        {
            found |= json_equal(rule, twin);
        }
        if (!found) {
            json_array_append(only, rule);
        }
    }
    return only;
}

/* One by one: a rollback finds some done and some not. */
static int change_each(struct resource_call *call, const char *action, json_t *rules,
                       struct error *err)
{
    json_t *rule;
    size_t index;
    int rc = 0;

    json_array_foreach(rules, index, rule)
    {
        rc = resource_change(
            call, "ec2", action,
            json_pack("{s:s, s:[o]}", "GroupId", call->physical, "IpPermissions", permission(rule)),
            err);
        if (rc != 0) {
            break;
        }
    }
    return rc;
}

int security_group_update(struct resource_call *call, struct error *err)
{
    static const struct {
        const char *property, *revoke, *authorize;
    } directions[] = {
        {"SecurityGroupIngress", "RevokeSecurityGroupIngress", "AuthorizeSecurityGroupIngress"},
        {"SecurityGroupEgress", "RevokeSecurityGroupEgress", "AuthorizeSecurityGroupEgress"},
    };
    int rc = ec2_retag(call, err);

    for (size_t i = 0; rc == 0 && i < COUNT_OF(directions); i++) {
        json_t *now = json_object_get(call->properties, directions[i].property);
        json_t *before = json_object_get(call->previous, directions[i].property);
        json_t *gone = rules_only_in(before, now), *added = rules_only_in(now, before);

        rc = check_rules(added, err);
        if (rc == 0) {
            rc = change_each(call, directions[i].revoke, gone, err);
        }
        if (rc == 0) {
            rc = change_each(call, directions[i].authorize, added, err);
        }
        json_decref(gone);
        json_decref(added);
    }
    return rc;
}

int security_group_delete(struct resource_call *call, struct error *err)
{
    return ec2_delete_by(call, "DeleteSecurityGroup", "GroupId", err);
}
