/* PutItem, UpdateItem, DeleteItem. */
#include "base/macros.h"
#include "services/dynamodb/write.h"

#include <string.h>

struct single {
    struct item_job job;
    struct ctx *ctx;
    const struct doc *in;
    struct doc *out;
    struct write write;
};

static int run(struct item_job *job, struct items_txn *txn, struct error *err)
{
    struct write *write = &((struct single *)job)->write;
    int rc = write_judge(write, txn, err);

    return rc != 0 ? rc : write_change(write, txn, err);
}

static void done(struct item_job *job, const struct error *err)
{
    struct single *single = (struct single *)job;
    struct write *write = &single->write;
    struct ctx *ctx = single->ctx;

    if (err == NULL) {
        if (write->attributes.bytes > 0) {
            doc_set_raw_json(single->out, M_Attributes, buf_slice(&write->attributes));
        }
        capacity_set(single->in, single->out, write->table_name, write_units(write->bytes));
    } else if (write->return_on_failure && write->old.bytes > 0 &&
               strcmp(err->aws_code, "ConditionalCheckFailedException") == 0) {
        ctx->error_members =
            arena_printf(ctx->arena, "\"Item\":%.*s", SLICE_ARG(buf_slice(&write->old)));
    }
    write_close(write);
    ctx_finish(ctx, err);
}

static int begin(struct ctx *ctx, const struct doc *in, struct doc *out, enum write_type type,
                 struct error *err)
{
    struct single *single = arena_calloc(ctx->arena, 1, sizeof(*single)); /* Until ctx_finish(). */
    int rc;

    single->job = (struct item_job){.run = run, .done = done};
    single->ctx = ctx;
    single->in = in;
    single->out = out;
    rc = write_read(ctx, &single->write, in, type, true, err);
    if (rc != 0) {
        write_close(&single->write);
        return rc;
    }
    ctx_defer(ctx);
    items_submit(ctx->control->store, &single->job);
    return 0;
}

int dynamodb_put_item(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    return begin(ctx, in, out, WRITE_PUT, err);
}

int dynamodb_update_item(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    return begin(ctx, in, out, WRITE_UPDATE, err);
}

int dynamodb_delete_item(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    return begin(ctx, in, out, WRITE_DELETE, err);
}
