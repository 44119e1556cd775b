"""EC2 through AWS's own client, with the sim driver: networks, instances, templates, images."""
import base64

import pytest
from botocore.exceptions import ClientError

from daemon import wait


@pytest.fixture(scope='module')
def ec2(sim):
    return sim.client('ec2')


@pytest.fixture(scope='module')
def image(ec2):
    return ec2.describe_images(Owners=['136693071363'])['Images'][0]['ImageId']


def error(call, *arguments, **parameters):
    """The error code that the call fails with."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return caught.value.response['Error']['Code']


def instance(ec2, instance_id):
    return ec2.describe_instances(InstanceIds=[instance_id])['Reservations'][0]['Instances'][0]


def state(ec2, instance_id, wanted):
    return wait(lambda: instance(ec2, instance_id)['State']['Name'] == wanted, f'it to be {wanted}')


def run(ec2, image, **parameters):
    made = ec2.run_instances(ImageId=image, InstanceType='t2.micro', MinCount=1, MaxCount=1, **parameters)
    return made['Instances'][0]['InstanceId']


@pytest.fixture
def network(ec2):
    """A VPC with one public subnet, taken down in the order that AWS wants."""
    vpc = ec2.create_vpc(CidrBlock='10.0.0.0/24')['Vpc']['VpcId']
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='10.0.0.0/26')['Subnet']['SubnetId']
    gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)['RouteTable']['RouteTableId']
    ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)['AssociationId']
    yield {'vpc': vpc, 'subnet': subnet, 'gateway': gateway, 'table': table}
    ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route_table(RouteTableId=table)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)
    assert error(ec2.describe_vpcs, VpcIds=[vpc]) == 'InvalidVpcID.NotFound'


def test_a_new_account_has_a_default_vpc(ec2):
    vpc, = ec2.describe_vpcs(Filters=[{'Name': 'is-default', 'Values': ['true']}])['Vpcs']
    subnets = ec2.describe_subnets(Filters=[{'Name': 'vpc-id', 'Values': [vpc['VpcId']]}])['Subnets']
    assert vpc['CidrBlock'] == '172.31.0.0/16'
    assert all(s['DefaultForAz'] and s['MapPublicIpOnLaunch'] for s in subnets)
    assert len({s['AvailabilityZone'] for s in subnets}) == len(subnets) == 3


def test_what_a_network_holds_must_go_first(ec2, network):
    assert error(ec2.delete_vpc, VpcId=network['vpc']) == 'DependencyViolation'
    assert error(ec2.delete_route_table, RouteTableId=network['table']) == 'DependencyViolation'
    assert error(ec2.delete_internet_gateway,
                 InternetGatewayId=network['gateway']) == 'DependencyViolation'
    assert error(ec2.create_subnet, VpcId=network['vpc'], CidrBlock='10.0.0.0/27') == 'InvalidSubnet.Conflict'
    assert error(ec2.create_subnet, VpcId=network['vpc'], CidrBlock='10.1.0.0/27') == 'InvalidSubnet.Range'


def test_vpc_attributes_are_read_back(ec2, network):
    ec2.modify_vpc_attribute(VpcId=network['vpc'], EnableDnsHostnames={'Value': True})
    answer = ec2.describe_vpc_attribute(VpcId=network['vpc'], Attribute='enableDnsHostnames')
    assert answer['EnableDnsHostnames']['Value'] is True


def test_security_group_rules(ec2, network):
    group = ec2.create_security_group(GroupName='web', Description='web', VpcId=network['vpc'])['GroupId']
    permission = {'IpProtocol': 'tcp', 'FromPort': 80, 'ToPort': 80, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}
    rules = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    rule, = rules['SecurityGroupRules']
    assert rule['CidrIpv4'] == '0.0.0.0/0' and rule['FromPort'] == 80
    assert error(ec2.authorize_security_group_ingress, GroupId=group,
                 IpPermissions=[permission]) == 'InvalidPermission.Duplicate'
    everything = [{'IpProtocol': '-1', 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    described, = ec2.describe_security_groups(GroupIds=[group])['SecurityGroups']
    assert described['IpPermissionsEgress'] == []
    assert described['IpPermissions'][0]['ToPort'] == 80
    listed = ec2.describe_security_group_rules(Filters=[{'Name': 'group-id', 'Values': [group]}])
    assert [r['SecurityGroupRuleId'] for r in listed['SecurityGroupRules']] == [rule['SecurityGroupRuleId']]
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule['SecurityGroupRuleId']])
    ec2.delete_security_group(GroupId=group)
    assert error(ec2.describe_security_groups, GroupIds=[group]) == 'InvalidGroup.NotFound'


def test_an_instance_from_start_to_end(ec2, image, network):
    group = ec2.create_security_group(GroupName='in-use', Description='x', VpcId=network['vpc'])['GroupId']
    made = run(ec2, image, NetworkInterfaces=[{'DeviceIndex': 0, 'SubnetId': network['subnet'],
                                               'Groups': [group], 'AssociatePublicIpAddress': True}])
    state(ec2, made, 'running')
    described = instance(ec2, made)
    first = described['PublicIpAddress']
    assert first.startswith('127.64.') and described['PrivateIpAddress'].startswith('10.0.0.')
    assert described['BlockDeviceMappings'][0]['Ebs']['VolumeId'].startswith('vol-')
    assert error(ec2.delete_security_group, GroupId=group) == 'DependencyViolation'
    assert error(ec2.detach_internet_gateway, InternetGatewayId=network['gateway'],
                 VpcId=network['vpc']) == 'DependencyViolation'
    ec2.stop_instances(InstanceIds=[made])
    state(ec2, made, 'stopped')
    assert 'PublicIpAddress' not in instance(ec2, made)
    ec2.start_instances(InstanceIds=[made])
    state(ec2, made, 'running')
    assert instance(ec2, made)['PublicIpAddress'] != first
    ec2.terminate_instances(InstanceIds=[made])
    state(ec2, made, 'terminated')
    assert instance(ec2, made)['NetworkInterfaces'] == []
    ec2.delete_security_group(GroupId=group)


def test_protection(ec2, image):
    made = run(ec2, image, DisableApiTermination=True)
    assert error(ec2.terminate_instances, InstanceIds=[made]) == 'OperationNotPermitted'
    ec2.modify_instance_attribute(InstanceId=made, DisableApiTermination={'Value': False})
    ec2.terminate_instances(InstanceIds=[made])
    state(ec2, made, 'terminated')


def test_a_repeated_request_launches_once(ec2, image):
    calls = [ec2.run_instances(ImageId=image, InstanceType='t2.micro', MinCount=2, MaxCount=2, ClientToken='once')
             for _ in range(2)]
    ids = [sorted(i['InstanceId'] for i in call['Instances']) for call in calls]
    assert ids[0] == ids[1] and len(ids[0]) == 2
    assert error(ec2.run_instances, ImageId=image, InstanceType='t2.small', MinCount=1, MaxCount=1,
                 ClientToken='once') == 'IdempotentParameterMismatch'
    ec2.terminate_instances(InstanceIds=ids[0])


def test_launch_templates(ec2, image):
    data = {'ImageId': image, 'InstanceType': 't2.micro', 'UserData': base64.b64encode(b'#!/bin/sh\n').decode(),
            'TagSpecifications': [{'ResourceType': 'instance', 'Tags': [{'Key': 'Name', 'Value': 'base'}]}]}
    made = ec2.create_launch_template(LaunchTemplateName='web', LaunchTemplateData=data)['LaunchTemplate']
    template = made['LaunchTemplateId']
    assert error(ec2.create_launch_template, LaunchTemplateName='web',
                 LaunchTemplateData=data) == 'InvalidLaunchTemplateName.AlreadyExistsException'
    ec2.create_launch_template_version(LaunchTemplateId=template, SourceVersion='1',
                                       LaunchTemplateData={'InstanceType': 't2.small'})
    latest, = ec2.describe_launch_template_versions(
        LaunchTemplateId=template, Versions=['$Latest'])['LaunchTemplateVersions']
    assert latest['VersionNumber'] == 2 and not latest['DefaultVersion']
    assert latest['LaunchTemplateData']['ImageId'] == image
    instance_id = ec2.run_instances(
        MinCount=1, MaxCount=1,
        LaunchTemplate={'LaunchTemplateName': 'web', 'Version': '$Latest'})['Instances'][0]['InstanceId']
    described = instance(ec2, instance_id)
    tags = {t['Key']: t['Value'] for t in described['Tags']}
    assert described['InstanceType'] == 't2.small'
    assert tags == {'Name': 'base', 'aws:ec2launchtemplate:id': template, 'aws:ec2launchtemplate:version': '2'}
    attribute = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute='userData')
    assert base64.b64decode(attribute['UserData']['Value']) == b'#!/bin/sh\n'
    ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion='2')
    ec2.terminate_instances(InstanceIds=[instance_id])
    ec2.delete_launch_template(LaunchTemplateId=template)
    assert error(ec2.describe_launch_templates, LaunchTemplateNames=['web']) \
        == 'InvalidLaunchTemplateName.NotFoundException'


def test_an_image_of_an_instance(ec2, image):
    made = run(ec2, image)
    state(ec2, made, 'running')
    own = ec2.create_image(InstanceId=made, Name='baked')['ImageId']
    ec2.get_waiter('image_available').wait(ImageIds=[own], WaiterConfig={'Delay': 1, 'MaxAttempts': 20})
    described, = ec2.describe_images(Owners=['self'], Filters=[{'Name': 'name', 'Values': ['bak*']}])['Images']
    snapshot = described['BlockDeviceMappings'][0]['Ebs']['SnapshotId']
    assert described['ImageId'] == own and described['RootDeviceType'] == 'ebs'
    assert error(ec2.create_image, InstanceId=made, Name='baked') == 'InvalidAMIName.Duplicate'
    assert error(ec2.delete_snapshot, SnapshotId=snapshot) == 'InvalidSnapshot.InUse'
    ec2.deregister_image(ImageId=own)
    ec2.delete_snapshot(SnapshotId=snapshot)
    assert error(ec2.describe_images, ImageIds=[own]) == 'InvalidAMIID.NotFound'
    ec2.terminate_instances(InstanceIds=[made])


def test_key_pairs(ec2):
    made = ec2.create_key_pair(KeyName='mine', KeyType='ed25519')
    assert made['KeyMaterial'].startswith('-----BEGIN OPENSSH PRIVATE KEY-----')
    assert error(ec2.create_key_pair, KeyName='mine') == 'InvalidKeyPair.Duplicate'
    public = ec2.describe_key_pairs(KeyNames=['mine'], IncludePublicKey=True)['KeyPairs'][0]['PublicKey']
    ec2.import_key_pair(KeyName='again', PublicKeyMaterial=public.encode())
    prints = {k['KeyFingerprint'] for k in ec2.describe_key_pairs()['KeyPairs']}
    assert prints == {made['KeyFingerprint']}
    for name in ('mine', 'again', 'never there'):
        ec2.delete_key_pair(KeyName=name)
    assert error(ec2.describe_key_pairs, KeyNames=['mine']) == 'InvalidKeyPair.NotFound'


def test_tags(ec2, image):
    made = run(ec2, image, TagSpecifications=[{'ResourceType': 'instance', 'Tags': [{'Key': 'a', 'Value': '1'}]}])
    ec2.create_tags(Resources=[made], Tags=[{'Key': 'b', 'Value': '2'}])
    found = ec2.describe_instances(Filters=[{'Name': 'tag:b', 'Values': ['2']}])['Reservations']
    assert found[0]['Instances'][0]['InstanceId'] == made
    ec2.delete_tags(Resources=[made], Tags=[{'Key': 'a'}])
    listed = ec2.describe_tags(Filters=[{'Name': 'resource-id', 'Values': [made]}])['Tags']
    assert [(t['Key'], t['ResourceType']) for t in listed] == [('b', 'instance')]
    assert error(ec2.create_tags, Resources=[made],
                 Tags=[{'Key': 'aws:x', 'Value': ''}]) == 'InvalidParameterValue'
    assert error(ec2.create_tags, Resources=['vpc-' + 'x' * 5000], Tags=[{'Key': 'a', 'Value': ''}]).startswith('InvalidVpcID.')
    assert error(ec2.create_tags, Resources=['i-00000000000000000'],
                 Tags=[{'Key': 'x', 'Value': ''}]) == 'InvalidInstanceID.NotFound'
    ec2.terminate_instances(InstanceIds=[made])


def test_pages(ec2):
    pages = list(ec2.get_paginator('describe_instance_types').paginate(PaginationConfig={'PageSize': 7}))
    names = [t['InstanceType'] for page in pages for t in page['InstanceTypes']]
    assert len(pages) > 2 and len(names) == len(set(names)) and 't2.micro' in names


def test_a_killed_daemon_forgets_nothing(sim, ec2, image):
    made = run(ec2, image)
    sim.restart()
    state(ec2, made, 'running')
    ec2.terminate_instances(InstanceIds=[made])
    sim.restart()
    state(ec2, made, 'terminated')
