/* EC2: instances, networks, security groups, images, launch templates.
 *
 * What should be is kept here (records "ec2.*"); the compute driver is asked to bring it about
 * after each commit, and its news ends here. Other services call the functions below with their own
 * ctx, so that all they change is one commit; what they find is borrowed until the next change and
 * never written to. Loop thread.
 *
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/ */
#ifndef SERVICES_EC2_EC2_H
#define SERVICES_EC2_EC2_H

#include "services/control.h"

extern const struct service ec2_service;

/* pending -> running -> stopping -> stopped -> pending ...
 *    any of these -> shutting-down -> terminated, which is forgotten an hour later. */
enum ec2_state {
    EC2_PENDING,
    EC2_RUNNING,
    EC2_STOPPING,
    EC2_STOPPED,
    EC2_SHUTTING_DOWN,
    EC2_TERMINATED,
    EC2_STATES
};

/* "shutting-down" */
const char *ec2_state_name(enum ec2_state state);

/* Texts are never NULL unless it says so. */
struct ec2_instance {
    char *id;          /* "i-..." */
    char *reservation; /* "r-..." */
    char *requester;   /* The reservation's requesterId; NULL unless a service launched it. */
    char *client_token;
    char *image; /* "ami-..." */
    char *type;  /* "t2.micro" */
    char *key;   /* The key pair's name; NULL: none. */
    /* The public key as it was at launch: "ssh-rsa AAAA... name"; NULL: none. */
    char *public_key;
    char *profile;    /* The instance profile's ARN; NULL: none. */
    char *profile_id; /* "AIPA..." or NULL. */
    char *vpc, *subnet, *zone;
    char *interface;      /* "eni-..."; NULL once terminated, as are the addresses. */
    char *address;        /* "10.0.0.5" */
    char *public_address; /* "127.64.0.3"; NULL: none. */
    char *mac;
    char *user_data; /* Base64, NULL: none. */
    enum ec2_state state;
    int64_t launched_ms; /* Of the latest start. */
    int64_t created_ms;  /* RunInstances. */
    int64_t running_ms;  /* When it last came to run. */
    int64_t changed_ms;  /* Of the last change of state. */
    char *reason_code;   /* StateReason; NULL: none. */
    char *reason_message;
    char *transition; /* "User initiated (2026-01-02 03:04:05 GMT)"; NULL: none. */
    int64_t launch_index;
    bool monitoring;
    bool protected; /* disableApiTermination */
    bool protected_stop;
    bool terminate_on_shutdown;
    bool ebs_optimized;
    bool no_source_check;
    bool imds_disabled;
    bool imds_token_required;
    bool imds_tags;
    int64_t imds_hops;
    char *cpu_credits; /* NULL: none. */
    char *tenancy;     /* NULL: default. */
    bool wants_public; /* Gets a new public address at every start. */
    bool unseen;       /* Not stored. Pending, and its sign of life may have been missed. */
    bool unserved;     /* Not stored. The driver could not do now what it was asked for. */
};

/* NULL when there is none. Terminated instances are found for an hour. */
const struct ec2_instance *ec2_instance_find(const struct control *control, const char *id);
/* Whose private address is @address in @vpc; not among the terminated. */
const struct ec2_instance *ec2_instance_at(const struct control *control, const char *vpc,
                                           const char *address);
/* Walk all, in the order of launch. */
const struct ec2_instance *ec2_instance_next(const struct control *control, size_t *at);
/* The image that the public Systems Manager parameter @name stands for, or NULL: there is one image
 * that nobody had to make. ec2_public_parameter(i) gives their names until NULL. */
const char *ec2_public_image(const char *name);
const char *ec2_public_parameter(size_t index);
/* "arn:aws:ec2:...:instance/i-...": what its tags are filed under. In the arena. */
const char *ec2_arn(struct ctx *ctx, const char *type, const char *id);
/* A tag of the instance, or NULL. */
const char *ec2_instance_tag(const struct control *control, const struct ec2_instance *instance,
                             const char *key);
/* Its status checks: false while it initialises or when the driver reports it broken. */
bool ec2_instance_healthy(const struct control *control, const struct ec2_instance *instance);
/* A pending instance gave a sign of life: it asked for its metadata. Now it is running. */
void ec2_instance_seen(struct ctx *ctx, const struct ec2_instance *instance);
/* Is @group ("sg-...") among the security groups of its interface? */
bool ec2_instance_in_group(const struct control *control, const struct ec2_instance *instance,
                           const char *group);

struct ec2_tag {
    const char *key, *value;
};

/* One instance from a launch template, as RunInstances would. NULL members: not given. */
struct ec2_launch {
    const char *id;               /* "i-...": chosen by the caller, or NULL. */
    const char *template_id;      /* "lt-..." or NULL: template_name. */
    const char *template_name;    /* Both NULL: no template. */
    const char *template_version; /* "3", "$Latest", "$Default"; NULL: $Default. */
    const char *subnet;           /* Wins over the template's. */
    const char *type, *image;     /* Win over the template's. */
    const char *client_token;
    const char *requester;      /* "autoscaling.amazonaws.com" or NULL. */
    const struct ec2_tag *tags; /* Of the instance; win over the template's; aws: is allowed. */
    size_t tags_count;
};

/* 0: the instance is pending, with all records in ctx's changes. Fails as RunInstances does, having
 * changed nothing. */
int ec2_launch(struct ctx *ctx, const struct ec2_launch *launch, const struct ec2_instance **made,
               struct error *err);
/* May ctx's caller launch that by RunInstances? ERR_DENIED. What else is wrong with it is not said.
 */
int ec2_launch_judge(struct ctx *ctx, const struct ec2_launch *launch, struct error *err);
/* To shutting-down, whatever its protection says; nothing when it is gone or going. */
void ec2_terminate(struct ctx *ctx, const char *id);
void ec2_stop(struct ctx *ctx, const char *id);

/* A launch template version. */
struct ec2_template {
    const char *id, *name;
    int64_t version;          /* A number, also where an alias was given. */
    const char *image, *type; /* Of its data; NULL: not in it. */
};

/* @id or @name; @version as in requests, NULL or "" for $Default. Fails as EC2 does. */
int ec2_template_find(struct ctx *ctx, const char *id, const char *name, const char *version,
                      struct ec2_template *found, struct error *err);

struct ec2_vpc {
    char *id;
    char *cidr;
    bool is_default;
    bool dns_support, dns_hostnames, usage_metrics;
    char *tenancy;
    char *association;
    int64_t created_ms;
};

struct ec2_subnet {
    char *id;
    char *vpc;
    char *zone;
    char *cidr;
    bool map_public;
    bool default_for_zone;
    bool assign_ipv6, dns64, dns_a_record, dns_aaaa_record;
    char *hostname_type; /* "ip-name" */
    int64_t created_ms;
};

const struct ec2_vpc *ec2_vpc_find(const struct control *control, const char *id);
const struct ec2_vpc *ec2_vpc_default(const struct control *control);
const struct ec2_subnet *ec2_subnet_find(const struct control *control, const char *id);
/* The default VPC's subnet in @zone (NULL: any); NULL when there is none. */
const struct ec2_subnet *ec2_subnet_default(const struct control *control, const char *zone);
/* Does the subnet's route table lead to an internet gateway? */
bool ec2_subnet_is_public(const struct control *control, const struct ec2_subnet *subnet);

/* Zones of our region: "us-east-2a" ...; NULL past the end. */
const char *ec2_zone_name(const struct control *control, size_t index, char zone[32]);
#define EC2_ZONES 3

/* Does the security group exist; which VPC is it of? NULL when it does not. */
const char *ec2_group_vpc(const struct control *control, const char *group);
/* Its name; NULL when there is none. */
const char *ec2_group_name(const struct control *control, const char *group);
/* The VPC's group named "default". */
const char *ec2_group_default(const struct control *control, const char *vpc);

/* A network interface: of an instance, or of a load balancer, one per subnet. */
struct ec2_interface {
    char *id;
    char *vpc, *subnet, *zone;
    char *address;
    char *public_address; /* NULL: none. */
    char *mac;
    char *description;
    char *kind;      /* "interface", or "load_balancer" */
    char *requester; /* "amazon-elb" or NULL. */
    char *instance;  /* NULL: not an instance's. */
    char *attachment;
    bool keep; /* Not deleted with its instance. */
    bool no_source_check;
    char **groups; /* "sg-..." */
    size_t groups_count;
    int64_t created_ms;
};

/* Take a free private address of @subnet for a load balancer. Checks subnet and groups. */
int ec2_interface_make(struct ctx *ctx, const char *subnet, const char *const *groups,
                       size_t groups_count, const char *description, const char *requester,
                       const struct ec2_interface **made, struct error *err);
const struct ec2_interface *ec2_interface_find(const struct control *control, const char *id);
/* Groups exist and are of its VPC (the caller has checked). */
void ec2_interface_set_groups(struct ctx *ctx, const char *id, const char *const *groups,
                              size_t groups_count);
void ec2_interface_drop(struct ctx *ctx, const char *id);

/* Is there such an image, available? Fails with InvalidAMIID.NotFound and so on. */
int ec2_image_check(struct ctx *ctx, const char *id, struct error *err);

/* Called, inside a ctx, after an instance's state or addresses changed. All who register are called
 * in order of registration. */
typedef void ec2_change_fn(struct ctx *ctx, void *data, const struct ec2_instance *instance);
void ec2_on_instance_change(struct control *control, ec2_change_fn *fn, void *data);
/* Is the instance left out of its Auto Scaling group's metrics, because it is warming up? */
typedef bool ec2_warming_fn(const struct control *control, void *data, const char *group,
                            const char *instance);
void ec2_set_warming(struct control *control, ec2_warming_fn *fn, void *data);

#endif /* SERVICES_EC2_EC2_H */
