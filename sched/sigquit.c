/* sched/sigquit.c -- SIGQUIT makes a dump, where $COIR_DUMP asks for it
 *
 * Does       while a runtime runs: a thread that waits, a handler that posts to
 *            it; afterwards the signal does what it did before.
 * Does not   anything in the handler but to post: it may have come in the
 *            middle of whatever.
 *
 * The semaphore is made once and stays: a handler may be late.
 *
 * Edges      none: the semaphore orders what there is to order.
 * Fails      what pthread_create says: then coir_run does. Where there are no
 *            semaphores SIGQUIT is left alone.
 * Tests      test/test_dump_ask.c */
#include "sched/dump.h"
#include "sched/sys.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    bool is_on;
    pthread_t thread;
    struct sigaction before;
} quit;

static sem_t asked;
static bool is_made;
static _Atomic(bool) ends;

static void ask(int signal)
{
    (void)signal;
    sem_post(&asked); /* so many at a time that it would fail never come */
}

static void *answer(void *arg)
{
    (void)arg;
    coir_i_own_threads_add(1);
    coir_i_sys_thread_name("coir-dump", 0);
    coir_i_sys_no_signals();
    for (;;) {
        while (sem_wait(&asked) < 0)
            continue; /* a debugger's doing */
        while (sem_trywait(&asked) == 0)
            continue; /* one dump answers all that came before it */
        if (load_relaxed(&ends))
            break;
        COIR_IGNORE(coir_i_dump(STDERR_FILENO, "coir: SIGQUIT"));
    }
    coir_i_own_threads_add(-1);
    return NULL;
}

static bool make_semaphore(void)
{
    is_made = is_made || sem_init(&asked, 0, 0) == 0;
    return is_made;
}

static int start(const coir_config *config)
{
    const char *wanted = getenv("COIR_DUMP");
    (void)config;
    if (!wanted || !*wanted || !make_semaphore())
        return 0;
    store_relaxed(&ends, false);
    int error = pthread_create(&quit.thread, NULL, answer, NULL);
    if (error)
        return -error;
    struct sigaction action = {.sa_handler = ask,
                               .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGQUIT, &action, &quit.before);
    quit.is_on = true;
    return 0;
}

/* Unless somebody else has taken the signal meanwhile. */
static void give_signal_back(void)
{
    struct sigaction now;
    sigaction(SIGQUIT, NULL, &now);
    if (now.sa_handler == ask)
        sigaction(SIGQUIT, &quit.before, NULL);
    quit.is_on = false;
}

static void stop(void)
{
    if (!quit.is_on)
        return;
    give_signal_back();
    store_relaxed(&ends, true); /* the semaphore publishes it */
    sem_post(&asked);
    pthread_join(quit.thread, NULL);
}

/* The child has no thread to ask. */
static void forked(void)
{
    if (quit.is_on)
        give_signal_back();
}

coir_i_module coir_i_sigquit = {.start = start, .stop = stop, .forked = forked};
