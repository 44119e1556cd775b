/* The resolver's messages: what is a question, and what is answered. */
#include "check.h"

#include "services/imds/dns.h"

#include <string.h>

/* A query of @labels ("\2ip\3com") for @type. */
static struct slice query(const char *labels, size_t bytes, uint16_t type, char room[512])
{
    static const char header[12] = {0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t used = sizeof(header);

    memcpy(room, header, used);
    memcpy(room + used, labels, bytes);
    used += bytes;
    room[used++] = 0;
    room[used++] = (char)(type >> 8);
    room[used++] = (char)type;
    room[used++] = 0;
    room[used++] = 1;
    return slice_of(room, used);
}

#define QUERY(labels, type, room) query(labels, sizeof(labels) - 1, type, room)

static void questions(void **state)
{
    struct dns_question question;
    char room[512];
    struct slice message = QUERY("\013ip-10-0-0-5\011US-east-2\7compute\10internal", DNS_A, room);

    (void)state;
    assert_true(dns_read(message, &question));
    assert_string_equal(question.name, "ip-10-0-0-5.us-east-2.compute.internal");
    assert_int_equal(question.type, DNS_A);
    assert_int_equal(question.id, 0x1234);
    assert_int_equal(question.bytes, message.bytes);
    /* Cut anywhere it is none; with more behind it (EDNS) it is. */
    for (size_t bytes = 0; bytes < message.bytes; bytes++) {
        assert_false(dns_read(slice_of(room, bytes), &question));
    }
    assert_true(dns_read(slice_of(room, message.bytes + 11), &question));
    assert_int_equal(question.bytes, message.bytes);
}

static void refused(void **state)
{
    static const struct {
        const char *says;
        size_t at;
        char byte;
    } rows[] = {
        {"an answer", 2, (char)0x81},  {"an update", 2, 0x29},
        {"no question", 5, 0},         {"two questions", 5, 2},
        {"a pointer", 12, (char)0xc0}, {"a long label", 12, 0x40},
        {"a dot in a label", 13, '.'}, {"a blank in a label", 13, ' '},
        {"a NUL in a label", 13, 0},   {"a label to the end", 12, 60},
        {"another class", 20, 3},
    };
    struct dns_question question;
    char room[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice message = QUERY("\3www", DNS_A, room);

        room[rows[i].at] = rows[i].byte;
        check_int(rows[i].says, false, dns_read(message, &question));
        check_int(rows[i].says, 0, question.bytes);
    }
}

static void answers(void **state)
{
    static const char address[] = "\x12\x34\x85\x80\0\1\0\1\0\0\0\0\3www\0\0\1\0\1"
                                  "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\5";
    static const char pointer[] = "\xc0\x0c\0\x0c\0\1\0\0\0\x3c\0\6\1a\2bc\0";
    static const char none[] = "\x12\x34\x85\x83\0\1\0\0\0\0\0\0\3www\0\0\1\0\1";
    struct dns_question question;
    uint8_t answer[DNS_MESSAGE_BYTES_MAX];
    char room[512];
    struct slice message = QUERY("\3www", DNS_A, room);
    size_t bytes;

    (void)state;
    assert_true(dns_read(message, &question));
    assert_int_equal(dns_write_address(message, &question, 0x0a000005, answer),
                     sizeof(address) - 1);
    assert_memory_equal(answer, address, sizeof(address) - 1);
    assert_int_equal(dns_write_code(message, &question, DNS_NO_NAME, answer), sizeof(none) - 1);
    assert_memory_equal(answer, none, sizeof(none) - 1);
    message = QUERY("\3www", DNS_PTR, room);
    assert_true(dns_read(message, &question));
    bytes = dns_write_name(message, &question, "a.bc", answer);
    assert_int_equal(bytes, message.bytes + sizeof(pointer) - 2 + 1);
    assert_memory_equal(answer + message.bytes, pointer, sizeof(pointer) - 1);
}

static void names(void **state)
{
    static const struct {
        const char *name;
        bool good;
        uint32_t address;
    } reverse[] = {
        {"5.0.0.10.in-addr.arpa", true, 0x0a000005}, {"4.3.2.1.in-addr.arpa", true, 0x01020304},
        {"0.0.10.in-addr.arpa", false, 0},           {"5.0.0.256.in-addr.arpa", false, 0},
        {"5.0.0.10.in-addr.arpax", false, 0},        {".in-addr.arpa", false, 0},
        {"a5.0.0.10.in-addr.arpa", false, 0},        {"", false, 0},
    };
    static const struct {
        const char *label;
        bool good;
        uint32_t address;
    } dashed[] = {
        {"ip-10-0-0-5", true, 0x0a000005},   {"ip-10-0-0", false, 0},
        {"ip-10.0.0.5", false, 0},           {"ip-", false, 0},
        {"ec2-10-0-0-5", false, 0},          {"ip-10-0-0-5-1", false, 0},
        {"ip-100-100-100-100-10", false, 0},
    };
    uint32_t address = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(reverse); i++) {
        check_int(reverse[i].name, reverse[i].good, dns_reverse(reverse[i].name, &address));
        if (reverse[i].good) {
            check_int(reverse[i].name, reverse[i].address, address);
        }
    }
    for (size_t i = 0; i < COUNT_OF(dashed); i++) {
        check_int(dashed[i].label, dashed[i].good,
                  dns_dashed(slice_z(dashed[i].label), "ip-", &address));
        if (dashed[i].good) {
            check_int(dashed[i].label, dashed[i].address, address);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(questions), cmocka_unit_test(refused),
                                       cmocka_unit_test(answers), cmocka_unit_test(names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
