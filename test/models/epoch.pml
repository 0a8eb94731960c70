/* epoch.pml -- cancelling by epoch and tree
 *
 * A canceller sets the scope's flag, bumps the one epoch, and walks down the
 * tree of fibers: under an opener's tree lock it looks at the children listed
 * there, wakes whom their scope chain says is cancelled, and goes on down.
 * A fiber checks by comparing the epoch with the one in which it was last
 * found not cancelled, and walks up its chain where they differ. Before its
 * first park it lists itself with its opener, its opener before that, from
 * the top down. Then it arms, then it checks.
 *
 * Proves     no fiber stays parked for ever under a cancelled scope, whenever
 *            the cancel comes; whoever was told that it is cancelled is told so
 *            by every later wait, and its opener after its close; shielded
 *            waits and those that may not be cancelled (a nursery's close) are
 *            left alone; the locks do not deadlock; a nursery ends after its
 *            children.
 * Bounds     Root's nursery in the cancelled scope; a child A in it; A's
 *            nursery with two children that list themselves and A at the same
 *            time, or ONLY one. The second waits in a shield first. One cancel,
 *            OTHERS cancels elsewhere; VISITOR: a timer that visits the first.
 * Not here   LOOK but for the visitor: to look at a chain and to claim is one
 *            step of the canceller here, which look.pml justifies. Memory
 *            orders. Scopes that are opened below.
 * Code       sched/scope.c, sched/tree.c, sched/park.c, sched/child.c
 *
 * run
 * run -DOTHERS=1 -DONLY=1
 * run -DOTHERS=1 -DONLY=2
 * run -DVISITOR -DONLY=1
 * mutation -DEPOCH_FIRST : stuck
 * mutation -DLIST_LATE : stuck
 * mutation -DBOTTOM_UP : stuck
 * mutation -DOPENER_UNLISTED : stuck
 * mutation -DFLAG_LATE : stuck
 * mutation -DCHECKED_LATE : stuck
 * mutation -DSHIELD_KEEPS : stuck
 * mutation -DINHERIT_BLIND : stuck
 * mutation -DVISIT_LATE -DVISITOR -DONLY=1 : stuck
 * mutation -DUNHEARD -DVISITOR -DONLY=1 : assertion
 * mutation -DCLOSE_CANCELLABLE : assertion */
#ifndef OTHERS
#define OTHERS 0
#endif
#ifndef ONLY
#define ONLY 0
#endif
#define RUN 0
#define WAITING 1       /* ARMED or PARKED: park.pml has the difference */
#define NOTIF 2
#define WOKEN 1
#define CANCELLED 2
#define A 0             /* the child of the root; 1 and 2 are its children */
#define FIBERS 3
#define NEVER 0         /* an epoch that never was */

bool cancelled;         /* the flag of the scope around the root's nursery */
bool told;              /* the epoch was raised after that */
bool heard;             /* and by somebody before the canceller */
byte epoch = 1;

byte phase[FIBERS], reason[FIBERS];
byte checked[FIBERS];   /* in which epoch it was not cancelled */
bool shield[FIBERS];    /* between it and the cancelled scope */
bool steady[FIBERS];    /* the wait may not be cancelled */
bool look[FIBERS];      /* somebody looks at its chain */
bool listed[FIBERS];    /* with its opener; under the opener's lock */
bool in_tree[FIBERS];   /* is it really in the list? */
bool root_lock, a_lock;
byte living;            /* A's children */
bool over[FIBERS];
bool cut_short;         /* one of A's children was told */

inline lock(l)
{
    atomic { !l -> l = true }
}

inline unlock(l)
{
    l = false
}

/* Under the opener's lock. */
inline list(f)
{
    if
    :: !listed[f] -> in_tree[f] = true; listed[f] = true
    :: else
    fi
}

inline list_opener()
{
#ifdef OPENER_UNLISTED
    skip
#else
    if
    :: !listed[A] ->
#ifdef BOTTOM_UP
        bool mine;
        atomic { mine = !listed[A]; listed[A] = true };
        if
        :: mine -> lock(root_lock); in_tree[A] = true; unlock(root_lock)
        :: else
        fi
#else
        lock(root_lock);
        list(A);
        unlock(root_lock)
#endif
    :: else
    fi
#endif
}

inline list_self(f)
{
    if
    :: f == A -> lock(root_lock); list(f); unlock(root_lock)
    :: f != A && !listed[f] ->
        list_opener();
        lock(a_lock);
        list(f);
        unlock(a_lock)
    :: else
    fi
}

/* One step: nobody sees the list but under the lock. */
inline unlist(f)
{
    atomic {
        (f == A && !root_lock) || (f != A && !a_lock);
        in_tree[f] = false;
        listed[f] = false
    }
}

/* Whoever acts on the flag raises the epoch first, if the canceller has not. */
inline hear(is)
{
#ifdef UNHEARD
    skip
#else
    atomic {            /* once will do: nobody has found itself free since */
        if
        :: is && !told && !heard -> epoch++; heard = true
        :: else
        fi
    }
#endif
}

/* Is f cancelled? e is the epoch as it was read. `checked` is f's own. */
inline check(f, e, is)
{
    atomic {
        if
        :: e != checked[f] ->
            is = cancelled && !shield[f];
#ifndef CHECKED_LATE
            checked[f] = (is -> checked[f] : e);
#endif
        :: else -> is = false
        fi
    };
    hear(is);
#ifdef CHECKED_LATE
    if
    :: !is && e != checked[f] -> checked[f] = epoch
    :: else
    fi
#endif
}

/* enter, arm, park; why is 0 where it was cancelled already. */
inline wait(f, e, is, why)
{
    why = 0;
    e = epoch;
    check(f, e, is);
    if
    :: is && !steady[f]
    :: else ->
#ifndef LIST_LATE
        list_self(f);
#endif
#ifdef EPOCH_FIRST
        e = epoch;
#endif
        atomic { assert(phase[f] == RUN); phase[f] = WAITING; reason[f] = 0 };
#ifndef EPOCH_FIRST
        e = epoch;
#endif
        check(f, e, is);
        if
        :: is && !steady[f] ->
            atomic {
                if
                :: phase[f] == WAITING ->
                    phase[f] = NOTIF;
                    reason[f] = CANCELLED
                :: else
                fi
            }
        :: else
        fi;
#ifdef LIST_LATE
        list_self(f);
#endif
        phase[f] == NOTIF;
        atomic { !look[f] -> why = reason[f]; reason[f] = 0; phase[f] = RUN }
    fi;
    atomic { e = 0; is = false }
}

/* One of A's children: a wait that somebody ends, in a shield or not, and one
 * that only the cancel ends. */
proctype Child(byte f; bool shielded)
{
    byte e, why;
    bool is, knows;
    if
    :: shielded -> shield[f] = true; checked[f] = NEVER
    :: else
    fi;
    wait(f, e, is, why);
    if
    :: shielded ->
        assert(why == WOKEN);
        shield[f] = false;
#ifndef SHIELD_KEEPS
        checked[f] = NEVER;
#endif
    :: else
    fi;
    knows = !shielded && why != WOKEN;
    wait(f, e, is, why);
    assert(why != WOKEN || (f == 1 && !knows));
    cut_short = cut_short || why != WOKEN;
    unlist(f);
    atomic { over[f] = true; living-- };
    /* The last one wakes the opener, if it waits. */
    if
    :: living == 0 ->
        atomic {
            if
            :: phase[A] == WAITING -> phase[A] = NOTIF; reason[A] = WOKEN
            :: else
            fi
        }
    :: else
    fi
}

/* A asks, opens its nursery, and begins two children, who take over what A
 * knew if nothing has changed in between. */
active proctype Opener()
{
    byte e;
    bool is;
    e = epoch;
    check(A, e, is);
    e = epoch;
#ifndef INHERIT_BLIND
    e = (checked[A] == e -> e : NEVER);
#endif
    atomic {
        checked[1] = e;
        checked[2] = e;
        e = 0;
        is = false;
#if ONLY != 2
        living++;
        run Child(1, false);
#endif
#if ONLY != 1
        living++;
        run Child(2, true)
#endif
    };
    /* It closes its nursery. */
    steady[A] = true;
    if
    :: living > 0 ->
        list_self(A);
        phase[A] = WAITING;
        if
        :: living == 0 -> phase[A] = NOTIF
        :: else -> phase[A] == NOTIF
        fi;
        atomic { phase[A] = RUN; reason[A] = 0 }
    :: else
    fi;
    assert(living == 0 && (over[1] || ONLY == 2) && (over[2] || ONLY == 1));
    assert(!in_tree[1] && !in_tree[2]);
    steady[A] = false;
    e = epoch;
    check(A, e, is);
    assert(is || !cut_short);
    atomic { e = 0; is = false };
    unlist(A);
    over[A] = true
}

/* Ends the first wait of 1 or not, and that of 2, which is shielded. */
active proctype Waker()
{
    byte f = 1;
    do
    :: f < FIBERS ->
        atomic {
            if
            :: phase[f] == WAITING ->
                phase[f] = NOTIF;
                reason[f] = WOKEN
            :: f == 1 || ONLY == 1
            fi
        };
        f++
    :: else -> break
    od
}

/* The canceller's: it has changed the epoch. */
inline visit(f)
{
    atomic {
        !look[f] || phase[f] != WAITING;
        if
#ifdef CLOSE_CANCELLABLE
        :: phase[f] == WAITING && cancelled && !shield[f] ->
#else
        :: phase[f] == WAITING && cancelled && !shield[f] && !steady[f] ->
#endif
            phase[f] = NOTIF;
            reason[f] = CANCELLED
        :: else
        fi
    }
}

active proctype Canceller()
{
#ifndef FLAG_LATE
    cancelled = true;
#endif
    epoch++;
#ifdef FLAG_LATE
    cancelled = true;
#endif
    told = true;
    lock(root_lock);
    if
    :: in_tree[A] ->
        visit(A);
        lock(a_lock);
        if
        :: in_tree[1] -> visit(1)
        :: else
        fi;
        if
        :: in_tree[2] -> visit(2)
        :: else
        fi;
        unlock(a_lock)
    :: else
    fi;
    unlock(root_lock)
}

/* Cancels other scopes, of which none is around these fibers. */
active proctype Other()
{
    byte n;
    do
    :: n < OTHERS -> epoch++; n++
    :: else -> break
    od
}

#ifdef VISITOR
/* The timer of 1 was due. */
active proctype Visitor()
{
    byte e;
    bool is;
    atomic { phase[1] == WAITING || over[1] -> look[1] = !over[1] };
#ifdef VISIT_LATE
    is = cancelled && !shield[1];
    e = epoch;
#else
    e = epoch;
    is = cancelled && !shield[1];
#endif
    hear(is);
    atomic {
        if
        :: look[1] && is && phase[1] == WAITING ->
            phase[1] = NOTIF;
            reason[1] = CANCELLED
        :: look[1] && !is -> checked[1] = e
        :: else
        fi;
        e = 0
    };
    look[1] = false
}
#endif
