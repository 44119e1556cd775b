/* DescribeAutoScalingGroups, DescribeAutoScalingInstances, and the lists that never change. */
#include "services/autoscaling/api.h"

#include "aws/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The thing after the one that ended the last page: exactly, or in a list that is sorted by key the
 * next one, as things may have gone in between. */
static size_t page_from(const struct page_request *request, struct slice last)
{
    for (size_t i = 0; i < request->count; i++) {
        if (slice_equal_z(last, request->keys[i])) {
            return i + 1;
        }
    }
    for (size_t i = 0; i < request->count; i++) {
        if (slice_compare(slice_z(request->keys[i]), last) > 0) {
            return i;
        }
    }
    return request->count;
}

int page_choose(struct ctx *ctx, const struct doc *in, struct doc *out,
                const struct page_request *request, size_t *from, size_t *to, struct error *err)
{
    int64_t records = doc_int_or(in, M_MaxRecords, (int64_t)request->usual);
    struct slice last;

    if (records < 1 || records > (int64_t)request->limit) {
        return error_api(err, VALIDATION,
                         "1 validation error detected: Value '%" PRId64
                         "' at 'maxRecords' failed to satisfy constraint: Member must have value "
                         "%s than or equal to %zu",
                         records, records < 1 ? "greater" : "less",
                         records < 1 ? (size_t)1 : request->limit);
    }
    if (page_token_read(ctx->arena, request->action, doc_z(in, M_NextToken), &last, NULL) != 0) {
        return error_api(err, "InvalidNextToken", "The token '%s' is invalid.",
                         doc_z(in, M_NextToken));
    }
    *from = last.bytes == 0 ? 0 : page_from(request, last);
    *to = (size_t)min_i64((int64_t)request->count, (int64_t)*from + records);
    if (*to < request->count) {
        doc_set_z(out, M_NextToken,
                  page_token(ctx->arena, request->action, slice_z(request->keys[*to - 1])));
    }
    return 0;
}

static void describe_template(struct doc *out, const char *id, const char *name,
                              const char *version)
{
    struct doc *template;

    if (id[0] == '\0') {
        return;
    }
    template = doc_set_struct(out, M_LaunchTemplate);
    doc_set_z(template, M_LaunchTemplateId, id);
    doc_set_z(template, M_LaunchTemplateName, name);
    doc_set_z(template, M_Version, version);
}

/* What the two kinds of answer share; they spell health differently. */
static void describe_instance(const struct world_instance *instance, const char *healthy,
                              const char *unhealthy, struct doc *out)
{
    char version[24];

    doc_set_z(out, M_InstanceId, instance->id);
    if (instance->type[0] != '\0') {
        doc_set_z(out, M_InstanceType, instance->type);
    }
    doc_set_z(out, M_AvailabilityZone, instance->zone);
    doc_set_z(out, M_LifecycleState, lifecycle_name(instance->lifecycle));
    doc_set_z(out, M_HealthStatus, instance->unhealthy ? unhealthy : healthy);
    (void)snprintf(version, sizeof(version), "%" PRId64, instance->template_version);
    describe_template(out, instance->template_id, instance->template_name, version);
    doc_set_bool(out, M_ProtectedFromScaleIn, instance->protected_from_scale_in);
}

static void describe_places(const struct group *group, struct doc *out)
{
    const struct world *world = &group->world;
    struct doc *zones = doc_set_list(out, M_AvailabilityZones);

    for (size_t i = 0; i < world->subnets_count; i++) {
        if (!doc_list_contains(out, M_AvailabilityZones, slice_z(world->subnets[i].zone))) {
            doc_list_add_z(zones, world->subnets[i].zone);
        }
    }
    if (group->subnets != NULL) {
        doc_set_z(out, M_VPCZoneIdentifier, group->subnets);
    }
}

static void describe_balancing(const struct group *group, struct doc *out)
{
    const struct world *world = &group->world;

    doc_set_list(out, M_LoadBalancerNames);
    doc_set_list(out, M_TargetGroupARNs);
    doc_set_list(out, M_TrafficSources);
    for (size_t i = 0; i < world->target_groups_count; i++) {
        struct doc *source = doc_add_struct(out, M_TrafficSources);

        doc_add_z(out, M_TargetGroupARNs, world->target_groups[i].arn);
        doc_set_z(source, M_Identifier, world->target_groups[i].arn);
        doc_set_z(source, M_Type, "elbv2");
    }
}

static void describe_suspensions(const struct group *group, struct doc *out)
{
    doc_set_list(out, M_SuspendedProcesses);
    for (size_t i = 0; i < group->suspensions_count; i++) {
        struct doc *process = doc_add_struct(out, M_SuspendedProcesses);
        char time[TIME_TEXT_BYTES];

        time_format_s(group->suspensions[i].at_ms, time);
        doc_set_z(process, M_ProcessName, group->suspensions[i].process);
        doc_set_format(process, M_SuspensionReason, "User suspended at %s", time);
    }
}

void describe_group(struct ctx *ctx, const struct group *group, bool instances, struct doc *out)
{
    const struct world *world = &group->world;

    doc_set_z(out, M_AutoScalingGroupName, world->name);
    doc_set_z(out, M_AutoScalingGroupARN, group->arn);
    describe_template(out, world->template_id, group->template_name, group->template_version);
    doc_set_int(out, M_MinSize, world->min);
    doc_set_int(out, M_MaxSize, world->max);
    doc_set_int(out, M_DesiredCapacity, world->desired);
    doc_set_int(out, M_DefaultCooldown, world->default_cooldown_ms / 1000);
    describe_places(group, out);
    describe_balancing(group, out);
    doc_set_z(out, M_HealthCheckType, group->health_check_type);
    doc_set_int(out, M_HealthCheckGracePeriod, world->grace_ms / 1000);
    doc_set_list(out, M_Instances);
    for (size_t i = 0; instances && i < world->instances_count; i++) {
        describe_instance(&world->instances[i], "Healthy", "Unhealthy",
                          doc_add_struct(out, M_Instances));
    }
    doc_set_time_ms(out, M_CreatedTime, group->created_ms);
    describe_suspensions(group, out);
    doc_set_list(out, M_EnabledMetrics);
    if (world->deleting) {
        doc_set_z(out, M_Status, "Delete in progress");
    }
    doc_set_list(out, M_Tags);
    for (size_t i = 0; i < group->tags_count; i++) {
        describe_tag(group, &group->tags[i], doc_add_struct(out, M_Tags));
    }
    doc_set_list(out, M_TerminationPolicies);
    for (size_t i = 0; i < group->termination_policies_count; i++) {
        doc_add_z(out, M_TerminationPolicies, group->termination_policies[i]);
    }
    doc_set_bool(out, M_NewInstancesProtectedFromScaleIn, world->new_instances_protected);
    doc_set_format(out, M_ServiceLinkedRoleARN,
                   "arn:aws:iam::%s:role/aws-service-role/autoscaling.amazonaws.com/"
                   "AWSServiceRoleForAutoScaling",
                   ctx->control->options.account);
    doc_set_bool(out, M_CapacityRebalance, false);
    if (world->default_warmup_ms != WORLD_UNSET) {
        doc_set_int(out, M_DefaultInstanceWarmup, world->default_warmup_ms / 1000);
    }
}

/* One Filter: "tag:KEY" with values, "tag-key", "tag-value"; any of the values will do. */
static bool filter_matches(const struct group *group, const struct doc *filter)
{
    struct slice name = doc_text(filter, M_Name);

    for (size_t i = 0; i < group->tags_count; i++) {
        struct slice key = slice_z(group->tags[i].key), value = slice_z(group->tags[i].value);

        if (slice_starts(name, SLICE_LIT("tag:"))) {
            if (slice_equal(slice_sub(name, 4, name.bytes), key) &&
                doc_list_contains(filter, M_Values, value)) {
                return true;
            }
        } else if (doc_list_contains(filter, M_Values,
                                     slice_equal_z(name, "tag-key") ? key : value)) {
            return true;
        }
    }
    return false;
}

static int check_filters(const struct doc *in, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        struct slice name = doc_text(doc_at(in, M_Filters, i), M_Name);

        if (!slice_starts(name, SLICE_LIT("tag:")) && !slice_equal_z(name, "tag-key") &&
            !slice_equal_z(name, "tag-value")) {
            return error_api(err, VALIDATION,
                             "Filter type %.*s is not correct. Allowed Filter types are: tag-key "
                             "tag-value tag:<key>",
                             SLICE_ARG(name));
        }
    }
    return 0;
}

static bool is_asked_for(const struct group *group, const struct doc *in)
{
    if (group->deleted ||
        (doc_count(in, M_AutoScalingGroupNames) > 0 &&
         !doc_list_contains(in, M_AutoScalingGroupNames, slice_z(group->world.name)))) {
        return false;
    }
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        if (!filter_matches(group, doc_at(in, M_Filters, i))) {
            return false;
        }
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct group *left = *(struct group *const *)a, *right = *(struct group *const *)b;

    return strcmp(left->world.name, right->world.name);
}

int autoscaling_describe_auto_scaling_groups(struct ctx *ctx, const struct doc *in, struct doc *out,
                                             struct error *err)
{
    const struct autoscaling *service = ctx->control->autoscaling;
    struct group **chosen =
        arena_calloc(ctx->arena, service->groups_count + 1, sizeof(struct group *));
    const char **names = arena_calloc(ctx->arena, service->groups_count + 1, sizeof(*names));
    struct page_request request = {"DescribeAutoScalingGroups", 50, 100, names, 0};
    size_t from, to;
    int rc = check_filters(in, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < service->groups_count; i++) {
        if (is_asked_for(service->groups[i], in)) {
            chosen[request.count++] = service->groups[i];
        }
    }
    qsort(chosen, request.count, sizeof(struct group *), by_name);
    for (size_t i = 0; i < request.count; i++) {
        names[i] = chosen[i]->world.name;
    }
    rc = page_choose(ctx, in, out, &request, &from, &to, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_AutoScalingGroups);
    for (size_t i = from; i < to; i++) {
        describe_group(ctx, chosen[i], doc_bool_or(in, M_IncludeInstances, true),
                       doc_add_struct(out, M_AutoScalingGroups));
    }
    return 0;
}

int autoscaling_describe_auto_scaling_instances(struct ctx *ctx, const struct doc *in,
                                                struct doc *out, struct error *err)
{
    const struct autoscaling *service = ctx->control->autoscaling;
    struct page_request request = {"DescribeAutoScalingInstances", 50, 50, NULL, 0};
    const struct world_instance **chosen;
    const struct group **owners;
    const char **ids;
    size_t total = 0, from, to;
    int rc;

    for (size_t i = 0; i < service->groups_count; i++) {
        total += service->groups[i]->world.instances_count;
    }
    chosen = arena_calloc(ctx->arena, total + 1, sizeof(*chosen));
    owners = arena_calloc(ctx->arena, total + 1, sizeof(*owners));
    ids = arena_calloc(ctx->arena, total + 1, sizeof(*ids));
    for (size_t i = 0; i < service->groups_count; i++) {
        const struct world *world = &service->groups[i]->world;

        for (size_t j = 0; j < world->instances_count; j++) {
            if (doc_count(in, M_InstanceIds) == 0 ||
                doc_list_contains(in, M_InstanceIds, slice_z(world->instances[j].id))) {
                owners[request.count] = service->groups[i];
                chosen[request.count] = &world->instances[j];
                ids[request.count++] = world->instances[j].id;
            }
        }
    }
    request.keys = ids;
    rc = page_choose(ctx, in, out, &request, &from, &to, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_AutoScalingInstances);
    for (size_t i = from; i < to; i++) {
        struct doc *instance = doc_add_struct(out, M_AutoScalingInstances);

        describe_instance(chosen[i], "HEALTHY", "UNHEALTHY", instance);
        doc_set_z(instance, M_AutoScalingGroupName, owners[i]->world.name);
    }
    return 0;
}

int autoscaling_describe_adjustment_types(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    static const char *const names[] = {"ChangeInCapacity", "ExactCapacity",
                                        "PercentChangeInCapacity"};

    (void)ctx;
    (void)in;
    (void)err;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        doc_set_z(doc_add_struct(out, M_AdjustmentTypes), M_AdjustmentType, names[i]);
    }
    return 0;
}

int autoscaling_describe_scaling_process_types(struct ctx *ctx, const struct doc *in,
                                               struct doc *out, struct error *err)
{
    (void)ctx;
    (void)in;
    (void)err;
    for (size_t i = 0; i < process_names_count; i++) {
        doc_set_z(doc_add_struct(out, M_Processes), M_ProcessName, process_names[i]);
    }
    return 0;
}

int autoscaling_describe_termination_policy_types(struct ctx *ctx, const struct doc *in,
                                                  struct doc *out, struct error *err)
{
    static const char *const names[] = {"AllocationStrategy",
                                        "ClosestToNextInstanceHour",
                                        "Default",
                                        "NewestInstance",
                                        "OldestInstance",
                                        "OldestLaunchConfiguration",
                                        "OldestLaunchTemplate"};

    (void)ctx;
    (void)in;
    (void)err;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        doc_add_z(out, M_TerminationPolicyTypes, names[i]);
    }
    return 0;
}
