/* The services of this program, in the order of their DAG: what is used comes before its users. */
#ifndef MUSTERD_SERVICES_H
#define MUSTERD_SERVICES_H

#include "services/control.h"

extern const struct service *const musterd_services[];
extern const size_t musterd_services_count;

/* wire_hooks.resource(), of all services. */
const char *musterd_resource(struct ctx *ctx, struct slice kind, struct slice value);

#endif /* MUSTERD_SERVICES_H */
