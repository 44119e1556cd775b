/* The identifiers AWS makes. All random ones come from the kernel's generator. */
#ifndef AWS_ID_H
#define AWS_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_BYTES 64 /* Room for any id here, with its NUL. */
#define UUID_BYTES 37

/* "i-0123456789abcdef0": @prefix, then 17 hex digits. */
void id_new(char id[ID_BYTES], const char *prefix);
/* "AKIA...", "AROA...": @prefix, then upper-case base32 up to @length characters. */
void id_new_base32(char id[ID_BYTES], const char *prefix, size_t length);
/* @length lower-case hex digits, as in load balancers' ARNs (16). */
void id_new_hex(char id[ID_BYTES], size_t length);
void id_new_uuid(char uuid[UUID_BYTES]);
/* @length characters of A-Za-z0-9+/, as in secret access keys (40). @text has room for the NUL. */
void id_new_secret(char *text, size_t length);
/* Fill with random bytes. */
void id_random(void *data, size_t bytes);
/* Is @id @prefix and then 8 or 17 lower-case hex digits? */
bool id_is(const char *id, const char *prefix);

#endif /* AWS_ID_H */
