/* Plain C structs to compact JSON and back, by a const table of their fields, so that a service
 * keeps its state in typed structs and `sqlite3 muster.db` shows it.
 *
 *     struct policy {
 *         char *name;
 *         enum adjustment type;
 *         int32_t amount;
 *     };
 *     static const char *const adjustment_names[] = {"exact", "change", "percent"};
 *     static const struct record_field policy_fields[] = {
 *         RECORD_TEXT(struct policy, name),
 *         RECORD_ENUM(struct policy, type, adjustment_names),
 *         RECORD_I32(struct policy, amount),
 *     };
 *     static const struct record policy_record = RECORD(struct policy, policy_fields);
 *
 *     struct group {
 *         char *name;
 *         int64_t created_ms;
 *         char **zones;             (a list is a pointer and MEMBER_count)
 *         size_t zones_count;
 *         struct policy *policies;
 *         size_t policies_count;
 *     };
 *     static const struct record_field group_fields[] = {
 *         RECORD_TEXT(struct group, name),
 *         RECORD_I64(struct group, created_ms),
 *         RECORD_TEXTS(struct group, zones),
 *         RECORD_LIST(struct group, policies, policy_record),
 *     };
 *
 * A member's key is its C name; renaming it is a change of the stored form (RECORD_NAMED keeps the
 * old key). Unknown keys are ignored and absent ones leave the member as it is, so that members may
 * come and go. Members that are not in the table (pointers to neighbours, caches) are not touched.
 * A wrong C type does not compile. Any thread. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t; /* jansson's */

enum record_type {
    RECORD_TYPE_TEXT,     /* char *, owned; NULL is left out */
    RECORD_TYPE_CHARS,    /* char[n]; "" is left out; longer text does not load */
    RECORD_TYPE_I64,      /* int64_t */
    RECORD_TYPE_I32,      /* int32_t */
    RECORD_TYPE_U32,      /* uint32_t */
    RECORD_TYPE_BOOL,     /* bool */
    RECORD_TYPE_DOUBLE,   /* double; NaN and infinities are left out */
    RECORD_TYPE_ENUM,     /* an enum, stored by name; an unknown name does not load */
    RECORD_TYPE_STRUCT,   /* a struct inside */
    RECORD_TYPE_OPTIONAL, /* a pointer to one struct, owned; NULL is left out */
    RECORD_TYPE_LIST,     /* an array of structs, owned, with MEMBER_count */
    RECORD_TYPE_TEXTS,    /* an array of char *, owned, with MEMBER_count; no NULLs in it */
    RECORD_TYPE_I64S,     /* an array of int64_t, owned, with MEMBER_count */
    RECORD_TYPE_CUSTOM,   /* anything, by functions */
};

/* How a member of another type is stored: a type's owner writes one of these. */
struct record_codec {
    /* A new reference, or NULL to leave the member out. */
    struct json_t *(*save)(const void *member);
    int (*load)(void *member, const struct json_t *json, struct error *err);
    void (*close)(void *member);              /* Frees and zeroes. May be NULL. */
    void (*copy)(void *to, const void *from); /* Deep; @to is zeroed. NULL: by save and load. */
};

struct record;

struct record_field {
    const char *name;
    enum record_type type;
    uint32_t offset;
    uint32_t count_offset; /* LIST, TEXTS, I64S */
    uint32_t bytes;        /* CHARS, CUSTOM: of the member; ENUM: how many names */
    union {
        const struct record *record;
        const char *const *names;
        const struct record_codec *codec;
    } of;
};

struct record {
    const struct record_field *fields;
    size_t fields_count;
    size_t bytes; /* sizeof the struct. */
};

/* Append @thing as a JSON object. Text that is not UTF-8 has its bad bytes replaced by '?'. */
void record_save(const struct record *record, const void *thing, struct buf *json);

/* Fill @thing, which is zeroed or holds defaults that were made as record_close() frees them.
 * ERR_INVALID names the member that does not fit; @thing is then closed. */
int record_load(const struct record *record, void *thing, struct slice json, struct error *err);

/* Free what the members in the table own and zero these; twice is fine. */
void record_close(const struct record *record, void *thing);

/* A deep copy of the members in the table into @to, whose members must own nothing. */
void record_copy(const struct record *record, void *to, const void *from);

/* The same as JSON trees, for codecs. record_json gives a new reference. */
struct json_t *record_json(const struct record *record, const void *thing);
int record_load_json(const struct record *record, void *thing, const struct json_t *json,
                     struct error *err);

/* The tables' words. */
#define RECORD(type_, fields_)                                                                     \
    {                                                                                              \
        .fields = (fields_), .fields_count = sizeof(fields_) / sizeof((fields_)[0]),               \
        .bytes = sizeof(type_)                                                                     \
    }

/* 0, or no compilation when the member has another type. */
#define RECORD_IS(type_, member_, c_type_)                                                         \
    (0 *                                                                                           \
     sizeof(                                                                                       \
         char[__builtin_types_compatible_p(__typeof__(((type_ *)0)->member_), c_type_) ? 1 : -1]))
#define RECORD_FIELD(type_, member_, c_type_, record_type_)                                        \
    .name = #member_, .type = (record_type_),                                                      \
    .offset = (uint32_t)(offsetof(type_, member_) + RECORD_IS(type_, member_, c_type_))
#define RECORD_COUNTED(type_, member_)                                                             \
    .count_offset =                                                                                \
        (uint32_t)(offsetof(type_, member_##_count) + RECORD_IS(type_, member_##_count, size_t))

#define RECORD_TEXT(type_, member_)                                                                \
    {                                                                                              \
        RECORD_FIELD(type_, member_, char *, RECORD_TYPE_TEXT)                                     \
    }
#define RECORD_CHARS(type_, member_)                                                               \
    {                                                                                              \
        RECORD_FIELD(type_, member_, char[sizeof(((type_ *)0)->member_)], RECORD_TYPE_CHARS),      \
            .bytes = (uint32_t)sizeof(((type_ *)0)->member_)                                       \
    }
#define RECORD_I64(type_, member_)                                                                 \
    {                                                                                              \
        RECORD_FIELD(type_, member_, int64_t, RECORD_TYPE_I64)                                     \
    }
#define RECORD_I32(type_, member_)                                                                 \
    {                                                                                              \
        RECORD_FIELD(type_, member_, int32_t, RECORD_TYPE_I32)                                     \
    }
#define RECORD_U32(type_, member_)                                                                 \
    {                                                                                              \
        RECORD_FIELD(type_, member_, uint32_t, RECORD_TYPE_U32)                                    \
    }
#define RECORD_BOOL(type_, member_)                                                                \
    {                                                                                              \
        RECORD_FIELD(type_, member_, bool, RECORD_TYPE_BOOL)                                       \
    }
#define RECORD_DOUBLE(type_, member_)                                                              \
    {                                                                                              \
        RECORD_FIELD(type_, member_, double, RECORD_TYPE_DOUBLE)                                   \
    }
/* @names_: an array of const char *, one for each value from 0. The stored names are for good. */
#define RECORD_ENUM(type_, member_, names_)                                                        \
    {                                                                                              \
        .name = #member_, .type = RECORD_TYPE_ENUM,                                                \
        .offset = (uint32_t)(offsetof(type_, member_) +                                            \
                             0 * sizeof(char[sizeof(((type_ *)0)->member_) == 4 ? 1 : -1])),       \
        .bytes = (uint32_t)(sizeof(names_) / sizeof((names_)[0])), .of.names = (names_)            \
    }
#define RECORD_STRUCT(type_, member_, record_)                                                     \
    {                                                                                              \
        .name = #member_, .type = RECORD_TYPE_STRUCT,                                              \
        .offset = (uint32_t)offsetof(type_, member_), .of.record = &(record_)                      \
    }
#define RECORD_OPTIONAL(type_, member_, record_)                                                   \
    {                                                                                              \
        .name = #member_, .type = RECORD_TYPE_OPTIONAL,                                            \
        .offset = (uint32_t)offsetof(type_, member_), .of.record = &(record_)                      \
    }
#define RECORD_LIST(type_, member_, record_)                                                       \
    {                                                                                              \
        .name = #member_, .type = RECORD_TYPE_LIST, .offset = (uint32_t)offsetof(type_, member_),  \
        RECORD_COUNTED(type_, member_), .of.record = &(record_)                                    \
    }
#define RECORD_TEXTS(type_, member_)                                                               \
    {                                                                                              \
        RECORD_FIELD(type_, member_, char **, RECORD_TYPE_TEXTS), RECORD_COUNTED(type_, member_)   \
    }
#define RECORD_I64S(type_, member_)                                                                \
    {                                                                                              \
        RECORD_FIELD(type_, member_, int64_t *, RECORD_TYPE_I64S), RECORD_COUNTED(type_, member_)  \
    }
#define RECORD_CUSTOM(type_, member_, codec_)                                                      \
    {                                                                                              \
        .name = #member_, .type = RECORD_TYPE_CUSTOM,                                              \
        .offset = (uint32_t)offsetof(type_, member_),                                              \
        .bytes = (uint32_t)sizeof(((type_ *)0)->member_), .of.codec = &(codec_)                    \
    }

#endif /* STORE_RECORD_H */
