#include "services/imds/private.h"

#include "base/text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define TIME_BYTES 8
#define MAC_BYTES 32

static void seal(const unsigned char key[IMDS_KEY_BYTES], const char *instance,
                 const unsigned char time[TIME_BYTES], unsigned char mac[MAC_BYTES])
{
    struct buf text = {0};
    unsigned bytes = MAC_BYTES;

    buf_add(&text, slice_of((const char *)time, TIME_BYTES));
    buf_add_z(&text, instance);
    HMAC(EVP_sha256(), key, IMDS_KEY_BYTES, (const unsigned char *)text.data, text.bytes, mac,
         &bytes);
    buf_close(&text);
}

void imds_token_make(const unsigned char key[IMDS_KEY_BYTES], const char *instance,
                     int64_t expires_ms, struct buf *token)
{
    unsigned char bytes[TIME_BYTES + MAC_BYTES];

    for (int i = 0; i < TIME_BYTES; i++) {
        bytes[i] = (unsigned char)((uint64_t)expires_ms >> (8 * (TIME_BYTES - 1 - i)));
    }
    seal(key, instance, bytes, bytes + TIME_BYTES);
    text_base64_encode(token, slice_of((const char *)bytes, sizeof(bytes)));
}

bool imds_token_holds(const unsigned char key[IMDS_KEY_BYTES], const char *instance,
                      struct slice token, int64_t now_ms)
{
    unsigned char mac[MAC_BYTES];
    struct buf bytes = {0};
    uint64_t expires_ms = 0;
    bool holds = token.bytes < 128 && text_base64_decode(&bytes, token, NULL) == 0 &&
                 bytes.bytes == TIME_BYTES + MAC_BYTES;

    if (holds) {
        seal(key, instance, (const unsigned char *)bytes.data, mac);
        for (size_t i = 0; i < TIME_BYTES; i++) {
            expires_ms = expires_ms << 8 | (unsigned char)bytes.data[i];
        }
        holds = CRYPTO_memcmp(mac, bytes.data + TIME_BYTES, MAC_BYTES) == 0 &&
                (int64_t)expires_ms > now_ms;
    }
    buf_close(&bytes);
    return holds;
}
