/* thread_pool.pml -- calls find a thread, threads come and go
 *
 * Proves     every call is made, or dropped because its caller was cancelled,
 *            or refused because there is no thread; whichever threads end or
 *            cannot be made meanwhile. No call waits where no thread lives.
 * Bounds     CALLS callers with one call each, at most MAX threads at a time;
 *            every thread may end when it has slept, every birth may fail,
 *            every caller but one may be cancelled.
 * Not here   the order of the queue; the lock: what is done under it is one
 *            step here.
 * Code       pools/thread_pool.c
 *
 * run -DCALLS=3 -DMAX=1
 * run -DCALLS=3 -DMAX=2
 * run -DCALLS=3 -DMAX=2 -DCPUS=2
 * mutation -DMAX=2 -DGIVE_UP_ONLY : stuck
 * mutation -DCALLS=5 -DMAX=2 -DTAKE_ONLY : assertion
 * mutation -DEND_LATE : stuck
 * mutation -DREFUSE_OWN : stuck
 * mutation -DFORGET_WOKEN : assertion */
#ifndef CALLS
#define CALLS 3
#endif
#ifndef CPUS
#define CPUS 1
#endif
#ifndef MAX
#define MAX 1
#endif
#define NONE 0
#define WAITING 1
#define BEGUN 2
#define OVER 3
#define REFUSED 4
#define DROPPED 5
#define THREADS (CALLS + 1) /* that are ever made */

byte stage[CALLS];    /* a call that waits is in the queue */
byte waiting, threads, seeking, idlers, made;
bool asleep[THREADS], woken[THREADS];

/* What follows is done under the lock, in one step with what is around it. */
inline take(call)
{
    call = CALLS;
    for (i : 0 .. CALLS - 1) {
        if
        :: stage[i] == WAITING && call == CALLS -> call = i
        :: else
        fi
    };
    if
    :: call < CALLS ->
        stage[call] = BEGUN;
        waiting--;
        seeking--
    :: else
    fi
}

inline call_idler()
{
    i = 0;
    do
    :: asleep[i] -> break
    :: else -> i++
    od;
    asleep[i] = false;
    woken[i] = true;
    idlers--;
#ifndef FORGET_WOKEN
    seeking++
#endif
}

inline call_help(hires)
{
    hires = false;
    if
    :: waiting > seeking && seeking < CPUS ->
        if
        :: idlers > 0 -> call_idler()
        :: idlers == 0 && threads < MAX ->
            threads++;
            seeking++;
            hires = true
        :: else
        fi
    :: else
    fi
}

/* A thread is made, or cannot be. */
inline send_help(hires)
{
    if
    :: hires ->
        if
        :: d_step { made < THREADS -> id = made; made++ };
            run thread(id)
        :: d_step {
            hires = false;
            seeking--;
            threads--;
#ifndef GIVE_UP_ONLY
            if
            :: waiting > seeking && idlers > 0 -> call_idler()
            :: else
            fi;
#endif
            i = 0;
            do
            :: i == CALLS -> break
            :: else ->
                if
#ifdef REFUSE_OWN
                :: i == mine && stage[i] == WAITING && threads == 0 ->
#else
                :: stage[i] == WAITING && threads == 0 ->
#endif
                    stage[i] = REFUSED;
                    waiting--
                :: else
                fi;
                i++
            od }
        fi
    :: else
    fi
}

/* take(), and whoever takes one looks after those that still wait. */
inline take_and_help(call, hires)
{
    take(call);
#ifndef TAKE_ONLY
    if
    :: call < CALLS -> call_help(hires)
    :: else -> hires = false
    fi
#endif
}

proctype thread(byte me)
{
    byte call, i, id, mine = CALLS;
    bool hires;
    d_step { take_and_help(call, hires) };
    do
    :: call < CALLS ->
        send_help(hires);
        /* fn runs. */
        d_step {
            stage[call] = OVER;
            seeking++;
            take_and_help(call, hires)
        }
    :: else -> /* nothing to do, found under the lock; so it sleeps */
        d_step {
            if
            :: waiting > 0 -> take_and_help(call, hires)
            :: else ->
                idlers++;
                seeking--;
                asleep[me] = true
            fi
        };
        if
        :: call < CALLS -> skip
        :: else ->
            if
            :: d_step { woken[me] ->
                woken[me] = false;
                take_and_help(call, hires) }
            :: d_step { asleep[me] -> /* for too long */
                asleep[me] = false;
                idlers--;
#ifndef END_LATE
                threads--
#endif
                };
#ifdef END_LATE
                threads--;
#endif
                break
            fi
        fi
    od
}

proctype caller(byte mine)
{
    bool hires;
    byte i, id;
    d_step {
        stage[mine] = WAITING;
        waiting++;
        call_help(hires)
    };
    send_help(hires);
    if
    :: stage[mine] > BEGUN
    :: d_step { mine > 0 && stage[mine] == WAITING -> /* cancelled */
        stage[mine] = DROPPED;
        waiting-- }
    fi
}

/* A call does not wait beside a thread that sleeps, unless enough are on their
 * way. */
inline check()
{
    assert(waiting <= seeking || idlers == 0 || seeking >= CPUS);
    assert(seeking + idlers <= threads)
}

init
{
    byte i;
    atomic {
        for (i : 0 .. CALLS - 1) {
            run caller(i)
        }
    };
    check() /* at any time */
}
