#include "base/schedule.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The least that the kernel grants. A waking thread with a shorter turn than the running one's goes
 * before it (EEVDF, "latency-nice"); with equal turns it waits for the next tick, 4 ms: at each
 * fsync, and at each step from one thread or process to another. */
#define TURN_NS 100000

void schedule_short_turns(void)
{
    struct sched_attr attributes = {.size = sizeof(attributes)};

    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) == 0 &&
        attributes.sched_policy == SCHED_NORMAL) {
        attributes.sched_runtime = TURN_NS;
        attributes.sched_flags = 0;
        (void)syscall(SYS_sched_setattr, 0, &attributes, 0); /* It was only a wish. */
    }
}
