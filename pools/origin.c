/* pools/origin.c -- where a worker process finds the code of a function
 *
 * Does       record the loaded objects, and look a function's object up there;
 *            in a worker, load an object that came later.
 *            An object is known by its base address, its name and its build
 *            id: another library at the address of one that was unloaded is
 *            another object.
 * Locks      none: the record is written while there are no threads.
 * Fails      without memory for the record or for a path.
 * Tests      test/test_processes.c */
#include "pools/origin.h"

#include <coir/fiber.h>

#include "fiber/atomics.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct object {
    uintptr_t base;
    uint64_t identity;
};

/* Const while the runtime runs. */
static struct {
    struct object *objects;
    size_t count;
} record;

/* The function that was found last, and a count of loads and unloads then:
 * calls in a row are mostly for one function. 0: none. relaxed throughout:
 * the word says all. */
static _Atomic(uint64_t) found_last;

/* ---- Identity ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3;
    return hash;
}

static uint64_t mix_build_id(uint64_t hash, const char *notes, size_t size)
{
    while (size >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)notes;
        size_t name_size = (note->n_namesz + 3U) & ~3U;
        size_t id_size = (note->n_descsz + 3U) & ~3U;
        size_t whole = sizeof *note + name_size + id_size;
        if (whole > size)
            break;
        if (note->n_type == NT_GNU_BUILD_ID)
            hash = mix(hash, notes + sizeof *note + name_size, note->n_descsz);
        notes += whole;
        size -= whole;
    }
    return hash;
}

static uint64_t identity_of(const struct dl_phdr_info *info)
{
    uint64_t hash =
        mix(0xcbf29ce484222325, info->dlpi_name, strlen(info->dlpi_name));
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_NOTE)
            hash = mix_build_id(hash,
                                (const char *)info->dlpi_addr + part->p_vaddr,
                                part->p_memsz);
    }
    return hash ? hash : 1;
}

/* ---- The record ---- */

static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    size_t *room = arg;
    (void)size;
    if (record.count == *room) {
        size_t more = *room ? *room * 2 : 16;
        void *grown = realloc(record.objects, more * sizeof *record.objects);
        if (!grown)
            return -ENOMEM;
        record.objects = grown;
        *room = more;
    }
    record.objects[record.count++] =
        (struct object){info->dlpi_addr, identity_of(info)};
    return 0;
}

int coir_i_origin_record(void)
{
    size_t room = 0;
    int rc = dl_iterate_phdr(add_object, &room);
    if (rc < 0)
        coir_i_origin_forget();
    return rc;
}

void coir_i_origin_forget(void)
{
    free(record.objects);
    record.objects = NULL;
    record.count = 0;
    store_relaxed(&found_last, 0);
}

/* ---- Looking up ---- */

static bool is_code_of(const struct dl_phdr_info *info, uintptr_t fn)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X &&
            fn - (info->dlpi_addr + part->p_vaddr) < part->p_memsz)
            return true;
    }
    return false;
}

static bool is_recorded(const struct dl_phdr_info *info)
{
    uint64_t identity = identity_of(info);
    for (size_t i = 0; i < record.count; i++) {
        if (record.objects[i].base == info->dlpi_addr &&
            record.objects[i].identity == identity)
            return true;
    }
    return false;
}

static uint64_t sign(uintptr_t fn, const struct dl_phdr_info *info)
{
    uint64_t changes = info->dlpi_adds + info->dlpi_subs;
    return ((uint64_t)fn << 16 | (changes & 0xffff)) + 1;
}

struct search {
    uintptr_t fn;
    coir_i_origin origin;
};

/* For each object; ends with 1 (found) or what is wrong. */
static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    uint64_t sum = sign(search->fn, info);
    (void)size;
    if (load_relaxed(&found_last) == sum)
        return 1;
    if (!is_code_of(info, search->fn))
        return 0;
    if (is_recorded(info)) {
        store_relaxed(&found_last, sum);
        return 1;
    }
    search->origin =
        (coir_i_origin){identity_of(info), search->fn - info->dlpi_addr,
                        strdup(info->dlpi_name)};
    return search->origin.path ? 1 : -ENOMEM;
}

int coir_i_origin_find(uintptr_t fn, coir_i_origin *ret_origin)
{
    struct search search = {fn, {.at = fn}};
    int rc = dl_iterate_phdr(look_at_object, &search);
    if (rc == 0)
        return coir_fail(-ENOENT, "the code of a job is in no loaded file");
    if (rc < 0)
        return rc;
    *ret_origin = search.origin;
    return 0;
}

/* ---- In a worker ---- */

static int is_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct object *wanted = arg;
    (void)size;
    if (identity_of(info) != wanted->identity)
        return 0;
    wanted->base = info->dlpi_addr;
    return 1;
}

int coir_i_origin_load(const coir_i_origin *origin, uintptr_t *ret_fn)
{
    static struct object last; /* jobs in a row are mostly of one object */
    if (origin->identity != last.identity) {
        struct object wanted = {.identity = origin->identity};
        if (!dlopen(origin->path, RTLD_NOW | RTLD_NODELETE) ||
            !dl_iterate_phdr(is_object, &wanted))
            return -ENOENT;
        last = wanted;
    }
    *ret_fn = last.base + origin->at;
    return 0;
}
