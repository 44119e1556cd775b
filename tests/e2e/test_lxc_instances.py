"""Instances are machines: they boot, take ssh, know themselves, keep their disk, obey their rules."""
import datetime
import json
import re
import subprocess
import urllib.request

import pytest
from botocore.exceptions import ClientError

import daemon
from daemon import wait
from stack import BASE_IMAGE, Ssh, describe, image_of, in_state

pytestmark = pytest.mark.lxc

USER_DATA = '#!/bin/sh\necho "made by user data as $(id -un)" > /made\necho said\n'


@pytest.fixture(scope='module')
def ssh(lxc):
    return Ssh(lxc, 'instances', lxc.directory)


@pytest.fixture(scope='module')
def group(lxc):
    """Of the default VPC: ssh from everywhere."""
    ec2 = lxc.client('ec2')
    group = ec2.create_security_group(GroupName='ssh', Description='ssh')['GroupId']
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    return group


@pytest.fixture(scope='module')
def profile(lxc):
    """A role that may list tables, and nothing else."""
    iam = lxc.client('iam')
    iam.create_role(RoleName='lister', AssumeRolePolicyDocument=json.dumps({
        'Version': '2012-10-17', 'Statement': [{
            'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}))
    iam.put_role_policy(RoleName='lister', PolicyName='list', PolicyDocument=json.dumps({
        'Version': '2012-10-17', 'Statement': [{
            'Effect': 'Allow', 'Action': 'dynamodb:ListTables', 'Resource': '*'}]}))
    iam.create_instance_profile(InstanceProfileName='lister')
    iam.add_role_to_instance_profile(InstanceProfileName='lister', RoleName='lister')
    return 'lister'


def run(muster, group, image=BASE_IMAGE, **parameters):
    made = muster.client('ec2').run_instances(
        ImageId=image, InstanceType='t2.micro', MinCount=1, MaxCount=1, KeyName='instances',
        SecurityGroupIds=[group], **parameters)
    return made['Instances'][0]['InstanceId']


@pytest.fixture(scope='module')
def instance(lxc, ssh, group, profile):
    """One with user data and a role; its id."""
    made = run(lxc, group, UserData=USER_DATA, IamInstanceProfile={'Name': profile})
    ssh.ready(in_state(lxc, made, 'running')['PublicIpAddress'])
    yield made
    lxc.client('ec2').terminate_instances(InstanceIds=[made])
    in_state(lxc, made, 'terminated')


@pytest.fixture
def shell(lxc, ssh, instance):
    """Run a command in it."""
    return lambda command, check=True: ssh.run(describe(lxc, instance)['PublicIpAddress'], command, check)


def metadata(shell, path):
    """By IMDSv2."""
    return shell('token=$(curl -sf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" '
                 'http://169.254.169.254/latest/api/token) && curl -sf -H '
                 f'"X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/{path}')


def test_its_console_shows_how_it_booted(lxc, instance):
    """Also to whoever can do nothing else with it, and the last 64 KiB however much is written."""
    def console():
        return lxc.client('ec2').get_console_output(InstanceId=instance).get('Output', '')

    wait(lambda: 'Multi-User' in console(), 'the end of the boot on the console')
    shown = subprocess.run([daemon.binary('muster'), 'logs', instance, '--console'], env=lxc.environment(),
                           capture_output=True, text=True, check=True).stdout
    assert 'Multi-User' in shown


def test_a_console_is_bounded(lxc, instance, shell):
    shell('yes 0123456789abcdef | head -c 1000000 | sudo tee /dev/console > /dev/null; '
          'echo the-end | sudo tee /dev/console > /dev/null')
    ec2 = lxc.client('ec2')
    wait(lambda: 'the-end' in ec2.get_console_output(InstanceId=instance).get('Output', ''),
         'the last words')
    assert len(ec2.get_console_output(InstanceId=instance)['Output']) <= 65536
    kept = [file.stat().st_size for file in (lxc.state_dir / 'log').glob(f'{instance}.console*')]
    assert kept and sum(kept) <= 3 * 65536, kept


def test_it_has_its_name_its_type_and_a_uid_range_of_its_own(lxc, instance, shell):
    address = describe(lxc, instance)['PrivateIpAddress']
    assert shell('hostname') == 'ip-' + address.replace('.', '-')
    assert address in shell('ip -4 -br addr show eth0')
    assert shell("awk '{ print $2 }' /proc/self/uid_map") != '0'
    assert shell('systemctl is-system-running --wait', check=False).stdout.strip() in ('running', 'degraded')


def test_it_learns_about_itself_by_metadata(lxc, instance, shell, profile):
    assert metadata(shell, 'meta-data/instance-id') == instance
    assert metadata(shell, 'meta-data/iam/security-credentials/') == profile
    assert json.loads(metadata(shell, 'dynamic/instance-identity/document'))['region'] == 'us-east-2'
    assert metadata(shell, 'user-data') == USER_DATA.strip()


def test_user_data_ran_once_as_root(shell):
    wait(lambda: shell('cat /made', check=False).stdout, 'user data to run')
    assert shell('cat /made') == 'made by user data as root'
    assert 'said' in shell('sudo cat /var/log/user-data.log')


def test_its_role_may_do_what_its_policy_says(lxc, shell, profile):
    keys = json.loads(metadata(shell, f'meta-data/iam/security-credentials/{profile}'))
    client = lxc.client('dynamodb', keys['AccessKeyId'], keys['SecretAccessKey'], keys['Token'])
    client.list_tables()
    with pytest.raises(ClientError) as caught:
        client.describe_table(TableName='Candidates')
    assert caught.value.response['Error']['Code'] == 'AccessDeniedException'


def test_it_reaches_the_api_but_not_the_host(lxc, shell):
    assert shell('curl -s -o /dev/null -w "%{http_code}" http://169.254.169.252:4566/') in ('400', '403', '404')
    host = shell("ip route show default | awk '{ print $3 }'")
    for address in (host, '169.254.169.254', '169.254.169.252'):
        done = shell(f'curl -s -m 2 http://{address}:{lxc.port}/', check=False)
        assert done.returncode in (7, 28), (address, done)


def test_security_groups_are_enforced(lxc, group, instance, shell):
    ec2, url = lxc.client('ec2'), f"http://{describe(lxc, instance)['PublicIpAddress']}:8080/"
    rule = {'GroupId': group, 'IpProtocol': 'tcp', 'FromPort': 8080, 'ToPort': 8080, 'CidrIp': '0.0.0.0/0'}
    shell('sudo systemd-run --quiet --unit=web systemd-socket-activate --listen=8080 --accept --inetd '
          "sh -c 'printf \"HTTP/1.0 200 OK\\r\\n\\r\\nhello\"'")
    assert wait(lambda: shell('curl -s http://127.0.0.1:8080/', check=False).stdout, 'the server') == 'hello'
    assert _get(url) is None
    ec2.authorize_security_group_ingress(**rule)
    wait(lambda: _get(url) == b'hello', 'the port to open', 10)
    ec2.revoke_security_group_ingress(**rule)
    wait(lambda: _get(url) is None, 'the port to close', 10)


def _get(url):
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2) as answer:
            return answer.read()
    except OSError:
        return None


def test_cpu_time_becomes_a_metric(lxc, instance, shell):
    cloudwatch, since = lxc.client('cloudwatch'), describe(lxc, instance)['LaunchTime']
    shell('nohup stress --cpu 1 --timeout 6s > /dev/null 2>&1 &')

    def busy():
        now = cloudwatch.get_metric_statistics(
            Namespace='AWS/EC2', MetricName='CPUUtilization', Statistics=['Maximum'], Period=60,
            Dimensions=[{'Name': 'InstanceId', 'Value': instance}],
            StartTime=since, EndTime=since + datetime.timedelta(hours=12))['Datapoints']
        return [p for p in now if p['Maximum'] > 80]
    assert wait(busy, 'CPU above 80 %', 30)


def test_traffic_becomes_metrics(lxc, instance, shell):
    cloudwatch, since = lxc.client('cloudwatch'), describe(lxc, instance)['LaunchTime']
    assert len(shell('head -c 3000000 /dev/zero | tr "\\0" x')) == 3000000

    def sent():
        return sum(p['Sum'] for p in cloudwatch.get_metric_statistics(
            Namespace='AWS/EC2', MetricName='NetworkOut', Statistics=['Sum'], Period=60,
            Dimensions=[{'Name': 'InstanceId', 'Value': instance}],
            StartTime=since, EndTime=since + datetime.timedelta(hours=12))['Datapoints'])
    wait(lambda: sent() > 3000000, 'three megabytes to be counted', 30)


def test_stop_and_start_keep_the_disk_and_change_the_public_address(lxc, ssh, instance, shell):
    ec2 = lxc.client('ec2')
    shell('echo kept > /home/admin/file && sync')
    before = describe(lxc, instance)
    ec2.stop_instances(InstanceIds=[instance])
    stopped = in_state(lxc, instance, 'stopped')
    assert 'PublicIpAddress' not in stopped
    assert stopped['StateReason']['Code'] == 'Client.UserInitiatedShutdown'
    ec2.start_instances(InstanceIds=[instance])
    after = in_state(lxc, instance, 'running')
    assert after['PrivateIpAddress'] == before['PrivateIpAddress']
    ssh.ready(after['PublicIpAddress'])
    assert shell('cat /home/admin/file') == 'kept'
    assert shell('sudo grep -c said /var/log/user-data.log') == '1', 'user data ran again'


def test_reboot_boots_again(lxc, ssh, instance, shell):
    boot = shell("stat -c %Y /proc/1")
    lxc.client('ec2').reboot_instances(InstanceIds=[instance])
    wait(lambda: (done := shell("stat -c %Y /proc/1", check=False)).returncode == 0 and
         done.stdout.strip() not in ('', boot), 'another init', 40, 0.3)
    assert shell('cat /home/admin/file') == 'kept'
    assert describe(lxc, instance)['State']['Name'] == 'running'


def test_an_image_of_it_runs(lxc, ssh, group, instance, shell):
    shell('echo baked | sudo tee /baked && sudo chown admin /baked')
    image = image_of(lxc, instance, 'baked')
    assert shell('cat /baked') == 'baked', 'it goes on'
    copy = run(lxc, group, image)
    address = ssh.ready(in_state(lxc, copy, 'running')['PublicIpAddress'])
    assert ssh.run(address, 'stat -c %U /baked; cat /baked') == 'admin\nbaked'
    assert ssh.run(address, 'hostname') == 'ip-' + describe(lxc, copy)['PrivateIpAddress'].replace('.', '-')
    keys = [ssh.run(at, 'cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id')
            for at in (address, describe(lxc, instance)['PublicIpAddress'])]
    assert keys[0] != keys[1]
    lxc.client('ec2').terminate_instances(InstanceIds=[copy])
    in_state(lxc, copy, 'terminated')
    lxc.client('ec2').deregister_image(ImageId=image)


def test_an_image_may_go_before_its_instances(lxc, ssh, group, instance, shell):
    """As on AWS: what was launched of it, and what was baked from that, has all its files for ever."""
    ec2, images = lxc.client('ec2'), lxc.state_dir / 'images'

    def launch(image):
        made = run(lxc, group, image)
        return made, ssh.ready(in_state(lxc, made, 'running')['PublicIpAddress'])
    shell('echo below | sudo tee /below')
    first = image_of(lxc, instance, 'first')
    one, address = launch(first)
    ec2.deregister_image(ImageId=first)
    wait(lambda: not (images / first / 'layers').exists(), 'the image to go')
    assert ssh.run(address, 'cat /below') == 'below'
    ec2.stop_instances(InstanceIds=[one])
    in_state(lxc, one, 'stopped')
    ec2.start_instances(InstanceIds=[one])
    address = ssh.ready(in_state(lxc, one, 'running')['PublicIpAddress'])
    assert ssh.run(address, 'cat /below; echo above | sudo tee /above') == 'below\nabove'
    second = image_of(lxc, one, 'second')
    ec2.terminate_instances(InstanceIds=[one])
    in_state(lxc, one, 'terminated')
    two, address = launch(second)
    assert ssh.run(address, 'cat /below /above') == 'below\nabove'
    with pytest.raises(ClientError, match='InvalidAMIID.NotFound'):
        ec2.run_instances(ImageId=first, MinCount=1, MaxCount=1)
    ec2.deregister_image(ImageId=second)
    assert ssh.run(address, 'md5sum < /usr/bin/ssh; cat /above')
    assert (images / first).exists() and (images / second).exists()
    ec2.terminate_instances(InstanceIds=[two])
    in_state(lxc, two, 'terminated')
    wait(lambda: not (images / first).exists() and not (images / second).exists(), 'the layers to go')


def test_images_of_images_without_end(lxc, ssh, group):
    """There is a bound of layers; beyond it an image is of one. Fifteen are put under one that runs."""
    ec2, images, made = lxc.client('ec2'), lxc.state_dir / 'images', run(lxc, group)
    address = ssh.ready(in_state(lxc, made, 'running')['PublicIpAddress'])
    layers = lxc.state_dir / 'instances' / made / 'layers'
    paths = layers.read_text()
    for i in range(15):
        layer = images / f'ami-000000000000000{i:02x}' / 'layer'
        layer.mkdir(parents=True)
        (layer / f'below-{i}').write_text(f'{i}')
        (layer / 'below').write_text(f'{i}\n')
        paths = f'{layer}\n{paths}'
    layers.write_text(paths)
    ssh.run(address, 'sudo rm /usr/bin/stress && sudo mkdir /own && echo own | sudo tee /own/file')
    image = image_of(lxc, made, 'whole')
    assert (images / image / 'layers').read_text() == f'{images / image}/layer\n'
    ec2.terminate_instances(InstanceIds=[made])
    in_state(lxc, made, 'terminated')
    wait(lambda: not list(images.glob('ami-00000*')), 'the layers below to go')
    copy = run(lxc, group, image)
    address = ssh.ready(in_state(lxc, copy, 'running')['PublicIpAddress'])
    assert ssh.run(address, 'cat /own/file /below /below-0; echo; ls /usr/bin/stress 2>/dev/null; '
                   'stat -c %U:%a /usr/bin/sudo; sudo id -u').split() == ['own', '14', '0', 'root:4755', '0']
    ec2.terminate_instances(InstanceIds=[copy])
    ec2.deregister_image(ImageId=image)
    in_state(lxc, copy, 'terminated')


def test_shutdown_inside_stops_it(lxc, group, ssh):
    made = run(lxc, group, InstanceInitiatedShutdownBehavior='terminate')
    address = ssh.ready(in_state(lxc, made, 'running')['PublicIpAddress'])
    ssh.run(address, 'sudo poweroff', check=False)
    gone = in_state(lxc, made, 'terminated')
    assert gone['StateReason']['Code'] == 'Client.InstanceInitiatedShutdown'
    assert re.match(r'Client\.InstanceInitiatedShutdown', gone['StateReason']['Message'])
