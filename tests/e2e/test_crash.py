"""Rounds of kill -9 at random moments, while clients write all the time.

    MUSTER_CRASH_SEED=7 MUSTER_CRASH_ROUNDS=1 pytest -m crash tests/e2e/test_crash.py

runs one round as a longer run had it: round N of seed S is round 0 of seed S + N.
"""
import os
import pathlib
import random
import signal
import threading
import time
import urllib.error

import botocore.exceptions
import pytest

from daemon import wait
from stack import get

pytestmark = pytest.mark.crash

SEED = int(os.environ.get('MUSTER_CRASH_SEED', time.time_ns() % 1_000_000))
ROUNDS = int(os.environ.get('MUSTER_CRASH_ROUNDS', 10))
# What a client that asks once more after a second may still see failing. Killed with the warden, the
# APIs' listening socket is gone until the next one; a killed instance takes what it was answering
# along, and is given new requests until its health checks have failed, as on AWS.
MAY_FAIL = {'musterd': set(), 'haproxy': set(), 'service': set(), 'warden': {'api'}, 'init': {'balancer'}}
FAILURES = (OSError, urllib.error.URLError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


class Writers:
    """Clients that write until the end, try each write twice, and remember what was acknowledged."""

    def __init__(self, stack):
        self.stack = stack
        self.over, self.failed = threading.Event(), []
        self.items, self.candidates, self.groups = self.done = set(), set(), set()
        self.threads = [threading.Thread(target=self._write, args=one) for one in (
            ('api', self._item), ('api', self._item), ('balancer', self._candidate), ('api', self._group))]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _write(self, way, write):
        muster = self.stack.muster
        clients = [muster.client(name, retries={'max_attempts': 0}) for name in ('dynamodb', 'ec2')]
        while not self.over.is_set():
            key = f'{way}-{random.getrandbits(64):016x}'
            for attempt in (1, 2):
                try:
                    write(clients, key)
                    break
                except FAILURES as failure:
                    if attempt == 2:
                        self.failed.append((way, write.__name__, repr(failure)))
                    time.sleep(1)
            time.sleep(0.02)

    def _item(self, clients, key):
        clients[0].put_item(TableName='Crash', Item={'p': {'S': key}, 'value': {'S': key * 10}})
        self.items.add(key)

    def _candidate(self, _, key):
        status, text = get(f'{self.stack.url}/candidate/{key}', method='POST')
        if status != 200:
            raise OSError(f'{status} {text}')
        self.candidates.add(key)

    def _group(self, clients, key):
        try:
            clients[1].create_security_group(GroupName=key, Description='crash', VpcId=self.stack.outputs['VpcId'])
        except botocore.exceptions.ClientError as failure:
            if failure.response['Error']['Code'] != 'InvalidGroup.Duplicate':  # Made by the first attempt.
                raise
        self.groups.add(key)
        time.sleep(0.3)


def processes(condition):
    """The pids whose /proc directory the condition holds for."""
    found = []
    for directory in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            if condition(directory):
                found.append(int(directory.name))
        except OSError:  # It has ended.
            continue
    return found


def haproxies(stack):
    state = str(stack.muster.state_dir)
    return processes(lambda proc: (proc / 'comm').read_text() == 'haproxy\n' and state in (proc / 'cmdline').read_text())


def init_of(instance):
    """The instance's first process, as the host sees it."""
    def is_init(proc):
        if instance not in (proc / 'cgroup').read_text():
            return False
        status = (proc / 'status').read_text()
        pids = next(line for line in status.splitlines() if line.startswith('NSpid:')).split()[1:]
        return len(pids) > 1 and pids[-1] == '1'
    return processes(is_init)


def really_running(stack):
    """The instances that have processes, whatever musterd says."""
    ids = set()
    site = [i['InstanceId'] for r in stack.muster.client('ec2').describe_instances()['Reservations']
            for i in r['Instances']]
    for instance in site:
        if init_of(instance):
            ids.add(instance)
    return ids


def kill(stack, victim, chance):
    if victim == 'musterd':
        stack.muster.kill_musterd()
    elif victim == 'warden':
        stack.muster.kill()
        time.sleep(chance.uniform(0, 0.5))
        stack.muster.start()
    elif victim == 'haproxy':
        os.kill(chance.choice(haproxies(stack)), signal.SIGKILL)
    else:
        instance = chance.choice(sorted(stack.in_service()))
        pids = init_of(instance)
        if victim == 'service':
            pids = processes(lambda proc: (proc / 'comm').read_text() == 'candidate\n'
                             and instance in (proc / 'cgroup').read_text())
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert pids, f'{instance} has no {victim}'


def check_writes(stack, writers):
    dynamodb, ec2 = stack.muster.client('dynamodb'), stack.muster.client('ec2')
    items = {item['p']['S']: item['value']['S']
             for page in dynamodb.get_paginator('scan').paginate(TableName='Crash') for item in page['Items']}
    assert writers.items - items.keys() == set()
    assert all(value == key * 10 for key, value in items.items())
    names = {item['CandidateName']['S']
             for page in dynamodb.get_paginator('scan').paginate(TableName='Candidates') for item in page['Items']}
    assert writers.candidates - names == set()
    groups = {group['GroupName'] for page in ec2.get_paginator('describe_security_groups').paginate()
              for group in page['SecurityGroups']}
    assert writers.groups - groups == set()
    for name in writers.groups:
        ec2.delete_security_group(GroupId=next(
            group['GroupId'] for group in ec2.describe_security_groups(
                Filters=[{'Name': 'group-name', 'Values': [name]}])['SecurityGroups']))


def told_running(stack):
    pages = stack.muster.client('ec2').get_paginator('describe_instances').paginate(
        Filters=[{'Name': 'instance-state-name', 'Values': ['running']}])
    return {i['InstanceId'] for page in pages for r in page['Reservations'] for i in r['Instances']}


def one_round(stack, number):
    seed = SEED + number
    chance = random.Random(seed)
    victim = chance.choice(['musterd', 'musterd', 'warden', 'haproxy', 'service', 'init'])
    what = f'MUSTER_CRASH_SEED={seed} MUSTER_CRASH_ROUNDS=1 (kill {victim})'
    size = chance.choice([2, 2, 3])
    with Writers(stack) as writers:
        stack.muster.client('autoscaling').set_desired_capacity(
            AutoScalingGroupName=stack.outputs['AutoScalingGroupName'], DesiredCapacity=size)
        time.sleep(chance.uniform(0, 1.5))
        try:
            kill(stack, victim, chance)
            before = [len(done) for done in writers.done]
            stack.healthy(size)
            wait(lambda: all(len(done) > count for done, count in zip(writers.done, before)), 'writes after it')
        except AssertionError as failure:
            raise AssertionError(f'{what}: {failure}{stack.muster.log_lines(150)}') from failure
    unexpected = [one for one in writers.failed if one[0] not in MAY_FAIL[victim]]
    assert unexpected == [], what + stack.muster.log_lines(150)
    check_writes(stack, writers)
    wait(lambda: really_running(stack) == told_running(stack) == set(stack.in_service()),
         f'what is to be what is told: {what}', 60, 0.5)


def test_rounds_of_kills(stack):
    dynamodb = stack.muster.client('dynamodb')
    dynamodb.create_table(TableName='Crash', BillingMode='PAY_PER_REQUEST',
                          KeySchema=[{'AttributeName': 'p', 'KeyType': 'HASH'}],
                          AttributeDefinitions=[{'AttributeName': 'p', 'AttributeType': 'S'}])
    wait(lambda: dynamodb.describe_table(TableName='Crash')['Table']['TableStatus'] == 'ACTIVE', 'the table')
    # The sizes are the rounds': an alarm may well be due within one.
    alarms = {'AutoScalingGroupName': stack.outputs['AutoScalingGroupName'], 'ScalingProcesses': ['AlarmNotification']}
    stack.muster.client('autoscaling').suspend_processes(**alarms)
    for number in range(ROUNDS):
        began = time.monotonic()
        one_round(stack, number)
        print(f'round {number}, seed {SEED + number}: {time.monotonic() - began:.1f} s')
    stack.muster.client('autoscaling').resume_processes(**alarms)


def test_a_write_sent_while_musterd_is_replaced_waits_and_succeeds(stack):
    """The warden keeps the listening socket; nobody has to try again."""
    dynamodb = stack.muster.client('dynamodb', retries={'max_attempts': 0})
    stack.muster.kill_musterd()
    dynamodb.put_item(TableName='Crash', Item={'p': {'S': 'waited'}})
    assert 'Item' in dynamodb.get_item(TableName='Crash', Key={'p': {'S': 'waited'}})
