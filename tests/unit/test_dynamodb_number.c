#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"
#include "check.h"
#include "services/dynamodb/number.h"

#include <stdlib.h>

#define NUMERIC "The parameter cannot be converted to a numeric value"
#define HIGH                                                                                       \
    "Number overflow. Attempting to store a number with magnitude larger than supported range"
#define LOW                                                                                        \
    "Number underflow. Attempting to store a number with magnitude smaller than supported range"
#define PRECISE "Attempting to store more than 38 significant digits in a Number"
#define DIGITS_38 "12345678901234567890123456789012345678"

static void numbers_are_read_and_printed_by_the_table(void **state)
{
    static const struct {
        const char *says, *text, *printed, *message;
    } cases[] = {
        {"whole", "3", "3", NULL},
        {"negative", "-7.1234", "-7.1234", NULL},
        {"a plus goes", "+3", "3", NULL},
        {"no digit before the point", ".123", "0.123", NULL},
        {"nor after", "5.", "5", NULL},
        {"leading zeros go", "0001.23", "1.23", NULL},
        {"trailing zeros go", "1.500", "1.5", NULL},
        {"an exponent", "-17e5", "-1700000", NULL},
        {"with a sign", "1e+5", "100000", NULL},
        {"capital", "1E5", "100000", NULL},
        {"negative", "125e-5", "0.00125", NULL},
        {"inner zeros stay", "1002003000", "1002003000", NULL},
        {"zero", "0", "0", NULL},
        {"minus zero", "-0.00", "0", NULL},
        {"38 digits", DIGITS_38, DIGITS_38, NULL},
        {"38 digits among zeros", "00" DIGITS_38 "000", DIGITS_38 "000", NULL},
        {"39 digits", DIGITS_38 "9", NULL, PRECISE},
        {"39 with an inner zero", "1000000000000000000000000000000000000.01", NULL, PRECISE},
        {"the largest exponent", "1e125",
         "100000000000000000000000000000000000000000000000000000000000000"
         "000000000000000000000000000000000000000000000000000000000000000",
         NULL},
        {"one more", "1e126", NULL, HIGH},
        {"far more", "1e99999999999999999999", NULL, HIGH},
        {"too small", "1e-131", NULL, LOW},
        {"small by its place", "0.1e-130", NULL, LOW},
        {"even zero has limits", "0e126", NULL, HIGH},
        {"at both ends", "0e-131", NULL, LOW},
        {"nothing", "", NULL, NUMERIC},
        {"a word", "dog", NULL, NUMERIC ": dog"},
        {"not a number", "NaN", NULL, NUMERIC ": NaN"},
        {"a blank before", " 1", NULL, NUMERIC ":  1"},
        {"a blank after", "1 ", NULL, NUMERIC ": 1 "},
        {"hexadecimal", "0x1", NULL, NUMERIC ": 0x1"},
        {"two points", "1.2.3", NULL, NUMERIC ": 1.2.3"},
        {"a point alone", ".", NULL, NUMERIC ": ."},
        {"an empty exponent", "1e", NULL, NUMERIC ": 1e"},
        {"a signed nothing", "1e+", NULL, NUMERIC ": 1e+"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct number number;
        struct error err = {0};
        struct buf printed = {0};

        check_int(cases[i].says, cases[i].message == NULL ? 0 : ERR_API,
                  number_parse(slice_z(cases[i].text), &number, &err));
        if (cases[i].message != NULL) {
            check_text(cases[i].says, cases[i].message, slice_z(err.message));
            continue;
        }
        number_format(&number, &printed);
        if (i == 18) {
            check_int(cases[i].says, 126, printed.bytes);
        } else {
            check_text(cases[i].says, cases[i].printed, buf_slice(&printed));
        }
        buf_close(&printed);
    }
}

static void number_at(const char *text, struct number *number)
{
    check_int(text, 0, number_parse(slice_z(text), number, NULL));
}

static void keys_are_as_documented(void **state)
{
    static const char *const pairs[][2] = {
        {"0", "01"},
        {"1", "02820b00"},
        {"10", "02830b00"},
        {"1.5", "02821000"},
        {"-1", "007df4ff"},
        {"-1.55", "007defccff"},
        {"1E-130", "02000b00"},
        {"99999999999999999999999999999999999999e88", "02ff64646464646464646464646464646464646464"
                                                      "00"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct number number;
        struct buf key = {0}, hex = {0};

        number_at(pairs[i][0], &number);
        number_key(&number, &key);
        text_hex_encode(&hex, buf_slice(&key));
        check_text(pairs[i][0], pairs[i][1], buf_slice(&hex));
        buf_close(&key);
        buf_close(&hex);
    }
}

/* In ascending order. */
static const char *const ladder[] = {
    "-9.9e125", "-1e125", "-100.5", "-100",    "-99.999", "-10",    "-1.55",  "-1.5",
    "-1",       "-0.5",   "-0.05",  "-1e-130", "0",       "1e-130", "0.05",   "0.5",
    "0.55",     "1",      "1.05",   "1.5",     "1.55",    "9",      "9.9",    "10",
    "11",       "100",    "101",    "1e38",    "1.1e38",  "1e125",  "9.9e125"};

static void keys_sort_as_the_numbers_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ladder); i++) {
        for (size_t j = 0; j < COUNT_OF(ladder); j++) {
            struct number a, b;
            struct buf x = {0}, y = {0};
            int wanted = (i > j) - (i < j);
            int order;

            number_at(ladder[i], &a);
            number_at(ladder[j], &b);
            number_key(&a, &x);
            number_key(&b, &y);
            order = slice_compare(buf_slice(&x), buf_slice(&y));
            check_int(ladder[i], wanted, (order > 0) - (order < 0));
            order = number_compare(&a, &b);
            check_int(ladder[j], wanted, (order > 0) - (order < 0));
            buf_close(&x);
            buf_close(&y);
        }
    }
}

static void random_keys_sort_too(void **state)
{
    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        int64_t values[2];
        struct number numbers[2];
        struct buf keys[2] = {0};
        int order;

        for (int side = 0; side < 2; side++) {
            struct buf text = {0};

            values[side] =
                (rand() % 2 == 0 ? 1 : -1) * (int64_t)(rand() % (1 << (rand() % 30 + 1)));
            buf_printf(&text, "%llde-3", (long long)values[side]);
            number_at(buf_z(&text), &numbers[side]);
            number_key(&numbers[side], &keys[side]);
            buf_close(&text);
        }
        order = slice_compare(buf_slice(&keys[0]), buf_slice(&keys[1]));
        check_int("seed 7", (values[0] > values[1]) - (values[0] < values[1]),
                  (order > 0) - (order < 0));
        buf_close(&keys[0]);
        buf_close(&keys[1]);
    }
}

static void sums_are_exact(void **state)
{
    static const struct {
        const char *a, *b;
        int sign;
        const char *sum, *message;
    } cases[] = {
        {"1", "2", 1, "3", NULL},
        {"0.1", "0.2", 1, "0.3", NULL},
        {"999", "1", 1, "1000", NULL},
        {"5", "7", -1, "-2", NULL},
        {"1000", "1", -1, "999", NULL},
        {"-1.5", "-2.5", 1, "-4", NULL},
        {"3", "3", -1, "0", NULL},
        {"0", "12", -1, "-12", NULL},
        {"100000000000000000000000000000000000.01", "0.09", 1,
         "100000000000000000000000000000000000.1", NULL},
        {"1e125", "9e125", 1, NULL, HIGH},
        {"1e40", "1e-40", 1, NULL, PRECISE},
        {"-99999999999999999999999999999999999999", "1", -1,
         "-100000000000000000000000000000000000000", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct number a, b, sum;
        struct error err = {0};
        struct buf text = {0};

        number_at(cases[i].a, &a);
        number_at(cases[i].b, &b);
        check_int(cases[i].a, cases[i].sum == NULL ? ERR_API : 0,
                  number_add(&a, &b, cases[i].sign, &sum, &err));
        if (cases[i].sum == NULL) {
            check_text(cases[i].a, cases[i].message, slice_z(err.message));
        } else {
            number_format(&sum, &text);
            check_text(cases[i].a, cases[i].sum, buf_slice(&text));
        }
        buf_close(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_and_printed_by_the_table),
        cmocka_unit_test(keys_are_as_documented),
        cmocka_unit_test(keys_sort_as_the_numbers_do),
        cmocka_unit_test(random_keys_sort_too),
        cmocka_unit_test(sums_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
