/* What CloudWatch says of a CPU. */
#ifndef MUSTER_METRICS_H
#define MUSTER_METRICS_H

#include "muster/cli.h"

/* The newest CPUUtilization of the last minutes, in percent, by a dimension ("InstanceId" or
 * "AutoScalingGroupName"); NAN if there is none. */
double metrics_cpu(struct cli *cli, const char *dimension, const char *value);

#endif /* MUSTER_METRICS_H */
