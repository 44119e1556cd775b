#!/bin/sh
# Delete the stack with all that it made, and the images that were baked for it. Safe to run twice.
. "$(dirname "$0")/lib.sh"

tidy_bake
if [ "$(stack_status)" != NONE ]; then
    aws cloudformation delete-stack --stack-name "$STACK"
    wait_stack
    case $status in
    NONE | DELETE_COMPLETE) ;;
    *) why_stack_failed ;;
    esac
fi
good "stack $STACK is gone"

for image in $(aws ec2 describe-images --owners self --filters "Name=tag:muster:baked-for,Values=$STACK" --query 'Images[].ImageId'); do
    snapshots=$(aws ec2 describe-images --image-ids "$image" --query 'Images[0].BlockDeviceMappings[].Ebs.SnapshotId')
    aws ec2 deregister-image --image-id "$image" > /dev/null
    for snapshot in $snapshots; do
        [ "$snapshot" = None ] || aws ec2 delete-snapshot --snapshot-id "$snapshot" > /dev/null
    done
    good "image $image is deregistered"
done
