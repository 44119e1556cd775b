/* Any message to the warden: what it takes must be safe to read to its end, as its children do. */
#include "base/buf.h"
#include "warden/check.h"
#include "warden/private.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *message = aligned_alloc(16, (bytes + 31) & ~(size_t)15);
    struct warden_header *header = (struct warden_header *)(void *)message;
    const struct warden_vpc *vpc = (const void *)(message + sizeof(*header));
    struct buf text = {0};

    memcpy(message, data, bytes);
    if (bytes >= sizeof(*header)) { /* Past what a fuzzer would spend its time on. */
        header->magic = WARDEN_MAGIC;
        header->payload_bytes = (uint32_t)(bytes - sizeof(*header));
        header->op %= WARDEN_INVENTORY + 2;
    }
    if (warden_check(message, bytes) && header->op == WARDEN_VPC) {
        const struct network_end *ends = (const void *)(vpc + 1);

        nft_vpc(&text, vpc, ends, (const void *)(ends + vpc->end_count), true);
    }
    buf_close(&text);
    free(message);
    return 0;
}
