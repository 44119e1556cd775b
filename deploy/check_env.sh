#!/bin/sh
# Is everything here that apply.sh needs? Changes nothing.
# usage: deploy/check_env.sh        lib.sh says which variables it heeds
. "$(dirname "$0")/lib.sh"

for tool in curl ssh scp sha256sum; do
    command -v "$tool" > /dev/null || die "$tool is missing; install it (Debian: apt-get install curl openssh-client)"
done
good "aws, curl, ssh, scp and sha256sum are installed"
good "account $account, $region at ${AWS_ENDPOINT_URL:-AWS}"

zones=$(aws ec2 describe-availability-zones --query 'length(AvailabilityZones)') ||
    die "no region: set AWS_DEFAULT_REGION"
[ "$zones" -ge 2 ] || die "the region has $zones zone(s); the stack needs 2"
good "the region has $zones zones"

candidate=$(find_candidate)
"$candidate" --version > /dev/null 2>&1 || die "$candidate does not run"
good "the service is $candidate"

image=$(find_base_image) || die "no base image: say which Debian 12 image to use with BASE_IMAGE=ami-..."
good "the image to bake on is $image"

how=$(deploy_with)
case $how in
terraform)
    [ -n "$terraform" ] || die "DEPLOY_WITH=terraform, but neither terraform nor tofu is installed"
    good "$("$terraform" version | head -1) makes the stack"
    ;;
cloudformation)
    aws cloudformation validate-template --template-body "file://$here/stack.yaml" > /dev/null
    good "CloudFormation makes the stack; stack $STACK: $(stack_status)"
    ;;
*) die "DEPLOY_WITH=$how: it is terraform or cloudformation" ;;
esac
case $(bake_with) in
packer)
    command -v packer > /dev/null || die "BAKE_WITH=packer, but packer is not installed"
    good "$(CHECKPOINT_DISABLE=1 packer version | head -1) bakes the image"
    ;;
ssh) good "the image is baked over ssh" ;;
*) die "BAKE_WITH=$BAKE_WITH: it is packer or ssh" ;;
esac
