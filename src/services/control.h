/* The control plane: what all services share, and how they are put together.
 *
 * One event-loop thread owns all of it. Services keep their resources as plain structs in memory,
 * loaded from the store at start; the loop is the only writer. A handler validates first, then
 * changes memory and ctx's change set together. A failed commit ends the process: the store is what
 * is true, and the warden restarts us.
 *
 * Services form a DAG: iam, cloudwatch <- ec2 <- elbv2 <- autoscaling <- ssm, resourcegroups <-
 * cloudformation. A downward call uses the one public header of the other service with the caller's
 * ctx, so that all it changes is one commit. Upward news goes through callbacks that the upper
 * service registered with the lower one in its start(). */
#ifndef SERVICES_CONTROL_H
#define SERVICES_CONTROL_H

#include "aws/tags.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/slice.h"
#include "store/changes.h"
#include "wire/ctx.h"
#include "wire/model.h"

#include <uv.h>

struct compute;    /* compute/compute.h */
struct wire_hooks; /* wire/server.h */
struct store;      /* store/store.h */

/* Each service's own state, opaque to others; set by its open(). */
struct autoscaling;
struct cloudformation;
struct cloudwatch;
struct dynamodb;
struct ec2;
struct elbv2;
struct iam;
struct imds;
struct resourcegroups;
struct ssm;

struct control_options {
    const char *state_dir;      /* Absolute. */
    const char *region;         /* "us-east-2" */
    const char *account;        /* "000000000000" */
    int32_t time_scale;         /* 1 is real time. */
    bool metric_resolution_aws; /* Publish at 60 s / 300 s as AWS does, not every 5 s. */
    double vcpu_share;          /* Part of a host core that a vCPU is. */
    bool allow_lan;
    uint32_t address_block; /* Of network/address.h: this state directory's. */
    const char *endpoint;   /* "http://127.0.0.1:4566": for clients on this host. */
};

struct control {
    struct control_options options;
    uv_loop_t *loop;
    struct muster_clock clock;
    int64_t clock_noted_ms; /* Its last committed reading. */
    struct control_timer *clock_timer;
    struct store *store;
    struct compute *compute;
    const struct wire_hooks *hooks; /* How requests, and control_dispatch(), are checked. */
    struct tags_index tags;         /* Of every resource of every service, by ARN. */
    struct autoscaling *autoscaling;
    struct cloudformation *cloudformation;
    struct cloudwatch *cloudwatch;
    struct dynamodb *dynamodb;
    struct ec2 *ec2;
    struct elbv2 *elbv2;
    struct iam *iam;
    struct imds *imds;
    struct resourcegroups *resourcegroups;
    struct ssm *ssm;
};

/* A service as musterd sees it; its NAME/NAME.h declares `extern const struct service
 * NAME_service`. Rows stand in musterd/services.c in the DAG's order; any function may be NULL. */
struct service {
    const char *name; /* Record kinds are "name.thing": "ec2.instance". */
    /* Make the empty state and store it in @control. */
    int (*open)(struct control *control, struct error *err);
    /* Take one record that an earlier run stored. Called kind by kind, in the order of
     * their creation. */
    int (*load)(struct control *control, struct slice kind, struct slice id, struct slice body,
                struct error *err);
    /* Everything is loaded and the compute driver is up: register callbacks, start timers, make
     * what a new account has (inside ctx, so that it is committed). */
    int (*start)(struct ctx *ctx, struct error *err);
    /* Free all; no commits any more. */
    void (*close)(struct control *control);
    /* As wire_hooks.resource(); NULL also for kinds that are another service's. */
    const char *(*resource)(struct ctx *ctx, struct slice kind, struct slice value);
};

int64_t control_now_ms(const struct control *control);

/* Load all that the store holds into the (open) services, start the clock where it stood, then
 * start the services, committing what they make. */
int control_start(struct control *control, const struct service *const *services,
                  size_t service_count, struct error *err);
/* The rest, once the services are closed. The loop must turn once more to let go of it. */
void control_close(struct control *control);

/* A ctx of one's own, for the wire's requests: fill in caller, source and finish. Ends with
 * control_end(), also after a failure. */
struct ctx *control_begin(struct control *control);
/* Write what the ctx changed and wait for all that it may have seen; then run its acts and call
 * @done, at once when there is nothing to wait for. A commit that fails ends the process. */
typedef void control_done_fn(void *data);
void control_commit(struct ctx *ctx, control_done_fn *done, void *data);
void control_end(struct ctx *ctx);

/* Do something that no request asked for (a timer fired, an instance died): @fn runs at once with a
 * ctx of its own, what it changed is committed, its acts run afterwards. */
typedef void control_fn(struct ctx *ctx, void *data);
void control_run(struct control *control, control_fn *fn, void *data);

/* A timer on muster's clock; @fn runs as by control_run(). Not armed at first. */
struct control_timer;
struct control_timer *control_timer_open(struct control *control, control_fn *fn, void *data);
/* Fire once at @muster_ms (at once when that has passed), instead of when it was set to before. */
void control_timer_at_ms(struct control_timer *timer, int64_t muster_ms);
void control_timer_stop(struct control_timer *timer);
void control_timer_close(struct control_timer *timer); /* NULL is fine. */

/* Records: changes_put_record(ctx->changes, ...) of store/changes.h, with kinds "service.thing". */

/* Tags of the resource @arn, persisted with the ctx. Reading is tags_of(&control->tags, arn). */
void ctx_tag_put(struct ctx *ctx, const char *arn, const char *key, const char *value);
void ctx_tag_remove(struct ctx *ctx, const char *arn, const char *key);
void ctx_tags_drop(struct ctx *ctx, const char *arn); /* The resource is gone. */

/* "arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE", in the ctx's arena; RESOURCE by format. */
const char *ctx_arn(struct ctx *ctx, const char *service, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Call an action as an outside client with ctx's caller would: checked against its model and
 * authorised, without encoding. Only for actions that answer at once. @out is a struct node. */
int control_dispatch(struct ctx *ctx, const char *service, const char *action, const struct doc *in,
                     struct doc *out, struct error *err);

#endif /* SERVICES_CONTROL_H */
