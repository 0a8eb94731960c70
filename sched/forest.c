/* sched/forest.c -- a census as a tree, where those that are alike stand
 * together
 *
 * Does       put each record with the nursery that it was started in, and each
 *            nursery with its opener; find groups. Linear but for the sorting,
 *            and without recursion: a tree may be as deep as there are fibers.
 *
 * Invariants
 *   W1  a record's opener comes before it in the census: so from the last to
 *       the first, what is below a record is known when its turn comes.
 *   W2  each record stands in one plot, each plot has one opener: whatever can
 *       be reached from plot 0 is a tree, though addresses may be stale.
 *
 * Fails      -ENOMEM.
 * Tests      test/test_dump.c */
#include "sched/forest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t key, uint64_t more)
{
    key = (key ^ more) * UINT64_C(0x9E3779B97F4A7C15);
    return key ^ key >> 29;
}

static uint64_t key_of_bounds(uint64_t key, const coir_i_bounds *bounds)
{
    unsigned flags = (bounds->until != COIR_NEVER) |
                     (unsigned)bounds->cancelled << 1 |
                     (unsigned)bounds->shield << 2;
    key = mix(key, flags);
    return mix(mix(key, (uint64_t)bounds->cause_code), bounds->cause_id);
}

/* Neither who it is, nor which of its kind it waits for, nor since when. */
static uint64_t own_key(const coir_i_census *c, size_t i)
{
    const coir_i_record *r = &c->records[i];
    uint64_t key = key_of_bounds(r->doing, &r->bounds);
    if (r->doing == COIR_I_DOES_RUN || !r->id)
        return mix(key, i + 1);
    if (r->doing != COIR_I_DOES_WAIT)
        return key;
    key = mix(mix(key, (uintptr_t)r->wait), r->holder);
    key = mix(key, (unsigned)(r->until != COIR_NEVER) << 1 | r->cut);
    for (uint32_t k = 0; k < r->depth; k++)
        key = mix(key, (uintptr_t)c->frames[r->trace + k]);
    return key;
}

/* ---- who belongs to whom ---- */

static void place_plots(coir_i_forest *forest)
{
    const coir_i_census *c = forest->census;
    for (size_t i = c->openings_count; i-- > 0;) {
        const coir_i_record *r = coir_i_census_find(c, c->openings[i].opener);
        uint32_t plot = (uint32_t)i + 1;
        uint32_t *first =
            r ? &forest->spots[r - c->records].first : &forest->strange;
        forest->plots[plot].next = *first;
        *first = plot;
    }
}

static void place_records(coir_i_forest *forest)
{
    const coir_i_census *c = forest->census;
    for (size_t i = 0; i < c->count; i++) {
        const coir_i_record *r = &c->records[i];
        const coir_i_opening *o =
            r->in ? coir_i_census_opening(c, r->in) : NULL;
        forest->spots[i].plot = o ? (uint32_t)(o - c->openings) + 1 : 0;
        if (r->fiber)
            forest->order[forest->count++] = (uint32_t)i;
        for (uint32_t p = forest->spots[i].first; p; p = forest->plots[p].next)
            forest->plots[p].around = forest->spots[i].plot;
    }
}

/* ---- who is like whom ---- */

/* From the last record on: below[p] sums up the keys of those in plot p, in
 * whatever order they stand. */
static void set_keys(coir_i_forest *forest, uint64_t *below)
{
    const coir_i_census *c = forest->census;
    for (size_t i = c->count; i-- > 0;) {
        coir_i_spot *spot = &forest->spots[i];
        uint64_t key = own_key(c, i);
        for (uint32_t p = spot->first; p; p = forest->plots[p].next) {
            const coir_i_opening *o = &c->openings[p - 1];
            key = mix(key_of_bounds(key, &o->bounds), o->waiting);
            key = mix(key, below[p]);
        }
        spot->key = key;
        if (c->records[i].fiber)
            below[spot->plot] += mix(key, 1);
    }
}

/* What is sorted: by plot, then by two keys. */
struct entry {
    uint32_t plot, index;
    uint64_t first, second;
};

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->plot != y->plot)
        return x->plot < y->plot ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->second > y->second) - (x->second < y->second);
}

size_t coir_i_forest_group(const coir_i_forest *forest, size_t at)
{
    const coir_i_spot *lead = &forest->spots[forest->order[at]];
    size_t end = at + 1;
    for (; end < forest->count; end++) {
        const coir_i_spot *spot = &forest->spots[forest->order[end]];
        if (spot->plot != lead->plot || spot->key != lead->key)
            break;
    }
    return end - at;
}

/* As far as is known: who has waited, the oldest first; then the others. */
static uint64_t rank(const coir_i_census *c, uint32_t i)
{
    return i < c->listed ? c->listed - 1 - i : i;
}

static uint64_t find_lead(const coir_i_forest *forest, size_t at, size_t size)
{
    uint64_t lead = UINT64_MAX;
    for (size_t i = at; i < at + size; i++) {
        uint64_t own = rank(forest->census, forest->order[i]);
        lead = own < lead ? own : lead;
    }
    return lead;
}

static void set_order(coir_i_forest *forest, struct entry *all)
{
    qsort(all, forest->count, sizeof *all, compare);
    for (size_t i = 0; i < forest->count; i++)
        forest->order[i] = all[i].index;
}

/* Groups in the order of their oldest, and in a group by id. */
static void sort(coir_i_forest *forest, struct entry *all)
{
    const coir_i_record *records = forest->census->records;
    for (size_t i = 0; i < forest->count; i++) {
        uint32_t index = forest->order[i];
        const coir_i_spot *spot = &forest->spots[index];
        all[i] =
            (struct entry){spot->plot, index, spot->key, records[index].id};
    }
    set_order(forest, all);
    for (size_t at = 0, size; at < forest->count; at += size) {
        size = coir_i_forest_group(forest, at);
        uint64_t lead = find_lead(forest, at, size);
        for (size_t k = at; k < at + size; k++)
            all[k].first = lead;
    }
    set_order(forest, all);
    for (size_t i = 0; i < forest->count; i++) {
        coir_i_plot *plot = &forest->plots[all[i].plot];
        if (!plot->end)
            plot->at = (uint32_t)i;
        plot->end = (uint32_t)i + 1;
    }
}

int coir_i_forest_plant(coir_i_forest *forest, const coir_i_census *census)
{
    size_t plots = census->openings_count + 1;
    uint64_t *below = calloc(plots, sizeof *below);
    struct entry *entries = malloc((census->count + 1) * sizeof *entries);
    *forest = (coir_i_forest){
        .census = census,
        .plots = calloc(plots, sizeof *forest->plots),
        .spots = calloc(census->count + 1, sizeof *forest->spots),
        .order = calloc(census->count + 1, sizeof *forest->order)};
    bool is_there =
        below && entries && forest->plots && forest->spots && forest->order;
    if (is_there) {
        place_plots(forest);
        place_records(forest);
        set_keys(forest, below);
        sort(forest, entries);
    } else {
        coir_i_forest_drop(forest);
    }
    free(below);
    free(entries);
    return is_there ? 0 : -ENOMEM;
}

void coir_i_forest_drop(coir_i_forest *forest)
{
    free(forest->plots);
    free(forest->spots);
    free(forest->order);
    memset(forest, 0, sizeof *forest);
}
