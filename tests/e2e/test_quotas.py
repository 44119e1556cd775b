"""Whoever asks for more than there may be is told so in AWS's words, and nothing is made."""
import itertools
import json

import pytest
from botocore.exceptions import ClientError

TRUST = {'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}


@pytest.fixture(scope='module')
def ec2(sim):
    return sim.client('ec2')


@pytest.fixture(scope='module')
def gateway(ec2):
    return ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']


@pytest.fixture(scope='module')
def vpc(ec2, gateway):
    vpc = ec2.create_vpc(CidrBlock='10.0.0.0/16')['Vpc']['VpcId']
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    return vpc


def fill(call, requests):
    """Makes them until one is refused: how many were made, the error's code and text."""
    for made, request in enumerate(requests):
        try:
            call(**request)
        except ClientError as refused:
            return made, refused.response['Error']['Code'], refused.response['Error']['Message']
    raise AssertionError('never refused')


def test_internet_gateways(ec2, vpc):
    there = len(ec2.describe_internet_gateways()['InternetGateways'])
    assert fill(ec2.create_internet_gateway, itertools.repeat({})) == (
        50 - there, 'InternetGatewayLimitExceeded', 'The maximum number of internet gateways has been reached.')


def test_subnets(ec2, vpc):
    assert fill(ec2.create_subnet, ({'VpcId': vpc, 'CidrBlock': f'10.0.{i}.0/24'} for i in range(256))) == (
        64, 'SubnetLimitExceeded', 'The maximum number of subnets has been reached.')
    assert len(ec2.describe_subnets(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['Subnets']) == 64


def test_route_tables_and_routes(ec2, vpc, gateway):
    main = ec2.describe_route_tables(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['RouteTables'][0]['RouteTableId']
    assert fill(ec2.create_route_table, itertools.repeat({'VpcId': vpc})) == (
        199, 'RouteTableLimitExceeded', 'The maximum number of route tables has been reached.')
    assert fill(ec2.create_route, (
        {'RouteTableId': main, 'GatewayId': gateway, 'DestinationCidrBlock': f'11.{i // 256}.{i % 256}.0/24'}
        for i in range(600))) == (499, 'RouteLimitExceeded', 'The maximum number of routes has been reached.')


def test_security_groups_and_their_rules(ec2, vpc):
    """Rules are bounded for all groups of a VPC together, too: what was cut off would not be enforced."""
    made, code, _ = fill(ec2.create_security_group, (
        {'VpcId': vpc, 'GroupName': f'g{i}', 'Description': 'g'} for i in range(300)))
    assert (made, code) == (255, 'SecurityGroupLimitExceeded')
    groups = ec2.describe_security_groups(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['SecurityGroups']
    permissions = [{'IpProtocol': 'tcp', 'FromPort': port, 'ToPort': port, 'IpRanges': [{'CidrIp': '10.0.0.0/8'}]}
                   for port in range(1, 118)]
    made, code, text = fill(ec2.authorize_security_group_ingress, (
        {'GroupId': group['GroupId'], 'IpPermissions': permissions} for group in groups))
    assert (made, code) == ((4096 - 257) // 117,  # Each has a rule for what goes out, default one more.
                            'RulesPerSecurityGroupLimitExceeded') and vpc in text
    one = {'GroupId': groups[-1]['GroupId'], 'IpPermissions': [
        {'IpProtocol': 'udp', 'FromPort': port, 'ToPort': port, 'IpRanges': [{'CidrIp': '10.0.0.0/8'}]}
        for port in range(1, 122)]}
    assert fill(ec2.authorize_security_group_egress, [one])[2] == (
        'The maximum number of rules per security group has been reached.')


def test_vpcs(ec2, vpc):
    there = len(ec2.describe_vpcs()['Vpcs'])
    assert fill(ec2.create_vpc, itertools.repeat({'CidrBlock': '10.0.0.0/16'})) == (
        50 - there, 'VpcLimitExceeded', 'The maximum number of VPCs has been reached.')
    with pytest.raises(ClientError, match='DryRunOperation'):
        ec2.create_vpc(CidrBlock='10.0.0.0/16', DryRun=True)


def policy(statement, chars):
    """A document of so many characters, and of more white space that does not count."""
    empty = json.dumps({'Version': '2012-10-17', 'Statement': [{**statement, 'Sid': ''}]}, separators=(',', ':'))
    document = json.loads(empty)
    document['Statement'][0]['Sid'] = 'x' * (chars - len(empty))
    return json.dumps(document, indent=100)


@pytest.mark.parametrize('call, document, statement, chars, text', [
    ('create_policy', 'PolicyDocument', {'Effect': 'Allow', 'Action': 's3:*', 'Resource': '*'}, 6144,
     'Cannot exceed quota for PolicySize: 6144'),
    ('create_role', 'AssumeRolePolicyDocument', TRUST, 2048, 'Cannot exceed quota for ACLSizePerRole: 2048'),
])
def test_sizes_of_policies(sim, call, document, statement, chars, text):
    name = 'PolicyName' if call == 'create_policy' else 'RoleName'
    made = fill(getattr(sim.client('iam'), call), (
        {name: f'{call}{i}', document: policy(statement, chars + i)} for i in range(2)))
    assert made == (1, 'LimitExceeded', text)
