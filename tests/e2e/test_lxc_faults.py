"""What does not work as it should: HAProxy that cannot start, instances that hang, services that answer badly.

A daemon of its own, whose HAProxy can be broken.
"""
import os
import pathlib
import shutil
import signal
import time

import pytest

import daemon
from daemon import wait
from stack import BASE_IMAGE, describe, get, image_of, in_state

pytestmark = pytest.mark.lxc

# While the file "broken" is there, it ends at once.
HAPROXY = '''#!/bin/sh
echo started >> {place}/starts
[ ! -e {place}/broken ] || exit 1
exec /usr/sbin/haproxy "$@"
'''


@pytest.fixture(scope='module')
def place():
    directory = pathlib.Path('/var/tmp') / f'muster-faults-{os.getpid()}'
    directory.mkdir()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope='module')
def processes():
    """A control group for the daemon, in which the number of processes can be limited."""
    root = pathlib.Path('/sys/fs/cgroup')
    if (root / 'cgroup.controllers').exists():
        (root / 'cgroup.subtree_control').write_text('+pids')
    else:
        root /= 'pids'
    directory = root / f'muster-test-{os.getpid()}'
    directory.mkdir()
    yield directory
    for pid in (directory / 'cgroup.procs').read_text().split():  # HAProxys that end in a moment.
        (root / 'cgroup.procs').write_text(pid)
    wait(lambda: not (directory / 'cgroup.procs').read_text(), 'the group to be empty', 10)
    directory.rmdir()


@pytest.fixture(scope='module')
def muster(place, processes):
    (place / 'bin').mkdir(mode=0o755)
    (place / 'bin/haproxy').write_text(HAPROXY.format(place=place))
    (place / 'bin/haproxy').chmod(0o755)
    (place / 'starts').touch()
    (place / 'starts').chmod(0o666)
    options = ['--compute', 'lxc', '--time-scale', '10']
    environment = {'PATH': f'{place}/bin:/usr/sbin:/usr/bin:/sbin:/bin'}
    wrapper = ['sh', '-c', f'echo $$ > {processes}/cgroup.procs && exec "$@"', 'sh']
    yield from daemon.fresh(place, options, environment, wrapper)


@pytest.fixture(scope='module')
def vpc(muster):
    return muster.client('ec2').describe_vpcs()['Vpcs'][0]['VpcId']


@pytest.fixture(scope='module')
def subnets(muster):
    return [s['SubnetId'] for s in muster.client('ec2').describe_subnets()['Subnets'][:2]]


@pytest.fixture(scope='module')
def group(muster, vpc):
    """Everything may come in."""
    ec2 = muster.client('ec2')
    made = ec2.create_security_group(GroupName='open', Description='open', VpcId=vpc)['GroupId']
    ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[
        {'IpProtocol': '-1', 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    return made


def make_balancer(muster, name, subnets, group, action):
    elbv2 = muster.client('elbv2')
    made = elbv2.create_load_balancer(Name=name, Subnets=subnets, SecurityGroups=[group])['LoadBalancers'][0]
    elbv2.create_listener(LoadBalancerArn=made['LoadBalancerArn'], Protocol='HTTP', Port=80, DefaultActions=[action])
    return made['LoadBalancerArn'], 'http://' + made['DNSName']


def status(url):
    try:
        return get(url, 3)[0]
    except OSError:
        return None


def balancer_state(muster, arn):
    return muster.client('elbv2').describe_load_balancers(LoadBalancerArns=[arn])['LoadBalancers'][0]['State']


def test_a_haproxy_that_cannot_start_is_held_back_and_comes_up_when_it_can(muster, place, subnets, group):
    def starts():
        return (place / 'starts').read_text().count('started')

    (place / 'broken').touch()
    arn, url = make_balancer(muster, 'broken', subnets, group, {
        'Type': 'fixed-response', 'FixedResponseConfig': {'StatusCode': '200', 'MessageBody': 'fine'}})
    wait(lambda: balancer_state(muster, arn)['Code'] == 'active_impaired', 'it to be said', 20)
    assert 'HAProxy' in balancer_state(muster, arn)['Reason']
    wait(lambda: starts() > 3, 'some tries', 20)
    assert starts() < 12, 'it is started again and again'
    warnings = muster.log.read_text().count('haproxy.ended')
    assert warnings < starts(), 'it is said again and again'
    assert muster.log.read_text().count('haproxy balancer=broken') == 1
    (place / 'broken').unlink()
    wait(lambda: status(url) == 200, 'it to serve', 20)
    wait(lambda: balancer_state(muster, arn) == {'Code': 'active'}, 'it to be active', 10)


def test_a_warden_that_may_not_fork_goes_on_when_it_may(muster, processes, subnets, group):
    """Nothing is given up, nothing said a hundred times, and the API answers all the while."""
    ec2 = muster.client('ec2')
    (processes / 'pids.max').write_text((processes / 'pids.current').read_text())
    try:
        made = ec2.run_instances(ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=1, MaxCount=1,
                                 SecurityGroupIds=[group], SubnetId=subnets[0])['Instances'][0]['InstanceId']
        wait(lambda: 'cannot fork' in muster.log.read_text(), 'the failure', 20)
        assert describe(muster, made)['State']['Name'] == 'pending'
    finally:
        (processes / 'pids.max').write_text('max')
    in_state(muster, made, 'running')
    assert muster.log.read_text().count('cannot fork') < 10
    ec2.terminate_instances(InstanceIds=[made])
    in_state(muster, made, 'terminated')


def test_a_warden_that_sleeps_for_a_while_misses_nothing(muster, subnets, group):
    ec2 = muster.client('ec2')
    os.kill(muster.process.pid, signal.SIGSTOP)
    try:
        made = ec2.run_instances(ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=1, MaxCount=1,
                                 SecurityGroupIds=[group], SubnetId=subnets[0])['Instances'][0]['InstanceId']
        for _ in range(10):
            assert describe(muster, made)['State']['Name'] == 'pending'
    finally:
        os.kill(muster.process.pid, signal.SIGCONT)
    in_state(muster, made, 'running')
    ec2.terminate_instances(InstanceIds=[made])
    in_state(muster, made, 'terminated')


@pytest.mark.nightly
def test_an_instance_that_hangs_at_its_end_or_in_its_boot_is_ended_all_the_same(muster, subnets, group):
    """One whose init ignores every signal to halt; and its image, whose init does nothing at all."""
    ec2 = muster.client('ec2')
    deaf = """#!/bin/sh
        printf '#!/bin/sh\\ntrap "" TERM INT HUP RTMIN+3\\nwhile :; do sleep 1000; done\\n' > /deaf
        chmod +x /deaf && mv /sbin/init /sbin/init.old && ln -s /deaf /sbin/init && touch /done
        mkdir -p /etc/systemd/system/x.service.d && printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\n\\
        ExecStart=/bin/true\\nExecStop=/bin/sleep 1000\\nTimeoutStopSec=infinity\\n' > /etc/systemd/system/x.service
        systemctl start x.service
        echo deaf now > /dev/console
    """
    hanging = ec2.run_instances(ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=1, MaxCount=1, UserData=deaf,
                                SecurityGroupIds=[group], SubnetId=subnets[0])['Instances'][0]['InstanceId']
    in_state(muster, hanging, 'running')
    wait(lambda: 'deaf now' in ec2.get_console_output(InstanceId=hanging).get('Output', ''), 'its user data to run', 20)
    image = image_of(muster, hanging, 'deaf')
    begun = time.monotonic()
    ec2.stop_instances(InstanceIds=[hanging])
    in_state(muster, hanging, 'stopped')
    assert time.monotonic() - begun > 5, 'it did not hang'
    silent = ec2.run_instances(ImageId=image, InstanceType='t2.micro', MinCount=1, MaxCount=1,
                               SecurityGroupIds=[group], SubnetId=subnets[0])['Instances'][0]['InstanceId']
    in_state(muster, silent, 'running')
    ec2.terminate_instances(InstanceIds=[silent, hanging])
    in_state(muster, silent, 'terminated')
    in_state(muster, hanging, 'terminated')
    wait(lambda: not any(made in name for made in (silent, hanging)
                         for name in os.listdir(muster.state_dir / 'instances')), 'their disks to go', 20)


# One port for each way of being bad.
BAD_PORTS = {8000: 'good', 8001: 'slow', 8002: 'half', 8003: 'cut', 8004: 'silent', 8005: 'endless', 8006: 'sick'}
BAD_SERVICE = r"""#!/bin/sh
cat > /usr/local/bin/bad <<'END'
#!/usr/bin/perl
use IO::Socket::INET;
$SIG{CHLD} = 'IGNORE';
my ($port, $way) = @ARGV;
my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 100, ReuseAddr => 1) or die;
while (my $client = $server->accept) {
    next if fork;
    while (<$client>) { last if /^\r?$/ }
    $client->autoflush(1);
    if ($way eq 'slow') { sleep 20 }
    if ($way eq 'silent') { sleep 1000 }
    if ($way eq 'sick') { print $client "HTTP/1.0 500 Sick\r\nContent-Length: 0\r\n\r\n"; exit }
    if ($way eq 'endless') { print $client "HTTP/1.1 200 OK\r\n"; for (;;) { print $client "X: y\r\n" x 100 or exit } }
    if ($way eq 'cut') { print $client "HTTP/1.1 200 OK\r\nContent-Le"; exit }
    if ($way eq 'half') { print $client "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"; sleep 1000 }
    print $client "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    exit;
}
END
chmod +x /usr/local/bin/bad
for pair in PAIRS; do
    systemd-run --unit "bad-${pair%=*}" /usr/local/bin/bad "${pair%=*}" "${pair#*=}"
done
""".replace('PAIRS', ' '.join(f'{port}={way}' for port, way in BAD_PORTS.items()))


@pytest.fixture(scope='module')
def bad(muster, subnets, group):
    """The instance with all of them."""
    made = muster.client('ec2').run_instances(
        ImageId=BASE_IMAGE, InstanceType='t2.small', MinCount=1, MaxCount=1, UserData=BAD_SERVICE,
        SecurityGroupIds=[group], SubnetId=subnets[0])['Instances'][0]['InstanceId']
    in_state(muster, made, 'running')
    return made


def target_group(muster, vpc, name, instance, ports):
    elbv2 = muster.client('elbv2')
    arn = elbv2.create_target_group(
        Name=name, Protocol='HTTP', Port=8000, VpcId=vpc, HealthCheckIntervalSeconds=10, HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2, UnhealthyThresholdCount=2)['TargetGroups'][0]['TargetGroupArn']
    elbv2.register_targets(TargetGroupArn=arn, Targets=[{'Id': instance, 'Port': port} for port in ports])
    return arn


def test_services_that_answer_badly_are_found_out_for_the_right_reason(muster, vpc, subnets, group, bad):
    elbv2 = muster.client('elbv2')
    arn = target_group(muster, vpc, 'bad', bad, BAD_PORTS)
    _, url = make_balancer(muster, 'bad', subnets, group, {'Type': 'forward', 'TargetGroupArn': arn})

    def health():
        return {BAD_PORTS[t['Target']['Port']]: (t['TargetHealth']['State'], t['TargetHealth'].get('Reason'))
                for t in elbv2.describe_target_health(TargetGroupArn=arn)['TargetHealthDescriptions']}

    expected = {way: ('unhealthy', 'Target.Timeout') for way in ('slow', 'half', 'silent')}
    expected |= {'good': ('healthy', None), 'sick': ('unhealthy', 'Target.ResponseCodeMismatch'),
                 'cut': ('unhealthy', 'Target.FailedHealthChecks'),
                 'endless': ('unhealthy', 'Target.FailedHealthChecks')}
    wait(lambda: health() == expected, f'their verdicts, {expected}', 30)
    assert [get(url + '/')[0] for _ in range(20)] == [200] * 20, 'only the good one is asked'


@pytest.mark.parametrize('way, code', [('slow', 504), ('cut', 502)])
def test_clients_are_told_that_the_target_failed(muster, vpc, subnets, group, bad, way, code):
    """The only target fails its checks: it is asked all the same, as on AWS."""
    [port] = [port for port, name in BAD_PORTS.items() if name == way]
    arn = target_group(muster, vpc, way, bad, [port])
    balancer, url = make_balancer(muster, way, subnets, group, {'Type': 'forward', 'TargetGroupArn': arn})
    muster.client('elbv2').modify_load_balancer_attributes(
        LoadBalancerArn=balancer, Attributes=[{'Key': 'idle_timeout.timeout_seconds', 'Value': '1'}])
    wait(lambda: status(url + '/') == code, f'{code}', 20)
