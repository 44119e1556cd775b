"""What clients do by themselves: paginators for every paged list, waiters of every kind that applies.

Both are data in botocore, the same in old and new clients: these tests run with one of them."""
import json

import botocore.exceptions
import pytest

import daemon
from stack import BASE_IMAGE

TRUST = json.dumps({'Version': '2012-10-17', 'Statement': [{
    'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})
ALLOW = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 's3:*', 'Resource': '*'}]})
MANY = 6  # EC2's smallest page is five.


@pytest.fixture(scope='module')
def world(fast_sim):
    """Six of everything that comes in lists; what the tables below need to name."""
    return {**network(fast_sim), **identities(fast_sim), **machines(fast_sim), **group(fast_sim), **rest(fast_sim)}


def network(muster):
    ec2 = muster.client('ec2')
    vpc = ec2.create_vpc(CidrBlock='10.1.0.0/16')['Vpc']['VpcId']
    for i in range(MANY):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f'10.1.{i}.0/24')['Subnet']['SubnetId']
        ec2.create_internet_gateway()
        ec2.create_route_table(VpcId=vpc)
        ec2.create_security_group(VpcId=vpc, GroupName=f'g{i}', Description='g')
        ec2.create_vpc(CidrBlock=f'10.{i + 2}.0.0/16')
    rules = ec2.create_security_group(VpcId=vpc, GroupName='rules', Description='g')['GroupId']
    ec2.authorize_security_group_ingress(GroupId=rules, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': port, 'ToPort': port, 'IpRanges': [{'CidrIp': '10.0.0.0/8'}]}
        for port in range(80, 80 + MANY)])
    return {'vpc': vpc, 'subnet': subnet, 'rules': rules}


def identities(muster):
    iam = muster.client('iam')
    for i in range(3):
        iam.create_user(UserName=f'u{i}')
        iam.create_role(RoleName=f'r{i}', AssumeRolePolicyDocument=TRUST)
        iam.create_instance_profile(InstanceProfileName=f'p{i}')
        arn = iam.create_policy(PolicyName=f'm{i}', PolicyDocument=ALLOW)['Policy']['Arn']
        for name in ('u0', 'r0'):
            what = 'user' if name == 'u0' else 'role'
            named = {'UserName' if name == 'u0' else 'RoleName': name}
            getattr(iam, f'put_{what}_policy')(PolicyName=f'i{i}', PolicyDocument=ALLOW, **named)
            getattr(iam, f'attach_{what}_policy')(PolicyArn=arn, **named)
    for i in range(2):
        iam.create_access_key(UserName='u0')
        iam.tag_role(RoleName='r0', Tags=[{'Key': f'k{i}', 'Value': 'v'}])
    iam.add_role_to_instance_profile(InstanceProfileName='p0', RoleName='r0')
    return {'policy': arn}


def machines(muster):
    ec2 = muster.client('ec2')
    for i in range(MANY):
        ec2.create_launch_template(LaunchTemplateName=f'lt{i}', LaunchTemplateData={'ImageId': BASE_IMAGE})
        ec2.create_launch_template_version(LaunchTemplateName='lt0', LaunchTemplateData={'ImageId': BASE_IMAGE})
    ids = [row['Instances'][0]['InstanceId'] for row in (
        ec2.run_instances(ImageId=BASE_IMAGE, MinCount=1, MaxCount=1, InstanceType='t2.micro', TagSpecifications=[
            {'ResourceType': 'instance', 'Tags': [{'Key': 'n', 'Value': str(i)}]}]) for i in range(MANY))]
    ec2.get_waiter('instance_running').wait(InstanceIds=ids, WaiterConfig={'Delay': 0.2, 'MaxAttempts': 100})
    images = [ec2.create_image(InstanceId=ids[0], Name=f'image {i}', NoReboot=True)['ImageId'] for i in range(MANY)]
    return {'instances': ids, 'images': images}


def group(muster):
    autoscaling = muster.client('autoscaling')
    for i in range(3):
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=f'a{i}', MinSize=0, MaxSize=3, DesiredCapacity=3 if i == 0 else 0,
            LaunchTemplate={'LaunchTemplateName': 'lt0'}, AvailabilityZones=['us-east-2a'],
            Tags=[{'Key': 'k', 'Value': 'v', 'PropagateAtLaunch': False}])
        autoscaling.put_scaling_policy(AutoScalingGroupName='a0', PolicyName=f's{i}', ScalingAdjustment=1,
                                       AdjustmentType='ChangeInCapacity')
    daemon.wait(lambda: len(autoscaling.describe_scaling_activities()['Activities']) >= 3, 'the launches')
    return {}


def rest(muster):
    elbv2, cloudwatch, dynamodb, ssm = (muster.client(name) for name in ('elbv2', 'cloudwatch', 'dynamodb', 'ssm'))
    subnets = [row['SubnetId'] for row in muster.client('ec2').describe_subnets(
        Filters=[{'Name': 'default-for-az', 'Values': ['true']}])['Subnets']][:2]
    for i in range(3):
        balancer = elbv2.create_load_balancer(Name=f'b{i}', Subnets=subnets)['LoadBalancers'][0]
        target = elbv2.create_target_group(Name=f'tg{i}', Protocol='HTTP', Port=80, VpcId=balancer['VpcId'])
        forward = [{'Type': 'forward', 'TargetGroupArn': target['TargetGroups'][0]['TargetGroupArn']}]
        cloudwatch.put_metric_alarm(AlarmName=f'al{i}', Namespace='N', MetricName='M', Statistic='Sum', Period=60,
                                    EvaluationPeriods=1, Threshold=1, ComparisonOperator='GreaterThanThreshold')
        muster.client('resource-groups').create_group(Name=f'rg{i}', ResourceQuery={
            'Type': 'TAG_FILTERS_1_0', 'Query': json.dumps({'ResourceTypeFilters': ['AWS::EC2::Instance'],
                                                            'TagFilters': [{'Key': 'n', 'Values': []}]})})
        dynamodb.create_table(TableName=f'Table{i}', BillingMode='PAY_PER_REQUEST',
                              AttributeDefinitions=[{'AttributeName': 'K', 'AttributeType': 'S'}],
                              KeySchema=[{'AttributeName': 'K', 'KeyType': 'HASH'}])
        ssm.put_parameter(Name=f'/p/{i}', Value='v', Type='String')
    for i in range(3):
        elbv2.create_listener(LoadBalancerArn=balancer['LoadBalancerArn'], Protocol='HTTP', Port=80 + i,
                              DefaultActions=forward)
    muster.client('autoscaling').attach_load_balancer_target_groups(
        AutoScalingGroupName='a1', TargetGroupARNs=[row['TargetGroupArn'] for row in
                                                    elbv2.describe_target_groups()['TargetGroups']])
    daemon.wait(lambda: dynamodb.describe_table(TableName='Table2')['Table']['TableStatus'] == 'ACTIVE', 'the table')
    for i in range(3):
        dynamodb.put_item(TableName='Table2', Item={'K': {'S': str(i)}})
    return {'balancer': balancer['LoadBalancerArn']}


# Service, list, the smallest page, what a token that is none of ours is called, and what else it is asked.
PAGED = [
    ('autoscaling', 'describe_auto_scaling_groups', 1, 'InvalidNextToken', {}),
    ('autoscaling', 'describe_auto_scaling_instances', 1, 'InvalidNextToken', {}),
    ('autoscaling', 'describe_policies', 1, 'InvalidNextToken', {}),
    ('autoscaling', 'describe_scaling_activities', 1, 'InvalidNextToken', {}),
    ('autoscaling', 'describe_tags', 1, 'InvalidNextToken', {}),
    ('autoscaling', 'describe_load_balancer_target_groups', 1, 'InvalidNextToken', {'AutoScalingGroupName': 'a1'}),
    ('cloudwatch', 'describe_alarms', 1, 'InvalidNextToken', {}),
    ('cloudwatch', 'describe_alarm_history', 1, 'InvalidNextToken', {}),
    ('dynamodb', 'list_tables', 1, None, {}),
    ('dynamodb', 'scan', 1, None, {'TableName': 'Table2'}),
    ('ec2', 'describe_instances', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_instance_status', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_instance_credit_specifications', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_vpcs', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_subnets', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_internet_gateways', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_route_tables', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_security_groups', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_security_group_rules', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_launch_templates', 1, 'InvalidParameterValue', {}),
    ('ec2', 'describe_launch_template_versions', 1, 'InvalidParameterValue', {'LaunchTemplateName': 'lt0'}),
    ('ec2', 'describe_images', 1, 'InvalidParameterValue', {}),
    ('ec2', 'describe_snapshots', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_volumes', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_tags', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_instance_types', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_instance_type_offerings', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_network_interfaces', 5, 'InvalidParameterValue', {}),
    ('ec2', 'describe_network_acls', 5, 'InvalidParameterValue', {}),
    ('elbv2', 'describe_load_balancers', 1, 'ValidationError', {}),
    ('elbv2', 'describe_target_groups', 1, 'ValidationError', {}),
    ('elbv2', 'describe_listeners', 1, 'ValidationError', {'LoadBalancerArn': '{balancer}'}),
    ('elbv2', 'describe_account_limits', 1, 'ValidationError', {}),
    ('iam', 'list_roles', 1, 'ValidationError', {}),
    ('iam', 'list_role_policies', 1, 'ValidationError', {'RoleName': 'r0'}),
    ('iam', 'list_role_tags', 1, 'ValidationError', {'RoleName': 'r0'}),
    ('iam', 'list_attached_role_policies', 1, 'ValidationError', {'RoleName': 'r0'}),
    ('iam', 'list_instance_profiles', 1, 'ValidationError', {}),
    ('iam', 'list_users', 1, 'ValidationError', {}),
    ('iam', 'list_access_keys', 1, 'ValidationError', {'UserName': 'u0'}),
    ('iam', 'list_user_policies', 1, 'ValidationError', {'UserName': 'u0'}),
    ('iam', 'list_attached_user_policies', 1, 'ValidationError', {'UserName': 'u0'}),
    ('iam', 'list_policies', 1, 'ValidationError', {}),
    ('resource-groups', 'list_groups', 1, 'BadRequestException', {}),
    ('resource-groups', 'list_group_resources', 1, 'BadRequestException', {'Group': 'rg0'}),
    ('ssm', 'describe_parameters', 1, 'InvalidNextToken', {}),
    ('ssm', 'get_parameters_by_path', 1, 'InvalidNextToken', {'Path': '/p'}),
]


def filled(arguments, world):
    return {key: value.format(**world) if isinstance(value, str) else value for key, value in arguments.items()}


@pytest.mark.parametrize('service, name, size, code, arguments', PAGED, ids=[f'{row[0]}.{row[1]}' for row in PAGED])
def test_pages_are_the_whole_list(fast_sim, world, service, name, size, code, arguments):
    client = fast_sim.client(service)
    if not client.can_paginate(name):
        pytest.skip(f'this client does not page {service} {name}')
    arguments = filled(arguments, world)
    paginator = client.get_paginator(name)
    key = paginator.result_keys[0].expression
    whole = [row for page in paginator.paginate(**arguments) for row in page[key]]
    assert len(whole) > size, f'{len(whole)} do not fill a page of {size}'
    pages = [page[key] for page in paginator.paginate(PaginationConfig={'PageSize': size}, **arguments)]
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1) and len(pages) > 1
    assert sorted(map(repr, (row for page in pages for row in page))) == sorted(map(repr, whole))
    if code:
        token = paginator._pagination_cfg['input_token']
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            getattr(client, name)(**{token: 'bm9uZSBvZiBvdXJz'}, **arguments)
        assert caught.value.response['Error']['Code'] == code


# Waiters. Of AWS's own for what muster has, these wait for what is not here.
ELSEWHERE = {
    'cloudformation': {'StackImportComplete', 'TypeRegistrationComplete', 'StackRefactorCreateComplete',
                       'StackRefactorExecuteComplete'},
    'cloudwatch': {'CompositeAlarmExists', 'AlarmMuteRuleExists', 'LogAlarmExists'},
    'dynamodb': {'ContributorInsightsEnabled', 'ExportCompleted', 'ImportCompleted',
                 'KinesisStreamingDestinationActive'},
    'ec2': {'BundleTaskComplete', 'ConversionTaskCancelled', 'ConversionTaskCompleted', 'ConversionTaskDeleted',
            'CustomerGatewayAvailable', 'ExportTaskCancelled', 'ExportTaskCompleted', 'ImageUsageReportAvailable',
            'NatGatewayAvailable', 'NatGatewayDeleted', 'PasswordDataAvailable', 'SecondaryNetworkCreateComplete',
            'SecondaryNetworkDeleteComplete', 'SecondarySubnetCreateComplete', 'SecondarySubnetDeleteComplete',
            'SecurityGroupVpcAssociationAssociated', 'SecurityGroupVpcAssociationDisassociated', 'SnapshotImported',
            'SpotInstanceRequestFulfilled', 'StoreImageTaskComplete', 'VpcPeeringConnectionDeleted',
            'VpcPeeringConnectionExists', 'VpnConnectionAvailable', 'VpnConnectionDeleted', 'VpnGatewayAvailable',
            'VpnGatewayDeleted', 'VolumeAvailable', 'NetworkInterfaceAvailable'},
}


def waited(run, *waits):
    """All of them end well; their names."""
    for service, name, *arguments in waits:
        status, _, errors = run(service, 'wait', name, *arguments)
        assert status == 0, f'{service} {name}: {errors}'
    return {(wait[0], ''.join(part.capitalize() for part in wait[1].split('-'))) for wait in waits}


@pytest.fixture
def run(fast_sim):
    with fast_sim.cli() as run:
        yield run


def test_every_waiter_ends(fast_sim, world, run):
    ec2, elbv2, iam = fast_sim.client('ec2'), fast_sim.client('elbv2'), fast_sim.client('iam')
    cloudformation, ssm = fast_sim.client('cloudformation'), fast_sim.client('ssm')
    ec2.create_key_pair(KeyName='k')
    iam.attach_role_policy(RoleName='r0', PolicyArn='arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore')
    one = ec2.run_instances(ImageId=BASE_IMAGE, MinCount=1, MaxCount=1, KeyName='k', IamInstanceProfile={'Name': 'p0'})
    one = one['Instances'][0]['InstanceId']
    gateway = ec2.describe_internet_gateways()['InternetGateways'][0]['InternetGatewayId']
    table = ['--table-name', 'Table0']
    seen = waited(
        run,
        ('ec2', 'instance-exists', '--instance-ids', one), ('ec2', 'instance-running', '--instance-ids', one),
        ('ec2', 'instance-status-ok', '--instance-ids', one), ('ec2', 'system-status-ok', '--instance-ids', one),
        ('ec2', 'key-pair-exists', '--key-names', 'k'), ('ec2', 'vpc-exists', '--vpc-ids', world['vpc']),
        ('ec2', 'vpc-available', '--vpc-ids', world['vpc']), ('ec2', 'subnet-available', '--subnet-ids', world['subnet']),
        ('ec2', 'security-group-exists', '--group-ids', world['rules']),
        ('ec2', 'internet-gateway-exists', '--internet-gateway-ids', gateway),
        ('ec2', 'volume-in-use', '--filters', f'Name=attachment.instance-id,Values={one}'),
        ('ec2', 'image-exists', '--image-ids', *world['images']),
        ('ec2', 'image-available', '--image-ids', *world['images']),
        ('ec2', 'snapshot-completed', '--owner-ids', 'self'),
        ('dynamodb', 'table-exists', *table), ('iam', 'user-exists', '--user-name', 'u0'),
        ('iam', 'role-exists', '--role-name', 'r0'), ('iam', 'policy-exists', '--policy-arn', world['policy']),
        ('iam', 'instance-profile-exists', '--instance-profile-name', 'p0'),
        ('cloudwatch', 'alarm-exists', '--alarm-names', 'al0'),
        ('elbv2', 'load-balancer-exists', '--load-balancer-arns', world['balancer']),
        ('elbv2', 'load-balancer-available', '--load-balancer-arns', world['balancer']))

    target = elbv2.describe_target_groups(LoadBalancerArn=world['balancer'])['TargetGroups'][0]['TargetGroupArn']
    elbv2.register_targets(TargetGroupArn=target, Targets=[{'Id': one}])
    daemon.wait(lambda: ssm.describe_instance_information()['InstanceInformationList'], 'the agent')
    command = ssm.send_command(DocumentName='AWS-RunShellScript', InstanceIds=[one],
                               Parameters={'commands': ['true']})['Command']['CommandId']
    body = {'Resources': {'Vpc': {'Type': 'AWS::EC2::InternetGateway'}}}
    change = cloudformation.create_change_set(StackName='w', ChangeSetName='c', ChangeSetType='CREATE',
                                              TemplateBody=json.dumps(body))['Id']
    seen |= waited(run, ('elbv2', 'target-in-service', '--target-group-arn', target, '--targets', f'Id={one}'),
                   ('ssm', 'command-executed', '--command-id', command, '--instance-id', one),
                   ('cloudformation', 'stack-exists', '--stack-name', 'w'),
                   ('cloudformation', 'change-set-create-complete', '--change-set-name', change))
    cloudformation.execute_change_set(ChangeSetName=change)
    seen |= waited(run, ('cloudformation', 'stack-create-complete', '--stack-name', 'w'))
    body['Resources']['Vpc']['Properties'] = {'Tags': [{'Key': 'a', 'Value': 'b'}]}
    cloudformation.update_stack(StackName='w', TemplateBody=json.dumps(body))
    elbv2.deregister_targets(TargetGroupArn=target, Targets=[{'Id': one}])
    ec2.stop_instances(InstanceIds=[one])
    seen |= waited(run, ('cloudformation', 'stack-update-complete', '--stack-name', 'w'),
                   ('elbv2', 'target-deregistered', '--target-group-arn', target, '--targets', f'Id={one}'),
                   ('ec2', 'instance-stopped', '--instance-ids', one))
    body['Resources']['Subnet'] = {'Type': 'AWS::EC2::Subnet', 'Properties': {
        'VpcId': world['vpc'], 'CidrBlock': '192.168.0.0/24'}}  # Not in its VPC's range.
    cloudformation.update_stack(StackName='w', TemplateBody=json.dumps(body))
    seen |= waited(run, ('cloudformation', 'stack-rollback-complete', '--stack-name', 'w'))
    volume = ec2.describe_volumes(Filters=[{'Name': 'attachment.instance-id', 'Values': [one]}])
    volume = volume['Volumes'][0]['VolumeId']
    ec2.terminate_instances(InstanceIds=[one])
    cloudformation.delete_stack(StackName='w')
    elbv2.delete_load_balancer(LoadBalancerArn=world['balancer'])
    fast_sim.client('dynamodb').delete_table(TableName='Table0')
    seen |= waited(run, ('ec2', 'instance-terminated', '--instance-ids', one),
                   ('ec2', 'volume-deleted', '--volume-ids', volume), ('dynamodb', 'table-not-exists', *table),
                   ('cloudformation', 'stack-delete-complete', '--stack-name', 'w'),
                   ('elbv2', 'load-balancers-deleted', '--load-balancer-arns', world['balancer']))
    seen = {(service, name.replace('Exist', 'Exists') if name.endswith('Exist') else name) for service, name in seen}
    for service in ('autoscaling', 'cloudformation', 'cloudwatch', 'dynamodb', 'ec2', 'elbv2', 'iam',
                    'resource-groups', 'ssm', 'sts'):
        theirs = {''.join(part.capitalize() for part in name.split('_'))
                  for name in fast_sim.client(service).waiter_names}
        left = theirs - {name for of, name in seen if of == service} - ELSEWHERE.get(service, set())
        assert not left, f'{service} has waiters that no test waits by: {sorted(left)}'


def test_a_waiter_that_waits_in_vain_says_so(fast_sim, world, run):
    ec2 = fast_sim.client('ec2')
    ec2.terminate_instances(InstanceIds=world['instances'][:1])
    daemon.wait(lambda: ec2.describe_instances(InstanceIds=world['instances'][:1])['Reservations'][0]['Instances'][0][
        'State']['Name'] == 'terminated', 'its end')
    status, _, errors = run('ec2', 'wait', 'instance-running', '--instance-ids', world['instances'][0])
    assert status == 255 and 'Waiter InstanceRunning failed' in errors and 'terminated' in errors
