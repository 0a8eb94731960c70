/* test/lone.h -- a fiber without a runtime
 *
 * fiber/ can be tested without sched: the thread of the test runs one fiber
 * after another on stacks of its own, each until it stops or ends.
 *
 *     struct lone lone;
 *     lone_start(&lone, 64 << 10);
 *     ck_assert_int_eq(lone_run(&lone, body, arg), 7);
 *     lone_stop(&lone);  */
#ifndef COIR_TEST_LONE_H
#define COIR_TEST_LONE_H

#include "fiber/context.h"
#include "fiber/stack.h"

#include <check.h>
#include <string.h>

struct lone {
    coir_i_thread thread;
    coir_i_stack_pool pool;
    coir_i_fiber *fiber;
    coir_i_life life;
    coir_fn *body;
    void *arg;
    int result;
    bool over;
};

static struct lone *lone_now; /* whose fiber runs */

static inline void lone_start(struct lone *lone, size_t stack_size)
{
    memset(lone, 0, sizeof *lone);
    coir_i_thread_init(&lone->thread);
    coir_i_stack_pool_init(&lone->pool, stack_size);
    lone->fiber = coir_i_fiber_new();
    ck_assert_ptr_nonnull(lone->fiber);
    lone->fiber->stack = coir_i_stack_new(&lone->pool);
    ck_assert_ptr_nonnull(lone->fiber->stack);
}

static inline void lone_stop(struct lone *lone)
{
    coir_i_thread_end(&lone->thread);
    coir_i_stack_pool_end(&lone->pool);
}

/* From the fiber: back to whoever has run it. */
static inline void lone_pause(void)
{
    coir_i_thread *here = coir_i_here();
    coir_i_switch(here, &here->own, NULL);
}

/* Let the fiber go on until it pauses or is over. */
static inline void lone_go_on(struct lone *lone)
{
    lone_now = lone;
    coir_i_switch(coir_i_here(), lone->fiber, NULL);
}

static void lone_entry(void)
{
    struct lone *lone = lone_now;
    lone->result = lone->body(lone->arg);
    coir_i_locals_end(&lone->life);
    lone->over = true;
    coir_i_thread *here = coir_i_here();
    coir_i_switch_last(here, &here->own, NULL);
}

/* Run body in a life of its own: id 12, no name. */
static inline int lone_run(struct lone *lone, coir_fn *body, void *arg)
{
    coir_i_life_begin(&lone->life, 12);
    lone->fiber->life = &lone->life;
    lone->body = body;
    lone->arg = arg;
    lone->over = false;
    coir_i_context_make(lone->fiber, lone_entry);
    lone_go_on(lone);
    return lone->result;
}

#endif
