/* Resource types: one row each, and what a row's functions are given.
 *
 * A row calls the other services' actions as an outside client would (resource_call): the input is
 * JSON with the API's member names, which are also most of CloudFormation's property names. */
#ifndef SERVICES_CLOUDFORMATION_RESOURCE_H
#define SERVICES_CLOUDFORMATION_RESOURCE_H

#include "services/cloudformation/stack.h"

/* One call of a row's function. */
struct resource_call {
    struct ctx *ctx;
    struct stack *stack;
    const char *logical;
    const char *physical; /* What update, delete, ready and gone act on; NULL in create. */
    json_t *properties;   /* Evaluated. Borrowed. In delete: as last applied. */
    json_t *previous;     /* In update: as last applied before. */
    /* Results: set by create and update (and by ready, when known only then). */
    char *new_physical; /* malloc()ed. */
    json_t *attributes; /* What GetAtt gives; starts as what was there. */
};

typedef int resource_fn(struct resource_call *call, struct error *err);
/* *@done: is it there (or gone)? Asked about twice a real second. */
typedef int resource_ask_fn(struct resource_call *call, bool *done, struct error *err);

struct resource_row {
    const char *type;
    const char *properties; /* "Name,Tags": all there are. NULL: members of the service's action. */
    resource_fn *create;
    resource_ask_fn *ready; /* NULL: as soon as create or update has returned. */
    resource_fn *update;    /* NULL: every change replaces the resource. */
    const char *replace;    /* "Name,Subnets": changes of these replace it even so. */
    const char *defaults;   /* JSON: what properties are that an update adds or takes away. */
    const char *name;       /* The property whose value no two can have; NULL: there is none. */
    resource_fn *delete;    /* NULL: nothing to do. ERR_NOT_FOUND counts as gone. */
    resource_ask_fn *gone;
    bool tagged; /* Has a property Tags, a list of Key and Value: the stack's tags go there, too. */
};

const struct resource_row *resource_row_find(const char *type);

/* Availability zones of the region, NULL-terminated. */
const char *const *resource_zones(const struct control *control);

/* Call SERVICE's ACTION with @in, which is taken. *@out is a new reference when wanted (NULL: not).
 * Texts are turned into numbers and truth values where the model wants these. A member that the
 * action does not have is an error: "Encountered unsupported property X". */
int resource_call(struct resource_call *call, const char *service, const char *action, json_t *in,
                  json_t **out, struct error *err);
/* The same, for one thing that an update adds or takes away: while it is rolled back, what it had
 * not come to do, or could not, needs not be undone. */
int resource_change(struct resource_call *call, const char *service, const char *action, json_t *in,
                    struct error *err);

/* Is @name one of @names, "A,B,C"? */
bool resource_named(const char *names, const char *name);
/* A new object with those of the properties, named "A,B,C", that are there. */
json_t *resource_pick(const struct resource_call *call, const char *names);
/* All of them but @names. */
json_t *resource_all_but(const struct resource_call *call, const char *names);
/* Has property @name (of "A,B": one of them) another value than before? */
bool resource_changed(const struct resource_call *call, const char *names);
/* "STACK-LOGICAL-1A2B3C4D5E6F", at most @length characters, malloc()ed: the name of what has none
 * in the template. */
char *resource_make_name(const struct resource_call *call, size_t length);
/* The text property @name, or NULL. */
const char *resource_text(const struct resource_call *call, const char *name);
void resource_set_attribute(struct resource_call *call, const char *name, const char *value);
/* The text at a path like "Subnets.0.SubnetId" of @json; NULL when absent. */
const char *resource_at(const json_t *json, const char *path);

/* Does a list of Key and Value have @key? */
bool resource_has_key(const json_t *list, const char *key);
/* The security group "default" of a VPC: its id, in the arena. */
int resource_default_group(struct resource_call *call, const char *vpc, const char **group,
                           struct error *err);

/* Put the tags that changed, take away those that are gone: @put and @remove are @service's
 * actions, which name the resource by @member. @target is taken. */
int resource_retag(struct resource_call *call, const char *service, const char *put,
                   const char *remove, const char *member, json_t *target, struct error *err);
/* Keys of the tags that were there before and are not now: a new array. */
json_t *resource_tags_gone(const struct resource_call *call);
/* Tags of the stack itself: "aws:cloudformation:..." on what has this ARN. */
void resource_tag(struct resource_call *call, const char *arn);

/* resources_ec2.c, resources_elbv2.c, resources_autoscaling.c, resources_other.c */
extern const struct resource_row resources_ec2[], resources_elbv2[], resources_autoscaling[],
    resources_other[];

#endif /* SERVICES_CLOUDFORMATION_RESOURCE_H */
