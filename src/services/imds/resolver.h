/* The resolver of every VPC, at 169.254.169.253 and at its base address plus two: private names of
 * its instances are answered from memory, public ones of its instances with their private address,
 * all else is relayed to the host's own resolvers. UDP only. Loop thread.
 * https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html */
#ifndef SERVICES_IMDS_RESOLVER_H
#define SERVICES_IMDS_RESOLVER_H

#include "services/control.h"

struct resolver;
struct resolver_socket;

struct resolver *resolver_open(struct control *control);
void resolver_close(struct resolver *resolver); /* After its sockets. */

/* Serve at @fd, a datagram socket inside @vpc, which is taken. NULL when it cannot. */
struct resolver_socket *resolver_listen(struct resolver *resolver, const char *vpc, int fd);
void resolver_socket_close(struct resolver_socket *listener);

#endif /* SERVICES_IMDS_RESOLVER_H */
