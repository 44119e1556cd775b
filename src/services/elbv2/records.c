#include "services/elbv2/private.h"

#include "base/alloc.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

static const struct record_field attribute_fields[] = {
    RECORD_TEXT(struct attribute, key),
    RECORD_TEXT(struct attribute, value),
};
static const struct record attribute_record = RECORD(struct attribute, attribute_fields);

static const struct record_field attributes_fields[] = {
    RECORD_LIST(struct attributes, list, attribute_record),
};
static const struct record attributes_record = RECORD(struct attributes, attributes_fields);

static const struct record_field zone_fields[] = {
    RECORD_TEXT(struct zone, zone),
    RECORD_TEXT(struct zone, subnet),
    RECORD_TEXT(struct zone, interface),
};
static const struct record zone_record = RECORD(struct zone, zone_fields);

static const struct record_field balancer_fields[] = {
    RECORD_TEXT(struct load_balancer, arn),
    RECORD_TEXT(struct load_balancer, name),
    RECORD_TEXT(struct load_balancer, path),
    RECORD_TEXT(struct load_balancer, vpc),
    RECORD_BOOL(struct load_balancer, internal),
    RECORD_TEXT(struct load_balancer, address),
    RECORD_I64(struct load_balancer, created_ms),
    RECORD_BOOL(struct load_balancer, was_active),
    RECORD_TEXTS(struct load_balancer, groups),
    RECORD_LIST(struct load_balancer, zones, zone_record),
    RECORD_STRUCT(struct load_balancer, attributes, attributes_record),
};
const struct record elb_balancer_record = RECORD(struct load_balancer, balancer_fields);

static const struct record_field share_fields[] = {
    RECORD_TEXT(struct share, group),
    RECORD_I32(struct share, weight),
};
static const struct record share_record = RECORD(struct share, share_fields);

static const char *const action_names[] = {"forward", "redirect", "fixed-response"};
static const struct record_field action_fields[] = {
    RECORD_ENUM(struct action, type, action_names),
    RECORD_I32(struct action, order),
    RECORD_LIST(struct action, shares, share_record),
    RECORD_BOOL(struct action, simple),
    RECORD_BOOL(struct action, sticky),
    RECORD_I32(struct action, sticky_s),
    RECORD_I32(struct action, status),
    RECORD_TEXT(struct action, content_type),
    RECORD_TEXT(struct action, body),
    RECORD_TEXT(struct action, protocol),
    RECORD_TEXT(struct action, port),
    RECORD_TEXT(struct action, host),
    RECORD_TEXT(struct action, path),
    RECORD_TEXT(struct action, query),
};
static const struct record action_record = RECORD(struct action, action_fields);

static const struct record_field listener_fields[] = {
    RECORD_TEXT(struct listener, arn),       RECORD_TEXT(struct listener, balancer),
    RECORD_TEXT(struct listener, rule),      RECORD_I32(struct listener, port),
    RECORD_I64(struct listener, created_ms), RECORD_LIST(struct listener, actions, action_record),
};
const struct record elb_listener_record = RECORD(struct listener, listener_fields);

static const char *const health_names[] = {"initial", "healthy", "unhealthy"};
static const char *const end_names[] = {"answered", "timed-out", "failed", "internal"};
static const struct record_field health_fields[] = {
    RECORD_ENUM(struct health, state, health_names),
    RECORD_ENUM(struct health, why, end_names),
    RECORD_I32(struct health, code),
};
static const struct record health_record = RECORD(struct health, health_fields);

static const struct record_field target_fields[] = {
    RECORD_TEXT(struct target, group),
    RECORD_TEXT(struct target, id),
    RECORD_I32(struct target, port),
    RECORD_TEXT(struct target, zone),
    RECORD_I64(struct target, registered_ms),
    RECORD_I64(struct target, drain_until_ms),
    RECORD_STRUCT(struct target, health, health_record),
};
const struct record elb_target_record = RECORD(struct target, target_fields);

static const struct record_field group_fields[] = {
    RECORD_TEXT(struct target_group, arn),
    RECORD_TEXT(struct target_group, name),
    RECORD_TEXT(struct target_group, path),
    RECORD_TEXT(struct target_group, vpc),
    RECORD_TEXT(struct target_group, type),
    RECORD_TEXT(struct target_group, protocol),
    RECORD_TEXT(struct target_group, protocol_version),
    RECORD_I32(struct target_group, port),
    RECORD_I64(struct target_group, created_ms),
    RECORD_TEXT(struct target_group, check_protocol),
    RECORD_TEXT(struct target_group, check_port),
    RECORD_TEXT(struct target_group, check_path),
    RECORD_TEXT(struct target_group, check_codes),
    RECORD_I32(struct target_group, check_interval_s),
    RECORD_I32(struct target_group, check_timeout_s),
    RECORD_I32(struct target_group, healthy_count),
    RECORD_I32(struct target_group, unhealthy_count),
    RECORD_STRUCT(struct target_group, attributes, attributes_record),
};
const struct record elb_group_record = RECORD(struct target_group, group_fields);

void elb_text_set(char **text, const char *value)
{
    if (value != NULL) {
        char *copy = mem_strdup(value);

        free(*text);
        *text = copy;
    }
}

void elb_balancer_free(struct load_balancer *balancer)
{
    if (balancer != NULL) {
        plane_free(balancer->plane);
        free(balancer->state_reason);
        record_close(&elb_balancer_record, balancer);
        free(balancer);
    }
}

void elb_listener_free(struct listener *listener)
{
    if (listener != NULL) {
        record_close(&elb_listener_record, listener);
        free(listener);
    }
}

void elb_target_free(struct target *target)
{
    if (target != NULL) {
        record_close(&elb_target_record, target);
        free(target);
    }
}

void elb_group_free(struct target_group *group)
{
    if (group != NULL) {
        for (size_t i = 0; i < group->targets_count; i++) {
            elb_target_free(group->targets[i]);
        }
        free(group->targets);
        record_close(&elb_group_record, group);
        free(group);
    }
}

/* The store. Load balancers are loaded first, then groups, listeners and targets: "kind, then id"
 * is the order of loading, and a target needs its group. */
#define KIND_BALANCER SLICE_LIT("elbv2.balancer")
#define KIND_GROUP SLICE_LIT("elbv2.group")
#define KIND_LISTENER SLICE_LIT("elbv2.listener")
#define KIND_TARGET SLICE_LIT("elbv2.target")

void elb_balancer_save(struct ctx *ctx, const struct load_balancer *balancer)
{
    changes_put_record(ctx->changes, KIND_BALANCER, slice_z(balancer->arn), &elb_balancer_record,
                       balancer);
}

void elb_listener_save(struct ctx *ctx, const struct listener *listener)
{
    changes_put_record(ctx->changes, KIND_LISTENER, slice_z(listener->arn), &elb_listener_record,
                       listener);
}

void elb_group_save(struct ctx *ctx, const struct target_group *group)
{
    changes_put_record(ctx->changes, KIND_GROUP, slice_z(group->arn), &elb_group_record, group);
}

static struct slice target_key(struct ctx *ctx, const struct target *target)
{
    return arena_printf(ctx->arena, "%s %s %d", target->group, target->id, target->port);
}

void elb_target_save(struct ctx *ctx, const struct target *target)
{
    changes_put_record(ctx->changes, KIND_TARGET, target_key(ctx, target), &elb_target_record,
                       target);
}

void elb_target_forget(struct ctx *ctx, const struct target *target)
{
    changes_del(ctx->changes, KIND_TARGET, target_key(ctx, target));
}

void elb_group_add_target(struct target_group *group, struct target *target)
{
    group->targets =
        mem_grow(group->targets, group->targets_count, &group->targets_room, sizeof(target));
    target->owner = group;
    target->shown = ELBV2_ABSENT;
    target->shown_reason = "";
    group->targets[group->targets_count++] = target;
}

static int load_target(struct elbv2 *elbv2, struct slice body, struct error *err)
{
    struct target *target = mem_calloc(1, sizeof(*target));
    struct target_group *group;
    int rc = record_load(&elb_target_record, target, body, err);

    group = rc == 0 ? map_get_z(&elbv2->groups, target->group) : NULL;
    if (group == NULL) {
        free(target);
        return rc != 0 ? rc : error_set(err, ERR_INTERNAL, "a target without its group");
    }
    elb_group_add_target(group, target);
    return 0;
}

int elbv2_load(struct control *control, struct slice kind, struct slice id, struct slice body,
               struct error *err)
{
    struct elbv2 *elbv2 = control->elbv2;
    int rc = 0;

    if (slice_equal(kind, KIND_TARGET)) {
        rc = load_target(elbv2, body, err);
    } else if (slice_equal(kind, KIND_BALANCER)) {
        struct load_balancer *balancer = mem_calloc(1, sizeof(*balancer));

        rc = record_load(&elb_balancer_record, balancer, body, err);
        if (rc != 0) {
            free(balancer);
            return rc;
        }
        balancer->elbv2 = elbv2;
        balancer->state = balancer->was_active ? STATE_ACTIVE : STATE_PROVISIONING;
        map_put(&elbv2->balancers, id, balancer);
    } else if (slice_equal(kind, KIND_GROUP)) {
        struct target_group *group = mem_calloc(1, sizeof(*group));

        rc = record_load(&elb_group_record, group, body, err);
        if (rc != 0) {
            free(group);
            return rc;
        }
        map_put(&elbv2->groups, id, group);
    } else if (slice_equal(kind, KIND_LISTENER)) {
        struct listener *listener = mem_calloc(1, sizeof(*listener));

        rc = record_load(&elb_listener_record, listener, body, err);
        if (rc != 0) {
            free(listener);
            return rc;
        }
        map_put(&elbv2->listeners, id, listener);
    } else {
        rc = error_set(err, ERR_INTERNAL, "elbv2: unknown record kind %.*s", SLICE_ARG(kind));
    }
    return rc;
}
