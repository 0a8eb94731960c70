/* io/poller_kqueue.c -- the reactor and poller on the BSDs and macOS
 *
 * Does       add each descriptor once, with a filter for each direction, both
 *            EV_CLEAR, which is edge-triggered; sleep in kevent; tell the slots
 *            of edges.
 * Does not   know what a slot is; keep anything about a descriptor. Children
 *            and signals come as descriptors, too, see io/sys_process.c:
 *            EVFILT_PROC has a kqueue of its own for each child, which is read
 *            here. EVFILT_SIGNAL is of no use to us: it tells of signals that
 *            are blocked or ignored as well, and does not keep them from
 *            killing the program, so that a handler is needed anyway.
 *
 * Only Linux has been run, where a small kevent of the tests' own stands in.
 *
 * Invariants
 *   K1  `open` is 0, or the kqueue and 1, and changes only from the one to the
 *       other: by the fiber that was the first to need it, and when the runtime
 *       stops. Whoever made a second one closes it again.
 *   K2  `woken` is 1 from a wake until the poller has come back from its event,
 *       and whoever finds it 1 needs not trigger another.
 *   K3  Both filters of a descriptor have the same tag; EV_ADD of one that is
 *       there changes the tag and is an edge if there is something to be done.
 *       close(2) removes them.
 *
 * Locks      none.
 * Edges      reactor.open (publish: it is made; observe: it is used)
 *            reactor.woken (publish: a wake; observe: the poller returns)
 * Fails      open: -EMFILE and -ENOMEM come back from the call that needed the
 *            first wait; nothing is left, and the next one tries again.
 * Tests      test/test_poller_kqueue.c */
#include "fiber/platform.h"
#include "io/descriptor.h"
#include "io/reactor.h"

#if !COIR_I_LINUX
#    include "io/doubt.h"
#    include "io/sys.h"
#    include "io/sys_kqueue.h"
#    include "sched/poller.h"

enum { BATCH = 256, BATCHES = 8 }; /* of events: in one call, in one wait */

enum { WAKE = 1 }; /* the number of the user's event */

_Static_assert(sizeof(void *) >= sizeof(uint64_t), "a tag fits into udata");

static int wait_for_events(coir_i_poller *poller, coir_time until);
static void wake_poller(coir_i_poller *poller);

static struct {
    coir_i_poller poller;                 /* const */
    _Alignas(64) _Atomic(int) open;       /* see K1 */
    _Alignas(64) _Atomic(uint32_t) woken; /* see K2 */
    struct kevent events[BATCH];          /* the worker with the seat */
} reactor = {.poller = {.wait = wait_for_events, .wake = wake_poller}};

static int make_kqueue(void)
{
    struct kevent wake;
    int kq = coir_i_sys_kqueue();
    if (kq < 0)
        return kq;
    EV_SET(&wake, WAKE, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT, 0, 0,
           NULL);
    int rc = coir_i_sys_kevent(kq, &wake, &wake, 1);
    if (rc == 0)
        rc = (int)-wake.data;
    if (rc < 0) {
        coir_i_sys_close(kq);
        return rc;
    }
    return kq;
}

/* The kqueue, which the first fiber to need it makes. */
static int need_kqueue(void)
{
    /* @observe reactor.open: it is good. */
    int open = load_acquire(&reactor.open), is = 0;
    if (coir_i_likely(open != 0))
        return open - 1;

    int kq = make_kqueue();
    if (kq < 0) {
        /* @observe reactor.open: it may be another that took the last. */
        is = load_acquire(&reactor.open);
        return is ? is - 1 : kq;
    }
    /* @publish reactor.open: it is made. */
    if (cas_acq_rel(&reactor.open, &is, kq + 1)) {
        coir_i_poller_install(&reactor.poller);
        return kq;
    }
    coir_i_sys_close(kq);
    /* @observe reactor.open: another was faster. */
    return load_acquire(&reactor.open) - 1;
}

static void set_change(struct kevent *change, int fd, short filter,
                       unsigned flags, uint64_t tag)
{
    EV_SET(change, (uintptr_t)fd, filter, (unsigned short)(flags | EV_RECEIPT),
           0, 0, (void *)(uintptr_t)tag);
}

/* Is it there? To enable what is enabled changes nothing but the tag. */
static int is_added(int kq, int fd, uint64_t tag)
{
    struct kevent probe;
    set_change(&probe, fd, EVFILT_READ, EV_ENABLE, tag);
    int rc = coir_i_sys_kevent(kq, &probe, &probe, 1);
    if (rc < 0 || probe.data == 0)
        return rc < 0 ? rc : 1;
    return probe.data == ENOENT ? 0 : (int)-probe.data;
}

/* The answer of a filter to a file that it is not for. */
static bool is_misfit(long error)
{
    return error == EINVAL || error == ENODEV || error == EOPNOTSUPP;
}

/* Both filters. What has none to read is not for us. What has none to write can
 * only fail there, which needs no wait: EPIPE where the other end is gone. */
static int add_filters(int kq, int fd, uint64_t tag)
{
    struct kevent both[2];
    set_change(&both[0], fd, EVFILT_READ, EV_ADD | EV_CLEAR, tag);
    set_change(&both[1], fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, tag);
    int rc = coir_i_sys_kevent(kq, both, both, 2);
    if (rc < 0)
        return rc;
    long read = (long)both[0].data, write = (long)both[1].data;
    bool is_over = write == EPIPE || is_misfit(write);
    if (read || (write && !is_over)) {
        coir_i_reactor_remove(fd);
        return is_misfit(read) ? -EPERM : (int)-(read ? read : write);
    }
    if (is_over)
        coir_i_descriptor_event(tag, COIR_I_CAN_WRITE | COIR_I_HAS_ENDED);
    return 0;
}

int coir_i_reactor_add(int fd, uint64_t tag)
{
    int kq = need_kqueue();
    if (kq < 0)
        return kq;
    int rc = is_added(kq, fd, tag);
    if (rc != 0)
        return rc < 0 ? rc : -EEXIST;
    /* kqueue knows files, but tells only when they grow. */
    rc = coir_i_sys_is_plain_file(fd);
    if (rc != 0)
        return rc < 0 ? rc : -EPERM;
    return add_filters(kq, fd, tag);
}

int coir_i_reactor_retag(int fd, uint64_t tag)
{
    int kq = need_kqueue();
    return kq < 0 ? kq : add_filters(kq, fd, tag);
}

void coir_i_reactor_remove(int fd)
{
    /* @observe reactor.open: it is good. */
    int open = load_acquire(&reactor.open);
    struct kevent both[2];
    if (!open)
        return;
    set_change(&both[0], fd, EVFILT_READ, EV_DELETE, 0);
    set_change(&both[1], fd, EVFILT_WRITE, EV_DELETE, 0);
    COIR_IGNORE(coir_i_sys_kevent(open - 1, both, both, 2));
}

static void wake_poller(coir_i_poller *poller)
{
    (void)poller;
    coir_i_reactor_wake();
}

void coir_i_reactor_wake(void)
{
    struct kevent wake;
    /* @observe reactor.open: it is good. */
    int open = load_acquire(&reactor.open);
    /* @publish reactor.woken: what there is to be seen after the wake. */
    if (!open || exchange_acq_rel(&reactor.woken, 1))
        return;
    EV_SET(&wake, WAKE, EVFILT_USER, EV_RECEIPT, NOTE_TRIGGER, 0, NULL);
    COIR_IGNORE(coir_i_sys_kevent(open - 1, &wake, &wake, 1));
}

void coir_i_reactor_close(void)
{
    /* @publish reactor.open: nobody uses it any more. */
    /* @observe reactor.open: it is good. */
    int open = exchange_acq_rel(&reactor.open, 0);
    if (open)
        coir_i_sys_close(open - 1);
    store_relaxed(&reactor.woken, 0); /* no other thread is left */
}

static int tell(const struct kevent *event)
{
    if (event->filter == EVFILT_USER) {
        /* @observe reactor.woken: the worker sees what it was woken for. */
        exchange_acq_rel(&reactor.woken, 0);
        return 0;
    }
    unsigned meaning =
        event->filter == EVFILT_READ ? COIR_I_CAN_READ : COIR_I_CAN_WRITE;
    if (event->flags & (EV_EOF | EV_ERROR))
        meaning |= COIR_I_HAS_ENDED | COIR_I_CAN_READ;
    return coir_i_descriptor_event((uint64_t)(uintptr_t)event->udata, meaning);
}

static int wait_for_events(coir_i_poller *poller, coir_time until)
{
    int woken = 0, count, batches = 0;
    (void)poller;
    /* @observe reactor.open: it is good. */
    int kq = load_acquire(&reactor.open) - 1;

    if (until != 0)
        until = coir_i_doubts_sleep(until);
    do {
        count = coir_i_sys_kevent_wait(kq, reactor.events, BATCH, until);
        for (int i = 0; i < count; i++)
            woken += tell(&reactor.events[i]);
        until = 0;
    } while (count == BATCH && ++batches < BATCHES);
    return woken + coir_i_doubts_look();
}

#endif
