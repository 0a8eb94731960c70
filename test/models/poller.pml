/* poller.pml -- the seat in the poller, timers, and who is woken
 *
 * One idle worker has the seat and sleeps in the poller until the next timer;
 * the others sleep on their tokens. Whoever publishes work prefers to wake one
 * of those. Whoever links a timer stores it, and looks at the time until which
 * the seat sleeps; the sitter stores that time, and looks at the timers. The
 * monitor wakes a sleeper when a worker computes and the seat is empty.
 *
 * Proves     what a foreign thread publishes is run; each timer that was
 *            linked fires in the end, and an event is seen, though fibers
 *            compute until their timer fires; one worker at a time waits in
 *            the poller.
 * Bounds     two workers; one fiber from a foreign thread, one that an event
 *            makes ready; the fiber TIMER_BY links a timer, and with BUSY keeps
 *            its worker until that has fired. FIRST: another, later one is
 *            there from the beginning.
 * Not here   memory orders (idle.c PROG=4); how long anything takes; virtual
 *            time; that a poller is replaced by another.
 * Code       sched/seat.c, sched/idle.c, sched/monitor.c
 *
 * run -DTIMER_BY=ITEM -DFIRST
 * run -DTIMER_BY=ITEM -DBUSY
 * run -DTIMER_BY=EVENT -DBUSY
 * mutation -DNO_RECHECK : stuck
 * mutation -DNO_KICK : stuck
 * mutation -DTIMER_UNSEEN -DBUSY : stuck
 * mutation -DUNTIL_LATE -DBUSY : stuck
 * mutation -DTOKEN_EARLY : stuck
 * mutation -DWOKEN_EARLY : stuck
 * mutation -DNO_MONITOR -DTIMER_BY=EVENT -DBUSY : stuck */
#ifndef TIMER_BY
#define TIMER_BY ITEM
#endif
#define WORKERS 2
#define NEVER 9
#define FOR_EVER 8              /* somebody sleeps, without a timer */
#define SOON 1                  /* the timer that is linked */
#define END 2                   /* of time: the timer that was there */
#define NOBODY 255
#define ITEM 1                  /* the fibers */
#define EVENT 2

byte now;
byte global_queue;              /* the fiber in it, or 0 */
byte ring[WORKERS];             /* likewise */
bool event;                     /* the descriptor is ready */
byte next[WORKERS];             /* wheel: its first timer */
bool later;                     /* wheel 0 has that at END behind it */
bool fired, fired_last;         /* the timers at SOON and END */
byte ended;                     /* fibers */

bool seat;                      /* is it taken? */
byte until = NEVER;             /* of the sleep in the seat */
bool woken;                     /* the poller's own word */
bool in_poller[WORKERS];

byte sleepers, watchers;        /* the idle word */
bool asleep[WORKERS];
bool token[WORKERS];
bool computes[WORKERS];         /* it is in a fiber for long */

#define over (ended == 2 && fired && fired_last)

inline take_off_list(w)
{
    assert(asleep[w]);
    asleep[w] = false;
    sleepers--;
    watchers++
}

/* Who sleeps on its token is preferred. */
inline choose(k)
{
    k = 0;
    do
    :: k < WORKERS && !(asleep[k] && !in_poller[k]) -> k++
    :: else -> break
    od;
    if
    :: k == WORKERS ->
        k = 0;
        do
        :: !asleep[k] -> k++
        :: else -> break
        od
    :: else
    fi;
    take_off_list(k)
}

inline post(k)
{
    token[k] = true;
#ifndef NO_KICK
    if
    :: in_poller[k] -> woken = true
    :: else
    fi;
#endif
    k = 0
}

inline wake_worker(k)
{
    atomic {
        if
        :: watchers == 0 && sleepers != 0 -> choose(k)
        :: else -> k = NOBODY
        fi
    };
    if
    :: k != NOBODY -> post(k)
    :: else -> k = 0
    fi
}

/* A wheel's lock makes the first step one. */
inline link_timer(w)
{
    atomic {
        later = later || next[w] == END;
        next[w] = SOON
    };
#ifndef TIMER_UNSEEN
    if
    :: until != NEVER && until > SOON -> woken = true
    :: else
    fi
#endif
}

inline fire_timers(v)
{
    do
    :: v < WORKERS && next[v] <= now ->
        fired = fired || next[v] == SOON;
        fired_last = fired_last || next[v] == END;
        next[v] = (later -> END : NEVER);
        later = false
    :: v < WORKERS && next[v] > now -> v++
    :: else -> v = 0; break
    od
}

inline run_fiber(w, f)
{
    if
    :: f == TIMER_BY ->
        link_timer(w);
#ifdef BUSY
        computes[w] = true;
        fired;
        computes[w] = false
#endif
    :: else
    fi;
    atomic { f = 0; ended++ }
}

/* From the seat alone: what the kernel has. */
inline take_event(w)
{
    if
    :: event && ring[w] == 0 -> event = false; ring[w] = EVENT
    :: else
    fi
}

inline look_around(w, v)
{
    atomic {
        if
        :: global_queue != 0 && ring[w] == 0 ->
            ring[w] = global_queue;
            global_queue = 0
        :: else
        fi;
        fire_timers(v)
    };
    atomic {
        if
        :: !seat -> take_event(w)
        :: else
        fi
    }
}

inline sleep_in_seat(w, first)
{
#ifdef TOKEN_EARLY
    any = token[w];
#endif
    in_poller[w] = true;
#ifndef UNTIL_LATE
    until = FOR_EVER;
#endif
    first = next[0];
    first = (next[WORKERS - 1] < first -> next[WORKERS - 1] : first);
#ifdef UNTIL_LATE
    until = FOR_EVER;
#endif
    if
    :: first != NEVER -> until = first
    :: else
    fi;
#ifndef TOKEN_EARLY
    any = token[w];
#endif
    if
    :: !any ->
#ifdef WOKEN_EARLY
        woken = false;
#endif
        woken || event || now >= first || over;
#ifndef WOKEN_EARLY
        woken = false;
#endif
        atomic { assert(ring[w] == 0); take_event(w) }
    :: else
    fi;
    atomic { first = 0; any = false };
    until = NEVER;
    in_poller[w] = false
}

inline sleep(w, first)
{
    atomic { asleep[w] = true; sleepers++; watchers-- };
#ifndef NO_RECHECK
    any = global_queue != 0;
    any = any || ring[0] != 0 || ring[WORKERS - 1] != 0;
#endif
    if
    :: any
    :: else ->
        if
        :: atomic { !seat -> seat = true } ->
            sleep_in_seat(w, first);
            seat = false
        :: atomic { seat -> skip } ->
            token[w] || over
        fi
    fi;
    atomic {
        any = false;
        if
        :: asleep[w] -> take_off_list(w)
        :: else
        fi
    };
    token[w] = false
}

/* Both rings are one to thieves; more than one fiber is never in one. */
inline steal(w, v)
{
    atomic {
        v = 1 - w;
        if
        :: ring[w] == 0 && ring[v] != 0 -> ring[w] = ring[v]; ring[v] = 0
        :: else
        fi;
        v = 0
    }
}

proctype Worker(byte w)
{
    byte v, k, f, first;
    bool any;
    do
    :: over -> break
    :: atomic { !over && ring[w] != 0 -> f = ring[w]; ring[w] = 0 } ->
        run_fiber(w, f)
    :: !over && ring[w] == 0 ->
        watchers++;
        do
        :: over || ring[w] != 0 -> break
        :: else ->
            look_around(w, v);
            steal(w, v);
            if
            :: ring[w] == 0 && !over -> sleep(w, first)
            :: else
            fi
        od;
        atomic { watchers--; any = watchers == 0 && sleepers != 0 };
        if
        :: any && (global_queue != 0 || ring[1 - w] != 0) -> wake_worker(k)
        :: else
        fi;
        any = false
    od
}

proctype Foreign()
{
    byte k;
    global_queue = ITEM;
    wake_worker(k)
}

proctype Kernel()
{
    event = true
}

proctype Clock()
{
    do
    :: now < END -> now++
    :: else -> break
    od
}

#ifndef NO_MONITOR
/* Each tick, but it does something only in this case. */
proctype Monitor()
{
    byte k;
    do
    :: over -> break
    :: atomic {
            (computes[0] || computes[1]) && !seat && sleepers != 0 &&
                watchers == 0 && !over -> choose(k)
        } -> post(k)
    od
}
#endif

init {
    byte w;
    atomic {
        do
        :: w < WORKERS -> next[w] = NEVER; run Worker(w); w++
        :: else -> break
        od;
        w = 0;
#ifdef FIRST
        next[0] = END;
#else
        fired_last = true;
#endif
        run Foreign();
        run Kernel();
        run Clock();
#ifndef NO_MONITOR
        run Monitor()
#endif
    }
}
