/* deadlock.pml -- when all workers sleep: is anybody left to wake a fiber?
 *
 * Whoever sits in the seat looks, before it sleeps, whether all workers sleep,
 * no call is outside, nothing is queued, no other thread lives, and nobody has
 * been woken meanwhile. The last to go to sleep beside it suspects a deadlock,
 * or not, and wakes it to look. While other threads live it asks again later.
 *
 * Proves     an alarm is raised only when every fiber waits for nobody, no call
 *            is out and no other thread lives; and then it is raised.
 * Bounds     two workers; a fiber that makes CALLS calls outside, and one that
 *            waits at once, for another thread if there is one: that may wake
 *            it, and ends.
 * Not here   memory orders (idle.lock, and the two of runtime.outside); timers;
 *            how the kernel counts threads (all at once).
 * Code       sched/deadlock.c, sched/seat.c, sched/idle.c, pools/thread_pool.c
 *
 * run -DCALLS=1
 * run -DCALLS=2
 * run -DCALLS=0 -DSTRANGER
 * mutation -DCALLS=2 -DNO_REST : assertion
 * mutation -DEND_FIRST : assertion
 * mutation -DNO_QUEUE : assertion
 * mutation -DCALLS=0 -DIGNORE_STRANGER -DSTRANGER : assertion
 * mutation -DNO_TELL : stuck
 * mutation -DTELL_EARLY : stuck
 * mutation -DCALLS=0 -DNO_ASK -DSTRANGER : stuck
 * mutation -DCALLS=0 -DASKS_EARLY -DSTRANGER : stuck */
#ifndef CALLS
#define CALLS 1
#endif
#define WORKERS 2
#define FIBERS 2
#define NOBODY 255

mtype = { QUEUED, RUNS, OUT, FOR_STRANGER, FOR_NOBODY };
mtype state[FIBERS];
byte calls[FIBERS];             /* left to be made */
byte outside;
bool stranger;                  /* it lives */

byte sleepers, awakenings = 1;  /* under idle.lock, which makes a step one */
bool asleep[WORKERS], token[WORKERS], in_poller[WORKERS];
bool watches[WORKERS];          /* it is awake, and looks for work */
bool seat, woken, asks;
bool alarm;

#define queued (state[0] == QUEUED || state[1] == QUEUED)
#define is_for_nobody(f) (state[f] == FOR_NOBODY || \
    (state[f] == FOR_STRANGER && !stranger))
#define dead (is_for_nobody(0) && is_for_nobody(1) && outside == 0 && !stranger)

inline wake_up(w)
{
    atomic {
        if
        :: asleep[w] ->
            asleep[w] = false;
            watches[w] = true;
            sleepers--;
            awakenings++
        :: else
        fi
    }
}

/* Who sleeps on its token is preferred. */
inline wake_worker(k)
{
    atomic {
        if
        :: watches[0] || watches[1] -> k = NOBODY
        :: !watches[0] && !watches[1] && asleep[0] && !in_poller[0] -> k = 0
        :: !watches[0] && !watches[1] && asleep[1] && !in_poller[1] -> k = 1
        :: else ->
            if
            :: asleep[0] -> k = 0
            :: !asleep[0] && asleep[1] -> k = 1
            :: else -> k = NOBODY
            fi
        fi;
        if
        :: k != NOBODY ->
            asleep[k] = false;
            watches[k] = true;
            sleepers--;
            awakenings++
        :: else
        fi
    };
    if
    :: k != NOBODY ->
        token[k] = true;
        if
        :: in_poller[k] -> woken = true
        :: else
        fi
    :: else
    fi;
    k = 0
}

/* A watcher has found work: is there more? */
inline hand_on(k)
{
    if
    :: queued -> wake_worker(k)
    :: else
    fi
}

inline tell()
{
#ifdef NO_TELL
    skip
#else
    if
    :: sleepers == WORKERS && outside == 0 && (!asks || !stranger) ->
        woken = true
    :: else
    fi
#endif
}

inline run_fiber(f)
{
    if
    :: calls[f] > 0 ->
        calls[f]--;
        outside++;
        state[f] = OUT
    :: calls[f] == 0 ->
#ifdef STRANGER
        if
        :: f == 0 -> state[f] = FOR_STRANGER
        :: else -> state[f] = FOR_NOBODY
        fi
#else
        state[f] = FOR_NOBODY
#endif
    fi
}

/* rest is 0 when it is no deadlock. */
inline look()
{
#ifdef ASKS_EARLY
    asks = true;
#endif
    atomic { rest = (sleepers == WORKERS -> awakenings : 0) };
    if
    :: rest != 0 && outside != 0 -> rest = 0
    :: else
    fi;
#ifndef NO_QUEUE
    if
    :: rest != 0 && queued -> rest = 0
    :: else
    fi;
#endif
#ifndef IGNORE_STRANGER
    if
    :: rest != 0 && stranger ->
        rest = 0;
#ifndef NO_ASK
        asks = true
#endif
    :: else
#ifdef ASKS_EARLY
        -> asks = false
#endif
    fi;
#endif
    if
    :: rest != 0 ->
        atomic {
#ifndef NO_REST
            if
            :: sleepers != WORKERS || rest != awakenings -> rest = 0
            :: else
            fi;
#endif
            if
            :: rest != 0 -> assert(dead); alarm = true
            :: else
            fi;
            rest = 0
        }
    :: else
    fi
}

inline sleep_in_seat(w)
{
    in_poller[w] = true;
    if
    :: !token[w] ->
        look();
        if
        :: !alarm ->
            woken || alarm || (asks && !stranger);
            woken = false
        :: else
        fi;
        asks = false
    :: else
    fi;
    in_poller[w] = false
}

inline sleep(w)
{
#ifdef TELL_EARLY
    tell();
#endif
    atomic { watches[w] = false; asleep[w] = true; sleepers++ };
    if
    :: queued
    :: else ->
        if
        :: atomic { !seat -> seat = true } ->
            sleep_in_seat(w);
            wake_up(w);
            seat = false
        :: atomic { seat -> skip } ->
#ifndef TELL_EARLY
            tell();
#endif
            token[w] || alarm
        fi
    fi;
    wake_up(w);
    token[w] = false
}

proctype Worker(byte w)
{
    byte rest, k;
    do
    :: alarm -> break
    :: atomic {
            !alarm && state[0] == QUEUED -> state[0] = RUNS; watches[w] = false
        };
        hand_on(k);
        run_fiber(0);
        watches[w] = true
    :: atomic {
            !alarm && state[1] == QUEUED -> state[1] = RUNS; watches[w] = false
        };
        hand_on(k);
        run_fiber(1);
        watches[w] = true
    :: !alarm && !queued -> sleep(w)
    od
}

/* A thread of a pool, with the call of fiber f. */
proctype Pool(byte f)
{
    byte k;
    do
    :: alarm -> break
    :: state[f] == OUT && !alarm ->
#ifdef END_FIRST
        outside--;
#endif
        state[f] = QUEUED;
        wake_worker(k);
#ifndef END_FIRST
        outside--;
#endif
        tell()
    od
}

/* Not coir's: it may wake who waits for it, or not; and ends. */
proctype Stranger()
{
    byte k;
    if
    :: state[0] == FOR_STRANGER -> state[0] = QUEUED; wake_worker(k)
    :: skip
    fi;
    stranger = false
}

init {
    atomic {
        state[0] = QUEUED;
        state[1] = QUEUED;
        calls[1] = CALLS;
#ifdef STRANGER
        stranger = true;
        run Stranger();
#endif
        watches[0] = true;
        watches[1] = true;
        run Worker(0);
        run Worker(1);
        run Pool(1)
    }
}
