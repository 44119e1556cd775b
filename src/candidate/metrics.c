#include "candidate/metrics.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const double bounds_s[METRICS_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                 0.05,   0.1,   0.25,   0.5,   1,    5};

/* Few and asked for at every request: a list is walked faster than a text for a map is made. */
struct counter {
    struct counter *next;
    enum route route; /* Of requests. */
    const char *method;
    int status;
    const char *operation; /* Of the store. */
    char *outcome;
    uint64_t count;
};

static void close_counters(struct counter **list)
{
    while (*list != NULL) {
        struct counter *counter = *list;

        *list = counter->next;
        free(counter->outcome);
        free(counter);
    }
}

void metrics_close(struct metrics *metrics)
{
    close_counters(&metrics->requests);
    close_counters(&metrics->store);
}

static struct counter *add_counter(struct counter **end, struct counter start)
{
    struct counter *counter = mem_calloc(1, sizeof(*counter));

    *counter = start;
    *end = counter;
    return counter;
}

/* Whatever a client may send as a method must not become a label of its own. */
static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(method, known[i]) == 0) {
            return known[i];
        }
    }
    return "other";
}

void metrics_request(struct metrics *metrics, enum route route, const char *method, int status,
                     double seconds)
{
    struct metrics_histogram *histogram = &metrics->durations[route];
    struct counter **at = &metrics->requests;

    method = known_method(method);
    while (*at != NULL &&
           ((*at)->route != route || (*at)->status != status || (*at)->method != method)) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        add_counter(at, (struct counter){.route = route, .method = method, .status = status});
    }
    (*at)->count++;
    histogram->count++;
    histogram->sum_s += seconds;
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        if (seconds <= bounds_s[i]) {
            histogram->buckets[i]++;
            break;
        }
    }
}

void metrics_store(struct metrics *metrics, const char *operation, const char *outcome)
{
    struct counter **at = &metrics->store;

    while (*at != NULL &&
           (strcmp((*at)->operation, operation) != 0 || strcmp((*at)->outcome, outcome) != 0)) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        add_counter(at, (struct counter){.operation = operation, .outcome = mem_strdup(outcome)});
    }
    (*at)->count++;
}

static void head(struct buf *text, const char *name, const char *type, const char *help)
{
    buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_histogram(struct buf *text, enum route route, const struct metrics_histogram *all)
{
    uint64_t below = 0;

    if (all->count == 0) {
        return;
    }
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        below += all->buckets[i];
        buf_printf(
            text, "candidate_request_duration_seconds_bucket{route=\"%s\",le=\"%g\"} %" PRIu64 "\n",
            route_name(route), bounds_s[i], below);
    }
    buf_printf(text,
               "candidate_request_duration_seconds_bucket{route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
               "candidate_request_duration_seconds_sum{route=\"%s\"} %.6f\n"
               "candidate_request_duration_seconds_count{route=\"%s\"} %" PRIu64 "\n",
               route_name(route), all->count, route_name(route), all->sum_s, route_name(route),
               all->count);
}

static void add_label(struct buf *text, const char *name, const char *value)
{
    buf_printf(text, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\') {
            buf_add_byte(text, '\\');
        }
        buf_add_byte(text, *value == '\n' ? ' ' : *value);
    }
    buf_add_byte(text, '"');
}

void metrics_text(const struct metrics *metrics, const struct metrics_now *now, struct buf *text)
{
    head(text, "candidate_info", "gauge", "Version, instance and table.");
    buf_add_z(text, "candidate_info{");
    add_label(text, "version", now->version);
    buf_add_byte(text, ',');
    add_label(text, "instance_id", now->instance_id);
    buf_add_byte(text, ',');
    add_label(text, "table", now->table);
    buf_add_z(text, "} 1\n");
    head(text, "candidate_requests_total", "counter", "Requests answered.");
    for (const struct counter *one = metrics->requests; one != NULL; one = one->next) {
        buf_printf(text,
                   "candidate_requests_total{route=\"%s\",method=\"%s\",code=\"%d\"} %" PRIu64 "\n",
                   route_name(one->route), one->method, one->status, one->count);
    }
    head(text, "candidate_request_duration_seconds", "histogram",
         "From the request's arrival to its answer.");
    for (int route = 0; route < ROUTE_COUNT; route++) {
        add_histogram(text, (enum route)route, &metrics->durations[route]);
    }
    head(text, "candidate_store_requests_total", "counter", "Calls to DynamoDB.");
    for (const struct counter *one = metrics->store; one != NULL; one = one->next) {
        buf_printf(text,
                   "candidate_store_requests_total{operation=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                   one->operation, one->outcome, one->count);
    }
    head(text, "candidate_rejected_total", "counter", "Requests refused because of a full queue.");
    buf_printf(text, "candidate_rejected_total %" PRIu64 "\n", metrics->rejected);
    head(text, "candidate_in_flight", "gauge", "Requests that wait for DynamoDB.");
    buf_printf(text, "candidate_in_flight %zu\n", now->in_flight);
    head(text, "candidate_draining", "gauge", "1 after SIGTERM.");
    buf_printf(text, "candidate_draining %d\n", now->draining);
}
