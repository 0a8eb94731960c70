/* test/models/timer.c -- the sticky timer node, for a C11 model checker
 *
 * One node per fiber, left in the wheel when a wait ends early. The fiber waits
 * twice, each time with a deadline. The first wait may end early by I/O; its
 * node stays linked. The second is for nobody but the timer. One thread
 * advances the wheel to time 10; in the end, time is infinite. Checked: a wait
 * never times out before its own deadline, no timer is lost (both waits end),
 * and the fiber is resumed once per wait.
 *
 * Arm:  deadline = d; exchange W to ARMED; is the node linked later than d (or
 *       not at all)? then link it, under the lock.
 * Fire: under the lock, linked = NEVER; read W, then the deadline: none: drop;
 *       to come: link again; past: claim.
 * Each side stores, then looks: one of them sees the other. The fiber's
 * exchange of W, which it needs anyway, is its barrier, so the deadline itself
 * costs a plain store. With AFTER the deadline is stored after the exchange;
 * then the store has to be SC itself, an exchange more on x86.
 *
 * sched/timer.c does as PHASE_CHECK: it claims nobody that did not wait when it
 * read W.
 *
 * run
 * run -DLATER=10
 * run -DLATER=5
 * run -DPHASE_CHECK
 * run -DPHASE_CHECK -DO_RUN=relaxed
 * run -DAFTER -DO_DEADLINE=seq_cst -DO_FIRE_DEADLINE=seq_cst
 * mutation -DLINKED_FIRST -DLATER=5
 * mutation -DO_RUN=relaxed
 * mutation -DO_FIRE_W=acquire
 * mutation -DDEADLINE_FIRST
 * mutation -DAFTER */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

void __VERIFIER_assume(int);

#define ORDER_(o) memory_order_##o
#define ORDER(o) ORDER_(o)

/* fiber: before the exchange, which publishes it */
#ifndef O_DEADLINE
#    define O_DEADLINE relaxed
#endif
/* fiber: SC with O_LINKED, against O_FIRE and O_FIRE_W */
#ifndef O_ARM
#    define O_ARM seq_cst
#endif
#ifndef O_LINKED
#    define O_LINKED seq_cst
#endif
#ifndef O_DISARM
#    define O_DISARM relaxed
#endif
/* fiber: RUN, seq + 1. Publishes the disarming: else fire pairs the new seq
 * with the old deadline. */
#ifndef O_RUN
#    define O_RUN release
#endif
#ifndef O_FIRE /* wheel: linked = NEVER */
#    define O_FIRE seq_cst
#endif
/* wheel: W, for its seq. Acquires the deadline too. */
#ifndef O_FIRE_W
#    define O_FIRE_W seq_cst
#endif
#ifndef O_FIRE_DEADLINE
#    define O_FIRE_DEADLINE relaxed
#endif
#ifndef O_COMMIT
#    define O_COMMIT release
#endif
#ifndef O_CLAIM
#    define O_CLAIM acq_rel
#endif
/* the second deadline: 20 the node is linked earlier, 10 the same, 5 it has
 * to be moved */
#ifndef LATER
#    define LATER 20
#endif

enum { RUN, ARMED, PARKED, NOTIF, NEVER = 100, INFINITE = 99, WAITS = 2 };
enum { NONE, IO, TIMEOUT };
#define WORD(seq, reason, phase) ((seq) << 8 | (reason) << 4 | (phase))
#define SEQ(w) ((w) >> 8)
#define PHASE(w) ((w)&15)

static atomic_int W;
static atomic_int deadline = NEVER;
static atomic_int linked =
    NEVER; /* when the node will fire; written under the lock only */
static atomic_int lock;
static atomic_int ticket, ended;
static int context; /* plain */
static const int due[WAITS] = {10, LATER};

static void fiber(int seq);

static void lock_wheel(void)
{
    int free = 0;
    __VERIFIER_assume(atomic_compare_exchange_strong_explicit(
        &lock, &free, 1, memory_order_acquire, memory_order_relaxed));
}

static void unlock_wheel(void)
{
    atomic_store_explicit(&lock, 0, memory_order_release);
}

static void resume(int seq, int saved)
{
    if (saved)
        assert(context == seq + 1);
    int w = atomic_load_explicit(&W, memory_order_acquire);
    assert(PHASE(w) == NOTIF && SEQ(w) == seq);
    atomic_store_explicit(&deadline, NEVER, ORDER(O_DISARM));
    atomic_store_explicit(&W, WORD(seq + 1, NONE, RUN), ORDER(O_RUN));
    fiber(seq + 1);
}

static int claim(int seq, int reason)
{
    int w = atomic_load_explicit(&W, memory_order_relaxed);

    if (w == WORD(seq, NONE, ARMED) &&
        atomic_compare_exchange_strong_explicit(
            &W, &w, WORD(seq, reason, NOTIF), ORDER(O_CLAIM),
            memory_order_relaxed))
        return 1;
    if (w == WORD(seq, NONE, PARKED) &&
        atomic_compare_exchange_strong_explicit(
            &W, &w, WORD(seq, reason, NOTIF), ORDER(O_CLAIM),
            memory_order_relaxed))
        return 2;
    return 0;
}

static void fiber(int seq)
{
    if (seq == WAITS) {
        atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
        return;
    }
#ifdef LINKED_FIRST /* wrong: looks at the node before arming */
    int early = atomic_load_explicit(&linked, ORDER(O_LINKED));
#endif
#ifndef AFTER
    atomic_store_explicit(&deadline, due[seq], ORDER(O_DEADLINE));
#endif
    atomic_exchange_explicit(&W, WORD(seq, NONE, ARMED), ORDER(O_ARM));
#ifdef AFTER
    atomic_store_explicit(&deadline, due[seq], ORDER(O_DEADLINE));
#endif
    if (seq == 0)
        atomic_store_explicit(&ticket, 1, memory_order_release);
#ifndef LINKED_FIRST
    int early = atomic_load_explicit(&linked, ORDER(O_LINKED));
#endif
    if (early > due[seq]) {
        lock_wheel();
        if (atomic_load_explicit(&linked, memory_order_relaxed) > due[seq])
            atomic_store_explicit(&linked, due[seq], memory_order_relaxed);
        unlock_wheel();
    }
    if (PHASE(atomic_load_explicit(&W, memory_order_acquire)) == NOTIF) {
        resume(seq, 0);
        return;
    }
    context = seq + 1;
    int w = WORD(seq, NONE, ARMED);
    if (!atomic_compare_exchange_strong_explicit(
            &W, &w, WORD(seq, NONE, PARKED), ORDER(O_COMMIT),
            memory_order_relaxed))
        resume(seq, 1);
}

static void advance(int now)
{
    int ready = -1;

    lock_wheel();
    if (atomic_load_explicit(&linked, memory_order_relaxed) <= now) {
        atomic_store_explicit(&linked, NEVER, ORDER(O_FIRE));
#ifdef DEADLINE_FIRST /* the other order of the two loads */
        int d = atomic_load_explicit(&deadline, ORDER(O_FIRE_DEADLINE));
        int w = atomic_load_explicit(&W, ORDER(O_FIRE_W));
#else
        int w = atomic_load_explicit(&W, ORDER(O_FIRE_W));
        int d = atomic_load_explicit(&deadline, ORDER(O_FIRE_DEADLINE));
#endif
        int seq = SEQ(w);
/* not waiting: it will look at the node when it arms. Makes O_RUN relaxed
 * enough. */
#ifdef PHASE_CHECK
        if (PHASE(w) != ARMED && PHASE(w) != PARKED)
            d = NEVER;
#endif
        if (d == NEVER)
            ;
        else if (d > now)
            atomic_store_explicit(&linked, d, memory_order_relaxed);
        else {
            int c = claim(seq, TIMEOUT);
            if (c)
                assert(due[seq] <= now); /* not before its time */
            if (c == 2)
                ready = seq;
        }
    }
    unlock_wheel();
    if (ready >= 0)
        resume(ready, 1);
}

static void *fiber_thread(void *arg)
{
    (void)arg;
    fiber(0);
    return 0;
}

static void *io_thread(void *arg)
{
    (void)arg;
    if (atomic_load_explicit(&ticket, memory_order_acquire) &&
        claim(0, IO) == 2)
        resume(0, 1);
    return 0;
}

static void *wheel_thread(void *arg)
{
    (void)arg;
    advance(10);
#ifdef TWICE
    advance(TWICE);
#endif
    return 0;
}

int main(void)
{
    pthread_t a, b, c;

    pthread_create(&a, 0, fiber_thread, 0);
    pthread_create(&b, 0, io_thread, 0);
    pthread_create(&c, 0, wheel_thread, 0);
    pthread_join(a, 0);
    pthread_join(b, 0);
    pthread_join(c, 0);
    for (int i = 0; i < WAITS; i++)
        advance(INFINITE);
    assert(atomic_load_explicit(&ended, memory_order_relaxed) == 1);
    return 0;
}
