/* sched/timer.c -- one sticky timer node a fiber, in a wheel a worker
 *
 * Does       link a fiber's node; find whose deadline has passed.
 * Does not   wake anyone: sched/due.c decides what a passed deadline means.
 *
 * Invariants
 *   T1  a node is in the slot for its `linked` of the wheel in its `linked`,
 *       or in one that is looked at before.
 *   T2  elapsed <= the tick of everything linked; a lower level is due before
 *       a higher one.
 *   T3  whoever stores a deadline and then sees that `linked` is not later may
 *       rely on it: the wheel sets `linked` to COIR_NEVER before it reads the
 *       word and then the deadline.
 *
 * Locks      wheel.lock; two are never held at once.
 * Edges      timer.linked (dekker: a fiber that sets a deadline, look_at)
 *            timer.unlinked (publish: look_at; observe: who links it next)
 *            timer.wheel (publish: who links; observe: coir_i_timer_link)
 *            timer.next (dekker: coir_i_timer_link, the poller in idle.c)
 * Fails      never.
 * Tests      test/test_sleep.c, test/stress_timer.c, test/models/sticky.pml */
#include "sched/timer.h"

#include "sched/word.h"
#include "sched/worker.h"

enum { SLOT_BITS = 6, SLOT_MASK = COIR_I_WHEEL_SLOTS - 1 };

static uint64_t tick_of(coir_time t)
{
    uint64_t ns = t < 0 ? 0 : (uint64_t)t;
    return (ns + ((1 << COIR_I_TICK_BITS) - 1)) >> COIR_I_TICK_BITS;
}

static uint64_t tick_linked(coir_time linked)
{
    return (uint64_t)linked >> COIR_I_TICK_BITS;
}

static uint32_t wheel_linked(coir_time linked)
{
    return linked & ((1 << COIR_I_TICK_BITS) - 1);
}

static coir_i_fiber *fiber_at(coir_i_link *link)
{
    return (coir_i_fiber *)((char *)link - offsetof(coir_i_fiber, timer));
}

void coir_i_wheel_init(coir_i_wheel *wheel, uint32_t number, coir_time now)
{
    wheel->number = number;
    wheel->elapsed = (uint64_t)now >> COIR_I_TICK_BITS;
    store_relaxed(&wheel->next, COIR_NEVER);
    for (int l = 0; l < COIR_I_WHEEL_LEVELS; l++)
        for (int i = 0; i < COIR_I_WHEEL_SLOTS; i++) {
            coir_i_link *slot = &wheel->slot[l][i];
            slot->next = slot->prev = slot;
        }
}

/* ---- under the wheel's lock ---- */

/* The tick at which slot `at` of a level is due, seen from elapsed. */
static uint64_t slot_tick(const coir_i_wheel *wheel, unsigned level,
                          unsigned at)
{
    unsigned shift = SLOT_BITS * level;
    uint64_t lap = UINT64_C(1) << (shift + SLOT_BITS);
    uint64_t tick = (wheel->elapsed & ~(lap - 1)) + ((uint64_t)at << shift);
    return tick < (wheel->elapsed >> shift << shift) ? tick + lap : tick;
}

static void place(coir_i_wheel *wheel, coir_i_fiber *f, uint64_t tick)
{
    if (tick < wheel->elapsed)
        tick = wheel->elapsed;
    uint64_t differ = (tick ^ wheel->elapsed) | SLOT_MASK;
    unsigned level = (63U - (unsigned)__builtin_clzll(differ)) / SLOT_BITS;
    unsigned at = (tick >> (SLOT_BITS * level)) & SLOT_MASK;
    if (level >= COIR_I_WHEEL_LEVELS) { /* years away: look at it on the way */
        level = COIR_I_WHEEL_LEVELS - 1;
        at = ((wheel->elapsed >> (SLOT_BITS * level)) + SLOT_MASK) & SLOT_MASK;
    }
    coir_i_link *slot = &wheel->slot[level][at];
    f->timer.next = slot; /* last: equals in the order of their linking */
    f->timer.prev = slot->prev;
    slot->prev->next = &f->timer;
    slot->prev = &f->timer;
    wheel->occupied[level] |= UINT64_C(1) << at;

    coir_time due =
        (coir_time)(slot_tick(wheel, level, at) << COIR_I_TICK_BITS);
    if (due < load_relaxed(&wheel->next))
        /* @dekker timer.next: before the look at the poller's sleep. */
        store_seq_cst(&wheel->next, due);
}

static void displace(coir_i_wheel *wheel, coir_i_fiber *f)
{
    coir_i_link *next = f->timer.next, *prev = f->timer.prev;
    next->prev = prev;
    prev->next = next;
    if (next != prev)
        return;
    /* It was alone, or one of two: both neighbours are the slot's end, or the
     * other node. */
    size_t at = ((uintptr_t)next - (uintptr_t)wheel->slot) / sizeof *next;
    if (at < (size_t)COIR_I_WHEEL_LEVELS * COIR_I_WHEEL_SLOTS)
        wheel->occupied[at / COIR_I_WHEEL_SLOTS] &=
            ~(UINT64_C(1) << (at % COIR_I_WHEEL_SLOTS));
}

/* The slot that is due first: of the lowest level that has one. */
static bool first_slot(const coir_i_wheel *wheel, unsigned *level, unsigned *at)
{
    for (unsigned l = 0; l < COIR_I_WHEEL_LEVELS; l++) {
        uint64_t bits = wheel->occupied[l];
        if (!bits)
            continue;
        unsigned here = (wheel->elapsed >> (SLOT_BITS * l)) & SLOT_MASK;
        uint64_t turned =
            here ? bits >> here | bits << (COIR_I_WHEEL_SLOTS - here) : bits;
        *level = l;
        *at = (here + (unsigned)__builtin_ctzll(turned)) & SLOT_MASK;
        return true;
    }
    return false;
}

static void find_next(coir_i_wheel *wheel)
{
    unsigned level, at;
    coir_time next = COIR_NEVER;
    if (first_slot(wheel, &level, &at))
        next = (coir_time)(slot_tick(wheel, level, at) << COIR_I_TICK_BITS);
    store_relaxed(&wheel->next, next); /* later than it was: no hurry */
}

/* The time of a node that was just unlinked has come: true if its fiber waits
 * and is due. */
static bool look_at(coir_i_wheel *wheel, coir_i_fiber *f, coir_time now,
                    coir_i_ticket *due)
{
    /* @dekker timer.linked: from here a fiber that sets a deadline links
     * itself; then the word, then the deadline.
     * @observe park.resume: a new seq comes with its deadline.
     * @publish timer.unlinked: we are done with its links. */
    store_seq_cst(&f->linked, COIR_NEVER);
    uint64_t word = load_seq_cst(&f->word);
    coir_time deadline = load_seq_cst(&f->deadline);
    if (deadline == COIR_NEVER)
        return false;
    if (deadline > now) {
        uint64_t tick = tick_of(deadline);
        coir_time unlinked = COIR_NEVER;
        coir_time linked =
            (coir_time)(tick << COIR_I_TICK_BITS | wheel->number);
        /* @observe timer.unlinked: likewise; or it has linked itself.
         * @publish timer.wheel: as where it was linked first. */
        if (cas_acq_rel(&f->linked, &unlinked, linked))
            place(wheel, f, tick);
        return false;
    }
    unsigned phase = coir_i_word_phase(word);
    if (phase == COIR_I_ARMED || phase == COIR_I_PARKED) {
        *due = (coir_i_ticket){f, coir_i_word_seq(word)};
        return true;
    }
    /* It runs: when it next asks whether it is cancelled it shall look at its
     * deadlines. relaxed: see coir_i_scope_check. */
    store_relaxed(&f->checked, 0);
    return false;
}

/* ---- the interface ---- */

/* f is linked too late, or was when *linked was read: move it. False: read
 * again. */
static bool move(coir_i_fiber *f, coir_time linked, uint64_t tick)
{
    coir_i_wheel *wheel = &coir_i_runtime.workers[wheel_linked(linked)].wheel;
    coir_i_spin_lock(&wheel->lock);
    bool same = load_relaxed(&f->linked) == linked;
    if (same) {
        displace(wheel, f);
        /* @publish timer.wheel: as where it was linked first. */
        store_release(&f->linked,
                      (coir_time)(tick << COIR_I_TICK_BITS | wheel->number));
        place(wheel, f, tick);
    }
    coir_i_spin_unlock(&wheel->lock);
    return same;
}

static bool link_unlinked(coir_i_wheel *wheel, coir_i_fiber *f, uint64_t tick)
{
    coir_time unlinked = COIR_NEVER;
    coir_i_spin_lock(&wheel->lock);
    /* @observe timer.unlinked: whoever unlinked it is done with its links.
     * @publish timer.wheel: a spare's wheel, which may be a new one. */
    bool was =
        cas_acq_rel(&f->linked, &unlinked,
                    (coir_time)(tick << COIR_I_TICK_BITS | wheel->number));
    if (was)
        place(wheel, f, tick);
    coir_i_spin_unlock(&wheel->lock);
    return was;
}

void coir_i_timer_link(coir_i_wheel *ours, coir_i_fiber *f, coir_time deadline)
{
    uint64_t tick = tick_of(deadline);
    for (;;) {
        /* @dekker timer.linked: the deadline was stored, and a fence is
         * between.
         * @observe timer.wheel: it is set up. */
        coir_time linked = load_seq_cst(&f->linked);
        if (linked != COIR_NEVER && tick_linked(linked) <= tick)
            return;
        if (linked == COIR_NEVER ? link_unlinked(ours, f, tick)
                                 : move(f, linked, tick))
            break;
    }
    coir_i_idle_timer((coir_time)(tick << COIR_I_TICK_BITS));
}

unsigned coir_i_wheel_advance(coir_i_wheel *wheel, coir_time now,
                              coir_i_ticket *due, unsigned most)
{
    uint64_t target = (uint64_t)now >> COIR_I_TICK_BITS;
    unsigned count = 0, level, at;
    if (!coir_i_spin_try(&wheel->lock))
        return 0; /* somebody advances it, or links: the next look will do */
    while (count < most && first_slot(wheel, &level, &at)) {
        uint64_t tick = slot_tick(wheel, level, at);
        if (tick > target)
            break;
        wheel->elapsed = tick;
        coir_i_link *slot = &wheel->slot[level][at];
        while (count < most && slot->next != slot) {
            coir_i_fiber *f = fiber_at(slot->next);
            displace(wheel, f);
            if (level == 0)
                count += look_at(wheel, f, now, &due[count]);
            else
                place(wheel, f, tick_linked(load_relaxed(&f->linked)));
        }
    }
    if (count < most && wheel->elapsed < target)
        wheel->elapsed = target;
    find_next(wheel);
    coir_i_spin_unlock(&wheel->lock);
    return count;
}

bool coir_i_wheel_is_set(coir_i_wheel *wheel)
{
    unsigned level, at;
    bool set = false;
    coir_i_spin_lock(&wheel->lock);
    while (!set && first_slot(wheel, &level, &at)) {
        coir_i_fiber *f = fiber_at(wheel->slot[level][at].next);
        set = load_relaxed(&f->deadline) != COIR_NEVER;
        if (!set) {
            displace(wheel, f);
            look_at(wheel, f, INT64_MIN, NULL); /* links it if it is set now */
        }
    }
    find_next(wheel);
    coir_i_spin_unlock(&wheel->lock);
    return set;
}

void coir_i_wheel_clear(coir_i_wheel *wheel)
{
    for (int l = 0; l < COIR_I_WHEEL_LEVELS; l++)
        for (int i = 0; i < COIR_I_WHEEL_SLOTS; i++)
            while (wheel->slot[l][i].next != &wheel->slot[l][i]) {
                coir_i_fiber *f = fiber_at(wheel->slot[l][i].next);
                displace(wheel, f);
                store_relaxed(&f->linked, COIR_NEVER);
            }
}
