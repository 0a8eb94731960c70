/* sched/ready.c -- where a fiber that is ready waits for a worker
 *
 * Does       make ready, from any thread: to be the next, to the ring, to the
 *            inbox of the worker that it is pinned to, or to the global queue.
 *
 * Invariants
 *   Q1  a ready fiber is in one place; a pinned one only with its worker.
 *   Q2  who is made ready where others may take it is made known: a worker
 *       that sleeps is woken unless one is looking already. The exception is
 *       the one that runs next: it is about to run, and to let another worker
 *       take it costs ten times as much as to run it (the monitor looks after
 *       the rest).
 *
 * Locks      global.lock.
 * Edges      ready.next, ready.inbox (publish: put; observe: take)
 *            idle.sleep (dekker: with a worker that goes to sleep)
 * Fails      never.
 * Tests      test/stress_park.c, test/stress_steal.c */
#include "sched/worker.h"

static struct {
    coir_i_spin lock;
    coir_i_fiber *first, *last;
    _Atomic(uint64_t) length; /* under the lock; read without as a hint */
} global;

void coir_i_global_start(void)
{
    store_relaxed(&global.lock.taken, 0); /* a fork may have left it taken */
    global.first = global.last = NULL;
    store_relaxed(&global.length, 0);
}

bool coir_i_global_empty(void)
{
    return load_relaxed(&global.length) == 0;
}

void coir_i_global_put(coir_i_fiber *first, coir_i_fiber *last, unsigned count)
{
    last->next = NULL;
    coir_i_spin_lock(&global.lock);
    *(global.first ? &global.last->next : &global.first) = first;
    global.last = last;
    store_relaxed(&global.length, load_relaxed(&global.length) + count);
    coir_i_spin_unlock(&global.lock);
}

unsigned coir_i_global_take(coir_i_worker *w)
{
    if (coir_i_global_empty())
        return 0;
    coir_i_spin_lock(&global.lock);
    uint64_t length = load_relaxed(&global.length);
    unsigned room = COIR_I_RING - coir_i_ring_length(&w->ring);
    unsigned share = (unsigned)(length / coir_i_runtime.configured + 1);
    unsigned count = 0;
    share = share < room ? share : room;
    for (coir_i_fiber *f; count < share && (f = global.first); count++) {
        /* Before others see f: a thief may run it, and who wakes it then
         * links it elsewhere. */
        coir_i_fiber *next = f->next;
        if (!coir_i_ring_put(&w->ring, f))
            break;
        global.first = next;
    }
    store_relaxed(&global.length, length - count);
    coir_i_spin_unlock(&global.lock);
    return count;
}

/* Half of our ring goes to all. */
static __attribute__((cold, noinline)) void spill(coir_i_worker *w)
{
    coir_i_fiber *first, *last;
    unsigned count = coir_i_ring_spill(&w->ring, &first, &last);
    if (count)
        coir_i_global_put(first, last, count);
}

void coir_i_global_turn(coir_i_worker *w)
{
    enum { CROWDED = COIR_I_RING / 4, TURNS = 16 };
    unsigned room = COIR_I_RING - coir_i_ring_length(&w->ring);
    if (coir_i_likely(coir_i_global_empty()))
        return;
    if (room < CROWDED && ++w->turns % TURNS == 0)
        spill(w);
    coir_i_global_take(w);
}

/* To the end of our ring; if that is full, half of it goes to all first. */
static inline void put_last(coir_i_worker *w, coir_i_fiber *f)
{
    while (coir_i_unlikely(!coir_i_ring_put(&w->ring, f)))
        spill(w);
}

static void announce(void)
{
    /* @dekker idle.sleep: f is where a thief finds it. */
    fence_seq_cst();
    coir_i_wake_worker();
}

static void put_pinned(coir_i_worker *w, coir_i_fiber *f)
{
    f->next = NULL;
    *w->pinned_end = f;
    w->pinned_end = &f->next;
}

static void put_inbox(coir_i_worker *home, coir_i_fiber *f)
{
    coir_i_fiber *first = load_relaxed(&home->inbox);
    do {
        f->next = first;
        /* @publish ready.inbox: the fiber. */
    } while (!cas_release(&home->inbox, &first, f));
    /* @dekker idle.sleep: it is in the inbox; its worker looks there after it
     * has announced its sleep. */
    fence_seq_cst();
    coir_i_wake_this(home);
}

bool coir_i_inbox_take(coir_i_worker *w)
{
    if (load_relaxed(&w->inbox)) {
        coir_i_fiber *turned = NULL, *next;
        /* @observe ready.inbox: the fibers. */
        coir_i_fiber *f = exchange_acquire(&w->inbox, NULL);
        for (; f; f = next) { /* it is last in, first out */
            next = f->next;
            f->next = turned;
            turned = f;
        }
        for (f = turned; f; f = next) {
            next = f->next;
            put_pinned(w, f);
        }
    }
    return w->pinned != NULL;
}

static void make_ready(coir_i_fiber *f, bool soon)
{
    coir_i_worker *w = coir_i_worker_here();
    uint32_t home = load_relaxed(&f->home); /* relaxed: it waits, or is us */
    if (w)
        coir_i_count_up(&w->counts.wakes);
    if (coir_i_unlikely(home)) {
        if (w && home == w->id + 1)
            put_pinned(w, f);
        else
            put_inbox(&coir_i_runtime.workers[home - 1], f);
        return;
    }
    if (coir_i_unlikely(!w)) {
        coir_i_global_put(f, f, 1);
        announce();
        return;
    }
    if (soon && !w->gathering && w->thread.running->life) {
        f = coir_i_next_exchange(w, f);
        if (!f)
            return;
    }
    put_last(w, f);
    if (!w->gathering)
        announce();
}

void coir_i_ready(coir_i_fiber *f, bool soon)
{
    if (coir_i_likely(coir_i_worker_here() != NULL)) {
        make_ready(f, soon);
        return;
    }
    /* relaxed: f is queued after it, and the runtime ends after f has run. */
    fetch_add_relaxed(&coir_i_runtime.strangers, 1);
    make_ready(f, soon);
    /* @publish runtime.strangers: our last access to the workers. */
    fetch_sub_release(&coir_i_runtime.strangers, 1);
}

void coir_i_commit_ready(coir_i_thread *here, coir_i_fiber *left)
{
    coir_i_worker *w = (coir_i_worker *)here;
    if (coir_i_unlikely(load_relaxed(&left->home)))
        put_pinned(w, left);
    else
        put_last(w, left);
}
