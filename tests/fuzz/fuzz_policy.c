/* Any text as a policy document: what is accepted can be judged. */
#include "base/alloc.h"
#include "services/iam/evaluate.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct policy_variable variables[] = {
        {"aws:SourceIp",    "10.0.7.9"            },
        {"aws:CurrentTime", "2026-11-24T00:00:00Z"},
        {"aws:username",    "ann"                 }
    };
    const struct policy_request request = {
        .action = "sts:AssumeRole",
        .resource = "arn:aws:iam::000000000000:role/web",
        .principal = "arn:aws:iam::000000000000:user/ann",
        .variables = variables,
        .variable_count = COUNT_OF(variables),
    };
    char *text = mem_strndup((const char *)data, bytes);

    for (int trust = 0; trust < 2; trust++) {
        json_t *policy = NULL;
        struct error err;

        if (policy_parse(text, trust != 0, &policy, &err) == 0) {
            policy_evaluate(policy, &request);
        }
        json_decref(policy);
    }
    free(text);
    return 0;
}
