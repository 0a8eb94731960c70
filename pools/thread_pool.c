/* pools/thread_pool.c -- the threads of a pool
 *
 * Does       make threads when calls wait, run the calls' items on them, end
 *            them when they are idle or the pool stops.
 * Does not   allocate: a call lies where its caller has it, a thread's node on
 *            the thread's own stack.
 *
 *   an item    waiting --a thread--> running --fn returns--> over
 *                 |
 *                 +--its caller is cancelled, another fails--> dropped
 *   a thread   made --> seeking --> calling --> seeking --> asleep --> ended
 *                                                  ^          |
 *                                                  +--woken---+
 *
 * Invariants
 *   T1  a call is in the queue exactly while it has items that wait.
 *   T2  nobody sleeps, or seeking >= min(waiting, cpus): an item does not wait
 *       beside a thread that sleeps, unless as many as there are CPUs are on
 *       their way; of the items of one call, unless one is, who takes an item
 *       and sends the next. `seeking` counts the threads that will look at the
 *       queue once more before they sleep or end: who seeks, who was woken,
 *       who is being made. Whoever lets waiting grow or seeking shrink sees to
 *       it: who appends a call, who takes an item, who cannot make a thread.
 *   T3  a caller leaves only when its call is over, or has been left to the
 *       thread that runs it: what it lent the call is not used any more.
 *   T4  threads > 0 while an item waits.
 *   T5  whoever has to do with the pool is a thread of it, or counted in
 *       `holds` or `comers`, or has a call in the queue; when all that is none,
 *       a pool that stops is ended, and whoever found that does not touch it
 *       again. (`comers` may be below 0 for a moment, so it counts no others.)
 *
 * Locks      pool.lock; nobody is woken and nothing is called under it.
 * Fails      a thread cannot be made: if there are others the call waits for
 *            one of them, else every call in the queue comes back with why.
 * Tests      test/test_threads.c, test_thread_pool.c, stress_thread_pool.c;
 *            test/models/thread_pool.pml; bench/bench_pools.c */
#include "pools/thread_pool.h"

#include "sched/clock.h"
#include "sched/module.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

enum { SPIN = 20000 /* ns */ };

/* Threads of pools run no fibers, so a thread-local is as good as any. */
static _Thread_local coir_i_pool_thread *thread_here;

coir_i_pool_thread *coir_i_pool_thread_here(void)
{
    return thread_here;
}

void coir_i_pool_thread_set(coir_i_pool_thread *me)
{
    thread_here = me;
}

/* ---- The queue, under pool.lock ---- */

static void count_waiting(coir_i_thread_pool *pool, size_t more)
{
    /* relaxed: written under the lock; without it a hint to who spins. */
    store_relaxed(&pool->waiting, load_relaxed(&pool->waiting) + more);
}

static void append_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    call->next = NULL;
    call->prev = pool->last;
    *pool->last = call;
    pool->last = &call->next;
    count_waiting(pool, call->waiting);
}

static void remove_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    *call->prev = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        pool->last = call->prev;
}

void coir_i_thread_pool_drop(coir_i_thread_pool *pool, coir_i_call *call)
{
    if (call->waiting == 0)
        return;
    remove_call(pool, call);
    count_waiting(pool, -call->waiting);
    call->waiting = 0;
}

/* The next item for me, who was seeking; false: none waits. */
static bool take_item(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    coir_i_call *call = pool->first;
    if (!call)
        return false;
    me->call = call;
    me->item = call->item;
    call->running++;
    if (--call->waiting)
        call->item += call->size;
    else
        remove_call(pool, call);
    count_waiting(pool, (size_t)-1);
    pool->seeking--;
    return true;
}

/* ---- Idle threads ---- */

static void push_idler(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    store_relaxed(&me->woken, 0);
    me->next_idle = pool->idlers;
    me->prev_idle = &pool->idlers;
    if (me->next_idle)
        me->next_idle->prev_idle = &me->next_idle;
    pool->idlers = me;
    pool->seeking--;
}

static void remove_idler(coir_i_pool_thread *idler)
{
    *idler->prev_idle = idler->next_idle;
    if (idler->next_idle)
        idler->next_idle->prev_idle = idler->prev_idle;
}

/* The one that slept least, seeking again; NULL: nobody sleeps. To be woken
 * by its word's address alone once the lock is free: then it may be gone. */
coir_i_pool_thread *coir_i_thread_pool_call_idler(coir_i_thread_pool *pool)
{
    coir_i_pool_thread *idler = pool->idlers;
    if (!idler)
        return NULL;
    remove_idler(idler);
    pool->seeking++;
    /* relaxed: under the lock, like the sleeper's reading of it. */
    store_relaxed(&idler->woken, 1);
    return idler;
}

static void spin_for_item(coir_i_thread_pool *pool)
{
    coir_time until = coir_i_sys_now() + SPIN;
    do {
        for (int i = 0; i < 32; i++) {
            /* relaxed: a hint, the lock is taken before it is believed. */
            if (load_relaxed(&pool->waiting))
                return;
            coir_i_pause();
        }
        sched_yield(); /* the worker may need this CPU to call */
    } while (coir_i_sys_now() < until);
}

/* Sleep until somebody calls; false: nobody did for too long, or the pool
 * stops, and the thread, which seeks no more, is to end. */
static bool sleep_for_item(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    if (pool->stopping) {
        pool->seeking--;
        return false;
    }
    push_idler(pool, me);
    coir_time until = coir_i_time_add(coir_i_sys_now(), pool->idle);
    do {
        coir_i_mutex_unlock(&pool->lock);
        coir_i_futex_wait(&me->woken, 0, until);
        coir_i_mutex_lock(&pool->lock);
        /* relaxed: under the lock. */
        if (load_relaxed(&me->woken))
            return true;
    } while (coir_i_sys_now() < until);
    remove_idler(me);
    return false;
}

/* An item to run; false: the thread, which was seeking, is to end. Under
 * pool.lock, which it gives up in between. */
static bool seek_item(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    bool found = take_item(pool, me);
    if (!found && pool->cpus > 1 && !pool->spinning && !pool->stopping) {
        pool->spinning = true;
        coir_i_mutex_unlock(&pool->lock);
        spin_for_item(pool);
        coir_i_mutex_lock(&pool->lock);
        pool->spinning = false;
        found = take_item(pool, me);
    }
    while (!found && sleep_for_item(pool, me))
        found = take_item(pool, me);
    return found;
}

/* ---- More threads ---- */

static void *be_thread(void *arg);

/* Threads of pools take no signals but those of their own faults. */
static int create_thread(coir_i_thread_pool *pool)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGTRAP, SIGABRT, SIGSYS};
    sigset_t mask, before;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&mask, faults[i]);
    pthread_t thread;
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    int error = pthread_create(&thread, NULL, be_thread, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

/* Not under the lock: the call is over, and ticket was that of its caller. */
static void wake_caller(coir_i_thread_pool *pool, coir_i_ticket ticket)
{
    bool is_awaited = coir_i_outside_wake(ticket, COIR_I_WOKEN);
    if (is_awaited)
        return;
    coir_i_mutex_lock(&pool->lock); /* it is cancelled, and looks here */
    pool->comers++;
    coir_i_thread_pool_unlock(pool);
}

/* Under pool.lock, which it gives up in between: nobody will make the calls
 * that wait. */
static void refuse_calls(coir_i_thread_pool *pool, int why)
{
    while (pool->threads == 0 && pool->first) { /* T4 */
        coir_i_call *call = pool->first;
        coir_i_thread_pool_drop(pool, call);
        if (call->result >= 0)
            call->result = why;
        coir_i_ticket ticket = call->ticket;
        pool->holds++;
        coir_i_mutex_unlock(&pool->lock);
        wake_caller(pool, ticket);
        coir_i_mutex_lock(&pool->lock);
        pool->holds--;
    }
}

/* Under pool.lock, which it gives up in between: a thread that was counted on
 * does not come. Whom to wake instead, or NULL. */
static coir_i_pool_thread *do_without(coir_i_thread_pool *pool, int why)
{
    coir_i_pool_thread *idler = NULL;
    pool->seeking--;
    pool->threads--;
    if (load_relaxed(&pool->waiting) > pool->seeking) /* T2 */
        idler = coir_i_thread_pool_call_idler(pool);
    refuse_calls(pool, why);
    return idler;
}

static void give_up_thread(coir_i_thread_pool *pool, int why)
{
    coir_i_mutex_lock(&pool->lock);
    coir_i_pool_thread *idler = do_without(pool, why);
    coir_i_thread_pool_unlock(pool);
    if (idler)
        coir_i_futex_wake(&idler->woken, 1);
}

/* Who comes to help, by T2. */
struct help {
    coir_i_pool_thread *idler;
    bool new_thread;
};

/* Under pool.lock. */
static struct help call_help(coir_i_thread_pool *pool)
{
    struct help help = {NULL, false};
    if (load_relaxed(&pool->waiting) <= pool->seeking ||
        pool->seeking >= pool->cpus)
        return help;
    help.idler = coir_i_thread_pool_call_idler(pool);
    if (!help.idler && pool->threads < pool->max) {
        pool->threads++;
        pool->seeking++;
        help.new_thread = true;
    }
    return help;
}

static void send_help(coir_i_thread_pool *pool, struct help help)
{
    if (help.idler)
        coir_i_futex_wake(&help.idler->woken, 1);
    int rc = help.new_thread ? create_thread(pool) : 0;
    if (rc < 0)
        give_up_thread(pool, rc);
}

int coir_i_thread_pool_submit(coir_i_thread_pool *pool, coir_i_call *call)
{
    coir_i_mutex_lock(&pool->lock);
    if (pool->stopping) {
        coir_i_mutex_unlock(&pool->lock);
        return -EPIPE;
    }
    append_call(pool, call);
    struct help help = call_help(pool);
    coir_i_mutex_unlock(&pool->lock);
    send_help(pool, help);
    return 0;
}

void coir_i_thread_pool_interrupt(coir_i_thread_pool *pool, coir_i_call *call)
{
    if (!pool->interrupts || !call->interrupts)
        return;
    for (coir_i_pool_thread *t = pool->all; t; t = t->next) {
        if (t->call == call)
            coir_i_interrupter_send(&t->interrupter);
    }
}

/* ---- A thread ---- */

/* Run my item: pool.lock is held after it, and no signal comes any more. */
static int run_item(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    int rc = me->call->fn(me->item);
    coir_i_mutex_lock(&pool->lock);
    me->call = NULL;
    if (pool->interrupts && me->interrupter.is_sending) {
        coir_i_mutex_unlock(&pool->lock);
        coir_i_interrupter_settle(&me->interrupter);
        coir_i_mutex_lock(&pool->lock);
    }
    return rc;
}

/* Under pool.lock: an item of the call came to rc. */
static void settle_item(coir_i_thread_pool *pool, coir_i_call *call, int rc)
{
    call->running--;
    if (!call->is_each) {
        call->result = rc;
    } else if (rc < 0 && call->result >= 0) {
        call->result = rc;
        coir_i_thread_pool_drop(pool, call);
    }
}

/* Run my item, wake who waits for it, and go on with the item that waits next;
 * false: none did, and the thread is seeking. */
static bool make_call(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    coir_i_call *call = me->call;
    int rc = run_item(pool, me);
    settle_item(pool, call, rc);
    bool is_over = coir_i_call_is_over(call), is_left = call->is_left;
    coir_i_ticket ticket = call->ticket;
    pool->seeking++;
    bool found = take_item(pool, me);
    struct help help = call_help(pool);
    coir_i_mutex_unlock(&pool->lock);

    if (is_over && is_left)
        call->abandon(call);
    else if (is_over)
        wake_caller(pool, ticket);
    send_help(pool, help);
    return found;
}

/* Its last act is to join the one that ended before it: nobody else does. */
static void end_thread(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    bool has_before = pool->has_ended;
    pthread_t before = pool->ended;
    *me->prev = me->next;
    if (me->next)
        me->next->prev = me->prev;
    pool->ended = pthread_self();
    pool->has_ended = !pool->is_left;
    if (pool->is_left)
        pthread_detach(pthread_self());
    pool->threads--;
    coir_i_thread_pool_unlock(pool);
    if (has_before)
        pthread_join(before, NULL);
}

static void link_thread(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    me->next = pool->all;
    me->prev = &pool->all;
    if (me->next)
        me->next->prev = &me->next;
    pool->all = me;
}

/* Under pool.lock, which it gives up in between. */
static void run_items(coir_i_thread_pool *pool, coir_i_pool_thread *me)
{
    while (seek_item(pool, me)) {
        struct help help = call_help(pool);
        coir_i_mutex_unlock(&pool->lock);
        send_help(pool, help);
        while (make_call(pool, me)) {
        }
        coir_i_mutex_lock(&pool->lock);
    }
}

static void *be_thread(void *arg)
{
    coir_i_thread_pool *pool = arg;
    coir_i_pool_thread me = {.pool = pool}, *idler;
    coir_i_own_threads_add(1);
    coir_i_pool_thread_set(&me);
    int rc = pool->interrupts ? coir_i_interrupter_open(&me.interrupter) : 0;
    coir_i_mutex_lock(&pool->lock);
    unsigned number = pool->made++;
    link_thread(pool, &me);
    coir_i_mutex_unlock(&pool->lock);
    coir_i_sys_thread_name(pool->name, number);

    coir_i_mutex_lock(&pool->lock);
    if (rc >= 0 || pool->makes_do) {
        run_items(pool, &me);
    } else {
        if ((idler = do_without(pool, rc)) != NULL)
            coir_i_futex_wake(&idler->woken, 1);
        pool->threads++; /* which ends now, like others */
    }
    if (pool->interrupts)
        coir_i_interrupter_close(&me.interrupter);
    coir_i_own_threads_add(-1);
    end_thread(pool, &me);
    return NULL;
}
