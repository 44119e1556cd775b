/* CreateAutoScalingGroup, UpdateAutoScalingGroup, DeleteAutoScalingGroup. */
#include "services/autoscaling/api.h"

#include "aws/id.h"
#include "base/alloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 1000 /* AWS's quota is 500, and more when asked for. */

/* Properties that AWS has and muster has not: better refused than ignored. */
static int refuse_what_is_not_offered(const struct doc *in, struct error *err)
{
    static const struct {
        int member;
        const char *name;
    } refused[] = {
        {M_MixedInstancesPolicy, "MixedInstancesPolicy"},
        {M_LaunchConfigurationName, "LaunchConfigurationName"},
        {M_InstanceId, "InstanceId"},
        {M_AvailabilityZoneIds, "AvailabilityZoneIds"},
        {M_LoadBalancerNames, "LoadBalancerNames"},
        {M_LifecycleHookSpecificationList, "LifecycleHookSpecificationList"},
        {M_InstanceMaintenancePolicy, "InstanceMaintenancePolicy"},
        {M_AvailabilityZoneImpairmentPolicy, "AvailabilityZoneImpairmentPolicy"},
        {M_CapacityReservationSpecification, "CapacityReservationSpecification"},
        {M_InstanceLifecyclePolicy, "InstanceLifecyclePolicy"},
    };

    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        const struct doc *value = doc_get(in, refused[i].member);

        if (value != NULL && !(value->kind == DOC_LIST && doc_length(value) == 0)) {
            return error_api(err, VALIDATION, "muster does not offer %s.", refused[i].name);
        }
    }
    if (doc_int(in, M_MaxInstanceLifetime) > 0 || doc_bool(in, M_CapacityRebalance) ||
        doc_text(in, M_PlacementGroup).bytes > 0) {
        return error_api(err, VALIDATION,
                         "muster does not offer MaxInstanceLifetime, CapacityRebalance and "
                         "PlacementGroup.");
    }
    if (doc_has(in, M_DeletionProtection) &&
        !slice_equal_z(doc_text(in, M_DeletionProtection), "none")) {
        return error_api(err, VALIDATION, "muster does not offer DeletionProtection.");
    }
    if (doc_has(in, M_AvailabilityZoneDistribution) &&
        !slice_equal_z(
            doc_text(doc_get(in, M_AvailabilityZoneDistribution), M_CapacityDistributionStrategy),
            "balanced-best-effort")) {
        return error_api(err, VALIDATION,
                         "muster offers the CapacityDistributionStrategy balanced-best-effort "
                         "only.");
    }
    if (doc_has(in, M_DesiredCapacityType) &&
        !slice_equal_z(doc_text(in, M_DesiredCapacityType), "units")) {
        return error_api(err, VALIDATION, "muster offers the DesiredCapacityType units only.");
    }
    return 0;
}

static int check_name(struct slice name, struct error *err)
{
    for (size_t i = 0; i < name.bytes; i++) {
        if (name.data[i] < 33 || name.data[i] > 126 || name.data[i] == ':') {
            return error_api(err, VALIDATION,
                             "1 validation error detected: Value '%.*s' at 'autoScalingGroupName' "
                             "failed to satisfy constraint: Member must consist of printable ASCII "
                             "characters other than colon and blank",
                             SLICE_ARG(name));
        }
    }
    return 0;
}

/* What a request changes, read and checked before anything is touched. */
struct settings {
    struct as_template template; /* id "" when not given. */
    const char *template_version;
    struct world places; /* Only its subnets. */
    char *subnets;       /* VPCZoneIdentifier. */
    const char *health_check_type;
    bool health_check_elb;
};

static void settings_close(struct settings *settings)
{
    world_close(&settings->places);
    free(settings->subnets);
    settings->subnets = NULL;
}

static int read_template(struct ctx *ctx, const struct doc *in, bool required,
                         struct settings *settings, struct error *err)
{
    const struct doc *template = doc_get(in, M_LaunchTemplate);
    const char *id = doc_z(template, M_LaunchTemplateId);
    const char *name = doc_z(template, M_LaunchTemplateName);
    const char *version = doc_z(template, M_Version);
    struct error why = {0};
    int rc;

    if (template == NULL) {
        return !required ? 0
                         : error_api(err, VALIDATION,
                                     "Valid requests must contain either LaunchTemplate, "
                                     "LaunchConfigurationName, InstanceId or MixedInstancesPolicy "
                                     "parameter.");
    }
    if ((id == NULL) == (name == NULL)) {
        return error_api(err, VALIDATION,
                         "Valid requests must contain either launchTemplateId or "
                         "LaunchTemplateName");
    }
    version = version == NULL ? "$Default" : version;
    if (strlen(version) >= sizeof(((struct group *)0)->template_version)) {
        return error_api(err, VALIDATION,
                         "You must use a valid fully-formed launch template. The version is too "
                         "long.");
    }
    settings->template_version = version;
    rc = ctx->control->autoscaling->neighbours->template_find(ctx, id, name, version,
                                                              &settings->template, &why);
    return rc == 0
               ? 0
               : error_api(err, VALIDATION, "You must use a valid fully-formed launch template. %s",
                           why.message);
}

static int add_subnet(struct ctx *ctx, const struct doc *in, struct slice text,
                      struct settings *settings, struct error *err)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;
    const char *subnet = arena_strdup(ctx->arena, slice_trim(text));
    char zone[ENGINE_ZONE_BYTES];

    if (strlen(subnet) >= ENGINE_SUBNET_BYTES ||
        neighbours->subnet_zone(ctx, subnet, zone, NULL) != 0) {
        return error_api(err, VALIDATION, "The subnet ID '%s' does not exist", subnet);
    }
    if (doc_count(in, M_AvailabilityZones) > 0 &&
        !doc_list_contains(in, M_AvailabilityZones, slice_z(zone))) {
        return error_api(err, VALIDATION,
                         "The availability zones of the specified subnets and the Auto Scaling "
                         "group do not match");
    }
    world_add_subnet(&settings->places, zone, subnet);
    return 0;
}

/* The subnets of VPCZoneIdentifier, or the default one of each zone. */
static int read_places(struct ctx *ctx, const struct doc *in, bool required,
                       struct settings *settings, struct error *err)
{
    const struct neighbours *neighbours = ctx->control->autoscaling->neighbours;
    struct slice rest = doc_text(in, M_VPCZoneIdentifier), part;
    int rc = 0;

    if (slice_trim(rest).bytes > 0) {
        settings->subnets = mem_strndup(rest.data, rest.bytes);
        while (rc == 0 && slice_next(&rest, ',', &part)) {
            rc = add_subnet(ctx, in, part, settings, err);
        }
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_AvailabilityZones); i++) {
        const char *zone = doc_z_at(in, M_AvailabilityZones, i);
        char subnet[ENGINE_SUBNET_BYTES];

        if (strlen(zone) >= ENGINE_ZONE_BYTES ||
            neighbours->default_subnet(ctx, zone, subnet, NULL) != 0) {
            return error_api(err, VALIDATION,
                             "Invalid availability zones specified: [%s]. It must have a default "
                             "subnet.",
                             zone);
        }
        world_add_subnet(&settings->places, zone, subnet);
    }
    if (required && settings->places.subnets_count == 0) {
        return error_api(err, VALIDATION,
                         "At least one Availability Zone or VPC Subnet is required.");
    }
    return rc;
}

static int read_health_check(const struct doc *in, struct settings *settings, struct error *err)
{
    struct slice rest = doc_text(in, M_HealthCheckType), part;

    settings->health_check_type = doc_z(in, M_HealthCheckType);
    while (slice_next(&rest, ',', &part)) {
        part = slice_trim(part);
        if (slice_equal_z(part, "ELB")) {
            settings->health_check_elb = true;
        } else if (slice_equal_z(part, "EBS") || slice_equal_z(part, "VPC_LATTICE")) {
            return error_api(err, VALIDATION, "muster does not offer the health check type %.*s.",
                             SLICE_ARG(part));
        } else if (!slice_equal_z(part, "EC2")) {
            return error_api(err, VALIDATION, "Unsupported health check type: %.*s",
                             SLICE_ARG(part));
        }
    }
    return 0;
}

static int check_numbers(const struct doc *in, struct error *err)
{
    static const struct {
        int member;
        const char *name;
        int64_t min, max;
    } rows[] = {
        {M_DefaultCooldown, "defaultCooldown", 0, INT32_MAX},
        {M_HealthCheckGracePeriod, "healthCheckGracePeriod", 0, INT32_MAX},
        {M_DefaultInstanceWarmup, "defaultInstanceWarmup", -1, INT32_MAX},
        {M_MinSize, "minSize", 0, INT32_MAX},
        {M_MaxSize, "maxSize", 0, INT32_MAX},
        {M_DesiredCapacity, "desiredCapacity", 0, INT32_MAX},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t value = doc_int(in, rows[i].member);

        if (doc_has(in, rows[i].member) && (value < rows[i].min || value > rows[i].max)) {
            return error_api(err, VALIDATION,
                             "1 validation error detected: Value '%" PRId64
                             "' at '%s' failed to satisfy constraint: Member must have value %s "
                             "than or equal to %" PRId64,
                             value, rows[i].name, value < rows[i].min ? "greater" : "less",
                             value < rows[i].min ? rows[i].min : rows[i].max);
        }
    }
    return 0;
}

static int settings_read(struct ctx *ctx, const struct doc *in, bool create,
                         struct settings *settings, struct error *err)
{
    int rc = refuse_what_is_not_offered(in, err);

    rc = rc != 0 ? rc : check_numbers(in, err);
    rc = rc != 0 ? rc : read_template(ctx, in, create, settings, err);
    rc = rc != 0 ? rc : read_places(ctx, in, create, settings, err);
    return rc != 0 ? rc : read_health_check(in, settings, err);
}

/* A group launches by itself what its template says: who sets that must be allowed to launch it, in
 * the subnets that are given or, by @before, stay. "Control Amazon EC2 launch template usage in
 * Auto Scaling groups", user guide. */
static int judge_template(struct ctx *ctx, const struct settings *settings,
                          const struct world *before, struct error *err)
{
    const struct world *places = settings->places.subnets_count > 0 ? &settings->places : before;
    const struct as_template *template = &settings->template;
    int rc = 0;

    for (size_t i = 0; rc == 0 && template->id[0] != '\0' && i < places->subnets_count; i++) {
        rc = ctx->control->autoscaling->neighbours->template_judge(
            ctx, template->id, settings->template_version, places->subnets[i].subnet, NULL);
    }
    return rc == 0 ? 0
                   : error_set(err, ERR_DENIED, "You are not authorized to use launch template: %s",
                               template->id);
}

bool group_termination_policies(struct group *group)
{
    static const struct {
        const char *name;
        enum termination_policy policy;
    } rows[] = {
        {"Default", TERMINATION_DEFAULT},
        {"OldestInstance", TERMINATION_OLDEST_INSTANCE},
        {"NewestInstance", TERMINATION_NEWEST_INSTANCE},
        {"OldestLaunchConfiguration", TERMINATION_OLDEST_LAUNCH_CONFIGURATION},
        {"OldestLaunchTemplate", TERMINATION_OLDEST_LAUNCH_TEMPLATE},
        {"ClosestToNextInstanceHour", TERMINATION_CLOSEST_TO_NEXT_INSTANCE_HOUR},
        {"AllocationStrategy", TERMINATION_ALLOCATION_STRATEGY},
    };
    struct world *world = &group->world;

    world->termination_policies_count = 0;
    for (size_t i = 0; i < group->termination_policies_count; i++) {
        size_t row = 0;

        while (row < COUNT_OF(rows) &&
               strcmp(rows[row].name, group->termination_policies[i]) != 0) {
            row++;
        }
        if (row == COUNT_OF(rows) ||
            world->termination_policies_count == WORLD_TERMINATION_POLICIES_MAX) {
            return false;
        }
        world->termination_policies[world->termination_policies_count++] = rows[row].policy;
    }
    return true;
}

/* Is the request's list all of names that AWS has? Checked on a group of no consequence. */
static int check_termination_policies(const struct doc *in, struct error *err)
{
    size_t count = doc_count(in, M_TerminationPolicies);
    char **names = mem_calloc(count + 1, sizeof(*names));
    struct group *trial = mem_calloc(1, sizeof(*trial));
    bool known, default_last = true;

    for (size_t i = 0; i < count; i++) {
        names[i] = mem_strdup(doc_z_at(in, M_TerminationPolicies, i));
        default_last = default_last && (i + 1 == count || strcmp(names[i], "Default") != 0);
    }
    trial->termination_policies = names;
    trial->termination_policies_count = count;
    known = group_termination_policies(trial);
    group_close(trial);
    if (!known) {
        return error_api(err, VALIDATION,
                         "Invalid termination policy. Allowed: AllocationStrategy, "
                         "ClosestToNextInstanceHour, Default, NewestInstance, OldestInstance, "
                         "OldestLaunchConfiguration, OldestLaunchTemplate");
    }
    return default_last ? 0
                        : error_api(err, VALIDATION,
                                    "If you specify the Default termination policy, it must be the "
                                    "last in the list");
}

static void set_termination_policies(struct group *group, const struct doc *in)
{
    size_t count = doc_count(in, M_TerminationPolicies);

    for (size_t i = 0; i < group->termination_policies_count; i++) {
        free(group->termination_policies[i]);
    }
    free(group->termination_policies);
    group->termination_policies = mem_calloc(count + 1, sizeof(char *));
    group->termination_policies_count = 0;
    for (size_t i = 0; i < count; i++) {
        group->termination_policies[group->termination_policies_count++] =
            mem_strdup(doc_z_at(in, M_TerminationPolicies, i));
    }
    if (count == 0) {
        group->termination_policies[group->termination_policies_count++] = mem_strdup("Default");
    }
    (void)group_termination_policies(group);
}

/* Everything was checked; sizes go through the engine. */
static void settings_apply(struct group *group, const struct doc *in, struct settings *settings)
{
    struct world *world = &group->world;

    if (settings->template.id[0] != '\0' || settings->places.subnets_count > 0) {
        world->launch_failures = 0; /* It may have been this that they failed for. */
        world->next_launch_ms = 0;
    }
    if (settings->template.id[0] != '\0') {
        TEXT_COPY(world->template_id, settings->template.id);
        TEXT_COPY(group->template_name, settings->template.name);
        TEXT_COPY(group->template_version, settings->template_version);
    }
    if (settings->places.subnets_count > 0) {
        free(world->subnets);
        world->subnets = settings->places.subnets;
        world->subnets_count = settings->places.subnets_count;
        world->subnets_room = settings->places.subnets_room;
        settings->places.subnets = NULL;
        settings->places.subnets_count = 0;
        free(group->subnets);
        group->subnets = settings->subnets;
        settings->subnets = NULL;
    }
    if (settings->health_check_type != NULL) {
        free(group->health_check_type);
        group->health_check_type = mem_strdup(settings->health_check_type);
        world->health_check_elb = settings->health_check_elb;
    }
    world->grace_ms = doc_int_or(in, M_HealthCheckGracePeriod, world->grace_ms / 1000) * 1000;
    world->default_cooldown_ms =
        doc_int_or(in, M_DefaultCooldown, world->default_cooldown_ms / 1000) * 1000;
    if (doc_has(in, M_DefaultInstanceWarmup)) {
        int64_t warmup_s = doc_int(in, M_DefaultInstanceWarmup);

        world->default_warmup_ms = warmup_s < 0 ? WORLD_UNSET : warmup_s * 1000;
    }
    world->new_instances_protected =
        doc_bool_or(in, M_NewInstancesProtectedFromScaleIn, world->new_instances_protected);
    if (doc_has(in, M_TerminationPolicies) || group->termination_policies == NULL) {
        set_termination_policies(group, in);
    }
}

static int check_new_name(struct ctx *ctx, const char *name, struct error *err)
{
    const struct group *group = group_find(ctx->control, name);
    int rc = check_name(slice_z(name), err);

    if (rc != 0 || group == NULL) {
        return rc;
    }
    return error_api(err, "AlreadyExists",
                     "AutoScalingGroup by this name already exists - A group with the name %s "
                     "already exists%s",
                     name,
                     group->world.deleting
                         ? " and is pending delete.  Please wait until Autoscaling completes the "
                           "deletion process before creating another group with the same name."
                         : "");
}

static int check_target_groups(struct ctx *ctx, const char *const *arns, struct error *err)
{
    for (size_t i = 0; arns[i] != NULL; i++) {
        if (strlen(arns[i]) >= ENGINE_NAME_BYTES ||
            !ctx->control->autoscaling->neighbours->target_group_exists(ctx->control, arns[i])) {
            return error_api(err, VALIDATION,
                             "Provided Target Groups may not be valid. Please ensure they exist "
                             "and try again.");
        }
    }
    return 0;
}

static struct group *group_make(struct ctx *ctx, const char *name)
{
    struct group *group = mem_calloc(1, sizeof(*group));
    char uuid[UUID_BYTES];
    uint32_t seed;

    id_new_uuid(uuid);
    id_random(&seed, sizeof(seed));
    world_init(&group->world, name, seed);
    TEXT_COPY(group->uuid, uuid);
    group->arn = mem_strdup(
        ctx_arn(ctx, "autoscaling", "autoScalingGroup:%s:autoScalingGroupName/%s", uuid, name));
    group->created_ms = ctx->now_ms;
    group->health_check_type = mem_strdup("EC2");
    return group;
}

static void group_add(struct ctx *ctx, struct group *group, const struct doc *in,
                      const char *const *target_groups)
{
    for (size_t i = 0; target_groups[i] != NULL; i++) {
        if (world_target_group(&group->world, target_groups[i]) == NULL) {
            world_add_target_group(&group->world, target_groups[i], ATTACH_IN_SERVICE);
        }
    }
    group_enter(ctx->control->autoscaling, group);
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        tags_set(ctx, group, doc_at(in, M_Tags, i));
    }
}

static int create_check(struct ctx *ctx, const struct doc *in, const char ***target_groups,
                        struct error *err)
{
    int rc = check_new_name(ctx, doc_z(in, M_AutoScalingGroupName), err);

    if (rc == 0 && ctx->control->autoscaling->by_name.count >= GROUPS_MAX) {
        return error_api(err, "LimitExceeded", "You have reached the limit of %d groups.",
                         GROUPS_MAX);
    }
    rc = rc != 0 ? rc : target_groups_read(ctx, in, target_groups, err);
    rc = rc != 0 ? rc : check_target_groups(ctx, *target_groups, err);
    rc = rc != 0 ? rc : check_termination_policies(in, err);
    return rc != 0 ? rc : tags_check(in, err);
}

int autoscaling_create_auto_scaling_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    struct settings settings = {0};
    const char **target_groups;
    struct group *group = NULL;
    struct event event = {.kind = EVENT_CREATED};
    int rc;

    (void)out;
    rc = create_check(ctx, in, &target_groups, err);
    rc = rc != 0 ? rc : settings_read(ctx, in, true, &settings, err);
    rc = rc != 0 ? rc : judge_template(ctx, &settings, NULL, err);
    if (rc == 0) {
        group = group_make(ctx, doc_z(in, M_AutoScalingGroupName));
        settings_apply(group, in, &settings);
        event.min = (int32_t)doc_int(in, M_MinSize);
        event.max = (int32_t)doc_int(in, M_MaxSize);
        event.desired = (int32_t)doc_int_or(in, M_DesiredCapacity, event.min);
        rc = group_tell(ctx, group, &event, err);
    }
    settings_close(&settings);
    if (rc != 0) {
        group_close(group);
        return rc;
    }
    group_add(ctx, group, in, target_groups);
    group_settle(ctx, group);
    return 0;
}

int autoscaling_update_auto_scaling_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    struct settings settings = {0};
    struct group *group;
    const struct event event = {
        .kind = EVENT_UPDATE_SIZES,
        .min = (int32_t)doc_int_or(in, M_MinSize, WORLD_UNSET),
        .max = (int32_t)doc_int_or(in, M_MaxSize, WORLD_UNSET),
        .desired = (int32_t)doc_int_or(in, M_DesiredCapacity, WORLD_UNSET),
    };
    int rc;

    (void)out;
    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    rc = rc != 0 ? rc : check_termination_policies(in, err);
    rc = rc != 0 ? rc : settings_read(ctx, in, false, &settings, err);
    rc = rc != 0 ? rc : judge_template(ctx, &settings, &group->world, err);
    rc = rc != 0 ? rc : group_tell(ctx, group, &event, err);
    if (rc == 0) {
        settings_apply(group, in, &settings);
        group_settle(ctx, group);
    }
    settings_close(&settings);
    return rc;
}

int autoscaling_delete_auto_scaling_group(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    const struct event event = {.kind = EVENT_DELETE, .flag = doc_bool(in, M_ForceDelete)};
    struct group *group;
    int rc;

    (void)out;
    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    rc = rc != 0 ? rc : group_tell(ctx, group, &event, err);
    if (rc == 0) {
        group_settle(ctx, group);
    }
    return rc;
}

int autoscaling_set_desired_capacity(struct ctx *ctx, const struct doc *in, struct doc *out,
                                     struct error *err)
{
    const struct event event = {.kind = EVENT_SET_DESIRED,
                                .desired = (int32_t)doc_int(in, M_DesiredCapacity),
                                .honor_cooldown = doc_bool(in, M_HonorCooldown)};
    struct group *group;
    int rc;

    (void)out;
    rc = group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
    rc = rc != 0 ? rc : group_tell(ctx, group, &event, err);
    if (rc == 0) {
        group_settle(ctx, group);
    }
    return rc;
}

int autoscaling_describe_account_limits(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    (void)in;
    (void)err;
    doc_set_int(out, M_MaxNumberOfAutoScalingGroups, GROUPS_MAX);
    doc_set_int(out, M_MaxNumberOfLaunchConfigurations, 200);
    doc_set_int(out, M_NumberOfAutoScalingGroups,
                (int64_t)ctx->control->autoscaling->by_name.count);
    doc_set_int(out, M_NumberOfLaunchConfigurations, 0);
    return 0;
}
