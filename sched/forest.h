/* sched/forest.h -- a census as a tree, where those that are alike stand
 * together
 *
 *   plot 0: the first fiber, and those whose nursery is not known
 *   plot 1 + i: the children in opening i of the census
 *
 * Of the children in a plot, those that do the same, from the same place in the
 * code, and have the same below them, are a *group*: ten thousand connections
 * are one. */
#ifndef COIR_SCHED_FOREST_H
#define COIR_SCHED_FOREST_H

#include "sched/census.h"

typedef struct coir_i_plot {
    uint32_t at, end; /* in forest.order; at moves on as it is read */
    uint32_t next;    /* plot of the same opener; 0: there is none */
    uint32_t around;  /* the plot that its opener stands in */
} coir_i_plot;

typedef struct coir_i_spot { /* of a record */
    uint32_t plot;           /* that it stands in */
    uint32_t first;          /* plot that it has opened; 0: none */
    uint64_t key;            /* alike are equal */
} coir_i_spot;

typedef struct coir_i_forest {
    const coir_i_census *census;
    coir_i_plot *plots;
    coir_i_spot *spots;
    uint32_t *order;  /* indexes of records: by plot, then by group */
    size_t count;     /* of them */
    uint32_t strange; /* the first plot whose opener was not seen; 0: none */
} coir_i_forest;

int coir_i_forest_plant(coir_i_forest *forest,
                        const coir_i_census *census) COIR_MUST_USE;
void coir_i_forest_drop(coir_i_forest *forest);

/* How many there are in the group that begins at that place of the order. */
size_t coir_i_forest_group(const coir_i_forest *forest, size_t at);

#endif
