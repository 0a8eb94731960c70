/* sched/choice.c -- every choice that the scheduler leaves open
 *
 * Each worker has a generator of its own, splitmix64, so that choosing touches
 * nothing shared. With a seed there is one worker, and so one generator. A
 * thread that is no worker takes its choice from the tick counter: what such a
 * thread does is not part of a seeded run anyway.
 *
 * Fails      never.
 * Tests      test/test_seed.c */
#include "sched/choice.h"

#include "sched/clock.h"
#include "sched/worker.h"

bool coir_i_seeded;

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void coir_i_choice_start(uint64_t seed)
{
    coir_i_seeded = seed != 0;
    for (unsigned i = 0; i < coir_i_runtime.configured; i++)
        coir_i_runtime.workers[i].choices =
            mix(seed ? seed : coir_i_ticks()) + i;
}

unsigned coir_i_choose(unsigned n)
{
    coir_i_worker *w = coir_i_worker_here();
    uint64_t own;
    uint64_t *state = w ? &w->choices : &own;
    if (!w)
        own = coir_i_ticks();
    uint64_t z = mix(*state += 0x9e3779b97f4a7c15);
    return (unsigned)(((z >> 32) * n) >> 32);
}
