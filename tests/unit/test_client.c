/* What clients of AWS read: shared files, endpoints, XML answers, instance credentials. */
#include "base/buf.h"
#include "base/error.h"
#include "check.h"
#include "client/metadata.h"
#include "client/settings.h"
#include "client/xml.h"

#include <stdlib.h>

static void values_are_found_in_their_section(void **state)
{
    static const char text[] = "# a comment\n"
                               "[default]\n"
                               "aws_access_key_id = AK1\n"
                               "AWS_SECRET_ACCESS_KEY=a=b/c\n"
                               "s3 =\n"
                               "  endpoint_url = nested\n"
                               "[ other ]\r\n"
                               "aws_access_key_id=AK2\r\n";
    static const struct {
        const char *says, *section, *key, *value;
    } cases[] = {
        {"blanks around are trimmed", "default", "aws_access_key_id", "AK1"},
        {"case of keys does not matter, values may hold '='", "default", "aws_secret_access_key",
         "a=b/c"},
        {"another section, CRLF", "other", "aws_access_key_id", "AK2"},
        {"nested values are not the section's", "default", "endpoint_url", NULL},
        {"a section that is not there", "none", "aws_access_key_id", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice value = SLICE_EMPTY;
        bool found = aws_ini_find(slice_z(text), slice_z(cases[i].section), cases[i].key, &value);

        check_int(cases[i].says, cases[i].value != NULL, found);
        check_text(cases[i].says, cases[i].value == NULL ? "" : cases[i].value, value);
    }
}

static void endpoints_come_apart(void **state)
{
    static const struct {
        const char *says, *url, *scheme, *host, *prefix;
        int rc;
    } cases[] = {
        {"a port stays", "http://127.0.0.1:4566", "http", "127.0.0.1:4566", "", 0},
        {"the default port goes, as curl has it", "https://a.b:443/", "https", "a.b", "", 0},
        {"a path is a prefix", "http://h/x/y/", "http", "h", "/x/y", 0},
        {"no scheme", "localhost:4566", "", "", "", ERR_CONFIG},
        {"another scheme", "ftp://h", "", "", "", ERR_CONFIG},
        {"user names are not for URLs", "http://a@h", "", "", "", ERR_CONFIG},
        {"no host", "http:///x", "", "", "", ERR_CONFIG},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct aws_url parts;

        check_int(cases[i].says, cases[i].rc, aws_url_parse(cases[i].url, &parts, NULL));
        if (cases[i].rc == 0) {
            check_text(cases[i].says, cases[i].scheme, parts.scheme);
            check_text(cases[i].says, cases[i].host, parts.host);
            check_text(cases[i].says, cases[i].prefix, parts.prefix);
        }
    }
}

static void the_environment_names_endpoints(void **state)
{
    char *url;

    (void)state;
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    setenv("AWS_ENDPOINT_URL", "http://all", 1);
    setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://tables", 1);
    url = aws_endpoint_find(AWS_DYNAMODB);
    check_text("the service's own first", "http://tables", slice_z(url));
    free(url);
    url = aws_endpoint_find(AWS_EC2);
    check_text("then the one for all", "http://all", slice_z(url));
    free(url);
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
    assert_null(aws_endpoint_find(AWS_EC2));
    unsetenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_ENDPOINT_URL_DYNAMODB");
    assert_null(aws_endpoint_find(AWS_EC2));
    url = aws_endpoint_default(AWS_CLOUD_WATCH, "us-east-2");
    check_text("else AWS", "https://monitoring.us-east-2.amazonaws.com", slice_z(url));
    free(url);
}

static void xml_becomes_json(void **state)
{
    static const struct {
        const char *says, *xml, *json;
        int rc;
    } cases[] = {
        {"text", "<A><B>x</B></A>", "{\"B\":\"x\"}", 0},
        {"a declaration, attributes and blanks",
         "<?xml version=\"1.0\"?>\n<A xmlns=\"http://x/\">\n <B>x y</B>\n</A>\n", "{\"B\":\"x y\"}",
         0},
        {"members are a list", "<A><L><member>1</member><member>2</member></L></A>",
         "{\"L\":[\"1\",\"2\"]}", 0},
        {"one item, too", "<A><s><item><i>1</i></item></s></A>", "{\"s\":[{\"i\":\"1\"}]}", 0},
        {"an empty element", "<A><s/><t></t></A>", "{\"s\":\"\",\"t\":\"\"}", 0},
        {"names that repeat", "<A><B>1</B><B>2</B></A>", "{\"B\":[\"1\",\"2\"]}", 0},
        {"entities", "<A><B>&lt;&amp;&#233;&#x20AC;&quot;</B></A>",
         "{\"B\":\"<&\xc3\xa9\xe2\x82\xac\\\"\"}", 0},
        {"the wrong closing tag", "<A><B></A></B>", "", ERR_INVALID},
        {"no end", "<A><B>x", "", ERR_INVALID},
        {"nothing", "", "", ERR_INVALID},
        {"an own entity", "<A>&x;</A>", "", ERR_INVALID},
        {"a document type", "<!DOCTYPE a><A/>", "", ERR_INVALID},
        {"something behind", "<A/><B/>", "", ERR_INVALID},
        {"bad UTF-8", "<A>\xff</A>", "", ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *tree;
        char *text;

        check_int(cases[i].says, cases[i].rc, xml_to_json(slice_z(cases[i].xml), &tree, NULL));
        if (cases[i].rc == 0) {
            text = json_dumps(tree, JSON_COMPACT);
            check_text(cases[i].says, cases[i].json, slice_z(text));
            free(text);
            json_decref(tree);
        }
    }
}

static void xml_has_a_depth(void **state)
{
    struct buf deep = {0};
    json_t *tree;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        buf_add_z(&deep, "<a>");
    }
    check_int("too deep", ERR_INVALID, xml_to_json(buf_slice(&deep), &tree, NULL));
    buf_close(&deep);
}

static void a_role_has_keys(void **state)
{
    struct aws_keys keys = {0};

    (void)state;
    check_int(
        "all there", 0,
        metadata_keys_parse(
            SLICE_LIT("{\"Code\":\"Success\",\"AccessKeyId\":\"AS\",\"SecretAccessKey\":\"s\","
                      "\"Token\":\"t\",\"Expiration\":\"1970-01-01T00:00:02Z\"}"),
            &keys, NULL));
    check_text("key", "AS", slice_z(keys.access_key));
    check_int("expiry", 2000, keys.expires_ms);
    check_int(
        "an error in place of keys", ERR_INVALID,
        metadata_keys_parse(SLICE_LIT("{\"Code\":\"AssumeRoleUnauthorizedAccess\"}"), &keys, NULL));
    check_text("the old ones stay", "AS", slice_z(keys.access_key));
    aws_keys_close(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_in_their_section),
        cmocka_unit_test(endpoints_come_apart),
        cmocka_unit_test(the_environment_names_endpoints),
        cmocka_unit_test(xml_becomes_json),
        cmocka_unit_test(xml_has_a_depth),
        cmocka_unit_test(a_role_has_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
