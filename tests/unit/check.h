/* What every unit test includes: cmocka, and checks that print the row of the table and both
 * values when they fail. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include "base/macros.h"
#include "base/slice.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static inline void check_int_at(const char *says, int64_t wanted, int64_t actual, const char *file,
                                int line)
{
    if (wanted != actual) {
        print_error("%s: wanted %" PRId64 ", got %" PRId64 "\n", says, wanted, actual);
        _fail(file, line);
    }
}

static inline void check_text_at(const char *says, const char *wanted, struct slice actual,
                                 const char *file, int line)
{
    if (!slice_equal_z(actual, wanted)) {
        print_error("%s:\nwanted \"%s\"\n   got \"%.*s\"\n", says, wanted, SLICE_ARG(actual));
        _fail(file, line);
    }
}

#define check_int(says, wanted, actual)                                                            \
    check_int_at(says, (int64_t)(wanted), (int64_t)(actual), __FILE__, __LINE__)
#define check_text(says, wanted, actual) check_text_at(says, wanted, actual, __FILE__, __LINE__)

#endif /* TESTS_UNIT_CHECK_H */
