/* A launch that is planned: what RunInstances, with its launch template, comes to. */
#ifndef SERVICES_EC2_LAUNCH_PLAN_H
#define SERVICES_EC2_LAUNCH_PLAN_H

#include "services/ec2/private.h"
#include "services/iam/iam.h"

#define GROUPS_MAX 16

/* All that a request means, looked up and checked. */
struct launch_plan {
    const struct doc *in; /* Template and request, merged. */
    const struct doc *interface;
    const struct instance_type *type;
    const struct image *image;
    const struct key_pair *key;
    struct ec2_subnet *subnet;
    const char *groups[GROUPS_MAX];
    size_t groups_count;
    struct iam_profile_facts profile;
    bool has_profile;
    bool public_address;
    const char *address;
    const char *user_data;
    const char *template_id;
    int64_t template_version;
    struct mapping *mappings;
    size_t mappings_count;
};

/* Look up and check all of @in, a RunInstances request; fails as that does, with what could be
 * found. To be closed in any case; all but the mappings is borrowed, or in the arena. */
int launch_plan_make(struct ctx *ctx, const struct doc *in, const struct launch_options *options,
                     struct launch_plan *plan, struct error *err);
void launch_plan_close(struct launch_plan *plan);
/* May ctx's caller launch it, or what could be found of it (the rest may be there later)? All that
 * a launch is of must be allowed, also what a launch template brings, and the role's being passed.
 * ERR_DENIED. "Actions, resources, and condition keys for Amazon EC2", Service Authorization
 * Reference. */
int launch_plan_judge(struct ctx *ctx, const struct launch_plan *plan, struct error *err);

#endif /* SERVICES_EC2_LAUNCH_PLAN_H */
