/* Images (AMIs) and the snapshots they name.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AMIs.html */
#include "compute/compute.h"
#include "services/ec2/private.h"

#include "aws/id.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_DEVICE "/dev/xvda"
#define ROOT_GIB 8
#define IMAGE_NAME_BYTES_MIN 3
/* Who publishes Debian's own images on AWS: "most recent of this owner" means the same here. */
#define DEBIAN_ACCOUNT "136693071363"

void mapping_close(struct mapping *mapping)
{
    free(mapping->device);
    free(mapping->snapshot);
    free(mapping->type);
    *mapping = (struct mapping){0};
}

int mapping_read(const struct doc *in, struct mapping *mapping, struct error *err)
{
    const struct doc *ebs = doc_get(in, M_Ebs);
    const char *type = doc_z(ebs, M_VolumeType);
    int64_t size = doc_int_or(ebs, M_VolumeSize, 0);

    if (!doc_has(in, M_DeviceName)) {
        return error_api(err, "MissingParameter",
                         "The request must contain the parameter device name");
    }
    if (size < 0 || size > 16384) {
        return error_api(err, "InvalidParameterValue",
                         "Value (%lld) for parameter VolumeSize is invalid.", (long long)size);
    }
    *mapping = (struct mapping){
        .device = mem_strdup(doc_z(in, M_DeviceName)),
        .snapshot = mem_strdup(doc_z(ebs, M_SnapshotId)),
        .size_gib = size,
        .type = mem_strdup(type == NULL ? "gp2" : type),
        .delete_on_termination = doc_bool_or(ebs, M_DeleteOnTermination, true),
        .encrypted = doc_bool(ebs, M_Encrypted),
        .iops = doc_int_or(ebs, M_Iops, 0),
        .throughput = doc_int_or(ebs, M_Throughput, 0),
    };
    return 0;
}

static struct snapshot *make_snapshot(struct ctx *ctx, const struct image *image,
                                      const struct volume *volume)
{
    struct snapshot *snapshot = thing_new(ctx, KIND_SNAPSHOT, NULL);
    bool copied = volume != NULL && image->source_instance != NULL;
    struct slice text = copied ? arena_printf(ctx->arena, "Created by CreateImage(%s) for %s",
                                              image->source_instance, image->id)
                               : SLICE_EMPTY;

    snapshot->image = mem_strdup(image->id);
    snapshot->volume = mem_strdup(volume == NULL ? NULL : volume->id);
    snapshot->description = mem_strdup(copied ? text.data : "");
    snapshot->size_gib = volume == NULL ? ROOT_GIB : volume->size_gib;
    snapshot->encrypted = volume != NULL && volume->encrypted;
    snapshot->created_ms = ctx->now_ms;
    thing_put(ctx, KIND_SNAPSHOT, snapshot);
    return snapshot;
}

static struct mapping *add_mapping(struct image *image)
{
    image->mappings =
        mem_realloc(image->mappings, image->mappings_count + 1, sizeof(*image->mappings));
    image->mappings[image->mappings_count] = (struct mapping){0};
    return &image->mappings[image->mappings_count++];
}

void images_make_stock(struct ctx *ctx)
{
    struct image *image;
    struct mapping *mapping;

    if (thing_get(ctx->control, KIND_IMAGE, COMPUTE_BASE_IMAGE) != NULL) {
        return;
    }
    image = thing_new(ctx, KIND_IMAGE, COMPUTE_BASE_IMAGE);
    image->name = mem_strdup("debian-12-amd64-muster");
    image->description = mem_strdup("Debian 12 (bookworm)");
    image->owner = mem_strdup(DEBIAN_ACCOUNT);
    image->root_device = mem_strdup(ROOT_DEVICE);
    image->state = IMAGE_AVAILABLE;
    image->created_ms = ctx->now_ms;
    image->is_public = true;
    image->stock = true;
    mapping = add_mapping(image);
    *mapping = (struct mapping){.device = mem_strdup(ROOT_DEVICE),
                                .snapshot = mem_strdup(make_snapshot(ctx, image, NULL)->id),
                                .size_gib = ROOT_GIB,
                                .type = mem_strdup("gp3"),
                                .delete_on_termination = true};
    thing_put(ctx, KIND_IMAGE, image);
}

int image_need(struct ctx *ctx, const char *id, struct image **image, struct error *err)
{
    int rc = thing_need(ctx, KIND_IMAGE, id, (void **)image, err);

    if (rc == 0 && (*image)->state != IMAGE_AVAILABLE) {
        rc = error_api(err, "InvalidAMIID.Unavailable",
                       "The image id '[%s]' is not available: its state is '%s'", id,
                       (*image)->state == IMAGE_PENDING ? "pending" : "failed");
    }
    return rc;
}

int ec2_image_check(struct ctx *ctx, const char *id, struct error *err)
{
    struct image *image;

    return image_need(ctx, id, &image, err);
}

bool image_is_mine(const struct ctx *ctx, const struct image *image)
{
    return strcmp(image->owner, ctx->control->options.account) == 0;
}

static int check_create(struct ctx *ctx, const struct doc *in, struct ec2_instance **instance,
                        struct error *err)
{
    const char *name = doc_z(in, M_Name);
    const struct image *other;
    int rc = tag_specs_check(in, "image;snapshot", err);

    rc = rc != 0 ? rc
                 : thing_need(ctx, KIND_INSTANCE, doc_z(in, M_InstanceId), (void **)instance, err);
    if (rc != 0) {
        return rc;
    }
    if (strlen(name) < IMAGE_NAME_BYTES_MIN) {
        return error_api(err, "InvalidAMIName.Malformed",
                         "AMI names must be between 3 and 128 characters long");
    }
    for (size_t at = 0; (other = thing_next(ctx->control, KIND_IMAGE, &at)) != NULL;) {
        if (image_is_mine(ctx, other) && strcmp(other->name, name) == 0) {
            return error_api(err, "InvalidAMIName.Duplicate",
                             "AMI name %s is already in use by AMI %s", name, other->id);
        }
    }
    if ((*instance)->state != EC2_RUNNING && (*instance)->state != EC2_STOPPED) {
        return error_api(err, "InvalidParameterValue",
                         "Instance is not in state 'running' or 'stopped': %s is '%s'",
                         (*instance)->id, ec2_state_name((*instance)->state));
    }
    rc = quota_check(ctx->control, KIND_IMAGE, NULL, 1, err);
    return rc != 0 ? rc : quota_check(ctx->control, KIND_SNAPSHOT, NULL, 1, err);
}

static void map_volumes(struct ctx *ctx, const struct doc *in, struct image *image,
                        const struct ec2_instance *instance)
{
    const struct volume *volume;

    for (size_t i = 0; (volume = volume_of(ctx->control, instance->id, i)) != NULL; i++) {
        const struct snapshot *snapshot = make_snapshot(ctx, image, volume);
        struct mapping *mapping;

        tag_specs_apply(ctx, in, "snapshot", KIND_SNAPSHOT, snapshot->id);
        mapping = add_mapping(image);
        *mapping = (struct mapping){.device = mem_strdup(volume->device),
                                    .snapshot = mem_strdup(snapshot->id),
                                    .size_gib = volume->size_gib,
                                    .type = mem_strdup(volume->type),
                                    .delete_on_termination = volume->delete_on_termination,
                                    .encrypted = volume->encrypted,
                                    .iops = volume->iops,
                                    .throughput = volume->throughput};
    }
}

int ec2_create_image(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct ec2_instance *instance;
    struct image *image;
    const struct image *from;
    int rc = check_create(ctx, in, &instance, err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    from = thing_get(ctx->control, KIND_IMAGE, instance->image);
    image = thing_new(ctx, KIND_IMAGE, NULL);
    image->name = mem_strdup(doc_z(in, M_Name));
    image->description = mem_strdup(doc_z(in, M_Description));
    image->owner = mem_strdup(ctx->control->options.account);
    image->root_device = mem_strdup(from == NULL ? ROOT_DEVICE : from->root_device);
    image->source_instance = mem_strdup(instance->id);
    image->state = IMAGE_PENDING;
    image->created_ms = ctx->now_ms;
    map_volumes(ctx, in, image, instance);
    thing_put(ctx, KIND_IMAGE, image);
    tag_specs_apply(ctx, in, "image", KIND_IMAGE, image->id);
    act_image(ctx, image->id);
    doc_set_z(out, M_ImageId, image->id);
    return 0;
}

void image_settled(struct ctx *ctx, const char *id, const char *reason)
{
    struct image *image = thing_get(ctx->control, KIND_IMAGE, id);

    if (image == NULL || image->state != IMAGE_PENDING) {
        return;
    }
    image->state = reason == NULL ? IMAGE_AVAILABLE : IMAGE_FAILED;
    text_replace(&image->reason, reason);
    thing_put(ctx, KIND_IMAGE, image);
}

int ec2_deregister_image(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct image *image;
    const char *id;
    int rc = thing_need(ctx, KIND_IMAGE, doc_z(in, M_ImageId), (void **)&image, err);

    if (rc != 0) {
        return rc;
    }
    if (!image_is_mine(ctx, image)) {
        return error_api_status(err, 403, "AuthFailure", "Not authorized for image:%s", image->id);
    }
    DRY_RUN(in, err)
    id = arena_strdup(ctx->arena, slice_z(image->id));
    doc_set_bool(out, M_Return, true);
    if (doc_bool(in, M_DeleteAssociatedSnapshots)) {
        doc_set_list(out, M_DeleteSnapshotResults);
    }
    for (size_t i = 0; i < image->mappings_count && doc_bool(in, M_DeleteAssociatedSnapshots);
         i++) {
        struct snapshot *snapshot =
            thing_get(ctx->control, KIND_SNAPSHOT, image->mappings[i].snapshot);
        struct doc *item;

        if (snapshot != NULL) {
            item = doc_add_struct(out, M_DeleteSnapshotResults);
            doc_set_z(item, M_SnapshotId, snapshot->id);
            doc_set_z(item, M_ReturnCode, "success");
            thing_drop(ctx, KIND_SNAPSHOT, snapshot);
        }
    }
    thing_drop(ctx, KIND_IMAGE, image);
    act_image_gone(ctx, id);
    return 0;
}

/* DescribeImages. */

static void fill_mapping(const struct mapping *mapping, struct doc *out)
{
    struct doc *ebs = doc_set_struct(out, M_Ebs);

    doc_set_z(out, M_DeviceName, mapping->device);
    doc_set_z(ebs, M_SnapshotId, mapping->snapshot);
    doc_set_int(ebs, M_VolumeSize, mapping->size_gib);
    doc_set_z(ebs, M_VolumeType, mapping->type);
    doc_set_bool(ebs, M_DeleteOnTermination, mapping->delete_on_termination);
    doc_set_bool(ebs, M_Encrypted, mapping->encrypted);
    if (mapping->iops > 0) {
        doc_set_int(ebs, M_Iops, mapping->iops);
    }
    if (mapping->throughput > 0) {
        doc_set_int(ebs, M_Throughput, mapping->throughput);
    }
}

static const char *state_name(const struct image *image)
{
    return image->state == IMAGE_PENDING     ? "pending"
           : image->state == IMAGE_AVAILABLE ? "available"
                                             : "failed";
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct image *image = thing;
    char created[TIME_TEXT_BYTES];

    time_format_ms(image->created_ms, created);
    doc_set_z(out, M_ImageId, image->id);
    doc_set_format(out, M_ImageLocation, "%s/%s", image->owner, image->name);
    doc_set_z(out, M_State, state_name(image));
    doc_set_z(out, M_OwnerId, image->owner);
    doc_set_z(out, M_ImageOwnerAlias, image->alias);
    doc_set_bool(out, M_Public, image->is_public);
    doc_set_z(out, M_Architecture, "x86_64");
    doc_set_z(out, M_ImageType, "machine");
    doc_set_z(out, M_Name, image->name);
    doc_set_z(out, M_Description, image->description);
    doc_set_z(out, M_RootDeviceType, "ebs");
    doc_set_z(out, M_RootDeviceName, image->root_device);
    doc_set_z(out, M_VirtualizationType, "hvm");
    doc_set_z(out, M_Hypervisor, "xen");
    doc_set_bool(out, M_EnaSupport, true);
    doc_set_z(out, M_SriovNetSupport, "simple");
    doc_set_z(out, M_PlatformDetails, "Linux/UNIX");
    doc_set_z(out, M_UsageOperation, "RunInstances");
    doc_set_z(out, M_CreationDate, created);
    doc_set_z(out, M_SourceInstanceId, image->source_instance);
    doc_set_list(out, M_ProductCodes);
    doc_set_list(out, M_BlockDeviceMappings);
    for (size_t i = 0; i < image->mappings_count; i++) {
        fill_mapping(&image->mappings[i], doc_add_struct(out, M_BlockDeviceMappings));
    }
    if (image->reason != NULL) {
        struct doc *reason = doc_set_struct(out, M_StateReason);

        doc_set_z(reason, M_Code, "Server.InternalError");
        doc_set_format(reason, M_Message, "Server.InternalError: %s", image->reason);
    }
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_IMAGE, image->id), out);
}

FILTER_TEXT(by_id, struct image, id)
FILTER_TEXT(by_name, struct image, name)
FILTER_TEXT(by_description, struct image, description)
FILTER_TEXT(by_owner, struct image, owner)
FILTER_TEXT(by_alias, struct image, alias)
FILTER_TEXT(by_root_name, struct image, root_device)
FILTER_TEXT(by_source, struct image, source_instance)
FILTER_BOOL(by_public, struct image, is_public)
FILTER_IS(by_architecture, "x86_64")
FILTER_IS(by_type, "machine")
FILTER_IS(by_root_type, "ebs")
FILTER_IS(by_virtualization, "hvm")
FILTER_IS(by_hypervisor, "xen")
FILTER_IS(by_ena, "true")
FILTER_IS(by_platform, "Linux/UNIX")

static void by_state(struct ctx *ctx, const void *image, struct match *match)
{
    (void)ctx;
    match_z(match, state_name(image));
}

static void by_created(struct ctx *ctx, const void *image, struct match *match)
{
    char created[TIME_TEXT_BYTES];

    (void)ctx;
    time_format_ms(((const struct image *)image)->created_ms, created);
    match_z(match, created);
}

#define BY_MAPPING(name_, statement_)                                                              \
    static void name_(struct ctx *ctx, const void *thing, struct match *match)                     \
    {                                                                                              \
        const struct image *image = thing;                                                         \
                                                                                                   \
        (void)ctx;                                                                                 \
        for (size_t i = 0; i < image->mappings_count; i++) {                                       \
            const struct mapping *mapping = &image->mappings[i];                                   \
                                                                                                   \
            statement_;                                                                            \
        }                                                                                          \
    }
BY_MAPPING(by_volume_type, match_z(match, mapping->type))
BY_MAPPING(by_device, match_z(match, mapping->device))
BY_MAPPING(by_snapshot, match_z(match, mapping->snapshot))
BY_MAPPING(by_size, match_int(match, mapping->size_gib))
BY_MAPPING(by_encrypted, match_bool(match, mapping->encrypted))
BY_MAPPING(by_delete, match_bool(match, mapping->delete_on_termination))

/* Public parameters that name an official image on AWS: here the base image, whose distribution and
 * release are the host's. */
static const char *const public_parameters[] = {
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-x86_64",
    "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
    "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
    "/aws/service/debian/release/12/latest/amd64",
    "/aws/service/debian/release/13/latest/amd64",
    "/aws/service/debian/release/bookworm/latest/amd64",
    "/aws/service/debian/release/trixie/latest/amd64",
};

const char *ec2_public_parameter(size_t index)
{
    return index < COUNT_OF(public_parameters) ? public_parameters[index] : NULL;
}

const char *ec2_public_image(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(public_parameters); i++) {
        if (strcmp(name, public_parameters[i]) == 0) {
            return COMPUTE_BASE_IMAGE;
        }
    }
    return NULL;
}

static const struct filter filters[] = {
    {"architecture", by_architecture},
    {"block-device-mapping.delete-on-termination", by_delete},
    {"block-device-mapping.device-name", by_device},
    {"block-device-mapping.encrypted", by_encrypted},
    {"block-device-mapping.snapshot-id", by_snapshot},
    {"block-device-mapping.volume-size", by_size},
    {"block-device-mapping.volume-type", by_volume_type},
    {"creation-date", by_created},
    {"description", by_description},
    {"ena-support", by_ena},
    {"hypervisor", by_hypervisor},
    {"image-id", by_id},
    {"image-type", by_type},
    {"is-public", by_public},
    {"name", by_name},
    {"owner-alias", by_alias},
    {"owner-id", by_owner},
    {"platform-details", by_platform},
    {"root-device-name", by_root_name},
    {"root-device-type", by_root_type},
    {"source-instance-id", by_source},
    {"state", by_state},
    {"virtualization-type", by_virtualization},
};

static bool admits(struct ctx *ctx, const struct doc *in, const void *thing)
{
    const struct image *image = thing;
    bool owned = doc_count(in, M_Owners) == 0;
    bool executable = doc_count(in, M_ExecutableUsers) == 0;

    owned |= image_is_mine(ctx, image) && doc_list_contains(in, M_Owners, SLICE_LIT("self"));
    owned |= doc_list_contains(in, M_Owners, slice_z(image->owner));
    owned |= image->alias != NULL && doc_list_contains(in, M_Owners, slice_z(image->alias));
    executable |=
        image_is_mine(ctx, image) && doc_list_contains(in, M_ExecutableUsers, SLICE_LIT("self"));
    executable |= image->is_public && doc_list_contains(in, M_ExecutableUsers, SLICE_LIT("all"));
    return owned && executable;
}

int ec2_describe_images(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    static const struct listing listing = {.kind = KIND_IMAGE,
                                           .action = "DescribeImages",
                                           .list = M_Images,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill,
                                           .admits = admits,
                                           .max_min = 1};

    return list_things(ctx, in, out, &listing, err);
}

/* Snapshots. */

/* That of an image which came with muster is its owner's. */
static const char *snapshot_owner(const struct ctx *ctx, const struct snapshot *snapshot)
{
    const struct image *image = thing_get(ctx->control, KIND_IMAGE, snapshot->image);

    return image == NULL ? ctx->control->options.account : image->owner;
}

/* A snapshot is a record of its image's layer: as far as that is. */
static enum image_state snapshot_state(const struct ctx *ctx, const struct snapshot *snapshot)
{
    const struct image *image = thing_get(ctx->control, KIND_IMAGE, snapshot->image);

    return image == NULL ? IMAGE_AVAILABLE : image->state;
}

static const char *const snapshot_states[] = {
    [IMAGE_PENDING] = "pending", [IMAGE_AVAILABLE] = "completed", [IMAGE_FAILED] = "error"};

static void fill_snapshot(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct snapshot *snapshot = thing;
    enum image_state state = snapshot_state(ctx, snapshot);

    doc_set_z(out, M_SnapshotId, snapshot->id);
    doc_set_z(out, M_VolumeId, snapshot->volume == NULL ? "vol-ffffffff" : snapshot->volume);
    doc_set_z(out, M_State, snapshot_states[state]);
    doc_set_z(out, M_Progress, state == IMAGE_AVAILABLE ? "100%" : "0%");
    doc_set_time_ms(out, M_StartTime, snapshot->created_ms);
    doc_set_z(out, M_OwnerId, snapshot_owner(ctx, snapshot));
    doc_set_z(out, M_Description, snapshot->description);
    doc_set_int(out, M_VolumeSize, snapshot->size_gib);
    doc_set_bool(out, M_Encrypted, snapshot->encrypted);
    doc_set_z(out, M_StorageTier, "standard");
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_SNAPSHOT, snapshot->id), out);
}

FILTER_TEXT(by_snapshot_id, struct snapshot, id)
FILTER_TEXT(by_snapshot_volume, struct snapshot, volume)
FILTER_TEXT(by_snapshot_text, struct snapshot, description)
FILTER_BOOL(by_snapshot_encrypted, struct snapshot, encrypted)

static void by_snapshot_status(struct ctx *ctx, const void *thing, struct match *match)
{
    match_z(match, snapshot_states[snapshot_state(ctx, thing)]);
}

static void by_snapshot_owner(struct ctx *ctx, const void *thing, struct match *match)
{
    match_z(match, snapshot_owner(ctx, thing));
}

/* OwnerIds: accounts, or "self". */
static bool admits_snapshot(struct ctx *ctx, const struct doc *in, const void *thing)
{
    const char *owner = snapshot_owner(ctx, thing);
    size_t count = doc_count(in, M_OwnerIds);
    bool admitted = count == 0;

    for (size_t i = 0; i < count; i++) {
        const char *wanted = doc_z_at(in, M_OwnerIds, i);

        admitted |=
            strcmp(wanted, owner) == 0 ||
            (strcmp(wanted, "self") == 0 && strcmp(owner, ctx->control->options.account) == 0);
    }
    return admitted;
}

static const struct filter snapshot_filters[] = {
    {"description", by_snapshot_text}, {"encrypted", by_snapshot_encrypted},
    {"owner-id", by_snapshot_owner},   {"snapshot-id", by_snapshot_id},
    {"status", by_snapshot_status},    {"volume-id", by_snapshot_volume},
};

int ec2_describe_snapshots(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    static const struct listing listing = {.kind = KIND_SNAPSHOT,
                                           .action = "DescribeSnapshots",
                                           .list = M_Snapshots,
                                           .filters = snapshot_filters,
                                           .filters_count = COUNT_OF(snapshot_filters),
                                           .fill = fill_snapshot,
                                           .admits = admits_snapshot};

    return list_things(ctx, in, out, &listing, err);
}

int ec2_delete_snapshot(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct snapshot *snapshot;
    const struct image *image;
    int rc = thing_need(ctx, KIND_SNAPSHOT, doc_z(in, M_SnapshotId), (void **)&snapshot, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    image = thing_get(ctx->control, KIND_IMAGE, snapshot->image);
    if (image != NULL) {
        return error_api(err, "InvalidSnapshot.InUse", "The snapshot %s is currently in use by %s",
                         snapshot->id, image->id);
    }
    DRY_RUN(in, err)
    thing_drop(ctx, KIND_SNAPSHOT, snapshot);
    return 0;
}
