/* pools/interrupt.h -- ending a system call of a thread from outside
 *
 * A signal that is caught, without SA_RESTART, ends the system call in which
 * its thread waits with EINTR. coir takes one real-time signal for that while
 * anybody needs it, and sends it to single threads only.
 *
 * A signal that comes a moment before the thread begins to wait is lost, so it
 * is sent again: every thread that may be interrupted has a timer of its own
 * in the kernel, which sends it every 10 ms from the first until the thread
 * says that it has heard. No other thread has to watch. */
#ifndef COIR_POOLS_INTERRUPT_H
#define COIR_POOLS_INTERRUPT_H

#include "fiber/platform.h"

#include <stdbool.h>
#include <time.h>

/* Take the signal, before the first thread; -EBUSY: the program has a use for
 * every real-time signal. */
int coir_i_interrupt_begin(void);
/* After the end of the last thread: the signal is the program's again. */
void coir_i_interrupt_end(void);
/* In the child of a fork(2): it has none of those threads. */
void coir_i_interrupt_forked(void);

/* What a thread has that may be interrupted. */
typedef struct coir_i_interrupter {
#if COIR_I_LINUX
    timer_t timer;
#endif
    bool is_open;
    bool is_sending; /* under a lock of whoever sends */
} coir_i_interrupter;

/* On the thread, which takes the signal from here on; -EAGAIN: there is no
 * timer for it. And before it ends. */
int coir_i_interrupter_open(coir_i_interrupter *me);
void coir_i_interrupter_close(coir_i_interrupter *me);

/* Any thread; again is harmless. */
void coir_i_interrupter_send(coir_i_interrupter *interrupter);
/* On the thread, when nobody sends any more: no signal comes after this. */
void coir_i_interrupter_settle(coir_i_interrupter *me);

#endif
