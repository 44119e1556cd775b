"""musterd is killed at random moments, on the model: what waits keeps its instant, what was asked twice is done once.

MUSTER_CRASH_SEED replays the moments; MUSTER_CRASH_ROUNDS makes more of them.
"""
import os
import random
import threading
import time

import botocore.exceptions
import pytest

import daemon

SEED = int(os.environ.get('MUSTER_CRASH_SEED', random.randrange(1 << 32)))
ROUNDS = int(os.environ.get('MUSTER_CRASH_ROUNDS', 8))
SCALE = 100
COOLDOWN_S = 600  # Of muster's clock: 6 s.


@pytest.fixture(scope='module')
def muster(tmp_path_factory):
    yield from daemon.fresh(tmp_path_factory.mktemp('sim'), ['--compute', 'sim', '--time-scale', str(SCALE)])


@pytest.fixture(scope='module')
def image(muster):
    return muster.client('ec2').describe_images()['Images'][0]['ImageId']


def test_a_cooldown_ends_when_it_would_have_ended(muster, image):
    chance = random.Random(SEED)
    autoscaling = muster.client('autoscaling')
    muster.client('ec2').create_launch_template(LaunchTemplateName='small', LaunchTemplateData={
        'ImageId': image, 'InstanceType': 't2.micro'})
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName='g', MinSize=0, MaxSize=4, DesiredCapacity=0, AvailabilityZones=['us-east-2a'],
        LaunchTemplate={'LaunchTemplateName': 'small'})
    autoscaling.put_scaling_policy(AutoScalingGroupName='g', PolicyName='up', ScalingAdjustment=1,
                                   AdjustmentType='ChangeInCapacity', Cooldown=COOLDOWN_S)

    def activities():
        found = autoscaling.describe_scaling_activities(AutoScalingGroupName='g')['Activities']
        return found[::-1] if all(a['StatusCode'] == 'Successful' for a in found) else []

    autoscaling.execute_policy(AutoScalingGroupName='g', PolicyName='up')
    daemon.wait(lambda: len(activities()) == 1, 'the first instance')
    kill_at = sorted(time.monotonic() + chance.uniform(0, 0.8 * COOLDOWN_S / SCALE) for _ in range(4))
    held = 0
    while len(activities()) < 2:
        if kill_at and time.monotonic() > kill_at[0]:
            kill_at.pop(0)
            muster.restart()
        try:
            autoscaling.execute_policy(AutoScalingGroupName='g', PolicyName='up', HonorCooldown=True)
            daemon.wait(lambda: len(activities()) == 2, 'the second instance')
        except botocore.exceptions.ClientError as refusal:
            assert refusal.response['Error']['Code'] == 'ScalingActivityInProgress', refusal
            held += 1
        time.sleep(0.05)
    first, second = activities()
    waited_s = (second['StartTime'] - first['EndTime']).total_seconds()
    assert held > 0 and not kill_at, f'seed {SEED}'
    assert COOLDOWN_S <= waited_s < COOLDOWN_S + 60, f'seed {SEED}'


def test_who_asks_again_after_a_crash_gets_what_was_begun(muster, image):
    """As SDKs do: the same client token, until there is an answer."""
    chance = random.Random(SEED)
    for number in range(ROUNDS):
        token, answers = f'{SEED}-{number}', []

        def ask():
            while not answers:
                try:
                    answers.append(muster.client('ec2').run_instances(
                        ImageId=image, InstanceType='t2.micro', MinCount=2, MaxCount=2, ClientToken=token))
                except (botocore.exceptions.HTTPClientError, botocore.exceptions.EndpointConnectionError):
                    time.sleep(0.02)
        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(chance.uniform(0, 0.03))
        muster.restart()
        asking.join()
        found = [i['InstanceId'] for r in muster.client('ec2').describe_instances(
            Filters=[{'Name': 'client-token', 'Values': [token]}])['Reservations'] for i in r['Instances']]
        assert sorted(found) == sorted(i['InstanceId'] for i in answers[0]['Instances']), f'seed {SEED}, {token}'
        muster.client('ec2').terminate_instances(InstanceIds=found)
