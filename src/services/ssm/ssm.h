/* Systems Manager: Run Command, AWS-RunShellScript only.
 *
 * A command is a record with one invocation for each instance. What an invocation is to do is
 * committed before the driver is asked to run it, and its outcome afterwards. Loop thread.
 * https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command.html */
#ifndef SERVICES_SSM_SSM_H
#define SERVICES_SSM_SSM_H

#include "services/control.h"

extern const struct service ssm_service;

#endif /* SERVICES_SSM_SSM_H */
