/* IPv4 addresses and networks, in host byte order. Pure. */
#ifndef NETWORK_ADDRESS_H
#define NETWORK_ADDRESS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_TEXT_BYTES 20 /* "255.255.255.255/32" */

struct network {
    uint32_t address; /* Its host bits are zero once parsed strictly. */
    int32_t bits;     /* 0..32 */
};

/* "10.0.0.5" */
int address_parse(struct slice text, uint32_t *address, struct error *err);
void address_text(uint32_t address, char text[ADDRESS_TEXT_BYTES]);

/* "10.0.0.0/24". Host bits are kept as they came: network_base() clears them. ERR_INVALID. */
int network_parse(struct slice text, struct network *network, struct error *err);
void network_text(struct network network, char text[ADDRESS_TEXT_BYTES]);
uint32_t network_mask(struct network network);
struct network network_base(struct network network);
uint32_t network_last(struct network network);
bool network_has(struct network network, uint32_t address);
/* Is @inner wholly in @outer? */
bool network_covers(struct network outer, struct network inner);
bool network_overlap(struct network a, struct network b);

/* In a subnet AWS keeps the first four addresses and the last: network, gateway, DNS, future,
 * broadcast ("Subnet CIDR blocks" in the VPC User Guide). */
uint32_t subnet_gateway(struct network subnet);
/* The resolver's: "the base of the VPC network range plus two". */
uint32_t vpc_resolver(struct network vpc);
int64_t subnet_usable(struct network subnet);
bool subnet_reserves(struct network subnet, uint32_t address);

/* Loopback addresses stand for public ones: 127.64.0.0/16 for instances, 127.65.0.0/16 for load
 * balancers. Each state directory has a block of both, so that several run on one machine. */
#define ADDRESS_BLOCKS 32
enum addresses { ADDRESSES_PUBLIC = 0x7f400000, ADDRESSES_BALANCERS = 0x7f410000 };
struct network address_block(enum addresses of, uint32_t block);

#endif /* NETWORK_ADDRESS_H */
