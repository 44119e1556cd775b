/* DNS messages as a VPC's resolver needs them (RFC 1035): one question in, at most one answer out.
 * Pure. */
#ifndef SERVICES_IMDS_DNS_H
#define SERVICES_IMDS_DNS_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define DNS_NAME_BYTES 256
#define DNS_MESSAGE_BYTES_MAX 4096

enum dns_type { DNS_A = 1, DNS_PTR = 12 };
enum dns_code { DNS_OK = 0, DNS_FORMAT = 1, DNS_FAILED = 2, DNS_NO_NAME = 3, DNS_REFUSED = 5 };

struct dns_question {
    char name[DNS_NAME_BYTES]; /* "ip-10-0-0-5.us-east-2.compute.internal": lower case, no dot. */
    uint16_t type;
    uint16_t id;
    size_t bytes; /* Of header and question. */
};

/* False when it is no query with one question of the Internet's class; @question->bytes is then 0
 * and its id is set if there is one. */
bool dns_read(struct slice message, struct dns_question *question);

/* Answers to @message, which dns_read() took: into @answer, their length comes back. */
size_t dns_write_code(struct slice message, const struct dns_question *question, enum dns_code code,
                      uint8_t answer[DNS_MESSAGE_BYTES_MAX]);
size_t dns_write_address(struct slice message, const struct dns_question *question,
                         uint32_t address, uint8_t answer[DNS_MESSAGE_BYTES_MAX]);
size_t dns_write_name(struct slice message, const struct dns_question *question, const char *name,
                      uint8_t answer[DNS_MESSAGE_BYTES_MAX]);

/* "5.0.0.10.in-addr.arpa" -> 10.0.0.5 */
bool dns_reverse(const char *name, uint32_t *address);
/* "ip-10-0-0-5" with @prefix "ip-" -> 10.0.0.5; false when @label is none such. */
bool dns_dashed(struct slice label, const char *prefix, uint32_t *address);

#endif /* SERVICES_IMDS_DNS_H */
