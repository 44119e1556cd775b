#!/usr/bin/python3
"""A musterd that was taken over: the warden starts it, and it tries to get more than it may.

What it tries and what came of it goes into STATE/musterd/report, a JSON object a line;
test_lxc_musterd.py judges. Its first life ends by deafness, its second one by the test.
"""
import array
import ctypes
import json
import os
import pathlib
import random
import select
import signal
import socket
import sys
import time

MAGIC = 0x6d757374
(INSTANCE, REBOOT, VPC, VPC_GONE, IMAGE, IMAGE_GONE, EXEC, SOCKETS, HAPROXY, HAPROXY_GONE, INVENTORY,
 CONSOLE, EVENT) = range(1, 14)
GONE, STOPPED, RUNNING = range(3)
BASE = b'ami-0deb1a12000000000'


def struct(*fields):
    return type('Struct', (ctypes.Structure,), {'_fields_': fields})


Header = struct(('magic', ctypes.c_uint32), ('op', ctypes.c_uint32), ('serial', ctypes.c_uint64),
                ('payload', ctypes.c_uint32), ('code', ctypes.c_int32), ('text', ctypes.c_char * 512))
Id = struct(('id', ctypes.c_char * 32))
Network = struct(('address', ctypes.c_uint32), ('bits', ctypes.c_int32))
Instance = struct(('id', ctypes.c_char * 32), ('vpc', ctypes.c_char * 32), ('image', ctypes.c_char * 32),
                  ('address', ctypes.c_uint32), ('subnet', Network), ('mac', ctypes.c_uint8 * 8),
                  ('cpu', ctypes.c_int32), ('state', ctypes.c_uint32), ('memory', ctypes.c_int64),
                  ('disk', ctypes.c_int64))
Vpc = struct(('id', ctypes.c_char * 32), ('cidr', Network), ('subnets', Network * 64),
             ('subnet_count', ctypes.c_uint32), ('internet', ctypes.c_uint8), ('lan', ctypes.c_uint8),
             ('listeners', ctypes.c_uint8), ('reserved', ctypes.c_uint8), ('groups', ctypes.c_uint32),
             ('ends', ctypes.c_uint32), ('rules', ctypes.c_uint32))
Image = struct(('instance', ctypes.c_char * 32), ('image', ctypes.c_char * 32))
Exec = struct(('instance', ctypes.c_char * 32), ('timeout_ms', ctypes.c_int64), ('output', ctypes.c_uint32),
              ('count', ctypes.c_uint32), ('bytes', ctypes.c_uint32), ('input', ctypes.c_uint32))
Listener = struct(('address', ctypes.c_uint32), ('port', ctypes.c_uint16), ('reserved', ctypes.c_uint16),
                  ('fd', ctypes.c_int32))
Haproxy = struct(('id', ctypes.c_char * 32), ('vpc', ctypes.c_char * 32), ('listeners', Listener * 256),
                 ('listener_count', ctypes.c_uint32), ('sources', ctypes.c_uint32 * 64),
                 ('source_count', ctypes.c_uint32), ('reload', ctypes.c_uint8), ('reserved', ctypes.c_uint8 * 3),
                 ('config_bytes', ctypes.c_uint32))

OURS = {'vpc': b'vpc-00000000000000001', 'instance': b'i-00000000000000001'}
HAPROXY_CONFIG = b'''global
    nbthread 1
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
listen all
    bind fd@100
'''


class Warden:
    """Its socket."""

    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)
        self.serial, self.fds = 1000, []  # Those of the last answer.

    def send(self, op, payload=b'', **fields):
        self.serial += 1
        header = Header(**{'magic': MAGIC, 'op': op, 'serial': self.serial, 'payload': len(payload), **fields})
        self.socket.send(bytes(header) + payload)
        return header.serial

    def receive(self, timeout=60):
        """Header, payload, descriptors; None when nothing comes."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return None
        data, control, _, _ = self.socket.recvmsg(256 * 1024, 4096)
        if not data:
            os._exit(0)
        fds = array.array('i')
        for _, _, part in control:
            fds.frombytes(part[:len(part) - len(part) % 4])
        return Header.from_buffer_copy(data), data[ctypes.sizeof(Header):], list(fds)

    def ask(self, op, payload=b'', **fields):
        """The answer's code and text; 0 when it was done."""
        serial = self.send(op, payload, **fields)
        while True:
            header, data, fds = self.receive()
            if header.serial == serial:
                for fd in self.fds:
                    os.close(fd)
                self.fds = fds
                return header.code, header.text.decode(), data, len(fds)


def instance(state=RUNNING, **fields):
    return bytes(Instance(**{'id': OURS['instance'], 'vpc': OURS['vpc'], 'image': BASE, 'address': 0x0a000005,
                             'subnet': Network(0x0a000000, 24), 'mac': (ctypes.c_uint8 * 8)(2, 1, 2, 3, 4, 5),
                             'cpu': 500, 'state': state, 'memory': 512 << 20, 'disk': 1 << 30, **fields}))


def vpc(name, **fields):
    return bytes(Vpc(**{'id': name, 'cidr': Network(0x0a000000, 16),
                        'subnets': (Network * 64)(Network(0x0a000000, 24)), 'subnet_count': 1, **fields}))


def command(target, *words, timeout_ms=60000):
    text = b''.join(word.encode() + b'\0' for word in words)
    return bytes(Exec(instance=target, timeout_ms=timeout_ms, output=1000, count=len(words), bytes=len(text))) + text


def tell(report, what, result):
    report.write(json.dumps({'what': what, 'result': result}) + '\n')
    report.flush()


def attempt(function):
    """None when it was refused."""
    try:
        return str(function())
    except OSError as problem:
        return None if problem.errno else str(problem)


def look_around(report, foreign, state):
    """What a process of user muster can do by itself."""
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getppid()

    def call(function, *arguments):
        if function(*arguments) < 0:
            raise OSError(ctypes.get_errno(), 'refused')
        return 'DONE'

    def enter(name):
        fd = os.open(f'/run/netns/{name}', os.O_RDONLY)
        return call(libc.setns, fd, 0x40000000)
    status = pathlib.Path('/proc/self/status').read_text()
    tell(report, 'uids', status.split('Uid:')[1].split()[:4])
    tell(report, 'capabilities', [line.split()[1] for line in status.splitlines() if line.startswith(
        ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'))])
    tell(report, 'new privileges', status.split('NoNewPrivs:')[1].split()[0])
    tell(report, 'descriptors', sorted(int(fd) for fd in os.listdir('/proc/self/fd') if int(fd) < 1000))
    for what, function in {
            'shadow': lambda: open('/etc/shadow').read(),
            'root': lambda: os.setuid(0),
            'mount': lambda: call(libc.mount, b'none', b'/mnt', b'tmpfs', 0, b''),
            'signal the warden': lambda: os.kill(parent, 0),
            'trace the warden': lambda: call(libc.ptrace, 0x4206, parent, 0, 0),
            'the warden\'s memory': lambda: open(f'/proc/{parent}/mem', 'rb'),
            'the warden\'s files': lambda: os.listdir(f'/proc/{parent}/fd'),
            'images': lambda: os.listdir(state / 'images'),
            'instances': lambda: os.listdir(state / 'instances'),
            'locks': lambda: os.listdir(state / 'locks'),
            'write the site': lambda: open(state / 'site', 'w'),
            'write a record': lambda: open(state / 'haproxy' / 'lb-00000001.pid', 'w'),
            'a foreign namespace': lambda: enter(foreign['namespace']),
            'foreign files': lambda: os.listdir(foreign['state'])}.items():
        tell(report, what, attempt(function))
    # The command socket of liblxc is abstract: everybody may connect, nobody else is heard.
    for number in range(24):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lxc:
                lxc.settimeout(0.3)
                lxc.connect('\0' + foreign['socket'])
                credentials = __import__('struct').pack('iII', os.getpid(), os.getuid(), os.getgid())
                lxc.sendmsg([number.to_bytes(4, 'little') + bytes(12)],
                            [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
                lxc.recv(100)
        except OSError:
            pass


def change_link(fd):
    """Through the socket that is for counting bytes: the kernel's answer, an errno."""
    netlink = socket.socket(fileno=os.dup(fd))
    netlink.setblocking(True)
    pack = __import__('struct').pack
    netlink.send(pack('IHHII', 32, 17, 5, 1, 0) + pack('BBHiII', 0, 0, 0, 1, 0, 0))  # RTM_DELLINK
    answer = netlink.recv(4096)
    return int.from_bytes(answer[16:20], 'little', signed=True)


def foreign_ids(warden, report, foreign):
    """Another site's names lead nowhere."""
    their_vpc, their = foreign['vpc'].encode(), foreign['instance'].encode()
    for what, op, payload in (
            ('exec', EXEC, command(their, 'true')),
            ('reboot', REBOOT, bytes(Id(their))),
            ('sockets', SOCKETS, bytes(Id(their_vpc))),
            ('image', IMAGE, bytes(Image(their, b'ami-00000001')))):
        tell(report, f'foreign {what}', warden.ask(op, payload)[:2])
    for op, payload in ((INSTANCE, instance(GONE, id=their)), (VPC_GONE, bytes(Id(their_vpc))),
                        (VPC, vpc(their_vpc)), (VPC_GONE, bytes(Id(their_vpc))),
                        (IMAGE_GONE, bytes(Id(foreign['image'].encode()))),
                        (HAPROXY_GONE, bytes(Id(foreign['haproxy'].encode())))):
        warden.ask(op, payload)


def garbage(warden, report, chance):
    """Random, truncated, out of order, huge, replayed, with lies in the header."""
    good = [(INSTANCE, instance()), (VPC, vpc(OURS['vpc'])), (EXEC, command(OURS['instance'], 'true')),
            (REBOOT, bytes(Id(OURS['instance']))), (HAPROXY, bytes(Haproxy(id=b'lb-00000001', vpc=OURS['vpc'])))]
    sent = 0

    def put(data, control=()):
        nonlocal sent
        try:
            warden.socket.sendmsg([data], control)
            sent += 1
        except OSError:
            pass  # Larger than any message may be.
        while warden.receive(0):
            pass
    for _ in range(300):
        put(chance.randbytes(chance.choice((1, 7, 535, 536, 537, 700, 5000, 60000))))
    for op, payload in good:
        whole = bytes(Header(MAGIC, op, 1, len(payload))) + payload
        for _ in range(40):
            put(whole[:chance.randrange(1, len(whole))])
            broken = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):  # Not the id's prefix alone: anything but the size.
                broken[chance.randrange(536, len(broken))] = chance.randrange(128, 256)
            put(bytes(broken))
            put(bytes(Header(MAGIC, op, 1, chance.getrandbits(32))) + payload)
    for op in (0, EVENT, EVENT + 1, EVENT + 2, 99, 2**32 - 1):
        put(bytes(Header(MAGIC, op, 0, 32)) + bytes(32))
    for size in (190_000, 196_608, 200_000, 1 << 20):
        put(bytes(Header(MAGIC, VPC, 1, size)) + bytes(size))
    null = os.open('/dev/null', os.O_RDONLY)
    for _ in range(200):
        put(bytes(Header(MAGIC, INVENTORY, 1, 1)) + b'x',
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [null] * 253))])
    for _ in range(20):  # The same, with the same number, again and again.
        put(bytes(Header(MAGIC, INVENTORY, 77, 0)))
    while warden.receive(1):
        pass
    tell(report, 'garbage', sent)


def first_life(warden, report, foreign, state):
    chance = random.Random(foreign['seed'])
    look_around(report, foreign, state)
    foreign_ids(warden, report, foreign)
    garbage(warden, report, chance)
    tell(report, 'vpc', warden.ask(VPC, vpc(OURS['vpc'], listeners=1))[::3])
    tell(report, 'change a link', change_link(warden.fds[-1]))
    tell(report, 'sockets', warden.ask(SOCKETS, bytes(Id(OURS['vpc'])))[::3])
    tell(report, 'instance', warden.ask(INSTANCE, instance())[:2])
    config = bytes(Haproxy(id=b'lb-00000001', vpc=OURS['vpc'], listener_count=1, listeners=(Listener * 256)(
        Listener(0x7f410002, 80, 0, 100)), config_bytes=len(HAPROXY_CONFIG)))
    tell(report, 'haproxy', warden.ask(HAPROXY, config + HAPROXY_CONFIG)[:2])
    # More networks than there may be.
    codes = [warden.ask(VPC, vpc(f'vpc-{i:08x}'.encode()))[0] for i in range(2, 70)]
    tell(report, 'many networks', [codes.count(0), len(codes)])
    for i in range(2, 70):
        warden.send(VPC_GONE, bytes(Id(f'vpc-{i:08x}'.encode())))
        warden.receive()
    tell(report, 'deaf', time.time())
    while True:
        warden.send(99)  # Each is answered, and no answer is read.


def second_life(warden, report):
    tell(report, 'second life', time.time())
    for _ in range(70):
        warden.send(EXEC, command(OURS['instance'], 'sleep', '1000', timeout_ms=48 * 3600 * 1000))
    serial, refused = warden.send(INVENTORY), 0
    while True:
        header, _, _ = warden.receive()
        refused += header.op == EXEC and header.code != 0
        if header.serial == serial:
            break
    tell(report, 'commands', [refused, header.code])
    tell(report, 'mute', time.time())
    warden.socket.close()
    signal.pause()


def third_life(report):
    tell(report, 'third life', time.time())
    tell(report, 'done', os.getpid())
    signal.pause()


def main():
    state = pathlib.Path(sys.argv[-1]) # --state-dir is the last option.
    foreign = json.loads((pathlib.Path(__file__).parent / 'foreign.json').read_text())
    path = state / 'report'
    before = path.read_text() if path.exists() else ''
    with open(path, 'a') as report:
        print(f'ready http://127.0.0.1:{socket.socket(fileno=os.dup(10)).getsockname()[1]}', flush=True)
        if '"mute"' in before:
            third_life(report)
        elif '"deaf"' in before:
            second_life(Warden(11), report)
        else:
            first_life(Warden(11), report, foreign, state.parent)


if __name__ == '__main__':
    main()
