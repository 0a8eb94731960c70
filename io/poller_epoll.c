/* io/poller_epoll.c -- the reactor and poller on Linux: one epoll for all
 *
 * Does       add each descriptor once, edge-triggered and for both directions;
 *            sleep in epoll; tell the slots of edges.
 * Does not   know what a slot is; keep anything about a descriptor.
 *
 * Invariants
 *   E1  `open` is 0, or holds both descriptors, and changes only from the one
 *       to the other: by the fiber that was the first to need them, and when
 *       the runtime stops. Whoever made a second pair closes it again.
 *   E2  The eventfd is edge-triggered and never read: every write is an edge,
 *       and a counter of 64 bits does not fill. `woken` is 1 from a wake until
 *       the poller has come back from that edge, and whoever finds it 1 needs
 *       not write.
 *
 * Locks      none.
 * Edges      reactor.open (publish: the pair is made; observe: it is used)
 *            reactor.woken (publish: a wake; observe: the poller returns)
 * Fails      open: -EMFILE and -ENOMEM come back from the call that needed the
 *            first wait; nothing is left, and the next one tries again.
 * Tests      test/test_poller.c */
#include "fiber/platform.h"
#include "io/descriptor.h"
#include "io/reactor.h"

#if COIR_I_LINUX
#    include "io/doubt.h"
#    include "io/sys.h"
#    include "io/sys_epoll.h"
#    include "sched/poller.h"

enum { BATCH = 256, BATCHES = 8 }; /* of events: in one call, in one wait */

#    define WAKE UINT64_MAX /* the tag of the eventfd */

static int wait_for_events(coir_i_poller *poller, coir_time until);
static void wake_poller(coir_i_poller *poller);

static struct {
    coir_i_poller poller;                 /* const */
    _Alignas(64) _Atomic(uint64_t) open;  /* eventfd << 32 | epoll, see E1 */
    _Alignas(64) _Atomic(uint32_t) woken; /* see E2 */
    struct epoll_event events[BATCH];     /* the worker with the seat */
} reactor = {.poller = {.wait = wait_for_events, .wake = wake_poller}};

static int epoll_of(uint64_t pair)
{
    return (int)(uint32_t)pair;
}

static int eventfd_of(uint64_t pair)
{
    return (int)(pair >> 32);
}

static void close_pair(uint64_t pair)
{
    coir_i_sys_close(epoll_of(pair));
    coir_i_sys_close(eventfd_of(pair));
}

/* An epoll with its eventfd; or why there is none. */
static int make_pair(uint64_t *ret_pair)
{
    int epoll = coir_i_sys_epoll();
    if (epoll < 0)
        return epoll;
    int event = coir_i_sys_eventfd();
    if (event < 0) {
        coir_i_sys_close(epoll);
        return event;
    }
    uint64_t pair = (uint64_t)event << 32 | (uint32_t)epoll;
    int rc = coir_i_sys_epoll_ctl(epoll, EPOLL_CTL_ADD, event,
                                  EPOLLIN | EPOLLET, WAKE);
    if (rc < 0) {
        close_pair(pair);
        return rc;
    }
    *ret_pair = pair;
    return 0;
}

/* The epoll, which the first fiber to need it makes. */
static int need_epoll(void)
{
    /* @observe reactor.open: both descriptors are good. */
    uint64_t pair = load_acquire(&reactor.open), is = 0;
    if (coir_i_likely(pair != 0))
        return epoll_of(pair);

    int rc = make_pair(&pair);
    if (rc < 0) {
        /* @observe reactor.open: it may be another that took the last. */
        is = load_acquire(&reactor.open);
        return is ? epoll_of(is) : rc;
    }
    /* @publish reactor.open: the pair is made. */
    if (cas_acq_rel(&reactor.open, &is, pair)) {
        coir_i_poller_install(&reactor.poller);
        return epoll_of(pair);
    }
    close_pair(pair);
    /* @observe reactor.open: another was faster. */
    return epoll_of(load_acquire(&reactor.open));
}

enum { EDGES = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP };

int coir_i_reactor_add(int fd, uint64_t tag)
{
    int epoll = need_epoll();
    if (epoll < 0)
        return epoll;
    return coir_i_sys_epoll_ctl(epoll, EPOLL_CTL_ADD, fd,
                                EDGES | (uint32_t)EPOLLET, tag);
}

int coir_i_reactor_retag(int fd, uint64_t tag)
{
    int epoll = need_epoll();
    if (epoll < 0)
        return epoll;
    return coir_i_sys_epoll_ctl(epoll, EPOLL_CTL_MOD, fd,
                                EDGES | (uint32_t)EPOLLET, tag);
}

void coir_i_reactor_remove(int fd)
{
    /* @observe reactor.open: both descriptors are good. */
    uint64_t pair = load_acquire(&reactor.open);
    if (pair)
        coir_i_sys_epoll_ctl(epoll_of(pair), EPOLL_CTL_DEL, fd, 0, 0);
}

static void wake_poller(coir_i_poller *poller)
{
    (void)poller;
    coir_i_reactor_wake();
}

void coir_i_reactor_wake(void)
{
    /* @observe reactor.open: both descriptors are good. */
    uint64_t pair = load_acquire(&reactor.open);
    /* @publish reactor.woken: what there is to be seen after the wake. */
    if (pair && !exchange_acq_rel(&reactor.woken, 1))
        coir_i_sys_eventfd_add(eventfd_of(pair));
}

void coir_i_reactor_close(void)
{
    /* @publish reactor.open: nobody uses them any more. */
    /* @observe reactor.open: both descriptors are good. */
    uint64_t pair = exchange_acq_rel(&reactor.open, 0);
    if (pair)
        close_pair(pair);
    store_relaxed(&reactor.woken, 0); /* no other thread is left */
}

static unsigned meaning_of(uint32_t events)
{
    enum { ENDS = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR };
    unsigned meaning = 0;
    if (events & (EPOLLIN | ENDS))
        meaning |= COIR_I_CAN_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        meaning |= COIR_I_CAN_WRITE;
    if (events & ENDS)
        meaning |= COIR_I_HAS_ENDED;
    return meaning;
}

static int tell(const struct epoll_event *event)
{
    if (event->data.u64 != WAKE)
        return coir_i_descriptor_event(event->data.u64,
                                       meaning_of(event->events));
    /* @observe reactor.woken: the worker sees what it was woken for. */
    exchange_acq_rel(&reactor.woken, 0);
    return 0;
}

static int wait_for_events(coir_i_poller *poller, coir_time until)
{
    int woken = 0, count, batches = 0;
    (void)poller;
    /* @observe reactor.open: both descriptors are good. */
    int epoll = epoll_of(load_acquire(&reactor.open));

    if (until != 0)
        until = coir_i_doubts_sleep(until);
    do {
        count = coir_i_sys_epoll_wait(epoll, reactor.events, BATCH, until);
        for (int i = 0; i < count; i++)
            woken += tell(&reactor.events[i]);
        until = 0;
    } while (count == BATCH && ++batches < BATCHES);
    return woken + coir_i_doubts_look();
}

#endif
