/* TransactWriteItems: all writes in one job, after all conditions; and the tokens that make a
 * repeated call harmless. */
#include "base/alloc.h"
#include "base/json.h"
#include "base/macros.h"
#include "services/dynamodb/write.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define TRANSACT_WRITES_MAX 100
#define TRANSACT_BYTES_MAX (4 * 1024 * 1024)
#define CANCELLED                                                                                  \
    "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]"

struct transaction {
    struct item_job job;
    struct ctx *ctx;
    const struct doc *in;
    struct doc *out;
    struct write writes[TRANSACT_WRITES_MAX];
    size_t count;
    struct token *token;   /* The map's; NULL without ClientRequestToken. */
    struct slice *expired; /* Tokens to delete, in the arena. */
    size_t expired_count;
    struct buf reasons; /* Made in the writer: "ConditionalCheckFailed, None". */
    struct buf members; /* "CancellationReasons":[...] */
};

static void transaction_free(struct transaction *transaction)
{
    for (size_t i = 0; i < transaction->count; i++) {
        write_close(&transaction->writes[i]);
    }
    buf_close(&transaction->reasons);
    buf_close(&transaction->members);
    free(transaction);
}

/* Tokens. */

static struct item_key token_key(struct slice text)
{
    return (struct item_key){.table = TOKENS_TABLE, .hash = text};
}

void token_free(struct token *token)
{
    free(token->text);
    free(token);
}

static bool load_token(void *data, const struct item_row *row)
{
    struct dynamodb *dynamodb = data;
    json_t *json = item_parse(row->body);
    struct token *token = mem_calloc(1, sizeof(*token));

    token->text = mem_strndup(row->hash.data, row->hash.bytes);
    snprintf(token->digest, sizeof(token->digest), "%s",
             json_string_value(json_object_get(json, "digest")));
    token->until_ms = json_integer_value(json_object_get(json, "until_ms"));
    token->done = true;
    map_put(&dynamodb->tokens, slice_z(token->text), token);
    json_decref(json);
    return true;
}

int tokens_load(struct dynamodb *dynamodb, struct error *err)
{
    const struct items_range all = {.table = TOKENS_TABLE, .whole_table = true};

    return items_range(dynamodb->control->store, &all, load_token, dynamodb, err);
}

/* What the transaction asks for, so that a token used for something else is noticed. */
static void digest_of(const struct transaction *transaction, char digest[TOKEN_DIGEST_BYTES])
{
    unsigned char hash[32];
    size_t hash_bytes = sizeof(hash);
    struct buf text = {0};

    for (size_t i = 0; i < transaction->count; i++) {
        const struct write *write = &transaction->writes[i];
        const struct doc *part = doc_at(transaction->in, M_TransactItems, i);
        const struct doc *in = part->u.fields.members[0].value;

        buf_printf(&text, "%d %lld %d\n", (int)write->type, (long long)write->table,
                   (int)write->return_on_failure);
        json_to_buf(write->item, &text);
        buf_printf(&text, "\n%.*s\n%.*s\n", SLICE_ARG(doc_text(in, M_UpdateExpression)),
                   SLICE_ARG(doc_text(in, M_ConditionExpression)));
        if (write->scope.names != NULL) {
            json_to_buf(write->scope.names, &text);
        }
        if (write->scope.values != NULL) {
            json_to_buf(write->scope.values, &text);
        }
    }
    ASSERT(EVP_Q_digest(NULL, "SHA256", NULL, text.data, text.bytes, hash, &hash_bytes) == 1);
    for (size_t i = 0; i < sizeof(hash); i++) {
        snprintf(digest + 2 * i, 3, "%02x", hash[i]);
    }
    buf_close(&text);
}

/* Forget tokens whose time is over; their rows go with this transaction. */
static void expire_tokens(struct transaction *transaction)
{
    struct dynamodb *dynamodb = transaction->ctx->control->dynamodb;
    struct arena *arena = transaction->ctx->arena;
    struct token *token;

    transaction->expired = arena_calloc(arena, dynamodb->tokens.count + 1, sizeof(struct slice));
    for (size_t at = 0; (token = map_next(&dynamodb->tokens, &at)) != NULL;) {
        if (token->done && token->until_ms <= transaction->ctx->now_ms) {
            transaction->expired[transaction->expired_count++] =
                arena_copy(arena, slice_z(token->text));
            map_remove(&dynamodb->tokens, slice_z(token->text));
            token_free(token);
        }
    }
}

/* *@repeated: the same call was answered before. */
static int meet_token(struct transaction *transaction, bool *repeated, struct error *err)
{
    struct dynamodb *dynamodb = transaction->ctx->control->dynamodb;
    struct slice text = doc_text(transaction->in, M_ClientRequestToken);
    char digest[TOKEN_DIGEST_BYTES];
    struct token *token;

    *repeated = false;
    expire_tokens(transaction);
    if (text.bytes == 0) {
        return 0;
    }
    digest_of(transaction, digest);
    token = map_get(&dynamodb->tokens, text);
    if (token != NULL && strcmp(token->digest, digest) != 0) {
        return error_api(err, "IdempotentParameterMismatchException",
                         "The request uses the same client token as a previous, but non-identical"
                         " request. Do not reuse a client token with different requests, unless"
                         " the requests are identical.");
    }
    if (token != NULL && !token->done) {
        return error_api(err, "TransactionInProgressException",
                         "The transaction with the given request token is already in progress.");
    }
    *repeated = token != NULL;
    if (token == NULL) {
        token = mem_calloc(1, sizeof(*token));
        token->text = mem_strndup(text.data, text.bytes);
        memcpy(token->digest, digest, sizeof(digest));
        token->until_ms = transaction->ctx->now_ms + TOKEN_LIFE_MS;
        map_put(&dynamodb->tokens, text, token);
        transaction->token = token;
    }
    return 0;
}

/* In the writer. */

static void add_reason(struct transaction *transaction, const struct write *write, const char *code,
                       const char *message)
{
    buf_add_z(&transaction->reasons, transaction->reasons.bytes == 0 ? "" : ", ");
    buf_add_z(&transaction->reasons, code);
    buf_add_z(&transaction->members, transaction->members.bytes == 0 ? "" : ",");
    buf_printf(&transaction->members, "{\"Code\":\"%s\"", code);
    if (message != NULL) {
        json_t *text = json_string(message);

        buf_add_z(&transaction->members, ",\"Message\":");
        json_to_buf(text, &transaction->members);
        json_decref(text);
        if (write->return_on_failure && write->old.bytes > 0 &&
            strcmp(code, "ConditionalCheckFailed") == 0) {
            buf_add_z(&transaction->members, ",\"Item\":");
            buf_add(&transaction->members, buf_slice(&write->old));
        }
    }
    buf_add_byte(&transaction->members, '}');
}

static int cancel(const struct transaction *transaction, struct error *err)
{
    return error_api(err, "TransactionCanceledException", CANCELLED, buf_z(&transaction->reasons));
}

static bool is_refusal(const struct error *err, const char *code)
{
    return err->code == ERR_API && strcmp(err->aws_code, code) == 0;
}

/* Others' writes wait meanwhile, so that what all conditions compare is bounded: operands, times 64
 * bytes of their items. Some three seconds; 100 keys of conditions such as people write are far
 * below. */
#define WORK_MAX 10000000

static int64_t work_of(const struct write *write)
{
    return write->condition == NULL
               ? 0
               : condition_operands(write->condition) * (1 + (int64_t)write->old.bytes / 64);
}

static int judge_all(struct transaction *transaction, struct items_txn *txn, struct error *err)
{
    int64_t work = 0;
    bool failed = false;

    for (size_t i = 0; i < transaction->count; i++) {
        struct write *write = &transaction->writes[i];
        struct error inner = {0};
        int rc;

        if (work > WORK_MAX) {
            return error_api(err, "ValidationException",
                             "The conditions of one transaction may compare %d operands with 64 "
                             "bytes of items each, in muster",
                             WORK_MAX);
        }
        rc = write_judge(write, txn, &inner);
        work += work_of(write);
        if (rc != 0 && !is_refusal(&inner, "ConditionalCheckFailedException")) {
            *err = inner;
            return rc;
        }
        failed = failed || rc != 0;
        add_reason(transaction, write, rc == 0 ? "None" : "ConditionalCheckFailed",
                   rc == 0 ? NULL : inner.message);
    }
    return failed ? cancel(transaction, err) : 0;
}

/* Only the first that cannot be made is reported; what was made before it is undone. */
static int change_all(struct transaction *transaction, struct items_txn *txn, struct error *err)
{
    for (size_t i = 0; i < transaction->count; i++) {
        struct error inner = {0};
        int rc = write_change(&transaction->writes[i], txn, &inner);

        if (rc != 0 && !is_refusal(&inner, "ValidationException")) {
            *err = inner;
            return rc;
        }
        if (rc != 0) {
            buf_clear(&transaction->reasons);
            buf_clear(&transaction->members);
            for (size_t j = 0; j < transaction->count; j++) {
                add_reason(transaction, &transaction->writes[j],
                           j == i ? "ValidationError" : "None", j == i ? inner.message : NULL);
            }
            return cancel(transaction, err);
        }
    }
    return 0;
}

static int write_tokens(const struct transaction *transaction, struct items_txn *txn,
                        struct error *err)
{
    struct buf body = {0};
    int rc = 0;

    for (size_t i = 0; i < transaction->expired_count && rc == 0; i++) {
        const struct item_key key = token_key(transaction->expired[i]);

        rc = items_txn_del(txn, &key, err);
    }
    if (rc == 0 && transaction->token != NULL) {
        const struct item_key key = token_key(slice_z(transaction->token->text));

        buf_printf(&body, "{\"digest\":\"%s\",\"until_ms\":%lld}", transaction->token->digest,
                   (long long)transaction->token->until_ms);
        rc = items_txn_put(txn, &key, (int64_t)body.bytes, buf_slice(&body), err);
        buf_close(&body);
    }
    return rc;
}

static int run(struct item_job *job, struct items_txn *txn, struct error *err)
{
    struct transaction *transaction = (struct transaction *)job;
    int rc = judge_all(transaction, txn, err);

    if (rc == 0) {
        rc = change_all(transaction, txn, err);
    }
    return rc != 0 ? rc : write_tokens(transaction, txn, err);
}

/* On the loop. */

/* The sum per table; a transaction costs twice what its writes would. */
static void set_capacity(const struct transaction *transaction)
{
    for (size_t i = 0; i < transaction->count && capacity_wanted(transaction->in); i++) {
        const struct write *first = &transaction->writes[i];
        double units = 0;
        bool seen = false;

        for (size_t j = 0; j < transaction->count; j++) {
            if (transaction->writes[j].table == first->table) {
                seen = seen || j < i;
                units += 2 * write_units(transaction->writes[j].bytes);
            }
        }
        if (!seen) {
            struct doc *node = doc_add_struct(transaction->out, M_ConsumedCapacity);

            capacity_fill(transaction->in, node, first->table_name, units);
            doc_set_double(node, M_WriteCapacityUnits, units);
        }
    }
}

static void forget_token(struct transaction *transaction)
{
    struct token *token = transaction->token;

    if (token != NULL) {
        map_remove(&transaction->ctx->control->dynamodb->tokens, slice_z(token->text));
        token_free(token);
    }
}

static void done(struct item_job *job, const struct error *err)
{
    struct transaction *transaction = (struct transaction *)job;
    struct ctx *ctx = transaction->ctx;

    if (ctx->control->dynamodb == NULL) {
        transaction->token = NULL; /* Closed meanwhile, and the tokens with it. */
    }
    if (err == NULL) {
        set_capacity(transaction);
        if (transaction->token != NULL) {
            transaction->token->done = true;
        }
    } else {
        forget_token(transaction);
        if (is_refusal(err, "TransactionCanceledException")) {
            ctx->error_members = arena_printf(ctx->arena, "\"CancellationReasons\":[%.*s]",
                                              SLICE_ARG(buf_slice(&transaction->members)));
        }
    }
    ctx_finish(ctx, err);
    transaction_free(transaction);
}

static const struct {
    int member;
    enum write_type type;
    const char *action;
} kinds[] = {{M_ConditionCheck, WRITE_CHECK, "dynamodb:ConditionCheckItem"},
             {M_Put, WRITE_PUT, "dynamodb:PutItem"},
             {M_Update, WRITE_UPDATE, "dynamodb:UpdateItem"},
             {M_Delete, WRITE_DELETE, "dynamodb:DeleteItem"}};

/* There is no permission for transactions: each part needs that of its own. */
static int authorize(struct ctx *ctx, const struct doc *in, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_TransactItems); i++) {
        const struct doc *part = doc_at(in, M_TransactItems, i);

        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            const struct doc *what = doc_get(part, kinds[k].member);

            if (what != NULL &&
                table_authorize(ctx, kinds[k].action, doc_text(what, M_TableName), err) != 0) {
                return err->code;
            }
        }
    }
    return 0;
}

static int read_part(struct transaction *transaction, const struct doc *part, struct error *err)
{
    struct write *write;

    for (size_t i = 0; i < COUNT_OF(kinds) && doc_length(part) == 1; i++) {
        if (doc_has(part, kinds[i].member)) {
            write = &transaction->writes[transaction->count++];
            return write_read(transaction->ctx, write, doc_get(part, kinds[i].member),
                              kinds[i].type, false, err);
        }
    }
    return error_api(err, "ValidationException",
                     "TransactItems can only contain one of Check, Put, Update or Delete");
}

static int check_twins(const struct transaction *transaction, struct error *err)
{
    const struct write *last = &transaction->writes[transaction->count - 1];

    for (size_t i = 0; i + 1 < transaction->count; i++) {
        const struct write *other = &transaction->writes[i];

        if (other->table == last->table &&
            slice_equal(buf_slice(&other->keys.hash), buf_slice(&last->keys.hash)) &&
            slice_equal(buf_slice(&other->keys.range), buf_slice(&last->keys.range))) {
            return error_api(err, "ValidationException",
                             "Transaction request cannot include multiple operations on one item");
        }
    }
    return 0;
}

static int read_all(struct transaction *transaction, struct error *err)
{
    int64_t bytes = 0;
    int rc = 0;

    for (size_t i = 0; i < doc_count(transaction->in, M_TransactItems) && rc == 0; i++) {
        rc = read_part(transaction, doc_at(transaction->in, M_TransactItems, i), err);
        if (rc == 0) {
            rc = check_twins(transaction, err);
            bytes += item_bytes(transaction->writes[transaction->count - 1].item);
        }
    }
    if (rc == 0 && bytes > TRANSACT_BYTES_MAX) {
        rc = error_api(err, "ValidationException",
                       "Collection size exceeded: the items of a transaction may have 4 MB");
    }
    return rc;
}

int dynamodb_transact_write_items(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    struct transaction *transaction;
    bool repeated = false;
    int rc = authorize(ctx, in, err);

    if (rc != 0) {
        return rc;
    }
    transaction = mem_calloc(1, sizeof(*transaction));
    transaction->job = (struct item_job){.run = run, .done = done};
    transaction->ctx = ctx;
    transaction->in = in;
    transaction->out = out;
    rc = read_all(transaction, err);
    if (rc == 0) {
        rc = meet_token(transaction, &repeated, err);
    }
    if (rc != 0 || repeated) {
        transaction_free(transaction);
        return rc;
    }
    ctx_defer(ctx);
    items_submit(ctx->control->store, &transaction->job);
    return 0;
}
