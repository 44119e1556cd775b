"""musterd was taken over: it gets no root, no host file, no foreign namespace, and crashes nothing.

A real warden starts hostile_musterd.py in place of musterd. Afterwards a real one takes its place.
"""
import errno
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import time

import pytest

import daemon
from daemon import wait
from stack import BASE_IMAGE, describe, in_state

pytestmark = pytest.mark.lxc


@pytest.fixture(scope='module')
def foreign(lxc):
    """What another site of this machine has, and the hostile one may not touch."""
    ec2 = lxc.client('ec2')
    instance = ec2.run_instances(ImageId=BASE_IMAGE, InstanceType='t2.nano', MinCount=1,
                                 MaxCount=1)['Instances'][0]['InstanceId']
    vpc = in_state(lxc, instance, 'running')['VpcId']
    name = (lxc.state_dir / 'site').read_text().strip()
    yield {'state': str(lxc.state_dir), 'instance': instance, 'vpc': vpc, 'image': BASE_IMAGE,
           'haproxy': f'pub-{vpc[4:]}', 'namespace': f'muster-{name}-{vpc}', 'name': name,
           'socket': f'{lxc.state_dir}/lxc/muster-{name}-{instance}/command', 'seed': int(time.time())}
    ec2.terminate_instances(InstanceIds=[instance])
    in_state(lxc, instance, 'terminated')


@pytest.fixture(scope='module')
def site(foreign):
    """The warden, its programs, and what the hostile one reports."""
    directory = pathlib.Path('/var/tmp') / f'muster-hostile-test-{os.getpid()}'
    programs = directory / 'src'
    for name in ('warden', 'musterd'):
        (programs / name).mkdir(parents=True)
    shutil.copy(daemon.binary('muster-warden'), programs / 'warden')
    shutil.copy(pathlib.Path(__file__).with_name('hostile_musterd.py'), programs / 'musterd' / 'musterd')
    (programs / 'musterd' / 'musterd').chmod(0o755)
    (programs / 'musterd' / 'foreign.json').write_text(json.dumps(foreign))
    real, muster = daemon.BUILD, daemon.Muster(directory, ['--compute', 'lxc', '--time-scale', '10'])
    muster.state_dir.chmod(0o711)
    daemon.BUILD = directory
    try:
        muster.start()
        yield Site(muster, programs / 'musterd' / 'musterd')
    finally:
        muster.stop()
        muster.purge()
        daemon.BUILD = real
        shutil.rmtree(directory, ignore_errors=True)


class Site:
    def __init__(self, muster, program):
        self.muster, self.program = muster, program
        self.name = (muster.state_dir / 'site').read_text().strip()
        self.descriptors = self.count_descriptors()

    def count_descriptors(self):
        return len(os.listdir(f'/proc/{self.muster.process.pid}/fd'))

    def report(self, what, timeout=60):
        """What came of it, once it is there."""
        def found():
            try:
                lines = (self.muster.state_dir / 'musterd' / 'report').read_text().splitlines()
            except OSError:
                lines = []
            assert self.muster.process.poll() is None, 'the warden ended' + self.muster.log_lines(30)
            return [json.loads(line)['result'] for line in lines if json.loads(line)['what'] == what]
        try:
            return wait(found, f'the report of {what}', timeout)[0]
        except AssertionError as failure:
            raise AssertionError(str(failure) + self.muster.log_lines(30)) from None


def test_it_is_nobody(site):
    user = pwd.getpwnam('muster')
    assert site.report('uids') == [str(user.pw_uid)] * 4
    assert site.report('capabilities') == ['0' * 16] * 4
    assert site.report('new privileges') == '1'
    assert set(site.report('descriptors')) - {3, 4, 5} == {0, 1, 2, 10, 11}, 'the interpreter has three'
    for what in ('shadow', 'root', 'mount', 'signal the warden', 'trace the warden', 'the warden\'s memory',
                 'the warden\'s files', 'images', 'instances', 'locks', 'write the site', 'write a record',
                 'a foreign namespace', 'foreign files'):
        assert site.report(what) is None, what


def test_another_sites_names_lead_nowhere(site, lxc, foreign):
    for what in ('exec', 'reboot', 'sockets', 'image'):
        assert site.report(f'foreign {what}')[0] != 0, what
    site.report('garbage')
    assert describe(lxc, foreign['instance'])['State']['Name'] == 'running'
    assert os.path.exists(f'/run/netns/{foreign["namespace"]}')
    links = os.listdir('/sys/class/net')
    assert [link for link in links if link.startswith(f'mu-{foreign["name"]}-')], links
    names = subprocess.run(['ip', '-n', foreign['namespace'], '-br', 'link'], capture_output=True, text=True,
                           check=True).stdout
    assert f'm{foreign["instance"][2:15]}' in names


def test_garbage_is_refused(site):
    assert site.report('garbage') > 1000
    assert site.muster.process.poll() is None
    site.report('instance')
    assert site.count_descriptors() < site.descriptors + 20, 'descriptors that it was sent stay'
    text = site.muster.log.read_text(errors='replace')
    assert 'ASSERT' not in text and 'Sanitizer' not in text


def test_what_is_its_business_is_done(site):
    """The refusals are for their reasons."""
    assert site.report('vpc') == [0, 5] and site.report('sockets') == [0, 64]
    assert site.report('instance') == [0, ''] and site.report('haproxy') == [0, '']
    assert site.report('change a link') == -errno.EPERM, 'the socket is for reading'
    networks, asked = site.report('many networks')
    assert networks == 63 and asked == 68, 'it makes networks without end'


def test_haproxy_is_nobody_either(site):
    site.report('haproxy')
    path = f'{site.muster.state_dir}/haproxy/lb-00000001.cfg'

    def process():
        for entry in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if path in (entry / 'cmdline').read_text():
                    return (entry / 'status').read_text()
            except OSError:
                pass
        return None
    status = wait(lambda: (text := process()) and 'haproxy' in text and text, 'HAProxy', 10)
    assert status.split('Uid:')[1].split()[:4] == [str(pwd.getpwnam('muster-haproxy').pw_uid)] * 4
    assert status.split('CapEff:')[1].split()[0] == '0' * 16
    assert status.split('NoNewPrivs:')[1].split()[0] == '1'


def test_who_does_not_listen_is_replaced(site):
    """The warden waits some seconds for it, not for ever."""
    assert site.report('second life', 90) - site.report('deaf') < 30
    assert 'musterd.deaf' in site.muster.log.read_text(errors='replace')


def test_commands_do_not_take_all_places(site):
    refused, inventory = site.report('commands')
    assert inventory == 0 and refused >= 70 - 48


def test_who_hangs_up_is_replaced(site):
    """It lives on, but can neither ask nor hear."""
    assert site.report('third life', 20) - site.report('mute') < 10


def test_a_real_one_works_on(site):
    """It finds the warden as it should be, removes what it does not know, and starts instances."""
    pid = site.report('done')
    fresh = site.program.with_name('fresh')
    shutil.copy(daemon.ROOT / 'build' / 'src' / 'musterd' / 'musterd' if 'MUSTER_BUILD' not in os.environ
                else pathlib.Path(os.environ['MUSTER_BUILD']) / 'src' / 'musterd' / 'musterd', fresh)
    begin = site.muster.log.stat().st_size
    (site.muster.state_dir / 'musterd' / 'report').unlink()
    fresh.rename(site.program)
    os.kill(pid, 9)
    wait(lambda: 'ready http' in site.muster.log.read_bytes()[begin:].decode(errors='replace'), 'the real one', 30)
    ec2 = site.muster.client('ec2')
    instance = ec2.run_instances(ImageId=BASE_IMAGE, InstanceType='t2.nano', MinCount=1,
                                 MaxCount=1)['Instances'][0]['InstanceId']
    in_state(site.muster, instance, 'running')
    wait(lambda: os.listdir(site.muster.state_dir / 'instances') == [instance], 'the unknown one to go', 30)
    wait(lambda: not [n for n in os.listdir('/run/netns') if f'{site.name}-vpc-00000000000000001' in n],
         'the unknown network to go', 30)
