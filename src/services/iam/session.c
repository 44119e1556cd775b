/* Temporary credentials, without a record of each.
 *
 * The token is base64(JSON claims) "." hex(HMAC(session key, claims)); the secret is derived from
 * the access key by the same key, so that whoever holds only the token cannot sign. */
#include "aws/id.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/iam/private.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define MAC_BYTES 32
#define TOKEN_BYTES_MAX 4096
#define KNOWN_MAX 1024 /* Sessions; when there are more, all are looked at anew. */

static void mac(const struct iam *iam, const char *purpose, struct slice text,
                unsigned char out[MAC_BYTES])
{
    struct buf message = {0};
    unsigned int bytes = MAC_BYTES;

    buf_printf(&message, "%s:", purpose);
    buf_add(&message, text);
    ASSERT(HMAC(EVP_sha256(), iam->session_key, (int)strlen(iam->session_key),
                (const unsigned char *)message.data, message.bytes, out, &bytes) != NULL);
    buf_close(&message);
}

/* 40 characters, as AWS's. */
static struct slice secret_of(struct ctx *ctx, struct slice access_key)
{
    unsigned char bytes[MAC_BYTES];
    struct buf text = {0};
    struct slice secret;

    mac(ctx->control->iam, "secret", access_key, bytes);
    text_base64_encode(&text, slice_of((const char *)bytes, 30));
    secret = arena_copy(ctx->arena, buf_slice(&text));
    secret = slice_of(arena_strdup(ctx->arena, secret), secret.bytes);
    buf_close(&text);
    return secret;
}

static struct slice token_of(struct ctx *ctx, struct slice claims)
{
    unsigned char bytes[MAC_BYTES];
    struct buf token = {0};
    struct slice copy;

    mac(ctx->control->iam, "token", claims, bytes);
    text_base64_encode(&token, claims);
    buf_add_byte(&token, '.');
    text_hex_encode(&token, slice_of((const char *)bytes, MAC_BYTES));
    copy = slice_of(arena_strdup(ctx->arena, buf_slice(&token)), token.bytes);
    buf_close(&token);
    return copy;
}

int iam_role_credentials(struct ctx *ctx, const char *role_name, const char *session,
                         int64_t duration_s, struct iam_credentials *credentials, struct error *err)
{
    const struct iam_identity *role = iam_role(ctx->control->iam, role_name);
    char access_key[ID_BYTES];
    json_t *claims;
    char *text;

    if (role == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no role %s", role_name);
    }
    id_new_base32(access_key, "ASIA", 20);
    credentials->expires_ms = ctx->wall_ms + duration_s * 1000;
    claims =
        json_pack("{s:s, s:s, s:s, s:s, s:I}", "key", access_key, "role", role->name, "role_id",
                  role->id, "session", session, "expires_ms", (json_int_t)credentials->expires_ms);
    text = json_dumps(claims, JSON_COMPACT);
    credentials->access_key = arena_strdup(ctx->arena, slice_z(access_key));
    credentials->secret = secret_of(ctx, slice_z(access_key)).data;
    credentials->token = token_of(ctx, slice_z(text)).data;
    credentials->role_id = role->id;
    free(text);
    json_decref(claims);
    return 0;
}

static int invalid(struct error *err)
{
    error_api_status(err, 403, "InvalidClientTokenId",
                     "The security token included in the request is invalid.");
    if (err != NULL) {
        err->code = ERR_AUTH;
    }
    return ERR_AUTH;
}

/* The claims of a token that is ours and of @access_key; NULL otherwise. */
static json_t *claims_of(struct ctx *ctx, struct slice access_key, struct slice token)
{
    size_t dot = slice_find(token, '.');
    struct slice given = slice_sub(token, dot + 1, token.bytes);
    unsigned char bytes[MAC_BYTES];
    struct buf claims = {0}, hex = {0};
    json_t *json = NULL;

    if (token.bytes > TOKEN_BYTES_MAX ||
        text_base64_decode(&claims, slice_sub(token, 0, dot), NULL) != 0) {
        goto out;
    }
    mac(ctx->control->iam, "token", buf_slice(&claims), bytes);
    text_hex_encode(&hex, slice_of((const char *)bytes, MAC_BYTES));
    if (given.bytes != hex.bytes || CRYPTO_memcmp(given.data, hex.data, hex.bytes) != 0) {
        goto out;
    }
    json = json_loadb(claims.data, claims.bytes, 0, NULL);
    if (!slice_equal_z(access_key, json_string_value(json_object_get(json, "key")))) {
        json_decref(json);
        json = NULL;
    }
out:
    buf_close(&claims);
    buf_close(&hex);
    return json;
}

/* A session that has shown a good token. It is asked for by its access key, and shows the token
 * again each time; what the claims say is judged anew, too. */
struct known {
    struct buf token;
    json_t *claims;
    char *secret;
};

static void free_known(struct known *known)
{
    buf_close(&known->token);
    json_decref(known->claims);
    free(known->secret);
    free(known);
}

void iam_forget_sessions(struct iam *iam)
{
    struct known *known;

    for (size_t at = 0; (known = map_next(&iam->sessions, &at)) != NULL;) {
        free_known(known);
    }
    map_close(&iam->sessions);
}

static const struct known *known_of(struct ctx *ctx, struct slice access_key, struct slice token)
{
    struct iam *iam = ctx->control->iam;
    struct known *known = map_get(&iam->sessions, access_key), *old;
    json_t *claims;

    if (known != NULL && known->token.bytes == token.bytes &&
        CRYPTO_memcmp(known->token.data, token.data, token.bytes) == 0) {
        return known;
    }
    claims = claims_of(ctx, access_key, token);
    if (claims == NULL) {
        return NULL;
    }
    if (iam->sessions.count >= KNOWN_MAX) {
        iam_forget_sessions(iam);
    }
    known = mem_calloc(1, sizeof(*known));
    buf_add(&known->token, token);
    known->claims = claims;
    known->secret = mem_strdup(secret_of(ctx, access_key).data);
    old = map_put(&iam->sessions, access_key, known);
    if (old != NULL) {
        free_known(old);
    }
    return known;
}

int iam_find_session(struct ctx *ctx, struct slice access_key, struct slice token,
                     struct slice *secret, struct error *err)
{
    const struct known *known = token.data == NULL ? NULL : known_of(ctx, access_key, token);
    const json_t *claims = known == NULL ? NULL : known->claims;
    const char *role_name = json_string_value(json_object_get(claims, "role"));
    const char *session = json_string_value(json_object_get(claims, "session"));
    const struct iam_identity *role =
        role_name == NULL ? NULL : iam_role(ctx->control->iam, role_name);
    int rc = 0;

    if (role == NULL || session == NULL ||
        strcmp(role->id, json_string_value(json_object_get(claims, "role_id"))) != 0) {
        rc = invalid(err); /* Also when the role was deleted, or made anew. */
    } else if (json_integer_value(json_object_get(claims, "expires_ms")) <= ctx->wall_ms) {
        error_api_status(err, 403, "ExpiredToken",
                         "The security token included in the request is expired");
        if (err != NULL) {
            err->code = ERR_AUTH;
        }
        rc = ERR_AUTH;
    } else {
        ctx->caller = (struct caller){
            .kind = CALLER_ROLE,
            .account = ctx->control->options.account,
            .arn = arena_printf(ctx->arena, "arn:aws:sts::%s:assumed-role/%s/%s",
                                ctx->control->options.account, role->name, session)
                       .data,
            .user_id = arena_printf(ctx->arena, "%s:%s", role->id, session).data,
            .name = arena_strdup(ctx->arena, slice_z(role->name)),
            .access_key_id = arena_strdup(ctx->arena, access_key),
        };
        *secret = slice_z(arena_strdup(ctx->arena, slice_z(known->secret)));
    }
    return rc;
}
