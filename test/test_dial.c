/* test/test_dial.c -- io/dial.c, address.c: names, and who answers first */
#include "io/address.h"
#include "io/offload.h"
#include "io/sys.h"
#include "test/harness.h"
#include "test/must.h"
#include "test/sockets.h"
#include "test/story.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Names that the test gives: freeaddrinfo(3) frees what calloc made. */

static const char *const *answers; /* the addresses of any name, NULL ends */
static int answer_rc;
static const char *asked_for;

static struct addrinfo *make_answer(const char *text)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    ck_assert_int_eq(getaddrinfo(text, NULL, &hints, &found), 0);
    return found;
}

static int resolve(const char *host, const char *service,
                   const struct addrinfo *hints, struct addrinfo **ret_found)
{
    struct addrinfo *first = NULL, **last = &first;
    ck_assert_ptr_null(service);
    ck_assert_int_eq(hints->ai_socktype, SOCK_STREAM);
    asked_for = strcmp(host, "some.host") == 0 ? "some.host" : "another";
    if (answer_rc < 0)
        return answer_rc;
    for (int i = 0; answers[i]; i++) {
        *last = make_answer(answers[i]);
        last = &(*last)->ai_next;
    }
    *ret_found = first;
    return 0;
}

static void answer(const char *const *with)
{
    answers = with;
    answer_rc = 0;
    coir_i_resolve_install(resolve);
}

/* ---- What a name stands for. */

/* Numbers of a port are the same in all; print them without it. */
static void check_order(const char *const *list, const char *wanted)
{
    coir_i_addresses found;
    struct addrinfo *infos;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char text[64], all[400] = "";
    answer(list);
    ck_assert_int_eq(resolve("some.host", NULL, &hints, &infos), 0);
    ck_assert_int_eq(coir_i_addresses_take(infos, 80, &found), 0);
    freeaddrinfo(infos);
    for (size_t i = 0; i < found.count; i++) {
        coir_i_address_print(&found.at[i], text, sizeof text);
        strcat(strcat(all, i ? " " : ""), text);
    }
    coir_i_addresses_free(&found);
    ck_assert_str_eq(all, wanted);
}

START_TEST(families_take_turns_and_the_first_stays_first)
{
    static const char *const four[] = {"1.0.0.1", "1.0.0.2", NULL};
    static const char *const mixed[] = {"::1",     "::2",     "::3", "::4",
                                        "1.0.0.1", "1.0.0.2", NULL};
    static const char *const other[] = {"1.0.0.1", "::1", "::2", NULL};
    check_order(four, "1.0.0.1:80 1.0.0.2:80");
    check_order(mixed, "[::1]:80 1.0.0.1:80 [::2]:80 1.0.0.2:80 [::3]:80 "
                       "[::4]:80");
    check_order(other, "1.0.0.1:80 [::1]:80 [::2]:80");
}
END_TEST

static int dial_names(void *arg)
{
    char to[64], address[64];
    const char *port;
    (void)arg;
    int listener = coir_listen("localhost:0", 4);
    ck_assert_int_ge(listener, 0);
    coir_local_address(listener, address, sizeof address);
    port = strrchr(address, ':');
    snprintf(to, sizeof to, "localhost%s", port);
    int one = coir_dial(to);
    ck_assert_int_ge(one, 0);
    int other = coir_accept(listener, NULL, NULL);
    ck_assert_int_ge(other, 0);
    ck_assert_int_eq(coir_write(one, "x", 1), 1);
    ck_assert_int_eq(coir_read(other, to, 1), 1);
    ck_assert_int_eq(coir_close(one), 0);
    ck_assert_int_eq(coir_close(other), 0);
    return coir_close(listener);
}

START_TEST(a_name_that_the_system_knows_is_found)
{
    coir_i_resolve_install(NULL); /* getaddrinfo(3), on a thread */
    ck_assert_int_eq(coir_run(dial_names, NULL), 0);
}
END_TEST

static int fail_names(void *arg)
{
    static const char *const none[] = {NULL};
    const int errors[] = {-ENOENT, -EAGAIN, -ENOMEM, -EINVAL, -EMFILE};
    (void)arg;
    for (int i = 0; i < 5; i++) {
        answer(none);
        answer_rc = errors[i];
        ck_assert_int_eq(coir_dial("some.host:1"), errors[i]);
        ck_assert_str_eq(asked_for, "some.host");
        ck_assert_int_eq(coir_listen("some.host:1", 1), errors[i]);
    }
    answer(none);
    ck_assert_int_eq(coir_dial("some.host:1"), -ENOENT);
    /* The host's name is right, the service's not: nobody is asked. */
    asked_for = "nobody";
    ck_assert_int_eq(coir_dial("some.host:no-such-service"), -ENOENT);
    ck_assert_int_eq(coir_dial("some.host:65536"), -EINVAL);
    ck_assert_int_eq(coir_dial("some.invalid:http"), -ENOENT);
    ck_assert_int_eq(coir_dial("invalid.host/x:http"), -EINVAL);
    /* What looks like a number is no name. */
    static const char *const numbers[] = {
        "1.2.3:1",      "256.1.1.1:1",     "1:1",
        "0x7f.1:1",     "1.2.3.4.5:1",     "0x7f:1",
        "127.0.0.1.:1", "a.b.0x1f:1",      ".:1",
        "a..:1",        "4294967296:http", "127.0.0.01:1"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ck_assert_msg(coir_dial(numbers[i]) == -EINVAL, "%s", numbers[i]);
    ck_assert_str_eq(asked_for, "nobody");
    return 0;
}

START_TEST(what_is_no_name_or_unknown_is_told)
{
    ck_assert_int_eq(coir_run(fail_names, NULL), 0);
}
END_TEST

static int read_strange_texts(void *arg)
{
    static const char *const parts[] = {
        ":",   "::",      "[",     "]",        "%",     "lo", ".",
        "1",   "127",     "0x7",   "a",        "unix:", "/",  "@",
        "80",  "65535",   "65536", "-",        "_",     " ",  "\xff",
        "255", "invalid", "ffff",  "99999999", "http",  ""};
    enum { PARTS = sizeof parts / sizeof *parts };
    uint64_t random = 1;
    (void)arg;
    for (uint64_t i = 0; i < test_scaled(200000); i++) {
        char text[400] = "", again[400];
        coir_i_addresses found;
        for (uint64_t k = test_random_below(&random, 12); k > 0; k--)
            strcat(text, parts[test_random_below(&random, PARTS)]);
        enum coir_i_address_use use = i % 2 ? COIR_I_TO_DIAL : COIR_I_TO_LISTEN;
        int rc = coir_i_addresses_find(text, use, &found);
        if (rc < 0) {
            must_not(rc != -EINVAL && rc != -ENOENT && rc != -ENAMETOOLONG);
            continue;
        }
        /* What it says of itself stands for the same. */
        coir_i_address first = found.at[0];
        coir_i_addresses_free(&found);
        must_not(coir_i_address_print(&first, again, sizeof again) < 0);
        must_not(coir_i_addresses_find(again, use, &found) < 0);
        bool is_same = found.at[0].length == first.length &&
                       memcmp(&found.at[0].is, &first.is, first.length) == 0;
        must_not(!is_same && first.is.any.sa_family != AF_INET6);
        coir_i_addresses_free(&found);
    }
    assert_nothing_happened();
    return 0;
}

START_TEST(no_text_is_too_strange)
{
    static const char *const one[] = {"1.0.0.1", NULL};
    answer(one);
    ck_assert_int_eq(coir_run(read_strange_texts, NULL), 0);
}
END_TEST

/* ---- Races. On 127.0.0.0/8 every address is this machine, so that a name's
 * addresses can differ in what they do at the same port. */

/* A listener whose backlog is full lets a dial hang. */
struct hanging {
    int listener;
    int fillers[8];
    char to[64];
};

static int listen_at(const char *host, const char *port, int backlog)
{
    char at[64];
    snprintf(at, sizeof at, "%s:%s", host, port);
    int fd = coir_listen(at, backlog);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* A port that is free on all the loopback addresses of these tests. */
static void find_port(char port[8])
{
    char address[64];
    int fd = listen_at("0.0.0.0", "0", 1);
    coir_local_address(fd, address, sizeof address);
    strcpy(port, strrchr(address, ':') + 1);
    ck_assert_int_eq(coir_close(fd), 0);
}

static void hang(struct hanging *h, const char *host, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    h->listener = listen_at(host, port, 1);
    to.sin_port = htons((uint16_t)atoi(port));
    inet_pton(AF_INET, host, &to.sin_addr);
    for (int i = 0; i < 8; i++) {
        h->fillers[i] =
            socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(h->fillers[i], (struct sockaddr *)&to, sizeof to);
    }
}

static void unhang(struct hanging *h)
{
    for (int i = 0; i < 8; i++)
        close(h->fillers[i]);
    ck_assert_int_eq(coir_close(h->listener), 0);
}

static void dial_some_host(const char *port, const char *peer)
{
    char to[64], text[64];
    snprintf(to, sizeof to, "some.host:%s", port);
    int fd = coir_dial(to);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(coir_peer_address(fd, text, sizeof text), 0);
    *strchr(text, ':') = '\0';
    ck_assert_str_eq(text, peer);
    ck_assert_int_eq(coir_close(fd), 0);
}

static int dial_past_silence(void *arg)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4",
                                        NULL};
    struct hanging h;
    char port[8];
    (void)arg;
    answer(hosts);
    find_port(port);
    hang(&h, "127.0.0.2", port);
    int last = listen_at("127.0.0.4", port, 4);
    /* The first hangs, the second refuses at once: the third after 250 ms. */
    coir_time from = coir_now();
    dial_some_host(port, "127.0.0.4");
    coir_time took = coir_now() - from;
    ck_assert_int_ge(took, COIR_MS(250));
    /* Not the 1 s that the kernel waits before it asks the first again. */
    ck_assert_int_lt(took, COIR_MS(1000));
    ck_assert_int_eq(coir_close(last), 0);
    unhang(&h);
    return 0;
}

START_TEST(an_address_that_is_silent_has_250_ms_before_the_next)
{
    ck_assert_int_eq(run_story(0, dial_past_silence, NULL), 0);
}
END_TEST

static int dial_past_refusal(void *arg)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4",
                                        NULL};
    char port[8];
    (void)arg;
    answer(hosts);
    find_port(port);
    int last = listen_at("127.0.0.4", port, 4);
    coir_time from = coir_now();
    dial_some_host(port, "127.0.0.4");
    ck_assert_int_lt(coir_now() - from, COIR_MS(250));
    ck_assert_int_eq(coir_close(last), 0);
    char to[64];
    snprintf(to, sizeof to, "some.host:%s", port);
    ck_assert_int_eq(coir_dial(to), -ECONNREFUSED);
    return 0;
}

START_TEST(an_address_that_refuses_holds_up_nobody)
{
    ck_assert_int_eq(run_story(0, dial_past_refusal, NULL), 0);
}
END_TEST

static int dial_string(void *to)
{
    int fd = coir_dial(to);
    if (fd >= 0)
        coir_close(fd);
    return fd < 0 ? fd : 0;
}

static int cancel_race(void *arg)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.3", NULL};
    struct hanging h[2];
    char port[8], to[64];
    (void)arg;
    answer(hosts);
    find_port(port);
    hang(&h[0], "127.0.0.2", port);
    hang(&h[1], "127.0.0.3", port);
    snprintf(to, sizeof to, "some.host:%s", port);
    int number = next_number();
    /* In the first's time, and when both are under way. */
    ck_assert_int_eq(coir_timeout(COIR_MS(100), dial_string, to), -ETIMEDOUT);
    ck_assert_int_eq(coir_timeout(COIR_MS(400), dial_string, to), -ETIMEDOUT);
    ck_assert_int_eq(next_number(), number);
    unhang(&h[0]);
    unhang(&h[1]);
    return 0;
}

START_TEST(a_cancelled_race_leaves_nothing_open)
{
    ck_assert_int_eq(run_story(0, cancel_race, NULL), 0);
}
END_TEST

static int fail_race(void *arg)
{
    static const char *const hosts[] = {"255.255.255.255", "127.0.0.2",
                                        "224.0.0.1", NULL};
    char port[8], to[64];
    (void)arg;
    answer(hosts);
    find_port(port);
    snprintf(to, sizeof to, "some.host:%s", port);
    /* What a host answered says more than what cannot be reached. */
    ck_assert_int_eq(coir_dial(to), -ECONNREFUSED);
    static const char *const far[] = {"255.255.255.255", "224.0.0.1", NULL};
    answer(far);
    int rc = coir_dial(to);
    ck_assert_msg(rc == -ENETUNREACH || rc == -EACCES, "%d", rc);
    /* And what this machine lacks more than that. */
    answer(hosts);
    struct rlimit before = limit_descriptors(0);
    ck_assert_int_eq(coir_dial(to), -EMFILE);
    ck_assert_int_eq(coir_listen("127.0.0.1:0", 1), -EMFILE);
    unlimit_descriptors(before);
    before = limit_descriptors(1);
    ck_assert_int_eq(coir_dial(to), -ECONNREFUSED);
    unlimit_descriptors(before);
    return 0;
}

START_TEST(the_failure_that_says_most_is_told)
{
    ck_assert_int_eq(coir_run(fail_race, NULL), 0);
}
END_TEST

/* Both attempts connect at the same moment, after 300 ms. */
static coir_time both_at;

static int connect_late(const char *name)
{
    if (strcmp(name, "connect") == 0)
        COIR_IGNORE(coir_sleep_until(both_at));
    return 0;
}

static int dial_both(void *arg)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.3", NULL};
    char port[8], to[64];
    (void)arg;
    answer(hosts);
    find_port(port);
    int one = listen_at("127.0.0.2", port, 4);
    int other = listen_at("127.0.0.3", port, 4);
    snprintf(to, sizeof to, "some.host:%s", port);
    int number = next_number();
    both_at = coir_now() + COIR_MS(300);
    coir_i_sys_fault = connect_late;
    int fd = coir_dial(to);
    coir_i_sys_fault = NULL;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(coir_close(fd), 0);
    ck_assert_int_eq(next_number(), number);
    /* Both were connected. */
    ck_assert_int_eq(coir_try_poll(one, COIR_READABLE), COIR_READABLE);
    ck_assert_int_eq(coir_try_poll(other, COIR_READABLE), COIR_READABLE);
    ck_assert_int_eq(coir_close(one), 0);
    return coir_close(other);
}

START_TEST(who_comes_in_second_is_closed)
{
    ck_assert_int_eq(run_story(0, dial_both, NULL), 0);
}
END_TEST

enum { CROWD = 300 };

static int dial_crowd(void *arg)
{
    static char texts[CROWD][20];
    static const char *hosts[CROWD + 1];
    char port[8];
    (void)arg;
    for (int i = 0; i < CROWD; i++) {
        snprintf(texts[i], sizeof texts[i], "127.0.%d.%d", 1 + i / 200,
                 1 + i % 200);
        hosts[i] = texts[i];
    }
    answer(hosts);
    find_port(port);
    int last = listen_at(hosts[CROWD - 1], port, 4);
    dial_some_host(port, hosts[CROWD - 1]);
    return coir_close(last);
}

START_TEST(a_name_may_have_any_number_of_addresses)
{
    ck_assert_int_eq(coir_run(dial_crowd, NULL), 0);
}
END_TEST

COIR_SUITE(dial, TEST_WORKERS)
{
    TCase *names = test_case(suite, "names");
    tcase_add_test(names, families_take_turns_and_the_first_stays_first);
    tcase_add_test(names, a_name_that_the_system_knows_is_found);
    tcase_add_test(names, what_is_no_name_or_unknown_is_told);

    tcase_add_test(names, no_text_is_too_strange);

    TCase *races = test_case(suite, "races");
    tcase_add_test(races, an_address_that_is_silent_has_250_ms_before_the_next);
    tcase_add_test(races, an_address_that_refuses_holds_up_nobody);
    tcase_add_test(races, a_cancelled_race_leaves_nothing_open);
    tcase_add_test(races, who_comes_in_second_is_closed);
    tcase_add_test(races, a_name_may_have_any_number_of_addresses);

    TCase *failures = test_case(suite, "failures");
    tcase_add_test(failures, the_failure_that_says_most_is_told);
}
