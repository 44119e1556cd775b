/* Signed calls to AWS's APIs: credentials, region, endpoints, retries.
 *
 * Loop thread only. Credentials come from the environment, the shared files or the instance
 * metadata service (IMDSv2), in AWS's order; those of an instance's role are fetched again before
 * they expire, and calls wait only while there are none that are valid. A call is tried again, with
 * growing random delays, when there was no answer, on 5xx, on throttling and on expired
 * credentials; so give actions that create something a client token. */
#ifndef CLIENT_AWS_H
#define CLIENT_AWS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "client/settings.h"
#include "http/client.h"

#include <jansson.h>
#include <uv.h>

struct aws_client; /* Opaque. */
struct aws_call;   /* A call under way; gone when its done function returns. */

struct aws_client_options {
    uv_loop_t *loop;
    struct http_client *http;
    const char *endpoint;         /* Of all services; NULL: as the environment and files say. */
    const char *endpoint_default; /* If those say nothing; NULL: AWS. */
    const char *region_default;   /* If nobody says; NULL: the metadata service's. */
    const char *credentials_file; /* After the environment, before the shared files; NULL: none. */
    int attempts_max;             /* 0: 3. */
    int64_t connect_ms;           /* 0: 1,000. */
    int64_t attempt_ms;           /* 0: 5,000. */
    int64_t total_ms;             /* No attempt starts later than this; 0: 15,000. */
};

int aws_client_open(const struct aws_client_options *options, struct aws_client **client,
                    struct error *err);
/* Drops what is under way without calling anyone. The loop must turn once more. NULL is accepted.
 */
void aws_client_close(struct aws_client *client);
/* Known after open, or once the metadata service has answered; "" until then. */
const char *aws_client_region(const struct aws_client *client);

/* On the loop, never within aws_call_start(). @body is that of a 2xx answer, borrowed; otherwise
 * @err says what went wrong: ERR_API with the service's code, text and HTTP status; ERR_AUTH: no
 * credentials; ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_TOO_LARGE. */
typedef void aws_done_fn(void *data, struct slice body, const struct error *err);

/* @body: JSON, or the form without Action and Version, as the service wants; copied. @action lives
 * as long as the program. */
struct aws_call *aws_call_start(struct aws_client *client, enum aws_service service,
                                const char *action, struct slice body, aws_done_fn *done,
                                void *data);
/* Its done function will not be called. NULL is accepted. */
void aws_call_cancel(struct aws_call *call);

/* Append "key=value" to a form, encoded. */
void aws_form_add(struct buf *form, const char *key, const char *value);

/* Call and turn the loop until there is an answer; for programs without other work. @body as above;
 * *@answer (the caller's) is the JSON answer, or the XML one as in client/xml.h without its
 * "...Result" level. @answer may be NULL. */
int aws_call_wait(struct aws_client *client, enum aws_service service, const char *action,
                  struct slice body, json_t **answer, struct error *err);

/* Ask the metadata service: a token, then @path ("meta-data/instance-id"). @body as above;
 * ERR_UNAVAILABLE outside EC2. */
void aws_metadata_get(struct aws_client *client, const char *path, aws_done_fn *done, void *data);

#endif /* CLIENT_AWS_H */
