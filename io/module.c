/* io/module.c -- io's part in the life of a runtime
 *
 * Does       bring io back to its beginnings: when a runtime has ended, and in
 *            the child of a fork. Descriptors stay open: the program made them.
 * Edges      none: it is called when there is one thread.
 * Fails      never.
 * Tests      test/test_poller.c */
#include "io/module.h"

#include "fiber/atomics.h"
#include "io/descriptor.h"
#include "io/doubt.h"
#include "io/reactor.h"
#include "sched/module.h"

/* relaxed: written while there is one thread. */
static _Atomic(bool) is_forked, is_exact;

bool coir_i_io_is_forked(void)
{
    return load_relaxed(&is_forked);
}

bool coir_i_io_is_exact(void)
{
    return load_relaxed(&is_exact);
}

static int start(const coir_config *config)
{
    store_relaxed(&is_forked, false);
    store_relaxed(&is_exact, config->virtual_clock);
    return 0;
}

static void stop(void)
{
    coir_i_reactor_close();
    coir_i_doubts_reset();
    coir_i_slots_reset();
}

static void forked(void)
{
    store_relaxed(&is_forked, true);
    coir_i_reactor_close();
    coir_i_doubts_reset();
    coir_i_slots_forget();
}

static coir_i_module module = {.start = start, .stop = stop, .forked = forked};

coir_i_constructor(1) static void add_module(void)
{
    coir_i_module_add(&module);
}
