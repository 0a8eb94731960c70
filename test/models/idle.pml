/* idle.pml -- workers without work: watching, sleeping, waking
 *
 * Whoever publishes work looks at the idle word afterwards and wakes a sleeper
 * if nobody watches. Whoever finds no work announces its sleep, and looks at
 * every source once more. The last watcher that leaves with work wakes a
 * sleeper if there is more.
 *
 * Proves     no work waits beside a worker that sleeps, though every worker
 *            that has some keeps at it: the items wait for each other without
 *            parking, so there must come to be a worker for each; a token is
 *            never lost; the idle word counts right.
 * Bounds     WORKERS workers, as many items: FOREIGN come from a thread that
 *            is no worker, into the global queue, LONE are children that the
 *            first items start, the others come into the ring of the first. A
 *            worker takes SHARE from the global queue at once.
 * Not here   memory orders (idle.c); times; the seat (poller.pml); pinned
 *            fibers; the fiber that runs next, which is not made known.
 * Code       sched/idle.c
 *
 * run -DFOREIGN=3
 * run -DFOREIGN=2 -DLONE=1
 * mutation -DNO_RECHECK -DFOREIGN=2 : stuck
 * mutation -DRECHECK_FIRST -DFOREIGN=2 : stuck
 * mutation -DLOOK_FIRST -DFOREIGN=2 : stuck
 * mutation -DNO_HAND_ON -DFOREIGN=3 : stuck
 * mutation -DHAND_ON_NO_GLOBAL -DFOREIGN=3 : stuck
 * mutation -DHAND_ON_NO_LONE -DFOREIGN=2 -DLONE=1 : stuck
 * mutation -DTOKEN_FIRST -DFOREIGN=2 : stuck */
#ifndef WORKERS
#define WORKERS 3
#endif
#ifndef FOREIGN
#define FOREIGN 3
#endif
#ifndef LONE
#define LONE 0
#endif
#ifndef SHARE
#define SHARE 1
#endif
#define ITEMS WORKERS
#define NOBODY 255

byte global_queue;
byte ring[WORKERS], nest[WORKERS];
byte begun;                     /* items */
byte lone;                      /* of those that were started */
byte ringed;                    /* items put into a ring, likewise */

byte sleepers, watchers;        /* the idle word */
bool asleep[WORKERS];           /* the list of who sleeps */
bool token[WORKERS];

#define all_begun (begun == ITEMS)

inline take_off_list(w)
{
    assert(asleep[w]);
    asleep[w] = false;
    sleepers--;
    watchers++
}

/* The first look is one load; the second is under idle.lock. */
inline wake_worker(k)
{
    if
    :: sleepers != 0 && watchers == 0 ->
        atomic {
            k = NOBODY;
            if
            :: watchers == 0 && sleepers != 0 ->
                k = 0;
                do
                :: !asleep[k] -> k++
                :: else -> break
                od;
                take_off_list(k)
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

proctype Foreign()
{
    byte i, k;
    do
    :: i < FOREIGN ->
#ifdef LOOK_FIRST
        wake_worker(k);
        global_queue++;
#else
        global_queue++;
        wake_worker(k);
#endif
        i++
    :: else -> break
    od
}

/* Publish what else is to come, then keep at it until all have begun. */
inline run_item(w, k)
{
    atomic {
        begun++;
        if
        :: lone < LONE -> lone++; nest[w]++; any = true
        :: lone == LONE && ringed < ITEMS - LONE - FOREIGN ->
            ringed++;
            ring[w]++;
            any = true
        :: else
        fi
    };
    if
    :: any -> any = false; wake_worker(k)
    :: else
    fi;
    all_begun
}

/* A share of the global queue; else what is our own; else half, at least one,
 * of what another has. */
inline find(w, v)
{
    atomic {
        if
        :: global_queue >= SHARE ->
            global_queue = global_queue - SHARE;
            ring[w] = ring[w] + SHARE
        :: else -> ring[w] = ring[w] + global_queue; global_queue = 0
        fi;
        found = ring[w] != 0 || nest[w] != 0;
        v = 0;
        do
        :: v < WORKERS && !found && ring[v] != 0 ->
            ring[w] = ring[v] - ring[v] / 2;
            ring[v] = ring[v] / 2;
            found = true
        :: v < WORKERS && !found && ring[v] == 0 && nest[v] != 0 ->
            nest[w] = nest[v] - nest[v] / 2;
            nest[v] = nest[v] / 2;
            found = true
        :: v < WORKERS && !found && ring[v] == 0 && nest[v] == 0 -> v++
        :: else -> break
        od;
        v = 0
    }
}

inline look_again(v)
{
    any = global_queue != 0;
    do
    :: atomic {
            v < WORKERS && !any -> any = ring[v] != 0 || nest[v] != 0; v++
        }
    :: atomic { else -> v = 0; break }
    od
}

inline sleep(w, v)
{
#ifdef RECHECK_FIRST
    look_again(v);
#endif
    atomic { asleep[w] = true; sleepers++; watchers-- };
#ifdef TOKEN_FIRST
    token[w] = false;
#endif
#ifdef NO_RECHECK
    any = false;
#elif !defined(RECHECK_FIRST)
    look_again(v);
#endif
    if
    :: !any -> token[w] || all_begun
    :: else
    fi;
    atomic {
        any = false;
        if
        :: asleep[w] -> take_off_list(w)
        :: else
        fi
    };
#ifndef TOKEN_FIRST
    token[w] = false
#endif
}

/* Is there more than w takes? */
inline look_for_more(w, v)
{
    any = false;
#ifndef HAND_ON_NO_GLOBAL
    any = global_queue != 0;
#endif
    do
    :: atomic {
            v < WORKERS && !any ->
#ifdef HAND_ON_NO_LONE
            any = ring[v] > (v == w) || nest[v] > 1;
#else
            any = ring[v] > (v == w) || nest[v] > (v == w);
#endif
            v++
        }
    :: atomic { else -> v = 0; break }
    od
}

inline find_work(w, v, k)
{
    watchers++;
    found = false;
    do
    :: all_begun || found -> break
    :: else ->
        find(w, v);
        if
        :: !found && !all_begun -> sleep(w, v)
        :: else
        fi
    od;
    atomic {
        watchers--;
        any = watchers == 0 && sleepers != 0;
        found = false
    };
#ifndef NO_HAND_ON
    if
    :: any ->
        look_for_more(w, v);
        if
        :: any -> wake_worker(k)
        :: else
        fi
    :: else
    fi;
#endif
    any = false
}

proctype Worker(byte w)
{
    byte v, k;
    bool found, any;
    do
    :: all_begun -> break
    :: atomic { !all_begun && ring[w] != 0 -> ring[w]-- } -> run_item(w, k)
    :: atomic { !all_begun && ring[w] == 0 && nest[w] != 0 -> nest[w]-- } ->
        run_item(w, k)
    :: !all_begun && ring[w] == 0 && nest[w] == 0 -> find_work(w, v, k)
    od
}

init {
    byte w;
    atomic {
        do
        :: w < WORKERS -> run Worker(w); w++
        :: else -> break
        od;
        w = 0;
        run Foreign()
    }
}
