"""The command line `muster` as a user meets it, on the sim driver (its instances are a model)."""
import json
import os
import pathlib
import pwd
import re
import subprocess

import pytest

import daemon

MUSTER = daemon.binary('muster')
COMMANDS = ['up', 'status', 'validate', 'stress', 'down', 'exec', 'ssh', 'logs', 'env', 'grant', 'purge',
            'completion']


@pytest.fixture(scope='module')
def muster(fast_sim):
    return fast_sim


@pytest.fixture(scope='module')
def deployed(muster):
    """The stack is there; the module's last test takes it down."""
    return json.loads(muster.muster('up', '--json').stdout)


def run(*arguments, env=None, **more):
    """Without a daemon's environment."""
    return subprocess.run([MUSTER, *arguments], env=env or daemon.clean_environment(), text=True,
                          capture_output=True, timeout=60, **more)


def as_json(muster, *arguments, check=True):
    done = muster.muster('--json', *arguments, check=check)
    return json.loads(done.stdout)


# Usage.

@pytest.mark.parametrize('arguments, says', [
    ([], 'usage: muster COMMAND'),
    (['fly'], "there is no command 'fly'"),
    (['status', '--no'], "muster status has no option '--no'"),
    (['exec', 'i-1'], 'muster exec needs INSTANCE -- COMMAND...'),
    (['down', 'now'], "'now' is too much"),
])
def test_wrong_usage_ends_with_2_and_says_how_it_goes(arguments, says):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, '')
    assert says in done.stderr
    assert '--help' in done.stderr


@pytest.mark.parametrize('arguments, says', [
    (['stress', '--for', '6x'], "'6x' is no time"),
    (['stress', '--cpu', '0'], '--cpu takes a number'),
    (['up', '--parameter', 'MaxSize'], 'NAME=VALUE'),
    (['up', '--parameter', 'Colour=red'], 'has no parameter Colour'),
    (['up', '/nonexistent.yaml'], 'No such file'),
    (['logs', 'i-1', '--lines', 'x'], '--lines takes a number'),
    (['completion', 'fish'], "not for 'fish'"),
])
def test_wrong_values_end_with_2(muster, arguments, says):
    done = muster.muster(*arguments, check=False)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_has_help_with_examples(command):
    done = run(command, '--help')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith(f'usage: muster {command}')
    assert re.search(r'^Examples:\n  .*muster ' + command, done.stdout, re.MULTILINE)


def test_all_commands_are_in_the_help():
    done = run('--help')
    assert re.findall(r'^  (\w+) +[A-Z]', done.stdout, re.MULTILINE) == COMMANDS
    assert run('--version').stdout.startswith('muster ')


def test_the_manual_has_every_command_and_option():
    """A manual that lacks an option is worse than none."""
    page = (daemon.ROOT / 'docs' / 'muster.1').read_text().replace('\\-', '-')
    for command in COMMANDS:
        section = re.search(rf'^\.BR? {command}\b.*?(?=^\.SH|^\.TP\n\.BR? (?!--|-)(?:{"|".join(COMMANDS)})\b)',
                            page, re.MULTILINE | re.DOTALL)
        assert section, command
        own, common = re.search(r'Options:\n(.*?)(  --json .*?)\nExamples', run(command, '--help').stdout,
                                re.DOTALL).groups()
        for option in re.findall(r'^  (--[\w-]+)', own, re.MULTILINE):
            assert option in section.group(0), f'{command} {option}'
        for option in re.findall(r'^  (--[\w-]+)', common, re.MULTILINE):
            assert option in page, option


@pytest.mark.parametrize('program, page', [('musterd', 'musterd.8'), ('candidate', 'candidate.8')])
def test_the_daemons_manual_has_every_option(program, page):
    page = (daemon.ROOT / 'docs' / page).read_text().replace('\\-', '-')
    help_text = subprocess.run([daemon.binary(program), '--help'], capture_output=True, text=True).stdout
    for option in re.findall(r'^  (--[\w-]+)', help_text, re.MULTILINE):
        assert option in page, option


# Whom it speaks to.

def test_without_keys_it_says_where_they_come_from(tmp_path):
    done = run('status', env={'HOME': str(tmp_path), 'PATH': os.environ['PATH']})
    if not os.path.exists('/var/lib/muster/credentials'):
        assert done.returncode == 1
        assert 'run.sh' in done.stderr


def test_without_a_daemon_it_says_what_to_do(muster):
    done = subprocess.run([MUSTER, 'status', '--endpoint', 'http://127.0.0.1:9'], env=muster.environment(),
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert 'Nothing answers at http://127.0.0.1:9' in done.stderr
    assert 'run.sh' in done.stderr


def test_keys_of_another_muster_are_named_as_such(muster):
    env = {**muster.environment(), 'AWS_ACCESS_KEY_ID': 'AKIA' + 'A' * 16}
    done = subprocess.run([MUSTER, 'status'], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'does not know these keys' in done.stderr


def test_the_state_directory_has_roots_keys(muster):
    done = run('status', '--json', '--state-dir', str(muster.state_dir), '--endpoint', muster.endpoint)
    assert done.returncode == 0
    assert json.loads(done.stdout)['Sim'] is True


def test_env_makes_any_aws_tool_speak_to_muster(muster, tmp_path):
    """As a user does it, in bash and in sh, also with a proxy in the way."""
    for shell in ('bash', 'sh'):
        done = subprocess.run(
            [shell, '-c', f'eval "$({MUSTER} env --state-dir {muster.state_dir} --endpoint {muster.endpoint})"; '
             'aws sts get-caller-identity --query Arn --output text; echo "$NO_PROXY"; echo "$AWS_REGION"'],
            env={**daemon.clean_environment(), 'http_proxy': 'http://127.0.0.1:9', 'AWS_PROFILE': 'nobody',
                 'HOME': str(tmp_path), 'NO_PROXY': 'example.org'},
            capture_output=True, text=True, timeout=60)
        assert done.stderr == ''
        assert done.stdout.split('\n')[:3] == [
            'arn:aws:iam::000000000000:root', 'example.org,127.0.0.1,127.0.0.0/8', 'us-east-2']


def test_env_as_json(muster):
    env = as_json(muster, 'env')
    assert env['AWS_ENDPOINT_URL'] == muster.endpoint
    assert env['AWS_ACCESS_KEY_ID'] == muster.credentials[0]


@pytest.mark.skipif(os.geteuid() != 0, reason='only root writes into homes of others; an own one is not touched')
def test_grant_writes_nowhere_but_into_the_users_home(muster):
    file = pathlib.Path(pwd.getpwnam('nobody').pw_dir)
    if file.exists():
        pytest.skip('user nobody has a home here')
    done = muster.muster('grant', 'nobody', check=False)
    assert done.returncode == 1  # It has no home: nothing is made elsewhere instead.
    assert not file.exists()
    assert muster.muster('grant', 'no-such-user', check=False).returncode == 1


# A deployment.

def test_nothing_is_deployed_at_first(muster):
    assert 'Try: muster up' in muster.muster('status').stdout
    done = muster.muster('validate', check=False)
    assert done.returncode == 1
    assert 'muster up' in done.stderr
    assert muster.muster('down').returncode == 0  # What is not there can be gone.


def test_up_deploys_in_three_phases(muster, deployed):
    assert deployed['StackStatus'] == 'UPDATE_COMPLETE'
    assert deployed['Baked'] and deployed['Changed']
    assert deployed['Url'].startswith('http://127.65.')
    assert all(check['Passed'] for check in deployed['Checks'])
    group = muster.client('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups'][0]
    assert (group['MinSize'], group['DesiredCapacity'], group['MaxSize']) == (2, 2, 4)
    ids = [instance['InstanceId'] for instance in group['Instances']]
    assert {instance['ImageId'] for reservation in
            muster.client('ec2').describe_instances(InstanceIds=ids)['Reservations']
            for instance in reservation['Instances']} == {deployed['ImageId']}


def test_up_leaves_nothing_behind_but_the_image(muster, deployed):
    ec2 = muster.client('ec2')
    helpers = [{'Name': 'tag-key', 'Values': ['muster:helper-of']}]
    assert ec2.describe_key_pairs(Filters=helpers)['KeyPairs'] == []
    assert ec2.describe_security_groups(Filters=helpers)['SecurityGroups'] == []
    states = {instance['State']['Name'] for reservation in
              ec2.describe_instances(Filters=helpers)['Reservations'] for instance in reservation['Instances']}
    assert states <= {'terminated'}
    [image] = ec2.describe_images(Owners=['self'], Filters=[
        {'Name': 'tag:muster:baked-for', 'Values': ['candidates']}])['Images']
    assert image['ImageId'] == deployed['ImageId']


def test_up_again_changes_nothing(muster, deployed):
    again = as_json(muster, 'up')
    assert (again['Changed'], again['Baked'], again['ReplacedInstances']) == (False, False, 0)
    assert again['ImageId'] == deployed['ImageId']


def test_another_service_becomes_another_image_and_other_instances(muster, deployed, tmp_path):
    other = tmp_path / 'other'
    other.write_bytes(pathlib.Path(daemon.binary('candidate')).read_bytes() + b'\n')
    after = as_json(muster, 'up', '--candidate', str(other))
    assert after['Baked'] and after['ImageId'] != deployed['ImageId']
    assert after['ReplacedInstances'] == 2
    back = as_json(muster, 'up')  # The first image is still there.
    assert not back['Baked'] and back['ImageId'] == deployed['ImageId']


def test_validate_tells_a_line_for_each_check(muster, deployed):
    out = muster.muster('validate').stdout
    assert re.search(r'✓ group +2 of 2 instances in service', out)
    assert re.search(r'✓ targets +2 of 2 healthy', out)
    assert as_json(muster, 'validate')['Passed'] is True


def test_status_is_one_screen(muster, deployed):
    out = muster.muster('status').stdout
    assert "muster's clock" in out  # It runs faster than the real one: both are shown.
    assert 'Group candidates-asg: desired 2 (2 to 4), in service 2' in out
    assert len(re.findall(r'^  i-\w+ +[ab] +InService +Healthy +healthy', out, re.MULTILINE)) == 2
    for word in ('candidates-cpu-high', 'candidates-alb', 'UPDATE_COMPLETE', 'Launching a new EC2 instance'):
        assert word in out
    assert '\033' not in out  # It is no terminal.


def test_status_as_json(muster, deployed):
    status = as_json(muster, 'status')
    assert status['TimeScale'] == 100
    assert status['AutoScalingGroups'][0]['AutoScalingGroupName'] == 'candidates-asg'
    assert status['LoadBalancers'][0]['DNSName'] == deployed['Outputs']['LoadBalancerDNSName']


def test_stress_makes_the_group_grow(muster, deployed):
    done = as_json(muster, 'stress', '--for', '6m')
    assert done['DesiredCapacityMax'] >= 3
    assert done['StressedInstances'] >= 3
    assert not done['Interrupted']


def test_an_instance_may_be_meant_by_the_beginning_of_its_id(muster, deployed):
    [instance, *_] = as_json(muster, 'status')['AutoScalingGroups'][0]['Instances']
    id = instance['InstanceId']
    assert as_json(muster, 'exec', id[2:12], '--', 'true')['InstanceId'] == id
    done = muster.muster('exec', 'zzz', '--', 'true', check=False)
    assert done.returncode == 1
    assert "there is no instance 'zzz'; there are i-" in done.stderr
    assert 'say more of the id' in muster.muster('exec', 'i-', '--', 'true', check=False).stderr


def test_ssh_says_that_a_model_does_not_talk(muster, deployed):
    id = as_json(muster, 'status')['AutoScalingGroups'][0]['Instances'][0]['InstanceId']
    done = muster.muster('ssh', id, check=False)
    assert done.returncode == 1
    assert 'model' in done.stderr


def test_bash_completes_commands_options_and_instances(muster, deployed):
    def complete(*words):
        line = ' '.join(f"'{word}'" for word in words)
        script = (f'PATH={os.path.dirname(MUSTER)}:$PATH; source <({MUSTER} completion bash); '
                  f'COMP_WORDS=(muster {line}); COMP_CWORD={len(words)}; _muster; echo "${{COMPREPLY[@]}}"')
        done = subprocess.run(['bash', '-c', script], env=muster.environment(), capture_output=True, text=True)
        assert done.stderr == ''
        return done.stdout.split()
    assert complete('st') == ['status', 'stress']
    assert set(complete('stress', '--')) >= {'--for', '--cpu', '--json', '--help'}
    assert complete('--region', 'x', 'val') == ['validate']
    ids = {instance['InstanceId'] for instance in
           as_json(muster, 'status')['AutoScalingGroups'][0]['Instances']}
    assert ids <= set(complete('logs', 'i-'))
    assert complete('logs', 'i-1', '') == []


def test_down_removes_the_stack_and_its_images(muster, deployed):
    gone = as_json(muster, 'down')
    assert gone['DeregisteredImages'] >= 1
    assert muster.client('cloudformation').describe_stacks()['Stacks'] == []
    assert muster.client('ec2').describe_images(Owners=['self'])['Images'] == []
    assert 'Try: muster up' in muster.muster('status').stdout
    assert as_json(muster, 'down')['DeregisteredImages'] == 0


def test_a_template_of_ones_own_is_deployed_in_one(muster, tmp_path):
    template = tmp_path / 'table.yaml'
    template.write_text('''Parameters: {Name: {Type: String, Default: Things}}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Ref Name
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: Id, AttributeType: S}]
      KeySchema: [{AttributeName: Id, KeyType: HASH}]
Outputs: {Name: {Value: !Ref Table}}
''')
    up = as_json(muster, 'up', str(template), '--name', 'own', '--parameter', 'Name=Others')
    assert (up['StackStatus'], up['Outputs']) == ('CREATE_COMPLETE', {'Name': 'Others'})
    again = as_json(muster, 'up', str(template), '--name', 'own')  # A parameter keeps its value.
    assert again['Outputs'] == {'Name': 'Others'}
    muster.muster('down', '--name', 'own')


def test_a_template_that_fails_says_why(muster, tmp_path):
    template = tmp_path / 'bad.yaml'
    template.write_text('''Resources:
  Group:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties: {MinSize: 0, MaxSize: 1, AvailabilityZones: [us-east-2a],
                 LaunchTemplate: {LaunchTemplateId: lt-0123456789abcdef0, Version: 1}}
''')
    done = muster.muster('up', str(template), '--name', 'bad', check=False)
    assert done.returncode == 1
    assert 'Group: ' in done.stderr and 'describe-stack-events' in done.stderr
    muster.muster('down', '--name', 'bad')
