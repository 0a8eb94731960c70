/* fiber/life.c -- who a fiber is, and what it says of its failure
 *
 * Does       id, name and message of the life that the calling fiber leads.
 * Locks      none: a life is its own fiber's. Others may read a name for a
 *            report; then they may see it half written, but always with an end.
 * Fails      never. Texts that are too long are cut between two characters.
 * Tests      test/test_fiber.c
 */
#include <coir/fiber.h>

#include "fiber/current.h"
#include "fiber/invariant.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* from may lie in *to. */
void coir_i_copy_text(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size);

    if (length == size) {
        length--;
        /* 10xxxxxx goes on with a character of UTF-8: it goes as a whole. */
        while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80)
            length--;
    }
    to[size - 1] = '\0';
    memmove(to, from, length);
    to[length] = '\0';
}

const char *coir_i_life_message(const coir_i_life *life, int code)
{
    return code != 0 && life->message_code == code ? life->message : "";
}

void coir_i_life_take_message(coir_i_life *life, int code, const char *message)
{
    coir_i_copy_text(life->message, sizeof life->message, message);
    life->message_code = code;
}

int coir_i_life_message_begin(coir_i_life *life)
{
    int before = life->message_code;
    life->message_code = 0;
    return before;
}

void coir_i_life_message_end(coir_i_life *life, int before, int result)
{
    if (life->message_code != 0)
        return; /* it has left one */
    if (result < 0)
        life->message[0] = '\0';
    else
        life->message_code = before;
}

uint64_t coir_id(void)
{
    coir_i_fiber *self = coir_i_self();
    return self ? self->life->id : 0;
}

void coir_name_set(const char *name)
{
    coir_i_fiber *self = coir_i_self();

    coir_i_rule(self, "coir_name_set is for fibers");
    coir_i_copy_text(self->life->name, sizeof self->life->name, name);
}

const char *coir_name(void)
{
    coir_i_fiber *self = coir_i_self();
    return self ? self->life->name : "";
}

int coir_fail(int code, const char *format, ...)
{
    coir_i_fiber *self = coir_i_self();
    /* One more than fits, so that the cut is seen; and apart, since the old
     * message may be among the arguments. */
    char text[COIR_MESSAGE_MAX + 1];
    va_list args;

    if (!self)
        return code;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    coir_i_life_take_message(self->life, code, text);
    return code;
}

const char *coir_message(void)
{
    coir_i_fiber *self = coir_i_self();
    return self ? self->life->message : "";
}
