#include "services/control.h"

#include "aws/id.h"
#include "base/alloc.h"
#include "base/log.h"
#include "store/record.h"
#include "store/store.h"
#include "wire/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A change notes muster's clock when it is this far ahead of its committed reading; a restart
 * begins that much later, so that it never shows an instant twice. */
#define CLOCK_SLACK_MS 1000
/* A fast clock also runs ahead while nothing changes: it is noted as often, in real time. */
#define CLOCK_NOTE_MS 1000

int64_t control_now_ms(const struct control *control)
{
    return muster_clock_now_ms(&control->clock);
}

/* The clock's last committed reading. */

struct clock_reading {
    int64_t muster_ms;
    int64_t wall_ms;
    int64_t scale; /* 0, of an older musterd: 1. */
};

static const struct record_field clock_fields[] = {
    RECORD_I64(struct clock_reading, muster_ms),
    RECORD_I64(struct clock_reading, wall_ms),
    RECORD_I64(struct clock_reading, scale),
};
static const struct record clock_record = RECORD(struct clock_reading, clock_fields);

static void note_clock(struct control *control, struct changes *changes, int64_t now_ms)
{
    const struct clock_reading reading = {now_ms, time_wall_ms(), control->options.time_scale};

    if (now_ms - control->clock_noted_ms < CLOCK_SLACK_MS) {
        return;
    }
    control->clock_noted_ms = now_ms;
    changes_put_record(changes, SLICE_LIT("control.clock"), SLICE_LIT("reading"), &clock_record,
                       &reading);
}

static void keep_noting_clock(struct ctx *ctx, void *data)
{
    (void)data;
    note_clock(ctx->control, ctx->changes, ctx->now_ms);
    control_timer_at_ms(ctx->control->clock_timer,
                        ctx->now_ms + CLOCK_NOTE_MS * (int64_t)ctx->control->options.time_scale);
}

/* musterd may have gone on for as long as a reading and its write are apart; while it was down the
 * clock went on at rate 1, whatever its scale. */
static int64_t clock_begin_ms(const struct clock_reading *last, int64_t wall_ms)
{
    int64_t since_ms = wall_ms - last->wall_ms; /* Negative: somebody has set the wall's clock. */
    int64_t ran_ms = since_ms < 0 ? 2 * CLOCK_NOTE_MS : min_i64(since_ms, 2 * CLOCK_NOTE_MS);

    if (last->muster_ms == 0) {
        return wall_ms;
    }
    return last->muster_ms + CLOCK_SLACK_MS + ran_ms * max_i64(last->scale, 1) +
           max_i64(since_ms - ran_ms, 0);
}

static void start_clock(struct control *control, const struct clock_reading *last)
{
    int64_t now_ms = clock_begin_ms(last, time_wall_ms());

    muster_clock_start(&control->clock, now_ms, control->options.time_scale);
    if (control->options.time_scale > 1) {
        control->clock_timer = control_timer_open(control, keep_noting_clock, NULL);
        control_timer_at_ms(control->clock_timer, now_ms);
    }
}

/* One ctx, its arena and changes. */

struct run {
    struct ctx ctx;
    struct arena arena;
    struct changes changes;
    control_done_fn *done;
    void *data;
};

struct ctx *control_begin(struct control *control)
{
    struct run *run = mem_calloc(1, sizeof(*run));
    char request_id[UUID_BYTES];

    id_new_uuid(request_id);
    run->ctx = (struct ctx){
        .arena = &run->arena,
        .control = control,
        .changes = &run->changes,
        .caller = {.kind = CALLER_MUSTER,
                   .account = control->options.account,
                   .arn = "",
                   .user_id = control->options.account,
                   .name = "",
                   .access_key_id = ""},
        .now_ms = control_now_ms(control),
        .wall_ms = time_wall_ms(),
        .request_id = arena_strdup(&run->arena, slice_z(request_id)),
        .source_address = "",
        .owner = run,
    };
    return &run->ctx;
}

void control_end(struct ctx *ctx)
{
    struct run *run = (struct run *)ctx; /* The ctx is its first member. */

    changes_close(&run->changes);
    arena_close(&run->arena);
    free(run);
}

static void on_disk(void *data, const struct error *err)
{
    struct run *run = data;

    if (err != NULL) {
        return; /* The store's failed callback is ending the process. */
    }
    ctx_run_acts(&run->ctx);
    run->done(run->data);
}

void control_commit(struct ctx *ctx, control_done_fn *done, void *data)
{
    struct run *run = (struct run *)ctx;

    run->done = done;
    run->data = data;
    if (changes_empty(&run->changes) && store_idle(ctx->control->store)) {
        ctx_run_acts(ctx);
        done(data);
        return;
    }
    if (!changes_empty(&run->changes)) {
        note_clock(ctx->control, &run->changes, ctx->now_ms);
    }
    store_commit(ctx->control->store, &run->changes, on_disk, run);
}

static void end_run(void *data)
{
    control_end(data);
}

void control_run(struct control *control, control_fn *fn, void *data)
{
    struct ctx *ctx = control_begin(control);

    fn(ctx, data);
    control_commit(ctx, end_run, ctx);
}

/* Tags: a record per ARN, {"Key":"Value"} in the order of the index. */

static void put_tags(struct ctx *ctx, const char *arn)
{
    const struct tags *tags = tags_of(&ctx->control->tags, arn);
    json_t *json;
    char *text;

    if (tags->count == 0) {
        changes_del(ctx->changes, SLICE_LIT("control.tags"), slice_z(arn));
        return;
    }
    json = json_object();
    for (size_t i = 0; i < tags->count; i++) {
        json_object_set_new(json, tags->items[i].key, json_string(tags->items[i].value));
    }
    text = json_dumps(json, JSON_COMPACT);
    changes_put(ctx->changes, SLICE_LIT("control.tags"), slice_z(arn), slice_z(text));
    free(text);
    json_decref(json);
}

void ctx_tag_put(struct ctx *ctx, const char *arn, const char *key, const char *value)
{
    tags_put(&ctx->control->tags, arn, key, value);
    put_tags(ctx, arn);
}

void ctx_tag_remove(struct ctx *ctx, const char *arn, const char *key)
{
    tags_remove(&ctx->control->tags, arn, key);
    put_tags(ctx, arn);
}

void ctx_tags_drop(struct ctx *ctx, const char *arn)
{
    tags_drop(&ctx->control->tags, arn);
    put_tags(ctx, arn);
}

static int load_tags(struct control *control, struct slice arn, struct slice body,
                     struct error *err)
{
    char *name = mem_strndup(arn.data, arn.bytes);
    json_error_t problem;
    json_t *json = json_loadb(body.data, body.bytes, 0, &problem);
    const char *key;
    json_t *value;
    int rc = 0;

    if (!json_is_object(json)) {
        rc = error_set(err, ERR_CONFIG, "tags of %s: %s", name, problem.text);
    }
    json_object_foreach(json, key, value)
    {
        tags_put(&control->tags, name, key, json_string_value(value));
    }
    json_decref(json);
    free(name);
    return rc;
}

/* The start. */

struct loading {
    struct control *control;
    const struct service *const *services;
    size_t service_count;
    struct clock_reading reading;
    struct error *err;
    int rc;
};

static int load_own(struct loading *loading, struct slice kind, struct slice id, struct slice body)
{
    if (slice_equal_z(kind, "control.tags")) {
        return load_tags(loading->control, id, body, loading->err);
    }
    if (slice_equal_z(kind, "control.clock")) {
        return record_load(&clock_record, &loading->reading, body, loading->err);
    }
    return error_set(loading->err, ERR_CONFIG, "unknown record %.*s", SLICE_ARG(kind));
}

static bool load_resource(void *data, struct slice kind, struct slice id, struct slice body)
{
    struct loading *loading = data;
    struct slice owner = slice_sub(kind, 0, slice_find(kind, '.'));

    if (slice_equal_z(owner, "control")) {
        loading->rc = load_own(loading, kind, id, body);
        return loading->rc == 0;
    }
    for (size_t i = 0; i < loading->service_count; i++) {
        const struct service *service = loading->services[i];

        if (slice_equal_z(owner, service->name) && service->load != NULL) {
            loading->rc = service->load(loading->control, kind, id, body, loading->err);
            if (loading->rc != 0) {
                error_wrap(loading->err, "loading %.*s %.*s", SLICE_ARG(kind), SLICE_ARG(id));
            }
            return loading->rc == 0;
        }
    }
    /* Of a service that this muster does not have: left alone, for the one that does. */
    log_warn("record.unknown kind=%.*s", SLICE_ARG(kind));
    return true;
}

static int start_services(struct control *control, const struct service *const *services,
                          size_t service_count, struct error *err)
{
    for (size_t i = 0; i < service_count; i++) {
        struct ctx *ctx;
        int rc;

        if (services[i]->start == NULL) {
            continue;
        }
        ctx = control_begin(control);
        rc = services[i]->start(ctx, err);
        if (rc != 0) {
            control_end(ctx);
            return error_wrap(err, "starting %s", services[i]->name);
        }
        control_commit(ctx, end_run, ctx);
    }
    return 0;
}

int control_start(struct control *control, const struct service *const *services,
                  size_t service_count, struct error *err)
{
    struct loading loading = {
        .control = control, .services = services, .service_count = service_count, .err = err};
    int rc;

    for (size_t i = 0; i < service_count; i++) {
        rc = services[i]->open == NULL ? 0 : services[i]->open(control, err);
        if (rc != 0) {
            return error_wrap(err, "opening %s", services[i]->name);
        }
    }
    rc = store_load_all(control->store, load_resource, &loading, err);
    if (rc != 0 || loading.rc != 0) {
        return rc != 0 ? rc : loading.rc;
    }
    start_clock(control, &loading.reading);
    return start_services(control, services, service_count, err);
}

void control_close(struct control *control)
{
    control_timer_close(control->clock_timer);
    control->clock_timer = NULL;
    tags_index_close(&control->tags);
}

const char *ctx_arn(struct ctx *ctx, const char *service, const char *format, ...)
{
    const struct control_options *options = &ctx->control->options;
    char prefix[128], *arn;
    const char *parts[] = {
        "arn:aws:", service,          ":", strcmp(service, "iam") == 0 ? "" : options->region,
        ":",        options->account, ":"};
    size_t used = 0;
    va_list args;
    int bytes;

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        size_t length = strlen(parts[i]);

        ASSERT(used + length < sizeof(prefix));
        memcpy(prefix + used, parts[i], length);
        used += length;
    }
    va_start(args, format);
    bytes = vsnprintf(NULL, 0, format, args); /* Of any length: a request may name what is none. */
    va_end(args);
    ASSERT(bytes >= 0);
    arn = arena_calloc(ctx->arena, used + (size_t)bytes + 1, 1);
    memcpy(arn, prefix, used);
    va_start(args, format);
    vsnprintf(arn + used, (size_t)bytes + 1, format, args);
    va_end(args);
    return arn;
}

int control_dispatch(struct ctx *ctx, const char *service_name, const char *action,
                     const struct doc *in, struct doc *out, struct error *err)
{
    const struct wire_hooks *hooks = ctx->control->hooks;
    const struct model_service *service = model_service_find(hooks->model, slice_z(service_name));
    const struct model_op *op = service == NULL ? NULL : model_op_find(service, slice_z(action));
    int rc;

    if (op == NULL) {
        return error_set(err, ERR_UNKNOWN_OP, "this muster has no %s:%s", service_name, action);
    }
    rc = wire_call(hooks, ctx, service, op, PROTOCOL_QUERY, in, out, err);
    ASSERT(!ctx->deferred); /* Only actions that answer at once may be called from here. */
    return rc;
}
