"""What current Packer's amazon plugin (1.3 and newer, on AWS's second Go SDK) calls for deploy/packer.

It sends more than Debian's Packer 1.6.6, which test_lxc_deploy.py runs: fields with their defaults, empty strings
where nothing is meant, tags on all that it makes for a while.
"""
import base64

import botocore.exceptions
import pytest

from daemon import wait

TAGS = [{'Key': 'Name', 'Value': 'image builder'}, {'Key': 'muster:helper-of', 'Value': 'candidates'}]
QUICKLY = {'Delay': 1}


def tagged(*kinds):
    return [{'ResourceType': kind, 'Tags': TAGS} for kind in kinds]


@pytest.fixture(scope='module')
def ec2(fast_sim):
    return fast_sim.client('ec2')


@pytest.fixture(scope='module')
def subnet(ec2):
    vpc = ec2.create_vpc(CidrBlock='10.0.0.0/24')['Vpc']['VpcId']
    return ec2.create_subnet(VpcId=vpc, CidrBlock='10.0.0.0/26')['Subnet']['SubnetId']


@pytest.fixture(scope='module')
def builder(ec2, subnet):
    """Its parts as the plugin makes them: key pair, security group, instance."""
    name = 'packer_6926f3a1-1e4c-2b0e-7d4f-5f1a2b3c4d5e'
    key = ec2.create_key_pair(KeyName=name, KeyType='rsa', TagSpecifications=tagged('key-pair'))
    assert key['KeyMaterial'].startswith('-----BEGIN RSA PRIVATE KEY-----')
    [found] = ec2.describe_subnets(SubnetIds=[subnet])['Subnets']
    group = ec2.create_security_group(GroupName=name, Description='Temporary group for Packer', VpcId=found['VpcId'],
                                      TagSpecifications=tagged('security-group'))['GroupId']
    ec2.get_waiter('security_group_exists').wait(GroupIds=[group], WaiterConfig=QUICKLY)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '192.0.2.7/32'}], 'IpProtocol': 'tcp'}])
    [image] = ec2.describe_images(IncludeDeprecated=False, Owners=['136693071363'], Filters=[
        {'Name': 'name', 'Values': ['debian-12-amd64-*']}, {'Name': 'root-device-type', 'Values': ['ebs']},
        {'Name': 'virtualization-type', 'Values': ['hvm']}])['Images']
    [instance] = ec2.run_instances(
        ImageId=image['ImageId'], InstanceType='t2.micro', UserData='', MinCount=1, MaxCount=1,
        IamInstanceProfile={'Name': ''}, Placement={'AvailabilityZone': found['AvailabilityZone']}, EbsOptimized=False,
        EnclaveOptions={'Enabled': False}, CreditSpecification={'CpuCredits': 'standard'}, KeyName=name,
        MetadataOptions={'HttpEndpoint': 'enabled', 'HttpTokens': 'optional', 'HttpPutResponseHopLimit': 1},
        CapacityReservationSpecification={'CapacityReservationPreference': 'none'},
        TagSpecifications=tagged('instance', 'network-interface'), InstanceInitiatedShutdownBehavior='stop',
        NetworkInterfaces=[{'DeviceIndex': 0, 'AssociatePublicIpAddress': True, 'SubnetId': subnet,
                            'Groups': [group], 'DeleteOnTermination': True}])['Instances']
    yield instance['InstanceId']
    ec2.terminate_instances(InstanceIds=[instance['InstanceId']])
    ec2.get_waiter('instance_terminated').wait(InstanceIds=[instance['InstanceId']], WaiterConfig=QUICKLY)
    ec2.delete_key_pair(KeyName=name)
    ec2.delete_security_group(GroupId=group)


def test_it_looks_around_first(fast_sim, ec2, subnet):
    assert fast_sim.client('sts').get_caller_identity()['Account']
    assert 'us-east-2' in [r['RegionName'] for r in ec2.describe_regions()['Regions']]
    assert not ec2.describe_images(Owners=['self'], Filters=[{'Name': 'name', 'Values': ['none-yet']}])['Images']
    [zone] = [s['AvailabilityZone'] for s in ec2.describe_subnets(SubnetIds=[subnet])['Subnets']]
    [offered] = ec2.describe_instance_type_offerings(LocationType='availability-zone', Filters=[
        {'Name': 'location', 'Values': [zone]}, {'Name': 'instance-type', 'Values': ['t2.micro']}])[
            'InstanceTypeOfferings']
    assert offered == {'InstanceType': 't2.micro', 'LocationType': 'availability-zone', 'Location': zone}


def test_the_builder_is_as_asked_for(ec2, builder):
    ec2.get_waiter('instance_running').wait(InstanceIds=[builder], WaiterConfig=QUICKLY)
    [shown] = ec2.describe_instances(InstanceIds=[builder])['Reservations'][0]['Instances']
    assert shown['PublicIpAddress'] and 'IamInstanceProfile' not in shown
    assert (shown['EbsOptimized'], shown['EnclaveOptions']) == (False, {'Enabled': False})
    assert sorted(shown['Tags'], key=lambda t: t['Key']) == TAGS
    [interface] = ec2.describe_network_interfaces(
        NetworkInterfaceIds=[shown['NetworkInterfaces'][0]['NetworkInterfaceId']])['NetworkInterfaces']
    assert sorted(interface['TagSet'], key=lambda t: t['Key']) == TAGS


def test_it_asks_the_console_whether_the_guest_is_down(ec2, builder):
    """The newest read the kernel's last words there; where they find none, as here, they wait for `stopped`."""
    ec2.stop_instances(InstanceIds=[builder])
    try:
        console = ec2.get_console_output(InstanceId=builder, Latest=True)
        assert 'reboot: Power down' not in base64.b64decode(console.get('Output', '')).decode()
    except botocore.exceptions.ClientError as e: # AWS says so of instances that are not Nitro's; it goes on.
        assert e.response['Error']['Code'] == 'UnsupportedOperation'
    ec2.get_waiter('instance_stopped').wait(InstanceIds=[builder], WaiterConfig=QUICKLY)


def test_the_image_its_attributes_and_its_tags(ec2, builder):
    ec2.get_waiter('instance_stopped').wait(InstanceIds=[builder], WaiterConfig=QUICKLY)
    made = ec2.create_image(InstanceId=builder, Name='candidates-20261127', NoReboot=True,
                            TagSpecifications=tagged('image', 'snapshot'))['ImageId']
    ec2.get_waiter('image_available').wait(ImageIds=[made], WaiterConfig=QUICKLY)
    ec2.modify_image_attribute(ImageId=made, Description={'Value': 'Debian 12 with the candidate service'})
    [image] = ec2.describe_images(ImageIds=[made])['Images']
    assert image['Description'] == 'Debian 12 with the candidate service'
    [snapshot] = [d['Ebs']['SnapshotId'] for d in image['BlockDeviceMappings']]
    ec2.create_tags(Resources=[made, snapshot], Tags=[{'Key': 'muster:baked-for', 'Value': 'candidates'}])
    [tags] = [s['Tags'] for s in ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots']]
    assert {'Key': 'muster:baked-for', 'Value': 'candidates'} in tags and TAGS[0] in tags
    wait(lambda: ec2.describe_images(Owners=['self'], Filters=[
        {'Name': 'tag:muster:baked-for', 'Values': ['candidates']}])['Images'], 'the image by its tag')
    ec2.deregister_image(ImageId=made)
    ec2.delete_snapshot(SnapshotId=snapshot)
