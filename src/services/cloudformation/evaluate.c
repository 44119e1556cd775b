#include "services/cloudformation/evaluate.h"

#include "base/buf.h"
#include "base/text.h"
#include "services/cloudformation/template.h"

#include <string.h>

#define CONDITION_DEPTH_MAX 32 /* Conditions may name each other; a circle ends here. */

/* What one evaluation may cost. Functions and conditions in each other multiply: without a bound,
 * 60 times Fn::Base64 make gigabytes of a template of one kilobyte. */
#define ROOM (256 * 1024) /* Bytes of text; */
#define PIECE_COST 16     /* a piece of Fn::Split and */
#define CONDITION_COST 64 /* a condition cost as much as so many. */

typedef int function_fn(const struct evaluation *evaluation, json_t *argument, int depth,
                        json_t **result, struct error *err);

static int value_of(const struct evaluation *evaluation, json_t *value, int depth, json_t **result,
                    struct error *err);
static int condition_of(const struct evaluation *evaluation, json_t *value, int depth, bool *holds,
                        struct error *err);

static int template_error(struct error *err, const char *text)
{
    return error_api(err, "ValidationError", "Template error: %s", text);
}

static struct evaluation bounded_by(const struct evaluation *evaluation, int64_t *room)
{
    struct evaluation bounded = *evaluation;

    bounded.room = room;
    return bounded;
}

static int spend(const struct evaluation *evaluation, size_t cost, struct error *err)
{
    *evaluation->room -= (int64_t)cost;
    return *evaluation->room >= 0
               ? 0
               : template_error(err, "the functions of one value make too much of it");
}

/* A text, appended. */
static int add_text(const struct evaluation *evaluation, struct buf *buf, const json_t *value,
                    struct error *err)
{
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    int rc;

    if (!json_is_string(value)) {
        return template_error(err, "every value of this function must be a string");
    }
    rc = spend(evaluation, text.bytes, err);
    if (rc == 0) {
        buf_add(buf, text);
    }
    return rc;
}

static json_t *text_of(struct buf *buf)
{
    json_t *text = json_stringn(buf_z(buf), buf->bytes);

    buf_close(buf);
    return text;
}

static int do_ref(const struct evaluation *evaluation, json_t *argument, int depth, json_t **result,
                  struct error *err)
{
    (void)depth;
    if (!json_is_string(argument)) {
        return template_error(err, "the argument of Ref must be a string");
    }
    if (strcmp(json_string_value(argument), "AWS::NoValue") == 0) {
        *result = NULL;
        return 0;
    }
    return evaluation->lookup(evaluation->data, json_string_value(argument), NULL, result, err);
}

static int do_get_att(const struct evaluation *evaluation, json_t *argument, int depth,
                      json_t **result, struct error *err)
{
    const char *name = json_string_value(json_array_get(argument, 0));
    json_t *attribute = NULL;
    int rc;

    if (json_is_string(argument)) { /* "Resource.Attribute", as JSON templates may have it. */
        const char *text = json_string_value(argument);
        const char *dot = strchr(text, '.');
        json_t *pair =
            dot == NULL ? NULL : json_pack("[s%, s]", text, (size_t)(dot - text), dot + 1);

        rc = pair == NULL
                 ? template_error(err, "Fn::GetAtt object requires two non-empty parameters, "
                                       "the resource name and the resource attribute")
                 : do_get_att(evaluation, pair, depth, result, err);
        json_decref(pair);
        return rc;
    }
    if (name == NULL || json_array_size(argument) != 2) {
        return template_error(err, "Fn::GetAtt object requires two non-empty parameters, the "
                                   "resource name and the resource attribute");
    }
    rc = value_of(evaluation, json_array_get(argument, 1), depth, &attribute, err);
    if (rc != 0) {
        return rc;
    }
    rc = json_is_string(attribute)
             ? evaluation->lookup(evaluation->data, name, json_string_value(attribute), result, err)
             : template_error(err, "the attribute name of Fn::GetAtt must be a string");
    json_decref(attribute);
    return rc;
}

/* The value of ${Name} or ${Name.Attribute}. */
static int add_variable(const struct evaluation *evaluation, json_t *variables, struct slice name,
                        struct buf *buf, struct error *err)
{
    json_t *own = variables == NULL ? NULL : json_object_getn(variables, name.data, name.bytes);
    size_t dot = slice_find(name, '.');
    struct buf logical = {0};
    json_t *value = NULL;
    int rc = 0;

    if (own != NULL) {
        return add_text(evaluation, buf, own, err);
    }
    buf_add(&logical, slice_sub(name, 0, dot));
    if (dot < name.bytes) {
        struct buf attribute = {0};

        buf_add(&attribute, slice_sub(name, dot + 1, name.bytes));
        rc = evaluation->lookup(evaluation->data, buf_z(&logical), buf_z(&attribute), &value, err);
        buf_close(&attribute);
    } else {
        rc = evaluation->lookup(evaluation->data, buf_z(&logical), NULL, &value, err);
    }
    if (rc == 0) {
        rc = add_text(evaluation, buf, value, err);
    }
    json_decref(value);
    buf_close(&logical);
    return rc;
}

static int do_sub(const struct evaluation *evaluation, json_t *argument, int depth, json_t **result,
                  struct error *err)
{
    json_t *text = json_is_array(argument) ? json_array_get(argument, 0) : argument;
    json_t *variables = NULL;
    struct buf buf = {0}, plain = {0};
    struct slice all, before, name, rest;
    size_t at = 0, used = 0;
    int rc = 0;

    if (!json_is_string(text)) {
        return template_error(err, "one or more Fn::Sub intrinsic functions don't specify expected "
                                   "arguments. Specify a string as first argument, and an optional "
                                   "second argument to specify a mapping of values to replace in "
                                   "the string");
    }
    if (json_is_array(argument)) {
        rc = value_of(evaluation, json_array_get(argument, 1), depth, &variables, err);
    }
    all = slice_of(json_string_value(text), json_string_length(text));
    while (rc == 0 && template_sub_next(all, &at, &before, &name)) {
        buf_add(&buf, before);
        rc = add_variable(evaluation, variables, name, &buf, err);
        used = at;
    }
    rest = slice_sub(all, used, all.bytes);
    buf_add(&buf, rest);
    json_decref(variables);
    if (rc != 0) {
        buf_close(&buf);
        return rc;
    }
    /* ${!Literal} loses its mark only now, so that it is never taken for a variable. */
    for (size_t i = 0; i < buf.bytes; i++) {
        buf_add_byte(&plain, buf.data[i]);
        if (i + 2 < buf.bytes && memcmp(buf.data + i, "${!", 3) == 0) {
            buf_add_byte(&plain, '{');
            i += 2;
        }
    }
    buf_close(&buf);
    *result = text_of(&plain);
    return 0;
}

/* The evaluated elements of an argument that must be an array of @count (0: any). */
static int arguments_of(const struct evaluation *evaluation, json_t *argument, size_t count,
                        const char *says, int depth, json_t **array, struct error *err)
{
    int rc = value_of(evaluation, argument, depth, array, err);

    if (rc == 0 && (!json_is_array(*array) || (count != 0 && json_array_size(*array) != count))) {
        json_decref(*array);
        *array = NULL;
        return template_error(err, says);
    }
    return rc;
}

static int do_join(const struct evaluation *evaluation, json_t *argument, int depth,
                   json_t **result, struct error *err)
{
    json_t *array, *element;
    struct buf buf = {0};
    size_t index;
    int rc = arguments_of(evaluation, argument, 2,
                          "every Fn::Join object requires two parameters, (1) a string delimiter "
                          "and (2) a list of strings to be joined",
                          depth, &array, err);

    if (rc != 0) {
        return rc;
    }
    if (!json_is_string(json_array_get(array, 0)) || !json_is_array(json_array_get(array, 1))) {
        rc = template_error(err, "every Fn::Join object requires two parameters, (1) a string "
                                 "delimiter and (2) a list of strings to be joined");
    }
    json_array_foreach(json_array_get(array, 1), index, element)
    {
        if (rc != 0) {
            break;
        }
        if (index > 0) {
            rc = add_text(evaluation, &buf, json_array_get(array, 0), err);
        }
        rc = rc != 0 ? rc : add_text(evaluation, &buf, element, err);
    }
    json_decref(array);
    if (rc != 0) {
        buf_close(&buf);
        return rc;
    }
    *result = text_of(&buf);
    return 0;
}

static int do_select(const struct evaluation *evaluation, json_t *argument, int depth,
                     json_t **result, struct error *err)
{
    json_t *array, *list;
    struct buf index_text = {0};
    int64_t index = 0;
    int rc = arguments_of(evaluation, argument, 2,
                          "Fn::Select requires a list argument with two elements: an index and a "
                          "list",
                          depth, &array, err);

    if (rc != 0) {
        return rc;
    }
    list = json_array_get(array, 1);
    rc = add_text(evaluation, &index_text, json_array_get(array, 0), err);
    if (rc == 0 && (!json_is_array(list) ||
                    text_to_i64(buf_slice(&index_text), 0, INT32_MAX, &index, NULL) != 0 ||
                    (size_t)index >= json_array_size(list))) {
        rc = template_error(err, "Fn::Select cannot select nonexistent value at index of the list");
    }
    if (rc == 0) {
        *result = json_incref(json_array_get(list, (size_t)index));
    }
    buf_close(&index_text);
    json_decref(array);
    return rc;
}

static int do_split(const struct evaluation *evaluation, json_t *argument, int depth,
                    json_t **result, struct error *err)
{
    json_t *array;
    const char *delimiter, *text, *next;
    int rc = arguments_of(evaluation, argument, 2,
                          "every Fn::Split object requires two parameters, (1) a string delimiter "
                          "and (2) a string to be split",
                          depth, &array, err);

    if (rc != 0) {
        return rc;
    }
    delimiter = json_string_value(json_array_get(array, 0));
    text = json_string_value(json_array_get(array, 1));
    if (delimiter == NULL || *delimiter == '\0' || text == NULL) {
        json_decref(array);
        return template_error(err, "every Fn::Split object requires two parameters, (1) a string "
                                   "delimiter and (2) a string to be split");
    }
    *result = json_array();
    while ((next = strstr(text, delimiter)) != NULL && rc == 0) {
        json_array_append_new(*result, json_stringn(text, (size_t)(next - text)));
        text = next + strlen(delimiter);
        rc = spend(evaluation, PIECE_COST, err);
    }
    json_array_append_new(*result, json_string(text));
    json_decref(array);
    if (rc != 0) {
        json_decref(*result);
        *result = NULL;
    }
    return rc;
}

static int do_base64(const struct evaluation *evaluation, json_t *argument, int depth,
                     json_t **result, struct error *err)
{
    struct buf plain = {0}, coded = {0};
    json_t *value = NULL;
    int rc = value_of(evaluation, argument, depth, &value, err);

    if (rc == 0) {
        rc = add_text(evaluation, &plain, value, err);
    }
    json_decref(value);
    if (rc == 0) {
        text_base64_encode(&coded, buf_slice(&plain));
        *result = text_of(&coded);
    }
    buf_close(&plain);
    return rc;
}

static int do_get_azs(const struct evaluation *evaluation, json_t *argument, int depth,
                      json_t **result, struct error *err)
{
    json_t *region = NULL;
    int rc = value_of(evaluation, argument, depth, &region, err);

    json_decref(region); /* One region per daemon: "" and its name mean the same. */
    if (rc != 0) {
        return rc;
    }
    *result = json_array();
    for (const char *const *zone = evaluation->zones; *zone != NULL; zone++) {
        json_array_append_new(*result, json_string(*zone));
    }
    return 0;
}

static int do_find_in_map(const struct evaluation *evaluation, json_t *argument, int depth,
                          json_t **result, struct error *err)
{
    json_t *maps = json_object_get(evaluation->template, "Mappings");
    json_t *keys, *found = maps;
    int rc = arguments_of(evaluation, argument, 3,
                          "every Fn::FindInMap object requires three parameters, the map name, map "
                          "key and the attribute for return value",
                          depth, &keys, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < 3 && found != NULL; i++) {
        const char *key = json_string_value(json_array_get(keys, i));

        found = key == NULL ? NULL : json_object_get(found, key);
    }
    if (found == NULL) {
        const char *map = json_string_value(json_array_get(keys, 0));

        rc = error_api(err, "ValidationError",
                       "Template error: Unable to get mapping for %s::%s::%s", map ? map : "",
                       json_string_value(json_array_get(keys, 1)) == NULL
                           ? ""
                           : json_string_value(json_array_get(keys, 1)),
                       json_string_value(json_array_get(keys, 2)) == NULL
                           ? ""
                           : json_string_value(json_array_get(keys, 2)));
    } else {
        *result = json_incref(found);
    }
    json_decref(keys);
    return rc;
}

static int do_if(const struct evaluation *evaluation, json_t *argument, int depth, json_t **result,
                 struct error *err)
{
    const char *name = json_string_value(json_array_get(argument, 0));
    bool holds = false;
    int rc;

    if (name == NULL || json_array_size(argument) != 3) {
        return template_error(err, "Fn::If requires a list argument with three elements");
    }
    rc = evaluate_condition(evaluation, name, &holds, err);
    return rc != 0
               ? rc
               : value_of(evaluation, json_array_get(argument, holds ? 1 : 2), depth, result, err);
}

static int do_condition(const struct evaluation *evaluation, const char *key, json_t *argument,
                        int depth, json_t **result, struct error *err)
{
    json_t *whole = json_pack("{s:O}", key, argument);
    bool holds = false;
    int rc = condition_of(evaluation, whole, depth, &holds, err);

    json_decref(whole);
    if (rc == 0) {
        *result = json_boolean(holds);
    }
    return rc;
}

static const struct {
    const char *name;
    function_fn *run;
} functions[] = {
    {"Ref", do_ref},           {"Fn::GetAtt", do_get_att},
    {"Fn::Sub", do_sub},       {"Fn::Join", do_join},
    {"Fn::Select", do_select}, {"Fn::Split", do_split},
    {"Fn::Base64", do_base64}, {"Fn::GetAZs", do_get_azs},
    {"Fn::If", do_if},         {"Fn::FindInMap", do_find_in_map},
};

static bool is_condition(const char *key)
{
    static const char *const names[] = {"Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(key, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int object_of(const struct evaluation *evaluation, json_t *object, int depth,
                     json_t **result, struct error *err)
{
    const char *key;
    json_t *member;

    *result = json_object();
    json_object_foreach(object, key, member)
    {
        json_t *value = NULL;
        int rc = value_of(evaluation, member, depth + 1, &value, err);

        if (rc != 0) {
            json_decref(*result);
            *result = NULL;
            return rc;
        }
        if (value != NULL) {
            json_object_set_new(*result, key, value);
        }
    }
    return 0;
}

static int array_of(const struct evaluation *evaluation, json_t *array, int depth, json_t **result,
                    struct error *err)
{
    json_t *element;
    size_t index;

    *result = json_array();
    json_array_foreach(array, index, element)
    {
        json_t *value = NULL;
        int rc = value_of(evaluation, element, depth + 1, &value, err);

        if (rc != 0) {
            json_decref(*result);
            *result = NULL;
            return rc;
        }
        if (value != NULL) {
            json_array_append_new(*result, value);
        }
    }
    return 0;
}

static int value_of(const struct evaluation *evaluation, json_t *value, int depth, json_t **result,
                    struct error *err)
{
    const char *key;

    *result = NULL;
    if (depth > 2 * TEMPLATE_DEPTH_MAX) {
        return template_error(err, "functions are nested too deeply");
    }
    if (json_is_array(value)) {
        return array_of(evaluation, value, depth, result, err);
    }
    if (!json_is_object(value)) {
        *result = json_is_null(value) ? NULL : json_incref(value);
        return 0;
    }
    if (json_object_size(value) != 1) {
        return object_of(evaluation, value, depth, result, err);
    }
    key = json_object_iter_key(json_object_iter(value));
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (strcmp(key, functions[i].name) == 0) {
            return functions[i].run(evaluation, json_object_get(value, key), depth + 1, result,
                                    err);
        }
    }
    if (is_condition(key)) {
        return do_condition(evaluation, key, json_object_get(value, key), depth + 1, result, err);
    }
    if (strncmp(key, "Fn::", 4) == 0) {
        return error_api(err, "ValidationError",
                         "Template error: muster does not evaluate the function %s", key);
    }
    return object_of(evaluation, value, depth, result, err);
}

int evaluate(const struct evaluation *evaluation, json_t *value, json_t **result, struct error *err)
{
    int64_t room = ROOM;
    struct evaluation bounded = bounded_by(evaluation, &room);

    return value_of(&bounded, value, 0, result, err);
}

/* Conditions. */

static int equals(const struct evaluation *evaluation, json_t *argument, int depth, bool *holds,
                  struct error *err)
{
    struct buf left = {0}, right = {0};
    json_t *pair;
    int rc = arguments_of(evaluation, argument, 2,
                          "every Fn::Equals object requires a list of 2 string parameters", depth,
                          &pair, err);

    if (rc == 0) {
        rc = add_text(evaluation, &left, json_array_get(pair, 0), err);
    }
    if (rc == 0) {
        rc = add_text(evaluation, &right, json_array_get(pair, 1), err);
    }
    *holds = slice_equal(buf_slice(&left), buf_slice(&right));
    buf_close(&left);
    buf_close(&right);
    json_decref(pair);
    return rc;
}

/* Fn::And ends at the first that fails, Fn::Or at the first that holds. */
static int all_or_any(const struct evaluation *evaluation, json_t *argument, bool any, int depth,
                      bool *holds, struct error *err)
{
    json_t *element;
    size_t index;

    if (!json_is_array(argument) || json_array_size(argument) < 2 ||
        json_array_size(argument) > 10) {
        return template_error(err, "every Fn::And and Fn::Or object requires a list of at least 2 "
                                   "and at most 10 boolean parameters");
    }
    *holds = !any;
    json_array_foreach(argument, index, element)
    {
        int rc = condition_of(evaluation, element, depth, holds, err);

        if (rc != 0 || *holds == any) {
            return rc;
        }
    }
    return 0;
}

static int condition_of(const struct evaluation *evaluation, json_t *value, int depth, bool *holds,
                        struct error *err)
{
    const char *key = json_object_iter_key(json_object_iter(value));
    json_t *argument = key == NULL ? NULL : json_object_get(value, key);
    int rc;

    if (depth > CONDITION_DEPTH_MAX) {
        return template_error(err, "circular dependency between conditions");
    }
    rc = spend(evaluation, CONDITION_COST, err);
    if (rc != 0) {
        return rc;
    }
    if (key == NULL || json_object_size(value) != 1) {
        return template_error(err, "every condition must be one condition function");
    }
    if (strcmp(key, "Fn::Equals") == 0) {
        return equals(evaluation, argument, depth + 1, holds, err);
    }
    if (strcmp(key, "Fn::And") == 0 || strcmp(key, "Fn::Or") == 0) {
        return all_or_any(evaluation, argument, strcmp(key, "Fn::Or") == 0, depth + 1, holds, err);
    }
    if (strcmp(key, "Fn::Not") == 0 && json_array_size(argument) == 1) {
        rc = condition_of(evaluation, json_array_get(argument, 0), depth + 1, holds, err);
        *holds = !*holds;
        return rc;
    }
    if (strcmp(key, "Condition") == 0 && json_is_string(argument)) {
        json_t *conditions = json_object_get(evaluation->template, "Conditions");
        json_t *named = json_object_get(conditions, json_string_value(argument));

        if (named != NULL) {
            return condition_of(evaluation, named, depth + 1, holds, err);
        }
    }
    return template_error(err, "a condition is neither a function nor the name of one");
}

int evaluate_condition(const struct evaluation *evaluation, const char *name, bool *holds,
                       struct error *err)
{
    json_t *reference = json_pack("{s:s}", "Condition", name);
    int64_t room = ROOM;
    struct evaluation bounded = bounded_by(evaluation, &room);
    int rc = condition_of(&bounded, reference, 0, holds, err);

    json_decref(reference);
    return rc;
}
