/* Any text as a policy document: what is accepted can be judged. */
#include "base/alloc.h"
#include "services/iam/evaluate.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct policy_variable variables[] = {{"aws:SourceIp", "10.0.7.9"},
                                                       {"aws:CurrentTime", "2026-11-24T00:00:00Z"},
                                                       {"aws:username", "ann"},
                                                       {"aws:MultiFactor", "false"},
                                                       {"aws:Age", "12.5"}};
    const struct policy_request requests[] = {
        {.action = "dynamodb:PutItem",
         .resource = "arn:aws:dynamodb:us-east-2:000000000000:table/Candidates",
         .principal = "arn:aws:iam::000000000000:user/ann",
         .variables = variables,
         .variable_count = COUNT_OF(variables)},
        {.action = "sts:AssumeRole",
         .resource = "arn:aws:iam::000000000000:role/web",
         .principal = "arn:aws:sts::000000000000:assumed-role/web/i-1",
         .principal_role = "arn:aws:iam::000000000000:role/web"},
        {.action = "sts:AssumeRole",
         .resource = "arn:aws:iam::000000000000:role/web",
         .service = "ec2.amazonaws.com"},
    };
    char *text = mem_strndup((const char *)data, bytes);

    ASSERT(policy_chars(text) <= bytes);
    for (int trust = 0; trust < 2; trust++) {
        json_t *policy = NULL;
        struct error err;

        if (policy_parse(text, trust != 0, &policy, &err) == 0) {
            for (size_t i = 0; i < COUNT_OF(requests); i++) {
                policy_evaluate(policy, &requests[i]);
            }
        }
        json_decref(policy);
    }
    free(text);
    return 0;
}
