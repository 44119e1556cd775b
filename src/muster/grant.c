/* muster grant: an IAM user for a user of this machine, with keys in that user's own file.
 *
 * Root runs this for others (run.sh does). Files in a home are looked at and written as its owner:
 * a link that was put there leads to nothing that is not the owner's already. */
#include "base/alloc.h"
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/settings.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLICY "arn:aws:iam::aws:policy/AdministratorAccess"
#define KEYS_MAX 2 /* IAM's, for a user. */
#define GROUPS_MAX 256

struct owner {
    uid_t uid;
    gid_t gid;
    char *name, *home;
    gid_t old_groups[GROUPS_MAX];
    int old_groups_count;
    bool changed;
};

static int find_owner(const char *name, struct owner *owner, struct error *err)
{
    const struct passwd *entry = getpwnam(name);

    if (entry == NULL) {
        return error_set(err, ERR_NOT_FOUND, "this machine has no user '%s'", name);
    }
    *owner = (struct owner){.uid = entry->pw_uid,
                            .gid = entry->pw_gid,
                            .name = mem_strdup(entry->pw_name),
                            .home = mem_strdup(entry->pw_dir)};
    if (geteuid() != 0 && geteuid() != owner->uid) {
        return error_set(err, ERR_DENIED,
                         "only root writes into another's home: sudo muster "
                         "grant %s",
                         name);
    }
    return 0;
}

/* Act as the owner until come_back(). */
static int become(struct owner *owner, struct error *err)
{
    if (geteuid() != 0 || owner->uid == 0) {
        return 0;
    }
    owner->old_groups_count = getgroups(GROUPS_MAX, owner->old_groups);
    owner->changed = true;
    if (owner->old_groups_count < 0 || initgroups(owner->name, owner->gid) != 0 ||
        setegid(owner->gid) != 0 || seteuid(owner->uid) != 0) {
        return error_errno(err, "become %s", owner->name);
    }
    return 0;
}

static void come_back(struct owner *owner)
{
    if (owner->changed &&
        (seteuid(0) != 0 || setegid(0) != 0 ||
         setgroups((size_t)max_i64(owner->old_groups_count, 0), owner->old_groups) != 0)) {
        abort(); /* Whoever we now are must not go on. */
    }
    owner->changed = false;
}

static int write_file(const char *path, const struct buf *text, struct error *err)
{
    struct buf temporary = {0};
    int fd, rc = 0;

    settings_make_folders(path);
    buf_printf(&temporary, "%s.new", path);
    unlink(buf_z(&temporary));
    fd = open(buf_z(&temporary), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text->data, text->bytes) != (ssize_t)text->bytes || fsync(fd) != 0 ||
        rename(buf_z(&temporary), path) != 0) {
        rc = error_errno(err, "%s", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_close(&temporary);
    return rc;
}

/* IAM. */

static int ensure_user(struct cli *cli, const char *name, struct error *err)
{
    struct error own = {0};
    int rc = cli_call(cli, AWS_IAM, "CreateUser", NULL, &own, "UserName", name, NULL);

    if (rc != 0 && !cli_error_is(&own, "EntityAlreadyExists")) {
        *err = own;
        return rc;
    }
    return cli_call(cli, AWS_IAM, "AttachUserPolicy", NULL, err, "UserName", name, "PolicyArn",
                    POLICY, NULL);
}

/* Keys that IAM knows, oldest first. */
static int list_keys(struct cli *cli, const char *name, json_t **keys, struct error *err)
{
    return cli_list(cli, AWS_IAM, "ListAccessKeys", "AccessKeyMetadata", keys, err, "UserName",
                    name, NULL);
}

static int make_key(struct cli *cli, const char *name, const json_t *keys, json_t **key,
                    struct error *err)
{
    json_t *answer = NULL;
    int rc = 0;

    /* Secrets cannot be asked for again: what is in no file is lost. */
    for (size_t i = 0; rc == 0 && i + KEYS_MAX <= json_array_size(keys); i++) {
        rc = cli_call(cli, AWS_IAM, "DeleteAccessKey", NULL, err, "UserName", name, "AccessKeyId",
                      tree_text(json_array_get(keys, i), "AccessKeyId"), NULL);
    }
    if (rc == 0) {
        rc = cli_call(cli, AWS_IAM, "CreateAccessKey", &answer, err, "UserName", name, NULL);
    }
    *key = json_incref(json_object_get(answer, "AccessKey"));
    json_decref(answer);
    return rc;
}

static void add_line(struct buf *text, const char *key, const char *value)
{
    buf_printf(text, "%s = %s\n", key, value);
}

static int store_key(struct cli *cli, struct owner *owner, const char *path, const json_t *key,
                     struct error *err)
{
    struct buf text = {0};
    int rc;

    buf_add_z(&text, "# Made by muster grant. Whoever reads this may do anything in this muster.\n"
                     "[default]\n");
    add_line(&text, "aws_access_key_id", tree_text(key, "AccessKeyId"));
    add_line(&text, "aws_secret_access_key", tree_text(key, "SecretAccessKey"));
    add_line(&text, "region", cli->region);
    add_line(&text, "endpoint_url", cli->endpoint);
    rc = become(owner, err);
    if (rc == 0) {
        rc = write_file(path, &text, err);
    }
    come_back(owner);
    buf_close(&text);
    return rc;
}

/* Does the file hold a key that IAM knows, for this endpoint? */
static int is_granted(struct cli *cli, struct owner *owner, const char *path, const json_t *keys,
                      bool *granted, struct error *err)
{
    struct aws_keys mine = {0};
    char *endpoint = NULL;
    int rc = become(owner, err);

    if (rc == 0 && aws_keys_read(path, &mine, NULL) == 0) {
        endpoint = settings_in_file(path, "endpoint_url");
        *granted = tree_find(keys, "AccessKeyId", mine.access_key) != NULL && endpoint != NULL &&
                   strcmp(endpoint, cli->endpoint) == 0;
    }
    come_back(owner);
    free(endpoint);
    aws_keys_close(&mine);
    return rc;
}

static int run(struct cli *cli, struct error *err)
{
    struct owner owner = {0};
    json_t *keys = NULL, *key = NULL;
    char *path = NULL;
    bool granted = false;
    int rc = find_owner(cli->arguments.words[0], &owner, err);

    if (rc == 0) {
        path = settings_user_file(owner.home);
        rc = ensure_user(cli, owner.name, err);
    }
    if (rc == 0) {
        rc = list_keys(cli, owner.name, &keys, err);
    }
    if (rc == 0) {
        rc = is_granted(cli, &owner, path, keys, &granted, err);
    }
    if (rc == 0 && !granted) {
        rc = make_key(cli, owner.name, keys, &key, err);
        if (rc == 0) {
            rc = store_key(cli, &owner, path, key, err);
        }
    }
    if (rc == 0) {
        terminal_good(&cli->terminal, "%s %s keys in %s", owner.name, granted ? "has" : "has new",
                      path);
        cli_result(cli, json_pack("{s:s, s:s, s:b}", "UserName", owner.name, "File", path,
                                  "NewKeys", !granted));
    }
    json_decref(keys);
    json_decref(key);
    free(path);
    free(owner.name);
    free(owner.home);
    return rc;
}

const struct command grant_command = {
    .name = "grant",
    .words = "USER",
    .says = "Give a user of this machine keys for this muster",
    .details =
        "Makes an IAM user of the same name, allowed to do everything here, and writes keys\n"
        "to the user's ~/.config/muster/credentials (0600), where muster looks for them. Keys\n"
        "that still work stay. Root does this for others; run.sh does it for you.\n",
    .examples = "  sudo muster grant alice\n",
    .words_min = 1,
    .words_max = 1,
    .run = run,
};
