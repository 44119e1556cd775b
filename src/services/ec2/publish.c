/* Public addresses are never bound on the host: a HAProxy in TCP mode in the VPC's namespace
 * forwards what security groups open to everybody. Clients on this host count as the internet, so
 * only rules for 0.0.0.0/0 matter. A rule of up to 16 ports publishes them all, a wider one the
 * usual ports of its range; at most 256 of a VPC, port 22 of every instance first. */
#include "services/ec2/private.h"

#include "balancer/config.h"
#include "base/log.h"
#include "compute/compute.h"

#include <stdlib.h>
#include <string.h>

#define NARROW_PORTS_MAX 16
#define FD_FIRST 100
#define CONNECTIONS_MAX 2000

struct forward {
    const struct ec2_instance *instance;
    int32_t port;
};

struct forwards {
    struct forward items[COMPUTE_LISTENERS_MAX];
    size_t count;
    bool cut;
};

/* The order in which ports get a place: each is tried for every instance before the next. */
static const int32_t usual_ports[] = {22, 80, 443, 8000};
#define USUAL_FIRST 8001
#define USUAL_LAST 8099

static bool open_to_all(const struct rule *rule)
{
    return !rule->egress && rule->cidr != NULL && strcmp(rule->cidr, "0.0.0.0/0") == 0 &&
           (strcmp(rule->protocol, "tcp") == 0 || strcmp(rule->protocol, "-1") == 0);
}

static int64_t first_port(const struct rule *rule)
{
    return rule->from < 1 ? 1 : rule->from;
}

static int64_t last_port(const struct rule *rule)
{
    return rule->from == -1 && rule->to == -1 ? 65535 : rule->to;
}

/* Is one of the ports @first to @last? */
static bool is_open(const struct control *control, const struct ec2_instance *instance,
                    int32_t first, int32_t last)
{
    const struct ec2_interface *interface = instance_interface(control, instance);

    for (size_t i = 0; interface != NULL && i < interface->groups_count; i++) {
        const struct group *group = thing_get(control, KIND_GROUP, interface->groups[i]);

        for (size_t j = 0; group != NULL && j < group->rules_count; j++) {
            const struct rule *rule = &group->rules[j];

            if (open_to_all(rule) && last >= first_port(rule) && first <= last_port(rule)) {
                return true;
            }
        }
    }
    return false;
}

static void add(struct forwards *to, const struct ec2_instance *instance, int64_t port)
{
    for (size_t i = 0; i < to->count; i++) {
        if (to->items[i].instance == instance && to->items[i].port == port) {
            return;
        }
    }
    if (to->count == COMPUTE_LISTENERS_MAX) {
        to->cut = true;
        return;
    }
    to->items[to->count++] = (struct forward){instance, (int32_t)port};
}

/* Has an address that the internet reaches, and a rule that lets it in. */
static bool is_published(const struct control *control, const struct ec2_instance *instance,
                         const char *vpc)
{
    bool up = instance->state == EC2_PENDING || instance->state == EC2_RUNNING;
    const struct ec2_subnet *subnet;

    if (!up || instance->public_address == NULL || instance->address == NULL ||
        strcmp(instance->vpc, vpc) != 0 || !is_open(control, instance, 1, UINT16_MAX)) {
        return false;
    }
    subnet = ec2_subnet_find(control, instance->subnet);
    return subnet != NULL && ec2_subnet_is_public(control, subnet);
}

static void add_narrow(const struct control *control, const struct ec2_instance *instance,
                       struct forwards *to)
{
    const struct ec2_interface *interface = instance_interface(control, instance);

    for (size_t i = 0; interface != NULL && i < interface->groups_count; i++) {
        const struct group *group = thing_get(control, KIND_GROUP, interface->groups[i]);

        for (size_t j = 0; group != NULL && j < group->rules_count; j++) {
            const struct rule *rule = &group->rules[j];

            if (open_to_all(rule) && last_port(rule) - first_port(rule) < NARROW_PORTS_MAX) {
                for (int64_t port = first_port(rule); port <= last_port(rule); port++) {
                    add(to, instance, port);
                }
            }
        }
    }
}

static void add_port(const struct control *control, const struct ec2_instance *const *published,
                     int32_t port, struct forwards *to)
{
    for (; *published != NULL && !to->cut; published++) {
        if (is_open(control, *published, port, port)) {
            add(to, *published, port);
        }
    }
}

static void collect(const struct control *control, const char *vpc, struct forwards *to)
{
    const struct ec2_instance **published = NULL, *instance;
    size_t count = 0, room = 0;

    for (size_t at = 0; (instance = thing_next(control, KIND_INSTANCE, &at)) != NULL;) {
        if (is_published(control, instance, vpc)) {
            published = mem_grow(published, count, &room, sizeof(struct ec2_instance *));
            published[count++] = instance;
        }
    }
    if (count == 0) {
        return;
    }
    published = mem_grow(published, count, &room, sizeof(struct ec2_instance *));
    published[count] = NULL;
    for (size_t i = 0; i < COUNT_OF(usual_ports); i++) {
        add_port(control, published, usual_ports[i], to);
    }
    for (size_t i = 0; i < count && !to->cut; i++) {
        add_narrow(control, published[i], to);
    }
    for (int32_t port = USUAL_FIRST; port <= USUAL_LAST; port++) {
        add_port(control, published, port, to);
    }
    free(published);
}

static uint64_t fingerprint(const struct forwards *forwards)
{
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a; never 0 in practice: 0 is "nothing". */

    for (size_t i = 0; i < forwards->count; i++) {
        const struct forward *forward = &forwards->items[i];

        for (const char *at = forward->instance->public_address; *at != '\0'; at++) {
            hash = (hash ^ (unsigned char)*at) * 0x100000001b3ULL;
        }
        for (const char *at = forward->instance->address; *at != '\0'; at++) {
            hash = (hash ^ (unsigned char)*at) * 0x100000001b3ULL;
        }
        hash = (hash ^ (uint64_t)forward->port) * 0x100000001b3ULL;
    }
    return forwards->count == 0 ? 0 : hash;
}

struct asked {
    struct control *control;
    char vpc[COMPUTE_ID_BYTES];
};

static void done(void *data, const struct error *err)
{
    struct asked *asked = data;

    if (err != NULL) {
        log_debug("publish.failed vpc=%s error=\"%s\"", asked->vpc, err->message);
        acts_unpublished(asked->control, asked->vpc);
    }
    free(asked);
}

static void ask(struct control *control, const char *vpc, const struct forwards *forwards)
{
    struct compute *compute = control->compute;
    struct compute_haproxy *wanted = mem_calloc(1, sizeof(*wanted));
    struct asked *asked = mem_calloc(1, sizeof(*asked));
    struct balancer_forward lines[COMPUTE_LISTENERS_MAX] = {0};
    char names[COMPUTE_LISTENERS_MAX][16];
    struct buf text = {0};
    const char *socket;

    asked->control = control;
    snprintf(asked->vpc, sizeof(asked->vpc), "%s", vpc);
    snprintf(wanted->id, sizeof(wanted->id), "pub-%.20s", vpc + strlen("vpc-"));
    snprintf(wanted->vpc, sizeof(wanted->vpc), "%s", vpc);
    if (forwards->count == 0) {
        compute->driver->haproxy_gone(compute, wanted->id, done, asked);
        free(wanted);
        return;
    }
    for (size_t i = 0; i < forwards->count; i++) {
        const struct forward *forward = &forwards->items[i];

        address_parse(slice_z(forward->instance->public_address), &wanted->listeners[i].address,
                      NULL);
        wanted->listeners[i].port = (uint16_t)forward->port;
        wanted->listeners[i].fd = FD_FIRST + (int32_t)i;
        snprintf(names[i], sizeof(names[i]), "p%d", (int)i);
        lines[i] = (struct balancer_forward){.name = names[i],
                                             .fd = FD_FIRST + (int)i,
                                             .address = forward->instance->address,
                                             .port = forward->port};
    }
    wanted->listener_count = forwards->count;
    wanted->reload = true;
    socket = compute->driver->haproxy_socket(compute, wanted->id);
    balancer_write_tcp(&text,
                       &(struct balancer_tcp){.socket = socket == NULL ? "/dev/null" : socket,
                                              .connections_max = CONNECTIONS_MAX,
                                              .forwards = lines,
                                              .forward_count = forwards->count});
    wanted->config = buf_slice(&text);
    compute->driver->haproxy(compute, wanted, done, asked);
    buf_close(&text);
    free(wanted);
}

void publish_vpc(struct control *control, const char *vpc, uint64_t *known)
{
    struct forwards *forwards;
    uint64_t now;

    if (ec2_vpc_find(control, vpc) == NULL) {
        *known = 0; /* The network took its HAProxy along. */
        return;
    }
    forwards = mem_calloc(1, sizeof(*forwards));
    collect(control, vpc, forwards);
    now = fingerprint(forwards);
    if (now != *known) {
        *known = now;
        if (forwards->cut) {
            log_warn("publish.cut vpc=%s ports=%d", vpc, COMPUTE_LISTENERS_MAX);
        }
        ask(control, vpc, forwards);
    }
    free(forwards);
}
