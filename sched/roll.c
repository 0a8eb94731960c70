/* sched/roll.c -- finding somebody in a census
 *
 * Does       sort what was noted, take out what was noted twice; look up fibers
 *            by id and nurseries by address.
 * Fails      never.
 * Tests      test/test_dump.c, test/test_dump_ask.c */
#include "sched/census.h"

#include <stdlib.h>

static int by_address(const void *a, const void *b)
{
    const coir_i_opening *x = a, *y = b;
    return ((uintptr_t)x->at > (uintptr_t)y->at) -
           ((uintptr_t)x->at < (uintptr_t)y->at);
}

/* Several sources may have told of one. */
static void sort_openings(coir_i_census *c)
{
    size_t kept = 0;
    qsort(c->openings, c->openings_count, sizeof *c->openings, by_address);
    for (size_t i = 0; i < c->openings_count; i++) {
        coir_i_opening *last = kept ? &c->openings[kept - 1] : NULL;
        if (last && last->at == c->openings[i].at) {
            const coir_i_bounds *bounds = &c->openings[i].bounds;
            last->waiting += c->openings[i].waiting;
            last->more |= c->openings[i].more;
            if (bounds->cancelled || bounds->until < last->bounds.until)
                last->bounds = *bounds;
        } else {
            c->openings[kept++] = c->openings[i];
        }
    }
    c->openings_count = kept;
}

static int by_id(const void *a, const void *b)
{
    const coir_i_entry *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void sort_ids(coir_i_census *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->by_id[i] = (coir_i_entry){c->records[i].id, (uint32_t)i};
    qsort(c->by_id, c->count, sizeof *c->by_id, by_id);
}

/* Who was seen in the tree and then to run is there twice: the first is kept,
 * whose openers come before it. */
static void drop_doubles(coir_i_census *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const coir_i_entry *entry = &c->by_id[i];
        if (!entry->id)
            continue;
        if (c->ids && c->by_id[c->ids - 1].id == entry->id)
            c->records[entry->index].fiber = NULL;
        else
            c->by_id[c->ids++] = *entry;
    }
}

void coir_i_census_sort(coir_i_census *c)
{
    sort_openings(c);
    sort_ids(c);
    drop_doubles(c);
}

const coir_i_record *coir_i_census_find(const coir_i_census *c, uint64_t id)
{
    for (size_t low = 0, high = c->ids; low < high;) {
        size_t middle = low + (high - low) / 2;
        const coir_i_entry *entry = &c->by_id[middle];
        if (entry->id == id)
            return &c->records[entry->index];
        if (entry->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const coir_i_opening *coir_i_census_opening(const coir_i_census *c,
                                            const coir_i_nursery *at)
{
    coir_i_opening key = {.at = at};
    return bsearch(&key, c->openings, c->openings_count, sizeof key,
                   by_address);
}
