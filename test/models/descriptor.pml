/* descriptor.pml -- one side of a descriptor's slot: calls, turns, edges, close
 *
 * READERS fibers read once each from one descriptor. A network brings ITEMS
 * pieces; the poller brings edges; with CLOSE a closer closes; with CANCEL the
 * first reader may be cancelled wherever it waits.
 *
 * Proves     every reader ends: with a piece, cancelled, or because of the
 *            close; close(2) comes once for a coir_close, and never while a
 *            call of that generation is inside; nothing is left over: no turn,
 *            no call, nobody in a list; a call that slips in between the new
 *            generation and close(2) is stirred.
 * Bounds     two readers, or three; one side; one close; few pieces.
 * Not here   the waist itself (park.pml), memory orders (slot.c), a number that
 *            was reused behind our back (doubt.c), who watches (poll).
 * Code       io/turn.c, io/wait.c, io/descriptor.c
 *
 * run -DITEMS=2
 * run -DITEMS=2 -DCANCEL
 * run -DITEMS=2 -DGRANTED -DCANCEL
 * run -DITEMS=1 -DCLOSE
 * run -DITEMS=1 -DCLOSE -DCANCEL
 * run -DITEMS=1 -DCLOSE -DCANCEL -DGRANTED
 * run -DITEMS=3 -DREADERS=3 -DGRANTED -DCANCEL
 * mutation -DITEMS=2 -DEAT_LATE : stuck
 * mutation -DITEMS=2 -DGRANTED -DNO_MORE : stuck
 * mutation -DITEMS=2 -DNO_QUEUED : stuck
 * mutation -DITEMS=3 -DREADERS=3 -DCANCEL -DNO_NEXT : assertion
 * mutation -DITEMS=0 -DCLOSE -DNO_LOOK : stuck
 * mutation -DITEMS=0 -DCLOSE -DNO_STIR : stuck
 * mutation -DITEMS=1 -DCLOSE -DADD_FIRST : assertion
 * mutation -DITEMS=0 -DCLOSE -DCLOSED_LEAVES : assertion */
#ifndef READERS
#define READERS 2
#endif
#define READY 0
#define DRY 1
#define TICKET(id) (2 + (id) + READERS * seq[id])
#define ID_OF(word) (((word) - 2) % READERS)
#define SEQ_OF(word) (((word) - 2) / READERS)

#define RUN 0                   /* phases of a fiber's word */
#define ARMED 1
#define NOTIF 2
#define WOKEN 1                 /* reasons */
#define CLOSED 2
#define CANCELLED 3

/* The kernel. */
byte data;
bool is_open = true, registered, edge;
byte tag, event_tag;            /* the generation it was registered in */
byte closes;                    /* calls of close(2) */

/* The slot. */
byte generation, calls;
bool closing, turn, queued, known; /* known: REGISTERED */
byte side = READY;
bool lock;
byte list[READERS], listed;     /* tickets, the first one first */

/* The fibers. */
byte phase[READERS], reason[READERS], seq[READERS];
byte over;

/* ---- The waist. */

inline arm(id)
{
    phase[id] = ARMED
}

inline wake(ticket, why, won)
{
    atomic {
        won = phase[ID_OF(ticket)] == ARMED && seq[ID_OF(ticket)] == SEQ_OF(ticket);
        if
        :: won -> phase[ID_OF(ticket)] = NOTIF; reason[ID_OF(ticket)] = why
        :: else
        fi
    }
}

inline park(id)
{
    atomic {
        phase[id] == NOTIF;
        phase[id] = RUN;
        seq[id]++
    }
}

/* ---- The kernel's side. */

inline arrive()
{
    atomic {
        data++;
        if
        :: registered -> edge = true; event_tag = tag
        :: else
        fi
    }
}

inline add()                    /* or retag: it is an edge if there are data */
{
    atomic {
        if
        :: is_open && (!registered || tag != generation) ->
            registered = true;
            tag = generation;
            if
            :: data > 0 -> edge = true; event_tag = tag
            :: else
            fi
        :: else
        fi
    }
}

inline do_edge(was, won)
{
    atomic { was = side; side = READY }
    if
    :: was >= 2 -> wake(was, WOKEN, won)
    :: else
    fi
}

/* ---- The end of a generation. */

inline finish(was, won, g)
{
    assert(closing && calls == 0 && !turn && !queued && is_open);
    registered = false;         /* EPOLL_CTL_DEL */
    side = READY;
    atomic { generation++; g = generation; closing = false; known = false }
    atomic { is_open = false; registered = false; closes++ }
#ifndef NO_STIR
    atomic {
        was = 0;
        if
        :: calls != 0 || known -> generation++; known = false; was = 1
        :: else
        fi
    }
    if
    :: was -> do_edge(was, won)
    :: else
    fi
#endif
}

/* ---- Lists; under the lock. */

inline take_lock()
{
    atomic { !lock; lock = true }
}

inline append(ticket)
{
    list[listed] = ticket;
    listed++
}

inline remove(at)
{
    atomic {
        do
        :: at + 1 < listed -> list[at] = list[at + 1]; at++
        :: else -> break
        od;
        listed--;
        list[listed] = 0;
        queued = listed > 0;
        at = 0
    }
}

/* ---- A call. */

#define BAD 10                  /* rc: -EBADF; 1: a piece; 0: go on */
#define OVER 11                 /* -EBADF, and the closer has ended the call */
#define STOPPED 12              /* -ECANCELED */

inline take(rc)
{
    atomic {
        if
#ifdef ADD_FIRST
        :: closing -> rc = BAD; calls++
#else
        :: closing -> rc = OVER
#endif
        :: !closing && turn -> rc = 9
        :: else -> turn = true; calls++; rc = 0
        fi;
        mine = generation
    }
#ifdef ADD_FIRST
    if
    :: rc == BAD ->
        atomic { calls--; last = closing && calls == 0 };
        if
        :: last -> finish(was, won, g)
        :: else
        fi;
        rc = OVER
    :: else
    fi
#endif
}

inline wait_for_turn(id, rc)
{
    arm(id);
    take_lock();
    atomic {
        if
        :: closing -> rc = OVER
        :: !closing && !turn -> turn = true; calls++; rc = 0
        :: else -> queued = true; append(TICKET(id)); rc = 9
        fi;
        mine = generation
    }
    lock = false;
    if
    :: rc != 9 ->
        wake(TICKET(id), WOKEN, won);
        park(id)
    :: else ->
        park(id);
        if
        :: reason[id] == WOKEN -> rc = 0
        :: reason[id] == CLOSED -> rc = OVER
        :: else ->
            rc = OVER;
            take_lock();
            at = 0;
            do
            :: at < listed && ID_OF(list[at]) != id -> at++
            :: else -> break
            od;
            if
            :: at < listed -> remove(at)
            :: else -> at = 0
            fi;
            lock = false
        fi
    fi
}

inline wait_for_edge(id, rc)
{
#ifdef GRANTED
    if
    :: known
    :: else
#else
    if
    :: true
#endif
        -> do
           :: g = generation;
              add();
              atomic {
                  if
                  :: g == generation -> known = true; break
                  :: else
                  fi
              }
           od
    fi;
    arm(id);
    atomic {
        if
        :: side == DRY -> side = TICKET(id); rc = 0
        :: else -> rc = 9
        fi
    }
    if
    :: rc == 9 -> wake(TICKET(id), WOKEN, won)
    :: else
    fi;
    was = TICKET(id);
    park(id);
    if
    :: reason[id] == WOKEN -> rc = 0
    :: reason[id] == CLOSED -> rc = OVER
    :: else ->
        rc = STOPPED;
        atomic {
            if
            :: side == was -> side = DRY
            :: else
            fi
        }
    fi
}

/* The system call. An EAGAIN is rc = 0. */
inline read(rc)
{
    atomic {
        assert(is_open || mine > 0); /* we came after the close */
        if
        :: !is_open -> rc = BAD
        :: is_open && data > 0 -> data--; rc = 1; left = data > 0
        :: else -> rc = 0
        fi
    }
}

inline give_back()
{
    atomic { turn = false; calls--; last = closing && calls == 0 }
}

inline leave()
{
    atomic {
        last = false;
        won = true;
        if
#ifdef NO_QUEUED
        :: true ->
#else
        :: !queued ->
#endif
            give_back()
#ifndef NO_QUEUED
        :: else -> won = false
#endif
        fi
    }
    do
    :: won -> break
    :: else ->
        take_lock();
        if
        :: listed == 0 -> give_back(); lock = false; won = true
        :: else ->
            was = list[0];
            at = 0;
            remove(at);
            lock = false;
            wake(was, WOKEN, won);
#ifdef NO_NEXT
            won = true
#endif
        fi
    od;
    if
    :: last -> finish(was, won, g)
    :: else
    fi
}

proctype reader(byte id)
{
    byte rc, was, at, g, mine;
    bool won, last, left;

    take(rc);
    if
    :: rc == 9 -> wait_for_turn(id, rc)
    :: else
    fi;
    do
    :: rc != 0 -> break
    :: else ->
#ifdef GRANTED
        if
        :: side == DRY && known -> goto dry
        :: else
        fi;
#endif
#ifndef EAT_LATE
        side = DRY;
#endif
#ifndef NO_LOOK
        if
        :: closing -> rc = BAD; break
        :: else
        fi;
#endif
        read(rc);
        if
        :: rc != 0 -> break
        :: else
        fi;
#ifdef EAT_LATE
        side = DRY;
#endif
dry:    skip;
        wait_for_edge(id, rc)
    od;
    if
    :: rc == 1 || rc == BAD ->  /* less than asked for: it was all */
#ifdef NO_MORE
        skip
#else
        if
        :: rc == 1 && !left
        :: else ->
            atomic {
                if
                :: side == DRY -> side = READY
                :: else
                fi
            }
        fi
#endif
    :: else
    fi;
#ifdef CLOSED_LEAVES
    if
    :: rc == OVER && reason[id] == CLOSED -> leave()
    :: rc == OVER && reason[id] != CLOSED
    :: rc != OVER -> leave()
    fi;
#else
    if
    :: rc != OVER -> leave()
    :: else
    fi;
#endif
    over++
}

proctype poller()
{
    byte was;
    bool won;
end:
    do
    :: atomic { edge -> edge = false; won = event_tag == generation };
       if
       :: won -> do_edge(was, won)
       :: else
       fi
    od
}

proctype network()
{
    byte sent;
    do
    :: sent < ITEMS -> arrive(); sent++
    :: else -> break
    od
}

#ifdef CANCEL
proctype canceller()
{
    bool won;
    wake(TICKET(0), CANCELLED, won)
}
#endif

#ifdef CLOSE
proctype closer()
{
    byte was, at, g;
    bool won, last;

    atomic { closing = true; calls++ };
    atomic { was = side; side = READY };
    if
    :: was >= 2 ->
        wake(was, CLOSED, won);
        if
        :: won -> atomic { turn = false; calls-- }
        :: else
        fi
    :: else
    fi;
    do
    :: true ->
        take_lock();
        if
        :: listed == 0 -> lock = false; break
        :: else ->
            was = list[0];
            at = 0;
            remove(at);
            lock = false;
            wake(was, CLOSED, won)
        fi
    od;
    atomic { calls--; last = calls == 0 };
    if
    :: last -> finish(was, won, g)
    :: else
    fi;
    over++
}
#endif

init
{
    byte i;
    atomic {
        do
        :: i < READERS -> run reader(i); i++
        :: else -> break
        od;
        run poller();
        run network();
#ifdef CANCEL
        run canceller();
#endif
#ifdef CLOSE
        run closer();
        i++
#endif
    }
    over == i;
    assert(calls == 0 && !turn && !queued && listed == 0);
#ifdef CLOSE
    assert(closes == 1 && !is_open)
#endif
}
