/* The service's row, its records, and the first start. */
#include "api/members.h"
#include "aws/id.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "services/iam/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct record_field inline_fields[] = {
    RECORD_TEXT(struct iam_inline, name),
    RECORD_TEXT(struct iam_inline, document),
};
static const struct record inline_record = RECORD(struct iam_inline, inline_fields);

static const struct record_field key_fields[] = {
    RECORD_TEXT(struct iam_key, id),
    RECORD_TEXT(struct iam_key, secret),
    RECORD_BOOL(struct iam_key, inactive),
    RECORD_I64(struct iam_key, created_ms),
};
static const struct record key_record = RECORD(struct iam_key, key_fields);

static const struct record_field identity_fields[] = {
    RECORD_BOOL(struct iam_identity, is_role),
    RECORD_TEXT(struct iam_identity, name),
    RECORD_TEXT(struct iam_identity, id),
    RECORD_TEXT(struct iam_identity, path),
    RECORD_TEXT(struct iam_identity, arn),
    RECORD_TEXT(struct iam_identity, trust),
    RECORD_TEXT(struct iam_identity, description),
    RECORD_I64(struct iam_identity, max_session_s),
    RECORD_I64(struct iam_identity, created_ms),
    RECORD_LIST(struct iam_identity, policies, inline_record),
    RECORD_TEXTS(struct iam_identity, attached),
    RECORD_LIST(struct iam_identity, keys, key_record),
};
const struct record iam_identity_record = RECORD(struct iam_identity, identity_fields);

static const struct record_field policy_fields[] = {
    RECORD_TEXT(struct iam_policy, name),        RECORD_TEXT(struct iam_policy, id),
    RECORD_TEXT(struct iam_policy, path),        RECORD_TEXT(struct iam_policy, arn),
    RECORD_TEXT(struct iam_policy, description), RECORD_TEXT(struct iam_policy, document),
    RECORD_I64(struct iam_policy, created_ms),
};
const struct record iam_policy_record = RECORD(struct iam_policy, policy_fields);

static const struct record_field profile_fields[] = {
    RECORD_TEXT(struct iam_profile, name), RECORD_TEXT(struct iam_profile, id),
    RECORD_TEXT(struct iam_profile, path), RECORD_TEXT(struct iam_profile, arn),
    RECORD_TEXT(struct iam_profile, role), RECORD_I64(struct iam_profile, created_ms),
};
const struct record iam_profile_record = RECORD(struct iam_profile, profile_fields);

/* What is one of a kind: the session key and root's access key. */
static const struct record_field root_fields[] = {
    RECORD_TEXT(struct iam, session_key),
    RECORD_STRUCT(struct iam, root, key_record),
};
static const struct record root_record = RECORD(struct iam, root_fields);

static void lower(const char *name, struct buf *out)
{
    for (; *name != '\0'; name++) {
        buf_add_byte(out, *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name);
    }
}

static void *find(const struct map *map, const char *name)
{
    struct buf key = {0};
    void *found;

    lower(name, &key);
    found = map_get(map, buf_slice(&key));
    buf_close(&key);
    return found;
}

struct iam_identity *iam_user(const struct iam *iam, const char *name)
{
    return find(&iam->users, name);
}

struct iam_identity *iam_role(const struct iam *iam, const char *name)
{
    return find(&iam->roles, name);
}

struct iam_profile *iam_profile(const struct iam *iam, const char *name)
{
    return find(&iam->profiles, name);
}

int iam_find_user(struct ctx *ctx, const char *name, struct iam_identity **user, struct error *err)
{
    *user = iam_user(ctx->control->iam, name);
    return *user != NULL
               ? 0
               : error_api(err, "NoSuchEntity", "The user with name %s cannot be found.", name);
}

int iam_find_role(struct ctx *ctx, const char *name, struct iam_identity **role, struct error *err)
{
    *role = iam_role(ctx->control->iam, name);
    return *role != NULL
               ? 0
               : error_api(err, "NoSuchEntity", "The role with name %s cannot be found.", name);
}

char *iam_make_arn(const struct ctx *ctx, const char *type, const char *path, const char *name)
{
    struct buf arn = {0};

    buf_printf(&arn, "arn:aws:iam::%s:%s%s%s", ctx->control->options.account, type, path, name);
    return buf_take(&arn);
}

int iam_check_name(const char *member, const char *name, struct error *err)
{
    if (name[strspn(name,
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-")] ==
        '\0') {
        return 0;
    }
    return error_api(err, "ValidationError",
                     "The specified value for %s is invalid. It must contain only alphanumeric "
                     "characters and/or the following: +=,.@_-",
                     member);
}

/* "/", or names between slashes; a prefix needs not end with one. */
static bool is_path(struct slice path, bool prefix)
{
    for (size_t i = 0; i < path.bytes; i++) {
        if (path.data[i] < '!' || path.data[i] > '~') {
            return false;
        }
    }
    return path.bytes > 0 && path.data[0] == '/' && (prefix || path.data[path.bytes - 1] == '/');
}

int iam_check_new(struct ctx *ctx, const struct doc *in, const struct iam_new *new,
                  struct error *err)
{
    int rc = iam_check_name(new->member, new->name, err);
    char *arn;

    if (rc == 0 && !is_path(slice_z(iam_path(in)), false)) {
        rc = error_api(err, "ValidationError",
                       "The specified value for path is invalid. It must begin and end with / and "
                       "contain only alphanumeric characters and/or / characters.");
    }
    if (rc == 0) {
        arn = iam_make_arn(ctx, new->type, iam_path(in), new->name);
        rc = iam_authorize(ctx, new->action, arn, err);
        free(arn);
    }
    return rc;
}

int iam_check_prefix(const struct doc *in, struct error *err)
{
    if (!doc_has(in, M_PathPrefix) || is_path(doc_text(in, M_PathPrefix), true)) {
        return 0;
    }
    return error_api(err, "ValidationError",
                     "The specified value for pathPrefix is invalid. It must begin with the / "
                     "character and contain only alphanumeric characters and/or / characters.");
}

const char *iam_path(const struct doc *in)
{
    const char *path = doc_z(in, M_Path);

    return path == NULL ? "/" : path;
}

/* Identities. */

struct iam_identity *iam_add(struct iam *iam, bool is_role)
{
    struct iam_identity *identity = mem_calloc(1, sizeof(*identity));

    (void)iam;
    identity->is_role = is_role;
    return identity;
}

static void put(struct map *map, const char *name, void *value)
{
    struct buf key = {0};

    lower(name, &key);
    map_put(map, buf_slice(&key), value);
    buf_close(&key);
}

static void drop(struct map *map, const char *name)
{
    struct buf key = {0};

    lower(name, &key);
    map_remove(map, buf_slice(&key));
    buf_close(&key);
}

void iam_index(struct iam *iam, struct iam_identity *identity)
{
    put(identity->is_role ? &iam->roles : &iam->users, identity->name, identity);
}

static struct slice kind_of(const struct iam_identity *identity)
{
    return identity->is_role ? SLICE_LIT("iam.role") : SLICE_LIT("iam.user");
}

void iam_changed(struct ctx *ctx, const struct iam_identity *identity)
{
    changes_put_record(ctx->changes, kind_of(identity), slice_z(identity->id), &iam_identity_record,
                       identity);
}

static void free_identity(struct iam_identity *identity)
{
    record_close(&iam_identity_record, identity);
    free(identity);
}

void iam_forget(struct ctx *ctx, struct iam_identity *identity)
{
    struct iam *iam = ctx->control->iam;

    changes_del(ctx->changes, kind_of(identity), slice_z(identity->id));
    ctx_tags_drop(ctx, identity->arn);
    drop(identity->is_role ? &iam->roles : &iam->users, identity->name);
    free_identity(identity);
}

void iam_profile_changed(struct ctx *ctx, const struct iam_profile *profile)
{
    changes_put_record(ctx->changes, SLICE_LIT("iam.profile"), slice_z(profile->id),
                       &iam_profile_record, profile);
}

/* The service's row. */

static int open_service(struct control *control, struct error *err)
{
    (void)err;
    control->iam = mem_calloc(1, sizeof(*control->iam));
    control->iam->control = control;
    return 0;
}

static int load_one(const struct record *record, size_t bytes, struct slice body, void **thing,
                    struct error *err)
{
    int rc;

    *thing = mem_calloc(1, bytes);
    rc = record_load(record, *thing, body, err);
    if (rc != 0) {
        free(*thing);
    }
    return rc;
}

static int load_record(struct control *control, struct slice kind, struct slice id,
                       struct slice body, struct error *err)
{
    struct iam *iam = control->iam;
    void *thing;
    int rc;

    (void)id;
    if (slice_equal_z(kind, "iam.root")) {
        return record_load(&root_record, iam, body, err);
    }
    if (slice_equal_z(kind, "iam.user") || slice_equal_z(kind, "iam.role")) {
        rc = load_one(&iam_identity_record, sizeof(struct iam_identity), body, &thing, err);
        if (rc == 0) {
            iam_index(iam, thing);
        }
        return rc;
    }
    if (slice_equal_z(kind, "iam.policy")) {
        rc = load_one(&iam_policy_record, sizeof(struct iam_policy), body, &thing, err);
        if (rc == 0) {
            map_put(&iam->policies, slice_z(((struct iam_policy *)thing)->arn), thing);
        }
        return rc;
    }
    if (slice_equal_z(kind, "iam.profile")) {
        rc = load_one(&iam_profile_record, sizeof(struct iam_profile), body, &thing, err);
        if (rc == 0) {
            put(&iam->profiles, ((struct iam_profile *)thing)->name, thing);
        }
        return rc;
    }
    return error_set(err, ERR_CONFIG, "unknown record %.*s", SLICE_ARG(kind));
}

/* STATE/credentials, for people and clients: written when it is not there, never read by us. */
static int write_credentials(const struct iam *iam, struct error *err)
{
    const struct control_options *options = &iam->control->options;
    struct buf path = {0}, temporary = {0};
    FILE *file;
    int fd, rc = 0;

    buf_printf(&path, "%s/credentials", options->state_dir);
    buf_printf(&temporary, "%s/credentials.new", options->state_dir);
    if (access(buf_z(&path), F_OK) == 0) {
        goto out;
    }
    fd = open(buf_z(&temporary), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        rc = error_errno(err, "%s", buf_z(&temporary));
        goto out;
    }
    fprintf(file,
            "# Root credentials of this muster, made at its first start.\n[default]\n"
            "aws_access_key_id = %s\naws_secret_access_key = %s\n",
            iam->root.id, iam->root.secret);
    if (fflush(file) != 0 || fsync(fd) != 0 || fclose(file) != 0 ||
        rename(buf_z(&temporary), buf_z(&path)) != 0) {
        rc = error_errno(err, "%s", buf_z(&path));
    }
out:
    buf_close(&path);
    buf_close(&temporary);
    return rc;
}

static int start_service(struct ctx *ctx, struct error *err)
{
    struct iam *iam = ctx->control->iam;
    char id[ID_BYTES], secret[41], hex[ID_BYTES + 1], more[ID_BYTES];

    if (iam->session_key == NULL) {
        id_new_base32(id, "AKIA", 20);
        id_new_secret(secret, 40);
        id_new_hex(hex, 32);
        id_new_hex(more, 32);
        memcpy(hex + 32, more, 33);
        iam->session_key = mem_strdup(hex);
        iam->root = (struct iam_key){
            .id = mem_strdup(id), .secret = mem_strdup(secret), .created_ms = ctx->now_ms};
        changes_put_record(ctx->changes, SLICE_LIT("iam.root"), SLICE_LIT("root"), &root_record,
                           iam);
    }
    return write_credentials(iam, err);
}

static void close_service(struct control *control)
{
    struct iam *iam = control->iam;
    void *thing;

    if (iam == NULL) {
        return;
    }
    for (size_t at = 0; (thing = map_next(&iam->users, &at)) != NULL;) {
        free_identity(thing);
    }
    for (size_t at = 0; (thing = map_next(&iam->roles, &at)) != NULL;) {
        free_identity(thing);
    }
    for (size_t at = 0; (thing = map_next(&iam->policies, &at)) != NULL;) {
        record_close(&iam_policy_record, thing);
        free(thing);
    }
    for (size_t at = 0; (thing = map_next(&iam->profiles, &at)) != NULL;) {
        record_close(&iam_profile_record, thing);
        free(thing);
    }
    map_close(&iam->users);
    map_close(&iam->roles);
    map_close(&iam->policies);
    map_close(&iam->profiles);
    iam_forget_parsed(iam);
    iam_forget_sessions(iam);
    record_close(&root_record, iam);
    free(iam);
    control->iam = NULL;
}

const struct service iam_service = {
    .name = "iam",
    .open = open_service,
    .load = load_record,
    .start = start_service,
    .close = close_service,
    .resource = iam_resource,
};
