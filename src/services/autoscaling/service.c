/* From records to groups, and back to nothing. */
#include "services/autoscaling/group.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void autoscaling_open(struct control *control, const struct neighbours *neighbours)
{
    control->autoscaling = mem_calloc(1, sizeof(*control->autoscaling));
    control->autoscaling->control = control;
    control->autoscaling->neighbours = neighbours;
}

static int load_group(struct autoscaling *service, struct slice body, struct error *err)
{
    struct group *group = mem_calloc(1, sizeof(*group));
    int rc;

    rc = record_load(&group_record, group, body, err);
    if (rc != 0) {
        free(group);
        return rc;
    }
    world_loaded(&group->world);
    for (size_t i = 0; i < group->suspensions_count; i++) {
        group->world.suspended |= process_bit(group->suspensions[i].process);
    }
    group_termination_policies(group);
    group_enter(service, group);
    return 0;
}

static int load_activity(struct autoscaling *service, struct slice body, struct error *err)
{
    struct stored_activity stored = {0};
    int rc = record_load(&activity_record, &stored, body, err);
    struct group *group = rc == 0 ? map_get_z(&service->by_uuid, stored.group) : NULL;

    if (group != NULL) {
        struct world *world = &group->world;

        world->activities = mem_grow(world->activities, world->activities_count,
                                     &world->activities_room, sizeof(*world->activities));
        world->activities[world->activities_count++] = stored.activity;
    }
    return rc;
}

/* Groups come before "autoscaling.group-activity". */
int autoscaling_load(struct control *control, struct slice kind, struct slice id, struct slice body,
                     struct error *err)
{
    (void)id;
    return slice_equal_z(kind, "autoscaling.group")
               ? load_group(control->autoscaling, body, err)
               : load_activity(control->autoscaling, body, err);
}

int autoscaling_start(struct ctx *ctx, struct error *err)
{
    struct autoscaling *service = ctx->control->autoscaling;

    (void)err;
    service->timer = control_timer_open(ctx->control, autoscaling_look, service);
    service->neighbours->listen(ctx->control);
    autoscaling_look(ctx, service);
    return 0;
}

void autoscaling_close(struct control *control)
{
    struct autoscaling *service = control->autoscaling;

    if (service == NULL) {
        return;
    }
    for (size_t i = 0; i < service->groups_count; i++) {
        group_close(service->groups[i]);
    }
    free(service->groups);
    map_close(&service->by_name);
    map_close(&service->by_uuid);
    control_timer_close(service->timer);
    free(service);
    control->autoscaling = NULL;
}
