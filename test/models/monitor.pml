/* monitor.pml -- the monitor sleeps while all workers do
 *
 * The monitor announces its sleep and then looks whether all workers sleep; a
 * worker that has found work changes the idle word and then looks whether the
 * monitor sleeps.
 *
 * Proves     a worker that is stuck in a fiber is helped, ROUNDS times, with
 *            all workers asleep in between or not.
 * Bounds     the worker that finds work, and another one that sleeps until the
 *            monitor wakes it.
 * Not here   memory orders (both sides are seq_cst); ticks: one may come at
 *            any time; what the help is (poller.pml).
 * Code       sched/monitor.c, sched/idle.c
 *
 * run -DROUNDS=1
 * run -DROUNDS=3
 * mutation -DLOOK_FIRST : stuck
 * mutation -DANNOUNCE_LATE : stuck
 * mutation -DNO_WAKE : stuck */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define WORKERS 2

byte sleepers = WORKERS, watchers;      /* the idle word */
bool monitor_sleeps;                    /* the monitor's futex word */
bool stuck;                             /* the worker, in a fiber */
bool helped;                            /* the other has been woken for it */
bool token;                             /* of the other */
bool over;

active proctype Worker()
{
    byte round;
    do
    :: round < ROUNDS ->
#ifdef LOOK_FIRST
        bool sleeps = monitor_sleeps;
#endif
        atomic { sleepers--; watchers++ };
        watchers--;
#ifndef NO_WAKE
        if
#ifdef LOOK_FIRST
        :: sleeps -> monitor_sleeps = false
#else
        :: monitor_sleeps -> monitor_sleeps = false
#endif
        :: else
        fi;
#endif
        stuck = true;
        helped;
        atomic { stuck = false; helped = false };
        watchers++;
        atomic { watchers--; sleepers++ };
        round++
    :: else -> break
    od;
    over = true
}

/* Helps, and goes to sleep again. */
active proctype Other()
{
    do
    :: token ->
        token = false;
        helped = stuck;
        watchers--;
        watchers++;
        atomic { watchers--; sleepers++ }
    :: over -> break
    od
}

active proctype Monitor()
{
    bool idle;
    do
    :: over -> break
    :: else ->
        if
        :: idle ->
#ifdef ANNOUNCE_LATE
            if
            :: sleepers == WORKERS ->
                monitor_sleeps = true;
                !monitor_sleeps || over
            :: else
            fi;
#else
            monitor_sleeps = true;
            if
            :: sleepers == WORKERS -> !monitor_sleeps || over
            :: else
            fi;
#endif
            monitor_sleeps = false
        :: else
        fi;
        /* A tick: when there is something to be seen. */
        sleepers == WORKERS || (stuck && sleepers != 0 && watchers == 0 &&
            !helped && !token) || over;
        idle = sleepers == WORKERS;
        atomic {
            if
            :: stuck && sleepers != 0 && watchers == 0 ->
                sleepers--;
                watchers++;
                token = true
            :: else
            fi
        }
    od
}
