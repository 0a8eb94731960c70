/* fiber/local.c -- fiber-local values
 *
 * Does       keeps a fiber's values in a table that grows with them, found by
 *            the key's generation, a number that no other key ever has. A key
 *            that is made again has another: what fibers still keep for the old
 *            one is no longer found, its destroy does not run, and it goes when
 *            a table is rebuilt.
 *
 *     key {generation 9, destroy}     table, at 9 modulo its size or after that
 *                                     [ - | 9: key, value | - | 4: key, value ]
 *
 * Invariants
 *   L1  A key's memory is a key's for as long as the process lives, so that
 *       whoever has a value for a key that was freed may look at it.
 *   L2  generation is 0 exactly while the key is free.
 *   L3  A table is never full; a place once taken stays so until it is rebuilt.
 *
 * Lifetime   no fiber may use a key, or end with a value for it, while another
 *            frees it: as with pthread_key_delete(3), the user sees to that.
 * Locks      none. A table is its own fiber's.
 * Edges      key.free (publish: coir_key_free, observe: coir_key_new),
 *            key.all (the list of all keys)
 * Fails      -ENOMEM: nothing has changed.
 * Tests      test/test_local.c
 */
#include <coir/local.h>

#include "fiber/current.h"
#include "fiber/invariant.h"

#include <errno.h>
#include <stdlib.h>

#define SMALLEST_TABLE 8 /* places; a power of 2, as all sizes are */
#define ROUNDS 4         /* of destroying values that destroying set again */

struct coir_key {
    _Atomic(uint64_t) generation; /* edge key.free */
    void (*destroy)(void *value); /* const from coir_key_new on */
    coir_key *older;              /* const: edge key.all */
};

struct local {
    uint64_t generation; /* 0: the place is not taken */
    coir_key *key;
    void (*destroy)(void *value);
    void *value;
};

struct coir_i_locals {
    size_t taken;
    size_t size;
    struct local places[];
};

static _Atomic(uint64_t) generations; /* how many there were */
static _Atomic(coir_key *) all_keys;  /* the youngest */
static _Atomic(size_t) free_keys;     /* how many; a hint */

/* A key that is free becomes the one with this generation; NULL: none is. */
static coir_key *take_free_key(uint64_t generation)
{
    coir_key *key;

    /* relaxed: who does not see a free key makes a new one. */
    if (load_relaxed(&free_keys) == 0)
        return NULL;
    /* @observe key.all: with a key comes the rest of the list. */
    for (key = load_acquire(&all_keys); key; key = key->older) {
        uint64_t none = 0;
        /* @observe key.free: who used it before does not any more. */
        if (cas_acquire(&key->generation, &none, generation)) {
            fetch_sub_relaxed(&free_keys, 1);
            return key;
        }
    }
    return NULL;
}

int coir_key_new(coir_key **key, void (*destroy)(void *value))
{
    uint64_t generation = fetch_add_relaxed(&generations, 1) + 1;
    coir_key *taken = take_free_key(generation);

    if (taken) {
        taken->destroy = destroy;
        *key = taken;
        return 0;
    }
    taken = malloc(sizeof *taken);
    if (!taken)
        return -ENOMEM;
    atomic_init(&taken->generation, generation);
    taken->destroy = destroy;
    taken->older = load_relaxed(&all_keys); /* not followed from here */
    /* @publish key.all: the key is whole before the list shows it. */
    while (!cas_release(&all_keys, &taken->older, taken))
        continue;
    *key = taken;
    return 0;
}

void coir_key_free(coir_key *key)
{
    if (!key)
        return;
    coir_i_rule(load_relaxed(&key->generation) != 0,
                "coir_key_free: the key is free already");
    /* @publish key.free: all uses of the key were before that. */
    store_release(&key->generation, 0);
    fetch_add_relaxed(&free_keys, 1);
}

/* The key's generation. relaxed: it is not freed while it is in use. */
static uint64_t generation_of(coir_key *key)
{
    uint64_t generation = load_relaxed(&key->generation);
    coir_i_rule(generation != 0, "a fiber-local key is used after its end");
    return generation;
}

/* Where a generation is, or where it would go. */
static struct local *find(struct coir_i_locals *table, uint64_t generation)
{
    size_t at = generation & (table->size - 1);

    while (table->places[at].generation != 0 &&
           table->places[at].generation != generation)
        at = (at + 1) & (table->size - 1);
    return &table->places[at];
}

static bool is_alive(const struct local *place)
{
    /* relaxed: see Lifetime. */
    return place->generation != 0 &&
           load_relaxed(&place->key->generation) == place->generation;
}

/* A table with room for one more, rid of what no key can find; NULL: no
 * memory, and the old one stays. */
static struct coir_i_locals *rebuild(struct coir_i_locals *old)
{
    size_t alive = 0, size = SMALLEST_TABLE;
    struct coir_i_locals *table;

    for (size_t i = 0; old && i < old->size; i++)
        alive += is_alive(&old->places[i]);
    while (size / 2 <= alive)
        size *= 2;
    table = calloc(1, sizeof *table + size * sizeof table->places[0]);
    if (!table)
        return NULL;
    table->size = size;
    for (size_t i = 0; old && i < old->size; i++) {
        if (!is_alive(&old->places[i]))
            continue;
        *find(table, old->places[i].generation) = old->places[i];
        table->taken++;
    }
    free(old);
    return table;
}

int coir_local_set(coir_key *key, void *value)
{
    coir_i_fiber *self = coir_i_self();
    uint64_t generation = generation_of(key);
    struct coir_i_locals *table;
    struct local *place;

    if (!self)
        return -EPERM;
    table = self->life->locals;
    place = table ? find(table, generation) : NULL;
    if (!place || place->generation == 0) {
        if (!table || table->taken + 1 > table->size / 4 * 3)
            table = rebuild(table);
        if (!table)
            return -ENOMEM;
        self->life->locals = table;
        place = find(table, generation);
        table->taken++;
    }
    *place = (struct local){generation, key, key->destroy, value};
    return 0;
}

void *coir_local(coir_key *key)
{
    coir_i_fiber *self = coir_i_self();
    struct coir_i_locals *table = self ? self->life->locals : NULL;

    /* A place that is not taken has no value. */
    return table ? find(table, generation_of(key))->value : NULL;
}

/* Destroy what there is; was there anything? destroy may set values, and so
 * replace the table: then the next round sees what this one has missed. */
static bool destroy_values(coir_i_life *life)
{
    bool any = false;

    for (size_t i = 0; i < life->locals->size; i++) {
        struct local *place = &life->locals->places[i];
        struct local copy = *place;

        place->value = NULL;
        if (!copy.value || !copy.destroy || !is_alive(&copy))
            continue;
        copy.destroy(copy.value);
        any = true;
    }
    return any;
}

void coir_i_locals_end(coir_i_life *life)
{
    if (!life->locals)
        return;
    for (int round = 0; round < ROUNDS && destroy_values(life); round++)
        continue;
    free(life->locals);
    life->locals = NULL;
}
