/* Commands: stored form, and their life in memory. */
#include "services/ssm/private.h"

#include "base/alloc.h"
#include "services/iam/iam.h"
#include "store/changes.h"
#include "store/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVOCATIONS_KEPT_MAX 1000 /* With their outputs: 32 MB at most. */

static const char *const status_names[] = {"Pending",  "InProgress", "Success",   "Failed",
                                           "TimedOut", "Cancelled",  "Cancelling"};

static const struct record_field invocation_fields[] = {
    RECORD_TEXT(struct invocation, instance),  RECORD_ENUM(struct invocation, status, status_names),
    RECORD_TEXT(struct invocation, details),   RECORD_I32(struct invocation, code),
    RECORD_I64(struct invocation, started_ms), RECORD_I64(struct invocation, ended_ms),
    RECORD_TEXT(struct invocation, output),    RECORD_TEXT(struct invocation, errors),
};
static const struct record invocation_record = RECORD(struct invocation, invocation_fields);

static const struct record_field parameter_fields[] = {
    RECORD_TEXT(struct parameter, name),
    RECORD_TEXTS(struct parameter, values),
};
static const struct record parameter_record = RECORD(struct parameter, parameter_fields);

static const struct record_field command_fields[] = {
    RECORD_TEXT(struct command, id),
    RECORD_TEXT(struct command, document),
    RECORD_TEXT(struct command, version),
    RECORD_TEXT(struct command, comment),
    RECORD_TEXT(struct command, concurrency),
    RECORD_TEXT(struct command, errors_max),
    RECORD_I64(struct command, requested_ms),
    RECORD_I64(struct command, expires_ms),
    RECORD_I32(struct command, timeout_s),
    RECORD_LIST(struct command, parameters, parameter_record),
    RECORD_LIST(struct command, targets, parameter_record),
    RECORD_BOOL(struct command, by_targets),
    RECORD_LIST(struct command, invocations, invocation_record),
};
static const struct record command_record = RECORD(struct command, command_fields);

const char *invocation_status_name(enum invocation_status status)
{
    return status_names[status];
}

bool invocation_is_over(const struct invocation *invocation)
{
    return invocation->status != INVOCATION_PENDING &&
           invocation->status != INVOCATION_IN_PROGRESS &&
           invocation->status != INVOCATION_CANCELLING;
}

enum invocation_status command_status(const struct command *command)
{
    size_t counts[INVOCATION_STATUSES] = {0};
    static const enum invocation_status first_wins[] = {INVOCATION_CANCELLING,
                                                        INVOCATION_IN_PROGRESS};
    static const enum invocation_status worst[] = {INVOCATION_FAILED, INVOCATION_TIMED_OUT,
                                                   INVOCATION_CANCELLED};

    for (size_t i = 0; i < command->invocations_count; i++) {
        counts[command->invocations[i].status]++;
    }
    for (size_t i = 0; i < COUNT_OF(first_wins); i++) {
        if (counts[first_wins[i]] > 0) {
            return first_wins[i];
        }
    }
    if (counts[INVOCATION_PENDING] > 0) {
        return counts[INVOCATION_PENDING] == command->invocations_count ? INVOCATION_PENDING
                                                                        : INVOCATION_IN_PROGRESS;
    }
    for (size_t i = 0; i < COUNT_OF(worst); i++) {
        if (counts[worst[i]] > 0) {
            return worst[i];
        }
    }
    return INVOCATION_SUCCESS;
}

const char *command_parameter(const struct command *command, const char *name)
{
    for (size_t i = 0; i < command->parameters_count; i++) {
        if (strcmp(command->parameters[i].name, name) == 0) {
            return command->parameters[i].values_count > 0 ? command->parameters[i].values[0]
                                                           : NULL;
        }
    }
    return NULL;
}

bool instance_is_managed(struct ctx *ctx, const struct ec2_instance *instance)
{
    struct iam_profile_facts profile;
    struct ctx agent = *ctx; /* As its agent would ask. */

    if (instance == NULL || instance->state != EC2_RUNNING || instance->profile == NULL ||
        !ec2_instance_healthy(ctx->control, instance) ||
        iam_profile_facts(ctx->control, instance->profile, &profile, NULL) != 0 ||
        profile.role == NULL) {
        return false;
    }
    agent.caller = (struct caller){.kind = CALLER_ROLE,
                                   .account = ctx->control->options.account,
                                   .arn = "",
                                   .user_id = "",
                                   .name = profile.role,
                                   .access_key_id = ""};
    return iam_authorize(&agent, "ssm:UpdateInstanceInformation", "*", NULL) == 0;
}

struct invocation *command_invocation(const struct command *command, const char *instance)
{
    for (size_t i = 0; i < command->invocations_count; i++) {
        if (strcmp(command->invocations[i].instance, instance) == 0) {
            return &command->invocations[i];
        }
    }
    return NULL;
}

static void free_command(struct command *command)
{
    record_close(&command_record, command);
    free(command);
}

void command_changed(struct ctx *ctx, const struct command *command)
{
    changes_put_record(ctx->changes, SLICE_LIT("ssm.command"), slice_z(command->place),
                       &command_record, command);
}

static bool is_over(const struct command *command)
{
    for (size_t i = 0; i < command->invocations_count; i++) {
        if (!invocation_is_over(&command->invocations[i])) {
            return false;
        }
    }
    return true;
}

static void forget_oldest(struct ctx *ctx)
{
    struct ssm *ssm = ctx->control->ssm;
    struct command *command;
    size_t kept = 0;

    for (size_t at = 0; (command = map_next(&ssm->commands, &at)) != NULL;) {
        kept += command->invocations_count + 1;
    }
    for (size_t at = 0;
         kept > INVOCATIONS_KEPT_MAX && (command = map_next(&ssm->commands, &at)) != NULL;) {
        if (is_over(command)) {
            kept -= command->invocations_count + 1;
            changes_del(ctx->changes, SLICE_LIT("ssm.command"), slice_z(command->place));
            map_remove(&ssm->commands, slice_z(command->id));
            free_command(command);
        }
    }
}

void command_add(struct ctx *ctx, struct command *command)
{
    struct ssm *ssm = ctx->control->ssm;

    forget_oldest(ctx);
    snprintf(command->place, sizeof(command->place), "%016llx",
             (unsigned long long)ssm->next_place++);
    map_put(&ssm->commands, slice_z(command->id), command);
    command_changed(ctx, command);
}

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    control->ssm = mem_calloc(1, sizeof(*control->ssm));
    control->ssm->control = control;
    return 0;
}

static int load(struct control *control, struct slice kind, struct slice id, struct slice body,
                struct error *err)
{
    struct command *command;
    char *end;
    int rc;

    if (slice_equal_z(kind, "ssm.parameter")) {
        return parameter_load(control->ssm, body, err);
    }
    command = mem_calloc(1, sizeof(*command));
    rc = record_load(&command_record, command, body, err);
    if (rc != 0) {
        free(command);
        return rc;
    }
    snprintf(command->place, sizeof(command->place), "%.*s", SLICE_ARG(id));
    control->ssm->next_place = strtoull(command->place, &end, 16) + 1;
    map_put(&control->ssm->commands, slice_z(command->id), command);
    return 0;
}

/* A script that ran when an earlier musterd ended has nobody left to report to. */
static int start(struct ctx *ctx, struct error *err)
{
    struct command *command;

    (void)err;
    for (size_t at = 0; (command = map_next(&ctx->control->ssm->commands, &at)) != NULL;) {
        bool changed = false;

        for (size_t i = 0; i < command->invocations_count; i++) {
            struct invocation *invocation = &command->invocations[i];

            if (invocation->status == INVOCATION_IN_PROGRESS ||
                invocation->status == INVOCATION_CANCELLING) {
                invocation->status = INVOCATION_FAILED;
                invocation->ended_ms = ctx->now_ms;
                free(invocation->errors);
                invocation->errors = mem_strdup("muster was restarted while the script ran: how it "
                                                "ended is not known.\n");
                changed = true;
            }
        }
        if (changed) {
            command_changed(ctx, command);
        }
    }
    invocations_start(ctx);
    return 0;
}

static void close_service(struct control *control)
{
    struct command *command;

    if (control->ssm == NULL) {
        return;
    }
    for (size_t at = 0; (command = map_next(&control->ssm->commands, &at)) != NULL;) {
        free_command(command);
    }
    map_close(&control->ssm->commands);
    parameters_close(control->ssm);
    free(control->ssm);
    control->ssm = NULL;
}

const struct service ssm_service = {
    .name = "ssm",
    .open = open_service,
    .load = load,
    .start = start,
    .close = close_service,
    .resource = ssm_resource,
};
