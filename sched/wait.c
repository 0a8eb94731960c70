/* sched/wait.c -- waiting for several tasks
 *
 * Does       coir_wait; coir_completions: the tasks in the order in which they
 *            end. The first is the second with an end of its own.
 *
 * A set of watches, one a task, on the heap; each that fires goes to the end of
 * a list and wakes the one fiber that waits for it.
 *
 * Locks      set.lock, under the lock of a task.
 * Edges      none of its own.
 * Fails      -ENOMEM: nothing is watched then.
 * Tests      test/test_wait.c */
#include "sched/lock.h"
#include "sched/task.h"
#include "sched/worker.h"

#include <errno.h>
#include <stdlib.h>

typedef struct entry entry;

struct set {
    coir_i_spin lock;
    bool waits; /* the ticket is good */
    coir_i_ticket ticket;
    entry *ended, **ended_end; /* not yet taken */
    entry *entries;            /* const */
    size_t count, taken;       /* const; the owner */
};

struct entry {
    coir_i_watch watch; /* first */
    struct set *set;
    entry *next; /* of those that have ended */
};

static void put_ended(struct set *set, entry *e)
{
    e->next = NULL;
    *set->ended_end = e;
    set->ended_end = &e->next;
}

static void fired(coir_i_watch *watch)
{
    entry *e = (entry *)watch;
    struct set *set = e->set;
    coir_i_spin_lock(&set->lock);
    put_ended(set, e);
    if (set->waits) {
        set->waits = false;
        coir_i_wake(set->ticket, COIR_I_WOKEN);
    }
    coir_i_spin_unlock(&set->lock);
}

static int open_set(struct set *set, coir_task *const *tasks, size_t count)
{
    *set = (struct set){.count = count};
    set->ended_end = &set->ended;
    if (count && !(set->entries = calloc(count, sizeof *set->entries)))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        entry *e = &set->entries[i];
        e->set = set;
        e->watch.fired = fired;
        if (!coir_i_task_watch(coir_i_task_in(tasks[i]), &e->watch)) {
            coir_i_spin_lock(&set->lock);
            put_ended(set, e);
            coir_i_spin_unlock(&set->lock);
        }
    }
    return 0;
}

static void close_set(struct set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->entries[i].watch.task) /* else it was handed out */
            coir_i_task_unwatch(&set->entries[i].watch);
    free(set->entries);
    set->entries = NULL;
    set->count = 0;
}

static entry *take_ended(struct set *set, coir_i_ticket *ticket)
{
    coir_i_spin_lock(&set->lock);
    entry *e = set->ended;
    if (e) {
        if (!(set->ended = e->next))
            set->ended_end = &set->ended;
        set->taken++;
    }
    set->waits = !e && ticket;
    if (set->waits)
        set->ticket = *ticket;
    coir_i_spin_unlock(&set->lock);
    return e;
}

/* Does one of them end just now? Then that may be what cancels us. */
static bool is_any_ending(const struct set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        coir_i_task *task = set->entries[i].watch.task;
        if (task && coir_i_task_is_ending(task))
            return true;
    }
    return false;
}

static const coir_i_wait waits_for_any = {.what = "one of several tasks"};

/* The next that has ended; NULL: why not in *rc. */
static entry *next_ended(struct set *set, int *rc)
{
    enum coir_i_wait_kind kind = COIR_I_CANCELLABLE;
    for (;;) {
        entry *e = take_ended(set, NULL);
        if (e || *rc < 0)
            return e;
        coir_i_ticket ticket =
            coir_i_arm(COIR_NEVER, kind, &waits_for_any, set);
        e = take_ended(set, &ticket);
        if (e)
            coir_i_wake(ticket, COIR_I_WOKEN);
        bool cancelled = coir_i_park() == COIR_I_CANCELLED;
        if (e)
            return e;
        if (cancelled && is_any_ending(set))
            kind = COIR_I_UNCANCELLABLE;
        else if (cancelled)
            *rc = -ECANCELED; /* unless one has ended meanwhile */
    }
}

/* ---- completions ---- */

struct completions {
    struct set *set;
};

int coir_completions_open(coir_completions *c, coir_task *const *tasks,
                          size_t count)
{
    struct completions *all = (struct completions *)c;
    if (!coir_i_self())
        return -EPERM;
    all->set = malloc(sizeof *all->set); /* so that *c may be moved */
    if (!all->set)
        return -ENOMEM;
    int rc = open_set(all->set, tasks, count);
    if (rc < 0) {
        free(all->set);
        all->set = NULL;
    }
    return rc;
}

int coir_completions_next(coir_completions *c, coir_task **task)
{
    struct set *set = ((struct completions *)c)->set;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (!set || set->taken == set->count)
        return -ENOENT;
    entry *e = next_ended(set, &rc);
    if (!e)
        return rc;
    /* Until the end of the task has let go of it. */
    coir_i_task_unwatch(&e->watch);
    *task = (coir_task *)e->watch.task;
    e->watch.task = NULL; /* it has ended: its keeper may free it now */
    return 0;
}

void coir_completions_close(coir_completions *c)
{
    struct set *set = ((struct completions *)c)->set;
    if (set) {
        close_set(set);
        free(set);
        ((struct completions *)c)->set = NULL;
    }
}

/* ---- coir_wait ---- */

static bool enough(const coir_i_task *task, enum coir_wait_for what)
{
    int result = task->result;
    return what == COIR_FIRST_DONE ||
           (what == COIR_FIRST_FAILED && result < 0 && result != -ECANCELED);
}

/* Those that have ended to the front. How many: each is asked once. */
static int sort_ended(coir_task **tasks, size_t count)
{
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        coir_task *task = tasks[i];
        if (coir_task_done(task)) {
            tasks[i] = tasks[ended];
            tasks[ended++] = task;
        }
    }
    return (int)ended;
}

int coir_wait(coir_task **tasks, size_t count, enum coir_wait_for what)
{
    struct set set;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (what == COIR_NOW)
        return sort_ended(tasks, count);
    if ((rc = open_set(&set, tasks, count)) < 0)
        return rc;
    bool stop = false;
    while (!stop && set.taken < count) {
        entry *e = next_ended(&set, &rc);
        if (!e)
            break;
        coir_i_task_unwatch(&e->watch);
        stop = enough(e->watch.task, what);
    }
    bool whole = stop || set.taken == count;
    close_set(&set);
    return whole ? sort_ended(tasks, count) : rc;
}
