/* spare.pml -- a worker that stands in, and sits down again
 *
 * Worker 0 is in a fiber that blocks until another one has run. The monitor
 * hires worker 1, a spare, if work waits, nobody sleeps and nobody watches; and
 * when worker 0 is not blocked any more it allows one active worker, and wakes
 * the spare if that sleeps. A spare that watches sits down on the bench if more
 * are active than are allowed; who has a fiber pinned to it wakes it.
 *
 * Proves     all fibers run, and an event is seen, whoever is in the seat when
 *            the spare sits down; a fiber that is pinned to the spare wakes it
 *            from the bench; both workers end; the idle word counts right.
 * Bounds     two workers; FOREIGN fibers come from a thread that is no worker,
 *            one waits for an event, one is pinned to the spare; the first
 *            blocks until one of the others has run. Then both workers end, but
 *            not before one is active.
 * Not here   memory orders; where work waits but in the global queue, the
 *            poller and the inbox; timers; bias (bias.pml).
 * Code       sched/idle.c, sched/spare.c, sched/monitor.c
 *
 * run -DFOREIGN=1
 * run -DFOREIGN=2 -DNO_EVENT
 * mutation -DNO_WAKE -DFOREIGN=2 : stuck
 * mutation -DNO_INBOX : stuck
 * mutation -DNO_STOP : stuck
 * mutation -DOLD_TOKEN : assertion
 * mutation -DNO_CALL_OFF : stuck
 * mutation -DNO_HIRE : stuck */
#ifndef FOREIGN
#define FOREIGN 1
#endif
#define WORKERS 2
#define SPARE 1
#define NOBODY 255

byte global_queue;
bool inbox;                     /* of the spare */
bool event;                     /* the descriptor is ready */
#ifdef NO_EVENT
bool waits_outside = false;
#define EVENTS 0
#else
bool waits_outside = true;      /* the fiber that waits for it */
#define EVENTS 1
#endif
#define fibers (FOREIGN + EVENTS)
byte ring[WORKERS];
byte ran;                       /* fibers that anybody may run */
bool pinned_ran, first_over;
bool stopping;

byte sleepers, watchers, at_work = 1;    /* the idle word */
bool asleep[WORKERS], benched[WORKERS], token[WORKERS], in_seat[WORKERS];
bool seat;                      /* is it taken? */
byte allowed = 1;
bool blocked;                   /* worker 0, as the monitor sees it */

#define all_ran (ran == fibers && pinned_ran && first_over)
#define surplus (at_work > allowed)
#define work_left (global_queue != 0 || (waits_outside && !seat))

inline take_off(w)
{
    if
    :: asleep[w] -> asleep[w] = false; sleepers--; watchers++
    :: benched[w] -> benched[w] = false; at_work++; watchers++
    :: else -> assert(false)
    fi
}

inline wake_this(w, k)
{
    atomic {
        k = asleep[w] || benched[w];
        if
        :: k -> take_off(w)
        :: else
        fi
    };
    if
    :: k -> token[w] = true
    :: else
    fi;
    k = 0
}

/* Who sleeps on its token is preferred. */
inline wake_worker(k)
{
    if
    :: sleepers != 0 && watchers == 0 ->
        atomic {
            k = NOBODY;
            if
            :: watchers == 0 && sleepers != 0 ->
                k = (asleep[0] && !(in_seat[0] && asleep[SPARE]) -> 0 : SPARE);
                take_off(k)
            :: else
            fi
        };
        if
        :: k != NOBODY -> token[k] = true
        :: else
        fi
    :: else
    fi;
    k = 0
}

inline wake_up(w)
{
    atomic {
        if
        :: asleep[w] -> take_off(w)
        :: else
        fi
    }
}

inline take_event(w)
{
    if
    :: event && waits_outside -> waits_outside = false; ring[w]++
    :: else
    fi
}

inline sleep(w)
{
    atomic { asleep[w] = true; sleepers++; watchers-- };
    if
    :: stopping || global_queue != 0 || ring[0] != 0 || ring[1] != 0 ||
        (w == SPARE && inbox)
    :: else ->
        if
        :: atomic { !seat -> seat = true } ->
            in_seat[w] = true;
            token[w] || (event && waits_outside);
            atomic { take_event(w) };
            wake_up(w);
            in_seat[w] = false;
            seat = false
        :: atomic { seat -> skip } ->
            token[w]
        fi
    fi;
    wake_up(w);
    token[w] = false
}

inline stay_on_bench(w)
{
    do
    :: token[w] ->
        token[w] = false;
#ifdef OLD_TOKEN
        break
#else
        if
        :: !benched[w] -> break
        :: else
        fi
#endif
    od;
    assert(!benched[w])
}

inline hand_over()
{
    atomic { global_queue = global_queue + ring[SPARE]; ring[SPARE] = 0 }
}

inline sit_on_bench(w, k)
{
    atomic {
        sits = surplus;
#ifndef NO_INBOX
        sits = sits && !inbox;
#endif
#ifndef NO_STOP
        sits = sits && !stopping;
#endif
        if
        :: sits -> benched[w] = true; at_work--; watchers--
        :: else
        fi
    };
    if
    :: sits ->
        sits = false;
#ifndef NO_WAKE
        wake_worker(k);
#endif
        stay_on_bench(w)
    :: else
    fi
}

/* The global queue, the poller if nobody is in the seat; then the other's. */
inline look(w)
{
    atomic {
        if
        :: global_queue != 0 -> global_queue--; ring[w]++
        :: else
        fi;
        if
        :: !seat -> take_event(w)
        :: else
        fi;
        if
        :: ring[w] == 0 && ring[1 - w] != 0 -> ring[1 - w]--; ring[w]++
        :: else
        fi
    }
}

inline search(w, k)
{
    do
    :: stopping -> break
    :: else ->
        if
        :: w == SPARE && surplus -> hand_over(); sit_on_bench(w, k)
        :: else
        fi;
        look(w);
        if
        :: ring[w] != 0 || (w == SPARE && inbox) -> break
        :: else -> sleep(w)
        fi
    od;
    atomic { watchers--; sits = watchers == 0 && sleepers != 0 };
    if
    :: sits && (global_queue != 0 || ring[0] > (w == 0) ||
            ring[1] > (w == SPARE)) -> sits = false; wake_worker(k)
    :: else -> sits = false
    fi
}

inline work(w, k)
{
    do
    :: stopping -> break
    :: atomic { !stopping && ring[w] != 0 -> ring[w]--; ran++ }
    :: atomic { !stopping && w == SPARE && inbox ->
            inbox = false; pinned_ran = true }
    :: !stopping && ring[w] == 0 && !(w == SPARE && inbox) ->
        watchers++;
        search(w, k)
    od
}

active proctype Worker()
{
    byte k;
    bool sits;
    /* The first fiber. */
    blocked = true;
    ran > 0;
    blocked = false;
    first_over = true;
    work(0, k)
}

active proctype Spare()
{
    byte k;
    bool sits;
    benched[SPARE] = true;
    stay_on_bench(SPARE);
    search(SPARE, k);
    work(SPARE, k)
}

active proctype Foreign()
{
    byte i, k;
    do
    :: i < FOREIGN -> global_queue++; wake_worker(k); i++
    :: else -> break
    od
}

active proctype Kernel()
{
    event = true
}

active proctype Pinned()
{
    byte k;
    benched[SPARE];
    inbox = true;
    wake_this(SPARE, k)
}

/* Each tick; but only those that do something. */
active proctype Monitor()
{
    byte k;
    do
#ifndef NO_HIRE
    :: blocked && work_left && sleepers == 0 && watchers == 0 &&
        benched[SPARE] ->
        allowed = 2;
        wake_this(SPARE, k)
#endif
    :: blocked && work_left && sleepers != 0 && watchers == 0 -> wake_worker(k)
    :: !blocked && allowed == 2 -> allowed = 1
#ifndef NO_CALL_OFF
    :: surplus && asleep[SPARE] -> wake_this(SPARE, k)
#endif
    :: all_ran && at_work == 1 -> break
    od;
    stopping = true;
    wake_this(0, k);
    wake_this(SPARE, k)
}
