/* HAProxy's statistics and the targets' health, as CloudWatch's AWS/ApplicationELB metrics: read
 * every 5 seconds of muster's clock and published at once; with --metric-resolution aws a minute's
 * at its end. Dimensions are LoadBalancer, and TargetGroup with LoadBalancer.
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
 */
#include "services/elbv2/plane.h"

#include "services/cloudwatch/cloudwatch.h"

#include <string.h>

#define TICK_MS 5000
#define AWS_PERIOD_MS 60000
#define GROUPS_PER_BALANCER_MAX 100 /* AWS's quota. */

/* What has come since the last reading. */
struct traffic {
    struct balancer_counters counters;
    double response_s; /* Of all requests together. */
};

struct reading {
    struct plane *plane;
    struct elbv2 *elbv2;
    struct load_balancer *balancer;
    struct traffic clients, targets; /* Frontends; servers of all groups. */
    int64_t active;
    struct {
        const struct target_group *group;
        struct traffic traffic;
    } shares[GROUPS_PER_BALANCER_MAX];
    size_t share_count;
};

static void traffic_add(struct traffic *to, const struct balancer_counters *grown,
                        double response_s)
{
    to->counters.requests += grown->requests;
    to->counters.sessions += grown->sessions;
    to->counters.bytes_in += grown->bytes_in;
    to->counters.bytes_out += grown->bytes_out;
    to->counters.connect_errors += grown->connect_errors;
    to->counters.refused += grown->refused;
    for (size_t i = 0; i < COUNT_OF(grown->status); i++) {
        to->counters.status[i] += grown->status[i];
    }
    to->response_s += response_s;
}

/* Publishing. */

struct subject {
    struct control *control;
    struct cloudwatch_dimension dimensions[2];
    size_t dimension_count;
    int64_t time_ms;
};

static struct subject subject_of(struct control *control, const struct load_balancer *balancer,
                                 const struct target_group *group, int64_t time_ms)
{
    struct subject subject = {.control = control, .time_ms = time_ms};

    if (group != NULL) {
        subject.dimensions[subject.dimension_count++] =
            (struct cloudwatch_dimension){"TargetGroup", group->path};
    }
    subject.dimensions[subject.dimension_count++] =
        (struct cloudwatch_dimension){"LoadBalancer", balancer->path};
    return subject;
}

static void put_value(const struct subject *subject, const char *metric, const char *unit,
                      double value)
{
    cloudwatch_put_value(subject->control, "AWS/ApplicationELB", metric, subject->dimensions,
                         subject->dimension_count, unit, subject->time_ms, value);
}

/* @count samples that are alike. */
static void put_samples(const struct subject *subject, const char *metric, const char *unit,
                        int64_t count, double value)
{
    const struct cloudwatch_datum datum = {.namespace = "AWS/ApplicationELB",
                                           .name = metric,
                                           .dimensions = subject->dimensions,
                                           .dimension_count = subject->dimension_count,
                                           .unit = unit,
                                           .time_ms = subject->time_ms,
                                           .count = (double)count,
                                           .sum = value * (double)count,
                                           .minimum = value,
                                           .maximum = value};

    if (count > 0) { /* AWS reports nothing rather than 0. */
        cloudwatch_put(subject->control, &datum);
    }
}

static void put_targets(const struct subject *subject, const struct traffic *traffic)
{
    static const char *const codes[] = {"HTTPCode_Target_2XX_Count", "HTTPCode_Target_3XX_Count",
                                        "HTTPCode_Target_4XX_Count", "HTTPCode_Target_5XX_Count"};
    int64_t requests = traffic->counters.requests;

    if (requests == 0) {
        put_value(subject, "RequestCount", "Count", 0); /* This one always. */
    }
    put_samples(subject, "RequestCount", "Count", requests, 1);
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        put_samples(subject, codes[i], "Count", traffic->counters.status[i + 2], 1);
    }
    if (requests > 0) {
        put_samples(subject, "TargetResponseTime", "Seconds", requests,
                    traffic->response_s / (double)requests);
    }
    put_samples(subject, "TargetConnectionErrorCount", "Count", traffic->counters.connect_errors,
                1);
}

/* What clients got and no target answered, the balancer has made itself. */
static void put_clients(const struct subject *subject, const struct reading *reading)
{
    static const char *const codes[] = {"HTTPCode_ELB_3XX_Count", "HTTPCode_ELB_4XX_Count",
                                        "HTTPCode_ELB_5XX_Count"};
    const struct balancer_counters *clients = &reading->clients.counters;

    put_value(subject, "ActiveConnectionCount", "Count", (double)reading->active);
    put_samples(subject, "NewConnectionCount", "Count", clients->sessions, 1);
    put_samples(subject, "RejectedConnectionCount", "Count", clients->refused, 1);
    if (clients->bytes_in + clients->bytes_out > 0) {
        put_value(subject, "ProcessedBytes", "Bytes",
                  (double)(clients->bytes_in + clients->bytes_out));
    }
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        put_samples(subject, codes[i], "Count",
                    clients->status[i + 3] - reading->targets.counters.status[i + 3], 1);
    }
}

static size_t count_targets(const struct target_group *group, enum elbv2_target_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < group->targets_count; i++) {
        count += group->targets[i]->shown == state;
    }
    return count;
}

static void publish(const struct reading *reading)
{
    struct control *control = reading->elbv2->control;
    int64_t time_ms = reading->plane->read_ms;
    struct subject subject = subject_of(control, reading->balancer, NULL, time_ms);

    put_clients(&subject, reading);
    put_targets(&subject, &reading->targets);
    for (size_t i = 0; i < reading->share_count; i++) {
        const struct target_group *group = reading->shares[i].group;
        const struct traffic *traffic = &reading->shares[i].traffic;
        size_t healthy = count_targets(group, ELBV2_HEALTHY);

        subject = subject_of(control, reading->balancer, group, time_ms);
        put_targets(&subject, traffic);
        if (healthy > 0) {
            put_value(&subject, "RequestCountPerTarget", "Count",
                      (double)traffic->counters.requests / (double)healthy);
        }
    }
}

/* Reading. */

static void take_row(void *data, const struct balancer_row *row)
{
    struct reading *reading = data;
    struct balancer_counters grown;
    double response_s;

    balancer_totals_take(&reading->plane->totals, row, &grown);
    if (row->type == BALANCER_ROW_FRONTEND) {
        traffic_add(&reading->clients, &grown, 0);
        reading->active += row->sessions_now;
        return;
    }
    if (row->type != BALANCER_ROW_SERVER) {
        return; /* A backend's are its servers' and the frontend's once more. */
    }
    response_s = (double)row->response_time_ms / 1000 * (double)grown.requests;
    traffic_add(&reading->targets, &grown, response_s);
    for (size_t i = 0; i < reading->share_count; i++) {
        const char *path = reading->shares[i].group->path;

        /* "tg-<16 hex>", of "targetgroup/NAME/16 hex". */
        if (slice_equal_z(slice_sub(row->proxy, 3, row->proxy.bytes), strrchr(path, '/') + 1)) {
            traffic_add(&reading->shares[i].traffic, &grown, response_s);
        }
    }
}

static void on_stat(void *data, struct slice answer, const struct error *err)
{
    struct plane *plane = data; /* Its socket calls back only while it lives. */
    struct elbv2 *elbv2 = plane->control->elbv2;
    struct reading reading = {.plane = plane, .elbv2 = elbv2};
    const struct target_group *group;

    reading.balancer = map_get_z(&elbv2->balancers, plane->balancer);
    if (err != NULL || reading.balancer == NULL) {
        return; /* At the next tick again: nothing was taken yet. */
    }
    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        if (elb_group_balancer(elbv2, group->arn) == reading.balancer &&
            reading.share_count < COUNT_OF(reading.shares)) {
            reading.shares[reading.share_count++].group = group;
        }
    }
    if (balancer_stat_parse(answer, take_row, &reading, NULL) == 0) {
        publish(&reading);
    }
}

static void read_traffic(struct elbv2 *elbv2, int64_t time_ms)
{
    struct load_balancer *balancer;

    for (size_t at = 0; (balancer = map_next(&elbv2->balancers, &at)) != NULL;) {
        struct plane *plane = balancer->plane;

        /* Before it is known, its counters may be those of long ago. */
        if (plane != NULL && plane->known && plane->socket != NULL) {
            plane->read_ms = time_ms;
            balancer_socket_send(plane->socket, "show stat", on_stat, plane);
        }
    }
}

static void publish_health(struct elbv2 *elbv2, int64_t time_ms)
{
    const struct target_group *group;

    for (size_t at = 0; (group = map_next(&elbv2->groups, &at)) != NULL;) {
        const struct load_balancer *balancer = elb_group_balancer(elbv2, group->arn);

        if (balancer != NULL && group->targets_count > 0) {
            struct subject subject = subject_of(elbv2->control, balancer, group, time_ms);

            put_value(&subject, "HealthyHostCount", "Count",
                      (double)count_targets(group, ELBV2_HEALTHY));
            put_value(&subject, "UnHealthyHostCount", "Count",
                      (double)count_targets(group, ELBV2_UNHEALTHY));
        }
    }
}

void elb_metrics_tick(struct ctx *ctx, void *data)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    bool aws = ctx->control->options.metric_resolution_aws;
    int64_t period_ms = aws ? AWS_PERIOD_MS : TICK_MS;
    int64_t begin_ms = ctx->now_ms - ctx->now_ms % period_ms;

    (void)data;
    plane_sync_all(ctx->control); /* What an earlier failure left. */
    if (elbv2->metrics_ms != begin_ms) {
        /* A period is published under its own start, once the next one has begun. */
        int64_t time_ms = aws ? begin_ms - AWS_PERIOD_MS : ctx->now_ms;

        elbv2->metrics_ms = begin_ms;
        read_traffic(elbv2, time_ms);
        publish_health(elbv2, time_ms);
    }
    control_timer_at_ms(elbv2->metrics, ctx->now_ms - ctx->now_ms % TICK_MS + TICK_MS);
}
