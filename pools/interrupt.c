/* pools/interrupt.c -- ending a system call of a thread from outside
 *
 * Does       take a real-time signal and give it back; have the kernel send it
 *            to one thread until that has heard.
 * Does not   decide when: a lock of the caller's keeps send and settle apart.
 *
 * Invariants
 *   N1  the handler is installed while users > 0; a thread has the signal
 *       unblocked from open to close only.
 *   N2  after settle none is pending: the timer is stopped, and what it had
 *       sent was delivered when the thread came back from the kernel.
 *
 * Locks      reserved.lock
 * Fails      -EAGAIN, the user has too many timers and signals pending: then no
 *            signal could be sent either, and the thread is never interrupted.
 * Tests      test/test_interrupt.c */
#include "pools/interrupt.h"

#include "fiber/overflow.h"
#include "pools/sys.h"
#include "pools/thread_pool.h"
#include "sched/lock.h"

static const long AGAIN = 10000000; /* ns */

static struct {
    coir_i_mutex lock;
    int signal;     /* const while it is used */
    unsigned users; /* reserved.lock */
} reserved;

static void hear(int signal)
{
    (void)signal;
}

/* ---- The signal ---- */

static bool is_ours(int signal)
{
    struct sigaction now;
    return sigaction(signal, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
           now.sa_handler == hear;
}

/* One that the program blocks it may be taking by sigwait(3) or a signalfd.
 * Threads of pools block all, and so tell nothing of it. */
static bool is_blocked(int signal)
{
    sigset_t mask;
    if (coir_i_pool_thread_here())
        return false;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, signal) == 1;
}

static bool is_free(int signal)
{
    struct sigaction now;
    return !is_blocked(signal) && sigaction(signal, NULL, &now) == 0 &&
           !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
}

/* coir_signals_open refuses it.
 * relaxed: written under the lock, by us alone. */
static void own_signals(uint64_t set)
{
    store_relaxed(&coir_i_own_signals, set);
}

static int take_signal(void)
{
    struct sigaction ours = {.sa_handler = hear};
    for (int signal = SIGRTMAX; signal >= SIGRTMIN; signal--) {
        if (is_free(signal) && sigaction(signal, &ours, NULL) == 0) {
            reserved.signal = signal;
            own_signals(UINT64_C(1) << (signal - 1));
            return 0;
        }
    }
    return -EBUSY;
}

static void give_signal_back(void)
{
    struct sigaction none = {.sa_handler = SIG_DFL};
    own_signals(0);
    if (is_ours(reserved.signal))
        sigaction(reserved.signal, &none, NULL);
}

int coir_i_interrupt_begin(void)
{
    coir_i_mutex_lock(&reserved.lock);
    int rc = reserved.users ? 0 : take_signal();
    reserved.users += rc == 0;
    coir_i_mutex_unlock(&reserved.lock);
    return rc;
}

void coir_i_interrupt_end(void)
{
    coir_i_mutex_lock(&reserved.lock);
    if (--reserved.users == 0)
        give_signal_back();
    coir_i_mutex_unlock(&reserved.lock);
}

void coir_i_interrupt_forked(void)
{
    if (reserved.users)
        give_signal_back();
    reserved.users = 0;
    reserved.lock = (coir_i_mutex){0};
}

/* ---- One thread ---- */

static void change_mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, reserved.signal);
    pthread_sigmask(how, &set, NULL);
}

int coir_i_interrupter_open(coir_i_interrupter *me)
{
    int rc = coir_i_os_thread_timer(&me->timer, gettid(), reserved.signal);
    me->is_open = rc == 0;
    if (me->is_open)
        change_mask(SIG_UNBLOCK);
    return rc;
}

void coir_i_interrupter_close(coir_i_interrupter *me)
{
    if (!me->is_open)
        return;
    change_mask(SIG_BLOCK);
    timer_delete(me->timer);
}

void coir_i_interrupter_send(coir_i_interrupter *interrupter)
{
    const struct itimerspec at_once = {{0, AGAIN}, {0, 1}};
    if (!interrupter->is_open || interrupter->is_sending)
        return;
    timer_settime(interrupter->timer, 0, &at_once, NULL);
    interrupter->is_sending = true;
}

/* Signals that are pending are delivered before the mask is changed: the second
 * call is for one that fn has blocked. */
void coir_i_interrupter_settle(coir_i_interrupter *me)
{
    const struct itimerspec never = {{0, 0}, {0, 0}};
    timer_settime(me->timer, 0, &never, NULL);
    change_mask(SIG_UNBLOCK);
    me->is_sending = false;
}
