"""An instance is hostile: its root tries whatever it can think of.

mallory is the hostile one; alice is her neighbour in the same subnet, with a role; bob is in another
VPC. Mallory acts through hostile.c, carried in by Systems Manager, which needs no network of hers.
"""
import base64
import collections
import contextlib
import gzip
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest

import daemon
from daemon import wait
from stack import BASE_IMAGE, describe, image_of, in_state

pytestmark = pytest.mark.lxc

TOKEN = ('token=$(curl -s -m 5 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" '
         'http://169.254.169.254/latest/api/token); ')
READ = 'curl -s -m 5 -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/'
IMDS = 'http://169.254.169.254/latest/'
CODE = 'curl -s -m 5 -o /dev/null -w "%{http_code}" '


class Machine:
    """An instance, and commands in it as root."""

    def __init__(self, muster, instance):
        self.muster, self.id = muster, instance

    @property
    def about(self):
        return describe(self.muster, self.id)

    @property
    def address(self):
        return self.about['PrivateIpAddress']

    @property
    def mac(self):
        return self.about['NetworkInterfaces'][0]['MacAddress']

    def begin(self, script):
        """Run it; the answer is a function that waits for its end."""
        ssm = self.muster.client('ssm')
        command = ssm.send_command(InstanceIds=[self.id], DocumentName='AWS-RunShellScript',
                                   Parameters={'commands': [script]})['Command']['CommandId']

        def end(check=True):
            def over():
                got = ssm.get_command_invocation(CommandId=command, InstanceId=self.id)
                return got if got['Status'] not in ('Pending', 'InProgress', 'Delayed') else None
            got = wait(over, script[:80], 60, 0.03)
            assert not check or got['Status'] == 'Success', (
                script[-200:], got['StandardOutputContent'], got['StandardErrorContent'])
            return got['StandardOutputContent'].strip()
        return end

    def run(self, script, check=True):
        return self.begin(script)(check)

    def hostile(self, words, check=True):
        return self.run(f'/tmp/hostile {words}', check)

    def cgroup(self, *files):
        """The number in the first of the files that there is: v1's "controller/file", v2's "file"."""
        site = (self.muster.state_dir / 'site').read_text().strip()
        for file in files:
            controller, _, name = file.rpartition('/')
            path = pathlib.Path('/sys/fs/cgroup') / controller / f'muster/i/muster-{site}-{self.id}' / name
            if path.exists():
                return path.read_text()
        raise AssertionError(f'no cgroup has {files}')


@pytest.fixture(scope='module')
def program(tmp_path_factory):
    """hostile.c as a line of shell that unpacks it."""
    binary = tmp_path_factory.mktemp('hostile') / 'hostile'
    source = pathlib.Path(__file__).with_name('hostile.c')
    subprocess.run([os.environ.get('CC', 'cc'), '-D_GNU_SOURCE', '-Os', '-s', '-o', str(binary), str(source)],
                   check=True)
    text = base64.b64encode(gzip.compress(binary.read_bytes())).decode()
    return f'echo {text} | base64 -d | gzip -d > /tmp/hostile && chmod +x /tmp/hostile'


@pytest.fixture(scope='module')
def world(lxc, program):
    """All three, running, and gone afterwards."""
    ec2, iam = lxc.client('ec2'), lxc.client('iam')
    trust = json.dumps({'Version': '2012-10-17', 'Statement': [{
        'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})
    for name in ('mallory', 'alice'):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        iam.attach_role_policy(RoleName=name,
                               PolicyArn='arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore')
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    group = ec2.create_security_group(GroupName='hostile', Description='ssh')['GroupId']
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    ec2.create_launch_template(LaunchTemplateName='hostile', LaunchTemplateData={
        'ImageId': BASE_IMAGE, 'InstanceType': 't2.micro', 'SecurityGroupIds': [group],
        'MetadataOptions': {'HttpTokens': 'required', 'HttpPutResponseHopLimit': 1}})
    vpc = ec2.create_vpc(CidrBlock='172.31.0.0/16')['Vpc']['VpcId']  # Overlaps the default one.
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='172.31.0.0/20')['Subnet']['SubnetId']

    def run(name, **parameters):
        return ec2.run_instances(
            MinCount=1, MaxCount=1, LaunchTemplate={'LaunchTemplateName': 'hostile'},
            InstanceType='t2.nano',
            IamInstanceProfile={'Name': name}, **parameters)['Instances'][0]['InstanceId']
    mine = ec2.describe_subnets(Filters=[{'Name': 'default-for-az', 'Values': ['true']}])['Subnets'][0]
    elsewhere = ec2.describe_security_groups(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['SecurityGroups'][0]
    ids = [run('mallory', SubnetId=mine['SubnetId']), run('alice', SubnetId=mine['SubnetId']),
           run('alice', SubnetId=subnet, SecurityGroupIds=[elsewhere['GroupId']])]
    try:
        for instance in ids:
            in_state(lxc, instance, 'running')
        managed = lxc.client('ssm').describe_instance_information
        wait(lambda: {n['InstanceId'] for n in managed()['InstanceInformationList']} >= set(ids),
             'the agents', 30)
        machines = [Machine(lxc, instance) for instance in ids]
        for end in [machine.begin(program) for machine in machines]:
            end()
        yield collections.namedtuple('World', 'muster mallory alice bob subnet')(lxc, *machines, mine)
    finally:
        ec2.terminate_instances(InstanceIds=ids)
        for instance in ids:
            in_state(lxc, instance, 'terminated')
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)


@pytest.fixture(scope='module')
def gateway(world):
    """Of mallory's subnet: its address and MAC."""
    words = world.mallory.run("ip route show default | awk '{ print $3 }'; ping -c1 -w2 $(ip route show default "
                              "| awk '{ print $3 }') > /dev/null 2>&1 || curl -s -m 2 http://169.254.169.254/; "
                              "ip neigh show dev eth0 | grep -oE 'lladdr [0-9a-f:]+' | head -1").split()
    return words[0], words[-1]


# The network.

def test_no_service_of_the_host_is_reached(world):
    """Neither at the host's addresses nor at those in between, whatever listens there."""
    addresses = {a['local'] for link in json.loads(subprocess.run(
        ['ip', '-j', '-4', 'address'], capture_output=True, check=True).stdout)
        for a in link['addr_info'] if not a['local'].startswith('127.')}
    assert addresses, 'the host has no address'
    addresses |= {world.mallory.run("ip route show default | awk '{ print $3 }'"), '169.254.169.254',
                  '169.254.169.252', '169.254.169.253', '100.127.0.1', '172.17.0.1', '192.168.1.1'}
    listener = socket.create_server(('0.0.0.0', 0))
    ports = {int(line.split()[3].rpartition(':')[2]) for line in subprocess.run(
        ['ss', '-Hltn'], capture_output=True, text=True, check=True).stdout.splitlines()}
    assert listener.getsockname()[1] in ports and world.muster.port in ports
    ports = sorted(ports)[:20] + [listener.getsockname()[1], world.muster.port, 22, 80, 53, 4566]
    pairs = sorted({(a, p) for a in addresses for p in ports})[:255]
    reached = world.mallory.hostile('connects 1500 ' + ' '.join(f'{a} {p}' for a, p in pairs)).split()
    assert sorted(reached) == ['169.254.169.252:4566', '169.254.169.254:80']
    listener.close()


def test_loopback_addresses_lead_nowhere(world, gateway):
    """A packet for 127.0.0.1 on the wire, where the host's own listeners would be."""
    mallory = world.mallory
    assert mallory.hostile(f'syn {gateway[1]} {mallory.address} 169.254.169.254 80') == 'answered'
    ends = [mallory.begin(f'/tmp/hostile syn {gateway[1]} {mallory.address} {target} {port}')
            for target, port in (('127.0.0.1', world.muster.port), ('127.0.0.1', 80), ('127.65.0.2', 80),
                                 ('0.0.0.0', world.muster.port), ('255.255.255.255', 80))]
    assert [end() for end in ends] == ['silence'] * 5


def test_nobody_speaks_for_another(world, gateway):
    """A neighbour's source address gets no answer, and neither does her address and MAC taken over."""
    mallory, alice = world.mallory, world.alice
    address, victim = mallory.address, alice.address
    ends = [mallory.begin(f'/tmp/hostile syn {gateway[1]} {source} {target} {port}')
            for source, target, port in ((victim, '169.254.169.254', 80), (victim, '169.254.169.252', 4566),
                                         (gateway[0], '169.254.169.254', 80), ('8.8.8.8', victim, 22),
                                         (victim, victim, 22), ('169.254.169.254', victim, 22))]
    assert [end() for end in ends] == ['silence'] * 6
    stolen = mallory.run(f"""
        ip link set eth0 address {alice.mac}
        ip address add {victim}/32 dev eth0
        sleep 0.2
        curl -s -m 1 --interface {victim} -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {IMDS}api/token
        echo "status $?"
        ip address del {victim}/32 dev eth0
        ip link set eth0 address {mallory.mac}
        ip route replace default via {gateway[0]} dev eth0""")
    assert stolen in ('status 28', 'status 7'), stolen
    wait(lambda: mallory.run(TOKEN + READ + 'instance-id', check=False) == mallory.id, 'her own network', 10)
    assert alice.run(TOKEN + READ + 'instance-id') == alice.id
    assert mallory.run(TOKEN + READ + 'local-ipv4') == address


def test_nobody_hears_her_neighbours_nor_is_heard_by_them(world, gateway):
    """ARP lies, DHCP, router advertisements, multicast: nothing of it arrives, nothing changes."""
    mallory, alice = world.mallory, world.alice
    marker = 'mallory-was-here'
    before = alice.run('ip neigh show dev eth0 | grep -o "lladdr.*" | cut -d" " -f2')
    hears = alice.begin(f'/tmp/hostile sniff {marker} 2')
    overhears = mallory.begin('/tmp/hostile sniff alice-says-this 3')
    time.sleep(0.4)
    assert int(mallory.hostile(f'shout {marker} {alice.address} {alice.mac} {gateway[0]}')) == 110
    for _ in range(3):
        assert alice.run(TOKEN + READ + 'instance-id') == alice.id
    alice.run(f'{CODE} http://169.254.169.254/alice-says-this', check=False)
    assert hears().split() == ['ready', '0']
    assert overhears().split() == ['ready', '0']
    assert alice.run('ip neigh show dev eth0 | grep -o "lladdr.*" | cut -d" " -f2') == before
    assert mallory.run(f'ping -6 -c1 -w1 ff02::1%eth0 2>&1 | grep -c "bytes from.*DUP"', check=False) in ('', '0')


def test_security_groups_and_vpcs_are_borders(world):
    mallory, alice, bob = world.mallory, world.alice, world.bob
    listen = ("systemd-run --quiet --unit=listen systemd-socket-activate --listen=9999 --accept --inetd cat; "
              "for i in $(seq 100); do ss -Hltn | grep -q :9999 && echo listens && break; sleep 0.1; done")
    ends = [machine.begin(listen) for machine in (alice, bob)]
    assert all(end().endswith('listens') for end in ends)
    # Bob's address may be taken in mallory's VPC as well: the networks overlap.
    reached = mallory.hostile(f'connects 1200 {alice.address} 22 {alice.address} 9999 {bob.address} 9999 '
                              f'100.127.0.2 22 100.127.0.6 22').split()
    assert reached == [f'{alice.address}:22']
    assert bob.hostile(f'connects 1200 {alice.address} 22 {mallory.address} 22 192.0.2.1 80 8.8.8.8 53') == ''


def test_what_goes_out_is_judged_too(world):
    """Egress rules, of several groups; a mark that she sets herself is none of ours."""
    mallory, alice, ec2 = world.mallory, world.alice, world.muster.client('ec2')
    own = mallory.about['SecurityGroups'][0]['GroupId']
    vpc, everywhere = mallory.about['VpcId'], [{'CidrIp': '0.0.0.0/0'}]
    groups = []
    for name, ports in (('mute', []), ('far', [9998, 9999]), ('near', [22])):
        groups.append(ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)['GroupId'])
        ec2.revoke_security_group_egress(GroupId=groups[-1], IpPermissions=[{'IpProtocol': '-1', 'IpRanges': everywhere}])
        for port in ports:
            ec2.authorize_security_group_egress(GroupId=groups[-1], IpPermissions=[
                {'IpProtocol': 'tcp', 'FromPort': port, 'ToPort': port, 'IpRanges': everywhere}])
    mute, far, near = groups
    try:
        for given, reached in (([own], True), ([mute], False), ([mute, far], False), ([mute, far, near], True), ([mute], False)):
            ec2.modify_instance_attribute(InstanceId=mallory.id, Groups=given)
            for how in ('connects', 'marked'):
                assert mallory.hostile(f'{how} 800 {alice.address} 22') == (f'{alice.address}:22' if reached else ''), given
    finally:
        ec2.modify_instance_attribute(InstanceId=mallory.id, Groups=[own])
        for group in groups:
            ec2.delete_security_group(GroupId=group)


# Metadata.

def test_tokens_are_required_when_the_template_says_so(world):
    codes = world.mallory.run(f"""
        {CODE} {IMDS}meta-data/; echo
        {CODE} -H 'X-aws-ec2-metadata-token: AAAA' {IMDS}meta-data/; echo
        {TOKEN} {CODE} -H "X-aws-ec2-metadata-token: $token" {IMDS}meta-data/; echo
        for ttl in 0 21601 -1 x 21600; do
            {CODE} -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: $ttl" {IMDS}api/token; echo
        done
        {CODE} -X PUT {IMDS}api/token; echo
        {CODE} -X PUT -H 'X-Forwarded-For: 1.2.3.4' -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {IMDS}api/token; echo
        token=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 1' {IMDS}api/token); sleep 1.3
        {CODE} -H "X-aws-ec2-metadata-token: $token" {IMDS}meta-data/; echo
        {CODE} -X POST {IMDS}meta-data/; echo""").split()
    assert codes == ['401', '401', '200', '400', '400', '400', '400', '200', '400', '403', '401', '405']
    stolen = world.alice.run(TOKEN + 'echo $token')
    assert world.mallory.run(f"{CODE} -H 'X-aws-ec2-metadata-token: {stolen}' {IMDS}meta-data/") == '401'


def test_she_gets_her_own_credentials_only(world):
    mallory, roles = world.mallory, 'iam/security-credentials/'
    assert mallory.run(TOKEN + READ + roles) == 'mallory'
    code = 'curl -s -m 5 -o /dev/null -w "%{http_code}" -H "X-aws-ec2-metadata-token: $token" '
    for path in (roles + 'alice', roles + '../../../../alice', f'%2e%2e/{world.alice.id}'):
        assert mallory.run(f'{TOKEN} {code} --path-as-is {IMDS}meta-data/{path}') == '404', path


def test_metadata_may_be_closed(world):
    ec2 = world.muster.client('ec2')
    ec2.modify_instance_metadata_options(InstanceId=world.mallory.id, HttpEndpoint='disabled')
    assert world.mallory.run(f'{CODE} {IMDS}meta-data/') == '403'
    ec2.modify_instance_metadata_options(InstanceId=world.mallory.id, HttpEndpoint='enabled')
    assert world.mallory.run(TOKEN + READ + 'instance-id') == world.mallory.id


def test_the_hop_limit_is_honoured(world, gateway):
    """A container inside her, behind her as a router, gets a token only from two hops on."""
    ec2, mallory = world.muster.client('ec2'), world.mallory
    address = mallory.address
    inner = f'nsenter --net -t $(cat /tmp/inner) {CODE} -m 1 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" {IMDS}api/token'
    # No NAT in the image: the inner one has her address, and she forwards for it.
    mallory.run(f"""
        set -e
        setsid unshare --net sleep 600 < /dev/null > /dev/null 2>&1 &
        echo $! > /tmp/inner
        sleep 0.3
        inner="nsenter --net -t $(cat /tmp/inner) ip"
        ip link add v0 type veth peer name v1 netns $(cat /tmp/inner)
        prefix=$(ip -4 -o address show eth0 | awk '{{ print $4 }}')
        echo $prefix > /tmp/prefix
        ip address del $prefix dev eth0
        ip address add 192.168.77.1/24 dev v0
        ip link set v0 up
        ip route add {address}/32 dev v0
        ip route add {gateway[0]}/32 dev eth0
        ip route add default via {gateway[0]} dev eth0
        ip neigh replace {gateway[0]} lladdr {gateway[1]} dev eth0
        $inner link set lo up
        $inner link set v1 up
        $inner address add {address}/32 dev v1
        $inner route add 192.168.77.1/32 dev v1
        $inner route add default via 192.168.77.1 dev v1
        for file in ip_forward conf/all/proxy_arp conf/eth0/proxy_arp conf/v0/proxy_arp; do
            echo 1 > /proc/sys/net/ipv4/$file
        done""")
    try:
        assert mallory.run(inner, check=False) == '000'
        assert mallory.run(f'nsenter --net -t $(cat /tmp/inner) {CODE} {IMDS}meta-data/', check=False) == '401', 'only tokens stay'
        ec2.modify_instance_metadata_options(InstanceId=mallory.id, HttpPutResponseHopLimit=2)
        assert mallory.run(inner, check=False) == '200'
        ec2.modify_instance_metadata_options(InstanceId=mallory.id, HttpPutResponseHopLimit=1)
        assert mallory.run(inner, check=False) == '000'
    finally:
        mallory.run(f"""
            kill $(cat /tmp/inner)
            ip link delete v0
            ip address add $(cat /tmp/prefix) dev eth0
            ip route replace default via {gateway[0]} dev eth0""", check=False)
    wait(lambda: mallory.run(TOKEN + READ + 'instance-id', check=False) == mallory.id, 'her own network', 10)


# Escapes.

def test_root_inside_is_nobody_outside(world):
    """Nothing of the host's kernel, disks, memory or processes is hers."""
    done = world.mallory.run("unshare --mount sh -c '/tmp/hostile escapes'").splitlines()
    assert len(done) > 70
    refused = {'EPERM', 'EACCES', 'ENOENT', 'EROFS', 'ENODEV', 'ESRCH', 'ENOSYS', 'ENXIO', 'EINVAL', 'ENOTBLK'}
    assert not [line for line in done if line.rpartition(': ')[2] not in refused]
    sure = dict(line.rpartition(': ')[::2] for line in done)
    for what in ('mknod a disk', 'module load', 'bpf map', 'open_by_handle_at', 'the clock', 'kexec'):
        assert sure[f'root {what}'] == 'EPERM', (what, sure[f'root {what}'])
        assert sure[f'nested {what}'] == 'EPERM', (what, sure[f'nested {what}'])
    assert not os.path.exists('/tmp/escape')
    # No release_agent anywhere, no command sockets of the host's, no process but her own.
    assert world.mallory.run('find /sys/fs/cgroup -name release_agent') == ''
    assert world.mallory.run('grep -c "@.*/lxc/" /proc/net/unix', check=False) == '0'
    assert world.mallory.run('cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "muster-[w]arden"', check=False) == '0'
    # What runs her commands brings nothing of the warden's along.
    assert world.mallory.run('ls -l /proc/self/fd | grep -vE "pipe:|/proc/|total|/dev/null"', check=False) == ''


def test_what_she_says_is_only_text(world):
    """Bytes of any kind, and more of them than anybody reads, in what her commands say."""
    said = world.mallory.run("printf 'a\\377\\000\\033[31m\\r\\n\\342\\202z'; head -c 3000000 /dev/urandom")
    assert said.startswith('a') and len(said) <= 24000
    assert world.mallory.run("printf '{\"Status\": \"Success\"}' >&2; echo fine") == 'fine'
    assert world.mallory.run('echo still here') == 'still here'


# Exhaustion.

def free_of(world):
    """What the neighbours and the host still can do while she holds what she took."""
    assert world.alice.run(TOKEN + READ + 'instance-id') == world.alice.id
    subprocess.run(['true'], check=True)


@contextlib.contextmanager
def holding(machine, *commands):
    """While she holds what the commands take; afterwards what they say is in the list."""
    machine.run('rm -f /tmp/release /tmp/holding.*')
    said, ends = [], [machine.begin(f'/tmp/hostile {command} 40') for command in commands]
    try:
        wait(lambda: machine.run('ls /tmp | grep -c holding', check=False) == str(len(commands)),
             'her to hold all of it', 30)
        yield said
    finally:
        machine.run('touch /tmp/release')
        said += [end() for end in ends]


def test_a_fork_bomb_hurts_nobody_else(world):
    ends = world.mallory.begin('/tmp/hostile forks 2')
    time.sleep(0.8)
    free_of(world)
    count, reason = ends(check=False).split()[:2]
    assert reason == 'EAGAIN' and 100 < int(count) <= 2048
    assert int(world.mallory.cgroup('pids/pids.max', 'pids.max')) == 2048


def test_memory_ends_inside(world):
    before = world.alice.run('cat /proc/uptime; systemctl is-active ssh')
    assert world.mallory.run('/tmp/hostile memory; echo "status $?"').endswith('status 137')
    free_of(world)
    assert before.split()[-1] == 'active'
    assert world.mallory.run('systemctl is-active ssh') == 'active'
    limit = int(world.mallory.cgroup('memory/memory.limit_in_bytes', 'memory.max'))
    assert limit == 512 << 20
    swap = world.mallory.cgroup('memory/memory.memsw.limit_in_bytes', 'memory.swap.max')
    assert int(swap) in (0, limit)


def test_her_disk_has_its_size(world):
    size, inodes = world.mallory.run("df -B1 / | tail -1 | awk '{ print $2 }'; df -i / | tail -1 | awk '{ print $2 }'"
                                     ).split()
    assert int(size) < 8 << 30 and int(inodes) < 1 << 20
    assert world.mallory.run('fallocate -l 20G /fill 2>&1; echo $?; rm -f /fill').endswith('1')


def test_what_all_share_is_not_hers_to_take(world):
    """Kinds of things that the kernel counts for root, too: more than any default limit."""
    capable = int(re.search(r'CapEff:\s*(\w+)', pathlib.Path('/proc/self/status').read_text()).group(1), 16)
    with holding(world.mallory, 'many inotify 6000', 'many signals 100000', 'many uts 3000', 'many keys 5000') as got:
        assert world.alice.hostile('many keys 50 0') == '50 0'
        assert world.alice.hostile('many inotify 50 0') == '50 0'
        if capable & 1 << 24:  # CAP_SYS_RESOURCE: without it the warden cannot lift these limits.
            assert world.alice.hostile('many signals 1000 0') == '1000 0'
        assert world.alice.hostile('many uts 50 0') == '50 0'
        free_of(world)
    assert got[0] == '6000 0' and got[2:] == ['3000 0', '5000 0'], got
    for file in ('fs/inotify/max_user_instances', 'fs/inotify/max_user_watches',
                 *(['user/max_uts_namespaces'] if capable & 1 << 24 else [])):
        assert int(pathlib.Path('/proc/sys', file).read_text()) == 2**31 - 1, file


def test_neighbour_entries_are_not_hers_to_take(world):
    base = world.subnet['CidrBlock'].partition('/')[0].rsplit('.', 2)[0]
    sent = world.mallory.hostile(f'neighbours {base}.4.1 2500').split()
    assert int(sent[0]) > 2000, sent
    assert world.alice.hostile(f'neighbours {base}.12.1 20') == '20 0'


def test_her_cpu_is_that_of_her_type(world):
    spin = '; '.join(['timeout 3 sh -c "while :; do :; done" &'] * 4).replace('&;', '&')
    quota = world.mallory.cgroup('cpu/cpu.cfs_quota_us', 'cpu.max').split()[0]
    used = lambda: float(re.search(r'\d+', world.mallory.cgroup('cpuacct/cpuacct.usage', 'cpu.stat')).group())
    scale = 1e9 if used() > 1e9 or True and pathlib.Path('/sys/fs/cgroup/cpuacct').exists() else 1e6
    world.mallory.run(f'({spin}) > /dev/null 2>&1; true')
    time.sleep(0.3)
    begin, since = used(), time.monotonic()
    time.sleep(2)
    share = (used() - begin) / scale / (time.monotonic() - since)
    assert 0.5 * int(quota) / 100000 < share < 1.2 * int(quota) / 100000, (share, quota)


def test_connections_and_flows_are_bounded(world):
    """She may not take all places of the metadata service, the API or the connection table."""
    mallory, alice = world.mallory, world.alice
    with holding(mallory, 'crowd 169.254.169.254 80 300', 'crowd 169.254.169.252 4566 300') as kept:
        free_of(world)
        assert alice.run(f'{CODE} http://169.254.169.252:4566/') in ('400', '403', '404')
    assert all(50 < int(count) <= 100 for count in kept), kept
    assert int(mallory.hostile(f'flows {alice.address} 9 20000')) == 20000
    site = (world.muster.state_dir / 'site').read_text().strip()
    vpc = alice.about['VpcId']
    count = int(subprocess.run(['ip', 'netns', 'exec', f'muster-{site}-{vpc}', 'cat',
                                '/proc/sys/net/netfilter/nf_conntrack_count'],
                               capture_output=True, check=True).stdout)
    assert count < 10000, count
    free_of(world)


def test_her_log_is_not_the_hosts(world):
    """What she writes to console, kernel log or journal stays hers."""
    def size():
        return sum(p.stat().st_size for p in world.muster.state_dir.rglob('*')
                   if p.is_file() and p.name != 'disk.img') + world.muster.log.stat().st_size
    before = size()
    world.mallory.run('timeout 3 sh -c "head -c 5M /dev/zero | tr \'\\0\' x | fold > /dev/console"; '
                      'head -c 1M /dev/zero | tr "\\0" x | fold | logger; true', check=False)
    assert size() - before < 4 << 20


# The end: what follows they do not survive.

def nobody(*words):
    """A command as another user of the host's: its exit status."""
    return subprocess.run(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups',
                           'sh', '-c', '"$0" "$@"', *words], capture_output=True).returncode


def groups_of(world, machine):
    site = (world.muster.state_dir / 'site').read_text().strip()
    found = subprocess.run(['find', '/sys/fs/cgroup', '-maxdepth', '4', '-name', f'muster-{site}-{machine.id}'],
                           capture_output=True, text=True)
    return found.stdout.split()


def test_an_image_of_traps_harms_nobody(world):
    """Links, pipes, endless files, deep trees and setuid programs: copied, kept away, removed."""
    mallory, state = world.mallory, world.muster.state_dir
    assert mallory.run("""
        set -e
        mkdir /traps
        cd /traps
        mkfifo pipe
        ln -s /etc/shadow link
        ln -s / root
        truncate -s 1T endless
        cp /bin/sh setuid
        chmod 4755 setuid
        mkdir deep
        /tmp/hostile deep /traps/deep 700 4""") == '700'
    image = image_of(world.muster, mallory.id, 'traps')
    traps = state / 'images' / image / 'layer' / 'traps'
    status = (traps / 'setuid').stat()
    assert status.st_uid == 0 and status.st_mode & 0o4000, 'there is nothing to protect'
    assert (traps / 'endless').stat().st_blocks < 100 and (traps / 'pipe').is_fifo()
    assert os.readlink(traps / 'link') == '/etc/shadow'
    assert nobody(str(traps / 'setuid'), '-c', 'true') != 0
    assert nobody('ls', str(state)) != 0 and nobody('true') == 0
    assert nobody('ls', str(state / 'instances' / mallory.id / 'merged')) != 0
    for base in pathlib.Path('/var/cache/muster').glob('base-*/rootfs'):
        if base.parent.name in (state / 'images' / BASE_IMAGE / 'layers').read_text():
            assert nobody(str(base / 'usr/bin/sudo'), '-V') != 0, base
    world.muster.client('ec2').deregister_image(ImageId=image)
    wait(lambda: not (state / 'images' / image).exists(), 'the image to go', 20)


def test_an_image_that_fails_leaves_nothing_and_nobody_frozen(world):
    """A path that is too long for any copy; and work that is killed in its midst."""
    mallory, ec2, state = world.mallory, world.muster.client('ec2'), world.muster.state_dir

    def states(image):
        return ec2.describe_images(ImageIds=[image])['Images'][0]['State']
    mallory.run('mkdir -p /traps/long && /tmp/hostile deep /traps/long 30 255')
    image = ec2.create_image(InstanceId=mallory.id, Name='long', NoReboot=True)['ImageId']
    wait(lambda: states(image) == 'failed', 'the image to fail', 20)
    assert not (state / 'images' / image).exists() and not (state / 'images' / f'{image}.new').exists()
    assert mallory.run('rm -rf /traps; mkdir /many; cd /many; seq 20000 | xargs touch; echo goes on') == 'goes on'

    def copier():
        """The warden's process that waits for cp."""
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if f'{state}/instances/{mallory.id}/view' in (path / 'cmdline').read_text():
                    return int((path / 'stat').read_text().rpartition(')')[2].split()[1])
            except OSError:
                pass
        return None
    image = ec2.create_image(InstanceId=mallory.id, Name='many', NoReboot=True)['ImageId']
    os.kill(wait(copier, 'the copy to begin', 20, 0.002), 9)
    wait(lambda: states(image) == 'failed', 'the image to fail', 20)
    assert mallory.run('rm -rf /many; echo goes on') == 'goes on'


def test_links_in_place_of_system_directories_lead_nowhere(world, tmp_path_factory):
    """What is mounted at a start stays inside, and she can be ended whatever she did."""
    bob, ec2 = world.bob, world.muster.client('ec2')
    decoy = tmp_path_factory.mktemp('decoy')
    (decoy / 'precious').write_text('kept')
    up = '../' * 12
    nested = bob.run("""
        for top in /sys/fs/cgroup /sys/fs/cgroup/*; do
            [ ! -d $top ] || /tmp/hostile deep $top 300 100 2> /dev/null
        done""").split()
    assert max(map(int, nested)) >= 50, nested
    bob.run(f"""
        unshare --mount sh -c 'mount --bind / /mnt && cd /mnt && for name in dev proc sys run; do
            rm -rf $name; ln -s {up}{decoy} $name; done'
        ip link delete eth0""", check=False)
    ec2.stop_instances(InstanceIds=[bob.id])
    in_state(world.muster, bob.id, 'stopped')
    upper = world.muster.state_dir / 'instances' / bob.id
    ec2.start_instances(InstanceIds=[bob.id])
    wait(lambda: bob.about['State']['Name'] != 'pending', 'the start to end', 40)
    time.sleep(0.5)
    assert [p.name for p in decoy.iterdir()] == ['precious'] and (decoy / 'precious').read_text() == 'kept'
    mounts = pathlib.Path('/proc/self/mountinfo').read_text()
    assert str(decoy) not in mounts
    ec2.terminate_instances(InstanceIds=[bob.id])
    in_state(world.muster, bob.id, 'terminated')
    wait(lambda: not upper.exists(), 'its disk to go', 20)
    wait(lambda: not groups_of(world, bob), 'its cgroups to go', 20)


def test_who_reboots_for_ever_is_held(world):
    """Starting her anew is work of the host's: bounded, and so is what is said about it."""
    mallory, ec2 = world.mallory, world.muster.client('ec2')
    site = (world.muster.state_dir / 'site').read_text().strip()
    mallory.run("printf '#!/usr/bin/perl\\nsyscall(169, 0xfee1dead, 672274793, 0x1234567, 0);\\nexit\\n' > /init; "
                "chmod +x /init; ln -sf /init /sbin/init")
    monitors = [p for p in ('/sys/fs/cgroup/cpuacct', '/sys/fs/cgroup')
                if os.path.exists(f'{p}/muster/mon/muster-{site}-{mallory.id}')]
    file = pathlib.Path(monitors[0], 'muster/mon', f'muster-{site}-{mallory.id}',
                        'cpuacct.usage' if 'cpuacct' in monitors[0] else 'cpu.stat')
    used = lambda: int(re.search(r'\d+', file.read_text()).group()) / (1e9 if 'cpuacct' in monitors[0] else 1e6)
    ec2.reboot_instances(InstanceIds=[mallory.id])
    time.sleep(1.5)
    if file.exists():  # Else liblxc gave up.
        begin, since = used(), time.monotonic()
        time.sleep(2)
        if file.exists():
            assert (used() - begin) / (time.monotonic() - since) < 0.65
    free_of(world)
    log = world.muster.state_dir / 'log' / f'{mallory.id}.lxc'
    assert not log.exists() or log.stat().st_size < 3 << 20
    ec2.terminate_instances(InstanceIds=[mallory.id])
    in_state(world.muster, mallory.id, 'terminated')
    wait(lambda: not groups_of(world, mallory), 'her cgroups to go', 20)
