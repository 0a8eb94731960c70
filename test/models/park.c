/* test/models/park.c -- park and wake, for a C11 model checker
 *
 * A fiber performs WAITS waits. An I/O waker and (TIMER) a second waker have
 * tickets; a canceller sets the scope's flag and wakes whatever is parked. A
 * thread plays a worker: a fiber goes on in whichever thread makes it ready, as
 * a worker takes it from its own queue, or (THIEF) in another one. Checked:
 *   - the fiber is resumed once per wait, never twice, and (flag set, or waker
 *     bound to come) never not at all;
 *   - who resumes it sees its saved context and its stack; the fiber sees what
 *     its waker wrote. Plain accesses: GenMC reports a race if nothing orders
 *     them;
 *   - a ticket of an earlier wait wakes nobody.
 *
 * With SELECT the two wakers are two wait queues with a lock each, the fiber
 * waits in both, and a token given to a fiber that was already claimed stays in
 * its queue: none is lost, and at most one is taken.
 *
 * `cancelled` stands for the flag and the epoch of sched/scope.c. Not here: the
 * LOOK bit (look.pml).
 *
 * run
 * run -DTIMER
 * run -DTHIEF
 * run -DTIMER -DNOCANCEL -DWAITS=2
 * run -DSELECT -DTIMER
 * mutation -DFLAG_FIRST
 * mutation -DENQUEUE_ARMED
 * mutation -DO_ARM=acq_rel
 * mutation -DO_FLAG_LOAD=acquire
 * mutation -DO_FLAG_STORE=release
 * mutation -DO_CANCEL_LOAD=acquire
 * mutation -DO_COMMIT=relaxed
 * mutation -DO_CLAIM_PARKED=release
 * mutation -DO_RESUME=relaxed */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

void __VERIFIER_assume(int);

#define ORDER_(o) memory_order_##o
#define ORDER(o) ORDER_(o)

/* fiber: exchange of W. SC with O_FLAG_LOAD, against O_FLAG_STORE and
 * O_CANCEL_LOAD (store buffering). */
#ifndef O_ARM
#    define O_ARM seq_cst
#endif
/* fiber: publishes the ticket; the ARMED word comes with it. In wait queues
 * the lock does this. */
#ifndef O_TICKET
#    define O_TICKET release
#endif
#ifndef O_TICKET_LOAD
#    define O_TICKET_LOAD acquire
#endif
#ifndef O_FLAG_LOAD /* fiber: the cancelled flag, after arming */
#    define O_FLAG_LOAD seq_cst
#endif
/* fiber: claims itself. Its own thread goes on: nothing to publish. */
#ifndef O_SELF
#    define O_SELF relaxed
#endif
/* fiber: was it woken before it switched? Pairs with O_CLAIM_ARMED. */
#ifndef O_EARLY
#    define O_EARLY acquire
#endif
/* ARMED -> PARKED: publishes context and stack. Pairs with O_CLAIM_PARKED. */
#ifndef O_COMMIT
#    define O_COMMIT release
#endif
#ifndef O_COMMIT_FAIL /* the resume loads W again, with acquire */
#    define O_COMMIT_FAIL relaxed
#endif
#ifndef O_WAKE_LOAD
#    define O_WAKE_LOAD relaxed
#endif
/* ARMED -> NOTIF: publishes what the waker wrote. Pairs with O_EARLY,
 * O_RESUME. */
#ifndef O_CLAIM_ARMED
#    define O_CLAIM_ARMED release
#endif
/* PARKED -> NOTIF: acquires the context, publishes what the waker wrote. */
#ifndef O_CLAIM_PARKED
#    define O_CLAIM_PARKED acq_rel
#endif
#ifndef O_CLAIM_FAIL
#    define O_CLAIM_FAIL relaxed
#endif
#ifndef O_READY /* run queue: push / pop */
#    define O_READY release
#endif
#ifndef O_READY_POP
#    define O_READY_POP acquire
#endif
#ifndef O_RESUME /* fiber: the reason. Pairs with O_CLAIM_*. */
#    define O_RESUME acquire
#endif
/* fiber: RUN, seq + 1 (see timer.c: there it must be release) */
#ifndef O_RUN
#    define O_RUN release
#endif
#ifndef O_FLAG_STORE /* canceller */
#    define O_FLAG_STORE seq_cst
#endif
#ifndef O_CANCEL_LOAD
#    define O_CANCEL_LOAD seq_cst
#endif
#ifndef WAITS
#    define WAITS 1
#endif

enum { RUN, ARMED, PARKED, NOTIF };
enum { NONE, IO, TIMEOUT, CANCEL };
#define WORD(seq, reason, phase) ((seq) << 8 | (reason) << 4 | (phase))
#define SEQ(w) ((w) >> 8)
#define REASON(w) ((w) >> 4 & 15)
#define PHASE(w) ((w)&15)

static atomic_int W;
static atomic_int cancelled;
static atomic_int ticket[2]; /* seq + 1 of the published wait, 0: none */
static atomic_int ready;     /* THIEF: the run queue, seq + 1 */
static atomic_int ended;
static int context; /* plain: written before the commit, read by who resumes */
static int stack;   /* plain: the fiber's locals, wherever it runs */
static int cause;   /* plain: written by the canceller before the flag */
static int given[2][WAITS + 1]; /* plain: written by a waker before its claim */

#ifdef SELECT
static atomic_int lock[2];
static int listed[2], tokens[2]; /* plain: under the lock */
/* plain: on the fiber's stack; a node is its ticket, seq + 1 */
static int node[2], buffer[2];
static atomic_int got;

static void lock_queue(int i)
{
    int free = 0;
    __VERIFIER_assume(atomic_compare_exchange_strong_explicit(
        &lock[i], &free, 1, memory_order_acquire, memory_order_relaxed));
}

static void unlock_queue(int i)
{
    atomic_store_explicit(&lock[i], 0, memory_order_release);
}
#endif

static void fiber(int seq);

static void resume(int seq, int saved)
{
    if (saved) {
        assert(context == seq + 1);
        context = 0;
    }
    assert(stack == seq);

    int w = atomic_load_explicit(&W, ORDER(O_RESUME));
    int reason = REASON(w);
    assert(PHASE(w) == NOTIF && SEQ(w) == seq);
    if (reason == CANCEL)
        assert(cause == 9);
#ifdef SELECT
    for (int i = 0; i < 2; i++)
        if (reason != IO + i) { /* the winner has unlinked us */
            lock_queue(i);
            listed[i] = 0;
            unlock_queue(i);
        }
    if (reason == IO || reason == TIMEOUT) {
        assert(buffer[reason - IO] == 7); /* without the lock */
        atomic_fetch_add_explicit(&got, 1, memory_order_relaxed);
    }
    for (int i = 0; i < 2;
         i++) /* the stack is used again: nobody may look there now */
        node[i] = buffer[i] = 0;
#else
    if (reason == IO || reason == TIMEOUT)
        assert(given[reason - IO][seq] == 7);
#endif
    atomic_store_explicit(&W, WORD(seq + 1, NONE, RUN), ORDER(O_RUN));
    stack = seq + 1;
    fiber(seq + 1);
}

static void make_ready(int seq)
{
#ifdef THIEF
    atomic_store_explicit(&ready, seq + 1, ORDER(O_READY));
#else
    resume(seq, 1);
#endif
}

/* 0: lost, or not this wait. 1: claimed before it had parked: its own worker
 * goes on with it. 2: claimed, to be made ready. */
static int claim(int seq, int reason)
{
    int w = atomic_load_explicit(&W, ORDER(O_WAKE_LOAD));

    if (w == WORD(seq, NONE, ARMED) &&
        atomic_compare_exchange_strong_explicit(
            &W, &w, WORD(seq, reason, NOTIF), ORDER(O_CLAIM_ARMED),
            ORDER(O_CLAIM_FAIL)))
        return 1;
    if (w == WORD(seq, NONE, PARKED) &&
        atomic_compare_exchange_strong_explicit(
            &W, &w, WORD(seq, reason, NOTIF), ORDER(O_CLAIM_PARKED),
            ORDER(O_CLAIM_FAIL)))
        return 2;
    return 0;
}

static void fiber(int seq)
{
    int w;

    if (seq == WAITS) {
        atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
        return;
    }
#ifdef FLAG_FIRST /* wrong: the flag before the arm */
    int flag = atomic_load_explicit(&cancelled, ORDER(O_FLAG_LOAD));
#endif
    atomic_exchange_explicit(&W, WORD(seq, NONE, ARMED), ORDER(O_ARM));
#ifdef SELECT
    for (int i = 0; i < 2; i++) {
        lock_queue(i);
        if (tokens[i] > 0) { /* one is there: claim ourselves, then take it */
            w = WORD(seq, NONE, ARMED);
            if (atomic_compare_exchange_strong_explicit(
                    &W, &w, WORD(seq, IO + i, NOTIF), ORDER(O_SELF),
                    memory_order_relaxed)) {
                tokens[i]--;
                buffer[i] = 7;
            }
            unlock_queue(i);
            break;
        }
        node[i] = seq + 1;
        listed[i] = 1;
        unlock_queue(i);
    }
#else
    atomic_store_explicit(&ticket[0], seq + 1, ORDER(O_TICKET));
    atomic_store_explicit(&ticket[1], seq + 1, ORDER(O_TICKET));
#endif
#ifndef FLAG_FIRST
    int flag = atomic_load_explicit(&cancelled, ORDER(O_FLAG_LOAD));
#endif
    if (flag) {
        w = WORD(seq, NONE, ARMED);
        atomic_compare_exchange_strong_explicit(
            &W, &w, WORD(seq, CANCEL, NOTIF), ORDER(O_SELF),
            memory_order_relaxed);
    }
    if (PHASE(atomic_load_explicit(&W, ORDER(O_EARLY))) == NOTIF) {
        resume(seq, 0);
        return;
    }

    context = seq + 1; /* the switch; what follows runs on the target's stack */
    w = WORD(seq, NONE, ARMED);
    if (!atomic_compare_exchange_strong_explicit(
            &W, &w, WORD(seq, NONE, PARKED), ORDER(O_COMMIT),
            ORDER(O_COMMIT_FAIL)))
        make_ready(seq);
}

static void *fiber_thread(void *arg)
{
    (void)arg;
    fiber(0);
    return 0;
}

#ifdef SELECT
static void post(int i)
{
    int c = 0, seq = 0;

    lock_queue(i);
    tokens[i]++;
    if (listed[i]) {
        seq = node[i] - 1; /* all under the lock */
        listed[i] = 0;
        buffer[i] = 7;
        c = claim(seq, IO + i);
        if (c)
            tokens[i]--; /* else the next waiter gets it; there is none */
    }
    unlock_queue(i);
    if (c == 2)
        make_ready(seq);
}
#else
static void post(int i)
{
    int t = atomic_load_explicit(&ticket[i], ORDER(O_TICKET_LOAD));
#    ifdef NOCANCEL
    __VERIFIER_assume(
        t !=
        0); /* somebody has to wake it: wait until there is something to wake */
#    endif
    if (t == 0)
        return;
    given[i][t - 1] = 7;
/* wrong: makes ready what has not parked yet */
#    ifdef ENQUEUE_ARMED
    if (claim(t - 1, IO + i))
#    else
    if (claim(t - 1, IO + i) == 2)
#    endif
        make_ready(t - 1);
}
#endif

static void *io_waker(void *arg)
{
    (void)arg;
    post(0);
    return 0;
}

static void *timer_waker(void *arg)
{
    (void)arg;
    post(1);
    return 0;
}

static void *canceller(void *arg)
{
    (void)arg;
    cause = 9;
    atomic_store_explicit(&cancelled, 1, ORDER(O_FLAG_STORE));
    int w = atomic_load_explicit(&W, ORDER(O_CANCEL_LOAD));
    if ((PHASE(w) == ARMED || PHASE(w) == PARKED) && claim(SEQ(w), CANCEL) == 2)
        make_ready(SEQ(w));
    return 0;
}

static void *thief(void *arg)
{
    (void)arg;
    int r = atomic_exchange_explicit(&ready, 0, ORDER(O_READY_POP));
    if (r)
        resume(r - 1, 1);
    return 0;
}

int main(void)
{
    pthread_t f, n, t, c, s;

    pthread_create(&f, 0, fiber_thread, 0);
    pthread_create(&n, 0, io_waker, 0);
#ifdef TIMER
    pthread_create(&t, 0, timer_waker, 0);
#endif
#ifndef NOCANCEL
    pthread_create(&c, 0, canceller, 0);
#endif
#ifdef THIEF
    pthread_create(&s, 0, thief, 0);
#endif
    pthread_join(f, 0);
    pthread_join(n, 0);
#ifdef TIMER
    pthread_join(t, 0);
#endif
#ifndef NOCANCEL
    pthread_join(c, 0);
#endif
#ifdef THIEF
    pthread_join(s, 0);
    for (int i = 0; i < WAITS;
         i++) /* what is still in the queue, its worker takes */
        thief(0);
#endif
    assert(atomic_load_explicit(&ended, memory_order_relaxed) == 1);
    assert(atomic_load_explicit(&W, memory_order_relaxed) ==
           WORD(WAITS, NONE, RUN));
#ifdef SELECT
    int posted = 1;
#    ifdef TIMER
    posted++;
#    endif
    int n_got = atomic_load_explicit(&got, memory_order_relaxed);
    assert(n_got <= WAITS && n_got + tokens[0] + tokens[1] == posted);
#endif
    (void)t, (void)c, (void)s;
    return 0;
}
