/* test/test_trace.c -- $COIR_TRACE: what ran where and when, as a file */
#include <coir.h>

#include "sched/park.h"
#include "test/harness.h"
#include "test/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a traced run, read back ---- */

struct slice {
    double begin, end;
    int track, id;
    char name[32], then[64];
};

struct arrow {
    bool has_begin, has_end;
    double begin, end;
    int begin_track, end_track;
};

static struct {
    char path[64];
    struct json_object whole;
    struct slice *slices;
    struct arrow *arrows;
    size_t slices_count, arrows_room, arrows_count;
    int steals, others; /* others: the track of threads that are no workers */
} trace;

static void note_slice(const struct json_object *e)
{
    if (trace.slices_count % 1024 == 0)
        trace.slices = realloc(trace.slices, (trace.slices_count + 1024) *
                                                 sizeof *trace.slices);
    struct slice *s = &trace.slices[trace.slices_count++];
    double ts = json_number(e, "ts"), length = json_number(e, "dur");
    *s = (struct slice){.begin = ts, .end = ts + length};
    s->track = (int)json_number(e, "tid");
    if (json_is(e, "cat", "fiber"))
        s->id = (int)json_number(e, "args.id");
    snprintf(s->name, sizeof s->name, "%s", json_text(e, "name"));
    if (s->id)
        snprintf(s->then, sizeof s->then, "%s", json_text(e, "args.then"));
}

static void note_arrow(const struct json_object *e, bool is_end)
{
    size_t id = (size_t)json_number(e, "id");
    if (id >= trace.arrows_room) {
        size_t room = 2 * id + 64;
        trace.arrows = realloc(trace.arrows, room * sizeof *trace.arrows);
        memset(trace.arrows + trace.arrows_room, 0,
               (room - trace.arrows_room) * sizeof *trace.arrows);
        trace.arrows_room = room;
    }
    struct arrow *a = &trace.arrows[id];
    bool *has = is_end ? &a->has_end : &a->has_begin;
    ck_assert_msg(!*has, "two ends with one id");
    *has = true;
    *(is_end ? &a->end : &a->begin) = json_number(e, "ts");
    *(is_end ? &a->end_track : &a->begin_track) = (int)json_number(e, "tid");
    trace.arrows_count += is_end;
}

static void note_event(const struct json_object *e, void *data)
{
    const char *phase = json_text(e, "ph");
    (void)data;
    ck_assert_msg(phase && strlen(phase) == 1, "an event without a phase");
    switch (*phase) {
    case 'X':
        note_slice(e);
        break;
    case 's':
    case 'f':
        note_arrow(e, *phase == 'f');
        break;
    case 'i':
        trace.steals += json_is(e, "name", "steal");
        break;
    case 'M':
        if (json_is(e, "args.name", "other threads"))
            trace.others = (int)json_number(e, "tid");
        break;
    default:
        ck_abort_msg("an event of an unknown kind");
    }
}

static char *read_all(const char *path)
{
    FILE *from = fopen(path, "r");
    ck_assert_msg(from != NULL, "there is no %s", path);
    size_t room = 1 << 26, size;
    char *text = malloc(room);
    ck_assert_ptr_nonnull(text);
    size = fread(text, 1, room - 1, from);
    ck_assert_uint_lt(size, room - 1);
    text[size] = '\0';
    fclose(from);
    return text;
}

/* The one that runs then: where one ends and the next begins, the next. */
static const struct slice *slice_at(int track, double at)
{
    for (size_t i = trace.slices_count; i-- > 0;) {
        const struct slice *s = &trace.slices[i];
        if (s->track == track && s->begin <= at && at <= s->end + 0.0005)
            return s;
    }
    return NULL;
}

/* What holds of every trace. Times are in us with three digits. */
static void check_trace(void)
{
    static double ends[1024];
    int backward = 0, overlaps = 0, loose = 0;
    for (size_t i = 0; i < trace.slices_count; i++) {
        const struct slice *s = &trace.slices[i];
        ck_assert_int_lt(s->track, 1024);
        backward += s->end < s->begin;
        overlaps += s->begin < ends[s->track] - 0.0005;
        ends[s->track] = s->end;
    }
    ck_assert_int_eq(backward, 0);
    ck_assert_int_eq(overlaps, 0);
    size_t step = trace.arrows_room / 100 + 1; /* a look takes long */
    for (size_t i = 0; i < trace.arrows_room; i++) {
        const struct arrow *a = &trace.arrows[i];
        loose += a->has_begin != a->has_end || a->end < a->begin;
        if (!a->has_end || i % step)
            continue;
        const struct slice *to = slice_at(a->end_track, a->end);
        loose += !slice_at(a->begin_track, a->begin) || !to || !to->id ||
                 to->begin != a->end;
    }
    ck_assert_int_eq(loose, 0);
}

static void read_trace(void)
{
    char *text = read_all(trace.path);
    json_read(text, &trace.whole, note_event, NULL);
    free(text);
    check_trace();
}

static void begin_trace(void)
{
    snprintf(trace.path, sizeof trace.path, "/tmp/coir-trace-%ld.json",
             (long)getpid());
    setenv("COIR_TRACE", trace.path, 1);
}

static void end_trace(void)
{
    unlink(trace.path);
    free(trace.slices);
    free(trace.arrows);
}

static void run_traced(unsigned workers, coir_fn *body, void *arg)
{
    /* Real time may pass between the call of a sleep and its wait. */
    const coir_config config = {.workers = workers, .virtual_clock = true};
    begin_trace();
    ck_assert_int_eq(coir_run_with(&config, body, arg), 0);
    read_trace();
}

static int count_slices(const char *name, const char *then)
{
    int count = 0;
    for (size_t i = 0; i < trace.slices_count; i++) {
        const struct slice *s = &trace.slices[i];
        count += (!name || strcmp(s->name, name) == 0) &&
                 (!then || strncmp(s->then, then, strlen(then)) == 0);
    }
    return count;
}

/* ---- slices ---- */

enum { NAPPERS = 5, NAPS = 4 };

static int nap(void *arg)
{
    char name[COIR_NAME_MAX];
    snprintf(name, sizeof name, "napper %d", *(const int *)arg);
    coir_name_set(name);
    int rc = 0;
    for (int i = 0; i < NAPS && rc == 0; i++)
        rc = coir_sleep(COIR_MS(1));
    return rc;
}

static int let_all_nap(void *arg)
{
    int number[NAPPERS];
    (void)arg;
    for (int i = 0; i < NAPPERS; i++)
        number[i] = i;
    coir_name_set("first");
    return coir_each(nap, number, NAPPERS, sizeof *number, 0);
}

START_TEST(each_fiber_has_a_slice_each_time_it_runs)
{
    run_traced(test_workers(), let_all_nap, NULL);
    for (int i = 0; i < NAPPERS; i++) {
        char name[COIR_NAME_MAX];
        snprintf(name, sizeof name, "napper %d", i);
        ck_assert_int_eq(count_slices(name, "waits for sleep"), NAPS);
        ck_assert_int_eq(count_slices(name, "has ended"), 1);
    }
    ck_assert_int_eq(count_slices("first", "has ended"), 1);
    end_trace();
}
END_TEST

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int start_many(void *arg)
{
    coir_nursery n;
    int rc = 0;
    coir_nursery_open(&n);
    for (int i = *(int *)arg; i > 0 && rc == 0; i--)
        rc = coir_go(&n, do_nothing, NULL);
    return coir_nursery_close_with(&n, rc);
}

START_TEST(children_on_their_openers_stack_have_slices_too)
{
    int many = 1000;
    run_traced(test_workers(), start_many, &many);
    ck_assert_int_eq(count_slices(NULL, "has ended"), many + 1);
    if (test_workers() == 1) /* its opener's slice is cut for each */
        ck_assert_int_ge(count_slices(NULL, "runs a child"), many / 2);
    end_trace();
}
END_TEST

static int name_oddly(void *arg)
{
    coir_name_set("a\"b\\c\nd\x01\xff\xc3\xa4");
    return coir_yield() < 0 ? -EIO : *(int *)arg;
}

START_TEST(odd_names_are_escaped)
{
    int zero = 0;
    run_traced(test_workers(), name_oddly, &zero);
    ck_assert_int_eq(count_slices("a\"b\\c\nd\x01?\xc3\xa4", "has ended"), 1);
    end_trace();
}
END_TEST

/* ---- arrows ---- */

enum { TURNS = 50 };
static coir_event turns[2][TURNS];

static int take_turns(void *arg)
{
    int who = *(const int *)arg, rc = 0;
    coir_name_set(who ? "pong" : "ping");
    for (int i = 0; i < TURNS && rc == 0; i++) {
        coir_event_set(&turns[!who][i]);
        rc = coir_event_wait(&turns[who][i]);
    }
    return rc;
}

static int play(void *arg)
{
    static int who[2] = {0, 1};
    (void)arg;
    return coir_each(take_turns, who, 2, sizeof *who, 0);
}

START_TEST(arrows_lead_from_who_wakes_to_who_is_woken)
{
    int between = 0;
    run_traced(test_workers(), play, NULL);
    for (size_t i = 0; i < trace.arrows_room; i++) {
        const struct arrow *a = &trace.arrows[i];
        const struct slice *from = NULL, *to = NULL;
        if (a->has_end) {
            from = slice_at(a->begin_track, a->begin);
            to = slice_at(a->end_track, a->end);
        }
        between += from && to && from->id != to->id;
    }
    /* Each that had to wait was woken by the other. */
    int waits = count_slices("ping", "waits for event") +
                count_slices("pong", "waits for event");
    ck_assert_int_gt(waits, 0);
    ck_assert_int_ge(between, waits / 2);
    end_trace();
}
END_TEST

static const coir_i_wait waits_for_stranger = {.what = "a stranger"};
static coir_i_ticket ticket;

static void *wake_soon(void *arg)
{
    usleep(10000);
    coir_i_wake(ticket, COIR_I_WOKEN);
    return arg;
}

static int wait_for_stranger(void *arg)
{
    pthread_t thread;
    ticket =
        coir_i_arm(COIR_NEVER, COIR_I_CANCELLABLE, &waits_for_stranger, NULL);
    if (pthread_create(&thread, NULL, wake_soon, arg))
        return -EIO;
    unsigned reason = coir_i_park();
    pthread_join(thread, NULL);
    return reason == COIR_I_WOKEN ? 0 : -EIO;
}

START_TEST(threads_that_are_no_workers_wake_from_a_track_of_theirs)
{
    int from_others = 0;
    run_traced(test_workers(), wait_for_stranger, NULL);
    for (size_t i = 0; i < trace.arrows_room; i++)
        from_others += trace.arrows[i].has_begin &&
                       trace.arrows[i].begin_track == trace.others;
    ck_assert_int_eq(from_others, 1);
    end_trace();
}
END_TEST

/* ---- bounds, and what goes wrong ---- */

static int yield_often(void *arg)
{
    int rc = 0;
    for (int i = *(const int *)arg; i > 0 && rc == 0; i--)
        rc = coir_yield();
    return rc;
}

static int yield_by_turns(void *arg)
{
    coir_nursery n;
    coir_nursery_open(&n);
    int rc = coir_go(&n, yield_often, arg);
    if (rc == 0)
        rc = coir_go(&n, yield_often, arg);
    return coir_nursery_close_with(&n, rc);
}

START_TEST(oldest_are_dropped_and_counted)
{
    int yields = 60000, kept = 1 << 16;
    run_traced(1, yield_by_turns, &yields);
    double lost = json_number(&trace.whole, "otherData.lost");
    ck_assert_double_ge(lost, 2 * yields - kept);
    ck_assert_double_lt(lost, 2 * yields - kept + 1000);
    ck_assert_int_gt(count_slices(NULL, "is ready"), kept - 1000);
    end_trace();
}
END_TEST

START_TEST(run_writes_the_file_anew)
{
    int many = 10;
    begin_trace();
    ck_assert_int_eq(coir_run(let_all_nap, NULL), 0);
    ck_assert_int_eq(coir_run(start_many, &many), 0);
    read_trace();
    ck_assert_int_eq(count_slices("first", NULL), 0);
    ck_assert_int_eq(count_slices(NULL, "has ended"), many + 1);
    end_trace();
}
END_TEST

static int run_without_file(void *arg)
{
    setenv("COIR_TRACE", "/nowhere/trace.json", 1);
    return coir_run(let_all_nap, arg);
}

START_TEST(file_that_cannot_be_made_is_a_line_on_standard_error)
{
    test_survives("coir: the trace cannot be written to /nowhere/trace.json: ",
                  run_without_file, NULL);
}
END_TEST

static int run_on_full_disk(void *arg)
{
    setenv("COIR_TRACE", "/dev/full", 1);
    return coir_run(let_all_nap, arg);
}

START_TEST(file_that_cannot_be_written_likewise)
{
    test_survives("coir: the trace cannot be written to /dev/full: ",
                  run_on_full_disk, NULL);
}
END_TEST

START_TEST(no_file_without_the_variable)
{
    begin_trace();
    setenv("COIR_TRACE", "", 1);
    ck_assert_int_eq(coir_run(let_all_nap, NULL), 0);
    unsetenv("COIR_TRACE");
    ck_assert_int_eq(coir_run(let_all_nap, NULL), 0);
    ck_assert_int_lt(access(trace.path, F_OK), 0);
}
END_TEST

COIR_SUITE(trace, TEST_WORKERS)
{
    TCase *slices = test_case(suite, "slices");
    tcase_add_test(slices, each_fiber_has_a_slice_each_time_it_runs);
    tcase_add_test(slices, children_on_their_openers_stack_have_slices_too);
    tcase_add_test(slices, odd_names_are_escaped);

    TCase *arrows = test_case(suite, "arrows");
    tcase_add_test(arrows, arrows_lead_from_who_wakes_to_who_is_woken);
    tcase_add_test(arrows,
                   threads_that_are_no_workers_wake_from_a_track_of_theirs);

    TCase *file = test_case(suite, "file");
    tcase_add_test(file, oldest_are_dropped_and_counted);
    tcase_add_test(file, run_writes_the_file_anew);
    tcase_add_test(file, file_that_cannot_be_made_is_a_line_on_standard_error);
    tcase_add_test(file, file_that_cannot_be_written_likewise);
    tcase_add_test(file, no_file_without_the_variable);
}
