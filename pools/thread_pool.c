/* pools/thread_pool.c -- threads that run what may block
 *
 * Does       run calls of fibers on threads, make and end the threads.
 * Does not   allocate: a call lies on the stack of the fiber that waits for it,
 *            a sleeping thread's node on its own.
 *
 *   a call    WAITING --a thread--> BEGUN --fn returns--> OVER
 *                |
 *                +--its caller is cancelled--> dropped
 *   a thread  made --> seeking --> calling --> seeking --> asleep --> ended
 *                                                 ^          |
 *                                                 +--woken---+
 *
 * Invariants
 *   T1  a call is in the queue exactly while it is WAITING.
 *   T2  nobody sleeps, or seeking >= min(waiting, cpus): a call does not wait
 *       beside a thread that sleeps, unless as many as there are CPUs are on
 *       their way. `seeking` counts the threads that will look at the queue
 *       once more before they sleep or end: who seeks, who was woken, who is
 *       being made. Whoever lets waiting grow or seeking shrink sees to it:
 *       who appends a call, who takes one, who cannot make a thread.
 *   T3  a caller leaves only when its call was dropped or is OVER: what it lent
 *       the call, its stack above all, is not used any more.
 *   T4  threads > 0 while a call waits.
 *
 * Locks      pool.lock; nobody is woken and nothing is called under it.
 * Fails      a thread cannot be made: if there are others the call waits for
 *            one of them, else every call in the queue comes back with why.
 * Tests      test/test_threads.c, test/test_thread_pool.c;
 *            test/models/thread_pool.pml; bench/bench_pools.c */
#include "pools/thread_pool.h"

#include "sched/module.h"
#include "sched/sys.h"
#include "sched/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

enum { SPIN = 20000 /* ns */ };

enum stage { WAITING, BEGUN, OVER };

struct coir_i_call {
    coir_fn *fn;               /* const */
    void *arg;                 /* const */
    int result;                /* its thread, until it is OVER */
    enum stage stage;          /* pool.lock */
    coir_i_ticket ticket;      /* pool.lock: whom to wake when it is OVER */
    coir_i_call *next, **prev; /* pool.lock: in the queue */
    _Atomic(bool) cancelled;   /* the caller sets it, fn asks for it */
};

struct coir_i_idler {
    coir_i_idler *next, **prev; /* pool.lock: among the idlers */
    _Atomic(uint32_t) woken; /* set under pool.lock; the thread sleeps on it */
};

/* Threads of pools run no fibers, so a thread-local is as good as any. */
static _Thread_local coir_i_call *calling;

void coir_i_thread_pool_start(coir_i_thread_pool *pool, unsigned max,
                              coir_time idle, const char *name)
{
    *pool = (coir_i_thread_pool){
        .name = name, .max = max, .idle = idle, .cpus = coir_i_sys_cpus()};
    pool->last = &pool->first;
}

void coir_i_thread_pool_forget(coir_i_thread_pool *pool)
{
    *pool = (coir_i_thread_pool){0};
    calling = NULL;
}

bool coir_i_thread_pool_cancelled(void)
{
    /* relaxed: the answer alone counts, nothing hangs on it. */
    return calling && load_relaxed(&calling->cancelled);
}

/* ---- The queue, under pool.lock ---- */

static void count_waiting(coir_i_thread_pool *pool, int change)
{
    /* relaxed: written under the lock; without it a hint to who spins. */
    store_relaxed(&pool->waiting,
                  load_relaxed(&pool->waiting) + (unsigned)change);
}

static void append_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    call->next = NULL;
    call->prev = pool->last;
    *pool->last = call;
    pool->last = &call->next;
    count_waiting(pool, 1);
}

static void remove_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    *call->prev = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        pool->last = call->prev;
    count_waiting(pool, -1);
}

/* The next call for the thread that calls, which was seeking. */
static coir_i_call *take_call(coir_i_thread_pool *pool)
{
    coir_i_call *call = pool->first;
    if (!call)
        return NULL;
    remove_call(pool, call);
    call->stage = BEGUN;
    pool->seeking--;
    return call;
}

/* ---- Idle threads ---- */

static void push_idler(coir_i_thread_pool *pool, coir_i_idler *me)
{
    store_relaxed(&me->woken, 0);
    me->next = pool->idlers;
    me->prev = &pool->idlers;
    if (me->next)
        me->next->prev = &me->next;
    pool->idlers = me;
    pool->seeking--;
}

static void remove_idler(coir_i_idler *idler)
{
    *idler->prev = idler->next;
    if (idler->next)
        idler->next->prev = idler->prev;
}

/* The one that slept least, seeking again; NULL: nobody sleeps. To be woken
 * by its word's address alone once the lock is free: then it may be gone. */
static coir_i_idler *call_idler(coir_i_thread_pool *pool)
{
    coir_i_idler *idler = pool->idlers;
    if (!idler)
        return NULL;
    remove_idler(idler);
    pool->seeking++;
    /* relaxed: under the lock, like the sleeper's reading of it. */
    store_relaxed(&idler->woken, 1);
    return idler;
}

static void spin_for_call(coir_i_thread_pool *pool)
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
static bool sleep_for_call(coir_i_thread_pool *pool)
{
    coir_i_idler me;
    if (pool->stopping) {
        pool->seeking--;
        return false;
    }
    push_idler(pool, &me);
    coir_time until = coir_i_sys_now() + pool->idle;
    do {
        coir_i_mutex_unlock(&pool->lock);
        coir_i_futex_wait(&me.woken, 0, until);
        coir_i_mutex_lock(&pool->lock);
        /* relaxed: under the lock. */
        if (load_relaxed(&me.woken))
            return true;
    } while (coir_i_sys_now() < until);
    remove_idler(&me);
    return false;
}

/* A call to make; NULL: the thread, which was seeking, is to end. Under
 * pool.lock, which it gives up in between. */
static coir_i_call *seek_call(coir_i_thread_pool *pool)
{
    coir_i_call *call = take_call(pool);
    if (!call && pool->cpus > 1 && !pool->spinning && !pool->stopping) {
        pool->spinning = true;
        coir_i_mutex_unlock(&pool->lock);
        spin_for_call(pool);
        coir_i_mutex_lock(&pool->lock);
        pool->spinning = false;
        call = take_call(pool);
    }
    while (!call && sleep_for_call(pool))
        call = take_call(pool);
    return call;
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

/* The thread that was counted on cannot be made. */
static void give_up_thread(coir_i_thread_pool *pool, int why)
{
    coir_i_idler *idler = NULL;
    coir_i_mutex_lock(&pool->lock);
    pool->seeking--;
    pool->threads--;
    if (load_relaxed(&pool->waiting) > pool->seeking) /* T2 */
        idler = call_idler(pool);
    while (pool->threads == 0 && pool->first) { /* T4 */
        coir_i_call *call = pool->first;
        remove_call(pool, call);
        call->stage = OVER;
        call->result = why;
        coir_i_ticket caller = call->ticket;
        coir_i_mutex_unlock(&pool->lock);
        coir_i_wake(caller, COIR_I_WOKEN);
        coir_i_outside_end();
        coir_i_mutex_lock(&pool->lock);
    }
    coir_i_mutex_unlock(&pool->lock);
    if (idler)
        coir_i_futex_wake(&idler->woken, 1);
}

/* Who comes to help, by T2. */
struct help {
    coir_i_idler *idler;
    bool new_thread;
};

/* Under pool.lock. */
static struct help call_help(coir_i_thread_pool *pool)
{
    struct help help = {NULL, false};
    if (load_relaxed(&pool->waiting) <= pool->seeking ||
        pool->seeking >= pool->cpus)
        return help;
    help.idler = call_idler(pool);
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

/* ---- A thread ---- */

/* Make the call, wake its caller, and go on with the call that waits next;
 * NULL: none did, and the thread is seeking. */
static coir_i_call *make_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    calling = call;
    call->result = call->fn(call->arg);
    calling = NULL;

    coir_i_mutex_lock(&pool->lock);
    call->stage = OVER;
    coir_i_ticket caller = call->ticket;
    pool->seeking++;
    coir_i_call *next = take_call(pool);
    struct help help = call_help(pool);
    coir_i_mutex_unlock(&pool->lock);

    coir_i_wake(caller, COIR_I_WOKEN);
    coir_i_outside_end();
    send_help(pool, help);
    return next;
}

/* Under pool.lock, which it gives back, since whoever appends a call next must
 * not count on this thread. Its last act is to join the one that ended before
 * it. */
static void end_thread(coir_i_thread_pool *pool)
{
    bool has_before = pool->has_ended;
    pthread_t before = pool->ended;
    pool->ended = pthread_self();
    pool->has_ended = true;
    pool->threads--;
    bool stopping = pool->stopping;
    /* relaxed: under the lock. */
    store_relaxed(&pool->ends, load_relaxed(&pool->ends) + 1);
    coir_i_mutex_unlock(&pool->lock);
    if (stopping)
        coir_i_futex_wake(&pool->ends, 1);
    if (has_before)
        pthread_join(before, NULL);
}

static void *be_thread(void *arg)
{
    coir_i_thread_pool *pool = arg;
    coir_i_mutex_lock(&pool->lock);
    unsigned number = pool->made++;
    coir_i_mutex_unlock(&pool->lock);
    coir_i_sys_thread_name(pool->name, number);

    coir_i_mutex_lock(&pool->lock);
    coir_i_call *call;
    while ((call = seek_call(pool)) != NULL) {
        struct help help = call_help(pool);
        coir_i_mutex_unlock(&pool->lock);
        send_help(pool, help);
        do {
            call = make_call(pool, call);
        } while (call);
        coir_i_mutex_lock(&pool->lock);
    }
    end_thread(pool);
    return NULL;
}

/* ---- The callers' side ---- */

/* From here on the call may be over at any moment. */
static void submit_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    coir_i_mutex_lock(&pool->lock);
    append_call(pool, call);
    struct help help = call_help(pool);
    coir_i_mutex_unlock(&pool->lock);
    send_help(pool, help);
}

static const coir_i_wait waits_for_call = {.what = "blocking call"};

/* The caller was cancelled: drop the call, or wait until it is over. */
static int withdraw_call(coir_i_thread_pool *pool, coir_i_call *call)
{
    coir_i_mutex_lock(&pool->lock);
    bool waiting = call->stage == WAITING;
    if (waiting)
        remove_call(pool, call);
    coir_i_mutex_unlock(&pool->lock);
    if (waiting) {
        coir_i_outside_end();
        return -ECANCELED;
    }

    /* relaxed: fn only asks whether, and may ask again. */
    store_relaxed(&call->cancelled, true);
    coir_i_ticket ticket =
        coir_i_arm(COIR_NEVER, COIR_I_UNCANCELLABLE, &waits_for_call, call);
    coir_i_mutex_lock(&pool->lock);
    bool over = call->stage == OVER;
    if (!over)
        call->ticket = ticket;
    coir_i_mutex_unlock(&pool->lock);
    if (over)
        coir_i_wake(ticket, COIR_I_WOKEN);
    coir_i_park();
    return call->result;
}

int coir_i_thread_pool_run(coir_i_thread_pool *pool, coir_fn *fn, void *arg)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    coir_i_count_up(&coir_i_worker_here()->counts.blocking_calls);
    coir_i_call call = {.fn = fn, .arg = arg};
    coir_i_outside_begin();
    call.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_call, &call);
    submit_call(pool, &call);
    if (coir_i_park() == COIR_I_WOKEN)
        return call.result;
    return withdraw_call(pool, &call);
}

/* ---- The end ---- */

void coir_i_thread_pool_stop(coir_i_thread_pool *pool)
{
    coir_i_mutex_lock(&pool->lock);
    pool->stopping = true;
    coir_i_idler *idler;
    while ((idler = call_idler(pool)) != NULL)
        coir_i_futex_wake(&idler->woken, 1);
    while (pool->threads > 0) {
        uint32_t ends = load_relaxed(&pool->ends);
        coir_i_mutex_unlock(&pool->lock);
        coir_i_futex_wait(&pool->ends, ends, COIR_NEVER);
        coir_i_mutex_lock(&pool->lock);
    }
    bool has_ended = pool->has_ended;
    pool->has_ended = false;
    coir_i_mutex_unlock(&pool->lock);
    if (has_ended)
        pthread_join(pool->ended, NULL);
}
