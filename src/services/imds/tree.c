/* The metadata tree: a list of leaves; directories are what the paths imply, so that a listing
 * names exactly what answers (cloud-init gives up on a listed entry that does not). */
#include "services/imds/private.h"

#include "base/text.h"

#include <string.h>

void imds_tree_add(struct imds_tree *tree, const char *path, struct slice value)
{
    if (tree->count == tree->room) {
        struct imds_leaf *more =
            arena_calloc(tree->arena, tree->room == 0 ? 64 : tree->room * 2, sizeof(*more));

        if (tree->count > 0) {
            memcpy(more, tree->leaves, tree->count * sizeof(*more));
        }
        tree->leaves = more;
        tree->room = tree->room == 0 ? 64 : tree->room * 2;
    }
    tree->leaves[tree->count++] =
        (struct imds_leaf){arena_copy(tree->arena, slice_z(path)), value, false};
}

static void add_z(struct imds_tree *tree, const char *path, const char *value)
{
    if (value != NULL && *value != '\0') {
        imds_tree_add(tree, path, slice_z(value));
    }
}

/* "ip-10-0-0-5.us-east-2.compute.internal" */
static const char *host_name(struct ctx *ctx, const struct ec2_instance *instance)
{
    const char *region = ctx->control->options.region;
    bool first = strcmp(region, "us-east-1") == 0;
    char *text =
        arena_strdup(ctx->arena, slice_z(instance->address == NULL ? "" : instance->address));

    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '.' ? '-' : *at;
    }
    return arena_printf(ctx->arena, "ip-%s.%s%s", text, first ? "ec2" : region,
                        first ? ".internal" : ".compute.internal")
        .data;
}

static const char *public_name(struct ctx *ctx, const struct ec2_instance *instance)
{
    const struct ec2_vpc *vpc = ec2_vpc_find(ctx->control, instance->vpc);
    const char *region = ctx->control->options.region;
    bool first = strcmp(region, "us-east-1") == 0;
    char *text;

    if (instance->public_address == NULL || vpc == NULL || !vpc->dns_hostnames) {
        return NULL;
    }
    text = arena_strdup(ctx->arena, slice_z(instance->public_address));
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '.' ? '-' : *at;
    }
    return first ? arena_printf(ctx->arena, "ec2-%s.compute-1.amazonaws.com", text).data
                 : arena_printf(ctx->arena, "ec2-%s.%s.compute.amazonaws.com", text, region).data;
}

/* One name or id a line. */
static const char *group_lines(struct ctx *ctx, const struct ec2_instance *instance, bool names)
{
    const struct ec2_interface *interface = ec2_interface_find(ctx->control, instance->interface);
    struct buf text = {0};
    const char *copy;

    for (size_t i = 0; interface != NULL && i < interface->groups_count; i++) {
        const char *name =
            names ? ec2_group_name(ctx->control, interface->groups[i]) : interface->groups[i];

        if (name != NULL) {
            buf_printf(&text, "%s%s", text.bytes == 0 ? "" : "\n", name);
        }
    }
    copy = arena_strdup(ctx->arena, buf_slice(&text));
    buf_close(&text);
    return copy;
}

static void add_interface(struct ctx *ctx, const struct ec2_instance *instance,
                          struct imds_tree *tree)
{
    const struct ec2_subnet *subnet = ec2_subnet_find(ctx->control, instance->subnet);
    const struct ec2_vpc *vpc = ec2_vpc_find(ctx->control, instance->vpc);
    const char *host = host_name(ctx, instance), *outside = public_name(ctx, instance);
    const char *groups = group_lines(ctx, instance, false);
    const char *group_names = group_lines(ctx, instance, true);
    const struct {
        const char *name, *value;
    } rows[] = {
        {"device-number", "0"},
        {"interface-id", instance->interface},
        {"local-hostname", host},
        {"local-ipv4s", instance->address},
        {"mac", instance->mac},
        {"owner-id", ctx->control->options.account},
        {"public-hostname", outside},
        {"public-ipv4s", instance->public_address},
        {"security-group-ids", groups},
        {"security-groups", group_names},
        {"subnet-id", instance->subnet},
        {"subnet-ipv4-cidr-block", subnet == NULL ? NULL : subnet->cidr},
        {"vpc-id", instance->vpc},
        {"vpc-ipv4-cidr-block", vpc == NULL ? NULL : vpc->cidr},
        {"vpc-ipv4-cidr-blocks", vpc == NULL ? NULL : vpc->cidr},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        add_z(tree,
              arena_printf(ctx->arena, "meta-data/network/interfaces/macs/%s/%s", instance->mac,
                           rows[i].name)
                  .data,
              rows[i].value);
    }
    if (instance->public_address != NULL) {
        add_z(tree,
              arena_printf(ctx->arena, "meta-data/network/interfaces/macs/%s/ipv4-associations/%s",
                           instance->mac, instance->public_address)
                  .data,
              instance->address);
    }
}

/* Keys that a path can hold: AWS allows no others when tags are to be seen here. */
static bool key_fits(const char *key)
{
    for (const char *at = key; *at != '\0'; at++) {
        bool word =
            (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');

        if (!word && strchr("+-=.,_:@", *at) == NULL) {
            return false;
        }
    }
    return strcmp(key, ".") != 0 && strcmp(key, "..") != 0 && strcmp(key, "_index") != 0;
}

static void add_tags(struct ctx *ctx, const struct ec2_instance *instance, struct imds_tree *tree)
{
    const struct tags *tags = tags_of(&ctx->control->tags, ec2_arn(ctx, "instance", instance->id));

    for (size_t i = 0; i < tags->count; i++) {
        if (key_fits(tags->items[i].key)) {
            imds_tree_add(
                tree,
                arena_printf(ctx->arena, "meta-data/tags/instance/%s", tags->items[i].key).data,
                arena_copy(ctx->arena, slice_z(tags->items[i].value)));
        }
    }
}

static void add_iam(struct ctx *ctx, const struct ec2_instance *instance, struct imds_tree *tree)
{
    struct slice role = imds_role(ctx, instance);

    if (role.bytes == 0) {
        return;
    }
    imds_tree_add(tree, "meta-data/iam/info", imds_iam_info(ctx, instance));
    imds_tree_add(
        tree,
        arena_printf(ctx->arena, "meta-data/iam/security-credentials/%.*s", SLICE_ARG(role)).data,
        role);
    tree->leaves[tree->count - 1].credentials = true;
}

static void add_user_data(struct ctx *ctx, const struct ec2_instance *instance,
                          struct imds_tree *tree)
{
    struct buf raw = {0};

    if (instance->user_data != NULL &&
        text_base64_decode(&raw, slice_z(instance->user_data), NULL) == 0) {
        imds_tree_add(tree, "user-data", arena_copy(ctx->arena, buf_slice(&raw)));
    }
    buf_close(&raw);
}

void imds_tree_make(struct ctx *ctx, const struct ec2_instance *instance, struct imds_tree *tree)
{
    const char *root = "/dev/xvda";
    const char *host = host_name(ctx, instance), *outside = public_name(ctx, instance);
    const char *group_names = group_lines(ctx, instance, true);
    const struct {
        const char *path, *value;
    } rows[] = {
        {"meta-data/ami-id", instance->image},
        {"meta-data/ami-manifest-path", "(unknown)"},
        {"meta-data/block-device-mapping/ami", root},
        {"meta-data/block-device-mapping/root", root},
        {"meta-data/hostname", host},
        {"meta-data/instance-action", "none"},
        {"meta-data/instance-id", instance->id},
        {"meta-data/instance-life-cycle", "on-demand"},
        {"meta-data/instance-type", instance->type},
        {"meta-data/local-hostname", host},
        {"meta-data/local-ipv4", instance->address},
        {"meta-data/mac", instance->mac},
        {"meta-data/placement/availability-zone", instance->zone},
        {"meta-data/placement/region", ctx->control->options.region},
        {"meta-data/profile", "default-hvm"},
        {"meta-data/public-hostname", outside},
        {"meta-data/public-ipv4", instance->public_address},
        {"meta-data/public-keys/0/openssh-key", instance->public_key},
        {"meta-data/reservation-id", instance->reservation},
        {"meta-data/security-groups", group_names},
        {"meta-data/services/domain", "amazonaws.com"},
        {"meta-data/services/partition", "aws"},
        {"dynamic/fws/instance-monitoring", instance->monitoring ? "enabled" : "disabled"},
    };

    *tree = (struct imds_tree){.arena = ctx->arena};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        add_z(tree, rows[i].path, rows[i].value);
    }
    imds_tree_add(tree, "meta-data/ami-launch-index",
                  arena_printf(ctx->arena, "%lld", (long long)instance->launch_index));
    imds_tree_add(tree, "dynamic/instance-identity/document", imds_identity(ctx, instance));
    add_interface(ctx, instance, tree);
    add_iam(ctx, instance, tree);
    add_user_data(ctx, instance, tree);
    if (instance->imds_tags) {
        add_tags(ctx, instance, tree);
    }
}

/* Reading. */

static const char *const versions[] = {
    "1.0",        "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15",
    "2008-02-01", "2008-09-01", "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12",
    "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02",
    "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03",
    "2021-03-23", "latest"};

static bool known_version(struct slice version)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        if (slice_equal_z(version, versions[i])) {
            return true;
        }
    }
    return false;
}

/* "ssh-rsa AAAA name": what follows the second blank. */
static struct slice key_name(struct slice line)
{
    for (int word = 0; word < 2; word++) {
        line = slice_sub(line, slice_find(line, ' ') + 1, line.bytes);
    }
    return line;
}

/* "public-keys/" lists its entries as "0=name". */
static void add_entry(const struct imds_tree *tree, struct slice prefix, struct slice name,
                      bool directory, struct buf *names)
{
    buf_add(names, name);
    if (!slice_equal_z(prefix, "meta-data/public-keys/")) {
        buf_add_z(names, directory ? "/" : "");
        return;
    }
    for (size_t i = 0; i < tree->count; i++) {
        if (slice_starts(tree->leaves[i].path, prefix)) {
            buf_add_byte(names, '=');
            buf_add(names, key_name(tree->leaves[i].value));
        }
    }
}

/* The next name after @last among what follows @prefix, in order of bytes; false at the end. */
static bool next_name(const struct imds_tree *tree, struct slice prefix, struct slice last,
                      struct slice *name, bool *directory)
{
    bool found = false;

    for (size_t i = 0; i < tree->count; i++) {
        struct slice path = tree->leaves[i].path;
        struct slice rest, word;

        if (!slice_starts(path, prefix)) {
            continue;
        }
        rest = slice_sub(path, prefix.bytes, path.bytes);
        word = slice_sub(rest, 0, slice_find(rest, '/'));
        if ((last.data == NULL || slice_compare(word, last) > 0) &&
            (!found || slice_compare(word, *name) < 0)) {
            *name = word;
            *directory = word.bytes < rest.bytes;
            found = true;
        }
    }
    return found;
}

static int list(const struct imds_tree *tree, struct slice prefix, struct buf *body)
{
    struct slice last = SLICE_EMPTY, name = SLICE_EMPTY;
    bool directory = false;

    while (next_name(tree, prefix, last, &name, &directory)) {
        if (body->bytes > 0) {
            buf_add_byte(body, '\n');
        }
        add_entry(tree, prefix, name, directory, body);
        last = name;
    }
    return body->bytes > 0 ? 200 : 404;
}

int imds_tree_get(const struct imds_tree *tree, struct slice target, struct buf *body,
                  const struct imds_leaf **credentials)
{
    struct slice rest, version;

    *credentials = NULL;
    while (slice_starts(target, SLICE_LIT("/"))) {
        target = slice_sub(target, 1, target.bytes);
    }
    while (slice_ends(target, SLICE_LIT("/"))) {
        target = slice_sub(target, 0, target.bytes - 1);
    }
    if (target.bytes == 0) {
        for (size_t i = 0; i < COUNT_OF(versions); i++) {
            buf_printf(body, "%s%s", i == 0 ? "" : "\n", versions[i]);
        }
        return 200;
    }
    version = slice_sub(target, 0, slice_find(target, '/'));
    rest = slice_sub(target, version.bytes + 1, target.bytes);
    if (!known_version(version)) {
        return 404;
    }
    for (size_t i = 0; i < tree->count; i++) {
        if (slice_equal(tree->leaves[i].path, rest)) {
            *credentials = tree->leaves[i].credentials ? &tree->leaves[i] : NULL;
            buf_add(body, tree->leaves[i].value);
            return 200;
        }
    }
    return list(tree,
                rest.bytes == 0 ? SLICE_EMPTY : arena_printf(tree->arena, "%.*s/", SLICE_ARG(rest)),
                body);
}
