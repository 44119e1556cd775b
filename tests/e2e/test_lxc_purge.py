"""A purge leaves the machine as it was, whatever came before it, and touches nothing but muster's.

Each round makes a site of its own, does something to it, and purges. Things that look like muster's
and are not stand by all the while.
"""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

import daemon
from daemon import wait
from stack import BASE_IMAGE, in_state

pytestmark = pytest.mark.lxc


def run(*words, check=True):
    return subprocess.run(words, capture_output=True, text=True, check=check)


def cgroup_roots():
    """Where each hierarchy is mounted."""
    lines = pathlib.Path('/proc/self/mountinfo').read_text().splitlines()
    return [pathlib.Path(line.split()[4]) for line in lines if ' - cgroup' in line]


class Decoys:
    """Not muster's, though they look like it."""

    def __init__(self, directory):
        self.directory = directory
        self.number = f'{os.getpid():06x}'[-6:]
        self.namespaces = [f'muster-{self.number}x', f'muster{self.number}', f'xmuster-{self.number}-vpc-1']
        self.link = f'mu-x{self.number}'
        self.tables = [f'muster-x{self.number}', f'muster{self.number}']
        self.groups = [root / name for root in cgroup_roots()[:1]
                       for name in (f'muster-x{self.number}', f'muster/x{self.number}')]
        self.files = []

    def __enter__(self):
        for name in self.namespaces:
            run('ip', 'netns', 'add', name)
        run('ip', 'link', 'add', self.link, 'type', 'veth', 'peer', 'name', self.link + 'y')
        for name in self.tables:
            run('nft', 'add', 'table', 'ip', name)
        for group in self.groups:
            group.mkdir(parents=True)
        # Processes with the names of ours, one of them beside the state directory.
        program = self.directory / 'haproxy'
        shutil.copy('/bin/sleep', program)
        self.processes = [subprocess.Popen([str(program), '1000']),
                          subprocess.Popen(['bash', '-c', 'exec -a "[lxc monitor] /nowhere/lxc muster-1" sleep 1000'])]
        (self.directory / 'lxc' / 'muster-000000-i-1').mkdir(parents=True)
        self.files = [self.directory / 'lxc' / 'muster-000000-i-1' / 'config', self.directory / 'disk.img',
                      self.directory / 'site']
        for file in self.files:
            file.write_text('precious')
        return self

    def check(self):
        """All are still there."""
        assert not [n for n in self.namespaces if not os.path.exists(f'/run/netns/{n}')]
        assert os.path.exists(f'/sys/class/net/{self.link}')
        tables = run('nft', 'list', 'tables').stdout
        assert not [t for t in self.tables if f'table ip {t}\n' not in tables]
        assert not [g for g in self.groups if not g.is_dir()]
        assert not [p.args for p in self.processes if p.poll() is not None]
        assert [f.read_text() for f in self.files] == ['precious'] * 3

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        for group in self.groups:
            group.rmdir()
        for root in cgroup_roots():
            try:
                (root / 'muster').rmdir()
            except OSError:
                pass
        for name in self.tables:
            run('nft', 'delete', 'table', 'ip', name)
        run('ip', 'link', 'delete', self.link)
        for name in self.namespaces:
            run('ip', 'netns', 'delete', name)


@pytest.fixture(scope='module')
def decoys():
    assert os.geteuid() == 0, 'these tests make containers: run them as root'
    directory = pathlib.Path('/var/tmp') / f'muster-purge-test-{os.getpid()}'
    directory.mkdir()
    try:
        with Decoys(directory) as decoys:
            yield decoys
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Site:
    """A running daemon with two instances and a load balancer under way."""

    def __init__(self, muster):
        self.muster = muster
        self.name = (muster.state_dir / 'site').read_text().strip()
        self.state = str(muster.state_dir)

    def launch(self, count):
        return [i['InstanceId'] for i in self.muster.client('ec2').run_instances(
            ImageId=BASE_IMAGE, InstanceType='t2.micro', MinCount=count, MaxCount=count)['Instances']]

    def fill(self):
        """Instances that run, and a load balancer."""
        ids = self.launch(2)
        ec2, elbv2 = self.muster.client('ec2'), self.muster.client('elbv2')
        subnets = [s['SubnetId'] for s in ec2.describe_subnets()['Subnets'][:2]]
        group = elbv2.create_target_group(Name='web', Protocol='HTTP', Port=80, VpcId=ec2.describe_vpcs()[
            'Vpcs'][0]['VpcId'])['TargetGroups'][0]['TargetGroupArn']
        balancer = elbv2.create_load_balancer(Name='web', Subnets=subnets)['LoadBalancers'][0]['LoadBalancerArn']
        elbv2.create_listener(LoadBalancerArn=balancer, Protocol='HTTP', Port=80,
                              DefaultActions=[{'Type': 'forward', 'TargetGroupArn': group}])
        for instance in ids:
            in_state(self.muster, instance, 'running')
        wait(lambda: list((self.muster.state_dir / 'haproxy' / 'run').glob('lb-*')), 'HAProxy', 20)
        return ids

    def traces(self):
        """All that the machine has of it."""
        processes = []
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                line = (path / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
            except OSError:
                continue
            if self.state in line and '--purge' not in line:
                processes.append(line)
        return {
            'namespaces': [n for n in os.listdir('/run/netns') if f'muster-{self.name}-' in n],
            'tables': [t for t in run('nft', 'list', 'tables').stdout.splitlines() if f'muster-{self.name}' in t],
            'mounts': [m for m in pathlib.Path('/proc/self/mountinfo').read_text().splitlines()
                       if f' {self.state}/' in m],
            'cgroups': [str(d) for root in cgroup_roots() for part in ('i', 'mon')
                        for d in (root / 'muster' / part).glob(f'muster-{self.name}-*')],
            'processes': processes,
            'links': [n for n in os.listdir('/sys/class/net') if n.startswith((f'mu-{self.name}-', f'n{self.name}'))],
            'loops': [line for line in run('losetup', '-a').stdout.splitlines() if self.state in line],
            'locks': [d for d, _, _ in os.walk('/run/lxc') if d.endswith(self.state)],
            'sockets': [line for line in pathlib.Path('/proc/net/unix').read_text().splitlines()
                        if self.state in line],
            'files': [self.state] if os.path.exists(self.state) else [],
            'claims': [f for f in pathlib.Path('/var/lib/muster-sites').glob('[0-9]*') if f.read_text() == self.state],
        }

    def purge(self):
        """To the end, and nothing is left."""
        done = run(daemon.binary('muster-warden'), '--purge', '--state-dir', self.state, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + str(self.traces())
        left = {kind: traces for kind, traces in self.traces().items() if traces}
        assert not left, left


@pytest.fixture
def site(decoys):
    """A fresh one, below the decoys' directory."""
    directory = decoys.directory / str(len(os.listdir(decoys.directory)))
    directory.mkdir()
    muster = daemon.Muster(directory, ['--compute', 'lxc', '--time-scale', '10'])
    try:
        yield Site(muster.start())
        decoys.check()
    finally:
        muster.kill()
        muster.purge()
        run('umount', str(muster.state_dir), check=False)


def test_after_the_warden_was_killed(site):
    site.fill()
    before = site.traces()
    for kind in ('namespaces', 'tables', 'mounts', 'cgroups', 'processes', 'links', 'files', 'claims'):
        assert before[kind], f'there are no {kind}: this test looks at the wrong place'
    site.muster.kill()
    site.purge()
    again = run(daemon.binary('muster-warden'), '--purge', '--state-dir', site.state)
    assert 'nothing to purge' in again.stdout


def test_of_what_is_half_made(site):
    """The warden works at starts while it is purged, or killed."""
    site.launch(3)
    time.sleep(0.1)
    site.purge()
    assert site.muster.process.wait(10) == 0
    shutil.rmtree(site.state, ignore_errors=True)
    site.muster.state_dir.mkdir(mode=0o700)
    for pause in (0.02, 0.12, 0.3):
        site.muster.port = 0
        site.muster.state_dir.mkdir(mode=0o700, exist_ok=True)
        site.muster.start()
        again = Site(site.muster)
        again.launch(2)
        time.sleep(pause)
        site.muster.kill()
        again.purge()


@pytest.mark.parametrize('rounds', [2, pytest.param(40, marks=pytest.mark.nightly)])
def test_interrupted_at_any_moment(site, rounds):
    """By SIGKILL and SIGINT, earlier and later; the one that is left alone ends it."""
    seed = int(os.environ.get('MUSTER_TEST_SEED', time.time()))
    chance = random.Random(seed)
    for i in range(rounds):
        if i > 0:
            site.muster.port = 0
            site.muster.state_dir.mkdir(mode=0o700)
            site = Site(site.muster.start())
        site.fill()
        command = [daemon.binary('muster-warden'), '--purge', '--state-dir', site.state]
        for longest in (0.05, 0.1, 0.2, 0.3, 0.4):
            purge = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, longest))
            purge.send_signal(chance.choice((signal.SIGKILL, signal.SIGINT)))
            if purge.wait(30) == 0:
                break
        done = run(*command, check=False)
        left = {kind: traces for kind, traces in site.traces().items() if traces}
        assert done.returncode == 0 and not left, (seed, i, done, left)


def test_a_full_disk_and_foreign_files(decoys):
    """The state directory is a file system of its own without a free byte; somebody has files in it."""
    directory = decoys.directory / 'full'
    directory.mkdir()
    muster = daemon.Muster(directory, ['--compute', 'lxc', '--time-scale', '10'])
    image = directory / 'small.img'
    run('truncate', '-s', '600M', str(image))
    run('mkfs.ext4', '-q', '-F', str(image))
    run('mount', '-o', 'loop', str(image), str(muster.state_dir))
    try:
        site = Site(muster.start())
        in_state(muster, site.launch(1)[0], 'running')
        (muster.state_dir / 'mine.txt').write_text('precious')
        with open(muster.state_dir / 'mine.big', 'wb', buffering=0) as big:
            with pytest.raises(OSError):
                while True:
                    big.write(bytes(1 << 20))
        muster.kill()
        done = run(daemon.binary('muster-warden'), '--purge', '--state-dir', site.state, check=False)
        assert done.returncode == 0, done
        assert sorted(p.name for p in muster.state_dir.iterdir()) == ['lost+found', 'mine.big', 'mine.txt']
        assert (muster.state_dir / 'mine.txt').read_text() == 'precious'
        left = {k: v for k, v in site.traces().items() if v and k not in ('files', 'mounts', 'loops')}
        assert not left, left
        assert f'{site.state}/' not in pathlib.Path('/proc/self/mountinfo').read_text()
        decoys.check()
    finally:
        muster.kill()
        muster.purge()
        run('umount', str(muster.state_dir), check=False)
