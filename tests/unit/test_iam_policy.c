/* IAM policies: which are well-formed, and what they say about a request. */
#include "check.h"
#include "services/iam/evaluate.h"

#define STATEMENT(text) "{\"Version\":\"2012-10-17\",\"Statement\":[" text "]}"
#define ALLOW(rest) "{\"Effect\":\"Allow\"," rest "}"
#define DENY(rest) "{\"Effect\":\"Deny\"," rest "}"
#define ALL "\"Action\":\"*\",\"Resource\":\"*\""

static const struct policy_variable variables[] = {
    {"aws:SourceIp", "10.0.7.9"},
    {"aws:username", "ann"},
    {"aws:CurrentTime", "2026-11-24T00:00:00Z"},
    {"aws:SecureTransport", "false"},
    {"aws:userid", NULL},
    {"aws:PrincipalArn", "arn:aws:iam::000000000000:user/ann"},
    {"ec2:Cpus", "4"},
};

#define TABLE "arn:aws:dynamodb:us-east-2:000000000000:table/Life"
#define CONDITION(text) STATEMENT(ALLOW(ALL ",\"Condition\":{" text "}"))

static const struct {
    const char *says, *policy, *action, *resource;
    enum policy_verdict verdict;
} rows[] = {
    {"everything", STATEMENT(ALLOW(ALL)), "ec2:RunInstances", "*", POLICY_ALLOW},
    {"one statement without a list", "{\"Statement\":" ALLOW(ALL) "}", "a:B", "*", POLICY_ALLOW},
    {"another action", STATEMENT(ALLOW("\"Action\":\"ec2:StopInstances\",\"Resource\":\"*\"")),
     "ec2:RunInstances", "*", POLICY_SILENT},
    {"actions ignore case", STATEMENT(ALLOW("\"Action\":\"EC2:runinstances\",\"Resource\":\"*\"")),
     "ec2:RunInstances", "*", POLICY_ALLOW},
    {"a wildcard inside", STATEMENT(ALLOW("\"Action\":\"ec2:Describe*\",\"Resource\":\"*\"")),
     "ec2:DescribeInstances", "*", POLICY_ALLOW},
    {"one unknown character",
     STATEMENT(ALLOW("\"Action\":\"ec2:Run?nstances\",\"Resource\":\"*\"")), "ec2:RunInstances",
     "*", POLICY_ALLOW},
    {"one of a list", STATEMENT(ALLOW("\"Action\":[\"s3:*\",\"ec2:*\"],\"Resource\":[\"*\"]")),
     "ec2:RunInstances", "*", POLICY_ALLOW},
    {"not this action", STATEMENT(ALLOW("\"NotAction\":\"iam:*\",\"Resource\":\"*\"")),
     "ec2:RunInstances", "*", POLICY_ALLOW},
    {"not this action, and it is", STATEMENT(ALLOW("\"NotAction\":\"iam:*\",\"Resource\":\"*\"")),
     "iam:CreateUser", "*", POLICY_SILENT},
    {"a deny after an allow",
     STATEMENT(ALLOW(ALL) "," DENY("\"Action\":\"ec2:*\",\"Resource\":\"*\"")), "ec2:RunInstances",
     "*", POLICY_DENY},
    {"a deny before an allow",
     STATEMENT(DENY("\"Action\":\"ec2:*\",\"Resource\":\"*\"") "," ALLOW(ALL)), "ec2:RunInstances",
     "*", POLICY_DENY},
    {"a deny of another action",
     STATEMENT(DENY("\"Action\":\"ec2:*\",\"Resource\":\"*\"") "," ALLOW(ALL)), "dynamodb:GetItem",
     TABLE, POLICY_ALLOW},
    {"the table", STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"" TABLE "\"")),
     "dynamodb:GetItem", TABLE, POLICY_ALLOW},
    {"another table", STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"" TABLE "2\"")),
     "dynamodb:GetItem", TABLE, POLICY_SILENT},
    {"resources heed case",
     STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"arn:aws:dynamodb:*:*:table/life\"")),
     "dynamodb:GetItem", TABLE, POLICY_SILENT},
    {"any table",
     STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"arn:aws:dynamodb:*:*:table/*\"")),
     "dynamodb:GetItem", TABLE, POLICY_ALLOW},
    {"a wildcard stays in its segment",
     STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"arn:aws:*:table/Life\"")), "dynamodb:GetItem",
     TABLE, POLICY_SILENT},
    {"a named table does not allow '*'",
     STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"" TABLE "\"")), "dynamodb:ListTables", "*",
     POLICY_SILENT},
    {"not this table", STATEMENT(ALLOW("\"Action\":\"*\",\"NotResource\":\"" TABLE "\"")),
     "dynamodb:GetItem", TABLE, POLICY_SILENT},
    {"not another table", STATEMENT(ALLOW("\"Action\":\"*\",\"NotResource\":\"" TABLE "2\"")),
     "dynamodb:GetItem", TABLE, POLICY_ALLOW},
    {"a variable in a resource",
     STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"arn:aws:iam::*:user/${aws:username}\"")),
     "iam:GetUser", "arn:aws:iam::000000000000:user/ann", POLICY_ALLOW},
    {"a variable of somebody else",
     STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"arn:aws:iam::*:user/${aws:username}\"")),
     "iam:GetUser", "arn:aws:iam::000000000000:user/bob", POLICY_SILENT},
    {"an unknown variable",
     STATEMENT(ALLOW("\"Action\":\"*\",\"Resource\":\"arn:aws:iam::*:user/${aws:nothing}\"")),
     "iam:GetUser", "arn:aws:iam::000000000000:user/ann", POLICY_SILENT},
    {"StringEquals", CONDITION("\"StringEquals\":{\"aws:username\":\"ann\"}"), "a:B", "*",
     POLICY_ALLOW},
    {"keys ignore case", CONDITION("\"StringEquals\":{\"AWS:UserName\":\"ann\"}"), "a:B", "*",
     POLICY_ALLOW},
    {"StringEquals, one of", CONDITION("\"StringEquals\":{\"aws:username\":[\"bob\",\"ann\"]}"),
     "a:B", "*", POLICY_ALLOW},
    {"StringEquals, none of", CONDITION("\"StringEquals\":{\"aws:username\":[\"bob\",\"Ann\"]}"),
     "a:B", "*", POLICY_SILENT},
    {"StringEqualsIgnoreCase", CONDITION("\"StringEqualsIgnoreCase\":{\"aws:username\":\"ANN\"}"),
     "a:B", "*", POLICY_ALLOW},
    {"StringNotEquals", CONDITION("\"StringNotEquals\":{\"aws:username\":[\"bob\",\"eve\"]}"),
     "a:B", "*", POLICY_ALLOW},
    {"StringNotEquals, one of",
     CONDITION("\"StringNotEquals\":{\"aws:username\":[\"bob\",\"ann\"]}"), "a:B", "*",
     POLICY_SILENT},
    {"StringLike", CONDITION("\"StringLike\":{\"aws:username\":\"a*\"}"), "a:B", "*", POLICY_ALLOW},
    {"StringNotLike", CONDITION("\"StringNotLike\":{\"aws:username\":\"a*\"}"), "a:B", "*",
     POLICY_SILENT},
    {"an absent key", CONDITION("\"StringEquals\":{\"aws:userid\":\"x\"}"), "a:B", "*",
     POLICY_SILENT},
    {"an absent key, IfExists", CONDITION("\"StringEqualsIfExists\":{\"aws:userid\":\"x\"}"), "a:B",
     "*", POLICY_ALLOW},
    {"an absent key, negated", CONDITION("\"StringNotEquals\":{\"aws:userid\":\"x\"}"), "a:B", "*",
     POLICY_ALLOW},
    {"Null, absent", CONDITION("\"Null\":{\"aws:userid\":\"true\"}"), "a:B", "*", POLICY_ALLOW},
    {"Null, present", CONDITION("\"Null\":{\"aws:username\":true}"), "a:B", "*", POLICY_SILENT},
    {"ForAnyValue", CONDITION("\"ForAnyValue:StringEquals\":{\"aws:username\":\"ann\"}"), "a:B",
     "*", POLICY_ALLOW},
    {"ArnLike", CONDITION("\"ArnLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::*:user/*\"}"), "a:B",
     "*", POLICY_ALLOW},
    {"IpAddress", CONDITION("\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/16\"}"), "a:B", "*",
     POLICY_ALLOW},
    {"IpAddress, all", CONDITION("\"IpAddress\":{\"aws:SourceIp\":\"0.0.0.0/0\"}"), "a:B", "*",
     POLICY_ALLOW},
    {"IpAddress, elsewhere", CONDITION("\"IpAddress\":{\"aws:SourceIp\":\"10.1.0.0/16\"}"), "a:B",
     "*", POLICY_SILENT},
    {"IpAddress, broken", CONDITION("\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/40\"}"), "a:B", "*",
     POLICY_SILENT},
    {"NotIpAddress", CONDITION("\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.7.9\"}"), "a:B", "*",
     POLICY_SILENT},
    {"Bool", CONDITION("\"Bool\":{\"aws:SecureTransport\":\"true\"}"), "a:B", "*", POLICY_SILENT},
    {"Bool as a literal", CONDITION("\"Bool\":{\"aws:SecureTransport\":false}"), "a:B", "*",
     POLICY_ALLOW},
    {"DateLessThan", CONDITION("\"DateLessThan\":{\"aws:CurrentTime\":\"2027-01-01T00:00:00Z\"}"),
     "a:B", "*", POLICY_ALLOW},
    {"DateGreaterThan",
     CONDITION("\"DateGreaterThan\":{\"aws:CurrentTime\":\"2027-01-01T00:00:00Z\"}"), "a:B", "*",
     POLICY_SILENT},
    {"NumericLessThanEquals", CONDITION("\"NumericLessThanEquals\":{\"ec2:Cpus\":\"4\"}"), "a:B",
     "*", POLICY_ALLOW},
    {"a number as a literal", CONDITION("\"NumericGreaterThan\":{\"ec2:Cpus\":4}"), "a:B", "*",
     POLICY_SILENT},
    {"NumericNotEquals", CONDITION("\"NumericNotEquals\":{\"ec2:Cpus\":[4,5]}"), "a:B", "*",
     POLICY_SILENT},
    {"two operators, both hold",
     CONDITION(
         "\"StringLike\":{\"aws:username\":\"a*\"},\"Bool\":{\"aws:SecureTransport\":\"false\"}"),
     "a:B", "*", POLICY_ALLOW},
    {"two operators, one holds",
     CONDITION(
         "\"StringLike\":{\"aws:username\":\"a*\"},\"Bool\":{\"aws:SecureTransport\":\"true\"}"),
     "a:B", "*", POLICY_SILENT},
};

static void policies_say_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct policy_request request = {.action = rows[i].action,
                                               .resource = rows[i].resource,
                                               .variables = variables,
                                               .variable_count = COUNT_OF(variables)};
        json_t *policy = NULL;
        struct error err = {0};

        check_int(rows[i].says, 0, policy_parse(rows[i].policy, false, &policy, &err));
        check_int(rows[i].says, rows[i].verdict, policy_evaluate(policy, &request));
        json_decref(policy);
    }
}

#define TRUST(principal) STATEMENT(ALLOW("\"Action\":\"sts:AssumeRole\"," principal))
#define ANN "arn:aws:iam::000000000000:user/ann"
#define SESSION "arn:aws:sts::000000000000:assumed-role/web/i-1"
#define WEB "arn:aws:iam::000000000000:role/web"

static const struct {
    const char *says, *policy, *principal, *role, *service;
    enum policy_verdict verdict;
} trusts[] = {
    {"a service", TRUST("\"Principal\":{\"Service\":\"ec2.amazonaws.com\"}"), NULL, NULL,
     "ec2.amazonaws.com", POLICY_ALLOW},
    {"another service", TRUST("\"Principal\":{\"Service\":[\"a.b\"]}"), NULL, NULL,
     "ec2.amazonaws.com", POLICY_SILENT},
    {"a user is no service", TRUST("\"Principal\":{\"Service\":\"ec2.amazonaws.com\"}"), ANN, NULL,
     NULL, POLICY_SILENT},
    {"the user", TRUST("\"Principal\":{\"AWS\":\"" ANN "\"}"), ANN, NULL, NULL, POLICY_ALLOW},
    {"another user", TRUST("\"Principal\":{\"AWS\":\"" ANN "e\"}"), ANN, NULL, NULL, POLICY_SILENT},
    {"the account by number", TRUST("\"Principal\":{\"AWS\":\"000000000000\"}"), ANN, NULL, NULL,
     POLICY_ALLOW},
    {"the account by its root", TRUST("\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:root\"}"),
     ANN, NULL, NULL, POLICY_ALLOW},
    {"another account", TRUST("\"Principal\":{\"AWS\":\"111111111111\"}"), ANN, NULL, NULL,
     POLICY_SILENT},
    {"everybody", TRUST("\"Principal\":\"*\""), ANN, NULL, NULL, POLICY_ALLOW},
    {"a session's role", TRUST("\"Principal\":{\"AWS\":\"" WEB "\"}"), SESSION, WEB, NULL,
     POLICY_ALLOW},
    {"the session itself", TRUST("\"Principal\":{\"AWS\":\"" SESSION "\"}"), SESSION, WEB, NULL,
     POLICY_ALLOW},
    {"not the user", TRUST("\"NotPrincipal\":{\"AWS\":\"" ANN "\"}"), ANN, NULL, NULL,
     POLICY_SILENT},
    {"not another user", TRUST("\"NotPrincipal\":{\"AWS\":\"" ANN "e\"}"), ANN, NULL, NULL,
     POLICY_ALLOW},
};

static void trust_policies_trust_whom_they_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(trusts); i++) {
        const struct policy_request request = {.action = "sts:AssumeRole",
                                               .resource = WEB,
                                               .principal = trusts[i].principal,
                                               .principal_role = trusts[i].role,
                                               .service = trusts[i].service};
        json_t *policy = NULL;

        check_int(trusts[i].says, 0, policy_parse(trusts[i].policy, true, &policy, NULL));
        check_int(trusts[i].says, trusts[i].verdict, policy_evaluate(policy, &request));
        json_decref(policy);
    }
}

static const struct {
    const char *policy;
    bool trust;
    const char *message;
} malformed[] = {
    {"", false, "This policy contains invalid Json"},
    {"[]", false, "This policy contains invalid Json"},
    {"{", false, "This policy contains invalid Json"},
    {"{}", false, "Syntax errors in policy."},
    {"{\"Statement\":[]}", false, "Syntax errors in policy."},
    {"{\"Statement\":[1]}", false, "Syntax errors in policy."},
    {"{\"Version\":\"2020-01-01\",\"Statement\":" ALLOW(ALL) "}", false,
     "Syntax errors in policy."},
    {"{\"Version\":3,\"Statement\":" ALLOW(ALL) "}", false, "Syntax errors in policy."},
    {"{\"Statement\":{\"Effect\":\"Maybe\"," ALL "}}", false, "Syntax errors in policy."},
    {"{\"Statement\":{" ALL "}}", false, "Syntax errors in policy."},
    {STATEMENT(ALLOW("\"Resource\":\"*\"")), false, "Policy statement must contain actions."},
    {STATEMENT(ALLOW("\"Action\":[1],\"Resource\":\"*\"")), false,
     "Policy statement must contain actions."},
    {STATEMENT(ALLOW("\"Action\":\"*\"")), false, "Policy statement must contain resources."},
    {STATEMENT(ALLOW(ALL ",\"NotAction\":\"*\"")), false, "Syntax errors in policy."},
    {STATEMENT(ALLOW(ALL ",\"NotResource\":\"*\"")), false, "Syntax errors in policy."},
    {STATEMENT(ALLOW(ALL ",\"Principal\":\"*\"")), false,
     "Policy document should not specify a principal."},
    {STATEMENT(ALLOW(ALL ",\"Condition\":1")), false, "Syntax errors in policy."},
    {STATEMENT(DENY(ALL ",\"Condition\":{\"StringSimilar\":{\"a:b\":\"c\"}}")), false,
     "Syntax errors in policy."},
    {STATEMENT(DENY(ALL ",\"Condition\":{\"StringEquals\":\"c\"}")), false,
     "Syntax errors in policy."},
    {STATEMENT(DENY(ALL ",\"Condition\":{\"StringEquals\":{\"a:b\":{}}}")), false,
     "Syntax errors in policy."},
    {STATEMENT(DENY(ALL ",\"Condition\":{\"StringEquals\":{\"a:b\":[null]}}")), false,
     "Syntax errors in policy."},
    {STATEMENT(ALLOW("\"Action\":\"sts:AssumeRole\"")), true, "Missing required field Principal"},
    {TRUST("\"Principal\":\"*\",\"Resource\":\"*\""), true, "Has prohibited field Resource"},
    {TRUST("\"Principal\":\"ann\""), true, "Invalid principal in policy"},
    {TRUST("\"Principal\":{}"), true, "Invalid principal in policy"},
    {TRUST("\"Principal\":{\"AWS\":[1]}"), true, "Invalid principal in policy"},
    {TRUST("\"Principal\":{\"AWS\":{}}"), true, "Invalid principal in policy"},
    {TRUST("\"Principal\":{\"Somebody\":\"x\"}"), true, "Invalid principal in policy"},
};

static void malformed_policies_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        struct error err = {0};
        json_t *policy = NULL;

        check_int(malformed[i].policy, ERR_API,
                  policy_parse(malformed[i].policy, malformed[i].trust, &policy, &err));
        check_text(malformed[i].policy, "MalformedPolicyDocument", slice_z(err.aws_code));
        check_text(malformed[i].policy, malformed[i].message, slice_z(err.message));
        assert_null(policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_say_what_they_say),
        cmocka_unit_test(trust_policies_trust_whom_they_name),
        cmocka_unit_test(malformed_policies_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
