/* The service that a stack runs: its group, its targets and its address. */
#ifndef MUSTER_SERVICE_H
#define MUSTER_SERVICE_H

#include "muster/cli.h"

struct service {
    char *stack, *group, *target_group; /* Name, name, ARN; target_group may be NULL. */
    char *url;                          /* Without a closing slash; NULL: no load balancer. */
    char *table;                        /* DynamoDB table; NULL: none. */
};

struct service_state {
    int desired, in_service, healthy; /* healthy: as targets; in_service if there are none. */
    char failed[512];                 /* Why the newest activity failed; "". */
};

/* By the resources of stack @name. ERR_NOT_FOUND: there is no such stack, or no group in it.
 * service_close() in any case. */
int service_find(struct cli *cli, const char *name, struct service *service, struct error *err);
/* A group alone, with its first target group. */
int service_of_group(struct cli *cli, const char *group, struct service *service,
                     struct error *err);
void service_close(struct service *service);

int service_look(struct cli *cli, const struct service *service, struct service_state *state,
                 struct error *err);

/* Until all desired instances are in service and healthy, telling about it. ERR_TIMEOUT with what
 * is missing. */
int service_wait(struct cli *cli, const struct service *service, struct error *err);

/* The instances in service, as the group lists them; the caller's. With @healthy only those that
 * are healthy targets, too. */
int service_instances(struct cli *cli, const struct service *service, bool healthy,
                      json_t **instances, struct error *err);

#endif /* MUSTER_SERVICE_H */
