/* The few macros and inline helpers that everything uses. */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stdint.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* States what a reader must believe; on in release builds too. Never for input: that is validated
 * into errors. */
#define ASSERT(fact)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(fact), 0)) {                                                        \
            assert_failed(#fact, __FILE__, __LINE__, __func__);                                    \
        }                                                                                          \
    } while (0)

/* A place that a reader must believe is never come to. */
#define UNREACHABLE(why) assert_failed(why, __FILE__, __LINE__, __func__)

/* Prints the broken fact and aborts. */
_Noreturn void assert_failed(const char *fact, const char *file, int line, const char *function);

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif /* BASE_MACROS_H */
