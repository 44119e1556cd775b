/* The protocols' codecs, as wire/ itself uses them: documents in, documents out, by the model.
 * Decoders check syntax and types; wire/check.c checks the rest. Pure. */
#ifndef WIRE_CODEC_H
#define WIRE_CODEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "wire/model.h"

#define CODEC_DEPTH_MAX 32
#define FORM_PARAMETERS_MAX 10000
#define CODEC_VALUES_MAX 300000 /* In a body of JSON or CBOR; each takes some 300 bytes. */

/* How an error and a name look depends on the family, not on the exact protocol. */
enum family { FAMILY_QUERY, FAMILY_EC2, FAMILY_JSON };
enum family family_of(enum model_protocol protocol);

/* form.c: "a.b.1=x&a.b.2=y" as a tree; names and values decoded, in @arena. */
struct form {
    struct slice name;
    struct slice value;
    bool has_value;
    struct form *children, *next; /* In the order of arrival. */
    struct form *last;            /* Of the children. */
    size_t count;
    struct form **slots; /* Of many children: a hash table of them. */
    size_t slots_room;
};
int form_parse(struct arena *arena, struct slice text, struct form *root, struct error *err);
/* The child called @name, or NULL. */
struct form *form_find(const struct form *form, struct slice name);
/* The value of a top-level name; NULL data when absent. */
struct slice form_value(const struct form *root, const char *name);

/* query.c: the query and ec2 protocols. */
int query_decode(struct arena *arena, const struct model_shape *shape, const struct form *root,
                 bool ec2, struct doc **doc, struct error *err);
void query_encode(const struct model_service *service, const struct model_op *op,
                  const struct doc *out, const char *request_id, struct buf *text);
void ec2_encode(const struct model_service *service, const struct model_op *op,
                const struct doc *out, const char *request_id, struct buf *text);
void xml_add_text(struct buf *text, struct slice value);

/* json.c: json 1.0, 1.1 and rest-json bodies. */
int json_decode(struct arena *arena, const struct model_shape *shape, struct slice body,
                struct doc **doc, struct error *err);
void json_encode(const struct model_shape *shape, const struct doc *doc, struct buf *text);
void json_add_text(struct buf *text, struct slice value);

/* rest.c: what of a rest-json request is in its path and query. */
const struct model_op *rest_find(const struct model_service *service, struct slice method,
                                 struct slice path);
int rest_decode(struct arena *arena, const struct model_op *op, struct slice path,
                struct slice query, struct slice body, struct doc **doc, struct error *err);

/* cbor.c: rpc-v2-cbor. */
int cbor_decode(struct arena *arena, const struct model_shape *shape, struct slice body,
                struct doc **doc, struct error *err);
void cbor_encode(const struct model_shape *shape, const struct doc *doc, struct buf *bytes);
void cbor_encode_error(const char *type, const char *message, struct buf *bytes);

/* check.c: required members, types, lengths, ranges and enums, in AWS's words. */
int check_input(const struct model_shape *shape, const struct doc *in, enum family family,
                struct error *err);

/* errors.c: what a struct error is called on the wire. */
struct wire_error {
    const char *code; /* In this protocol: the query code or the shape's name. */
    const char *query_code;
    int http_status;
    bool sender; /* The caller's fault. */
};
struct wire_error wire_error_of(const struct model_service *service, enum family family,
                                const struct error *err);

#endif /* WIRE_CODEC_H */
