/* sched/backtrace.c -- where a fiber that waits was called from
 *
 * Does       walk a parked stack by the unwind tables, reading only; for one
 *            fiber, and for those in a census.
 * Does not   know names: that is symbols.c.
 *
 * An unwinder begins with the registers of its own caller. So it is called
 * through a few instructions whose unwind table says: our caller's registers
 * are those that lie in this context. From there it climbs the parked stack.
 *
 *     coir_i_backtrace -> unwind_from -> _Unwind_Backtrace -> see_frame ...
 *                            |  by its table
 *                            v
 *                        coir_i_switch <- coir_i_park <- ... on f's stack
 *
 * A context, by Boost.Context, from the low end: what is saved of the floating
 * point unit, r12 r13 r14 r15 rbx rbp, and where it goes on, in coir_i_switch.
 * Since version 1.8x there is one word more before them: which it is, the
 * last of them tells.
 *
 * The unwinder takes no lock that anybody holds for long, and no memory: it
 * may run while a fiber is held.
 *
 * Fails      where there are no unwind tables the trace ends.
 * Tests      test/test_dump.c */
#include "sched/backtrace.h"

#include "sched/census.h"
#include "sched/word.h"
#include "sched/worker.h"

#include <errno.h>
#include <stdlib.h>

#if COIR_I_BACKTRACE
#    include "fiber/context.h"

#    include <unwind.h>

/* The frame of this function has one parent by nature, the one that called it,
 * and by its table another, whose registers lie below goes_on: that is a word
 * of a context, where the address is at which it goes on. */
void coir_i_unwind_from(const void *goes_on, void *trace,
                        void (*unwind)(void *trace))
    __attribute__((visibility("hidden")));

__asm__(".text\n"
        ".p2align 4\n"
        ".hidden coir_i_unwind_from\n"
        ".globl coir_i_unwind_from\n"
        ".type coir_i_unwind_from, @function\n"
        "coir_i_unwind_from:\n"
        ".cfi_startproc\n"
        "pushq %rbx\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_offset rbx, -16\n"
        "movq %rdi, %rbx\n"
        "movq %rsi, %rdi\n"
        ".cfi_remember_state\n"
        ".cfi_def_cfa rbx, 8\n" /* rip is at -8 already */
        ".cfi_offset rbp, -16\n"
        ".cfi_offset rbx, -24\n"
        ".cfi_offset r15, -32\n"
        ".cfi_offset r14, -40\n"
        ".cfi_offset r13, -48\n"
        ".cfi_offset r12, -56\n"
        "call *%rdx\n"
        ".cfi_restore_state\n"
        "popq %rbx\n"
        ".cfi_adjust_cfa_offset -8\n"
        ".cfi_restore rbx\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size coir_i_unwind_from, . - coir_i_unwind_from\n");

struct walk {
    coir_i_trace *trace;
    bool over_there; /* on the parked stack */
};

#    define is_in(begin, function) \
        ((begin) == (_Unwind_Ptr)(uintptr_t)(function))

static bool add(coir_i_trace *trace, const void *call)
{
    trace->cut = trace->count == COIR_I_FRAMES;
    if (!trace->cut)
        trace->calls[trace->count++] = call;
    return !trace->cut;
}

static _Unwind_Reason_Code see_frame(struct _Unwind_Context *frame, void *arg)
{
    struct walk *walk = arg;
    coir_i_trace *trace = walk->trace;
    _Unwind_Ptr begin = _Unwind_GetRegionStart(frame);
    int before = 0; /* is it the address of the instruction itself? */
    _Unwind_Ptr at = _Unwind_GetIPInfo(frame, &before);
    if (!walk->over_there) {
        walk->over_there = is_in(begin, coir_i_unwind_from);
        return _URC_NO_REASON;
    }
    if (is_in(begin, coir_i_fiber_main)) { /* and a function of its own */
        if (trace->count && trace->calls[trace->count - 1])
            trace->count--;
        return _URC_END_OF_STACK;
    }
    if (!at)
        return _URC_END_OF_STACK;
    if (!trace->count &&
        (is_in(begin, coir_i_switch) || is_in(begin, coir_i_leave) ||
         is_in(begin, coir_i_park)))
        return _URC_NO_REASON;
    const char *call = is_in(begin, coir_i_child_run)
                           ? NULL
                           : (const char *)(uintptr_t)at - !before;
    return add(trace, call) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void unwind(void *walk)
{
    _Unwind_Backtrace(see_frame, walk);
    __asm__ volatile(""); /* no jump: our own frame is part of the way */
}

/* The word that says where f goes on; NULL: its context is another's. */
static const void *find_goes_on(const coir_i_fiber *f)
{
    void **words = f->context;
    for (int i = 7; i <= 8; i++)
        if (_Unwind_FindEnclosingFunction(words[i]) ==
            (void *)(uintptr_t)coir_i_switch)
            return &words[i];
    return NULL;
}

void coir_i_backtrace(coir_i_fiber *f, coir_i_trace *trace)
{
    struct walk walk = {trace, false};
    const void *goes_on = find_goes_on(f);
    trace->count = 0;
    trace->cut = false;
    if (goes_on)
        coir_i_unwind_from(goes_on, &walk, unwind);
}

#else

void coir_i_backtrace(coir_i_fiber *f, coir_i_trace *trace)
{
    (void)f;
    trace->count = 0;
    trace->cut = false;
}

#endif

/* ---- of a census ---- */

enum { TRACED = 4096 }; /* stacks: reading one takes some 10 us */

/* The stack of a fiber that still waits as it did. */
static bool read_stack(const coir_i_record *r, coir_i_trace *trace)
{
    if (!coir_i_hold(r->fiber))
        return false;
    /* relaxed: while it is held it stays in this wait. */
    bool same = coir_i_word_seq(load_relaxed(&r->fiber->word)) == r->seq;
    if (same)
        coir_i_backtrace(r->fiber, trace);
    coir_i_release(r->fiber);
    return same;
}

/* To the lives on one stack, which are beside each other up to r, innermost
 * last: to each what is up to the next NULL. */
static void share_out(coir_i_census *c, coir_i_record *r,
                      const coir_i_trace *trace)
{
    const coir_i_fiber *fiber = r->fiber;
    unsigned i = 0;
    for (;; r--, i++) {
        r->trace = (uint32_t)c->framed;
        for (; i < trace->count && trace->calls[i]; i++)
            c->frames[c->framed++] = trace->calls[i];
        r->depth = (uint32_t)c->framed - r->trace;
        r->cut = trace->cut && i == trace->count;
        if (i >= trace->count || r == c->records || r[-1].fiber != fiber)
            return;
    }
}

int coir_i_census_trace(coir_i_census *c)
{
    size_t waiting = 0;
    coir_i_trace trace;
    for (size_t i = 0; i < c->count; i++)
        waiting += c->records[i].doing == COIR_I_DOES_WAIT;
    c->untraced = waiting > TRACED ? waiting - TRACED : 0;
    if (!COIR_I_BACKTRACE || !waiting)
        return 0;
    waiting -= c->untraced;
    c->frames = malloc(waiting * COIR_I_FRAMES * sizeof *c->frames);
    if (!c->frames)
        return -ENOMEM;
    for (size_t i = c->count; i-- > 0 && waiting;) { /* the oldest first */
        coir_i_record *r = &c->records[i];
        if (r->doing != COIR_I_DOES_WAIT || !r->fiber)
            continue;
        waiting--;
        if (read_stack(r, &trace))
            share_out(c, r, &trace);
    }
    return 0;
}
