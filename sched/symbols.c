/* sched/symbols.c -- addresses in this process, by name
 *
 * Does       sort the addresses; ask the dynamic linker in which objects they
 *            lie; go through the symbol table of each such object once.
 * Does not   read debug information: for the line of a call there is
 *            addr2line(1), which takes the offset into the object.
 *
 * A file may have been replaced since it was loaded: then its symbols are not
 * those of the program. Its notes tell, where the build id is.
 *
 * Fails      NULL: no memory. What cannot be read has no names.
 * Tests      test/test_dump.c */
#include "sched/symbols.h"

#include "fiber/platform.h"
#include "sched/sys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct found {
    uintptr_t address;
    const struct object *object;
    const char *function;
    uintptr_t begin; /* of the function */
};

struct object {
    uintptr_t base;   /* what is added to the addresses in the file */
    const char *file; /* mapped; NULL: not */
    size_t size;
    char name[64]; /* of the file, without folders, perhaps cut */
};

struct coir_i_symbols {
    size_t objects_count, room;
    struct object *objects;
    size_t count;
    struct found found[]; /* by address */
};

static int by_address(const void *a, const void *b)
{
    uintptr_t x = ((const struct found *)a)->address;
    uintptr_t y = ((const struct found *)b)->address;
    return (x > y) - (x < y);
}

/* The first at or above that address. */
static size_t at_or_above(const coir_i_symbols *symbols, uintptr_t address)
{
    size_t low = 0, high = symbols->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->found[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#if COIR_I_LINUX && __has_include(<link.h>)
#    include <link.h>

/* ---- one file ---- */

typedef ElfW(Ehdr) elf_header;
typedef ElfW(Shdr) elf_section;
typedef ElfW(Phdr) elf_segment;
typedef ElfW(Sym) elf_symbol;

/* size bytes of the file from there on; NULL: it has not so many, or they do
 * not lie as they should. */
static const void *part(const struct object *o, uint64_t from, uint64_t size)
{
    if (from > o->size || size > o->size - from || from % 4)
        return NULL;
    return o->file + from;
}

/* Is it what was loaded? Its notes, of which one is the build id, are in memory
 * as they are in the file. */
static bool is_loaded(const struct object *o, const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const elf_segment *s = &info->dlpi_phdr[i];
        if (s->p_type != PT_NOTE)
            continue;
        const void *note = part(o, s->p_offset, s->p_filesz);
        if (!note || memcmp(note, (const char *)(o->base + s->p_vaddr),
                            s->p_filesz) != 0)
            return false;
    }
    return true;
}

static void note_symbol(coir_i_symbols *symbols, const struct object *o,
                        const elf_symbol *symbol, const char *name)
{
    uintptr_t begin = o->base + symbol->st_value;
    uintptr_t end = begin + (symbol->st_size ? symbol->st_size : 1);
    size_t i = at_or_above(symbols, begin);
    for (; i < symbols->count && symbols->found[i].address < end; i++) {
        struct found *found = &symbols->found[i];
        if (found->object == o && !found->function) {
            found->function = name;
            found->begin = begin;
        }
    }
}

static void read_table(coir_i_symbols *symbols, const struct object *o,
                       const elf_section *table, const elf_section *strings)
{
    const elf_symbol *all = part(o, table->sh_offset, table->sh_size);
    const char *names = part(o, strings->sh_offset & ~(uint64_t)3,
                             strings->sh_size + (strings->sh_offset & 3));
    if (!all || !names || !strings->sh_size)
        return;
    names += strings->sh_offset & 3;
    if (names[strings->sh_size - 1] != '\0')
        return;
    for (size_t i = 0; i < table->sh_size / sizeof *all; i++) {
        unsigned type = all[i].st_info & 15;
        bool is_function = type == STT_FUNC || type == STT_GNU_IFUNC;
        if (is_function && all[i].st_value && all[i].st_shndx != SHN_UNDEF &&
            all[i].st_name < strings->sh_size)
            note_symbol(symbols, o, &all[i], names + all[i].st_name);
    }
}

/* The table of all symbols, or else that of the dynamic ones. */
static void read_file(coir_i_symbols *symbols, struct object *o)
{
    const elf_header *header = part(o, 0, sizeof *header);
    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_shentsize != sizeof(elf_section))
        return;
    uint64_t count = header->e_shnum;
    const elf_section *all =
        part(o, header->e_shoff, count * sizeof(elf_section));
    for (unsigned wanted = SHT_SYMTAB; all; wanted = SHT_DYNSYM) {
        for (size_t i = 0; i < count; i++)
            if (all[i].sh_type == wanted && all[i].sh_link < count)
                read_table(symbols, o, &all[i], &all[all[i].sh_link]);
        if (wanted == SHT_DYNSYM)
            break;
    }
}

/* ---- the objects of the process ---- */

static int count_object(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)info, (void)size;
    ++*(size_t *)count;
    return 0;
}

/* Mark those of our addresses that lie in o; how many. */
static size_t claim(coir_i_symbols *symbols, const struct object *o,
                    const struct dl_phdr_info *info)
{
    size_t claimed = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const elf_segment *s = &info->dlpi_phdr[i];
        uintptr_t begin = o->base + s->p_vaddr;
        if (s->p_type != PT_LOAD)
            continue;
        for (size_t k = at_or_above(symbols, begin);
             k < symbols->count &&
             symbols->found[k].address - begin < s->p_memsz;
             k++, claimed++)
            symbols->found[k].object = o;
    }
    return claimed;
}

static void set_name(struct object *o, const char *path)
{
    const char *slash = strrchr(path, '/');
    strncpy(o->name, slash ? slash + 1 : path, sizeof o->name - 1);
}

static int see_object(struct dl_phdr_info *info, size_t size, void *all)
{
    coir_i_symbols *symbols = all;
    bool is_program = !*info->dlpi_name; /* has no name for the linker */
    (void)size;
    if (symbols->objects_count == symbols->room)
        return 1; /* loaded since they were counted */
    struct object *o = &symbols->objects[symbols->objects_count++];
    o->base = info->dlpi_addr;
    set_name(o, is_program ? program_invocation_short_name : info->dlpi_name);
    if (!claim(symbols, o, info))
        return 0;
    const char *path = is_program ? "/proc/self/exe" : info->dlpi_name;
    o->file = coir_i_sys_map_file(path, &o->size);
    if (o->file && !is_loaded(o, info)) {
        coir_i_sys_unmap_file(o->file, o->size);
        o->file = NULL;
    }
    return 0;
}

static void read_objects(coir_i_symbols *symbols)
{
    dl_iterate_phdr(count_object, &symbols->room);
    symbols->objects = calloc(symbols->room, sizeof *symbols->objects);
    if (!symbols->objects)
        return; /* addresses alone will do */
    dl_iterate_phdr(see_object, symbols);
    for (size_t i = 0; i < symbols->objects_count; i++)
        if (symbols->objects[i].file)
            read_file(symbols, &symbols->objects[i]);
}
#else
static void read_objects(coir_i_symbols *symbols)
{
    (void)symbols, (void)at_or_above;
}
#endif

/* ---- for others ---- */

static const struct found *last_of(const coir_i_symbols *symbols)
{
    return &symbols->found[symbols->count - 1];
}

coir_i_symbols *coir_i_symbols_read(const void *const *addresses, size_t count)
{
    coir_i_symbols *symbols =
        calloc(1, sizeof *symbols + count * sizeof *symbols->found);
    if (!symbols)
        return NULL;
    for (size_t i = 0; i < count; i++)
        symbols->found[i].address = (uintptr_t)addresses[i];
    qsort(symbols->found, count, sizeof *symbols->found, by_address);
    for (size_t i = 0; i < count; i++)
        if (!i || symbols->found[i].address != last_of(symbols)->address)
            symbols->found[symbols->count++] = symbols->found[i];
    read_objects(symbols);
    return symbols;
}

void coir_i_symbols_drop(coir_i_symbols *symbols)
{
    if (!symbols)
        return;
    for (size_t i = 0; i < symbols->objects_count; i++)
        if (symbols->objects[i].file)
            coir_i_sys_unmap_file(symbols->objects[i].file,
                                  symbols->objects[i].size);
    free(symbols->objects);
    free(symbols);
}

void coir_i_symbols_find(const coir_i_symbols *symbols, const void *address,
                         coir_i_symbol *symbol)
{
    struct found key = {.address = (uintptr_t)address};
    const struct found *found =
        bsearch(&key, symbols->found, symbols->count, sizeof key, by_address);
    *symbol = (coir_i_symbol){.offset = key.address};
    if (!found || !found->object)
        return;
    symbol->object = found->object->name;
    symbol->offset = found->address - found->object->base;
    symbol->function = found->function;
    symbol->into = found->function ? found->address - found->begin : 0;
}
