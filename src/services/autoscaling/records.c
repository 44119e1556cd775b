/* How groups and activities are stored. Observed levels are not: they are observed again. */
#include "services/autoscaling/group.h"

#include <assert.h>

static const char *const lifecycle_names[] = {"Pending",    "InService",       "Terminating",
                                              "Terminated", "EnteringStandby", "Standby",
                                              "Detaching",  "Detached"};
static const char *const phase_names[] = {"none", "draining", "stopping"};
static const char *const action_names[] = {"none",
                                           "scale-out",
                                           "scale-in",
                                           "ec2-state",
                                           "ec2-status",
                                           "elb",
                                           "user-health",
                                           "replace",
                                           "user-terminate",
                                           "rebalance-launch",
                                           "rebalance-shrink",
                                           "protected"};
static const char *const origin_names[] = {"none",           "create", "update",      "set-desired",
                                           "execute-policy", "alarm",  "force-delete"};
static const char *const kind_names[] = {"launch", "terminate", "blocked"};
static const char *const status_names[] = {
    "PreInService", "InProgress", "WaitingForELBConnectionDraining",
    "Successful",   "Failed",     "Cancelled"};
static const char *const attachment_names[] = {"Adding", "Added", "InService", "Removing"};
static const char *const adjustment_names[] = {"ChangeInCapacity", "ExactCapacity",
                                               "PercentChangeInCapacity"};
static const char *const policy_type_names[] = {"SimpleScaling", "StepScaling"};
static const char *const verdict_names[] = {"none", "healthy", "unhealthy"};
static const char *const terminate_names[] = {"no", "keep", "decrement"};

static const struct record_field change_fields[] = {
    RECORD_ENUM(struct capacity_change, origin, origin_names),
    RECORD_I64(struct capacity_change, at_ms),
    RECORD_I32(struct capacity_change, from),
    RECORD_I32(struct capacity_change, to),
    RECORD_I32(struct capacity_change, min),
    RECORD_I32(struct capacity_change, max),
    RECORD_CHARS(struct capacity_change, policy),
    RECORD_CHARS(struct capacity_change, alarm),
    RECORD_I64(struct capacity_change, cooldown_ms),
};
static const struct record change_record = RECORD(struct capacity_change, change_fields);

static_assert(CAUSE_CHANGES_MAX == 2, "a row for each below");

static const struct record_field cause_fields[] = {
    RECORD_I32(struct cause, changes_count),
    RECORD_STRUCT(struct cause, changes[0], change_record),
    RECORD_STRUCT(struct cause, changes[1], change_record),
    RECORD_ENUM(struct cause, action, action_names),
    RECORD_I64(struct cause, at_ms),
    RECORD_I32(struct cause, from),
    RECORD_I32(struct cause, to),
    RECORD_CHARS(struct cause, selected),
    RECORD_CHARS(struct cause, zones),
    RECORD_CHARS(struct cause, zone_counts),
};
static const struct record cause_record = RECORD(struct cause, cause_fields);

static const struct record_field activity_fields[] = {
    RECORD_CHARS(struct activity, id),
    RECORD_ENUM(struct activity, kind, kind_names),
    RECORD_CHARS(struct activity, instance),
    RECORD_CHARS(struct activity, zone),
    RECORD_CHARS(struct activity, subnet),
    RECORD_STRUCT(struct activity, cause, cause_record),
    RECORD_I64(struct activity, start_ms),
    RECORD_I64(struct activity, end_ms),
    RECORD_ENUM(struct activity, status, status_names),
    RECORD_I32(struct activity, progress),
    RECORD_CHARS(struct activity, status_message),
    RECORD_I64(struct activity, cooldown_ms),
};
static const struct record activity_only_record = RECORD(struct activity, activity_fields);

static const struct record_field stored_fields[] = {
    RECORD_CHARS(struct stored_activity, group),
    RECORD_STRUCT(struct stored_activity, activity, activity_only_record),
};
const struct record activity_record = RECORD(struct stored_activity, stored_fields);

static const struct record_field instance_fields[] = {
    RECORD_CHARS(struct world_instance, id),
    RECORD_CHARS(struct world_instance, zone),
    RECORD_CHARS(struct world_instance, subnet),
    RECORD_CHARS(struct world_instance, type),
    RECORD_CHARS(struct world_instance, template_id),
    RECORD_CHARS(struct world_instance, template_name),
    RECORD_I64(struct world_instance, template_version),
    RECORD_ENUM(struct world_instance, lifecycle, lifecycle_names),
    RECORD_ENUM(struct world_instance, phase, phase_names),
    RECORD_I64(struct world_instance, launched_ms),
    RECORD_I64(struct world_instance, in_service_ms),
    RECORD_I64(struct world_instance, grace_until_ms),
    RECORD_I64(struct world_instance, warmup_until_ms),
    RECORD_I64(struct world_instance, drain_until_ms),
    RECORD_BOOL(struct world_instance, protected_from_scale_in),
    RECORD_BOOL(struct world_instance, replacement),
    RECORD_BOOL(struct world_instance, registered),
    RECORD_BOOL(struct world_instance, unhealthy),
    RECORD_ENUM(struct world_instance, unhealthy_why, action_names),
    RECORD_ENUM(struct world_instance, terminate_asked, terminate_names),
    RECORD_ENUM(struct world_instance, user, verdict_names),
    RECORD_BOOL(struct world_instance, user_ignores_grace),
    RECORD_CHARS(struct world_instance, activity),
};
static const struct record instance_record = RECORD(struct world_instance, instance_fields);

static const struct record_field subnet_fields[] = {
    RECORD_CHARS(struct world_subnet, zone),
    RECORD_CHARS(struct world_subnet, subnet),
    RECORD_I32(struct world_subnet, failures),
    RECORD_I64(struct world_subnet, failed_ms),
};
static const struct record subnet_record = RECORD(struct world_subnet, subnet_fields);

static const struct record_field target_group_fields[] = {
    RECORD_CHARS(struct world_target_group, arn),
    RECORD_I32(struct world_target_group, bit),
    RECORD_ENUM(struct world_target_group, state, attachment_names),
};
static const struct record target_group_record =
    RECORD(struct world_target_group, target_group_fields);

static const struct record_field adjustment_fields[] = {
    RECORD_ENUM(struct adjustment, type, adjustment_names),
    RECORD_I32(struct adjustment, amount),
    RECORD_I32(struct adjustment, magnitude_min),
};
static const struct record adjustment_record = RECORD(struct adjustment, adjustment_fields);

static const struct record_field step_fields[] = {
    RECORD_BOOL(struct policy_step, has_lower), RECORD_BOOL(struct policy_step, has_upper),
    RECORD_DOUBLE(struct policy_step, lower),   RECORD_DOUBLE(struct policy_step, upper),
    RECORD_I32(struct policy_step, amount),
};
static const struct record step_record = RECORD(struct policy_step, step_fields);

static const struct record_field policy_fields[] = {
    RECORD_CHARS(struct policy, name),
    RECORD_CHARS(struct policy, uuid),
    RECORD_ENUM(struct policy, type, policy_type_names),
    RECORD_STRUCT(struct policy, adjustment, adjustment_record),
    RECORD_BOOL(struct policy, has_magnitude_min),
    RECORD_BOOL(struct policy, enabled),
    RECORD_I64(struct policy, cooldown_ms),
    RECORD_I64(struct policy, warmup_ms),
    RECORD_CHARS(struct policy, aggregation),
    RECORD_I64(struct policy, created_ms),
    RECORD_LIST(struct policy, steps, step_record),
};
static const struct record policy_record = RECORD(struct policy, policy_fields);

/* Activities are records of their own; termination policies and the suspended bits are made again
 * from the group's words. */
static const struct record_field world_fields[] = {
    RECORD_CHARS(struct world, name),
    RECORD_I32(struct world, min),
    RECORD_I32(struct world, max),
    RECORD_I32(struct world, desired),
    RECORD_I64(struct world, default_cooldown_ms),
    RECORD_I64(struct world, default_warmup_ms),
    RECORD_BOOL(struct world, health_check_elb),
    RECORD_I64(struct world, grace_ms),
    RECORD_BOOL(struct world, new_instances_protected),
    RECORD_CHARS(struct world, template_id),
    RECORD_U32(struct world, seed),
    RECORD_BOOL(struct world, deleting),
    RECORD_BOOL(struct world, force_delete),
    RECORD_LIST(struct world, subnets, subnet_record),
    RECORD_LIST(struct world, target_groups, target_group_record),
    RECORD_LIST(struct world, policies, policy_record),
    RECORD_LIST(struct world, instances, instance_record),
    RECORD_I64(struct world, cooldown_until_ms),
    RECORD_CHARS(struct world, last_activity),
    RECORD_I32(struct world, launch_failures),
    RECORD_I64(struct world, next_launch_ms),
    RECORD_I32(struct world, replacements_due),
    RECORD_CHARS(struct world, rebalancing),
    RECORD_BOOL(struct world, protected_told),
    RECORD_U32(struct world, sequence),
    RECORD_I32(struct world, changes_count),
    RECORD_STRUCT(struct world, changes[0], change_record),
    RECORD_STRUCT(struct world, changes[1], change_record),
};
static const struct record world_record = RECORD(struct world, world_fields);

static const struct record_field tag_fields[] = {
    RECORD_TEXT(struct group_tag, key),
    RECORD_TEXT(struct group_tag, value),
    RECORD_BOOL(struct group_tag, propagate),
};
static const struct record tag_record = RECORD(struct group_tag, tag_fields);

static const struct record_field suspension_fields[] = {
    RECORD_TEXT(struct suspension, process),
    RECORD_I64(struct suspension, at_ms),
};
static const struct record suspension_record = RECORD(struct suspension, suspension_fields);

static const struct record_field group_fields[] = {
    RECORD_STRUCT(struct group, world, world_record),
    RECORD_CHARS(struct group, uuid),
    RECORD_TEXT(struct group, arn),
    RECORD_I64(struct group, created_ms),
    RECORD_TEXT(struct group, health_check_type),
    RECORD_TEXT(struct group, subnets),
    RECORD_CHARS(struct group, template_name),
    RECORD_CHARS(struct group, template_version),
    RECORD_TEXTS(struct group, termination_policies),
    RECORD_LIST(struct group, suspensions, suspension_record),
    RECORD_LIST(struct group, tags, tag_record),
    RECORD_BOOL(struct group, deleted),
};
const struct record group_record = RECORD(struct group, group_fields);
