/* The service's handlers and its loop, with neighbours that are made up. */
#include "check.h"
#include "services/autoscaling/api.h"
#include "wire/codec.h"

#include "api/api.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define INSTANCES_MAX 64
#define TARGET_GROUP                                                                               \
    "arn:aws:elasticloadbalancing:us-east-2:000000000000:targetgroup/web/0123456789abcdef"

/* A tiny EC2 and a target group. */
struct machine {
    char id[ENGINE_INSTANCE_ID_BYTES];
    enum machine_state state;
    enum as_target target;
    char tags[256];
};

static struct {
    struct machine machines[INSTANCES_MAX];
    size_t count;
    const char *refuses;   /* Launches fail with this. */
    const char *forbidden; /* The subnet that the caller may not launch in. */
} fake;

static struct machine *machine_named(const char *id)
{
    for (size_t i = 0; i < fake.count; i++) {
        if (strcmp(fake.machines[i].id, id) == 0) {
            return &fake.machines[i];
        }
    }
    return NULL;
}

static int fake_template_find(struct ctx *ctx, const char *id, const char *name,
                              const char *version, struct as_template *found, struct error *err)
{
    (void)ctx;
    if (!slice_equal_z(slice_z(id), "lt-1") && !slice_equal_z(slice_z(name), "web")) {
        return error_api(err, "InvalidLaunchTemplateId.NotFound", "No such template.");
    }
    *found = (struct as_template){.id = "lt-1", .name = "web"};
    found->version = strcmp(version, "$Latest") == 0 ? 2 : 1;
    return 0;
}

static int fake_template_judge(struct ctx *ctx, const char *id, const char *version,
                               const char *subnet, struct error *err)
{
    (void)ctx;
    (void)id;
    (void)version;
    return fake.forbidden != NULL && strcmp(subnet, fake.forbidden) == 0
               ? error_set(err, ERR_DENIED, "no")
               : 0;
}

static int fake_subnet_zone(struct ctx *ctx, const char *subnet, char zone[ENGINE_ZONE_BYTES],
                            struct error *err)
{
    (void)ctx;
    if (strcmp(subnet, "subnet-a") != 0 && strcmp(subnet, "subnet-b") != 0) {
        return error_set(err, ERR_NOT_FOUND, "no subnet");
    }
    (void)snprintf(zone, ENGINE_ZONE_BYTES, "us-east-2%s", subnet + strlen("subnet-"));
    return 0;
}

static int fake_default_subnet(struct ctx *ctx, const char *zone, char subnet[ENGINE_SUBNET_BYTES],
                               struct error *err)
{
    (void)ctx;
    (void)zone;
    (void)subnet;
    return error_set(err, ERR_NOT_FOUND, "no default subnet");
}

static int fake_launch(struct ctx *ctx, const struct as_launch *launch,
                       struct as_launched *launched, struct error *err)
{
    struct machine *machine = &fake.machines[fake.count];

    if (fake.refuses != NULL) {
        return error_api(err, "InvalidAMIID.NotFound", "%s", fake.refuses);
    }
    ASSERT(fake.count < INSTANCES_MAX);
    fake.count++;
    *machine = (struct machine){.state = MACHINE_PENDING};
    (void)snprintf(machine->id, sizeof(machine->id), "i-%017zx", fake.count);
    for (size_t i = 0; i < launch->tags_count; i++) {
        size_t used = strlen(machine->tags);

        (void)snprintf(machine->tags + used, sizeof(machine->tags) - used, "%s=%s ",
                       launch->tags[i].key, launch->tags[i].value);
    }
    TEXT_COPY(launched->instance, machine->id);
    TEXT_COPY(launched->type, "t2.micro");
    return fake_template_find(ctx, launch->template_id, NULL, launch->template_version,
                              &launched->template, err);
}

static void fake_terminate(struct ctx *ctx, const char *instance)
{
    (void)ctx;
    machine_named(instance)->state = MACHINE_STOPPED;
}

static enum machine_state fake_machine(const struct control *control, const char *instance,
                                       char reason[ENGINE_MESSAGE_BYTES])
{
    (void)control;
    (void)reason;
    return machine_named(instance)->state;
}

static bool fake_target_group_exists(const struct control *control, const char *arn)
{
    (void)control;
    return strcmp(arn, TARGET_GROUP) == 0;
}

static int64_t fake_delay_ms(const struct control *control, const char *arn)
{
    (void)control;
    (void)arn;
    return 30000;
}

static int fake_register(struct ctx *ctx, const char *arn, const char *instance, struct error *err)
{
    (void)ctx;
    (void)arn;
    (void)err;
    machine_named(instance)->target = AS_TARGET_OTHER;
    return 0;
}

static void fake_deregister(struct ctx *ctx, const char *arn, const char *instance)
{
    (void)ctx;
    (void)arn;
    machine_named(instance)->target = AS_TARGET_OTHER; /* Draining. */
}

static enum as_target fake_target(const struct control *control, const char *arn,
                                  const char *instance)
{
    (void)control;
    (void)arn;
    return machine_named(instance)->target;
}

static void fake_policy_alarms(const struct control *control, const char *policy_arn,
                               as_alarm_fn *fn, void *data)
{
    (void)control;
    (void)policy_arn;
    fn(data, "cpu-high", "arn:aws:cloudwatch:us-east-2:000000000000:alarm:cpu-high");
}

static const struct neighbours fake_neighbours = {
    .template_find = fake_template_find,
    .template_judge = fake_template_judge,
    .subnet_zone = fake_subnet_zone,
    .default_subnet = fake_default_subnet,
    .launch = fake_launch,
    .terminate = fake_terminate,
    .machine = fake_machine,
    .target_group_exists = fake_target_group_exists,
    .target_group_delay_ms = fake_delay_ms,
    .target_register = fake_register,
    .target_deregister = fake_deregister,
    .target = fake_target,
    .policy_alarms = fake_policy_alarms,
};

/* A control plane of one service; a request is a ctx whose changes are looked at and dropped. */
struct plane {
    struct control control;
    struct ctx ctx;
    struct arena arena;
    struct changes changes;
    struct doc *in, *out;
    struct error err;
    int rc;
};

static int plane_setup(void **state)
{
    struct plane *plane = mem_calloc(1, sizeof(*plane));

    memset(&fake, 0, sizeof(fake));
    plane->control.options =
        (struct control_options){.region = "us-east-2", .account = "000000000000", .time_scale = 1};
    autoscaling_open(&plane->control, &fake_neighbours);
    plane->ctx = (struct ctx){.arena = &plane->arena,
                              .control = &plane->control,
                              .changes = &plane->changes,
                              .now_ms = 1000};
    plane->in = doc_new(&plane->arena, DOC_STRUCT);
    *state = plane;
    return 0;
}

static int plane_teardown(void **state)
{
    struct plane *plane = *state;

    autoscaling_close(&plane->control);
    tags_index_close(&plane->control.tags);
    changes_close(&plane->changes);
    arena_close(&plane->arena);
    free(plane);
    return 0;
}

/* Call @handler with plane->in, which is emptied for the next. */
static int call(struct plane *plane, handler_fn *handler)
{
    plane->out = doc_new(&plane->arena, DOC_STRUCT);
    plane->err = (struct error){0};
    plane->rc = handler(&plane->ctx, plane->in, plane->out, &plane->err);
    plane->in = doc_new(&plane->arena, DOC_STRUCT);
    return plane->rc;
}

/* Let time pass and look at the levels, as the timer does. */
static void look(struct plane *plane, int64_t seconds)
{
    plane->ctx.now_ms += seconds * 1000;
    for (size_t i = 0; i < plane->control.autoscaling->groups_count; i++) {
        if (!plane->control.autoscaling->groups[i]->deleted) {
            group_settle(&plane->ctx, plane->control.autoscaling->groups[i]);
        }
    }
}

static void all_run(struct plane *plane)
{
    for (size_t i = 0; i < fake.count; i++) {
        if (fake.machines[i].state == MACHINE_PENDING) {
            fake.machines[i].state = MACHINE_RUNNING;
        }
    }
    look(plane, 1);
}

static void fill_group(struct plane *plane, const char *name)
{
    struct doc *template = doc_set_struct(plane->in, M_LaunchTemplate), *tag;

    doc_set_z(plane->in, M_AutoScalingGroupName, name);
    doc_set_int(plane->in, M_MinSize, 1);
    doc_set_int(plane->in, M_MaxSize, 4);
    doc_set_int(plane->in, M_DesiredCapacity, 2);
    doc_set_z(plane->in, M_VPCZoneIdentifier, "subnet-a, subnet-b");
    doc_set_z(plane->in, M_HealthCheckType, "ELB");
    doc_set_int(plane->in, M_HealthCheckGracePeriod, 30);
    doc_set_int(plane->in, M_DefaultInstanceWarmup, 60);
    doc_add_z(plane->in, M_TargetGroupARNs, TARGET_GROUP);
    doc_set_z(template, M_LaunchTemplateId, "lt-1");
    doc_set_z(template, M_Version, "$Latest");
    tag = doc_add_struct(plane->in, M_Tags);
    doc_set_z(tag, M_Key, "Project");
    doc_set_z(tag, M_Value, "web");
    doc_set_bool(tag, M_PropagateAtLaunch, true);
    tag = doc_add_struct(plane->in, M_Tags);
    doc_set_z(tag, M_Key, "Owner");
    doc_set_bool(tag, M_PropagateAtLaunch, false);
}

static void make_group(struct plane *plane)
{
    fill_group(plane, "web-asg");
    check_int("create", 0, call(plane, autoscaling_create_auto_scaling_group));
    all_run(plane);
}

static const struct doc *describe(struct plane *plane)
{
    doc_add_z(plane->in, M_AutoScalingGroupNames, "web-asg");
    check_int("describe", 0, call(plane, autoscaling_describe_auto_scaling_groups));
    return doc_at(plane->out, M_AutoScalingGroups, 0);
}

static void a_group_is_created_and_described(void **state)
{
    struct plane *plane = *state;
    const struct doc *group, *instance;

    make_group(plane);
    group = describe(plane);
    check_int("instances", 2, doc_count(group, M_Instances));
    instance = doc_at(group, M_Instances, 0);
    check_text("state", "InService", doc_text(instance, M_LifecycleState));
    check_text("health", "Healthy", doc_text(instance, M_HealthStatus));
    check_text("zone", "us-east-2a", doc_text(instance, M_AvailabilityZone));
    check_text("the version is a number there", "2",
               doc_text(doc_get(instance, M_LaunchTemplate), M_Version));
    check_text("and as it was given here", "$Latest",
               doc_text(doc_get(group, M_LaunchTemplate), M_Version));
    check_text("template name", "web",
               doc_text(doc_get(group, M_LaunchTemplate), M_LaunchTemplateName));
    check_text("subnets", "subnet-a, subnet-b", doc_text(group, M_VPCZoneIdentifier));
    check_int("zones", 2, doc_count(group, M_AvailabilityZones));
    check_int("tags", 2, doc_count(group, M_Tags));
    check_int("warm-up", 60, doc_int(group, M_DefaultInstanceWarmup));
    check_text("termination", "Default", slice_z(doc_z_at(group, M_TerminationPolicies, 0)));
    check_text("propagated tags and the group's", "Project=web aws:autoscaling:groupName=web-asg ",
               slice_z(fake.machines[0].tags));
    check_int("registered", AS_TARGET_OTHER, fake.machines[1].target);
    check_int("warming instances stay out of the group's metrics", true,
              group_is_warming(&plane->control, "web-asg", fake.machines[0].id, plane->ctx.now_ms));
    check_int("until they are warm", false,
              group_is_warming(&plane->control, "web-asg", fake.machines[0].id,
                               plane->ctx.now_ms + 60000));
}

static void bad_groups_are_refused(void **state)
{
    static const struct {
        const char *says;
        int member;
        const char *text; /* NULL: the member is left out. */
        int64_t number;
        const char *code, *message;
    } cases[] = {
        {"no template", M_LaunchTemplate, NULL, 0, "ValidationError",
         "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId "
         "or MixedInstancesPolicy parameter."},
        {"no place", M_VPCZoneIdentifier, NULL, 0, "ValidationError",
         "At least one Availability Zone or VPC Subnet is required."},
        {"no such subnet", M_VPCZoneIdentifier, "subnet-a,subnet-x", 0, "ValidationError",
         "The subnet ID 'subnet-x' does not exist"},
        {"desired", M_DesiredCapacity, NULL, 9, "ValidationError",
         "Desired capacity:9 must be between the specified min size:1 and max size:4"},
        {"a colon", M_AutoScalingGroupName, "a:b", 0, "ValidationError", NULL},
        {"health check", M_HealthCheckType, "ELK", 0, "ValidationError",
         "Unsupported health check type: ELK"},
        {"launch configuration", M_LaunchConfigurationName, "old", 0, "ValidationError",
         "muster does not offer LaunchConfigurationName."},
        {"twice", M_AutoScalingGroupName, "web-asg", 0, "AlreadyExists",
         "AutoScalingGroup by this name already exists - A group with the name web-asg already "
         "exists"},
    };
    struct plane *plane = *state;

    make_group(plane);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct doc *in;

        fill_group(plane, "other");
        in = plane->in;
        if (cases[i].text != NULL) {
            doc_set_z(in, cases[i].member, cases[i].text);
        } else if (cases[i].number != 0) {
            doc_set_int(in, cases[i].member, cases[i].number);
        } else { /* All but that one. */
            plane->in = doc_new(&plane->arena, DOC_STRUCT);
            for (size_t j = 0; j < in->u.fields.count; j++) {
                if (in->u.fields.members[j].id != cases[i].member) {
                    doc_set(plane->in, in->u.fields.members[j].id, in->u.fields.members[j].value);
                }
            }
        }
        check_int(cases[i].says, ERR_API, call(plane, autoscaling_create_auto_scaling_group));
        check_text(cases[i].says, cases[i].code, slice_z(plane->err.aws_code));
        if (cases[i].message != NULL) {
            check_text(cases[i].says, cases[i].message, slice_z(plane->err.message));
        }
    }
    check_int("nothing is left of them", 1, plane->control.autoscaling->groups_count);
}

static const char *put_policy(struct plane *plane, const char *name, int64_t amount)
{
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    doc_set_z(plane->in, M_PolicyName, name);
    doc_set_z(plane->in, M_AdjustmentType, "ChangeInCapacity");
    doc_set_int(plane->in, M_ScalingAdjustment, amount);
    doc_set_int(plane->in, M_Cooldown, 120);
    check_int("put policy", 0, call(plane, autoscaling_put_scaling_policy));
    return doc_z(plane->out, M_PolicyARN);
}

static void an_alarm_grows_the_group_and_the_activity_says_why(void **state)
{
    struct plane *plane = *state;
    const char *arn;
    const struct doc *activity;

    make_group(plane);
    arn = put_policy(plane, "scale-up", 1);
    check_text("an update keeps the ARN", arn, slice_z(put_policy(plane, "scale-up", 1)));
    look(plane, 400);
    check_int("invoked", true,
              autoscaling_invoke(&plane->ctx, &(const struct autoscaling_alarm){
                                                  .policy_arn = arn, .alarm = "cpu-high"}));
    check_int("a third one", 3, fake.count);
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    check_int("activities", 0, call(plane, autoscaling_describe_scaling_activities));
    check_int("one for each", 3, doc_count(plane->out, M_Activities));
    activity = doc_at(plane->out, M_Activities, 0);
    check_text("running ones first", "PreInService", doc_text(activity, M_StatusCode));
    check_int("progress", 30, doc_int(activity, M_Progress));
    check_text("cause",
               "At 1970-01-01T00:06:42Z a monitor alarm cpu-high in state ALARM triggered policy "
               "scale-up changing the desired capacity from 2 to 3.  At 1970-01-01T00:06:42Z an "
               "instance was started in response to a difference between desired and actual "
               "capacity, increasing the capacity from 2 to 3.",
               doc_text(activity, M_Cause));
    check_text("details", "{\"Subnet ID\":\"subnet-a\",\"Availability Zone\":\"us-east-2a\"}",
               doc_text(activity, M_Details));
    check_int("unknown policies are", false,
              autoscaling_invoke(&plane->ctx, &(const struct autoscaling_alarm){
                                                  .policy_arn = "arn:x", .alarm = "cpu-high"}));
    check_int("policies", 0, call(plane, autoscaling_describe_policies));
    check_text(
        "its alarm", "cpu-high",
        doc_text(doc_at(doc_at(plane->out, M_ScalingPolicies, 0), M_Alarms, 0), M_AlarmName));
}

static void an_unhealthy_target_is_drained_and_replaced(void **state)
{
    struct plane *plane = *state;
    const struct doc *group;

    make_group(plane);
    fake.machines[1].target = AS_TARGET_UNHEALTHY;
    look(plane, 10);
    check_int("grace", 2, fake.count);
    look(plane, 30);
    check_int("a replacement", 3, fake.count);
    group = describe(plane);
    check_text("terminating", "Terminating",
               doc_text(doc_at(group, M_Instances, 1), M_LifecycleState));
    check_text("unhealthy", "Unhealthy", doc_text(doc_at(group, M_Instances, 1), M_HealthStatus));
    check_int("still running while it drains", MACHINE_RUNNING, fake.machines[1].state);
    fake.machines[1].target = AS_TARGET_ABSENT;
    look(plane, 5);
    check_int("drained early, so it ends", MACHINE_STOPPED, fake.machines[1].state);
    fake.machines[1].state = MACHINE_GONE;
    all_run(plane);
    check_int("two again", 2, doc_count(describe(plane), M_Instances));
}

static void a_refused_launch_is_a_failed_activity(void **state)
{
    struct plane *plane = *state;
    const struct doc *activity;

    fake.refuses = "The AMI ID ami-1 does not exist.";
    make_group(plane);
    check_int("activities", 0, call(plane, autoscaling_describe_scaling_activities));
    activity = doc_at(plane->out, M_Activities, 0);
    check_int("one attempt", 1, doc_count(plane->out, M_Activities));
    check_text("status", "Failed", doc_text(activity, M_StatusCode));
    check_text("message", "The AMI ID ami-1 does not exist. Launching EC2 instance failed.",
               doc_text(activity, M_StatusMessage));
    fake.refuses = NULL;
    look(plane, 30);
    check_int("tried again", 2, fake.count);
}

/* After many failures the next attempt is a quarter of an hour away: not for whoever mends it. */
static void another_template_is_tried_at_once(void **state)
{
    struct plane *plane = *state;

    fake.refuses = "The AMI ID ami-1 does not exist.";
    make_group(plane);
    for (size_t i = 0; i < 12; i++) {
        look(plane, 900);
    }
    fake.refuses = NULL;
    look(plane, 10);
    check_int("it waits", 0, fake.count);
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    doc_set_z(doc_set_struct(plane->in, M_LaunchTemplate), M_LaunchTemplateId, "lt-1");
    check_int("update", 0, call(plane, autoscaling_update_auto_scaling_group));
    check_int("launched", 2, fake.count);
}

static void who_may_not_launch_may_not_let_a_group_do_it(void **state)
{
    struct plane *plane = *state;

    fake.forbidden = "subnet-b";
    fill_group(plane, "web-asg");
    check_int("create", ERR_DENIED, call(plane, autoscaling_create_auto_scaling_group));
    check_text("text", "You are not authorized to use launch template: lt-1",
               slice_z(plane->err.message));
    fake.forbidden = NULL;
    make_group(plane);
    fake.forbidden = "subnet-a";
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    doc_set_z(doc_set_struct(plane->in, M_LaunchTemplate), M_LaunchTemplateId, "lt-1");
    check_int("update", ERR_DENIED, call(plane, autoscaling_update_auto_scaling_group));
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    doc_set_int(plane->in, M_MaxSize, 5);
    check_int("without a template", 0, call(plane, autoscaling_update_auto_scaling_group));
}

static void a_group_is_deleted_with_its_instances(void **state)
{
    struct plane *plane = *state;

    make_group(plane);
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    check_int("in use", ERR_API, call(plane, autoscaling_delete_auto_scaling_group));
    check_text("in use", "ResourceInUse", slice_z(plane->err.aws_code));
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    doc_set_bool(plane->in, M_ForceDelete, true);
    check_int("force", 0, call(plane, autoscaling_delete_auto_scaling_group));
    check_text("status", "Delete in progress", doc_text(describe(plane), M_Status));
    fake.machines[0].state = fake.machines[1].state = MACHINE_GONE;
    look(plane, 5);
    check_int("gone", true, describe(plane) == NULL);
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    doc_set_bool(plane->in, M_IncludeDeletedGroups, true);
    check_int("activities", 0, call(plane, autoscaling_describe_scaling_activities));
    check_int("stay readable", 4, doc_count(plane->out, M_Activities));
    check_text("deleted", "Deleted",
               doc_text(doc_at(plane->out, M_Activities, 0), M_AutoScalingGroupState));
    make_group(plane);
    check_int("the name is free", 2, doc_count(describe(plane), M_Instances));
}

/* What one run noted for its commit is what the next one starts from. */
static void a_restart_finds_the_groups_again(void **state)
{
    struct plane *plane = *state;
    struct arena arena = {0};
    struct changes kept = plane->changes;
    const struct group *group;
    const char *arn;

    make_group(plane);
    arn = arena_strdup(&arena, slice_z(put_policy(plane, "scale-up", 1)));
    doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
    doc_add_z(plane->in, M_ScalingProcesses, "AlarmNotification");
    check_int("suspend", 0, call(plane, autoscaling_suspend_processes));
    kept = plane->changes;
    plane->changes = (struct changes){0};

    autoscaling_close(&plane->control);
    autoscaling_open(&plane->control, &fake_neighbours);
    /* The last body of each record, groups first, as the store would give them. */
    for (int pass = 0; pass < 2; pass++) {
        const char *kind = pass == 0 ? "autoscaling.group" : "autoscaling.group-activity";

        for (size_t i = 0; i < kept.count; i++) {
            bool last = slice_equal_z(kept.list[i].kind, kind);

            for (size_t j = i + 1; j < kept.count; j++) {
                last = last && !(slice_equal(kept.list[j].kind, kept.list[i].kind) &&
                                 slice_equal(kept.list[j].id, kept.list[i].id));
            }
            if (last) {
                check_int("load", 0,
                          autoscaling_load(&plane->control, kept.list[i].kind, kept.list[i].id,
                                           kept.list[i].body, &plane->err));
            }
        }
    }
    group = group_find(&plane->control, "web-asg");
    check_int("found", true, group != NULL);
    check_int("activities", 2, group->world.activities_count);
    check_int("suspended", PROCESS_ALARM_NOTIFICATION, group->world.suspended);
    look(plane, 10);
    check_int("nothing is launched twice", 2, fake.count);
    check_text("in service still", "InService",
               doc_text(doc_at(describe(plane), M_Instances, 0), M_LifecycleState));
    check_int("the policy is known by its ARN", true,
              autoscaling_invoke(
                  &plane->ctx, &(const struct autoscaling_alarm){.policy_arn = arn, .alarm = "a"}));
    check_int("but held", 2, fake.count);
    changes_close(&kept);
    arena_close(&arena);
}

/* What was committed: the newest body of each record, by kind and id. */

static void commit(struct plane *plane, struct map *disk)
{
    for (size_t i = 0; i < plane->changes.count; i++) {
        const struct change *change = &plane->changes.list[i];
        struct buf key = {0};

        buf_printf(&key, "%.*s %.*s", SLICE_ARG(change->kind), SLICE_ARG(change->id));
        if (change->type == CHANGE_PUT) {
            free(
                map_put(disk, buf_slice(&key), mem_strndup(change->body.data, change->body.bytes)));
        } else {
            free(map_remove(disk, buf_slice(&key)));
        }
        buf_close(&key);
    }
    changes_close(&plane->changes);
}

/* The process was killed: what was not committed is lost, the machines go on. */
static void restart(struct plane *plane, const struct map *disk)
{
    static const char *const kinds[] = {"autoscaling.group ", "autoscaling.group-activity "};

    changes_close(&plane->changes);
    autoscaling_close(&plane->control);
    autoscaling_open(&plane->control, &fake_neighbours);
    for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        for (size_t i = 0; i < disk->entries_used; i++) {
            const struct map_entry *entry = &disk->entries[i];
            struct slice key = slice_of(entry->key, entry->key_bytes);

            if (entry->key != NULL && slice_starts(key, slice_z(kinds[kind]))) {
                size_t blank = slice_find(key, ' ');

                check_int("load", 0,
                          autoscaling_load(&plane->control, slice_sub(key, 0, blank),
                                           slice_sub(key, blank + 1, key.bytes),
                                           slice_z(entry->value), &plane->err));
            }
        }
    }
}

/* The ids of what DescribeScalingActivities tells, in its order. */
static void list_activities(struct plane *plane, struct buf *ids)
{
    check_int("describe", 0, call(plane, autoscaling_describe_scaling_activities));
    buf_clear(ids);
    for (size_t i = 0; i < doc_count(plane->out, M_Activities); i++) {
        buf_printf(ids, "%s\n", doc_z(doc_at(plane->out, M_Activities, i), M_ActivityId));
    }
}

static void disturb(struct plane *plane)
{
    struct machine *machine = &fake.machines[(size_t)random() % (fake.count + 1)];

    switch (random() % 7) {
    case 0:
        machine->state = machine->state == MACHINE_RUNNING ? MACHINE_GONE : machine->state;
        break;
    case 1:
        machine->target = AS_TARGET_UNHEALTHY;
        break;
    case 2:
        fake.refuses = random() % 2 == 0 ? "Insufficient capacity." : NULL;
        break;
    case 3:
        doc_set_z(plane->in, M_InstanceId, machine->id);
        doc_set_bool(plane->in, M_ShouldDecrementDesiredCapacity, random() % 2 == 0);
        (void)call(plane, autoscaling_terminate_instance_in_auto_scaling_group);
        break;
    default:
        doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
        doc_set_int(plane->in, M_DesiredCapacity, 1 + random() % 4);
        (void)call(plane, autoscaling_set_desired_capacity);
        break;
    }
}

/* Machines start, end and drain as time goes by. */
static void machines_go_on(void)
{
    for (size_t i = 0; i < fake.count; i++) {
        struct machine *machine = &fake.machines[i];

        if (machine->state == MACHINE_PENDING) {
            machine->state = MACHINE_RUNNING;
        } else if (machine->state == MACHINE_STOPPED) {
            machine->state = MACHINE_GONE;
        }
    }
}

static void kills_at_any_time_leak_nothing(void **state)
{
    struct plane *plane = *state;
    struct buf before = {0}, after = {0};

    for (uint32_t seed = 1; seed <= 30; seed++) {
        struct map disk = {0};
        char *body;
        int32_t alive = 0;

        srandom(seed);
        memset(&fake, 0, sizeof(fake));
        restart(plane, &disk);
        make_group(plane);
        commit(plane, &disk);
        for (int step = 0; step < 60 && fake.count < INSTANCES_MAX - 5; step++) {
            disturb(plane);
            look(plane, random() % 40);
            commit(plane, &disk);
            machines_go_on();
            if (random() % 3 == 0) {
                restart(plane, &disk);
            }
        }
        fake.refuses = NULL;
        for (int step = 0; step < 40; step++) {
            for (size_t i = 0; i < fake.count; i++) {
                fake.machines[i].target = AS_TARGET_OTHER;
            }
            machines_go_on();
            look(plane, 60);
            commit(plane, &disk);
            list_activities(plane, &before);
            restart(plane, &disk);
            list_activities(plane, &after);
            check_text("activities keep their order", buf_z(&before), buf_slice(&after));
        }
        for (size_t i = 0; i < fake.count; i++) {
            alive += fake.machines[i].state != MACHINE_GONE ? 1 : 0;
        }
        if (alive != group_find(&plane->control, "web-asg")->world.desired) {
            print_error("seed %u\n", seed);
        }
        check_int("every machine that is alive is wanted",
                  group_find(&plane->control, "web-asg")->world.desired, alive);
        for (size_t at = 0; (body = map_next(&disk, &at)) != NULL;) {
            free(body);
        }
        map_close(&disk);
    }
    buf_close(&before);
    buf_close(&after);
}

static void tags_are_put_and_removed(void **state)
{
    struct plane *plane = *state;
    struct doc *tag;

    make_group(plane);
    tag = doc_add_struct(plane->in, M_Tags);
    doc_set_z(tag, M_ResourceId, "web-asg");
    doc_set_z(tag, M_Key, "Owner");
    doc_set_z(tag, M_Value, "me");
    doc_set_bool(tag, M_PropagateAtLaunch, true);
    check_int("update", 0, call(plane, autoscaling_create_or_update_tags));
    tag = doc_add_struct(plane->in, M_Tags);
    doc_set_z(tag, M_ResourceId, "web-asg");
    doc_set_z(tag, M_Key, "Project");
    doc_set_z(tag, M_Value, "another");
    check_int("a value that differs keeps it", 0, call(plane, autoscaling_delete_tags));
    tag = doc_add_struct(plane->in, M_Filters);
    doc_set_z(tag, M_Name, "key");
    doc_add_z(tag, M_Values, "Owner");
    check_int("describe", 0, call(plane, autoscaling_describe_tags));
    check_int("one", 1, doc_count(plane->out, M_Tags));
    check_text("updated", "me", doc_text(doc_at(plane->out, M_Tags, 0), M_Value));
    check_int("describe", 0, call(plane, autoscaling_describe_tags));
    check_int("both", 2, doc_count(plane->out, M_Tags));
}

static void unknown_names_are_told_in_awss_words(void **state)
{
    struct plane *plane = *state;

    doc_set_z(plane->in, M_AutoScalingGroupName, "x");
    check_int("group", ERR_API, call(plane, autoscaling_set_desired_capacity));
    check_text("group", "AutoScalingGroup name not found - AutoScalingGroup x not found",
               slice_z(plane->err.message));
    doc_set_z(plane->in, M_InstanceId, "i-9");
    check_int("instance", ERR_API,
              call(plane, autoscaling_terminate_instance_in_auto_scaling_group));
    check_text("instance", "Instance Id not found - No managed instance found for instance ID: i-9",
               slice_z(plane->err.message));
    check_int("a description of nothing is no error", true, describe(plane) == NULL);
}

static void step_policies_are_checked(void **state)
{
    static const struct {
        const char *says;
        double lower, upper, lower2, upper2; /* 1000: unset */
        const char *message;                 /* NULL: fine. */
    } cases[] = {
        {"two that meet", 0, 20, 20, 1000, NULL},
        {"a gap", 0, 10, 20, 1000, "StepAdjustment intervals can't have gaps"},
        {"an overlap", 0, 30, 20, 1000, "StepAdjustment intervals can't overlap"},
        {"no open end", 0, 20, 20, 30,
         "There must be a StepAdjustment with an unspecified upper bound (i.e., upper bound is "
         "null) when one StepAdjustment has a positive upper bound"},
    };
    struct plane *plane = *state;

    make_group(plane);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const double bounds[] = {cases[i].lower, cases[i].upper, cases[i].lower2, cases[i].upper2};

        doc_set_z(plane->in, M_AutoScalingGroupName, "web-asg");
        doc_set_z(plane->in, M_PolicyName, "steps");
        doc_set_z(plane->in, M_PolicyType, "StepScaling");
        doc_set_z(plane->in, M_AdjustmentType, "ChangeInCapacity");
        for (size_t j = 0; j < 2; j++) {
            struct doc *step = doc_add_struct(plane->in, M_StepAdjustments);

            doc_set_int(step, M_ScalingAdjustment, 1);
            doc_set_double(step, M_MetricIntervalLowerBound, bounds[2 * j]);
            if (bounds[2 * j + 1] < 1000) {
                doc_set_double(step, M_MetricIntervalUpperBound, bounds[2 * j + 1]);
            }
        }
        check_int(cases[i].says, cases[i].message == NULL ? 0 : ERR_API,
                  call(plane, autoscaling_put_scaling_policy));
        if (cases[i].message != NULL) {
            check_text(cases[i].says, cases[i].message, slice_z(plane->err.message));
        }
    }
}

/* The same in the query protocol, as clients speak it: the model is part of the contract. */

static const char *query(struct plane *plane, const char *text)
{
    const struct model_service *service = model_service_find(&api, SLICE_LIT("autoscaling"));
    struct form root = {0};
    const struct model_op *op;
    struct doc *in, *out = doc_new(&plane->arena, DOC_STRUCT);
    struct buf xml = {0};
    const char *copy;

    check_int(text, 0, form_parse(&plane->arena, slice_z(text), &root, NULL));
    op = model_op_find(service, form_value(&root, "Action"));
    assert_non_null(op);
    plane->err = (struct error){0};
    if (query_decode(&plane->arena, op->in, &root, false, &in, &plane->err) != 0 ||
        check_input(op->in, in, FAMILY_QUERY, &plane->err) != 0 ||
        op->handler(&plane->ctx, in, out, &plane->err) != 0) {
        return plane->err.message;
    }
    query_encode(service, op, out, "rid", &xml);
    copy = arena_strdup(&plane->arena, buf_slice(&xml));
    buf_close(&xml);
    return copy;
}

static void check_holds(const char *says, const char *part, const char *whole)
{
    if (strstr(whole, part) == NULL) {
        print_error("%s: no %s in\n%s\n", says, part, whole);
        fail();
    }
}

static void requests_and_answers_are_as_clients_know_them(void **state)
{
    struct plane *plane = *state;
    const char *xml;

    xml = query(plane,
                "Action=CreateAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName=web-asg"
                "&MinSize=1&MaxSize=4&DesiredCapacity=2&VPCZoneIdentifier=subnet-a%2Csubnet-b"
                "&HealthCheckType=ELB&HealthCheckGracePeriod=30&TargetGroupARNs.member.1="
                "arn%3Aaws%3Aelasticloadbalancing%3Aus-east-2%3A000000000000%3Atargetgroup%2Fweb"
                "%2F0123456789abcdef&LaunchTemplate.LaunchTemplateId=lt-1"
                "&Tags.member.1.Key=Project&Tags.member.1.Value=web"
                "&Tags.member.1.PropagateAtLaunch=true");
    check_text("create",
               "<CreateAutoScalingGroupResponse xmlns=\"http://autoscaling.amazonaws.com/doc/"
               "2011-01-01/\"><ResponseMetadata><RequestId>rid</RequestId></ResponseMetadata>"
               "</CreateAutoScalingGroupResponse>\n",
               slice_z(xml));
    all_run(plane);
    xml = query(plane, "Action=DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=web-asg");
    check_holds("instances",
                "<member><InstanceId>i-00000000000000001</InstanceId>"
                "<InstanceType>t2.micro</InstanceType>"
                "<AvailabilityZone>us-east-2a</AvailabilityZone>"
                "<LifecycleState>InService</LifecycleState><HealthStatus>Healthy</HealthStatus>"
                "<LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId>"
                "<LaunchTemplateName>web</LaunchTemplateName><Version>1</Version>"
                "</LaunchTemplate><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>",
                xml);
    check_holds("empty lists are there", "<SuspendedProcesses/>", xml);
    check_holds("creation", "<CreatedTime>1970-01-01T00:00:01", xml);
    check_holds("tags",
                "<Tags><member><ResourceId>web-asg</ResourceId>"
                "<ResourceType>auto-scaling-group</ResourceType><Key>Project</Key>"
                "<Value>web</Value><PropagateAtLaunch>true</PropagateAtLaunch></member></Tags>",
                xml);
    xml = query(plane, "Action=PutScalingPolicy&AutoScalingGroupName=web-asg&PolicyName=up"
                       "&AdjustmentType=ChangeInCapacity&ScalingAdjustment=1&Cooldown=120");
    check_holds("policy", "<PutScalingPolicyResult><PolicyARN>arn:aws:autoscaling:us-east-2:", xml);
    xml = query(plane, "Action=DescribeScalingActivities&AutoScalingGroupName=web-asg");
    check_holds("details",
                "<Details>{&quot;Subnet ID&quot;:&quot;subnet-b&quot;,&quot;Availability "
                "Zone&quot;:&quot;us-east-2b&quot;}</Details>",
                xml);
    check_holds("progress", "<Progress>100</Progress>", xml);
    xml = query(plane, "Action=TerminateInstanceInAutoScalingGroup&InstanceId="
                       "i-00000000000000001&ShouldDecrementDesiredCapacity=true");
    check_holds("terminate",
                "<Description>Terminating EC2 instance: i-00000000000000001 - Waiting For ELB "
                "Connection Draining.</Description>",
                xml);
    check_holds("its status", "<StatusCode>WaitingForELBConnectionDraining</StatusCode>", xml);
    xml = query(plane, "Action=SetDesiredCapacity&AutoScalingGroupName=web-asg");
    check_holds("a missing member", "esiredCapacity", xml);
    xml = query(plane, "Action=AttachLoadBalancerTargetGroups&AutoScalingGroupName=web-asg"
                       "&TargetGroupARNs.member.1=arn:x");
    check_text("unknown target groups",
               "Provided Target Groups may not be valid. Please ensure they exist and try again.",
               slice_z(xml));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, plane_setup, plane_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_group_is_created_and_described),
        CASE(bad_groups_are_refused),
        CASE(an_alarm_grows_the_group_and_the_activity_says_why),
        CASE(an_unhealthy_target_is_drained_and_replaced),
        CASE(a_refused_launch_is_a_failed_activity),
        CASE(another_template_is_tried_at_once),
        CASE(who_may_not_launch_may_not_let_a_group_do_it),
        CASE(a_group_is_deleted_with_its_instances),
        CASE(a_restart_finds_the_groups_again),
        CASE(kills_at_any_time_leak_nothing),
        CASE(tags_are_put_and_removed),
        CASE(unknown_names_are_told_in_awss_words),
        CASE(step_policies_are_checked),
        CASE(requests_and_answers_are_as_clients_know_them),
    };

    log_set_level(LOG_ERROR_LEVEL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
