/* AWS Signature Version 4: canonical request, string to sign and signature, for both ends.
 *
 * Pure; any thread. Each stage can be called by itself, so that a test, or a person, sees which one
 * differs. Rules: "Create a signed AWS API request" in the IAM User Guide. */
#ifndef WIRE_SIGV4_H
#define WIRE_SIGV4_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define SIGV4_HEADERS_MAX 64
#define SIGV4_HASH_HEX_BYTES 65 /* With the NUL. */
#define SIGV4_HEADER_BYTES_MAX 1024

struct sigv4_header {
    struct slice name; /* Any case. */
    struct slice value;
};

/* A request as it is on the wire. Borrows everything. */
struct sigv4_request {
    struct slice method;
    struct slice path;  /* Raw, "/" at least. */
    struct slice query; /* Raw, without '?'. */
    struct slice body;
    const struct sigv4_header *headers;
    size_t header_count;
};

/* Date, region and service of a signature. */
struct sigv4_scope {
    char date[17];       /* "20260102T030405Z" */
    struct slice region; /* "us-east-2" */
    struct slice service;
};

/* What a signed request says about its signature; slices into the request. */
struct sigv4_claim {
    struct slice access_key;
    struct sigv4_scope scope;
    struct slice signed_headers; /* "host;x-amz-date" */
    struct slice signature;
    struct slice session_token; /* NULL data: none. Presigned: still percent-encoded. */
    bool presigned;
    int64_t date_ms;
    int64_t expires_s; /* Presigned only. */
};

/* Append the canonical request over the headers named in @signed_headers. @payload_hash is the hex
 * hash, or what x-amz-content-sha256 says in its place. */
void sigv4_canonical_request(const struct sigv4_request *request, struct slice signed_headers,
                             struct slice payload_hash, struct buf *text);
/* Append "20260102/us-east-2/dynamodb". */
void sigv4_add_scope(const struct sigv4_scope *scope, struct buf *text);
/* Append the string to sign. */
void sigv4_string_to_sign(const struct sigv4_scope *scope, struct slice canonical_request,
                          struct buf *text);
/* The hex signature of @string_to_sign. */
void sigv4_signature(struct slice secret, const struct sigv4_scope *scope,
                     struct slice string_to_sign, char hex[SIGV4_HASH_HEX_BYTES]);
/* Hex SHA-256. */
void sigv4_hash(struct slice data, char hex[SIGV4_HASH_HEX_BYTES]);

/* Client: the value of the Authorization header. @request->headers hold all that is to be signed,
 * host and x-amz-date among them; @date_ms is x-amz-date's. */
void sigv4_sign(const struct sigv4_request *request, struct slice access_key, struct slice secret,
                struct slice region, struct slice service, int64_t date_ms,
                struct buf *authorization);

/* Server, step 1: does the request say who signed it? ERR_AUTH with aws_code
 * MissingAuthenticationToken, IncompleteSignature, InvalidSignature (both forms at once) or
 * SignatureDoesNotMatch (scope), and AWS's text. */
int sigv4_parse(const struct sigv4_request *request, struct sigv4_claim *claim, struct error *err);
/* Step 2: is it of now? @skew_ms either way. SignatureDoesNotMatch, RequestExpired. */
int sigv4_check_time(const struct sigv4_claim *claim, int64_t wall_ms, int64_t skew_ms,
                     struct error *err);
/* Step 3: is it by @secret? Compares in constant time. SignatureDoesNotMatch. */
int sigv4_verify(const struct sigv4_request *request, const struct sigv4_claim *claim,
                 struct slice secret, struct error *err);

#endif /* WIRE_SIGV4_H */
