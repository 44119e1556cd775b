/* The most that libmicrohttpd can do for GET /gtg: its own epoll thread, one prepared empty answer
 * per request, nothing else. usage: mhd PORT */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *bytes, void **seen)
{
    static int once;
    struct MHD_Response *response;
    enum MHD_Result queued;

    (void)cls;
    (void)method;
    (void)version;
    (void)data;
    if (*seen == NULL) { /* An answer at the first call would close the connection. */
        *seen = &once;
        return MHD_YES;
    }
    *bytes = 0;
    response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    queued = MHD_queue_response(connection, strcmp(url, "/gtg") == 0 ? 200 : 404, response);
    MHD_destroy_response(response);
    return queued;
}

int main(int argc, char **argv)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct MHD_Daemon *daemon;

    if (argc != 2) {
        fprintf(stderr, "usage: mhd PORT\n");
        return 2;
    }
    name.sin_port = htons((uint16_t)atoi(argv[1]));
    daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, NULL,
                              MHD_OPTION_SOCK_ADDR, &name, MHD_OPTION_CONNECTION_LIMIT, 2000u,
                              MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "mhd: cannot listen\n");
        return 1;
    }
    pause();
    return 0;
}
