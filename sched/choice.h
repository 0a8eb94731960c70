/* sched/choice.h -- every choice that the scheduler leaves open
 *
 * Which fiber runs next, when one gives way, which of the ready cases a select
 * takes: where any answer is right, it is asked for here. With a seed
 * (coir_config.seed) all answers come from one generator, one thread runs all
 * fibers, and choices are made that are otherwise fixed for speed: the same
 * seed gives the same run. */
#ifndef COIR_SCHED_CHOICE_H
#define COIR_SCHED_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

/* const while a runtime runs: its choices come from a seed. */
extern bool coir_i_seeded __attribute__((visibility("hidden")));

void coir_i_choice_start(uint64_t seed); /* 0: none */

/* Any thread: one of 0 ... n - 1; n > 0. */
unsigned coir_i_choose(unsigned n);

#endif
