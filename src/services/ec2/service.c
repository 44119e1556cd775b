/* EC2's part in the life of the control plane. */
#include "services/ec2/private.h"

#include <stdlib.h>

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    control->ec2 = mem_calloc(1, sizeof(*control->ec2));
    control->ec2->control = control;
    return 0;
}

static int load(struct control *control, struct slice kind, struct slice id, struct slice body,
                struct error *err)
{
    struct slice word = slice_sub(kind, sizeof("ec2.") - 1, kind.bytes);

    for (enum kind i = 0; i < KINDS; i++) {
        if (slice_equal_z(word, kinds[i].word)) {
            void *thing = mem_calloc(1, kinds[i].record->bytes);
            int rc = record_load(kinds[i].record, thing, body, err);

            if (rc != 0) {
                free(thing);
                return rc;
            }
            map_put(&control->ec2->things[i], id, thing);
            if (i == KIND_VOLUME) {
                volume_attached(control->ec2, thing);
            } else if (i == KIND_INTERFACE) {
                interface_addressed(control->ec2, thing);
            }
            return 0;
        }
    }
    return error_set(err, ERR_CONFIG, "ec2: unknown record %.*s", SLICE_ARG(kind));
}

static int start(struct ctx *ctx, struct error *err)
{
    struct ec2 *ec2 = ctx->control->ec2;
    size_t at = 0;

    if (thing_next(ctx->control, KIND_IMAGE, &at) == NULL) { /* A new account. */
        vpc_make_default(ctx);
    }
    images_make_stock(ctx);
    ec2->janitor = control_timer_open(ctx->control, janitor_run, ec2);
    control_timer_at_ms(ec2->janitor, ctx->now_ms);
    cpu_start(ctx);
    return acts_start(ctx, err);
}

static void close_service(struct control *control)
{
    struct ec2 *ec2 = control->ec2;
    void *thing;

    if (ec2 == NULL) {
        return;
    }
    control_timer_close(ec2->janitor);
    cpu_close(ec2);
    acts_close(ec2);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        for (size_t at = 0; (thing = map_next(&ec2->things[kind], &at)) != NULL;) {
            record_close(kinds[kind].record, thing);
            free(thing);
        }
        map_close(&ec2->things[kind]);
    }
    volumes_close(ec2);
    map_close(&ec2->addresses);
    free(ec2->listeners);
    free(ec2);
    control->ec2 = NULL;
}

const struct service ec2_service = {
    .name = "ec2",
    .open = open_service,
    .load = load,
    .start = start,
    .close = close_service,
    .resource = ec2_resource,
};
