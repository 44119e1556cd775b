/* Whom muster speaks to, and as whom (settings.c has the order). */
#ifndef MUSTER_SETTINGS_H
#define MUSTER_SETTINGS_H

#include "base/error.h"

#define SETTINGS_STATE_DIR "/var/lib/muster"
#define SETTINGS_CONFIG_FILE "/etc/muster.conf"

struct cli;

/* Fill in keys, endpoint, region and state_dir. ERR_NOT_FOUND or ERR_CONFIG with the next step. */
int cli_settings_find(struct cli *cli, struct error *err);

/* Where a user's own keys are: of @home, or (NULL) of who runs this. The caller frees it. */
char *settings_user_file(const char *home);

/* Make what is missing of the folders above @path, for nobody else to read. */
void settings_make_folders(const char *path);

/* The value of @key in a "key = value" file, in section [default] if it has sections; NULL if there
 * is none. The caller frees it. */
char *settings_in_file(const char *path, const char *key);

#endif /* MUSTER_SETTINGS_H */
