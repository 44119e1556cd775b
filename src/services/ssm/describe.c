/* GetCommandInvocation, ListCommandInvocations, ListCommands, DescribeInstanceInformation. */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/page.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/ssm/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX 50
#define LISTED_OUTPUT_BYTES 2500
#define TRUNCATED "\n---Output truncated---"
#define AGENT_VERSION "3.3.0.0" /* Of the agent whose part muster plays. */

static const char *details_of(const struct invocation *invocation)
{
    return invocation->details != NULL ? invocation->details
                                       : invocation_status_name(invocation->status);
}

void command_describe(const struct command *command, struct doc *out)
{
    const char *status = invocation_status_name(command_status(command));
    int64_t completed = 0, failed = 0;
    struct doc *parameters;

    doc_set_z(out, M_CommandId, command->id);
    doc_set_z(out, M_DocumentName, command->document);
    doc_set_z(out, M_DocumentVersion, command->version);
    doc_set_z(out, M_Comment, command->comment);
    doc_set_time_ms(out, M_ExpiresAfter, command->expires_ms);
    parameters = doc_set_map(out, M_Parameters);
    for (size_t i = 0; i < command->parameters_count; i++) {
        const struct parameter *parameter = &command->parameters[i];
        struct doc *values = doc_new(out->arena, DOC_LIST);

        for (size_t j = 0; j < parameter->values_count; j++) {
            doc_list_add_z(values, parameter->values[j]);
        }
        doc_map_put(parameters, slice_z(parameter->name), values);
    }
    doc_set_list(out, M_InstanceIds);
    doc_set_list(out, M_Targets);
    for (size_t i = 0; i < command->targets_count; i++) {
        struct doc *target = doc_add_struct(out, M_Targets);

        doc_set_z(target, M_Key, command->targets[i].name);
        for (size_t j = 0; j < command->targets[i].values_count; j++) {
            doc_add_z(target, M_Values, command->targets[i].values[j]);
        }
    }
    for (size_t i = 0; i < command->invocations_count; i++) {
        const struct invocation *invocation = &command->invocations[i];

        if (!command->by_targets) {
            doc_add_z(out, M_InstanceIds, invocation->instance);
        }
        completed += invocation_is_over(invocation);
        failed +=
            invocation->status == INVOCATION_FAILED || invocation->status == INVOCATION_TIMED_OUT;
    }
    doc_set_time_ms(out, M_RequestedDateTime, command->requested_ms);
    doc_set_z(out, M_Status, status);
    doc_set_z(out, M_StatusDetails, command->invocations_count == 0 ? "NoInstancesInTag" : status);
    doc_set_z(out, M_OutputS3BucketName, "");
    doc_set_z(out, M_OutputS3KeyPrefix, "");
    doc_set_z(out, M_MaxConcurrency, command->concurrency);
    doc_set_z(out, M_MaxErrors, command->errors_max);
    doc_set_int(out, M_TargetCount, (int64_t)command->invocations_count);
    doc_set_int(out, M_CompletedCount, completed);
    doc_set_int(out, M_ErrorCount, failed);
    doc_set_int(out, M_DeliveryTimedOutCount, 0);
    doc_set_z(out, M_ServiceRole, "");
    doc_set_bool(doc_set_struct(out, M_CloudWatchOutputConfig), M_CloudWatchOutputEnabled, false);
    doc_set_int(out, M_TimeoutSeconds, command->timeout_s);
}

static int find_command(struct ctx *ctx, const struct doc *in, const struct command **command,
                        struct error *err)
{
    *command = map_get_z(&ctx->control->ssm->commands, doc_z(in, M_CommandId));
    return *command != NULL ? 0
                            : error_api(err, "InvalidCommandId", "Command %s does not exist.",
                                        doc_z(in, M_CommandId));
}

/* "PT1M2.345S" */
static void set_elapsed(struct doc *out, int64_t ms)
{
    if (ms >= 60000) {
        doc_set_format(out, M_ExecutionElapsedTime, "PT%lldM%lld.%03lldS", (long long)(ms / 60000),
                       (long long)(ms / 1000 % 60), (long long)(ms % 1000));
    } else {
        doc_set_format(out, M_ExecutionElapsedTime, "PT%lld.%03lldS", (long long)(ms / 1000),
                       (long long)(ms % 1000));
    }
}

static void set_moment(struct doc *out, int member, int64_t ms)
{
    char text[TIME_TEXT_BYTES] = "";

    if (ms != 0) {
        time_format_ms(ms, text);
    }
    doc_set_z(out, member, text);
}

int ssm_get_command_invocation(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct command *command = map_get_z(&ctx->control->ssm->commands, doc_z(in, M_CommandId));
    const struct invocation *invocation =
        command == NULL ? NULL : command_invocation(command, doc_z(in, M_InstanceId));

    if (invocation == NULL) {
        return error_api(err, "InvocationDoesNotExist", "%s", "");
    }
    if (doc_has(in, M_PluginName) && strcmp(doc_z(in, M_PluginName), SSM_PLUGIN) != 0) {
        return error_api(err, "InvalidPluginName", "The document has no plugin named %s.",
                         doc_z(in, M_PluginName));
    }
    doc_set_z(out, M_CommandId, command->id);
    doc_set_z(out, M_InstanceId, invocation->instance);
    doc_set_z(out, M_Comment, command->comment);
    doc_set_z(out, M_DocumentName, command->document);
    doc_set_z(out, M_DocumentVersion, command->version);
    doc_set_z(out, M_PluginName, SSM_PLUGIN);
    doc_set_int(out, M_ResponseCode, invocation->code);
    set_moment(out, M_ExecutionStartDateTime, invocation->started_ms);
    doc_set_z(out, M_ExecutionElapsedTime, "");
    if (invocation->ended_ms != 0 && invocation->started_ms != 0) {
        set_elapsed(out, invocation->ended_ms - invocation->started_ms);
    }
    set_moment(out, M_ExecutionEndDateTime, invocation->ended_ms);
    doc_set_z(out, M_Status, invocation_status_name(invocation->status));
    doc_set_z(out, M_StatusDetails, details_of(invocation));
    doc_set_z(out, M_StandardOutputContent, invocation->output == NULL ? "" : invocation->output);
    doc_set_z(out, M_StandardOutputUrl, "");
    doc_set_z(out, M_StandardErrorContent, invocation->errors == NULL ? "" : invocation->errors);
    doc_set_z(out, M_StandardErrorUrl, "");
    doc_set_bool(doc_set_struct(out, M_CloudWatchOutputConfig), M_CloudWatchOutputEnabled, false);
    return 0;
}

/* Standard output, then standard error under a heading, cut. */
static void set_listed_output(struct doc *out, const struct invocation *invocation)
{
    struct buf text = {0};

    buf_add_z(&text, invocation->output == NULL ? "" : invocation->output);
    if (invocation->errors != NULL) {
        buf_add_z(&text, "\n----------ERROR-------\n");
        buf_add_z(&text, invocation->errors);
    }
    if (buf_slice(&text).bytes <= LISTED_OUTPUT_BYTES) {
        doc_set_text(out, M_Output, buf_slice(&text));
    } else {
        struct slice kept = slice_sub(buf_slice(&text), 0, LISTED_OUTPUT_BYTES - strlen(TRUNCATED));

        while (!text_is_utf8(kept)) { /* Cut inside a character. */
            kept.bytes--;
        }
        doc_set_format(out, M_Output, "%.*s" TRUNCATED, SLICE_ARG(kept));
    }
    buf_close(&text);
}

static void describe_invocation(struct ctx *ctx, const struct command *command,
                                const struct invocation *invocation, bool details, struct doc *out)
{
    const struct ec2_instance *instance = ec2_instance_find(ctx->control, invocation->instance);
    const char *name = instance == NULL ? NULL : ec2_instance_tag(ctx->control, instance, "Name");
    struct doc *plugin;

    doc_set_z(out, M_CommandId, command->id);
    doc_set_z(out, M_InstanceId, invocation->instance);
    doc_set_z(out, M_InstanceName, name == NULL ? "" : name);
    doc_set_z(out, M_Comment, command->comment);
    doc_set_z(out, M_DocumentName, command->document);
    doc_set_z(out, M_DocumentVersion, command->version);
    doc_set_time_ms(out, M_RequestedDateTime, command->requested_ms);
    doc_set_z(out, M_Status, invocation_status_name(invocation->status));
    doc_set_z(out, M_StatusDetails, details_of(invocation));
    doc_set_z(out, M_StandardOutputUrl, "");
    doc_set_z(out, M_StandardErrorUrl, "");
    doc_set_list(out, M_CommandPlugins);
    if (!details) {
        return;
    }
    plugin = doc_add_struct(out, M_CommandPlugins);
    doc_set_z(plugin, M_Name, SSM_PLUGIN);
    doc_set_z(plugin, M_Status,
              invocation->status == INVOCATION_CANCELLING /* Plugins have no such status. */
                  ? "InProgress"
                  : invocation_status_name(invocation->status));
    doc_set_z(plugin, M_StatusDetails, details_of(invocation));
    doc_set_int(plugin, M_ResponseCode, invocation->code);
    if (invocation->started_ms != 0) {
        doc_set_time_ms(plugin, M_ResponseStartDateTime, invocation->started_ms);
    }
    if (invocation->ended_ms != 0) {
        doc_set_time_ms(plugin, M_ResponseFinishDateTime, invocation->ended_ms);
    }
    set_listed_output(plugin, invocation);
    doc_set_z(plugin, M_StandardOutputUrl, "");
    doc_set_z(plugin, M_StandardErrorUrl, "");
}

/* Of a command or of one invocation. */
static bool fits_filters(const struct doc *in, const struct command *command,
                         enum invocation_status status)
{
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        const struct doc *filter = doc_at(in, M_Filters, i);
        const char *key = doc_z(filter, M_key), *value = doc_z(filter, M_value);
        int64_t ms;
        bool fits = true;

        if (strcmp(key, "Status") == 0) {
            fits = strcmp(value, invocation_status_name(status)) == 0;
        } else if (strcmp(key, "DocumentName") == 0) {
            fits = strcmp(value, command->document) == 0;
        } else if (time_parse(slice_z(value), &ms, NULL) == 0) {
            fits = strcmp(key, "InvokedAfter") == 0 ? command->requested_ms >= ms
                                                    : command->requested_ms < ms;
        }
        if (!fits) {
            return false;
        }
    }
    return true;
}

static int check_filters(const struct doc *in, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        const struct doc *filter = doc_at(in, M_Filters, i);
        const char *key = doc_z(filter, M_key);
        int64_t ms;

        if (strcmp(key, "ExecutionStage") == 0) {
            return error_api(err, "InvalidFilterKey", "muster does not filter by ExecutionStage.");
        }
        if (strncmp(key, "Invoked", 7) == 0 &&
            time_parse(slice_z(doc_z(filter, M_value)), &ms, NULL) != 0) {
            return error_api(err, "ValidationException",
                             "%s takes a time such as 2026-01-02T03:04:05Z.", key);
        }
    }
    return 0;
}

/* All commands that are asked for, newest first, in the arena. */
static const struct command **find_commands(struct ctx *ctx, const struct doc *in, size_t *count)
{
    const struct map *commands = &ctx->control->ssm->commands;
    const struct command **found = arena_calloc(ctx->arena, commands->count + 1, sizeof(*found));
    struct command *command;

    *count = 0;
    for (size_t at = 0; (command = map_next(commands, &at)) != NULL;) {
        if ((!doc_has(in, M_CommandId) || strcmp(command->id, doc_z(in, M_CommandId)) == 0) &&
            (!doc_has(in, M_InstanceId) ||
             command_invocation(command, doc_z(in, M_InstanceId)) != NULL)) {
            found[(*count)++] = command;
        }
    }
    for (size_t i = 0; i < *count / 2; i++) {
        const struct command *other = found[i];

        found[i] = found[*count - 1 - i];
        found[*count - 1 - i] = other;
    }
    return found;
}

/* Where a page begins: the place of a command, and of an invocation in it. Places sort by time. */
static int start_of_page(struct ctx *ctx, const struct doc *in, const char *action,
                         struct slice *after, struct error *err)
{
    return page_token_read(ctx->arena, action, doc_z(in, M_NextToken), after, NULL) == 0
               ? 0
               : error_api(err, "InvalidNextToken", "The specified token isn't valid.");
}

static int check_list(struct ctx *ctx, const struct doc *in, struct error *err)
{
    const struct command *command;

    return doc_has(in, M_CommandId) && find_command(ctx, in, &command, err) != 0
               ? ERR_API
               : check_filters(in, err);
}

int ssm_list_commands(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    size_t room = (size_t)doc_int_or(in, M_MaxResults, RESULTS_MAX), count;
    const struct command **found, *last = NULL;
    struct slice after;

    if (check_list(ctx, in, err) != 0 || start_of_page(ctx, in, "ListCommands", &after, err) != 0) {
        return ERR_API;
    }
    found = find_commands(ctx, in, &count);
    doc_set_list(out, M_Commands);
    for (size_t i = 0; i < count; i++) {
        if ((after.bytes > 0 && slice_compare(slice_z(found[i]->place), after) >= 0) ||
            !fits_filters(in, found[i], command_status(found[i]))) {
            continue;
        }
        if (room == 0) {
            doc_set_z(out, M_NextToken,
                      page_token(ctx->arena, "ListCommands", slice_z(last->place)));
            return 0;
        }
        last = found[i];
        command_describe(last, doc_add_struct(out, M_Commands));
        room--;
    }
    return 0;
}

int ssm_list_command_invocations(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    size_t room = (size_t)doc_int_or(in, M_MaxResults, RESULTS_MAX), count;
    const struct command **found;
    const char *key = "";
    struct slice after;

    if (check_list(ctx, in, err) != 0 ||
        start_of_page(ctx, in, "ListCommandInvocations", &after, err) != 0) {
        return ERR_API;
    }
    found = find_commands(ctx, in, &count);
    doc_set_list(out, M_CommandInvocations);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = found[i]->invocations_count; j-- > 0;) {
            const struct invocation *invocation = &found[i]->invocations[j];
            const char *here = arena_printf(ctx->arena, "%s %04zu", found[i]->place, j).data;

            if ((after.bytes > 0 && slice_compare(slice_z(here), after) >= 0) ||
                (doc_has(in, M_InstanceId) &&
                 strcmp(invocation->instance, doc_z(in, M_InstanceId)) != 0) ||
                !fits_filters(in, found[i], invocation->status)) {
                continue;
            }
            if (room == 0) {
                doc_set_z(out, M_NextToken,
                          page_token(ctx->arena, "ListCommandInvocations", slice_z(key)));
                return 0;
            }
            describe_invocation(ctx, found[i], invocation, doc_bool(in, M_Details),
                                doc_add_struct(out, M_CommandInvocations));
            key = here;
            room--;
        }
    }
    return 0;
}

/* One of either kind of filter: 1 fits, 0 does not, -1: there is no such key. */
static int fits_node_filter(struct ctx *ctx, const struct ec2_instance *instance, const char *key,
                            const struct doc *filter, int values)
{
    const char *tag;

    if (strcmp(key, "InstanceIds") == 0) {
        return doc_list_contains(filter, values, slice_z(instance->id));
    }
    if (strcmp(key, "PingStatus") == 0) {
        return doc_list_contains(filter, values, SLICE_LIT("Online"));
    }
    if (strcmp(key, "PlatformTypes") == 0) {
        return doc_list_contains(filter, values, SLICE_LIT("Linux"));
    }
    if (strcmp(key, "ResourceType") == 0) {
        return doc_list_contains(filter, values, SLICE_LIT("EC2Instance"));
    }
    if (strcmp(key, "AgentVersion") == 0) {
        return doc_list_contains(filter, values, SLICE_LIT(AGENT_VERSION));
    }
    if (strcmp(key, "tag-key") == 0 || strncmp(key, "tag:", 4) == 0) {
        for (size_t i = 0; key[3] == '-' && i < doc_count(filter, values); i++) {
            if (ec2_instance_tag(ctx->control, instance, doc_z_at(filter, values, i)) != NULL) {
                return true;
            }
        }
        tag = key[3] == ':' ? ec2_instance_tag(ctx->control, instance, key + 4) : NULL;
        return tag != NULL && doc_list_contains(filter, values, slice_z(tag));
    }
    return -1;
}

/* All filters must fit; 0 with *@fits, or InvalidFilterKey. */
static int fits_node_filters(struct ctx *ctx, const struct doc *in,
                             const struct ec2_instance *instance, bool *fits, struct error *err)
{
    *fits = true;
    for (size_t i = 0; i < doc_count(in, M_Filters); i++) {
        const struct doc *filter = doc_at(in, M_Filters, i);
        int rc = fits_node_filter(ctx, instance, doc_z(filter, M_Key), filter, M_Values);

        if (rc < 0) {
            return error_api(err, "InvalidFilterKey", "muster does not filter by %s.",
                             doc_z(filter, M_Key));
        }
        *fits &= rc == 1;
    }
    for (size_t i = 0; i < doc_count(in, M_InstanceInformationFilterList); i++) {
        const struct doc *filter = doc_at(in, M_InstanceInformationFilterList, i);
        int rc = fits_node_filter(ctx, instance, doc_z(filter, M_key), filter, M_valueSet);

        if (rc < 0) {
            return error_api(err, "InvalidFilterKey", "muster does not filter by %s.",
                             doc_z(filter, M_key));
        }
        *fits &= rc == 1;
    }
    return 0;
}

static void describe_node(struct ctx *ctx, const struct ec2_instance *instance, struct doc *out)
{
    char *address = arena_strdup(ctx->arena, slice_z(instance->address));

    for (char *at = address; *at != '\0'; at++) {
        *at = *at == '.' ? '-' : *at;
    }
    doc_set_z(out, M_InstanceId, instance->id);
    doc_set_z(out, M_PingStatus, "Online");
    doc_set_time_ms(out, M_LastPingDateTime, ctx->now_ms);
    doc_set_z(out, M_AgentVersion, AGENT_VERSION);
    doc_set_bool(out, M_IsLatestVersion, true);
    doc_set_z(out, M_PlatformType, "Linux");
    doc_set_z(out, M_PlatformName, "Debian GNU/Linux");
    doc_set_z(out, M_PlatformVersion, "12");
    doc_set_z(out, M_ResourceType, "EC2Instance");
    doc_set_z(out, M_IPAddress, instance->address);
    doc_set_format(out, M_ComputerName, "ip-%s.%s.compute.internal", address,
                   ctx->control->options.region);
    doc_set_z(out, M_SourceId, instance->id);
    doc_set_z(out, M_SourceType, "AWS::EC2::Instance");
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(const struct ec2_instance *const *)a)->id,
                  (*(const struct ec2_instance *const *)b)->id);
}

int ssm_describe_instance_information(struct ctx *ctx, const struct doc *in, struct doc *out,
                                      struct error *err)
{
    size_t room = (size_t)doc_int_or(in, M_MaxResults, RESULTS_MAX), count = 0, most = 0;
    const struct ec2_instance *instance, **found;
    struct slice after;

    if (start_of_page(ctx, in, "DescribeInstanceInformation", &after, err) != 0) {
        return ERR_API;
    }
    for (size_t at = 0; ec2_instance_next(ctx->control, &at) != NULL;) {
        most++;
    }
    found = arena_calloc(ctx->arena, most + 1, sizeof(*found));
    for (size_t at = 0; (instance = ec2_instance_next(ctx->control, &at)) != NULL;) {
        bool fits;

        if (fits_node_filters(ctx, in, instance, &fits, err) != 0) {
            return ERR_API;
        }
        if (fits && slice_compare(slice_z(instance->id), after) > 0 &&
            instance_is_managed(ctx, instance)) {
            found[count++] = instance;
        }
    }
    qsort(found, count, sizeof(*found), by_id);
    doc_set_list(out, M_InstanceInformationList);
    for (size_t i = 0; i < count && i < room; i++) {
        describe_node(ctx, found[i], doc_add_struct(out, M_InstanceInformationList));
    }
    if (count > room) {
        doc_set_z(
            out, M_NextToken,
            page_token(ctx->arena, "DescribeInstanceInformation", slice_z(found[room - 1]->id)));
    }
    return 0;
}
