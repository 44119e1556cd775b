/* The placeholders of a request. */
#include "base/buf.h"
#include "base/macros.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/value.h"

#include <string.h>

#define PLACEHOLDER_BYTES_MAX 255
#define WRITE_PREFIX(scope) ((scope)->write ? "1 validation error detected: " : "")

void scope_close(struct scope *scope)
{
    if (scope == NULL) {
        return;
    }
    json_decref(scope->names);
    json_decref(scope->values);
    json_decref(scope->names_used);
    json_decref(scope->values_used);
    arena_close(&scope->arena);
    *scope = (struct scope){0};
}

static bool key_is_good(const char *key, char mark)
{
    size_t bytes = strlen(key);

    if (key[0] != mark || bytes < 2 || bytes > PLACEHOLDER_BYTES_MAX) {
        return false;
    }
    for (size_t i = 1; i < bytes; i++) {
        char c = key[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_')) {
            return false;
        }
    }
    return true;
}

static int check_keys(const struct scope *scope, const json_t *map, char mark, const char *what,
                      struct error *err)
{
    const char *key;
    json_t *value;

    if (json_object_size(map) == 0) {
        return error_api(err, "ValidationException", "%s%s must not be empty",
                         mark == ':' ? WRITE_PREFIX(scope) : "", what);
    }
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        if (!key_is_good(key, mark)) {
            return error_api(err, "ValidationException",
                             "%s contains invalid key: Syntax error; key: \"%s\"", what, key);
        }
    }
    return 0;
}

static int take_values(struct scope *scope, const json_t *values, struct error *err)
{
    const char *key;
    json_t *value;

    scope->values = json_object();
    json_object_foreach((json_t *)(uintptr_t)values, key, value)
    {
        struct error inner = {0};
        json_t *copy = NULL;

        if (value_normalise(value, &copy, &inner) != 0) {
            bool empty_set = strstr(inner.message, "may not be empty") != NULL ||
                             strstr(inner.message, "should not be empty") != NULL;

            if (strcmp(inner.aws_code, "ValidationException") != 0) {
                return error_api(err, inner.aws_code, "%s", inner.message);
            }
            return scope->write && empty_set
                       ? error_api(err, inner.aws_code, "%s%s", WRITE_PREFIX(scope), inner.message)
                       : error_api(err, inner.aws_code,
                                   "ExpressionAttributeValues contains invalid value: %s for key"
                                   " %s",
                                   inner.message, key);
        }
        json_object_set_new(scope->values, key, copy);
    }
    return 0;
}

int scope_set(struct scope *scope, const json_t *names, const json_t *values, struct error *err)
{
    int rc = 0;

    ASSERT(scope->names_used == NULL);
    scope->names_used = json_object();
    scope->values_used = json_object();
    if (names != NULL) {
        rc = check_keys(scope, names, '#', "ExpressionAttributeNames", err);
        if (rc == 0) {
            scope->names = json_deep_copy(names);
        }
    }
    if (rc == 0 && values != NULL) {
        rc = check_keys(scope, values, ':', "ExpressionAttributeValues", err);
        if (rc == 0) {
            rc = take_values(scope, values, err);
        }
    }
    return rc;
}

static int check_used(const struct scope *scope, const json_t *map, const json_t *used,
                      const char *what, struct error *err)
{
    struct buf unused = {0};
    const char *key;
    json_t *value;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        if (json_object_get(used, key) == NULL) {
            buf_printf(&unused, "%s%s", unused.bytes == 0 ? "" : ", ", key);
        }
    }
    if (unused.bytes > 0) {
        rc = error_api(err, "ValidationException",
                       "%sValue provided in %s unused in expressions: keys: {%s}",
                       WRITE_PREFIX(scope), what, buf_z(&unused));
    }
    buf_close(&unused);
    return rc;
}

int scope_check_unused(const struct scope *scope, struct error *err)
{
    int rc = check_used(scope, scope->names, scope->names_used, "ExpressionAttributeNames", err);

    return rc != 0 ? rc
                   : check_used(scope, scope->values, scope->values_used,
                                "ExpressionAttributeValues", err);
}
