/* io/catch.h -- signals are caught by a handler, which rings a bell
 *
 * All of it is called under one lock, that of io/signals.c, but the handler. A
 * set of signals is a word: bit n - 1 is signal n. */
#ifndef COIR_IO_CATCH_H
#define COIR_IO_CATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { COIR_I_SIGNALS = 64 }; /* 1 .. 64 at most, where coir has run */

static inline uint64_t coir_i_signal_bit(int number)
{
    return UINT64_C(1) << (number - 1);
}

/* coir's own, those that cannot be caught, and those that an instruction
 * raises, which would only raise it again. */
bool coir_i_catch_refuses(int number);

/* The bell: a descriptor that can be read when a signal has been caught. As
 * often as it was opened it is to be closed. 0, or why there is none. */
int coir_i_bell_open(void);
void coir_i_bell_close(void);
int coir_i_bell(void); /* while it is open */

/* Between open and close of the bell: these are caught from now on, and until
 * as many ends; then the old disposition is back. 0, or why none of them is. */
int coir_i_catch_begin(uint64_t wanted);
void coir_i_catch_end(uint64_t wanted);

/* What was caught since the last take. After it the bell is calm, and rings for
 * everything that was not in this. */
uint64_t coir_i_catch_take(void);

/* In the child of a fork: nothing is caught, and there is no bell. */
void coir_i_catch_forked(void);

#endif
