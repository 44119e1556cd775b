"""The microservice, as its clients and its operators meet it, over muster's DynamoDB."""
import concurrent.futures
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse

import pytest

import daemon
from daemon import wait


class Candidate:
    """A running service; `get` and `post` answer (status, headers, body)."""

    def __init__(self, directory, environment, *options):
        self.log = open(directory / 'candidate.log', 'w+b')
        self.access = open(directory / 'access.log', 'w+b')
        self.process = subprocess.Popen(
            [daemon.binary('candidate'), '--address', '127.0.0.1', '--port', '0',
             '--metrics-port', '0', *options],
            env={'AWS_EC2_METADATA_DISABLED': 'true', **environment},
            stdout=self.access, stderr=self.log)

        def ready():
            assert self.process.poll() is None, self.logged()
            return re.search(r'candidate\.ready .* port=(\d+) metrics_port=(\d+)', self.logged())
        found = wait(ready, 'the ready line', 10, 0.01)
        self.port, self.metrics_port = int(found.group(1)), int(found.group(2))

    def logged(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def accessed(self):
        text = os.pread(self.access.fileno(), 1 << 20, 0).decode()
        return [json.loads(line) for line in text.splitlines()]

    def ask(self, method, target, port=None):
        connection = http.client.HTTPConnection('127.0.0.1', port or self.port, timeout=30)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, target):
        return self.ask('GET', target)

    def post(self, target):
        return self.ask('POST', target)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(40)
        self.log.close()
        self.access.close()


@pytest.fixture(scope='module')
def table(sim):
    client = sim.client('dynamodb')
    client.create_table(TableName='Candidates', BillingMode='PAY_PER_REQUEST',
                        AttributeDefinitions=[{'AttributeName': 'CandidateName', 'AttributeType': 'S'}],
                        KeySchema=[{'AttributeName': 'CandidateName', 'KeyType': 'HASH'}])
    client.get_waiter('table_exists').wait(TableName='Candidates', WaiterConfig={'Delay': 1})
    return client


@pytest.fixture
def candidate(sim, table, tmp_path):
    service = Candidate(tmp_path, sim.environment())
    yield service
    service.stop()


def test_what_was_posted_is_there(candidate):
    assert candidate.get('/candidate/ada')[0] == 404
    status, headers, body = candidate.post('/candidate/ada')
    assert (status, headers['Content-Type'], json.loads(body)) == \
        (200, 'application/json', {'CandidateName': 'ada'})
    status, headers, body = candidate.get('/candidate/ada')
    assert (status, headers['Content-Type'], json.loads(body)) == \
        (200, 'application/json', [{'CandidateName': 'ada'}])


def test_names_are_decoded_and_checked(candidate):
    name = 'Zoë + "q" 50%'
    path = '/candidate/' + urllib.parse.quote(name, safe='+')
    assert json.loads(candidate.post(path)[2]) == {'CandidateName': name}
    assert json.loads(candidate.get(path)[2]) == [{'CandidateName': name}]
    for bad in ('/candidate/', '/candidate/a/b', '/candidate/a%2Fb', '/candidate/%ff',
                '/candidate/a%00', '/candidate/' + 'x' * 2049):
        status, headers, body = candidate.get(bad)
        assert status == 400 and headers['Content-Type'] == 'application/json', bad
        assert json.loads(body)['reason'], bad
    assert candidate.post('/candidate/' + 'x' * 2048)[0] == 200


def test_the_other_routes(candidate):
    assert candidate.get('/gtg')[0::2] == (200, b'')
    details = json.loads(candidate.get('/gtg?details')[2])
    assert details['connected'] == 'true' and details['instance-id']
    status, _, body = candidate.get('/')
    assert (status, json.loads(body)) == (400, {'status': 'invalid request'})
    assert candidate.get('/elsewhere')[0::2] == (404, b'Not Found')
    for method, target, allowed in (('POST', '/gtg', 'GET'), ('DELETE', '/candidate/a', 'GET, POST'),
                                    ('PUT', '/candidates', 'GET'), ('POST', '/', 'GET')):
        status, headers, _ = candidate.ask(method, target)
        assert (status, headers['Allow']) == (405, allowed)


def test_attributes_of_every_type_are_plain_json(candidate, table):
    table.put_item(TableName='Candidates', Item={
        'CandidateName': {'S': 'typed'}, 'Big': {'N': '12345678901234567890123456789012345678'},
        'Small': {'N': '0.1'}, 'Yes': {'BOOL': True}, 'Nothing': {'NULL': True},
        'List': {'L': [{'N': '1'}, {'S': 'x'}]}, 'Map': {'M': {'k': {'S': 'v'}}},
        'Bytes': {'B': b'\x00\x01'}, 'Words': {'SS': ['a']}})
    body = candidate.get('/candidate/typed')[2]
    assert b'12345678901234567890123456789012345678' in body  # Exactly, whatever a double can hold.
    [item] = json.loads(body)
    assert item == {'CandidateName': 'typed', 'Big': 12345678901234567890123456789012345678,
                    'Small': 0.1, 'Yes': True, 'Nothing': None, 'List': [1, 'x'],
                    'Map': {'k': 'v'}, 'Bytes': 'AAE=', 'Words': ['a']}


def test_all_pages_of_all_candidates(candidate, table):
    """More than 1 MB, so that DynamoDB answers in pages."""
    for start in range(0, 60, 20):
        table.batch_write_item(RequestItems={'Candidates': [
            {'PutRequest': {'Item': {'CandidateName': {'S': f'page-{n}'}, 'Text': {'S': 'x' * 50000}}}}
            for n in range(start, start + 20)]})
    status, headers, body = candidate.get('/candidates')
    assert (status, headers['Content-Type']) == (200, 'application/json')
    names = [item['CandidateName'] for item in json.loads(body)]
    assert len(names) == len(set(names))
    assert {f'page-{n}' for n in range(60)} <= set(names)


def test_no_candidates_are_not_found(sim, table, tmp_path):
    table.create_table(TableName='Empty', BillingMode='PAY_PER_REQUEST',
                       AttributeDefinitions=[{'AttributeName': 'CandidateName', 'AttributeType': 'S'}],
                       KeySchema=[{'AttributeName': 'CandidateName', 'KeyType': 'HASH'}])
    table.get_waiter('table_exists').wait(TableName='Empty', WaiterConfig={'Delay': 1})
    service = Candidate(tmp_path, {**sim.environment(), 'TC_DYNAMO_TABLE': 'Empty'})
    try:
        assert service.get('/candidates')[0::2] == (404, b'Not Found')
    finally:
        service.stop()


def test_many_clients_at_once(candidate):
    def work(n):
        assert candidate.post(f'/candidate/many-{n}')[0] == 200
        return json.loads(candidate.get(f'/candidate/many-{n}')[2])
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert list(pool.map(work, range(200))) == \
            [[{'CandidateName': f'many-{n}'}] for n in range(200)]


def test_a_table_out_of_reach(sim, tmp_path):
    with http.server.HTTPServer(('127.0.0.1', 0), None) as unused:
        port = unused.server_port
    service = Candidate(tmp_path, {**sim.environment(), 'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}'})
    try:
        status, headers, _ = service.get('/candidate/ada')
        assert (status, headers['Retry-After']) == (503, '1')
        assert service.get('/candidates')[0] == 503
        assert service.post('/candidate/ada')[0::2] == (500, b'Unable to update')
        assert service.get('/gtg')[0] == 200  # The service itself is well.
    finally:
        service.stop()


class Flaky(http.server.BaseHTTPRequestHandler):
    """Fails twice, then answers."""
    protocol_version = 'HTTP/1.1'
    seen = 0

    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        Flaky.seen += 1
        fine = Flaky.seen > 2
        body = b'{"Items":[{"CandidateName":{"S":"x"}}],"Count":1}' if fine else \
            b'{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"no"}'
        self.send_response(200 if fine else 500)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_failing_table_is_asked_again(sim, tmp_path):
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Flaky) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        service = Candidate(tmp_path, {**sim.environment(),
                                       'AWS_ENDPOINT_URL_DYNAMODB': f'http://127.0.0.1:{server.server_port}'})
        try:
            assert service.get('/candidate/x')[0] == 200
            assert Flaky.seen == 3
        finally:
            service.stop()
            server.shutdown()


class Slow(Flaky):
    """Answers when it is told to."""
    go = threading.Event()
    waiting = threading.Semaphore(0)

    def do_POST(self):
        Slow.waiting.release()
        Slow.go.wait(20)
        Flaky.seen = 99
        super().do_POST()


def test_a_full_queue_and_a_drain(sim, tmp_path):
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        service = Candidate(tmp_path, {**sim.environment(),
                                       'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.server_port}'},
                            '--requests-max', '1', '--drain-ms', '2000')
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                first = pool.submit(service.get, '/candidate/a')
                assert Slow.waiting.acquire(timeout=10)
                status, headers, _ = service.get('/candidate/b')
                assert (status, headers['Retry-After']) == (503, '1')
                assert 'candidate_rejected_total 1' in \
                    service.ask('GET', '/metrics', service.metrics_port)[2].decode()
                service.process.send_signal(signal.SIGTERM)
                wait(lambda: 'candidate.draining' in service.logged(), 'the drain', 5, 0.01)
                assert service.get('/gtg')[0] == 503
                Slow.go.set()
                assert first.result()[0] == 200  # What was under way is finished.
            assert service.process.wait(30) == 0
        finally:
            Slow.go.set()
            service.stop()
            server.shutdown()


class Metadata(http.server.BaseHTTPRequestHandler):
    """IMDSv2 with a role whose keys are muster's own."""
    keys = None
    tokens = 0

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        Metadata.tokens += 1
        assert self.headers['X-aws-ec2-metadata-token-ttl-seconds']
        self.answer(200, 'a-token')

    def do_GET(self):
        known = {'/latest/meta-data/instance-id': 'i-0123456789abcdef0',
                 '/latest/meta-data/placement/region': daemon.REGION,
                 '/latest/meta-data/iam/security-credentials/': 'role',
                 '/latest/meta-data/iam/security-credentials/role': json.dumps(Metadata.keys)}
        if self.headers['X-aws-ec2-metadata-token'] != 'a-token':
            self.answer(401, '')
        elif self.path in known:
            self.answer(200, known[self.path])
        else:
            self.answer(404, '')

    def log_message(self, *_):
        pass


def test_the_instance_says_who_it_is_and_what_it_may(sim, table, tmp_path):
    iam = sim.client('iam')
    iam.create_role(RoleName='candidate', AssumeRolePolicyDocument=json.dumps(
        {'Version': '2012-10-17', 'Statement': [
            {'Effect': 'Allow', 'Principal': {'AWS': '*'}, 'Action': 'sts:AssumeRole'}]}))
    iam.put_role_policy(RoleName='candidate', PolicyName='table', PolicyDocument=json.dumps(
        {'Version': '2012-10-17', 'Statement': [
            {'Effect': 'Allow', 'Action': ['dynamodb:Query', 'dynamodb:PutItem', 'dynamodb:Scan'],
             'Resource': '*'}]}))
    user = iam.create_user(UserName='someone')['User']
    iam.put_user_policy(UserName='someone', PolicyName='assume', PolicyDocument=json.dumps(
        {'Version': '2012-10-17', 'Statement': [
            {'Effect': 'Allow', 'Action': 'sts:AssumeRole', 'Resource': '*'}]}))
    key = iam.create_access_key(UserName=user['UserName'])['AccessKey']
    session = sim.client('sts', key['AccessKeyId'], key['SecretAccessKey']).assume_role(
        RoleArn=iam.get_role(RoleName='candidate')['Role']['Arn'], RoleSessionName='i-1')['Credentials']
    Metadata.keys = {'Code': 'Success', 'Type': 'AWS-HMAC', 'AccessKeyId': session['AccessKeyId'],
                     'SecretAccessKey': session['SecretAccessKey'], 'Token': session['SessionToken'],
                     'LastUpdated': '2026-01-01T00:00:00Z',
                     'Expiration': session['Expiration'].strftime('%Y-%m-%dT%H:%M:%SZ')}
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        service = Candidate(tmp_path, {
            'AWS_EC2_METADATA_DISABLED': 'false', 'AWS_ENDPOINT_URL': sim.endpoint,
            'HOME': str(tmp_path),
            'AWS_EC2_METADATA_SERVICE_ENDPOINT': f'http://127.0.0.1:{server.server_port}'})
        try:
            assert service.post('/candidate/by-role')[0] == 200
            assert service.get('/candidate/by-role')[0] == 200
            assert service.get('/candidates')[0] == 200
            wait(lambda: json.loads(service.get('/gtg?details')[2])['instance-id']
                 == 'i-0123456789abcdef0', 'the instance id', 10)
            assert Metadata.tokens <= 2
        finally:
            service.stop()
            server.shutdown()


def test_metrics_and_the_access_log(candidate):
    candidate.post('/candidate/logged')
    candidate.get('/elsewhere?q="x"')
    status, headers, body = candidate.ask('GET', '/metrics', candidate.metrics_port)
    assert status == 200 and headers['Content-Type'].startswith('text/plain; version=0.0.4')
    text = body.decode()
    assert 'candidate_requests_total{route="candidate",method="POST",code="200"} 1' in text
    assert 'candidate_store_requests_total{operation="PutItem",outcome="ok"} 1' in text
    lines = wait(lambda: len(candidate.accessed()) >= 2 and candidate.accessed(), 'two lines', 5)
    assert [(line['method'], line['path'], line['status']) for line in lines] == \
        [('POST', '/candidate/logged', 200), ('GET', '/elsewhere?q="x"', 404)]


def test_the_command_line():
    def run(*arguments):
        return subprocess.run([daemon.binary('candidate'), *arguments], capture_output=True, text=True,
                              timeout=10)
    assert 'Examples:' in run('--help').stdout
    assert run('--version').stdout.startswith('candidate ')
    done = run('--port', 'x')
    assert done.returncode == 2 and '--port' in done.stderr
