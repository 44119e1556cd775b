"""Templates at random: the candidates stack with anything in it changed settles, and can be deleted.

What is no template is refused; what cannot be made is rolled back, to what was. The seed is printed; MUSTER_SEED=N
MUSTER_TEMPLATES=N makes the same templates again.
"""
import collections
import concurrent.futures
import copy
import json
import os
import random
import time

import botocore.exceptions
import pytest
import yaml

import daemon

JUNK = [None, '', 0, -1, True, [], {}, 'x' * 5000, [[]], {'a': {}}, '10.0.0.0/16', 65536, 2 ** 63, 1.5, '1e400', 'null', 'ä€🗳',
        {'Ref': 'AWS::NoValue'}, {'Ref': 'AWS::Region'}, {'Ref': 'None'}, {'Fn::GetAtt': ['LoadBalancer', 'None']},
        {'Fn::Select': [9, ['a']]}, {'Fn::Sub': '${AWS::StackName}'}, {'Fn::Join': ['', [1, {'a': 1}]]},
        {'Fn::If': ['None', 1, 2]}, {'Fn::GetAZs': ''}]

WORKERS = 8
FOUND_BY = {
    'AWS::AutoScaling::AutoScalingGroup': ('autoscaling', 'describe_auto_scaling_groups', 'AutoScalingGroupNames'),
    'AWS::AutoScaling::ScalingPolicy': ('autoscaling', 'describe_policies', 'PolicyNames'),
    'AWS::CloudWatch::Alarm': ('cloudwatch', 'describe_alarms', 'AlarmNames'),
    'AWS::DynamoDB::Table': ('dynamodb', 'describe_table', 'TableName'),
    'AWS::EC2::InternetGateway': ('ec2', 'describe_internet_gateways', 'InternetGatewayIds'),
    'AWS::EC2::LaunchTemplate': ('ec2', 'describe_launch_templates', 'LaunchTemplateIds'),
    'AWS::EC2::RouteTable': ('ec2', 'describe_route_tables', 'RouteTableIds'),
    'AWS::EC2::SecurityGroup': ('ec2', 'describe_security_groups', 'GroupIds'),
    'AWS::EC2::Subnet': ('ec2', 'describe_subnets', 'SubnetIds'),
    'AWS::EC2::VPC': ('ec2', 'describe_vpcs', 'VpcIds'),
    'AWS::ElasticLoadBalancingV2::Listener': ('elbv2', 'describe_listeners', 'ListenerArns'),
    'AWS::ElasticLoadBalancingV2::LoadBalancer': ('elbv2', 'describe_load_balancers', 'LoadBalancerArns'),
    'AWS::ElasticLoadBalancingV2::TargetGroup': ('elbv2', 'describe_target_groups', 'TargetGroupArns'),
    'AWS::IAM::InstanceProfile': ('iam', 'get_instance_profile', 'InstanceProfileName'),
    'AWS::IAM::Role': ('iam', 'get_role', 'RoleName'),
    'AWS::ResourceGroups::Group': ('resource-groups', 'get_group', 'GroupName'),
}
VOLATILE = {
    'ResponseMetadata', 'DesiredCapacity', 'Instances', 'LoadBalancerArns', 'RoleLastUsed', 'State', 'Status', 'TableStatus',
    'AvailableIpAddressCount', 'LatestVersionNumber', 'Version', 'AlarmConfigurationUpdatedTimestamp', 'EvaluationState',
    'StateReason', 'StateReasonData', 'StateTransitionedTimestamp', 'StateUpdatedTimestamp', 'StateValue'}


def parsed(text):
    """A template's YAML with its short forms of functions written out."""
    class Loader(yaml.SafeLoader):
        pass

    def function(loader, name, node):
        value = (loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node, deep=True)
                 if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node, deep=True))
        return {name if name in ('Ref', 'Condition') else f'Fn::{name}': value.split('.', 1) if name == 'GetAtt' else value}
    Loader.add_multi_constructor('!', function)
    return json.loads(json.dumps(yaml.load(text, Loader), default=str))


def paths(tree, to=()):
    """To everything in a template."""
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield (*to, key)
            yield from paths(tree[key], (*to, key))


def at(template, path):
    for key in path:
        template = template[key]
    return template


def lasting(value):
    """A description without what changes by itself."""
    if isinstance(value, dict):
        return {key: lasting(part) for key, part in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return sorted((lasting(part) for part in value), key=str)
    return value


def changed(pick, template):
    """A copy with something left out, put for another thing, or added."""
    template = copy.deepcopy(template)
    for _ in range(pick.choice([1, 1, 1, 2, 3])):
        places = [path for path in paths(template) if len(path) > 1 and path[0] == 'Resources']
        path = pick.choice(places)
        node, what = at(template, path[:-1]), pick.random()
        if what < 0.25:
            del node[path[-1]]
        elif what < 0.65:
            node[path[-1]] = copy.deepcopy(pick.choice(JUNK))
        elif what < 0.85:
            node[path[-1]] = copy.deepcopy(at(template, pick.choice(places)))
        elif isinstance(node, list):
            node.append(copy.deepcopy(pick.choice(JUNK)))
        else:
            node[pick.choice(['Other', 'Tags', 'Type', 'Properties', 'DependsOn', 'DeletionPolicy'])] = copy.deepcopy(
                pick.choice(JUNK + ['Retain', 'Delete']))
    return template


class Stacks:
    """One stack after another, each with names of its own, changed at random."""

    def __init__(self, muster, clients, whole, number, seed):
        self.muster, self.clients, self.whole, self.number = muster, clients, whole, number
        self.pick, self.outcomes = random.Random(seed), collections.Counter()
        self.cloudformation = clients['cloudformation']
        self.name, self.made, self.seen, self.over = f'w{number}', 0, None, False

    def status(self):
        assert self.muster.process.poll() is None, self.muster.log_lines(40)
        try:
            [row] = self.cloudformation.describe_stacks(StackName=self.name)['Stacks']
        except botocore.exceptions.ClientError:
            return 'GONE'
        return row['StackStatus']

    def settle(self):
        """The status at rest. What an update replaced and instances still use is given minutes to go: not waited for."""
        patience = time.monotonic() + 10
        after = daemon.wait(
            lambda: not (status := self.status()).endswith('_IN_PROGRESS') and status
            or 'CLEANUP' in status and time.monotonic() > patience and status, f'{self.name} to settle', every=0.05)
        assert not after.endswith(('ROLLBACK_FAILED', 'DELETE_FAILED')), [self.name, after] + [
            (event['LogicalResourceId'], event['ResourceStatus'], event.get('ResourceStatusReason'))
            for event in self.cloudformation.describe_stack_events(StackName=self.name)['StackEvents']][:80]
        return after

    def look(self):
        """Everything that the stack is said to be made of is there: its descriptions."""
        seen = {}
        for resource in self.cloudformation.list_stack_resources(StackName=self.name)['StackResourceSummaries']:
            if resource['ResourceType'] in FOUND_BY:
                service, action, member = FOUND_BY[resource['ResourceType']]
                found = lasting(getattr(self.clients[service], action)(**{
                    member: [resource['PhysicalResourceId']] if member.endswith('s') else resource['PhysicalResourceId']}))
                assert any(found.values()), resource
                seen[resource['LogicalResourceId']] = found
        return seen

    def round(self, before):
        """One change, and what came of it; most stacks begin as they should be, for then more can be changed."""
        template = self.whole if before == 'GONE' and self.pick.random() < 0.7 else changed(self.pick, self.whole)
        parameters = {'Project': self.name, 'ImageId': 'ami-0deb1a12000000000', 'MinSize': '1', 'DesiredCapacity': '1'}
        request = {'StackName': self.name, 'TemplateBody': json.dumps(template),
                   'Capabilities': ['CAPABILITY_IAM'],
                   'Parameters': [{'ParameterKey': key, 'ParameterValue': value} for key, value in parameters.items()]}
        try:
            (self.cloudformation.create_stack if before == 'GONE' else self.cloudformation.update_stack)(**request)
        except botocore.exceptions.ClientError as error:
            assert error.response['ResponseMetadata']['HTTPStatusCode'] < 500, error
        return self.settle()

    def run(self, rounds):
        after = 'GONE'
        for _ in range(rounds):
            if self.over:
                break
            after = self.round(after)
            self.outcomes[after] += 1
            if after in ('CREATE_COMPLETE', 'UPDATE_COMPLETE', 'UPDATE_ROLLBACK_COMPLETE'):
                before, self.seen = self.seen, self.look()
                if after == 'UPDATE_ROLLBACK_COMPLETE':
                    other = {name: (before.get(name), self.seen.get(name)) for name in {*before, *self.seen}
                             if before.get(name) != self.seen.get(name)}
                    assert not other, f'{self.name}: the rollback left {other}'
            if after == 'ROLLBACK_COMPLETE' or after != 'GONE' and self.pick.random() < 0.1:
                self.cloudformation.delete_stack(StackName=self.name)
                if 'CLEANUP' not in after:
                    after = self.settle()
                    self.outcomes[f'then {after}'] += 1
            if 'CLEANUP' in after or after == 'GONE':  # Retained things keep their names.
                self.made += 1
                self.name, after = f'w{self.number}-{self.made}', 'GONE'
        return self.outcomes


@pytest.mark.random
def test_any_template_settles(tmp_path):
    """The candidates stack, a little changed: made or updated, rolled back, deleted."""
    rounds, seed = int(os.environ.get('MUSTER_TEMPLATES', 400)), int(os.environ.get('MUSTER_SEED', 1))
    print(f'MUSTER_SEED={seed} MUSTER_TEMPLATES={rounds}')
    whole = parsed((daemon.ROOT / 'deploy/stack.yaml').read_text())
    whole['Resources']['CandidatesTable']['Properties']['TableName'] = {'Fn::Sub': '${Project}-table'}
    for muster in daemon.fresh(tmp_path, ['--compute', 'sim', '--time-scale', '100']):
        clients = {service: muster.client(service) for service in ['cloudformation', *{row[0] for row in FOUND_BY.values()}]}
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            lives = [Stacks(muster, clients, whole, number, f'{seed}/{number}') for number in range(WORKERS)]
            workers = [pool.submit(stacks.run, rounds // WORKERS) for stacks in lives]
            concurrent.futures.wait(workers, return_when=concurrent.futures.FIRST_EXCEPTION)
            for stacks in lives:
                stacks.over = True  # Where one failed, the others need not go on.
            outcomes = sum((worker.result() for worker in workers), collections.Counter())
        print(dict(outcomes))
        assert outcomes['UPDATE_COMPLETE'] > 0 and outcomes['UPDATE_ROLLBACK_COMPLETE'] > 0 and outcomes['then GONE'] > 0, outcomes
        muster.stop_sound()
