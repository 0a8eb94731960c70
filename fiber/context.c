/* fiber/context.c -- the one switch
 *
 * Does       saves the running context, goes on as another, and lets the new
 *            one say, by commit, what becomes of the old.
 * Does not   choose, queue or count: sched does.
 *
 *     left                       to
 *     coir_i_switch
 *       ontop_fcontext  ------>  arrive: left->context = ...
 *                                  commit(here, left)
 *                                ret into its own coir_i_switch, or its entry
 *
 * Invariants
 *   C1  There is one call of ontop_fcontext and arrive ends by `ret`, so that
 *       the CPU predicts the returns that follow: see fiber/fcontext.h.
 *   C2  The record of a switch is in the thread, never in a frame: the frames
 *       of one who is over may be gone before commit runs.
 *   C3  Nothing of `left` is touched after commit: another thread may run it.
 *   C4  After ontop has come back `here` is another thread's, perhaps, and
 *       so is errno: both are found anew.
 *
 * Locks      none.
 * Fails      never.
 * Tests      test/test_context.c; bench/yield.c
 */
#include "fiber/context.h"

#include "fiber/annotate.h"
#include "fiber/fcontext.h"
#include "fiber/invariant.h"

#include <errno.h>
#include <string.h>

_Thread_local coir_i_thread *coir_i_current
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* A declaration alone hides only what is called. */
__asm__(".hidden coir_i_jump_fcontext");

#if !defined(__x86_64__)
/* Neither inlined nor merged with a call of the same before a switch. */
__attribute__((noinline)) coir_i_thread *coir_i_here(void)
{
    coir_i_thread *here = coir_i_current;
    __asm__ volatile("" : "+r"(here) : : "memory");
    return here;
}
#endif

void coir_i_thread_init(coir_i_thread *thread)
{
    memset(&thread->own, 0, sizeof thread->own);
    memset(&thread->own_stack, 0, sizeof thread->own_stack);
    store_relaxed(&thread->own.deadline, INT64_MAX);
    store_relaxed(&thread->own.linked, INT64_MAX);
    thread->own.stack = &thread->own_stack;
    coir_i_annotate_thread(&thread->own_stack);
    thread->running = &thread->own;
    thread->left = NULL;
    thread->commit = NULL;
    thread->alternate = NULL;
    thread->error_number = &errno;
    coir_i_current = thread;
}

void coir_i_thread_end(coir_i_thread *thread)
{
    coir_i_assert(coir_i_here() == thread);
    coir_i_assert(thread->running == &thread->own);
    thread->running = NULL;
    coir_i_current = NULL;
}

/* The first thing on the stack of who goes on. */
COIR_I_NO_ASAN static coir_i_transfer arrive(coir_i_transfer from)
{
    coir_i_thread *here = from.data;
    coir_i_fiber *left = here->left;

    coir_i_annotate_arrive(here->running->stack);
    left->context = from.context;
    here->left = NULL;
    if (here->commit)
        here->commit(here, left);
    return from;
}

COIR_I_NO_ASAN __attribute__((noinline)) void
coir_i_switch(coir_i_thread *here, coir_i_fiber *to,
              void (*commit)(coir_i_thread *here, coir_i_fiber *left))
{
    coir_i_fiber *left = here->running;
    int error_number = *here->error_number;

    coir_i_assert(left != to);
    here->left = left;
    here->commit = commit;
    here->running = to;
    coir_i_annotate_leave(left->stack, to->stack);
    coir_i_ontop_fcontext(to->context, here, arrive);

    *coir_i_here()->error_number = error_number;
}

_Noreturn void coir_i_switch_last(coir_i_thread *here, coir_i_fiber *to,
                                  void (*commit)(coir_i_thread *here,
                                                 coir_i_fiber *left))
{
    here->running->stack->asan_fake = COIR_I_STACK_OVER;
    coir_i_switch(here, to, commit);
    coir_i_die("", "a fiber that was over has been resumed");
}

/* Where a fresh context begins. Called by the stub below. */
void coir_i_context_begin(void) __attribute__((used));

void coir_i_context_begin(void)
{
    coir_i_here()->running->stack->entry();
}

/* Its caller is unknown, and says so: here every unwinder stops. The frame
 * pointer that make_fcontext leaves is none, so walkers end there too. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden coir_i_context_begin\n"
        ".type coir_i_context_entry, @function\n"
        "coir_i_context_entry:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "xorl %ebp, %ebp\n"
        "andq $-16, %rsp\n"
        "call coir_i_context_begin\n"
        "ud2\n"
        ".cfi_endproc\n"
        ".size coir_i_context_entry, . - coir_i_context_entry\n");
void coir_i_context_entry(coir_i_transfer from);
#elif defined(__aarch64__)
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden coir_i_context_begin\n"
        ".type coir_i_context_entry, %function\n"
        "coir_i_context_entry:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n"
        "mov x29, xzr\n"
        "mov x30, xzr\n"
        "bl coir_i_context_begin\n"
        "brk #0\n"
        ".cfi_endproc\n"
        ".size coir_i_context_entry, . - coir_i_context_entry\n");
void coir_i_context_entry(coir_i_transfer from);
#else
static void coir_i_context_entry(coir_i_transfer from)
{
    (void)from;
    coir_i_context_begin();
    coir_i_die("", "the entry of a fiber has returned");
}
#endif

void coir_i_context_make(coir_i_fiber *fiber, void (*entry)(void))
{
    coir_i_stack *stack = fiber->stack;
    char *low = stack->low + stack->guard;
    size_t usable = (size_t)((char *)stack - low);

    coir_i_annotate_forget(low, usable);
    coir_i_annotate_anew(stack);
    stack->asan_fake = NULL;
    stack->entry = entry;
    fiber->context = coir_i_make_fcontext(stack, usable, coir_i_context_entry);
}
