/* DynamoDB's actions, called as the dispatcher does, on a store of their own. A story is a list of
 * requests and answers in JSON; "Code: message" is a refusal. */
#include "api/api.h"
#include "base/buf.h"
#include "base/json.h"
#include "services/control.h"
#include "services/dynamodb/private.h"
#include "store_fixture.h"
#include "wire/server.h"

#include <jansson.h>

struct daemon {
    struct store_fixture *fixture;
    struct control control;
};

/* JSON to documents and back, by the model: what the codec does, without its checks. */

static struct doc *doc_of(struct arena *arena, const struct model_shape *shape, json_t *json)
{
    struct doc *node = doc_new(arena, shape->kind);
    const char *name;
    json_t *value;

    switch (shape->kind) {
    case DOC_STRUCT:
        json_object_foreach(json, name, value)
        {
            const struct model_member *member = model_member_named(shape, slice_z(name));

            if (member == NULL) {
                fail_msg("no member %s", name);
            } else {
                doc_set(node, member->id, doc_of(arena, member->shape, value));
            }
        }
        return node;
    case DOC_LIST:
        for (size_t i = 0; i < json_array_size(json); i++) {
            doc_list_add(node, doc_of(arena, shape->element, json_array_get(json, i)));
        }
        return node;
    case DOC_MAP:
        json_object_foreach(json, name, value)
        {
            doc_map_put(node, slice_z(name), doc_of(arena, shape->element, value));
        }
        return node;
    case DOC_TEXT:
        return doc_new_text(arena, slice_z(json_string_value(json)));
    case DOC_INT:
        return doc_new_int(arena, json_integer_value(json));
    case DOC_BOOL:
        return doc_new_bool(arena, json_is_true(json));
    case DOC_JSON:
        return doc_new_json(arena, json_incref(json));
    case DOC_BLOB:
    case DOC_DOUBLE:
    case DOC_TIME:
    case DOC_RAW_JSON:
        break;
    }
    fail_msg("a kind that no request has");
    return NULL;
}

static json_t *json_of(const struct model_shape *shape, const struct doc *doc)
{
    json_t *json;

    switch (doc->kind) {
    case DOC_STRUCT:
        json = json_object();
        for (size_t i = 0; i < shape->member_count; i++) {
            const struct model_member *member = &shape->members[i];

            if (doc_has(doc, member->id)) {
                json_object_set_new(json, member->name,
                                    json_of(member->shape, doc_get(doc, member->id)));
            }
        }
        return json;
    case DOC_LIST:
        json = json_array();
        for (size_t i = 0; i < doc_length(doc); i++) {
            json_array_append_new(json, json_of(shape->element, doc_element(doc, i)));
        }
        return json;
    case DOC_MAP:
        json = json_object();
        for (size_t i = 0; i < doc_length(doc); i++) {
            json_object_set_new(json, doc_key(doc, i).data,
                                json_of(shape->element, doc_element(doc, i)));
        }
        return json;
    case DOC_RAW_JSON:
        return json_loadb(doc->u.text.data, doc->u.text.bytes, 0, NULL);
    case DOC_JSON:
        return json_incref(doc->u.json);
    case DOC_TEXT:
        return json_string(doc_value_z(doc));
    case DOC_INT:
    case DOC_TIME:
        return json_integer(doc->u.integer);
    case DOC_BOOL:
        return json_boolean(doc->u.integer);
    case DOC_DOUBLE:
        return json_real(doc->u.number);
    case DOC_BLOB:
        break;
    }
    return json_null();
}

/* One call. */

struct call {
    bool finished, committed;
    struct error err;
};

static void on_finish(struct ctx *ctx, const struct error *err)
{
    struct call *call = ctx->owner;

    call->finished = true;
    if (err != NULL) {
        call->err = *err;
    }
}

static void on_commit(void *data)
{
    ((struct call *)data)->committed = true;
}

static void turn_until(struct daemon *daemon, const bool *flag)
{
    for (int i = 0; i < 1000 && !*flag; i++) {
        uv_run(&daemon->fixture->loop, UV_RUN_ONCE);
    }
    assert_true(*flag);
}

static void call(struct daemon *daemon, const char *action, const char *request, struct buf *answer)
{
    const struct model_service *service = model_service_find(&api, SLICE_LIT("dynamodb"));
    const struct model_op *op = model_op_find(service, slice_z(action));
    struct ctx *ctx = control_begin(&daemon->control);
    struct call call = {0};
    struct doc *in, *out;
    struct error err = {0};
    json_error_t bad;
    json_t *json = json_loads(request, 0, &bad);

    assert_non_null(op);
    if (json == NULL) {
        fail_msg("%s: %s", bad.text, request);
    }
    ctx->owner = &call;
    ctx->finish = on_finish;
    in = doc_of(ctx->arena, op->in, json);
    out = doc_new(ctx->arena, DOC_STRUCT);
    if (op->handler(ctx, in, out, &err) != 0) {
        on_finish(ctx, &err);
    }
    call.finished = call.finished || !ctx->deferred;
    turn_until(daemon, &call.finished);
    if (call.err.code != 0) {
        buf_printf(answer, "%s: %s", call.err.aws_code, call.err.message);
        if (ctx->error_members.bytes > 0) {
            buf_printf(answer, " %.*s", SLICE_ARG(ctx->error_members));
        }
    } else if (op->out != NULL) {
        json_t *result = json_of(op->out, out);

        json_to_buf(result, answer);
        json_decref(result);
    }
    json_decref(json);
    control_commit(ctx, on_commit, &call);
    turn_until(daemon, &call.committed);
    control_end(ctx);
}

/* Who may what is the end-to-end tests' matter. */
static int allow(struct ctx *ctx, const char *action, const char *resource, struct error *err)
{
    (void)ctx;
    (void)action;
    (void)resource;
    (void)err;
    return 0;
}

static const struct wire_hooks hooks = {.authorize = allow};

static int setup(void **state)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    void *fixture = NULL;

    fixture_setup(&fixture);
    daemon->fixture = fixture;
    daemon->control = (struct control){
        .hooks = &hooks,
        .options = {.region = "us-east-2",
                    .account = "000000000000",
                    .time_scale = 1,
                    .endpoint = "http://127.0.0.1:4566"},
        .loop = &daemon->fixture->loop,
        .store = daemon->fixture->store,
    };
    muster_clock_start(&daemon->control.clock, 1767323045678, 1);
    assert_int_equal(0, dynamodb_service.open(&daemon->control, NULL));
    *state = daemon;
    return 0;
}

static void start_sweeping(struct ctx *ctx, void *data)
{
    (void)data;
    assert_int_equal(0, dynamodb_service.start(ctx, NULL));
}

static int teardown(void **state)
{
    struct daemon *daemon = *state;
    void *fixture = daemon->fixture;

    dynamodb_service.close(&daemon->control);
    tags_index_close(&daemon->control.tags);
    fixture_teardown(&fixture);
    free(daemon);
    return 0;
}

static void pass_time(struct daemon *daemon, int64_t ms)
{
    daemon->control.clock.anchor_ms += ms;
}

struct step {
    const char *action, *request, *answer; /* answer NULL: anything but a refusal. */
};

static bool same_json(const char *wanted, const char *actual)
{
    json_t *a = json_loads(wanted, 0, NULL), *b = json_loads(actual, 0, NULL);
    bool same = a != NULL && b != NULL && json_equal(a, b);

    json_decref(a);
    json_decref(b);
    return same;
}

static void tell(struct daemon *daemon, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf answer = {0};

        call(daemon, steps[i].action, steps[i].request, &answer);
        if (steps[i].answer != NULL && !same_json(steps[i].answer, buf_z(&answer))) {
            check_text(steps[i].request, steps[i].answer, slice_z(buf_z(&answer)));
        } else if (steps[i].answer == NULL && answer.bytes > 0 && answer.data[0] != '{') {
            check_text(steps[i].request, "{...}", slice_z(buf_z(&answer)));
        }
        buf_close(&answer);
    }
}

#define ONE_KEY                                                                                    \
    "{\"TableName\":\"One\",\"KeySchema\":[{\"AttributeName\":\"p\",\"KeyType\":\"HASH\"}],"       \
    "\"AttributeDefinitions\":[{\"AttributeName\":\"p\",\"AttributeType\":\"S\"}],"                \
    "\"BillingMode\":\"PAY_PER_REQUEST\"}"
#define TWO_KEYS                                                                                   \
    "{\"TableName\":\"Two\",\"KeySchema\":[{\"AttributeName\":\"p\",\"KeyType\":\"HASH\"},"        \
    "{\"AttributeName\":\"s\",\"KeyType\":\"RANGE\"}],"                                            \
    "\"AttributeDefinitions\":[{\"AttributeName\":\"p\",\"AttributeType\":\"S\"},"                 \
    "{\"AttributeName\":\"s\",\"AttributeType\":\"N\"}],"                                          \
    "\"ProvisionedThroughput\":{\"ReadCapacityUnits\":5,\"WriteCapacityUnits\":5}}"

static void make_tables(struct daemon *daemon)
{
    static const struct step steps[] = {{"CreateTable", ONE_KEY, NULL},
                                        {"CreateTable", TWO_KEYS, NULL}};

    tell(daemon, steps, COUNT_OF(steps));
    pass_time(daemon, 2000);
}

static void a_table_lives_from_creating_to_gone(void **state)
{
    static const struct step first[] = {
        {"CreateTable", ONE_KEY, NULL},
        {"CreateTable", ONE_KEY, "ResourceInUseException: Table already exists: One"},
        {"PutItem", "{\"TableName\":\"One\",\"Item\":{\"p\":{\"S\":\"a\"}}}",
         "ResourceNotFoundException: Requested resource not found"},
        {"DeleteTable", "{\"TableName\":\"One\"}",
         "ResourceInUseException: Attempt to change a resource which is still in use: Table is"
         " being created: One"},
    };
    static const struct step second[] = {
        {"PutItem", "{\"TableName\":\"One\",\"Item\":{\"p\":{\"S\":\"a\"}}}", "{}"},
        {"UpdateTable", "{\"TableName\":\"One\",\"DeletionProtectionEnabled\":true}", NULL},
        {"PutItem", "{\"TableName\":\"One\",\"Item\":{\"p\":{\"S\":\"b\"}}}", "{}"},
    };
    static const struct step third[] = {
        {"DeleteTable", "{\"TableName\":\"One\"}",
         "ValidationException: 1 validation error detected: Table 'One' can't be deleted while"
         " DeletionProtectionEnabled is set to True"},
        {"UpdateTable", "{\"TableName\":\"One\",\"DeletionProtectionEnabled\":false}", NULL},
    };
    static const struct step fourth[] = {
        {"DeleteTable", "{\"TableName\":\"One\"}", NULL},
        {"GetItem", "{\"TableName\":\"One\",\"Key\":{\"p\":{\"S\":\"a\"}}}",
         "ResourceNotFoundException: Requested resource not found"},
        {"ListTables", "{}", "{\"TableNames\":[\"One\"]}"},
    };
    static const struct step fifth[] = {
        {"ListTables", "{}", "{\"TableNames\":[]}"},
        {"DescribeTable", "{\"TableName\":\"One\"}",
         "ResourceNotFoundException: Requested resource not found: Table: One not found"},
        {"CreateTable", ONE_KEY, NULL},
    };
    static const struct step sixth[] = {
        {"Scan", "{\"TableName\":\"One\"}", "{\"Items\":[],\"Count\":0,\"ScannedCount\":0}"},
    };
    struct daemon *daemon = *state;
    struct buf answer = {0};

    control_run(&daemon->control, start_sweeping, NULL);
    tell(daemon, first, COUNT_OF(first));
    pass_time(daemon, 2000);
    call(daemon, "DescribeTable", "{\"TableName\":\"One\"}", &answer);
    assert_non_null(strstr(buf_z(&answer), "\"TableStatus\":\"ACTIVE\""));
    assert_non_null(strstr(buf_z(&answer), "\"WarmThroughput\":{\"ReadUnitsPerSecond\":12000,"));
    assert_non_null(strstr(buf_z(&answer), "\"BillingMode\":\"PAY_PER_REQUEST\""));
    tell(daemon, second, COUNT_OF(second));
    pass_time(daemon, 2000);
    tell(daemon, third, COUNT_OF(third));
    pass_time(daemon, 2000);
    buf_clear(&answer);
    call(daemon, "DescribeTable", "{\"TableName\":\"One\"}", &answer);
    assert_non_null(strstr(buf_z(&answer), "\"ItemCount\":2"));
    tell(daemon, fourth, COUNT_OF(fourth));
    pass_time(daemon, 2000);
    control_run(&daemon->control, tables_sweep, daemon->control.dynamodb);
    for (int i = 0; i < 100 && daemon->control.dynamodb->tables.count > 0; i++) {
        uv_run(&daemon->fixture->loop, UV_RUN_ONCE);
    }
    tell(daemon, fifth, COUNT_OF(fifth));
    pass_time(daemon, 2000);
    tell(daemon, sixth, COUNT_OF(sixth));
    buf_close(&answer);
}

static void tables_are_checked_by_the_list(void **state)
{
#define CREATE(rest) "{\"TableName\":\"Bad\"," rest "}"
#define HASH_P "\"KeySchema\":[{\"AttributeName\":\"p\",\"KeyType\":\"HASH\"}],"
#define DEFINE_P "\"AttributeDefinitions\":[{\"AttributeName\":\"p\",\"AttributeType\":\"S\"}]"
#define INVALID "ValidationException: One or more parameter values were invalid: "
    static const struct step steps[] = {
        {"CreateTable", "{\"TableName\":\"ab\"}",
         "ValidationException: TableName must be at least 3 characters long and at most 255"
         " characters long"},
        {"CreateTable", CREATE(HASH_P DEFINE_P),
         INVALID "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode"
                 " is PROVISIONED"},
        {"CreateTable",
         CREATE(HASH_P DEFINE_P ",\"BillingMode\":\"PAY_PER_REQUEST\",\"ProvisionedThroughput\":"
                                "{\"ReadCapacityUnits\":1,\"WriteCapacityUnits\":1}"),
         INVALID "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when"
                 " BillingMode is PAY_PER_REQUEST"},
        {"CreateTable",
         CREATE("\"KeySchema\":[{\"AttributeName\":\"a\",\"KeyType\":\"HASH\"}]," DEFINE_P
                ",\"BillingMode\":\"PAY_PER_REQUEST\""),
         INVALID "Some index key attributes are not defined in AttributeDefinitions. Keys: [a],"
                 " AttributeDefinitions: [p]"},
        {"CreateTable",
         CREATE(HASH_P
                "\"AttributeDefinitions\":[{\"AttributeName\":\"p\",\"AttributeType\":\"S\"},"
                "{\"AttributeName\":\"q\",\"AttributeType\":\"S\"}],"
                "\"BillingMode\":\"PAY_PER_REQUEST\""),
         INVALID "Number of attributes in KeySchema does not exactly match number of attributes"
                 " defined in AttributeDefinitions"},
        {"CreateTable",
         CREATE("\"KeySchema\":[{\"AttributeName\":\"p\",\"KeyType\":\"RANGE\"}]," DEFINE_P
                ",\"BillingMode\":\"PAY_PER_REQUEST\""),
         "ValidationException: Invalid KeySchema: The first KeySchemaElement is not a HASH key"
         " type"},
    };

    tell(*state, steps, COUNT_OF(steps));
}

static void items_are_put_got_and_deleted(void **state)
{
#define ONE(rest) "{\"TableName\":\"One\"," rest "}"
    static const struct step steps[] = {
        {"GetItem", ONE("\"Key\":{\"p\":{\"S\":\"a\"}}"), "{}"},
        {"PutItem", ONE("\"Item\":{\"p\":{\"S\":\"a\"},\"n\":{\"N\":\"01.50\"}}"), "{}"},
        {"GetItem", ONE("\"Key\":{\"p\":{\"S\":\"a\"}}"),
         "{\"Item\":{\"p\":{\"S\":\"a\"},\"n\":{\"N\":\"1.5\"}}}"},
        {"PutItem", ONE("\"Item\":{\"p\":{\"S\":\"a\"}},\"ReturnValues\":\"ALL_OLD\""),
         "{\"Attributes\":{\"p\":{\"S\":\"a\"},\"n\":{\"N\":\"1.5\"}}}"},
        {"PutItem",
         ONE("\"Item\":{\"p\":{\"S\":\"a\"}},\"ConditionExpression\":\"attribute_not_exists(p)\""),
         "ConditionalCheckFailedException: The conditional request failed"},
        {"PutItem",
         ONE("\"Item\":{\"p\":{\"S\":\"a\"}},\"ConditionExpression\":\"attribute_not_exists(p)\","
             "\"ReturnValuesOnConditionCheckFailure\":\"ALL_OLD\""),
         "ConditionalCheckFailedException: The conditional request failed "
         "\"Item\":{\"p\":{\"S\":\"a\"}}"},
        {"PutItem",
         ONE("\"Item\":{\"p\":{\"S\":\"b\"}},\"ConditionExpression\":\"attribute_not_exists(p)\""),
         "{}"},
        {"GetItem",
         ONE("\"Key\":{\"p\":{\"S\":\"b\"}},\"ConsistentRead\":true,"
             "\"ReturnConsumedCapacity\":\"TOTAL\""),
         "{\"Item\":{\"p\":{\"S\":\"b\"}},"
         "\"ConsumedCapacity\":{\"TableName\":\"One\",\"CapacityUnits\":1.0}}"},
        {"DeleteItem",
         ONE("\"Key\":{\"p\":{\"S\":\"b\"}},\"ReturnValues\":\"ALL_OLD\","
             "\"ReturnConsumedCapacity\":\"INDEXES\""),
         "{\"Attributes\":{\"p\":{\"S\":\"b\"}},\"ConsumedCapacity\":{\"TableName\":\"One\","
         "\"CapacityUnits\":1.0,\"Table\":{\"CapacityUnits\":1.0}}}"},
        {"DeleteItem", ONE("\"Key\":{\"p\":{\"S\":\"b\"}}"), "{}"},
        {"PutItem", ONE("\"Item\":{\"q\":{\"S\":\"b\"}}"), INVALID "Missing the key p in the item"},
        {"PutItem", ONE("\"Item\":{\"p\":{\"N\":\"1\"}}"),
         INVALID "Type mismatch for key p expected: S actual: N"},
        {"PutItem", ONE("\"Item\":{\"p\":{\"S\":\"\"}}"),
         "ValidationException: One or more parameter values are not valid. The AttributeValue for a"
         " key attribute cannot contain an empty string value. Key: p"},
        {"GetItem", ONE("\"Key\":{\"p\":{\"S\":\"b\"},\"x\":{\"S\":\"\"}}"),
         "ValidationException: The provided key element does not match the schema"},
        {"PutItem", ONE("\"Item\":{\"p\":{\"S\":\"b\"}},\"ReturnValues\":\"ALL_NEW\""),
         "ValidationException: ReturnValues can only be ALL_OLD or NONE"},
        {"PutItem",
         ONE("\"Item\":{\"p\":{\"S\":\"b\"}},\"ExpressionAttributeValues\":{\":a\":{\"S\":\"\"}}"),
         "ValidationException: ExpressionAttributeValues can only be specified when using"
         " expressions: ConditionExpression is null"},
        {"UpdateItem",
         ONE("\"Key\":{\"p\":{\"S\":\"b\"}},\"ExpressionAttributeValues\":{\":a\":{\"S\":\"\"}}"),
         "ValidationException: ExpressionAttributeValues can only be specified when using"
         " expressions: UpdateExpression and ConditionExpression are null"},
        {"PutItem", "{\"TableName\":\"None\",\"Item\":{\"p\":{\"S\":\"b\"}}}",
         "ResourceNotFoundException: Requested resource not found"},
        {"PutItem",
         "{\"TableName\":\"arn:aws:dynamodb:us-east-2:000000000000:table/One\","
         "\"Item\":{\"p\":{\"S\":\"by arn\"}}}",
         "{}"},
    };

    make_tables(*state);
    tell(*state, steps, COUNT_OF(steps));
}

static void items_are_updated_in_place(void **state)
{
#define KEY_A "\"Key\":{\"p\":{\"S\":\"a\"}},"
    static const struct step steps[] = {
        {"UpdateItem",
         ONE(KEY_A "\"UpdateExpression\":\"REMOVE x.y\",\"ReturnValues\":\"ALL_NEW\""), "{}"},
        {"GetItem", ONE("\"Key\":{\"p\":{\"S\":\"a\"}}"), "{}"},
        {"UpdateItem",
         ONE(KEY_A "\"UpdateExpression\":\"ADD n :one SET m = :m\",\"ReturnValues\":\"ALL_NEW\","
                   "\"ExpressionAttributeValues\":{\":one\":{\"N\":\"1\"},\":m\":{\"M\":{}}}"),
         "{\"Attributes\":{\"p\":{\"S\":\"a\"},\"n\":{\"N\":\"1\"},\"m\":{\"M\":{}}}}"},
        {"UpdateItem",
         ONE(KEY_A "\"UpdateExpression\":\"SET m.k = n + :one\",\"ReturnValues\":\"UPDATED_NEW\","
                   "\"ConditionExpression\":\"n = :one\","
                   "\"ExpressionAttributeValues\":{\":one\":{\"N\":\"1\"}}"),
         "{\"Attributes\":{\"m\":{\"M\":{\"k\":{\"N\":\"2\"}}}}}"},
        {"UpdateItem",
         ONE(KEY_A "\"UpdateExpression\":\"REMOVE n\",\"ReturnValues\":\"UPDATED_OLD\""),
         "{\"Attributes\":{\"n\":{\"N\":\"1\"}}}"},
        {"UpdateItem",
         ONE(KEY_A "\"UpdateExpression\":\"SET p = :one\","
                   "\"ExpressionAttributeValues\":{\":one\":{\"S\":\"1\"}}"),
         INVALID "Cannot update attribute p. This attribute is part of the key"},
        {"UpdateItem",
         ONE(KEY_A "\"UpdateExpression\":\"SET z.a = :one\","
                   "\"ExpressionAttributeValues\":{\":one\":{\"S\":\"1\"}}"),
         "ValidationException: The document path provided in the update expression is invalid for"
         " update"},
        {"UpdateItem", ONE("\"Key\":{\"p\":{\"S\":\"bare\"}},\"ReturnValues\":\"ALL_NEW\""),
         "{\"Attributes\":{\"p\":{\"S\":\"bare\"}}}"},
        {"GetItem", ONE("\"Key\":{\"p\":{\"S\":\"a\"}},\"ProjectionExpression\":\"m.k, gone\""),
         "{\"Item\":{\"m\":{\"M\":{\"k\":{\"N\":\"2\"}}}}}"},
    };

    make_tables(*state);
    tell(*state, steps, COUNT_OF(steps));
}

/* Wherever a path may stand, but in a condition of a write. */
static void keys_have_no_parts(void **state)
{
#define NO_PARTS(key)                                                                              \
    "ValidationException: Key attributes must be scalars; list random access '[]' and map lookup"  \
    " '.' are not allowed: Key: " key
    static const struct step steps[] = {
        {"UpdateItem", ONE(KEY_A "\"UpdateExpression\":\"REMOVE p.x\""), NO_PARTS("p")},
        {"GetItem", ONE(KEY_A "\"ProjectionExpression\":\"a, p[0]\""), NO_PARTS("p")},
        {"BatchGetItem",
         "{\"RequestItems\":{\"One\":{\"Keys\":[{\"p\":{\"S\":\"a\"}}],"
         "\"ProjectionExpression\":\"p.x\"}}}",
         NO_PARTS("p")},
        {"Query",
         "{\"TableName\":\"Two\",\"KeyConditionExpression\":\"p = :p\","
         "\"ExpressionAttributeValues\":{\":p\":{\"S\":\"a\"}},\"ProjectionExpression\":\"s.x\"}",
         NO_PARTS("s")},
        {"Scan", "{\"TableName\":\"Two\",\"FilterExpression\":\"attribute_exists(s.x)\"}",
         NO_PARTS("s")},
        {"PutItem",
         ONE("\"Item\":{\"p\":{\"S\":\"b\"}},"
             "\"ConditionExpression\":\"attribute_not_exists(p.x)\""),
         "{}"},
    };

    make_tables(*state);
    tell(*state, steps, COUNT_OF(steps));
}

static void fill_two(struct daemon *daemon)
{
    static const char *const numbers[] = {"-5", "-1.5", "0", "3", "20", "100"};
    struct buf answer = {0};

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct buf request = {0};

        buf_printf(&request,
                   "{\"TableName\":\"Two\",\"Item\":{\"p\":{\"S\":\"x\"},\"s\":{\"N\":\"%s\"},"
                   "\"i\":{\"N\":\"%zu\"}}}",
                   numbers[i], i);
        call(daemon, "PutItem", buf_z(&request), &answer);
        buf_close(&request);
    }
    buf_close(&answer);
}

/* "-5 3": the sort keys of the items in a Query's or Scan's answer. */
static void check_page(struct daemon *daemon, const char *action, const char *request,
                       const char *wanted)
{
    struct buf answer = {0}, keys = {0};
    json_t *json, *items;

    call(daemon, action, request, &answer);
    json = json_loads(buf_z(&answer), 0, NULL);
    if (json == NULL) {
        check_text(request, wanted, buf_slice(&answer));
    }
    items = json_object_get(json, "Items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        buf_printf(&keys, "%s%s", i == 0 ? "" : " ",
                   json_string_value(
                       json_object_get(json_object_get(json_array_get(items, i), "s"), "N")));
    }
    if (json_object_get(json, "LastEvaluatedKey") != NULL) {
        buf_printf(&keys, " | %s",
                   json_string_value(json_object_get(
                       json_object_get(json_object_get(json, "LastEvaluatedKey"), "s"), "N")));
    }
    if (json != NULL) {
        check_text(request, wanted, slice_z(buf_z(&keys)));
    }
    json_decref(json);
    buf_close(&answer);
    buf_close(&keys);
}

static void queries_follow_the_table(void **state)
{
#define QUERY(condition, values, rest)                                                             \
    "{\"TableName\":\"Two\",\"KeyConditionExpression\":\"" condition                               \
    "\",\"ExpressionAttributeValues\":{\":p\":{\"S\":\"x\"}" values "}" rest "}"
#define V(name, number) ",\":" name "\":{\"N\":\"" number "\"}"
#define START(number) ",\"ExclusiveStartKey\":{\"p\":{\"S\":\"x\"},\"s\":{\"N\":\"" number "\"}}"
    static const struct {
        const char *request, *wanted;
    } cases[] = {
        {QUERY("p = :p", "", ""), "-5 -1.5 0 3 20 100"},
        {QUERY("p = :p", "", ",\"ScanIndexForward\":false"), "100 20 3 0 -1.5 -5"},
        {QUERY("p = :p AND s = :a", V("a", "3"), ""), "3"},
        {QUERY("s > :a AND p = :p", V("a", "0"), ""), "3 20 100"},
        {QUERY("p = :p AND :a >= s", V("a", "0"), ""), "-5 -1.5 0"},
        {QUERY("p = :p AND s BETWEEN :a AND :b", V("a", "-2") V("b", "20"), ""), "-1.5 0 3 20"},
        {QUERY("p = :p", "", ",\"Limit\":2"), "-5 -1.5 | -1.5"},
        {QUERY("p = :p", "", ",\"Limit\":2" START("-1.5")), "0 3 | 3"},
        {QUERY("p = :p", "", ",\"Limit\":6"), "-5 -1.5 0 3 20 100 | 100"},
        {QUERY("p = :p", "", START("100")), ""},
        {QUERY("p = :p", "", START("50") ",\"ScanIndexForward\":false"), "20 3 0 -1.5 -5"},
        {QUERY("p = :p", V("i", "4"), ",\"FilterExpression\":\"i >= :i\",\"Limit\":5"), "20 | 20"},
        {QUERY("p = :p OR p = :p", "", ""),
         "ValidationException: Invalid operator used in KeyConditionExpression: OR"},
        {QUERY("p > :p", "", ""), "ValidationException: Query key condition not supported"},
        {QUERY("s = :p", "", ""),
         "ValidationException: Query condition missed key schema element: p"},
        {QUERY("p = :p AND s = :p", "", ""),
         INVALID "Condition parameter type does not match schema type"},
        {QUERY("p = :p AND begins_with(s, :a)", V("a", "1"), ""),
         "ValidationException: Invalid KeyConditionExpression: Incorrect operand type for operator"
         " or function; operator or function: begins_with, operand type: N"},
        {QUERY("p = :p", V("i", "4"), ",\"FilterExpression\":\"s > :i\""),
         "ValidationException: Filter Expression can only contain non-primary key attributes:"
         " Primary key attribute: s"},
        {QUERY("p = :p", "", ",\"ExclusiveStartKey\":{\"p\":{\"S\":\"y\"},\"s\":{\"N\":\"1\"}}"),
         "ValidationException: The provided starting key is outside query boundaries based on"
         " provided conditions"},
        {QUERY("p = :p", "", ",\"ExclusiveStartKey\":{\"p\":{\"S\":\"x\"}}"),
         "ValidationException: The provided starting key is invalid"},
        {QUERY("p = :p AND s > :a", V("a", "0"), START("-1.5")),
         "ValidationException: The provided starting key does not match the range key predicate"},
        {QUERY("p = :p", "", ",\"IndexName\":\"idx\""),
         "ValidationException: The table does not have the specified index: idx"},
        {QUERY("p = :p", "", ",\"Select\":\"SPECIFIC_ATTRIBUTES\""),
         "ValidationException: 1 validation error detected: Must specify the AttributesToGet or"
         " ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"},
        {"{\"TableName\":\"Two\"}",
         "ValidationException: Either the KeyConditions or KeyConditionExpression parameter must be"
         " specified in the request."},
    };
    struct daemon *daemon = *state;

    make_tables(daemon);
    fill_two(daemon);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_page(daemon, "Query", cases[i].request, cases[i].wanted);
    }
}

static void a_scan_sees_each_item_once(void **state)
{
    struct daemon *daemon = *state;
    bool seen[60] = {false};
    struct buf answer = {0};
    size_t total = 0, pages = 0;

    make_tables(daemon);
    for (int i = 0; i < 60; i++) {
        struct buf request = {0};

        buf_printf(&request, "{\"TableName\":\"One\",\"Item\":{\"p\":{\"S\":\"%d\"}}}", i);
        call(daemon, "PutItem", buf_z(&request), &answer);
        buf_close(&request);
    }
    for (int segment = 0; segment < 4; segment++) {
        json_t *start = NULL;

        do {
            struct buf request = {0};
            json_t *page, *items;

            buf_printf(&request,
                       "{\"TableName\":\"One\",\"Limit\":7,\"TotalSegments\":4,\"Segment\":%d",
                       segment);
            if (start != NULL) {
                buf_add_z(&request, ",\"ExclusiveStartKey\":");
                json_to_buf(start, &request);
            }
            buf_add_z(&request, "}");
            buf_clear(&answer);
            call(daemon, "Scan", buf_z(&request), &answer);
            page = json_loads(buf_z(&answer), 0, NULL);
            assert_non_null(page);
            items = json_object_get(page, "Items");
            for (size_t i = 0; i < json_array_size(items); i++) {
                const char *key = json_string_value(
                    json_object_get(json_object_get(json_array_get(items, i), "p"), "S"));
                long number = strtol(key, NULL, 10);

                assert_false(seen[number]);
                seen[number] = true;
                total++;
            }
            json_decref(start);
            start = json_deep_copy(json_object_get(page, "LastEvaluatedKey"));
            json_decref(page);
            buf_close(&request);
            pages++;
        } while (start != NULL);
    }
    check_int("all items", 60, total);
    assert_true(pages >= 9);
    buf_close(&answer);
}

static void a_page_ends_at_one_megabyte(void **state)
{
    struct daemon *daemon = *state;
    struct buf answer = {0}, request = {0};
    json_t *page;

    make_tables(daemon);
    for (int i = 0; i < 4; i++) {
        buf_clear(&request);
        buf_printf(&request,
                   "{\"TableName\":\"Two\",\"Item\":{\"p\":{\"S\":\"x\"},\"s\":{\"N\":\"%d\"},"
                   "\"big\":{\"S\":\"",
                   i);
        for (int byte = 0; byte < 400000; byte++) {
            buf_add_byte(&request, 'x');
        }
        buf_add_z(&request, "\"}}}");
        call(daemon, "PutItem", buf_z(&request), &answer);
    }
    buf_clear(&answer);
    call(daemon, "Scan", "{\"TableName\":\"Two\",\"ReturnConsumedCapacity\":\"TOTAL\"}", &answer);
    page = json_loads(buf_z(&answer), 0, NULL);
    check_int("the third one crosses the line", 3,
              json_integer_value(json_object_get(page, "Count")));
    assert_non_null(json_object_get(page, "LastEvaluatedKey"));
    json_decref(page);
    buf_add_byte(&request, ' ');
    buf_clear(&answer);
    buf_clear(&request);
    buf_add_z(&request, "{\"TableName\":\"One\",\"Item\":{\"p\":{\"S\":\"x\"},\"big\":{\"S\":\"");
    for (int byte = 0; byte < 410000; byte++) {
        buf_add_byte(&request, 'x');
    }
    buf_add_z(&request, "\"}}}");
    call(daemon, "PutItem", buf_z(&request), &answer);
    check_text("too large", "ValidationException: Item size has exceeded the maximum allowed size",
               buf_slice(&answer));
    buf_close(&answer);
    buf_close(&request);
}

static void batches_write_and_read(void **state)
{
#define PUT(table, key) "{\"PutRequest\":{\"Item\":{\"p\":{\"S\":\"" key "\"}}}}"
    static const struct step steps[] = {
        {"BatchWriteItem",
         "{\"RequestItems\":{\"One\":[" PUT("One", "a") "," PUT(
             "One", "b") "]},"
                         "\"ReturnConsumedCapacity\":\"TOTAL\"}",
         "{\"UnprocessedItems\":{},\"ConsumedCapacity\":[{\"TableName\":\"One\","
         "\"CapacityUnits\":2.0}]}"},
        {"BatchWriteItem",
         "{\"RequestItems\":{\"One\":[" PUT("One", "c") ",{\"DeleteRequest\":{\"Key\":{\"p\":"
                                                        "{\"S\":\"a\"}}}}]}}",
         "{\"UnprocessedItems\":{}}"},
        {"BatchWriteItem", "{\"RequestItems\":{\"One\":[" PUT("One", "c") "," PUT("One", "c") "]}}",
         "ValidationException: Provided list of item keys contains duplicates"},
        {"BatchWriteItem", "{\"RequestItems\":{\"None\":[" PUT("None", "c") "]}}",
         "ResourceNotFoundException: Requested resource not found"},
        {"BatchGetItem",
         "{\"RequestItems\":{\"One\":{\"Keys\":[{\"p\":{\"S\":\"a\"}},{\"p\":{\"S\":\"b\"}},"
         "{\"p\":{\"S\":\"c\"}}]}}}",
         "{\"Responses\":{\"One\":[{\"p\":{\"S\":\"b\"}},{\"p\":{\"S\":\"c\"}}]},"
         "\"UnprocessedKeys\":{}}"},
        {"BatchGetItem",
         "{\"RequestItems\":{\"One\":{\"Keys\":[{\"p\":{\"S\":\"a\"}},{\"p\":{\"S\":\"a\"}}]}}}",
         "ValidationException: Provided list of item keys contains duplicates"},
    };

    make_tables(*state);
    tell(*state, steps, COUNT_OF(steps));
}

static void transactions_are_all_or_nothing(void **state)
{
#define ITEMS(list) "{\"TransactItems\":[" list "]}"
#define PUT_ITEM(key, rest)                                                                        \
    "{\"Put\":{\"TableName\":\"One\",\"Item\":{\"p\":{\"S\":\"" key "\"}}" rest "}}"
#define IF_NEW                                                                                     \
    ",\"ConditionExpression\":\"attribute_not_exists(p)\","                                        \
    "\"ReturnValuesOnConditionCheckFailure\":\"ALL_OLD\""
#define GET_ITEM(key) "{\"Get\":{\"TableName\":\"One\",\"Key\":{\"p\":{\"S\":\"" key "\"}}}}"
#define CANCELLED                                                                                  \
    "TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for"   \
    " specific reasons "
    static const struct step steps[] = {
        {"TransactWriteItems", ITEMS(PUT_ITEM("a", IF_NEW) "," PUT_ITEM("b", "")), "{}"},
        {"TransactWriteItems", ITEMS(PUT_ITEM("c", "") "," PUT_ITEM("a", IF_NEW)),
         CANCELLED "[None, ConditionalCheckFailed] \"CancellationReasons\":[{\"Code\":\"None\"},"
                   "{\"Code\":\"ConditionalCheckFailed\",\"Message\":\"The conditional request"
                   " failed\",\"Item\":{\"p\":{\"S\":\"a\"}}}]"},
        {"TransactGetItems", ITEMS(GET_ITEM("a") "," GET_ITEM("c")),
         "{\"Responses\":[{\"Item\":{\"p\":{\"S\":\"a\"}}},{}]}"},
        {"TransactWriteItems", ITEMS(PUT_ITEM("d", "") "," PUT_ITEM("d", "")),
         "ValidationException: Transaction request cannot include multiple operations on one item"},
        {"TransactWriteItems",
         ITEMS(PUT_ITEM("e", "") ",{\"Update\":{\"TableName\":\"One\",\"Key\":{\"p\":{\"S\":"
                                 "\"a\"}},\"UpdateExpression\":\"SET x = y\"}}"),
         CANCELLED "[None, ValidationError] \"CancellationReasons\":[{\"Code\":\"None\"},"
                   "{\"Code\":\"ValidationError\",\"Message\":\"The provided expression refers to"
                   " an attribute that does not exist in the item\"}]"},
        {"TransactWriteItems",
         ITEMS("{\"ConditionCheck\":{\"TableName\":\"One\",\"Key\":{\"p\":{\"S\":\"b\"}},"
               "\"ConditionExpression\":\"attribute_exists(p)\"}},{\"Delete\":{\"TableName\":"
               "\"One\",\"Key\":{\"p\":{\"S\":\"a\"}}}}"),
         "{}"},
        {"TransactGetItems", ITEMS(GET_ITEM("a") "," GET_ITEM("b") "," GET_ITEM("e")),
         "{\"Responses\":[{},{\"Item\":{\"p\":{\"S\":\"b\"}}},{}]}"},
        {"TransactWriteItems", ITEMS("{}"),
         "ValidationException: TransactItems can only contain one of Check, Put, Update or Delete"},
    };

    make_tables(*state);
    tell(*state, steps, COUNT_OF(steps));
}

static void a_token_makes_repeating_harmless(void **state)
{
#define ADD_ONE(token, amount)                                                                     \
    "{\"ClientRequestToken\":\"" token "\",\"TransactItems\":[{\"Update\":{\"TableName\":\"One\"," \
    "\"Key\":{\"p\":{\"S\":\"n\"}},\"UpdateExpression\":\"ADD n :one\","                           \
    "\"ExpressionAttributeValues\":{\":one\":{\"N\":\"" amount "\"}}}}]}"
#define GET_N(n)                                                                                   \
    {                                                                                              \
        "GetItem", ONE("\"Key\":{\"p\":{\"S\":\"n\"}}"),                                           \
            "{\"Item\":{\"p\":{\"S\":\"n\"},\"n\":{\"N\":\"" n "\"}}}"                             \
    }
    static const struct step steps[] = {
        {"TransactWriteItems", ADD_ONE("t1", "1"), "{}"},
        {"TransactWriteItems", ADD_ONE("t1", "1"), "{}"},
        GET_N("1"),
        {"TransactWriteItems", ADD_ONE("t1", "2"),
         "IdempotentParameterMismatchException: The request uses the same client token as a"
         " previous, but non-identical request. Do not reuse a client token with different"
         " requests, unless the requests are identical."},
        {"TransactWriteItems", ADD_ONE("t2", "1"), "{}"},
        GET_N("2"),
    };
    static const struct step restarted[] = {
        {"TransactWriteItems", ADD_ONE("t1", "1"), "{}"},
        GET_N("2"),
    };
    static const struct step later[] = {
        {"TransactWriteItems", ADD_ONE("t1", "1"), "{}"},
        GET_N("3"),
    };
    struct daemon *daemon = *state;
    struct token *token;
    size_t at = 0;

    make_tables(daemon);
    tell(daemon, steps, COUNT_OF(steps));
    while ((token = map_next(&daemon->control.dynamodb->tokens, &at)) != NULL) {
        map_remove(&daemon->control.dynamodb->tokens, slice_z(token->text));
        token_free(token);
    }
    assert_int_equal(0, tokens_load(daemon->control.dynamodb, NULL));
    check_int("tokens are on disk", 2, daemon->control.dynamodb->tokens.count);
    tell(daemon, restarted, COUNT_OF(restarted));
    pass_time(daemon, TOKEN_LIFE_MS + 1);
    tell(daemon, later, COUNT_OF(later));
    check_int("the old ones are gone", 1, daemon->control.dynamodb->tokens.count);
}

static void tables_carry_tags(void **state)
{
#define ARN "\"ResourceArn\":\"arn:aws:dynamodb:us-east-2:000000000000:table/One\""
    static const struct step steps[] = {
        {"TagResource",
         "{" ARN ",\"Tags\":[{\"Key\":\"a\",\"Value\":\"1\"},"
         "{\"Key\":\"b\",\"Value\":\"2\"}]}",
         NULL},
        {"UntagResource", "{" ARN ",\"TagKeys\":[\"a\"]}", NULL},
        {"ListTagsOfResource", "{" ARN "}", "{\"Tags\":[{\"Key\":\"b\",\"Value\":\"2\"}]}"},
        {"TagResource", "{" ARN ",\"Tags\":[]}",
         "ValidationException: Atleast one Tag needs to be provided as Input."},
        {"ListTagsOfResource",
         "{\"ResourceArn\":\"arn:aws:dynamodb:us-east-2:000000000000:table/No\"}",
         "ResourceNotFoundException: Requested resource not found: ResourcArn:"
         " arn:aws:dynamodb:us-east-2:000000000000:table/No not found"},
        {"DescribeTimeToLive", "{\"TableName\":\"One\"}",
         "{\"TimeToLiveDescription\":{\"TimeToLiveStatus\":\"DISABLED\"}}"},
        {"DescribeContinuousBackups", "{\"TableName\":\"One\"}",
         "{\"ContinuousBackupsDescription\":{\"ContinuousBackupsStatus\":\"ENABLED\","
         "\"PointInTimeRecoveryDescription\":{\"PointInTimeRecoveryStatus\":\"DISABLED\"}}}"},
    };

    make_tables(*state);
    tell(*state, steps, COUNT_OF(steps));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_table_lives_from_creating_to_gone),
        TEST(tables_are_checked_by_the_list),
        TEST(items_are_put_got_and_deleted),
        TEST(items_are_updated_in_place),
        TEST(keys_have_no_parts),
        TEST(queries_follow_the_table),
        TEST(a_scan_sees_each_item_once),
        TEST(a_page_ends_at_one_megabyte),
        TEST(batches_write_and_read),
        TEST(transactions_are_all_or_nothing),
        TEST(a_token_makes_repeating_harmless),
        TEST(tables_carry_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
