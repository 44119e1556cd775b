/* The API models, as tools/api.py compiles them from src/services/NAME/NAME.api. Constant data;
 * read by the codecs, the checker, the dispatcher and CloudFormation. */
#ifndef WIRE_MODEL_H
#define WIRE_MODEL_H

#include "base/error.h"
#include "wire/doc.h"

#include <limits.h>

struct ctx; /* wire/ctx.h */

enum model_protocol {
    PROTOCOL_QUERY = 1 << 0,
    PROTOCOL_EC2 = 1 << 1,
    PROTOCOL_JSON_1_0 = 1 << 2,
    PROTOCOL_JSON_1_1 = 1 << 3,
    PROTOCOL_REST_JSON = 1 << 4,
    PROTOCOL_CBOR = 1 << 5, /* rpc-v2-cbor */
};

enum model_location { LOCATION_BODY, LOCATION_PATH, LOCATION_QUERY, LOCATION_HEADER };

#define MODEL_NO_MIN INT64_MIN
#define MODEL_NO_MAX INT64_MAX

struct model_member;

struct model_shape {
    enum doc_kind kind;
    const char *name;                   /* AWS's shape name, or "" for an unnamed one. */
    const struct model_member *members; /* DOC_STRUCT, in AWS's order. */
    size_t member_count;
    const struct model_shape *element; /* DOC_LIST's elements, DOC_MAP's values. */
    const struct model_shape *key;     /* DOC_MAP's keys: texts. */
    const char *element_wire;          /* Elements' name in XML answers; NULL: the usual one. */
    const char *const *values;         /* An enum's, NULL-terminated; else NULL. */
    int64_t min, max;                  /* Length, count or value; MODEL_NO_MIN / MODEL_NO_MAX. */
    bool bits32;                       /* DOC_INT that AWS calls integer: must fit 32 bits. */
};

struct model_member {
    int id;               /* enum member */
    const char *name;     /* AWS's member name; JSON and error texts use it. */
    const char *wire_in;  /* Its name in query and ec2 requests, JSON bodies, paths, headers. */
    const char *wire_out; /* Its name in answers. */
    const struct model_shape *shape;
    bool required;
    enum model_location location; /* rest-json only. */
};

enum model_op_flags {
    OP_WRITES = 1 << 0,   /* Changes state: refused while the disk is nearly full. */
    OP_UNSIGNED = 1 << 1, /* Accepts requests without credentials. */
    OP_JUDGES = 1 << 2,   /* Its handler asks hooks->authorize(), for each thing it is about. */
};

/* A handler: reads @in, changes state and ctx's change set together or neither, fills @out.
 * See wire/ctx.h for answers that come later. */
typedef int handler_fn(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err);

struct model_op {
    const char *name;
    handler_fn *handler;
    const struct model_shape *in;  /* A struct, maybe without members. */
    const struct model_shape *out; /* A struct, or NULL where AWS answers without a result. */
    unsigned flags;                /* enum model_op_flags */
    /* What is authorised: "*", or ARNs, divided by commas, with {region}, {account} and a {Member}
     * of the input, or {Member:kind} where wire_hooks.resource() knows what it is called. Each
     * element of a list is judged; what the input leaves out is not, unless nothing else is: then
     * the first ARN, with '*' in its place. */
    const char *arn;
    const char *http_method; /* rest-json, else NULL. */
    const char *http_path;   /* "/groups/{Group}/resources" */
};

/* A modelled error: a handler fails with error_api("ShapeName" or the query code). */
struct model_error {
    const char *shape; /* "ScalingActivityInProgressFault": the code in json and cbor. */
    const char *code;  /* "ScalingActivityInProgress": the code in query. */
    int http_status;
};

struct model_service {
    const char *name;    /* "elbv2": our folder, and CloudFormation's and the CLI's word. */
    unsigned protocols;  /* enum model_protocol */
    const char *version; /* "2015-12-01" */
    const char *signing; /* "elasticloadbalancing": the credential scope, and IAM's prefix. */
    const char *xmlns;   /* NULL in JSON services. */
    const char *target;  /* X-Amz-Target's prefix, "DynamoDB_20120810"; NULL in others. */
    const struct model_op *ops;
    size_t op_count;
    const struct model_error *errors;
    size_t error_count;
};

/* The services of a program. tools/api.py makes `api` (api/api.h) of all .api files; a test of the
 * wire brings its own. */
struct model {
    const struct model_service *const *services;
    size_t service_count;
};

/* Looking up; NULL when there is none. */
const struct model_service *model_service_find(const struct model *model, struct slice name);
const struct model_op *model_op_find(const struct model_service *service, struct slice name);
const struct model_member *model_member_find(const struct model_shape *shape, int id);
const struct model_member *model_member_named(const struct model_shape *shape, struct slice name);

#endif /* WIRE_MODEL_H */
