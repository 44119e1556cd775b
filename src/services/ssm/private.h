/* What Systems Manager's files share. */
#ifndef SERVICES_SSM_PRIVATE_H
#define SERVICES_SSM_PRIVATE_H

#include "aws/id.h"
#include "base/map.h"
#include "services/ec2/ec2.h"
#include "services/ssm/ssm.h"
#include "wire/doc.h"

#define SSM_PLUGIN "aws:runShellScript"
#define SSM_DOCUMENT "AWS-RunShellScript"
#define SSM_OUTPUT_BYTES_MAX 24000 /* What GetCommandInvocation gives of each. */
#define SSM_ERRORS_BYTES_MAX 8000

enum invocation_status {
    INVOCATION_PENDING,
    INVOCATION_IN_PROGRESS,
    INVOCATION_SUCCESS,
    INVOCATION_FAILED,
    INVOCATION_TIMED_OUT,
    INVOCATION_CANCELLED,
    INVOCATION_CANCELLING,
    INVOCATION_STATUSES
};

struct invocation {
    char *instance;
    enum invocation_status status;
    char *details; /* StatusDetails; NULL: as the status is called. */
    int32_t code;  /* The script's; -1: none yet, or never. */
    int64_t started_ms, ended_ms;
    char *output, *errors; /* NULL: none. */
};

struct parameter {
    char *name;
    char **values;
    size_t values_count;
};

struct command {
    char *id; /* A UUID. */
    char *document, *version, *comment;
    char *concurrency, *errors_max; /* "50", "10%" */
    int64_t requested_ms, expires_ms;
    int32_t timeout_s;
    struct parameter *parameters;
    size_t parameters_count;
    struct parameter *targets; /* Key and Values. */
    size_t targets_count;
    bool by_targets; /* InstanceIds was not given. */
    struct invocation *invocations;
    size_t invocations_count;

    char place[20]; /* Its record's id: commands sort by time. */
};

/* A parameter of a user's own; only its newest version is kept. */
struct stored_parameter {
    char *name; /* As it was put: "a", "/a/b". */
    char *arn;
    char *value, *type, *data_type; /* type: String, StringList */
    char *description, *pattern;    /* May be NULL. */
    char *modified_by;              /* ARN */
    int64_t modified_ms, version;
};

struct ssm {
    struct map commands;   /* Id -> struct command, oldest first. */
    struct map parameters; /* Name -> struct stored_parameter. */
    uint64_t next_place;
    size_t running; /* Scripts, now. */
    struct control *control;
};

/* "InProgress" */
const char *invocation_status_name(enum invocation_status status);
bool invocation_is_over(const struct invocation *invocation);
/* Of the command as a whole. */
enum invocation_status command_status(const struct command *command);

/* Can the instance be given commands? It runs, has booted, and its role lets the agent talk. */
bool instance_is_managed(struct ctx *ctx, const struct ec2_instance *instance);

/* The parameter's first value, or NULL. */
const char *command_parameter(const struct command *command, const char *name);

/* The invocation on @instance, or NULL. */
struct invocation *command_invocation(const struct command *command, const char *instance);
/* How long its script may run. */
int64_t command_execution_timeout_s(const struct command *command);

/* describe.c: as SendCommand and ListCommands answer. */
void command_describe(const struct command *command, struct doc *out);

/* service.c */
void command_changed(struct ctx *ctx, const struct command *command);
/* Take a new command into memory and the store; the oldest that are over go when there are too
 * many. */
void command_add(struct ctx *ctx, struct command *command);

/* find_parameters.c: kind parameter; wire_hooks.resource(). */
const char *ssm_resource(struct ctx *ctx, struct slice kind, struct slice value);

/* parameters.c */
int parameter_load(struct ssm *ssm, struct slice body, struct error *err);
void parameters_close(struct ssm *ssm);

/* run.c: start what is pending, as far as the limits allow, after ctx's commit. */
void invocations_start(struct ctx *ctx);

#endif /* SERVICES_SSM_PRIVATE_H */
