"""Templates at random: the candidates stack with anything in it changed settles, and can be deleted.

What is no template is refused; what cannot be made is rolled back. The seed is printed; MUSTER_SEED=N
MUSTER_TEMPLATES=N repeats a run.
"""
import collections
import copy
import json
import os
import random

import botocore.exceptions
import pytest
import yaml

import daemon

JUNK = [None, '', 0, -1, True, [], {}, 'x' * 5000, [[]], {'a': {}}, '10.0.0.0/16', 65536, 2 ** 63, 1.5, '1e400', 'null', 'ä€🗳',
        {'Ref': 'AWS::NoValue'}, {'Ref': 'AWS::Region'}, {'Ref': 'None'}, {'Fn::GetAtt': ['LoadBalancer', 'None']},
        {'Fn::Select': [9, ['a']]}, {'Fn::Sub': '${AWS::StackName}'}, {'Fn::Join': ['', [1, {'a': 1}]]},
        {'Fn::If': ['None', 1, 2]}, {'Fn::GetAZs': ''}]


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


def changed(pick, template):
    """A copy with something left out, put for another thing, or added."""
    template = copy.deepcopy(template)
    for _ in range(pick.choice([1, 1, 1, 2, 3])):
        path = pick.choice([path for path in paths(template) if len(path) > 1 and path[0] == 'Resources'])
        node = template
        for key in path[:-1]:
            node = node[key]
        what = pick.random()
        if what < 0.25:
            del node[path[-1]]
        elif what < 0.85:
            node[path[-1]] = copy.deepcopy(pick.choice(JUNK))
        elif isinstance(node, list):
            node.append(copy.deepcopy(pick.choice(JUNK)))
        else:
            node[pick.choice(['Other', 'Tags', 'Type', 'Properties', 'DependsOn', 'DeletionPolicy'])] = copy.deepcopy(
                pick.choice(JUNK))
    return template


@pytest.mark.random
def test_any_template_settles(tmp_path):
    """The candidates stack, a little changed: made or updated, rolled back, deleted."""
    rounds, seed = int(os.environ.get('MUSTER_TEMPLATES', 100)), int(os.environ.get('MUSTER_SEED', 1))
    print(f'MUSTER_SEED={seed} MUSTER_TEMPLATES={rounds}')
    whole = parsed((daemon.ROOT / 'deploy/stack.yaml').read_text())
    pick, outcomes, name = random.Random(seed), collections.Counter(), 'one'
    parameters = [{'ParameterKey': key, 'ParameterValue': value} for key, value in (
        ('ImageId', 'ami-0deb1a12000000000'), ('MinSize', '1'), ('DesiredCapacity', '1'))]
    for muster in daemon.fresh(tmp_path, ['--compute', 'sim', '--time-scale', '100']):
        cloudformation = muster.client('cloudformation')

        def status():
            assert muster.process.poll() is None, muster.log_lines(40)
            rows = [row['StackStatus'] for row in cloudformation.describe_stacks()['Stacks'] if row['StackName'] == name]
            # What an update replaced and instances still use is given ten minutes to go.
            settled = not rows or not rows[0].endswith('_IN_PROGRESS') or 'CLEANUP' in rows[0]
            return (rows or ['GONE'])[0] if settled else None

        def settle(what):
            after = daemon.wait(status, what, every=0.05)
            assert not after.endswith(('ROLLBACK_FAILED', 'DELETE_FAILED')), [what] + [
                (event['LogicalResourceId'], event['ResourceStatus'], event.get('ResourceStatusReason'))
                for event in cloudformation.describe_stack_events(StackName=name)['StackEvents']][:80]
            return after
        for at in range(rounds):
            before = settle(f'the stack to settle in round {at}')
            if 'CLEANUP' in before:
                name = f'stack-{at}'
                continue
            request = {'StackName': name, 'TemplateBody': json.dumps(changed(pick, whole)), 'Parameters': parameters,
                       'Capabilities': ['CAPABILITY_IAM']}
            try:
                (cloudformation.create_stack if before == 'GONE' else cloudformation.update_stack)(**request)
            except botocore.exceptions.ClientError as error:
                assert error.response['ResponseMetadata']['HTTPStatusCode'] < 500, f'round {at}: {error}'
            after = settle(f'the stack to settle in round {at}')
            outcomes[after] += 1
            if after == 'ROLLBACK_COMPLETE' or not after.endswith('_COMPLETE') and after != 'GONE' or pick.random() < 0.1:
                cloudformation.delete_stack(StackName=name)
                outcomes[f'then {settle("the end")}'] += 1
        print(dict(outcomes))
        assert outcomes['UPDATE_ROLLBACK_COMPLETE'] > 0 and outcomes['then GONE'] > 0, outcomes
        muster.stop_sound()
