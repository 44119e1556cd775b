#include "aws/id.h"

#include "base/macros.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void id_random(void *data, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t got = getrandom((char *)data + done, bytes - done, 0);

        ASSERT(got > 0 || errno == EINTR);
        done += got > 0 ? (size_t)got : 0;
    }
}

/* @length characters of @alphabet, whose size divides 256 so that all are equally likely. */
static void random_text(char *text, size_t length, const char *alphabet, size_t size)
{
    unsigned char bytes[64];

    ASSERT(length <= sizeof(bytes) && 256 % size == 0);
    id_random(bytes, length);
    for (size_t i = 0; i < length; i++) {
        text[i] = alphabet[bytes[i] % size];
    }
    text[length] = '\0';
}

void id_new_hex(char id[ID_BYTES], size_t length)
{
    ASSERT(length < ID_BYTES);
    random_text(id, length, "0123456789abcdef", 16);
}

void id_new(char id[ID_BYTES], const char *prefix)
{
    size_t used = strlen(prefix);

    ASSERT(used + 18 <= ID_BYTES);
    memcpy(id, prefix, used);
    random_text(id + used, 17, "0123456789abcdef", 16);
}

void id_new_base32(char id[ID_BYTES], const char *prefix, size_t length)
{
    size_t used = strlen(prefix);

    ASSERT(used <= length && length < ID_BYTES);
    memcpy(id, prefix, used);
    random_text(id + used, length - used, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 32);
}

void id_new_secret(char *text, size_t length)
{
    random_text(text, length, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                64);
}

void id_new_uuid(char uuid[UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    /* Every request gets one, so the kernel is asked for many at once. */
    static _Thread_local unsigned char pool[64 * 16];
    static _Thread_local size_t left;
    unsigned char *b;

    if (left == 0) {
        id_random(pool, sizeof(pool));
        left = sizeof(pool);
    }
    left -= 16;
    b = pool + left;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* Version 4, RFC 9562 section 5.4. */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *uuid++ = '-';
        }
        *uuid++ = digits[b[i] >> 4];
        *uuid++ = digits[b[i] & 15];
    }
    *uuid = '\0';
}

bool id_is(const char *id, const char *prefix)
{
    size_t used = strlen(prefix);
    size_t digits;

    if (id == NULL || strncmp(id, prefix, used) != 0) {
        return false;
    }
    digits = strspn(id + used, "0123456789abcdef");
    return (digits == 8 || digits == 17) && id[used + digits] == '\0';
}
