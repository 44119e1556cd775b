/* Client tokens: a repeated request is answered with what the first one made. They are committed
 * with it, so that an SDK's retry after a crash does not make a second one. */
#include "services/ec2/private.h"

#include <string.h>

static uint64_t mix(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *at = data;

    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3ULL; /* FNV-1a */
    }
    return hash;
}

static uint64_t mix_doc(uint64_t hash, const struct doc *doc)
{
    hash = mix(hash, &doc->kind, sizeof(doc->kind));
    switch (doc->kind) {
    case DOC_STRUCT:
        for (size_t i = 0; i < doc->u.fields.count; i++) {
            hash = mix(hash, &doc->u.fields.members[i].id, sizeof(int));
            hash = mix_doc(hash, doc->u.fields.members[i].value);
        }
        return hash;
    case DOC_LIST:
        for (size_t i = 0; i < doc->u.list.count; i++) {
            hash = mix_doc(hash, doc->u.list.elements[i]);
        }
        return hash;
    case DOC_MAP:
        for (size_t i = 0; i < doc->u.map.count; i++) {
            hash = mix(hash, doc->u.map.pairs[i].key.data, doc->u.map.pairs[i].key.bytes);
            hash = mix_doc(hash, doc->u.map.pairs[i].value);
        }
        return hash;
    case DOC_TEXT:
    case DOC_BLOB:
        return mix(hash, doc->u.text.data, doc->u.text.bytes);
    case DOC_INT:
    case DOC_BOOL:
    case DOC_TIME:
        return mix(hash, &doc->u.integer, sizeof(doc->u.integer));
    case DOC_DOUBLE:
        return mix(hash, &doc->u.number, sizeof(doc->u.number));
    case DOC_JSON:
    case DOC_RAW_JSON:
        return hash; /* Not in ec2. */
    }
    return hash;
}

static const char *fingerprint(struct ctx *ctx, const struct doc *in)
{
    return arena_printf(ctx->arena, "%016llx",
                        (unsigned long long)mix_doc(0xcbf29ce484222325ULL, in))
        .data;
}

static const char *token_id(struct ctx *ctx, const char *action, const char *token)
{
    return arena_printf(ctx->arena, "%s/%s", action, token).data;
}

int ec2_token_check(struct ctx *ctx, const char *action, const char *token, const struct doc *in,
                    const char **made, struct error *err)
{
    const struct token *used;

    *made = NULL;
    if (token == NULL) {
        return 0;
    }
    if (strlen(token) > 128) {
        return error_api(err, "InvalidParameterValue",
                         "The client token must not be longer than 128 characters");
    }
    used = thing_get(ctx->control, KIND_TOKEN, token_id(ctx, action, token));
    if (used == NULL) {
        return 0;
    }
    if (strcmp(used->fingerprint, fingerprint(ctx, in)) != 0) {
        return error_api(err, "IdempotentParameterMismatch",
                         "The client token you have provided is already associated with a previous "
                         "request with different parameters.");
    }
    *made = used->made;
    return 0;
}

void ec2_token_note(struct ctx *ctx, const char *action, const char *token, const struct doc *in,
                    const char *made)
{
    struct token *used;

    if (token == NULL) {
        return;
    }
    used = thing_new(ctx, KIND_TOKEN, token_id(ctx, action, token));
    used->fingerprint = mem_strdup(fingerprint(ctx, in));
    used->made = mem_strdup(made);
    used->made_ms = ctx->now_ms;
    thing_put(ctx, KIND_TOKEN, used);
}
