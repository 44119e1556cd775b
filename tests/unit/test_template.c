/* CloudFormation templates: what is read, what the functions give, and the errors in AWS's words.
 */
#include "base/buf.h"
#include "base/error.h"
#include "check.h"
#include "services/cloudformation/evaluate.h"
#include "services/cloudformation/template.h"

#include <stdlib.h>
#include <string.h>

/* Two parameters and one resource with an attribute. */
static int lookup(void *data, const char *name, const char *attribute, json_t **value,
                  struct error *err)
{
    (void)data;
    if (attribute == NULL && strcmp(name, "Size") == 0) {
        *value = json_string("2");
    } else if (attribute == NULL && strcmp(name, "Vpc") == 0) {
        *value = json_string("vpc-1");
    } else if (attribute != NULL && strcmp(name, "Vpc") == 0 && strcmp(attribute, "Id") == 0) {
        *value = json_string("id-of-vpc");
    } else {
        return error_set(err, ERR_NOT_FOUND, "no %s", name);
    }
    return 0;
}

static char *evaluated(const char *yaml)
{
    static const char *const zones[] = {"us-east-2a", "us-east-2b", NULL};
    json_t *template = NULL, *result = NULL;
    struct evaluation evaluation = {.lookup = lookup, .zones = zones};
    struct error err = {0};
    char *text;

    if (template_parse(slice_z(yaml), &template, &err) != 0) {
        return strdup(err.message);
    }
    evaluation.template = template;
    if (evaluate(&evaluation, json_object_get(template, "V"), &result, &err) != 0) {
        text = strdup(err.message);
    } else {
        text =
            result == NULL ? strdup("nothing") : json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
    }
    json_decref(result);
    json_decref(template);
    return text;
}

static const struct {
    const char *says, *yaml, *gives;
} functions[] = {
    {"a scalar stays the text it was", "V: 007", "\"007\""},
    {"truth values too", "V: yes", "\"yes\""},
    {"in JSON they become texts", "{\"V\": [80, 1.1, 60.0, true, {\"A\": [false]}]}",
     "[\"80\",\"1.1\",\"60.0\",\"true\",{\"A\":[\"false\"]}]"},
    {"Ref of a parameter", "V: !Ref Size", "\"2\""},
    {"Ref spelled out", "V: {Ref: Vpc}", "\"vpc-1\""},
    {"GetAtt's short form", "V: !GetAtt Vpc.Id", "\"id-of-vpc\""},
    {"GetAtt's list", "V: {'Fn::GetAtt': [Vpc, Id]}", "\"id-of-vpc\""},
    {"Sub of names and attributes", "V: !Sub 'a-${Vpc}-${Vpc.Id}'", "\"a-vpc-1-id-of-vpc\""},
    {"Sub with variables of its own", "V: !Sub ['${X}/${Size}', {X: !Ref Vpc}]", "\"vpc-1/2\""},
    {"Sub leaves literals", "V: !Sub '${!Vpc} $5 ${Size}'", "\"${Vpc} $5 2\""},
    {"Sub takes one mark off each", "V: !Sub '${!!a}${!b}{!c}$'", "\"${!a}${b}{!c}$\""},
    {"Join", "V: !Join ['-', [a, !Ref Size, c]]", "\"a-2-c\""},
    {"Select and GetAZs", "V: !Select [1, !GetAZs '']", "\"us-east-2b\""},
    {"Select past the end", "V: !Select [2, [a, b]]",
     "Template error: Fn::Select cannot select nonexistent value at index of the list"},
    {"Split", "V: !Split [',', 'a,b,,c']", "[\"a\",\"b\",\"\",\"c\"]"},
    {"Base64", "V: {'Fn::Base64': !Sub 'n=${Size}'}", "\"bj0y\""},
    {"FindInMap", "V: !FindInMap [M, a, b]\nMappings: {M: {a: {b: found}}}", "\"found\""},
    {"FindInMap of nothing", "V: !FindInMap [M, a, c]\nMappings: {M: {a: {b: found}}}",
     "Template error: Unable to get mapping for M::a::c"},
    {"If by a condition", "V: !If [C, 1, 2]\nConditions: {C: !Equals [!Ref Size, '2']}", "\"1\""},
    {"Not, And and Or",
     "V: !If [C, 1, 2]\nConditions: {C: !And [!Not [!Equals [a, b]], !Or [!Condition D, "
     "!Equals [a, a]]], D: !Equals [a, b]}",
     "\"1\""},
    {"conditions in a circle", "V: !If [C, 1, 2]\nConditions: {C: !Not [!Condition C]}",
     "Template error: circular dependency between conditions"},
    {"NoValue drops its member", "V: {a: !Ref 'AWS::NoValue', b: 1}", "{\"b\":\"1\"}"},
    {"an alias is refused", "A: &x 1\nV: *x",
     "Template error: YAML aliases are not allowed in CloudFormation templates"},
    {"broken YAML names its place", "V: [a, b\nW: 1",
     "Template format error: YAML not well-formed. (line 2, column 2): did not find expected ',' "
     "or ']'"},
    {"broken JSON names its place", "{\"V\": \n 1,,}",
     "Template format error: JSON not well-formed. (line 2, column 4)"},
    {"a key that stands twice", "V: 1\nV: 2",
     "Template format error: YAML not well-formed. (line 2, column 1): the key stands here twice"},
    {"an unknown tag", "V: !Frob 1",
     "Template format error: YAML not well-formed. (line 1, column 4): unknown tag"},
    {"not a mapping", "- V", "Template format error: unsupported structure."},
    {"nothing at all", "", "Template format error: unsupported structure."},
};

static void functions_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        char *got = evaluated(functions[i].yaml);

        check_text(functions[i].says, functions[i].gives, slice_z(got));
        free(got);
    }
}

static void repeat(struct buf *text, const char *piece, int times)
{
    for (int i = 0; i < times; i++) {
        buf_add_z(text, piece);
    }
}

/* Functions in functions, conditions of conditions: a kilobyte must not become gigabytes or hours.
 */
static void what_multiplies_has_an_end(void **state)
{
    static const char too_much[] = "Template error: the functions of one value make too much of it";
    struct buf texts[4] = {0};

    (void)state;
    buf_add_z(&texts[0], "V: ");
    repeat(&texts[0], "{'Fn::Base64': ", 50);
    buf_add_z(&texts[0], "0123456789");
    repeat(&texts[0], "}", 50);
    buf_add_z(&texts[1], "V: ");
    repeat(&texts[1], "{'Fn::Sub': ['${a}${a}', {a: ", 20);
    buf_add_z(&texts[1], "0123456789");
    repeat(&texts[1], "}]}", 20);
    buf_add_z(&texts[2], "V: !If [C9, 1, 2]\nConditions:\n  C0: !Equals [a, a]\n");
    for (int i = 1; i < 10; i++) {
        buf_printf(&texts[2], "  C%d: !And [", i);
        for (int k = 0; k < 10; k++) {
            buf_printf(&texts[2], "%s!Condition C%d", k == 0 ? "" : ", ", i - 1);
        }
        buf_add_z(&texts[2], "]\n");
    }
    buf_add_z(&texts[3], "V: !Split [',', '");
    repeat(&texts[3], ",", 20000);
    buf_add_z(&texts[3], "']");
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char *got = evaluated(buf_z(&texts[i]));

        check_text("too much", too_much, slice_z(got));
        free(got);
        buf_close(&texts[i]);
    }
}

static void collect(void *data, const char *name, const char *attribute)
{
    char *list = data;
    size_t used = strlen(list);

    snprintf(list + used, 200 - used, "%s%s%s ", name, attribute == NULL ? "" : ".",
             attribute == NULL ? "" : attribute);
}

static void references_are_found_wherever_they_stand(void **state)
{
    char list[200] = "";
    json_t *template;

    (void)state;
    assert_int_equal(0, template_parse(SLICE_LIT("A: [!Ref B, {x: !GetAtt C.D.E}]\n"
                                                 "F: !Sub ['${G} ${H} ${I.J} ${!K}', {H: !Ref L}]"),
                                       &template, NULL));
    template_references(template, collect, list);
    check_text("references", "B C.D.E G I.J L ", slice_z(list));
    json_decref(template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_follow_the_table),
        cmocka_unit_test(what_multiplies_has_an_end),
        cmocka_unit_test(references_are_found_wherever_they_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
