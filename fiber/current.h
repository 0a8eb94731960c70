/* fiber/current.h -- which fiber runs on this thread
 *
 * The only thread-local of coir is one pointer, read through volatile assembly
 * each time: compilers keep the address of a thread-local, of errno and the
 * result of pthread_self() over a switch, after which they are another
 * thread's. So never keep what these functions return over anything that may
 * switch; a coir_i_fiber * may be kept, a coir_i_thread * may not. */
#ifndef COIR_FIBER_CURRENT_H
#define COIR_FIBER_CURRENT_H

#include "fiber/fiber.h"

/* What every thread that runs fibers has. sched's worker begins with it. */
typedef struct coir_i_thread coir_i_thread;
struct coir_i_thread {
    /* What a switch writes lies apart: compilers would join the stores of
     * neighbours, and what reads one of them would wait for both. */
    coir_i_fiber *running; /* the thread's own context while it seeks work */
    int *error_number;     /* const: where this thread's errno is */
    coir_i_fiber *left;    /* whom the switch under way leaves; or NULL */
    void *alternate;       /* its signal stack, if that is coir's */
    void (*commit)(coir_i_thread *here, coir_i_fiber *left);

    coir_i_fiber own;       /* the thread's own context: it has no life */
    coir_i_stack own_stack; /* what is known of the thread's own stack */
};

extern _Thread_local coir_i_thread *coir_i_current
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

#if defined(__x86_64__)
static inline coir_i_thread *coir_i_here(void)
{
    coir_i_thread *here;
    __asm__ volatile("movq coir_i_current@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(here)
                     :
                     : "memory");
    return here;
}
#else
coir_i_thread *coir_i_here(void);
#endif

/* The fiber that calls; NULL outside one. */
static inline coir_i_fiber *coir_i_self(void)
{
    coir_i_thread *here = coir_i_here();
    return here && here->running->life ? here->running : NULL;
}

#endif
