/* look.pml -- the wait word with its LOOK bit
 *
 * W = seq | reason | LOOK | phase. A looker - canceller, timer, dump, and the
 * fiber that finds itself cancelled when it is ARMED - sets LOOK by CAS on a
 * word that is ARMED or PARKED and may then read the fiber's scope chain, and
 * claim the fiber; it clears LOOK by an atomic and. Wakers and the commit leave
 * the bit as it is. The fiber waits until it is clear before it goes to RUN,
 * and changes its chain in RUN alone.
 *
 * Proves     the chain never changes under a looker; two lookers exclude each
 *            other; no wake-up is lost, no fiber enqueued twice or run before
 *            its context is saved; the waits for LOOK all end.
 * Bounds     WAITS waits after another; one waker with tickets, one canceller,
 *            one more looker that looks LOOKS times; two workers. With
 *            CANCEL_ONLY nobody but the canceller ends the wait.
 * Not here   memory orders (park.c), what the chain is (epoch.pml).
 * Code       sched/park.c
 *
 * run -DWAITS=2 -DLOOKS=2
 * run -DWAITS=3 -DLOOKS=1
 * run -DWAITS=2 -DLOOKS=2 -DCANCEL_ONLY
 * mutation -DNO_WAIT : assertion
 * mutation -DLOOK_ON_RUN : assertion
 * mutation -DLOOK_ON_NOTIF : assertion
 * mutation -DCOMMIT_DROPS : assertion
 * mutation -DCOMMIT_EXACT : assertion
 * mutation -DWAKER_GIVES_UP : stuck
 * mutation -DCLEAR_STORES : stuck
 * mutation -DCLAIM_DROPS : assertion
 * mutation -DENQUEUE_ARMED : assertion
 * mutation -DFLAG_FIRST -DCANCEL_ONLY : stuck */
#ifndef WAITS
#define WAITS 2
#endif
#ifndef LOOKS
#define LOOKS 2
#endif
#define RUN 0
#define ARMED 1
#define PARKED 2
#define NOTIF 3
#define WOKEN 1
#define CANCELLED 3
#define NONE 255
#ifdef LOOK_ON_RUN
#define MAY_LOOK (!look && phase != NOTIF)
#elif defined(LOOK_ON_NOTIF)
#define MAY_LOOK (!look && phase != RUN)
#else
#define MAY_LOOK (phase == ARMED || phase == PARKED)
#endif

/* One atomic word: always touched together, in one atomic step. A CAS loop
 * that tries again whatever has changed is such a step too. */
byte phase = RUN, seq, reason;
bool look;

byte chain;             /* plain; odd while the fiber changes it */
bool cancelled;         /* the scope's flag */
bool saved;             /* the fiber's context is good */
bool on_cpu = true;     /* the fiber executes */
bool leaves, resumed;   /* to the worker whose commit follows; and back */
bool done;
byte ready;             /* how often it is in a run queue */
byte lookers;           /* inside a look */
byte ticket = NONE;     /* the seq that was published to the waker */

inline enqueue(won)
{
    if
#ifdef ENQUEUE_ARMED
    :: won != 0 -> atomic { ready++; assert(ready == 1) }
#else
    :: won == PARKED -> atomic { ready++; assert(ready == 1) }
#endif
    :: else
    fi
}

/* By ticket: won is 0 lost, or the phase that was claimed. */
inline claim(s, why, won)
{
    atomic {
        if
#ifdef WAKER_GIVES_UP
        :: seq == s && (phase == ARMED || phase == PARKED) && !look ->
#else
        :: seq == s && (phase == ARMED || phase == PARKED) ->
#endif
            won = phase;
            phase = NOTIF;
            reason = why;
#ifdef CLAIM_DROPS
            look = false
#endif
        :: else -> won = 0
        fi
    }
}

/* While another looks: wait; its look is a few instructions long. */
inline begin_look(s, ph)
{
    atomic {
        (!look || (phase != ARMED && phase != PARKED));
        ph = phase;
        s = seq;
        if
        :: MAY_LOOK ->
            look = true;
            lookers++;
            assert(lookers == 1)
        :: else -> ph = NONE
        fi
    }
}

inline read_chain(c)
{
    c = chain;
    assert(c % 2 == 0);
    assert(chain == c)
}

inline end_look(ph)
{
    atomic {
        assert(chain % 2 == 0);
        lookers--;
#ifdef CLEAR_STORES
        phase = ph;
#endif
        look = false
    }
}

active proctype Fiber()
{
    bool flag;
    byte wait, s, ph, won;
    do
    :: wait < WAITS ->
        chain++;                /* scopes are opened and closed */
        chain++;
#ifdef FLAG_FIRST
        flag = cancelled;
#endif
        /* The exchange stores a whole word: nobody may look at RUN. */
        atomic {
            assert(phase == RUN && !look);
            phase = ARMED;
            reason = 0
        };
        ticket = seq;
#ifndef FLAG_FIRST
        flag = cancelled;
#endif
        if
        :: flag ->              /* it visits itself */
            begin_look(s, ph);
            if
            :: ph != NONE ->
                claim(s, CANCELLED, won);
                assert(won != PARKED);
                end_look(ph)
            :: else
            fi;
            atomic { s = 0; ph = 0; won = 0; flag = false }
        :: else
        fi;
        if
        :: phase == NOTIF       /* go on without a switch */
        :: else ->
            on_cpu = false;
            saved = true;
            leaves = true;
            resumed;
            resumed = false;
            assert(on_cpu)
        fi;
        assert(phase == NOTIF && reason != 0);
        ticket = NONE;
#ifndef NO_WAIT
        !look;
#endif
        atomic { phase = RUN; look = false; seq++ };
        wait++
    :: else -> break
    od;
    chain++;                    /* it ends, and its scopes with it */
    done = true
}

inline go_on()
{
    assert(saved && !on_cpu && phase == NOTIF);
    saved = false;
    on_cpu = true;
    resumed = true
}

active proctype Worker()
{
    do
    :: leaves ->
        leaves = false;
        atomic {
            if
#ifdef COMMIT_EXACT
            :: phase == ARMED && !look -> phase = PARKED
#else
            :: phase == ARMED ->
                phase = PARKED
#ifdef COMMIT_DROPS
                ; look = false
#endif
#endif
            :: else -> ready++; assert(ready == 1)
            fi
        }
    :: atomic { ready > 0 && !leaves -> ready-- } -> go_on()
    :: done -> break
    od
}

active proctype Thief()
{
    do
    :: atomic { ready > 0 -> ready-- } -> go_on()
    :: done -> break
    od
}

#ifndef CANCEL_ONLY
/* Wakes for every ticket once. */
active proctype Waker()
{
    byte s, won, next;
    do
    :: done -> break
    :: ticket != NONE && ticket >= next ->
        s = ticket;
        if
        :: s != NONE -> claim(s, WOKEN, won); enqueue(won); next = s + 1
        :: else
        fi
    od
}
#endif

active proctype Canceller()
{
    byte s, ph, c, won;
    cancelled = true;
    begin_look(s, ph);
    if
    :: ph != NONE ->
        read_chain(c);
        claim(s, CANCELLED, won);
        if
        :: end_look(ph); enqueue(won)
        :: enqueue(won); end_look(ph)
        fi
    :: else
    fi
}

active proctype Dump()
{
    byte s, ph, c, looks;
    do
    :: looks < LOOKS ->
        begin_look(s, ph);
        if
        :: ph != NONE -> read_chain(c); end_look(ph)
        :: else
        fi;
        looks++
    :: else -> break
    od
}
