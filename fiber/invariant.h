/* fiber/invariant.h -- what must hold, and what happens where it does not
 *
 * Misuse that can be seen in O(1) stops the program in every build, with a
 * message that names the rule and the fiber: coir_i_rule(). What only a defect
 * of coir itself can break is asserted in debug builds: coir_i_assert(). */
#ifndef COIR_FIBER_INVARIANT_H
#define COIR_FIBER_INVARIANT_H

#include <stdbool.h>

#define coir_i_likely(x) __builtin_expect(!!(x), 1)
#define coir_i_unlikely(x) __builtin_expect(!!(x), 0)

/* "coir: KIND TEXT (fiber 7 'name')" to standard error, then abort(3). */
_Noreturn void coir_i_die(const char *kind, const char *text)
    __attribute__((cold, noinline));

/* Stop the program unless `holds`; rule is a sentence on what was misused. */
#define coir_i_rule(holds, rule)               \
    do {                                       \
        if (coir_i_unlikely(!(holds)))         \
            coir_i_die("broken rule: ", rule); \
    } while (0)

/* Likewise, where it is nobody's fault: text says what there is not. */
#define coir_i_need(holds, text)       \
    do {                               \
        if (coir_i_unlikely(!(holds))) \
            coir_i_die("", text);      \
    } while (0)

#ifdef COIR_I_DEBUG
#    define coir_i_assert(holds) \
        coir_i_rule(holds, "an invariant is broken in " __FILE__)
#else
#    define coir_i_assert(holds) ((void)0)
#endif

#endif
