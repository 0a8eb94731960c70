/* sched/dump.h -- every fiber, as text */
#ifndef COIR_SCHED_DUMP_H
#define COIR_SCHED_DUMP_H

#include <coir/dump.h>

#include "sched/census.h"
#include "sched/module.h"

/* coir_dump under a headline of its own, "coir: deadlock: ...", which may be
 * NULL. Any thread, on a fiber or not. */
int coir_i_dump(int fd, const char *headline);
/* The same of a census that was taken, with its traces if it has them. */
int coir_i_dump_census(int fd, const char *headline,
                       const coir_i_census *census);

/* SIGQUIT, where $COIR_DUMP asks for it: sched/sigquit.c. */
extern coir_i_module coir_i_sigquit __attribute__((visibility("hidden")));

#endif
