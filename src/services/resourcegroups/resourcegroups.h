/* Resource Groups: the resources that carry a tag, by name. */
#ifndef SERVICES_RESOURCEGROUPS_RESOURCEGROUPS_H
#define SERVICES_RESOURCEGROUPS_RESOURCEGROUPS_H

#include "services/control.h"

extern const struct service resourcegroups_service;

#endif /* SERVICES_RESOURCEGROUPS_RESOURCEGROUPS_H */
