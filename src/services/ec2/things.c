/* EC2's resources: their tables of stored fields, and finding them by id. */
#include "services/ec2/private.h"

#include "aws/id.h"

#include <stdlib.h>
#include <string.h>

static const struct record_field vpc_fields[] = {
    RECORD_TEXT(struct ec2_vpc, id),
    RECORD_TEXT(struct ec2_vpc, cidr),
    RECORD_BOOL(struct ec2_vpc, is_default),
    RECORD_BOOL(struct ec2_vpc, dns_support),
    RECORD_BOOL(struct ec2_vpc, dns_hostnames),
    RECORD_BOOL(struct ec2_vpc, usage_metrics),
    RECORD_TEXT(struct ec2_vpc, tenancy),
    RECORD_TEXT(struct ec2_vpc, association),
    RECORD_I64(struct ec2_vpc, created_ms),
};
static const struct record vpc_record = RECORD(struct ec2_vpc, vpc_fields);

static const struct record_field subnet_fields[] = {
    RECORD_TEXT(struct ec2_subnet, id),
    RECORD_TEXT(struct ec2_subnet, vpc),
    RECORD_TEXT(struct ec2_subnet, zone),
    RECORD_TEXT(struct ec2_subnet, cidr),
    RECORD_BOOL(struct ec2_subnet, map_public),
    RECORD_BOOL(struct ec2_subnet, default_for_zone),
    RECORD_BOOL(struct ec2_subnet, assign_ipv6),
    RECORD_BOOL(struct ec2_subnet, dns64),
    RECORD_BOOL(struct ec2_subnet, dns_a_record),
    RECORD_BOOL(struct ec2_subnet, dns_aaaa_record),
    RECORD_TEXT(struct ec2_subnet, hostname_type),
    RECORD_I64(struct ec2_subnet, created_ms),
};
static const struct record subnet_record = RECORD(struct ec2_subnet, subnet_fields);

static const struct record_field gateway_fields[] = {
    RECORD_TEXT(struct gateway, id),
    RECORD_TEXT(struct gateway, vpc),
};
static const struct record gateway_record = RECORD(struct gateway, gateway_fields);

static const struct record_field route_fields[] = {
    RECORD_TEXT(struct route, destination),
    RECORD_TEXT(struct route, gateway),
    RECORD_TEXT(struct route, instance),
    RECORD_TEXT(struct route, interface),
};
static const struct record route_record = RECORD(struct route, route_fields);

static const struct record_field association_fields[] = {
    RECORD_TEXT(struct association, id),
    RECORD_TEXT(struct association, subnet),
};
static const struct record association_record = RECORD(struct association, association_fields);

static const struct record_field route_table_fields[] = {
    RECORD_TEXT(struct route_table, id),
    RECORD_TEXT(struct route_table, vpc),
    RECORD_LIST(struct route_table, routes, route_record),
    RECORD_LIST(struct route_table, associations, association_record),
};
static const struct record route_table_record = RECORD(struct route_table, route_table_fields);

static const struct record_field rule_fields[] = {
    RECORD_TEXT(struct rule, id),       RECORD_BOOL(struct rule, egress),
    RECORD_TEXT(struct rule, protocol), RECORD_I64(struct rule, from),
    RECORD_I64(struct rule, to),        RECORD_TEXT(struct rule, cidr),
    RECORD_TEXT(struct rule, cidr6),    RECORD_TEXT(struct rule, list),
    RECORD_TEXT(struct rule, group),    RECORD_TEXT(struct rule, description),
};
static const struct record rule_record = RECORD(struct rule, rule_fields);

static const struct record_field group_fields[] = {
    RECORD_TEXT(struct group, id),
    RECORD_TEXT(struct group, name),
    RECORD_TEXT(struct group, description),
    RECORD_TEXT(struct group, vpc),
    RECORD_LIST(struct group, rules, rule_record),
};
static const struct record group_record = RECORD(struct group, group_fields);

static const struct record_field key_fields[] = {
    RECORD_TEXT(struct key_pair, id),         RECORD_TEXT(struct key_pair, name),
    RECORD_TEXT(struct key_pair, type),       RECORD_TEXT(struct key_pair, fingerprint),
    RECORD_TEXT(struct key_pair, public_key), RECORD_I64(struct key_pair, created_ms),
};
static const struct record key_record = RECORD(struct key_pair, key_fields);

static const struct record_field mapping_fields[] = {
    RECORD_TEXT(struct mapping, device),
    RECORD_TEXT(struct mapping, snapshot),
    RECORD_I64(struct mapping, size_gib),
    RECORD_TEXT(struct mapping, type),
    RECORD_BOOL(struct mapping, delete_on_termination),
    RECORD_BOOL(struct mapping, encrypted),
    RECORD_I64(struct mapping, iops),
    RECORD_I64(struct mapping, throughput),
};
static const struct record mapping_record = RECORD(struct mapping, mapping_fields);

static const char *const image_states[] = {"pending", "available", "failed"};
static const struct record_field image_fields[] = {
    RECORD_TEXT(struct image, id),
    RECORD_TEXT(struct image, name),
    RECORD_TEXT(struct image, description),
    RECORD_TEXT(struct image, owner),
    RECORD_TEXT(struct image, alias),
    RECORD_TEXT(struct image, root_device),
    RECORD_TEXT(struct image, source_instance),
    RECORD_TEXT(struct image, reason),
    RECORD_ENUM(struct image, state, image_states),
    RECORD_I64(struct image, created_ms),
    RECORD_BOOL(struct image, is_public),
    RECORD_BOOL(struct image, stock),
    RECORD_LIST(struct image, mappings, mapping_record),
};
static const struct record image_record = RECORD(struct image, image_fields);

static const struct record_field snapshot_fields[] = {
    RECORD_TEXT(struct snapshot, id),        RECORD_TEXT(struct snapshot, volume),
    RECORD_TEXT(struct snapshot, image),     RECORD_TEXT(struct snapshot, description),
    RECORD_I64(struct snapshot, size_gib),   RECORD_I64(struct snapshot, created_ms),
    RECORD_BOOL(struct snapshot, encrypted),
};
static const struct record snapshot_record = RECORD(struct snapshot, snapshot_fields);

static const struct record_field volume_fields[] = {
    RECORD_TEXT(struct volume, id),
    RECORD_TEXT(struct volume, zone),
    RECORD_TEXT(struct volume, type),
    RECORD_TEXT(struct volume, snapshot),
    RECORD_TEXT(struct volume, instance),
    RECORD_TEXT(struct volume, device),
    RECORD_I64(struct volume, size_gib),
    RECORD_I64(struct volume, iops),
    RECORD_I64(struct volume, throughput),
    RECORD_I64(struct volume, created_ms),
    RECORD_BOOL(struct volume, delete_on_termination),
    RECORD_BOOL(struct volume, encrypted),
};
static const struct record volume_record = RECORD(struct volume, volume_fields);

static const struct record_field interface_fields[] = {
    RECORD_TEXT(struct ec2_interface, id),       RECORD_TEXT(struct ec2_interface, vpc),
    RECORD_TEXT(struct ec2_interface, subnet),   RECORD_TEXT(struct ec2_interface, zone),
    RECORD_TEXT(struct ec2_interface, address),  RECORD_TEXT(struct ec2_interface, public_address),
    RECORD_TEXT(struct ec2_interface, mac),      RECORD_TEXT(struct ec2_interface, description),
    RECORD_TEXT(struct ec2_interface, kind),     RECORD_TEXT(struct ec2_interface, requester),
    RECORD_TEXT(struct ec2_interface, instance), RECORD_TEXT(struct ec2_interface, attachment),
    RECORD_BOOL(struct ec2_interface, keep),     RECORD_BOOL(struct ec2_interface, no_source_check),
    RECORD_TEXTS(struct ec2_interface, groups),  RECORD_I64(struct ec2_interface, created_ms),
};
static const struct record interface_record = RECORD(struct ec2_interface, interface_fields);

static const char *const states[] = {"pending", "running",       "stopping",
                                     "stopped", "shutting-down", "terminated"};
static const struct record_field instance_fields[] = {
    RECORD_TEXT(struct ec2_instance, id),
    RECORD_TEXT(struct ec2_instance, reservation),
    RECORD_TEXT(struct ec2_instance, requester),
    RECORD_TEXT(struct ec2_instance, client_token),
    RECORD_TEXT(struct ec2_instance, image),
    RECORD_TEXT(struct ec2_instance, type),
    RECORD_TEXT(struct ec2_instance, key),
    RECORD_TEXT(struct ec2_instance, public_key),
    RECORD_TEXT(struct ec2_instance, profile),
    RECORD_TEXT(struct ec2_instance, profile_id),
    RECORD_TEXT(struct ec2_instance, vpc),
    RECORD_TEXT(struct ec2_instance, subnet),
    RECORD_TEXT(struct ec2_instance, zone),
    RECORD_TEXT(struct ec2_instance, interface),
    RECORD_TEXT(struct ec2_instance, address),
    RECORD_TEXT(struct ec2_instance, public_address),
    RECORD_TEXT(struct ec2_instance, mac),
    RECORD_TEXT(struct ec2_instance, user_data),
    RECORD_ENUM(struct ec2_instance, state, states),
    RECORD_I64(struct ec2_instance, launched_ms),
    RECORD_I64(struct ec2_instance, created_ms),
    RECORD_I64(struct ec2_instance, running_ms),
    RECORD_I64(struct ec2_instance, changed_ms),
    RECORD_TEXT(struct ec2_instance, reason_code),
    RECORD_TEXT(struct ec2_instance, reason_message),
    RECORD_TEXT(struct ec2_instance, transition),
    RECORD_I64(struct ec2_instance, launch_index),
    RECORD_BOOL(struct ec2_instance, monitoring),
    RECORD_BOOL(struct ec2_instance, protected),
    RECORD_BOOL(struct ec2_instance, protected_stop),
    RECORD_BOOL(struct ec2_instance, terminate_on_shutdown),
    RECORD_BOOL(struct ec2_instance, ebs_optimized),
    RECORD_BOOL(struct ec2_instance, no_source_check),
    RECORD_BOOL(struct ec2_instance, imds_disabled),
    RECORD_BOOL(struct ec2_instance, imds_token_required),
    RECORD_BOOL(struct ec2_instance, imds_tags),
    RECORD_I64(struct ec2_instance, imds_hops),
    RECORD_TEXT(struct ec2_instance, cpu_credits),
    RECORD_TEXT(struct ec2_instance, tenancy),
    RECORD_BOOL(struct ec2_instance, wants_public),
};
static const struct record instance_record = RECORD(struct ec2_instance, instance_fields);

static const struct record_field version_fields[] = {
    RECORD_I64(struct version, number),      RECORD_TEXT(struct version, description),
    RECORD_TEXT(struct version, created_by), RECORD_I64(struct version, created_ms),
    RECORD_TEXT(struct version, data),
};
static const struct record version_record = RECORD(struct version, version_fields);

static const struct record_field template_fields[] = {
    RECORD_TEXT(struct launch_template, id),
    RECORD_TEXT(struct launch_template, name),
    RECORD_TEXT(struct launch_template, created_by),
    RECORD_I64(struct launch_template, created_ms),
    RECORD_I64(struct launch_template, version_default),
    RECORD_I64(struct launch_template, version_latest),
    RECORD_LIST(struct launch_template, versions, version_record),
};
static const struct record template_record = RECORD(struct launch_template, template_fields);

static const struct record_field token_fields[] = {
    RECORD_TEXT(struct token, id),
    RECORD_TEXT(struct token, fingerprint),
    RECORD_TEXT(struct token, made),
    RECORD_I64(struct token, made_ms),
};
static const struct record token_record = RECORD(struct token, token_fields);

/* The error texts are AWS's. */
const struct kind_info kinds[KINDS] = {
    [KIND_VPC] = {.word = "vpc",
                  .prefix = "vpc-",
                  .type = "vpc",
                  .code = "InvalidVpcID",
                  .missing = "The vpc ID '",
                  .missing_end = "' does not exist",
                  .record = &vpc_record,
                  .names = M_VpcIds},
    [KIND_SUBNET] = {.word = "subnet",
                     .prefix = "subnet-",
                     .type = "subnet",
                     .code = "InvalidSubnetID",
                     .missing = "The subnet ID '",
                     .missing_end = "' does not exist",
                     .record = &subnet_record,
                     .names = M_SubnetIds},
    [KIND_GATEWAY] = {.word = "gateway",
                      .prefix = "igw-",
                      .type = "internet-gateway",
                      .code = "InvalidInternetGatewayID",
                      .missing = "The internetGateway ID '",
                      .missing_end = "' does not exist",
                      .record = &gateway_record,
                      .names = M_InternetGatewayIds},
    [KIND_ROUTE_TABLE] = {.word = "route-table",
                          .prefix = "rtb-",
                          .type = "route-table",
                          .code = "InvalidRouteTableID",
                          .missing = "The routeTable ID '",
                          .missing_end = "' does not exist",
                          .record = &route_table_record,
                          .names = M_RouteTableIds},
    [KIND_GROUP] = {.word = "group",
                    .prefix = "sg-",
                    .type = "security-group",
                    .code = "InvalidGroup",
                    .missing = "The security group '",
                    .missing_end = "' does not exist",
                    .record = &group_record,
                    .names = M_GroupIds},
    [KIND_KEY] = {.word = "key",
                  .prefix = "key-",
                  .type = "key-pair",
                  .code = "InvalidKeyPair",
                  .missing = "The key pair '",
                  .missing_end = "' does not exist",
                  .record = &key_record,
                  .names = M_KeyPairIds},
    [KIND_IMAGE] = {.word = "image",
                    .prefix = "ami-",
                    .type = "image",
                    .code = "InvalidAMIID",
                    .missing = "The image id '[",
                    .missing_end = "]' does not exist",
                    .record = &image_record,
                    .names = M_ImageIds},
    [KIND_SNAPSHOT] = {.word = "snapshot",
                       .prefix = "snap-",
                       .type = "snapshot",
                       .code = "InvalidSnapshot",
                       .missing = "The snapshot '",
                       .missing_end = "' does not exist.",
                       .record = &snapshot_record,
                       .names = M_SnapshotIds},
    [KIND_VOLUME] = {.word = "volume",
                     .prefix = "vol-",
                     .type = "volume",
                     .code = "InvalidVolume",
                     .missing = "The volume '",
                     .missing_end = "' does not exist.",
                     .record = &volume_record,
                     .names = M_VolumeIds},
    [KIND_INTERFACE] = {.word = "interface",
                        .prefix = "eni-",
                        .type = "network-interface",
                        .code = "InvalidNetworkInterfaceID",
                        .missing = "The networkInterface ID '",
                        .missing_end = "' does not exist",
                        .record = &interface_record,
                        .names = M_NetworkInterfaceIds},
    [KIND_INSTANCE] = {.word = "instance",
                       .prefix = "i-",
                       .type = "instance",
                       .code = "InvalidInstanceID",
                       .missing = "The instance ID '",
                       .missing_end = "' does not exist",
                       .record = &instance_record,
                       .names = M_InstanceIds},
    [KIND_TEMPLATE] = {.word = "template",
                       .prefix = "lt-",
                       .type = "launch-template",
                       .code = "InvalidLaunchTemplateId",
                       .missing = "The specified launch template, with template ID ",
                       .missing_end = ", does not exist.",
                       .record = &template_record,
                       .names = M_LaunchTemplateIds},
    [KIND_TOKEN] = {.word = "token",
                    .prefix = "token-",
                    .type = "token",
                    .code = "InvalidToken",
                    .missing = "",
                    .missing_end = "",
                    .record = &token_record,
                    .names = -1},
};

static const char *thing_id(const void *thing)
{
    return *(char *const *)thing;
}

void *thing_get(const struct control *control, enum kind kind, const char *id)
{
    return id == NULL ? NULL : map_get_z(&control->ec2->things[kind], id);
}

int thing_need(struct ctx *ctx, enum kind kind, const char *id, void **thing, struct error *err)
{
    const struct kind_info *info = &kinds[kind];
    char code[ERROR_AWS_CODE_BYTES];

    *thing = thing_get(ctx->control, kind, id);
    if (*thing != NULL) {
        return 0;
    }
    if (id == NULL) {
        return error_api(err, "MissingParameter",
                         "The request must contain the parameter %s resource ID", info->type);
    }
    if (!id_is(id, info->prefix)) {
        snprintf(code, sizeof(code), "%s.Malformed",
                 kind == KIND_GROUP ? "InvalidGroupId" : info->code);
        return kind == KIND_INSTANCE
                   ? error_api(err, code, "Invalid id: \"%s\"", id)
                   : error_api(err, code, "Invalid id: \"%s\" (expecting \"%s...\")", id,
                               info->prefix);
    }
    snprintf(code, sizeof(code), "%s.NotFound", info->code);
    return error_api(err, code, "%s%s%s", info->missing, id, info->missing_end);
}

void *thing_next(const struct control *control, enum kind kind, size_t *at)
{
    return map_next(&control->ec2->things[kind], at);
}

void *thing_new(struct ctx *ctx, enum kind kind, const char *id)
{
    char made[ID_BYTES];
    void *thing = mem_calloc(1, kinds[kind].record->bytes);

    if (id == NULL) {
        id_new(made, kinds[kind].prefix);
        id = made;
    }
    *(char **)thing = mem_strdup(id);
    ASSERT(map_put(&ctx->control->ec2->things[kind], slice_z(id), thing) == NULL);
    return thing;
}

static struct slice record_kind(struct ctx *ctx, enum kind kind)
{
    return arena_printf(ctx->arena, "ec2.%s", kinds[kind].word);
}

void thing_put(struct ctx *ctx, enum kind kind, const void *thing)
{
    changes_put_record(ctx->changes, record_kind(ctx, kind), slice_z(thing_id(thing)),
                       kinds[kind].record, thing);
}

void thing_drop(struct ctx *ctx, enum kind kind, void *thing)
{
    struct slice id = slice_z(thing_id(thing));

    changes_del(ctx->changes, record_kind(ctx, kind), id);
    if (kind != KIND_TOKEN) {
        ctx_tags_drop(ctx, thing_arn(ctx, kind, id.data));
    }
    map_remove(&ctx->control->ec2->things[kind], id);
    record_close(kinds[kind].record, thing);
    free(thing);
}

const char *ec2_arn(struct ctx *ctx, const char *type, const char *id)
{
    if (strcmp(type, "image") == 0 || strcmp(type, "snapshot") == 0) {
        return arena_printf(ctx->arena, "arn:aws:ec2:%s::%s/%s", ctx->control->options.region, type,
                            id)
            .data;
    }
    return ctx_arn(ctx, "ec2", "%s/%s", type, id);
}

const char *thing_arn(struct ctx *ctx, enum kind kind, const char *id)
{
    return ec2_arn(ctx, kinds[kind].type, id);
}

enum kind thing_kind(const char *id)
{
    for (enum kind kind = 0; kind < KIND_TOKEN; kind++) {
        if (slice_starts(slice_z(id), slice_z(kinds[kind].prefix))) {
            return kind;
        }
    }
    return KINDS;
}

void text_replace(char **slot, const char *text)
{
    char *copy = mem_strdup(text); /* @text may be the old one. */

    free(*slot);
    *slot = copy;
}
