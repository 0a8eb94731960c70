/* sched/dump.c -- every fiber, as text
 *
 * Does       take a census, and write it as a tree of nurseries; those that are
 *            alike as one.
 * Does not   keep anybody waiting: by the time it writes, it only reads what it
 *            has noted.
 *
 *     fiber 1 'first' waits: children of its nursery ...
 *         what it has called
 *       nursery, with what is to be said of its scope
 *         fiber 2 ...
 *
 * Fails      -EPERM, -ENOMEM, and what write(2) says.
 * Tests      test/test_dump.c, test/stress_dump.c */
#include "sched/dump.h"

#include "sched/backtrace.h"
#include "sched/forest.h"
#include "sched/runtime.h"
#include "sched/symbols.h"
#include "sched/sys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LEVELS = 16, /* that are indented; deeper ones stand below each other */
    SHOWN = 8,   /* of a group, by id */
    BUFFER = 4096,
    LINE = 256 /* of what is formatted at once */
};

struct dump {
    int fd, error; /* error: nothing more is written */
    unsigned level;
    const coir_i_census *census;
    coir_i_forest forest;
    coir_i_symbols *symbols;
    size_t used;
    char text[BUFFER];
};

/* ---- text ---- */

static void flush(struct dump *d)
{
    if (!d->error)
        d->error = coir_i_sys_write_all(d->fd, d->text, d->used);
    d->used = 0;
}

static void put(struct dump *d, const char *text, size_t size)
{
    if (size > sizeof d->text - d->used)
        flush(d);
    memcpy(d->text + d->used, text, size);
    d->used += size;
}

static void say(struct dump *d, const char *format, ...) COIR_PRINTF(2, 3);

static void say(struct dump *d, const char *format, ...)
{
    char line[LINE];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length > 0)
        put(d, line, (size_t)length < sizeof line ? (size_t)length : LINE - 1);
}

static void indent(struct dump *d, unsigned more)
{
    unsigned levels = d->level < LEVELS ? d->level : LEVELS;
    say(d, "%*s", (int)(4 * levels + more), "");
}

static void say_length(struct dump *d, coir_time ns)
{
    long long ms = ns > 0 ? ns / 1000000 : 0;
    if (ms < 1000)
        say(d, "%lld ms", ms);
    else if (ms < 100000)
        say(d, "%lld.%lld s", ms / 1000, ms % 1000 / 100);
    else if (ms < 7200000)
        say(d, "%lld min", ms / 60000);
    else
        say(d, "%lld h", ms / 3600000);
}

/* ---- who ---- */

static void say_name(struct dump *d, uint64_t id, const char *name)
{
    char clean[COIR_NAME_MAX];
    for (size_t i = 0; i < sizeof clean; i++) /* it may be torn, or odd */
        clean[i] = (unsigned char)name[i] < ' ' && name[i] ? '?' : name[i];
    if (!id)
        say(d, "?");
    else if (*clean)
        say(d, "%" PRIu64 " '%s'", id, clean);
    else
        say(d, "%" PRIu64, id);
}

static void say_fiber(struct dump *d, uint64_t id)
{
    const coir_i_record *r = coir_i_census_find(d->census, id);
    say(d, "fiber ");
    say_name(d, id, r ? r->name : (const char[COIR_NAME_MAX]){""});
}

/* ---- what ---- */

static void say_bounds(struct dump *d, const coir_i_bounds *bounds)
{
    if (bounds->shield)
        say(d, ", shielded");
    if (bounds->until != COIR_NEVER && !bounds->cancelled) {
        coir_time left = bounds->until - d->census->taken;
        say(d, left < 0 ? ", deadline was " : ", deadline in ");
        say_length(d, left < 0 ? -left : left);
        say(d, left < 0 ? " ago" : "");
    }
    if (!bounds->cancelled)
        return;
    say(d, ", cancelled");
    if (bounds->cause_id) {
        say(d, " by fiber ");
        say_name(d, bounds->cause_id, bounds->cause_name);
    }
    if (bounds->cause_code)
        say(d, " (%d)", bounds->cause_code);
}

static void say_on(struct dump *d, const coir_i_record *r)
{
    if (r->wait->flags & COIR_I_WAIT_NUMBER)
        say(d, " %ld", (long)(intptr_t)r->on);
    else if (r->on)
        say(d, " %p", r->on);
}

/* What `size` fibers wait for: each thing once, if there are few. */
static void say_wait(struct dump *d, const uint32_t *group, size_t size)
{
    const coir_i_record *all = d->census->records, *r = &all[group[0]];
    coir_time last = r->since, first = r->since;
    const void *said = r->on;
    size_t more = 0;
    say(d, ": %s", r->wait->what);
    say_on(d, r);
    for (size_t i = 1; i < size; i++) {
        const coir_i_record *other = &all[group[i]];
        first = other->since < first ? other->since : first;
        last = other->since > last ? other->since : last;
        if (other->on == said || more > SHOWN)
            continue;
        said = other->on;
        if (++more < SHOWN) {
            say(d, ",");
            say_on(d, other);
        }
    }
    if (more >= SHOWN)
        say(d, ", ...");
    if (r->holder) {
        say(d, ", held by ");
        say_fiber(d, r->holder);
    }
    say(d, ", ");
    say_length(d, d->census->taken - last);
    if ((last - first) / 1000000) {
        say(d, " to ");
        say_length(d, d->census->taken - first);
    }
    say(d, " so far");
    if (r->until != COIR_NEVER && size == 1) {
        say(d, ", ");
        say_length(d, r->until - d->census->taken);
        say(d, " to go");
    }
}

static void say_doing(struct dump *d, const uint32_t *group, size_t size)
{
    const coir_i_record *r = &d->census->records[group[0]];
    const char *plural = size > 1 ? "" : "s";
    switch (r->doing) {
    case COIR_I_DOES_RUN:
        say(d, " run%s on worker %u", plural, r->worker);
        break;
    case COIR_I_IS_READY:
        say(d, " %s ready", size > 1 ? "are" : "is");
        break;
    case COIR_I_DOES_WAIT:
        say(d, " wait%s", plural);
        say_wait(d, group, size);
        break;
    case COIR_I_DOES_LEND:
        say(d, " close%s a nursery", plural);
        if (size == 1) {
            say(d, ": ");
            say_fiber(d, r->holder);
            say(d, " runs on its stack");
        }
        break;
    }
    say_bounds(d, &r->bounds);
    say(d, "\n");
}

static void say_ids(struct dump *d, const uint32_t *group, size_t size)
{
    indent(d, 6);
    for (size_t i = 0; i < size && i < SHOWN; i++) {
        const coir_i_record *r = &d->census->records[group[i]];
        say(d, i ? ", " : "fibers ");
        say_name(d, r->id, r->name);
    }
    say(d, size > SHOWN ? ", ...\n" : "\n");
}

static void say_call(struct dump *d, const void *call)
{
    coir_i_symbol symbol;
    coir_i_symbols_find(d->symbols, call, &symbol);
    indent(d, 6);
    if (symbol.function)
        say(d, "%.120s+%#" PRIx64 "  ", symbol.function, symbol.into);
    if (symbol.object)
        say(d, "%s+%#" PRIx64 "\n", symbol.object, symbol.offset);
    else
        say(d, "%p\n", call);
}

static void say_group(struct dump *d, const uint32_t *group, size_t size)
{
    const coir_i_record *r = &d->census->records[group[0]];
    indent(d, 0);
    if (size > 1) {
        say(d, "%zu fibers", size);
    } else {
        say(d, "fiber ");
        say_name(d, r->id, r->name);
    }
    say_doing(d, group, size);
    if (size > 1)
        say_ids(d, group, size);
    for (uint32_t i = 0; i < r->depth; i++)
        say_call(d, d->census->frames[r->trace + i]);
    if (r->cut) {
        indent(d, 6);
        say(d, "...\n");
    }
}

/* ---- the tree ---- */

static void say_nursery(struct dump *d, uint32_t plot, bool is_strange)
{
    const coir_i_opening *o = &d->census->openings[plot - 1];
    const coir_i_plot *p = &d->forest.plots[plot];
    bool is_background = o->at == coir_i_nursery_of(&coir_i_background);
    if (is_background && p->at == p->end && !o->waiting)
        return; /* it is always there */
    indent(d, 2);
    say(d, is_background ? "background" : "nursery");
    say(d, " %p", (const void *)o->at);
    if (is_strange || d->level > LEVELS) {
        say(d, " of ");
        say_fiber(d, o->opener);
    }
    say_bounds(d, &o->bounds);
    if (o->waiting)
        say(d, ", %u%s %s not begun", o->waiting, o->more ? " or more" : "",
            o->waiting > 1 ? "have" : "has");
    say(d, "\n");
}

/* The next group in `plot`. Where to go on: in what its first has opened, or
 * here. */
static uint32_t say_next(struct dump *d, uint32_t plot)
{
    coir_i_plot *p = &d->forest.plots[plot];
    const uint32_t *group = d->forest.order + p->at;
    size_t size = coir_i_forest_group(&d->forest, p->at);
    uint32_t first = d->forest.spots[group[0]].first;
    p->at += (uint32_t)size;
    say_group(d, group, size);
    if (!first)
        return plot;
    if (size > 1) {
        indent(d, 2);
        say(d, "each of them with:\n");
    }
    say_nursery(d, first, false);
    d->level++;
    return first;
}

/* All that is in plot `top`, and below. */
static void say_tree(struct dump *d, uint32_t top)
{
    for (uint32_t plot = top; !d->error;) {
        const coir_i_plot *p = &d->forest.plots[plot];
        if (p->at < p->end) {
            plot = say_next(d, plot);
            continue;
        }
        if (plot == top)
            return;
        d->level--;
        plot = p->next ? p->next : p->around;
        if (p->next) {
            say_nursery(d, plot, false);
            d->level++;
        }
    }
}

static void say_workers(struct dump *d)
{
    const coir_i_census *c = d->census;
    unsigned running = 0;
    for (size_t i = 0; i < c->count; i++) {
        const coir_i_record *r = &c->records[i];
        if (r->doing != COIR_I_DOES_RUN || !r->fiber)
            continue;
        say(d, "worker %u runs fiber ", r->worker);
        say_name(d, r->id, r->name);
        say(d, "\n");
        running++;
    }
    if (running < c->workers)
        say(d, "%u of %u workers run%s no fiber\n", c->workers - running,
            c->workers, c->workers - running == 1 ? "s" : "");
}

static void say_all(struct dump *d)
{
    const coir_i_census *c = d->census;
    say(d, "coir: process %ld: %zu fiber%s on %u worker%s", (long)getpid(),
        d->forest.count, d->forest.count == 1 ? "" : "s", c->workers,
        c->workers == 1 ? "" : "s");
    if (c->waiting)
        say(d, ", %" PRIu64 " more not begun", c->waiting);
    say(d, "\n");
    say_workers(d);
    say_tree(d, 0);
    for (uint32_t p = d->forest.strange; p; p = d->forest.plots[p].next) {
        say_nursery(d, p, true);
        d->level = 1;
        say_tree(d, p);
        d->level = 0;
    }
    if (c->missed)
        say(d, "%zu more were not looked at\n", c->missed);
    if (c->untraced)
        say(d, "%zu backtraces were not read\n", c->untraced);
    if (!COIR_I_BACKTRACE)
        say(d, "backtraces of fibers are not known on this machine\n");
    say(d, "coir: end of dump\n");
    flush(d);
}

/* ---- for others ---- */

static int say_headline(int fd, const char *headline)
{
    int rc =
        headline ? coir_i_sys_write_all(fd, headline, strlen(headline)) : 0;
    return headline && rc == 0 ? coir_i_sys_write_all(fd, "\n", 1) : rc;
}

int coir_i_dump_census(int fd, const char *headline,
                       const coir_i_census *census)
{
    int rc = say_headline(fd, headline);
    struct dump *d = calloc(1, sizeof *d);
    coir_i_forest forest = {0};
    coir_i_symbols *symbols = NULL;
    if (rc == 0 && !d)
        rc = -ENOMEM;
    if (rc == 0)
        rc = coir_i_forest_plant(&forest, census);
    if (rc == 0 &&
        !(symbols = coir_i_symbols_read(census->frames, census->framed)))
        rc = -ENOMEM;
    if (rc == 0) {
        d->fd = fd;
        d->census = census;
        d->forest = forest;
        d->symbols = symbols;
        say_all(d);
        rc = d->error;
    }
    coir_i_symbols_drop(symbols);
    coir_i_forest_drop(&forest);
    free(d);
    return rc;
}

int coir_i_dump(int fd, const char *headline)
{
    coir_i_census census;
    int rc = coir_i_census_take(&census);
    if (rc < 0) {
        COIR_IGNORE(say_headline(fd, headline)); /* it says something, too */
        return rc;
    }
    rc = coir_i_census_trace(&census);
    if (rc == 0)
        rc = coir_i_dump_census(fd, headline, &census);
    coir_i_census_drop(&census);
    return rc;
}

int coir_dump(int fd)
{
    return coir_i_dump(fd, NULL);
}

/* Whoever links anything of coir has the runtime, which tells of deadlocks by
 * dumps: so this object, and with it what it names, is in every program. */
coir_i_constructor(0) static void add_sigquit(void)
{
    coir_i_module_add(&coir_i_sigquit);
}
