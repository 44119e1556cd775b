"""Auto Scaling groups through AWS's own client, with the sim driver at 100 times real time."""
import pytest
from botocore.exceptions import ClientError

from daemon import wait


@pytest.fixture(scope='module')
def place(fast_sim):
    """Two subnets and a launch template."""
    ec2 = fast_sim.client('ec2')
    vpc = ec2.create_vpc(CidrBlock='10.0.0.0/24')['Vpc']['VpcId']
    zones = [z['ZoneName'] for z in ec2.describe_availability_zones()['AvailabilityZones']][:2]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)['Subnet']['SubnetId']
               for cidr, zone in zip(('10.0.0.0/26', '10.0.0.64/26'), zones)]
    image = ec2.describe_images()['Images'][0]['ImageId']
    template = ec2.create_launch_template(
        LaunchTemplateName='web', LaunchTemplateData={'ImageId': image, 'InstanceType': 't2.micro'})
    return {'subnets': ','.join(subnets), 'zones': set(zones), 'image': image,
            'template': template['LaunchTemplate']['LaunchTemplateId']}


@pytest.fixture
def group(fast_sim, place):
    """A group of two, both InService; deleted by force afterwards."""
    autoscaling = fast_sim.client('autoscaling')
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName='web', MinSize=1, MaxSize=4, DesiredCapacity=2, DefaultCooldown=30,
        VPCZoneIdentifier=place['subnets'],
        LaunchTemplate={'LaunchTemplateId': place['template'], 'Version': '$Latest'},
        Tags=[{'Key': 'Project', 'Value': 'web', 'PropagateAtLaunch': True}])
    in_service(autoscaling, 2)
    yield autoscaling
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName='web', ForceDelete=True)
    wait(lambda: not describe(autoscaling), 'the group to go')


def describe(autoscaling):
    groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=['web'])['AutoScalingGroups']
    return groups[0] if groups else None


def in_service(autoscaling, count):
    """The instances, once there are exactly `count` and all are in service."""
    def settled():
        instances = describe(autoscaling)['Instances']
        return instances if len(instances) == count and all(
            i['LifecycleState'] == 'InService' for i in instances) else None
    return wait(settled, f'{count} instances in service')


def activities(autoscaling):
    return autoscaling.describe_scaling_activities(AutoScalingGroupName='web')['Activities']


def test_a_group_launches_into_both_zones_with_its_tags(fast_sim, place, group):
    described = describe(group)
    assert {i['AvailabilityZone'] for i in described['Instances']} == place['zones']
    assert all(i['HealthStatus'] == 'Healthy' for i in described['Instances'])
    assert described['LaunchTemplate']['Version'] == '$Latest'
    assert described['Instances'][0]['LaunchTemplate']['Version'] == '1'
    assert described['SuspendedProcesses'] == [] and described['LoadBalancerNames'] == []
    ids = [i['InstanceId'] for i in described['Instances']]
    flat = group.describe_auto_scaling_instances(InstanceIds=ids)['AutoScalingInstances']
    assert [i['HealthStatus'] for i in flat] == ['HEALTHY', 'HEALTHY']
    reservations = fast_sim.client('ec2').describe_instances(InstanceIds=ids)['Reservations']
    for reservation in reservations:
        for instance in reservation['Instances']:
            tags = {t['Key']: t['Value'] for t in instance['Tags']}
            assert tags['Project'] == 'web' and tags['aws:autoscaling:groupName'] == 'web'


def test_desired_capacity_is_followed_and_told(group):
    group.set_desired_capacity(AutoScalingGroupName='web', DesiredCapacity=3)
    in_service(group, 3)
    newest = activities(group)[0]
    assert newest['Description'].startswith('Launching a new EC2 instance: i-')
    assert 'a user request explicitly set group desired capacity changing the desired capacity ' \
           'from 2 to 3.  At ' in newest['Cause']
    assert newest['Cause'].endswith('increasing the capacity from 2 to 3.')
    assert newest['StatusCode'] == 'Successful' and newest['Progress'] == 100
    group.set_desired_capacity(AutoScalingGroupName='web', DesiredCapacity=1)
    in_service(group, 1)


def test_a_terminated_instance_is_replaced(fast_sim, group):
    before = {i['InstanceId'] for i in describe(group)['Instances']}
    victim = sorted(before)[0]
    fast_sim.client('ec2').terminate_instances(InstanceIds=[victim])

    def replaced():
        ids = {i['InstanceId'] for i in describe(group)['Instances']}
        return victim not in ids and len(ids) == 2
    wait(replaced, 'a replacement')
    in_service(group, 2)
    assert any('an EC2 health check indicating it has been terminated or stopped' in a['Cause']
               for a in activities(group))


def test_a_policy_is_put_executed_and_deleted(group):
    arn = group.put_scaling_policy(AutoScalingGroupName='web', PolicyName='up', ScalingAdjustment=1,
                                   AdjustmentType='ChangeInCapacity', Cooldown=120)['PolicyARN']
    assert arn.endswith(':autoScalingGroupName/web:policyName/up')
    described = group.describe_policies(AutoScalingGroupName='web')['ScalingPolicies'][0]
    assert described['Cooldown'] == 120 and described['StepAdjustments'] == []
    group.execute_policy(AutoScalingGroupName='web', PolicyName='up')
    in_service(group, 3)
    with pytest.raises(ClientError) as refused:
        group.execute_policy(PolicyName=arn, HonorCooldown=True)
    assert refused.value.response['Error']['Code'] == 'ScalingActivityInProgress'
    group.delete_policy(PolicyName=arn)
    assert group.describe_policies(AutoScalingGroupName='web')['ScalingPolicies'] == []


def test_a_killed_daemon_finds_its_groups_again(fast_sim, group):
    before = {i['InstanceId'] for i in describe(group)['Instances']}
    fast_sim.restart()
    again = fast_sim.client('autoscaling')
    assert {i['InstanceId'] for i in in_service(again, 2)} == before
    assert len(activities(again)) >= 2


@pytest.mark.parametrize('change, code, text', [
    ({'LaunchTemplate': {'LaunchTemplateId': 'lt-00000000000000000'}}, 'ValidationError',
     'You must use a valid fully-formed launch template.'),
    ({'DesiredCapacity': 9}, 'ValidationError',
     'Desired capacity:9 must be between the specified min size:1 and max size:4'),
    ({'VPCZoneIdentifier': ''}, 'ValidationError',
     'At least one Availability Zone or VPC Subnet is required.'),
    ({'TargetGroupARNs': ['arn:aws:elasticloadbalancing:us-east-2:0:targetgroup/x/1']},
     'ValidationError', 'Provided Target Groups may not be valid.'),
])
def test_bad_groups_are_refused(fast_sim, place, change, code, text):
    wanted = {'AutoScalingGroupName': 'bad', 'MinSize': 1, 'MaxSize': 4,
              'VPCZoneIdentifier': place['subnets'],
              'LaunchTemplate': {'LaunchTemplateId': place['template']}, **change}
    if not wanted['VPCZoneIdentifier']:
        del wanted['VPCZoneIdentifier']
    with pytest.raises(ClientError) as refused:
        fast_sim.client('autoscaling').create_auto_scaling_group(**wanted)
    assert refused.value.response['Error']['Code'] == code
    assert text in refused.value.response['Error']['Message']
