/* io/watch.c -- waiting for what a descriptor only hints at
 *
 * Does       look; be listed as one who watches; look again; park.
 * Does not   take a turn, or read the descriptor.
 *
 * Invariants
 *   L1  Between the look that found nothing and the park the watcher is listed:
 *       an event that comes after that look finds it.
 *   L2  The registration is of the generation in which it is listed: else its
 *       events are dropped, and it looks again.
 *   L3  It is inside the descriptor but while it parks, so that it does not
 *       hold up a close.
 *
 * Locks      none held over a look.
 * Edges      descriptor.queued, in io/turn.c and io/descriptor.c
 * Fails      what the reactor says, from the call that needed the wait.
 * Tests      test/test_waitpid.c, test/test_signals.c, test/test_descriptor.c,
 *            test/stress_reuse.c */
#include "io/watch.h"

static uint32_t generation_of(coir_i_descriptor *slot)
{
    /* relaxed: it goes up in the word by which a watcher is listed. */
    return (uint32_t)(load_relaxed(&slot->state) >> 32);
}

/* Armed and listed, then look. generation: from before it was registered. Had
 * another begun since, nobody would have stirred us, who were not listed. */
static int list_and_look(const coir_i_watch *watch, uint32_t generation,
                         coir_i_queued *me)
{
    me->ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, watch->wait, watch->on);
    int rc = coir_i_slot_watch(watch->slot, me);
    if (rc < 0)
        return rc;
    if (generation != generation_of(watch->slot))
        coir_i_wake(me->ticket, COIR_I_WOKEN); /* see L2 */
    return watch->look(watch->arg);
}

/* What look said; 0: after an event. */
static int watch_once(const coir_i_watch *watch)
{
    coir_i_queued me = {.events = watch->events};
    int rc = coir_i_slot_enter(watch->slot);
    if (rc < 0)
        return rc;
    uint32_t generation = generation_of(watch->slot);
    rc = watch->look(watch->arg);
    if (rc == 0)
        rc = coir_i_slot_register(watch->slot, watch->fd);
    if (rc != 0) {
        coir_i_slot_leave(watch->slot, watch->fd);
        return rc;
    }
    rc = list_and_look(watch, generation, &me);
    coir_i_slot_leave(watch->slot, watch->fd);
    if (rc != 0)
        coir_i_wake(me.ticket, COIR_I_WOKEN);
    unsigned reason = coir_i_park();
    coir_i_slot_unwatch(watch->slot, &me);
    if (rc != 0 || reason == COIR_I_WOKEN)
        return rc;
    return reason == COIR_I_CLOSED ? -EBADF : -ECANCELED;
}

int coir_i_watch_until(const coir_i_watch *watch)
{
    int rc;
    do {
        rc = watch_once(watch);
    } while (rc == 0);
    return rc;
}
