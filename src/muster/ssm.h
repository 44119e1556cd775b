/* Running scripts in instances, as AWS Systems Manager does: SendCommand with AWS-RunShellScript.
 */
#ifndef MUSTER_SSM_H
#define MUSTER_SSM_H

#include "muster/cli.h"

struct ssm_result {
    int code; /* The script's. */
    char *output, *errors;
};
void ssm_result_close(struct ssm_result *result);

/* Which instance a user means: an id, or the beginning of one that is unique among those that are
 * not terminated ("i-0a3", "0a3"), or a Name tag. *@id is the caller's; *@instance, unless NULL, is
 * what DescribeInstances says of it. ERR_NOT_FOUND with what there is. */
int ssm_find_instance(struct cli *cli, const char *word, char **id, json_t **instance,
                      struct error *err);

/* All instances that are not terminated, as DescribeInstances has them; the caller's. */
int ssm_list_instances(struct cli *cli, json_t **instances, struct error *err);

/* Run @script as root in one instance and wait for at most @timeout_s real seconds, cancelling when
 * interrupted. A script that ends with another code than 0 is no error; one that did not run, or
 * took too long, is. ssm_result_close() in any case. */
int ssm_run(struct cli *cli, const char *instance, const char *script, int64_t timeout_s,
            struct ssm_result *result, struct error *err);

/* Send @script to @instances (ids), 50 at a time, and do not wait. @comment says what for. */
int ssm_send(struct cli *cli, const json_t *instances, const char *script, const char *comment,
             struct error *err);

/* Append 'text', quoted for a shell. */
void ssm_quote(struct buf *script, const char *text);

#endif /* MUSTER_SSM_H */
