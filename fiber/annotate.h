/* fiber/annotate.h -- what ASan, TSan and Valgrind are told of stacks
 *
 * They follow a program by its stack, so each change of stack and each new use
 * of its memory is announced. Built for none of them all this vanishes, but
 * for Valgrind's question, asked once a stack and never in a switch.
 *
 *   ASan      its fake stack is kept in the stack's header; a fiber that is
 *             over has none (its memory is freed at the switch).
 *   TSan      knows at most 8128 fibers and threads, and making one is slow
 *             (clang: 7 us; gcc: a millisecond): one a stack, for its whole
 *             life, not one a fiber.
 *   Valgrind  is told where the stacks are. */
#ifndef COIR_FIBER_ANNOTATE_H
#define COIR_FIBER_ANNOTATE_H

#include "fiber/fiber.h"

#ifdef __has_feature
#    if __has_feature(address_sanitizer)
#        define COIR_I_ASAN 1
#    endif
#    if __has_feature(thread_sanitizer)
#        define COIR_I_TSAN 1
#    endif
#endif
#ifdef __SANITIZE_ADDRESS__
#    define COIR_I_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#    define COIR_I_TSAN 1
#endif

#ifdef COIR_I_ASAN
#    include <pthread.h>
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#    define COIR_I_NO_ASAN __attribute__((no_sanitize("address")))
#else
#    define COIR_I_NO_ASAN
#endif
#ifdef COIR_I_TSAN
#    include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#    include <valgrind/valgrind.h>
#    define COIR_I_VALGRIND 1
#endif

/* What a stack that is over has instead of a fake stack. */
#define COIR_I_STACK_OVER ((void *)-1)

/* A thread begins to run fibers: `stack` is to say what its own one is. */
static inline void coir_i_annotate_thread(coir_i_stack *stack)
{
#ifdef COIR_I_ASAN
    pthread_attr_t attributes;
    void *low;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &stack->size);
        stack->low = (char *)low;
        pthread_attr_destroy(&attributes);
    }
#endif
#ifdef COIR_I_TSAN
    stack->tsan = __tsan_get_current_fiber();
#endif
    (void)stack;
}

/* Does the end of each single stack have to be announced? */
static inline bool coir_i_annotate_ends(void)
{
#if defined(COIR_I_TSAN)
    return true;
#elif defined(COIR_I_VALGRIND)
    return RUNNING_ON_VALGRIND;
#else
    return false;
#endif
}

/* A stack is there, and has its header. */
static inline void coir_i_annotate_stack(coir_i_stack *stack)
{
#ifdef COIR_I_TSAN
    stack->tsan = __tsan_create_fiber(0);
#endif
#ifdef COIR_I_VALGRIND
    if (RUNNING_ON_VALGRIND)
        stack->valgrind =
            VALGRIND_STACK_REGISTER(stack->low, stack->low + stack->size);
#endif
    (void)stack;
}

/* A new context begins on it. The last one never returned from the calls that
 * it was in, which TSan has noted on a stack of its own, of 64 Ki places. */
static inline void coir_i_annotate_anew(coir_i_stack *stack)
{
#ifdef COIR_I_TSAN
    enum { LIVES = 1000 };
    if (++stack->tsan_lives % LIVES == 0) {
        __tsan_destroy_fiber(stack->tsan);
        stack->tsan = __tsan_create_fiber(0);
    }
#endif
    (void)stack;
}

/* It is about to be unmapped. */
static inline void coir_i_annotate_stack_end(coir_i_stack *stack)
{
#ifdef COIR_I_TSAN
    __tsan_destroy_fiber(stack->tsan);
#endif
#ifdef COIR_I_VALGRIND
    if (RUNNING_ON_VALGRIND)
        VALGRIND_STACK_DEREGISTER(stack->valgrind);
#endif
    (void)stack;
}

/* What lies there is forgotten: a stack's next context is a fresh one, or the
 * memory is unmapped. */
static inline void coir_i_annotate_forget(void *low, size_t size)
{
#ifdef COIR_I_ASAN
    __asan_unpoison_memory_region(low, size);
#endif
    (void)low, (void)size;
}

/* Right before the switch from one stack to the other. */
static inline void coir_i_annotate_leave(coir_i_stack *from, coir_i_stack *to)
{
#ifdef COIR_I_ASAN
    bool over = from->asan_fake == COIR_I_STACK_OVER;
    __sanitizer_start_switch_fiber(over ? NULL : &from->asan_fake,
                                   to->low + to->guard, to->size - to->guard);
#endif
#ifdef COIR_I_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    (void)from, (void)to;
}

/* Right after it, on the new stack. */
static inline void coir_i_annotate_arrive(coir_i_stack *now)
{
#ifdef COIR_I_ASAN
    __sanitizer_finish_switch_fiber(now->asan_fake, NULL, NULL);
#endif
    (void)now;
}

#endif
