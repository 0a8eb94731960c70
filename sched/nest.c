/* sched/nest.c -- where children wait that were started but have not begun
 *
 * Does       start, take, steal; the chunks that the records lie in.
 * Does not   run anything, or know what a child is beyond its record.
 * The structure, its invariants and locks are described in nest.h.
 *
 * Edges      nest.head, nest.home, nest.out
 * Fails      coir_i_nest_start: -ENOMEM.
 * Tests      test/test_nursery.c, test/stress_steal.c, test/models/nest.pml */
#include "sched/nest.h"

#include "sched/choice.h"
#include "sched/chunk.h"
#include "sched/nursery.h"
#include "sched/worker.h"

#include <errno.h>
#include <string.h>

/* The newest nursery first: a tree of fibers goes into the depth, and few of
 * them live at a time. But one pick in so many, in turn from all others, so
 * that none waits for ever behind those that go on starting. Even: every other
 * pick asks for a fiber first. */
enum { TURN = 32 };

/* ---- under the lock of the nest's worker ---- */

static inline void count_change(coir_i_nest *nest, int more)
{
    uint64_t state = load_relaxed(&nest->state);
    uint32_t waiting = (uint32_t)state + (uint32_t)more;
    store_relaxed(&nest->state, ((state >> 32) + 1) << 32 | waiting);
}

static inline void link_nursery(coir_i_nest *nest, coir_i_nursery *n)
{
    n->waiting.older = nest->newest;
    n->waiting.newer = NULL;
    *(nest->newest ? &nest->newest->waiting.newer : &nest->oldest) = n;
    nest->newest = n;
}

static inline void unlink_nursery(coir_i_nest *nest, coir_i_nursery *n)
{
    coir_i_nursery *older = n->waiting.older, *newer = n->waiting.newer;
    if (nest->turn == n)
        nest->turn = newer;
    *(older ? &older->waiting.newer : &nest->oldest) = newer;
    *(newer ? &newer->waiting.older : &nest->newest) = older;
}

/* Word by word: gcc would load fn and arg as one of 16 bytes, which has to wait
 * for the two stores before it to leave the store buffer: 5 ns a child. */
static inline coir_i_child read_child(const coir_i_child *at)
{
    coir_fn *fn = at->fn;
    void *arg = at->arg, *extra = at->extra;
    __asm__("" : "+r"(fn), "+r"(arg), "+r"(extra));
    return (coir_i_child){fn, arg, extra};
}

/* n's first chunk is empty, or was taken away; `out` counts already what will
 * run outside its close. */
static inline void go_to_next_chunk(coir_i_nest *nest, coir_i_nursery *n)
{
    coir_i_waiting *waiting = &n->waiting;
    coir_i_chunk *next = load_relaxed(&waiting->head)->next;
    if (!next) {
        unlink_nursery(nest, n);
        if (waiting->held) {
            waiting->held = false;
            /* @publish nest.out: as a child that ended; never the last, for
             * the child that emptied the chunk is still counted, or the
             * opener itself is here. */
            fetch_sub_release(&waiting->out, 1);
        }
    }
    /* @publish nest.head: `out` is what it has to be. Our last access: unless
     * `out` holds the opener, n is gone from here. */
    store_release(&waiting->head, next);
}

/* With a seed any of the first two chunks is the first. */
static __attribute__((cold, noinline)) void shuffle_first(coir_i_chunk *chunk)
{
    coir_i_chunk *next = chunk->next;
    unsigned here = chunk->end - chunk->first;
    unsigned there = next ? next->end - next->first : 0;
    unsigned which = coir_i_choose(here + there);
    coir_i_child *a = coir_i_chunk_at(chunk, chunk->first), first = *a;
    coir_i_child *b = which < here
                          ? coir_i_chunk_at(chunk, chunk->first + which)
                          : coir_i_chunk_at(next, next->first + which - here);
    *a = *b;
    *b = first;
}

/* The first child of n; the chunk that it emptied, or NULL. */
static inline coir_i_chunk *take_first(coir_i_nest *nest, coir_i_nursery *n,
                                       bool elsewhere, coir_i_child *child)
{
    coir_i_chunk *chunk = load_relaxed(&n->waiting.head);
    if (coir_i_unlikely(coir_i_seeded))
        shuffle_first(chunk);
    *child = read_child(coir_i_chunk_at(chunk, chunk->first++));
    count_change(nest, -1);
    if (elsewhere)
        fetch_add_relaxed(&n->waiting.out, 1); /* head is stored after it */
    if (chunk->first < chunk->end)
        return NULL;
    go_to_next_chunk(nest, n);
    return chunk == &n->waiting.own ? NULL : chunk;
}

/* ---- which nest ---- */

/* Locked or entered by bias: what was not done means nothing here, and two
 * plain stores are cheaper than to ask. The bias last: after it others may lock
 * what was entered by it. */
static inline void unlock(coir_i_nest *nest)
{
    coir_i_spin_unlock(&nest->lock);
    coir_i_bias_leave(&nest->bias);
}

/* Lock the home of n. While nothing waits in n, that is whoever asks. */
static __attribute__((noinline, cold)) coir_i_worker *
lock_foreign_home(coir_i_nursery *n, coir_i_worker *w)
{
    for (;;) {
        /* @observe nest.home: what its lock guarded before. */
        coir_i_worker *home = load_acquire(&n->waiting.home);
        coir_i_spin_lock(&home->nest.lock);
        if (load_relaxed(&n->waiting.home) == home) {
            if (home == w || load_relaxed(&n->waiting.head))
                return home;
            /* @publish nest.home: to whoever locks w next. */
            store_release(&n->waiting.home, w);
        }
        coir_i_spin_unlock(&home->nest.lock);
    }
}

static inline coir_i_worker *lock_home(coir_i_nursery *n, coir_i_worker *w)
{
    /* relaxed: looked at again under the lock. */
    if (load_relaxed(&n->waiting.home) == w) {
        if (!coir_i_bias_enter(&w->nest.bias))
            coir_i_spin_lock(&w->nest.lock);
        if (load_relaxed(&n->waiting.home) == w)
            return w;
        unlock(&w->nest);
    }
    return lock_foreign_home(n, w);
}

/* ---- starting ---- */

/* Under the lock: a place at the end of n's FIFO; NULL: a chunk is wanted, and
 * *spare is none. A spare that was used is NULL afterwards. */
static inline coir_i_child *append(coir_i_worker *home, coir_i_nursery *n,
                                   bool by_opener, coir_i_chunk **spare)
{
    coir_i_waiting *waiting = &n->waiting;
    coir_i_chunk *chunk;
    if (!load_relaxed(&waiting->head)) {
        if (!by_opener) {
            waiting->held = true;
            fetch_add_relaxed(&waiting->out, 1); /* the caller is counted */
        }
        chunk = waiting->tail = &waiting->own;
        chunk->next = NULL;
        chunk->first = chunk->end = 0;
        /* relaxed: its opener, who is inside a call of ours or running beside
         * us, takes under the lock. */
        store_relaxed(&waiting->head, chunk);
        link_nursery(&home->nest, n);
    } else {
        chunk = waiting->tail;
        if (chunk->end == chunk->size) {
            if (!*spare)
                return NULL;
            chunk = waiting->tail = chunk->next = *spare;
            *spare = NULL;
        }
    }
    return coir_i_chunk_at(chunk, chunk->end++);
}

int coir_i_nest_start(coir_i_nursery *n, const coir_i_child *c, bool by_opener)
{
    coir_i_worker *w = coir_i_worker_here();
    coir_i_chunk *spare = NULL;
    for (;;) {
        coir_i_worker *home = lock_home(n, w);
        coir_i_child *at = append(home, n, by_opener, &spare);
        if (coir_i_likely(at != NULL)) {
            at->fn = c->fn;
            at->arg = c->arg;
            at->extra = c->extra;
            count_change(&home->nest, 1);
            /* Inside the lock: who sleeps already is seen, and who goes to
             * sleep later takes the lock and sees the child. */
            coir_i_wake_worker();
            unlock(&home->nest);
            if (spare)
                coir_i_chunk_free(w, spare);
            return 0;
        }
        unlock(&home->nest);
        spare = coir_i_chunk_new(w);
        if (!spare)
            return -ENOMEM;
    }
}

/* ---- taking ---- */

bool coir_i_nest_take_own(coir_i_nursery *n, bool inside, coir_i_child *c,
                          bool *elsewhere)
{
    coir_i_worker *w = coir_i_worker_here();
    /* Another's home if the opener has moved; its lock serves as well. */
    coir_i_worker *home = lock_home(n, w);
    coir_i_chunk *chunk = load_relaxed(&n->waiting.head);
    if (!chunk) {
        unlock(&home->nest);
        return false;
    }
    *elsewhere =
        !inside || coir_i_has_own_fiber(coir_i_chunk_at(chunk, chunk->first));
    coir_i_chunk *empty = take_first(&home->nest, n, *elsewhere, c);
    unlock(&home->nest);
    if (empty)
        coir_i_chunk_free(w, empty);
    return true;
}

/* Under the lock; NULL: none has a child that waits. */
static inline coir_i_nursery *choose_nursery(coir_i_nest *nest, bool in_turn)
{
    if (coir_i_likely(!in_turn))
        return nest->newest;
    coir_i_nursery *n = nest->turn ? nest->turn : nest->oldest;
    if (n)
        nest->turn = n->waiting.newer;
    return n;
}

bool coir_i_nest_take(coir_i_worker *w, coir_i_taken *taken)
{
    coir_i_nest *nest = &w->nest;
    coir_i_chunk *empty = NULL;
    if (!coir_i_bias_enter(&nest->bias))
        coir_i_spin_lock(&nest->lock);
    coir_i_chunk *loot = nest->loot;
    bool in_turn = w->picks % TURN == 0;
    if (loot && !(in_turn && nest->oldest)) {
        taken->child = read_child(coir_i_chunk_at(loot, loot->first++));
        taken->of = loot->of;
        count_change(nest, -1);
        if (loot->first == loot->end) {
            empty = loot;
            nest->loot = loot->next;
        }
    } else if ((taken->of = choose_nursery(nest, in_turn))) {
        empty = take_first(nest, taken->of, true, &taken->child);
    }
    unlock(nest);
    if (empty)
        coir_i_chunk_free(w, empty);
    return taken->of != NULL;
}

bool coir_i_nest_ended(coir_i_nursery *n, unsigned count)
{
    /* @publish nest.out: what the children did, to the opener.
     * @observe nest.out: that the opener waits, and its seq. */
    return fetch_sub_acq_rel(&n->waiting.out, count) == count;
}

/* ---- stealing ---- */

enum { BATCH = 256 };

/* What a thief carries from one nest to the other. */
struct loot {
    coir_i_chunk *first, *last; /* whole chunks, or `half` */
    coir_i_chunk *half;         /* ours, for a part of a chunk */
    coir_i_chunk *emptied;      /* the victim's, to be freed */
    unsigned count;
};

/* Whole chunks of the oldest, but for its last, up to half of what waits. */
static void take_chunks(coir_i_worker *v, coir_i_nursery *n, struct loot *loot)
{
    for (;;) {
        coir_i_chunk *chunk = n ? load_relaxed(&n->waiting.head) : v->nest.loot;
        unsigned here = chunk->end - chunk->first;
        if (!chunk->next || chunk->size == 1 || loot->count >= BATCH ||
            2 * (loot->count + here) > coir_i_nest_waiting(&v->nest))
            return;
        loot->count += here;
        if (n) {
            chunk->of = n;
            /* relaxed: not the last chunk, n stays linked. */
            store_relaxed(&n->waiting.head, chunk->next);
        } else {
            v->nest.loot = chunk->next;
        }
        *(loot->first ? &loot->last->next : &loot->first) = chunk;
        loot->last = chunk;
    }
}

/* Half of the children of a single chunk, at least one. */
static void take_half(coir_i_worker *v, coir_i_nursery *n, struct loot *loot)
{
    coir_i_chunk *chunk = n ? load_relaxed(&n->waiting.head) : v->nest.loot;
    coir_i_chunk *half = loot->half;
    loot->count = (chunk->end - chunk->first + 1U) / 2;
    memcpy(coir_i_chunk_at(half, 0), coir_i_chunk_at(chunk, chunk->first),
           loot->count * sizeof(coir_i_child));
    half->first = 0;
    half->end = (uint16_t)loot->count;
    half->of = n ? n : chunk->of;
    loot->first = loot->last = half;
    chunk->first = (uint16_t)(chunk->first + loot->count);
}

/* Under v's lock. */
static void rob(coir_i_worker *v, struct loot *loot)
{
    coir_i_nursery *n = v->nest.loot ? NULL : v->nest.oldest;
    if (!n && !v->nest.loot)
        return;
    take_chunks(v, n, loot);
    if (!loot->first)
        take_half(v, n, loot);
    count_change(&v->nest, -(int)loot->count);
    if (n)
        fetch_add_relaxed(&n->waiting.out, loot->count); /* before the head */
    coir_i_chunk *chunk = n ? load_relaxed(&n->waiting.head) : v->nest.loot;
    if (chunk && chunk->first == chunk->end) {
        bool own = n && chunk == &n->waiting.own;
        if (n)
            go_to_next_chunk(&v->nest, n);
        else
            v->nest.loot = chunk->next;
        loot->emptied = own ? NULL : chunk;
    }
}

unsigned coir_i_nest_steal(coir_i_worker *w, coir_i_worker *v)
{
    struct loot loot = {.half = coir_i_chunk_new(w)};
    if (!loot.half)
        return 0;
    coir_i_spin_lock(&v->nest.lock);
    rob(v, &loot);
    coir_i_spin_unlock(&v->nest.lock);
    if (loot.emptied)
        coir_i_chunk_free(w, loot.emptied);
    if (loot.first != loot.half)
        coir_i_chunk_free(w, loot.half);
    if (!loot.count)
        return 0;
    loot.last->next = NULL;
    coir_i_nest *nest = &w->nest;
    coir_i_spin_lock(&nest->lock);
    *(nest->loot ? &nest->loot_end->next : &nest->loot) = loot.first;
    nest->loot_end = loot.last;
    count_change(nest, (int)loot.count);
    coir_i_spin_unlock(&nest->lock);
    return loot.count;
}

bool coir_i_nest_more_than(coir_i_nest *nest, unsigned few)
{
    coir_i_spin_lock(&nest->lock);
    bool more = coir_i_nest_waiting(nest) > few;
    coir_i_spin_unlock(&nest->lock);
    return more;
}
