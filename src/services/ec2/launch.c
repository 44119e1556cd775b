/* RunInstances: from a plan to pending instances.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html */
#include "services/ec2/launch_plan.h"

#include "aws/id.h"
#include "compute/compute.h"

#include <stdlib.h>
#include <string.h>

/* Of one daemon; what has been shown to run. */
#define INSTANCES_MAX_REAL 200
#define INSTANCES_MAX_MODEL 12000

static int64_t living(const struct control *control)
{
    const struct ec2_instance *instance;
    int64_t count = 0;

    for (size_t at = 0; (instance = thing_next(control, KIND_INSTANCE, &at)) != NULL;) {
        count += instance->state != EC2_TERMINATED;
    }
    return count;
}

static int64_t instances_max(const struct control *control)
{
    bool model = control->compute != NULL && strcmp(control->compute->driver->name, "sim") == 0;

    return model ? INSTANCES_MAX_MODEL : INSTANCES_MAX_REAL;
}

/* How many to launch: as many as fit, but not fewer than MinCount. */
static int decide_count(struct ctx *ctx, const struct launch_plan *plan, int64_t *count,
                        struct error *err)
{
    int64_t min = doc_int(plan->in, M_MinCount);
    int64_t max = doc_int(plan->in, M_MaxCount);
    int64_t free_addresses = subnet_free_count(ctx->control, plan->subnet);
    int64_t limit = instances_max(ctx->control), room = limit - living(ctx->control);

    if (min < 1 || max < 1) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%lld) for parameter %s is invalid. Expected a positive integer.",
                         (long long)(min < 1 ? min : max), min < 1 ? "minCount" : "maxCount");
    }
    if (min > max) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%lld) for parameter maxCount is invalid. It must not be less than "
                         "minCount.",
                         (long long)max);
    }
    if (plan->address != NULL && max > 1) {
        return error_api(err, "InvalidParameterCombination",
                         "A private IP address can only be specified when launching a single "
                         "instance.");
    }
    if (min > room) {
        return error_api(err, "InstanceLimitExceeded",
                         "You have requested more instances (%lld) than your current instance "
                         "limit of %lld allows.",
                         (long long)(limit - room + min), (long long)limit);
    }
    if (min > free_addresses) {
        return error_api(err, "InsufficientFreeAddressesInSubnet",
                         "There are not enough free addresses in subnet '%s' to satisfy the "
                         "requested number of instances.",
                         plan->subnet->id);
    }
    *count = min_i64(max, min_i64(room, free_addresses));
    return quota_check(ctx->control, KIND_VOLUME, NULL, plan->mappings_count * (size_t)*count, err);
}

/* Making. */

static void set_metadata(struct ec2_instance *instance, const struct doc *in)
{
    const struct doc *options = doc_get(in, M_MetadataOptions);

    instance->imds_hops = doc_int_or(options, M_HttpPutResponseHopLimit, 1);
    instance->imds_token_required = slice_equal_z(doc_text(options, M_HttpTokens), "required");
    instance->imds_disabled = slice_equal_z(doc_text(options, M_HttpEndpoint), "disabled");
    instance->imds_tags = slice_equal_z(doc_text(options, M_InstanceMetadataTags), "enabled");
}

static struct ec2_instance *make_instance(struct ctx *ctx, const struct launch_plan *plan,
                                          const struct launch_options *options,
                                          const char *reservation, int64_t index)
{
    struct ec2_instance *made = thing_new(ctx, KIND_INSTANCE, options->id);
    const struct doc *in = plan->in;
    const struct doc *credits = doc_get(in, M_CreditSpecification);

    made->reservation = mem_strdup(reservation);
    made->requester = mem_strdup(options->requester);
    made->client_token = mem_strdup(doc_has(in, M_ClientToken) ? doc_z(in, M_ClientToken) : "");
    made->image = mem_strdup(plan->image->id);
    made->type = mem_strdup(plan->type->name);
    made->vpc = mem_strdup(plan->subnet->vpc);
    made->subnet = mem_strdup(plan->subnet->id);
    made->zone = mem_strdup(plan->subnet->zone);
    made->user_data = mem_strdup(plan->user_data);
    made->state = EC2_PENDING;
    made->created_ms = made->launched_ms = made->changed_ms = ctx->now_ms;
    made->launch_index = index;
    made->monitoring = doc_bool(doc_get(in, M_Monitoring), M_Enabled);
    made->protected = doc_bool(in, M_DisableApiTermination);
    made->protected_stop = doc_bool(in, M_DisableApiStop);
    made->terminate_on_shutdown =
        slice_equal_z(doc_text(in, M_InstanceInitiatedShutdownBehavior), "terminate");
    made->ebs_optimized = doc_bool(in, M_EbsOptimized);
    made->tenancy = mem_strdup(doc_z(doc_get(in, M_Placement), M_Tenancy));
    made->wants_public = plan->public_address;
    set_metadata(made, in);
    if (plan->type->burstable) {
        bool unlimited = strncmp(plan->type->name, "t3", 2) == 0;

        made->cpu_credits = mem_strdup(doc_has(credits, M_CpuCredits) ? doc_z(credits, M_CpuCredits)
                                       : unlimited                    ? "unlimited"
                                                                      : "standard");
    }
    if (plan->key != NULL) {
        made->key = mem_strdup(plan->key->name);
        made->public_key = mem_strdup(
            arena_printf(ctx->arena, "%s %s", plan->key->public_key, plan->key->name).data);
    }
    if (plan->has_profile) {
        made->profile = mem_strdup(plan->profile.arn);
        made->profile_id = mem_strdup(plan->profile.id);
    }
    return made;
}

static int join_network(struct ctx *ctx, const struct launch_plan *plan, struct ec2_instance *made,
                        struct error *err)
{
    struct ec2_interface *interface;
    int rc = interface_make(ctx, plan->subnet, plan->address, &interface, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < plan->groups_count; i++) {
        interface_add_group(interface, plan->groups[i]);
    }
    interface->instance = mem_strdup(made->id);
    interface->keep = !doc_bool_or(plan->interface, M_DeleteOnTermination, true);
    if (doc_has(plan->interface, M_Description)) {
        text_replace(&interface->description, doc_z(plan->interface, M_Description));
    }
    if (plan->public_address) {
        interface->public_address = mem_strdup(public_address_free(ctx));
    }
    made->interface = mem_strdup(interface->id);
    made->address = mem_strdup(interface->address);
    made->mac = mem_strdup(interface->mac);
    made->public_address = mem_strdup(interface->public_address);
    thing_put(ctx, KIND_INTERFACE, interface);
    tag_specs_apply(ctx, plan->in, "network-interface", KIND_INTERFACE, interface->id);
    return 0;
}

static void make_volumes(struct ctx *ctx, const struct launch_plan *plan,
                         const struct ec2_instance *made)
{
    for (size_t i = 0; i < plan->mappings_count; i++) {
        const struct mapping *from = &plan->mappings[i];
        struct volume *volume = thing_new(ctx, KIND_VOLUME, NULL);
        bool gp3 = strcmp(from->type, "gp3") == 0;

        volume->zone = mem_strdup(made->zone);
        volume->type = mem_strdup(from->type);
        volume->snapshot = mem_strdup(from->snapshot);
        volume->instance = mem_strdup(made->id);
        volume->device = mem_strdup(from->device);
        volume->size_gib = from->size_gib;
        volume->iops = from->iops != 0 ? from->iops : gp3 ? 3000 : 100;
        volume->throughput = from->throughput != 0 ? from->throughput : gp3 ? 125 : 0;
        volume->created_ms = ctx->now_ms;
        volume->delete_on_termination = from->delete_on_termination;
        volume->encrypted = from->encrypted;
        thing_put(ctx, KIND_VOLUME, volume);
        volume_attached(ctx->control->ec2, volume);
        tag_specs_apply(ctx, plan->in, "volume", KIND_VOLUME, volume->id);
    }
}

static void put_tags(struct ctx *ctx, const struct launch_plan *plan,
                     const struct launch_options *options, const struct ec2_instance *made)
{
    const char *arn = thing_arn(ctx, KIND_INSTANCE, made->id);

    tag_specs_apply(ctx, plan->in, "instance", KIND_INSTANCE, made->id);
    for (size_t i = 0; i < options->tags_count; i++) {
        ctx_tag_put(ctx, arn, options->tags[i].key, options->tags[i].value);
    }
    if (plan->template_id != NULL) {
        ctx_tag_put(ctx, arn, "aws:ec2launchtemplate:id", plan->template_id);
        ctx_tag_put(ctx, arn, "aws:ec2launchtemplate:version",
                    arena_printf(ctx->arena, "%lld", (long long)plan->template_version).data);
    }
}

static int carry_out(struct ctx *ctx, const struct launch_plan *plan,
                     const struct launch_options *options, int64_t count, const char *reservation,
                     struct error *err)
{
    act_vpc(ctx, plan->subnet->vpc); /* First: the network must know them when they start. */
    for (int64_t i = 0; i < count; i++) {
        struct ec2_instance *made = make_instance(ctx, plan, options, reservation, i);
        int rc = join_network(ctx, plan, made, err);

        if (rc != 0) { /* Only for the first, by its chosen address. */
            thing_drop(ctx, KIND_INSTANCE, made);
            return rc;
        }
        make_volumes(ctx, plan, made);
        put_tags(ctx, plan, options, made);
        thing_put(ctx, KIND_INSTANCE, made);
        instance_move(ctx, made, EC2_PENDING);
        act_instance(ctx, made->id);
    }
    return 0;
}

int launch_instances(struct ctx *ctx, const struct doc *in, const struct launch_options *options,
                     const char **reservation, struct error *err)
{
    struct launch_plan plan = {0};
    const char *token = doc_z(in, M_ClientToken);
    char id[ID_BYTES];
    int64_t count = 0;
    int rc = ec2_token_check(ctx, "RunInstances", token, in, reservation, err);

    if (rc != 0 || *reservation != NULL) {
        return rc;
    }
    rc = launch_plan_make(ctx, in, options, &plan, err);
    rc = rc != 0 || !options->judged ? rc : launch_plan_judge(ctx, &plan, err);
    rc = rc != 0 ? rc : decide_count(ctx, &plan, &count, err);
    if (rc == 0 && doc_bool(in, M_DryRun)) {
        rc = ec2_dry_run(in, err);
    }
    if (rc == 0) {
        id_new(id, "r-");
        *reservation = arena_strdup(ctx->arena, slice_z(id));
        rc = carry_out(ctx, &plan, options, count, *reservation, err);
    }
    if (rc == 0) {
        ec2_token_note(ctx, "RunInstances", token, in, *reservation);
    }
    launch_plan_close(&plan);
    return rc;
}

int ec2_run_instances(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const struct launch_options options = {.judged = true};
    const char *reservation;
    int rc = launch_instances(ctx, in, &options, &reservation, err);

    if (rc == 0) {
        reservation_fill(ctx, reservation, out);
    }
    return rc;
}

static const struct ec2_instance *of_reservation(const struct control *control, const char *id)
{
    const struct ec2_instance *instance;

    for (size_t at = 0; (instance = thing_next(control, KIND_INSTANCE, &at)) != NULL;) {
        if (strcmp(instance->reservation, id) == 0) {
            return instance;
        }
    }
    return NULL;
}

/* As RunInstances would say it. */
static struct doc *request_of(struct ctx *ctx, const struct ec2_launch *launch)
{
    struct doc *in = doc_new(ctx->arena, DOC_STRUCT);

    doc_set_int(in, M_MinCount, 1);
    doc_set_int(in, M_MaxCount, 1);
    doc_set_z(in, M_InstanceType, launch->type);
    doc_set_z(in, M_ImageId, launch->image);
    doc_set_z(in, M_ClientToken, launch->client_token);
    if (launch->template_id != NULL || launch->template_name != NULL) {
        struct doc *spec = doc_set_struct(in, M_LaunchTemplate);

        doc_set_z(spec, M_LaunchTemplateId, launch->template_id);
        doc_set_z(spec, M_LaunchTemplateName,
                  launch->template_id != NULL ? NULL : launch->template_name);
        doc_set_z(spec, M_Version, launch->template_version);
    }
    return in;
}

int ec2_launch_judge(struct ctx *ctx, const struct ec2_launch *launch, struct error *err)
{
    const struct launch_options options = {.subnet = launch->subnet};
    struct launch_plan plan = {0};
    int rc;

    (void)launch_plan_make(ctx, request_of(ctx, launch), &options, &plan, NULL);
    rc = launch_plan_judge(ctx, &plan, err);
    launch_plan_close(&plan);
    return rc;
}

int ec2_launch(struct ctx *ctx, const struct ec2_launch *launch, const struct ec2_instance **made,
               struct error *err)
{
    const struct launch_options options = {.id = launch->id,
                                           .requester = launch->requester,
                                           .subnet = launch->subnet,
                                           .tags = launch->tags,
                                           .tags_count = launch->tags_count};
    const char *reservation;
    int rc = launch_instances(ctx, request_of(ctx, launch), &options, &reservation, err);

    if (rc != 0) {
        return rc;
    }
    *made = of_reservation(ctx->control, reservation);
    return *made != NULL ? 0
                         : error_set(err, ERR_NOT_FOUND, "what the client token launched is gone");
}
