/* thread_pool.pml -- calls find a thread, threads come and go
 *
 * Proves     every call is made, or dropped because its caller was cancelled,
 *            or refused because there is no thread; whichever threads end or
 *            cannot be made meanwhile. No call waits where no thread lives.
 * Bounds     CALLS callers with one call each, at most MAX threads at a time;
 *            every thread may end when it has slept, every birth may fail,
 *            every caller may be cancelled.
 * Not here   the order of the queue; the lock: what is done under it is one
 *            step here.
 * Code       pools/thread_pool.c
 *
 * run -DCALLS=3 -DMAX=1
 * run -DCALLS=3 -DMAX=2
 * run -DCALLS=4 -DMAX=2
 * mutation -DMAX=2 -DGIVE_UP_ONLY : assertion
 * mutation -DEND_LATE : stuck
 * mutation -DREFUSE_OWN : stuck
 * mutation -DWAKE_LESS : stuck
 * mutation -DFORGET_WOKEN : assertion */
#ifndef CALLS
#define CALLS 3
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

byte stage[CALLS];
byte waiting, threads, seeking, idlers, made;
bool asleep[THREADS], woken[THREADS];

/* In one step with what goes before. */
inline take(call)
{
    call = CALLS;
    byte i;
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

proctype thread(byte me)
{
    byte call;
    d_step { take(call) };
    do
    :: call < CALLS ->
        /* fn runs. */
        d_step {
            stage[call] = OVER;
            seeking++;
            take(call)
        }
    :: else -> /* nothing to do, found under the lock; so it sleeps */
        d_step {
            if
            :: waiting > 0 -> take(call)
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
                take(call) }
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

/* A call does not wait beside a thread that sleeps. */
inline check()
{
    assert(waiting <= seeking || idlers == 0);
    assert(seeking + idlers <= threads)
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

proctype caller(byte me)
{
    bool hires;
    byte i, id;
    d_step {
        stage[me] = WAITING;
        waiting++;
        if
#ifdef WAKE_LESS
        :: waiting > seeking + 1 ->
#else
        :: waiting > seeking ->
#endif
            if
            :: idlers > 0 -> call_idler()
            :: else ->
                if
                :: threads < MAX ->
                    threads++;
                    seeking++;
                    hires = true
                :: else
                fi
            fi
        :: else
        fi
    };
    if
    :: hires ->
        if
        :: d_step { made < THREADS -> id = made; made++ };
            run thread(id)
        :: d_step {
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
                :: i == me && stage[i] == WAITING && threads == 0 ->
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
    fi;
    if
    :: stage[me] > BEGUN
    :: d_step { stage[me] == WAITING -> /* cancelled */
        stage[me] = DROPPED;
        waiting-- } 
    fi
}

init
{
    byte i;
    atomic {
        for (i : 0 .. CALLS - 1) {
            run caller(i)
        }
    };
    do
    :: check()
    :: _nr_pr == 1 -> break
    od
}
