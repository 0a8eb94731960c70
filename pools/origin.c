/* pools/origin.c -- is a function the same in a worker process?
 *
 * Does       record the loaded objects, and look a function's object up there.
 *            An object is known by its base address, its name and its build
 *            id: another library at the address of one that was unloaded is
 *            another object.
 * Locks      none: the record is written while there are no threads.
 * Fails      without memory for the record.
 * Tests      test/test_processes.c */
#include "pools/origin.h"

#include "fiber/atomics.h"

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
    return hash;
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

/* For each object; ends with 1 (it is known) or -ENOENT. */
static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t fn = *(uintptr_t *)arg;
    (void)size;
    if (load_relaxed(&found_last) == sign(fn, info))
        return 1;
    if (!is_code_of(info, fn))
        return 0;
    if (!is_recorded(info))
        return -ENOENT;
    store_relaxed(&found_last, sign(fn, info));
    return 1;
}

int coir_i_origin_check(uintptr_t fn)
{
    return dl_iterate_phdr(look_at_object, &fn) == 1 ? 0 : -ENOENT;
}
