#include "network/address.h"

#include "base/text.h"

#include <stdio.h>

#define RESERVED_FIRST 4 /* .0 to .3 */

int address_parse(struct slice text, uint32_t *address, struct error *err)
{
    struct slice rest = text, part;
    int count = 0;

    *address = 0;
    while (slice_next(&rest, '.', &part)) {
        int64_t byte;

        if (++count > 4 || part.bytes == 0 || part.bytes > 3 || part.data[0] == '-' ||
            part.data[0] == '+' || text_to_i64(part, 0, 255, &byte, NULL) != 0) {
            count = 0;
            break;
        }
        *address = (*address << 8) | (uint32_t)byte;
    }
    return count == 4 ? 0
                      : error_set(err, ERR_INVALID, "'%.*s' is no IPv4 address", SLICE_ARG(text));
}

void address_text(uint32_t address, char text[ADDRESS_TEXT_BYTES])
{
    snprintf(text, ADDRESS_TEXT_BYTES, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255,
             (address >> 8) & 255, address & 255);
}

int network_parse(struct slice text, struct network *network, struct error *err)
{
    size_t slash = slice_find(text, '/');
    struct slice digits = slice_sub(text, slash + 1, text.bytes);
    int64_t bits;

    if (slash == text.bytes ||
        address_parse(slice_sub(text, 0, slash), &network->address, NULL) != 0 ||
        digits.bytes == 0 || digits.bytes > 2 || text_to_i64(digits, 0, 32, &bits, NULL) != 0) {
        return error_set(err, ERR_INVALID, "'%.*s' is no IPv4 CIDR block", SLICE_ARG(text));
    }
    network->bits = (int32_t)bits;
    return 0;
}

void network_text(struct network network, char text[ADDRESS_TEXT_BYTES])
{
    char address[ADDRESS_TEXT_BYTES];

    address_text(network.address, address);
    snprintf(text, ADDRESS_TEXT_BYTES, "%.15s/%d", address, network.bits & 63);
}

uint32_t network_mask(struct network network)
{
    return network.bits == 0 ? 0 : UINT32_MAX << (32 - network.bits);
}

struct network network_base(struct network network)
{
    return (struct network){network.address & network_mask(network), network.bits};
}

uint32_t network_last(struct network network)
{
    return network.address | ~network_mask(network);
}

bool network_has(struct network network, uint32_t address)
{
    return (address & network_mask(network)) == network_base(network).address;
}

bool network_covers(struct network outer, struct network inner)
{
    return inner.bits >= outer.bits && network_has(outer, inner.address);
}

bool network_overlap(struct network a, struct network b)
{
    return network_covers(a, b) || network_covers(b, a);
}

uint32_t subnet_gateway(struct network subnet)
{
    return network_base(subnet).address + 1;
}

uint32_t vpc_resolver(struct network vpc)
{
    return network_base(vpc).address + 2;
}

int64_t subnet_usable(struct network subnet)
{
    return (int64_t)1 * ((int64_t)1 << (32 - subnet.bits)) - RESERVED_FIRST - 1;
}

bool subnet_reserves(struct network subnet, uint32_t address)
{
    return !network_has(subnet, address) ||
           address - network_base(subnet).address < RESERVED_FIRST ||
           address == network_last(subnet);
}

struct network address_block(enum addresses of, uint32_t block)
{
    return (struct network){.address = (uint32_t)of + block * (0x10000u / ADDRESS_BLOCKS),
                            .bits = 21};
}
