/* When the kernel lets us run. */
#ifndef BASE_SCHEDULE_H
#define BASE_SCHEDULE_H

/* Ask to run soon after waking, in short turns, rather than seldom in long ones: for a process that
 * answers others on a machine whose processors are busy (muster's own instances may keep them so).
 * The share of the processor stays what it is. For the calling thread and those it makes; from
 * Linux 6.12 on, before that nothing changes. */
void schedule_short_turns(void);

#endif /* BASE_SCHEDULE_H */
