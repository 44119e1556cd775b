/* Volumes: records beside an instance's disk, with AWS's ids, so that what clients read of them is
 * there. All of an instance's data lies on its own disk. */
#include "services/ec2/private.h"

#include <stdlib.h>
#include <string.h>

/* Which volumes an instance has, in the order in which it got them. */
struct attached {
    struct volume **list;
    size_t count, room;
};

struct volume *volume_of(const struct control *control, const char *instance, size_t index)
{
    const struct attached *attached = map_get_z(&control->ec2->attached, instance);

    return attached != NULL && index < attached->count ? attached->list[index] : NULL;
}

void volume_attached(struct ec2 *ec2, struct volume *volume)
{
    struct attached *attached;

    if (volume->instance == NULL) {
        return;
    }
    attached = map_get_z(&ec2->attached, volume->instance);
    if (attached == NULL) {
        attached = mem_calloc(1, sizeof(*attached));
        map_put(&ec2->attached, slice_z(volume->instance), attached);
    }
    attached->list = mem_grow(attached->list, attached->count, &attached->room, sizeof(volume));
    attached->list[attached->count++] = volume;
}

static void attached_free(struct attached *attached)
{
    free(attached->list);
    free(attached);
}

void volumes_release(struct ctx *ctx, const char *instance)
{
    struct attached *attached = map_remove(&ctx->control->ec2->attached, slice_z(instance));

    for (size_t i = 0; attached != NULL && i < attached->count; i++) {
        struct volume *volume = attached->list[i];

        if (volume->delete_on_termination) {
            thing_drop(ctx, KIND_VOLUME, volume);
        } else {
            text_replace(&volume->instance, NULL);
            thing_put(ctx, KIND_VOLUME, volume);
        }
    }
    if (attached != NULL) {
        attached_free(attached);
    }
}

void volumes_close(struct ec2 *ec2)
{
    struct attached *attached;

    for (size_t at = 0; (attached = map_next(&ec2->attached, &at)) != NULL;) {
        attached_free(attached);
    }
    map_close(&ec2->attached);
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct volume *volume = thing;

    doc_set_z(out, M_VolumeId, volume->id);
    doc_set_int(out, M_Size, volume->size_gib);
    doc_set_z(out, M_SnapshotId, volume->snapshot == NULL ? "" : volume->snapshot);
    doc_set_z(out, M_AvailabilityZone, volume->zone);
    doc_set_z(out, M_State, volume->instance == NULL ? "available" : "in-use");
    doc_set_time_ms(out, M_CreateTime, volume->created_ms);
    doc_set_z(out, M_VolumeType, volume->type);
    if (volume->iops > 0) {
        doc_set_int(out, M_Iops, volume->iops);
    }
    if (volume->throughput > 0) {
        doc_set_int(out, M_Throughput, volume->throughput);
    }
    doc_set_bool(out, M_Encrypted, volume->encrypted);
    doc_set_bool(out, M_MultiAttachEnabled, false);
    doc_set_list(out, M_Attachments);
    if (volume->instance != NULL) {
        struct doc *attachment = doc_add_struct(out, M_Attachments);

        doc_set_z(attachment, M_VolumeId, volume->id);
        doc_set_z(attachment, M_InstanceId, volume->instance);
        doc_set_z(attachment, M_Device, volume->device);
        doc_set_z(attachment, M_State, "attached");
        doc_set_time_ms(attachment, M_AttachTime, volume->created_ms);
        doc_set_bool(attachment, M_DeleteOnTermination, volume->delete_on_termination);
    }
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_VOLUME, volume->id), out);
}

FILTER_TEXT(by_id, struct volume, id)
FILTER_TEXT(by_zone, struct volume, zone)
FILTER_TEXT(by_type, struct volume, type)
FILTER_TEXT(by_snapshot, struct volume, snapshot)
FILTER_TEXT(by_instance, struct volume, instance)
FILTER_TEXT(by_device, struct volume, device)
FILTER_BOOL(by_encrypted, struct volume, encrypted)
FILTER_BOOL(by_delete, struct volume, delete_on_termination)

static void by_size(struct ctx *ctx, const void *volume, struct match *match)
{
    (void)ctx;
    match_int(match, ((const struct volume *)volume)->size_gib);
}

static void by_status(struct ctx *ctx, const void *volume, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct volume *)volume)->instance == NULL ? "available" : "in-use");
}

static void by_attached(struct ctx *ctx, const void *volume, struct match *match)
{
    (void)ctx;
    match_z(match, ((const struct volume *)volume)->instance == NULL ? NULL : "attached");
}

static const struct filter filters[] = {
    {"attachment.delete-on-termination", by_delete},
    {"attachment.device", by_device},
    {"attachment.instance-id", by_instance},
    {"attachment.status", by_attached},
    {"availability-zone", by_zone},
    {"encrypted", by_encrypted},
    {"size", by_size},
    {"snapshot-id", by_snapshot},
    {"status", by_status},
    {"volume-id", by_id},
    {"volume-type", by_type},
};

int ec2_describe_volumes(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    static const struct listing listing = {.kind = KIND_VOLUME,
                                           .action = "DescribeVolumes",
                                           .list = M_Volumes,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill};

    return list_things(ctx, in, out, &listing, err);
}

int ec2_delete_volume(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct volume *volume;
    int rc = thing_need(ctx, KIND_VOLUME, doc_z(in, M_VolumeId), (void **)&volume, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (volume->instance != NULL) {
        return error_api(err, "VolumeInUse", "Volume %s is currently attached to %s", volume->id,
                         volume->instance);
    }
    DRY_RUN(in, err)
    thing_drop(ctx, KIND_VOLUME, volume);
    return 0;
}
