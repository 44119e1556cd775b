/* The candidate's pure parts: items, routes, names, options, metrics, the access log. */
#include "base/buf.h"
#include "base/error.h"
#include "candidate/access.h"
#include "candidate/item.h"
#include "candidate/metrics.h"
#include "candidate/options.h"
#include "candidate/route.h"
#include "check.h"

#include <stdlib.h>

static void items_become_plain_json(void **state)
{
    static const struct {
        const char *says, *item, *plain;
        int rc;
    } cases[] = {
        {"a string", "{\"A\":{\"S\":\"x\\\"y\"}}", "{\"A\":\"x\\\"y\"}", 0},
        {"a number keeps its 38 digits",
         "{\"A\":{\"N\":\"12345678901234567890123456789012345678\"}}",
         "{\"A\":12345678901234567890123456789012345678}", 0},
        {"a number that is none", "{\"A\":{\"N\":\"1,2\"}}", "", ERR_INVALID},
        {"a leading zero is no JSON", "{\"A\":{\"N\":\"01\"}}", "", ERR_INVALID},
        {"exponents", "{\"A\":{\"N\":\"-0.5\"},\"B\":{\"N\":\"1E+3\"}}", "{\"A\":-0.5,\"B\":1E+3}",
         0},
        {"true, null", "{\"A\":{\"BOOL\":true},\"B\":{\"NULL\":true}}", "{\"A\":true,\"B\":null}",
         0},
        {"a list", "{\"A\":{\"L\":[{\"S\":\"x\"},{\"L\":[]}]}}", "{\"A\":[\"x\",[]]}", 0},
        {"a map", "{\"A\":{\"M\":{\"b\":{\"N\":\"1\"}}}}", "{\"A\":{\"b\":1}}", 0},
        {"sets", "{\"A\":{\"NS\":[\"1\",\"2\"]},\"B\":{\"SS\":[\"x\"]}}",
         "{\"A\":[1,2],\"B\":[\"x\"]}", 0},
        {"bytes stay base64", "{\"A\":{\"B\":\"AAE=\"}}", "{\"A\":\"AAE=\"}", 0},
        {"an empty item", "{}", "{}", 0},
        {"no type", "{\"A\":{}}", "", ERR_INVALID},
        {"two types", "{\"A\":{\"S\":\"x\",\"N\":\"1\"}}", "", ERR_INVALID},
        {"an unknown type", "{\"A\":{\"Z\":\"x\"}}", "", ERR_INVALID},
        {"no item", "[]", "", ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *item = json_loads(cases[i].item, 0, NULL);
        struct buf text = {0};

        check_int(cases[i].says, cases[i].rc, item_plain(item, &text, NULL));
        if (cases[i].rc == 0) {
            check_text(cases[i].says, cases[i].plain, buf_slice(&text));
        }
        buf_close(&text);
        json_decref(item);
    }
}

static void paths_lead_to_routes(void **state)
{
    static const struct {
        const char *path, *method;
        enum route route;
        bool allowed;
    } cases[] = {
        {"/gtg", "GET", ROUTE_GTG, true},
        {"/gtg", "POST", ROUTE_GTG, false},
        {"/gtg", "HEAD", ROUTE_GTG, false},
        {"/gtg/", "GET", ROUTE_NONE, true},
        {"/candidate/x", "POST", ROUTE_CANDIDATE, true},
        {"/candidate/x", "DELETE", ROUTE_CANDIDATE, false},
        {"/candidate", "GET", ROUTE_NONE, true},
        {"/candidate/", "GET", ROUTE_CANDIDATE, true},
        {"/candidates", "GET", ROUTE_CANDIDATES, true},
        {"/candidates", "POST", ROUTE_CANDIDATES, false},
        {"/", "GET", ROUTE_ROOT, true},
        {"/elsewhere", "PUT", ROUTE_NONE, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice name;

        check_int(cases[i].path, cases[i].route, route_find(slice_z(cases[i].path), &name));
        check_int(cases[i].path, cases[i].allowed, route_allows(cases[i].route, cases[i].method));
    }
}

static void names_are_decoded_once(void **state)
{
    static const struct {
        const char *says, *encoded, *name;
    } cases[] = {
        {"plain", "ada", "ada"},
        {"a plus is a plus", "a+b", "a+b"},
        {"escapes", "a%20b%C3%A9", "a b\xc3\xa9"},
        {"only once", "a%2525", "a%25"},
        {"empty", "", NULL},
        {"a slash", "a/b", NULL},
        {"an escaped slash", "a%2Fb", NULL},
        {"a NUL", "a%00", NULL},
        {"half an escape", "a%2", NULL},
        {"not UTF-8", "%ff", NULL},
    };
    struct buf longest = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf name = {0};
        struct error err = {0};
        int rc = route_decode_name(slice_z(cases[i].encoded), &name, &err);

        check_int(cases[i].says, cases[i].name == NULL ? ERR_INVALID : 0, rc);
        if (cases[i].name != NULL) {
            check_text(cases[i].says, cases[i].name, buf_slice(&name));
        } else {
            assert_true(strlen(err.message) > 10);
        }
        buf_close(&name);
    }
    for (int i = 0; i <= NAME_BYTES_MAX; i++) {
        struct buf name = {0};

        buf_add_byte(&longest, 'x');
        if (i + 1 >= NAME_BYTES_MAX) {
            check_int("2048 bytes fit, 2049 do not", i + 1 > NAME_BYTES_MAX ? ERR_INVALID : 0,
                      route_decode_name(buf_slice(&longest), &name, NULL));
        }
        buf_close(&name);
    }
    buf_close(&longest);
}

static void parameters_are_found(void **state)
{
    (void)state;
    check_int("alone", 1, route_has_parameter(SLICE_LIT("details"), "details"));
    check_int("with a value", 1, route_has_parameter(SLICE_LIT("a=b&details=true"), "details"));
    check_int("another", 0, route_has_parameter(SLICE_LIT("detail&detailsx=1"), "details"));
    check_int("none", 0, route_has_parameter(SLICE_EMPTY, "details"));
}

static void options_are_read(void **state)
{
    static char program[] = "candidate", port[] = "--port", eighty[] = "8001",
                off[] = "--metrics-port=off", table[] = "--table", t[] = "T", bad[] = "70000",
                unknown[] = "--unknown", extra[] = "extra", help[] = "--help";
    char *good[] = {program, port, eighty, off, table, t, NULL};
    char *large[] = {program, port, bad, NULL};
    char *missing[] = {program, table, NULL};
    char *strange[] = {program, unknown, NULL};
    char *more[] = {program, extra, NULL};
    char *asks[] = {program, help, NULL};
    enum options_verdict verdict;
    struct options options;

    (void)state;
    setenv("TC_DYNAMO_TABLE", "FromEnvironment", 1);
    check_int("no options", 0, options_parse(1, good, &options, &verdict, NULL));
    check_text("the variable", "FromEnvironment", slice_z(options.table));
    check_int("the usual port", 8000, options.port);
    unsetenv("TC_DYNAMO_TABLE");
    check_int("no variable", 0, options_parse(1, good, &options, &verdict, NULL));
    check_text("the usual table", "Candidates", slice_z(options.table));
    check_int("options", 0, options_parse(6, good, &options, &verdict, NULL));
    check_int("port", 8001, options.port);
    check_int("metrics off", -1, options.metrics_port);
    check_text("table", "T", slice_z(options.table));
    check_int("a port that is none", ERR_CONFIG, options_parse(3, large, &options, &verdict, NULL));
    check_int("no value", ERR_CONFIG, options_parse(2, missing, &options, &verdict, NULL));
    check_int("unknown", ERR_CONFIG, options_parse(2, strange, &options, &verdict, NULL));
    check_int("too much", ERR_CONFIG, options_parse(2, more, &options, &verdict, NULL));
    check_int("help", 0, options_parse(2, asks, &options, &verdict, NULL));
    check_int("help", OPTIONS_HELP, verdict);
}

static void metrics_are_counted(void **state)
{
    struct metrics metrics = {0};
    struct buf text = {0};
    static const char *const wanted[] = {
        "candidate_requests_total{route=\"gtg\",method=\"GET\",code=\"200\"} 2\n",
        "candidate_requests_total{route=\"none\",method=\"other\",code=\"404\"} 1\n",
        "candidate_request_duration_seconds_bucket{route=\"gtg\",le=\"0.001\"} 1\n",
        "candidate_request_duration_seconds_bucket{route=\"gtg\",le=\"+Inf\"} 2\n",
        "candidate_store_requests_total{operation=\"Scan\",outcome=\"ok\"} 1\n",
        "candidate_info{version=\"1\",instance_id=\"i-\\\"1\",table=\"T\"} 1\n",
        "candidate_in_flight 3\n",
        "candidate_draining 1\n",
    };

    (void)state;
    metrics_request(&metrics, ROUTE_GTG, "GET", 200, 0.0007);
    metrics_request(&metrics, ROUTE_GTG, "GET", 200, 60);
    metrics_request(&metrics, ROUTE_NONE, "BREW", 404, 0.1);
    metrics_store(&metrics, "Scan", "ok");
    metrics_text(
        &metrics,
        &(struct metrics_now){
            .version = "1", .instance_id = "i-\"1", .table = "T", .in_flight = 3, .draining = true},
        &text);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        if (strstr(buf_z(&text), wanted[i]) == NULL) {
            fail_msg("no line %s in\n%s", wanted[i], buf_z(&text));
        }
    }
    buf_close(&text);
    metrics_close(&metrics);
}

static void an_access_line_is_json_whatever_was_asked(void **state)
{
    struct buf text = {0};
    const struct access_line line = {.wall_ms = 1000,
                                     .client = "10.0.0.5",
                                     .method = "GET",
                                     .target = SLICE_LIT("/a\"\\\xff\n"),
                                     .status = 200,
                                     .bytes = 12,
                                     .ms = 1.5};

    (void)state;
    access_format(&line, &text);
    check_text("one line",
               "{\"time\":\"1970-01-01T00:00:01.000Z\",\"client\":\"10.0.0.5\",\"method\":\"GET\","
               "\"path\":\"/a\\\"\\\\\\u00ff\\u000a\",\"status\":200,\"bytes\":12,\"ms\":1.500}\n",
               buf_slice(&text));
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_become_plain_json),
        cmocka_unit_test(paths_lead_to_routes),
        cmocka_unit_test(names_are_decoded_once),
        cmocka_unit_test(parameters_are_found),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(metrics_are_counted),
        cmocka_unit_test(an_access_line_is_json_whatever_was_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
