"""An image whose init is the service itself: there at once, small, and with nothing else in it."""
import json
import os
import pathlib
import time

import pytest

import daemon
from daemon import wait
from stack import bake, get, in_state

pytestmark = pytest.mark.lxc


@pytest.fixture(scope='module')
def group(lxc):
    ec2 = lxc.client('ec2')
    group = ec2.create_security_group(GroupName='small', Description='small')['GroupId']
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 8000, 'ToPort': 8000, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    return group


@pytest.fixture(scope='module')
def small(lxc):
    """The image, baked over ssh."""
    image = bake(lxc, lxc.directory, 'small', '--as-init')
    yield image
    lxc.client('ec2').deregister_image(ImageId=image)


def answers(address):
    try:
        return get(f'http://{address}:8000/gtg?details=true', 2)
    except OSError:
        return None


def test_the_service_is_all_that_runs(lxc, group, small):
    ec2 = lxc.client('ec2')
    begun = time.monotonic()
    made = ec2.run_instances(ImageId=small, InstanceType='t2.micro', MinCount=1, MaxCount=1,
                             SecurityGroupIds=[group])['Instances'][0]['InstanceId']
    address = in_state(lxc, made, 'running')['PublicIpAddress']
    status, body = wait(lambda: answers(address), 'the service', 20, 0.01)
    print(f'first answer after {time.monotonic() - begun:.3f} s')
    assert status == 200
    wait(lambda: json.loads(answers(address)[1])['instance-id'] == made, 'it to know itself')
    names = [(pathlib.Path('/proc') / pid / 'comm').read_text().strip()
             for root, _, files in os.walk('/sys/fs/cgroup') if made in root and '/i/' in root and 'cgroup.procs' in files
             for pid in (pathlib.Path(root) / 'cgroup.procs').read_text().split()]
    assert set(names) == {'candidate'}
    assert 'candidate.ready' in wait(lambda: ec2.get_console_output(InstanceId=made).get('Output'), 'its console')
    begun = time.monotonic()
    ec2.terminate_instances(InstanceIds=[made])
    in_state(lxc, made, 'terminated')
    assert time.monotonic() - begun < 8, 'it did not heed its halt'
