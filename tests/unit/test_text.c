#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"
#include "check.h"

static void numbers_follow_the_table(void **state)
{
    static const struct {
        const char *says, *text;
        int64_t min, max;
        int rc;
        int64_t number;
    } cases[] = {
        {"a plain number", "42", 0, 100, 0, 42},
        {"a negative one", "-7", -10, 10, 0, -7},
        {"the smallest there is", "-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN},
        {"one more than fits", "9223372036854775808", INT64_MIN, INT64_MAX, ERR_INVALID, 0},
        {"nothing", "", 0, 1, ERR_INVALID, 0},
        {"a sign alone", "-", 0, 1, ERR_INVALID, 0},
        {"blanks are not skipped", " 1", 0, 1, ERR_INVALID, 0},
        {"trailing text", "1x", 0, 1, ERR_INVALID, 0},
        {"below the range", "-1", 0, 9, ERR_INVALID, 0},
        {"above the range", "10", 0, 9, ERR_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t number = 0;

        check_int(cases[i].says, cases[i].rc,
                  text_to_i64(slice_z(cases[i].text), cases[i].min, cases[i].max, &number, NULL));
        check_int(cases[i].says, cases[i].number, number);
    }
}

static void doubles_print_as_they_were_read(void **state)
{
    static const char *const texts[] = {"60.0",  "0.1", "33.333333333333336", "-0.5",
                                        "1e+20", "NaN", "Infinity",           "-Infinity"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct buf buf = {0};
        double number;

        check_int(texts[i], 0, text_to_double(slice_z(texts[i]), &number, NULL));
        buf_add_double(&buf, number);
        check_text("round trip", texts[i], buf_slice(&buf));
        buf_close(&buf);
    }
    for (size_t i = 0; i < 4; i++) {
        static const char *const bad[] = {"", "0x10", "inf", "1e999"};
        double number;

        check_int(bad[i], ERR_INVALID, text_to_double(slice_z(bad[i]), &number, NULL));
    }
}

static void base64_follows_rfc_4648(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {"Z", "Zg=", "Zg===", "Z=g=", "Zm9v!", "===="};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct buf there = {0}, back = {0};

        text_base64_encode(&there, slice_z(pairs[i][0]));
        check_text("encode", pairs[i][1], buf_slice(&there));
        check_int("decode", 0, text_base64_decode(&back, buf_slice(&there), NULL));
        check_text("decode", pairs[i][0], buf_slice(&back));
        buf_close(&there);
        buf_close(&back);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf back = {0};

        check_int(bad[i], ERR_INVALID, text_base64_decode(&back, slice_z(bad[i]), NULL));
        buf_close(&back);
    }
}

static void percent_coding_is_strict(void **state)
{
    struct buf buf = {0};

    (void)state;
    text_percent_encode(&buf, SLICE_LIT("a b/\xc3\xa9~*"), false);
    check_text("encode", "a%20b%2F%C3%A9~%2A", buf_slice(&buf));
    buf_clear(&buf);
    check_int("form", 0, text_percent_decode(&buf, SLICE_LIT("a+b%2Fc"), true, NULL));
    check_text("form", "a b/c", buf_slice(&buf));
    check_int("cut short", ERR_INVALID, text_percent_decode(&buf, SLICE_LIT("%4"), false, NULL));
    check_int("not hex", ERR_INVALID, text_percent_decode(&buf, SLICE_LIT("%zz"), false, NULL));
    buf_close(&buf);
}

static void utf8_is_well_formed_or_refused(void **state)
{
    static const struct {
        const char *says, *text;
        bool good;
    } cases[] = {
        {"ascii", "abc", true},
        {"two, three and four bytes", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"cut short", "\xe2\x82", false},
        {"overlong", "\xc0\xaf", false},
        {"overlong of three", "\xe0\x80\xaf", false},
        {"a surrogate", "\xed\xa0\x80", false},
        {"beyond the last", "\xf4\x90\x80\x80", false},
        {"a lone continuation", "\x80", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_int(cases[i].says, cases[i].good, text_is_utf8(slice_z(cases[i].text)));
    }
}

/* Whoever cuts a text for a message may cut it in the midst of a character. */
static void messages_are_utf8(void **state)
{
    struct error err = {0};
    char longest[ERROR_MESSAGE_BYTES];

    (void)state;
    error_set(&err, ERR_INVALID, "%.1s, %.3s%s", "\xc3\xa4", "\xf0\x9f\x97\xb3", "\xe2\x82\xac");
    check_text("cut, cut and whole", "?, ???\xe2\x82\xac", slice_z(err.message));
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    longest[sizeof(longest) - 2] = '\xc3';
    error_set(&err, ERR_INVALID, "%s\xa4", longest);
    longest[sizeof(longest) - 2] = '?';
    check_text("cut at the end of the room", longest, slice_z(err.message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_follow_the_table),
        cmocka_unit_test(messages_are_utf8),
        cmocka_unit_test(doubles_print_as_they_were_read),
        cmocka_unit_test(base64_follows_rfc_4648),
        cmocka_unit_test(percent_coding_is_strict),
        cmocka_unit_test(utf8_is_well_formed_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
