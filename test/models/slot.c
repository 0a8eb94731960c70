/* test/models/slot.c -- one direction of a descriptor's slot, and its close
 *
 * For a C11 model checker. The slot's word: NIL, READY (an edge that nobody has
 * seen yet) or a ticket. A reader tries, and on EAGAIN eats READY and tries
 * again, or arms, puts its ticket there and parks. The reactor has one edge. A
 * closer forbids new calls, wakes the reader, and the last one inside closes.
 * Checked: no edge is lost and no reader left parked; a reader woken by close
 * sees it; no call touches the descriptor after close(2) - a plain access each,
 * so GenMC reports the race.
 *
 * run
 * run -DNO_EVENT
 * mutation -DADD_FIRST
 * mutation -DO_EAT=relaxed
 * mutation -DO_PUT=relaxed
 * mutation -DO_EDGE=relaxed
 * mutation -DO_LEAVE=relaxed */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

void __VERIFIER_assume(int);

#define ORDER_(o) memory_order_##o
#define ORDER(o) ORDER_(o)

/* reader: READY -> NIL. Acquire: what came with the edge (data, closing). */
#ifndef O_EAT
#    define O_EAT acquire
#endif
/* reader: NIL -> ticket. Release: W is ARMED. */
#ifndef O_PUT
#    define O_PUT release
#endif
#ifndef O_PUT_FAIL
#    define O_PUT_FAIL relaxed
#endif
/* reactor, closer: exchange with READY. Acquires the ticket, releases data
 * or closing. */
#ifndef O_EDGE
#    define O_EDGE acq_rel
#endif
#ifndef O_ENTER /* a call begins, or sees closing */
#    define O_ENTER relaxed
#endif
/* a call ends: its use of the descriptor comes before close(2) */
#ifndef O_LEAVE
#    define O_LEAVE acq_rel
#endif
#ifndef O_CLOSING
#    define O_CLOSING relaxed
#endif

enum { NIL, READY, TICKET }; /* TICKET + seq */
enum { RUN, ARMED, PARKED, NOTIF };
#define WORD(seq, phase) ((seq) << 4 | (phase))
enum { CLOSING = 1, CALL = 2, TRIES = 4 };

static atomic_int W, slot = NIL, data, ended;
static atomic_int calls;      /* CALL for each one inside, and CLOSING */
static int context;           /* plain */
static int is_open = 1, shut; /* plain: the descriptor; is it closed? */
static int result;            /* plain: of the reader */

static void leave(void)
{
    if (atomic_fetch_sub_explicit(&calls, CALL, ORDER(O_LEAVE)) ==
        (CALL | CLOSING))
        shut++, is_open = 0; /* close(2): nobody is inside, nobody can come */
}

static int enter(void)
{
/* wrong: one that comes after close(2), and leaves, closes again */
#ifdef ADD_FIRST
    if (!(atomic_fetch_add_explicit(&calls, CALL, ORDER(O_ENTER)) & CLOSING))
        return 1;
    leave();
    return 0;
#else
    int c = atomic_load_explicit(&calls, memory_order_relaxed);
    while (!(c & CLOSING))
        if (atomic_compare_exchange_strong_explicit(
                &calls, &c, c + CALL, ORDER(O_ENTER), memory_order_relaxed))
            return 1;
    return 0;
#endif
}

static void finish(int r)
{
    result = r;
    leave();
    atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
}

static void reader(int seq) /* inside a call */
{
    for (int try = 0; try < TRIES; try++) {
        if (atomic_load_explicit(&calls, memory_order_relaxed) & CLOSING) {
            finish(-1);
            return;
        }
        assert(is_open); /* read(2) */
        if (atomic_load_explicit(&data, memory_order_relaxed)) {
            finish(1);
            return;
        }
        int s = READY;
        if (atomic_compare_exchange_strong_explicit(
                &slot, &s, NIL, ORDER(O_EAT), memory_order_relaxed))
            continue;
        atomic_exchange_explicit(&W, WORD(seq, ARMED), memory_order_seq_cst);
        s = NIL;
        if (!atomic_compare_exchange_strong_explicit(
                &slot, &s, TICKET + seq, ORDER(O_PUT), ORDER(O_PUT_FAIL))) {
            atomic_store_explicit(
                &W, WORD(++seq, RUN),
                memory_order_release); /* nobody has our ticket */
            continue;
        }
        context = seq + 1;
        int w = WORD(seq, ARMED);
        if (atomic_compare_exchange_strong_explicit(&W, &w, WORD(seq, PARKED),
                                                    memory_order_release,
                                                    memory_order_acquire))
            return;
        atomic_store_explicit(&W, WORD(++seq, RUN), memory_order_release);
    }
    __VERIFIER_assume(0);
}

static void edge(void)
{
    int s = atomic_exchange_explicit(&slot, READY, ORDER(O_EDGE));
    if (s < TICKET)
        return;
    int seq = s - TICKET, w = WORD(seq, ARMED);
    if (atomic_compare_exchange_strong_explicit(&W, &w, WORD(seq, NOTIF),
                                                memory_order_release,
                                                memory_order_relaxed))
        return;
    if (w == WORD(seq, PARKED) &&
        atomic_compare_exchange_strong_explicit(&W, &w, WORD(seq, NOTIF),
                                                memory_order_acq_rel,
                                                memory_order_relaxed)) {
        assert(context == seq + 1);
        atomic_store_explicit(&W, WORD(seq + 1, RUN), memory_order_release);
        reader(seq + 1);
    }
}

static void *reader_thread(void *arg)
{
    (void)arg;
    if (enter())
        reader(0);
    else
        atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
    return 0;
}

static void *reactor_thread(void *arg)
{
    (void)arg;
    atomic_store_explicit(&data, 1, memory_order_relaxed);
    edge();
    return 0;
}

static void *closer_thread(void *arg)
{
    (void)arg;
    enter();
    atomic_fetch_or_explicit(&calls, CLOSING, ORDER(O_CLOSING));
    edge();
    leave();
    return 0;
}

int main(void)
{
    pthread_t a, b, c;

    pthread_create(&a, 0, reader_thread, 0);
#ifndef NO_EVENT
    pthread_create(&b, 0, reactor_thread, 0);
#endif
#ifndef NO_CLOSE
    pthread_create(&c, 0, closer_thread, 0);
#endif
    pthread_join(a, 0);
#ifndef NO_EVENT
    pthread_join(b, 0);
#endif
#ifndef NO_CLOSE
    pthread_join(c, 0);
    assert(shut == 1);
#endif
    assert(atomic_load_explicit(&ended, memory_order_relaxed) == 1);
    (void)b, (void)c;
    return 0;
}
