/* SigV4 against vectors that botocore and AWS's public suite agree on. */
#include "base/clock.h"
#include "check.h"
#include "wire/sigv4.h"

#include <string.h>

#define SECRET SLICE_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")

static const struct {
    const char *says, *method, *path, *query, *body;
    struct {
        const char *name, *value;
    } headers[6];
    const char *key, *date, *region, *service, *signature;
} vectors[] = {
    {"a query form",
     "POST",
     "/",
     "",
     "Action=DescribeAutoScalingGroups&Version=2011-01-01&MaxRecords=5",
     {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
      {"Host", "127.0.0.1:18080"},
      {"X-Amz-Date", "20260102T030405Z"}},
     "AKIDEXAMPLE",
     "20260102T030405Z",
     "us-east-1",
     "autoscaling",
     "f5e0014b9138da7889b6ea93d7d87bd5a58442e8bc0f5c89ea50a096c697fc04"},
    {"JSON with a session token",
     "POST",
     "/",
     "",
     "{\"TableName\": \"t_t\", \"Key\": {\"a\": {\"S\": \"x\"}}}",
     {{"Content-Type", "application/x-amz-json-1.0"},
      {"Host", "dynamodb.us-east-1.amazonaws.com"},
      {"X-Amz-Date", "20260102T030405Z"},
      {"X-Amz-Security-Token", "FwoGZXIvYXdzEXAMPLE//token=="},
      {"X-Amz-Target", "DynamoDB_20120810.GetItem"}},
     "ASIAEXAMPLE",
     "20260102T030405Z",
     "us-east-1",
     "dynamodb",
     "0662de25d7e50cb3acdce9a8731a0c7af66a2e89d49032220cf9eeac37f1fed4"},
    {"double encoding, query order, header folding",
     "GET",
     "/resources/arn%3Aaws%3Aresource-groups%3Aus-east-1%3A123%3Agroup%2Fa%20b/tags",
     "b=2&a=1&a=%20x&B=3",
     "",
     {{"Host", "127.0.0.1:18080"},
      {"My-Header", "   two   spaces  "},
      {"X-Amz-Date", "20260102T030405Z"}},
     "AKIDEXAMPLE",
     "20260102T030405Z",
     "us-east-1",
     "resource-groups",
     "b43b5ec6a3e367c91670e1b17d1ecec5e49604fad81e1728a6a03ac4576f618c"},
    {"rest-json with a query",
     "POST",
     "/groups-list",
     "maxResults=5&nextToken=a%2Bb%2F%3D",
     "{}",
     {{"Content-Type", "application/json"},
      {"Host", "127.0.0.1:18080"},
      {"X-Amz-Date", "20260102T030405Z"}},
     "AKIDEXAMPLE",
     "20260102T030405Z",
     "us-east-1",
     "resource-groups",
     "c4152515c5c7bf7babd22917a137a68c87db397235d307df2559d2db339684c5"},
    {"AWS's suite: a repeated header",
     "GET",
     "/",
     "",
     "",
     {{"Host", "example.amazonaws.com"},
      {"My-Header1", "value2"},
      {"My-Header1", "value2"},
      {"My-Header1", "value1"},
      {"X-Amz-Date", "20150830T123600Z"}},
     "AKIDEXAMPLE",
     "20150830T123600Z",
     "us-east-1",
     "service",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"AWS's suite: raw UTF-8 in the path",
     "GET",
     "/\xe1\x88\xb4",
     "",
     "",
     {{"Host", "example.amazonaws.com"}, {"X-Amz-Date", "20150830T123600Z"}},
     "AKIDEXAMPLE",
     "20150830T123600Z",
     "us-east-1",
     "service",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
};

static size_t fill_headers(size_t row, struct sigv4_header headers[8])
{
    size_t count = 0;

    while (count < 6 && vectors[row].headers[count].name != NULL) {
        headers[count].name = slice_z(vectors[row].headers[count].name);
        headers[count].value = slice_z(vectors[row].headers[count].value);
        count++;
    }
    return count;
}

/* Each name once: My-Header1 stands three times in one vector. */
static const char *signed_names(size_t row)
{
    return row == 4 ? "host;my-header1;x-amz-date" : NULL;
}

static void signatures_follow_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct sigv4_header headers[8];
        struct sigv4_request request = {slice_z(vectors[i].method),
                                        slice_z(vectors[i].path),
                                        slice_z(vectors[i].query),
                                        slice_z(vectors[i].body),
                                        headers,
                                        fill_headers(i, headers)};
        struct buf authorization = {0};
        int64_t date_ms = 0;

        if (signed_names(i) != NULL) {
            continue; /* A client does not repeat headers; verified below. */
        }
        assert_int_equal(0, time_parse(slice_z(vectors[i].date), &date_ms, NULL));
        sigv4_sign(&request, slice_z(vectors[i].key), SECRET, slice_z(vectors[i].region),
                   slice_z(vectors[i].service), date_ms, &authorization);
        check_text(vectors[i].says, vectors[i].signature,
                   slice_sub(buf_slice(&authorization), authorization.bytes - 64, 64));
        buf_close(&authorization);
    }
}

static void a_server_accepts_the_vectors_and_nothing_near_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct sigv4_header headers[8];
        struct sigv4_request request = {slice_z(vectors[i].method),
                                        slice_z(vectors[i].path),
                                        slice_z(vectors[i].query),
                                        slice_z(vectors[i].body),
                                        headers,
                                        fill_headers(i, headers)};
        struct sigv4_claim claim;
        struct buf authorization = {0}, names = {0};
        struct error err;

        for (size_t h = 0; h < request.header_count && signed_names(i) == NULL; h++) {
            buf_printf(&names, "%s%.*s", h == 0 ? "" : ";", SLICE_ARG(headers[h].name));
        }
        for (size_t b = 0; b < names.bytes; b++) {
            names.data[b] = (char)(names.data[b] | 0x20) == names.data[b] || names.data[b] == '-' ||
                                    names.data[b] == ';'
                                ? names.data[b]
                                : (char)(names.data[b] | 0x20);
        }
        buf_printf(&authorization,
                   "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request,SignedHeaders=%s,  "
                   "Signature=%s",
                   vectors[i].key, vectors[i].date, vectors[i].region, vectors[i].service,
                   signed_names(i) != NULL ? signed_names(i) : buf_z(&names), vectors[i].signature);
        headers[request.header_count++] =
            (struct sigv4_header){SLICE_LIT("authorization"), buf_slice(&authorization)};
        check_int(vectors[i].says, 0, sigv4_parse(&request, &claim, &err));
        check_text("access key", vectors[i].key, claim.access_key);
        check_int(vectors[i].says, 0, sigv4_verify(&request, &claim, SECRET, &err));
        check_int("another secret", ERR_AUTH,
                  sigv4_verify(&request, &claim, SLICE_LIT("guess"), &err));
        request.body = SLICE_LIT("tampered");
        check_int("another body", ERR_AUTH, sigv4_verify(&request, &claim, SECRET, &err));
        buf_close(&authorization);
        buf_close(&names);
    }
}

static void a_presigned_url_is_verified_and_expires(void **state)
{
    struct sigv4_header host = {SLICE_LIT("Host"), SLICE_LIT("sts.us-east-1.amazonaws.com")};
    struct sigv4_request request = {
        SLICE_LIT("GET"),
        SLICE_LIT("/"),
        SLICE_LIT("Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&"
                  "X-Amz-Credential=ASIAEXAMPLE%2F20260102%2Fus-east-1%2Fsts%2Faws4_request&"
                  "X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&"
                  "X-Amz-Security-Token=FwoGZXIvYXdzEXAMPLE%2F%2Ftoken%3D%3D&X-Amz-Signature="
                  "d3ea1900f3f9620ed34b35d4bcbb65da43f862c7b364a99f457ca1bef399e3a5"),
        SLICE_EMPTY,
        &host,
        1};
    struct sigv4_claim claim;
    struct error err;

    (void)state;
    check_int("parse", 0, sigv4_parse(&request, &claim, &err));
    check_int("verify", 0, sigv4_verify(&request, &claim, SECRET, &err));
    check_int("in time", 0, sigv4_check_time(&claim, claim.date_ms + 59000, 300000, &err));
    check_int("late", ERR_AUTH, sigv4_check_time(&claim, claim.date_ms + 61000, 300000, &err));
    check_text("code", "RequestExpired", slice_z(err.aws_code));
}

static const struct {
    const char *says, *authorization, *date, *code, *text;
} broken[] = {
    {"nothing at all", NULL, NULL, "MissingAuthenticationToken",
     "Request is missing Authentication Token"},
    {"only the algorithm", "AWS4-HMAC-SHA256", "20260102T030405Z", "IncompleteSignature",
     "Authorization header requires 'Credential' parameter. Authorization header requires "
     "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
     "Authorization=AWS4-HMAC-SHA256"},
    {"no date",
     "AWS4-HMAC-SHA256 Credential=a/20260102/r/s/aws4_request, SignedHeaders=host, "
     "Signature=b",
     NULL, "IncompleteSignature",
     "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
     "Authorization=AWS4-HMAC-SHA256 Credential=a/20260102/r/s/aws4_request, SignedHeaders=host, "
     "Signature=b"},
    {"four elements", "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=b",
     "20260102T030405Z", "IncompleteSignature",
     "Credential must have exactly 5 slash-delimited elements, e.g. "
     "keyid/date/region/service/term, got 'a/b/c/d'"},
    {"another day in the scope",
     "AWS4-HMAC-SHA256 Credential=a/20260103/r/s/aws4_request, SignedHeaders=host, Signature=b",
     "20260102T030405Z", "SignatureDoesNotMatch",
     "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
     "'20260103' != '20260102', from '20260102T030405Z'."},
    {"another terminator",
     "AWS4-HMAC-SHA256 Credential=a/20260102/r/s/aws5, SignedHeaders=host, Signature=b",
     "20260102T030405Z", "SignatureDoesNotMatch",
     "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. "},
    {"host is not signed",
     "AWS4-HMAC-SHA256 Credential=a/20260102/r/s/aws4_request, SignedHeaders=x, Signature=b",
     "20260102T030405Z", "IncompleteSignature",
     "'Host' must be a 'SignedHeader' in the AWS Authorization."},
    {"an old algorithm", "AWS3 Credential=a", "20260102T030405Z", "IncompleteSignature",
     "Unsupported AWS 'algorithm': 'AWS3' (only AWS4-HMAC-SHA256 for now). "},
};

static void broken_signatures_get_aws_s_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct sigv4_header headers[2];
        struct sigv4_request request = {SLICE_LIT("POST"), SLICE_LIT("/"), SLICE_EMPTY,
                                        SLICE_EMPTY,       headers,        0};
        struct sigv4_claim claim;
        struct error err = {0};

        if (broken[i].authorization != NULL) {
            headers[request.header_count++] =
                (struct sigv4_header){SLICE_LIT("Authorization"), slice_z(broken[i].authorization)};
        }
        if (broken[i].date != NULL) {
            headers[request.header_count++] =
                (struct sigv4_header){SLICE_LIT("X-Amz-Date"), slice_z(broken[i].date)};
        }
        check_int(broken[i].says, ERR_AUTH, sigv4_parse(&request, &claim, &err));
        check_text(broken[i].says, broken[i].code, slice_z(err.aws_code));
        check_text(broken[i].says, broken[i].text, slice_z(err.message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_follow_the_vectors),
        cmocka_unit_test(a_server_accepts_the_vectors_and_nothing_near_them),
        cmocka_unit_test(a_presigned_url_is_verified_and_expires),
        cmocka_unit_test(broken_signatures_get_aws_s_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
