#include "store/changes.h"
#include "wire/codec.h"
#include "wire/server.h"

int wire_call(const struct wire_hooks *hooks, struct ctx *ctx, const struct model_service *service,
              const struct model_op *op, enum model_protocol protocol, const struct doc *in,
              struct doc *out, struct error *err)
{
    size_t mark = ctx->changes->count;
    struct slice action;
    int rc = check_input(op->in, in, family_of(protocol), err);

    if (rc != 0) {
        return rc;
    }
    action = arena_printf(ctx->arena, "%s:%s", service->signing, op->name);
    if ((op->flags & (OP_UNSIGNED | OP_JUDGES)) == 0 && ctx->caller.kind != CALLER_MUSTER) {
        rc = wire_authorize(hooks, ctx, action.data, op, in, err);
    }
    if (rc == 0 && (op->flags & OP_WRITES) != 0 && !hooks->writable(hooks->data)) {
        rc = error_set(err, ERR_UNAVAILABLE,
                       "the disk of the state directory is nearly full; free some space");
    }
    if (rc == 0) {
        rc = op->handler(ctx, in, out, err);
    }
    if (rc != 0) {
        changes_cut(ctx->changes, mark);
    }
    return rc;
}
