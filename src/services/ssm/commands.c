/* SendCommand and CancelCommand. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "base/text.h"
#include "services/ssm/private.h"
#include "wire/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_BYTES_MAX 60000 /* It goes to the instance in an argument. */
#define EXECUTION_TIMEOUT_S_MAX 172800
#define DELIVERY_TIMEOUT_S 3600
#define TARGETS_MAX 50 /* Instances of one command, as many as InstanceIds may name. */

/* The instances to run on; ids are borrowed. */
struct targets {
    const char *ids[TARGETS_MAX];
    size_t count;
};

static int check_document(struct ctx *ctx, const struct doc *in, struct error *err)
{
    const char *name = doc_z(in, M_DocumentName), *version = doc_z(in, M_DocumentVersion);
    const char *const documents[] = {
        SSM_DOCUMENT,
        arena_printf(ctx->arena, "arn:aws:ssm:%s::document/" SSM_DOCUMENT,
                     ctx->control->options.region)
            .data,
        arena_printf(ctx->arena, "arn:aws:ssm:%s:%s:document/" SSM_DOCUMENT,
                     ctx->control->options.region, ctx->control->options.account)
            .data,
    };

    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        if (strcmp(name, documents[i]) == 0) {
            return version == NULL || strcmp(version, "1") == 0 || version[0] == '$'
                       ? 0
                       : error_api(err, "InvalidDocumentVersion",
                                   "Document " SSM_DOCUMENT " version %s doesn't exist.", version);
        }
    }
    return error_api(err, "InvalidDocument",
                     "Document with name %s does not exist. (muster has " SSM_DOCUMENT ".)", name);
}

static int check_number(const struct doc *values, const char *name, int64_t max, struct error *err)
{
    const char *text = doc_value_z(doc_element(values, 0));
    int64_t number;

    return text_to_i64(slice_z(text), 1, max, &number, NULL) == 0
               ? 0
               : error_api(err, "InvalidParameters",
                           "Parameter \"%s\" is %s: it must be a number from 1 to %lld.", name,
                           text, (long long)max);
}

static int check_parameters(const struct doc *in, struct error *err)
{
    size_t script_bytes = 0;

    for (size_t i = 0; i < doc_count(in, M_Parameters); i++) {
        struct slice key = doc_key_at(in, M_Parameters, i);
        const struct doc *values = doc_at(in, M_Parameters, i);

        if (slice_equal_z(key, "commands")) {
            for (size_t j = 0; j < doc_length(values); j++) {
                script_bytes += doc_value_text(doc_element(values, j)).bytes + 1;
            }
            continue;
        }
        if (!slice_equal_z(key, "workingDirectory") && !slice_equal_z(key, "executionTimeout")) {
            return error_api(err, "InvalidParameters",
                             "document " SSM_DOCUMENT " has no parameter named %.*s",
                             SLICE_ARG(key));
        }
        if (doc_length(values) != 1) {
            return error_api(err, "InvalidParameters", "Parameter \"%.*s\" takes one value.",
                             SLICE_ARG(key));
        }
        if (slice_equal_z(key, "executionTimeout") &&
            check_number(values, "executionTimeout", EXECUTION_TIMEOUT_S_MAX, err) != 0) {
            return ERR_API;
        }
    }
    if (script_bytes == 0) {
        return error_api(err, "InvalidParameters",
                         "document " SSM_DOCUMENT " requires parameter: commands");
    }
    if (script_bytes > SCRIPT_BYTES_MAX) {
        return error_api(err, "MaxDocumentSizeExceeded",
                         "The commands are %zu bytes; %d are the most.", script_bytes,
                         SCRIPT_BYTES_MAX);
    }
    return 0;
}

/* What muster cannot do is refused, not ignored: who asks for it waits for the result. */
static int check_outputs(const struct doc *in, struct error *err)
{
    if (doc_has(in, M_OutputS3BucketName) || doc_has(in, M_OutputS3KeyPrefix)) {
        return error_api(err, "InvalidOutputFolder",
                         "muster has no S3: GetCommandInvocation has the output.");
    }
    if (doc_has(in, M_NotificationConfig) || doc_has(in, M_ServiceRoleArn)) {
        return error_api(err, "InvalidNotificationConfig", "muster has no SNS.");
    }
    return doc_bool(doc_get(in, M_CloudWatchOutputConfig), M_CloudWatchOutputEnabled)
               ? error_api(err, "InvalidParameters", "muster has no CloudWatch Logs.")
               : 0;
}

/* "10" or "10%" */
static int check_limit(const struct doc *in, int member, const char *name, int64_t min,
                       struct error *err)
{
    struct slice text = doc_text(in, member);
    bool percent = slice_ends(text, SLICE_LIT("%"));
    int64_t number;

    text.bytes -= percent;
    return !doc_has(in, member) ||
                   text_to_i64(text, min, percent ? 100 : 1000000, &number, NULL) == 0
               ? 0
               : error_api(err, "ValidationException",
                           "%s must be a number, or a percentage such as 10%%.", name);
}

static bool is_target(const struct targets *targets, const char *id)
{
    for (size_t i = 0; i < targets->count; i++) {
        if (strcmp(targets->ids[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static int add_named(struct ctx *ctx, struct targets *targets, const char *id, struct error *err)
{
    const struct ec2_instance *instance = ec2_instance_find(ctx->control, id);

    if (is_target(targets, id)) {
        return error_api(err, "DuplicateInstanceId", "Instance %s is given twice.", id);
    }
    if (!instance_is_managed(ctx, instance)) {
        return error_api(err, "InvalidInstanceId",
                         "Instances [[%s]] not in a valid state for account %s", id,
                         ctx->control->options.account);
    }
    if (targets->count == TARGETS_MAX) {
        return error_api(err, "ValidationException", "A command runs on at most %d instances.",
                         TARGETS_MAX);
    }
    targets->ids[targets->count++] = instance->id;
    return 0;
}

/* Does the instance have what @target asks of its tags? */
static bool has_tag(const struct control *control, const struct ec2_instance *instance,
                    const struct doc *target)
{
    const char *key = doc_z(target, M_Key);

    if (strcmp(key, "tag-key") == 0) {
        for (size_t i = 0; i < doc_count(target, M_Values); i++) {
            if (ec2_instance_tag(control, instance, doc_z_at(target, M_Values, i)) != NULL) {
                return true;
            }
        }
        return false;
    }
    key = ec2_instance_tag(control, instance, key + strlen("tag:"));
    return key != NULL && doc_list_contains(target, M_Values, slice_z(key));
}

static int check_target(const struct doc *target, struct error *err)
{
    const char *key = doc_z(target, M_Key);

    return key != NULL && doc_count(target, M_Values) > 0 &&
                   (strcmp(key, "InstanceIds") == 0 || strcmp(key, "tag-key") == 0 ||
                    (strncmp(key, "tag:", 4) == 0 && key[4] != '\0'))
               ? 0
               : error_api(err, "InvalidParameters",
                           "A target's Key is InstanceIds, tag-key or tag:NAME, with Values.");
}

/* All targets must fit an instance; several values of one are alternatives. */
static int find_targets(struct ctx *ctx, const struct doc *in, struct targets *targets,
                        struct error *err)
{
    const struct ec2_instance *instance;

    for (size_t i = 0; i < doc_count(in, M_Targets); i++) {
        if (check_target(doc_at(in, M_Targets, i), err) != 0) {
            return ERR_API;
        }
    }
    for (size_t at = 0; (instance = ec2_instance_next(ctx->control, &at)) != NULL;) {
        bool fits = true;

        for (size_t i = 0; fits && i < doc_count(in, M_Targets); i++) {
            const struct doc *target = doc_at(in, M_Targets, i);

            fits = strcmp(doc_z(target, M_Key), "InstanceIds") == 0
                       ? doc_list_contains(target, M_Values, slice_z(instance->id))
                       : has_tag(ctx->control, instance, target);
        }
        if (fits && instance_is_managed(ctx, instance) &&
            add_named(ctx, targets, instance->id, err) != 0) {
            return ERR_API;
        }
    }
    return 0;
}

/* The document is judged by the model; here who it would run on, also when found by tags. */
static int judge_targets(struct ctx *ctx, const struct targets *targets, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < targets->count; i++) {
        rc = ctx->control->hooks->authorize(
            ctx, "ssm:SendCommand", ctx_arn(ctx, "ec2", "instance/%s", targets->ids[i]), err);
    }
    return rc;
}

static int choose_targets(struct ctx *ctx, const struct doc *in, struct targets *targets,
                          struct error *err)
{
    bool named = doc_count(in, M_InstanceIds) > 0;
    int rc = 0;

    if (named == (doc_count(in, M_Targets) > 0)) {
        return error_api(err, "ValidationException",
                         named ? "InstanceIds and Targets cannot be given together."
                               : "Give InstanceIds or Targets.");
    }
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        if (add_named(ctx, targets, doc_z_at(in, M_InstanceIds, i), err) != 0) {
            return ERR_API;
        }
    }
    rc = named ? 0 : find_targets(ctx, in, targets, err);
    return rc != 0 ? rc : judge_targets(ctx, targets, err);
}

static void copy_values(struct parameter *parameter, struct slice name, const struct doc *values)
{
    parameter->name = mem_strndup(name.data, name.bytes);
    parameter->values_count = doc_length(values);
    parameter->values = mem_calloc(parameter->values_count + 1, sizeof(char *));
    for (size_t i = 0; i < parameter->values_count; i++) {
        parameter->values[i] = mem_strdup(doc_value_z(doc_element(values, i)));
    }
}

static char *text_or(const struct doc *in, int member, const char *otherwise)
{
    return mem_strdup(doc_has(in, member) ? doc_z(in, member) : otherwise);
}

static struct command *make_command(struct ctx *ctx, const struct doc *in,
                                    const struct targets *targets)
{
    struct command *command = mem_calloc(1, sizeof(*command));
    char id[UUID_BYTES];

    id_new_uuid(id);
    command->id = mem_strdup(id);
    command->document = mem_strdup(doc_z(in, M_DocumentName));
    command->version = text_or(in, M_DocumentVersion, "$DEFAULT");
    command->comment = text_or(in, M_Comment, "");
    command->concurrency = text_or(in, M_MaxConcurrency, "50");
    command->errors_max = text_or(in, M_MaxErrors, "0");
    command->timeout_s = (int32_t)doc_int_or(in, M_TimeoutSeconds, DELIVERY_TIMEOUT_S);
    command->requested_ms = ctx->now_ms;
    command->by_targets = doc_count(in, M_Targets) > 0;
    command->parameters_count = doc_count(in, M_Parameters);
    command->parameters = mem_calloc(command->parameters_count + 1, sizeof(*command->parameters));
    for (size_t i = 0; i < command->parameters_count; i++) {
        copy_values(&command->parameters[i], doc_key_at(in, M_Parameters, i),
                    doc_at(in, M_Parameters, i));
    }
    command->targets_count = doc_count(in, M_Targets);
    command->targets = mem_calloc(command->targets_count + 1, sizeof(*command->targets));
    for (size_t i = 0; i < command->targets_count; i++) {
        const struct doc *target = doc_at(in, M_Targets, i);

        copy_values(&command->targets[i], doc_text(target, M_Key), doc_get(target, M_Values));
    }
    command->expires_ms =
        ctx->now_ms + (command->timeout_s + command_execution_timeout_s(command)) * 1000;
    command->invocations_count = targets->count;
    command->invocations = mem_calloc(targets->count + 1, sizeof(*command->invocations));
    for (size_t i = 0; i < targets->count; i++) {
        command->invocations[i].instance = mem_strdup(targets->ids[i]);
        command->invocations[i].code = -1;
    }
    return command;
}

int ssm_send_command(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct targets targets = {0};
    struct command *command;

    if (check_document(ctx, in, err) != 0 || check_parameters(in, err) != 0 ||
        check_outputs(in, err) != 0 ||
        check_limit(in, M_MaxConcurrency, "MaxConcurrency", 1, err) != 0 ||
        check_limit(in, M_MaxErrors, "MaxErrors", 0, err) != 0 ||
        choose_targets(ctx, in, &targets, err) != 0) {
        return ERR_API;
    }
    command = make_command(ctx, in, &targets);
    command_add(ctx, command);
    command_describe(command, doc_set_struct(out, M_Command)); /* Pending, as AWS answers. */
    invocations_start(ctx);
    return 0;
}

int ssm_cancel_command(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct command *command = map_get_z(&ctx->control->ssm->commands, doc_z(in, M_CommandId));

    (void)out;
    if (command == NULL) {
        return error_api(err, "InvalidCommandId", "Command %s does not exist.",
                         doc_z(in, M_CommandId));
    }
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        if (command_invocation(command, doc_z_at(in, M_InstanceIds, i)) == NULL) {
            return error_api(err, "InvalidInstanceId", "The command was not sent to instance %s.",
                             doc_z_at(in, M_InstanceIds, i));
        }
    }
    for (size_t i = 0; i < command->invocations_count; i++) {
        struct invocation *invocation = &command->invocations[i];

        if (doc_count(in, M_InstanceIds) > 0 &&
            !doc_list_contains(in, M_InstanceIds, slice_z(invocation->instance))) {
            continue;
        }
        if (invocation->status == INVOCATION_PENDING) {
            invocation->status = INVOCATION_CANCELLED;
            invocation->ended_ms = ctx->now_ms;
        } else if (invocation->status == INVOCATION_IN_PROGRESS) {
            invocation->status = INVOCATION_CANCELLING;
        }
    }
    command_changed(ctx, command);
    return 0;
}
