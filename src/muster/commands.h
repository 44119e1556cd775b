/* Every command, a file each. */
#ifndef MUSTER_COMMANDS_H
#define MUSTER_COMMANDS_H

#include "muster/arguments.h"

extern const struct command completion_command, down_command, env_command, exec_command,
    grant_command, logs_command, purge_command, ssh_command, status_command, stress_command,
    up_command, validate_command;

/* In the order of `muster help`; ends with NULL. */
extern const struct command *const commands[];

#endif /* MUSTER_COMMANDS_H */
