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

aws cloudformation validate-template --template-body "file://$here/stack.yaml" > /dev/null
good "stack.yaml is a valid template; stack $STACK: $(stack_status)"
