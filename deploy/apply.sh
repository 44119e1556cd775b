#!/bin/sh
# Deploy the stack in three phases, on AWS or on muster; run again, it converges.
#   1. everything with 0 instances and a generic image
#   2. the service baked into an image, by bake.sh over ssh (once for the same service)
#   3. the launch template updated to that image, with 2 instances
. "$(dirname "$0")/lib.sh"
"$here/check_env.sh"

candidate=$(find_candidate)
base=$(find_base_image)

change_stack() # create-stack|update-stack ImageId MinSize DesiredCapacity
{
    aws cloudformation "$1" --stack-name "$STACK" --template-body "file://$here/stack.yaml" \
        --capabilities CAPABILITY_IAM --parameters "ParameterKey=ImageId,ParameterValue=$2" \
        "ParameterKey=MinSize,ParameterValue=$3" "ParameterKey=DesiredCapacity,ParameterValue=$4"
}

say "1/3 Network, table, load balancer, group"
wait_stack
case $status in
CREATE_FAILED | ROLLBACK_COMPLETE | ROLLBACK_FAILED | DELETE_FAILED)
    aws cloudformation delete-stack --stack-name "$STACK"
    wait_stack
    ;;
esac
case $status in
NONE | DELETE_COMPLETE)
    change_stack create-stack "$base" 0 0 > /dev/null
    wait_stack
    [ "$status" = CREATE_COMPLETE ] || why_stack_failed
    ;;
esac
good "stack $STACK: $status"

say "2/3 An image with the service in it"
hash=$({ echo "$base"; cat "$candidate" "$here/packer/bake.sh" "$here/packer/candidate.service"; } | sha256sum | cut -d ' ' -f 1)
folder=

clean_up()
{
    [ -z "$folder" ] || rm -rf "$folder"
    folder=
    tidy_bake
}

bake()
{
    trap clean_up EXIT
    trap 'exit 1' HUP INT TERM
    tidy_bake
    folder=$(mktemp -d)
    name=$STACK-bake-$(date +%s)
    helper="Tags=[{Key=muster:helper-of,Value=$STACK},{Key=Name,Value=image builder}]"
    aws ec2 create-key-pair --key-name "$name" --key-type ed25519 --query KeyMaterial \
        --tag-specifications "ResourceType=key-pair,$helper" > "$folder/key"
    chmod 0600 "$folder/key"
    group=$(aws ec2 create-security-group --group-name "$name" --vpc-id "$(stack_output VpcId)" \
        --description "ssh to an image builder, for as long as it bakes" --query GroupId \
        --tag-specifications "ResourceType=security-group,$helper")
    aws ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp --port 22 --cidr 0.0.0.0/0 > /dev/null
    builder=$(aws ec2 run-instances --image-id "$base" --instance-type t2.micro --key-name "$name" \
        --network-interfaces "DeviceIndex=0,SubnetId=$(stack_output BuildSubnetId),AssociatePublicIpAddress=true,Groups=$group" \
        --tag-specifications "ResourceType=instance,$helper" --query 'Instances[0].InstanceId')
    address=None
    until [ "$address" != None ]; do
        sleep 1
        address=$(aws ec2 describe-instances --instance-ids "$builder" --query 'Reservations[0].Instances[0].PublicIpAddress')
    done
    good "builder $builder at $address"
    options="-F /dev/null -i $folder/key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=5"
    tries=0
    until ssh $options "admin@$address" mkdir -p bake 2> "$folder/why"; do
        tries=$((tries + 1))
        [ "$tries" -lt 90 ] || die "builder $builder does not answer on ssh: $(cat "$folder/why")"
        sleep 1
    done
    ln -s "$(realpath "$candidate")" "$folder/candidate"
    scp -q $options "$folder/candidate" "$here/packer/bake.sh" "$here/packer/candidate.service" "admin@$address:bake/"
    ssh $options "admin@$address" 'cd bake && sudo sh ./bake.sh && cd && rm -rf bake && rm -f .ssh/authorized_keys'
    image=$(aws ec2 create-image --instance-id "$builder" --name "$STACK-$(date +%s)" --query ImageId \
        --tag-specifications "ResourceType=image,Tags=[{Key=muster:baked-for,Value=$STACK},{Key=muster:sha256,Value=$hash}]")
    wait_image
    clean_up
    trap - EXIT HUP INT TERM
}

wait_image()
{
    until [ "${state:=pending}" = available ]; do
        state=$(aws ec2 describe-images --image-ids "$image" --query 'Images[0].State')
        [ "$state" != failed ] || die "image $image failed"
        [ "$state" = available ] || sleep 1
    done
}

image=$(aws ec2 describe-images --owners self --filters "Name=tag:muster:baked-for,Values=$STACK" \
    "Name=tag:muster:sha256,Values=$hash" "Name=state,Values=available,pending" --query 'Images[0].ImageId')
if [ "$image" = None ]; then
    bake
else
    wait_image
fi
good "image $image"

say "3/3 The group's instances"
if ! said=$(change_stack update-stack "$image" 2 2 2>&1); then
    case $said in
    *"No updates are to be performed"*) ;;
    *) die "$said" ;;
    esac
fi
wait_stack
case $status in
CREATE_COMPLETE | UPDATE_COMPLETE) good "stack $STACK: $status" ;;
*) why_stack_failed ;;
esac

# A launch template's new version is for new instances: older ones are replaced, one by one.
group=$(stack_output AutoScalingGroupName)
targets=$(stack_output TargetGroupArn)

wait_healthy()
{
    tries=0
    while :; do
        desired=$(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$group" --query 'AutoScalingGroups[0].DesiredCapacity')
        healthy=$(aws elbv2 describe-target-health --target-group-arn "$targets" \
            --query "length(TargetHealthDescriptions[?TargetHealth.State=='healthy'])")
        [ "$healthy" -lt "$desired" ] || return 0
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] ||
            die "only $healthy of $desired targets are healthy; aws autoscaling describe-scaling-activities --auto-scaling-group-name $group says what happened"
        sleep 1
    done
}

wait_healthy
for id in $(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$group" \
    --query "AutoScalingGroups[0].Instances[?LifecycleState=='InService'].InstanceId"); do
    if [ "$(aws ec2 describe-instances --instance-ids "$id" --query 'Reservations[0].Instances[0].ImageId')" != "$image" ]; then
        say "  instance $id has an older image and is replaced"
        aws autoscaling terminate-instance-in-auto-scaling-group --instance-id "$id" --no-should-decrement-desired-capacity > /dev/null
        sleep 2
        wait_healthy
    fi
done
good "$desired instances in service"

"$here/validate.sh"
