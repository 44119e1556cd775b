#include "base/buf.h"
#include "base/json.h"
#include "check.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/value.h"

static const char names_text[] = "{\"#n\":\"name\",\"#d\":\"a.b\",\"#a\":\"a\"}";
static const char values_text[] =
    "{\":s\":{\"S\":\"abc\"},\":p\":{\"S\":\"ab\"},\":one\":{\"N\":\"1\"},\":two\":{\"N\":\"2\"},"
    "\":ten\":{\"N\":\"10\"},\":true\":{\"BOOL\":true},\":null\":{\"NULL\":true},"
    "\":l\":{\"L\":[{\"S\":\"x\"}]},\":ss\":{\"SS\":[\"b\",\"c\"]},\":ns\":{\"NS\":[\"1\"]},"
    "\":b\":{\"B\":\"AAE=\"},\":S\":{\"S\":\"S\"},\":X\":{\"S\":\"X\"},\":m\":{\"M\":{}},"
    "\":uni\":{\"S\":\"\xc3\xa9\"}}";
static const char item_text[] =
    "{\"pk\":{\"S\":\"key\"},\"a\":{\"S\":\"abc\"},\"n\":{\"N\":\"5\"},\"name\":{\"S\":\"N\"},"
    "\"a.b\":{\"S\":\"dotted\"},\"bin\":{\"B\":\"AAEC\"},\"yes\":{\"BOOL\":true},"
    "\"nothing\":{\"NULL\":true},\"tags\":{\"SS\":[\"a\",\"b\"]},"
    "\"l\":{\"L\":[{\"N\":\"0\"},{\"N\":\"1\"},{\"M\":{\"x\":{\"S\":\"deep\"}}}]},"
    "\"m\":{\"M\":{\"k\":{\"S\":\"v\"},\"c\":{\"N\":\"7\"}}},\"u\":{\"S\":\"\xc3\xa9\"}}";

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

static void open_scope(struct scope *scope)
{
    json_t *names = parse(names_text), *values = parse(values_text);

    assert_int_equal(0, scope_set(scope, names, values, NULL));
    json_decref(names);
    json_decref(values);
}

static void conditions_follow_the_table(void **state)
{
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"a = :s", true},
        {"a = :p", false},
        {"a <> :p", true},
        {"absent <> :p", true},
        {"absent = :p", false},
        {"absent = gone", false},
        {"n < :ten", true},
        {"n<:ten AND n>:one", true},
        {"n >= :ten OR n <= :one", false},
        {"a < :ten", false},
        {"n BETWEEN :one AND :ten", true},
        {"n between :one and :two", false},
        {"n BETWEEN :one AND :ten AND a = :s", true},
        {"a IN (:p, :s)", true},
        {"a in (:p)", false},
        {"NOT a IN (:p)", true},
        {"NOT NOT a = :s", true},
        {"attribute_exists(a)", true},
        {"attribute_exists (m . k)", true},
        {"attribute_exists(m.z)", false},
        {"attribute_exists(l[2].x)", true},
        {"attribute_exists(l[3])", false},
        {"attribute_exists(l.x)", false},
        {"attribute_not_exists(pk)", false},
        {"attribute_not_exists(absent)", true},
        {"attribute_type(a, :S)", true},
        {"attribute_type(n, :S)", false},
        {"attribute_type(absent, :S)", false},
        {"begins_with(a, :p)", true},
        {"begins_with(:s, :p)", true},
        {"begins_with(n, :p)", false},
        {"begins_with(bin, :b)", true},
        {"contains(a, :p)", true},
        {"contains(bin, :b)", true},
        {"contains(tags, :s)", false},
        {"contains(l, :one)", true},
        {"contains(l, :two)", false},
        {"contains(m, :p)", false},
        {"size(a) = :one", false},
        {"size(a) > :two", true},
        {"size(u) = :one", true},
        {"size(tags) = :two", true},
        {"size(n) > :one", false},
        {"#n = :s OR #d <> :s", true},
        {"l[1] = :one", true},
        {"(a = :s)", true},
        {"((a = :s) AND n = :one) OR yes = :true", true},
        {"nothing = :null", true},
        {"a = :s AND n = :one OR yes = :true", true},
        {"NOT a = :s AND n = :one", false},
        {"(n) = (:one)", false},
    };
    json_t *item = parse(item_text);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct scope scope = {0};
        struct node *root = NULL;
        struct error err = {0};

        open_scope(&scope);
        check_int(
            cases[i].text, 0,
            condition_parse(&scope, "ConditionExpression", slice_z(cases[i].text), &root, &err));
        check_int(cases[i].text, cases[i].holds, condition_holds(root, item));
        scope_close(&scope);
    }
    json_decref(item);
}

static void bad_conditions_get_dynamodbs_words(void **state)
{
#define SYNTAX(token, near) "Syntax error; token: \"" token "\", near: \"" near "\""
#define TYPE(op, type)                                                                             \
    "Incorrect operand type for operator or function; operator or function: " op                   \
    ", operand type: " type
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "The expression can not be empty;"},
        {"a", SYNTAX("<EOF>", "a")},
        {":s", SYNTAX("<EOF>", ":s")},
        {"a = ", SYNTAX("<EOF>", "=")},
        {"a = :s AND", SYNTAX("<EOF>", "AND")},
        {"a != :s", SYNTAX("!", "a !=")},
        {"a = :s b", SYNTAX("b", ":s b")},
        {"a = 1", SYNTAX("1", "= 1")},
        {"(a = :s", SYNTAX("<EOF>", ":s")},
        {"a AND b", SYNTAX("AND", "a AND b")},
        {"_a = :s", SYNTAX("_", "_a")},
        {"a BETWEEN :one", SYNTAX("<EOF>", ":one")},
        {"a = b = c", SYNTAX("=", "b = c")},
        {"a. = :s", SYNTAX("=", ". = :s")},
        {"a[x] = :s", SYNTAX("x", "[x]")},
        {"((a = :s))", "The expression has redundant parentheses;"},
        {"foo(a)", "Invalid function name; function: foo"},
        {"Size(a) = :one", "Invalid function name; function: Size"},
        {"size(a)",
         "The function is not allowed to be used this way in an expression; function: size"},
        {"attribute_exists(a) = :s", "The function is not allowed to be used this way in an"
                                     " expression; function: attribute_exists"},
        {"if_not_exists(a, :s) = :s",
         "The function is not allowed in a condition expression; function: if_not_exists"},
        {"Name = :s", "Attribute name is a reserved keyword; reserved keyword: Name"},
        {"m.Name = :s", "Attribute name is a reserved keyword; reserved keyword: Name"},
        {"#x = :s", "An expression attribute name used in the document path is not defined;"
                    " attribute name: #x"},
        {"a = :x", "An expression attribute value used in expression is not defined; attribute"
                   " value: :x"},
        {"contains(a)", "Incorrect number of operands for operator or function; operator or"
                        " function: contains, number of operands: 1"},
        {"begins_with(a, :one)", TYPE("begins_with", "N")},
        {"a < :true", TYPE("<", "BOOL")},
        {"a BETWEEN :l AND :l", TYPE("BETWEEN", "L")},
        {"size(:one) = :one", TYPE("size", "N")},
        {"attribute_type(a, :one)", TYPE("attribute_type", "N")},
        {"attribute_type(a, b)", TYPE("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")},
        {"attribute_type(a, :X)", "Invalid attribute type name found; type: X, valid types:"
                                  " {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"},
        {"attribute_exists(:s)", "Operator or function requires a document path; operator or"
                                 " function: attribute_exists"},
        {"a = #a", "The first operand must be distinct from the remaining operands for this"
                   " operator or function; operator: =, first operand: [a]"},
        {"n BETWEEN :ten AND :one",
         "The BETWEEN operator requires upper bound to be greater than or equal to lower bound;"
         " lower bound operand: AttributeValue: {N:10}, upper bound operand: AttributeValue:"
         " {N:1}"},
        {"n BETWEEN :one AND :s",
         "The BETWEEN operator requires same data type for lower and upper bounds; lower bound"
         " operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:abc}"},
        {"a[409600] = :s", "List index is not within the allowable range; index: [409600]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct scope scope = {0};
        struct node *root = NULL;
        struct error err = {0};
        struct buf wanted = {0};

        open_scope(&scope);
        check_int(cases[i].text, ERR_API,
                  condition_parse(&scope, "FilterExpression", slice_z(cases[i].text), &root, &err));
        buf_printf(&wanted, "Invalid FilterExpression: %s", cases[i].message);
        check_text(cases[i].text, buf_z(&wanted), slice_z(err.message));
        check_text(cases[i].text, "ValidationException", slice_z(err.aws_code));
        buf_close(&wanted);
        scope_close(&scope);
    }
}

static void sizes_and_depths_are_bounded(void **state)
{
    struct scope scope = {0};
    struct node *root = NULL;
    struct error err = {0};
    struct buf text = {0};

    (void)state;
    open_scope(&scope);
    for (int i = 0; i < 2000; i++) {
        buf_add_z(&text, "(");
    }
    check_int("parentheses", ERR_API,
              condition_parse(&scope, "FilterExpression", buf_slice(&text), &root, &err));
    buf_clear(&text);
    for (int i = 0; i < 1000; i++) {
        buf_add_z(&text, "NOT ");
    }
    buf_add_z(&text, "a = :s");
    check_int("NOTs", ERR_API,
              condition_parse(&scope, "FilterExpression", buf_slice(&text), &root, &err));
    buf_clear(&text);
    buf_add_z(&text, "a=:s");
    for (int i = 0; i < 200; i++) {
        buf_add_z(&text, " OR a=:s");
    }
    check_int("operators", ERR_API,
              condition_parse(&scope, "FilterExpression", buf_slice(&text), &root, &err));
    check_text("operators",
               "Invalid FilterExpression: The expression contains too many operators; operator"
               " count: 401",
               slice_z(err.message));
    buf_clear(&text);
    for (int i = 0; i < 4097; i++) {
        buf_add_z(&text, "x");
    }
    check_int("bytes", ERR_API,
              condition_parse(&scope, "FilterExpression", buf_slice(&text), &root, &err));
    check_text("bytes",
               "Invalid FilterExpression: Expression size has exceeded the maximum allowed size;"
               " expression size: 4097",
               slice_z(err.message));
    buf_close(&text);
    scope_close(&scope);
}

static void projections_follow_the_table(void **state)
{
    static const struct {
        const char *text, *out; /* Begins with "Invalid": the message. */
    } cases[] = {
        {"pk", "{\"pk\":{\"S\":\"key\"}}"},
        {"pk, n", "{\"n\":{\"N\":\"5\"},\"pk\":{\"S\":\"key\"}}"},
        {"pk, m.k, n, l[0], m.zz, l[1]",
         "{\"l\":{\"L\":[{\"N\":\"0\"},{\"N\":\"1\"}]},\"m\":{\"M\":{\"k\":{\"S\":\"v\"}}},"
         "\"n\":{\"N\":\"5\"},\"pk\":{\"S\":\"key\"}}"},
        {"absent", "{}"},
        {"m.k", "{\"m\":{\"M\":{\"k\":{\"S\":\"v\"}}}}"},
        {"l[1], l[2].x, l[0]",
         "{\"l\":{\"L\":[{\"N\":\"0\"},{\"N\":\"1\"},{\"M\":{\"x\":{\"S\":\"deep\"}}}]}}"},
        {"l[2]", "{\"l\":{\"L\":[{\"M\":{\"x\":{\"S\":\"deep\"}}}]}}"},
        {"l[7], m.z, n[0]", "{}"},
        {"#d", "{\"a.b\":{\"S\":\"dotted\"}}"},
        {"a, #a", "Invalid ProjectionExpression: Two document paths overlap with each other; must"
                  " remove or rewrite one of these paths; path one: [a], path two: [a]"},
        {"m, m.k", "Invalid ProjectionExpression: Two document paths overlap with each other; must"
                   " remove or rewrite one of these paths; path one: [m], path two: [m, k]"},
        {"m.k, m[0]",
         "Invalid ProjectionExpression: Two document paths conflict with each other; must remove or"
         " rewrite one of these paths; path one: [m, k], path two: [m, [0]]"},
        {"name", "Invalid ProjectionExpression: Attribute name is a reserved keyword; reserved"
                 " keyword: name"},
        {"a,", "Invalid ProjectionExpression: Syntax error; token: \"<EOF>\", near: \",\""},
        {"a b", "Invalid ProjectionExpression: Syntax error; token: \"b\", near: \"a b\""},
        {"a,\xc3\xa4",
         "Invalid ProjectionExpression: Syntax error; token: \"\xc3\xa4\", near: \",\xc3\xa4\""},
    };
    json_t *item = parse(item_text);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct scope scope = {0};
        struct projection projection;
        struct error err = {0};
        struct buf text = {0};

        open_scope(&scope);
        if (projection_parse(&scope, slice_z(cases[i].text), &projection, &err) != 0) {
            check_text(cases[i].text, cases[i].out, slice_z(err.message));
        } else {
            json_t *part = projection_apply(&projection, item);

            json_to_buf(part, &text);
            check_text(cases[i].text, cases[i].out, buf_slice(&text));
            json_decref(part);
        }
        buf_close(&text);
        scope_close(&scope);
    }
    json_decref(item);
}

static void updates_follow_the_table(void **state)
{
#define INVALID "Invalid UpdateExpression: "
#define BAD_PATH "The document path provided in the update expression is invalid for update"
    static const struct {
        const char *text, *before, *after; /* Not beginning with "{": the message. */
    } cases[] = {
        {"SET a = :one", "{}", "{\"a\":{\"N\":\"1\"}}"},
        {"set n = n + :one, b = n", "{\"n\":{\"N\":\"5\"}}",
         "{\"n\":{\"N\":\"6\"},\"b\":{\"N\":\"5\"}}"},
        {"SET n = :one - :ten", "{}", "{\"n\":{\"N\":\"-9\"}}"},
        {"SET n = if_not_exists(n, :one) + :two", "{}", "{\"n\":{\"N\":\"3\"}}"},
        {"SET n = (n + :one)", "{\"n\":{\"N\":\"0.5\"}}", "{\"n\":{\"N\":\"1.5\"}}"},
        {"SET l = list_append(l, :l)", "{\"l\":{\"L\":[{\"N\":\"1\"}]}}",
         "{\"l\":{\"L\":[{\"N\":\"1\"},{\"S\":\"x\"}]}}"},
        {"SET l = list_append(if_not_exists(l, :l), :l)", "{}",
         "{\"l\":{\"L\":[{\"S\":\"x\"},{\"S\":\"x\"}]}}"},
        {"SET l[9] = :two, l[5] = :one", "{\"l\":{\"L\":[{\"N\":\"0\"}]}}",
         "{\"l\":{\"L\":[{\"N\":\"0\"},{\"N\":\"1\"},{\"N\":\"2\"}]}}"},
        {"REMOVE l[0], l[1]", "{\"l\":{\"L\":[{\"N\":\"0\"},{\"N\":\"1\"},{\"N\":\"2\"}]}}",
         "{\"l\":{\"L\":[{\"N\":\"2\"}]}}"},
        {"REMOVE l[1] SET l[2] = :ten",
         "{\"l\":{\"L\":[{\"N\":\"0\"},{\"N\":\"1\"},{\"N\":\"2\"}]}}",
         "{\"l\":{\"L\":[{\"N\":\"0\"},{\"N\":\"10\"}]}}"},
        {"REMOVE a, absent", "{\"a\":{\"S\":\"\"}}", "{}"},
        {"SET m.k = :s", "{\"m\":{\"M\":{}}}", "{\"m\":{\"M\":{\"k\":{\"S\":\"abc\"}}}}"},
        {"ADD n :one", "{}", "{\"n\":{\"N\":\"1\"}}"},
        {"ADD n :one", "{\"n\":{\"N\":\"9.5\"}}", "{\"n\":{\"N\":\"10.5\"}}"},
        {"ADD tags :ss", "{\"tags\":{\"SS\":[\"a\",\"b\"]}}",
         "{\"tags\":{\"SS\":[\"a\",\"b\",\"c\"]}}"},
        {"DELETE tags :ss", "{\"tags\":{\"SS\":[\"a\",\"b\"]}}", "{\"tags\":{\"SS\":[\"a\"]}}"},
        {"DELETE tags :ss", "{\"tags\":{\"SS\":[\"b\"]}}", "{}"},
        {"DELETE tags :ss", "{}", "{}"},
        {"ADD n :one SET a = n", "{\"n\":{\"N\":\"1\"}}",
         "{\"n\":{\"N\":\"2\"},\"a\":{\"N\":\"1\"}}"},
        {"SET a = b", "{}",
         "The provided expression refers to an attribute that does not exist in the item"},
        {"SET a = a + :one", "{\"a\":{\"S\":\"x\"}}",
         "An operand in the update expression has an incorrect data type"},
        {"ADD a :one", "{\"a\":{\"S\":\"x\"}}",
         "An operand in the update expression has an incorrect data type"},
        {"SET m.k = :s", "{}", BAD_PATH},
        {"SET m[0] = :s", "{\"m\":{\"M\":{}}}", BAD_PATH},
        {"REMOVE m.k.x", "{\"m\":{\"M\":{}}}", BAD_PATH},
        {"SET a", "{}", INVALID "Syntax error; token: \"<EOF>\", near: \"a\""},
        {"FOO a", "{}", INVALID "Syntax error; token: \"FOO\", near: \"FOO a\""},
        {"SET _123 = :s", "{}", INVALID "Syntax error; token: \"_\", near: \"SET _123\""},
        {"SET a = :one + :one + :one", "{}",
         INVALID "Syntax error; token: \"+\", near: \":one + :one\""},
        {"SET a = :one SET b = :one", "{}",
         INVALID "The \"SET\" section can only be used once in an update expression;"},
        {"SET a = size(b)", "{}",
         INVALID "The function is not allowed in an update expression; function: size"},
        {"SET a = foo(b)", "{}", INVALID "Invalid function name; function: foo"},
        {"SET a = list_append(list_append(a, b), c)", "{}",
         INVALID "The function is not allowed to be used this way in an expression; function:"
                 " list_append"},
        {"SET a = :one, a.b = :one", "{}",
         INVALID "Two document paths overlap with each other; must remove or rewrite one of these"
                 " paths; path one: [a], path two: [a, b]"},
        {"ADD a :s", "{}",
         INVALID "Incorrect operand type for operator or function; operator: ADD, operand type:"
                 " STRING"},
        {"DELETE a :one", "{}",
         INVALID "Incorrect operand type for operator or function; operator: DELETE, operand type:"
                 " NUMBER"},
        {"SET a = :s + :one", "{}",
         INVALID "Incorrect operand type for operator or function; operator or function: +, operand"
                 " type: S"},
        {"SET a = if_not_exists(:s, :s)", "{}",
         INVALID "Operator or function requires a document path; operator or function:"
                 " if_not_exists"},
        {"SET year = :s", "{}",
         INVALID "Attribute name is a reserved keyword; reserved keyword: year"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct scope scope = {0};
        struct update update;
        struct error err = {0};
        struct buf text = {0};
        json_t *item = parse(cases[i].before);

        open_scope(&scope);
        if (update_parse(&scope, slice_z(cases[i].text), &update, &err) != 0 ||
            update_apply(&update, item, true, &err) != 0) {
            check_text(cases[i].text, cases[i].after, slice_z(err.message));
        } else {
            json_to_buf(item, &text);
            check_text(cases[i].text, cases[i].after, buf_slice(&text));
        }
        buf_close(&text);
        json_decref(item);
        scope_close(&scope);
    }
}

static void placeholders_follow_the_table(void **state)
{
    static const struct {
        const char *says, *names, *values, *expression, *message;
        bool write;
    } cases[] = {
        {"all used", "{\"#a\":\"x\"}", "{\":v\":{\"S\":\"\"}}", "#a = :v", NULL, false},
        {"no names", "{}", NULL, NULL, "ExpressionAttributeNames must not be empty", false},
        {"no values", NULL, "{}", NULL, "ExpressionAttributeValues must not be empty", false},
        {"no values in a write", NULL, "{}", NULL,
         "1 validation error detected: ExpressionAttributeValues must not be empty", true},
        {"a bad name", "{\"a\":\"x\"}", NULL, NULL,
         "ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\"", false},
        {"a bad value", NULL, "{\":v\":{}}", NULL,
         "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must"
         " contain exactly one of the supported datatypes for key :v",
         false},
        {"unused names come first", "{\"#a\":\"x\",\"#b\":\"y\"}", "{\":v\":{\"S\":\"\"}}",
         "attribute_exists(z)",
         "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}", false},
        {"an unused value", NULL, "{\":v\":{\"S\":\"\"},\":w\":{\"S\":\"\"}}", "z = :w",
         "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}", false},
        {"in a write", NULL, "{\":v\":{\"S\":\"\"}}", "attribute_exists(z)",
         "1 validation error detected: Value provided in ExpressionAttributeValues unused in"
         " expressions: keys: {:v}",
         true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *names = cases[i].names == NULL ? NULL : parse(cases[i].names);
        json_t *values = cases[i].values == NULL ? NULL : parse(cases[i].values);
        struct scope scope = {.write = cases[i].write};
        struct node *root;
        struct error err = {0};
        int rc = scope_set(&scope, names, values, &err);

        if (rc == 0 && cases[i].expression != NULL) {
            rc = condition_parse(&scope, "ConditionExpression", slice_z(cases[i].expression), &root,
                                 &err);
        }
        if (rc == 0) {
            rc = scope_check_unused(&scope, &err);
        }
        check_text(cases[i].says, cases[i].message == NULL ? "" : cases[i].message,
                   slice_z(err.message));
        json_decref(names);
        json_decref(values);
        scope_close(&scope);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_follow_the_table),
        cmocka_unit_test(bad_conditions_get_dynamodbs_words),
        cmocka_unit_test(sizes_and_depths_are_bounded),
        cmocka_unit_test(projections_follow_the_table),
        cmocka_unit_test(updates_follow_the_table),
        cmocka_unit_test(placeholders_follow_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
