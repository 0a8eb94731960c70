/* io/signals.c -- signals that fibers wait for
 *
 * Does       share out what was caught to all that are open. There is no fiber
 *            and no thread for it: who waits for a signal watches the bell, and
 *            whoever comes first after it has rung shares out for all.
 * Does not   know how signals are caught: io/catch.c.
 *
 * Invariants
 *   J1  The bell is open while there are objects, closed ones too.
 *   J2  An object is freed by its close, or by the last fiber inside it, if
 *       that comes later.
 *   J3  Whoever takes from the bell tells the others that watch, since the bell
 *       is calm then and may never have woken them.
 *
 * Locks      signals.lock, for all that is here and in io/catch.c; under it
 *            nobody parks or is woken. Slots' locks inside.
 * Edges      none of its own, see io/catch.c.
 * Fails      open: nothing is caught that was not before.
 * Tests      test/test_signals.c, test/test_signals_program.c,
 *            test/stress_signals.c,
 *            test/models/signals.pml */
#include <coir/signals.h>

#include "io/catch.h"
#include "io/watch.h"
#include "sched/module.h"

#include <pthread.h>
#include <stdlib.h>

struct coir_signals {
    coir_signals *next;  /* lock */
    uint64_t wanted;     /* const */
    uint64_t pending;    /* lock: caught and not yet taken */
    unsigned inside;     /* lock: fibers in coir_signals_next */
    bool is_closed;      /* lock */
    uint64_t generation; /* const: the process that opened it */
};

static struct {
    coir_i_mutex lock;
    coir_signals *open;
    uint64_t generation; /* how often this process has been forked off */
} signals;

/* ---- Sharing out. */

/* To all who watch it. Not under the lock. */
static void wake_watchers(int bell)
{
    coir_i_descriptor *slot = coir_i_slot_find(bell);
    if (slot)
        coir_i_slot_wake(slot, COIR_I_WATCHERS, ~0U, COIR_I_WOKEN);
}

/* Under the lock: give each its share of what was caught. True: one of them
 * got something, and those who watch are to be told, see J3. */
static bool share_out(void)
{
    bool is_news = false;
    uint64_t caught = coir_i_catch_take();
    for (coir_signals *s = signals.open; caught && s; s = s->next) {
        is_news = is_news || (caught & s->wanted);
        s->pending |= caught & s->wanted;
    }
    return is_news;
}

/* Under the lock. */
static void dispose(coir_signals *s)
{
    free(s);
    coir_i_bell_close();
}

/* ---- After a fork, in the child. */

/* There is one thread, and nothing is open: what was is the parent's. */
static void forked(void)
{
    coir_i_catch_forked();
    store_relaxed(&signals.lock.state, 0); /* relaxed: one thread */
    signals.open = NULL;
    signals.generation++;
}

static coir_i_module module = {.forked = forked};

coir_i_constructor(1) static void add_module(void)
{
    coir_i_module_add(&module);
}

/* Without a runtime, whose hook calls the modules, too. */
static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forked);
}

/* It came to this process with a fork. */
static bool is_inherited(const coir_signals *s)
{
    return s->generation != signals.generation;
}

/* ---- Opening and closing. */

static int read_set(const sigset_t *set, uint64_t *ret_wanted)
{
    uint64_t wanted = 0;
    for (int n = 1; n < NSIG; n++) {
        if (!set || sigismember(set, n) != 1)
            continue;
        if (n > COIR_I_SIGNALS || coir_i_catch_refuses(n))
            return -EINVAL;
        wanted |= coir_i_signal_bit(n);
    }
    *ret_wanted = wanted;
    return wanted ? 0 : -EINVAL;
}

/* Under the lock. */
static int attach(coir_signals *s)
{
    int rc = coir_i_bell_open();
    if (rc < 0)
        return rc;
    rc = coir_i_catch_begin(s->wanted);
    if (rc < 0) {
        coir_i_bell_close();
        return rc;
    }
    s->generation = signals.generation;
    s->next = signals.open;
    signals.open = s;
    return 0;
}

int coir_signals_open(coir_signals **ret_signals, const sigset_t *set)
{
    static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
    uint64_t wanted;
    int rc = read_set(set, &wanted);
    if (rc < 0)
        return rc;
    coir_signals *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->wanted = wanted;
    pthread_once(&fork_once, watch_forks);

    coir_i_mutex_lock(&signals.lock);
    bool is_news = share_out(); /* what was caught before is not for this one */
    rc = attach(s);
    int bell = coir_i_bell();
    coir_i_mutex_unlock(&signals.lock);
    if (is_news)
        wake_watchers(bell);
    if (rc < 0) {
        free(s);
        return rc;
    }
    *ret_signals = s;
    return 0;
}

void coir_signals_close(coir_signals *s)
{
    if (!s || is_inherited(s)) {
        free(s);
        return;
    }
    coir_i_mutex_lock(&signals.lock);
    bool wakes = share_out() || s->inside;
    int bell = coir_i_bell();
    coir_signals **at = &signals.open;
    while (*at && *at != s)
        at = &(*at)->next;
    coir_i_rule(*at, "coir_signals_close of one that is closed");
    *at = s->next;
    coir_i_catch_end(s->wanted);
    s->is_closed = true;
    if (!s->inside)
        dispose(s);
    coir_i_mutex_unlock(&signals.lock);
    if (wakes)
        wake_watchers(bell);
}

/* ---- Waiting. */

/* The number of a signal, which is taken; 0: none; -EBADF. */
static int take(void *arg)
{
    coir_signals *s = arg;
    int rc = -EBADF;
    coir_i_mutex_lock(&signals.lock);
    bool is_news = share_out();
    int bell = coir_i_bell();
    if (!s->is_closed) {
        rc = s->pending ? __builtin_ctzll(s->pending) + 1 : 0;
        s->pending &= s->pending - 1; /* without its lowest; 0 stays 0 */
    }
    coir_i_mutex_unlock(&signals.lock);
    if (is_news)
        wake_watchers(bell);
    return rc;
}

static const coir_i_wait waits_for = {.what = "signals",
                                      .flags = COIR_I_WAIT_OUTSIDE};

int coir_signals_next(coir_signals *s)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (is_inherited(s))
        return -EBADF;
    coir_i_mutex_lock(&signals.lock);
    coir_i_watch watch = {.fd = coir_i_bell(),
                          .slot = coir_i_slot_find(coir_i_bell()),
                          .events = COIR_I_CAN_READ,
                          .wait = &waits_for,
                          .on = s,
                          .look = take,
                          .arg = s};
    s->inside++;
    coir_i_mutex_unlock(&signals.lock);

    rc = coir_i_watch_until(&watch);

    coir_i_mutex_lock(&signals.lock);
    if (--s->inside == 0 && s->is_closed)
        dispose(s);
    coir_i_mutex_unlock(&signals.lock);
    return rc;
}
