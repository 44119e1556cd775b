#include "base/macros.h"
#include "services/dynamodb/private.h"

void keys_close(struct item_keys *keys)
{
    buf_close(&keys->hash);
    buf_close(&keys->range);
}

/* FNV-1a, then mixed, for its high bits choose a Scan's segment. */
uint32_t key_spread(struct slice encoded)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < encoded.bytes; i++) {
        hash = (hash ^ (unsigned char)encoded.data[i]) * 16777619U;
    }
    hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
    hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
    return hash ^ (hash >> 16);
}

void key_encode_hash(const json_t *value, struct buf *hash)
{
    struct buf encoded = {0};
    uint32_t spread;

    value_key(value, &encoded);
    spread = key_spread(buf_slice(&encoded));
    for (int shift = 24; shift >= 0; shift -= 8) {
        buf_add_byte(hash, (char)(spread >> shift));
    }
    buf_add(hash, buf_slice(&encoded));
    buf_close(&encoded);
}

static int schema_mismatch(struct error *err)
{
    return error_api(err, "ValidationException",
                     "The provided key element does not match the schema");
}

/* Encode, and check what holds for keys however they came. */
static int encode(const struct table *table, const json_t *source, const char *empty_text,
                  struct item_keys *keys, struct error *err)
{
    const json_t *hash = json_object_get(source, table->hash_name);
    const json_t *range =
        table->range_name == NULL ? NULL : json_object_get(source, table->range_name);

    key_encode_hash(hash, &keys->hash);
    if (range != NULL) {
        value_key(range, &keys->range);
    }
    if (keys->hash.bytes == sizeof(uint32_t) || (range != NULL && keys->range.bytes == 0)) {
        return error_api(
            err, "ValidationException",
            "%sThe AttributeValue for a key attribute cannot contain an empty %s"
            " value. Key: %s",
            empty_text,
            (keys->hash.bytes == sizeof(uint32_t) ? table->hash_type : table->range_type) == VALUE_B
                ? "binary"
                : "string",
            keys->hash.bytes == sizeof(uint32_t) ? table->hash_name : table->range_name);
    }
    if (keys->hash.bytes - sizeof(uint32_t) > HASH_KEY_BYTES_MAX) {
        return error_api(err, "ValidationException",
                         PARAMETER_INVALID
                         "Size of hashkey has exceeded the maximum size limit of2048 bytes");
    }
    if (keys->range.bytes > RANGE_KEY_BYTES_MAX) {
        return error_api(err, "ValidationException",
                         PARAMETER_INVALID "Aggregated size of all range keys has exceeded the size"
                                           " limit of 1024 bytes");
    }
    return 0;
}

static int check_item_key(const json_t *item, const char *name, enum value_type type,
                          struct error *err)
{
    const json_t *value = json_object_get(item, name);

    if (value == NULL) {
        return error_api(err, "ValidationException",
                         PARAMETER_INVALID "Missing the key %s in the item", name);
    }
    if (value_type_of(value) != type) {
        return error_api(err, "ValidationException",
                         PARAMETER_INVALID "Type mismatch for key %s expected: %s actual: %s", name,
                         value_type_name(type), value_type_name(value_type_of(value)));
    }
    return 0;
}

int keys_of_item(const struct table *table, const json_t *item, struct item_keys *keys,
                 struct error *err)
{
    int rc = check_item_key(item, table->hash_name, table->hash_type, err);

    if (rc == 0 && table->range_name != NULL) {
        rc = check_item_key(item, table->range_name, table->range_type, err);
    }
    return rc != 0 ? rc
                   : encode(table, item, "One or more parameter values are not valid. ", keys, err);
}

static bool key_fits(const json_t *key, const char *name, enum value_type type)
{
    const json_t *value = json_object_get(key, name);

    return value != NULL && value_type_of(value) == type;
}

int keys_of_key(const struct table *table, const json_t *key, struct item_keys *keys,
                struct error *err)
{
    if (json_object_size(key) != (table->range_name == NULL ? 1 : 2) ||
        !key_fits(key, table->hash_name, table->hash_type) ||
        (table->range_name != NULL && !key_fits(key, table->range_name, table->range_type))) {
        return schema_mismatch(err);
    }
    return encode(table, key, PARAMETER_INVALID, keys, err);
}

json_t *key_of_item(const struct table *table, const json_t *item)
{
    json_t *key = json_object();

    json_object_set(key, table->hash_name, json_object_get(item, table->hash_name));
    if (table->range_name != NULL) {
        json_object_set(key, table->range_name, json_object_get(item, table->range_name));
    }
    return key;
}
