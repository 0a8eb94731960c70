/* thread_pool.pml -- calls find a thread, threads come and go
 *
 * Proves     every call is made, or dropped because its caller was cancelled,
 *            or refused because there is no thread; whichever threads end or
 *            cannot be made meanwhile. No call waits where no thread lives.
 *            With END the pool is stopped at any time: what is queued is made,
 *            then it is freed, and nobody touches it after that.
 * Bounds     CALLS callers with one call each, or one call of two items and
 *            others of one (EACH); at most MAX threads at a time, of which AWAKE
 *            have just made other calls; every thread may end when it has slept,
 *            every birth may fail, every caller but one may be cancelled.
 * Not here   the order of the queue; the lock: what is done under it is one
 *            step here.
 * Code       pools/thread_pool.c, pools/call.c, pools/thread_pool_life.c
 *
 * run -DCALLS=3 -DMAX=1
 * run -DCALLS=3 -DMAX=2
 * run -DCALLS=3 -DMAX=2 -DCPUS=2
 * run -DCALLS=3 -DMAX=2 -DCPUS=2 -DEACH
 * run -DCALLS=2 -DMAX=1 -DEND
 * run -DCALLS=2 -DMAX=2 -DEND
 * run -DCALLS=3 -DMAX=2 -DEND -DEACH
 * run -DCALLS=2 -DMAX=2 -DAWAKE=2 -DEND
 * run -DCALLS=2 -DMAX=2 -DAWAKE=2 -DEND -DEACH
 * mutation -DMAX=2 -DGIVE_UP_ONLY : stuck
 * mutation -DCALLS=2 -DMAX=2 -DAWAKE=2 -DTAKE_ONLY : assertion
 * mutation -DEND_LATE : stuck
 * mutation -DREFUSE_OWN : stuck
 * mutation -DFORGET_WOKEN : assertion
 * mutation -DCALLS=2 -DMAX=2 -DAWAKE=2 -DEACH -DTAKE_ONLY : assertion
 * mutation -DCALLS=2 -DMAX=1 -DEND -DNO_COMERS : stuck
 * mutation -DCALLS=2 -DMAX=1 -DEND -DHOLD_AS_COMER : assertion
 * mutation -DCALLS=2 -DMAX=1 -DEND -DREFUSE_UNSEEN : assertion
 * mutation -DCALLS=2 -DMAX=1 -DEND -DTELL_NOBODY : stuck */
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
#ifndef AWAKE
#define AWAKE 0
#endif
#define THREADS (CALLS + 1 + AWAKE) /* that are ever made */
#ifdef EACH
#define OWNER(which) ((which) < 2 -> 0 : (which)) /* two are of one call */
#define CALLERS (CALLS - 1)
#define MAY_CANCEL true
#else
#define OWNER(which) which
#define CALLERS CALLS
#define MAY_CANCEL (mine > 0)
#endif

byte stage[CALLS];    /* a call that waits is in the queue */
byte waiting, threads, seeking, idlers, made;
bool asleep[THREADS], woken[THREADS];

/* A call's ticket, which its caller or who ends the call takes: once. */
bool ticket[CALLS];
byte holds;
short comers;
bool stopping, ended, freed;
byte started; /* of the callers */

/* Whoever looks at the pool; T5. */
#define touch() assert(!freed)

/* coir_i_thread_pool_unlock: the last thing of a step under the lock. */
inline unlock()
{
    if
#ifndef TELL_NOBODY
    :: stopping && threads == 0 && holds == 0 && comers == 0 -> ended = true
#endif
    :: else
    fi
}

/* The call is over: its caller is woken, or was cancelled and comes to look. */
inline wake_caller(which)
{
    if
    :: d_step { ticket[OWNER(which)] -> ticket[OWNER(which)] = false }
    :: d_step { !ticket[OWNER(which)] ->
        touch();
#ifndef NO_COMERS
        comers++;
#endif
        unlock() }
    fi
}

/* Is the call of this item over? */
inline see_over(which, is_over)
{
    is_over = true;
#ifdef EACH
    for (i : 0 .. CALLS - 1) {
        if
        :: OWNER(i) == OWNER(which) && stage[i] <= BEGUN -> is_over = false
        :: else
        fi
    }
#endif
}

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

/* One call of those that nobody will make, if there is one: refused; its item.
 * Else CALLS, and the lock is given back. */
inline refuse_next(which)
{
    which = CALLS;
    for (i : 0 .. CALLS - 1) {
        if
#ifdef REFUSE_OWN
        :: i == mine && stage[i] == WAITING && threads == 0 && which == CALLS ->
#else
        :: stage[i] == WAITING && threads == 0 &&
           (which == CALLS || OWNER(which) == OWNER(i)) ->
#endif
            stage[i] = REFUSED;
            waiting--;
            which = i
        :: else
        fi
    };
    if
    :: which < CALLS ->
#ifdef HOLD_AS_COMER
        comers++
#elif !defined(REFUSE_UNSEEN)
        holds++
#else
        unlock()
#endif
    :: else -> unlock()
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
            touch();
            hires = false;
            seeking--;
            threads--;
#ifndef GIVE_UP_ONLY
            if
            :: waiting > seeking && idlers > 0 -> call_idler()
            :: else
            fi;
#endif
            refuse_next(refused) };
            do
            :: refused < CALLS ->
                wake_caller(refused);
                d_step {
                    touch();
#ifdef HOLD_AS_COMER
                    comers--;
#elif !defined(REFUSE_UNSEEN)
                    holds--;
#endif
                    refuse_next(refused) }
            :: else -> break
            od;
            skip
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
    byte call, done, i, id, refused, mine = CALLS;
    bool hires, over;
    d_step { touch(); take_and_help(call, hires) };
    do
    :: call < CALLS ->
        send_help(hires);
        /* fn runs. */
        d_step {
            touch();
            stage[call] = OVER;
            done = call;
            see_over(done, over);
            seeking++;
            take_and_help(call, hires)
        };
        if
        :: over -> wake_caller(done)
        :: else
        fi
    :: else -> /* nothing to do, found under the lock; so it sleeps */
        d_step {
            touch();
            if
            :: waiting > 0 -> take_and_help(call, hires)
            :: waiting == 0 && stopping ->
                seeking--;
                threads--;
                unlock()
            :: else ->
                idlers++;
                seeking--;
                asleep[me] = true
            fi
        };
        if
        :: call < CALLS -> skip
        :: call == CALLS && !asleep[me] && !woken[me] -> break
        :: else ->
            if
            :: d_step { woken[me] ->
                touch();
                woken[me] = false;
                take_and_help(call, hires) }
            :: d_step { asleep[me] -> /* for too long */
                touch();
                asleep[me] = false;
                idlers--;
#ifndef END_LATE
                threads--;
                unlock()
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

/* A cancelled caller looks at how far its call is: what has not begun never
 * will; again: it waits for what has. */
inline look(again)
{
    again = false;
    over = true;
    for (i : 0 .. CALLS - 1) {
        if
        :: OWNER(i) == mine && stage[i] <= BEGUN -> over = false
        :: else
        fi
    };
    if
    :: over -> comers--
    :: else ->
        for (i : 0 .. CALLS - 1) {
            if
            :: OWNER(i) == mine && stage[i] == WAITING ->
                stage[i] = DROPPED;
                waiting--
            :: OWNER(i) == mine && stage[i] == BEGUN -> again = true
            :: else
            fi
        };
        ticket[mine] = again
    fi;
    unlock()
}

proctype caller(byte mine)
{
    bool hires, again, over;
    byte i, id, refused;
    d_step {
        for (i : 0 .. CALLS - 1) {
            if
            :: OWNER(i) == mine ->
                stage[i] = WAITING;
                waiting++
            :: else
            fi
        };
        ticket[mine] = true;
        started++;
        call_help(hires)
    };
    send_help(hires);
    if
    :: d_step { !ticket[mine] -> over = true }
    :: d_step { MAY_CANCEL && ticket[mine] -> ticket[mine] = false };
        d_step { touch(); look(again) };
        if
        :: again -> !ticket[mine]
        :: else
        fi
    fi
}

/* A call does not wait beside a thread that sleeps, unless enough are on their
 * way; of the items of one call, unless one is. */
inline check()
{
#ifdef EACH
    assert(waiting == 0 || idlers == 0 || seeking > 0);
#else
    assert(waiting <= seeking || idlers == 0 || seeking >= CPUS);
#endif
    assert(seeking + idlers <= threads)
}

/* When all have called: until then it would be the program's mistake. */
proctype stopper()
{
    byte i;
    started == CALLERS;
    d_step {
        stopping = true;
        do
        :: idlers > 0 -> call_idler()
        :: else -> break
        od;
        unlock()
    };
    ended;
    d_step {
        freed = true;
        for (i : 0 .. CALLS - 1) {
            assert(stage[i] > BEGUN)
        }
    }
}

init
{
    byte i;
    atomic {
#if AWAKE
        threads = AWAKE;
        seeking = AWAKE;
        made = AWAKE;
        for (i : 0 .. AWAKE - 1) {
            run thread(i)
        };
#endif
        for (i : 0 .. CALLS - 1) {
            if
            :: OWNER(i) == i -> run caller(i)
            :: else
            fi
        };
#ifdef END
        run stopper()
#endif
    };
    check() /* at any time */
}
