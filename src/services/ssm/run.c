/* Running scripts in instances: as many at a time as the limits allow, results as they come. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "compute/compute.h"
#include "services/ssm/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNNING_MAX 32 /* In all instances together. */
#define TIMEOUT_S_DEFAULT 3600
#define TIMEOUT_S_MAX (48 * 3600)

/* One invocation under way; lives until the driver has reported. */
struct run {
    struct control *control;
    char command[UUID_BYTES];
    char instance[COMPUTE_ID_BYTES];
    const struct compute_result *result; /* While it is taken. */
    const struct error *err;
};

/* "10" or "25%" of @total; at least @least. */
static size_t limit_of(const char *text, size_t total, size_t least)
{
    struct slice number = slice_z(text);
    bool percent = slice_ends(number, SLICE_LIT("%"));
    int64_t value = 0;

    number.bytes -= percent;
    (void)text_to_i64(number, 0, 1000000, &value, NULL);
    value = percent ? value * (int64_t)total / 100 : value;
    return (size_t)max_i64(value, (int64_t)least);
}

static struct invocation *find(struct control *control, const struct run *run,
                               struct command **command)
{
    *command = map_get_z(&control->ssm->commands, run->command);
    return *command == NULL ? NULL : command_invocation(*command, run->instance);
}

/* The bytes of the character that @text begins with; 0: none does. */
static size_t character_bytes(struct slice text)
{
    for (size_t bytes = 1; bytes <= 4 && bytes <= text.bytes; bytes++) {
        if (text_is_utf8(slice_sub(text, 0, bytes))) {
            return bytes;
        }
    }
    return 0;
}

/* The output as an answer can hold it: UTF-8, without NUL. NULL: nothing. */
static char *keep(struct slice output, size_t bytes_max)
{
    struct buf text = {0};

    output.bytes = (size_t)min_i64((int64_t)output.bytes, (int64_t)bytes_max);
    while (output.bytes > 0) {
        size_t bytes = output.data[0] == '\0' ? 0 : character_bytes(output);

        if (bytes == 0) {
            buf_add_byte(&text, '?');
            bytes = 1;
        } else {
            buf_add(&text, slice_sub(output, 0, bytes));
        }
        output = slice_sub(output, bytes, output.bytes - bytes);
    }
    return text.data == NULL ? NULL : buf_take(&text);
}

static void settle(struct ctx *ctx, struct command *command, struct invocation *invocation,
                   const struct run *run)
{
    bool cancelled = invocation->status == INVOCATION_CANCELLING;

    invocation->ended_ms = ctx->now_ms;
    if (run->err != NULL) {
        invocation->status = INVOCATION_FAILED;
        invocation->details = mem_strdup("Undeliverable");
        invocation->errors = mem_strdup(run->err->message);
    } else {
        invocation->code = run->result->status;
        invocation->output = keep(run->result->output, SSM_OUTPUT_BYTES_MAX);
        invocation->errors = keep(run->result->errors, SSM_ERRORS_BYTES_MAX);
        if (run->result->status < 0) {
            invocation->status = INVOCATION_TIMED_OUT;
            invocation->details = mem_strdup("ExecutionTimedOut");
        } else {
            invocation->status = run->result->status == 0 ? INVOCATION_SUCCESS : INVOCATION_FAILED;
        }
    }
    if (cancelled) {
        invocation->status = INVOCATION_CANCELLED;
    }
    command_changed(ctx, command);
    log_debug("ssm.ended command=%s instance=%s status=%s code=%d", command->id,
              invocation->instance, invocation_status_name(invocation->status), invocation->code);
}

static void take_result(struct ctx *ctx, void *data)
{
    struct run *run = data;
    struct command *command;
    struct invocation *invocation = find(ctx->control, run, &command);

    ctx->control->ssm->running--;
    if (invocation != NULL && !invocation_is_over(invocation)) {
        settle(ctx, command, invocation, run);
    }
    invocations_start(ctx);
}

static void on_result(void *data, const struct compute_result *result, const struct error *err)
{
    struct run *run = data;

    run->result = result;
    run->err = err;
    if (run->control->ssm != NULL) {
        control_run(run->control, take_result, run);
    }
    free(run);
}

/* The lines are one script. */
static char *script_of(const struct command *command)
{
    struct buf script = {0};

    for (size_t i = 0; i < command->parameters_count; i++) {
        const struct parameter *parameter = &command->parameters[i];

        for (size_t j = 0; strcmp(parameter->name, "commands") == 0 && j < parameter->values_count;
             j++) {
            buf_add_z(&script, parameter->values[j]);
            buf_add_byte(&script, '\n');
        }
    }
    return buf_take(&script);
}

int64_t command_execution_timeout_s(const struct command *command)
{
    const char *text = command_parameter(command, "executionTimeout");
    int64_t timeout_s = TIMEOUT_S_DEFAULT;

    if (text != NULL) {
        (void)text_to_i64(slice_z(text), 1, TIMEOUT_S_MAX, &timeout_s, NULL);
    }
    return timeout_s;
}

/* After the commit that says InProgress. */
static void ask_driver(struct control *control, void *data)
{
    struct run *run = data;
    struct command *command;
    const struct invocation *invocation = find(control, run, &command);
    const char *directory;
    char *script;

    if (invocation == NULL) {
        control->ssm->running--;
        free(run);
        return;
    }
    directory = command_parameter(command, "workingDirectory");
    script = script_of(command);
    {
        const char *const here[] = {"/bin/sh", "-c", script, NULL};
        const char *const there[] = {"/bin/sh", "-c",      "cd -- \"$1\" && exec /bin/sh -c \"$2\"",
                                     "sh",      directory, script,
                                     NULL};
        struct compute_exec exec = {.argv =
                                        directory == NULL || directory[0] == '\0' ? here : there,
                                    .timeout_ms = command_execution_timeout_s(command) * 1000,
                                    .output_bytes_max = SSM_OUTPUT_BYTES_MAX};

        snprintf(exec.instance, sizeof(exec.instance), "%s", run->instance);
        control->compute->driver->exec(control->compute, &exec, on_result, run);
    }
    free(script);
}

static void start_one(struct ctx *ctx, struct command *command, struct invocation *invocation)
{
    struct run *run = mem_calloc(1, sizeof(*run));

    run->control = ctx->control;
    snprintf(run->command, sizeof(run->command), "%s", command->id);
    snprintf(run->instance, sizeof(run->instance), "%s", invocation->instance);
    invocation->status = INVOCATION_IN_PROGRESS;
    invocation->started_ms = ctx->now_ms;
    ctx->control->ssm->running++;
    ctx_after_commit(ctx, ask_driver, run);
}

static bool start_pending(struct ctx *ctx, struct command *command)
{
    size_t active = 0, failed = 0, total = command->invocations_count;
    size_t active_max = limit_of(command->concurrency, total, 1);
    size_t failed_max = limit_of(command->errors_max, total, 0);
    bool changed = false;

    for (size_t i = 0; i < total; i++) {
        const struct invocation *invocation = &command->invocations[i];

        active += invocation->status == INVOCATION_IN_PROGRESS ||
                  invocation->status == INVOCATION_CANCELLING;
        failed +=
            invocation->status == INVOCATION_FAILED || invocation->status == INVOCATION_TIMED_OUT;
    }
    for (size_t i = 0; i < total; i++) {
        struct invocation *invocation = &command->invocations[i];

        if (invocation->status != INVOCATION_PENDING) {
            continue;
        }
        if (failed > failed_max) {
            invocation->status = INVOCATION_CANCELLED;
            invocation->details = mem_strdup("Terminated");
            invocation->ended_ms = ctx->now_ms;
            changed = true;
        } else if (active < active_max && ctx->control->ssm->running < RUNNING_MAX) {
            start_one(ctx, command, invocation);
            active++;
            changed = true;
        }
    }
    return changed;
}

void invocations_start(struct ctx *ctx)
{
    struct command *command;

    for (size_t at = 0; (command = map_next(&ctx->control->ssm->commands, &at)) != NULL;) {
        if (start_pending(ctx, command)) {
            command_changed(ctx, command);
        }
    }
}
