/* A document: the one shape in which requests and answers pass between the wire and the handlers.
 *
 * A tree of structs, lists, maps and scalars. Members of structs are named by enum member
 * (api/members.h, made from the .api files), so that a misspelt member does not compile. The tree
 * carries no schema: what a member is called in a protocol stands in the model (wire/model.h).
 *
 * Every node lives in the arena it was made in and dies with it. Readers accept NULL and absence:
 * an absent member reads as NULL, "", 0 or false, and a path of reads needs no checks in between.
 * By the time a handler reads its input, required members are present and types, lengths, ranges
 * and enums hold (wire/check.c). Texts never contain NUL. */
#ifndef WIRE_DOC_H
#define WIRE_DOC_H

#include "base/macros.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdint.h>

struct arena;

enum doc_kind {
    DOC_STRUCT,
    DOC_LIST,
    DOC_MAP,
    DOC_TEXT, /* Also enums. */
    DOC_BLOB,
    DOC_INT, /* int and long. */
    DOC_DOUBLE,
    DOC_BOOL,
    DOC_TIME,     /* Milliseconds since 1970, of muster's clock unless the API says otherwise. */
    DOC_JSON,     /* Free-form JSON, such as DynamoDB's attribute values. */
    DOC_RAW_JSON, /* JSON text that an answer takes over as it is. Output only. */
};

struct doc_member;
struct doc_pair;

struct doc {
    enum doc_kind kind;
    struct arena *arena;
    union {
        struct {
            size_t count, room;
            struct doc_member *members;
        } fields; /* DOC_STRUCT */
        struct {
            size_t count, room;
            struct doc **elements;
        } list;
        struct {
            size_t count, room;
            struct doc_pair *pairs;
        } map;
        struct slice text; /* DOC_TEXT (NUL-terminated), DOC_BLOB, DOC_RAW_JSON. */
        int64_t integer;   /* DOC_INT, DOC_TIME, DOC_BOOL. */
        double number;
        json_t *json; /* A reference that the arena drops. */
    } u;
};

struct doc_member {
    int id; /* enum member */
    struct doc *value;
};

struct doc_pair {
    struct slice key; /* NUL-terminated. */
    struct doc *value;
};

/* Nodes. Texts and blobs are copied into the arena. */
struct doc *doc_new(struct arena *arena, enum doc_kind kind); /* Empty, 0 or false. */
struct doc *doc_new_text(struct arena *arena, struct slice text);
struct doc *doc_new_blob(struct arena *arena, struct slice bytes);
struct doc *doc_new_int(struct arena *arena, int64_t integer);
struct doc *doc_new_double(struct arena *arena, double number);
struct doc *doc_new_bool(struct arena *arena, bool value);
struct doc *doc_new_time_ms(struct arena *arena, int64_t ms);
struct doc *doc_new_json(struct arena *arena, json_t *json); /* Takes the reference. */

/* Reading members of a struct. */
bool doc_has(const struct doc *doc, int member);
const struct doc *doc_get(const struct doc *doc, int member); /* NULL when absent. */
struct slice doc_text(const struct doc *doc, int member);     /* Texts and blobs. */
const char *doc_z(const struct doc *doc, int member);         /* NULL when absent. */
int64_t doc_int(const struct doc *doc, int member);
int64_t doc_int_or(const struct doc *doc, int member, int64_t otherwise);
double doc_double_or(const struct doc *doc, int member, double otherwise);
bool doc_bool(const struct doc *doc, int member);
bool doc_bool_or(const struct doc *doc, int member, bool otherwise);
int64_t doc_time_ms_or(const struct doc *doc, int member, int64_t otherwise);
json_t *doc_json(const struct doc *doc, int member); /* Borrowed; NULL when absent. */

/* Reading a member that is a list or a map: how many elements, and the one at @index. */
size_t doc_count(const struct doc *doc, int member);
const struct doc *doc_at(const struct doc *doc, int member, size_t index);
const char *doc_z_at(const struct doc *doc, int member, size_t index);
struct slice doc_key_at(const struct doc *doc, int member, size_t index); /* Maps. */

/* Does the list of texts @member contain @text? */
bool doc_list_contains(const struct doc *doc, int member, struct slice text);

/* Reading a node itself: an element of a list, a value of a map. */
struct slice doc_value_text(const struct doc *doc);
const char *doc_value_z(const struct doc *doc);
int64_t doc_value_int(const struct doc *doc);
double doc_value_double(const struct doc *doc);
size_t doc_length(const struct doc *doc); /* Of a list, map or struct; else 0. */
const struct doc *doc_element(const struct doc *doc, size_t index);
struct slice doc_key(const struct doc *map, size_t index);

/* Writing members of a struct. A member set again is replaced. NULL texts are left out. */
void doc_set(struct doc *doc, int member, struct doc *value);
void doc_set_text(struct doc *doc, int member, struct slice text);
void doc_set_z(struct doc *doc, int member, const char *text);
void doc_set_format(struct doc *doc, int member, const char *format, ...) PRINTF_LIKE(3, 4);
void doc_set_blob(struct doc *doc, int member, struct slice bytes);
void doc_set_int(struct doc *doc, int member, int64_t integer);
void doc_set_double(struct doc *doc, int member, double number);
void doc_set_bool(struct doc *doc, int member, bool value);
void doc_set_time_ms(struct doc *doc, int member, int64_t ms);
void doc_set_json(struct doc *doc, int member, json_t *json); /* Takes the reference. */
void doc_set_raw_json(struct doc *doc, int member, struct slice text);
struct doc *doc_set_struct(struct doc *doc, int member); /* A new one, to be filled. */
struct doc *doc_set_list(struct doc *doc, int member);   /* The one there, or a new one. */
struct doc *doc_set_map(struct doc *doc, int member);    /* The one there, or a new one. */

/* Growing lists and maps. */
void doc_list_add(struct doc *list, struct doc *value);
void doc_list_add_z(struct doc *list, const char *text);
void doc_list_add_text(struct doc *list, struct slice text);
struct doc *doc_list_add_struct(struct doc *list);
void doc_map_put(struct doc *map, struct slice key, struct doc *value); /* No check for twins. */
void doc_map_put_z(struct doc *map, const char *key, const char *text);
struct doc *doc_map_put_struct(struct doc *map, struct slice key);

/* Of the list @member keep at most @count elements from @from on. */
void doc_list_keep(struct doc *doc, int member, size_t from, size_t count);

/* Shorthand for the commonest: a struct appended to the list @member. */
struct doc *doc_add_struct(struct doc *doc, int member);
void doc_add_z(struct doc *doc, int member, const char *text);

#endif /* WIRE_DOC_H */
