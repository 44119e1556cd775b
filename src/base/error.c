#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* vsnprintf() may have cut a character of several bytes in two. */
static void cut_whole(char *message)
{
    size_t bytes = strlen(message), start = bytes;

    if (bytes + 1 < ERROR_MESSAGE_BYTES) {
        return;
    }
    while (start > 0 && ((unsigned char)message[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start > 0 && (unsigned char)message[start - 1] >= 0xc0) {
        message[start - 1] = '\0';
    }
}

static void PRINTF_LIKE(5, 0) fill(struct error *err, enum error_code code, int http_status,
                                   const char *aws_code, const char *format, va_list args)
{
    if (err == NULL) {
        return;
    }
    err->code = code;
    err->http_status = http_status;
    snprintf(err->aws_code, sizeof(err->aws_code), "%s", aws_code);
    vsnprintf(err->message, sizeof(err->message), format, args);
    cut_whole(err->message);
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, code, 0, "", format, args);
    va_end(args);
    return (int)code;
}

int error_api(struct error *err, const char *aws_code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, ERR_API, 400, aws_code, format, args);
    va_end(args);
    return ERR_API;
}

int error_api_status(struct error *err, int http_status, const char *aws_code, const char *format,
                     ...)
{
    va_list args;

    va_start(args, format);
    fill(err, ERR_API, http_status, aws_code, format, args);
    va_end(args);
    return ERR_API;
}

int error_errno(struct error *err, const char *format, ...)
{
    int saved = errno;
    va_list args;
    size_t bytes;

    va_start(args, format);
    fill(err, ERR_SYSTEM, 0, "", format, args);
    va_end(args);
    if (err != NULL) {
        bytes = strlen(err->message);
        snprintf(err->message + bytes, sizeof(err->message) - bytes, ": %s", strerror(saved));
    }
    return ERR_SYSTEM;
}

int error_wrap(struct error *err, const char *format, ...)
{
    char inner[ERROR_MESSAGE_BYTES];
    va_list args;
    size_t bytes;

    if (err == NULL) {
        return ERR_INTERNAL;
    }
    memcpy(inner, err->message, sizeof(inner));
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    bytes = strlen(err->message);
    snprintf(err->message + bytes, sizeof(err->message) - bytes, ": %s", inner);
    return (int)err->code;
}

const char *error_code_name(enum error_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_INVALID:
        return "invalid";
    case ERR_MISSING:
        return "missing";
    case ERR_NOT_FOUND:
        return "not-found";
    case ERR_EXISTS:
        return "exists";
    case ERR_DENIED:
        return "denied";
    case ERR_TOO_LARGE:
        return "too-large";
    case ERR_UNKNOWN_OP:
        return "unknown-operation";
    case ERR_AUTH:
        return "auth";
    case ERR_API:
        return "api";
    case ERR_BUSY:
        return "busy";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_SYSTEM:
        return "system";
    case ERR_CONFIG:
        return "config";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}
