/* AWS::DynamoDB::Table, AWS::IAM::*, AWS::ResourceGroups::Group, AWS::SSM::Parameter */
#include "services/cloudformation/resource.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* The text property @property, or a name made up: malloc()ed. */
static char *name_of(struct resource_call *call, const char *property, size_t length)
{
    const char *given = resource_text(call, property);

    return given == NULL ? resource_make_name(call, length) : mem_strdup(given);
}

/* AWS::DynamoDB::Table */

static int table_create(struct resource_call *call, struct error *err)
{
    char *name = name_of(call, "TableName", 255);
    json_t *in = resource_all_but(call, "TableName");
    json_t *out;
    int rc;

    json_object_set_new(in, "TableName", json_string(name));
    rc = resource_call(call, "dynamodb", "CreateTable", in, &out, err);
    if (rc != 0) {
        free(name);
        return rc;
    }
    call->new_physical = name;
    resource_set_attribute(call, "Arn", resource_at(out, "TableDescription.TableArn"));
    resource_tag(call, resource_at(out, "TableDescription.TableArn"));
    json_decref(out);
    return 0;
}

static int table_status(struct resource_call *call, json_t **out, struct error *err)
{
    return resource_call(call, "dynamodb", "DescribeTable",
                         json_pack("{s:s}", "TableName", call->physical), out, err);
}

static int table_ready(struct resource_call *call, bool *done, struct error *err)
{
    json_t *out;
    int rc = table_status(call, &out, err);

    if (rc == 0) {
        const char *status = resource_at(out, "Table.TableStatus");

        *done = status != NULL && strcmp(status, "ACTIVE") == 0;
        json_decref(out);
    }
    return rc;
}

static int table_update(struct resource_call *call, struct error *err)
{
    static const char *const together[] = {"BillingMode,ProvisionedThroughput",
                                           "DeletionProtectionEnabled", "TableClass"};
    json_t *in = json_object();
    int rc = resource_retag(call, "dynamodb", "TagResource", "UntagResource", "ResourceArn",
                            json_string(ctx_arn(call->ctx, "dynamodb", "table/%s", call->physical)),
                            err);

    for (size_t i = 0; i < COUNT_OF(together); i++) {
        if (resource_changed(call, together[i])) {
            json_object_update_new(in, resource_pick(call, together[i]));
        }
    }
    if (rc != 0 || json_object_size(in) == 0) {
        json_decref(in);
        return rc;
    }
    json_object_set_new(in, "TableName", json_string(call->physical));
    return resource_call(call, "dynamodb", "UpdateTable", in, NULL, err);
}

static int table_delete(struct resource_call *call, struct error *err)
{
    return resource_call(call, "dynamodb", "DeleteTable",
                         json_pack("{s:s}", "TableName", call->physical), NULL, err);
}

static int table_gone(struct resource_call *call, bool *done, struct error *err)
{
    json_t *out;
    int rc = table_status(call, &out, err);

    *done = false;
    if (rc == 0) {
        json_decref(out);
    }
    return rc; /* ResourceNotFoundException is what we wait for. */
}

/* AWS::IAM::Role */

static json_t *document(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_t *string = json_is_string(json) ? json_incref(json) : json_string(text);

    free(text);
    return string;
}

static int put_inline(struct resource_call *call, const char *role, struct error *err)
{
    json_t *policies = json_object_get(call->properties, "Policies");
    json_t *policy;
    size_t index;

    json_array_foreach(policies, index, policy)
    {
        json_t *in = json_pack("{s:s, s:O, s:o}", "RoleName", role, "PolicyName",
                               json_object_get(policy, "PolicyName"), "PolicyDocument",
                               document(json_object_get(policy, "PolicyDocument")));
        int rc = resource_call(call, "iam", "PutRolePolicy", in, NULL, err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int attach_managed(struct resource_call *call, const char *role, json_t *arns,
                          const char *action, struct error *err)
{
    json_t *arn;
    size_t index;

    json_array_foreach(arns, index, arn)
    {
        int rc = resource_change(call, "iam", action,
                                 json_pack("{s:s, s:O}", "RoleName", role, "PolicyArn", arn), err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int role_create(struct resource_call *call, struct error *err)
{
    char *name = name_of(call, "RoleName", 64);
    json_t *in = resource_pick(call, "Path,Description,MaxSessionDuration,Tags");
    json_t *out;
    int rc;

    json_object_set_new(in, "RoleName", json_string(name));
    json_object_set_new(in, "AssumeRolePolicyDocument",
                        document(json_object_get(call->properties, "AssumeRolePolicyDocument")));
    rc = resource_call(call, "iam", "CreateRole", in, &out, err);
    if (rc != 0) {
        free(name);
        return rc;
    }
    call->new_physical = name;
    resource_set_attribute(call, "Arn", resource_at(out, "Role.Arn"));
    resource_set_attribute(call, "RoleId", resource_at(out, "Role.RoleId"));
    json_decref(out);
    rc = put_inline(call, name, err);
    return rc != 0
               ? rc
               : attach_managed(call, name, json_object_get(call->properties, "ManagedPolicyArns"),
                                "AttachRolePolicy", err);
}

static int drop_inline(struct resource_call *call, json_t *properties, struct error *err)
{
    json_t *policies = json_object_get(properties, "Policies");
    json_t *policy;
    size_t index;

    json_array_foreach(policies, index, policy)
    {
        int rc = resource_call(call, "iam", "DeleteRolePolicy",
                               json_pack("{s:s, s:O}", "RoleName", call->physical, "PolicyName",
                                         json_object_get(policy, "PolicyName")),
                               NULL, err);

        /* One that is no policy's was never made. */
        if (rc != 0 && strcmp(err->aws_code, "NoSuchEntity") != 0 &&
            strcmp(err->aws_code, "ValidationError") != 0) {
            return rc;
        }
    }
    return 0;
}

static int role_update(struct resource_call *call, struct error *err)
{
    int rc = drop_inline(call, call->previous, err);

    if (rc == 0) {
        rc = resource_retag(call, "iam", "TagRole", "UntagRole", "RoleName",
                            json_string(call->physical), err);
    }
    if (rc == 0 && resource_changed(call, "Description,MaxSessionDuration")) {
        json_t *in = resource_pick(call, "Description,MaxSessionDuration");

        json_object_set_new(in, "RoleName", json_string(call->physical));
        rc = resource_call(call, "iam", "UpdateRole", in, NULL, err);
    }
    if (rc == 0) {
        rc = put_inline(call, call->physical, err);
    }
    if (rc == 0 && resource_changed(call, "ManagedPolicyArns")) {
        rc = attach_managed(call, call->physical,
                            json_object_get(call->previous, "ManagedPolicyArns"),
                            "DetachRolePolicy", err);
        if (rc == 0) {
            rc = attach_managed(call, call->physical,
                                json_object_get(call->properties, "ManagedPolicyArns"),
                                "AttachRolePolicy", err);
        }
    }
    if (rc == 0 && resource_changed(call, "AssumeRolePolicyDocument")) {
        rc = resource_call(
            call, "iam", "UpdateAssumeRolePolicy",
            json_pack("{s:s, s:o}", "RoleName", call->physical, "PolicyDocument",
                      document(json_object_get(call->properties, "AssumeRolePolicyDocument"))),
            NULL, err);
    }
    return rc;
}

/* What was never attached, for its creation failed, cannot be taken away; DeleteRole names what is
 * left. */
static int role_delete(struct resource_call *call, struct error *err)
{
    json_t *arns = json_object_get(call->properties, "ManagedPolicyArns"), *arn;
    struct error ignored = {0};
    size_t index;
    int rc = drop_inline(call, call->properties, err);

    if (rc != 0 && strcmp(err->aws_code, "NoSuchEntity") != 0) {
        return rc;
    }
    json_array_foreach(arns, index, arn)
    {
        resource_call(call, "iam", "DetachRolePolicy",
                      json_pack("{s:s, s:O}", "RoleName", call->physical, "PolicyArn", arn), NULL,
                      &ignored);
    }
    return resource_call(call, "iam", "DeleteRole", json_pack("{s:s}", "RoleName", call->physical),
                         NULL, err);
}

/* AWS::IAM::InstanceProfile */

static int profile_roles(struct resource_call *call, const char *profile, json_t *roles,
                         const char *action, struct error *err)
{
    json_t *role;
    size_t index;

    json_array_foreach(roles, index, role)
    {
        int rc = resource_change(
            call, "iam", action,
            json_pack("{s:s, s:O}", "InstanceProfileName", profile, "RoleName", role), err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int profile_create(struct resource_call *call, struct error *err)
{
    char *name = name_of(call, "InstanceProfileName", 128);
    json_t *in = resource_pick(call, "Path");
    json_t *out;
    int rc;

    json_object_set_new(in, "InstanceProfileName", json_string(name));
    rc = resource_call(call, "iam", "CreateInstanceProfile", in, &out, err);
    if (rc != 0) {
        free(name);
        return rc;
    }
    call->new_physical = name;
    resource_set_attribute(call, "Arn", resource_at(out, "InstanceProfile.Arn"));
    json_decref(out);
    return profile_roles(call, name, json_object_get(call->properties, "Roles"),
                         "AddRoleToInstanceProfile", err);
}

static int profile_update(struct resource_call *call, struct error *err)
{
    int rc = profile_roles(call, call->physical, json_object_get(call->previous, "Roles"),
                           "RemoveRoleFromInstanceProfile", err);

    return rc != 0 ? rc
                   : profile_roles(call, call->physical, json_object_get(call->properties, "Roles"),
                                   "AddRoleToInstanceProfile", err);
}

static int profile_delete(struct resource_call *call, struct error *err)
{
    struct error ignored = {
        0}; /* A role that was never added; DeleteInstanceProfile says the rest. */

    profile_roles(call, call->physical, json_object_get(call->properties, "Roles"),
                  "RemoveRoleFromInstanceProfile", &ignored);
    return resource_call(call, "iam", "DeleteInstanceProfile",
                         json_pack("{s:s}", "InstanceProfileName", call->physical), NULL, err);
}

/* AWS::ResourceGroups::Group */

static json_t *group_query(struct resource_call *call)
{
    json_t *query = json_object_get(call->properties, "ResourceQuery");
    json_t *type = json_object_get(query, "Type");
    json_t *body = json_object_get(query, "Query");

    return json_pack("{s:o, s:o}", "Type", type == NULL ? json_null() : json_incref(type), "Query",
                     document(body));
}

static json_t *tag_map(const struct resource_call *call)
{
    json_t *map = json_object(), *tag;
    size_t index;

    json_array_foreach(json_object_get(call->properties, "Tags"), index, tag)
    {
        json_object_set(map, json_string_value(json_object_get(tag, "Key")),
                        json_object_get(tag, "Value"));
    }
    return map;
}

static int resource_group_create(struct resource_call *call, struct error *err)
{
    json_t *in = resource_pick(call, "Name,Description");
    json_t *out;
    int rc;

    json_object_set_new(in, "ResourceQuery", group_query(call));
    json_object_set_new(in, "Tags", tag_map(call));
    rc = resource_call(call, "resourcegroups", "CreateGroup", in, &out, err);
    if (rc == 0) {
        call->new_physical = mem_strdup(resource_at(out, "Group.Name"));
        resource_set_attribute(call, "Arn", resource_at(out, "Group.GroupArn"));
        json_decref(out);
    }
    return rc;
}

static int resource_group_retag(struct resource_call *call, struct error *err)
{
    const char *arn = ctx_arn(call->ctx, "resource-groups", "group/%s", call->physical);
    json_t *now = tag_map(call), *gone = resource_tags_gone(call);
    int rc = 0;

    if (json_object_size(now) > 0 && resource_changed(call, "Tags")) {
        rc = resource_call(call, "resourcegroups", "Tag",
                           json_pack("{s:s, s:O}", "Arn", arn, "Tags", now), NULL, err);
    }
    if (rc == 0 && json_array_size(gone) > 0) {
        rc = resource_change(call, "resourcegroups", "Untag",
                             json_pack("{s:s, s:O}", "Arn", arn, "Keys", gone), err);
    }
    json_decref(now);
    json_decref(gone);
    return rc;
}

static int resource_group_update(struct resource_call *call, struct error *err)
{
    int rc = resource_call(
        call, "resourcegroups", "UpdateGroupQuery",
        json_pack("{s:s, s:o}", "GroupName", call->physical, "ResourceQuery", group_query(call)),
        NULL, err);

    if (rc == 0 && resource_changed(call, "Description")) {
        rc = resource_call(call, "resourcegroups", "UpdateGroup",
                           json_pack("{s:s, s:O}", "GroupName", call->physical, "Description",
                                     json_object_get(call->properties, "Description")),
                           NULL, err);
    }
    return rc != 0 ? rc : resource_group_retag(call, err);
}

static int resource_group_delete(struct resource_call *call, struct error *err)
{
    return resource_call(call, "resourcegroups", "DeleteGroup",
                         json_pack("{s:s}", "GroupName", call->physical), NULL, err);
}

const struct resource_row resources_other[] = {
    {.type = "AWS::DynamoDB::Table",
     .properties = "TableName,AttributeDefinitions,KeySchema,BillingMode,ProvisionedThroughput,"
                   "DeletionProtectionEnabled,TableClass,Tags",
     .create = table_create,
     .ready = table_ready,
     .update = table_update,
     .replace = "TableName,KeySchema,AttributeDefinitions",
     .defaults = "{\"BillingMode\": \"PROVISIONED\", \"DeletionProtectionEnabled\": false,"
                 " \"TableClass\": \"STANDARD\"}",
     .name = "TableName",
     .delete = table_delete,
     .gone = table_gone,
     .tagged = true},
    {.type = "AWS::IAM::Role",
     .properties = "RoleName,Path,Description,MaxSessionDuration,AssumeRolePolicyDocument,Policies,"
                   "ManagedPolicyArns,Tags",
     .create = role_create,
     .update = role_update,
     .replace = "RoleName,Path",
     .defaults = "{\"Description\": \"\", \"MaxSessionDuration\": 3600}",
     .name = "RoleName",
     .delete = role_delete,
     .tagged = true},
    {.type = "AWS::IAM::InstanceProfile",
     .properties = "InstanceProfileName,Path,Roles",
     .create = profile_create,
     .update = profile_update,
     .replace = "InstanceProfileName,Path",
     .name = "InstanceProfileName",
     .delete = profile_delete},
    {.type = "AWS::ResourceGroups::Group",
     .properties = "Name,Description,ResourceQuery,Tags",
     .create = resource_group_create,
     .update = resource_group_update,
     .replace = "Name",
     .defaults = "{\"Description\": \"\"}",
     .name = "Name",
     .delete = resource_group_delete,
     .tagged = true},
    {.type = NULL},
};
