/* What the resources of EC2 share. */
#ifndef SERVICES_CLOUDFORMATION_RESOURCES_EC2_H
#define SERVICES_CLOUDFORMATION_RESOURCES_EC2_H

#include "services/cloudformation/resource.h"

/* The new physical id is the text at @path of the answer, which is let go. */
int ec2_take_id(struct resource_call *call, json_t *out, const char *path, struct error *err);
/* The stack's own tags on the new resource, "KIND/ID" in its ARN, and the template's. */
int ec2_tag(struct resource_call *call, const char *kind, struct error *err);
/* Tags changed: those that are gone are taken away, the rest put. */
int ec2_retag(struct resource_call *call, struct error *err);
/* Call @action with the physical id as @member. */
int ec2_delete_by(struct resource_call *call, const char *action, const char *member,
                  struct error *err);

/* resources_security_group.c */
int security_group_create(struct resource_call *call, struct error *err);
int security_group_update(struct resource_call *call, struct error *err);
int security_group_delete(struct resource_call *call, struct error *err);

#endif /* SERVICES_CLOUDFORMATION_RESOURCES_EC2_H */
