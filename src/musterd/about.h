/* GET /_muster/about: what no AWS API says of a daemon, for the muster CLI. Loop thread only.
 *
 * {"Version":"0.1.0","Compute":"sim","TimeScale":10,"Wall":"2026-...Z","Muster":"2026-...Z",
 *  "Region":"us-east-2","Account":"000000000000"}. It needs no signature and holds no secret. */
#ifndef MUSTERD_ABOUT_H
#define MUSTERD_ABOUT_H

#include "http/server.h"
#include "musterd/options.h"
#include "services/control.h"

#include <stdbool.h>

/* Answer @request if it asks for that; false (and not answered) if not. */
bool about_handle(const struct options *options, const struct control *control,
                  struct http_request *request);

#endif /* MUSTERD_ABOUT_H */
