#include "base/buf.h"
#include "store/changes.h"
#include "wire/codec.h"
#include "wire/server.h"

/* "arn:...:{region}:{account}:group/{Name}" with the input's members put in; a missing one is '*'.
 * A member that holds an ARN is the answer itself. */
static const char *resource_of(const struct wire_hooks *hooks, struct ctx *ctx,
                               const struct model_op *op, const struct doc *in)
{
    struct slice rest = slice_z(op->arn);
    struct buf arn = {0};
    const char *copy;

    while (rest.bytes > 0) {
        size_t open = slice_find(rest, '{');
        size_t close = slice_find(rest, '}');
        struct slice name = slice_sub(rest, open + 1, close > open ? close - open - 1 : 0);
        const struct model_member *member;

        buf_add(&arn, slice_sub(rest, 0, open));
        if (open == rest.bytes) {
            break;
        }
        member = model_member_named(op->in, name);
        if (slice_equal_z(name, "region")) {
            buf_add_z(&arn, hooks->region);
        } else if (slice_equal_z(name, "account")) {
            buf_add_z(&arn, ctx->caller.account);
        } else if (member != NULL && slice_starts(doc_text(in, member->id), SLICE_LIT("arn:"))) {
            buf_close(&arn); /* Things may be named by their ARNs, too. */
            return arena_strdup(ctx->arena, doc_text(in, member->id));
        } else if (member != NULL && doc_text(in, member->id).bytes > 0) {
            struct slice value = doc_text(in, member->id);

            if (value.data[0] == '/' && arn.bytes > 0 && arn.data[arn.bytes - 1] == '/') {
                value = slice_sub(value, 1, value.bytes); /* parameter/a/b is called /a/b. */
            }
            buf_add(&arn, value);
        } else {
            buf_add_byte(&arn, '*');
        }
        rest = slice_sub(rest, close + 1, rest.bytes);
    }
    copy = arena_strdup(ctx->arena, buf_slice(&arn));
    buf_close(&arn);
    return copy;
}

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
        rc = hooks->authorize(ctx, action.data, resource_of(hooks, ctx, op, in), err);
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
