/* pools/worker_process.c -- what runs in a worker process
 *
 * Does       run init once, then one job after another from its slot.
 * Invariants
 *   P1  it dies with the process that it works for.
 *   P2  it touches job and arena only between ASKED and DONE.
 *   P3  a child that a job has forked, and that returns from the job as well,
 *       is no worker: it ends.
 * Edges      slot.asked, slot.sleeping, slot.done, slot.parked (pools/slot.h)
 * Fails      without memory for an argument the job comes back with -ENOMEM,
 *            without its code with -ENOENT; what it cannot do without ends it,
 *            and the job that waits fails with its death.
 * Tests      test/test_processes.c, test/test_process_death.c,
 *            test/stress_processes.c; test/models/slot_words.pml */
#include "pools/worker_process.h"

#include "pools/origin.h"
#include "pools/process_pool.h"
#include "pools/slot.h"
#include "pools/sys.h"
#include "sched/sys.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPIN = 50000,      /* ns that it waits awake for the next job */
    HIGH_NUMBER = 900, /* jobs that write to descriptors which the program had
                        * open are not to hit ours by chance */
    UNFIT = 125        /* exit status: it could not begin */
};

struct worker {
    coir_i_slot *slot;
    uint64_t generation; /* const: that of this process */
    size_t mapped;
    int event;
    coir_time spin;
};

/* ---- The beginning ---- */

static int high_descriptor(int fd)
{
    int high = coir_i_os_dup_above(fd, HIGH_NUMBER);
    if (high < 0)
        return fd; /* there are no numbers that high */
    close(fd);
    return high;
}

/* Bytes of address space now; 0: not known. */
static uint64_t address_space(void)
{
    char text[32] = "";
    int fd = coir_i_os_open("/proc/self/statm", O_RDONLY);
    if (fd < 0)
        return 0;
    ssize_t size = coir_i_os_read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return 0;
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool limit_memory(uint64_t limit)
{
    uint64_t now = limit ? address_space() : 0;
    if (!limit)
        return true;
    return now && (limit > UINT64_MAX - now ||
                   coir_i_os_limit_memory(now + limit) == 0);
}

/* When memory runs out, a worker goes before the program that it works for. */
static void offer_to_be_killed(void)
{
    int fd = coir_i_os_open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd < 0)
        return;
    coir_i_os_write(fd, "500", 3);
    close(fd);
}

static bool begin(struct worker *me, const struct coir_i_birth *birth,
                  int memory, int event)
{
    void *slot = NULL;
    if (coir_i_os_map(&slot, COIR_I_WINDOW, memory) < 0)
        return false;
    close(memory);
    *me = (struct worker){.slot = slot,
                          .generation = coir_i_process_generation(),
                          .mapped = COIR_I_WINDOW,
                          .event = high_descriptor(event),
                          .spin = coir_i_sys_cpus() > 1 ? SPIN : 0};
    offer_to_be_killed();
    return limit_memory(birth->memory_limit);
}

/* ---- One job ---- */

static int find_code(coir_i_slot *slot, const struct coir_i_code *code,
                     uintptr_t *ret_fn)
{
    coir_i_origin origin = {code->identity, code->at,
                            (char *)slot + code->path_at};
    *ret_fn = code->at;
    int rc = code->identity ? coir_i_origin_load(&origin, ret_fn) : 0;
    slot->missing = rc < 0;
    return rc;
}

/* Map what the job, and init, need beyond what is mapped. */
static int reach(struct worker *me)
{
    size_t extent = me->slot->extent;
    void *memory = me->slot;
    if (extent <= me->mapped)
        return 0;
    int rc = coir_i_os_remap(&memory, me->mapped, extent);
    if (rc < 0)
        return rc;
    me->slot = memory;
    me->mapped = extent;
    return 0;
}

/* init may keep its argument, so its copy is the worker's for life. */
static int run_init(struct worker *me)
{
    void *arg = NULL;
    uintptr_t init;
    int rc = reach(me);
    coir_i_slot *slot = me->slot;
    if (rc < 0 || !slot->init.at)
        return rc;
    rc = find_code(slot, &slot->init, &init);
    if (rc < 0)
        return rc;
    if (slot->init_size) {
        arg = malloc(slot->init_size);
        if (!arg)
            return -ENOMEM;
        memcpy(arg, (char *)slot + slot->init_at, slot->init_size);
    }
    return ((int (*)(void *))init)(arg);
}

static void *at(coir_i_slot *slot, uint64_t offset)
{
    return offset ? (char *)slot + offset : NULL;
}

static ssize_t run_job(struct worker *me)
{
    uintptr_t fn;
    int rc = reach(me);
    coir_i_slot *slot = me->slot;
    if (rc >= 0)
        rc = find_code(slot, &slot->code, &fn);
    if (rc < 0)
        return rc;
    ssize_t n = ((coir_job_fn *)fn)(at(slot, slot->arg_at), slot->size,
                                    at(slot, slot->result_at), slot->capacity);
    if (me->generation != coir_i_process_generation())
        _exit(0);   /* P3 */
    fflush(stdout); /* what it printed comes out before its result does */
    return n;
}

static void await_job(struct worker *me)
{
    coir_i_slot *slot = me->slot;
    coir_time until = coir_i_sys_now() + me->spin;
    do {
        for (int i = 0; i < 64; i++) {
            /* @observe slot.asked: the job is seen with the state. */
            if (load_acquire(&slot->state) == COIR_I_SLOT_ASKED)
                return;
            coir_i_pause();
        }
        sched_yield(); /* the runtime may need this CPU to ask */
    } while (coir_i_sys_now() < until);

    for (;;) {
        /* @dekker slot.sleeping: the runtime looks at it after ASKED. */
        store_seq_cst(&slot->sleeping, 1);
        /* @dekker slot.sleeping: and this looks for ASKED after it.
         * @observe slot.asked: the job is seen with the state. */
        uint32_t state = load_seq_cst(&slot->state);
        if (state == COIR_I_SLOT_ASKED)
            break;
        coir_i_os_shared_wait(&slot->state, state);
    }
    /* relaxed: to be woken for nothing does no harm. */
    store_relaxed(&slot->sleeping, 0);
}

/* A job that closed the eventfd can still be done, but no other: the runtime
 * finds DONE when it hears that the worker has ended. */
static void finish_job(struct worker *me, ssize_t outcome_of_job)
{
    coir_i_slot *slot = me->slot;
    slot->outcome = outcome_of_job;
    /* @publish slot.done: the result is seen with the state.
     * @dekker slot.parked: the fiber looks for DONE after it has parked. */
    store_seq_cst(&slot->state, COIR_I_SLOT_DONE);
    /* @dekker slot.parked: and this looks after DONE whether it has. */
    if (load_seq_cst(&slot->parked) && coir_i_os_event_post(me->event) < 0)
        _exit(0);
}

void coir_i_worker_process(const struct coir_i_birth *birth, pid_t parent,
                           int memory, int event)
{
    struct worker me;
    if (!coir_i_os_die_with(parent))
        _exit(0);
    coir_i_os_process_name(birth->name);
    if (!begin(&me, birth, memory, event))
        _exit(UNFIT);
    int rc = run_init(&me);
    if (rc >= 0) {
        /* relaxed: looked at when the worker is dead. */
        store_relaxed(&me.slot->ready, 1);
    }
    for (;;) {
        await_job(&me);
        /* relaxed: looked at when the worker is dead. */
        store_relaxed(&me.slot->state, COIR_I_SLOT_BEGUN);
        finish_job(&me, rc < 0 ? rc : run_job(&me));
    }
}
