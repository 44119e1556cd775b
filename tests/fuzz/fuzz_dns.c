/* Any datagram of an instance to its VPC's resolver. */
#include "base/macros.h"
#include "services/imds/dns.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    uint8_t answer[DNS_MESSAGE_BYTES_MAX];
    struct slice message = slice_of((const char *)data, bytes);
    struct dns_question question;
    uint32_t address;

    if (bytes < 12) {
        return 0;
    }
    if (!dns_read(message, &question)) {
        dns_write_code(message, &question, DNS_FORMAT, answer);
        return 0;
    }
    dns_write_address(message, &question, 1, answer);
    dns_write_name(message, &question, question.name, answer);
    if (dns_reverse(question.name, &address) ||
        dns_dashed(slice_z(question.name), "ip-", &address)) {
        dns_write_address(message, &question, address, answer);
    }
    return 0;
}
