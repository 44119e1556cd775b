/* Whoever owns musterd can send the warden anything: each field out of its range is refused. */
#include "check.h"

#include "base/alloc.h"
#include "warden/check.h"
#include "warden/private.h"

#include <stdlib.h>
#include <string.h>

#define VPC "vpc-0123456789abcdef0"
#define INSTANCE "i-0123456789abcdef0"

static struct {
    struct warden_header header;
    _Alignas(8) char payload[WARDEN_MESSAGE_BYTES_MAX];
} message;
_Static_assert(offsetof(__typeof__(message), payload) == sizeof(struct warden_header), "no gap");

static size_t begin(uint32_t op, size_t payload_bytes)
{
    memset(&message, 0, sizeof(message));
    message.header = (struct warden_header){
        .magic = WARDEN_MAGIC, .op = op, .serial = 1, .payload_bytes = (uint32_t)payload_bytes};
    return sizeof(message.header) + payload_bytes;
}

static bool taken(void)
{
    return warden_check(&message, sizeof(message.header) + message.header.payload_bytes);
}

/* A row: where a number lies, how wide it is, a value that is refused. */
struct field {
    const char *says;
    size_t at, bytes;
    int64_t value;
};
#define FIELD(type, member, number)                                                                \
    {                                                                                              \
#member " = " #number, offsetof(type, member), sizeof(((type *)0)->member), number         \
    }

static void refuse(const struct field *fields, size_t count, size_t base)
{
    char before[8];

    check_int("as it is", true, taken());
    for (size_t i = 0; i < count; i++) {
        char *place = message.payload + base + fields[i].at;

        memcpy(before, place, fields[i].bytes);
        memcpy(place, &fields[i].value, fields[i].bytes); /* Little end first. */
        check_int(fields[i].says, false, taken());
        memcpy(place, before, fields[i].bytes);
    }
    check_int("as it was", true, taken());
}

/* What is no id of the kind wanted. */
static void refuse_ids(size_t at, const char *prefix)
{
    static const char *const tails[] = {
        "",
        "0123456",
        "0123456789abcdef01",
        "0123456789abcdeF0",
        "0123456789abcde/0",
        "../../../../etc",
        "01234567 9abcdef0",
        "01234567\n",
    };
    char good[WARDEN_ID_BYTES];
    char *place = message.payload + at;

    check_int(prefix, true, taken());
    memcpy(good, place, sizeof(good));
    for (size_t i = 0; i < COUNT_OF(tails); i++) {
        memset(place, 0, sizeof(good));
        snprintf(place, sizeof(good), "%s%s", prefix, tails[i]);
        check_int(place, false, taken());
    }
    memset(place, 'a', sizeof(good)); /* No end. */
    memcpy(place, prefix, strlen(prefix));
    check_int("no NUL", false, taken());
    memcpy(place, "x-0123456789abcdef0", 20);
    check_int("another prefix", false, taken());
    memcpy(place, good, sizeof(good));
    check_int(prefix, true, taken());
}

static void headers(void **state)
{
    size_t bytes = begin(WARDEN_INVENTORY, 0);

    (void)state;
    assert_true(warden_check(&message, bytes));
    assert_false(warden_check(&message, 0));
    assert_false(warden_check(&message, bytes - 1));
    assert_false(warden_check(&message, bytes + 1));
    message.header.payload_bytes = 1;
    assert_false(warden_check(&message, bytes));
    assert_false(warden_check(&message, bytes + 1)); /* An inventory has no payload. */
    message.header.payload_bytes = UINT32_MAX;
    assert_false(warden_check(&message, bytes - 1));
    bytes = begin(WARDEN_INVENTORY, 0);
    message.header.magic++;
    assert_false(warden_check(&message, bytes));
    for (uint32_t op = 0; op < 64; op++) {
        bytes = begin(op, 0);
        check_int("an empty payload", op == WARDEN_INVENTORY, warden_check(&message, bytes));
    }
}

static void simple(void **state)
{
    static const struct {
        uint32_t op;
        const char *prefix;
    } rows[] = {
        {WARDEN_REBOOT, "i-"},         {WARDEN_CONSOLE, "i-"},      {WARDEN_VPC_GONE, "vpc-"},
        {WARDEN_SOCKETS, "vpc-"},      {WARDEN_IMAGE_GONE, "ami-"}, {WARDEN_HAPROXY_GONE, "lb-"},
        {WARDEN_HAPROXY_GONE, "pub-"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin(rows[i].op, sizeof(struct warden_id));
        snprintf(message.payload, WARDEN_ID_BYTES, "%s0123456789abcdef0", rows[i].prefix);
        refuse_ids(0, rows[i].prefix);
        message.header.payload_bytes++;
        check_int("a byte more", false, taken());
    }
}

static void instances(void **state)
{
    static const struct field fields[] = {
        FIELD(struct warden_instance, address, 0x0a000105),
        FIELD(struct warden_instance, subnet.bits, 7),
        FIELD(struct warden_instance, subnet.bits, 31),
        FIELD(struct warden_instance, subnet.bits, -1),
        FIELD(struct warden_instance, subnet.bits, 64),
        FIELD(struct warden_instance, cpu_millicores, -1),
        FIELD(struct warden_instance, cpu_millicores, 1000001),
        FIELD(struct warden_instance, state, 3),
        FIELD(struct warden_instance, state, UINT32_MAX),
        FIELD(struct warden_instance, memory_bytes, 0),
        FIELD(struct warden_instance, memory_bytes, -1),
        FIELD(struct warden_instance, memory_bytes, INT64_MAX),
        FIELD(struct warden_instance, disk_bytes, 0),
        FIELD(struct warden_instance, disk_bytes, INT64_MIN),
        FIELD(struct warden_instance, disk_bytes, INT64_MAX),
    };
    const struct warden_instance good = {.id = INSTANCE,
                                         .vpc = VPC,
                                         .image = "ami-0deb1a12000000000",
                                         .address = 0x0a000005,
                                         .subnet = {0x0a000000, 24},
                                         .cpu_millicores = 500,
                                         .state = WARDEN_RUNNING,
                                         .memory_bytes = 1LL << 30,
                                         .disk_bytes = 8LL << 30};
    struct warden_instance *instance = (struct warden_instance *)(void *)message.payload;

    (void)state;
    begin(WARDEN_INSTANCE, sizeof(good));
    *instance = good;
    refuse(fields, COUNT_OF(fields), 0);
    refuse_ids(offsetof(struct warden_instance, id), "i-");
    refuse_ids(offsetof(struct warden_instance, vpc), "vpc-");
    refuse_ids(offsetof(struct warden_instance, image), "ami-");
    message.header.payload_bytes--;
    assert_false(taken());
    /* To end one its id is enough. */
    begin(WARDEN_INSTANCE, sizeof(good));
    snprintf(instance->id, sizeof(instance->id), INSTANCE);
    assert_true(taken());
    refuse_ids(0, "i-");
    instance->state = WARDEN_STOPPED;
    assert_false(taken());
}

static void vpcs(void **state)
{
    static const struct field fields[] = {
        FIELD(struct warden_vpc, cidr.bits, 7),
        FIELD(struct warden_vpc, cidr.bits, 31),
        FIELD(struct warden_vpc, subnets[1].bits, 33),
        FIELD(struct warden_vpc, subnets[1].bits, -1),
        FIELD(struct warden_vpc, subnet_count, WARDEN_SUBNETS_MAX + 1),
        FIELD(struct warden_vpc, subnet_count, UINT32_MAX),
        FIELD(struct warden_vpc, internet, 2),
        FIELD(struct warden_vpc, allow_lan, 255),
        FIELD(struct warden_vpc, want_listeners, 2),
        FIELD(struct warden_vpc, group_count, GROUPS_PER_VPC_MAX + 1),
        FIELD(struct warden_vpc, group_count, 1),
        FIELD(struct warden_vpc, end_count, 1),
        FIELD(struct warden_vpc, end_count, 3),
        FIELD(struct warden_vpc, end_count, UINT32_MAX),
        FIELD(struct warden_vpc, rule_count, 0),
        FIELD(struct warden_vpc, rule_count, UINT32_MAX),
    };
    static const struct field end_fields[] = {
        FIELD(struct network_end, groups[1], 2),
        FIELD(struct network_end, groups[0], UINT16_MAX),
        FIELD(struct network_end, group_count, GROUPS_PER_END_MAX + 1),
        FIELD(struct network_end, group_count, UINT16_MAX),
        FIELD(struct network_end, internet, 2),
    };
    static const struct field rule_fields[] = {
        FIELD(struct network_rule, group, 2),
        FIELD(struct network_rule, egress, 2),
        FIELD(struct network_rule, protocol, RULE_ICMP + 1),
        FIELD(struct network_rule, from_port, 81),
        FIELD(struct network_rule, by_group, 2),
        FIELD(struct network_rule, peer_group, 2),
        FIELD(struct network_rule, peer.bits, 33),
        FIELD(struct network_rule, peer.bits, -1),
    };
    struct warden_vpc *vpc = (struct warden_vpc *)(void *)message.payload;
    struct network_end *ends = (struct network_end *)(void *)(vpc + 1);
    struct network_rule *rule = (struct network_rule *)(void *)(ends + 2);
    size_t bytes = sizeof(*vpc) + 2 * sizeof(*ends) + sizeof(*rule);

    (void)state;
    begin(WARDEN_VPC, bytes);
    *vpc = (struct warden_vpc){.id = VPC,
                               .cidr = {0x0a000000, 16},
                               .subnets = {{0x0a000000, 24}, {0x0a000100, 24}},
                               .subnet_count = 2,
                               .internet = 1,
                               .want_listeners = 1,
                               .group_count = 2,
                               .end_count = 2,
                               .rule_count = 1};
    ends[0] = (struct network_end){
        .address = 0x0a000005, .instance = INSTANCE, .groups = {0, 1}, .group_count = 2};
    ends[1] = (struct network_end){.address = 0x0a000006};
    *rule = (struct network_rule){.group = 1,
                                  .protocol = RULE_TCP,
                                  .from_port = 80,
                                  .to_port = 80,
                                  .by_group = 1,
                                  .peer_group = 1};
    refuse_ids(0, "vpc-");
    refuse(fields, COUNT_OF(fields), 0);
    refuse(end_fields, COUNT_OF(end_fields), sizeof(*vpc));
    refuse(rule_fields, COUNT_OF(rule_fields), sizeof(*vpc) + 2 * sizeof(*ends));
    memcpy(ends[0].instance, "i-0\" accept; #", 14);
    assert_false(taken());
    memset(ends[0].instance, 'a', sizeof(ends[0].instance));
    assert_false(taken());
}

static void images(void **state)
{
    struct warden_image *image = (struct warden_image *)(void *)message.payload;

    (void)state;
    begin(WARDEN_IMAGE, sizeof(*image));
    *image = (struct warden_image){.instance = INSTANCE, .image = "ami-0deb1a12000000000"};
    refuse_ids(offsetof(struct warden_image, instance), "i-");
    refuse_ids(offsetof(struct warden_image, image), "ami-");
}

static void commands(void **state)
{
    static const char arguments[] = "sh\0-c\0id"; /* With its NUL. */
    static const struct field fields[] = {
        FIELD(struct warden_exec, timeout_ms, 0),
        FIELD(struct warden_exec, timeout_ms, -1),
        FIELD(struct warden_exec, timeout_ms, INT64_MAX),
        FIELD(struct warden_exec, output_bytes_max, WARDEN_OUTPUT_BYTES_MAX + 1),
        FIELD(struct warden_exec, argument_count, 0),
        FIELD(struct warden_exec, argument_count, 2),
        FIELD(struct warden_exec, argument_count, 4),
        FIELD(struct warden_exec, argument_count, UINT32_MAX),
        FIELD(struct warden_exec, argument_bytes, 0),
        FIELD(struct warden_exec, argument_bytes, 8),
        FIELD(struct warden_exec, argument_bytes, UINT32_MAX),
        FIELD(struct warden_exec, input_bytes, 6),
        FIELD(struct warden_exec, input_bytes, UINT32_MAX),
    };
    struct warden_exec *exec = (struct warden_exec *)(void *)message.payload;

    (void)state;
    begin(WARDEN_EXEC, sizeof(*exec) + sizeof(arguments) + 5);
    *exec = (struct warden_exec){.instance = INSTANCE,
                                 .timeout_ms = 1000,
                                 .output_bytes_max = 1000,
                                 .argument_count = 3,
                                 .argument_bytes = sizeof(arguments),
                                 .input_bytes = 5};
    memcpy(exec + 1, arguments, sizeof(arguments));
    refuse_ids(offsetof(struct warden_exec, instance), "i-");
    refuse(fields, COUNT_OF(fields), 0);
    ((char *)(exec + 1))[sizeof(arguments) - 1] = 'x';
    assert_false(taken());
}

static void haproxies(void **state)
{
    static const struct field fields[] = {
        FIELD(struct warden_haproxy, listeners[0].address, 0x7f000001),
        FIELD(struct warden_haproxy, listeners[0].address, 0x0a000001),
        FIELD(struct warden_haproxy, listeners[1].address, 0x7f660002),
        FIELD(struct warden_haproxy, listeners[0].fd, 0),
        FIELD(struct warden_haproxy, listeners[0].fd, WARDEN_FIRST_FD - 1),
        FIELD(struct warden_haproxy, listeners[1].fd, WARDEN_FIRST_FD + 800),
        FIELD(struct warden_haproxy, listeners[1].fd, -1),
        FIELD(struct warden_haproxy, listeners[1].fd, WARDEN_FIRST_FD),
        FIELD(struct warden_haproxy, listeners[1].port, 0),
        FIELD(struct warden_haproxy, listener_count, WARDEN_LISTENERS_MAX + 1),
        FIELD(struct warden_haproxy, listener_count, UINT32_MAX),
        FIELD(struct warden_haproxy, source_count, WARDEN_SUBNETS_MAX + 1),
        FIELD(struct warden_haproxy, reload, 2),
        FIELD(struct warden_haproxy, config_bytes, 0),
        FIELD(struct warden_haproxy, config_bytes, 9),
        FIELD(struct warden_haproxy, config_bytes, UINT32_MAX),
    };
    struct warden_haproxy *haproxy = (struct warden_haproxy *)(void *)message.payload;

    (void)state;
    begin(WARDEN_HAPROXY, sizeof(*haproxy) + 8);
    *haproxy = (struct warden_haproxy){.id = "lb-0123456789abcdef",
                                       .vpc = VPC,
                                       .listeners = {{0x7f410002, 80, 0, WARDEN_FIRST_FD},
                                                     {0x7f400002, 22, 0, WARDEN_FIRST_FD + 1}},
                                       .listener_count = 2,
                                       .source_count = 1,
                                       .config_bytes = 8};
    refuse_ids(offsetof(struct warden_haproxy, id), "lb-");
    refuse_ids(offsetof(struct warden_haproxy, vpc), "vpc-");
    refuse(fields, COUNT_OF(fields), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),   cmocka_unit_test(simple), cmocka_unit_test(instances),
        cmocka_unit_test(vpcs),      cmocka_unit_test(images), cmocka_unit_test(commands),
        cmocka_unit_test(haproxies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
