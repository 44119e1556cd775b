/* CloudWatch's life: memory, timers, what others registered. */
#include "base/alloc.h"
#include "services/cloudwatch/private.h"
#include "store/samples.h"

#include <stdlib.h>

#define SAVE_MS 1000 /* Real: a lost second of samples is what a crash may cost. */
#define SUM_MS (60LL * 1000)

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    control->cloudwatch = mem_calloc(1, sizeof(*control->cloudwatch));
    return 0;
}

static void save(struct ctx *ctx, void *data)
{
    struct cloudwatch *cloudwatch = data;

    cloudwatch->save_soon = false;
    metrics_save(&cloudwatch->metrics, ctx->changes, &cloudwatch->metrics.samples, ctx->now_ms);
}

/* Save, sum up, let old ones go. */
static void sum(struct ctx *ctx, void *data)
{
    struct cloudwatch *cloudwatch = data;

    alarms_mark_watched(cloudwatch);
    metrics_save_sums(&cloudwatch->metrics, ctx->changes, ctx->now_ms);
    metrics_prune(&cloudwatch->metrics, ctx->changes, ctx->now_ms);
    control_timer_at_ms(cloudwatch->sum_timer, ctx->now_ms + SUM_MS);
}

void samples_save_soon(struct control *control)
{
    struct cloudwatch *cloudwatch = control->cloudwatch;

    if (!cloudwatch->save_soon && cloudwatch->save_timer != NULL) {
        cloudwatch->save_soon = true;
        control_timer_at_ms(cloudwatch->save_timer,
                            control_now_ms(control) +
                                (int64_t)SAVE_MS * control->options.time_scale);
    }
}

static void take_row(void *data, int64_t row, bool summed, struct slice body)
{
    metrics_load_row(data, row, summed, body);
}

static int start_service(struct ctx *ctx, struct error *err)
{
    struct cloudwatch *cloudwatch = ctx->control->cloudwatch;
    int rc = samples_load(ctx->control->store, take_row, &cloudwatch->metrics, err);

    metrics_loaded(&cloudwatch->metrics);
    if (rc != 0) {
        return rc;
    }
    cloudwatch->save_timer = control_timer_open(ctx->control, save, cloudwatch);
    cloudwatch->sum_timer = control_timer_open(ctx->control, sum, cloudwatch);
    control_timer_at_ms(cloudwatch->sum_timer, ctx->now_ms + SUM_MS);
    alarms_start(ctx);
    return 0;
}

static void close_service(struct control *control)
{
    struct cloudwatch *cloudwatch = control->cloudwatch;
    struct alarm *alarm;
    struct history *history;

    if (cloudwatch == NULL) {
        return;
    }
    control_timer_close(cloudwatch->alarm_timer);
    control_timer_close(cloudwatch->save_timer);
    control_timer_close(cloudwatch->sum_timer);
    for (size_t at = 0; (alarm = map_next(&cloudwatch->alarms, &at)) != NULL;) {
        alarm_free(alarm);
    }
    for (size_t at = 0; (history = map_next(&cloudwatch->history, &at)) != NULL;) {
        history_free(history);
    }
    map_close(&cloudwatch->alarms);
    map_close(&cloudwatch->history);
    metrics_close(&cloudwatch->metrics);
    free(cloudwatch);
    control->cloudwatch = NULL;
}

void cloudwatch_on_action(struct control *control, const char *prefix, cloudwatch_action_fn *fn,
                          void *data)
{
    struct cloudwatch *cloudwatch = control->cloudwatch;

    ASSERT(cloudwatch->doer_count < COUNT_OF(cloudwatch->doers));
    cloudwatch->doers[cloudwatch->doer_count++] = (struct action_doer){prefix, fn, data};
}

const struct service cloudwatch_service = {
    .name = "cloudwatch",
    .open = open_service,
    .load = cloudwatch_load,
    .start = start_service,
    .close = close_service,
};
