"""The commands of docs/tour.md, each and in its order, in old and new versions of the AWS CLI."""
import re
import shlex

import pytest

import daemon
from stack import BASE_IMAGE, TEMPLATE

TOUR = daemon.ROOT / 'docs' / 'tour.md'
pytestmark = pytest.mark.clients


def commands():
    """(variable or None, command) of every `$ ` line in the page's blocks; a line may go on after a backslash."""
    blocks = re.findall(r'^```\n(.*?)^```$', TOUR.read_text(), re.DOTALL | re.MULTILINE)
    found = []
    for line in '\n'.join(blocks).replace('\\\n', ' ').splitlines():
        match = re.match(r'\$ (?:(\w+)=\$\()?(aws .*?)\)?$' if '=$(' in line else r'\$ ()(aws .*)$', line)
        assert match or not line.startswith('$ '), f'not understood: {line}'
        if match:
            found.append((match.group(1) or None, match.group(2)))
    return found


@pytest.fixture(scope='module')
def stack(fast_sim):
    """The stack with two instances in service, and an image of its own."""
    cloudformation, ec2 = fast_sim.client('cloudformation'), fast_sim.client('ec2')
    cloudformation.create_stack(
        StackName='candidates', TemplateBody=TEMPLATE.read_text(), Capabilities=['CAPABILITY_IAM'],
        Parameters=[{'ParameterKey': 'ImageId', 'ParameterValue': BASE_IMAGE}])
    cloudformation.get_waiter('stack_create_complete').wait(
        StackName='candidates', WaiterConfig={'Delay': 0.2, 'MaxAttempts': 100})

    def healthy():
        rows = fast_sim.client('autoscaling').describe_auto_scaling_instances()['AutoScalingInstances']
        return rows if len(rows) == 2 and all(row['LifecycleState'] == 'InService' for row in rows) else None
    instance = daemon.wait(healthy, 'two instances in service')[0]['InstanceId']
    ec2.create_image(InstanceId=instance, Name='candidates', NoReboot=True)
    cloudwatch = fast_sim.client('cloudwatch')
    daemon.wait(lambda: all(row['StateValue'] != 'INSUFFICIENT_DATA' for row in
                            cloudwatch.describe_alarms()['MetricAlarms']), 'the alarms to know')


def test_every_command_of_the_tour_works(fast_sim, stack):
    known = {}
    with fast_sim.cli() as run:
        for variable, command in commands():
            for name, value in known.items():
                command = re.sub(rf'\${name}\b', value, command)
            words = shlex.split(command)[1:]
            status, output, errors = run(*words)
            assert status == 0, f'{command}: {errors}'
            assert output.strip() or words[1] in ('wait', 'put-item', 'set-alarm-state'), f'{command}: says nothing'
            assert 'None' not in output.split() or '--max-items' in words, f'{command}: {output}'
            if variable:
                known[variable] = output.strip()
    assert len(known) >= 6


def test_the_page_shows_an_output_after_every_command_that_has_one():
    blocks = re.findall(r'^```\n(.*?)^```$', TOUR.read_text(), re.DOTALL | re.MULTILINE)
    for block in blocks:
        lines = block.replace('\\\n', ' ').splitlines()
        for line, after in zip(lines, lines[1:] + ['$ ']):
            silent = '=$(' in line or ' wait ' in line or ' put-item ' in line or ' set-alarm-state ' in line
            if line.startswith('$ '):
                assert silent == after.startswith('$ '), line


def test_what_the_pages_name_is_there():
    """Files, by their paths; scripts must be such that one can run them."""
    for page in ('README.md', 'docs/aws.md', 'docs/tour.md'):
        text = (daemon.ROOT / page).read_text()
        named = set(re.findall(r'(?<![\w/])(?:deploy|docs|tools|tests)/[\w./-]*\w', text))
        named |= {f'docs/{name}' for name in re.findall(r'\]\((\w+\.md)\)', text) if page.startswith('docs/')}
        assert named, page
        for name in named:
            path = daemon.ROOT / name
            assert path.exists(), f'{page} names {name}'
            assert path.suffix != '.sh' or path.parent.name in ('packer', 'image') or path.stat().st_mode & 0o100, name
