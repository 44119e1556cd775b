/* When a health check's answer is one. */
#include "check.h"
#include "compute/probe.h"

static const struct {
    const char *says;
    const char *answer;
    bool ended;
    int verdict;
} rows[] = {
    {"nothing yet", "", false, 0},
    {"half a status line", "HTTP/1.1 20", false, 0},
    {"headers that go on", "HTTP/1.1 200 OK\r\nA: b\r\n", false, 0},
    {"headers cut off", "HTTP/1.1 200 OK\r\nContent-Le", true, -1},
    {"no answer at all", "", true, -1},
    {"a body up to the end, going on", "HTTP/1.1 200 OK\r\n\r\nab", false, 0},
    {"a body up to the end", "HTTP/1.1 200 OK\r\n\r\nab", true, 200},
    {"a body of its length, still open", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false,
     200},
    {"lower case is as good", "HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nab", false, 200},
    {"a body that is too short yet", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, 0},
    {"a body cut off", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", true, -1},
    {"no body by its status", "HTTP/1.1 204 No Content\r\n\r\n", false, 204},
    {"an empty body", "HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n", false, 503},
    {"a length that is none is ignored", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab", true,
     200},
    {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", true, -1},
    {"a status that is none", "HTTP/1.1 abc\r\n\r\n", true, -1},
    {"a status out of range", "HTTP/1.1 099 x\r\n\r\n", true, -1},
};

static void answers_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice answer = slice_z(rows[i].answer);

        check_int(rows[i].says, rows[i].verdict, probe_judge(answer, answer.bytes, rows[i].ended));
    }
}

static void nothing_is_read_for_ever(void **state)
{
    static char endless[PROBE_HEAD_BYTES_MAX] = "HTTP/1.1 200 OK\r\n";
    static const char large[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";

    (void)state;
    check_int("headers without an end", -1,
              probe_judge(slice_of(endless, sizeof(endless)), sizeof(endless), false));
    check_int("a large body, so far", 0, probe_judge(slice_z(large), PROBE_BYTES_MAX - 1, false));
    check_int("as much of it as is read", 200, probe_judge(slice_z(large), PROBE_BYTES_MAX, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_judged),
        cmocka_unit_test(nothing_is_read_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
