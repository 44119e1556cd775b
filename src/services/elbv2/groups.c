/* Target groups: the actions. */
#include "services/elbv2/private.h"

#include "base/alloc.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int elb_group_find(const struct elbv2 *elbv2, const char *arn, struct target_group **found,
                   struct error *err)
{
    *found = arn == NULL ? NULL : map_get_z(&elbv2->groups, arn);
    if (*found != NULL) {
        return 0;
    }
    if (arn == NULL || strstr(arn, ":targetgroup/") == NULL) {
        return error_api(err, "ValidationError", "'%s' is not a valid target group ARN",
                         arn == NULL ? "" : arn);
    }
    return error_api(err, "TargetGroupNotFound", "One or more target groups not found");
}

struct target_group *elb_group_named(const struct elbv2 *elbv2, const char *name)
{
    struct target_group *group;

    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        if (strcmp(group->name, name) == 0) {
            return group;
        }
    }
    return NULL;
}

struct load_balancer *elb_group_balancer(const struct elbv2 *elbv2, const char *group_arn)
{
    struct listener *listener;

    for (size_t at = 0; (listener = map_next(&elbv2->listeners, &at)) != NULL;) {
        if (elb_listener_uses(listener, group_arn)) {
            return map_get_z(&elbv2->balancers, listener->balancer);
        }
    }
    return NULL;
}

void elb_group_describe(struct ctx *ctx, const struct target_group *group, struct doc *list)
{
    const struct load_balancer *balancer = elb_group_balancer(elbv2_of(ctx), group->arn);
    struct doc *item = doc_list_add_struct(list), *arns;

    doc_set_z(item, M_TargetGroupArn, group->arn);
    doc_set_z(item, M_TargetGroupName, group->name);
    doc_set_z(item, M_Protocol, group->protocol);
    doc_set_int(item, M_Port, group->port);
    doc_set_z(item, M_VpcId, group->vpc);
    doc_set_z(item, M_HealthCheckProtocol, group->check_protocol);
    doc_set_z(item, M_HealthCheckPort, group->check_port);
    doc_set_bool(item, M_HealthCheckEnabled, true);
    doc_set_int(item, M_HealthCheckIntervalSeconds, group->check_interval_s);
    doc_set_int(item, M_HealthCheckTimeoutSeconds, group->check_timeout_s);
    doc_set_int(item, M_HealthyThresholdCount, group->healthy_count);
    doc_set_int(item, M_UnhealthyThresholdCount, group->unhealthy_count);
    doc_set_z(item, M_HealthCheckPath, group->check_path);
    doc_set_z(doc_set_struct(item, M_Matcher), M_HttpCode, group->check_codes);
    arns = doc_set_list(item, M_LoadBalancerArns);
    if (balancer != NULL) {
        doc_list_add_z(arns, balancer->arn);
    }
    doc_set_z(item, M_TargetType, group->type);
    doc_set_z(item, M_ProtocolVersion, group->protocol_version);
    doc_set_z(item, M_IpAddressType, "ipv4");
}

/* The health check settings of a request, over what is there. */
static void take_check(struct target_group *group, const struct doc *in)
{
    const struct doc *matcher = doc_get(in, M_Matcher);

    elb_text_set(&group->check_protocol, doc_z(in, M_HealthCheckProtocol));
    elb_text_set(&group->check_port, doc_z(in, M_HealthCheckPort));
    elb_text_set(&group->check_path, doc_z(in, M_HealthCheckPath));
    elb_text_set(&group->check_codes, doc_z(matcher, M_HttpCode));
    group->check_interval_s =
        (int32_t)doc_int_or(in, M_HealthCheckIntervalSeconds, group->check_interval_s);
    group->check_timeout_s =
        (int32_t)doc_int_or(in, M_HealthCheckTimeoutSeconds, group->check_timeout_s);
    group->healthy_count = (int32_t)doc_int_or(in, M_HealthyThresholdCount, group->healthy_count);
    group->unhealthy_count =
        (int32_t)doc_int_or(in, M_UnhealthyThresholdCount, group->unhealthy_count);
}

/* Would @in, over the settings of @group, be a health check? */
static int check_check(const struct target_group *group, const struct doc *in, struct error *err)
{
    const struct doc *matcher = doc_get(in, M_Matcher);
    struct slice protocol = doc_text(in, M_HealthCheckProtocol);
    struct slice port = doc_text(in, M_HealthCheckPort), path = doc_text(in, M_HealthCheckPath);
    int64_t interval = doc_int_or(in, M_HealthCheckIntervalSeconds, group->check_interval_s);
    int64_t timeout = doc_int_or(in, M_HealthCheckTimeoutSeconds, group->check_timeout_s);
    struct matcher parsed;
    struct error why;
    int64_t number;

    if (!doc_bool_or(in, M_HealthCheckEnabled, true)) {
        return error_api(err, "InvalidConfigurationRequest",
                         "Health check enabled must be true for target groups with target type "
                         "'%s'",
                         group->type);
    }
    if (protocol.bytes != 0 && !slice_equal_z(protocol, "HTTP")) {
        return error_api(err, "ValidationError",
                         "Health check protocol '%.*s' is not supported for target groups with "
                         "the protocol '%s'; muster offers HTTP",
                         SLICE_ARG(protocol), group->protocol);
    }
    if (port.bytes != 0 && !slice_equal_z(port, "traffic-port") &&
        text_to_i64(port, 1, 65535, &number, NULL) != 0) {
        return error_api(err, "ValidationError",
                         "Health check port '%.*s' must be 'traffic-port' or a number between "
                         "1 and 65535",
                         SLICE_ARG(port));
    }
    if (path.bytes != 0 && path.data[0] != '/') {
        return error_api(err, "ValidationError",
                         "Health check path '%.*s' must begin with a '/' "
                         "character",
                         SLICE_ARG(path));
    }
    for (size_t i = 0; i < path.bytes; i++) {
        if ((unsigned char)path.data[i] <= ' ' || (unsigned char)path.data[i] > '~') {
            return error_api(err, "ValidationError",
                             "Health check path '%.*s' contains invalid characters",
                             SLICE_ARG(path));
        }
    }
    if (timeout >= interval) {
        return error_api(err, "ValidationError",
                         "Health check timeout '%d' must be smaller than the interval '%d'",
                         (int)timeout, (int)interval);
    }
    if (doc_has(matcher, M_GrpcCode)) {
        return error_api(err, "ValidationError",
                         "GrpcCode is not supported for target groups with the protocol version "
                         "HTTP1");
    }
    if (doc_has(matcher, M_HttpCode) &&
        matcher_parse(doc_text(matcher, M_HttpCode), &parsed, &why) != 0) {
        return error_api(err, "ValidationError", "%s", why.message);
    }
    return 0;
}

static int create_check(struct ctx *ctx, const struct doc *in, struct error *err)
{
    struct slice type = doc_text(in, M_TargetType), protocol = doc_text(in, M_Protocol);
    struct slice version = doc_text(in, M_ProtocolVersion);
    const char *vpc = doc_z(in, M_VpcId);
    int rc = elb_name_check("Target group", doc_text(in, M_Name), err);

    if (rc != 0) {
        return rc;
    }
    if (type.bytes != 0 && !slice_equal_z(type, "instance") && !slice_equal_z(type, "ip")) {
        return error_api(err, "ValidationError",
                         "muster offers target groups of the types 'instance' and 'ip' only");
    }
    if (protocol.bytes == 0) {
        return error_api(err, "ValidationError", "A protocol must be specified");
    }
    if (!slice_equal_z(protocol, "HTTP")) {
        return error_api(err, "UnsupportedProtocol",
                         "muster offers target groups with the protocol HTTP only");
    }
    if (version.bytes != 0 && !slice_equal_z(version, "HTTP1")) {
        return error_api(err, "ValidationError",
                         "muster offers target groups with the protocol version HTTP1 only");
    }
    if (!doc_has(in, M_Port)) {
        return error_api(err, "ValidationError", "A port must be specified");
    }
    if (vpc == NULL) {
        return error_api(err, "ValidationError", "A VPC ID must be specified");
    }
    if (ec2_vpc_find(ctx->control, vpc) == NULL) {
        return error_api(err, "ValidationError", "The VPC ID '%s' is not found", vpc);
    }
    return elb_tags_check(in, err);
}

static struct target_group *make(const struct doc *in)
{
    struct target_group *group = mem_calloc(1, sizeof(*group));

    group->name = mem_strdup(doc_z(in, M_Name));
    group->vpc = mem_strdup(doc_z(in, M_VpcId));
    group->type = mem_strdup(doc_has(in, M_TargetType) ? doc_z(in, M_TargetType) : "instance");
    group->protocol = mem_strdup("HTTP");
    group->protocol_version = mem_strdup("HTTP1");
    group->port = (int32_t)doc_int(in, M_Port);
    group->check_protocol = mem_strdup("HTTP");
    group->check_port = mem_strdup("traffic-port");
    group->check_path = mem_strdup("/");
    group->check_codes = mem_strdup("200");
    group->check_interval_s = 30;
    group->check_timeout_s = 5;
    group->healthy_count = 5;
    group->unhealthy_count = 2;
    return group;
}

static bool same_settings(const struct target_group *a, const struct target_group *b)
{
    return strcmp(a->vpc, b->vpc) == 0 && strcmp(a->type, b->type) == 0 && a->port == b->port &&
           strcmp(a->check_port, b->check_port) == 0 && strcmp(a->check_path, b->check_path) == 0 &&
           strcmp(a->check_codes, b->check_codes) == 0 &&
           a->check_interval_s == b->check_interval_s && a->check_timeout_s == b->check_timeout_s &&
           a->healthy_count == b->healthy_count && a->unhealthy_count == b->unhealthy_count;
}

int elbv2_create_target_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct target_group *group, *twin;
    char id[ID_BYTES];
    int rc = create_check(ctx, in, err);

    if (rc != 0) {
        return rc;
    }
    group = make(in);
    rc = check_check(group, in, err);
    if (rc != 0) {
        elb_group_free(group);
        return rc;
    }
    take_check(group, in);
    twin = elb_group_named(elbv2, group->name);
    if (twin != NULL) {
        bool same = same_settings(twin, group);

        elb_group_free(group);
        if (!same) {
            return error_api(err, "DuplicateTargetGroupName",
                             "A target group with the same name '%s' exists, but with different "
                             "settings",
                             twin->name);
        }
        elb_group_describe(ctx, twin, doc_set_list(out, M_TargetGroups));
        return 0;
    }
    if (elbv2->groups.count >= TARGET_GROUPS_MAX) {
        elb_group_free(group);
        return error_api(err, "TooManyTargetGroups",
                         "The quota of %d target groups has been reached", TARGET_GROUPS_MAX);
    }
    id_new_hex(id, 16);
    group->path = mem_strdup(arena_printf(ctx->arena, "targetgroup/%s/%s", group->name, id).data);
    group->arn = mem_strdup(ctx_arn(ctx, "elasticloadbalancing", "%s", group->path));
    group->created_ms = ctx->now_ms;
    map_put(&elbv2->groups, slice_z(group->arn), group);
    elb_group_save(ctx, group);
    elb_tags_store(ctx, group->arn, in);
    elb_group_describe(ctx, group, doc_set_list(out, M_TargetGroups));
    return 0;
}

static int describe_chosen(struct ctx *ctx, const struct doc *in, struct doc *list,
                           struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct target_group *group;
    int rc;

    for (size_t i = 0; i < doc_count(in, M_TargetGroupArns); i++) {
        rc = elb_group_find(elbv2, doc_z_at(in, M_TargetGroupArns, i), &group, err);
        if (rc != 0) {
            return rc;
        }
        elb_group_describe(ctx, group, list);
    }
    for (size_t i = 0; i < doc_count(in, M_Names); i++) {
        group = elb_group_named(elbv2, doc_z_at(in, M_Names, i));
        if (group == NULL) {
            return error_api(err, "TargetGroupNotFound", "One or more target groups not found");
        }
        elb_group_describe(ctx, group, list);
    }
    return 0;
}

int elbv2_describe_target_groups(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct doc *list = doc_set_list(out, M_TargetGroups);
    const char *arn = doc_z(in, M_LoadBalancerArn);
    struct load_balancer *balancer = NULL;
    struct target_group *group;
    size_t index = 0, from, to;
    int rc = 0;

    if (doc_count(in, M_TargetGroupArns) != 0 || doc_count(in, M_Names) != 0) {
        return describe_chosen(ctx, in, list, err);
    }
    if (arn != NULL) {
        rc = elb_balancer_find(elbv2, arn, &balancer, err);
        for (size_t at = 0; rc == 0 && (group = map_next(&elbv2->groups, &at)) != NULL;) {
            if (elb_group_balancer(elbv2, group->arn) == balancer) {
                elb_group_describe(ctx, group, list);
            }
        }
        return rc;
    }
    rc = elb_page_cut(ctx, in, out, "DescribeTargetGroups", elbv2->groups.count, &from, &to, err);
    for (size_t at = 0; rc == 0 && (group = map_next(&elbv2->groups, &at)) != NULL; index++) {
        if (index >= from && index < to) {
            elb_group_describe(ctx, group, list);
        }
    }
    return rc;
}

int elbv2_modify_target_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    struct target_group *group;
    int rc = elb_group_find(elbv2_of(ctx), doc_z(in, M_TargetGroupArn), &group, err);

    rc = rc != 0 ? rc : check_check(group, in, err);
    if (rc != 0) {
        return rc;
    }
    take_check(group, in);
    elb_group_save(ctx, group);
    elb_group_touch(ctx, group);
    elb_group_describe(ctx, group, doc_set_list(out, M_TargetGroups));
    return 0;
}

int elbv2_delete_target_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    const char *arn = doc_z(in, M_TargetGroupArn);
    struct target_group *group = map_get_z(&elbv2->groups, arn);

    (void)out;
    if (group == NULL) {
        return 0; /* As AWS. */
    }
    if (elb_group_balancer(elbv2, arn) != NULL) {
        return error_api(err, "ResourceInUse",
                         "Target group '%s' is currently in use by a listener or a rule", arn);
    }
    for (size_t i = 0; i < group->targets_count; i++) {
        elb_target_forget(ctx, group->targets[i]);
    }
    map_remove(&elbv2->groups, slice_z(arn));
    changes_del(ctx->changes, SLICE_LIT("elbv2.group"), slice_z(arn));
    ctx_tags_drop(ctx, arn);
    elb_group_free(group);
    return 0;
}
