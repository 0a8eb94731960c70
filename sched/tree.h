/* sched/tree.h -- how cancelling finds the fibers that wait inside a scope
 *
 *   fiber --openings--> nursery --listed--> fiber --openings--> ...
 *
 * A fiber lists itself among the children of its nursery at its first park,
 * and the nursery among the openings of its opener, top down; so whoever never
 * parks costs nothing. The lists of the nurseries that a fiber has open, and
 * of the children in them, are under that fiber's tree lock. */
#ifndef COIR_SCHED_TREE_H
#define COIR_SCHED_TREE_H

#include "sched/nursery.h"

/* The calling fiber, before its first park in this life. */
void coir_i_tree_list(coir_i_fiber *f);
/* Its life is over. */
void coir_i_tree_unlist(coir_i_fiber *f);
/* n, which the calling fiber opened and which is in the tree, is about to be
 * closed. */
void coir_i_tree_close(coir_i_nursery *n);

/* See top, which does not end meanwhile, and every listed fiber below it, but
 * of top's own nurseries only those inside that scope, or all if it is NULL.
 * Openers come before their children. f's tree lock is held, and those of all
 * above it: so f does not end, nor does a nursery among its openings. */
void coir_i_tree_walk(coir_i_fiber *top, const coir_i_scope *inside,
                      void (*see)(coir_i_fiber *f, void *data), void *data);

/* Visit (scope.h) every listed fiber inside s, and the one that opened it. The
 * caller has changed s, and then the epoch, and keeps s open. */
void coir_i_tree_visit(coir_i_scope *s);

#endif
