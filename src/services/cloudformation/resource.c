#include "services/cloudformation/resource.h"

#include "api/api.h"
#include "aws/id.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/cloudformation/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct resource_row *resource_row_find(const char *type)
{
    const struct resource_row *const tables[] = {resources_ec2, resources_elbv2,
                                                 resources_autoscaling, resources_other};

    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        for (const struct resource_row *row = tables[i]; row->type != NULL; row++) {
            if (strcmp(row->type, type) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

const char *const *resource_zones(const struct control *control)
{
    static char names[3][64];
    static const char *zones[] = {names[0], names[1], names[2], NULL};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(names[i], sizeof(names[i]), "%s%c", control->options.region, (char)('a' + i));
    }
    return zones;
}

/* JSON to documents by the model, with CloudFormation's leniency about scalars. */

static int from_json(struct arena *arena, const struct model_shape *shape, const char *name,
                     json_t *json, int depth, struct doc **doc, struct error *err);

static int unfit(struct error *err, const char *name, const char *wanted)
{
    return error_api(err, "ValidationError", "Value of property %s must be %s", name, wanted);
}

static int struct_from_json(struct arena *arena, const struct model_shape *shape, const char *name,
                            json_t *json, int depth, struct doc **doc, struct error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json)) {
        return unfit(err, name, "an object");
    }
    *doc = doc_new(arena, DOC_STRUCT);
    json_object_foreach(json, key, value)
    {
        const struct model_member *member = model_member_named(shape, slice_z(key));
        struct doc *child;
        int rc;

        if (member == NULL) {
            return error_api(err, "ValidationError", "Encountered unsupported property %s", key);
        }
        rc = from_json(arena, member->shape, key, value, depth + 1, &child, err);
        if (rc != 0) {
            return rc;
        }
        doc_set(*doc, member->id, child);
    }
    return 0;
}

static int list_from_json(struct arena *arena, const struct model_shape *shape, const char *name,
                          json_t *json, int depth, struct doc **doc, struct error *err)
{
    json_t *element;
    size_t index;

    if (!json_is_array(json)) {
        return error_api(err, "ValidationError", "Value of property %s must be of type List", name);
    }
    *doc = doc_new(arena, DOC_LIST);
    json_array_foreach(json, index, element)
    {
        struct doc *child;
        int rc = from_json(arena, shape->element, name, element, depth + 1, &child, err);

        if (rc != 0) {
            return rc;
        }
        doc_list_add(*doc, child);
    }
    return 0;
}

static int map_from_json(struct arena *arena, const struct model_shape *shape, const char *name,
                         json_t *json, int depth, struct doc **doc, struct error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json)) {
        return unfit(err, name, "an object");
    }
    *doc = doc_new(arena, DOC_MAP);
    json_object_foreach(json, key, value)
    {
        struct doc *child;
        int rc = from_json(arena, shape->element, key, value, depth + 1, &child, err);

        if (rc != 0) {
            return rc;
        }
        doc_map_put(*doc, slice_z(key), child);
    }
    return 0;
}

/* The scalar as text, in @arena; NULL when it is none. */
static const char *scalar(struct arena *arena, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        return json_string_value(json);
    case JSON_INTEGER:
        return arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(json)).data;
    case JSON_REAL:
        return arena_printf(arena, "%.17g", json_real_value(json)).data;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_NULL:
        break;
    }
    return NULL;
}

static int scalar_from_json(struct arena *arena, const struct model_shape *shape, const char *name,
                            json_t *json, struct doc **doc, struct error *err)
{
    const char *text = scalar(arena, json);
    int64_t integer;
    double number;

    if (text == NULL) {
        return error_api(err, "ValidationError", "Value of property %s must be of type String",
                         name);
    }
    switch (shape->kind) {
    case DOC_INT:
        if (text_to_i64(slice_z(text), INT64_MIN, INT64_MAX, &integer, NULL) != 0) {
            return unfit(err, name, "a number");
        }
        *doc = doc_new_int(arena, integer);
        return 0;
    case DOC_DOUBLE:
        if (text_to_double(slice_z(text), &number, NULL) != 0) {
            return unfit(err, name, "a number");
        }
        *doc = doc_new_double(arena, number);
        return 0;
    case DOC_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            return unfit(err, name, "true or false");
        }
        *doc = doc_new_bool(arena, text[0] == 't');
        return 0;
    case DOC_TEXT:
        *doc = doc_new_text(arena, slice_z(text));
        return 0;
    case DOC_BLOB:
        *doc = doc_new_blob(arena, slice_z(text));
        return 0;
    case DOC_STRUCT:
    case DOC_LIST:
    case DOC_MAP:
    case DOC_TIME:
    case DOC_JSON:
    case DOC_RAW_JSON:
        break;
    }
    return unfit(err, name, "of a type that muster can pass on");
}

static int from_json(struct arena *arena, const struct model_shape *shape, const char *name,
                     json_t *json, int depth, struct doc **doc, struct error *err)
{
    if (depth > 2 * TEMPLATE_DEPTH_MAX) {
        return unfit(err, name, "nested less deeply");
    }
    if (shape->kind == DOC_STRUCT) {
        return struct_from_json(arena, shape, name, json, depth, doc, err);
    }
    if (shape->kind == DOC_LIST) {
        return list_from_json(arena, shape, name, json, depth, doc, err);
    }
    if (shape->kind == DOC_MAP) {
        return map_from_json(arena, shape, name, json, depth, doc, err);
    }
    if (shape->kind == DOC_JSON) {
        *doc = doc_new_json(arena, json_incref(json));
        return 0;
    }
    return scalar_from_json(arena, shape, name, json, doc, err);
}

/* Documents to JSON by the model. */

static json_t *to_json(const struct model_shape *shape, const struct doc *doc)
{
    json_t *json;

    switch (doc->kind) {
    case DOC_STRUCT:
        json = json_object();
        for (size_t i = 0; i < shape->member_count; i++) {
            const struct doc *value = doc_get(doc, shape->members[i].id);

            if (value != NULL) {
                json_object_set_new(json, shape->members[i].name,
                                    to_json(shape->members[i].shape, value));
            }
        }
        return json;
    case DOC_LIST:
        json = json_array();
        for (size_t i = 0; i < doc_length(doc); i++) {
            json_array_append_new(json, to_json(shape->element, doc_element(doc, i)));
        }
        return json;
    case DOC_MAP:
        json = json_object();
        for (size_t i = 0; i < doc_length(doc); i++) {
            json_object_set_new(json, doc_key(doc, i).data,
                                to_json(shape->element, doc_element(doc, i)));
        }
        return json;
    case DOC_INT:
    case DOC_TIME:
        return json_integer(doc->u.integer);
    case DOC_DOUBLE:
        return json_real(doc->u.number);
    case DOC_BOOL:
        return json_boolean(doc->u.integer);
    case DOC_JSON:
        return json_incref(doc->u.json);
    case DOC_TEXT:
    case DOC_BLOB:
        return json_stringn(doc->u.text.data, doc->u.text.bytes);
    case DOC_RAW_JSON:
        return json_loadb(doc->u.text.data, doc->u.text.bytes, JSON_DECODE_ANY, NULL);
    }
    return json_null();
}

int resource_call(struct resource_call *call, const char *service_name, const char *action,
                  json_t *in, json_t **out, struct error *err)
{
    const struct model_service *service = model_service_find(&api, slice_z(service_name));
    const struct model_op *op = service == NULL ? NULL : model_op_find(service, slice_z(action));
    struct doc *in_doc = NULL;
    struct doc *out_doc = doc_new(call->ctx->arena, DOC_STRUCT);
    int rc;

    if (out != NULL) {
        *out = NULL;
    }
    if (op == NULL) {
        json_decref(in);
        return error_set(err, ERR_UNKNOWN_OP, "muster has no %s:%s", service_name, action);
    }
    rc = from_json(call->ctx->arena, op->in, action, in, 0, &in_doc, err);
    json_decref(in);
    if (rc == 0) {
        rc = control_dispatch(call->ctx, service_name, action, in_doc, out_doc, err);
    }
    if (rc == 0 && out != NULL) {
        *out = op->out == NULL ? json_object() : to_json(op->out, out_doc);
    }
    return rc;
}

int resource_change(struct resource_call *call, const char *service, const char *action, json_t *in,
                    struct error *err)
{
    static const char *const codes[] = {"Invalid", "Missing", "Validation", "BadRequest",
                                        "NoSuchEntity"};
    int rc = resource_call(call, service, action, in, NULL, err);

    if (call->stack->status != STACK_UPDATE_ROLLBACK_IN_PROGRESS) {
        return rc;
    }
    for (size_t i = 0; rc != 0 && i < COUNT_OF(codes); i++) {
        if (slice_starts(slice_z(err->aws_code), slice_z(codes[i]))) {
            rc = 0;
        }
    }
    return rc;
}

/* Properties. */

bool resource_named(const char *names, const char *name)
{
    struct slice rest = slice_z(names), part;

    while (slice_next(&rest, ',', &part)) {
        if (slice_equal_z(part, name)) {
            return true;
        }
    }
    return false;
}

json_t *resource_pick(const struct resource_call *call, const char *names)
{
    json_t *picked = json_object();
    const char *key;
    json_t *value;

    json_object_foreach(call->properties, key, value)
    {
        if (resource_named(names, key)) {
            json_object_set(picked, key, value);
        }
    }
    return picked;
}

json_t *resource_all_but(const struct resource_call *call, const char *names)
{
    json_t *picked = json_object();
    const char *key;
    json_t *value;

    json_object_foreach(call->properties, key, value)
    {
        if (!resource_named(names, key)) {
            json_object_set(picked, key, value);
        }
    }
    return picked;
}

bool resource_changed(const struct resource_call *call, const char *names)
{
    struct slice rest = slice_z(names), part;

    while (slice_next(&rest, ',', &part)) {
        json_t *now = json_object_getn(call->properties, part.data, part.bytes);
        json_t *before = json_object_getn(call->previous, part.data, part.bytes);

        if ((now == NULL) != (before == NULL) || (now != NULL && !json_equal(now, before))) {
            return true;
        }
    }
    return false;
}

char *resource_make_name(const struct resource_call *call, size_t length)
{
    char random[ID_BYTES];
    struct buf name = {0};
    size_t room = length - 13;

    id_new_base32(random, "", 12);
    buf_printf(&name, "%s-%s", call->stack->name, call->logical);
    if (name.bytes > room) { /* AWS shortens the stack's and the logical name, not the tail. */
        name.bytes = room;
        name.data[room] = '\0';
    }
    buf_printf(&name, "-%s", random);
    return buf_take(&name);
}

const char *resource_text(const struct resource_call *call, const char *name)
{
    const json_t *value = json_object_get(call->properties, name);

    return value == NULL ? NULL : scalar(call->ctx->arena, value);
}

void resource_set_attribute(struct resource_call *call, const char *name, const char *value)
{
    if (value != NULL) {
        json_object_set_new(call->attributes, name, json_string(value));
    }
}

const char *resource_at(const json_t *json, const char *path)
{
    struct slice rest = slice_z(path), part;
    int64_t index;

    while (json != NULL && slice_next(&rest, '.', &part)) {
        if (json_is_array(json)) {
            json = text_to_i64(part, 0, INT32_MAX, &index, NULL) == 0
                       ? json_array_get(json, (size_t)index)
                       : NULL;
        } else {
            json = json_object_getn(json, part.data, part.bytes);
        }
    }
    return json_string_value(json);
}

bool resource_has_key(const json_t *list, const char *key)
{
    const json_t *row;
    size_t index;

    json_array_foreach(list, index, row)
    {
        const char *other = json_string_value(json_object_get(row, "Key"));

        if (other != NULL && strcmp(other, key) == 0) {
            return true;
        }
    }
    return false;
}

json_t *resource_tags_gone(const struct resource_call *call)
{
    const json_t *now = json_object_get(call->properties, "Tags");
    json_t *gone = json_array(), *tag;
    size_t index;

    json_array_foreach(json_object_get(call->previous, "Tags"), index, tag)
    {
        const char *key = json_string_value(json_object_get(tag, "Key"));

        if (key != NULL && !resource_has_key(now, key)) {
            json_array_append_new(gone, json_string(key));
        }
    }
    return gone;
}

int resource_retag(struct resource_call *call, const char *service, const char *put,
                   const char *remove, const char *member, json_t *target, struct error *err)
{
    json_t *now = json_object_get(call->properties, "Tags");
    json_t *gone = resource_tags_gone(call);
    int rc = 0;

    if (json_array_size(now) > 0 && resource_changed(call, "Tags")) {
        rc = resource_call(call, service, put, json_pack("{s:O, s:O}", member, target, "Tags", now),
                           NULL, err);
    }
    if (rc == 0 && json_array_size(gone) > 0) {
        rc = resource_change(call, service, remove,
                             json_pack("{s:O, s:O}", member, target, "TagKeys", gone), err);
    }
    json_decref(gone);
    json_decref(target);
    return rc;
}

int resource_default_group(struct resource_call *call, const char *vpc, const char **group,
                           struct error *err)
{
    json_t *out;
    int rc =
        resource_call(call, "ec2", "DescribeSecurityGroups",
                      json_pack("{s:[{s:s, s:[s]}, {s:s, s:[s]}]}", "Filters", "Name", "vpc-id",
                                "Values", vpc, "Name", "group-name", "Values", "default"),
                      &out, err);

    if (rc == 0) {
        *group =
            arena_strdup(call->ctx->arena, slice_z(resource_at(out, "SecurityGroups.0.GroupId")));
        json_decref(out);
    }
    return rc;
}

void resource_tag(struct resource_call *call, const char *arn)
{
    ctx_tag_put(call->ctx, arn, "aws:cloudformation:stack-name", call->stack->name);
    ctx_tag_put(call->ctx, arn, "aws:cloudformation:stack-id", call->stack->id);
    ctx_tag_put(call->ctx, arn, "aws:cloudformation:logical-id", call->logical);
}
