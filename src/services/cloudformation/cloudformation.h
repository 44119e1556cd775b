/* AWS CloudFormation: templates become stacks through the other services' own actions. */
#ifndef SERVICES_CLOUDFORMATION_CLOUDFORMATION_H
#define SERVICES_CLOUDFORMATION_CLOUDFORMATION_H

#include "services/control.h"

extern const struct service cloudformation_service;

#endif /* SERVICES_CLOUDFORMATION_CLOUDFORMATION_H */
