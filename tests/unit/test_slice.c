#include "base/slice.h"
#include "check.h"

static void globs_follow_the_table(void **state)
{
    static const struct {
        const char *text, *pattern;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "*", true},
        {"a", "", false},
        {"dynamodb:Query", "dynamodb:*", true},
        {"dynamodb:Query", "dynamodb:?uery", true},
        {"dynamodb:Query", "*:Put*", false},
        {"aXbXc", "a*b*c", true},
        {"aXbXcd", "a*b*c", false},
        {"aaaaaaaaab", "*a*a*a*b", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_int(cases[i].pattern, cases[i].matches,
                  slice_glob(slice_z(cases[i].text), slice_z(cases[i].pattern)));
    }
}

static void parts_are_split_with_the_empty_ones(void **state)
{
    struct slice rest = SLICE_LIT("a,,b,"), part;
    const char *const wanted[] = {"a", "", "b", ""};
    size_t count = 0;

    (void)state;
    while (slice_next(&rest, ',', &part)) {
        assert_true(count < COUNT_OF(wanted));
        check_text("part", wanted[count++], part);
    }
    check_int("parts", COUNT_OF(wanted), count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs_follow_the_table),
        cmocka_unit_test(parts_are_split_with_the_empty_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
