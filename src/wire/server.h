/* AWS's APIs over HTTP: routing, authentication, checking, authorisation, the handler, the commit,
 * the answer, in every protocol.
 *
 * Loop thread only. Everything that is not protocol comes through the hooks, so that a test can run
 * the whole of it on a model and handlers of its own. */
#ifndef WIRE_SERVER_H
#define WIRE_SERVER_H

#include "http/server.h"
#include "wire/ctx.h"
#include "wire/model.h"

struct wire_hooks {
    const struct model *model;
    const char *region;
    void *data;
    /* The secret of @access_key with @session_token (NULL data: none came), and ctx->caller filled
     * in. ERR_AUTH with InvalidClientTokenId or ExpiredToken. The secret lives as long as ctx. */
    int (*find_secret)(struct ctx *ctx, struct slice access_key, struct slice session_token,
                       struct slice *secret, struct error *err);
    /* May ctx->caller do @action ("ec2:RunInstances") on @resource (an ARN or "*")? ERR_DENIED. */
    int (*authorize)(struct ctx *ctx, const char *action, const char *resource, struct error *err);
    /* For "{Member:kind}" in an action's ARN: the thing of that kind that the request calls @value
     * (NULL data: it names none), as the ARN has it, "role/app/web", or its whole ARN. NULL: there
     * is nothing to be judged. In the arena. */
    const char *(*resource)(struct ctx *ctx, struct slice kind, struct slice value);
    /* services/control.h: control_begin, control_commit, control_end. */
    struct ctx *(*begin)(void *data);
    void (*commit)(struct ctx *ctx, void (*done)(void *data), void *data);
    void (*end)(struct ctx *ctx);
    /* Is there room on the disk for changes? */
    bool (*writable)(void *data);
};

/* Check @in against the model, authorise, run the handler. What a failed handler noted in the
 * change set is taken back. Shared by requests and by services that call actions as a client would.
 */
int wire_call(const struct wire_hooks *hooks, struct ctx *ctx, const struct model_service *service,
              const struct model_op *op, enum model_protocol protocol, const struct doc *in,
              struct doc *out, struct error *err);

/* May ctx->caller do @op to all that @in names? ERR_DENIED. */
int wire_authorize(const struct wire_hooks *hooks, struct ctx *ctx, const char *action,
                   const struct model_op *op, const struct doc *in, struct error *err);

/* Handle one HTTP request: the handler of an http_server whose data is the hooks. */
void wire_handle(void *hooks, struct http_request *request);

#endif /* WIRE_SERVER_H */
