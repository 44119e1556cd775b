"""deploy/ as a person uses it, against real containers: check, apply with Packer, validate, Postman, stress, destroy.

Here by CloudFormation, for Terraform waits for minutes; with it in test_it_all_by_terraform (nightly).
"""
import os
import pathlib
import shutil
import signal
import subprocess
import threading

import pytest

import daemon
import test_terraform
from daemon import wait

pytestmark = pytest.mark.lxc
NEWMAN = daemon.BUILD / 'newman/node_modules/.bin/newman'


class Deploy:
    def __init__(self, muster, directory):
        self.muster, self.directory = muster, directory
        shutil.copytree(daemon.ROOT / 'deploy', directory / 'deploy',
                        ignore=shutil.ignore_patterns('.terraform*', '*.tfstate*', 'node_modules'))

    def environment(self, **more):
        return {**self.muster.environment(), 'CANDIDATE': daemon.binary('candidate'), 'CHECKPOINT_DISABLE': '1',
                'AWS_POLL_DELAY_SECONDS': '1', 'DEPLOY_WITH': 'cloudformation', 'HOME': str(self.directory), **more}

    def run(self, script, *arguments, code=0, **environment):
        done = subprocess.run([self.directory / 'deploy' / script, *arguments], env=self.environment(**environment),
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == code, done.stdout[-4000:]
        return done.stdout

    def packer(self, candidate, *arguments):
        """A build under way."""
        return subprocess.Popen(
            ['packer', 'build', '-color=false', '-var', f'candidate={candidate}', '-var', 'name_prefix=other', '-var',
             f'custom_endpoint_ec2={self.muster.endpoint}', *arguments, 'candidates.pkr.hcl'],
            cwd=self.directory / 'deploy/packer', env=self.environment(), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def leftovers(self):
        """What a build needs for a while: its keys, groups, instances."""
        ec2 = self.muster.client('ec2')
        return ([k['KeyName'] for k in ec2.describe_key_pairs()['KeyPairs']]
                + [g['GroupName'] for g in ec2.describe_security_groups()['SecurityGroups'] if 'acker' in g['GroupName']]
                + [i['InstanceId'] for r in ec2.describe_instances(Filters=[
                    {'Name': 'tag:muster:helper-of', 'Values': ['*']},
                    {'Name': 'instance-state-name', 'Values': ['pending', 'running', 'stopping', 'stopped']}])[
                        'Reservations'] for i in r['Instances']])


@pytest.fixture(scope='module')
def deploy():
    directory = pathlib.Path('/var/tmp') / f'muster-deploy-{os.getpid()}'
    directory.mkdir()
    try:
        for muster in daemon.fresh(directory, ['--compute', 'lxc', '--time-scale', '10']):
            yield Deploy(muster, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize('environment, words', [
    ({'AWS_SECRET_ACCESS_KEY': 'wrong'}, 'no valid credentials'),
    ({'CANDIDATE': '/bin/false'}, '/bin/false does not run'),
    ({'STACK': 'candidates!'}, 'the name has 3 to 20 small letters'),
    ({'STACK': 'c' * 21}, 'the name has 3 to 20 small letters'),
    ({'BAKE_WITH': 'oven'}, 'it is packer or ssh'),
    ({'DEPLOY_WITH': 'terraform', 'PATH': '/usr/bin:/bin'}, 'neither terraform nor tofu is installed'),
])
def test_what_is_wrong_is_named(deploy, environment, words):
    assert words in deploy.run('check_env.sh', code=1, **environment)


@pytest.mark.parametrize('script', ['apply.sh', 'check_env.sh', 'destroy.sh', 'stress.sh', 'validate.sh'])
def test_help_does_nothing_else(deploy, script):
    assert f'usage: deploy/{script}' in deploy.run(script, '--help', AWS_SECRET_ACCESS_KEY='wrong')


def test_wrong_credentials_are_not_taken_for_no_stack(deploy):
    for script in ('destroy.sh', 'stress.sh', 'validate.sh'):
        assert 'no valid credentials' in deploy.run(script, code=1, AWS_SECRET_ACCESS_KEY='wrong')


@pytest.fixture(scope='module')
def applied(deploy):
    """The stack is there; what apply.sh said of it."""
    return deploy.run('apply.sh')


def test_apply_makes_the_stack_and_its_image(deploy, applied):
    ec2 = deploy.muster.client('ec2')
    for line in ('NOTE: 1/3', 'NOTE: 2/3', 'AMIs were created', 'NOTE: 3/3', '✓ 2 instances in service', '✓ good to go',
                 '✓ insert', '✓ verification', '✓ list'):
        assert line in applied, applied[-4000:]
    [image] = ec2.describe_images(Owners=['self'])['Images']
    assert {t['Key'] for t in image['Tags']} == {'muster:baked-for', 'muster:sha256'}
    assert image['Description'] == 'Debian 12 with the candidate service'
    [snapshot] = ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']
    assert snapshot['SnapshotId'] == image['BlockDeviceMappings'][0]['Ebs']['SnapshotId']
    assert deploy.leftovers() == []
    said = deploy.run('apply.sh')
    assert 'AMIs were created' not in said and '✓ list' in said, 'the second run bakes again'


@pytest.mark.skipif(not NEWMAN.exists(), reason="newman is not installed (tools/newman.sh): npm's registry did not answer")
def test_the_postman_collection_passes(deploy, applied):
    url = applied.split('The service is at ')[1].strip()
    done = subprocess.run([NEWMAN, 'run', deploy.directory / 'deploy/postman/candidates.postman_collection.json',
                           '--env-var', f'url={url}', '--color', 'off'], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout[-4000:]


def test_stress_makes_the_group_grow(deploy, applied):
    autoscaling = deploy.muster.client('autoscaling')
    assert '2 instances of candidates-asg are busy' in deploy.run('stress.sh', '20')
    wait(lambda: autoscaling.describe_auto_scaling_groups()['AutoScalingGroups'][0]['DesiredCapacity'] == 3,
         'the group to grow', 40)


def test_destroy_leaves_nothing(deploy, applied):
    ec2 = deploy.muster.client('ec2')
    assert 'is deregistered' in deploy.run('destroy.sh')
    assert 'is deregistered' not in deploy.run('destroy.sh')
    assert ec2.describe_images(Owners=['self'])['Images'] == []
    assert ec2.describe_snapshots(OwnerIds=['self'])['Snapshots'] == []
    assert deploy.muster.client('dynamodb').list_tables()['TableNames'] == []


def test_a_cancelled_build_leaves_nothing(deploy):
    build, said = deploy.packer(daemon.binary('candidate')), []
    reader = threading.Thread(target=lambda: said.extend(build.stdout))
    reader.start()
    try:
        wait(lambda: any('Connected to SSH' in line for line in said), 'the builder', 60)
        os.killpg(build.pid, signal.SIGINT)  # As Ctrl-C does: its processes all get it.
        assert build.wait(60) != 0
    finally:
        build.kill()
        reader.join()
    assert deploy.leftovers() == [], ''.join(said)
    assert deploy.muster.client('ec2').describe_images(Owners=['self'])['Images'] == []


def test_a_failed_build_leaves_nothing(deploy):
    build = deploy.packer('/bin/false')
    said, _ = build.communicate(timeout=120)
    assert build.returncode == 1 and 'Script exited with non-zero exit status: 1' in said, said
    assert deploy.leftovers() == []
    assert deploy.muster.client('ec2').describe_images(Owners=['self'])['Images'] == []


@pytest.mark.nightly
@pytest.mark.skipif(not test_terraform.TERRAFORM or not test_terraform.MIRROR, reason='Terraform is not installed here')
def test_it_all_by_terraform(deploy):
    (deploy.directory / 'config').write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{test_terraform.MIRROR}"\n  }}\n}}\n')
    how = {'DEPLOY_WITH': 'terraform', 'TF_CLI_CONFIG_FILE': str(deploy.directory / 'config')}
    said = deploy.run('apply.sh', **how)
    assert 'Apply complete! Resources: 31 added' in said and '✓ list' in said
    assert 'Apply complete! Resources: 0 added, 0 changed' in deploy.run('apply.sh', **how)
    assert 'Destroy complete' not in deploy.run('destroy.sh', STACK='another', **how), 'another stack was removed'
    assert len(deploy.muster.client('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups']) == 1
    deploy.run('destroy.sh', **how)
    assert deploy.muster.client('autoscaling').describe_auto_scaling_groups()['AutoScalingGroups'] == []
