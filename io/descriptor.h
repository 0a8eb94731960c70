/* io/descriptor.h -- what coir knows of each descriptor number
 *
 * Every number has a *slot*, in memory that stays a slot for as long as the
 * process lives. A slot has one word of state, and a word for each *side*,
 * reading and writing, by which the call on that side and the poller meet.
 *
 *   state   generation << 32 | what is known | turns | calls in progress
 *   side    READY   the call is worth making: nobody knows better
 *           DRY     the kernel had nothing when it was last asked, and no edge
 *                   has come since
 *           ticket  a fiber waits for the next edge
 *
 *                  an edge, a close
 *       DRY ------------------------------> READY
 *        |  ^      a call is made             |
 *        |  +---------------------------------+
 *        |  ^                                 ^
 *        |  | cancelled                       | an edge, a close: the fiber is
 *        +--+----> ticket --------------------+ woken
 *        a fiber waits
 *
 * A call makes the word DRY *before* it asks the kernel, so that an edge that
 * comes after the kernel's answer is there when it goes to wait. READY is 0:
 * a slot that was never used is all-zero.
 *
 * Who writes what
 *   state   anyone, by compare and swap. A turn belongs to one call at a time;
 *           what is known changes only within its generation.
 *   side    READY to DRY to ticket and back: the call that has that side's
 *           turn. To READY: the poller, a close, and that call, when the
 *           kernel may have more.
 *   lists   under the lock.
 *
 * Invariants
 *   D1  close(2) is called once for a coir_close, when no call is inside.
 *   D2  A side's word is a ticket only while the fiber of that ticket has the
 *       side's turn, and waits.
 *   D3  Where a registration is known, DRY means that an edge will come. */
#ifndef COIR_IO_DESCRIPTOR_H
#define COIR_IO_DESCRIPTOR_H

#include "sched/lock.h"
#include "sched/park.h"

#include <errno.h>

enum coir_i_side { COIR_I_READER, COIR_I_WRITER };

/* Of a side's word; above them, a packed ticket. */
enum { COIR_I_READY = 0, COIR_I_DRY = 1, COIR_I_TICKET = 2, COIR_I_SHIFT = 2 };

/* Of the state. */
#define COIR_I_CALL UINT64_C(1) /* one call in progress */
/* Those inside: any number of fibers may send one file. There is not memory
 * for as many stacks as this counts. */
#define COIR_I_CALLS UINT64_C(0x7fffff)
#define COIR_I_CLOSING (UINT64_C(1) << 23)    /* none may come any more */
#define COIR_I_QUEUED (UINT64_C(1) << 24)     /* somebody is in a list */
#define COIR_I_TURN (UINT64_C(1) << 25)       /* << side: a call has it */
#define COIR_I_KNOWN (UINT64_C(0x1f) << 27)   /* all that is known, which is: */
#define COIR_I_REGISTERED (UINT64_C(1) << 27) /* the reactor tells of it */
#define COIR_I_MADE (UINT64_C(1) << 28)       /* by coir; see io/doubt.h */
#define COIR_I_STREAM (UINT64_C(1) << 29)     /* TCP: a short read was all */
#define COIR_I_ENDED (UINT64_C(1) << 30)      /* but now it need not be */
#define COIR_I_PLAIN (UINT64_C(1) << 31)      /* not a socket */
#define COIR_I_GENERATION (UINT64_C(1) << 32)

/* Why a wait ended: the descriptor was closed, and the call is over. */
enum { COIR_I_CLOSED = COIR_I_OWN };

/* A fiber that waits for a turn, or watches; on its own stack. */
typedef struct coir_i_queued coir_i_queued;
struct coir_i_queued {
    coir_i_queued *next, **prev; /* under the lock; prev NULL: in no list */
    coir_i_ticket ticket;
    unsigned events; /* of those who watch: COIR_I_CAN_READ, .._WRITE */
};

typedef struct coir_i_queue {
    coir_i_queued *first, **last; /* last NULL: as if &first */
} coir_i_queue;

enum { COIR_I_WATCHERS = 2, COIR_I_QUEUES }; /* before it, one for each side */

typedef struct coir_i_descriptor coir_i_descriptor;
struct coir_i_descriptor {
    _Alignas(128) _Atomic(uint64_t) state;
    _Atomic(uint64_t) side[2];
    _Atomic(uint32_t) doubted; /* io/doubt.c */
    _Atomic(int) number;       /* const once it was registered */
    int late_error[2];         /* the side's turn: io/transfer.c */
    uint32_t late_file[2];     /* whose that is: coir_i_sys_file */
    coir_i_descriptor *doubt_next;
    uint64_t noted[2]; /* io/doubt.c, as doubt_next */

    coir_i_spin lock; /* ends no lock inside; nobody is woken under it */
    coir_i_queue queue[COIR_I_QUEUES];
};

/* ---- Slots by number: io/table.c. */

/* NULL: no call has been made on that number. */
coir_i_descriptor *coir_i_slot_find(int fd);
/* The same, made if need be. -EBADF: not a number, -ENOMEM. */
int coir_i_slot_get(int fd, coir_i_descriptor **ret_slot);
/* The runtime has stopped: nothing is registered. */
void coir_i_slots_reset(void);
/* In the child of a fork: no call was ever made. */
void coir_i_slots_forget(void);

/* ---- Calls in progress: io/turn.c. */

typedef struct coir_i_call {
    coir_i_descriptor *slot; /* NULL: it is over */
    int fd;
    enum coir_i_side side;
} coir_i_call;

/* Begin a call on one side of fd, when its turn has come; then it is inside
 * and the descriptor stays open, until the end. 0; -EBADF; -ECANCELED;
 * -ENOMEM. */
int coir_i_call_begin(coir_i_call *call, int fd, enum coir_i_side side);
/* The same at once. -EAGAIN: another has the turn. */
int coir_i_call_begin_now(coir_i_call *call, int fd, enum coir_i_side side);
void coir_i_call_end(coir_i_call *call);

/* Inside without a turn. 0 or -EBADF. leave: what close(2) returned if it was
 * closed meanwhile, else 0. */
int coir_i_slot_enter(coir_i_descriptor *slot);
int coir_i_slot_leave(coir_i_descriptor *slot, int fd);

/* Into a list, to be woken from it. 0: it waits there now; -EBADF. */
int coir_i_slot_watch(coir_i_descriptor *slot, coir_i_queued *watcher);
void coir_i_slot_unwatch(coir_i_descriptor *slot, coir_i_queued *watcher);
/* Wake and unlist those in one list that wait for any of the events; those who
 * wait for a turn wait for all. How many were woken. */
int coir_i_slot_wake(coir_i_descriptor *slot, unsigned list, unsigned events,
                     unsigned reason);

/* ---- The two words of a side: io/wait.c. */

/* Is the system call worth making? 1: yes, and the side is DRY from now on;
 * 0: wait first; -EBADF: it is being closed. */
static inline int coir_i_call_try(coir_i_call *call)
{
    coir_i_descriptor *slot = call->slot;
    uint64_t granted = COIR_I_REGISTERED | COIR_I_MADE;
    /* relaxed: of the word, since only edges write it beside us, and one that
     * comes now will wake us; of the state, see io/doubt.h. A call that had
     * the turn before us may have taken the READY of a close: but then we see
     * CLOSING, since the turn came from it. */
    uint64_t told = granted | COIR_I_CLOSING;
    if (load_relaxed(&slot->side[call->side]) == COIR_I_DRY &&
        (load_relaxed(&slot->state) & told) == granted)
        return 0;
    /* @observe descriptor.side: what came with the edge, or its close. */
    exchange_acquire(&slot->side[call->side], COIR_I_DRY);
    return load_relaxed(&slot->state) & COIR_I_CLOSING ? -EBADF : 1;
}

/* After a system call: the kernel may have more, no edge need come. */
static inline void coir_i_call_more(coir_i_call *call)
{
    uint64_t dry = COIR_I_DRY;
    /* relaxed: it says nothing of anyone else; an edge that has come stays. */
    cas_relaxed(&call->slot->side[call->side], &dry, COIR_I_READY);
}

/* After -EAGAIN: wait for the next edge. 0: try again; -ECANCELED; -EBADF:
 * the call is over; -EPERM: there are no edges, fd is always ready; or why
 * it could not be registered. */
int coir_i_call_wait(coir_i_call *call);

/* After -EAGAIN where the kernel tells nobody when to try again: wait a while,
 * each time longer; *ms is 0 at first. 0: try again; -ECANCELED; -EBADF: it is
 * being closed. */
int coir_i_call_pause(coir_i_call *call, int *ms);

/* Be sure that edges are told. 0, or why not, as above. */
int coir_i_slot_register(coir_i_descriptor *slot, int fd);

/* An edge: the side is READY, and whoever waits there is woken. How many. */
int coir_i_slot_edge(coir_i_descriptor *slot, enum coir_i_side side);
/* Edges on both sides, and for those who watch. */
int coir_i_slot_stir(coir_i_descriptor *slot);

/* ---- Generations: io/descriptor.c. */

/* What else is known of that generation. False: it is over. */
bool coir_i_slot_learn(coir_i_descriptor *slot, uint32_t generation,
                       uint64_t known, uint64_t not_known);

/* coir has just made fd. 0, or -ENOMEM. */
int coir_i_descriptor_made(int fd, uint64_t known);

/* From the reactor. How many fibers were woken. */
int coir_i_descriptor_event(uint64_t tag, unsigned events);

/* What coir_close does. */
int coir_i_descriptor_close(int fd);
/* The last call is out: close(2). What it returned. */
int coir_i_descriptor_finish(coir_i_descriptor *slot, int fd);

#endif
