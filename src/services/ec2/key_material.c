#include "services/ec2/key_material.h"

#include "aws/id.h"
#include "base/text.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define RSA_BITS 2048
#define ED25519_BYTES 32

void key_material_close(struct key_material *key)
{
    buf_close(&key->public_key);
    if (key->private_key.data != NULL) {
        OPENSSL_cleanse(key->private_key.data, key->private_key.room);
    }
    buf_close(&key->private_key);
    buf_close(&key->fingerprint);
}

/* SSH's wire format (RFC 4251 section 5). */

static void add_u32(struct buf *buf, size_t number)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        buf_add_byte(buf, (char)((number >> shift) & 0xFF));
    }
}

static void add_string(struct buf *buf, struct slice text)
{
    add_u32(buf, text.bytes);
    buf_add(buf, text);
}

static void add_mpint(struct buf *buf, const BIGNUM *number)
{
    unsigned char bytes[RSA_BITS / 8 + 1] = {0};
    int count = BN_bn2bin(number, bytes + 1);
    bool pad = (bytes[1] & 0x80) != 0;

    add_string(buf, slice_of((const char *)bytes + (pad ? 0 : 1), (size_t)count + (pad ? 1 : 0)));
}

static bool take_string(struct slice *rest, struct slice *text)
{
    size_t bytes = 0;

    if (rest->bytes < 4) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        bytes = bytes << 8 | (unsigned char)rest->data[i];
    }
    if (bytes > rest->bytes - 4) {
        return false;
    }
    *text = slice_sub(*rest, 4, bytes);
    *rest = slice_sub(*rest, 4 + bytes, rest->bytes);
    return true;
}

static void add_public_line(struct key_material *key, struct slice blob)
{
    buf_add_z(&key->public_key, strcmp(key->type, "rsa") == 0 ? "ssh-rsa " : "ssh-ed25519 ");
    text_base64_encode(&key->public_key, blob);
}

/* Fingerprints. */

static void add_colons(struct buf *out, const unsigned char *digest, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        buf_printf(out, "%s%02x", i == 0 ? "" : ":", digest[i]);
    }
}

static void add_digest(struct buf *out, const EVP_MD *how, const void *data, size_t bytes)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned count = 0;

    EVP_Digest(data, bytes, digest, &count, how, NULL);
    if (EVP_MD_get_size(how) == 32) {
        text_base64_encode(out, slice_of((const char *)digest, count));
    } else {
        add_colons(out, digest, count);
    }
}

/* RSA. */

static int rsa_public(EVP_PKEY *pkey, struct key_material *key)
{
    BIGNUM *n = NULL, *e = NULL;
    struct buf blob = {0};
    bool ok = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1;

    if (ok) {
        add_string(&blob, SLICE_LIT("ssh-rsa"));
        add_mpint(&blob, e);
        add_mpint(&blob, n);
        add_public_line(key, buf_slice(&blob));
    }
    buf_close(&blob);
    BN_free(n);
    BN_free(e);
    return ok ? 0 : -1;
}

static int rsa_private(EVP_PKEY *pkey, struct key_material *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
    unsigned char *der = NULL;
    char *text;
    int bytes = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    bool ok = bytes > 0 && bio != NULL &&
              PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;

    if (ok) {
        long count = BIO_get_mem_data(bio, &text);

        buf_add(&key->private_key, slice_of(text, (size_t)count));
        add_digest(&key->fingerprint, EVP_sha1(), der, (size_t)bytes);
    }
    OPENSSL_clear_free(der, bytes > 0 ? (size_t)bytes : 0);
    PKCS8_PRIV_KEY_INFO_free(info);
    BIO_free(bio);
    return ok ? 0 : -1;
}

static int make_rsa(struct key_material *key)
{
    EVP_PKEY *pkey = EVP_RSA_gen(RSA_BITS);
    int rc = pkey == NULL || rsa_public(pkey, key) != 0 || rsa_private(pkey, key) != 0 ? -1 : 0;

    EVP_PKEY_free(pkey);
    return rc;
}

/* Ed25519: the private key in OpenSSH's own format (its PROTOCOL.key). */

static void add_pem(struct buf *out, struct slice bytes)
{
    struct buf text = {0};

    text_base64_encode(&text, bytes);
    buf_add_z(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t at = 0; at < text.bytes; at += 70) {
        buf_add(out, slice_sub(buf_slice(&text), at, 70));
        buf_add_byte(out, '\n');
    }
    buf_add_z(out, "-----END OPENSSH PRIVATE KEY-----\n");
    buf_close(&text);
}

static void write_openssh(const unsigned char *seed, struct slice public_bytes, struct slice blob,
                          struct buf *out)
{
    struct buf file = {0}, secret = {0}, pair = {0};
    uint32_t check;

    id_random(&check, sizeof(check));
    buf_add(&file, slice_of("openssh-key-v1", sizeof("openssh-key-v1"))); /* With its NUL. */
    add_string(&file, SLICE_LIT("none"));
    add_string(&file, SLICE_LIT("none"));
    add_string(&file, SLICE_EMPTY);
    add_u32(&file, 1);
    add_string(&file, blob);
    add_u32(&secret, check);
    add_u32(&secret, check);
    add_string(&secret, SLICE_LIT("ssh-ed25519"));
    add_string(&secret, public_bytes);
    buf_add(&pair, slice_of((const char *)seed, ED25519_BYTES));
    buf_add(&pair, public_bytes);
    add_string(&secret, buf_slice(&pair));
    add_string(&secret, SLICE_EMPTY);
    for (char pad = 1; secret.bytes % 8 != 0; pad++) {
        buf_add_byte(&secret, pad);
    }
    add_string(&file, buf_slice(&secret));
    add_pem(out, buf_slice(&file));
    buf_close(&pair);
    buf_close(&secret);
    buf_close(&file);
}

static int make_ed25519(struct key_material *key)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    unsigned char seed[ED25519_BYTES], public_bytes[ED25519_BYTES];
    size_t seed_bytes = sizeof(seed), bytes = sizeof(public_bytes);
    struct buf blob = {0};
    bool ok = pkey != NULL && EVP_PKEY_get_raw_private_key(pkey, seed, &seed_bytes) == 1 &&
              EVP_PKEY_get_raw_public_key(pkey, public_bytes, &bytes) == 1;

    if (ok) {
        struct slice raw = slice_of((const char *)public_bytes, bytes);

        add_string(&blob, SLICE_LIT("ssh-ed25519"));
        add_string(&blob, raw);
        add_public_line(key, buf_slice(&blob));
        write_openssh(seed, raw, buf_slice(&blob), &key->private_key);
        add_digest(&key->fingerprint, EVP_sha256(), blob.data, blob.bytes);
    }
    buf_close(&blob);
    OPENSSL_cleanse(seed, sizeof(seed));
    EVP_PKEY_free(pkey);
    return ok ? 0 : -1;
}

int key_material_make(const char *type, struct key_material *key, struct error *err)
{
    bool rsa = strcmp(type, "rsa") == 0;

    *key = (struct key_material){.type = rsa ? "rsa" : "ed25519"};
    if ((rsa ? make_rsa(key) : make_ed25519(key)) != 0) {
        key_material_close(key);
        return error_set(err, ERR_SYSTEM, "OpenSSL could not make a key pair");
    }
    return 0;
}

/* Imported keys. */

static int bad_format(struct error *err)
{
    return error_api(err, "InvalidKey.Format", "Key is not in valid OpenSSH public key format");
}

static int rsa_imported(struct slice rest, struct key_material *key)
{
    struct slice e, n;
    BIGNUM *en = NULL, *nn = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;
    unsigned char *der = NULL;
    int bytes = -1;

    if (take_string(&rest, &e) && take_string(&rest, &n) && rest.bytes == 0 && n.bytes >= 128 &&
        n.bytes <= 1025 && e.bytes <= 8 && build != NULL && maker != NULL) {
        en = BN_bin2bn((const unsigned char *)e.data, (int)e.bytes, NULL);
        nn = BN_bin2bn((const unsigned char *)n.data, (int)n.bytes, NULL);
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, nn);
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, en);
        params = OSSL_PARAM_BLD_to_param(build);
        if (params != NULL && EVP_PKEY_fromdata_init(maker) == 1 &&
            EVP_PKEY_fromdata(maker, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1) {
            bytes = i2d_PUBKEY(pkey, &der);
        }
    }
    if (bytes > 0) {
        add_digest(&key->fingerprint, EVP_md5(), der, (size_t)bytes);
    }
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
    EVP_PKEY_CTX_free(maker);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(en);
    BN_free(nn);
    return bytes > 0 ? 0 : -1;
}

static int read_blob(struct slice word, struct slice blob, struct key_material *key)
{
    struct slice rest = blob;
    struct slice name, raw;

    if (!take_string(&rest, &name) || !slice_equal(name, word)) {
        return -1;
    }
    if (slice_equal_z(word, "ssh-rsa")) {
        key->type = "rsa";
        return rsa_imported(rest, key);
    }
    key->type = "ed25519";
    if (!slice_equal_z(word, "ssh-ed25519") || !take_string(&rest, &raw) ||
        raw.bytes != ED25519_BYTES || rest.bytes != 0) {
        return -1;
    }
    add_digest(&key->fingerprint, EVP_sha256(), blob.data, blob.bytes);
    return 0;
}

int key_material_read(struct slice line, struct key_material *key, struct error *err)
{
    struct slice rest = slice_trim(line);
    struct slice word = SLICE_EMPTY, coded = SLICE_EMPTY;
    struct buf blob = {0};
    int rc = -1;

    *key = (struct key_material){.type = "rsa"};
    slice_next(&rest, ' ', &word);
    slice_next(&rest, ' ', &coded);
    if (coded.bytes > 0 && coded.bytes < 8192 && slice_find(line, '\0') == line.bytes &&
        text_base64_decode(&blob, coded, NULL) == 0) {
        rc = read_blob(word, buf_slice(&blob), key);
    }
    if (rc == 0) {
        add_public_line(key, buf_slice(&blob));
    } else {
        key_material_close(key);
        rc = bad_format(err);
    }
    buf_close(&blob);
    return rc;
}
