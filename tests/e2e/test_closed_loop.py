"""The closed loop: load becomes a metric, the metric an alarm, the alarm an instance, and back.

One group as deploy/stack.yaml describes it, by AWS's own client, at 100 times real time.
"""
from daemon import wait
from test_ssm import make_profile, managed, send


def make_group(muster):
    """Two instances in two zones, policies and alarms; the group's name."""
    ec2, autoscaling = muster.client('ec2'), muster.client('autoscaling')
    cloudwatch = muster.client('cloudwatch')
    make_profile(muster, 'candidate')
    vpc = ec2.create_vpc(CidrBlock='10.0.0.0/24')['Vpc']['VpcId']
    zones = [z['ZoneName'] for z in ec2.describe_availability_zones()['AvailabilityZones']]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)['Subnet']['SubnetId']
               for cidr, zone in zip(('10.0.0.0/26', '10.0.0.64/26'), zones)]
    ec2.create_launch_template(LaunchTemplateName='candidates', LaunchTemplateData={
        'ImageId': ec2.describe_images()['Images'][0]['ImageId'], 'InstanceType': 't2.micro',
        'Monitoring': {'Enabled': True}, 'IamInstanceProfile': {'Name': 'candidate'}})
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName='candidates-asg', MinSize=2, MaxSize=4, DesiredCapacity=2,
        DefaultCooldown=30, DefaultInstanceWarmup=60, HealthCheckGracePeriod=30,
        VPCZoneIdentifier=','.join(subnets), LaunchTemplate={'LaunchTemplateName': 'candidates'})
    for name, step, comparison, periods in (('up', 1, 'GreaterThanThreshold', 2),
                                            ('down', -1, 'LessThanThreshold', 10)):
        policy = autoscaling.put_scaling_policy(
            AutoScalingGroupName='candidates-asg', PolicyName=f'scale-{name}',
            PolicyType='SimpleScaling', AdjustmentType='ChangeInCapacity', ScalingAdjustment=step,
            Cooldown=120)['PolicyARN']
        cloudwatch.put_metric_alarm(
            AlarmName=f'cpu-{name}', Namespace='AWS/EC2', MetricName='CPUUtilization',
            Dimensions=[{'Name': 'AutoScalingGroupName', 'Value': 'candidates-asg'}],
            Statistic='Average', Period=30, EvaluationPeriods=periods, Threshold=60,
            ComparisonOperator=comparison, AlarmActions=[policy])
    return 'candidates-asg'


def in_service(muster):
    group = muster.client('autoscaling').describe_auto_scaling_groups(
        AutoScalingGroupNames=['candidates-asg'])['AutoScalingGroups'][0]
    ids = [i['InstanceId'] for i in group['Instances'] if i['LifecycleState'] == 'InService']
    return ids if len(ids) == len(group['Instances']) == group['DesiredCapacity'] else []


def keep_busy(muster, stressed):
    """Stress every instance in service that is not yet; SSM needs it to be a managed node."""
    fresh = [i for i in in_service(muster) if i not in stressed]
    if fresh:
        managed(muster, fresh)
        send(muster, fresh, 'stress --cpu 1 --timeout 60s')
        stressed.update(fresh)


def relieve(muster, stressed):
    send(muster, sorted(stressed), 'pkill stress')


def test_the_group_grows_under_load_and_shrinks_after_it(fast_sim):
    make_group(fast_sim)
    sizes, stressed = [], set()

    def size():
        """How many are in service, noted when it changes."""
        now = len(in_service(fast_sim))
        if now and (not sizes or sizes[-1] != now):
            sizes.append(now)
        return now

    wait(lambda: size() == 2, 'two instances')

    def grown():
        keep_busy(fast_sim, stressed)
        return size() == 4
    wait(grown, 'four instances', 60, 0.05)
    relieve(fast_sim, stressed)
    wait(lambda: size() == 2, 'two instances again', 60, 0.05)
    assert sizes == [2, 3, 4, 3, 2]

    story = fast_sim.client('autoscaling').describe_scaling_activities(
        AutoScalingGroupName='candidates-asg')['Activities'][::-1]
    told = [(a['Description'].split()[0], a['Cause']) for a in story]
    assert [verb for verb, _ in told] == ['Launching'] * 4 + ['Terminating'] * 2
    for (_, cause), (alarm, policy, old, new) in zip(told[2:], (
            ('cpu-up', 'scale-up', 2, 3), ('cpu-up', 'scale-up', 3, 4),
            ('cpu-down', 'scale-down', 4, 3), ('cpu-down', 'scale-down', 3, 2))):
        assert (f'a monitor alarm {alarm} in state ALARM triggered policy {policy} changing the '
                f'desired capacity from {old} to {new}.') in cause
    assert all(a['StatusCode'] == 'Successful' for a in story)
    # The second step of each kind waited for the first one's cooldown of 120 s.
    begun = [a['StartTime'].timestamp() for a in story]
    assert begun[3] - begun[2] >= 120 and begun[5] - begun[4] >= 120

    history = fast_sim.client('cloudwatch').describe_alarm_history(
        AlarmName='cpu-up', HistoryItemType='StateUpdate')['AlarmHistoryItems']
    assert any('to ALARM' in item['HistorySummary'] for item in history)
