/* sched/word.h -- the wait word of a fiber, bit by bit
 *
 *     63                    16 15       8 7   4    3      2     1    0
 *    |          seq           |  reason  |  0  | HELD | LOOK | phase  |
 *
 *   phase   RUN     it runs, or is ready; nobody can wake it
 *           ARMED   it is about to wait: a waker may claim it, and must not
 *                   make it ready, since it still runs
 *           PARKED  it waits, its context is saved: whoever claims it makes it
 *                   ready
 *           NOTIF   claimed; only the fiber goes on from here
 *   LOOK    somebody other reads its scopes (park.h): set on ARMED or PARKED
 *           only; the fiber does not go on to RUN before it is cleared
 *   HELD    somebody other reads its stack: set on PARKED only; whoever wants
 *           to wake it waits until it is cleared
 *   reason  ARMED, PARKED: the kind of the wait, and COIR_I_WAIT_LOCK for a
 *           lock. NOTIF: why it was woken
 *   seq     counts the waits, over all lives of the slot
 *
 *     RUN --arm--> ARMED --commit--> PARKED
 *      ^             |                 |
 *      |           claim             claim
 *      |             v                 v
 *      +--resume-- NOTIF <-------------+        resume: seq + 1 */
#ifndef COIR_SCHED_WORD_H
#define COIR_SCHED_WORD_H

#include "sched/park.h"

enum {
    COIR_I_RUN,
    COIR_I_ARMED,
    COIR_I_PARKED,
    COIR_I_NOTIF,
    COIR_I_PHASE = 3,
    COIR_I_LOOK = 4,
    COIR_I_HELD = 8,
    COIR_I_REASON_SHIFT = 8,
    COIR_I_SEQ_SHIFT = 16
};

static inline uint64_t coir_i_word_seq(uint64_t word)
{
    return word >> COIR_I_SEQ_SHIFT;
}

static inline unsigned coir_i_word_reason(uint64_t word)
{
    return (word >> COIR_I_REASON_SHIFT) & 255;
}

static inline unsigned coir_i_word_phase(uint64_t word)
{
    return word & COIR_I_PHASE;
}

static inline uint64_t coir_i_word(uint64_t seq, unsigned reason,
                                   unsigned phase)
{
    return seq << COIR_I_SEQ_SHIFT | (uint64_t)reason << COIR_I_REASON_SHIFT |
           phase;
}

#endif
