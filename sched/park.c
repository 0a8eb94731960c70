/* sched/park.c -- the waist: how a fiber waits, and how it is woken
 *
 * Does       enter, arm, park, wake, look; the tickets.
 * Does not   know what is waited for, or choose who runs next.
 *
 * Invariants, with W the word (see word.h)
 *   P1  only the fiber itself goes RUN -> ARMED and NOTIF -> RUN; only the
 *       commit after its switch goes ARMED -> PARKED; anyone with the ticket
 *       goes ARMED or PARKED -> NOTIF, once a seq.
 *   P2  it is made ready by whoever claims it PARKED, or by its own commit if
 *       it was claimed before; by nobody else. So it is in one queue at most.
 *   P3  it has looked at the epoch after it was ARMED, and whoever cancels
 *       reads W after it has changed the epoch: one of the two sees the other.
 *   P4  it does not change its scopes or deadlines while LOOK is set.
 *   P5  whoever claims it ARMED for coir_i_deliver sets LOOK with the claim and
 *       clears it with deliver; whoever claims it PARKED makes it ready with
 *       deliver. So it does not go on in between.
 *   P6  while HELD is set it is PARKED, and nobody claims it.
 *
 * Edges
 *   park.cancel   dekker: arm and then the epoch; the epoch and then W
 *   park.context  publish: commit; observe: claim of PARKED
 *   park.reason   publish: claim; observe: resume
 *   park.resume   publish: resume; observe: the timer's read of W
 *   park.look     publish: look_end, deliver; observe: resume, another look
 *   park.held     publish: release; observe: wake, claim
 * Tests      test/test_task.c, test/stress_park.c, test/models/park.pml,
 *            test/models/look.pml, give.pml */
#include "sched/park.h"

#include "sched/choice.h"
#include "sched/clock.h"
#include "sched/monitor.h"
#include "sched/scope.h"
#include "sched/trace.h"
#include "sched/tree.h"
#include "sched/word.h"
#include "sched/worker.h"

#include <errno.h>
#include <sched.h>

enum {
    SHARE = 256,      /* calls in a row that did not have to park: a channel of
                         a usual length is full before */
    SEEDED_SHARE = 4, /* with a seed: from 1 to so many */
};

int coir_i_enter(void)
{
    coir_i_worker *w = coir_i_worker_here();
    if (!w || !w->thread.running->life)
        return -EPERM;
    coir_i_fiber *f = w->thread.running;
    if (coir_i_scope_check(f))
        return -ECANCELED;
    if (coir_i_likely(++w->calls < SHARE))
        return 0;
    if (coir_i_unlikely(coir_i_seeded))
        w->calls_begin = SHARE - 1 - coir_i_choose(SEEDED_SHARE);
    w->calls = w->calls_begin;
    coir_i_give_way(COIR_I_CHILD);
    return coir_i_scope_check(f) ? -ECANCELED : 0;
}

coir_i_ticket coir_i_arm(coir_time until, enum coir_i_wait_kind kind,
                         const coir_i_wait *wait, const void *on)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_fiber *f = w->thread.running;
    if (coir_i_unlikely(!f->stack->listed))
        coir_i_tree_list(f);
    coir_time deadline = until;
    if (kind == COIR_I_CANCELLABLE && f->stack->scope_until < until)
        deadline = f->stack->scope_until;
    f->stack->wait = wait;
    f->stack->waits_on = on;
    f->stack->waits_since = load_relaxed(&coir_i_clock_coarse);
    if (wait->flags & (COIR_I_WAIT_OUTSIDE | COIR_I_WAIT_LOCK))
        coir_i_count_up(wait->flags & COIR_I_WAIT_LOCK
                            ? &w->counts.locks_begun
                            : &w->counts.outside_begun);
    /* relaxed: the exchange comes between these and whoever reads W. */
    store_relaxed(&f->until, until);
    store_relaxed(&f->deadline, deadline);
    /* relaxed: nobody else writes W while we run. */
    uint64_t seq = coir_i_word_seq(load_relaxed(&f->word));
    /* @dekker park.cancel: before the epoch is looked at, in park. */
    exchange_seq_cst(&f->word,
                     coir_i_word(seq, kind | (wait->flags & COIR_I_WAIT_LOCK),
                                 COIR_I_ARMED));
    if (deadline != COIR_NEVER)
        coir_i_timer_link(&w->wheel, f, deadline);
    return (coir_i_ticket){f, seq};
}

/* Commit: the fiber that was left waits now, unless it was claimed already. */
static void commit_parked(coir_i_thread *here, coir_i_fiber *f)
{
    (void)here;
    uint64_t word = load_relaxed(&f->word);
    while (coir_i_word_phase(word) == COIR_I_ARMED) {
        /* @publish park.context: the saved context, to whoever claims it. */
        if (cas_release(&f->word, &word,
                        (word & ~(uint64_t)COIR_I_PHASE) | COIR_I_PARKED))
            return;
    }
    coir_i_ready(f, false);
}

/* Somebody reads what only stays while LOOK or HELD is set: for a moment. */
static void breathe(unsigned *spins)
{
    if (++*spins % 256)
        coir_i_pause();
    else
        sched_yield(); /* it may have lost its CPU */
}

static uint64_t wait_for_looker(coir_i_fiber *f)
{
    uint64_t word;
    unsigned spins = 0;
    /* @observe park.look: the looker has read the scopes; what was given. */
    while ((word = load_acquire(&f->word)) & COIR_I_LOOK)
        breathe(&spins);
    return word;
}

/* Under a look: a rewait may change it. */
static __attribute__((cold, noinline)) void trace_wait(coir_i_fiber *f)
{
    coir_i_ticket ticket;
    if (coir_i_look(f, &ticket)) {
        coir_i_trace_wait(f);
        coir_i_look_end(f);
    }
}

unsigned coir_i_park(void)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_fiber *f = w->thread.running;
    int error_number = *w->thread.error_number;
    /* @dekker park.cancel: we are ARMED; either this sees the epoch, or
     * whoever changed it sees us. */
    if (coir_i_unlikely(load_seq_cst(&coir_i_epoch) !=
                        load_relaxed(&f->checked)))
        coir_i_scope_visit(f);
    /* @observe park.reason: what the waker did before. */
    uint64_t word = load_acquire(&f->word);
    if (coir_i_word_phase(word) != COIR_I_NOTIF) {
        coir_i_count_up(&w->counts.parks);
        if (coir_i_traces())
            trace_wait(f);
        coir_i_leave(w, commit_parked);
        /* @observe park.reason: likewise; and the looker's end. */
        word = load_acquire(&f->word);
    }
    if (coir_i_unlikely(word & COIR_I_LOOK))
        word = wait_for_looker(f);
    coir_i_assert(coir_i_word_phase(word) == COIR_I_NOTIF);
    /* @publish park.resume: a timer that reads the new seq does not take the
     * old deadline for its own. */
    store_release(&f->word,
                  coir_i_word(coir_i_word_seq(word) + 1, 0, COIR_I_RUN));
    if (coir_i_likely(f->stack->scope_until == COIR_NEVER))
        store_relaxed(&f->deadline, COIR_NEVER);
    else /* the wheel may have let go of our node during the wait */
        coir_i_scope_watch(f, f->stack->scope_until);
    w = coir_i_worker_here();
    unsigned flags = f->stack->wait->flags;
    if (flags & (COIR_I_WAIT_OUTSIDE | COIR_I_WAIT_LOCK))
        coir_i_count_up(flags & COIR_I_WAIT_LOCK ? &w->counts.locks_ended
                                                 : &w->counts.outside_ended);
    *w->thread.error_number = error_number;
    return coir_i_word_reason(word);
}

/* Claim the wait of the ticket, once nobody has one of the bits `busy` set. The
 * word that it took; 0: it was lost. */
static inline uint64_t claim(coir_i_ticket ticket, unsigned reason,
                             uint64_t busy, uint64_t look_if_armed)
{
    coir_i_fiber *f = ticket.fiber;
    uint64_t word = load_relaxed(&f->word);
    unsigned spins = 0;
    for (;;) {
        unsigned phase = coir_i_word_phase(word);
        if (coir_i_word_seq(word) != ticket.seq ||
            (phase != COIR_I_ARMED && phase != COIR_I_PARKED))
            return 0;
        uint64_t mine = phase == COIR_I_ARMED ? look_if_armed : 0;
        if (coir_i_unlikely(word & (busy | mine))) {
            breathe(&spins);
            /* @observe park.held: it has read the stack. */
            word = load_acquire(&f->word);
            continue;
        }
        uint64_t claimed = coir_i_word(ticket.seq, reason, COIR_I_NOTIF) |
                           (word & COIR_I_LOOK) | mine;
        /* @publish park.reason: what we did before.
         * @observe park.context: its context, if it was PARKED.
         * @observe park.held: whoever read its stack has done so. */
        if (cas_acq_rel(&f->word, &word, claimed)) {
            if (coir_i_traces())
                coir_i_trace_wake(ticket);
            return word;
        }
    }
}

bool coir_i_wake(coir_i_ticket ticket, unsigned reason)
{
    uint64_t word = claim(ticket, reason, COIR_I_HELD, 0);
    if (coir_i_word_phase(word) == COIR_I_PARKED)
        coir_i_ready(ticket.fiber, true);
    return word != 0;
}

bool coir_i_claim(coir_i_ticket ticket, unsigned reason, bool *parked)
{
    uint64_t word = claim(ticket, reason, COIR_I_HELD, COIR_I_LOOK);
    *parked = coir_i_word_phase(word) == COIR_I_PARKED;
    return word != 0;
}

void coir_i_deliver(coir_i_fiber *f, bool parked)
{
    if (parked)
        coir_i_ready(f, true);
    else /* @publish park.look: what we gave it. */
        fetch_and_release(&f->word, ~(uint64_t)COIR_I_LOOK);
}

bool coir_i_look(coir_i_fiber *f, coir_i_ticket *ticket)
{
    unsigned spins = 0;
    /* @dekker park.cancel: the epoch was changed before. */
    uint64_t word = load_seq_cst(&f->word);
    for (;;) {
        unsigned phase = coir_i_word_phase(word);
        if (phase != COIR_I_ARMED && phase != COIR_I_PARKED)
            return false;
        if (word & COIR_I_LOOK) { /* somebody else */
            breathe(&spins);
            /* @dekker park.cancel: as above. */
            word = load_seq_cst(&f->word);
            continue;
        }
        /* @observe park.look: the one before us has ended.
         * @observe park.context: and the fiber wrote its scopes before. */
        if (cas_acq_rel(&f->word, &word, word | COIR_I_LOOK)) {
            *ticket = (coir_i_ticket){f, coir_i_word_seq(word)};
            return true;
        }
    }
}

bool coir_i_waits_cancellable(coir_i_fiber *f)
{
    /* relaxed: it may be claimed meanwhile; then nothing will end it. */
    uint64_t word = load_relaxed(&f->word);
    unsigned phase = coir_i_word_phase(word);
    return (phase == COIR_I_ARMED || phase == COIR_I_PARKED) &&
           !(coir_i_word_reason(word) & COIR_I_UNCANCELLABLE);
}

void coir_i_rewait(coir_i_ticket ticket, const coir_i_wait *wait,
                   const void *on)
{
    coir_i_fiber *f = ticket.fiber;
    coir_i_ticket seen;
    if (!coir_i_look(f, &seen))
        return;
    uint64_t word = load_relaxed(&f->word);
    uint64_t lock = (uint64_t)COIR_I_WAIT_LOCK << COIR_I_REASON_SHIFT;
    /* If it was claimed meanwhile it does not matter any more. */
    while (seen.seq == ticket.seq && wait->flags & COIR_I_WAIT_LOCK &&
           coir_i_word_phase(word) != COIR_I_NOTIF) {
        if (!cas_relaxed(&f->word, &word, word | lock))
            continue;
        /* relaxed: a hint. */
        fetch_add_relaxed(&coir_i_runtime.locks_later, 1);
        f->stack->wait = wait;
        f->stack->waits_on = on;
        f->stack->waits_since = load_relaxed(&coir_i_clock_coarse);
        break;
    }
    coir_i_look_end(f);
    if (!coir_i_worker_here()) {
        /* @dekker monitor.sleeps: after locks_later; all may sleep, and this
         * may have closed a circle. */
        fence_seq_cst();
        coir_i_monitor_wake();
    }
}

void coir_i_look_end(coir_i_fiber *f)
{
    /* @publish park.look: we have read, and written, its scopes. */
    fetch_and_release(&f->word, ~(uint64_t)COIR_I_LOOK);
}

bool coir_i_hold(coir_i_fiber *f)
{
    uint64_t word = load_relaxed(&f->word);
    for (unsigned spins = 0; coir_i_word_phase(word) == COIR_I_PARKED;) {
        if (word & COIR_I_HELD) {
            breathe(&spins);
            word = load_relaxed(&f->word); /* the CAS observes */
            /* @observe park.context: its context, and its stack.
             * @observe park.held: the holder before us has ended. */
        } else if (cas_acquire(&f->word, &word, word | COIR_I_HELD)) {
            return true;
        }
    }
    return false;
}

void coir_i_release(coir_i_fiber *f)
{
    /* @publish park.held: we have read its stack. */
    fetch_and_release(&f->word, ~(uint64_t)COIR_I_HELD);
}

/* ---- tickets in a word ---- */

enum { INDEX_BITS = 28, SEQ_BITS = 34 };

uint64_t coir_i_ticket_pack(coir_i_ticket ticket)
{
    return (ticket.seq & ((UINT64_C(1) << SEQ_BITS) - 1)) << INDEX_BITS |
           ticket.fiber->index;
}

coir_i_ticket coir_i_ticket_unpack(uint64_t packed)
{
    coir_i_fiber *f = coir_i_fiber_at(packed & ((1U << INDEX_BITS) - 1));
    uint64_t low = packed >> INDEX_BITS;
    /* The rest of seq is what the fiber has now: it has not waited 2^34 times
     * since, or the wake is one of those that come too late anyway. */
    uint64_t seq = coir_i_word_seq(load_relaxed(&f->word));
    return (coir_i_ticket){f, (seq >> SEQ_BITS << SEQ_BITS) | low};
}
