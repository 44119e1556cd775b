#include "wire/ctx.h"

struct ctx_act {
    struct ctx_act *next;
    ctx_act_fn *act;
    void *data;
};

void ctx_after_commit(struct ctx *ctx, ctx_act_fn *act, void *data)
{
    struct ctx_act *row = arena_calloc(ctx->arena, 1, sizeof(*row));

    row->act = act;
    row->data = data;
    if (ctx->acts_tail == NULL) {
        ctx->acts_tail = &ctx->acts;
    }
    *ctx->acts_tail = row;
    ctx->acts_tail = &row->next;
}

void ctx_defer(struct ctx *ctx)
{
    ASSERT(!ctx->deferred);
    ASSERT(ctx->finish != NULL); /* A nested call or a timer has nobody who could wait. */
    ctx->deferred = true;
}

void ctx_finish(struct ctx *ctx, const struct error *err)
{
    ASSERT(ctx->deferred);
    ctx->finish(ctx, err);
}

void ctx_run_acts(struct ctx *ctx)
{
    struct ctx_act *act = ctx->acts;

    ctx->acts = NULL;
    ctx->acts_tail = NULL;
    for (; act != NULL; act = act->next) {
        act->act(ctx->control, act->data);
    }
}
