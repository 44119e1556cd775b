"""Random lives of stacks: whatever is asked of them, and whenever they are killed, they settle, and nothing is left.

The seed is printed; MUSTER_SEED=N repeats a run.
"""
import json
import os
import random
import time

import botocore.exceptions
import pytest

import daemon


class Life:
    """Two stacks that a seed decides about."""

    def __init__(self, muster, seed):
        self.muster, self.random = muster, random.Random(seed)
        self.cloudformation = muster.client('cloudformation')

    def chance(self, of):
        return self.random.random() < of

    def status(self, name):
        try:
            return self.cloudformation.describe_stacks(StackName=name)['Stacks'][0]['StackStatus']
        except botocore.exceptions.ClientError:
            return None

    def settled(self, name):
        def over():
            status = self.status(name) or 'GONE'
            return status == 'REVIEW_IN_PROGRESS' or not status.endswith('_IN_PROGRESS')
        daemon.wait(over, f'{name} to settle', every=0.05)

    def request(self):
        """A template of what may be replaced, fail, lose its condition; its parameter and tags."""
        pick, vpc = self.random.choice, {'Ref': 'Vpc'}
        resources = {'Vpc': {'Type': 'AWS::EC2::VPC', 'Properties': {
            'CidrBlock': pick(['10.9.0.0/24', '10.8.0.0/24'])}}}
        if self.chance(0.6):
            resources['Gateway'] = {'Type': 'AWS::EC2::InternetGateway', 'Properties': {
                'Tags': [{'Key': 'a', 'Value': pick('xyz')}]}}
            if self.chance(0.6):
                resources['Attachment'] = {'Type': 'AWS::EC2::VPCGatewayAttachment', 'Properties': {
                    'VpcId': vpc, 'InternetGatewayId': {'Ref': 'Gateway'}}}
        if self.chance(0.7):
            resources['Subnet'] = {'Type': 'AWS::EC2::Subnet', 'Properties': {
                'VpcId': vpc, 'CidrBlock': pick(['10.9.0.0/26', '10.8.0.0/26', '192.168.0.0/24'])}}
        if self.chance(0.4):
            resources['Group'] = {'Type': 'AWS::EC2::SecurityGroup', 'Condition': 'Wanted', 'Properties': {
                'GroupDescription': pick('de'), 'VpcId': vpc}}
        return {
            'TemplateBody': json.dumps({
                'Parameters': {'Want': {'Type': 'String', 'Default': 'y'}}, 'Resources': resources,
                'Conditions': {'Wanted': {'Fn::Equals': [{'Ref': 'Want'}, 'y']}}}),
            'Parameters': [{'ParameterKey': 'Want', 'ParameterValue': pick('yn')}],
            'Tags': [{'Key': 't', 'Value': pick('12')}] if self.chance(0.5) else []}

    def execute(self, name):
        sets = self.cloudformation.list_change_sets(StackName=name)['Summaries']
        if sets:
            self.cloudformation.execute_change_set(ChangeSetName=self.random.choice(sets)['ChangeSetId'],
                                                   DisableRollback=self.chance(0.3))

    def step(self):
        name, client = self.random.choice(['one', 'two']), self.cloudformation
        kind = 'CREATE' if self.status(name) in (None, 'REVIEW_IN_PROGRESS') else 'UPDATE'
        what = self.random.choice([
            lambda: client.create_stack(StackName=name, DisableRollback=self.chance(0.3), **self.request()),
            lambda: client.update_stack(StackName=name, DisableRollback=self.chance(0.3), **self.request()),
            lambda: client.create_change_set(StackName=name, ChangeSetName=self.random.choice('abcd'),
                                             ChangeSetType=kind, **self.request()),
            lambda: self.execute(name), lambda: self.execute(name),
            lambda: client.cancel_update_stack(StackName=name),
            lambda: client.rollback_stack(StackName=name),
            lambda: client.continue_update_rollback(StackName=name),
            lambda: client.delete_stack(StackName=name) if self.chance(0.4) else None,
            lambda: self.muster.restart() if self.chance(0.2) else None,
            lambda: self.settled(name), lambda: self.settled(name)])
        try:
            what()
        except botocore.exceptions.ClientError as error:
            assert error.response['ResponseMetadata']['HTTPStatusCode'] < 500, error

    def end(self):
        for name in ('one', 'two'):
            for _ in range(5):
                self.settled(name)
                if self.status(name):
                    self.cloudformation.delete_stack(StackName=name)
            assert self.status(name) is None, f'{name} is {self.status(name)}'


def things(muster):
    ec2 = muster.client('ec2')
    return [sorted(row[key] for row in rows) for key, rows in (
        ('VpcId', ec2.describe_vpcs()['Vpcs']), ('SubnetId', ec2.describe_subnets()['Subnets']),
        ('InternetGatewayId', ec2.describe_internet_gateways()['InternetGateways']),
        ('GroupId', ec2.describe_security_groups()['SecurityGroups']))]


def lives(muster, seconds, seed):
    print(f'seed {seed}')
    before, life, end = things(muster), Life(muster, seed), time.monotonic() + seconds
    while time.monotonic() < end:
        life.step()
    life.end()
    assert things(muster) == before, f'seed {seed}: something is left'


@pytest.mark.crash
def test_stacks_settle_and_leave_nothing(fast_sim):
    lives(fast_sim, 8, int(os.environ.get('MUSTER_SEED', 1)))


@pytest.mark.crash
@pytest.mark.nightly
def test_stacks_settle_and_leave_nothing_all_night(fast_sim):
    for _ in range(40):
        lives(fast_sim, 15, int(os.environ.get('MUSTER_SEED', random.randrange(1 << 30))))
