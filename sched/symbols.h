/* sched/symbols.h -- addresses in this process, by name
 *
 * Most fibers' functions are static: the dynamic linker does not know them. So
 * the symbol tables are read from the files that the program was loaded from,
 * once for all addresses of a dump. */
#ifndef COIR_SCHED_SYMBOLS_H
#define COIR_SCHED_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

typedef struct coir_i_symbols coir_i_symbols;

typedef struct coir_i_symbol {
    const char *object;    /* name of the file; NULL: it lies in none */
    const char *function;  /* NULL: not known */
    uint64_t offset, into; /* from the beginning of the object; of function */
} coir_i_symbol;

/* All at once; NULL: no memory. */
coir_i_symbols *coir_i_symbols_read(const void *const *addresses, size_t count);
void coir_i_symbols_drop(coir_i_symbols *symbols);

/* One of them. Good until symbols are dropped. */
void coir_i_symbols_find(const coir_i_symbols *symbols, const void *address,
                         coir_i_symbol *symbol);

#endif
