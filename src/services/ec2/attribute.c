/* DescribeInstanceAttribute, ModifyInstanceAttribute and their kin. */
#include "services/ec2/private.h"

#include "base/text.h"
#include "compute/compute.h"

#include <stdlib.h>
#include <string.h>

static void set_bool(struct doc *out, int member, bool value)
{
    doc_set_bool(doc_set_struct(out, member), M_Value, value);
}

static void set_text(struct doc *out, int member, const char *value)
{
    doc_set_z(doc_set_struct(out, member), M_Value, value);
}

static void fill_attribute(struct ctx *ctx, const struct ec2_instance *instance, struct slice name,
                           struct doc *out)
{
    const struct image *image = thing_get(ctx->control, KIND_IMAGE, instance->image);

    if (slice_equal_z(name, "instanceType")) {
        set_text(out, M_InstanceType, instance->type);
    } else if (slice_equal_z(name, "userData")) {
        set_text(out, M_UserData, instance->user_data);
    } else if (slice_equal_z(name, "disableApiTermination")) {
        set_bool(out, M_DisableApiTermination, instance->protected);
    } else if (slice_equal_z(name, "disableApiStop")) {
        set_bool(out, M_DisableApiStop, instance->protected_stop);
    } else if (slice_equal_z(name, "instanceInitiatedShutdownBehavior")) {
        set_text(out, M_InstanceInitiatedShutdownBehavior,
                 instance->terminate_on_shutdown ? "terminate" : "stop");
    } else if (slice_equal_z(name, "rootDeviceName")) {
        set_text(out, M_RootDeviceName, image == NULL ? "/dev/xvda" : image->root_device);
    } else if (slice_equal_z(name, "sourceDestCheck")) {
        set_bool(out, M_SourceDestCheck, !instance->no_source_check);
    } else if (slice_equal_z(name, "ebsOptimized")) {
        set_bool(out, M_EbsOptimized, instance->ebs_optimized);
    } else if (slice_equal_z(name, "enaSupport")) {
        set_bool(out, M_EnaSupport, true);
    } else if (slice_equal_z(name, "enclaveOptions")) {
        doc_set_bool(doc_set_struct(out, M_EnclaveOptions), M_Enabled, false);
    } else if (slice_equal_z(name, "groupSet")) {
        groups_fill_list(ctx, instance_interface(ctx->control, instance), out, M_Groups);
    } else if (slice_equal_z(name, "blockDeviceMapping")) {
        instance_mappings_fill(ctx, instance, out);
    } else if (slice_equal_z(name, "productCodes")) {
        doc_set_list(out, M_ProductCodes);
    } else if (slice_equal_z(name, "sriovNetSupport")) {
        doc_set_struct(out, M_SriovNetSupport);
    } else if (slice_equal_z(name, "kernel")) {
        doc_set_struct(out, M_KernelId);
    } else {
        doc_set_struct(out, M_RamdiskId);
    }
}

int ec2_describe_instance_attribute(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    void *instance;
    int rc = thing_need(ctx, KIND_INSTANCE, doc_z(in, M_InstanceId), &instance, err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_z(out, M_InstanceId, doc_z(in, M_InstanceId));
    fill_attribute(ctx, instance, doc_text(in, M_Attribute), out);
    return 0;
}

static int need_stopped(const struct ec2_instance *instance, struct error *err)
{
    return instance->state == EC2_STOPPED
               ? 0
               : error_api(err, "IncorrectInstanceState",
                           "The instance '%s' is not in the 'stopped' state.", instance->id);
}

static int set_type(struct ec2_instance *instance, const char *type, struct error *err)
{
    int rc;

    if (instance_type_find(type) == NULL) {
        return error_api(err, "InvalidInstanceAttributeValue",
                         "The instanceType '%s' is not supported.", type == NULL ? "" : type);
    }
    rc = need_stopped(instance, err);
    if (rc == 0) {
        text_replace(&instance->type, type);
    }
    return rc;
}

static int set_user_data(struct ec2_instance *instance, struct slice raw, struct error *err)
{
    struct buf coded = {0};
    int rc = need_stopped(instance, err);

    if (rc == 0 && raw.bytes > 16384) {
        rc = error_api(err, "InvalidParameterValue", "User data is limited to 16384 bytes");
    }
    if (rc == 0) {
        text_base64_encode(&coded, raw);
        text_replace(&instance->user_data, raw.bytes == 0 ? NULL : buf_z(&coded));
        buf_close(&coded);
    }
    return rc;
}

static int set_groups(struct ctx *ctx, const struct doc *in, struct ec2_instance *instance,
                      struct error *err)
{
    size_t count = doc_count(in, M_Groups);
    const char **groups = arena_calloc(ctx->arena, count + 1, sizeof(*groups));
    struct group *group;

    for (size_t i = 0; i < count; i++) {
        int rc = thing_need(ctx, KIND_GROUP, doc_z_at(in, M_Groups, i), (void **)&group, err);

        if (rc != 0) {
            return rc;
        }
        if (strcmp(group->vpc, instance->vpc) != 0) {
            return error_api(err, "InvalidParameter",
                             "Security group %s and instance %s belong to different networks.",
                             group->id, instance->id);
        }
        groups[i] = group->id;
    }
    ec2_interface_set_groups(ctx, instance->interface, groups, count);
    return 0;
}

static int set_disks(struct ctx *ctx, const struct doc *in, const struct ec2_instance *instance,
                     struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_BlockDeviceMappings); i++) {
        const struct doc *item = doc_at(in, M_BlockDeviceMappings, i);
        struct volume *volume;
        bool found = false;

        for (size_t j = 0; (volume = volume_of(ctx->control, instance->id, j)) != NULL; j++) {
            if (slice_equal_z(doc_text(item, M_DeviceName), volume->device)) {
                found = true;
                volume->delete_on_termination = doc_bool_or(
                    doc_get(item, M_Ebs), M_DeleteOnTermination, volume->delete_on_termination);
                thing_put(ctx, KIND_VOLUME, volume);
            }
        }
        if (!found) {
            return error_api(err, "InvalidInstanceAttributeValue",
                             "No device is currently mapped at %s", doc_z(item, M_DeviceName));
        }
    }
    return 0;
}

/* The old form: Attribute and Value. */
static int modify_named(struct ec2_instance *instance, const struct doc *in, struct error *err)
{
    struct slice name = doc_text(in, M_Attribute);
    struct slice value = doc_text(in, M_Value);
    bool yes = slice_equal_z(value, "true");
    struct buf raw = {0};
    int rc = 0;

    if (slice_equal_z(name, "instanceType")) {
        rc = set_type(instance, doc_z(in, M_Value), err);
    } else if (slice_equal_z(name, "disableApiTermination")) {
        instance->protected = yes;
    } else if (slice_equal_z(name, "disableApiStop")) {
        instance->protected_stop = yes;
    } else if (slice_equal_z(name, "sourceDestCheck")) {
        instance->no_source_check = !yes;
    } else if (slice_equal_z(name, "ebsOptimized")) {
        instance->ebs_optimized = yes;
    } else if (slice_equal_z(name, "instanceInitiatedShutdownBehavior")) {
        instance->terminate_on_shutdown = slice_equal_z(value, "terminate");
    } else if (slice_equal_z(name, "userData")) {
        rc = text_base64_decode(&raw, value, NULL) != 0
                 ? error_api(err, "InvalidParameterValue", "Invalid BASE64 encoding of user data.")
                 : set_user_data(instance, buf_slice(&raw), err);
        buf_close(&raw);
    } else {
        rc = error_api(err, "InvalidParameterValue",
                       "Value (%.*s) for parameter attribute is invalid. Unknown attribute.",
                       SLICE_ARG(name));
    }
    return rc;
}

static int modify(struct ctx *ctx, struct ec2_instance *instance, const struct doc *in,
                  struct error *err)
{
    if (doc_has(in, M_DisableApiTermination)) {
        instance->protected = doc_bool(doc_get(in, M_DisableApiTermination), M_Value);
    } else if (doc_has(in, M_DisableApiStop)) {
        instance->protected_stop = doc_bool(doc_get(in, M_DisableApiStop), M_Value);
    } else if (doc_has(in, M_SourceDestCheck)) {
        instance->no_source_check = !doc_bool(doc_get(in, M_SourceDestCheck), M_Value);
    } else if (doc_has(in, M_EbsOptimized)) {
        instance->ebs_optimized = doc_bool(doc_get(in, M_EbsOptimized), M_Value);
    } else if (doc_has(in, M_InstanceInitiatedShutdownBehavior)) {
        instance->terminate_on_shutdown = slice_equal_z(
            doc_text(doc_get(in, M_InstanceInitiatedShutdownBehavior), M_Value), "terminate");
    } else if (doc_has(in, M_InstanceType)) {
        return set_type(instance, doc_z(doc_get(in, M_InstanceType), M_Value), err);
    } else if (doc_has(in, M_UserData)) {
        return set_user_data(instance, doc_text(doc_get(in, M_UserData), M_Value), err);
    } else if (doc_count(in, M_Groups) > 0) {
        return set_groups(ctx, in, instance, err);
    } else if (doc_has(in, M_BlockDeviceMappings)) {
        return set_disks(ctx, in, instance, err);
    } else if (doc_has(in, M_Attribute)) {
        return modify_named(instance, in, err);
    } else if (!doc_has(in, M_EnaSupport) && !doc_has(in, M_SriovNetSupport)) {
        return error_api(err, "InvalidParameterCombination", "No attributes specified.");
    }
    return 0;
}

int ec2_modify_instance_attribute(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    static const int members[] = {M_DisableApiTermination,
                                  M_DisableApiStop,
                                  M_SourceDestCheck,
                                  M_EbsOptimized,
                                  M_InstanceInitiatedShutdownBehavior,
                                  M_InstanceType,
                                  M_UserData,
                                  M_Groups,
                                  M_BlockDeviceMappings,
                                  M_Attribute,
                                  M_EnaSupport,
                                  M_SriovNetSupport};
    struct ec2_instance *instance;
    size_t given = 0;
    int rc = thing_need(ctx, KIND_INSTANCE, doc_z(in, M_InstanceId), (void **)&instance, err);

    (void)out;
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        given += doc_has(in, members[i]);
    }
    if (rc == 0 && given > 1 && !(given == 2 && doc_has(in, M_Attribute))) {
        rc = error_api(err, "InvalidParameterCombination",
                       "Fields for multiple attribute types specified");
    }
    if (rc == 0 && instance->state == EC2_TERMINATED) {
        rc = error_api(err, "IncorrectInstanceState", "The instance '%s' is terminated.",
                       instance->id);
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    rc = modify(ctx, instance, in, err);
    if (rc == 0) {
        thing_put(ctx, KIND_INSTANCE, instance);
    }
    return rc;
}

int ec2_modify_instance_metadata_options(struct ctx *ctx, const struct doc *in, struct doc *out,
                                         struct error *err)
{
    struct ec2_instance *instance;
    int64_t hops = doc_int_or(in, M_HttpPutResponseHopLimit, 1);
    int rc = thing_need(ctx, KIND_INSTANCE, doc_z(in, M_InstanceId), (void **)&instance, err);

    if (rc == 0 && (hops < 1 || hops > 64)) {
        rc = error_api(err, "InvalidParameterValue",
                       "Value (%lld) for parameter HttpPutResponseHopLimit is invalid. It must be "
                       "between 1 and 64.",
                       (long long)hops);
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    if (doc_has(in, M_HttpTokens)) {
        instance->imds_token_required = slice_equal_z(doc_text(in, M_HttpTokens), "required");
    }
    if (doc_has(in, M_HttpEndpoint)) {
        instance->imds_disabled = slice_equal_z(doc_text(in, M_HttpEndpoint), "disabled");
    }
    if (doc_has(in, M_InstanceMetadataTags)) {
        instance->imds_tags = slice_equal_z(doc_text(in, M_InstanceMetadataTags), "enabled");
    }
    if (doc_has(in, M_HttpPutResponseHopLimit)) {
        instance->imds_hops = hops;
    }
    thing_put(ctx, KIND_INSTANCE, instance);
    doc_set_z(out, M_InstanceId, instance->id);
    metadata_options_fill(instance, doc_set_struct(out, M_InstanceMetadataOptions));
    return 0;
}

struct console {
    struct ctx *ctx;
    struct doc *out;
};

/* The console's text has come, or will not. */
static void on_console(void *data, const struct compute_result *result, const struct error *err)
{
    struct console *console = data;
    struct buf text = {0};

    if (err == NULL && result->output.bytes > 0) {
        text_base64_encode(&text, result->output);
        doc_set_text(console->out, M_Output, buf_slice(&text));
    }
    buf_close(&text);
    ctx_finish(console->ctx, err);
}

/* "Output" is left out while nothing was written, as AWS does it. */
int ec2_get_console_output(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    struct compute *compute = ctx->control->compute;
    struct ec2_instance *instance;
    struct console *console;
    int rc = thing_need(ctx, KIND_INSTANCE, doc_z(in, M_InstanceId), (void **)&instance, err);

    if (rc != 0) {
        return rc;
    }
    doc_set_z(out, M_InstanceId, instance->id);
    doc_set_time_ms(out, M_Timestamp, ctx->now_ms);
    console = arena_calloc(ctx->arena, 1, sizeof(*console));
    *console = (struct console){.ctx = ctx, .out = out};
    ctx_defer(ctx);
    compute->driver->console(compute, instance->id, on_console, console);
    return 0;
}
