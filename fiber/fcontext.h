/* fiber/fcontext.h -- the three assembly functions under the one switch
 *
 * Boost.Context's, under names of our own: the build takes the objects out of
 * the system's libboost_context.a, renames and hides them. Hidden also here,
 * so that no other Boost in the process can come between them: the frames of
 * different versions differ.
 *
 * A resumed context goes on by a jump. Then the `ret` of every caller goes
 * elsewhere than the CPU's return predictor says, some 6 ns each time:
 * 29.6 ns a switch through four frames. ontop_fcontext calls a function on the
 * target's stack first, whose own `ret` leads back into the target: calls and
 * returns stay paired, 7.9 ns. So coir switches by ontop alone, from one place:
 * fiber/context.c. */
#ifndef COIR_FIBER_FCONTEXT_H
#define COIR_FIBER_FCONTEXT_H

#include <stddef.h>

typedef struct coir_i_transfer {
    void *context; /* of the one that was left */
    void *data;
} coir_i_transfer;

#pragma GCC visibility push(hidden)

/* A context that will call entry on the stack whose highest address is top. On
 * x86-64 ontop_fcontext leaves garbage in entry's argument. */
void *coir_i_make_fcontext(void *top, size_t size,
                           void (*entry)(coir_i_transfer from));
coir_i_transfer coir_i_jump_fcontext(void *to, void *data);
coir_i_transfer
coir_i_ontop_fcontext(void *to, void *data,
                      coir_i_transfer (*on_top)(coir_i_transfer from));

#pragma GCC visibility pop

#endif
