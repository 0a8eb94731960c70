/* give.pml -- an object that fibers wait for, and what is handed to them
 *
 * A semaphore on the wait queue: its word has a lock, who finds no permit puts
 * itself into the queue and parks; who gives takes the first that it can claim
 * off the queue, gives the lock back, hands over and delivers. A claim of an
 * ARMED fiber sets LOOK, which deliver clears; a claim of a PARKED one leaves
 * it unready until deliver. A fiber that was cancelled withdraws under the
 * lock. A dump holds parked fibers and reads their stacks.
 *
 * Proves     a permit is neither lost nor doubled, whether a waiter is chosen
 *            first or cancelled first; nobody waits beside a permit; a fiber
 *            does not go on between claim and deliver, so what it is handed is
 *            whole; the giver touches neither the object after its unlock nor
 *            the waiter after deliver; a held fiber does not run.
 * Bounds     FIBERS fibers that wait once each; GIVES permits, given one by
 *            one; one cancel of fiber 0; one dump that holds fiber 0; a worker
 *            for each fiber.
 * Not here   LOOK by cancellers (look.pml), memory orders (a lock, and release
 *            and acquire of the wait word).
 * Code       sched/waitq.h, waitq.c, sem.c, park.c
 *
 * run -DFIBERS=2 -DGIVES=2
 * run -DFIBERS=2 -DGIVES=1
 * run -DFIBERS=3 -DGIVES=2
 * mutation -DNO_NEXT : assertion
 * mutation -DNO_WITHDRAW : assertion
 * mutation -DWITHDRAW_UNLOCKED : assertion
 * mutation -DDELIVER_FIRST : assertion
 * mutation -DNO_LOOK : assertion
 * mutation -DREADY_AT_CLAIM : assertion
 * mutation -DHELD_IGNORED : assertion
 * mutation -DBARGE : assertion */
#ifndef FIBERS
#define FIBERS 2
#endif
#ifndef GIVES
#define GIVES 2
#endif
#define RUN 0
#define ARMED 1
#define PARKED 2
#define NOTIF 3
#define WOKEN 1
#define CANCELLED 3
#define NOBODY 255

/* The object. */
bool lock;
byte permits;
chan queue = [FIBERS] of { byte };

/* The word of each fiber, and what is known of it. */
byte phase[FIBERS], reason[FIBERS];
bool look[FIBERS], held[FIBERS];
bool on_cpu[FIBERS], ready[FIBERS], leaves[FIBERS];
bool linked[FIBERS];            /* plain, under the lock */
bool item[FIBERS];              /* plain: what it is handed */
bool gone[FIBERS];              /* its stack, with the waiter on it */
byte taken, given, ended;

inline acquire()
{
    atomic { !lock -> lock = true }
}

/* The word: one atomic step, when nobody has a bit set that it waits for. */
inline claim(f, why, giving, won)
{
    atomic {
#ifdef HELD_IGNORED
        !(phase[f] == ARMED && look[f] && giving);
#else
        !(phase[f] == PARKED && held[f]) &&
            !(phase[f] == ARMED && look[f] && giving);
#endif
        if
        :: phase[f] == ARMED ->
            won = ARMED;
            phase[f] = NOTIF;
            reason[f] = why;
#ifndef NO_LOOK
            if
            :: giving -> look[f] = true
            :: else
            fi
#endif
        :: phase[f] == PARKED ->
            won = PARKED;
            phase[f] = NOTIF;
            reason[f] = why;
#ifdef READY_AT_CLAIM
            ready[f] = true
#else
            if
            :: !giving -> ready[f] = true
            :: else
            fi
#endif
        :: else -> won = 0
        fi
    }
}

inline deliver(f, won)
{
    atomic {
        assert(!gone[f]);
        if
        :: won == PARKED -> ready[f] = true
        :: else -> look[f] = false
        fi
    }
}

proctype Fiber(byte f)
{
    on_cpu[f] = true;
    phase[f] = ARMED;
    acquire();
    if
    :: permits > 0 ->
        permits--;
        lock = false;
        atomic {                /* nobody else has the ticket */
            phase[f] = RUN;
            taken++
        }
    :: else ->
        linked[f] = true;
        queue ! f;
        lock = false;
        if
        :: phase[f] == NOTIF
        :: else ->
            atomic { leaves[f] = true; on_cpu[f] = false };
end_waits:
            on_cpu[f]
        fi;
        assert(phase[f] == NOTIF);
        !look[f];
        if
        :: reason[f] == WOKEN ->
            assert(item[f]);
            taken++
        :: else ->
#ifndef NO_WITHDRAW
#ifndef WITHDRAW_UNLOCKED
            acquire();
#endif
            if
            :: linked[f] ->
                linked[f] = false;
                queue ?? eval(f)
            :: else
            fi;
#ifndef WITHDRAW_UNLOCKED
            lock = false
#endif
#else
            skip
#endif
        fi;
        phase[f] = RUN
    fi;
    atomic { gone[f] = true; on_cpu[f] = false; ended++ }
}

/* Commits after the fiber has left, and runs it when it is ready. */
proctype Worker(byte f)
{
end_idle:
    do
    :: leaves[f] ->
        leaves[f] = false;
        atomic {
            if
            :: phase[f] == ARMED -> phase[f] = PARKED
            :: else -> ready[f] = true
            fi
        }
    :: atomic { ready[f] && !leaves[f] -> ready[f] = false };
        assert(!held[f] && !on_cpu[f]);
        on_cpu[f] = true
    :: gone[f] -> break
    od
}

active proctype Giver()
{
    byte f, won;
    do
    :: given < GIVES ->
        acquire();
        f = NOBODY;
        won = 0;
#ifdef BARGE
        permits++;              /* though somebody waits */
#else
        do
        :: nempty(queue) ->
            queue ? f;
            assert(!gone[f]);
            linked[f] = false;
            claim(f, WOKEN, true, won);
            if
            :: won != 0 -> break
            :: else -> f = NOBODY
            fi;
#ifdef NO_NEXT
            break
#endif
        :: empty(queue) -> permits++; break
        od;
#endif
        given++;
#ifdef DELIVER_FIRST
        if
        :: f != NOBODY -> item[f] = true; deliver(f, won)
        :: else
        fi;
        assert(ended < FIBERS);         /* who ends last frees the object */
        lock = false
#else
        if
        :: f != NOBODY ->
            assert(ended < FIBERS);
            lock = false;
            assert(!gone[f]);
            item[f] = true;
            deliver(f, won)
        :: else ->
            atomic { lock = false }
        fi
#endif
    :: else -> break
    od
}

active proctype Canceller()
{
    byte won;
    claim(0, CANCELLED, false, won);
    won = 0
}

active proctype Dump()
{
    if
    :: atomic { phase[0] == PARKED && !held[0] -> held[0] = true };
        assert(!on_cpu[0]);     /* its stack is read */
        assert(!on_cpu[0] && phase[0] == PARKED);
        held[0] = false
    :: skip
    fi
}

init
{
    byte f;
    atomic {
        do
        :: f < FIBERS -> run Fiber(f); run Worker(f); f++
        :: else -> break
        od
    };
    /* Whoever is not given a permit and not cancelled waits for ever. */
    timeout;
    assert(given == GIVES);
    assert(taken + permits == given);
    assert(permits == 0 || ended == FIBERS)
}
