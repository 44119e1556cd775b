#include "wire/sigv4.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define PRESIGNED_S_MAX 604800
#define CANONICAL_BYTES 1000 /* Enough for most requests. */

/* The canonical request. */

/* "/a/./b//../c/" -> "/a/c/", each byte but the unreserved and '/' percent-encoded once more. */
static void add_canonical_path(struct slice path, struct buf *text)
{
    struct buf plain = {0};
    struct slice rest = path, part;

    if (slice_equal_z(path, "/")) { /* Most are. */
        buf_add_byte(text, '/');
        return;
    }
    while (slice_next(&rest, '/', &part)) {
        if (part.bytes == 0 || slice_equal_z(part, ".")) {
            continue;
        }
        if (slice_equal_z(part, "..")) {
            while (plain.bytes > 0 && plain.data[--plain.bytes] != '/') {
            }
            continue;
        }
        buf_add_byte(&plain, '/');
        buf_add(&plain, part);
    }
    if (plain.bytes == 0 || slice_ends(path, SLICE_LIT("/"))) {
        buf_add_byte(&plain, '/');
    }
    text_percent_encode(text, buf_slice(&plain), true);
    buf_close(&plain);
}

struct query_part {
    struct slice name, value;
};

static int compare_parts(const void *a, const void *b)
{
    const struct query_part *left = a, *right = b;
    int order = slice_compare(left->name, right->name);

    return order != 0 ? order : slice_compare(left->value, right->value);
}

/* Decoded and encoded again, so that "+", "%7e" and raw UTF-8 all come out in the canonical form;
 * what cannot be decoded stays as it is and will not match. */
static struct slice recoded(struct slice text, struct buf *store)
{
    struct buf plain = {0};
    size_t from = store->bytes;

    if (text_percent_decode(&plain, text, false, NULL) != 0) {
        buf_close(&plain);
        return text;
    }
    text_percent_encode(store, buf_slice(&plain), false);
    buf_close(&plain);
    return slice_of(store->data + from, store->bytes - from);
}

static void add_canonical_query(struct slice query, struct buf *text)
{
    struct query_part *parts;
    struct buf store = {0};
    struct slice rest = query, part;
    size_t count = 0, count_max = 1;

    if (query.bytes == 0) {
        return;
    }
    for (size_t i = 0; i < query.bytes; i++) {
        count_max += query.data[i] == '&';
    }
    parts = mem_calloc(count_max, sizeof(*parts));
    buf_reserve(&store, query.bytes * 3 + 1); /* So that slices into it stay. */
    while (slice_next(&rest, '&', &part)) {
        size_t equals = slice_find(part, '=');
        struct slice name = slice_sub(part, 0, equals);

        if (part.bytes == 0 || slice_equal_z(name, "X-Amz-Signature")) {
            continue;
        }
        parts[count].name = recoded(name, &store);
        parts[count].value = recoded(slice_sub(part, equals + 1, part.bytes), &store);
        count++;
    }
    qsort(parts, count, sizeof(*parts), compare_parts);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_add_byte(text, '&');
        }
        buf_add(text, parts[i].name);
        buf_add_byte(text, '=');
        buf_add(text, parts[i].value);
    }
    free(parts);
    buf_close(&store);
}

/* Trimmed, inner runs of blanks made one. */
static void add_header_value(struct slice value, struct buf *text)
{
    struct slice trimmed = slice_trim(value);
    size_t from = 0; /* Copied up to here. */

    for (size_t i = 0; i < trimmed.bytes; i++) {
        char byte = trimmed.data[i];

        if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') {
            buf_add(text, slice_sub(trimmed, from, i - from));
            buf_add_byte(text, ' ');
            while (i + 1 < trimmed.bytes && strchr(" \t\r\n", trimmed.data[i + 1]) != NULL &&
                   trimmed.data[i + 1] != '\0') {
                i++;
            }
            from = i + 1;
        }
    }
    buf_add(text, slice_sub(trimmed, from, trimmed.bytes));
}

void sigv4_canonical_request(const struct sigv4_request *request, struct slice signed_headers,
                             struct slice payload_hash, struct buf *text)
{
    struct slice rest = signed_headers, name;

    buf_add(text, request->method);
    buf_add_byte(text, '\n');
    add_canonical_path(request->path, text);
    buf_add_byte(text, '\n');
    add_canonical_query(request->query, text);
    buf_add_byte(text, '\n');
    while (slice_next(&rest, ';', &name)) {
        bool first = true;

        buf_add(text, name);
        buf_add_byte(text, ':');
        for (size_t i = 0; i < request->header_count; i++) {
            if (slice_equal_case(request->headers[i].name, name)) {
                if (!first) {
                    buf_add_byte(text, ',');
                }
                add_header_value(request->headers[i].value, text);
                first = false;
            }
        }
        buf_add_byte(text, '\n');
    }
    buf_add_byte(text, '\n');
    buf_add(text, signed_headers);
    buf_add_byte(text, '\n');
    buf_add(text, payload_hash);
}

void sigv4_string_to_sign(const struct sigv4_scope *scope, struct slice canonical_request,
                          struct buf *text)
{
    char hash[SIGV4_HASH_HEX_BYTES];

    sigv4_hash(canonical_request, hash);
    buf_add_z(text, ALGORITHM "\n");
    buf_add_z(text, scope->date);
    buf_add_byte(text, '\n');
    sigv4_add_scope(scope, text);
    buf_add_z(text, "/aws4_request\n");
    buf_add(text, slice_of(hash, SIGV4_HASH_HEX_BYTES - 1));
}

static struct slice find_header(const struct sigv4_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (slice_equal_case(request->headers[i].name, slice_z(name))) {
            return request->headers[i].value;
        }
    }
    return SLICE_EMPTY;
}

/* Client. */

static int compare_names(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void add_lower(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.bytes; i++) {
        char byte = text.data[i];

        buf_add_byte(out, byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte);
    }
}

static void signed_header_names(const struct sigv4_request *request, struct buf *names)
{
    struct slice sorted[SIGV4_HEADERS_MAX];
    struct buf lower = {0};
    size_t bytes = 0;

    ASSERT(request->header_count <= SIGV4_HEADERS_MAX);
    for (size_t i = 0; i < request->header_count; i++) {
        bytes += request->headers[i].name.bytes;
    }
    buf_reserve(&lower, bytes); /* So that slices into it stay. */
    for (size_t i = 0; i < request->header_count; i++) {
        size_t from = lower.bytes;

        add_lower(request->headers[i].name, &lower);
        sorted[i] = slice_of(lower.data + from, lower.bytes - from);
    }
    qsort(sorted, request->header_count, sizeof(sorted[0]), compare_names);
    for (size_t i = 0; i < request->header_count; i++) {
        if (i > 0) {
            buf_add_byte(names, ';');
        }
        buf_add(names, sorted[i]);
    }
    buf_close(&lower);
}

void sigv4_sign(const struct sigv4_request *request, struct slice access_key, struct slice secret,
                struct slice region, struct slice service, int64_t date_ms,
                struct buf *authorization)
{
    struct sigv4_scope scope = {.region = region, .service = service};
    struct buf names = {0}, canonical = {0}, to_sign = {0};
    struct slice given = find_header(request, "x-amz-content-sha256");
    char date[TIME_TEXT_BYTES], hash[SIGV4_HASH_HEX_BYTES], signature[SIGV4_HASH_HEX_BYTES];

    time_format_basic(date_ms, date);
    memcpy(scope.date, date, 16);
    signed_header_names(request, &names);
    sigv4_hash(request->body, hash);
    buf_reserve(&canonical, CANONICAL_BYTES);
    sigv4_canonical_request(request, buf_slice(&names), given.data != NULL ? given : slice_z(hash),
                            &canonical);
    sigv4_string_to_sign(&scope, buf_slice(&canonical), &to_sign);
    sigv4_signature(secret, &scope, buf_slice(&to_sign), signature);
    buf_reserve(authorization, 320);
    buf_add_z(authorization, ALGORITHM " Credential=");
    buf_add(authorization, access_key);
    buf_add_byte(authorization, '/');
    sigv4_add_scope(&scope, authorization);
    buf_add_z(authorization, "/aws4_request, SignedHeaders=");
    buf_add(authorization, buf_slice(&names));
    buf_add_z(authorization, ", Signature=");
    buf_add_z(authorization, signature);
    buf_close(&names);
    buf_close(&canonical);
    buf_close(&to_sign);
}

/* Server. */

static int auth_error(struct error *err, int status, const char *code, const char *text)
{
    error_api_status(err, status, code, "%s", text);
    if (err != NULL) {
        err->code = ERR_AUTH;
    }
    return ERR_AUTH;
}

static int incomplete(struct error *err, struct buf *text)
{
    int rc = auth_error(err, 400, "IncompleteSignature", buf_z(text));

    buf_close(text);
    return rc;
}

/* "key/20260102/us-east-2/sts/aws4_request", split from the right: a key may hold slashes. */
static int parse_credential(struct slice credential, struct sigv4_claim *claim, struct error *err)
{
    struct slice parts[5];
    size_t end = credential.bytes;
    size_t count = 5;
    struct buf text = {0};

    while (count > 1 && end > 0) {
        size_t slash = end;

        while (slash > 0 && credential.data[slash - 1] != '/') {
            slash--;
        }
        if (slash == 0) {
            break;
        }
        parts[--count] = slice_sub(credential, slash, end - slash);
        end = slash - 1;
    }
    parts[0] = slice_sub(credential, 0, end);
    if (count != 1 || parts[0].bytes == 0) {
        buf_printf(&text,
                   "Credential must have exactly 5 slash-delimited elements, e.g. "
                   "keyid/date/region/service/term, got '%.*s'",
                   SLICE_ARG(credential));
        return incomplete(err, &text);
    }
    if (!slice_equal_z(parts[4], "aws4_request")) {
        buf_printf(&text,
                   "Credential should be scoped with a valid terminator: 'aws4_request', not "
                   "'%.*s'. ",
                   SLICE_ARG(parts[4]));
        auth_error(err, 403, "SignatureDoesNotMatch", buf_z(&text));
        buf_close(&text);
        return ERR_AUTH;
    }
    claim->access_key = parts[0];
    claim->scope.region = parts[2];
    claim->scope.service = parts[3];
    if (!slice_equal(parts[1], slice_of(claim->scope.date, 8))) {
        buf_printf(&text,
                   "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
                   "from HTTP: '%.*s' != '%.8s', from '%s'.",
                   SLICE_ARG(parts[1]), claim->scope.date, claim->scope.date);
        auth_error(err, 403, "SignatureDoesNotMatch", buf_z(&text));
        buf_close(&text);
        return ERR_AUTH;
    }
    return 0;
}

static int parse_date(struct slice date, struct sigv4_claim *claim, struct error *err)
{
    char text[TIME_TEXT_BYTES];
    struct buf says = {0};

    if (date.bytes == 16 && date.data[8] == 'T' && date.data[15] == 'Z' &&
        time_parse(date, &claim->date_ms, NULL) == 0) {
        memcpy(claim->scope.date, date.data, 16);
        return 0;
    }
    if (time_parse_http(date, &claim->date_ms, NULL) == 0) { /* The Date header. */
        time_format_basic(claim->date_ms, text);
        memcpy(claim->scope.date, text, 16);
        return 0;
    }
    buf_printf(&says,
               "Date must be in ISO-8601 'basic format'. Got '%.*s'. See "
               "http://en.wikipedia.org/wiki/ISO_8601",
               SLICE_ARG(date));
    return incomplete(err, &says);
}

static bool names_host(struct slice signed_headers)
{
    struct slice rest = signed_headers, name;

    while (slice_next(&rest, ';', &name)) {
        if (slice_equal_case(name, SLICE_LIT("host"))) {
            return true;
        }
    }
    return false;
}

static int check_host(const struct sigv4_claim *claim, struct error *err)
{
    struct buf text = {0};

    if (names_host(claim->signed_headers)) {
        return 0;
    }
    buf_add_z(&text, "'Host' must be a 'SignedHeader' in the AWS Authorization.");
    return incomplete(err, &text);
}

/* The value of "Name=..." in "a=1, Name=2, b=3". */
static struct slice field(struct slice list, const char *name)
{
    struct slice rest = list, part;

    while (slice_next(&rest, ',', &part)) {
        size_t equals;

        part = slice_trim(part);
        equals = slice_find(part, '=');
        if (slice_equal_z(slice_sub(part, 0, equals), name)) {
            return slice_sub(part, equals + 1, part.bytes);
        }
    }
    return SLICE_EMPTY;
}

static int parse_header(const struct sigv4_request *request, struct slice authorization,
                        struct sigv4_claim *claim, struct error *err)
{
    size_t blank = slice_find(authorization, ' ');
    struct slice algorithm = slice_sub(authorization, 0, blank);
    struct slice fields = slice_sub(authorization, blank + 1, authorization.bytes);
    struct slice credential = field(fields, "Credential");
    struct slice date = find_header(request, "x-amz-date");
    struct buf text = {0};
    int rc;

    date = date.data != NULL ? date : find_header(request, "date");
    if (!slice_equal_z(algorithm, ALGORITHM)) {
        buf_printf(&text, "Unsupported AWS 'algorithm': '%.*s' (only AWS4-HMAC-SHA256 for now). ",
                   SLICE_ARG(algorithm));
        return incomplete(err, &text);
    }
    claim->signed_headers = field(fields, "SignedHeaders");
    claim->signature = field(fields, "Signature");
    claim->session_token = find_header(request, "x-amz-security-token");
    if (credential.bytes == 0) {
        buf_add_z(&text, "Authorization header requires 'Credential' parameter. ");
    }
    if (claim->signature.bytes == 0) {
        buf_add_z(&text, "Authorization header requires 'Signature' parameter. ");
    }
    if (claim->signed_headers.bytes == 0) {
        buf_add_z(&text, "Authorization header requires 'SignedHeaders' parameter. ");
    }
    if (date.data == NULL) {
        buf_add_z(&text, "Authorization header requires existence of either a 'X-Amz-Date' or a "
                         "'Date' header. ");
    }
    if (text.bytes > 0) {
        buf_printf(&text, "Authorization=%.*s", SLICE_ARG(authorization));
        return incomplete(err, &text);
    }
    rc = parse_date(date, claim, err);
    if (rc == 0) {
        rc = check_host(claim, err);
    }
    return rc != 0 ? rc : parse_credential(credential, claim, err);
}

/* A raw query value; NULL data when absent. */
static struct slice query_value(struct slice query, const char *name)
{
    struct slice rest = query, part;

    while (slice_next(&rest, '&', &part)) {
        size_t equals = slice_find(part, '=');

        if (slice_equal_z(slice_sub(part, 0, equals), name)) {
            return equals < part.bytes ? slice_sub(part, equals + 1, part.bytes) : SLICE_LIT("");
        }
    }
    return SLICE_EMPTY;
}

/* In a query '/' is %2F and ';' is %3B; those two are all that these values can hold encoded. The
 * decoded text goes into @store, which was made large enough. */
static struct slice decoded(struct slice text, struct buf *store)
{
    size_t from = store->bytes;

    if (text_percent_decode(store, text, false, NULL) != 0) {
        store->bytes = from;
        return text;
    }
    return slice_of(store->data + from, store->bytes - from);
}

static int parse_presigned(const struct sigv4_request *request, struct sigv4_claim *claim,
                           struct error *err)
{
    static const char *const needed[] = {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature",
                                         "X-Amz-SignedHeaders", "X-Amz-Date"};
    static _Thread_local struct buf store; /* Lives until the next call, as the claim does. */
    struct slice expires = query_value(request->query, "X-Amz-Expires");
    struct buf text = {0};
    int rc;

    buf_clear(&store);
    buf_reserve(&store, request->query.bytes + 1);
    for (size_t i = 0; i < COUNT_OF(needed); i++) {
        if (query_value(request->query, needed[i]).bytes == 0) {
            buf_printf(&text, "AWS query-string parameters must include '%s'. ", needed[i]);
        }
    }
    if (text.bytes > 0) {
        buf_add_z(&text, "Re-examine the query-string parameters.");
        return incomplete(err, &text);
    }
    claim->presigned = true;
    claim->signed_headers = decoded(query_value(request->query, "X-Amz-SignedHeaders"), &store);
    claim->signature = query_value(request->query, "X-Amz-Signature");
    claim->session_token = query_value(request->query, "X-Amz-Security-Token");
    claim->expires_s = 3600;
    if (expires.data != NULL &&
        text_to_i64(expires, 1, PRESIGNED_S_MAX, &claim->expires_s, NULL) != 0) {
        buf_add_z(&text, "X-Amz-Expires must be a number from 1 to 604800");
        return incomplete(err, &text);
    }
    rc = parse_date(query_value(request->query, "X-Amz-Date"), claim, err);
    if (rc == 0) {
        rc = check_host(claim, err);
    }
    return rc != 0
               ? rc
               : parse_credential(decoded(query_value(request->query, "X-Amz-Credential"), &store),
                                  claim, err);
}

int sigv4_parse(const struct sigv4_request *request, struct sigv4_claim *claim, struct error *err)
{
    struct slice authorization = find_header(request, "authorization");
    bool in_query = query_value(request->query, "X-Amz-Algorithm").data != NULL ||
                    query_value(request->query, "X-Amz-Credential").data != NULL;

    *claim = (struct sigv4_claim){0};
    if (authorization.data != NULL && in_query) {
        return auth_error(err, 403, "InvalidSignature",
                          "Found both 'X-Amz-Algorithm' as a query-string param and "
                          "'Authorization' as HTTP header.");
    }
    if (authorization.data == NULL && !in_query) {
        return auth_error(err, 403, "MissingAuthenticationToken",
                          "Request is missing Authentication Token");
    }
    return in_query ? parse_presigned(request, claim, err)
                    : parse_header(request, authorization, claim, err);
}

int sigv4_check_time(const struct sigv4_claim *claim, int64_t wall_ms, int64_t skew_ms,
                     struct error *err)
{
    char date[TIME_TEXT_BYTES], limit[TIME_TEXT_BYTES], now[TIME_TEXT_BYTES];
    struct buf text = {0};
    long long minutes = skew_ms / 60000;

    if (claim->presigned && wall_ms > claim->date_ms + claim->expires_s * 1000) {
        return auth_error(err, 400, "RequestExpired", "Request has expired.");
    }
    time_format_basic(claim->date_ms, date);
    time_format_basic(wall_ms, now);
    if (!claim->presigned && claim->date_ms < wall_ms - skew_ms) {
        time_format_basic(wall_ms - skew_ms, limit);
        buf_printf(&text, "Signature expired: %s is now earlier than %s (%s - %lld min.)", date,
                   limit, now, minutes);
    } else if (claim->date_ms > wall_ms + skew_ms) {
        time_format_basic(wall_ms + skew_ms, limit);
        buf_printf(&text, "Signature not yet current: %s is still later than %s (%s + %lld min.)",
                   date, limit, now, minutes);
    } else {
        return 0;
    }
    auth_error(err, 403, "SignatureDoesNotMatch", buf_z(&text));
    buf_close(&text);
    return ERR_AUTH;
}

static bool is_hash(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (strchr("0123456789abcdef", text.data[i]) == NULL) {
            return false;
        }
    }
    return text.bytes == 64;
}

static bool matches(const struct sigv4_request *request, const struct sigv4_claim *claim,
                    struct slice secret, struct slice payload_hash)
{
    struct buf canonical = {0}, to_sign = {0};
    char signature[SIGV4_HASH_HEX_BYTES];
    bool same;

    buf_reserve(&canonical, CANONICAL_BYTES);
    sigv4_canonical_request(request, claim->signed_headers, payload_hash, &canonical);
    sigv4_string_to_sign(&claim->scope, buf_slice(&canonical), &to_sign);
    sigv4_signature(secret, &claim->scope, buf_slice(&to_sign), signature);
    same = claim->signature.bytes == 64 && CRYPTO_memcmp(claim->signature.data, signature, 64) == 0;
    buf_close(&canonical);
    buf_close(&to_sign);
    return same;
}

int sigv4_verify(const struct sigv4_request *request, const struct sigv4_claim *claim,
                 struct slice secret, struct error *err)
{
    struct slice given = find_header(request, "x-amz-content-sha256");
    char hash[SIGV4_HASH_HEX_BYTES];
    struct slice payload;

    sigv4_hash(request->body, hash);
    payload = slice_z(hash);
    /* A hash that the client names must be the body's; "UNSIGNED-PAYLOAD" stands for itself. */
    if (given.data != NULL && !(is_hash(given) && !slice_equal(given, payload))) {
        payload = given;
    }
    if (matches(request, claim, secret, payload) ||
        (claim->presigned && matches(request, claim, secret, SLICE_LIT("UNSIGNED-PAYLOAD")))) {
        return 0;
    }
    return auth_error(err, 403, "SignatureDoesNotMatch",
                      "The request signature we calculated does not match the signature you "
                      "provided. Check your AWS Secret Access Key and signing method. Consult the "
                      "service documentation for details.");
}
