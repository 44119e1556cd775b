/* What instances use, as CloudWatch's metrics: sampled every 5 seconds of muster's clock and
 * published at once, by InstanceId and by AutoScalingGroupName, so that a scaling policy can be
 * rehearsed quickly. With --metric-resolution aws published at AWS's own 60 s (detailed monitoring)
 * or 300 s instead.
 *
 * CPUUtilization is relative to the instance's quota, clipped to 100. Instances that are still
 * warming up do not count for their group.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html */
#include "services/ec2/private.h"

#include "compute/compute.h"
#include "services/cloudwatch/cloudwatch.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_MS 5000
#define DETAILED_MS (60LL * 1000)
#define BASIC_MS (300LL * 1000)
#define CHECKS_MS (60LL * 1000) /* Of either. */
#define NS_PER_MS 1000000.0

/* A statistic set in the making. */
struct set {
    double count, sum, minimum, maximum;
};

struct sample {
    char id[COMPUTE_ID_BYTES];
    struct compute_usage last;
    int64_t last_boot_ms; /* Real time. 0: no baseline. */
    int64_t checked_ms;   /* The minute whose checks were published. */
    int64_t period_ms;    /* With AWS's resolution: what is being collected. */
    struct set cpu, received, sent;
};

struct samples {
    struct map by_instance;
    struct control_timer *timer;
};

static void set_add(struct set *set, double value)
{
    set->minimum = set->count == 0 || value < set->minimum ? value : set->minimum;
    set->maximum = set->count == 0 || value > set->maximum ? value : set->maximum;
    set->count++;
    set->sum += value;
}

static void put(struct control *control, const char *dimension, const char *value,
                const char *metric, const char *unit, int64_t time_ms, const struct set *set)
{
    const struct cloudwatch_dimension dimensions[] = {{dimension, value}};
    const struct cloudwatch_datum datum = {.namespace = "AWS/EC2",
                                           .name = metric,
                                           .dimensions = dimensions,
                                           .dimension_count = 1,
                                           .unit = unit,
                                           .time_ms = time_ms,
                                           .count = set->count,
                                           .sum = set->sum,
                                           .minimum = set->minimum,
                                           .maximum = set->maximum};

    if (set->count > 0) {
        cloudwatch_put(control, &datum);
    }
}

/* The group that the instance's metrics count for; NULL: none, or not yet. */
static const char *metrics_group(const struct control *control, const struct ec2_instance *instance)
{
    const struct ec2 *ec2 = control->ec2;
    const char *group = ec2_instance_tag(control, instance, "aws:autoscaling:groupName");

    if (group != NULL && ec2->warming != NULL &&
        ec2->warming(control, ec2->warming_data, group, instance->id)) {
        return NULL;
    }
    return group;
}

static void publish(struct control *control, const struct ec2_instance *instance,
                    struct sample *sample, int64_t time_ms)
{
    const char *group = metrics_group(control, instance);
    const struct {
        const char *metric, *unit;
        const struct set *set;
    } rows[] = {
        {"CPUUtilization", "Percent", &sample->cpu},
        {"NetworkIn", "Bytes", &sample->received},
        {"NetworkOut", "Bytes", &sample->sent},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        put(control, "InstanceId", instance->id, rows[i].metric, rows[i].unit, time_ms,
            rows[i].set);
        if (group != NULL) {
            put(control, "AutoScalingGroupName", group, rows[i].metric, rows[i].unit, time_ms,
                rows[i].set);
        }
    }
    sample->cpu = sample->received = sample->sent = (struct set){0};
}

/* One for each of AWS's three: a check fails here only while the instance is not reachable at the
 * driver, and then there is no sample. */
static void publish_checks(struct control *control, const struct ec2_instance *instance,
                           int64_t time_ms)
{
    static const char *const metrics[] = {"StatusCheckFailed", "StatusCheckFailed_Instance",
                                          "StatusCheckFailed_System"};
    const struct set passed = {.count = 1};

    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        put(control, "InstanceId", instance->id, metrics[i], "Count", time_ms, &passed);
    }
}

static double quota_cores(const struct control *control, const struct ec2_instance *instance)
{
    const struct instance_type *type = instance_type_find(instance->type);

    return (double)(type == NULL ? 1 : type->vcpus) * control->options.vcpu_share;
}

/* Collect what was used since the last look; false when there is nothing to compare with yet. */
static bool measure(const struct control *control, const struct ec2_instance *instance,
                    struct sample *sample)
{
    struct compute *compute = control->compute;
    struct compute_usage now;
    int64_t boot_ms = time_boot_ms();
    double percent, elapsed_ns;

    if (compute->driver->usage(compute, instance->id, &now, NULL) != 0) {
        sample->last_boot_ms = 0;
        return false;
    }
    if (sample->last_boot_ms == 0 || now.cpu_ns < sample->last.cpu_ns ||
        boot_ms <= sample->last_boot_ms) { /* New, or started again. */
        sample->last = now;
        sample->last_boot_ms = boot_ms;
        return false;
    }
    elapsed_ns = (double)(boot_ms - sample->last_boot_ms) * NS_PER_MS;
    percent = (double)(now.cpu_ns - sample->last.cpu_ns) * 100 /
              (elapsed_ns * quota_cores(control, instance));
    set_add(&sample->cpu, percent > 100 ? 100 : percent);
    set_add(&sample->received,
            (double)max_i64(now.received_bytes - sample->last.received_bytes, 0));
    set_add(&sample->sent, (double)max_i64(now.sent_bytes - sample->last.sent_bytes, 0));
    sample->last = now;
    sample->last_boot_ms = boot_ms;
    return true;
}

static struct sample *sample_of(struct samples *samples, const char *id)
{
    struct sample *sample = map_get_z(&samples->by_instance, id);

    if (sample == NULL) {
        sample = mem_calloc(1, sizeof(*sample));
        snprintf(sample->id, sizeof(sample->id), "%s", id);
        map_put(&samples->by_instance, slice_z(id), sample);
    }
    return sample;
}

static void forget(struct samples *samples, const char *id)
{
    free(map_remove(&samples->by_instance, slice_z(id)));
}

/* With AWS's resolution a period is published when the next one has begun, under its own start. */
static void look_at(struct ctx *ctx, const struct ec2_instance *instance, struct sample *sample)
{
    bool aws = ctx->control->options.metric_resolution_aws;
    int64_t period_ms = instance->monitoring ? DETAILED_MS : BASIC_MS;
    int64_t begin_ms = ctx->now_ms - ctx->now_ms % period_ms;
    int64_t minute_ms = ctx->now_ms - ctx->now_ms % CHECKS_MS;
    bool measured;

    if (aws && sample->period_ms != begin_ms) {
        if (sample->period_ms != 0) {
            publish(ctx->control, instance, sample, sample->period_ms);
        }
        sample->period_ms = begin_ms;
    }
    measured = measure(ctx->control, instance, sample);
    if (measured && !aws) {
        publish(ctx->control, instance, sample, ctx->now_ms);
    }
    if (measured && sample->checked_ms != minute_ms) {
        sample->checked_ms = minute_ms;
        publish_checks(ctx->control, instance, minute_ms);
    }
}

static void look(struct ctx *ctx, void *data)
{
    struct samples *samples = data;
    const struct ec2_instance *instance;

    for (size_t at = 0; (instance = thing_next(ctx->control, KIND_INSTANCE, &at)) != NULL;) {
        if (instance->state == EC2_RUNNING) {
            look_at(ctx, instance, sample_of(samples, instance->id));
        } else {
            forget(samples, instance->id);
        }
    }
    control_timer_at_ms(samples->timer, ctx->now_ms - ctx->now_ms % SAMPLE_MS + SAMPLE_MS);
}

void cpu_start(struct ctx *ctx)
{
    struct samples *samples = mem_calloc(1, sizeof(*samples));

    ctx->control->ec2->samples = samples;
    samples->timer = control_timer_open(ctx->control, look, samples);
    control_timer_at_ms(samples->timer, ctx->now_ms + SAMPLE_MS);
}

void cpu_close(struct ec2 *ec2)
{
    struct samples *samples = ec2->samples;
    struct sample *sample;

    if (samples == NULL) {
        return;
    }
    control_timer_close(samples->timer);
    for (size_t at = 0; (sample = map_next(&samples->by_instance, &at)) != NULL;) {
        free(sample);
    }
    map_close(&samples->by_instance);
    free(samples);
    ec2->samples = NULL;
}
