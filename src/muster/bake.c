#include "muster/bake.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "muster/deploy.h"
#include "muster/process.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX (64 * 1024 * 1024)
#define POLL_MS 250
#define RUNNING_MS_MAX 300000
#define SSH_MS_MAX 180000  /* Until sshd answers: AWS takes its time, too. */
#define BAKE_MS_MAX 900000 /* apt-get included. */
#define IMAGE_MS_MAX 1800000
#define GONE_MS_MAX 300000
#define HASH_TEXT_BYTES 65

/* What a bake needs for a while has this tag; images have the next two. */
#define TAG_HELPER "muster:helper-of"
#define TAG_STACK "muster:baked-for"
#define TAG_HASH "muster:sha256"

struct bake {
    struct cli *cli;
    const struct bake_options *options;
    char hash[HASH_TEXT_BYTES];
    char folder[32]; /* Ours in /tmp, with the key; "" none. */
    char *instance, *group, *address, *image;
};

/* Who makes what when. */

static int hash_file(EVP_MD_CTX *hash, const char *path, struct error *err)
{
    struct buf text = {0};
    int rc = deploy_read(path, FILE_BYTES_MAX, &text, err);

    if (rc == 0) {
        EVP_DigestUpdate(hash, text.data, text.bytes);
    }
    buf_close(&text);
    return rc;
}

/* As deploy/apply.sh does, so that either finds the other's image. */
static int hash_inputs(struct bake *bake, struct error *err)
{
    const struct bake_options *options = bake->options;
    const char *const files[] = {options->candidate, options->bake_script, options->service_unit};
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    struct buf text = {0};
    unsigned bytes = 0;
    int rc = 0;

    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    EVP_DigestUpdate(hash, options->base_image, strlen(options->base_image));
    EVP_DigestUpdate(hash, "\n", 1);
    for (size_t i = 0; i < COUNT_OF(files) && rc == 0; i++) {
        rc = hash_file(hash, files[i], err);
    }
    EVP_DigestFinal_ex(hash, digest, &bytes);
    EVP_MD_CTX_free(hash);
    text_hex_encode(&text, slice_of((const char *)digest, bytes));
    snprintf(bake->hash, sizeof(bake->hash), "%s", buf_z(&text));
    buf_close(&text);
    return rc;
}

/* Waiting for one resource's state. */

static int image_state(struct cli *cli, const char *id, char state[32], struct error *err)
{
    json_t *answer = NULL;
    int rc = cli_call(cli, AWS_EC2, "DescribeImages", &answer, err, "ImageId.1", id, NULL);
    const json_t *image = json_array_get(tree_list(answer, "imagesSet"), 0);

    snprintf(state, 32, "%s", tree_text(image, "imageState"));
    if (rc == 0 && strcmp(state, "failed") == 0) {
        rc = error_set(err, ERR_SYSTEM, "image %s failed: %s", id,
                       tree_text(image, "stateReason.message"));
    }
    json_decref(answer);
    return rc;
}

static int wait_image(struct cli *cli, const char *id, struct error *err)
{
    int64_t end_ms = time_boot_ms() + IMAGE_MS_MAX;
    char state[32] = "";
    int rc = 0;

    while (rc == 0 && strcmp(state, "available") != 0) {
        rc = image_state(cli, id, state, err);
        if (rc == 0 && strcmp(state, "available") != 0) {
            terminal_progress(&cli->terminal, "image %s is being made", id);
            rc = time_boot_ms() > end_ms
                     ? error_set(err, ERR_TIMEOUT, "image %s is still %s", id, state)
                     : cli_sleep(cli, POLL_MS, err);
        }
    }
    return rc;
}

/* "running" with a public address, or "terminated". */
static int wait_instance(struct cli *cli, const char *id, const char *wanted, int64_t ms_max,
                         char **address, struct error *err)
{
    int64_t end_ms = time_boot_ms() + ms_max;
    int rc = 0;

    for (;;) {
        json_t *answer = NULL;
        const json_t *instance;
        const char *state;

        rc = cli_call(cli, AWS_EC2, "DescribeInstances", &answer, err, "InstanceId.1", id, NULL);
        instance = json_array_get(
            tree_list(json_array_get(tree_list(answer, "reservationSet"), 0), "instancesSet"), 0);
        state = tree_text(instance, "instanceState.name");
        if (rc == 0 && strcmp(state, wanted) == 0) {
            if (address != NULL) {
                *address = mem_strdup(tree_text(instance, "ipAddress"));
            }
            json_decref(answer);
            return 0;
        }
        if (rc == 0 && address != NULL && strcmp(state, "pending") != 0) {
            rc = error_set(err, ERR_SYSTEM, "instance %s is %s: %s", id, state,
                           tree_text(instance, "stateReason.message"));
        } else if (rc == 0 && time_boot_ms() > end_ms) {
            rc = error_set(err, ERR_TIMEOUT, "instance %s is still %s", id, state);
        }
        json_decref(answer);
        if (rc == 0) {
            rc = cli_sleep(cli, POLL_MS, err);
        }
        if (rc != 0) {
            return rc;
        }
        terminal_turn(&cli->terminal);
    }
}

/* Finding an image that is there already. */

static int find_image(struct bake *bake, struct error *err)
{
    json_t *answer = NULL, *image;
    size_t i;
    int rc =
        cli_call(bake->cli, AWS_EC2, "DescribeImages", &answer, err, "Owner.1", "self",
                 "Filter.1.Name", "tag:" TAG_HASH, "Filter.1.Value.1", bake->hash, "Filter.2.Name",
                 "tag:" TAG_STACK, "Filter.2.Value.1", bake->options->stack, NULL);

    json_array_foreach(tree_list(answer, "imagesSet"), i, image)
    {
        if (tree_is(image, "imageState", "failed")) {
            cli_call(bake->cli, AWS_EC2, "DeregisterImage", NULL, NULL, "ImageId",
                     tree_text(image, "imageId"), NULL);
        } else if (bake->image == NULL) {
            bake->image = mem_strdup(tree_text(image, "imageId"));
        }
    }
    json_decref(answer);
    if (rc == 0 && bake->image != NULL) {
        rc = wait_image(bake->cli, bake->image, err);
    }
    return rc;
}

/* Helpers: key pair, security group, instance. */

static int make_key(struct bake *bake, const char *name, struct error *err)
{
    json_t *answer = NULL;
    char path[64];
    int fd = -1;
    int rc = cli_call(bake->cli, AWS_EC2, "CreateKeyPair", &answer, err, "KeyName", name, "KeyType",
                      "ed25519", "TagSpecification.1.ResourceType", "key-pair",
                      "TagSpecification.1.Tag.1.Key", TAG_HELPER, "TagSpecification.1.Tag.1.Value",
                      bake->options->stack, NULL);
    const char *key = tree_text(answer, "keyMaterial");

    if (rc == 0) {
        snprintf(bake->folder, sizeof(bake->folder), "/tmp/muster-bake-XXXXXX");
        if (mkdtemp(bake->folder) == NULL) {
            bake->folder[0] = '\0';
            rc = error_errno(err, "a temporary folder in /tmp");
        }
    }
    if (rc == 0) {
        snprintf(path, sizeof(path), "%s/key", bake->folder);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, key, strlen(key)) != (ssize_t)strlen(key) ||
            write(fd, "\n", 1) != 1) {
            rc = error_errno(err, "%s", path);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    json_decref(answer);
    return rc;
}

static int make_group(struct bake *bake, const char *name, struct error *err)
{
    json_t *answer = NULL;
    int rc = cli_call(bake->cli, AWS_EC2, "CreateSecurityGroup", &answer, err, "GroupName", name,
                      "GroupDescription", "ssh to an image builder, for as long as it bakes",
                      "VpcId", bake->options->vpc, "TagSpecification.1.ResourceType",
                      "security-group", "TagSpecification.1.Tag.1.Key", TAG_HELPER,
                      "TagSpecification.1.Tag.1.Value", bake->options->stack, NULL);

    if (rc == 0) {
        bake->group = mem_strdup(tree_text(answer, "groupId"));
        rc = cli_call(bake->cli, AWS_EC2, "AuthorizeSecurityGroupIngress", NULL, err, "GroupId",
                      bake->group, "IpPermissions.1.IpProtocol", "tcp", "IpPermissions.1.FromPort",
                      "22", "IpPermissions.1.ToPort", "22", "IpPermissions.1.IpRanges.1.CidrIp",
                      "0.0.0.0/0", NULL);
    }
    json_decref(answer);
    return rc;
}

static int start_instance(struct bake *bake, const char *name, struct error *err)
{
    json_t *answer = NULL;
    int rc = cli_call(
        bake->cli, AWS_EC2, "RunInstances", &answer, err, "ImageId", bake->options->base_image,
        "InstanceType", "t2.micro", "MinCount", "1", "MaxCount", "1", "KeyName", name,
        "ClientToken", name, "NetworkInterface.1.DeviceIndex", "0", "NetworkInterface.1.SubnetId",
        bake->options->subnet, "NetworkInterface.1.AssociatePublicIpAddress", "true",
        "NetworkInterface.1.SecurityGroupId.1", bake->group, "TagSpecification.1.ResourceType",
        "instance", "TagSpecification.1.Tag.1.Key", TAG_HELPER, "TagSpecification.1.Tag.1.Value",
        bake->options->stack, "TagSpecification.1.Tag.2.Key", "Name",
        "TagSpecification.1.Tag.2.Value", "muster image builder", NULL);

    if (rc == 0) {
        bake->instance = mem_strdup(
            tree_text(json_array_get(tree_list(answer, "instancesSet"), 0), "instanceId"));
        terminal_progress(&bake->cli->terminal, "builder %s starts", bake->instance);
        rc = wait_instance(bake->cli, bake->instance, "running", RUNNING_MS_MAX, &bake->address,
                           err);
    }
    if (rc == 0 && bake->address[0] == '\0' && !bake->cli->about.sim) {
        rc = error_set(err, ERR_SYSTEM,
                       "builder %s has no public address; is subnet %s a public one?",
                       bake->instance, bake->options->subnet);
    }
    json_decref(answer);
    return rc;
}

/* ssh and scp with the key of this bake and nothing of the user's. A builder lives for seconds and
 * its host key is made at its boot: there is nothing to compare it with. */

#define SSH_OPTIONS                                                                                \
    "-F", "/dev/null", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",         \
        "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",  \
        "-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=10"

static int ssh(struct bake *bake, const char *command, int64_t ms_max, struct buf *output,
               struct error *err)
{
    char key[64], who[256];
    const char *const argv[] = {"ssh", SSH_OPTIONS, who, command, NULL};

    snprintf(key, sizeof(key), "%s/key", bake->folder);
    snprintf(who, sizeof(who), "%s@%s", bake->options->ssh_user, bake->address);
    return process_run(bake->cli, argv, ms_max, output, err);
}

/* The names that bake.sh expects, whatever the files are called here. scp follows links. */
static const char *const baked_names[] = {"candidate", "bake.sh", "candidate.service"};

static int link_files(struct bake *bake, char links[][64], struct error *err)
{
    const struct bake_options *options = bake->options;
    const char *const files[] = {options->candidate, options->bake_script, options->service_unit};
    int rc = 0;

    for (size_t i = 0; i < COUNT_OF(files) && rc == 0; i++) {
        char *path = realpath(files[i], NULL);

        snprintf(links[i], 64, "%s/%s", bake->folder, baked_names[i]);
        if (path == NULL || symlink(path, links[i]) != 0) {
            rc = error_errno(err, "%s", files[i]);
        }
        free(path);
    }
    return rc;
}

static int copy_files(struct bake *bake, struct error *err)
{
    char key[64], where[256], links[COUNT_OF(baked_names)][64];
    struct buf output = {0};
    const char *const argv[] = {"scp",    "-q",     SSH_OPTIONS, links[0],
                                links[1], links[2], where,       NULL};
    int rc = link_files(bake, links, err);

    snprintf(key, sizeof(key), "%s/key", bake->folder);
    snprintf(where, sizeof(where), "%s@%s:muster-bake/", bake->options->ssh_user, bake->address);
    if (rc == 0) {
        rc = ssh(bake, "mkdir -p muster-bake", BAKE_MS_MAX, &output, err);
    }
    if (rc == 0) {
        rc = process_run(bake->cli, argv, BAKE_MS_MAX, &output, err);
    }
    buf_close(&output);
    return rc;
}

static int wait_ssh(struct bake *bake, struct error *err)
{
    int64_t end_ms = time_boot_ms() + SSH_MS_MAX;
    int rc;

    for (;;) {
        struct buf output = {0};

        terminal_progress(&bake->cli->terminal, "builder %s at %s boots", bake->instance,
                          bake->address);
        rc = ssh(bake, "true", 20000, &output, err);
        buf_close(&output);
        if (rc == 0 || bake->cli->interrupted || time_boot_ms() > end_ms) {
            break;
        }
        rc = cli_sleep(bake->cli, POLL_MS, err);
        if (rc != 0) {
            break;
        }
    }
    return rc == 0 || bake->cli->interrupted
               ? rc
               : error_wrap(err, "builder %s does not answer on ssh", bake->instance);
}

/* The key must not get into the image. Nothing of ours stays but what bake.sh installed. */
#define BAKE_COMMAND                                                                               \
    "cd muster-bake && sudo sh ./bake.sh && cd && rm -rf muster-bake && rm -f "                    \
    ".ssh/authorized_keys"

static int install(struct bake *bake, struct error *err)
{
    struct buf output = {0};
    int rc = wait_ssh(bake, err);

    if (rc == 0) {
        terminal_progress(&bake->cli->terminal, "baking the service into builder %s",
                          bake->instance);
        rc = copy_files(bake, err);
    }
    if (rc == 0) {
        rc = ssh(bake, BAKE_COMMAND, BAKE_MS_MAX, &output, err);
        if (rc == ERR_SYSTEM) {
            terminal_say(&bake->cli->terminal, "%s", buf_z(&output));
            error_wrap(err, "bake.sh failed on the builder");
        }
    }
    buf_close(&output);
    return rc;
}

static int make_image(struct bake *bake, struct error *err)
{
    json_t *answer = NULL;
    char name[128];
    int rc;

    snprintf(name, sizeof(name), "%s-%.12s-%lld", bake->options->stack, bake->hash,
             (long long)(time_wall_ms() / 1000));
    rc = cli_call(bake->cli, AWS_EC2, "CreateImage", &answer, err, "InstanceId", bake->instance,
                  "Name", name, "Description", "The candidate service, baked by muster",
                  "TagSpecification.1.ResourceType", "image", "TagSpecification.1.Tag.1.Key",
                  TAG_STACK, "TagSpecification.1.Tag.1.Value", bake->options->stack,
                  "TagSpecification.1.Tag.2.Key", TAG_HASH, "TagSpecification.1.Tag.2.Value",
                  bake->hash, NULL);
    if (rc == 0) {
        bake->image = mem_strdup(tree_text(answer, "imageId"));
        rc = wait_image(bake->cli, bake->image, err);
    }
    json_decref(answer);
    return rc;
}

static int build(struct bake *bake, struct error *err)
{
    char name[64];
    int rc;

    snprintf(name, sizeof(name), "muster-bake-%lld", (long long)time_wall_ms());
    rc = bake_tidy(bake->cli, bake->options->stack, err);
    if (rc == 0) {
        rc = make_key(bake, name, err);
    }
    if (rc == 0) {
        rc = make_group(bake, name, err);
    }
    if (rc == 0) {
        rc = start_instance(bake, name, err);
    }
    if (rc == 0 && !bake->cli->about.sim) { /* Nobody is in there. */
        rc = install(bake, err);
    }
    return rc == 0 ? make_image(bake, err) : rc;
}

static void remove_folder(struct bake *bake)
{
    char path[64];

    if (bake->folder[0] != '\0') {
        snprintf(path, sizeof(path), "%s/key", bake->folder);
        unlink(path);
        for (size_t i = 0; i < COUNT_OF(baked_names); i++) {
            snprintf(path, sizeof(path), "%s/%s", bake->folder, baked_names[i]);
            unlink(path);
        }
        rmdir(bake->folder);
    }
}

int bake_image(struct cli *cli, const struct bake_options *options, char **image, bool *baked,
               struct error *err)
{
    struct bake bake = {.cli = cli, .options = options};
    int rc = hash_inputs(&bake, err);

    *image = NULL;
    *baked = false;
    if (rc == 0) {
        terminal_progress(&cli->terminal, "looking for an image of this service");
        rc = find_image(&bake, err);
    }
    if (rc == 0 && bake.image == NULL) {
        struct error untidy = {0};

        *baked = true;
        rc = build(&bake, err);
        remove_folder(&bake);
        /* A failure to build says more than one to tidy up. */
        if (bake_tidy(cli, options->stack, &untidy) != 0 && rc == 0) {
            *err = untidy;
            rc = (int)untidy.code;
        }
    }
    if (rc == 0) {
        *image = bake.image;
        bake.image = NULL;
    }
    free(bake.instance);
    free(bake.group);
    free(bake.address);
    free(bake.image);
    return rc;
}

/* Tidying up. */

static int end_instances(struct cli *cli, const char *stack, struct error *err)
{
    json_t *reservations = NULL, *reservation, *instance;
    size_t i, j;
    int rc = cli_list(cli, AWS_EC2, "DescribeInstances", "reservationSet", &reservations, err,
                      "Filter.1.Name", "tag:" TAG_HELPER, "Filter.1.Value.1", stack,
                      "Filter.2.Name", "instance-state-name", "Filter.2.Value.1", "pending",
                      "Filter.2.Value.2", "running", "Filter.2.Value.3", "stopping",
                      "Filter.2.Value.4", "stopped", "Filter.2.Value.5", "shutting-down", NULL);

    json_array_foreach(reservations, i, reservation)
    {
        json_array_foreach(tree_list(reservation, "instancesSet"), j, instance)
        {
            const char *id = tree_text(instance, "instanceId");

            terminal_progress(&cli->terminal, "ending builder %s", id);
            if (rc == 0) {
                rc = cli_call(cli, AWS_EC2, "TerminateInstances", NULL, err, "InstanceId.1", id,
                              NULL);
            }
            if (rc == 0) {
                rc = wait_instance(cli, id, "terminated", GONE_MS_MAX, NULL, err);
            }
        }
    }
    json_decref(reservations);
    return rc;
}

/* One list of helpers, by tag; each deleted by its id. */
static int delete_each(struct cli *cli, const char *stack, const char *describe, const char *list,
                       const char *id_member, const char *delete, const char *id_name,
                       struct error *err)
{
    json_t *answer = NULL, *row;
    size_t i;
    int rc = cli_call(cli, AWS_EC2, describe, &answer, err, "Filter.1.Name", "tag:" TAG_HELPER,
                      "Filter.1.Value.1", stack, NULL);

    json_array_foreach(tree_list(answer, list), i, row)
    {
        if (rc == 0) {
            rc =
                cli_call(cli, AWS_EC2, delete, NULL, err, id_name, tree_text(row, id_member), NULL);
        }
    }
    json_decref(answer);
    return rc;
}

int bake_tidy(struct cli *cli, const char *stack, struct error *err)
{
    bool interrupted = cli->interrupted;
    int rc;

    cli->interrupted = false; /* Another Ctrl-C ends this, too. */
    rc = end_instances(cli, stack, err);
    if (rc == 0) {
        rc = delete_each(cli, stack, "DescribeSecurityGroups", "securityGroupInfo", "groupId",
                         "DeleteSecurityGroup", "GroupId", err);
    }
    if (rc == 0) {
        rc = delete_each(cli, stack, "DescribeKeyPairs", "keySet", "keyPairId", "DeleteKeyPair",
                         "KeyPairId", err);
    }
    cli->interrupted |= interrupted;
    return rc;
}

/* Before the image is gone its snapshots are in nobody's hands but ours. */
static int forget_image(struct cli *cli, const json_t *image, struct error *err)
{
    json_t *mapping;
    size_t i;
    int rc = cli_call(cli, AWS_EC2, "DeregisterImage", NULL, err, "ImageId",
                      tree_text(image, "imageId"), NULL);

    json_array_foreach(tree_list(image, "blockDeviceMapping"), i, mapping)
    {
        const char *snapshot = tree_text(mapping, "ebs.snapshotId");

        if (rc == 0 && snapshot[0] != '\0') {
            rc = cli_call(cli, AWS_EC2, "DeleteSnapshot", NULL, err, "SnapshotId", snapshot, NULL);
        }
    }
    return rc;
}

int bake_forget(struct cli *cli, const char *stack, const char *keep, size_t *count,
                struct error *err)
{
    json_t *answer = NULL, *image;
    size_t i;
    int rc = cli_call(cli, AWS_EC2, "DescribeImages", &answer, err, "Owner.1", "self",
                      "Filter.1.Name", "tag:" TAG_STACK, "Filter.1.Value.1", stack, NULL);

    *count = 0;
    json_array_foreach(tree_list(answer, "imagesSet"), i, image)
    {
        if (rc == 0 && (keep == NULL || !tree_is(image, "imageId", keep))) {
            rc = forget_image(cli, image, err);
            *count += rc == 0;
        }
    }
    json_decref(answer);
    return rc;
}
