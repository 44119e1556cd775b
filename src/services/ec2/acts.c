/* From what should be to what is: after each commit the compute driver is asked for the end state
 * that memory then says, and its answers and news move the instances on.
 *
 * Asking is repeatable, so nothing is remembered over a restart: at the start everything is asked
 * for again and what the driver has without us wanting it is removed. An instance waits for its
 * VPC's network. What fails is asked for again by a timer. */
#include "services/ec2/private.h"

#include "base/log.h"
#include "compute/compute.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 5000
#define BOOT_MS 20000 /* Real time. */
#define GIB (1024LL * 1024 * 1024)

/* One VPC's network at the driver. */
struct net {
    char id[COMPUTE_ID_BYTES];
    bool asking; /* A request is under way. */
    bool again;  /* Memory changed meanwhile. */
    bool there;  /* It was made once since the start. */
    bool failed;
    uint64_t published; /* What publish_vpc() last asked for. */
    char **waiting;     /* Instances that start when it is there. */
    size_t waiting_count, waiting_room;
};

struct acts {
    struct control *control;
    struct map nets;
    struct asked *asked; /* All that the driver has not answered yet. */
    struct control_timer *retry;
};

/* What a request's done function needs. */
struct asked {
    struct asked *next, **link;
    struct acts *acts;
    char id[COMPUTE_ID_BYTES];
    enum compute_state state;
    char reason[256]; /* "" when it went well. */
};

static void ask_instance(struct acts *acts, const char *id);
static void ask_vpc(struct acts *acts, struct net *net);

static struct asked *asked_new(struct acts *acts, const char *id)
{
    struct asked *asked = mem_calloc(1, sizeof(*asked));

    asked->acts = acts;
    snprintf(asked->id, sizeof(asked->id), "%s", id);
    asked->next = acts->asked;
    asked->link = &acts->asked;
    if (acts->asked != NULL) {
        acts->asked->link = &asked->next;
    }
    acts->asked = asked;
    return asked;
}

static void asked_free(struct asked *asked)
{
    *asked->link = asked->next;
    if (asked->next != NULL) {
        asked->next->link = asked->link;
    }
    free(asked);
}

static bool failed(struct asked *asked, const char *what, const struct error *err)
{
    if (err == NULL) {
        return false;
    }
    snprintf(asked->reason, sizeof(asked->reason), "%.250s", err->message);
    log_warn("%s.failed id=%s error=%s", what, asked->id, err->message);
    return true;
}

/* Networks. */

static void copy_id(char to[COMPUTE_ID_BYTES], const char *id)
{
    snprintf(to, COMPUTE_ID_BYTES, "%s", id);
}

static void start_waiting(struct acts *acts, struct net *net)
{
    char **waiting = net->waiting;
    size_t count = net->waiting_count;

    net->waiting = NULL;
    net->waiting_count = net->waiting_room = 0;
    for (size_t i = 0; i < count; i++) {
        ask_instance(acts, waiting[i]);
        free(waiting[i]);
    }
    free(waiting);
}

static void vpc_done(void *data, const struct error *err)
{
    struct asked *asked = data;
    struct acts *acts = asked->acts;
    struct net *net = map_get_z(&acts->nets, asked->id);

    if (net != NULL) {
        net->asking = false;
        net->failed = failed(asked, "vpc", err);
        net->there |= !net->failed;
        if (net->again) {
            ask_vpc(acts, net);
        } else if (!net->failed) {
            publish_vpc(acts->control, net->id, &net->published);
            start_waiting(acts, net);
        }
    }
    asked_free(asked);
}

static void ask_vpc(struct acts *acts, struct net *net)
{
    struct compute *compute = acts->control->compute;
    const struct ec2_vpc *vpc = ec2_vpc_find(acts->control, net->id);
    struct compute_vpc *wanted;

    net->asking = true;
    net->again = false;
    if (vpc == NULL) {
        net->there = false;
        compute->driver->vpc_gone(compute, net->id, vpc_done, asked_new(acts, net->id));
        return;
    }
    wanted = network_describe(acts->control, vpc);
    compute->driver->vpc(compute, wanted, vpc_done, asked_new(acts, net->id));
    network_free(wanted);
}

static struct net *net_of(struct acts *acts, const char *id)
{
    struct net *net = map_get_z(&acts->nets, id);

    if (net == NULL) {
        net = mem_calloc(1, sizeof(*net));
        copy_id(net->id, id);
        map_put(&acts->nets, slice_z(id), net);
    }
    return net;
}

static void sync_vpc(struct acts *acts, const char *id)
{
    struct net *net = net_of(acts, id);

    if (net->asking) {
        net->again = true;
    } else {
        ask_vpc(acts, net);
    }
}

/* Instances. */

static enum compute_state wanted_state(const struct ec2_instance *instance)
{
    switch (instance->state) {
    case EC2_PENDING:
    case EC2_RUNNING:
        return COMPUTE_RUNNING;
    case EC2_STOPPING:
    case EC2_STOPPED:
        return COMPUTE_STOPPED;
    case EC2_SHUTTING_DOWN:
    case EC2_TERMINATED:
    case EC2_STATES:
        break;
    }
    return COMPUTE_GONE;
}

static void parse_mac(const char *text, uint8_t mac[6])
{
    unsigned bytes[6] = {0};

    if (text != NULL && sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2],
                               &bytes[3], &bytes[4], &bytes[5]) == 6) {
        for (size_t i = 0; i < 6; i++) {
            mac[i] = (uint8_t)bytes[i];
        }
    }
}

static int64_t disk_gib(const struct control *control, const struct ec2_instance *instance)
{
    const struct volume *volume;
    int64_t gib = 0;

    for (size_t i = 0; (volume = volume_of(control, instance->id, i)) != NULL; i++) {
        gib += volume->size_gib;
    }
    return gib == 0 ? 8 : gib;
}

static void describe_instance(const struct control *control, const struct ec2_instance *instance,
                              struct compute_instance *to)
{
    const struct instance_type *type = instance_type_find(instance->type);
    const struct ec2_subnet *subnet = ec2_subnet_find(control, instance->subnet);

    *to = (struct compute_instance){0};
    copy_id(to->id, instance->id);
    copy_id(to->vpc, instance->vpc);
    copy_id(to->image, instance->image);
    if (instance->address != NULL) {
        address_parse(slice_z(instance->address), &to->address, NULL);
    }
    if (subnet != NULL) {
        network_parse(slice_z(subnet->cidr), &to->subnet, NULL);
    }
    parse_mac(instance->mac, to->mac);
    to->cpu_millicores =
        (int32_t)((double)(type == NULL ? 1 : type->vcpus) * control->options.vcpu_share * 1000);
    to->memory_bytes = (type == NULL ? 1024 : type->memory_mib) * 1024 * 1024;
    to->disk_bytes = disk_gib(control, instance) * GIB;
}

/* Reached a state: by our asking or by itself. */
static void arrived(struct ctx *ctx, void *data)
{
    struct asked *news = data;
    struct ec2_instance *instance = instance_get(ctx->control, news->id);

    if (instance == NULL) {
        return;
    }
    switch (news->state) {
    case COMPUTE_RUNNING:
        instance_is_running(ctx, instance);
        break;
    case COMPUTE_STOPPED:
        instance_is_stopped(ctx, instance);
        break;
    case COMPUTE_GONE:
        instance_is_gone(ctx, instance, news->reason);
        break;
    }
}

/* A start that fails ends the instance, as on AWS; a stop or end is tried again. */
static void start_failed(struct ctx *ctx, void *data)
{
    struct asked *asked = data;
    struct ec2_instance *instance = instance_get(ctx->control, asked->id);

    if (asked->state == COMPUTE_RUNNING && instance != NULL && instance->state == EC2_PENDING) {
        instance_reason(instance, "Server.InternalError", asked->reason);
        instance_terminate(ctx, instance);
    }
}

/* That init runs is no sign of life yet: the driver's event is one, or a request for metadata. An
 * image that asks for none is running after BOOT_MS. */
static bool has_arrived(const struct asked *asked)
{
    const struct ec2_instance *instance = ec2_instance_find(asked->acts->control, asked->id);

    return asked->state != COMPUTE_RUNNING || (instance != NULL && instance->unseen);
}

static void instance_done(void *data, const struct error *err)
{
    struct asked *asked = data;
    struct ec2_instance *instance;

    if (err == NULL && !has_arrived(asked)) {
        asked_free(asked);
        return;
    }
    if (!failed(asked, "instance", err)) {
        control_run(asked->acts->control, arrived, asked);
    } else if (err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT && err->code != ERR_BUSY) {
        control_run(asked->acts->control, start_failed, asked);
    } else if ((instance = instance_get(asked->acts->control, asked->id)) != NULL) {
        instance->unserved = true; /* At the next retry(). */
    }
    asked_free(asked);
}

static void ask_instance(struct acts *acts, const char *id)
{
    struct compute *compute = acts->control->compute;
    const struct ec2_instance *instance = ec2_instance_find(acts->control, id);
    struct compute_instance wanted;
    struct asked *asked;

    if (instance == NULL) {
        return;
    }
    asked = asked_new(acts, id);
    asked->state = wanted_state(instance);
    if (asked->state == COMPUTE_RUNNING) {
        struct net *net = net_of(acts, instance->vpc);

        if (net->asking || !net->there) {
            net->waiting = mem_grow(net->waiting, net->waiting_count, &net->waiting_room,
                                    sizeof(*net->waiting));
            net->waiting[net->waiting_count++] = mem_strdup(id);
            asked_free(asked);
            if (!net->asking) {
                ask_vpc(acts, net);
            }
            return;
        }
    }
    describe_instance(acts->control, instance, &wanted);
    compute->driver->instance(compute, &wanted, asked->state, instance_done, asked);
}

/* Acts of requests. */

static void run_vpc(struct control *control, void *id)
{
    sync_vpc(control->ec2->acts, id);
}

static void run_instance(struct control *control, void *id)
{
    ask_instance(control->ec2->acts, id);
}

static void reboot_done(void *data, const struct error *err)
{
    failed(data, "reboot", err);
    asked_free(data);
}

static void run_reboot(struct control *control, void *id)
{
    control->compute->driver->reboot(control->compute, id, reboot_done,
                                     asked_new(control->ec2->acts, id));
}

static void settle_image(struct ctx *ctx, void *data)
{
    struct asked *asked = data;

    image_settled(ctx, asked->id, asked->reason[0] == '\0' ? NULL : asked->reason);
}

static void image_done(void *data, const struct error *err)
{
    struct asked *asked = data;

    failed(asked, "image", err);
    control_run(asked->acts->control, settle_image, asked);
    asked_free(asked);
}

static void run_image(struct control *control, void *id)
{
    const struct image *image = thing_get(control, KIND_IMAGE, id);

    if (image != NULL && image->source_instance != NULL) {
        control->compute->driver->image(control->compute, image->source_instance, id, image_done,
                                        asked_new(control->ec2->acts, id));
    }
}

static void run_image_gone(struct control *control, void *id)
{
    control->compute->driver->image_gone(control->compute, id, reboot_done,
                                         asked_new(control->ec2->acts, id));
}

static void act(struct ctx *ctx, ctx_act_fn *fn, const char *id)
{
    if (ctx->control->ec2->acts != NULL) { /* Not yet: the start asks for everything. */
        ctx_after_commit(ctx, fn, arena_strdup(ctx->arena, slice_z(id)));
    }
}

void act_instance(struct ctx *ctx, const char *id)
{
    act(ctx, run_instance, id);
}

void act_vpc(struct ctx *ctx, const char *id)
{
    act(ctx, run_vpc, id);
}

void act_reboot(struct ctx *ctx, const char *id)
{
    act(ctx, run_reboot, id);
}

void act_image(struct ctx *ctx, const char *id)
{
    act(ctx, run_image, id);
}

void act_image_gone(struct ctx *ctx, const char *id)
{
    act(ctx, run_image_gone, id);
}

/* News that nobody asked for. */

static void on_news(void *data, const char *id, enum compute_state state, const char *reason)
{
    struct control *control = data;
    struct asked news = {.acts = control->ec2->acts, .state = state};

    copy_id(news.id, id);
    snprintf(news.reason, sizeof(news.reason), "%.250s", reason == NULL ? "" : reason);
    control_run(control, arrived, &news);
}

/* A forwarder of ours ended; elbv2's HAProxys are elbv2's business, which is told as well. */
static void on_haproxy_ended(void *data, const char *id)
{
    struct control *control = data;
    char vpc[COMPUTE_ID_BYTES];
    struct net *net;

    if (control->ec2 == NULL || strncmp(id, "pub-", 4) != 0) {
        return;
    }
    snprintf(vpc, sizeof(vpc), "vpc-%.20s", id + 4);
    net = map_get_z(&control->ec2->acts->nets, vpc);
    if (net != NULL) {
        net->published = 0;
        publish_vpc(control, net->id, &net->published);
    }
}

void acts_unpublished(struct control *control, const char *vpc)
{
    struct net *net = control->ec2 == NULL ? NULL : map_get_z(&control->ec2->acts->nets, vpc);

    if (net != NULL) {
        net->published = 0;
    }
}

/* The start: what should be is asked for, what should not be is removed. */

static bool has_prefix(const char *id, const char *prefix)
{
    return slice_starts(slice_z(id), slice_z(prefix));
}

static void on_inventory(void *data, const struct compute_found *found, size_t count,
                         const struct error *err)
{
    struct acts *acts = data;
    struct compute *compute = acts->control->compute;

    if (err != NULL) {
        log_warn("inventory.failed error=%s", err->message);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *id = found[i].id;
        const struct ec2_instance *instance = ec2_instance_find(acts->control, id);
        struct compute_instance nothing = {0};

        if (has_prefix(id, "i-") && (instance == NULL || instance->state == EC2_TERMINATED)) {
            log_info("instance.unknown id=%s", id);
            copy_id(nothing.id, id);
            compute->driver->instance(compute, &nothing, COMPUTE_GONE, NULL, NULL);
        } else if (has_prefix(id, "vpc-") && ec2_vpc_find(acts->control, id) == NULL) {
            log_info("vpc.unknown id=%s", id);
            sync_vpc(acts, id);
        } else if (has_prefix(id, "ami-") && thing_get(acts->control, KIND_IMAGE, id) == NULL) {
            log_info("image.unknown id=%s", id);
            run_image_gone(acts->control, (void *)(uintptr_t)id);
        }
    }
}

static void ask_all(struct acts *acts)
{
    const struct ec2_vpc *vpc;
    struct ec2_instance *instance;
    const struct image *image;

    for (size_t at = 0; (vpc = thing_next(acts->control, KIND_VPC, &at)) != NULL;) {
        sync_vpc(acts, vpc->id);
    }
    for (size_t at = 0; (instance = thing_next(acts->control, KIND_INSTANCE, &at)) != NULL;) {
        if (instance->state != EC2_TERMINATED) {
            instance->unseen = instance->state == EC2_PENDING;
            ask_instance(acts, instance->id);
        }
    }
    for (size_t at = 0; (image = thing_next(acts->control, KIND_IMAGE, &at)) != NULL;) {
        if (image->state == IMAGE_PENDING) {
            run_image(acts->control, image->id);
        }
    }
    acts->control->compute->driver->inventory(acts->control->compute, on_inventory, acts);
}

static void begin(struct control *control, void *data)
{
    (void)control;
    ask_all(data);
}

/* What has not come to its end is asked for again. */
static void retry(struct ctx *ctx, void *data)
{
    struct acts *acts = data;
    struct ec2_instance *instance;
    struct net *net;

    for (size_t at = 0; (net = map_next(&acts->nets, &at)) != NULL;) {
        if (net->failed && !net->asking) {
            ask_vpc(acts, net);
        } else if (net->there && !net->asking) {
            publish_vpc(ctx->control, net->id, &net->published);
        }
    }
    for (size_t at = 0; (instance = thing_next(ctx->control, KIND_INSTANCE, &at)) != NULL;) {
        bool moving = instance->state == EC2_STOPPING || instance->state == EC2_SHUTTING_DOWN;
        int64_t real_ms =
            (ctx->now_ms - instance->changed_ms) / max_i64(ctx->control->options.time_scale, 1);

        instance->unseen = instance->state == EC2_PENDING && real_ms > BOOT_MS;
        if (instance->unseen || instance->unserved || (moving && real_ms > BOOT_MS)) {
            instance->unserved = false;
            ask_instance(acts, instance->id);
        }
    }
    control_timer_at_ms(acts->retry,
                        ctx->now_ms + RETRY_MS * max_i64(ctx->control->options.time_scale, 1));
}

int acts_start(struct ctx *ctx, struct error *err)
{
    struct acts *acts = mem_calloc(1, sizeof(*acts));

    (void)err;
    acts->control = ctx->control;
    ctx->control->ec2->acts = acts;
    ctx->control->compute->events.data = ctx->control;
    ctx->control->compute->events.instance = on_news;
    ctx->control->compute->events.haproxy = on_haproxy_ended;
    acts->retry = control_timer_open(ctx->control, retry, acts);
    control_timer_at_ms(acts->retry, ctx->now_ms + RETRY_MS);
    ctx_after_commit(ctx, begin, acts);
    return 0;
}

void acts_close(struct ec2 *ec2)
{
    struct acts *acts = ec2->acts;
    struct net *net;

    if (acts == NULL) {
        return;
    }
    control_timer_close(acts->retry);
    for (size_t at = 0; (net = map_next(&acts->nets, &at)) != NULL;) {
        for (size_t i = 0; i < net->waiting_count; i++) {
            free(net->waiting[i]);
        }
        free(net->waiting);
        free(net);
    }
    map_close(&acts->nets);
    while (acts->asked != NULL) {
        asked_free(acts->asked);
    }
    free(acts);
    ec2->acts = NULL;
}
