/* sched/circle.c -- fibers that wait for each other's locks in a circle
 *
 * Does       find them, while the rest of the program runs; tell of each circle
 *            once, with a dump.
 * Does not   end them: a deadline may, or somebody who cancels. If nothing else
 *            is left to run, that is a deadlock: sched/deadlock.c.
 *
 * The monitor looks from time to time, if any fiber waits for a lock at all:
 * through the words of all slots for those who do, and for how long; then from
 * each to the one that holds what it waits for. One of several lives on a stack
 * holds it: the outer ones cannot go on before the inner one.
 *
 * Invariants
 *   C1  who is in a circle that is told of waited, the same wait, from before
 *       the others were looked at until after: so all of it was true at a time.
 *   C2  a look is followed by a pause of a hundred times its length.
 *
 * Locks      none but LOOK bits, one at a time.
 * Edges      none of its own.
 * Fails      without memory it looks again later.
 * Tests      test/test_circle.c */
#include "sched/clock.h"
#include "sched/deadlock.h"
#include "sched/dump.h"
#include "sched/runtime.h"
#include "sched/word.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REST = 100 };                         /* times the length of a look */
static const coir_time PERIOD = 500000000;   /* from one look to the next */
static const coir_time PATIENCE = 500000000; /* what is younger may yet end */

/* A fiber that waits for a lock. */
struct waiter {
    coir_i_ticket ticket;
    const coir_i_wait *wait;
    const void *on;
    uint64_t id, holder;
    size_t walk; /* that came by, from 1 */
    char name[COIR_NAME_MAX];
};

/* One of the lives on its stack. */
struct life {
    uint64_t id;
    size_t waiter;
};

struct look {
    bool is_young; /* there are some who have not waited for long */
    size_t count, room, lives, lives_room;
    struct waiter *waiters;
    struct life *life; /* by id */
};

/* The monitor's own. */
static struct {
    coir_time next;    /* of the system's clock: the next look */
    uint64_t progress; /* at the last one: switches, and locks waited for by
                          the doing of others */
    bool is_settled;   /* nobody in that one was young */
    uint64_t *told;    /* what was told of and has lasted */
    size_t count;
} circle;

void coir_i_circle_start(void)
{
    free(circle.told);
    memset(&circle, 0, sizeof circle);
    store_relaxed(&coir_i_runtime.locks_later, 0);
}

/* ---- who waits ---- */

static bool does_any_wait(uint64_t *progress)
{
    uint64_t waits = load_relaxed(&coir_i_runtime.locks_later);
    *progress = load_relaxed(&coir_i_runtime.locks_later);
    for (unsigned i = 0; i < coir_i_worker_count(); i++) {
        struct coir_i_counts *counts = &coir_i_runtime.workers[i].counts;
        waits += load_relaxed(&counts->locks_begun) -
                 load_relaxed(&counts->locks_ended);
        *progress += load_relaxed(&counts->switches);
    }
    return waits != 0;
}

static bool waits_for_lock(uint64_t word)
{
    unsigned phase = coir_i_word_phase(word);
    return (phase == COIR_I_ARMED || phase == COIR_I_PARKED) &&
           coir_i_word_reason(word) & COIR_I_WAIT_LOCK;
}

/* A look at f: false: it does not wait for a lock, and is not looked at. */
static bool look_at(coir_i_fiber *f, coir_i_ticket *ticket)
{
    if (!waits_for_lock(load_relaxed(&f->word)) || !coir_i_look(f, ticket))
        return false;
    if (waits_for_lock(load_relaxed(&f->word)))
        return true;
    coir_i_look_end(f);
    return false;
}

/* Room for one more and `more` lives; false: no memory. */
static bool make_room(struct look *look, size_t more)
{
    if (look->count == look->room) {
        size_t room = look->room ? 2 * look->room : 64;
        void *grown = realloc(look->waiters, room * sizeof *look->waiters);
        if (!grown)
            return false;
        look->waiters = grown;
        look->room = room;
    }
    if (look->lives_room - look->lives < more) {
        size_t room = 2 * look->lives_room + more;
        void *grown = realloc(look->life, room * sizeof *look->life);
        if (!grown)
            return false;
        look->life = grown;
        look->lives_room = room;
    }
    return true;
}

/* Under a look. How many lives there is no room for. */
static size_t note(struct look *look, coir_i_ticket ticket)
{
    coir_i_stack *stack = ticket.fiber->stack;
    coir_i_life *life = ticket.fiber->life;
    struct waiter *waiter = &look->waiters[look->count];
    size_t room = look->lives_room - look->lives, lives = 0;
    for (coir_i_life *l = life; l; l = l->outer)
        if (lives++ < room)
            look->life[look->lives + lives - 1] =
                (struct life){l->id, look->count};
    if (lives > room)
        return lives;
    *waiter = (struct waiter){.ticket = ticket,
                              .wait = stack->wait,
                              .on = stack->waits_on,
                              .id = life->id,
                              .holder = stack->wait->holder(stack->waits_on)};
    coir_i_copy_text(waiter->name, sizeof waiter->name, life->name);
    look->lives += lives;
    look->count++;
    return 0;
}

static bool collect(struct look *look)
{
    bool is_virtual = coir_i_clock_is_virtual();
    coir_time old = is_virtual ? COIR_NEVER : coir_i_now() - PATIENCE;
    uint32_t count = coir_i_fiber_count();
    size_t more = 8;
    for (uint32_t i = 0; i < count; i++) {
        coir_i_ticket ticket;
        coir_i_fiber *f = coir_i_fiber_at(i);
        if (!waits_for_lock(load_relaxed(&f->word)))
            continue;
        if (!make_room(look, more))
            return false;
        if (!look_at(f, &ticket))
            continue;
        bool young = f->stack->waits_since > old;
        size_t missing = young ? 0 : note(look, ticket);
        coir_i_look_end(f);
        look->is_young |= young;
        if (missing) { /* once more, with more room */
            more = missing;
            i--;
        }
    }
    return true;
}

/* ---- who waits for whom ---- */

static int compare_lives(const void *a, const void *b)
{
    uint64_t x = ((const struct life *)a)->id, y = ((const struct life *)b)->id;
    return x < y ? -1 : x > y;
}

/* Who holds what w waits for, if that waits, too. Not w itself: a signal has
 * moved it to the line of a mutex that it is about to give back. */
static struct waiter *next_of(const struct look *look, const struct waiter *w)
{
    struct life key = {.id = w->holder}, *life = NULL;
    if (w->holder && w->holder != w->id)
        life =
            bsearch(&key, look->life, look->lives, sizeof key, compare_lives);
    return life ? &look->waiters[life->waiter] : NULL;
}

static bool is_as_it_was(const struct waiter *w, bool by_holder)
{
    coir_i_ticket ticket;
    if (!look_at(w->ticket.fiber, &ticket))
        return false;
    bool same = ticket.seq == w->ticket.seq &&
                (!by_holder || w->wait->holder(w->on) == w->holder);
    coir_i_look_end(w->ticket.fiber);
    return same;
}

/* C1: the holders, seen while all wait. */
static bool is_still_there(const struct look *look, const struct waiter *first)
{
    for (int by_holder = 1; by_holder >= 0; by_holder--) {
        const struct waiter *w = first;
        do {
            if (!is_as_it_was(w, by_holder))
                return false;
        } while ((w = next_of(look, w)) != first);
    }
    return true;
}

/* ---- telling ---- */

/* The same for a circle from wherever it is entered; a wait is in it once. */
static uint64_t name_of(const struct look *look, const struct waiter *first)
{
    uint64_t sum = 0;
    const struct waiter *w = first;
    do {
        uint64_t x = w->ticket.seq * UINT64_C(0x9e3779b97f4a7c15) +
                     w->ticket.fiber->index;
        x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
        sum += x ^ x >> 29;
    } while ((w = next_of(look, w)) != first);
    return sum;
}

static bool is_told(uint64_t name)
{
    for (size_t i = 0; i < circle.count; i++)
        if (circle.told[i] == name)
            return true;
    return false;
}

static void say_fiber(FILE *text, const struct waiter *w)
{
    fprintf(text, "fiber %" PRIu64, w->id);
    if (*w->name)
        fprintf(text, " '%s'", w->name);
}

/* The holder is the life on the stack of w that holds it. */
static void say_holder(FILE *text, uint64_t holder, const struct waiter *w)
{
    if (holder == w->id) {
        say_fiber(text, w);
        return;
    }
    fprintf(text, "fiber %" PRIu64 ", on whose stack runs ", holder);
    say_fiber(text, w);
}

static void tell(const struct look *look, const struct waiter *first)
{
    char *sentence = NULL;
    size_t size;
    FILE *text = open_memstream(&sentence, &size);
    if (!text)
        return;
    const struct waiter *w = first;
    fputs("coir: fibers wait for each other in a circle: ", text);
    say_fiber(text, w);
    do {
        fprintf(text, " waits for %s", w->wait->what);
        if (w->on)
            fprintf(text, " %p", w->on);
        fputs(" held by ", text);
        say_holder(text, w->holder, next_of(look, w));
        w = next_of(look, w);
        fputs(w == first ? "" : ", which", text);
    } while (w != first);
    if (fclose(text) == 0)
        COIR_IGNORE(coir_i_dump(STDERR_FILENO, sentence));
    free(sentence);
}

/* ---- looking ---- */

/* From w along, until somebody who was met before: on this walk? */
static struct waiter *walk(struct look *look, struct waiter *w, size_t number)
{
    while (w && !w->walk) {
        w->walk = number;
        w = next_of(look, w);
    }
    return w && w->walk == number ? w : NULL;
}

/* What was told of and is there no more is forgotten. */
static void find_circles(struct look *look)
{
    uint64_t *seen = NULL;
    size_t count = 0, room = 0;
    qsort(look->life, look->lives, sizeof *look->life, compare_lives);
    for (size_t i = 0; i < look->count; i++) {
        struct waiter *w = walk(look, &look->waiters[i], i + 1);
        if (!w || !is_still_there(look, w))
            continue;
        if (count == room) {
            room = room ? 2 * room : 8;
            void *grown = realloc(seen, room * sizeof *seen);
            if (!grown)
                break;
            seen = grown;
        }
        seen[count] = name_of(look, w);
        if (!is_told(seen[count++]))
            tell(look, w);
    }
    free(circle.told);
    circle.told = seen;
    circle.count = count;
}

coir_time coir_i_circle_look(coir_time now)
{
    uint64_t progress;
    if (!does_any_wait(&progress))
        return COIR_NEVER;
    /* Nobody has run since, nor was moved to another line, so nobody waits for
     * a lock whom it did not see. */
    if (circle.is_settled && progress == circle.progress)
        return COIR_NEVER;
    if (now < circle.next)
        return circle.next;
    struct look look = {0};
    circle.is_settled = collect(&look) && !look.is_young;
    circle.progress = progress;
    if (look.count)
        find_circles(&look);
    free(look.waiters);
    free(look.life);
    coir_time length = coir_i_sys_now() - now, rest = REST * length;
    circle.next = now + length + (rest > PERIOD ? rest : PERIOD);
    return circle.is_settled ? COIR_NEVER : circle.next;
}
