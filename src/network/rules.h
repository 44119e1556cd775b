/* Security groups as the data plane needs them: who is in which group, and what each group lets in
 * and out. Plain records; the warden writes nftables rules of them (warden/nft.h). */
#ifndef NETWORK_RULES_H
#define NETWORK_RULES_H

#include "network/address.h"

#include <stddef.h>

#define RULES_PER_VPC_MAX 4096
#define ENDS_PER_VPC_MAX 512
#define GROUPS_PER_VPC_MAX 256
#define GROUPS_PER_END_MAX 16

enum rule_protocol { RULE_ANY, RULE_TCP, RULE_UDP, RULE_ICMP };

struct network_rule {
    uint16_t group;              /* Index: whose rule this is. */
    uint8_t egress;              /* 1; else ingress. */
    uint8_t protocol;            /* enum rule_protocol */
    uint16_t from_port, to_port; /* TCP and UDP; 0..65535: all. */
    uint8_t by_group;            /* 1 */
    uint16_t peer_group;         /* by_group: its members, by index. */
    struct network peer;         /* Else addresses. */
};

/* Something with an address in the VPC: an instance's interface, or a load balancer's. */
struct network_end {
    uint32_t address;
    char instance[24]; /* "i-..."; "" for a load balancer's. */
    uint16_t groups[GROUPS_PER_END_MAX];
    uint16_t group_count;
    uint8_t internet; /* 1: it has a public address and a route to an internet gateway. */
};

/* All of a VPC. Arrays are borrowed for the call that takes it. */
struct network_rules {
    const struct network_end *ends;
    size_t end_count;
    uint16_t group_count;
    const struct network_rule *rules;
    size_t rule_count;
};

#endif /* NETWORK_RULES_H */
