/* AWS::EC2::*; security groups are in resources_security_group.c. */
#include "services/cloudformation/resources_ec2.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

int ec2_take_id(struct resource_call *call, json_t *out, const char *path, struct error *err)
{
    const char *id = resource_at(out, path);

    call->new_physical = mem_strdup(id);
    json_decref(out);
    return id != NULL ? 0 : error_set(err, ERR_INTERNAL, "the answer has no %s", path);
}

int ec2_tag(struct resource_call *call, const char *kind, struct error *err)
{
    json_t *tags = json_object_get(call->properties, "Tags");

    resource_tag(call, ctx_arn(call->ctx, "ec2", "%s/%s", kind, call->new_physical));
    if (tags == NULL || json_array_size(tags) == 0) {
        return 0;
    }
    return resource_call(call, "ec2", "CreateTags",
                         json_pack("{s:[s], s:O}", "Resources", call->new_physical, "Tags", tags),
                         NULL, err);
}

int ec2_retag(struct resource_call *call, struct error *err)
{
    json_t *now = json_object_get(call->properties, "Tags");
    json_t *keys = resource_tags_gone(call), *gone = json_array(), *key;
    size_t index;
    int rc = 0;

    json_array_foreach(keys, index, key)
    {
        json_array_append_new(gone, json_pack("{s:O}", "Key", key));
    }
    if (json_array_size(gone) > 0) {
        rc = resource_change(call, "ec2", "DeleteTags",
                             json_pack("{s:[s], s:O}", "Resources", call->physical, "Tags", gone),
                             err);
    }
    json_decref(keys);
    json_decref(gone);
    if (rc == 0 && json_array_size(now) > 0) {
        rc = resource_call(call, "ec2", "CreateTags",
                           json_pack("{s:[s], s:O}", "Resources", call->physical, "Tags", now),
                           NULL, err);
    }
    return rc;
}

int ec2_delete_by(struct resource_call *call, const char *action, const char *member,
                  struct error *err)
{
    return resource_call(call, "ec2", action, json_pack("{s:s}", member, call->physical), NULL,
                         err);
}

/* AWS::EC2::VPC */

static int vpc_attributes(struct resource_call *call, const char *vpc, struct error *err)
{
    static const char *const names[] = {"EnableDnsSupport", "EnableDnsHostnames"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_t *value = json_object_get(call->properties, names[i]);
        int rc =
            value == NULL
                ? 0
                : resource_call(call, "ec2", "ModifyVpcAttribute",
                                json_pack("{s:s, s:{s:O}}", "VpcId", vpc, names[i], "Value", value),
                                NULL, err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int vpc_create(struct resource_call *call, struct error *err)
{
    const char *group = NULL;
    json_t *out;
    int rc = resource_call(call, "ec2", "CreateVpc",
                           resource_all_but(call, "Tags,EnableDnsSupport,EnableDnsHostnames"), &out,
                           err);

    if (rc != 0) {
        return rc;
    }
    resource_set_attribute(call, "CidrBlock", resource_at(out, "Vpc.CidrBlock"));
    rc = ec2_take_id(call, out, "Vpc.VpcId", err);
    resource_set_attribute(call, "VpcId", call->new_physical);
    if (rc == 0) {
        rc = vpc_attributes(call, call->new_physical, err);
    }
    if (rc == 0) {
        rc = resource_default_group(call, call->new_physical, &group, err);
    }
    if (rc == 0) {
        resource_set_attribute(call, "DefaultSecurityGroup", group);
    }
    return rc != 0 ? rc : ec2_tag(call, "vpc", err);
}

static int vpc_update(struct resource_call *call, struct error *err)
{
    int rc = vpc_attributes(call, call->physical, err);

    return rc != 0 ? rc : ec2_retag(call, err);
}

static int vpc_delete(struct resource_call *call, struct error *err)
{
    return ec2_delete_by(call, "DeleteVpc", "VpcId", err);
}

/* AWS::EC2::InternetGateway, AWS::EC2::VPCGatewayAttachment */

static int gateway_create(struct resource_call *call, struct error *err)
{
    json_t *out;
    int rc = resource_call(call, "ec2", "CreateInternetGateway", json_object(), &out, err);

    if (rc == 0) {
        rc = ec2_take_id(call, out, "InternetGateway.InternetGatewayId", err);
        resource_set_attribute(call, "InternetGatewayId", call->new_physical);
    }
    return rc != 0 ? rc : ec2_tag(call, "internet-gateway", err);
}

static int gateway_delete(struct resource_call *call, struct error *err)
{
    return ec2_delete_by(call, "DeleteInternetGateway", "InternetGatewayId", err);
}

static int attachment_create(struct resource_call *call, struct error *err)
{
    int rc = resource_call(call, "ec2", "AttachInternetGateway", json_incref(call->properties),
                           NULL, err);

    if (rc == 0) {
        struct slice id = arena_printf(call->ctx->arena, "IGW|%s", resource_text(call, "VpcId"));

        call->new_physical = mem_strdup(id.data);
        resource_set_attribute(call, "AttachmentType", "IGW");
    }
    return rc;
}

static int attachment_delete(struct resource_call *call, struct error *err)
{
    return resource_call(call, "ec2", "DetachInternetGateway", json_incref(call->properties), NULL,
                         err);
}

/* AWS::EC2::Subnet */

static int subnet_attributes(struct resource_call *call, const char *subnet, struct error *err)
{
    json_t *value = json_object_get(call->properties, "MapPublicIpOnLaunch");

    return value == NULL ? 0
                         : resource_call(call, "ec2", "ModifySubnetAttribute",
                                         json_pack("{s:s, s:{s:O}}", "SubnetId", subnet,
                                                   "MapPublicIpOnLaunch", "Value", value),
                                         NULL, err);
}

static int subnet_create(struct resource_call *call, struct error *err)
{
    json_t *out;
    int rc = resource_call(call, "ec2", "CreateSubnet",
                           resource_all_but(call, "Tags,MapPublicIpOnLaunch"), &out, err);

    if (rc != 0) {
        return rc;
    }
    resource_set_attribute(call, "AvailabilityZone", resource_at(out, "Subnet.AvailabilityZone"));
    resource_set_attribute(call, "CidrBlock", resource_at(out, "Subnet.CidrBlock"));
    resource_set_attribute(call, "VpcId", resource_at(out, "Subnet.VpcId"));
    rc = ec2_take_id(call, out, "Subnet.SubnetId", err);
    resource_set_attribute(call, "SubnetId", call->new_physical);
    if (rc == 0) {
        rc = subnet_attributes(call, call->new_physical, err);
    }
    return rc != 0 ? rc : ec2_tag(call, "subnet", err);
}

static int subnet_update(struct resource_call *call, struct error *err)
{
    int rc = subnet_attributes(call, call->physical, err);

    return rc != 0 ? rc : ec2_retag(call, err);
}

static int subnet_delete(struct resource_call *call, struct error *err)
{
    return ec2_delete_by(call, "DeleteSubnet", "SubnetId", err);
}

/* AWS::EC2::RouteTable, AWS::EC2::Route, AWS::EC2::SubnetRouteTableAssociation */

static int route_table_create(struct resource_call *call, struct error *err)
{
    json_t *out;
    int rc =
        resource_call(call, "ec2", "CreateRouteTable", resource_pick(call, "VpcId"), &out, err);

    if (rc == 0) {
        rc = ec2_take_id(call, out, "RouteTable.RouteTableId", err);
        resource_set_attribute(call, "RouteTableId", call->new_physical);
    }
    return rc != 0 ? rc : ec2_tag(call, "route-table", err);
}

static int route_table_delete(struct resource_call *call, struct error *err)
{
    return ec2_delete_by(call, "DeleteRouteTable", "RouteTableId", err);
}

static int route_create(struct resource_call *call, struct error *err)
{
    int rc = resource_call(call, "ec2", "CreateRoute", json_incref(call->properties), NULL, err);

    if (rc == 0) {
        struct slice id =
            arena_printf(call->ctx->arena, "%s|%s", resource_text(call, "RouteTableId"),
                         resource_text(call, "DestinationCidrBlock"));

        call->new_physical = mem_strdup(id.data);
        resource_set_attribute(call, "CidrBlock", resource_text(call, "DestinationCidrBlock"));
    }
    return rc;
}

static int route_delete(struct resource_call *call, struct error *err)
{
    return resource_call(call, "ec2", "DeleteRoute",
                         resource_pick(call, "RouteTableId,DestinationCidrBlock"), NULL, err);
}

static int association_create(struct resource_call *call, struct error *err)
{
    json_t *out;
    int rc =
        resource_call(call, "ec2", "AssociateRouteTable", json_incref(call->properties), &out, err);

    if (rc == 0) {
        rc = ec2_take_id(call, out, "AssociationId", err);
        resource_set_attribute(call, "Id", call->new_physical);
    }
    return rc;
}

static int association_delete(struct resource_call *call, struct error *err)
{
    return ec2_delete_by(call, "DisassociateRouteTable", "AssociationId", err);
}

/* AWS::EC2::LaunchTemplate */

static int template_versions(struct resource_call *call, const char *id, struct error *err)
{
    json_t *out;
    int rc = resource_call(call, "ec2", "DescribeLaunchTemplates",
                           json_pack("{s:[s]}", "LaunchTemplateIds", id), &out, err);
    const char *const names[] = {"LatestVersionNumber", "DefaultVersionNumber"};

    for (size_t i = 0; rc == 0 && i < COUNT_OF(names); i++) {
        json_t *row = json_array_get(json_object_get(out, "LaunchTemplates"), 0);
        struct slice text = arena_printf(call->ctx->arena, "%lld",
                                         json_integer_value(json_object_get(row, names[i])));

        resource_set_attribute(call, names[i], text.data);
    }
    if (rc == 0) {
        json_decref(out);
    }
    return rc;
}

static int launch_template_create(struct resource_call *call, struct error *err)
{
    json_t *in = resource_all_but(call, "TagSpecifications");
    json_t *tags = json_object_get(call->properties, "TagSpecifications");
    json_t *out;
    int rc;

    if (json_object_get(in, "LaunchTemplateName") == NULL) {
        char *made = resource_make_name(call, 128);

        json_object_set_new(in, "LaunchTemplateName", json_string(made));
        free(made);
    }
    if (tags != NULL) {
        json_object_set(in, "TagSpecifications", tags);
    }
    rc = resource_call(call, "ec2", "CreateLaunchTemplate", in, &out, err);
    if (rc == 0) {
        rc = ec2_take_id(call, out, "LaunchTemplate.LaunchTemplateId", err);
        resource_set_attribute(call, "LaunchTemplateId", call->new_physical);
    }
    if (rc == 0) {
        resource_tag(call, ctx_arn(call->ctx, "ec2", "launch-template/%s", call->new_physical));
        rc = template_versions(call, call->new_physical, err);
    }
    return rc;
}

static int launch_template_update(struct resource_call *call, struct error *err)
{
    json_t *in = resource_pick(call, "LaunchTemplateData,VersionDescription");
    int rc;

    json_object_set_new(in, "LaunchTemplateId", json_string(call->physical));
    rc = resource_call(call, "ec2", "CreateLaunchTemplateVersion", in, NULL, err);
    return rc != 0 ? rc : template_versions(call, call->physical, err);
}

static int launch_template_delete(struct resource_call *call, struct error *err)
{
    return ec2_delete_by(call, "DeleteLaunchTemplate", "LaunchTemplateId", err);
}

/* AWS::EC2::Instance */

static int instance_create(struct resource_call *call, struct error *err)
{
    json_t *in = resource_all_but(call, "Tags,AvailabilityZone,IamInstanceProfile,Monitoring");
    json_t *tags = json_object_get(call->properties, "Tags");
    json_t *out, *value;
    int rc;

    json_object_set_new(in, "MinCount", json_integer(1));
    json_object_set_new(in, "MaxCount", json_integer(1));
    value = json_object_get(call->properties, "AvailabilityZone");
    if (value != NULL) {
        json_object_set_new(in, "Placement", json_pack("{s:O}", "AvailabilityZone", value));
    }
    value = json_object_get(call->properties, "IamInstanceProfile");
    if (value != NULL) {
        json_object_set_new(in, "IamInstanceProfile", json_pack("{s:O}", "Name", value));
    }
    value = json_object_get(call->properties, "Monitoring");
    if (value != NULL) {
        json_object_set_new(in, "Monitoring", json_pack("{s:O}", "Enabled", value));
    }
    if (tags != NULL) {
        json_object_set_new(in, "TagSpecifications",
                            json_pack("[{s:s, s:O}]", "ResourceType", "instance", "Tags", tags));
    }
    rc = resource_call(call, "ec2", "RunInstances", in, &out, err);
    if (rc == 0) {
        rc = ec2_take_id(call, out, "Instances.0.InstanceId", err);
    }
    if (rc == 0) {
        resource_tag(call, ctx_arn(call->ctx, "ec2", "instance/%s", call->new_physical));
    }
    return rc;
}

static int instance_describe(struct resource_call *call, const char *id, json_t **out,
                             struct error *err)
{
    return resource_call(call, "ec2", "DescribeInstances", json_pack("{s:[s]}", "InstanceIds", id),
                         out, err);
}

static int instance_ready(struct resource_call *call, bool *done, struct error *err)
{
    static const char *const names[] = {"PrivateIpAddress", "PublicIpAddress", "PrivateDnsName",
                                        "PublicDnsName"};
    json_t *out, *row;
    const char *state;
    int rc = instance_describe(call, call->physical, &out, err);

    if (rc != 0) {
        return rc;
    }
    row = json_array_get(
        json_object_get(json_array_get(json_object_get(out, "Reservations"), 0), "Instances"), 0);
    state = resource_at(row, "State.Name");
    *done = state != NULL && strcmp(state, "running") == 0;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *name = strcmp(names[i], "PrivateIpAddress") == 0  ? "PrivateIp"
                           : strcmp(names[i], "PublicIpAddress") == 0 ? "PublicIp"
                                                                      : names[i];

        resource_set_attribute(call, name, resource_at(row, names[i]));
    }
    resource_set_attribute(call, "AvailabilityZone",
                           resource_at(row, "Placement.AvailabilityZone"));
    if (state != NULL &&
        (strcmp(state, "terminated") == 0 || strcmp(state, "shutting-down") == 0)) {
        rc = error_api(err, "NotStabilized", "Instance %s failed to stabilize. Current state: %s",
                       call->physical, state);
    }
    json_decref(out);
    return rc;
}

static int instance_delete(struct resource_call *call, struct error *err)
{
    return resource_call(call, "ec2", "TerminateInstances",
                         json_pack("{s:[s]}", "InstanceIds", call->physical), NULL, err);
}

static int instance_gone(struct resource_call *call, bool *done, struct error *err)
{
    json_t *out;
    const char *state;
    int rc = instance_describe(call, call->physical, &out, err);

    if (rc != 0) {
        return rc;
    }
    state = resource_at(out, "Reservations.0.Instances.0.State.Name");
    *done = state == NULL || strcmp(state, "terminated") == 0;
    json_decref(out);
    return 0;
}

static int retag_only(struct resource_call *call, struct error *err)
{
    return ec2_retag(call, err);
}

const struct resource_row resources_ec2[] = {
    {.type = "AWS::EC2::VPC",
     .create = vpc_create,
     .update = vpc_update,
     .replace = "CidrBlock,InstanceTenancy",
     .defaults = "{\"EnableDnsSupport\": true, \"EnableDnsHostnames\": false}",
     .delete = vpc_delete,
     .tagged = true},
    {.type = "AWS::EC2::InternetGateway",
     .properties = "Tags",
     .create = gateway_create,
     .update = retag_only,
     .replace = "",
     .delete = gateway_delete,
     .tagged = true},
    {.type = "AWS::EC2::VPCGatewayAttachment",
     .create = attachment_create,
     .replace = "",
     .delete = attachment_delete},
    {.type = "AWS::EC2::Subnet",
     .create = subnet_create,
     .update = subnet_update,
     .replace = "CidrBlock,VpcId,AvailabilityZone",
     .defaults = "{\"MapPublicIpOnLaunch\": false}",
     .delete = subnet_delete,
     .tagged = true},
    {.type = "AWS::EC2::RouteTable",
     .properties = "VpcId,Tags",
     .create = route_table_create,
     .update = retag_only,
     .replace = "VpcId",
     .delete = route_table_delete,
     .tagged = true},
    {.type = "AWS::EC2::Route", .create = route_create, .replace = "", .delete = route_delete},
    {.type = "AWS::EC2::SubnetRouteTableAssociation",
     .create = association_create,
     .replace = "",
     .delete = association_delete},
    {.type = "AWS::EC2::SecurityGroup",
     .properties = "GroupName,GroupDescription,VpcId,SecurityGroupIngress,SecurityGroupEgress,Tags",
     .create = security_group_create,
     .update = security_group_update,
     .replace = "GroupName,GroupDescription,VpcId",
     .defaults = "{\"SecurityGroupEgress\": [{\"IpProtocol\": \"-1\", \"CidrIp\": \"0.0.0.0/0\"}]}",
     .name = "GroupName",
     .delete = security_group_delete,
     .tagged = true},
    {.type = "AWS::EC2::LaunchTemplate",
     .create = launch_template_create,
     .update = launch_template_update,
     .replace = "LaunchTemplateName",
     .name = "LaunchTemplateName",
     .delete = launch_template_delete},
    {.type = "AWS::EC2::Instance",
     .create = instance_create,
     .ready = instance_ready,
     .update = retag_only,
     .replace =
         "ImageId,SubnetId,InstanceType,UserData,KeyName,AvailabilityZone,IamInstanceProfile,"
         "Monitoring,SecurityGroupIds,NetworkInterfaces,BlockDeviceMappings,LaunchTemplate",
     .delete = instance_delete,
     .gone = instance_gone,
     .tagged = true},
    {.type = NULL},
};
