/* What instances reach from inside their VPC: the instance metadata service at 169.254.169.254:80,
 * and the API at 169.254.169.252:4566. The listening sockets are the compute driver's news; the
 * source address within the VPC says which instance asks, and who is none is refused. Loop thread.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html */
#ifndef SERVICES_IMDS_IMDS_H
#define SERVICES_IMDS_IMDS_H

#include "services/control.h"

extern const struct service imds_service;

#endif /* SERVICES_IMDS_IMDS_H */
