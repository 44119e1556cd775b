/* The one table that makes an AWS code, an HTTP status and a fault side of an error. */
#include "wire/codec.h"

#include <string.h>

enum family family_of(enum model_protocol protocol)
{
    return protocol == PROTOCOL_QUERY ? FAMILY_QUERY
           : protocol == PROTOCOL_EC2 ? FAMILY_EC2
                                      : FAMILY_JSON;
}

struct named {
    const char *code;
    int http_status;
};

/* Errors that no service models. */
static const struct {
    enum error_code code;
    struct named query, ec2, json;
} general[] = {
    {ERR_INVALID,
     {"ValidationError", 400},
     {"InvalidParameterValue", 400},
     {"ValidationException", 400}},
    {ERR_MISSING,
     {"ValidationError", 400},
     {"MissingParameter", 400},
     {"ValidationException", 400}},
    {ERR_NOT_FOUND,
     {"ValidationError", 400},
     {"InvalidParameterValue", 400},
     {"ResourceNotFoundException", 400}},
    {ERR_EXISTS,
     {"AlreadyExists", 400},
     {"InvalidParameterValue", 400},
     {"ResourceInUseException", 400}},
    {ERR_DENIED,
     {"AccessDenied", 403},
     {"UnauthorizedOperation", 403},
     {"AccessDeniedException", 400}},
    {ERR_TOO_LARGE,
     {"RequestEntityTooLarge", 413},
     {"RequestEntityTooLarge", 413},
     {"RequestEntityTooLarge", 413}},
    {ERR_UNKNOWN_OP,
     {"InvalidAction", 400},
     {"InvalidAction", 400},
     {"UnknownOperationException", 400}},
    {ERR_BUSY, {"Throttling", 400}, {"RequestLimitExceeded", 503}, {"ThrottlingException", 400}},
    {ERR_UNAVAILABLE,
     {"ServiceUnavailable", 503},
     {"Unavailable", 503},
     {"ServiceUnavailable", 503}},
    {ERR_TIMEOUT, {"ServiceUnavailable", 503}, {"Unavailable", 503}, {"ServiceUnavailable", 503}},
    {ERR_SYSTEM, {"InternalFailure", 500}, {"InternalError", 500}, {"InternalServerError", 500}},
    {ERR_CONFIG, {"InternalFailure", 500}, {"InternalError", 500}, {"InternalServerError", 500}},
    {ERR_INTERNAL, {"InternalFailure", 500}, {"InternalError", 500}, {"InternalServerError", 500}},
};

/* Authentication: the query code -> what ec2 and the json services say. JSON's status is 400. */
static const struct {
    const char *query;
    struct named ec2;
    const char *json;
} authentication[] = {
    {"MissingAuthenticationToken", {"AuthFailure", 401}, "MissingAuthenticationTokenException"},
    {"InvalidClientTokenId", {"AuthFailure", 401}, "UnrecognizedClientException"},
    {"SignatureDoesNotMatch", {"AuthFailure", 401}, "InvalidSignatureException"},
    {"InvalidSignature", {"AuthFailure", 401}, "InvalidSignatureException"},
    {"IncompleteSignature", {"AuthFailure", 401}, "IncompleteSignatureException"},
    {"ExpiredToken", {"RequestExpired", 400}, "ExpiredTokenException"},
    {"RequestExpired", {"RequestExpired", 400}, "RequestExpired"},
};

static struct wire_error authentication_error(enum family family, const struct error *err)
{
    struct wire_error error = {err->aws_code, err->aws_code, err->http_status, true};

    for (size_t i = 0; i < COUNT_OF(authentication); i++) {
        if (strcmp(err->aws_code, authentication[i].query) != 0) {
            continue;
        }
        if (family == FAMILY_EC2) {
            error.code = authentication[i].ec2.code;
            error.http_status = authentication[i].ec2.http_status;
        } else if (family == FAMILY_JSON) {
            error.code = authentication[i].json;
            error.http_status = 400;
        }
    }
    error.http_status = error.http_status == 0 ? 403 : error.http_status;
    return error;
}

/* A service's own error, named by its shape or by its query code. */
static struct wire_error service_error(const struct model_service *service, enum family family,
                                       const struct error *err)
{
    struct wire_error error = {err->aws_code, err->aws_code,
                               err->http_status == 0 ? 400 : err->http_status, true};

    for (size_t i = 0; service != NULL && i < service->error_count; i++) {
        const struct model_error *row = &service->errors[i];

        if (strcmp(err->aws_code, row->shape) != 0 && strcmp(err->aws_code, row->code) != 0) {
            continue;
        }
        error.code = family == FAMILY_JSON ? row->shape : row->code;
        error.query_code = row->code;
        error.http_status =
            err->http_status != 0 && err->http_status != 400 ? err->http_status : row->http_status;
        break;
    }
    if (strcmp(error.query_code, "ValidationException") == 0) {
        error.query_code = "ValidationError"; /* No service models it; its older name has no row. */
    }
    error.sender = error.http_status < 500;
    return error;
}

struct wire_error wire_error_of(const struct model_service *service, enum family family,
                                const struct error *err)
{
    if (err->code == ERR_AUTH) {
        return authentication_error(family, err);
    }
    if (err->code == ERR_API) {
        return service_error(service, family, err);
    }
    for (size_t i = 0; i < COUNT_OF(general); i++) {
        if (general[i].code == err->code) {
            const struct named *named = family == FAMILY_QUERY ? &general[i].query
                                        : family == FAMILY_EC2 ? &general[i].ec2
                                                               : &general[i].json;

            return (struct wire_error){named->code, general[i].query.code, named->http_status,
                                       named->http_status < 500};
        }
    }
    return (struct wire_error){"InternalFailure", "InternalFailure", 500, false};
}
