#include "base/error.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text may have been cut in the midst of a character, by vsnprintf() or by who quotes it; an
 * answer is UTF-8 all the same. */
static void mend(char *message)
{
    size_t bytes = strlen(message);

    if (text_is_utf8(slice_of(message, bytes))) {
        return;
    }
    for (size_t at = 0; at < bytes;) {
        size_t whole = 1;

        while (whole < 4 && !text_is_utf8(slice_sub(slice_of(message, bytes), at, whole))) {
            whole++;
        }
        if (text_is_utf8(slice_sub(slice_of(message, bytes), at, whole))) {
            at += whole;
        } else {
            message[at++] = '?';
        }
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
    mend(err->message);
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
