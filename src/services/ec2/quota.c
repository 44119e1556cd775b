/* How many of each resource there may be. Where the machine that carries them out holds fewer than
 * AWS's default, that is the quota; such a limit must be an error, for what is cut off silently is
 * a network without its rules.
 * https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
#include "services/ec2/private.h"

#include "compute/compute.h"

#include <assert.h>
#include <string.h>

#define VPCS_MAX 50
static_assert(VPCS_MAX < COMPUTE_VPCS_MAX, "those just deleted take some time to go");

/* Where the member `char *vpc` of @type_ is; of each VPC, then. */
#define IN_VPC(type_) offsetof(type_, vpc)

static const struct quota {
    size_t max;
    size_t vpc_at; /* 0: of all. */
    const char *code;
    const char *what; /* "The maximum number of WHAT has been reached." */
} quotas[KINDS] = {
    [KIND_VPC] = {.max = VPCS_MAX, .code = "VpcLimitExceeded", .what = "VPCs"},
    [KIND_GATEWAY] = {.max = VPCS_MAX,
                      .code = "InternetGatewayLimitExceeded",
                      .what = "internet gateways"},
    [KIND_SUBNET] = {.max = COMPUTE_SUBNETS_MAX,
                     .vpc_at = IN_VPC(struct ec2_subnet),
                     .code = "SubnetLimitExceeded",
                     .what = "subnets"},
    [KIND_ROUTE_TABLE] = {.max = 200,
                          .vpc_at = IN_VPC(struct route_table),
                          .code = "RouteTableLimitExceeded",
                          .what = "route tables"},
    [KIND_GROUP] = {.max = GROUPS_PER_VPC_MAX,
                    .vpc_at = IN_VPC(struct group),
                    .code = "SecurityGroupLimitExceeded",
                    .what = "security groups"},
    [KIND_KEY] = {.max = 5000, .code = "KeyPairLimitExceeded", .what = "key pairs"},
    [KIND_IMAGE] = {.max = 1000, .code = "AMIQuotaExceeded", .what = "AMIs"},
    [KIND_SNAPSHOT] = {.max = 10000, .code = "SnapshotLimitExceeded", .what = "snapshots"},
    [KIND_VOLUME] = {.max = 20000, .code = "VolumeLimitExceeded", .what = "volumes"},
    [KIND_TEMPLATE] = {.max = 5000, .code = "MaxTemplateLimitExceeded", .what = "launch templates"},
};

static size_t count_of(const struct control *control, enum kind kind, const char *vpc)
{
    size_t count = 0;
    char *thing;

    if (quotas[kind].vpc_at == 0) {
        return control->ec2->things[kind].count;
    }
    for (size_t at = 0; (thing = thing_next(control, kind, &at)) != NULL;) {
        count += strcmp(*(char **)(void *)(thing + quotas[kind].vpc_at), vpc) == 0;
    }
    return count;
}

int quota_check(const struct control *control, enum kind kind, const char *vpc, size_t count,
                struct error *err)
{
    const struct quota *quota = &quotas[kind];

    return count_of(control, kind, vpc) + count <= quota->max
               ? 0
               : error_api(err, quota->code, "The maximum number of %s has been reached.",
                           quota->what);
}

int quota_check_rules(const struct control *control, const char *vpc, size_t count,
                      struct error *err)
{
    const struct group *group;

    for (size_t at = 0; (group = thing_next(control, KIND_GROUP, &at)) != NULL;) {
        count += strcmp(group->vpc, vpc) == 0 ? group->rules_count : 0;
    }
    return count <= RULES_PER_VPC_MAX
               ? 0
               : error_api(err, "RulesPerSecurityGroupLimitExceeded",
                           "The maximum number of rules of the security groups of VPC '%s' has "
                           "been reached.",
                           vpc);
}
