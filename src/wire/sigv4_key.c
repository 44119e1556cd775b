/* SigV4's hashes, and the keys that it derives for a day. */
#include "wire/sigv4.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

/* Hashes. */

static void to_hex(const unsigned char hash[SHA256_DIGEST_LENGTH], char hex[SIGV4_HASH_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        hex[2 * i] = digits[hash[i] >> 4];
        hex[2 * i + 1] = digits[hash[i] & 15];
    }
    hex[2 * SHA256_DIGEST_LENGTH] = '\0';
}

/* Finding an algorithm and making a context cost OpenSSL 3 more than the hash itself: both are
 * kept, a context per thread. */
static EVP_MD *sha256;
static EVP_MAC *hmac_algorithm;
static pthread_once_t found = PTHREAD_ONCE_INIT;

static void find_algorithms(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hmac_algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ASSERT(sha256 != NULL && hmac_algorithm != NULL);
}

void sigv4_hash(struct slice data, char hex[SIGV4_HASH_HEX_BYTES])
{
    static _Thread_local EVP_MD_CTX *context;
    unsigned char hash[SHA256_DIGEST_LENGTH];

    pthread_once(&found, find_algorithms);
    if (context == NULL) {
        context = EVP_MD_CTX_new();
        ASSERT(context != NULL);
    }
    ASSERT(EVP_DigestInit_ex2(context, sha256, NULL) == 1 &&
           EVP_DigestUpdate(context, data.data == NULL ? "" : data.data, data.bytes) == 1 &&
           EVP_DigestFinal_ex(context, hash, NULL) == 1);
    to_hex(hash, hex);
}

static void hmac(const void *key, size_t key_bytes, struct slice text,
                 unsigned char mac[SHA256_DIGEST_LENGTH])
{
    unsigned int bytes = SHA256_DIGEST_LENGTH;

    ASSERT(HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text.data, text.bytes,
                mac, &bytes) != NULL);
}

static struct slice day(const struct sigv4_scope *scope)
{
    return slice_of(scope->date, 8);
}

void sigv4_add_scope(const struct sigv4_scope *scope, struct buf *text)
{
    buf_add(text, day(scope));
    buf_add_byte(text, '/');
    buf_add(text, scope->region);
    buf_add_byte(text, '/');
    buf_add(text, scope->service);
}

/* Day keys, each in a context that only wants its text: deriving one is five sixths of a signature.
 * A row is found by the whole of what the key is made from, the secret too, so that it can be out
 * of date in no way; a newer one with the same place takes it. */
#define DAY_KEYS 64 /* Instances' roles sign with keys of their own. */

struct day_key {
    struct buf from; /* Secret, NUL, scope. */
    EVP_MAC_CTX *context;
};

static void derive(struct slice secret, const struct sigv4_scope *scope, EVP_MAC_CTX *context)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    unsigned char key[SHA256_DIGEST_LENGTH], next[SHA256_DIGEST_LENGTH];
    struct buf first = {0};

    buf_reserve(&first, secret.bytes + 4); /* It stays in its place, which is wiped. */
    buf_add_z(&first, "AWS4");
    buf_add(&first, secret);
    hmac(first.data, first.bytes, day(scope), key);
    hmac(key, sizeof(key), scope->region, next);
    hmac(next, sizeof(next), scope->service, key);
    hmac(key, sizeof(key), SLICE_LIT("aws4_request"), next);
    ASSERT(EVP_MAC_init(context, next, sizeof(next), params) == 1);
    OPENSSL_cleanse(first.data, first.bytes);
    buf_close(&first);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(next, sizeof(next));
}

static EVP_MAC_CTX *find_day_key(struct slice secret, const struct sigv4_scope *scope)
{
    static _Thread_local struct day_key keys[DAY_KEYS];
    static _Thread_local struct buf wanted; /* A row's memory is given to it and taken back. */
    struct day_key *row;
    struct buf old;
    uint32_t place = 2166136261; /* FNV-1a */

    pthread_once(&found, find_algorithms);
    buf_clear(&wanted);
    buf_reserve(&wanted, secret.bytes + scope->region.bytes + scope->service.bytes + 12);
    buf_add(&wanted, secret);
    buf_add_byte(&wanted, '\0');
    sigv4_add_scope(scope, &wanted);
    for (size_t i = 0; i < wanted.bytes; i++) {
        place = (place ^ (unsigned char)wanted.data[i]) * 16777619;
    }
    row = &keys[place % DAY_KEYS];
    if (row->context == NULL) {
        row->context = EVP_MAC_CTX_new(hmac_algorithm);
        ASSERT(row->context != NULL);
    }
    if (!slice_equal(buf_slice(&row->from), buf_slice(&wanted))) {
        derive(secret, scope, row->context);
        old = row->from;
        row->from = wanted;
        wanted = old;
    } else {
        ASSERT(EVP_MAC_init(row->context, NULL, 0, NULL) == 1);
    }
    if (wanted.bytes > 0) {
        OPENSSL_cleanse(wanted.data, wanted.bytes);
    }
    return row->context;
}

void sigv4_signature(struct slice secret, const struct sigv4_scope *scope,
                     struct slice string_to_sign, char hex[SIGV4_HASH_HEX_BYTES])
{
    EVP_MAC_CTX *context = find_day_key(secret, scope);
    unsigned char mac[SHA256_DIGEST_LENGTH];
    size_t bytes = 0;

    ASSERT(EVP_MAC_update(context, (const unsigned char *)string_to_sign.data,
                          string_to_sign.bytes) == 1 &&
           EVP_MAC_final(context, mac, &bytes, sizeof(mac)) == 1);
    to_hex(mac, hex);
}
