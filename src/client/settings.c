#include "client/settings.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1024 * 1024)
#define JSON_1_0 "application/x-amz-json-1.0"
#define JSON_1_1 "application/x-amz-json-1.1"

static const struct aws_service_facts facts[] = {
    [AWS_AUTO_SCALING] = {.name = "autoscaling",
                          .host = "autoscaling",
                          .signing = "autoscaling",
                          .suffix = "AUTO_SCALING",
                          .version = "2011-01-01"},
    [AWS_CLOUD_FORMATION] = {.name = "cloudformation",
                             .host = "cloudformation",
                             .signing = "cloudformation",
                             .suffix = "CLOUDFORMATION",
                             .version = "2010-05-15"},
    [AWS_CLOUD_WATCH] = {.name = "cloudwatch",
                         .host = "monitoring",
                         .signing = "monitoring",
                         .suffix = "CLOUDWATCH",
                         .target = "GraniteServiceVersion20100801",
                         .json_type = JSON_1_0},
    [AWS_DYNAMODB] = {.name = "dynamodb",
                      .host = "dynamodb",
                      .signing = "dynamodb",
                      .suffix = "DYNAMODB",
                      .target = "DynamoDB_20120810",
                      .json_type = JSON_1_0},
    [AWS_EC2] =
        {.name = "ec2", .host = "ec2", .signing = "ec2", .suffix = "EC2", .version = "2016-11-15"},
    [AWS_ELB] = {.name = "elbv2",
                 .host = "elasticloadbalancing",
                 .signing = "elasticloadbalancing",
                 .suffix = "ELASTIC_LOAD_BALANCING_V2",
                 .version = "2015-12-01"},
    [AWS_IAM] =
        {.name = "iam", .host = "iam", .signing = "iam", .suffix = "IAM", .version = "2010-05-08"},
    [AWS_SSM] = {.name = "ssm",
                 .host = "ssm",
                 .signing = "ssm",
                 .suffix = "SSM",
                 .target = "AmazonSSM",
                 .json_type = JSON_1_1},
    [AWS_STS] =
        {.name = "sts", .host = "sts", .signing = "sts", .suffix = "STS", .version = "2011-06-15"},
};

const struct aws_service_facts *aws_service_facts(enum aws_service service)
{
    return &facts[service];
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static void forget(char **secret)
{
    if (*secret != NULL) {
        explicit_bzero(*secret, strlen(*secret));
        free(*secret);
        *secret = NULL;
    }
}

void aws_keys_close(struct aws_keys *keys)
{
    forget(&keys->access_key);
    forget(&keys->secret);
    forget(&keys->token);
    keys->expires_ms = 0;
}

/* Files. */

static int read_file(const char *path, struct buf *text, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;

    if (fd < 0) {
        return error_errno(err, "%s", path);
    }
    do {
        text->bytes += (size_t)got;
        buf_reserve(text, 4096);
        got = read(fd, text->data + text->bytes, 4096);
    } while (got > 0 && text->bytes < FILE_BYTES_MAX);
    close(fd);
    if (got < 0) {
        return error_errno(err, "%s", path);
    }
    return 0;
}

/* The file that @name names, else ~/@otherwise; nothing to read is no error. */
static void read_shared(const char *name, const char *otherwise, struct buf *text)
{
    const char *path = variable(name), *home = variable("HOME");
    struct buf full = {0};

    if (path == NULL && home != NULL) {
        buf_printf(&full, "%s/%s", home, otherwise);
        path = buf_z(&full);
    }
    if (path != NULL && read_file(path, text, NULL) != 0) {
        buf_clear(text);
    }
    buf_close(&full);
}

bool aws_ini_find(struct slice text, struct slice section, const char *key, struct slice *value)
{
    struct slice line;
    bool inside = false, found = false;

    while (slice_next(&text, '\n', &line)) {
        struct slice trimmed = slice_trim(line);
        size_t equals = slice_find(trimmed, '=');

        if (trimmed.bytes == 0 || trimmed.data[0] == '#' || trimmed.data[0] == ';') {
            continue;
        }
        if (trimmed.data[0] == '[') {
            struct slice name = slice_sub(trimmed, 1, slice_find(trimmed, ']') - 1);

            inside = slice_equal(slice_trim(name), section);
        } else if (inside && equals < trimmed.bytes && line.data[0] != ' ' &&
                   line.data[0] != '\t' &&
                   slice_equal_case(slice_trim(slice_sub(trimmed, 0, equals)), slice_z(key))) {
            *value = slice_trim(slice_sub(trimmed, equals + 1, trimmed.bytes));
            found = true; /* The last one counts. */
        }
    }
    return found;
}

static const char *profile(void)
{
    const char *name = variable("AWS_PROFILE");

    name = name == NULL ? variable("AWS_DEFAULT_PROFILE") : name;
    return name == NULL ? "default" : name;
}

static bool in_config(struct slice text, const char *key, struct slice *value)
{
    struct buf section = {0};
    bool found;

    buf_printf(&section, "profile %s", profile());
    found = aws_ini_find(text, buf_slice(&section), key, value);
    if (!found && strcmp(profile(), "default") == 0) {
        found = aws_ini_find(text, SLICE_LIT("default"), key, value);
    }
    buf_close(&section);
    return found;
}

/* Keys. */

typedef bool find_fn(struct slice text, const char *key, struct slice *value);

static bool in_credentials(struct slice text, const char *key, struct slice *value)
{
    return aws_ini_find(text, slice_z(profile()), key, value);
}

static bool in_default(struct slice text, const char *key, struct slice *value)
{
    return aws_ini_find(text, SLICE_LIT("default"), key, value);
}

static char *copy_of(find_fn *find, struct slice text, const char *key)
{
    struct slice value;

    return find(text, key, &value) && value.bytes > 0 ? mem_strndup(value.data, value.bytes) : NULL;
}

static int half(struct aws_keys *keys, const char *where, struct error *err)
{
    const char *missing = keys->access_key == NULL ? "an access key" : "a secret key";

    aws_keys_close(keys);
    return error_set(err, ERR_CONFIG, "%s: %s is missing", where, missing);
}

static int take_keys(find_fn *find, struct slice text, const char *where, struct aws_keys *keys,
                     struct error *err)
{
    keys->access_key = copy_of(find, text, "aws_access_key_id");
    keys->secret = copy_of(find, text, "aws_secret_access_key");
    keys->token = copy_of(find, text, "aws_session_token");
    if (keys->access_key == NULL && keys->secret == NULL) {
        aws_keys_close(keys);
        return error_set(err, ERR_NOT_FOUND, "%s: no credentials", where);
    }
    if (keys->access_key == NULL || keys->secret == NULL) {
        return half(keys, where, err);
    }
    return 0;
}

int aws_keys_read(const char *file, struct aws_keys *keys, struct error *err)
{
    struct buf text = {0};
    int rc = read_file(file, &text, err);

    if (rc == 0) {
        rc = take_keys(in_default, buf_slice(&text), file, keys, err);
    }
    buf_close(&text);
    return rc;
}

static int environment_keys(struct aws_keys *keys, struct error *err)
{
    keys->access_key = mem_strdup(variable("AWS_ACCESS_KEY_ID"));
    keys->secret = mem_strdup(variable("AWS_SECRET_ACCESS_KEY"));
    keys->token = mem_strdup(variable("AWS_SESSION_TOKEN"));
    if (keys->access_key == NULL && keys->secret == NULL) {
        aws_keys_close(keys);
        return error_set(err, ERR_NOT_FOUND, "no credentials in the environment");
    }
    if (keys->access_key == NULL || keys->secret == NULL) {
        return half(keys, "environment", err);
    }
    return 0;
}

int aws_keys_find(const char *file, struct aws_keys *keys, struct error *err)
{
    struct buf text = {0};
    int rc = environment_keys(keys, err);

    if (rc == ERR_NOT_FOUND && file != NULL) {
        rc = aws_keys_read(file, keys, err);
        rc = rc == ERR_SYSTEM ? ERR_NOT_FOUND : rc; /* The file need not be there. */
    }
    if (rc == ERR_NOT_FOUND) {
        read_shared("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", &text);
        rc = take_keys(in_credentials, buf_slice(&text), "shared credentials file", keys, err);
    }
    if (rc == ERR_NOT_FOUND) {
        buf_clear(&text);
        read_shared("AWS_CONFIG_FILE", ".aws/config", &text);
        rc = take_keys(in_config, buf_slice(&text), "shared config file", keys, err);
    }
    buf_close(&text);
    return rc;
}

/* Region and endpoints. */

static char *from_config(const char *key)
{
    struct buf text = {0};
    char *value;

    read_shared("AWS_CONFIG_FILE", ".aws/config", &text);
    value = copy_of(in_config, buf_slice(&text), key);
    buf_close(&text);
    return value;
}

char *aws_region_find(void)
{
    const char *region = variable("AWS_REGION");

    region = region == NULL ? variable("AWS_DEFAULT_REGION") : region;
    return region != NULL ? mem_strdup(region) : from_config("region");
}

char *aws_endpoint_find(enum aws_service service)
{
    const char *ignore = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), *url;
    struct buf name = {0};

    if (ignore != NULL && strcasecmp(ignore, "true") == 0) {
        return NULL;
    }
    buf_printf(&name, "AWS_ENDPOINT_URL_%s", facts[service].suffix);
    url = variable(buf_z(&name));
    buf_close(&name);
    url = url == NULL ? variable("AWS_ENDPOINT_URL") : url;
    return url != NULL ? mem_strdup(url) : from_config("endpoint_url");
}

char *aws_endpoint_default(enum aws_service service, const char *region)
{
    struct buf url = {0};

    if (service == AWS_IAM) {
        buf_add_z(&url, "https://iam.amazonaws.com");
    } else {
        buf_printf(&url, "https://%s.%s.amazonaws.com%s", facts[service].host, region,
                   strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    }
    return buf_take(&url);
}

int aws_url_parse(const char *url, struct aws_url *parts, struct error *err)
{
    struct slice text = slice_z(url), rest;
    static const char separator[] = "://";
    const char *at = strstr(url, separator);

    if (at == NULL) {
        return error_set(err, ERR_CONFIG, "the endpoint '%s' is no URL", url);
    }
    parts->scheme = slice_sub(text, 0, (size_t)(at - url));
    rest = slice_sub(text, parts->scheme.bytes + strlen(separator), text.bytes);
    parts->host = slice_sub(rest, 0, slice_find(rest, '/'));
    parts->prefix = slice_sub(rest, parts->host.bytes, rest.bytes);
    if ((!slice_equal_z(parts->scheme, "http") && !slice_equal_z(parts->scheme, "https")) ||
        parts->host.bytes == 0 || slice_find(parts->host, '@') < parts->host.bytes ||
        slice_find(rest, '?') < rest.bytes) {
        return error_set(err, ERR_CONFIG, "the endpoint '%s' is no http or https URL", url);
    }
    while (slice_ends(parts->prefix, SLICE_LIT("/"))) {
        parts->prefix.bytes--;
    }
    if (slice_equal_z(parts->scheme, "http") && slice_ends(parts->host, SLICE_LIT(":80"))) {
        parts->host.bytes -= 3;
    } else if (slice_equal_z(parts->scheme, "https") &&
               slice_ends(parts->host, SLICE_LIT(":443"))) {
        parts->host.bytes -= 4;
    }
    return 0;
}
