/* io/turn.c -- who is inside a call on a descriptor, and whose turn it is
 *
 * A call on a side has that side to itself from beginning to end, also where
 * it takes many system calls, so that two whole transfers never mix. The next
 * is given the turn by the one before: first come, first served.
 *
 * Invariants
 *   U1  The state's QUEUED is set exactly while a list is not empty. Both
 *       change under the lock alone.
 *   U2  While a call waits for a turn, the turn is taken: by who will give it
 *       on. So it is given back under the lock if QUEUED is set, else by a
 *       compare and swap that would see it being set.
 *   U3  A turn that is given on takes its call in progress with it.
 *   U4  Nobody looks at a node once it is out of its list: it may be gone.
 *
 * Locks      slot.lock, for lists and QUEUED. Nobody is woken under it.
 * Edges      descriptor.turn (publish: a call ends, or a slot begins anew;
 *            observe: the next one begins)
 *            descriptor.calls (publish: a call ends; observe: the last closes)
 *            descriptor.queued (dekker: who watches, and the poller)
 * Fails      begin: nothing is held.
 * Tests      test/test_descriptor.c, test/stress_descriptor.c */
#include "io/descriptor.h"

static uint64_t turn_of(enum coir_i_side side)
{
    return COIR_I_TURN << side;
}

/* Inside, with the turn if one is asked for. -EAGAIN: it is taken. */
static int take(coir_i_descriptor *slot, uint64_t turn)
{
    uint64_t s = load_relaxed(&slot->state);
    while (!(s & (COIR_I_CLOSING | turn))) {
        /* @observe descriptor.turn: what the call before us left. */
        if (cas_acquire(&slot->state, &s, (s | turn) + COIR_I_CALL))
            return 0;
    }
    return s & COIR_I_CLOSING ? -EBADF : -EAGAIN;
}

/* Out, and without the turn, unless `unless` is set. False: it is. */
static bool give_back(coir_i_descriptor *slot, uint64_t turn, uint64_t unless,
                      uint64_t *ret_before)
{
    uint64_t s = load_relaxed(&slot->state);
    while (!(s & unless)) {
        /* @publish descriptor.turn: to the next call on this side. */
        /* @publish descriptor.calls: we are done with the descriptor. */
        /* @observe descriptor.calls: so are all, if we are the last. */
        if (cas_acq_rel(&slot->state, &s, (s & ~turn) - COIR_I_CALL)) {
            *ret_before = s;
            return true;
        }
    }
    return false;
}

/* The state before our leaving is that of the last call of a closed one? */
static bool was_last(uint64_t before)
{
    return (before & (COIR_I_CLOSING | COIR_I_CALLS)) ==
           (COIR_I_CLOSING | COIR_I_CALL);
}

/* ---- Lists. All under the lock. */

static void append(coir_i_queue *queue, coir_i_queued *node)
{
    node->next = NULL;
    node->prev = queue->last ? queue->last : &queue->first;
    *node->prev = node;
    queue->last = &node->next;
}

static void unlist(coir_i_descriptor *slot, coir_i_queue *queue,
                   coir_i_queued *node)
{
    *node->prev = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        queue->last = node->prev;
    node->prev = NULL;
    for (unsigned i = 0; i < COIR_I_QUEUES; i++) {
        if (slot->queue[i].first)
            return;
    }
    uint64_t s = load_relaxed(&slot->state);
    /* relaxed: QUEUED is read and written under the lock. */
    while (!cas_relaxed(&slot->state, &s, s & ~COIR_I_QUEUED)) {
    }
}

/* Into a list; or take the turn that it is for, if that has become free. 1:
 * it waits there now; 0: it has the turn; -EBADF. */
static int enlist(coir_i_descriptor *slot, unsigned list, coir_i_queued *node)
{
    uint64_t turn = list == COIR_I_WATCHERS ? 0 : turn_of(list);
    uint64_t s = load_relaxed(&slot->state);
    for (;;) {
        if (s & COIR_I_CLOSING)
            return -EBADF;
        if (turn && !(s & turn)) {
            /* @observe descriptor.turn: what the call before us left. */
            if (cas_acquire(&slot->state, &s, (s | turn) + COIR_I_CALL))
                return 0;
            /* @dekker descriptor.queued: who watches looks at the descriptor
             * after this; the poller looks for QUEUED after an event. */
        } else if (cas_seq_cst(&slot->state, &s, s | COIR_I_QUEUED)) {
            append(&slot->queue[list], node);
            return 1;
        }
    }
}

static void withdraw(coir_i_descriptor *slot, unsigned list,
                     coir_i_queued *node)
{
    coir_i_spin_lock(&slot->lock);
    if (node->prev)
        unlist(slot, &slot->queue[list], node);
    coir_i_spin_unlock(&slot->lock);
}

/* ---- Turns. */

static const coir_i_wait waits_for_turn = {.what = "its turn at a descriptor"};

/* Wait until the turn is given to us. */
static int wait_for_turn(coir_i_descriptor *slot, enum coir_i_side side)
{
    coir_i_queued node = {.prev = NULL};
    node.ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_turn, slot);

    coir_i_spin_lock(&slot->lock);
    int rc = enlist(slot, side, &node);
    coir_i_spin_unlock(&slot->lock);

    if (rc <= 0) {
        coir_i_wake(node.ticket, COIR_I_WOKEN);
        coir_i_park();
        return rc;
    }
    switch (coir_i_park()) {
    case COIR_I_WOKEN:
        return 0;
    case COIR_I_CLOSED:
        return -EBADF;
    }
    withdraw(slot, side, &node);
    return -ECANCELED;
}

int coir_i_call_begin_now(coir_i_call *call, int fd, enum coir_i_side side)
{
    call->fd = fd;
    call->side = side;
    int rc = coir_i_slot_get(fd, &call->slot);
    return rc < 0 ? rc : take(call->slot, turn_of(side));
}

int coir_i_call_begin(coir_i_call *call, int fd, enum coir_i_side side)
{
    int rc = coir_i_call_begin_now(call, fd, side);
    if (coir_i_unlikely(rc == -EAGAIN))
        rc = wait_for_turn(call->slot, side);
    return rc;
}

/* The end of a call while somebody is in a list: the turn goes to the first who
 * waits for it and has not been cancelled. The state before, if nobody took
 * it; 0: somebody did, and our call in progress is his. */
static uint64_t give_on(coir_i_descriptor *slot, enum coir_i_side side)
{
    for (;;) {
        uint64_t before = 0;
        coir_i_spin_lock(&slot->lock);
        coir_i_queued *node = slot->queue[side].first;
        if (!node) {
            give_back(slot, turn_of(side), 0, &before);
            coir_i_spin_unlock(&slot->lock);
            return before;
        }
        coir_i_ticket ticket = node->ticket;
        unlist(slot, &slot->queue[side], node);
        coir_i_spin_unlock(&slot->lock);
        if (coir_i_wake(ticket, COIR_I_WOKEN))
            return 0;
    }
}

void coir_i_call_end(coir_i_call *call)
{
    coir_i_descriptor *slot = call->slot;
    uint64_t before;
    if (coir_i_unlikely(!slot))
        return;
    if (coir_i_unlikely(
            !give_back(slot, turn_of(call->side), COIR_I_QUEUED, &before)))
        before = give_on(slot, call->side);
    if (coir_i_unlikely(was_last(before)))
        coir_i_descriptor_finish(slot, call->fd);
    call->slot = NULL;
}

int coir_i_slot_enter(coir_i_descriptor *slot)
{
    return take(slot, 0);
}

int coir_i_slot_leave(coir_i_descriptor *slot, int fd)
{
    uint64_t before = 0;
    give_back(slot, 0, 0, &before);
    return was_last(before) ? coir_i_descriptor_finish(slot, fd) : 0;
}

/* ---- Those who watch, and waking whole lists. */

int coir_i_slot_watch(coir_i_descriptor *slot, coir_i_queued *watcher)
{
    coir_i_spin_lock(&slot->lock);
    int rc = enlist(slot, COIR_I_WATCHERS, watcher);
    coir_i_spin_unlock(&slot->lock);
    return rc < 0 ? rc : 0;
}

void coir_i_slot_unwatch(coir_i_descriptor *slot, coir_i_queued *watcher)
{
    withdraw(slot, COIR_I_WATCHERS, watcher);
}

int coir_i_slot_wake(coir_i_descriptor *slot, unsigned list, unsigned events,
                     unsigned reason)
{
    int woken = 0;
    for (;;) {
        coir_i_spin_lock(&slot->lock);
        coir_i_queued *node = slot->queue[list].first;
        while (node && node->events && !(node->events & events))
            node = node->next;
        if (!node) {
            coir_i_spin_unlock(&slot->lock);
            return woken;
        }
        coir_i_ticket ticket = node->ticket;
        unlist(slot, &slot->queue[list], node);
        coir_i_spin_unlock(&slot->lock);
        woken += coir_i_wake(ticket, reason);
    }
}
