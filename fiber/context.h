/* fiber/context.h -- the one switch */
#ifndef COIR_FIBER_CONTEXT_H
#define COIR_FIBER_CONTEXT_H

#include "fiber/current.h"

/* Make the calling thread one that runs fibers; *thread outlives that. */
void coir_i_thread_init(coir_i_thread *thread);
/* Undo it; from the thread's own context. */
void coir_i_thread_end(coir_i_thread *thread);

/* Go on as `to`. Requires that here is the calling thread's, that `to` is not
 * running and that its context is good.
 *
 * commit, which may be NULL, runs on the stack of `to` when the context of the
 * one that was left is saved, and is what may make that one ready, or recycle
 * it; from then on it may run anywhere, and commit must not touch it. It must
 * not switch. Comes back when another switch goes to the one that was left,
 * perhaps on another thread; errno is kept. */
void coir_i_switch(coir_i_thread *here, coir_i_fiber *to,
                   void (*commit)(coir_i_thread *here, coir_i_fiber *left));

/* The same for a context that is over: nothing goes back to it until
 * coir_i_context_make has been called for its fiber again. */
_Noreturn void coir_i_switch_last(coir_i_thread *here, coir_i_fiber *to,
                                  void (*commit)(coir_i_thread *here,
                                                 coir_i_fiber *left));

/* A fresh context on the fiber's stack, on which nothing may be alive. The
 * switch to it calls entry, which never returns and takes what it needs from
 * coir_i_here()->running. */
void coir_i_context_make(coir_i_fiber *fiber, void (*entry)(void));

#endif
