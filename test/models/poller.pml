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
 * Bounds     WORKERS workers; one fiber from a foreign thread, one that an
 *            event makes ready; each links a timer. With BUSY_ITEM the first,
 *            with BUSY_EVENT the second keeps its worker until its timer has
 *            fired. FIRST: a timer that is there from the beginning.
 * Not here   memory orders (idle.c PROG=4); how long anything takes; virtual
 *            time; that a poller is replaced by another.
 * Code       sched/seat.c, sched/idle.c, sched/monitor.c
 *
 * run
 * run -DFIRST
 * run -DBUSY_ITEM
 * run -DBUSY_EVENT
 * mutation -DNO_RECHECK : stuck
 * mutation -DNO_KICK : stuck
 * mutation -DTIMER_UNSEEN -DBUSY_ITEM : stuck
 * mutation -DUNTIL_LATE -DBUSY_ITEM : stuck
 * mutation -DTOKEN_EARLY : stuck
 * mutation -DWOKEN_EARLY : stuck
 * mutation -DNO_MONITOR -DBUSY_EVENT : stuck */
#ifndef WORKERS
#define WORKERS 2
#endif
#define NEVER 9
#define FOR_EVER 8              /* somebody sleeps, without a timer */
#define END 3                   /* of time */
#define NOBODY 255
#define ITEM 1                  /* fibers, and when their timers are due */
#define EVENT 2

byte now;
byte global_queue;              /* the fiber in it, or 0 */
byte ring[WORKERS];             /* likewise */
bool event;                     /* the descriptor is ready */
byte pending[WORKERS];          /* wheel: a bit for each time */
byte next[WORKERS];             /* wheel: the first of them */
byte fired;                     /* a bit for each time */
byte ended;                     /* fibers */

bool seat;                      /* is it taken? */
byte until = NEVER;             /* of the sleep in the seat */
bool woken;                     /* the poller's own word */
bool in_poller[WORKERS];

byte sleepers, watchers;        /* the idle word */
bool asleep[WORKERS];
bool token[WORKERS];
bool computes[WORKERS];         /* it is in a fiber for long */

#ifdef FIRST
#define ALL_FIRED ((1 << ITEM) | (1 << EVENT) | (1 << END))
#else
#define ALL_FIRED ((1 << ITEM) | (1 << EVENT))
#endif
#define over (ended == 2 && fired == ALL_FIRED)

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
inline link_timer(w, at)
{
    atomic {
        pending[w] = pending[w] | (1 << (at));
        next[w] = (at < next[w] -> at : next[w])
    };
#ifndef TIMER_UNSEEN
    if
    :: until != NEVER && until > at -> woken = true
    :: else
    fi
#endif
}

inline fire_timers(v)
{
    do
    :: v < WORKERS ->
        atomic {
            if
            :: next[v] <= now ->
                fired = fired | (1 << next[v]);
                pending[v] = pending[v] & ~(1 << next[v]);
                next[v] = NEVER;
                if
                :: (pending[v] >> END) & 1 -> next[v] = END
                :: else
                fi;
                if
                :: (pending[v] >> EVENT) & 1 -> next[v] = EVENT
                :: else
                fi
            :: else -> v++
            fi
        }
    :: else -> v = 0; break
    od
}

inline run_fiber(w, f)
{
    link_timer(w, f);
#ifdef BUSY_ITEM
    if
    :: f == ITEM ->
        computes[w] = true;
        (fired >> ITEM) & 1;
        computes[w] = false
    :: else
    fi;
#endif
#ifdef BUSY_EVENT
    if
    :: f == EVENT ->
        computes[w] = true;
        (fired >> EVENT) & 1;
        computes[w] = false
    :: else
    fi;
#endif
    atomic { f = 0; ended++ }
}

/* From the seat alone: what the kernel has. */
inline take_event(w)
{
    atomic {
        if
        :: event -> event = false; assert(ring[w] == 0); ring[w] = EVENT
        :: else
        fi
    }
}

inline look_around(w, v)
{
    atomic {
        if
        :: global_queue != 0 && ring[w] == 0 ->
            ring[w] = global_queue;
            global_queue = 0
        :: else
        fi
    };
    fire_timers(v);
    atomic {
        if
        :: !seat && event && ring[w] == 0 ->
            event = false;
            ring[w] = EVENT
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
        take_event(w)
    :: else
    fi;
    first = 0;
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
        pending[0] = 1 << END;
        next[0] = END;
#endif
        run Foreign();
        run Kernel();
        run Clock();
#ifndef NO_MONITOR
        run Monitor()
#endif
    }
}
