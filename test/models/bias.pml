/* bias.pml -- what one worker enters by plain stores, until a spare comes
 *
 * The owner says that it is inside, looks whether it has the bias, and if so
 * takes from its ring by a store and changes its nest without the lock. Whoever
 * starts the first spare takes the bias away, makes a fence on every CPU, and
 * waits until the owner is not inside. From then on all use CAS and the lock.
 *
 * The owner's stores go through a store buffer, first in first out, as on
 * x86-64; what it has in there it sees itself. A CAS or an exchange empties it,
 * and so does the fence of who revokes.
 *
 * Proves     each fiber is taken once; who is in the nest sees all that was
 *            done there before, and is alone.
 * Bounds     SLOTS fibers and ROUNDS visits to the nest by the owner, as many by
 *            a thief; the bias is taken away once, at any time.
 * Not here   reordering that x86-64 does not do; there the compiler's fence, the
 *            release of `inside` and membarrier(2) are what is needed, too.
 * Code       sched/bias.h, sched/bias.c, sched/ring.h, sched/nest.c
 *
 * run
 * run -DSLOTS=3 -DROUNDS=1
 * mutation -DNO_FENCE : assertion
 * mutation -DNO_WAIT : assertion
 * mutation -DLOOK_ONCE : assertion
 * mutation -DLEAVE_EARLY : assertion
 * mutation -DBIAS_FIRST : assertion */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define SHARED 0
#define REVOKED 1
#define MINE 2
#define ROOM 7

/* Memory. */
byte on = MINE;
bool inside;
bool taken;                     /* the nest's lock */
byte head;                      /* of the ring */
byte data;                      /* of the nest */

byte took[SLOTS];               /* how often each fiber was taken */
byte visits;                    /* to the nest: what data should be */

/* The owner's store buffer: what and which value. */
mtype = { INSIDE, TAKEN, HEAD, DATA };
chan buffer = [ROOM] of { mtype, byte };
byte heads, datas;              /* how many of these are in it */
byte own_head, own_data;        /* the last of them */
bool owner_over;

inline land()
{
    if
    :: buffer?INSIDE(value) -> inside = value
    :: buffer?TAKEN(value) -> taken = value
    :: buffer?HEAD(value) -> head = value; heads--
    :: buffer?DATA(value) -> data = value; datas--
    fi
}

inline empty_buffer()
{
    do
    :: nempty(buffer) -> land()
    :: empty(buffer) -> break
    od
}

active proctype Buffer()
{
    byte value;
    do
    :: atomic { nempty(buffer) -> land(); value = 0 }
    :: owner_over && empty(buffer) -> break
    od
}

inline store_head(v) { atomic { buffer!HEAD(v); own_head = v; heads++ } }
inline store_data(v) { atomic { buffer!DATA(v); own_data = v; datas++ } }

/* by_bias: is it in? */
inline enter()
{
    by_bias = false;
    if
    :: on == MINE ->
        buffer!INSIDE(1);
#ifdef LOOK_ONCE
        by_bias = true
#else
        if
        :: on == MINE -> by_bias = true
        :: on != MINE -> buffer!INSIDE(0)
        fi
#endif
    :: on != MINE
    fi
}

inline take_from_ring()
{
    h = (heads > 0 -> own_head : head);
    if
    :: h < SLOTS ->
        enter();
        if
        :: by_bias ->
#ifdef LEAVE_EARLY
            buffer!INSIDE(0);
            store_head(h + 1);
#else
            store_head(h + 1);
            buffer!INSIDE(0);
#endif
            took[h]++;
            assert(took[h] == 1)
        :: !by_bias ->
            atomic {
                empty_buffer();
                if
                :: head == h ->
                    head = h + 1;
                    took[h]++;
                    assert(took[h] == 1)
                :: else
                fi;
                value = 0
            }
        fi
    :: else
    fi;
    h = 0
}

inline visit_nest()
{
    enter();
    if
    :: by_bias
    :: !by_bias -> atomic { !taken -> empty_buffer(); taken = true; value = 0 }
    fi;
    h = (datas > 0 -> own_data : data);
    assert(h == visits);
    atomic { visits++; store_data(h + 1) };
    h = 0;
#ifdef BIAS_FIRST
    buffer!INSIDE(0);
    buffer!TAKEN(0)
#else
    buffer!TAKEN(0);
    buffer!INSIDE(0)
#endif
}

active proctype Owner()
{
    byte i, h, value;
    bool by_bias;
    do
    :: i < ROUNDS -> visit_nest(); take_from_ring(); i++
    :: else -> break
    od;
    owner_over = true
}

active proctype Thief()
{
    byte i, h;
    on == SHARED;
    do
    :: i < ROUNDS ->
        atomic { !taken -> taken = true };
        h = data;
        assert(h == visits);
        visits++;
        data = h + 1;
        taken = false;
        h = head;
        atomic {
            if
            :: h < SLOTS && head == h ->
                head = h + 1;
                took[h]++;
                assert(took[h] == 1)
            :: else
            fi;
            h = 0
        };
        i++
    :: else -> break
    od
}

active proctype Revoker()
{
    byte value;
    on = REVOKED;
#ifndef NO_FENCE
    atomic { empty_buffer(); value = 0 };
#endif
#ifndef NO_WAIT
    !inside;
#endif
    on = SHARED
}
