/* An instance's life: the moves between its states, by request and by news of the driver.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html */
#include "services/ec2/private.h"

#include <stdlib.h>
#include <string.h>

#define TERMINATED_KEPT_MS (60LL * 60 * 1000)
#define TERMINATED_KEPT_MAX 10000
#define TOKENS_KEPT_MS (24LL * 60 * 60 * 1000)
#define TOKENS_KEPT_MAX 50000
#define JANITOR_MS (60LL * 1000)
#define INITIALIZING_MS 5000 /* Of status checks; AWS takes minutes. */

static const struct {
    const char *name;
    int64_t code;
} states[EC2_STATES] = {
    [EC2_PENDING] = {"pending", 0},
    [EC2_RUNNING] = {"running", 16},
    [EC2_STOPPING] = {"stopping", 64},
    [EC2_STOPPED] = {"stopped", 80},
    [EC2_SHUTTING_DOWN] = {"shutting-down", 32},
    [EC2_TERMINATED] = {"terminated", 48},
};

const char *ec2_state_name(enum ec2_state state)
{
    return states[state].name;
}

int64_t state_code(enum ec2_state state)
{
    return states[state].code;
}

struct ec2_instance *instance_get(const struct control *control, const char *id)
{
    return thing_get(control, KIND_INSTANCE, id);
}

const struct ec2_instance *ec2_instance_find(const struct control *control, const char *id)
{
    return thing_get(control, KIND_INSTANCE, id);
}

const struct ec2_instance *ec2_instance_next(const struct control *control, size_t *at)
{
    return thing_next(control, KIND_INSTANCE, at);
}

const struct ec2_instance *ec2_instance_at(const struct control *control, const char *vpc,
                                           const char *address)
{
    const struct ec2_instance *instance;

    for (size_t at = 0; (instance = thing_next(control, KIND_INSTANCE, &at)) != NULL;) {
        if (instance->address != NULL && strcmp(instance->address, address) == 0 &&
            strcmp(instance->vpc, vpc) == 0) {
            return instance;
        }
    }
    return NULL;
}

struct ec2_interface *instance_interface(const struct control *control,
                                         const struct ec2_instance *instance)
{
    return thing_get(control, KIND_INTERFACE, instance->interface);
}

const char *ec2_instance_tag(const struct control *control, const struct ec2_instance *instance,
                             const char *key)
{
    char arn[256];

    snprintf(arn, sizeof(arn), "arn:aws:ec2:%s:%s:instance/%s", control->options.region,
             control->options.account, instance->id);
    return tags_value(&control->tags, arn, key);
}

bool ec2_instance_healthy(const struct control *control, const struct ec2_instance *instance)
{
    return instance->state == EC2_RUNNING &&
           control_now_ms(control) >= instance->running_ms + INITIALIZING_MS;
}

void ec2_instance_seen(struct ctx *ctx, const struct ec2_instance *instance)
{
    instance_is_running(ctx, instance_get(ctx->control, instance->id));
}

bool ec2_instance_in_group(const struct control *control, const struct ec2_instance *instance,
                           const char *group)
{
    const struct ec2_interface *interface = instance_interface(control, instance);

    return interface != NULL && interface_in_group(interface, group);
}

void ec2_on_instance_change(struct control *control, ec2_change_fn *fn, void *data)
{
    struct ec2 *ec2 = control->ec2;

    ec2->listeners = mem_grow(ec2->listeners, ec2->listeners_count, &ec2->listeners_room,
                              sizeof(*ec2->listeners));
    ec2->listeners[ec2->listeners_count++] = (struct listener){fn, data};
}

void ec2_set_warming(struct control *control, ec2_warming_fn *fn, void *data)
{
    control->ec2->warming = fn;
    control->ec2->warming_data = data;
}

void instance_move(struct ctx *ctx, struct ec2_instance *instance, enum ec2_state state)
{
    struct ec2 *ec2 = ctx->control->ec2;

    instance->state = state;
    instance->changed_ms = ctx->now_ms;
    thing_put(ctx, KIND_INSTANCE, instance);
    for (size_t i = 0; i < ec2->listeners_count; i++) {
        ec2->listeners[i].fn(ctx, ec2->listeners[i].data, instance);
    }
}

void instance_reason(struct ec2_instance *instance, const char *code, const char *text)
{
    char message[512];

    snprintf(message, sizeof(message), "%s: %.400s", code, text);
    text_replace(&instance->reason_code, code);
    text_replace(&instance->reason_message, message);
}

static void clear_reason(struct ec2_instance *instance)
{
    text_replace(&instance->reason_code, NULL);
    text_replace(&instance->reason_message, NULL);
    text_replace(&instance->transition, NULL);
}

/* "User initiated (2026-01-02 03:04:05 GMT)" */
static void set_transition(struct ctx *ctx, struct ec2_instance *instance)
{
    char when[TIME_TEXT_BYTES];

    time_format_s(ctx->now_ms, when);
    text_replace(&instance->transition,
                 arena_printf(ctx->arena, "User initiated (%.10s %.8s GMT)", when, when + 11).data);
}

static void drop_public_address(struct ctx *ctx, struct ec2_instance *instance)
{
    struct ec2_interface *interface = instance_interface(ctx->control, instance);

    if (interface != NULL && interface->public_address != NULL) {
        text_replace(&interface->public_address, NULL);
        thing_put(ctx, KIND_INTERFACE, interface);
    }
    text_replace(&instance->public_address, NULL);
}

void instance_stop(struct ctx *ctx, struct ec2_instance *instance, bool by_user)
{
    if (instance->state != EC2_RUNNING && instance->state != EC2_PENDING) {
        return;
    }
    if (by_user) {
        instance_reason(instance, "Client.UserInitiatedShutdown", "User initiated shutdown");
        set_transition(ctx, instance);
    } else {
        instance_reason(instance, "Client.InstanceInitiatedShutdown",
                        "Instance initiated shutdown");
    }
    instance_move(ctx, instance, EC2_STOPPING);
    act_instance(ctx, instance->id);
}

void ec2_stop(struct ctx *ctx, const char *id)
{
    struct ec2_instance *instance = instance_get(ctx->control, id);

    if (instance != NULL) {
        instance_stop(ctx, instance, true);
    }
}

void instance_terminate(struct ctx *ctx, struct ec2_instance *instance)
{
    if (instance->state == EC2_SHUTTING_DOWN || instance->state == EC2_TERMINATED) {
        return;
    }
    if (instance->reason_code == NULL) {
        instance_reason(instance, "Client.UserInitiatedShutdown", "User initiated shutdown");
    }
    set_transition(ctx, instance);
    instance_move(ctx, instance, EC2_SHUTTING_DOWN);
    act_instance(ctx, instance->id);
}

void ec2_terminate(struct ctx *ctx, const char *id)
{
    struct ec2_instance *instance = instance_get(ctx->control, id);

    if (instance != NULL) {
        instance_terminate(ctx, instance);
    }
}

/* News. */

void instance_is_running(struct ctx *ctx, struct ec2_instance *instance)
{
    if (instance->state == EC2_PENDING) {
        instance->running_ms = ctx->now_ms;
        instance_move(ctx, instance, EC2_RUNNING);
    }
}

void instance_is_stopped(struct ctx *ctx, struct ec2_instance *instance)
{
    if (instance->state == EC2_STOPPING) {
        drop_public_address(ctx, instance);
        instance_move(ctx, instance, EC2_STOPPED);
        act_vpc(ctx, instance->vpc);
    } else if (instance->state == EC2_RUNNING) { /* Nobody asked: it shut itself down. */
        instance_reason(instance, "Client.InstanceInitiatedShutdown",
                        "Instance initiated shutdown");
        if (instance->terminate_on_shutdown) {
            instance_terminate(ctx, instance);
        } else {
            instance_move(ctx, instance, EC2_STOPPING);
            instance_is_stopped(ctx, instance);
        }
    }
}

static void release(struct ctx *ctx, struct ec2_instance *instance)
{
    struct ec2_interface *interface = instance_interface(ctx->control, instance);

    drop_public_address(ctx, instance);
    if (interface != NULL) {
        interface_drop(ctx, interface);
    }
    text_replace(&instance->interface, NULL);
    text_replace(&instance->address, NULL);
    volumes_release(ctx, instance->id);
}

void instance_is_gone(struct ctx *ctx, struct ec2_instance *instance, const char *reason)
{
    if (instance->state == EC2_TERMINATED) {
        return;
    }
    if (instance->state != EC2_SHUTTING_DOWN) { /* Nobody asked. */
        instance_reason(instance, "Server.InternalError",
                        reason == NULL || *reason == '\0' ? "The instance is gone" : reason);
    }
    release(ctx, instance);
    instance_move(ctx, instance, EC2_TERMINATED);
    act_vpc(ctx, instance->vpc);
}

/* Requests. */

static void set_state(struct doc *out, int member, enum ec2_state state)
{
    struct doc *item = doc_set_struct(out, member);

    doc_set_int(item, M_Code, state_code(state));
    doc_set_z(item, M_Name, ec2_state_name(state));
}

static void add_change(struct doc *out, int list, const struct ec2_instance *instance,
                       enum ec2_state before)
{
    struct doc *item = doc_add_struct(out, list);

    doc_set_z(item, M_InstanceId, instance->id);
    set_state(item, M_CurrentState, instance->state);
    set_state(item, M_PreviousState, before);
}

/* The instances of the request, all there; else one error for all of them. */
static int need_all(struct ctx *ctx, const struct doc *in, struct ec2_instance ***found,
                    struct error *err)
{
    size_t count = doc_count(in, M_InstanceIds);
    struct slice missing = SLICE_EMPTY;
    size_t missing_count = 0;
    void *ignored;

    *found = arena_calloc(ctx->arena, count + 1, sizeof(**found));
    for (size_t i = 0; i < count; i++) {
        const char *id = doc_z_at(in, M_InstanceIds, i);

        (*found)[i] = instance_get(ctx->control, id);
        if ((*found)[i] == NULL) {
            missing = missing_count++ == 0
                          ? slice_z(id)
                          : arena_printf(ctx->arena, "%.*s, %s", SLICE_ARG(missing), id);
        }
    }
    if (missing_count > 1) {
        return error_api(err, "InvalidInstanceID.NotFound", "The instance IDs '%.*s' do not exist",
                         SLICE_ARG(missing));
    }
    return missing_count == 0
               ? 0
               : thing_need(ctx, KIND_INSTANCE, arena_strdup(ctx->arena, missing), &ignored, err);
}

int ec2_start_instances(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct ec2_instance **all;
    int rc = need_all(ctx, in, &all, err);

    for (size_t i = 0; rc == 0 && i < doc_count(in, M_InstanceIds); i++) {
        if (all[i]->state != EC2_STOPPED && all[i]->state != EC2_RUNNING &&
            all[i]->state != EC2_PENDING) {
            rc = error_api(err, "IncorrectInstanceState",
                           "The instance '%s' is not in a state from which it can be started.",
                           all[i]->id);
        }
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_list(out, M_StartingInstances);
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        struct ec2_instance *instance = all[i];
        enum ec2_state before = instance->state;

        if (before == EC2_STOPPED) {
            struct ec2_interface *interface = instance_interface(ctx->control, instance);

            clear_reason(instance);
            instance->launched_ms = ctx->now_ms;
            if (instance->wants_public && interface != NULL) {
                text_replace(&interface->public_address, public_address_free(ctx));
                text_replace(&instance->public_address, interface->public_address);
                thing_put(ctx, KIND_INTERFACE, interface);
                act_vpc(ctx, instance->vpc);
            }
            instance_move(ctx, instance, EC2_PENDING);
            act_instance(ctx, instance->id);
        }
        add_change(out, M_StartingInstances, instance, before);
    }
    return 0;
}

int ec2_stop_instances(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct ec2_instance **all;
    int rc = need_all(ctx, in, &all, err);

    if (rc == 0 && doc_bool(in, M_Hibernate)) {
        rc = error_api(err, "UnsupportedHibernationConfiguration",
                       "muster's instances cannot hibernate.");
    }
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_InstanceIds); i++) {
        if (all[i]->state == EC2_SHUTTING_DOWN || all[i]->state == EC2_TERMINATED ||
            all[i]->state == EC2_PENDING) {
            rc = error_api(err, "IncorrectInstanceState",
                           "This instance '%s' is not in a state from which it can be stopped.",
                           all[i]->id);
        } else if (all[i]->protected_stop) {
            rc = error_api(err, "OperationNotPermitted",
                           "The instance '%s' may not be stopped. Modify its 'disableApiStop' "
                           "instance attribute and try again.",
                           all[i]->id);
        }
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_list(out, M_StoppingInstances);
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        enum ec2_state before = all[i]->state;

        instance_stop(ctx, all[i], true);
        add_change(out, M_StoppingInstances, all[i], before);
    }
    return 0;
}

int ec2_terminate_instances(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    struct ec2_instance **all;
    int rc = need_all(ctx, in, &all, err);

    for (size_t i = 0; rc == 0 && i < doc_count(in, M_InstanceIds); i++) {
        if (all[i]->protected && all[i]->state != EC2_TERMINATED) {
            rc = error_api(err, "OperationNotPermitted",
                           "The instance '%s' may not be terminated. Modify its "
                           "'disableApiTermination' instance attribute and try again.",
                           all[i]->id);
        }
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_list(out, M_TerminatingInstances);
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        enum ec2_state before = all[i]->state;

        instance_terminate(ctx, all[i]);
        add_change(out, M_TerminatingInstances, all[i], before);
    }
    return 0;
}

int ec2_reboot_instances(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct ec2_instance **all;
    int rc = need_all(ctx, in, &all, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_InstanceIds); i++) {
        if (all[i]->state != EC2_RUNNING) {
            rc = error_api(err, "IncorrectInstanceState",
                           "The instance '%s' is not in a state from which it can be rebooted.",
                           all[i]->id);
        }
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        act_reboot(ctx, all[i]->id);
    }
    return 0;
}

static int set_monitoring(struct ctx *ctx, const struct doc *in, struct doc *out, bool on,
                          struct error *err)
{
    struct ec2_instance **all;
    int rc = need_all(ctx, in, &all, err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_list(out, M_InstanceMonitorings);
    for (size_t i = 0; i < doc_count(in, M_InstanceIds); i++) {
        struct doc *item = doc_add_struct(out, M_InstanceMonitorings);
        bool was = all[i]->monitoring;

        all[i]->monitoring = on;
        thing_put(ctx, KIND_INSTANCE, all[i]);
        doc_set_z(item, M_InstanceId, all[i]->id);
        doc_set_z(doc_set_struct(item, M_Monitoring), M_State,
                  on ? (was ? "enabled" : "pending") : (was ? "disabling" : "disabled"));
    }
    return 0;
}

int ec2_monitor_instances(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    return set_monitoring(ctx, in, out, true, err);
}

int ec2_unmonitor_instances(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    return set_monitoring(ctx, in, out, false, err);
}

static void forget_instances(struct ctx *ctx)
{
    struct ec2_instance *instance;
    size_t terminated = 0;

    for (size_t at = 0; (instance = thing_next(ctx->control, KIND_INSTANCE, &at)) != NULL;) {
        terminated += instance->state == EC2_TERMINATED;
    }
    for (size_t at = 0; (instance = thing_next(ctx->control, KIND_INSTANCE, &at)) != NULL;) {
        if (instance->state == EC2_TERMINATED &&
            (terminated > TERMINATED_KEPT_MAX ||
             instance->changed_ms + TERMINATED_KEPT_MS <= ctx->now_ms)) {
            thing_drop(ctx, KIND_INSTANCE, instance);
            terminated--;
        }
    }
}

static void forget_tokens(struct ctx *ctx)
{
    const struct map *tokens = &ctx->control->ec2->things[KIND_TOKEN];
    struct token *token;

    for (size_t at = 0; (token = map_next(tokens, &at)) != NULL;) {
        if (tokens->count > TOKENS_KEPT_MAX || token->made_ms + TOKENS_KEPT_MS <= ctx->now_ms) {
            thing_drop(ctx, KIND_TOKEN, token);
        }
    }
}

/* Terminated instances and client tokens are forgotten after a while, and the oldest when there
 * are many. */
void janitor_run(struct ctx *ctx, void *data)
{
    struct ec2 *ec2 = data;

    forget_instances(ctx);
    forget_tokens(ctx);
    control_timer_at_ms(ec2->janitor, ctx->now_ms + JANITOR_MS);
}
