/* What musterd was told: the command line first, then MUSTER_* variables, then the file of
 * --config (or /etc/muster.conf if there is one), then the defaults. */
#ifndef MUSTERD_OPTIONS_H
#define MUSTERD_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum compute_kind { COMPUTE_LXC, COMPUTE_SIM };

struct options {
    char *state_dir; /* Absolute. */
    char *listen_address;
    int listen_port; /* 0: any free one. */
    enum compute_kind compute;
    int32_t time_scale;
    bool metric_resolution_aws;
    char *account_id;
    char *region;
    double vcpu_share; /* 0: by the number of cores. */
    bool allow_lan;
    char *log_level;
    bool help, version;
};

/* ERR_CONFIG names the option and what it takes. @options is then closed. */
int options_read(int argc, char **argv, struct options *options, struct error *err);
void options_close(struct options *options);
void options_help(FILE *out);

#endif /* MUSTERD_OPTIONS_H */
