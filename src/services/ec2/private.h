/* What EC2's files share: its resources, how they are found, stored, listed and tagged. */
#ifndef SERVICES_EC2_PRIVATE_H
#define SERVICES_EC2_PRIVATE_H

#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/map.h"
#include "services/control.h"
#include "services/ec2/ec2.h"
#include "store/record.h"

/* Every resource is one of these kinds, a struct whose first member is `char *id`, in the map of
 * its kind and, as a record "ec2.<word>", in the store. */
enum kind {
    KIND_VPC,
    KIND_SUBNET,
    KIND_GATEWAY,
    KIND_ROUTE_TABLE,
    KIND_GROUP,
    KIND_KEY,
    KIND_IMAGE,
    KIND_SNAPSHOT,
    KIND_VOLUME,
    KIND_INTERFACE,
    KIND_INSTANCE,
    KIND_TEMPLATE,
    KIND_TOKEN,
    KINDS
};

struct gateway {
    char *id;
    char *vpc; /* NULL: not attached. */
};

struct route {
    char *destination; /* "0.0.0.0/0" */
    char *gateway;     /* "local", "igw-..."; NULL: another target. */
    char *instance, *interface;
};

struct association {
    char *id;
    char *subnet; /* NULL: the VPC's main table. */
};

struct route_table {
    char *id;
    char *vpc;
    struct route *routes;
    size_t routes_count;
    struct association *associations;
    size_t associations_count;
};

struct rule {
    char *id; /* "sgr-..." */
    bool egress;
    char *protocol;                    /* "tcp", "udp", "icmp", "icmpv6", "-1" or a number. */
    int64_t from, to;                  /* -1: all. */
    char *cidr, *cidr6, *list, *group; /* One is not NULL. */
    char *description;                 /* Or NULL. */
};

struct group {
    char *id;
    char *name;
    char *description;
    char *vpc;
    struct rule *rules;
    size_t rules_count;
};

struct key_pair {
    char *id;
    char *name;
    char *type; /* "rsa", "ed25519" */
    char *fingerprint;
    char *public_key; /* "ssh-rsa AAAA..." */
    int64_t created_ms;
};

struct mapping {
    char *device;
    char *snapshot; /* Or NULL. */
    int64_t size_gib;
    char *type; /* "gp3" */
    bool delete_on_termination;
    bool encrypted;
    int64_t iops, throughput; /* 0: not given. */
};

enum image_state { IMAGE_PENDING, IMAGE_AVAILABLE, IMAGE_FAILED };

struct image {
    char *id;
    char *name;
    char *description; /* Or NULL. */
    char *owner;       /* An account. */
    char *alias;       /* "amazon" or NULL. */
    char *root_device;
    char *source_instance; /* Or NULL. */
    char *reason;          /* Of a failure, or NULL. */
    enum image_state state;
    int64_t created_ms;
    bool is_public;
    bool stock; /* Comes with muster; compute knows it by itself. */
    struct mapping *mappings;
    size_t mappings_count;
};

struct snapshot {
    char *id;
    char *volume; /* Or NULL. */
    char *image;
    char *description;
    int64_t size_gib;
    int64_t created_ms;
    bool encrypted;
};

struct volume {
    char *id;
    char *zone;
    char *type;
    char *snapshot; /* Or NULL. */
    char *instance; /* NULL: available. */
    char *device;
    int64_t size_gib, iops, throughput;
    int64_t created_ms;
    bool delete_on_termination;
    bool encrypted;
};

struct version {
    int64_t number;
    char *description; /* Or NULL. */
    char *created_by;
    int64_t created_ms;
    char *data; /* RequestLaunchTemplateData as JSON. */
};

struct launch_template {
    char *id;
    char *name;
    char *created_by;
    int64_t created_ms;
    int64_t version_default, version_latest;
    struct version *versions;
    size_t versions_count;
};

/* A client token: what a repeated request is answered with. */
struct token {
    char *id;          /* "RunInstances/<token>" */
    char *fingerprint; /* Of the request. */
    char *made;        /* The id of what it made: a reservation, a template. */
    int64_t made_ms;
};

struct listener {
    ec2_change_fn *fn;
    void *data;
};

struct cpu_sample;

struct ec2 {
    struct control *control;
    struct map things[KINDS];
    struct map attached;  /* struct attached by instance: volume.c */
    struct map addresses; /* Interfaces by "VPC ADDRESS": interface.c */
    struct listener *listeners;
    size_t listeners_count, listeners_room;
    ec2_warming_fn *warming;
    void *warming_data;
    uint32_t public_last; /* Host part of the public address given out last. */
    struct control_timer *janitor;
    struct acts *acts;       /* acts.c */
    struct samples *samples; /* cpu.c */
};

/* things.c */

struct kind_info {
    const char *word;        /* "vpc": the record is "ec2.vpc". */
    const char *prefix;      /* "vpc-" */
    const char *type;        /* In ARNs and tags: "vpc". */
    const char *code;        /* "InvalidVpcID" + ".NotFound", ".Malformed" */
    const char *missing;     /* "The vpc ID '%s' does not exist" in two parts around the id. */
    const char *missing_end; /* "' does not exist" */
    const struct record *record;
    int names; /* The member of requests that names several: M_VpcIds. */
};

extern const struct kind_info kinds[KINDS];

/* NULL when there is none. */
void *thing_get(const struct control *control, enum kind kind, const char *id);
/* Fails with the kind's .Malformed or .NotFound. */
int thing_need(struct ctx *ctx, enum kind kind, const char *id, void **thing, struct error *err);
/* Walk in order of creation. */
void *thing_next(const struct control *control, enum kind kind, size_t *at);
/* A new one, zeroed but for its id (@id, or a random one), in its map; not stored yet. */
void *thing_new(struct ctx *ctx, enum kind kind, const char *id);
void thing_put(struct ctx *ctx, enum kind kind, const void *thing);
/* Out of memory, store and tags. */
void thing_drop(struct ctx *ctx, enum kind kind, void *thing);
const char *thing_arn(struct ctx *ctx, enum kind kind, const char *id);
/* By the id's prefix; KINDS when it is none of ours. */
enum kind thing_kind(const char *id);
/* Replace the owned text *@slot by a copy of @text. */
void text_replace(char **slot, const char *text);

/* quota.c */

/* Is there room for @count more? @vpc: where, for what belongs to one, else NULL. Fails with the
 * kind's error, as AWS does when its quota is reached. */
int quota_check(const struct control *control, enum kind kind, const char *vpc, size_t count,
                struct error *err);
/* The same for @count more rules of the security groups of @vpc. */
int quota_check_rules(const struct control *control, const char *vpc, size_t count,
                      struct error *err);

/* list.c: Describe actions. */

struct match;
typedef void filter_fn(struct ctx *ctx, const void *thing, struct match *match);

struct filter {
    const char *name;
    filter_fn *fn; /* Says to the match each value that the thing has. */
};

void match_z(struct match *match, const char *value); /* NULL is no value. */
void match_bool(struct match *match, bool value);
void match_int(struct match *match, int64_t value);

/* Define the filter function @name_ that says the member @member_ of a struct @type_. */
#define FILTER_TEXT(name_, type_, member_)                                                         \
    static void name_(struct ctx *ctx, const void *thing, struct match *match)                     \
    {                                                                                              \
        (void)ctx;                                                                                 \
        match_z(match, ((const type_ *)thing)->member_);                                           \
    }
#define FILTER_BOOL(name_, type_, member_)                                                         \
    static void name_(struct ctx *ctx, const void *thing, struct match *match)                     \
    {                                                                                              \
        (void)ctx;                                                                                 \
        match_bool(match, ((const type_ *)thing)->member_);                                        \
    }
/* Always the same value. */
#define FILTER_IS(name_, text_)                                                                    \
    static void name_(struct ctx *ctx, const void *thing, struct match *match)                     \
    {                                                                                              \
        (void)ctx;                                                                                 \
        (void)thing;                                                                               \
        match_z(match, text_);                                                                     \
    }
#define FILTER_OWNER(name_)                                                                        \
    static void name_(struct ctx *ctx, const void *thing, struct match *match)                     \
    {                                                                                              \
        (void)thing;                                                                               \
        match_z(match, ctx->control->options.account);                                             \
    }

struct listing {
    enum kind kind;
    const char *action;
    int list; /* The member of the answer. */
    const struct filter *filters;
    size_t filters_count;
    void (*fill)(struct ctx *ctx, const void *thing, struct doc *out);
    /* Does the request's own members (owners, names) admit it? NULL: all. */
    bool (*admits)(struct ctx *ctx, const struct doc *in, const void *thing);
    int64_t max_min; /* The least MaxResults; 0: 5. */
};

int list_things(struct ctx *ctx, const struct doc *in, struct doc *out,
                const struct listing *listing, struct error *err);
/* The pieces of it, for lists whose elements are no things. */
int filters_check(const struct doc *in, const struct filter *filters, size_t count,
                  struct error *err);
bool filters_hold(struct ctx *ctx, const struct doc *in, const struct filter *filters, size_t count,
                  const char *arn, const void *thing);
/* Answer DryRun. */
int ec2_dry_run(const struct doc *in, struct error *err);
#define DRY_RUN(in, err)                                                                           \
    if (doc_bool(in, M_DryRun)) {                                                                  \
        return ec2_dry_run(in, err);                                                               \
    }

struct page {
    size_t max;         /* 0: all. */
    struct slice after; /* Go on after this key. */
    bool begun;
    size_t count;
    struct slice last;
    bool more;
};

int list_page_begin(struct ctx *ctx, const struct doc *in, const char *action, int64_t min,
                    int64_t max, struct page *page, struct error *err);
/* Should the element @key be on this page? */
bool list_page_take(struct page *page, const char *key);
void list_page_end(struct ctx *ctx, const struct page *page, const char *action, struct doc *out);

/* tags.c */

/* Are the request's TagSpecifications fit for the resource types @types (";"-separated)? */
int tag_specs_check(const struct doc *in, const char *types, struct error *err);
/* Put those of @type on the resource. */
void tag_specs_apply(struct ctx *ctx, const struct doc *in, const char *type, enum kind kind,
                     const char *id);
/* The answer's Tags, an empty list too. */
void ec2_tags_fill(struct ctx *ctx, const char *arn, struct doc *out);

/* Networks: vpc.c, subnet.c, gateway.c, route.c, interface.c */

/* A VPC with all that comes by itself: main table, default group. */
struct ec2_vpc *vpc_make(struct ctx *ctx, const char *cidr, bool is_default);
struct ec2_subnet *subnet_make(struct ctx *ctx, const char *vpc, const char *cidr,
                               const char *zone);
/* The default VPC with gateway and subnets. */
void vpc_make_default(struct ctx *ctx);
struct route_table *route_table_make(struct ctx *ctx, const char *vpc, const char *cidr, bool main);
struct route_table *route_table_main(const struct control *control, const char *vpc);
struct route_table *route_table_of(const struct control *control, const struct ec2_subnet *subnet);
void association_remove(struct route_table *table, size_t index);
void route_add(struct route_table *table, const char *destination, const char *gateway);
struct group *ec2_group_make(struct ctx *ctx, const char *name, const char *description,
                             const char *vpc);
struct group *ec2_group_named(const struct control *control, const char *vpc, const char *name);
/* By GroupId, or GroupName in the default VPC. */
int ec2_group_need(struct ctx *ctx, const struct doc *in, struct group **group, struct error *err);
/* rules.c: add the group's rules of one direction to @list as IpPermissions. */
void permissions_fill(struct ctx *ctx, const struct group *group, bool egress, struct doc *list);
int64_t subnet_free_count(const struct control *control, const struct ec2_subnet *subnet);
/* Interfaces. */
int interface_make(struct ctx *ctx, const struct ec2_subnet *subnet, const char *address,
                   struct ec2_interface **made, struct error *err);
bool interface_in_group(const struct ec2_interface *interface, const char *group);
/* Its address is taken: of one that is loaded. */
void interface_addressed(struct ec2 *ec2, struct ec2_interface *interface);
/* It goes, and its address is free. */
void interface_drop(struct ctx *ctx, struct ec2_interface *interface);
void interface_add_group(struct ec2_interface *interface, const char *group);
/* A free address of x; NULL when all are taken. */
const char *public_address_free(struct ctx *ctx);
/* The list @member of {GroupId, GroupName}; none when @interface is NULL. */
void groups_fill_list(struct ctx *ctx, const struct ec2_interface *interface, struct doc *out,
                      int member);
/* What instances and interfaces are both described by. */
void interface_fill(struct ctx *ctx, const struct ec2_interface *interface, struct doc *out);
void interface_fill_association(struct ctx *ctx, const struct ec2_interface *interface,
                                struct doc *out);
void interface_fill_attachment(const struct ec2_interface *interface, struct doc *out);
const char *private_dns(struct ctx *ctx, const char *address);
const char *public_dns(struct ctx *ctx, const char *vpc, const char *address);

/* zones.c */
bool zone_exists(const struct control *control, const char *zone);
const char *zone_id(struct ctx *ctx, const char *zone);

/* types.c: the table of instance types. */
struct instance_type {
    const char *name;
    int64_t vcpus;
    int64_t memory_mib;
    bool burstable;
    bool current;
    int64_t interfaces, addresses; /* Of each interface. */
};

const struct instance_type *instance_type_find(const char *name);

/* key_pair.c */
struct key_pair *key_pair_named(const struct control *control, const char *name);

/* image.c */
int image_need(struct ctx *ctx, const char *id, struct image **image, struct error *err);
void images_make_stock(struct ctx *ctx);
/* The driver finished CreateImage, or not (@reason). */
void image_settled(struct ctx *ctx, const char *id, const char *reason);
int mapping_read(const struct doc *in, struct mapping *mapping, struct error *err);
void mapping_close(struct mapping *mapping);

/* names.c: kinds ec2-id, launch-template, security-group, key-pair-id, association;
 * wire_hooks.resource(). */
const char *ec2_resource(struct ctx *ctx, struct slice kind, struct slice value);
/* tags.c: of whatever has the @id, or would; "*" for none of our kinds. */
const char *id_arn(struct ctx *ctx, const char *id);
/* route.c: the table with the association, and its index; NULL. */
struct route_table *association_find(const struct control *control, const char *id, size_t *index);

/* launch_template.c and template_data.c */
int template_need(struct ctx *ctx, const char *id, const char *name, struct launch_template **found,
                  struct error *err);
int version_need(struct launch_template *templ, const char *text, struct version **version,
                 struct error *err);
int version_data(struct ctx *ctx, const struct version *version, struct doc **data,
                 struct error *err);
char *template_data_save(const struct doc *data);
int template_data_load(struct arena *arena, const char *json, struct doc **data, struct error *err);
/* @over's members replace those of @base, tags are united. A new struct that borrows both. */
struct doc *template_merge(struct arena *arena, const struct doc *base, const struct doc *over);

/* launch.c */
struct launch_options {
    const char *id;        /* Of the only instance, or NULL. */
    const char *requester; /* Or NULL. */
    const char *subnet;    /* Wins over all, NULL: as the request has it. */
    const struct ec2_tag *tags;
    size_t tags_count;
    bool judged; /* By the caller's permissions for all that the launch is of. */
};

/* @in is a RunInstances request; *@reservation is in the arena. */
int launch_instances(struct ctx *ctx, const struct doc *in, const struct launch_options *options,
                     const char **reservation, struct error *err);

/* instance.c */
struct ec2_instance *instance_get(const struct control *control, const char *id);
struct ec2_interface *instance_interface(const struct control *control,
                                         const struct ec2_instance *instance);
/* Change the state, store it, tell the listeners. */
void instance_move(struct ctx *ctx, struct ec2_instance *instance, enum ec2_state state);
void instance_reason(struct ec2_instance *instance, const char *code, const char *text);
void instance_stop(struct ctx *ctx, struct ec2_instance *instance, bool by_user);
void instance_terminate(struct ctx *ctx, struct ec2_instance *instance);
/* News of the driver. */
void instance_is_running(struct ctx *ctx, struct ec2_instance *instance);
void instance_is_stopped(struct ctx *ctx, struct ec2_instance *instance);
void instance_is_gone(struct ctx *ctx, struct ec2_instance *instance, const char *reason);
int64_t state_code(enum ec2_state state);
void janitor_run(struct ctx *ctx, void *ec2);

/* describe.c */
void reservation_fill(struct ctx *ctx, const char *reservation, struct doc *out);
void metadata_options_fill(const struct ec2_instance *instance, struct doc *options);
/* volume.c: an instance's volumes, by index; NULL beyond the last. */
struct volume *volume_of(const struct control *control, const char *instance, size_t index);
/* A new or loaded one, to the instance that it names. */
void volume_attached(struct ec2 *ec2, struct volume *volume);
/* The instance is gone: they go with it, or are available. */
void volumes_release(struct ctx *ctx, const char *instance);
void volumes_close(struct ec2 *ec2);

/* AttachTime and so on of its volumes. */
void instance_mappings_fill(struct ctx *ctx, const struct ec2_instance *instance, struct doc *out);

/* network.c */

struct compute_vpc;
/* The caller ends it with network_free(). */
struct compute_vpc *network_describe(const struct control *control, const struct ec2_vpc *vpc);
void network_free(struct compute_vpc *network);

/* acts.c: from what should be to the compute driver. */
int acts_start(struct ctx *ctx, struct error *err);
void acts_close(struct ec2 *ec2);
/* After the commit: bring the instance, or the VPC's network, to what it should be. */
void act_instance(struct ctx *ctx, const char *id);
void act_vpc(struct ctx *ctx, const char *id);
void act_reboot(struct ctx *ctx, const char *id);
void act_image(struct ctx *ctx, const char *id);
void act_image_gone(struct ctx *ctx, const char *id);

/* publish.c: ports of public addresses, for clients on this host. @*known is what was asked for
 * last; nothing is asked for again. */
/* image.c: not one that came with muster. */
bool image_is_mine(const struct ctx *ctx, const struct image *image);
/* rules.c: what rules_modify.c needs, too. Texts that were read are in the arena. */
void rule_close(struct rule *rule);
int rule_read_protocol(struct ctx *ctx, const struct doc *in, struct rule *like, struct error *err);
int rule_read_cidr(struct ctx *ctx, const char *text, char **cidr, struct error *err);
/* The index of the group's rule that is like @rule; rules_count: none is. */
size_t rule_find(const struct group *group, const struct rule *rule);
/* "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW" */
const char *rule_text(struct ctx *ctx, const struct rule *rule);
void publish_vpc(struct control *control, const char *vpc, uint64_t *known);
/* acts.c: that failed; asked for again in a while. */
void acts_unpublished(struct control *control, const char *vpc);

/* cpu.c */
void cpu_start(struct ctx *ctx);
void cpu_close(struct ec2 *ec2);

/* token.c */
/* Has the token been used? 0 with *@made (NULL: not yet), or IdempotentParameterMismatch. */
int ec2_token_check(struct ctx *ctx, const char *action, const char *token, const struct doc *in,
                    const char **made, struct error *err);
void ec2_token_note(struct ctx *ctx, const char *action, const char *token, const struct doc *in,
                    const char *made);

#endif /* SERVICES_EC2_PRIVATE_H */
