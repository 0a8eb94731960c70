/* signals.pml -- a signal is caught, and reaches every fiber that waits for it
 *
 * ROUNDS times, at any time, a handler catches a signal that two fibers wait
 * for, each on an object of its own. Equal ones may count once.
 *
 * Proves     both get the last one: nobody waits for a bell that was rung and
 *            then calmed by the other.
 * Bounds     two objects, one fiber each, one signal. An epoll that tells of an
 *            edge only if the bell still can be read when it is asked.
 * Not here   memory orders (all are seq_cst); how a fiber parks (park.pml); how
 *            watchers are listed (descriptor.pml).
 * Code       io/catch.c, io/signals.c, io/watch.c
 *
 * run -DROUNDS=3
 * mutation -DROUNDS=3 -DNO_TELL : stuck
 * mutation -DROUNDS=3 -DLOOK_ONCE : stuck
 * mutation -DROUNDS=3 -DRING_FIRST : stuck */
#define FIBERS 2

byte caught;                    /* the last one; 0: shared out */
bool readable, edge;            /* the bell; it is in epoll's list */
bool lock;
byte pending[FIBERS];
bool watches[FIBERS], woken[FIBERS];

inline wake_watchers()
{
    atomic {
        if
        :: watches[0] -> woken[0] = true
        :: else
        fi;
        if
        :: watches[1] -> woken[1] = true
        :: else
        fi
    }
}

inline ring()
{
    atomic { readable = true; edge = true }
}

active proctype handler()
{
    byte round;
    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
#ifdef RING_FIRST
        ring();
        caught = round
#else
        caught = round;
        ring()
#endif
    od
}

active proctype poller()
{
    bool can_read;
end:
    do
    :: atomic { edge -> edge = false; can_read = readable };
        if
        :: can_read -> wake_watchers()
        :: else
        fi
    od
}

/* Share out, and take one's own. */
inline take(found, news)
{
    atomic { !lock -> lock = true };
    news = 0;
    if
    :: caught ->
        readable = false;
        atomic { news = caught; caught = 0 };
        pending[0] = news;
        pending[1] = news
    :: else
    fi;
    found = pending[_pid - 2];
    pending[_pid - 2] = 0;
    lock = false;
#ifndef NO_TELL
    if
    :: news -> wake_watchers()
    :: else
    fi
#endif
}

active [FIBERS] proctype fiber()
{
    byte found, news;
    do
    :: found == ROUNDS -> break
    :: else ->
        take(found, news);
        if
        :: found
        :: else ->
            woken[_pid - 2] = false;
            watches[_pid - 2] = true;
#ifndef LOOK_ONCE
            take(found, news);
#endif
            if
            :: found
            :: else -> woken[_pid - 2]      /* park */
            fi;
            watches[_pid - 2] = false
        fi
    od
}
