#include "muster/commands.h"

const struct command *const commands[] = {
    &status_command,
    &down_command,
    &env_command,
    NULL,
};
