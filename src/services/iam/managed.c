/* Managed policies: AWS's that stacks name, with what of them concerns muster, and the account's.
 */
#include "api/handlers.h"
#include "api/members.h"
#include "aws/id.h"
#include "base/alloc.h"
#include "services/iam/evaluate.h"
#include "services/iam/private.h"

#include <stdlib.h>
#include <string.h>

#define ALLOW(actions)                                                                             \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[" actions        \
    "],\"Resource\":\"*\"}]}"

static const struct {
    const char *name, *document;
} aws_managed[] = {
    {"AdministratorAccess", ALLOW("\"*\"")},
    {"PowerUserAccess", "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                        "\"NotAction\":[\"iam:*\"],\"Resource\":\"*\"}]}"},
    {"ReadOnlyAccess",
     ALLOW("\"autoscaling:Describe*\",\"cloudformation:Describe*\",\"cloudformation:Get*\","
           "\"cloudformation:List*\",\"cloudwatch:Describe*\",\"cloudwatch:Get*\","
           "\"cloudwatch:List*\",\"monitoring:Describe*\",\"monitoring:Get*\","
           "\"monitoring:List*\",\"dynamodb:BatchGet*\",\"dynamodb:Describe*\",\"dynamodb:Get*\","
           "\"dynamodb:List*\",\"dynamodb:Query\",\"dynamodb:Scan\",\"ec2:Describe*\","
           "\"ec2:Get*\",\"elasticloadbalancing:Describe*\",\"iam:Get*\",\"iam:List*\","
           "\"resource-groups:Get*\",\"resource-groups:List*\",\"resource-groups:Search*\","
           "\"ssm:Describe*\",\"ssm:Get*\",\"ssm:List*\",\"tag:Get*\"")},
    {"AmazonSSMManagedInstanceCore",
     ALLOW("\"ssm:DescribeAssociation\",\"ssm:GetDeployablePatchSnapshotForInstance\","
           "\"ssm:GetDocument\",\"ssm:DescribeDocument\",\"ssm:GetManifest\","
           "\"ssm:GetParameter\",\"ssm:GetParameters\",\"ssm:ListAssociations\","
           "\"ssm:ListInstanceAssociations\",\"ssm:PutInventory\","
           "\"ssm:PutComplianceItems\",\"ssm:PutConfigurePackageResult\","
           "\"ssm:UpdateAssociationStatus\",\"ssm:UpdateInstanceAssociationStatus\","
           "\"ssm:UpdateInstanceInformation\",\"ssmmessages:*\",\"ec2messages:*\"")},
    {"AmazonEC2ReadOnlyAccess",
     ALLOW("\"ec2:Describe*\",\"ec2:Get*\",\"elasticloadbalancing:Describe*\","
           "\"monitoring:ListMetrics\",\"monitoring:GetMetricStatistics\","
           "\"monitoring:Describe*\",\"autoscaling:Describe*\"")},
    {"AmazonEC2FullAccess",
     ALLOW("\"ec2:*\",\"elasticloadbalancing:*\",\"monitoring:*\",\"cloudwatch:*\","
           "\"autoscaling:*\"")},
    {"AmazonDynamoDBFullAccess", ALLOW("\"dynamodb:*\"")},
    {"AmazonDynamoDBReadOnlyAccess",
     ALLOW("\"dynamodb:BatchGetItem\",\"dynamodb:Describe*\",\"dynamodb:List*\","
           "\"dynamodb:GetItem\",\"dynamodb:Query\",\"dynamodb:Scan\"")},
    {"CloudWatchAgentServerPolicy",
     ALLOW("\"cloudwatch:PutMetricData\",\"monitoring:PutMetricData\",\"ec2:DescribeVolumes\","
           "\"ec2:DescribeTags\",\"ssm:GetParameter\"")},
    {"CloudWatchFullAccess", ALLOW("\"cloudwatch:*\",\"monitoring:*\",\"autoscaling:Describe*\"")},
    {"AutoScalingFullAccess",
     ALLOW("\"autoscaling:*\",\"monitoring:PutMetricAlarm\",\"cloudwatch:PutMetricAlarm\","
           "\"ec2:Describe*\",\"elasticloadbalancing:Describe*\"")},
};

#define AWS_PREFIX "arn:aws:iam::aws:policy/"

const char *iam_managed_document(const struct iam *iam, const char *arn)
{
    const struct iam_policy *own = map_get_z(&iam->policies, arn);

    if (own != NULL) {
        return own->document;
    }
    if (strncmp(arn, AWS_PREFIX, strlen(AWS_PREFIX)) == 0) {
        const char *name = strrchr(arn, '/') + 1; /* Past "service-role/" too. */

        for (size_t i = 0; i < COUNT_OF(aws_managed); i++) {
            if (strcmp(name, aws_managed[i].name) == 0) {
                return aws_managed[i].document;
            }
        }
    }
    return NULL;
}

static size_t attachments(const struct iam *iam, const char *arn)
{
    const struct map *const maps[] = {&iam->users, &iam->roles};
    const struct iam_identity *identity;
    size_t count = 0;

    for (size_t m = 0; m < COUNT_OF(maps); m++) {
        for (size_t at = 0; (identity = map_next(maps[m], &at)) != NULL;) {
            for (size_t i = 0; i < identity->attached_count; i++) {
                count += strcmp(identity->attached[i], arn) == 0;
            }
        }
    }
    return count;
}

static void describe(struct ctx *ctx, const char *arn, struct doc *row)
{
    const struct iam *iam = ctx->control->iam;
    const struct iam_policy *own = map_get_z(&iam->policies, arn);

    doc_set_z(row, M_PolicyName, own == NULL ? strrchr(arn, '/') + 1 : own->name);
    doc_set_z(row, M_PolicyId, own == NULL ? "ANPAAWSMANAGEDPOLICY00" : own->id);
    doc_set_z(row, M_Arn, arn);
    doc_set_z(row, M_Path, own == NULL ? "/" : own->path);
    doc_set_z(row, M_DefaultVersionId, "v1");
    doc_set_int(row, M_AttachmentCount, (int64_t)attachments(iam, arn));
    doc_set_int(row, M_PermissionsBoundaryUsageCount, 0);
    doc_set_bool(row, M_IsAttachable, true);
    doc_set_z(row, M_Description, own == NULL ? NULL : own->description);
    doc_set_time_ms(row, M_CreateDate, own == NULL ? 0 : own->created_ms);
    doc_set_time_ms(row, M_UpdateDate, own == NULL ? 0 : own->created_ms);
}

static int find_policy(struct ctx *ctx, const char *arn, const char **document, struct error *err)
{
    *document = iam_managed_document(ctx->control->iam, arn);
    return *document != NULL ? 0 : error_api(err, "NoSuchEntity", "Policy %s was not found.", arn);
}

int iam_create_policy(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam *iam = ctx->control->iam;
    const char *name = doc_z(in, M_PolicyName);
    char *arn = iam_make_arn(ctx, "policy", iam_path(in), name);
    const struct iam_new new = {"iam:CreatePolicy", "policy", "policyName", name};
    struct iam_policy *policy;
    char id[ID_BYTES];
    int rc = iam_check_new(ctx, in, &new, err);

    if (rc == 0) {
        rc = policy_parse(doc_z(in, M_PolicyDocument), false, NULL, err);
    }
    if (rc == 0 && map_get_z(&iam->policies, arn) != NULL) {
        rc = error_api(err, "EntityAlreadyExists",
                       "A policy called %s already exists. Duplicate names are not allowed.", name);
    }
    if (rc == 0 && policy_chars(doc_z(in, M_PolicyDocument)) > IAM_POLICY_CHARS_MAX) {
        rc = error_api(err, "LimitExceeded", "Cannot exceed quota for PolicySize: %d",
                       IAM_POLICY_CHARS_MAX);
    }
    if (rc == 0 && iam->policies.count >= IAM_ENTITIES_MAX) {
        rc = error_api(err, "LimitExceeded", "Cannot exceed quota for PoliciesPerAccount: %d",
                       IAM_ENTITIES_MAX);
    }
    if (rc != 0) {
        free(arn);
        return rc;
    }
    id_new_base32(id, "ANPA", 21);
    policy = mem_calloc(1, sizeof(*policy));
    *policy = (struct iam_policy){
        .name = mem_strdup(name),
        .id = mem_strdup(id),
        .path = mem_strdup(iam_path(in)),
        .arn = arn,
        .description = mem_strdup(doc_z(in, M_Description)),
        .document = mem_strdup(doc_z(in, M_PolicyDocument)),
        .created_ms = ctx->now_ms,
    };
    map_put(&iam->policies, slice_z(arn), policy);
    changes_put_record(ctx->changes, SLICE_LIT("iam.policy"), slice_z(arn), &iam_policy_record,
                       policy);
    describe(ctx, arn, doc_set_struct(out, M_Policy));
    return 0;
}

int iam_get_policy(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *document;
    int rc = find_policy(ctx, doc_z(in, M_PolicyArn), &document, err);

    if (rc == 0) {
        describe(ctx, doc_z(in, M_PolicyArn), doc_set_struct(out, M_Policy));
    }
    return rc;
}

int iam_delete_policy(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct iam *iam = ctx->control->iam;
    const char *arn = doc_z(in, M_PolicyArn);
    struct iam_policy *policy = map_get_z(&iam->policies, arn);

    (void)out;
    if (policy == NULL) {
        return error_api(err, "NoSuchEntity", "Policy %s was not found.", arn);
    }
    if (attachments(iam, arn) > 0) {
        return error_api(err, "DeleteConflict", "Cannot delete a policy attached to entities.");
    }
    changes_del(ctx->changes, SLICE_LIT("iam.policy"), slice_z(arn));
    map_remove(&iam->policies, slice_z(arn));
    record_close(&iam_policy_record, policy);
    free(policy);
    return 0;
}

static void describe_version(struct ctx *ctx, const char *arn, const char *document, bool text,
                             struct doc *row)
{
    const struct iam_policy *own = map_get_z(&ctx->control->iam->policies, arn);

    if (text) {
        iam_set_document(row, M_Document, document);
    }
    doc_set_z(row, M_VersionId, "v1");
    doc_set_bool(row, M_IsDefaultVersion, true);
    doc_set_time_ms(row, M_CreateDate, own == NULL ? 0 : own->created_ms);
}

int iam_get_policy_version(struct ctx *ctx, const struct doc *in, struct doc *out,
                           struct error *err)
{
    const char *arn = doc_z(in, M_PolicyArn), *document;
    int rc = find_policy(ctx, arn, &document, err);

    if (rc == 0 && strcmp(doc_z(in, M_VersionId), "v1") != 0) {
        rc = error_api(err, "NoSuchEntity",
                       "Policy %s version %s does not exist or is not attachable.", arn,
                       doc_z(in, M_VersionId));
    }
    if (rc == 0) {
        describe_version(ctx, arn, document, true, doc_set_struct(out, M_PolicyVersion));
    }
    return rc;
}

int iam_list_policy_versions(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    const char *arn = doc_z(in, M_PolicyArn), *document;
    int rc = find_policy(ctx, arn, &document, err);

    if (rc == 0) {
        describe_version(ctx, arn, document, false, doc_add_struct(out, M_Versions));
        rc = iam_page(ctx, in, out, "ListPolicyVersions", M_Versions, err);
    }
    return rc;
}

int iam_list_policies(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *scope = doc_z(in, M_Scope);
    struct slice prefix = doc_text(in, M_PathPrefix);
    bool aws =
        (scope == NULL || strcmp(scope, "Local") != 0) && slice_starts(SLICE_LIT("/"), prefix);
    const struct iam_policy *policy;

    if (iam_check_prefix(in, err) != 0) {
        return ERR_API;
    }
    doc_set_list(out, M_Policies);
    for (size_t i = 0; i < COUNT_OF(aws_managed) && aws; i++) {
        describe(ctx, arena_printf(ctx->arena, AWS_PREFIX "%s", aws_managed[i].name).data,
                 doc_add_struct(out, M_Policies));
    }
    for (size_t at = 0; (scope == NULL || strcmp(scope, "AWS") != 0) &&
                        (policy = map_next(&ctx->control->iam->policies, &at)) != NULL;) {
        if (slice_starts(slice_z(policy->path), prefix)) {
            describe(ctx, policy->arn, doc_add_struct(out, M_Policies));
        }
    }
    return iam_page(ctx, in, out, "ListPolicies", M_Policies, err);
}
