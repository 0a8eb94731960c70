/* test/models/idle.c -- workers fall asleep and are woken, for a C11 checker
 *
 * Whoever makes work available pushes it, then looks for somebody to wake.
 * Whoever finds no work says that it sleeps, then looks again. Checked: when
 * all threads have stopped, no item waits in a queue while a worker sleeps
 * without a token. A worker that took an item computes for ever, and helps
 * nobody any more (but in PROG 3 and 6).
 *
 *   PROG 1  one producer, one worker that looks for work: the Dekker pair alone
 *   PROG 2  two items, a worker that looks for work, and one asleep: the last
 *           spinner that finds work must wake another
 *   PROG 3  two producers, one worker; items are short, so that it goes to
 *           sleep, is woken, and sleeps again
 *   PROG 4  the poller sleeps until the next timer while another worker arms an
 *           earlier one
 *   PROG 5  one producer of two items, two workers looking for work (minutes)
 *   PROG 6  as 3, and a spinner that has found work and leaves: as the last it
 *           wakes, without a fence (minutes)
 *
 * The orders of the announcement and the fences are those of sched/idle.c;
 * there the list of sleepers is under a lock, and who spins is a watcher.
 *
 * run -DPROG=1
 * run -DPROG=2
 * run -DPROG=3
 * run -DPROG=4
 * run -DPROG=5
 * run -DPROG=6
 * mutation -DPROG=1 -DNO_RECHECK
 * mutation -DPROG=1 -DNO_SUBMIT_FENCE
 * mutation -DPROG=1 -DNO_SLEEP_FENCE
 * mutation -DPROG=2 -DNO_LAST_SPINNER
 * mutation -DPROG=3 -DO_MASK_SET=relaxed
 * mutation -DPROG=4 -DNO_SLEEP_FENCE
 * mutation -DPROG=4 -DNO_SUBMIT_FENCE
 * mutation -DPROG=5 -DGIVE_UP */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

void __VERIFIER_assume(int);

#define ORDER_(o) memory_order_##o
#define ORDER(o) ORDER_(o)

#ifndef O_PUSH
#    define O_PUSH release
#endif
/* submit: the item, then spinning and mask. Against O_SLEEP_FENCE. */
#ifndef O_SUBMIT_FENCE
#    define O_SUBMIT_FENCE seq_cst
#endif
/* worker: mask and spinning, then every source */
#ifndef O_SLEEP_FENCE
#    define O_SLEEP_FENCE seq_cst
#endif
/* worker: its idle bit. Release: it has consumed its last token before;
 * pairs with O_CLAIM_BIT. */
#ifndef O_MASK_SET
#    define O_MASK_SET release
#endif
/* worker: spinning - 1, going to sleep: publishes its idle bit to the next
 * that leaves spinning ... */
#ifndef O_SPIN_LEAVE
#    define O_SPIN_LEAVE release
#endif
/* ... having found work: if it was the last, it must see that bit and wake */
#ifndef O_SPIN_FOUND
#    define O_SPIN_FOUND acquire
#endif
/* waker: clears the bit of who it wakes. Acquire: its token comes after the
 * one consumed before, else the worker, having consumed that, overwrites
 * ours and sleeps. */
#ifndef O_CLAIM_BIT
#    define O_CLAIM_BIT acquire
#endif
#ifndef O_WITHDRAW /* worker: clears its own bit */
#    define O_WITHDRAW relaxed
#endif
#ifndef O_TOKEN
#    define O_TOKEN release
#endif
#ifndef O_TOKEN_TAKE
#    define O_TOKEN_TAKE acquire
#endif
#ifndef PROG
#    define PROG 1
#endif

#if PROG == 1
enum { ITEMS = 1, WORKERS = 1, ROUNDS = 2 };
#elif PROG == 3 || PROG == 6
enum { ITEMS = 2, WORKERS = 1, ROUNDS = 4 };
#else
enum { ITEMS = 2, WORKERS = 2, ROUNDS = 3 };
#endif

static atomic_int queue[ITEMS]; /* 0 not there yet, 1 waits, 2 taken */
static int work[ITEMS];         /* plain: what is to be done */
static atomic_int spinning;     /* workers that look for work */
static atomic_int mask;         /* idle bits */
static atomic_int token[WORKERS];
static int asleep[WORKERS]; /* plain: for the check at the end */

static void wake_one(void)
{
    if (atomic_load_explicit(&spinning, memory_order_relaxed) != 0)
        return; /* who spins will look again, or wake another */
    int m = atomic_load_explicit(&mask, memory_order_relaxed);
    while (m) {
        int k = m & 1 ? 0 : 1;
        m = atomic_fetch_and_explicit(&mask, ~(1 << k), ORDER(O_CLAIM_BIT));
        if (m & 1 << k) {
            atomic_fetch_add_explicit(&spinning, 1,
                                      memory_order_relaxed); /* on its behalf */
            atomic_store_explicit(&token[k], 1,
                                  ORDER(O_TOKEN)); /* and futex, or eventfd */
            return;
        }
/* wrong: it woke by itself, but another one sleeps (PROG 5) */
#ifdef GIVE_UP
        return;
#endif
    }
}

static void submit(int i)
{
    work[i] = 10 + i;
    atomic_store_explicit(&queue[i], 1, ORDER(O_PUSH));
#ifndef NO_SUBMIT_FENCE
    atomic_thread_fence(ORDER(O_SUBMIT_FENCE));
#endif
    wake_one();
}

static int take(void)
{
    for (int i = 0; i < ITEMS; i++) {
        int there = 1;
        if (atomic_load_explicit(&queue[i], memory_order_relaxed) == 1 &&
            atomic_compare_exchange_strong_explicit(&queue[i], &there, 2,
                                                    memory_order_acquire,
                                                    memory_order_relaxed)) {
            assert(work[i] == 10 + i);
            return 1;
        }
    }
    return 0;
}

static int any(void)
{
    for (int i = 0; i < ITEMS; i++)
        if (atomic_load_explicit(&queue[i], memory_order_relaxed) == 1)
            return 1;
    return 0;
}

static void leave_found(void)
{
    if (atomic_fetch_sub_explicit(&spinning, 1, ORDER(O_SPIN_FOUND)) != 1)
        return;
#ifdef FOUND_FENCE
    atomic_thread_fence(memory_order_seq_cst);
#endif
#ifndef NO_LAST_SPINNER
    wake_one();
#endif
}

static void worker(int k) /* enters spinning, already counted */
{
    for (int round = 0; round < ROUNDS; round++) {
        if (take()) {
            leave_found();
#if PROG == 3 || PROG == 6
            atomic_fetch_add_explicit(&spinning, 1, memory_order_relaxed);
            continue;
#else
            return;
#endif
        }
        atomic_fetch_or_explicit(&mask, 1 << k, ORDER(O_MASK_SET));
        atomic_fetch_sub_explicit(&spinning, 1, ORDER(O_SPIN_LEAVE));
#ifndef NO_SLEEP_FENCE
        atomic_thread_fence(ORDER(O_SLEEP_FENCE));
#endif
#ifdef NO_RECHECK
        asleep[k] = 1;
        return;
#endif
        if (!any()) {
            asleep[k] = 1;
            return;
        }
        if (atomic_fetch_and_explicit(&mask, ~(1 << k), ORDER(O_WITHDRAW)) &
            1 << k) {
/* wrong: takes the item without becoming a spinner, so that nobody wakes
 * another */
#ifdef NOT_SPINNING
            take();
            return;
#endif
            atomic_fetch_add_explicit(&spinning, 1, memory_order_relaxed);
        } else /* who woke us meanwhile has counted us */
            __VERIFIER_assume(atomic_exchange_explicit(
                                  &token[k], 0, ORDER(O_TOKEN_TAKE)) == 1);
    }
    __VERIFIER_assume(0); /* more rounds than this model follows */
}

#if PROG == 4
/*
 * The poller says until when it will sleep, then looks at every worker's next
 * timer. A worker stores its next timer, then looks whether the poller sleeps
 * longer than that. (The clock is left out.)
 */
static atomic_int until;      /* 0: nobody polls */
static atomic_int next_timer; /* 0: none */
static atomic_int kicked;     /* eventfd */
static int slept_until;

static void *poller(void *arg)
{
    (void)arg;
    atomic_store_explicit(&until, 100, memory_order_relaxed);
#    ifndef NO_SLEEP_FENCE
    atomic_thread_fence(ORDER(O_SLEEP_FENCE));
#    endif
    int next = atomic_load_explicit(&next_timer, memory_order_relaxed);
    slept_until = next ? next : 100;
    return 0;
}

static void *arms(void *arg)
{
    (void)arg;
    atomic_store_explicit(&next_timer, 50, memory_order_relaxed);
#    ifndef NO_SUBMIT_FENCE
    atomic_thread_fence(ORDER(O_SUBMIT_FENCE));
#    endif
    if (atomic_load_explicit(&until, memory_order_relaxed) > 50)
        atomic_store_explicit(&kicked, 1, memory_order_relaxed);
    return 0;
}

int main(void)
{
    pthread_t a, b;

    pthread_create(&a, 0, poller, 0);
    pthread_create(&b, 0, arms, 0);
    pthread_join(a, 0);
    pthread_join(b, 0);
    assert(slept_until <= 50 ||
           atomic_load_explicit(&kicked, memory_order_relaxed));
    return 0;
}
#else

static void *producer(void *arg)
{
    (void)arg;
    submit(0);
#    if PROG == 2 || PROG == 5
    submit(1);
#    endif
    return 0;
}

static void *producer2(void *arg)
{
    (void)arg;
    submit(1);
    return 0;
}

static void *worker0(void *arg)
{
    (void)arg;
    worker(0);
    return 0;
}

static void *worker1(void *arg)
{
    (void)arg;
#    if PROG == 6
    leave_found();
#    else
    worker(1);
#    endif
    return 0;
}

int main(void)
{
    pthread_t a, b, c, d;

#    if PROG == 5 || PROG == 6
    atomic_store_explicit(&spinning, 2, memory_order_relaxed);
#    else
    atomic_store_explicit(&spinning, 1, memory_order_relaxed);
#    endif
#    if PROG == 2
    atomic_store_explicit(&mask, 2, memory_order_relaxed); /* worker 1 sleeps */
    asleep[1] = 1;
#    endif
    pthread_create(&a, 0, producer, 0);
    pthread_create(&b, 0, worker0, 0);
#    if PROG == 5 || PROG == 6
    pthread_create(&c, 0, worker1, 0);
#    endif
#    if PROG == 3 || PROG == 6
    pthread_create(&d, 0, producer2, 0);
#    endif
    pthread_join(a, 0);
    pthread_join(b, 0);
#    if PROG == 5 || PROG == 6
    pthread_join(c, 0);
#    endif
#    if PROG == 3 || PROG == 6
    pthread_join(d, 0);
#    endif
    int sleepers = 0, woken = 0;
    for (int k = 0; k < WORKERS; k++) {
        sleepers += asleep[k];
        woken +=
            asleep[k] && atomic_load_explicit(&token[k], memory_order_relaxed);
    }
    if (any()) /* who is woken will find it, spinning, and wake the next */
        assert(sleepers == 0 || woken > 0);
    (void)c, (void)d, (void)producer2, (void)worker1;
    return 0;
}
#endif
