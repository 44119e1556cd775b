/* Running another program and waiting for it. */
#ifndef MUSTER_PROCESS_H
#define MUSTER_PROCESS_H

#include "muster/cli.h"

/* Run @argv (found in PATH) without input until it ends, its output and errors appended to @output.
 * Ends it after @timeout_ms (ERR_TIMEOUT) or when interrupted. ERR_SYSTEM: it could not be started,
 * or did not end with 0; the text has the last line that it said. */
int process_run(struct cli *cli, const char *const *argv, int64_t timeout_ms, struct buf *output,
                struct error *err);

/* Become @argv; comes back only to say why not. */
int process_become(const char *const *argv, struct error *err);

#endif /* MUSTER_PROCESS_H */
