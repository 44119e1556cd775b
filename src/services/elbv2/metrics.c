/* HAProxy's statistics become AWS/ApplicationELB metrics. */
#include "services/elbv2/plane.h"

#define TICK_MS 5000

void elb_metrics_tick(struct ctx *ctx, void *data)
{
    (void)data;
    plane_sync_all(ctx->control); /* What an earlier failure left. */
    control_timer_at_ms(elbv2_of(ctx)->metrics, ctx->now_ms + TICK_MS);
}
