/* sched/census.h -- a snapshot of all fibers: who they are, what each does
 *
 *     coir_i_census census;
 *     int rc = coir_i_census_take(&census);
 *     if (rc == 0) {
 *         look at census.records, coir_i_census_find(&census, id)
 *         coir_i_census_drop(&census);
 *     }
 *
 * The program goes on while it is looked at: each record was true at a moment
 * of its own. Whoever concludes something from several of them looks twice: a
 * fiber whose record has the same `seq` in both has not gone on in between. */
#ifndef COIR_SCHED_CENSUS_H
#define COIR_SCHED_CENSUS_H

#include "sched/nursery.h"

enum coir_i_doing {
    COIR_I_DOES_RUN,  /* on `worker` */
    COIR_I_IS_READY,  /* to go on */
    COIR_I_DOES_WAIT, /* for `wait`, `on` */
    COIR_I_DOES_LEND  /* it closes a nursery: fiber `holder`, which had not
                          begun, runs on its stack meanwhile */
};

/* What is to be told of scopes. */
typedef struct coir_i_bounds {
    coir_time until; /* the nearest deadline; COIR_NEVER: none */
    bool cancelled, shield;
    int cause_code; /* why it is cancelled */
    uint64_t cause_id;
    char cause_name[COIR_NAME_MAX];
} coir_i_bounds;

typedef struct coir_i_record {
    uint64_t id; /* 0: it could not be read, since it was changing */
    char name[COIR_NAME_MAX];
    coir_i_fiber *fiber;      /* its slot, another's already, perhaps; NULL:
                                 pass it over, the fiber has another record */
    const coir_i_nursery *in; /* what it was started in, as a name: may be
                                 gone; NULL: the first fiber */
    enum coir_i_doing doing;
    unsigned worker;
    /* DOES_WAIT: */
    uint64_t seq;            /* which wait of the slot it is */
    const coir_i_wait *wait; /* a constant */
    const void *on;          /* as a name: may be gone */
    coir_time since, until;
    uint64_t holder;       /* an id; 0: nobody, or not known */
    coir_i_bounds bounds;  /* of the scopes that it has opened itself */
    uint32_t trace, depth; /* see sched/backtrace.h */
    bool cut;              /* the trace goes on */
} coir_i_record;

/* A nursery that is open. */
typedef struct coir_i_opening {
    const coir_i_nursery *at; /* as a name: may be gone */
    uint64_t opener;          /* the id of the fiber that opened it */
    coir_i_bounds bounds;
    unsigned waiting; /* children in it that have not begun */
    bool more;        /* than were counted */
} coir_i_opening;

/* The record of an id. */
typedef struct coir_i_entry {
    uint64_t id;
    uint32_t index;
} coir_i_entry;

typedef struct coir_i_census {
    coir_time taken;
    unsigned workers;
    uint64_t waiting; /* children that have not begun, in all */
    size_t count, room;
    coir_i_record *records; /* openers before what they have opened */
    size_t listed; /* the first so many: who has waited, the youngest first */
    size_t openings_count, openings_room;
    coir_i_opening *openings; /* by address */
    size_t ids;
    coir_i_entry *by_id; /* where which record is: roll.c */
    size_t missed;       /* what there was no room for */
    const void **frames; /* of all traces: coir_i_census_trace */
    size_t framed;       /* how many they are */
    size_t untraced;     /* waits whose stack was not read: too many */
} coir_i_census;

/* Any thread, also one of coir's own; parks never. -EPERM: no runtime runs in
 * this process; -ENOMEM. */
int coir_i_census_take(coir_i_census *census) COIR_MUST_USE;
void coir_i_census_drop(coir_i_census *census);

/* The fiber of that id; NULL: there was none. */
const coir_i_record *coir_i_census_find(const coir_i_census *census,
                                        uint64_t id);
/* The nursery at that address; NULL: it was not seen. */
const coir_i_opening *coir_i_census_opening(const coir_i_census *census,
                                            const coir_i_nursery *at);

/* The backtraces of those who wait, of the first thousands. Any time after it
 * was taken. -ENOMEM. */
int coir_i_census_trace(coir_i_census *census) COIR_MUST_USE;

/* Of the one who takes it, at its end: sched/roll.c. */
void coir_i_census_sort(coir_i_census *census);

/* The first fiber has opened the nursery around all; is about to end. */
void coir_i_census_begin(coir_i_fiber *first);
void coir_i_census_end(void);
/* The child of a fork has no fibers. */
void coir_i_census_forked(void);

#endif
