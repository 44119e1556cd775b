/* What went wrong, for whoever must act on it.
 *
 * Everything fallible returns int: 0, or the enum error_code that it also stores in its last
 * argument. Failing allocates nothing. A failing function changes nothing else unless it says so.
 *
 * An AWS service failure (ERR_API) carries AWS's own code, "InvalidInstanceID.NotFound", and text;
 * wire/ renders it in the caller's protocol. The other codes are protocol-neutral: one table in
 * wire/errors.c gives each its AWS code, HTTP status and fault side. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/macros.h"

#define ERROR_AWS_CODE_BYTES 96
#define ERROR_MESSAGE_BYTES 2048

enum error_code {
    ERR_NONE = 0,

    /* The caller must change the request. */
    ERR_INVALID,    /* A value is malformed or out of range. */
    ERR_MISSING,    /* A required parameter is absent. */
    ERR_NOT_FOUND,  /* The thing named is not there. */
    ERR_EXISTS,     /* The name is taken. */
    ERR_DENIED,     /* The caller's policies do not allow it. */
    ERR_TOO_LARGE,  /* A bound on outside input was passed. */
    ERR_UNKNOWN_OP, /* AWS or muster has no such action. */
    ERR_AUTH,       /* Credentials or signature; aws_code says which. */
    ERR_API,        /* A service's own error: aws_code and http_status (0: 400) are set. */

    /* Trying again may help. */
    ERR_BUSY,        /* Another change is under way. */
    ERR_UNAVAILABLE, /* A part is down or starting, or the disk is nearly full. */
    ERR_TIMEOUT,     /* A deadline passed. */

    /* The operator must act. */
    ERR_SYSTEM, /* The kernel or a library refused; the text has its reason. */
    ERR_CONFIG, /* An option or file is wrong. */

    /* A bug in muster. */
    ERR_INTERNAL,
};

struct error {
    enum error_code code;
    int http_status; /* For ERR_API and ERR_AUTH; 0 means the protocol's default. */
    char aws_code[ERROR_AWS_CODE_BYTES];
    char message[ERROR_MESSAGE_BYTES];
};

/* Store @code and the formatted text, cut at ERROR_MESSAGE_BYTES; returns @code, so that failing is
 * one line. @err may be NULL when only the code matters. */
int error_set(struct error *err, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Fail as an AWS service does, with HTTP status 400. Returns ERR_API. */
int error_api(struct error *err, const char *aws_code, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same with another HTTP status. */
int error_api_status(struct error *err, int http_status, const char *aws_code, const char *format,
                     ...) PRINTF_LIKE(4, 5);

/* ERR_SYSTEM with "what: strerror(errno)". */
int error_errno(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Put "context: " before the text of a failure on its way up. Returns the code that @err holds. */
int error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* "invalid", "not-found" and so on, for logs. */
const char *error_code_name(enum error_code code);

#endif /* BASE_ERROR_H */
