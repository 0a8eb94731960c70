/* sched/worker.h -- a worker: a thread that runs fibers, and what it has
 *
 * Every part is a type of its own with a file of its own; here they only stand
 * side by side. What its thread alone touches comes first; what others look
 * at or write has cache lines of its own. */
#ifndef COIR_SCHED_WORKER_H
#define COIR_SCHED_WORKER_H

#include <coir/run.h>
#include <coir/stats.h>
#include <coir/task.h>

#include "fiber/current.h"
#include "fiber/stack.h"
#include "sched/lock.h"
#include "sched/nest.h"
#include "sched/poller.h"
#include "sched/ring.h"
#include "sched/timer.h"

#include <pthread.h>

typedef struct coir_i_worker coir_i_worker;

/* What a watcher saw of another worker, and since when it has been so. */
struct coir_i_seen {
    uint64_t state, switches;
    coir_time since, ran_since;
};

/* A number that its worker counts and coir_stats_get reads. */
typedef _Atomic(uint64_t) coir_i_count;

struct coir_i_counts {
    coir_i_count spawned, ended, switches, steals, parks, wakes, polls, timers;
    coir_i_count blocking_calls, jobs;
    coir_i_count looks; /* around: what waits for it is seen to */
    coir_i_count outside_begun, outside_ended; /* COIR_I_WAIT_OUTSIDE */
    coir_i_count locks_begun, locks_ended;     /* COIR_I_WAIT_LOCK */
};

struct coir_i_worker {
    coir_i_thread thread; /* first: coir_i_here() points at it */

    /* Its own thread only. */
    unsigned id;           /* const */
    bool reports_overflow; /* const: it has a stack for the signal handler */
    unsigned picks;        /* whose turn it is: a fiber's, a child's */
    unsigned nexts;        /* how often in a row the woken one went first */
    unsigned turns;        /* of a full ring with the global queue */
    unsigned glance_in;    /* picks until it looks at the tick counter */
    unsigned look_in;      /* glances until it looks around */
    bool gathering;        /* it looks around: wake others once, at the end */
    uint64_t looked_at, polled_at;        /* ticks */
    uint64_t look_at_least, poll_at_most; /* const: ticks */
    unsigned calls;            /* that the running fiber made without parking */
    unsigned calls_begin;      /* 0; with a seed its share may be smaller */
    uint64_t choices;          /* the state of a generator: sched/choice.c */
    uint64_t next_id, last_id; /* ids it may give away */
    coir_i_fiber *pinned, **pinned_end; /* ready, and of this worker only */
    coir_i_fiber *cache; /* warm fibers with nothing to do, last in first out */
    unsigned cached;
    coir_i_chunk *chunks; /* free, for children that wait */
    unsigned chunked;
    coir_i_taken birth;      /* the child that a fresh fiber begins with */
    const coir_task *ending; /* the task whose on_done calls run */
    bool wants_stack;        /* it sleeps though a child waits: for memory */
    unsigned stole;          /* children, the last time */
    coir_time stole_at;
    struct coir_i_seen *seen; /* what it saw at each of the others */
    struct coir_i_counts counts;

    /* Others look at these and take from them. */
    _Alignas(128) coir_i_ring ring;
    _Alignas(128) _Atomic(coir_i_fiber *) next; /* woken last; runs first */
    _Alignas(128) coir_i_nest nest;
    _Alignas(128) coir_i_wheel wheel;

    /* Others write these. */
    _Alignas(128) _Atomic(coir_i_fiber *) inbox; /* pinned here, woken there */
    _Atomic(uint32_t) token;                     /* not 0: do not sleep */
    coir_i_worker *sleeper_below; /* idle.lock: the next that sleeps */
    _Atomic(bool) asleep;         /* idle.lock: is it on that list? */
    _Atomic(bool) benched;        /* idle.lock: a spare that is not wanted */
    _Atomic(bool) in_poller;      /* it sleeps there, not on its token */
    _Atomic(uint32_t) tid;        /* the kernel's name for its thread, or 0 */
    pthread_t pthread;            /* const while the runtime runs */
};

/* The one runtime of this process. */
struct coir_i_runtime {
    coir_i_worker *workers;  /* const while it runs; room for all spares */
    unsigned configured;     /* const while it runs: without spares */
    _Atomic(unsigned) count; /* that there are; it only grows */
    _Atomic(bool) runs;
    _Atomic(bool) stopping; /* the first fiber and all others have ended */
    _Atomic(bool) forked;  /* the child of a fork, and none was started in it */
    _Atomic(bool) starved; /* a stack was refused: see sched/fibers.c */
    _Atomic(uint64_t) peak;      /* fibers at a time, as sampled */
    _Atomic(uint32_t) strangers; /* threads that are no workers, in here */
    _Atomic(uint32_t) outside;   /* calls that will wake a fiber from outside */
    _Atomic(uint64_t) locks_later; /* waits that became such for locks later */
};
extern struct coir_i_runtime coir_i_runtime
    __attribute__((visibility("hidden")));

/* How many workers there are, spares too. Seq_cst, for who looks at all of them
 * after it has told something: of those that it does not see it is seen. */
static inline unsigned coir_i_worker_count(void)
{
    /* @observe runtime.workers: they are set up. */
    return load_seq_cst(&coir_i_runtime.count);
}

/* The calling thread's worker; NULL on any other thread. Like coir_i_here():
 * not to be kept over anything that may switch. */
static inline coir_i_worker *coir_i_worker_here(void)
{
    return (coir_i_worker *)coir_i_here();
}

/* Fibers that live now, or wait to begin; the most that were seen. */
uint64_t coir_i_fibers_alive(void);
void coir_i_fibers_sample(void);

static inline void coir_i_count_more(coir_i_count *count, unsigned more)
{
    store_relaxed(count, load_relaxed(count) + more);
}

static inline void coir_i_count_up(coir_i_count *count)
{
    coir_i_count_more(count, 1);
}

/* ---- what to run next: sched/pick.c, sched/ready.c ---- */

/* Whether a child that has not begun may be chosen. */
enum coir_i_children {
    COIR_I_NO_CHILD,
    COIR_I_CHILD,           /* if a fiber is at hand for it */
    COIR_I_CHILD_ON_OUR_OWN /* the caller has a stack for it */
};
/* What to run next: a fiber; or else a child, child->of says whether; or
 * nothing. */
coir_i_fiber *coir_i_pick(coir_i_worker *w, enum coir_i_children children,
                          coir_i_taken *child);
void coir_i_pick_init(coir_i_worker *w);

/* Switch to f; or, if it is NULL, to the child; or to the worker's own context
 * if there is none. */
void coir_i_run(coir_i_worker *w, coir_i_fiber *f, const coir_i_taken *child,
                void (*commit)(coir_i_thread *, coir_i_fiber *));
/* The same for a fiber that is over. */
_Noreturn void coir_i_run_last(coir_i_worker *w, coir_i_fiber *f,
                               const coir_i_taken *child);
/* Leave the running fiber for what is to run next; commit as in
 * coir_i_switch. */
void coir_i_leave(coir_i_worker *w,
                  void (*commit)(coir_i_thread *, coir_i_fiber *));
/* Leave it for a child just taken. */
void coir_i_leave_for(coir_i_worker *w, const coir_i_taken *child,
                      void (*commit)(coir_i_thread *, coir_i_fiber *));

/* The running fiber goes to the end of the queue; false: none other is ready,
 * and it goes on at once. */
bool coir_i_give_way(enum coir_i_children children);

/* The owner: what runs next, and what was to run next before; by the bias of
 * the ring, whose thieves are those of `next`. */
static inline coir_i_fiber *coir_i_next_exchange(coir_i_worker *w,
                                                 coir_i_fiber *f)
{
    if (coir_i_bias_enter(&w->ring.bias)) {
        coir_i_fiber *before = load_relaxed(&w->next);
        store_relaxed(&w->next, f);
        coir_i_bias_leave(&w->ring.bias);
        return before;
    }
    /* @publish ready.next: the fiber, to a thief too.
     * @observe ready.next: the one it pushes aside, or that we put there. */
    return exchange_acq_rel(&w->next, f);
}

/* f is ready to run: any thread. `soon`: f runs next here, before the rest. */
void coir_i_ready(coir_i_fiber *f, bool soon);
/* Commit: the fiber that was left is ready again. */
void coir_i_commit_ready(coir_i_thread *here, coir_i_fiber *left);

/* Look at what picks do not: the global queue, timers, the poller. */
void coir_i_look_around(coir_i_worker *w);
bool coir_i_time_to_look_slow(coir_i_worker *w);
static inline bool coir_i_time_to_look(coir_i_worker *w)
{
    return coir_i_unlikely(--w->glance_in == 0) && coir_i_time_to_look_slow(w);
}
/* See to all timers that are due; when the next one is. */
coir_time coir_i_fire_timers(coir_i_worker *w);
/* Look at the poller, if nobody sits there: idle.c. How many were woken. */
int coir_i_poll_now(coir_i_worker *w);

/* Pinned fibers that others have woken; true if there is one now. */
bool coir_i_inbox_take(coir_i_worker *w);

/* The queue of fibers that were made ready by no worker, or are too many. */
void coir_i_global_start(void);
bool coir_i_global_empty(void);
unsigned coir_i_global_take(coir_i_worker *w);
/* Likewise, from time to time; where w's ring is full of fibers that only give
 * way to each other, they change places with those that wait there. */
void coir_i_global_turn(coir_i_worker *w);
void coir_i_global_put(coir_i_fiber *first, coir_i_fiber *last, unsigned count);

/* ---- fibers with nothing to do: sched/fibers.c ---- */

void coir_i_fibers_start(size_t stack_size);
void coir_i_fibers_stop(void);
void coir_i_fibers_forked(void); /* the child of a fork has none */
/* Is one at hand, or could one be made? */
bool coir_i_fibers_at_hand(coir_i_worker *w);
/* The fiber that a child begins with: its own, or the one at hand. The next
 * switch of w must be to it. */
coir_i_fiber *coir_i_fibers_bind(coir_i_worker *w, const coir_i_taken *child);
/* With a stack of its own size; NULL: no memory. */
coir_i_fiber *coir_i_fibers_get_sized(size_t stack_size);
/* Commit: the fiber that was left is over. */
void coir_i_fibers_commit_over(coir_i_thread *here, coir_i_fiber *left);
void coir_i_fibers_drop(coir_i_fiber *never_used);
/* w does not run any for a while: those at hand go to the depot. */
void coir_i_fibers_hand_over(coir_i_worker *w);
/* A worker has nothing to do: give back the memory of a few stacks that have
 * lain idle for too long by now; false: there are none. When to ask. */
bool coir_i_fibers_trim(coir_time now);
coir_time coir_i_fibers_trim_at(void);
void coir_i_fibers_stats(coir_stats *stats);
/* From the one to the other no stack is unmapped: for who looks at that of a
 * fiber which may end at any time. */
void coir_i_fibers_keep_stacks(void);
void coir_i_fibers_release_stacks(void);

/* ---- nothing to run: sched/idle.c ---- */

void coir_i_idle_start(unsigned workers);
/* Run what comes, until the runtime stops. */
void coir_i_work(coir_i_worker *w);
/* Likewise, but begin on the bench. */
void coir_i_stand_in(coir_i_worker *w);
/* There is work that another worker could take. Cheap where none sleeps, or
 * one is looking already; the caller has published the work and then either
 * fenced or holds a lock that whoever goes to sleep takes. */
void coir_i_wake_worker_slow(void);
extern _Atomic(uint64_t) coir_i_idle_state
    __attribute__((visibility("hidden")));
/* In it: how many sleep; how many are active, which are all but those on the
 * bench; how many watch. */
#define COIR_I_SLEEPER UINT64_C(1)
#define COIR_I_ACTIVE (UINT64_C(1) << 16)
#define COIR_I_WATCHER (UINT64_C(1) << 32)
static inline unsigned coir_i_idle_sleepers(uint64_t state)
{
    return state & 0xffff;
}
static inline unsigned coir_i_idle_active(uint64_t state)
{
    return state >> 16 & 0xffff;
}
static inline bool coir_i_idle_all_sleep(uint64_t state)
{
    return coir_i_idle_sleepers(state) == coir_i_idle_active(state);
}
/* Somebody could be woken, and nobody looks anyway. */
static inline bool coir_i_idle_unwatched(uint64_t state)
{
    return coir_i_idle_sleepers(state) && state < COIR_I_WATCHER;
}
static inline void coir_i_wake_worker(void)
{
    /* @dekker idle.sleep: the work was published before this load; a sleeper
     * announces itself before it looks for work once more. */
    uint64_t state = load_seq_cst(&coir_i_idle_state);
    if (coir_i_unlikely(coir_i_idle_unwatched(state)))
        coir_i_wake_worker_slow();
}
/* While all workers sleep, a number that is another one after any of them has
 * been woken; else 0. */
uint64_t coir_i_idle_rest(void);
/* This worker in particular, from its sleep or from the bench; false: it was
 * awake. */
bool coir_i_wake_this(coir_i_worker *w);
void coir_i_wake_all(void);
/* The sleeper in the poller shall look at the timers again if it sleeps past
 * `at`. */
void coir_i_idle_timer(coir_time at);

/* ---- the body of every fiber: sched/child.c ---- */

void coir_i_fiber_main(void);

/* A number never given away before. */
void coir_i_take_ids(coir_i_worker *w);
static inline uint64_t coir_i_new_id(coir_i_worker *w)
{
    if (coir_i_unlikely(w->next_id == w->last_id))
        coir_i_take_ids(w);
    return w->next_id++;
}
uint64_t coir_i_new_foreign_id(void); /* for a thread that is no worker */

#endif
