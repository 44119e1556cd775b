/* The rules as text: who may speak to whom, in and out. (That nft takes them: --check.) */
#include "check.h"

#include "base/buf.h"
#include "warden/private.h"

#include <string.h>

static struct warden_vpc vpc;
static struct network_end ends[3];
static struct network_rule rules[5];

/* A VPC of two instances and a load balancer; one instance is public. */
static void begin(void)
{
    vpc = (struct warden_vpc){.id = "vpc-0123456789abcdef0",
                              .cidr = {0x0a000000, 16},
                              .internet = 1,
                              .group_count = 2,
                              .end_count = 3,
                              .rule_count = 5};
    ends[0] = (struct network_end){.address = 0x0a000005,
                                   .instance = "i-aaaaaaaa",
                                   .groups = {0},
                                   .group_count = 1,
                                   .internet = 1};
    ends[1] = (struct network_end){
        .address = 0x0a000006, .instance = "i-bbbbbbbb", .groups = {0, 1}, .group_count = 2};
    ends[2] = (struct network_end){.address = 0x0a000007, .groups = {1}, .group_count = 1};
    rules[0] = (struct network_rule){
        .group = 0, .protocol = RULE_TCP, .from_port = 22, .to_port = 22, .peer = {0, 0}};
    rules[1] = (struct network_rule){.group = 0,
                                     .protocol = RULE_TCP,
                                     .from_port = 8000,
                                     .to_port = 8099,
                                     .by_group = 1,
                                     .peer_group = 1};
    rules[2] = (struct network_rule){.group = 1,
                                     .protocol = RULE_UDP,
                                     .from_port = 0,
                                     .to_port = 65535,
                                     .peer = {0x0a000107, 24}};
    rules[3] = (struct network_rule){.group = 0, .egress = 1, .protocol = RULE_ANY};
    rules[4] = (struct network_rule){.group = 1, .protocol = RULE_ICMP};
}

/* Without blanks, which are for people. */
static struct slice written(struct buf *text, void (*write)(struct buf *))
{
    struct buf full = {0};
    bool blank = true;

    write(&full);
    for (size_t i = 0; i < full.bytes; i++) {
        bool now = full.data[i] == ' ' || full.data[i] == '\n';

        if (!now || !blank) {
            buf_add_byte(text, now ? ' ' : full.data[i]);
        }
        blank = now;
    }
    buf_close(&full);
    return buf_slice(text);
}

static void write_vpc(struct buf *text)
{
    nft_vpc(text, &vpc, ends, rules, true);
}

static void check_has(const char *wanted, bool there)
{
    struct buf text = {0};

    written(&text, write_vpc);
    check_int(wanted, there, strstr(buf_z(&text), wanted) != NULL);
    buf_close(&text);
}

static void groups(void **state)
{
    static const char *const wanted[] = {
        ("set ends { type ifname . ipv4_addr; elements = { \"maaaaaaaa\" . 10.0.0.5, "
         "\"mbbbbbbbb\" . 10.0.0.6 }; }"),
        "set g_0 { type ipv4_addr; elements = { 10.0.0.5, 10.0.0.6 }; }",
        "set g_1 { type ipv4_addr; elements = { 10.0.0.6, 10.0.0.7 }; }",
        "chain gi_0 { tcp dport 22 accept ip saddr @g_1 tcp dport 8000-8099 accept }",
        "chain ge_0 { meta mark set 0x1 return }",
        "chain gi_1 { ip saddr 10.0.1.0/24 ip protocol udp accept ip protocol icmp accept }",
        "chain ge_1 { }",
        "chain i_maaaaaaaa { jump gi_0 drop }",
        "chain e_maaaaaaaa { meta mark set 0x0 jump ge_0 meta mark != 0x1 drop }",
        "chain i_mbbbbbbbb { jump gi_0 jump gi_1 drop }",
        ("chain e_mbbbbbbbb { meta mark set 0x0 jump ge_0 jump ge_1 meta mark != 0x1 drop }"),
        "iifname vmap { \"maaaaaaaa\" : jump e_maaaaaaaa, \"mbbbbbbbb\" : jump e_mbbbbbbbb }",
        "iifname . ip saddr != @ends drop",
        "iifname \"m*\" ct state new add @flows { ip saddr ct count over 8192 } drop",
    };

    (void)state;
    begin();
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        check_has(wanted[i], true);
    }
    /* A load balancer has no interface of its own, and so no chain. */
    check_has("\"\"", false);
}

static void services(void **state)
{
    (void)state;
    begin();
    check_has("hook input priority filter; policy drop;", true);
    check_has("ip daddr 169.254.169.254 tcp dport 80 accept", true);
    check_has("ip daddr 169.254.169.252 tcp dport 4566 accept", true);
    check_has("ip daddr { 169.254.169.253, 10.0.0.2 } udp dport 53 accept", true);
    check_has("hook forward priority filter; policy drop;", true);
}

static void internet(void **state)
{
    static const char lan[] = "ip daddr { 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, "
                              "192.168.0.0/16 } reject";
    static const char own[] = "ip daddr { 10.0.0.0/16, 0.0.0.0/8, 100.127.0.0/16, 127.0.0.0/8, "
                              "169.254.0.0/16, 224.0.0.0/3 } reject";

    (void)state;
    begin();
    check_has("set outs { type ipv4_addr; elements = { 10.0.0.5 }; }", true);
    check_has(own, true);
    check_has(lan, true);
    check_has("ip saddr @outs accept drop }", true);
    vpc.allow_lan = 1;
    check_has(lan, false);
    check_has(own, true); /* Still not the host, other VPCs, metadata. */
    vpc.internet = 0;
    check_has("ip saddr @outs accept", false);
    check_has("chain m_out { drop }", true);
    begin();
    ends[0].internet = 0;
    check_has("set outs { type ipv4_addr; }", true);
}

static struct site site = {.name = "abcdef", .block = 1};

static void write_host(struct buf *text)
{
    const struct published published[] = {{0x7f410802, 80, 40001}, {0x7f400802, 22, 40002}};

    nft_host(text, &site, published, COUNT_OF(published));
    nft_host(text, &site, NULL, 0);
}

static void host(void **state)
{
    struct buf text = {0};

    (void)state;
    written(&text, write_host);
    assert_non_null(strstr(buf_z(&text), "elements = { 127.65.8.2 . 80 : 40001, 127.64.8.2 . 22 : "
                                         "40002 }; }"));
    assert_non_null(strstr(buf_z(&text), "{ type ipv4_addr . inet_service : inet_service; }"));
    assert_non_null(strstr(buf_z(&text), "delete table ip muster-abcdef table ip muster-abcdef {"));
    buf_close(&text);
}

static void write_uplinks(struct buf *text)
{
    nft_uplinks(text, &site);
}

static void uplinks(void **state)
{
    struct buf text = {0};

    (void)state;
    written(&text, write_uplinks);
    assert_non_null(strstr(buf_z(&text), "ip saddr 100.127.8.0/21 oifname != \"mu-*\" masquerade"));
    assert_non_null(strstr(buf_z(&text), "iifname \"mu-*\" oifname \"mu-*\" drop"));
    assert_non_null(strstr(buf_z(&text), "iifname \"mu-*\" ct state established,related accept "
                                         "iifname \"mu-*\" drop"));
    site.block = SITE_BLOCKS - 1; /* The last one is still within 100.127.0.0/16. */
    assert_true(network_covers((struct network){0x647f0000, 16}, uplink_network(&site)));
    site.block = 1;
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(groups), cmocka_unit_test(services),
                                       cmocka_unit_test(internet), cmocka_unit_test(host),
                                       cmocka_unit_test(uplinks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
