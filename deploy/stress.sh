#!/bin/sh
# Simulate load: keep the CPUs of all instances in service busy, by Systems Manager. The group grows by its
# own rules; watch it with: aws autoscaling describe-scaling-activities --auto-scaling-group-name NAME
# usage: deploy/stress.sh [SECONDS]        360 by default, of real time
. "$(dirname "$0")/lib.sh"

seconds=${1:-360}
case $seconds in
'' | *[!0-9]*) die "usage: deploy/stress.sh [SECONDS]" ;;
esac
group=$(stack_output AutoScalingGroupName) || die "there is no stack $STACK; deploy it with apply.sh"
ids=$(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$group" \
    --query "AutoScalingGroups[0].Instances[?LifecycleState=='InService'].InstanceId")
case $ids in
"" | None) die "no instance of $group is in service" ;;
esac
note "$(echo "$ids" | wc -w) instances of $group are busy for $seconds s"
# shellcheck disable=SC2086 # A list of words.
aws ssm send-command --document-name AWS-RunShellScript --instance-ids $ids --comment "simulated load" \
    --parameters "commands=[\"stress --cpu \$(nproc) --timeout ${seconds}s\"],executionTimeout=[\"$((seconds + 60))\"]" \
    --query Command.CommandId > /dev/null
good "load is on; the first alarm goes off after two periods of 30 s"
