#include "services/imds/dns.h"

#include "base/text.h"
#include "network/address.h"

#include <stdio.h>
#include <string.h>

#define HEADER_BYTES 12
#define LABEL_BYTES_MAX 63
#define CLASS_INTERNET 1
#define TTL_S 60
/* The second pair of bytes. */
#define FLAG_RESPONSE 0x8000
#define FLAG_OPCODE 0x7800
#define FLAG_AUTHORITATIVE 0x0400
#define FLAG_RECURSE 0x0100
#define FLAG_CAN_RECURSE 0x0080

static uint16_t word_at(struct slice message, size_t at)
{
    const unsigned char *bytes = (const unsigned char *)message.data + at;

    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void put_word(uint8_t *to, uint32_t word)
{
    to[0] = (uint8_t)(word >> 8);
    to[1] = (uint8_t)word;
}

/* The question's name; a question never points elsewhere. Where it ends; 0 when it is none. */
static size_t read_name(struct slice message, char name[DNS_NAME_BYTES])
{
    size_t at = HEADER_BYTES, used = 0;

    while (at < message.bytes) {
        size_t bytes = (unsigned char)message.data[at++];

        if (bytes == 0) {
            name[used == 0 ? 0 : used - 1] = '\0'; /* Without the last dot. */
            return at;
        }
        if (bytes > LABEL_BYTES_MAX || at + bytes > message.bytes ||
            used + bytes + 1 >= DNS_NAME_BYTES) {
            return 0;
        }
        for (size_t i = 0; i < bytes; i++) {
            unsigned char c = (unsigned char)message.data[at + i];

            if (c <= ' ' || c >= 0x7f || c == '.') {
                return 0;
            }
            name[used++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        name[used++] = '.';
        at += bytes;
    }
    return 0;
}

bool dns_read(struct slice message, struct dns_question *question)
{
    size_t end;

    *question = (struct dns_question){0};
    if (message.bytes < HEADER_BYTES || message.bytes > DNS_MESSAGE_BYTES_MAX) {
        return false;
    }
    question->id = word_at(message, 0);
    if ((word_at(message, 2) & (FLAG_RESPONSE | FLAG_OPCODE)) != 0 || word_at(message, 4) != 1) {
        return false;
    }
    end = read_name(message, question->name);
    if (end == 0 || end + 4 > message.bytes || word_at(message, end + 2) != CLASS_INTERNET) {
        return false;
    }
    question->type = word_at(message, end);
    question->bytes = end + 4;
    return true;
}

static size_t begin(struct slice message, const struct dns_question *question, enum dns_code code,
                    uint16_t answers, uint8_t *answer)
{
    uint32_t flags = FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_CAN_RECURSE | (uint32_t)code;

    flags |= message.bytes >= HEADER_BYTES ? word_at(message, 2) & FLAG_RECURSE : 0u;
    memset(answer, 0, HEADER_BYTES);
    put_word(answer, question->id);
    put_word(answer + 2, flags);
    if (question->bytes == 0) {
        return HEADER_BYTES;
    }
    put_word(answer + 4, 1);
    put_word(answer + 6, answers);
    memcpy(answer + HEADER_BYTES, message.data + HEADER_BYTES, question->bytes - HEADER_BYTES);
    return question->bytes;
}

size_t dns_write_code(struct slice message, const struct dns_question *question, enum dns_code code,
                      uint8_t answer[DNS_MESSAGE_BYTES_MAX])
{
    return begin(message, question, code, 0, answer);
}

/* The fixed part of a record about the question's name. */
static size_t begin_record(const struct dns_question *question, size_t data_bytes, uint8_t *to)
{
    put_word(to, 0xc000 | HEADER_BYTES);
    put_word(to + 2, question->type);
    put_word(to + 4, CLASS_INTERNET);
    put_word(to + 6, 0);
    put_word(to + 8, TTL_S);
    put_word(to + 10, (uint32_t)data_bytes);
    return 12;
}

size_t dns_write_address(struct slice message, const struct dns_question *question,
                         uint32_t address, uint8_t answer[DNS_MESSAGE_BYTES_MAX])
{
    size_t used = begin(message, question, DNS_OK, 1, answer);

    used += begin_record(question, 4, answer + used);
    put_word(answer + used, address >> 16);
    put_word(answer + used + 2, address & 0xffff);
    return used + 4;
}

size_t dns_write_name(struct slice message, const struct dns_question *question, const char *name,
                      uint8_t answer[DNS_MESSAGE_BYTES_MAX])
{
    uint8_t encoded[DNS_NAME_BYTES + 2];
    struct slice rest = slice_z(name), label;
    size_t used, bytes = 0;

    while (slice_next(&rest, '.', &label)) {
        if (label.bytes == 0 || label.bytes > LABEL_BYTES_MAX ||
            bytes + label.bytes + 2 > DNS_NAME_BYTES) {
            return dns_write_code(message, question, DNS_FAILED, answer);
        }
        encoded[bytes++] = (uint8_t)label.bytes;
        memcpy(encoded + bytes, label.data, label.bytes);
        bytes += label.bytes;
    }
    encoded[bytes++] = 0;
    used = begin(message, question, DNS_OK, 1, answer);
    used += begin_record(question, bytes, answer + used);
    memcpy(answer + used, encoded, bytes);
    return used + bytes;
}

static bool parse(struct slice text, char separator, uint32_t *address)
{
    char dotted[ADDRESS_TEXT_BYTES];
    size_t bytes = text.bytes;

    if (bytes >= sizeof(dotted)) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (text.data[i] != separator && (text.data[i] < '0' || text.data[i] > '9')) {
            return false;
        }
        dotted[i] = text.data[i];
        if (dotted[i] == separator) {
            dotted[i] = '.';
        }
    }
    return address_parse(slice_of(dotted, bytes), address, NULL) == 0;
}

bool dns_reverse(const char *name, uint32_t *address)
{
    static const char suffix[] = ".in-addr.arpa";
    size_t bytes = strlen(name);
    uint32_t reversed;

    if (bytes <= sizeof(suffix) - 1 || strcmp(name + bytes - (sizeof(suffix) - 1), suffix) != 0 ||
        !parse(slice_of(name, bytes - (sizeof(suffix) - 1)), '.', &reversed)) {
        return false;
    }
    *address =
        reversed << 24 | (reversed & 0xff00u) << 8 | (reversed >> 8 & 0xff00u) | reversed >> 24;
    return true;
}

bool dns_dashed(struct slice label, const char *prefix, uint32_t *address)
{
    size_t bytes = strlen(prefix);

    return slice_starts(label, slice_z(prefix)) &&
           parse(slice_sub(label, bytes, label.bytes), '-', address);
}
