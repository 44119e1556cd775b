/* A launch template's data, between the document of a request and the JSON that is kept, and its
 * meeting with a request's own members. */
#include "services/ec2/private.h"

#include "api/api.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct model_shape *data_shape(void)
{
    const struct model_service *service = model_service_find(&api, SLICE_LIT("ec2"));
    const struct model_op *op = model_op_find(service, SLICE_LIT("CreateLaunchTemplate"));

    return model_member_find(op->in, M_LaunchTemplateData)->shape;
}

/* Only what EC2's template data is made of: structs, lists, texts, numbers, booleans and times. */
static json_t *to_json(const struct model_shape *shape, const struct doc *doc)
{
    json_t *json;

    switch (doc->kind) {
    case DOC_STRUCT:
        json = json_object();
        for (size_t i = 0; i < doc->u.fields.count; i++) {
            const struct model_member *member =
                model_member_find(shape, doc->u.fields.members[i].id);

            if (member != NULL) {
                json_object_set_new(json, member->name,
                                    to_json(member->shape, doc->u.fields.members[i].value));
            }
        }
        return json;
    case DOC_LIST:
        json = json_array();
        for (size_t i = 0; i < doc->u.list.count; i++) {
            json_array_append_new(json, to_json(shape->element, doc->u.list.elements[i]));
        }
        return json;
    case DOC_INT:
    case DOC_TIME:
        return json_integer(doc->u.integer);
    case DOC_BOOL:
        return json_boolean(doc->u.integer != 0);
    case DOC_DOUBLE:
        return json_real(doc->u.number);
    case DOC_TEXT:
    case DOC_BLOB:
        return json_stringn(doc->u.text.data, doc->u.text.bytes);
    case DOC_MAP:
    case DOC_JSON:
    case DOC_RAW_JSON:
        break;
    }
    return json_null();
}

static struct doc *from_json(struct arena *arena, const struct model_shape *shape,
                             const json_t *json)
{
    struct doc *doc;
    const char *key;
    json_t *value;
    size_t index;

    switch (shape->kind) {
    case DOC_STRUCT:
        doc = doc_new(arena, DOC_STRUCT);
        json_object_foreach((json_t *)json, key, value)
        {
            const struct model_member *member = model_member_named(shape, slice_z(key));

            if (member != NULL) { /* Else a later muster wrote it. */
                doc_set(doc, member->id, from_json(arena, member->shape, value));
            }
        }
        return doc;
    case DOC_LIST:
        doc = doc_new(arena, DOC_LIST);
        json_array_foreach(json, index, value)
        {
            doc_list_add(doc, from_json(arena, shape->element, value));
        }
        return doc;
    case DOC_INT:
        return doc_new_int(arena, json_integer_value(json));
    case DOC_TIME:
        return doc_new_time_ms(arena, json_integer_value(json));
    case DOC_BOOL:
        return doc_new_bool(arena, json_is_true(json));
    case DOC_DOUBLE:
        return doc_new_double(arena, json_number_value(json));
    case DOC_BLOB:
        return doc_new_blob(arena, slice_of(json_string_value(json), json_string_length(json)));
    case DOC_TEXT:
    case DOC_MAP:
    case DOC_JSON:
    case DOC_RAW_JSON:
        break;
    }
    return doc_new_text(arena, slice_of(json_string_value(json), json_string_length(json)));
}

char *template_data_save(const struct doc *data)
{
    json_t *json = to_json(data_shape(), data);
    char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    return text;
}

int template_data_load(struct arena *arena, const char *text, struct doc **data, struct error *err)
{
    json_error_t problem;
    json_t *json = json_loads(text, 0, &problem);

    if (json == NULL) {
        return error_set(err, ERR_INTERNAL, "launch template data: %s", problem.text);
    }
    *data = from_json(arena, data_shape(), json);
    json_decref(json);
    return 0;
}
