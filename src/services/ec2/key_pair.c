/* Key pairs. A private key is shown once and not kept. */
#include "services/ec2/key_material.h"
#include "services/ec2/private.h"

#include <string.h>

#define KEY_NAME_BYTES_MAX 255

struct key_pair *key_pair_named(const struct control *control, const char *name)
{
    struct key_pair *key;

    for (size_t at = 0; (key = thing_next(control, KIND_KEY, &at)) != NULL;) {
        if (strcmp(key->name, name) == 0) {
            return key;
        }
    }
    return NULL;
}

static int check_name(struct ctx *ctx, const struct doc *in, struct error *err)
{
    struct slice name = doc_text(in, M_KeyName);
    int rc = tag_specs_check(in, "key-pair", err);

    if (rc != 0) {
        return rc;
    }
    if (name.bytes == 0 || name.bytes > KEY_NAME_BYTES_MAX) {
        return error_api(err, "InvalidParameterValue",
                         "Value for parameter KeyName is invalid. It must have 1 to %d characters.",
                         KEY_NAME_BYTES_MAX);
    }
    return key_pair_named(ctx->control, name.data) != NULL
               ? error_api(err, "InvalidKeyPair.Duplicate", "The keypair already exists")
               : quota_check(ctx->control, KIND_KEY, NULL, 1, err);
}

static const struct key_pair *keep(struct ctx *ctx, const struct doc *in,
                                   const struct key_material *material, struct doc *out)
{
    struct key_pair *key = thing_new(ctx, KIND_KEY, NULL);

    key->name = mem_strdup(doc_z(in, M_KeyName));
    key->type = mem_strdup(material->type);
    key->fingerprint = mem_strdup(buf_z(&material->fingerprint));
    key->public_key = mem_strdup(buf_z(&material->public_key));
    key->created_ms = ctx->now_ms;
    thing_put(ctx, KIND_KEY, key);
    tag_specs_apply(ctx, in, "key-pair", KIND_KEY, key->id);
    doc_set_z(out, M_KeyName, key->name);
    doc_set_z(out, M_KeyPairId, key->id);
    doc_set_z(out, M_KeyFingerprint, key->fingerprint);
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_KEY, key->id), out);
    return key;
}

int ec2_create_key_pair(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct key_material material = {0};
    const char *type = doc_has(in, M_KeyType) ? doc_z(in, M_KeyType) : "rsa";
    int rc = check_name(ctx, in, err);

    if (rc == 0 && slice_equal_z(doc_text(in, M_KeyFormat), "ppk")) {
        rc = error_api(err, "UnsupportedOperation", "muster writes private keys as pem only.");
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    rc = key_material_make(type, &material, err);
    if (rc == 0) {
        keep(ctx, in, &material, out);
        doc_set_text(out, M_KeyMaterial, buf_slice(&material.private_key));
    }
    key_material_close(&material);
    return rc;
}

int ec2_import_key_pair(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct key_material material = {0};
    int rc = check_name(ctx, in, err);

    rc = rc != 0 ? rc : key_material_read(doc_text(in, M_PublicKeyMaterial), &material, err);
    if (rc == 0 && doc_bool(in, M_DryRun)) {
        rc = ec2_dry_run(in, err);
    }
    if (rc == 0) {
        keep(ctx, in, &material, out);
    }
    key_material_close(&material);
    return rc;
}

int ec2_delete_key_pair(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct key_pair *key = NULL;

    if (!doc_has(in, M_KeyName) && !doc_has(in, M_KeyPairId)) {
        return error_api(err, "MissingParameter",
                         "The request must contain the parameter KeyName or KeyPairId");
    }
    DRY_RUN(in, err)
    key = doc_has(in, M_KeyPairId) ? thing_get(ctx->control, KIND_KEY, doc_z(in, M_KeyPairId))
                                   : key_pair_named(ctx->control, doc_z(in, M_KeyName));
    doc_set_bool(out, M_Return, true);
    if (key != NULL) { /* AWS is content with a key that is not there. */
        doc_set_z(out, M_KeyPairId, key->id);
        thing_drop(ctx, KIND_KEY, key);
    }
    return 0;
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct key_pair *key = thing;

    doc_set_z(out, M_KeyPairId, key->id);
    doc_set_z(out, M_KeyName, key->name);
    doc_set_z(out, M_KeyType, key->type);
    doc_set_z(out, M_KeyFingerprint, key->fingerprint);
    doc_set_time_ms(out, M_CreateTime, key->created_ms);
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_KEY, key->id), out);
}

static void fill_with_key(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct key_pair *key = thing;

    fill(ctx, thing, out);
    doc_set_format(out, M_PublicKey, "%s %s", key->public_key, key->name);
}

FILTER_TEXT(by_id, struct key_pair, id)
FILTER_TEXT(by_name, struct key_pair, name)
FILTER_TEXT(by_fingerprint, struct key_pair, fingerprint)

static const struct filter filters[] = {
    {"key-pair-id", by_id}, {"fingerprint", by_fingerprint}, {"key-name", by_name}};

static bool admits(struct ctx *ctx, const struct doc *in, const void *thing)
{
    (void)ctx;
    return doc_count(in, M_KeyNames) == 0 ||
           doc_list_contains(in, M_KeyNames, slice_z(((const struct key_pair *)thing)->name));
}

int ec2_describe_key_pairs(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    struct listing listing = {.kind = KIND_KEY,
                              .action = "DescribeKeyPairs",
                              .list = M_KeyPairs,
                              .filters = filters,
                              .filters_count = COUNT_OF(filters),
                              .fill = doc_bool(in, M_IncludePublicKey) ? fill_with_key : fill,
                              .admits = admits};

    for (size_t i = 0; i < doc_count(in, M_KeyNames); i++) {
        const char *name = doc_z_at(in, M_KeyNames, i);

        if (key_pair_named(ctx->control, name) == NULL) {
            return error_api(err, "InvalidKeyPair.NotFound", "The key pair '%s' does not exist",
                             name);
        }
    }
    return list_things(ctx, in, out, &listing, err);
}
