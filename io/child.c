/* io/child.c -- waiting for a child process
 *
 * Does       look whether the child has ended; if not, park on a descriptor of
 *            it, and look again.
 * Does not   touch SIGCHLD, or any child but that one.
 *
 * Invariants
 *   C1  One fiber at a time waits for a child: it is listed for as long as the
 *       call takes. So nobody waits on the descriptor of a child that another
 *       one has taken.
 *   C2  Who is cancelled has not taken the child.
 *
 * Locks      bucket.lock, for lists of who waits; nothing is called under it.
 * Edges      none but the locks'.
 * Fails      with what the system has no descriptor for; the child is there for
 *            another attempt.
 * Tests      test/test_waitpid.c */
#include <coir/child.h>

#include "io/sys_process.h"
#include "io/watch.h"
#include "sched/module.h"

/* A fiber that waits, on its stack. */
struct waiting {
    struct waiting *next; /* lock */
    pid_t pid;
    int status;
};

enum { BUCKETS = 64 };

static struct bucket {
    _Alignas(64) coir_i_spin lock;
    struct waiting *first;
} buckets[BUCKETS];

static struct bucket *bucket_of(pid_t pid)
{
    return &buckets[(unsigned)pid % BUCKETS];
}

/* False: another one waits for that child. */
static bool enlist(struct waiting *me)
{
    struct bucket *b = bucket_of(me->pid);
    coir_i_spin_lock(&b->lock);
    struct waiting *w = b->first;
    while (w && w->pid != me->pid)
        w = w->next;
    if (!w) {
        me->next = b->first;
        b->first = me;
    }
    coir_i_spin_unlock(&b->lock);
    return !w;
}

static void unlist(const struct waiting *me)
{
    struct bucket *b = bucket_of(me->pid);
    coir_i_spin_lock(&b->lock);
    struct waiting **at = &b->first;
    while (*at != me)
        at = &(*at)->next;
    *at = me->next;
    coir_i_spin_unlock(&b->lock);
}

/* In the child of a fork: those who wait are the parent's. */
static void forked(void)
{
    for (int i = 0; i < BUCKETS; i++)
        buckets[i] = (struct bucket){.first = NULL};
}

static coir_i_module module = {.forked = forked};

coir_i_constructor(1) static void add_module(void)
{
    coir_i_module_add(&module);
}

/* 1: it has ended, and is ours; 0: not yet; -ECHILD. */
static int look(void *arg)
{
    struct waiting *me = arg;
    return coir_i_sys_reap(me->pid, &me->status);
}

static const coir_i_wait waits_for = {
    .what = "the end of process",
    .flags = COIR_I_WAIT_OUTSIDE | COIR_I_WAIT_NUMBER,
};

static int watch(int fd, struct waiting *me)
{
    coir_i_watch child = {.fd = fd,
                          .events = COIR_I_CAN_READ,
                          .wait = &waits_for,
                          .on = coir_i_wait_number(me->pid),
                          .look = look,
                          .arg = me};
    int rc = coir_i_descriptor_made(fd, 0);
    if (rc == 0)
        rc = coir_i_slot_get(fd, &child.slot);
    if (rc == 0)
        rc = coir_i_watch_until(&child);
    coir_i_descriptor_close(fd);
    return rc;
}

static int await(struct waiting *me)
{
    int rc = look(me);
    if (rc != 0)
        return rc;
    int fd = coir_i_sys_child(me->pid);
    if (fd >= 0)
        return watch(fd, me);
    if (fd != -ESRCH)
        return fd;
    rc = look(me); /* it has ended since, or somebody else has taken it */
    return rc ? rc : -ECHILD;
}

int coir_waitpid(pid_t pid, int *status)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (pid <= 0)
        return -EINVAL;
    struct waiting me = {.pid = pid};
    if (!enlist(&me))
        return -ECHILD;
    rc = await(&me);
    unlist(&me);
    if (rc <= 0)
        return rc;
    if (status)
        *status = me.status;
    return 0;
}
