#include "services/iam/evaluate.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/slice.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define POLICY_BYTES_MAX 131072

/* Form. */

static int malformed(struct error *err, const char *text)
{
    return error_api(err, "MalformedPolicyDocument", "%s", text);
}

static bool texts(const json_t *value)
{
    json_t *element;
    size_t index;

    if (json_is_string(value)) {
        return true;
    }
    json_array_foreach(value, index, element)
    {
        if (!json_is_string(element)) {
            return false;
        }
    }
    return json_is_array(value);
}

enum test { TEST_EQUAL, TEST_CASE, TEST_LIKE, TEST_ORDER, TEST_ADDRESS };

static const struct operator
{
    const char *name;
    enum test test;
    bool negated;
    bool dates;
    const char *order; /* Which of "<=>" hold. */
}
operators[] = {
    {"StringEquals", TEST_EQUAL, false, false, NULL},
    {"StringNotEquals", TEST_EQUAL, true, false, NULL},
    {"StringEqualsIgnoreCase", TEST_CASE, false, false, NULL},
    {"StringNotEqualsIgnoreCase", TEST_CASE, true, false, NULL},
    {"StringLike", TEST_LIKE, false, false, NULL},
    {"StringNotLike", TEST_LIKE, true, false, NULL},
    {"ArnEquals", TEST_LIKE, false, false, NULL},
    {"ArnLike", TEST_LIKE, false, false, NULL},
    {"ArnNotEquals", TEST_LIKE, true, false, NULL},
    {"ArnNotLike", TEST_LIKE, true, false, NULL},
    {"Bool", TEST_CASE, false, false, NULL},
    {"NumericEquals", TEST_ORDER, false, false, "="},
    {"NumericNotEquals", TEST_ORDER, true, false, "="},
    {"NumericLessThan", TEST_ORDER, false, false, "<"},
    {"NumericLessThanEquals", TEST_ORDER, false, false, "<="},
    {"NumericGreaterThan", TEST_ORDER, false, false, ">"},
    {"NumericGreaterThanEquals", TEST_ORDER, false, false, ">="},
    {"DateEquals", TEST_ORDER, false, true, "="},
    {"DateNotEquals", TEST_ORDER, true, true, "="},
    {"DateLessThan", TEST_ORDER, false, true, "<"},
    {"DateLessThanEquals", TEST_ORDER, false, true, "<="},
    {"DateGreaterThan", TEST_ORDER, false, true, ">"},
    {"DateGreaterThanEquals", TEST_ORDER, false, true, ">="},
    {"IpAddress", TEST_ADDRESS, false, false, NULL},
    {"NotIpAddress", TEST_ADDRESS, true, false, NULL},
};

/* "ForAnyValue:StringLikeIfExists" without what stands around the operator: our request values are
 * single. NULL when nobody knows it; Null has no row of its own. */
static const struct operator* operator_of(const char *name, bool *if_exists, bool *null_test)
{
    struct slice base = slice_z(name);

    if (slice_starts(base, SLICE_LIT("ForAnyValue:")) ||
        slice_starts(base, SLICE_LIT("ForAllValues:"))) {
        base = slice_sub(base, slice_find(base, ':') + 1, base.bytes);
    }
    *if_exists = slice_ends(base, SLICE_LIT("IfExists"));
    base = *if_exists ? slice_sub(base, 0, base.bytes - 8) : base;
    *null_test = slice_equal_z(base, "Null") && !*if_exists;
    for (size_t i = 0; i < COUNT_OF(operators); i++) {
        if (slice_equal_z(base, operators[i].name)) {
            return &operators[i];
        }
    }
    return NULL;
}

/* One value, or a list of values. */
static bool condition_values(const json_t *values)
{
    const json_t *element;
    size_t index;

    if (json_is_string(values) || json_is_boolean(values) || json_is_number(values)) {
        return true;
    }
    json_array_foreach(values, index, element)
    {
        if (!json_is_string(element) && !json_is_boolean(element) && !json_is_number(element)) {
            return false;
        }
    }
    return json_is_array(values);
}

/* Whatever could not be judged later must not get in: a Deny would then hold for nothing. */
static bool conditions_are_known(const json_t *condition)
{
    const char *name, *key;
    json_t *keys, *values;
    bool if_exists, null_test;

    if (condition == NULL) {
        return true;
    }
    json_object_foreach((json_t *)(uintptr_t)condition, name, keys)
    {
        if ((operator_of(name, &if_exists, &null_test) == NULL && !null_test) ||
            !json_is_object(keys)) {
            return false;
        }
        json_object_foreach(keys, key, values)
        {
            if (!condition_values(values)) {
                return false;
            }
        }
    }
    return json_is_object(condition);
}

/* "*", or {"AWS": texts, "Service": texts}. */
static bool principal_is_known(const json_t *principal)
{
    const char *kind;
    json_t *names;

    if (json_is_string(principal)) {
        return strcmp(json_string_value(principal), "*") == 0;
    }
    json_object_foreach((json_t *)(uintptr_t)principal, kind, names)
    {
        if ((strcmp(kind, "AWS") != 0 && strcmp(kind, "Service") != 0 &&
             strcmp(kind, "Federated") != 0 && strcmp(kind, "CanonicalUser") != 0) ||
            !texts(names)) {
            return false;
        }
    }
    return json_is_object(principal) && json_object_size(principal) > 0;
}

static int check_statement(const json_t *statement, bool trust, struct error *err)
{
    const char *effect = json_string_value(json_object_get(statement, "Effect"));
    bool principal = json_object_get(statement, "Principal") != NULL ||
                     json_object_get(statement, "NotPrincipal") != NULL;
    const json_t *action = json_object_get(statement, "Action");
    const json_t *resource = json_object_get(statement, "Resource");

    if ((action != NULL && json_object_get(statement, "NotAction") != NULL) ||
        (resource != NULL && json_object_get(statement, "NotResource") != NULL) ||
        (json_object_get(statement, "Principal") != NULL &&
         json_object_get(statement, "NotPrincipal") != NULL)) {
        return malformed(err, "Syntax errors in policy.");
    }
    action = action != NULL ? action : json_object_get(statement, "NotAction");
    resource = resource != NULL ? resource : json_object_get(statement, "NotResource");
    if (!json_is_object(statement)) {
        return malformed(err, "Syntax errors in policy.");
    }
    if (effect == NULL || (strcmp(effect, "Allow") != 0 && strcmp(effect, "Deny") != 0)) {
        return malformed(err, "Syntax errors in policy.");
    }
    if (!texts(action)) {
        return malformed(err, "Policy statement must contain actions.");
    }
    if (trust && !principal) {
        return malformed(err, "Missing required field Principal");
    }
    if (trust && resource != NULL) {
        return malformed(err, "Has prohibited field Resource");
    }
    if (!trust && principal) {
        return malformed(err, "Policy document should not specify a principal.");
    }
    if (!trust && !texts(resource)) {
        return malformed(err, "Policy statement must contain resources.");
    }
    if (trust && !principal_is_known(json_object_get(statement, "Principal") != NULL
                                         ? json_object_get(statement, "Principal")
                                         : json_object_get(statement, "NotPrincipal"))) {
        return malformed(err, "Invalid principal in policy");
    }
    if (!conditions_are_known(json_object_get(statement, "Condition"))) {
        return malformed(err, "Syntax errors in policy.");
    }
    return 0;
}

size_t policy_chars(const char *text)
{
    size_t chars = 0;

    for (; *text != '\0'; text++) {
        chars += strchr(" \t\r\n", *text) == NULL;
    }
    return chars;
}

int policy_parse(const char *text, bool trust, json_t **policy, struct error *err)
{
    json_error_t problem;
    json_t *json =
        strlen(text) > POLICY_BYTES_MAX ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    const char *version = json_string_value(json_object_get(json, "Version"));
    json_t *statements = json_object_get(json, "Statement");
    int rc = 0;

    if (policy != NULL) {
        *policy = NULL;
    }
    if (!json_is_object(json)) {
        rc = malformed(err, "This policy contains invalid Json");
    } else if (json_object_get(json, "Version") != NULL &&
               (version == NULL ||
                (strcmp(version, "2012-10-17") != 0 && strcmp(version, "2008-10-17") != 0))) {
        rc = malformed(err, "Syntax errors in policy.");
    } else if (json_is_object(statements)) {
        rc = check_statement(statements, trust, err);
    } else if (!json_is_array(statements) || json_array_size(statements) == 0) {
        rc = malformed(err, "Syntax errors in policy.");
    } else {
        json_t *statement;
        size_t index;

        json_array_foreach(statements, index, statement)
        {
            rc = rc != 0 ? rc : check_statement(statement, trust, err);
        }
    }
    if (rc == 0 && policy != NULL) {
        *policy = json;
        return 0;
    }
    json_decref(json);
    return rc;
}

/* Matching. */

static const char *variable(const struct policy_request *request, const char *name)
{
    for (size_t i = 0; i < request->variable_count; i++) {
        if (strcasecmp(request->variables[i].name, name) == 0) {
            return request->variables[i].value;
        }
    }
    return NULL;
}

/* ${aws:username} and so on put in; one that is unknown stays and matches nothing. */
static void substitute(const struct policy_request *request, const char *text, struct buf *out)
{
    while (*text != '\0') {
        const char *end = text[0] == '$' && text[1] == '{' ? strchr(text, '}') : NULL;
        char name[128];
        const char *value = NULL;

        if (end != NULL && (size_t)(end - text - 2) < sizeof(name)) {
            memcpy(name, text + 2, (size_t)(end - text - 2));
            name[end - text - 2] = '\0';
            value = variable(request, name);
        }
        if (value != NULL) {
            buf_add_z(out, value);
            text = end + 1;
        } else {
            buf_add_byte(out, *text++);
        }
    }
}

static bool action_matches(const char *pattern, const char *action)
{
    struct buf wanted = {0}, have = {0};
    bool same;

    for (const char *p = pattern; *p != '\0'; p++) {
        buf_add_byte(&wanted, *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p);
    }
    for (const char *p = action; *p != '\0'; p++) {
        buf_add_byte(&have, *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p);
    }
    same = slice_glob(buf_slice(&have), buf_slice(&wanted));
    buf_close(&wanted);
    buf_close(&have);
    return same;
}

/* Segment by segment: a wildcard spans '/' but not ':' of the first five. */
static bool resource_matches(const struct policy_request *request, const char *pattern)
{
    struct buf text = {0};
    struct slice want, have = slice_z(request->resource), want_part, have_part;
    bool same = true;

    if (strcmp(pattern, "*") == 0) {
        return true;
    }
    substitute(request, pattern, &text);
    want = buf_slice(&text);
    for (int segment = 0; segment < 5 && same; segment++) {
        if (!slice_next(&want, ':', &want_part) || !slice_next(&have, ':', &have_part)) {
            same = false;
        } else {
            same = slice_glob(have_part, want_part);
        }
    }
    same = same && slice_glob(have, want);
    buf_close(&text);
    return same;
}

typedef bool match_fn(const struct policy_request *request, const char *pattern);

static bool matches_action(const struct policy_request *request, const char *pattern)
{
    return action_matches(pattern, request->action);
}

static bool any_of(const struct policy_request *request, const json_t *list, match_fn *match)
{
    json_t *element;
    size_t index;

    if (json_is_string(list)) {
        return match(request, json_string_value(list));
    }
    json_array_foreach(list, index, element)
    {
        if (json_is_string(element) && match(request, json_string_value(element))) {
            return true;
        }
    }
    return false;
}

/* "arn:aws:iam::123:root" and "123" name every principal of the account. */
static bool matches_principal(const struct policy_request *request, const char *pattern)
{
    const char *account;

    if (strcmp(pattern, "*") == 0) {
        return request->principal != NULL;
    }
    if (request->principal == NULL) {
        return false;
    }
    if (strcmp(pattern, request->principal) == 0 ||
        (request->principal_role != NULL && strcmp(pattern, request->principal_role) == 0)) {
        return true;
    }
    account = strlen(pattern) == 12 ? pattern
              : strncmp(pattern, "arn:aws:iam::", 13) == 0 && strlen(pattern) == 30 &&
                      strcmp(pattern + 25, ":root") == 0
                  ? pattern + 13
                  : NULL;
    return account != NULL && strstr(request->principal, "::") != NULL &&
           strncmp(strstr(request->principal, "::") + 2, account, 12) == 0;
}

static bool matches_service(const struct policy_request *request, const char *pattern)
{
    return request->service != NULL &&
           (strcmp(pattern, "*") == 0 || strcmp(pattern, request->service) == 0);
}

static bool is_principal(const struct policy_request *request, const json_t *principal)
{
    if (json_is_string(principal)) {
        return strcmp(json_string_value(principal), "*") == 0;
    }
    return any_of(request, json_object_get(principal, "AWS"), matches_principal) ||
           any_of(request, json_object_get(principal, "Service"), matches_service);
}

static bool principal_holds(const struct policy_request *request, const json_t *statement)
{
    const json_t *principal = json_object_get(statement, "Principal");
    const json_t *not_principal = json_object_get(statement, "NotPrincipal");

    if (not_principal != NULL) {
        return !is_principal(request, not_principal);
    }
    return principal == NULL /* An identity policy. */ || is_principal(request, principal);
}

/* Conditions. */

static bool in_network(const char *address, const char *network)
{
    char text[64];
    const char *slash = strchr(network, '/');
    struct in_addr have, want;
    int64_t bits = 32;
    uint32_t mask;

    if ((slash == NULL ? strlen(network) : (size_t)(slash - network)) >= sizeof(text)) {
        return false;
    }
    snprintf(text, sizeof(text), "%.*s",
             (int)(slash == NULL ? (long)strlen(network) : slash - network), network);
    if (inet_pton(AF_INET, address, &have) != 1 || inet_pton(AF_INET, text, &want) != 1 ||
        (slash != NULL && text_to_i64(slice_z(slash + 1), 0, 32, &bits, NULL) != 0)) {
        return false;
    }
    mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    return (ntohl(have.s_addr) & mask) == (ntohl(want.s_addr) & mask);
}

/* -1, 0, 1; 2 when one of them is no number or time. */
static int compare(const char *have, const char *want, bool dates)
{
    double a, b;
    int64_t a_ms, b_ms;

    if (dates) {
        if (time_parse(slice_z(have), &a_ms, NULL) != 0 ||
            time_parse(slice_z(want), &b_ms, NULL) != 0) {
            return 2;
        }
        return (a_ms > b_ms) - (a_ms < b_ms);
    }
    if (text_to_double(slice_z(have), &a, NULL) != 0 ||
        text_to_double(slice_z(want), &b, NULL) != 0) {
        return 2;
    }
    return (a > b) - (a < b);
}

static bool value_holds(const struct operator* operator, const char * have, const char *want)
{
    int order;

    switch (operator->test) {
    case TEST_EQUAL:
        return strcmp(have, want) == 0;
    case TEST_CASE:
        return strcasecmp(have, want) == 0;
    case TEST_LIKE:
        return slice_glob(slice_z(have), slice_z(want));
    case TEST_ORDER:
        order = compare(have, want, operator->dates);
        return order != 2 && strchr(operator->order, "<=>"[order + 1]) != NULL;
    case TEST_ADDRESS:
        return in_network(have, want);
    }
    return false;
}

/* One key of one operator: any of its values; a negated operator wants none of them. */
static bool key_holds(const struct policy_request *request, const struct operator* operator,
                      bool if_exists, const char *key, const json_t *wanted)
{
    const char *have = variable(request, key);
    const json_t *element = wanted;
    size_t count = json_is_array(wanted) ? json_array_size(wanted) : 1;

    if (have == NULL) {
        return if_exists || operator->negated;
    }
    for (size_t i = 0; i < count; i++) {
        struct buf text = {0};
        bool holds;

        element = json_is_array(wanted) ? json_array_get(wanted, i) : wanted;
        if (json_is_string(element)) {
            substitute(request, json_string_value(element), &text);
        } else if (json_is_integer(element)) {
            buf_add_i64(&text, json_integer_value(element));
        } else if (json_is_real(element)) {
            buf_add_double(&text, json_real_value(element));
        } else {
            buf_add_z(&text, json_is_true(element) ? "true" : "false");
        }
        holds = value_holds(operator, have, buf_z(&text));
        buf_close(&text);
        if (holds) {
            return !operator->negated;
        }
    }
    return operator->negated;
}

static bool operator_holds(const struct policy_request *request, const char *name, json_t *keys)
{
    bool if_exists, null_test;
    const struct operator* operator= operator_of(name, &if_exists, &null_test);
    const char *key;
    json_t *wanted;

    if (operator== NULL && !null_test) {
        return false;
    }
    json_object_foreach(keys, key, wanted)
    {
        bool must_be_absent =
            json_is_true(wanted) ||
            (json_is_string(wanted) && strcasecmp(json_string_value(wanted), "true") == 0);
        bool holds = null_test ? (variable(request, key) == NULL) == must_be_absent
                               : key_holds(request, operator, if_exists, key, wanted);

        if (!holds) {
            return false;
        }
    }
    return true;
}

static bool conditions_hold(const struct policy_request *request, const json_t *statement)
{
    json_t *condition = json_object_get(statement, "Condition");
    const char *name;
    json_t *keys;

    json_object_foreach(condition, name, keys)
    {
        if (!operator_holds(request, name, keys)) {
            return false;
        }
    }
    return true;
}

static bool statement_matches(const struct policy_request *request, const json_t *statement)
{
    const json_t *action = json_object_get(statement, "Action");
    const json_t *not_action = json_object_get(statement, "NotAction");
    const json_t *resource = json_object_get(statement, "Resource");
    const json_t *not_resource = json_object_get(statement, "NotResource");

    if (action != NULL ? !any_of(request, action, matches_action)
                       : any_of(request, not_action, matches_action)) {
        return false;
    }
    if (resource != NULL && !any_of(request, resource, resource_matches)) {
        return false;
    }
    if (not_resource != NULL && any_of(request, not_resource, resource_matches)) {
        return false;
    }
    return principal_holds(request, statement) && conditions_hold(request, statement);
}

enum policy_verdict policy_evaluate(const json_t *policy, const struct policy_request *request)
{
    const json_t *statements = json_object_get(policy, "Statement");
    size_t count = json_is_array(statements) ? json_array_size(statements) : 1;
    enum policy_verdict verdict = POLICY_SILENT;

    for (size_t i = 0; i < count; i++) {
        const json_t *statement =
            json_is_array(statements) ? json_array_get(statements, i) : statements;
        const char *effect = json_string_value(json_object_get(statement, "Effect"));

        if (effect == NULL || !statement_matches(request, statement)) {
            continue;
        }
        if (strcmp(effect, "Deny") == 0) {
            return POLICY_DENY;
        }
        verdict = POLICY_ALLOW;
    }
    return verdict;
}
