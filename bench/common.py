"""What the parts share: servers on free ports, load by wrk, rounds in turns, a table.

A part is a module with run(bench) that fills bench.table. Everything it starts by `bench` is ended
with it, and nothing else; everything it writes lies in a temporary directory that goes with it.
"""
import configparser
import contextlib
import ctypes
import datetime
import hashlib
import hmac
import http.client
import importlib
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
BUILD = ROOT / 'build-bench'
PEERS = BUILD / 'peers'
PAGE = ROOT / 'docs/performance.md'
REGION = 'us-east-2'
TABLE = 'Candidates'
CLOCK_TICKS = os.sysconf('SC_CLK_TCK')


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait(condition, what, timeout=30):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f'waited {timeout} s for {what}')
        time.sleep(0.005)


def short_turns():
    """For the load generator, in its own process: on a busy machine it must not be what all wait for (sched_setattr(2))."""
    number = {'x86_64': 314, 'aarch64': 274}.get(platform.machine())
    attributes = struct.pack('IIQiIQQQ', 48, 0, 0, 0, 0, 100000, 0, 0)
    if number:
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)


def connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


class Server:
    """A process that listens on `port` of 127.0.0.1; group: its children count, too."""

    def __init__(self, name, command, port, log, environment=None):
        self.name, self.port = name, port
        self.url = f'http://127.0.0.1:{port}'
        self.log = pathlib.Path(log)
        with open(log, 'ab') as out:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env=environment, start_new_session=True)

    def wait(self, timeout=60):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f'{self.name} ended:\n{self.log.read_text(errors="replace")[-2000:]}')
            return connects(self.port)
        wait(ready, f'{self.name} to listen', timeout)
        return self

    def processes(self):
        """It and its children."""
        children = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(self.process.pid)], capture_output=True, text=True)
        return [self.process.pid, *map(int, children.stdout.split())]

    def cpu_s(self):
        """CPU time so far, its children's too."""
        total = 0
        for pid in self.processes():
            fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / CLOCK_TICKS

    def memory_kib(self, what='VmRSS'):
        return sum(int(re.search(rf'{what}:\s+(\d+)', pathlib.Path(f'/proc/{pid}/status').read_text()).group(1))
                   for pid in self.processes())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


class Load:
    """What one run of wrk saw."""

    def __init__(self, figures, cpu_us=None):
        self.rate = figures['rate']
        self.p50_ms, self.p99_ms, self.max_ms = figures['p50_ms'], figures['p99_ms'], figures['max_ms']
        self.errors, self.count = figures['errors'], figures['count']
        self.cpu_us = cpu_us  # Of the servers named, per request.


class Row:
    """One figure: our values, the peer's of the same rounds, and what is wanted of their ratio."""

    def __init__(self, figure, ours, unit, peer='', theirs=(), goal='', note=''):
        self.figure, self.ours, self.unit = figure, list(ours), unit
        self.peer, self.theirs, self.goal, self.note = peer, list(theirs), goal, note

    def cells(self):
        ours = statistics.median(self.ours)
        spread = (max(self.ours) - min(self.ours)) / ours * 100 if ours else 0
        peer = ratio = ''
        if self.theirs:
            peer = f'{number(statistics.median(self.theirs))} ({self.peer})'
            ratio = f'{statistics.median(a / b for a, b in zip(self.ours, self.theirs)):.2f}'.rstrip('0').rstrip('.')
            if float(ratio) >= 10:
                ratio = f'{float(ratio):.0f}'
        return [self.figure + (f' {self.note}' if self.note else ''), f'{number(ours)} {self.unit}', peer, ratio, self.goal,
                f'{spread:.0f} %' if len(self.ours) > 1 else '']


def number(value):
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


class Table:
    HEAD = ['figure', 'muster', 'peer', 'ratio', 'goal', 'spread']

    def __init__(self, part, rounds, seconds):
        self.part, self.rounds, self.seconds = part, rounds, seconds
        self.rows, self.notes = [], []

    def add(self, *arguments, **named):
        self.rows.append(Row(*arguments, **named))
        print('   ', ' | '.join(cell for cell in self.rows[-1].cells() if cell), flush=True)

    def text(self):
        rows = [self.HEAD] + [row.cells() for row in self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.HEAD))]
        lines = ['| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |' for row in rows]
        lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
        said = f'`bench/run {self.part}`, {machine()}, {datetime.date.today()}: medians of {self.rounds} rounds' \
               f' in turns, {self.seconds} s each; spread is (largest - smallest) / median.'
        return '\n'.join([*lines, '', said, *self.notes])


def machine():
    model = re.search(r'model name\s*:\s*(.+)', pathlib.Path('/proc/cpuinfo').read_text())
    return f'{os.cpu_count()} cores of {model.group(1) if model else platform.machine()}, Linux {platform.release()}'


def write_section(part, text):
    """Replace what stands between the part's marks in docs/performance.md."""
    page = PAGE.read_text()
    begin, end = f'<!-- bench/run {part} -->\n', '<!-- end -->'
    if begin not in page:
        page += f'\n## {part}\n\n{begin}{end}\n'
    before, _, rest = page.partition(begin)
    PAGE.write_text(before + begin + text + '\n' + end + rest.partition(end)[2])


class Bench:
    """One run of a part."""

    def __init__(self, part, rounds, seconds, quick, stack, directory):
        self.rounds, self.seconds, self.quick = rounds, seconds, quick
        self.stack, self.directory = stack, directory
        self.table = Table(part, rounds, seconds)

    # Servers.

    def start(self, name, command, port, environment=None):
        server = Server(name, command, port, self.directory / f'{name}.log', environment)
        self.stack.callback(server.stop)
        return server.wait()

    def musterd(self, *options, name='musterd', state=None):
        """A musterd with the sim driver."""
        state = state or self.directory / f'{name}-state'
        state.mkdir(mode=0o700, exist_ok=True)
        port = free_port()
        server = self.start(name, [BUILD / 'src/musterd/musterd', '--compute', 'sim', '--state-dir', state,
                                   '--listen', f'127.0.0.1:{port}', *options], port, clean_environment())
        parser = configparser.ConfigParser()
        parser.read(state / 'credentials')
        server.keys = (parser['default']['aws_access_key_id'], parser['default']['aws_secret_access_key'])
        server.session = {}  # Whose credentials services get, if not these.
        server.state = state
        return server

    def candidate(self, store, *options, name='candidate'):
        port = free_port()
        return self.start(name, [BUILD / 'src/candidate/candidate', '--address', '127.0.0.1', '--port', port,
                                 '--metrics-port', 'off', *options], port, aws_environment(store))

    def flask(self, store, *options, name='flask'):
        """The same contract by Flask and boto3, under gunicorn with these options; by default it has one worker."""
        port = free_port()
        server = self.start(name, [PEERS / 'venv/bin/gunicorn', '--bind', f'127.0.0.1:{port}', *options, '--chdir',
                                   BENCH / 'peers', 'flask_candidate:app'], port, aws_environment(store))
        # gunicorn listens before its workers have loaded boto3.
        wait(lambda: self.wrk(server, 'candidate', 8, 'GET', '/gtg', seconds=1).rate > 300, 'all workers', 60)
        return server

    def dynalite(self):
        port = free_port()
        server = self.start('dynalite', ['node', PEERS / 'npm/node_modules/dynalite/cli.js', '--port', port, '--path',
                                         self.directory / 'dynalite', '--createTableMs', 0, '--host', '127.0.0.1'], port)
        server.keys = ('dynalite', 'dynalite')
        return server

    def moto(self):
        port = free_port()
        server = self.start('moto', [PEERS / 'venv/bin/moto_server', '-H', '127.0.0.1', '-p', port], port, clean_environment())
        server.keys = ('moto', 'moto')
        return server

    def haproxy(self, backend):
        """A HAProxy alone in front of one service."""
        port, file = free_port(), self.directory / f'haproxy-{backend.name}.cfg'
        file.write_text('global\n  nbthread 1\n  maxconn 4000\n'
                        'defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n'
                        f'listen service\n  bind 127.0.0.1:{port}\n  option forwardfor\n'
                        f'  server one 127.0.0.1:{backend.port}\n')
        return self.start(f'haproxy-{backend.name}', ['haproxy', '-db', '-f', file], port)

    def client(self, server, service, keys=None):
        """boto3's client for what is served at `server`."""
        import boto3
        import botocore.config
        key, secret = keys or server.keys
        return boto3.Session().client(service, endpoint_url=server.url, region_name=REGION, aws_access_key_id=key,
                                      aws_secret_access_key=secret,
                                      config=botocore.config.Config(retries={'max_attempts': 2}, proxies={}))

    def become_role(self, server):
        """Sign as the stack's instances do: with a role's session, judged by the role's policies."""
        iam = self.client(server, 'iam')
        user = iam.create_user(UserName='bench')['User']  # Root may assume no role.
        account = user['Arn'].split(':')[4]
        iam.put_user_policy(UserName='bench', PolicyName='assume', PolicyDocument=json.dumps({
            'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'sts:AssumeRole', 'Resource': '*'}]}))
        key = iam.create_access_key(UserName='bench')['AccessKey']
        trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'sts:AssumeRole',
                                                         'Principal': {'AWS': user['Arn']}}]}
        allowed = {'Version': '2012-10-17', 'Statement': [{
            'Effect': 'Allow', 'Action': ['dynamodb:Query', 'dynamodb:PutItem', 'dynamodb:Scan'],
            'Resource': f'arn:aws:dynamodb:{REGION}:{account}:table/{TABLE}'}]}
        role = iam.create_role(RoleName='bench', AssumeRolePolicyDocument=json.dumps(trust))['Role']
        iam.put_role_policy(RoleName='bench', PolicyName='table', PolicyDocument=json.dumps(allowed))
        iam.attach_role_policy(RoleName='bench', PolicyArn='arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore')
        sts = self.client(server, 'sts', (key['AccessKeyId'], key['SecretAccessKey']))
        session = sts.assume_role(RoleArn=role['Arn'], RoleSessionName='bench')['Credentials']
        server.session = {'AWS_ACCESS_KEY_ID': session['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': session['SecretAccessKey'],
                          'AWS_SESSION_TOKEN': session['SessionToken']}

    def make_table(self, server, name=TABLE):
        dynamodb = self.client(server, 'dynamodb')
        dynamodb.create_table(TableName=name, BillingMode='PAY_PER_REQUEST',
                              AttributeDefinitions=[{'AttributeName': 'CandidateName', 'AttributeType': 'S'}],
                              KeySchema=[{'AttributeName': 'CandidateName', 'KeyType': 'HASH'}])
        dynamodb.get_waiter('table_exists').wait(TableName=name, WaiterConfig={'Delay': 1})

    # Load.

    def wrk(self, server, script, connections, *arguments, seconds=None, cpu_of=()):
        """Load `server` by bench/`script`.lua; Load. wrk has one thread: the cores are for the servers."""
        cpu_s = sum(one.cpu_s() for one in cpu_of)
        done = subprocess.run(['wrk', '--threads', '1', '--connections', str(connections), '--duration',
                               f'{seconds or self.seconds}s', '--timeout', '10s', '--script', str(BENCH / f'{script}.lua'),
                               server.url, '--', *map(str, arguments)], capture_output=True, text=True, cwd=BENCH, timeout=120,
                              preexec_fn=short_turns)
        found = re.search(r'^bench (\{.*\})$', done.stdout, re.M)
        if found is None:
            raise RuntimeError(f'wrk: {done.stdout}{done.stderr}')
        figures = json.loads(found.group(1))
        cpu_s = sum(one.cpu_s() for one in cpu_of) - cpu_s
        load = Load(figures, cpu_s / max(figures['count'], 1) * 1e6 if cpu_of else None)
        if load.errors > load.count / 1000:
            raise RuntimeError(f'{server.name}: {load.errors} of {load.count} requests failed')
        return load

    def in_turns(self, **loads):
        """Call each load once per round, in turns; lists of what they returned, by name."""
        results = {name: [] for name in loads}
        for _ in range(self.rounds):
            for name, load in loads.items():
                results[name].append(load())
        return results

    def compare(self, figure, peer, ours, theirs, goal='', **named):
        """A row of requests per second, and our Loads."""
        results = self.in_turns(ours=ours, theirs=theirs)
        self.table.add(figure, [load.rate for load in results['ours']], '/s', peer, [load.rate for load in results['theirs']],
                       goal, **named)
        return results['ours']


def clean_environment():
    return {key: value for key, value in os.environ.items() if not key.startswith(('AWS_', 'MUSTER_', 'TC_'))}


def aws_environment(store):
    return {**clean_environment(), 'AWS_ACCESS_KEY_ID': store.keys[0], 'AWS_SECRET_ACCESS_KEY': store.keys[1], **store.session,
            'AWS_REGION': REGION, 'AWS_DEFAULT_REGION': REGION, 'AWS_ENDPOINT_URL': store.url,
            'AWS_EC2_METADATA_DISABLED': 'true', 'TC_DYNAMO_TABLE': TABLE, 'INSTANCE_ID': 'i-0123456789abcdef0'}


# Signed requests of DynamoDB's, as they go over the wire: wrk sends them, and only the server works.

class Signer:
    def __init__(self, server):
        self.host, (self.key, secret) = f'127.0.0.1:{server.port}', server.keys
        now = datetime.datetime.now(datetime.timezone.utc)
        self.date = now.strftime('%Y%m%dT%H%M%SZ')
        self.scope = f'{self.date[:8]}/{REGION}/dynamodb/aws4_request'
        secret = b'AWS4' + secret.encode()
        for part in self.scope.split('/'):
            secret = hmac.digest(secret, part.encode(), 'sha256')
        self.secret = secret

    def headers(self, action, body):
        signed = {'content-type': 'application/x-amz-json-1.0', 'host': self.host, 'x-amz-date': self.date,
                  'x-amz-target': f'DynamoDB_20120810.{action}'}
        names = ';'.join(signed)
        canonical = '\n'.join(['POST', '/', '', *(f'{name}:{value}' for name, value in signed.items()), '', names,
                               hashlib.sha256(body).hexdigest()])
        to_sign = '\n'.join(['AWS4-HMAC-SHA256', self.date, self.scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.digest(self.secret, to_sign.encode(), 'sha256').hex()
        return {**signed, 'authorization': f'AWS4-HMAC-SHA256 Credential={self.key}/{self.scope}, SignedHeaders={names}, '
                                           f'Signature={signature}', 'content-length': str(len(body))}

    def raw(self, action, body):
        body = json.dumps(body).encode()
        head = ''.join(f'{name}: {value}\r\n' for name, value in self.headers(action, body).items())
        return f'POST / HTTP/1.1\r\n{head}\r\n'.encode() + body

    def file(self, path, requests):
        """Write (action, body) pairs for signed.lua: each behind its length."""
        with open(path, 'wb') as out:
            for action, body in requests:
                text = self.raw(action, body)
                out.write(b'%d\n%s' % (len(text), text))
        return path


def raw_describe(client):
    """DescribeAutoScalingGroups' answer, unparsed: boto3's reading of it would take longer than the servers."""
    import botocore.awsrequest
    signed = client._request_signer  # There is no public way to sign without sending.
    request = botocore.awsrequest.AWSRequest(
        'POST', client.meta.endpoint_url, data='Action=DescribeAutoScalingGroups&Version=2011-01-01&MaxRecords=100',
        headers={'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8'})
    signed.sign('DescribeAutoScalingGroups', request)
    prepared = request.prepare()
    host = client.meta.endpoint_url.split('//')[1]
    with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as connection:
        connection.request('POST', '/', prepared.body, dict(prepared.headers))
        return connection.getresponse().read()


def put_many(server, names, item):
    """BatchWriteItem of item(name) for all names."""
    names = list(names)
    with contextlib.closing(http.client.HTTPConnection('127.0.0.1', server.port, timeout=60)) as connection:
        for at in range(0, len(names), 25):
            if at % 20000 == 0:
                signer = Signer(server)
            puts = [{'PutRequest': {'Item': item(name)}} for name in names[at:at + 25]]
            body = json.dumps({'RequestItems': {TABLE: puts}}).encode()
            connection.request('POST', '/', body, signer.headers('BatchWriteItem', body))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200 or json.loads(text).get('UnprocessedItems'):
                raise RuntimeError(f'BatchWriteItem: {answer.status} {text[:300]}')


def run_part(part, rounds, seconds, quick):
    print(f'{part}:', flush=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix='muster-bench-', dir='/var/tmp'))  # A disk: /tmp may be memory.
    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(part, rounds, seconds, quick, stack, directory)
            importlib.import_module(part).run(bench)
            return bench.table
    finally:
        shutil.rmtree(directory, ignore_errors=True)
