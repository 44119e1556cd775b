"""An image whose init is the service itself: there at once, small, and with nothing else in it."""
import json
import os
import pathlib
import time

import pytest

import daemon
from daemon import wait
from stack import bake, get, in_state

pytestmark = pytest.mark.lxc


@pytest.fixture(scope='module')
def group(lxc):
    ec2 = lxc.client('ec2')
    group = ec2.create_security_group(GroupName='small', Description='small')['GroupId']
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 8000, 'ToPort': 8000, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    return group


@pytest.fixture(scope='module')
def small(lxc):
    """The image, baked over ssh."""
    image = bake(lxc, lxc.directory, 'small', '--as-init')
    yield image
    lxc.client('ec2').deregister_image(ImageId=image)


def answers(address):
    try:
        return get(f'http://{address}:8000/gtg?details=true', 2)
    except OSError:
        return None


def test_the_service_is_all_that_runs(lxc, group, small):
    ec2 = lxc.client('ec2')
    begun = time.monotonic()
    made = ec2.run_instances(ImageId=small, InstanceType='t2.micro', MinCount=1, MaxCount=1,
                             SecurityGroupIds=[group])['Instances'][0]['InstanceId']
    address = in_state(lxc, made, 'running')['PublicIpAddress']
    status, body = wait(lambda: answers(address), 'the service', 20, 0.01)
    print(f'first answer after {time.monotonic() - begun:.3f} s')
    assert status == 200
    wait(lambda: json.loads(answers(address)[1])['instance-id'] == made, 'it to know itself')
    names = [(pathlib.Path('/proc') / pid / 'comm').read_text().strip()
             for root, _, files in os.walk('/sys/fs/cgroup') if made in root and '/i/' in root and 'cgroup.procs' in files
             for pid in (pathlib.Path(root) / 'cgroup.procs').read_text().split()]
    assert set(names) == {'candidate'}
    assert 'candidate.ready' in wait(lambda: ec2.get_console_output(InstanceId=made).get('Output'), 'its console')
    begun = time.monotonic()
    ec2.terminate_instances(InstanceIds=[made])
    in_state(lxc, made, 'terminated')
    assert time.monotonic() - begun < 8, 'it did not heed its halt'


@pytest.fixture
def full_vpc(lxc):
    """A VPC of as many subnets, security groups and rules as may be."""
    ec2 = lxc.client('ec2')
    vpc = ec2.create_vpc(CidrBlock='10.0.0.0/16')['Vpc']['VpcId']
    gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.describe_route_tables(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['RouteTables'][0]['RouteTableId']
    ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f'10.0.{i}.0/24')['Subnet']['SubnetId'] for i in range(64)]
    groups = [ec2.create_security_group(VpcId=vpc, GroupName=f'g{i}', Description='g')['GroupId'] for i in range(255)]
    room = 4096 - 255 - 2  # Each group has a rule for what goes out, the default one two.
    for i, group in enumerate(groups):
        here = room // len(groups) + (i < room % len(groups))
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {'IpProtocol': 'tcp', 'FromPort': port, 'ToPort': port, 'IpRanges': [{'CidrIp': f'10.0.{i}.0/24'}]}
            for port in range(1000, 1000 + here - 1)] + [
            {'IpProtocol': 'tcp', 'FromPort': 8000, 'ToPort': 8000, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}
            if i == 254 else {'IpProtocol': 'tcp', 'FromPort': 8001, 'ToPort': 8001, 'UserIdGroupPairs': [{'GroupId': group}]}])
    yield {'vpc': vpc, 'subnet': subnets[-1], 'groups': groups}
    for group in groups:
        ec2.delete_security_group(GroupId=group)
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)


def test_a_vpc_at_its_quotas_is_enforced_to_the_last_rule(lxc, small, full_vpc):
    ec2 = lxc.client('ec2')
    begun = time.monotonic()
    made = ec2.run_instances(ImageId=small, InstanceType='t2.micro', MinCount=1, MaxCount=1, NetworkInterfaces=[
        {'DeviceIndex': 0, 'AssociatePublicIpAddress': True, 'SubnetId': full_vpc['subnet'],
         'Groups': full_vpc['groups'][-16:]}])['Instances'][0]['InstanceId']
    address = in_state(lxc, made, 'running')['PublicIpAddress']
    assert wait(lambda: answers(address), 'the service', 20)[0] == 200
    print(f'first answer after {time.monotonic() - begun:.3f} s')
    ec2.modify_instance_attribute(InstanceId=made, Groups=full_vpc['groups'][:1])
    wait(lambda: answers(address) is None, 'the rule to hold no longer', 20)
    ec2.terminate_instances(InstanceIds=[made])
    in_state(lxc, made, 'terminated')
