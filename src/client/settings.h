/* What the environment and the shared AWS files say: credentials, region, endpoints, in the order
 * in which AWS's own clients look ("SDKs and Tools Reference Guide").
 *
 * Files are read when asked for, and small; any thread. Profile names, sections and keys are those
 * of ~/.aws/credentials and ~/.aws/config. */
#ifndef CLIENT_SETTINGS_H
#define CLIENT_SETTINGS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum aws_service {
    AWS_AUTO_SCALING,
    AWS_CLOUD_FORMATION,
    AWS_CLOUD_WATCH,
    AWS_DYNAMODB,
    AWS_EC2,
    AWS_ELB,
    AWS_IAM,
    AWS_SSM,
    AWS_STS,
    AWS_SERVICES, /* How many there are. */
};

/* How a service is spoken to. */
struct aws_service_facts {
    const char *name;      /* For messages: "autoscaling". */
    const char *host;      /* First label of its default endpoint: "monitoring". */
    const char *signing;   /* Service of the signature's scope. */
    const char *suffix;    /* Of AWS_ENDPOINT_URL_... */
    const char *version;   /* Query protocol; NULL: JSON. */
    const char *target;    /* JSON protocol: the first part of X-Amz-Target. */
    const char *json_type; /* JSON protocol: the content type. */
};
const struct aws_service_facts *aws_service_facts(enum aws_service service);

/* A set of keys. Zero-initialise, end with aws_keys_close(). */
struct aws_keys {
    char *access_key, *secret;
    char *token;        /* NULL: none. */
    int64_t expires_ms; /* Wall clock; 0: never. */
};
/* Forgets the secrets, too. Twice is fine. */
void aws_keys_close(struct aws_keys *keys);

/* From the environment, else @file (NULL: none), else the shared credentials and config files.
 * ERR_NOT_FOUND if none has any; ERR_CONFIG if one has half of them. */
int aws_keys_find(const char *file, struct aws_keys *keys, struct error *err);
/* From one file in the shared credentials format alone. */
int aws_keys_read(const char *file, struct aws_keys *keys, struct error *err);

/* AWS_REGION, AWS_DEFAULT_REGION or the profile's; NULL if none says. The caller frees it. */
char *aws_region_find(void);

/* AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's endpoint_url; NULL if none says (or
 * AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true). The caller frees it. */
char *aws_endpoint_find(enum aws_service service);
/* Where AWS itself answers. The caller frees it. */
char *aws_endpoint_default(enum aws_service service, const char *region);

/* The value of @key in section [@section] of @text, blanks trimmed. False if there is none. Nested
 * values (indented lines) are not looked at. */
bool aws_ini_find(struct slice text, struct slice section, const char *key, struct slice *value);

/* Scheme, host as the Host header has it (without a default port), and path prefix (without a
 * closing slash) of an endpoint. Slices into @url. ERR_CONFIG. */
struct aws_url {
    struct slice scheme, host, prefix;
};
int aws_url_parse(const char *url, struct aws_url *parts, struct error *err);

#endif /* CLIENT_SETTINGS_H */
