/* nest.pml -- children that wait in their nursery, and workers that sleep
 *
 * A nursery keeps the children that have not begun; while there are any it is
 * linked in the nest of one worker, its home, whose lock guards both. `out`
 * counts the opener until it waits in close, children that run elsewhere than
 * in their opener's close, and the waiting ones together if another than the
 * opener began them (`held`).
 *
 * Proves     every child that was started runs exactly once; close returns
 *            when none waits and none is out, and nobody touches the nursery
 *            after that; no child waits for ever beside a worker that sleeps;
 *            whoever seeks work finds its own nest empty.
 * Bounds     two workers, one nursery, CHILDREN children: the opener starts
 *            all but the last, which the first child starts. With BUSY the
 *            first child keeps its worker until the last has run, so that the
 *            other worker must come. With PENDING the last comes from a thread
 *            that is no worker: it is counted as out, and whoever looks around
 *            starts it, be it the opener itself while it parks. The opener may
 *            run a child on its own stack or on a fresh one, and moves to the
 *            worker that woke it.
 * Not here   memory orders; chunks (a thief takes half, or all, at once); the
 *            times for which a worker spins, watches and leaves a lone child;
 *            the two halves of parking (park.pml).
 * Code       sched/nest.c, sched/nursery.c, sched/idle.c
 *
 * run -DCHILDREN=2
 * run -DCHILDREN=2 -DBUSY
 * run -DCHILDREN=3
 * run -DCHILDREN=3 -DBUSY
 * run -DCHILDREN=2 -DPENDING
 * run -DCHILDREN=3 -DPENDING
 * mutation -DOUT_LATE : assertion
 * mutation -DNO_HELD : assertion
 * mutation -DRECHECK_FIRST -DBUSY : stuck
 * mutation -DLOOK_BEFORE_LINK -DBUSY : stuck
 * mutation -DPENDING -DAS_OPENER : assertion
 * mutation -DCOUNT_LATE : stuck
 * mutation -DDEC_BEFORE_ARM : stuck
 * mutation -DTICKET_LATE : stuck */
#ifndef CHILDREN
#define CHILDREN 2
#endif
#define WORKERS 2
#define LAST (CHILDREN - 1)
#define NOBODY 255
#define RUN 0
#define ARMED 1
#define PARKED 2
#define NOTIF 3

/* A nest: its lock, and what is under it. `count` others may read. */
bool locked[WORKERS];
byte count[WORKERS];    /* children that wait in it */
byte loot[WORKERS];     /* a set of those: taken from the other */

/* The nursery. */
bool gone;              /* its opener has returned */
byte home;              /* changes under the lock of the old one */
bool head;              /* some wait; the opener looks without the lock */
byte waits;             /* the set of those; under the lock of the home */
bool held;              /* likewise */
#ifdef PENDING
byte out = 2;
bool pending = true;    /* LAST is on the list of starts */
#else
byte out = 1;
#endif
bool ticket;            /* of the opener */
byte phase = RUN;       /* the opener's wait word */

/* The one idle word: who sleeps, and how many seek work. */
bool asleep[WORKERS];
byte watchers;
bool token[WORKERS];

bool ready[WORKERS];    /* the opener is in the queue of that worker */
byte fresh[WORKERS];    /* from the opener: a child for a fresh stack, from 1 */
bool busy[WORKERS];     /* runs the opener */
byte opener_on;
bool begun[CHILDREN], ran[CHILDREN];

#define touch assert(!gone)
#define has(set, c) (((set) >> (c)) & 1)

inline lock(w)
{
    atomic { !locked[w] -> locked[w] = true }
}

inline unlock(w)
{
    locked[w] = false
}

/* The first, or nearly so: the order is not what is proved here. */
inline first_of(set, c)
{
    if
    :: has(set, 0) -> c = 0
    :: !has(set, 0) && has(set, 1) -> c = 1
    :: else -> c = 2
    fi;
    set = set & (7 ^ (1 << c))
}

/* The locked home of the nursery, for worker w. */
inline lock_home(w, h)
{
    do
    :: touch;
        h = home;
        lock(h);
        touch;
        if
        :: home == h && (h == w || head) -> break
        :: home == h && h != w && !head -> home = w
        :: else
        fi;
        unlock(h)
    od
}

inline wake_one()
{
    atomic {
        if
        :: watchers == 0 && asleep[0] ->
            asleep[0] = false; watchers++; c1 = 0
        :: watchers == 0 && asleep[1] ->
            asleep[1] = false; watchers++; c1 = 1
        :: else -> c1 = NOBODY
        fi
    };
    if
    :: c1 != NOBODY -> token[c1] = true
    :: else
    fi;
    c1 = 0
}

/* From a fiber on worker w. `own`: on its opener's stack. */
inline start(w, own, c)
{
#ifdef LOOK_BEFORE_LINK
    wakes = (asleep[0] || asleep[1]) && watchers == 0;
#endif
    lock_home(w, h);
    if
    :: !head ->
#ifndef NO_HELD
        if
        :: !own -> atomic { held = true; out++ }
        :: else
        fi;
#endif
        head = true
    :: else
    fi;
    atomic { waits = waits | (1 << c); count[h]++ };
#ifndef LOOK_BEFORE_LINK
    wakes = (asleep[0] || asleep[1]) && watchers == 0;
#endif
    unlock(h);
    if
    :: wakes -> wake_one()
    :: else
    fi;
    atomic { h = 0; wakes = false }
}

/* The last child that waited has been taken; the home is locked. */
inline none_waits()
{
    touch;
    if
    :: held -> atomic { held = false; out-- }
    :: else
    fi;
    touch;
    head = false
}

/* Take the first child of the nursery from its locked home h. */
inline take(h, elsewhere, c)
{
    touch;
    atomic { first_of(waits, c); count[h]-- };
    if
    :: elsewhere -> out++
    :: else
    fi;
    if
    :: waits == 0 -> none_waits()
    :: else
    fi
}

/* What a child does, on worker w. */
inline run_child(w, own, c)
{
    atomic { assert(!begun[c]); begun[c] = true };
    if
#ifdef PENDING
    :: false
#else
    :: c == 0 ->
        start(w, own, LAST);
#endif
#ifdef BUSY
        ran[LAST];
#endif
    :: else
    fi;
    ran[c] = true
}

/* `many` children that `out` counts have ended on worker w. */
inline ended(w, many)
{
    atomic { touch; assert(out >= many); out = out - many; c2 = out };
    if
    :: c2 == 0 ->
        atomic {
            touch;
            if
            :: ticket && phase == ARMED -> phase = NOTIF
            :: ticket && phase == PARKED -> phase = NOTIF; ready[w] = true
            :: else
            fi
        }
    :: else
    fi;
    c2 = 0
}

#ifdef PENDING
inline take_starts(w, own)
{
    if
    :: atomic { pending -> pending = false } ->
        start(w, own, LAST);
        ended(w, 1)     /* it waits now, or runs, and is counted there */
    :: else
    fi
}
#endif

proctype Opener()
{
    byte c, h, c1, c2, i;
    bool elsewhere, wakes;
    do
    :: i < LAST -> start(opener_on, true, i); i++
    :: else -> i = 0; break
    od;
    /* Close: first what waits ... */
    do
    :: head ->
        lock_home(opener_on, h);
        if
        :: !head -> unlock(h)
        :: else ->
            if
            :: elsewhere = true
            :: elsewhere = false
            fi;
            take(h, elsewhere, c);
            unlock(h);
            if
            :: elsewhere ->     /* a fresh stack; we are ready meanwhile */
                atomic {
                    fresh[opener_on] = c + 1;
                    ready[opener_on] = true;
                    busy[opener_on] = false;
                    c = 0;
                    h = 0
                };
                busy[0] || busy[1]
            :: else -> h = 0; run_child(opener_on, true, c)
            fi
        fi
    :: else -> break
    od;
    /* ... then for what others run. */
    if
    :: out == 1
    :: else ->
#ifdef DEC_BEFORE_ARM
        atomic { out--; i = out };
        phase = ARMED;
        ticket = true;
#else
        phase = ARMED;
#ifdef TICKET_LATE
        atomic { out--; i = out };
        ticket = true;
#else
        ticket = true;
        atomic { out--; i = out };
#endif
#endif
        if
        :: i == 0               /* we were the last ourselves */
        :: else ->
#ifdef PENDING
            if                  /* it looks around before it leaves */
#ifdef AS_OPENER
            :: take_starts(opener_on, true)
#else
            :: take_starts(opener_on, false)
#endif
            :: true
            fi;
#endif
            atomic {
                if
                :: phase == ARMED ->
                    phase = PARKED;
                    busy[opener_on] = false
                :: else
                fi
            };
            phase == NOTIF && (busy[0] || busy[1])
        fi;
        phase = RUN;
        assert(out == 0)
    fi;
    assert(!head && !held && waits == 0);
    i = 0;
    do
    :: i < CHILDREN -> assert(begun[i] && ran[i]); i++
    :: else -> break
    od;
    atomic { gone = true; busy[opener_on] = false }
}

/* Up to half of what waits at v, or all of it; `got` is the set. */
inline steal(w, v)
{
    lock(v);
    if
    :: loot[v] != 0 ->
        atomic { first_of(loot[v], c); count[v]--; got = 1 << c }
    :: loot[v] == 0 && count[v] != 0 ->
        touch;
        atomic {
            first_of(waits, c);
            count[v]--;
            got = 1 << c;
            n = 1;
            if
            :: waits != 0 ->
                first_of(waits, c); count[v]--; got = got | (1 << c); n = 2
            :: true
            fi
        };
#ifndef OUT_LATE
        out = out + n;
#endif
        if
        :: waits == 0 -> none_waits()
        :: else
        fi
#ifdef OUT_LATE
        ; touch;
        out = out + n
#endif
    :: else
    fi;
    unlock(v);
    atomic { c = 0; n = 0 };
    if
    :: got != 0 ->
        lock(w);
        atomic {
            loot[w] = loot[w] | got;
            do
            :: got != 0 -> count[w] = count[w] + (got & 1); got = got >> 1
            :: else -> break
            od
        };
        unlock(w);
        stole = true
    :: else
    fi
}

/* Announce the sleep, look at every nest once more, then sleep. Under
 * idle.lock each of these steps is one. */
inline sleep(w)
{
#ifdef RECHECK_FIRST
    found = count[0] != 0 || count[1] != 0;
    atomic { asleep[w] = true; watchers-- };
#else
    atomic { asleep[w] = true; watchers-- };
    lock(0);
    found = count[0] != 0;
    unlock(0);
    lock(1);
    found = found || count[1] != 0;
    unlock(1);
#endif
    if
    :: !found -> token[w] || gone
    :: else
    fi;
    atomic {
        if
        :: asleep[w] -> asleep[w] = false; watchers++
        :: else             /* whoever woke us has done so */
        fi
    };
    atomic { token[w] = false; found = false }
}

/* Until it has stolen something. */
inline find_work(w, v)
{
    watchers++;
    do
    :: gone -> break
    :: !gone && count[v] != 0 ->
        steal(w, v);
        if
        :: stole -> break
        :: else
        fi
    :: !gone && count[v] == 0 ->
        assert(count[w] == 0);
        sleep(w)
    od;
    /* The last watcher leaves: is there something for another? */
    atomic { watchers--; wakes = watchers == 0 && stole; stole = false };
    if
    :: wakes && (count[v] != 0 || count[w] > 1) -> wake_one()
    :: else
    fi;
    wakes = false
}

/* A fiber with a warm stack takes child after child; those that have ended are
 * counted together when it leaves the nursery. */
inline run_children(w)
{
    do
    :: c != NOBODY ->
        run_child(w, false, c);
        owed++;
        c = NOBODY;
        if
        :: break                /* a fiber is ready, or nothing is */
        :: count[w] != 0 ->
            lock(w);
            if
            :: loot[w] != 0 -> atomic { first_of(loot[w], c); count[w]-- }
            :: loot[w] == 0 && count[w] != 0 -> take(w, true, c)
            :: else
            fi;
            unlock(w)
        fi
    :: else -> break
    od;
#ifndef COUNT_LATE
    if
    :: owed != 0 -> ended(w, owed)
    :: else
    fi;
    owed = 0;
#endif
    c = 0
}

proctype Worker(byte w)
{
    byte c, h, c1, c2, got, n, owed, other = 1 - w;
    bool found, stole, wakes;
    do
    :: gone -> break
    :: busy[w] -> !busy[w]
    :: !gone && !busy[w] && fresh[w] != 0 ->
        atomic { c = fresh[w] - 1; fresh[w] = 0 };
        run_children(w)
    :: !gone && !busy[w] && fresh[w] == 0 && ready[w] ->
        atomic { ready[w] = false; opener_on = w; busy[w] = true }
    :: !gone && !busy[w] && fresh[w] == 0 && count[w] != 0 ->
        c = NOBODY;
        lock(w);
        if
        :: loot[w] != 0 -> atomic { first_of(loot[w], c); count[w]-- }
        :: loot[w] == 0 && count[w] != 0 -> take(w, true, c)
        :: else
        fi;
        unlock(w);
        run_children(w)
    :: !gone && !busy[w] && fresh[w] == 0 && !ready[w] && count[w] == 0 ->
#ifdef PENDING
        take_starts(w, false);
        if
        :: count[w] == 0 && !ready[w] -> find_work(w, other)
        :: else
        fi
#else
        find_work(w, other)
#endif
    od
}

init {
    atomic {
        busy[0] = true;
        run Opener();
        run Worker(0);
        run Worker(1)
    }
}
