/* sched/trace.h -- what ran where and when, for $COIR_TRACE
 *
 * Each worker notes its own events on a *track*, the last 65,536 of them; those
 * of threads that are no workers are on one more. When the runtime has ended
 * sched/trace_write.c makes one file of them, see coir_trace(7). While nothing
 * is traced all this is one test of one word. */
#ifndef COIR_SCHED_TRACE_H
#define COIR_SCHED_TRACE_H

#include "sched/worker.h"

#include <stdio.h>

/* Written while no worker runs. */
extern _Atomic(bool) coir_i_tracing __attribute__((visibility("hidden")));

static inline bool coir_i_traces(void)
{
    return coir_i_unlikely(load_relaxed(&coir_i_tracing));
}

/* On the calling worker, if coir_i_traces(): it is about to switch to f; */
void coir_i_trace_switch(const coir_i_fiber *f);
/* the life of the running fiber has begun; is over; */
void coir_i_trace_begin(const coir_i_life *life);
void coir_i_trace_end(const coir_i_life *life);
/* the running fiber waits; w has stolen from another. */
void coir_i_trace_wait(const coir_i_fiber *f);
void coir_i_trace_steal(unsigned from);
/* Any thread: the wait of the ticket has been claimed. */
void coir_i_trace_wake(coir_i_ticket ticket);

/* ---- for trace_write.c ---- */

enum coir_i_event_kind {
    COIR_I_EV_SWITCH, /* id runs; 0: nobody; woken: from wait `index`, `seq` */
    COIR_I_EV_BEGIN,  /* id runs, on the stack of whoever did */
    COIR_I_EV_END,    /* id is over, `outer` goes on there; 0: nobody */
    COIR_I_EV_WAIT,   /* for `wait`, `on` */
    COIR_I_EV_STEAL,  /* from worker id */
    COIR_I_EV_WAKE    /* wait `index`, `seq` is over */
};

typedef struct coir_i_event {
    uint64_t ticks, id;
    uint32_t kind : 8, woken : 1;
    uint32_t index;
    uint64_t seq;
    union {
        char name[COIR_NAME_MAX]; /* of id, SWITCH, BEGIN and END */
        struct {
            const coir_i_wait *wait;
            const void *on;
        };
    };
    uint64_t outer;
} coir_i_event;

enum { COIR_I_TRACK_EVENTS = 1 << 16 };

typedef struct coir_i_track {
    uint64_t written; /* the next goes to events[written % EVENTS] */
    coir_i_event events[COIR_I_TRACK_EVENTS];
} coir_i_track;

typedef struct coir_i_trace {
    unsigned workers;      /* spares too */
    unsigned configured;   /* without them */
    coir_i_track **tracks; /* a worker, and one for all others; NULL: none */
    uint64_t *lost;        /* likewise: for want of memory */
    uint64_t begin, end;   /* ticks */
    double ns_per_tick;
} coir_i_trace;

/* As Chrome's trace event JSON. -ENOMEM; what goes wrong in writing stays with
 * the stream. */
int coir_i_trace_write(FILE *to, const coir_i_trace *trace) COIR_MUST_USE;

#endif
