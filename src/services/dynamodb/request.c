/* What item actions read and write alike. */
#include "base/macros.h"
#include "services/dynamodb/private.h"

#include <string.h>

static json_t *doc_map_json(const struct doc *map)
{
    json_t *object;

    if (map == NULL) {
        return NULL;
    }
    object = json_object();
    for (size_t i = 0; i < doc_length(map); i++) {
        const struct doc *value = doc_element(map, i);
        struct slice key = doc_key(map, i);
        struct slice text = doc_value_text(value);
        json_t *json = value->kind == DOC_JSON ? json_incref(value->u.json)
                                               : json_stringn(text.data, text.bytes);

        json_object_set_new(object, key.data, json == NULL ? json_null() : json);
    }
    return object;
}

json_t *map_json(const struct doc *in, int member)
{
    return doc_map_json(doc_get(in, member));
}

int item_json_of(const struct doc *map, json_t **item, struct error *err)
{
    int rc = 0;

    *item = json_object();
    for (size_t i = 0; i < doc_length(map) && rc == 0; i++) {
        struct slice name = doc_key(map, i);
        json_t *copy = NULL;

        if (name.bytes == 0) {
            rc = error_api(err, "ValidationException", PARAMETER_INVALID "Empty attribute name");
        } else {
            rc = value_normalise(doc_element(map, i)->u.json, &copy, err);
        }
        if (rc == 0) {
            json_object_set_new_nocheck(*item, name.data, copy);
        }
    }
    if (rc != 0) {
        json_decref(*item);
        *item = NULL;
    }
    return rc;
}

int item_json(const struct doc *in, int member, json_t **item, struct error *err)
{
    return item_json_of(doc_get(in, member), item, err);
}

int refuse_legacy(const struct doc *in, const struct legacy_parameter *parameters, size_t count,
                  struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (doc_has(in, parameters[i].member)) {
            return error_api(err, "ValidationException",
                             "muster does not know the legacy parameter %s; use expressions",
                             parameters[i].name);
        }
    }
    return 0;
}

/* "ConditionExpression is null", "UpdateExpression and ConditionExpression are null" */
static void null_expressions(const struct legacy_parameter *expressions, size_t count,
                             struct buf *text)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_z(text, i == 0 ? "" : i + 1 == count ? " and " : ", ");
        buf_add_z(text, expressions[i].name);
    }
    buf_add_z(text, count == 1 ? " is null" : " are null");
}

int scope_read(struct scope *scope, const struct doc *in,
               const struct legacy_parameter *expressions, size_t count, bool takes_values,
               struct error *err)
{
    json_t *names = map_json(in, M_ExpressionAttributeNames);
    json_t *values = takes_values ? map_json(in, M_ExpressionAttributeValues) : NULL;
    struct buf missing = {0};
    bool any = false;
    int rc = 0;

    for (size_t i = 0; i < count; i++) {
        any = any || doc_has(in, expressions[i].member);
    }
    if (!any && names != NULL) {
        rc = error_api(err, "ValidationException",
                       "ExpressionAttributeNames can only be specified when using expressions");
    } else if (!any && values != NULL) {
        null_expressions(expressions, count, &missing);
        rc = error_api(err, "ValidationException",
                       "ExpressionAttributeValues can only be specified when using expressions:"
                       " %s",
                       buf_z(&missing));
    } else {
        rc = scope_set(scope, names, values, err);
    }
    buf_close(&missing);
    json_decref(names);
    json_decref(values);
    return rc;
}

bool capacity_wanted(const struct doc *in)
{
    struct slice wanted = doc_text(in, M_ReturnConsumedCapacity);

    return slice_equal_z(wanted, "TOTAL") || slice_equal_z(wanted, "INDEXES");
}

void capacity_fill(const struct doc *in, struct doc *node, const char *table, double units)
{
    doc_set_z(node, M_TableName, table);
    doc_set_double(node, M_CapacityUnits, units);
    if (slice_equal_z(doc_text(in, M_ReturnConsumedCapacity), "INDEXES")) {
        doc_set_double(doc_set_struct(node, M_Table), M_CapacityUnits, units);
    }
}

void capacity_set(const struct doc *in, struct doc *out, const char *table, double units)
{
    if (capacity_wanted(in)) {
        capacity_fill(in, doc_set_struct(out, M_ConsumedCapacity), table, units);
    }
}

double read_units(int64_t bytes, bool consistent)
{
    int64_t blocks = max_i64((bytes + 4095) / 4096, 1);

    return (double)blocks * (consistent ? 1 : 0.5);
}

double write_units(int64_t bytes)
{
    return (double)max_i64((bytes + 1023) / 1024, 1);
}

json_t *item_parse(struct slice text)
{
    json_t *item = json_loadb(text.data, text.bytes, JSON_ALLOW_NUL, NULL);

    ASSERT(item != NULL); /* We wrote it. */
    return item;
}
