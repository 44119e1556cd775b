"""What happens when the machine has too little of something, or lies: disk, descriptors, memory, time."""
import concurrent.futures
import contextlib
import datetime
import errno
import json
import mmap
import os
import pathlib
import re
import socket
import struct
import subprocess
import time
import urllib.request

import botocore.exceptions
import pytest

import daemon

MIB = 1024 * 1024
UNANSWERED = (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError,
              botocore.exceptions.EndpointConnectionError)


@pytest.fixture
def small_disk(tmp_path):
    """A RAM disk of 96 MiB for the state; musterd keeps 64 MiB of it free."""
    assert os.geteuid() == 0, 'mounting a RAM disk needs root'
    (tmp_path / 'state').mkdir(mode=0o700)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=96m,mode=0700', 'tmpfs', tmp_path / 'state'], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(['umount', '--lazy', tmp_path / 'state'], check=True)


class Faults:
    """What tests/e2e/faults/faults.c does to the daemon that it is preloaded into."""

    def __init__(self, path):
        path.write_bytes(bytes(24))
        with open(path, 'r+b') as file:
            self.memory = mmap.mmap(file.fileno(), 24)
        self.environment = {'MUSTER_FAULTS': str(path),
                            'LD_PRELOAD': str(daemon.BUILD / 'tests/e2e/faults/faults.so')}

    def set(self, clock_ahead_s=0, sync_takes_ms=0, sync_errno=0):
        self.memory[:] = struct.pack('qqq', clock_ahead_s, sync_takes_ms, sync_errno)


@contextlib.contextmanager
def running(directory, options=(), wrapper=(), environment=None):
    muster = daemon.Muster(directory, ['--compute', 'sim', *options])
    muster.wrapper = list(wrapper)
    muster.extra_environment = environment or {}
    try:
        yield muster.start()
    finally:
        muster.stop()


@pytest.fixture
def faulty(tmp_path):
    """A musterd at ten times real time, and what to do to it."""
    faults = Faults(tmp_path / 'faults')
    with running(tmp_path, ['--time-scale', '10'], environment=faults.environment) as muster:
        yield muster, faults


def make_table(muster):
    client = muster.client('dynamodb', read_timeout=60)
    client.create_table(TableName='table', BillingMode='PAY_PER_REQUEST',
                        KeySchema=[{'AttributeName': 'p', 'KeyType': 'HASH'}],
                        AttributeDefinitions=[{'AttributeName': 'p', 'AttributeType': 'S'}])
    daemon.wait(lambda: client.describe_table(TableName='table')['Table']['TableStatus'] == 'ACTIVE', 'the table')
    return client


def put(client, key, body=''):
    client.put_item(TableName='table', Item={'p': {'S': key}, 'body': {'S': body}})


def has(client, key):
    return 'Item' in client.get_item(TableName='table', Key={'p': {'S': key}}, ConsistentRead=True)


def about(muster):
    """What musterd says of itself."""
    with urllib.request.urlopen(f'{muster.endpoint}/_muster/about', timeout=30) as answer:
        return json.load(answer)


def read_time(text):
    return datetime.datetime.fromisoformat(text.replace('Z', '+00:00')).timestamp()


def fill(directory, leave):
    """Take what is free of the disk but `leave` bytes."""
    space = os.statvfs(directory)
    with open(directory / 'ballast', 'wb') as file:
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - leave)
    return directory / 'ballast'


def refusal(call, *arguments, **named):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*arguments, **named)
    answer = caught.value.response
    return answer['ResponseMetadata']['HTTPStatusCode'], answer['Error']['Code'], answer['Error']['Message']


def test_a_nearly_full_disk_refuses_writes_and_serves_reads(small_disk):
    with running(small_disk) as muster:
        table = make_table(muster)
        put(table, 'before')
        ballast = fill(muster.state_dir, 48 * MIB)
        daemon.wait(lambda: 'store.space-low' in muster.log.read_text(), 'the shortage to be noticed')

        status, _, message = refusal(put, table, 'refused')
        assert status == 503 and 'nearly full' in message
        assert refusal(muster.client('ec2').create_key_pair, KeyName='k')[0] == 503
        assert has(table, 'before') and not has(table, 'refused')
        assert muster.client('ec2').describe_key_pairs()['KeyPairs'] == []

        ballast.unlink()
        daemon.wait(lambda: 'store.space-enough' in muster.log.read_text(), 'the space to be noticed')
        put(table, 'after')
        assert has(table, 'after')


def test_a_disk_that_is_full_to_the_last_byte_loses_nothing(small_disk):
    """Another program took even what is kept free: what is on disk is true, and it goes on from there."""
    with running(small_disk, environment={}) as muster:
        table = make_table(muster)
        written = []
        # So quick that the shortage is not noticed before the disk is full.
        with contextlib.suppress(*UNANSWERED):
            fill(muster.state_dir, 1 * MIB)
            for number in range(200):
                put(table, f'k{number}', 'x' * 100_000)
                written.append(f'k{number}')
        assert len(written) < 200
        if muster.process.poll() is not None:
            assert 'store.failed' in muster.log.read_text()
        muster.kill()

        (muster.state_dir / 'ballast').unlink()
        muster.start()
        table = muster.client('dynamodb')
        assert all(has(table, key) for key in written)
        put(table, 'after')


def test_it_starts_on_a_full_disk_and_serves_what_is_there(small_disk):
    with running(small_disk) as muster:
        put(make_table(muster), 'kept')
        muster.kill()
        ballast = fill(muster.state_dir, 0)
        muster.start()
        table = muster.client('dynamodb')
        assert has(table, 'kept')
        assert refusal(put, table, 'refused')[0] == 503
        ballast.unlink()
        daemon.wait(lambda: 'store.space-enough' in muster.log.read_text(), 'the space to be noticed')
        put(table, 'after')


def test_few_file_descriptors_are_shared_out(tmp_path):
    """Idle connections make room for new ones, and musterd keeps what it needs for its files."""
    with running(tmp_path, wrapper=['prlimit', '--nofile=64:64']) as muster, contextlib.ExitStack() as stack:
        table = make_table(muster)
        for number in range(120):
            stack.enter_context(socket.create_connection(('127.0.0.1', muster.port), timeout=10))
            if number % 20 == 0:
                put(muster.client('dynamodb'), f'k{number}')
        assert all(has(table, f'k{number}') for number in range(0, 120, 20))
        assert 'limited to 16 by the limit on open files' in muster.log.read_text()


def test_more_large_requests_than_memory_are_told_to_come_back(tmp_path):
    """Bodies under way take 256 MiB at most; nobody needs a signature to send one."""
    head = b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n\r\n'
    with running(tmp_path) as muster, contextlib.ExitStack() as stack:
        table = make_table(muster)

        def begin(_):
            link = stack.enter_context(socket.create_connection(('127.0.0.1', muster.port), timeout=30))
            link.sendall(head + b'x' * 15_999_999)
            return link

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            links = list(pool.map(begin, range(20)))
        resident = int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(
            f'/proc/{muster.process.pid}/status').read_text()).group(1)) * 1024
        assert resident < 700 * MIB
        for link in links:
            link.sendall(b'x')
        answers = [link.recv(100).split()[1] for link in links]
        assert answers.count(b'503') >= 3 and answers.count(b'503') < 20
        put(table, 'after')


def test_without_memory_it_starts_again_from_what_is_on_disk(tmp_path):
    with running(tmp_path) as muster:
        table = make_table(muster)
        put(table, 'kept')
        muster.kill()
        muster.wrapper = ['prlimit', '--as=300000000']
        muster.start()
        table = muster.client('dynamodb')
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                link = stack.enter_context(socket.create_connection(('127.0.0.1', muster.port), timeout=30))
                with contextlib.suppress(OSError):
                    link.sendall(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n\r\n' + b'x' * 15_999_999)
            daemon.wait(lambda: muster.process.poll() is not None, 'the end')
        assert 'fatal: out of memory' in muster.log.read_text()
        muster.start()
        assert has(muster.client('dynamodb'), 'kept')


def test_a_clock_that_jumps_moves_no_timer(faulty):
    """Rules wait by a clock that nobody sets; only signatures are held against the wall's."""
    muster, faults = faulty
    autoscaling, cloudwatch = muster.client('autoscaling'), muster.client('cloudwatch')
    ec2 = muster.client('ec2')
    image = ec2.describe_images()['Images'][0]['ImageId']
    ec2.create_launch_template(LaunchTemplateName='template',
                               LaunchTemplateData={'ImageId': image, 'InstanceType': 't2.micro'})
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName='g', MinSize=1, MaxSize=3, DesiredCapacity=1, DefaultCooldown=60, LaunchTemplate={'LaunchTemplateName': 'template'},
        AvailabilityZones=['us-east-2a'])

    def group():
        return autoscaling.describe_auto_scaling_groups()['AutoScalingGroups'][0]

    def in_service():
        return [i['InstanceId'] for i in group()['Instances'] if i['LifecycleState'] == 'InService']
    first = daemon.wait(in_service, 'an instance')
    policy = autoscaling.put_scaling_policy(
        AutoScalingGroupName='g', PolicyName='up', PolicyType='SimpleScaling', AdjustmentType='ChangeInCapacity',
        ScalingAdjustment=1, Cooldown=60)['PolicyARN']
    cloudwatch.put_metric_alarm(AlarmName='a', Namespace='n', MetricName='m', Statistic='Average', Period=60,
                                EvaluationPeriods=1, Threshold=1, ComparisonOperator='GreaterThanThreshold',
                                TreatMissingData='ignore')
    autoscaling.execute_policy(AutoScalingGroupName='g', PolicyName='up')
    daemon.wait(lambda: len(in_service()) == 2, 'the second instance')
    begun = time.monotonic()  # The cooldown's 60 s, 6 here.
    muster_before = about(muster)['Muster']

    for ahead_s in (7200, -7200):
        faults.set(clock_ahead_s=ahead_s)
        assert 'Signature' in refusal(autoscaling.describe_auto_scaling_groups)[2]
        assert muster_before <= about(muster)['Muster']
    faults.set()
    # Hours have not passed: the cooldown holds, nothing was replaced, no alarm has changed.
    assert refusal(autoscaling.execute_policy, AutoScalingGroupName='g', PolicyName='up',
                   HonorCooldown=True)[1] == 'ScalingActivityInProgress'

    def again():
        try:
            autoscaling.execute_policy(AutoScalingGroupName='g', PolicyName=policy, HonorCooldown=True)
        except autoscaling.exceptions.ScalingActivityInProgressFault:
            return False
        return True
    daemon.wait(again, 'the end of the cooldown', 20)
    assert 4 < time.monotonic() - begun
    daemon.wait(lambda: len(in_service()) == 3, 'the third instance')
    assert set(first) <= set(in_service())
    assert cloudwatch.describe_alarms()['MetricAlarms'][0]['StateValue'] == 'INSUFFICIENT_DATA'

    # Started anew while the clock is behind, after a while in which nothing was written: time does not go back.
    autoscaling.update_auto_scaling_group(AutoScalingGroupName='g', MinSize=0, DesiredCapacity=0)
    daemon.wait(lambda: not group()['Instances'], 'no instance')
    muster_quiet = about(muster)['Muster']
    daemon.wait(lambda: read_time(about(muster)['Muster']) - read_time(muster_quiet) > 30, 'a quiet while')
    muster_before = about(muster)['Muster']
    muster.kill()
    faults.set(clock_ahead_s=-7200)
    muster.start()
    assert about(muster)['Muster'] >= muster_before


def test_a_slow_disk_makes_writers_wait_together_and_nobody_else(faulty):
    muster, faults = faulty
    table = make_table(muster)
    faults.set(sync_takes_ms=1000)
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        writes = [pool.submit(put, muster.client('dynamodb', read_timeout=60), f'k{number}') for number in range(20)]
        pings = 0
        while not all(write.done() for write in writes):
            about(muster)
            pings += 1
        for write in writes:
            write.result()
    faults.set()
    # One after the other they would take 20 s; the loop answered all the while.
    assert time.monotonic() - begun < 15
    assert pings > 20
    assert all(has(table, f'k{number}') for number in range(20))


@pytest.mark.parametrize('failure', [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_ends_it_before_anything_false_is_said(faulty, failure):
    muster, faults = faulty
    table = make_table(muster)
    put(table, 'before')
    faults.set(sync_errno=failure)
    with pytest.raises(UNANSWERED):
        put(table, 'lost')
    daemon.wait(lambda: muster.process.poll() is not None, 'the end')
    assert muster.process.returncode == 1
    assert 'store.failed' in muster.log.read_text()
    faults.set()
    muster.start()
    table = muster.client('dynamodb')
    assert has(table, 'before')
    put(table, 'after')
