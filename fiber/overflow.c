/* fiber/overflow.c -- the report of a stack overflow
 *
 * Does       handles SIGSEGV and SIGBUS on a stack of its own. If the address
 *            lies in the guard of the stack that the thread is on, it says so,
 *            puts back the default action and returns: the instruction faults
 *            again, and the core dump shows it. Every other fault is handed to
 *            the handler that there was.
 * Does not   touch more than the thread, slots and slabs, which are always
 *            there, and the life of the fiber that has been running.
 * Locks      none; start and stop are called by one thread at a time.
 * Fails      start: -errno of sigaction; thread_start: -ENOMEM.
 * Tests      test/test_fiber.c
 */
#include "fiber/overflow.h"

#include "fiber/report.h"
#include "fiber/slab.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIGNAL_STACK ((size_t)64 << 10)

_Atomic(uint64_t) coir_i_own_signals;

static const int faults[] = {SIGSEGV, SIGBUS};
static struct sigaction before[2]; /* const while ours are installed */

static void set_default(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
}

/* Whose overflow an access to the guard of `place` is: the running fiber's, or
 * that of the one which is just leaving; NULL: nobody's of this thread. */
static coir_i_fiber *find_culprit(coir_i_thread *here,
                                  const coir_i_place *place)
{
    char *top = place->low + place->size;
    coir_i_stack *stack = (coir_i_stack *)(void *)top - 1;

    if (here->running->stack == stack)
        return here->running;
    if (here->left && here->left->stack == stack)
        return here->left;
    return NULL;
}

static void say_who(const coir_i_fiber *culprit, const coir_i_place *place)
{
    const coir_i_life *life = culprit->life;
    coir_i_report report = {0};

    coir_i_report_text(&report, "coir: stack overflow in ");
    coir_i_report_fiber(&report, life ? life->id : 0, life ? life->name : "");
    coir_i_report_text(&report, " (");
    coir_i_report_number(&report, place->size >> 10);
    coir_i_report_text(&report, " KiB): see stack_size in coir_run(3)");
    coir_i_report_send(&report);
}

/* What would have happened without us. */
static void hand_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *old = &before[signal == SIGBUS];
    bool sent = info->si_code <= 0; /* by kill(2) and the like: no fault */

    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(signal, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(signal);
    } else if (old->sa_handler == SIG_DFL || !sent) {
        /* A fault comes again on return; what was sent does not. */
        set_default(signal);
        if (sent)
            raise(signal);
    }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    coir_i_thread *here = coir_i_here();
    char *address = info->si_addr;
    coir_i_place place;
    coir_i_fiber *culprit = NULL;

    if (here && info->si_code > 0 && coir_i_slab_find(address, &place) &&
        address < place.low + place.guard)
        culprit = find_culprit(here, &place);
    if (!culprit) {
        hand_on(signal, info, context);
        return;
    }
    say_who(culprit, &place);
    set_default(signal);
}

int coir_i_overflow_start(void)
{
    struct sigaction action = {
        .sa_sigaction = on_fault,
        .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
    };

    sigemptyset(&action.sa_mask);
    for (int i = 0; i < 2; i++) {
        struct sigaction old;
        if (sigaction(faults[i], NULL, &old) != 0)
            return -EINVAL;
        /* Somebody may have kept ours and put it back: not ourselves. */
        if (old.sa_sigaction != on_fault)
            before[i] = old;
        sigaction(faults[i], &action, NULL);
    }
    return 0;
}

void coir_i_overflow_stop(void)
{
    for (int i = 0; i < 2; i++) {
        struct sigaction now;
        if (sigaction(faults[i], NULL, &now) == 0 &&
            now.sa_sigaction == on_fault)
            sigaction(faults[i], &before[i], NULL);
    }
}

static size_t size_signal_stack(void)
{
    long needed = sysconf(_SC_SIGSTKSZ);
    return needed > (long)SIGNAL_STACK ? (size_t)needed : SIGNAL_STACK;
}

int coir_i_overflow_thread_start(coir_i_thread *thread)
{
    stack_t now, ours = {.ss_size = size_signal_stack()};

    if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE))
        return 0;
    ours.ss_sp = mmap(NULL, ours.ss_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ours.ss_sp == MAP_FAILED)
        return -ENOMEM;
    sigaltstack(&ours, NULL);
    thread->alternate = ours.ss_sp;
    return 0;
}

void coir_i_overflow_thread_end(coir_i_thread *thread)
{
    stack_t now, none = {.ss_flags = SS_DISABLE};

    if (!thread->alternate)
        return;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == thread->alternate)
        sigaltstack(&none, NULL);
    munmap(thread->alternate, size_signal_stack());
    thread->alternate = NULL;
}
