#!/bin/sh
# Is everything here that apply.sh needs? Changes nothing.
. "$(dirname "$0")/lib.sh"

for tool in aws curl ssh scp sha256sum; do
    command -v "$tool" > /dev/null || die "$tool is missing; install it (Debian: apt-get install awscli curl openssh-client)"
done
good "aws, curl, ssh, scp and sha256sum are installed"

who=$(aws sts get-caller-identity --query Arn) ||
    die "no valid credentials: eval \"\$(muster env)\" for muster, 'aws configure' for AWS"
good "$who at ${AWS_ENDPOINT_URL:-AWS}"

zones=$(aws ec2 describe-availability-zones --query 'length(AvailabilityZones)') ||
    die "no region: set AWS_DEFAULT_REGION"
[ "$zones" -ge 2 ] || die "the region has $zones zone(s); the stack needs 2"
good "the region has $zones zones"

candidate=$(find_candidate)
"$candidate" --version > /dev/null 2>&1 || die "$candidate does not run"
good "the service is $candidate"

image=$(find_base_image) || die "no base image: say which Debian 12 image to use with BASE_IMAGE=ami-..."
good "the image to bake on is $image"

case $STACK in
[a-z][a-z0-9-]*) ;;
*) die "STACK=$STACK: the name begins with a letter, and has small letters, digits and hyphens" ;;
esac

if [ "$(deploy_with)" = terraform ]; then
    [ -n "$terraform" ] || die "DEPLOY_WITH=terraform, but neither terraform nor tofu is installed"
    good "$("$terraform" version | head -1) makes the stack"
else
    aws cloudformation validate-template --template-body "file://$here/stack.yaml" > /dev/null
    good "CloudFormation makes the stack (Terraform is not installed, or DEPLOY_WITH says so); stack $STACK: $(stack_status)"
fi
if command -v packer > /dev/null && [ "${BAKE_WITH:-packer}" = packer ]; then
    good "$(CHECKPOINT_DISABLE=1 packer version | head -1) bakes the image"
else
    good "the image is baked over ssh (Packer is not installed, or BAKE_WITH says so)"
fi
