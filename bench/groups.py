"""Many Auto Scaling groups on the model of containers: what 10, 100 and 1,000 of them cost at rest."""
import time

import common

SIZE = 10
POLICIES = (('up', 1, 'GreaterThanThreshold', 2), ('down', -1, 'LessThanThreshold', 10))


def make_group(autoscaling, cloudwatch, name):
    """A group of SIZE with an alarm above and one below 60 % CPU, as the candidates stack has them."""
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=SIZE, MaxSize=SIZE + 2, DesiredCapacity=SIZE,
        AvailabilityZones=[f'{common.REGION}{zone}' for zone in 'abc'], LaunchTemplate={'LaunchTemplateName': 'bench'})
    for policy, adjustment, comparison, periods in POLICIES:
        arn = autoscaling.put_scaling_policy(AutoScalingGroupName=name, PolicyName=policy, AdjustmentType='ChangeInCapacity',
                                             ScalingAdjustment=adjustment)['PolicyARN']
        cloudwatch.put_metric_alarm(
            AlarmName=f'{name}-{policy}', Namespace='AWS/EC2', MetricName='CPUUtilization', Statistic='Average', Period=30,
            Dimensions=[{'Name': 'AutoScalingGroupName', 'Value': name}], EvaluationPeriods=periods, Threshold=60,
            ComparisonOperator=comparison, AlarmActions=[arn])


def in_service(autoscaling):
    pages = autoscaling.get_paginator('describe_auto_scaling_instances').paginate()
    return sum(instance['LifecycleState'] == 'InService' for page in pages for instance in page['AutoScalingInstances'])


def longest_answer_ms(autoscaling, seconds):
    end, longest = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        begin = time.monotonic()
        autoscaling.describe_account_limits()
        longest = max(longest, (time.monotonic() - begin) * 1000)
        time.sleep(0.003)
    return longest


def run(bench):
    musterd = bench.musterd()
    autoscaling, cloudwatch, ec2 = (bench.client(musterd, name) for name in ('autoscaling', 'cloudwatch', 'ec2'))
    image = ec2.describe_images()['Images'][0]['ImageId']
    ec2.create_launch_template(LaunchTemplateName='bench', LaunchTemplateData={'ImageId': image, 'InstanceType': 't2.micro'})
    made, window_s = 0, 5 if bench.quick else 15
    for count in (1, 10) if bench.quick else (10, 100, 1000):
        while made < count:
            make_group(autoscaling, cloudwatch, f'group-{made:04d}')
            made += 1
        common.wait(lambda: in_service(autoscaling) == count * SIZE, f'{count * SIZE} in service', 120)
        time.sleep(1 if bench.quick else 40)  # The alarms have their state by now.
        costs = []
        for _ in range(bench.rounds):
            busy, begin = musterd.cpu_s(), time.monotonic()
            time.sleep(window_s)
            costs.append((musterd.cpu_s() - busy) / (time.monotonic() - begin) * 100)
        name = f'{count:,} groups of {SIZE} with 2 alarms each'
        bench.table.add(f'{name}: CPU', costs, '% of a core', goal='< 20' if count == 1000 else '')
        bench.table.add(f'{name}: CPU for each', [cost / 100 / count * 1e6 for cost in costs], 'us a second')
    bench.table.add(f'{name}: memory', [musterd.memory_kib() / 1024], 'MiB')
    bench.table.add(f'{name}: longest answer', [longest_answer_ms(autoscaling, window_s) for _ in range(bench.rounds)], 'ms')
    bench.table.notes.append(f'CPU and the longest answer are of {window_s} s, after the alarms had their states.')
