/* io/module.h -- io's part in the life of a runtime */
#ifndef COIR_IO_MODULE_H
#define COIR_IO_MODULE_H

#include <stdbool.h>

/* This is the child of a fork(2), and has no runtime of its own yet. */
bool coir_i_io_is_forked(void);

/* Descriptors that coir makes are asked about before every wait, too: the
 * virtual clock must not jump while one is in doubt (io/doubt.h). */
bool coir_i_io_is_exact(void);

#endif
