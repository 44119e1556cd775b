"""What Terraform's AWS provider 5.x calls for deploy/terraform, and what it insists on finding in the answers.

A resource is created, then read back until it is as asked for; a second plan compares every attribute; destroying
goes on until the read fails with the code that the provider takes for "gone". test_terraform.py has the real one.
"""
import json

import botocore.exceptions
import pytest

from daemon import wait

TRUST = {'Version': '2012-10-17', 'Statement': [{'Sid': '', 'Effect': 'Allow', 'Action': 'sts:AssumeRole',
                                                 'Principal': {'Service': 'ec2.amazonaws.com'}}]}
TAGS = [{'Key': 'Project', 'Value': 'calls'}]


def gone(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response['Error']['Code'] == code
    return True


def tagged(kind):
    return [{'ResourceType': kind, 'Tags': TAGS}]


@pytest.fixture(scope='module')
def ec2(fast_sim):
    return fast_sim.client('ec2')


@pytest.fixture(scope='module')
def vpc(ec2):
    return ec2.create_vpc(CidrBlock='10.0.0.0/24', TagSpecifications=tagged('vpc'))['Vpc']['VpcId']


def test_a_provider_begins_with_who_and_where_it_is(fast_sim, ec2):
    assert fast_sim.client('sts').get_caller_identity()['Arn'].startswith('arn:aws:iam::')
    zones = ec2.describe_availability_zones(AllAvailabilityZones=False, Filters=[
        {'Name': 'opt-in-status', 'Values': ['opt-in-not-required']}, {'Name': 'state', 'Values': ['available']}])
    assert len(zones['AvailabilityZones']) >= 2
    assert all(z['ZoneId'] and z['GroupName'] for z in zones['AvailabilityZones'])
    images = ec2.describe_images(Owners=['136693071363'], IncludeDeprecated=False, Filters=[
        {'Name': 'name', 'Values': ['debian-12-amd64-*']}, {'Name': 'virtualization-type', 'Values': ['hvm']},
        {'Name': 'root-device-type', 'Values': ['ebs']}])['Images']
    assert images and images[0]['RootDeviceName'] in [d['DeviceName'] for d in images[0]['BlockDeviceMappings']]


def test_vpc(ec2, vpc):
    wait(lambda: ec2.describe_vpcs(VpcIds=[vpc])['Vpcs'][0]['State'] == 'available', 'the VPC')
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={'Value': True})
    for name, value in (('enableDnsHostnames', True), ('enableDnsSupport', True),
                        ('enableNetworkAddressUsageMetrics', False)):
        answer = ec2.describe_vpc_attribute(VpcId=vpc, Attribute=name)
        assert answer[name[0].upper() + name[1:]]['Value'] is value
    [acl] = ec2.describe_network_acls(Filters=[{'Name': 'default', 'Values': ['true']},
                                               {'Name': 'vpc-id', 'Values': [vpc]}])['NetworkAcls']
    [table] = ec2.describe_route_tables(Filters=[{'Name': 'association.main', 'Values': ['true']},
                                                 {'Name': 'vpc-id', 'Values': [vpc]}])['RouteTables']
    [group] = ec2.describe_security_groups(Filters=[{'Name': 'group-name', 'Values': ['default']},
                                                    {'Name': 'vpc-id', 'Values': [vpc]}])['SecurityGroups']
    assert acl['IsDefault'] and table['Associations'][0]['Main'] and group['OwnerId']


def test_gateway_routes_and_subnets(ec2, vpc):
    gateway = ec2.create_internet_gateway(TagSpecifications=tagged('internet-gateway'))[
        'InternetGateway']['InternetGatewayId']
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    [found] = ec2.describe_internet_gateways(InternetGatewayIds=[gateway])['InternetGateways']
    assert found['Attachments'] == [{'State': 'available', 'VpcId': vpc}] and found['OwnerId'] and found['Tags'] == TAGS
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='10.0.0.0/26', AvailabilityZone='us-east-2a',
                               TagSpecifications=tagged('subnet'))['Subnet']['SubnetId']
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={'Value': True})
    [shown] = ec2.describe_subnets(SubnetIds=[subnet])['Subnets']
    assert shown['State'] == 'available' and shown['MapPublicIpOnLaunch'] and shown['SubnetArn'].endswith(subnet)
    assert shown['PrivateDnsNameOptionsOnLaunch']['HostnameType'] == 'ip-name' and shown['AvailabilityZoneId']
    table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tagged('route-table'))['RouteTable']['RouteTableId']
    ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)['AssociationId']
    [shown] = ec2.describe_route_tables(Filters=[
        {'Name': 'association.route-table-association-id', 'Values': [association]}])['RouteTables']
    assert shown['Associations'][0]['AssociationState'] == {'State': 'associated'}
    [route] = [r for r in shown['Routes'] if r['DestinationCidrBlock'] == '0.0.0.0/0']
    assert (route['GatewayId'], route['State'], route['Origin']) == (gateway, 'active', 'CreateRoute')
    gone('DependencyViolation', ec2.delete_route_table, RouteTableId=table)
    ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0')
    ec2.delete_route_table(RouteTableId=table)
    gone('InvalidRouteTableID.NotFound', ec2.describe_route_tables, RouteTableIds=[table])
    ec2.delete_subnet(SubnetId=subnet)
    gone('InvalidSubnetID.NotFound', ec2.describe_subnets, SubnetIds=[subnet])
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    gone('InvalidInternetGatewayID.NotFound', ec2.describe_internet_gateways, InternetGatewayIds=[gateway])


def test_security_groups_and_their_rules_as_resources(ec2, vpc):
    group, other = (ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc,
                                              TagSpecifications=tagged('security-group'))['GroupId']
                    for name in ('http', 'service'))
    # The provider takes away what every new group has.
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[
        {'IpProtocol': '-1', 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    rules = {}
    for cidr in ({'IpRanges': [{'CidrIp': '0.0.0.0/0', 'Description': 'HTTP'}]},
                 {'UserIdGroupPairs': [{'GroupId': other, 'Description': 'the service'}]}):
        [rule] = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {'IpProtocol': 'tcp', 'FromPort': 80, 'ToPort': 80, **cidr}])['SecurityGroupRules']
        rules[rule['SecurityGroupRuleId']] = rule
    for id, made in rules.items():
        [rule] = ec2.describe_security_group_rules(SecurityGroupRuleIds=[id])['SecurityGroupRules']
        assert rule == made and not rule['IsEgress'] and (rule['FromPort'], rule['ToPort']) == (80, 80)
    assert [r['ReferencedGroupInfo']['GroupId'] for r in rules.values() if 'ReferencedGroupInfo' in r] == [other]
    ec2.create_tags(Resources=list(rules), Tags=TAGS)
    ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[{
        'SecurityGroupRuleId': next(iter(rules)),
        'SecurityGroupRule': {'IpProtocol': 'tcp', 'FromPort': 81, 'ToPort': 81, 'CidrIpv4': '0.0.0.0/0'}}])
    [rule] = ec2.describe_security_group_rules(SecurityGroupRuleIds=[next(iter(rules))])['SecurityGroupRules']
    assert (rule['FromPort'], rule['Tags']) == (81, TAGS)
    change = {'IpProtocol': 'tcp', 'FromPort': 80, 'ToPort': 80, 'ReferencedGroupId': other}
    gone('InvalidPermission.Duplicate', ec2.modify_security_group_rules, GroupId=group, SecurityGroupRules=[
        {'SecurityGroupRuleId': next(iter(rules)), 'SecurityGroupRule': change}])
    gone('InvalidParameterValue', ec2.modify_security_group_rules, GroupId=group, SecurityGroupRules=[
        {'SecurityGroupRuleId': next(iter(rules)), 'SecurityGroupRule': {**change, 'CidrIpv4': '10.0.0.0/8'}}])
    gone('InvalidSecurityGroupRuleId.NotFound', ec2.modify_security_group_rules, GroupId=group, SecurityGroupRules=[
        {'SecurityGroupRuleId': 'sgr-0123456789abcdef0', 'SecurityGroupRule': change}])
    gone('DependencyViolation', ec2.delete_security_group, GroupId=other)
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=list(rules))
    gone('InvalidSecurityGroupRuleId.NotFound', ec2.describe_security_group_rules, SecurityGroupRuleIds=list(rules))
    for id in (group, other):
        ec2.delete_security_group(GroupId=id)
        gone('InvalidGroup.NotFound', ec2.describe_security_groups, GroupIds=[id])


def test_launch_templates(ec2):
    data = {'ImageId': ec2.describe_images()['Images'][0]['ImageId'], 'InstanceType': 't2.micro', 'UserData': '',
            'Monitoring': {'Enabled': True}, 'MetadataOptions': {'HttpTokens': 'required', 'HttpEndpoint': 'enabled'}}
    made = ec2.create_launch_template(LaunchTemplateName='calls', LaunchTemplateData=data,
                                      TagSpecifications=tagged('launch-template'))['LaunchTemplate']
    id = made['LaunchTemplateId']
    [shown] = ec2.describe_launch_templates(LaunchTemplateIds=[id])['LaunchTemplates']
    assert (shown['LatestVersionNumber'], shown['DefaultVersionNumber'], shown['Tags']) == (1, 1, TAGS)
    [version] = ec2.describe_launch_template_versions(LaunchTemplateId=id, Versions=['1'])['LaunchTemplateVersions']
    assert version['LaunchTemplateData']['Monitoring'] == {'Enabled': True}
    ec2.create_launch_template_version(LaunchTemplateId=id, LaunchTemplateData={**data, 'InstanceType': 't2.small'})
    ec2.modify_launch_template(LaunchTemplateId=id, DefaultVersion='2')
    [shown] = ec2.describe_launch_templates(LaunchTemplateIds=[id])['LaunchTemplates']
    assert (shown['LatestVersionNumber'], shown['DefaultVersionNumber']) == (2, 2)
    ec2.delete_launch_template(LaunchTemplateId=id)
    gone('InvalidLaunchTemplateId.NotFound', ec2.describe_launch_templates, LaunchTemplateIds=[id])


def test_roles_policies_and_profiles(fast_sim):
    iam = fast_sim.client('iam')
    role = iam.create_role(RoleName='calls', AssumeRolePolicyDocument=json.dumps(TRUST), Tags=TAGS)['Role']
    assert role['Arn'].endswith(':role/calls') and role['RoleId'].startswith('AROA')
    shown = iam.get_role(RoleName='calls')['Role']
    assert shown['AssumeRolePolicyDocument'] == TRUST and shown['MaxSessionDuration'] == 3600 and shown['Tags'] == TAGS
    iam.tag_role(RoleName='calls', Tags=[{'Key': 'team', 'Value': 'red'}])
    iam.untag_role(RoleName='calls', TagKeys=['team', 'no such'])
    assert iam.list_role_tags(RoleName='calls')['Tags'] == TAGS
    gone('InvalidInput', iam.tag_role, RoleName='calls', Tags=[{'Key': 'aws:x', 'Value': ''}])
    iam.update_role(RoleName='calls', Description='of instances', MaxSessionDuration=7200)
    shown = iam.get_role(RoleName='calls')['Role']
    assert (shown['Description'], shown['MaxSessionDuration']) == ('of instances', 7200)
    table = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'dynamodb:Scan', 'Resource': '*'}]}
    iam.put_role_policy(RoleName='calls', PolicyName='table', PolicyDocument=json.dumps(table))
    assert iam.get_role_policy(RoleName='calls', PolicyName='table')['PolicyDocument'] == table
    managed = 'arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore'
    iam.attach_role_policy(RoleName='calls', PolicyArn=managed)
    attached = iam.list_attached_role_policies(RoleName='calls')['AttachedPolicies']
    assert attached == [{'PolicyName': 'AmazonSSMManagedInstanceCore', 'PolicyArn': managed}]
    assert iam.list_role_policies(RoleName='calls')['PolicyNames'] == ['table']
    iam.create_instance_profile(InstanceProfileName='calls', Tags=TAGS)
    iam.add_role_to_instance_profile(InstanceProfileName='calls', RoleName='calls')
    profile = iam.get_instance_profile(InstanceProfileName='calls')['InstanceProfile']
    assert [r['RoleName'] for r in profile['Roles']] == ['calls'] and profile['Tags'] == TAGS
    iam.untag_instance_profile(InstanceProfileName='calls', TagKeys=['Project'])
    iam.tag_instance_profile(InstanceProfileName='calls', Tags=[{'Key': 'team', 'Value': 'red'}])
    profile = iam.get_instance_profile(InstanceProfileName='calls')['InstanceProfile']
    assert profile['Tags'] == [{'Key': 'team', 'Value': 'red'}]
    gone('DeleteConflict', iam.delete_role, RoleName='calls')
    assert [p['InstanceProfileName'] for p in iam.list_instance_profiles_for_role(RoleName='calls')[
        'InstanceProfiles']] == ['calls']
    iam.remove_role_from_instance_profile(InstanceProfileName='calls', RoleName='calls')
    iam.delete_instance_profile(InstanceProfileName='calls')
    gone('NoSuchEntity', iam.get_instance_profile, InstanceProfileName='calls')
    iam.detach_role_policy(RoleName='calls', PolicyArn=managed)
    iam.delete_role_policy(RoleName='calls', PolicyName='table')
    gone('NoSuchEntity', iam.get_role_policy, RoleName='calls', PolicyName='table')
    iam.delete_role(RoleName='calls')
    gone('NoSuchEntity', iam.get_role, RoleName='calls')


def test_the_table(fast_sim):
    dynamodb = fast_sim.client('dynamodb')
    dynamodb.create_table(TableName='Calls', BillingMode='PAY_PER_REQUEST', Tags=TAGS,
                          AttributeDefinitions=[{'AttributeName': 'CandidateName', 'AttributeType': 'S'}],
                          KeySchema=[{'AttributeName': 'CandidateName', 'KeyType': 'HASH'}])
    table = wait(lambda: (found := dynamodb.describe_table(TableName='Calls')['Table'])['TableStatus'] == 'ACTIVE'
                 and found, 'the table')
    assert table['BillingModeSummary']['BillingMode'] == 'PAY_PER_REQUEST'
    backups = dynamodb.describe_continuous_backups(TableName='Calls')['ContinuousBackupsDescription']
    assert backups['PointInTimeRecoveryDescription']['PointInTimeRecoveryStatus'] == 'DISABLED'
    assert dynamodb.describe_time_to_live(TableName='Calls')['TimeToLiveDescription'] == {'TimeToLiveStatus': 'DISABLED'}
    assert dynamodb.list_tags_of_resource(ResourceArn=table['TableArn'])['Tags'] == TAGS
    dynamodb.delete_table(TableName='Calls')
    wait(lambda: 'Calls' not in dynamodb.list_tables()['TableNames'], 'it to go')
    gone('ResourceNotFoundException', dynamodb.describe_table, TableName='Calls')


@pytest.fixture(scope='module')
def default_network(ec2):
    [vpc] = [v['VpcId'] for v in ec2.describe_vpcs()['Vpcs'] if v['IsDefault']]
    return vpc, [s['SubnetId'] for s in ec2.describe_subnets(
        Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['Subnets']][:2]


def test_the_load_balancer(fast_sim, default_network):
    elbv2 = fast_sim.client('elbv2')
    vpc, subnets = default_network
    group = elbv2.create_target_group(
        Name='calls', Protocol='HTTP', Port=8000, VpcId=vpc, TargetType='instance', ProtocolVersion='HTTP1', Tags=TAGS,
        HealthCheckPath='/gtg', HealthCheckIntervalSeconds=10, HealthCheckTimeoutSeconds=5, HealthyThresholdCount=3,
        UnhealthyThresholdCount=2, Matcher={'HttpCode': '200,300-310'})['TargetGroups'][0]['TargetGroupArn']
    elbv2.modify_target_group_attributes(TargetGroupArn=group, Attributes=[
        {'Key': 'deregistration_delay.timeout_seconds', 'Value': '30'}])
    attributes = {a['Key']: a['Value'] for a in elbv2.describe_target_group_attributes(TargetGroupArn=group)['Attributes']}
    assert attributes['deregistration_delay.timeout_seconds'] == '30'
    assert attributes['load_balancing.cross_zone.enabled'] == 'use_load_balancer_configuration'
    balancer = elbv2.create_load_balancer(Name='calls', Type='application', Scheme='internet-facing', Subnets=subnets,
                                          Tags=TAGS)['LoadBalancers'][0]['LoadBalancerArn']
    shown = wait(lambda: (found := elbv2.describe_load_balancers(LoadBalancerArns=[balancer])['LoadBalancers'][0])[
        'State']['Code'] == 'active' and found, 'the balancer')
    assert shown['IpAddressType'] == 'ipv4' and shown['CanonicalHostedZoneId']
    elbv2.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=[
        {'Key': 'idle_timeout.timeout_seconds', 'Value': '60'}, {'Key': 'deletion_protection.enabled', 'Value': 'false'}])
    listener = elbv2.create_listener(LoadBalancerArn=balancer, Port=80, Protocol='HTTP', Tags=TAGS, DefaultActions=[
        {'Type': 'forward', 'TargetGroupArn': group}])['Listeners'][0]['ListenerArn']
    [shown] = elbv2.describe_listeners(ListenerArns=[listener])['Listeners']
    assert shown['DefaultActions'][0]['TargetGroupArn'] == group
    if hasattr(elbv2, 'describe_listener_attributes'):  # Debian 12's boto3 does not know it yet.
        assert elbv2.describe_listener_attributes(ListenerArn=listener)['Attributes']
    for arn in (group, balancer, listener):
        assert elbv2.describe_tags(ResourceArns=[arn])['TagDescriptions'][0]['Tags'] == TAGS
    gone('ResourceInUse', elbv2.delete_target_group, TargetGroupArn=group)
    elbv2.delete_listener(ListenerArn=listener)
    gone('ListenerNotFound', elbv2.describe_listeners, ListenerArns=[listener])
    elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    gone('LoadBalancerNotFound', elbv2.describe_load_balancers, LoadBalancerArns=[balancer])
    elbv2.delete_target_group(TargetGroupArn=group)
    gone('TargetGroupNotFound', elbv2.describe_target_groups, TargetGroupArns=[group])


def test_the_group_its_policies_and_alarms(fast_sim, ec2, default_network):
    autoscaling, cloudwatch = fast_sim.client('autoscaling'), fast_sim.client('cloudwatch')
    template = ec2.create_launch_template(LaunchTemplateName='group', LaunchTemplateData={
        'ImageId': ec2.describe_images()['Images'][0]['ImageId'], 'InstanceType': 't2.micro'})['LaunchTemplate']
    tag = {'ResourceId': 'calls', 'ResourceType': 'auto-scaling-group', 'Key': 'Project', 'Value': 'calls',
           'PropagateAtLaunch': True}
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName='calls', MinSize=0, MaxSize=4, DesiredCapacity=0, HealthCheckType='EC2', DefaultCooldown=30,
        HealthCheckGracePeriod=30, DefaultInstanceWarmup=60, VPCZoneIdentifier=','.join(default_network[1]),
        LaunchTemplate={'LaunchTemplateId': template['LaunchTemplateId'], 'Version': '1'}, Tags=[tag])

    def group():
        return autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=['calls'])['AutoScalingGroups'][0]
    shown = group()
    assert shown['Tags'] == [tag] and shown['TerminationPolicies'] == ['Default'] and shown['SuspendedProcesses'] == []
    assert shown['DefaultInstanceWarmup'] == 60 and not shown['NewInstancesProtectedFromScaleIn']
    policy = autoscaling.put_scaling_policy(
        AutoScalingGroupName='calls', PolicyName='up', PolicyType='SimpleScaling', AdjustmentType='ChangeInCapacity',
        ScalingAdjustment=1, Cooldown=120)['PolicyARN']
    [found] = autoscaling.describe_policies(AutoScalingGroupName='calls', PolicyNames=['up'])['ScalingPolicies']
    assert found['PolicyARN'] == policy and found['Enabled']
    cloudwatch.put_metric_alarm(
        AlarmName='calls', Namespace='AWS/EC2', MetricName='CPUUtilization', Statistic='Average', Period=30,
        EvaluationPeriods=2, Threshold=60, ComparisonOperator='GreaterThanThreshold', AlarmActions=[policy],
        ActionsEnabled=True, TreatMissingData='missing', Tags=TAGS,
        Dimensions=[{'Name': 'AutoScalingGroupName', 'Value': 'calls'}])
    [alarm] = cloudwatch.describe_alarms(AlarmNames=['calls'], AlarmTypes=['MetricAlarm'])['MetricAlarms']
    assert alarm['AlarmActions'] == [policy] and alarm['OKActions'] == [] and alarm['TreatMissingData'] == 'missing'
    assert cloudwatch.list_tags_for_resource(ResourceARN=alarm['AlarmArn'])['Tags'] == TAGS
    autoscaling.update_auto_scaling_group(AutoScalingGroupName='calls', DesiredCapacity=2, MinSize=2)
    wait(lambda: [i['LifecycleState'] for i in group()['Instances']] == ['InService'] * 2, 'two instances')
    # Destroying: to nothing first, then without force.
    autoscaling.update_auto_scaling_group(AutoScalingGroupName='calls', DesiredCapacity=0, MinSize=0, MaxSize=0)
    wait(lambda: group()['Instances'] == [], 'no instances')
    autoscaling.delete_policy(AutoScalingGroupName='calls', PolicyName='up')
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName='calls', ForceDelete=False)
    wait(lambda: autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=['calls'])['AutoScalingGroups'] == [],
         'it to go')
    cloudwatch.delete_alarms(AlarmNames=['calls'])
    assert cloudwatch.describe_alarms(AlarmNames=['calls'])['MetricAlarms'] == []


def test_the_resource_group(fast_sim):
    groups = fast_sim.client('resource-groups')
    query = json.dumps({'ResourceTypeFilters': ['AWS::AllSupported'],
                        'TagFilters': [{'Key': 'Project', 'Values': ['calls']}]})
    groups.create_group(Name='calls', ResourceQuery={'Type': 'TAG_FILTERS_1_0', 'Query': query}, Tags={'Project': 'calls'})
    arn = groups.get_group(GroupName='calls')['Group']['GroupArn']
    assert json.loads(groups.get_group_query(GroupName='calls')['GroupQuery']['ResourceQuery']['Query']) == json.loads(query)
    assert groups.get_tags(Arn=arn)['Tags'] == {'Project': 'calls'}
    groups.delete_group(GroupName='calls')
    gone('NotFoundException', groups.get_group, GroupName='calls')


def test_what_is_left_goes_with_the_vpc(ec2, vpc):
    ec2.delete_vpc(VpcId=vpc)
    gone('InvalidVpcID.NotFound', ec2.describe_vpcs, VpcIds=[vpc])
