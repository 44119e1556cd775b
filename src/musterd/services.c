#include "musterd/services.h"

#include "services/autoscaling/autoscaling.h"
#include "services/cloudformation/cloudformation.h"
#include "services/cloudwatch/cloudwatch.h"
#include "services/dynamodb/dynamodb.h"
#include "services/ec2/ec2.h"
#include "services/elbv2/elbv2.h"
#include "services/iam/iam.h"
#include "services/imds/imds.h"
#include "services/resourcegroups/resourcegroups.h"
#include "services/ssm/ssm.h"

const struct service *const musterd_services[] = {
    &iam_service,
    &cloudwatch_service,
    &ec2_service,
    &imds_service,
    &elbv2_service,
    &autoscaling_service,
    &ssm_service,
    &dynamodb_service,
    &resourcegroups_service,
    &cloudformation_service,
};
const size_t musterd_services_count = COUNT_OF(musterd_services);

const char *musterd_resource(struct ctx *ctx, struct slice kind, struct slice value)
{
    const char *resource = NULL;

    for (size_t i = 0; i < COUNT_OF(musterd_services) && resource == NULL; i++) {
        if (musterd_services[i]->resource != NULL) {
            resource = musterd_services[i]->resource(ctx, kind, value);
        }
    }
    return resource;
}
