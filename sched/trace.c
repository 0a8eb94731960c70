/* sched/trace.c -- what ran where and when, for $COIR_TRACE
 *
 * Does       note events while a runtime runs; have them written when it has
 *            ended.
 *
 * Invariants
 *   H1  a track is written by its worker alone, that of all others under
 *       `lock`; it is read when no thread is left that could write it.
 *   H2  a thread that is no worker counts as a stranger while it writes: the
 *       runtime waits for it before it ends.
 *
 * Locks      trace.lock; under it nothing.
 * Edges      runtime.strangers
 * Fails      the run goes on: a track without memory loses its events, and the
 *            file says how many; a file that cannot be written is a line on
 *            standard error.
 * Tests      test/test_trace.c */
#include "sched/trace.h"

#include "sched/clock.h"
#include "sched/module.h"
#include "sched/spare.h"
#include "sched/word.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Atomic(bool) coir_i_tracing;

static struct {
    coir_i_trace trace;
    char *path;
    coir_time begin;
    coir_i_spin lock; /* the track of all who are no workers */
} tracer;

/* ---- noting ---- */

static coir_i_event *new_event(unsigned track, enum coir_i_event_kind kind)
{
    coir_i_track **at = &tracer.trace.tracks[track];
    if (!*at && !(*at = calloc(1, sizeof **at))) {
        tracer.trace.lost[track]++;
        return NULL;
    }
    coir_i_event *e = &(*at)->events[(*at)->written++ % COIR_I_TRACK_EVENTS];
    e->kind = kind;
    e->woken = 0;
    e->id = 0;
    e->ticks = coir_i_ticks();
    return e;
}

static coir_i_event *our_event(enum coir_i_event_kind kind)
{
    return new_event(coir_i_worker_here()->id, kind);
}

static void note_life(coir_i_event *e, const coir_i_life *life)
{
    if (!e || !life)
        return;
    e->id = life->id;
    memcpy(e->name, life->name, sizeof e->name);
}

void coir_i_trace_switch(const coir_i_fiber *f)
{
    coir_i_event *e = our_event(COIR_I_EV_SWITCH);
    if (!e)
        return;
    note_life(e, f->life);
    uint64_t word = load_relaxed(&f->word); /* nobody else has to do with it */
    e->woken = coir_i_word_phase(word) == COIR_I_NOTIF;
    e->index = f->index;
    e->seq = coir_i_word_seq(word);
}

void coir_i_trace_begin(const coir_i_life *life)
{
    note_life(our_event(COIR_I_EV_BEGIN), life);
}

void coir_i_trace_end(const coir_i_life *life)
{
    coir_i_event *e = our_event(COIR_I_EV_END);
    note_life(e, life);
    if (e)
        e->outer = life->outer ? life->outer->id : 0;
}

void coir_i_trace_wait(const coir_i_fiber *f)
{
    coir_i_event *e = our_event(COIR_I_EV_WAIT);
    if (!e)
        return;
    e->wait = f->stack->wait;
    e->on = f->stack->waits_on;
}

void coir_i_trace_steal(unsigned from)
{
    coir_i_event *e = our_event(COIR_I_EV_STEAL);
    if (e)
        e->id = from;
}

static void note_wake(coir_i_event *e, coir_i_ticket ticket)
{
    if (!e)
        return;
    e->index = ticket.fiber->index;
    e->seq = ticket.seq;
}

/* The fiber may go on already, and be the last. */
static void wake_from_elsewhere(coir_i_ticket ticket)
{
    /* @dekker runtime.strangers: then whether it runs. */
    fetch_add_seq_cst(&coir_i_runtime.strangers, 1);
    if (load_seq_cst(&coir_i_runtime.runs)) {
        coir_i_spin_lock(&tracer.lock);
        note_wake(new_event(tracer.trace.workers, COIR_I_EV_WAKE), ticket);
        coir_i_spin_unlock(&tracer.lock);
    }
    /* @publish runtime.strangers: our last access to the track. */
    fetch_sub_release(&coir_i_runtime.strangers, 1);
}

void coir_i_trace_wake(coir_i_ticket ticket)
{
    if (coir_i_worker_here())
        note_wake(our_event(COIR_I_EV_WAKE), ticket);
    else
        wake_from_elsewhere(ticket);
}

/* ---- from the beginning to the end ---- */

static void drop(void)
{
    store_relaxed(&coir_i_tracing, false);
    for (unsigned i = 0; tracer.trace.tracks && i <= tracer.trace.workers; i++)
        free(tracer.trace.tracks[i]);
    free(tracer.trace.tracks);
    free(tracer.trace.lost);
    free(tracer.path);
    memset(&tracer, 0, sizeof tracer);
}

static int start(const coir_config *config)
{
    const char *path = getenv("COIR_TRACE");
    if (!path || !*path)
        return 0;
    coir_i_trace *t = &tracer.trace;
    t->configured = config->workers;
    t->workers = t->configured + COIR_I_SPARES;
    tracer.path = strdup(path);
    t->tracks = calloc(t->workers + 1, sizeof *t->tracks);
    t->lost = calloc(t->workers + 1, sizeof *t->lost);
    if (!tracer.path || !t->tracks || !t->lost) {
        fputs("coir: no memory for a trace\n", stderr);
        drop();
        return 0;
    }
    tracer.begin = coir_i_sys_now();
    t->begin = coir_i_ticks();
    store_relaxed(&coir_i_tracing, true);
    return 0;
}

static int write_file(void)
{
    FILE *to = fopen(tracer.path, "we");
    if (!to)
        return -1;
    int rc = coir_i_trace_write(to, &tracer.trace);
    if (rc < 0)
        fputs("coir: no memory to write a trace\n", stderr);
    bool failed = ferror(to);
    return fclose(to) != 0 || failed ? -1 : 0;
}

static void stop(void)
{
    coir_i_trace *t = &tracer.trace;
    if (!load_relaxed(&coir_i_tracing))
        return;
    t->end = coir_i_ticks();
    t->ns_per_tick = (double)(coir_i_sys_now() - tracer.begin) /
                     (double)(t->end - t->begin + 1);
    if (write_file() < 0) {
        fputs("coir: the trace cannot be written to ", stderr);
        perror(tracer.path);
    }
    drop();
}

static coir_i_module module = {.start = start, .stop = stop, .forked = drop};

coir_i_constructor(0) static void add_module(void)
{
    coir_i_module_add(&module);
}
