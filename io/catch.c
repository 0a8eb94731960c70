/* io/catch.c -- signals are caught by a handler, which rings a bell
 *
 * Does       install one handler for each number that is wanted; ring; put the
 *            old dispositions back.
 * Does not   block a signal, or have a thread of its own.
 *
 * The handler sets its bit in `caught` and then rings. It touches the words of
 * `heard` alone, which are always there, and the ring, which is closed when no
 * handler is inside. In a process that did not install it (a fork that has not
 * come to its hook, a vfork, a clone) it puts the old disposition back there
 * and sends itself the signal again.
 *
 * Invariants
 *   S1  counts[n] is how often n is wanted; where it is not 0 the handler of n
 *       was installed, and before[n] is what was there just before that.
 *   S2  before[n] is written while no handler of ours is installed for n.
 *   S3  heard.ring is the bell's while that is open, else -1.
 *
 * Locks      the caller's.
 * Edges      catch.caught (dekker: the handler, and who looks)
 *            catch.inside (dekker: the handler, and who closes the bell)
 * Fails      begin: nothing is installed that was not before.
 * Tests      test/test_signals.c, test/stress_signals.c,
 *            test/models/bell.pml */
#include "io/catch.h"

#include "fiber/overflow.h"
#include "io/descriptor.h"
#include "io/sys.h"
#include "io/sys_process.h"

#include <sched.h>
#include <unistd.h>

/* What the handler touches. */
static struct {
    _Atomic(uint64_t) caught; /* and not yet taken */
    _Atomic(uint32_t) inside; /* handlers that may ring */
    _Atomic(int) ring;        /* see S3 */
    _Atomic(pid_t) process;   /* const while a handler is installed */
} heard = {.ring = -1};

static unsigned counts[COIR_I_SIGNALS];
static struct sigaction before[COIR_I_SIGNALS]; /* see S2 */

static struct {
    int fd; /* const while users > 0 */
    unsigned users;
} bell;

/* ---- The handler. */

static void ring_bell(void)
{
    /* @dekker catch.inside: before the ring is read. */
    fetch_add_seq_cst(&heard.inside, 1);
    /* @dekker catch.inside: after we are inside. */
    int ring = load_seq_cst(&heard.ring);
    if (ring >= 0)
        coir_i_sys_bell_ring(ring);
    /* @dekker catch.inside: we are done with the ring. */
    fetch_sub_release(&heard.inside, 1);
}

static void on_signal(int number)
{
    int *error_number = &errno, kept = *error_number;
    /* relaxed: const while a handler is installed. */
    if (getpid() != load_relaxed(&heard.process)) {
        sigaction(number, &before[number - 1], NULL);
        raise(number);
    } else {
        /* @dekker catch.caught: before it rings. */
        fetch_or_seq_cst(&heard.caught, coir_i_signal_bit(number));
        ring_bell();
    }
    *error_number = kept;
}

/* ---- Dispositions. */

bool coir_i_catch_refuses(int number)
{
    static const int refused[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,
                                  SIGILL,  SIGFPE,  SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (refused[i] == number)
            return true;
    }
    /* relaxed: it says nothing of anything else. */
    return load_relaxed(&coir_i_own_signals) & coir_i_signal_bit(number);
}

static bool is_ours(int number, struct sigaction *ret_now)
{
    return coir_i_sys_sigaction(number, NULL, ret_now) == 0 &&
           ret_now->sa_handler == on_signal;
}

static void put_back(int number)
{
    COIR_IGNORE(coir_i_sys_sigaction(number, &before[number - 1], NULL));
}

/* Install the handler where it is not: it may have been replaced. */
static int install(int number)
{
    struct sigaction now, ours = {.sa_handler = on_signal};
    int rc = coir_i_sys_sigaction(number, NULL, &now);
    if (rc < 0 || now.sa_handler == on_signal)
        return rc;
    ours.sa_flags = SA_RESTART | SA_ONSTACK;
    if (number == SIGCHLD) {
        /* What becomes of children is not changed by listening. */
        ours.sa_flags |= now.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
        if (now.sa_handler == SIG_IGN)
            ours.sa_flags |= SA_NOCLDWAIT;
    }
    sigfillset(&ours.sa_mask); /* no handler of the user's on top of ours */
    before[number - 1] = now;
    return coir_i_sys_sigaction(number, &ours, NULL);
}

/* One less wants each of these. A handler that came after ours stays. */
void coir_i_catch_end(uint64_t wanted)
{
    for (int n = 1; n <= COIR_I_SIGNALS; n++) {
        struct sigaction now;
        if ((wanted & coir_i_signal_bit(n)) && --counts[n - 1] == 0 &&
            is_ours(n, &now))
            put_back(n);
    }
}

int coir_i_catch_begin(uint64_t wanted)
{
    for (int n = 1; n <= COIR_I_SIGNALS; n++) {
        if (!(wanted & coir_i_signal_bit(n)))
            continue;
        int rc = install(n);
        if (rc < 0) {
            coir_i_catch_end(wanted & (coir_i_signal_bit(n) - 1));
            return rc;
        }
        counts[n - 1]++;
    }
    return 0;
}

/* ---- The bell. */

static int hang_bell(void)
{
    int ring, rc = coir_i_sys_bell(&bell.fd, &ring);
    if (rc < 0)
        return rc;
    rc = coir_i_descriptor_made(bell.fd, 0);
    if (rc < 0) {
        coir_i_descriptor_close(bell.fd);
        if (ring != bell.fd)
            coir_i_descriptor_close(ring);
        return rc;
    }
    /* relaxed: no handler is installed yet, sigaction(2) comes after. */
    store_relaxed(&heard.process, getpid());
    store_relaxed(&heard.ring, ring);
    return 0;
}

static void take_bell_down(void)
{
    unsigned spins = 0;
    /* @dekker catch.inside: before it is read who is inside. */
    int ring = exchange_seq_cst(&heard.ring, -1);
    /* @dekker catch.inside: after the ring was taken; a handler on another
     * thread needs a few instructions. */
    while (load_seq_cst(&heard.inside)) {
        if (++spins % 256)
            coir_i_pause();
        else
            sched_yield(); /* it may have lost its CPU */
    }
    coir_i_descriptor_close(bell.fd);
    if (ring != bell.fd)
        coir_i_descriptor_close(ring);
}

int coir_i_bell_open(void)
{
    int rc = bell.users ? 0 : hang_bell();
    bell.users += rc == 0;
    return rc;
}

void coir_i_bell_close(void)
{
    if (--bell.users == 0)
        take_bell_down();
}

int coir_i_bell(void)
{
    return bell.fd;
}

uint64_t coir_i_catch_take(void)
{
    /* @dekker catch.caught: after whoever looks was listed. */
    if (!load_seq_cst(&heard.caught))
        return 0;
    if (bell.users)
        coir_i_sys_bell_calm(bell.fd);
    /* @dekker catch.caught: after the bell is calm. */
    return exchange_seq_cst(&heard.caught, 0);
}

/* ---- After a fork. */

void coir_i_catch_forked(void)
{
    for (int n = 1; n <= COIR_I_SIGNALS; n++) {
        struct sigaction now;
        if (is_ours(n, &now))
            put_back(n);
        counts[n - 1] = 0;
    }
    /* relaxed: one thread. */
    int ring = exchange_relaxed(&heard.ring, -1);
    if (ring >= 0)
        coir_i_sys_close(ring);
    if (ring >= 0 && ring != bell.fd)
        coir_i_sys_close(bell.fd);
    bell.users = 0;
    store_relaxed(&heard.caught, 0);
    store_relaxed(&heard.inside, 0);
}
