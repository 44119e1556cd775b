/* Attribute values: {"S":"text"} and the nine other types, as jansson trees, and items, which are
 * objects of them by attribute name.
 *
 * value_normalise() is the one gate for what comes from outside; everything else believes that a
 * value has exactly one known type, numbers are canonical, binary is canonical base64 and sets have
 * neither twins nor are empty. A tree belongs to one thread at a time; who changes one copies it
 * before (json_deep_copy()), for parts of it may be another's. */
#ifndef SERVICES_DYNAMODB_VALUE_H
#define SERVICES_DYNAMODB_VALUE_H

#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdint.h>

struct buf;

/* What AWS writes before most complaints about values. */
#define PARAMETER_INVALID "One or more parameter values were invalid: "

#define VALUE_LEVELS_MAX 32
#define ITEM_BYTES_MAX (400 * 1024)

enum value_type {
    VALUE_S,
    VALUE_N,
    VALUE_B,
    VALUE_BOOL,
    VALUE_NULL,
    VALUE_M,
    VALUE_L,
    VALUE_SS,
    VALUE_NS,
    VALUE_BS,
    VALUE_TYPES
};

/* "S", "N" ... */
const char *value_type_name(enum value_type type);
/* "STRING", "NUMBER" ...: as ADD's and DELETE's errors say it. */
const char *value_type_word(enum value_type type);
/* From "S"; false if it is none. */
bool value_type_parse(struct slice name, enum value_type *type);

/* Checked and canonical: a new reference in *@out, which may share parts of @in. ERR_API:
 * ValidationException, or SerializationException for JSON that is no attribute value at all. */
int value_normalise(const json_t *in, json_t **out, struct error *err);

/* Of normalised values. */
enum value_type value_type_of(const json_t *value);
json_t *value_content(const json_t *value); /* What stands beside the type; borrowed. */
bool value_equal(const json_t *a, const json_t *b);
/* False unless both are S, N or B of the same type; else *@order is <0, 0, >0. */
bool value_compare(const json_t *a, const json_t *b, int *order);
bool value_begins_with(const json_t *value, const json_t *prefix);
bool value_contains(const json_t *value, const json_t *part);
/* size(): false where it is not defined. */
bool value_size(const json_t *value, int64_t *size);
/* Append the bytes that sort as the value does; S, N and B only. */
void value_key(const json_t *value, struct buf *key);
/* What the value adds to its item's size. */
int64_t value_bytes(const json_t *value);
int64_t item_bytes(const json_t *item);

/* New references. */
json_t *value_new_number(int64_t number);
json_t *value_new(enum value_type type, json_t *content); /* Takes @content. */

#endif /* SERVICES_DYNAMODB_VALUE_H */
