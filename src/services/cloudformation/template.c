#include "services/cloudformation/template.h"

#include "base/buf.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* YAML by events of libyaml, recursively: the depth is bounded. */

struct reader {
    yaml_parser_t parser;
    struct error *err;
};

static int bad_yaml(struct reader *reader, yaml_mark_t mark, const char *what)
{
    return error_api(reader->err, "ValidationError",
                     "Template format error: YAML not well-formed. (line %zu, column %zu)%s%s",
                     mark.line + 1, mark.column + 1, what[0] == '\0' ? "" : ": ", what);
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->parser, event)) {
        return 0;
    }
    return bad_yaml(reader, reader->parser.problem_mark,
                    reader->parser.problem == NULL ? "" : reader->parser.problem);
}

static int read_node(struct reader *reader, yaml_event_t *event, int depth, json_t **json);

/* "Vpc.Id.More" -> ["Vpc", "Id.More"] */
static json_t *split_attribute(const char *text)
{
    const char *dot = strchr(text, '.');

    if (dot == NULL) {
        return json_pack("[s]", text);
    }
    return json_pack("[s%, s]", text, (size_t)(dot - text), dot + 1);
}

/* {"Fn::Name": value} for the tag !Name; takes @value. */
static json_t *expand_tag(const char *tag, json_t *value)
{
    char key[64];
    const char *name = tag + 1;
    json_t *split;

    if (strcmp(name, "Ref") == 0 || strcmp(name, "Condition") == 0) {
        return json_pack("{s:o}", name, value);
    }
    if (strcmp(name, "GetAtt") == 0 && json_is_string(value)) {
        split = split_attribute(json_string_value(value));
        json_decref(value);
        value = split;
    }
    snprintf(key, sizeof(key), "Fn::%s", name);
    return json_pack("{s:o}", key, value);
}

static bool known_tag(const char *tag)
{
    static const char *const tags[] = {
        "!Ref",    "!Condition", "!GetAtt", "!Sub",       "!Join",        "!Select",
        "!Split",  "!Base64",    "!GetAZs", "!FindInMap", "!ImportValue", "!If",
        "!Equals", "!And",       "!Or",     "!Not",       "!Cidr",        "!Transform",
    };

    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        if (strcmp(tag, tags[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int read_scalar(struct reader *reader, const yaml_event_t *event, json_t **json)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t bytes = event->data.scalar.length;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (plain && (bytes == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)) {
        *json = json_null();
        return 0;
    }
    *json = json_stringn(text, bytes);
    return *json != NULL ? 0 : bad_yaml(reader, event->start_mark, "not UTF-8 text");
}

static int read_sequence(struct reader *reader, int depth, json_t **json)
{
    json_t *array = json_array();
    yaml_event_t event;
    json_t *element;
    int rc;

    for (;;) {
        rc = next_event(reader, &event);
        if (rc != 0 || event.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }
        rc = read_node(reader, &event, depth + 1, &element);
        yaml_event_delete(&event);
        if (rc != 0) {
            break;
        }
        json_array_append_new(array, element);
    }
    if (rc != 0) {
        json_decref(array);
        return rc;
    }
    yaml_event_delete(&event);
    *json = array;
    return 0;
}

static int read_pair(struct reader *reader, const yaml_event_t *key_event, int depth,
                     json_t *object)
{
    const char *key = (const char *)key_event->data.scalar.value;
    yaml_event_t event;
    json_t *value;
    int rc;

    if (key_event->type != YAML_SCALAR_EVENT) {
        return bad_yaml(reader, key_event->start_mark, "a key must be a text");
    }
    if (json_object_get(object, key) != NULL) {
        return bad_yaml(reader, key_event->start_mark, "the key stands here twice");
    }
    rc = next_event(reader, &event);
    if (rc != 0) {
        return rc;
    }
    rc = read_node(reader, &event, depth + 1, &value);
    yaml_event_delete(&event);
    if (rc != 0) {
        return rc;
    }
    if (json_object_set_new(object, key, value) != 0) {
        return bad_yaml(reader, key_event->start_mark, "a key must be UTF-8 text");
    }
    return 0;
}

static int read_mapping(struct reader *reader, int depth, json_t **json)
{
    json_t *object = json_object();
    yaml_event_t event;
    int rc;

    for (;;) {
        rc = next_event(reader, &event);
        if (rc != 0 || event.type == YAML_MAPPING_END_EVENT) {
            break;
        }
        rc = read_pair(reader, &event, depth, object);
        yaml_event_delete(&event);
        if (rc != 0) {
            break;
        }
    }
    if (rc != 0) {
        json_decref(object);
        return rc;
    }
    yaml_event_delete(&event);
    *json = object;
    return 0;
}

static const char *tag_of(const yaml_event_t *event)
{
    const yaml_char_t *tag = event->type == YAML_SCALAR_EVENT ? event->data.scalar.tag
                             : event->type == YAML_SEQUENCE_START_EVENT
                                 ? event->data.sequence_start.tag
                                 : event->data.mapping_start.tag;

    return tag == NULL || tag[0] != '!' || tag[1] == '\0' ? NULL : (const char *)tag;
}

static int read_node(struct reader *reader, yaml_event_t *event, int depth, json_t **json)
{
    const char *tag;
    int rc;

    *json = NULL;
    if (depth > TEMPLATE_DEPTH_MAX) {
        return bad_yaml(reader, event->start_mark, "nested too deeply");
    }
    if (event->type == YAML_ALIAS_EVENT) {
        return error_api(
            reader->err, "ValidationError",
            "Template error: YAML aliases are not allowed in CloudFormation templates");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        rc = read_scalar(reader, event, json);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        rc = read_sequence(reader, depth, json);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        rc = read_mapping(reader, depth, json);
    } else {
        return bad_yaml(reader, event->start_mark, "something is missing here");
    }
    tag = rc == 0 ? tag_of(event) : NULL;
    if (tag != NULL && !known_tag(tag)) {
        json_decref(*json);
        *json = NULL;
        return bad_yaml(reader, event->start_mark, "unknown tag");
    }
    if (tag != NULL) {
        *json = expand_tag(tag, *json);
    }
    return rc;
}

/* The stream's and document's start, the one node, and nothing after it. */
static int read_stream(struct reader *reader, json_t **json)
{
    yaml_event_t event;
    int rc;

    do {
        rc = next_event(reader, &event);
        if (rc != 0) {
            return rc;
        }
        if (event.type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&event);
            return error_api(reader->err, "ValidationError",
                             "Template format error: unsupported structure.");
        }
        if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT) {
            break;
        }
        yaml_event_delete(&event);
    } while (true);
    rc = read_node(reader, &event, 0, json);
    yaml_event_delete(&event);
    while (rc == 0) {
        rc = next_event(reader, &event);
        if (rc != 0) {
            break;
        }
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            rc = bad_yaml(reader, event.start_mark, "a second document");
        }
        if (event.type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&event);
            return 0;
        }
        yaml_event_delete(&event);
    }
    json_decref(*json);
    *json = NULL;
    return rc;
}

static int parse_yaml(struct slice text, json_t **json, struct error *err)
{
    struct reader reader = {.err = err};
    int rc;

    if (!yaml_parser_initialize(&reader.parser)) {
        return error_set(err, ERR_INTERNAL, "yaml_parser_initialize");
    }
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text.data, text.bytes);
    rc = read_stream(&reader, json);
    yaml_parser_delete(&reader.parser);
    return rc;
}

/* A number or truth value as text; what is none stays. */
static json_t *as_text(json_t *json)
{
    struct buf buf = {0};
    json_t *text;

    if (json_is_integer(json)) {
        buf_add_i64(&buf, json_integer_value(json));
    } else if (json_is_real(json)) {
        buf_add_double(&buf, json_real_value(json));
    } else if (json_is_boolean(json)) {
        buf_add_z(&buf, json_is_true(json) ? "true" : "false");
    } else {
        return json_incref(json);
    }
    text = json_string(buf_z(&buf));
    buf_close(&buf);
    return text;
}

/* As YAML is read: what type a scalar has is for the property to say. */
static void scalars_are_text(json_t *json)
{
    json_t *element;
    size_t index;

    for (void *at = json_object_iter(json); at != NULL; at = json_object_iter_next(json, at)) {
        json_object_iter_set_new(json, at, as_text(json_object_iter_value(at)));
        scalars_are_text(json_object_iter_value(at));
    }
    json_array_foreach(json, index, element)
    {
        json_array_set_new(json, index, as_text(element));
        scalars_are_text(json_array_get(json, index));
    }
}

static int parse_json(struct slice text, json_t **json, struct error *err)
{
    json_error_t problem;

    *json = json_loadb(text.data, text.bytes, JSON_REJECT_DUPLICATES, &problem);
    if (*json == NULL) {
        return error_api(err, "ValidationError",
                         "Template format error: JSON not well-formed. (line %d, column %d)",
                         problem.line, problem.column);
    }
    scalars_are_text(*json);
    return 0;
}

int template_parse(struct slice text, json_t **json, struct error *err)
{
    struct slice body = slice_trim(text);
    int rc;

    *json = NULL;
    if (!text_is_utf8(body)) {
        return error_api(err, "ValidationError", "Template format error: the text is not UTF-8");
    }
    rc = slice_starts(body, SLICE_LIT("{")) ? parse_json(text, json, err)
                                            : parse_yaml(text, json, err);
    if (rc == 0 && !json_is_object(*json)) {
        json_decref(*json);
        *json = NULL;
        return error_api(err, "ValidationError", "Template format error: unsupported structure.");
    }
    return rc;
}

bool template_sub_next(struct slice text, size_t *at, struct slice *before, struct slice *name)
{
    size_t from = *at;

    for (size_t i = from; i + 1 < text.bytes; i++) {
        size_t end;

        if (text.data[i] != '$' || text.data[i + 1] != '{') {
            continue;
        }
        end = i + 2 + slice_find(slice_sub(text, i + 2, text.bytes), '}');
        if (end >= text.bytes) {
            return false; /* Unclosed: plain text. */
        }
        if (text.data[i + 2] == '!') {
            i = end;
            continue;
        }
        *before = slice_sub(text, from, i - from);
        *name = slice_trim(slice_sub(text, i + 2, end - i - 2));
        *at = end + 1;
        return true;
    }
    return false;
}

static void reference_in(struct slice name, template_reference_fn *fn, void *data)
{
    char logical[256], attribute[256];
    size_t dot = slice_find(name, '.');
    struct slice rest = slice_sub(name, dot + 1, name.bytes);

    if (dot >= sizeof(logical) || rest.bytes >= sizeof(attribute)) {
        return;
    }
    snprintf(logical, sizeof(logical), "%.*s", (int)dot, name.data);
    snprintf(attribute, sizeof(attribute), "%.*s", SLICE_ARG(rest));
    fn(data, logical, dot < name.bytes ? attribute : NULL);
}

static void references_of_sub(json_t *argument, template_reference_fn *fn, void *data)
{
    const json_t *text = json_is_array(argument) ? json_array_get(argument, 0) : argument;
    json_t *variables = json_is_array(argument) ? json_array_get(argument, 1) : NULL;
    struct slice all = slice_z(json_string_value(text));
    struct slice before, name;

    for (size_t at = 0; template_sub_next(all, &at, &before, &name);) {
        if (variables == NULL || json_object_getn(variables, name.data, name.bytes) == NULL) {
            reference_in(name, fn, data);
        }
    }
    template_references(variables, fn, data);
}

static void references_of_pair(const char *key, json_t *value, template_reference_fn *fn,
                               void *data)
{
    if (strcmp(key, "Ref") == 0 && json_is_string(value)) {
        fn(data, json_string_value(value), NULL);
    } else if (strcmp(key, "Fn::GetAtt") == 0 && json_is_array(value)) {
        const char *name = json_string_value(json_array_get(value, 0));
        const char *attribute = json_string_value(json_array_get(value, 1));

        if (name != NULL) {
            fn(data, name, attribute == NULL ? "" : attribute);
        }
    } else if (strcmp(key, "Fn::GetAtt") == 0 && json_is_string(value)) {
        reference_in(slice_z(json_string_value(value)), fn, data);
    } else if (strcmp(key, "Fn::Sub") == 0) {
        references_of_sub(value, fn, data);
    } else {
        template_references(value, fn, data);
    }
}

void template_references(json_t *value, template_reference_fn *fn, void *data)
{
    const char *key;
    json_t *element;
    size_t index;

    if (json_is_array(value)) {
        json_array_foreach(value, index, element)
        {
            template_references(element, fn, data);
        }
    } else if (json_is_object(value)) {
        json_object_foreach(value, key, element)
        {
            references_of_pair(key, element, fn, data);
        }
    }
}
