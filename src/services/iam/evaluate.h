/* Policy documents: are they well-formed, and what do they say about a request?
 *
 * "Policy evaluation logic" and "IAM JSON policy elements" in the IAM User Guide. Pure. */
#ifndef SERVICES_IAM_EVALUATE_H
#define SERVICES_IAM_EVALUATE_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct policy_variable {
    const char *name;  /* "aws:SourceIp" */
    const char *value; /* NULL: the request has none. */
};

struct policy_request {
    const char *action;   /* "ec2:RunInstances" */
    const char *resource; /* An ARN, or "*". */
    /* For trust policies; NULL otherwise: who asks, the role whose session it is, a service. */
    const char *principal;      /* "arn:aws:iam::000000000000:user/ann" */
    const char *principal_role; /* "arn:aws:iam::000000000000:role/web" */
    const char *service;        /* "ec2.amazonaws.com" */
    const struct policy_variable *variables;
    size_t variable_count;
};

enum policy_verdict { POLICY_SILENT, POLICY_ALLOW, POLICY_DENY };

/* MalformedPolicyDocument, in AWS's words. @trust: a trust policy must have principals, others must
 * not. *@policy is a new reference, unless it is NULL. */
int policy_parse(const char *text, bool trust, json_t **policy, struct error *err);

/* The size of a policy document, as IAM's quotas count it: without white space. */
size_t policy_chars(const char *text);

/* What one policy says: a matching Deny wins over any Allow. */
enum policy_verdict policy_evaluate(const json_t *policy, const struct policy_request *request);

#endif /* SERVICES_IAM_EVALUATE_H */
