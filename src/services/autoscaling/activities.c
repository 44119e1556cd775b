/* DescribeScalingActivities. */
#include "services/autoscaling/api.h"

#include "engine/activity_text.h"

#include <stdlib.h>
#include <string.h>

void describe_activity(struct ctx *ctx, const struct group *group, const struct activity *activity,
                       struct doc *out)
{
    struct buf text = {0};

    (void)ctx;
    doc_set_z(out, M_ActivityId, activity->id);
    doc_set_z(out, M_AutoScalingGroupName, group->world.name);
    activity_description(activity, &text);
    doc_set_text(out, M_Description, buf_slice(&text));
    buf_clear(&text);
    activity_cause(&activity->cause, &text);
    doc_set_z(out, M_Cause, buf_z(&text));
    doc_set_time_ms(out, M_StartTime, activity->start_ms);
    if (!activity_running(activity)) {
        doc_set_time_ms(out, M_EndTime, activity->end_ms / 1000 * 1000); /* As AWS: no fraction. */
    }
    doc_set_z(out, M_StatusCode, activity_status_name(activity->status));
    if (activity->status_message[0] != '\0') {
        doc_set_z(out, M_StatusMessage, activity->status_message);
    }
    doc_set_int(out, M_Progress, activity->progress);
    buf_clear(&text);
    activity_details(activity, &text);
    doc_set_text(out, M_Details, buf_slice(&text));
    buf_close(&text);
    if (group->deleted) {
        doc_set_z(out, M_AutoScalingGroupState, "Deleted");
    }
    doc_set_z(out, M_AutoScalingGroupARN, group->arn);
}

struct found {
    const struct group *group;
    const struct activity *activity;
    size_t order; /* Later is newer, where the instants are equal. */
};

/* Running ones first, then the newest. */
static int by_time(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    bool left_runs = activity_running(left->activity),
         right_runs = activity_running(right->activity);

    if (left_runs != right_runs) {
        return left_runs ? -1 : 1;
    }
    if (left->activity->start_ms != right->activity->start_ms) {
        return left->activity->start_ms > right->activity->start_ms ? -1 : 1;
    }
    return left->order > right->order ? -1 : 1;
}

struct filters {
    int64_t lower_ms, upper_ms;
    const struct doc *status;
};

static int read_filters(const struct doc *in, struct filters *filters, struct error *err)
{
    *filters = (struct filters){.lower_ms = INT64_MIN, .upper_ms = INT64_MAX};
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        const struct doc *filter = doc_at(in, M_Filters, i);
        struct slice name = doc_text(filter, M_Name);
        struct slice value = slice_z(doc_z_at(filter, M_Values, 0));
        int rc = 0;

        if (slice_equal_z(name, "StartTimeLowerBound")) {
            rc = time_parse(value, &filters->lower_ms, NULL);
        } else if (slice_equal_z(name, "StartTimeUpperBound")) {
            rc = time_parse(value, &filters->upper_ms, NULL);
        } else if (slice_equal_z(name, "Status") && doc_has(in, M_AutoScalingGroupName)) {
            filters->status = filter;
        } else {
            rc = ERR_INVALID;
        }
        if (rc != 0) {
            return error_api(err, VALIDATION,
                             "Filter type %.*s is not correct. Allowed Filter types are: "
                             "StartTimeLowerBound StartTimeUpperBound Status",
                             SLICE_ARG(name));
        }
    }
    return 0;
}

static bool is_asked_for(const struct group *group, const struct activity *activity,
                         const struct doc *in, const struct filters *filters)
{
    if (doc_count(in, M_ActivityIds) > 0 &&
        !doc_list_contains(in, M_ActivityIds, slice_z(activity->id))) {
        return false;
    }
    return (doc_bool(in, M_IncludeDeletedGroups) || !group->deleted) &&
           activity->start_ms >= filters->lower_ms && activity->start_ms <= filters->upper_ms &&
           (filters->status == NULL ||
            doc_list_contains(filters->status, M_Values,
                              slice_z(activity_status_name(activity->status))));
}

/* An unknown group is an error, unless it may be one that was deleted. */
static int check_group(struct ctx *ctx, const struct doc *in, struct error *err)
{
    struct group *group;

    if (!doc_has(in, M_AutoScalingGroupName) || doc_bool(in, M_IncludeDeletedGroups)) {
        return 0;
    }
    return group_require(ctx, doc_z(in, M_AutoScalingGroupName), &group, err);
}

int autoscaling_describe_scaling_activities(struct ctx *ctx, const struct doc *in, struct doc *out,
                                            struct error *err)
{
    const struct autoscaling *service = ctx->control->autoscaling;
    struct page_request request = {"DescribeScalingActivities", 100, 100, NULL, 0};
    struct slice name = doc_text(in, M_AutoScalingGroupName);
    struct filters filters;
    struct found *found;
    const char **ids;
    size_t total = 0, from, to;
    int rc = check_group(ctx, in, err);

    rc = rc != 0 ? rc : read_filters(in, &filters, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < service->groups_count; i++) {
        total += service->groups[i]->world.activities_count;
    }
    found = arena_calloc(ctx->arena, total + 1, sizeof(*found));
    ids = arena_calloc(ctx->arena, total + 1, sizeof(*ids));
    for (size_t i = 0; i < service->groups_count; i++) {
        const struct group *group = service->groups[i];

        for (size_t j = 0; j < group->world.activities_count; j++) {
            const struct activity *activity = &group->world.activities[j];

            if ((name.bytes == 0 || slice_equal_z(name, group->world.name)) &&
                is_asked_for(group, activity, in, &filters)) {
                found[request.count] = (struct found){group, activity, request.count};
                request.count++;
            }
        }
    }
    qsort(found, request.count, sizeof(*found), by_time);
    for (size_t i = 0; i < request.count; i++) {
        ids[i] = found[i].activity->id;
    }
    request.keys = ids;
    rc = page_choose(ctx, in, out, &request, &from, &to, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_Activities);
    for (size_t i = from; i < to; i++) {
        describe_activity(ctx, found[i].group, found[i].activity,
                          doc_add_struct(out, M_Activities));
    }
    return 0;
}
