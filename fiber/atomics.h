/* fiber/atomics.h -- atomic operations with the memory order in their names
 *
 * Nothing else in coir spells a memory order. A release and the acquire that
 * it pairs with carry the same label in a comment, `@publish x.y` and
 * `@observe x.y`; the ends of a store-buffering pair carry `@dekker x.y`.
 * `make lint` holds every ordered operation to a label, and every label to
 * both its ends. A relaxed operation is a statistic, is private to the one
 * who writes the word, or says why it may be relaxed. */
#ifndef COIR_FIBER_ATOMICS_H
#define COIR_FIBER_ATOMICS_H

#include <stdatomic.h>

#define load_relaxed(p) atomic_load_explicit(p, memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit(p, memory_order_acquire)
#define load_seq_cst(p) atomic_load_explicit(p, memory_order_seq_cst)

#define store_relaxed(p, v) atomic_store_explicit(p, v, memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit(p, v, memory_order_release)
#define store_seq_cst(p, v) atomic_store_explicit(p, v, memory_order_seq_cst)

#define exchange_relaxed(p, v) \
    atomic_exchange_explicit(p, v, memory_order_relaxed)
#define exchange_acquire(p, v) \
    atomic_exchange_explicit(p, v, memory_order_acquire)
#define exchange_release(p, v) \
    atomic_exchange_explicit(p, v, memory_order_release)
#define exchange_acq_rel(p, v) \
    atomic_exchange_explicit(p, v, memory_order_acq_rel)
#define exchange_seq_cst(p, v) \
    atomic_exchange_explicit(p, v, memory_order_seq_cst)

#define fetch_add_relaxed(p, v) \
    atomic_fetch_add_explicit(p, v, memory_order_relaxed)
#define fetch_add_release(p, v) \
    atomic_fetch_add_explicit(p, v, memory_order_release)
#define fetch_add_acq_rel(p, v) \
    atomic_fetch_add_explicit(p, v, memory_order_acq_rel)
#define fetch_add_seq_cst(p, v) \
    atomic_fetch_add_explicit(p, v, memory_order_seq_cst)
#define fetch_sub_acq_rel(p, v) \
    atomic_fetch_sub_explicit(p, v, memory_order_acq_rel)
#define fetch_sub_relaxed(p, v) \
    atomic_fetch_sub_explicit(p, v, memory_order_relaxed)
#define fetch_sub_release(p, v) \
    atomic_fetch_sub_explicit(p, v, memory_order_release)
#define fetch_or_seq_cst(p, v) \
    atomic_fetch_or_explicit(p, v, memory_order_seq_cst)
#define fetch_or_acq_rel(p, v) \
    atomic_fetch_or_explicit(p, v, memory_order_acq_rel)
#define fetch_and_release(p, v) \
    atomic_fetch_and_explicit(p, v, memory_order_release)

/* Compare and swap; *old is what was there where it fails (relaxed). */
#define cas_relaxed(p, old, v)                                               \
    atomic_compare_exchange_strong_explicit(p, old, v, memory_order_relaxed, \
                                            memory_order_relaxed)
#define cas_acquire(p, old, v)                                               \
    atomic_compare_exchange_strong_explicit(p, old, v, memory_order_acquire, \
                                            memory_order_relaxed)
#define cas_release(p, old, v)                                               \
    atomic_compare_exchange_strong_explicit(p, old, v, memory_order_release, \
                                            memory_order_relaxed)
#define cas_acq_rel(p, old, v)                                               \
    atomic_compare_exchange_strong_explicit(p, old, v, memory_order_acq_rel, \
                                            memory_order_relaxed)
#define cas_seq_cst(p, old, v)                                               \
    atomic_compare_exchange_strong_explicit(p, old, v, memory_order_seq_cst, \
                                            memory_order_relaxed)

#define fence_seq_cst() atomic_thread_fence(memory_order_seq_cst)
/* The compiler keeps the order; the CPU need not. */
#define fence_compiler() atomic_signal_fence(memory_order_seq_cst)

/* In a loop that waits for another thread's next few instructions. */
static inline void coir_i_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
