/* Any text as each of DynamoDB's expressions, evaluated on an item. */
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

static void open_scope(struct scope *scope)
{
    json_t *names_json = json_loads(names, 0, NULL), *values_json = json_loads(values, 0, NULL);

    ASSERT(scope_set(scope, names_json, values_json, NULL) == 0);
    json_decref(names_json);
    json_decref(values_json);
}

static void as_condition(struct slice text, json_t *item)
{
    static const struct key_schema schema = {"a", VALUE_S, "n", VALUE_N};
    struct scope scope = {0};
    struct key_condition condition;
    struct key_range range = {0};
    struct error err;
    struct node *root;

    open_scope(&scope);
    if (condition_parse(&scope, "ConditionExpression", text, &root, &err) == 0) {
        condition_holds(root, item);
        condition_holds(root, NULL);
        if (key_condition_read(root, &condition, &err) == 0 &&
            key_condition_apply(&condition, &schema, &range, &err) == 0) {
            key_range_holds(&range, SLICE_LIT("\x01"));
        }
        key_range_close(&range);
    }
    scope_close(&scope);
}

static void as_projection(struct slice text, json_t *item)
{
    struct scope scope = {0};
    struct projection projection;
    struct error err;

    open_scope(&scope);
    if (projection_parse(&scope, text, &projection, &err) == 0) {
        json_decref(projection_apply(&projection, item));
    }
    scope_close(&scope);
}

static void as_update(struct slice text, const json_t *item)
{
    struct scope scope = {.write = true};
    json_t *copy = json_deep_copy(item);
    struct update update;
    struct error err;

    open_scope(&scope);
    if (update_parse(&scope, text, &update, &err) == 0 &&
        update_apply(&update, copy, true, &err) == 0) {
        ASSERT(item_bytes(copy) >= 0);
    }
    json_decref(copy);
    scope_close(&scope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);
    json_t *item = json_loads(item_text, 0, NULL);

    as_condition(text, item);
    as_projection(text, item);
    as_update(text, item);
    json_decref(item);
    return 0;
}
