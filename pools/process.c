/* pools/process.c -- one worker process, as the runtime sees it
 *
 * Does       have it born with its memory and descriptors, pass jobs and
 *            results, wait for the first of "done" and "dead", end it.
 *
 * A fiber that waits looks for DONE for a while, says that it is parked, looks
 * again, and polls one descriptor that stands for two: the eventfd, and the
 * pidfd. Death counts only if the job is not DONE.
 *
 * Invariants
 *   P3  memory and descriptors go when the worker is known to be dead: nobody
 *       writes to what is used for another.
 *   P4  what the runtime reads back has a size that it checked itself.
 * Locks      none: it has one owner.
 * Edges      slot.asked, slot.sleeping, slot.done, slot.parked (pools/slot.h)
 * Fails      everything that was made is undone in reverse.
 * Tests      test/test_processes.c, test/test_process_death.c,
 *            test/stress_processes.c; test/models/slot_words.pml */
#include "pools/process.h"

#include <coir/fiber.h>
#include <coir/io.h>
#include <coir/scope.h>

#include "fiber/current.h"
#include "pools/sys.h"
#include "sched/sys.h"
#include "sched/worker.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { SPIN = 20000 /* ns that a fiber waits awake */ };

/* ---- The shared file ---- */

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* The kernel would end the program by SIGXFSZ where the shared file exceeds
 * RLIMIT_FSIZE, which is meant for the program's own. */
static bool is_allowed(uint64_t extent)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) < 0 ||
           limit.rlim_cur == RLIM_INFINITY || extent <= limit.rlim_cur;
}

static int put(coir_i_process *process, uint64_t at, const void *from,
               size_t size)
{
    if (at + size <= COIR_I_WINDOW) {
        if (size)
            memcpy((char *)process->slot + at, from, size);
        return 0;
    }
    if (!is_allowed(at + size))
        return -ENOMEM;
    for (size_t done = 0; done < size;) {
        ssize_t n = coir_i_os_pwrite(process->memory, (const char *)from + done,
                                     size - done, (off_t)(at + done));
        if (n < 0 && n != -EINTR)
            return n == -ENOSPC || n == -EFBIG ? -ENOMEM : (int)n;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int get(const coir_i_process *process, uint64_t at, void *to,
               size_t size)
{
    if (at + size <= COIR_I_WINDOW) {
        if (size)
            memcpy(to, (const char *)process->slot + at, size);
        return 0;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n = coir_i_os_pread(process->memory, (char *)to + done,
                                    size - done, (off_t)(at + done));
        if (n < 0 && n != -EINTR)
            return (int)n;
        done += n > 0 ? (size_t)n : 0;
        if (n == 0)
            return -EIO; /* the job has cut the file */
    }
    return 0;
}

/* Beyond the window the file has memory where somebody wrote to it. */
static int resize(coir_i_process *process, uint64_t extent)
{
    int rc = extent <= process->extent || is_allowed(extent)
                 ? coir_i_os_resize(process->memory, extent)
                 : -EFBIG;
    if (rc < 0)
        return rc == -EFBIG || rc == -EINVAL ? -ENOMEM : rc;
    process->extent = extent;
    return 0;
}

/* The path goes to *from, which moves on. */
static int put_code(coir_i_process *process, struct coir_i_code *code,
                    const coir_i_origin *origin, uint64_t *from)
{
    *code = (struct coir_i_code){origin->identity, origin->at, *from};
    size_t size = origin->path ? strlen(origin->path) + 1 : 0;
    *from += size;
    return put(process, code->path_at, origin->path, size);
}

/* Where the job's argument and its result go, behind `from`. */
static int place_job(coir_i_process *process, uint64_t from,
                     const struct coir_i_job *job)
{
    coir_i_slot *slot = process->slot;
    uint64_t arg_at = round_up(from, 64), result_at, end;
    if (__builtin_add_overflow(arg_at, job->size, &result_at) ||
        result_at > INT64_MAX - 64)
        return -ENOMEM;
    result_at = round_up(result_at, 64);
    if (__builtin_add_overflow(result_at, job->capacity, &end) ||
        end > INT64_MAX - COIR_I_WINDOW)
        return -ENOMEM;
    process->result_at = result_at;
    slot->size = job->size;
    slot->capacity = job->capacity;
    slot->arg_at = job->arg ? arg_at : 0;
    slot->result_at = job->result ? result_at : 0;
    slot->extent =
        end <= COIR_I_WINDOW ? COIR_I_WINDOW : round_up(end, COIR_I_WINDOW);
    return 0;
}

/* Write the job behind `from`; the worker does not know of it yet. */
static int write_job(coir_i_process *process, uint64_t from,
                     const struct coir_i_job *job)
{
    int rc = put_code(process, &process->slot->code, &job->code, &from);
    if (rc >= 0)
        rc = place_job(process, from, job);
    if (rc >= 0 && process->slot->extent > process->extent)
        rc = resize(process, process->slot->extent);
    if (rc < 0)
        return rc;
    return put(process, round_up(from, 64), job->arg, job->size);
}

/* ---- Birth ---- */

static int make_memory(coir_i_process *process)
{
    void *slot = NULL;
    process->memory = coir_i_os_memory("coir-worker");
    if (process->memory < 0)
        return process->memory;
    int rc = is_allowed(COIR_I_WINDOW)
                 ? coir_i_os_allocate(process->memory, COIR_I_WINDOW)
                 : -ENOSPC;
    if (rc < 0)
        return rc == -ENOSPC ? -ENOMEM : rc;
    rc = coir_i_os_map(&slot, COIR_I_WINDOW, process->memory);
    if (rc < 0)
        return rc;
    process->slot = slot;
    process->extent = COIR_I_WINDOW;
    return 0;
}

static int make_event(coir_i_process *process)
{
    process->event = coir_i_os_event();
    if (process->event < 0)
        return process->event;
    process->any = coir_i_os_any();
    if (process->any < 0)
        return process->any;
    return coir_i_os_any_add(process->any, process->event);
}

static int write_first_job(coir_i_process *process,
                           const struct coir_i_init *init,
                           const struct coir_i_job *job)
{
    coir_i_slot *slot = process->slot;
    uint64_t from = sizeof *slot;
    int rc = put_code(process, &slot->init, &init->code, &from);
    slot->init_size = init->size;
    slot->init_at = from;
    if (rc >= 0)
        rc = put(process, from, init->arg, init->size);
    if (rc >= 0)
        rc = write_job(process, from + init->size, job);
    /* relaxed: the worker is yet to be born. */
    store_relaxed(&slot->state, COIR_I_SLOT_ASKED);
    return rc;
}

static int bear(coir_i_process *process, const struct coir_i_birth *birth)
{
    coir_scope shield;
    coir_shield_open(&shield);
    pid_t pid = coir_i_zygote_bear(birth, process->memory, process->event);
    pid = coir_scope_close(&shield, pid);
    if (pid < 0)
        return pid;
    process->pid = pid;
    process->pidfd = coir_i_os_pidfd(pid);
    int rc = process->pidfd;
    if (rc >= 0)
        rc = coir_i_os_any_add(process->any, process->pidfd);
    if (rc < 0) { /* born, but it cannot be waited for in a fiber's way */
        kill(pid, SIGKILL);
        coir_i_os_reap(P_PID, (id_t)pid, &process->info, 0);
        process->ended = true;
    }
    return rc;
}

int coir_i_process_new(coir_i_process **ret_process,
                       const struct coir_i_birth *birth,
                       const struct coir_i_init *init,
                       const struct coir_i_job *job)
{
    coir_i_process *process = malloc(sizeof *process);
    if (!process)
        return -ENOMEM;
    *process = (coir_i_process){.memory = -1,
                                .event = -1,
                                .any = -1,
                                .pidfd = -1,
                                .spins = coir_i_sys_cpus() > 1};
    int rc = make_memory(process);
    if (rc >= 0)
        rc = make_event(process);
    if (rc >= 0)
        rc = write_first_job(process, init, job);
    if (rc >= 0)
        rc = bear(process, birth);
    if (rc < 0) {
        coir_i_process_forget(process);
        return rc;
    }
    *ret_process = process;
    return 0;
}

/* ---- A job ---- */

int coir_i_process_ask(coir_i_process *process, const struct coir_i_job *job)
{
    coir_i_slot *slot = process->slot;
    int rc = write_job(process, sizeof *slot, job);
    if (rc < 0)
        return rc;
    /* @publish slot.asked: the job was written before.
     * @dekker slot.sleeping: the worker looks for it when it has said that it
     * sleeps. */
    store_seq_cst(&slot->state, COIR_I_SLOT_ASKED);
    /* @dekker slot.sleeping: and this looks after ASKED whether it does. */
    if (load_seq_cst(&slot->sleeping))
        coir_i_os_shared_wake(&slot->state);
    return 0;
}

static bool is_done(const coir_i_process *process)
{
    /* @observe slot.done: the result is seen with the state. */
    return load_acquire(&process->slot->state) == COIR_I_SLOT_DONE;
}

/* Whoever is ready runs meanwhile; a worker that has nobody else to run would
 * spin anyway, and to park and be polled costs more than most short jobs. */
static bool spin_for_done(const coir_i_process *process)
{
    coir_time until = process->spins ? coir_i_sys_now() + SPIN : 0;
    do {
        for (int i = 0; i < 32; i++) {
            if (is_done(process))
                return true;
            coir_i_pause();
        }
        if (!coir_i_give_way(COIR_I_CHILD))
            sched_yield(); /* the job may need this CPU */
    } while (coir_i_sys_now() < until);
    return is_done(process);
}

/* Has it ended? Then it is reaped. */
static bool has_ended(coir_i_process *process, int flags)
{
    if (!process->ended)
        process->ended = coir_i_os_reap(P_PIDFD, (id_t)process->pidfd,
                                        &process->info, flags) != 0;
    return process->ended;
}

static int await_parked(coir_i_process *process)
{
    coir_i_slot *slot = process->slot;
    /* @dekker slot.parked: the worker looks at it after DONE. */
    store_seq_cst(&slot->parked, 1);
    /* @dekker slot.parked: and this looks for DONE after it.
     * @observe slot.done: the result is seen with the state. */
    if (load_seq_cst(&slot->state) == COIR_I_SLOT_DONE)
        return 0;
    for (;;) {
        int rc = coir_poll(process->any, COIR_READABLE);
        coir_i_os_event_clear(process->event);
        if (is_done(process))
            return 0;
        if (rc < 0)
            return rc;
        if (has_ended(process, WNOHANG))
            return is_done(process) ? 0 : -EOWNERDEAD;
    }
}

int coir_i_process_await(coir_i_process *process)
{
    if (spin_for_done(process))
        return 0;
    int rc = await_parked(process);
    /* relaxed: a post too many is cleared by the next who waits. */
    store_relaxed(&process->slot->parked, 0);
    return rc;
}

ssize_t coir_i_process_take(coir_i_process *process,
                            const struct coir_i_job *job)
{
    int64_t n = process->slot->outcome;
    int rc = 0;
    if (n < 0 && process->slot->missing)
        coir_fail((int)n, "the code of a job cannot be loaded in a worker");
    if (n > 0 && (uint64_t)n > job->capacity)
        n = -EMSGSIZE;
    if (n > 0)
        rc = get(process, process->result_at, job->result, (size_t)n);
    if (process->extent > COIR_I_ARENA_KEPT)
        resize(process,
               COIR_I_ARENA_KEPT); /* the next job may be a small one */
    process->jobs++;
    return rc < 0 ? rc : (ssize_t)n;
}

bool coir_i_process_had_begun(const coir_i_process *process)
{
    /* relaxed: the worker, which alone writes these, is dead. */
    return !load_relaxed(&process->slot->ready) ||
           load_relaxed(&process->slot->state) != COIR_I_SLOT_ASKED;
}

bool coir_i_process_is_unfit(const coir_i_process *process)
{
    /* relaxed: written before DONE, which was seen. */
    return !load_relaxed(&process->slot->ready);
}

int coir_i_process_tell_end(const coir_i_process *process)
{
    const siginfo_t *info = &process->info;
    int pid = (int)process->pid, how = info->si_status;
    if (!info->si_pid)
        return coir_fail(-EOWNERDEAD, "worker %d ended", pid);
    if (info->si_code == CLD_EXITED)
        return coir_fail(-EOWNERDEAD, "worker %d exited with %d", pid, how);
    const char *name = sigabbrev_np(how);
    if (!name)
        return coir_fail(-EOWNERDEAD, "worker %d killed by signal %d", pid,
                         how);
    return coir_fail(-EOWNERDEAD, "worker %d killed by SIG%s", pid, name);
}

/* ---- The end ---- */

void coir_i_process_kill(const coir_i_process *process)
{
    coir_i_os_pidfd_kill(process->pidfd);
}

/* It was killed, so it ends soon. */
static void await_end(coir_i_process *process)
{
    coir_scope shield;
    coir_shield_open(&shield);
    int rc = 0;
    while (rc >= 0 && !has_ended(process, WNOHANG)) {
        coir_i_os_event_clear(process->event);
        rc = coir_poll(process->any, COIR_READABLE);
    }
    COIR_IGNORE(coir_scope_close(&shield, rc));
}

void coir_i_process_free(coir_i_process *process)
{
    if (!has_ended(process, WNOHANG)) {
        coir_i_process_kill(process);
        if (coir_i_self())
            await_end(process);
        has_ended(process, 0);
    }
    coir_i_process_forget(process);
}

void coir_i_process_forget(coir_i_process *process)
{
    if (process->any >= 0 && coir_i_self())
        coir_close(process->any); /* io knows of it */
    else if (process->any >= 0)
        close(process->any);
    if (process->pidfd >= 0)
        close(process->pidfd);
    if (process->event >= 0)
        close(process->event);
    if (process->slot)
        munmap(process->slot, COIR_I_WINDOW);
    if (process->memory >= 0)
        close(process->memory);
    free(process);
}
