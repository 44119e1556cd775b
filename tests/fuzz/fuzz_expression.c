/* A line as each of DynamoDB's expressions, evaluated on an item; then, if there are more lines,
 * the names and the values that it uses. */
#include "services/dynamodb/expression.h"
#include "services/dynamodb/keycondition.h"

static const char names[] = "{\"#a\":\"a\",\"#b\":\"b.c\"}";
static const char values[] =
    "{\":s\":{\"S\":\"abc\"},\":n\":{\"N\":\"1.5\"},\":b\":{\"B\":\"AAE=\"},"
    "\":l\":{\"L\":[{\"N\":\"1\"}]},\":m\":{\"M\":{\"k\":{\"S\":\"\"}}},"
    "\":ss\":{\"SS\":[\"a\"]},\":t\":{\"BOOL\":true},"
    "\":S\":{\"S\":\"S\"}}";
static const char item_text[] =
    "{\"a\":{\"S\":\"abc\"},\"b.c\":{\"N\":\"2\"},\"l\":{\"L\":[{\"N\":\"1\"},{\"S\":\"x\"},"
    "{\"M\":{\"k\":{\"L\":[]}}}]},\"m\":{\"M\":{\"k\":{\"SS\":[\"a\",\"b\"]}}},"
    "\"s\":{\"SS\":[\"a\",\"b\"]},\"n\":{\"N\":\"-1e100\"},\"bin\":{\"B\":\"AAE=\"}}";

struct input {
    struct slice expression;
    json_t *names, *values; /* Or NULL. */
};

static bool open_scope(struct scope *scope, const struct input *input)
{
    struct error err;

    return scope_set(scope, input->names, input->values, &err) == 0;
}

static void as_condition(const struct input *input, json_t *item)
{
    static const struct key_schema schemas[] = {{"a", VALUE_S, "n", VALUE_N},
                                                {"a", VALUE_S, "bin", VALUE_B}};
    struct scope scope = {0};
    struct key_condition condition;
    struct error err;
    struct node *root;

    if (open_scope(&scope, input) &&
        condition_parse(&scope, "ConditionExpression", input->expression, &root, &err) == 0) {
        condition_holds(root, item);
        condition_holds(root, NULL);
        for (size_t i = 0; i < COUNT_OF(schemas); i++) {
            struct key_range range = {0};

            if (key_condition_read(root, &condition, &err) == 0 &&
                key_condition_apply(&condition, &schemas[i], &range, &err) == 0) {
                key_range_holds(&range, SLICE_LIT("\x01"));
            }
            key_range_close(&range);
        }
        condition_names(root, "a");
        (void)scope_check_unused(&scope, &err);
    }
    scope_close(&scope);
}

static void as_projection(const struct input *input, json_t *item)
{
    struct scope scope = {0};
    struct projection projection;
    struct error err;

    if (open_scope(&scope, input) &&
        projection_parse(&scope, input->expression, &projection, &err) == 0) {
        json_decref(projection_apply(&projection, item));
    }
    scope_close(&scope);
}

static void as_update(const struct input *input, const json_t *item)
{
    struct scope scope = {.write = true};
    json_t *copy = json_deep_copy(item);
    struct update update;
    struct error err;

    if (open_scope(&scope, input) && update_parse(&scope, input->expression, &update, &err) == 0) {
        (void)update_check_keys(&update, "a", "n", &err);
        update_creates(&update);
        if (update_apply(&update, copy, true, &err) == 0) {
            ASSERT(item_bytes(copy) >= 0);
        }
    }
    json_decref(copy);
    scope_close(&scope);
}

/* What the wire lets through: an object, of texts; NULL for anything else. */
static json_t *next_object(struct slice *text, const char *usual, bool of_texts)
{
    struct slice line = SLICE_EMPTY;
    json_t *object = slice_next(text, '\n', &line) ? json_loadb(line.data, line.bytes, 0, NULL)
                                                   : json_loads(usual, 0, NULL);
    bool fit = json_is_object(object);
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        fit = fit && (!of_texts || json_is_string(value));
    }
    if (!fit) {
        json_decref(object);
    }
    return fit ? object : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);
    json_t *item = json_loads(item_text, 0, NULL);
    struct input input = {0};

    slice_next(&text, '\n', &input.expression);
    input.names = next_object(&text, names, true);
    input.values = next_object(&text, values, false);
    as_condition(&input, item);
    as_projection(&input, item);
    as_update(&input, item);
    json_decref(input.names);
    json_decref(input.values);
    json_decref(item);
    return 0;
}
