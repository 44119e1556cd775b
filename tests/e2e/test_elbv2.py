"""Load balancers through AWS's own client, with the sim driver: all but the data plane.

Instances answer their health checks as soon as they run.
"""
import botocore.exceptions
import pytest

import daemon

VPC_CIDR = '10.7.0.0/24'


@pytest.fixture(scope='module')
def net(fast_sim):
    """A VPC with two public subnets, a security group and two instances."""
    ec2 = fast_sim.client('ec2')
    vpc = ec2.create_vpc(CidrBlock=VPC_CIDR)['Vpc']['VpcId']
    gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)['Subnet']['SubnetId']
               for cidr, zone in (('10.7.0.0/26', 'us-east-2a'), ('10.7.0.64/26', 'us-east-2b'))]
    group = ec2.create_security_group(GroupName='lb', Description='lb', VpcId=vpc)['GroupId']
    image = 'ami-0deb1a12000000000'  # The base image (compute/compute.h).
    instances = [ec2.run_instances(ImageId=image, InstanceType='t2.micro', MinCount=1, MaxCount=1,
                                   SubnetId=subnet)['Instances'][0]['InstanceId'] for subnet in subnets]
    ec2.get_waiter('instance_running').wait(InstanceIds=instances,
                                            WaiterConfig={'Delay': 1, 'MaxAttempts': 30})
    return {'ec2': ec2, 'vpc': vpc, 'subnets': subnets, 'group': group, 'instances': instances}


@pytest.fixture(scope='module')
def elb(fast_sim):
    return fast_sim.client('elbv2')


@pytest.fixture(scope='module')
def web(elb, net):
    """A load balancer, a target group and the listener between them."""
    balancer = elb.create_load_balancer(
        Name='web', Subnets=net['subnets'], SecurityGroups=[net['group']],
        Tags=[{'Key': 'Project', 'Value': 'web'}])['LoadBalancers'][0]
    group = elb.create_target_group(
        Name='web', Protocol='HTTP', Port=8000, VpcId=net['vpc'], HealthCheckPath='/gtg',
        HealthCheckIntervalSeconds=10, HealthCheckTimeoutSeconds=5, HealthyThresholdCount=3,
        UnhealthyThresholdCount=2, Matcher={'HttpCode': '200,300-310'})['TargetGroups'][0]
    listener = elb.create_listener(
        LoadBalancerArn=balancer['LoadBalancerArn'], Protocol='HTTP', Port=80,
        DefaultActions=[{'Type': 'forward', 'TargetGroupArn': group['TargetGroupArn']}])['Listeners'][0]
    return {'balancer': balancer, 'group': group, 'listener': listener}


def code_of(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response['Error']['Code']


def states(elb, web, **arguments):
    answer = elb.describe_target_health(TargetGroupArn=web['group']['TargetGroupArn'], **arguments)
    return {d['Target']['Id']: d['TargetHealth'] for d in answer['TargetHealthDescriptions']}


def test_a_balancer_becomes_active_and_tells_of_itself(elb, net, web):
    arn = web['balancer']['LoadBalancerArn']
    elb.get_waiter('load_balancer_available').wait(LoadBalancerArns=[arn],
                                                   WaiterConfig={'Delay': 1, 'MaxAttempts': 30})
    found = elb.describe_load_balancers(Names=['web'])['LoadBalancers'][0]
    assert found['LoadBalancerArn'] == arn
    assert found['DNSName'].startswith('127.65.')
    assert found['Scheme'] == 'internet-facing' and found['Type'] == 'application'
    assert found['VpcId'] == net['vpc'] and found['SecurityGroups'] == [net['group']]
    assert {z['SubnetId'] for z in found['AvailabilityZones']} == set(net['subnets'])
    assert elb.describe_tags(ResourceArns=[arn])['TagDescriptions'][0]['Tags'] == [
        {'Key': 'Project', 'Value': 'web'}]
    attributes = {a['Key']: a['Value'] for a in
                  elb.describe_load_balancer_attributes(LoadBalancerArn=arn)['Attributes']}
    assert attributes['idle_timeout.timeout_seconds'] == '60'
    interfaces = net['ec2'].describe_network_interfaces(
        Filters=[{'Name': 'description', 'Values': ['ELB ' + arn.split(':loadbalancer/')[1]]}])
    assert len(interfaces['NetworkInterfaces']) == 2


def test_a_listener_shows_its_action_in_both_ways(elb, web):
    listener = elb.describe_listeners(LoadBalancerArn=web['balancer']['LoadBalancerArn'])['Listeners'][0]
    action = listener['DefaultActions'][0]
    arn = web['group']['TargetGroupArn']
    assert action['TargetGroupArn'] == arn
    assert action['ForwardConfig']['TargetGroups'] == [{'TargetGroupArn': arn, 'Weight': 1}]
    rule = elb.describe_rules(ListenerArn=listener['ListenerArn'])['Rules'][0]
    assert rule['IsDefault'] and rule['Priority'] == 'default'
    group = elb.describe_target_groups(LoadBalancerArn=web['balancer']['LoadBalancerArn'])['TargetGroups'][0]
    assert group['Matcher'] == {'HttpCode': '200,300-310'}
    assert group['LoadBalancerArns'] == [web['balancer']['LoadBalancerArn']]


def test_targets_become_healthy_drain_and_go(elb, net, web):
    arn = web['group']['TargetGroupArn']
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[
        {'Key': 'deregistration_delay.timeout_seconds', 'Value': '300'}])
    elb.register_targets(TargetGroupArn=arn, Targets=[{'Id': i} for i in net['instances']])
    daemon.wait(lambda: [s['State'] for s in states(elb, web).values()] == ['healthy'] * 2,
                'two healthy targets')
    gone = net['instances'][0]
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{'Id': gone}])
    assert states(elb, web)[gone]['Reason'] == 'Target.DeregistrationInProgress'
    daemon.wait(lambda: gone not in states(elb, web), 'the end of its draining')
    assert states(elb, web, Targets=[{'Id': gone}])[gone]['Reason'] == 'Target.NotRegistered'


def test_a_stopped_instance_is_unused(elb, net, web):
    instance = net['instances'][1]
    net['ec2'].stop_instances(InstanceIds=[instance])
    daemon.wait(lambda: states(elb, web)[instance].get('Reason') == 'Target.InvalidState', 'unused')
    net['ec2'].get_waiter('instance_stopped').wait(InstanceIds=[instance],
                                                   WaiterConfig={'Delay': 1, 'MaxAttempts': 30})
    net['ec2'].start_instances(InstanceIds=[instance])
    daemon.wait(lambda: states(elb, web)[instance]['State'] == 'healthy', 'healthy again')


def test_errors_are_awss(elb, net, web):
    group = web['group']['TargetGroupArn']
    assert code_of(elb.describe_load_balancers, Names=['nobody']) == 'LoadBalancerNotFound'
    assert code_of(elb.describe_target_groups, Names=['nobody']) == 'TargetGroupNotFound'
    assert code_of(elb.delete_target_group, TargetGroupArn=group) == 'ResourceInUse'
    assert code_of(elb.create_load_balancer, Name='one', Subnets=net['subnets'][:1]) == 'ValidationError'
    assert code_of(elb.register_targets, TargetGroupArn=group,
                   Targets=[{'Id': 'i-0123456789abcdef0'}]) == 'InvalidTarget'
    assert code_of(elb.create_listener, LoadBalancerArn=web['balancer']['LoadBalancerArn'],
                   Protocol='HTTP', Port=80, DefaultActions=[
                       {'Type': 'forward', 'TargetGroupArn': group}]) == 'DuplicateListener'
    assert code_of(elb.modify_target_group_attributes, TargetGroupArn=group, Attributes=[
        {'Key': 'no.such', 'Value': 'x'}]) == 'ValidationError'
    for name in ('a)\n    external-check\nglobal\n    insecure-fork-wanted', 'a b', "a'b", 'a#b', 'a(b', 'a,b', 'AWSALBAPP', 'a' * 129):
        assert code_of(elb.modify_target_group_attributes, TargetGroupArn=group, Attributes=[
            {'Key': 'stickiness.app_cookie.cookie_name', 'Value': name}]) == 'ValidationError', name


def test_a_restart_keeps_it_all(fast_sim, elb, net, web):
    before = states(elb, web)
    fast_sim.stop()
    fast_sim.start()
    after = states(elb, web)
    assert set(after) == set(before)
    assert elb.describe_load_balancers()['LoadBalancers'][0]['State']['Code'] == 'active'


def test_all_goes_in_order(elb, web):
    arn = web['balancer']['LoadBalancerArn']
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert code_of(elb.describe_load_balancers, LoadBalancerArns=[arn]) == 'LoadBalancerNotFound'
    assert code_of(elb.describe_listeners, ListenerArns=[web['listener']['ListenerArn']]) == 'ListenerNotFound'
    elb.delete_target_group(TargetGroupArn=web['group']['TargetGroupArn'])
    assert elb.describe_target_groups()['TargetGroups'] == []
