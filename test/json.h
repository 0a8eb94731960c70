/* test/json.h -- a reader of JSON, for tests of what coir writes
 *
 * It takes JSON and nothing else. Objects are told as they end, with their
 * members as text; those of an object inside it have the outer name in front:
 * "args.id". */
#ifndef COIR_TEST_JSON_H
#define COIR_TEST_JSON_H

#include "test/harness.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_MEMBERS = 16, JSON_TEXT = 128 };

struct json_member {
    char name[JSON_TEXT], text[JSON_TEXT];
};

struct json_object {
    int count;
    struct json_member member[JSON_MEMBERS];
};

struct json {
    const char *at;
    int depth; /* of arrays */
    /* For each object in an array. */
    void (*told)(const struct json_object *object, void *data);
    void *data;
};

/* NULL: there is none. */
static inline const char *json_text(const struct json_object *object,
                                    const char *name)
{
    for (int i = 0; i < object->count; i++)
        if (strcmp(object->member[i].name, name) == 0)
            return object->member[i].text;
    return NULL;
}

static inline bool json_is(const struct json_object *object, const char *name,
                           const char *text)
{
    const char *is = json_text(object, name);
    return is && strcmp(is, text) == 0;
}

static inline double json_number(const struct json_object *object,
                                 const char *name)
{
    const char *text = json_text(object, name);
    ck_assert_msg(text != NULL, "no %s", name);
    return strtod(text, NULL);
}

static inline void json_space(struct json *j)
{
    while (*j->at && strchr(" \t\r\n", *j->at))
        j->at++;
}

static inline bool json_has(struct json *j, char c)
{
    json_space(j);
    if (*j->at != c)
        return false;
    j->at++;
    return true;
}

static inline void json_must(struct json *j, char c)
{
    if (!json_has(j, c))
        ck_abort_msg("%c is missing before %.40s", c, j->at);
}

/* \u below 0x80 is that byte, others are '?'. */
static inline char json_escaped(struct json *j)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *j->at++;
    const char *known = c ? strchr(from, c) : NULL;
    if (known)
        return to[known - from];
    char digits[5] = "";
    for (int i = 0; i < 4 && c == 'u'; i++)
        digits[i] = *j->at++;
    char *end;
    unsigned long number = strtoul(digits, &end, 16);
    ck_assert_msg(c == 'u' && end == digits + 4, "a bad escape");
    return number < 0x80 ? (char)number : '?';
}

static inline void json_string(struct json *j, char text[JSON_TEXT])
{
    size_t length = 0;
    json_must(j, '"');
    while (*j->at != '"') {
        ck_assert_msg((unsigned char)*j->at >= ' ', "a control character");
        char c = *j->at++;
        if (c == '\\')
            c = json_escaped(j);
        if (length < JSON_TEXT - 1)
            text[length++] = c;
    }
    j->at++;
    text[length] = '\0';
}

static inline void json_value(struct json *j, char text[JSON_TEXT],
                              struct json_object *object, const char *prefix);

static inline void json_members(struct json *j, struct json_object *object,
                                const char *prefix)
{
    json_must(j, '{');
    for (bool more = !json_has(j, '}'); more; more = json_has(j, ',')) {
        struct json_member *m = &object->member[object->count];
        char name[JSON_TEXT], whole[2 * JSON_TEXT];
        json_space(j);
        json_string(j, name);
        json_must(j, ':');
        snprintf(whole, sizeof whole, "%s%s", prefix, name);
        ck_assert_int_lt(object->count, JSON_MEMBERS);
        ck_assert_uint_lt(strlen(whole), sizeof m->name);
        memcpy(m->name, whole, strlen(whole) + 1);
        m->text[0] = '\0';
        object->count++;
        strcat(whole, ".");
        json_value(j, m->text, object, whole);
        json_space(j);
        if (*j->at != ',') {
            json_must(j, '}');
            break;
        }
    }
}

static inline void json_array(struct json *j)
{
    char text[JSON_TEXT];
    json_must(j, '[');
    j->depth++;
    if (!json_has(j, ']')) {
        do {
            struct json_object object = {0};
            json_space(j);
            if (*j->at == '{') {
                json_members(j, &object, "");
                j->told(&object, j->data);
            } else {
                json_value(j, text, &object, "");
            }
        } while (json_has(j, ','));
        json_must(j, ']');
    }
    j->depth--;
}

static inline void json_number_text(struct json *j, char text[JSON_TEXT])
{
    char *end;
    ck_assert_msg(*j->at == '-' || isdigit((unsigned char)*j->at),
                  "no value: %.40s", j->at);
    strtod(j->at, &end);
    snprintf(text, JSON_TEXT, "%.*s", (int)(end - j->at), j->at);
    j->at = end;
}

static inline void json_value(struct json *j, char text[JSON_TEXT],
                              struct json_object *object, const char *prefix)
{
    json_space(j);
    if (*j->at == '"')
        json_string(j, text);
    else if (*j->at == '{')
        json_members(j, object, prefix);
    else if (*j->at == '[')
        json_array(j);
    else
        json_number_text(j, text);
}

/* The members of the outermost object go to *whole. */
static inline void json_read(const char *text, struct json_object *whole,
                             void (*told)(const struct json_object *, void *),
                             void *data)
{
    struct json j = {.at = text, .told = told, .data = data};
    whole->count = 0;
    json_members(&j, whole, "");
    json_space(&j);
    ck_assert_msg(*j.at == '\0', "more behind it: %.40s", j.at);
}

#endif
