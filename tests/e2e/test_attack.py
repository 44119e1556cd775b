"""Attackers on the host, without muster's keys: what they send, and what another user can reach."""
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

import daemon

NOBODY = 65534
OPTIONS = ['--compute', 'sim', '--log-level', 'debug']


@pytest.fixture(scope='module')
def sim(tmp_path_factory):
    """Started with umask 000: what is closed, it closed itself."""
    directory = tmp_path_factory.mktemp('attack')
    before = os.umask(0)
    try:
        yield from daemon.fresh(directory, OPTIONS)
    finally:
        os.umask(before)


def served(muster):
    began = time.monotonic()
    assert muster.client('sts').get_caller_identity()['Account']
    return time.monotonic() - began


def answer(muster, request, timeout=10):
    """All bytes that come back until the other side closes, or for a second."""
    with socket.create_connection(('127.0.0.1', muster.port), timeout=timeout) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(1)
            got = b''
            while True:
                piece = connection.recv(65536)
                if not piece:
                    return got
                got += piece
        except TimeoutError:
            return got
        except (ConnectionResetError, BrokenPipeError):
            return b''


BROKEN = [
    ('two lengths', b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde'),
    ('length and coding', b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    ('unknown coding', b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'),
    ('negative length', b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n'),
    ('endless header', b'GET / HTTP/1.1\r\nHost: a\r\nX: ' + b'a' * 200000 + b'\r\n\r\n'),
    ('endless line', b'GET /' + b'a' * 200000 + b' HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('garbage', bytes(range(256)) * 64),
    ('NUL in a header', b'GET / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: a\0b\r\n\r\n'),
    ('bad UTF-8', b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nContent-Type: '
     b'application/x-www-form-urlencoded\r\n\r\nAction=\xff\xfe'),
]


@pytest.mark.parametrize('name, request_bytes', BROKEN)
def test_broken_requests_are_refused(sim, name, request_bytes):
    got = answer(sim, request_bytes)
    assert got == b'' or re.match(rb'HTTP/1\.[01] [45]\d\d ', got), (name, got[:200])
    served(sim)


def test_slow_clients_do_not_keep_others_waiting(sim):
    slow = [socket.create_connection(('127.0.0.1', sim.port)) for _ in range(300)]
    try:
        for byte in b'POST /':
            for connection in slow:
                connection.send(bytes([byte]))
            assert served(sim) < 3
    finally:
        for connection in slow:
            connection.close()


def test_endless_bodies_end(sim):
    """One that never ends is cut at four times the bound; one that is only promised is refused."""
    sent, piece = 0, b'100000\r\n' + b'a' * 0x100000 + b'\r\n'
    with socket.create_connection(('127.0.0.1', sim.port), timeout=10) as connection:
        connection.sendall(b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while sent < 200 << 20:
                connection.sendall(piece)
                sent += len(piece)
    answer(sim, b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc')
    assert served(sim) < 3


def test_everything_listens_on_loopback(sim):
    inodes = set()
    for fd in os.listdir(f'/proc/{sim.process.pid}/fd'):
        found = re.match(r'socket:\[(\d+)\]', os.readlink(f'/proc/{sim.process.pid}/fd/{fd}'))
        inodes |= {found.group(1)} if found else set()
    listening = []
    for table in ('tcp', 'tcp6', 'udp', 'udp6'):
        for line in pathlib.Path(f'/proc/net/{table}').read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (fields[3] == '0A' or table.startswith('udp')):
                listening.append(fields[1])
    assert listening and all(re.match('[0-9A-F]{6}7F:', address) for address in listening), listening


def test_secrets_are_for_its_owner_only(sim):
    _, secret = sim.credentials
    process = pathlib.Path(f'/proc/{sim.process.pid}')
    assert secret not in sim.log.read_text(errors='replace')
    assert secret.encode() not in (process / 'cmdline').read_bytes() + (process / 'environ').read_bytes()
    assert os.stat(sim.state_dir).st_mode & 0o777 == 0o700
    for path in sim.state_dir.rglob('*'):
        assert os.lstat(path).st_mode & 0o077 == 0, path


def resident_mib(pid):
    return int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{pid}/status').read_text()).group(1)) // 1024


def ten_thousand(port):
    """Connections: silent ones, half requests, and some that send an endless header."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (12000, max(hard, 12000)))
    opened = []
    try:
        for number in range(10000):
            connection = socket.create_connection(('127.0.0.1', port), timeout=10)
            opened.append(connection)
            try:
                connection.send((b'', b'POST / HTTP/1.1\r\nHost: a\r\n', b'GET /' + b'a' * 1000)[number % 3])
            except OSError:
                pass  # It had to make room already.
        yield
    finally:
        for connection in opened:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_connections_are_bounded_and_others_served(sim):
    served(sim)
    before = resident_mib(sim.process.pid)
    for _ in ten_thousand(sim.port):
        assert served(sim) < 3
        assert len(os.listdir(f'/proc/{sim.process.pid}/fd')) < 5000
        assert resident_mib(sim.process.pid) < before + 200
    daemon.wait(lambda: len(os.listdir(f'/proc/{sim.process.pid}/fd')) < 100, 'their descriptors to be free', 20)
    assert served(sim) < 3


def as_nobody(*command, **where):
    return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True,
                          text=True, timeout=30, **where)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can be another user')
def test_another_user_reaches_nothing_without_keys(sim):
    pid = sim.process.pid
    sim.directory.chmod(0o755)  # From where the test starts them, for pytest's own directories are closed.
    assert 'state' in as_nobody('ls', cwd=sim.directory).stdout
    for path in ('state', 'state/credentials', 'state/muster.db', f'/proc/{pid}/environ', f'/proc/{pid}/mem',
                 f'/proc/{pid}/fd', f'/proc/{pid}/maps'):
        command = 'ls' if path.endswith(('state', 'fd')) else 'cat'
        done = as_nobody(command, path, cwd=sim.directory)
        assert done.returncode != 0 and 'ermission denied' in done.stderr, (path, done)
    assert as_nobody('kill', '-0', str(pid)).returncode != 0
    done = as_nobody('python3', '-c', 'import ctypes, os, sys; c = ctypes.CDLL(None, use_errno=True); '
                     f'sys.exit(c.ptrace(16, {pid}, 0, 0) == 0)')
    assert done.returncode == 0, 'ptrace was allowed'
    done = as_nobody('curl', '-s', '--noproxy', '*', '-d', 'Action=ListUsers&Version=2010-05-08', sim.endpoint)
    assert 'MissingAuthenticationToken' in done.stdout, done
    assert sim.process.poll() is None


def start(state_dir, **identity):
    """A musterd's words and exit status, when it refuses to start."""
    done = subprocess.run([daemon.binary('musterd'), '--compute', 'sim', '--listen', '127.0.0.1:0',
                           '--state-dir', str(state_dir)], capture_output=True, text=True, timeout=10, **identity)
    return done.returncode, done.stderr


def test_a_state_directory_is_closed_to_others(tmp_path):
    (tmp_path / 'state').mkdir(mode=0o755)
    (tmp_path / 'state').chmod(0o755)
    for _ in daemon.fresh(tmp_path, ['--compute', 'sim']):
        assert os.stat(tmp_path / 'state').st_mode & 0o777 == 0o700


def test_a_directory_of_others_is_no_state_directory(tmp_path):
    (tmp_path / 'letter').write_text('dear')
    before = os.stat(tmp_path).st_mode
    code, words = start(tmp_path)
    assert code == 1 and 'holds other things; choose an empty or new directory' in words
    assert [p.name for p in tmp_path.iterdir()] == ['letter'] and os.stat(tmp_path).st_mode == before


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give a directory away')
def test_a_state_directory_of_another_user_is_refused(tmp_path):
    os.chown(tmp_path, NOBODY, NOBODY)
    code, words = start(tmp_path)
    assert code == 1 and 'belongs to another user' in words
    assert not list(tmp_path.iterdir())


def test_it_may_not_be_looked_into_nor_dump_core(sim):
    limits = pathlib.Path(f'/proc/{sim.process.pid}/limits').read_text()
    assert re.search(r'Max core file size\s+0\s+0\s', limits), limits
    assert os.stat(f'/proc/{sim.process.pid}/environ').st_uid == 0
    sim.kill(signal.SIGTERM)
    assert sim.process.returncode == 0
