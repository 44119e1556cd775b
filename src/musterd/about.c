#include "musterd/about.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool about_handle(const struct options *options, const struct control *control,
                  struct http_request *request)
{
    static const struct http_header headers[] = {
        {"Content-Type", "application/json"},
        {"Cache-Control", "no-store"},
        {NULL, NULL},
    };
    char wall[TIME_TEXT_BYTES], muster[TIME_TEXT_BYTES];
    json_t *about;
    char *text;

    if (strcmp(request->method, "GET") != 0 || !slice_equal_z(request->path, "/_muster/about")) {
        return false;
    }
    time_format_ms(time_wall_ms(), wall);
    time_format_ms(control_now_ms(control), muster);
    about = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "Version", MUSTER_VERSION, "Compute",
                      options->compute == COMPUTE_SIM ? "sim" : "lxc", "TimeScale",
                      (int)options->time_scale, "Wall", wall, "Muster", muster, "Region",
                      options->region, "Account", options->account_id);
    text = json_dumps(about, JSON_COMPACT);
    http_respond(request, 200, headers, slice_z(text));
    free(text);
    json_decref(about);
    return true;
}
