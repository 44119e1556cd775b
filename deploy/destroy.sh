#!/bin/sh
# Delete the images that were baked for the stack with their snapshots, then the stack with all that it
# made, by whatever made it. Safe to run twice.
# usage: deploy/destroy.sh        lib.sh says which variables it heeds
. "$(dirname "$0")/lib.sh"

note "what a bake may have left behind"
tidy_bake

note "the images"
for image in $(aws ec2 describe-images --owners self --filters "Name=tag:muster:baked-for,Values=$STACK" --query 'Images[].ImageId'); do
    snapshots=$(aws ec2 describe-images --image-ids "$image" --query 'Images[0].BlockDeviceMappings[].Ebs.SnapshotId')
    aws ec2 deregister-image --image-id "$image" > /dev/null
    for snapshot in $snapshots; do
        [ "$snapshot" = None ] || aws ec2 delete-snapshot --snapshot-id "$snapshot" > /dev/null
    done
    good "image $image is deregistered"
done

note "the stack"
if made_by_terraform; then
    tf destroy -input=false -auto-approve -no-color "-var=name_prefix=$STACK" "-var=region=$region" > /dev/null ||
        die "Terraform could not remove everything; mend what it says, then run destroy.sh again"
fi
if [ "$(stack_status)" != NONE ]; then
    aws cloudformation delete-stack --stack-name "$STACK"
    wait_stack
    case $status in
    NONE | DELETE_COMPLETE) ;;
    *) why_stack_failed ;;
    esac
fi
good "stack $STACK is gone"
