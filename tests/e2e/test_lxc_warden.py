"""What runs goes on when we are killed, is found again, and is gone without a trace after a purge.

A daemon of its own, for the warden itself is killed. Two instances with a tiny web server stand
behind a load balancer; somebody asks it all the while.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import daemon
from daemon import wait
from stack import BASE_IMAGE, Ssh, describe, get, in_state

pytestmark = pytest.mark.lxc

WEB = r"""#!/bin/sh
cat > /usr/local/bin/web <<'END'
#!/usr/bin/perl
use IO::Socket::INET;
$server = IO::Socket::INET->new(LocalPort => 8000, Listen => 100, ReuseAddr => 1);
while ($client = $server->accept) {
    while (<$client>) { last if /^\r?$/ }
    print $client "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    close $client;
}
END
chmod +x /usr/local/bin/web
printf '[Service]\nExecStart=/usr/local/bin/web\n[Install]\nWantedBy=multi-user.target\n' \
    > /etc/systemd/system/web.service
systemctl enable --now web
"""


class Site:
    """A daemon, two instances behind a load balancer, and what the kernel has of them."""

    def __init__(self, muster):
        self.muster = muster
        self.name = (muster.state_dir / 'site').read_text().strip()
        self.state = str(muster.state_dir)
        ec2, elbv2 = muster.client('ec2'), muster.client('elbv2')
        self.vpc = ec2.describe_vpcs()['Vpcs'][0]['VpcId']
        self.subnets = [s['SubnetId'] for s in ec2.describe_subnets()['Subnets'][:2]]
        self.group = ec2.create_security_group(GroupName='web', Description='web', VpcId=self.vpc)['GroupId']
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[
            {'IpProtocol': 'tcp', 'FromPort': port, 'ToPort': port, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}
            for port in (22, 80, 81, 8000)])
        self.ssh = Ssh(muster, 'warden', muster.directory)
        self.instances = [self.run() for _ in range(2)]
        self.target_group = elbv2.create_target_group(
            Name='web', Protocol='HTTP', Port=8000, VpcId=self.vpc, HealthCheckIntervalSeconds=10,
            HealthyThresholdCount=2, UnhealthyThresholdCount=2)['TargetGroups'][0]['TargetGroupArn']
        elbv2.modify_target_group_attributes(TargetGroupArn=self.target_group, Attributes=[
            {'Key': 'deregistration_delay.timeout_seconds', 'Value': '20'}])
        made = elbv2.create_load_balancer(Name='web', Subnets=self.subnets, SecurityGroups=[self.group])
        self.balancer = made['LoadBalancers'][0]['LoadBalancerArn']
        self.url = 'http://' + made['LoadBalancers'][0]['DNSName']
        self.listen(80)
        for instance in self.instances:
            in_state(muster, instance, 'running')
        self.register(self.instances)
        self.healthy(self.instances)

    def run(self, **parameters):
        return self.muster.client('ec2').run_instances(
            ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=1, MaxCount=1, KeyName='warden',
            UserData=WEB, **{'SecurityGroupIds': [self.group], 'SubnetId': self.subnets[0],
                             **parameters})['Instances'][0]['InstanceId']

    def listen(self, port):
        self.muster.client('elbv2').create_listener(
            LoadBalancerArn=self.balancer, Protocol='HTTP', Port=port,
            DefaultActions=[{'Type': 'forward', 'TargetGroupArn': self.target_group}])

    def register(self, instances):
        self.muster.client('elbv2').register_targets(
            TargetGroupArn=self.target_group, Targets=[{'Id': i} for i in instances])

    def healthy(self, instances):
        def are():
            found = self.muster.client('elbv2').describe_target_health(TargetGroupArn=self.target_group)
            good = {t['Target']['Id'] for t in found['TargetHealthDescriptions']
                    if t['TargetHealth']['State'] == 'healthy'}
            return good == set(instances)
        wait(are, f'{instances} to be healthy', 60)

    def shell(self, instance, command, check=True):
        return self.ssh.run(describe(self.muster, instance)['PublicIpAddress'], command, check)

    def processes(self, word):
        """Pids of the site's processes whose command line has the word."""
        found = {}
        for path in pathlib.Path('/proc').iterdir():
            try:
                line = (path / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
            except OSError:
                continue
            if path.name.isdigit() and int(path.name) != os.getpid() and self.state in line and word in line:
                found[int(path.name)] = line
        return found

    def monitors(self):
        return sorted(self.processes('[lxc monitor]'))

    def traces(self):
        """All that the machine has of this site."""
        nft = subprocess.run(['nft', 'list', 'tables'], capture_output=True, text=True, check=True).stdout
        mounts = pathlib.Path('/proc/self/mountinfo').read_text()
        links = subprocess.run(['ip', '-br', 'link'], capture_output=True, text=True, check=True).stdout
        return {
            'namespaces': [n for n in os.listdir('/run/netns') if self.name in n]
            if os.path.isdir('/run/netns') else [],
            'tables': [line for line in nft.splitlines() if self.name in line],
            'mounts': [line for line in mounts.splitlines() if self.state + '/' in line],
            'cgroups': [d for d, _, _ in os.walk('/sys/fs/cgroup') if f'muster-{self.name}-' in d],
            'processes': list(self.processes('').values()),
            'links': [line for line in links.splitlines() if line.startswith((f'mu-{self.name}-', f'n{self.name}'))],
            'loops': [line for line in subprocess.run(['losetup', '-a'], capture_output=True,
                                                      text=True).stdout.splitlines() if self.state in line],
            'locks': [d for d, _, _ in os.walk('/run/lxc') if d.endswith(self.state)],
            'files': [self.state] if os.path.exists(self.state) else [],
            'claims': [f for f in pathlib.Path('/var/lib/muster-sites').glob('[0-9]*')
                       if f.read_text() == self.state],
        }


class Asked:
    """Asks a URL all the while from several threads, and counts what comes back."""

    def __init__(self, url, clients=2):
        self.url, self.answers, self.over = url, collections.Counter(), threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self):
        while not self.over.is_set():
            try:
                self.answers[get(self.url)[0]] += 1
            except OSError as failure:
                self.answers[str(failure)] += 1
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def _status(url):
    try:
        return get(url)[0]
    except OSError:
        return None


def as_the_unit():
    """With no more capabilities than deploy/muster.service leaves."""
    unit = (daemon.ROOT / 'deploy/muster.service').read_text()
    names = [name for line in re.findall(r'^CapabilityBoundingSet=(.*)', unit, re.M) for name in line.split()]
    assert len(names) > 5
    kept = ''.join(',+' + name.removeprefix('CAP_').lower() for name in names)
    return ['setpriv', '--bounding-set', '-all' + kept, '--inh-caps=-all']


@pytest.fixture(scope='module')
def site():
    assert os.geteuid() == 0, 'these tests make containers: run them as root'
    directory = pathlib.Path('/var/tmp') / f'muster-warden-test-{os.getpid()}'
    directory.mkdir()
    try:
        for muster in daemon.fresh(directory, ['--compute', 'lxc', '--time-scale', '10'], wrapper=as_the_unit()):
            yield Site(muster)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_the_check_finds_all_that_is_needed():
    done = subprocess.run([daemon.binary('muster-warden'), '--check', '--json'], capture_output=True,
                          text=True, timeout=120)
    told = json.loads(done.stdout)
    assert told['ok'] and done.returncode == 0, told
    assert {c['name'] for c in told['checks']} >= {'root', 'id-mapped layers', 'nftables', 'CPU quota'}
    unprivileged = ['setpriv', '--bounding-set', '-sys_admin', '--reuid', '0']
    done = subprocess.run([*unprivileged, daemon.binary('muster-warden'), '--check'], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 1
    assert 'MISSING  mounts' in done.stdout and '--compute sim' in done.stdout


def test_an_instance_resolves_names_and_reaches_the_internet_only(site, internet):
    one, other = (describe(site.muster, i) for i in site.instances)
    address, name = other['PrivateIpAddress'], other['PrivateDnsName']
    assert site.shell(site.instances[0], f'getent ahostsv4 {name}').split()[0] == address
    assert site.shell(site.instances[0], f'getent hosts {address}').split()[1] == name
    nobody = name.replace(address.replace('.', '-'), '172-31-255-250')
    assert site.shell(site.instances[0], f'getent hosts {nobody}', check=False).returncode == 2
    ask = 'curl -s -m 3 -o /dev/null -w "%{http_code}" http://'
    assert site.shell(site.instances[0], f'{ask}{internet}/') == '200'
    host = internet.rsplit(':', 1)[0].rsplit('.', 1)[0] + '.1'
    for refused in (f'{host}:22', '10.1.2.3', '192.168.3.4', '100.127.0.1:22', '127.65.0.2'):
        assert site.shell(site.instances[0], f'{ask}{refused}/', check=False).stdout == '000', refused
    assert one['PublicIpAddress'] != other['PublicIpAddress']


@pytest.fixture
def internet():
    """A web server beyond the host: its address and port."""
    def ip(words):
        subprocess.run(['ip', *words.split()], check=True, capture_output=True)
    name, link = f'wt{os.getpid()}', f'wt{os.getpid()}'[:15]
    server = None
    try:
        ip(f'netns add {name}')
        ip(f'link add {link} type veth peer name eth0 netns {name}')
        ip(f'address add 198.51.100.1/24 dev {link}')
        ip(f'link set {link} up')
        ip(f'-n {name} address add 198.51.100.2/24 dev eth0')
        ip(f'-n {name} link set eth0 up')
        # Else only for the interface of the default route.
        pathlib.Path(f'/proc/sys/net/ipv4/conf/{link}/forwarding').write_text('1')
        server = subprocess.Popen(['ip', 'netns', 'exec', name, 'python3', '-m', 'http.server', '8099',
                                   '--bind', '198.51.100.2'], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, cwd='/run/netns')
        wait(lambda: _status('http://198.51.100.2:8099/') == 200, 'the server', 10)
        yield '198.51.100.2:8099'
    finally:
        if server is not None:
            server.kill()
            server.wait()
        subprocess.run(['ip', 'netns', 'delete', name], capture_output=True)
        subprocess.run(['ip', 'link', 'delete', link], capture_output=True)


def test_who_has_no_public_address_gets_nowhere(site, internet):
    lonely = site.muster.client('ec2').run_instances(
        ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=1, MaxCount=1, NetworkInterfaces=[
            {'DeviceIndex': 0, 'SubnetId': site.subnets[0], 'Groups': [site.group],
             'AssociatePublicIpAddress': False}])['Instances'][0]['InstanceId']
    inside = in_state(site.muster, lonely, 'running')
    assert 'PublicIpAddress' not in inside
    container = f'muster-{site.name}-{lonely}'
    done = subprocess.run(['lxc-attach', '-P', f'{site.state}/lxc', '-n', container, '--clear-env', '--',
                           '/usr/bin/curl', '-s', '-m', '2', f'http://{internet}/'], capture_output=True,
                          timeout=60)
    assert done.returncode in (7, 28), done
    site.muster.client('ec2').terminate_instances(InstanceIds=[lonely])
    in_state(site.muster, lonely, 'terminated')


def test_musterd_may_be_killed(site):
    """Clients of the load balancer notice nothing; the API and metadata wait."""
    before, haproxy = site.monitors(), sorted(site.processes('lb-'))
    tokens = ('for i in $(seq 40); do curl -sf -m 10 -o /dev/null -X PUT -H '
              '"X-aws-ec2-metadata-token-ttl-seconds: 60" http://169.254.169.254/latest/api/token || '
              'echo failed; sleep 0.05; done')
    with Asked(f'{site.url}/') as asked:
        inside = threading.Thread(target=lambda: asked.answers.update(
            site.shell(site.instances[0], tokens).split()))
        inside.start()
        time.sleep(0.5)
        site.muster.kill_musterd()
        assert len(site.muster.client('ec2').describe_instances()['Reservations']) >= 2
        site.healthy(site.instances)
        inside.join()
    assert set(asked.answers) == {200}, asked.answers
    assert site.monitors() == before, 'an instance was started again'
    assert sorted(site.processes('lb-')) == haproxy, 'HAProxy was started again'


def test_the_warden_may_be_killed(site):
    """Nobody outside notices; the next one finds all of it, and can change it."""
    before, haproxy = site.monitors(), sorted(site.processes('lb-'))
    with Asked(f'{site.url}/') as asked:
        site.muster.kill()
        wait(lambda: not site.processes('musterd --'), 'musterd to end with it', 10)
        time.sleep(1)
        assert site.monitors() == before
        site.muster.start()
        site.healthy(site.instances)
        assert site.monitors() == before, 'an instance was started again'
        assert sorted(site.processes('lb-')) == haproxy, 'HAProxy was started again'
        # What was adopted can be changed: a listener more, a target more, a target less.
        site.listen(81)
        third = site.run()
        in_state(site.muster, third, 'running')
        site.register([third])
        site.healthy([*site.instances, third])
        assert get(f'{site.url}:81/') == (200, 'hello')
        site.muster.client('elbv2').deregister_targets(TargetGroupArn=site.target_group,
                                                       Targets=[{'Id': third}])
        wait(lambda: len(site.muster.client('elbv2').describe_target_health(
            TargetGroupArn=site.target_group)['TargetHealthDescriptions']) == 2, 'it to be drained', 60)
        site.muster.client('ec2').terminate_instances(InstanceIds=[third])
        in_state(site.muster, third, 'terminated')
    assert set(asked.answers) == {200}, asked.answers
    assert asked.answers[200] > 100
    assert site.monitors() == before


def test_the_end_of_an_adopted_instance_is_noticed(site):
    third = site.run()
    site.ssh.ready(in_state(site.muster, third, 'running')['PublicIpAddress'])
    site.muster.restart(signal.SIGKILL)
    site.shell(third, 'sudo poweroff', check=False)
    in_state(site.muster, third, 'stopped')
    site.muster.client('ec2').terminate_instances(InstanceIds=[third])
    in_state(site.muster, third, 'terminated')


def test_an_adopted_haproxy_that_dies_is_replaced(site):
    site.muster.restart(signal.SIGKILL)
    site.healthy(site.instances)
    old = sorted(site.processes('lb-'))
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait(lambda: (now := sorted(site.processes('lb-'))) and not set(now) & set(old), 'another HAProxy', 20)
    wait(lambda: _status(f'{site.url}/') == 200, 'it to serve', 20)


def test_killed_in_the_midst_of_starts_and_ends_it_goes_on(site):
    """Whatever was half done is done, or undone, by the next one."""
    ec2 = site.muster.client('ec2')
    made = []
    for pause in (0.05, 0.15, 0.4):
        ids = [site.run() for _ in range(2)]
        if made:
            ec2.terminate_instances(InstanceIds=made[-2:])
        made += ids
        time.sleep(pause)
        site.muster.restart(signal.SIGKILL)
        ec2 = site.muster.client('ec2')
    for gone in made[:4]:
        in_state(site.muster, gone, 'terminated')
    for there in made[4:]:
        site.ssh.ready(in_state(site.muster, there, 'running')['PublicIpAddress'])
    slots = [p.read_text() for p in (site.muster.state_dir / 'instances').glob('*/slot')]
    assert len(slots) == len(set(slots)), 'two instances share a range of users'
    ec2.terminate_instances(InstanceIds=made[4:])
    for gone in made[4:]:
        in_state(site.muster, gone, 'terminated')
    wait(lambda: len(site.monitors()) == 2, 'only the first two to be left', 20)
    wait(lambda: sorted(os.listdir(site.muster.state_dir / 'instances')) == sorted(site.instances),
         'their directories to go', 20)
    site.healthy(site.instances)


def test_images_that_nobody_has_go(site):
    """One whose end musterd did not live to ask for, a copy in its midst, layers that nobody names."""
    images = site.muster.state_dir / 'images'
    unknown, unfinished, unnamed = 'ami-0123456789abcdef0', 'ami-0123456789abcdef1.new', 'ami-0123456789abcdef2'
    before = sorted(os.listdir(images))
    for name in (unknown, unfinished, unnamed):
        (images / name / 'layer' / 'etc').mkdir(parents=True)
    (images / unknown / 'layers').write_text(f'{images / unknown}/layer\n')
    site.muster.restart(signal.SIGKILL)
    wait(lambda: sorted(os.listdir(images)) == before, 'them to go', 20)


def test_after_a_power_failure_instances_boot_again_with_their_disks(site):
    """Processes, namespaces, rules and mounts are gone; only files are left."""
    site.shell(site.instances[0], 'echo kept > /home/admin/file && sync')
    site.muster.kill()
    for pid in [*site.monitors(), *site.processes('haproxy -db')]:
        os.kill(pid, signal.SIGKILL)
    wait(lambda: not site.monitors(), 'the containers to end', 20)
    for line in reversed(site.traces()['mounts']):
        subprocess.run(['umount', '--lazy', line.split()[4]], check=True)
    for name in site.traces()['namespaces']:
        subprocess.run(['ip', 'netns', 'delete', name], check=True)
        (pathlib.Path('/run/netns') / name).touch()  # As one that was killed in the midst of making it.
    for line in site.traces()['tables']:
        subprocess.run(['nft', 'delete', *line.split()], check=True)
    site.muster.start()
    site.healthy(site.instances)
    site.ssh.ready(describe(site.muster, site.instances[0])['PublicIpAddress'])  # sshd may boot after the service.
    assert site.shell(site.instances[0], 'cat /home/admin/file') == 'kept'
    wait(lambda: _status(f'{site.url}/') == 200, 'it to serve', 20)


def test_a_purge_leaves_nothing(site):
    """With the daemon running, an open ssh session and a command under way."""
    address = describe(site.muster, site.instances[0])['PublicIpAddress']
    session = subprocess.Popen(['ssh', *site.ssh.options, f'admin@{address}', 'sleep 1000'],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    site.listen(82)  # A successor, while the first one serves on.
    time.sleep(1)
    before = site.traces()
    for what in ('namespaces', 'tables', 'mounts', 'cgroups', 'processes', 'links', 'files', 'claims'):
        assert before[what], f'there are no {what}: this test looks at the wrong place'
    site.muster.purge()
    after = site.traces()
    assert not any(after.values()), after
    session.wait(30)
    assert site.muster.process.wait(10) == 0
    again = site.muster.purge()
    assert 'nothing to purge' in again.stdout
