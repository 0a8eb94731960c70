/* doubt.pml -- a wait on the strength of a registration that may be gone
 *
 * A fiber waits WAITS times on one descriptor without asking the kernel. Each
 * wait but the last is ended by an edge, at some time; at the last one the
 * registration is gone, and only asking can end it.
 *
 * Proves     it is asked: the last wait ends. The poller never sleeps for ever
 *            on the strength of an empty list while the slot is listed.
 * Bounds     one slot, one fiber, the worker with the seat.
 * Not here   memory orders (all are seq_cst); how long 10 ms are: a look may
 *            come at any time, and finds the slot or does not.
 * Code       io/doubt.c, io/wait.c
 *
 * run -DWAITS=1
 * run -DWAITS=4
 * mutation -DWAITS=4 -DNO_SECOND_LOOK : stuck
 * mutation -DWAITS=4 -DLIST_FIRST : stuck
 * mutation -DWAITS=4 -DSLEEP_LATE : stuck
 * mutation -DWAITS=4 -DNO_WAKE : stuck */
#define NOBODY 0

byte side;                      /* the ticket of the wait, or NOBODY */
byte waits;                     /* tickets so far */
bool doubted, listed, asleep, woken;
byte noted;
bool over;

inline doubt(seen)
{
    if
    :: doubted
    :: else ->
        atomic { seen = doubted; doubted = true };
        if
        :: seen
        :: else ->
            noted = side;
            listed = true;
#ifndef NO_WAKE
            if
            :: asleep -> woken = true
            :: else
            fi
#endif
        fi
    fi
}

active proctype fiber()
{
    bool seen;
    do
    :: waits == WAITS -> break
    :: else ->
#ifdef LIST_FIRST
        doubt(seen);
        atomic { waits++; side = waits };
#else
        atomic { waits++; side = waits };
        doubt(seen);
#endif
        side == NOBODY          /* park */
    od;
    over = true
}

/* Edges, while it is registered. */
active proctype network()
{
end:
    do
    :: atomic { side != NOBODY && waits < WAITS -> side = NOBODY }
    od
}

active proctype poller()
{
    byte was, now;
    bool sleeps, seen;
end:
    do
    :: true ->
        /* Sleep: to the next look, or for ever. */
#ifdef SLEEP_LATE
        sleeps = !listed;
        asleep = true;
#else
        asleep = true;
        sleeps = !listed;
#endif
        if
        :: sleeps ->
end_sleeps: atomic { woken; woken = false }
        :: else
        fi;
        asleep = false;
        /* A look. */
        atomic { sleeps = listed; listed = false };
        if
        :: !sleeps
        :: else ->
            was = noted;
            atomic {            /* ask: it is gone, and registered anew */
                if
                :: side == was && side == WAITS -> side = NOBODY
                :: else
                fi
            }
            doubted = false;
#ifndef NO_SECOND_LOOK
            now = side;
            if
            :: now != NOBODY && now != was -> doubt(seen)
            :: else
            fi
#endif
        fi
    od
}

init
{
    over
}
