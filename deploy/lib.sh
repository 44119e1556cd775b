# shellcheck shell=sh
# What the scripts beside this share; read by them, not run. They speak to whatever the AWS CLI
# speaks to: AWS, or (AWS_ENDPOINT_URL) muster. The stack is made by Terraform (or OpenTofu) and its
# image by Packer where these are installed, else by CloudFormation and over ssh.
#
#   STACK        the stack's name, 3 to 20 characters (candidates)
#   DEPLOY_WITH  terraform or cloudformation: instead of what is found
#   BAKE_WITH    packer or ssh: instead of what is found
#   SSH_CIDR     from where the image's builder is reached while it bakes (on AWS this machine's
#                public address)
#   CANDIDATE    the service's binary (the built or installed one)
#   BASE_IMAGE   the Debian image to bake on, over ssh (muster's own; on AWS Debian 12's newest)
set -eu
# No script takes options: whoever asks for help gets it, and nothing is done.
case ${1:-} in
-*)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
status= # wait_stack sets it.
STACK=${STACK:-candidates}
export AWS_PAGER=

# AWS CLIs before 2.13 do not know AWS_ENDPOINT_URL.
aws()
{
    command aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} --output text "$@"
}

say()
{
    printf '%s\n' "$*"
}

# What comes next.
note()
{
    printf 'NOTE: %s\n' "$*"
}

good()
{
    printf '✓ %s\n' "$*"
}

die()
{
    printf '✗ %s\n' "$*" >&2
    exit 1
}

# Ask every second until COMMAND succeeds.
wait_until() # SECONDS WHAT COMMAND...
{
    deadline=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || die "waited too long for $what; run this again when it is there"
        sleep 1
    done
}

printf '%s' "$STACK" | grep -qxE '[a-z][a-z0-9-]{1,18}[a-z0-9]' ||
    die "STACK=$STACK: the name has 3 to 20 small letters, digits and hyphens, and begins with a letter"
command -v aws > /dev/null || die "aws is missing; install it (Debian: apt-get install awscli)"
account=$(aws sts get-caller-identity --query Account) ||
    die "no valid credentials (above is why): eval \"\$(muster env)\" for muster, 'aws configure' or 'aws sso login' for AWS"
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(command aws configure get region || echo us-east-2)}}
export AWS_DEFAULT_REGION="$region" # Terraform, Packer and the AWS CLI agree.

# The service's binary: of a build, or installed.
find_candidate()
{
    for file in "${CANDIDATE:-}" "$here/../build/src/candidate/candidate" "$here/../../../lib/muster/candidate"; do
        if [ -n "$file" ] && [ -r "$file" ]; then
            printf '%s\n' "$file"
            return
        fi
    done
    die "there is no candidate to bake: build it (ninja -C build), or say where it is with CANDIDATE=FILE"
}

# muster's base image has a fixed id; on AWS it is Debian 12's newest.
find_base_image()
{
    if [ -n "${BASE_IMAGE:-}" ]; then
        printf '%s\n' "$BASE_IMAGE"
    elif aws ec2 describe-images --image-ids ami-0deb1a12000000000 > /dev/null 2>&1; then
        printf 'ami-0deb1a12000000000\n'
    else
        aws ssm get-parameter --name /aws/service/debian/release/12/latest/amd64 --query Parameter.Value
    fi
}

# CREATE_COMPLETE and so on; NONE.
stack_status()
{
    if said=$(aws cloudformation describe-stacks --stack-name "$STACK" --query 'Stacks[0].StackStatus' 2>&1); then
        printf '%s\n' "$said"
        return
    fi
    case $said in
    *"does not exist"*) printf 'NONE\n' ;;
    *) die "$said" ;;
    esac
}

# Terraform keeps what it knows of each stack, account, region and endpoint in a workspace of its own.
terraform=$(command -v terraform || command -v tofu || true)
endpoint=$(printf '%s' "${AWS_ENDPOINT_URL:-aws}" | sed 's|.*//||; s|[^A-Za-z0-9.]|-|g')
workspace=$STACK-$account-$region-$endpoint

tf() # COMMAND ARGUMENTS...
{
    TF_WORKSPACE=$workspace "$terraform" "-chdir=$here/terraform" "$@"
}

# Did Terraform make something, here?
made_by_terraform()
{
    if [ -z "$terraform" ]; then
        [ ! -d "$here/terraform/terraform.tfstate.d/$workspace" ] ||
            die "Terraform made stack $STACK, and is not installed any more"
        return 1
    fi
    [ -d "$here/terraform/.terraform" ] && [ -n "$(tf state list 2> /dev/null)" ]
}

# terraform or cloudformation: as DEPLOY_WITH says; what made the stack; what is installed.
deploy_with()
{
    if [ -n "${DEPLOY_WITH:-}" ]; then
        printf '%s\n' "$DEPLOY_WITH"
    elif made_by_terraform || { [ -n "$terraform" ] && [ "$(stack_status)" = NONE ]; }; then
        printf 'terraform\n'
    else
        printf 'cloudformation\n'
    fi
}

# packer or ssh: as BAKE_WITH says; what is installed. Packer finds its base image itself.
bake_with()
{
    if [ -n "${BAKE_WITH:-}" ]; then
        printf '%s\n' "$BAKE_WITH"
    elif [ -z "${BASE_IMAGE:-}" ] && command -v packer > /dev/null; then
        printf 'packer\n'
    else
        printf 'ssh\n'
    fi
}

# Url, AutoScalingGroupName, TargetGroupArn, TableName, VpcId or BuildSubnetId.
stack_output()
{
    if [ "${how:-$(deploy_with)}" = terraform ]; then
        tf output -no-color -raw "$(printf '%s' "$1" | sed 's/\([a-z]\)\([A-Z]\)/\1_\2/g' | tr '[:upper:]' '[:lower:]')"
        return
    fi
    aws cloudformation describe-stacks --stack-name "$STACK" \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue | [0]"
}

stack_rests()
{
    status=$(stack_status)
    case $status in
    *_IN_PROGRESS) return 1 ;;
    esac
}

# Until nothing is in progress; the AWS CLI's own waiters look every 30 s only. Sets $status.
wait_stack()
{
    wait_until 1800 "stack $STACK" stack_rests
}

why_stack_failed()
{
    aws cloudformation describe-stack-events --stack-name "$STACK" \
        --query "StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" >&2
    die "stack $STACK is $status"
}

is_terminated() # INSTANCE
{
    [ "$(aws ec2 describe-instances --instance-ids "$1" --query 'Reservations[0].Instances[0].State.Name')" = terminated ]
}

# What a bake needs for a while is found by its tag, whoever left it behind.
tidy_bake()
{
    ids=$(aws ec2 describe-instances --filters "Name=tag:muster:helper-of,Values=$STACK" \
        "Name=instance-state-name,Values=pending,running,stopping,stopped" \
        --query 'Reservations[].Instances[].InstanceId')
    if [ -n "$ids" ]; then
        # shellcheck disable=SC2086 # A list of words.
        aws ec2 terminate-instances --instance-ids $ids > /dev/null
    fi
    for id in $ids; do
        wait_until 300 "the end of instance $id" is_terminated "$id"
    done
    for id in $(aws ec2 describe-security-groups --filters "Name=tag:muster:helper-of,Values=$STACK" --query 'SecurityGroups[].GroupId'); do
        aws ec2 delete-security-group --group-id "$id" > /dev/null
    done
    for id in $(aws ec2 describe-key-pairs --filters "Name=tag:muster:helper-of,Values=$STACK" --query 'KeyPairs[].KeyPairId'); do
        aws ec2 delete-key-pair --key-pair-id "$id" > /dev/null
    done
}
