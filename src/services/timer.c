/* Timers on muster's clock, over libuv's real milliseconds. */
#include "base/alloc.h"
#include "services/control.h"

#include <stdlib.h>

/* uv_timer_start() takes an unsigned delay; a far instant is reached in several steps, so that a
 * suspended machine or a jump of the clock is noticed. */
#define STEP_MS_MAX (60 * 60 * 1000)

struct control_timer {
    uv_timer_t handle; /* First: libuv gives it back. */
    struct control *control;
    control_fn *fn;
    void *data;
    int64_t due_ms;
};

static void arm(struct control_timer *timer);

static void on_timer(uv_timer_t *handle)
{
    struct control_timer *timer = (struct control_timer *)handle;

    if (control_now_ms(timer->control) < timer->due_ms) {
        arm(timer);
        return;
    }
    control_run(timer->control, timer->fn, timer->data);
}

static void arm(struct control_timer *timer)
{
    int64_t delay_ms = muster_clock_real_delay_ms(&timer->control->clock, timer->due_ms);

    uv_update_time(timer->control->loop);
    uv_timer_start(&timer->handle, on_timer, (uint64_t)min_i64(max_i64(delay_ms, 0), STEP_MS_MAX),
                   0);
}

struct control_timer *control_timer_open(struct control *control, control_fn *fn, void *data)
{
    struct control_timer *timer = mem_calloc(1, sizeof(*timer));

    timer->control = control;
    timer->fn = fn;
    timer->data = data;
    uv_timer_init(control->loop, &timer->handle);
    return timer;
}

void control_timer_at_ms(struct control_timer *timer, int64_t muster_ms)
{
    timer->due_ms = muster_ms;
    arm(timer);
}

void control_timer_stop(struct control_timer *timer)
{
    uv_timer_stop(&timer->handle);
}

static void on_close(uv_handle_t *handle)
{
    free(handle);
}

void control_timer_close(struct control_timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->handle, on_close);
    }
}
