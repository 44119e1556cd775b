/* jansson's trees as text: as jansson itself writes them. */
#include "base/buf.h"
#include "base/json.h"
#include "check.h"

#include <stdlib.h>

static void compact_as_jansson_writes_it(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "\"\"",
        "{}",
        "[]",
        "[[],{},[{}]]",
        "{\"S\":\"x\"}",
        "{\"a\":1,\"b\":[1,-2,3.5,\"x\",null],\"c\":{\"d\":false}}",
        "[9223372036854775807,-9223372036854775808,1e300,0.1]",
        "\"quote \\\" backslash \\\\ slash /\"",
        "\"\\b\\t\\n\\f\\r \\u0001\"",
        "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x97\xb3\"",
        "{\"\\u00e9\\n\":\"\\ud83d\\uddf3\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        char *expected = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        struct buf text = {0};

        json_to_buf(json, &text);
        check_text(texts[i], expected, buf_slice(&text));
        buf_close(&text);
        free(expected);
        json_decref(json);
    }
}

static void nul_and_del_are_escaped(void **state)
{
    json_t *json = json_stringn("a\0b\x7f", 4);
    struct buf text = {0};

    (void)state;
    json_to_buf(json, &text);
    check_text("NUL and DEL", "\"a\\u0000b\\u007f\"", buf_slice(&text));
    buf_close(&text);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_as_jansson_writes_it),
        cmocka_unit_test(nul_and_del_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
