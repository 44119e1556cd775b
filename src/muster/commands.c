#include "muster/commands.h"

const struct command *const commands[] = {
    &up_command,   &status_command, &validate_command, &stress_command,
    &down_command, &exec_command,   &ssh_command,      &logs_command,
    &env_command,  &grant_command,  &purge_command,    &completion_command,
    NULL,
};
