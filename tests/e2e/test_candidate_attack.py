"""The microservice against clients and a table that mean ill: it stays bounded, says no, and serves the others."""
import os
import re
import socket
import socketserver
import threading
import time

import pytest

import daemon
from daemon import wait
from test_attack import BROKEN, answer, resident_mib, ten_thousand
from test_candidate import Candidate, table  # noqa: F401, a fixture


@pytest.fixture(scope='module')
def candidate(sim, table, tmp_path_factory):  # noqa: F811
    service = Candidate(tmp_path_factory.mktemp('candidate'), sim.environment(), '--no-access-log')
    yield service
    service.stop()


def served(service):
    began = time.monotonic()
    assert service.get('/gtg')[0] == 200
    return time.monotonic() - began


@pytest.mark.parametrize('name, request_bytes', [
    *BROKEN,
    ('lower case method', b'get /gtg HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('an unknown method', b'BREW /gtg HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('a name with NUL', b'GET /candidate/a%00b HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('a name that is no UTF-8', b'GET /candidate/%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('a name with a slash', b'GET /candidate/a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('half an escape', b'GET /candidate/a%4 HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('a name too long', b'GET /candidate/' + b'a' * 2049 + b' HTTP/1.1\r\nHost: a\r\n\r\n'),
    ('no name', b'POST /candidate/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'),
    ('a body too large', b'POST /candidate/a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n'),
])
def test_broken_requests_are_refused(candidate, name, request_bytes):
    got = answer(candidate, request_bytes)
    assert got == b'' or re.match(rb'HTTP/1\.[01] [45]\d\d ', got), (name, got[:200])
    served(candidate)


def test_the_longest_name_is_a_name(candidate):
    name = 'n' * 2048
    assert candidate.post('/candidate/' + name)[0] == 200
    assert name.encode() in candidate.get('/candidate/' + name)[2]


@pytest.mark.nightly
def test_a_body_that_never_ends_is_cut(candidate):
    with socket.create_connection(('127.0.0.1', candidate.port), timeout=10) as connection:
        connection.sendall(b'POST /candidate/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
        sent = 0
        with pytest.raises(OSError):
            while sent < 1 << 30:
                connection.sendall(b'10000\r\n' + b'a' * 65536 + b'\r\n')
                sent += 65536
                if connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b'':
                    raise ConnectionResetError
        assert sent < 1 << 26
    served(candidate)


def test_a_flood_of_pipelined_requests_is_answered_in_order(candidate):
    flood = b''.join(b'GET /candidate/flood%d HTTP/1.1\r\nHost: a\r\n\r\n' % n if n % 2 else
                     b'GET /gtg HTTP/1.1\r\nHost: a\r\n\r\n' for n in range(2000))
    with socket.create_connection(('127.0.0.1', candidate.port), timeout=30) as connection:
        sender = threading.Thread(target=connection.sendall, args=(flood,))
        sender.start()
        got = b''
        while got.count(b'HTTP/1.1 ') < 2000:
            got += connection.recv(65536)
            assert got
        sender.join()
    codes = re.findall(rb'HTTP/1\.1 (\d+)', got)
    assert codes == [b'200', b'404'] * 1000


def test_ten_thousand_connections_are_bounded_and_others_served(candidate):
    before = resident_mib(candidate.process.pid)
    for _ in ten_thousand(candidate.port):
        assert served(candidate) < 3
        assert len(os.listdir(f'/proc/{candidate.process.pid}/fd')) < 5000
        assert resident_mib(candidate.process.pid) < before + 200
    wait(lambda: len(os.listdir(f'/proc/{candidate.process.pid}/fd')) < 100, 'their descriptors to be free', 20)


class Hostile(socketserver.ThreadingTCPServer):
    """A table's endpoint that answers each request in its way."""
    daemon_threads = allow_reuse_address = True

    def __init__(self, way):
        super().__init__(('127.0.0.1', 0), None)
        self.way = way
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def finish_request(self, request, client_address):
        request.settimeout(20)
        try:
            while request.recv(65536):
                self.way(request, self.over)
        except OSError:
            pass


def garbage(request, over):
    request.sendall(bytes(range(256)) * 10)
    raise OSError


def closes(request, over):
    raise OSError


def half(request, over):
    request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"Count":')
    raise OSError


def silent(request, over):
    over.wait(60)


def huge(request, over):
    request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{"a":"')
    while not over.is_set():
        request.sendall(b'a' * 65536)


def headers(request, over):
    request.sendall(b'HTTP/1.1 200 OK\r\n')
    while not over.is_set():
        request.sendall(b'X: ' + b'a' * 1000 + b'\r\n')


def elsewhere(request, over):
    request.sendall(b'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n')


def no_json(request, over):
    request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello')


def other_json(request, over):
    text = b'{"Items":{"a":[1,2,{"S":null}]},"Count":"x"}'
    request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(text), text))


def circling(request, over):
    text = b'{"Items":[],"LastEvaluatedKey":{"CandidateName":{"S":"again"}}}'
    request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(text), text))


def deep(request, over):
    text = b'{"Items":' + b'[' * 100000 + b']' * 100000 + b'}'
    request.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(text), text))


@pytest.mark.parametrize('way', [garbage, closes, half, pytest.param(silent, marks=pytest.mark.nightly), huge, headers,
                                 elsewhere, no_json, other_json, circling, deep], ids=lambda way: way.__name__)
def test_a_table_that_answers_badly_costs_a_refusal(sim, tmp_path, way):
    with Hostile(way) as server:
        service = Candidate(tmp_path, {**sim.environment(),
                                       'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.server_address[1]}'})
        try:
            before = resident_mib(service.process.pid)
            answers = {}

            def ask(method, target):
                answers[method, target] = service.ask(method, target)
            asking = [threading.Thread(target=ask, args=what)
                      for what in (('GET', '/candidate/x'), ('POST', '/candidate/x'), ('GET', '/candidates'))]
            for thread in asking:
                thread.start()
            while any(thread.is_alive() for thread in asking):
                assert served(service) < 2
                assert resident_mib(service.process.pid) < before + 100
                time.sleep(0.05)
            got = {what: status for what, (status, _, _) in answers.items()}
            assert got == {('GET', '/candidate/x'): 503, ('GET', '/candidates'): 503,
                           ('POST', '/candidate/x'): 200 if way in (other_json, circling) else 500}  # It may say more than it must.
        finally:
            server.over.set()
            service.stop()
            server.shutdown()
    assert service.process.returncode == 0
