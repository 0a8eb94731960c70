/* What every public header of coir starts from: the words that their
 * declarations are made of. See coir(7). */
#ifndef COIR_BASE_H
#define COIR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Around the declarations of a header: C linkage, and exported. */
#ifdef __cplusplus
#    define COIR_BEGIN \
        extern "C" {   \
        _Pragma("GCC visibility push(default)")
#    define COIR_END                  \
        _Pragma("GCC visibility pop") \
        }
#else
#    define COIR_BEGIN _Pragma("GCC visibility push(default)")
#    define COIR_END _Pragma("GCC visibility pop")
#endif

/* The bytes of an object that lies with its user but is coir's to read and
 * write. Plain words, so that C++ can include the headers. */
typedef uint64_t __attribute__((may_alias)) coir_private_word;
#define COIR_PRIVATE(bytes) coir_private_word coir_private_[(bytes) / 8]

#define COIR_MUST_USE __attribute__((warn_unused_result))
#define COIR_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* On purpose: a result that must be used otherwise. */
#define COIR_IGNORE(call) ((void)((call) < 0))

/* The body of a fiber. 0 or above: it succeeded, with that result.
 * -ECANCELED: it was cancelled. Any other negative value: it failed. */
typedef int coir_fn(void *arg);

#define COIR_NAME_MAX 24    /* bytes of a name, with its end */
#define COIR_MESSAGE_MAX 96 /* bytes of a message, with its end */

#endif
