"""The command line on real containers: what the README promises, as a user types it."""
import json
import re
import signal
import subprocess
import time

import pytest

import daemon

pytestmark = pytest.mark.lxc


@pytest.fixture(scope='module')
def deployed(lxc):
    up = json.loads(lxc.muster('up', '--json').stdout)
    yield up
    lxc.muster('down')


@pytest.fixture(scope='module')
def instance(lxc, deployed):
    """The id of one in service."""
    return json.loads(lxc.muster('status', '--json').stdout)['AutoScalingGroups'][0]['Instances'][0]['InstanceId']


def test_up_bakes_deploys_and_validates(deployed):
    assert deployed['Baked']
    assert [check['Check'] for check in deployed['Checks'] if check['Passed']] == [
        'group', 'targets', 'good to go', 'insert', 'verification', 'list']


def test_up_again_changes_nothing(lxc, deployed):
    again = json.loads(lxc.muster('up', '--json').stdout)
    assert not again['Changed'] and not again['Baked']


def test_exec_runs_as_root_and_tells_the_exit_code(lxc, instance):
    done = lxc.muster('exec', instance, '--', 'id -u; echo oops >&2; exit 3', check=False)
    assert (done.returncode, done.stdout) == (1, '0\n')
    assert 'oops' in done.stderr and 'ended with 3' in done.stderr
    assert lxc.muster('exec', instance, '--', 'echo', 'a  b', '$HOME').stdout == 'a  b $HOME\n'


def test_logs_are_the_services(lxc, instance):
    daemon.wait(lambda: '"path":"/gtg"' in lxc.muster('logs', instance, '--lines', '5').stdout,
                'a health check in the log', 10)


def test_ssh_opens_the_port_for_as_long_as_it_takes(lxc, instance, tmp_path):
    env = {**lxc.environment(), 'HOME': str(tmp_path)}
    done = subprocess.run([daemon.binary('muster'), 'ssh', instance, '--', 'sudo', 'id', '-un'], env=env,
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, 'root\n'), done.stderr
    rules = lxc.client('ec2').describe_security_group_rules()['SecurityGroupRules']
    assert [rule for rule in rules if rule['FromPort'] == 22 and not rule['IsEgress']] == []


def busy(lxc, instance):
    return int(lxc.muster('exec', instance, '--', 'pgrep -c stress || true').stdout)


def test_stress_ends_with_ctrl_c(lxc, instance):
    process = subprocess.Popen([daemon.binary('muster'), 'stress', '--for', '1h'], env=lxc.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while not re.match(r'✓ i-\w+ is busy', line := process.stdout.readline()):
            assert line, 'muster stress ended by itself'
        daemon.wait(lambda: busy(lxc, instance) > 0, 'stress to run', 30)
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=30)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, out
    assert '✓ stopped' in out
    daemon.wait(lambda: busy(lxc, instance) == 0, 'stress to be gone', 10)


def test_an_interrupted_up_leaves_no_builder(lxc, deployed, tmp_path):
    other = tmp_path / 'other'
    with open(daemon.binary('candidate'), 'rb') as file:
        other.write_bytes(file.read() + b'\n')
    process = subprocess.Popen([daemon.binary('muster'), 'up', '--candidate', str(other)],
                               env=lxc.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    helpers = [{'Name': 'tag:muster:helper-of', 'Values': ['candidates']},
               {'Name': 'instance-state-name', 'Values': ['pending', 'running']}]
    ec2 = lxc.client('ec2')
    try:
        daemon.wait(lambda: ec2.describe_instances(Filters=helpers)['Reservations'], 'a builder', 30)
        time.sleep(0.5)  # Anywhere in its life.
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "'muster up' goes on from here" in errors
    assert ec2.describe_instances(Filters=helpers)['Reservations'] == []
    assert ec2.describe_key_pairs(Filters=helpers[:1])['KeyPairs'] == []


def test_the_deploy_scripts_find_what_up_made(lxc, deployed):
    """apply.sh is the same by AWS's own tools: there is nothing left for it to do."""
    done = subprocess.run([str(daemon.ROOT / 'deploy' / 'apply.sh')], capture_output=True, text=True, timeout=300,
                          env={**lxc.environment(), 'CANDIDATE': daemon.binary('candidate')})
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"image {deployed['ImageId']}" in done.stdout
    assert 'builder' not in done.stdout
    assert f"The service is at {deployed['Url']}" in done.stdout
