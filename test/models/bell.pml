/* bell.pml -- the bell is taken down while handlers may ring it
 *
 * HANDLERS of them run at any time, on other threads, while the bell is hung
 * and taken down ROUNDS times. After close(2) its number may be any file's.
 *
 * Proves     no handler writes to a descriptor that is closed, and whoever
 *            takes it down does not wait for ever.
 * Bounds     as above. A handler runs once.
 * Not here   memory orders (all are seq_cst).
 * Code       io/catch.c
 *
 * run -DHANDLERS=3 -DROUNDS=3
 * mutation -DHANDLERS=2 -DROUNDS=1 -DNO_WAIT : assertion
 * mutation -DHANDLERS=2 -DROUNDS=1 -DREAD_FIRST : assertion
 * mutation -DHANDLERS=2 -DROUNDS=1 -DWAIT_FIRST : assertion */
byte inside;
byte ring;                      /* the number of the bell, 0: none */
byte open;                      /* that is open */

active [HANDLERS] proctype handler()
{
    byte number;
#ifdef READ_FIRST
    number = ring;
    inside++;
#else
    inside++;
    number = ring;
#endif
    if
    :: number -> assert(number == open)
    :: else
    fi;
    inside--
}

active proctype closer()
{
    byte round;
    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
        open = round;
        ring = round;
#ifdef WAIT_FIRST
        inside == 0;
        ring = 0;
#else
        ring = 0;
#ifndef NO_WAIT
        inside == 0;
#endif
#endif
        open = 0
    od
}
