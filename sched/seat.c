/* sched/seat.c -- the one seat in the poller, and the jumps of virtual time
 *
 * Does       let one worker at a time wait in the poller until the next timer;
 *            the poller that is there while io needs none, which is a futex.
 *
 * Invariants
 *   P1  seat != 0 while a worker is in poller.wait.
 *   P2  `until` is when the sleeper in the seat wakes by itself, COIR_NEVER
 *       while nobody sleeps there: whoever links an earlier timer sees it, or
 *       the sleeper sees the timer.
 *   P3  virtual time jumps only when every worker sleeps, nothing is out and
 *       the poller has nothing: then nothing can run before the next timer.
 *
 * Edges      idle.seat, idle.poller (dekker), timer.next (dekker),
 *            seat.poller (publish: install; observe: use)
 * Fails      never.
 * Tests      test/test_sleep.c, test/models/poller.pml */
#include "sched/seat.h"

#include "sched/clock.h"
#include "sched/deadlock.h"
#include "sched/runtime.h"

/* ---- the poller that needs no descriptors ---- */

static _Atomic(uint32_t) futex_woken;

static int futex_poll(coir_i_poller *poller, coir_time until)
{
    (void)poller;
    if (until && !load_relaxed(&futex_woken))
        coir_i_futex_wait(&futex_woken, 0, until);
    store_relaxed(&futex_woken, 0);
    return 0;
}

static void futex_kick(coir_i_poller *poller)
{
    (void)poller;
    store_relaxed(&futex_woken, 1);
    coir_i_futex_wake(&futex_woken, 1);
}

static coir_i_poller futex_poller = {futex_poll, futex_kick};

/* ---- the seat ---- */

static const coir_time RETRY = 10000000; /* ns, for a stack that was refused */

static struct {
    _Atomic(coir_i_poller *) poller;
    _Atomic(uint32_t) taken; /* by worker taken - 1 */
    _Atomic(coir_time) until;
} seat;

void coir_i_seat_start(void)
{
    store_relaxed(&seat.poller, &futex_poller);
    store_relaxed(&seat.taken, 0);
    store_relaxed(&seat.until, COIR_NEVER);
}

static coir_i_poller *poller_now(void)
{
    /* @observe seat.poller: it is ready to be used. */
    return load_acquire(&seat.poller);
}

void coir_i_poller_install(coir_i_poller *poller)
{
    coir_i_poller *old = poller_now();
    /* @publish seat.poller: it is ready to be used. */
    store_release(&seat.poller, poller);
    old->wake(old);
}

bool coir_i_seat_sit_down(coir_i_worker *w)
{
    uint32_t nobody = 0;
    /* @observe idle.seat: the last one's waits are over. */
    return cas_acquire(&seat.taken, &nobody, w->id + 1);
}

void coir_i_seat_stand_up(void)
{
    /* @publish idle.seat: our waits are over. */
    store_release(&seat.taken, 0);
}

bool coir_i_seat_empty(void)
{
    return load_relaxed(&seat.taken) == 0;
}

void coir_i_seat_wake(void)
{
    coir_i_poller *poller = poller_now();
    poller->wake(poller);
}

int coir_i_poll_now(coir_i_worker *w)
{
    coir_i_poller *poller = poller_now();
    int woken = 0;
    if (poller != &futex_poller && coir_i_seat_sit_down(w)) {
        coir_i_count_up(&w->counts.polls);
        woken = poller->wait(poller, 0);
        coir_i_seat_stand_up();
    }
    return woken;
}

static coir_time first_timer(void)
{
    coir_time first = COIR_NEVER;
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        /* @dekker timer.next: after `until` was stored. */
        coir_time next = load_seq_cst(&coir_i_runtime.workers[i].wheel.next);
        if (next < first)
            first = next;
    }
    return first;
}

void coir_i_idle_timer(coir_time at)
{
    /* @dekker timer.next: after the wheel's next was stored. */
    coir_time until = load_seq_cst(&seat.until);
    if (at < until && until != COIR_NEVER)
        coir_i_seat_wake();
}

static bool all_sleep(void)
{
    /* @dekker runtime.outside: in order with the other questions. */
    return coir_i_idle_all_sleep(load_seq_cst(&coir_i_idle_state));
}

void coir_i_seat_tell(void)
{
    if (all_sleep() &&
        (coir_i_clock_is_virtual() || coir_i_deadlock_suspected()))
        coir_i_seat_wake();
}

/* A child that waits for a stack is nothing that could run. */
static bool is_anything_queued(bool wants_stack)
{
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        coir_i_worker *v = &coir_i_runtime.workers[i];
        if (load_relaxed(&v->inbox) ||
            (!wants_stack && coir_i_nest_more_than(&v->nest, 0)))
            return true;
    }
    return !coir_i_global_empty() || coir_i_runtime_has_starts();
}

static bool is_outside(void)
{
    /* @observe runtime.outside: who was woken by those who have come back. */
    return load_acquire(&coir_i_runtime.outside) != 0;
}

/* Sleep on the virtual clock, until `look` of the real one at most; or jump, if
 * nothing else can happen. */
static void sleep_virtually(coir_i_worker *w, coir_i_poller *poller,
                            coir_time look)
{
    /* @dekker runtime.outside: after our sleep was announced. */
    fence_seq_cst();
    if (!all_sleep() || load_relaxed(&coir_i_runtime.outside)) {
        poller->wait(poller, look);
        return;
    }
    /* The last question last: whoever was woken meanwhile does not sleep. */
    if (poller->wait(poller, 0) || load_relaxed(&w->token) ||
        is_anything_queued(w->wants_stack) || is_outside() || !all_sleep())
        return;
    coir_time first = first_timer();
    if (first == COIR_NEVER)
        poller->wait(poller, look);
    else
        coir_i_clock_jump(first);
}

void coir_i_seat_sleep(coir_i_worker *w)
{
    coir_i_poller *poller = poller_now();
    /* @dekker idle.poller: before the token is read. */
    store_seq_cst(&w->in_poller, true);
    /* @dekker timer.next: before the timers are read. INT64_MAX - 1: for ever,
     * but somebody sleeps here. */
    store_seq_cst(&seat.until, COIR_NEVER - 1);
    coir_time until = first_timer();
    if (until != COIR_NEVER)
        store_relaxed(&seat.until, until); /* later ones need no wake */
    bool is_virtual = coir_i_clock_is_virtual();
    coir_time look = is_virtual ? COIR_NEVER : coir_i_fibers_trim_at();
    if (w->wants_stack)
        look = coir_i_sys_now() + RETRY;
    w->gathering = true;
    /* @dekker idle.poller: after in_poller was stored. */
    coir_time ask = load_seq_cst(&w->token) ? 0 : coir_i_deadlock_look();
    look = ask < look ? ask : look;
    if (ask) {
        coir_i_count_up(&w->counts.polls);
        if (is_virtual)
            sleep_virtually(w, poller, look);
        else
            poller->wait(poller, until < look ? until : look);
        coir_i_deadlock_looked();
    }
    w->gathering = false;
    store_relaxed(&seat.until, COIR_NEVER);
    store_relaxed(&w->in_poller, false);
}
