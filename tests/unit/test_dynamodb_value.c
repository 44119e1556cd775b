#include "base/buf.h"
#include "base/json.h"
#include "check.h"
#include "services/dynamodb/value.h"

#define P PARAMETER_INVALID

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);

    if (json == NULL) {
        fail_msg("test data: %s", text);
    }
    return json;
}

static void values_are_checked_and_made_canonical(void **state)
{
    static const struct {
        const char *says, *in, *out, *code, *message;
    } cases[] = {
        {"a string", "{\"S\":\"x\"}", "{\"S\":\"x\"}", NULL, NULL},
        {"an empty one", "{\"S\":\"\"}", "{\"S\":\"\"}", NULL, NULL},
        {"a number", "{\"N\":\"01.50\"}", "{\"N\":\"1.5\"}", NULL, NULL},
        {"binary", "{\"B\":\"AAEC\"}", "{\"B\":\"AAEC\"}", NULL, NULL},
        {"a boolean", "{\"BOOL\":false}", "{\"BOOL\":false}", NULL, NULL},
        {"nothing", "{\"NULL\":true}", "{\"NULL\":true}", NULL, NULL},
        {"a map", "{\"M\":{\"a\":{\"N\":\"+1\"}}}", "{\"M\":{\"a\":{\"N\":\"1\"}}}", NULL, NULL},
        {"a list", "{\"L\":[{\"S\":\"a\"},{\"BOOL\":true}]}",
         "{\"L\":[{\"S\":\"a\"},{\"BOOL\":true}]}", NULL, NULL},
        {"a number set", "{\"NS\":[\"1.0\",\"2\"]}", "{\"NS\":[\"1\",\"2\"]}", NULL, NULL},
        {"unknown types are not there", "{\"S\":\"x\",\"Q\":1}", "{\"S\":\"x\"}", NULL, NULL},
        {"no type", "{}", NULL, "ValidationException",
         "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
        {"two types", "{\"S\":\"x\",\"N\":\"1\"}", NULL, "ValidationException",
         "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the"
         " supported datatypes"},
        {"NULL false", "{\"NULL\":false}", NULL, "ValidationException",
         P "Null attribute value types must have the value of true"},
        {"an empty string set", "{\"SS\":[]}", NULL, "ValidationException",
         P "An string set  may not be empty"},
        {"an empty number set", "{\"NS\":[]}", NULL, "ValidationException",
         P "An number set  may not be empty"},
        {"an empty binary set", "{\"BS\":[]}", NULL, "ValidationException",
         P "Binary sets should not be empty"},
        {"twins", "{\"SS\":[\"a\",\"b\",\"a\"]}", NULL, "ValidationException",
         P "Input collection [a, b, a] contains duplicates."},
        {"twins by value", "{\"NS\":[\"1\",\"1.0\"]}", NULL, "ValidationException",
         "Input collection contains duplicates"},
        {"binary twins", "{\"BS\":[\"YQ==\",\"YQ==\"]}", NULL, "ValidationException",
         P "Input collection [YQ==, YQ==]of type BS contains duplicates."},
        {"a number for a string", "{\"S\":1}", NULL, "SerializationException",
         "NUMBER_VALUE cannot be converted to String"},
        {"a boolean for a number", "{\"N\":true}", NULL, "SerializationException",
         "TRUE_VALUE cannot be converted to String"},
        {"deep trouble", "{\"L\":[{\"M\":{\"a\":{\"N\":\"x\"}}}]}", NULL, "ValidationException",
         "The parameter cannot be converted to a numeric value: x"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *in = parse(cases[i].in), *out = NULL;
        struct error err = {0};
        struct buf text = {0};

        check_int(cases[i].says, cases[i].out == NULL ? ERR_API : 0,
                  value_normalise(in, &out, &err));
        if (cases[i].out == NULL) {
            check_text(cases[i].says, cases[i].code, slice_z(err.aws_code));
            check_text(cases[i].says, cases[i].message, slice_z(err.message));
            assert_null(out);
        } else {
            json_to_buf(out, &text);
            check_text(cases[i].says, cases[i].out, buf_slice(&text));
        }
        buf_close(&text);
        json_decref(in);
        json_decref(out);
    }
}

static void nesting_ends_at_32_levels(void **state)
{
    (void)state;
    for (int levels = 32; levels <= 33; levels++) {
        struct buf text = {0};
        json_t *in, *out = NULL;

        for (int i = 1; i < levels; i++) {
            buf_add_z(&text, "{\"L\":[");
        }
        buf_add_z(&text, "{\"S\":\"\"}");
        for (int i = 1; i < levels; i++) {
            buf_add_z(&text, "]}");
        }
        in = parse(buf_z(&text));
        check_int("levels", levels == 32 ? 0 : ERR_API, value_normalise(in, &out, NULL));
        json_decref(in);
        json_decref(out);
        buf_close(&text);
    }
}

static void equality_is_by_value(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"{\"N\":\"1000\"}", "{\"N\":\"1e3\"}", true},
        {"{\"N\":\"1\"}", "{\"S\":\"1\"}", false},
        {"{\"SS\":[\"a\",\"b\"]}", "{\"SS\":[\"b\",\"a\"]}", true},
        {"{\"SS\":[\"a\"]}", "{\"SS\":[\"a\",\"b\"]}", false},
        {"{\"L\":[{\"S\":\"a\"},{\"S\":\"b\"}]}", "{\"L\":[{\"S\":\"b\"},{\"S\":\"a\"}]}", false},
        {"{\"M\":{\"a\":{\"N\":\"1\"},\"b\":{\"S\":\"\"}}}",
         "{\"M\":{\"b\":{\"S\":\"\"},\"a\":{\"N\":\"1.0\"}}}", true},
        {"{\"M\":{\"a\":{\"N\":\"1\"}}}", "{\"M\":{\"c\":{\"N\":\"1\"}}}", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *raw[2] = {parse(cases[i].a), parse(cases[i].b)};
        json_t *values[2] = {NULL, NULL};

        for (int side = 0; side < 2; side++) {
            assert_int_equal(0, value_normalise(raw[side], &values[side], NULL));
        }
        check_int(cases[i].a, cases[i].equal, value_equal(values[0], values[1]));
        check_int(cases[i].b, cases[i].equal, value_equal(values[1], values[0]));
        for (int side = 0; side < 2; side++) {
            json_decref(raw[side]);
            json_decref(values[side]);
        }
    }
}

static void items_have_the_documented_size(void **state)
{
    static const struct {
        const char *says, *item;
        int64_t bytes;
    } cases[] = {
        {"AWS's own example", "{\"shirt-color\":{\"S\":\"R\"},\"shirt-size\":{\"S\":\"M\"}}", 23},
        {"UTF-8 bytes", "{\"\xc3\xa9\":{\"S\":\"\xe2\x82\xac\"}}", 5},
        {"binary counts decoded", "{\"b\":{\"B\":\"AAE=\"}}", 3},
        {"booleans and NULL", "{\"b\":{\"BOOL\":true},\"n\":{\"NULL\":true}}", 4},
        {"zero", "{\"n\":{\"N\":\"0\"}}", 2},
        {"an empty list", "{\"l\":{\"L\":[]}}", 4},
        {"a list", "{\"l\":{\"L\":[{\"S\":\"ab\"},{\"S\":\"c\"}]}}", 9},
        {"a map", "{\"m\":{\"M\":{\"key\":{\"S\":\"ab\"}}}}", 10},
        {"a set", "{\"s\":{\"SS\":[\"ab\",\"c\"]}}", 4},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *item = parse(cases[i].item);

        check_int(cases[i].says, cases[i].bytes, item_bytes(item));
        json_decref(item);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_checked_and_made_canonical),
        cmocka_unit_test(nesting_ends_at_32_levels),
        cmocka_unit_test(equality_is_by_value),
        cmocka_unit_test(items_have_the_documented_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
