/* nftables rules as text. Names are prefixed: "in", "fwd" and others are words of nft's own. */
#include "warden/private.h"

#include <stdio.h>

#define TABLE "muster"
#define FLOWS_PER_INSTANCE_MAX 8192 /* The kernel's table has 262144 for the whole VPC. */

static void add_address(struct buf *text, uint32_t address)
{
    char words[ADDRESS_TEXT_BYTES];

    address_text(address, words);
    buf_add_z(text, words);
}

static void add_ends(struct buf *text, const struct warden_vpc *vpc, const struct network_end *ends)
{
    char link[16];
    size_t count = 0;

    buf_add_z(text, "  set ends { type ifname . ipv4_addr;");
    for (uint32_t i = 0; i < vpc->end_count; i++) {
        if (ends[i].instance[0] == '\0') {
            continue;
        }
        link_in_vpc(ends[i].instance, link);
        buf_printf(text, "%s\"%s\" . ", count++ == 0 ? " elements = { " : ", ", link);
        add_address(text, ends[i].address);
    }
    buf_add_z(text, count > 0 ? " }; }\n" : " }\n");
}

/* A set of addresses per security group. */
static void add_groups(struct buf *text, const struct warden_vpc *vpc,
                       const struct network_end *ends)
{
    for (uint32_t group = 0; group < vpc->group_count; group++) {
        size_t count = 0;

        buf_printf(text, "  set g_%u { type ipv4_addr;", group);
        for (uint32_t i = 0; i < vpc->end_count; i++) {
            for (uint16_t g = 0; g < ends[i].group_count; g++) {
                if (ends[i].groups[g] == group) {
                    buf_add_z(text, count++ == 0 ? " elements = { " : ", ");
                    add_address(text, ends[i].address);
                }
            }
        }
        buf_add_z(text, count > 0 ? " }; }\n" : " }\n");
    }
}

static void add_rule(struct buf *text, const struct network_rule *rule, const char *verdict)
{
    const char *side = rule->egress ? "daddr" : "saddr";

    buf_add_z(text, "    ");
    if (rule->by_group) {
        buf_printf(text, "ip %s @g_%u ", side, rule->peer_group);
    } else if (rule->peer.bits > 0) {
        char network[ADDRESS_TEXT_BYTES];

        network_text(network_base(rule->peer), network);
        buf_printf(text, "ip %s %s ", side, network);
    }
    switch ((enum rule_protocol)rule->protocol) {
    case RULE_TCP:
    case RULE_UDP:
        if (rule->from_port == 0 && rule->to_port == 65535) {
            buf_printf(text, "ip protocol %s ", rule->protocol == RULE_TCP ? "tcp" : "udp");
        } else if (rule->from_port == rule->to_port) {
            buf_printf(text, "%s dport %u ", rule->protocol == RULE_TCP ? "tcp" : "udp",
                       rule->from_port);
        } else {
            buf_printf(text, "%s dport %u-%u ", rule->protocol == RULE_TCP ? "tcp" : "udp",
                       rule->from_port, rule->to_port);
        }
        break;
    case RULE_ICMP:
        buf_add_z(text, "ip protocol icmp ");
        break;
    case RULE_ANY:
        break;
    }
    buf_printf(text, "%s\n", verdict);
}

/* A chain per security group and direction, and one per interface and direction that visits those
 * of its groups: as long as the rules and the interfaces are, not as their product. Ingress accepts
 * what a group allows. Egress only marks it, so that the receiver's ingress is judged too. */
#define ALLOWED "0x1"

static void add_group_chains(struct buf *text, const struct warden_vpc *vpc,
                             const struct network_rule *rules)
{
    for (uint32_t group = 0; group < vpc->group_count; group++) {
        for (int egress = 0; egress <= 1; egress++) {
            buf_printf(text, "  chain g%c_%u {\n", egress ? 'e' : 'i', group);
            for (uint32_t r = 0; r < vpc->rule_count; r++) {
                if (rules[r].group == group && rules[r].egress == egress) {
                    add_rule(text, &rules[r],
                             egress ? "meta mark set " ALLOWED " return" : "accept");
                }
            }
            buf_add_z(text, "  }\n");
        }
    }
}

static void add_end_chains(struct buf *text, const struct network_end *end)
{
    char link[16];

    link_in_vpc(end->instance, link);
    buf_printf(text, "  chain i_%s {\n", link);
    for (uint16_t g = 0; g < end->group_count; g++) {
        buf_printf(text, "    jump gi_%u\n", end->groups[g]);
    }
    buf_printf(text, "    drop\n  }\n  chain e_%s {\n    meta mark set 0x0\n", link);
    for (uint16_t g = 0; g < end->group_count; g++) {
        buf_printf(text, "    jump ge_%u\n", end->groups[g]);
    }
    buf_add_z(text, "    meta mark != " ALLOWED " drop\n  }\n");
}

static void add_jumps(struct buf *text, const struct warden_vpc *vpc,
                      const struct network_end *ends, const char *side, char chain)
{
    char link[16];
    size_t count = 0;

    for (uint32_t i = 0; i < vpc->end_count; i++) {
        if (ends[i].instance[0] != '\0') {
            link_in_vpc(ends[i].instance, link);
            if (count++ == 0) {
                buf_printf(text, "    %s vmap { ", side);
            } else {
                buf_add_z(text, ", ");
            }
            buf_printf(text, "\"%s\" : jump %c_%s", link, chain, link);
        }
    }
    if (count > 0) {
        buf_add_z(text, " }\n");
    }
}

/* Who may reach the internet, and what is no internet: private and special addresses, and whatever
 * else is the VPC's own. */
static void add_internet(struct buf *text, const struct warden_vpc *vpc,
                         const struct network_end *ends)
{
    size_t count = 0;

    buf_add_z(text, "  set outs { type ipv4_addr;");
    for (uint32_t i = 0; i < vpc->end_count; i++) {
        if (ends[i].internet != 0 && ends[i].instance[0] != '\0') {
            buf_add_z(text, count++ == 0 ? " elements = { " : ", ");
            add_address(text, ends[i].address);
        }
    }
    buf_add_z(text, count > 0 ? " }; }\n" : " }\n");
    buf_add_z(text, "  chain m_out {\n");
    if (vpc->internet != 0) {
        char cidr[ADDRESS_TEXT_BYTES];

        network_text(network_base(vpc->cidr), cidr);
        buf_printf(text,
                   "    ip daddr { %s, 0.0.0.0/8, 100.127.0.0/16, 127.0.0.0/8, 169.254.0.0/16, "
                   "224.0.0.0/3 } reject with icmp type admin-prohibited\n",
                   cidr);
        if (vpc->allow_lan == 0) {
            buf_add_z(text, "    ip daddr { 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, "
                            "192.168.0.0/16 } reject with icmp type admin-prohibited\n");
        }
        buf_add_z(text, "    ip saddr @outs accept\n");
    }
    buf_add_z(text, "    drop\n  }\n");
    buf_add_z(text,
              "  chain m_nat {\n    type nat hook postrouting priority srcnat; policy accept;\n"
              "    oifname \"up0\" masquerade\n  }\n");
}

/* As on AWS an instance has so many tracked connections, whoever it has them with: more would be
 * those of its neighbours. */
static void add_flows(struct buf *text)
{
    buf_printf(text,
               "  set flows { type ipv4_addr; size %d; flags dynamic; }\n"
               "  chain m_flows {\n    type filter hook prerouting priority mangle; policy accept;"
               "\n    iifname \"m*\" ct state new add @flows { ip saddr ct count over %d } drop\n"
               "  }\n",
               ENDS_PER_VPC_MAX, FLOWS_PER_INSTANCE_MAX);
}

void nft_vpc(struct buf *text, const struct warden_vpc *vpc, const struct network_end *ends,
             const struct network_rule *rules, bool flows)
{
    buf_add_z(text,
              "table inet " TABLE " {}\ndelete table inet " TABLE "\ntable inet " TABLE " {\n");
    add_ends(text, vpc, ends);
    add_groups(text, vpc, ends);
    add_internet(text, vpc, ends);
    add_group_chains(text, vpc, rules);
    for (uint32_t i = 0; i < vpc->end_count; i++) {
        if (ends[i].instance[0] != '\0') {
            add_end_chains(text, &ends[i]);
        }
    }
    /* No address but its own, on its own wire. */
    buf_add_z(text,
              "  chain m_raw {\n    type filter hook prerouting priority raw; policy accept;\n"
              "    iifname \"m*\" ip saddr 0.0.0.0/0 iifname . ip saddr != @ends drop\n"
              "    iifname \"m*\" meta nfproto ipv6 drop\n  }\n");
    if (flows) {
        add_flows(text);
    }
    buf_add_z(text, "  chain m_forward {\n"
                    "    type filter hook forward priority filter; policy drop;\n"
                    "    ct state established,related accept\n    ct state invalid drop\n");
    add_jumps(text, vpc, ends, "iifname", 'e');
    add_jumps(text, vpc, ends, "oifname", 'i');
    buf_add_z(text, "    oifname \"up0\" jump m_out\n  }\n");
    /* Towards the namespace itself: metadata, the API, and echo. */
    buf_add_z(text, "  chain m_input {\n"
                    "    type filter hook input priority filter; policy drop;\n"
                    "    iifname \"lo\" accept\n    ct state established,related accept\n"
                    "    ct state invalid drop\n    iifname \"up0\" drop\n"
                    "    ip daddr 169.254.169.254 tcp dport 80 accept\n"
                    "    ip daddr 169.254.169.252 tcp dport 4566 accept\n"
                    "    ip daddr { 169.254.169.253, ");
    add_address(text, vpc_resolver(vpc->cidr));
    buf_add_z(text, " } udp dport 53 accept\n"
                    "    ip protocol icmp icmp type echo-request accept\n  }\n");
    /* From the namespace to instances: load balancers and health checks obey the groups too. */
    buf_add_z(text, "  chain m_output {\n"
                    "    type filter hook output priority filter; policy accept;\n"
                    "    ct state established,related accept\n    oifname \"up0\" drop\n");
    add_jumps(text, vpc, ends, "oifname", 'i');
    buf_add_z(text, "  }\n}\n");
}

void nft_host(struct buf *text, const struct site *site, const struct published *published,
              size_t count)
{
    const struct network ours[] = {address_block(ADDRESSES_PUBLIC, site->block),
                                   address_block(ADDRESSES_BALANCERS, site->block)};
    char range[2][ADDRESS_TEXT_BYTES];

    network_text(ours[0], range[0]);
    network_text(ours[1], range[1]);
    buf_printf(text, "table ip muster-%s {}\ndelete table ip muster-%s\ntable ip muster-%s {\n",
               site->name, site->name, site->name);
    buf_add_z(text, "  map ports { type ipv4_addr . inet_service : inet_service;");
    for (size_t i = 0; i < count; i++) {
        buf_add_z(text, i == 0 ? " elements = { " : ", ");
        add_address(text, published[i].address);
        buf_printf(text, " . %u : %u", published[i].port, published[i].loopback_port);
    }
    buf_add_z(text, count > 0 ? " }; }\n" : " }\n");
    buf_printf(text,
               "  chain m_nat {\n    type nat hook output priority -100; policy accept;\n"
               "    ip daddr { %s, %s } ip protocol tcp redirect to : ip daddr . tcp dport map "
               "@ports\n  }\n"
               "  chain m_rest {\n    type filter hook output priority 0; policy accept;\n"
               "    ip daddr { %s, %s } ip protocol tcp reject with tcp reset\n  }\n}\n",
               range[0], range[1], range[0], range[1]);
}

struct network uplink_network(const struct site *site)
{
    return (struct network){0x647f0000u + site->block * 2048, 21}; /* Of 100.127.0.0/16. */
}

/* Instances get out and answers come back; the host itself, other VPCs, and whoever wants in from
 * outside get nothing. */
void nft_uplinks(struct buf *text, const struct site *site)
{
    char range[ADDRESS_TEXT_BYTES];

    network_text(uplink_network(site), range);
    buf_printf(text,
               "table ip muster-%s-out {}\ndelete table ip muster-%s-out\n"
               "table ip muster-%s-out {\n",
               site->name, site->name, site->name);
    buf_printf(text,
               "  chain m_nat {\n    type nat hook postrouting priority srcnat; policy accept;\n"
               "    ip saddr %s oifname != \"mu-*\" masquerade\n  }\n",
               range);
    buf_add_z(text, "  chain m_forward {\n"
                    "    type filter hook forward priority filter; policy accept;\n"
                    "    iifname \"mu-*\" oifname \"mu-*\" drop\n"
                    "    oifname \"mu-*\" ct state established,related accept\n"
                    "    oifname \"mu-*\" drop\n  }\n"
                    "  chain m_input {\n"
                    "    type filter hook input priority filter; policy accept;\n"
                    "    iifname \"mu-*\" ct state established,related accept\n"
                    "    iifname \"mu-*\" drop\n  }\n}\n");
}
