/* slot_words.pml -- the words that the runtime and one worker process share
 *
 * Proves     no job and no result is lost: the worker that sleeps is woken for
 *            a job, the fiber that is parked for a result; each result is that
 *            of its job; a worker that is killed at any step leaves either a
 *            result, or a job that had not begun and may go to another, or one
 *            that had.
 * Bounds     JOBS jobs in a row; one worker; one kill, at any time or never.
 * Not here   memory orders (all seq_cst or release and acquire); the kernel's
 *            part, which is taken at its word: a futex compares and sleeps in
 *            one step, an eventfd counts, a pidfd tells of death after it.
 * Code       pools/process.c, pools/worker_process.c, pools/slot.h
 *
 * run -DJOBS=3
 * run -DJOBS=3 -DKILL
 * mutation -DSLEEPER_FIRST : stuck
 * mutation -DPARKED_FIRST : stuck
 * mutation -DPARK_BLIND : stuck
 * mutation -DCLEAR_LATE : stuck
 * mutation -DKILL -DDEATH_FIRST : assertion
 * mutation -DKILL -DBEGUN_LATE : assertion */
#ifndef JOBS
#define JOBS 2
#endif
#define OPEN 0
#define ASKED 1
#define BEGUN 2
#define DONE 3

byte state = OPEN;
bool sleeping, parked;
byte job, result;  /* the arena: written by whom state says */
bool posted;       /* the eventfd */
bool asleep;       /* the worker, in the kernel */
bool dead;
byte begun;        /* the last job that the worker began, as a job sees it */

active proctype runtime()
{
    byte n = 1;
    bool seen;
next:
    job = n;
#ifdef SLEEPER_FIRST
    seen = sleeping;
    state = ASKED;
#else
    state = ASKED;
    seen = sleeping;
#endif
    if
    :: seen -> asleep = false /* to wake nobody does no harm */
    :: else
    fi;

    if
    :: state == DONE -> goto done /* it spins, for a while */
    :: true
    fi;
    parked = true;
#ifndef PARK_BLIND
    if
    :: state == DONE -> goto done
    :: else
    fi;
#endif
    do
    :: posted || dead ->
#ifdef CLEAR_LATE
        if
        :: state == DONE -> break
        :: else
        fi;
        posted = false;
#else
        posted = false;
        if
        :: state == DONE -> break
        :: else
        fi;
#endif
        if
        :: dead ->
#ifndef DEATH_FIRST
            if
            :: state == DONE -> break
            :: else
            fi;
#endif
            goto died
        :: else
        fi
    od;
done:
    parked = false;
    assert(result == n && begun == n);
    n++;
    if
    :: n <= JOBS -> goto next
    :: else -> goto over
    fi;
died:
    assert(state != DONE);
    assert(state != ASKED || begun != n);
    assert(state == ASKED || begun == n || state == BEGUN);
over:
    dead = true
}

/* It sleeps until a job is there; after a spin that found none. */
inline sleep_for_job()
{
    do
    :: sleeping = true;
        seen = state;
        if
        :: seen == ASKED -> break
        :: else
        fi;
        atomic { /* futex(2) */
            if
            :: state == seen -> asleep = true
            :: else
            fi
        };
        !asleep
    od;
    sleeping = false
}

inline do_job()
{
#ifdef BEGUN_LATE
    begun = job;
    state = BEGUN;
#else
    state = BEGUN;
    begun = job;
#endif
    result = job;
#ifdef PARKED_FIRST
    seen = parked;
    state = DONE;
#else
    state = DONE;
    seen = parked;
#endif
    if
    :: seen -> posted = true
    :: else
    fi
}

active proctype worker()
{
    byte seen;
    {
        do
        :: state == ASKED -> do_job()
        :: state != ASKED -> sleep_for_job(); do_job()
        od
    } unless { dead }
}

#ifdef KILL
active proctype killer()
{
    dead = true
}
#endif
