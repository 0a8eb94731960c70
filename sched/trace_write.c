/* sched/trace_write.c -- a trace as Chrome's trace event JSON
 *
 * Does       turn what was noted into slices, arrows and names.
 *
 *     SWITCH 5 ... WAIT mutex, SWITCH 6     a slice of fiber 5, "then" mutex
 *     WAKE of a wait ... SWITCH woken from it       an arrow
 *
 * A worker runs one fiber at a time, so its slices follow each other; times
 * that a CPU's counter shows in another order than they were noted in are moved
 * up to the one before. A wake by nobody's fiber has a slice of its own for its
 * arrow to begin at.
 *
 * Fails      -ENOMEM.
 * Tests      test/test_trace.c */
#include "sched/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAKE_LENGTH = 100 /* ns, of a wake that has a slice of its own */ };

/* One end of an arrow. */
struct end {
    uint32_t index;
    uint64_t seq;
    bool is_run; /* a wake comes first */
    uint64_t ticks;
};

struct name {
    uint64_t id, ticks;
    const char *text;
};

struct writer {
    FILE *to;
    const coir_i_trace *trace;
    long pid;
    bool any; /* an event has been written */
    struct end *ends;
    struct name *names;
    size_t ends_count, names_count;
};

/* A track, on the way along it. */
struct walk {
    unsigned track;
    int64_t now;
    uint64_t id; /* who runs; 0: nobody */
    int64_t since;
    const coir_i_event *waits; /* what it waits for from here on; or NULL */
    const char *then;          /* what else it does from here on */
};

/* ---- times and tracks ---- */

static int64_t ns_of(const struct writer *w, uint64_t ticks)
{
    int64_t passed = (int64_t)(ticks - w->trace->begin);
    return passed < 0 ? 0 : (int64_t)((double)passed * w->trace->ns_per_tick);
}

static uint64_t first_of(const coir_i_track *t)
{
    return t->written < COIR_I_TRACK_EVENTS ? 0
                                            : t->written - COIR_I_TRACK_EVENTS;
}

static const coir_i_event *event_at(const coir_i_track *t, uint64_t i)
{
    return &t->events[i % COIR_I_TRACK_EVENTS];
}

/* ---- what is looked up ---- */

static bool has_name(const coir_i_event *e)
{
    return e->kind <= COIR_I_EV_END && e->id && e->name[0];
}

static bool has_end(const coir_i_event *e)
{
    return e->kind == COIR_I_EV_WAKE ||
           (e->kind == COIR_I_EV_SWITCH && e->woken);
}

static int compare_ends(const void *a, const void *b)
{
    const struct end *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return x->is_run - y->is_run;
}

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->ticks < y->ticks ? -1 : x->ticks > y->ticks;
}

static void note(struct writer *w, const coir_i_event *e, bool count_only)
{
    if (has_end(e)) {
        if (!count_only)
            w->ends[w->ends_count] = (struct end){
                e->index, e->seq, e->kind == COIR_I_EV_SWITCH, e->ticks};
        w->ends_count++;
    }
    if (has_name(e)) {
        if (!count_only)
            w->names[w->names_count] = (struct name){e->id, e->ticks, e->name};
        w->names_count++;
    }
}

static void note_all(struct writer *w, bool count_only)
{
    w->ends_count = w->names_count = 0;
    for (unsigned i = 0; i <= w->trace->workers; i++) {
        const coir_i_track *t = w->trace->tracks[i];
        for (uint64_t at = t ? first_of(t) : 0; t && at < t->written; at++)
            note(w, event_at(t, at), count_only);
    }
}

static int index_all(struct writer *w)
{
    note_all(w, true);
    w->ends = calloc(w->ends_count + 1, sizeof *w->ends);
    w->names = calloc(w->names_count + 1, sizeof *w->names);
    if (!w->ends || !w->names)
        return -ENOMEM;
    note_all(w, false);
    qsort(w->ends, w->ends_count, sizeof *w->ends, compare_ends);
    qsort(w->names, w->names_count, sizeof *w->names, compare_names);
    return 0;
}

/* Its name in the end; "" if it never had one. */
static const char *name_of(const struct writer *w, uint64_t id)
{
    size_t low = 0, high = w->names_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->names[middle].id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low && w->names[low - 1].id == id ? w->names[low - 1].text : "";
}

/* The arrow that e is one end of: its wake, followed by its run; or NULL, where
 * there is no other end. */
static const struct end *arrow_of(const struct writer *w, const coir_i_event *e)
{
    struct end key = {.index = e->index, .seq = e->seq};
    const struct end *wake =
        bsearch(&key, w->ends, w->ends_count, sizeof key, compare_ends);
    bool both = wake && (size_t)(wake + 1 - w->ends) < w->ends_count &&
                wake[1].is_run && wake[1].index == e->index &&
                wake[1].seq == e->seq;
    return both ? wake : NULL;
}

/* ---- text ---- */

/* How many bytes the UTF-8 character at `text` has; 0: it is none. */
static int length_of(const unsigned char *text)
{
    int more = text[0] < 0x80                      ? 0
               : text[0] >= 0xc2 && text[0] < 0xe0 ? 1
               : text[0] >= 0xe0 && text[0] < 0xf0 ? 2
               : text[0] >= 0xf0 && text[0] < 0xf5 ? 3
                                                   : -1;
    for (int i = 1; i <= more; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool is_bad = (text[0] == 0xe0 && text[1] < 0xa0) || /* too long */
                  (text[0] == 0xed && text[1] > 0x9f) || /* half of a pair */
                  (text[0] == 0xf0 && text[1] < 0x90) ||
                  (text[0] == 0xf4 && text[1] > 0x8f);
    return is_bad ? 0 : more + 1;
}

/* Inside quotes. A name may have been cut in the middle of a character. */
static void say_text(const struct writer *w, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        int length = length_of(at);
        if (length == 0)
            fputs("\\ufffd", w->to);
        else if (*at == '"' || *at == '\\')
            fprintf(w->to, "\\%c", *at);
        else if (*at < ' ' || *at == 0x7f)
            fprintf(w->to, "\\u%04x", *at);
        else
            fwrite(at, 1, (size_t)length, w->to);
        at += length ? length : 1;
    }
}

static void say_time(const struct writer *w, const char *key, int64_t ns)
{
    fprintf(w->to, ",\"%s\":%" PRId64 ".%03d", key, ns / 1000,
            (int)(ns % 1000));
}

/* The head of an event; after it `}` is missing. */
static void begin(struct writer *w, const char *phase, unsigned track)
{
    fprintf(w->to, "%s\n{\"ph\":\"%s\",\"pid\":%ld,\"tid\":%u",
            w->any ? "," : "", phase, w->pid, track);
    w->any = true;
}

static void say_wait(const struct writer *w, const coir_i_event *e)
{
    fputs("waits for ", w->to);
    say_text(w, e->wait->what);
    if (e->wait->flags & COIR_I_WAIT_NUMBER)
        fprintf(w->to, " %ld", (long)(intptr_t)e->on);
    else if (e->on)
        fprintf(w->to, " %p", e->on);
}

/* ---- events ---- */

static void say_slice(struct writer *w, const struct walk *at)
{
    const char *name = name_of(w, at->id);
    begin(w, "X", at->track);
    say_time(w, "ts", at->since);
    say_time(w, "dur", at->now - at->since);
    fputs(",\"cat\":\"fiber\",\"name\":\"", w->to);
    if (*name)
        say_text(w, name);
    else
        fprintf(w->to, "fiber %" PRIu64, at->id);
    fprintf(w->to, "\",\"args\":{\"id\":%" PRIu64 ",\"then\":\"", at->id);
    if (at->waits)
        say_wait(w, at->waits);
    else
        fputs(at->then, w->to);
    fputs("\"}}", w->to);
}

static void end_slice(struct writer *w, struct walk *at, const char *then)
{
    at->then = then;
    if (at->id)
        say_slice(w, at);
    at->id = 0;
    at->waits = NULL;
}

static void begin_slice(struct walk *at, uint64_t id)
{
    at->id = id;
    at->since = at->now;
}

static void say_arrow_end(struct writer *w, const struct end *arrow,
                          const char *phase, unsigned track, int64_t at)
{
    begin(w, phase, track);
    say_time(w, "ts", at);
    fprintf(w->to, ",\"cat\":\"wake\",\"name\":\"wake\",\"id\":%zu%s}",
            (size_t)(arrow - w->ends), *phase == 'f' ? ",\"bp\":\"e\"" : "");
}

/* `until`: when the next event on the track was. */
static void say_wake(struct writer *w, const struct walk *at,
                     const coir_i_event *e, int64_t until)
{
    const struct end *arrow = arrow_of(w, e);
    if (!arrow)
        return;
    int64_t run = ns_of(w, arrow[1].ticks), length = until - at->now;
    if (!at->id) {
        begin(w, "X", at->track);
        say_time(w, "ts", at->now);
        say_time(w, "dur", length < WAKE_LENGTH ? length : WAKE_LENGTH);
        fputs(",\"cat\":\"wake\",\"name\":\"wake\"}", w->to);
    }
    say_arrow_end(w, arrow, "s", at->track, run < at->now ? run : at->now);
}

static void say_steal(struct writer *w, const struct walk *at, uint64_t from)
{
    begin(w, "i", at->track);
    say_time(w, "ts", at->now);
    fprintf(w->to,
            ",\"s\":\"t\",\"cat\":\"steal\",\"name\":\"steal\",\"args\":"
            "{\"from\":%" PRIu64 "}}",
            from);
}

static void say_event(struct writer *w, struct walk *at, const coir_i_event *e,
                      int64_t until)
{
    const struct end *arrow;
    switch ((enum coir_i_event_kind)e->kind) {
    case COIR_I_EV_SWITCH:
        end_slice(w, at, "is ready");
        begin_slice(at, e->id);
        if (e->id && e->woken && (arrow = arrow_of(w, e)) != NULL)
            say_arrow_end(w, arrow, "f", at->track, at->now);
        break;
    case COIR_I_EV_BEGIN:
        end_slice(w, at, "runs a child on its stack");
        begin_slice(at, e->id);
        break;
    case COIR_I_EV_END:
        end_slice(w, at, "has ended");
        begin_slice(at, e->outer);
        break;
    case COIR_I_EV_WAIT:
        at->waits = e;
        break;
    case COIR_I_EV_STEAL:
        say_steal(w, at, e->id);
        break;
    case COIR_I_EV_WAKE:
        say_wake(w, at, e, until);
        break;
    }
}

/* ---- tracks ---- */

static void say_meta(struct writer *w, unsigned track, const char *what,
                     const char *text, unsigned number)
{
    begin(w, "M", track);
    fprintf(w->to, ",\"name\":\"%s\",\"args\":{\"name\":\"", what);
    fprintf(w->to, text, number);
    fputs("\"}}", w->to);
}

static void say_dropped(struct writer *w, const struct walk *at,
                        uint64_t dropped)
{
    begin(w, "i", at->track);
    say_time(w, "ts", at->now);
    fprintf(w->to,
            ",\"s\":\"t\",\"name\":\"%" PRIu64 " events before are lost\"}",
            dropped);
}

static void say_track(struct writer *w, unsigned track)
{
    const coir_i_trace *trace = w->trace;
    const coir_i_track *t = trace->tracks[track];
    const char *names[] = {"worker %u", "worker %u (spare)", "other threads"};
    unsigned which = track < trace->configured ? 0
                     : track < trace->workers  ? 1
                                               : 2;
    if (!t)
        return;
    say_meta(w, track, "thread_name", names[which], track);
    uint64_t first = first_of(t);
    struct walk at = {.track = track,
                      .now = ns_of(w, event_at(t, first)->ticks)};
    if (first > 0)
        say_dropped(w, &at, first);
    for (uint64_t i = first; i < t->written; i++) {
        bool last = i + 1 == t->written;
        int64_t now = ns_of(w, event_at(t, i)->ticks);
        int64_t until = ns_of(w, last ? trace->end : event_at(t, i + 1)->ticks);
        at.now = now > at.now ? now : at.now;
        say_event(w, &at, event_at(t, i), until > at.now ? until : at.now);
    }
    at.now = ns_of(w, trace->end);
    end_slice(w, &at, "is cut off");
}

static uint64_t count_lost(const coir_i_trace *trace)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i <= trace->workers; i++) {
        const coir_i_track *t = trace->tracks[i];
        lost += trace->lost[i] + (t ? first_of(t) : 0);
    }
    return lost;
}

int coir_i_trace_write(FILE *to, const coir_i_trace *trace)
{
    struct writer w = {.to = to, .trace = trace, .pid = (long)getpid()};
    int rc = index_all(&w);
    if (rc == 0) {
        fprintf(to,
                "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"by\":\"coir\","
                "\"lost\":%" PRIu64 "},\"traceEvents\":[",
                count_lost(trace));
        say_meta(&w, 0, "process_name", "coir", 0);
        for (unsigned i = 0; i <= trace->workers; i++)
            say_track(&w, i);
        fputs("\n]}\n", to);
    }
    free(w.ends);
    free(w.names);
    return rc;
}
