/* Key pairs as bytes: making them, and reading public keys. Pure but for the random source.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html */
#ifndef SERVICES_EC2_KEY_MATERIAL_H
#define SERVICES_EC2_KEY_MATERIAL_H

#include "base/buf.h"
#include "base/error.h"

struct key_material {
    const char *type;       /* "rsa", "ed25519" */
    struct buf public_key;  /* "ssh-rsa AAAA...", without a comment */
    struct buf private_key; /* PEM; empty for an imported one */
    struct buf fingerprint; /* As AWS would print it. */
};

/* Zero-initialised is fine. */
void key_material_close(struct key_material *key);
/* @type: "rsa" or "ed25519". ERR_SYSTEM when OpenSSL refuses. */
int key_material_make(const char *type, struct key_material *key, struct error *err);
/* An OpenSSH public key line. ERR_API InvalidKey.Format. */
int key_material_read(struct slice line, struct key_material *key, struct error *err);

#endif /* SERVICES_EC2_KEY_MATERIAL_H */
