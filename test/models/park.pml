/* park.pml -- a fiber waits and is woken: the wait word alone
 *
 * Proves     a fiber is resumed once a wait, never lost, never enqueued twice,
 *            never run before its context is saved; a scope that is cancelled
 *            at any time ends the wait; a ticket of an earlier wait wakes
 *            nobody.
 * Bounds     WAITS waits after another; one waker, one timer, one canceller;
 *            a worker that commits and runs, another one that only runs.
 * Not here   the LOOK bit (look.pml), memory orders (park.c), queues.
 * Code       sched/park.c
 *
 * run -DWAITS=2
 * run -DWAITS=3
 * mutation -DFLAG_FIRST : stuck
 * mutation -DENQUEUE_ARMED : assertion
 * mutation -DNO_SEQ : assertion
 * mutation -DCOMMIT_BLIND : stuck */
#ifndef WAITS
#define WAITS 2
#endif
#define RUN 0
#define ARMED 1
#define PARKED 2
#define NOTIF 3
#define WOKEN 1
#define TIMED_OUT 2
#define CANCELLED 3
#define NONE 255

/* One atomic word: always touched together, in one atomic step. */
byte phase = RUN, seq, reason;

bool cancelled;         /* the scope's flag */
bool saved;             /* the fiber's context is good */
bool on_cpu = true;     /* the fiber executes */
bool leaves, resumed;   /* to the worker whose commit follows; and back */
bool done;
byte ready;             /* how often it is in a run queue */
byte wait;              /* the wait that it is in, counted apart from seq */
byte ticket = NONE, timer = NONE; /* the seq that was published to them */

/* The claim: won is 0 lost, 1 it was ARMED, 2 it was PARKED. */
inline wake(s, why, won)
{
    atomic {
        if
#ifdef NO_SEQ
        :: phase == ARMED || phase == PARKED ->
#else
        :: seq == s && (phase == ARMED || phase == PARKED) ->
#endif
            assert(s == wait);
            won = phase;
            phase = NOTIF;
            reason = why
        :: else -> won = 0
        fi
    };
    if
#ifdef ENQUEUE_ARMED
    :: won != 0 -> atomic { ready++; assert(ready == 1) }
#else
    :: won == PARKED -> atomic { ready++; assert(ready == 1) }
#endif
    :: else
    fi
}

active proctype Fiber()
{
    bool flag;
    do
    :: wait < WAITS ->
#ifdef FLAG_FIRST
        flag = cancelled;
#endif
        atomic { assert(phase == RUN); phase = ARMED; reason = 0 };
        ticket = seq;
        timer = seq;
#ifndef FLAG_FIRST
        flag = cancelled;
#endif
        if
        :: flag ->
            atomic {
                if
                :: phase == ARMED -> phase = NOTIF; reason = CANCELLED
                :: else
                fi
            }
        :: else
        fi;
        if
        :: phase == NOTIF       /* go on without a switch */
        :: else ->
            on_cpu = false;
            saved = true;
            leaves = true;
            resumed;
            resumed = false;
            assert(on_cpu)
        fi;
        assert(phase == NOTIF && reason != 0);
        ticket = NONE;
        timer = NONE;
        atomic { phase = RUN; seq++; wait++ }
    :: else -> break
    od;
    done = true
}

inline go_on()
{
    assert(saved && !on_cpu);
    saved = false;
    on_cpu = true;
    resumed = true
}

active proctype Worker()
{
    do
    :: leaves ->
        leaves = false;
        atomic {
            if
#ifdef COMMIT_BLIND
            :: true -> phase = PARKED
#else
            :: phase == ARMED -> phase = PARKED
            :: phase == NOTIF -> ready++; assert(ready == 1)
#endif
            fi
        }
    :: atomic { ready > 0 && !leaves -> ready-- } -> go_on()
    :: done -> break
    od
}

active proctype Thief()
{
    do
    :: atomic { ready > 0 -> ready-- } -> go_on()
    :: done -> break
    od
}

/* Wakes whoever published a ticket; may be late with it. Once the scope is
 * cancelled it owes the fiber nothing. */
active proctype Waker()
{
    byte s, won;
    do
    :: done || cancelled -> break
    :: ticket != NONE ->
        s = ticket;
        if
        :: s != NONE -> wake(s, WOKEN, won)
        :: else
        fi
    od
}

active proctype Timer()
{
    byte s, won;
    do
    :: done -> break
    :: timer != NONE ->
        s = timer;
        if
        :: s != NONE -> wake(s, TIMED_OUT, won)
        :: else
        fi;
        break
    od
}

active proctype Canceller()
{
    byte s, ph, won;
    cancelled = true;
    atomic { s = seq; ph = phase };
    if
    :: ph == ARMED || ph == PARKED -> wake(s, CANCELLED, won)
    :: else
    fi
}
