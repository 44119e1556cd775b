/* Texts inside requests that have a syntax of their own: what is accepted can be used, and what has
 * a written form reads back. */
#include "aws/page.h"
#include "base/arena.h"
#include "base/macros.h"
#include "network/address.h"
#include "services/ec2/key_material.h"
#include "services/elbv2/health.h"

static void as_public_key(struct slice text)
{
    struct key_material key = {0}, again = {0};
    struct error err;

    if (key_material_read(text, &key, &err) == 0) {
        ASSERT(key_material_read(buf_slice(&key.public_key), &again, &err) == 0);
        ASSERT(slice_equal(buf_slice(&again.fingerprint), buf_slice(&key.fingerprint)));
    }
    key_material_close(&key);
    key_material_close(&again);
}

static void as_page_token(struct arena *arena, const char *text)
{
    struct slice key = SLICE_EMPTY, again = SLICE_EMPTY;
    const char *next;
    struct error err;
    size_t from;

    if (page_token_read(arena, "List", text, &key, &err) == 0) {
        ASSERT(page_token_read(arena, "List", page_token(arena, "List", key), &again, &err) == 0);
        ASSERT(slice_equal(key, again));
    }
    if (page_window(arena, "List", text, 3, 10, &from, &next, &err) == 0) {
        ASSERT(from <= 10);
    }
}

static void as_matcher(struct slice text)
{
    struct matcher matcher;
    struct error err;

    if (matcher_parse(text, &matcher, &err) == 0) {
        ASSERT(matcher.count > 0 && matcher.count <= MATCHER_RANGES_MAX);
        ASSERT(matcher_accepts(&matcher, matcher.ranges[0].from));
        ASSERT(!matcher_accepts(&matcher, 199) && !matcher_accepts(&matcher, 600));
    }
}

static void as_network(struct slice text)
{
    char written[ADDRESS_TEXT_BYTES];
    struct network network, again;
    struct error err;
    uint32_t address;

    if (network_parse(text, &network, &err) == 0) {
        ASSERT(network_has(network, network.address) && network_covers(network, network));
        network_text(network, written);
        ASSERT(network_parse(slice_z(written), &again, &err) == 0);
        ASSERT(again.address == network.address && again.bits == network.bits);
        (void)subnet_usable(network);
    }
    if (address_parse(text, &address, &err) == 0) {
        uint32_t address_again;

        address_text(address, written);
        ASSERT(address_parse(slice_z(written), &address_again, &err) == 0);
        ASSERT(address_again == address);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct arena arena = {0};
    struct slice text = arena_copy(&arena, slice_of((const char *)data, bytes));

    as_public_key(text);
    as_matcher(text);
    as_network(text);
    as_page_token(&arena, arena_strdup(&arena, text));
    arena_close(&arena);
    return 0;
}
