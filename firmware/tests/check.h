/* The least a test needs: CHECK() prints what failed and goes on, RUN() names the test, REPORT() is main's
 * result. */
#ifndef LAB_TESTS_CHECK_H
#define LAB_TESTS_CHECK_H

#include <stdio.h>

static int check_failures;
static const char *check_test;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            printf("%s:%d: %s: not %s\n", __FILE__, __LINE__, check_test, #condition);                       \
            check_failures++;                                                                                \
        }                                                                                                    \
    } while (0)

#define CHECK_EQUAL(actual, expected)                                                                        \
    do {                                                                                                     \
        long long check_a = (long long)(actual), check_b = (long long)(expected);                            \
        if (check_a != check_b) {                                                                            \
            printf("%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, check_test, #actual, check_a,    \
                   check_b);                                                                                 \
            check_failures++;                                                                                \
        }                                                                                                    \
    } while (0)

#define RUN(test)                                                                                            \
    do {                                                                                                     \
        check_test = #test;                                                                                  \
        test();                                                                                              \
    } while (0)

#define REPORT() (check_failures > 0 ? 1 : 0)

#endif
