/* sched/census.c -- a snapshot of all fibers: who they are, what each does
 *
 * Does       walk the tree of those who have waited, ask the workers for who
 *            runs, the nests for who has not begun.
 * Does not   find anybody in it: that is roll.c. Nor does it stop anybody for
 *            longer than it takes to read a record.
 *
 * A fiber that waits is looked at (park.h), and stays as it is meanwhile. One
 * that runs may at any time rename itself, or run a child on its own stack, and
 * shall not pay for being watched: so it is *peeked* at. What is read then is a
 * whole word or a name, may be old, and is never followed to memory that might
 * be gone: who is in the tree keeps its stack under the tree locks, and no
 * stack is unmapped under the depot's.
 *
 * Invariants
 *   K1  while `first` is set under the lock, there are workers and stacks.
 *
 * Locks      census.lock: one census at a time, and the end of the first fiber
 *            waits for it; outside the tree locks.
 * Edges      none of its own.
 * Fails      -EPERM, -ENOMEM.
 * Tests      test/test_dump.c, test/stress_dump.c */
#include "sched/census.h"

#include "fiber/annotate.h"
#include "fiber/slab.h"
#include "sched/clock.h"
#include "sched/runtime.h"
#include "sched/tree.h"
#include "sched/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPARE = 256,  /* records more than there should be fibers */
    TRIES = 4,    /* each with twice the room */
    LIVES = 16,   /* on one stack, of one that is peeked at */
    CHUNKS = 4096 /* that are counted under the lock of one nest */
};

static struct {
    coir_i_mutex lock;
    coir_i_fiber *first;
} census_of;

void coir_i_census_begin(coir_i_fiber *first)
{
    coir_i_mutex_lock(&census_of.lock);
    census_of.first = first;
    coir_i_mutex_unlock(&census_of.lock);
}

void coir_i_census_end(void)
{
    coir_i_census_begin(NULL);
}

void coir_i_census_forked(void)
{
    store_relaxed(&census_of.lock.state, 0);
    census_of.first = NULL;
}

/* ---- reading what its owner may be writing ---- */

/* A word is not torn; it comes in no order. */
__attribute__((noinline, no_sanitize("thread"))) COIR_I_NO_ASAN static uint64_t
peek(const void *word)
{
    return *(const volatile uint64_t *)word;
}

static void *peek_pointer(const void *at)
{
    return (void *)(uintptr_t)peek(at);
}

_Static_assert(sizeof(void *) == sizeof(uint64_t), "pointers are words");

/* A name may be: half the old one, half the new. */
__attribute__((noinline, no_sanitize("thread"))) COIR_I_NO_ASAN static void
peek_name(char *to, const char *from)
{
    for (size_t i = 0; i < COIR_NAME_MAX; i++)
        to[i] = ((const volatile char *)from)[i];
    to[COIR_NAME_MAX - 1] = '\0';
}

/* Does all of life lie on that stack, where it may be read? */
static bool lies_on(const coir_i_stack *stack, const coir_i_life *life)
{
    const char *at = (const char *)life, *low = stack->low + stack->guard;
    return at >= low && at + sizeof *life <= (const char *)stack &&
           (uintptr_t)at % _Alignof(coir_i_life) == 0;
}

/* ---- records ---- */

static coir_i_record *new_record(coir_i_census *c, coir_i_fiber *f,
                                 const coir_i_nursery *in)
{
    if (c->count == c->room) {
        c->missed++;
        return NULL;
    }
    coir_i_record *r = &c->records[c->count++];
    r->fiber = f;
    r->in = in;
    r->since = r->until = r->bounds.until = COIR_NEVER;
    return r;
}

static void note_scope(coir_i_bounds *bounds, coir_i_scope *s)
{
    /* @observe scope.state: the cause, if it is cancelled. */
    uint32_t state = load_acquire(&s->state);
    coir_time until = load_relaxed(&s->deadline);
    if (until < bounds->until)
        bounds->until = until;
    if (state & COIR_I_SCOPE_SHIELD)
        bounds->shield = true;
    if (state & COIR_I_SCOPE_CANCELLED) {
        bounds->cancelled = true;
        bounds->cause_code = s->cause_code;
        bounds->cause_id = s->cause_id;
        memcpy(bounds->cause_name, s->cause_name, sizeof s->cause_name);
    }
}

/* n stays open while this goes on. Its opener may run. */
static coir_i_opening *note_nursery(coir_i_census *c, coir_i_nursery *n)
{
    if (c->openings_count == c->openings_room) {
        c->missed++;
        return NULL;
    }
    coir_i_opening *o = &c->openings[c->openings_count++];
    o->at = n;
    o->opener = n->life->id;
    o->bounds.until = COIR_NEVER;
    note_scope(&o->bounds, &n->scope);
    return o;
}

/* ---- a fiber that waits: it is looked at ---- */

static void note_wait(coir_i_record *r, coir_i_fiber *f, coir_i_ticket ticket)
{
    const coir_i_stack *stack = f->stack;
    r->doing = COIR_I_DOES_WAIT;
    r->seq = ticket.seq;
    r->wait = stack->wait;
    r->on = stack->waits_on;
    r->since = stack->waits_since;
    r->until = load_relaxed(&f->until);
    r->holder = r->wait->holder ? r->wait->holder(r->on) : 0;
}

/* Openers shall come before what they have opened. */
static void turn(coir_i_record *first, coir_i_record *end)
{
    while (first < end && first < --end) {
        coir_i_record r = *first;
        *first++ = *end;
        *end = r;
    }
}

/* The lives on its stack, outermost first, with the nurseries that each has
 * opened and the one that it was started in. */
static void note_lives(coir_i_census *c, coir_i_fiber *f, coir_i_ticket ticket)
{
    size_t first = c->count;
    coir_i_nursery *n = f->nursery;
    coir_i_scope *s = f->scope;
    uint64_t inner = 0;
    for (coir_i_life *life = f->life; life; life = life->outer) {
        coir_i_bounds bounds = {.until = COIR_NEVER};
        for (; n && n->life == life; n = n->around)
            note_nursery(c, n);
        /* Up to the scope of the nursery in which this life began. */
        for (; s && s->fiber == f && (!n || s != &n->scope); s = s->parent)
            if (!(load_relaxed(&s->state) & COIR_I_SCOPE_NURSERY))
                note_scope(&bounds, s);
        coir_i_record *r = new_record(c, f, n);
        if (!r)
            continue;
        r->id = life->id;
        peek_name(r->name, life->name);
        r->bounds = bounds;
        if (!inner) {
            note_wait(r, f, ticket);
        } else {
            r->doing = COIR_I_DOES_LEND;
            r->holder = inner;
        }
        inner = life->id;
    }
    turn(c->records + first, c->records + c->count);
}

/* ---- a fiber that runs, or may at any time: it is peeked at ---- */

static bool same_life(coir_i_fiber *f, const coir_i_life *life)
{
    return peek_pointer(&f->life) == (void *)life;
}

static void set_doing(coir_i_record *r, coir_i_fiber *f)
{
    r->doing = COIR_I_IS_READY;
    for (unsigned i = 0; i < coir_i_worker_count(); i++)
        if (peek_pointer(&coir_i_runtime.workers[i].thread.running) == f) {
            r->doing = COIR_I_DOES_RUN;
            r->worker = i;
        }
}

/* Its innermost lives; only the first of them runs. */
static void peek_lives(coir_i_census *c, coir_i_fiber *f,
                       const coir_i_nursery *in)
{
    const coir_i_stack *stack = f->stack;
    coir_i_life *life = peek_pointer(&f->life), *innermost = life;
    uint64_t inner = 0;
    for (int i = 0; i < LIVES && life && lies_on(stack, life); i++) {
        coir_i_life *outer = peek_pointer(&life->outer);
        /* Which nursery the inner ones are in cannot be read: they are shown
         * beside the outermost. */
        coir_i_record *r = new_record(c, f, in);
        if (!r)
            return;
        r->id = peek(&life->id);
        peek_name(r->name, life->name);
        if (inner) {
            r->doing = COIR_I_DOES_LEND;
            r->holder = inner;
        } else {
            set_doing(r, f);
        }
        if (!same_life(f, innermost)) { /* it changed while we read it */
            r->id = 0;
            r->name[0] = '\0';
            return;
        }
        inner = r->id;
        life = outer;
    }
    if (innermost && !inner) { /* ASan keeps it elsewhere */
        coir_i_record *r = new_record(c, f, in);
        if (r)
            set_doing(r, f);
    }
}

static void peek_fiber(coir_i_census *c, coir_i_fiber *f)
{
    /* Under its tree lock: those in which somebody is listed. */
    for (coir_i_nursery *n = f->stack->openings; n; n = n->tree_next)
        note_nursery(c, n);
    peek_lives(c, f, f->stack->runs_in);
}

/* ---- all of them ---- */

static void see(coir_i_fiber *f, void *census)
{
    coir_i_ticket ticket;
    if (coir_i_look(f, &ticket)) {
        note_lives(census, f, ticket);
        coir_i_look_end(f);
    } else {
        peek_fiber(census, f);
    }
}

/* Does it lie on any stack, behind its guard? */
static bool lies_on_any(const void *at, size_t size)
{
    coir_i_place place;
    if (!at || !coir_i_slab_find(at, &place))
        return false;
    size_t offset = (size_t)((const char *)at - place.low);
    return offset >= place.guard && place.size - offset >= size;
}

/* The opener of n, if they lie where they may be read though they may be gone:
 * on stacks, which are kept. */
static void peek_opener(coir_i_census *c, const coir_i_nursery *n)
{
    bool is_static = n == coir_i_nursery_of(&coir_i_background);
    if (!is_static && !lies_on_any(n, sizeof *n))
        return;
    const coir_i_life *life = peek_pointer(&n->life);
    if (!lies_on_any(life, sizeof *life) ||
        c->openings_count == c->openings_room)
        return;
    coir_i_opening *o = &c->openings[c->openings_count++];
    o->at = n;
    o->opener = peek(&life->id);
    o->bounds.until = COIR_NEVER; /* more than that is not known of it */
}

/* Whoever runs and has never waited is in no tree. */
static void see_running(coir_i_census *c, coir_i_worker *w)
{
    coir_i_fiber *f = peek_pointer(&w->thread.running);
    if (!f || f == &w->thread.own)
        return;
    coir_i_fibers_keep_stacks();
    coir_i_stack *stack = peek_pointer(&f->stack);
    if (stack && !load_relaxed(&stack->listed)) {
        const coir_i_nursery *n = peek_pointer(&stack->runs_in);
        size_t before = c->count;
        peek_lives(c, f, n);
        if (c->count > before)
            peek_opener(c, n);
    }
    coir_i_fibers_release_stacks();
}

static void count_waiting(coir_i_opening *o, const coir_i_chunk *chunk,
                          unsigned *chunks)
{
    for (; chunk && *chunks < CHUNKS; chunk = chunk->next, ++*chunks)
        o->waiting += (unsigned)(chunk->end - chunk->first);
    o->more = chunk != NULL;
}

static void see_nest(coir_i_census *c, coir_i_worker *w)
{
    coir_i_nest *nest = &w->nest;
    unsigned chunks = 0;
    c->waiting += coir_i_nest_waiting(nest);
    /* The only worker does not lock its nest. */
    if (!coir_i_bias_is_shared(&nest->bias) && coir_i_worker_here() != w)
        return;
    coir_i_spin_lock(&nest->lock);
    for (coir_i_nursery *n = nest->oldest; n && chunks < CHUNKS;
         n = n->waiting.newer) {
        coir_i_opening *o = note_nursery(c, n);
        if (o)
            count_waiting(o, load_relaxed(&n->waiting.head), &chunks);
    }
    for (coir_i_chunk *loot = nest->loot; loot && chunks < CHUNKS;
         loot = loot->next, chunks++) {
        coir_i_opening *o = note_nursery(c, loot->of);
        if (o)
            o->waiting = (unsigned)(loot->end - loot->first);
    }
    coir_i_spin_unlock(&nest->lock);
}

static void see_all(coir_i_census *c, coir_i_fiber *first)
{
    c->taken = coir_i_now();
    c->workers = coir_i_worker_count();
    coir_i_tree_walk(first, NULL, see, c);
    c->listed = c->count;
    for (unsigned i = 0; i < c->workers; i++)
        see_running(c, &coir_i_runtime.workers[i]);
    for (unsigned i = 0; i < c->workers; i++)
        see_nest(c, &coir_i_runtime.workers[i]);
}

/* ---- taking it ---- */

static int make_room(coir_i_census *c, size_t room)
{
    memset(c, 0, sizeof *c);
    c->records = calloc(room, sizeof *c->records);
    c->openings = calloc(2 * room, sizeof *c->openings);
    c->by_id = calloc(room, sizeof *c->by_id);
    c->room = room;
    c->openings_room = 2 * room;
    if (c->records && c->openings && c->by_id)
        return 0;
    coir_i_census_drop(c);
    return -ENOMEM;
}

void coir_i_census_drop(coir_i_census *c)
{
    free(c->records);
    free(c->openings);
    free(c->by_id);
    free((void *)c->frames);
    memset(c, 0, sizeof *c);
}

/* How many fibers there are; 0: no runtime runs. */
static size_t ask_for_size(void)
{
    coir_i_mutex_lock(&census_of.lock);
    size_t alive = census_of.first ? coir_i_fibers_alive() + SPARE : 0;
    coir_i_mutex_unlock(&census_of.lock);
    return alive;
}

static int try_to_take(coir_i_census *c, size_t room)
{
    int rc = make_room(c, room);
    if (rc < 0)
        return rc;
    coir_i_mutex_lock(&census_of.lock);
    coir_i_fiber *first = census_of.first;
    if (first)
        see_all(c, first);
    coir_i_mutex_unlock(&census_of.lock);
    if (!first) {
        coir_i_census_drop(c);
        return -EPERM;
    }
    return 0;
}

int coir_i_census_take(coir_i_census *c)
{
    size_t room = ask_for_size();
    if (!room)
        return -EPERM;
    for (int tries = 1;; tries++, room *= 2) {
        int rc = try_to_take(c, room);
        if (rc < 0)
            return rc;
        if (!c->missed || tries == TRIES)
            break;
        coir_i_census_drop(c); /* there are more by now */
    }
    coir_i_census_sort(c);
    return 0;
}
