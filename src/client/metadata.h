/* The instance metadata service, version 2: sessions, and the two things a client wants of it, the
 * role's keys and the region. Loop thread only. What is under way when the client closes is
 * dropped. */
#ifndef CLIENT_METADATA_H
#define CLIENT_METADATA_H

#include "base/error.h"
#include "base/slice.h"
#include "client/settings.h"
#include "http/client.h"

struct metadata; /* Opaque. */

struct metadata *metadata_open(struct http_client *http);
void metadata_close(struct metadata *metadata);

/* False when AWS_EC2_METADATA_DISABLED is true. */
bool metadata_enabled(void);

typedef void metadata_done_fn(void *data, struct slice body, const struct error *err);
/* GET /latest/@path, with a new token if there is none. Several may be under way. */
void metadata_get(struct metadata *metadata, const char *path, metadata_done_fn *done, void *data);

/* What security-credentials/ROLE answers. ERR_INVALID. */
int metadata_keys_parse(struct slice body, struct aws_keys *keys, struct error *err);

#endif /* CLIENT_METADATA_H */
