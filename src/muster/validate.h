/* Does the deployed service do what it should? */
#ifndef MUSTER_VALIDATE_H
#define MUSTER_VALIDATE_H

#include "muster/service.h"

/* Every check tells a line; *@checks (the caller's) is [{Check, Passed, Says}]. ERR_SYSTEM when one
 * did not pass. */
int validate_service(struct cli *cli, const struct service *service, json_t **checks,
                     struct error *err);

#endif /* MUSTER_VALIDATE_H */
