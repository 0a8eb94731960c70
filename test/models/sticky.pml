/* sticky.pml -- one timer node a fiber, that stays linked
 *
 * To set a deadline is to store it, and then to look whether the node is
 * linked late or not at all. A wheel takes a node out, says so, and then reads
 * the wait word and then the deadline that stands there. Storing the deadline
 * comes before the exchange that arms.
 *
 * Proves     no wait times out before its time, and none whose time has come
 *            is forgotten; a scope's deadline is seen by a fiber that waits, by
 *            one that waits in a way that may not be cancelled as soon as that
 *            is over, and by one that runs on and never waits again.
 * Bounds     WAITS waits, each until soon, later or for ever, then computing;
 *            with SCOPE in a scope whose deadline is then, with STEADY the
 *            last wait may not be cancelled; one waker, EARLY of whose wakes
 *            come before the time; two wheels, between which the fiber moves;
 *            a clock to END.
 * Not here   memory orders (timer.c): resume's RUN is a release there. Levels
 *            and slots of a wheel. Shields, and scopes that change.
 * Code       sched/timer.c, sched/park.c, sched/scope.c
 *
 * run -DWAITS=2 -DEARLY=1
 * run -DWAITS=2 -DEARLY=1 -DSCOPE=2
 * run -DWAITS=2 -DEARLY=1 -DSCOPE=2 -DSTEADY
 * mutation -DLINKED_FIRST -DEARLY=1 : stuck
 * mutation -DUNLINK_LATE -DEARLY=1 : stuck
 * mutation -DNO_RELINK -DSCOPE=2 : stuck
 * mutation -DRUN_UNSEEN -DSCOPE=2 : stuck
 * mutation -DNO_SEQ -DEARLY=1 : assertion */
#ifndef WAITS
#define WAITS 2
#endif
#ifndef EARLY
#define EARLY 0
#endif
#ifndef SCOPE
#define SCOPE NEVER
#endif
#define NEVER 200
#define END 3
#define RUN 0
#define WAITING 1       /* ARMED or PARKED: park.pml has the difference */
#define NOTIF 2
#define WOKEN 1
#define TIMED_OUT 2
#define CANCELLED 3
#define min(a, b) ((a) < (b) -> (a) : (b))

byte now;

byte phase = RUN, seq, reason;  /* one word */
bool look;                      /* and its bit */
bool steady;                    /* and the kind of the wait */
byte deadline = NEVER, until = NEVER;
byte linked = NEVER, wheel;     /* one word */
bool ask;                       /* `checked` is not the epoch */
bool locked[2];
bool done;

inline lock(w)
{
    atomic { !locked[w] -> locked[w] = true }
}

inline unlock(w)
{
    locked[w] = false
}

inline timer_link(ours, d, l, m)
{
    do
    :: atomic { l = linked; m = wheel };
        if
        :: l <= d -> break
        :: l == NEVER ->
            lock(ours);
            atomic {
                if
                :: linked == NEVER -> linked = d; wheel = ours
                :: else -> l = 0        /* again */
                fi
            };
            unlock(ours);
            if
            :: l != 0 -> break
            :: else
            fi
        :: else ->
            lock(m);
            atomic {
                if
                :: linked == l && wheel == m -> linked = d
                :: else -> l = 0
                fi
            };
            unlock(m);
            if
            :: l != 0 -> break
            :: else
            fi
        fi
    od;
    atomic { l = 0; m = 0 }
}

/* The running fiber asks whether it is cancelled. */
inline check()
{
    if
    :: ask ->
        ask = false;
        if
        :: SCOPE <= now -> cancelled = true
        :: SCOPE > now && SCOPE != NEVER ->
            deadline = SCOPE;
            timer_link(here, SCOPE, l, m)
        :: else
        fi
    :: else
    fi
}

active proctype Fiber()
{
    byte waits, d, l, m, here;
    bool cancelled;
    deadline = SCOPE;
    if
    :: SCOPE != NEVER -> timer_link(here, SCOPE, l, m)
    :: else
    fi;
    do
    :: waits < WAITS && !cancelled ->
        check();
        if
        :: cancelled -> break
        :: else
        fi;
        atomic {
            if
            :: now < END -> d = now + 1
            :: now + 1 < END -> d = now + 2
            :: d = NEVER
            fi;
            here = 1 - here
        };
#ifdef LINKED_FIRST
        atomic { l = linked; m = wheel };
#endif
#ifdef STEADY
        atomic { steady = waits == WAITS - 1; until = d };
#else
        until = d;
#endif
        atomic {
            d = (steady -> d : min(d, SCOPE));
            deadline = d
        };
        atomic { assert(phase == RUN && !look); phase = WAITING };
#ifdef LINKED_FIRST
        if
        :: d != NEVER && l > d -> timer_link(here, d, l, m)
        :: else
        fi;
#else
        if
        :: d != NEVER -> timer_link(here, d, l, m)
        :: else
        fi;
#endif
        phase == NOTIF;
        assert(reason != TIMED_OUT || until <= now);
        assert(reason != CANCELLED || (SCOPE <= now && !steady));
        !look;
        atomic { cancelled = reason == CANCELLED; waits++; d = 0 };
        atomic { phase = RUN; seq++; reason = 0; steady = false };
        deadline = SCOPE;
#ifndef NO_RELINK
        if
        :: SCOPE != NEVER -> timer_link(here, SCOPE, l, m)
        :: else
        fi
#endif
    :: else -> break
    od;
    /* It computes, and asks now and then whether it is cancelled. */
    do
    :: SCOPE == NEVER || cancelled -> break
    :: SCOPE != NEVER && !cancelled ->
        ask;
        check()
    od;
    done = true
}

/* Waits without an end of their own are always served. */
active proctype Waker()
{
    byte early;
    do
    :: done -> break
    :: atomic {
            phase == WAITING && until == NEVER && (SCOPE == NEVER || steady) ->
            phase = NOTIF;
            reason = WOKEN
        }
    :: atomic {
            phase == WAITING && early < EARLY ->
            phase = NOTIF;
            reason = WOKEN;
            early++
        }
    od
}

active proctype Clock()
{
    do
    :: now < END -> now++
    :: else -> break
    od
}

inline wake(s, why)
{
    atomic {
        if
#ifdef NO_SEQ
        :: phase == WAITING ->
#else
        :: phase == WAITING && seq == s ->
#endif
            phase = NOTIF;
            reason = why
        :: else
        fi
    }
}

inline begin_look(got)
{
    atomic {
        !look || phase != WAITING;
        got = phase == WAITING;
        look = look || got
    }
}

/* The deadline of the wait s has passed. */
inline see_to(s, n, w, l, m, d, got)
{
    if
    :: until <= n -> wake(s, TIMED_OUT)
    :: else ->
        begin_look(got);
        if
        :: got && !steady && SCOPE <= n ->
            /* The scope expires: whoever waits inside is woken. */
            atomic { phase == WAITING -> phase = NOTIF; reason = CANCELLED }
            unless { phase != WAITING };
            look = false
        :: got && (steady || SCOPE > n) ->
            /* Only needed if the scope was rescheduled, which is not here. */
            d = (steady -> until : min(until, SCOPE));
            deadline = d;
            if
            :: d != NEVER -> timer_link(w, d, l, m)
            :: else
            fi;
            look = false
        :: else
        fi;
        got = false
    fi
}

proctype Wheel(byte w)
{
    byte s, ph, d, n, l, m;
    bool got, due;
    do
    :: done -> break
    :: linked <= now && wheel == w && !done ->
        lock(w);
        due = false;
        n = now;
        if
        :: linked <= n && wheel == w ->
#ifndef UNLINK_LATE
            linked = NEVER;
#endif
            atomic { s = seq; ph = phase };
            d = deadline;
#ifdef UNLINK_LATE
            linked = NEVER;
#endif
            if
            :: d == NEVER
            :: d != NEVER && d > n ->
                atomic {
                    if
                    :: linked == NEVER -> linked = d; wheel = w
                    :: else
                    fi
                }
            :: d <= n && ph == WAITING -> due = true
            :: else ->
#ifndef RUN_UNSEEN
                ask = true
#endif
            fi
        :: else
        fi;
        unlock(w);
        if
        :: due -> see_to(s, n, w, l, m, d, got)
        :: else
        fi;
        atomic { s = 0; ph = 0; d = 0; n = 0; due = false }
    od
}

init {
    atomic {
        run Wheel(0);
        run Wheel(1)
    }
}
