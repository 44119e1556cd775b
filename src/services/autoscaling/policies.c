/* PutScalingPolicy, DeletePolicy, DescribePolicies, ExecutePolicy. */
#include "services/autoscaling/api.h"

#include "aws/id.h"
#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICIES_MAX 50 /* AWS's quota for a group. */

static const char *const adjustment_names[] = {"ChangeInCapacity", "ExactCapacity",
                                               "PercentChangeInCapacity"};

static int read_type(const struct doc *in, struct policy *policy, struct error *err)
{
    struct slice type = doc_text(in, M_PolicyType);

    policy->type = POLICY_SIMPLE;
    if (slice_equal_z(type, "StepScaling")) {
        policy->type = POLICY_STEP;
    } else if (slice_equal_z(type, "TargetTrackingScaling") ||
               slice_equal_z(type, "PredictiveScaling")) {
        return error_api(err, VALIDATION,
                         "muster does not offer the policy type %.*s; it has SimpleScaling and "
                         "StepScaling.",
                         SLICE_ARG(type));
    } else if (type.bytes > 0 && !slice_equal_z(type, "SimpleScaling")) {
        return error_api(err, VALIDATION,
                         "Invalid PolicyType: %.*s. Valid types are: SimpleScaling, StepScaling, "
                         "TargetTrackingScaling, PredictiveScaling",
                         SLICE_ARG(type));
    }
    return 0;
}

static int read_adjustment(const struct doc *in, struct policy *policy, struct error *err)
{
    struct slice type = doc_text(in, M_AdjustmentType);
    bool has_magnitude = doc_has(in, M_MinAdjustmentMagnitude) || doc_has(in, M_MinAdjustmentStep);
    size_t row = 0;

    if (type.bytes == 0) {
        return error_api(err, VALIDATION, "AdjustmentType must be specified for policy type: %s",
                         policy->type == POLICY_SIMPLE ? "SimpleScaling" : "StepScaling");
    }
    while (row < COUNT_OF(adjustment_names) && !slice_equal_z(type, adjustment_names[row])) {
        row++;
    }
    if (row == COUNT_OF(adjustment_names)) {
        return error_api(err, VALIDATION,
                         "Invalid AdjustmentType: %.*s. Valid types are: ChangeInCapacity, "
                         "ExactCapacity, PercentChangeInCapacity",
                         SLICE_ARG(type));
    }
    policy->adjustment.type = (enum adjustment_type)row;
    if (has_magnitude && policy->adjustment.type != ADJUST_PERCENT) {
        return error_api(err, VALIDATION,
                         "MinAdjustmentMagnitude is only supported with the adjustment type "
                         "PercentChangeInCapacity");
    }
    policy->has_magnitude_min = has_magnitude;
    policy->adjustment.magnitude_min =
        (int32_t)doc_int_or(in, M_MinAdjustmentMagnitude, doc_int(in, M_MinAdjustmentStep));
    return 0;
}

static int read_simple(const struct doc *in, struct policy *policy, struct error *err)
{
    if (!doc_has(in, M_ScalingAdjustment)) {
        return error_api(err, VALIDATION,
                         "Scaling increment must be specified for a SimpleScaling policy");
    }
    if (doc_count(in, M_StepAdjustments) > 0) {
        return error_api(err, VALIDATION,
                         "StepAdjustments are not supported for policy type: SimpleScaling");
    }
    policy->adjustment.amount = (int32_t)doc_int(in, M_ScalingAdjustment);
    if (policy->adjustment.type == ADJUST_EXACT && policy->adjustment.amount < 0) {
        return error_api(err, VALIDATION,
                         "Scaling adjustment must not be negative for ExactCapacity");
    }
    if (doc_has(in, M_Cooldown)) {
        policy->cooldown_ms = doc_int(in, M_Cooldown) * 1000;
        if (policy->cooldown_ms < 0) {
            return error_api(err, VALIDATION, "Cooldown must not be negative");
        }
    }
    return 0;
}

/* In the order of their lower bounds: no gap, no overlap, an open end where AWS wants one. */
static int by_lower(const void *a, const void *b)
{
    const struct policy_step *left = a, *right = b;

    if (left->has_lower != right->has_lower) {
        return left->has_lower ? 1 : -1;
    }
    return left->lower < right->lower ? -1 : left->lower > right->lower ? 1 : 0;
}

static int check_steps(const struct policy *policy, struct error *err)
{
    struct policy_step sorted[POLICY_STEPS_MAX];
    size_t count = policy->steps_count;

    memcpy(sorted, policy->steps, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_lower);
    for (size_t i = 0; i < count; i++) {
        const struct policy_step *step = &sorted[i];

        if (!step->has_lower && !step->has_upper) {
            return error_api(err, VALIDATION,
                             "At least one bound must be specified for a StepAdjustment");
        }
        if (step->has_lower && step->has_upper && step->lower >= step->upper) {
            return error_api(err, VALIDATION,
                             "The lower bound of a StepAdjustment must be less than its upper "
                             "bound");
        }
        if (i + 1 < count &&
            (!step->has_upper || !sorted[i + 1].has_lower || step->upper > sorted[i + 1].lower)) {
            return error_api(err, VALIDATION, "StepAdjustment intervals can't overlap");
        }
        if (i + 1 < count && step->upper < sorted[i + 1].lower) {
            return error_api(err, VALIDATION, "StepAdjustment intervals can't have gaps");
        }
    }
    if (sorted[0].has_lower && sorted[0].lower < 0) {
        return error_api(err, VALIDATION,
                         "There must be a StepAdjustment with an unspecified lower bound (i.e., "
                         "lower bound is null) when one StepAdjustment has a negative lower "
                         "bound");
    }
    if (sorted[count - 1].has_upper && sorted[count - 1].upper > 0) {
        return error_api(err, VALIDATION,
                         "There must be a StepAdjustment with an unspecified upper bound (i.e., "
                         "upper bound is null) when one StepAdjustment has a positive upper "
                         "bound");
    }
    return 0;
}

static int read_steps(const struct doc *in, struct policy *policy, struct error *err)
{
    size_t count = doc_count(in, M_StepAdjustments);

    if (count == 0 || doc_has(in, M_ScalingAdjustment)) {
        return error_api(err, VALIDATION, "%s",
                         count == 0
                             ? "Step adjustments must be specified for a StepScaling policy"
                             : "ScalingAdjustment is not supported for policy type: StepScaling");
    }
    if (count > POLICY_STEPS_MAX) {
        return error_api(err, VALIDATION,
                         "There can be at most 20 step adjustments per scaling policy");
    }
    policy->steps = mem_calloc(count, sizeof(*policy->steps));
    policy->steps_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct doc *step = doc_at(in, M_StepAdjustments, i);

        policy->steps[i] = (struct policy_step){
            .has_lower = doc_has(step, M_MetricIntervalLowerBound),
            .has_upper = doc_has(step, M_MetricIntervalUpperBound),
            .lower = doc_double_or(step, M_MetricIntervalLowerBound, 0),
            .upper = doc_double_or(step, M_MetricIntervalUpperBound, 0),
            .amount = (int32_t)doc_int(step, M_ScalingAdjustment),
        };
    }
    if (doc_has(in, M_EstimatedInstanceWarmup)) {
        policy->warmup_ms = doc_int(in, M_EstimatedInstanceWarmup) * 1000;
    }
    return check_steps(policy, err);
}

static int read_aggregation(const struct doc *in, struct policy *policy, struct error *err)
{
    struct slice type = doc_text(in, M_MetricAggregationType);

    if (policy->type == POLICY_SIMPLE) {
        return 0;
    }
    if (type.bytes > 0 && !slice_equal_z(type, "Average") && !slice_equal_z(type, "Minimum") &&
        !slice_equal_z(type, "Maximum")) {
        return error_api(err, VALIDATION,
                         "Invalid MetricAggregationType: %.*s. Valid types are: Minimum, Maximum, "
                         "Average",
                         SLICE_ARG(type));
    }
    TEXT_COPY(policy->aggregation, type.bytes == 0 ? "Average" : type.data);
    return 0;
}

static int read_policy(const struct doc *in, struct policy *policy, struct error *err)
{
    struct slice name = doc_text(in, M_PolicyName);
    int rc;

    *policy = (struct policy){.enabled = doc_bool_or(in, M_Enabled, true),
                              .cooldown_ms = WORLD_UNSET,
                              .warmup_ms = WORLD_UNSET};
    if (slice_find(name, ':') != name.bytes) {
        return error_api(err, VALIDATION, "Policy name cannot contain the colon character (:)");
    }
    rc = read_type(in, policy, err);
    rc = rc != 0 ? rc : read_adjustment(in, policy, err);
    rc = rc != 0 ? rc : read_aggregation(in, policy, err);
    if (rc == 0) {
        rc = policy->type == POLICY_SIMPLE ? read_simple(in, policy, err)
                                           : read_steps(in, policy, err);
    }
    return rc;
}

/* An update keeps the ARN: alarms name it. */
static struct policy *policy_place(struct ctx *ctx, struct group *group, const char *name)
{
    struct policy *policy = world_policy(&group->world, name);

    if (policy == NULL) {
        char uuid[UUID_BYTES];

        policy = world_add_policy(&group->world, name);
        id_new_uuid(uuid);
        TEXT_COPY(policy->uuid, uuid);
        policy->created_ms = ctx->now_ms;
    }
    return policy;
}

int autoscaling_put_scaling_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                                   struct error *err)
{
    const char *name = doc_z(in, M_PolicyName);
    struct policy read = {0}, *policy;
    struct group *group;
    int rc;

    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    rc = rc != 0 ? rc : read_policy(in, &read, err);
    if (rc == 0 && world_policy(&group->world, name) == NULL &&
        group->world.policies_count >= POLICIES_MAX) {
        rc = error_api(err, "LimitExceeded", "A group can have at most %d policies.", POLICIES_MAX);
    }
    if (rc != 0) {
        policy_close(&read);
        return rc;
    }
    policy = policy_place(ctx, group, name);
    memcpy(read.name, policy->name, sizeof(read.name));
    memcpy(read.uuid, policy->uuid, sizeof(read.uuid));
    read.created_ms = policy->created_ms;
    policy_close(policy);
    *policy = read;
    group->unsaved = true;
    group_settle(ctx, group);
    doc_set_z(out, M_PolicyARN, group_policy_arn(ctx, group, policy));
    doc_set_list(out, M_Alarms);
    return 0;
}

int autoscaling_delete_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                              struct error *err)
{
    struct group *group;
    struct policy *policy;

    (void)out;
    policy =
        group_find_policy(ctx, doc_z(in, M_AutoScalingGroupName), doc_z(in, M_PolicyName), &group);
    if (policy == NULL) {
        return error_api(err, VALIDATION, "No policy found with name %s",
                         doc_z(in, M_PolicyName)); /* The text is unconfirmed. */
    }
    world_remove_policy(&group->world, policy->name);
    group->unsaved = true;
    group_settle(ctx, group);
    return 0;
}

int autoscaling_execute_policy(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct event event = {.kind = EVENT_EXECUTE_POLICY,
                          .honor_cooldown = doc_bool(in, M_HonorCooldown),
                          .has_metric =
                              doc_has(in, M_MetricValue) && doc_has(in, M_BreachThreshold),
                          .value = doc_double_or(in, M_MetricValue, 0),
                          .threshold = doc_double_or(in, M_BreachThreshold, 0)};
    const struct policy *policy;
    struct group *group;
    int rc;

    (void)out;
    policy =
        group_find_policy(ctx, doc_z(in, M_AutoScalingGroupName), doc_z(in, M_PolicyName), &group);
    if (policy == NULL) {
        return error_api(err, VALIDATION, "No policy found with name %s", doc_z(in, M_PolicyName));
    }
    event.policy = policy->name;
    rc = group_tell(ctx, group, &event, err);
    if (rc == 0) {
        group_settle(ctx, group);
    }
    return rc;
}

static void add_alarm(void *data, const char *name, const char *arn)
{
    struct doc *alarm = doc_list_add_struct(data);

    doc_set_z(alarm, M_AlarmName, name);
    doc_set_z(alarm, M_AlarmARN, arn);
}

static void describe_steps(const struct policy *policy, struct doc *out)
{
    doc_set_list(out, M_StepAdjustments);
    for (size_t i = 0; i < policy->steps_count; i++) {
        struct doc *step = doc_add_struct(out, M_StepAdjustments);

        if (policy->steps[i].has_lower) {
            doc_set_double(step, M_MetricIntervalLowerBound, policy->steps[i].lower);
        }
        if (policy->steps[i].has_upper) {
            doc_set_double(step, M_MetricIntervalUpperBound, policy->steps[i].upper);
        }
        doc_set_int(step, M_ScalingAdjustment, policy->steps[i].amount);
    }
}

static void describe_policy(struct ctx *ctx, const struct group *group, const struct policy *policy,
                            struct doc *out)
{
    const char *arn = group_policy_arn(ctx, group, policy);
    bool simple = policy->type == POLICY_SIMPLE;

    doc_set_z(out, M_AutoScalingGroupName, group->world.name);
    doc_set_z(out, M_PolicyName, policy->name);
    doc_set_z(out, M_PolicyARN, arn);
    doc_set_z(out, M_PolicyType, simple ? "SimpleScaling" : "StepScaling");
    doc_set_z(out, M_AdjustmentType, adjustment_names[policy->adjustment.type]);
    if (policy->has_magnitude_min) {
        doc_set_int(out, M_MinAdjustmentMagnitude, policy->adjustment.magnitude_min);
    }
    if (simple) {
        doc_set_int(out, M_ScalingAdjustment, policy->adjustment.amount);
    }
    if (policy->cooldown_ms != WORLD_UNSET) {
        doc_set_int(out, M_Cooldown, policy->cooldown_ms / 1000);
    }
    describe_steps(policy, out);
    if (policy->aggregation[0] != '\0') {
        doc_set_z(out, M_MetricAggregationType, policy->aggregation);
    }
    if (policy->warmup_ms != WORLD_UNSET) {
        doc_set_int(out, M_EstimatedInstanceWarmup, policy->warmup_ms / 1000);
    }
    ctx->control->autoscaling->neighbours->policy_alarms(ctx->control, arn, add_alarm,
                                                         doc_set_list(out, M_Alarms));
    doc_set_bool(out, M_Enabled, policy->enabled);
}

static bool is_asked_for(struct ctx *ctx, const struct group *group, const struct policy *policy,
                         const struct doc *in)
{
    struct slice type = slice_z(policy->type == POLICY_SIMPLE ? "SimpleScaling" : "StepScaling");

    if (doc_has(in, M_AutoScalingGroupName) &&
        !slice_equal_z(doc_text(in, M_AutoScalingGroupName), group->world.name)) {
        return false;
    }
    if (doc_count(in, M_PolicyTypes) > 0 && !doc_list_contains(in, M_PolicyTypes, type)) {
        return false;
    }
    return doc_count(in, M_PolicyNames) == 0 ||
           doc_list_contains(in, M_PolicyNames, slice_z(policy->name)) ||
           doc_list_contains(in, M_PolicyNames, slice_z(group_policy_arn(ctx, group, policy)));
}

int autoscaling_describe_policies(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    const struct autoscaling *service = ctx->control->autoscaling;
    struct page_request request = {"DescribePolicies", 50, 100, NULL, 0};
    const struct policy **policies;
    const struct group **owners;
    const char **keys;
    size_t total = 0, from, to;
    int rc;

    for (size_t i = 0; i < service->groups_count; i++) {
        total += service->groups[i]->world.policies_count;
    }
    policies = arena_calloc(ctx->arena, total + 1, sizeof(*policies));
    owners = arena_calloc(ctx->arena, total + 1, sizeof(*owners));
    keys = arena_calloc(ctx->arena, total + 1, sizeof(*keys));
    for (size_t i = 0; i < service->groups_count; i++) {
        const struct group *group = service->groups[i];

        for (size_t j = 0; !group->deleted && j < group->world.policies_count; j++) {
            if (is_asked_for(ctx, group, &group->world.policies[j], in)) {
                owners[request.count] = group;
                policies[request.count] = &group->world.policies[j];
                keys[request.count++] = group->world.policies[j].uuid;
            }
        }
    }
    request.keys = keys;
    rc = page_choose(ctx, in, out, &request, &from, &to, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_ScalingPolicies);
    for (size_t i = from; i < to; i++) {
        describe_policy(ctx, owners[i], policies[i], doc_add_struct(out, M_ScalingPolicies));
    }
    return 0;
}
