/* The command line of candidate, and the variables behind it. */
#ifndef CANDIDATE_OPTIONS_H
#define CANDIDATE_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum options_verdict { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Texts are borrowed from the arguments and the environment. */
struct options {
    const char *address, *table, *log_level;
    int port;
    int metrics_port; /* -1: off. */
    int64_t requests_max;
    int64_t drain_ms;
    bool access_log;
};

/* ERR_CONFIG says which argument is wrong. */
int options_parse(int argc, char *const *argv, struct options *options,
                  enum options_verdict *verdict, struct error *err);

void options_print_help(void);

#endif /* CANDIDATE_OPTIONS_H */
