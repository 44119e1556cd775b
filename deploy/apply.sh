#!/bin/sh
# Deploy the stack in three phases, on AWS or on muster; run again after a failure, it goes on.
#   1. everything with 0 instances and a generic image
#   2. the service baked into an image (once for the same service)
#   3. the launch template updated to that image, with 2 instances
# usage: deploy/apply.sh        lib.sh says which variables it heeds
. "$(dirname "$0")/lib.sh"
"$here/check_env.sh"

candidate=$(find_candidate)
base=$(find_base_image)
how=$(deploy_with)
folder=

# Phases 1 and 3, each in both ways.

begin_terraform()
{
    # Its workspace may not be there yet.
    if ! "$terraform" "-chdir=$here/terraform" init -input=false -no-color > "$folder/init" 2>&1; then
        sed 's/^/  /' "$folder/init" >&2
        [ -z "${DEPLOY_WITH:-}" ] || die "terraform init failed; its words are above"
        note "Terraform's AWS provider cannot be had here; CloudFormation makes the stack instead"
        how=cloudformation DEPLOY_WITH=cloudformation
        export DEPLOY_WITH
        return
    fi
    "$terraform" "-chdir=$here/terraform" workspace select -or-create "$workspace" > "$folder/init" 2>&1 ||
        die "Terraform 1.4 or newer is needed: $(cat "$folder/init")"
}

change_terraform() # VARIABLE=VALUE...
{
    for variable in "$@"; do
        shift
        set -- "$@" "-var=$variable"
    done
    tf apply -input=false -auto-approve -no-color "-var=name_prefix=$STACK" \
        "-var=region=$region" "$@" > "$folder/terraform" 2>&1 || {
        grep -A 12 Error "$folder/terraform" >&2
        die "Terraform could not make the stack; mend what it says, then run apply.sh again"
    }
    grep -E '^(Apply complete|No changes)' "$folder/terraform"
}

change_stack() # create-stack|update-stack ImageId MinSize DesiredCapacity
{
    aws cloudformation "$1" --stack-name "$STACK" --template-body "file://$here/stack.yaml" \
        --capabilities CAPABILITY_IAM --parameters "ParameterKey=ImageId,ParameterValue=$2" \
        "ParameterKey=MinSize,ParameterValue=$3" "ParameterKey=DesiredCapacity,ParameterValue=$4" \
        "ParameterKey=Project,ParameterValue=$STACK"
}

make_network()
{
    if [ "$how" = terraform ]; then
        if ! tf state list 2> /dev/null | grep -q '^aws_cloudwatch_metric_alarm.cpu_low$'; then
            change_terraform min_size=0 desired_capacity=0
        fi
        good "the network is there"
        return
    fi
    wait_stack
    case $status in
    CREATE_FAILED | ROLLBACK_COMPLETE | ROLLBACK_FAILED | DELETE_FAILED)
        note "a half-made stack $STACK ($status) is removed first"
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
}

start_instances()
{
    if [ "$how" = terraform ]; then
        change_terraform "image_id=$image"
        return
    fi
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
}

# Phase 2.

clean_up()
{
    tidy_bake
    [ -z "$folder" ] || rm -rf "$folder"
    folder=
}

# From where the builder is reached by ssh, for as long as it bakes: on AWS from this machine alone, as AWS sees it.
# On muster none but this machine reaches it.
ssh_from()
{
    if [ -n "${SSH_CIDR:-}" ] || [ -n "${AWS_ENDPOINT_URL:-}" ]; then
        say "${SSH_CIDR:-0.0.0.0/0}"
    else
        address=$(curl -fsS --max-time 10 https://checkip.amazonaws.com) ||
            die "this machine's public address is not known; say SSH_CIDR=ADDRESS/32 (who may reach the image's builder)"
        say "$address/32"
    fi
}

bake_by_packer()
{
    export CHECKPOINT_DISABLE=1
    if packer plugins --help > /dev/null 2>&1; then # Since 1.7 the amazon builder is a plugin.
        packer plugins installed | grep -q amazon || packer plugins install github.com/hashicorp/amazon ||
            die "Packer's amazon plugin cannot be installed; BAKE_WITH=ssh bakes without Packer"
    fi
    from=$(ssh_from)
    # Packer's waiting; the AWS CLI must not hear of AWS_MAX_ATTEMPTS.
    env "AWS_POLL_DELAY_SECONDS=${AWS_POLL_DELAY_SECONDS:-3}" AWS_MAX_ATTEMPTS=200 \
        packer build -color=false -var "candidate=$(realpath "$candidate")" -var "name_prefix=$STACK" \
        -var "region=$region" -var "source_sha256=$hash" -var "ssh_cidr=$from" \
        -var "vpc_id=$(stack_output VpcId)" -var "subnet_id=$(stack_output BuildSubnetId)" \
        -var "custom_endpoint_ec2=${AWS_ENDPOINT_URL:-}" "$here/packer/candidates.pkr.hcl" ||
        die "the bake failed; Packer's words are above. BAKE_WITH=ssh bakes without it"
    find_image
}

has_address()
{
    address=$(aws ec2 describe-instances --instance-ids "$builder" --query 'Reservations[0].Instances[0].PublicIpAddress')
    [ "$address" != None ]
}

bake_by_ssh()
{
    from=$(ssh_from)
    name=$STACK-bake-$(date +%s)
    helper="Tags=[{Key=muster:helper-of,Value=$STACK},{Key=Name,Value=image builder}]"
    aws ec2 create-key-pair --key-name "$name" --key-type ed25519 --query KeyMaterial \
        --tag-specifications "ResourceType=key-pair,$helper" > "$folder/key"
    chmod 0600 "$folder/key"
    group=$(aws ec2 create-security-group --group-name "$name" --vpc-id "$(stack_output VpcId)" \
        --description "ssh to an image builder, for as long as it bakes" --query GroupId \
        --tag-specifications "ResourceType=security-group,$helper")
    aws ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp --port 22 --cidr "$from" > /dev/null
    builder=$(aws ec2 run-instances --image-id "$base" --instance-type t2.micro --key-name "$name" \
        --network-interfaces "DeviceIndex=0,SubnetId=$(stack_output BuildSubnetId),AssociatePublicIpAddress=true,Groups=$group" \
        --tag-specifications "ResourceType=instance,$helper" --query 'Instances[0].InstanceId')
    wait_until 120 "the address of builder $builder" has_address
    good "builder $builder at $address"
    cat > "$folder/config" <<-END
	Host builder
	HostName $address
	User admin
	IdentityFile $folder/key
	IdentitiesOnly yes
	BatchMode yes
	StrictHostKeyChecking no
	UserKnownHostsFile /dev/null
	LogLevel ERROR
	ConnectTimeout 5
	END
    tries=0
    until ssh -F "$folder/config" builder mkdir -p bake 2> "$folder/why"; do
        tries=$((tries + 1))
        [ "$tries" -lt 90 ] || die "builder $builder does not answer on ssh: $(cat "$folder/why")"
        sleep 1
    done
    ln -s "$(realpath "$candidate")" "$folder/candidate"
    scp -q -F "$folder/config" "$folder/candidate" "$here/packer/bake.sh" "$here/packer/candidate.service" builder:bake/
    ssh -F "$folder/config" builder 'cd bake && sudo sh ./bake.sh && cd && rm -rf bake && rm -f .ssh/authorized_keys' ||
        die "the bake failed; its words are above"
    image=$(aws ec2 create-image --instance-id "$builder" --name "$STACK-$(date +%s)" --query ImageId \
        --tag-specifications "ResourceType=image,Tags=[{Key=muster:baked-for,Value=$STACK},{Key=muster:sha256,Value=$hash}]")
    wait_image
}

find_image()
{
    image=$(aws ec2 describe-images --owners self --filters "Name=tag:muster:baked-for,Values=$STACK" \
        "Name=tag:muster:sha256,Values=$hash" "Name=state,Values=available,pending" --query 'Images[0].ImageId')
}

image_is_available()
{
    state=$(aws ec2 describe-images --image-ids "$image" --query 'Images[0].State')
    [ "$state" != failed ] || die "image $image failed: aws ec2 describe-images --image-ids $image says why"
    [ "$state" = available ]
}

wait_image()
{
    wait_until 900 "image $image" image_is_available
}

make_image()
{
    hash=$({ echo "$base"; cat "$candidate" "$here/packer/bake.sh" "$here/packer/candidate.service"; } | sha256sum | cut -d ' ' -f 1)
    find_image
    if [ "$image" != None ]; then
        wait_image
    elif [ "$(bake_with)" = packer ]; then
        tidy_bake
        bake_by_packer
    else
        tidy_bake
        bake_by_ssh
    fi
    tidy_bake
    good "image $image"
}

all_are_healthy()
{
    desired=$(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$group" --query 'AutoScalingGroups[0].DesiredCapacity')
    healthy=$(aws elbv2 describe-target-health --target-group-arn "$targets" \
        --query "length(TargetHealthDescriptions[?TargetHealth.State=='healthy'])")
    [ "$healthy" -ge "$desired" ]
}

wait_healthy()
{
    wait_until 300 "healthy targets (aws autoscaling describe-scaling-activities --auto-scaling-group-name $group says what happens)" \
        all_are_healthy
}

# A launch template's new version is for new instances: older ones are replaced, one by one.
replace_old_instances()
{
    group=$(stack_output AutoScalingGroupName)
    targets=$(stack_output TargetGroupArn)
    wait_healthy
    for id in $(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$group" \
        --query "AutoScalingGroups[0].Instances[?LifecycleState=='InService'].InstanceId"); do
        if [ "$(aws ec2 describe-instances --instance-ids "$id" --query 'Reservations[0].Instances[0].ImageId')" != "$image" ]; then
            note "instance $id has an older image and is replaced"
            aws autoscaling terminate-instance-in-auto-scaling-group --instance-id "$id" --no-should-decrement-desired-capacity > /dev/null
            sleep 2
            wait_healthy
        fi
    done
    good "$desired instances in service"
}

trap clean_up EXIT
trap 'exit 1' HUP INT TERM
folder=$(mktemp -d)
[ "$how" != terraform ] || begin_terraform
note "1/3 network, table, load balancer, group, by $how"
make_network
note "2/3 an image with the service in it"
make_image
note "3/3 the group's instances"
start_instances
replace_old_instances
"$here/validate.sh"
